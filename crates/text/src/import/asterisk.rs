//! Asterisk `cdr-csv/Master.csv`: rows that are legs of calls (FORMATS.md).
//!
//! A row is identified by uniqueid and sequence, or where it lacks one of them by its content; a
//! call by linkedid, else uniqueid, else the row. Its connected time is the sum of billsec over
//! its ANSWERED rows where neither channel is `Local/…`.
//!
//! Times are local. Where daylight saving doubles an hour, a uniqueid that is an epoch says when
//! the channel was created: the row started at the first of the two moments that is not before.
//! Without it the earlier is meant. The end is the moment that fits the row's duration best.

use super::arena::Interner;
use super::calls::{Leg, Name, place};
use super::index::Key;
use super::record::{Encoder, Out, Parser, RowAt, Ruled, apply_rules};
use super::rules::{self, Rules};
use super::scan::{Fields, Framing};
use super::spec::ImportSpec;
use super::summary::escaped;
use super::time::{Clock, Local, local_span};
use crate::diagnostic::Diagnostic;
use farebox_core::money::Exact;
use std::borrow::Cow;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// The columns of the newest files; older ones lack some of the last five.
pub(super) const COLUMNS: [&str; 21] = [
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
    "peeraccount",
    "linkedid",
    "sequence",
];

const CHANNEL: usize = 5;
const DSTCHANNEL: usize = 6;
const START: usize = 9;
const END: usize = 11;
const DURATION: usize = 12;
const BILLSEC: usize = 13;
const DISPOSITION: usize = 14;
const UNIQUEID: usize = 16;
const USERFIELD: usize = 17;
const LINKEDID: usize = 19;
const SEQUENCE: usize = 20;

/// The longest connected time of a row that is believed: 31 days.
const SECONDS_MAX: u64 = 31 * 86_400;

/// Where a row has a column: by the number of its columns.
type Width = [Option<u8>; 21];

fn width(columns: usize, seventeenth_is_uniqueid: bool) -> Width {
    let mut width: Width = [None; 21];
    for (i, column) in width.iter_mut().enumerate().take(16) {
        *column = Some(i as u8);
    }
    let mut next = 16;
    let newer = if columns >= 19 { 3 } else { 0 };
    match columns - 16 - newer {
        2 => {
            (width[UNIQUEID], width[USERFIELD]) = (Some(16), Some(17));
            next = 18;
        }
        1 if seventeenth_is_uniqueid => {
            width[UNIQUEID] = Some(16);
            next = 17;
        }
        1 => {
            width[USERFIELD] = Some(16);
            next = 17;
        }
        _ => {}
    }
    for i in 0..newer {
        width[18 + i] = Some(next + i as u8);
    }
    width
}

/// What all threads share of one file's import.
pub(super) struct Plan {
    rules: Rules,
    /// Columns that rules and attributes look at: rows alike in them are alike to them.
    looked_at: Vec<usize>,
    wanted: Vec<usize>,
    kind: Vec<u8>,
    seed: u64,
    file: u16,
    pub(super) clock: farebox_core::calendar::Zone,
    framing: Framing,
}

/// Field names to columns, remembering which were asked for.
struct Names(Vec<usize>);

impl rules::Fields for Names {
    fn slot(&mut self, name: &str) -> Option<usize> {
        let column = COLUMNS.iter().position(|column| *column == name)?;
        if !self.0.contains(&column) {
            self.0.push(column);
        }
        Some(column)
    }

    fn names(&self) -> Vec<String> {
        COLUMNS.map(String::from).to_vec()
    }
}

impl Plan {
    pub(super) fn new(spec: &ImportSpec, source: &str, file: u16) -> Result<Plan, Diagnostic> {
        let zone = spec.zone.clone().ok_or_else(|| {
            let form = "the zone of the switch, such as zone Europe/Berlin, or zone UTC when it logs GMT";
            spec.wrong("times of this format are local and no zone is given", form)
        })?;
        let mut names = Names(Vec::new());
        let rules = Rules::compile(&spec.rules, &spec.rules_file, "accountcode", &mut names)?;
        let mut looked_at = names.0;
        // The duration is that of the whole call, which is known without keeping the column.
        let wanted = |&column: &usize| column != DURATION && spec.attributes.wants(COLUMNS[column]);
        let wanted: Vec<usize> = (0..COLUMNS.len()).filter(wanted).collect();
        looked_at
            .extend(wanted.iter().filter(|column| !looked_at.contains(column)).copied().collect::<Vec<_>>());
        Ok(Plan {
            rules,
            looked_at,
            wanted,
            kind: spec.kind.as_deref().unwrap_or("call").into(),
            seed: xxh3_64(source.as_bytes()),
            file,
            clock: zone,
            framing: Framing::Quoted { separator: b',', columns: 16..=21 },
        })
    }

    pub(super) fn parser(self: &Arc<Plan>) -> Asterisk {
        Asterisk { plan: Arc::clone(self), clock: Clock::new(self.clock.clone()) }
    }
}

/// The parser of one thread.
pub(super) struct Asterisk {
    plan: Arc<Plan>,
    clock: Clock,
}

struct Columns<'a> {
    row: &'a [u8],
    fields: &'a Fields,
    width: &'a Width,
}

impl<'a> Columns<'a> {
    /// The field without its quotes, empty where there is none.
    #[inline]
    fn inner(&self, column: usize) -> &'a [u8] {
        match self.width[column] {
            Some(at) => self.fields.inner(self.row, usize::from(at)),
            None => &[],
        }
    }
}

impl rules::Row for Columns<'_> {
    fn value(&self, slot: usize) -> Cow<'_, [u8]> {
        match self.width[slot] {
            Some(at) => Cow::Owned(self.fields.value(self.row, usize::from(at))),
            None => Cow::Borrowed(&[]),
        }
    }
}

/// Whole seconds, none above `max`.
#[inline]
fn seconds(text: &[u8], max: u64) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut value = 0u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if value > max { None } else { u32::try_from(value).ok() }
}

/// The newest layout, by far the most common: every column in its place.
const WIDEST: Width = {
    let mut width = [None; 21];
    let mut i = 0;
    while i < 21 {
        width[i] = Some(i as u8);
        i += 1;
    }
    width
};

impl Parser for Asterisk {
    fn framing(&self) -> &Framing {
        &self.plan.framing
    }

    #[inline]
    fn row(&mut self, row: RowAt<'_>, fields: &Fields, out: &mut Out) {
        let count = fields.len();
        let narrow;
        let width = match count {
            21 => &WIDEST,
            16..=20 => {
                let seventeenth = if count > 16 { fields.inner(row.bytes, 16) } else { &[] };
                narrow = width(count, Name::epoch(seventeenth).is_some());
                &narrow
            }
            _ => {
                out.quarantine(&row, "columns", || {
                    format!("the row has {count} columns; 16 to 21 are expected")
                });
                return;
            }
        };
        let columns = Columns { row: row.bytes, fields, width };
        let uniqueid = columns.inner(UNIQUEID);
        let Some((start, end)) = self.times(&row, &columns, uniqueid, out) else { return };
        let billsec = columns.inner(BILLSEC);
        let Some(billed) = seconds(billsec, SECONDS_MAX) else {
            out.quarantine(&row, "bad-number", || {
                let found = escaped(billsec).into_owned();
                format!("billsec \"{found}\" is no number of seconds from 0 to {SECONDS_MAX}")
            });
            return;
        };
        let local = |column| columns.inner(column).starts_with(b"Local/");
        let answered = columns.inner(DISPOSITION) == b"ANSWERED" && !local(CHANNEL) && !local(DSTCHANNEL);

        let sequence = columns.inner(SEQUENCE);
        let plan = &*self.plan;
        let content = xxh3_128(row.bytes);
        let identity = if uniqueid.is_empty() || sequence.is_empty() {
            content ^ u128::from(plan.seed)
        } else {
            out.scratch.clear();
            out.scratch.extend_from_slice(&(uniqueid.len() as u32).to_le_bytes());
            out.scratch.extend_from_slice(uniqueid);
            out.scratch.extend_from_slice(sequence);
            xxh3_128_with_seed(&out.scratch, plan.seed)
        };
        let digest;
        let linkedid = match columns.inner(LINKEDID) {
            b"" if uniqueid.is_empty() => {
                digest = format!("{content:032x}");
                digest.as_bytes()
            }
            b"" => uniqueid,
            linkedid => linkedid,
        };
        if linkedid.len() > 255 {
            out.quarantine(&row, "bad-id", || "the call's identifier is longer than 255 bytes".into());
            return;
        }

        out.scratch.clear();
        for &column in &plan.looked_at {
            // The length keeps fields apart whatever bytes they hold.
            let value = columns.inner(column);
            out.scratch.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.scratch.extend_from_slice(value);
        }
        let alike = xxh3_128_with_seed(&out.scratch, u64::from(plan.file));
        let profile = out.interner.intern(alike, |value| profile(plan, &columns, value));
        let Some(profile) = Interner::global(profile, out.worker) else {
            out.quarantine(&row, "too-many-values", || {
                "the columns that rules look at have too many values".into()
            });
            return;
        };

        let row_key = Key::of(identity);
        let batch = row_key.partition(out.batches.len());
        let batch = &mut out.batches[batch];
        // The same identity as that of an event with the call's id, see `partition::identity`.
        let of = |id: &[u8]| Key::of(xxh3_128_with_seed(id, plan.seed));
        let (name, call) = match Name::pack(linkedid) {
            Some(name) => (name, of(linkedid)),
            None => {
                batch.bytes.extend_from_slice(linkedid);
                let name = Name::kept((batch.bytes.len() - linkedid.len()) as u64, linkedid.len() as u8);
                (name, of(escaped(linkedid).as_bytes()))
            }
        };
        batch.legs.push(Leg {
            row: row_key,
            print: content as u32,
            call,
            name,
            profile,
            start,
            span: end,
            seconds: if answered { billed } else { 0 },
            sequence: seconds(sequence, u64::from(u32::MAX)).unwrap_or(u32::MAX),
            line: row.line,
            place: place(plan.file, row.offset),
            role: 0,
        });
    }
}

impl Asterisk {
    /// Start, and the seconds from it to the end; or the row is quarantined.
    #[inline]
    fn times(
        &mut self,
        row: &RowAt<'_>,
        columns: &Columns<'_>,
        uniqueid: &[u8],
        out: &mut Out,
    ) -> Option<(i64, u32)> {
        let (start_text, end_text) = (columns.inner(START), columns.inner(END));
        let mut read = |name: &str, text: &[u8]| match self.clock.read(text) {
            Local::One(at) => Some((at, at)),
            Local::Two(earlier, later) => Some((earlier, later)),
            Local::Skipped => {
                out.quarantine(row, "skipped-hour", || {
                    let (found, zone) = (escaped(text), &self.plan.clock);
                    format!("{name} \"{found}\" never was: daylight saving skips it in {zone}")
                });
                None
            }
            Local::Wrong => {
                out.quarantine(row, "bad-time", || {
                    let found = escaped(text);
                    format!("{name} \"{found}\" is no time like 2026-01-31 23:59:59 that can be billed")
                });
                None
            }
        };
        let start = read("start", start_text)?;
        let end = read("end", end_text)?;
        let start = match Name::epoch(uniqueid).filter(|_| start.0 != start.1) {
            // A second or two of the switch's own rounding is no reason to jump an hour.
            Some(created) if start.0 + 5 < created => start.1,
            _ => start.0,
        };
        let end = if end.0 == end.1 {
            end.0
        } else {
            let duration = i64::from(seconds(columns.inner(DURATION), 1 << 31).unwrap_or(0));
            local_span(Local::One(start), Local::Two(end.0, end.1), duration).1
        };
        match u32::try_from(end - start) {
            Ok(span) => Some((start, span)),
            Err(_) => {
                out.quarantine(row, "ends-before-start", || {
                    format!("it ends at {} and starts at {}", escaped(end_text), escaped(start_text))
                });
                None
            }
        }
    }
}

/// What a call with such a lead row is: `E` and the encoded event, or why it is none.
fn profile(plan: &Plan, columns: &Columns<'_>, value: &mut Vec<u8>) {
    value.push(b'E');
    let mut encoder = Encoder(value);
    let ruled = apply_rules(&plan.rules, columns, &plan.kind, &mut encoder, &mut |encoder, is_set| {
        for &column in &plan.wanted {
            let (name, text) = (COLUMNS[column], rules::Row::value(columns, column));
            if is_set(name) || text.is_empty() {
                continue;
            }
            let whole = if column == BILLSEC { seconds(&text, SECONDS_MAX) } else { None };
            match whole {
                Some(number) => encoder.number(name, Exact::whole(number.into())),
                None => encoder.attribute(name, &text),
            }
        }
    });
    let tag = match ruled {
        Ruled::Event => return,
        Ruled::Ignored => b'I',
        Ruled::NoRule => b'R',
        Ruled::NoAccount => b'A',
    };
    value.clear();
    value.push(tag);
}
