//! What goes to the terminal: text or JSON, and mistakes on standard error.

use farebox_api::Mistake;
use farebox_text::diagnostic::Diagnostic;
use serde::Serialize;
use std::io::{self, Write};

/// Why a command could not do its work.
pub enum Failure {
    /// Mistakes in files, with their places.
    Mistakes(Vec<Diagnostic>),
    /// Anything else, in a sentence.
    Other(String),
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(mistakes: Vec<Diagnostic>) -> Failure {
        Failure::Mistakes(mistakes)
    }
}

impl From<Diagnostic> for Failure {
    fn from(mistake: Diagnostic) -> Failure {
        Failure::Mistakes(vec![mistake])
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Other(error.to_string())
    }
}

/// A mistake on the wire.
pub fn mistake(diagnostic: &Diagnostic) -> Mistake {
    let place = |number: usize| (number > 0).then_some(number);
    Mistake {
        file: diagnostic.file.clone(),
        line: place(diagnostic.line),
        column: place(diagnostic.column),
        found: diagnostic.found.clone(),
        expected: diagnostic.expected.clone(),
        suggestion: diagnostic.suggestion.clone(),
    }
}

/// Prints lines of text. A reader that has gone away is no failure.
pub fn text(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for line in lines {
        ended(writeln!(out, "{line}"))?;
    }
    Ok(())
}

/// Prints a text as it is.
pub fn raw(text: &str) -> Result<(), Failure> {
    ended(io::stdout().lock().write_all(text.as_bytes()))
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Other(error.to_string()))?;
    ended(writeln!(io::stdout().lock(), "{text}"))
}

fn ended(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(Failure::from),
    }
}

/// Prints why a command failed, where somebody reads it; the exit status says that it did.
pub fn failure(failure: &Failure, as_json: bool) {
    let mut said = Vec::new();
    match failure {
        Failure::Mistakes(mistakes) if as_json => {
            let wire: Vec<Mistake> = mistakes.iter().map(mistake).collect();
            said.push(serde_json::to_string_pretty(&wire).unwrap_or_default());
        }
        Failure::Mistakes(mistakes) => {
            said.extend(mistakes.iter().map(ToString::to_string));
            if mistakes.len() > 1 {
                said.push(format!("{} mistakes; nothing was done", mistakes.len()));
            }
        }
        Failure::Other(sentence) => said.push(format!("farebox: {sentence}")),
    }
    let _ = writeln!(io::stderr().lock(), "{}", said.join("\n"));
}
