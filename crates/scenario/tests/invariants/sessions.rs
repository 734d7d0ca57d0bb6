//! What sessions hold, on whole histories: it is in the ledger, never more than there was, and nothing
//! is held for ever.

use crate::histories::world::World;
use crate::whole::{far, hold, play_until, same};
use farebox_core::account::Account;
use farebox_core::ledger::LedgerAccount;
use farebox_core::money::{Amount, Exact};
use farebox_core::package::Units;
use farebox_oracle::history::{Line, What};
use farebox_scenario::run::Run;
use std::collections::BTreeMap;

/// A history without sessions; records of theirs are usage like any other.
pub(crate) fn without_sessions(lines: &[Line]) -> Vec<Line> {
    let of_session =
        |line: &&Line| matches!(line.what, What::Hold { .. } | What::Extend { .. } | What::Release { .. });
    lines.iter().filter(|line| !of_session(line)).cloned().collect()
}

/// Whether what packages have decides how much sessions may use.
pub(crate) fn packages_decide(world: &World) -> bool {
    world.charges().iter().any(|(_, charge)| charge.refuses_past_package)
}

/// Neither the balance nor what is held of it ever falls below zero.
fn check_money(account: &Account) {
    let (mut balance, mut held) = (Exact::ZERO, Exact::ZERO);
    for posting in account.ledger.postings() {
        for entry in &posting.entries {
            match entry.account {
                LedgerAccount::Balance => balance = balance.sub(entry.value).unwrap(),
                LedgerAccount::Held => held = held.sub(entry.value).unwrap(),
                _ => {}
            }
        }
        let below = balance.is_negative() || held.is_negative();
        assert!(!below, "{}: balance {balance}, held {held} after {posting:?}", account.head.id);
    }
}

/// What sessions hold by their own account of it: units by bucket, and money.
fn held(account: &Account, members: &[String]) -> (BTreeMap<String, Exact>, Amount) {
    let (mut units, mut money) = (BTreeMap::new(), Amount::ZERO);
    for hold in members.iter().flat_map(|name| account.holds.of(name)) {
        for (bucket, more) in hold.units() {
            let sum: &mut Exact = units.entry(bucket).or_default();
            *sum = sum.add(more).unwrap();
        }
        money = money.add(hold.money()).unwrap();
    }
    units.retain(|_, units| !units.is_zero());
    (units, money)
}

/// The same by the ledger; with what is held on credit, which is no money, and nothing where nobody ever said how
/// much may be owed.
fn in_ledger(account: &Account) -> (BTreeMap<String, Exact>, Amount) {
    let had_limit = account.history.iter().any(|step| step.what.contains("credit limit"));
    let on_credit = account.held_on_credit();
    assert!(!on_credit.is_negative() && (had_limit || on_credit.is_zero()), "{on_credit:?} on credit");
    let of = |bucket: &String| (bucket.clone(), Units::of(&account.ledger, bucket).held);
    let units = account.packages.iter().map(|bucket| of(&bucket.id)).filter(|(_, units)| !units.is_zero());
    (units.collect(), account.ledger.balance(&LedgerAccount::Held).negated().add(on_credit).unwrap())
}

fn all_held(run: &Run<'_>) -> Vec<(BTreeMap<String, Exact>, Amount)> {
    let names: Vec<String> = run.accounts().map(|account| account.head.id.clone()).collect();
    run.accounts().map(|account| held(account, &names)).collect()
}

#[test]
fn what_is_held_is_in_the_ledger_and_let_go() {
    hold("held", &|world, lines| {
        // Half way, sessions run.
        let half = &lines[..lines.len().div_ceil(2)];
        let Some(last) = half.last() else { return Ok(()) };
        play_until(world, half, last.at, |run| {
            let ledger: Vec<_> = run.accounts().map(in_ledger).collect();
            same("held by sessions and by the ledger", &all_held(run), &ledger)
        })??;
        play_until(world, lines, far(lines), |run| {
            run.accounts().for_each(check_money);
            let nothing = (BTreeMap::new(), Amount::ZERO);
            let ledger: Vec<_> = run.accounts().map(in_ledger).collect();
            same("held in the end", &all_held(run), &vec![nothing; ledger.len()])?;
            same("held in the end by sessions and by the ledger", &all_held(run), &ledger)
        })?
    });
}
