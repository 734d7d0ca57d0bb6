//! A server in this process, on a store in memory and a test clock, and clients of it.
#![allow(dead_code)]

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use farebox_core::engine::Catalogues;
use farebox_server::engine::Engine;
use farebox_server::{Access, Bounds, Clock, Site, Traces};
use farebox_service::Service;
use farebox_store::Memory;
use serde_json::{Value, json};
use std::path::Path;
use tokio::runtime::Runtime;

/// A price with which a large quantity comes to more than can be billed exactly.
const LIST: &str = include_str!("../../../../scenarios/engine/dear.toml");

/// An answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Got {
    /// The status and the stable code of a problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub struct Server {
    runtime: Runtime,
    site: Site,
    engine: Engine,
    /// The operator's.
    pub token: String,
}

impl Server {
    /// `per_minute`: how many requests of those who have a limit are done in a minute.
    pub fn start(per_minute: u32) -> Server {
        Server::start_traced(per_minute, None)
    }

    pub fn start_traced(per_minute: u32, traces: Option<Traces>) -> Server {
        let clock = "2026-01-01T00:00:00+08:00".parse().unwrap();
        let mut service = Service::open(Box::new(Memory::new()), Catalogues::default(), clock).unwrap();
        let (access, token) = Access::open(&mut service, per_minute, false, |_| Ok(())).unwrap();
        let (engine, _) = Engine::start_within(service, Clock::Test, Bounds::default(), traces).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Server { runtime, site: Site::new(engine.clone(), access), engine, token: token.unwrap() }
    }

    /// The same with a price list, the account acme with its member acme-hk, and zeta, which has nothing to do with
    /// them; a month has gone by.
    pub fn with_accounts(per_minute: u32) -> Server {
        let server = Server::start(per_minute);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs/huawei-ykf.toml");
        let list = std::fs::read(path).unwrap();
        let published = server.send("POST", "/v1/catalogues", &[], list);
        assert_eq!(published.status, 201, "{published:?}");
        let open =
            |title: &str| json!({"command": "open", "title": title, "currency": "CNY", "zone": "+08:00"});
        server.command("acme", &open("Acme Ltd"));
        server.command("zeta", &open("Zeta Ltd"));
        let mut member = open("Acme Hong Kong");
        member["member_of"] = json!("acme");
        server.command("acme-hk", &member);
        for account in ["acme", "acme-hk", "zeta"] {
            let order =
                json!({"command": "subscribe", "plan": "basic-seat", "name": "seats", "quantity": 10});
            server.command(account, &order);
        }
        server.advance("2026-02-10T00:00:00+08:00");
        server
    }

    /// Asks with these headers, and no others.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        self.runtime.block_on(async {
            let response = self.site.answer(request).await;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            Got { status, headers, text, body }
        })
    }

    /// Asks with a key.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: impl Into<Body>) -> Got {
        let bearer = format!("Bearer {token}");
        self.ask(method, path, &[(header::AUTHORIZATION.as_str(), &bearer)], body)
    }

    /// Asks as the operator.
    pub fn send(&self, method: &str, path: &str, more: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        self.ask(method, path, &headers, body)
    }

    pub fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], "")
    }

    /// A command of the operator that is accepted.
    pub fn command(&self, account: &str, body: &Value) -> Value {
        let path = format!("/v1/accounts/{account}/commands");
        let got = self.send("POST", &path, &[], body.to_string());
        assert_eq!(got.status, 200, "{body}: {}", got.text);
        got.body
    }

    /// Moves the retention horizon.
    pub fn close_before(&self, at: &str) {
        let at = at.parse().unwrap();
        assert!(self.runtime.block_on(self.engine.ask(move |service| service.move_horizon(at))).unwrap());
    }

    pub fn advance(&self, until: &str) {
        let got = self.send("POST", "/v1/clock/advance", &[], json!({"until": until}).to_string());
        assert_eq!(got.status, 200, "{}", got.text);
    }

    /// Opens an account that has used so many of what is dear, at a moment: 900000000000001 cannot be billed.
    pub fn dear(&self, account: &str, units: &str, time: &str) {
        // A price list that is there already changes nothing.
        self.send("POST", "/v1/catalogues", &[], LIST);
        self.command(
            account,
            &json!({"command": "open", "title": account, "currency": "CNY", "zone": "+08:00"}),
        );
        self.command(account, &json!({"command": "subscribe", "plan": "things", "quantity": 1}));
        let event = json!({
            "specversion": "1.0", "source": "test", "id": format!("of-{account}"), "type": "use",
            "subject": account, "time": time, "data": {"units": units},
        });
        let became = self.send("POST", "/v1/usage", &[], event.to_string());
        assert_eq!(became.body["accepted"], 1, "{became:?}");
    }

    /// A new key: its id and its token.
    pub fn key(&self, role: &str, account: Option<&str>) -> (String, String) {
        let wish = json!({"label": format!("a key of {role}"), "role": role, "account": account});
        let got = self.send("POST", "/v1/keys", &[], wish.to_string());
        assert_eq!(got.status, 201, "{}", got.text);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&got.body["key"]["id"]), text(&got.body["token"]))
    }
}
