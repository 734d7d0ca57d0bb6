//! Usage as it comes in: each identity counts once, however often and late it is said.

use crate::usage::{Counters, Place, replay};
use farebox_core::metering::{Change, Counted, Problem};
use farebox_store::codec::Stored;
use farebox_store::usage::{Record, Usage};
use farebox_store::{Store, StoreError};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

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
    /// It was said before with other content. It is not kept.
    Conflict,
    /// It cannot be billed as it is. It is kept, and counted when it can be.
    Quarantined(Problem),
}

/// Identities are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

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
}

type ByIdentity<V> = HashMap<u128, V, BuildHasherDefault<AsItIs>>;

/// What is known of an identity.
#[derive(Clone, Copy, Debug)]
struct Known {
    revision: u64,
    /// Of the content.
    digest: u64,
    place: Place,
}

/// Every identity that was received.
#[derive(Default)]
pub struct Inbox {
    known: ByIdentity<Known>,
    void: HashSet<u128, BuildHasherDefault<AsItIs>>,
    /// What sessions said that they used, each until its record comes.
    sessions: ByIdentity<(String, Vec<Usage>)>,
}

impl Inbox {
    /// Every identity in a store's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store) -> Result<Inbox, StoreError> {
        let mut inbox = Inbox::default();
        replay(store, &mut |place, record| match record {
            Record::Added(usage) => inbox.note(&usage, place),
            Record::Removed(_) => {}
            Record::SessionOver { id, usage } => drop(inbox.sessions.remove(&identity(&usage.source, &id))),
            Record::Voided { source, id } => drop(inbox.void.insert(identity(&source, &id))),
            Record::Session { id, usage } => {
                let name = identity(&usage.source, &id);
                inbox.sessions.entry(name).or_insert_with(|| (id, Vec::new())).1.push(usage);
            }
        })?;
        Ok(inbox)
    }

    fn note(&mut self, usage: &Usage, place: Place) {
        let known = Known { revision: usage.revision, digest: digest(usage), place };
        let replaces = |old: &Known| old.revision <= usage.revision;
        let identity = identity(&usage.source, &usage.id);
        if self.known.get(&identity).is_none_or(replaces) {
            self.known.insert(identity, known);
        }
    }

    /// Receives a piece of usage.
    ///
    /// # Errors
    /// When the store fails; nothing has happened then.
    pub fn receive(
        &mut self,
        counters: &mut Counters,
        store: &dyn Store,
        payer: &str,
        usage: Usage,
    ) -> Result<Received, StoreError> {
        let name = identity(&usage.source, &usage.id);
        if self.void.contains(&name) {
            return Ok(Received::Void);
        }
        if let Some(known) = self.known.get(&name) {
            if usage.revision < known.revision {
                return Ok(Received::Duplicate);
            }
            if usage.revision == known.revision {
                let is_same = digest(&usage) == known.digest;
                return Ok(if is_same { Received::Duplicate } else { Received::Conflict });
            }
            let replaced = counters.added_at(store, known.place)?;
            // What was in quarantine cannot be taken back, and need not be.
            let _ = counters.count(payer, replaced, Change::Remove);
        }
        self.take_back_session(counters, payer, name);
        self.note(&usage, counters.next_place());
        Ok(match counters.count(payer, usage, Change::Add) {
            Ok(Counted::Counted) => Received::Counted,
            Ok(Counted::NotBillable) => Received::NotBillable,
            Err(problem) => Received::Quarantined(problem),
        })
    }

    /// What was received under an identity, or said by its session, and counts: `None` when nothing does.
    ///
    /// # Errors
    /// When the store fails.
    pub fn whose(
        &self,
        counters: &Counters,
        store: &dyn Store,
        source: &str,
        id: &str,
    ) -> Result<Option<Usage>, StoreError> {
        let name = identity(source, id);
        if self.void.contains(&name) {
            return Ok(None);
        }
        match self.known.get(&name) {
            Some(known) => counters.added_at(store, known.place).map(Some),
            None => Ok(self.sessions.get(&name).and_then(|(_, usage)| usage.first()).cloned()),
        }
    }

    /// Takes back what [`Inbox::whose`] answers, and what comes later under its identity.
    pub fn void(
        &mut self,
        counters: &mut Counters,
        payer: &str,
        usage: Option<Usage>,
        source: &str,
        id: &str,
    ) {
        let name = identity(source, id);
        if !self.void.insert(name) {
            return;
        }
        counters.void(source, id);
        self.take_back_session(counters, payer, name);
        if let Some(usage) = usage.filter(|_| self.known.contains_key(&name)) {
            // What was in quarantine cannot be taken back, and need not be.
            let _ = counters.count(payer, usage, Change::Remove);
        }
    }

    /// Counts what a session used, unless its record is there or it is void.
    pub fn end_session(&mut self, counters: &mut Counters, payer: &str, id: &str, usage: Vec<Usage>) {
        let Some(first) = usage.first() else { return };
        let name = identity(&first.source, id);
        if self.known.contains_key(&name) || self.void.contains(&name) {
            return;
        }
        // What an expired session said before, if it says more now.
        self.take_back_session(counters, payer, name);
        for one in &usage {
            // What cannot be billed is in quarantine.
            let _ = counters.count_session(payer, id, one.clone(), Change::Add);
        }
        self.sessions.insert(name, (id.to_owned(), usage));
    }

    fn take_back_session(&mut self, counters: &mut Counters, payer: &str, name: u128) {
        let Some((id, usage)) = self.sessions.remove(&name) else { return };
        for one in usage {
            let _ = counters.count_session(payer, &id, one, Change::Remove);
        }
    }

    /// How many identities are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn identity(source: &str, id: &str) -> u128 {
    let mut bytes = Vec::with_capacity(source.len() + id.len() + 8);
    bytes.extend((source.len() as u64).to_le_bytes());
    bytes.extend(source.as_bytes());
    bytes.extend(id.as_bytes());
    xxh3_128(&bytes)
}

fn digest(usage: &Usage) -> u64 {
    xxh3_64(&usage.to_bytes())
}
