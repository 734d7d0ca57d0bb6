//! Whether a store holds what it should: the truth is whole, and all that follows from it does.

mod charges;
mod erasures;
mod rest;
mod said;

use crate::identities::{Identities, identity_of};
use crate::log::{PARTITION, UsageLog};
use crate::quarantine::Quarantine;
use crate::usage::Counters;
use erasures::Erasures;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Catalogues, Late};
use farebox_store::usage::Unpacked;
use farebox_store::{
    Append, Batch, Block, Entry, GroupHead, Hash, Head, Memory, Piece, Position, Seen, Store, StoreError,
    rows_of,
};
use rest::Told;
use said::Said;
use std::collections::{BTreeMap, BTreeSet};

/// How many blocks that cannot be read are passed by.
const PASSED_BY_MAX: u32 = 100;

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Billing groups.
    pub groups: u64,
    /// Their entries.
    pub entries: u64,
    /// Accounts whose rows were compared.
    pub accounts: u64,
    /// Blocks of usage.
    pub blocks: u64,
    /// Events in them.
    pub events: u64,
    /// Erased accounts, which are not rated again.
    pub erased: u64,
    /// Entries and blocks that were redacted for them.
    pub redacted: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: String,
    /// What is wrong.
    pub found: String,
}

/// Looks at everything: that the chains of entries and of usage are whole, that the rows for people are what the
/// entries make and no others, that lines sum to their bills and postings balance, that each event is found by its
/// identity, that what is kept of the usage log is what it says, that the clock, the horizon and what is due next fit all
/// that, and that what was charged is what rating all of it again comes to. Nothing is changed.
///
/// # Errors
/// When the store is in use or cannot be reached. What is damaged or cannot be read is no error, but a finding.
pub fn verify(
    store: &dyn Store,
    catalogues: &Catalogues,
    each: &mut dyn FnMut(Finding),
) -> Result<Verified, StoreError> {
    let mut done = Verified::default();
    let mut groups = BTreeMap::new();
    let mut told = Told::default();
    let mut erasures = Erasures::read(store, each)?;
    for known in heads(store, &mut told, each)? {
        done.groups += 1;
        match group(store, &known, (&mut done, &mut erasures, &mut told), each)? {
            Some(state) => drop(groups.insert(known.group.clone(), (known, state))),
            None => drop(told.broken.insert(known.group)),
        }
    }
    told.owners(store, each)?;
    let clock = told.clock(store, each)?;
    let (blocks, is_whole) = log(store, &mut done, &mut erasures, each)?;
    (done.erased, done.redacted) = erasures.judge(each);
    told.log(store, blocks, each)?;
    if is_whole {
        let said = index(store, &told.accounts, each)?;
        if done.erased == 0 {
            said.compare(store, each)?;
        }
        if done.erased == 0 && told.is_all() {
            said.strangers(store, each)?;
        }
        rest::horizon(store, said.horizon, each)?;
        counters(store, catalogues, (&groups, &told, clock), each)?;
        quarantine(store, each)?;
    }
    found(store.answers("", &mut |_| Ok(())), each)?;
    Ok(done)
}

/// The groups that can be read.
fn heads(
    store: &dyn Store,
    told: &mut Told,
    each: &mut dyn FnMut(Finding),
) -> Result<Vec<GroupHead>, StoreError> {
    let (mut heads, mut wrong) = (Vec::new(), Vec::new());
    let read = store.each_group(&mut |head| match head {
        Ok(head) => heads.push(head),
        Err(error) => wrong.push(error),
    });
    told.lacks_groups = !wrong.is_empty() || read.is_err();
    for error in wrong {
        found::<()>(Err(error), each)?;
    }
    found(read, each)?;
    Ok(heads)
}

fn finding(place: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { place: place.into(), found: found.into() }
}

/// What a damaged store says is a finding, as is what the system cannot read of it; other failures stay failures.
fn found<T>(result: Result<T, StoreError>, each: &mut dyn FnMut(Finding)) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Corrupt { place, found } | StoreError::System { place, found }) => {
            each(finding(place, found));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Replays a group, and compares the rows of its accounts. `None`: its entries cannot be applied.
fn group(
    store: &dyn Store,
    known: &GroupHead,
    (done, erasures, told): (&mut Verified, &mut Erasures, &mut Told),
    each: &mut dyn FnMut(Finding),
) -> Result<Option<Group>, StoreError> {
    let (name, known) = (known.group.as_str(), known.head);
    let (mut head, mut state, mut twin) = (Head::of_new(name), Group::default(), Memory::new());
    // Of what was redacted it has another chain.
    let mut in_twin = head;
    let damaged = |version: u64, found: String| StoreError::Corrupt {
        place: format!("entry {version} of group \"{name}\""),
        found,
    };
    let mut entries = 0;
    let replayed = store.entries(name, 0, &mut |kept| {
        entries += 1;
        head = kept.after(head).ok_or_else(|| {
            damaged(kept.version, "its hash does not follow from the one before".to_owned())
        })?;
        let piece = Piece::Entry { group: name.to_owned(), version: kept.version };
        if let Some(wrong) = erasures.wrong_about(&piece, kept.hash, kept.redacted) {
            return Err(damaged(kept.version, wrong));
        }
        let entry = Entry::from_record(&kept.record);
        let entry = entry.map_err(|error| damaged(kept.version, error.to_string()))?;
        erasures.note(name, &entry);
        told.note(name, kept.version, &entry);
        for fact in &entry.facts {
            state.apply(fact).map_err(|error| damaged(kept.version, error.0))?;
        }
        let rows = rows_of(head.version, &entry.facts, &state);
        // The twin has no log.
        let counted = Position::default();
        let append = Append { group: name.to_owned(), after: in_twin, record: kept.record, counted, rows };
        in_twin = append.head();
        twin.commit(&Batch { appends: vec![append], ..Batch::default() })?;
        Ok(Seen::More)
    });
    done.entries += entries;
    if found(replayed, each)?.is_none() {
        return Ok(None);
    }
    if head != known {
        each(finding(
            format!("group \"{name}\""),
            format!("it should have {} entries, and has {entries}", known.version),
        ));
        return Ok(None);
    }
    charges::adds_up(&state, each);
    for account in state.iter() {
        done.accounts += 1;
        let id = &account.head.id;
        told.accounts.insert(id.clone());
        let should = twin.rows(id)?;
        let Some(is) = found(store.rows(id), each)? else { continue };
        let mut differ = |what: &str, same: bool| {
            if !same {
                each(finding(
                    format!("the {what} of account \"{id}\""),
                    "they are not what the entries make",
                ));
            }
        };
        // Its entries are redacted first.
        differ("row", should.accounts == is.accounts || erasures.is_going_on(id));
        differ("subscriptions", should.subscriptions == is.subscriptions);
        differ("bills", should.bills == is.bills);
        differ("bill lines", should.lines == is.lines);
        differ("postings", should.postings == is.postings);
        differ("balances", should.balances == is.balances);
        differ("packages", should.packages == is.packages);
    }
    Ok(Some(state))
}

/// Reads the usage log along its chain; answers how many blocks it has, and whether all of it can be read. What cannot be
/// read is passed by.
fn log(
    store: &dyn Store,
    done: &mut Verified,
    erasures: &mut Erasures,
    each: &mut dyn FnMut(Finding),
) -> Result<(u64, bool), StoreError> {
    let mut is_whole = true;
    // The number that comes next, and the hash before it where that is known.
    let (mut next, mut hash) = (0, Some(Block::chain(PARTITION)));
    let (end, _) = found(store.log_head(PARTITION), each)?.unwrap_or((0, Block::chain(PARTITION)));
    let mut passed_by = 0;
    let mut show = |block: Block, (next, hash): (u64, Option<Hash>), each: &mut dyn FnMut(Finding)| {
        let place = format!("block {} of partition {PARTITION}", block.number);
        done.blocks += 1;
        let mut wrong = |what: String| {
            each(finding(place.clone(), what));
            is_whole = false;
        };
        if block.number != next {
            wrong(format!("block {next} should come first"));
        }
        // What follows a block that cannot be read cannot be told.
        if hash.is_some_and(|hash| !block.follows(hash)) {
            wrong("its hash does not follow from the one before".to_owned());
        }
        let piece = Piece::Block { partition: PARTITION, number: block.number };
        if let Some(what) = erasures.wrong_about(&piece, block.hash, block.redacted) {
            wrong(what);
        }
        match Unpacked::of(&block.bytes).and_then(|unpacked| unpacked.records()) {
            Ok(records) if records.len() == block.events as usize => done.events += records.len() as u64,
            Ok(records) => {
                wrong(format!("it should have {} records, and has {}", block.events, records.len()))
            }
            Err(error) => wrong(error.to_string()),
        }
    };
    loop {
        let read = store.blocks(PARTITION, next, &mut |block| {
            let after = (block.number + 1, Some(block.hash));
            show(block, (next, hash), each);
            (next, hash) = after;
            Ok(())
        });
        if found(read, each)?.is_some() {
            break;
        }
        passed_by += 1;
        // It is the next one that is there.
        while next < end && matches!(store.block(PARTITION, next), Ok(None)) {
            next += 1;
        }
        (next, hash) = (next + 1, None);
        if next >= end || passed_by == PASSED_BY_MAX {
            break;
        }
    }
    Ok((next.max(end), is_whole && passed_by == 0))
}

/// Looks every event of the log up; answers what else the log says.
fn index<'a>(
    store: &dyn Store,
    accounts: &'a BTreeSet<String>,
    each: &mut dyn FnMut(Finding),
) -> Result<Said<'a>, StoreError> {
    let (log, mut said) = (UsageLog::of(store)?, Said::about(accounts));
    let identities = found(Identities::of(store, &log), each)?;
    let (mut candidates, mut failed, mut missing) = (Vec::new(), None, 0u64);
    let horizon = found(store.horizon(), &mut |_| ())?.flatten();
    // These may have left it.
    let closed = horizon.map_or(Ok(Vec::new()), |horizon| store.archived_before(PARTITION, horizon));
    let closed = found(closed, each)?.unwrap_or_default();
    let read = log.replay(store, 0, &mut |place, record| {
        said.note(place, record);
        let Some(identities) = &identities else { return };
        let Some(name) = identity_of(record) else { return };
        if failed.is_none()
            && let Err(error) = identities.find(store, name, &mut candidates)
        {
            failed = Some(error);
        }
        // What was replaced is found where it was said last.
        let is_found = candidates.iter().any(|candidate| *candidate >= place);
        missing += u64::from(!is_found && closed.binary_search(&place.block).is_err());
    });
    found(read.and(failed.map_or(Ok(()), Err)), each)?;
    if missing > 0 {
        each(finding("the index of identities", format!("{missing} events are not found by it")));
    }
    Ok(said)
}

/// Compares each piece of usage in quarantine with its record in the log.
fn quarantine(store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
    let log = UsageLog::of(store)?;
    let (mut failed, mut wrong) = (None, 0u64);
    let looked = Quarantine::places(store, &mut |place, record| match log.at(store, place) {
        Ok(kept) => wrong += u64::from(kept.is_none_or(|kept| kept != record)),
        Err(error) => failed = Some(error),
    });
    found(looked.and(failed.map_or(Ok(()), Err)), each)?;
    if wrong > 0 {
        each(finding("the quarantine", format!("{wrong} pieces are not what the log has in their places")));
    }
    Ok(())
}

/// Counts the usage of every group anew, and compares.
fn counters(
    store: &dyn Store,
    catalogues: &Catalogues,
    (groups, told, clock): (&BTreeMap<String, (GroupHead, Group)>, &Told, Option<Instant>),
    each: &mut dyn FnMut(Finding),
) -> Result<(), StoreError> {
    let payers: BTreeMap<&str, &str> = groups
        .iter()
        .flat_map(|(payer, (_, group))| {
            group.iter().map(|account| (account.head.id.as_str(), payer.as_str()))
        })
        .collect();
    let payer_of = |account: &str| payers.get(account).map_or(account, |payer| *payer).to_owned();
    let Some(mut kept) = found(Counters::of(store, payer_of), each)? else { return Ok(()) };
    let Some(mut anew) = found(Counters::from_the_log(store, payer_of), each)? else { return Ok(()) };
    let erased = found(store.erasures(), &mut |_| ())?.unwrap_or_default();
    let erased = erased.into_iter().map(|one| one.account).collect();
    let published = rest::published(store)?;
    let dues_are_kept = rest::dues_are_worked_out(store, each)?;
    let mut missing = Missing::default();
    for (payer, (head, group)) in groups {
        if missing.note(catalogues, (payer, group)) {
            continue;
        }
        let (mut is_in_step, mut is_counted) = (told.is_later((payer, group), &published), true);
        for counters in [&mut kept, &mut anew] {
            let loaded = counters.load(store, catalogues, &[(payer, group)]);
            is_in_step |= loaded.is_ok() && !counters.is_stale(payer);
            let loaded = loaded.and_then(|()| counters.refresh(store, catalogues, &[payer]).map(drop));
            is_counted &= found(loaded, each)?.is_some();
        }
        if !is_counted {
            continue;
        }
        // Where the kept counters fit what was ordered, so does the list of what they could not count.
        if anew.quarantine().take_differs() && is_in_step {
            let place = format!("the quarantine of group \"{payer}\"");
            each(finding(place, "it is not what counting the usage log anew gives"));
        }
        kept.quarantine().take_differs();
        if !kept.of_group(payer).counts_the_same(anew.of_group(payer)) {
            let place = format!("the counters of group \"{payer}\"");
            each(finding(place, "they are not what counting the usage log anew gives"));
        }
        let late: Late = anew.take_touched(payer).into_iter().collect();
        if let Some(clock) = clock {
            if dues_are_kept {
                let as_kept: Late = kept.take_touched(payer).into_iter().collect();
                let lates = [&late, &as_kept, &Late::new()];
                rest::due(catalogues, (head, group), (&lates, clock), each);
            }
            let known = (catalogues, anew.of_group(payer));
            charges::are_what_they_should_be(known, (payer, group), (&late, clock), &erased, each);
        }
        kept.let_go(payer);
        anew.let_go(payer);
    }
    missing.tell(each);
    Ok(())
}

/// Price lists that groups ordered by and that are not there: nothing of these groups can be worked out anew.
#[derive(Default)]
struct Missing {
    /// By list: a group, and how many there are.
    lists: BTreeMap<String, (String, u64)>,
}

impl Missing {
    /// Looks at what a group has ordered; answers whether a list is missing.
    fn note(&mut self, catalogues: &Catalogues, (payer, group): (&str, &Group)) -> bool {
        let ordered = group.iter().flat_map(|account| account.subscriptions.values());
        let lists: BTreeSet<&str> = ordered.map(|one| one.catalogue.as_str()).collect();
        let missing = lists.into_iter().filter(|id| catalogues.versions(id).next().is_none());
        let mut is_any = false;
        for id in missing {
            is_any = true;
            self.lists.entry(id.to_owned()).or_insert_with(|| (payer.to_owned(), 0)).1 += 1;
        }
        is_any
    }

    fn tell(self, each: &mut dyn FnMut(Finding)) {
        for (id, (payer, count)) in self.lists {
            let what = format!(
                "it is not there, or cannot be read, and {count} groups have ordered by it, \"{payer}\" for one: what they \
                 were charged cannot be worked out anew"
            );
            each(finding(format!("price list \"{id}\""), what));
        }
    }
}
