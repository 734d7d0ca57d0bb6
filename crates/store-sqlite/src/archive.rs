//! Blocks of usage in files of their own: Parquet, with the fields of each event for people, and the block as it was.
//!
//! A file is whole and durable before the store lets go of the blocks in it, and one commit does that: whatever ends
//! the process in between, each block is in the store or in a file that the store names. Blocks are read from there as
//! before, so that nothing that was counted, said or explained changes.

use crate::copy::finish;
use crate::redact::{self, Files};
use crate::value::At;
use crate::{Sqlite, Stopped, failed, in_system, make_folder};
use farebox_core::calendar::Instant;
use farebox_store::codec::Reader as Bytes;
use farebox_store::usage::{Attribute, Record, Unpacked, added};
use farebox_store::{Archive, Block, Hash, Redacted, StoreError};
use farebox_table::{Cell, Column, Form, Format, Reader, Writer};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// The folder of the files, in that of the store.
pub const FOLDER: &str = "archive";
/// How the names of the files begin.
pub(crate) const BEGINNING: &str = "usage-";
/// Blocks of one file, at most.
const BLOCKS_MAX: usize = 256;
/// The column that has the block as it was, in the first row of its group.
const BLOCK: &str = "block";

const COLUMNS: &[Column] = &[
    Column::required("source", Form::Text),
    Column::required("id", Form::Text),
    Column::required("what", Form::Text),
    Column::optional("revision", Form::Whole),
    Column::optional("type", Form::Text),
    Column::optional("subject", Form::Text),
    Column::optional("time", Form::Moment),
    Column::optional("start", Form::Moment),
    Column::optional("data", Form::Text),
    Column::optional("session", Form::Text),
    Column::required("received", Form::Moment),
    Column::required("block_number", Form::Whole),
    Column::optional(BLOCK, Form::Bytes),
];

/// Whether all usage of a block is timed before a moment.
fn is_before(block: &Block, before: Instant) -> Result<bool, StoreError> {
    let unpacked = Unpacked::of(&block.bytes).map_err(|error| damaged(block.number, &error))?;
    let mut from = Bytes::new(unpacked.bytes());
    while !from.is_done() {
        let record = next(&mut from).map_err(|error| damaged(block.number, &error))?;
        if record.usage().is_some_and(|usage| usage.time >= before) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn next(from: &mut Bytes<'_>) -> Result<Record, farebox_store::codec::Corrupt> {
    use farebox_store::codec::Stored;
    let mut ahead = from.clone();
    if let Ok(event) = added(&mut ahead) {
        *from = ahead;
        return Ok(Record::Added(farebox_store::usage::Usage::of(&event)));
    }
    Record::get(from)
}

fn damaged(number: u64, error: &farebox_store::codec::Corrupt) -> StoreError {
    StoreError::Corrupt { place: format!("block {number}"), found: error.to_string() }
}

/// The rows of a block, the first of them with the block itself.
fn rows(block: &Block) -> Result<Vec<Vec<Cell>>, StoreError> {
    let unpacked = Unpacked::of(&block.bytes).map_err(|error| damaged(block.number, &error))?;
    let mut from = Bytes::new(unpacked.bytes());
    let (mut rows, mut whole) = (Vec::new(), Some(block.bytes.clone()));
    while !from.is_done() {
        let record = next(&mut from).map_err(|error| damaged(block.number, &error))?;
        let (what, session) = match &record {
            Record::Added(_) => ("added", None),
            Record::Removed(_) => ("removed", None),
            Record::Voided { .. } => ("voided", None),
            Record::Session { id, .. } => ("session", Some(id.clone())),
            Record::SessionOver { id, .. } => ("session-over", Some(id.clone())),
            Record::TooOld { .. } => ("too-old", None),
            Record::TooOldOver(_) => ("too-old-over", None),
            Record::Conflict(_) => ("conflict", None),
            Record::ConflictOver(_) => ("conflict-over", None),
        };
        let (source, id) = match &record {
            Record::Voided { source, id } => (source.clone(), id.clone()),
            other => other.usage().map(|usage| (usage.source.clone(), usage.id.clone())).unwrap_or_default(),
        };
        let usage = record.usage();
        let number = |number: u64| Cell::Whole(i64::try_from(number).unwrap_or(i64::MAX));
        rows.push(vec![
            Cell::Text(source),
            Cell::Text(id),
            Cell::text(what),
            usage.map_or(Cell::Null, |usage| number(usage.revision)),
            Cell::maybe(usage.map(|usage| usage.kind.as_str())),
            Cell::maybe(usage.map(|usage| usage.account.as_str())),
            usage.map_or(Cell::Null, |usage| Cell::Moment(usage.time)),
            usage.and_then(|usage| usage.start).map_or(Cell::Null, Cell::Moment),
            Cell::maybe(usage.map(|usage| data(&usage.attributes))),
            Cell::maybe(session),
            Cell::Moment(block.recorded_at),
            number(block.number),
            whole.take().map_or(Cell::Null, Cell::Bytes),
        ]);
    }
    Ok(rows)
}

/// Attributes as the data of a CloudEvent: a JSON object. A number that is no decimal is a text.
fn data(attributes: &[(String, Attribute)]) -> String {
    let quoted = |text: &str| {
        let mut quoted = String::from("\"");
        for letter in text.chars() {
            match letter {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                letter if (letter as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", letter as u32)),
                letter => quoted.push(letter),
            }
        }
        quoted + "\""
    };
    let pairs = attributes.iter().map(|(name, value)| {
        let value = match value {
            Attribute::Text(text) => quoted(text),
            Attribute::Number(number) if number.is_decimal() => number.to_string(),
            Attribute::Number(number) => quoted(&number.to_string()),
        };
        format!("{}:{value}", quoted(name))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

impl Sqlite {
    /// Writes a file with blocks of usage that is timed before a moment: some of those that were recorded before it,
    /// each of which has no later usage. The store has them still: [`Store::put_away`](farebox_store::Store::put_away)
    /// lets go of them. `None`: there are none, or a group has not been settled up to that moment.
    ///
    /// # Errors
    /// When a block is damaged, or the file cannot be written; it is not there then.
    pub fn write_archive(folder: &Path, before: Instant) -> Result<Option<Archive>, StoreError> {
        let store = Sqlite::open_to_read(folder)?;
        let failed = |error| store.failed(error);
        let redactions = redact::count(&store.connection).map_err(failed)?;
        if !store.is_settled(before)? {
            return Ok(None);
        }
        let mut blocks = Vec::new();
        for (partition, number) in store.recorded_before(before).map_err(failed)? {
            let found = farebox_store::Store::block(&store, partition, number)?;
            if let Some(block) = found.filter(|block| block.recorded_at < before)
                && is_before(&block, before)?
            {
                blocks.push(block);
            }
            if blocks.len() == BLOCKS_MAX {
                break;
            }
        }
        let Some(first) = blocks.first() else { return Ok(None) };
        // Always the same name for the same first block: what a process that was killed left is written anew.
        let day = first.recorded_at.strftime("%Y-%m-%d");
        let file = format!("{BEGINNING}{day}-{}-{:09}.parquet", first.partition, first.number);
        let inside = folder.join(FOLDER);
        make_folder(&inside).map_err(|error| in_system(&inside, &error))?;
        let (path, unfinished) = (inside.join(&file), inside.join(format!("{file}.unfinished")));
        let written = write(&unfinished, blocks.iter().map(|block| Ok(block.clone())))
            .and_then(|places| finish(&unfinished, &path).map(|()| places));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        let blocks = written?;
        let made = farebox_store::Store::clock(&store)?.unwrap_or(before);
        let (size, hash) = digest(&path)?;
        Ok(Some(Archive { file, made, before, size, hash, blocks, redactions }))
    }

    /// Whether nothing is due for any group before a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_settled(&self, before: Instant) -> Result<bool, StoreError> {
        let due = "SELECT due_at FROM billing_group WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        let due = self.connection.query_row(due, [], |row| row.get::<_, At>(0)).optional();
        Ok(due.map_err(|error| self.failed(error))?.is_none_or(|At(due)| due >= before))
    }

    /// The blocks of the file that were recorded before a moment, but never the last of a partition.
    fn recorded_before(&self, before: Instant) -> rusqlite::Result<Vec<(u16, u64)>> {
        let sql = "SELECT partition, number, recorded_at FROM usage_block AS one \
                   WHERE number < (SELECT max(number) FROM usage_block WHERE partition = one.partition) \
                   ORDER BY partition, number";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if row.get::<_, At>(2)?.0 < before {
                found.push((row.get(0)?, row.get(1)?));
            }
        }
        Ok(found)
    }

    /// A block that is in a file of the archive.
    pub(crate) fn archived(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError> {
        let sql = "SELECT number, events, recorded_at, hash, file, place, redacted FROM archived_block \
                   WHERE partition = ? AND number = ?";
        let row = |row: &rusqlite::Row<'_>| {
            let block = Block {
                partition,
                number: row.get(0)?,
                events: row.get(1)?,
                recorded_at: row.get::<_, At>(2)?.0,
                hash: Hash(row.get(3)?),
                bytes: Vec::new(),
                redacted: row.get::<_, Option<[u8; 32]>>(6)?.map(Hash),
            };
            Ok((block, row.get::<_, String>(4)?, row.get::<_, u32>(5)?))
        };
        let read =
            || self.connection.prepare_cached(sql)?.query_row(params![partition, number], row).optional();
        let Some((block, file, place)) = read().map_err(|error| self.failed(error))? else { return Ok(None) };
        let bytes = self.bytes_in(&file, place as usize)?;
        Ok(Some(Block { bytes, ..block }))
    }

    /// The numbers of the blocks of a partition from one on that are in files, in order.
    pub(crate) fn archived_from(&self, partition: u16, from: u64) -> rusqlite::Result<Vec<u64>> {
        let sql = "SELECT number FROM archived_block WHERE partition = ? AND number >= ? ORDER BY number";
        self.connection.prepare_cached(sql)?.query_map(params![partition, from], |row| row.get(0))?.collect()
    }

    /// The folder of the archive.
    pub(crate) fn archive_folder(&self) -> PathBuf {
        Path::new(&self.place).parent().unwrap_or(Path::new(".")).join(FOLDER)
    }

    fn bytes_in(&self, file: &str, place: usize) -> Result<Vec<u8>, StoreError> {
        let path = self.archive_folder().join(file);
        let wrong = |found: String| StoreError::Corrupt { place: path.display().to_string(), found };
        let mut open = self.archive.borrow_mut();
        if open.as_ref().is_none_or(|(known, _)| known != file) {
            let reader = Reader::open(&path).map_err(|error| wrong(error.to_string()))?;
            *open = Some((file.to_owned(), reader));
        }
        let Some((_, reader)) = open.as_ref() else { return Err(wrong("it cannot be opened".to_owned())) };
        let found = reader.bytes(place, BLOCK).map_err(|error| wrong(error.to_string()))?;
        found.into_iter().next().ok_or_else(|| wrong(format!("its group {place} has no block")))
    }

    /// What is wrong with the files of the archive: each must be there, and be as it was written.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn archive_damage(&self) -> Result<Vec<(String, String)>, StoreError> {
        let folder = self.archive_folder();
        let mut found = Vec::new();
        for (file, size, hash) in self.archives()? {
            let path = folder.join(&file);
            let what = match digest(&path) {
                Ok(is) if is == (size, hash) => continue,
                Ok(_) => "it is not as it was written".to_owned(),
                Err(StoreError::System { found, .. } | StoreError::Unwritable { found, .. }) => found,
                Err(other) => other.to_string(),
            };
            // An erasure may have written it anew, under another name, since the store is read.
            if self.still_names(&file) {
                found.push((path.display().to_string(), what));
            }
        }
        Ok(found)
    }

    /// The files of the archive, with their sizes and hashes, by name.
    pub(crate) fn archives(&self) -> Result<Vec<(String, u64, Hash)>, StoreError> {
        let read = || -> rusqlite::Result<Vec<(String, u64, Hash)>> {
            let mut all =
                self.connection.prepare("SELECT file, size, hash FROM usage_archive ORDER BY file")?;
            all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, Hash(row.get(2)?))))?.collect()
        };
        read().map_err(|error| self.failed(error))
    }
}

/// The blocks in files all of whose usage is timed before a moment, in order.
pub(crate) fn before(connection: &Connection, partition: u16, moment: Instant) -> rusqlite::Result<Vec<u64>> {
    let sql = "SELECT number, before FROM archived_block JOIN usage_archive USING (file) \
               WHERE partition = ? ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([partition])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, At>(1)?.0 <= moment {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// Lets go of the blocks that a file has, all of them or none.
pub(crate) fn put_away(
    connection: &mut Connection,
    place: &str,
    archive: &Archive,
) -> Result<(), StoreError> {
    let begin = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
    let transaction = begin.map_err(|error| failed(place, error))?;
    let path = Path::new(place).parent().unwrap_or(Path::new(".")).join(FOLDER).join(&archive.file);
    let redactions = redact::count(&transaction).map_err(|error| failed(place, error))?;
    if redactions != archive.redactions || !path.exists() {
        // It may have what was erased.
        let _ = fs::remove_file(&path);
        let found = format!("some usage was erased while {} was written; archive again", archive.file);
        return Err(StoreError::System { place: place.to_owned(), found });
    }
    let moved = move_all(&transaction, archive).map_err(|error| failed(place, error))?;
    if moved != archive.blocks.len() {
        let found = format!("{moved} of {} blocks of {} are there", archive.blocks.len(), archive.file);
        return Err(StoreError::System { place: place.to_owned(), found });
    }
    transaction.commit().map_err(|error| failed(place, error))
}

fn move_all(transaction: &Transaction<'_>, archive: &Archive) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO usage_archive VALUES (?, ?, ?, ?, ?)";
    let values = params![archive.file, At(archive.made), At(archive.before), archive.size, archive.hash.0];
    transaction.execute(sql, values)?;
    let mut moved = 0;
    for (partition, number, at) in &archive.blocks {
        let sql = "INSERT INTO archived_block SELECT partition, number, events, recorded_at, hash, ?, ?, redacted \
                   FROM usage_block WHERE partition = ? AND number = ?";
        moved += transaction.prepare_cached(sql)?.execute(params![archive.file, at, partition, number])?;
        let sql = "DELETE FROM usage_block WHERE partition = ? AND number = ?";
        transaction.prepare_cached(sql)?.execute(params![partition, number])?;
    }
    Ok(moved)
}

/// Writes the file; answers where each block is.
fn write(
    path: &Path,
    blocks: impl Iterator<Item = Result<Block, StoreError>>,
) -> Result<Vec<(u16, u64, u32)>, StoreError> {
    let failed = |error: std::io::Error| in_system(path, &error);
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut writer = Writer::new(Format::Parquet, COLUMNS, file).map_err(failed)?;
    let mut places = Vec::new();
    for block in blocks {
        let block = block?;
        places.push((block.partition, block.number, writer.groups() as u32));
        for row in rows(&block)? {
            writer.row(row).map_err(failed)?;
        }
        writer.end_group().map_err(failed)?;
    }
    let file = writer.finish().map_err(failed)?;
    file.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(places)
}

/// The hash of an archived block in its chain.
pub(crate) fn hash_of(
    connection: &Connection,
    partition: u16,
    number: u64,
) -> rusqlite::Result<Option<Hash>> {
    let sql = "SELECT hash FROM archived_block WHERE partition = ? AND number = ?";
    let row = |row: &rusqlite::Row<'_>| row.get(0).map(Hash);
    connection.prepare_cached(sql)?.query_row(params![partition, number], row).optional()
}

/// The name of a file that is written anew: `-r1` before its end, then `-r2`.
fn next_name(file: &str) -> String {
    let name = file.strip_suffix(".parquet").unwrap_or(file);
    let known = name.rsplit_once("-r").and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    let (name, number) = known.unwrap_or((name, 0));
    format!("{name}-r{}.parquet", number + 1)
}

/// Writes a file anew, beside the one that was, with some of its blocks redacted. The store names the new one with the
/// commit; the old one is to be removed then.
pub(crate) fn rewrite(
    transaction: &Transaction<'_>,
    folder: &Path,
    file: &str,
    redacted: &BTreeMap<(u16, u64), &Redacted>,
    files: &mut Files,
) -> Result<(), Stopped> {
    let (old, name) = (folder.join(file), next_name(file));
    let (new, unfinished) = (folder.join(&name), folder.join(format!("{name}.unfinished")));
    let wrong = |found: String| StoreError::Corrupt { place: old.display().to_string(), found };
    let reader = Reader::open(&old).map_err(|error| wrong(error.to_string()))?;
    let sql = "SELECT partition, number, events, recorded_at, hash, place, redacted FROM archived_block \
               WHERE file = ? ORDER BY place";
    let known: Vec<(Block, u32)> = transaction
        .prepare_cached(sql)?
        .query_map([file], |row| {
            let block = Block {
                partition: row.get(0)?,
                number: row.get(1)?,
                events: row.get(2)?,
                recorded_at: row.get::<_, At>(3)?.0,
                hash: Hash(row.get(4)?),
                bytes: Vec::new(),
                redacted: row.get::<_, Option<[u8; 32]>>(6)?.map(Hash),
            };
            Ok((block, row.get(5)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    // One block at a time is in memory.
    let blocks = known.into_iter().map(|(block, place)| {
        let found = reader.bytes(place as usize, BLOCK).map_err(|error| wrong(error.to_string()))?;
        let is = found.into_iter().next().ok_or_else(|| wrong(format!("its group {place} has no block")))?;
        let Some(one) = redacted.get(&(block.partition, block.number)) else {
            return Ok(Block { bytes: is, ..block });
        };
        if Hash::of(&is) != one.before {
            let (chain, number) = one.piece.place();
            return Err(StoreError::Changed { chain, number });
        }
        Ok(Block { bytes: one.bytes.clone(), ..block })
    });
    files.new.push(unfinished.clone());
    let places = write(&unfinished, blocks)?;
    finish(&unfinished, &new)?;
    files.new.push(new.clone());
    files.old.push(old.clone());
    let (size, hash) = digest(&new)?;
    let sql = "INSERT INTO usage_archive SELECT ?, made, before, ?, ? FROM usage_archive WHERE file = ?";
    transaction.prepare_cached(sql)?.execute(params![name, size, hash.0, file])?;
    for (partition, number, place) in places {
        let after = redacted.get(&(partition, number)).map(|one| Hash::of(&one.bytes).0);
        let sql = "UPDATE archived_block SET file = ?, place = ?, redacted = coalesce(?, redacted) \
                   WHERE partition = ? AND number = ?";
        transaction.prepare_cached(sql)?.execute(params![name, place, after, partition, number])?;
    }
    transaction.prepare_cached("DELETE FROM usage_archive WHERE file = ?")?.execute([file])?;
    Ok(())
}

/// The size and the hash of a file.
fn digest(path: &Path) -> Result<(u64, Hash), StoreError> {
    let failed = |error: std::io::Error| in_system(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    Ok((size, Hash::of_reader(&mut file).map_err(failed)?))
}

/// Copies a file of an archive, unless the copy is there already. It must be as it was written.
pub(crate) fn copy(from: &Path, to: &Path, known: (u64, Hash)) -> Result<(), StoreError> {
    if digest(to).is_ok_and(|there| there == known) {
        return Ok(());
    }
    let place = || from.display().to_string();
    let is = digest(from).map_err(|error| StoreError::Corrupt {
        place: place(),
        found: format!("it cannot be read: {error}"),
    })?;
    if is != known {
        return Err(StoreError::Corrupt { place: place(), found: "it is not as it was written".to_owned() });
    }
    if let Some(folder) = to.parent() {
        make_folder(folder).map_err(|error| in_system(folder, &error))?;
    }
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let copied = fs::copy(from, &unfinished).map(drop).map_err(|error| in_system(&unfinished, &error));
    copied.and_then(|()| finish(&unfinished, to))
}
