//! `farebox bench`: what the server does in a second, each figure beside the machine's limit or a peer of the same run;
//! and usage files for measuring, which `scripts/bench` uses.

mod events;
mod generate;
mod ingest;
mod limits;
mod load;
mod month_end;
mod process;
mod single;
mod table;

use crate::output::Failure;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where stores are made, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "target", global = true)]
    within: PathBuf,
    /// A tenth of the time: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Also a hundred million events, and a month's end of a million accounts. It takes most of an hour.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write a call-detail file as Asterisk writes it, the same for the same seed.
    Generate(generate::Args),
    /// Load a server of its own with usage over HTTP.
    Ingest(ingest::Args),
    /// Let a server of its own settle and bill a month.
    MonthEnd(month_end::Args),
    /// Load a server of its own with requests of one event each.
    Single {
        /// For how long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Answer each request with its body: the peer that others are measured against.
    #[command(hide = true)]
    Echo,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let within = args.within.as_path();
    match &args.command {
        Some(Command::Generate(args)) => generate::run(args)?,
        Some(Command::Ingest(args)) => ingest::measure(&mut Table::begin(), args, within)?,
        Some(Command::MonthEnd(args)) => month_end::measure(&mut Table::begin(), args.accounts, within)?,
        Some(Command::Single { seconds }) => single::measure(&mut Table::begin(), *seconds, within)?,
        Some(Command::Echo) => limits::serve_echo()?,
        None => all(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything, in one table.
fn all(args: &Args) -> std::io::Result<()> {
    let within = args.within.as_path();
    let part = if args.quick { 10 } else { 1 };
    let mut table = Table::begin();
    let events = if args.full { 100_000_000 } else { 0 };
    let ingest = ingest::Args {
        seconds: 60 / part,
        events,
        connections: 64,
        batch: 1_000,
        accounts: 1_000,
        days: 1,
        orders: if args.quick { 250 } else { 2_500 },
    };
    ingest::measure(&mut table, &ingest, within)?;
    single::measure(&mut table, 10 / part, within)?;
    let sizes: &[u32] = match (args.quick, args.full) {
        (true, _) => &[1_000, 10_000],
        (_, false) => &[10_000, 100_000],
        (_, true) => &[10_000, 100_000, 1_000_000],
    };
    sizes.iter().try_for_each(|accounts| month_end::measure(&mut table, *accounts, within))
}
