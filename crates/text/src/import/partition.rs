//! One thread's share of the identities and calls: decides what is new, and tells the sink.

use super::arena::Interner;
use super::calls::{Call, Calls, Leg, Name, file_of, offset_of, place};
use super::format::FilePlan;
use super::index::{Entry, Index, Key};
use super::record::{self, Batch, Decoder, NO_ACCOUNT, NO_RULE, Out, Record, decode};
use super::same;
use super::scan::Fields;
use super::summary::{Quarantined, Reason, Tally, Until};
use super::time::instant;
use super::{Change, Origin, OwnedEvent, Sink, Verdict};
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

/// What stays the same while a file is imported.
pub(super) struct Context<'a> {
    /// By file number − 1.
    pub(super) plans: &'a [Arc<FilePlan>],
    /// Events of the book itself: file 0.
    pub(super) inline: &'a [(Record, Vec<u8>)],
    /// The file at hand.
    pub(super) file: u16,
    /// Hashes of the identities to keep.
    pub(super) watched: &'a HashSet<u128>,
    /// What rules made of lead rows, by worker. None at all while threads may add to it.
    pub(super) interners: Vec<&'a Interner>,
}

/// The events that a `void` will want, by the hash of their identity.
pub(super) type Kept = BTreeMap<u128, OwnedEvent>;

pub(super) fn identity(source: &str, id: &str) -> u128 {
    use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};
    xxh3_128_with_seed(id.as_bytes(), xxh3_64(source.as_bytes()))
}

const COUNTED: u64 = 1 << 63;

/// Legs whose places in memory are asked for together.
const AT_ONCE: usize = 64;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is counted.
    Counted,
    /// Nothing is charged for it.
    NotBillable,
    /// It has been said before, or in a higher revision.
    Duplicate,
    /// It cannot be billed as it is.
    Quarantined(Reason),
}

pub(super) struct Partition {
    rows: Index<false>,
    events: Index<true>,
    /// Rows identified by content and ordinal: the value is the most that one file had of it, the
    /// note the file at hand and how many it has had so far.
    repeats: Index<true>,
    /// Of events whose revision is not 0.
    revisions: HashMap<Key, u64>,
    pub(super) calls: Calls,
    /// Events that bear the identity of a call and could not be compared with it yet.
    met: Vec<(Record, Vec<u8>, u64)>,
    pub(super) kept: Kept,
}

/// Legs on their way to the partition of their call.
#[derive(Default)]
pub(super) struct Routed {
    legs: Vec<Leg>,
    bytes: Vec<u8>,
}

impl Routed {
    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }
}

impl Partition {
    pub(super) fn new() -> Partition {
        Partition {
            rows: Index::new(),
            events: Index::new(),
            repeats: Index::new(),
            revisions: HashMap::new(),
            calls: Calls::default(),
            met: Vec::new(),
            kept: Kept::new(),
        }
    }

    /// Identities held.
    pub(super) fn identities(&self) -> usize {
        self.rows.len() + self.events.len() + self.repeats.len()
    }

    /// Takes the rows of one chunk; legs go on to `routed`, by the partition of their call.
    pub(super) fn take<S: Sink>(
        &mut self,
        batch: &Batch,
        context: &Context<'_>,
        sink: &mut S,
        routed: &mut [Routed],
        tally: &mut Tally,
    ) {
        for legs in batch.legs.chunks(AT_ONCE) {
            std::hint::black_box(legs.iter().fold(0, |sum, leg| sum ^ self.rows.touch(leg.row)));
            for leg in legs {
                let line = batch.lines_before + u64::from(leg.line);
                match self.rows.insert(leg.row, leg.print, 0, &mut 0) {
                    Entry::New => {
                        let to = &mut routed[leg.call.partition(routed.len())];
                        let mut leg = *leg;
                        leg.line = u32::try_from(line).unwrap_or(u32::MAX);
                        if let Some((from, len)) = Name::where_kept(leg.name) {
                            leg.name = Name::kept(to.bytes.len() as u64, len as u8);
                            to.bytes.extend_from_slice(&batch.bytes[from as usize..from as usize + len]);
                        }
                        to.legs.push(leg);
                    }
                    Entry::Known(print, _) if *print == leg.print => tally.summary.duplicates += 1,
                    Entry::Known(..) => {
                        let at = (line, offset_of(leg.place));
                        tally.quarantine(at, 1, Until::Never, "conflict", || CONFLICT_ROW.into());
                    }
                }
            }
        }
        for records in batch.records.chunks(AT_ONCE) {
            let touch = |record: &Record| match record.repeats {
                true => self.repeats.touch(record.key),
                false => self.events.touch(record.key),
            };
            std::hint::black_box(records.iter().fold(0, |sum, record| sum ^ touch(record)));
            for record in records {
                let line = batch.lines_before + u64::from(record.line);
                let outcome = self.event(record, &batch.bytes, line, context, sink, tally);
                if let Some(outcome) = outcome {
                    tally.became(outcome, (line, record.offset), until(record), record.talk);
                }
            }
        }
    }

    /// Whether a row that was in quarantine waits no more, by what came since.
    pub(super) fn is_over(&self, row: &Quarantined) -> bool {
        let call = |key| self.calls.find_settled(key).map(|number| self.calls.get(number));
        match row.until {
            Until::Never => false,
            Until::Revised(key, revision) => self.revision(key).is_some_and(|known| known > revision),
            Until::Said(key) => self.revision(key).is_some(),
            Until::Finished(key) => call(key).is_some_and(|call| !call.is_half()),
            Until::Counted(key) => call(key).is_some_and(|call| call.is(Call::COUNTED)),
        }
    }

    /// The highest revision that was said of an event, if any was.
    pub(super) fn revision(&self, key: Key) -> Option<u64> {
        self.events.get(key)?;
        Some(self.revisions.get(&key).copied().unwrap_or(0))
    }

    /// Joins legs to calls. Their order does not matter.
    pub(super) fn join(&mut self, routed: &mut Routed) {
        for legs in routed.legs.chunks(AT_ONCE) {
            std::hint::black_box(legs.iter().fold(0, |sum, leg| sum ^ self.calls.touch(leg.call)));
            for leg in legs {
                self.calls.add(leg, &routed.bytes);
            }
        }
        routed.legs.clear();
        routed.bytes.clear();
    }

    /// One event: new, said before, or a revision. `None`: that shows at the end of the file only.
    pub(super) fn event<S: Sink>(
        &mut self,
        record: &Record,
        bytes: &[u8],
        line: u64,
        context: &Context<'_>,
        sink: &mut S,
        tally: &mut Tally,
    ) -> Option<Outcome> {
        let mut event = decode(record, bytes);
        let origin = Origin { file: context.file, line, offset: record.offset, rows: 1, talk: record.talk };
        let here = place(context.file, record.offset);
        if record.repeats {
            let first = u64::from(context.file) << 32 | 1;
            let ordinal = match self.repeats.insert(record.key, 1, first, &mut 0) {
                Entry::New => 1,
                Entry::Known(most, note) => {
                    let ordinal = if *note >> 32 == u64::from(context.file) {
                        (*note as u32).saturating_add(1)
                    } else {
                        1
                    };
                    *note = u64::from(context.file) << 32 | u64::from(ordinal);
                    if ordinal <= *most {
                        return Some(Outcome::Duplicate);
                    }
                    *most = ordinal;
                    ordinal
                }
            };
            let id = format!("{}-{ordinal}", event.id);
            event.id = &id;
            return Some(self.offer(&event, origin, context, sink, tally));
        }
        if let Some(number) = self.calls.find_settled(record.key)
            && self.events.get(record.key).is_none()
        {
            if context.interners.is_empty() {
                let mut record = *record;
                let body = record::body(&record, bytes).to_vec();
                record.body = 0;
                self.met.push((record, body, line));
                return None;
            }
            let outcome = self.meet(number, record, &event, context, sink, tally);
            if outcome.is_some() {
                return outcome;
            }
        }
        let known = self.known(record, here);
        let Some((print, old)) = known else {
            let outcome = self.offer(&event, origin, context, sink, tally);
            if record.revision > 0 {
                self.revisions.insert(record.key, record.revision);
            }
            self.note(record.key, here, record.print, outcome == Outcome::Counted);
            return Some(outcome);
        };
        let revision = self.revisions.get(&record.key).copied().unwrap_or(0);
        if record.revision < revision || record.revision == revision && record.print == print {
            return Some(Outcome::Duplicate);
        }
        if record.revision == revision {
            // Two formats never write the same content alike.
            let alike = file_of(old & !COUNTED) != context.file
                && read_again(old & !COUNTED, print, revision, context)
                    .is_some_and(|(was, bytes)| same::usage(&decode(&was, &bytes), &event));
            return Some(if alike { Outcome::Duplicate } else { Outcome::Quarantined(conflict()) });
        }
        if old & COUNTED != 0 {
            match read_again(old & !COUNTED, print, revision, context) {
                Some((was, bytes)) => {
                    let (file, offset, talk) = (file_of(old & !COUNTED), was.offset, was.talk);
                    let origin = Origin { file, line: 0, offset, rows: 0, talk };
                    let was = decode(&was, &bytes);
                    sink.usage(&was, Change::Remove, origin);
                    // What an earlier file had is in that one's summary.
                    tally.revised(talk.filter(|_| file == context.file));
                    self.kept.remove(&identity(was.source, was.id));
                }
                None => {
                    return Some(Outcome::Quarantined(Reason::new(
                        "lost-original",
                        "it revises an event that can no longer be read where it was: the file has changed",
                    )));
                }
            }
        }
        let outcome = self.offer(&event, origin, context, sink, tally);
        self.revisions.insert(record.key, record.revision);
        self.note(record.key, here, record.print, outcome == Outcome::Counted);
        Some(outcome)
    }

    /// An event of another format that bears the identity of a call: what became of it, unless the
    /// call does not stand in its way.
    fn meet<S: Sink>(
        &mut self,
        number: usize,
        record: &Record,
        event: &Event<'_>,
        context: &Context<'_>,
        sink: &mut S,
        tally: &mut Tally,
    ) -> Option<Outcome> {
        let call = self.calls.get(number);
        let mut names = [String::new(), String::new()];
        // A call that is in quarantine or ignored has said nothing.
        let said = call_event(&call, &self.calls, context, &mut names).ok()?;
        if record.revision == 0 {
            let alike = same::usage(&said, event);
            return Some(if alike { Outcome::Duplicate } else { Outcome::Quarantined(conflict()) });
        }
        if call.is(Call::COUNTED) {
            let origin = origin_of(&call);
            sink.usage(&said, Change::Remove, origin);
            tally.revised(origin.talk.filter(|_| origin.file == context.file));
            self.kept.remove(&identity(said.source, said.id));
            self.calls.set_counted(number, false);
        }
        None
    }

    /// Whether an event of another format has said the call before, and whether it said the same.
    fn said(&self, call: &Call, event: &Event<'_>, context: &Context<'_>) -> Option<bool> {
        if self.events.len() == 0 {
            return None;
        }
        let (print, note) = self.events.get(call.key())?;
        let revision = self.revisions.get(&call.key()).copied().unwrap_or(0);
        let was = || read_again(note & !COUNTED, print, revision, context);
        // A call's own revision is 0: a higher one replaces it.
        Some(revision > 0 || was().is_some_and(|(was, bytes)| same::usage(&decode(&was, &bytes), event)))
    }

    /// What the index has of the event; a new one is inserted.
    fn known(&mut self, record: &Record, here: u64) -> Option<(u32, u64)> {
        match self.events.insert(record.key, record.print, here, &mut 0) {
            Entry::New => None,
            Entry::Known(print, note) => Some((*print, *note)),
        }
    }

    fn note(&mut self, key: Key, here: u64, new_print: u32, counted: bool) {
        if let Entry::Known(print, note) = self.events.insert(key, new_print, here, &mut 0) {
            *print = new_print;
            *note = here | if counted { COUNTED } else { 0 };
        }
    }

    fn offer<S: Sink>(
        &mut self,
        event: &Event<'_>,
        origin: Origin,
        context: &Context<'_>,
        sink: &mut S,
        tally: &mut Tally,
    ) -> Outcome {
        match sink.usage(event, Change::Add, origin) {
            Verdict::Counted => {
                tally.summary.events += 1;
                if !context.watched.is_empty() {
                    let identity = identity(event.source, event.id);
                    if context.watched.contains(&identity) {
                        self.kept.insert(identity, OwnedEvent::of(event, origin));
                    }
                }
                Outcome::Counted
            }
            Verdict::NotBillable => Outcome::NotBillable,
            Verdict::Quarantine(reason) => Outcome::Quarantined(reason),
        }
    }

    /// At the end of a file: every call that it began or touched becomes an event.
    pub(super) fn settle_calls<S: Sink>(&mut self, context: &Context<'_>, sink: &mut S, tally: &mut Tally) {
        let met = std::mem::take(&mut self.met);
        let touched = std::mem::take(&mut self.calls.touched);
        for (number, was) in touched {
            if was.is(Call::COUNTED) {
                let mut names = [String::new(), String::new()];
                if let Ok(event) = call_event(&was, &self.calls, context, &mut names) {
                    sink.usage(&event, Change::Remove, origin_of(&was));
                    // It is one of an earlier file.
                    tally.revised(None);
                    self.kept.remove(&identity(event.source, event.id));
                }
            }
            self.settle(number as usize, was.legs, context, sink, tally);
        }
        for number in self.calls.settled..self.calls.len() {
            self.settle(number, 0, context, sink, tally);
        }
        self.calls.settled = self.calls.len();
        for (record, bytes, line) in met {
            if let Some(outcome) = self.event(&record, &bytes, line, context, sink, tally) {
                tally.became(outcome, (line, record.offset), until(&record), record.talk);
            }
        }
    }

    fn settle<S: Sink>(
        &mut self,
        number: usize,
        legs_before: u32,
        context: &Context<'_>,
        sink: &mut S,
        tally: &mut Tally,
    ) {
        let call = self.calls.get(number);
        let rows = u64::from(call.legs.saturating_sub(legs_before));
        let mut names = [String::new(), String::new()];
        // The texts of the event are borrowed from the table that `offer` must not hold.
        let (outcome, keep) = match call_event(&call, &self.calls, context, &mut names) {
            Ok(event) if let Some(alike) = self.said(&call, &event, context) => {
                self.calls.set_counted(number, false);
                if alike {
                    tally.summary.duplicates += rows;
                    return;
                }
                (Verdict::Quarantine(conflict()), None)
            }
            Ok(event) => {
                let origin = Origin { rows, ..origin_of(&call) };
                let verdict = sink.usage(&event, Change::Add, origin);
                let watched = !context.watched.is_empty()
                    && verdict == Verdict::Counted
                    && context.watched.contains(&identity(event.source, event.id));
                (verdict, watched.then(|| OwnedEvent::of(&event, origin)))
            }
            Err(None) => {
                self.calls.set_counted(number, false);
                tally.summary.ignored += rows;
                return;
            }
            Err(Some(reason)) => (Verdict::Quarantine(reason), None),
        };
        if let Some(event) = keep {
            self.kept.insert(identity(&event.source, &event.id), event);
        }
        self.calls.set_counted(number, outcome == Verdict::Counted);
        match outcome {
            Verdict::Counted => {
                let sum = &mut tally.summary;
                sum.counted += rows;
                sum.events += 1;
                sum.add_talk(call.is_connected(), call.seconds.into());
            }
            Verdict::NotBillable => tally.summary.not_billable += rows,
            Verdict::Quarantine(reason) => {
                // A lead row of an earlier file has its place there, not here.
                let here = file_of(call.place) == context.file;
                let at = if here { (u64::from(call.line), offset_of(call.place)) } else { (0, 0) };
                let until = match reason.code == UNFINISHED {
                    true => Until::Finished(call.key()),
                    false => Until::Counted(call.key()),
                };
                tally.quarantine(at, rows, until, reason.code, || reason.sentence);
            }
        }
    }
}

fn conflict() -> Reason {
    Reason::new("conflict", "the same source, id and revision were said before with other content")
}

/// What ends the waiting of an event.
fn until(record: &Record) -> Until {
    match record.repeats {
        true => Until::Never,
        false => Until::Revised(record.key, record.revision),
    }
}

/// The code of what is not over yet.
pub(super) const UNFINISHED: &str = "unfinished";
const CONFLICT_ROW: &str = "the same row identity was said before with other content";

fn origin_of(call: &Call) -> Origin {
    Origin {
        file: file_of(call.place),
        line: u64::from(call.line),
        offset: offset_of(call.place),
        rows: 0,
        talk: Some((call.is_connected(), call.seconds)),
    }
}

/// The event of a call. `Err(None)`: a rule ignores it.
fn call_event<'a>(
    call: &Call,
    calls: &Calls,
    context: &Context<'a>,
    names: &'a mut [String; 2],
) -> Result<Event<'a>, Option<Reason>> {
    let (worker, number) = Interner::local(call.profile);
    let profile = context.interners[worker].value(number);
    match profile[0] {
        b'E' => {}
        b'I' => return Err(None),
        b'R' => return Err(Some(Reason::new("no-rule", NO_RULE))),
        _ => return Err(Some(Reason::new("no-account", NO_ACCOUNT))),
    }
    if call.is(Call::ABSURD) {
        return Err(Some(Reason::new("absurd-call", "the call's legs add up to more than a century")));
    }
    if call.is_half() {
        let sentence = match call.is(Call::BEGUN) {
            true => "the call was answered, and nothing says yet when it was over",
            false => "nothing says when the call was answered",
        };
        return Err(Some(Reason::new(UNFINISHED, sentence)));
    }
    let [id, _] = names;
    Name::write(call.name, &calls.names, id);
    let plan = &context.plans[usize::from(file_of(call.place)) - 1];
    let mut decoder = Decoder(&profile[1..]);
    let mut event = Event {
        source: &plan.source,
        id,
        revision: 0,
        account: decoder.text(),
        kind: decoder.text(),
        time: instant(call.start + i64::from(call.span), 0),
        start: Some(instant(call.start, 0)),
        attributes: Vec::with_capacity(6),
    };
    event.attributes.push(("seconds", Value::Number(Exact::whole(call.seconds.into()))));
    event.attributes.push(("connected", Value::Text(if call.is_connected() { "yes" } else { "no" })));
    decoder.attributes(&mut event.attributes);
    if plan.durations && event.attributes.iter().all(|(name, _)| *name != "duration") {
        event.attributes.push(("duration", Value::Number(Exact::whole(call.span.into()))));
    }
    Ok(event)
}

/// An accepted event as it was, read from where it was.
fn read_again(old: u64, print: u32, revision: u64, context: &Context<'_>) -> Option<(Record, Vec<u8>)> {
    let (file, offset) = (file_of(old), offset_of(old));
    let Some(index) = usize::from(file).checked_sub(1) else {
        return context.inline.get(offset as usize).cloned();
    };
    let plan = &context.plans[index];
    let mut bytes = Vec::new();
    plan.input.open().ok()?.read(offset, offset + super::ROW_BYTES_MAX as u64, &mut bytes).ok()?;
    let mut out = Out::new(0, 1, 0);
    let mut parser = plan.parser();
    let mut fields = Fields::default();
    super::pipeline::one_row(&mut *parser, &bytes, offset, &mut fields, &mut out);
    let batch = out.batches.pop()?;
    let record = *batch.records.first()?;
    (record.print == print && record.revision == revision).then_some((record, batch.bytes))
}

/// Writes an event that the book itself holds.
pub(super) fn encode_inline(event: &Event<'_>, number: u64) -> (Record, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut encoder = super::record::Encoder(&mut bytes);
    for text in [event.source, event.id, event.account, event.kind] {
        encoder.text(text.as_bytes());
    }
    for (name, value) in &event.attributes {
        match value {
            Value::Text(text) => encoder.attribute(name, text.as_bytes()),
            Value::Number(number) => encoder.number(name, *number),
        }
    }
    encoder.end();
    let split = |at: farebox_core::calendar::Instant| (at.as_second(), at.subsec_nanosecond());
    let mut content = bytes.clone();
    let _ = write!(Text(&mut content), "{:?}{:?}", event.time, event.start);
    let record = Record {
        key: Key::of(identity(event.source, event.id)),
        print: xxhash_rust::xxh3::xxh3_64(&content) as u32,
        revision: event.revision,
        time: split(event.time),
        start: event.start.map(split),
        line: 0,
        offset: number,
        body: 0,
        repeats: false,
        talk: None,
    };
    (record, bytes)
}

/// Formats into bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
