//! Usage as it comes in: each identity counts once, however often and late it is said.

use crate::conflicts::{CONFLICTS_MAX, Conflicts};
use crate::identities::{ByIdentity, Identities, Leaving, Tidying};
use crate::log::{PARTITION, Place};
use crate::parcel::{Packed, Parcel, events, identity};
use crate::quarantine::{Quarantine, Quarantined, key};
use crate::usage::{Counters, Payer};
use farebox_core::calendar::Instant;
use farebox_core::metering::{Change, Counted, EARLY_STEPS, Event, Problem};
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, Usage, added};
use farebox_store::{Derived, Seen, Store, StoreError};
use std::fmt;

/// What became of a piece of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is counted.
    Counted,
    /// Meters measure its type, and all their conditions say that it costs nothing.
    NotBillable,
    /// It has been said before, or in a higher revision.
    Duplicate,
    /// Its identity is void.
    Void,
    /// Its account is erased, or that of which it was said before. It is not kept.
    Erased,
    /// It contradicts what was said before, as [`CONFLICTS_MAX`] pieces do that wait. It is not kept.
    Conflict,
    /// It would replace usage that is closed. It is not kept.
    Closed(Closed),
    /// It cannot be billed as it is. It is kept, and counted when it can be.
    Quarantined(Problem),
}

/// Usage that counts and is timed before the retention horizon: it stays as it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When it was used.
    pub time: Instant,
    /// Where the horizon is.
    pub horizon: Instant,
}

impl Closed {
    /// The stable code.
    pub const CODE: &str = Problem::BEFORE_HORIZON;
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Closed { time, horizon } = self;
        write!(
            f,
            "it was counted for {time}, and usage before {horizon} is closed (the retention horizon): it cannot be \
             replaced or taken back; correct the bill by an adjustment or a credit note"
        )
    }
}

/// Identities that are void.
pub(crate) const VOID: u8 = 5;
/// What sessions said that they used.
pub(crate) const SESSIONS: u8 = 6;
/// Identities whose usage was replaced: they stay in the index. Under no name, the block from which on they are noted.
const REPLACED: u8 = 22;
/// Events whose identities are looked up together.
pub const TOGETHER: usize = 64;

/// What was said last under an identity.
struct Known {
    usage: Usage,
    record: Vec<u8>,
    place: Place,
    /// Whether it was too old to be counted when it came.
    is_too_old: bool,
}

impl Known {
    fn read(record: Vec<u8>, place: Place) -> Option<Known> {
        if let Ok(event) = added(&mut Reader::new(&record)) {
            return Some(Known { usage: Usage::of(&event), record, place, is_too_old: false });
        }
        match Record::from_bytes(&record) {
            Ok(Record::TooOld { usage, .. }) => Some(Known { usage, record, place, is_too_old: true }),
            _ => None,
        }
    }
}

/// What is known of an identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Whose {
    /// What was received under it last, or what its session said.
    pub usage: Usage,
    /// Where it is in the log; `None`: its session said it.
    pub place: Option<Place>,
    /// Whether it was too old to be counted when it came.
    pub is_too_old: bool,
}

/// Takes back what was counted; what cannot be taken back was in quarantine, and is so no longer.
fn take_back(counters: &mut Counters, payer: &str, usage: Usage, place: Option<Place>) {
    if counters.count(payer, usage, Change::Remove).is_err()
        && let Some(place) = place
    {
        counters.quarantine().remove(payer, place);
    }
}

/// What may leave the index of identities: usage that was archived and is timed before the horizon. It is not counted
/// again, whether it is known or not. What was taken back stays, so that events can be told that count, and what waits in
/// quarantine, so that it can be asked for.
fn leaving(
    store: &dyn Store,
    horizon: Instant,
    noted_from: u64,
    void: &ByIdentity<()>,
) -> Result<Leaving, StoreError> {
    let mut leaving = Leaving::default();
    if horizon == Instant::MIN {
        return Ok(leaving);
    }
    leaving.blocks = store.archived_before(PARTITION, horizon)?;
    leaving.blocks.retain(|block| *block >= noted_from);
    if leaving.blocks.is_empty() {
        return Ok(leaving);
    }
    void.keys().for_each(|identity| leaving.keep(*identity));
    store.derived_from(REPLACED, &[0], &mut |key, _| {
        key.try_into().map(u128::from_be_bytes).into_iter().for_each(|identity| leaving.keep(identity));
        Ok(Seen::More)
    })?;
    let Leaving { blocks, but_places, .. } = &mut leaving;
    Quarantine::places(store, &mut |place, _| {
        if blocks.binary_search(&place.block).is_ok() {
            but_places.insert(place);
        }
    })?;
    Ok(leaving)
}

/// Every identity that was received.
pub struct Inbox {
    /// What is timed before this is not counted any more.
    horizon: Instant,
    /// From this block on it is noted whose usage was replaced.
    noted_from: u64,
    identities: Identities,
    void: ByIdentity<()>,
    /// What sessions said that they used, until a record comes under their identity. Sessions of several accounts may
    /// have one.
    sessions: ByIdentity<(String, Vec<Usage>)>,
    conflicts: Conflicts,
    /// What changed of the three, and is not in the store yet.
    changed: Vec<Derived>,
    /// Events since the last commit.
    events: u64,
    candidates: Vec<Place>,
    /// Payers whose usage was taken back because it is another's.
    moved: Vec<String>,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox {
            horizon: Instant::MIN,
            noted_from: 0,
            identities: Identities::default(),
            void: ByIdentity::default(),
            sessions: ByIdentity::default(),
            conflicts: Conflicts::default(),
            changed: Vec::new(),
            events: 0,
            candidates: Vec::new(),
            moved: Vec::new(),
        }
    }
}

impl Inbox {
    /// Every identity in a store's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store, counters: &Counters) -> Result<Inbox, StoreError> {
        let identities = Identities::of(store, counters.log())?;
        let horizon = store.horizon()?.unwrap_or(Instant::MIN);
        let conflicts = Conflicts::of(store)?;
        let mut inbox = Inbox { identities, horizon, conflicts, ..Inbox::default() };
        match store.derived(REPLACED, &[])?.and_then(|bytes| u64::from_bytes(&bytes).ok()) {
            Some(from) => inbox.noted_from = from,
            None => {
                inbox.noted_from = counters.log().blocks();
                let value = Some(inbox.noted_from.to_bytes());
                inbox.changed.push(Derived { space: REPLACED, key: Vec::new(), value });
            }
        }
        let name = |key: &[u8]| key.try_into().map(u128::from_be_bytes).unwrap_or_default();
        store.derived_from(VOID, &[], &mut |key, _| {
            inbox.void.insert(name(key), ());
            Ok(Seen::More)
        })?;
        store.derived_from(SESSIONS, &[], &mut |key, value| {
            let said = Stored::from_bytes(value).map_err(|error| StoreError::Corrupt {
                place: "what a session said".to_owned(),
                found: error.to_string(),
            })?;
            inbox.sessions.insert(name(key), said);
            Ok(Seen::More)
        })?;
        Ok(inbox)
    }

    /// Receives usage, in order, and tells of each piece what became of it, and which parcel it is of. `payers`: who pays
    /// for each account of the parcels, one after another; their groups have been loaded. `payer_of`: who pays for any
    /// other account.
    ///
    /// # Errors
    /// When the store fails; what was received before is then to be forgotten.
    pub fn receive(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        parcels: &[&Parcel],
        payers: &[Payer],
        payer_of: &dyn Fn(&str) -> String,
        told: &mut dyn FnMut(usize, &Event<'_>, &Received),
    ) -> Result<(), StoreError> {
        let mut some = Vec::with_capacity(TOGETHER);
        let mut rest = events(parcels);
        loop {
            rest.next(TOGETHER, &mut some);
            if some.is_empty() {
                return Ok(());
            }
            // What is asked for here comes to the processor while the first are looked at.
            let touch = |sum, packed: &Packed<'_>| sum ^ self.identities.touch(packed.identity);
            std::hint::black_box(some.iter().fold(0, touch));
            for step in 0..EARLY_STEPS {
                let touch = |sum: u64, packed: &Packed<'_>| {
                    let payer = payers.get(packed.account);
                    sum ^ payer.map_or(0, |payer| counters.touch_early(step, payer, packed.event.time))
                };
                std::hint::black_box(some.iter().fold(0, touch));
            }
            for packed in &some {
                let Some(payer) = payers.get(packed.account) else { continue };
                // It is looked at where it is: moving it would wait for all that went before.
                match &self.one(counters, store, payer, payer_of, packed) {
                    Ok(received) => told(packed.parcel, &packed.event, received),
                    Err(error) => return Err(error.clone()),
                }
            }
            rest.done(&mut some);
        }
    }

    fn one(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer: &Payer,
        payer_of: &dyn Fn(&str) -> String,
        packed: &Packed<'_>,
    ) -> Result<Received, StoreError> {
        let Packed { identity: name, record, event, .. } = packed;
        let name = *name;
        if payer.is_erased {
            return Ok(Received::Erased);
        }
        if !self.void.is_empty() && self.void.contains_key(&name) {
            return Ok(Received::Void);
        }
        let mut said_before = None;
        let known = self.known(counters, store, name, event.source, event.id)?;
        if let Some(known) = &known {
            if event.revision < known.usage.revision {
                return Ok(Received::Duplicate);
            }
            if event.revision == known.usage.revision {
                let is_same = known.record == *record || known.usage.says_the_same(&Usage::of(event));
                if is_same || self.contradicts(counters, store, payer_of, name, event)? {
                    return Ok(Received::Duplicate);
                }
                if self.conflicts.count(name) >= CONFLICTS_MAX {
                    return Ok(Received::Conflict);
                }
                let payer = counters.name_of(payer).to_owned();
                let (place, problem) = counters.keep_conflict(&payer, Usage::of(event));
                self.changed.push(self.conflicts.add(name, event.account, place));
                return Ok(Received::Quarantined(problem));
            }
        }
        // A record that is too old itself replaces no session.
        if event.time >= self.horizon
            && let Some(closed) = self.closed_session(counters, store, payer_of, name)?
        {
            return Ok(Received::Closed(closed));
        }
        if let Some(known) = known {
            if counters.is_erased(&known.usage.account) {
                return Ok(Received::Erased);
            }
            // It may have been said of another account, by mistake.
            let before = payer_of(&known.usage.account);
            if let Some(closed) = self.closed(counters, store, &before, &known)? {
                return Ok(Received::Closed(closed));
            }
            said_before = Some(known.place);
            if known.is_too_old {
                counters.too_old_over(&before, known.usage, known.place);
            } else {
                take_back(counters, &before, known.usage, Some(known.place));
                let key = name.to_be_bytes().to_vec();
                self.changed.push(Derived { space: REPLACED, key, value: Some(Vec::new()) });
            }
            if before != counters.name_of(payer) {
                self.moved.push(before);
            }
        }
        self.settle_conflicts(counters, store, payer_of, name)?;
        self.events += 1;
        if event.time < self.horizon {
            // What its session said stays: it was counted in time.
            let payer = counters.name_of(payer).to_owned();
            let (place, problem) = counters.keep_too_old(&payer, Usage::of(event), self.horizon);
            self.identities.insert(name, place, said_before);
            return Ok(Received::Quarantined(problem));
        }
        if !self.sessions.is_empty() {
            self.take_back_sessions(counters, payer_of, name, |_| true);
        }
        let (place, counted) = counters.count_added(payer, record, event);
        self.identities.insert(name, place, said_before);
        Ok(match counted {
            Ok(Counted::Counted) => Received::Counted,
            Ok(Counted::NotBillable) => Received::NotBillable,
            Err(problem) => Received::Quarantined(problem),
        })
    }

    /// Whether usage that says the same waits already, because it contradicts what was said before.
    fn contradicts(
        &self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        name: u128,
        event: &Event<'_>,
    ) -> Result<bool, StoreError> {
        let waiting = self.conflicts.waiting(store, counters.quarantine(), payer_of, name)?;
        let usage = Usage::of(event);
        Ok(waiting.iter().any(|(_, _, piece)| piece.usage.says_the_same(&usage)))
    }

    /// What contradicted what was said under an identity waits no more. Answers whether there was any.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn settle_conflicts(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        name: u128,
    ) -> Result<bool, StoreError> {
        if self.conflicts.count(name) == 0 {
            return Ok(false);
        }
        let waiting = self.conflicts.waiting(store, counters.quarantine(), payer_of, name)?;
        let is_any = !waiting.is_empty();
        for (payer, place, piece) in waiting {
            counters.conflict_over(&payer, piece.usage, place);
        }
        self.changed.extend(self.conflicts.remove(name));
        Ok(is_any)
    }

    /// What waits because it contradicts what was said under an identity.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn conflict(
        &self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        (source, id): (&str, &str),
    ) -> Result<Option<Quarantined>, StoreError> {
        let name = identity(source, id);
        let waiting = self.conflicts.waiting(store, counters.quarantine(), payer_of, name)?;
        let same = |(_, _, piece): (String, Place, Quarantined)| {
            ((&*piece.usage.source, &*piece.usage.id) == (source, id)).then_some(piece)
        };
        Ok(waiting.into_iter().find_map(same))
    }

    /// What was said last under an identity.
    fn known(
        &mut self,
        counters: &Counters,
        store: &dyn Store,
        name: u128,
        source: &str,
        id: &str,
    ) -> Result<Option<Known>, StoreError> {
        self.identities.find(store, name, &mut self.candidates)?;
        for place in self.candidates.iter().copied() {
            let Some(record) = counters.log().at(store, place)? else { continue };
            let known = Known::read(record, place);
            if let Some(known) =
                known.filter(|known| (&*known.usage.source, &*known.usage.id) == (source, id))
            {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Whether usage counts and is timed before the horizon. What waits in quarantine can be replaced, and what was too
    /// old never counted.
    fn closed(
        &self,
        counters: &mut Counters,
        store: &dyn Store,
        payer: &str,
        known: &Known,
    ) -> Result<Option<Closed>, StoreError> {
        let (time, horizon) = (known.usage.time, self.horizon);
        if known.is_too_old || time >= horizon {
            return Ok(None);
        }
        let waits = counters.quarantine().get(store, &key(payer, known.place), horizon)?;
        Ok(waits.is_none().then_some(Closed { time, horizon }))
    }

    /// The same of what a session said.
    fn closed_session(
        &self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        name: u128,
    ) -> Result<Option<Closed>, StoreError> {
        let Some((id, said)) = self.sessions.get(&name) else { return Ok(None) };
        for usage in said.iter().filter(|usage| usage.time < self.horizon) {
            let record = Record::Session { id: id.clone(), usage: usage.clone() }.to_bytes();
            if !counters.quarantine().has(store, &payer_of(&usage.account), &record)? {
                return Ok(Some(Closed { time: usage.time, horizon: self.horizon }));
            }
        }
        Ok(None)
    }

    /// What is timed before this is not counted any more.
    pub fn horizon(&self) -> Instant {
        self.horizon
    }

    /// Notes that usage was archived.
    pub(crate) fn note_archived(&mut self) {
        self.identities.note_closed();
    }

    /// Moves the horizon.
    pub(crate) fn set_horizon(&mut self, to: Instant) {
        self.horizon = self.horizon.max(to);
    }

    /// Payers whose usage was taken back since the last call because it, or what takes its place, may be another's.
    pub(crate) fn take_moved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.moved)
    }

    /// What was received under an identity, or what its session said. `None` when that is nothing, or it is void.
    ///
    /// # Errors
    /// When the store fails.
    pub fn whose(
        &mut self,
        counters: &Counters,
        store: &dyn Store,
        source: &str,
        id: &str,
    ) -> Result<Option<Whose>, StoreError> {
        let name = identity(source, id);
        if self.void.contains_key(&name) {
            return Ok(None);
        }
        match self.known(counters, store, name, source, id)? {
            Some(Known { usage, place, is_too_old, .. }) => {
                Ok(Some(Whose { usage, place: Some(place), is_too_old }))
            }
            None => {
                let said = self.sessions.get(&name).and_then(|(_, usage)| usage.first());
                Ok(said.map(|usage| Whose { usage: usage.clone(), place: None, is_too_old: false }))
            }
        }
    }

    /// Whether the event at a place is what counts under its identity.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn is_current(
        &mut self,
        counters: &Counters,
        store: &dyn Store,
        event: &Event<'_>,
        place: Place,
    ) -> Result<bool, StoreError> {
        let name = identity(event.source, event.id);
        let known = self.known(counters, store, name, event.source, event.id)?;
        if place.block >= self.noted_from && event.time < self.horizon && !self.candidates.contains(&place) {
            // It has left the index, or was replaced soon after it came.
            return Ok(store.derived(REPLACED, &name.to_be_bytes())?.is_none());
        }
        if self.void.contains_key(&name) {
            return Ok(false);
        }
        Ok(known.is_some_and(|known| known.place == place))
    }

    /// Whether a session's usage counts: its record has not come, and it is not void.
    pub(crate) fn is_said(&self, session: &str, usage: &Usage) -> bool {
        let said = self.sessions.get(&identity(&usage.source, session));
        said.is_some_and(|(_, said)| said.contains(usage))
    }

    /// Takes back what [`Inbox::whose`] answers, and what comes later under its identity. What its session said stays
    /// where that is closed: its record was too old.
    ///
    /// # Errors
    /// When the store fails; nothing is done then.
    pub fn void(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        whose: Option<Whose>,
        (source, id): (&str, &str),
    ) -> Result<(), StoreError> {
        let name = identity(source, id);
        if self.void.contains_key(&name) {
            return Ok(());
        }
        let is_closed = self.closed_session(counters, store, payer_of, name)?.is_some();
        self.void.insert(name, ());
        self.changed.push(Derived { space: VOID, key: name.to_be_bytes().to_vec(), value: Some(Vec::new()) });
        counters.void(source, id);
        let of_session = !is_closed && self.take_back_sessions(counters, payer_of, name, |_| true);
        match whose {
            Some(Whose { usage, place: Some(place), is_too_old: true }) => {
                counters.too_old_over(&payer_of(&usage.account), usage, place);
            }
            Some(Whose { usage, place, .. }) if !of_session => {
                take_back(counters, &payer_of(&usage.account), usage, place);
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what a session used, unless its record is there or it is void.
    ///
    /// # Errors
    /// When the store fails.
    pub fn end_session(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer_of: &dyn Fn(&str) -> String,
        id: &str,
        usage: Vec<Usage>,
    ) -> Result<(), StoreError> {
        let Some(first) = usage.first() else { return Ok(()) };
        let name = identity(&first.source, id);
        let known = self.known(counters, store, name, &first.source, id)?;
        if self.void.contains_key(&name) || known.is_some_and(|known| !known.is_too_old) {
            return Ok(());
        }
        // What an expired session said before, if it says more now.
        self.take_back_sessions(counters, payer_of, name, |account| account == first.account);
        let payer = payer_of(&first.account);
        for one in &usage {
            // What cannot be billed is in quarantine.
            let _ = counters.count_session(&payer, id, one.clone(), Change::Add);
        }
        self.sessions.entry(name).or_insert_with(|| (id.to_owned(), Vec::new())).1.extend(usage);
        self.keep_sessions(name);
        Ok(())
    }

    /// Takes back what sessions of some accounts said, from the groups whose sessions they were. Answers whether there
    /// was any.
    fn take_back_sessions(
        &mut self,
        counters: &mut Counters,
        payer_of: &dyn Fn(&str) -> String,
        name: u128,
        of: impl Fn(&str) -> bool,
    ) -> bool {
        let Some((id, said)) = self.sessions.get_mut(&name) else { return false };
        let mut any = false;
        for usage in said.extract_if(.., |usage| of(&usage.account)) {
            // What takes its place may be another group's.
            let payer = payer_of(&usage.account);
            let _ = counters.count_session(&payer, id, usage, Change::Remove);
            if self.moved.last() != Some(&payer) {
                self.moved.push(payer);
            }
            any = true;
        }
        self.keep_sessions(name);
        any
    }

    /// Notes what sessions with an identity said by now.
    fn keep_sessions(&mut self, name: u128) {
        let value = self.sessions.get(&name).filter(|(_, said)| !said.is_empty()).map(Stored::to_bytes);
        if value.is_none() {
            self.sessions.remove(&name);
        }
        self.changed.push(Derived { space: SESSIONS, key: name.to_be_bytes().to_vec(), value });
    }

    /// Forgets what sessions of an account said, whose records are not taken any more, and what contradicts other usage.
    pub(crate) fn forget_account(&mut self, account: &str) {
        let is_own = |usage: &[Usage]| usage.iter().any(|usage| usage.account == account);
        let own = self.sessions.iter().filter(|(_, (_, usage))| is_own(usage));
        let own: Vec<u128> = own.map(|(name, _)| *name).collect();
        self.changed.extend(self.conflicts.forget(account));
        for name in own {
            if let Some((_, said)) = self.sessions.get_mut(&name) {
                said.retain(|usage| usage.account != account);
            }
            self.keep_sessions(name);
        }
    }

    /// What is to be kept with a commit, after which the log has so many blocks; see [`Inbox::hand_over`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn keep(&mut self, store: &dyn Store, blocks: u64) -> Result<Vec<Derived>, StoreError> {
        let mut rows = std::mem::take(&mut self.changed);
        let Inbox { identities, horizon, noted_from, void, events, .. } = self;
        let mut leaving = || leaving(store, *horizon, *noted_from, void);
        rows.extend(identities.keep(blocks, std::mem::take(events), &mut leaving)?);
        Ok(rows)
    }

    /// What is to be done with this commit besides, by whoever keeps it.
    pub(crate) fn hand_over(&mut self) -> Option<Tidying> {
        self.identities.hand_over()
    }

    /// What was to be kept is in the store.
    pub(crate) fn landed(&mut self) {
        self.identities.landed();
    }

    /// Sets how many identities are in memory before they make a run in the store.
    pub(crate) fn set_recent_max(&mut self, most: usize) {
        self.identities.set_recent_max(most);
    }

    /// The index of identities.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }
}
