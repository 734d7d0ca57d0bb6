//! Requests of one event each, over many connections, beside a server that merely answers.

use super::limits;
use super::load::{Load, send};
use super::process::{Folder, Server};
use super::table::{Row, Table, grouped};
use std::io;
use std::path::Path;
use std::time::Duration;

const CONNECTIONS: u64 = 256;
const ACCOUNTS: u32 = 1_000;

pub fn measure(table: &mut Table, seconds: u64, within: &Path) -> io::Result<()> {
    let lasts = Duration::from_secs(seconds);
    let load = Load { connections: CONNECTIONS, batch: 1, accounts: ACCOUNTS, days: 1, lasts, events: 0 };
    let echo = limits::echo()?;
    let bare = send(&|| echo.connect(None), "/echo", load, None)?;
    drop(echo);
    let folder = Folder::new(within)?;
    let server = Server::start(&folder.0)?;
    server.furnish(ACCOUNTS)?;
    let kept = send(&|| server.connect(), "/v1/usage", load, Some("\"accepted\":1"))?;
    table.row(&Row {
        what: format!("requests of one event, durable, over {CONNECTIONS} connections"),
        figure: format!("{} requests/s; {}", grouped(kept.rate), kept.waits.shown()),
        beside: format!("a bare axum echo {} requests/s; {}", grouped(bare.rate), bare.waits.shown()),
        ratio: Some(kept.rate / bare.rate),
        aim: "0.7",
    });
    Ok(())
}
