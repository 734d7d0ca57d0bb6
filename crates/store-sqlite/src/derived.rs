//! What follows from entries and blocks, read through any connection.

use crate::failed;
use farebox_store::{Derivations, Seen, Show, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

/// A connection that is read through.
pub(crate) struct Reading<'c> {
    pub connection: &'c Connection,
    /// The folder, for errors.
    pub place: &'c str,
}

impl Derivations for Reading<'_> {
    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM derived WHERE space = ? AND key = ?";
        let read = || {
            self.connection.prepare_cached(sql)?.query_row(params![space, key], |row| row.get(0)).optional()
        };
        read().map_err(|error| failed(self.place, error))
    }

    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError> {
        let sql = "SELECT key, value FROM derived WHERE space = ? AND key >= ? ORDER BY key";
        let failed = |error| failed(self.place, error);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut found = statement.query(params![space, from]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let blob = |column: usize| -> rusqlite::Result<&[u8]> { Ok(row.get_ref(column)?.as_blob()?) };
            if each(blob(0).map_err(failed)?, blob(1).map_err(failed)?)? == Seen::Enough {
                break;
            }
        }
        Ok(())
    }

    fn together(&self, read: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            return read();
        }
        // Only reads: how it ends does not matter. It ends in any case.
        let reading = self.connection.unchecked_transaction().map_err(|error| failed(self.place, error))?;
        let done = read();
        drop(reading);
        done
    }
}
