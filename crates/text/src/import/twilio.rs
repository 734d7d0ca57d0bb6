//! Twilio call resources, as its API lists them: one a line, in an array, or in pages of `calls`.

use super::json::Scalar;
use super::objects;
use super::records::{Dialect, Meaning, Said, Unusable, Usage, json_fields, seconds, wrong};
use super::summary::excerpt;
use super::time::{Clock, rfc2822};
use farebox_core::money::Exact;

pub(super) static TWILIO: Dialect = Dialect {
    account: "account_sid",
    kind: "call",
    prefixes: &[],
    envelope: &["start_time", "end_time", "date_created", "date_updated"],
    names: &[],
    local: false,
    moments: false,
    framing: |head| objects::framing(head, Some("calls")),
    fields: json_fields,
    usage,
};

fn usage<'a>(said: &Said<'_, 'a>, _: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let (id, status) = (said.needed("sid")?, said.needed("status")?);
    let connected = match status.as_ref() {
        "completed" => true,
        "busy" | "failed" | "no-answer" | "canceled" => false,
        _ => {
            let why = format!("the call is \"{}\": it is not over", excerpt(status.as_bytes()));
            return Err(Unusable::Unfinished(id.clone().into_owned(), why));
        }
    };
    let moment = |name: &str| match said.text(name) {
        None => Ok(None),
        Some(text) => rfc2822(text).map(|at| Some((at, 0))).ok_or_else(|| {
            let found = excerpt(text.as_bytes());
            let why = format!("{name} \"{found}\" is no time like Sat, 31 Jan 2026 23:59:59 +0000");
            Unusable::Wrong("bad-time", why)
        }),
    };
    let (start, end, updated) = (moment("start_time")?, moment("end_time")?, moment("date_updated")?);
    // A call that nobody took need not have begun; when it was made then is when it was.
    let made = if connected { None } else { moment("date_created")? };
    let Some(time) = end.or(start.filter(|_| !connected)).or(made) else {
        return wrong("missing-attribute", "\"end_time\" is missing, empty, or no text");
    };
    let digits = said.word("duration");
    let seconds = match (connected, seconds(digits)) {
        (true, Some(seconds)) => seconds,
        (true, None) => {
            let found = excerpt(digits.as_bytes());
            return wrong("bad-number", format!("duration \"{found}\" is no number of seconds"));
        }
        (false, _) => Exact::ZERO,
    };
    Ok(Usage::Event(Meaning {
        id: id.clone(),
        // The price comes later: the same call is said again with another date.
        revision: updated.map_or(0, |at| at.0.max(0) as u64),
        time,
        start,
        talk: Some((connected, seconds)),
        more: vec![("duration", Scalar::Number(seconds.to_string().into()))],
        ..Meaning::default()
    }))
}
