//! Changes to another plan (R-CHG-1).

use crate::account::{Figures, Key, Subscription, Term};
use crate::add_ons;
use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Charge, Measure, Plan};
use crate::history::{Line, Split};
use crate::lifecycle;
use crate::money::Item;
use crate::number::{Number, round, whole, zero};
use crate::orders;
use crate::play::{Play, Reasons};
use crate::settle::{Period, version};
use crate::wallet;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl Subscription {
    /// The plan that it has at a moment.
    pub fn plan_at(&self, at: Timestamp) -> &str {
        let begun = self.later_plans.iter().rev().find(|(from, _)| *from <= at);
        begun.map_or(&self.plan, |(_, plan)| plan)
    }

    /// Has another plan from a moment on, and no other one after it.
    fn turn(&mut self, from: Timestamp, plan: &str) {
        self.later_plans.retain(|(earlier, _)| *earlier < from);
        self.later_plans.push((from, plan.to_owned()));
    }
}

impl Term {
    /// Its months: a part of some after a change of plan.
    fn length(&self) -> Number {
        self.part.clone().unwrap_or_else(|| whole(self.months))
    }
}

/// The plan that its next term will be of.
pub(crate) fn next<'c>(list: &'c Catalogue, one: &Subscription) -> &'c Plan {
    let end = one.terms.last().map_or(Timestamp::MAX, |last| last.until);
    &list.plans[one.plan_at(end)]
}

/// All charges of the plans that a subscription has and has had; a charge of several plans once.
pub(crate) fn charges<'c>(list: &'c Catalogue, one: &Subscription) -> Vec<&'c Charge> {
    let mut all: Vec<&Charge> = Vec::new();
    for plan in [&one.plan].into_iter().chain(one.later_plans.iter().map(|(_, plan)| plan)) {
        for charge in &list.plans[plan].charges {
            if !all.iter().any(|known| known.id == charge.id) {
                all.push(charge);
            }
        }
    }
    all
}

/// The charge of a period as the plan and the price list of a moment have it; none where that plan has
/// no such charge.
pub(crate) fn charge_at<'a>(period: &Period<'a>, at: Timestamp) -> Option<&'a Charge> {
    let one = period.one;
    let list = version(period.lists, &one.catalogue, at);
    let same = |charge: &&Charge| {
        charge.id == period.charge.id && charge.modes.iter().any(|mode| mode == one.mode())
    };
    list.plans[one.plan_at(at)].charges.iter().find(same)
}

/// The charge by which a term was sold.
pub(crate) fn of_term<'c>(list: &'c Catalogue, one: &Subscription, term: &Term) -> Option<&'c Charge> {
    let plan = &list.plans[one.plan_at(term.from)];
    plan.charges.iter().find(|charge| prices_term(plan, charge))
}

/// Whether a charge is a price of a plan's prepaid terms: those by the month, or, where there is none, those
/// that are paid once.
pub(crate) fn prices_term(plan: &Plan, charge: &Charge) -> bool {
    let paid_once = |one: &Charge| one.settle.is_none() && one.modes.iter().any(|mode| mode == "prepaid");
    let by_month = |one: &Charge| matches!(one.measure, Measure::Term);
    by_month(charge) || (paid_once(charge) && !plan.charges.iter().any(by_month))
}

/// What ends with a subscription and is renewed with it: what adds to the plan that is renewed.
pub(crate) fn renewed_with(play: &Play<'_>, account: &str, index: usize, at: Timestamp) -> Vec<usize> {
    let account = &play.accounts[account];
    let one = &account.subscriptions[index];
    let list = version(play.lists, &one.catalogue, at);
    let end = one.terms.last().expect("a term").until;
    let fits = |other: &usize| adds_to(list, &account.subscriptions[*other], one.plan_at(end), at);
    add_ons::followers(account, index).into_iter().filter(fits).collect()
}

fn adds_to(list: &Catalogue, add_on: &Subscription, plan: &str, at: Timestamp) -> bool {
    list.plans[add_on.plan_at(at)].requires.iter().any(|name| name == plan)
}

/// Changes to another plan of the same product, or says why not.
pub(crate) fn change(play: &mut Play<'_>, line: &Line, order: &str, wished: &str) -> Result<(), Reasons> {
    let at = line.at;
    let index = orders::running(play, &line.account, order, at)?;
    let account = &play.accounts[&line.account];
    let one = &account.subscriptions[index];
    add_ons::no_trial(one)?;
    let list = version(play.lists, &one.catalogue, at);
    let Some(at_once) = list.plan_change_at_once else { return Err(vec!["plan-change-not-supported"]) };
    let has = one.plan_at(at);
    let Some(plan) = list.plans.get(wished).filter(|plan| plan.product == list.plans[has].product) else {
        return Err(vec!["other-product"]);
    };
    let mut reasons = lifecycle::not_accepted(play, account, one);
    if plan.trial.is_some() {
        reasons.push("plan-change-not-supported");
    }
    if !plan.modes.iter().any(|mode| mode == one.mode()) {
        reasons.push("mode-not-offered");
    }
    reasons.extend(orders::wrong_attributes(plan, &one.attributes));
    let prepaid = one.mode() == "prepaid";
    reasons.extend(add_ons::required(account, list, plan, prepaid, &one.attributes, at).err());
    let stuck = |other: usize| !adds_to(list, &account.subscriptions[other], wished, at);
    if add_ons::followers(account, index).into_iter().any(stuck) {
        reasons.push("add-ons-need-plan");
    }
    let end = one.terms.last().map(|last| last.until).filter(|_| !at_once);
    if has_other_cycles(play, one, wished, end) {
        reasons.push("other-cycles");
    }
    if let Some(end) = end {
        return at_end(play, line, index, (wished, end), reasons);
    }
    reasons.extend((wished == has).then_some("same-plan"));
    orders::refuse(reasons)?;
    let by_day = |plan: &Plan| plan.charges.iter().any(|one| matches!(one.measure, Measure::Days { .. }));
    let midnight = calendar::cycle_start(&list.zone, Cycle::Day, at);
    // The day of the change belongs to the new plan where days count, else the moment divides.
    let days = prepaid || by_day(plan) || by_day(&list.plans[has]);
    let from = if days { midnight.max(one.start) } else { at };
    if prepaid {
        divide(play, line, index, wished, from);
    } else {
        play.accounts.get_mut(&line.account).expect("open").subscriptions[index].turn(from, wished);
    }
    play.touch(&line.account, from);
    Ok(())
}

/// At the end of what is paid for: until then it can be taken back, after it only a renewal is of the
/// new plan. What a renewal has paid for already stays as it was sold.
fn at_end(
    play: &mut Play<'_>,
    line: &Line,
    index: usize,
    (wished, end): (&str, Timestamp),
    mut reasons: Reasons,
) -> Result<(), Reasons> {
    let one = &mut play.accounts.get_mut(&line.account).expect("open").subscriptions[index];
    let paid_for = &one.terms.last().expect("a term").from;
    let planned = one.plan_at(end) != one.plan_at(*paid_for);
    if wished == one.plan_at(*paid_for) {
        if planned {
            // It goes on as it is.
            one.later_plans.retain(|(from, _)| *from < end);
            return Ok(());
        }
        reasons.push("same-plan");
    }
    orders::refuse(reasons)?;
    one.turn(end, wished);
    Ok(())
}

/// Whether a charge of a plan is charged, or adds up, in other cycles than the one of its name in a plan that the
/// subscription has, had or will have by then.
fn has_other_cycles(play: &Play<'_>, one: &Subscription, wished: &str, end: Option<Timestamp>) -> bool {
    let later = one.later_plans.iter().filter(|(from, _)| end.is_none_or(|end| *from < end));
    let had: BTreeSet<&String> = std::iter::once(&one.plan).chain(later.map(|(_, plan)| plan)).collect();
    let lists = || play.lists.iter().filter(|list| list.id == one.catalogue);
    let charges = |name: &str| -> Vec<&Charge> {
        lists().filter_map(|list| list.plans.get(name)).flat_map(|plan| &plan.charges).collect()
    };
    let new = charges(wished);
    had.into_iter().flat_map(|name| charges(name)).any(|old| {
        let alike = new.iter().filter(|new| new.id == old.id && new.settle.is_some() && old.settle.is_some());
        alike.into_iter().any(|new| (new.settle, new.accumulate) != (old.settle, old.accumulate))
    })
}

/// At once: what was paid for the days from a moment on comes back, and they are charged at the price
/// of the new plan. A term is divided there; what is paid for a later one is changed with it, whole.
fn divide(play: &mut Play<'_>, line: &Line, index: usize, wished: &str, from: Timestamp) {
    let (name, at) = (&line.account, line.at);
    let month = play.bill_month(name, at);
    let before = play.accounts[name].subscriptions[index].clone();
    let list = version(play.lists, &before.catalogue, at);
    let was = before.plan_at(at);
    play.accounts.get_mut(name).expect("open").subscriptions[index].turn(from, wished);
    let (mut items, mut terms, mut of_bills) = (Vec::new(), Vec::new(), wallet::ComesBack::new());
    for term in &before.terms {
        let start = term.from.max(from);
        if term.until <= start {
            terms.push(term.clone());
            continue;
        }
        let days = |from: Timestamp| whole(calendar::days(&list.zone, from, term.until));
        let rest = days(start) / days(term.from);
        let charge = of_term(list, &before, term).map(|charge| charge.id.as_str());
        let still = wallet::still_paid(play, (name, &before.name, charge.unwrap_or("")), term, at);
        let key = |cycle: Timestamp, charge: &Charge| Key {
            subscription: before.name.clone(),
            charge: charge.id.clone(),
            cycle,
            from: cycle,
            group: BTreeMap::new(),
            split: Split::of(&before.attributes),
        };
        let unused = round(&(&still.paid * &rest), 8);
        let charge = of_term(list, &before, term).map(|charge| key(term.from, charge));
        let credit = match &charge {
            Some(key) => wallet::within_bill(play, name, key, unused, &mut of_bills),
            None => unused,
        };
        if let Some(key) = charge.filter(|_| !credit.is_zero()) {
            let account = play.accounts.get_mut(name).expect("open");
            let figures = Figures { quantity: zero(), free: zero(), list: -&credit, amount: -&credit };
            // It corrects what was charged for the term.
            items.push(account.add(was, key, &figures, month));
        }
        let full = term.length();
        let months = &full * &rest;
        let (paid, bought) = orders::cost(play, name, index, Some((months.clone(), rest.clone())), start, at);
        let account = play.accounts.get_mut(name).expect("open");
        for (key, figures) in bought {
            // One-off fees come with orders.
            let plan = &list.plans[wished];
            if !plan.charges.iter().any(|one| one.id == key.charge && prices_term(plan, one)) {
                continue;
            }
            // It is a purchase of now, and corrects nothing.
            account.billed.insert(key.clone(), month);
            items.push(Item { corrects: None, ..account.add(wished, key, &figures, month) });
        }
        let whole_term = start == term.from;
        if whole_term {
            wallet::paid_anew(play, name, &before.name, start);
        }
        if !whole_term {
            let part = Some(&full - &months);
            terms.push(Term { until: start, part, paid: &term.paid - &credit, ..term.clone() });
        }
        terms.push(Term {
            from: start,
            months: if whole_term { term.months } else { 0 },
            part: if whole_term { term.part.clone() } else { Some(months) },
            paid,
            ..term.clone()
        });
    }
    play.accounts.get_mut(name).expect("open").subscriptions[index].terms = terms;
    play.charge(name, at, &items, at);
}
