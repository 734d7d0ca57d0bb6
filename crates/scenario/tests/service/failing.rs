//! A store that fails for a while: nobody is told that something is kept that is not, and nothing is lost that is.

use super::player::play_step;
use super::same_accounts;
use farebox_core::calendar::Instant;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use farebox_service::{Decided, Service};
use farebox_store::{
    AccessKey, AccountRow, Answer, Batch, Block, CatalogueText, Erasure, GroupHead, Hash, Kept, Memory,
    Redaction, Rows, Seen, Show, Store, StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;

/// A store that keeps so many more batches and then fails.
struct Failing {
    memory: Memory,
    left: Arc<AtomicI64>,
}

fn full() -> StoreError {
    StoreError::Unwritable { place: "the disk".to_owned(), found: "it is full".to_owned() }
}

impl Store for Failing {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            true => self.memory.commit(batch),
            false => Err(full()),
        }
    }

    fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        self.memory.groups()
    }

    fn group(&self, group: &str) -> Result<Option<GroupHead>, StoreError> {
        self.memory.group(group)
    }

    fn members(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.memory.members()
    }

    fn accounts(&self, after: &str, most: usize) -> Result<Vec<AccountRow>, StoreError> {
        self.memory.accounts(after, most)
    }

    fn entries(
        &self,
        group: &str,
        after: u64,
        each: &mut dyn FnMut(Kept) -> Result<Seen, StoreError>,
    ) -> Result<(), StoreError> {
        self.memory.entries(group, after, each)
    }

    fn log_head(&self, partition: u16) -> Result<(u64, Hash), StoreError> {
        self.memory.log_head(partition)
    }

    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.derived(space, key)
    }

    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError> {
        self.memory.derived_from(space, from, each)
    }

    fn blocks(
        &self,
        partition: u16,
        from: u64,
        each: &mut dyn FnMut(Block) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.memory.blocks(partition, from, each)
    }

    fn block(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError> {
        self.memory.block(partition, number)
    }

    fn clock(&self) -> Result<Option<Instant>, StoreError> {
        self.memory.clock()
    }

    fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        self.memory.answer(key)
    }

    fn answers(
        &self,
        after: &str,
        each: &mut dyn FnMut(Answer) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.memory.answers(after, each)
    }

    fn redactions(
        &self,
        each: &mut dyn FnMut(Redaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.memory.redactions(each)
    }

    fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.memory.erasures()
    }

    fn horizon(&self) -> Result<Option<Instant>, StoreError> {
        self.memory.horizon()
    }

    fn keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        self.memory.keys()
    }

    fn catalogues(&self) -> Result<Vec<CatalogueText>, StoreError> {
        self.memory.catalogues()
    }

    fn rows(&self, account: &str) -> Result<Rows, StoreError> {
        self.memory.rows(account)
    }
}

/// More accounts than share a commit of the schedule.
const ACCOUNTS: usize = 2_300;

#[test]
fn a_month_that_cannot_be_kept_is_refused_and_done_later() {
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogs/huawei-ykf.toml");
    let mut text = format!("catalog \"{catalog}\"\nzone +08:00\n");
    for number in 0..ACCOUNTS {
        text += &format!("2026-01-01 open a{number}\n2026-01-01 subscribe a{number} basic-seat 1\n");
    }
    text += "2026-01-20 subscribe a0 basic-seat 2 as more\n";
    let prepared = prepare::prepare("many.book", text.as_bytes(), std::path::Path::new(".")).unwrap();
    let until: Instant = "2026-02-02T00:00:00+08:00".parse().unwrap();
    let mut run = Run::new(&prepared, Options { threads: 1, ..Options::default() });
    run.play(&mut |_, _| ()).unwrap();
    run.advance(until).unwrap();

    let (last, before) = prepared.steps.split_last().unwrap();
    let prepare::StepAction::Command(command) = &last.action else { panic!("an order") };
    let at = last.at.unwrap();
    // Nothing is kept, the first thousand, the first two.
    for kept in 0..3 {
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let store = Failing { memory: Memory::new(), left: left.clone() };
        let opened = Service::open(Box::new(store), prepared.catalogues.clone(), Instant::MIN);
        let mut service = opened.unwrap();
        for (index, step) in before.iter().enumerate() {
            play_step(&mut service, index, step).unwrap();
        }
        service.advance(at).unwrap();
        left.store(kept, Ordering::Relaxed);
        service.execute(command, Decided { actor: "client", command: "the last order", at }).unwrap();
        assert_eq!(service.advance(until), Err(full()), "after {kept}");
        // The order shared a commit with what has failed.
        let (tell, told) = channel();
        service.commit_then(Box::new(move |kept| drop(tell.send(kept))));
        assert!(told.recv().unwrap().is_err(), "after {kept}");
        left.store(i64::MAX, Ordering::Relaxed);
        let orders = service.group_of("a0").unwrap().unwrap().get("a0").unwrap().subscriptions.len();
        assert_eq!(orders, if kept == 0 { 1 } else { 2 }, "after {kept}");
        service.advance(until).unwrap();
        if kept > 0 {
            same_accounts(&run, &mut service).unwrap();
        }
    }
}
