//! Records of a block by columns: what events have in common is written once, and like stands beside like.
//!
//! A record that is no event that was added, or is not written as such events are, stays as it is. What comes out is
//! what went in, byte for byte.

use crate::codec::{Corrupt, Reader, Stored, Writer};
use crate::usage::Record;
use std::collections::HashMap;

/// The columns that all events have.
const SHAPES: usize = 0;
const LENGTHS: usize = 1;
const ACCOUNTS: usize = 2;
const TIMES: usize = 3;
const PARTS_OF_SECONDS: usize = 4;
const STARTS: usize = 5;
const OTHERS: usize = 6;
const COMMON: usize = 7;
/// The shape of a record that is none of the events.
const OTHER: u64 = 0;

/// A block's records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    /// The ids, which nothing makes shorter where they are random.
    pub ids: Vec<u8>,
    /// Everything else.
    pub rest: Vec<u8>,
}

/// Where the parts of an event that was added are.
struct Parts<'r> {
    /// What comes before the id: the kind of record, and the source.
    before: &'r [u8],
    id: &'r [u8],
    /// The revision and the type.
    after: &'r [u8],
    /// With its length.
    account: &'r [u8],
    second: i128,
    part_of_second: i128,
    start: Option<(i128, i128)>,
}

/// Passes an event that was added; fills `attributes` with the name and the value of each.
fn pass<'r>(
    all: &'r [u8],
    from: &mut Reader<'r>,
    attributes: &mut Vec<(&'r [u8], &'r [u8])>,
) -> Result<Parts<'r>, Corrupt> {
    let first = from.at();
    if from.byte()? != 0 {
        return Err(from.corrupt("a record that was added"));
    }
    from.slice()?;
    let before = &all[first..from.at()];
    let id = from.slice()?;
    let first = from.at();
    from.number()?;
    from.slice()?;
    let after = &all[first..from.at()];
    let first = from.at();
    from.slice()?;
    let account = &all[first..from.at()];
    let (second, part_of_second) = (from.signed()?, from.signed()?);
    let start = match from.byte()? {
        0 => None,
        1 => Some((from.signed()?, from.signed()?)),
        _ => return Err(from.corrupt("a start")),
    };
    attributes.clear();
    for _ in 0..usize::get(from)? {
        let first = from.at();
        from.slice()?;
        let kind = from.byte()?;
        let value = from.at();
        match kind {
            0 => drop(from.slice()?),
            1 => drop((from.signed()?, from.signed()?)),
            _ => return Err(from.corrupt("an attribute")),
        }
        attributes.push((&all[first..value], &all[value..from.at()]));
    }
    Ok(Parts { before, id, after, account, second, part_of_second, start })
}

/// What events of a kind have in common.
fn shape(parts: &Parts<'_>, attributes: &[(&[u8], &[u8])], to: &mut Writer) {
    to.slice(parts.before);
    to.slice(parts.after);
    parts.start.is_some().put(to);
    attributes.len().put(to);
    attributes.iter().for_each(|(name, _)| to.slice(name));
}

/// An id of hexadecimal digits as half as many bytes; `false` where it is none, and nothing is written.
fn pack_digits(id: &[u8], into: &mut Vec<u8>) -> bool {
    let before = into.len();
    let (words, rest) = id.as_chunks::<8>();
    for word in words {
        let Some(bytes) = eight_digits(u64::from_le_bytes(*word)) else {
            into.truncate(before);
            return false;
        };
        into.extend_from_slice(&bytes);
    }
    let (pairs, rest) = rest.as_chunks::<2>();
    if !rest.is_empty() {
        into.truncate(before);
        return false;
    }
    for [high, low] in pairs {
        let (high, low) = (value_of(*high), value_of(*low));
        if (high | low) > 15 {
            into.truncate(before);
            return false;
        }
        into.push(high << 4 | low);
    }
    true
}

/// The value of eight digits, all at once: most ids are long.
fn eight_digits(digits: u64) -> Option<[u8; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let letters = (digits >> 6) & ONES;
    let values = (digits & (15 * ONES)) + 9 * letters;
    // As these values are written, they are what they were read from.
    let written =
        values + u64::from(b'0') * ONES + (((values + 6 * ONES) >> 4) & ONES) * u64::from(b'a' - b'9' - 1);
    if written != digits || values & (0xf0 * ONES) != 0 {
        return None;
    }
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some(((fours | fours >> 16) as u32).to_le_bytes())
}

/// 16 and more for what is no digit as it is written here.
fn value_of(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 255,
    }
}

fn unpack_digits(bytes: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        into.push(DIGITS[usize::from(byte >> 4)]);
        into.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Bytes of a number in a column.
fn put_number(number: u64, into: &mut Vec<u8>) {
    if number < 0x80 {
        // As nearly all are.
        return into.push(number as u8);
    }
    let mut to = Writer::after(std::mem::take(into));
    to.number(number.into());
    *into = to.into_bytes();
}

fn put_signed(number: i128, into: &mut Vec<u8>) {
    if let Ok(number) = i64::try_from(number) {
        return put_number((number << 1 ^ number >> 63) as u64, into);
    }
    let mut to = Writer::after(std::mem::take(into));
    to.signed(number);
    *into = to.into_bytes();
}

/// The columns of records that were written one after another; `None` when they are no records.
pub(crate) fn split(records: &[u8]) -> Option<Columns> {
    let mut columns: Vec<Vec<u8>> = vec![Vec::new(); COMMON];
    let mut shapes = Writer::default();
    // Each with its number and its first column.
    let mut known: HashMap<Vec<u8>, (u64, usize)> = HashMap::new();
    let (mut ids, mut attributes, mut last) = (Vec::with_capacity(records.len() / 4), Vec::new(), (OTHER, 0));
    let (mut key, mut last_of) = (Vec::new(), None);
    let mut last_attributes: Vec<(&[u8], &[u8])> = Vec::new();
    let (mut from, mut base) = (Reader::new(records), None);
    while !from.is_done() {
        let (first, mut ahead) = (from.at(), from.clone());
        let Ok(parts) = pass(records, &mut ahead, &mut attributes) else {
            Record::get(&mut from).ok()?;
            let other = records.get(first..from.at())?;
            put_number(OTHER, &mut columns[SHAPES]);
            put_number(other.len() as u64, &mut columns[LENGTHS]);
            columns[OTHERS].extend_from_slice(other);
            continue;
        };
        from = ahead;
        let of = (parts.before, parts.after, parts.start.is_some());
        let names = attributes.iter().map(|(name, _)| name);
        // Mostly it is that of the record before.
        if last_of != Some(of) || !names.eq(last_attributes.iter().map(|(name, _)| name)) {
            key.clear();
            let mut to = Writer::after(key);
            shape(&parts, &attributes, &mut to);
            key = to.into_bytes();
            last = match known.get(&key) {
                Some(place) => *place,
                None => {
                    let place = (known.len() as u64 + 1, columns.len());
                    columns.resize(columns.len() + attributes.len(), Vec::new());
                    shapes.slice(&key);
                    known.insert(key.clone(), place);
                    place
                }
            };
            last_of = Some(of);
        }
        let (number, slots) = last;
        put_number(number, &mut columns[SHAPES]);
        let is_packed = pack_digits(parts.id, &mut ids);
        if !is_packed {
            ids.extend_from_slice(parts.id);
        }
        put_number((parts.id.len() as u64) << 1 | u64::from(is_packed), &mut columns[LENGTHS]);
        columns[ACCOUNTS].extend_from_slice(parts.account);
        let base = *base.get_or_insert(parts.second);
        put_signed(parts.second.checked_sub(base)?, &mut columns[TIMES]);
        put_signed(parts.part_of_second, &mut columns[PARTS_OF_SECONDS]);
        if let Some((second, part)) = parts.start {
            put_signed(parts.second.checked_sub(second)?, &mut columns[STARTS]);
            put_signed(part, &mut columns[PARTS_OF_SECONDS]);
        }
        for (slot, (_, value)) in (slots..).zip(&attributes) {
            columns[slot].extend_from_slice(value);
        }
        std::mem::swap(&mut attributes, &mut last_attributes);
    }
    let mut rest = Writer::after(Vec::with_capacity(records.len() / 2));
    base.unwrap_or(0).put(&mut rest);
    known.len().put(&mut rest);
    rest.slice(&shapes.into_bytes());
    columns.iter().for_each(|column| rest.slice(column));
    Some(Columns { ids, rest: rest.into_bytes() })
}

/// What events of a kind have in common, and where the values of their attributes are.
struct Shape<'r> {
    before: &'r [u8],
    after: &'r [u8],
    has_start: bool,
    names: Vec<&'r [u8]>,
    first: usize,
}

/// The bytes that a value of an attribute takes in its column.
fn value<'r>(column: &mut Reader<'r>, all: &'r [u8], is_text: bool) -> Result<&'r [u8], Corrupt> {
    let first = column.at();
    if is_text {
        column.slice()?;
    } else {
        column.signed()?;
        column.signed()?;
    }
    Ok(&all[first..column.at()])
}

/// So many bytes of a column.
fn part<'r>(all: &'r [u8], at: &mut usize, length: u64) -> Result<&'r [u8], Corrupt> {
    let missing = Corrupt { at: *at, expected: "as long as it says" };
    let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
    let found = end.and_then(|end| all.get(*at..end)).ok_or(missing)?;
    *at += found.len();
    Ok(found)
}

/// The records that columns were made of: so many, and so many bytes.
///
/// # Errors
/// [`Corrupt`] when they are not what [`split`] made.
pub(crate) fn join(columns: &Columns, count: u32, length: usize) -> Result<Vec<u8>, Corrupt> {
    let mut from = Reader::new(&columns.rest);
    let base = i128::get(&mut from)?;
    let many = usize::get(&mut from)?;
    let mut described = Reader::new(from.slice()?);
    let (mut shapes, mut first) = (Vec::new(), COMMON);
    for _ in 0..many {
        let mut one = Reader::new(described.slice()?);
        let (before, after, has_start) = (one.slice()?, one.slice()?, bool::get(&mut one)?);
        let names = (0..usize::get(&mut one)?).map(|_| one.slice()).collect::<Result<Vec<_>, _>>()?;
        if names.iter().any(|name| name.is_empty()) {
            return Err(one.corrupt("the name of an attribute"));
        }
        let next = first + names.len();
        shapes.push(Shape { before, after, has_start, names, first });
        first = next;
    }
    let all = (0..first).map(|_| from.slice()).collect::<Result<Vec<_>, _>>()?;
    if !from.is_done() || !described.is_done() {
        return Err(from.corrupt("the end of the columns"));
    }
    let mut readers: Vec<Reader<'_>> = all.iter().map(|column| Reader::new(column)).collect();
    let (mut id_at, mut other_at) = (0, 0);
    // A wrong length is noticed before it takes more memory than it says.
    let most = columns.rest.len().saturating_mul(64) + columns.ids.len() * 2;
    let mut to = Vec::with_capacity(length.min(most));
    for _ in 0..count {
        let shape = u64::get(&mut readers[SHAPES])?;
        let size = u64::get(&mut readers[LENGTHS])?;
        if shape == OTHER {
            to.extend_from_slice(part(all[OTHERS], &mut other_at, size)?);
            continue;
        }
        let known = usize::try_from(shape - 1).ok().and_then(|shape| shapes.get(shape));
        let known = known.ok_or_else(|| readers[SHAPES].corrupt("a shape"))?;
        to.extend_from_slice(known.before);
        let (is_packed, size) = (size & 1 == 1, size >> 1);
        put_number(size, &mut to);
        let id = part(&columns.ids, &mut id_at, if is_packed { size / 2 } else { size })?;
        if is_packed {
            unpack_digits(id, &mut to);
        } else {
            to.extend_from_slice(id);
        }
        to.extend_from_slice(known.after);
        to.extend_from_slice(value(&mut readers[ACCOUNTS], all[ACCOUNTS], true)?);
        let wrong = |column: &Reader<'_>| column.corrupt("a moment");
        let second = readers[TIMES].signed()?.checked_add(base).ok_or_else(|| wrong(&readers[TIMES]))?;
        put_signed(second, &mut to);
        put_signed(readers[PARTS_OF_SECONDS].signed()?, &mut to);
        to.push(known.has_start.into());
        if known.has_start {
            let before = readers[STARTS].signed()?;
            let start = second.checked_sub(before).ok_or_else(|| wrong(&readers[STARTS]))?;
            put_signed(start, &mut to);
            put_signed(readers[PARTS_OF_SECONDS].signed()?, &mut to);
        }
        put_number(known.names.len() as u64, &mut to);
        for (slot, name) in (known.first..).zip(&known.names) {
            to.extend_from_slice(name);
            // The last byte tells a text from a number.
            to.extend_from_slice(value(&mut readers[slot], all[slot], name.last() == Some(&0))?);
        }
        if to.len() > length {
            return Err(from.corrupt("as many bytes as it says"));
        }
    }
    let is_all = readers.iter().enumerate().all(|(place, column)| place == OTHERS || column.is_done());
    if is_all && id_at == columns.ids.len() && other_at == all[OTHERS].len() && to.len() == length {
        return Ok(to);
    }
    Err(from.corrupt("as many bytes as it says"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Attribute, Usage};
    use farebox_core::calendar::Instant;
    use farebox_core::money::Exact;
    use proptest::prelude::*;

    fn bytes_of(records: &[Record]) -> Vec<u8> {
        let mut to = Writer::default();
        records.iter().for_each(|record| record.put(&mut to));
        to.into_bytes()
    }

    fn moment() -> impl Strategy<Value = Instant> {
        (0i64..4_000_000_000, 0i32..3).prop_map(|(second, part)| Instant::new(second, part * 7).unwrap())
    }

    fn attribute() -> impl Strategy<Value = Attribute> {
        prop_oneof![
            "[a-z+0-9]{0,12}".prop_map(Attribute::Text),
            (any::<i64>(), 1i128..50)
                .prop_map(|(number, of)| Attribute::Number(Exact::ratio(number.into(), of).unwrap())),
        ]
    }

    fn usage() -> impl Strategy<Value = Usage> {
        let id = prop_oneof!["[0-9a-f]{32}", "[0-9a-f]{0,5}", "[A-Fx-z]{1,6}", "\\PC{0,5}"];
        let said = ("[st]", id, 0u64..300, "[ck]", "[ab]{1,3}");
        let rest = (
            moment(),
            proptest::option::of(moment()),
            proptest::collection::vec(("[no]", attribute()), 0..4),
        );
        (said, rest).prop_map(|((source, id, revision, kind, account), (time, start, attributes))| Usage {
            source,
            id,
            revision,
            kind,
            account,
            time,
            start,
            attributes,
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        prop_oneof![
            6 => usage().prop_map(Record::Added),
            1 => usage().prop_map(Record::Removed),
            1 => ("[s]", "[a-f]{2}").prop_map(|(source, id)| Record::Voided { source, id }),
            1 => ("[a-f]{2}", usage()).prop_map(|(id, usage)| Record::Session { id, usage }),
            1 => (usage(), moment()).prop_map(|(usage, horizon)| Record::TooOld { usage, horizon }),
            1 => usage().prop_map(Record::TooOldOver),
            1 => usage().prop_map(Record::Conflict),
            1 => usage().prop_map(Record::ConflictOver),
        ]
    }

    proptest! {
        #[test]
        fn what_is_joined_is_what_was_split(records in proptest::collection::vec(record(), 0..40)) {
            let bytes = bytes_of(&records);
            let columns = split(&bytes).unwrap();
            prop_assert_eq!(join(&columns, records.len() as u32, bytes.len()), Ok(bytes));
        }

        #[test]
        fn what_was_damaged_is_an_error_or_other_records(
            records in proptest::collection::vec(record(), 1..10), at in any::<usize>(), with in any::<u8>(), in_ids: bool,
        ) {
            let bytes = bytes_of(&records);
            let mut columns = split(&bytes).unwrap();
            let part = if in_ids { &mut columns.ids } else { &mut columns.rest };
            if !part.is_empty() {
                let at = at % part.len();
                part[at] = with;
            }
            if let Ok(joined) = join(&columns, records.len() as u32, bytes.len()) {
                prop_assert_eq!(joined.len(), bytes.len());
            }
        }
    }

    #[test]
    fn digits_are_packed_as_they_are_written_here_and_nothing_else_is() {
        let mut packed = Vec::new();
        assert!(pack_digits(b"0123456789abcdef0f", &mut packed));
        assert_eq!(packed, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x0f]);
        // Each byte at each place of eight.
        for (byte, place) in (0..=255u8).flat_map(|byte| (0..8).map(move |place| (byte, place))) {
            let mut id = *b"00ff00ff";
            id[place] = byte;
            let is_digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let mut into = vec![7];
            assert_eq!(pack_digits(&id, &mut into), is_digit, "{byte} at {place}");
            let mut back = Vec::new();
            unpack_digits(&into[1..], &mut back);
            assert_eq!(back, if is_digit { &id[..] } else { &[] });
        }
        assert!(!pack_digits(b"0123456789a", &mut packed) && packed.len() == 9);
    }

    #[test]
    fn what_is_cut_off_is_noticed() {
        let usage = Usage {
            source: "pbx".to_owned(),
            id: "00ff".to_owned(),
            revision: 0,
            kind: "call".to_owned(),
            account: "acme".to_owned(),
            time: Instant::UNIX_EPOCH,
            start: None,
            attributes: vec![("to".to_owned(), Attribute::Text("+49".to_owned()))],
        };
        let bytes = bytes_of(&vec![Record::Added(usage); 3]);
        let whole = split(&bytes).unwrap();
        assert_eq!(whole.ids, [0, 0xff, 0, 0xff, 0, 0xff]);
        assert!(join(&whole, 3, bytes.len()).is_ok());
        assert!(join(&whole, 2, bytes.len()).is_err() && join(&whole, 4, bytes.len()).is_err());
        assert!(join(&whole, 3, bytes.len() - 1).is_err() && join(&whole, 3, bytes.len() + 1).is_err());
        for end in 0..whole.rest.len() {
            let cut = Columns { ids: whole.ids.clone(), rest: whole.rest[..end].to_vec() };
            assert!(join(&cut, 3, bytes.len()).is_err(), "{end}");
        }
        assert_eq!(split(&[9, 9, 9]), None);
    }
}
