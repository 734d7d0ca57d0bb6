//! Charges worked out anew: what they should be by the usage log and the price lists, less what they were, is nothing.
//! And that what was charged adds up.

use super::{Finding, finding};
use farebox_core::account::{Account, Group};
use farebox_core::bill::{Bill, Line, LineKind};
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::engine::{Action, Catalogues, Command, Fact, Late, Refusal, decide};
use farebox_core::ledger::{Posting, Unit};
use farebox_core::metering::Metering;
use farebox_core::money::{Amount, Currency, Exact};
use std::collections::{BTreeMap, BTreeSet};

/// How many differing charges of a group are named; the rest is counted.
const NAMED: usize = 10;

/// Looks whether the lines of each bill sum to it, and whether each posting balances, unit by unit.
pub(super) fn adds_up(group: &Group, each: &mut dyn FnMut(Finding)) {
    for account in group.iter() {
        for bill in account.bills.values() {
            if let Some(wrong) = wrong_sum(bill, account.head.currency) {
                each(finding(format!("bill {}", bill.id), wrong));
            }
        }
        for (index, posting) in account.ledger.postings().iter().enumerate() {
            for unit in unbalanced(posting) {
                let place = format!("posting {} of account \"{}\"", index + 1, account.head.id);
                each(finding(place, format!("its entries in {unit} do not sum to zero: {}", posting.memo)));
            }
        }
    }
}

/// What is wrong about a bill's sum. With the line that rounds it, its lines make its total once it is issued.
fn wrong_sum(bill: &Bill, currency: Currency) -> Option<String> {
    let sum = bill.lines.iter().try_fold(Amount::ZERO, |sum, line| sum.add(line.amount));
    if sum != Ok(bill.sum) {
        return Some("its lines do not make the sum that was kept".to_owned());
    }
    let total = if bill.issued.is_some() { bill.sum } else { bill.sum.round_to_minor(currency) };
    (total != bill.posted).then(|| "its lines do not make what was charged".to_owned())
}

/// The units in which a posting does not balance.
fn unbalanced(posting: &Posting) -> Vec<&Unit> {
    let mut sums: BTreeMap<&Unit, Option<Exact>> = BTreeMap::new();
    for entry in &posting.entries {
        let sum = sums.entry(&entry.unit).or_insert(Some(Exact::ZERO));
        *sum = sum.and_then(|sum| sum.add(entry.value).ok());
    }
    sums.into_iter().filter(|(_, sum)| *sum != Some(Exact::ZERO)).map(|(unit, _)| unit).collect()
}

/// Settles a group again, with its usage counted anew, as if nothing had ever been settled. `late`: usage counted
/// since its last settlement, which is first settled as it is going to be. `erased`: accounts whose usage cannot be
/// rated any more.
pub(super) fn are_what_they_should_be(
    (catalogues, metering): (&Catalogues, &Metering),
    (payer, group): (&str, &Group),
    (late, clock): (&Late, Instant),
    erased: &BTreeSet<String>,
    each: &mut dyn FnMut(Finding),
) {
    let Some(opened) = group.get(payer).map(|account| account.head.opened) else { return };
    let rated = group.iter().filter(|account| !erased.contains(&account.head.id));
    let ever: Late = rated.map(|account| (account.head.id.clone(), earliest(account))).collect();
    let mut differing: BTreeMap<String, Line> = BTreeMap::new();
    let mut refused = None;
    for at in moments(group, catalogues, clock).into_iter().filter(|at| *at > opened) {
        let settle = |state: &Group, late: &Late| {
            let action = Action::settle(late.clone());
            let command = Command { account: payer.to_owned(), effective_at: at, action };
            decide(state, catalogues, metering, &command, clock)
        };
        let mut state = group.clone();
        let first = settle(&state, late);
        let settled = first.and_then(|facts| {
            // What does not fit is no settlement; its group is told of elsewhere.
            let is_applied = facts.iter().all(|fact| state.apply(fact).is_ok());
            if is_applied { settle(&state, &ever) } else { Ok(Vec::new()) }
        });
        let settled = settled.unwrap_or_else(|refusal| {
            // A number that is too large stops a settlement too: what is due waits, and is told of by the server.
            if refusal != Refusal::OutOfRange {
                refused.get_or_insert(refusal);
            }
            Vec::new()
        });
        for fact in settled {
            let Fact::Charged { lines, .. } = fact else { continue };
            for line in lines
                .into_iter()
                .filter(|line| line.kind != LineKind::Rounding && !erased.contains(&line.account))
            {
                differing.entry(place_of(&line)).or_insert(line);
            }
        }
    }
    if let Some(refusal) = refused {
        let found = format!("what it was charged cannot be worked out anew: {refusal}");
        each(finding(format!("group \"{payer}\""), found));
    }
    for (place, line) in differing.iter().take(NAMED) {
        let quantity = line.quantity;
        let found = format!(
            "worked out anew it differs by {} ({quantity} {}) from what was charged: {}",
            line.amount.exact(),
            line.unit,
            line.description
        );
        each(finding(place, found));
    }
    if let Some(more @ 1..) = differing.len().checked_sub(NAMED) {
        each(finding(format!("group \"{payer}\""), format!("{more} more of its charges differ")));
    }
}

fn place_of(line: &Line) -> String {
    match &line.key {
        Some(key) => {
            format!(
                "the charge \"{}\" of {}/{} from {}",
                key.charge, line.account, key.subscription, key.start
            )
        }
        None => format!("a charge of {}", line.account),
    }
}

/// Before anything that an account is charged for.
fn earliest(account: &Account) -> Instant {
    let starts = account.subscriptions.values().map(|one| one.start);
    starts.chain([account.head.opened]).min().unwrap_or(account.head.opened)
}

/// When something of a group was last to be settled: the beginnings of the present hours, days and months.
fn moments(group: &Group, catalogues: &Catalogues, clock: Instant) -> BTreeSet<Instant> {
    let mut zones: Vec<&Zone> = Vec::new();
    for account in group.iter() {
        zones.push(&account.head.zone);
        let lists = account.subscriptions.values().flat_map(|one| catalogues.versions(&one.catalogue));
        zones.extend(lists.map(|list| &list.zone));
    }
    let cycles = [Cycle::Hour, Cycle::Day, Cycle::Month];
    zones.into_iter().flat_map(|zone| cycles.map(|cycle| zone.cycle(cycle, clock).start)).collect()
}
