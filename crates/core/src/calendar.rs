//! Instants, zones, half-open spans and the cycles that cut time for billing.
//!
//! Everything here is a function of its arguments: the zone data is compiled in, so a bill does
//! not depend on the machine that makes it.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use std::fmt;

/// A moment in time.
pub type Instant = Timestamp;

/// A half-open stretch of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first moment inside.
    pub start: Instant,
    /// The first moment after.
    pub end: Instant,
}

impl Span {
    /// Whether the moment is inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The part that both have, if any.
    pub fn intersect(&self, other: Span) -> Option<Span> {
        let both = Span { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!both.is_empty()).then_some(both)
    }

    /// Its length in whole seconds.
    pub fn seconds(&self) -> i64 {
        self.end.as_second() - self.start.as_second()
    }
}

/// How often a thing happens: over what usage accumulates, and when it settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cycle {
    /// From the full hour to the next. An hour that daylight saving doubles is two hours.
    Hour,
    /// From midnight to midnight in the zone: 23, 24 or 25 hours.
    Day,
    /// From the first of the month at 00:00 to the next.
    Month,
}

/// A wall clock: an IANA zone such as `Europe/Berlin`, or a fixed offset such as `+08:00`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    tz: TimeZone,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The years in which anything can be billed: 1970 to 2199. Outside, a date is a mistake.
pub const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// What a local time means where daylight saving doubles or skips an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalTime {
    /// Exactly one moment.
    One(Instant),
    /// It happened twice: the earlier moment and the later.
    Two(Instant, Instant),
    /// It never happened; the moment that a clock not yet put forward would show.
    None(Instant),
}

impl LocalTime {
    /// The moment meant by default: the earlier of two; in a gap, the clock not yet put forward.
    pub fn first(self) -> Instant {
        match self {
            LocalTime::One(at) | LocalTime::Two(at, _) | LocalTime::None(at) => at,
        }
    }
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), tz: TimeZone::UTC }
    }

    /// `UTC`, `+08:00`, `-03:30` or an IANA name. `None` for anything else.
    pub fn parse(name: &str) -> Option<Zone> {
        if name == "UTC" || name == "Z" {
            return Some(Zone::utc());
        }
        if let Some(sign) = name.chars().next().filter(|c| matches!(c, '+' | '-')) {
            let (hours, minutes) = name[1..].split_once(':')?;
            let digits = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
            if !digits(hours) || !digits(minutes) {
                return None;
            }
            let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
            if hours > 14 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60 * if sign == '-' { -1 } else { 1 };
            let tz = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
            return Some(Zone { name: name.into(), tz });
        }
        let tz = TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Zone { name: tz.iana_name().unwrap_or(name).into(), tz })
    }

    /// Its name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the wall clock shows at a moment.
    pub fn local(&self, at: Instant) -> DateTime {
        self.tz.to_datetime(at)
    }

    /// The offset, as `+02:00`, of a moment whose wall clock time happens twice; else nothing.
    pub fn offset_if_doubled(&self, at: Instant) -> String {
        if !matches!(self.moments(self.local(at)), LocalTime::Two(..)) {
            return String::new();
        }
        let minutes = self.tz.to_offset(at).seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    /// The moments at which the wall clock shows this.
    pub fn moments(&self, local: DateTime) -> LocalTime {
        use jiff::tz::AmbiguousOffset;
        let ambiguous = self.tz.to_ambiguous_timestamp(local);
        let earlier = ambiguous.earlier();
        let later = ambiguous.later();
        let compatible = ambiguous.compatible().unwrap_or(Instant::MAX);
        match self.tz.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { .. } => LocalTime::One(compatible),
            AmbiguousOffset::Fold { .. } => {
                LocalTime::Two(earlier.unwrap_or(compatible), later.unwrap_or(compatible))
            }
            AmbiguousOffset::Gap { .. } => LocalTime::None(compatible),
        }
    }

    /// The moment of a local time: the earlier where the hour is doubled.
    pub fn at(&self, local: DateTime) -> Instant {
        self.moments(local).first()
    }

    /// The first moment of a local day.
    pub fn midnight(&self, date: Date) -> Instant {
        self.at(date.to_datetime(Time::midnight()))
    }

    /// The local day of a moment.
    pub fn date(&self, at: Instant) -> Date {
        self.local(at).date()
    }

    /// The span of the cycle that holds the moment.
    pub fn cycle(&self, cycle: Cycle, at: Instant) -> Span {
        let local = self.local(at);
        match cycle {
            Cycle::Hour => {
                // Stay at the offset of the moment: a doubled hour is two spans of one hour each.
                let into_ns = i128::from(local.minute()) * 60_000_000_000
                    + i128::from(local.second()) * 1_000_000_000
                    + i128::from(local.subsec_nanosecond());
                let start_ns = at.as_nanosecond() - into_ns;
                let end_ns = start_ns + 3_600_000_000_000;
                let moment = |ns| Instant::from_nanosecond(ns).unwrap_or(Instant::MAX);
                Span { start: moment(start_ns), end: moment(end_ns) }
            }
            Cycle::Day => {
                let date = local.date();
                let next = date.tomorrow().unwrap_or(Date::MAX);
                Span { start: self.midnight(date), end: self.midnight(next) }
            }
            Cycle::Month => {
                let first = local.date().first_of_month();
                let next = first.checked_add(1.month()).unwrap_or(Date::MAX);
                Span { start: self.midnight(first), end: self.midnight(next) }
            }
        }
    }

    /// The first boundary of the cycle at or after the moment.
    pub fn boundary_from(&self, cycle: Cycle, at: Instant) -> Instant {
        let span = self.cycle(cycle, at);
        if span.start == at { at } else { span.end }
    }

    /// Days of the calendar month that holds the moment.
    pub fn days_in_month(&self, at: Instant) -> i8 {
        self.date(at).days_in_month()
    }

    /// The end of a term of `months` that starts now, bought prepaid (R-YKF-3): the first 00:00
    /// strictly after the same local time `months` later; a day that the month lacks is its last.
    pub fn term_end(&self, start: Instant, months: i32) -> Option<Instant> {
        let day = self.local(start).checked_add(months.months()).ok()?.date();
        Some(self.midnight(day.tomorrow().ok()?))
    }
}

/// `2020-01-04 13:23:56`, the time left out when it is midnight; with its offset in an hour that
/// the clock shows twice.
pub fn show_local(zone: &Zone, at: Instant) -> String {
    let local = zone.local(at);
    let (date, time) = (local.date(), local.time());
    if time == Time::midnight() {
        return format!("{date}");
    }
    let offset = zone.offset_if_doubled(at);
    if time.subsec_nanosecond() == 0 {
        format!("{date} {:02}:{:02}:{:02}{offset}", time.hour(), time.minute(), time.second())
    } else {
        format!("{date} {time}{offset}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn offsets_and_names_are_zones() {
        assert_eq!(Zone::parse("+08:00").unwrap().name(), "+08:00");
        assert_eq!(Zone::parse("Europe/Berlin").unwrap().name(), "Europe/Berlin");
        for wrong in ["", "+8", "+25:00", "Mars/Base", "+08:0", "+0800", "+é8:00"] {
            assert!(Zone::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_doubled_hour_is_two_hours_and_its_day_has_25() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let day = berlin.cycle(Cycle::Day, at("2026-10-25T12:00:00Z"));
        assert_eq!(day.seconds(), 25 * 3600);
        let first = berlin.cycle(Cycle::Hour, at("2026-10-25T00:30:00Z"));
        let second = berlin.cycle(Cycle::Hour, at("2026-10-25T01:30:00Z"));
        assert_eq!(first.end, second.start);
        let twice = "2026-10-25T02:30:00".parse().unwrap();
        assert_eq!(
            berlin.moments(twice),
            LocalTime::Two(at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z"))
        );
        assert_eq!(show_local(&berlin, first.start), "2026-10-25 02:00:00+02:00");
        assert_eq!(show_local(&berlin, second.start), "2026-10-25 02:00:00+01:00");
        assert_eq!(show_local(&berlin, second.end), "2026-10-25 03:00:00");
        let never = "2026-03-29T02:30:00".parse().unwrap();
        assert_eq!(berlin.moments(never), LocalTime::None(at("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn half_hour_zones_have_hours_of_their_own() {
        let india = Zone::parse("Asia/Kolkata").unwrap();
        let hour = india.cycle(Cycle::Hour, at("2026-01-01T00:00:00Z"));
        assert_eq!(hour.start, at("2025-12-31T23:30:00Z"));
    }

    #[test]
    fn terms_end_at_the_next_midnight() {
        let zone = Zone::parse("+08:00").unwrap();
        let end = |start: &str, months| {
            show_local(&zone, zone.term_end(zone.at(start.parse().unwrap()), months).unwrap())
        };
        assert_eq!(end("2020-01-04T13:23:56", 1), "2020-02-05");
        assert_eq!(end("2020-01-04T13:23:56", 6), "2020-07-05");
        assert_eq!(end("2020-01-04T13:23:56", 12), "2021-01-05");
        assert_eq!(end("2020-01-31T10:00:00", 1), "2020-03-01");
        assert_eq!(end("2023-06-29T00:00:00", 1), "2023-07-30");
    }
}
