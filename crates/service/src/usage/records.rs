//! What counters read of the records of the log.

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

pub(super) fn taken_back(record: &[u8]) -> Option<Usage> {
    // What was added is told by its first byte, and is nearly all there is.
    match record.first() {
        Some(0) | None => None,
        Some(_) => match Record::from_bytes(record) {
            Ok(Record::Removed(usage) | Record::SessionOver { usage, .. }) => Some(usage),
            _ => None,
        },
    }
}

pub(super) fn forget_touched(metering: &mut Metering, accounts: &BTreeSet<String>) {
    for account in accounts {
        let _ = metering.take_touched(account);
    }
}

pub(super) fn key(event: &Event<'_>) -> (String, String, u64) {
    (event.source.to_owned(), event.id.to_owned(), event.revision)
}
