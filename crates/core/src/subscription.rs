//! Subscriptions: what an account ordered, and the quantity it held over time.
//!
//! A quantity is a list of changes with the moment from which each counts. Held quantities are not
//! counted by meters: days and seconds follow from the changes (R-YKF-4, R-KP-2).

use crate::bill::Split;
use crate::calendar::{Instant, Span, Zone};
use crate::catalog::{Mode, MonthDays};
use crate::money::{Exact, OutOfRange};
use crate::term::Term;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// What an account ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its name within the account: `seats`.
    pub name: String,
    /// The catalogue, whose version in force decides prices.
    pub catalogue: String,
    /// The product of the plan.
    pub product: String,
    /// The plan.
    pub plan: String,
    /// The plans that it had before, each with the moment at which the next began (R-CHG-1).
    pub earlier: Vec<(String, Instant)>,
    /// How it is paid.
    pub mode: Mode,
    /// From when it counts, to the second.
    pub start: Instant,
    /// When it ended or will end: cancelled, or the term paid for. `None`: runs on.
    pub end: Option<Instant>,
    /// The prepaid term so far: the purchase, and the months bought since.
    pub term: Option<Term>,
    /// The subscription that it ends with, and is renewed with (R-TCCC-10).
    pub follows: Option<String>,
    /// Attributes given with the order: what the plan binds, options, application, project, tags.
    pub attributes: BTreeMap<String, String>,
    /// Changes of the quantity, in the order of the moments from which they count.
    pub changes: Vec<QuantityChange>,
    /// Stopped (`true`) and started again, in order.
    pub stops: Vec<(Instant, bool)>,
    /// The time in which it was frozen and cost nothing, in order; the last may be open.
    pub frozen: Vec<Span>,
    /// Up to when each charge has been settled.
    pub settled: BTreeMap<String, Instant>,
    /// From when each charge must be rated again, where a fact touched a settled period.
    pub recheck: BTreeMap<String, Instant>,
    /// What each charge's running accumulation has come to, so that its next settlement need not
    /// go through it again.
    pub progress: BTreeMap<String, Progress>,
    /// The levels at the start of the accumulation that each time-weighted charge settled last, so
    /// that its next settlement need not look further back.
    pub levels: BTreeMap<String, Levels>,
}

/// Levels that hold on at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The moment.
    pub at: Instant,
    /// The levels in 10⁻⁹ units, by what the charge accumulates per, and by split.
    pub held: BTreeMap<(BTreeMap<String, String>, Split), i128>,
}

/// The quantities of an accumulation that settlements have charged so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When the accumulation began.
    pub accumulation: Instant,
    /// Priced units, free ones among them, by what the charge accumulates per.
    pub units: BTreeMap<BTreeMap<String, String>, Exact>,
}

/// A change of the quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantityChange {
    /// From when it counts.
    pub at: Instant,
    /// Units added (above zero) or removed.
    pub delta: i64,
}

/// A stretch with one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<T> {
    /// Its first day or moment.
    pub from: T,
    /// The first day or moment after.
    pub until: T,
    /// Units held.
    pub units: i64,
}

/// Units that came and went together.
struct Batch {
    added: Instant,
    removed: Option<Instant>,
    units: i64,
}

impl Subscription {
    /// The time in which it runs.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.end.unwrap_or(Instant::MAX) }
    }

    /// The plan that it has at a moment.
    pub fn plan_at(&self, at: Instant) -> &str {
        let before = self.earlier.iter().find(|(_, until)| at < *until);
        before.map_or(&self.plan, |(plan, _)| plan)
    }

    /// The plan that what is paid for from a moment on is of: a planned change counts too.
    pub(crate) fn plan_paid_at(&self, at: Instant) -> &str {
        let planned = self.term.iter().flat_map(|term| &term.next_plans);
        planned.rev().find(|next| next.from <= at).map_or_else(|| self.plan_at(at), |next| &next.plan)
    }

    /// The plans that it has and has had.
    pub fn plans(&self) -> impl Iterator<Item = &str> {
        self.plan_spans().map(|(plan, _)| plan)
    }

    /// The same, with the time in which it has each.
    pub(crate) fn plan_spans(&self) -> impl Iterator<Item = (&str, Span)> {
        let ends = self.earlier.iter().map(|(_, until)| *until);
        let starts = std::iter::once(Instant::MIN).chain(ends.clone());
        let plans = self.earlier.iter().map(|(plan, _)| plan).chain([&self.plan]);
        let spans = starts.zip(ends.chain([Instant::MAX])).map(|(start, end)| Span { start, end });
        plans.map(String::as_str).zip(spans)
    }

    /// When it was brought along from another system, which charged what was before (R-OPEN-1).
    pub fn migrated(&self) -> Option<Instant> {
        self.term.as_ref().and_then(|term| term.migrated)
    }

    /// Whether it serves usage of a moment: it runs then, and here.
    pub fn serves(&self, at: Instant) -> bool {
        self.span().contains(at) && self.migrated().is_none_or(|migrated| migrated <= at)
    }

    /// The time that is charged: it reaches over the moment in which units were added last, so that
    /// what ends in the moment in which it began still costs its day (R-YKF-4).
    pub(crate) fn charged_span(&self) -> Span {
        let moment = jiff::SignedDuration::from_nanos(1);
        // The order itself is the first addition; changes are in order of time. What was to be added
        // after the end never is.
        let comes =
            |change: &&QuantityChange| change.delta > 0 && self.end.is_none_or(|end| change.at <= end);
        let added = self.changes.iter().rev().find(comes);
        let last = added.map_or(self.start, |change| change.at.max(self.start));
        let least = last.checked_add(moment).unwrap_or(last);
        let start = self.migrated().map_or(self.start, |migrated| migrated.max(self.start));
        Span { start, end: self.span().end.max(least) }
    }

    /// Whether it is frozen at a moment, and costs nothing then.
    pub fn is_frozen(&self, at: Instant) -> bool {
        let begun = self.frozen.partition_point(|span| span.start <= at);
        begun.checked_sub(1).and_then(|last| self.frozen.get(last)).is_some_and(|span| span.contains(at))
    }

    /// Ends the time in which it is frozen.
    pub(crate) fn thaw(&mut self, at: Instant) {
        if let Some(last) = self.frozen.last_mut().filter(|span| at < span.end) {
            last.end = at;
            if last.is_empty() {
                self.frozen.pop();
            }
        }
    }

    /// The first moment of a span in which it is not frozen.
    pub(crate) fn first_not_frozen(&self, within: Span) -> Option<Instant> {
        let mut at = within.start;
        for span in &self.frozen {
            if span.contains(at) {
                at = span.end;
            }
        }
        within.contains(at).then_some(at)
    }

    /// The quantity at a moment, changes of that moment included; zero outside its time.
    pub fn quantity_at(&self, at: Instant) -> i64 {
        if !self.span().contains(at) {
            return 0;
        }
        self.changes.iter().take_while(|change| change.at <= at).map(|change| change.delta).sum()
    }

    /// The quantity that changes up to a moment make, whether or not it runs then.
    pub fn units_at(&self, at: Instant) -> i64 {
        self.changes.iter().take_while(|change| change.at <= at).map(|change| change.delta).sum()
    }

    /// Puts a change in its place: after those of the same moment.
    pub fn insert_change(&mut self, change: QuantityChange) {
        let place = self.changes.partition_point(|known| known.at <= change.at);
        self.changes.insert(place, change);
    }

    /// The first moment at which this change would leave fewer units than none.
    pub fn would_fall_below_zero(&self, change: QuantityChange) -> Option<Instant> {
        let mut with = self.clone();
        with.insert_change(change);
        let mut units = 0i64;
        with.changes.iter().find_map(|change| {
            units += change.delta;
            (units < 0).then_some(change.at)
        })
    }

    /// Units that came and went together: the newest is removed first (RULES.md §3, no. 1).
    fn batches(&self) -> Vec<Batch> {
        let end = self.charged_span().end;
        let mut open: Vec<(Instant, i64)> = Vec::new();
        let mut closed = Vec::new();
        for change in self.changes.iter().filter(|change| change.at < end) {
            let mut left = change.delta;
            if left > 0 {
                open.push((change.at, left));
            }
            while left < 0 {
                let Some((added, units)) = open.pop() else { break };
                let gone = units.min(-left);
                closed.push(Batch { added, removed: Some(change.at), units: gone });
                if units > gone {
                    open.push((added, units - gone));
                }
                left += gone;
            }
        }
        closed.extend(open.into_iter().map(|(added, units)| Batch { added, removed: self.end, units }));
        closed
    }

    /// Billed units by day within the span, as runs of equal quantity (R-YKF-4).
    ///
    /// The day on which a unit is added counts, the day of its removal does not unless `last_day`;
    /// a unit added and removed on one day counts that day, also in one moment: a book may leave the
    /// time of day out. A day belongs to the span in which it
    /// starts, the first day of a unit to the span in which the unit is added.
    pub fn billed_days(&self, within: Span, zone: &Zone, last_day: bool) -> Vec<Run<Date>> {
        let first_midnight = |at: Instant| {
            let date = zone.date(at);
            if zone.midnight(date) == at { date } else { date.tomorrow().unwrap_or(date) }
        };
        let next = |date: Date| date.tomorrow().unwrap_or(date);
        let (from, until) = (first_midnight(within.start), first_midnight(within.end));
        let mut steps: BTreeMap<Date, i64> = BTreeMap::new();
        for batch in self.batches() {
            let first = zone.date(batch.added);
            let end = match batch.removed {
                None => until,
                Some(removed) => {
                    let day = zone.date(removed);
                    let on_midnight = zone.midnight(day) == removed;
                    (if last_day && !on_midnight { next(day) } else { day }).max(next(first))
                }
            };
            // The first day by the moment of adding, the others by their midnight.
            let starts_inside = within.contains(batch.added);
            let day_from = if starts_inside { first } else { next(first).max(from) };
            let day_until = if starts_inside { end.min(until.max(next(first))) } else { end.min(until) };
            if day_from < day_until {
                *steps.entry(day_from).or_default() += batch.units;
                *steps.entry(day_until).or_default() -= batch.units;
            }
            for span in &self.frozen {
                // As if the units went and came again: the day of freezing is charged as that of a
                // removal is, the day on which they run again counts.
                // What was frozen from its first moment on never ran; what ends frozen never runs again.
                let day = zone.date(span.start);
                let partly = last_day && zone.midnight(day) != span.start;
                let frozen_from = match span.contains(batch.added) {
                    true => first,
                    false => if partly { next(day) } else { day }.max(next(first)),
                };
                let ends = batch.removed.is_some_and(|removed| removed <= span.end);
                let frozen_until = if ends { day_until } else { zone.date(span.end) };
                let from = frozen_from.max(day_from);
                let until = frozen_until.min(day_until);
                if from < until {
                    *steps.entry(from).or_default() -= batch.units;
                    *steps.entry(until).or_default() += batch.units;
                }
            }
        }
        runs(steps)
    }

    /// Units by the second within the span, as runs of equal quantity (R-KP-2).
    pub fn held_seconds(&self, within: Span, while_stopped: bool) -> Vec<Run<Instant>> {
        let Some(within) = within.intersect(self.span()) else { return Vec::new() };
        let mut steps: BTreeMap<Instant, i64> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.at < within.end) {
            *steps.entry(change.at.max(within.start)).or_default() += change.delta;
        }
        steps.insert(within.end, 0);
        let mut stretches = Vec::new();
        let mut units = 0i64;
        let mut since = within.start;
        for (at, delta) in steps {
            if at > since && units != 0 {
                stretches.push(Run { from: since, until: at, units });
            }
            since = at;
            units += delta;
        }
        let stretches = without(stretches, &self.frozen);
        if while_stopped { stretches } else { without(stretches, &self.stopped_spans()) }
    }

    fn stopped_spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut since = None;
        for (at, stopped) in &self.stops {
            match (since, stopped) {
                (None, true) => since = Some(*at),
                (Some(start), false) => {
                    spans.push(Span { start, end: *at });
                    since = None;
                }
                _ => {}
            }
        }
        spans.extend(since.map(|start| Span { start, end: Instant::MAX }));
        spans
    }
}

/// Steps up and down as runs of equal quantity; runs of none are left out.
fn runs(steps: BTreeMap<Date, i64>) -> Vec<Run<Date>> {
    let mut runs: Vec<Run<Date>> = Vec::new();
    let (mut since, mut units) = (Date::MIN, 0i64);
    for (day, delta) in steps {
        if delta == 0 {
            continue;
        }
        if units != 0 {
            runs.push(Run { from: since, until: day, units });
        }
        (since, units) = (day, units + delta);
    }
    runs
}

/// The stretches without the time in which the subscription was stopped.
fn without(stretches: Vec<Run<Instant>>, stopped: &[Span]) -> Vec<Run<Instant>> {
    let mut left = stretches;
    for stop in stopped {
        left = left
            .into_iter()
            .flat_map(|run| {
                let before = Run { until: run.until.min(stop.start), ..run };
                let after = Run { from: run.from.max(stop.end), ..run };
                [before, after].into_iter().filter(|part| part.from < part.until)
            })
            .collect();
    }
    left
}

/// Days in a run.
pub fn days(run: &Run<Date>) -> i64 {
    (run.until - run.from).get_days().into()
}

/// Unit-days of the runs.
pub fn unit_days(runs: &[Run<Date>]) -> Exact {
    Exact::whole(runs.iter().map(|run| i128::from(days(run)) * i128::from(run.units)).sum())
}

/// Unit-seconds of the runs, exact to the nanosecond.
///
/// # Errors
/// [`OutOfRange`] when the sum does not fit.
pub fn unit_seconds(runs: &[Run<Instant>]) -> Result<Exact, OutOfRange> {
    runs.iter().try_fold(Exact::ZERO, |sum, run| {
        let ns = run.until.as_nanosecond() - run.from.as_nanosecond();
        let seconds = Exact::ratio(ns, 1_000_000_000).ok_or(OutOfRange)?;
        sum.add(seconds.mul(Exact::whole(run.units.into()))?)
    })
}

/// How many days the monthly price of a month is divided by; `None` where it is not prorated.
pub fn month_divisor(month: MonthDays, zone: &Zone, at: Instant) -> Option<i64> {
    match month {
        MonthDays::Actual => Some(zone.days_in_month(at).into()),
        MonthDays::Thirty => Some(30),
        MonthDays::Full => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Cycle;

    fn zone() -> Zone {
        Zone::parse("+08:00").unwrap()
    }

    fn at(text: &str) -> Instant {
        zone().at(text.parse().unwrap())
    }

    fn seats(changes: &[(&str, i64)], end: Option<&str>) -> Subscription {
        let changes: Vec<_> =
            changes.iter().map(|(when, delta)| QuantityChange { at: at(when), delta: *delta }).collect();
        Subscription {
            name: "seats".into(),
            catalogue: "c".into(),
            product: "p".into(),
            plan: "basic".into(),
            earlier: Vec::new(),
            mode: Mode::PayPerUse,
            start: changes[0].at,
            end: end.map(at),
            term: None,
            follows: None,
            attributes: BTreeMap::new(),
            changes,
            stops: Vec::new(),
            frozen: Vec::new(),
            settled: BTreeMap::new(),
            recheck: BTreeMap::new(),
            progress: BTreeMap::new(),
            levels: BTreeMap::new(),
        }
    }

    /// The runs of a month, as `4–16: 10`.
    fn check(subscription: &Subscription, month: &str, expected: &str, total: i128) {
        let span = zone().cycle(Cycle::Month, at(month));
        let runs = subscription.billed_days(span, &zone(), false);
        let shown: Vec<String> =
            runs.iter().map(|run| format!("{}–{}: {}", run.from, run.until, run.units)).collect();
        assert_eq!(shown.join(", "), expected);
        assert_eq!(unit_days(&runs), Exact::whole(total));
    }

    #[test]
    fn the_seeds_example_has_308_seat_days() {
        let seats =
            seats(&[("2020-01-04T13:23:56", 10), ("2020-01-16T09:00", 2), ("2020-01-28T18:00", -1)], None);
        check(
            &seats,
            "2020-01-01T00:00",
            "2020-01-04–2020-01-16: 10, 2020-01-16–2020-01-28: 12, 2020-01-28–2020-02-01: 11",
            308,
        );
        check(&seats, "2020-02-01T00:00", "2020-02-01–2020-03-01: 11", 319);
    }

    #[test]
    fn a_unit_of_one_day_counts_that_day_and_the_newest_goes_first() {
        let same_day =
            seats(&[("2020-01-01T00:00", 10), ("2020-01-10T09:00", 2), ("2020-01-10T17:00", -1)], None);
        check(
            &same_day,
            "2020-01-01T00:00",
            "2020-01-01–2020-01-10: 10, 2020-01-10–2020-01-11: 12, 2020-01-11–2020-02-01: 11",
            333,
        );
        let removed_first =
            seats(&[("2020-01-01T00:00", 10), ("2020-01-10T09:00", -1), ("2020-01-10T17:00", 2)], None);
        check(
            &removed_first,
            "2020-01-01T00:00",
            "2020-01-01–2020-01-10: 10, 2020-01-10–2020-02-01: 11",
            332,
        );
    }

    #[test]
    fn a_unit_removed_in_the_moment_it_was_added_counts_that_day() {
        let corrected =
            seats(&[("2020-01-10T09:00", 10), ("2020-01-10T09:00", -3), ("2020-01-20T09:00", 2)], None);
        check(
            &corrected,
            "2020-01-01T00:00",
            "2020-01-10–2020-01-11: 10, 2020-01-11–2020-01-20: 7, 2020-01-20–2020-02-01: 9",
            181,
        );
    }

    #[test]
    fn a_cancelled_subscription_counts_up_to_the_day_before() {
        check(
            &seats(&[("2020-01-30T10:00", 3)], Some("2020-02-02T10:00")),
            "2020-01-30T00:00",
            "2020-01-30–2020-02-01: 3",
            6,
        );
        check(
            &seats(&[("2020-01-30T10:00", 3)], Some("2020-02-02T10:00")),
            "2020-02-02T00:00",
            "2020-02-01–2020-02-02: 3",
            3,
        );
        check(
            &seats(&[("2020-01-30T10:00", 3)], Some("2020-01-30T11:00")),
            "2020-01-30T00:00",
            "2020-01-30–2020-01-31: 3",
            3,
        );
    }

    #[test]
    fn what_runs_again_is_charged_until_it_ends() {
        let mut seats = seats(&[("2020-01-01T00:00", 10)], Some("2020-01-25T00:00"));
        let frozen = |start, end| vec![Span { start: at(start), end: at(end) }];
        seats.frozen = frozen("2020-01-10T00:00", "2020-01-15T00:00");
        check(&seats, "2020-01-01T00:00", "2020-01-01–2020-01-10: 10, 2020-01-15–2020-01-25: 10", 190);
        seats.frozen = frozen("2020-01-10T00:00", "2020-01-25T00:00");
        check(&seats, "2020-01-01T00:00", "2020-01-01–2020-01-10: 10", 90);
    }

    #[test]
    fn what_is_stopped_is_held_and_runs_again_when_it_is_started() {
        let mut phone = seats(&[("2020-01-01T10:00", 1)], Some("2020-01-01T11:00"));
        phone.stops = vec![
            (at("2020-01-01T10:10"), true),
            (at("2020-01-01T10:20"), false),
            (at("2020-01-01T10:50"), true),
        ];
        let hour = Span { start: at("2020-01-01T10:00"), end: at("2020-01-01T11:00") };
        let seconds = |while_stopped| {
            let runs = phone.held_seconds(hour, while_stopped);
            runs.iter().map(|run| run.until.duration_since(run.from).as_secs() * run.units).sum::<i64>()
        };
        assert_eq!(seconds(true), 3600);
        assert_eq!(seconds(false), 2400);
    }

    #[test]
    fn a_frozen_day_is_charged_like_one_of_a_removal() {
        let frozen = |from: &str, until: &str| Span { start: at(from), end: at(until) };
        let mut one = seats(&[("2020-01-02T09:00", 2), ("2020-01-10T09:00", 1)], None);
        // Not the day of the freeze, but that on which it runs again.
        one.frozen = vec![frozen("2020-01-05T12:00", "2020-01-08T12:00")];
        check(
            &one,
            "2020-01-01T00:00",
            "2020-01-02–2020-01-05: 2, 2020-01-08–2020-01-10: 2, 2020-01-10–2020-02-01: 3",
            76,
        );
        // Within one day it is charged once; a unit that was added that day counts it too.
        one.frozen = vec![frozen("2020-01-05T12:00", "2020-01-05T18:00")];
        let whole = "2020-01-02–2020-01-10: 2, 2020-01-10–2020-02-01: 3";
        check(&one, "2020-01-01T00:00", whole, 82);
        one.frozen = vec![frozen("2020-01-02T12:00", "2020-01-04T00:00")];
        check(
            &one,
            "2020-01-01T00:00",
            "2020-01-02–2020-01-03: 2, 2020-01-04–2020-01-10: 2, 2020-01-10–2020-02-01: 3",
            80,
        );
        // A unit added backwards to a frozen time counts from the end of it.
        one.frozen = vec![frozen("2020-01-09T00:00", "2020-01-12T00:00")];
        check(&one, "2020-01-01T00:00", "2020-01-02–2020-01-09: 2, 2020-01-12–2020-02-01: 3", 74);
        // Where last days are charged, so is that of a freeze, once.
        one.frozen = vec![frozen("2020-01-05T12:00", "2020-01-08T12:00")];
        let month = zone().cycle(Cycle::Month, at("2020-01-01T00:00"));
        assert_eq!(unit_days(&one.billed_days(month, &zone(), true)), Exact::whole(78));
        one.frozen = vec![frozen("2020-01-05T12:00", "2020-01-05T18:00")];
        assert_eq!(unit_days(&one.billed_days(month, &zone(), true)), Exact::whole(82));
        // It ends while it is frozen.
        one.frozen = vec![Span { start: at("2020-01-05T12:00"), end: Instant::MAX }];
        check(&one, "2020-01-01T00:00", "2020-01-02–2020-01-05: 2", 6);
    }

    #[test]
    fn seconds_are_held_from_creation_to_deletion() {
        let phones = seats(&[("2023-06-01T08:45:30", 3)], Some("2023-06-01T08:55:30"));
        let hour = zone().cycle(Cycle::Hour, at("2023-06-01T08:00"));
        assert_eq!(unit_seconds(&phones.held_seconds(hour, true)), Ok(Exact::whole(1800)));
        let mut stopped = seats(&[("2023-06-01T10:00", 1)], Some("2023-06-01T10:40"));
        stopped.stops = vec![(at("2023-06-01T10:10"), true)];
        let hour = zone().cycle(Cycle::Hour, at("2023-06-01T10:00"));
        assert_eq!(unit_seconds(&stopped.held_seconds(hour, true)), Ok(Exact::whole(2400)));
        assert_eq!(unit_seconds(&stopped.held_seconds(hour, false)), Ok(Exact::whole(600)));
    }
}
