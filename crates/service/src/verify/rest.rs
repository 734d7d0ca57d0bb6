//! What no chain of its own holds: which groups and accounts there are, the clock, the horizon, what is due next, and how
//! long the usage log must be.

use super::{Finding, finding, found};
use crate::identities::FLUSHED;
use crate::log::PARTITION;
use crate::service::worked_out_to;
use crate::usage::kept;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Catalogues, Duty, Late, Moment, next_due};
use farebox_store::codec::Stored;
use farebox_store::{Entry, GroupHead, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// What the entries of all groups say of the rest of the store.
#[derive(Default)]
pub(super) struct Told {
    /// Accounts that they open.
    pub accounts: BTreeSet<String>,
    /// Groups whose entries cannot be read or applied.
    pub broken: BTreeSet<String>,
    /// Whether there are groups of which not even the name can be read.
    pub lacks_groups: bool,
    /// The latest moment that one was recorded at, and which one.
    recorded: Option<(Instant, String)>,
    /// When the last entry of each group was recorded.
    last: BTreeMap<String, Instant>,
    /// The most blocks of usage that one knew, and which one.
    counted: Option<(u64, String)>,
}

impl Told {
    /// Notes an entry.
    pub fn note(&mut self, group: &str, version: u64, entry: &Entry) {
        let place = || format!("entry {version} of group \"{group}\"");
        match self.last.get_mut(group) {
            Some(last) => *last = entry.recorded_at,
            None => drop(self.last.insert(group.to_owned(), entry.recorded_at)),
        }
        if self.recorded.as_ref().is_none_or(|(at, _)| *at < entry.recorded_at) {
            self.recorded = Some((entry.recorded_at, place()));
        }
        if self.counted.as_ref().is_none_or(|(blocks, _)| *blocks < entry.counted.blocks) {
            self.counted = Some((entry.counted.blocks, place()));
        }
    }

    /// Whether all entries were read.
    pub fn is_all(&self) -> bool {
        self.broken.is_empty() && !self.lacks_groups
    }

    /// Whether a group was decided on after the price lists that it has ordered by were published: what could not be counted
    /// was looked at with them then.
    pub fn is_later(&self, (payer, group): (&str, &Group), published: &BTreeMap<String, Instant>) -> bool {
        let Some(last) = self.last.get(payer) else { return false };
        let mut ordered = group.iter().flat_map(|account| account.subscriptions.values());
        ordered.all(|one| published.get(&one.catalogue).is_none_or(|at| at < last))
    }

    /// Compares whose rows there are for people with the accounts that the entries open.
    pub fn owners(&self, store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        if self.lacks_groups {
            return Ok(());
        }
        let Some(owners) = found(store.owners(), each)? else { return Ok(()) };
        // Of these nobody knows which accounts they had.
        let broken = found(store.members(), each)?.unwrap_or_default();
        let broken: BTreeSet<String> = broken
            .into_iter()
            .filter(|(_, payer)| self.broken.contains(payer))
            .map(|(account, _)| account)
            .collect();
        let mut tables: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (table, name) in owners {
            if !self.accounts.contains(&name) && !self.broken.contains(&name) && !broken.contains(&name) {
                tables.entry(name).or_default().push(table);
            }
        }
        for (account, tables) in tables {
            let what = format!("no entry opens it, and it has rows in: {}", tables.join(", "));
            each(finding(format!("account \"{account}\""), what));
        }
        Ok(())
    }

    /// Looks whether the clock is there, and is not behind what was recorded.
    pub fn clock(
        &self,
        store: &dyn Store,
        each: &mut dyn FnMut(Finding),
    ) -> Result<Option<Instant>, StoreError> {
        let Some(clock) = found(store.clock(), each)? else { return Ok(None) };
        match (&self.recorded, clock) {
            (Some((at, which)), Some(clock)) if *at > clock => {
                each(finding("the clock", format!("it is at {clock}, and {which} was recorded at {at}")));
            }
            (Some((at, which)), None) => {
                each(finding("the clock", format!("it is not there, and {which} was recorded at {at}")));
            }
            _ => {}
        }
        Ok(clock)
    }

    /// Looks whether the usage log has all blocks that anyone says it has.
    pub fn log(
        &self,
        store: &dyn Store,
        blocks: u64,
        each: &mut dyn FnMut(Finding),
    ) -> Result<(), StoreError> {
        let mut known: Vec<(u64, String)> = self.counted.iter().cloned().collect();
        if let Some(counted) = found(kept::position(store), each)? {
            known.push((counted, "the counters".to_owned()));
        }
        if let Some(bytes) = found(store.derived(FLUSHED, &[]), each)?.flatten() {
            known.extend(
                u64::from_bytes(&bytes).ok().map(|count| (count, "the index of identities".to_owned())),
            );
        }
        if let Some((head, _)) = found(store.log_head(PARTITION), each)?
            && head < blocks
        {
            each(finding("the usage log", format!("its last block is in the archive, block {}", blocks - 1)));
        }
        for (count, who) in known {
            if count > blocks {
                let what = format!("it has {blocks} blocks, and {who} knew {count}: the last are missing");
                each(finding("the usage log", what));
            }
        }
        Ok(())
    }
}

/// Looks whether the retention horizon is not before one that usage came too late for.
pub(super) fn horizon(
    store: &dyn Store,
    too_old: Option<Instant>,
    each: &mut dyn FnMut(Finding),
) -> Result<(), StoreError> {
    let Some(horizon) = found(store.horizon(), each)? else { return Ok(()) };
    if let Some(at) = too_old.filter(|at| horizon.is_none_or(|horizon| horizon < *at)) {
        let is = horizon.map_or("it is not there".to_owned(), |at| format!("it is at {at}"));
        let what = format!("{is}, and usage came too late for one at {at}");
        each(finding("the retention horizon", what));
    }
    Ok(())
}

/// When a version of each price list was last published, of those that can be read.
pub(super) fn published(store: &dyn Store) -> Result<BTreeMap<String, Instant>, StoreError> {
    let mut all = BTreeMap::new();
    let read = store.each_catalogue(&mut |list| {
        if let Ok(list) = list {
            let last = all.entry(list.id).or_insert(list.published);
            *last = list.published.max(*last);
        }
    });
    found(read, &mut |_| ())?;
    Ok(all)
}

/// Whether what is due next for groups is kept as it is with the price lists as they are now, and not being worked out
/// anew.
pub(super) fn dues_are_worked_out(
    store: &dyn Store,
    each: &mut dyn FnMut(Finding),
) -> Result<bool, StoreError> {
    Ok(found(worked_out_to(store), each)?.is_some_and(|going_on| going_on.is_none()))
}

/// Compares what is kept as due next for a group with what is. What is due by now waits: it cannot be done, or not yet.
/// `late`: usage that no settlement has looked at, as it may be known.
pub(super) fn due(
    catalogues: &Catalogues,
    (known, group): (&GroupHead, &Group),
    (late, clock): (&[&Late], Instant),
    each: &mut dyn FnMut(Finding),
) {
    let payer = &known.group;
    let waits = known.due.filter(|(at, _)| *at <= clock);
    let after: &[Moment] = match waits {
        // All duties of this moment may be done, or none that follows a command.
        None => &[Moment { at: clock, done: Duty::Charges }, Moment { at: clock, done: Duty::Lifecycle }],
        Some((at, _)) => {
            let before = Instant::from_nanosecond(at.as_nanosecond() - 1).unwrap_or(at);
            &[Moment { at: before, done: Duty::Lifecycle }]
        }
    };
    let known_as = after.iter().flat_map(|after| late.iter().map(move |late| (*after, late)));
    let mut next = known_as.map(|(after, late)| next_due(group, catalogues, payer, after, late));
    // Of what is due at one moment some may be done already.
    let fits = |next: Option<(Instant, Duty)>| match (waits, next) {
        (Some((at, duty)), Some((when, what))) => at == when && duty >= what,
        _ => next == known.due,
    };
    let first = next.next().flatten();
    if fits(first) || next.any(fits) {
        return;
    }
    let shown = |due: Option<(Instant, Duty)>| match due {
        Some((at, duty)) => format!("{} at {at}", duty.name()),
        None => "nothing".to_owned(),
    };
    let what = format!("it should be {}, and is {}", shown(first), shown(known.due));
    each(finding(format!("what is due next for group \"{payer}\""), what));
}
