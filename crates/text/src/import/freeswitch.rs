//! FreeSWITCH's call records, `mod_cdr_csv` and `mod_json_cdr` (FORMATS.md).
//!
//! A record is a leg; a call is its A leg, identified by its uuid, and is as long as that leg's
//! `billsec`. A B leg's JSON record names the leg that originated it, and is part of that call. A
//! row of CSV cannot say that it is a B leg: such files hold A legs, which is the switch's default.

use super::json::Scalar;
use super::objects;
use super::records::{Dialect, Field, Meaning, Moment, Said, Unusable, Usage, json_fields, wrong};
use super::scan::Framing;
use super::summary::{escaped, excerpt};
use super::time::{Clock, Local, epoch, local_span};
use farebox_core::money::Exact;
use std::borrow::Cow;

/// The columns of the template "example"; the built-in one lacks the last two.
const COLUMNS: [&str; 15] = [
    "caller_id_name",
    "caller_id_number",
    "destination_number",
    "context",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "uuid",
    "bleg_uuid",
    "accountcode",
    "read_codec",
    "write_codec",
];

pub(super) static CSV: Dialect = Dialect {
    account: "accountcode",
    kind: "call",
    prefixes: &[],
    envelope: &["start_stamp", "end_stamp"],
    names: &COLUMNS,
    local: true,
    moments: false,
    framing: |_| Framing::Lines,
    fields: columns,
    usage: |said, clock| call(said, "", clock),
};

pub(super) static JSON: Dialect = Dialect {
    account: "accountcode",
    kind: "call",
    prefixes: &[("variables.", ""), ("callflow.0.caller_profile.", ""), ("callflow.0.times.", "")],
    envelope: &[],
    names: &[],
    local: false,
    moments: false,
    framing: |head| objects::framing(head, None),
    fields: object,
    usage: |said, clock| match ["variables.originator", "variables.originating_leg_uuid"]
        .into_iter()
        .any(|name| said.text(name).is_some())
    {
        true => Err(Unusable::NotUsage),
        false => call(said, "variables.", clock),
    },
};

/// The longest time that is believed: 31 days.
const SECONDS_MAX: u64 = 31 * 86_400;

/// The call of an A leg; `at` stands before the names of its variables.
fn call<'a>(said: &Said<'_, 'a>, at: &str, clock: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let word = |name: &str| said.word(&format!("{at}{name}"));
    let uuid = said.needed(&format!("{at}uuid"))?;
    let whole = |name: &str| {
        let digits = word(name);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|seconds| plain && *seconds <= SECONDS_MAX).ok_or_else(|| {
            let why = format!("{name} \"{}\" is no number of seconds from 0 to {SECONDS_MAX}", digits);
            Unusable::Wrong("bad-number", why)
        })
    };
    let (billsec, duration) = (whole("billsec")?, whole("duration")?);
    // Moments since 1970 say better than the switch's wall clock; zero is none.
    let moment = |name: &str, time: &str| {
        let digits = [word(&format!("{name}_uepoch")), said.word(&format!("callflow.0.times.{time}"))];
        let micros = digits.into_iter().find(|digits| !digits.trim_matches('0').is_empty());
        micros.and_then(|digits| digits.parse::<i64>().ok()).and_then(|micros| {
            let at = (micros.div_euclid(1_000_000), (micros.rem_euclid(1_000_000) * 1000) as i32);
            epoch(&format!("{}.{:09}", at.0, at.1))
        })
    };
    let second = |name: &str| epoch(word(&format!("{name}_epoch"))).filter(|at| at.0 > 0);
    let start = moment("start", "created_time").or_else(|| second("start"));
    let end = moment("end", "hangup_time").or_else(|| second("end"));
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        _ => stamps(word("start_stamp"), word("end_stamp"), duration, clock)?,
    };
    let answered = !word("answer_stamp").is_empty() || !word("answer_epoch").trim_matches('0').is_empty();
    Ok(Usage::Event(Meaning {
        id: uuid.clone(),
        time: end,
        start: Some(start),
        talk: Some((billsec > 0 || answered, Exact::whole(billsec.into()))),
        more: vec![("duration", Scalar::Number(duration.to_string().into()))],
        ..Meaning::default()
    }))
}

/// Start and end as the wall clock of the switch had them.
fn stamps(
    start: &str,
    end: &str,
    duration: u64,
    clock: &mut Option<Clock>,
) -> Result<(Moment, Moment), Unusable> {
    let Some(clock) = clock else {
        let why = "its times are local, and the import has no zone";
        return wrong("bad-time", why);
    };
    let mut read = |name: &str, text: &str| match clock.read(text.as_bytes()) {
        Local::Skipped => {
            wrong("skipped-hour", format!("{name} \"{text}\" never was: daylight saving skips it"))
        }
        Local::Wrong => {
            let found = excerpt(text.as_bytes());
            let why = format!("{name} \"{found}\" is no time like 2026-01-31 23:59:59 that can be billed");
            wrong("bad-time", why)
        }
        local => Ok(local),
    };
    let (from, to) = (read("start_stamp", start)?, read("end_stamp", end)?);
    let (start, end) = local_span(from, to, duration as i64);
    Ok(((start, 0), (end, 0)))
}

/// A line of CSV as the switch writes it: a blank may stand before a field, and quotes inside a
/// quoted field are not doubled.
fn columns(row: &[u8]) -> Result<Vec<Field<'_>>, Unusable> {
    let mut fields: Vec<&[u8]> = Vec::with_capacity(COLUMNS.len());
    let mut rest = row;
    loop {
        let trimmed = rest.trim_ascii_start();
        let (field, after) = match trimmed.strip_prefix(b"\"") {
            Some(quoted) => {
                let closes = |&at: &usize| {
                    let after = quoted[at + 1..].trim_ascii_start();
                    after.is_empty() || after[0] == b','
                };
                let Some(end) = memchr::memchr_iter(b'"', quoted).find(closes) else {
                    return wrong("unclosed-quote", "a quoted field never ends");
                };
                (&quoted[..end], quoted[end + 1..].trim_ascii_start())
            }
            None => {
                let end = memchr::memchr(b',', trimmed).unwrap_or(trimmed.len());
                (&trimmed[..end], &trimmed[end..])
            }
        };
        fields.push(field);
        match after {
            [b',', more @ ..] if fields.len() <= COLUMNS.len() => rest = more,
            _ => break,
        }
    }
    if !matches!(fields.len(), 13 | 15) {
        return wrong("columns", format!("the row has {} columns; 13 or 15 are expected", fields.len()));
    }
    let named = COLUMNS.into_iter().zip(fields);
    Ok(named.map(|(name, value)| (Cow::Borrowed(name), Scalar::Text(escaped(value)))).collect())
}

/// A JSON record, its variables decoded.
fn object(row: &[u8]) -> Result<Vec<Field<'_>>, Unusable> {
    let mut fields = json_fields(row)?;
    let variable = |name: &str| name.starts_with("variables.");
    // Encoded values have no blanks; the stamps of plain ones have.
    let plain = fields
        .iter()
        .any(|(name, value)| variable(name) && matches!(value, Scalar::Text(text) if text.contains(' ')));
    if !plain {
        for (_, value) in fields.iter_mut().filter(|(name, _)| variable(name)) {
            if let Scalar::Text(text) = value
                && text.contains('%')
            {
                *text = decoded(text).into();
            }
        }
    }
    Ok(fields)
}

/// `%20` to a blank; what is no such code stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        rest = match after {
            [high, low, left @ ..] if *byte == b'%' => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push((high * 16 + low) as u8);
                    left
                }
                _ => {
                    bytes.push(*byte);
                    after
                }
            },
            _ => {
                bytes.push(*byte);
                after
            }
        };
    }
    escaped(&bytes).into_owned()
}
