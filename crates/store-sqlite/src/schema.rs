//! The schema of the file, and how an older one becomes it.
//!
//! docs/store.md describes it for those who read it with SQL. Each step below is what one version added; a step
//! that was released is never edited.

use crate::failed;
use farebox_store::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// What tells a file of Farebox from any other SQLite file: `Fare`.
const APPLICATION_ID: i32 = 0x4661_7265;

/// What each version of the format added to the one before.
const STEPS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];

/// The version that this program writes.
pub fn latest() -> u32 {
    STEPS.len() as u32
}

/// Makes the file one of the latest version: all of it, or it stays as it was.
///
/// # Errors
/// [`StoreError::Newer`] for a file of a later version, [`StoreError::Corrupt`] for one that is not Farebox's.
pub fn migrate(connection: &mut Connection, place: &str) -> Result<(), StoreError> {
    let failed = |error| failed(place, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version = number(&transaction, "user_version").map_err(failed)?;
    let application = number(&transaction, "application_id").map_err(failed)?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let things: i64 = transaction.query_row(count, [], |row| row.get(0)).map_err(failed)?;
    if things > 0 && application != APPLICATION_ID {
        let found = "it is a SQLite file of another program".to_owned();
        return Err(StoreError::Corrupt { place: place.to_owned(), found });
    }
    let known = u32::try_from(version).unwrap_or(u32::MAX);
    if known > latest() {
        return Err(StoreError::Newer { place: place.to_owned(), found: known, readable: latest() });
    }
    for step in &STEPS[known as usize..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    if known < latest() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", latest()).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// That the file is one of this version.
///
/// # Errors
/// [`StoreError::Newer`] for a file of a later version, [`StoreError::Corrupt`] for one that is not Farebox's, and
/// [`StoreError::System`] for one of an earlier version.
pub fn check(connection: &Connection, place: &str) -> Result<(), StoreError> {
    let read = |pragma| number(connection, pragma).map_err(|error| failed(place, error));
    let place = place.to_owned();
    let (version, application) = (read("user_version")?, read("application_id")?);
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt { place, found: "it is no store of Farebox".to_owned() });
    }
    match u32::try_from(version).unwrap_or(u32::MAX) {
        found if found > latest() => Err(StoreError::Newer { place, found, readable: latest() }),
        found if found < latest() => {
            let found = format!(
                "its format is {found}; start a server on it once, which makes it one of {}",
                latest()
            );
            Err(StoreError::System { place, found })
        }
        _ => Ok(()),
    }
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
