//! Over which times a charge accumulates.

use super::in_force;
use crate::calendar::{Instant, Span};
use crate::engine::Catalogues;
use crate::subscription::Subscription;

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

/// The accumulations of a charge within a time, in order, each once. There is none while the charge is left out.
pub(super) fn accumulations(
    catalogues: &Catalogues,
    subscription: &Subscription,
    charge: &str,
    within: Span,
) -> impl Iterator<Item = Span> {
    let mut at = within.start;
    std::iter::from_fn(move || {
        while at < within.end {
            if let Some(period) = accumulation(catalogues, subscription, charge, at) {
                at = period.end;
                return Some(period);
            }
            // Go on where the next version or plan begins.
            at = changes(catalogues, subscription).filter(|change| at < *change).min()?;
        }
        None
    })
}

/// When versions begin and plans change.
pub(super) fn changes(catalogues: &Catalogues, subscription: &Subscription) -> impl Iterator<Item = Instant> {
    let versions = catalogues.versions(&subscription.catalogue).filter_map(|version| version.effective);
    versions.chain(subscription.earlier.iter().map(|(_, until)| *until))
}
