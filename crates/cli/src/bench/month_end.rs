//! How many bills a second a month's end makes, beside inserting rows of as many bytes into SQLite.

use super::process::{Folder, Server, wrong};
use rusqlite::Connection;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Args {
    /// Accounts, each with five charges.
    #[arg(long, default_value_t = 10_000)]
    accounts: u32,
    /// Where the store is made, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "target")]
    within: PathBuf,
}

const CATALOGUE: &str = include_str!("../../../../bench/five.toml");
/// Rows that one bill is: itself, its lines and what they post.
const ROWS_EACH: u32 = 16;

pub fn run(args: &Args) -> io::Result<()> {
    let folder = Folder::new(&args.within)?;
    let server = Server::start(&folder.0)?;
    let begun = Instant::now();
    let order = r#"{"command":"subscribe","plan":"desk","quantity":3}"#;
    server.furnish_with(CATALOGUE, order, args.accounts)?;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{} accounts with an order: {:.0} commands/s",
        args.accounts,
        f64::from(args.accounts) * 2.0 / took
    );
    let before = folder.bytes()?;
    let mut connection = server.connect()?;
    let begun = Instant::now();
    let (status, answer) = connection.post("/v1/clock/advance", br#"{"until":"2026-02-01T00:00:00Z"}"#)?;
    if status != 200 {
        return Err(wrong(format!("{status} {}", String::from_utf8_lossy(answer))));
    }
    let rate = f64::from(args.accounts) / begun.elapsed().as_secs_f64();
    let (status, _) = connection.get(&format!("/v1/bills/a{}-2026-01", args.accounts - 1))?;
    if status != 200 {
        return Err(wrong(format!("the last bill answers {status}")));
    }
    println!("month end, settled, billed, posted and durable: {rate:.0} bills/s");
    let bytes = folder.bytes()?.saturating_sub(before);
    println!("on disk: {:.0} bytes a bill", bytes as f64 / f64::from(args.accounts));
    let raw = raw_rate(&folder.0, args.accounts, bytes / u64::from(args.accounts * ROWS_EACH))
        .map_err(io::Error::other)?;
    println!(
        "inserting {ROWS_EACH} rows of as many bytes into SQLite: {raw:.0} bills/s; ratio {:.2}",
        rate / raw
    );
    Ok(())
}

/// How many times a second as many rows of some bytes are inserted, a thousand times in one commit.
fn raw_rate(folder: &Path, accounts: u32, row_bytes: u64) -> rusqlite::Result<f64> {
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
