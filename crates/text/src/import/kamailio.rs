//! Kamailio's accounting in its log: call records, and transactions that add up to calls.
//!
//! A call record (`start_time=…; end_time=…; duration=…; callid=…`) is a call. Without them a call
//! is what its transactions say: an answered INVITE begins it, a BYE ends it, and an INVITE that
//! nobody answered is an attempt. Both name the call by its Call-ID; a call record has revision 1,
//! and so stands before what transactions add up to.

use super::calls::Call;
use super::json::Scalar;
use super::records::{CallMoment, Dialect, Field, Meaning, Said, Unusable, Usage, seconds, wrong};
use super::scan::Framing;
use super::summary::{escaped, excerpt};
use super::time::{Clock, epoch};
use std::borrow::Cow;

pub(super) static KAMAILIO: Dialect = Dialect {
    account: "account",
    kind: "call",
    prefixes: &[],
    envelope: &["start_time", "end_time", "timestamp"],
    names: &[],
    local: false,
    moments: true,
    framing: |_| Framing::Lines,
    fields,
    usage,
};

/// The name of the first words of a transaction's line.
const REPORT: &str = "report";

fn fields(row: &[u8]) -> Result<Vec<Field<'_>>, Unusable> {
    let find = |needle: &[u8]| memchr::memmem::find(row, needle);
    let mut fields: Vec<(Cow<'_, str>, Cow<'_, [u8]>)> = Vec::with_capacity(12);
    let pairs = match (find(b"ACC: "), find(b"start_time=")) {
        (Some(at), _) => {
            let said = &row[at + 5..];
            let Some(colon) = memchr::memmem::find(said, b": ") else {
                return wrong("bad-line", format!("no line of accounting: {}", excerpt(said)));
            };
            fields.push((REPORT.into(), said[..colon].into()));
            &said[colon + 2..]
        }
        (None, Some(at)) => &row[at..],
        (None, None) => return Err(Unusable::NotUsage),
    };
    for pair in pairs.split(|&byte| byte == b';') {
        match memchr::memchr(b'=', pair) {
            Some(equals) => {
                let name = escaped(pair[..equals].trim_ascii());
                fields.push((name, pair[equals + 1..].trim_ascii_end().into()));
            }
            // The value before had a semicolon in it.
            None => {
                if let Some((_, value)) = fields.last_mut().filter(|_| !pair.trim_ascii().is_empty()) {
                    let value = value.to_mut();
                    value.push(b';');
                    value.extend_from_slice(pair);
                }
            }
        }
    }
    if let Some(twice) =
        fields.iter().enumerate().find(|(i, (name, _))| fields[..*i].iter().any(|f| f.0 == *name))
    {
        return wrong("bad-line", format!("\"{}\" stands there twice", twice.1.0));
    }
    let text = |value: Cow<'_, [u8]>| escaped(&value).into_owned();
    Ok(fields.into_iter().map(|(name, value)| (name, Scalar::Text(text(value).into()))).collect())
}

fn usage<'a>(said: &Said<'_, 'a>, _: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let moment = |name: &str| {
        let text = said.needed(name)?;
        epoch(text).ok_or_else(|| {
            let why = format!("{name} \"{}\" is no number of seconds since 1970", excerpt(text.as_bytes()));
            Unusable::Wrong("bad-time", why)
        })
    };
    let Some(report) = said.text(REPORT) else {
        let (start, time) = (moment("start_time")?, moment("end_time")?);
        let id = said.text("callid").map_or_else(|| said.needed("call_id"), Ok)?;
        let digits = said.needed("duration")?;
        let Some(duration) = seconds(digits) else {
            let found = excerpt(digits.as_bytes());
            return wrong("bad-number", format!("duration \"{found}\" is no number of seconds"));
        };
        return Ok(Usage::Event(Meaning {
            id: id.clone(),
            revision: 1,
            time,
            start: Some(start),
            talk: Some((true, duration)),
            more: vec![("duration", Scalar::Number(duration.to_string().into()))],
            ..Meaning::default()
        }));
    };
    let code = said.needed("code")?;
    let (role, sequence) = match said.needed("method")?.as_ref() {
        "INVITE" if report == "transaction answered" && code.starts_with('2') => (Call::BEGUN, 0),
        "INVITE" => (0, 1),
        "BYE" => (Call::OVER, 2),
        _ => return Err(Unusable::NotUsage),
    };
    let (call, at) = (said.needed("call_id")?.clone(), moment("timestamp")?.0);
    Ok(Usage::Moment(CallMoment { call, role, sequence, at }))
}
