//! Access logs, combined or common format: one request a line.
//!
//! A log line has no identifier: two equal lines are two requests. So a line's identity is its
//! content and its ordinal among equal lines of the file. Importing the same file again, or a
//! longer copy of it, counts nothing twice.

use super::index::Key;
use super::record::{Encoder, Out, Parser, Record, RowAt, Ruled, apply_rules, not_an_event};
use super::rules::{self, Rules};
use super::scan::{Fields, Framing};
use super::spec::{Attributes, ImportSpec};
use super::summary::excerpt;
use super::time::log_time;
use crate::diagnostic::Diagnostic;
use farebox_core::money::Exact;
use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// Names of the fields, in the order of the line.
const FIELDS: [&str; 11] =
    ["host", "ident", "user", "time", "method", "path", "protocol", "status", "bytes", "referer", "agent"];
const USER: usize = 2;
const TIME: usize = 3;
const STATUS: usize = 7;
const BYTES: usize = 8;

/// What all threads share of one file's import.
pub(super) struct Plan {
    rules: Rules,
    wanted: Vec<usize>,
    attributes: Attributes,
    kind: Vec<u8>,
    source: String,
    seed: u64,
    framing: Framing,
}

struct Names;

impl rules::Fields for Names {
    fn slot(&mut self, name: &str) -> Option<usize> {
        FIELDS.iter().position(|field| *field == name)
    }

    fn names(&self) -> Vec<String> {
        FIELDS.map(String::from).to_vec()
    }
}

impl Plan {
    pub(super) fn new(spec: &ImportSpec, source: &str) -> Result<Plan, Diagnostic> {
        let wanted = (0..FIELDS.len()).filter(|&i| i != TIME && spec.attributes.wants(FIELDS[i])).collect();
        Ok(Plan {
            rules: Rules::compile(&spec.rules, &spec.rules_file, FIELDS[USER], &mut Names)?,
            wanted,
            attributes: spec.attributes.clone(),
            kind: spec.kind.as_deref().unwrap_or("request").into(),
            source: source.into(),
            seed: xxh3_64(source.as_bytes()),
            framing: Framing::Lines,
        })
    }

    pub(super) fn parser(self: &Arc<Plan>) -> AccessLog {
        AccessLog { plan: Arc::clone(self) }
    }
}

/// The parser of one thread.
pub(super) struct AccessLog {
    plan: Arc<Plan>,
}

/// A line's fields as written; `-` is an empty one.
struct Line<'a>([&'a [u8]; 11]);

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<Line<'a>> {
        let mut fields: [&[u8]; 11] = [b""; 11];
        let mut rest = line;
        for field in &mut fields[..3] {
            (*field, rest) = word(rest)?;
        }
        let close = memchr::memchr(b']', rest)?;
        fields[TIME] = rest.strip_prefix(b"[")?.get(..close - 1)?;
        rest = rest[close + 1..].strip_prefix(b" ")?;
        let (request, after) = quoted(rest)?;
        // A request that is no HTTP, such as a TLS handshake on a plain port, is all path.
        let mut parts = request.splitn(3, |&b| b == b' ');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(method), Some(path), Some(protocol)) => {
                (fields[4], fields[5], fields[6]) = (method, path, protocol);
            }
            (Some(method), Some(path), None) => (fields[4], fields[5]) = (method, path),
            _ => fields[5] = request,
        }
        rest = after.strip_prefix(b" ")?;
        (fields[STATUS], rest) = word(rest)?;
        match memchr::memchr(b' ', rest) {
            None => fields[BYTES] = rest,
            Some(_) => {
                (fields[BYTES], rest) = word(rest)?;
                (fields[9], rest) = quoted(rest)?;
                (fields[10], _) = quoted(rest.strip_prefix(b" ")?)?;
            }
        }
        for field in &mut fields {
            if *field == b"-" {
                *field = b"";
            }
        }
        Some(Line(fields))
    }
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    Some((&text[..space], &text[space + 1..]))
}

/// The text between quotes, escapes left as they are, and what follows.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &text[from..])?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        from = (at + 2).min(text.len());
    }
}

impl rules::Row for Line<'_> {
    fn value(&self, slot: usize) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0[slot])
    }
}

fn number(digits: &[u8]) -> Option<Exact> {
    let fits = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| Exact::whole(digits.iter().fold(0, |n, b| n * 10 + i128::from(b - b'0'))))
}

impl Parser for AccessLog {
    fn framing(&self) -> &Framing {
        &self.plan.framing
    }

    fn row(&mut self, row: RowAt<'_>, _: &Fields, out: &mut Out) {
        let plan = &*self.plan;
        let Some(line) = Line::read(row.bytes) else {
            return out.quarantine(&row, "bad-line", || {
                format!("no line of the combined log format: {}", excerpt(row.bytes))
            });
        };
        let Some(time) = log_time(line.0[TIME]) else {
            return out.quarantine(&row, "bad-time", || {
                format!("\"{}\" is no time like 10/Oct/2026:13:55:36 -0700", excerpt(line.0[TIME]))
            });
        };
        let (status, bytes) = (number(line.0[STATUS]), number(line.0[BYTES]));
        let no_number = match (status, bytes) {
            (None, _) => Some(("status", STATUS)),
            (_, None) if !line.0[BYTES].is_empty() => Some(("bytes", BYTES)),
            _ => None,
        };
        if let Some((name, place)) = no_number {
            return out.quarantine(&row, "bad-number", || {
                format!("{name} \"{}\" is no whole number", excerpt(line.0[place]))
            });
        }
        let content = xxh3_128_with_seed(row.bytes, plan.seed);
        let key = Key::of(content);
        let part = key.partition(out.batches.len());
        let encoded = &mut out.batches[part].bytes;
        let body = encoded.len();
        let mut encoder = Encoder(encoded);
        encoder.plain(&plan.source);
        // The ordinal is added by the one who counts.
        encoder.written(|out| write!(out, "{content:032x}").unwrap_or_default());
        let ruled = apply_rules(&plan.rules, &line, &plan.kind, &mut encoder, &mut |encoder, is_set| {
            for &field in &plan.wanted {
                let (name, value) = (FIELDS[field], line.0[field]);
                if is_set(name) || value.is_empty() {
                    continue;
                }
                match (field, status, bytes) {
                    (STATUS, Some(number), _) | (BYTES, _, Some(number)) => encoder.number(name, number),
                    _ => encoder.attribute(name, value),
                }
            }
            // Nothing sent is written as a dash.
            if line.0[BYTES].is_empty() && plan.attributes.wants("bytes") && !is_set("bytes") {
                encoder.number("bytes", Exact::ZERO);
            }
        });
        if ruled != Ruled::Event {
            out.batches[part].bytes.truncate(body);
            return not_an_event(ruled, &row, out);
        }
        out.batches[part].records.push(Record {
            key,
            print: 0,
            revision: 0,
            time: (time, 0),
            start: None,
            line: row.line,
            offset: row.offset,
            body,
            repeats: true,
            talk: None,
        });
    }
}
