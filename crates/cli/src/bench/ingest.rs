//! How many events a second a server keeps for good; what can be asked of it meanwhile; and how soon it is back after
//! being killed.

use super::load::{Load, send};
use super::process::{Folder, MIB, Server, wrong};
use super::table::{Row, Table, Waits, grouped};
use super::{events, limits};
use crate::client::Connection;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args, Clone)]
pub struct Args {
    /// For how long, in seconds.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// The least events, however long it takes.
    #[arg(long, default_value_t = 0)]
    pub events: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    pub connections: u64,
    /// Events in a request.
    #[arg(long, default_value_t = 1_000)]
    pub batch: usize,
    /// Accounts that use something.
    #[arg(long, default_value_t = 1_000)]
    pub accounts: u32,
    /// Days over which usage is spread, at most 28.
    #[arg(long, default_value_t = 1)]
    pub days: u64,
    /// Orders of the account whose bill is asked for meanwhile; each has four lines.
    #[arg(long, default_value_t = 2_500)]
    pub orders: u32,
}

/// The part of the time for which questions are asked while more usage comes.
const ASKED_PART: u32 = 3;
/// The lines of a page.
const PAGE: usize = 1_000;

pub fn measure(table: &mut Table, args: &Args, within: &Path) -> io::Result<()> {
    let folder = Folder::new(within)?;
    let parse = limits::parse_rate(args.batch);
    let log = limits::log_rate(&folder.0)?;
    let server = Server::start(&folder.0)?;
    let empty = server.resident_bytes()?;
    server.furnish_big(args.orders)?;
    server.furnish(args.accounts)?;
    let (idle, on_disk) = (server.resident_bytes()?, folder.bytes()?);
    let Args { connections, batch, accounts, days, events, .. } = *args;
    let load = Load {
        connections,
        batch,
        accounts,
        days,
        events,
        lasts: Duration::from_secs(args.seconds),
        seed: 0,
    };
    let accepted = format!("\"accepted\":{batch}");
    let bring = |load: Load| send(&|| server.connect(), "/v1/usage", load, Some(&accepted));
    let alone = bring(load)?;
    // Before and after: a machine that is shared has good and bad moments.
    let parse = (parse + limits::parse_rate(batch)) / 2.0;
    let is_over = AtomicBool::new(false);
    let lasts = load.lasts / ASKED_PART;
    let (kept, asked) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&server, accounts, &is_over));
        let kept = bring(Load { lasts, events: 0, seed: 1, ..load });
        is_over.store(true, Ordering::Relaxed);
        let asked = asking.join().map_err(|_| wrong("a question failed"))?;
        Ok::<_, io::Error>((kept?, asked?))
    })?;
    let bytes = events::Body::new(batch, accounts, days, 1).len() / batch.max(1);
    let (events, rate) = ((alone.events + kept.events) as f64, alone.rate);
    table.row(&Row {
        what: format!(
            "durable over HTTP: {connections} connections, {batch} events of {bytes} bytes a request, {accounts} \
             accounts, {days} days"
        ),
        figure: format!("{} events/s; {} in all; {}", grouped(rate), grouped(alone.events as f64), alone.waits.shown()),
        beside: format!("one core merely parses {} events/s", grouped(parse)),
        ratio: Some(rate / parse),
        aim: "1,000,000; 0.3",
    });
    table.row(&Row {
        what: "the same log, written and fsynced without any work".to_owned(),
        figure: format!("{} events/s", grouped(log)),
        beside: String::new(),
        ratio: Some(rate / log),
        aim: "",
    });
    let Asked { usage, whole, whole_bytes, pages, lines } = asked;
    let questions = [
        (
            format!("a bill with its {} lines, {:.1} MB", grouped(lines as f64), whole_bytes as f64 / 1e6),
            whole,
        ),
        (format!("those lines, in pages of {}, one after the other", grouped(PAGE as f64)), pages),
        ("the usage of an account in a month".to_owned(), usage),
    ];
    for (what, waits) in questions {
        table.row(&Row {
            what: format!("during ingest: {what}"),
            figure: waits.shown(),
            beside: format!("{} events/s meanwhile", grouped(kept.rate)),
            ratio: None,
            aim: "",
        });
    }
    let resident = server.resident_bytes()?;
    table.row(&Row {
        what: "resident memory after these events".to_owned(),
        figure: format!(
            "{:.0} MiB, {:.1} bytes an event more than before",
            resident as f64 / MIB,
            resident.saturating_sub(idle) as f64 / events
        ),
        beside: format!(
            "{:.0} MiB empty, {:.0} MiB with the accounts",
            empty as f64 / MIB,
            idle as f64 / MIB
        ),
        ratio: None,
        aim: "2 bytes an event",
    });
    let disk = folder.bytes()?.saturating_sub(on_disk) as f64 / events;
    table.row(&Row {
        what: "on disk, with the log of writes".to_owned(),
        figure: format!("{disk:.1} bytes an event"),
        beside: "16 of them are the random id".to_owned(),
        ratio: None,
        aim: "36",
    });
    server.kill()?;
    let begun = Instant::now();
    let again = Server::start(&folder.0)?;
    let (status, answer) = again.connect()?.post("/v1/usage", &kept.body).map(|(s, a)| (s, a.to_vec()))?;
    let took = begun.elapsed();
    let resident = again.resident_bytes()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if status != 200 || !answer.contains(&format!("\"duplicates\":{batch}")) {
        return Err(wrong(format!("what was acknowledged is not known again: {status} {answer}")));
    }
    table.row(&Row {
        what: format!("after SIGKILL with {} events since the last settlement", grouped(events)),
        figure: format!("{:.2} s until it knows a request again", took.as_secs_f64()),
        beside: format!(
            "listening after {:.2} s; {:.0} MiB resident",
            again.ready_after.as_secs_f64(),
            resident as f64 / MIB
        ),
        ratio: None,
        aim: "2 s",
    });
    Ok(())
}

struct Asked {
    usage: Waits,
    whole: Waits,
    whole_bytes: usize,
    pages: Waits,
    lines: usize,
}

/// What the pages of a list have in common.
#[derive(Deserialize)]
struct Page {
    items: Vec<IgnoredAny>,
    next: Option<String>,
}

/// Asks for the usage of an account, and for a bill with all its lines: whole, and page by page. What it takes to read
/// the answers is not part of the time.
fn ask(server: &Server, accounts: u32, is_over: &AtomicBool) -> io::Result<Asked> {
    let mut connection = server.connect()?;
    let (mut usage_us, mut whole_us, mut pages_us) = (Vec::new(), Vec::new(), Vec::new());
    let (mut whole_bytes, mut lines, mut number) = (0, 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        number = (number + 1) % accounts;
        let address = format!("/v1/accounts/a{number}/usage?month={}&limit={PAGE}", events::MONTH);
        usage_us.push(get(&mut connection, &address)?.1);
        let (bill, took_us) = get(&mut connection, "/v1/bills/big-2026-01")?;
        whole_us.push(took_us);
        whole_bytes = bill.len();
        let (mut all_us, mut after) = (0, String::new());
        lines = 0;
        loop {
            let address = format!("/v1/bills/big-2026-01/lines?limit={PAGE}{after}");
            let (page, took_us) = get(&mut connection, &address)?;
            let page: Page = serde_json::from_slice(page)?;
            lines += page.items.len();
            all_us += took_us;
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        pages_us.push(all_us);
        std::thread::sleep(Duration::from_millis(100));
    }
    let [usage, whole, pages] = [usage_us, whole_us, pages_us].map(Waits::of);
    Ok(Asked { usage, whole, whole_bytes, pages, lines })
}

/// An answer, and how long it took in microseconds.
fn get<'c>(connection: &'c mut Connection, path: &str) -> io::Result<(&'c [u8], u64)> {
    let begun = Instant::now();
    let (status, answer) = connection.get(path)?;
    if status != 200 {
        return Err(wrong(format!("{path}: {status} {}", String::from_utf8_lossy(answer))));
    }
    Ok((answer, begun.elapsed().as_micros() as u64))
}
