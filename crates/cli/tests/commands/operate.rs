//! What those who run a server see of it: metrics, logs, configuration.

use crate::common::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A real server, with what it writes to standard error in a file.
struct Server {
    child: Child,
    /// What it said when it started: `listening on`, `metrics on`, `operator key …`.
    said: BTreeMap<String, String>,
    log: PathBuf,
}

impl Server {
    /// `lines`: how many lines it says when it starts.
    fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], lines: usize) -> Server {
        let log = folder.join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = BTreeMap::new();
        for line in out.take(lines) {
            let line = line.unwrap();
            let (what, value) = line.rsplit_once(' ').unwrap();
            said.insert(what.trim_end_matches(':').to_owned(), value.to_owned());
        }
        let server = Server { child, said, log };
        assert_eq!(server.said.len(), lines, "{:?}: {}", server.said, server.logged());
        server
    }

    fn token(&self) -> &str {
        &self.said["operator key (shown this once)"]
    }

    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.said["listening on"]))
            .header("X-Request-Id", "asked-by-the-test");
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = agent().run(request.body(body.to_owned()).unwrap()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    fn post(&self, path: &str, body: &str) -> Value {
        let (status, text) = self.ask("POST", path, Some(self.token()), body);
        assert!(status < 300, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The page, asked without a key where watchers ask.
    fn metrics(&self) -> String {
        let mut response = agent().get(format!("{}/metrics", self.said["metrics on"])).call().unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        response.body_mut().read_to_string().unwrap()
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.logged()
    }
}

/// A test that fails leaves no process behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

const TEST_CLOCK: &[&str] = &["--test-clock", "2026-01-01T00:00:00+08:00"];

/// A price list, an account, an order that is refused, and usage of each outcome.
fn some_work(server: &Server) {
    server.post("/v1/catalogues", &text("catalogs/huawei-ykf.toml"));
    let open = json!({"command": "open", "title": "Acme", "currency": "CNY", "zone": "+08:00"}).to_string();
    server.post("/v1/accounts/acme/commands", &open);
    assert_eq!(server.ask("POST", "/v1/accounts/acme/commands", Some(server.token()), &open).0, 409);
    let call = |id: &str, subject: &str, seconds: u32| {
        json!({
            "specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": subject,
            "time": "2026-01-01T00:00:00+08:00",
            "data": {"direction": "outbound", "number": "1", "seconds": seconds},
        })
    };
    let usage =
        json!([call("a", "nobody", 1), call("a", "nobody", 1), call("a", "nobody", 2), {"no": "event"}]);
    let became = server.post("/v1/usage", &usage.to_string());
    assert_eq!(
        (&became["quarantined"], &became["duplicates"], &became["rejected"]),
        (&json!(1), &json!(1), &json!(2))
    );
}

fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not there:\n{page}")).parse().unwrap()
}

/// What promtool says of a page: nothing.
fn check(page: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool =
        started.expect("promtool is needed, of Debian's package prometheus; scripts/test installs it");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{page}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [TEST_CLOCK, &["--metrics-listen", "127.0.0.1:0"]].concat();
    let server = Server::start(folder.path(), &arguments, &[], 3);
    check(&server.metrics());
    some_work(&server);
    assert_eq!(server.ask("GET", "/v1/nothing", None, "").0, 404);
    let page = server.metrics();
    check(&page);
    for (sample, expected) in [
        ("farebox_usage_events_total{outcome=\"accepted\"}", 0.0),
        ("farebox_usage_events_total{outcome=\"duplicate\"}", 1.0),
        ("farebox_usage_events_total{outcome=\"quarantined\"}", 1.0),
        ("farebox_usage_events_total{outcome=\"rejected\"}", 2.0),
        ("farebox_http_requests_total{operation=\"send-command\",status=\"200\"}", 1.0),
        ("farebox_http_requests_total{operation=\"send-command\",status=\"409\"}", 1.0),
        ("farebox_http_requests_total{operation=\"none\",status=\"404\"}", 1.0),
        ("farebox_http_request_duration_seconds_count{operation=\"send-command\"}", 2.0),
        ("farebox_commits_total{outcome=\"failed\"}", 0.0),
        ("farebox_engine_jobs_waiting", 0.0),
        ("farebox_engine_jobs_waiting_limit", 4_096.0),
        ("farebox_http_body_memory_bytes", 0.0),
    ] {
        assert_eq!(value(&page, sample), expected, "{sample}\n{page}");
    }
    assert!(value(&page, "farebox_usage_bytes_total") > 500.0);
    assert!(value(&page, "farebox_commits_total{outcome=\"done\"}") >= 4.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(!page.contains("farebox_clock_lag_seconds"), "a test clock stands");
    // With the other routes it is the operator's alone.
    assert_eq!(server.ask("GET", "/metrics", None, "").0, 401);
    let (status, page) = server.ask("GET", "/metrics", Some(server.token()), "");
    assert_eq!(status, 200);
    check(&page);
    // Watchers do not keep a server from stopping.
    server.stop();
}

#[test]
fn the_system_s_clock_is_kept_though_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--metrics-listen", "127.0.0.1:0"], &[], 3);
    let runs = |page: &str| value(page, "farebox_schedule_runs_total{outcome=\"done\"}");
    let (start, first) = (Instant::now(), runs(&server.metrics()));
    while runs(&server.metrics()) < first + 2.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody looks at the schedule");
        std::thread::sleep(Duration::from_millis(100));
    }
    let page = server.metrics();
    check(&page);
    assert!(value(&page, "farebox_clock_lag_seconds") < 10.0, "{page}");
}
