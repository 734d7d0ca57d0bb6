//! Why a store may not do what it is asked.

use crate::entry::Position;
use std::fmt;

/// Why a store did not do what it was asked. Nothing is half done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Someone else has appended to the group since it was read: decide again.
    Conflict {
        /// The group.
        group: String,
        /// The version that the entry was decided on.
        decided_on: u64,
        /// The version that it has.
        found: u64,
    },
    /// A block has another place in the log than the next one.
    NotNext {
        /// The partition.
        partition: u16,
        /// The block's number.
        number: u64,
        /// The number that is next.
        next: u64,
    },
    /// An entry counts usage that is not in the log.
    AheadOfLog {
        /// The group.
        group: String,
        /// What it counts.
        counted: Position,
        /// How many blocks the log has.
        blocks: u64,
    },
    /// A piece that is to be redacted is not what it was.
    Changed {
        /// The chain.
        chain: String,
        /// Its number there.
        number: u64,
    },
    /// An answer was given under this key already.
    Answered {
        /// The key.
        key: String,
    },
    /// A price list of this name and date is there already, with another text.
    CatalogueExists {
        /// The price list.
        id: String,
    },
    /// What is kept is not what was written.
    Corrupt {
        /// Where: a group and version, a block, a file.
        place: String,
        /// What is wrong.
        found: String,
    },
    /// The store was written by a later version.
    Newer {
        /// Where.
        place: String,
        /// The version of its format.
        found: u32,
        /// The latest version that can be read.
        readable: u32,
    },
    /// Another process has it.
    InUse {
        /// Where.
        place: String,
    },
    /// It cannot be written: the disk is full or read-only.
    Unwritable {
        /// Where.
        place: String,
        /// What the system says.
        found: String,
    },
    /// The system failed.
    System {
        /// Where.
        place: String,
        /// What it says.
        found: String,
    },
}

impl StoreError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Conflict { .. } => "version-conflict",
            StoreError::NotNext { .. } => "block-not-next",
            StoreError::AheadOfLog { .. } => "ahead-of-log",
            StoreError::Changed { .. } => "piece-changed",
            StoreError::Answered { .. } => "already-answered",
            StoreError::CatalogueExists { .. } => "catalogue-exists",
            StoreError::Corrupt { .. } => "store-corrupt",
            StoreError::Newer { .. } => "store-newer",
            StoreError::InUse { .. } => "store-in-use",
            StoreError::Unwritable { .. } => "store-unwritable",
            StoreError::System { .. } => "store-failed",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict { group, decided_on, found } => {
                write!(f, "group \"{group}\" is at version {found}, the entry was decided on {decided_on}")
            }
            StoreError::NotNext { partition, number, next } => {
                write!(f, "block {number} of partition {partition} is not the next one, which is {next}")
            }
            StoreError::AheadOfLog { group, counted, blocks } => write!(
                f,
                "an entry of group \"{group}\" counts {} blocks of partition {}, which has {blocks}",
                counted.blocks, counted.partition
            ),
            StoreError::Changed { chain, number } => {
                write!(
                    f,
                    "number {number} of the chain {chain} is not what is to be redacted; look at it again"
                )
            }
            StoreError::Answered { key } => write!(f, "an answer was given under the key \"{key}\" already"),
            StoreError::CatalogueExists { id } => {
                write!(
                    f,
                    "a price list \"{id}\" with this effective date is there already; give it a later one"
                )
            }
            StoreError::Corrupt { place, found } => {
                write!(
                    f,
                    "{place} is damaged: {found}; restore a backup, or ask `farebox verify` what is intact"
                )
            }
            StoreError::Newer { place, found, readable } => write!(
                f,
                "{place} was written by a later version of Farebox (format {found}, this one reads up to {readable}); \
                 use that version"
            ),
            StoreError::InUse { place } => {
                write!(f, "{place} is in use by another process; one server at a time can have it")
            }
            StoreError::Unwritable { place, found } => write!(f, "{place} cannot be written: {found}"),
            StoreError::System { place, found } => write!(f, "{place}: {found}"),
        }
    }
}

impl std::error::Error for StoreError {}
