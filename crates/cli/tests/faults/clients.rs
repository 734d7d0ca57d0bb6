//! Clients that are slow, that die, or that mean harm.

use crate::server::{Server, call, counted, furnish};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than any of these may make the server take.
const MEMORY_MIB: u64 = 128;

fn head(server: &Server, path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{more}\r\n\r\n", server.token)
}

/// What comes back until the server ends the connection, or an answer is whole.
fn heard(mut stream: &TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut said, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut some) {
        said.extend(&some[..length]);
        if said.ends_with(b"}") {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn is_well(server: &Server, events: u64) {
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(counted(server), events);
}

#[test]
fn slow_clients_are_let_go_and_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--patience-seconds", "2"]);
    furnish(&server);
    let event = call("slow", 1).to_string();
    let connect = || TcpStream::connect(server.host()).unwrap();
    let mut heads: Vec<_> = (0..200).map(|_| connect()).collect();
    let whole_head = head(&server, "/v1/usage", "Content-Length: 4000");
    let begin = |_| {
        let mut body = connect();
        body.write_all(whole_head.as_bytes()).unwrap();
        body
    };
    let mut bodies: Vec<_> = (0..200).map(begin).collect();
    // A byte now and then, of the head or of the body.
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for (index, byte) in "GET /v1/me HTTP/1.1\r\nX-Long: ".bytes().chain(std::iter::repeat(b'a')).enumerate()
    {
        if start.elapsed() > Duration::from_secs(3) {
            break;
        }
        for stream in &mut heads {
            let _ = stream.write_all(&[byte]);
        }
        for stream in &mut bodies {
            let _ = stream.write_all(&event.as_bytes()[index % event.len()..][..1]);
        }
        let asked = Instant::now();
        is_well(&server, 0);
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(slowest < Duration::from_secs(1), "others waited for {slowest:?}");
    for stream in &heads {
        assert!(!heard(stream).contains(" 200 "), "a head that never ended was answered");
    }
    for stream in &bodies {
        let heard = heard(stream);
        assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("too-slow"), "{heard}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    is_well(&server, 0);
    server.stop();
}

#[test]
fn of_a_body_that_ends_in_the_middle_nothing_counts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    // Whole events, one a line, of which the last ones never come.
    let lines: String = (0..500).map(|number| format!("{}\n", call("half", number))).collect();
    let declared = head(&server, "/v1/usage", &format!("Content-Length: {}", lines.len() * 2));
    let chunked = head(&server, "/v1/usage", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    let payment = json!({"command": "topup", "amount": "5.00"}).to_string();
    let commands = "/v1/accounts/acme/commands";
    let paying = head(&server, commands, &format!("Content-Length: {}", payment.len() + 1));
    for said in [
        format!("{declared}{lines}"),
        format!("{chunked}{chunk}"),
        format!("{chunked}{}", &chunk[..chunk.len() / 2]),
        format!("{paying}{payment}"),
    ] {
        for _ in 0..5 {
            let mut stream = TcpStream::connect(server.host()).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            // It dies at once, or after it has ended what it says.
            drop(stream);
            let mut stream = TcpStream::connect(server.host()).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let heard = heard(&stream);
            assert!(!heard.contains(" 200 "), "{heard}");
        }
    }
    is_well(&server, 0);
    assert_eq!(server.get("/v1/accounts/acme/balance").1["balance"], json!("0.00"));
    // The same, whole, counts once.
    let (status, answer) = server.post("/v1/usage", &[], &lines);
    assert_eq!((status, &answer["accepted"]), (200, &json!(500)), "{answer}");
    is_well(&server, 500);
    server.stop();
}

#[test]
fn bodies_that_never_end_are_refused_and_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let before = server.memory_mib();
    let mut highest = 0;
    let mebibyte = vec![b' '; 1 << 20];
    for more in ["Content-Length: 1099511627776", "Transfer-Encoding: chunked"] {
        for path in ["/v1/usage", "/v1/accounts/acme/commands"] {
            let mut stream = TcpStream::connect(server.host()).unwrap();
            stream.write_all(head(&server, path, more).as_bytes()).unwrap();
            let mut sent = 0;
            while sent < 1_000 {
                let written = match more.starts_with("Transfer") {
                    true => write!(stream, "100000\r\n")
                        .and_then(|()| stream.write_all(&mebibyte))
                        .and_then(|()| stream.write_all(b"\r\n")),
                    false => stream.write_all(&mebibyte),
                };
                if written.is_err() {
                    break;
                }
                sent += 1;
                highest = highest.max(server.memory_mib());
            }
            assert!(sent < 1_000, "{path}, {more}: all of it was taken");
            // Who has sent that much may not hear the answer any more.
            let heard = heard(&stream);
            assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 413"), "{heard}");
        }
    }
    assert!(highest < before + MEMORY_MIB, "{before} MiB before, {highest} MiB at most");
    is_well(&server, 0);
    server.stop();
}

#[test]
fn what_is_much_more_uncompressed_is_refused_and_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let before = server.memory_mib();
    // A gibibyte each, in a mebibyte or less.
    let spaces = || std::io::repeat(b' ').take(1 << 30);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut spaces(), &mut gzip).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(spaces(), 1).unwrap();
    assert!(gzip.len() < 16 << 20 && zstd.len() < 1 << 20, "{} {}", gzip.len(), zstd.len());
    let mut highest = 0;
    std::thread::scope(|scope| {
        for (encoding, bomb) in [("gzip", &gzip), ("zstd", &zstd)] {
            let server = &server;
            for _ in 0..4 {
                scope.spawn(move || {
                    let (status, answer) = server.post("/v1/usage", &[("Content-Encoding", encoding)], bomb);
                    assert_eq!((status, &answer["code"]), (413, &json!("too-large")), "{encoding}: {answer}");
                });
            }
        }
        for _ in 0..50 {
            highest = highest.max(server.memory_mib());
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    // Eight at once: each has its own body and what one of usage may have.
    let most = before + 8 * (16 + 8) + MEMORY_MIB;
    assert!(highest < most, "{before} MiB before, {highest} MiB at most");
    is_well(&server, 0);
    server.stop();
}

#[test]
fn json_that_is_deep_or_says_a_field_twice_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let before = server.memory_mib();
    let rejected = |body: &str| {
        let (status, answer) = server.post("/v1/usage", &[], body);
        let accepted = answer["accepted"].as_u64().unwrap_or_default();
        assert!((status == 200 || status == 400 || status == 422) && accepted == 0, "{status} {answer}");
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"data\":", "}]")] {
        let times = (15 << 20) / (open.len() + close.len());
        rejected(&open.repeat(times));
        rejected(&format!("{}1{}", open.repeat(times), close.repeat(times)));
        let times = 1_000_000 / (open.len() + close.len());
        let deep = format!("{}1{}", open.repeat(times), close.repeat(times));
        for path in ["/v1/accounts/acme/commands", "/v1/clock/advance", "/v1/keys", "/v1/usage/void"] {
            let (status, answer) = server.post(path, &[], &deep);
            assert!(status == 400 || status == 422, "{path}: {status} {answer}");
        }
    }
    let event = call("twice", 1).to_string();
    for field in ["id", "subject", "time", "data", "source", "type"] {
        let value = &call("twice", 2)[field];
        rejected(&event.replacen('{', &format!("{{\"{field}\":{value},"), 1));
    }
    let inside = event.replacen("\"seconds\":60", "\"seconds\":60,\"seconds\":6000", 1);
    assert!(inside.matches("seconds").count() == 2);
    rejected(&inside);
    let twice = "{\"command\": \"topup\", \"amount\": \"1\", \"amount\": \"2\"}";
    let (status, answer) = server.post("/v1/accounts/acme/commands", &[], twice);
    assert_eq!((status, &answer["code"]), (400, &json!("mistakes")), "{answer}");
    assert_eq!(server.get("/v1/accounts/acme/balance").1["balance"], json!("0.00"));
    let after = server.memory_mib();
    assert!(after < before + MEMORY_MIB, "{before} MiB before, {after} MiB after");
    is_well(&server, 0);
    // A million small mistakes are counted, and the first ones named.
    let (status, answer) = server.post("/v1/usage", &[], "{}\n".repeat(1_000_000));
    let named = answer["reasons"].as_array().map(Vec::len);
    assert_eq!((status, &answer["rejected"], named), (200, &json!(1_000_000), Some(100)));
    let (status, answer) = server.post("/v1/usage", &[], Value::from(vec![call("well", 1)]).to_string());
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)));
    server.stop();
}
