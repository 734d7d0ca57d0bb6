//! Usage as it would go on: what was counted so far, extrapolated over the rest of a period.

use super::Metering;
use super::counter::{Aggregated, Counter, DeckCount, DeckSeconds};
use super::deck::Prefixes;
use super::lane::{Lane, LaneSpec, Place, Scope};
use crate::calendar::{Instant, Span};
use crate::catalog::Aggregate;
use std::collections::BTreeMap;

/// Counters with the usage of some accounts going on: they can be cut at any moment, in proportion to time, so that
/// what happens in the rest of the period can divide them as it would divide what was really used.
#[derive(Clone, Debug)]
pub struct Forecast {
    metering: Metering,
    /// The lanes of those accounts.
    lanes: Vec<usize>,
    /// From when on nothing was counted.
    at: Instant,
    /// How lanes of them go on, by their places.
    going: BTreeMap<usize, Going>,
}

/// How a lane's usage goes on.
#[derive(Clone, Debug)]
struct Going {
    /// The rest of the period, as far as the lane is in force.
    rest: Span,
    /// In how many seconds the sums were counted.
    seconds: i128,
    /// What was counted, by scope.
    sums: BTreeMap<u32, Counter>,
}

impl Metering {
    /// These counters, cut at a moment, so that something may be worked out as if it ended there: see
    /// [`Metering::end_at`].
    pub fn as_of(&self, at: Instant) -> Metering {
        let mut metering = self.clone();
        metering.end_at(at);
        metering
    }

    /// Cuts these counters at a moment, for showing only: what was counted already and lies between the moment and the
    /// end of what was counted together, such as the hour, is taken for used before it.
    pub fn end_at(&mut self, at: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.end_at(at));
    }

    /// These counters at a moment, with the usage of some accounts going on until the period's end as in the part of
    /// the period before the moment, whichever versions of a price list were in force in it. Counts and sums go on in
    /// proportion to time; levels hold on; a greatest, latest or different value stays what it was. Usage that is
    /// counted already and happens later is left out.
    ///
    /// `is_taken`: whether what was counted by a lane, for a scope from a moment on, is anything's that is charged.
    pub fn forecast(
        &self,
        accounts: &[String],
        period: Span,
        at: Instant,
        mut is_taken: impl FnMut(&LaneSpec, &Scope, Instant) -> bool,
    ) -> Forecast {
        let mut metering = self.clone();
        let (mut all, mut going) = (Vec::new(), BTreeMap::new());
        for account in accounts {
            let kinds: Vec<_> = metering.all_of(account).cloned().collect();
            for kind in kinds {
                for lane in &mut metering.lanes[kind.clone()] {
                    lane.end_at(at);
                    lane.forget_from(at);
                }
                for place in kind.clone() {
                    let goes_on = metering.goes_on(kind.clone(), place, (period, at), &mut is_taken);
                    going.extend(goes_on.map(|goes_on| (place, goes_on)));
                }
                all.extend(kind);
            }
        }
        for (place, going) in &going {
            metering.lanes[*place].go_on(going, going.rest, at);
        }
        Forecast { metering, lanes: all, at, going }
    }

    /// How a lane goes on: as what the lanes of the same meter counted, each while it was in force.
    fn goes_on(
        &mut self,
        kind: std::ops::Range<usize>,
        place: usize,
        (period, at): (Span, Instant),
        is_taken: &mut impl FnMut(&LaneSpec, &Scope, Instant) -> bool,
    ) -> Option<Going> {
        let spec = self.lanes[place].spec();
        let rest = Span { start: at, end: period.end }.intersect(spec.valid)?;
        if !matches!(spec.meter.aggregate, Aggregate::Count | Aggregate::Sum) {
            return None;
        }
        let mut going = Going { rest, seconds: 0, sums: BTreeMap::new() };
        for source in kind {
            let (own, other) = (self.lanes[place].spec(), self.lanes[source].spec());
            let before = Span { start: period.start, end: at }.intersect(other.valid);
            let Some(before) = before.filter(|_| counts_alike(own, other)) else { continue };
            going.seconds += seconds(before);
            for (scope, counter) in self.lanes[source].sums(before, &mut *is_taken) {
                let (scope, counter) = if source == place {
                    (Some(scope), counter)
                } else {
                    let from = &self.lanes[source].rest;
                    let known = from.scopes[scope as usize].clone();
                    let (known, counter) = under(known, counter, &from.spec, self.lanes[place].spec());
                    (known.and_then(|known| self.lanes[place].id_of(known)), counter)
                };
                match scope.map(|scope| (scope, going.sums.get_mut(&scope))) {
                    // A sum that does not fit is not forecast.
                    Some((_, Some(sum))) => drop(sum.merge(&counter)),
                    Some((scope, None)) => drop(going.sums.insert(scope, counter)),
                    None => {}
                }
            }
        }
        (going.seconds > 0).then_some(going)
    }
}

impl Forecast {
    /// The counters.
    pub fn metering(&self) -> &Metering {
        &self.metering
    }

    /// Cuts the counters at a moment. What goes on over it is divided in proportion to time. What was really counted on
    /// both sides is taken for used before it.
    pub fn cut(&mut self, moment: Instant) {
        for place in &self.lanes {
            let lane = &mut self.metering.lanes[*place];
            match self.going.get(place).filter(|going| going.rest.contains(moment)) {
                Some(going) => {
                    if let Some(divided) = lane.take_over(moment) {
                        lane.cut(moment);
                        lane.go_on(going, divided, self.at);
                    } else {
                        lane.cut(moment);
                    }
                }
                None => lane.end_at(moment),
            }
        }
    }
}

impl Lane {
    /// See [`Metering::end_at`].
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

    /// Takes out the segment that has a moment inside; answers its time.
    fn take_over(&mut self, moment: Instant) -> Option<Span> {
        let after = self.segments.partition_point(|segment| segment.span.start < moment);
        let index = after.checked_sub(1).filter(|index| moment < self.segments[*index].span.end)?;
        let taken = self.segments.remove(index);
        self.note_starts();
        self.latest = 0;
        Some(taken.span)
    }

    /// What it counted in a time and is taken, by scope.
    fn sums(
        &self,
        within: Span,
        is_taken: &mut impl FnMut(&LaneSpec, &Scope, Instant) -> bool,
    ) -> BTreeMap<u32, Counter> {
        let mut sums: BTreeMap<u32, Counter> = BTreeMap::new();
        for (start, scope, counter) in self.counted_in(within) {
            if !is_taken(self.spec(), &self.rest.scopes[scope as usize], start.max(within.start)) {
                continue;
            }
            match sums.get_mut(&scope) {
                // A sum that does not fit is not forecast.
                Some(sum) => drop(sum.merge(counter)),
                None => drop(sums.insert(scope, counter.clone())),
            }
        }
        sums
    }

    /// Counts in a part of the rest what goes on since a moment. The part has not counted yet.
    fn go_on(&mut self, going: &Going, part: Span, since: Instant) {
        let mut start = part.start;
        while start < part.end {
            let Ok(segment) = self.segment_at(start) else { return };
            let end = self.span_of(segment).end.min(part.end);
            // By running totals, so that nothing is lost between segments, nor between lanes.
            let until = |moment: Instant| seconds(Span { start: since, end: moment });
            for (scope, sum) in &going.sums {
                let share = |value: i128| {
                    let part = |seconds_on: i128| match value.checked_mul(seconds_on) {
                        Some(product) => product / going.seconds,
                        None => value / going.seconds * seconds_on,
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

/// Whether two lanes of one type of event are of one meter, and what one counted can go on in the other.
fn counts_alike(one: &LaneSpec, other: &LaneSpec) -> bool {
    let what = |spec: &LaneSpec| (spec.meter.aggregate, spec.meter.of.clone(), spec.deck.is_some());
    one.key == other.key && what(one) == what(other)
}

/// What was counted for a scope by one lane, as another counts it: by what that one tells apart, the prefixes of its
/// deck and its bands. No scope where the deck has no row for it.
fn under(scope: Scope, counter: Counter, from: &LaneSpec, to: &LaneSpec) -> (Option<Scope>, Counter) {
    let mut scope = scope;
    scope.dimensions.retain(|name, _| to.dimensions.contains(name));
    let (Some(old), Some(new)) = (&from.deck, &to.deck) else { return (Some(scope), counter) };
    let row = scope.prefix.as_deref().and_then(|prefix| Prefixes::of(new).row(prefix));
    scope.prefix = row.map(|row| new.rows[row].prefix.clone());
    let Aggregated::Deck(count) = &counter.value else { return (Some(scope), counter) };
    let mut bands = vec![DeckSeconds::default(); new.bands.len().max(1)];
    for (place, band) in count.bands.iter().enumerate() {
        let id = old.bands.get(place).map(|band| &band.id);
        let same = new.bands.iter().position(|band| Some(&band.id) == id).unwrap_or(0);
        bands[same].first_s = bands[same].first_s.saturating_add(band.first_s);
        bands[same].next_s = bands[same].next_s.saturating_add(band.next_s);
    }
    let value = Aggregated::Deck(DeckCount { calls: count.calls, bands });
    (scope.prefix.is_some().then_some(scope), Counter { events: counter.events, value })
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
