//! `farebox test FILES…`.

use crate::output::{self, Failure};
use farebox_scenario::golden::{self, Checked};
use farebox_text::diagnostic::Diagnostic;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How often the answers of a file are written again. One more run tells of lines that moved; another is never needed.
const ROUNDS_MAX: u32 = 4;

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
        let checked = golden::check(file);
        let differs = checked.as_ref().is_ok_and(|checked| !checked.differences.is_empty());
        let settled = match &checked {
            Ok(first) if differs && args.update => {
                updated += 1;
                update(file, first)?
            }
            _ => Ok(!differs),
        };
        match (checked, settled) {
            (Ok(checked), Ok(passed)) => results.push(Result_ {
                file: file.display().to_string(),
                answers: checked.shown,
                passed,
                differences: checked.differences,
            }),
            (Err(wrong), _) | (_, Err(wrong)) => mistakes.extend(wrong),
        }
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

/// Writes the answers into a file until they are those that it gives: a line that is put in moves the lines below it, and
/// answers name lines. Whether they are in the end; `Err`: what is wrong with the file then.
fn update(file: &Path, first: &Checked) -> Result<Result<bool, Vec<Diagnostic>>, Failure> {
    std::fs::write(file, &first.rewritten)?;
    for _ in 0..ROUNDS_MAX {
        match golden::check(file) {
            Ok(checked) if checked.differences.is_empty() => return Ok(Ok(true)),
            Ok(checked) => std::fs::write(file, &checked.rewritten)?,
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    Ok(Ok(false))
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
