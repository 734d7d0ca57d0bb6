//! Load: usage sent over many connections at once, each waiting for its answer.

use super::events::Body;
use super::process::wrong;
use super::table::Waits;
use crate::client::Connection;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is sent.
#[derive(Clone, Copy)]
pub struct Load {
    /// Connections at once.
    pub connections: u64,
    /// Events in a request.
    pub batch: usize,
    /// Accounts that use something.
    pub accounts: u32,
    /// Days over which usage is spread.
    pub days: u64,
    /// For how long.
    pub lasts: Duration,
    /// The least events, however long it takes.
    pub events: u64,
    /// Another one has other ids.
    pub seed: u64,
}

/// What was kept.
pub struct Kept {
    /// Events.
    pub events: u64,
    /// Events a second.
    pub rate: f64,
    /// How long each request took.
    pub waits: Waits,
    /// A body that was sent.
    pub body: Vec<u8>,
}

/// Sends usage to `path`. `accepted`: how each answer says that all was kept; `None`: nobody asks.
pub fn send(
    connect: &(dyn Fn() -> io::Result<Connection> + Sync),
    path: &str,
    load: Load,
    accepted: Option<&str>,
) -> io::Result<Kept> {
    let sent = AtomicU64::new(0);
    let begun = Instant::now();
    let one = |number: u64| -> io::Result<(Vec<u64>, Vec<u8>)> {
        let mut connection = connect()?;
        let mut body = Body::new(load.batch, load.accounts, load.days, (load.seed << 16) + number + 2);
        let mut waits_us = Vec::new();
        while begun.elapsed() < load.lasts || sent.load(Ordering::Relaxed) < load.events {
            let bytes = body.next();
            let asked = Instant::now();
            let (status, answer) = connection.post(path, bytes)?;
            waits_us.push(asked.elapsed().as_micros() as u64);
            let answer = String::from_utf8_lossy(answer);
            if status != 200 || accepted.is_some_and(|accepted| !answer.contains(accepted)) {
                return Err(wrong(format!("{status} {answer}")));
            }
            sent.fetch_add(load.batch as u64, Ordering::Relaxed);
        }
        Ok((waits_us, body.last().to_vec()))
    };
    let all = std::thread::scope(|scope| {
        let one = &one;
        let working: Vec<_> = (0..load.connections).map(|number| scope.spawn(move || one(number))).collect();
        let all = working.into_iter().map(|one| one.join().map_err(|_| wrong("a connection failed"))?);
        all.collect::<io::Result<Vec<_>>>()
    })?;
    let took_s = begun.elapsed().as_secs_f64();
    let events = sent.load(Ordering::Relaxed);
    let body = all.first().map(|(_, body)| body.clone()).unwrap_or_default();
    let waits = Waits::of(all.into_iter().flat_map(|(waits, _)| waits).collect());
    Ok(Kept { events, rate: events as f64 / took_s, waits, body })
}
