//! A run: identities in order, in pages that the store has, with a filter in memory.

use super::filter::Filter;
use crate::log::Place;
use farebox_store::codec::{Reader, Stored, Writer};
use farebox_store::{Derivations, Derived, Seen, StoreError};

/// The runs there are.
pub(super) const DIRECTORY: u8 = 1;
/// Their pages.
pub(super) const PAGES: u8 = 2;
/// Their filters.
const FILTERS: u8 = 26;
/// Filters of runs that earlier versions made: they are made anew.
const FILTERS_OF_OLD: [u8; 2] = [3, 24];

/// Identities of a page, on average.
const PAGE_COUNT: u64 = 128;
/// Bits of an identity that are in memory.
pub(super) const KEY_BITS: u32 = 48;
/// Bits that a run knows an identity by, at least: as many more as fill its last byte. An identity that is not in the index
/// may be taken for one of those that are there, then the log is read for nothing: with a thousand million of them one of 274
/// is, and with two bits more one of a thousand.
pub(super) const KEY_BITS_MIN: u32 = 38;
/// Bits of those that the first versions made.
const KEY_BITS_OF_OLD: u32 = 56;
/// Bytes of a filter in one row.
const FILTER_BYTES: usize = 256 << 10;

/// The bits of an identity that runs know it by. Whether two of them are one, the log tells.
pub(super) fn key_of(identity: u128) -> u64 {
    (identity >> (128 - KEY_BITS)) as u64
}

/// An identity, and where it was said.
pub(super) type Entry = (u64, Place);

/// Whether a run can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It can.
    Whole,
    /// It is in the making, or is being removed.
    Partial,
}

/// Bits of each part of an entry: as many as the run needs. The parts are one number, the first in its lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    /// Of an identity.
    pub key: u8,
    /// Of a block, counted from the run's first.
    pub block: u8,
    /// Of the place in a block.
    pub index: u8,
}

impl Widths {
    /// Those of runs that do not say.
    const OF_OLD: Widths = Widths { key: 56, block: 32, index: 24 };

    fn bits(&self) -> u32 {
        u32::from(self.key) + u32::from(self.block) + u32::from(self.index)
    }

    /// Bytes of an entry.
    pub fn entry(&self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    fn are_possible(&self) -> bool {
        (1..=56).contains(&self.key)
            && (1..=64).contains(&self.block)
            && (1..=32).contains(&self.index)
            && self.bits() <= u128::BITS
    }
}

/// Bits that a number takes.
fn width_of(number: u64) -> u8 {
    (64 - number.leading_zeros()).max(1) as u8
}

/// The lowest bits of a number, which loses them.
fn take(number: &mut u128, width: u8) -> u64 {
    let part = *number & ((1 << width) - 1);
    *number >>= width;
    part as u64
}

/// What the directory says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its number; later ones are higher.
    pub number: u32,
    /// How often its identities were merged.
    pub level: u8,
    /// How many identities.
    pub count: u64,
    /// The first block that they were said in.
    pub base: u64,
    /// The last block that they were said in, or a later one.
    pub last: u64,
    /// The leading bits of an identity that choose its page.
    pub bits: u32,
    pub state: State,
    /// Bits that it knows an identity by.
    pub key_bits: u32,
    pub widths: Widths,
}

/// What a run is made of, before it has a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// How many identities.
    pub count: u64,
    /// The first block that they were said in.
    pub base: u64,
    /// The last, or a later one.
    pub last: u64,
    /// Bits of a place in a block.
    pub index: u8,
    /// Bits that all its identities are known by.
    pub key_bits: u32,
}

impl Extent {
    /// That of entries; where there are none, they might be in a block.
    pub fn of(entries: &[Entry], block: u64) -> Extent {
        let blocks = || entries.iter().map(|(_, place)| place.block);
        let index = entries.iter().map(|(_, place)| place.index).max().unwrap_or(0);
        Extent {
            count: entries.len() as u64,
            base: blocks().min().unwrap_or(block),
            last: blocks().max().unwrap_or(block),
            index: width_of(index.into()),
            key_bits: KEY_BITS,
        }
    }

    /// That of some runs together.
    pub fn of_all(heads: &[Head]) -> Extent {
        Extent {
            count: heads.iter().map(|head| head.count).sum(),
            base: heads.iter().map(|head| head.base).min().unwrap_or(0),
            last: heads.iter().map(|head| head.last).max().unwrap_or(0),
            index: heads.iter().map(|head| head.widths.index).max().unwrap_or(1),
            key_bits: heads.iter().map(|head| head.key_bits).min().unwrap_or(KEY_BITS).min(KEY_BITS),
        }
    }
}

impl Head {
    pub fn new(number: u32, level: u8, extent: Extent) -> Head {
        let Extent { count, base, last, index, key_bits } = extent;
        let bits = (64 - (count / PAGE_COUNT).leading_zeros()).min(32);
        let mut widths = Widths { key: (KEY_BITS_MIN - bits) as u8, block: width_of(last - base), index };
        let spare = widths.entry() as u32 * u8::BITS - widths.bits();
        let key_bits = key_bits.min(KEY_BITS_MIN + spare);
        widths.key += (key_bits - KEY_BITS_MIN) as u8;
        Head { number, level, count, base, last, bits, state: State::Whole, key_bits, widths }
    }

    pub fn page_of(&self, key: u64) -> u32 {
        (key >> (KEY_BITS - self.bits)) as u32
    }

    pub fn pages(&self) -> u64 {
        1 << self.bits
    }

    pub fn row(&self) -> Derived {
        let mut to = Writer::default();
        self.level.put(&mut to);
        self.count.put(&mut to);
        self.base.put(&mut to);
        self.bits.put(&mut to);
        (self.state == State::Whole).put(&mut to);
        let Widths { key, block, index } = self.widths;
        [key, block, index].into_iter().for_each(|width| to.byte(width));
        self.last.put(&mut to);
        to.byte(self.key_bits as u8);
        Derived { space: DIRECTORY, key: self.number.to_be_bytes().to_vec(), value: Some(to.into_bytes()) }
    }

    pub fn read(key: &[u8], value: &[u8]) -> Option<Head> {
        let mut from = Reader::new(value);
        let mut read = || -> Result<Head, farebox_store::codec::Corrupt> {
            let number = key.try_into().map(u32::from_be_bytes).map_err(|_| from.corrupt("a run"))?;
            let (level, count, base) = (u8::get(&mut from)?, u64::get(&mut from)?, u64::get(&mut from)?);
            let bits = u32::get(&mut from)?;
            let state = if bool::get(&mut from)? { State::Whole } else { State::Partial };
            let (mut key_bits, mut last) = (KEY_BITS_OF_OLD, base.saturating_add(u32::MAX.into()));
            let mut widths = Widths::OF_OLD;
            if !from.is_done() {
                let (key, block, index) = (from.byte()?, from.byte()?, from.byte()?);
                last = u64::get(&mut from)?;
                // Those that do not say how many bits they know have whole bytes, and say how many.
                let bits = if from.is_done() { 8 } else { 1 };
                let [key, block, index] = [key, block, index].map(|width| width.saturating_mul(bits));
                widths = Widths { key, block, index };
            }
            if !from.is_done() {
                key_bits = from.byte()?.into();
            }
            Ok(Head { number, level, count, base, last, bits, state, key_bits, widths })
        };
        let is_possible = |head: &Head| {
            head.bits <= 32
                && (KEY_BITS_MIN..=KEY_BITS_OF_OLD).contains(&head.key_bits)
                && head.widths.are_possible()
                && u32::from(head.widths.key) >= head.key_bits - head.bits
                && head.last >= head.base
        };
        read().ok().filter(is_possible)
    }

    fn key(&self, row: u32) -> Vec<u8> {
        key_in(self.number, row)
    }

    /// What the run knows of an identity's bits in memory.
    fn known(&self, key: u64) -> u64 {
        key >> KEY_BITS.saturating_sub(self.key_bits)
    }

    /// Bits in memory of what the run knows: those that it does not know are none.
    fn in_memory(&self, known: u64) -> u64 {
        match self.key_bits.checked_sub(KEY_BITS) {
            Some(more) => known >> more,
            None => known << (KEY_BITS - self.key_bits),
        }
    }

    /// A page as it is written.
    pub fn page(&self, page: u32, entries: &[Entry]) -> Derived {
        let Widths { key: of_key, block: of_block, .. } = self.widths;
        let mut value = Vec::with_capacity(entries.len() * self.widths.entry());
        for (key, place) in entries {
            let block = u128::from(place.block - self.base) << of_key;
            let index = u128::from(place.index) << (of_key + of_block);
            let entry = u128::from(self.known(*key) & ((1 << of_key) - 1)) | block | index;
            value.extend_from_slice(&entry.to_le_bytes()[..self.widths.entry()]);
        }
        Derived { space: PAGES, key: self.key(page), value: Some(value) }
    }

    /// The entries of some pages.
    pub fn read_pages(
        &self,
        store: &dyn Derivations,
        pages: std::ops::Range<u64>,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        let Ok(first) = u32::try_from(pages.start) else { return Ok(found) };
        store.derived_from(PAGES, &self.key(first), &mut |key, value| {
            let Some((run, page)) = place_in(key).filter(|(run, _)| *run == self.number) else {
                return Ok(Seen::Enough);
            };
            if u64::from(page) >= pages.end {
                return Ok(Seen::Enough);
            }
            self.entries(page, value, &mut |entry| found.push(entry)).map_err(|()| damaged(run, page))?;
            Ok(Seen::More)
        })?;
        Ok(found)
    }

    fn entries(&self, page: u32, value: &[u8], each: &mut dyn FnMut(Entry)) -> Result<(), ()> {
        let Widths { key: of_key, block, index } = self.widths;
        let rest_bits = self.key_bits - self.bits;
        let leading = u64::from(page) << rest_bits;
        let entries = value.chunks_exact(self.widths.entry());
        let is_whole = entries.remainder().is_empty();
        for entry in entries {
            let mut bytes = [0; 16];
            bytes[..entry.len()].copy_from_slice(entry);
            let mut number = u128::from_le_bytes(bytes);
            let key = leading | take(&mut number, of_key) & ((1 << rest_bits) - 1);
            let block = self.base + take(&mut number, block);
            let index = take(&mut number, index) as u32;
            each((self.in_memory(key), Place { block, index }));
        }
        if is_whole { Ok(()) } else { Err(()) }
    }

    /// Where an identity was said, as far as this run knows: the latest last.
    pub fn find(&self, store: &dyn Derivations, key: u64, into: &mut Vec<Place>) -> Result<(), StoreError> {
        let page = self.page_of(key);
        let Some(value) = store.derived(PAGES, &self.key(page))? else { return Ok(()) };
        let before = into.len();
        let mut look = |(found, place): Entry| {
            if self.known(found) == self.known(key) {
                into.push(place);
            }
        };
        self.entries(page, &value, &mut look).map_err(|()| damaged(self.number, page))?;
        into[before..].sort_unstable();
        Ok(())
    }

    /// A filter's rows.
    pub fn filter_rows(&self, filter: &Filter) -> Vec<Derived> {
        let bytes = filter.bytes();
        let rows = (0..).zip(bytes.chunks(FILTER_BYTES));
        rows.map(|(row, part)| Derived { space: FILTERS, key: self.key(row), value: Some(part.to_vec()) })
            .collect()
    }

    /// The filter that is kept; made anew from the pages where it is not.
    pub fn read_filter(&self, store: &dyn Derivations) -> Result<Filter, StoreError> {
        let mut bytes = Vec::new();
        store.derived_from(FILTERS, &self.key(0), &mut |key, value| {
            if place_in(key).is_none_or(|(run, _)| run != self.number) {
                return Ok(Seen::Enough);
            }
            bytes.extend_from_slice(value);
            Ok(Seen::More)
        })?;
        let mut new = Filter::new(self.level, self.count);
        if bytes.len() >= new.len_bytes()
            && let Some(filter) = Filter::from_bytes(&bytes)
        {
            return Ok(filter);
        }
        self.read_pages(store, 0..self.pages())?.iter().for_each(|(key, _)| new.insert(*key));
        Ok(new)
    }
}

fn key_in(run: u32, row: u32) -> Vec<u8> {
    [run.to_be_bytes(), row.to_be_bytes()].concat()
}

/// The run and the row of a key.
pub(super) fn place_in(key: &[u8]) -> Option<(u32, u32)> {
    let (run, row) = key.split_first_chunk()?;
    Some((u32::from_be_bytes(*run), u32::from_be_bytes(row.try_into().ok()?)))
}

fn damaged(run: u32, page: u32) -> StoreError {
    StoreError::Corrupt {
        place: format!("page {page} of run {run} of the index of identities"),
        found: "its length is not one".to_owned(),
    }
}

/// Rows of a run that is not needed any more, at most so many: they are to be removed.
pub(super) fn rows_to_remove(
    store: &dyn Derivations,
    run: u32,
    most: usize,
) -> Result<Vec<Derived>, StoreError> {
    let mut found = Vec::new();
    let filters = FILTERS_OF_OLD.into_iter().chain([FILTERS]);
    for space in filters.chain([PAGES]) {
        store.derived_from(space, &key_in(run, 0), &mut |key, _| {
            if found.len() >= most || place_in(key).is_none_or(|(other, _)| other != run) {
                return Ok(Seen::Enough);
            }
            found.push(Derived { space, key: key.to_vec(), value: None });
            Ok(Seen::More)
        })?;
    }
    Ok(found)
}

/// Writes a run page by page, in the order of identities.
pub(super) struct Builder {
    pub head: Head,
    pub filter: Filter,
    page: u32,
    entries: Vec<Entry>,
    /// How many it has.
    count: u64,
}

impl Builder {
    /// Of a run of at most so many as the head says.
    pub fn new(head: Head) -> Builder {
        Builder {
            head,
            filter: Filter::at_most(head.level, head.count),
            page: 0,
            entries: Vec::new(),
            count: 0,
        }
    }

    pub fn push(&mut self, entry: Entry, into: &mut Vec<Derived>) {
        let page = self.head.page_of(entry.0);
        if page != self.page {
            self.flush(into);
            self.page = page;
        }
        self.count += 1;
        self.filter.insert(entry.0);
        self.entries.push(entry);
    }

    fn flush(&mut self, into: &mut Vec<Derived>) {
        if !self.entries.is_empty() {
            into.push(self.head.page(self.page, &self.entries));
            self.entries.clear();
        }
    }

    /// Ends it: the last page, the filter, and its place in the directory.
    pub fn finish(mut self, into: &mut Vec<Derived>) -> (Head, Filter) {
        self.flush(into);
        self.head.count = self.count;
        self.filter.shrink_to(self.head.level, self.count);
        into.extend(self.head.filter_rows(&self.filter));
        into.push(self.head.row());
        (self.head, self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64, block: u64, index: u32) -> Entry {
        (key, Place { block, index })
    }

    fn read(head: &Head, page: u32, row: &Derived) -> Vec<Entry> {
        let mut found = Vec::new();
        head.entries(page, row.value.as_deref().unwrap(), &mut |entry| found.push(entry)).unwrap();
        found
    }

    #[test]
    fn an_entry_takes_what_its_run_needs() {
        let all = [
            entry(0x0012_3456_7840, 1_000_000, 0),
            entry(0x7fff_ffff_ffc0, 1_000_300, 70_000),
            entry(0xffff_ffff_ffc0, 1_000_001, 12),
        ];
        let count = 262_144;
        let head = Head::new(3, 0, Extent { count, ..Extent::of(&all, 0) });
        // 26 bits would do for the rest of an identity: four more fill the last byte.
        assert_eq!((head.bits, head.widths), (12, Widths { key: 30, block: 9, index: 17 }));
        assert_eq!(head.key_bits, 42);
        for entry in all {
            let page = head.page_of(entry.0);
            let row = head.page(page, &[entry]);
            assert_eq!(row.value.as_ref().map(Vec::len), Some(7));
            assert_eq!(read(&head, page, &row), [entry]);
        }
        let row = head.row();
        assert_eq!(Head::read(&row.key, row.value.as_deref().unwrap()), Some(head));
    }

    #[test]
    fn a_run_of_some_that_know_less_knows_as_little() {
        let all = [entry(0x1234_5678_9abc, 3, 1), entry(0x1234_5678_9fff, 4, 2)];
        let whole = Head::new(0, 0, Extent::of(&all, 0));
        assert_eq!((whole.bits, whole.key_bits), (0, 45));
        let found = |head: &Head, row: &Derived, key: u64| -> Vec<Entry> {
            let all = read(head, 0, row).into_iter();
            all.filter(|(found, _)| head.known(*found) == head.known(key)).collect()
        };
        let row = whole.page(0, &all);
        assert_eq!(found(&whole, &row, all[0].0), [entry(0x1234_5678_9ab8, 3, 1)]);
        let less = Head { key_bits: KEY_BITS_MIN, ..whole };
        let both = Head::new(1, 1, Extent::of_all(&[whole, less]));
        assert_eq!((both.key_bits, both.widths.key), (KEY_BITS_MIN, 38));
        let row = both.page(0, &all);
        assert_eq!(found(&both, &row, all[0].0), [entry(0x1234_5678_9800, 3, 1)]);
        assert_eq!(found(&both, &row, 0x1234_5678_9fff), [entry(0x1234_5678_9c00, 4, 2)]);
    }

    /// The row of a run of an earlier version: its level, its identities, its first block, the bits of its pages, and
    /// that it is whole.
    fn of_old() -> Writer {
        let mut to = Writer::default();
        2u8.put(&mut to);
        [100u64, 7].iter().for_each(|number| number.put(&mut to));
        2u32.put(&mut to);
        true.put(&mut to);
        to
    }

    #[test]
    fn a_run_that_does_not_say_has_wide_entries() {
        let head = Head::read(&5u32.to_be_bytes(), &of_old().into_bytes()).unwrap();
        assert_eq!((head.widths.entry(), head.number, head.level, head.bits), (14, 5, 2, 2));
        let mut row = 0xc0_0000_0004_0001u64.to_le_bytes()[..7].to_vec();
        row.extend([9, 0, 0, 0, 4, 0, 0]);
        let row = Derived { space: PAGES, key: Vec::new(), value: Some(row) };
        assert_eq!(read(&head, 3, &row), [entry(0xc000_0000_0400, 16, 4)]);
        // What it becomes part of is as wide as it may have to be.
        let widths = Head::new(6, 3, Extent::of_all(&[head])).widths;
        assert_eq!(widths, Widths { key: 40, block: 32, index: 24 });
    }

    #[test]
    fn a_run_that_says_bytes_has_entries_of_whole_bytes() {
        let mut to = of_old();
        // Bytes of an identity, of a block and of a place in it; and its last block.
        [7, 2, 3].into_iter().for_each(|width| to.byte(width));
        1_000u64.put(&mut to);
        let head = Head::read(&5u32.to_be_bytes(), &to.into_bytes()).unwrap();
        assert_eq!((head.widths, head.last), (Widths { key: 56, block: 16, index: 24 }, 1_000));
        let mut row = 0xc0_0000_0004_0001u64.to_le_bytes()[..7].to_vec();
        row.extend([9, 1, 4, 0, 1]);
        let row = Derived { space: PAGES, key: Vec::new(), value: Some(row) };
        assert_eq!(read(&head, 3, &row), [entry(0xc000_0000_0400, 7 + 0x109, 0x1_0004)]);
        let row = head.row();
        assert_eq!(Head::read(&row.key, row.value.as_deref().unwrap()), Some(head), "and says so again");
    }
}
