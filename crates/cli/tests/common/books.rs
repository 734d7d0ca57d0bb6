//! Books played by themselves, and sent to a server; and whether both come to the same rows.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::server::Server;
use farebox_core::bill::LineKind;
use farebox_scenario::prepare::{Prepared, prepare};
use farebox_scenario::run::{Options, Run};
use farebox_service::Groups;
use farebox_store::{Rows, Store, StoreError};
use farebox_store_sqlite::Sqlite;
use farebox_text::book::question;
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

/// Questions and the lines of their answers.
pub type Answers = Vec<(String, Vec<String>)>;

/// The book, played by itself on the store of a folder; and the moment up to which time went on after its last line.
pub fn by_itself(file: &Path, folder: &Path) -> Option<(Prepared, Timestamp)> {
    asked_by_itself(file, folder, false).map(|(prepared, until, _)| (prepared, until))
}

/// The same, and in the end what it answers to all that can be asked about its accounts, where that is wanted.
pub fn asked_by_itself(file: &Path, folder: &Path, is_asked: bool) -> Option<(Prepared, Timestamp, Answers)> {
    let text = std::fs::read(file).unwrap();
    // Some scenarios show mistakes; their books have no commands.
    let prepared = prepare(&file.display().to_string(), &text, file.parent().unwrap()).ok()?;
    let until = prepared.steps.iter().filter_map(|step| step.at).max()? + SignedDuration::from_hours(24 * 40);
    let groups = Groups::of(Box::new(open(folder))).unwrap();
    let mut run = Run::new(&prepared, Options { live: true, groups, ..Options::default() });
    run.play(&mut |_, _| {}).unwrap();
    let until = until.max(run.clock);
    run.advance(until).and_then(|()| run.commit()).unwrap();
    let questions = if is_asked { questions(&run) } else { Vec::new() };
    let ask = |text: String| {
        let answer = run.ask(&question(&text).unwrap(), 0).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
        (text, answer)
    };
    let answers = questions.into_iter().map(ask).collect();
    drop(run);
    Some((prepared, until, answers))
}

/// What can be asked about the accounts of a book as things stand. Not `quarantine`: why a piece is there depends on what
/// the account may order, which a book knows before it comes.
fn questions(run: &Run<'_>) -> Vec<String> {
    const OF_ACCOUNTS: &[&str] = &[
        "show",
        "provides",
        "packages",
        "holds",
        "licences",
        "balance",
        "lifecycle",
        "statement",
        "ledger",
        "notices",
        "renewals",
        "deferred",
        "budgets",
        "upcoming",
    ];
    let mut all: Vec<String> = ["trial-balance", "receivables"].map(str::to_owned).into_iter().collect();
    for account in run.accounts() {
        let id = &account.head.id;
        all.extend(OF_ACCOUNTS.iter().map(|about| format!("{about} {id}")));
        for bill in account.bills.values().filter(|bill| bill.period.end <= run.clock) {
            let month = account.head.zone.date(bill.period.start).strftime("%Y-%m").to_string();
            all.push(format!("bill {id} {month} --explain"));
            all.push(format!("cost {id} {month} by plan"));
            let used = bill.lines.iter().filter(|line| line.kind == LineKind::Usage).take(2);
            all.extend(used.map(|line| format!("explain {}", line.id)));
        }
    }
    all
}

/// Asks a server the same; what it answers otherwise.
pub fn same_answers(server: &Server, zone: &str, answers: &Answers) -> Result<(), String> {
    for (question, lines) in answers {
        let encoded = question.replace(' ', "+");
        let (status, found) =
            server.get(&format!("/v1/answers?question={encoded}&zone={}", zone.replace('+', "%2B")));
        let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if status != 200 || found.as_str() != Some(&expected) {
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            return Err(format!("{question}: {status}\n{}", differing(&found, &expected)));
        }
        // A bill is the same text where it is asked for by its name.
        if let ["bill", account, month, "--explain"] = question.split(' ').collect::<Vec<_>>()[..] {
            let found = server.read(&format!("/v1/bills/{account}-{month}"));
            if found != (200, expected.clone()) {
                return Err(format!("{question}: {}\n{}", found.0, differing(&found.1, &expected)));
            }
        }
    }
    Ok(())
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
            return Err(format!("{file}: {account}\n{}", differing_rows(&is, &should)));
        }
    }
    Ok(compared)
}

/// The lines of rows that only the server has, and those that it lacks.
fn differing_rows(is: &Rows, should: &Rows) -> String {
    differing(&format!("{is:#?}"), &format!("{should:#?}"))
}

fn differing(is: &str, should: &str) -> String {
    let only = |a: &str, b: &str, mark: &str| -> String {
        a.lines()
            .filter(|line| !b.lines().any(|other| other == *line))
            .map(|line| format!("{mark}{line}\n"))
            .collect()
    };
    only(is, should, "server ") + &only(should, is, "book   ")
}

pub fn pushing(server: &Server, file: &Path, until: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command
        .args([
            "push",
            "--json",
            "--check",
            "--until",
            until,
            "--url",
            &server.address,
            "--key",
            &server.token,
        ])
        .arg(file);
    command
}

pub fn push(server: &Server, file: &Path, until: &str) -> Value {
    let output = pushing(server, file, until).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{}: {said} {}", file.display(), String::from_utf8_lossy(&output.stderr)))
}
