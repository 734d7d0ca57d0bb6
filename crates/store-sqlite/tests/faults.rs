//! What can be wrong with a file: each is refused clearly, and nothing of it is changed.

use farebox_store::{Batch, Block, Store, StoreError};
use farebox_store_sqlite::{FILE, Sqlite, format_version, restore};
use rusqlite::Connection;
use std::path::Path;

fn block(number: u64) -> Block {
    let recorded_at = "2026-01-01T00:00:00Z".parse().unwrap();
    let (bytes, hash) = (vec![number as u8; 5000], Block::chain(0));
    Block { partition: 0, number, events: 1, recorded_at, bytes, hash, redacted: None }
}

fn write(store: &mut Sqlite, number: u64) -> Result<(), StoreError> {
    store.commit(&Batch { blocks: vec![block(number)], ..Batch::default() })
}

fn refused(folder: &Path) -> StoreError {
    match Sqlite::open(folder) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Sqlite::open(folder.path()).unwrap();
    assert_eq!(refused(folder.path()).code(), "store-in-use");
    drop(first);
    Sqlite::open(folder.path()).unwrap();
}

#[test]
fn it_is_read_with_plain_sql_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).unwrap();
    write(&mut store, 0).unwrap();
    let reader = Connection::open(folder.path().join(FILE)).unwrap();
    let count =
        || reader.query_row("SELECT count(*) FROM usage_block", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 1);
    // A reader in the middle of a transaction sees what it saw, and holds nobody up.
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(), 1);
    write(&mut store, 1).unwrap();
    assert_eq!(count(), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(), 2);
}

#[test]
fn a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.pragma_update(None, "user_version", format_version() + 1).unwrap();
    drop(file);
    let error = refused(folder.path());
    assert_eq!(error.code(), "store-newer");
    assert!(error.to_string().contains("use that version"), "{error}");
}

#[test]
fn a_file_of_an_earlier_version_becomes_one_of_this() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    // Version 4 knew no horizon, version 3 no erasures, and version 2 no credit limit.
    for table in ["entry", "usage_block", "archived_block"] {
        file.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN redacted")).unwrap();
    }
    file.execute_batch("DROP TABLE horizon; DROP TABLE redaction; DROP TABLE erasure").unwrap();
    file.execute_batch("ALTER TABLE account DROP COLUMN credit_limit_e8").unwrap();
    let row = "INSERT INTO account VALUES ('acme', 'acme', 'Acme Ltd', 'USD', 'UTC', '2026-01-01T00:00:00Z', 'V3', NULL, NULL)";
    file.execute_batch(row).unwrap();
    file.pragma_update(None, "user_version", 2).unwrap();
    drop(file);
    let store = Sqlite::open(folder.path()).unwrap();
    let accounts = store.accounts("", 9).unwrap();
    let [acme] = accounts.as_slice() else { panic!("{accounts:?}") };
    assert_eq!((acme.tier.as_deref(), acme.credit_limit), (Some("V3"), None));
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    let version: u32 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, format_version());
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.execute_batch("CREATE TABLE song (title TEXT)").unwrap();
    drop(file);
    assert_eq!(refused(folder.path()).code(), "store-corrupt");
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "Dear diary,\n".repeat(500)).unwrap();
    assert_eq!(refused(folder.path()).code(), "store-corrupt");
    assert!(std::fs::read(folder.path().join(FILE)).unwrap().starts_with(b"Dear diary"));
}

#[test]
fn a_full_disk_keeps_nothing_of_the_batch_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).unwrap();
    write(&mut store, 0).unwrap();
    // No more pages than there are now: what SQLite answers is what it answers on a full disk.
    store.limit_pages(Some(0)).unwrap();
    let error = (1..200).find_map(|number| write(&mut store, number).err()).expect("a full disk");
    assert_eq!(error.code(), "store-unwritable");
    let kept = store.log_head(0).unwrap().0;
    store.limit_pages(None).unwrap();
    write(&mut store, kept).unwrap();
    drop(store);
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.log_head(0).unwrap().0, kept + 1);
}

#[test]
fn damage_in_the_middle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).unwrap();
    (0..50).for_each(|number| write(&mut store, number).unwrap());
    drop(store);
    let path = folder.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    // So many pages that one of them says where others are.
    bytes[middle..middle + 32_768].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let found = Sqlite::open(folder.path()).and_then(|store| store.blocks(0, 0, &mut |_| Ok(())));
    assert_eq!(found.unwrap_err().code(), "store-corrupt");
}

/// Changes a page of the file so that SQLite finds it wrong, and the head of it is as it was.
fn damage(folder: &Path) {
    let file = Connection::open(folder.join(FILE)).unwrap();
    file.execute_batch("PRAGMA journal_mode = delete; PRAGMA writable_schema = on").unwrap();
    let page: u64 = file
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'usage_block'", [], |row| row.get(0))
        .unwrap();
    let size: u64 = file.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(file);
    let mut bytes = std::fs::read(folder.join(FILE)).unwrap();
    let from = ((page - 1) * size) as usize;
    bytes[from..from + 200].fill(0xAA);
    std::fs::write(folder.join(FILE), bytes).unwrap();
}

#[test]
fn a_damaged_store_is_not_copied() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Sqlite::open(folder.path()).unwrap();
    write(&mut store, 0).unwrap();
    drop(store);
    let copy = other.path().join("copy.farebox");
    Sqlite::open_to_read(folder.path()).unwrap().back_up(&copy).unwrap();
    std::fs::remove_file(&copy).unwrap();
    damage(folder.path());
    let error = Sqlite::open_to_read(folder.path()).unwrap().back_up(&copy).unwrap_err();
    assert_eq!(error.code(), "store-corrupt");
    assert!(error.to_string().contains("it was not copied") && error.to_string().contains(FILE), "{error}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0, "no copy, nor half of one");
}

#[test]
fn what_is_no_copy_leaves_nothing_where_it_was_to_be_put() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, to) = (folder.path().join("copy.farebox"), folder.path().join("data"));
    for content in ["", "no file of SQLite, though long enough to have the head of one: it says other things"]
    {
        std::fs::write(&copy, content.repeat(20)).unwrap();
        assert_eq!(restore(&copy, &to).unwrap_err().code(), "store-corrupt");
        assert!(!to.exists());
    }
}

#[test]
fn an_empty_file_beside_what_a_store_has_is_no_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path(FILE), "").unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    for (name, what) in
        [("farebox.db-wal", "farebox.db-wal"), ("archive/2024-01.parquet", "the folder archive")]
    {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), "something").unwrap();
        for is_there in [true, false] {
            if is_there {
                std::fs::write(path(FILE), "").unwrap()
            } else {
                std::fs::remove_file(path(FILE)).unwrap()
            }
            let error = refused(folder.path());
            assert_eq!(error.code(), "store-corrupt");
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(std::fs::read(path(name)).unwrap(), b"something");
        }
        std::fs::remove_file(path(name)).unwrap();
    }
}
