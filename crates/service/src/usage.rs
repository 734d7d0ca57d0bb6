//! Counted usage: the log that it is kept in, and counters by billing group.
//!
//! What is received is written to the log before anyone is told so, and counted at once. Counters can be thrown away
//! and made anew from the log: when a group is loaded, when it orders a plan whose meters nobody counted for, and when
//! a moment turns out to matter that lies within what a counter has counted.

use crate::log::{Place, Ready, UsageLog};
use crate::names::ByName;
use crate::quarantine::Quarantine;
use crate::service::Pace;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::counting::{Counts, cuts, had_since, plans_of};
use farebox_core::engine::{Catalogues, Fact, lanes};
use farebox_core::metering::{Change, Counted, Event, Metering, MonthNumber, Problem};
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, Usage, added};
use farebox_store::{Block, Position, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod behind;
pub(crate) mod kept;
pub(crate) mod records;
mod recount;

use records::{forget_touched, note_block};

/// How the usage of a group is counted.
#[derive(Default)]
struct Counting {
    /// The plans that its accounts have had, have, or are to have.
    /// Each with the moment since which it is had.
    plans: BTreeMap<Counts, Instant>,
    /// Moments that divide usage.
    cuts: BTreeSet<Instant>,
    /// Its accounts.
    accounts: BTreeSet<String>,
    /// Those whose usage is not counted any more: they are erased.
    erased: BTreeSet<String>,
    metering: Metering,
    /// Whether something changed that the metering was not made for.
    is_outdated: bool,
    /// Blocks of the log that the last settlement knew. What came later is late, where its time is settled.
    settled: u64,
    /// Tells its lanes from others ([`Metering::fingerprint`]), as they were when its counters were made; `None`: nobody
    /// has asked.
    fingerprint: Option<u64>,
    /// The account that pays.
    name: Arc<str>,
    /// Blocks with its usage since its counters were last kept.
    blocks: Vec<u64>,
    /// The last of them, from 1.
    last_block: u64,
    /// Usage from this moment on, of a group of one account, is known to be late or not: it was told since the last
    /// settlement.
    told_from: Option<Instant>,
    /// The earliest time of usage that was late already when its counters were kept.
    late: BTreeMap<String, Instant>,
    /// Months of which counters are kept.
    kept: BTreeSet<MonthNumber>,
    /// Whether its counters were made anew since they were kept.
    is_new: bool,
    /// Whether usage was counted since the last [`Counters::take_noted`].
    is_noted: bool,
}

/// Who pays, and where his counters are.
#[derive(Clone, Debug)]
pub struct Payer {
    whose: Whose,
    /// Whether the account that he pays for is erased.
    pub(crate) is_erased: bool,
}

/// Where the name of a payer is.
#[derive(Clone, Debug)]
enum Whose {
    /// Beside his counters.
    Counted(usize),
    /// He has none.
    Unknown(Arc<str>),
}

impl Payer {
    /// The same, as the one who paid for an account that is erased.
    pub(crate) fn of_erased(self) -> Payer {
        Payer { is_erased: true, ..self }
    }
}

impl Counting {
    fn metering_of(&self, catalogues: &Catalogues) -> Metering {
        let cuts: Vec<Instant> = self.cuts.iter().copied().collect();
        let mut by_account: BTreeMap<&str, BTreeMap<(String, String), Instant>> = BTreeMap::new();
        for (one, since) in &self.plans {
            let plans = by_account.entry(&one.account).or_default();
            plans.insert((one.catalogue.clone(), one.plan.clone()), *since);
        }
        let specs = by_account.iter().flat_map(|(account, plans)| lanes(catalogues, account, plans, &cuts));
        Metering::new(self.accounts.iter().cloned(), specs).without(self.erased.clone())
    }

    /// The account that pays and its members, under whose names usage may be noted.
    fn names<'n>(&'n self, payer: &'n str) -> impl Iterator<Item = &'n str> {
        let members = self.accounts.iter().map(String::as_str).filter(move |name| *name != payer);
        [payer].into_iter().chain(members)
    }

    /// Notes that a block has usage of it.
    fn note_block(&mut self, block: u64) {
        if self.last_block != block + 1 {
            self.last_block = block + 1;
            self.blocks.push(block);
        }
    }

    /// Whether a settlement may have to look earlier for an event than was told already.
    fn is_news(&self, event: &Event<'_>) -> bool {
        let from = event.start.unwrap_or(event.time).min(event.time);
        self.told_from.is_none_or(|told| from < told)
    }

    fn note(&mut self, group: Option<&Group>, facts: &[Fact], when: When) {
        for fact in facts {
            if let Fact::AccountOpened(head) = fact {
                self.accounts.insert(head.id.clone());
                self.is_outdated = true;
            }
        }
        let known = |account: &str, name: &str| {
            let account = group?.get(account)?;
            account.subscriptions.get(name).map(|one| (one.catalogue.clone(), one.start))
        };
        for (plan, since) in plans_of(facts, known) {
            self.is_outdated |= had_since(&mut self.plans, plan, since);
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

/// Counted usage of all groups.
#[derive(Default)]
pub struct Counters {
    /// Each stays where it is as long as it is in memory.
    countings: Vec<Counting>,
    /// Their places, by payer.
    groups: ByName<usize>,
    /// Places that are free.
    spare: Vec<usize>,
    /// Payers whose usage was counted since the last [`Counters::take_noted`].
    noted: Vec<Arc<str>>,
    /// Payers of whose usage some was taken back since the last [`Counters::take_taken_back`].
    taken_back: Vec<String>,
    /// Blocks with usage of accounts and groups that are not in memory, since counters were last kept.
    strangers: BTreeMap<String, Vec<u64>>,
    none: Metering,
    log: UsageLog,
    /// What cannot be billed as it is.
    quarantine: Quarantine,
    /// Accounts whose usage is not counted any more: they are erased.
    erased: BTreeSet<String>,
    /// Records since counters were last kept.
    since_kept: u64,
    /// Records after which they are kept, at least.
    records_min: u64,
    /// Blocks to be read for one group, from which on it is worth while to count others with it.
    blocks_worth: usize,
    /// Whether groups go on from counters that were kept.
    goes_on: bool,
}

impl Counters {
    /// The counters of a store's log, from which they are made when they are asked for. `payer_of`: who pays for an
    /// account.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store, payer_of: impl Fn(&str) -> String) -> Result<Counters, StoreError> {
        let from = kept::position(store)?;
        Ok(Counters { goes_on: true, ..Counters::since(store, from, payer_of)? })
    }

    fn since(
        store: &dyn Store,
        from: u64,
        payer_of: impl Fn(&str) -> String,
    ) -> Result<Counters, StoreError> {
        let erased = store.erasures()?.into_iter().map(|one| one.account).collect();
        let mut all = Counters {
            log: UsageLog::of(store)?,
            records_min: RECORDS_MIN,
            blocks_worth: BLOCKS_WORTH,
            erased,
            ..Counters::default()
        };
        let (mut strangers, mut since_kept) = (BTreeMap::<String, Vec<u64>>::new(), 0);
        let mut payers: ByName<String> = ByName::default();
        all.log.replay(store, from, &mut |place, record| {
            since_kept += 1;
            let mut note = |account: &str| {
                if !payers.contains_key(account) {
                    payers.insert(account.to_owned(), payer_of(account));
                }
                if let Some(payer) = payers.get(account) {
                    note_block(&mut strangers, payer, place.block);
                }
            };
            match added(&mut Reader::new(record)) {
                Ok(event) => note(event.account),
                Err(_) => {
                    if let Ok(Some(usage)) = Record::from_bytes(record).as_ref().map(Record::usage) {
                        note(&usage.account);
                    }
                }
            }
        })?;
        (all.strangers, all.since_kept) = (strangers, since_kept);
        Ok(all)
    }

    /// The same, as if no counters were kept: all of the log is counted.
    ///
    /// # Errors
    /// When the store fails.
    pub fn from_the_log(
        store: &dyn Store,
        payer_of: impl Fn(&str) -> String,
    ) -> Result<Counters, StoreError> {
        Counters::since(store, 0, payer_of)
    }

    /// Lets go of a group's counters.
    pub(crate) fn let_go(&mut self, payer: &str) {
        if let Some(counting) = self.get_mut(payer) {
            *counting = Counting::default();
        }
        self.spare.extend(self.groups.remove(payer));
    }

    /// The counters of a group.
    pub fn of_group(&self, payer: &str) -> &Metering {
        self.get(payer).map_or(&self.none, |counting| &counting.metering)
    }

    fn get(&self, payer: &str) -> Option<&Counting> {
        self.countings.get(*self.groups.get(payer)?)
    }

    fn get_mut(&mut self, payer: &str) -> Option<&mut Counting> {
        self.countings.get_mut(*self.groups.get(payer)?)
    }

    fn insert(&mut self, payer: &str, mut counting: Counting) {
        counting.name = payer.into();
        let place = self.spare.pop().unwrap_or(self.countings.len());
        self.groups.insert(payer.to_owned(), place);
        match self.countings.get_mut(place) {
            Some(spare) => *spare = counting,
            None => self.countings.push(counting),
        }
    }

    /// Whether a group's counters can be let go of: the store has what it takes to go on with them, or to make them anew.
    pub(crate) fn may_go(&self, payer: &str) -> bool {
        self.get(payer).is_none_or(|counting| counting.blocks.is_empty() && !counting.is_noted)
    }

    /// A payer whose counters are in memory, and count all that he has ordered.
    pub(crate) fn ready(&self, payer: &str) -> Option<Payer> {
        let place = *self.groups.get(payer)?;
        let is_outdated = self.countings.get(place)?.is_outdated;
        (!is_outdated).then_some(Payer { whose: Whose::Counted(place), is_erased: false })
    }

    /// A payer, whether anything is counted for him or not.
    pub(crate) fn payer(&self, payer: &str) -> Payer {
        let place = self.groups.get(payer).filter(|place| **place < self.countings.len());
        let whose = place.map_or_else(|| Whose::Unknown(payer.into()), |place| Whose::Counted(*place));
        Payer { whose, is_erased: false }
    }

    /// The account that pays.
    pub(crate) fn name_of<'p>(&'p self, payer: &'p Payer) -> &'p str {
        match &payer.whose {
            Whose::Counted(place) => self.countings.get(*place).map_or("", |counting| &counting.name),
            Whose::Unknown(name) => name,
        }
    }

    /// Asks early for what counting an event of a payer will look at: see [`Metering::touch_early`].
    pub(crate) fn touch_early(&self, step: u8, payer: &Payer, at: Instant) -> u64 {
        let Whose::Counted(place) = payer.whose else { return 0 };
        self.countings
            .get(place)
            .map_or(0, |counting| counting.last_block ^ counting.metering.touch_early(step, at))
    }

    /// Payers whose usage was counted since the last call.
    pub(crate) fn take_noted(&mut self) -> Vec<Arc<str>> {
        for payer in &self.noted {
            if let Some(counting) = self.groups.get(&**payer).and_then(|place| self.countings.get_mut(*place))
            {
                counting.is_noted = false;
            }
        }
        std::mem::take(&mut self.noted)
    }

    /// Payers of whose usage some was taken back since the last call.
    pub(crate) fn take_taken_back(&mut self) -> Vec<String> {
        std::mem::take(&mut self.taken_back)
    }

    /// Sets after how many records counters are kept, and what is much to read.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.records_min = pace.records;
        self.blocks_worth = pace.blocks;
    }

    /// The log.
    pub fn log(&self) -> &UsageLog {
        &self.log
    }

    /// How much of the log is counted.
    pub fn position(&self) -> Position {
        let blocks = self.log.blocks() + u64::from(!self.log.is_between_blocks());
        Position { partition: crate::log::PARTITION, blocks, epoch: 0 }
    }

    /// Writes usage to the log and counts it, or takes back what was counted. Answers where it is, and what became of
    /// it.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be billed as it is. It is in the log all the same, and is looked at again with
    /// the next change that concerns its group.
    pub fn count(&mut self, payer: &str, usage: Usage, change: Change) -> Result<Counted, Problem> {
        let counted = self.count_only(payer, &usage.event(), change);
        let record = match change {
            Change::Add => Record::Added(usage),
            Change::Remove => Record::Removed(usage),
        };
        let place = self.push(payer, &record);
        if let (Change::Add, Err(problem)) = (change, &counted) {
            self.quarantine.put(payer, place, problem, &record.to_bytes());
        }
        counted
    }

    /// The same for an event that is written as a record already. Answers where it is, besides.
    pub(crate) fn count_added(
        &mut self,
        payer: &Payer,
        record: &[u8],
        event: &Event<'_>,
    ) -> (Place, Result<Counted, Problem>) {
        let place = self.log.append(record);
        self.since_kept += 1;
        let of = match payer.whose {
            Whose::Counted(place) => self.countings.get_mut(place),
            Whose::Unknown(_) => None,
        };
        let counted = match of {
            Some(counting) => {
                counting.note_block(place.block);
                if !counting.is_noted && counting.is_news(event) {
                    counting.is_noted = true;
                    self.noted.push(counting.name.clone());
                }
                counting.metering.count(event, Change::Add)
            }
            None => Err(Problem::UnknownAccount(event.account.to_owned())),
        };
        if let Err(problem) = &counted {
            let name = self.name_of(payer).to_owned();
            if let Whose::Unknown(name) = &payer.whose {
                note_block(&mut self.strangers, name, place.block);
            }
            self.quarantine.put(&name, place, problem, record);
        }
        (place, counted)
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
        let said = Record::Session { id: id.to_owned(), usage: usage.clone() };
        match change {
            Change::Add => {
                let place = self.push(payer, &said);
                if let Err(problem) = &counted {
                    self.quarantine.put(payer, place, problem, &said.to_bytes());
                }
            }
            Change::Remove => {
                self.push(payer, &Record::SessionOver { id: id.to_owned(), usage });
                if counted.is_err() {
                    self.quarantine.session_over(payer, said.to_bytes());
                }
            }
        }
        counted
    }

    /// Writes usage to the log that came when its time lay before the horizon: it is in quarantine, and never counted.
    pub(crate) fn keep_too_old(&mut self, payer: &str, usage: Usage, horizon: Instant) -> (Place, Problem) {
        let problem = Problem::BeforeHorizon { time: usage.time, horizon };
        self.set_aside(payer, &Record::TooOld { usage, horizon }, problem)
    }

    /// The same is void, or replaced.
    pub(crate) fn too_old_over(&mut self, payer: &str, usage: Usage, place: Place) {
        self.push(payer, &Record::TooOldOver(usage));
        self.quarantine.remove(payer, place);
    }

    /// Writes usage to the log that contradicts what was said before: it is in quarantine, and never counted.
    pub(crate) fn keep_conflict(&mut self, payer: &str, usage: Usage) -> (Place, Problem) {
        self.set_aside(payer, &Record::Conflict(usage), Problem::Conflict)
    }

    fn set_aside(&mut self, payer: &str, record: &Record, problem: Problem) -> (Place, Problem) {
        let place = self.push(payer, record);
        self.quarantine.put(payer, place, &problem, &record.to_bytes());
        (place, problem)
    }

    /// The same waits no more.
    pub(crate) fn conflict_over(&mut self, payer: &str, usage: Usage, place: Place) {
        self.push(payer, &Record::ConflictOver(usage));
        self.quarantine.remove(payer, place);
    }

    /// Writes to the log that an identity is void.
    pub fn void(&mut self, source: &str, id: &str) {
        self.log.push(&Record::Voided { source: source.to_owned(), id: id.to_owned() });
        self.since_kept += 1;
    }

    fn push(&mut self, payer: &str, record: &Record) -> Place {
        let place = self.log.push(record);
        self.since_kept += 1;
        match self.get_mut(payer) {
            Some(counting) => counting.note_block(place.block),
            None => note_block(&mut self.strangers, payer, place.block),
        }
        place
    }

    fn count_only(&mut self, payer: &str, event: &Event<'_>, change: Change) -> Result<Counted, Problem> {
        if change == Change::Remove && self.taken_back.last().is_none_or(|last| last != payer) {
            self.taken_back.push(payer.to_owned());
        }
        let place = self.groups.get(payer).copied();
        let Some(counting) = place.and_then(|place| self.countings.get_mut(place)) else {
            return Err(Problem::UnknownAccount(event.account.to_owned()));
        };
        // It may be of long before what takes its place.
        if change == Change::Remove && !counting.is_noted {
            counting.is_noted = true;
            self.noted.push(counting.name.clone());
        }
        counting.metering.count(event, change)
    }

    /// Notes what facts mean for counting.
    pub fn note(&mut self, payer: &str, group: Option<&Group>, facts: &[Fact], when: When) {
        if !self.groups.contains_key(payer) {
            self.insert(payer, Counting::default());
        }
        if let Some(counting) = self.get_mut(payer) {
            counting.note(group, facts, when);
        }
    }

    /// Notes that a price list has another version: who counts by it counts anew.
    pub fn note_catalogue(&mut self, id: &str) {
        for counting in &mut self.countings {
            counting.is_outdated |= counting.plans.keys().any(|plan| plan.catalogue == id);
        }
    }

    /// Notes that the charges of a group were settled with all that is counted by now, which ends with a block.
    pub fn note_settlement(&mut self, payer: &str) {
        let settled = self.log.blocks();
        if let Some(counting) = self.get_mut(payer) {
            counting.settled = settled;
            // It has looked at all that is counted.
            counting.told_from = None;
            counting.late.clear();
            forget_touched(&mut counting.metering, &counting.accounts);
        }
    }

    /// Whether a group has ordered something that its counters were not made for.
    pub fn is_outdated(&self, payer: &str) -> bool {
        self.get(payer).is_some_and(|counting| counting.is_outdated)
    }

    /// Lends the counters of a group, where they are not to be made anew first, with their place.
    /// [`Counters::give_back`] follows before anything is asked about them.
    pub(crate) fn lend(&mut self, payer: &str) -> Option<(usize, Metering)> {
        let place = *self.groups.get(payer)?;
        let counting = self.countings.get_mut(place)?;
        let is_ready = !counting.is_outdated && !counting.metering.is_stale();
        is_ready.then(|| (place, std::mem::take(&mut counting.metering)))
    }

    /// Takes back counters that were lent.
    pub(crate) fn give_back(&mut self, place: usize, metering: Metering) {
        if let Some(counting) = self.countings.get_mut(place) {
            counting.metering = metering;
        }
    }

    /// Whether a group's counters must be made anew before it is decided on.
    pub fn is_stale(&self, payer: &str) -> bool {
        self.get(payer).is_some_and(|counting| counting.is_outdated || counting.metering.is_stale())
    }

    /// The earliest time of each account's usage that was counted or taken back since the last call.
    pub fn take_touched(&mut self, payer: &str) -> Vec<(String, Instant)> {
        let Some(counting) = self.get_mut(payer) else { return Vec::new() };
        let mut all = std::mem::take(&mut counting.late);
        for account in &counting.accounts {
            if let Some(at) = counting.metering.take_touched(account) {
                let earliest = all.entry(account.clone()).or_insert(at);
                *earliest = at.min(*earliest);
            }
        }
        if let (1, Some(at)) = (counting.accounts.len(), all.values().min()) {
            counting.told_from = Some(counting.told_from.map_or(*at, |told| told.min(*at)));
        }
        all.into_iter().collect()
    }

    /// Closes the block in the making, if anything is in it: before a settlement, so that the log's position says
    /// exactly what it knew, and before a commit.
    pub fn close_block(&mut self, recorded_at: Instant) {
        self.log.close(recorded_at);
    }

    /// The blocks to be committed at once: all that are not in the store yet.
    ///
    /// # Errors
    /// When one cannot be compressed.
    pub fn take_blocks(&mut self, recorded_at: Instant) -> Result<Vec<Block>, StoreError> {
        self.log.take(recorded_at)
    }

    /// Hands over all blocks that are not in the store yet: see [`UsageLog::hand_over`].
    pub(crate) fn hand_over(&mut self, recorded_at: Instant) -> Ready {
        self.log.hand_over(recorded_at)
    }

    /// What was handed over is in the store.
    pub(crate) fn landed(&mut self) {
        self.log.landed();
        self.quarantine.landed();
    }
}

/// Records after which counters are kept, at least.
pub(crate) const RECORDS_MIN: u64 = 1 << 18;
/// Blocks to be read for one group, from which on others are counted with it.
pub(crate) const BLOCKS_WORTH: usize = 16;

impl Counting {
    /// Takes counters of its lanes as they are now.
    fn adopt(&mut self, metering: Metering, blocks: Vec<u64>) {
        self.fingerprint = None;
        self.metering = metering;
        self.is_outdated = false;
        self.last_block = blocks.last().map_or(0, |block| block + 1);
        self.blocks = blocks;
        self.told_from = None;
    }
}
