//! A book's bytes to its items. Every line is read on its own, so that one mistake hides no other.

use super::ast::*;
use super::import;
use super::lex::{Mistake, Words, lex, quoted};
use super::question::words;
use super::time::{Time, When, surely_before};
use super::verb::{self, VERBS};
use crate::diagnostic::Diagnostic;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most mistakes that are reported; a file that is no book at all should not flood the screen.
const MISTAKES_MAX: usize = 200;

/// Reads a book. Every mistake in it is reported, each line's first, in the order of the lines
/// (after 200 the rest is only mentioned). Never panics, whatever the bytes are.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Book, Vec<Diagnostic>> {
    let mut parser = Parser {
        book: Book { file: file.to_owned(), items: Vec::new() },
        mistakes: Vec::new(),
        below: Below::Nothing,
        latest: Latest::default(),
        dated: false,
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in lines(bytes).enumerate() {
        match decode(line) {
            Ok(text) => parser.line(index + 1, text),
            Err(mistake) => parser.mistake(index + 1, mistake),
        }
        if parser.mistakes.len() > MISTAKES_MAX {
            break;
        }
    }
    parser.finish()
}

/// The lines without their ends; no empty one after the last line end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|b| *b == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// The text of a line.
fn decode(line: &[u8]) -> Result<&str, Mistake> {
    if line.len() > LINE_BYTES_MAX {
        let found = format!("a line of {} bytes", line.len());
        return Err(Mistake::new(0, found, "at most 65536 bytes"));
    }
    let column = |before: &[u8]| String::from_utf8_lossy(before).chars().count() + 1;
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to();
        let found = format!("the byte 0x{:02x}, which is not UTF-8", line[at]);
        Mistake::new(column(&line[..at]), found, "a file saved as UTF-8")
    })?;
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(Mistake::new(column(&line[..at]), "a NUL byte", "text")),
    }
}

/// What the next line may belong to.
enum Below {
    Nothing,
    /// A command: `!` may follow directly.
    Command,
    /// A query: output may follow directly.
    Query,
    /// A line that was wrong: what belongs to it is not reported again.
    Wrong,
    /// An import: indented lines may follow, with blank lines and comments between.
    Import {
        wrong: bool,
    },
}

/// The latest times so far, of each kind, and the line they stand on.
#[derive(Default)]
struct Latest {
    local: Option<(Time, usize)>,
    exact: Option<(Time, usize)>,
}

struct Parser {
    book: Book,
    mistakes: Vec<Diagnostic>,
    below: Below,
    latest: Latest,
    /// Whether a dated line came already.
    dated: bool,
}

/// Whether a line begins something of its own, so that it cannot be the output of a query unless
/// a `|` is written before it.
pub(super) fn begins_an_item(line: &str) -> bool {
    let dated = || {
        let mut parts = line.splitn(3, '-');
        let digits = |part: Option<&str>, most: usize| {
            part.is_some_and(|part| {
                (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
            })
        };
        line.as_bytes().get(4) == Some(&b'-')
            && digits(parts.next(), 4)
            && digits(parts.next(), 2)
            && parts.next().is_some()
    };
    line.starts_with(['$', '#']) || dated()
}

/// An expected line as it was meant: without the `|` before it and the blanks after it.
pub(super) fn meant(line: &str) -> &str {
    let line = line.trim_end();
    match line.strip_prefix('|') {
        Some(rest) => rest.strip_prefix(' ').unwrap_or(rest),
        None => line,
    }
}

impl Parser {
    fn mistake(&mut self, line: usize, mistake: Mistake) {
        self.mistakes.push(mistake.at(&self.book.file, line));
    }

    fn finish(mut self) -> Result<Book, Vec<Diagnostic>> {
        if self.mistakes.is_empty() {
            return Ok(self.book);
        }
        self.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if self.mistakes.len() > MISTAKES_MAX {
            self.mistakes.truncate(MISTAKES_MAX);
            let more = Mistake::new(0, format!("more than {MISTAKES_MAX} mistakes"), "a book");
            self.mistakes.push(more.at(&self.book.file, 0));
        }
        Err(self.mistakes)
    }

    fn push(&mut self, line: usize, kind: ItemKind) {
        self.book.items.push(Item { line, kind });
    }

    fn line(&mut self, line: usize, text: &str) {
        let blank = text.trim().is_empty();
        if let Below::Query = self.below {
            if !blank && !begins_an_item(text) {
                if let Some(Item { kind: ItemKind::Query(query), .. }) = self.book.items.last_mut() {
                    query.expected.push(meant(text).to_owned());
                    query.lines.end = line + 1;
                }
                return;
            }
            self.below = Below::Nothing;
        }
        let indented = text.starts_with([' ', '\t']);
        let comment = text.trim_start_matches([' ', '\t']).starts_with('#');
        if blank || comment {
            if !matches!(self.below, Below::Import { .. }) {
                self.below = Below::Nothing;
            }
            return;
        }
        let result = match text.as_bytes()[0] {
            _ if indented => self.indented(line, text),
            b'!' => self.expected(line, text),
            b'$' => self.query(line, text),
            b'0'..=b'9' => self.dated(line, text),
            _ => self.directive(line, text),
        };
        if let Err(mistake) = result {
            self.mistake(line, mistake);
        }
    }

    fn indented(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        let Below::Import { wrong } = &mut self.below else {
            if let Below::Wrong = self.below {
                return Ok(());
            }
            self.below = Below::Wrong;
            let column = text.chars().take_while(|c| matches!(c, ' ' | '\t')).count() + 1;
            let expected = "indentation only for match and columns, below an import";
            return Err(Mistake::new(column, "an indented line", expected));
        };
        let import = match self.book.items.last_mut() {
            Some(Item { kind: ItemKind::Import(import), .. }) if !*wrong => Some(import),
            _ => None,
        };
        lex(text, 1).and_then(|lexed| import::continuation(lexed, line, import))
    }

    fn expected(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        let below = std::mem::replace(&mut self.below, Below::Wrong);
        match (below, self.book.items.last_mut()) {
            (Below::Wrong, _) => Ok(()),
            (Below::Command, Some(Item { kind: ItemKind::Command(command), .. })) => {
                let text = text[1..].trim().to_owned();
                if text.is_empty() {
                    let expected = "the refusal, such as ! mode-not-offered: basic-seat is pay-per-use";
                    return Err(Mistake::new(2, "the line ends", expected));
                }
                command.expected = Some(Expected { line, text });
                self.below = Below::Nothing;
                Ok(())
            }
            _ => {
                let expected = "! directly below the command that is refused, once";
                Err(Mistake::new(1, "an expected refusal without its command", expected))
            }
        }
    }

    fn query(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        self.below = Below::Wrong;
        // Output below a query that is itself wrong must not be read as lines of the book.
        self.below = Below::Query;
        self.push(
            line,
            ItemKind::Query(Query { words: vec![], expected: vec![], lines: line + 1..line + 1 }),
        );
        let words = words(&text[1..], 2)?;
        if let Some(Item { kind: ItemKind::Query(query), .. }) = self.book.items.last_mut() {
            query.words = words;
        }
        Ok(())
    }

    fn dated(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        self.below = Below::Wrong;
        let mut words = Words::new(lex(text, 1)?, "2020-01-04 13:23:56 VERB …");
        let written = words.written()?;
        let at = written.when()?;
        self.dated = true;
        let order = self.in_order(at, line);
        let kind = match words.peek().map(|token| (token.keyword().to_owned(), token.column)) {
            Some((directive, column)) if directive == "catalog" || directive == "zone" => {
                let expected = format!("{directive} on a line of its own, without a date");
                return Err(Mistake::new(column, format!("{directive} after a date"), expected));
            }
            Some((directive, _)) if directive == "import" => {
                self.below = Below::Import { wrong: true };
                words.next();
                ItemKind::Import(import::import(&mut words, Some(at))?)
            }
            _ => {
                let verb = verb::verb(&mut words, written)?;
                ItemKind::Command(CommandLine { at, verb, expected: None })
            }
        };
        words.finish()?;
        order?;
        self.below = match kind {
            ItemKind::Import(_) => Below::Import { wrong: false },
            _ => Below::Command,
        };
        self.push(line, kind);
        Ok(())
    }

    /// Dated lines never go back in time.
    fn in_order(&mut self, at: When, line: usize) -> Result<(), Mistake> {
        for (latest, latest_line) in [self.latest.local, self.latest.exact].into_iter().flatten() {
            if surely_before(at.time, latest) {
                let found = format!("a time before that of line {latest_line}");
                let expected = "dated lines in the order of their times";
                return Err(Mistake::new(at.column, found, expected));
            }
        }
        match at.time {
            Time::Local(_) => self.latest.local = Some((at.time, line)),
            Time::Exact(_) => self.latest.exact = Some((at.time, line)),
        }
        Ok(())
    }

    fn directive(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        self.below = Below::Wrong;
        let mut words = Words::new(lex(text, 1)?, "catalog \"FILE\"");
        let token = words.need("a line of the book")?;
        let kind = match token.keyword() {
            "catalog" => {
                let file = words.need("a catalogue file")?.word();
                if file.text.is_empty() {
                    return Err(Mistake::new(file.column, "an empty path", "a file, relative to the book"));
                }
                ItemKind::Catalog(file)
            }
            "zone" => {
                words.set_form("zone +08:00");
                let zone = verb::zone(&mut words)?;
                if self.book.items.iter().any(|item| matches!(item.kind, ItemKind::Zone(_))) {
                    return Err(Mistake::new(1, "a second zone", "one zone for the whole book"));
                }
                if self.dated {
                    return Err(Mistake::new(
                        1,
                        "a zone below dated lines",
                        "the zone above the first dated line",
                    ));
                }
                ItemKind::Zone(zone)
            }
            "import" => {
                self.below = Below::Import { wrong: true };
                ItemKind::Import(import::import(&mut words, None)?)
            }
            keyword if VERBS.iter().any(|(verb, _)| *verb == keyword) => {
                let expected = format!("a date before it: 2020-01-04 {keyword} …");
                return Err(Mistake::new(1, format!("{} without a date", quoted(keyword)), expected));
            }
            keyword => {
                let found = format!("unknown line {}", quoted(&token.text));
                let expected =
                    "a date and a verb, catalog, zone, import, a query after $, or # and a comment";
                return Err(Mistake::new(1, found, expected).near(keyword, ["catalog", "zone", "import"]));
            }
        };
        words.finish()?;
        self.below = match kind {
            ItemKind::Import(_) => Below::Import { wrong: false },
            _ => Below::Nothing,
        };
        self.push(line, kind);
        Ok(())
    }
}
