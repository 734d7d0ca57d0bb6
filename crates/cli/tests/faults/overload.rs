//! More than the server can do: it says so at once, stays within its memory, and loses nothing of what it took.

use crate::server::{Server, call, counted, furnish};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What bodies may have in these tests.
const ROOM_MIB: u64 = 64;

/// An answer that was read from a connection.
struct Got {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

fn receive(stream: &TcpStream) -> Got {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
    let (mut length, mut retry_after) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name {
            "content-length" => length = value.parse().unwrap(),
            "retry-after" => retry_after = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Got { status, retry_after, body: serde_json::from_slice(&body).unwrap() }
}

/// Sends the head of a request with a body of a length, and some of the body.
fn begin(server: &Server, path: &str, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.host()).unwrap();
    let token = &server.token;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    stream
}

fn batch(source: &str, numbers: std::ops::Range<u64>) -> Vec<u8> {
    Value::from(numbers.map(|number| call(source, number)).collect::<Vec<_>>()).to_string().into_bytes()
}

fn is_busy(got: &Got) -> bool {
    let is_busy = got.status == 503;
    assert_eq!(is_busy, got.body["code"] == json!("busy"), "{} {}", got.status, got.body);
    assert_eq!(is_busy, got.retry_after.is_some(), "who is told to come again is told when");
    is_busy
}

#[test]
fn bodies_that_find_no_room_are_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--body-memory-mib", &ROOM_MIB.to_string()]);
    furnish(&server);
    let before = server.memory_mib();
    // Each says that it is going to send 16 MiB, and stops in the middle.
    let part = vec![b' '; 8 << 20];
    let mut slow: Vec<TcpStream> =
        (0..ROOM_MIB / 8 - 1).map(|_| begin(&server, "/v1/usage", 16 << 20, &part)).collect();
    // The last one may find no room for all of it.
    slow.push(begin(&server, "/v1/usage", 16 << 20, &part[..(7 << 20) + (900 << 10)]));
    // All of it has come when the rest of the room is less than a small body.
    let small = batch("pbx", 0..1_000);
    let taken = || {
        let page = server.get("/metrics").1;
        let line = page
            .as_str()
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("farebox_http_body_memory_bytes "));
        line.unwrap().parse::<f64>().unwrap()
    };
    let start = Instant::now();
    while taken() + small.len() as f64 <= (ROOM_MIB << 20) as f64 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} bytes have come", taken());
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = receive(&begin(&server, "/v1/usage", small.len(), &small));
    assert!(is_busy(&refused), "{} {}", refused.status, refused.body);
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    let during = server.memory_mib();
    assert!(during < before + ROOM_MIB * 2, "{before} MiB before, {during} MiB with full room");
    // What needs no room is done.
    assert_eq!(server.get("/v1/accounts/acme").0, 200);
    drop(slow);
    let start = Instant::now();
    while is_busy(&receive(&begin(&server, "/v1/usage", small.len(), &small))) {
        assert!(start.elapsed() < Duration::from_secs(20), "room is never free again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counted(&server), 1_000, "what was not whole counts nothing");
    server.stop();
}

#[test]
fn what_waits_is_bounded_and_done_when_the_store_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--body-memory-mib", &ROOM_MIB.to_string()]);
    furnish(&server);
    let before = server.memory_mib();
    // Someone else holds the file: whatever is to be kept waits.
    let file = hold(&folder);
    let streams: Vec<TcpStream> = (0..24)
        .map(|client| {
            let body = batch(&format!("pbx-{client}"), 0..20_000);
            begin(&server, "/v1/usage", body.len(), &body)
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let during = server.memory_mib();
    file.execute_batch("ROLLBACK").unwrap();
    let answers: Vec<Got> = streams.iter().map(receive).collect();
    let busy = answers.iter().filter(|got| is_busy(got)).count();
    let told: u64 = answers.iter().filter_map(|got| got.body["accepted"].as_u64()).sum();
    assert!(busy > 0 && told == 20_000 * (24 - busy as u64), "{busy} of 24 found no room, {told} accepted");
    assert_eq!(counted(&server), told);
    let after = server.memory_mib();
    eprintln!(
        "{before} MiB, {during} MiB while {ROOM_MIB} MiB of bodies waited, {after} MiB when they were done"
    );
    assert!(during.max(after) < before + ROOM_MIB * 4, "{before}, {during}, {after} MiB");
    server.stop();
}

#[test]
fn bills_of_which_nothing_waits_to_be_kept_are_shown_while_nothing_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    assert_eq!(server.post("/v1/usage", &[], call("pbx", 1).to_string()).0, 200);
    server.advance("2026-02-02T00:00:00+08:00");
    let (status, bills) = server.get("/v1/accounts/acme/bills");
    assert_eq!(status, 200, "{bills}");
    let bill = format!("/v1/bills/{}", bills["items"][0]["id"].as_str().unwrap());
    let lines = format!("{bill}/lines");
    let before = (server.get(&bill), server.get(&lines));
    assert!(!before.1.1["items"].as_array().unwrap().is_empty(), "{}", before.1.1);
    // Someone else holds the file. Usage of the account waits, and is in no bill yet.
    let file = hold(&folder);
    let usage = json!([call("pbx", 2)]).to_string();
    let waiting = begin(&server, "/v1/usage", usage.len(), usage.as_bytes());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((server.get(&bill), server.get(&lines)), before);
    // What is decided on the account changes what is shown: it waits until that is kept, whether it is on its way
    // already or waits for the usage.
    let paying = pay(&server);
    shown_when_free(&server, &bill, file);
    assert_eq!((receive(&waiting).status, receive(&paying).status), (200, 200));
    let file = hold(&folder);
    let paying = pay(&server);
    shown_when_free(&server, &bill, file);
    assert_eq!(receive(&paying).status, 200);
    server.stop();
}

fn hold(folder: &TempDir) -> rusqlite::Connection {
    let file = rusqlite::Connection::open(folder.path().join("farebox.db")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    file
}

fn pay(server: &Server) -> TcpStream {
    let payment = json!({"command": "topup", "amount": "5.00"}).to_string();
    let paying = begin(server, "/v1/accounts/acme/commands", payment.len(), payment.as_bytes());
    std::thread::sleep(Duration::from_millis(300));
    paying
}

/// Asks for a bill while someone holds the file: it is shown when he lets it go.
fn shown_when_free(server: &Server, bill: &str, file: rusqlite::Connection) {
    let (asked, held) = (Instant::now(), Duration::from_millis(700));
    let shown_after = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(held);
            file.execute_batch("ROLLBACK").unwrap();
        });
        assert_eq!(server.get(bill).0, 200);
        asked.elapsed()
    });
    assert!(shown_after >= held, "it was shown after {shown_after:?}");
}

#[test]
fn more_jobs_than_may_wait_are_told_to_come_again() {
    const REQUESTS: u64 = 5_000;
    // This process has a connection for each.
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, "--nofile=16384:"]).status().unwrap();
    assert!(raised.success(), "the limit of open files is below 16384");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let before = server.memory_mib();
    let file = hold(&folder);
    let start = Instant::now();
    let streams: Vec<TcpStream> = (0..REQUESTS)
        .map(|number| {
            let body = call("pbx", number).to_string();
            begin(&server, "/v1/usage", body.len(), body.as_bytes())
        })
        .collect();
    // The last ones are answered though nothing can be kept.
    let last = receive(&streams[streams.len() - 1]);
    let held = start.elapsed();
    assert!(is_busy(&last), "{}", last.body);
    let during = server.memory_mib();
    file.execute_batch("ROLLBACK").unwrap();
    let answers: Vec<Got> = streams[..streams.len() - 1].iter().map(receive).collect();
    let busy = answers.iter().filter(|got| got.status == 503).inspect(|got| assert!(is_busy(got))).count();
    let told: u64 = answers.iter().filter_map(|got| got.body["accepted"].as_u64()).sum();
    eprintln!("{before} MiB, {during} MiB with {told} jobs; {busy} refused; held for {held:?}");
    assert!(busy > 0 && told > 4_000 && told + busy as u64 + 1 == REQUESTS, "{told} accepted, {busy} busy");
    assert_eq!(counted(&server), told);
    assert!(during < before + 256, "{before} MiB before, {during} MiB while they waited");
    let page = server.get("/metrics").1.to_string();
    assert!(page.contains(&format!("farebox_engine_jobs_refused_total {}", busy + 1)), "{page}");
    server.stop();
}

#[test]
fn who_asks_more_than_a_minute_allows_is_told_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--requests-per-minute", "5"]);
    furnish(&server);
    let wish = json!({"role": "customer", "account": "acme", "label": "portal"}).to_string();
    let (status, made) = server.post("/v1/keys", &[], wish);
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap();
    let ask = || {
        let mut stream = TcpStream::connect(server.host()).unwrap();
        let head =
            format!("GET /v1/accounts/acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        receive(&stream)
    };
    let answers: Vec<Got> = (0..8).map(|_| ask()).collect();
    let limited: Vec<&Got> = answers.iter().filter(|got| got.status == 429).collect();
    assert!(limited.len() >= 2, "{:?}", answers.iter().map(|got| got.status).collect::<Vec<_>>());
    for got in limited {
        let seconds: u64 = got.retry_after.as_deref().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    // Others are not held up by it.
    assert_eq!(server.get("/v1/accounts/acme").0, 200);
}
