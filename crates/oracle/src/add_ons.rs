//! What requires another plan, what ends with it, and trials (R-TCCC-10, R-TCCC-12).

use crate::account::{Account, Subscription, Term};
use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Plan};
use crate::number::{Number, whole, zero};
use crate::play::Reasons;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use std::collections::BTreeMap;

/// What an order says, besides its plan.
pub(crate) struct Wish<'a> {
    pub(crate) at: Timestamp,
    pub(crate) units: u32,
    pub(crate) prepaid: bool,
    /// The months of its term, where it says some.
    pub(crate) said: Option<i64>,
    pub(crate) auto: Option<i64>,
    pub(crate) attributes: &'a BTreeMap<String, String>,
}

/// How long an order lasts.
#[derive(Default)]
pub(crate) struct Admitted {
    pub(crate) term: Option<Term>,
    pub(crate) end: Option<Timestamp>,
    /// The months that its term costs.
    pub(crate) months: Option<Number>,
    pub(crate) follows: Option<String>,
}

/// The subscription that a plan requires; `None` where it requires none. Of the same number, application
/// and so on, where both bind one; of several the one that lasts longest, then the first, then by name.
pub(crate) fn required<'a>(
    account: &'a Account,
    list: &Catalogue,
    plan: &Plan,
    prepaid: bool,
    attributes: &BTreeMap<String, String>,
    at: Timestamp,
) -> Result<Option<&'a Subscription>, &'static str> {
    if plan.requires.is_empty() {
        return Ok(None);
    }
    let mut found = fitting(account, list, plan, prepaid, attributes, at);
    found.sort_by_key(|one| {
        (std::cmp::Reverse(one.end.unwrap_or(Timestamp::MAX)), one.start, one.name.clone())
    });
    found.first().copied().map(Some).ok_or("package-required")
}

/// The subscriptions that what a plan requires may be.
pub(crate) fn fitting<'a>(
    account: &'a Account,
    list: &Catalogue,
    plan: &Plan,
    prepaid: bool,
    attributes: &BTreeMap<String, String>,
    at: Timestamp,
) -> Vec<&'a Subscription> {
    let fits = |one: &&Subscription| {
        let runs = one.start <= at && one.end.is_none_or(|end| at < end);
        let binds = list.plans.get(one.plan_at(at)).map(|plan| plan.binds.as_slice()).unwrap_or_default();
        let mut both = plan.binds.iter().filter(|name| binds.contains(name));
        runs && one.catalogue == list.id
            && plan.requires.iter().any(|name| name == one.plan_at(at))
            // What is prepaid to the end of another needs one that has an end.
            && (one.end.is_some() || !(prepaid && plan.ends_with))
            && both.all(|name| one.attributes.get(name) == attributes.get(name))
    };
    account.subscriptions.iter().filter(fits).collect()
}

/// What an order is admitted for.
pub(crate) fn admit(
    account: &Account,
    list: &Catalogue,
    plan: &Plan,
    wish: &Wish<'_>,
) -> Result<Admitted, Reasons> {
    let at = wish.at;
    let package = required(account, list, plan, wish.prepaid, wish.attributes, at);
    let mut reasons: Reasons = package.as_ref().err().copied().into_iter().collect();
    let package = package.ok().flatten();
    if let Some(days) = plan.trial {
        let of_product =
            |one: &Subscription| one.catalogue == list.id && list.plans[&one.plan].product == plan.product;
        if account.subscriptions.iter().any(of_product) {
            reasons.push("trial-used");
        }
        if wish.units != 1 || wish.said.is_some() || wish.auto.is_some() {
            reasons.push("trial-order");
        }
        let last = calendar::local(&list.zone, at).date().checked_add(Span::new().days(days));
        let end = Some(calendar::midnight(&list.zone, last.expect("in range")));
        return if reasons.is_empty() { Ok(Admitted { end, ..Admitted::default() }) } else { Err(reasons) };
    }
    if plan.ends_with {
        reasons.extend(wish.said.map(|_| "term-of-package"));
        reasons.extend(wish.auto.map(|_| "renewed-with-package"));
        let Some(package) = package.filter(|_| reasons.is_empty()) else { return Err(reasons) };
        let (end, follows) = (package.end, Some(package.name.clone()));
        let Some(until) = end.filter(|_| wish.prepaid) else {
            return Ok(Admitted { end, follows, ..Admitted::default() });
        };
        let begun = calendar::months_begun(&list.zone, at, until);
        let months = if list.add_ons_by_days { by_days(&list.zone, at, until) } else { whole(begun) };
        let term = Some(Term { from: at, until, months: begun, part: None, paid: zero(), ordered: at });
        return Ok(Admitted { term, end, months: Some(months), follows });
    }
    if wish.prepaid && wish.said.is_none_or(|months| !plan.terms.contains(&months)) {
        reasons.push("term-not-offered");
    }
    if wish.auto.is_some() && !wish.prepaid {
        reasons.push("no-term");
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let term = wish.said.map(|months| {
        // "指定使用时长后的第一个 00:00:00" (R-YKF-3).
        let until = calendar::term_end(&list.zone, at, months);
        Term { from: at, until, months, part: None, paid: zero(), ordered: at }
    });
    Ok(Admitted {
        end: term.as_ref().map(|term| term.until),
        term,
        months: wish.said.map(whole),
        follows: None,
    })
}

/// A stretch of time in months, each day its part of its calendar month.
pub(crate) fn by_days(zone: &TimeZone, from: Timestamp, until: Timestamp) -> Number {
    let (mut sum, mut at) = (zero(), from);
    while at < until {
        let month = calendar::cycle_start(zone, Cycle::Month, at);
        let end = calendar::cycle_end(zone, Cycle::Month, month).min(until);
        let of_month = calendar::local(zone, at).date().days_in_month();
        sum += whole(calendar::days(zone, at, end)) / whole(of_month.into());
        at = calendar::cycle_end(zone, Cycle::Month, month);
    }
    sum
}

/// The places of the subscriptions that end with one, and still do.
pub(crate) fn followers(account: &Account, index: usize) -> Vec<usize> {
    let package = &account.subscriptions[index];
    let ends_with =
        |one: &Subscription| one.follows.as_ref() == Some(&package.name) && one.end == package.end;
    (0..account.subscriptions.len()).filter(|other| ends_with(&account.subscriptions[*other])).collect()
}

/// A trial ends by expiry only (RULES §3 no. 17).
pub(crate) fn no_trial(one: &Subscription) -> Result<(), Reasons> {
    if one.trial { Err(vec!["trial-runs"]) } else { Ok(()) }
}

/// A trial is not renewed, nor is what adds to it; another add-on is with its package.
pub(crate) fn not_by_itself(account: &Account, one: &Subscription) -> Result<(), Reasons> {
    no_trial(one)?;
    let Some(package) = &one.follows else { return Ok(()) };
    account.subscriptions.iter().filter(|one| one.name == *package).try_for_each(no_trial)?;
    Err(vec!["renewed-with-package"])
}
