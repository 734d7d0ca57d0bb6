//! What became of every row of a file.

use super::Origin;
use super::index::Key;
use super::partition::Outcome;
use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap};

/// Why a row is in quarantine: a stable code and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable, such as `conflict`.
    pub code: &'static str,
    /// What is wrong, with what was found.
    pub sentence: Cow<'static, str>,
}

impl Reason {
    /// A reason from its code and sentence.
    pub fn new(code: &'static str, sentence: impl Into<Cow<'static, str>>) -> Reason {
        Reason { code, sentence: sentence.into() }
    }
}

/// A row (for calls: the lead row of the call) that could not be billed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Line, from 1.
    pub line: u64,
    /// Byte offset in the file.
    pub offset: u64,
    /// How many rows it stands for: the legs of a call.
    pub rows: u64,
    /// Why.
    pub reason: Reason,
    /// The beginning of the row, bytes that are not UTF-8 escaped.
    pub excerpt: String,
    /// What ends its waiting.
    pub(super) until: Until,
}

/// What comes later under an identity, and ends the waiting of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Nothing: nobody knows what the row is of.
    Never,
    /// A higher revision.
    Revised(Key, u64),
    /// Whatever can be read.
    Said(Key),
    /// The rest of the call.
    Finished(Key),
    /// A leg with which the call counts.
    Counted(Key),
}

impl Until {
    pub(super) fn key(self) -> Option<Key> {
        match self {
            Until::Never => None,
            Until::Revised(key, _) | Until::Said(key) | Until::Finished(key) | Until::Counted(key) => {
                Some(key)
            }
        }
    }
}

impl Quarantined {
    /// Whether it is of this identity, as far as anyone knows.
    pub fn is_of(&self, source: &str, id: &str) -> bool {
        self.until.key().is_some_and(|key| key == Key::of(super::partition::identity(source, id)))
    }
}

/// What one file came to. `rows` is always [`Summary::accounted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes read.
    pub bytes: u64,
    /// Rows found; blank lines and headers are none.
    pub rows: u64,
    /// Rows that are an event that was counted, or part of a call that was counted.
    pub counted: u64,
    /// Rows said before: same identity with the same content, or a lower revision.
    pub duplicates: u64,
    /// Rows that nothing is charged for, as the sink says.
    pub not_billable: u64,
    /// Rows that a rule ignores.
    pub ignored: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// Events added and counted; a call is one. A revised call or event is added again.
    pub events: u64,
    /// Events taken back because a later row revised them.
    pub revised: u64,
    /// Calls added and counted, among the events, less those that a later row of the file revised.
    pub calls: u64,
    /// Calls of those that were connected.
    pub connected: u64,
    /// Connected seconds of those calls.
    pub seconds: u64,
    /// Rows in quarantine by reason code: exact, though [`Summary::listed`] is bounded.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first rows in quarantine, in the order of the file.
    pub listed: Vec<Quarantined>,
}

impl Summary {
    /// Every row ends in exactly one of these.
    pub fn accounted(&self) -> u64 {
        self.counted + self.duplicates + self.not_billable + self.ignored + self.quarantined
    }

    pub(super) fn add_talk(&mut self, connected: bool, seconds: u64) {
        self.calls = self.calls.wrapping_add(1);
        self.connected = self.connected.wrapping_add(connected.into());
        self.seconds = self.seconds.wrapping_add(seconds);
    }

    fn take_talk(&mut self, (connected, seconds): (bool, u32)) {
        self.calls = self.calls.wrapping_sub(1);
        self.connected = self.connected.wrapping_sub(connected.into());
        self.seconds = self.seconds.wrapping_sub(seconds.into());
    }

    /// What the file came to where an event that it added cannot be billed after all: its rows are in quarantine for that
    /// reason.
    pub fn unbilled(&mut self, origin: &Origin, code: &'static str) {
        let rows = origin.rows.min(self.counted);
        self.counted -= rows;
        self.quarantined += rows;
        *self.reasons.entry(code).or_default() += rows;
        self.events = self.events.saturating_sub(1);
        if let Some(talk) = origin.talk {
            self.take_talk(talk);
        }
    }

    pub(super) fn merge(&mut self, other: Tally) {
        let sum = other.summary;
        self.bytes += sum.bytes;
        self.rows += sum.rows;
        self.counted += sum.counted;
        self.duplicates += sum.duplicates;
        self.not_billable += sum.not_billable;
        self.ignored += sum.ignored;
        self.quarantined += sum.quarantined;
        self.events += sum.events;
        self.revised += sum.revised;
        // The part of one thread may have taken back a call that another one has counted: only the sum is above zero.
        self.calls = self.calls.wrapping_add(sum.calls);
        self.connected = self.connected.wrapping_add(sum.connected);
        self.seconds = self.seconds.wrapping_add(sum.seconds);
        for (code, rows) in sum.reasons {
            *self.reasons.entry(code).or_default() += rows;
        }
        self.listed.extend(other.first.into_iter().map(|held| held.0));
    }
}

/// A summary in the making: keeps the first quarantined rows by their place in the file, so that
/// the list is the same however the work was shared.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) summary: Summary,
    first: BinaryHeap<ByOffset>,
    limit: usize,
}

#[derive(Debug)]
struct ByOffset(Quarantined);

impl PartialEq for ByOffset {
    fn eq(&self, other: &ByOffset) -> bool {
        self.0.offset == other.0.offset
    }
}
impl Eq for ByOffset {}
impl PartialOrd for ByOffset {
    fn partial_cmp(&self, other: &ByOffset) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ByOffset {
    fn cmp(&self, other: &ByOffset) -> std::cmp::Ordering {
        self.0.offset.cmp(&other.0.offset)
    }
}

impl Tally {
    pub(super) fn new(limit: usize) -> Tally {
        Tally { summary: Summary::default(), first: BinaryHeap::new(), limit }
    }

    /// Counts `rows` rows as quarantined; the sentence is made only where it is kept.
    pub(super) fn quarantine(
        &mut self,
        place: (u64, u64),
        rows: u64,
        until: Until,
        code: &'static str,
        sentence: impl FnOnce() -> Cow<'static, str>,
    ) {
        let (line, offset) = place;
        self.summary.quarantined += rows;
        *self.summary.reasons.entry(code).or_default() += rows;
        if self.first.len() >= self.limit && self.first.peek().is_none_or(|last| last.0.offset <= offset) {
            return;
        }
        let reason = Reason { code, sentence: sentence() };
        self.keep(ByOffset(Quarantined { line, offset, rows, reason, excerpt: String::new(), until }));
    }

    /// Takes a row that was kept.
    pub(super) fn take_first(&mut self) -> Option<Quarantined> {
        self.first.pop().map(|held| held.0)
    }

    /// Counts an event that was taken back because a later row revised it; `talk`: it was a call that this file counted.
    pub(super) fn revised(&mut self, talk: Option<(bool, u32)>) {
        self.summary.revised += 1;
        if let Some(talk) = talk {
            self.summary.take_talk(talk);
        }
    }

    /// Counts the row of an event by what became of it; `talk`: it is a call, connected or not,
    /// of so many seconds.
    pub(super) fn became(
        &mut self,
        outcome: Outcome,
        place: (u64, u64),
        until: Until,
        talk: Option<(bool, u32)>,
    ) {
        let sum = &mut self.summary;
        match outcome {
            Outcome::Counted => {
                sum.counted += 1;
                if let Some((connected, seconds)) = talk {
                    sum.add_talk(connected, seconds.into());
                }
            }
            Outcome::NotBillable => sum.not_billable += 1,
            Outcome::Duplicate => sum.duplicates += 1,
            Outcome::Quarantined(reason) => {
                self.quarantine(place, 1, until, reason.code, || reason.sentence);
            }
        }
    }

    /// Adds another tally to this one.
    pub(super) fn absorb(&mut self, other: Tally) {
        let Tally { summary, first, .. } = other;
        let listed = std::mem::take(&mut self.summary.listed);
        self.summary.merge(Tally { summary, first: BinaryHeap::new(), limit: 0 });
        self.summary.listed = listed;
        for held in first {
            self.keep(held);
        }
    }

    fn keep(&mut self, held: ByOffset) {
        self.first.push(held);
        if self.first.len() > self.limit {
            self.first.pop();
        }
    }

    /// Adds the lines that stand before the part of the file that was counted here.
    pub(super) fn shift_lines(&mut self, before: u64) {
        let shifted = std::mem::take(&mut self.first).into_iter().map(|mut held| {
            held.0.line += before;
            held
        });
        self.first = shifted.collect();
    }
}

/// Text that may hold any byte: UTF-8 as it is, every other byte as `\xE9`.
pub fn escaped(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len() + 8);
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    text.push_str(&format!("\\x{byte:02X}"));
                }
            }
            Cow::Owned(text)
        }
    }
}

/// The beginning of a text that may hold anything, on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 120;
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let mut text: String =
        escaped(cut).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}
