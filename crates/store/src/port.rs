//! The port: what every store can do.
//!
//! A store keeps entries of groups, blocks of usage, price lists, and rows to be read by people. It decides
//! nothing. One [`Batch`] is one commit: all of it is kept, for good, when [`Store::commit`] answers `Ok`, and
//! nothing of it when it answers anything else.

use crate::entry::{Entry, Hash, Head, Position};
use crate::error::StoreError;
use crate::rows::{AccountRow, Rows};
use farebox_core::calendar::Instant;
use farebox_core::engine::Duty;
use std::collections::BTreeSet;
use std::fmt;

/// Everything that one commit keeps.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Entries of groups, in the order in which they were decided.
    pub appends: Vec<Append>,
    /// Blocks of usage, in the order of each partition's log.
    pub blocks: Vec<Block>,
    /// Price lists.
    pub catalogues: Vec<CatalogueText>,
    /// What is due next for groups.
    pub due: Vec<(String, Option<(Instant, Duty)>)>,
    /// Answers that were given.
    pub answers: Vec<Answer>,
    /// Access keys as they are now: new, used, revoked.
    pub keys: Vec<AccessKey>,
    /// The moment that everything due has been done up to.
    pub clock: Option<Instant>,
    /// Where the retention horizon is from now on; it never goes back.
    pub horizon: Option<Instant>,
    /// What follows from all that: written in this order.
    pub derived: Vec<Derived>,
    /// Entries and blocks of which personal values are made unreadable. What they were is nowhere after that.
    pub redacted: Vec<Redacted>,
    /// Rows for people, instead of those with the same keys.
    pub rows: Rows,
    /// Keys of answers that are there no longer.
    pub answers_gone: Vec<String>,
    /// Erasures as they are now.
    pub erasures: Vec<Erasure>,
}

/// An entry or a block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// An entry of a group.
    Entry {
        /// The group.
        group: String,
        /// Its number, from 1.
        version: u64,
    },
    /// A block of usage, wherever it is.
    Block {
        /// The partition.
        partition: u16,
        /// Its place in the partition's log.
        number: u64,
    },
}

impl Piece {
    /// The chain that it is in, and its number there.
    pub fn place(&self) -> (String, u64) {
        match self {
            Piece::Entry { group, version } => (format!("group:{group}"), *version),
            Piece::Block { partition, number } => (format!("usage:{partition}"), *number),
        }
    }

    /// What [`Piece::place`] was made of.
    pub fn of(chain: &str, number: u64) -> Option<Piece> {
        match chain.split_once(':')? {
            ("group", group) => Some(Piece::Entry { group: group.to_owned(), version: number }),
            ("usage", partition) => Some(Piece::Block { partition: partition.parse().ok()?, number }),
            _ => None,
        }
    }
}

/// A piece without some personal values. It keeps its place in its chain, and its hash there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// Which.
    pub piece: Piece,
    /// The account for whose erasure.
    pub erasure: String,
    /// The hash of its bytes by themselves, as they were before: where they are others, nothing is done.
    pub before: Hash,
    /// Its bytes from now on.
    pub bytes: Vec<u8>,
}

/// What the store knows of a piece that was redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// Which.
    pub piece: Piece,
    /// The account for whose erasure.
    pub erasure: String,
    /// The hash of the chain with it, as it was when it was written.
    pub original: Hash,
    /// The hash of its bytes by themselves, before.
    pub before: Hash,
    /// The same after.
    pub after: Hash,
}

/// An account whose personal values are made unreadable, or were.
#[derive(Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The account.
    pub account: String,
    /// The account that pays for it, in whose chain the erasure is told.
    pub group: String,
    /// Who wished it.
    pub actor: String,
    /// The store's clock when it began.
    pub began: Instant,
    /// When it was done; `None`: it goes on.
    pub ended: Option<Instant>,
    /// What tokens are made with, until it is done.
    pub secret: Option<[u8; 32]>,
    /// Entries that were redacted.
    pub entries: u64,
    /// Blocks of usage that were, in the store's file or in the archive.
    pub blocks: u64,
    /// Pieces of usage in them.
    pub events: u64,
    /// Files of the archive that were written anew.
    pub files: u64,
    /// Answers that are no longer kept.
    pub answers: u64,
    /// Over all its [`Redaction`]s in their order, when it is done: the entry that tells of it says the same.
    pub digest: Option<Hash>,
}

impl fmt::Debug for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is shown to nobody.
        let (account, ended, is_going_on) = (&self.account, &self.ended, self.secret.is_some());
        let mut shown = f.debug_struct("Erasure");
        shown.field("account", account).field("ended", ended).field("is_going_on", &is_going_on);
        shown.field("entries", &self.entries).field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

/// The digest of redactions, one after another.
#[derive(Clone, Debug)]
pub struct Digest(Hash);

impl Digest {
    /// Of none, for an account.
    pub fn of(account: &str) -> Digest {
        Digest(Hash::start("erasure", account))
    }

    /// With one more.
    pub fn add(&mut self, one: &Redaction) {
        let (chain, number) = one.piece.place();
        let mut bytes = (chain.len() as u64).to_le_bytes().to_vec();
        bytes.extend(chain.as_bytes());
        bytes.extend(number.to_le_bytes());
        [one.original, one.before, one.after].iter().for_each(|hash| bytes.extend(hash.0));
        self.0 = self.0.then(&bytes);
    }

    /// Of all of them.
    pub fn hash(&self) -> Hash {
        self.0
    }
}

/// Something that follows from entries and blocks, kept so that it need not be worked out again. All of it can be
/// thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// What kind of thing it is; who writes it knows.
    pub space: u8,
    /// Its name among its kind.
    pub key: Vec<u8>,
    /// What it is now; `None`: it is gone.
    pub value: Option<Vec<u8>>,
}

/// An entry of a group.
#[derive(Clone, Debug)]
pub struct Append {
    /// The group: the account that pays.
    pub group: String,
    /// Where the group stood when the entry was decided.
    pub after: Head,
    /// The entry as bytes ([`Entry::to_record`]).
    pub record: Vec<u8>,
    /// The usage that it counts ([`Entry::counted`]).
    pub counted: Position,
    /// What people read of it.
    pub rows: Rows,
}

impl Append {
    /// An entry as it is appended.
    pub fn new(group: &str, after: Head, entry: &Entry, rows: Rows) -> Append {
        let record = entry.to_record();
        Append { group: group.to_owned(), after, record, counted: entry.counted, rows }
    }

    /// Where the group stands with it.
    pub fn head(&self) -> Head {
        self.after.then(&self.record)
    }
}

/// A block of the usage log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The partition.
    pub partition: u16,
    /// Its place in the partition's log, from 0.
    pub number: u64,
    /// How many events.
    pub events: u32,
    /// When the block was written.
    pub recorded_at: Instant,
    /// The events, compressed.
    pub bytes: Vec<u8>,
    /// The end of the chain of all blocks of the partition with this one.
    pub hash: Hash,
    /// Where it was redacted: the hash of its bytes by themselves. They are not those that `hash` was made of.
    pub redacted: Option<Hash>,
}

impl Block {
    /// The hash of a partition's chain before its first block.
    pub fn chain(partition: u16) -> Hash {
        Hash::start("usage", &partition.to_string())
    }

    /// Whether it is what was written after a chain's end; where it was redacted, whether it is what that left.
    pub fn follows(&self, before: Hash) -> bool {
        match self.redacted {
            None => self.hash == before.then(&self.bytes),
            Some(redacted) => redacted == Hash::of(&self.bytes),
        }
    }
}

/// A file with blocks of usage that are old enough to leave the store. It belongs to the store all the same: blocks in it
/// are read as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its name.
    pub file: String,
    /// The store's clock when it was made.
    pub made: Instant,
    /// All usage in it is timed before this moment.
    pub before: Instant,
    /// How many bytes it has.
    pub size: u64,
    /// Their hash.
    pub hash: Hash,
    /// The blocks, each with its partition, its number and its place in the file.
    pub blocks: Vec<(u16, u64, u32)>,
    /// How much had been redacted when they were read: where more was since, the file may have what it should not.
    pub redactions: u64,
}

/// A price list as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueText {
    /// Its name.
    pub id: String,
    /// From when it is in force; `None`: since ever.
    pub effective: Option<Instant>,
    /// When it was published.
    pub published: Instant,
    /// The file.
    pub text: String,
    /// The files that it names, such as rate decks: each with its name and text.
    pub parts: Vec<(String, String)>,
}

/// An answer that was given, to be given again when the same is asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What tells the wish from others: chosen by who wished.
    pub key: String,
    /// A hash of the wish, so that a key is not taken for another one's.
    pub wish: u64,
    /// When it was given.
    pub at: Instant,
    /// The answer.
    pub bytes: Vec<u8>,
}

/// Is shown a key and its value.
pub type Show<'s> = dyn FnMut(&[u8], &[u8]) -> Result<Seen, StoreError> + 's;

/// Whether more is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Go on.
    More,
    /// That is enough.
    Enough,
}

/// An access key. The secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public name, for each store once: the actor of what is done with it.
    pub id: String,
    /// A hash of the secret.
    pub hash: Hash,
    /// What it is for, in words.
    pub label: String,
    /// What may be done with it.
    pub role: String,
    /// The account whose tree it is for; `None`: every account.
    pub account: Option<String>,
    /// When it was made.
    pub created: Instant,
    /// The key that made it, or `serve`.
    pub created_by: String,
    /// When it was revoked.
    pub revoked: Option<Instant>,
    /// The key that revoked it.
    pub revoked_by: Option<String>,
    /// When it was last used, to the hour or so.
    pub used: Option<Instant>,
}

/// A group as a store knows it without reading its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHead {
    /// Its name: the account that pays.
    pub group: String,
    /// Where it stands.
    pub head: Head,
    /// What is due next.
    pub due: Option<(Instant, Duty)>,
}

/// An entry that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its number in its group, from 1.
    pub version: u64,
    /// The chain's hash with it.
    pub hash: Hash,
    /// The entry as bytes.
    pub record: Vec<u8>,
    /// Where it was redacted: the hash of its bytes by themselves. They are not those that `hash` was made of.
    pub redacted: Option<Hash>,
}

impl Kept {
    /// Where its group stands with it. `None`: it is not what was written next, or, where it was redacted, not what
    /// that left.
    pub fn after(&self, before: Head) -> Option<Head> {
        let head = match self.redacted {
            None => before.then(&self.record),
            Some(_) => Head { version: before.version + 1, hash: self.hash },
        };
        let is_whole = self.redacted.is_none_or(|redacted| redacted == Hash::of(&self.record));
        (is_whole && (self.version, self.hash) == (head.version, head.hash)).then_some(head)
    }
}

/// Makes a batch: when it is kept, and perhaps on another thread. It may read what was derived before.
pub type Prepare = Box<dyn FnOnce(&dyn Derivations) -> Result<Batch, StoreError> + Send>;
/// Is told whether a batch is kept, perhaps on another thread.
pub type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What follows from entries and blocks, as it was kept last: see [`Derived`].
pub trait Derivations {
    /// What is derived, by its kind and name.
    ///
    /// # Errors
    /// When the store fails.
    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows what is derived of a kind, with its name, in the order of names from one on, until `each` answers that it
    /// has seen enough.
    ///
    /// # Errors
    /// What `each` answers; others when the store fails.
    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError>;

    /// Reads much, as of one moment: a store may have less to do for each part of it.
    ///
    /// # Errors
    /// What `read` answers; others when the store fails.
    fn together(&self, read: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        read()
    }
}

/// What every store can do.
pub trait Store: Derivations + Send {
    /// Keeps a batch, all of it or nothing; durable when it answers `Ok`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::NotNext`], [`StoreError::AheadOfLog`] and
    /// [`StoreError::CatalogueExists`] when the batch does not fit what is there; others when the store fails.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Keeps a batch as [`Store::commit`] does, and tells when that is done or has failed. A store may do it on another
    /// thread: until it tells, each read answers as before the batch or as after it, and no other batch may be given.
    fn commit_then(&mut self, batch: Prepare, then: Told);

    /// All groups, in the order of their names.
    ///
    /// # Errors
    /// When the store fails.
    fn groups(&self) -> Result<Vec<GroupHead>, StoreError>;

    /// Shows all groups, in the order of their names, and goes on after one that cannot be read.
    ///
    /// # Errors
    /// When the store fails.
    fn each_group(&self, each: &mut dyn FnMut(Result<GroupHead, StoreError>)) -> Result<(), StoreError> {
        self.groups()?.into_iter().for_each(|group| each(Ok(group)));
        Ok(())
    }

    /// One group; `None` when it has no entries.
    ///
    /// # Errors
    /// When the store fails.
    fn group(&self, group: &str) -> Result<Option<GroupHead>, StoreError>;

    /// The members: each account with the group that it is in, where that has another name.
    ///
    /// # Errors
    /// When the store fails.
    fn members(&self) -> Result<Vec<(String, String)>, StoreError>;

    /// The accounts after a name, in the order of their names, at most so many.
    ///
    /// # Errors
    /// When the store fails.
    fn accounts(&self, after: &str, most: usize) -> Result<Vec<AccountRow>, StoreError>;

    /// Shows the entries of a group after a version, in order, until `each` answers that it has seen enough.
    ///
    /// # Errors
    /// What `each` answers; others when the store fails.
    fn entries(
        &self,
        group: &str,
        after: u64,
        each: &mut dyn FnMut(Kept) -> Result<Seen, StoreError>,
    ) -> Result<(), StoreError>;

    /// How many blocks a partition's log has, and the end of their chain.
    ///
    /// # Errors
    /// When the store fails.
    fn log_head(&self, partition: u16) -> Result<(u64, Hash), StoreError>;

    /// Shows the blocks of a partition from a number on, in order, until `each` answers an error.
    ///
    /// # Errors
    /// What `each` answers; others when the store fails.
    fn blocks(
        &self,
        partition: u16,
        from: u64,
        each: &mut dyn FnMut(Block) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// One block of a partition; `None` when the log does not have it.
    ///
    /// # Errors
    /// When the store fails.
    fn block(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError>;

    /// The file of the archive that a block is in; `None`: it is in none.
    ///
    /// # Errors
    /// When the store fails.
    fn file_of(&self, partition: u16, number: u64) -> Result<Option<String>, StoreError> {
        let _ = (partition, number);
        Ok(None)
    }

    /// The blocks of a partition that are in archives all of whose usage is timed before a moment, in order.
    ///
    /// # Errors
    /// When the store fails.
    fn archived_before(&self, partition: u16, before: Instant) -> Result<Vec<u64>, StoreError> {
        let _ = (partition, before);
        Ok(Vec::new())
    }

    /// Lets go of blocks that an archive has, all or none of them; they are read as before. No commit may be on its way.
    /// A store without archives keeps its blocks.
    ///
    /// # Errors
    /// When the store fails, or has not all of the blocks.
    fn put_away(&mut self, archive: &Archive) -> Result<(), StoreError> {
        let _ = archive;
        Ok(())
    }

    /// Shows what was redacted, in the order in which it was.
    ///
    /// # Errors
    /// What `each` answers; others when the store fails.
    fn redactions(&self, each: &mut dyn FnMut(Redaction) -> Result<(), StoreError>)
    -> Result<(), StoreError>;

    /// The erasures, in the order of their accounts' names.
    ///
    /// # Errors
    /// When the store fails.
    fn erasures(&self) -> Result<Vec<Erasure>, StoreError>;

    /// Shows the answers whose keys begin like this, in the order of keys, until `each` answers an error.
    ///
    /// # Errors
    /// What `each` answers; others when the store fails.
    fn answers(
        &self,
        beginning: &str,
        each: &mut dyn FnMut(Answer) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Overwrites some of what was removed and may still be on the disk. Answers whether that is all; no commit may be on
    /// its way. A store that keeps nothing of what is removed has nothing to do.
    ///
    /// # Errors
    /// When the store fails, or somebody who reads it holds it up.
    fn sweep(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// The moment that everything due has been done up to; `None` before the first commit that says one.
    ///
    /// # Errors
    /// When the store fails.
    fn clock(&self) -> Result<Option<Instant>, StoreError>;

    /// The retention horizon: usage timed before it that comes is not counted any more. `None`: there is none yet.
    ///
    /// # Errors
    /// When the store fails.
    fn horizon(&self) -> Result<Option<Instant>, StoreError>;

    /// The answer that was given under a key.
    ///
    /// # Errors
    /// When the store fails.
    fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError>;

    /// All access keys, revoked ones too, in the order of their ids.
    ///
    /// # Errors
    /// When the store fails.
    fn keys(&self) -> Result<Vec<AccessKey>, StoreError>;

    /// All price lists, in the order of their publication.
    ///
    /// # Errors
    /// When the store fails.
    fn catalogues(&self) -> Result<Vec<CatalogueText>, StoreError>;

    /// Shows all price lists, in the order of their publication, and goes on after one that cannot be read.
    ///
    /// # Errors
    /// When the store fails.
    fn each_catalogue(
        &self,
        each: &mut dyn FnMut(Result<CatalogueText, StoreError>),
    ) -> Result<(), StoreError> {
        self.catalogues()?.into_iter().for_each(|list| each(Ok(list)));
        Ok(())
    }

    /// Under whose names there is something to read for people, by table.
    ///
    /// # Errors
    /// When the store fails.
    fn owners(&self) -> Result<BTreeSet<(&'static str, String)>, StoreError>;

    /// What people read of an account, in the order of its keys.
    ///
    /// # Errors
    /// When the store fails.
    fn rows(&self, account: &str) -> Result<Rows, StoreError>;
}
