//! `farebox bill BOOK`.

use crate::output::{self, Failure};
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::cost::By;
use farebox_report::{self as report, BillOptions, Parties};
use farebox_scenario::prepare::{self, Prepared, StepAction};
use farebox_scenario::run::{Options, Outcome, Run};
use farebox_text::book::{Book, ItemKind};
use farebox_text::diagnostic::Diagnostic;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// The book.
    book: PathBuf,
    /// Only this account.
    #[arg(long)]
    account: Option<String>,
    /// Only bills of this month, YYYY-MM.
    #[arg(long)]
    month: Option<String>,
    /// Bill up to this date (00:00, the book's zone) instead of the end of the last month used.
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// Leave out the sentence under each line.
    #[arg(long)]
    brief: bool,
    /// Add each bill up by project, application, tag:NAME, member, group or plan instead of listing
    /// its lines.
    #[arg(long, value_name = "WHAT", value_parser = split_by)]
    by: Option<By>,
    /// Threads that read usage files; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
}

fn split_by(what: &str) -> Result<By, String> {
    By::parse(what).ok_or_else(|| "expected project, application, tag:NAME, member, group or plan".to_owned())
}

pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let prepared = prepare::load(&args.book)?;
    let progress = Progress::new(&prepared);
    let tick = |bytes: u64| progress.bar.inc(bytes);
    let mut options = Options { progress: &tick, ..Options::default() };
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    let mut run = Run::new(&prepared, options);
    play(&mut run)?;
    finish(&mut run, args.until.as_deref())?;
    progress.bar.finish_and_clear();
    let chosen = |id: &str, bill_id: &str| {
        args.account.as_deref().is_none_or(|only| only == id)
            && args.month.as_deref().is_none_or(|only| bill_id == format!("{id}-{only}"))
    };
    if let Some(only) = args.account.as_deref().filter(|only| run.account(only).is_none()) {
        return Err(Failure::Other(format!("the book opens no account \"{only}\"")));
    }
    let bills =
        run.accounts().flat_map(|account| account.bills.values().map(move |bill| (&account.head, bill)));
    let bills = bills.filter(|(head, bill)| chosen(&head.id, &bill.id));
    if json {
        let wire: Vec<farebox_api::Bill> = bills.map(|(head, bill)| farebox_api::bill(head, bill)).collect();
        output::json(&wire)?;
    } else {
        let mut shown = Vec::new();
        for (head, bill) in bills {
            let Some(group) = run.group_of(&head.id) else { continue };
            let parties = Parties { group, catalogues: &prepared.catalogues };
            match &args.by {
                Some(by) => shown.extend(report::split(head, bill, &parties, by)),
                None => {
                    let options = BillOptions { explained: !args.brief, only: None };
                    shown.extend(report::bill(head, bill, &parties, &options));
                }
            }
            shown.push(String::new());
        }
        if shown.is_empty() {
            shown.push("Nothing to bill.".to_owned());
        }
        shown.extend(report::imports(&run.imports()?));
        output::text(&shown)?;
    }
    let quarantine = run.quarantine()?;
    if !quarantine.is_empty() {
        let mut lines = vec!["In quarantine, not billed:".to_owned()];
        lines.extend(report::quarantine(&quarantine));
        for line in lines {
            if json {
                let _ = writeln!(std::io::stderr(), "{line}");
            } else {
                output::text(&[line])?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Does every line of a book. A refusal that the book does not expect is a mistake in it.
pub fn play(run: &mut Run<'_>) -> Result<(), Failure> {
    let book: &Book = &run.prepared.book;
    let zone = &run.prepared.zone;
    let mut wrong: Option<Diagnostic> = None;
    run.play(&mut |step, outcome| {
        let expected = match &book.items[step.item].kind {
            ItemKind::Command(command) => command.expected.as_ref(),
            _ => None,
        };
        let found = match (&outcome, expected) {
            (Outcome::Refused(refusal), Some(expected)) if expected.code() == refusal.code() => return,
            (Outcome::Refused(refusal), _) => {
                format!("refused: {}: {}", refusal.code(), refusal.sentence(zone))
            }
            (Outcome::Accepted, Some(expected)) => {
                format!("accepted, but expected to be refused: {}", expected.text)
            }
            _ => return,
        };
        wrong.get_or_insert_with(|| Diagnostic {
            file: book.file.clone(),
            line: step.line,
            column: 0,
            found,
            expected: String::new(),
            suggestion: None,
        });
    })?;
    match wrong {
        Some(wrong) => Err(wrong.into()),
        None => Ok(()),
    }
}

/// Moves the clock to the date asked for, or to the end of the last month that has anything.
pub fn finish(run: &mut Run<'_>, until: Option<&str>) -> Result<(), Failure> {
    let until = match until {
        Some(date) => midnight(&run.prepared.zone, date)?,
        None => {
            let last = run.prepared.last_moment().max(run.last_usage());
            // Nothing happens in a book without dates and usage.
            let Some(last) = last.filter(|last| *last > Instant::MIN) else { return Ok(()) };
            let zones = run.accounts().map(|account| &account.head.zone).chain([&run.prepared.zone]);
            let ends = zones.map(|zone| zone.cycle(Cycle::Month, last).end);
            ends.max().unwrap_or(last)
        }
    };
    run.advance(until)?;
    Ok(())
}

/// The first moment of the date that `--until` says.
pub fn midnight(zone: &Zone, date: &str) -> Result<Instant, Failure> {
    let day: jiff::civil::Date = date
        .parse()
        .map_err(|_| Failure::Other(format!("--until takes a date as YYYY-MM-DD, not \"{date}\"")))?;
    Ok(zone.midnight(day))
}

/// A progress bar over the bytes of all usage files, on a terminal only.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(prepared: &Prepared) -> Progress {
        let sizes = prepared.steps.iter().filter_map(|step| match &step.action {
            StepAction::Import(_, path) => std::fs::metadata(path).ok().map(|file| file.len()),
            _ => None,
        });
        let total: u64 = sizes.sum();
        // Small files are done before a bar could be read.
        if !std::io::stderr().is_terminal() || total < 16 << 20 {
            return Progress { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar }
    }
}
