//! Blocks of the usage log: what was received, in order, compressed.

use crate::codec::{Corrupt, Reader, Stored, Writer, choice, record};
use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;

/// The number of the format in which blocks are written.
pub const FORMAT: u8 = 1;

/// What compression aims at: speed. Ids are random, and take most of what is left.
const LEVEL: i32 = 1;

/// More than a block ever holds; a block that claims more is damaged.
const BLOCK_BYTES_MAX: usize = 256 << 20;

/// A usage event as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// As in [`Event`].
    pub source: String,
    /// As in [`Event`].
    pub id: String,
    /// As in [`Event`].
    pub revision: u64,
    /// As in [`Event`].
    pub kind: String,
    /// As in [`Event`].
    pub account: String,
    /// As in [`Event`].
    pub time: Instant,
    /// As in [`Event`].
    pub start: Option<Instant>,
    /// As in [`Event`].
    pub attributes: Vec<(String, Attribute)>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Number(Exact),
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Usage to count.
    Added(Usage),
    /// Usage that was added before, and counts no more: void, or replaced.
    Removed(Usage),
    /// What has this source and id is void, now and later.
    Voided {
        /// As in [`Event`].
        source: String,
        /// As in [`Event`].
        id: String,
    },
    /// What a session said that it used, to count until a record of the same identity comes.
    Session {
        /// The session's id; its usage may be several events, each with an id of its own.
        id: String,
        /// The usage.
        usage: Usage,
    },
    /// What a session said counts no more: its record has come, or is void.
    SessionOver {
        /// The session's id.
        id: String,
        /// The usage.
        usage: Usage,
    },
}

record! { Usage { source, id, revision, kind, account, time, start, attributes } }
choice! { Attribute { 0 = Text(text), 1 = Number(number) } }
choice! { Record {
    0 = Added(usage), 1 = Removed(usage), 2 = Voided { source, id }, 3 = Session { id, usage },
    4 = SessionOver { id, usage },
} }

impl Usage {
    /// A copy of an event.
    pub fn of(event: &Event<'_>) -> Usage {
        let attribute = |(name, value): &(&str, Value<'_>)| {
            let value = match value {
                Value::Text(text) => Attribute::Text((*text).to_owned()),
                Value::Number(number) => Attribute::Number(*number),
            };
            ((*name).to_owned(), value)
        };
        Usage {
            source: event.source.to_owned(),
            id: event.id.to_owned(),
            revision: event.revision,
            kind: event.kind.to_owned(),
            account: event.account.to_owned(),
            time: event.time,
            start: event.start,
            attributes: event.attributes.iter().map(attribute).collect(),
        }
    }

    /// The event.
    pub fn event(&self) -> Event<'_> {
        Event {
            source: &self.source,
            id: &self.id,
            revision: self.revision,
            kind: &self.kind,
            account: &self.account,
            time: self.time,
            start: self.start,
            attributes: self.attributes.iter().map(|(name, value)| (name.as_str(), value.value())).collect(),
        }
    }
}

impl Attribute {
    fn value(&self) -> Value<'_> {
        match self {
            Attribute::Text(text) => Value::Text(text),
            Attribute::Number(number) => Value::Number(*number),
        }
    }
}

impl Record {
    /// What was added or removed.
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Record::Added(usage)
            | Record::Removed(usage)
            | Record::Session { usage, .. }
            | Record::SessionOver { usage, .. } => Some(usage),
            Record::Voided { .. } => None,
        }
    }
}

/// Records as the bytes of a block.
///
/// # Errors
/// What the compressor says; it runs out of memory only.
pub fn pack(records: &[Record]) -> std::io::Result<Vec<u8>> {
    let mut to = Writer::default();
    to.byte(FORMAT);
    to.number(records.len() as u128);
    records.iter().for_each(|record| record.put(&mut to));
    let plain = to.into_bytes();
    let mut bytes = (plain.len() as u64).to_le_bytes().to_vec();
    bytes.extend(zstd::bulk::compress(&plain, LEVEL)?);
    Ok(bytes)
}

/// The records of a block's bytes.
///
/// # Errors
/// [`Corrupt`] when they are none.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Record>, Corrupt> {
    let damaged = Corrupt { at: 0, expected: "a compressed block" };
    let (length, compressed) = bytes.split_first_chunk().ok_or(damaged.clone())?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok();
    let length = length.filter(|length| *length <= BLOCK_BYTES_MAX).ok_or(damaged.clone())?;
    let plain = zstd::bulk::decompress(compressed, length).map_err(|_| damaged)?;
    let mut from = Reader::new(&plain);
    if from.byte()? != FORMAT {
        return Err(Corrupt { at: 0, expected: "a format that this version reads" });
    }
    let records = Vec::get(&mut from)?;
    if from.is_done() { Ok(records) } else { Err(from.corrupt("the end")) }
}
