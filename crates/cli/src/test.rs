//! `farebox test FILES…`.

use crate::output::{self, Failure};
use farebox_scenario::golden;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Scenario files, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the answers as they are into the files.
    #[arg(long)]
    update: bool,
}

/// A scenario's result on the wire.
#[derive(Serialize)]
struct Result_ {
    file: String,
    answers: usize,
    passed: bool,
    differences: Vec<String>,
}

pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for path in &args.files {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        return Err(Failure::Other("no scenario files (*.book, *.test) there".to_owned()));
    }
    let (mut results, mut mistakes, mut updated) = (Vec::new(), Vec::new(), 0);
    for file in &files {
        let checked = match golden::check(file) {
            Ok(checked) => checked,
            Err(wrong) => {
                mistakes.extend(wrong);
                continue;
            }
        };
        if args.update && !checked.differences.is_empty() {
            std::fs::write(file, &checked.rewritten)?;
            updated += 1;
        }
        results.push(Result_ {
            file: file.display().to_string(),
            answers: checked.shown,
            passed: checked.differences.is_empty() || args.update,
            differences: checked.differences,
        });
    }
    let failed = results.iter().filter(|result| !result.passed).count() + usize::from(!mistakes.is_empty());
    let passed = results.iter().filter(|result| result.passed).count();
    if json {
        output::json(&results)?;
    } else {
        let mut lines: Vec<String> = results
            .iter()
            .filter(|result| !result.passed)
            .flat_map(|result| result.differences.clone())
            .collect();
        if args.update {
            lines.push(format!("{updated} of {} files updated", files.len()));
        }
        lines.push(format!("{passed} passed, {failed} failed"));
        output::text(&lines)?;
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file as it is; of a folder all scenario files, in order.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let scenario = entry.extension().is_some_and(|extension| extension == "book" || extension == "test");
        if entry.is_dir() || scenario {
            collect(&entry, files)?;
        }
    }
    Ok(())
}
