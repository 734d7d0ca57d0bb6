//! What something would come to if it ended now, in the middle of what is counted together.

mod common;

use common::Server;
use serde_json::{Value, json};
use std::path::Path;

/// A server with a price list, and an account that has ordered something of it.
fn with(list: &str, currency: &str, orders: &[Value]) -> Server {
    let server = Server::start(1_000);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs").join(list);
    let published = server.send("POST", "/v1/catalogues", &[], std::fs::read(path).unwrap());
    assert_eq!(published.status, 201, "{}", published.text);
    server.command(
        "acme",
        &json!({"command": "open", "title": "Acme", "currency": currency, "zone": "+08:00"}),
    );
    orders.iter().for_each(|order| drop(server.command("acme", order)));
    server
}

/// Usage at a moment.
fn uses(server: &Server, id: &str, time: &str, kind: &str, data: &Value) {
    let event = json!({"specversion": "1.0", "source": "test", "id": id, "type": kind, "subject": "acme", "time": time,
                       "data": data});
    let got = server.send("POST", "/v1/usage", &[], event.to_string());
    assert_eq!(got.body["accepted"], json!(1), "{}", got.text);
}

#[test]
fn a_preview_in_the_middle_of_a_day_has_what_was_used_until_now() {
    let order = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "calls", "attributes": {"number": "1"}});
    let server = with("huawei-ykf.toml", "CNY", &[order]);
    let call = json!({"number": "1", "direction": "outbound", "seconds": 600});
    server.advance("2026-01-16T12:00:00+08:00");
    uses(&server, "a", "2026-01-16T11:00:00+08:00", "call", &call);
    let upcoming = |to_date: &str| {
        let got = server.get("/v1/accounts/acme/upcoming");
        assert_eq!((got.status, &got.body["to_date"]), (200, &json!(to_date)), "{}", got.text);
        got.body["forecast"].as_str().unwrap().replace('.', "").parse::<u32>().unwrap()
    };
    // Ten minutes in half a month are twenty in all of it.
    let forecast = upcoming("1.00");
    assert!((190..=210).contains(&forecast), "{forecast}");
    let asked = server.get("/v1/answers?question=upcoming+acme");
    assert_eq!(asked.status, 200, "{}", asked.text);
    let quote = json!({"commands": [{"command": "cancel", "subscription": "calls"}]});
    let quote = server.send("POST", "/v1/accounts/acme/quotes", &[], quote.to_string());
    assert_eq!(quote.status, 200, "{}", quote.text);
    assert_eq!(quote.body["forecast_after"], json!("1.00"), "{}", quote.text);
    // What says that it is used later on the same day, too.
    uses(&server, "b", "2026-01-16T13:00:00+08:00", "call", &call);
    upcoming("2.00");
    // Nothing was counted otherwise for having been looked at.
    server.advance("2026-02-02T00:00:00+08:00");
    assert_eq!(server.get("/v1/bills/acme-2026-01").body["total"], json!("2.00"));
}
