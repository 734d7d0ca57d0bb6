//! The questions of books, asked of a server: who may, as of when, and what is wrong with one.

mod common;

use common::{Got, Server};
use farebox_api::Role;
use serde_json::{Value, json};

fn ask_as(server: &Server, token: &str, question: &str, more: &str) -> Got {
    let question = question.replace('%', "%25").replace('+', "%2B").replace(' ', "+").replace('"', "%22");
    server.ask_as(token, "GET", &format!("/v1/answers?question={question}{more}"), "")
}

fn ask(server: &Server, question: &str) -> Got {
    ask_as(server, &server.token, question, "")
}

#[test]
fn questions_are_answered_with_the_text_of_books() {
    let server = Server::with_accounts(100_000);
    let got = ask(&server, "bill acme 2026-01");
    assert_eq!((got.status, got.header("content-type")), (200, "text/plain; charset=utf-8"), "{}", got.text);
    assert!(got.text.starts_with("Bill acme-2026-01 · Acme Ltd · January 2026 · CNY · issued 2026-02-01"));
    assert!(got.text.ends_with('\n') && !got.text.ends_with("\n\n"), "{}", got.text);
    // Of the master's bill, a member's own lines.
    let share = ask(&server, "bill acme-hk 2026-01");
    assert!(share.text.starts_with("Share of bill acme-2026-01 · Acme Hong Kong"), "{}", share.text);
    // Dates are those of the wall clock that was asked for.
    let zoned = |zone: &str| ask_as(&server, &server.token, "show zeta", &format!("&zone={zone}")).text;
    assert!(zoned("UTC").starts_with("zeta · Zeta Ltd · CNY · 2026-02-09 16:00:00"), "{}", zoned("UTC"));
    assert!(zoned("Europe/Berlin").starts_with("zeta · Zeta Ltd · CNY · 2026-02-09 17:00:00"));
    assert!(ask(&server, "show zeta").text.starts_with("zeta · Zeta Ltd · CNY · 2026-02-10\n"));
    // What has no usage has no events behind it, and what nobody has is in no quarantine.
    assert!(
        ask(&server, "explain acme-2026-01-1").text.contains("line "),
        "{}",
        ask(&server, "explain acme-2026-01-1").text
    );
    assert_eq!(ask(&server, "quarantine").text, "quarantine is empty\n");
    assert!(ask(&server, "trial-balance").text.contains("total"));
    let owed = ask(&server, "receivables").text;
    assert!(owed.contains("acme") && owed.contains("zeta") && !owed.contains("acme-hk"), "{owed}");
}

#[test]
fn a_mistaken_question_says_which_word_and_what_was_meant() {
    let server = Server::with_accounts(100_000);
    let mistake = |question: &str| -> (String, String) {
        let got = ask(&server, question);
        assert_eq!(got.problem(), (422, "mistakes"), "{question}: {}", got.text);
        let one = &got.body["mistakes"][0];
        assert_eq!(one["field"], "?question");
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (text("found"), text("expected"))
    };
    let (found, expected) = mistake("bil acme 2026-01");
    assert_eq!(found, "unknown question \"bil\" at character 1");
    assert!(
        expected.starts_with("one of bill, cost, ") && expected.ends_with("did you mean \"bill\"?"),
        "{expected}"
    );
    for (question, found, expected) in [
        ("bill", "bill without an account at character 1", "bill ACCOUNT YYYY-MM "),
        ("bill acme 2026-1", "\"2026-1\" at character 11", "a month as YYYY-MM"),
        ("bill acme 2026-01 --explian", "\"--explian\" at character 19", "--explain, --only or --by"),
        ("balance acme 2026-03-01 now", "\"now\" at character 25", "nothing after it"),
        ("quarantine acme", "\"acme\" at character 12", "nothing after it"),
        ("show acme 2026-02-01", "2026-02-01, which is past at character 11", "2026-02-10 or later"),
        ("show \"acme", "", ""),
        (
            "imports",
            "\"imports\": a server is sent events, and knows no files at character 1",
            "another question",
        ),
    ] {
        let (is, should) = mistake(question);
        assert!(is.contains(found) && should.starts_with(expected), "{question}: {is}; {should}");
    }
    let got = ask(&server, "balance acmee");
    assert_eq!(got.problem(), (404, "unknown-account"), "{}", got.text);
    assert_eq!(got.body["detail"], "there is no account \"acmee\"; did you mean \"acme\"?");
    for line in ["acme-2026-01-99", "acme-2026-13-1", "nobody-2026-01-1", "acme"] {
        assert_eq!(ask(&server, &format!("explain {line}")).problem(), (404, "unknown-line"), "{line}");
    }
}

#[test]
fn a_question_about_a_later_time_is_asked_too_early() {
    let server = Server::with_accounts(100_000);
    for (question, until) in [
        ("bill acme 2026-02", "2026-02-28T16:00:00Z"),
        ("cost acme 2026-01 2026-03 by plan", "2026-03-31T16:00:00Z"),
        ("statement acme 2026-02", "2026-02-28T16:00:00Z"),
        ("balance acme 2026-02-11", "2026-02-10T16:00:00Z"),
        ("trial-balance 2026-02-11", "2026-02-11T00:00:00Z"),
    ] {
        let got = ask(&server, question);
        assert_eq!(
            (got.problem(), &got.body["until"]),
            ((409, "not-yet"), &json!(until)),
            "{question}: {}",
            got.text
        );
    }
    // Of a month that has begun, what it has come to; of one that has not, nothing.
    let so_far = |question: &str| ask_as(&server, &server.token, question, "&so-far=true");
    assert_eq!(so_far("bill acme 2026-02").status, 200);
    assert_eq!(so_far("bill acme 2026-03").problem(), (409, "not-yet"));
    assert_eq!(so_far("balance acme 2026-02-11").problem(), (409, "not-yet"));
    server.advance("2026-03-01T00:00:00+08:00");
    assert!(ask(&server, "bill acme 2026-02").text.contains("issued 2026-03-01"));
}

#[test]
fn what_is_about_everyone_is_for_those_who_may_know() {
    let server = Server::with_accounts(100_000);
    for role in Role::ALL {
        let key = server.key(role.name(), (role == Role::Customer).then_some("acme")).1;
        for (question, roles) in [
            ("trial-balance", [Role::Operator, Role::Finance].as_slice()),
            ("receivables", &[Role::Operator, Role::Finance]),
            ("quarantine", &[Role::Operator, Role::Finance, Role::Support]),
            ("balance zeta", &[Role::Operator, Role::Finance, Role::Support]),
            ("balance acme-hk", &[Role::Operator, Role::Finance, Role::Support, Role::Customer]),
            ("explain zeta-2026-01-1", &[Role::Operator, Role::Finance, Role::Support]),
        ] {
            let got = ask_as(&server, &key, question, "");
            let other = question.contains("zeta") && role == Role::Customer;
            let status = if roles.contains(&role) {
                200
            } else if other {
                404
            } else {
                403
            };
            assert_eq!(got.status, status, "{role:?} {question}: {}", got.text);
        }
    }
    // A line that is not there, and one of another tree, are told alike; nobody is told what names there are.
    let acme = server.key("customer", Some("acme")).1;
    let without_id = |question: &str| -> Value {
        let mut body = ask_as(&server, &acme, question, "").body;
        body.as_object_mut().unwrap().remove("request_id");
        let name = question.rsplit(' ').next().unwrap();
        body["detail"] = body["detail"].as_str().unwrap().replace(name, "NAME").into();
        body
    };
    assert_eq!(without_id("explain zeta-2026-01-1"), without_id("explain nobody-2026-01-1"));
    assert_eq!(without_id("balance zeta"), without_id("balance zetaa"));
    // Both are told before anything else that is wrong.
    assert_eq!(without_id("bill zeta 2026-1")["code"], "unknown-account");
}

#[test]
fn a_member_is_not_told_what_its_master_owes() {
    let server = Server::with_accounts(100_000);
    let list = include_str!("../../../scenarios/lifecycle/lines.toml");
    assert_eq!(server.send("POST", "/v1/catalogues", &[], list).status, 201);
    let open = |title: &str| json!({"command": "open", "title": title, "currency": "USD", "zone": "+08:00"});
    server.command("boss", &open("Boss"));
    let mut member = open("Member");
    member["member_of"] = json!("boss");
    server.command("member", &member);
    server.command("boss", &json!({"command": "tier", "tier": "international"}));
    server.command("boss", &json!({"command": "subscribe", "plan": "setup", "quantity": 1}));
    let lifecycle = |token: &str| ask_as(&server, token, "lifecycle member", "").text;
    let key = |account: &str| server.key("customer", Some(account)).1;
    let (all, own) = (lifecycle(&server.token), lifecycle(&key("member")));
    assert!(all.contains("boss owes 10.00 USD, in arrears since 2026-02-10 under tier"), "{all}");
    assert!(own.contains("boss in arrears since 2026-02-10\n") && !own.contains("10.00"), "{own}");
    assert_eq!(lifecycle(&key("boss")), all);
}
