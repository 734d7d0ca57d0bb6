//! A run: identities in order, in pages that the store has, with a filter in memory.

use super::filter::Filter;
use crate::log::Place;
use farebox_store::codec::{Reader, Stored, Writer};
use farebox_store::{Derived, Seen, Store, StoreError};

/// The runs there are.
pub(super) const DIRECTORY: u8 = 1;
/// Their pages.
pub(super) const PAGES: u8 = 2;
/// Their filters.
pub(super) const FILTERS: u8 = 3;

/// Identities of a page, on average.
const PAGE_COUNT: u64 = 64;
/// Bytes of an entry: seven of the identity, four and three of the place.
const ENTRY_BYTES: usize = 14;
/// Bytes of a filter in one row.
const FILTER_BYTES: usize = 256 << 10;

/// The bits of an identity that runs know it by. Whether two of them are one, the log tells.
pub(super) fn key_of(identity: u128) -> u64 {
    (identity >> 72) as u64
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
    /// The leading bits of an identity that choose its page.
    pub bits: u32,
    pub state: State,
}

impl Head {
    pub fn new(number: u32, level: u8, count: u64, base: u64) -> Head {
        let bits = 64 - (count / PAGE_COUNT).leading_zeros();
        Head { number, level, count, base, bits, state: State::Whole }
    }

    pub fn page_of(&self, key: u64) -> u32 {
        (key >> (56 - self.bits)) as u32
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
        Derived { space: DIRECTORY, key: self.number.to_be_bytes().to_vec(), value: Some(to.into_bytes()) }
    }

    pub fn read(key: &[u8], value: &[u8]) -> Option<Head> {
        let mut from = Reader::new(value);
        let mut read = || -> Result<Head, farebox_store::codec::Corrupt> {
            Ok(Head {
                number: key.try_into().map(u32::from_be_bytes).map_err(|_| from.corrupt("a run"))?,
                level: u8::get(&mut from)?,
                count: u64::get(&mut from)?,
                base: u64::get(&mut from)?,
                bits: u32::get(&mut from)?,
                state: if bool::get(&mut from)? { State::Whole } else { State::Partial },
            })
        };
        read().ok().filter(|head| head.bits <= 32)
    }

    fn key(&self, row: u32) -> Vec<u8> {
        key_in(self.number, row)
    }

    /// A page as it is written.
    pub fn page(&self, page: u32, entries: &[Entry]) -> Derived {
        let mut value = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for (key, place) in entries {
            value.extend_from_slice(&key.to_le_bytes()[..7]);
            // A run of more than four thousand million blocks is never made.
            value.extend_from_slice(&((place.block - self.base) as u32).to_le_bytes());
            value.extend_from_slice(&place.index.to_le_bytes()[..3]);
        }
        Derived { space: PAGES, key: self.key(page), value: Some(value) }
    }

    /// The entries of some pages.
    pub fn read_pages(
        &self,
        store: &dyn Store,
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
            self.entries(value, &mut |entry| found.push(entry)).map_err(|()| damaged(run, page))?;
            Ok(Seen::More)
        })?;
        Ok(found)
    }

    fn entries(&self, value: &[u8], each: &mut dyn FnMut(Entry)) -> Result<(), ()> {
        let (entries, rest) = value.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            let (mut key, mut block, mut index) = ([0; 8], [0; 4], [0; 4]);
            key[..7].copy_from_slice(&entry[..7]);
            block.copy_from_slice(&entry[7..11]);
            index[..3].copy_from_slice(&entry[11..]);
            let block = self.base + u64::from(u32::from_le_bytes(block));
            each((u64::from_le_bytes(key), Place { block, index: u32::from_le_bytes(index) }));
        }
        if rest.is_empty() { Ok(()) } else { Err(()) }
    }

    /// Where an identity was said, as far as this run knows: the latest last.
    pub fn find(&self, store: &dyn Store, key: u64, into: &mut Vec<Place>) -> Result<(), StoreError> {
        let page = self.page_of(key);
        let Some(value) = store.derived(PAGES, &self.key(page))? else { return Ok(()) };
        let before = into.len();
        let mut look = |(known, place): Entry| {
            if known == key {
                into.push(place);
            }
        };
        self.entries(&value, &mut look).map_err(|()| damaged(self.number, page))?;
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
    pub fn read_filter(&self, store: &dyn Store) -> Result<Filter, StoreError> {
        let mut bytes = Vec::new();
        store.derived_from(FILTERS, &self.key(0), &mut |key, value| {
            if place_in(key).is_none_or(|(run, _)| run != self.number) {
                return Ok(Seen::Enough);
            }
            bytes.extend_from_slice(value);
            Ok(Seen::More)
        })?;
        let mut new = Filter::new(self.count);
        if bytes.len() == new.len_bytes()
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
pub(super) fn rows_to_remove(store: &dyn Store, run: u32, most: usize) -> Result<Vec<Derived>, StoreError> {
    let mut found = Vec::new();
    for space in [FILTERS, PAGES] {
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
}

impl Builder {
    pub fn new(head: Head) -> Builder {
        Builder { head, filter: Filter::new(head.count), page: 0, entries: Vec::new() }
    }

    pub fn push(&mut self, entry: Entry, into: &mut Vec<Derived>) {
        let page = self.head.page_of(entry.0);
        if page != self.page {
            self.flush(into);
            self.page = page;
        }
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
        into.extend(self.head.filter_rows(&self.filter));
        into.push(self.head.row());
        (self.head, self.filter)
    }
}
