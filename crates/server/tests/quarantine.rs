//! Usage that cannot be billed as it is: seen, mended, released, discarded.

mod common;

use common::Server;
use serde_json::{Value, json};

const PAGE: &str = "/v1/quarantine";

fn call(account: &str, id: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": account,
           "time": "2026-01-20T02:00:00Z", "data": data})
}

fn sent(server: &Server, events: &[Value]) -> (u64, u64) {
    let got = server.send("POST", "/v1/usage", &[], json!(events).to_string());
    assert_eq!(got.status, 200, "{}", got.text);
    let count = |name: &str| got.body[name].as_u64().unwrap();
    (count("accepted"), count("quarantined"))
}

/// The ids in quarantine with their codes.
fn listed(server: &Server, query: &str) -> Vec<(String, String)> {
    let got = server.get(&format!("{PAGE}{query}"));
    assert_eq!(got.status, 200, "{}", got.text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = got.body["items"].as_array().unwrap();
    items.iter().map(|one| (text(&one["event"]["id"]), text(&one["code"]))).collect()
}

fn ids(server: &Server, query: &str) -> String {
    listed(server, query).into_iter().map(|(id, _)| id).collect::<Vec<_>>().join(" ")
}

fn ask(server: &Server, what: &str, body: &Value) -> (u16, Value) {
    let got = server.send("POST", &format!("{PAGE}/{what}"), &[], body.to_string());
    (got.status, got.body)
}

/// The minutes that a month was charged.
fn minutes(server: &Server, account: &str) -> Vec<Value> {
    let used = server.get(&format!("/v1/accounts/{account}/usage?month=2026-01")).body;
    used["items"].as_array().unwrap().iter().map(|one| one["quantity"].clone()).collect()
}

/// Accounts with lines whose calls are charged by the minute.
fn furnished() -> Server {
    let server = Server::with_accounts(100_000);
    let line = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "line", "attributes": {"number": "4001"}});
    server.command("zeta", &line);
    server
}

fn number(seconds: &Value) -> Value {
    json!({"number": "4001", "direction": "outbound", "seconds": seconds})
}

#[test]
fn what_cannot_be_billed_is_listed_with_its_reason_and_leaves_when_it_can() {
    let server = furnished();
    server.advance("2026-02-12T00:00:00+08:00");
    let later = |mut event: Value| {
        event["time"] = json!("2026-02-11T02:00:00Z");
        event
    };
    let events = [
        later(call("zeta", "good", number(&json!(61)))),
        later(call("zeta", "mute", json!({"number": "4001", "direction": "outbound"}))),
        later(call("zeta", "fax", json!({}))),
        call("nobody", "early", number(&json!(5))),
        later(call("nobody", "stray", number(&json!(5)))),
        later(call("new-member", "member", number(&json!(59)))),
    ];
    let mut events = events.to_vec();
    events[2]["type"] = json!("fax");
    assert_eq!(sent(&server, &events), (1, 5));
    // By group, and within one as it came.
    let code = |id: &str, code: &str| (id.to_owned(), code.to_owned());
    let all = listed(&server, "");
    assert_eq!(
        all,
        [
            code("member", "unknown-account"),
            code("early", "unknown-account"),
            code("stray", "unknown-account"),
            code("mute", "missing-attribute"),
            code("fax", "nothing-measures"),
        ]
    );
    let first = server.get(&format!("{PAGE}?account=zeta&reason=missing-attribute")).body["items"][0].clone();
    assert_eq!(first["sentence"], json!("the meter needs the attribute \"seconds\""));
    assert_eq!(first["received_at"], json!("2026-02-11T16:00:00Z"));
    let event = &first["event"];
    assert_eq!(
        (&event["type"], &event["time"], &event["data"]),
        (&json!("call"), &json!("2026-02-11T02:00:00Z"), &events[1]["data"])
    );
    for (query, should) in [
        ("?account=zeta", "mute fax"),
        ("?account=nobody", "early stray"),
        ("?account=acme", ""),
        ("?reason=unknown-account", "member early stray"),
        ("?type=fax", "fax"),
        ("?to=2026-02-01T00:00:00Z", "early"),
        ("?from=2026-02-01T00:00:00Z&account=nobody", "stray"),
    ] {
        assert_eq!(ids(&server, query), should, "{query}");
    }
    // Page by page it is the same.
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{PAGE}?limit=2{after}")).body;
        paged.extend(page["items"].as_array().unwrap().iter().map(|one| one["event"]["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::from(paged), json!(["member", "early", "stray", "mute", "fax"]));
    assert_eq!(server.get(&format!("{PAGE}?after=none")).problem(), (422, "mistakes"));
    // Said again, it is there once.
    assert_eq!(sent(&server, &events[1..2]), (0, 0));
    // An account that is opened has what was a stranger's, as another's member too; what it does not measure stays.
    let open = |title: &str| json!({"command": "open", "title": title, "currency": "CNY", "zone": "+08:00"});
    let mut member = open("A member");
    member["member_of"] = json!("zeta");
    server.command("new-member", &member);
    assert_eq!(listed(&server, "?account=new-member"), [code("member", "nothing-measures")]);
    let order = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "line", "attributes": {"number": "4001"}});
    server.command("new-member", &order);
    assert_eq!(ids(&server, "?account=new-member"), "", "it is counted");
    let (_, stands) = ask(&server, "release", &json!({"source": "pbx", "id": "member"}));
    assert_eq!(
        (&stands["state"], &stands["code"]),
        (&json!("unbilled"), &json!("no-subscription")),
        "it was before the order"
    );
    server.command("nobody", &open("Somebody"));
    assert_eq!(
        listed(&server, "?account=nobody"),
        [code("early", "nothing-measures"), code("stray", "nothing-measures")]
    );
}

#[test]
fn usage_in_quarantine_is_mended_released_and_discarded() {
    let server = furnished();
    server.advance("2026-02-12T00:00:00+08:00");
    let at = |id: &str, data: Value| {
        let mut event = call("zeta", id, data);
        event["time"] = json!("2026-02-11T02:00:00Z");
        event
    };
    let identity = |id: &str| json!({"source": "pbx", "id": id});
    let used = || -> Vec<Value> {
        let used = server.get("/v1/accounts/zeta/usage").body;
        used["items"].as_array().unwrap().iter().map(|one| one["quantity"].clone()).collect()
    };
    let mut moved = at("moved", number(&json!(60)));
    moved["subject"] = json!("zzeta");
    let events = [
        at("good", number(&json!(61))),
        at("mute", number(&json!("a minute"))),
        at("bad", number(&json!(-1))),
        moved.clone(),
    ];
    assert_eq!(sent(&server, &events), (1, 3));
    assert_eq!(used(), [json!("2")]);
    // Corrected, it is counted, once.
    let counted = json!({"state": "counted", "code": null, "sentence": null});
    assert_eq!(ask(&server, "mend", &at("mute", number(&json!(125)))), (200, counted.clone()));
    assert_eq!((used(), ids(&server, "")), (vec![json!("5")], "bad moved".to_owned()));
    assert_eq!(sent(&server, &[events[1].clone()]), (0, 0), "the first is an older revision");
    // Whose it was is mended too.
    moved["subject"] = json!("zeta");
    assert_eq!(ask(&server, "mend", &moved), (200, counted.clone()));
    assert_eq!((used(), ids(&server, "")), (vec![json!("6")], "bad".to_owned()));
    // What is still wrong stays, with its new reason.
    let (status, wrong) =
        ask(&server, "mend", &at("bad", json!({"number": "4001", "direction": "outbound"})));
    assert_eq!(
        (status, &wrong["state"], &wrong["code"]),
        (200, &json!("quarantined"), &json!("missing-attribute"))
    );
    let (status, wrong) = ask(&server, "release", &identity("bad"));
    assert_eq!((status, &wrong["code"]), (200, &json!("missing-attribute")));
    assert_eq!(ask(&server, "release", &identity("good")), (200, counted));
    // Discarded, it and what comes later under its identity count no more.
    let mut discard = identity("bad");
    discard["reason"] = json!("a test call");
    assert_eq!(ask(&server, "discard", &discard), (200, json!({"found": true})));
    assert_eq!(ids(&server, ""), "");
    assert_eq!(sent(&server, &[at("bad", number(&json!(600)))]), (0, 0));
    assert_eq!(used(), [json!("6")]);
    let code = |(status, body): (u16, Value)| (status, body["code"].as_str().unwrap().to_owned());
    assert_eq!(code(ask(&server, "discard", &discard)), (404, "unknown-usage".to_owned()));
    assert_eq!(code(ask(&server, "release", &identity("none"))), (404, "unknown-usage".to_owned()));
    assert_eq!(code(ask(&server, "mend", &at("none", json!({})))), (404, "unknown-usage".to_owned()));
    discard["id"] = json!("good");
    assert_eq!(code(ask(&server, "discard", &discard)), (409, "not-in-quarantine".to_owned()));
    assert_eq!(code(ask(&server, "mend", &at("good", json!({})))), (409, "not-in-quarantine".to_owned()));
    for body in [json!([]), json!([at("a", json!({})), at("b", json!({}))]), json!({"id": "x"}), json!(7)] {
        let (status, body) = ask(&server, "mend", &body);
        assert_eq!((status, &body["code"]), (422, &json!("mistakes")), "{body}");
    }
    assert!(minutes(&server, "zeta").is_empty());
}

#[test]
fn usage_that_was_said_of_another_account_is_taken_from_it() {
    let server = furnished();
    let line = json!({"command": "subscribe", "plan": "fixed-line-calls", "name": "line", "attributes": {"number": "4001"}});
    server.command("acme", &line);
    server.advance("2026-02-12T00:00:00+08:00");
    let event = |account: &str, revision: u64| {
        let mut event = call(account, "c1", number(&json!(61)));
        event["time"] = json!("2026-02-11T02:00:00Z");
        event["revision"] = json!(revision);
        event
    };
    let events = |account: &str| -> u64 {
        let used = server.get(&format!("/v1/accounts/{account}/usage")).body;
        used["items"].as_array().unwrap().iter().map(|one| one["events"].as_u64().unwrap()).sum()
    };
    assert_eq!(sent(&server, &[event("acme", 0)]), (1, 0));
    // It is billed, and then turns out to be another's.
    server.advance("2026-02-13T00:00:00+08:00");
    assert_eq!((events("acme"), events("zeta")), (1, 0));
    assert_eq!(sent(&server, &[event("zeta", 1)]), (1, 0));
    assert_eq!((events("acme"), events("zeta")), (0, 1));
    server.advance("2026-02-14T00:00:00+08:00");
    let amounts = |account: &str| {
        let lines = server.get(&format!("/v1/bills/{account}-2026-02/lines?subscription=line")).body;
        let usage = lines["items"].as_array().unwrap().iter();
        usage.filter(|line| line["unit"] == "minute").map(|line| line["quantity"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((amounts("acme"), amounts("zeta")), (vec![json!("2"), json!("-2")], vec![json!("2")]));
}

#[test]
fn the_events_of_an_account_and_of_a_line_are_those_that_count() {
    let server = furnished();
    server.advance("2026-02-12T00:00:00+08:00");
    let at = |id: &str, time: &str, seconds: u32| {
        let mut event = call("zeta", id, number(&json!(seconds)));
        event["time"] = json!(time);
        event
    };
    let inbound = json!({"number": "4001", "direction": "inbound", "seconds": 9});
    let events = [
        at("before", "2026-02-01T02:00:00Z", 61),
        at("one", "2026-02-11T02:00:00Z", 61),
        at("two", "2026-02-11T03:00:00Z", 59),
        at("void", "2026-02-11T04:00:00Z", 600),
        at("revised", "2026-02-11T05:00:00Z", 600),
        call("acme", "another", number(&json!(5))),
        at("next", "2026-02-11T17:00:00Z", 5),
    ];
    sent(&server, &events);
    let mut revised = at("revised", "2026-02-11T05:00:00Z", 60);
    revised["revision"] = json!(3);
    let mut free = at("free", "2026-02-11T06:00:00Z", 5);
    free["data"] = inbound;
    sent(&server, &[revised, free]);
    let void = json!({"source": "pbx", "id": "void"}).to_string();
    assert_eq!(server.send("POST", "/v1/usage/void", &[], void).body["found"], json!(true));
    let ids = |path: &str| -> String {
        let got = server.get(path);
        assert_eq!(got.status, 200, "{}", got.text);
        let id = |one: &Value| one["event"]["id"].as_str().or(one["id"].as_str()).unwrap().to_owned();
        got.body["items"].as_array().unwrap().iter().map(id).collect::<Vec<_>>().join(" ")
    };
    let all = "/v1/accounts/zeta/events";
    assert_eq!(ids(all), "before one two next revised free");
    assert_eq!(ids(&format!("{all}?billed=false")), "before", "what is free is not unbilled");
    assert_eq!(ids(&format!("{all}?from=2026-02-11T03:00:00Z&to=2026-02-11T06:00:00Z")), "two revised");
    assert_eq!(ids(&format!("{all}?type=fax")), "");
    let first = server.get(all).body["items"][0].clone();
    assert_eq!((&first["code"], &first["event"]["data"]["seconds"]), (&json!("no-subscription"), &json!(61)));
    let unbilled = server.get("/v1/unbilled?account=zeta").body["items"].clone();
    assert_eq!(
        (&unbilled[0]["events"], &unbilled[0]["group"]["number"]),
        (&json!(1), &json!("4001")),
        "{unbilled}"
    );
    assert_eq!(server.get("/v1/unbilled").body["items"], unbilled);
    assert_eq!(server.get("/v1/unbilled?account=acme").body["items"], json!([]));
    // The lines of two days.
    server.advance("2026-02-14T00:00:00+08:00");
    let lines = server.get("/v1/bills/zeta-2026-02/lines?subscription=line").body["items"].clone();
    let behind: Vec<(Value, String)> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (line["quantity"].clone(), ids(&format!("/v1/lines/{}/events", line["id"].as_str().unwrap())))
        })
        .collect();
    assert_eq!(
        behind,
        [(json!("4"), "one two revised".to_owned()), (json!("1"), "next".to_owned())],
        "{lines}"
    );
    // Page by page, and after what came before was kept in blocks of its own.
    let path = format!("/v1/lines/{}/events", lines[0]["id"].as_str().unwrap());
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}?limit=1{after}")).body;
        paged.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::from(paged), json!(["one", "two", "revised"]));
    assert_eq!(server.get(&format!("{path}?after=x")).problem(), (422, "mistakes"));
    assert_eq!(server.get("/v1/lines/zeta-2026-02-99/events").problem(), (404, "unknown-line"));
    // A piece that nothing takes can be mended.
    let (status, mended) = ask(&server, "mend", &at("before", "2026-02-13T02:00:00Z", 61));
    assert_eq!((status, &mended["state"]), (200, &json!("counted")), "{mended}");
    assert_eq!(ids(&format!("{all}?billed=false")), "");
}

#[test]
fn usage_before_the_horizon_waits_and_what_was_counted_of_it_stays() {
    let server = furnished();
    let at = |id: &str, time: &str, seconds: u32| {
        let mut event = call("zeta", id, number(&json!(seconds)));
        event["time"] = json!(time);
        event
    };
    let (old, closed, open) = ("2026-02-11T02:00:00Z", "2026-03-31T02:00:00Z", "2026-04-01T02:00:00Z");
    assert_eq!(sent(&server, &[at("old", old, 61)]), (1, 0));
    server.advance("2026-05-12T00:00:00+08:00");
    assert_eq!(server.get("/v1/clock").body["usage_from"], json!(null));
    server.close_before("2026-04-01T00:00:00Z");
    assert_eq!(server.get("/v1/clock").body["usage_from"], json!("2026-04-01T00:00:00Z"));
    let bill = || server.get("/v1/bills/zeta-2026-02").body["total"].clone();
    let (before, code) = (bill(), |(status, body): (u16, Value)| (status, body["code"].clone()));

    let mut unknown = at("stray", closed, 5);
    unknown["subject"] = json!("nobody");
    let events = [at("late", closed, 61), at("good", open, 61), at("old", old, 61), unknown];
    let got = server.send("POST", "/v1/usage", &[], json!(events).to_string()).body;
    let counts =
        ["accepted", "duplicates", "quarantined", "rejected"].map(|name| got[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2, 0]);
    let reason = &got["reasons"][0];
    assert_eq!((&reason["what"], &reason["code"]), (&json!("pbx/late"), &json!("before-horizon")));
    let sentence = reason["sentence"].as_str().unwrap();
    assert!(sentence.contains(closed) && sentence.contains("2026-04-01T00:00:00Z"), "{sentence}");
    let code_of = |id: &str| (id.to_owned(), "before-horizon".to_owned());
    assert_eq!(listed(&server, "?reason=before-horizon"), [code_of("stray"), code_of("late")]);
    assert_eq!(listed(&server, "?account=zeta"), [code_of("late")]);

    // It is among the events of its account, with what became of it.
    let stand = |asked: &str| -> Vec<(Value, Value)> {
        let page = server.get(&format!("/v1/accounts/zeta/events{asked}")).body;
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| (one["event"]["id"].clone(), one["code"].clone())).collect()
    };
    let late = (json!("late"), json!("before-horizon"));
    let billed = ["old", "good"].map(|id| (json!(id), json!(null)));
    assert_eq!(stand(""), [billed[0].clone(), late.clone(), billed[1].clone()]);
    assert_eq!(stand("?billed=false"), [late]);
    assert_eq!(stand("?billed=true"), billed);

    // What was counted is neither replaced nor taken back.
    let mut corrected = at("old", open, 120);
    corrected["revision"] = json!(1);
    let got = server.send("POST", "/v1/usage", &[], corrected.to_string()).body;
    assert_eq!((&got["rejected"], &got["reasons"][0]["code"]), (&json!(1), &json!("before-horizon")));
    let identity = |id: &str| json!({"source": "pbx", "id": id});
    let void = server.send("POST", "/v1/usage/void", &[], identity("old").to_string());
    assert_eq!(void.problem(), (409, "before-horizon"), "{}", void.text);
    assert_eq!(code(ask(&server, "mend", &at("old", open, 120))), (409, json!("before-horizon")));
    let mut discard = identity("old");
    discard["reason"] = json!("a test call");
    assert_eq!(code(ask(&server, "discard", &discard)), (409, json!("before-horizon")));

    // As it is, it waits; with a later time it is billed.
    for _ in 0..2 {
        let (status, stands) = ask(&server, "release", &identity("late"));
        assert_eq!((status, &stands["state"]), (200, &json!("quarantined")));
        assert_eq!(stands["sentence"], json!(sentence));
    }
    let (_, stands) = ask(&server, "mend", &at("late", "2026-03-30T02:00:00Z", 61));
    assert_eq!((&stands["state"], &stands["code"]), (&json!("quarantined"), &json!("before-horizon")));
    let counted = json!({"state": "counted", "code": null, "sentence": null});
    assert_eq!(ask(&server, "mend", &at("late", open, 61)), (200, counted));
    discard["id"] = json!("stray");
    assert_eq!(ask(&server, "discard", &discard), (200, json!({"found": true})));
    assert_eq!(listed(&server, ""), []);
    let events = |month: &str| -> u64 {
        let used = server.get(&format!("/v1/accounts/zeta/usage?month={month}")).body;
        used["items"].as_array().unwrap().iter().map(|one| one["events"].as_u64().unwrap()).sum()
    };
    assert_eq!(["2026-02", "2026-03", "2026-04"].map(events), [1, 0, 2]);
    server.advance("2026-07-01T00:00:00+08:00");
    assert_eq!(bill(), before);
    assert_eq!(server.get("/v1/accounts/zeta/events").body["items"].as_array().unwrap().len(), 3);
}

#[test]
fn what_was_mended_is_told_as_json_whatever_stands_before_it() {
    let server = furnished();
    let line = json!({"number": "4001", "direction": "outbound"});
    assert_eq!(sent(&server, &[call("zeta", "mute", line)]), (0, 1));
    let unreadable = server.send("POST", &format!("{PAGE}/mend"), &[], r#"{"specversion":"1.0","id":"mute""#);
    assert_eq!(unreadable.problem(), (422, "mistakes"), "{}", unreadable.text);
    let detail = unreadable.body["detail"].as_str().unwrap();
    assert!(detail.ends_with("; expected one CloudEvent that can be read"), "{detail}");
    let event = call("zeta", "mute", number(&json!(61))).to_string();
    let mended = server.send("POST", &format!("{PAGE}/mend"), &[], format!("\u{feff}{event}\n"));
    assert_eq!(mended.status, 200, "{}", mended.text);
    let trail = server.get("/v1/audit?command=mend-usage");
    let told = trail.body["items"][0]["command"].clone();
    let told: Value = told.as_str().map_or(told.clone(), |text| serde_json::from_str(text).unwrap());
    assert_eq!(told["event"]["data"]["seconds"], json!(61), "{}", trail.text);
}
