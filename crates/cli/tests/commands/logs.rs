//! Whoever keeps the log of a server may be gone, full or slow: the server goes on.

use crate::server::{Server, TEST_CLOCK, agent, serve};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A server whose standard error is this file.
fn logging_to(log: &Path, folder: &Path) -> Server {
    let wrapped = ["sh", "-c", "log=$1; shift; exec \"$@\" 2>\"$log\"", "sh", log.to_str().unwrap()];
    Server::run(serve(&wrapped, folder, &[TEST_CLOCK, &["--log-level", "trace"]].concat()), folder)
}

/// A pipe with a reader, who reads when he likes to. With both ends open, whoever opens it does not wait.
fn pipe(folder: &Path) -> (std::path::PathBuf, File) {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = File::options().read(true).write(true).open(&path).unwrap();
    (path, reader)
}

/// Commands are answered, as is who asks whether the server is there.
fn works(server: &Server) {
    let open = json!({"command": "open", "currency": "CNY", "zone": "UTC"});
    assert_eq!(server.command("acme", &open).0, 200);
    for number in 0..3 {
        let (key, topup) = (format!("key-{number}"), json!({"command": "topup", "amount": "1"}).to_string());
        let (status, answer) = server.post("/v1/accounts/acme/commands", &[("Idempotency-Key", &key)], topup);
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(server.command("acme", &open).0, 409);
    assert_eq!(server.get("/healthz").0, 200);
}

/// Asks so often that so many bytes of log are written at least.
fn talk(server: &Server, bytes: usize) {
    let agent = agent();
    let id = "x".repeat(60);
    for _ in 0..bytes / id.len() {
        let request = agent.get(format!("{}/healthz", server.address)).header("X-Request-Id", &id);
        assert_eq!(request.call().unwrap().status().as_u16(), 200);
    }
}

fn stops_soon(server: Server) {
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_log_that_cannot_be_written_keeps_no_answer_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = logging_to(Path::new("/dev/full"), folder.path());
    works(&server);
    stops_soon(server);
}

#[test]
fn a_log_whose_reader_is_gone_keeps_no_answer_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, reader) = pipe(folder.path());
    let server = logging_to(&path, folder.path());
    drop(reader);
    works(&server);
    stops_soon(server);
}

#[test]
fn a_log_that_nobody_reads_keeps_no_answer_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _reader) = pipe(folder.path());
    let server = logging_to(&path, folder.path());
    // A pipe takes 64 KiB.
    talk(&server, 256 << 10);
    works(&server);
    stops_soon(server);
}

#[test]
fn the_log_says_how_much_of_it_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (path, reader) = pipe(folder.path());
    let server = logging_to(&path, folder.path());
    // More than the pipe takes, and more than waits for it.
    talk(&server, 1_300 << 10);
    let (mut lines, mut lost) = (BufReader::new(reader).lines().map(Result::unwrap), None);
    let mut answered = 0;
    for line in lines.by_ref() {
        if let Some((_, told)) = line.split_once("are lost: they could not be written lines=") {
            lost = Some(told.parse::<usize>().unwrap());
            break;
        }
        answered += usize::from(line.contains("answered"));
    }
    // All that waited comes, and what was lost is what is missing.
    let rest = std::thread::spawn(move || lines.take_while(|line| !line.contains("stopped")).count());
    stops_soon(server);
    assert!(lost.is_some_and(|lost| lost > 0) && answered > 0, "{lost:?} {answered}");
    let all = lost.unwrap() + answered + rest.join().unwrap();
    assert!(all >= (1_300 << 10) / 60, "{all}");
}
