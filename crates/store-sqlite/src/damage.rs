//! What is wrong with the file and the archive, as far as that can be told without reading what they mean.

use crate::archive::FOLDER;
use crate::copy::open_file;
use crate::value::At;
use crate::{FILE, Sqlite, failed, group_head, redact};
use farebox_store::{CatalogueText, GroupHead, StoreError};
use rusqlite::{OptionalExtension, Row};
use std::collections::BTreeSet;
use std::path::Path;

/// The one partition that a server writes.
const PARTITION: u16 = 0;

/// Tables with rows for people, and the column that says under whose name they are.
const OWNERS: &[(&str, &str)] = &[
    ("account", "account"),
    ("subscription", "account"),
    ("bill", "account"),
    ("line", "payer"),
    ("posting", "account"),
    ("balance", "account"),
    ("package", "payer"),
];

/// That a file which has nothing in it, or is not there, is a new store and none that was lost: SQLite would make a new
/// one of it, and throw away what is beside it.
///
/// # Errors
/// [`StoreError::Corrupt`] where beside it is what only a store has.
pub(crate) fn check_new(folder: &Path) -> Result<(), StoreError> {
    let size = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    let writes = format!("{FILE}-wal");
    let has_archive = || std::fs::read_dir(folder.join(FOLDER)).is_ok_and(|mut files| files.next().is_some());
    let beside = match () {
        () if size(FILE) > 0 => return Ok(()),
        () if size(&writes) > 0 => writes,
        () if has_archive() => format!("the folder {FOLDER}"),
        () => return Ok(()),
    };
    let found =
        format!("it is empty or gone, and beside it is {beside} of a store (move that away for a new one)");
    Err(StoreError::Corrupt { place: folder.join(FILE).display().to_string(), found })
}

impl Sqlite {
    /// What SQLite says of a row, with its place where a column does not hold what it should.
    pub(crate) fn unread(&self, place: &str, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(_) => self.failed(error),
            None => {
                let found = format!("it cannot be read: {error}");
                StoreError::Corrupt { place: place.to_owned(), found }
            }
        }
    }

    /// What is wrong with the file, as SQLite knows it, with what its rows refer to, and with the files of the archive:
    /// each with its place. Nothing, mostly.
    pub fn damage(&self) -> Vec<(String, String)> {
        let all = [self.file_damage(), self.dangling(), self.other_partitions(), self.archive_damage()];
        let mut found = Vec::new();
        for looked in all {
            match looked {
                Ok(more) => found.extend(more),
                Err(
                    StoreError::Corrupt { place, found: what } | StoreError::System { place, found: what },
                ) => {
                    found.push((place, what));
                }
                Err(other) => found.push(("the file".to_owned(), other.to_string())),
            }
        }
        found
    }

    /// What SQLite finds wrong with the file.
    pub(crate) fn file_damage(&self) -> Result<Vec<(String, String)>, StoreError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut check = self.connection.prepare("PRAGMA integrity_check")?;
            check.query_map([], |row| row.get(0))?.collect()
        };
        let mut found = read().map_err(|error| self.failed(error))?;
        found.retain(|line| line != "ok");
        Ok(found.into_iter().map(|line| ("the file".to_owned(), line)).collect())
    }

    /// Rows that refer to others which are not there, as far as the schema says what refers to what.
    pub(crate) fn dangling(&self) -> Result<Vec<(String, String)>, StoreError> {
        let sql =
            "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2";
        let row = |row: &Row<'_>| -> rusqlite::Result<(String, String)> {
            let (table, parent, count): (String, String, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let found = format!("{count} of its rows refer to rows of the table {parent} that are not there");
            Ok((format!("the table {table}"), found))
        };
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            self.connection.prepare(sql)?.query_map([], row)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Blocks of usage that no server writes.
    fn other_partitions(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        for table in ["usage_block", "archived_block"] {
            let sql = format!(
                "SELECT partition, count(*) FROM {table} WHERE partition <> ? GROUP BY partition ORDER BY partition"
            );
            let row = |row: &Row<'_>| -> rusqlite::Result<(String, String)> {
                let (partition, count): (i64, u64) = (row.get(0)?, row.get(1)?);
                let what =
                    format!("{count} blocks of partition {partition}; there is partition {PARTITION} alone");
                Ok((format!("the table {table}"), what))
            };
            let read = || -> rusqlite::Result<Vec<(String, String)>> {
                self.connection.prepare(&sql)?.query_map([PARTITION], row)?.collect()
            };
            found.extend(read().map_err(|error| self.failed(error))?);
        }
        Ok(found)
    }

    /// That the store names each file of the archive that it says blocks are in.
    pub(crate) fn check_archive_names(&self) -> Result<(), StoreError> {
        let sql = "SELECT file, count(*) FROM archived_block WHERE file NOT IN (SELECT file FROM usage_archive) \
                   GROUP BY file ORDER BY file LIMIT 1";
        let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?));
        match self.connection.query_row(sql, [], row).optional().map_err(|error| self.failed(error))? {
            None => Ok(()),
            Some((file, blocks)) => Err(StoreError::Corrupt {
                place: format!("{}, the table usage_archive", self.place),
                found: format!("{file}, with {blocks} blocks of usage, is not in it"),
            }),
        }
    }

    /// Whether the store names a file of the archive now, and not only as it is read.
    pub(crate) fn still_names(&self, file: &str) -> bool {
        let look = || -> Result<bool, StoreError> {
            let connection = open_file(Path::new(&self.place))?;
            let sql = "SELECT 1 FROM usage_archive WHERE file = ?";
            let found = connection.query_row(sql, [file], |_| Ok(())).optional();
            Ok(found.map_err(|error| failed(&self.place, error))?.is_some())
        };
        look().unwrap_or(true)
    }

    /// Whether some usage or some entries were redacted since this was opened to be read: files of the archive are written
    /// anew then, and those that it knows are gone.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_redacted_since(&self) -> Result<bool, StoreError> {
        let before = redact::count(&self.connection).map_err(|error| self.failed(error))?;
        let now = open_file(Path::new(&self.place))?;
        Ok(redact::count(&now).map_err(|error| self.failed(error))? != before)
    }

    pub(crate) fn each_head(
        &self,
        each: &mut dyn FnMut(Result<GroupHead, StoreError>),
    ) -> rusqlite::Result<()> {
        let sql = "SELECT name, version, hash, due_at, due_duty, number FROM billing_group ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(group_head(row).map_err(|error| {
                let number: i64 = row.get(5).unwrap_or_default();
                let name = row.get::<_, String>(0).map(|name| format!("group \"{name}\""));
                let place = name.unwrap_or_else(|_| format!("row {number} of the table billing_group"));
                self.unread(&place, error)
            }));
        }
        Ok(())
    }

    pub(crate) fn each_list(
        &self,
        each: &mut dyn FnMut(Result<CatalogueText, StoreError>),
    ) -> rusqlite::Result<()> {
        let sql = "SELECT number, id, effective, published, text FROM catalogue ORDER BY number";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(self.list(row).map_err(|error| {
                let number: i64 = row.get(0).unwrap_or_default();
                let id = row.get::<_, String>(1).map(|id| format!("price list \"{id}\""));
                let place = id.unwrap_or_else(|_| format!("row {number} of the table catalogue"));
                self.unread(&place, error)
            }));
        }
        Ok(())
    }

    fn list(&self, row: &Row<'_>) -> rusqlite::Result<CatalogueText> {
        let effective: String = row.get(2)?;
        let effective = if effective.is_empty() { None } else { Some(row.get::<_, At>(2)?.0) };
        let parts = "SELECT name, text FROM catalogue_part WHERE catalogue = ? ORDER BY name";
        let pair = |part: &Row<'_>| Ok((part.get(0)?, part.get(1)?));
        let parts: rusqlite::Result<Vec<(String, String)>> =
            self.connection.prepare_cached(parts)?.query_map([row.get::<_, i64>(0)?], pair)?.collect();
        Ok(CatalogueText {
            id: row.get(1)?,
            effective,
            published: row.get::<_, At>(3)?.0,
            text: row.get(4)?,
            parts: parts?,
        })
    }

    pub(crate) fn owned(&self) -> Result<BTreeSet<(&'static str, String)>, StoreError> {
        let mut all = BTreeSet::new();
        for (table, owner) in OWNERS {
            let mut read = || -> rusqlite::Result<()> {
                let mut statement =
                    self.connection.prepare(&format!("SELECT DISTINCT {owner} FROM {table}"))?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    all.insert((*table, row.get(0)?));
                }
                Ok(())
            };
            let place = format!("the table {table}");
            read().map_err(|error| self.unread(&place, error))?;
        }
        Ok(all)
    }
}
