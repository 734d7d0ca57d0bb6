//! Packages: the buckets of quota that subscriptions bring, their ends, and who may draw.

use crate::account::Subscription;
use crate::calendar::{self, Cycle};
use crate::catalogue::{Alert, Catalogue, Grant, Measure, Model, Resets};
use crate::draws::{Taker, TakerKey};
use crate::history::Line;
use crate::number::{Number, whole, zero};
use crate::orders;
use crate::play::{Play, Reasons};
use crate::settle::{sold, version};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The units of one grant in one quota period.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Whose it is.
    pub account: String,
    /// What brought it.
    pub subscription: String,
    pub(crate) catalogue: String,
    pub(crate) meter: String,
    /// From when usage draws.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Times in between that were not paid for when they passed: before a late renewal (R-PKG-2).
    pub(crate) gaps: Vec<(Timestamp, Timestamp)>,
    /// When what is left is lost.
    pub expires: Timestamp,
    ordered: Timestamp,
    add_on: bool,
    origin: u8,
    pub(crate) scope: BTreeMap<String, String>,
    late_days: i64,
    pub(crate) alerts: Vec<Alert>,
    /// Which of the alerts have been given.
    pub alerted: BTreeSet<usize>,
    /// All its units.
    pub granted: Number,
    /// What can be drawn.
    pub available: Number,
    /// What is kept for sessions.
    pub held: Number,
    /// What usage drew.
    pub drawn: Number,
    /// What was left when it expired.
    pub expired: Number,
    pub(crate) is_expired: bool,
}

/// The place of a bucket in the order of R-PKG-1.
pub(crate) type Rank<'b> = (bool, u8, Reverse<usize>, Timestamp, Timestamp, Timestamp, &'b str);

impl Bucket {
    /// Included before add-ons; free, promotional, bought; specific before general; earliest expiry,
    /// earliest start, earliest purchase, identifier (R-PKG-1).
    pub(crate) fn rank<'b>(&self, id: &'b str) -> Rank<'b> {
        let specific = Reverse(self.scope.len());
        (self.add_on, self.origin, specific, self.until, self.from, self.ordered, id)
    }

    /// Tells the customer how little is left (R-PKG-4): what sessions hold is not used yet.
    pub(crate) fn alert(&mut self) {
        let left = &self.available + &self.held;
        for (index, alert) in self.alerts.iter().enumerate() {
            let reached = match alert {
                Alert::Units(units) => left <= *units,
                Alert::Percent(percent) => left <= &self.granted * percent / whole(100),
            };
            if reached {
                self.alerted.insert(index);
            }
        }
    }
}

/// A member that may draw from the packages of a subscription of its master, from when, until when.
type Share = (String, Timestamp, Timestamp);

/// A quota period: account, subscription, grant, and its start.
type QuotaPeriod = (String, String, String, Timestamp);

/// All packages.
#[derive(Clone, Debug, Default)]
pub struct Packages {
    /// Buckets by name: `ACCOUNT/SUBSCRIPTION/GRANT/NUMBER`.
    pub buckets: BTreeMap<String, Bucket>,
    /// Usage that could draw, and what it drew.
    pub takers: BTreeMap<TakerKey, Taker>,
    /// The bucket of each quota period that has begun; none where it was over at once.
    begun: BTreeMap<QuotaPeriod, Option<String>>,
    shares: BTreeMap<(String, String), Vec<Share>>,
}

impl Packages {
    /// The stretches of time in which usage of an account draws from a bucket.
    pub(crate) fn open_to(&self, account: &str, bucket: &Bucket) -> Vec<(Timestamp, Timestamp)> {
        let mut all = Vec::new();
        if bucket.account == account {
            all.push((bucket.from, bucket.until));
        }
        let shares = self.shares.get(&(bucket.account.clone(), bucket.subscription.clone()));
        for (_, from, until) in shares.into_iter().flatten().filter(|(member, ..)| member == account) {
            all.push(((*from).max(bucket.from), (*until).min(bucket.until)));
        }
        for &(from, until) in &bucket.gaps {
            all = all
                .into_iter()
                .flat_map(|one| [(one.0, one.1.min(from)), (one.0.max(until), one.1)])
                .collect();
        }
        all.retain(|(from, until)| from < until);
        all
    }

    /// Moments at which packages for usage of an account begin or cease to serve.
    pub(crate) fn cuts(&self, account: &str, catalogue: &str, meter: &str) -> Vec<Timestamp> {
        let fitting = self.buckets.values().filter(|one| one.catalogue == catalogue && one.meter == meter);
        fitting.flat_map(|one| self.open_to(account, one)).flat_map(|(from, until)| [from, until]).collect()
    }

    /// Whether usage may draw from a bucket: by its meter, its time, whose it is, and its scope.
    pub(crate) fn serves(&self, bucket: &Bucket, key: &TakerKey, taker: &Taker) -> bool {
        let (catalogue, meter) = &taker.meter;
        bucket.catalogue == *catalogue
            && bucket.meter == *meter
            && bucket.scope.iter().all(|(name, value)| taker.value(key, name) == Some(value))
            && self
                .open_to(&key.account, bucket)
                .iter()
                .any(|(from, until)| *from <= key.start && taker.end <= *until)
    }
}

/// Whether some plan of a price list brings units of a meter.
pub(crate) fn granted(lists: &[Catalogue], catalogue: &str, meter: &str) -> bool {
    let plans = lists.iter().filter(|list| list.id == catalogue).flat_map(|list| list.plans.values());
    plans.flat_map(|plan| &plan.grants).any(|grant| grant.meter == meter)
}

/// When what is left of a bucket is lost: so many days after its end, and not before its last usage
/// has settled.
fn expiry(lists: &[Catalogue], catalogue: &str, meter: &str, late_days: i64, until: Timestamp) -> Timestamp {
    if until == Timestamp::MAX {
        return until;
    }
    let mut last = until + SignedDuration::from_hours(24 * late_days);
    for list in lists.iter().filter(|list| list.id == catalogue) {
        for charge in list.plans.values().flat_map(|plan| &plan.charges) {
            let draws = charge.draws
                && !matches!(charge.pricing.model, Model::Deck(_))
                && matches!(&charge.measure, Measure::Meter(of) if of == meter);
            if let (true, Some(settle)) = (draws, charge.settle) {
                let begins = calendar::cycle_start(&list.zone, settle, until);
                let settled =
                    if begins == until { until } else { calendar::cycle_end(&list.zone, settle, begins) };
                last = last.max(settled);
            }
        }
    }
    last
}

/// The quota period around a moment: what names it, from when and until when it serves, and when it
/// was ordered.
fn quota_period(
    list: &Catalogue,
    one: &Subscription,
    grant: &Grant,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp, Timestamp, Timestamp)> {
    let end = one.end.unwrap_or(Timestamp::MAX);
    if now < one.start || end <= now {
        return None;
    }
    let term = one.terms.iter().find(|term| term.from <= now && now < term.until);
    let (from, until, ordered) = match term {
        Some(term) => (term.from, term.until, term.ordered),
        None => (one.start, Timestamp::MAX, one.start),
    };
    let (name, until) = match grant.resets {
        Resets::Never => (from, until),
        Resets::Month => {
            let month = calendar::cycle_start(&list.zone, Cycle::Month, now);
            (month, calendar::cycle_end(&list.zone, Cycle::Month, month))
        }
        Resets::TermMonth => {
            // Months of the term, counted as its own end is.
            let own = one.own_end.filter(|end| *end <= from);
            let own = own.map(|end| end.checked_sub(SignedDuration::from_nanos(1)).expect("in range"));
            let counted_from = if list.renewal_by_midnight { from } else { own.unwrap_or(one.start) };
            let (mut name, mut months) = (from, 1);
            loop {
                let next = calendar::term_end(&list.zone, counted_from, months);
                if now < next {
                    break (name, next.min(until));
                }
                name = name.max(next);
                months += 1;
            }
        }
    };
    // It serves from its purchase on (R-PKG-2), and only while it is paid for.
    let begins = if grant.resets == Resets::Month { name.max(one.start) } else { name };
    Some((name, begins.max(ordered), until.min(end), ordered))
}

/// Opens, prolongs, shortens and expires the buckets of a payer and its members.
pub(crate) fn follow(play: &mut Play<'_>, payer: &str, now: Timestamp) {
    let accounts = play.group(payer);
    for account in accounts {
        let account = &play.accounts[&account];
        for one in &account.subscriptions {
            let end = one.end.unwrap_or(Timestamp::MAX);
            for bucket in play.packages.buckets.values_mut() {
                // What is given up goes no further.
                let of = bucket.account == account.name && bucket.subscription == one.name;
                if of && end < bucket.until {
                    bucket.until = end.max(bucket.from);
                    let Bucket { catalogue, meter, late_days, until, .. } = &*bucket;
                    bucket.expires = expiry(play.lists, catalogue, meter, *late_days, *until);
                }
            }
            // A prepaid term keeps what it was sold with.
            let list = sold(play.lists, one, now);
            for grant in &list.plans[&one.plan].grants {
                if let Some(wake) = open(&mut play.packages, play.lists, &account.name, one, grant, now) {
                    play.wakes.insert((wake, payer.to_owned()));
                }
            }
        }
    }
    for bucket in play.packages.buckets.values_mut() {
        if play.accounts[&bucket.account].payer.as_deref().unwrap_or(&bucket.account) != payer {
            continue;
        }
        if !bucket.is_expired && bucket.expires <= now {
            bucket.is_expired = true;
            bucket.expired = std::mem::take(&mut bucket.available);
        }
        let moments = [bucket.until, bucket.expires].into_iter();
        let later = moments.filter(|at| now < *at && *at < Timestamp::MAX);
        play.wakes.extend(later.map(|at| (at, payer.to_owned())));
    }
}

/// The bucket of the quota period around now, opened or prolonged. Answers when the period ends.
fn open(
    packages: &mut Packages,
    lists: &[Catalogue],
    account: &str,
    one: &Subscription,
    grant: &Grant,
    now: Timestamp,
) -> Option<Timestamp> {
    let (name, from, until, ordered) = quota_period(sold(lists, one, now), one, grant, now)?;
    // Usage before it came was another system's (R-OPEN-1).
    let from = from.max(one.begins());
    let period = (account.to_owned(), one.name.clone(), grant.id.clone(), name);
    let expires = |late_days: i64| expiry(lists, &one.catalogue, &grant.meter, late_days, until);
    if let Some(begun) = packages.begun.get(&period) {
        let bucket = begun.as_ref().and_then(|id| packages.buckets.get_mut(id))?;
        if bucket.until < until {
            if bucket.until < now {
                bucket.gaps.push((bucket.until, now));
            }
            bucket.until = until;
            bucket.expires = expires(bucket.late_days);
            bucket.is_expired = false;
            bucket.available += std::mem::take(&mut bucket.expired);
        }
        return Some(until);
    }
    let mut held = i64::from(one.quantity);
    held += one.changes.iter().filter(|(at, _)| *at <= now).map(|(_, more)| more).sum::<i64>();
    if until <= from {
        packages.begun.insert(period, None);
        return Some(until);
    }
    let same = (&period.0, &period.1, &period.2);
    let opened = packages
        .begun
        .iter()
        .filter(|((account, order, id, _), bucket)| (account, order, id) == same && bucket.is_some());
    let id = format!("{account}/{}/{}/{}", one.name, grant.id, opened.count() + 1);
    let own = |name: &String| Some((name.clone(), one.attributes.get(name)?.clone()));
    let granted = whole(held) * &grant.units;
    let bucket = Bucket {
        account: account.to_owned(),
        subscription: one.name.clone(),
        catalogue: one.catalogue.clone(),
        meter: grant.meter.clone(),
        from,
        until,
        gaps: Vec::new(),
        expires: expires(grant.late_days),
        ordered,
        add_on: grant.add_on,
        origin: grant.origin,
        scope: grant.scope.iter().filter_map(own).collect(),
        late_days: grant.late_days,
        alerts: grant.alerts.clone(),
        alerted: BTreeSet::new(),
        available: granted.clone(),
        granted,
        held: zero(),
        drawn: zero(),
        expired: zero(),
        is_expired: false,
    };
    packages.buckets.insert(id.clone(), bucket);
    packages.begun.insert(period, Some(id));
    Some(until)
}

/// Whether a subscription runs, and brings packages.
fn bringing(play: &Play<'_>, line: &Line, order: &str) -> Result<(), Reasons> {
    let mut reasons = orders::running(play, &line.account, order, line.at).err().unwrap_or_default();
    let all = &play.accounts[&line.account].subscriptions;
    if let Some(one) = all.iter().find(|one| one.name == order) {
        let list = version(play.lists, &one.catalogue, line.at);
        if list.plans[&one.plan].grants.is_empty() {
            reasons.push("no-package");
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// From now on members draw, too (R-ORG-1).
pub(crate) fn share(play: &mut Play<'_>, line: &Line, order: &str, with: &[String]) -> Result<(), Reasons> {
    bringing(play, line, order)?;
    let is_member = |name: &String| {
        play.accounts.get(name).is_some_and(|one| one.payer.as_deref() == Some(&line.account))
    };
    if !with.iter().all(is_member) {
        return Err(vec!["not-a-member"]);
    }
    let shares = play.packages.shares.entry((line.account.clone(), order.to_owned())).or_default();
    for member in with {
        let draws = |(name, from, until): &Share| name == member && *from <= line.at && line.at < *until;
        if !shares.iter().any(draws) {
            shares.push((member.clone(), line.at, Timestamp::MAX));
        }
    }
    Ok(())
}

/// From now on nobody but the account itself draws.
pub(crate) fn keep(play: &mut Play<'_>, line: &Line, order: &str) -> Result<(), Reasons> {
    bringing(play, line, order)?;
    let shares = play.packages.shares.get_mut(&(line.account.clone(), order.to_owned()));
    for (.., until) in shares.into_iter().flatten() {
        *until = (*until).min(line.at);
    }
    Ok(())
}
