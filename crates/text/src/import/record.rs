//! What parsers hand over: legs of calls, and events encoded into bytes, by partition.

use super::arena::Interner;
use super::calls::Leg;
use super::index::Key;
use super::rules::{Row, Rules};
use super::scan::{Fields, Framing};
use super::summary::{Tally, Until, escaped};
use super::time::instant;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;

/// A row with its place.
pub(super) struct RowAt<'a> {
    pub(super) bytes: &'a [u8],
    /// From 1, within the chunk.
    pub(super) line: u32,
    /// In the file.
    pub(super) offset: u64,
}

/// Reads the rows of one file on one thread.
pub(super) trait Parser: Send {
    fn framing(&self) -> &Framing;
    fn row(&mut self, row: RowAt<'_>, fields: &Fields, out: &mut Out);
}

/// What one thread makes of one chunk.
pub(super) struct Out {
    pub(super) worker: u32,
    pub(super) tally: Tally,
    pub(super) batches: Vec<Batch>,
    pub(super) interner: Interner,
    /// Bytes to work with.
    pub(super) scratch: Vec<u8>,
}

impl Out {
    pub(super) fn new(worker: u32, parts: usize, listed_max: usize) -> Out {
        Out {
            worker,
            tally: Tally::new(listed_max),
            batches: (0..parts).map(|_| Batch::default()).collect(),
            interner: Interner::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn quarantine(
        &mut self,
        row: &RowAt<'_>,
        code: &'static str,
        sentence: impl FnOnce() -> String,
    ) {
        self.quarantine_until(row, Until::Never, code, sentence);
    }

    pub(super) fn quarantine_until(
        &mut self,
        row: &RowAt<'_>,
        until: Until,
        code: &'static str,
        sentence: impl FnOnce() -> String,
    ) {
        self.tally.quarantine((u64::from(row.line), row.offset), 1, until, code, || sentence().into());
    }
}

/// The rows of one chunk that belong to one partition.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) legs: Vec<Leg>,
    pub(super) records: Vec<Record>,
    /// Encoded events, and names of calls.
    pub(super) bytes: Vec<u8>,
    /// Lines before the chunk.
    pub(super) lines_before: u64,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.legs.clear();
        self.records.clear();
        self.bytes.clear();
    }
}

/// One event; its texts are in the batch's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) print: u32,
    pub(super) revision: u64,
    /// Seconds and nanoseconds since 1970 UTC.
    pub(super) time: (i64, i32),
    pub(super) start: Option<(i64, i32)>,
    pub(super) line: u32,
    pub(super) offset: u64,
    /// Where the encoded event begins.
    pub(super) body: usize,
    /// The identity is the content and its ordinal among equal rows of the file.
    pub(super) repeats: bool,
    /// Of a call: whether it was connected, and its seconds rounded up.
    pub(super) talk: Option<(bool, u32)>,
}

/// Whether bills are split by an attribute (R-ORG-2). One without a value is none: its usage is unassigned, and no project
/// of its own that has no name.
pub(super) fn splits_bills(name: &str) -> bool {
    matches!(name, "project" | "application") || name.starts_with("tag:")
}

/// Writes texts and attributes one after another.
pub(super) struct Encoder<'a>(pub(super) &'a mut Vec<u8>);

impl Encoder<'_> {
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.plain(&escaped(bytes));
    }

    pub(super) fn plain(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text that `write` appends.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        write(self.0);
        if let std::borrow::Cow::Owned(text) = escaped(&self.0[at + 4..]) {
            self.0.truncate(at + 4);
            self.0.extend_from_slice(text.as_bytes());
        }
        let len = (self.0.len() - at - 4) as u32;
        self.0[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    pub(super) fn attribute(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() && splits_bills(name) {
            return;
        }
        self.0.push(b'T');
        self.plain(name);
        self.text(value);
    }

    pub(super) fn plain_attribute(&mut self, name: &str, value: &str) {
        if value.is_empty() && splits_bills(name) {
            return;
        }
        self.0.push(b'T');
        self.plain(name);
        self.plain(value);
    }

    pub(super) fn number(&mut self, name: &str, value: Exact) {
        self.0.push(b'N');
        self.plain(name);
        self.0.extend_from_slice(&value.numerator().to_le_bytes());
        self.0.extend_from_slice(&value.denominator().to_le_bytes());
    }

    pub(super) fn end(&mut self) {
        self.0.push(b'.');
    }
}

/// Reads what [`Encoder`] wrote.
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }

    pub(super) fn text(&mut self) -> &'a str {
        let len = u32::from_le_bytes(self.take(4).try_into().unwrap_or_default());
        // Only whole texts are ever written.
        std::str::from_utf8(self.take(len as usize)).unwrap_or_default()
    }

    pub(super) fn attributes(&mut self, into: &mut Vec<(&'a str, Value<'a>)>) {
        loop {
            match self.take(1) {
                b"T" => {
                    let name = self.text();
                    into.push((name, Value::Text(self.text())));
                }
                b"N" => {
                    let name = self.text();
                    let mut whole = || i128::from_le_bytes(self.take(16).try_into().unwrap_or_default());
                    let (numerator, denominator) = (whole(), whole());
                    let value = match denominator {
                        1 => Exact::whole(numerator),
                        _ => Exact::ratio(numerator, denominator).unwrap_or(Exact::ZERO),
                    };
                    into.push((name, Value::Number(value)));
                }
                _ => return,
            }
        }
    }
}

/// The event of a record.
pub(super) fn decode<'a>(record: &Record, bytes: &'a [u8]) -> Event<'a> {
    let mut decoder = Decoder(&bytes[record.body..]);
    let mut event = Event {
        source: decoder.text(),
        id: decoder.text(),
        revision: record.revision,
        account: decoder.text(),
        kind: decoder.text(),
        time: instant(record.time.0, record.time.1),
        start: record.start.map(|(seconds, nanos)| instant(seconds, nanos)),
        attributes: Vec::with_capacity(8),
    };
    decoder.attributes(&mut event.attributes);
    event
}

/// The bytes of a record alone.
pub(super) fn body<'a>(record: &Record, bytes: &'a [u8]) -> &'a [u8] {
    let all = &bytes[record.body..];
    let mut decoder = Decoder(all);
    for _ in 0..4 {
        decoder.text();
    }
    decoder.attributes(&mut Vec::new());
    &all[..all.len() - decoder.0.len()]
}

/// What the rules make of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruled {
    Event,
    Ignored,
    NoRule,
    NoAccount,
}

/// Writes the row's own values, but for the names that it is told are set.
type OwnValues<'a> = &'a mut dyn FnMut(&mut Encoder<'_>, &dyn Fn(&str) -> bool);

/// Writes account, type and what the rule sets; the attributes are left open. `own`: the values
/// that the row itself gives, of which those stand that the rule does not set.
pub(super) fn apply_rules(
    rules: &Rules,
    row: &dyn Row,
    kind: &[u8],
    encoder: &mut Encoder<'_>,
    own: OwnValues<'_>,
) -> Ruled {
    let Some((_, rule)) = rules.first(row) else { return Ruled::NoRule };
    let Some(set) = &rule.set else { return Ruled::Ignored };
    let from = encoder.0.len();
    encoder.written(|out| set.account.write(row, out));
    if encoder.0.len() == from + 4 {
        return Ruled::NoAccount;
    }
    match &set.kind {
        Some(kind) => encoder.written(|out| kind.write(row, out)),
        None => encoder.text(kind),
    }
    for (name, value) in &set.attributes {
        let before = encoder.0.len();
        encoder.0.push(b'T');
        encoder.plain(name);
        let from = encoder.0.len();
        encoder.written(|out| value.write(row, out));
        if encoder.0.len() == from + 4 && splits_bills(name) {
            encoder.0.truncate(before);
        }
    }
    own(encoder, &|name| set.attributes.iter().any(|(set, _)| set == name));
    encoder.end();
    Ruled::Event
}

/// Quarantines or counts what the rules did not make an event.
pub(super) fn not_an_event(ruled: Ruled, row: &RowAt<'_>, out: &mut Out) {
    match ruled {
        Ruled::Event => {}
        Ruled::Ignored => out.tally.summary.ignored += 1,
        Ruled::NoRule => out.quarantine(row, "no-rule", || NO_RULE.into()),
        Ruled::NoAccount => out.quarantine(row, "no-account", || NO_ACCOUNT.into()),
    }
}

pub(super) const NO_RULE: &str = "no rule of the import matches the row";
pub(super) const NO_ACCOUNT: &str = "the row names no account, and no rule gives it one";
