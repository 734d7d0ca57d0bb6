//! The text of a file, and the mistakes found in it.

use crate::diagnostic::{Diagnostic, nearest};
use std::ops::Range;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The most mistakes that are reported; past them only their number.
const MAX_REPORTED: usize = 200;

/// The most mistakes that are kept until they are put in order.
const MAX_KEPT: usize = 5_000;

/// A text and what is wrong with it so far.
pub(super) struct Source<'t> {
    file: &'t str,
    text: &'t str,
    line_ends: Vec<usize>,
    mistakes: Vec<Mistake>,
    dropped: usize,
}

struct Mistake {
    at: Option<usize>,
    found: String,
    expected: String,
    suggestion: Option<String>,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Source<'t> {
        let line_ends = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Source { file, text, line_ends, mistakes: Vec::new(), dropped: 0 }
    }

    /// What is written there.
    pub(super) fn slice(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or("")
    }

    /// A mistake at a byte of the text.
    pub(super) fn mistake(&mut self, at: usize, found: impl Into<String>, expected: impl Into<String>) {
        self.suggest(at, found, expected, None);
    }

    /// A mistake for which it is clear what was probably meant.
    pub(super) fn suggest(
        &mut self,
        at: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.push(Some(at), found.into(), expected.into(), suggestion);
    }

    /// A mistake of the file as a whole.
    pub(super) fn of_file(&mut self, found: impl Into<String>, expected: impl Into<String>) {
        self.push(None, found.into(), expected.into(), None);
    }

    fn push(&mut self, at: Option<usize>, found: String, expected: String, suggestion: Option<String>) {
        if self.mistakes.len() < MAX_KEPT {
            self.mistakes.push(Mistake { at, found, expected, suggestion });
        } else {
            self.dropped += 1;
        }
    }

    /// How many mistakes there are so far.
    pub(super) fn count(&self) -> usize {
        self.mistakes.len() + self.dropped
    }

    /// Line of a byte, for a message that refers to another place.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// Line and column of a byte, from 1, the column in characters.
    fn place(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.line(at);
        let start = if line == 1 { 0 } else { self.line_ends[line - 2] + 1 };
        (line, self.text[start..at].chars().count() + 1)
    }

    /// The mistakes in the order of their places, those of the whole file first.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.mistakes.sort_by_key(|mistake| mistake.at);
        let more = self.mistakes.len().saturating_sub(MAX_REPORTED) + self.dropped;
        self.mistakes.truncate(MAX_REPORTED);
        let mut diagnostics = Vec::with_capacity(self.mistakes.len() + 1);
        for mistake in std::mem::take(&mut self.mistakes) {
            let (line, column) = mistake.at.map_or((0, 0), |at| self.place(at));
            diagnostics.push(Diagnostic {
                file: self.file.to_owned(),
                line,
                column,
                found: mistake.found,
                expected: mistake.expected,
                suggestion: mistake.suggestion,
            });
        }
        if more > 0 {
            diagnostics.push(Diagnostic {
                file: self.file.to_owned(),
                line: 0,
                column: 0,
                found: format!("{more} more mistakes, not shown"),
                expected: String::new(),
                suggestion: None,
            });
        }
        diagnostics
    }
}

/// A text as a message quotes it: on one line, and not without end.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| if c == '"' { vec!['"'] } else { c.escape_debug().collect() })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// What was probably meant: the nearest known name, or one that the word begins with (`monthly`
/// for `month`).
pub(super) fn near<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if written.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().take(10_000).collect();
    nearest(&written.to_lowercase(), known.iter().copied()).or_else(|| {
        let related = |name: &&&str| {
            let shorter = name.len().min(written.len());
            shorter >= 3 && (written.starts_with(**name) || name.starts_with(written))
        };
        known.iter().filter(related).max_by_key(|name| name.len()).map(|name| (*name).to_owned())
    })
}

/// `a, b or c`, cut short when there are many.
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 40;
    let mut names: Vec<&str> = names.into_iter().take(MOST + 1).collect();
    if names.len() > MOST {
        names.truncate(MOST);
        return format!("one of {}, …", names.join(", "));
    }
    match names.split_last() {
        None => "nothing: there is none".into(),
        Some((only, [])) => (*only).into(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
