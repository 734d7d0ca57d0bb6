//! A store that is looked at, copied and put back, as someone who runs a server does.

use crate::books::push;
use crate::common::{farebox, root};
use crate::server::Server;
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
    assert_eq!(
        (&report["groups"], &report["accounts"], &report["events"]),
        (&json!(5), &json!(5), &json!(9_514))
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
