//! What an erased member was charged stays as it is, whatever is worked out anew for those it shared packages with.

use crate::common::farebox;
use crate::erase::{erase, send, wait_until_erased};
use crate::server::Server;
use serde_json::json;

const LIST: &str = r#"
[catalogue]
id = "tele"
version = "1"
title = "Telephony"
zone = "UTC"
currency = "EUR"

[policy]
renewal = "end-to-end"

[meters.talk]
event = "call"
aggregate = "sum"
of = "seconds"
unit = "minute"
unit-size = 60

[products.phone]
title = "Telephone"

[products.phone.plans.line]
title = "Line"
unit = "line"
modes = ["pay-per-use"]

[[products.phone.plans.line.charges]]
id = "calls"
title = "Calls"
meter = "talk"
settle = "day"
price = "0.10"

[products.phone.plans.pack]
title = "Package"
modes = ["prepaid"]
terms-months = [12]

[[products.phone.plans.pack.grants]]
id = "minutes"
title = "Minutes"
meter = "talk"
units = 30
resets = "month"

[[products.phone.plans.pack.charges]]
id = "term"
term = true
price = "2.00"
"#;

/// The bill of March of a group of three that share 30 minutes a month, of whom each talked ten minutes on three days of
/// February; `member` may be erased in March, before the call of whoever pays on the first of those days is void.
fn march(is_erased: bool, is_restarted: bool) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2026-01-01T00:00:00Z");
    let (status, answer) = server.post("/v1/catalogues", &[], LIST);
    assert_eq!(status, 201, "{answer}");
    let open = json!({"command": "open", "title": "Some", "currency": "EUR", "zone": "UTC"});
    send(&server, "acme", open.clone());
    for name in ["member", "other"] {
        let mut open = open.clone();
        open["member_of"] = json!("acme");
        send(&server, name, open);
    }
    send(&server, "acme", json!({"command": "topup", "amount": "100.00"}));
    let pack = json!({"command": "subscribe", "plan": "pack", "name": "pack", "months": 12});
    send(&server, "acme", pack);
    send(
        &server,
        "acme",
        json!({"command": "share", "subscription": "pack", "members": ["member", "other"]}),
    );
    let names = ["member", "acme", "other"];
    for name in names {
        send(&server, name, json!({"command": "subscribe", "plan": "line", "name": "line"}));
    }
    server.advance("2026-02-05T00:00:00Z");
    for (day, name) in (2..=4).flat_map(|day| names.map(|name| (day, name))) {
        let event = json!({"specversion": "1.0", "source": "pbx", "id": format!("{name}-{day}"), "type": "call",
                           "subject": name, "time": format!("2026-02-{day:02}T10:00:00Z"), "data": {"seconds": 600}});
        let (status, answer) = server.post("/v1/usage", &[], event.to_string());
        assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
    }
    server.advance("2026-02-20T00:00:00Z");
    send(&server, "member", json!({"command": "cancel", "subscription": "line"}));
    server.advance("2026-03-05T00:00:00Z");
    if is_erased {
        assert_eq!(erase(&server, "member").0, 200);
        wait_until_erased(&server, "member");
    }
    let server = match is_restarted {
        true => {
            server.kill();
            Server::start_at(folder.path(), "2026-01-01T00:00:00Z")
        }
        false => server,
    };
    let void = json!({"source": "pbx", "id": "acme-2"}).to_string();
    assert_eq!(server.post("/v1/usage/void", &[], void).0, 200);
    server.advance("2026-04-02T00:00:00Z");
    let (status, bill) = server.get("/v1/bills/acme-2026-03");
    assert_eq!(status, 200, "{bill}");
    let lines = bill["lines"].as_array().unwrap().iter();
    let said = lines.map(|line| format!("{} {} {}", line["account"], line["description"], line["amount"]));
    let said = said.chain([format!("total {}", bill["total"])]).collect();
    server.stop();
    let verified = farebox(&["verify", "--data", folder.path().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    said
}

#[test]
fn units_that_come_back_to_a_package_leave_what_an_erased_member_was_charged() {
    let expected = march(false, false);
    // Ten of the minutes of 2 February are free again: they are for the first call that was charged, which is acme's.
    assert_eq!(expected.last().unwrap(), "total \"-1.00\"", "{expected:#?}");
    for is_restarted in [false, true] {
        assert_eq!(march(true, is_restarted), expected);
    }
}
