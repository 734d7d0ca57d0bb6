//! When charges settle.

use super::draw::there_again;
use crate::account::{AccountHead, View};
use crate::calendar::{Cycle, Instant, Zone};
use crate::catalog::Settle;
use crate::engine::Catalogues;
use crate::roster::Rhythm;
use crate::subscription::Subscription;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The moment at which something of the account settles next, after `now`.
pub(crate) fn next_due(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &AccountHead,
    now: Instant,
    late_from: Option<Instant>,
) -> Option<Instant> {
    // Late usage of what is settled to its end is settled at the next boundary too.
    let late = late_from.map(|late| view.settled_since(&account.id, late)).unwrap_or_default();
    // So is what sessions displaced, when they have let go of units.
    let displaced = there_again(view, account.payer()).into_values().flat_map(|charges| charges.keys());
    let displaced = displaced.filter(|(whose, ..)| *whose == account.id);
    let displaced = displaced.filter_map(|(whose, name, _)| view.subscription(whose, name));
    let late: BTreeSet<Rhythm> = late.into_iter().chain(displaced).map(Rhythm::of).collect();
    let rhythms = view.rhythms(&account.id).into_iter().chain(&late);
    // What starts on a boundary, or is settled there, is due at the one after.
    let boundaries = rhythms.flat_map(|rhythm| charges_of(catalogues, rhythm));
    boundaries.map(|(_, zone, cycle)| zone.cycle(cycle, now).end).min()
}

/// The charges that subscriptions of a rhythm ever have, with the zone and the cycle in which they
/// settle.
pub(super) fn charges_of(catalogues: &Catalogues, rhythm: &Rhythm) -> ChargedCycles {
    let mut found = Vec::new();
    for catalogue in catalogues.versions(&rhythm.catalogue) {
        let plans = rhythm.plans.iter().filter_map(|plan| catalogue.plan(plan));
        for charge in plans.flat_map(|(_, plan)| &plan.charges) {
            let Settle::Each(cycle) = charge.settle else { continue };
            let known = found.iter().any(|(id, ..): &(String, Zone, Cycle)| *id == charge.id);
            if charge.modes.contains(&rhythm.mode) && !known {
                found.push((charge.id.clone(), catalogue.zone.clone(), cycle));
            }
        }
    }
    found
}

/// Charges with the zone and the cycle in which they settle.
pub(super) type ChargedCycles = Vec<(String, Zone, Cycle)>;

/// The charges of each rhythm, found once for a settlement.
#[derive(Default)]
pub(super) struct Rhythms(BTreeMap<Rhythm, Rc<ChargedCycles>>);

impl Rhythms {
    pub fn charges_of(&mut self, catalogues: &Catalogues, subscription: &Subscription) -> Rc<ChargedCycles> {
        let rhythm = Rhythm::of(subscription);
        let find = || Rc::new(charges_of(catalogues, &rhythm));
        self.0.entry(rhythm.clone()).or_insert_with(find).clone()
    }
}
