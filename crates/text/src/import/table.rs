//! Any CSV with a header line (RFC 4180), laid out as [`Table`](super::Table) says.
//!
//! A value written as a plain decimal, without leading zeros, plus sign or more digits than can be
//! billed, is a number; everything else is a text. An empty field is no attribute.

use super::index::Key;
use super::partition::identity;
use super::record::{Encoder, Out, Parser, Record, RowAt, Ruled, apply_rules, not_an_event};
use super::rules::{self, Rules};
use super::scan::{Fields, Found, Framing};
use super::spec::ImportSpec;
use super::summary::{escaped, excerpt};
use super::time::{Clock, Local, rfc3339};
use crate::diagnostic::{Diagnostic, nearest};
use farebox_core::calendar::{LocalTime, YEARS, Zone};
use farebox_core::money::Exact;
use jiff::fmt::strtime;
use std::borrow::Cow;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What all threads share of one file's import.
pub(super) struct Plan {
    rules: Rules,
    header: Vec<String>,
    wanted: Vec<usize>,
    id: Vec<usize>,
    time: usize,
    start: Option<usize>,
    kind_column: Option<usize>,
    revision: Option<usize>,
    kind: Vec<u8>,
    source: String,
    zone: Option<Zone>,
    format: Option<String>,
    framing: Framing,
}

/// What the header line took of the file.
pub(super) struct Header {
    pub(super) bytes: usize,
    pub(super) lines: u64,
}

struct Names<'a>(&'a [String]);

impl rules::Fields for Names<'_> {
    fn slot(&mut self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column == name)
    }

    fn names(&self) -> Vec<String> {
        self.0.to_vec()
    }
}

/// The format that needs no general reader.
const PLAIN: &str = "%Y-%m-%d %H:%M:%S";

impl Plan {
    pub(super) fn new(
        spec: &ImportSpec,
        source: &str,
        head: &[u8],
        whole: bool,
    ) -> Result<(Plan, Header), Diagnostic> {
        let table = &spec.table;
        let any = Framing::Quoted { separator: table.separator, columns: 0..=usize::MAX };
        let mut fields = Fields::default();
        let wrong = |found: String, expected: &str| Diagnostic { line: 1, ..spec.wrong(found, expected) };
        let (names, header) = match any.next(head, 0, whole, &mut fields) {
            // An empty file holds no usage, which is no mistake.
            _ if head.is_empty() => {
                let mut names = vec![table.time.clone(), table.account.clone()];
                names.extend(table.id.iter().cloned());
                (names, Header { bytes: 0, lines: 0 })
            }
            Found::Row { len, next, lines } => {
                let value = |column| escaped(&fields.value(&head[..len], column)).trim().to_owned();
                let names = (0..fields.len()).map(value).collect();
                (names, Header { bytes: next, lines: lines.into() })
            }
            _ => {
                return Err(wrong(
                    "no header line".into(),
                    "names of the columns, separated as the rows are",
                ));
            }
        };
        let names: Vec<String> = names;
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(wrong(format!("two columns \"{}\"", twice.1), "each name once"));
        }
        let column = |name: &str| names.iter().position(|column| column == name);
        let needed = |name: &str| {
            column(name).ok_or_else(|| Diagnostic {
                suggestion: nearest(name, names.iter().map(String::as_str)),
                ..wrong(format!("no column \"{name}\""), &format!("one of {}", names.join(", ")))
            })
        };
        let time = needed(&table.time)?;
        let id: Vec<usize> = table.id.iter().filter_map(|name| column(name)).collect();
        // The default column may be missing; a column that was asked for may not.
        if id.len() < table.id.len() && table.id != super::Table::default().id {
            for name in &table.id {
                needed(name)?;
            }
        }
        if let (Some(format), None) = (&table.time_format, &spec.zone) {
            let says_where = ["%z", "%:z", "%Q", "%s", "%Z"].iter().any(|part| format.contains(part));
            if !says_where {
                let found = format!("times written as {format} are local and no zone is given");
                return Err(spec.wrong(found, "a zone, such as zone Europe/Berlin"));
            }
        }
        let names_account = column(&table.account).is_some();
        let every_rule_names = !spec.rules.is_empty()
            && spec.rules.iter().all(|rule| match &rule.outcome {
                super::Outcome::Set(values) => values.iter().any(|(name, _)| name == "account"),
                super::Outcome::Ignore => true,
            });
        if !names_account && !every_rule_names {
            needed(&table.account)?;
        }
        // Where every rule names the account, the fallback is never asked for.
        let rules = Rules::compile(&spec.rules, &spec.rules_file, &table.account, &mut Names(&names))?;
        let (start, kind_column, revision) =
            (column(&table.start), column(&table.kind), column(&table.revision));
        let account = column(&table.account);
        let own = |i: usize| {
            i == time || id.contains(&i) || [start, kind_column, revision, account].contains(&Some(i))
        };
        let plan = Plan {
            rules,
            wanted: (0..names.len()).filter(|&i| !own(i) && spec.attributes.wants(&names[i])).collect(),
            id,
            time,
            start,
            kind_column: if spec.kind.is_some() { None } else { kind_column },
            revision,
            kind: spec.kind.as_deref().unwrap_or("usage").into(),
            source: source.into(),
            zone: spec.zone.clone(),
            format: table.time_format.clone(),
            framing: Framing::Quoted { separator: table.separator, columns: names.len()..=names.len() },
            header: names,
        };
        Ok((plan, header))
    }

    pub(super) fn parser(self: &Arc<Plan>) -> Csv {
        let zone = self.zone.clone().unwrap_or_else(Zone::utc);
        Csv { plan: Arc::clone(self), clock: Clock::new(zone) }
    }
}

/// The parser of one thread.
pub(super) struct Csv {
    plan: Arc<Plan>,
    clock: Clock,
}

struct Columns<'a> {
    row: &'a [u8],
    fields: &'a Fields,
}

impl Columns<'_> {
    fn get(&self, column: usize) -> Vec<u8> {
        self.fields.value(self.row, column)
    }
}

impl rules::Row for Columns<'_> {
    fn value(&self, slot: usize) -> Cow<'_, [u8]> {
        Cow::Owned(self.get(slot))
    }
}

impl Csv {
    /// A time as the file writes it: seconds and nanoseconds, or why it is none.
    fn time(&mut self, text: &[u8]) -> Result<(i64, i32), (&'static str, String)> {
        let plan = &*self.plan;
        let wrong = |expected: &str| {
            Err((
                "bad-time",
                format!("\"{}\" is no time written {expected} that can be billed", excerpt(text)),
            ))
        };
        let skipped =
            || Err(("skipped-hour", format!("\"{}\" never was: daylight saving skips it", excerpt(text))));
        let Some(format) = &plan.format else {
            return rfc3339(text).map_or_else(|| wrong("like 2026-01-31T23:59:59Z"), Ok);
        };
        if format == PLAIN {
            return match self.clock.read(text) {
                Local::One(at) | Local::Two(at, _) => Ok((at, 0)),
                Local::Skipped => skipped(),
                Local::Wrong => wrong(format),
            };
        }
        let Ok(parsed) = strtime::parse(format, text) else { return wrong(format) };
        let at = match parsed.to_timestamp() {
            Ok(at) => at,
            Err(_) => match (parsed.to_datetime(), &plan.zone) {
                (Ok(local), Some(zone)) => match zone.moments(local) {
                    LocalTime::One(at) | LocalTime::Two(at, _) => at,
                    LocalTime::None(_) => return skipped(),
                },
                _ => return wrong(format),
            },
        };
        if !YEARS.contains(&Zone::utc().local(at).year()) {
            return wrong(format);
        }
        Ok((at.as_second(), at.subsec_nanosecond()))
    }
}

/// A plain decimal, if it is written as one and nothing would be lost.
fn number(text: &[u8]) -> Option<Exact> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = matches!(digits, [b'0'] | [b'0', b'.', ..] | [b'1'..=b'9', ..]);
    if !plain || text.len() > 26 {
        return None;
    }
    Exact::parse(std::str::from_utf8(text).ok()?, 9).ok()
}

/// Parts that identify a row together, with a slash between them. One in a part is `\/` and a
/// backslash `\\`, so that no other parts give the same text.
fn joined(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut id = Vec::new();
    for (i, part) in parts.enumerate() {
        if i > 0 {
            id.push(b'/');
        }
        for byte in part {
            if matches!(byte, b'/' | b'\\') {
                id.push(b'\\');
            }
            id.push(byte);
        }
    }
    id
}

impl Parser for Csv {
    fn framing(&self) -> &Framing {
        &self.plan.framing
    }

    fn row(&mut self, row: RowAt<'_>, fields: &Fields, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        if fields.len() != plan.header.len() {
            return out.quarantine(&row, "columns", || {
                format!("the row has {} columns; the header names {}", fields.len(), plan.header.len())
            });
        }
        let columns = Columns { row: row.bytes, fields };
        let time = match self.time(&columns.get(plan.time)) {
            Ok(time) => time,
            Err((code, why)) => return out.quarantine(&row, code, || why),
        };
        let start = match plan.start.map(|column| columns.get(column)).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => match self.time(&text) {
                Ok(start) => Some(start),
                Err((code, why)) => return out.quarantine(&row, code, || why),
            },
        };
        if start.is_some_and(|start| start > time) {
            return out.quarantine(&row, "ends-before-start", || "its time is before its start".into());
        }
        let revision = match plan.revision.map(|column| columns.get(column)).filter(|text| !text.is_empty()) {
            None => Some(0),
            Some(text) => std::str::from_utf8(&text).ok().and_then(|digits| digits.parse::<u64>().ok()),
        };
        let Some(revision) = revision else {
            return out.quarantine(&row, "bad-number", || "the revision is no whole number from 0".into());
        };
        let mut print = 0u64;
        for (i, name) in plan.header.iter().enumerate() {
            print = print.wrapping_add(xxh3_64_with_seed(&columns.get(i), xxh3_64(name.as_bytes())));
        }
        let mut id = match plan.id[..] {
            [column] => columns.get(column),
            _ => joined(plan.id.iter().map(|&column| columns.get(column))),
        };
        if plan.id.is_empty() {
            id = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(row.bytes)).into_bytes();
        } else if plan.id.iter().all(|&column| columns.get(column).is_empty()) {
            return out.quarantine(&row, "missing-attribute", || "the row has no identifier".into());
        }
        let id = escaped(&id);
        let key = Key::of(identity(&plan.source, &id));
        let part = key.partition(out.batches.len());
        let bytes = &mut out.batches[part].bytes;
        let body = bytes.len();
        let mut encoder = Encoder(bytes);
        encoder.text(plan.source.as_bytes());
        encoder.text(id.as_bytes());
        let kind = plan.kind_column.map(|column| columns.get(column)).filter(|kind| !kind.is_empty());
        let kind = kind.as_deref().unwrap_or(&plan.kind);
        let ruled = apply_rules(&plan.rules, &columns, kind, &mut encoder, &mut |encoder, is_set| {
            for &column in &plan.wanted {
                let (name, value) = (plan.header[column].as_str(), columns.get(column));
                if is_set(name) || value.is_empty() {
                    continue;
                }
                match number(&value) {
                    Some(number) => encoder.number(name, number),
                    None => encoder.attribute(name, &value),
                }
            }
        });
        if ruled != Ruled::Event {
            out.batches[part].bytes.truncate(body);
            return not_an_event(ruled, &row, out);
        }
        out.batches[part].records.push(Record {
            key,
            print: (print ^ print >> 32) as u32,
            revision,
            time,
            start,
            line: row.line,
            offset: row.offset,
            body,
            repeats: false,
            talk: None,
        });
    }
}
