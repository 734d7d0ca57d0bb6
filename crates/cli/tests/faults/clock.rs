//! A system clock that is behind what the store has seen: time stands, and goes on where it was.

use crate::common::farebox;
use crate::server::{Server, call, furnish, serve};
use serde_json::json;

#[test]
fn a_clock_that_was_set_back_stands_until_it_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    // Years ahead of any system's clock: for the store, that one is set back.
    let far = "2090-02-01T00:00:00+08:00";
    let server = Server::start(folder.path());
    furnish(&server);
    assert_eq!(server.post("/v1/usage", &[], call("pbx", 1).to_string()).0, 200);
    server.advance("2026-02-01T00:00:00+08:00");
    let bills = |server: &Server| {
        let (status, bills) = server.get("/v1/accounts/acme/bills");
        assert_eq!(status, 200, "{bills}");
        let bills = bills["items"].as_array().unwrap().clone();
        bills
            .iter()
            .map(|bill| format!("{} {} {}", bill["id"], bill["total"], bill["issued_at"]))
            .collect::<Vec<_>>()
    };
    let before = bills(&server);
    assert_eq!(before.len(), 1, "{before:?}");
    server.advance(far);
    server.stop();

    let start = || Server::run(serve(&[], folder.path(), &[]), folder.path());
    let server = start();
    server.says("the system's clock is behind the store's");
    let clock = json!({"at": "2090-01-31T16:00:00Z", "kind": "system", "usage_from": null});
    assert_eq!(server.get("/v1/clock"), (200, clock.clone()));
    // What is asked for is done, and recorded at that moment: never before what it follows.
    assert_eq!(server.command("acme", &json!({"command": "topup", "amount": "5.00"})).0, 200);
    assert_eq!(server.post("/v1/usage", &[], call("pbx", 2).to_string()).1["accepted"], json!(1));
    assert_eq!(server.post("/v1/usage", &[], call("pbx", 1).to_string()).1["duplicates"], json!(1));
    // The engine looks at its clock each second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(server.get("/v1/clock"), (200, clock.clone()));
    assert_eq!(bills(&server), before, "no month is billed twice");
    let statement = server.get("/v1/accounts/acme/audit?limit=1000").1;
    let times: Vec<&str> = statement["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["recorded_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    server.kill();
    let server = start();
    assert_eq!(server.get("/v1/clock"), (200, clock));
    let used = server.get("/v1/accounts/acme/usage?month=2026-01").1;
    assert_eq!(used["items"][0]["events"], json!(2), "{used}");
    server.stop();
    let verified = farebox(&["verify", "--data", folder.path().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_test_clock_that_is_not_the_store_s_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let started = |clock: &str| {
        let before = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let server = Server::start_at(folder.path(), clock);
        let at = server.get("/v1/clock").1["at"].as_str().unwrap().to_owned();
        let log = server.stop();
        (at, log.strip_prefix(&before).unwrap().to_owned())
    };
    let (at, said) = started("2026-01-01T00:00:00Z");
    assert!(at == "2026-01-01T00:00:00Z" && !said.contains("test clock"), "{said}");
    let server = Server::start_at(folder.path(), "2026-01-01T00:00:00Z");
    server.advance("2026-02-01T00:00:00Z");
    server.stop();
    let (at, said) = started("2026-01-15T00:00:00Z");
    assert!(at == "2026-02-01T00:00:00Z" && said.contains("time never goes back"), "{said}");
    assert!(said.contains("store=2026-02-01T00:00:00Z test_clock=2026-01-15T00:00:00Z"), "{said}");
    let (at, said) = started("2026-03-01T00:00:00Z");
    assert!(at == "2026-03-01T00:00:00Z" && said.contains("the test clock moves the store's"), "{said}");
}
