//! CloudEvents 1.0 JSON: one object, a batch, or one object a line; told apart by their beginning.

use super::json::Scalar;
use super::objects;
use super::records::{Dialect, Meaning, Said, Unusable, Usage, json_fields, wrong};
use super::time::{Clock, rfc3339};

pub(super) static CLOUDEVENTS: Dialect = Dialect {
    account: "subject",
    kind: "usage",
    // Data says more than an extension of the same name.
    prefixes: &[("data.", "")],
    envelope: &[
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "revision",
        "start",
    ],
    names: &[],
    local: false,
    moments: false,
    framing: |head| objects::framing(head, None),
    fields: json_fields,
    usage,
};

fn usage<'a>(said: &Said<'_, 'a>, _: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let (id, source) = (said.needed("id")?, said.needed("source")?);
    let (version, kind, time) = (said.needed("specversion")?, said.needed("type")?, said.needed("time")?);
    if version != "1.0" {
        return wrong("bad-specversion", format!("specversion is \"{version}\"; only 1.0 is known"));
    }
    let Some(at) = rfc3339(time.as_bytes()) else {
        let why =
            format!("time \"{time}\" is no RFC 3339 time that can be billed, such as 2026-01-31T23:59:59Z");
        return wrong("bad-time", why);
    };
    let start = match said.get("start").or_else(|| said.get("data.start")) {
        Some(Scalar::Text(text)) => rfc3339(text.as_bytes()),
        _ => None,
    };
    let revision = match said.get("revision").or_else(|| said.get("data.revision")) {
        None | Some(Scalar::Null) => Ok(0),
        Some(Scalar::Number(digits) | Scalar::Text(digits)) => {
            digits.parse::<u64>().map_err(|_| digits.as_ref())
        }
        Some(Scalar::Bool(_)) => Err("a truth value"),
    };
    match revision {
        Ok(revision) => Ok(Usage::Event(Meaning {
            source: Some(source.clone()),
            id: id.clone(),
            revision,
            kind: Some(kind.clone()),
            time: at,
            start,
            ..Meaning::default()
        })),
        Err(found) => wrong("bad-number", format!("revision \"{found}\" is no whole number from 0")),
    }
}
