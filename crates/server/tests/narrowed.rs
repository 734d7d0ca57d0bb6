//! Lists that are narrowed, added up and paged; and what is done once for a key.

mod common;

use common::{Got, Server};
use serde_json::{Value, json};
use std::path::Path;

fn list() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs/huawei-ykf.toml");
    std::fs::read_to_string(path).unwrap()
}

fn items(server: &Server, path: &str) -> Vec<Value> {
    let got = server.get(path);
    assert_eq!(got.status, 200, "{path}: {}", got.text);
    got.body["items"].as_array().unwrap().clone()
}

#[test]
fn the_audit_trail_is_narrowed_by_who_when_what_and_whom() {
    let server = Server::with_accounts(100_000);
    let operator = server.get("/v1/me").body["id"].as_str().unwrap().to_owned();
    let (finance, token) = server.key("finance", None);
    let topup = json!({"command": "topup", "amount": "5"}).to_string();
    assert_eq!(server.ask_as(&token, "POST", "/v1/accounts/acme/commands", topup).status, 200);
    let all = items(&server, "/v1/accounts/acme/audit?limit=1000");
    let of = |query: &str| items(&server, &format!("/v1/accounts/acme/audit?limit=1000&{query}"));
    let by_finance = of(&format!("actor={finance}"));
    assert_eq!((by_finance.len(), &by_finance[0]), (1, all.last().unwrap()));
    assert_eq!(of("command=topup"), by_finance);
    assert_eq!(of("command=subscribe").len(), 2, "acme's and its member's");
    assert_eq!(of("command=subscribe&about=acme-hk").len(), 1);
    assert!(of("actor=clock").iter().all(|one| one["actor"] == "clock"));
    let late = of("from=2026-02-09T00:00:00Z");
    assert!(!late.is_empty() && late.len() < all.len() && late.contains(&by_finance[0]), "{late:?}");
    assert_eq!(of("to=2026-02-09T00:00:00Z").len() + late.len(), all.len());
    // Page by page it is the same, narrowed too.
    let own = of(&format!("actor={operator}"));
    assert!(own.len() > 2);
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/accounts/acme/audit?actor={operator}&limit=1{after}")).body;
        paged.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, own);
    // What is about no account has a trail of its own.
    let void = json!({"source": "pbx", "id": "c1"}).to_string();
    assert_eq!(server.send("POST", "/v1/usage/void", &[], void).status, 200);
    assert_eq!(server.send("DELETE", &format!("/v1/keys/{finance}"), &[], "").status, 200);
    let deeds = items(&server, "/v1/audit");
    let words: Vec<Value> = deeds
        .iter()
        .map(|one| {
            serde_json::from_str::<Value>(one["command"].as_str().unwrap()).unwrap()["command"].clone()
        })
        .collect();
    assert_eq!(words, ["make-key", "publish-catalogue", "make-key", "void-usage", "revoke-key"]);
    // The first key is the server's own deed.
    assert_eq!(deeds[0]["actor"], "serve");
    assert!(deeds[0]["command"].as_str().unwrap().contains(&format!("\"{operator}\"")), "{deeds:?}");
    assert!(deeds[1..].iter().all(|one| one["actor"] == json!(operator)), "{deeds:?}");
    assert_eq!(items(&server, "/v1/audit?command=make-key"), [&deeds[0], &deeds[2]].map(Clone::clone));
    assert!(!deeds[2].to_string().contains(token.rsplit('_').next().unwrap()), "no secret is in it");
    assert_eq!(server.get("/v1/accounts/*").status, 404, "its group is no account");
    assert_eq!(items(&server, "/v1/accounts").len(), 3);
}

#[test]
fn usage_is_added_up_by_hours_days_and_months() {
    let server = Server::with_accounts(100_000);
    let line = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "line", "attributes": {"number": "4001"}});
    server.command("zeta", &line);
    server.advance("2026-03-12T00:00:00+08:00");
    let call = |id: &str, time: &str, seconds: u32, project: &str| {
        json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": "zeta", "time": time,
               "data": {"number": "4001", "direction": "outbound", "seconds": seconds, "project": project}})
    };
    let calls = json!([
        call("a", "2026-02-11T02:00:00Z", 61, "shop"),
        call("b", "2026-02-11T15:30:00Z", 59, "shop"),
        call("c", "2026-02-11T16:30:00Z", 60, "shop"),
        call("d", "2026-02-12T02:00:00Z", 60, "desk"),
        call("e", "2026-03-01T02:00:00Z", 300, "shop"),
    ]);
    assert_eq!(server.send("POST", "/v1/usage", &[], calls.to_string()).body["accepted"], json!(5));
    let used = |query: &str| -> Vec<(String, String, String)> {
        let all = items(&server, &format!("/v1/accounts/zeta/usage?{query}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.iter()
            .map(|one| (text(&one["period"]["start"]), text(&one["project"]), text(&one["quantity"])))
            .collect()
    };
    let row = |start: &str, project: &str, quantity: &str| {
        (start.to_owned(), project.to_owned(), quantity.to_owned())
    };
    let days = [
        row("2026-02-10T16:00:00Z", "shop", "3"),
        row("2026-02-11T16:00:00Z", "desk", "1"),
        row("2026-02-11T16:00:00Z", "shop", "1"),
    ];
    assert_eq!(used("month=2026-02&by=day"), days, "by the wall clock of the account");
    // They are settled by the day, and counted by the hour.
    let hours = [
        row("2026-02-11T02:00:00Z", "shop", "2"),
        row("2026-02-11T15:00:00Z", "shop", "1"),
        row("2026-02-11T16:00:00Z", "shop", "1"),
        row("2026-02-12T02:00:00Z", "desk", "1"),
    ];
    assert_eq!(used("month=2026-02&by=hour"), hours);
    assert_eq!(used("from=2026-02-11T15:00:00Z&to=2026-02-11T17:00:00Z&by=hour"), hours[1..3]);
    let february = [row("2026-01-31T16:00:00Z", "desk", "1"), row("2026-01-31T16:00:00Z", "shop", "4")];
    assert_eq!(used("month=2026-02&by=month"), february);
    let some = used("from=2026-02-11T00:00:00Z&to=2026-02-12T00:00:00Z&by=month");
    assert_eq!(some, [row("2026-01-31T16:00:00Z", "shop", "4")]);
    assert_eq!(used("from=2026-02-11T00:00:00Z&to=2026-02-11T16:00:00Z"), hours[..2]);
    assert_eq!(used("from=2026-02-01T00:00:00Z&by=month&project=shop").len(), 2, "two months");
    assert_eq!(used("by=day"), [row("2026-02-28T16:00:00Z", "shop", "5")], "the running month");
}

const DOORS: &str = r#"
[catalogue]
id = "doors"
version = "1"
title = "Doors"
zone = "+08:00"
currency = "CNY"
source = "Invented for this test."

[meters.openings]
event = "opening"
unit = "opening"

[products.doors]
title = "Doors"

[products.doors.plans.door]
title = "Door"
unit = "door"
modes = ["pay-per-use"]
charges = [{ id = "openings", title = "Openings", meter = "openings", settle = "month", price = "0.10" }]
"#;

#[test]
fn what_is_counted_by_the_day_is_shown_for_each_of_its_hours() {
    let server = Server::with_accounts(100_000);
    assert_eq!(server.send("POST", "/v1/catalogues", &[], DOORS).status, 201);
    server.command("zeta", &json!({"command": "subscribe", "plan": "door", "name": "door"}));
    server.advance("2026-02-12T00:00:00+08:00");
    let opening = |id: &str, time: &str| json!({"specversion": "1.0", "source": "door", "id": id, "type": "opening", "subject": "zeta", "time": time});
    let openings = json!([opening("a", "2026-02-10T02:30:00Z"), opening("b", "2026-02-10T04:30:00Z")]);
    assert_eq!(server.send("POST", "/v1/usage", &[], openings.to_string()).body["accepted"], json!(2));
    let used = |query: &str| items(&server, &format!("/v1/accounts/zeta/usage?meter=openings&{query}"));
    let day = json!({"start": "2026-02-09T16:00:00Z", "end": "2026-02-10T16:00:00Z"});
    for query in
        ["month=2026-02&by=hour", "from=2026-02-10T04:00:00Z&to=2026-02-10T05:00:00Z&by=hour", "by=day"]
    {
        let found = used(query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert_eq!((&found[0]["period"], &found[0]["quantity"]), (&day, &json!("2")), "{query}");
    }
    assert_eq!(used("from=2026-02-10T04:00:00Z&to=2026-02-10T05:00:00Z&by=day"), Vec::<Value>::new());
}

#[test]
fn a_statement_has_a_running_balance_over_any_time_page_by_page() {
    let server = Server::with_accounts(100_000);
    for amount in ["10", "20", "30"] {
        server.command("zeta", &json!({"command": "topup", "amount": amount}));
        let at = server.get("/v1/clock").body["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        server.advance(&(at + jiff::SignedDuration::from_hours(24)).to_string());
    }
    let path = "/v1/accounts/zeta/statement";
    let all = server.get(path).body;
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}?limit=1{after}")).body;
        assert_eq!(
            (&page["closing"], &page["came_in"]),
            (&all["closing"], &json!("60.00")),
            "the sums are of all"
        );
        rows.extend(page["rows"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::from(rows), all["rows"]);
    assert_eq!(server.get(&format!("{path}?after=x")).problem(), (422, "mistakes"));
    let some = server.get(&format!("{path}?from=2026-02-10T10:00:00Z&to=2026-02-11T10:00:00Z")).body;
    let balance = |row: usize| all["rows"][row]["balance"].clone();
    let count = some["rows"].as_array().unwrap().len();
    assert_eq!((count, &some["came_in"]), (2, &json!("20.00")), "it came in, and paid what was owed: {some}");
    assert_eq!((&some["opening"], &some["closing"]), (&balance(1), &balance(3)));
}

#[test]
fn bills_are_narrowed_by_where_they_stand() {
    let server = Server::with_accounts(100_000);
    server.command("acme", &json!({"command": "hold-bill", "month": "2026-02", "reason": "a dispute"}));
    server.advance("2026-03-02T00:00:00+08:00");
    let ids = |query: &str| -> Vec<Value> {
        items(&server, &format!("/v1/accounts/acme/bills?{query}"))
            .iter()
            .map(|one| one["id"].clone())
            .collect()
    };
    assert_eq!(ids("state=issued"), ["acme-2026-01"]);
    assert_eq!(
        (ids("state=held"), ids("state=draft")),
        (vec![json!("acme-2026-02")], vec![json!("acme-2026-02")])
    );
    let held = server.get("/v1/bills/acme-2026-02").body;
    assert_eq!((&held["held"]["reason"], &held["issued_at"]), (&json!("a dispute"), &Value::Null));
    server.command("acme", &json!({"command": "release-bill", "month": "2026-02"}));
    server.command(
        "acme",
        &json!({"command": "due-date", "month": "2026-02", "until": "2026-03-20T00:00:00Z"}),
    );
    let issued = server.get("/v1/bills/acme-2026-02").body;
    assert_eq!((&issued["held"], &issued["issued_at"]), (&Value::Null, &json!("2026-03-01T16:00:00Z")));
    assert_eq!(issued["due_at"], json!("2026-03-20T00:00:00Z"));
    let orders = |plan: &str| items(&server, &format!("/v1/accounts/acme/subscriptions?plan={plan}")).len();
    assert_eq!((orders("basic-seat"), orders("other")), (1, 0));
}

#[test]
fn what_changes_something_is_done_once_for_a_key() {
    let server = Server::start(100_000);
    let publish = |key: &str, text: &str| -> Got {
        server.send("POST", "/v1/catalogues", &[("idempotency-key", key)], text.to_owned())
    };
    let first = publish("one", &list());
    assert_eq!(first.status, 201, "{}", first.text);
    let again = publish("one", &list());
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(publish("two", &list()).problem(), (409, "catalogue-exists"));
    assert_eq!(publish("one", "[catalogue]").problem(), (422, "mistakes"), "it is read first");
    let other = list().replace("id = \"huawei-ykf\"", "id = \"other\"");
    assert_eq!(publish("one", &other).problem(), (422, "idempotency-key-reused"));
    assert_eq!(items(&server, "/v1/audit?command=publish-catalogue").len(), 1);
    // Another's key is another one.
    let (_, token) = server.key("operator", None);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    assert_eq!(server.ask("POST", "/v1/catalogues", &headers, other).status, 201);
}

/// R-CHG-2: what was used keeps the price of then.
#[test]
fn a_version_of_a_price_list_holds_from_now_on() {
    let server = Server::start(100_000);
    let publish = |text: &str| server.send("POST", "/v1/catalogues", &[], text.to_owned());
    let of = |effective: &str| {
        list().replacen("version = ", &format!("effective = \"{effective}\"\nversion = "), 1)
    };
    // The test clock stands at the beginning of 2026 in UTC, and has been there since ever.
    assert_eq!(publish(&of("2025-06-01")).status, 201, "the first may be in force already");
    assert_eq!(publish(&of("2025-12-01")).problem(), (409, "catalogue-backdated"));
    assert_eq!(publish(&of("2025-01-01")).problem(), (409, "catalogue-backdated"));
    assert_eq!(publish(&list()).problem(), (409, "catalogue-backdated"), "since ever");
    assert_eq!(publish(&of("2026-02-01")).status, 201);
    assert_eq!(items(&server, "/v1/catalogues").len(), 2, "nothing of what was refused is there");
    // Tried again, whatever the time is, it is what it was; under its date there is nothing else.
    server.advance("2026-03-01T00:00:00Z");
    for date in ["2025-06-01", "2026-02-01"] {
        assert_eq!(publish(&of(date)).problem(), (409, "catalogue-exists"));
        let other = of(date).replacen("title = ", "# Another text.\ntitle = ", 1);
        assert_eq!(publish(&other).problem(), (409, "catalogue-date-taken"));
    }
    assert_eq!(publish(&of("2026-02-15")).problem(), (409, "catalogue-backdated"));
    // What a charge has come to is found again under its name: it settles as it did.
    let refused = publish(&of("2026-04-01").replacen("settle = \"month\"", "settle = \"day\"", 1));
    assert_eq!(refused.problem(), (409, "catalogue-other-cycles"));
    assert!(refused.text.contains("settle = \\\"day\\\""), "{}", refused.text);
    assert_eq!(publish(&of("2026-04-01")).status, 201);
}

#[test]
fn a_price_list_with_a_large_rate_deck_is_checked_compared_and_published() {
    let server = Server::start(100_000);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/metering/switchboard.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, after) = text.split_once("rows = [").unwrap();
    let rows = |price: &str| -> String {
        let row = |prefix: u32| {
            format!("    {{ prefix = \"9{prefix:05}\", title = \"Line {prefix}\", price = \"{price}\" }},\n")
        };
        (0..30_000).map(row).collect()
    };
    let large = format!("{before}rows = [\n{}{after}", rows("0.30"));
    assert!(large.len() > 1 << 20);
    let send = |path: &str, text: &str| server.send("POST", path, &[], text.to_owned());
    assert_eq!(send("/v1/catalogues/check", &large).status, 200);
    assert_eq!(send("/v1/catalogues", &large).status, 201);
    let id = items(&server, "/v1/catalogues")[0]["id"].as_str().unwrap().to_owned();
    let shown = server.get(&format!("/v1/catalogues/{id}")).body;
    assert_eq!(shown["text"], json!(large));
    assert!(shown["shown"].as_str().unwrap().contains("Line 29999"));
    // One price of them.
    let dearer = large.replacen("\"Line 7\", price = \"0.30\"", "\"Line 7\", price = \"0.31\"", 1);
    let diff = send("/v1/catalogues/diff", &dearer).body;
    let lines: Vec<&Value> = diff["changes"].as_array().unwrap().iter().map(|one| &one["line"]).collect();
    let of_line: Vec<&str> =
        lines.iter().filter_map(|line| line.as_str()).filter(|line| line.contains("Line 7")).collect();
    assert_eq!((lines.len(), of_line.len()), (4, 2), "and the hash of the text: {lines:?}");
    assert!(of_line[0].contains("0.30") && of_line[1].contains("0.31"), "{of_line:?}");
}
