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
fn a_preview_in_the_middle_of_an_hour_has_what_was_used_until_now() {
    let order = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "calls", "attributes": {"number": "1"}});
    let server = with("huawei-ykf.toml", "CNY", &[order]);
    let call = json!({"number": "1", "direction": "outbound", "seconds": 600});
    server.advance("2026-01-16T12:30:00+08:00");
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
    // What says that it is used later in the same hour, too.
    uses(&server, "b", "2026-01-16T12:45:00+08:00", "call", &call);
    upcoming("2.00");
    // The question of books looks at the usage itself: what is timed now or later is not used until now.
    uses(&server, "c", "2026-01-16T12:30:00+08:00", "call", &call);
    let asked = server.get("/v1/answers?question=upcoming+acme");
    let total = asked.text.lines().find(|line| line.contains("Total")).unwrap_or_default();
    assert_eq!(total.split_whitespace().nth(1), Some("1.00"), "{}", asked.text);
    // Nothing was counted otherwise for having been looked at.
    server.advance("2026-02-02T00:00:00+08:00");
    assert_eq!(server.get("/v1/bills/acme-2026-01").body["total"], json!("3.00"));
}

#[test]
fn a_forecast_goes_on_to_a_freeze_at_any_second() {
    let orders = [
        json!({"command": "tier", "tier": "V3"}),
        json!({"command": "topup", "amount": "5"}),
        json!({"command": "subscribe", "plan": "passport-ocr", "name": "calls"}),
    ];
    let server = with("huawei-ocr.toml", "USD", &orders);
    // Its tier has a day of grace.
    server.advance("2026-01-10T12:00:00+08:00");
    for id in 0..50 {
        let call = json!({"api": "passport", "status": 200});
        uses(&server, &id.to_string(), "2026-01-10T11:00:00+08:00", "ocr-call", &call);
    }
    server.advance("2026-01-16T00:30:15+08:00");
    // 50 calls for 1.00 in 1,297,815 seconds; in the 1,380,585 that are left 53.19 more.
    let upcoming = server.get("/v1/accounts/acme/upcoming");
    assert_eq!((upcoming.status, &upcoming.body["forecast"]), (200, &json!("2.06")), "{}", upcoming.text);
    // In 86,400 of them 3.33 more, for 0.07: what is owed for the charge freezes the calls then.
    let charge = json!({"command": "charge", "amount": "9", "title": "Support"});
    let quote = json!({"commands": [charge]});
    let quote = server.send("POST", "/v1/accounts/acme/quotes", &[], quote.to_string());
    assert_eq!(quote.status, 200, "{}", quote.text);
    assert_eq!(quote.body["forecast_before"], json!("2.06"), "{}", quote.text);
    assert_eq!(quote.body["forecast_after"], json!("10.07"), "{}", quote.text);
    server.command("acme", &charge);
    for (time, forecast) in [("2026-01-16T00:30:15", "10.07"), ("2026-01-18T00:30:15", "10.00")] {
        server.advance(&format!("{time}+08:00"));
        let upcoming = server.get("/v1/accounts/acme/upcoming");
        assert_eq!(
            (upcoming.status, &upcoming.body["forecast"]),
            (200, &json!(forecast)),
            "{}",
            upcoming.text
        );
    }
    // A command is followed by what it makes due, in a quote too: who pays what is owed is frozen no longer.
    let order = json!({"command": "subscribe", "plan": "passport-ocr", "name": "more"});
    let quote = |commands: Value| {
        let body = json!({"commands": commands}).to_string();
        server.send("POST", "/v1/accounts/acme/quotes", &[], body)
    };
    assert_eq!(quote(json!([order])).problem(), (402, "frozen"));
    let pays = json!({"command": "topup", "amount": "20"});
    let quote = quote(json!([pays, order]));
    assert_eq!(quote.status, 200, "{}", quote.text);
    server.command("acme", &pays);
    server.command("acme", &order);
    let balance = server.get("/v1/accounts/acme/balance").body["balance"].clone();
    assert_eq!(quote.body["balance_after"], balance, "{}", quote.text);
}

#[test]
fn what_is_wrong_in_a_quote_has_its_place() {
    let server = with("huawei-ykf.toml", "CNY", &[]);
    let quote = |commands: Value| {
        let body = json!({"commands": commands}).to_string();
        server.send("POST", "/v1/accounts/acme/quotes", &[], body)
    };
    let good = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 1, "name": "seats"});
    let got = quote(
        json!([good, {"command": "subscribe", "plan": "basic-seat", "quantity": "x", "nam": "y"}, {"command": "dance"}, 5]),
    );
    assert_eq!(got.problem(), (422, "mistakes"), "{}", got.text);
    let fields: Vec<&str> =
        got.body["mistakes"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        ["/commands/1/nam", "/commands/1/quantity", "/commands/2/command", "/commands/3"],
        "{}",
        got.text
    );
    // What concerns several fields of one has its place, too.
    let got = quote(json!([good, {"command": "topup", "amount": "5", "effective": "2026-01-01T00:00:00Z"}]));
    assert_eq!(
        (got.status, &got.body["mistakes"][0]["field"]),
        (422, &json!("/commands/1/effective")),
        "{}",
        got.text
    );
    for (commands, found) in [(json!([]), "0 commands"), (json!(vec![good.clone(); 51]), "51 commands")] {
        let got = quote(commands);
        assert_eq!(got.body["detail"], json!(format!("/commands: {found}; expected 1 to 50 commands")));
    }
    let got = quote(json!([good, good]));
    assert_eq!(got.problem(), (409, "subscription-exists"), "{}", got.text);
    assert_eq!(got.body["field"], json!("/commands/1"));
}

#[test]
fn a_plan_that_no_price_list_has_is_answered_with_the_one_that_was_meant() {
    let server = with("huawei-ykf.toml", "CNY", &[]);
    let order = json!({"command": "subscribe", "plan": "basc-seat", "quantity": 1});
    let quote = json!({"commands": [order]}).to_string();
    for (path, body) in [("commands", order.to_string()), ("quotes", quote)] {
        let got = server.send("POST", &format!("/v1/accounts/acme/{path}"), &[], body);
        assert_eq!(got.problem(), (422, "unknown-plan"), "{}", got.text);
        assert!(
            got.body["detail"].as_str().unwrap().ends_with("; did you mean \"basic-seat\"?"),
            "{}",
            got.text
        );
    }
}

#[test]
fn what_was_cancelled_is_released_since_then() {
    let order = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "calls", "attributes": {"number": "1"}});
    let server = with("huawei-ykf.toml", "CNY", &[order]);
    server.advance("2026-01-16T12:00:00+08:00");
    let since = || server.get("/v1/accounts/acme/lifecycle").body["subscriptions"][0].clone();
    assert_eq!((&since()["state"], &since()["since"]), (&json!("active"), &Value::Null));
    server.command("acme", &json!({"command": "cancel", "subscription": "calls"}));
    assert_eq!((&since()["state"], &since()["since"]), (&json!("released"), &json!("2026-01-16T04:00:00Z")));
}
