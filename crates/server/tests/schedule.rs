//! What time does, over HTTP: what is due, what ran, what fails and what waits for it.

mod common;

use common::{Got, Server};
use serde_json::{Value, json};

const TOP_UP: &str = r#"{"command": "topup", "amount": "5.00"}"#;

/// `bad`, whose first day cannot be settled, and `good`, in the middle of February.
fn with_a_failure() -> Server {
    let server = Server::start(1_000);
    server.dear("bad", "900000000000001", "2026-01-01T10:00:00+08:00");
    server.dear("good", "2", "2026-01-01T10:00:00+08:00");
    server.advance("2026-02-10T12:00:00+08:00");
    server
}

fn send(server: &Server, account: &str, part: &str, key: &str, body: &str) -> Got {
    let path = format!("/v1/accounts/{account}/{part}");
    server.send("POST", &path, &[("Idempotency-Key", key)], body.to_owned())
}

fn items(got: &Got) -> &Vec<Value> {
    got.body["items"].as_array().unwrap_or_else(|| panic!("{got:?}"))
}

#[test]
fn a_group_that_fails_is_shown_and_stops_no_other() {
    let server = with_a_failure();
    let bills = |account: &str| items(&server.get(&format!("/v1/accounts/{account}/bills"))).len();
    assert_eq!((bills("good"), bills("bad")), (1, 0));

    let failed = server.get("/v1/schedule/failed");
    let [only] = items(&failed).as_slice() else { panic!("{failed:?}") };
    assert_eq!((&only["account"], &only["duty"]), (&json!("bad"), &json!("charges")));
    assert_eq!((&only["due_at"], &only["code"]), (&json!("2026-01-01T16:00:00Z"), &json!("out-of-range")));
    assert_eq!(only["tries"], 1);
    assert!(only["detail"].as_str().unwrap().starts_with("a number is too large"), "{only}");

    let state = server.get("/v1/schedule").body;
    assert_eq!((&state["at"], &state["lag_millis"]), (&json!("2026-02-10T04:00:00Z"), &Value::Null));
    assert_eq!((&state["failing"], &state["failing_since"]), (&json!(1), &json!("2026-01-01T16:00:00Z")));
    let next = json!({"at": "2026-02-10T16:00:00Z", "duty": "charges", "account": "good"});
    assert_eq!((&state["groups"], &state["next"]), (&json!(1), &next));
    assert_eq!(items(&server.get("/v1/schedule/due")), std::slice::from_ref(&next));
    assert_eq!(items(&server.get("/v1/schedule/due?duty=terms")).len(), 0);

    // Nothing is decided, nor promised, for it; what is there can be read.
    for (part, body) in [
        ("commands", TOP_UP.to_owned()),
        ("quotes", json!({"commands": [{"command": "cancel", "subscription": "things"}]}).to_string()),
    ] {
        let refused = send(&server, "bad", part, "k1", &body);
        assert_eq!(refused.problem(), (409, "settlement-failed"), "{refused:?}");
        let said = refused.body["detail"].as_str().unwrap();
        assert!(
            said.starts_with(
                "what was due on 2026-01-02 (charges) could not be done: out-of-range (a number "
            ),
            "{said}"
        );
        assert_eq!(refused.body["account"], "bad");
    }
    assert_eq!(server.get("/v1/accounts/bad/balance").body["balance"], "0.00");
    assert_eq!(send(&server, "good", "commands", "k1", TOP_UP).status, 200);
    assert_eq!(items(&server.get("/v1/schedule/failed"))[0]["tries"], 2, "the command tried");

    // Tried again, it fails again; with its usage void, what waited is done.
    let retry = |body: Value| server.send("POST", "/v1/schedule/retry", &[], body.to_string());
    assert_eq!(retry(json!({"account": "nobody"})).problem(), (404, "unknown-account"));
    assert_eq!(retry(json!({"account": "good"})).body, json!({"tried": 0, "mended": 0, "failing": 0}));
    assert_eq!(retry(json!({})).body, json!({"tried": 1, "mended": 0, "failing": 1}));
    let void = json!({"source": "test", "id": "of-bad"}).to_string();
    assert_eq!(server.send("POST", "/v1/usage/void", &[], void).body, json!({"found": true}));
    assert_eq!(server.get("/v1/schedule").body["failing"], 0, "the schedule tries by itself");
    assert_eq!(retry(json!({"account": "bad"})).body, json!({"tried": 0, "mended": 0, "failing": 0}));
    // The key of what was not decided is free.
    assert_eq!(send(&server, "bad", "commands", "k1", TOP_UP).status, 200);
    assert_eq!(server.get("/v1/accounts/bad/balance").body["balance"], "5.00");
}

#[test]
fn what_ran_is_shown_one_by_one_and_by_hour() {
    let server = with_a_failure();
    let runs = server.get("/v1/schedule/runs?account=good&duty=charges&limit=2");
    let [last, before] = items(&runs).as_slice() else { panic!("{runs:?}") };
    assert_eq!((&last["due_at"], &last["duty"]), (&json!("2026-02-09T16:00:00Z"), &json!("charges")));
    assert_eq!((&last["account"], &before["due_at"]), (&json!("good"), &json!("2026-02-08T16:00:00Z")));
    let next = runs.body["next"].as_str().unwrap();
    let page = server.get(&format!("/v1/schedule/runs?account=good&duty=charges&limit=2&after={next}"));
    assert_eq!(items(&page)[0]["due_at"], "2026-02-07T16:00:00Z");
    assert_eq!(items(&server.get("/v1/schedule/runs?account=bad&duty=charges")).len(), 0);

    let hours = |more: &str| server.get(&format!("/v1/schedule/hours?duty=charges{more}"));
    let all = hours("&limit=1000");
    let first = items(&all).last().unwrap();
    assert_eq!((&first["hour"], &first["done"]), (&json!("2026-01-01T16:00:00Z"), &json!(1)));
    assert_eq!((&first["failing"], &first["refused"], &first["lines"]), (&json!(1), &json!(1), &json!(1)));
    assert!(first["first_done_at"].is_string() && first["last_done_at"].is_string());
    let some = hours("&from=2026-01-31T16:30:00Z&until=2026-02-01T17:00:00Z");
    let found: Vec<&Value> = items(&some).iter().map(|hour| &hour["hour"]).collect();
    assert_eq!(found, ["2026-02-01T16:00:00Z", "2026-01-31T16:00:00Z"]);
    let month = &items(&some)[1];
    assert_eq!((&month["done"], &month["failing"]), (&json!(1), &json!(0)), "of bad it is not due yet");
    assert_eq!(hours("&from=today").problem(), (422, "mistakes"));
    assert_eq!(server.get("/v1/schedule/due?after=nonsense").problem(), (422, "mistakes"));
    assert_eq!(
        server.get("/v1/schedule").body["runs"],
        items(&server.get("/v1/schedule/runs?limit=1000")).len()
    );
}
