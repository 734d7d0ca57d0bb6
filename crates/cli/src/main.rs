//! `farebox`: the one binary.

mod archive;
mod ask;
mod bench;
mod bill;
mod catalog;
mod client;
mod config;
mod demo;
mod erase;
mod explain;
mod export;
mod focus;
mod log;
mod output;
mod push;
mod quote;
mod serve;
mod store;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Much is allocated by one thread and freed by another here: a request, by who received it and by the engine.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Billing for services sold by the seat, the minute, the call, the second and the package.
#[derive(Parser)]
#[command(name = "farebox", version, about, max_term_width = 100)]
struct Cli {
    /// Print JSON; amounts are strings of exact decimals (docs/json.md).
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bill a book: orders, payments and usage files in, explained bills out.
    Bill(bill::Args),
    /// Explain a line of a bill, down to the events behind it.
    Explain(explain::Args),
    /// Price a planned order or an amount of usage.
    Quote(quote::Args),
    /// Run golden scenarios and show what differs.
    Test(test::Args),
    /// Check or show a price list.
    Catalog {
        #[command(subcommand)]
        command: catalog::Command,
    },
    /// Start a server on a test clock with a month of five enterprises, and say what to try.
    Demo(demo::Args),
    /// Serve the API on a store in a folder.
    Serve(serve::Args),
    /// Look at everything in a store: that the truth is whole, and all that follows from it.
    Verify(store::Verify),
    /// Move old usage from a store's file to Parquet files beside it.
    Archive(archive::Args),
    /// Make an account's personal values unreadable, for good.
    Erase(erase::Args),
    /// Copy a store to a file, also while a server has it.
    Backup(store::Backup),
    /// Put a copy of a store into an empty folder.
    Restore(store::Restore),
    /// Show how a server that is started like this is configured, and what says so.
    Config(config::Flags),
    /// Ask a server a question, such as 'bill acme 2026-01 --explain', answered as a book answers it.
    Ask(ask::Args),
    /// Send a book to a server: its price lists, its lines and its usage files.
    Push(push::Args),
    /// Export what was booked, for other programs.
    Export {
        #[command(subcommand)]
        command: export::Command,
    },
    /// Measure the server on this machine, and print one table.
    Bench(bench::Args),
}

/// Exit status for what the user gave being wrong.
const WRONG_INPUT: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Bill(args) => bill::run(&args, cli.json),
        Command::Explain(args) => explain::run(&args, cli.json),
        Command::Quote(args) => quote::run(&args, cli.json),
        Command::Test(args) => test::run(&args, cli.json),
        Command::Catalog { command } => catalog::run(&command, cli.json),
        Command::Demo(args) => demo::run(&args),
        Command::Config(flags) => config::run(&flags, cli.json),
        Command::Serve(args) => serve::run(&args),
        Command::Verify(args) => store::verify_store(&args, cli.json),
        Command::Archive(args) => archive::run(&args, cli.json),
        Command::Erase(args) => erase::run(&args, cli.json),
        Command::Backup(args) => store::back_up(&args),
        Command::Restore(args) => store::put_back(&args),
        Command::Ask(args) => ask::run(&args, cli.json),
        Command::Push(args) => push::run(&args, cli.json),
        Command::Export { command } => export::run(&command),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure, cli.json);
            ExitCode::from(WRONG_INPUT)
        }
    }
}
