//! Counters taken out, to be kept, and put back: so that what was counted need not be counted again.

use super::lane::{Lane, ScopeCounters, SegmentCounts};
use super::{Counter, Metering, Scope, Value, push_text};
use crate::calendar::{Instant, Span, Zone};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

/// What one lane counted in one segment of time.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedSegment {
    /// The lane: its place among those of the metering.
    pub lane: u32,
    /// The segment.
    pub span: Span,
    /// The latest moment that anything was counted at, or taken back.
    pub last: Instant,
    /// Its counters, in the order of scopes.
    pub counters: Vec<(Scope, Counter)>,
}

/// Months since year 0, UTC: what is kept of counters is kept by the month in which segments begin.
pub type MonthNumber = i32;

fn month_of(at: Instant) -> MonthNumber {
    let local = Zone::utc().local(at);
    i32::from(local.year()) * 12 + i32::from(local.month()) - 1
}

impl Metering {
    /// Tells lanes from other lanes: what each counts and in which order, but not where time is cut. Counters fit a
    /// metering of the same fingerprint.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for lane in &self.lanes {
            let spec = lane.spec();
            let said = format!(
                "{:?};{:?};{:?};{:?};{:?};{:?};",
                spec.key, spec.meter, spec.valid, spec.zone, spec.cycle, spec.dimensions
            );
            hash.write(said.as_bytes());
            if let Some(run) = &lane.run {
                hash.write(format!("{run:?}").as_bytes());
            }
            if let Some(deck) = &spec.deck {
                let rows = deck.rows.iter().map(|row| (&row.prefix, row.first_step_s, row.next_step_s));
                let said = format!("{:?}{:?}{:?}", deck.destination, deck.bands, rows.collect::<Vec<_>>());
                hash.write(said.as_bytes());
            }
        }
        hash.finish()
    }

    /// The months in which anything was counted, or taken back, since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<MonthNumber> {
        let mut months = BTreeSet::new();
        for segment in self.lanes.iter_mut().flat_map(|lane| &mut lane.segments) {
            if std::mem::take(&mut segment.is_changed) {
                months.insert(month_of(segment.span.start));
            }
        }
        months
    }

    /// What was counted in a month.
    pub fn counted_in(&self, month: MonthNumber) -> Vec<CountedSegment> {
        let mut found = Vec::new();
        for (number, lane) in (0..).zip(&self.lanes) {
            for segment in lane.segments.iter().filter(|segment| month_of(segment.span.start) == month) {
                let counters = segment.counters.iter().filter(|(_, counter)| counter.events != 0);
                let mut counters: Vec<(Scope, Counter)> = counters
                    .map(|(scope, counter)| (lane.rest.scopes[scope as usize].clone(), counter.clone()))
                    .collect();
                counters.sort_by(|a, b| a.0.cmp(&b.0));
                let (span, last) = (segment.span, segment.last);
                found.push(CountedSegment { lane: number, span, last, counters });
            }
        }
        found
    }

    /// Puts back what was counted, into a metering of the same fingerprint that has not counted in that segment yet.
    /// Answers whether it fits: where time is cut within the segment now, it must be counted again.
    pub fn put_back(&mut self, counted: CountedSegment) -> bool {
        match self.lanes.get_mut(counted.lane as usize) {
            Some(lane) => lane.put_back(counted),
            None => false,
        }
    }

    /// Whether another metering of the same lanes has counted the same.
    pub fn counts_the_same(&self, other: &Metering) -> bool {
        let all = |metering: &Metering| -> Vec<CountedSegment> {
            let mut found: Vec<CountedSegment> =
                metering.months().into_iter().flat_map(|month| metering.counted_in(month)).collect();
            // When anything was counted or taken back last says nothing of what there is.
            found.retain(|segment| !segment.counters.is_empty());
            found.iter_mut().for_each(|segment| segment.last = segment.span.start);
            found
        };
        all(self) == all(other)
    }

    fn months(&self) -> BTreeSet<MonthNumber> {
        self.lanes
            .iter()
            .flat_map(|lane| &lane.segments)
            .map(|segment| month_of(segment.span.start))
            .collect()
    }
}

impl Lane {
    fn put_back(&mut self, counted: CountedSegment) -> bool {
        let CountedSegment { mut span, last, counters, .. } = counted;
        let cuts = &self.rest.spec.cuts;
        let after = cuts.partition_point(|cut| *cut <= span.start);
        if let Some(cut) = cuts.get(after).filter(|cut| **cut < span.end) {
            // All that was counted lies before the cut, or on which side it lies is not known.
            if last >= *cut {
                return false;
            }
            span.end = *cut;
        }
        let place = self.segments.partition_point(|segment| segment.span.start < span.start);
        let is_free = |segment: Option<&SegmentCounts>| {
            segment.is_none_or(|other| other.span.end <= span.start || span.end <= other.span.start)
        };
        if !is_free(self.segments.get(place))
            || !is_free(place.checked_sub(1).and_then(|at| self.segments.get(at)))
        {
            return false;
        }
        let mut by_scope = ScopeCounters::default();
        for (scope, counter) in counters {
            let Some(id) = self.id_of(scope) else { return false };
            by_scope.insert(id, counter);
        }
        self.segments.insert(place, SegmentCounts { span, last, counters: by_scope, is_changed: false });
        self.note_starts();
        self.latest = 0;
        true
    }

    /// The number of a scope, a new one where it has none yet; `None` when the lane has no such scope.
    pub(super) fn id_of(&mut self, scope: Scope) -> Option<u32> {
        let key = self.key_of(&scope)?;
        if let Some(id) = self.rest.scope_ids.get(key.as_slice()) {
            return Some(*id);
        }
        let id = self.push_scope(scope);
        self.rest.scope_ids.insert(key.into(), id);
        Some(id)
    }

    /// The key under which events of a scope find it, where their tags come in the order of their names. Other orders
    /// are found by the scope itself.
    fn key_of(&self, scope: &Scope) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        if let Some(deck) = &self.rest.spec.deck {
            let prefix = scope.prefix.as_deref()?;
            let row = deck.rows.iter().position(|row| row.prefix == prefix)?;
            key.extend_from_slice(&(row as u32).to_le_bytes());
        }
        let mut text = |value: Option<&String>| push_text(&mut key, value.map(|value| Value::Text(value)));
        text(scope.application.as_ref());
        text(scope.project.as_ref());
        self.rest.spec.dimensions.iter().for_each(|name| text(scope.dimensions.get(name)));
        for (name, value) in &scope.tags {
            text(Some(&format!("tag:{name}")));
            text(Some(value));
        }
        Some(key)
    }
}
