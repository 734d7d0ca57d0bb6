//! What a server writes down, or does, before there is something else: price lists, access keys and the retention horizon
//! compared with it.

use crate::access::SERVER;
use farebox_api::Role;
use farebox_core::calendar::Instant;
use farebox_service::{DESK, Finding};
use farebox_store::{AccessKey, CatalogueText, Entry, Seen, Store, StoreError};
use farebox_text::catalog;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The partition of the usage log.
const PARTITION: u16 = 0;

/// What entries say of a key.
struct KeyTold {
    role: String,
    account: Option<String>,
    made: (Instant, String),
    revoked: Option<(Instant, String)>,
}

/// What the entries about no account say was published, made and revoked.
#[derive(Default)]
struct Deeds {
    /// The hash of its text.
    lists: BTreeMap<ListName, String>,
    keys: BTreeMap<String, KeyTold>,
    /// Whether they tell of a key that the server made itself.
    tells_first: bool,
}

impl Deeds {
    fn of(store: &dyn Store) -> Result<Deeds, StoreError> {
        let mut deeds = Deeds::default();
        store.entries(DESK, 0, &mut |kept| {
            // What cannot be read is told where its chain is looked at.
            if let Ok(entry) = Entry::from_record(&kept.record) {
                deeds.note(&entry);
            }
            Ok(Seen::More)
        })?;
        Ok(deeds)
    }

    fn note(&mut self, entry: &Entry) {
        let Ok(said) = serde_json::from_str::<Value>(&entry.command) else { return };
        let text = |field: &str| said[field].as_str().map(str::to_owned);
        let who = || (entry.recorded_at, entry.actor.clone());
        match said["command"].as_str() {
            Some("publish-catalogue") => {
                let name = text("catalogue").unwrap_or_default();
                self.lists.insert((name, text("effective")), text("hash").unwrap_or_default());
            }
            Some("make-key") => {
                let (role, account) = (text("role").unwrap_or_default(), text("account"));
                self.tells_first |= entry.actor == SERVER;
                let told = KeyTold { role, account, made: who(), revoked: None };
                self.keys.insert(text("key").unwrap_or_default(), told);
            }
            Some("revoke-key") => {
                let key = text("key").unwrap_or_default();
                // Of the first keys earlier versions wrote nothing down.
                let told = self.keys.entry(key).or_insert_with(|| KeyTold {
                    role: Role::Operator.name().to_owned(),
                    account: None,
                    made: (Instant::MIN, SERVER.to_owned()),
                    revoked: None,
                });
                told.revoked.get_or_insert(who());
            }
            _ => {}
        }
    }
}

/// A price list by its name and date, as entries have it.
pub(crate) type ListName = (String, Option<String>);

pub(crate) fn name_of(list: &CatalogueText) -> ListName {
    (list.id.clone(), list.effective.map(|at| at.to_string()))
}

/// The hashes that these price lists were published with, as far as entries tell. They are read until each was found,
/// so that a start does not read all that was ever done.
pub(crate) fn published(
    store: &dyn Store,
    lists: &[CatalogueText],
) -> Result<BTreeMap<ListName, String>, StoreError> {
    let mut missing: BTreeSet<ListName> = lists.iter().map(name_of).collect();
    let mut deeds = Deeds::default();
    if missing.is_empty() {
        return Ok(deeds.lists);
    }
    store.entries(DESK, 0, &mut |kept| {
        let known = deeds.lists.len();
        if let Ok(entry) = Entry::from_record(&kept.record)
            && entry.command.contains("\"publish-catalogue\"")
        {
            deeds.note(&entry);
        }
        if deeds.lists.len() > known {
            missing.retain(|name| !deeds.lists.contains_key(name));
        }
        Ok(if missing.is_empty() { Seen::Enough } else { Seen::More })
    })?;
    Ok(deeds.lists)
}

impl KeyTold {
    /// What of a key is not as the entries say.
    fn differs_in(&self, key: &AccessKey, erased: &BTreeSet<String>) -> Option<&'static str> {
        let (made, by) = &self.made;
        let is_made = *by == key.created_by && (*made == key.created || *made == Instant::MIN);
        // An erasure revokes the keys of its account with it.
        let is_erased = key.account.as_ref().is_some_and(|account| erased.contains(account));
        let is_revoked = match (&self.revoked, key.revoked, &key.revoked_by) {
            (Some((told, who)), Some(at), Some(by)) => *told == at && who == by,
            (None, None, None) => true,
            (None, Some(_), Some(_)) => is_erased,
            _ => false,
        };
        match () {
            () if self.role != key.role => Some("its role"),
            () if self.account != key.account => Some("its account"),
            () if !is_made => Some("who made it, or when,"),
            () if !is_revoked => Some("whether it is revoked, by whom or when,"),
            () => None,
        }
    }
}

/// Compares the price lists and the access keys of a store with what the entries about no account say of them, and the
/// retention horizon with what is archived. Stores of earlier versions do not tell of the keys that the server made
/// itself, for the first operator.
///
/// # Errors
/// When the store fails. What is damaged is no error, but a finding.
pub fn verify_deeds(store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
    let mut deeds = Deeds::of(store)?;
    let mut note = |place: String, found: &str| each(Finding { place, found: found.to_owned() });
    store.each_catalogue(&mut |list| {
        // What cannot be read is told where the lists are read.
        let Ok(list) = list else { return };
        let name = name_of(&list);
        let from = &name.1;
        let since = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let place = format!("price list \"{}\"{since}", list.id);
        match deeds.lists.remove(&name) {
            None => note(place, "no entry says that it was published"),
            Some(hash) if hash != catalog::hash(list.text.as_bytes()) => {
                note(place, "it is not the text that was published");
            }
            Some(_) => {}
        }
    })?;
    for (id, from) in std::mem::take(&mut deeds.lists).into_keys() {
        let since = from.map(|from| format!(" from {from}")).unwrap_or_default();
        note(format!("price list \"{id}\"{since}"), "it was published, and is not there");
    }
    let erased: BTreeSet<String> = store.erasures()?.into_iter().map(|one| one.account).collect();
    for key in store.keys()? {
        let place = format!("access key {}", key.id);
        match deeds.keys.remove(&key.id) {
            None if deeds.tells_first || key.created_by != SERVER || key.role != Role::Operator.name() => {
                note(place, "no entry says that it was made");
            }
            None if key.revoked.is_some() || key.revoked_by.is_some() => {
                note(place, "it is revoked, and no entry says so")
            }
            None => {}
            Some(told) => {
                if let Some(what) = told.differs_in(&key, &erased) {
                    note(place, &format!("{what} is not what the entries say"));
                }
            }
        }
    }
    for id in deeds.keys.into_keys() {
        note(format!("access key {id}"), "entries tell of it, and it is not there");
    }
    horizon(store, each)
}

/// Nothing is archived before the retention horizon is there.
fn horizon(store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
    // What cannot be read is told elsewhere.
    let Ok(horizon) = store.horizon() else { return Ok(()) };
    let all = store.archived_before(PARTITION, Instant::MAX)?.len();
    let before = horizon.map_or(Ok(Vec::new()), |at| store.archived_before(PARTITION, at))?.len();
    if before < all {
        let is = horizon.map_or("it is not there".to_owned(), |at| format!("it is at {at}"));
        let found = format!("{is}, and {} blocks of later usage are archived", all - before);
        each(Finding { place: "the retention horizon".to_owned(), found });
    }
    Ok(())
}
