//! What the machine could do at most: what the server is measured against.

use super::events::Body;
use super::process::{Peer, wrong};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use farebox_service::Parcel;
use farebox_store::usage::Packer;
use farebox_text::import::{EventRow, read_events};
use rusqlite::Connection;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Turns of which [`parse_rate`] is the median: a core that is shared is slow for moments.
const PARSE_TURNS: usize = 5;

/// Events a second that one core parses.
pub fn parse_rate(batch: usize) -> f64 {
    let mut body = Body::new(batch, 1_000, 1, 1);
    let mut turn = || {
        let (begun, mut events) = (Instant::now(), 0u64);
        while begun.elapsed() < Duration::from_millis(500) {
            read_events(body.next(), &mut |row| {
                events += u64::from(matches!(std::hint::black_box(row), EventRow::Event(_)));
            });
        }
        events as f64 / begun.elapsed().as_secs_f64()
    };
    let mut turns: Vec<f64> = (0..PARSE_TURNS).map(|_| turn()).collect();
    turns.sort_unstable_by(f64::total_cmp);
    turns[PARSE_TURNS / 2]
}

/// Events of one write of [`log_rate`]: about what shares a commit under load.
const LOG_EVENTS: usize = 8_000;

/// Events a second of the same log, made once, written to a file and fsynced again and again, without any work.
pub fn log_rate(folder: &Path) -> io::Result<f64> {
    let mut parcel = Parcel::default();
    read_events(Body::new(LOG_EVENTS, 1_000, 1, 1).next(), &mut |row| {
        if let EventRow::Event(event) = row {
            parcel.push(&event);
        }
    });
    let block = Packer::new()?.pack(parcel.records(), LOG_EVENTS as u32)?;
    let path = folder.join("raw.log");
    let mut file = File::create(&path)?;
    let (begun, mut events) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(2) {
        file.write_all(&block)?;
        file.sync_data()?;
        events += LOG_EVENTS;
    }
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Rows that one bill is: itself, its lines and what they post.
pub const ROWS_EACH: u32 = 16;

/// How many times a second as many rows of some bytes are inserted into SQLite, a thousand times in one commit.
pub fn row_rate(folder: &Path, accounts: u32, row_bytes: u64) -> rusqlite::Result<f64> {
    let mut file = Connection::open(folder.join("raw.db"))?;
    file.pragma_update(None, "journal_mode", "wal")?;
    file.pragma_update(None, "synchronous", "full")?;
    file.execute_batch(
        "CREATE TABLE raw (account INTEGER, number INTEGER, bytes BLOB, PRIMARY KEY (account, number))",
    )?;
    let row = vec![0x5au8; row_bytes as usize];
    let begun = Instant::now();
    for first in (0..accounts).step_by(1_000) {
        let commit = file.transaction()?;
        {
            let mut insert = commit.prepare("INSERT INTO raw VALUES (?, ?, ?)")?;
            for account in first..accounts.min(first + 1_000) {
                for number in 0..ROWS_EACH {
                    insert.execute(rusqlite::params![account, number, row])?;
                }
            }
        }
        commit.commit()?;
    }
    Ok(f64::from(accounts) / begun.elapsed().as_secs_f64())
}

/// A bare axum server that answers with what it was sent, in a process of its own.
pub fn echo() -> io::Result<Peer> {
    Peer::start(&["bench", "echo"])
}

/// Serves as [`echo`] until the process is killed.
pub fn serve_echo() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("localhost:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let router = Router::new().route("/echo", post(|body: Bytes| async { body }));
        axum::serve(listener, router).await.map_err(|error| wrong(error.to_string()))
    })
}
