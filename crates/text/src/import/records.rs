//! Records whose fields have names, JSON or not: what a format says of them is a [`Dialect`], all
//! else (rules, attributes, identities, fingerprints) is the same for all.

use super::arena::Interner;
use super::calls::{Leg, Name, place};
use super::index::Key;
use super::json::{self, Scalar};
use super::partition::{UNFINISHED, identity};
use super::record::{Encoder, Out, Parser, Record, RowAt, Ruled, apply_rules, not_an_event};
use super::rules::{self, Rules};
use super::scan::{Fields, Framing};
use super::spec::{Attributes, ImportSpec};
use super::summary::Until;
use super::time::Clock;
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::Zone;
use farebox_core::money::Exact;
use std::borrow::Cow;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

/// A field and its value.
pub(super) type Field<'a> = (Cow<'a, str>, Scalar<'a>);

/// Why a row is no usage.
pub(super) enum Unusable {
    /// It is wrong: the code and a sentence.
    Wrong(&'static str, String),
    /// What it is of, by its id, is not over yet: a sentence.
    Unfinished(String, String),
    /// It is no usage of its own: a part of what another row says, or no accounting at all.
    NotUsage,
}

/// A row is wrong.
pub(super) fn wrong<T>(code: &'static str, why: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable::Wrong(code, why.into()))
}

/// A plain decimal of at least zero.
pub(super) fn seconds(text: &str) -> Option<Exact> {
    Exact::parse(text, 9).ok().filter(|seconds| *seconds >= Exact::ZERO)
}

/// Seconds and nanoseconds since 1970 UTC.
pub(super) type Moment = (i64, i32);

/// What a format makes of a row.
pub(super) enum Usage<'a> {
    /// An event of its own.
    Event(Meaning<'a>),
    /// A moment of a call that other rows tell of too.
    Moment(CallMoment<'a>),
}

/// What an event means.
#[derive(Default)]
pub(super) struct Meaning<'a> {
    /// Who says so, where the row itself says that.
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) id: Cow<'a, str>,
    pub(super) revision: u64,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) time: Moment,
    pub(super) start: Option<Moment>,
    /// Of a call: whether it was connected, and for how many seconds.
    pub(super) talk: Option<(bool, Exact)>,
    /// More values, which the format names otherwise.
    pub(super) more: Vec<(&'static str, Scalar<'a>)>,
}

/// A moment of a call.
pub(super) struct CallMoment<'a> {
    pub(super) call: Cow<'a, str>,
    /// See [`Leg::role`].
    pub(super) role: u8,
    /// The lowest leads: rules look at it.
    pub(super) sequence: u32,
    pub(super) at: i64,
}

/// A format of records.
pub(super) struct Dialect {
    /// The field of the account.
    pub(super) account: &'static str,
    /// The type of its events, where they do not say it.
    pub(super) kind: &'static str,
    /// Beginnings of names that fall away or become others; the first that has a name wins, and
    /// each wins over a field without such a beginning.
    pub(super) prefixes: &'static [(&'static str, &'static str)],
    /// Fields that are no attributes of the usage.
    pub(super) envelope: &'static [&'static str],
    /// All names there are; none: any may be.
    pub(super) names: &'static [&'static str],
    /// Times are local.
    pub(super) local: bool,
    /// Rows may be moments of calls.
    pub(super) moments: bool,
    pub(super) framing: fn(&[u8]) -> Framing,
    pub(super) fields: for<'a> fn(&'a [u8]) -> Result<Vec<Field<'a>>, Unusable>,
    pub(super) usage: for<'a> fn(&Said<'_, 'a>, &mut Option<Clock>) -> Result<Usage<'a>, Unusable>,
}

impl Dialect {
    /// The name of a field as an attribute, and how early its beginning stands in the list.
    fn renamed<'a>(&self, field: &'a str) -> (usize, Cow<'a, str>) {
        for (i, (from, to)) in self.prefixes.iter().enumerate() {
            match field.strip_prefix(from) {
                Some(rest) if to.is_empty() => return (i, Cow::Borrowed(rest)),
                Some(rest) => return (i, Cow::Owned(format!("{to}{rest}"))),
                None => {}
            }
        }
        (self.prefixes.len(), Cow::Borrowed(field))
    }
}

/// Reads a row as one JSON object.
pub(super) fn json_fields(row: &[u8]) -> Result<Vec<Field<'_>>, Unusable> {
    json_fields_but(row, "").map(|(found, _)| found)
}

/// As [`json_fields`], and whether the object has an array under the name `but`.
pub(super) fn json_fields_but<'a>(row: &'a [u8], but: &str) -> Result<(Vec<Field<'a>>, bool), Unusable> {
    let found = match std::str::from_utf8(row) {
        Ok(text) => json::flatten_but(text, but),
        Err(error) => Err(format!("after {} bytes the text is not UTF-8", error.valid_up_to())),
    };
    found.map_err(|why| Unusable::Wrong("bad-json", why))
}

/// What all threads share of one file's import.
pub(super) struct Plan {
    dialect: &'static Dialect,
    rules: Rules,
    /// The names that rules look at, by slot.
    names: Vec<String>,
    attributes: Attributes,
    kind: Option<String>,
    source: String,
    zone: Option<Zone>,
    file: u16,
    framing: Framing,
}

struct Names<'d>(Vec<String>, &'d Dialect);

impl rules::Fields for Names<'_> {
    fn slot(&mut self, name: &str) -> Option<usize> {
        let made = ["seconds", "connected"];
        if !self.1.names.is_empty() && !self.1.names.contains(&name) && !made.contains(&name) {
            return None;
        }
        let known = self.0.iter().position(|known| known == name);
        Some(known.unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        }))
    }

    fn names(&self) -> Vec<String> {
        self.1.names.iter().map(|name| (*name).to_owned()).collect()
    }
}

impl Plan {
    pub(super) fn new(
        dialect: &'static Dialect,
        spec: &ImportSpec,
        source: &str,
        head: &[u8],
        file: u16,
    ) -> Result<Plan, Diagnostic> {
        if dialect.local && spec.zone.is_none() {
            let form = "the zone of the switch, such as zone Europe/Berlin, or zone UTC when it logs GMT";
            return Err(spec.wrong("times of this format are local and no zone is given", form));
        }
        let mut names = Names(Vec::new(), dialect);
        let rules = Rules::compile(&spec.rules, &spec.rules_file, dialect.account, &mut names)?;
        Ok(Plan {
            dialect,
            rules,
            names: names.0,
            attributes: spec.attributes.clone(),
            kind: spec.kind.clone(),
            source: source.into(),
            zone: spec.zone.clone(),
            file,
            framing: (dialect.framing)(head),
        })
    }

    /// Whether rows may be moments of calls.
    pub(super) fn moments(&self) -> bool {
        self.dialect.moments
    }

    pub(super) fn parser(self: &Arc<Plan>) -> Records {
        Records { plan: Arc::clone(self), clock: self.zone.clone().map(Clock::new) }
    }
}

/// The parser of one thread.
pub(super) struct Records {
    plan: Arc<Plan>,
    clock: Option<Clock>,
}

/// What a row says, by name.
pub(super) struct Said<'s, 'a> {
    found: &'s [Field<'a>],
}

impl<'s, 'a> Said<'s, 'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'s Scalar<'a>> {
        self.found.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// A text that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&'s Cow<'a, str>> {
        match self.get(name) {
            Some(Scalar::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A text, or the digits of a number; empty where neither is there.
    pub(super) fn word(&self, name: &str) -> &'s str {
        match self.get(name) {
            Some(Scalar::Text(text)) => text,
            Some(Scalar::Number(digits)) => digits,
            _ => "",
        }
    }

    /// A text that the format cannot do without.
    pub(super) fn needed(&self, name: &str) -> Result<&'s Cow<'a, str>, Unusable> {
        self.text(name).ok_or_else(|| {
            Unusable::Wrong("missing-attribute", format!("\"{name}\" is missing, empty, or no text"))
        })
    }
}

/// A row for rules: what the format makes of it, then its fields.
struct Row<'r, 'a> {
    plan: &'r Plan,
    found: &'r [Field<'a>],
    made: &'r [(&'static str, Scalar<'a>)],
}

impl rules::Row for Row<'_, '_> {
    fn value(&self, slot: usize) -> Cow<'_, [u8]> {
        let (name, dialect) = (self.plan.names[slot].as_str(), self.plan.dialect);
        let made = self.made.iter().find(|(made, _)| *made == name).map(|(_, value)| value);
        let plain = || self.found.iter().find(|(found, _)| found == name);
        // As for attributes: a field with a beginning says more than one without.
        let renamed = || {
            let fields = self.found.iter().filter_map(|field| match dialect.renamed(&field.0) {
                (rank, renamed) if rank < dialect.prefixes.len() && renamed == name => Some((rank, field)),
                _ => None,
            });
            fields.min_by_key(|(rank, _)| *rank).map(|(_, field)| field)
        };
        let field = match (made, dialect.envelope.contains(&name)) {
            (Some(_), _) => None,
            (None, true) => plain(),
            (None, false) => renamed().or_else(plain),
        };
        match made.or(field.map(|(_, value)| value)) {
            Some(Scalar::Text(text)) => Cow::Borrowed(text.as_bytes()),
            Some(Scalar::Number(digits)) => Cow::Borrowed(digits.as_bytes()),
            Some(Scalar::Bool(true)) => Cow::Borrowed(b"true"),
            Some(Scalar::Bool(false)) => Cow::Borrowed(b"false"),
            Some(Scalar::Null) | None => Cow::Borrowed(b""),
        }
    }
}

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

fn encode(encoder: &mut Encoder<'_>, name: &str, value: &Scalar<'_>) {
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

impl Plan {
    /// Account, type and attributes of a row.
    fn describe(
        &self,
        found: &[Field<'_>],
        made: &[(&'static str, Scalar<'_>)],
        kind: &str,
        encoder: &mut Encoder<'_>,
    ) -> Ruled {
        let dialect = self.dialect;
        let row = Row { plan: self, found, made };
        apply_rules(&self.rules, &row, kind.as_bytes(), encoder, &mut |encoder, is_set| {
            for (name, value) in made.iter().filter(|(name, _)| !is_set(name) && self.attributes.wants(name))
            {
                encode(encoder, name, value);
            }
            for (field, value) in found {
                let (rank, name) = dialect.renamed(field);
                let plain = rank == dialect.prefixes.len();
                if plain && dialect.envelope.contains(&name.as_ref())
                    || is_set(&name)
                    || !self.attributes.wants(&name)
                    || made.iter().any(|(made, _)| *made == name)
                {
                    continue;
                }
                let earlier = |other: &Field<'_>| {
                    let (before, renamed) = dialect.renamed(&other.0);
                    before < rank && renamed == name
                };
                if rank == 0 || !found.iter().any(earlier) {
                    encode(encoder, &name, value);
                }
            }
        })
    }
}

impl Parser for Records {
    fn framing(&self) -> &Framing {
        &self.plan.framing
    }

    fn row(&mut self, row: RowAt<'_>, _: &Fields, out: &mut Out) {
        let plan = &*self.plan;
        let unusable = |unusable, out: &mut Out| match unusable {
            Unusable::Wrong(code, why) => out.quarantine(&row, code, || why),
            Unusable::Unfinished(id, why) => {
                let until = Until::Said(Key::of(identity(&plan.source, &id)));
                out.quarantine_until(&row, until, UNFINISHED, || why);
            }
            Unusable::NotUsage => out.tally.summary.ignored += 1,
        };
        let found = match (plan.dialect.fields)(row.bytes) {
            Ok(found) => found,
            Err(why) => return unusable(why, out),
        };
        let usage = (plan.dialect.usage)(&Said { found: &found }, &mut self.clock);
        let meaning = match usage {
            Ok(Usage::Event(meaning)) => meaning,
            Ok(Usage::Moment(moment)) => return call_moment(plan, &row, &found, &moment, out),
            Err(why) => return unusable(why, out),
        };
        let Meaning { source, id, revision, kind, time, start, talk, more } = meaning;
        if start.is_some_and(|start| start > time) {
            return out.quarantine(&row, "ends-before-start", || "its time is before its start".into());
        }
        let mut made = more;
        if let Some((connected, seconds)) = talk {
            made.push(("seconds", Scalar::Number(seconds.to_string().into())));
            made.push(("connected", Scalar::Text(if connected { "yes" } else { "no" }.into())));
        }
        let source = source.as_deref().unwrap_or(&plan.source);
        let key = Key::of(identity(source, &id));
        let part = key.partition(out.batches.len());
        let bytes = &mut out.batches[part].bytes;
        let body = bytes.len();
        let mut encoder = Encoder(bytes);
        encoder.plain(source);
        encoder.plain(&id);
        let kind = plan.kind.as_deref().or(kind.as_deref()).unwrap_or(plan.dialect.kind);
        let ruled = plan.describe(&found, &made, kind, &mut encoder);
        if ruled != Ruled::Event {
            out.batches[part].bytes.truncate(body);
            return not_an_event(ruled, &row, out);
        }
        let content = found.iter().fold(0u64, |sum, (name, value)| sum.wrapping_add(print(name, value)));
        let whole = |seconds: Exact| {
            let (over, under) = (seconds.numerator(), seconds.denominator());
            u32::try_from((over + under - 1) / under).unwrap_or(u32::MAX)
        };
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
            talk: talk.map(|(connected, seconds)| (connected, whole(seconds))),
        });
    }
}

/// Hands over a row as a leg of its call.
fn call_moment(plan: &Plan, row: &RowAt<'_>, found: &[Field<'_>], moment: &CallMoment<'_>, out: &mut Out) {
    if moment.call.len() > 255 {
        return out.quarantine(row, "bad-id", || "the call's identifier is longer than 255 bytes".into());
    }
    // What the rules make of it is shared by the rows of which they make the same.
    let mut value = std::mem::take(&mut out.scratch);
    value.clear();
    value.push(b'E');
    let kind = plan.kind.as_deref().unwrap_or(plan.dialect.kind);
    let tag = match plan.describe(found, &[], kind, &mut Encoder(&mut value)) {
        Ruled::Event => b'E',
        Ruled::Ignored => b'I',
        Ruled::NoRule => b'R',
        Ruled::NoAccount => b'A',
    };
    if tag != b'E' {
        value.clear();
        value.push(tag);
    }
    let profile = out.interner.intern(xxh3_128(&value), |kept| kept.extend_from_slice(&value));
    out.scratch = value;
    let Some(profile) = Interner::global(profile, out.worker) else {
        return out.quarantine(row, "too-many-values", || {
            "the columns that rules look at have too many values".into()
        });
    };
    let mut content = 0u64;
    let mut list = String::new();
    for (name, value) in found {
        content = content.wrapping_add(print(name, value));
        list.push_str(&format!("{name:?}={value:?};"));
    }
    let row_key = Key::of(identity(&plan.source, &list));
    let part = row_key.partition(out.batches.len());
    let batch = &mut out.batches[part];
    let text = moment.call.as_bytes();
    let name = Name::pack(text).unwrap_or_else(|| {
        batch.bytes.extend_from_slice(text);
        Name::kept((batch.bytes.len() - text.len()) as u64, text.len() as u8)
    });
    batch.legs.push(Leg {
        row: row_key,
        print: (content ^ content >> 32) as u32,
        call: Key::of(identity(&plan.source, &moment.call)),
        name,
        profile,
        start: moment.at,
        span: 0,
        seconds: 0,
        sequence: moment.sequence,
        line: row.line,
        place: place(plan.file, row.offset),
        role: moment.role,
    });
}
