//! The index of identities: where in the log each was said, however long ago.
//!
//! ```text
//! recent, in memory ──► runs of 256 Ki ──eight──► 2 Mi ──eight──► 16 Mi ──► …
//! ```
//!
//! What was said lately is in memory. Full, it becomes a run: sorted pages in the store, and a filter in memory that
//! tells of nearly every identity that it is not in the run (14 bits each, more in the few of small runs). Eight runs of
//! a size are merged to one, a little with each commit, so that no commit takes long and there are never many runs. What
//! is timed before the retention horizon and archived leaves with a merge. All of it follows from the log: what is in
//! memory is read from the end of the log when a store is opened.

mod cover;
mod filter;
mod recent;
mod run;
mod tidy;

use crate::log::{Place, UsageLog};
use crate::parcel::identity;
use cover::Covers;
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, added};
use farebox_store::{Derived, Seen, Store, StoreError};
use filter::{Filter, Probe};
use recent::Recent;
use run::{DIRECTORY, Entry, Extent, Head, KEY_BITS, KEY_BITS_MIN, State, key_of};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tidy::{Flush, Merge, Tidied};

pub use tidy::Tidying;

/// How much of the log is in runs.
pub(crate) const FLUSHED: u8 = 4;
/// How many blocks had left the index when all runs were merged last.
const LEFT: u8 = 23;
/// Identities that make a run.
pub const RECENT_MAX: usize = 1 << 18;
/// Runs of a level that are merged.
const FAN: usize = 8;

/// Identities are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, identity: u128) {
        self.0 = identity as u64 ^ (identity >> 64) as u64;
    }
}

/// A map by identity.
pub(crate) type ByIdentity<V> = HashMap<u128, V, BuildHasherDefault<AsItIs>>;

struct Run {
    head: Head,
    filter: Filter,
}

/// Identities that need not be known any more: usage that is as old is not counted when it comes.
#[derive(Default)]
pub(crate) struct Leaving {
    /// Blocks all of whose usage is as old, in order.
    pub blocks: Vec<u64>,
    /// Places in them that are asked for all the same.
    pub but_places: BTreeSet<Place>,
    /// Identities that are: bits of theirs that every run knows.
    but_keys: HashSet<u64>,
}

impl Leaving {
    /// This identity stays.
    pub fn keep(&mut self, identity: u128) {
        self.but_keys.insert(key_of(identity) >> (KEY_BITS - KEY_BITS_MIN));
    }

    fn leaves(&self, (key, place): &Entry) -> bool {
        self.blocks.binary_search(&place.block).is_ok()
            && !self.but_keys.contains(&(key >> (KEY_BITS - KEY_BITS_MIN)))
            && !self.but_places.contains(place)
    }
}

/// Where every identity was said.
#[derive(Default)]
pub struct Identities {
    recent: Recent,
    /// Those of the run that is on its way into the store; none, but memory for the next, where there is no such run.
    on_the_way: Arc<Recent>,
    /// By level, the highest first, and by number.
    runs: Vec<Run>,
    /// Places of those that no cover has.
    uncovered: Vec<usize>,
    covers: Covers,
    merge: Option<Merge>,
    /// What is to be done with the next commit.
    to_do: Option<Tidying>,
    /// Tells what was done, once it is.
    done: Option<Receiver<Tidied>>,
    /// Runs whose rows are to be removed.
    gone: VecDeque<u32>,
    next_run: u32,
    /// Blocks whose identities are in runs.
    flushed: u64,
    recent_max: usize,
    /// Blocks that had left when all runs were merged last.
    left: u64,
    /// Whether more may leave than when that was looked at.
    may_leave: bool,
}

impl Identities {
    /// The identities of a store's log.
    ///
    /// # Errors
    /// When the store fails, or is damaged.
    pub fn of(store: &dyn Store, log: &UsageLog) -> Result<Identities, StoreError> {
        let mut all = Identities { recent_max: RECENT_MAX, ..Identities::default() };
        let mut heads = Vec::new();
        store.derived_from(DIRECTORY, &[], &mut |key, value| {
            let head = Head::read(key, value).ok_or_else(|| StoreError::Corrupt {
                place: "the index of identities".to_owned(),
                found: "a run is none".to_owned(),
            })?;
            heads.push(head);
            Ok(Seen::More)
        })?;
        all.next_run = heads.iter().map(|head| head.number + 1).max().unwrap_or(0);
        for head in heads {
            match head.state {
                State::Whole => all.runs.push(Run { head, filter: head.read_filter(store)? }),
                // What it was to be made of is still there.
                State::Partial => all.gone.push_back(head.number),
            }
        }
        all.sort();
        let flushed = store.derived(FLUSHED, &[])?;
        all.flushed = flushed.and_then(|bytes| u64::from_bytes(&bytes).ok()).unwrap_or(0);
        let left = store.derived(LEFT, &[])?;
        all.left = left.and_then(|bytes| u64::from_bytes(&bytes).ok()).unwrap_or(0);
        all.may_leave = true;
        let mut said = ByIdentity::default();
        log.replay(store, all.flushed, &mut |place, record| {
            if let Some(name) = identity_of(record) {
                said.insert(name, place);
            }
        })?;
        // The earlier of those that share bits are to be found later.
        let mut said: Vec<(u128, Place)> = said.into_iter().collect();
        said.sort_unstable_by_key(|(_, place)| *place);
        said.into_iter().for_each(|(name, place)| all.recent.insert(name, place, None));
        Ok(all)
    }

    /// Sets how many identities make a run.
    pub(crate) fn set_recent_max(&mut self, recent_max: usize) {
        self.recent_max = recent_max;
    }

    /// Notes that more may leave the index.
    pub(crate) fn note_closed(&mut self) {
        self.may_leave = true;
    }

    fn sort(&mut self) {
        self.runs.sort_by_key(|run| (std::cmp::Reverse(run.head.level), run.head.number));
        let uncovered = self.runs.iter().enumerate().filter(|(_, run)| !self.covers.has(run.head.number));
        self.uncovered = uncovered.map(|(place, _)| place).collect();
    }

    /// Notes where an identity was said, and where it was said last before that.
    pub fn insert(&mut self, identity: u128, place: Place, before: Option<Place>) {
        self.recent.insert(identity, place, before);
    }

    /// Asks early for what [`Identities::find`] will look at. The answer means nothing.
    pub fn touch(&self, identity: u128) -> u64 {
        let key = key_of(identity);
        let uncovered = self.uncovered.iter().filter_map(|place| self.runs.get(*place));
        let known = self.recent.touch(key) ^ self.covers.touch(key);
        uncovered.fold(known, |sum, run| sum ^ run.filter.touch(key))
    }

    /// Where an identity may have been said, the latest first. Whether it was, the log tells.
    ///
    /// # Errors
    /// When the store fails.
    pub fn find(&self, store: &dyn Store, identity: u128, into: &mut Vec<Place>) -> Result<(), StoreError> {
        into.clear();
        let key = key_of(identity);
        self.recent.find(key, into);
        if !self.on_the_way.is_empty() {
            self.on_the_way.find(key, into);
        }
        let look = |run: &Run| -> Result<(), StoreError> {
            let before = into.len();
            run.head.find(store, key, into)?;
            into[before..].reverse();
            Ok(())
        };
        if self.covers.may_have(key) {
            let mut may = self.runs.iter().rev().filter(|run| run.filter.may_have(&Probe::of(key)));
            return may.try_for_each(look);
        }
        let (probe, uncovered) = (Probe::of(key), self.uncovered.iter().rev());
        let mut may =
            uncovered.filter_map(|place| self.runs.get(*place)).filter(|run| run.filter.may_have(&probe));
        may.try_for_each(look)
    }

    /// Identities that are in memory.
    pub fn in_memory(&self) -> usize {
        self.recent.len()
    }

    /// Runs in the store.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Memory that filters take, in bytes.
    pub fn filter_bytes(&self) -> usize {
        self.covers.len_bytes() + self.runs.iter().map(|run| run.filter.len_bytes()).sum::<usize>()
    }

    /// What is to be kept of the index with a commit, after which the log has so many blocks. `events`: how many came
    /// since the last; merging keeps pace with them. `leaving`: is asked what leaves the index with a merge that begins.
    /// Most is left to whoever keeps the commit: [`Identities::hand_over`]. [`Identities::landed`] follows, before this is
    /// asked for again.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn keep(
        &mut self,
        blocks: u64,
        events: u64,
        leaving: &mut dyn FnMut() -> Result<Leaving, StoreError>,
    ) -> Result<Vec<Derived>, StoreError> {
        let mut rows = Vec::new();
        let flush = (self.recent.len() >= self.recent_max).then(|| self.flush(blocks));
        // Each identity is merged once a level: so much work keeps the levels below eight runs.
        let most = events.saturating_mul(4) + 1_000;
        let merge = self.merge.take();
        if merge.is_none() {
            self.begin_merge(leaving, &mut rows)?;
        }
        let gone = self.gone.front().copied();
        self.to_do = Tidying::of(flush, merge.map(|merge| (merge, most)), gone);
        Ok(rows)
    }

    /// Hands over what is to be done with this commit, if anything: [`Tidying::run`] is to be asked for it.
    pub fn hand_over(&mut self) -> Option<Tidying> {
        let mut to_do = self.to_do.take()?;
        self.done = Some(to_do.tells());
        Some(to_do)
    }

    /// What was to be kept is in the store.
    pub fn landed(&mut self) {
        if let Some(on_the_way) = Arc::get_mut(&mut self.on_the_way) {
            on_the_way.clear();
        }
        let Some(done) = self.done.take().and_then(|done| done.try_recv().ok()) else { return };
        if done.is_gone {
            self.gone.pop_front();
        }
        self.left = done.left.unwrap_or(self.left);
        // That of a merge that began meanwhile.
        self.merge = self.merge.take().or(done.merge);
        if done.arrived.is_empty() && done.covered.is_empty() {
            return;
        }
        for (level, keys) in done.covered {
            keys.into_iter().for_each(|key| self.covers.insert(level, key));
        }
        self.runs.retain(|run| !done.replaced.contains(&run.head.number));
        self.covers.forget(&done.replaced);
        self.gone.extend(done.replaced);
        self.runs.extend(done.arrived);
        self.sort();
    }

    /// Begins a run of what is in memory.
    fn flush(&mut self, blocks: u64) -> Flush {
        // Where somebody has it still, others take its place.
        let spare = Arc::try_unwrap(std::mem::take(&mut self.on_the_way)).unwrap_or_default();
        self.on_the_way = Arc::new(std::mem::replace(&mut self.recent, spare));
        let (number, count) = (self.next_run, self.on_the_way.len() as u64);
        self.next_run += 1;
        self.cover(0, number, count);
        self.flushed = blocks;
        Flush { number, entries: self.on_the_way.clone(), blocks, is_covered: self.covers.has(number) }
    }

    /// Makes room in a cover for a run that is to be made, where runs of its level have one.
    fn cover(&mut self, level: u8, run: u32, count: u64) {
        let several = (self.recent_max * FAN.pow(u32::from(level.min(8)) + 1)) as u64;
        // A run has some more than make one: all that came until the commit.
        self.covers.begin(level, run, count, several + several / 8);
    }

    /// Begins to merge the eight oldest runs of a level, where there are so many; or all runs, when a third of what they
    /// have may leave. It goes on with the next commit.
    fn begin_merge(
        &mut self,
        leaving: &mut dyn FnMut() -> Result<Leaving, StoreError>,
        rows: &mut Vec<Derived>,
    ) -> Result<(), StoreError> {
        let top = self.runs.iter().map(|run| run.head.level).max().unwrap_or(0);
        if std::mem::take(&mut self.may_leave) && !self.runs.is_empty() {
            let leaving = leaving()?;
            let left = leaving.blocks.partition_point(|block| *block < self.flushed) as u64;
            if left.saturating_sub(self.left) > self.flushed.saturating_sub(left) / 2 {
                let all = self.runs.iter().map(|run| run.head).collect();
                self.begin(all, top.saturating_add(1), leaving, Some(left), rows);
                return Ok(());
            }
        }
        let of_level = |level: u8| -> Vec<Head> {
            self.runs.iter().map(|run| run.head).filter(|head| head.level == level).take(FAN).collect()
        };
        let Some(inputs) = (0..=top).map(of_level).find(|heads| heads.len() == FAN) else {
            return Ok(());
        };
        let level = inputs[0].level.saturating_add(1);
        let leaving = leaving()?;
        self.begin(inputs, level, leaving, None, rows);
        Ok(())
    }

    fn begin(
        &mut self,
        inputs: Vec<Head>,
        level: u8,
        leaving: Leaving,
        left: Option<u64>,
        rows: &mut Vec<Derived>,
    ) {
        let head = Head::new(self.next_run, level, Extent::of_all(&inputs));
        self.next_run += 1;
        rows.push(Head { state: State::Partial, ..head }.row());
        self.cover(level, head.number, head.count);
        let is_covered = self.covers.has(head.number);
        self.merge = Some(Merge::new(inputs, head, leaving, left, is_covered));
    }
}

/// The identity of an event that was added, or was too old for that.
pub(crate) fn identity_of(record: &[u8]) -> Option<u128> {
    match added(&mut Reader::new(record)) {
        Ok(event) => Some(identity(event.source, event.id)),
        Err(_) => match Record::from_bytes(record) {
            Ok(Record::Added(usage) | Record::TooOld { usage, .. }) => {
                Some(identity(&usage.source, &usage.id))
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_core::calendar::Instant;
    use farebox_core::metering::Event;
    use farebox_store::usage::Usage;
    use farebox_store::{Batch, Memory};

    fn usage(number: u64) -> Usage {
        let id = number.to_string();
        Usage::of(&Event {
            source: "s",
            id: &id,
            revision: 0,
            kind: "call",
            account: "acme",
            time: Instant::UNIX_EPOCH,
            start: None,
            attributes: Vec::new(),
        })
    }

    fn name(number: u64) -> u128 {
        identity("s", &number.to_string())
    }

    #[derive(Default)]
    struct World {
        store: Memory,
        log: UsageLog,
        all: Identities,
        said: Vec<Place>,
        /// Blocks whose usage is to leave.
        closed: u64,
    }

    impl World {
        /// Usage of the first blocks is to leave, but for the thousandth and the one in the first place of block 3.
        fn keep(&mut self, count: u64) -> Vec<Derived> {
            let World { store, log, all, closed, .. } = self;
            let mut leaving = || {
                let mut leaving = Leaving { blocks: (0..*closed).collect(), ..Leaving::default() };
                leaving.keep(name(1_000));
                leaving.but_places.insert(Place { block: 3, index: 0 });
                Ok(leaving)
            };
            let mut rows = all.keep(log.blocks(), count, &mut leaving).unwrap();
            rows.extend(all.hand_over().map(|to_do| to_do.run(store).unwrap()).unwrap_or_default());
            rows
        }

        fn say(&mut self, count: u64) {
            for _ in 0..count {
                let number = self.said.len() as u64;
                let place = self.log.push(&Record::Added(usage(number)));
                self.all.insert(name(number), place, None);
                self.said.push(place);
            }
            let blocks = self.log.take(Instant::UNIX_EPOCH).unwrap();
            let derived = self.keep(count);
            use farebox_store::Store as _;
            self.store.commit(&Batch { blocks, derived, ..Batch::default() }).unwrap();
            self.all.landed();
        }

        fn check(&self) {
            let mut found = Vec::new();
            for (number, place) in (0..).zip(&self.said) {
                self.all.find(&self.store, name(number), &mut found).unwrap();
                let may_leave =
                    place.block < self.closed && number != 1_000 && *place != Place { block: 3, index: 0 };
                if !(may_leave && found.is_empty()) {
                    assert_eq!(found, [*place], "{number} of {}", self.said.len());
                }
            }
            let mut wrong = 0;
            for number in 1_000_000..1_001_000 {
                self.all.find(&self.store, name(number), &mut found).unwrap();
                wrong += found.len();
            }
            assert_eq!(wrong, 0);
        }
    }

    #[test]
    fn every_identity_is_found_through_flushes_merges_and_restarts() {
        let mut world = World::default();
        world.all.recent_max = 50;
        for round in 0..400u64 {
            world.say(1 + round * 7 % 40);
            if round % 37 == 0 {
                world.check();
                // What is in the middle of a merge begins anew.
                world.all = Identities::of(&world.store, &world.log).unwrap();
                world.all.set_recent_max(50);
                world.check();
            }
        }
        world.check();
        assert!(world.all.runs.iter().any(|run| run.head.level >= 2), "two levels of merging");
        assert!(world.all.runs.len() < 3 * FAN, "{} runs", world.all.runs.len());
        (0..200).for_each(|_| world.say(0));
        let mut rows = 0;
        use farebox_store::Derivations as _;
        world
            .store
            .derived_from(run::PAGES, &[], &mut |_, value| {
                rows += value.len();
                Ok(Seen::More)
            })
            .unwrap();
        let in_runs = world.all.runs.iter().map(|run| run.head.count as usize * run.head.widths.entry());
        assert_eq!(rows, in_runs.sum::<usize>(), "nothing is left of what was merged");
    }

    #[test]
    fn what_is_closed_leaves_with_the_merges_and_the_filters_shrink() {
        let mut world = World::default();
        world.all.recent_max = 50;
        let mut most = 0;
        for round in 0..1_200u64 {
            world.say(50);
            // The last fifty blocks are not closed.
            world.closed = (round + 1).saturating_sub(50);
            world.all.note_closed();
            if round % 131 == 0 {
                world.check();
                world.all = Identities::of(&world.store, &world.log).unwrap();
                world.all.set_recent_max(50);
                world.check();
            }
            let known: u64 = world.all.runs.iter().map(|run| run.head.count).sum();
            most = most.max(known);
        }
        (0..200).for_each(|_| world.say(0));
        world.check();
        // Of 60,000 identities, those of 50 blocks, and what the next merge takes.
        assert!(most < 6_000, "{most} were known at once");
        let identities: u64 = world.all.runs.iter().map(|run| run.head.count).sum();
        let filters = world.all.filter_bytes() as u64;
        assert!(
            filters < identities * 14 / 8 * 2 + world.all.runs() as u64 * 64 * 64,
            "{filters} for {identities}"
        );
        let mut found = Vec::new();
        world.all.find(&world.store, name(1_000), &mut found).unwrap();
        assert_eq!(found, [world.said[1_000]]);
        world.all.find(&world.store, name(0), &mut found).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn an_identity_said_twice_is_found_the_latest_first() {
        let mut world = World::default();
        world.all.recent_max = 3;
        let mut places = Vec::new();
        for _ in 0..40 {
            let place = world.log.push(&Record::Added(usage(7)));
            world.all.insert(name(7), place, places.first().copied());
            places.insert(0, place);
            world.say(5);
        }
        let mut found = Vec::new();
        world.all.find(&world.store, name(7), &mut found).unwrap();
        // Its own number among those that were said once, too.
        assert_eq!(found[0], places[0]);
        assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
    }
}
