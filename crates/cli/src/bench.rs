//! `farebox bench`: what the server does in a second; and usage files for measuring, which `scripts/bench` uses.

mod events;
mod ingest;
mod month_end;
mod process;

use crate::output::Failure;
use farebox_text::import::generate;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Write a call-detail file as Asterisk writes it, the same for the same seed.
    Generate {
        /// The file to write.
        file: PathBuf,
        /// Rows, about 280 bytes each.
        #[arg(long, default_value_t = 5_000_000)]
        rows: u64,
        /// Another seed gives another file.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write caller names in UTF-8 instead of the bytes that switches write.
        #[arg(long)]
        utf8: bool,
    },
    /// Load a server of its own with usage over HTTP.
    Ingest(ingest::Args),
    /// Let a server of its own settle and bill a month.
    MonthEnd(month_end::Args),
}

pub fn run(command: &Command) -> Result<ExitCode, Failure> {
    let (file, rows, seed, utf8) = match command {
        Command::Generate { file, rows, seed, utf8 } => (file, rows, seed, utf8),
        Command::Ingest(args) => {
            ingest::run(args)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::MonthEnd(args) => {
            month_end::run(args)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    if *utf8 {
        let mut out = Latin1ToUtf8(out);
        generate::asterisk(*rows, *seed, &mut out)?;
        out.flush()?;
    } else {
        let mut out = out;
        generate::asterisk(*rows, *seed, &mut out)?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes each byte as the character that it is in Latin-1.
struct Latin1ToUtf8<W>(W);

impl<W: Write> Write for Latin1ToUtf8<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
            if part.is_ascii() {
                self.0.write_all(part)?;
            } else {
                let text: String = part.iter().map(|byte| char::from(*byte)).collect();
                self.0.write_all(text.as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
