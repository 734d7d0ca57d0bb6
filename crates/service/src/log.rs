//! The usage log: records in the order in which they came, in compressed blocks.

use farebox_core::calendar::Instant;
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Packer, Record, Unpacked, added};
use farebox_store::{Block, Hash, Store, StoreError};
use std::cell::RefCell;
use std::collections::VecDeque;

/// The one partition of a store that one process owns.
pub(crate) const PARTITION: u16 = 0;

/// Records of one block, before they are compressed. Smaller blocks are quicker to read one record of.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks that were read and are kept for a while: what is said twice is mostly said twice soon.
const READ_MAX: usize = 16;

/// Where a record of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The block.
    pub block: u64,
    /// Its place in the block, from 0.
    pub index: u32,
}

/// Records of a block in the making, one after another.
#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    /// Where each record begins.
    starts: Vec<u32>,
}

impl Open {
    fn count(&self) -> u32 {
        self.starts.len() as u32
    }

    fn record(&self, place: Place) -> Option<Vec<u8>> {
        record_at(&self.bytes, &self.starts, place)
    }
}

/// A record of a block, by where its records begin.
fn record_at(bytes: &[u8], starts: &[u32], place: Place) -> Option<Vec<u8>> {
    let from = *starts.get(place.index as usize)? as usize;
    let until = starts.get(place.index as usize + 1).map_or(bytes.len(), |at| *at as usize);
    bytes.get(from..until).map(<[u8]>::to_vec)
}

/// A block that was read, with the places of its records.
struct Read {
    number: u64,
    block: Unpacked,
    starts: Vec<u32>,
}

/// The log of a store, with what is not in the store yet.
#[derive(Default)]
pub struct UsageLog {
    open: Open,
    /// Blocks that are full, and not compressed yet.
    full: Vec<Open>,
    /// Blocks that are compressed, and not in the store yet.
    closed: Vec<Block>,
    /// Blocks before the open one.
    blocks: u64,
    /// The end of the chain of compressed blocks.
    hash: Option<Hash>,
    packer: Option<Packer>,
    read: RefCell<VecDeque<Read>>,
}

impl UsageLog {
    /// The log of a store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store) -> Result<UsageLog, StoreError> {
        let (blocks, hash) = store.log_head(PARTITION)?;
        Ok(UsageLog { blocks, hash: Some(hash), ..UsageLog::default() })
    }

    /// Blocks before the one in the making.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Whether the block in the making has no records.
    pub fn is_between_blocks(&self) -> bool {
        self.open.starts.is_empty()
    }

    /// Writes a record, as bytes, to the end. Answers where it is.
    pub fn append(&mut self, record: &[u8]) -> Place {
        if self.open.bytes.len() + record.len() > BLOCK_BYTES && !self.open.starts.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
            self.blocks += 1;
        }
        let place = Place { block: self.blocks, index: self.open.count() };
        self.open.starts.push(self.open.bytes.len() as u32);
        self.open.bytes.extend_from_slice(record);
        place
    }

    /// Writes a record to the end.
    pub fn push(&mut self, record: &Record) -> Place {
        self.append(&record.to_bytes())
    }

    /// Closes the block in the making, if anything is in it.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn close(&mut self, recorded_at: Instant) -> Result<(), StoreError> {
        if !self.open.starts.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
            self.blocks += 1;
        }
        if self.full.is_empty() {
            return Ok(());
        }
        let failed = |error: std::io::Error| StoreError::System {
            place: "a block of usage".to_owned(),
            found: error.to_string(),
        };
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer::new().map_err(failed)?),
        };
        let mut hash = self.hash.unwrap_or_else(|| Block::chain(PARTITION));
        let first = self.blocks - self.full.len() as u64;
        for (number, open) in (first..).zip(self.full.drain(..)) {
            let bytes = packer.pack(&open.bytes, open.count()).map_err(failed)?;
            hash = hash.then(&bytes);
            let (partition, events) = (PARTITION, open.count());
            self.closed.push(Block { partition, number, events, recorded_at, bytes, hash });
        }
        self.hash = Some(hash);
        Ok(())
    }

    /// The blocks to be committed: all that are not in the store yet.
    ///
    /// # Errors
    /// When one cannot be compressed.
    pub fn take(&mut self, recorded_at: Instant) -> Result<Vec<Block>, StoreError> {
        self.close(recorded_at)?;
        Ok(std::mem::take(&mut self.closed))
    }

    /// The record at a place, if the log has it.
    ///
    /// # Errors
    /// When the store fails, or the block is not what was written.
    pub fn at(&self, store: &dyn Store, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        if place.block == self.blocks {
            return Ok(self.open.record(place));
        }
        let first_full = self.blocks - self.full.len() as u64;
        if let Some(open) = place.block.checked_sub(first_full).and_then(|at| self.full.get(at as usize)) {
            return Ok(open.record(place));
        }
        let mut read = self.read.borrow_mut();
        if let Some(known) = read.iter().find(|read| read.number == place.block) {
            return Ok(known.record(place));
        }
        let closed = self.closed.iter().find(|block| block.number == place.block).cloned();
        let block = match closed {
            Some(block) => Some(block),
            None => store.block(PARTITION, place.block)?,
        };
        let Some(block) = block else { return Ok(None) };
        let block = unpack(&block)?;
        let new = Read { number: place.block, starts: starts(block.bytes(), place.block)?, block };
        let found = new.record(place);
        if read.len() == READ_MAX {
            read.pop_front();
        }
        read.push_back(new);
        Ok(found)
    }

    /// Shows the records from a block on, those too that are not in the store yet.
    ///
    /// # Errors
    /// When the store fails, or a block is not what was written.
    pub fn replay(
        &self,
        store: &dyn Store,
        from: u64,
        each: &mut dyn FnMut(Place, &[u8]),
    ) -> Result<(), StoreError> {
        store.blocks(PARTITION, from, &mut |block| show(unpack(&block)?.bytes(), block.number, each))?;
        for block in self.closed.iter().filter(|block| block.number >= from) {
            show(unpack(block)?.bytes(), block.number, each)?;
        }
        let first_full = self.blocks - self.full.len() as u64;
        let open = (first_full..).zip(self.full.iter().chain([&self.open]));
        for (number, open) in open.filter(|(number, _)| *number >= from) {
            show(&open.bytes, number, each)?;
        }
        Ok(())
    }

    /// Shows the records of some blocks, which are in order.
    ///
    /// # Errors
    /// When the store fails, or a block is not what was written.
    pub fn replay_some(
        &self,
        store: &dyn Store,
        blocks: &[u64],
        each: &mut dyn FnMut(Place, &[u8]),
    ) -> Result<(), StoreError> {
        let first_full = self.blocks - self.full.len() as u64;
        for number in blocks.iter().copied() {
            if let Some(at) = number.checked_sub(first_full) {
                let open = self.full.iter().chain([&self.open]).nth(at as usize);
                open.map_or(Ok(()), |open| show(&open.bytes, number, each))?;
                continue;
            }
            let closed = self.closed.iter().find(|block| block.number == number).cloned();
            let block = closed.map_or_else(|| store.block(PARTITION, number), |block| Ok(Some(block)))?;
            let block = block.ok_or_else(|| missing(number))?;
            show(unpack(&block)?.bytes(), number, each)?;
        }
        Ok(())
    }
}

impl Read {
    fn record(&self, place: Place) -> Option<Vec<u8>> {
        record_at(self.block.bytes(), &self.starts, place)
    }
}

fn missing(number: u64) -> StoreError {
    StoreError::Corrupt {
        place: format!("block {number} of partition {PARTITION}"),
        found: "it is missing".to_owned(),
    }
}

fn damaged(number: u64, error: &farebox_store::codec::Corrupt) -> StoreError {
    StoreError::Corrupt {
        place: format!("block {number} of partition {PARTITION}"),
        found: error.to_string(),
    }
}

fn unpack(block: &Block) -> Result<Unpacked, StoreError> {
    Unpacked::of(&block.bytes).map_err(|error| damaged(block.number, &error))
}

/// Passes a record by; answers whether it was an event that was added.
fn pass(from: &mut Reader<'_>) -> Result<(), farebox_store::codec::Corrupt> {
    let mut ahead = from.clone();
    if added(&mut ahead).is_ok() {
        *from = ahead;
        return Ok(());
    }
    Record::get(from).map(drop)
}

fn starts(bytes: &[u8], number: u64) -> Result<Vec<u32>, StoreError> {
    let (mut from, mut starts) = (Reader::new(bytes), Vec::new());
    while !from.is_done() {
        starts.push(from.at() as u32);
        pass(&mut from).map_err(|error| damaged(number, &error))?;
    }
    Ok(starts)
}

fn show(bytes: &[u8], block: u64, each: &mut dyn FnMut(Place, &[u8])) -> Result<(), StoreError> {
    let mut from = Reader::new(bytes);
    let mut index = 0;
    while !from.is_done() {
        let start = from.at();
        pass(&mut from).map_err(|error| damaged(block, &error))?;
        each(Place { block, index }, &bytes[start..from.at()]);
        index += 1;
    }
    Ok(())
}
