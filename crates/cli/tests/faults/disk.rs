//! Disks that are full or read-only: nothing of what was refused has happened, all that was answered is there, and
//! the server goes on by itself when it can.

use crate::common::farebox;
use crate::server::{Server, TEST_CLOCK, call, counted, furnish, serve};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn batch(numbers: Range<u64>) -> String {
    Value::from(numbers.map(|number| call("pbx", number)).collect::<Vec<_>>()).to_string()
}

/// Sends usage until the store cannot be written; answers how many events were accepted.
fn fill(server: &Server, first: u64) -> u64 {
    for number in 0..500 {
        let from = first + number * 1_000;
        let (status, answer) = server.post("/v1/usage", &[], batch(from..from + 1_000));
        if status == 200 {
            assert_eq!(answer["accepted"], json!(1_000), "{answer}");
            continue;
        }
        assert_eq!((status, &answer["code"]), (503, &json!("store-unwritable")), "{answer}");
        return number * 1_000;
    }
    panic!("the disk is never full");
}

fn pay(server: &Server, key: &str) -> (u16, Value) {
    let wish = json!({"command": "topup", "amount": "1.00"}).to_string();
    server.post("/v1/accounts/acme/commands", &[("Idempotency-Key", key)], wish)
}

fn balance(server: &Server) -> Value {
    server.get("/v1/accounts/acme/balance").1["balance"].clone()
}

/// What holds while nothing can be kept: nothing is taken, and all is there to be read.
fn is_refusing(server: &Server, events: u64, paid: &str) {
    let (status, answer) = pay(server, "while it is full");
    assert_eq!((status, &answer["code"]), (503, &json!("store-unwritable")), "{answer}");
    // Who reads while something else is to be kept is told to ask again.
    let start = Instant::now();
    while server.get("/v1/accounts/acme/usage").0 == 503 && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((counted(server), balance(server)), (events, json!(paid)));
}

fn is_whole(folder: &Path) {
    let output = farebox(&["verify", "--data", folder.to_str().unwrap()]);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_file_that_may_not_grow_refuses_what_is_new_and_keeps_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    // Where it may not, a write fails; it is not the end of the process.
    let wrapped = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", "prlimit", "--fsize=2000000:"];
    let server = Server::run(serve(&wrapped, folder.path(), TEST_CLOCK), folder.path());
    furnish(&server);
    assert_eq!(pay(&server, "first").0, 200);
    let told = fill(&server, 0);
    assert!(told > 0, "some of it fits");
    is_refusing(&server, told, "1.00");
    server.says("a commit has failed");
    // There is room again: it goes on by itself, and what was refused can be said again.
    let id = server.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]).status().unwrap().success());
    let (status, answer) = server.post("/v1/usage", &[], batch(told..told + 1_000));
    assert_eq!((status, &answer["accepted"]), (200, &json!(1_000)), "{answer}");
    assert_eq!(pay(&server, "while it is full").0, 200);
    assert_eq!((counted(&server), balance(&server)), (told + 1_000, json!("2.00")));
    server.kill();
    is_whole(folder.path());
    let server = Server::start(folder.path());
    assert_eq!((counted(&server), balance(&server)), (told + 1_000, json!("2.00")));
    server.stop();
}

/// Orders what is charged for each month.
fn order(server: &Server) {
    let seat = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 1});
    assert_eq!(server.command("acme", &seat).0, 200);
}

/// Lets no file of a server grow beyond so many bytes.
fn limit(server: &Server, bytes: &str) {
    let (id, limit) = (server.id().to_string(), format!("--fsize={bytes}:"));
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
}

#[test]
fn what_is_kept_can_be_read_though_what_is_due_cannot_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2020-01-01T00:00:00+08:00");
    furnish(&server);
    order(&server);
    assert_eq!(pay(&server, "first").0, 200);
    server.stop();
    // By the system's clock years are due, of which nothing can be kept.
    let wrapped = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", "prlimit", "--fsize=40000:"];
    let server = Server::run(serve(&wrapped, folder.path(), &[]), folder.path());
    for _ in 0..3 {
        for path in ["/v1/accounts/acme", "/v1/accounts/acme/bills", "/v1/schedule", "/v1/schedule/failed"] {
            let (status, answer) = server.get(path);
            assert_eq!(status, 200, "{path}: {answer}");
        }
        assert_eq!(balance(&server), json!("1.00"));
        assert_eq!(server.get("/v1/clock").1["at"], json!("2019-12-31T16:00:00Z"));
        let usage = server.post("/v1/usage", &[], call("pbx", 1).to_string());
        for (status, answer) in [pay(&server, "second"), usage] {
            assert_eq!((status, &answer["code"]), (503, &json!("store-unwritable")), "{answer}");
        }
        assert_eq!(server.get("/readyz").0, 503);
    }
    server.says("the schedule has failed");
    // There is room: it goes on by itself.
    limit(&server, "unlimited");
    let start = Instant::now();
    while server.get("/readyz").0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", server.logged());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(pay(&server, "second").0, 200);
    let bills = server.get("/v1/accounts/acme/bills?limit=1000").1;
    let issued = bills["items"].as_array().unwrap().iter().filter(|bill| !bill["issued_at"].is_null());
    assert!(issued.count() >= 12, "{bills}");
    server.stop();
    is_whole(folder.path());
}

#[test]
fn a_clock_that_was_not_moved_stands() {
    let folder = tempfile::tempdir().unwrap();
    let wrapped = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let server = Server::run(serve(&wrapped, folder.path(), TEST_CLOCK), folder.path());
    furnish(&server);
    order(&server);
    let longest = std::fs::metadata(folder.path().join("farebox.db-wal")).unwrap().len();
    limit(&server, &longest.to_string());
    // Where something is due on the way, and where nothing is.
    for until in ["2026-02-05T00:00:00+08:00", "2026-01-01T00:00:01+08:00"] {
        let until = json!({ "until": until }).to_string();
        let (status, answer) = server.post("/v1/clock/advance", &[], until);
        assert_eq!((status, &answer["code"]), (503, &json!("store-unwritable")), "{answer}");
    }
    limit(&server, "unlimited");
    for _ in 0..3 {
        assert_eq!(server.get("/v1/clock").1["at"], json!("2025-12-31T16:00:00Z"));
        assert_eq!(server.get("/v1/accounts/acme/bills").1["items"], json!([]));
    }
    assert_eq!(pay(&server, "first").0, 200);
    server.advance("2026-02-05T00:00:00+08:00");
    assert_eq!(server.get("/v1/accounts/acme/bills").1["items"].as_array().unwrap().len(), 1);
    server.stop();
    is_whole(folder.path());
}

/// A small disk of its own. `None`: this process may not mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder.path().to_str().unwrap()];
        let mounted = Command::new("mount").args(mount).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("skipped: it takes the right to mount a disk");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(self.path()).status();
        assert!(mounted.unwrap().success(), "{options}");
    }

    /// Takes all but so many bytes.
    fn take(&self, left: usize) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        let some = [0xa5; 4096];
        let mut taken = 0;
        while ballast.write_all(&some).is_ok() {
            taken += some.len();
        }
        ballast.set_len(u64::try_from(taken.saturating_sub(left)).unwrap()).unwrap();
    }

    fn give_back(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_was_answered() {
    let Some(disk) = Disk::new() else { return };
    let server = Server::start(disk.path());
    furnish(&server);
    assert_eq!(pay(&server, "first").0, 200);
    disk.take(600_000);
    let told = fill(&server, 0);
    is_refusing(&server, told, "1.00");
    disk.give_back();
    let (status, answer) = server.post("/v1/usage", &[], batch(told..told + 1_000));
    assert_eq!((status, &answer["accepted"]), (200, &json!(1_000)), "{answer}");
    // Full again, and killed: it is started on a full disk, which may be too full for that.
    disk.take(200_000);
    let told = told + 1_000 + fill(&server, told + 1_000);
    is_refusing(&server, told, "1.00");
    server.kill();
    disk.take(0);
    match Server::try_run(serve(&[], disk.path(), TEST_CLOCK), disk.path()) {
        Ok(server) => is_refusing(&server, told, "1.00"),
        Err(said) => assert!(said.contains("status: 2") && said.contains("cannot be written"), "{said}"),
    }
    disk.give_back();
    let server = Server::start(disk.path());
    assert_eq!((counted(&server), balance(&server)), (told, json!("1.00")));
    assert_eq!(pay(&server, "while it is full").0, 200);
    assert_eq!(pay(&server, "first").0, 200);
    assert_eq!(balance(&server), json!("2.00"), "the first payment is answered as it was");
    server.stop();
    is_whole(disk.path());
}

#[test]
fn a_read_only_disk_is_refused_and_left_as_it_is() {
    let Some(disk) = Disk::new() else { return };
    let server = Server::start(disk.path());
    furnish(&server);
    assert_eq!(server.post("/v1/usage", &[], batch(0..1_000)).0, 200);
    let token = server.token.clone();
    let mut first = Some(server);
    for is_killed in [false, true] {
        let server = first.take().unwrap_or_else(|| Server::start(disk.path()));
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        disk.remount("ro");
        let refused = Server::try_run(serve(&[], disk.path(), TEST_CLOCK), disk.path());
        let Err(said) = refused else { panic!("it serves what it cannot write") };
        assert!(said.contains("status: 2") && said.contains("cannot be written"), "{said}");
        disk.remount("rw");
        let server = Server::start(disk.path());
        assert_eq!((counted(&server), &server.token), (1_000, &token));
    }
    is_whole(disk.path());
}
