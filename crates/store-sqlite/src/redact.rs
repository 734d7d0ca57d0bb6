//! Pieces that are redacted: in the file, and in files of the archive, which are written anew.
//!
//! What was there is overwritten: inside of pages with each commit (`secure_delete`), and by [`sweep`] on free pages and
//! in the log of writes.

use crate::archive::{self, FOLDER};
use crate::value::At;
use crate::{Stopped, rows};
use farebox_store::{Batch, Erasure, Hash, Piece, Redacted, Redaction, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most bytes that one step of a sweep overwrites.
const SWEEP_BYTES: i64 = 32 << 20;

/// Files that a commit makes needless, and files that it made.
#[derive(Default)]
pub(crate) struct Files {
    pub old: Vec<PathBuf>,
    pub new: Vec<PathBuf>,
}

impl Files {
    /// Removes what is not needed any more. What cannot be removed is with the next sweep.
    pub fn tidy(&self, is_kept: bool) {
        let needless = if is_kept { &self.old } else { &self.new };
        needless.iter().for_each(|file| drop(fs::remove_file(file)));
    }
}

/// Writes what a batch says of erasures.
pub(crate) fn write(
    transaction: &Transaction<'_>,
    place: &str,
    batch: &Batch,
    files: &mut Files,
) -> Result<(), Stopped> {
    let mut archived: BTreeMap<String, BTreeMap<(u16, u64), &Redacted>> = BTreeMap::new();
    for one in &batch.redacted {
        let found = match &one.piece {
            Piece::Entry { group, version } => entry(transaction, group, *version, one)?,
            Piece::Block { partition, number } => match block(transaction, *partition, *number, one)? {
                None => {
                    let sql = "SELECT file FROM archived_block WHERE partition = ? AND number = ?";
                    let mut file = transaction.prepare_cached(sql)?;
                    let file = file.query_row(params![partition, number], |row| row.get(0)).optional()?;
                    let Some(file) = file else { return Err(changed(one)) };
                    archived.entry(file).or_default().insert((*partition, *number), one);
                    archive::hash_of(transaction, *partition, *number)?
                }
                found => found,
            },
        };
        let Some(original) = found else { return Err(changed(one)) };
        let (chain, number) = one.piece.place();
        let sql = "INSERT INTO redaction (erasure, chain, number, original, before, after) VALUES (?, ?, ?, ?, ?, ?)";
        let after = Hash::of(&one.bytes);
        let values = params![one.erasure, chain, number, original.0, one.before.0, after.0];
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    let folder = Path::new(place).parent().unwrap_or(Path::new(".")).join(FOLDER);
    for (file, pieces) in &archived {
        archive::rewrite(transaction, &folder, file, pieces, files)?;
    }
    rows::replace(transaction, &batch.rows)?;
    for key in &batch.answers_gone {
        transaction.prepare_cached("DELETE FROM answer WHERE key = ?")?.execute([key])?;
    }
    for one in &batch.erasures {
        let sql = "INSERT OR REPLACE INTO erasure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        transaction.prepare_cached(sql)?.execute(params![
            one.account,
            one.group,
            one.actor,
            At(one.began),
            one.ended.map(At),
            one.secret,
            one.entries,
            one.blocks,
            one.events,
            one.files,
            one.answers,
            one.digest.map(|digest| digest.0),
        ])?;
    }
    Ok(())
}

pub(crate) fn changed(one: &Redacted) -> Stopped {
    let (chain, number) = one.piece.place();
    StoreError::Changed { chain, number }.into()
}

/// Replaces an entry; answers its hash in its chain. `None`: it is not there.
fn entry(
    transaction: &Transaction<'_>,
    group: &str,
    version: u64,
    one: &Redacted,
) -> Result<Option<Hash>, Stopped> {
    let sql = "SELECT entry.number, entry.hash, entry.record FROM entry \
               JOIN billing_group ON billing_group.number = entry.group_number \
               WHERE billing_group.name = ? AND entry.version = ?";
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, Hash(row.get(1)?), row.get::<_, Vec<u8>>(2)?));
    let found = transaction.prepare_cached(sql)?.query_row(params![group, version], row).optional()?;
    let Some((number, hash, record)) = found else { return Ok(None) };
    if Hash::of(&record) != one.before {
        return Err(changed(one));
    }
    let sql = "UPDATE entry SET record = ?, redacted = ? WHERE number = ?";
    transaction.prepare_cached(sql)?.execute(params![one.bytes, Hash::of(&one.bytes).0, number])?;
    Ok(Some(hash))
}

/// The same for a block that is in the store's file.
fn block(
    transaction: &Transaction<'_>,
    partition: u16,
    number: u64,
    one: &Redacted,
) -> Result<Option<Hash>, Stopped> {
    let sql = "SELECT hash, bytes FROM usage_block WHERE partition = ? AND number = ?";
    let row = |row: &Row<'_>| Ok((Hash(row.get(0)?), row.get::<_, Vec<u8>>(1)?));
    let found = transaction.prepare_cached(sql)?.query_row(params![partition, number], row).optional()?;
    let Some((hash, bytes)) = found else { return Ok(None) };
    if Hash::of(&bytes) != one.before {
        return Err(changed(one));
    }
    let sql = "UPDATE usage_block SET bytes = ?, redacted = ? WHERE partition = ? AND number = ?";
    let values = params![one.bytes, Hash::of(&one.bytes).0, partition, number];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(Some(hash))
}

/// Shows what was redacted, in order.
pub(crate) fn each(
    connection: &Connection,
    failed: impl Fn(rusqlite::Error) -> StoreError,
    each: &mut dyn FnMut(Redaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = "SELECT erasure, chain, number, original, before, after FROM redaction ORDER BY place";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let mut found = statement.query([]).map_err(&failed)?;
    while let Some(row) = found.next().map_err(&failed)? {
        let read = |row: &Row<'_>| -> rusqlite::Result<(String, u64, Redaction)> {
            let (chain, number): (String, u64) = (row.get(1)?, row.get(2)?);
            let piece = Piece::of(&chain, number);
            let erasure: String = row.get(0)?;
            let (original, before, after) = (Hash(row.get(3)?), Hash(row.get(4)?), Hash(row.get(5)?));
            let piece = piece.ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((chain, number, Redaction { piece, erasure, original, before, after }))
        };
        let (_, _, one) = read(row).map_err(&failed)?;
        each(one)?;
    }
    Ok(())
}

/// The erasures, by account.
pub(crate) fn erasures(connection: &Connection) -> rusqlite::Result<Vec<Erasure>> {
    let sql = "SELECT account, payer, actor, began, ended, secret, entries, blocks, events, files, answers, digest \
               FROM erasure ORDER BY account";
    let row = |row: &Row<'_>| {
        Ok(Erasure {
            account: row.get(0)?,
            group: row.get(1)?,
            actor: row.get(2)?,
            began: row.get::<_, At>(3)?.0,
            ended: row.get::<_, Option<At>>(4)?.map(|At(at)| at),
            secret: row.get(5)?,
            entries: row.get(6)?,
            blocks: row.get(7)?,
            events: row.get(8)?,
            files: row.get(9)?,
            answers: row.get(10)?,
            digest: row.get::<_, Option<[u8; 32]>>(11)?.map(Hash),
        })
    };
    connection.prepare_cached(sql)?.query_map([], row)?.collect()
}

/// How much was redacted so far: who copies blocks sees whether some were redacted since.
pub(crate) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(max(place), 0) FROM redaction", [], |row| row.get(0))
}

/// Overwrites some of the pages that are free, then the log of writes; answers whether that is all.
pub(crate) fn sweep(connection: &Connection) -> rusqlite::Result<Swept> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (free, page) = (number("freelist_count")?, number("page_size")?);
    let sql = "CREATE TABLE IF NOT EXISTS sweep (bytes BLOB)";
    if free > 0 {
        connection.execute_batch(sql)?;
        // Zeros take the place of what was there.
        let bytes = (free * page).min(SWEEP_BYTES).max(page);
        connection.execute("INSERT INTO sweep VALUES (zeroblob(?))", [bytes])?;
        return Ok(Swept::Some);
    }
    connection.execute_batch("DROP TABLE IF EXISTS sweep")?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(if busy == 0 { Swept::All } else { Swept::HeldUp })
}

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    Some,
    All,
    /// Somebody reads what is to be overwritten.
    HeldUp,
}

/// Removes files of the archive that the store does not name.
pub(crate) fn remove_unnamed(folder: &Path, named: &BTreeSet<String>) -> std::io::Result<()> {
    let Ok(files) = fs::read_dir(folder) else { return Ok(()) };
    for file in files {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with(archive::BEGINNING) && !named.contains(&name) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
