//! Counters as they are kept, so that a group is counted from where they stand and not from the beginning of the log.

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
pub(super) fn position(store: &dyn Store) -> Result<u64, StoreError> {
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
