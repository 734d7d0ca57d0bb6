//! The moment at which a lane counts an event (RULES.md §3, no. 7).

use super::{Event, Lane, LaneSpec};
use crate::calendar::{Instant, Span};
use crate::engine::just_before;

impl Lane {
    /// The moment that decides the period of an event; `None` where the lane's definition is not in force for it.
    pub(in crate::metering) fn moment(&self, event: &Event<'_>) -> Option<Instant> {
        let mut at = event.time;
        if self.meter.timed_by_start {
            at = event.start.unwrap_or(at);
            if let Some(run) = &self.run {
                if !run.contains(event.time) {
                    return None;
                }
                at = at.max(run.start).min(just_before(run.end));
            }
        }
        self.valid.contains(at).then_some(at)
    }
}

/// The time of the versions in a row that time a meter by the start of usage, as the lane's does, where others time it
/// by its end: what spans a change of that is counted once, by those in force at its end, and no earlier than they are.
/// `None` where there is no such change.
pub(in crate::metering) fn run_of<'l>(
    spec: &LaneSpec,
    all: impl Iterator<Item = &'l LaneSpec>,
) -> Option<Span> {
    if !spec.meter.timed_by_start {
        return None;
    }
    let alike = |other: &&LaneSpec| {
        let (own, other) = (&spec.key, &other.key);
        (&own.account, &own.catalogue, &own.meter) == (&other.account, &other.catalogue, &other.meter)
    };
    let by_end = all.filter(alike).filter(|other| !other.meter.timed_by_start);
    by_end.fold(None, |run, other| {
        let mut run = run.unwrap_or(Span { start: Instant::MIN, end: Instant::MAX });
        if other.valid.end <= spec.valid.start {
            run.start = run.start.max(other.valid.end);
        } else if other.valid.start >= spec.valid.end {
            run.end = run.end.min(other.valid.start);
        }
        Some(run)
    })
}
