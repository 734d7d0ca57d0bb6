//! The suite of every store, on real files.

use farebox_store::conformance::{self, Subject};
use farebox_store::{Memory, Store};
use farebox_store_sqlite::Sqlite;
use tempfile::TempDir;

struct Twin;

impl Subject for Twin {
    fn create(&mut self) -> Box<dyn Store> {
        Box::new(Memory::new())
    }

    fn reopen(&mut self, store: Box<dyn Store>) -> Box<dyn Store> {
        store
    }
}

/// A new folder for each test.
struct Files(TempDir);

impl Files {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Sqlite::open(self.0.path()).unwrap())
    }
}

impl Subject for Files {
    fn create(&mut self) -> Box<dyn Store> {
        self.0 = tempfile::tempdir().unwrap();
        self.open()
    }

    fn reopen(&mut self, store: Box<dyn Store>) -> Box<dyn Store> {
        drop(store);
        self.open()
    }
}

#[test]
fn the_twin_in_memory_conforms() {
    conformance::run(&mut Twin).unwrap();
}

#[test]
fn a_sqlite_file_conforms() {
    conformance::run(&mut Files(tempfile::tempdir().unwrap())).unwrap();
}
