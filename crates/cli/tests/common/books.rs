//! Books played by themselves, and sent to a server; and whether both come to the same rows.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::server::Server;
use farebox_scenario::prepare::{Prepared, prepare};
use farebox_scenario::run::{Options, Run};
use farebox_service::Groups;
use farebox_store::{Rows, Store, StoreError};
use farebox_store_sqlite::Sqlite;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A process that another thread starts holds every open file for a moment, the lock of a store too.
pub fn open(folder: &Path) -> Sqlite {
    for _ in 0..200 {
        match Sqlite::open(folder) {
            Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(20)),
            opened => return opened.unwrap(),
        }
    }
    panic!("{} is in use", folder.display())
}

/// The book, played by itself on the store of a folder; and the moment up to which time went on after its last line.
pub fn by_itself(file: &Path, folder: &Path) -> Option<(Prepared, Timestamp)> {
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

pub fn same_rows(file: &str, ours: &Path, servers: &Path, prepared: &Prepared) -> Result<usize, String> {
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

pub fn pushing(server: &Server, file: &Path, until: &str) -> Command {
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
