//! What was counted of an account's usage.

use crate::bill::{Period, period};
use farebox_core::calendar::Span;
use farebox_core::catalog::Aggregate;
use farebox_core::metering::Metering;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a meter has counted in a stretch of time: the shortest cycle in which it is settled, cut where prices or orders
/// change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Metered {
    /// The price list.
    pub catalogue: String,
    /// The meter.
    pub meter: String,
    /// The type of its events.
    pub event: String,
    /// The time.
    pub period: Period,
    /// How many events.
    pub events: i64,
    /// How much they come to, in priced units, before anything is rounded; `null` of a meter of levels over time, which
    /// only a settlement can say.
    pub quantity: Option<String>,
    /// What a priced unit is called.
    pub unit: String,
    /// The project; `null` is unassigned.
    pub project: Option<String>,
    /// The application.
    pub application: Option<String>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
    /// What tells it apart besides, such as a number; under a rate deck the prefix.
    pub group: BTreeMap<String, String>,
}

impl Metered {
    /// What was counted of an account in stretches that begin within a time: by price list and meter, then by time.
    pub fn all(metering: &Metering, account: &str, within: Span) -> Vec<Metered> {
        let mut all = Vec::new();
        for lane in metering.lanes_of(account) {
            let (key, meter) = (&lane.spec().key, &lane.spec().meter);
            for (span, counters) in lane.segments(within) {
                let counted = counters.iter().filter(|(_, counter)| counter.events != 0);
                for (scope, counter) in counted.filter(|_| within.contains(span.start)) {
                    let quantity =
                        counter.quantity(span, 0).and_then(|measured| measured.div(meter.unit_size));
                    let quantity = quantity.ok().filter(|_| meter.aggregate != Aggregate::TimeWeighted);
                    let mut group = scope.dimensions.clone();
                    group.extend(scope.prefix.iter().map(|prefix| ("prefix".to_owned(), prefix.clone())));
                    all.push(Metered {
                        catalogue: key.catalogue.clone(),
                        meter: key.meter.clone(),
                        event: meter.event.clone(),
                        period: period(span),
                        events: counter.events,
                        quantity: quantity.map(|quantity| quantity.decimal(0)),
                        unit: meter.unit.clone(),
                        project: scope.project.clone(),
                        application: scope.application.clone(),
                        tags: scope.tags.clone(),
                        group,
                    });
                }
            }
        }
        let place = |one: &Metered| (one.catalogue.clone(), one.meter.clone(), one.period.start.clone());
        all.sort_by_key(place);
        all
    }
}
