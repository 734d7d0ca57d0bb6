//! CloudEvents 1.0 JSON: one object, a batch, or one object a line; told apart by their beginning.

use super::index::Key;
use super::json::{self, Scalar};
use super::partition::identity;
use super::record::{Encoder, Out, Parser, Record, RowAt, Ruled, apply_rules, not_an_event};
use super::rules::{self, Rules};
use super::scan::{Fields, Framing};
use super::spec::{Attributes, ImportSpec};
use super::time::rfc3339;
use crate::diagnostic::Diagnostic;
use farebox_core::money::Exact;
use std::borrow::Cow;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What all threads share of one file's import.
pub(super) struct Plan {
    rules: Rules,
    /// The names that rules look at, by slot.
    names: Vec<String>,
    attributes: Attributes,
    kind: Option<String>,
    framing: Framing,
}

/// Any name may be a field of an event.
struct Names(Vec<String>);

impl rules::Fields for Names {
    fn slot(&mut self, name: &str) -> Option<usize> {
        let known = self.0.iter().position(|known| known == name);
        Some(known.unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        }))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Plan {
    pub(super) fn new(spec: &ImportSpec, head: &[u8]) -> Result<Plan, Diagnostic> {
        let mut names = Names(Vec::new());
        let rules = Rules::compile(&spec.rules, &spec.rules_file, "subject", &mut names)?;
        let head = head.trim_ascii_start();
        // An object over several lines has none that is a whole object: one is enough to tell, so
        // that a broken first line does not cost the file.
        let whole = |line: &[u8]| line.first() == Some(&b'{') && json::value_end(line).is_some();
        let by_line = head.first() == Some(&b'{') && head.split(|&b| b == b'\n').take(50).any(whole);
        let framing = if head.is_empty() || by_line || !matches!(head[0], b'{' | b'[') {
            Framing::Lines
        } else {
            Framing::Objects
        };
        let attributes = spec.attributes.clone();
        Ok(Plan { rules, names: names.0, attributes, kind: spec.kind.clone(), framing })
    }

    pub(super) fn parser(self: &Arc<Plan>) -> CloudEvents {
        CloudEvents { plan: Arc::clone(self) }
    }
}

/// The parser of one thread.
pub(super) struct CloudEvents {
    plan: Arc<Plan>,
}

/// What an event says, by name.
struct Said<'a> {
    found: &'a [(Cow<'a, str>, Scalar<'a>)],
    names: &'a [String],
}

impl<'a> Said<'a> {
    fn get(&self, name: &str) -> Option<&'a Scalar<'a>> {
        self.found.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// A text that is there and not empty.
    fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            Some(Scalar::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

impl rules::Row for Said<'_> {
    fn value(&self, slot: usize) -> Cow<'_, [u8]> {
        let name = self.names[slot].as_str();
        // As for attributes: data says more than an extension of the same name.
        let data = || self.found.iter().find(|(found, _)| found.strip_prefix("data.") == Some(name));
        let value = match ENVELOPE.contains(&name) {
            true => self.get(name),
            false => data().map(|(_, value)| value).or_else(|| self.get(name)),
        };
        match value {
            Some(Scalar::Text(text)) => Cow::Borrowed(text.as_bytes()),
            Some(Scalar::Number(digits)) => Cow::Borrowed(digits.as_bytes()),
            Some(Scalar::Bool(true)) => Cow::Borrowed(b"true"),
            Some(Scalar::Bool(false)) => Cow::Borrowed(b"false"),
            Some(Scalar::Null) | None => Cow::Borrowed(b""),
        }
    }
}

/// Attributes of the envelope that are no attributes of the usage.
const ENVELOPE: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "revision"];

/// Adds the value to a sum that does not depend on the order.
fn print(name: &str, value: &Scalar<'_>) -> u64 {
    let name = xxh3_64(name.as_bytes());
    match value {
        Scalar::Text(text) => xxh3_64_with_seed(text.as_bytes(), name),
        Scalar::Number(digits) => match json::exact(digits) {
            Some(number) => xxh3_64_with_seed(&number.numerator().to_le_bytes(), name ^ 1)
                .wrapping_add(number.denominator() as u64),
            None => xxh3_64_with_seed(digits.as_bytes(), name ^ 2),
        },
        Scalar::Bool(value) => xxh3_64_with_seed(&[u8::from(*value)], name ^ 3),
        Scalar::Null => 0,
    }
}

impl Parser for CloudEvents {
    fn framing(&self) -> &Framing {
        &self.plan.framing
    }

    fn row(&mut self, row: RowAt<'_>, _: &Fields, out: &mut Out) {
        let plan = &*self.plan;
        let found = match std::str::from_utf8(row.bytes) {
            Ok(text) => json::flatten(text),
            Err(error) => Err(format!("after {} bytes the text is not UTF-8", error.valid_up_to())),
        };
        let found = match found {
            Ok(found) => found,
            Err(why) => return out.quarantine(&row, "bad-json", || why),
        };
        let said = Said { found: &found, names: &plan.names };
        let missing = ["id", "source", "specversion", "type", "time"]
            .into_iter()
            .find(|name| said.text(name).is_none());
        if let Some(name) = missing {
            return out.quarantine(&row, "missing-attribute", || {
                format!("\"{name}\" is missing, empty, or no text")
            });
        }
        let text = |name| said.text(name).unwrap_or_default();
        if text("specversion") != "1.0" {
            return out.quarantine(&row, "bad-specversion", || {
                format!("specversion is \"{}\"; only 1.0 is known", text("specversion"))
            });
        }
        let Some(time) = rfc3339(text("time").as_bytes()) else {
            return out.quarantine(&row, "bad-time", || {
                let found = text("time");
                format!(
                    "time \"{found}\" is no RFC 3339 time that can be billed, such as 2026-01-31T23:59:59Z"
                )
            });
        };
        let start = said.get("start").or_else(|| said.get("data.start"));
        let start = match start {
            Some(Scalar::Text(text)) => rfc3339(text.as_bytes()),
            _ => None,
        };
        if start.is_some_and(|start| start > time) {
            return out.quarantine(&row, "ends-before-start", || "its time is before its start".into());
        }
        let revision = match said.get("revision").or_else(|| said.get("data.revision")) {
            None | Some(Scalar::Null) => Ok(0),
            Some(Scalar::Number(digits)) => digits.parse::<u64>().map_err(|_| *digits),
            Some(Scalar::Text(digits)) => digits.parse::<u64>().map_err(|_| digits.as_ref()),
            Some(Scalar::Bool(_)) => Err("a truth value"),
        };
        let revision = match revision {
            Ok(revision) => revision,
            Err(found) => {
                return out.quarantine(&row, "bad-number", || {
                    format!("revision \"{found}\" is no whole number from 0")
                });
            }
        };
        let (source, id) = (text("source"), text("id"));
        let key = Key::of(identity(source, id));
        let part = key.partition(out.batches.len());
        let bytes = &mut out.batches[part].bytes;
        let body = bytes.len();
        let mut encoder = Encoder(bytes);
        encoder.plain(source);
        encoder.plain(id);
        let kind = plan.kind.as_deref().unwrap_or(text("type"));
        let mut content = 0u64;
        let ruled = apply_rules(&plan.rules, &said, kind.as_bytes(), &mut encoder, &mut |encoder, is_set| {
            for (name, value) in &found {
                let name = match name.strip_prefix("data.") {
                    Some(name) => name,
                    None if ENVELOPE.contains(&name.as_ref()) => continue,
                    // Data says more than an extension of the same name.
                    None if said.found.iter().any(|(other, _)| other.strip_prefix("data.") == Some(name)) => {
                        continue;
                    }
                    None => name,
                };
                if is_set(name) || !plan.attributes.wants(name) {
                    continue;
                }
                match value {
                    Scalar::Text(text) => encoder.plain_attribute(name, text),
                    Scalar::Bool(value) => encoder.attribute(name, if *value { b"true" } else { b"false" }),
                    Scalar::Null => {}
                    Scalar::Number(digits) => match digits.parse::<i64>() {
                        Ok(whole) if digits.len() <= Exact::MAX_INTEGER_DIGITS => {
                            encoder.number(name, Exact::whole(whole.into()));
                        }
                        // Too much to be counted stays what was written: a meter refuses it.
                        _ => match json::exact(digits) {
                            Some(number) => encoder.number(name, number),
                            None => encoder.attribute(name, digits.as_bytes()),
                        },
                    },
                }
            }
        });
        if ruled != Ruled::Event {
            out.batches[part].bytes.truncate(body);
            return not_an_event(ruled, &row, out);
        }
        for (name, value) in &found {
            content = content.wrapping_add(print(name, value));
        }
        out.batches[part].records.push(Record {
            key,
            print: (content ^ content >> 32) as u32,
            revision,
            time,
            start,
            line: row.line,
            offset: row.offset,
            body,
            repeats: false,
            talk: None,
        });
    }
}
