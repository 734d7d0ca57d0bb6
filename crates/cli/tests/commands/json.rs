//! `--json` prints what docs/json.md says: each object has exactly the fields of its table.

use crate::catalog;
use crate::common::{farebox, scratch, stdout_of, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The fields of the table under a heading of docs/json.md.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = text("docs/json.md");
    let mut lines = page.lines().skip_while(|line| *line != format!("## {heading}"));
    assert!(lines.next().is_some(), "docs/json.md has no \"## {heading}\"");
    let fields =
        lines.take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix("| `"));
    fields.filter_map(|line| line.split('`').next()).map(str::to_owned).collect()
}

/// Asserts that a value is an object with the documented fields, and that no number is a float.
fn is(heading: &str, value: &Value) {
    let object = value.as_object().unwrap_or_else(|| panic!("{heading}: no object: {value}"));
    let fields: BTreeSet<String> = object.keys().cloned().collect();
    assert_eq!(fields, documented(heading), "left: {heading} as printed; right: in docs/json.md");
    for (name, value) in object {
        assert!(!value.is_f64(), "{heading}: {name} is a float");
    }
}

fn is_line(line: &Value) {
    is("Line", line);
    is("Price basis", &line["price_basis"]);
    is("Period", &line["period"]);
    is("Period", &line["cycle"]);
    if !line["catalogue"].is_null() {
        is("Catalogue of a line", &line["catalogue"]);
    }
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout_of(arguments)).unwrap()
}

fn are_bills(bills: &Value) {
    let bills = bills.as_array().unwrap();
    assert!(!bills.is_empty());
    for bill in bills {
        is("Bill", bill);
        is("Period", &bill["period"]);
        for line in bill["lines"].as_array().unwrap() {
            is_line(line);
        }
        for coupon in bill["coupons"].as_array().unwrap() {
            is("Coupon of a bill", coupon);
        }
        for note in bill["credit_notes"].as_array().unwrap() {
            is("Credit note", note);
        }
    }
}

#[test]
fn bills() {
    let bills = json(&["bill", "examples/seats/january.book", "--json"]);
    are_bills(&bills);
    assert_eq!(bills[0]["total"], "3080.00");
    assert_eq!(bills[0]["lines"][0]["quantity"], "308");
    assert_eq!(bills[0]["lines"][0]["price_basis"]["units"], "31");
}

#[test]
fn bills_with_a_rounding_line() {
    let lines = "2020-01-04 open acme\n2020-01-04 subscribe acme basic-seat 1\n2020-01-04 price acme basic-seat/seat-days 100\n";
    let path = scratch("rounding.book", format!("{}{lines}", catalog()));
    let bills = json(&["bill", path.to_str().unwrap(), "--json"]);
    are_bills(&bills);
    let lines = bills[0]["lines"].as_array().unwrap();
    assert_eq!(lines.last().unwrap()["kind"], "rounding", "{lines:#?}");
    // Exact to 8 decimals, the amounts add up to the total.
    let nano = |text: &Value| {
        let (whole, rest) = text.as_str().unwrap().split_once('.').unwrap();
        let digits = format!("{}{rest:0<8}", whole.trim_start_matches('-'));
        digits.parse::<i64>().unwrap() * if whole.starts_with('-') { -1 } else { 1 }
    };
    assert_eq!(lines.iter().map(|line| nano(&line["amount"])).sum::<i64>(), nano(&bills[0]["total"]));
}

#[test]
fn bills_with_coupons_and_credit_notes() {
    let bills = json(&["bill", "scenarios/wallet/coupon-back.test", "--json"]);
    are_bills(&bills);
    assert_eq!(bills[0]["coupons"][0]["amount"], "160.00", "{bills:#}");
    assert_eq!(bills[0]["credit_notes"][0]["id"], "acme-2026-01-C1");
    assert_eq!(bills[0]["due"], "0.00");
    let bills = json(&["bill", "scenarios/wallet/one-off-charge.test", "--json"]);
    are_bills(&bills);
    let line = &bills[0]["lines"][0];
    assert_eq!((line["kind"].as_str(), line["project"].as_str()), (Some("one-off"), Some("launch")));
    assert!(line["subscription"].is_null() && line["charge"].is_null());
}

#[test]
fn an_explained_line_and_its_events() {
    let lines = "\
2023-04-18 open acme
2023-04-18 subscribe acme general-text-ocr
2023-04-18 09:00 usage acme ocr-call api=general-text status=200 times 3
";
    let catalog = catalog().replace("huawei-ykf", "huawei-ocr");
    let path = scratch("explained.book", format!("{catalog}{lines}"));
    let explained = json(&["explain", path.to_str().unwrap(), "acme-2023-04-1", "--json"]);
    is("Explained line", &explained);
    is_line(&explained["line"]);
    assert_eq!(explained["event_count"], 3, "{explained:#}");
    for event in explained["events"].as_array().unwrap() {
        is("Event", event);
    }
}

#[test]
fn a_quote() {
    are_bills(&json(&[
        "--json",
        "quote",
        "catalogs/huawei-ykf.toml",
        "--from",
        "2026-01-04",
        "subscribe basic-seat 10",
    ]));
}

#[test]
fn catalogues() {
    let checked =
        json(&["catalog", "check", "catalogs/huawei-ykf.toml", "catalogs/huawei-ocr.toml", "--json"]);
    for one in checked.as_array().unwrap() {
        is("Catalogue", one);
    }
    is("Catalogue", &json(&["catalog", "show", "catalogs/huawei-ykf.toml", "--json"]));
}

#[test]
fn scenarios() {
    for one in json(&["test", "scenarios/subscription/seat-days.test", "--json"]).as_array().unwrap() {
        is("Scenario", one);
        assert_eq!(one["passed"], true);
    }
}

#[test]
fn mistakes() {
    let path = scratch("wrong.book", format!("{}2020-01-04 opne acme\n", catalog()));
    let output = farebox(&["bill", path.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let wrong: Value = serde_json::from_slice(&output.stderr).unwrap();
    is("Mistake", &wrong[0]);
    assert_eq!(wrong[0]["line"], 2);
    assert_eq!(wrong[0]["suggestion"], "open");
}

#[test]
fn settings() {
    let settings = json(&["config", "--json", "--data", "data"]);
    let settings = settings.as_array().unwrap();
    assert!(settings.len() > 5);
    settings.iter().for_each(|setting| is("Setting", setting));
    assert_eq!((&settings[0]["name"], &settings[0]["value"]), (&"data".into(), &"data".into()));
}
