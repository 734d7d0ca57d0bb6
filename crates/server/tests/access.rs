//! Every route with every role, without a key, with one that was revoked, and with one of another tree.

mod common;

use common::{Got, Server};
use farebox_api::{Role, command};
use farebox_server::access::may;
use farebox_server::{Route, routes};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A body that the route does something with.
fn body(server: &Server, route: &Route) -> Vec<u8> {
    let list = || {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs/huawei-ykf.toml");
        std::fs::read_to_string(path).unwrap()
    };
    let json = match route.id {
        "make-key" => json!({"label": "another", "role": "support"}),
        "publish-catalogue" => {
            // Each time another one.
            let id = format!(
                "list-{}",
                server.get("/v1/catalogues?limit=1000").body["items"].as_array().unwrap().len()
            );
            return list().replace("id = \"huawei-ykf\"", &format!("id = \"{id}\"")).into_bytes();
        }
        "check-catalogue" | "compare-catalogue" => return list().into_bytes(),
        "send-command" => json!({"command": "use", "feature": "robot"}),
        "send-usage" => json!([]),
        "void-usage" => json!({"source": "pbx", "id": "c1"}),
        "retry-failed-runs" => json!({}),
        "mend-usage" | "release-usage" | "discard-usage" => {
            // Each time another piece of an account that is not there.
            let mut event = strange_call(server);
            match route.id {
                "mend-usage" => event["data"] = json!({"seconds": 7}),
                "release-usage" => event = json!({"source": event["source"], "id": event["id"]}),
                _ => event = json!({"source": event["source"], "id": event["id"], "reason": "a test"}),
            }
            event
        }
        "advance-clock" => json!({"until": "2026-02-10T00:00:00+08:00"}),
        "make-quote" => json!({"commands": [{"command": "add", "subscription": "seats", "quantity": 1}]}),
        _ => return Vec::new(),
    };
    json.to_string().into_bytes()
}

/// A call of an account that nobody has opened, which was sent.
fn strange_call(server: &Server) -> Value {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let id = format!("strange-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let event = json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": "nobody",
                       "time": "2026-02-01T10:00:00Z", "data": {"seconds": 5}});
    let got = server.send("POST", "/v1/usage", &[], event.to_string());
    assert_eq!(got.body["quarantined"], json!(1), "{}", got.text);
    event
}

/// Its address, about an account.
fn address(server: &Server, route: &Route, account: &str) -> String {
    let mut path = route.path.replace("{account}", account);
    for (name, value) in [
        ("{bill}", format!("{account}-2026-01")),
        ("{line}", format!("{account}-2026-01-1")),
        ("{subscription}", "seats".to_owned()),
        ("{catalogue}", "huawei-ykf".to_owned()),
    ] {
        path = path.replace(name, &value);
    }
    if path.contains("{key}") {
        path = path.replace("{key}", &server.key("support", None).0);
    }
    if route.id == "show-cost" {
        path += "?by=plan";
    }
    if route.id == "ask-question" {
        path += &format!("?question=balance+{account}");
    }
    if route.id == "export-focus" {
        path += "?issuer=Example";
    }
    assert!(!path.contains('{'), "{path}");
    path
}

fn is_about_an_account(route: &Route) -> bool {
    let is_in_path = ["{account}", "{bill}", "{line}"].iter().any(|name| route.path.contains(name));
    is_in_path || route.id == "ask-question"
}

#[test]
fn every_route_knows_every_role() {
    let server = Server::with_accounts(100_000);
    let keys: Vec<(Role, String)> = Role::ALL
        .into_iter()
        .map(|role| (role, server.key(role.name(), (role == Role::Customer).then_some("acme")).1))
        .collect();
    let (id, revoked) = server.key("operator", None);
    assert_eq!(server.send("DELETE", &format!("/v1/keys/{id}"), &[], "").status, 200);
    let mut asked = 0;
    for route in routes() {
        let ask = |token: &str| -> Got {
            let (path, body) = (address(&server, &route, "acme"), body(&server, &route));
            server.ask_as(token, &route.method, &path, body)
        };
        let without =
            server.ask(&route.method, &address(&server, &route, "acme"), &[], body(&server, &route));
        let Some(roles) = route.roles else {
            assert_eq!(without.status, 200, "{route:?}");
            continue;
        };
        assert_eq!(without.problem(), (401, "no-key"), "{route:?}");
        assert_eq!(without.header("www-authenticate"), "Bearer realm=\"farebox\"");
        for wrong in [revoked.as_str(), "fbx_000000000000_0", "nonsense"] {
            let got = ask(wrong);
            assert_eq!(got.problem(), (401, "no-key"), "{route:?}");
            assert!(got.header("www-authenticate").contains("invalid_token"), "{route:?}");
        }
        for (role, token) in &keys {
            let got = ask(token);
            if roles.contains(role) {
                // `use` of what was not ordered is refused by the engine, with a code of its own; an account that runs
                // is not erased.
                let refused = ["feature-not-included", "still-in-use"];
                let is_done =
                    (200..300).contains(&got.status) || refused.iter().any(|code| got.body["code"] == *code);
                assert!(is_done, "{role:?} {route:?}: {}", got.text);
            } else {
                assert_eq!(got.problem(), (403, "not-allowed"), "{role:?} {route:?}: {}", got.text);
            }
            asked += 1;
        }
    }
    assert!(asked >= 5 * 20, "{asked}");
}

#[test]
fn another_tree_is_as_if_it_were_not_there() {
    let server = Server::with_accounts(100_000);
    let zeta = server.key("customer", Some("zeta")).1;
    let member = server.key("customer", Some("acme-hk")).1;
    let acme = server.key("customer", Some("acme")).1;
    let without_id = |got: Got, name: &str| {
        let mut body = got.body.clone();
        assert!(!body["request_id"].take().is_null());
        let headers: Vec<&str> = got.headers.keys().map(|name| name.as_str()).collect();
        (got.status, body.to_string().replace(name, "NAME"), headers.join(" "))
    };
    let mut compared = 0;
    for route in routes().iter().filter(|route| route.roles.is_some() && is_about_an_account(route)) {
        let ask = |token: &str, account: &str| {
            let (path, body) = (address(&server, route, account), body(&server, route));
            without_id(server.ask_as(token, &route.method, &path, body), account)
        };
        if !route.roles.unwrap_or_default().contains(&Role::Customer) {
            continue;
        }
        let nobody = ask(&zeta, "nobody");
        assert_eq!(nobody.0, 404, "{route:?}: {nobody:?}");
        assert_eq!(ask(&zeta, "acme"), nobody, "{route:?}");
        assert_eq!(ask(&zeta, "acme-hk"), nobody, "{route:?}");
        // A member is no way to its master, nor to itself by another's bills.
        assert_eq!(ask(&member, "acme"), nobody, "{route:?}");
        assert_eq!(ask(&acme, "zeta"), nobody, "{route:?}");
        compared += 1;
    }
    assert!(compared >= 8, "{compared}");
    // Nothing of a tree is in what has no account in its address.
    for path in ["/v1/accounts", "/v1/accounts?payer=acme", "/v1/accounts?payer=acme-hk"] {
        let got = server.ask_as(&zeta, "GET", path, "");
        assert!(got.status == 200 && !got.text.contains("acme"), "{path}: {}", got.text);
    }
    let names = |token: &str| -> Vec<String> {
        let got = server.ask_as(token, "GET", "/v1/accounts", "");
        got.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&acme), ["acme", "acme-hk"]);
    assert_eq!(names(&member), ["acme-hk"]);
    assert_eq!(names(&zeta), ["zeta"]);
    assert_eq!(names(&server.token), ["acme", "acme-hk", "zeta"]);
    let own = server.ask_as(&acme, "GET", "/v1/accounts/acme-hk", "");
    assert_eq!(own.status, 200, "{}", own.text);
}

#[test]
fn every_command_knows_every_role() {
    let server = Server::with_accounts(100_000);
    for role in Role::ALL {
        let token = server.key(role.name(), (role == Role::Customer).then_some("acme")).1;
        let me = server.ask_as(&token, "GET", "/v1/me", "").body;
        for word in command::COMMANDS {
            let body = json!({"command": word}).to_string();
            let got = server.ask_as(&token, "POST", "/v1/accounts/acme/commands", body);
            let is_refused = got.problem() == (403, "not-allowed");
            assert_eq!(!is_refused, may(role, word), "{role:?} {word}: {}", got.text);
            let listed = me["commands"].as_array().unwrap().contains(&Value::from(*word));
            assert_eq!(listed, may(role, word), "{role:?} {word}");
        }
    }
    // A price list without what the vendor notes in its file.
    let token = server.key("customer", Some("acme")).1;
    let list = server.ask_as(&token, "GET", "/v1/catalogues/huawei-ykf", "").body;
    assert!(list["text"].is_null() && list["shown"].as_str().unwrap().contains("310"), "{list}");
    let own = server.get("/v1/catalogues/huawei-ykf").body;
    assert!(own["text"].as_str().unwrap().starts_with('#') && own["shown"] == list["shown"]);
    // What a customer could gain from: money, prices, the past.
    let customer = server.key("customer", Some("acme")).1;
    let back = json!({"command": "remove", "subscription": "seats", "quantity": 1, "effective": "2026-01-02T00:00:00Z"});
    let got = server.ask_as(&customer, "POST", "/v1/accounts/acme/commands", back.to_string());
    assert_eq!(got.problem(), (403, "not-allowed"), "{}", got.text);
    let now = json!({"command": "remove", "subscription": "seats", "quantity": 1});
    let got = server.ask_as(&customer, "POST", "/v1/accounts/acme-hk/commands", now.to_string());
    assert_eq!(got.status, 200, "{}", got.text);
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let server = Server::with_accounts(100_000);
    let (id, token) = server.key("customer", Some("acme"));
    let me = server.ask_as(&token, "GET", "/v1/me", "");
    assert_eq!((me.status, &me.body["id"], &me.body["account"]), (200, &json!(id), &json!("acme")));
    let listed = server.get("/v1/keys");
    let one = |listed: &Got| {
        let all = listed.body["items"].as_array().unwrap();
        all.iter().find(|one| one["id"] == *id).unwrap().clone()
    };
    let secret = token.rsplit('_').next().unwrap();
    assert!(!listed.text.contains(secret) && one(&listed)["created_by"] != Value::Null);
    // Its last use is kept by the server's own clock; nobody waits for it.
    let noted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        one(&server.get("/v1/keys"))["used_at"] != Value::Null
    });
    assert!(noted);
    // An hour by the clock that is kept, however little time that takes.
    let before = one(&server.get("/v1/keys"))["used_at"].clone();
    server.advance("2026-02-10T03:00:00+08:00");
    assert_eq!(server.ask_as(&token, "GET", "/v1/me", "").status, 200);
    let noted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        one(&server.get("/v1/keys"))["used_at"] == json!("2026-02-09T19:00:00Z")
    });
    assert!(noted && before == json!("2026-02-09T16:00:00Z"), "{before}");
    let path = format!("/v1/keys/{id}");
    let revoked = server.send("DELETE", &path, &[], "");
    assert_eq!((revoked.status, revoked.body["revoked_at"].is_string()), (200, true), "{}", revoked.text);
    assert_eq!(server.ask_as(&token, "GET", "/v1/me", "").status, 401);
    assert_eq!(server.send("DELETE", &path, &[], "").body["revoked_at"], revoked.body["revoked_at"], "once");
    assert_eq!(server.send("DELETE", "/v1/keys/none", &[], "").status, 404);
    // Somebody must be left who can make keys.
    let own = server.get("/v1/me").body["id"].as_str().unwrap().to_owned();
    let last = server.send("DELETE", &format!("/v1/keys/{own}"), &[], "");
    assert_eq!(last.problem(), (409, "last-operator-key"));
    for (wish, field) in [
        (json!({"label": "x", "role": "customer"}), "/account"),
        (json!({"label": "x", "role": "finance", "account": "acme"}), "/account"),
        (json!({"label": "x", "role": "king"}), "/role"),
        (json!({"role": "finance"}), "/label"),
    ] {
        let got = server.send("POST", "/v1/keys", &[], wish.to_string());
        assert_eq!((got.status, &got.body["mistakes"][0]["field"]), (422, &json!(field)), "{}", got.text);
    }
    let wish = json!({"label": "x", "role": "customer", "account": "nobody"});
    assert_eq!(server.send("POST", "/v1/keys", &[], wish.to_string()).problem(), (404, "unknown-account"));
}

#[test]
fn a_key_has_its_own_idempotency_keys_and_its_own_limit() {
    let server = Server::with_accounts(5);
    let (acme, zeta) = (server.key("customer", Some("acme")).1, server.key("customer", Some("zeta")).1);
    let ask = |token: &str, account: &str| {
        let bearer = format!("Bearer {token}");
        let body = json!({"command": "add", "subscription": "seats", "quantity": 1}).to_string();
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "order-1")];
        server.ask("POST", &format!("/v1/accounts/{account}/commands"), &headers, body)
    };
    let first = ask(&acme, "acme");
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(ask(&zeta, "zeta").status, 200, "another tree's key is another one");
    let again = ask(&acme, "acme");
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("ratelimit-limit"), "5");
    assert_eq!(again.header("ratelimit-remaining"), "3");
    (0..3).for_each(|_| assert_eq!(server.ask_as(&acme, "GET", "/v1/me", "").status, 200));
    let refused = server.ask_as(&acme, "GET", "/v1/me", "");
    assert_eq!(refused.problem(), (429, "too-many-requests"));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=12).contains(&seconds), "{seconds}");
    // Until it is full again; until the next one may be is another matter.
    let reset: u64 = refused.header("ratelimit-reset").parse().unwrap();
    assert!((55..=60).contains(&reset), "{reset}");
    assert_eq!(server.ask_as(&zeta, "GET", "/v1/me", "").status, 200, "others go on");
    (0..20).for_each(|_| assert_eq!(server.get("/v1/me").header("ratelimit-limit"), ""));
}

#[test]
fn what_changes_keys_and_the_clock_is_done_once() {
    let server = Server::with_accounts(100_000);
    let again = [("idempotency-key", "mine")];
    let new = json!({"label": "another", "role": "support"}).to_string();
    let made = server.send("POST", "/v1/keys", &again, new.clone());
    assert!(made.status == 201 && made.body["token"].is_string(), "{}", made.text);
    let id = made.body["key"]["id"].as_str().unwrap();
    let repeated = server.send("POST", "/v1/keys", &again, new);
    assert_eq!(repeated.problem(), (409, "token-was-shown"));
    assert!(repeated.text.contains(id) && !repeated.text.contains("fbx_"), "{}", repeated.text);
    let keys = |id: &str| {
        let all = server.get("/v1/keys").body["items"].as_array().unwrap().clone();
        all.into_iter().filter(|key| key["label"] == "another" && key["id"] != id).count()
    };
    assert_eq!(keys(id), 0, "there is no other one");
    // Revoked once; the same wish for another key is another wish.
    let again = [("idempotency-key", "away")];
    let (other, _) = server.key("support", None);
    let first = server.send("DELETE", &format!("/v1/keys/{id}"), &again, "");
    server.advance("2026-02-11T00:00:00+08:00");
    let second = server.send("DELETE", &format!("/v1/keys/{id}"), &again, "");
    assert_eq!((first.status, &first.body), (200, &second.body));
    let another = server.send("DELETE", &format!("/v1/keys/{other}"), &again, "");
    assert_eq!(another.problem(), (422, "idempotency-key-reused"));
    // The clock does not go where it has been.
    let to = |until: &str| json!({ "until": until }).to_string();
    let again = [("idempotency-key", "on")];
    let first = server.send("POST", "/v1/clock/advance", &again, to("2026-02-12T00:00:00+08:00"));
    server.advance("2026-02-13T00:00:00+08:00");
    let second = server.send("POST", "/v1/clock/advance", &again, to("2026-02-12T00:00:00+08:00"));
    assert_eq!((first.status, &first.text), (200, &second.text));
    assert_eq!(server.get("/v1/clock").body["at"], "2026-02-12T16:00:00Z");
}
