//! A real server: the built binary, serving a folder at an address that the system chooses.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const TEST_CLOCK: &[&str] = &["--test-clock", "2026-01-01T00:00:00+08:00"];

/// What the server prints before the key, which it prints at its first start.
const KEY: &str = "operator key (shown this once)";

pub struct Server {
    child: Arc<Mutex<Child>>,
    /// What it printed when it started: `listening on`, `metrics on`.
    pub said: BTreeMap<String, String>,
    pub address: String,
    /// The operator's; what the first start printed is kept beside the store.
    pub token: String,
    log: PathBuf,
}

/// The command that serves a folder. `wrapped`: a program that runs it, with its arguments.
pub fn serve(wrapped: &[&str], folder: &Path, arguments: &[&str]) -> Command {
    let words = wrapped.iter().copied().chain([env!("CARGO_BIN_EXE_farebox"), "serve"]);
    let mut words = words.chain(["--listen", "127.0.0.1:0", "--data"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(folder).args(arguments);
    command
}

impl Server {
    /// With a test clock.
    pub fn start(folder: &Path) -> Server {
        Server::start_with(folder, &[])
    }

    pub fn start_at(folder: &Path, clock: &str) -> Server {
        Server::run(serve(&[], folder, &["--test-clock", clock]), folder)
    }

    /// With a test clock, and more arguments.
    pub fn start_with(folder: &Path, more: &[&str]) -> Server {
        Server::run(serve(&[], folder, &[TEST_CLOCK, more].concat()), folder)
    }

    /// Runs a command of [`serve`].
    pub fn run(command: Command, folder: &Path) -> Server {
        Server::try_run(command, folder).unwrap_or_else(|said| panic!("it does not start: {said}"))
    }

    /// The same; or what it says when it does not start.
    pub fn try_run(mut command: Command, folder: &Path) -> Result<Server, String> {
        let log = folder.join("log");
        // A disk that nobody can write has no log.
        let kept = File::options().create(true).append(true).open(&log);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(kept.map_or_else(|_| Stdio::piped(), Stdio::from))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let has_metrics = command.get_args().any(|word| word == "--metrics-listen");
        let token = folder.join("token");
        let lines = 1 + usize::from(has_metrics) + usize::from(!token.exists());
        let mut said = BTreeMap::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().take(lines) {
            let line = line.unwrap();
            let (what, value) = line.rsplit_once(' ').unwrap();
            said.insert(what.trim_end_matches(':').to_owned(), value.to_owned());
        }
        if said.len() < lines {
            let output = child.wait_with_output().unwrap();
            let logged = std::fs::read_to_string(&log).unwrap_or_default();
            let heard = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} {logged}{heard}", output.status));
        }
        if let Some(key) = said.remove(KEY) {
            std::fs::write(&token, key).unwrap();
        }
        let (address, token) = (said["listening on"].clone(), std::fs::read_to_string(&token).unwrap());
        Ok(Server { child: Arc::new(Mutex::new(child)), said, address, token, log })
    }

    pub fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Where it listens, without `http://`.
    pub fn host(&self) -> &str {
        self.address.strip_prefix("http://").unwrap()
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let request = agent().get(format!("{}{path}", self.address));
        answer(request.header("Authorization", format!("Bearer {}", self.token)).call())
    }

    /// What is answered to who would rather read text than JSON.
    pub fn read(&self, path: &str) -> (u16, String) {
        let request = agent().get(format!("{}{path}", self.address)).header("Accept", "text/plain");
        let mut response = request.header("Authorization", format!("Bearer {}", self.token)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, Value) {
        let mut request = agent().post(format!("{}{path}", self.address));
        request = request.header("Authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body.as_ref()))
    }

    pub fn command(&self, account: &str, body: &Value) -> (u16, Value) {
        self.post(&format!("/v1/accounts/{account}/commands"), &[], body.to_string())
    }

    pub fn advance(&self, until: &str) {
        let (status, body) = self.post("/v1/clock/advance", &[], json!({ "until": until }).to_string());
        assert_eq!(status, 200, "{body}");
    }

    /// Memory that it has, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// What it has written to standard error, and those before it on the same folder.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has written this: what it does and what it says of that are not the same moment.
    pub fn says(&self, text: &str) {
        let start = Instant::now();
        while !self.logged().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(20), "it never says {text:?}: {}", self.logged());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL: it has no time for anything.
    pub fn kill(self) {
        self.killer()();
    }

    /// The same, to be done later by someone else.
    pub fn killer(&self) -> impl FnOnce() + Send + 'static {
        let child = self.child.clone();
        move || {
            let mut child = child.lock().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM: it answers what it has begun, and ends by itself. Answers what it wrote to standard error.
    pub fn stop(self) -> String {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.lock().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.logged());
        self.logged()
    }
}

/// A test that fails leaves no process behind.
impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An account with a line whose calls are measured, on a server without any.
pub fn furnish(server: &Server) {
    let list = crate::common::text("catalogs/huawei-ykf.toml");
    assert_eq!(server.post("/v1/catalogues", &[], list).0, 201);
    for command in [
        json!({"command": "open", "title": "Acme", "currency": "CNY", "zone": "+08:00"}),
        json!({"command": "subscribe", "plan": "fixed-line-calls", "quantity": 1, "name": "line",
               "attributes": {"number": "057187654321"}}),
    ] {
        let (status, answer) = server.command("acme", &command);
        assert_eq!(status, 200, "{answer}");
    }
}

/// A call of a minute of that account, as a CloudEvent.
pub fn call(source: &str, number: u64) -> Value {
    json!({
        "specversion": "1.0", "source": source, "id": number.to_string(), "type": "call", "subject": "acme",
        "time": "2026-01-01T00:00:00+08:00",
        "data": {"direction": "outbound", "number": "057187654321", "seconds": 60},
    })
}

/// How many of these calls are counted.
pub fn counted(server: &Server) -> u64 {
    let (status, used) = server.get("/v1/accounts/acme/usage");
    assert_eq!(status, 200, "{used}");
    used["items"].as_array().unwrap().iter().map(|one| one["events"].as_u64().unwrap()).sum()
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.unwrap();
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
