//! Times as files write them, to seconds.

use farebox_core::calendar::{Instant, LocalTime, YEARS, Zone};
use jiff::civil::DateTime;

/// What a local time turned out to be, in seconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    One(i64),
    /// Daylight saving doubles it: the earlier and the later.
    Two(i64, i64),
    /// Daylight saving skips it.
    Skipped,
    /// No time, or outside the years that can be billed.
    Wrong,
}

/// A zone's wall clock that remembers the hours it has seen, so that a file in order asks the
/// zone's rules once an hour and not once a row.
pub(super) struct Clock {
    zone: Zone,
    hours: [Hour; 64],
}

#[derive(Clone, Copy)]
struct Hour {
    /// The bytes `YYYY-MM-DD HH`. 0: empty.
    key: u128,
    first: i64,
    plain: bool,
}

impl Clock {
    pub(super) fn new(zone: Zone) -> Clock {
        Clock { zone, hours: [Hour { key: 0, first: 0, plain: false }; 64] }
    }

    /// Reads `YYYY-MM-DD HH:MM:SS` (or with a `T`).
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) -> Local {
        let Some(text) = text.first_chunk::<19>().filter(|_| text.len() == 19) else { return Local::Wrong };
        let word = |at: usize| u64::from_le_bytes(*text[at..].first_chunk::<8>().unwrap_or(&[0; 8]));
        let key = u128::from(word(0)) << 64 | u128::from(word(5));
        let (Some(minute), Some(second)) = (two(text, 14), two(text, 17)) else { return Local::Wrong };
        if text[13] != b':' || text[16] != b':' || minute > 59 || second > 59 {
            return Local::Wrong;
        }
        let slot = usize::from(text[12] & 15 | (text[9] & 3) << 4);
        if self.hours[slot].key != key {
            match self.hour(text, key) {
                Some(hour) => self.hours[slot] = hour,
                None => return Local::Wrong,
            }
        }
        let hour = self.hours[slot];
        let into = i64::from(minute) * 60 + i64::from(second);
        if hour.plain { Local::One(hour.first + into) } else { self.slowly(text) }
    }

    #[cold]
    fn hour(&self, text: &[u8; 19], key: u128) -> Option<Hour> {
        let at = civil(text)?;
        let first = self.zone.moments(at.with().minute(0).second(0).build().ok()?);
        let last = self.zone.moments(at.with().minute(59).second(59).build().ok()?);
        Some(match (first, last) {
            (LocalTime::One(a), LocalTime::One(b)) if b.as_second() - a.as_second() == 3599 => {
                Hour { key, first: a.as_second(), plain: true }
            }
            _ => Hour { key, first: 0, plain: false },
        })
    }

    #[cold]
    fn slowly(&self, text: &[u8; 19]) -> Local {
        match civil(text).map(|at| self.zone.moments(at)) {
            Some(LocalTime::One(at)) => Local::One(at.as_second()),
            Some(LocalTime::Two(a, b)) => Local::Two(a.as_second(), b.as_second()),
            Some(LocalTime::None(_)) => Local::Skipped,
            None => Local::Wrong,
        }
    }
}

/// Two digits.
#[inline]
fn two(text: &[u8], at: usize) -> Option<i8> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| (tens * 10 + ones) as i8)
}

fn civil(text: &[u8; 19]) -> Option<DateTime> {
    if text[4] != b'-' || text[7] != b'-' || !matches!(text[10], b' ' | b'T') {
        return None;
    }
    let year = i16::from(two(text, 0)?) * 100 + i16::from(two(text, 2)?);
    if !YEARS.contains(&year) {
        return None;
    }
    let (month, day, hour) = (two(text, 5)?, two(text, 8)?, two(text, 11)?);
    DateTime::new(year, month, day, hour, two(text, 14)?, two(text, 17)?, 0).ok()
}

/// Days since 1970-01-01 of a date, if it is one that can be billed.
fn days(year: i16, month: i8, day: i8) -> Option<i64> {
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i8::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > length {
        return None;
    }
    // Years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (y, m) = (i64::from(y), i64::from(m));
    Some(y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + i64::from(day) - 1 - 719_468)
}

/// RFC 3339 with an offset, as CloudEvents have it: seconds and nanoseconds since 1970 UTC.
pub(super) fn rfc3339(text: &[u8]) -> Option<(i64, i32)> {
    let head = text.first_chunk::<19>()?;
    let marks = head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':';
    if !marks || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let year = i16::from(two(head, 0)?) * 100 + i16::from(two(head, 2)?);
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, two(head, 5)?, two(head, 8)?)?;
    let mut rest = &text[19..];
    let mut nanos = 0i32;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 && fraction[9..digits].iter().any(|&b| b != b'0') {
            return None;
        }
        let written = fraction[..digits].iter().map(|b| i32::from(b - b'0'));
        nanos = written.chain(std::iter::repeat(0)).take(9).fold(0, |nanos, digit| nanos * 10 + digit);
        rest = &fraction[digits..];
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), digits @ ..] => seconds_of_offset(*sign, digits)?,
        _ => return None,
    };
    let clock = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some((days * 86_400 + clock - offset, nanos))
}

/// `08:00` or `0800`.
fn seconds_of_offset(sign: u8, digits: &[u8]) -> Option<i64> {
    let (hours, minutes) = match digits.len() {
        5 if digits[2] == b':' => (two(digits, 0)?, two(digits, 3)?),
        4 => (two(digits, 0)?, two(digits, 2)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60;
    Some(if sign == b'-' { -seconds } else { seconds })
}

/// `10/Oct/2000:13:55:36 -0700`, the time of an access log.
pub(super) fn log_time(text: &[u8]) -> Option<i64> {
    let text = text.first_chunk::<26>().filter(|_| text.len() == 26)?;
    let marks = text[2] == b'/' && text[6] == b'/' && text[11] == b':' && text[14] == b':';
    if !marks || text[17] != b':' || text[20] != b' ' {
        return None;
    }
    let month = month_of(&text[3..6])?;
    let year = i16::from(two(text, 7)?) * 100 + i16::from(two(text, 9)?);
    let (hour, minute, second) = (two(text, 12)?, two(text, 15)?, two(text, 18)?);
    if hour > 23 || minute > 59 || second > 59 || !matches!(text[21], b'+' | b'-') {
        return None;
    }
    let offset = seconds_of_offset(text[21], &text[22..])?;
    let clock = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(days(year, month, two(text, 0)?)? * 86_400 + clock - offset)
}

/// Seconds since 1970 with or without a fraction: seconds and nanoseconds.
pub(super) fn epoch(text: &str) -> Option<(i64, i32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 12 || fraction.len() > 18 {
        return None;
    }
    let seconds = whole.parse().ok().filter(|seconds| *seconds < END)?;
    let nanos = fraction.bytes().map(|b| i32::from(b - b'0')).chain(std::iter::repeat(0)).take(9);
    Some((seconds, nanos.fold(0, |nanos, digit| nanos * 10 + digit)))
}

/// 2200-01-01: times from then on cannot be billed.
const END: i64 = 7_258_118_400;

/// `Mon, 05 Jan 2026 12:00:00 +0000`: seconds since 1970 UTC.
pub(super) fn rfc2822(text: &str) -> Option<i64> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [day, month, year, clock, zone] = words[..] else { return None };
    let day: i8 = day.parse().ok()?;
    let (clock, year) = (clock.as_bytes().first_chunk::<8>()?, year.parse().ok()?);
    let (hour, minute, second) = (two(clock, 0)?, two(clock, 3)?, two(clock, 6)?);
    let marks = clock[2] == b':' && clock[5] == b':' && words[3].len() == 8;
    if !marks || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = match zone.as_bytes() {
        b"GMT" | b"UT" | b"UTC" | b"Z" => 0,
        [sign @ (b'+' | b'-'), digits @ ..] => seconds_of_offset(*sign, digits)?,
        _ => return None,
    };
    let clock = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(days(year, month_of(month.as_bytes())?, day)? * 86_400 + clock - offset)
}

fn month_of(name: &[u8]) -> Option<i8> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.iter().position(|month| *month == name).map(|at| 1 + at as i8)
}

/// Start and end of what lasted about `duration` seconds. Of a doubled start the earlier moment is
/// meant, of a doubled end the one that fits best. Neither is skipped or wrong.
pub(super) fn local_span(start: Local, end: Local, duration: i64) -> (i64, i64) {
    let moments = |local| match local {
        Local::One(at) => (at, at),
        Local::Two(earlier, later) => (earlier, later),
        Local::Skipped | Local::Wrong => (0, 0),
    };
    let (start, end) = (moments(start).0, moments(end));
    let off = |end: i64| (end - start - duration).abs();
    (start, if off(end.1) < off(end.0) { end.1 } else { end.0 })
}

/// Seconds and nanoseconds as a moment.
pub(super) fn instant(seconds: i64, nanos: i32) -> Instant {
    Instant::new(seconds, nanos).unwrap_or(Instant::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock(zone: &str) -> Clock {
        Clock::new(Zone::parse(zone).unwrap())
    }

    fn check(zone: &str, text: &str, expected: &str) {
        let show = |s| instant(s, 0).to_string();
        let got = match clock(zone).read(text.as_bytes()) {
            Local::One(at) => show(at),
            Local::Two(a, b) => format!("{} or {}", show(a), show(b)),
            Local::Skipped => "skipped".into(),
            Local::Wrong => "wrong".into(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn local_times() {
        check("Europe/Berlin", "2026-07-01 12:00:00", "2026-07-01T10:00:00Z");
        check("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z");
        check("Europe/Berlin", "2026-03-29 02:30:00", "skipped");
        check("+08:00", "2026-01-01 00:00:00", "2025-12-31T16:00:00Z");
        // Half an hour is doubled.
        check("Australia/Lord_Howe", "2026-04-05 01:15:00", "2026-04-04T14:15:00Z");
        check("Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04T14:45:00Z or 2026-04-04T15:15:00Z");
        for wrong in [
            "",
            "2026-13-01 00:00:00",
            "2026-02-29 00:00:00",
            "9999-01-01 00:00:00",
            "1969-12-31 00:00:00",
            "2026-01-01 24:00:00",
            "2026-01-01 00:60:00",
            "2026-01-01 00:00:61",
            "2026/01/01 00:00:00",
            "2026-01-01 00:00:00Z",
            "2o26-01-01 00:00:00",
        ] {
            check("UTC", wrong, "wrong");
        }
    }

    #[test]
    fn log_times() {
        let show = |text: &str| log_time(text.as_bytes()).map(|s| instant(s, 0).to_string());
        assert_eq!(show("10/Oct/2000:13:55:36 -0700").unwrap(), "2000-10-10T20:55:36Z");
        for wrong in ["10/Okt/2000:13:55:36 -0700", "32/Oct/2000:13:55:36 -0700", "10/Oct/2000:13:55:36"] {
            assert_eq!(show(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn rfc_3339_reads_what_jiff_writes(seconds in 0i64..7_258_118_400, nanos in 0i32..1_000_000_000) {
            let at = instant(seconds, nanos);
            prop_assert_eq!(rfc3339(at.to_string().as_bytes()), Some((seconds, nanos)));
        }

        #[test]
        fn local_times_agree_with_the_calendar(seconds in 946_684_800i64..4_102_444_800) {
            let zone = Zone::parse("America/New_York").unwrap();
            let local = zone.local(instant(seconds, 0));
            let text = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
            let expected = match zone.moments(local) {
                LocalTime::One(at) => Local::One(at.as_second()),
                LocalTime::Two(a, b) => Local::Two(a.as_second(), b.as_second()),
                LocalTime::None(_) => Local::Skipped,
            };
            prop_assert_eq!(Clock::new(zone).read(text.as_bytes()), expected);
        }
    }

    #[test]
    fn epochs_and_mail_times() {
        assert_eq!(epoch("1795289396.436"), Some((1_795_289_396, 436_000_000)));
        assert_eq!(epoch("0"), Some((0, 0)));
        for wrong in ["", "-1", "1.", ".5", "1e9", "7258118400", "9999999999999999999"] {
            assert_eq!(epoch(wrong), None, "{wrong}");
        }
        let at = "2026-01-05T12:00:00Z".parse::<Instant>().unwrap().as_second();
        for right in
            ["Mon, 05 Jan 2026 12:00:00 +0000", "5 Jan 2026 13:00:00 +0100", "Mon, 05 Jan 2026 12:00:00 GMT"]
        {
            assert_eq!(rfc2822(right), Some(at), "{right}");
        }
        for wrong in
            ["", "Mon, 05 Jan 2026", "Mon, 32 Jan 2026 12:00:00 +0000", "Mon, 05 Jan 2026 12:00:000 +0000"]
        {
            assert_eq!(rfc2822(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rfc_3339() {
        assert_eq!(rfc3339(b"1970-01-01T08:00:01.5+08:00"), Some((1, 500_000_000)));
        for wrong in ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+8", "2026-02-30T00:00:00Z"] {
            assert_eq!(rfc3339(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
