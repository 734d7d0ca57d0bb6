//! Lists whose rows come and go while they are read page by page: what is there throughout is shown once.

mod common;

use common::Server;
use serde_json::{Value, json};
use std::path::Path;

const LIST: &str = r#"
[catalogue]
id = "paged"
version = "2020-01-01"
title = "Paged"
currency = "EUR"
zone = "UTC"

[meters.calls]
event = "call"
aggregate = "sum"
of = "seconds"
unit = "second"

[products.lines]
title = "Lines"

[products.lines.plans.line]
title = "Line"
unit = "line"
modes = ["pay-per-use"]
charges = [{ id = "calls", title = "Calls", meter = "calls", settle = "day", price = "0.01" }]
"#;

/// All of a list, two rows a page, with something done before each further page.
fn paged(server: &Server, path: &str, mut between: impl FnMut(usize)) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    for page in 1.. {
        let got = server.get(&format!("{path}limit=2{after}"));
        assert_eq!(got.status, 200, "{}", got.text);
        rows.extend(got.body["items"].as_array().unwrap().iter().cloned());
        let Some(next) = got.body["next"].as_str() else { break };
        assert!((1..=1_800).contains(&next.len()), "{next}");
        after = format!("&after={next}");
        between(page);
    }
    rows
}

fn used(server: &Server, id: &str, time: &str, project: &str) {
    let event = json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": "acme",
                       "time": time, "data": {"seconds": 5, "project": project}});
    let got = server.send("POST", "/v1/usage", &[], event.to_string());
    assert_eq!(got.body["accepted"], 1, "{}", got.text);
}

#[test]
fn usage_that_comes_and_goes_shifts_no_page() {
    let server = Server::start(1_000);
    let published = server.send("POST", "/v1/catalogues", &[], LIST);
    assert_eq!(published.status, 201, "{}", published.text);
    server.command("acme", &json!({"command": "open", "currency": "EUR", "zone": "UTC"}));
    server.command("acme", &json!({"command": "subscribe", "plan": "line"}));
    server.advance("2026-01-31T00:00:00Z");
    // Values that no cursor has room for are told apart all the same.
    let long = |end: &str| format!("{}{end}", "long ".repeat(100));
    let mut expected = Vec::new();
    for day in 10..15 {
        let mut projects = ["shop".to_owned(), long("a"), long("b")];
        projects.sort();
        for project in projects {
            used(&server, &format!("{day}{project}"), &format!("2026-01-{day}T10:00:00Z"), &project);
            expected.push((format!("2026-01-{day}T00:00:00Z"), project));
        }
    }
    let mut rows = paged(&server, "/v1/accounts/acme/usage?", |page| {
        let id = format!("early-{page}");
        used(&server, &id, &format!("2026-01-0{page}T10:00:00Z"), "shop");
        if page % 2 == 0 {
            let void = json!({"source": "pbx", "id": id}).to_string();
            assert_eq!(server.send("POST", "/v1/usage/void", &[], void).body["found"], true);
        }
    });
    let mut shown: Vec<(String, String)> = rows
        .drain(..)
        .map(|row| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&row["period"]["start"]), text(&row["project"]))
        })
        .collect();
    // By day; whose it is comes second.
    assert!(shown.is_sorted_by(|(one, _), (other, _)| one <= other), "{shown:?}");
    shown.sort();
    assert_eq!(shown, expected);
}

#[test]
fn packages_and_licences_that_are_ordered_shift_no_page() {
    let server = Server::start(1_000);
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs/tencent-ccc.toml");
    let published = server.send("POST", "/v1/catalogues", &[], std::fs::read(list).unwrap());
    assert_eq!(published.status, 201, "{}", published.text);
    server.command("acme", &json!({"command": "open", "currency": "USD", "zone": "+08:00"}));
    server.command("acme", &json!({"command": "topup", "amount": "90000"}));
    let order = |name: &str, application: &str| {
        let attributes = json!({"application": application});
        server.command(
            "acme",
            &json!({"command": "subscribe", "plan": "call-package", "name": name, "mode": "prepaid", "months": 12,
                    "attributes": attributes}),
        );
    };
    let names = ["m1", "m2", "m3", "m4", "m5"];
    for name in names {
        order(name, name);
    }
    let rows = paged(&server, "/v1/accounts/acme/packages?", |page| order(&format!("a{page}"), "early"));
    let of = |name: &str| rows.iter().filter(|row| row["subscription"] == name).count();
    assert!(names.iter().all(|name| of(name) == of("m1") && of(name) > 0), "{rows:?}");
    let mut buckets: Vec<&str> = rows.iter().map(|row| row["bucket"].as_str().unwrap()).collect();
    let all = buckets.len();
    buckets.sort_unstable();
    buckets.dedup();
    assert_eq!(buckets.len(), all, "each once: {rows:?}");

    let licence = |application: &str| {
        let order = json!({"command": "subscribe", "plan": "standard-package", "name": format!("of-{application}"),
                           "mode": "prepaid", "months": 1,
                           "attributes": {"application": application}});
        server.command("acme", &order);
    };
    for name in names {
        licence(name);
    }
    let rows = paged(&server, "/v1/accounts/acme/licences?", |page| licence(&format!("a{page}")));
    let mut pools: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["application"], row["licence"])).collect();
    let all = pools.len();
    pools.sort();
    pools.dedup();
    assert_eq!(pools.len(), all, "each once: {rows:?}");
    assert!(names.iter().all(|name| rows.iter().any(|row| row["application"] == *name)), "{rows:?}");
}
