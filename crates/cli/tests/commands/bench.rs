//! `farebox bench` measures what it says, on servers of its own.

use std::process::Command;

/// The rows of its table, each with its five columns.
fn rows(arguments: &[&str]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    let output = command.arg("bench").args(arguments).arg("--within").arg(folder.path()).output().unwrap();
    let (said, complaints) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{complaints}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = said.lines().skip(2).map(cells).collect();
    assert!(rows.iter().all(|row| row.len() == 5), "{said}");
    rows
}

fn has(rows: &[Vec<String>], what: &str, measured: &str) {
    let row = rows.iter().find(|row| row[0].contains(what));
    assert!(row.is_some_and(|row| row[1].contains(measured)), "{what}: {measured} in {rows:#?}");
}

#[test]
fn ingest_is_measured_with_what_is_asked_meanwhile_and_a_kill() {
    let some = ["ingest", "--seconds", "1", "--batch", "100", "--accounts", "20", "--orders", "30"];
    let rows = rows(&some);
    has(&rows, "durable over HTTP: 64 connections, 100 events of 20", "events/s");
    has(&rows, "a bill with its 120 lines", "p99");
    has(&rows, "the usage of an account", "p99");
    has(&rows, "after SIGKILL", "until it knows a request again");
    assert!(rows[0][3].parse::<f64>().unwrap() > 0.0, "{rows:#?}");
}

#[test]
fn single_events_and_months_are_measured_beside_their_peers() {
    has(&rows(&["single", "--seconds", "1"]), "requests of one event", "requests/s");
    let rows = rows(&["month-end", "--accounts", "40"]);
    has(&rows, "a month's end of 40 accounts", "bills/s");
    has(&rows, "started again with these 40 accounts", "MiB resident");
}
