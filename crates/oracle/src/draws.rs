//! What usage draws from packages.
//!
//! Draws are the one thing that cannot be worked out from the beginning: no draw moves from one taker
//! to another, so what was drawn before is kept, taker by taker.

use crate::account::Key;
use crate::calendar;
use crate::history::Split;
use crate::number::{Number, zero};
use crate::packages::Packages;
use crate::play::{Accumulation, Play};
use crate::settle::Period;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Usage that draws together: of a charge of a subscription, in a stretch of one settlement cycle in
/// which neither prices nor packages change, of one group and share. They draw in this order: by
/// time, then account, and so on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TakerKey {
    /// When the stretch begins.
    pub start: Timestamp,
    /// The account.
    pub account: String,
    /// The subscription.
    pub subscription: String,
    /// The charge.
    pub charge: String,
    /// When the accumulation began.
    pub began: Timestamp,
    /// What the charge accumulates per.
    pub group: BTreeMap<String, String>,
    /// The share of the bill.
    pub split: Split,
}

/// What becomes of such usage: what is drawn and what is charged together are what was measured.
#[derive(Clone, Debug)]
pub struct Taker {
    pub(crate) end: Timestamp,
    /// Price list and meter.
    pub(crate) meter: (String, String),
    /// What the subscription that takes it is bound to.
    pub(crate) bound: BTreeMap<String, String>,
    /// Units drawn, by bucket.
    pub drawn: BTreeMap<String, Number>,
    /// Units left to be charged or free.
    pub charged: Number,
    /// Buckets of which sessions held something when it was charged past them.
    pub(crate) displaced: BTreeSet<String>,
}

impl Taker {
    /// Units drawn of all buckets.
    pub fn drawn_units(&self) -> Number {
        self.drawn.values().cloned().sum()
    }

    /// An attribute that all this usage has.
    pub(crate) fn value<'t>(&'t self, key: &'t TakerKey, name: &str) -> Option<&'t String> {
        let of_split = match name.strip_prefix("tag:") {
            Some(tag) => key.split.tags.get(tag),
            None if name == "application" => key.split.application.as_ref(),
            None if name == "project" => key.split.project.as_ref(),
            None => None,
        };
        key.group.get(name).or(of_split).or(self.bound.get(name))
    }

    pub(crate) fn draw(&mut self, bucket: &str, units: &Number) {
        *self.drawn.entry(bucket.to_owned()).or_insert_with(zero) += units;
        self.drawn.retain(|_, units| !units.is_zero());
    }
}

impl TakerKey {
    pub(crate) fn accumulation(&self) -> Accumulation {
        (self.account.clone(), self.subscription.clone(), self.charge.clone(), self.began)
    }
}

/// Measured usage: who it is, and how many units.
pub(crate) type Measured = BTreeMap<TakerKey, (Taker, Number)>;

impl Packages {
    /// What was drawn for a stretch of an accumulation, by group and share.
    pub(crate) fn drawn(&self, key: &TakerKey) -> Number {
        self.takers.get(key).map_or_else(zero, Taker::drawn_units)
    }

    /// What was drawn for an accumulation by its last settlement, by bucket, under the keys of its charges.
    pub(crate) fn drawn_by(&self, period: &Period<'_>) -> BTreeMap<Key, BTreeMap<String, Number>> {
        let mut all: BTreeMap<Key, BTreeMap<String, Number>> = BTreeMap::new();
        let of =
            (period.account.name.as_str(), period.one.name.as_str(), period.charge.id.as_str(), period.began);
        for (key, taker) in &self.takers {
            // A session that ends at the very settlement draws for what is settled next.
            if (key.account.as_str(), key.subscription.as_str(), key.charge.as_str(), key.began) != of
                || key.start >= period.settled
            {
                continue;
            }
            let under = Key {
                subscription: key.subscription.clone(),
                charge: key.charge.clone(),
                cycle: calendar::cycle_start(period.zone(), period.settle, key.start),
                from: key.start,
                group: key.group.clone(),
                split: key.split.clone(),
            };
            for (bucket, units) in &taker.drawn {
                *all.entry(under.clone()).or_default().entry(bucket.clone()).or_insert_with(zero) += units;
            }
        }
        all
    }

    /// Whether usage of some accounts went past a bucket that sessions hold something of.
    pub(crate) fn are_displaced(&self, accounts: &[String]) -> bool {
        self.takers.iter().any(|(key, taker)| accounts.contains(&key.account) && !taker.displaced.is_empty())
    }

    /// Whether units are there again for usage of a subscription that sessions displaced.
    pub(crate) fn credits(&self, account: &str, subscription: &str) -> bool {
        self.takers.iter().any(|(key, taker)| {
            key.account == account
                && key.subscription == subscription
                && taker.displaced.iter().any(|id| {
                    let bucket = &self.buckets[id];
                    !bucket.is_expired && bucket.available.is_positive()
                })
        })
    }

    /// The buckets in the order of R-PKG-1.
    pub(crate) fn order(&self) -> Vec<String> {
        let mut ids: Vec<&String> = self.buckets.keys().collect();
        ids.sort_by(|one, other| self.buckets[*one].rank(one).cmp(&self.buckets[*other].rank(other)));
        ids.into_iter().cloned().collect()
    }
}

/// Usage of the accumulations that are `due` draws. Answers others that were credited.
pub(crate) fn allot(
    play: &mut Play<'_>,
    accounts: &[String],
    due: &BTreeSet<Accumulation>,
    now: Timestamp,
) -> BTreeSet<Accumulation> {
    let mut measured = Measured::new();
    for accumulation in due {
        if let Some(period) = play.period(accumulation, now) {
            period.measured(&play.usage, &mut measured);
        }
    }
    let goes_on = play.settles(accounts, now);
    let packages = &mut play.packages;
    let order = packages.order();
    let mut takers = std::mem::take(&mut packages.takers);
    // Late usage of what has ended settles, too.
    let before = |key| takers.get(key).map_or_else(zero, |taker| taker.drawn_units() + &taker.charged);
    let settles = goes_on || measured.iter().any(|(key, (_, units))| before(key) != *units);
    for (key, (taker, _)) in &measured {
        // A stretch of which a session drew may have been cut short since.
        takers.entry(key.clone()).or_insert_with(|| taker.clone()).end = taker.end;
    }
    let mut freed: BTreeMap<String, Number> = BTreeMap::new();
    let mut lower: BTreeSet<String> = BTreeSet::new();

    // Less usage takes charged units back before drawn ones, the bucket drawn last first. What
    // sessions drew for the time from now on is no matter of this settlement.
    let settled = |key: &TakerKey| key.start < now && due.contains(&key.accumulation());
    for (key, taker) in takers.iter_mut().filter(|(key, _)| settled(key)) {
        let units = measured.get(key).map_or_else(zero, |(_, units)| units.clone());
        let mut less = (taker.drawn_units() + &taker.charged - &units).max(zero());
        let uncharged = less.clone().min(taker.charged.clone());
        taker.charged -= &uncharged;
        less -= uncharged;
        for id in order.iter().rev() {
            let part = taker.drawn.get(id).cloned().unwrap_or_else(zero).min(less.clone());
            if part.is_positive() {
                less -= &part;
                taker.draw(id, &-&part);
                *freed.entry(id.clone()).or_insert_with(zero) += part;
            }
        }
    }
    for (id, units) in &freed {
        packages.buckets.get_mut(id).expect("drawn from").drawn -= units;
    }

    // Freed units first credit what was charged past their bucket, the earliest first, whoever's. What
    // is there otherwise credits those whom sessions displaced.
    let mut credited = BTreeSet::new();
    for (key, taker) in takers.iter_mut().filter(|(key, _)| accounts.contains(&key.account)) {
        for id in &order {
            let bucket = &packages.buckets[id];
            if !taker.charged.is_positive() || !packages.serves(bucket, key, taker) {
                continue;
            }
            let left = freed.entry(id.clone()).or_insert_with(zero);
            let by_freed = left.clone().min(taker.charged.clone());
            *left -= &by_freed;
            let displaced = settles && !bucket.is_expired && taker.displaced.contains(id);
            let there = if displaced { bucket.available.clone() } else { zero() };
            let by_there = there.min(&taker.charged - &by_freed);
            let units = &by_freed + &by_there;
            if units.is_positive() {
                taker.charged -= &units;
                taker.draw(id, &units);
                let bucket = packages.buckets.get_mut(id).expect("there");
                bucket.drawn += units;
                bucket.available -= &by_there;
                if by_there.is_positive() {
                    lower.insert(id.clone());
                }
                credited.insert(key.accumulation());
            }
        }
    }
    if settles {
        // Nothing that displaced them comes back any more.
        for taker in takers.iter_mut().filter(|(key, _)| accounts.contains(&key.account)).map(|(_, it)| it) {
            taker.displaced.retain(|id| packages.buckets[id].held.is_positive());
        }
    }
    for (id, units) in freed {
        let bucket = packages.buckets.get_mut(&id).expect("drawn from");
        if bucket.is_expired {
            bucket.expired += units;
        } else {
            bucket.available += units;
        }
    }

    // What is new draws what is there.
    for (key, (_, units)) in &measured {
        let taker = takers.get_mut(key).expect("put there");
        let mut left = units - taker.drawn_units() - &taker.charged;
        for id in &order {
            let bucket = &packages.buckets[id];
            let part = left.clone().min(bucket.available.clone());
            if part.is_positive() && packages.serves(bucket, key, taker) {
                left -= &part;
                taker.draw(id, &part);
                let bucket = packages.buckets.get_mut(id).expect("there");
                bucket.available -= &part;
                bucket.drawn += part;
                lower.insert(id.clone());
            }
        }
        if left.is_positive() {
            let serve = |id: &&String| packages.serves(&packages.buckets[*id], key, taker);
            let held = order.iter().filter(|id| packages.buckets[*id].held.is_positive()).filter(serve);
            let held: Vec<String> = held.cloned().collect();
            taker.displaced.extend(held);
        }
        taker.charged += left;
    }
    takers.retain(|_, taker| taker.charged.is_positive() || !taker.drawn.is_empty());
    packages.takers = takers;

    // Who has less than before is told so (R-PKG-4).
    for id in lower {
        let bucket = packages.buckets.get_mut(&id).expect("there");
        bucket.alert();
    }
    credited.into_iter().filter(|one| !due.contains(one)).collect()
}
