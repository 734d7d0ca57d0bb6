//! What those who run a server see of it: metrics, logs, configuration.

use crate::common::text;
use crate::server::{Server, TEST_CLOCK, agent, serve};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks with an id of its own for the request.
fn ask(server: &Server, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", server.address))
        .header("X-Request-Id", "asked-by-the-test");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = agent().run(request.body(body.to_owned()).unwrap()).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

fn post(server: &Server, path: &str, body: &str) -> Value {
    let (status, text) = ask(server, "POST", path, Some(&server.token), body);
    assert!(status < 300, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The page, asked without a key where watchers ask.
fn metrics(server: &Server) -> String {
    let mut response = agent().get(format!("{}/metrics", server.said["metrics on"])).call().unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.body_mut().read_to_string().unwrap()
}

/// A price list, an account, an order that is refused, and usage of each outcome.
fn some_work(server: &Server) {
    post(server, "/v1/catalogues", &text("catalogs/huawei-ykf.toml"));
    let open = json!({"command": "open", "title": "Acme", "currency": "CNY", "zone": "+08:00"}).to_string();
    post(server, "/v1/accounts/acme/commands", &open);
    assert_eq!(ask(server, "POST", "/v1/accounts/acme/commands", Some(&server.token), &open).0, 409);
    let call = |id: &str, subject: &str, seconds: u32| {
        json!({
            "specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": subject,
            "time": "2026-01-01T00:00:00+08:00",
            "data": {"direction": "outbound", "number": "1", "seconds": seconds},
        })
    };
    let usage =
        json!([call("a", "nobody", 1), call("a", "nobody", 1), call("a", "nobody", 2), {"no": "event"}]);
    let became = post(server, "/v1/usage", &usage.to_string());
    assert_eq!(
        (&became["quarantined"], &became["duplicates"], &became["rejected"]),
        (&json!(2), &json!(1), &json!(1))
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
    let server = Server::start_with(folder.path(), &["--metrics-listen", "127.0.0.1:0"]);
    check(&metrics(&server));
    some_work(&server);
    assert_eq!(ask(&server, "GET", "/v1/nothing", None, "").0, 404);
    // The engine hears that a commit has landed after those who waited for it.
    let (start, mut page) = (Instant::now(), metrics(&server));
    while value(&page, "farebox_engine_jobs_waiting") > 0.0 && start.elapsed() < Duration::from_secs(5) {
        page = metrics(&server);
    }
    check(&page);
    for (sample, expected) in [
        ("farebox_usage_events_total{outcome=\"accepted\"}", 0.0),
        ("farebox_usage_events_total{outcome=\"duplicate\"}", 1.0),
        ("farebox_usage_events_total{outcome=\"quarantined\"}", 2.0),
        ("farebox_usage_events_total{outcome=\"rejected\"}", 1.0),
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
    assert_eq!(ask(&server, "GET", "/metrics", None, "").0, 401);
    let (status, page) = ask(&server, "GET", "/metrics", Some(&server.token), "");
    assert_eq!(status, 200);
    check(&page);
    // Watchers do not keep a server from stopping.
    server.stop();
}

#[test]
fn the_system_s_clock_is_kept_though_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let command = serve(&[], folder.path(), &["--metrics-listen", "127.0.0.1:0"]);
    let server = Server::run(command, folder.path());
    let runs = |page: &str| value(page, "farebox_schedule_runs_total{outcome=\"done\"}");
    let (start, first) = (Instant::now(), runs(&metrics(&server)));
    while runs(&metrics(&server)) < first + 2.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody looks at the schedule");
        std::thread::sleep(Duration::from_millis(100));
    }
    let page = metrics(&server);
    check(&page);
    assert!(value(&page, "farebox_clock_lag_seconds") < 10.0, "{page}");
}

/// The events of a log in JSON that have this message.
fn events(log: &str, message: &str) -> Vec<Value> {
    let all =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    all.filter(|event: &Value| event["message"] == message).collect()
}

#[test]
fn what_happens_is_logged_and_no_secret_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--log-form", "json", "--log-level", "debug"]);
    let token = server.token.clone();
    some_work(&server);
    let wish = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 3}).to_string();
    let headed = || {
        let request = agent().post(format!("{}/v1/accounts/acme/commands", server.address));
        let request =
            request.header("Authorization", format!("Bearer {token}")).header("Idempotency-Key", "k");
        assert_eq!(request.send(wish.as_str()).unwrap().status(), 200);
    };
    headed();
    headed();
    assert_eq!(ask(&server, "GET", "/v1/keys", Some("fbx_000000000000_guessed"), "").0, 401);
    let log = server.stop();

    let started = &events(&log, "started")[0];
    assert_eq!((&started["level"], &started["clock"]), (&json!("INFO"), &json!("test")), "{log}");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert!(started["data"] == folder.path().to_str().unwrap() && started["listen"].is_string(), "{log}");
    let told: Vec<(Value, Value, Value)> = events(&log, "command")
        .iter()
        .map(|event| (event["command"].clone(), event["outcome"].clone(), event["repeated"].clone()))
        .collect();
    let line = |word: &str, outcome: &str, repeated: bool| (json!(word), json!(outcome), json!(repeated));
    let expected = [
        line("open", "done", false),
        line("open", "account-exists", false),
        line("subscribe", "done", false),
        line("subscribe", "done", true),
    ];
    assert_eq!(told, expected, "{log}");
    let command = &events(&log, "command")[0];
    let id = token.split('_').nth(1).unwrap();
    assert_eq!((&command["key"], &command["account"]), (&json!(id), &json!("acme")), "{log}");
    assert_eq!(command["request"], "asked-by-the-test");
    assert!(command["micros"].as_u64().unwrap() > 0, "{log}");
    let refused = &events(&log, "refused")[0];
    assert_eq!(
        (&refused["operation"], &refused["outcome"]),
        (&json!("list-keys"), &json!("no-key")),
        "{log}"
    );
    assert_eq!((events(&log, "stopping").len(), events(&log, "stopped").len()), (1, 1), "{log}");
    for secret in [token.rsplit('_').next().unwrap(), "guessed", "Acme", "outbound"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn a_store_that_cannot_be_written_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    // A write that is not taken is an error, and not the end of the process.
    let wrapped = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let arguments = [TEST_CLOCK, &["--metrics-listen", "127.0.0.1:0"]].concat();
    let server = Server::run(serve(&wrapped, folder.path(), &arguments), folder.path());
    some_work(&server);
    // No file may grow beyond what the longest of the store has.
    let longest = std::fs::metadata(folder.path().join("farebox.db-wal")).unwrap().len();
    let limit = |bytes: &str| {
        let (id, limit) = (server.id().to_string(), format!("--fsize={bytes}:"));
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    };
    limit(&longest.to_string());
    let open = json!({"command": "open", "title": "B", "currency": "CNY", "zone": "+08:00"}).to_string();
    let failed = |name: &str| {
        ask(&server, "POST", &format!("/v1/accounts/{name}/commands"), Some(&server.token), &open)
    };
    let (first, second) = (failed("b"), failed("c"));
    assert!(first.0 == 503 && second.0 == 503, "{first:?} {second:?}");
    assert!(first.1.contains("store-unwritable"), "{}", first.1);
    let page = metrics(&server);
    assert!(value(&page, "farebox_commits_total{outcome=\"failed\"}") >= 2.0, "{page}");
    limit("unlimited");
    assert_eq!(failed("b").0, 200);
    let log = server.stop();
    assert_eq!(log.matches("a commit has failed").count(), 1, "{log}");
    assert_eq!(log.matches("a commit works again").count(), 1, "{log}");
}

/// A price with which a large quantity comes to more than can be billed exactly.
const DEAR: &str = include_str!("../../../../scenarios/engine/dear.toml");

#[test]
fn what_time_does_is_measured_and_what_fails_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--metrics-listen", "127.0.0.1:0", "--log-form", "json"];
    let server = Server::start_with(folder.path(), &arguments);
    server.post("/v1/catalogues", &[], DEAR);
    for (account, units) in [("bad", "900000000000001"), ("good", "2")] {
        for command in [
            json!({"command": "open", "title": account, "currency": "CNY", "zone": "+08:00"}),
            json!({"command": "subscribe", "plan": "things", "quantity": 1}),
        ] {
            server.command(account, &command);
        }
        let event = json!({
            "specversion": "1.0", "source": "test", "id": account, "type": "use", "subject": account,
            "time": "2026-01-01T10:00:00+08:00", "data": {"units": units},
        });
        server.post("/v1/usage", &[], event.to_string());
    }
    server.advance("2026-01-03T00:00:00+08:00");
    server.advance("2029-01-03T00:00:00+08:00");
    let page = metrics(&server);
    check(&page);
    for (sample, expected) in [
        ("farebox_duties_total{duty=\"charges\",outcome=\"refused\"}", 1.0),
        ("farebox_duties_total{duty=\"charges\",outcome=\"done\"}", 1_098.0),
        ("farebox_duty_lines_total{duty=\"charges\"}", 1.0),
        ("farebox_groups_failing", 1.0),
        ("farebox_groups_due", 1.0),
        // That of what is about no account, too.
        ("farebox_groups_in_memory", 3.0),
        ("farebox_holds_open", 0.0),
        ("farebox_identities_in_memory", 2.0),
        ("farebox_identity_runs", 0.0),
        ("farebox_next_due_timestamp_seconds", 1_862_150_400.0),
    ] {
        assert_eq!(value(&page, sample), expected, "{sample}\n{page}");
    }
    assert!(value(&page, "farebox_duty_seconds_total{duty=\"charges\"}") > 0.0, "{page}");
    server.post("/v1/usage/void", &[], json!({"source": "test", "id": "bad"}).to_string());
    server.post("/v1/schedule/retry", &[], "{}");
    assert_eq!(value(&metrics(&server), "farebox_groups_failing"), 0.0);
    let log = server.stop();
    let failed = events(&log, "a settlement has failed");
    let [failed] = failed.as_slice() else { panic!("{log}") };
    assert_eq!((&failed["level"], &failed["account"]), (&json!("WARN"), &json!("bad")));
    assert_eq!((&failed["duty"], &failed["code"]), (&json!("charges"), &json!("out-of-range")));
    assert_eq!(failed["due"], "2026-01-01T16:00:00Z");
    assert_eq!(events(&log, "a settlement works again").len(), 1, "{log}");
    let caught_up = events(&log, "caught up");
    let [first, second] = caught_up.as_slice() else { panic!("{log}") };
    assert!(first["runs"].as_u64().unwrap() > 1_000 && first["millis"].as_u64().unwrap() > 0, "{first}");
    assert_eq!((&first["failing"], &first["until"]), (&json!(1), &json!("2029-01-02T16:00:00Z")));
    // What had waited.
    assert!(second["runs"].as_u64().unwrap() > 1_000 && second["failing"] == 0, "{second}");
}

#[test]
fn what_is_left_of_traces_is_sent_when_the_server_stops() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        std::io::Read::read_exact(&mut reader, &mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        (head, String::from_utf8_lossy(&body).into_owned())
    });
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(&[], folder.path(), TEST_CLOCK);
    command.env("FAREBOX_OTLP_ENDPOINT", &endpoint);
    let server = Server::run(command, folder.path());
    assert_eq!(ask(&server, "GET", "/v1/keys", Some(&server.token), "").0, 200);
    let secret = server.token.rsplit('_').next().unwrap().to_owned();
    let log = server.stop();
    let (head, body) = receiver.join().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    for there in ["service.name", "farebox", "GET /v1/keys", "list-keys", "asked-by-the-test", "decide"] {
        assert!(body.contains(there), "{there}: {body}");
    }
    assert!(!body.contains(&secret) && log.contains(&format!("endpoint={endpoint}/v1/traces")), "{log}");
}

#[test]
fn a_server_has_no_more_groups_in_memory_than_it_may() {
    let in_memory = |arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [&["--metrics-listen", "127.0.0.1:0"], arguments].concat();
        let server = Server::start_with(folder.path(), &arguments);
        for number in 0..20 {
            let open = json!({"command": "open", "title": "Acme", "currency": "CNY", "zone": "+08:00"});
            post(&server, &format!("/v1/accounts/a{number}/commands"), &open.to_string());
        }
        let (status, page) = ask(&server, "GET", "/v1/accounts/a0", Some(&server.token), "");
        assert_eq!(status, 200, "{page}");
        value(&metrics(&server), "farebox_groups_in_memory")
    };
    assert!(in_memory(&[]) >= 20.0);
    // Those of the last commits are in use.
    assert!(in_memory(&["--groups-in-memory", "0"]) < 8.0);
}

#[test]
fn a_configuration_is_shown_with_what_says_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("farebox.toml"), "data = \"kept\"\nrequests_per_minute = 60\n")
        .unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(arguments)
            .current_dir(folder.path())
            .env("FAREBOX_LISTEN", "0.0.0.0:80")
            .output()
            .unwrap()
    };
    let output = run(&["config", "--config", "farebox.toml", "--log-level", "debug"]);
    assert_eq!(
        String::from_utf8(output.stdout.clone()).unwrap(),
        "\
data = \"kept\"              # farebox.toml:1
listen = \"0.0.0.0:80\"      # FAREBOX_LISTEN
# metrics_listen is not set
# test_clock is not set
requests_per_minute = 60   # farebox.toml:2
body_memory_mib = 512      # default
groups_in_memory = 100000  # default
patience_seconds = 60      # default
# usage_months is not set
# otlp_endpoint is not set
log_level = \"debug\"        # --log-level
log_form = \"text\"          # default
"
    );
    // It is a file itself, which comes to the same.
    std::fs::write(folder.path().join("again.toml"), output.stdout).unwrap();
    let again = run(&["config", "--config", "again.toml", "--json"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again[0]["value"], &again[0]["place"]), (&json!("kept"), &json!("again.toml:1")));
    assert_eq!((&again[1]["value"], &again[1]["source"]), (&json!("0.0.0.0:80"), &json!("environment")));

    std::fs::write(folder.path().join("wrong.toml"), "data = \"kept\"\nlistn = \"here\"\n").unwrap();
    for command in ["config", "serve"] {
        let output = run(&[command, "--config", "wrong.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.starts_with("wrong.toml:2:1: unknown setting \"listn\"; expected one of data, "),
            "{said}"
        );
        assert!(said.ends_with("; did you mean \"listen\"?\n"), "{said}");
    }
    let output = run(&["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "farebox: data is not set; say --data, FAREBOX_DATA, or data in the file of --config\n");
}
