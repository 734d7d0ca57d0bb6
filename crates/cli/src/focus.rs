//! `farebox export focus`: the bills of a book or a store as FOCUS has cost and usage.

use crate::output::Failure;
use crate::{bill, store};
use clap::ValueEnum;
use farebox_api::focus;
use farebox_core::account::{Account, Group};
use farebox_core::bill::first_of;
use farebox_core::engine::Catalogues;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use farebox_table::{Format, Writer};
use jiff::civil::Date;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// The book; or a store, by `--data`.
    #[arg(required_unless_present = "data", conflicts_with = "data")]
    book: Option<PathBuf>,
    /// The folder of a store. A server may have it.
    #[arg(long, value_name = "DIR", conflicts_with = "until")]
    data: Option<PathBuf>,
    /// The form of the file; Parquet is written to a file only.
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    /// Who issues the bills: InvoiceIssuerName, ProviderName and PublisherName.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    issuer: String,
    /// Only the bills of this month (YYYY-MM, each account's own calendar), and credit notes made in it.
    #[arg(long, value_name = "MONTH")]
    month: Option<String>,
    /// Only what is billed up to this date (00:00, the book's zone, and what is due at that moment).
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// The file to write instead of standard output.
    #[arg(short, value_name = "FILE", required_if_eq("format", "parquet"))]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// RFC 4180, the names of the columns first.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Writes the rows of FOCUS; a file only gets its name when it is whole.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let month =
        match &args.month {
            Some(month) => Some(first_of(month).ok_or_else(|| {
                Failure::Other(format!("--month takes a month as YYYY-MM, not \"{month}\""))
            })?),
            None => None,
        };
    let format = match args.format {
        Form::Csv => Format::Csv,
        Form::Parquet => Format::Parquet,
    };
    match &args.output {
        None => {
            let writer =
                of_output(Path::new("standard output"), Writer::new(format, focus::COLUMNS, stdout()))?;
            let written = write_rows(args, month, writer, Path::new("standard output"))?;
            of_output(Path::new("standard output"), written.finish()).map(drop)?;
        }
        Some(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let part = folder
                .unwrap_or(Path::new("."))
                .join(format!(".{}.part", path.file_name().unwrap_or_default().to_string_lossy()));
            let file = of_output(&part, File::create(&part))?;
            let writer = of_output(&part, Writer::new(format, focus::COLUMNS, BufWriter::new(file)))?;
            let written = write_rows(args, month, writer, &part).and_then(|writer| {
                let file = of_output(&part, writer.finish())?;
                of_output(&part, file.into_inner().map_err(std::io::IntoInnerError::into_error))?;
                of_output(path, std::fs::rename(&part, path))
            });
            if written.is_err() {
                let _ = std::fs::remove_file(&part);
            }
            written?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn of_output<T>(path: &Path, done: std::io::Result<T>) -> Result<T, Failure> {
    done.map_err(|error| Failure::Other(format!("{}: {error}", path.display())))
}

/// Writes the rows of every account that pays.
fn write_rows<W: Write + Send>(
    args: &Args,
    month: Option<Date>,
    mut writer: Writer<W>,
    path: &Path,
) -> Result<Writer<W>, Failure> {
    let mut put = |catalogues: &Catalogues, group: &Group, account: &Account| {
        let world = focus::World { catalogues, issuer: &args.issuer, month };
        let mut failed = Ok(());
        let mut each = |row| {
            if failed.is_ok() {
                failed = writer.row(row);
            }
        };
        focus::rows(&world, group, account, &mut each)
            .map_err(|error| Failure::Other(format!("account {}: {error}", account.head.id)))?;
        of_output(path, failed)
    };
    match (&args.book, &args.data) {
        (Some(book), _) => {
            let prepared = prepare::load(book)?;
            let mut run = Run::new(&prepared, Options::default());
            bill::play(&mut run)?;
            bill::finish(&mut run, args.until.as_deref())?;
            for account in run.accounts() {
                if let Some(group) = run.group_of(&account.head.id) {
                    put(&prepared.catalogues, group, account)?;
                }
            }
        }
        (None, Some(data)) => store::each_group(data, &mut |catalogues, group| {
            group.iter().try_for_each(|account| put(catalogues, group, account))
        })?,
        (None, None) => {}
    }
    Ok(writer)
}
