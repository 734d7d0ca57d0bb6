//! Licences of an application: how many there are, who holds them, who uses them.
//!
//! How many there are is never stored: it follows at each moment from the subscriptions that run
//! then (R-TCCC-9). What is stored is who holds one, since when, and how it is used. A named
//! licence stays with its e-mail when the use ends; a concurrent one is free then
//! (RULES.md §3, no. 29).

use crate::account::View;
use crate::calendar::{Cycle, Instant, Span};
use crate::catalog::{Catalogue, Licence};
use crate::engine::Catalogues;
use crate::engine::lifecycle;
use std::collections::{BTreeMap, BTreeSet};

/// The attribute by which a subscription belongs to an application.
pub const APPLICATION: &str = "application";

/// Which licence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LicenceKey {
    /// The catalogue that it is in.
    pub catalogue: String,
    /// Its name there.
    pub licence: String,
}

/// The licences of one application in use, and its resets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// Who holds which.
    pub holders: BTreeMap<LicenceKey, BTreeMap<String, Held>>,
    /// When idle ones were released, oldest first; those of the last [`RESETS_KEPT_DAYS`] days.
    pub resets: Vec<Instant>,
}

/// How long a reset is remembered: longer than a calendar month in any zone.
pub const RESETS_KEPT_DAYS: i64 = 40;

/// A licence that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub since: Instant,
    /// The ways in which it is used now, and since when each. None: it is idle.
    pub ways: BTreeMap<String, Instant>,
    /// Whether it stays with its holder when the last use ends: it is a named one.
    pub bound: bool,
}

impl Application {
    /// Who holds a licence of this kind.
    pub fn holders(&self, key: &LicenceKey) -> impl Iterator<Item = (&String, &Held)> {
        self.holders.get(key).into_iter().flatten()
    }

    /// How many hold one.
    pub fn count(&self, key: &LicenceKey) -> usize {
        self.holders.get(key).map_or(0, BTreeMap::len)
    }

    /// The licence of this kind that somebody holds.
    pub fn held(&self, key: &LicenceKey, holder: &str) -> Option<&Held> {
        self.holders.get(key)?.get(holder)
    }

    /// Whether this holder is among the first so many: where there are fewer licences than holders,
    /// those who have held theirs longest keep them, at one moment by name.
    pub fn is_within(&self, key: &LicenceKey, holder: &str, licences: i64) -> bool {
        let Some(all) = self.holders.get(key) else { return false };
        let Some(own) = all.get(holder) else { return false };
        if i64::try_from(all.len()).is_ok_and(|all| all <= licences) {
            return true;
        }
        let earlier = all.iter().filter(|(name, held)| (held.since, name.as_str()) < (own.since, holder));
        i64::try_from(earlier.count()).is_ok_and(|earlier| earlier < licences)
    }

    /// How many resets there were in a month.
    pub fn resets_in(&self, month: Span) -> usize {
        self.resets.iter().filter(|at| month.contains(**at)).count()
    }
}

/// The licences of one kind that an application has at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool<'c> {
    /// Which.
    pub key: LicenceKey,
    /// The price list that describes it.
    pub catalogue: &'c Catalogue,
    /// What it is.
    pub licence: &'c Licence,
    /// How many there are.
    pub licences: i64,
    /// Which subscriptions bring how many.
    pub from: Vec<(String, i64)>,
}

impl Pool<'_> {
    /// The calendar month over which resets count, by the clock of the price list.
    pub fn month(&self, at: Instant) -> Span {
        self.catalogue.zone.cycle(Cycle::Month, at)
    }

    /// How many resets are left in the month, where there are resets.
    pub fn resets_left(&self, application: &Application, at: Instant) -> Option<u16> {
        let made = u16::try_from(application.resets_in(self.month(at))).unwrap_or(u16::MAX);
        self.licence.resets_per_month.map(|most| most.saturating_sub(made))
    }
}

/// The licences that an application has at a moment, by price list and name: those that the
/// subscriptions bring which serve (run and are not frozen, or are in grace) and belong to it.
pub fn pools<'c>(
    view: &dyn View,
    catalogues: &'c Catalogues,
    account: &str,
    application: &str,
    at: Instant,
) -> Vec<Pool<'c>> {
    let mut pools: BTreeMap<LicenceKey, Pool<'c>> = BTreeMap::new();
    for (subscription, units) in lifecycle::serving(view, account, at) {
        if units <= 0 || subscription.attributes.get(APPLICATION).is_none_or(|one| one != application) {
            continue;
        }
        let Some((catalogue, plan)) = catalogues.as_sold(subscription, at) else { continue };
        for (id, each) in &plan.licences {
            let Some(licence) = catalogue.licences.get(id) else { continue };
            let key = LicenceKey { catalogue: catalogue.id.clone(), licence: id.clone() };
            let brought = units.saturating_mul(i64::from(*each));
            let pool = pools.entry(key.clone()).or_insert_with(|| Pool {
                key,
                catalogue,
                licence,
                licences: 0,
                from: Vec::new(),
            });
            pool.licences = pool.licences.saturating_add(brought);
            pool.from.push((subscription.name.clone(), brought));
        }
    }
    pools.into_values().collect()
}

/// The applications that an account's subscriptions belong to, and those whose licences somebody
/// holds.
pub fn applications(view: &dyn View, account: &str, held: &[&str]) -> BTreeSet<String> {
    let names = view.subscriptions(account);
    let named = names.iter().filter_map(|name| {
        let subscription = view.subscription(account, name)?;
        subscription.attributes.get(APPLICATION).cloned()
    });
    named.chain(held.iter().map(|name| (*name).to_owned())).collect()
}

/// An e-mail or the name of a phone as one identity: without blanks around it; an e-mail without
/// regard to capitals (RULES.md §3, no. 33).
pub fn identity(written: &str, named: bool) -> String {
    if named { written.trim().to_lowercase() } else { written.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn an_email_is_one_whatever_its_capitals() {
        assert_eq!(identity("  Alice@Example.COM ", true), "alice@example.com");
        assert_eq!(identity(" Desk-1 ", false), "Desk-1");
    }

    #[test]
    fn those_who_held_longest_are_within() {
        let key = LicenceKey { catalogue: "c".into(), licence: "agent".into() };
        let held = |since: &str| Held { since: at(since), ways: BTreeMap::new(), bound: true };
        let holders = [
            ("carol", held("2026-05-01T08:00")),
            ("bob", held("2026-05-02T08:00")),
            ("alice", held("2026-05-02T08:00")),
        ];
        let holders = holders.map(|(name, held)| (name.to_owned(), held)).into();
        let application =
            Application { holders: BTreeMap::from([(key.clone(), holders)]), resets: Vec::new() };
        let within = |licences| {
            ["alice", "bob", "carol", "dave"].map(|name| application.is_within(&key, name, licences))
        };
        assert_eq!(within(3), [true, true, true, false]);
        assert_eq!(within(2), [true, false, true, false]);
        assert_eq!(within(1), [false, false, true, false]);
        assert_eq!(within(0), [false; 4]);
    }
}
