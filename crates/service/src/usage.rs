//! Counted usage: the log that it is kept in, and counters by billing group.
//!
//! What is received is written to the log before anyone is told so, and counted at once. Counters can be thrown away
//! and made anew from the log: when a group is loaded, when it orders a plan whose meters nobody counted for, and when
//! a moment turns out to matter that lies within what a counter has counted.

use crate::Groups;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::counting::{Counts, cuts, plans_had, plans_of};
use farebox_core::engine::{Catalogues, Fact, lanes};
use farebox_core::metering::{Change, Counted, Event, Metering, Problem};
use farebox_store::usage::{Record, Usage, pack, unpack};
use farebox_store::{Block, Entry, Position, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The one partition of a store that one process owns.
const PARTITION: u16 = 0;

/// How the usage of a group is counted.
#[derive(Default)]
struct Counting {
    /// The plans that its accounts have had, have, or are to have.
    plans: BTreeSet<Counts>,
    /// Moments that divide usage.
    cuts: BTreeSet<Instant>,
    /// Its accounts.
    accounts: BTreeSet<String>,
    metering: Metering,
    /// Whether something changed that the metering was not made for.
    is_outdated: bool,
}

impl Counting {
    fn metering_of(&self, catalogues: &Catalogues) -> Metering {
        let cuts: Vec<Instant> = self.cuts.iter().copied().collect();
        let mut by_account: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
        for one in &self.plans {
            let plans = by_account.entry(&one.account).or_default();
            plans.insert((one.catalogue.clone(), one.plan.clone()));
        }
        let specs = by_account.iter().flat_map(|(account, plans)| lanes(catalogues, account, plans, &cuts));
        Metering::new(self.accounts.iter().cloned(), specs)
    }

    fn note(&mut self, group: Option<&Group>, facts: &[Fact], effective_at: Instant, recorded_at: Instant) {
        for fact in facts {
            if let Fact::AccountOpened(head) = fact {
                self.accounts.insert(head.id.clone());
                self.is_outdated = true;
            }
        }
        let catalogue_of = |account: &str, name: &str| {
            let account = group?.get(account)?;
            account.subscriptions.get(name).map(|subscription| subscription.catalogue.clone())
        };
        for plan in plans_of(facts, catalogue_of) {
            self.is_outdated |= self.plans.insert(plan);
        }
        for at in cuts(facts, effective_at, recorded_at) {
            if self.cuts.insert(at) && !self.is_outdated {
                self.accounts.iter().for_each(|account| self.metering.cut(account, at));
            }
        }
    }
}

/// Counted usage of all groups.
#[derive(Default)]
pub struct Counters {
    groups: BTreeMap<String, Counting>,
    none: Metering,
    /// What is not in the store yet.
    pending: Vec<Record>,
    /// Blocks of the log, those that are not in the store yet too.
    blocks: u64,
}

impl Counters {
    /// The counters of a store's log, from which they are made when they are asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store) -> Result<Counters, StoreError> {
        Ok(Counters { blocks: store.log_blocks(PARTITION)?, ..Counters::default() })
    }

    /// The counters of a group.
    pub fn of_group(&self, payer: &str) -> &Metering {
        self.groups.get(payer).map_or(&self.none, |counting| &counting.metering)
    }

    /// How much of the log is counted.
    pub fn position(&self) -> Position {
        let blocks = self.blocks + u64::from(!self.pending.is_empty());
        Position { partition: PARTITION, blocks, epoch: 0 }
    }

    /// Writes usage to the log and counts it, or takes back what was counted.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be billed as it is. It is in the log all the same, and is looked at again with
    /// the next change that concerns its group.
    pub fn count(&mut self, payer: &str, event: &Event<'_>, change: Change) -> Result<Counted, Problem> {
        let usage = Usage::of(event);
        self.pending.push(match change {
            Change::Add => Record::Added(usage),
            Change::Remove => Record::Removed(usage),
        });
        match self.groups.get_mut(payer) {
            Some(counting) => counting.metering.count(event, change),
            None => Err(Problem::UnknownAccount(event.account.to_owned())),
        }
    }

    /// Notes what facts mean for counting.
    pub fn note(
        &mut self,
        payer: &str,
        group: Option<&Group>,
        facts: &[Fact],
        effective_at: Instant,
        recorded_at: Instant,
    ) {
        let counting = self.groups.entry(payer.to_owned()).or_default();
        counting.note(group, facts, effective_at, recorded_at);
    }

    /// Whether a group's counters must be made anew before it is decided on.
    pub fn is_stale(&self, payer: &str) -> bool {
        self.groups.get(payer).is_some_and(|counting| counting.is_outdated || counting.metering.is_stale())
    }

    /// Makes a group's counters anew from the log, if they are stale.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a block of the log is not what was written; others when the store fails.
    pub fn refresh(
        &mut self,
        store: &dyn Store,
        catalogues: &Catalogues,
        payer: &str,
    ) -> Result<(), StoreError> {
        if !self.is_stale(payer) {
            return Ok(());
        }
        let Some(counting) = self.groups.get_mut(payer) else { return Ok(()) };
        let mut metering = counting.metering_of(catalogues);
        // What was taken back is not counted in the first place: no counter has to take any back.
        let mut removed: BTreeMap<(String, String, u64), u32> = BTreeMap::new();
        let accounts = &counting.accounts;
        let pending = &self.pending;
        let records = |each: &mut dyn FnMut(&Record)| -> Result<(), StoreError> {
            store.blocks(PARTITION, 0, &mut |block| {
                for record in read(&block)?.iter().filter(|one| accounts.contains(&one.usage().account)) {
                    each(record);
                }
                Ok(())
            })?;
            pending.iter().filter(|one| accounts.contains(&one.usage().account)).for_each(each);
            Ok(())
        };
        records(&mut |record| {
            if let Record::Removed(usage) = record {
                *removed.entry(key(usage)).or_default() += 1;
            }
        })?;
        records(&mut |record| {
            let Record::Added(usage) = record else { return };
            match removed.get_mut(&key(usage)) {
                Some(left) if *left > 0 => *left -= 1,
                // What cannot be billed is known to be in quarantine.
                _ => drop(metering.count(&usage.event(), Change::Add)),
            }
        })?;
        for account in &counting.accounts {
            // Nothing is new: it was only counted again.
            let _ = metering.take_touched(account);
        }
        counting.metering = metering;
        counting.is_outdated = false;
        Ok(())
    }

    /// Prepares to count for a group that was loaded.
    ///
    /// # Errors
    /// When the store fails.
    pub fn load(&mut self, store: &dyn Store, payer: &str, group: &Group) -> Result<(), StoreError> {
        if self.groups.contains_key(payer) {
            return Ok(());
        }
        let mut counting = Counting { is_outdated: true, ..Counting::default() };
        counting.accounts.extend(group.iter().map(|account| account.head.id.clone()));
        for account in group.iter() {
            let had = account.subscriptions.values().map(|one| plans_had(&account.head.id, one));
            counting.plans.extend(had.flatten());
        }
        store.entries(payer, 0, &mut |kept| {
            let entry = Entry::from_record(&kept.record).map_err(|error| StoreError::Corrupt {
                place: format!("entry {} of group \"{payer}\"", kept.version),
                found: error.to_string(),
            })?;
            counting.cuts.extend(cuts(&entry.facts, entry.effective_at, entry.recorded_at));
            Ok(())
        })?;
        self.groups.insert(payer.to_owned(), counting);
        Ok(())
    }

    /// The earliest time of an account's usage that was counted or taken back since the last call.
    pub fn take_touched(&mut self, payer: &str, account: &str) -> Option<Instant> {
        self.groups.get_mut(payer)?.metering.take_touched(account)
    }

    /// The block that waits to be committed, if anything does.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn take_block(&mut self, recorded_at: Instant) -> Result<Option<Block>, StoreError> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let failed = |error: std::io::Error| StoreError::System {
            place: "a block of usage".to_owned(),
            found: error.to_string(),
        };
        let bytes = pack(&self.pending).map_err(failed)?;
        let events = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let block = Block { partition: PARTITION, number: self.blocks, events, recorded_at, bytes };
        self.pending.clear();
        self.blocks += 1;
        Ok(Some(block))
    }

    /// Forgets all counters, and what is not in the store: after a commit that failed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn forget(&mut self, groups: &Groups) -> Result<(), StoreError> {
        let blocks = match groups.store() {
            Some(store) => store.log_blocks(PARTITION)?,
            None => 0,
        };
        *self = Counters { blocks, ..Counters::default() };
        Ok(())
    }
}

fn key(usage: &Usage) -> (String, String, u64) {
    (usage.source.clone(), usage.id.clone(), usage.revision)
}

fn read(block: &Block) -> Result<Vec<Record>, StoreError> {
    unpack(&block.bytes).map_err(|error| StoreError::Corrupt {
        place: format!("block {} of partition {}", block.number, block.partition),
        found: error.to_string(),
    })
}
