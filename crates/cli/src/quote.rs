//! `farebox quote CATALOGUE LINES…`: what a planned order or an amount of usage would cost.
//!
//! A quote is a book of one account that nobody keeps: the lines are the book language's own, so
//! that it is billed by the same code as the real thing.

use crate::bill;
use crate::output::{self, Failure};
use farebox_report::{self as report, BillOptions, Parties};
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  farebox quote catalogs/huawei-ykf.toml --from 2026-01-04 \"subscribe basic-seat 10\"
  farebox quote catalogs/huawei-ocr.toml --from 2026-01-01 \"subscribe general-text-ocr\" \\
      \"usage ocr-call api=general-text status=200 times 9000 every 1s\"
Each line is a line of the book language (docs/book.md) without date and account.")]
pub struct Args {
    /// The catalogue.
    catalogue: PathBuf,
    /// What is planned: orders, changes, usage.
    #[arg(required = true)]
    lines: Vec<String>,
    /// When: the date (and time) of all lines, in the catalogue's zone.
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Bill up to this date; the end of the month by default.
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

/// The account of a quote.
const ACCOUNT: &str = "quote";

pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let date_only = args.from.parse::<jiff::civil::Date>().is_ok();
    if !date_only && args.from.parse::<jiff::civil::DateTime>().is_err() {
        return Err(Failure::Other(format!(
            "--from takes a date as YYYY-MM-DD, or \"YYYY-MM-DD HH:MM:SS\", not \"{}\"",
            args.from
        )));
    }
    let catalogue = std::path::absolute(&args.catalogue)?;
    let mut book = format!("catalog \"{}\"\n{} open {ACCOUNT} \"Quote\"\n", catalogue.display(), args.from);
    for line in &args.lines {
        book.push_str(&format!("{} {}\n", args.from, with_account(line)));
    }
    let mut prepared = prepare::prepare("quote", book.as_bytes(), std::path::Path::new(""));
    if let Err(mistakes) = &mut prepared {
        // The two lines that the command itself wrote are no lines of the user's.
        for mistake in mistakes.iter_mut().filter(|mistake| mistake.file == "quote") {
            mistake.line = mistake.line.saturating_sub(2).max(1);
            mistake.column = 0;
        }
    }
    let prepared = prepared?;
    let mut run = Run::new(&prepared, Options::default());
    bill::play(&mut run)?;
    bill::finish(&mut run, args.until.as_deref())?;
    let Some(account) = run.account(ACCOUNT) else { return Ok(ExitCode::SUCCESS) };
    if json {
        let bills: Vec<farebox_api::Bill> =
            account.bills.values().map(|bill| farebox_api::bill(&account.head, bill)).collect();
        output::json(&bills)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = BillOptions { explained: true, only: None };
    let mut shown = Vec::new();
    if let Some(group) = run.group_of(ACCOUNT) {
        let parties = Parties { group, catalogues: &prepared.catalogues };
        let bills = account.bills.values();
        shown.extend(bills.flat_map(|bill| report::bill(&account.head, bill, &parties, &options)));
    }
    if shown.is_empty() {
        shown.push("Nothing to pay.".to_owned());
    }
    let quarantine = run.quarantine()?;
    if !quarantine.is_empty() {
        shown.push("Not priced:".to_owned());
        shown.extend(report::quarantine(&quarantine));
    }
    output::text(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// `subscribe basic-seat 10` → `subscribe quote basic-seat 10`; `add seats 2` → `add quote/seats 2`.
fn with_account(line: &str) -> String {
    let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match verb {
        "add" | "remove" | "cancel" | "unsubscribe" | "stop" | "start" | "renew" | "change" => {
            format!("{verb} {ACCOUNT}/{rest}")
        }
        _ => format!("{verb} {ACCOUNT} {rest}"),
    }
}
