//! Blocks of the usage log: what was received, in order, compressed.

use crate::codec::{Corrupt, Reader, Stored, Writer, choice, record};
use crate::columns::{Columns, join, split};
use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;

/// The format of blocks of few records: one after another.
const ROWS: u8 = 1;
/// That of others: by columns, ids apart.
const COLUMNS: u8 = 2;
/// Fewer records than this stand one after another: columns would take more.
const COLUMNS_MIN: u32 = 64;

/// What compression aims at: speed. Ids are random, and take most of what is left.
const LEVEL: i32 = 1;

/// More than a block ever holds; a block that claims more is damaged.
const BLOCK_BYTES_MAX: usize = 256 << 20;

/// The attribute that says where a client has read an event: `calls.csv:12`. Nothing is counted by it, and it is no
/// part of what an event says.
pub const PLACE: &str = "fareboxplace";

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
    /// Usage that came when its time lay before the retention horizon. It is never counted.
    TooOld {
        /// The usage.
        usage: Usage,
        /// Where the horizon was.
        horizon: Instant,
    },
    /// The same waits no more: it is void, or replaced.
    TooOldOver(Usage),
    /// Usage of an identity and revision that were said before with other content. It is never counted.
    Conflict(Usage),
    /// The same waits no more: it is known by now which of them is right, or all of them are void.
    ConflictOver(Usage),
}

record! { Usage { source, id, revision, kind, account, time, start, attributes } }
choice! { Attribute { 0 = Text(text), 1 = Number(number) } }
choice! { Record {
    0 = Added(usage), 1 = Removed(usage), 2 = Voided { source, id }, 3 = Session { id, usage },
    4 = SessionOver { id, usage }, 5 = TooOld { usage, horizon }, 6 = TooOldOver(usage),
    7 = Conflict(usage), 8 = ConflictOver(usage),
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

    /// Whether both say the same of the same, wherever they were read.
    pub fn says_the_same(&self, other: &Usage) -> bool {
        let said = |usage: &Usage| {
            let mut usage = usage.clone();
            // Some say when it began in an attribute, and some beside them.
            let began = usage.start.is_some();
            usage.attributes.retain(|(name, _)| name != PLACE && !(began && name == "start"));
            // The fields of an object are in no order.
            usage.attributes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            usage
        };
        said(self) == said(other)
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
    /// What was added or removed, or came too late for that, or contradicts that.
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Record::Added(usage)
            | Record::Removed(usage)
            | Record::Session { usage, .. }
            | Record::SessionOver { usage, .. }
            | Record::TooOld { usage, .. }
            | Record::TooOldOver(usage)
            | Record::Conflict(usage)
            | Record::ConflictOver(usage) => Some(usage),
            Record::Voided { .. } => None,
        }
    }
}

/// Writes an event as [`Record::Added`] has it.
pub fn put_added(event: &Event<'_>, to: &mut Writer) {
    to.byte(0);
    for text in [event.source, event.id] {
        to.slice(text.as_bytes());
    }
    event.revision.put(to);
    for text in [event.kind, event.account] {
        to.slice(text.as_bytes());
    }
    event.time.put(to);
    event.start.put(to);
    event.attributes.len().put(to);
    for (name, value) in &event.attributes {
        to.slice(name.as_bytes());
        match value {
            Value::Text(text) => {
                to.byte(0);
                to.slice(text.as_bytes());
            }
            Value::Number(number) => {
                to.byte(1);
                number.put(to);
            }
        }
    }
}

/// The event of a record that was added, without a copy of its texts.
///
/// # Errors
/// [`Corrupt`] when the bytes are no such record.
pub fn added<'a>(from: &mut Reader<'a>) -> Result<Event<'a>, Corrupt> {
    if from.byte()? != 0 {
        return Err(from.corrupt("a record that was added"));
    }
    let (source, id, revision) = (from.text()?, from.text()?, u64::get(from)?);
    let (kind, account) = (from.text()?, from.text()?);
    let (time, start) = (Instant::get(from)?, Option::get(from)?);
    let length = usize::get(from)?;
    // A wrong length ends with the bytes, before it can take any memory.
    let mut attributes = Vec::with_capacity(length.min(32));
    for _ in 0..length {
        let name = from.text()?;
        let value = match from.byte()? {
            0 => Value::Text(from.text()?),
            1 => Value::Number(Exact::get(from)?),
            _ => return Err(from.corrupt("an attribute")),
        };
        attributes.push((name, value));
    }
    Ok(Event { source, id, revision, kind, account, time, start, attributes })
}

/// Makes blocks of records.
pub struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
}

impl Packer {
    /// A packer; it can be used for any number of blocks.
    ///
    /// # Errors
    /// What the compressor says; it runs out of memory only.
    pub fn new() -> std::io::Result<Packer> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        // A damaged block is told from a whole one without looking at any other.
        compressor.include_checksum(true)?;
        Ok(Packer { compressor })
    }

    /// The bytes of a block of so many records, which were written one after another.
    ///
    /// # Errors
    /// What the compressor says; it runs out of memory only.
    pub fn pack(&mut self, records: &[u8], count: u32) -> std::io::Result<Vec<u8>> {
        let columns = if count < COLUMNS_MIN { None } else { split(records) };
        let mut to = Writer::after(Vec::with_capacity(records.len() / 2 + 64));
        to.byte(if columns.is_some() { COLUMNS } else { ROWS });
        count.put(&mut to);
        records.len().put(&mut to);
        let last = match &columns {
            Some(Columns { ids, rest }) => {
                ids.len().put(&mut to);
                to.slice(&self.compressor.compress(ids)?);
                rest.len().put(&mut to);
                rest
            }
            None => records,
        };
        let mut bytes = to.into_bytes();
        bytes.extend_from_slice(&self.compressor.compress(last)?);
        Ok(bytes)
    }
}

/// A block that was read.
#[derive(Clone, Debug)]
pub struct Unpacked {
    count: u32,
    records: Vec<u8>,
}

impl Unpacked {
    /// The block of these bytes.
    ///
    /// # Errors
    /// [`Corrupt`] when they are none.
    pub fn of(bytes: &[u8]) -> Result<Unpacked, Corrupt> {
        let mut from = Reader::new(bytes);
        let format = from.byte()?;
        let (count, length) = (u32::get(&mut from)?, usize::get(&mut from)?);
        if length > BLOCK_BYTES_MAX {
            return Err(from.corrupt("a compressed block"));
        }
        let records = match format {
            ROWS => decompress(bytes, &from, length)?,
            COLUMNS => {
                let of_ids = usize::get(&mut from)?;
                let ids = decompress(from.slice()?, &Reader::new(&[]), of_ids)?;
                let of_rest = usize::get(&mut from)?;
                let rest = decompress(bytes, &from, of_rest)?;
                join(&Columns { ids, rest }, count, length)?
            }
            _ => return Err(Corrupt { at: 0, expected: "a format that this version reads" }),
        };
        Ok(Unpacked { count, records })
    }

    /// Its records, in order.
    ///
    /// # Errors
    /// [`Corrupt`] when they are not as many as it says.
    pub fn records(&self) -> Result<Vec<Record>, Corrupt> {
        let mut from = Reader::new(&self.records);
        let records: Result<Vec<Record>, Corrupt> = (0..self.count).map(|_| Record::get(&mut from)).collect();
        if from.is_done() { records } else { Err(from.corrupt("the end")) }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.records
    }

    /// How many records it has.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// So many bytes that were compressed from where `from` is.
fn decompress(bytes: &[u8], from: &Reader<'_>, length: usize) -> Result<Vec<u8>, Corrupt> {
    let compressed = bytes.get(from.at()..).unwrap_or_default();
    let found = if length > BLOCK_BYTES_MAX { None } else { zstd::bulk::decompress(compressed, length).ok() };
    found.filter(|found| found.len() == length).ok_or_else(|| from.corrupt("a compressed block"))
}

/// Records as the bytes of a block.
///
/// # Errors
/// What the compressor says; it runs out of memory only.
pub fn pack(records: &[Record]) -> std::io::Result<Vec<u8>> {
    let mut to = Writer::default();
    records.iter().for_each(|record| record.put(&mut to));
    let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
    Packer::new()?.pack(&to.into_bytes(), count)
}

/// The records of a block's bytes.
///
/// # Errors
/// [`Corrupt`] when they are none.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Record>, Corrupt> {
    Unpacked::of(bytes)?.records()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_its_copy_is() {
        let (time, start) = (Instant::from_second(1_767_607_200), Instant::from_second(1_767_607_100));
        let event = Event {
            source: "pbx",
            id: "c1",
            revision: 300,
            kind: "call",
            account: "acme",
            time: time.unwrap_or_default(),
            start: start.ok(),
            attributes: vec![
                ("to", Value::Text("+49")),
                ("seconds", Value::Number(Exact::ratio(-1, 3).unwrap_or(Exact::ONE))),
                ("big", Value::Number(Exact::whole(1 << 70))),
            ],
        };
        let mut to = Writer::default();
        put_added(&event, &mut to);
        let bytes = to.into_bytes();
        assert_eq!(bytes, Record::Added(Usage::of(&event)).to_bytes());
        assert_eq!(added(&mut Reader::new(&bytes)), Ok(event));
        assert!(added(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err());
    }
}
