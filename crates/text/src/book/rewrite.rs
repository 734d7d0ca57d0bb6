//! New answers under the queries of a book, and nothing else changed.

use super::ast::{Book, ItemKind};
use super::parse::begins_an_item;

/// What a query answers now, or how a command fares now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which of `book.items`: a query or a command. Others are ignored.
    pub item: usize,
    /// Of a query: the lines of its output. Of a command: its refusal, `CODE: SENTENCE`, as the
    /// only line; no line when it is accepted.
    pub lines: Vec<String>,
}

/// The book's text with these answers in place of the expected ones. `original` is the text that
/// `book` was parsed from. Items without an answer keep theirs; an answer that equals what is
/// expected already changes no byte. Line ends, comments, spacing and a byte order mark stay.
///
/// The result parses to the same book with the new expectations.
pub fn rewrite(original: &str, book: &Book, answers: &[Answer]) -> String {
    let lines: Vec<&str> = original.split_inclusive('\n').collect();
    let mut edits: Vec<Edit> = answers.iter().filter_map(|answer| edit(book, answer)).collect();
    edits.sort_by_key(|edit| edit.from);
    let mut out = String::with_capacity(original.len());
    let mut next = 0;
    for edit in edits {
        // Edits of one item twice, or of another text, change nothing the second time.
        if edit.from < next || edit.until > lines.len() || edit.from == 0 {
            continue;
        }
        out.extend(lines[next..edit.from].iter().copied());
        // The last line may have no end of its own: then the first one's.
        let model = if lines[edit.from - 1].ends_with('\n') { lines[edit.from - 1] } else { lines[0] };
        let end = if model.ends_with("\r\n") { "\r\n" } else { "\n" };
        if !edit.lines.is_empty() && !out.ends_with('\n') {
            out.push_str(if out.ends_with('\r') { "\n" } else { end });
        }
        for line in &edit.lines {
            out.push_str(line);
            out.push_str(end);
        }
        next = edit.until;
    }
    out.extend(lines[next..].iter().copied());
    if !original.ends_with('\n')
        && let Some(kept) = out.strip_suffix('\n')
    {
        out.truncate(kept.strip_suffix('\r').unwrap_or(kept).len());
    }
    out
}

/// Lines `from..until`, counted from 0, give way to these.
struct Edit {
    from: usize,
    until: usize,
    lines: Vec<String>,
}

/// What an answer changes; `None` when nothing.
fn edit(book: &Book, answer: &Answer) -> Option<Edit> {
    let item = book.items.get(answer.item)?;
    match &item.kind {
        ItemKind::Query(query) => {
            let lines: Vec<String> = answer.lines.iter().flat_map(|line| output(line)).collect();
            if lines == query.expected {
                return None;
            }
            let lines = lines.into_iter().map(escaped).collect();
            Some(Edit { from: query.lines.start - 1, until: query.lines.end - 1, lines })
        }
        ItemKind::Command(command) => {
            let refusal = sentence(&answer.lines);
            let expected = command.expected.as_ref();
            if refusal.as_deref() == expected.map(|expected| expected.text.as_str()) {
                return None;
            }
            let (from, until) = match expected {
                Some(expected) => (expected.line - 1, expected.line),
                None => (item.line, item.line),
            };
            Some(Edit { from, until, lines: refusal.map(|text| format!("! {text}")).into_iter().collect() })
        }
        _ => None,
    }
}

/// An answer's line as lines of a text file.
fn output(line: &str) -> impl Iterator<Item = String> {
    line.split('\n').map(|line| line.trim_end().replace('\0', "\u{fffd}"))
}

/// A refusal on one line.
fn sentence(lines: &[String]) -> Option<String> {
    let text = lines.join(" ").replace("\r\n", " ").replace(['\n', '\0'], " ").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A line of output as the book writes it: with `|` before what would be read as something else.
fn escaped(line: String) -> String {
    if line.is_empty() {
        "|".to_owned()
    } else if line.starts_with('|') || begins_an_item(&line) {
        format!("| {line}")
    } else {
        line
    }
}
