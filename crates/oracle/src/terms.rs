//! Terms that renew themselves, and terms that another system sold.

use crate::account::{State, Subscription, Term};
use crate::add_ons;
use crate::calendar;
use crate::catalogue::{Catalogue, Plan};
use crate::credit;
use crate::history::{Line, What};
use crate::number::{decimal, round, zero};
use crate::orders;
use crate::plans;
use crate::play::{Play, Reasons};
use crate::settle::version;
use jiff::civil::Time;
use jiff::{SignedDuration, Span, Timestamp};
use std::collections::BTreeMap;

/// That a term renews itself.
#[derive(Clone, Debug)]
pub struct Auto {
    /// How often at most; 0: any number.
    pub limit: i64,
    /// How often it did.
    pub renewals: i64,
    /// When it is tried next.
    pub next: Option<Timestamp>,
}

impl Auto {
    /// Tried daily at a time of day, from some days before the last day served until that day (R-REN-3).
    pub(crate) fn plan(&mut self, list: &Catalogue, end: Timestamp, now: Timestamp) {
        let goes_on = self.limit == 0 || self.renewals < self.limit;
        let inside = end.checked_sub(SignedDuration::from_nanos(1)).expect("in range");
        let last = calendar::local(&list.zone, inside).date();
        let (seconds, days) = list.auto_renewal;
        let time = Time::midnight().checked_add(Span::new().seconds(seconds)).expect("a time of day");
        let attempts = (0..=days).rev().map(|before| {
            let day = last.checked_sub(Span::new().days(before)).expect("in range");
            calendar::moment(&list.zone, day.to_datetime(time))
        });
        let mut attempts = attempts.filter(|at| goes_on && now < *at && *at < end);
        self.next = attempts.next();
    }
}

/// Months that a renewal may have: of those of the plan those that the price list allows (R-YKF-10).
pub(crate) fn renewal_months(list: &Catalogue, plan: &Plan) -> Vec<i64> {
    let allowed = |months: &&i64| list.renewal_terms.as_ref().is_none_or(|all| all.contains(months));
    plan.terms.iter().filter(allowed).copied().collect()
}

/// Turns renewals by themselves on (at most so often) or off.
pub(crate) fn auto_renew(
    play: &mut Play<'_>,
    line: &Line,
    order: &str,
    limit: Option<i64>,
) -> Result<(), Reasons> {
    let index = orders::running(play, &line.account, order, line.at)?;
    let one = &play.accounts[&line.account].subscriptions[index];
    add_ons::not_by_itself(&play.accounts[&line.account], one)?;
    let Some(last) = one.terms.last() else { return Err(vec!["no-term"]) };
    let auto = limit.map(|limit| {
        let list = version(play.lists, &one.catalogue, line.at);
        let mut auto = Auto { limit, renewals: 0, next: None };
        auto.plan(list, last.until, line.at);
        auto
    });
    set(play, &line.account, index, auto);
    Ok(())
}

/// Notes when a term is tried to be renewed next.
pub(crate) fn set(play: &mut Play<'_>, account: &str, index: usize, auto: Option<Auto>) {
    let payer = play.payer(account);
    if let Some(next) = auto.as_ref().and_then(|auto| auto.next) {
        play.wake(next, &payer);
    }
    play.accounts.get_mut(account).expect("open").subscriptions[index].auto = auto;
}

/// Renews what renews itself now: one after another, each from what the one before has left (DECISIONS
/// 40).
pub(crate) fn on_time(play: &mut Play<'_>, payer: &str, at: Timestamp) {
    let mut due: Vec<(String, String)> = Vec::new();
    for (name, account) in &play.accounts {
        if name == payer || account.payer.as_deref() == Some(payer) {
            let now = |one: &&Subscription| one.auto.as_ref().is_some_and(|auto| auto.next == Some(at));
            due.extend(account.subscriptions.iter().filter(now).map(|one| (one.name.clone(), name.clone())));
        }
    }
    due.sort();
    for (name, account) in due {
        let all = &play.accounts[&account].subscriptions;
        let index = all.iter().position(|one| one.name == name).expect("there");
        let one = &all[index];
        let list = version(play.lists, &one.catalogue, at);
        let (first, last) = (&one.terms[0], one.terms.last().expect("a term"));
        // By the month what was bought for a month; else the longest allowed that is shorter.
        let months = renewal_months(list, plans::next(list, one));
        let months = months.into_iter().filter(|months| *months <= first.months).max();
        // What needs a package is not renewed without one.
        let plan = &list.plans[&one.plan];
        let needed = add_ons::required(&play.accounts[&account], list, plan, true, &one.attributes, at);
        let months = months.filter(|_| needed.is_ok());
        let mut auto = one.auto.clone().expect("it renews itself");
        let cost = months.map(|months| {
            let bought = orders::cost_of_renewal(play, &account, index, months, at);
            let lines = bought.iter().flat_map(|(_, _, lines)| lines);
            let money = &play.accounts[payer].money;
            let bill = money.bills.get(&play.bill_month(payer, at));
            let (sum, total) = bill.map_or((zero(), zero()), |bill| (bill.sum.clone(), bill.total.clone()));
            let sum = lines.fold(sum, |sum, (_, figures)| sum + &figures.amount);
            round(&sum, 2) - total
        });
        match (months, cost) {
            (Some(months), Some(cost)) if cost <= credit::cover(play, payer) => {
                auto.renewals += 1;
                set(play, &account, index, Some(auto));
                orders::prolong(play, &account, index, months, at);
            }
            _ => {
                auto.plan(list, last.until, at);
                set(play, &account, index, Some(auto));
            }
        }
    }
}

/// A term that another system sold, with its real start and end; it is paid for (R-OPEN-1).
pub(crate) fn migrate(play: &mut Play<'_>, line: &Line) -> Result<(), Reasons> {
    let What::Migrate { plan: plan_name, units, name, from, until, paid, attributes } = &line.what else {
        unreachable!("no migration")
    };
    let attributes: BTreeMap<String, String> = attributes.iter().cloned().collect();
    let list = orders::list_of(play.lists, plan_name, line.at);
    let plan = &list.plans[plan_name];
    let account = play.accounts.get_mut(&line.account).expect("open");
    let mut reasons = Vec::new();
    if account.subscriptions.iter().any(|one| one.name == *name) {
        reasons.push("subscription-exists");
    }
    if !plan.modes.iter().any(|mode| mode == "prepaid") {
        reasons.push("mode-not-offered");
    }
    reasons.extend(orders::wrong_attributes(plan, &attributes));
    if *from > line.at || *until <= line.at {
        reasons.push("term-not-running");
    }
    if *units < plan.minimum_quantity {
        reasons.push("below-minimum");
    }
    if plan.trial.is_some() {
        reasons.push("trial-order");
    }
    let package = add_ons::required(account, list, plan, true, &attributes, line.at);
    reasons.extend(package.as_ref().err());
    let mut follows = None;
    if package.is_ok_and(|package| package.is_some()) && plan.ends_with {
        // It ends with what it adds to: one with its end.
        let fitting = add_ons::fitting(account, list, plan, true, &attributes, line.at);
        follows = fitting.into_iter().find(|one| one.end == Some(*until)).map(|one| one.name.clone());
        if follows.is_none() {
            reasons.push("term-of-package");
        }
    }
    orders::refuse(reasons)?;
    // Months that have begun by its end.
    let months = calendar::months_begun(&list.zone, *from, *until);
    let counted = calendar::term_end(&list.zone, *from, months);
    let inside = until.checked_sub(SignedDuration::from_nanos(1)).expect("in range");
    // An end on the day before that of so many months is meant so.
    let short = calendar::days(&list.zone, inside, counted) - 1;
    let part = (short > 1).then(|| add_ons::by_days(&list.zone, *from, *until));
    let paid = round(&decimal(paid).expect("a decimal"), 8);
    account.subscriptions.push(Subscription {
        name: name.clone(),
        catalogue: list.id.clone(),
        plan: plan_name.clone(),
        later_plans: Vec::new(),
        start: *from,
        migrated: Some(line.at),
        own_end: (counted != *until).then_some(*until),
        end: Some(*until),
        terms: vec![Term { from: *from, until: *until, months, part, paid, ordered: *from }],
        follows,
        trial: false,
        auto: None,
        quantity: *units,
        changes: Vec::new(),
        stops: Vec::new(),
        attributes,
        state: State::Active,
        frozen: Vec::new(),
    });
    play.touch(&line.account, line.at);
    Ok(())
}
