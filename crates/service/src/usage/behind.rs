//! What is behind the counters: the events themselves, as the log has them, and those that are not counted.

use super::{Counters, Counting, kept};
use crate::quarantine::Quarantine;
use farebox_core::metering::{Event, Metering};
use farebox_store::codec::Stored;
use farebox_store::usage::{Record, Usage};
use farebox_store::{Store, StoreError};
use std::collections::BTreeSet;

impl Counters {
    /// The blocks of the log with usage of a group that is in memory, in order.
    pub(crate) fn blocks_of(&self, store: &dyn Store, payer: &str) -> Result<Vec<u64>, StoreError> {
        let Some(counting) = self.get(payer) else { return Ok(Vec::new()) };
        Ok(self.blocks_with(store, payer, counting)?.0)
    }

    /// The same, and those of them that are noted in the store.
    pub(super) fn blocks_with(
        &self,
        store: &dyn Store,
        payer: &str,
        counting: &Counting,
    ) -> Result<(Vec<u64>, BTreeSet<u64>), StoreError> {
        let (mut blocks, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for name in [payer].into_iter().chain(counting.accounts.iter().map(String::as_str)) {
            kept.extend(kept::blocks_of(store, name, 0)?);
            blocks.extend(self.strangers.get(name).into_iter().flatten());
        }
        blocks.extend(&counting.blocks);
        blocks.extend(&kept);
        Ok((blocks.into_iter().collect(), kept))
    }

    /// What cannot be billed as it is.
    pub(crate) fn quarantine(&mut self) -> &mut Quarantine {
        &mut self.quarantine
    }

    /// Groups that have ordered something that their counters were not made for.
    pub(crate) fn outdated(&self) -> Vec<String> {
        let is_outdated = |(payer, place): (&String, &usize)| {
            let counting = self.countings.get(*place)?;
            counting.is_outdated.then(|| payer.clone())
        };
        let mut all: Vec<String> = self.groups.iter().filter_map(is_outdated).collect();
        all.sort();
        all
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
