//! What counters read of the records of the log.

use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Metering};
use farebox_store::codec::Stored;
use farebox_store::usage::{Record, Usage};
use std::collections::{BTreeMap, BTreeSet};

/// Notes that a block has usage of a name; blocks come in order.
pub(super) fn note_block(of: &mut BTreeMap<String, Vec<u64>>, name: &str, block: u64) {
    match of.get_mut(name) {
        Some(blocks) if blocks.last() == Some(&block) => {}
        Some(blocks) => blocks.push(block),
        None => drop(of.insert(name.to_owned(), vec![block])),
    }
}

/// What tells a record that counts, or waits in quarantine, from others. Usage of the same identity and revision with
/// another time is another one; what never counts has a key of its own.
pub(crate) type Key = (String, String, u64, Instant, Fate);

/// What was to become of a record when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// To be counted.
    Counts,
    /// To wait: it was too old.
    TooOld,
    /// To wait: it contradicted what was said before.
    Conflict,
}

/// Whose record counts or waits no more after this one, and which it is.
pub(crate) fn taken_back(record: &[u8]) -> Option<(String, Key)> {
    // What was added is told by its first byte, and is nearly all there is.
    match record.first() {
        Some(0) | None => None,
        Some(_) => match Record::from_bytes(record) {
            Ok(Record::Removed(usage) | Record::SessionOver { usage, .. }) => {
                let key = key(&usage.event());
                Some((usage.account, key))
            }
            Ok(Record::TooOldOver(usage)) => {
                let key = key_of(&usage, Fate::TooOld);
                Some((usage.account, key))
            }
            Ok(Record::ConflictOver(usage)) => {
                let key = key_of(&usage, Fate::Conflict);
                Some((usage.account, key))
            }
            _ => None,
        },
    }
}

pub(super) fn forget_touched(metering: &mut Metering, accounts: &BTreeSet<String>) {
    for account in accounts {
        let _ = metering.take_touched(account);
    }
}

pub(crate) fn key(event: &Event<'_>) -> Key {
    (event.source.to_owned(), event.id.to_owned(), event.revision, event.time, Fate::Counts)
}

pub(crate) fn key_of(usage: &Usage, fate: Fate) -> Key {
    (usage.source.clone(), usage.id.clone(), usage.revision, usage.time, fate)
}
