//! What erasures need of the file: that an older one is brought up to date, and that what is removed is gone.

use farebox_core::calendar::Instant;
use farebox_store::usage::{Attribute, Record, Usage, pack};
use farebox_store::{Batch, Block, Derived, Hash, Piece, Redacted, Seen, Store};
use farebox_store_sqlite::{ARCHIVE, FILE, Sqlite, format_version};
use rusqlite::Connection;
use std::path::Path;

const NUMBER: &str = "+4930901820";

fn usage(id: u32, caller: &str, day: i64) -> Record {
    Record::Added(Usage {
        source: "pbx".to_owned(),
        id: id.to_string(),
        revision: 0,
        kind: "call".to_owned(),
        account: "acme".to_owned(),
        time: Instant::from_second(day * 86_400).unwrap(),
        start: None,
        attributes: vec![("caller".to_owned(), Attribute::Text(caller.to_owned()))],
    })
}

/// Blocks that follow each other.
fn blocks(callers: &[&str]) -> Vec<Block> {
    let mut hash = Block::chain(0);
    let block = |(number, caller): (usize, &&str)| {
        let bytes = pack(&[usage(number as u32, caller, number as i64)]).unwrap();
        hash = hash.then(&bytes);
        let recorded_at = Instant::from_second(number as i64 * 86_400).unwrap();
        let number = number as u64;
        Block { partition: 0, number, events: 1, recorded_at, bytes, hash, redacted: None }
    };
    callers.iter().enumerate().map(block).collect()
}

#[test]
fn a_file_of_the_version_before_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let old = Connection::open(folder.path().join(FILE)).unwrap();
    old.execute_batch(include_str!("../src/schema/1.sql")).unwrap();
    old.execute_batch(include_str!("../src/schema/2.sql")).unwrap();
    old.pragma_update(None, "application_id", 0x4661_7265).unwrap();
    old.execute_batch(include_str!("../src/schema/3.sql")).unwrap();
    old.pragma_update(None, "user_version", 3).unwrap();
    let blocks = blocks(&[NUMBER, "other"]);
    for block in &blocks {
        let sql = "INSERT INTO usage_block VALUES (0, ?, 1, '1970-01-01T00:00:00Z', ?, ?)";
        old.execute(sql, rusqlite::params![block.number, block.hash.0, block.bytes]).unwrap();
    }
    let hash = Hash::start("group", "acme");
    let sql = "INSERT INTO billing_group (name, version, hash) VALUES ('acme', 1, ?)";
    old.execute(sql, [hash.then(b"entry").0]).unwrap();
    let sql = "INSERT INTO entry (group_number, version, hash, record) VALUES (1, 1, ?, ?)";
    old.execute(sql, rusqlite::params![hash.then(b"entry").0, b"entry"]).unwrap();
    drop(old);

    let store = Sqlite::open(folder.path()).unwrap();
    let mut follow = Block::chain(0);
    store
        .blocks(0, 0, &mut |block| {
            assert!(block.follows(follow) && block.redacted.is_none());
            follow = block.hash;
            Ok(())
        })
        .unwrap();
    assert_eq!(follow, blocks[1].hash);
    let mut records = Vec::new();
    store
        .entries("acme", 0, &mut |kept| {
            records.push((kept.record, kept.redacted));
            Ok(Seen::More)
        })
        .unwrap();
    assert_eq!(records, [(b"entry".to_vec(), None)]);
    assert!(store.erasures().unwrap().is_empty());
    drop(store);
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    let version: u32 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!((version, format_version()), (6, 6));
}

/// Whether any file of a folder has some bytes.
fn anywhere(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(anywhere(&path, bytes));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn what_was_on_free_pages_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).unwrap();
    let value =
        |number: u32, value: Option<Vec<u8>>| Derived { space: 1, key: number.to_be_bytes().to_vec(), value };
    let long = |number: u32| {
        let text = format!("{NUMBER} {number} ");
        Some(text.repeat(if number.is_multiple_of(2) { 2 } else { 2_000 }).into_bytes())
    };
    // As a server does it.
    let commit = |store: &mut Sqlite, derived: Vec<Derived>| {
        let (tell, told) = std::sync::mpsc::channel();
        let batch = Batch { derived, ..Batch::default() };
        store.commit_then(Box::new(move |_| Ok(batch)), Box::new(move |kept| tell.send(kept).unwrap()));
        told.recv().unwrap().unwrap();
    };
    commit(&mut store, (0..200).map(|number| value(number, long(number))).collect());
    commit(&mut store, (0..200).map(|number| value(number, None)).collect());
    let is_there = !anywhere(folder.path(), NUMBER.as_bytes()).is_empty();
    assert!(is_there, "there is something to overwrite");
    let mut steps = 1;
    while !store.sweep().unwrap() {
        steps += 1;
    }
    assert!(steps > 1);
    assert_eq!(anywhere(folder.path(), NUMBER.as_bytes()), Vec::<String>::new());
    assert_eq!(store.damage(), []);
}

#[test]
fn a_block_in_a_file_of_the_archive_is_redacted_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).unwrap();
    let blocks = blocks(&[NUMBER, "other", "third", "last"]);
    store.commit(&Batch { blocks: blocks.clone(), ..Batch::default() }).unwrap();
    let before = Instant::from_second(2 * 86_400).unwrap();
    let archive = Sqlite::write_archive(folder.path(), before).unwrap().unwrap();
    store.put_away(&archive).unwrap();
    assert_eq!(archive.blocks.len(), 2);
    let redact = |number: usize, bytes: &[u8]| Redacted {
        piece: Piece::Block { partition: 0, number: number as u64 },
        erasure: "acme".to_owned(),
        before: Hash::of(&blocks[number].bytes),
        bytes: bytes.to_vec(),
    };
    let without = pack(&[usage(0, "erased-0", 0)]).unwrap();
    let later = pack(&[usage(2, "erased-2", 2)]).unwrap();

    // What is written while something is redacted is not taken.
    let late =
        Sqlite::write_archive(folder.path(), Instant::from_second(9 * 86_400).unwrap()).unwrap().unwrap();
    let batch = Batch { redacted: vec![redact(0, &without), redact(2, &later)], ..Batch::default() };
    store.commit(&batch).unwrap();
    assert_eq!(store.put_away(&late).map_err(|error| error.code()), Err("store-failed"));
    while !store.sweep().unwrap() {}

    let mut names: Vec<_> = std::fs::read_dir(folder.path().join(ARCHIVE)).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let name = names.pop().unwrap().unwrap().file_name().into_string().unwrap();
    assert_eq!(name, archive.file.replace(".parquet", "-r1.parquet"));
    assert_eq!(anywhere(folder.path(), NUMBER.as_bytes()), Vec::<String>::new());
    assert_eq!(store.damage(), []);
    let (mut follow, mut found) = (Block::chain(0), Vec::new());
    store
        .blocks(0, 0, &mut |block| {
            assert!(block.follows(follow));
            follow = block.hash;
            found.push(block.bytes);
            Ok(())
        })
        .unwrap();
    let should = [&without, &blocks[1].bytes, &later, &blocks[3].bytes];
    assert_eq!(found.iter().collect::<Vec<_>>(), should);
    assert_eq!(follow, blocks[3].hash);

    // Once more, in the file that was written anew.
    let again =
        Redacted { before: Hash::of(&without), ..redact(0, &pack(&[usage(0, "erased-1", 0)]).unwrap()) };
    store.commit(&Batch { redacted: vec![again], ..Batch::default() }).unwrap();
    assert_eq!(store.damage(), []);
    let files = std::fs::read_dir(folder.path().join(ARCHIVE)).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, [archive.file.replace(".parquet", "-r2.parquet")]);
}
