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
use std::sync::atomic::{AtomicBool, Ordering};

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
        ("UPDATE posting SET units = '999' WHERE account = 'borealis'", "account \"borealis\""),
        ("UPDATE balance SET units = '999' WHERE account = 'borealis'", "account \"borealis\""),
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
        ("DELETE FROM usage_block WHERE number = (SELECT max(number) FROM usage_block)", "the usage log"),
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

/// What `verify` says of a copy of a store that statements were done to.
fn changed(folder: &Path, sql: &str) -> (Option<i32>, String) {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join(FILE), copy.path().join(FILE)).unwrap();
    let file = Connection::open(copy.path().join(FILE)).unwrap();
    file.execute_batch("PRAGMA foreign_keys = off; PRAGMA ignore_check_constraints = on").unwrap();
    assert!(file.execute(sql, []).unwrap() > 0, "{sql}");
    drop(file);
    let output = farebox(&["verify", "--data", copy.path().to_str().unwrap()]);
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

#[test]
fn what_is_missing_or_was_put_in_is_found() {
    let (folder, server) = furnished();
    let made = server.post("/v1/keys", &[], json!({"label": "shop", "role": "integrator"}).to_string());
    assert_eq!(made.0, 201, "{made:?}");
    let stranger = json!({"specversion": "1.0", "source": "tests", "id": "1", "type": "call", "subject": "nobody",
                          "time": "2024-01-31T10:00:00Z", "data": {"direction": "outbound", "seconds": 60}});
    assert_eq!(server.post("/v1/usage", &[], stranger.to_string()).0, 200);
    // Nothing counts it: it waits, and so does what is of nobody.
    let fax = json!({"specversion": "1.0", "source": "tests", "id": "fax", "type": "fax", "subject": "acme",
                     "time": "2024-01-31T10:00:00Z", "data": {"pages": 2}});
    let (_, got) = server.post("/v1/usage", &[], fax.to_string());
    assert_eq!(got["quarantined"], json!(1), "{got}");
    server.post("/v1/usage/void", &[], json!({"source": "tests", "id": "2"}).to_string());
    server.stop();
    let (is_whole, report) = verify(folder.path());
    assert!(is_whole, "{report:#}");
    let cases = [
        ("DELETE FROM billing_group WHERE name = 'acme'", "account \"acme\": no entry opens it"),
        ("DELETE FROM billing_group WHERE name = 'acme'", "the table entry: "),
        ("DELETE FROM billing_group WHERE name = '*'", "the table entry: "),
        (
            "INSERT INTO balance VALUES ('zebra', 'receivable', 'USD', 100, NULL)",
            "account \"zebra\": no entry opens it, and it has rows in: balance",
        ),
        (
            "INSERT INTO bill SELECT 'zebra', month, month_end, 'zebra-1', lines, total_e8, paid_e8, coupons_e8, \
             credited_e8, written_off_e8, due_e8, issued FROM bill LIMIT 1",
            "account \"zebra\": no entry opens it, and it has rows in: bill",
        ),
        (
            "INSERT INTO usage_block SELECT 7, number, events, recorded_at, hash, bytes, redacted FROM usage_block \
             LIMIT 1",
            "the table usage_block: 1 blocks of partition 7",
        ),
        (
            "DELETE FROM catalogue WHERE id = (SELECT id FROM catalogue LIMIT 1)",
            "it was published, and is not there",
        ),
        (
            "DELETE FROM catalogue WHERE id = (SELECT catalogue FROM subscription WHERE account = 'acme' LIMIT 1)",
            "cannot be worked out anew",
        ),
        (
            "UPDATE catalogue SET text = text || '# more' WHERE number = 1",
            "it is not the text that was published",
        ),
        (
            "INSERT INTO catalogue (id, effective, published, text) SELECT id, '2099-01-01T00:00:00Z', published, \
             text FROM catalogue LIMIT 1",
            "no entry says that it was published",
        ),
        ("DELETE FROM clock", "the clock: it is not there"),
        ("UPDATE clock SET at = '2024-01-02T00:00:00Z'", "the clock: it is at 2024-01-02T00:00:00Z"),
        (
            "UPDATE billing_group SET due_at = NULL, due_duty = NULL WHERE name = 'acme'",
            "what is due next for group \"acme\": it should be",
        ),
        (
            "UPDATE billing_group SET due_at = '2034-01-01T00:00:00Z' WHERE name = 'acme'",
            "what is due next for group \"acme\": it should be",
        ),
        (
            "UPDATE billing_group SET due_at = '2024-01-11T11:11:11Z' WHERE name = 'acme'",
            "what is due next for group \"acme\": it should be",
        ),
        (
            "UPDATE access_key SET role = 'operator' WHERE label = 'shop'",
            "its role is not what the entries say",
        ),
        (
            "UPDATE access_key SET account = 'acme' WHERE label = 'shop'",
            "its account is not what the entries say",
        ),
        (
            "UPDATE access_key SET revoked_by = 'serve' WHERE label = 'shop'",
            "whether it is revoked, by whom or when, is not what the entries say",
        ),
        (
            "UPDATE access_key SET revoked = created, revoked_by = 'serve' WHERE label = 'shop'",
            "whether it is revoked, by whom or when, is not what the entries say",
        ),
        (
            "INSERT INTO access_key SELECT 'cafe', hash, label, role, account, created, created_by, NULL, NULL, NULL \
             FROM access_key WHERE label = 'shop'",
            "access key cafe: no entry says that it was made",
        ),
        (
            "INSERT INTO access_key SELECT 'cafe', hash, label, role, account, created, created_by, NULL, NULL, NULL \
             FROM access_key WHERE created_by = 'serve'",
            "no entry says that it was made",
        ),
        ("DELETE FROM access_key WHERE label = 'shop'", "it is not there"),
        (
            "DELETE FROM derived WHERE space = 21",
            "the quarantine: 1 pieces of accounts that nobody has opened",
        ),
        ("DELETE FROM derived WHERE space = 21", "the quarantine of group \"acme\""),
        (
            "INSERT INTO derived SELECT space, CAST(x'62636d65' || substr(key, 5) AS BLOB), value FROM derived \
             WHERE space = 21 AND CAST(substr(key, 1, 4) AS TEXT) = 'acme'",
            "quarantine",
        ),
        ("DELETE FROM derived WHERE space = 5", "the list of void identities: 1 of 1"),
        (
            "INSERT INTO derived VALUES (5, randomblob(16), x'')",
            "the list of void identities: 0 of 1 that the usage log makes are not in it, and 1 others are",
        ),
    ];
    for (sql, what) in cases {
        let (status, said) = changed(folder.path(), sql);
        assert!(status == Some(1) && said.contains(what), "{sql}: {status:?} {said}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_looked_at() {
    let (folder, server) = furnished();
    server.stop();
    let cases = [
        (
            "UPDATE bill SET month_end = 'soon' WHERE account = 'acme'",
            "what people read of account \"acme\": it cannot",
        ),
        (
            "UPDATE bill SET due_e8 = 'much' WHERE account = 'acme'",
            "what people read of account \"acme\": it cannot",
        ),
        (
            "UPDATE account SET title = CAST(x'ff' AS TEXT) WHERE account = 'acme'",
            "of account \"acme\": it cannot",
        ),
        ("UPDATE billing_group SET due_at = 'soon' WHERE name = 'acme'", "group \"acme\": it cannot be read"),
        ("UPDATE billing_group SET hash = x'00' WHERE name = 'acme'", "group \"acme\": it cannot be read"),
        (
            "UPDATE entry SET hash = x'00' WHERE version = 3 AND group_number = \
             (SELECT number FROM billing_group WHERE name = 'acme')",
            "entry 3 of group \"acme\": it cannot be read",
        ),
        (
            "UPDATE usage_block SET recorded_at = 'soon' WHERE number = 2",
            "block 2 of partition 0: it cannot be read",
        ),
        ("UPDATE catalogue SET text = 'plan = ' WHERE number = 1", "price list "),
        ("UPDATE catalogue SET published = 'soon' WHERE number = 1", "price list "),
        ("UPDATE clock SET at = 'soon'", "the clock: it cannot be read"),
        ("INSERT INTO horizon VALUES (1, 'soon')", "the retention horizon: it cannot be read"),
        ("UPDATE access_key SET created = 'soon'", "the table access_key: it cannot be read"),
        (
            "INSERT INTO erasure VALUES ('zebra', 'zebra', 'me', 'soon', NULL, NULL, 0, 0, 0, 0, 0, NULL)",
            "the table erasure: it cannot be read",
        ),
        (
            "INSERT INTO redaction VALUES (1, 'zebra', 'moon', 1, x'00', x'00', x'00')",
            "the table redaction: it cannot be read",
        ),
        ("UPDATE answer SET at = 'soon'", "the table answer: it cannot be read"),
    ];
    for (sql, what) in cases {
        let (status, said) = changed(folder.path(), sql);
        assert!(status == Some(1) && said.contains(what), "{sql}: {status:?} {said}");
        // That there are five accounts, or four where one of their groups cannot be read, shows that it went on.
        let went_on = said.contains(", 5 accounts") || said.contains(", 4 accounts");
        assert!(went_on && !said.contains("no entry opens it"), "{sql}: {said}");
        assert!(said.contains("wrong; looked at") && !said.contains("farebox verify"), "{sql}: {said}");
    }
}

#[test]
fn a_store_is_looked_at_as_of_one_moment_while_a_server_writes_it() {
    let (folder, server) = furnished();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let event = json!({"specversion": "1.0", "source": "live", "id": number.to_string(), "type": "call",
                                   "subject": "acme", "time": "2024-01-31T10:00:00Z",
                                   "data": {"direction": "outbound", "seconds": 60}});
                assert_eq!(server.post("/v1/usage", &[], event.to_string()).0, 200);
                let command = json!({"command": "topup", "amount": "1.00"});
                assert_eq!(server.command("acme", &command).0, 200);
                assert_eq!(server.command("dorado", &command).0, 200);
            }
        });
        let looked: Vec<_> = (0..12).map(|_| verify(folder.path())).collect();
        is_over.store(true, Ordering::Relaxed);
        for (is_whole, report) in &looked {
            assert!(is_whole, "{report:#}");
        }
        let entries = |report: &Value| report["entries"].as_u64().unwrap();
        assert!(entries(&looked[0].1) < entries(&looked[11].1), "nothing was written meanwhile");
    });
    server.stop();
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
