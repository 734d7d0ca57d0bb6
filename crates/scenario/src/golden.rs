//! Golden scenarios: a book, questions, and the answers that are expected.

use crate::prepare;
use crate::run::{Options, Outcome, Run};
use farebox_core::calendar::Zone;
use farebox_service::Groups;
use farebox_text::book::{self, Answer, ItemKind};
use farebox_text::diagnostic::Diagnostic;
use std::path::Path;

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct Checked {
    /// How many questions and refusals it shows.
    pub shown: usize,
    /// What differs from what is expected, ready to print.
    pub differences: Vec<String>,
    /// The file's text with the answers as they are.
    pub rewritten: String,
}

/// Runs a scenario file and compares its answers.
///
/// # Errors
/// What is wrong with the file.
pub fn check(path: &Path) -> Result<Checked, Vec<Diagnostic>> {
    check_kept(path, Groups::unkept())
}

/// The same, with the accounts in a store, which must be empty.
///
/// # Errors
/// What is wrong with the file, or with the store.
pub fn check_kept(path: &Path, groups: Groups) -> Result<Checked, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let expected = "a file that can be read".to_owned();
        vec![Diagnostic {
            file: file.clone(),
            line: 0,
            column: 0,
            found: error.to_string(),
            expected,
            suggestion: None,
        }]
    })?;
    compare(&file, &bytes, path.parent().unwrap_or(Path::new("")), groups)
}

/// Runs a scenario's text and compares its answers. Paths in it are relative to `folder`.
///
/// # Errors
/// What is wrong with it.
pub fn check_bytes(file: &str, bytes: &[u8], folder: &Path) -> Result<Checked, Vec<Diagnostic>> {
    compare(file, bytes, folder, Groups::unkept())
}

fn compare(file: &str, bytes: &[u8], folder: &Path, groups: Groups) -> Result<Checked, Vec<Diagnostic>> {
    let prepared = prepare::prepare(file, bytes, folder)?;
    let mut answers = Vec::new();
    let mut run =
        Run::new(&prepared, Options { live: groups.store().is_some(), groups, ..Options::default() });
    run.play(&mut |step, outcome| {
        answers.push(Answer { item: step.item, lines: lines_of(&outcome, &prepared.zone) });
    })
    .map_err(|wrong| vec![wrong])?;
    let mut checked = Checked { shown: 0, differences: Vec::new(), rewritten: String::new() };
    for answer in &answers {
        let item = &prepared.book.items[answer.item];
        let expected = match &item.kind {
            ItemKind::Query(query) => query.expected.clone(),
            ItemKind::Command(command) => command.expected.iter().map(|one| one.text.clone()).collect(),
            _ => continue,
        };
        checked.shown += usize::from(!answer.lines.is_empty());
        checked.differences.extend(differences(file, item.line, &expected, &answer.lines));
    }
    let text = String::from_utf8_lossy(bytes);
    checked.rewritten = book::rewrite(&text, &prepared.book, &answers);
    Ok(checked)
}

fn lines_of(outcome: &Outcome, zone: &Zone) -> Vec<String> {
    match outcome {
        Outcome::Accepted => Vec::new(),
        Outcome::Refused(refusal) => vec![format!("{}: {}", refusal.code(), refusal.sentence(zone))],
        Outcome::Answered(lines) => lines.clone(),
    }
}

/// How an answer differs from the one that is expected, ready to print; nothing where it does not.
pub fn differences(file: &str, line: usize, expected: &[String], found: &[String]) -> Vec<String> {
    if expected == found {
        return Vec::new();
    }
    let mut all = vec![format!("{file}:{line}: the answer differs")];
    all.extend(difference(expected, found));
    all
}

/// Lines that are expected and missing, and lines that are there instead, in order.
fn difference(expected: &[String], found: &[String]) -> Vec<String> {
    let same_start = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    let rest = |lines: &[String]| lines.len() - same_start;
    let most = rest(expected).min(rest(found));
    let same_end = (0..most)
        .take_while(|back| expected[expected.len() - 1 - back] == found[found.len() - 1 - back])
        .count();
    let middle = |lines: &[String]| lines[same_start..lines.len() - same_end].to_vec();
    let missing = middle(expected).into_iter().map(|line| format!("  expected: {line}"));
    missing.chain(middle(found).into_iter().map(|line| format!("  found:    {line}"))).collect()
}
