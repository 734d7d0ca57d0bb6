//! Which subscriptions of an account a settlement must look at.
//!
//! A subscription that has ended and is settled to its end leaves the roster; what changes it brings
//! it back. So nothing that is done again and again grows with the age of an account.

use crate::calendar::Instant;
use crate::catalog::Mode;
use crate::subscription::Subscription;
use std::collections::{BTreeMap, BTreeSet};

/// What decides when a subscription settles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rhythm {
    /// The catalogue.
    pub catalogue: String,
    /// The plan that it has, and those that it had.
    pub plans: Vec<String>,
    /// How it is paid.
    pub mode: Mode,
}

impl Rhythm {
    /// That of a subscription.
    pub fn of(subscription: &Subscription) -> Rhythm {
        let plans = subscription.plans().map(str::to_owned).collect();
        Rhythm { catalogue: subscription.catalogue.clone(), plans, mode: subscription.mode }
    }
}

/// The subscriptions of an account, apart by whether anything of them is left to settle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    open: BTreeMap<String, Rhythm>,
    /// How many open ones there are of each.
    rhythms: BTreeMap<Rhythm, usize>,
    /// Names of the others with the end of what is charged.
    closed: BTreeMap<String, Instant>,
    by_end: BTreeSet<(Instant, String)>,
}

impl Roster {
    /// Something of the subscription is to be settled, or may be: it is new, or has changed.
    pub(crate) fn open(&mut self, subscription: &Subscription) {
        let name = &subscription.name;
        if let Some(end) = self.closed.remove(name) {
            self.by_end.remove(&(end, name.clone()));
        }
        let rhythm = Rhythm::of(subscription);
        if self.open.get(name) == Some(&rhythm) {
            return;
        }
        self.forget(name);
        *self.rhythms.entry(rhythm.clone()).or_default() += 1;
        self.open.insert(name.clone(), rhythm);
    }

    /// It has ended, and all of it is settled.
    pub(crate) fn close(&mut self, subscription: &Subscription) {
        let name = &subscription.name;
        self.forget(name);
        let end = subscription.charged_span().end;
        self.closed.insert(name.clone(), end);
        self.by_end.insert((end, name.clone()));
    }

    fn forget(&mut self, name: &str) {
        let Some(rhythm) = self.open.remove(name) else { return };
        if let Some(count) = self.rhythms.get_mut(&rhythm) {
            *count -= 1;
            if *count == 0 {
                self.rhythms.remove(&rhythm);
            }
        }
    }

    /// The rhythms of the open ones.
    pub fn rhythms(&self) -> impl Iterator<Item = &Rhythm> {
        self.rhythms.keys()
    }

    /// Those that are settled to an end later than this.
    pub fn closed_since(&self, since: Instant) -> impl Iterator<Item = &str> {
        let after =
            (std::ops::Bound::Excluded((since, String::from('\u{10FFFF}'))), std::ops::Bound::Unbounded);
        self.by_end.range(after).map(|(_, name)| name.as_str())
    }

    /// The open ones, and those that are settled to an end later than this, by name.
    pub fn since(&self, since: Instant) -> Vec<&str> {
        let mut names: Vec<&str> = self.open.keys().map(String::as_str).collect();
        let open = names.len();
        names.extend(self.closed_since(since));
        if names.len() > open {
            names.sort_unstable();
        }
        names
    }
}
