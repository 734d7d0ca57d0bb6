//! The times that a book writes: local, or with an offset.
//!
//! `2020-01-04`, `2020-01-04 13:23`, `2020-01-04 13:23:56.5`, and each with a time also with
//! `+08:00` or `Z` at its end. A `T` may stand in place of the blank. Years 1970 to 2199.

use super::lex::{Mistake, quoted};
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::{Instant, LocalTime, YEARS, Zone};
use jiff::civil::{self, Date, DateTime};
use jiff::tz::Offset;
use std::fmt;

/// A time, and where it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The time.
    pub time: Time,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A time as a book writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Time {
    /// What a wall clock shows; the book's zone says which moment that is.
    Local(DateTime),
    /// A moment: the offset was written.
    Exact(Instant),
}

impl fmt::Debug for When {
    /// `2020-01-04T13:23:56@1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.time, self.column)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Time::Local(local) => write!(f, "{local}"),
            Time::Exact(at) => write!(f, "{at}"),
        }
    }
}

/// A local time that never was: the clocks were put forward past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedHour {
    /// What was written.
    pub local: DateTime,
    /// The zone in which it never was.
    pub zone: String,
    /// What the clocks there showed in its place.
    pub shown: DateTime,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for SkippedHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not exist in {}: the clocks went forward", show(self.local), self.zone)
    }
}

impl std::error::Error for SkippedHour {}

impl SkippedHour {
    /// As a mistake on this line of this file.
    pub fn diagnostic(&self, file: &str, line: usize) -> Diagnostic {
        Diagnostic {
            file: file.to_owned(),
            line,
            column: self.column,
            found: self.to_string(),
            expected: format!("a time that did exist, such as {}", show(self.shown)),
            suggestion: None,
        }
    }
}

impl Time {
    /// The moment, by a wall clock. Of an hour that came twice, the earlier; an offset written in
    /// the book says otherwise.
    pub fn resolve(&self, zone: &Zone) -> Result<Instant, SkippedHour> {
        match *self {
            Time::Exact(at) => Ok(at),
            Time::Local(local) => match zone.moments(local) {
                LocalTime::One(at) | LocalTime::Two(at, _) => Ok(at),
                LocalTime::None(at) => {
                    Err(SkippedHour { local, zone: zone.name().to_owned(), shown: zone.local(at), column: 0 })
                }
            },
        }
    }
}

impl When {
    /// The moment, by a wall clock. Of an hour that came twice, the earlier; an offset written in
    /// the book says otherwise.
    pub fn resolve(&self, zone: &Zone) -> Result<Instant, SkippedHour> {
        self.time.resolve(zone).map_err(|skipped| SkippedHour { column: self.column, ..skipped })
    }
}

/// `2020-01-04 13:23:56`.
fn show(local: DateTime) -> String {
    local.to_string().replacen('T', " ", 1)
}

/// A time as it was written, its offset kept: a time of day alone borrows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) local: DateTime,
    offset: Option<Offset>,
    pub(super) column: usize,
}

impl Written {
    pub(super) fn when(self) -> Result<When, Mistake> {
        let time = match self.offset {
            None => Time::Local(self.local),
            Some(offset) => Time::Exact(offset.to_timestamp(self.local).map_err(|_| Mistake {
                column: self.column,
                found: format!("the time {}", show(self.local)),
                expected: "a year from 1970 to 2199".into(),
                suggestion: None,
            })?),
        };
        Ok(When { time, column: self.column })
    }
}

/// Whether one is surely before the other, without knowing the zone. Offsets reach from −15 to
/// +15 hours, so a local time and a moment compare when they are further apart than that.
pub(super) fn surely_before(one: Time, other: Time) -> bool {
    let utc = |local: DateTime| Offset::UTC.to_timestamp(local).map(|at| at.as_second()).unwrap_or(0);
    const REACH_S: i64 = 15 * 3600;
    match (one, other) {
        (Time::Local(a), Time::Local(b)) => a < b,
        (Time::Exact(a), Time::Exact(b)) => a < b,
        (Time::Local(a), Time::Exact(b)) => utc(a) + REACH_S < b.as_second(),
        (Time::Exact(a), Time::Local(b)) => a.as_second() + REACH_S < utc(b),
    }
}

pub(super) const DATE_FORM: &str = "a date such as 2020-01-04";
const TIME_FORM: &str = "a time such as 13:23 or 13:23:56";
const OFFSET_FORM: &str = "an offset such as +08:00, or Z";

fn wrong(column: usize, what: &str, text: &str, expected: &str) -> Mistake {
    Mistake { column, found: format!("{what} {}", quoted(text)), expected: expected.into(), suggestion: None }
}

/// Digits of a fixed count, as a number.
fn number(text: &str, digits: usize) -> Option<i16> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `2020-01-04`.
pub(super) fn date(text: &str, column: usize) -> Result<Date, Mistake> {
    let mut parts = text.split('-');
    let mut part = |digits| parts.next().and_then(|part| number(part, digits));
    let (year, month, day) = (part(4), part(2), part(2));
    let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else {
        return Err(wrong(column, "the date", text, DATE_FORM));
    };
    if !YEARS.contains(&year) {
        return Err(wrong(column, "the date", text, "a year from 1970 to 2199"));
    }
    let days = (1..=12).contains(&month).then(|| civil::date(year, month as i8, 1).days_in_month());
    match days {
        None => Err(wrong(column, "the date", text, "a month from 01 to 12")),
        Some(days) if !(1..=i16::from(days)).contains(&day) => {
            Err(wrong(column, "the date", text, &format!("a day from 01 to {days} in {year}-{month:02}")))
        }
        Some(_) => Ok(civil::date(year, month as i8, day as i8)),
    }
}

/// Whether a word is meant as a time of day.
pub(super) fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_digit)
        && bytes.iter().take(3).any(|b| *b == b':')
        && bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z'))
}

/// `13:23`, `13:23:56`, `13:23:56.25`, each with an offset or without.
pub(super) fn time_of_day(text: &str, column: usize) -> Result<(civil::Time, Option<Offset>), Mistake> {
    let cut = text.find(['+', '-', 'Z']).unwrap_or(text.len());
    let (clock, suffix) = text.split_at(cut);
    let mistake = || wrong(column, "the time", text, TIME_FORM);
    let (clock, fraction) = match clock.split_once('.') {
        None => (clock, None),
        Some((clock, fraction)) => (clock, Some(fraction)),
    };
    let mut parts = clock.split(':');
    let hour = parts.next().and_then(|part| number(part, 2)).ok_or_else(mistake)?;
    let minute = parts.next().and_then(|part| number(part, 2)).ok_or_else(mistake)?;
    let second = parts.next().map(|part| number(part, 2).ok_or_else(mistake)).transpose()?;
    if parts.next().is_some() || (fraction.is_some() && second.is_none()) {
        return Err(mistake());
    }
    let nanosecond = match fraction {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{digits:0<9}").parse::<i32>().map_err(|_| mistake())?
        }
        Some(_) => return Err(wrong(column, "the time", text, "1 to 9 digits after the point")),
    };
    let second = second.unwrap_or(0);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(wrong(column, "the time", text, "a time from 00:00:00 to 23:59:59"));
    }
    let offset = match suffix {
        "" => None,
        "Z" => Some(Offset::UTC),
        _ => {
            let at = column + text[..cut].chars().count();
            let wrong_offset = || wrong(at, "the offset", suffix, OFFSET_FORM);
            let (hours, minutes) = suffix[1..].split_once(':').ok_or_else(wrong_offset)?;
            let hours = number(hours, 2).filter(|h| *h <= 14).ok_or_else(wrong_offset)?;
            let minutes = number(minutes, 2).filter(|m| *m <= 59).ok_or_else(wrong_offset)?;
            let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
            let seconds = if suffix.starts_with('-') { -seconds } else { seconds };
            Some(Offset::from_seconds(seconds).map_err(|_| wrong_offset())?)
        }
    };
    Ok((civil::time(hour as i8, minute as i8, second as i8, nanosecond), offset))
}

/// A date, and the time of day in the word after it if there is one.
pub(super) fn written(
    date_text: &str,
    column: usize,
    time: Option<(&str, usize)>,
) -> Result<Written, Mistake> {
    let (date_text, time) = match (date_text.split_once('T'), time) {
        (Some((date_text, time)), None) => (date_text, Some((time, column + date_text.chars().count() + 1))),
        _ => (date_text, time),
    };
    let date = date(date_text, column)?;
    let (clock, offset) = match time {
        None => (civil::Time::midnight(), None),
        Some((text, column)) => time_of_day(text, column)?,
    };
    Ok(Written { local: date.to_datetime(clock), offset, column })
}

/// The value of `start=` or `at=`: a date, a date and a time, or a time of the given day.
pub(super) fn written_in(text: &str, column: usize, day: Written) -> Result<Written, Mistake> {
    if looks_like_time(text) {
        let (clock, offset) = time_of_day(text, column)?;
        let local = day.local.date().to_datetime(clock);
        return Ok(Written { local, offset: offset.or(day.offset), column });
    }
    match text.split_once(' ') {
        None => written(text, column, None),
        Some((date_text, time)) => {
            let time_column = column + date_text.chars().count() + 1;
            written(date_text, column, Some((time, time_column)))
        }
    }
}
