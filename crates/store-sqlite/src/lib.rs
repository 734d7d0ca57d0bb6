//! The embedded store: one SQLite file in a folder of its own.
//!
//! One process at a time writes it, guarded by a lock file beside it; any other may read it with plain SQL while
//! the server runs (docs/store.md). A commit is durable when it returns.

mod archive;
mod copy;
mod damage;
mod derived;
mod redact;
mod rows;
mod schema;
mod value;
mod writer;

use derived::Reading;
use farebox_core::calendar::Instant;
use farebox_core::engine::Duty;
use farebox_store::{
    AccessKey, AccountRow, Answer, Append, Archive, Batch, Block, CatalogueText, Derivations, Erasure,
    GroupHead, Hash, Head, Kept, Prepare, Redaction, Rows, Seen, Show, Store, StoreError, Told,
};
use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use value::At;
use writer::Writer;

pub use archive::FOLDER as ARCHIVE;
pub use copy::restore;
pub use schema::latest as format_version;

/// The name of the file in its folder.
pub const FILE: &str = "farebox.db";
const LOCK: &str = "farebox.lock";
/// A page of a new file. Blocks of usage and runs of the index fill many; the rows of a commit are spread over few.
const PAGE_BYTES: u32 = 8 << 10;
/// Of the log of writes, after which it is transferred to the file.
const WAL_BYTES: u32 = 32 << 20;
/// The most memory that pages of the file take.
const CACHE_KIB: i64 = 32 << 10;

/// A store in a SQLite file.
pub struct Sqlite {
    connection: Connection,
    /// Writes on a thread of its own, once it was asked to.
    writer: Option<Writer>,
    place: String,
    /// The file of the archive that was read last.
    archive: RefCell<Option<(String, farebox_table::Reader)>>,
    /// Held as long as the store is open to be written.
    _lock: Option<File>,
}

/// Makes a folder where it is not there, for nobody but whoever runs this: what is in a store is about people.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

impl Sqlite {
    /// Opens the store of a folder; makes both where they are not there yet, and brings a file of an earlier
    /// version up to this one's.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Newer`] when a later version wrote it,
    /// [`StoreError::Corrupt`] when it is no file of Farebox; others when the system fails.
    pub fn open(folder: &Path) -> Result<Sqlite, StoreError> {
        let file = folder.join(FILE);
        let place = file.display().to_string();
        make_folder(folder).map_err(|error| in_system(folder, &error))?;
        let lock = lock(&folder.join(LOCK), &place)?;
        damage::check_new(folder)?;
        let connection = connect(&file).map_err(|error| failed(&place, error))?;
        let mut store =
            Sqlite { connection, writer: None, place, archive: RefCell::default(), _lock: Some(lock) };
        schema::migrate(&mut store.connection, &store.place)?;
        Ok(store)
    }

    /// Lets the file have no more pages than so many besides those that it has; `None`: as many as it needs.
    ///
    /// # Errors
    /// When the store fails.
    pub fn limit_pages(&self, more: Option<u32>) -> Result<(), StoreError> {
        let limit = || -> rusqlite::Result<()> {
            let pages: u32 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = more.map_or(u32::MAX - 1, |more| pages + more);
            self.connection.pragma_update(None, "max_page_count", most)
        };
        limit().map_err(|error| self.failed(error))
    }

    /// The thread that writes; started where it does not run yet.
    fn writer(&mut self) -> Result<&Writer, StoreError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::start(&self.place)?,
        };
        Ok(self.writer.insert(writer))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        failed(&self.place, error)
    }
}

/// A connection that may write.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(64);
    // A reader with plain SQL holds nothing up for long.
    connection.busy_timeout(Duration::from_secs(10))?;
    // A file that is there already keeps the pages that it has.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    // Fewer and longer transfers from the log of writes to the file; pages of the indexes stay in memory.
    connection.pragma_update(None, "wal_autocheckpoint", WAL_BYTES / page_bytes.max(1))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // An acknowledgement means that the disk has it.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Values bound to a statement do not have it planned again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // What is removed inside a page is overwritten, whole pages are not: an erasure sweeps those.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    Ok(connection)
}

/// The lock file tells who writes; the system lets go of it when the process ends, however that happens.
fn lock(path: &PathBuf, place: &str) -> Result<File, StoreError> {
    let open = File::options().create(true).truncate(false).write(true).open(path);
    let file = open.map_err(|error| in_system(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { place: place.to_owned() }),
        Err(TryLockError::Error(error)) => Err(in_system(path, &error)),
    }
}

fn in_system(path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind;
    let (place, found) = (path.display().to_string(), error.to_string());
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => {
            StoreError::Unwritable { place, found }
        }
        _ => StoreError::System { place, found },
    }
}

/// Whether the system did not take what was to be written, for another reason than that the disk is full.
fn is_write_failure(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| {
        [
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_TRUNCATE,
            ffi::SQLITE_IOERR_SHMOPEN,
            ffi::SQLITE_IOERR_SHMSIZE,
        ]
        .contains(&code)
    })
}

/// What SQLite says, as what it means for the one who runs the server.
fn failed(place: &str, error: rusqlite::Error) -> StoreError {
    let (place, found) = (place.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied,
        ) => StoreError::Unwritable { place, found },
        Some(ErrorCode::SystemIoFailure) if is_write_failure(&error) => {
            StoreError::Unwritable { place, found }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { place, found },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { place },
        Some(_) => StoreError::System { place, found },
        // A column that does not hold what it should.
        None => StoreError::Corrupt { place, found },
    }
}

/// What a commit can end with before it is one: a refusal, or SQLite's error.
enum Stopped {
    Refused(StoreError),
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Stopped {
        Stopped::Failed(error)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Stopped {
        Stopped::Refused(error)
    }
}

fn duty_number(duty: Duty) -> Option<usize> {
    Duty::ALL.iter().position(|known| *known == duty)
}

fn commit(connection: &mut Connection, place: &str, batch: &Batch) -> Result<(), StoreError> {
    let begin = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begin.map_err(|error| failed(place, error))?;
    let mut files = redact::Files::default();
    let written =
        write(&transaction, batch).and_then(|()| redact::write(&transaction, place, batch, &mut files));
    let written = written.map_err(|stopped| match stopped {
        Stopped::Refused(refused) => refused,
        Stopped::Failed(error) => failed(place, error),
    });
    // Dropped, it takes everything back.
    let kept = written.and_then(|()| transaction.commit().map_err(|error| failed(place, error)));
    files.tidy(kept.is_ok());
    kept
}

fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), Stopped> {
    for block in &batch.blocks {
        let next = log_blocks(transaction, block.partition)?;
        if block.number != next {
            let (partition, number) = (block.partition, block.number);
            return Err(StoreError::NotNext { partition, number, next }.into());
        }
        transaction.prepare_cached("INSERT INTO usage_block VALUES (?, ?, ?, ?, ?, ?, NULL)")?.execute(
            params![
                block.partition,
                block.number,
                block.events,
                At(block.recorded_at),
                block.hash.0,
                block.bytes,
            ],
        )?;
    }
    for one in &batch.derived {
        match &one.value {
            Some(value) => {
                let sql = "INSERT INTO derived VALUES (?, ?, ?) \
                           ON CONFLICT (space, key) DO UPDATE SET value = excluded.value";
                transaction.prepare_cached(sql)?.execute(params![one.space, one.key, value])?;
            }
            None => {
                let sql = "DELETE FROM derived WHERE space = ? AND key = ?";
                transaction.prepare_cached(sql)?.execute(params![one.space, one.key])?;
            }
        }
    }
    // What is due next is written with the entries of its group, where there are any.
    let due: HashMap<&str, Next> = batch.due.iter().map(|(group, next)| (group.as_str(), *next)).collect();
    for append in &batch.appends {
        write_entry(transaction, append, due.get(append.group.as_str()).copied())?;
    }
    let appended: HashSet<&str> = batch.appends.iter().map(|append| append.group.as_str()).collect();
    for (group, next) in batch.due.iter().filter(|(group, _)| !appended.contains(group.as_str())) {
        let sql = "UPDATE billing_group SET due_at = ?, due_duty = ? WHERE name = ?";
        let (at, duty) = due_columns(*next);
        transaction.prepare_cached(sql)?.execute(params![at, duty, group])?;
    }
    if let Some(at) = batch.clock {
        let sql = "INSERT OR REPLACE INTO clock VALUES (1, ?)";
        transaction.prepare_cached(sql)?.execute([At(at)])?;
    }
    if let Some(at) = batch.horizon
        && horizon(transaction)?.is_none_or(|known| known < at)
    {
        let sql = "INSERT OR REPLACE INTO horizon VALUES (1, ?)";
        transaction.prepare_cached(sql)?.execute([At(at)])?;
    }
    for answer in &batch.answers {
        let sql = "INSERT INTO answer VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        // SQLite's numbers have a sign; the bits stay.
        let values = params![answer.key, answer.wish as i64, At(answer.at), answer.bytes];
        if transaction.prepare_cached(sql)?.execute(values)? == 0 {
            return Err(StoreError::Answered { key: answer.key.clone() }.into());
        }
    }
    for key in &batch.keys {
        let sql = "INSERT OR REPLACE INTO access_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        transaction.prepare_cached(sql)?.execute(params![
            key.id,
            key.hash.0,
            key.label,
            key.role,
            key.account,
            At(key.created),
            key.created_by,
            key.revoked.map(At),
            key.revoked_by,
            key.used.map(At),
        ])?;
    }
    for list in &batch.catalogues {
        let effective = list.effective.map(|at| at.to_string()).unwrap_or_default();
        let sql = "INSERT INTO catalogue (id, effective, published, text) VALUES (?, ?, ?, ?) \
                   ON CONFLICT DO NOTHING";
        let values = params![list.id, effective, At(list.published), list.text];
        if transaction.prepare_cached(sql)?.execute(values)? == 0 {
            return Err(StoreError::CatalogueExists { id: list.id.clone() }.into());
        }
        let number = transaction.last_insert_rowid();
        for (name, text) in &list.parts {
            let sql = "INSERT INTO catalogue_part VALUES (?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![number, name, text])?;
        }
    }
    Ok(())
}

/// What is due next, if anything is.
type Next = Option<(Instant, Duty)>;

fn due_columns(next: Next) -> (Option<At>, Option<usize>) {
    (next.map(|(at, _)| At(at)), next.and_then(|(_, duty)| duty_number(duty)))
}

/// `due`: what is due next for its group, where that is to be written.
fn write_entry(transaction: &Transaction<'_>, append: &Append, due: Option<Next>) -> Result<(), Stopped> {
    if append.counted.blocks > 0 {
        let blocks = log_blocks(transaction, append.counted.partition)?;
        if append.counted.blocks > blocks {
            let (group, counted) = (append.group.clone(), append.counted);
            return Err(StoreError::AheadOfLog { group, counted, blocks }.into());
        }
    }
    let sql = "SELECT number, version, hash FROM billing_group WHERE name = ?";
    let known = transaction.prepare_cached(sql)?.query_row([&append.group], |row| {
        Ok((row.get::<_, i64>(0)?, Head { version: row.get(1)?, hash: Hash(row.get(2)?) }))
    });
    let known = known.optional()?;
    let head = known.map_or_else(|| Head::of_new(&append.group), |(_, head)| head);
    if head != append.after {
        let group = append.group.clone();
        return Err(
            StoreError::Conflict { group, decided_on: append.after.version, found: head.version }.into()
        );
    }
    let now = append.head();
    let number = match (known, due) {
        (Some((number, _)), Some(next)) => {
            let (at, duty) = due_columns(next);
            let sql =
                "UPDATE billing_group SET version = ?, hash = ?, due_at = ?, due_duty = ? WHERE number = ?";
            transaction.prepare_cached(sql)?.execute(params![now.version, now.hash.0, at, duty, number])?;
            number
        }
        (Some((number, _)), None) => {
            let sql = "UPDATE billing_group SET version = ?, hash = ? WHERE number = ?";
            transaction.prepare_cached(sql)?.execute(params![now.version, now.hash.0, number])?;
            number
        }
        (None, due) => {
            let (at, duty) = due_columns(due.flatten());
            let sql =
                "INSERT INTO billing_group (name, version, hash, due_at, due_duty) VALUES (?, ?, ?, ?, ?)";
            let values = params![append.group, now.version, now.hash.0, at, duty];
            transaction.prepare_cached(sql)?.execute(values)?;
            transaction.last_insert_rowid()
        }
    };
    let sql = "INSERT INTO entry (group_number, version, hash, record) VALUES (?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![number, now.version, now.hash.0, append.record])?;
    Ok(rows::write(transaction, &append.rows)?)
}

fn log_blocks(connection: &Connection, partition: u16) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(number) + 1, 0) FROM usage_block WHERE partition = ?";
    connection.prepare_cached(sql)?.query_row([partition], |row| row.get(0))
}

fn block(partition: u16, row: &Row<'_>) -> rusqlite::Result<Block> {
    Ok(Block {
        partition,
        number: row.get(0)?,
        events: row.get(1)?,
        recorded_at: row.get::<_, At>(2)?.0,
        hash: Hash(row.get(3)?),
        bytes: row.get(4)?,
        redacted: row.get::<_, Option<[u8; 32]>>(5)?.map(Hash),
    })
}

fn group_head(row: &Row<'_>) -> rusqlite::Result<GroupHead> {
    let due_at: Option<At> = row.get(3)?;
    let due_duty: Option<usize> = row.get(4)?;
    let duty = due_duty.and_then(|number| Duty::ALL.get(number).copied());
    Ok(GroupHead {
        group: row.get(0)?,
        head: Head { version: row.get(1)?, hash: Hash(row.get(2)?) },
        due: due_at.map(|At(at)| at).zip(duty),
    })
}

fn access_key(row: &Row<'_>) -> rusqlite::Result<AccessKey> {
    let moment = |at: Option<At>| at.map(|At(at)| at);
    Ok(AccessKey {
        id: row.get(0)?,
        hash: Hash(row.get(1)?),
        label: row.get(2)?,
        role: row.get(3)?,
        account: row.get(4)?,
        created: row.get::<_, At>(5)?.0,
        created_by: row.get(6)?,
        revoked: moment(row.get(7)?),
        revoked_by: row.get(8)?,
        used: moment(row.get(9)?),
    })
}

impl Derivations for Sqlite {
    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Reading { connection: &self.connection, place: &self.place }.derived(space, key)
    }

    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError> {
        Reading { connection: &self.connection, place: &self.place }.derived_from(space, from, each)
    }

    fn together(&self, read: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        Reading { connection: &self.connection, place: &self.place }.together(read)
    }
}

impl Store for Sqlite {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        commit(&mut self.connection, &self.place, batch)
    }

    fn commit_then(&mut self, batch: Prepare, then: Told) {
        match self.writer() {
            Ok(writer) => writer.commit(batch, then),
            Err(error) => then(Err(error)),
        }
    }

    fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        let sql = "SELECT name, version, hash, due_at, due_duty FROM billing_group ORDER BY name";
        let read = || -> rusqlite::Result<Vec<GroupHead>> {
            self.connection.prepare_cached(sql)?.query_map([], group_head)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    fn group(&self, group: &str) -> Result<Option<GroupHead>, StoreError> {
        let sql = "SELECT name, version, hash, due_at, due_duty FROM billing_group WHERE name = ?";
        let read = || self.connection.prepare_cached(sql)?.query_row([group], group_head).optional();
        read().map_err(|error| self.failed(error))
    }

    fn members(&self) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT account, payer FROM account WHERE payer <> account ORDER BY account";
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            self.connection.prepare_cached(sql)?.query_map([], pair)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    fn accounts(&self, after: &str, most: usize) -> Result<Vec<AccountRow>, StoreError> {
        rows::accounts(&self.connection, after, most).map_err(|error| self.failed(error))
    }

    fn entries(
        &self,
        group: &str,
        after: u64,
        each: &mut dyn FnMut(Kept) -> Result<Seen, StoreError>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT entry.version, entry.hash, entry.record, entry.redacted FROM entry \
                   JOIN billing_group ON billing_group.number = entry.group_number \
                   WHERE billing_group.name = ? AND entry.version > ? ORDER BY entry.version";
        let failed = |error| self.failed(error);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut found = statement.query(params![group, after]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let kept = |row: &Row<'_>| -> rusqlite::Result<Kept> {
                let redacted = row.get::<_, Option<[u8; 32]>>(3)?.map(Hash);
                Ok(Kept { version: row.get(0)?, hash: Hash(row.get(1)?), record: row.get(2)?, redacted })
            };
            let kept = kept(row).map_err(|error| {
                let version: u64 = row.get(0).unwrap_or_default();
                self.unread(&format!("entry {version} of group \"{group}\""), error)
            });
            if each(kept?)? == Seen::Enough {
                break;
            }
        }
        Ok(())
    }

    fn log_head(&self, partition: u16) -> Result<(u64, Hash), StoreError> {
        let sql = "SELECT number + 1, hash FROM usage_block WHERE partition = ? ORDER BY number DESC LIMIT 1";
        let row = |row: &Row<'_>| Ok((row.get(0)?, Hash(row.get(1)?)));
        let read = || self.connection.prepare_cached(sql)?.query_row([partition], row).optional();
        let found = read().map_err(|error| self.failed(error))?;
        Ok(found.unwrap_or_else(|| (0, Block::chain(partition))))
    }

    fn blocks(
        &self,
        partition: u16,
        from: u64,
        each: &mut dyn FnMut(Block) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT number, events, recorded_at, hash, bytes, redacted FROM usage_block \
                   WHERE partition = ? AND number >= ? ORDER BY number";
        let failed = |error| self.failed(error);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut found = statement.query(params![partition, from]).map_err(failed)?;
        let archived = self.archived_from(partition, from).map_err(failed)?;
        let mut archived = archived.into_iter().peekable();
        let mut show_archived = |until: u64, each: &mut dyn FnMut(Block) -> Result<(), StoreError>| {
            while let Some(number) = archived.next_if(|number| *number < until) {
                if let Some(block) = self.archived(partition, number)? {
                    each(block)?;
                }
            }
            Ok(())
        };
        while let Some(row) = found.next().map_err(failed)? {
            let block = block(partition, row).map_err(|error| {
                let number: u64 = row.get(0).unwrap_or_default();
                self.unread(&format!("block {number} of partition {partition}"), error)
            })?;
            show_archived(block.number, each)?;
            each(block)?;
        }
        show_archived(u64::MAX, each)
    }

    fn block(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError> {
        let sql = "SELECT number, events, recorded_at, hash, bytes, redacted FROM usage_block WHERE partition = ? AND number = ?";
        let row = |row: &Row<'_>| block(partition, row);
        let read =
            || self.connection.prepare_cached(sql)?.query_row(params![partition, number], row).optional();
        match read().map_err(|error| self.failed(error))? {
            Some(block) => Ok(Some(block)),
            None => self.archived(partition, number),
        }
    }

    fn file_of(&self, partition: u16, number: u64) -> Result<Option<String>, StoreError> {
        let sql = "SELECT file FROM archived_block WHERE partition = ? AND number = ?";
        let row = |row: &Row<'_>| row.get(0);
        let read =
            || self.connection.prepare_cached(sql)?.query_row(params![partition, number], row).optional();
        read().map_err(|error| self.failed(error))
    }

    fn archived_before(&self, partition: u16, before: Instant) -> Result<Vec<u64>, StoreError> {
        archive::before(&self.connection, partition, before).map_err(|error| self.failed(error))
    }

    fn put_away(&mut self, archive: &Archive) -> Result<(), StoreError> {
        archive::put_away(&mut self.connection, &self.place, archive)
    }

    fn redactions(
        &self,
        each: &mut dyn FnMut(Redaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        redact::each(&self.connection, |error| self.unread("the table redaction", error), each)
    }

    fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        redact::erasures(&self.connection).map_err(|error| self.unread("the table erasure", error))
    }

    fn answers(
        &self,
        beginning: &str,
        each: &mut dyn FnMut(Answer) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT key, wish, at, answer FROM answer WHERE key >= ? ORDER BY key";
        let failed = |error| self.failed(error);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut found = statement.query([beginning]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let answer = |row: &Row<'_>| -> rusqlite::Result<Answer> {
                let (wish, At(at)) = (row.get::<_, i64>(1)? as u64, row.get(2)?);
                Ok(Answer { key: row.get(0)?, wish, at, bytes: row.get(3)? })
            };
            let answer = answer(row).map_err(|error| self.unread("the table answer", error))?;
            if !answer.key.starts_with(beginning) {
                break;
            }
            each(answer)?;
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<bool, StoreError> {
        let folder = self.archive_folder();
        let named = self.archives()?.into_iter().map(|(name, _, _)| name).collect();
        redact::remove_unnamed(&folder, &named).map_err(|error| in_system(&folder, &error))?;
        match redact::sweep(&self.connection).map_err(|error| self.failed(error))? {
            redact::Swept::Some => Ok(false),
            redact::Swept::All => Ok(true),
            redact::Swept::HeldUp => {
                let found =
                    "somebody reads the file, so that its log of writes cannot be overwritten".to_owned();
                Err(StoreError::System { place: self.place.clone(), found })
            }
        }
    }

    fn clock(&self) -> Result<Option<Instant>, StoreError> {
        let row = |row: &Row<'_>| row.get::<_, At>(0);
        let read = || self.connection.prepare_cached("SELECT at FROM clock")?.query_row([], row).optional();
        Ok(read().map_err(|error| self.unread("the clock", error))?.map(|At(at)| at))
    }

    fn horizon(&self) -> Result<Option<Instant>, StoreError> {
        horizon(&self.connection).map_err(|error| self.unread("the retention horizon", error))
    }

    fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        let row = |row: &Row<'_>| {
            let (wish, At(at)) = (row.get::<_, i64>(0)? as u64, row.get(1)?);
            Ok(Answer { key: key.to_owned(), wish, at, bytes: row.get(2)? })
        };
        let sql = "SELECT wish, at, answer FROM answer WHERE key = ?";
        let read = || self.connection.prepare_cached(sql)?.query_row([key], row).optional();
        read().map_err(|error| self.failed(error))
    }

    fn keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        let sql = "SELECT id, hash, label, role, account, created, created_by, revoked, revoked_by, used \
                   FROM access_key ORDER BY id";
        let read = || -> rusqlite::Result<Vec<AccessKey>> {
            self.connection.prepare_cached(sql)?.query_map([], access_key)?.collect()
        };
        read().map_err(|error| self.unread("the table access_key", error))
    }

    fn catalogues(&self) -> Result<Vec<CatalogueText>, StoreError> {
        let (mut all, mut wrong) = (Vec::new(), None);
        self.each_catalogue(&mut |list| match list {
            Ok(list) => all.push(list),
            Err(error) => {
                wrong.get_or_insert(error);
            }
        })?;
        wrong.map_or(Ok(all), Err)
    }

    fn each_catalogue(
        &self,
        each: &mut dyn FnMut(Result<CatalogueText, StoreError>),
    ) -> Result<(), StoreError> {
        self.each_list(each).map_err(|error| self.failed(error))
    }

    fn each_group(&self, each: &mut dyn FnMut(Result<GroupHead, StoreError>)) -> Result<(), StoreError> {
        self.each_head(each).map_err(|error| self.failed(error))
    }

    fn owners(&self) -> Result<BTreeSet<(&'static str, String)>, StoreError> {
        self.owned()
    }

    fn rows(&self, account: &str) -> Result<Rows, StoreError> {
        let place = || format!("what people read of account \"{account}\"");
        rows::read(&self.connection, account).map_err(|error| self.unread(&place(), error))
    }
}

fn horizon(connection: &Connection) -> rusqlite::Result<Option<Instant>> {
    let row = |row: &Row<'_>| row.get::<_, At>(0);
    let found = connection.prepare_cached("SELECT at FROM horizon")?.query_row([], row).optional()?;
    Ok(found.map(|At(at)| at))
}
