//! `farebox export`: `journal` here, `focus` in a file of its own.

use crate::output::{self, Failure};
use crate::{bill, focus};
use clap::ValueEnum;
use farebox_api::journal;
use farebox_core::calendar::Instant;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Write every posting of a book for a general ledger (docs/ledger.md).
    Journal(Args),
    /// Write the lines of bills as FOCUS has cost and usage (docs/focus.md).
    Focus(focus::Args),
}

#[derive(clap::Args)]
pub struct Args {
    /// The book.
    book: PathBuf,
    /// The form of the journal.
    #[arg(long, value_enum)]
    format: Format,
    /// Only what is booked up to this date (00:00, the book's zone, and what is due at that moment).
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// The file to write instead of standard output.
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One entry a row, RFC 4180.
    Csv,
    /// A journal that hledger reads.
    Hledger,
}

pub fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Journal(args) => journal(args),
        Command::Focus(args) => focus::run(args),
    }
}

fn journal(args: &Args) -> Result<ExitCode, Failure> {
    let prepared = prepare::load(&args.book)?;
    let mut run = Run::new(&prepared, Options::default());
    bill::play(&mut run)?;
    bill::finish(&mut run, args.until.as_deref())?;
    let until = match &args.until {
        Some(date) => bill::midnight(&prepared.zone, date)?,
        None => Instant::MAX,
    };
    let booked = journal::booked(run.accounts(), &prepared.zone, until);
    let text = match args.format {
        Format::Csv => journal::csv(&booked),
        Format::Hledger => journal::hledger(&booked),
    };
    match &args.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::Other(format!("{}: {error}", path.display())))?,
        None => output::raw(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}
