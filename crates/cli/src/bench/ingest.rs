//! How many events a second a server keeps for good, beside what one core can merely parse.

use super::events::Body;
use super::process::{Folder, Server, wrong};
use farebox_text::import::{EventRow, read_events};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Events in a request.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Accounts that use something.
    #[arg(long, default_value_t = 1_000)]
    accounts: u32,
    /// Where the store is made, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "target")]
    within: PathBuf,
}

/// Events a second that one core parses, of the same bytes.
pub fn parse_rate(batch: usize, accounts: u32) -> f64 {
    let mut body = Body::new(batch, accounts, 1);
    let (begun, mut events) = (Instant::now(), 0u64);
    while begun.elapsed() < Duration::from_secs(1) {
        read_events(body.next(), &mut |row| {
            events += u64::from(matches!(std::hint::black_box(row), EventRow::Event(_)));
        });
    }
    events as f64 / begun.elapsed().as_secs_f64()
}

pub fn run(args: &Args) -> io::Result<()> {
    let parse = parse_rate(args.batch, args.accounts);
    println!("parse alone, one core: {parse:.0} events/s");
    let folder = Folder::new(&args.within)?;
    let server = Server::start(&folder.0)?;
    server.furnish(args.accounts)?;
    let idle = server.resident_bytes()?;
    let sent = AtomicU64::new(0);
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let begun = Instant::now();
    let mut waits_us: Vec<u64> = std::thread::scope(|scope| {
        let working: Vec<_> = (0..args.connections)
            .map(|number| {
                let (server, sent) = (&server, &sent);
                scope.spawn(move || -> io::Result<Vec<u64>> {
                    let mut connection = server.connect()?;
                    let mut body = Body::new(args.batch, args.accounts, number + 2);
                    let mut waits_us = Vec::new();
                    let accepted = format!("\"accepted\":{}", args.batch);
                    while Instant::now() < end {
                        let bytes = body.next();
                        let asked = Instant::now();
                        let (status, answer) = connection.post("/v1/usage", bytes)?;
                        waits_us.push(asked.elapsed().as_micros() as u64);
                        let answer = String::from_utf8_lossy(answer);
                        if status != 200 || !answer.contains(&accepted) {
                            return Err(wrong(format!("{status} {answer}")));
                        }
                        sent.fetch_add(args.batch as u64, Ordering::Relaxed);
                    }
                    Ok(waits_us)
                })
            })
            .collect();
        let all = working.into_iter().map(|one| one.join().map_err(|_| wrong("a connection failed"))?);
        all.collect::<io::Result<Vec<_>>>().map(|all| all.concat())
    })?;
    let took = begun.elapsed().as_secs_f64();
    let events = sent.load(Ordering::Relaxed);
    let rate = events as f64 / took;
    waits_us.sort_unstable();
    let percentile =
        |part: usize| waits_us.get(waits_us.len() * part / 100).copied().unwrap_or(0) as f64 / 1e3;
    let body = Body::new(args.batch, args.accounts, 1).len() / args.batch.max(1);
    println!("durable over HTTP: {rate:.0} events/s of {body} bytes, {events} in {took:.1} s");
    println!("ratio to parsing alone: {:.2}", rate / parse);
    println!("a request: p50 {:.1} ms, p99 {:.1} ms", percentile(50), percentile(99));
    let resident = server.resident_bytes()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("resident memory: {:.0} MiB idle, {:.0} MiB afterwards", mib(idle), mib(resident));
    println!("on disk: {:.1} bytes an event", folder.bytes()? as f64 / events.max(1) as f64);
    server.kill()?;
    let again = Server::start(&folder.0)?;
    println!("ready again after SIGKILL: {:.2} s", again.ready_after.as_secs_f64());
    Ok(())
}
