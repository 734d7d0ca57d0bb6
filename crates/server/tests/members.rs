//! A member's key sees the member alone: a refusal tells it nothing of what its master has and owes.

mod common;

use common::{Got, Server};
use serde_json::{Value, json};

const COMMANDS: &str = "/v1/accounts/acme-hk/commands";
const QUOTES: &str = "/v1/accounts/acme-hk/quotes";

fn order(quantity: u32) -> Value {
    json!({"command": "subscribe", "plan": "standard-phone", "quantity": quantity, "mode": "prepaid", "months": 12,
           "attributes": {"specification": "2C4G"}})
}

/// Asks as whoever has the token, with an Idempotency-Key.
fn wish(server: &Server, token: &str, key: &str, body: &Value) -> Got {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    server.ask("POST", COMMANDS, &headers, body.to_string())
}

fn detail(got: &Got) -> &str {
    got.body["detail"].as_str().unwrap()
}

#[test]
fn what_does_not_fit_in_the_headroom_does_not_tell_it() {
    let server = Server::with_accounts(1_000);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogs/huawei-koophone.toml");
    let published = server.send("POST", "/v1/catalogues", &[], std::fs::read(path).unwrap());
    assert_eq!(published.status, 201, "{}", published.text);
    server.command("acme", &json!({"command": "topup", "amount": "23456.07"}));
    server.command("acme", &json!({"command": "credit-limit", "amount": "12345.67"}));
    let (member, master) =
        (server.key("customer", Some("acme-hk")).1, server.key("customer", Some("acme")).1);
    let refused = server.ask_as(&member, "POST", COMMANDS, order(500).to_string());
    assert_eq!(refused.problem(), (402, "over-credit-limit"));
    let told = detail(&refused).to_owned();
    assert!(
        told.starts_with("this costs ") && told.ends_with(" CNY, more than who pays can spend now"),
        "{told}"
    );
    assert!(!refused.text.contains("12345.67") && !refused.text.contains("headroom"), "{}", refused.text);
    let whole = server.ask_as(&master, "POST", COMMANDS, order(500).to_string());
    assert!(detail(&whole).contains("the credit limit is 12345.67 CNY"), "{}", whole.text);

    let quote = json!({"commands": [order(500)]}).to_string();
    let quoted = server.ask_as(&member, "POST", QUOTES, quote.clone());
    assert_eq!((quoted.problem(), detail(&quoted)), ((402, "over-credit-limit"), told.as_str()));
    assert_eq!(detail(&server.ask_as(&master, "POST", QUOTES, quote)), detail(&whole));

    // What was kept tells each what it may know, whoever asked first.
    for (key, first) in [("one", &member), ("two", &server.token), ("three", &master)] {
        wish(&server, first, key, &order(500));
        assert_eq!(detail(&wish(&server, &member, key, &order(500))), told, "{key}");
        for token in [&master, &server.token] {
            assert_eq!(detail(&wish(&server, token, key, &order(500))), detail(&whole), "{key}");
        }
    }
    assert_eq!(wish(&server, &member, "one", &order(501)).problem(), (422, "idempotency-key-reused"));
}

#[test]
fn what_arrears_forbid_does_not_tell_what_is_owed() {
    let server = Server::start(1_000);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/lifecycle/lines.toml");
    let published = server.send("POST", "/v1/catalogues", &[], std::fs::read(path).unwrap());
    assert_eq!(published.status, 201, "{}", published.text);
    let open = json!({"command": "open", "currency": "USD", "zone": "+08:00", "tier": "international"});
    server.command("acme", &open);
    let member = json!({"command": "open", "currency": "USD", "zone": "+08:00", "member_of": "acme"});
    server.command("acme-hk", &member);
    server.command("acme", &json!({"command": "topup", "amount": "1"}));
    server
        .command("acme-hk", &json!({"command": "subscribe", "plan": "line", "quantity": 2, "name": "line"}));
    let (member, master) =
        (server.key("customer", Some("acme-hk")).1, server.key("customer", Some("acme")).1);
    for (at, code, command) in [
        ("2026-01-05", "only-part-in-grace", json!({"command": "subscribe", "plan": "line", "quantity": 1})),
        (
            "2026-01-05",
            "only-part-in-grace",
            json!({"command": "add", "subscription": "line", "quantity": 1}),
        ),
        ("2026-01-25", "frozen", json!({"command": "remove", "subscription": "line", "quantity": 1})),
        ("2026-01-25", "frozen", json!({"command": "subscribe", "plan": "line", "quantity": 1})),
    ] {
        server.advance(&format!("{at}T12:00:00+08:00"));
        let quote = json!({ "commands": [command] }).to_string();
        let quoted = server.ask_as(&member, "POST", QUOTES, quote.clone());
        let whole = server.ask_as(&master, "POST", QUOTES, quote);
        assert_eq!((quoted.problem(), whole.problem()), ((402, code), (402, code)), "{}", quoted.text);
        assert!(detail(&whole).contains("acme owes "), "{}", whole.text);
        let refused = server.ask_as(&member, "POST", COMMANDS, command.to_string());
        assert_eq!((refused.problem(), detail(&refused)), ((402, code), detail(&quoted)));
        assert!(!refused.text.contains("USD") && !refused.text.contains("owes"), "{}", refused.text);
    }
    // Who runs sessions hears whether one may begin, and reads nothing of accounts.
    let integrator = server.key("integrator", None).1;
    let hold = json!({"command": "hold", "id": "c1", "source": "pbx", "type": "call", "units": "60", "for_seconds": 60});
    for path in [COMMANDS, "/v1/accounts/acme/commands"] {
        let refused = server.ask_as(&integrator, "POST", path, hold.to_string());
        assert!(refused.status == 402 || refused.status == 409, "{}", refused.text);
        assert!(!refused.text.contains("USD") && !refused.text.contains("owes"), "{}", refused.text);
    }
}
