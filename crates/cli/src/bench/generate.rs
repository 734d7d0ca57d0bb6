//! Call-detail files for measuring.

use farebox_text::import::generate;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
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
}

pub fn run(args: &Args) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&args.file)?);
    if args.utf8 {
        let mut out = Latin1ToUtf8(out);
        generate::asterisk(args.rows, args.seed, &mut out)?;
        return out.flush();
    }
    generate::asterisk(args.rows, args.seed, &mut out)?;
    out.flush()
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
