//! What is read of accounts: every answer is as the OpenAPI document describes it, and says what happened.

mod common;

use common::{Got, Server};
use farebox_server::{document, routes};
use serde_json::{Value, json};
use std::path::Path;

/// What of a value is not as its schema says, with its path.
fn wrong(document: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(to) = schema["$ref"].as_str() {
        let schema = document.pointer(to.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("no {to}"));
        return wrong(document, schema, value, path, found);
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let fits = |schema: &Value| {
            let mut found = Vec::new();
            wrong(document, schema, value, path, &mut found);
            found.is_empty()
        };
        if !all.iter().any(fits) {
            found.push(format!("{path}: {value} is none of {}", all.len()));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(all) => all.contains(&Value::from(kind)),
        _ => true,
    };
    if !fits {
        found.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        found.push(format!("{path}: {value} is none of {words:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        wrong(document, &schema["items"], item, &format!("{path}/{index}"), found);
    }
    let Some(object) = value.as_object() else { return };
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    for (name, value) in object {
        match (properties.get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => wrong(document, schema, value, &format!("{path}/{name}"), found),
            (None, schema @ Value::Object(_)) => {
                wrong(document, schema, value, &format!("{path}/{name}"), found)
            }
            (None, _) => found.push(format!("{path}/{name} is not described")),
        }
    }
    let left_out = properties.keys().filter(|name| !object.contains_key(*name));
    found.extend(left_out.map(|name| format!("{path}/{name} is not there")));
}

/// Asserts that an answer is one that the document describes.
fn is_described(document: &Value, method: &str, path: &str, got: &Got) {
    let content =
        &document["paths"][path][method.to_lowercase()]["responses"][got.status.to_string()]["content"];
    let schema = &content
        .as_object()
        .unwrap_or_else(|| panic!("{method} {path}: {}", got.status))
        .values()
        .next()
        .unwrap()["schema"];
    let mut found = Vec::new();
    wrong(document, schema, &got.body, "", &mut found);
    assert!(found.is_empty(), "{method} {path}: {found:#?}");
}

/// A server with an account that has something of everything.
fn furnished() -> Server {
    let server = Server::start(1_000);
    let catalogues = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs");
    for name in ["tencent-ccc.toml", "huawei-koophone.toml"] {
        let published =
            server.send("POST", "/v1/catalogues", &[], std::fs::read(catalogues.join(name)).unwrap());
        assert_eq!(published.status, 201, "{}", published.text);
    }
    server.advance("2026-01-05T10:00:00+08:00");
    let open = |title: &str| json!({"command": "open", "title": title, "currency": "USD", "zone": "+08:00"});
    server.command("acme", &open("Acme Ltd"));
    let mut member = open("Acme Hong Kong");
    member["member_of"] = json!("acme");
    server.command("acme-hk", &member);
    let of_shop = json!({"application": "shop", "project": "launch"});
    for command in [
        json!({"command": "topup", "amount": "20000"}),
        json!({"command": "coupon", "id": "welcome", "amount": "50", "until": "2027-01-01T00:00:00+08:00"}),
        json!({"command": "budget", "name": "all", "amount": "1000", "alerts": [80]}),
        json!({"command": "discount", "percent": "10", "plan": "minutes-add-on"}),
        json!({"command": "subscribe", "plan": "call-package", "name": "package", "mode": "prepaid", "months": 12,
               "auto_renew": true, "attributes": of_shop}),
        json!({"command": "subscribe", "plan": "minutes-add-on", "name": "more", "quantity": 5000, "months": 12}),
        json!({"command": "subscribe", "plan": "standard-package", "name": "desk", "mode": "prepaid", "months": 1,
               "attributes": of_shop}),
        json!({"command": "charge", "amount": "12.50", "title": "A cable"}),
        json!({"command": "licence", "application": "shop", "holder": "ann@example.com", "way": "web", "change": "on"}),
    ] {
        server.command("acme", &command);
    }
    // At the very moment of the order.
    let hold = json!({"command": "hold", "id": "call-1", "source": "pbx", "type": "call", "units": "600", "for_seconds": 3600,
               "attributes": {"application": "shop"}});
    server.command("acme", &hold);
    server.advance("2026-02-10T00:00:00+08:00");
    let call = |id: &str, seconds: u32| {
        json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": "acme",
               "time": "2026-02-09T10:00:00+08:00",
               "data": {"application": "shop", "project": "launch", "seconds": seconds}})
    };
    let got = server.send("POST", "/v1/usage", &[], json!([call("c1", 125), call("c2", 60)]).to_string());
    assert_eq!(got.body["accepted"], json!(2), "{}", got.text);
    let mut strange = call("c3", 5);
    strange["subject"] = json!("nobody");
    let got = server.send("POST", "/v1/usage", &[], json!([strange, strange]).to_string());
    assert_eq!((&got.body["quarantined"], &got.body["duplicates"]), (&json!(1), &json!(1)), "{}", got.text);
    // No package is for this application.
    let mut elsewhere = call("c4", 5);
    elsewhere["time"] = json!("2026-01-04T10:00:00+08:00");
    let got = server.send("POST", "/v1/usage", &[], elsewhere.to_string());
    assert_eq!(got.body["accepted"], json!(1), "{}", got.text);
    server
}

#[test]
fn open_holds_are_measured() {
    let server = furnished();
    let open = || {
        let page = server.get("/metrics").text;
        let line = page.lines().find_map(|line| line.strip_prefix("farebox_holds_open "));
        line.unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(open(), 0, "the first has expired");
    for (id, holds) in [("call-2", 1), ("call-3", 2)] {
        server.command(
            "acme",
            &json!({"command": "hold", "id": id, "source": "pbx", "type": "call", "units": "60", "for_seconds": 60,
                    "attributes": {"application": "shop"}}),
        );
        assert_eq!(open(), holds);
    }
    server.command("acme", &json!({"command": "release", "id": "call-2", "used": "0"}));
    assert_eq!(open(), 1);
    server.advance("2026-02-10T00:02:00+08:00");
    assert_eq!(open(), 0);
}

#[test]
fn every_answer_is_as_it_is_described() {
    let server = furnished();
    server.dear("bad", "900000000000001", "2026-02-10T00:00:00+08:00");
    server.advance("2026-02-11T00:00:00+08:00");
    let document = document();
    let (key, _) = server.key("support", None);
    let mut lists = Vec::new();
    for route in routes().into_iter().filter(|route| route.method == "GET") {
        let mut path = route.path.to_owned();
        for (name, value) in [
            ("{account}", "acme"),
            ("{bill}", "acme-2026-01"),
            ("{line}", "acme-2026-01-1"),
            ("{subscription}", "package"),
            ("{catalogue}", "tencent-ccc"),
            ("{key}", &key),
        ] {
            path = path.replace(name, value);
        }
        if route.id == "show-cost" {
            path += "?by=project&from=2026-01&to=2026-02";
        }
        if route.path == "/v1/answers" {
            path += "?question=show+acme";
        }
        if route.id == "export-focus" {
            path += "?issuer=Example";
        }
        let got = server.get(&path);
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        if !got.header("content-type").starts_with("application/json") || route.id == "show-openapi" {
            continue;
        }
        is_described(&document, "GET", route.path, &got);
        if let Some(items) = got.body["items"].as_array() {
            // The line was paid for in advance: no usage is behind it.
            let is_empty = route.id == "list-line-events";
            assert_eq!(items.is_empty(), is_empty, "{path}: {}", got.text);
            lists.push(path);
        }
    }
    assert!(lists.len() >= 17, "{lists:?}");
    // Page by page a list is what it is at once.
    for path in lists {
        let all = server.get(&format!("{path}?limit=1000")).body["items"].clone();
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{path}?limit=1{after}")).body;
            paged.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert!(next.bytes().all(is_plain), "{path}: an address would have {next:?} encoded");
            after = format!("&after={next}");
        }
        assert_eq!(Value::from(paged), all, "{path}");
    }
}

#[test]
fn what_is_shown_is_what_happened() {
    let server = furnished();
    let items = |path: &str| server.get(&format!("/v1/accounts/acme/{path}")).body["items"].clone();
    // 12 months of a package, and 5,000 minutes at 0.08 less 10 %: 360.00.
    let bill = server.get("/v1/bills/acme-2026-01").body;
    assert_eq!(items("bills")[0]["total"], bill["total"]);
    assert_eq!(server.get("/v1/bills/acme-2026-01/lines").body["items"], bill["lines"]);
    let more = server.get("/v1/bills/acme-2026-01/lines?subscription=more").body;
    assert_eq!((&more["items"][0]["amount"], &more["next"]), (&json!("360.00"), &Value::Null), "{more}");
    let id = more["items"][0]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/lines/{id}")).body, more["items"][0]);
    assert_eq!(items("packages?state=live")[0]["unit"], json!("minute"));
    assert_eq!(items("subscriptions?state=frozen"), json!([]));
    assert_eq!(items("renewals")[0]["way"], json!("renewal"));
    assert_eq!(items("licences?application=shop")[0]["holders"][0]["holder"], json!("ann@example.com"));
    assert_eq!(items("holds?state=open"), json!([]), "it has expired");
    assert_eq!(items("holds?state=ended")[0]["expired"], json!(true));
    let statement = server.get("/v1/accounts/acme/statement?month=2026-01").body;
    assert_eq!((&statement["opening"], &statement["came_in"]), (&json!("0.00"), &json!("20000.00")));
    let balance = server.get("/v1/accounts/acme/balance").body;
    let all = server.get("/v1/accounts/acme/statement").body;
    assert_eq!(all["closing"], balance["balance"], "{all}");
    assert_eq!(server.get("/v1/accounts/acme").body["balance"], balance["balance"]);
    let cost = server.get("/v1/accounts/acme/cost?by=member&from=2026-01&to=2026-02").body;
    assert_eq!((&cost["months"], &cost["totals"][0]), (&json!(["2026-01", "2026-02"]), &bill["total"]));
    let upcoming = server.get("/v1/accounts/acme/upcoming").body;
    assert_eq!(upcoming["id"], json!("acme-2026-02"));
    // The journal says what the ledger says; page by page it is the same.
    let journal = server.get("/v1/journal");
    assert_eq!(journal.header("content-type"), "text/csv; charset=utf-8");
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let entries: usize = server.get("/v1/accounts/acme/postings?limit=1000").body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|posting| posting["entries"].as_array().unwrap().len())
        .sum();
    assert_eq!(rows(&journal.text).len(), entries, "{}", journal.text);
    assert!(
        rows(&journal.text).iter().any(|row| row.contains(",top-up,bank,USD,20000.00,")),
        "{}",
        journal.text
    );
    let first = server.get("/v1/journal?limit=1&zone=%2B08:00&month=2026-01");
    let next = first.header("link").strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    assert!(next.contains("after=acme") && next.contains("zone=%2B08%3A00"), "{next}");
    let second = server.get(&next);
    assert_eq!((second.status, rows(&second.text).len(), second.header("link")), (200, 0, ""));
    assert!(rows(&first.text).iter().all(|row| row.starts_with("2026-01")), "{}", first.text);
    assert!(server.get("/v1/journal?format=hledger").text.starts_with("decimal-mark ."));
    // 125 s are 3 minutes, as each call is rounded up; 60 s are one.
    let used = items("usage");
    let (events, quantity, unit) = (&used[0]["events"], &used[0]["quantity"], &used[0]["unit"]);
    assert_eq!((events, quantity, unit), (&json!(2), &json!("4"), &json!("minute")), "{used}");
    assert_eq!((&used[0]["project"], used.as_array().unwrap().len()), (&json!("launch"), 1));
    assert_eq!(items("usage?month=2026-01")[0]["events"], json!(1), "before the order");
    assert_eq!(items("usage?project=other"), json!([]));
    assert_eq!(items("usage?application=shop&meter=call-minutes"), used);
    // Who, when, what.
    let audit = items("audit?limit=1000");
    let entries = audit.as_array().unwrap();
    let topup = entries.iter().find(|one| one["command"].as_str().unwrap().contains("topup")).unwrap();
    let operator = server.get("/v1/me").body["id"].clone();
    assert_eq!((&topup["actor"], &topup["facts"][0]["kind"]), (&operator, &json!("topped-up")), "{topup}");
    assert!(entries.iter().any(|one| one["actor"] == "clock" && one["command"] == "charges"), "{audit}");
    let versions: Vec<u64> = entries.iter().map(|one| one["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
    let version = server.get("/v1/accounts/acme").body["version"].as_u64().unwrap();
    assert_eq!(versions.last(), Some(&version));
}

#[test]
fn a_member_sees_what_is_shared_with_it_and_nothing_else_of_its_master() {
    let server = furnished();
    let open = json!({"command": "open", "title": "Acme Shenzhen", "currency": "USD", "zone": "+08:00", "member_of": "acme"});
    server.command("acme-sz", &open);
    server.command(
        "acme",
        &json!({"command": "share", "subscription": "package", "members": ["acme-hk", "acme-sz"]}),
    );
    for member in ["acme-hk", "acme-sz"] {
        let order = json!({"command": "subscribe", "plan": "call-package", "name": "own", "mode": "prepaid", "months": 3,
                           "attributes": {"application": format!("shop-of-{member}")}});
        server.command(member, &order);
    }
    server.advance("2026-03-02T00:00:00+08:00");
    let member = server.key("customer", Some("acme-hk")).1;
    let mut seen = 0;
    for route in
        routes().into_iter().filter(|route| route.method == "GET" && route.path.contains("{account}"))
    {
        if !route.roles.unwrap_or_default().contains(&farebox_api::Role::Customer) {
            continue;
        }
        let path = route.path.replace("{account}", "acme-hk").replace("{subscription}", "own");
        let path = if route.id == "show-cost" { path + "?by=member&from=2026-01&to=2026-03" } else { path };
        let got = server.ask_as(&member, "GET", &path, "");
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        // Another member; the master's money, coupon, holder of a licence, session.
        for secret in ["acme-sz", "20000", "welcome", "ann@example.com", "call-1", "desk", "cable"] {
            assert!(!got.text.contains(secret), "{path} tells {secret}: {}", got.text);
        }
        seen += 1;
    }
    assert!(seen >= 15, "{seen}");
    let packages = server.ask_as(&member, "GET", "/v1/accounts/acme-hk/packages", "");
    assert!(packages.text.contains("acme/package/minutes"), "what is shared is seen: {}", packages.text);
    let cost = server.ask_as(&member, "GET", "/v1/accounts/acme-hk/cost?by=member&from=2026-02", "").body;
    assert_eq!(
        (cost["rows"].as_array().unwrap().len(), &cost["rows"][0]["name"]),
        (1, &json!("acme-hk")),
        "{cost}"
    );
    for path in ["/v1/bills/acme-2026-02", "/v1/accounts/acme/balance", "/v1/accounts/acme-sz"] {
        assert_eq!(server.ask_as(&member, "GET", path, "").status, 404, "{path}");
    }
}

#[test]
fn a_quote_is_what_then_happens_and_does_nothing_itself() {
    let server = furnished();
    server.command("phones", &json!({"command": "open", "currency": "CNY", "zone": "+08:00"}));
    server.command("phones", &json!({"command": "topup", "amount": "5000"}));
    let phone = |name: &str| {
        let attributes = json!({"specification": "basic"});
        json!({"command": "subscribe", "plan": "standard-phone", "name": name, "quantity": 2, "mode": "prepaid",
               "months": 3, "attributes": attributes})
    };
    server.command("phones", &phone("first"));
    server.advance("2026-02-20T12:00:00+08:00");
    let quote = |commands: &Value| {
        server.send("POST", "/v1/accounts/phones/quotes", &[], json!({"commands": commands}).to_string())
    };
    let (give_up, order) = (json!({"command": "unsubscribe", "subscription": "first"}), phone("second"));
    let version = server.get("/v1/accounts/phones").body["version"].clone();
    let quoted = quote(&json!([give_up, order]));
    assert_eq!(quoted.status, 200, "{}", quoted.text);
    is_described(&document(), "POST", "/v1/accounts/{account}/quotes", &quoted);
    assert_eq!(quote(&json!([give_up, order])).body, quoted.body, "it did nothing");
    assert_eq!(server.get("/v1/accounts/phones").body["version"], version);
    let before = server.get("/v1/accounts/phones/balance").body["balance"].clone();
    assert_eq!(quoted.body["balance_before"], before);
    server.command("phones", &give_up);
    server.command("phones", &order);
    let lines = server.get("/v1/bills/phones-2026-02/lines").body["items"].clone();
    let quoted_lines = quoted.body["lines"].as_array().unwrap();
    assert!(
        quoted_lines.len() >= 2
            && quoted_lines.iter().any(|line| line["amount"].as_str().unwrap().starts_with('-'))
    );
    for line in quoted_lines {
        assert!(lines.as_array().unwrap().contains(line), "{line}\nis none of\n{lines:#}");
    }
    assert_eq!(server.get("/v1/accounts/phones/balance").body["balance"], quoted.body["balance_after"]);
    let wrong = quote(&json!([{"command": "unsubscribe", "subscription": "nothing"}]));
    assert_eq!(wrong.problem(), (404, "unknown-subscription"), "{}", wrong.text);
    assert_eq!(quote(&json!([])).status, 422);
    // A member sees what it would pay, and nothing of its master's money.
    let member = server.key("customer", Some("acme-hk")).1;
    let wish = json!({"commands": [{"command": "subscribe", "plan": "minutes-add-on", "quantity": 5000, "mode": "prepaid", "months": 12}]});
    let got = server.ask_as(&member, "POST", "/v1/accounts/acme-hk/quotes", wish.to_string());
    assert!(got.status != 200 || got.body["balance_before"].is_null(), "{}", got.text);
    // A customer's quote is of what a customer may do.
    let wish = json!({"commands": [{"command": "topup", "amount": "5"}]});
    let got = server.ask_as(&member, "POST", "/v1/accounts/acme-hk/quotes", wish.to_string());
    assert_eq!(got.problem(), (403, "not-allowed"));
}

#[test]
fn bills_of_many_accounts_are_one_file() {
    let server = Server::with_accounts(100_000);
    let rows = |got: &common::Got| got.text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let all = server.get("/v1/exports/focus?issuer=Example%20Ltd");
    assert_eq!((all.status, all.header("content-type")), (200, "text/csv; charset=utf-8"), "{}", all.text);
    assert_eq!(all.header("content-disposition"), "attachment; filename=\"focus.csv\"");
    let accounts: std::collections::BTreeSet<String> =
        rows(&all).iter().map(|row| row.split(',').nth(1).unwrap().to_owned()).collect();
    // A member's lines are on its master's bill.
    assert_eq!(accounts.into_iter().collect::<Vec<_>>(), ["acme", "zeta"]);
    assert!(rows(&all).iter().any(|row| row.contains(",acme-hk,Acme Hong Kong,")), "{}", all.text);
    let january = server.get("/v1/exports/focus?issuer=Example%20Ltd&month=2026-01&format=csv");
    assert!(!rows(&january).is_empty() && rows(&january).len() <= rows(&all).len());
    assert_eq!(january.header("content-disposition"), "attachment; filename=\"focus-2026-01.csv\"");
    assert_eq!(rows(&server.get("/v1/exports/focus?issuer=Example&month=2025-01")).len(), 0);
    // A customer has its own bills, and a member has none.
    let customer = |account: &str| {
        let token = server.key("customer", Some(account)).1;
        rows(&server.ask_as(&token, "GET", "/v1/exports/focus?issuer=Example%20Ltd", ""))
    };
    let own = |account: &str| {
        let of = |row: &String| row.split(',').nth(1) == Some(account);
        rows(&all).into_iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!((customer("acme"), customer("zeta")), (own("acme"), own("zeta")));
    assert_eq!(customer("acme-hk"), Vec::<String>::new());
    for wrong in
        ["", "?issuer=", "?issuer=%20", "?issuer=a%0Ab", "?issuer=x&format=xml", "?issuer=x&month=2026"]
    {
        let got = server.get(&format!("/v1/exports/focus{wrong}"));
        assert_eq!(got.problem(), (422, "mistakes"), "{wrong}");
    }
}

#[test]
fn many_accounts_are_asked_for_some_at_a_time() {
    let server = Server::with_accounts(100_000);
    let open = json!({"command": "open", "title": "One of many", "currency": "CNY", "zone": "+08:00"});
    let order = json!({"command": "subscribe", "plan": "basic-seat", "name": "seats", "quantity": 1});
    for number in 0..250 {
        server.command(&format!("many-{number:03}"), &open);
        server.command(&format!("many-{number:03}"), &order);
    }
    server.advance("2026-03-01T00:00:00+08:00");
    let got = server.get("/v1/exports/focus?issuer=x&month=2026-02");
    let rows: Vec<&str> = got.text.lines().skip(1).collect();
    let of = |account: &str| rows.iter().filter(|row| row.split(',').nth(1) == Some(account)).count();
    for number in 0..250 {
        assert!((1..=2).contains(&of(&format!("many-{number:03}"))), "{number}");
    }
    assert_eq!(got.text.matches("BilledCost").count(), 1);
}

#[test]
fn a_credit_limit_is_set_shown_and_stops_an_order() {
    let server = Server::with_accounts(100_000);
    let commands = "/v1/accounts/acme/commands";
    let limit = |amount: &str| json!({"command": "credit-limit", "amount": amount}).to_string();
    let off = json!({"command": "credit-limit-off"}).to_string();
    for role in ["support", "integrator", "customer"] {
        let (_, token) = server.key(role, Some("acme").filter(|_| role == "customer"));
        for body in [limit("1"), off.clone()] {
            assert_eq!(server.ask_as(&token, "POST", commands, body).status, 403, "{role}");
        }
    }
    let shown = |field: &str| {
        let (account, balance) =
            (server.get("/v1/accounts/acme").body, server.get("/v1/accounts/acme/balance").body);
        assert_eq!(account[field], balance[field], "{account} {balance}");
        account[field].clone()
    };
    assert_eq!((shown("credit_limit"), shown("headroom")), (Value::Null, Value::Null));
    let (_, finance) = server.key("finance", None);
    let before = server.get("/v1/accounts/acme").header("etag").to_owned();
    assert_eq!(server.ask_as(&finance, "POST", commands, limit("9000")).status, 200);
    // Ten seats of January are owed, and ten of its member: 3100.00 each.
    let balance = server.get("/v1/accounts/acme/balance").body;
    assert_eq!(
        (&balance["due"], &balance["held_on_credit"]),
        (&json!("6200.00"), &json!("0.00")),
        "{balance}"
    );
    assert_eq!((shown("credit_limit"), shown("headroom")), (json!("9000.00"), json!("2800.00")));
    // Who read the account before the limit was there, has read another version.
    assert_eq!(server.send("POST", commands, &[("if-match", &before)], limit("1")).status, 412);
    let order = |quantity: u32| {
        json!({"command": "subscribe", "plan": "basic-seat", "name": format!("more-{quantity}"), "quantity": quantity,
               "mode": "prepaid", "months": 1})
    };
    let got = server.send("POST", "/v1/accounts/acme-hk/commands", &[], order(10).to_string());
    assert_eq!(got.problem(), (402, "over-credit-limit"));
    let detail = "this costs 3100.00 CNY, and the headroom is 2800.00: the credit limit is 9000.00 CNY, 6200.00 CNY are owed";
    assert_eq!(got.body["detail"], json!(detail));
    server.command("acme-hk", &order(9));
    assert_eq!(shown("headroom"), json!("10.00"));
    let refused = |account: &str, body: &str| {
        let path = format!("/v1/accounts/{account}/commands");
        let got = server.send("POST", &path, &[], body.to_owned());
        let (status, code) = got.problem();
        (status, code.to_owned())
    };
    assert_eq!(refused("acme-hk", &limit("5")), (409, "credit-limit-of-payer".to_owned()));
    assert_eq!(refused("acme", &limit("-5")), (422, "mistakes".to_owned()));
    assert_eq!(refused("acme", &limit("5.001")), (422, "bad-amount".to_owned()));
    server.command("acme", &json!({"command": "credit-limit-off"}));
    assert_eq!((shown("credit_limit"), shown("headroom")), (Value::Null, Value::Null));
    assert_eq!(refused("acme", &off), (409, "no-credit-limit".to_owned()));
    let audit = server.get("/v1/accounts/acme/audit?limit=1000").body;
    let set = |one: &&Value| one["facts"][0]["kind"] == "credit-limit-set";
    assert_eq!(audit["items"].as_array().unwrap().iter().filter(set).count(), 2, "{audit}");
}
