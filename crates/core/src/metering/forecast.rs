//! Usage as it would go on: what was counted so far, extrapolated over the rest of a period.

use super::Metering;
use super::counter::{Aggregated, Counter};
use super::lane::{Lane, Place};
use crate::calendar::{Instant, Span};
use crate::catalog::Aggregate;
use std::collections::BTreeMap;

impl Metering {
    /// These counters, cut at a moment, so that something may be worked out as if it ended there. What was counted
    /// already and lies between the moment and the end of what was counted together, such as the hour, is taken for
    /// used before it: it is for showing only.
    pub fn as_of(&self, at: Instant) -> Metering {
        let mut metering = self.clone();
        metering.lanes.iter_mut().for_each(|lane| lane.end_at(at));
        metering
    }

    /// These counters at a moment, with the usage of some accounts going on until the period's end as
    /// in the part of the period before the moment. Counts and sums go on in proportion to time;
    /// levels hold on; a greatest, latest or different value stays what it was. Usage that is counted
    /// already and happens later is left out.
    pub fn forecast(&self, accounts: &[String], period: Span, at: Instant) -> Metering {
        let mut metering = self.clone();
        for account in accounts {
            let kinds: Vec<_> = metering.all_of(account).cloned().collect();
            for lane in kinds.into_iter().flatten() {
                metering.lanes[lane].go_on(period, at);
            }
        }
        metering
    }
}

impl Lane {
    /// Cuts it at a moment. What was counted on both sides is not told apart: nothing is counted again for it.
    fn end_at(&mut self, at: Instant) {
        if self.cut(at) {
            let after = self.segments.partition_point(|segment| segment.span.start < at);
            if let Some(segment) = after.checked_sub(1).and_then(|index| self.segments.get_mut(index)) {
                segment.span.end = segment.span.end.min(at);
            }
        }
    }

    /// Leaves out what was counted from a moment on.
    fn forget_from(&mut self, at: Instant) {
        self.segments.truncate(self.segments.partition_point(|segment| segment.span.start < at));
        self.note_starts();
        self.latest = 0;
    }

    fn go_on(&mut self, period: Span, at: Instant) {
        self.forget_from(at);
        let valid = self.spec().valid;
        let before = Span { start: period.start, end: at }.intersect(valid);
        let rest = Span { start: at, end: period.end }.intersect(valid);
        let adds_up = matches!(self.spec().meter.aggregate, Aggregate::Count | Aggregate::Sum);
        let (Some(before), Some(rest), true) = (before, rest, adds_up) else { return };
        let (seconds, all) = (seconds(before), seconds(rest));
        if seconds == 0 || all == 0 {
            return;
        }
        let mut sums: BTreeMap<u32, Counter> = BTreeMap::new();
        for (scope, counter) in self.counted_in(before) {
            match sums.get_mut(&scope) {
                // A sum that does not fit is not forecast.
                Some(sum) => drop(sum.merge(counter)),
                None => drop(sums.insert(scope, counter.clone())),
            }
        }
        let mut start = rest.start;
        while start < rest.end {
            let Ok(segment) = self.segment_at(start) else { return };
            let end = self.span_of(segment).end.min(rest.end);
            // By running totals, so that nothing is lost between segments.
            let until = |moment: Instant| self::seconds(Span { start: rest.start, end: moment });
            for (scope, sum) in &sums {
                let share = |value: i128| {
                    let part = |seconds_on: i128| match value.checked_mul(seconds_on) {
                        Some(product) => product / seconds,
                        None => value / seconds * seconds_on,
                    };
                    part(until(end)) - part(until(start))
                };
                let value = scaled(&sum.value, share);
                let counter = self.counter(Place::of(segment, *scope), start);
                let _ = counter.merge(&Counter { events: 1, value });
            }
            start = end;
        }
    }
}

fn seconds(span: Span) -> i128 {
    (span.end.as_nanosecond() - span.start.as_nanosecond()) / 1_000_000_000
}

fn scaled(value: &Aggregated, share: impl Fn(i128) -> i128) -> Aggregated {
    let short = |value: i64| i64::try_from(share(value.into())).unwrap_or(i64::MAX);
    match value {
        Aggregated::Sum(sum) => Aggregated::Sum(share(*sum)),
        Aggregated::Deck(count) => {
            let mut count = count.clone();
            count.calls = short(count.calls);
            for band in &mut count.bands {
                (band.first_s, band.next_s) = (short(band.first_s), short(band.next_s));
            }
            Aggregated::Deck(count)
        }
        other => other.clone(),
    }
}
