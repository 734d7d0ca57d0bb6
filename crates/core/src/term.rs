//! Prepaid terms: what was paid for when, how it goes on, and how much of it is earned.

use crate::calendar::{Cycle, Instant, Span, Zone};
use crate::engine::just_before;
use crate::money::{Amount, Exact, OutOfRange};
use std::collections::{BTreeMap, BTreeSet};

/// A prepaid term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it was bought. Months are counted from here where renewals are end to end (R-REN-4).
    pub purchased: Instant,
    /// Months bought, renewals included.
    pub months: u16,
    /// Months of the first purchase: a month or a year is renewed by itself for as long (R-REN-3).
    pub first_months: u16,
    /// What was paid for: the purchase, then each renewal.
    pub periods: Vec<PaidPeriod>,
    /// Whether it is renewed by itself.
    pub auto: Option<AutoRenewal>,
    /// The plans that it changes to, the next one first: those of which renewals are paid for, then the one
    /// for when what is paid for ends (R-CHG-1).
    pub next_plans: Vec<NextPlan>,
    /// When it came from another system, paid for already (R-OPEN-1).
    pub migrated: Option<Instant>,
    /// Units of its packages that were used there, of the quota period in which it came, by grant.
    pub used_before: BTreeMap<String, Exact>,
}

/// A part of a prepaid term that was paid for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidPeriod {
    /// The time paid for.
    pub span: Span,
    /// Its months; a part of some after a change of plan.
    pub months: Exact,
    /// When it was ordered.
    pub ordered: Instant,
    /// What was paid, after discounts.
    pub paid: Amount,
}

impl PaidPeriod {
    /// Its months, where they are whole; else 0.
    pub fn whole_months(&self) -> u16 {
        let whole = self.months.is_whole().then(|| u16::try_from(self.months.numerator()).ok());
        whole.flatten().unwrap_or(0)
    }
}

/// A term that is renewed by itself (R-REN-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoRenewal {
    /// At most so many renewals; 0: any number.
    pub limit: u16,
    /// Renewals so far.
    pub renewals: u16,
    /// How often the next renewal was tried and failed.
    pub tried: u16,
    /// When it is tried next. `None`: not again.
    pub next: Option<Instant>,
}

impl AutoRenewal {
    /// Whether one more renewal is allowed.
    pub fn goes_on(&self) -> bool {
        self.limit == 0 || self.renewals < self.limit
    }
}

/// A change of the plan at the end of what was paid for when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextPlan {
    /// The plan.
    pub plan: String,
    /// From when.
    pub from: Instant,
}

impl Term {
    /// The period around a moment. They follow one another, so that finding one takes as long after
    /// many renewals.
    pub fn paid_at(&self, at: Instant) -> Option<&PaidPeriod> {
        let begun = self.periods.partition_point(|period| period.span.start <= at);
        self.periods.get(begun.checked_sub(1)?).filter(|period| period.span.contains(at))
    }

    /// The end that one more renewal end to end has: months count from the purchase, so that month-ends
    /// do not drift (R-REN-4). `None` past the end of time.
    pub fn prolonged(&self, zone: &Zone, months: u16) -> Option<Instant> {
        let (from, before) = self.own_end(zone).unwrap_or((self.purchased, self.months.into()));
        zone.term_end(from, before + i32::from(months))
    }

    /// From where the months of a term count at a moment: the purchase, or what [`Term::own_end`] is
    /// once that has come.
    pub(crate) fn counted_from(&self, zone: &Zone, at: Instant) -> Instant {
        self.own_end(zone).map(|(last, _)| last).filter(|last| *last < at).unwrap_or(self.purchased)
    }

    /// The last moment of what was paid for until a day that no number of months from the purchase
    /// reaches, as another system or another rule of renewal had it, and the months since: renewals
    /// count from there.
    fn own_end(&self, zone: &Zone) -> Option<(Instant, i32)> {
        let end = self.periods.last()?.span.end;
        if zone.term_end(self.purchased, self.months.into()) == Some(end) {
            return None;
        }
        let mut found = (just_before(end), 0);
        let mut since = 0;
        for pair in self.periods.windows(2).rev() {
            let (before, renewed) = (just_before(pair[0].span.end), &pair[1]);
            since += i32::from(renewed.whole_months());
            if !renewed.months.is_whole() {
                break;
            }
            if zone.term_end(before, since) == Some(end) {
                found = (before, since);
            }
        }
        Some(found)
    }

    /// The next moment at which time does something about it.
    pub fn due(&self) -> Option<Instant> {
        let change = self.next_plans.first().map(|next| next.from);
        self.auto.and_then(|auto| auto.next).into_iter().chain(change).min()
    }
}

/// When something about the subscriptions of an account is due next, the earliest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    order: BTreeSet<(Instant, String)>,
    by_name: BTreeMap<String, Instant>,
}

impl Agenda {
    /// Notes when something about a subscription is due, in place of what was noted before.
    pub fn set(&mut self, subscription: &str, at: Option<Instant>) {
        if let Some(known) = self.by_name.remove(subscription) {
            self.order.remove(&(known, subscription.to_owned()));
        }
        if let Some(at) = at {
            self.by_name.insert(subscription.to_owned(), at);
            self.order.insert((at, subscription.to_owned()));
        }
    }

    /// What is due first, and when.
    pub fn first(&self) -> Option<(Instant, &str)> {
        self.order.first().map(|(at, subscription)| (*at, subscription.as_str()))
    }
}

/// Subscription, and start of the period paid for.
pub type DeferralKey = (String, Instant);

/// What was paid for a period, and how much of it is earned so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// The time paid for.
    pub span: Span,
    /// What was paid.
    pub paid: Amount,
    /// What of it is recognised as earned.
    pub recognised: Amount,
    /// Up to when.
    pub until: Instant,
}

impl Deferral {
    /// Of a period of which nothing is recognised yet.
    pub fn of(period: &PaidPeriod) -> Deferral {
        let start = period.span.start;
        Deferral { span: period.span, paid: period.paid, recognised: Amount::ZERO, until: start }
    }

    /// When it is recognised next: at the end of a month of the bills' wall clock, and of the period.
    pub fn due(&self, bills: &Zone) -> Instant {
        bills.cycle(Cycle::Month, self.until).end.min(self.span.end)
    }

    /// What is earned by a moment: each day of the period its equal part. A day counts when it has
    /// begun; `zone` is the price list's.
    ///
    /// # Errors
    /// [`OutOfRange`] when an amount does not fit.
    pub fn earned(&self, zone: &Zone, at: Instant) -> Result<Amount, OutOfRange> {
        if at >= self.span.end {
            return Ok(self.paid);
        }
        if at <= self.span.start {
            return Ok(Amount::ZERO);
        }
        let all = days_until(zone, self.span.start, self.span.end);
        let served = days_until(zone, self.span.start, at);
        let part = Exact::ratio(served.into(), all.max(1).into()).ok_or(OutOfRange)?;
        Amount::quantise(self.paid.exact().mul(part)?)
    }
}

/// Local days from that of `start` up to a moment; a day that has begun counts.
pub fn days_until(zone: &Zone, start: Instant, end: Instant) -> i64 {
    let last = zone.date(end);
    let begun = i64::from(zone.midnight(last) < end);
    i64::from((last - zone.date(start)).get_days()) + begun
}

/// Months that have started by the end of a span, as terms are counted (R-YKF-3): bought on
/// 15 April, until the end of 30 June, three.
pub fn started_months(zone: &Zone, span: Span) -> u16 {
    let reaches = |months: u16| zone.term_end(span.start, months.into()).is_none_or(|end| end >= span.end);
    (1..=u16::MAX).find(|months| reaches(*months)).unwrap_or(u16::MAX)
}

/// The months of a span that another system sold: as many as its end says, on that day of the month or
/// the one before it; else each day its part of its month.
///
/// # Errors
/// [`OutOfRange`] when the sum does not fit.
pub fn months_of(zone: &Zone, span: Span) -> Result<Exact, OutOfRange> {
    let months = started_months(zone, span);
    let short =
        zone.term_end(span.start, months.into()).map(|end| days_until(zone, just_before(span.end), end));
    match short {
        Some(1 | 2) => Ok(Exact::whole(months.into())),
        _ => months_by_days(zone, span),
    }
}

/// A span in calendar months, each day its part of its month.
///
/// # Errors
/// [`OutOfRange`] when the sum does not fit.
pub fn months_by_days(zone: &Zone, span: Span) -> Result<Exact, OutOfRange> {
    let mut sum = Exact::ZERO;
    let mut at = span.start;
    while at < span.end {
        let month = zone.cycle(Cycle::Month, at);
        let days = days_until(zone, at, month.end.min(span.end));
        let part = Exact::ratio(days.into(), zone.days_in_month(at).into()).ok_or(OutOfRange)?;
        sum = sum.add(part)?;
        at = month.end;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::parse("+08:00").unwrap()
    }

    fn at(text: &str) -> Instant {
        zone().at(text.parse().unwrap())
    }

    fn span(start: &str, end: &str) -> Span {
        Span { start: at(start), end: at(end) }
    }

    #[test]
    fn a_started_month_counts_as_a_term_does() {
        let months = |start, end| started_months(&zone(), span(start, end));
        assert_eq!(months("2026-04-15T10:00", "2026-07-01T00:00"), 3);
        assert_eq!(months("2026-06-20T10:00", "2026-07-01T00:00"), 1);
        assert_eq!(months("2026-03-31T10:00", "2026-05-01T00:00"), 1);
        assert_eq!(months("2026-01-01T00:00", "2026-02-02T00:00"), 1);
    }

    #[test]
    fn what_another_system_sold_has_its_real_length() {
        let months = |start, end| months_of(&zone(), span(start, end)).unwrap().to_string();
        assert_eq!(months("2026-01-01T00:00", "2026-02-02T00:00"), "1");
        assert_eq!(months("2026-01-01T00:00", "2026-02-01T00:00"), "1");
        assert_eq!(months("2026-01-01T10:00", "2026-01-31T23:59:59"), "1");
        assert_eq!(months("2026-01-31T10:00", "2026-03-01T00:00"), "1");
        assert_eq!(months("2026-01-01T00:00", "2026-01-31T00:00"), "30/31");
        assert_eq!(months("2026-01-01T00:00", "2026-02-15T00:00"), "1.5");
    }

    /// Renewed from an end of its own, a term goes on from there, and its month-ends do not drift.
    #[test]
    fn renewals_go_on_from_the_real_end() {
        let period = |start: &str, end: &str, months: i64| PaidPeriod {
            span: span(start, end),
            months: Exact::whole(months.into()),
            ordered: at(start),
            paid: Amount::ZERO,
        };
        let mut term = Term {
            purchased: at("2026-01-10T15:00"),
            months: 2,
            first_months: 2,
            periods: vec![period("2026-01-10T15:00", "2026-02-01T00:00", 2)],
            auto: None,
            next_plans: Vec::new(),
            migrated: Some(at("2026-01-20T00:00")),
            used_before: BTreeMap::new(),
        };
        for (start, end) in
            [("2026-02-01", "2026-03-01"), ("2026-03-01", "2026-04-01"), ("2026-04-01", "2026-05-01")]
        {
            let (start, end) = (format!("{start}T00:00"), format!("{end}T00:00"));
            assert_eq!(term.prolonged(&zone(), 1), Some(at(&end)));
            term.periods.push(period(&start, &end, 1));
            term.months += 1;
        }
        assert_eq!(term.counted_from(&zone(), at("2026-01-31T12:00")), at("2026-01-10T15:00"));
        assert_eq!(term.counted_from(&zone(), at("2026-02-01T00:00")), just_before(at("2026-02-01T00:00")));
    }

    #[test]
    fn days_are_parts_of_their_months() {
        let months = |start, end| months_by_days(&zone(), span(start, end)).unwrap().to_string();
        assert_eq!(months("2026-04-15T10:00", "2026-07-01T00:00"), "38/15");
        assert_eq!(months("2026-01-16T00:00", "2026-02-01T00:00"), "16/31");
    }

    #[test]
    fn a_day_that_has_begun_counts() {
        let days = |start, end| days_until(&zone(), at(start), at(end));
        assert_eq!(days("2026-01-10T15:00", "2026-01-12T00:00"), 2);
        assert_eq!(days("2026-01-10T15:00", "2026-01-12T00:00:01"), 3);
        assert_eq!(days("2026-01-10T15:00", "2026-01-10T16:00"), 1);
    }

    /// Whatever the period and the price: month by month, what is recognised sums to what was paid,
    /// and never goes back.
    #[test]
    fn what_is_recognised_sums_to_what_was_paid() {
        let mut seed = 7u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..500 {
            let days = i64::try_from(next(800)).unwrap();
            let start = at("2019-12-30T00:00")
                .checked_add(jiff::SignedDuration::from_secs(days * 86_400 + i64::from(next(86_400) as u32)))
                .unwrap();
            let end = zone().term_end(start, 1 + next(13) as i32).unwrap();
            let paid = Amount::from_units(i128::from(next(1_000_000_000_000)));
            let period = PaidPeriod { span: Span { start, end }, months: Exact::ONE, ordered: start, paid };
            let mut deferral = Deferral::of(&period);
            let mut steps = 0;
            while deferral.until < end {
                let due = deferral.due(&zone());
                assert!(due > deferral.until);
                let earned = deferral.earned(&zone(), due).unwrap();
                assert!(earned >= deferral.recognised);
                (deferral.recognised, deferral.until) = (earned, due);
                steps += 1;
            }
            assert_eq!(deferral.recognised, paid);
            assert!(steps <= 15);
        }
    }

    /// Renewed month after month, an end never drifts: it is the day of the purchase, or the last of
    /// a month that lacks it (R-REN-4).
    #[test]
    fn end_to_end_renewals_never_drift() {
        for day in 1..=31 {
            let purchased = at(&format!("2024-01-{day:02}T15:00"));
            for months in 1..=60 {
                let end = zone().date(zone().term_end(purchased, months).unwrap()).yesterday().unwrap();
                assert_eq!(i32::from(end.day()), day.min(i32::from(end.days_in_month())));
                let since = (i32::from(end.year()) - 2024) * 12 + i32::from(end.month()) - 1;
                assert_eq!(since, months);
            }
        }
    }
}
