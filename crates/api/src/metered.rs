//! What was counted of an account's usage.

use crate::bill::{Period, period};
use farebox_core::calendar::{Cycle, Instant, Span, Zone};
use farebox_core::catalog::Aggregate;
use farebox_core::metering::{Metering, Scope};
use farebox_core::money::Exact;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use utoipa::ToSchema;

/// What a meter has counted in a stretch of time: a day, or an hour where it is settled or counted by the hour, cut where
/// prices or orders change; or the hour, day or month by which these were added up.
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
    /// only a settlement can say, and of what cannot be added up.
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
    /// `by`: stretches are added up by the cycles of a wall clock that they lie in; a longer one stays as it is, and by
    /// the hour is shown where it overlaps the time. A quantity that cannot be added up, such as how many different values there were, is not known then.
    ///
    /// Each comes with a text that is its own as long as it is there, and by which they are in order.
    pub fn all(
        metering: &Metering,
        account: &str,
        within: Span,
        by: Option<(&Zone, Cycle)>,
    ) -> Vec<(String, Metered)> {
        let mut all: BTreeMap<(Place, Instant, Scope), Sum> = BTreeMap::new();
        for lane in metering.lanes_of(account) {
            let (key, meter) = (&lane.spec().key, &lane.spec().meter);
            for (span, counters) in lane.segments(within) {
                let cycle = by.map(|(zone, cycle)| zone.cycle(cycle, span.start));
                let fits = cycle.filter(|cycle| span.end <= cycle.end);
                let period = fits.unwrap_or(span);
                // What is counted by the day only is there for any of its hours.
                let is_longer = fits.is_none() && by.is_some_and(|(_, cycle)| cycle == Cycle::Hour);
                if !within.contains(span.start) && !is_longer {
                    continue;
                }
                for (scope, counter) in counters.iter().filter(|(_, counter)| counter.events != 0) {
                    let measured =
                        counter.quantity(span, 0).and_then(|measured| measured.div(meter.unit_size));
                    let quantity = measured.ok().filter(|_| meter.aggregate != Aggregate::TimeWeighted);
                    let place = Place {
                        catalogue: key.catalogue.clone(),
                        meter: key.meter.clone(),
                        deck: key.deck.clone(),
                    };
                    let (event, unit) = (meter.event.clone(), meter.unit.clone());
                    let new = Sum { event, unit, period, events: counter.events, quantity };
                    match all.entry((place, period.start, (*scope).clone())) {
                        Entry::Vacant(entry) => drop(entry.insert(new)),
                        Entry::Occupied(mut entry) => entry.get_mut().add(new, meter.aggregate),
                    }
                }
            }
        }
        let shown = |((place, start, scope), sum): ((Place, Instant, Scope), Sum)| {
            let key = place.key(start, &scope);
            let mut group = scope.dimensions;
            group.extend(scope.prefix.map(|prefix| ("prefix".to_owned(), prefix)));
            let metered = Metered {
                catalogue: place.catalogue,
                meter: place.meter,
                event: sum.event,
                period: period(sum.period),
                events: sum.events,
                quantity: sum.quantity.map(|quantity| quantity.decimal(0)),
                unit: sum.unit,
                project: scope.project,
                application: scope.application,
                tags: scope.tags,
                group,
            };
            (key, metered)
        };
        all.into_iter().map(shown).collect()
    }
}

/// Which meter, in the order in which they are shown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    catalogue: String,
    meter: String,
    deck: Option<String>,
}

impl Place {
    /// What tells usage from all other: where and when it was counted, and whose it is. What is not told comes first.
    fn key(&self, start: Instant, scope: &Scope) -> String {
        let Place { catalogue, meter, deck } = self;
        let Scope { application, project, dimensions, tags, prefix } = scope;
        let text =
            |value: &Option<String>| value.as_ref().map(|value| format!("{value:?}")).unwrap_or_default();
        let values = |all: &BTreeMap<String, String>| match all.is_empty() {
            true => String::new(),
            false => format!("{all:?}"),
        };
        let deck = deck.as_deref().unwrap_or_default();
        let (start, application, project) = (start.as_nanosecond(), text(application), text(project));
        let (dimensions, tags, prefix) = (values(dimensions), values(tags), text(prefix));
        format!("{catalogue} {meter} {deck} {start:020} {application} {project} {dimensions} {tags} {prefix}")
    }
}

/// What was counted in a stretch of time.
struct Sum {
    event: String,
    unit: String,
    period: Span,
    events: i64,
    quantity: Option<Exact>,
}

impl Sum {
    fn add(&mut self, more: Sum, aggregate: Aggregate) {
        self.events += more.events;
        self.period.end = self.period.end.max(more.period.end);
        self.quantity = match (aggregate, self.quantity, more.quantity) {
            (Aggregate::Count | Aggregate::Sum, Some(one), Some(other)) => one.add(other).ok(),
            (Aggregate::Max, Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
    }
}
