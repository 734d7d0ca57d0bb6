//! Counters as they are kept, so that a group is counted from where they stand and not from the beginning of the log.

use super::{Counters, Counting};
use farebox_core::calendar::Instant;
use farebox_core::metering::{CountedSegment, Metering, MonthNumber};
use farebox_store::codec::{Corrupt, Reader, Stored, Writer};
use farebox_store::{Derived, Seen, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// How much of the log the kept counters and block lists know.
const POSITION: u8 = 7;
/// What is said of a group's counters.
const HEADS: u8 = 8;
/// A group's counters, by month.
const MONTHS: u8 = 9;
/// The blocks with usage of a group, or of an account that nobody has opened.
const BLOCKS: u8 = 10;

/// What is said of a group's counters.
pub(super) struct Head {
    /// How many blocks of the log they have counted.
    pub position: u64,
    /// [`Metering::fingerprint`].
    pub fingerprint: u64,
    /// How many blocks the last settlement knew.
    pub settled: u64,
    /// The earliest time of usage that no settlement has looked at.
    pub late: BTreeMap<String, Instant>,
}

/// A group's counters as they were kept.
pub(super) struct Kept {
    pub head: Head,
    /// The months of which anything is kept.
    pub months: BTreeSet<MonthNumber>,
    pub counted: Vec<CountedSegment>,
}

impl Head {
    /// As a row.
    pub fn row(&self, payer: &str) -> Derived {
        let mut to = Writer::default();
        self.position.put(&mut to);
        self.fingerprint.put(&mut to);
        self.settled.put(&mut to);
        self.late.put(&mut to);
        Derived { space: HEADS, key: payer.as_bytes().to_vec(), value: Some(to.into_bytes()) }
    }

    fn read(bytes: &[u8]) -> Result<Head, Corrupt> {
        let mut from = Reader::new(bytes);
        Ok(Head {
            position: u64::get(&mut from)?,
            fingerprint: u64::get(&mut from)?,
            settled: u64::get(&mut from)?,
            late: Stored::get(&mut from)?,
        })
    }
}

impl Kept {
    /// What is kept of a group's counters.
    pub fn read(store: &dyn Store, payer: &str) -> Result<Option<Kept>, StoreError> {
        let Some(bytes) = store.derived(HEADS, payer.as_bytes())? else { return Ok(None) };
        let damaged = |error: Corrupt| StoreError::Corrupt {
            place: format!("the counters of group \"{payer}\""),
            found: error.to_string(),
        };
        let head = Head::read(&bytes).map_err(damaged)?;
        let (mut counted, mut months) = (Vec::new(), BTreeSet::new());
        let begin = prefix(payer);
        store.derived_from(MONTHS, &begin, &mut |key, value| {
            if !key.starts_with(&begin) {
                return Ok(Seen::Enough);
            }
            let month = key[begin.len()..].try_into().map(MonthNumber::from_be_bytes);
            months.extend(month.ok());
            counted.extend(Vec::<CountedSegment>::from_bytes(value).map_err(damaged)?);
            Ok(Seen::More)
        })?;
        Ok(Some(Kept { head, months, counted }))
    }
}

/// A name, and an end that no name has inside.
pub(crate) fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// A group's counters of a month; none where it has none.
pub(super) fn month_row(payer: &str, month: MonthNumber, metering: &Metering) -> Derived {
    let counted = metering.counted_in(month);
    let value = (!counted.is_empty()).then(|| counted.to_bytes());
    Derived { space: MONTHS, key: [prefix(payer), month.to_be_bytes().to_vec()].concat(), value }
}

/// How much of the log the kept counters and block lists know.
pub(crate) fn position(store: &dyn Store) -> Result<u64, StoreError> {
    let bytes = store.derived(POSITION, &[])?;
    Ok(bytes.and_then(|bytes| u64::from_bytes(&bytes).ok()).unwrap_or(0))
}

pub(super) fn position_row(position: u64) -> Derived {
    Derived { space: POSITION, key: Vec::new(), value: Some(position.to_bytes()) }
}

/// Blocks with usage of a group or account, which end before a position.
pub(super) fn blocks_row(name: &str, position: u64, blocks: &[u64]) -> Derived {
    let mut to = Writer::default();
    let mut before = 0;
    blocks.len().put(&mut to);
    for block in blocks {
        (block - before).put(&mut to);
        before = *block;
    }
    let key = [prefix(name), position.to_be_bytes().to_vec()].concat();
    Derived { space: BLOCKS, key, value: Some(to.into_bytes()) }
}

/// The blocks that are kept of a group or account, in order: those that were kept after a position.
pub(super) fn blocks_of(store: &dyn Store, name: &str, after: u64) -> Result<Vec<u64>, StoreError> {
    let damaged = |error: Corrupt| StoreError::Corrupt {
        place: format!("the list of blocks with usage of \"{name}\""),
        found: error.to_string(),
    };
    let begin = prefix(name);
    let from = [begin.clone(), (after + 1).to_be_bytes().to_vec()].concat();
    let mut all = Vec::new();
    store.derived_from(BLOCKS, &from, &mut |key, value| {
        if !key.starts_with(&begin) {
            return Ok(Seen::Enough);
        }
        let mut before = 0;
        for step in Vec::<u64>::from_bytes(value).map_err(damaged)? {
            before += step;
            all.push(before);
        }
        Ok(Seen::More)
    })?;
    Ok(all)
}

/// Records for each row that is kept.
const ROWS_EACH: u64 = 10;
/// However many rows they are, counters are kept after so many times the least records.
const ROWS_MAX: u64 = 8;

impl Counters {
    /// What is to be kept of the counters with a commit that takes all blocks: nothing most times, and now and then all
    /// that changed, so that never much of the log is to be counted again. `late_of`: the usage of a group that no
    /// settlement has looked at.
    pub fn keep(&mut self, late_of: impl Fn(&str) -> BTreeMap<String, Instant>) -> Vec<Derived> {
        // Who has changed is not asked with every commit.
        if self.since_kept < self.records_min {
            return Vec::new();
        }
        let changed = self.countings.iter().filter(|counting| !counting.blocks.is_empty()).count();
        let rows = (changed + self.strangers.len()) as u64;
        let least = self
            .records_min
            .max(rows.saturating_mul(ROWS_EACH).min(self.records_min.saturating_mul(ROWS_MAX)));
        if self.since_kept < least { Vec::new() } else { self.keep_all(late_of) }
    }

    /// The same, at once.
    pub fn keep_all(&mut self, late_of: impl Fn(&str) -> BTreeMap<String, Instant>) -> Vec<Derived> {
        let position = self.log.blocks();
        let mut rows = Vec::new();
        for (name, blocks) in std::mem::take(&mut self.strangers) {
            // Of a group in memory they are among its own.
            if !self.groups.contains_key(&name) {
                rows.push(blocks_row(&name, position, &blocks));
            }
        }
        for (payer, place) in &self.groups {
            let Some(counting) = self.countings.get_mut(*place).filter(|one| !one.blocks.is_empty()) else {
                continue;
            };
            rows.push(blocks_row(payer, position, &counting.blocks));
            counting.blocks.clear();
            counting.last_block = 0;
            keep_one(counting, payer, position, &late_of, &mut rows);
        }
        rows.push(position_row(position));
        self.since_kept = 0;
        rows
    }

    /// The same for one group that is in memory, at once.
    pub(crate) fn keep_group(
        &mut self,
        payer: &str,
        late_of: impl Fn(&str) -> BTreeMap<String, Instant>,
    ) -> Vec<Derived> {
        let (position, mut rows) = (self.log.blocks(), Vec::new());
        if let Some(counting) = self.get_mut(payer) {
            counting.is_new = true;
            keep_one(counting, payer, position, &late_of, &mut rows);
        }
        rows
    }
}

/// What is to be kept of the counters of a group.
fn keep_one(
    counting: &mut Counting,
    payer: &str,
    position: u64,
    late_of: &impl Fn(&str) -> BTreeMap<String, Instant>,
    rows: &mut Vec<Derived>,
) {
    // Counters that are to be made anew are none to go on from.
    if counting.is_outdated || counting.metering.is_stale() {
        return;
    }
    let mut late = late_of(payer);
    for (account, at) in &counting.late {
        let earliest = late.entry(account.clone()).or_insert(*at);
        *earliest = (*at).min(*earliest);
    }
    let fingerprint = *counting.fingerprint.get_or_insert_with(|| counting.metering.fingerprint());
    let head = Head { position, fingerprint, settled: counting.settled, late };
    let mut months = counting.metering.take_changed();
    if std::mem::take(&mut counting.is_new) {
        months.extend(&counting.kept);
    }
    rows.push(head.row(payer));
    rows.extend(months.iter().map(|month| month_row(payer, *month, &counting.metering)));
    counting.kept.extend(months);
}
