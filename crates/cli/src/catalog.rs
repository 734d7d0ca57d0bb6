//! `farebox catalog check FILES…` and `farebox catalog show FILE`.

use crate::output::{self, Failure};
use farebox_text::catalog;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Report every mistake in catalogue files.
    Check {
        /// Catalogue files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print a price list that a customer could read.
    Show {
        /// The catalogue file.
        file: PathBuf,
    },
}

/// A checked catalogue on the wire.
#[derive(Serialize)]
struct Checked {
    file: String,
    id: String,
    version: String,
    hash: String,
    currency: String,
    zone: String,
    plans: Vec<String>,
}

pub fn run(command: &Command, json: bool) -> Result<ExitCode, Failure> {
    match command {
        Command::Check { files } => check(files, json),
        Command::Show { file } => {
            let catalogue = read(file)?;
            if json {
                output::json(&checked(file, &catalogue))?;
            } else {
                let text = catalog::show(&catalogue);
                output::text(&text.lines().map(str::to_owned).collect::<Vec<_>>())?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read(file: &PathBuf) -> Result<farebox_core::catalog::Catalogue, Failure> {
    let bytes =
        std::fs::read(file).map_err(|error| Failure::Other(format!("{}: {error}", file.display())))?;
    Ok(catalog::parse(&file.display().to_string(), &bytes)?)
}

fn checked(file: &std::path::Path, catalogue: &farebox_core::catalog::Catalogue) -> Checked {
    Checked {
        file: file.display().to_string(),
        id: catalogue.id.clone(),
        version: catalogue.version.clone(),
        hash: catalogue.hash.clone(),
        currency: catalogue.currency.code().to_owned(),
        zone: catalogue.zone.name().to_owned(),
        plans: catalogue.plans().map(|plan| plan.id.clone()).collect(),
    }
}

fn check(files: &[PathBuf], json: bool) -> Result<ExitCode, Failure> {
    let (mut good, mut mistakes) = (Vec::new(), Vec::new());
    for file in files {
        match read(file) {
            Ok(catalogue) => good.push(checked(file, &catalogue)),
            Err(Failure::Mistakes(wrong)) => mistakes.extend(wrong),
            Err(other) => return Err(other),
        }
    }
    if json {
        output::json(&good)?;
    } else {
        let line = |one: &Checked| {
            format!(
                "{}: {} {} ({}), {} plans, no mistakes",
                one.file,
                one.id,
                one.version,
                one.hash,
                one.plans.len()
            )
        };
        output::text(&good.iter().map(line).collect::<Vec<_>>())?;
    }
    if mistakes.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(mistakes.into()) }
}
