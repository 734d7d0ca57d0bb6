//! Hours, days and months on a wall clock.

use crate::number::Number;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};

/// A stretch of wall-clock time after which something happens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cycle {
    /// From the full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the next.
    Month,
}

/// `UTC`, `+08:00` or an IANA name.
pub fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    if let Some(sign) = name.strip_prefix('+').map(|_| 1).or(name.strip_prefix('-').map(|_| -1)) {
        let (hours, minutes) = name[1..].split_once(':')?;
        let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
        return Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?));
    }
    TimeZone::get(name).ok()
}

/// What the clock on the wall shows.
pub fn local(zone: &TimeZone, at: Timestamp) -> DateTime {
    at.to_zoned(zone.clone()).datetime()
}

/// The first moment of a day.
pub fn midnight(zone: &TimeZone, date: Date) -> Timestamp {
    let noon = date.at(12, 0, 0, 0).to_zoned(zone.clone()).expect("noon is always there");
    noon.start_of_day().expect("a day has a start").timestamp()
}

/// The moment of a wall-clock time: the first one where there are two.
pub fn moment(zone: &TimeZone, local: DateTime) -> Timestamp {
    local.to_zoned(zone.clone()).expect("a time within the calendar").timestamp()
}

/// When the cycle around a moment began.
pub fn cycle_start(zone: &TimeZone, cycle: Cycle, at: Timestamp) -> Timestamp {
    let now = local(zone, at);
    match cycle {
        Cycle::Hour => {
            let into = i64::from(now.minute()) * 60 + i64::from(now.second());
            let whole = Timestamp::from_second(at.as_second()).expect("in range");
            whole.checked_sub(Span::new().seconds(into)).expect("in range")
        }
        Cycle::Day => midnight(zone, now.date()),
        Cycle::Month => midnight(zone, now.date().first_of_month()),
    }
}

/// When the cycle that began then is over.
pub fn cycle_end(zone: &TimeZone, cycle: Cycle, start: Timestamp) -> Timestamp {
    match cycle {
        Cycle::Hour => start.checked_add(Span::new().hours(1)).expect("in range"),
        Cycle::Day => midnight(zone, local(zone, start).date().tomorrow().expect("in range")),
        Cycle::Month => {
            let date = local(zone, start).date();
            midnight(zone, date.checked_add(Span::new().months(1)).expect("in range").first_of_month())
        }
    }
}

/// Seconds between two moments.
pub fn seconds(start: Timestamp, end: Timestamp) -> Number {
    Number::new(end.as_nanosecond() - start.as_nanosecond(), 1_000_000_000)
}

/// Months after a start, then the first 00:00 strictly after that (R-YKF-3).
pub fn term_end(zone: &TimeZone, start: Timestamp, months: i64) -> Timestamp {
    let then = local(zone, start).checked_add(Span::new().months(months)).expect("in range");
    midnight(zone, then.date().tomorrow().expect("in range"))
}

/// Months that have begun by the end of a stretch of time, as terms are counted.
pub fn months_begun(zone: &TimeZone, from: Timestamp, until: Timestamp) -> i64 {
    (1..).find(|months| term_end(zone, from, *months) >= until).expect("some number of months")
}

/// The days of a stretch of time: the first one and the last one count.
pub fn days(zone: &TimeZone, from: Timestamp, until: Timestamp) -> i64 {
    let last = local(zone, until).date();
    let begun = i64::from(midnight(zone, last) < until);
    i64::from((last - local(zone, from).date()).get_days()) + begun
}
