//! Usage as it comes in: each identity counts once, however often and late it is said.

use crate::identities::{ByIdentity, Identities};
use crate::log::Place;
use crate::parcel::{Packed, Parcel, identity};
use crate::usage::{Counters, Payer};
use farebox_core::metering::{Change, Counted, EARLY_STEPS, Event, Problem};
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Usage, added};
use farebox_store::{Derived, Seen, Store, StoreError};

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
    /// It was said before with other content. It is not kept.
    Conflict,
    /// It cannot be billed as it is. It is kept, and counted when it can be.
    Quarantined(Problem),
}

/// Identities that are void.
const VOID: u8 = 5;
/// What sessions said that they used.
const SESSIONS: u8 = 6;
/// Events whose identities are looked up together.
const TOGETHER: usize = 64;

/// What was said last under an identity.
struct Known {
    usage: Usage,
    record: Vec<u8>,
    place: Place,
}

/// Takes back what was counted; what cannot be taken back was in quarantine, and is so no longer.
fn take_back(counters: &mut Counters, payer: &str, usage: Usage, place: Option<Place>) {
    if counters.count(payer, usage, Change::Remove).is_err()
        && let Some(place) = place
    {
        counters.quarantine().remove(payer, place);
    }
}

/// Every identity that was received.
#[derive(Default)]
pub struct Inbox {
    identities: Identities,
    void: ByIdentity<()>,
    /// What sessions said that they used, each until its record comes.
    sessions: ByIdentity<(String, Vec<Usage>)>,
    /// What changed of the two, and is not in the store yet.
    changed: Vec<Derived>,
    /// Events since the last commit.
    events: u64,
    candidates: Vec<Place>,
    /// Payers whose usage was taken back because it is another's.
    moved: Vec<String>,
}

impl Inbox {
    /// Every identity in a store's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store, counters: &Counters) -> Result<Inbox, StoreError> {
        let mut inbox = Inbox { identities: Identities::of(store, counters.log())?, ..Inbox::default() };
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

    /// Receives usage, in order, and tells of each piece what became of it. `payers`: who pays for each account of the
    /// parcel; their groups have been loaded. `payer_of`: who pays for any other account.
    ///
    /// # Errors
    /// When the store fails; what was received before is then to be forgotten.
    pub fn receive(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        parcel: &Parcel,
        payers: &[Payer],
        payer_of: &dyn Fn(&str) -> String,
        told: &mut dyn FnMut(&Event<'_>, Received),
    ) -> Result<(), StoreError> {
        let mut some = Vec::with_capacity(TOGETHER);
        let mut rest = parcel.iter();
        loop {
            some.clear();
            some.extend(rest.by_ref().take(TOGETHER));
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
                let received = self.one(counters, store, payer, payer_of, packed)?;
                told(&packed.event, received);
            }
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
        if let Some(known) = self.known(counters, store, name, event.source, event.id)? {
            if event.revision < known.usage.revision {
                return Ok(Received::Duplicate);
            }
            if event.revision == known.usage.revision {
                let is_same = known.record == *record || known.usage.says_the_same(&Usage::of(event));
                return Ok(if is_same { Received::Duplicate } else { Received::Conflict });
            }
            if counters.is_erased(&known.usage.account) {
                return Ok(Received::Erased);
            }
            said_before = Some(known.place);
            // It may have been said of another account, by mistake.
            let before = payer_of(&known.usage.account);
            take_back(counters, &before, known.usage, Some(known.place));
            if before != counters.name_of(payer) {
                self.moved.push(before);
            }
        }
        if !self.sessions.is_empty() {
            let payer = counters.name_of(payer).to_owned();
            self.take_back_session(counters, &payer, name);
        }
        let (place, counted) = counters.count_added(payer, record, event);
        self.identities.insert(name, place, said_before);
        self.events += 1;
        Ok(match counted {
            Ok(Counted::Counted) => Received::Counted,
            Ok(Counted::NotBillable) => Received::NotBillable,
            Err(problem) => Received::Quarantined(problem),
        })
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
            let Ok(event) = added(&mut Reader::new(&record)) else { continue };
            if (event.source, event.id) == (source, id) {
                return Ok(Some(Known { usage: Usage::of(&event), record, place }));
            }
        }
        Ok(None)
    }

    /// Payers whose usage was taken back since the last call because it turned out to be another's.
    pub(crate) fn take_moved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.moved)
    }

    /// What was received under an identity, and where it is in the log; or what its session said. `None` when nothing
    /// counts, or it is void.
    ///
    /// # Errors
    /// When the store fails.
    pub fn whose(
        &mut self,
        counters: &Counters,
        store: &dyn Store,
        source: &str,
        id: &str,
    ) -> Result<Option<(Usage, Option<Place>)>, StoreError> {
        let name = identity(source, id);
        if self.void.contains_key(&name) {
            return Ok(None);
        }
        match self.known(counters, store, name, source, id)? {
            Some(known) => Ok(Some((known.usage, Some(known.place)))),
            None => {
                let said = self.sessions.get(&name).and_then(|(_, usage)| usage.first());
                Ok(said.map(|usage| (usage.clone(), None)))
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
        if self.void.contains_key(&name) {
            return Ok(false);
        }
        let known = self.known(counters, store, name, event.source, event.id)?;
        Ok(known.is_some_and(|known| known.place == place))
    }

    /// Whether a session's usage counts: its record has not come, and it is not void.
    pub(crate) fn is_said(&self, session: &str, usage: &Usage) -> bool {
        let said = self.sessions.get(&identity(&usage.source, session));
        said.is_some_and(|(_, said)| said.contains(usage))
    }

    /// Takes back what [`Inbox::whose`] answers, and what comes later under its identity.
    pub fn void(
        &mut self,
        counters: &mut Counters,
        payer: &str,
        usage: Option<(Usage, Option<Place>)>,
        source: &str,
        id: &str,
    ) {
        let name = identity(source, id);
        if self.void.insert(name, ()).is_some() {
            return;
        }
        self.changed.push(Derived { space: VOID, key: name.to_be_bytes().to_vec(), value: Some(Vec::new()) });
        counters.void(source, id);
        let of_session = self.take_back_session(counters, payer, name);
        if let Some((usage, place)) = usage.filter(|_| !of_session) {
            take_back(counters, payer, usage, place);
        }
    }

    /// Counts what a session used, unless its record is there or it is void.
    ///
    /// # Errors
    /// When the store fails.
    pub fn end_session(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer: &str,
        id: &str,
        usage: Vec<Usage>,
    ) -> Result<(), StoreError> {
        let Some(first) = usage.first() else { return Ok(()) };
        let name = identity(&first.source, id);
        if self.void.contains_key(&name) || self.known(counters, store, name, &first.source, id)?.is_some() {
            return Ok(());
        }
        // What an expired session said before, if it says more now.
        self.take_back_session(counters, payer, name);
        for one in &usage {
            // What cannot be billed is in quarantine.
            let _ = counters.count_session(payer, id, one.clone(), Change::Add);
        }
        let said = (id.to_owned(), usage);
        let (key, value) = (name.to_be_bytes().to_vec(), Some(said.to_bytes()));
        self.changed.push(Derived { space: SESSIONS, key, value });
        self.sessions.insert(name, said);
        Ok(())
    }

    /// Answers whether there was one.
    fn take_back_session(&mut self, counters: &mut Counters, payer: &str, name: u128) -> bool {
        let Some((id, usage)) = self.sessions.remove(&name) else { return false };
        for one in usage {
            let _ = counters.count_session(payer, &id, one, Change::Remove);
        }
        self.changed.push(Derived { space: SESSIONS, key: name.to_be_bytes().to_vec(), value: None });
        true
    }

    /// Forgets what sessions of an account said: no record of theirs is taken any more.
    pub(crate) fn forget_sessions(&mut self, account: &str) {
        let is_own = |usage: &[Usage]| usage.iter().any(|usage| usage.account == account);
        let own = self.sessions.iter().filter(|(_, (_, usage))| is_own(usage));
        let own: Vec<u128> = own.map(|(name, _)| *name).collect();
        for name in own {
            self.sessions.remove(&name);
            let key = name.to_be_bytes().to_vec();
            self.changed.push(Derived { space: SESSIONS, key, value: None });
        }
    }

    /// What is to be kept with a commit, after which the log has so many blocks.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keep(&mut self, store: &dyn Store, blocks: u64) -> Result<Vec<Derived>, StoreError> {
        let mut rows = std::mem::take(&mut self.changed);
        rows.extend(self.identities.keep(store, blocks, std::mem::take(&mut self.events))?);
        Ok(rows)
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
