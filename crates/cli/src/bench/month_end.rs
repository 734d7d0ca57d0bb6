//! How many bills a second a month's end makes, beside inserting rows of as many bytes into SQLite; and what accounts
//! take that nobody asks for.

use super::limits::{ROWS_EACH, row_rate};
use super::process::{FIVE, Folder, MIB, Server, wrong};
use super::table::{Row, Table, grouped};
use std::io;
use std::path::Path;
use std::time::Instant;

#[derive(clap::Args, Clone)]
pub struct Args {
    /// Accounts, each with five charges.
    #[arg(long, default_value_t = 10_000)]
    pub accounts: u32,
}

pub fn measure(table: &mut Table, accounts: u32, within: &Path) -> io::Result<()> {
    let folder = Folder::new(within)?;
    let server = Server::start(&folder.0)?;
    let empty = server.resident_bytes()?;
    let begun = Instant::now();
    let order = r#"{"command":"subscribe","plan":"desk","quantity":3}"#;
    server.furnish_with(FIVE, order, accounts)?;
    let took_s = begun.elapsed().as_secs_f64();
    let all = f64::from(accounts);
    table.row(&Row {
        what: format!("{} accounts opened, each with an order, over 16 connections", grouped(all)),
        figure: format!("{} commands/s, each durable", grouped(all * 2.0 / took_s)),
        beside: String::new(),
        ratio: None,
        aim: "",
    });
    let before = folder.bytes()?;
    let mut connection = server.connect()?;
    let begun = Instant::now();
    let (status, answer) = connection.post("/v1/clock/advance", br#"{"until":"2026-02-01T00:00:00Z"}"#)?;
    if status != 200 {
        return Err(wrong(format!("{status} {}", String::from_utf8_lossy(answer))));
    }
    let rate = all / begun.elapsed().as_secs_f64();
    let (status, _) = connection.get(&format!("/v1/bills/a{}-2026-01", accounts - 1))?;
    if status != 200 {
        return Err(wrong(format!("the last bill answers {status}")));
    }
    let bytes = folder.bytes()?.saturating_sub(before);
    let row_bytes = bytes / (u64::from(accounts) * u64::from(ROWS_EACH));
    let raw = row_rate(&folder.0, accounts, row_bytes).map_err(io::Error::other)?;
    table.row(&Row {
        what: format!("a month's end of {} accounts: settled, billed, posted, durable", grouped(all)),
        figure: format!("{} bills/s, {:.0} bytes each", grouped(rate), bytes as f64 / all),
        beside: format!("{ROWS_EACH} rows of as many bytes inserted: {} bills/s", grouped(raw)),
        ratio: Some(rate / raw),
        aim: "10,000; 0.25",
    });
    server.kill()?;
    let again = Server::start(&folder.0)?;
    let idle = again.resident_bytes()?;
    table.row(&Row {
        what: format!("started again with these {} accounts, all idle", grouped(all)),
        figure: format!("{:.2} s; {:.0} MiB resident", again.ready_after.as_secs_f64(), idle as f64 / MIB),
        beside: format!("{:.0} MiB with an empty store", empty as f64 / MIB),
        ratio: None,
        aim: "",
    });
    Ok(())
}
