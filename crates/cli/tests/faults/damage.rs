//! Files that are not as they were written, of a later version, or of a server that runs already.

use crate::common::farebox;
use crate::server::{Server, TEST_CLOCK, call, counted, furnish, serve};
use farebox_store_sqlite::{FILE, format_version};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;

const EVENTS: u64 = 4_000;
const BILL: &str = "/v1/bills/acme-2026-01";

/// A store with usage, payments and an issued bill, its bill, and a copy of it.
fn furnished(folder: &Path, copy: &Path) -> Value {
    let server = Server::start(folder);
    furnish(&server);
    for first in (0..EVENTS).step_by(500) {
        let batch = Value::from((first..first + 500).map(|number| call("pbx", number)).collect::<Vec<_>>());
        assert_eq!(server.post("/v1/usage", &[], batch.to_string()).0, 200);
        assert_eq!(server.command("acme", &json!({"command": "topup", "amount": "10.00"})).0, 200);
    }
    server.advance("2026-02-05T00:00:00+08:00");
    let (status, bill) = server.get(BILL);
    assert_eq!(status, 200, "{bill}");
    assert!(farebox(&["backup", "--data", text(folder), text(copy)]).status.success());
    server.stop();
    bill
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in [FILE, "token"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn bytes_that_have_changed_are_found_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.farebox");
    let bill = furnished(folder.path(), &backup);
    let length = std::fs::metadata(folder.path().join(FILE)).unwrap().len();
    let (mut found, mut refused, mut state) = (0, 0, 0x2545_f491_4f6c_dd1d_u64);
    const TRIES: u64 = 24;
    for number in 0..TRIES {
        // All over the file, anywhere in a page.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(length * number / TRIES + (state >> 33) % (length / TRIES)).unwrap();
        let damaged = copy_of(folder.path());
        let file = damaged.path().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        // Some words of a page, or most of one.
        let many = if number.is_multiple_of(2) { 48 } else { 3_000 };
        for byte in bytes.iter_mut().skip(at).take(many) {
            *byte ^= 0x55;
        }
        std::fs::write(&file, &bytes).unwrap();
        let verified = farebox(&["verify", "--data", text(damaged.path())]);
        let is_found = !verified.status.success();
        found += u64::from(is_found);
        match Server::try_run(serve(&[], damaged.path(), TEST_CLOCK), damaged.path()) {
            Err(said) => {
                assert!(is_found, "byte {at}: verify finds nothing, and the server says {said}");
                assert!(said.contains("status: 2") && said.contains("damaged"), "byte {at}: {said}");
                refused += 1;
            }
            // It may serve what is not damaged: it answers what was, or that it cannot.
            Ok(server) => {
                let (status, answer) = server.get(BILL);
                match status {
                    200 => assert_eq!(answer, bill, "byte {at}"),
                    _ => {
                        assert!(is_found, "byte {at}: verify finds nothing, and the server says {answer}");
                        assert_eq!((status, &answer["code"]), (503, &json!("store-corrupt")), "byte {at}");
                        refused += 1;
                    }
                }
            }
        }
    }
    eprintln!("{TRIES} damages: {found} found by verify, {refused} refused by the server");
    // What is in no use can change.
    assert!(found >= TRIES / 3 && refused > 0, "{found} of {TRIES} found, {refused} refused");
    // The copy that was made before is put back.
    let other = tempfile::tempdir().unwrap();
    assert!(farebox(&["restore", text(&backup), "--data", text(other.path())]).status.success());
    std::fs::copy(folder.path().join("token"), other.path().join("token")).unwrap();
    assert!(farebox(&["verify", "--data", text(other.path())]).status.success());
    let server = Server::start(other.path());
    assert_eq!(server.get(BILL), (200, bill));
    server.stop();
}

#[test]
fn a_store_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bill = furnished(folder.path(), &folder.path().join("backup.farebox"));
    let file = folder.path().join(FILE);
    let version = |number: u32| {
        let file = Connection::open(&file).unwrap();
        file.pragma_update(None, "user_version", number).unwrap();
        file.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
    };
    version(format_version() + 1);
    let before = std::fs::read(&file).unwrap();
    let refused = Server::try_run(serve(&[], folder.path(), TEST_CLOCK), folder.path());
    let said = refused.err().expect("it serves a store of a later version");
    assert!(said.contains("status: 2") && said.contains("later version"), "{said}");
    let output = farebox(&["verify", "--data", text(folder.path())]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("later version"), "{said}");
    assert!(std::fs::read(&file).unwrap() == before, "it was changed");
    version(format_version());
    let server = Server::start(folder.path());
    assert_eq!(server.get(BILL), (200, bill));
    server.stop();
}

#[test]
fn a_second_server_on_one_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("data");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for (number, data) in [folder.path(), &link].into_iter().enumerate() {
        let said =
            Server::try_run(serve(&[], data, TEST_CLOCK), data).err().expect("two servers on a folder");
        assert!(said.contains("status: 2") && said.contains("is in use"), "{said}");
        let (status, answer) = server.post("/v1/usage", &[], call("pbx", number as u64).to_string());
        assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
    }
    // Nor is a copy put over it.
    let copy = elsewhere.path().join("copy.farebox");
    assert!(farebox(&["backup", "--data", text(folder.path()), text(&copy)]).status.success());
    assert!(!farebox(&["restore", text(&copy), "--data", text(folder.path())]).status.success());
    server.kill();
    // Its end lets the next one in, however it came.
    let server = Server::start(&link);
    assert_eq!(counted(&server), 2);
    server.stop();
}
