//! A server process of this same program, on a store of its own, and what it takes of the machine.

use crate::client::Connection;
use std::io::{self, BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The price list that everything is measured with.
const CATALOGUE: &str = include_str!("../../../../bench/calls.toml");
/// That of five charges.
pub const FIVE: &str = include_str!("../../../../bench/five.toml");
const OPEN: &str = r#"{"command":"open","title":"An account","currency":"EUR","zone":"UTC"}"#;
/// Bytes.
pub const MIB: f64 = (1 << 20) as f64;
/// When the test clock begins.
const BEGIN: &str = "2026-01-01T00:00:00Z";

/// A running server.
pub struct Server {
    peer: Peer,
    token: String,
    /// How long it took from its start to its first answer.
    pub ready_after: Duration,
}

/// Connections over which a server is furnished.
const CONNECTIONS: usize = 16;

fn must(connection: &mut Connection, path: &str, body: &str) -> io::Result<()> {
    let headers = [("Content-Type", "application/octet-stream")];
    match connection.post_with(path, &headers, body.as_bytes())? {
        (200 | 201, _) => Ok(()),
        (status, answer) => Err(wrong(format!("{path}: {status} {}", String::from_utf8_lossy(answer)))),
    }
}

/// What is wrong with a server that is being measured.
pub fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}

/// A process of this same program that listens; it is killed when this goes.
pub struct Peer {
    child: Child,
    /// It goes on to have somebody who listens.
    _lines: Lines<BufReader<ChildStdout>>,
    /// What it said before it listened.
    said: Vec<String>,
    address: String,
}

impl Peer {
    /// Starts it with these words.
    pub fn start(words: &[&str]) -> io::Result<Peer> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            // Its log would stand between the figures; usage has no line in it anyway.
            .env("FAREBOX_LOG_LEVEL", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or_else(|| wrong("the server says nothing"))?;
        let mut lines = BufReader::new(out).lines();
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            if let Some(address) = line.strip_prefix("listening on http://") {
                let address = address.to_owned();
                return Ok(Peer { child, _lines: lines, said, address });
            }
            said.push(line);
        }
        Err(wrong("the server does not listen"))
    }

    /// A connection to it.
    pub fn connect(&self, token: Option<&str>) -> io::Result<Connection> {
        Connection::open(&self.address, token)
    }
}

impl Server {
    /// Starts it on the store of a folder.
    pub fn start(folder: &Path) -> io::Result<Server> {
        let begun = Instant::now();
        let data = folder.to_str().ok_or_else(|| wrong("the name of the folder is no text"))?;
        let words = ["serve", "--listen", "127.0.0.1:0", "--test-clock", BEGIN, "--data", data];
        let peer = Peer::start(&words)?;
        // The first start of a store prints a key; later ones take it from beside the store.
        let kept = folder.join("key");
        let token = match std::fs::read_to_string(&kept) {
            Ok(token) => token,
            Err(_) => {
                let line = peer.said.last().map(String::as_str).unwrap_or_default();
                let token = line.rsplit(' ').next().unwrap_or_default().to_owned();
                std::fs::write(&kept, &token)?;
                token
            }
        };
        let mut server = Server { peer, token, ready_after: Duration::ZERO };
        let status = server.connect()?.get("/readyz")?.0;
        if status != 200 {
            return Err(wrong(format!("the server is not ready: {status}")));
        }
        server.ready_after = begun.elapsed();
        Ok(server)
    }

    /// A connection to it.
    pub fn connect(&self) -> io::Result<Connection> {
        self.peer.connect(Some(&self.token))
    }

    /// The key of its operator.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Opens an account `big` with so many orders of the list of five charges, and lets the first month end: its bill
    /// has four lines for each.
    pub fn furnish_big(&self, orders: u32) -> io::Result<()> {
        let mut connection = self.connect()?;
        must(&mut connection, "/v1/catalogues", FIVE)?;
        let path = "/v1/accounts/big/commands";
        must(&mut connection, path, OPEN)?;
        for number in 0..orders {
            let order = format!(r#"{{"command":"subscribe","plan":"desk","name":"s{number}","quantity":3}}"#);
            must(&mut connection, path, &order)?;
        }
        must(&mut connection, "/v1/clock/advance", r#"{"until":"2026-02-01T00:00:00Z"}"#)
    }

    /// Publishes the price list of calls and opens accounts `a0`, `a1`, …, each with an order.
    pub fn furnish(&self, accounts: u32) -> io::Result<()> {
        self.furnish_with(CATALOGUE, r#"{"command":"subscribe","plan":"calls","quantity":1}"#, accounts)
    }

    /// The same with a price list and an order of its own, over several connections.
    pub fn furnish_with(&self, catalogue: &str, order: &str, accounts: u32) -> io::Result<()> {
        must(&mut self.connect()?, "/v1/catalogues", catalogue)?;
        std::thread::scope(|scope| {
            let some = |first: u32| {
                let mut connection = self.connect()?;
                for account in (first..accounts).step_by(CONNECTIONS) {
                    let path = format!("/v1/accounts/a{account}/commands");
                    must(&mut connection, &path, OPEN)?;
                    must(&mut connection, &path, order)?;
                }
                Ok(())
            };
            let working: Vec<_> =
                (0..CONNECTIONS as u32).map(|first| scope.spawn(move || some(first))).collect();
            working.into_iter().try_for_each(|one| one.join().map_err(|_| wrong("a connection failed"))?)
        })
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.peer.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        Ok(kib.ok_or_else(|| wrong("the system does not say how much memory it takes"))? * 1_024)
    }

    /// SIGKILL: it has no time for anything.
    pub fn kill(mut self) -> io::Result<()> {
        self.peer.child.kill()?;
        self.peer.child.wait().map(drop)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed when this goes.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new folder below `within`.
    pub fn new(within: &Path) -> io::Result<Folder> {
        let path = within.join(format!("farebox-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// All bytes of its files.
    pub fn bytes(&self) -> io::Result<u64> {
        std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
