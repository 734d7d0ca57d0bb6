//! A store that is looked at, copied and put back, as someone who runs a server does.

use crate::books::push;
use crate::common::{farebox, root};
use crate::server::Server;
use farebox_core::bill::{Line, LineKind};
use farebox_core::engine::Fact;
use farebox_core::ledger::Posting;
use farebox_core::money::Amount;
use farebox_store::{Entry, Head};
use farebox_store_sqlite::FILE;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;

const UNTIL: &str = "2024-02-01T00:00:00+08:00";

fn verify(folder: &Path) -> (bool, Value) {
    let output = farebox(&["verify", "--json", "--data", folder.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {wrong}")))
}

fn furnished() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00+08:00");
    push(&server, &root().join("examples/demo/january.book"), UNTIL);
    (folder, server)
}

#[test]
fn a_copy_that_is_made_while_the_server_runs_is_put_back() {
    let (folder, server) = furnished();
    let (is_whole, report) = verify(folder.path());
    assert!(is_whole, "{report:#}");
    // What is about no account has a chain of its own.
    assert_eq!(
        (&report["groups"], &report["accounts"], &report["events"]),
        (&json!(6), &json!(5), &json!(9_514))
    );
    let copy = folder.path().join("copy.farebox");
    let (data, copy) = (folder.path().to_str().unwrap(), copy.to_str().unwrap());
    assert!(farebox(&["backup", "--data", data, copy]).status.success());
    let again = farebox(&["backup", "--data", data, copy]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("it is there already"));
    let bill = server.get("/v1/bills/dorado-2024-01");
    assert_eq!(bill.0, 200);
    let token = server.token.clone();
    // What comes after the copy is not in it.
    server.advance("2024-03-01T00:00:00+08:00");
    server.kill();

    let there = farebox(&["restore", copy, "--data", data]);
    assert!(
        String::from_utf8_lossy(&there.stderr).contains("it is there already"),
        "a store is never replaced"
    );
    let other = tempfile::tempdir().unwrap();
    assert!(farebox(&["restore", copy, "--data", other.path().to_str().unwrap()]).status.success());
    assert!(verify(other.path()).0);
    std::fs::write(other.path().join("token"), token).unwrap();
    let server = Server::start_at(other.path(), "2024-01-01T00:00:00+08:00");
    assert_eq!(server.get("/v1/bills/dorado-2024-01"), bill);
    assert_eq!(server.get("/v1/clock").1["at"], json!("2024-01-31T16:00:00Z"));
    server.stop();
}

#[test]
fn what_somebody_changed_is_found() {
    let (folder, server) = furnished();
    server.stop();
    let cases = [
        (
            "UPDATE line SET amount_e8 = amount_e8 - 1 WHERE id = 'acme-2024-01-1'",
            "the bill lines of account \"acme\"",
        ),
        (
            "UPDATE balance SET value_e8 = 0 WHERE account = 'borealis'",
            "the balances of account \"borealis\"",
        ),
        ("DELETE FROM package", "the packages of account \"cirrus\""),
        ("UPDATE entry SET record = zeroblob(length(record)) WHERE number = 30", "its hash does not follow"),
        ("DELETE FROM entry WHERE number = (SELECT max(number) FROM entry)", "it should have"),
        ("UPDATE usage_block SET bytes = zeroblob(length(bytes)) WHERE number = 3", "block 3 of partition 0"),
        ("DELETE FROM usage_block WHERE number = 2", "block 2 should come first"),
        ("UPDATE billing_group SET hash = zeroblob(32) WHERE name = 'elbrus'", "group \"elbrus\""),
        // The end of the log, which no later hash holds; and a price list, which has none.
        (
            "DELETE FROM usage_block WHERE number = (SELECT max(number) FROM usage_block)",
            "worked out anew it differs by",
        ),
        (
            "UPDATE catalogue SET text = replace(text, 'price = \"0.10\"', 'price = \"0.11\"') WHERE text LIKE '%\"0.10\"%'",
            "worked out anew it differs by",
        ),
    ];
    for (sql, what) in cases {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
        let file = Connection::open(copy.path().join(FILE)).unwrap();
        assert!(file.execute(sql, []).unwrap() > 0, "{sql}");
        drop(file);
        let (is_whole, report) = verify(copy.path());
        assert!(
            !is_whole && report["findings"].to_string().contains(&what.replace('"', "\\\"")),
            "{sql}: {report:#}"
        );
    }
}

/// Changes the facts of the first entry of a group that charges usage, and makes the chain of its hashes anew.
fn rewrite(folder: &Path, group: &str, change: impl FnOnce(&mut Vec<Line>, &mut Vec<Posting>)) {
    let file = Connection::open(folder.join(FILE)).unwrap();
    let number: i64 =
        file.query_row("SELECT number FROM billing_group WHERE name = ?", [group], |row| row.get(0)).unwrap();
    let mut records: Vec<Vec<u8>> = file
        .prepare("SELECT record FROM entry WHERE group_number = ? ORDER BY version")
        .unwrap()
        .query_map([number], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut change = Some(change);
    for record in &mut records {
        let mut entry = Entry::from_record(record).unwrap();
        for fact in &mut entry.facts {
            if let Fact::Charged { lines, postings, .. } = fact
                && lines.iter().all(|line| line.kind == LineKind::Usage)
                && let Some(change) = change.take()
            {
                change(lines, postings);
            }
        }
        *record = entry.to_record();
    }
    assert!(change.is_none(), "{group} was charged for no usage");
    let mut head = Head::of_new(group);
    for record in records {
        head = head.then(&record);
        let sql = "UPDATE entry SET record = ?, hash = ? WHERE group_number = ? AND version = ?";
        assert_eq!(
            file.execute(sql, rusqlite::params![record, head.hash.0, number, head.version]).unwrap(),
            1
        );
    }
    file.execute(
        "UPDATE billing_group SET hash = ? WHERE number = ?",
        rusqlite::params![head.hash.0, number],
    )
    .unwrap();
}

#[test]
fn what_somebody_changed_with_its_hashes_is_found() {
    let (folder, server) = furnished();
    server.stop();
    let cent = Amount::from_units(1_000_000);
    type Change = fn(&mut Vec<Line>, &mut Vec<Posting>, Amount);
    let cases: [(&str, Change); 3] = [
        ("its lines do not make what was charged", |lines, _, cent| {
            lines[0].amount = lines[0].amount.add(cent).unwrap();
        }),
        ("do not sum to zero", |_, postings, cent| {
            let entry = &mut postings[0].entries[0];
            entry.value = entry.value.add(cent.exact()).unwrap();
        }),
        // A line that was made smaller, and another one larger: all sums are right.
        ("worked out anew it differs by", |lines, _, cent| {
            lines[0].amount = lines[0].amount.sub(cent).unwrap();
            let mut other = lines[0].clone();
            other.amount = cent;
            other.key = None;
            lines.push(other);
        }),
    ];
    for (what, change) in cases {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
        rewrite(copy.path(), "acme", |lines, postings| change(lines, postings, cent));
        let (is_whole, report) = verify(copy.path());
        let findings = report["findings"].to_string();
        assert!(!is_whole && findings.contains(what), "{what}: {report:#}");
        assert!(!findings.contains("hash"), "the chain is whole: {report:#}");
    }
}
