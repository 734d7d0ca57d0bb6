//! How the server behaves whatever is asked: ids of requests, versions, parameters, bodies.

mod common;

use common::Server;
use farebox_server::{document, routes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;

const COMMANDS: &str = "/v1/accounts/acme/commands";

#[test]
fn every_request_has_an_id() {
    let server = Server::start(100);
    let mut ids = BTreeSet::new();
    for (method, path, status) in [
        ("GET", "/v1/me", 200),
        ("GET", "/v1/accounts/no", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/me", 405),
    ] {
        let got = server.send(method, path, &[], "");
        assert_eq!(got.status, status, "{path}: {}", got.text);
        let id = got.header("x-request-id").to_owned();
        if status >= 400 {
            assert_eq!(
                (&got.body["request_id"], got.header("content-type")),
                (&json!(id), "application/problem+json")
            );
            assert_eq!(got.header("content-length"), got.text.len().to_string());
        }
        assert!(!id.is_empty() && ids.insert(id), "{path}");
        let named = server.send(method, path, &[("x-request-id", "order-17.a:b_c")], "");
        assert_eq!(named.header("x-request-id"), "order-17.a:b_c");
        let wrong = server.send(method, path, &[("x-request-id", "two words\"")], "");
        assert!(!wrong.header("x-request-id").contains(' '), "what is no id is not repeated");
    }
    assert_eq!(server.send("PUT", "/v1/me", &[], "").header("allow"), "GET,HEAD");
    let head = server.send("HEAD", "/v1/me", &[], "");
    assert_eq!((head.status, head.header("cache-control")), (200, "private, no-cache"));
    assert_eq!(head.header("x-content-type-options"), "nosniff");
}

#[test]
fn a_version_tells_whether_something_changed() {
    let server = Server::with_accounts(100);
    let bill = server.get("/v1/bills/acme-2026-01");
    let tag = bill.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    for known in [tag.clone(), format!("\"1\", W/{tag}")] {
        let same = server.send("GET", "/v1/bills/acme-2026-01", &[("if-none-match", &known)], "");
        assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", tag.as_str()));
    }
    let account = server.get("/v1/accounts/acme");
    assert_eq!(account.header("etag"), tag, "one group, one version");
    assert_eq!(format!("\"{}\"", account.body["version"]), tag);
    let add = json!({"command": "add", "subscription": "seats", "quantity": 1}).to_string();
    let send = |tag: &str| server.send("POST", COMMANDS, &[("if-match", tag)], add.clone());
    let first = send(&tag);
    assert_eq!(first.status, 200, "{}", first.text);
    let second = send(&tag);
    assert_eq!(second.problem(), (412, "version-changed"), "{}", second.text);
    let now = format!("\"{}\"", first.body["version"]);
    assert_eq!(send(&format!("\"1\", {now}")).status, 200);
    assert_eq!(send("*").status, 200);
    let open = json!({"command": "open", "currency": "CNY", "zone": "UTC"}).to_string();
    let got = server.send("POST", "/v1/accounts/new/commands", &[("if-match", "*")], open);
    assert_eq!(got.problem(), (412, "version-changed"), "there is none to match");
    for unreadable in ["4", "\"a\"", "", "\"\"", "W/\"4\"", "\"4\", 5", "*, \"4\"", "\"4"] {
        let got = send(unreadable);
        assert_eq!(got.problem(), (400, "bad-if-match"), "{unreadable}: {}", got.text);
        assert!(got.text.contains("in quotes"), "{}", got.text);
    }
    assert_eq!(send("\"123456789\"").problem(), (412, "version-changed"));
    let changed = server.send("GET", "/v1/bills/acme-2026-01", &[("if-none-match", &tag)], "");
    assert_eq!(changed.status, 200);
}

#[test]
fn a_bill_is_text_for_who_would_rather_have_that() {
    let server = Server::with_accounts(100);
    let bill = |accept: &str| server.send("GET", "/v1/bills/acme-2026-01", &[("accept", accept)], "");
    let json = server.get("/v1/bills/acme-2026-01");
    assert_eq!(json.header("vary"), "Accept");
    let question = "/v1/answers?question=bill+acme+2026-01+--explain&so-far=true";
    let expected = server.get(question);
    assert!(expected.status == 200 && expected.text.ends_with('\n'), "{}", expected.text);
    for accept in [
        "text/plain",
        "TEXT/Plain; charset=utf-8",
        "text/*",
        "application/json;q=0.5, text/plain;q=0.51",
        "text/html, text/plain, */*;q=0.8",
        "application/json;q=0, */*",
    ] {
        let text = bill(accept);
        assert_eq!((text.status, &text.text), (200, &expected.text), "{accept}");
        assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!((text.header("vary"), text.header("etag")), ("Accept", ""), "{accept}");
    }
    for accept in
        ["*/*", "application/json", "text/plain, */*", "text/html", "text/plain;q=0", "", "nonsense"]
    {
        let other = bill(accept);
        assert_eq!((other.status, &other.body), (200, &json.body), "{accept}");
        assert_eq!(other.header("content-type"), "application/json");
    }
    // The version is that of the JSON: text is sent again.
    let known = [("accept", "text/plain"), ("if-none-match", json.header("etag"))];
    assert_eq!(server.send("GET", "/v1/bills/acme-2026-01", &known, "").text, expected.text);
    let none = server.send("GET", "/v1/bills/acme-2020-01", &[("accept", "text/plain")], "");
    assert_eq!(none.problem(), (404, "no-bill"));
}

#[test]
fn a_filter_that_can_let_nothing_through_is_a_mistake() {
    let server = Server::with_accounts(100);
    for (path, known, unknown) in [
        ("/v1/quarantine", "reason=no-rate", "reason=no-rates"),
        ("/v1/audit", "command=make-key", "command=make-keys"),
        ("/v1/accounts/acme/audit", "command=charges", "command=nothing"),
        ("/v1/accounts/acme/audit", "command=subscribe", "command=suscribe"),
        ("/v1/accounts/acme/notices", "kind=grace-began", "kind=grace"),
    ] {
        assert_eq!(server.get(&format!("{path}?{known}")).status, 200, "{path}?{known}");
        let got = server.get(&format!("{path}?{unknown}"));
        assert_eq!(got.problem(), (422, "mistakes"), "{}", got.text);
        let (_, word) = known.split_once('=').unwrap();
        assert!(got.body["mistakes"][0]["expected"].as_str().unwrap().contains(word), "{}", got.text);
    }
}

#[test]
fn a_clock_that_cannot_go_back_says_what_was_asked_and_where_it_stands() {
    let server = Server::with_accounts(100);
    let got = server.send("POST", "/v1/clock/advance", &[], r#"{"until": "2020-01-01T00:00:00Z"}"#);
    assert_eq!(got.problem(), (409, "clock-not-advanced"), "{}", got.text);
    let (detail, now) = (got.body["detail"].as_str().unwrap(), server.get("/v1/clock").body["at"].clone());
    for part in ["2020-01-01T00:00:00Z is before", now.as_str().unwrap()] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[test]
fn names_are_as_long_as_the_description_says_and_of_any_script() {
    let server = Server::with_accounts(100);
    let document = server.get("/v1/openapi.json").body;
    let parameters = document["paths"]["/v1/accounts/{account}"]["get"]["parameters"].clone();
    assert_eq!(parameters[0]["schema"]["maxLength"], json!(64));
    let long = "é".repeat(64);
    let open = |name: &str| {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let body = json!({"command": "open", "currency": "CNY", "zone": "UTC"}).to_string();
        server.send("POST", &format!("/v1/accounts/{encoded}/commands"), &[], body).status
    };
    for name in ["a.b", ".a", "客服", "Ärger_1-2", &long] {
        assert_eq!(open(name), 200, "{name}");
    }
    for name in [".", "..", "a b", &format!("{long}x"), "a+b"] {
        assert_eq!(open(name), 422, "{name}");
    }
}

#[test]
fn what_is_wrong_with_parameters_is_said_of_each() {
    let server = Server::with_accounts(100);
    for (query, fields) in [
        ("limit=0", vec!["?limit"]),
        ("limit=1001", vec!["?limit"]),
        ("limit=%2B1", vec!["?limit"]),
        ("limit=1&limit=1", vec!["?limit"]),
        ("limit=x&after=&of=1", vec!["?limit", "?after", "?of"]),
        ("after=%ff", vec!["?"]),
        ("payer=a%20b", vec!["?payer"]),
    ] {
        let got = server.get(&format!("/v1/accounts?{query}"));
        assert_eq!(got.problem(), (422, "mistakes"), "{query}: {}", got.text);
        let named: Vec<&str> = got.body["mistakes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{query}");
        let detail = got.body["detail"].as_str().unwrap();
        let many = format!("the parameters have {} mistakes", fields.len());
        assert_eq!(detail == many, fields.len() > 1, "{detail}");
    }
    assert_eq!(server.get("/v1/me?x=1").problem(), (422, "mistakes"));
    for (query, found) in [("", "nothing"), ("?by=colour", "\"colour\"")] {
        let got = server.get(&format!("/v1/accounts/acme/cost{query}"));
        assert_eq!(got.problem(), (422, "mistakes"), "it must be said by what");
        let by = "project, application, member, group, plan or tag:NAME";
        assert_eq!(got.body["detail"], json!(format!("?by: {found}; expected {by}")));
    }
    assert_eq!(server.get("/v1/accounts/acme/cost?by=plan&from=2026-02&to=2026-01").status, 422);
    assert_eq!(
        server.get("/v1/accounts/acme/cost?by=plan&from=1990-01&to=2026-01").status,
        422,
        "121 months"
    );
    assert_eq!(server.get("/v1/accounts/%ff").problem(), (400, "bad-address"));
    assert_eq!(server.get("/v1/accounts/acme/postings?after=9999999999999999999").status, 422);
    let empty = server.get("/v1/accounts/acme/bills?due=true&after=zzz");
    assert_eq!((empty.status, &empty.body), (200, &json!({"items": [], "next": null})));
}

#[test]
fn bodies_may_be_compressed_and_are_bounded() {
    let server = Server::with_accounts(100);
    let add = json!({"command": "add", "subscription": "seats", "quantity": 1}).to_string();
    let gzip = |bytes: &[u8]| {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let send = |encoding: &str, body: Vec<u8>| {
        server.send("POST", COMMANDS, &[("content-encoding", encoding)], body)
    };
    assert_eq!(send("gzip", gzip(add.as_bytes())).status, 200);
    assert_eq!(send("zstd", zstd(add.as_bytes())).status, 200);
    assert_eq!(send("identity", add.clone().into_bytes()).status, 200);
    assert_eq!(send("gzip", add.clone().into_bytes()).problem(), (400, "bad-body"));
    assert_eq!(send("br", add.clone().into_bytes()).problem(), (415, "unsupported-media-type"));
    let large = vec![b' '; (1 << 20) + 1];
    for (encoding, body) in [("gzip", gzip(&large)), ("zstd", zstd(&large)), ("identity", large)] {
        assert_eq!(send(encoding, body).problem(), (413, "too-large"), "{encoding}");
    }
    // Usage may be larger, and its rows are counted all the same.
    let event = |number: u32| {
        json!({"specversion": "1.0", "source": "pbx", "id": number.to_string(), "type": "call", "subject": "acme",
               "time": "2026-02-01T00:00:00Z", "data": {"seconds": 5}})
    };
    let batch = Value::from((0..5_000).map(event).collect::<Vec<_>>()).to_string();
    assert!(batch.len() > 500_000);
    let got = server.send("POST", "/v1/usage", &[("content-encoding", "zstd")], zstd(batch.as_bytes()));
    let counts =
        ["accepted", "duplicates", "quarantined", "rejected"].map(|name| got.body[name].as_u64().unwrap());
    assert_eq!((got.status, counts.iter().sum::<u64>()), (200, 5_000), "{}", got.text);
    let got = server.send("POST", "/v1/usage", &[], vec![b' '; (16 << 20) + 1]);
    assert_eq!(got.problem(), (413, "too-large"));
    for media in ["application/x-www-form-urlencoded", "text/html", "application/toml"] {
        let got = server.send("POST", COMMANDS, &[("content-type", media)], add.clone());
        assert_eq!(got.problem(), (415, "unsupported-media-type"), "{media}");
    }
}

#[test]
fn the_same_event_written_otherwise_is_a_duplicate() {
    let server = Server::with_accounts(100);
    let send = |head: &str, data: &str| {
        let body = format!(
            "{{{head},\"type\":\"call\",\"subject\":\"acme\",\"time\":\"2026-02-01T00:00:00Z\",\"data\":{data}}}"
        );
        let got = server.send("POST", "/v1/usage", &[], body);
        assert_eq!(got.status, 200, "{}", got.text);
        (got.body["duplicates"].as_u64().unwrap(), got.body["rejected"].as_u64().unwrap(), got.text)
    };
    let (head, turned) = (
        "\"specversion\":\"1.0\",\"source\":\"pbx\",\"id\":\"e1\"",
        "\"id\":\"e1\",\"source\":\"pbx\",\"specversion\":\"1.0\"",
    );
    let first = send(head, "{\"seconds\":5,\"rate\":2.0,\"to\":\"x\"}");
    assert_eq!((first.0, first.1), (0, 0), "{}", first.2);
    for same in
        ["{\"to\":\"x\",\"rate\":2,\"seconds\":5.0}", "{ \"rate\" : 2.00, \"seconds\":5, \"to\":\"x\" }"]
    {
        let again = send(turned, same);
        assert_eq!((again.0, again.1), (1, 0), "{}", again.2);
    }
    for other in ["{\"seconds\":5,\"rate\":2.5,\"to\":\"x\"}", "{\"seconds\":5,\"rate\":2}"] {
        let other = send(head, other);
        assert_eq!((other.0, other.1), (0, 0), "{}", other.2);
        assert!(other.2.contains("\"quarantined\":1") && other.2.contains("conflict"), "{}", other.2);
        let again = send(head, "{\"seconds\":5,\"rate\":2.5,\"to\":\"x\"}");
        assert_eq!((again.0, again.1), (1, 0), "it waits already: {}", again.2);
    }
    let waiting = || server.get("/v1/quarantine?reason=conflict").body["items"].as_array().unwrap().len();
    let ask = |path: &str, body: &str| server.send("POST", path, &[], body.to_owned()).text;
    assert_eq!(waiting(), 2);
    let identity = "{\"source\":\"pbx\",\"id\":\"e1\"}";
    let stands = ask("/v1/quarantine/release", identity);
    // What was said first cannot be billed either, and goes with what contradicts it.
    assert!(stands.contains("\"state\":\"quarantined\"") && stands.contains("nothing-measures"), "{stands}");
    let gone = ask("/v1/quarantine/discard", "{\"source\":\"pbx\",\"id\":\"e1\",\"reason\":\"a test\"}");
    assert!(gone.contains("\"found\":true") && waiting() == 0, "{gone}");
}

#[test]
fn json_that_means_harm_is_refused() {
    let server = Server::with_accounts(100);
    let deep = "[".repeat(100_000);
    for (body, status) in [
        (deep.clone(), 400),
        (format!("{{\"command\": {deep}"), 400),
        (format!("{{\"command\": \"use\", \"feature\": {}1{}}}", "[".repeat(120), "]".repeat(120)), 422),
        (format!("{{\"command\": \"use\", \"feature\": {}{}}}", "[".repeat(126), "]".repeat(126)), 422),
        (format!("{{\"command\": \"use\", \"feature\": {}{}}}", "[".repeat(127), "]".repeat(127)), 400),
        ("{\"command\": \"topup\", \"amount\": \"1\", \"amount\": \"2\"}".to_owned(), 400),
        ("{\"command\": \"topup\", \"command\": \"payout\", \"amount\": \"2\"}".to_owned(), 400),
        ("{\"command\": \"topup\", \"amount\": \"1\"} {}".to_owned(), 400),
        ("{\"command\": \"topup\", \"amount\": 1.0}".to_owned(), 422),
        ("{\"command\": \"topup\", \"amount\": \"1\", \"more\": 1}".to_owned(), 422),
        ("null".to_owned(), 422),
        (String::new(), 400),
        ("\u{0}".to_owned(), 400),
    ] {
        let got = server.send("POST", COMMANDS, &[], body.clone());
        let begin: String = body.chars().take(60).collect();
        assert_eq!(got.problem(), (status, "mistakes"), "{begin}: {}", got.text);
    }
    for path in ["/v1/clock/advance", "/v1/usage/void", "/v1/keys", "/v1/accounts/acme/quotes"] {
        let got = server.send("POST", path, &[], deep.clone());
        assert!((400..500).contains(&got.status), "{path}: {}", got.text);
    }
    for (depth, counts) in [(62, ["quarantined", "rejected"]), (63, ["rejected", "quarantined"])] {
        let event = format!(
            "{{\"specversion\":\"1.0\",\"source\":\"s\",\"id\":\"e{depth}\",\"type\":\"call\",\"subject\":\"acme\",\
             \"time\":\"2026-02-01T00:00:00Z\",\"data\":{{\"deep\":{}1{}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let got = server.send("POST", "/v1/usage", &[], event);
        assert_eq!(counts.map(|name| got.body[name].clone()), [json!(1), json!(0)], "{depth}: {}", got.text);
    }
    let got = server.send("POST", "/v1/usage", &[], deep);
    assert!(got.status == 200 && got.body["accepted"] == 0 || got.status == 422, "{}", got.text);
    assert_eq!(server.get("/v1/accounts/acme/balance").body["balance"], "0.00", "nothing was paid in");
}

#[test]
fn the_same_command_written_otherwise_is_the_same() {
    let server = Server::with_accounts(100);
    let send =
        |key: &str, body: &str| server.send("POST", COMMANDS, &[("idempotency-key", key)], body.to_owned());
    let first = send("a b;c", r#"{"command": "topup", "amount": "5"}"#);
    assert_eq!(first.status, 200, "{}", first.text);
    let again = send("a b;c", "{\n  \"amount\" : \"\\u0035\",\n  \"command\" : \"topup\"\n}");
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = send("a b;c", r#"{"command": "topup", "amount": "5.0"}"#);
    assert_eq!(other.problem(), (422, "idempotency-key-reused"), "{}", other.text);
    assert_eq!(server.get("/v1/accounts/acme").body["version"], first.body["version"], "decided once");
    for keys in [vec!["one", "two"], vec!["one", "one"], vec![""], vec!["a\tb"], vec![" a"]] {
        let headers: Vec<(&str, &str)> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        let got = server.send("POST", COMMANDS, &headers, r#"{"command": "topup", "amount": "1"}"#);
        assert_eq!(got.problem(), (400, "bad-idempotency-key"), "{keys:?}: {}", got.text);
    }
}

#[test]
fn rows_that_cannot_be_read_are_told_apart() {
    let server = Server::with_accounts(100);
    let good = r#"{"specversion":"1.0","source":"pbx","id":"g","type":"call","subject":"acme","time":"2026-02-01T00:00:00Z"}"#;
    let bad = r#"{"id":"b1"}"#;
    let told = |body: String| {
        let got = server.send("POST", "/v1/usage", &[], body);
        let reasons = got.body["reasons"].as_array().unwrap().clone();
        let rejected = reasons.into_iter().filter(|one| one["row"].is_u64());
        rejected.map(|one| (one["row"].as_u64().unwrap(), one["what"].clone())).collect::<Vec<_>>()
    };
    let expected = |rows: [u64; 2]| rows.map(|row| (row, json!(bad)));
    assert_eq!(told(format!("[{bad},{good},{bad}]")), expected([1, 3]));
    assert_eq!(told(format!("{good}\n\n{bad}\n{bad}")), expected([3, 4]));
    // A text in Base64 is read as what it says.
    let bytes = good
        .replace('}', r#","id":"bytes","data_base64":"eyJzZWNvbmRzIjo1fQ=="}"#)
        .replace("\"id\":\"g\",", "");
    let got = server.send("POST", "/v1/usage", &[], bytes);
    assert_eq!(got.body["quarantined"], 1, "{}", got.text);
    let shown = server.get("/v1/accounts/acme/events?limit=1000").body;
    let event = shown["items"].as_array().unwrap().iter().find(|one| one["event"]["id"] == "bytes").unwrap();
    assert_eq!(event["event"]["data"], json!({"seconds": 5}));
}

#[test]
fn usage_and_keys_are_described_as_they_are_read() {
    let document = document();
    let body = &document["paths"]["/v1/usage"]["post"]["requestBody"]["content"];
    let event = &body["application/cloudevents+json"]["schema"]["properties"];
    for name in ["start", "revision", "data", "data_base64", "datacontenttype"] {
        assert!(event[name].is_object(), "{name}");
    }
    assert!(event.as_object().unwrap().values().all(|one| one["maxLength"].is_null()));
    // As long as that.
    let server = Server::with_accounts(100);
    let long = json!({"specversion": "1.0", "source": "s".repeat(300), "id": "i".repeat(300), "type": "call",
                      "subject": "acme", "time": "2026-02-01T00:00:00Z", "revision": 2, "start": "2026-01-31T23:59:00Z"});
    let got = server.send("POST", "/v1/usage", &[], long.to_string());
    assert_eq!((got.status, &got.body["quarantined"]), (200, &json!(1)), "{}", got.text);
    for route in routes() {
        let described = &document["paths"][route.path][route.method.to_lowercase()];
        let has_body = !described["requestBody"].is_null();
        assert_eq!(described["responses"]["408"].is_object(), has_body, "{}", route.id);
    }
    let parameters =
        document["paths"]["/v1/accounts/{account}/commands"]["post"]["parameters"].as_array().unwrap();
    let key = parameters.iter().find(|one| one["name"] == "Idempotency-Key").unwrap();
    assert_eq!(key["schema"]["pattern"], "^[!-~]([ -~]{0,198}[!-~])?$");
}

#[test]
fn the_description_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let served = Server::start(100).ask("GET", "/v1/openapi.json", &[], "");
    assert_eq!(served.body, document, "without a key too");
    let mut ids = BTreeSet::new();
    for route in routes() {
        let described = &document["paths"][route.path][route.method.to_lowercase()];
        assert!(ids.insert(described["operationId"].as_str().unwrap()), "{} twice", route.id);
        assert!(described["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{}", route.id);
        let is_open = described["security"].is_null();
        assert_eq!(is_open, route.roles.is_none(), "{}", route.id);
    }
    // Everything that is referred to is there.
    let text = document.to_string();
    for name in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let page = Server::start(100).ask("GET", "/docs", &[], "");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
}
