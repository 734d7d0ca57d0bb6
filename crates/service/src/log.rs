//! The usage log: records in the order in which they came, in compressed blocks.

mod packing;

use farebox_core::calendar::Instant;
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Packer, Record, Unpacked, added};
use farebox_store::{Block, Hash, Store, StoreError};
use packing::{Early, Full, take_all};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The one partition of a store that one process owns.
pub(crate) const PARTITION: u16 = 0;

/// Records of one block, before they are compressed. Smaller blocks are quicker to read one record of.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks that were read and are kept for a while: what is said twice is mostly said twice soon.
const READ_MAX: usize = 16;
/// Blocks whose memory is kept for others: as many as a busy commit has.
const SPARE_MAX: usize = 16;

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
    /// When it was closed, if before a commit.
    closed_at: Option<Instant>,
}

/// The end of the chain of compressed blocks, and what compresses the next ones.
#[derive(Default)]
struct Chain {
    hash: Option<Hash>,
    packer: Option<Packer>,
}

/// Blocks that are handed over to be kept: whoever keeps them compresses them, too.
#[derive(Clone)]
pub struct Ready {
    /// The number of the first.
    first: u64,
    blocks: Vec<Arc<Full>>,
    recorded_at: Instant,
    chain: Arc<Mutex<Chain>>,
}

impl Ready {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks as they are kept. Those that were handed over before must have been packed before.
    ///
    /// # Errors
    /// When one cannot be compressed.
    pub fn pack(&self) -> Result<Vec<Block>, StoreError> {
        let failed = |error: std::io::Error| StoreError::System {
            place: "a block of usage".to_owned(),
            found: error.to_string(),
        };
        // A thread that panicked in here had a block that none follows.
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let Chain { hash: end, packer } = &mut *chain;
        let packer = match packer {
            Some(packer) => packer,
            none => none.insert(Packer::new().map_err(failed)?),
        };
        let all = take_all(&self.blocks, packer).map_err(failed)?;
        let mut packed = Vec::with_capacity(self.blocks.len());
        for ((number, full), bytes) in (self.first..).zip(&self.blocks).zip(all) {
            let open = &full.open;
            let hash = end.unwrap_or_else(|| Block::chain(PARTITION)).then(&bytes);
            *end = Some(hash);
            let (partition, events) = (PARTITION, open.count());
            let recorded_at = open.closed_at.unwrap_or(self.recorded_at);
            packed.push(Block { partition, number, events, recorded_at, bytes, hash, redacted: None });
        }
        Ok(packed)
    }
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
    /// Blocks that are full.
    full: Vec<Arc<Full>>,
    /// Those before them, which are on their way into the store.
    on_the_way: Vec<Arc<Full>>,
    /// Blocks before the open one.
    blocks: u64,
    chain: Arc<Mutex<Chain>>,
    early: Early,
    read: RefCell<VecDeque<Read>>,
    /// The memory of blocks that are kept: touching new memory costs more than writing to it.
    spare: Vec<Open>,
}

impl UsageLog {
    /// The log of a store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store) -> Result<UsageLog, StoreError> {
        let (blocks, hash) = store.log_head(PARTITION)?;
        let chain = Arc::new(Mutex::new(Chain { hash: Some(hash), packer: None }));
        Ok(UsageLog { blocks, chain, ..UsageLog::default() })
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
            self.next_block();
            self.full.last().into_iter().for_each(|full| self.early.pack(full));
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
    pub fn close(&mut self, recorded_at: Instant) {
        if !self.open.starts.is_empty() {
            self.open.closed_at = Some(recorded_at);
            self.next_block();
        }
    }

    fn next_block(&mut self) {
        let next = self.spare.pop().unwrap_or_default();
        self.full.push(Arc::new(Full::new(std::mem::replace(&mut self.open, next))));
        self.blocks += 1;
    }

    /// Hands over all blocks that are not in the store yet. They can be read here until [`UsageLog::landed`]; none are
    /// handed over before that.
    pub fn hand_over(&mut self, recorded_at: Instant) -> Ready {
        self.close(recorded_at);
        self.on_the_way = std::mem::take(&mut self.full);
        let (first, blocks) = (self.blocks - self.on_the_way.len() as u64, self.on_the_way.clone());
        Ready { first, blocks, recorded_at, chain: self.chain.clone() }
    }

    /// What was handed over is in the store.
    pub fn landed(&mut self) {
        let done = std::mem::take(&mut self.on_the_way).into_iter();
        // Whoever has packed them is mostly done with them.
        let done = done.filter_map(|full| Arc::try_unwrap(full).ok());
        for Full { open: mut block, .. } in done.take(SPARE_MAX.saturating_sub(self.spare.len())) {
            block.bytes.clear();
            block.starts.clear();
            block.closed_at = None;
            self.spare.push(block);
        }
    }

    /// The blocks to be committed at once: all that are not in the store yet.
    ///
    /// # Errors
    /// When one cannot be compressed.
    pub fn take(&mut self, recorded_at: Instant) -> Result<Vec<Block>, StoreError> {
        let blocks = self.hand_over(recorded_at).pack();
        self.landed();
        blocks
    }

    /// The blocks that the store may not have yet, the one in the making the last, with their numbers.
    fn not_kept(&self) -> impl Iterator<Item = (u64, &Open)> {
        let full = self.on_the_way.iter().chain(&self.full).map(|full| &full.open);
        (self.first_not_kept()..).zip(full.chain([&self.open]))
    }

    /// The first of them.
    fn first_not_kept(&self) -> u64 {
        self.blocks - (self.full.len() + self.on_the_way.len()) as u64
    }

    /// The record at a place, if the log has it.
    ///
    /// # Errors
    /// When the store fails, or the block is not what was written.
    pub fn at(&self, store: &dyn Store, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        if place.block >= self.first_not_kept() {
            let open = self.not_kept().find(|(number, _)| *number == place.block);
            return Ok(open.and_then(|(_, open)| open.record(place)));
        }
        let mut read = self.read.borrow_mut();
        if let Some(known) = read.iter().find(|read| read.number == place.block) {
            return Ok(known.record(place));
        }
        let Some(block) = store.block(PARTITION, place.block)? else { return Ok(None) };
        let block = unpack(&block)?;
        let new = Read { number: place.block, starts: starts(block.bytes(), place.block)?, block };
        let found = new.record(place);
        if read.len() == READ_MAX {
            read.pop_front();
        }
        read.push_back(new);
        Ok(found)
    }

    /// Forgets the blocks that were read.
    pub(crate) fn read_again(&self) {
        self.read.borrow_mut().clear();
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
        let first = self.first_not_kept();
        // Some of those on their way may have arrived.
        store.blocks(PARTITION, from, &mut |block| match block.number < first {
            true => show(unpack(&block)?.bytes(), block.number, each),
            false => Ok(()),
        })?;
        for (number, open) in self.not_kept().filter(|(number, _)| *number >= from) {
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
        let first = self.first_not_kept();
        for number in blocks.iter().copied() {
            if number >= first {
                let open = self.not_kept().find(|(one, _)| *one == number);
                open.map_or(Ok(()), |(_, open)| show(&open.bytes, number, each))?;
                continue;
            }
            let block = store.block(PARTITION, number)?.ok_or_else(|| missing(number))?;
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
