//! Over which times a charge accumulates.

use super::in_force;
use crate::calendar::{Instant, Span};
use crate::engine::{Catalogues, just_before};
use crate::subscription::Subscription;
use std::cmp::Reverse;

/// The period around a moment over which the charge accumulates; `None` where a version or a plan leaves it out.
pub(super) fn accumulation(
    catalogues: &Catalogues,
    subscription: &Subscription,
    charge: &str,
    at: Instant,
) -> Option<Span> {
    let (catalogue, _, charge) = in_force(catalogues, subscription, charge, at)?;
    Some(catalogue.zone.cycle(charge.accumulate, at))
}

/// The accumulations of a charge that overlap a time, in order, each once. Where the charge is left out within one,
/// that one goes on to its end all the same: a minimum is owed then. Where it is left out of a whole one, there is none.
pub(super) fn accumulations(
    catalogues: &Catalogues,
    subscription: &Subscription,
    charge: &str,
    within: Span,
) -> impl Iterator<Item = Span> {
    let mut at = within.start;
    std::iter::from_fn(move || {
        while at < within.end {
            let period = accumulation(catalogues, subscription, charge, at);
            if let Some(period) = period.or_else(|| left_out_of(catalogues, subscription, charge, at)) {
                at = period.end;
                return Some(period);
            }
            // Go on where the next version or plan begins.
            at = changes(catalogues, subscription).filter(|change| at < *change).min()?;
        }
        None
    })
}

/// The accumulation around a moment that the charge was part of before it was left out.
fn left_out_of(
    catalogues: &Catalogues,
    subscription: &Subscription,
    charge: &str,
    at: Instant,
) -> Option<Span> {
    let begun = subscription.charged_span().start;
    let past = changes(catalogues, subscription).filter(|change| begun < *change && *change <= at);
    let mut past: Vec<Instant> = past.collect();
    past.sort_by_key(|change| Reverse(*change));
    let last = past.into_iter().find_map(|change| {
        let before = just_before(change);
        accumulation(catalogues, subscription, charge, before)
    });
    last.filter(|period| at < period.end)
}

/// When versions begin and plans change.
pub(super) fn changes(catalogues: &Catalogues, subscription: &Subscription) -> impl Iterator<Item = Instant> {
    let versions = catalogues.versions(&subscription.catalogue).filter_map(|version| version.effective);
    versions.chain(subscription.earlier.iter().map(|(_, until)| *until))
}
