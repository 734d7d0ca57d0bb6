//! What follows from single records of the log: which identities are void, what sessions said, what contradicts what.

use super::{Finding, finding, found};
use crate::conflicts::CONFLICTS;
use crate::inbox::{SESSIONS, VOID};
use crate::log::Place;
use crate::parcel::identity;
use crate::quarantine::Quarantine;
use crate::usage::records::{Fate, Key, key, key_of, taken_back};
use farebox_core::calendar::Instant;
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, Usage, added};
use farebox_store::{Seen, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// What the log says, by what it is kept as: what follows from it, by identity.
#[derive(Default)]
pub(super) struct Said<'a> {
    /// Accounts that were opened; of others all usage waits in quarantine.
    accounts: Option<&'a BTreeSet<String>>,
    waiting: BTreeMap<Key, Vec<Place>>,
    void: BTreeMap<u128, Vec<u8>>,
    sessions: BTreeMap<u128, (String, Vec<Usage>)>,
    conflicts: BTreeMap<u128, Vec<(String, u64, u32)>>,
    /// The latest retention horizon that usage came too late for.
    pub horizon: Option<Instant>,
}

impl<'a> Said<'a> {
    /// Nothing yet. `accounts`: those that were opened.
    pub fn about(accounts: &'a BTreeSet<String>) -> Said<'a> {
        Said { accounts: Some(accounts), ..Said::default() }
    }

    fn is_stranger(&self, account: &str) -> bool {
        self.accounts.is_some_and(|known| !known.contains(account))
    }

    /// Notes a record.
    pub fn note(&mut self, place: Place, record: &[u8]) {
        // Nearly all there is was added.
        if let Ok(event) = added(&mut Reader::new(record)) {
            if self.is_stranger(event.account) {
                self.waiting.entry(key(&event)).or_default().push(place);
            }
            return;
        }
        let said = Record::from_bytes(record);
        if let Some((account, key)) = taken_back(record)
            && self.is_stranger(&account)
            && let Some(places) = self.waiting.get_mut(&key).filter(|places| !places.is_empty())
        {
            places.remove(0);
        } else if let Ok(said) = &said
            && let Some(usage) = said.usage()
            && self.is_stranger(&usage.account)
        {
            let key = match said {
                Record::TooOld { .. } => key_of(usage, Fate::TooOld),
                Record::Conflict(_) => key_of(usage, Fate::Conflict),
                _ => key_of(usage, Fate::Counts),
            };
            self.waiting.entry(key).or_default().push(place);
        }
        match said {
            Ok(Record::Voided { source, id }) => drop(self.void.insert(identity(&source, &id), Vec::new())),
            Ok(Record::Session { id, usage }) => {
                let said =
                    self.sessions.entry(identity(&usage.source, &id)).or_insert_with(|| (id, Vec::new()));
                said.1.push(usage);
            }
            Ok(Record::SessionOver { id, usage }) => {
                let name = identity(&usage.source, &id);
                if let Some((_, said)) = self.sessions.get_mut(&name) {
                    said.iter().position(|one| *one == usage).map(|index| said.remove(index));
                    if said.is_empty() {
                        self.sessions.remove(&name);
                    }
                }
            }
            Ok(Record::Conflict(usage)) => {
                let all = self.conflicts.entry(identity(&usage.source, &usage.id)).or_default();
                all.push((usage.account, place.block, place.index));
            }
            Ok(Record::ConflictOver(usage)) => {
                self.conflicts.remove(&identity(&usage.source, &usage.id));
            }
            Ok(Record::TooOld { horizon, .. }) => self.horizon = self.horizon.max(Some(horizon)),
            _ => {}
        }
    }

    /// Looks whether usage of accounts that nobody has opened is in quarantine, and nothing else of such accounts.
    pub fn strangers(&self, store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        let mut waiting: BTreeSet<Place> = self.waiting.values().flatten().copied().collect();
        let (mut seen, mut other) = (BTreeSet::new(), 0u64);
        let read = Quarantine::places(store, &mut |place, record| {
            let is_waiting = waiting.remove(&place);
            let account =
                Record::from_bytes(record).ok().and_then(|said| Some(said.usage()?.account.clone()));
            let is_other = !is_waiting && account.is_some_and(|account| self.is_stranger(&account));
            // One of an account that was opened may be under its name or its group's, but once.
            other += u64::from(is_other || !seen.insert(place));
        });
        if found(read, each)?.is_some() && (waiting.len(), other) != (0, 0) {
            let what = format!(
                "{} pieces of accounts that nobody has opened are not in it, and {other} are in it that do not wait",
                waiting.len()
            );
            each(finding("the quarantine", what));
        }
        Ok(())
    }

    /// Compares it with what is kept, of a store in which nothing is erased: an erasure lets go of some of it, and its
    /// records say other identities.
    pub fn compare(&self, store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        let sessions: BTreeMap<u128, Vec<u8>> =
            self.sessions.iter().map(|(name, said)| (*name, said.to_bytes())).collect();
        let conflicts: BTreeMap<u128, Vec<u8>> =
            self.conflicts.iter().map(|(name, all)| (*name, all.to_bytes())).collect();
        let kinds = [
            (VOID, "the list of void identities", &self.void),
            (SESSIONS, "the list of what sessions used", &sessions),
            (CONFLICTS, "the list of conflicts", &conflicts),
        ];
        for (space, place, should) in kinds {
            let (mut matching, mut other) = (0u64, 0u64);
            let read = store.derived_from(space, &[], &mut |key, value| {
                let name = key.try_into().map(u128::from_be_bytes).ok();
                let is_same = name.and_then(|name| should.get(&name)).is_some_and(|known| known == value);
                if is_same {
                    matching += 1;
                } else {
                    other += 1;
                }
                Ok(Seen::More)
            });
            if found(read, each)?.is_none() {
                continue;
            }
            let missing = should.len() as u64 - matching;
            if (missing, other) != (0, 0) {
                let what = format!(
                    "{missing} of {} that the usage log makes are not in it, and {other} others are",
                    should.len()
                );
                each(finding(place, what));
            }
        }
        Ok(())
    }
}
