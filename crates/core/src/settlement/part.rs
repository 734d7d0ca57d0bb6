//! Which part of an accumulation a settlement looks at: all of it, or what is new.

use super::{Context, Work, agreed, in_force};
use crate::calendar::{Instant, Span};
use crate::catalog::{Aggregate, Charge, Measure, Model, Pricing};
use crate::money::Exact;
use crate::quantity::{self, Kind};
use crate::subscription::Subscription;
use std::collections::BTreeMap;

/// The part of an accumulation that a settlement looks at: all of it, or what is new.
pub(super) struct Part {
    pub(super) period: Span,
    /// From here on.
    pub(super) from: Instant,
    /// Units before that, by group; those that packages paid for too, where they count.
    pub(super) before: Units,
}

/// Priced units by what a charge accumulates per.
pub(super) type Units = BTreeMap<quantity::Group, Exact>;

impl Part {
    /// What is new, where what was charged before cannot have changed and is a function of the
    /// units alone: nothing touched it, quantities add up, and one price holds for all of it or each
    /// unit costs what its place says.
    pub(super) fn of(
        context: &Context<'_>,
        subscription: &Subscription,
        charge: &str,
        period: Span,
        work: &Work,
    ) -> Part {
        let whole = Part { period, from: period.start, before: Units::new() };
        let progress = subscription.progress.get(charge).filter(|known| known.accumulation == period.start);
        let (Some(progress), None) = (progress, work.recheck) else { return whole };
        let known = in_force(context.catalogues, subscription, charge, work.settled);
        let adds_up = known.is_some_and(|(list, _, charge)| match &charge.measure {
            Measure::Meter(meter) => list
                .meters
                .get(meter)
                .is_some_and(|meter| matches!(meter.aggregate, Aggregate::Count | Aggregate::Sum)),
            Measure::Held(_) | Measure::Fixed | Measure::Term => false,
        });
        let inside = |at: &Instant| period.start < *at && *at < period.end;
        let versions = || context.catalogues.versions(&subscription.catalogue);
        let mut prices = versions().filter_map(|version| version.effective).chain(
            agreed(context.account, subscription, charge)
                .flat_map(|price| [price.valid.start, price.valid.end]),
        );
        let counts_all = known.is_some_and(|(.., charge)| charge.tiers_count_all);
        let one_price = !counts_all && !prices.any(|at| inside(&at));
        let by_place = || {
            let mut charges =
                versions().filter_map(|list| Some((list, list.plan(&subscription.plan)?.1.charge(charge)?)));
            let kind = known.map(|(list, _, charge)| Kind::of(list, charge));
            charges.all(|(list, charge)| is_by_place(charge) && kind == Some(Kind::of(list, charge)))
        };
        let changed = subscription.earlier.iter().any(|(_, until)| inside(until));
        // What is frozen to its end still has a minimum, for the time before.
        let mut frozen = subscription.frozen.iter().flat_map(|span| [span.start, span.end]);
        let changed = changed || frozen.any(|at| inside(&at));
        if !adds_up || changed || !(one_price || by_place()) {
            return whole;
        }
        Part { period, from: work.settled, before: progress.units.clone() }
    }
}

/// Whether units cost what their place in the accumulation says, whatever those before them cost, and
/// whether those were charged or drawn from packages.
fn is_by_place(charge: &Charge) -> bool {
    let Pricing { model, minimum, maximum, .. } = &charge.pricing;
    matches!(model, Model::PerUnit(_) | Model::Graduated(_)) && minimum.is_none() && maximum.is_none()
}
