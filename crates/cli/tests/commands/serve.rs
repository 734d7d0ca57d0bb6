//! The server: a real process on a test clock, asked over HTTP, comes to what the book comes to.

use crate::common::{farebox, root, text};
use crate::server::{Server, TEST_CLOCK, serve};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

const BOOK: &str = "\
catalog \"{CATALOGS}/huawei-ykf.toml\"
2026-01-01 open acme \"Acme Trading\"
2026-01-05 10:00 subscribe acme basic-seat 3 as seats
2026-01-05 10:00 subscribe acme fixed-line-calls 1 as line number=057187654321
2026-01-20 09:00 usage acme call source=pbx id=c1 direction=outbound number=057187654321 seconds=125
2026-01-21 09:00 usage acme call source=pbx id=c2 direction=outbound number=057187654321 seconds=61
2026-01-22 add acme/seats 2
$ bill acme 2026-01
";

fn event(id: &str, time: &str, seconds: u32) -> Value {
    json!({
        "specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": "acme", "time": time,
        "data": { "direction": "outbound", "number": "057187654321", "seconds": seconds },
    })
}

fn catalogue() -> String {
    text("catalogs/huawei-ykf.toml")
}

#[test]
fn a_server_comes_to_what_its_book_comes_to_also_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.get("/readyz"), (200, Value::String("ready\n".to_owned())));
    assert_eq!(server.post("/v1/catalogues", &[], catalogue()).0, 201);
    let (status, body) = server.post("/v1/catalogues", &[], catalogue());
    assert_eq!((status, &body["code"]), (409, &json!("catalogue-exists")), "{body}");

    let open = json!({"command": "open", "title": "Acme Trading", "currency": "CNY", "zone": "+08:00"});
    assert_eq!(server.command("acme", &open).0, 200);
    let (status, body) = server.command("acme", &open);
    assert_eq!((status, &body["code"]), (409, &json!("account-exists")), "{body}");

    server.advance("2026-01-05T10:00:00+08:00");
    let seats = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 3, "name": "seats"});
    let key = [("Idempotency-Key", "order-1")];
    let commands = "/v1/accounts/acme/commands";
    let first = server.post(commands, &key, seats.to_string());
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(server.post(commands, &key, seats.to_string()), first, "the first answer is given again");
    let other = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 4, "name": "more"});
    let (status, body) = server.post(commands, &key, other.to_string());
    assert_eq!((status, &body["code"]), (422, &json!("idempotency-key-reused")), "{body}");
    let line = json!({
        "command": "subscribe", "plan": "fixed-line-calls", "quantity": 1, "name": "line",
        "attributes": {"number": "057187654321"},
    });
    assert_eq!(server.command("acme", &line).0, 200);
    // What was ordered a moment ago measures; what is void is on no bill.
    let c0 = event("c0", "2026-01-05T10:00:00+08:00", 600);
    let (_, body) = server.post("/v1/usage", &[], c0.to_string());
    assert_eq!(body["accepted"], json!(1), "{body}");
    let identity = json!({"source": "pbx", "id": "c0"}).to_string();
    assert_eq!(server.post("/v1/usage/void", &[], &identity), (200, json!({"found": true})));
    assert_eq!(server.post("/v1/usage/void", &[], &identity), (200, json!({"found": false})));
    assert_eq!(server.post("/v1/usage", &[], c0.to_string()).1["duplicates"], json!(1), "void for good");

    server.advance("2026-01-20T09:00:00+08:00");
    let c1 = event("c1", "2026-01-20T09:00:00+08:00", 125);
    let (status, body) = server.post("/v1/usage", &[], c1.to_string());
    assert_eq!((status, &body["accepted"]), (200, &json!(1)), "{body}");
    // Nothing that was answered is lost, and nothing of it is done twice.
    server.kill();
    let server = Server::start(folder.path());
    let (_, clock) = server.get("/v1/clock");
    let stands = json!({"at": "2026-01-20T01:00:00Z", "kind": "test", "usage_from": null});
    assert_eq!(clock, stands, "it never goes back");
    assert_eq!(server.post(commands, &key, seats.to_string()), first, "after a crash too");
    server.advance("2026-01-21T09:00:00+08:00");
    let changed = event("c1", "2026-01-20T09:00:00+08:00", 126);
    let batch =
        json!([c1, event("c2", "2026-01-21T09:00:00+08:00", 61), changed, event("c3", "yesterday", 1)]);
    let (status, body) = server.post("/v1/usage", &[], batch.to_string());
    assert_eq!(status, 200);
    let counts =
        ["accepted", "duplicates", "quarantined", "rejected"].map(|name| body[name].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 4, "each is in one count: {body}");
    assert_eq!((counts[0], counts[1]), (1, 1), "{body}");
    let unknown = json!({
        "specversion": "1.0", "source": "pbx", "id": "x", "type": "call", "subject": "nobody",
        "time": "2026-01-21T09:00:00+08:00", "data": {"seconds": 5},
    });
    let (_, body) = server.post("/v1/usage", &[], unknown.to_string());
    assert_eq!(
        (&body["quarantined"], &body["reasons"][0]["code"]),
        (&json!(1), &json!("unknown-account")),
        "{body}"
    );

    server.advance("2026-01-22T00:00:00+08:00");
    let add = json!({"command": "add", "subscription": "seats", "quantity": 2});
    let (status, body) = server.command("acme", &add);
    assert_eq!(status, 200, "{body}");
    server.advance("2026-02-01T00:00:00+08:00");
    let (status, bill) = server.get("/v1/bills/acme-2026-01");
    assert_eq!(status, 200, "{bill}");
    let listed = &server.get("/v1/accounts/acme/bills").1["items"][0];
    assert_eq!((&listed["id"], &listed["total"]), (&bill["id"], &bill["total"]));
    assert_eq!(server.get("/v1/accounts/acme").1["subscriptions"][1]["quantity"], json!(5));
    server.stop();

    let book = folder.path().join("acme.book");
    let catalogs = root().join("catalogs").display().to_string();
    std::fs::write(&book, BOOK.replace("{CATALOGS}", &catalogs)).unwrap();
    let output = farebox(&["--json", "bill", &book.display().to_string()]);
    let bills: Value = serde_json::from_slice(&output.stdout).unwrap();
    let printed = bills["bills"].as_array().or(bills.as_array()).unwrap();
    let printed = printed.iter().find(|one| one["id"] == "acme-2026-01").unwrap();
    assert_eq!(&bill, printed);
}

#[test]
fn a_clock_that_was_advanced_stays_so_though_nothing_was_due() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.advance("2026-01-20T09:00:00+08:00");
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(server.get("/v1/clock").1["at"], json!("2026-01-20T01:00:00Z"));
}

#[test]
fn a_lost_key_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let first = server.token.clone();
    server.stop();
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let server = Server::start_with(folder.path(), &["--new-operator-key", "--requests-per-minute", "60"]);
    assert_ne!(server.token, first);
    let (status, listed) = server.get("/v1/keys");
    let keys = listed["items"].as_array().unwrap();
    assert_eq!((status, keys.len()), (200, 2), "the first one is there still: {listed}");
    let file = rusqlite::Connection::open(folder.path().join("farebox.db")).unwrap();
    let rows = "SELECT count(*) FROM access_key WHERE role = 'operator' AND length(hash) = 32";
    assert_eq!(file.query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[test]
fn a_client_that_stops_in_the_middle_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let address = server.host();
    let head = format!(
        "POST /v1/accounts/acme/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n",
        server.token
    );
    let wish = r#"{"command": "open", "currency": "CNY", "zone": "UTC"}"#;
    let mut held = Vec::new();
    for (said, body) in [(1_000, wish), (1 << 40, wish), (10, ""), (wish.len(), &wish[..20])] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "{head}Content-Length: {said}\r\n\r\n{body}").unwrap();
            // One goes, the other stays and says nothing more.
            held.push((stream, TcpStream::connect(address).unwrap()));
        }
    }
    let gone = held.split_off(held.len() / 2);
    drop(gone);
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/v1/accounts/acme").0, 404, "what was not said whole is not done");
    let rest = "\r\n\r\n";
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\nzz{rest}").unwrap();
    let mut answered = String::new();
    let _ = stream.read_to_string(&mut answered);
    assert!(answered.starts_with("HTTP/1.1 400"), "{answered}");
    let open = json!({"command": "open", "currency": "CNY", "zone": "UTC"});
    assert_eq!(server.command("acme", &open).0, 200);
}

#[test]
fn what_is_wrong_is_said_where() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (status, body) = server.command("acme", &json!({"command": "open", "currency": "cny", "zone": 8}));
    assert_eq!((status, &body["code"]), (422, &json!("mistakes")), "{body}");
    assert!(body["mistakes"].as_array().unwrap().len() >= 2, "{body}");
    let (status, body) = server.post("/v1/catalogues", &[], catalogue().replace("\"+08:00\"", "\"Mars\""));
    assert_eq!((status, &body["code"]), (422, &json!("mistakes")), "{body}");
    assert!(body["mistakes"][0]["field"].as_str().unwrap().starts_with("line "), "{body}");
    assert_eq!(server.get("/v1/accounts/nobody").0, 404);
    assert_eq!(server.get("/v1/bills/nonsense").0, 404);
    assert_eq!(server.get("/v1/bills/人人人").0, 404);
    assert_eq!(server.get("/v2").0, 404);
    assert_eq!(server.post("/v1/clock", &[], "").0, 405);
    assert_eq!(server.post("/v1/clock/advance", &[], "{\"until\": \"soon\"}").0, 422);
    assert_eq!(server.post("/v1/clock/advance", &[], "{\"until\": \"2020-01-01T00:00:00Z\"}").0, 409);
    assert_eq!(server.post("/v1/usage", &[], vec![b'x'; 17 << 20]).0, 413);
    let second = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!second.status.success(), "one server at a time");
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use"), "{second:?}");
}

#[test]
fn a_server_that_cannot_listen_makes_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = |more: &[&str]| {
        let words = [&["serve", "--data", data.to_str().unwrap()], TEST_CLOCK, more].concat();
        let output = farebox(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        said
    };
    let both = || {
        let said = refused(&["--listen", &address]);
        assert!(said.contains(&format!("listen = \"{address}\": Address already in use")), "{said}");
        let said = refused(&["--listen", "127.0.0.1:0", "--metrics-listen", &address, "--new-operator-key"]);
        assert!(said.contains(&format!("metrics_listen = \"{address}\": Address already in use")), "{said}");
    };
    both();
    // The first that can listen makes it, and another one only when it is told to and can.
    std::fs::create_dir_all(&data).unwrap();
    let server = Server::start(&data);
    assert_eq!(server.get("/v1/keys").1["items"].as_array().unwrap().len(), 1);
    server.stop();
    both();
    let server = Server::start(&data);
    assert_eq!(server.get("/v1/keys").1["items"].as_array().unwrap().len(), 1);
    server.stop();
}

#[test]
fn a_key_that_nobody_would_see_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let to = |file: &str| Stdio::from(File::options().write(true).open(file).unwrap());
    for (out, why) in
        [("/dev/full", "No space left on device"), ("/dev/null", "standard output is closed, or /dev/null")]
    {
        let mut command = serve(&[], folder.path(), TEST_CLOCK);
        let output = command.stdout(to(out)).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("the operator's key cannot be shown, and was not kept") && said.contains(why),
            "{said}"
        );
    }
    let server = Server::start(folder.path());
    assert_eq!(server.get("/v1/keys").1["items"].as_array().unwrap().len(), 1);
    server.stop();
}

#[cfg(unix)]
#[test]
fn what_is_about_people_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mode = |name: &str| std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    let log = folder.path();
    let server = Server::run(serve(&[], &log.join("new/data"), TEST_CLOCK), log);
    server.stop();
    assert!(farebox(&["backup", "--data", &path("new/data"), &path("copy.farebox")]).status.success());
    assert!(farebox(&["restore", &path("copy.farebox"), "--data", &path("back")]).status.success());
    assert_eq!([mode("new/data"), mode("copy.farebox"), mode("back")], [0o700, 0o600, 0o700]);
}
