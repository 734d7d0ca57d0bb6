//! `farebox explain BOOK LINE`.

use crate::bill;
use crate::output::{self, Failure};
use farebox_report::{explained, find_line};
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// The book.
    book: PathBuf,
    /// The line's id, as bills show it: ACCOUNT-YYYY-MM-NUMBER.
    line: String,
    /// How many of the events behind it to show.
    #[arg(long, default_value_t = 20)]
    events: usize,
    /// Bill up to this date first, as `bill --until`.
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

/// An explained line on the wire.
#[derive(Serialize)]
struct Explained {
    line: farebox_api::Line,
    event_count: u64,
    events: Vec<EventWire>,
}

/// An event behind a line on the wire.
#[derive(Serialize)]
struct EventWire {
    id: String,
    time: String,
    file: String,
    line: u64,
    attributes: Vec<String>,
}

pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let prepared = prepare::load(&args.book)?;
    let mut run = Run::new(&prepared, Options::default());
    bill::play(&mut run)?;
    bill::finish(&mut run, args.until.as_deref())?;
    let Some((account, line)) = find_line(&run, &args.line) else {
        let bills: Vec<&str> =
            run.accounts().flat_map(|account| account.bills.values().map(|bill| bill.id.as_str())).collect();
        let sentence = if bills.is_empty() {
            format!("no line \"{}\": the book has no bills", args.line)
        } else {
            format!("no line \"{}\"; the bills are {}", args.line, bills.join(", "))
        };
        return Err(Failure::Other(sentence));
    };
    if !json {
        output::text(&explained(&run, account, line, args.events).map_err(Failure::Other)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (events, event_count) = run.events_behind(&account.head.id, line, args.events)?;
    let events = events.into_iter().map(|event| EventWire {
        id: event.identity,
        time: event.time.to_string(),
        file: event.file,
        line: event.line,
        attributes: event.attributes,
    });
    let line = farebox_api::line(account.head.currency, line);
    output::json(&Explained { line, event_count, events: events.collect() })?;
    Ok(ExitCode::SUCCESS)
}
