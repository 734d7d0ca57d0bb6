//! CloudEvents 1.0 JSON: one object, a batch, or one object a line; told apart by their beginning.

use super::json::{self, Scalar};
use super::objects;
use super::records::{Dialect, Field, Meaning, Said, Unusable, Usage, json_fields_but, wrong};
use super::time::{Clock, rfc3339};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::borrow::Cow;

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
    fields,
    usage,
};

/// The field that has the data of an event.
const DATA: &str = "data";

/// The field that has them as bytes.
const DATA_BYTES: &str = "data_base64";

/// The fields of an event. What `data_base64` holds is read as if it stood in `data`. Data that is no object has no
/// fields that a meter could look at: it would be taken, and never charged for.
fn fields(row: &[u8]) -> Result<Vec<Field<'_>>, Unusable> {
    let (mut found, is_array) = json_fields_but(row, DATA)?;
    let data = if is_array { None } else { found.iter().find(|(name, _)| name == DATA) };
    let found_instead = match data {
        _ if is_array => "an array",
        None | Some((_, Scalar::Null)) => "",
        Some((_, Scalar::Text(_))) => "a text; JSON within JSON is not read",
        Some((_, Scalar::Number(_))) => "a number",
        Some((_, Scalar::Bool(_))) => "a truth value",
    };
    if !found_instead.is_empty() {
        return wrong("bad-data", format!("data is no JSON object, but {found_instead}"));
    }
    let Some(at) = found.iter().position(|(name, _)| name == DATA_BYTES) else { return Ok(found) };
    let (_, value) = found.swap_remove(at);
    let text = match value {
        Scalar::Null => return Ok(found),
        Scalar::Text(text) => text,
        Scalar::Number(_) | Scalar::Bool(_) => return wrong("bad-data", "data_base64 is no text"),
    };
    let is_data =
        |(name, value): &Field<'_>| name == DATA && *value != Scalar::Null || name.starts_with("data.");
    if found.iter().any(is_data) {
        return wrong("bad-data", "it has both data and data_base64; an event has one of them");
    }
    if let Some((_, Scalar::Text(media))) = found.iter().find(|(name, _)| name == "datacontenttype")
        && !is_json(media)
    {
        return wrong("bad-data", format!("data_base64 is of the type \"{media}\"; only JSON can be read"));
    }
    let bytes = BASE64_STANDARD.decode(text.as_bytes());
    let Some(content) = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return wrong("bad-data", "data_base64 is no Base64 of a UTF-8 text (RFC 4648, with padding)");
    };
    let content = json::flatten(&content).map_err(|why| {
        Unusable::Wrong("bad-data", format!("what data_base64 holds is no JSON object: {why}"))
    })?;
    found.extend(content.into_iter().map(|(name, value)| (format!("data.{name}").into(), owned(value))));
    Ok(found)
}

/// Whether a media type is JSON: `application/json`, `text/json`, or another that ends with `+json`.
fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = media.split_once('/').map_or("", |(_, kind)| kind);
    kind == "json" || kind.ends_with("+json")
}

/// A value that needs the text no longer in which it was found.
fn owned(value: Scalar<'_>) -> Scalar<'static> {
    match value {
        Scalar::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
        Scalar::Number(digits) => Scalar::Number(Cow::Owned(digits.into_owned())),
        Scalar::Bool(value) => Scalar::Bool(value),
        Scalar::Null => Scalar::Null,
    }
}

/// A moment of an event, or that it is none.
fn moment(name: &str, value: &Scalar<'_>) -> Result<(i64, i32), Unusable> {
    let found = match value {
        Scalar::Text(text) => match rfc3339(text.as_bytes()) {
            Some(moment) => return Ok(moment),
            None => format!("\"{text}\""),
        },
        Scalar::Number(digits) => digits.to_string(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Null => "null".to_owned(),
    };
    let why = format!("{name} {found} is no RFC 3339 time that can be billed, such as 2026-01-31T23:59:59Z");
    wrong("bad-time", why)
}

fn usage<'a>(said: &Said<'_, 'a>, _: &mut Option<Clock>) -> Result<Usage<'a>, Unusable> {
    let (id, source) = (said.needed("id")?, said.needed("source")?);
    let (version, kind) = (said.needed("specversion")?, said.needed("type")?);
    let time = said.needed("time")?;
    if version != "1.0" {
        return wrong("bad-specversion", format!("specversion is \"{version}\"; only 1.0 is known"));
    }
    let at = moment("time", &Scalar::Text(time.clone()))?;
    let told = |name: &'static str| {
        said.get(name).filter(|value| **value != Scalar::Null).map(|value| (name, value))
    };
    let start = told("start").or_else(|| told("data.start"));
    let start = start.map(|(name, value)| moment(name, value)).transpose()?;
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
