//! Books sent to a server: it comes to the very rows that the book comes to by itself.

use super::serve::Server;
use crate::common::{files_below, root};
use farebox_scenario::prepare::{Prepared, prepare};
use farebox_scenario::run::{Options, Run};
use farebox_service::Groups;
use farebox_store::{Rows, Store, StoreError};
use farebox_store_sqlite::Sqlite;
use farebox_text::book::ItemKind;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A process that another thread starts holds every open file for a moment, the lock of a store too.
fn open(folder: &Path) -> Sqlite {
    for _ in 0..200 {
        match Sqlite::open(folder) {
            Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(20)),
            opened => return opened.unwrap(),
        }
    }
    panic!("{} is in use", folder.display())
}

/// The book, played by itself on the store of a folder; and the moment up to which time went on after its last line.
fn by_itself(file: &Path, folder: &Path) -> Option<(Prepared, Timestamp)> {
    let text = std::fs::read(file).unwrap();
    // Some scenarios show mistakes; their books have no commands.
    let prepared = prepare(&file.display().to_string(), &text, file.parent().unwrap()).ok()?;
    let until = prepared.steps.iter().filter_map(|step| step.at).max()? + SignedDuration::from_hours(24 * 40);
    let groups = Groups::of(Box::new(open(folder))).unwrap();
    let mut run = Run::new(&prepared, Options { live: true, groups, ..Options::default() });
    run.play(&mut |_, _| {}).unwrap();
    let until = until.max(run.clock);
    run.advance(until).and_then(|()| run.commit()).unwrap();
    drop(run);
    Some((prepared, until))
}

/// The refusals that a book expects, by line.
fn expected(prepared: &Prepared) -> BTreeMap<usize, String> {
    let commands = prepared.book.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Command(command) => Some((item.line, command.expected.as_ref()?.text.clone())),
        _ => None,
    });
    commands.collect()
}

fn same_rows(file: &str, ours: &Path, servers: &Path, prepared: &Prepared) -> Result<usize, String> {
    let (ours, servers) = (open(ours), open(servers));
    let mut compared = 0;
    for account in prepared.accounts.keys() {
        let rows = |store: &Sqlite| store.rows(account).map_err(|error: StoreError| error.to_string());
        let (mut should, mut is) = (rows(&ours)?, rows(&servers)?);
        compared += should.lines.len() + should.postings.len();
        // An entry's number counts decisions that changed nothing that anybody reads, too.
        should.postings.iter_mut().chain(&mut is.postings).for_each(|posting| posting.version = 0);
        if is != should {
            return Err(format!("{file}: {account}\n{}", differing(&is, &should)));
        }
    }
    Ok(compared)
}

/// The lines of rows that only the server has, and those that it lacks.
fn differing(is: &Rows, should: &Rows) -> String {
    let (is, should) = (format!("{is:#?}"), format!("{should:#?}"));
    let only = |a: &str, b: &str, mark: &str| -> String {
        a.lines()
            .filter(|line| !b.lines().any(|other| other == *line))
            .map(|line| format!("{mark}{line}\n"))
            .collect()
    };
    only(&is, &should, "server ") + &only(&should, &is, "book   ")
}

fn pushing(server: &Server, file: &Path, until: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command
        .args(["push", "--json", "--until", until, "--url", &server.address, "--key", &server.token])
        .arg(file);
    command
}

pub fn push(server: &Server, file: &Path, until: &str) -> Value {
    let output = pushing(server, file, until).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{}: {said} {}", file.display(), String::from_utf8_lossy(&output.stderr)))
}

/// Compares a scenario; answers how many lines and postings that were. `None`: it has no commands.
fn compare(file: &str) -> Result<Option<usize>, String> {
    let path = root().join(file);
    let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some((prepared, until)) = by_itself(&path, ours.path()) else { return Ok(None) };
    let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
    let pushed = push(&server, &path, &until.to_string());
    let refused = pushed["refused"].as_array().unwrap().iter().map(|one| {
        let text = |name: &str| one[name].as_str().unwrap();
        (one["line"].as_u64().unwrap() as usize, format!("{}: {}", text("code"), text("detail")))
    });
    // What says otherwise what was said before is in a book's quarantine.
    let refused = refused.filter(|(_, text)| !text.starts_with("conflict: "));
    let (is, should): (BTreeMap<usize, String>, _) = (refused.collect(), expected(&prepared));
    if is != should {
        return Err(format!("{file}: the server refuses\n{is:#?}\nthe book expects\n{should:#?}"));
    }
    server.stop();
    same_rows(file, ours.path(), servers.path(), &prepared).map(Some)
}

#[test]
fn every_scenario_comes_to_the_same_on_a_server() {
    let files = files_below("scenarios", "test");
    let next = AtomicUsize::new(0);
    let results: Vec<Result<Option<usize>, String>> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(compare(file));
            }
            done
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let wrong: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let shown: Vec<&str> = wrong.iter().take(9).map(|wrong| wrong.as_str()).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), files.len(), shown.join("\n"));
    let compared: Vec<usize> = results.into_iter().filter_map(|result| result.ok().flatten()).collect();
    assert!(compared.len() > 250 && compared.iter().sum::<usize>() > 3_000, "{}", compared.len());
}

/// Pushes a book to a server that is killed in the middle of it, again and again until all of it is done; answers how
/// often it was killed. `dice`: how long it lives each time, in milliseconds.
fn push_through_crashes(file: &str, kills: u32, dice: &mut impl FnMut() -> u64) -> u32 {
    let path = root().join(file);
    let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (prepared, until) = by_itself(&path, ours.path()).unwrap();
    let until = until.to_string();
    let mut killed = 0;
    while killed < kills {
        let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
        let mut client =
            pushing(&server, &path, &until).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice()));
        let is_done = client.try_wait().unwrap().is_some();
        server.kill();
        client.wait().unwrap();
        killed += 1;
        if is_done {
            break;
        }
    }
    let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
    push(&server, &path, &until);
    server.stop();
    same_rows(file, ours.path(), servers.path(), &prepared).unwrap();
    killed
}

#[test]
fn nothing_is_lost_and_nothing_twice_when_the_server_is_killed() {
    let kills: u32 = std::env::var("FAREBOX_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut dice = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 120
    };
    // The books with the most lines: orders, payments, packages, sessions, usage that is late, replaced and void.
    let mut books: Vec<(usize, String)> = files_below("scenarios", "test")
        .into_iter()
        .filter_map(|file| {
            let path = root().join(&file);
            let text = std::fs::read(&path).unwrap();
            let prepared = prepare(&file, &text, path.parent().unwrap()).ok()?;
            Some((prepared.steps.iter().filter(|step| step.at.is_some()).count(), file))
        })
        .collect();
    books.sort();
    books.push((0, "examples/demo/january.book".to_owned()));
    let mut killed = 0;
    for (_, file) in books.iter().rev().cycle() {
        if killed >= kills {
            break;
        }
        killed += push_through_crashes(file, (kills - killed).min(4), &mut dice);
    }
}

#[test]
fn a_book_that_is_pushed_again_does_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00+08:00");
    let book = root().join("examples/demo/january.book");
    let until = "2024-02-01T00:00:00+08:00";
    let first = push(&server, &book, until);
    assert_eq!(
        (&first["price_lists"], &first["commands"], &first["duplicates"]),
        (&json!(5), &json!(21), &json!(0))
    );
    let usage = |pushed: &Value| ["usage", "quarantined"].map(|name| pushed[name].as_u64().unwrap());
    assert_eq!(usage(&first).iter().sum::<u64>(), 9_514);
    let bill = server.get("/v1/bills/acme-2024-01");
    let second = push(&server, &book, until);
    assert_eq!((&second["price_lists"], &second["commands"]), (&json!(0), &json!(21)));
    assert_eq!((usage(&second), &second["duplicates"]), ([0, 0], &json!(9_514)));
    assert_eq!(server.get("/v1/bills/acme-2024-01"), bill);
    server.stop();
}

#[test]
fn what_the_demo_says_to_try_can_be_tried() {
    struct Demo(Child);
    // A test that fails leaves no process behind.
    impl Drop for Demo {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "Ctrl-C ends it").collect();
    let page = said.iter().find_map(|line| line.strip_prefix("open   ")).unwrap();
    let mut answer = ureq::get(page).call().unwrap();
    assert!(answer.body_mut().read_to_string().unwrap().contains("<html"));
    let key = said.iter().find(|line| line.starts_with("export KEY=")).unwrap();
    let asks: Vec<&String> = said.iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(asks.len(), 6, "{said:#?}");
    for ask in asks {
        let line =
            format!("{key}; {}", ask.replacen("curl ", "curl --silent --show-error --fail-with-body ", 1));
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.starts_with('{'), "{ask}: {text}");
    }
    let id = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(demo.0.wait().unwrap().success());
    assert!(!std::env::temp_dir().join(format!("farebox-demo-{id}")).exists(), "it leaves nothing behind");
}
