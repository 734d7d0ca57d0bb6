//! Rows out of bytes: where a row ends, where its fields lie, and what is wrong with it.
//!
//! A row is decided by its own first byte alone, so it does not matter where a file was cut for
//! parsing. The grammar is RFC 4180, strictly: a quote opens a field only at its beginning, closes
//! it only before a separator or line end, and is doubled inside. A row that breaks it costs its
//! first physical line, and reading goes on at the next: a stray quote cannot swallow a file.

use std::ops::RangeInclusive;

/// The longest row in bytes. A longer one is quarantined, and skipped without being held.
pub const ROW_BYTES_MAX: usize = 256 * 1024;

/// Where the fields of a row lie, relative to the first byte of the row, quotes included.
#[derive(Default)]
pub(super) struct Fields {
    ends: Vec<u32>,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field as written, quotes included.
    #[inline]
    pub(super) fn raw<'a>(&self, row: &'a [u8], column: usize) -> &'a [u8] {
        let start = if column == 0 { 0 } else { self.ends[column - 1] as usize + 1 };
        &row[start..self.ends[column] as usize]
    }

    /// The bytes of a field without its outer quotes; doubled quotes stay doubled.
    #[inline]
    pub(super) fn inner<'a>(&self, row: &'a [u8], column: usize) -> &'a [u8] {
        let raw = self.raw(row, column);
        match raw {
            [b'"', inner @ .., b'"'] => inner,
            _ => raw,
        }
    }

    /// The bytes of a field as meant.
    pub(super) fn value(&self, row: &[u8], column: usize) -> Vec<u8> {
        let raw = self.raw(row, column);
        let inner = self.inner(row, column);
        if raw.len() == inner.len() || memchr::memchr(b'"', inner).is_none() {
            return inner.to_vec();
        }
        let mut value = Vec::with_capacity(inner.len());
        let mut quotes = 0;
        for &byte in inner {
            quotes = if byte == b'"' { quotes + 1 } else { 0 };
            if quotes % 2 == 0 || byte != b'"' {
                value.push(byte);
            }
        }
        value
    }
}

/// What stands at a row's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A row of `len` bytes; the next begins at `next`, `lines` physical lines later.
    Row { len: usize, next: usize, lines: u32 },
    /// A first line of `len` bytes that begins no row.
    Bad { len: usize, next: usize, why: Flaw },
    /// More bytes are needed to tell.
    More,
    /// No line end within the longest row.
    TooLong,
}

/// Why a line begins no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A quote in the middle of a field, or text after a closing quote.
    Quote,
    /// The quoted field never ends.
    Unclosed,
    /// It goes on over several lines and then has the wrong number of columns.
    Columns,
}

/// How rows are framed.
#[derive(Clone, Debug)]
pub(super) enum Framing {
    /// One line, one row.
    Lines,
    /// Fields between separators, quoted as RFC 4180 says; `columns`: how many there may be.
    Quoted { separator: u8, columns: RangeInclusive<usize> },
    /// JSON objects one after another or in an array, over any number of lines. They can only be
    /// found from the beginning: see `objects::Stream`.
    Objects {
        /// The list in which they stand, where the file holds pages of them.
        within: Option<&'static str>,
    },
}

impl Framing {
    /// The row that begins at `at`. `last`: nothing follows `data` in the file.
    #[inline]
    pub(super) fn next(&self, data: &[u8], at: usize, last: bool, fields: &mut Fields) -> Found {
        match self {
            Framing::Lines => line(data, at, last),
            Framing::Quoted { separator, columns } => quoted(data, at, last, *separator, columns, fields),
            Framing::Objects { .. } => match super::objects::value_end(&data[at..]) {
                Some(len) => Found::Row { len, next: at + len, lines: 1 },
                None => Found::TooLong,
            },
        }
    }
}

/// The physical line that begins at `at`.
fn line(data: &[u8], at: usize, last: bool) -> Found {
    let rest = &data[at..];
    let within = &rest[..rest.len().min(ROW_BYTES_MAX)];
    match memchr::memchr(b'\n', within) {
        Some(end) => Found::Row { len: before_return(&rest[..end]), next: at + end + 1, lines: 1 },
        None if rest.len() >= ROW_BYTES_MAX => Found::TooLong,
        None if last => Found::Row { len: before_return(rest), next: data.len(), lines: 1 },
        None => Found::More,
    }
}

/// The length without a carriage return at the end.
fn before_return(line: &[u8]) -> usize {
    line.len() - usize::from(line.last() == Some(&b'\r'))
}

/// The first physical line, given up as a row.
fn bad(data: &[u8], at: usize, last: bool, why: Flaw) -> Found {
    match line(data, at, last) {
        Found::Row { len, next, .. } => Found::Bad { len, next, why },
        other => other,
    }
}

#[inline]
fn quoted(
    data: &[u8],
    at: usize,
    last: bool,
    separator: u8,
    columns: &RangeInclusive<usize>,
    fields: &mut Fields,
) -> Found {
    fields.ends.clear();
    let limit = data.len().min(at + ROW_BYTES_MAX);
    let mut block = at;
    // Inside a quoted field at the block's beginning: all ones, else zero.
    let mut inside_before = 0u64;
    // Whether the byte before the block allows a quote to open, and whether it closed one.
    let (mut opens_before, mut closed_before) = (1u64, 0u64);
    let mut lines = 1;
    while block < limit {
        let masks = match data.get(block..block + 64).and_then(|bytes| bytes.first_chunk::<64>()) {
            Some(bytes) => Masks::of(bytes, separator),
            None => {
                let rest = &data[block..];
                // A byte that means nothing fills the last block.
                let mut padded = [0; 64];
                padded[..rest.len()].copy_from_slice(rest);
                Masks::of(&padded, separator)
            }
        };
        let inside = prefix_xor(masks.quotes) ^ inside_before;
        let opening = masks.quotes & inside;
        let closing = masks.quotes & !inside;
        let separators = masks.separators & !inside;
        let ends = masks.newlines & !inside;
        let bad_opening = opening & !(((separators | closing) << 1) | opens_before);
        let mut bad_closing =
            ((closing << 1) | closed_before) & !(separators | ends | opening) & in_data(data.len() - block);
        // Bits up to the row's end, or all.
        let row = if ends == 0 { u64::MAX } else { ends ^ (ends - 1) };
        if bad_closing & row != 0 {
            bad_closing &= !returns(data, block, bad_closing);
        }
        if (bad_opening | bad_closing) & row != 0 {
            return bad(data, at, last, Flaw::Quote);
        }
        let base = (block - at) as u32;
        let mut bits = separators & row;
        while bits != 0 {
            fields.ends.push(base + bits.trailing_zeros());
            bits &= bits - 1;
        }
        lines += (masks.newlines & inside & row).count_ones();
        if ends != 0 {
            let end = block + ends.trailing_zeros() as usize;
            return finish(data, at, end, end + 1, lines, last, columns, fields);
        }
        inside_before = ((inside as i64) >> 63) as u64;
        opens_before = (separators | closing) >> 63;
        closed_before = closing >> 63;
        block += 64;
    }
    if limit - at >= ROW_BYTES_MAX {
        return bad(data, at, last, Flaw::Unclosed);
    }
    if !last {
        return Found::More;
    }
    if inside_before != 0 {
        return bad(data, at, last, Flaw::Unclosed);
    }
    finish(data, at, data.len(), data.len(), lines, last, columns, fields)
}

#[allow(clippy::too_many_arguments)]
#[inline]
fn finish(
    data: &[u8],
    at: usize,
    end: usize,
    next: usize,
    lines: u32,
    last: bool,
    columns: &RangeInclusive<usize>,
    fields: &mut Fields,
) -> Found {
    let len = before_return(&data[at..end]);
    fields.ends.push(len as u32);
    if lines > 1 && !columns.contains(&fields.ends.len()) {
        return bad(data, at, last, Flaw::Columns);
    }
    Found::Row { len, next, lines }
}

/// The bits of a block that lie before the data's end.
fn in_data(left: usize) -> u64 {
    if left >= 64 { u64::MAX } else { (1 << left) - 1 }
}

/// Of the marked bytes those that are the carriage return of a line end, or of the data's end.
#[cold]
fn returns(data: &[u8], block: usize, mut marked: u64) -> u64 {
    let mut found = 0;
    while marked != 0 {
        let bit = marked.trailing_zeros() as usize;
        let ends_line = matches!(data.get(block + bit + 1), None | Some(b'\n'));
        if data.get(block + bit) == Some(&b'\r') && ends_line {
            found |= 1 << bit;
        }
        marked &= marked - 1;
    }
    found
}

/// Bit i: how many bits up to and with i are set, odd or even.
#[inline]
fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

/// Which of 64 bytes matter.
struct Masks {
    quotes: u64,
    separators: u64,
    newlines: u64,
}

impl Masks {
    #[inline]
    fn of(bytes: &[u8; 64], separator: u8) -> Masks {
        use wide::{CmpEq, u8x16};
        let mut masks = Masks { quotes: 0, separators: 0, newlines: 0 };
        let (quote, comma, newline) = (u8x16::splat(b'"'), u8x16::splat(separator), u8x16::splat(b'\n'));
        for (i, lane) in bytes.as_chunks::<16>().0.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let bits = |wanted| u64::from(CmpEq::cmp_eq(lane, wanted).move_mask() as u16) << (i * 16);
            masks.quotes |= bits(quote);
            masks.separators |= bits(comma);
            masks.newlines |= bits(newline);
        }
        masks
    }

    #[cfg(test)]
    fn plain(bytes: &[u8; 64], separator: u8) -> Masks {
        let bits = |wanted: u8| {
            bytes.iter().enumerate().fold(0, |bits, (i, &byte)| bits | u64::from(byte == wanted) << i)
        };
        Masks { quotes: bits(b'"'), separators: bits(separator), newlines: bits(b'\n') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same grammar, one byte at a time.
    fn slowly(data: &[u8], at: usize, columns: &RangeInclusive<usize>) -> (Found, Vec<u32>) {
        enum In {
            Start,
            Plain,
            Quoted,
            Closed,
        }
        let (mut state, mut ends, mut lines) = (In::Start, Vec::new(), 1);
        let mut i = at;
        loop {
            let byte = data.get(i).copied();
            let done = match (&state, byte) {
                (In::Quoted, None) => return (bad(data, at, true, Flaw::Unclosed), ends),
                (In::Quoted, Some(b'"')) => {
                    state = In::Closed;
                    false
                }
                (In::Quoted, Some(b'\n')) => {
                    lines += 1;
                    false
                }
                (In::Quoted, _) => false,
                (_, None | Some(b'\n')) => true,
                (_, Some(b',')) => {
                    ends.push((i - at) as u32);
                    state = In::Start;
                    false
                }
                (In::Start | In::Closed, Some(b'"')) => {
                    state = In::Quoted;
                    false
                }
                (In::Plain, Some(b'"')) => return (bad(data, at, true, Flaw::Quote), ends),
                (In::Closed, Some(b'\r')) if matches!(data.get(i + 1), None | Some(b'\n')) => false,
                (In::Closed, _) => return (bad(data, at, true, Flaw::Quote), ends),
                (In::Start | In::Plain, _) => {
                    state = In::Plain;
                    false
                }
            };
            if done {
                let len = before_return(&data[at..i]);
                ends.push(len as u32);
                if lines > 1 && !columns.contains(&ends.len()) {
                    return (bad(data, at, true, Flaw::Columns), ends);
                }
                return (Found::Row { len, next: (i + 1).min(data.len()), lines }, ends);
            }
            i += 1;
        }
    }

    fn check(text: &str, expected: &str) {
        let framing = Framing::Quoted { separator: b',', columns: 1..=3 };
        let (mut at, mut fields, mut shown) = (0, Fields::default(), String::new());
        while at < text.len() {
            match framing.next(text.as_bytes(), at, true, &mut fields) {
                Found::Row { len, next, lines } => {
                    let row = &text.as_bytes()[at..at + len];
                    for column in 0..fields.len() {
                        let value = fields.value(row, column);
                        shown += &format!("[{}]", String::from_utf8_lossy(&value).escape_debug());
                    }
                    shown += if lines > 1 { "+ " } else { " " };
                    at = next;
                }
                Found::Bad { next, why, .. } => {
                    shown += &format!("{why:?} ");
                    at = next;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(shown.trim_end(), expected);
    }

    #[test]
    fn rows_and_fields() {
        check("a,b\nc,,\n", "[a][b] [c][][]");
        check("\"a,\"\"b\"\"\",c\r\nd", "[a,\\\"b\\\"][c] [d]");
        check("\"a\nb\",c\nd\n", "[a\\nb][c]+ [d]");
        check("\"\"\r\n\"\"", "[] []");
        check("\"a\"\r\n\"b\"\r", "[a] [b]");
    }

    #[test]
    fn a_stray_quote_costs_one_line() {
        check("a\"b,c\nd\n", "Quote [d]");
        check("\"a,c\nd,e\nf\n", "Unclosed [d][e] [f]");
        check("\"a,c\n\"d\",e\nf\n", "Quote [d][e] [f]");
        check("\"a\"b\nc\n", "Quote [c]");
        check("\"a\n\",b,c,d\ne\n", "Columns Unclosed [e]");
    }

    #[test]
    fn a_row_without_end_is_too_long() {
        let framing = Framing::Quoted { separator: b',', columns: 1..=3 };
        let data = vec![b'x'; ROW_BYTES_MAX + 10];
        assert_eq!(framing.next(&data, 0, false, &mut Fields::default()), Found::TooLong);
        assert_eq!(framing.next(&data[..100], 0, false, &mut Fields::default()), Found::More);
        assert_eq!(Framing::Lines.next(&data, 5, true, &mut Fields::default()), Found::TooLong);
    }

    proptest! {
        #[test]
        fn fast_and_slow_agree(text in "[a\",\n\r ]{0,300}|([a-c]{0,9},|\"[a-c,\n]{0,40}\",|\"(\"\")\",|\r?\n){0,60}") {
            let framing = Framing::Quoted { separator: b',', columns: 1..=4 };
            let mut fields = Fields::default();
            let data = text.as_bytes();
            let mut at = 0;
            while at < data.len() {
                let found = framing.next(data, at, true, &mut fields);
                let (expected, ends) = slowly(data, at, &(1..=4));
                // The two may see another flaw first: that it is one decides.
                match (found, expected) {
                    (Found::Bad { len, next, .. }, Found::Bad { len: l, next: n, .. }) => {
                        prop_assert_eq!((len, next), (l, n));
                    }
                    _ => {
                        prop_assert_eq!(found, expected);
                        prop_assert_eq!(&fields.ends, &ends);
                    }
                }
                at = match found { Found::Row { next, .. } | Found::Bad { next, .. } => next, _ => unreachable!() };
            }
        }

        #[test]
        fn masks_agree(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), any::<u8>()], 64)) {
            let bytes: [u8; 64] = bytes.try_into().unwrap();
            let (fast, plain) = (Masks::of(&bytes, b','), Masks::plain(&bytes, b','));
            prop_assert_eq!((fast.quotes, fast.separators, fast.newlines), (plain.quotes, plain.separators, plain.newlines));
        }
    }
}
