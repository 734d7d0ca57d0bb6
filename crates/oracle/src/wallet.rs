//! Coupons, payments from outside, credit notes, write-offs, payouts, and what is charged by hand.
//!
//! Of a member, all money is its master's.

use crate::account::{Key, Term};
use crate::calendar::{self, Cycle};
use crate::history::{Line, Printed, What};
use crate::money::{Coupon, Item};
use crate::number::{Number, decimal, round, zero};
use crate::play::{Play, Reasons};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

/// Does what a line says about money, or refuses it.
pub(crate) fn decide(play: &mut Play<'_>, line: &Line) -> Result<(), Reasons> {
    let at = line.at;
    let payer = play.payer(&line.account);
    match &line.what {
        What::Coupon { id, amount, on, until } => {
            let (amount, mut reasons) = money(amount);
            let plans = on.as_ref().map(|on| plans(play, on));
            let account = play.accounts.get_mut(&payer).expect("open");
            if account.money.coupons.contains_key(id) {
                reasons.push("coupon-exists");
            }
            reasons.extend(until.filter(|until| *until <= at).map(|_| "ends-before-start"));
            if plans.as_ref().is_some_and(BTreeSet::is_empty) {
                reasons.push("unknown-plan-or-product");
            }
            refuse(reasons)?;
            account.money.coupons.insert(id.clone(), Coupon { left: amount, until: *until, plans });
            Ok(())
        }
        What::Pay { month, amount } => {
            let (amount, mut reasons) = money(amount);
            let month = issued(play, &payer, *month, at, &mut reasons);
            let account = play.accounts.get_mut(&payer).expect("open");
            let bill = month.and_then(|month| account.money.bills.get_mut(&month));
            if bill.as_ref().is_some_and(|bill| amount > bill.due()) {
                reasons.push("more-than-due");
            }
            refuse(reasons)?;
            bill.expect("issued").paid += amount;
            account.money.pay_debts(at);
            Ok(())
        }
        What::WriteOff { month, amount } => {
            let (wished, mut reasons) = amount.as_ref().map_or((None, Vec::new()), |amount| {
                let (amount, reasons) = money(amount);
                (Some(amount), reasons)
            });
            let month = issued(play, &payer, *month, at, &mut reasons);
            let account = play.accounts.get_mut(&payer).expect("open");
            let bill = month.and_then(|month| account.money.bills.get_mut(&month));
            let due = bill.as_ref().map_or_else(zero, |bill| bill.due());
            let amount = wished.unwrap_or_else(|| due.clone());
            if bill.is_some() && (amount > due || !due.is_positive()) {
                reasons.push("more-than-due");
            }
            refuse(reasons)?;
            bill.expect("issued").written_off += amount;
            account.money.pay_debts(at);
            Ok(())
        }
        What::Credit { month, amount } => credit(play, &payer, *month, amount, None, at),
        What::CreditLine { line: id, amount } => {
            let Some(printed) = printed(play, &payer, id, at) else {
                return Err([money(amount).1, vec!["unknown-line"]].concat());
            };
            let zone = &play.accounts[&payer].zone;
            let month = calendar::local(zone, printed.month).date();
            credit(play, &payer, month, amount, Some(&printed), at)
        }
        What::PayOut { amount } => {
            let (amount, mut reasons) = money(amount);
            let account = play.accounts.get_mut(&payer).expect("open");
            if amount > account.money.balance {
                reasons.push("more-than-balance");
            }
            refuse(reasons)?;
            account.money.move_by(at, &-amount);
            Ok(())
        }
        What::Charge { amount, labels } => {
            let (amount, mut reasons) = money(amount);
            let known = |name: &str| ["application", "project"].contains(&name) || name.starts_with("tag:");
            if labels.iter().any(|(name, _)| !known(name)) {
                reasons.push("not-a-label");
            }
            refuse(reasons)?;
            play.charge(&payer, at, &[Item { plan: None, amount, corrects: None }], at);
            Ok(())
        }
        What::Adjust { line: id, amount } => {
            let (size, mut reasons) = money(amount.trim_start_matches('-'));
            let change = if amount.starts_with('-') { -size } else { size };
            let Some(printed) = printed(play, &payer, id, at) else {
                reasons.push("unknown-line");
                return Err(reasons);
            };
            if !printed.adjustable {
                reasons.push("not-adjustable");
            }
            if changes_sign(play, &payer, &printed, &change) {
                reasons.push("more-than-line");
            }
            if gives_back_twice(play, &payer, &printed, &change, at) {
                reasons.push("given-back");
            }
            // A credit note of a whole bill may be of any line.
            let bills = &play.accounts[&payer].money;
            let credited = bills.bills.get(&printed.month).is_some_and(|bill| bill.credited.is_positive());
            if credited && bills.creditable(printed.month).is_some_and(|most| -&change > most) {
                reasons.push("more-than-billed");
            }
            refuse(reasons)?;
            let account = play.accounts.get_mut(&payer).expect("open");
            *account.line_changes.entry(id.clone()).or_insert_with(zero) += &change;
            *account.by_hand.entry(id.clone()).or_insert_with(zero) += &change;
            let plan = (!printed.plan.is_empty()).then(|| printed.plan.clone());
            play.charge(&payer, at, &[Item { plan, amount: change, corrects: Some(printed.month) }], at);
            Ok(())
        }
        _ => unreachable!("no line about money"),
    }
}

fn refuse(reasons: Reasons) -> Result<(), Reasons> {
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// An amount above zero in the minor unit of the currency, and why it is none.
fn money(text: &str) -> (Number, Reasons) {
    let amount = decimal(text).expect("a decimal");
    let bad = !amount.is_positive() || round(&amount, 2) != amount;
    (amount, if bad { vec!["bad-amount"] } else { Vec::new() })
}

/// The plans that the name of a plan or a product means.
fn plans(play: &Play<'_>, on: &str) -> BTreeSet<String> {
    let all = play.lists.iter().flat_map(|list| &list.plans);
    let meant = all.filter(|(name, plan)| *name == on || plan.product == on);
    meant.map(|(name, _)| name.clone()).collect()
}

/// The month of a bill that is issued: it is over, and something was charged in it.
fn issued(
    play: &Play<'_>,
    payer: &str,
    month: Date,
    at: Timestamp,
    reasons: &mut Reasons,
) -> Option<Timestamp> {
    let account = &play.accounts[payer];
    let month = calendar::midnight(&account.zone, month);
    let month = calendar::cycle_start(&account.zone, Cycle::Month, month);
    if !account.money.bills.contains_key(&month) {
        reasons.push("no-bill");
        return None;
    }
    if calendar::cycle_end(&account.zone, Cycle::Month, month) > at {
        reasons.push("bill-not-issued");
        return None;
    }
    Some(month)
}

/// A line of a bill of the payer, if it is there by now.
fn printed(play: &Play<'_>, payer: &str, id: &str, at: Timestamp) -> Option<Printed> {
    play.printed.get(id).filter(|line| line.payer == payer && line.posted <= at).cloned()
}

/// Whether a line would be another thing than a correction of it.
fn changes_sign(play: &Play<'_>, payer: &str, line: &Printed, change: &Number) -> bool {
    let amount = round(&line.amount, 2);
    let changed = play.accounts[payer].line_changes.get(&line.id).cloned().unwrap_or_default();
    let after = &amount + changed + change;
    amount.is_positive() && after.is_negative() || amount.is_negative() && after.is_positive()
}

/// Whether all lines for the same would come to another sign together.
fn gives_back_twice(play: &Play<'_>, payer: &str, line: &Printed, change: &Number, at: Timestamp) -> bool {
    let all = play
        .printed
        .values()
        .filter(|one| one.payer == payer && one.what == line.what && one.adjustable && one.posted <= at);
    let (mut sum, mut changed) = (zero(), zero());
    for one in all {
        sum += &one.amount;
        changed += play.accounts[payer].line_changes.get(&one.id).cloned().unwrap_or_default();
    }
    if round(&line.amount, 2).is_zero() {
        return false;
    }
    let before = round(&sum, 2) + changed;
    let after = &before + change;
    match before.is_negative() {
        true => after.is_positive(),
        false => after.is_negative(),
    }
}

fn credit(
    play: &mut Play<'_>,
    payer: &str,
    month: Date,
    amount: &str,
    line: Option<&Printed>,
    at: Timestamp,
) -> Result<(), Reasons> {
    let (amount, mut reasons) = money(amount);
    let month = issued(play, payer, month, at, &mut reasons);
    if let Some(month) = month
        && play.accounts[payer].money.creditable(month).is_some_and(|most| amount > most)
    {
        reasons.push("more-than-billed");
    }
    if line.is_some_and(|line| changes_sign(play, payer, line, &-&amount)) {
        reasons.push("more-than-line");
    }
    if line.is_some_and(|line| gives_back_twice(play, payer, line, &-&amount, at)) {
        reasons.push("given-back");
    }
    refuse(reasons)?;
    let account = play.accounts.get_mut(payer).expect("open");
    if let Some(line) = line {
        *account.line_changes.entry(line.id.clone()).or_insert_with(zero) -= &amount;
        *account.by_hand.entry(line.id.clone()).or_insert_with(zero) -= &amount;
    }
    account.money.credit(month.expect("issued"), &amount, at);
    Ok(())
}

/// A term with what is still paid for it: adjustments of its purchase and credit notes about it count.
pub(crate) fn still_paid(
    play: &Play<'_>,
    (name, subscription, charge): (&str, &str, &str),
    term: &Term,
    at: Timestamp,
) -> Term {
    let payer = play.accounts[name].payer.as_deref().unwrap_or(name);
    let is_for_it = |line: &&Printed| {
        let of = (name.to_owned(), subscription.to_owned(), charge.to_owned(), term.from);
        line.payer == payer && line.posted <= at && line.charges.as_ref() == Some(&of)
    };
    let by_hand = &play.accounts[payer].by_hand;
    let changes = play.printed.values().filter(is_for_it).filter_map(|line| by_hand.get(&line.id));
    let paid = changes.fold(term.paid.clone(), |paid, change| paid + change).max(zero());
    Term { paid, ..term.clone() }
}

/// What was paid for a term anew: what was changed by hand before is no matter of it.
pub(crate) fn paid_anew(play: &mut Play<'_>, name: &str, subscription: &str, from: Timestamp) {
    let payer = play.accounts[name].payer.clone().unwrap_or_else(|| name.to_owned());
    let is_for_it = |line: &&Printed| {
        let of = line.charges.as_ref();
        of.is_some_and(|(account, one, _, start)| (&**account, &**one, *start) == (name, subscription, from))
    };
    let ids: Vec<String> = play.printed.values().filter(is_for_it).map(|line| line.id.clone()).collect();
    let by_hand = &mut play.accounts.get_mut(&payer).expect("open").by_hand;
    ids.iter().for_each(|id| drop(by_hand.remove(id)));
}

/// What comes back of bills in one decision.
pub(crate) type ComesBack = BTreeMap<Timestamp, Number>;

/// As much of what is to come back of a bill as that is still worth, where it has credit notes.
pub(crate) fn within_bill(
    play: &Play<'_>,
    name: &str,
    key: &Key,
    back: Number,
    all: &mut ComesBack,
) -> Number {
    let account = &play.accounts[name];
    let payer = account.payer.as_deref().unwrap_or(name);
    let Some(month) = account.billed.get(key) else { return back };
    let before = all.entry(*month).or_insert_with(zero);
    let left = play.accounts[payer].money.own_left(*month);
    let back = left.map_or(back.clone(), |left| back.min(&left - &*before).max(zero()));
    *before += &back;
    back
}
