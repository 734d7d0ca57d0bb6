//! Copies of a store: made while it is in use, checked, and put back.

use crate::{FILE, LOCK, Sqlite, archive, failed, in_system, lock, make_folder, schema};
use farebox_store::StoreError;
use rusqlite::{Connection, OpenFlags, backup::Backup};
use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of the store of a folder, which is there.
fn there(folder: &Path) -> Result<PathBuf, StoreError> {
    let file = folder.join(FILE);
    if file.exists() {
        return Ok(file);
    }
    let (place, found) = (file.display().to_string(), "there is no store".to_owned());
    Err(StoreError::System { place, found })
}

/// Pages that are copied before anyone else may write.
const PAGES_EACH: i32 = 1 << 20;

impl Sqlite {
    /// Opens the store of a folder that is there already.
    ///
    /// # Errors
    /// As [`Sqlite::open`]; and when there is none, which is then not made.
    pub fn open_there(folder: &Path) -> Result<Sqlite, StoreError> {
        there(folder)?;
        Sqlite::open(folder)
    }

    /// Opens the store of a folder to read it, also while a server has it: all that is read is as of this moment. Nothing
    /// can be committed to it.
    ///
    /// # Errors
    /// As [`Sqlite::open`], but that it may be in use; and for a store of an earlier version, which a server has to
    /// bring up to date first.
    pub fn open_to_read(folder: &Path) -> Result<Sqlite, StoreError> {
        let file = there(folder)?;
        let place = file.display().to_string();
        let connection = open_file(&file)?;
        // What comes later is not seen: one reading begins with the next line, and lasts as long as the connection.
        connection.execute_batch("BEGIN").map_err(|error| failed(&place, error))?;
        schema::check(&connection, &place)?;
        Ok(Sqlite { connection, writer: None, place, archive: RefCell::default(), _lock: None })
    }

    /// Writes a copy of the store, as it is at one moment, to a new file. A server may go on meanwhile. A copy that was
    /// not finished is never there under the file's name.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written; when the store or a file of its archive is damaged: what
    /// [`restore`] would refuse is no copy, and nobody should find that out on the day when it is needed.
    pub fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let unfinished = unfinished(file)?;
        self.check_archive_names()?;
        let copied = self.copy_to(&unfinished).and_then(|()| {
            checked(&unfinished).map(drop).map_err(|error| match error {
                // The copy is what was there, page by page: it is the store that is damaged.
                StoreError::Corrupt { found, .. } => {
                    let found = format!("{found}; it was not copied");
                    StoreError::Corrupt { place: self.place.clone(), found }
                }
                other => other,
            })
        });
        let copied = copied.and_then(|()| self.copy_archive(file)).and_then(|()| finish(&unfinished, file));
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        copied
    }

    /// The archive's files never change: those that the folder beside the copy has already stay.
    fn copy_archive(&self, file: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.archive_folder(), archive_of(file));
        for (name, size, hash) in self.archives()? {
            archive::copy(&from.join(&name), &to.join(&name), (size, hash))?;
        }
        Ok(())
    }

    fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let place = file.display().to_string();
        let copy = || -> rusqlite::Result<()> {
            let mut to = Connection::open(file)?;
            Backup::new(&self.connection, &mut to)?.run_to_completion(PAGES_EACH, Duration::ZERO, None)?;
            // One file is all of it.
            to.pragma_update(None, "journal_mode", "delete")
        };
        copy().map_err(|error| failed(&place, error))
    }
}

/// Puts a copy that [`Sqlite::back_up`] made into a folder that has no store.
///
/// # Errors
/// When there is a store, when the copy is damaged or none, or when the system fails. The folder has no store then, and
/// nothing is in it that was not there before where the copy is none.
pub fn restore(copy: &Path, folder: &Path) -> Result<(), StoreError> {
    let file = folder.join(FILE);
    is_new(&file)?;
    if !copy.exists() {
        let place = copy.display().to_string();
        return Err(StoreError::System { place, found: "there is no such file".to_owned() });
    }
    let store = checked(copy)?;
    make_folder(folder).map_err(|error| in_system(folder, &error))?;
    let _lock = lock(&folder.join(LOCK), &file.display().to_string())?;
    // Before the store is there: it never is without its archive.
    let (from, to) = (archive_of(copy), folder.join(archive::FOLDER));
    for (name, size, hash) in store.archives()? {
        archive::copy(&from.join(&name), &to.join(&name), (size, hash))?;
    }
    drop(store);
    let unfinished = unfinished(&file)?;
    // The file keeps who may read it, whoever may read the copy.
    let copied = File::open(copy).and_then(|mut from| {
        let mut to = File::options().write(true).open(&unfinished)?;
        std::io::copy(&mut from, &mut to)
    });
    let copied = copied.map(drop).map_err(|error| in_system(&unfinished, &error));
    let copied = copied.and_then(|()| finish(&unfinished, &file));
    if copied.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    copied
}

/// A copy as it is read, when SQLite can read all of it and it names its archive.
fn checked(copy: &Path) -> Result<Sqlite, StoreError> {
    let (connection, place) = (open_file(copy)?, copy.display().to_string());
    schema::check(&connection, &place)?;
    let store =
        Sqlite { connection, writer: None, place: place.clone(), archive: RefCell::default(), _lock: None };
    if let Some((_, found)) = store.file_damage()?.into_iter().next() {
        return Err(StoreError::Corrupt { place, found });
    }
    store.check_archive_names()?;
    Ok(store)
}

/// That nothing has the name of a file that is to be written.
fn is_new(file: &Path) -> Result<(), StoreError> {
    if file.exists() {
        let (place, found) = (file.display().to_string(), "it is there already".to_owned());
        return Err(StoreError::System { place, found });
    }
    Ok(())
}

/// Where the archive of a copy is: `copy.db.archive`.
fn archive_of(copy: &Path) -> std::path::PathBuf {
    let mut name = copy.file_name().unwrap_or_default().to_owned();
    name.push(".archive");
    copy.with_file_name(name)
}

pub(crate) fn open_file(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let place = file.display().to_string();
    let connection = Connection::open_with_flags(file, flags).map_err(|error| failed(&place, error))?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(|error| failed(&place, error))?;
    Ok(connection)
}

/// A new file that is written until it is whole. It is about people, as the store is: nobody but its owner reads it.
fn unfinished(file: &Path) -> Result<std::path::PathBuf, StoreError> {
    is_new(file)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let path = file.with_file_name(name);
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(in_system(&path, &error));
    }
    let mut new = File::options();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    new.open(&path).map_err(|error| in_system(&path, &error))?;
    Ok(path)
}

/// Makes a file durable, and gives it its name.
pub(crate) fn finish(unfinished: &Path, file: &Path) -> Result<(), StoreError> {
    let done = || -> std::io::Result<()> {
        File::open(unfinished)?.sync_all()?;
        fs::rename(unfinished, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    done().map_err(|error| in_system(file, &error))
}
