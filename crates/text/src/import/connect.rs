//! Amazon Connect contact records: delivered at least once, and again when they change.

use super::json::Scalar;
use super::objects;
use super::records::{Dialect, Meaning, Moment, Said, Unusable, Usage, json_fields, wrong};
use super::summary::excerpt;
use super::time::{Clock, rfc3339};
use farebox_core::money::Exact;
use std::borrow::Cow;

pub(super) static AMAZON_CONNECT: Dialect = Dialect {
    account: "AWSAccountId",
    kind: "call",
    prefixes: &[("Tags.", "tag:"), ("Attributes.", "")],
    envelope: &["LastUpdateTimestamp"],
    names: &[],
    local: false,
    moments: false,
    framing: |head| objects::framing(head, None),
    fields: json_fields,
    usage,
};

fn usage<'a>(said: &Said<'_, 'a>, _: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let id = said.needed("ContactId")?;
    let moment = |name: &str| -> Result<Option<Moment>, Unusable> {
        let Some(text) = said.text(name) else { return Ok(None) };
        rfc3339(text.as_bytes()).map(Some).ok_or_else(|| {
            let found = excerpt(text.as_bytes());
            Unusable::Wrong("bad-time", format!("{name} \"{found}\" is no time like 2026-01-31T23:59:59Z"))
        })
    };
    let (start, connected) = (moment("InitiationTimestamp")?, moment("ConnectedToSystemTimestamp")?);
    let updated = moment("LastUpdateTimestamp")?;
    let Some(time) = moment("DisconnectTimestamp")? else {
        let why = "the contact has no DisconnectTimestamp: it is not over";
        return Err(Unusable::Unfinished(id.clone().into_owned(), why.to_owned()));
    };
    let nanos = |at: Moment| i128::from(at.0) * 1_000_000_000 + i128::from(at.1);
    let talked = connected.map_or(0, |from| nanos(time) - nanos(from));
    let Some(seconds) = Exact::ratio(talked, 1_000_000_000).filter(|_| talked >= 0) else {
        return wrong("ends-before-start", "it was disconnected before it was connected");
    };
    let channel = said.text("Channel").map_or("VOICE", |channel| channel);
    let voice = channel.eq_ignore_ascii_case("VOICE");
    let kind = if voice { Cow::Borrowed("call") } else { Cow::Owned(channel.to_ascii_lowercase()) };
    let mut more = Vec::new();
    for (name, field) in [
        ("agent_seconds", "Agent.AgentInteractionDuration"),
        ("hold_seconds", "Agent.CustomerHoldDuration"),
        ("queue_seconds", "Queue.Duration"),
    ] {
        if let Some(value @ Scalar::Number(_)) = said.get(field) {
            more.push((name, value.clone()));
        }
    }
    Ok(Usage::Event(Meaning {
        id: id.clone(),
        revision: updated.map_or(0, |at| (nanos(at) / 1000) as u64),
        kind: Some(kind),
        time,
        start,
        talk: Some((connected.is_some(), seconds)),
        more,
        ..Meaning::default()
    }))
}
