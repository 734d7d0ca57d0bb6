//! Counted usage: the log that it is kept in, and counters by billing group.
//!
//! What is received is written to the log before anyone is told so, and counted at once. Counters can be thrown away
//! and made anew from the log: when a group is loaded, when it orders a plan whose meters nobody counted for, and when
//! a moment turns out to matter that lies within what a counter has counted.

use crate::groups::CLOCK;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::counting::{Counts, cuts, plans_had, plans_of};
use farebox_core::engine::{Catalogues, Duty, Fact, lanes};
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
    /// Blocks of the log that the last settlement knew. What came later is late, where its time is settled.
    settled: u64,
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

    fn note(&mut self, group: Option<&Group>, facts: &[Fact], when: When) {
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
        for at in cuts(facts, when.effective_at, when.recorded_at) {
            if self.cuts.insert(at) && !self.is_outdated {
                self.accounts.iter().for_each(|account| self.metering.cut(account, at));
            }
        }
    }
}

/// When something is recorded, and from when it counts.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// From when it counts.
    pub effective_at: Instant,
    /// When it is recorded.
    pub recorded_at: Instant,
}

/// Where a record of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The block.
    pub block: u64,
    /// Its place in the block, from 0.
    pub index: u32,
}

/// Counted usage of all groups.
#[derive(Default)]
pub struct Counters {
    groups: BTreeMap<String, Counting>,
    none: Metering,
    /// What is not in the store yet.
    pending: Vec<Record>,
    /// Blocks that are closed, and not in the store yet.
    closed: Vec<Block>,
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
    pub fn count(&mut self, payer: &str, usage: Usage, change: Change) -> Result<Counted, Problem> {
        let counted = self.count_only(payer, &usage.event(), change);
        self.pending.push(match change {
            Change::Add => Record::Added(usage),
            Change::Remove => Record::Removed(usage),
        });
        counted
    }

    /// The same for what a session used, until its record comes.
    ///
    /// # Errors
    /// As [`Counters::count`].
    pub fn count_session(
        &mut self,
        payer: &str,
        id: &str,
        usage: Usage,
        change: Change,
    ) -> Result<Counted, Problem> {
        let counted = self.count_only(payer, &usage.event(), change);
        let id = id.to_owned();
        self.pending.push(match change {
            Change::Add => Record::Session { id, usage },
            Change::Remove => Record::SessionOver { id, usage },
        });
        counted
    }

    /// Writes to the log that an identity is void.
    pub fn void(&mut self, source: &str, id: &str) {
        self.pending.push(Record::Voided { source: source.to_owned(), id: id.to_owned() });
    }

    fn count_only(&mut self, payer: &str, event: &Event<'_>, change: Change) -> Result<Counted, Problem> {
        match self.groups.get_mut(payer) {
            Some(counting) => counting.metering.count(event, change),
            None => Err(Problem::UnknownAccount(event.account.to_owned())),
        }
    }

    /// Where the next record will be.
    pub fn next_place(&self) -> Place {
        Place { block: self.blocks, index: u32::try_from(self.pending.len()).unwrap_or(u32::MAX) }
    }

    /// The usage that was added at a place of the log.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not there.
    pub fn added_at(&self, store: &dyn Store, place: Place) -> Result<Usage, StoreError> {
        let in_block = |records: &[Record]| match records.get(place.index as usize) {
            Some(Record::Added(usage)) => Some(usage.clone()),
            _ => None,
        };
        let found = match self.closed.iter().find(|block| block.number == place.block) {
            _ if place.block == self.blocks => in_block(&self.pending),
            Some(block) => in_block(&read(block)?),
            None => match store.block(PARTITION, place.block)? {
                Some(block) => in_block(&read(&block)?),
                None => None,
            },
        };
        found.ok_or_else(|| StoreError::Corrupt {
            place: format!("block {} of partition {PARTITION}", place.block),
            found: format!("record {} is no usage", place.index),
        })
    }

    /// Notes what facts mean for counting.
    pub fn note(&mut self, payer: &str, group: Option<&Group>, facts: &[Fact], when: When) {
        self.groups.entry(payer.to_owned()).or_default().note(group, facts, when);
    }

    /// Notes that a price list has another version: who counts by it counts anew.
    pub fn note_catalogue(&mut self, id: &str) {
        for counting in self.groups.values_mut() {
            counting.is_outdated |= counting.plans.iter().any(|plan| plan.catalogue == id);
        }
    }

    /// Notes that the charges of a group were settled with all that is counted by now, which ends with a block.
    pub fn note_settlement(&mut self, payer: &str) {
        let settled = self.blocks;
        if let Some(counting) = self.groups.get_mut(payer) {
            counting.settled = settled;
        }
    }

    /// Whether a group has ordered something that its counters were not made for.
    pub fn is_outdated(&self, payer: &str) -> bool {
        self.groups.get(payer).is_some_and(|counting| counting.is_outdated)
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
        let (closed, open) = (&self.closed, self.blocks);
        let records = |each: &mut dyn FnMut(u64, &Record)| -> Result<(), StoreError> {
            let is_own =
                |record: &&Record| record.usage().is_some_and(|usage| accounts.contains(&usage.account));
            store.blocks(PARTITION, 0, &mut |block| {
                read(&block)?.iter().filter(is_own).for_each(|record| each(block.number, record));
                Ok(())
            })?;
            for block in closed {
                read(block)?.iter().filter(is_own).for_each(|record| each(block.number, record));
            }
            pending.iter().filter(is_own).for_each(|record| each(open, record));
            Ok(())
        };
        records(&mut |_, record| {
            if let Record::Removed(usage) | Record::SessionOver { usage, .. } = record {
                *removed.entry(key(usage)).or_default() += 1;
            }
        })?;
        let mut is_late = false;
        records(&mut |block, record| {
            if block >= counting.settled && !is_late {
                // What the last settlement knew is nothing new.
                is_late = true;
                forget_touched(&mut metering, accounts);
            }
            match record {
                Record::Added(usage) | Record::Session { usage, .. } => match removed.get_mut(&key(usage)) {
                    Some(left) if *left > 0 => *left -= 1,
                    // What cannot be billed is known to be in quarantine.
                    _ => drop(metering.count(&usage.event(), Change::Add)),
                },
                Record::Removed(usage) | Record::SessionOver { usage, .. } => {
                    if is_late {
                        metering.touch(&usage.event());
                    }
                }
                Record::Voided { .. } => {}
            }
        })?;
        if !is_late {
            forget_touched(&mut metering, accounts);
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
            if (entry.actor.as_str(), entry.command.as_str()) == (CLOCK, Duty::Charges.name()) {
                counting.settled = entry.counted.blocks;
            }
            Ok(())
        })?;
        self.groups.insert(payer.to_owned(), counting);
        Ok(())
    }

    /// The earliest time of each account's usage that was counted or taken back since the last call.
    pub fn take_touched(&mut self, payer: &str) -> Vec<(String, Instant)> {
        let Some(counting) = self.groups.get_mut(payer) else { return Vec::new() };
        let touched = |account: &String| Some((account.clone(), counting.metering.take_touched(account)?));
        counting.accounts.iter().filter_map(touched).collect()
    }

    /// Closes the block in the making, if anything is in it: before a settlement, so that the log's position says
    /// exactly what it knew, and before a commit.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn close_block(&mut self, recorded_at: Instant) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
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
        self.closed.push(block);
        Ok(())
    }

    /// The blocks to be committed: all that are not in the store yet.
    ///
    /// # Errors
    /// When one cannot be compressed.
    pub fn take_blocks(&mut self, recorded_at: Instant) -> Result<Vec<Block>, StoreError> {
        self.close_block(recorded_at)?;
        Ok(std::mem::take(&mut self.closed))
    }
}

/// Shows every record of the log, in order, with its place.
///
/// # Errors
/// When the store fails, or a block is not what was written.
pub fn replay(store: &dyn Store, each: &mut dyn FnMut(Place, Record)) -> Result<(), StoreError> {
    store.blocks(PARTITION, 0, &mut |block| {
        for (index, record) in (0..).zip(read(&block)?) {
            each(Place { block: block.number, index }, record);
        }
        Ok(())
    })
}

fn forget_touched(metering: &mut Metering, accounts: &BTreeSet<String>) {
    for account in accounts {
        let _ = metering.take_touched(account);
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
