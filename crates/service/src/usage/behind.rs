//! What is behind the counters: the events themselves, as the log has them, and those that are not counted.

use super::{Counters, Counting, kept};
use crate::log::Place;
use crate::quarantine::{Quarantine, key};
use farebox_core::calendar::Instant;
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
        for name in counting.names(payer) {
            kept.extend(kept::blocks_of(store, name, 0)?);
            blocks.extend(self.strangers.get(name).into_iter().flatten());
        }
        blocks.extend(&counting.blocks);
        blocks.extend(&kept);
        Ok((blocks.into_iter().collect(), kept))
    }

    /// The blocks with usage of an account, whose group is in memory, also of before it was opened.
    pub(crate) fn blocks_about(
        &self,
        store: &dyn Store,
        payer: &str,
        account: &str,
    ) -> Result<Vec<u64>, StoreError> {
        let mut blocks: BTreeSet<u64> = self.blocks_of(store, payer)?.into_iter().collect();
        blocks.extend(kept::blocks_of(store, account, 0)?);
        blocks.extend(self.strangers.get(account).into_iter().flatten());
        Ok(blocks.into_iter().collect())
    }

    /// Counts the usage of an account no more.
    pub(crate) fn exclude(&mut self, payer: &str, account: &str) {
        self.erased.insert(account.to_owned());
        if let Some(counting) = self.get_mut(payer) {
            counting.accounts.remove(account);
            counting.erased.insert(account.to_owned());
            counting.plans.retain(|plan, _| plan.account != account);
            counting.is_outdated = true;
        }
    }

    /// Whether the usage of an account is not counted any more.
    pub(crate) fn is_erased(&self, account: &str) -> bool {
        !self.erased.is_empty() && self.erased.contains(account)
    }

    /// Forgets what was read of the log: some of it was written anew.
    pub(crate) fn read_again(&self) {
        self.log.read_again();
    }

    /// Whether the record at a place of a group's waits in quarantine.
    pub(crate) fn waits(&self, store: &dyn Store, payer: &str, place: Place) -> Result<bool, StoreError> {
        Ok(self.quarantine.get(store, &key(payer, place), Instant::MIN)?.is_some())
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
