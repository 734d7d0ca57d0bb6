//! What one decision leaves behind, and the chain that it is part of.
//!
//! The entries of a group are its truth: its accounts, balances and bills are what comes of applying their
//! facts in order. Each is chained to the one before by a hash, so that one that was changed, left out or
//! put elsewhere is found.

use crate::codec::{Corrupt, Reader, Stored, Writer, record};
use farebox_core::calendar::Instant;
use farebox_core::engine::Fact;
use std::fmt;

/// The number of the format in which entries are written. A store written with a higher one is refused;
/// every lower one can be read.
pub const FORMAT: u8 = 1;

/// How far the usage log had been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The partition of the log.
    pub partition: u16,
    /// Blocks of it, from 0.
    pub blocks: u64,
    /// Which owner of the partition counted them: each one's number is higher than those before.
    pub epoch: u64,
}

record! { Position { partition, blocks, epoch } }

/// What one decision leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was recorded.
    pub recorded_at: Instant,
    /// From when it counts.
    pub effective_at: Instant,
    /// Who wished it: the name of a key, or `clock`.
    pub actor: String,
    /// What was wished, as the one who did wrote it.
    pub command: String,
    /// The usage that the decision knew.
    pub counted: Position,
    /// What follows.
    pub facts: Vec<Fact>,
}

record! { Entry { recorded_at, effective_at, actor, @prose command, counted, facts } }

impl Entry {
    /// Its bytes, the format's number first.
    pub fn to_record(&self) -> Vec<u8> {
        // A bill with a few lines; fewer steps on the way there.
        let mut to = Writer::after(Vec::with_capacity(if self.facts.len() > 1 { 2_048 } else { 256 }));
        to.byte(FORMAT);
        self.put(&mut to);
        to.into_bytes()
    }

    /// The entry of such bytes.
    ///
    /// # Errors
    /// [`Corrupt`] when they are none, or in a format of a later version.
    pub fn from_record(bytes: &[u8]) -> Result<Entry, Corrupt> {
        let mut from = Reader::new(bytes);
        match from.byte()? {
            FORMAT => {}
            _ => return Err(Corrupt { at: 0, expected: "a format that this version reads" }),
        }
        let entry = Entry::get(&mut from)?;
        if from.is_done() { Ok(entry) } else { Err(from.corrupt("the end")) }
    }
}

/// The hash at the end of a chain: of everything before it, in its order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The start of the chain of what has this name. No two chains have one start, so that an entry of one
    /// is none of another.
    pub fn start(kind: &str, name: &str) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(kind.len() as u64).to_le_bytes()).update(kind.as_bytes()).update(name.as_bytes());
        Hash(*hasher.finalize().as_bytes())
    }

    /// The hash of some bytes by themselves.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of all that a reader has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(from: &mut impl std::io::Read) -> std::io::Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(from)?;
        Ok(Hash(*hasher.finalize().as_bytes()))
    }

    /// The chain with one more record.
    pub fn then(&self, record: &[u8]) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(record);
        Hash(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from_bytes(self.0).to_hex().fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a group stands: how many entries it has, and the end of their chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub version: u64,
    /// The end of their chain.
    pub hash: Hash,
}

impl Head {
    /// Of a group without entries.
    pub fn of_new(group: &str) -> Head {
        Head { version: 0, hash: Hash::start("group", group) }
    }

    /// With one more entry.
    pub fn then(&self, record: &[u8]) -> Head {
        Head { version: self.version + 1, hash: self.hash.then(record) }
    }
}
