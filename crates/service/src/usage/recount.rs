//! Counting again: groups that were loaded go on from the counters that were kept, and those that are stale are counted
//! anew; many of them with one reading of the log.

use super::kept::{Head, Kept};
use super::records::{Key, forget_touched, key, key_of, taken_back};
use super::{Counters, Counting, kept, records};
use crate::groups::CLOCK;
use crate::log::{Place, UsageLog};
use crate::names::ByName;
use farebox_core::account::Group;
use farebox_core::engine::counting::{cuts, had_since, plans_had};
use farebox_core::engine::{Catalogues, Duty};
use farebox_core::metering::{Change, Event, Metering, Problem};
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, added};
use farebox_store::{Entry, Seen, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Groups that are counted again with one reading of the log, at most.
const TOGETHER_MAX: usize = 2_000;

/// What becomes of counters that were made.
enum Fate {
    /// Those that were kept, and what came since.
    GoneOn(Box<Counting>, Head),
    /// All of it was counted. With what was taken back: no counter has to take any back.
    Anew { removed: BTreeMap<Key, u32> },
}

/// A group that is counted from the log.
struct Count {
    payer: String,
    /// The blocks with its usage, in order.
    blocks: Vec<u64>,
    /// The first of them that is not behind the reading.
    next: usize,
    /// Those that no list in the store has.
    fresh: Vec<u64>,
    metering: Metering,
    accounts: BTreeSet<String>,
    /// Blocks that the last settlement knew.
    settled: u64,
    is_late: bool,
    in_quarantine: Vec<(Place, Problem, Vec<u8>)>,
    fate: Fate,
}

impl Count {
    /// Whether a block is one of its own. Blocks are asked for in order.
    fn has(&mut self, block: u64) -> bool {
        while self.blocks.get(self.next).is_some_and(|own| *own < block) {
            self.next += 1;
        }
        self.blocks.get(self.next) == Some(&block)
    }

    /// What the last settlement knew is nothing new.
    fn come_to(&mut self, block: u64) {
        if block >= self.settled && !self.is_late {
            self.is_late = true;
            forget_touched(&mut self.metering, &self.accounts);
        }
    }

    fn add(&mut self, place: Place, event: &Event<'_>, record: &[u8]) {
        self.come_to(place.block);
        match &mut self.fate {
            // What cannot be billed is in quarantine already.
            Fate::GoneOn(..) => drop(self.metering.count(event, Change::Add)),
            Fate::Anew { removed } => {
                if !removed.is_empty()
                    && let Some(left) = removed.get_mut(&key(event)).filter(|left| **left > 0)
                {
                    *left -= 1;
                } else if let Err(problem) = self.metering.count(event, Change::Add) {
                    self.in_quarantine.push((place, problem, record.to_vec()));
                }
            }
        }
    }

    /// What was too old when it came never counts, wherever the horizon is, and what contradicts other usage does not
    /// either: it waits in quarantine.
    fn put(&mut self, place: Place, key: &Key, problem: Problem, record: &[u8]) {
        let Fate::Anew { removed } = &mut self.fate else { return };
        if let Some(left) = removed.get_mut(key).filter(|left| **left > 0) {
            *left -= 1;
        } else {
            self.in_quarantine.push((place, problem, record.to_vec()));
        }
    }

    fn remove(&mut self, place: Place, event: &Event<'_>) {
        self.come_to(place.block);
        match &self.fate {
            Fate::GoneOn(..) => drop(self.metering.count(event, Change::Remove)),
            Fate::Anew { .. } if self.is_late => self.metering.touch(event),
            Fate::Anew { .. } => {}
        }
    }
}

/// Groups that are counted with one reading of the log.
#[derive(Default)]
struct Counts {
    all: Vec<Count>,
    /// Whose each account's usage is.
    of: ByName<usize>,
}

impl Counts {
    fn push(&mut self, count: Count) {
        self.of.extend(count.accounts.iter().map(|account| (account.clone(), self.all.len())));
        self.all.push(count);
    }

    fn of(&mut self, account: &str, block: u64) -> Option<&mut Count> {
        let count = self.all.get_mut(*self.of.get(account)?)?;
        count.has(block).then_some(count)
    }

    /// The blocks of those that are counted anew, or of all, each once and in order.
    fn blocks(&self, is_wanted: impl Fn(&Count) -> bool) -> Vec<u64> {
        let wanted = self.all.iter().filter(|count| is_wanted(count));
        let mut blocks: Vec<u64> = wanted.flat_map(|count| &count.blocks).copied().collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }

    /// Reads the log, and counts.
    fn read(&mut self, log: &UsageLog, store: &dyn Store) -> Result<(), StoreError> {
        let anew = self.blocks(|count| matches!(count.fate, Fate::Anew { .. }));
        log.replay_some(store, &anew, &mut |place, record| {
            let Some((account, key)) = taken_back(record) else { return };
            if let Some(count) = self.of(&account, place.block)
                && let Fate::Anew { removed } = &mut count.fate
            {
                *removed.entry(key).or_default() += 1;
            }
        })?;
        self.all.iter_mut().for_each(|count| count.next = 0);
        log.replay_some(store, &self.blocks(|_| true), &mut |place, record| {
            if let Ok(event) = added(&mut Reader::new(record)) {
                if let Some(count) = self.of(event.account, place.block) {
                    count.add(place, &event, record);
                }
                return;
            }
            let Ok(said) = Record::from_bytes(record) else { return };
            let Some(usage) = said.usage() else { return };
            let Some(count) = self.of(&usage.account, place.block) else { return };
            match &said {
                Record::Removed(_) | Record::SessionOver { .. } => count.remove(place, &usage.event()),
                Record::TooOld { usage, horizon } => {
                    let problem = Problem::BeforeHorizon { time: usage.time, horizon: *horizon };
                    count.put(place, &key_of(usage, records::Fate::TooOld), problem, record);
                }
                Record::Conflict(usage) => {
                    let key = key_of(usage, records::Fate::Conflict);
                    count.put(place, &key, Problem::Conflict, record);
                }
                Record::TooOldOver(_) | Record::ConflictOver(_) => {}
                _ => count.add(place, &usage.event(), record),
            }
        })?;
        for count in &mut self.all {
            if !count.is_late {
                forget_touched(&mut count.metering, &count.accounts);
            }
        }
        Ok(())
    }
}

impl Counters {
    /// Makes the counters of groups anew from the log, of those that are stale. Where much is to be read, others that
    /// are stale are counted with them. Answers whose were.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a block of the log is not what was written; others when the store fails.
    pub fn refresh(
        &mut self,
        store: &dyn Store,
        catalogues: &Catalogues,
        payers: &[&str],
    ) -> Result<Vec<String>, StoreError> {
        // One that is named twice is counted once: nothing would be left for the other.
        let stale: BTreeSet<&str> = payers.iter().copied().filter(|payer| self.is_stale(payer)).collect();
        let mut stale: Vec<String> = stale.into_iter().map(str::to_owned).collect();
        if stale.is_empty() {
            return Ok(stale);
        }
        store.together(&mut || self.count_anew(store, catalogues, &mut stale))?;
        Ok(stale)
    }

    /// Counts for stale groups, and for others where it is worth while: they are added to the list.
    fn count_anew(
        &mut self,
        store: &dyn Store,
        catalogues: &Catalogues,
        stale: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let mut counts = Counts::default();
        for payer in stale.iter() {
            self.begin_anew(store, catalogues, payer, &mut counts)?;
        }
        if counts.all.iter().any(|count| count.blocks.len() >= self.blocks_worth) {
            let asked: BTreeSet<&str> = stale.iter().map(String::as_str).collect();
            let others =
                self.groups.keys().filter(|payer| !asked.contains(payer.as_str()) && self.is_stale(payer));
            let others: Vec<String> =
                others.take(TOGETHER_MAX.saturating_sub(stale.len())).cloned().collect();
            for payer in &others {
                self.begin_anew(store, catalogues, payer, &mut counts)?;
            }
            stale.extend(others);
        }
        counts.read(&self.log, store)?;
        for count in counts.all {
            let Count { payer, fresh, metering, accounts, in_quarantine, .. } = count;
            let names: BTreeSet<String> = accounts.into_iter().chain([payer.clone()]).collect();
            self.quarantine.replace(store, &payer, &names, in_quarantine)?;
            if let Some(counting) = self.get_mut(&payer) {
                counting.adopt(metering, fresh);
                counting.is_new = true;
            }
        }
        Ok(())
    }

    fn begin_anew(
        &self,
        store: &dyn Store,
        catalogues: &Catalogues,
        payer: &str,
        to: &mut Counts,
    ) -> Result<(), StoreError> {
        let Some(counting) = self.get(payer) else { return Ok(()) };
        let (blocks, kept) = self.blocks_with(store, payer, counting)?;
        to.push(Count {
            payer: payer.to_owned(),
            fresh: blocks.iter().filter(|block| !kept.contains(block)).copied().collect(),
            blocks,
            next: 0,
            metering: counting.metering_of(catalogues),
            accounts: counting.accounts.clone(),
            settled: counting.settled,
            is_late: false,
            in_quarantine: Vec::new(),
            fate: Fate::Anew { removed: BTreeMap::new() },
        });
        Ok(())
    }

    /// Prepares to count for groups that were loaded: with the counters that were kept, where they fit what was
    /// ordered, and what came since. The others are stale.
    ///
    /// # Errors
    /// When the store fails.
    pub fn load(
        &mut self,
        store: &dyn Store,
        catalogues: &Catalogues,
        groups: &[(&str, &Group)],
    ) -> Result<(), StoreError> {
        store.together(&mut || self.go_on(store, catalogues, groups))
    }

    fn go_on(
        &mut self,
        store: &dyn Store,
        catalogues: &Catalogues,
        groups: &[(&str, &Group)],
    ) -> Result<(), StoreError> {
        let mut counts = Counts::default();
        for (payer, group) in groups {
            if self.groups.contains_key(*payer) {
                continue;
            }
            let mut counting = counting_of(store, payer, group, &self.erased)?;
            let kept = if self.goes_on { Kept::read(store, payer)? } else { None };
            match kept.map(|kept| self.begin_from(kept, catalogues, &mut counting)) {
                Some(Some((metering, head))) => {
                    let (blocks, fresh) = self.blocks_since(store, payer, &counting, head.position)?;
                    counts.push(Count {
                        payer: (*payer).to_owned(),
                        blocks,
                        next: 0,
                        fresh,
                        metering,
                        accounts: counting.accounts.clone(),
                        settled: counting.settled,
                        is_late: false,
                        in_quarantine: Vec::new(),
                        fate: Fate::GoneOn(Box::new(counting), head),
                    });
                }
                _ => self.insert(payer, counting),
            }
        }
        counts.read(&self.log, store)?;
        for count in counts.all {
            let Fate::GoneOn(mut counting, head) = count.fate else { continue };
            // A settlement that finds nothing to charge leaves no entry.
            if head.settled >= counting.settled {
                counting.settled = head.settled;
                counting.late = head.late;
            }
            counting.adopt(count.metering, count.fresh);
            self.insert(&count.payer, *counting);
        }
        Ok(())
    }

    /// Counters as they were kept, where they fit what the group has ordered since.
    fn begin_from(
        &self,
        kept: Kept,
        catalogues: &Catalogues,
        counting: &mut Counting,
    ) -> Option<(Metering, Head)> {
        let Kept { head, months, counted } = kept;
        // All of them are to be kept again where they do not fit.
        counting.kept = months;
        let mut metering = counting.metering_of(catalogues);
        let fits = metering.fingerprint() == head.fingerprint && head.position <= self.log.blocks();
        let is_whole = fits && counted.into_iter().all(|segment| metering.put_back(segment));
        is_whole.then_some((metering, head))
    }

    /// The blocks with usage of a group from a position on, and those of them that no list in the store has.
    fn blocks_since(
        &self,
        store: &dyn Store,
        payer: &str,
        counting: &Counting,
        position: u64,
    ) -> Result<(Vec<u64>, Vec<u64>), StoreError> {
        let (mut blocks, mut fresh) = (BTreeSet::new(), BTreeSet::new());
        for name in counting.names(payer) {
            blocks.extend(kept::blocks_of(store, name, position)?);
            fresh.extend(self.strangers.get(name).into_iter().flatten());
        }
        blocks.extend(&fresh);
        blocks.retain(|block| *block >= position);
        Ok((blocks.into_iter().collect(), fresh.into_iter().collect()))
    }

    /// Others that may as well be counted from the log when this group is: names with usage in the blocks that would
    /// be read, beginning after its own. None where there is little to read.
    pub(crate) fn company(&self, payer: &str) -> Vec<String> {
        let is_worth = self.strangers.get(payer).is_some_and(|blocks| blocks.len() >= self.blocks_worth);
        if !is_worth {
            return Vec::new();
        }
        let after = (Bound::Excluded(payer), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Excluded(payer));
        let others = self.strangers.range::<str, _>(after).chain(self.strangers.range::<str, _>(before));
        let others = others.map(|(name, _)| name).filter(|name| !self.groups.contains_key(*name));
        others.take(TOGETHER_MAX).cloned().collect()
    }
}

/// What is counted of a group, and in which moments, by what it has done: nothing of accounts that are erased.
fn counting_of(
    store: &dyn Store,
    payer: &str,
    group: &Group,
    erased: &BTreeSet<String>,
) -> Result<Counting, StoreError> {
    let mut counting = Counting { is_outdated: true, ..Counting::default() };
    let counted = || group.iter().filter(|account| !erased.contains(&account.head.id));
    let all = group.iter().map(|account| &account.head.id);
    counting.erased.extend(all.filter(|name| erased.contains(*name)).cloned());
    counting.accounts.extend(counted().map(|account| account.head.id.clone()));
    for account in counted() {
        for one in account.subscriptions.values() {
            for plan in plans_had(&account.head.id, one) {
                had_since(&mut counting.plans, plan, one.start);
            }
        }
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
        Ok(Seen::More)
    })?;
    Ok(counting)
}
