//! A store that fails for a while: nobody is told that something is kept that is not, and nothing is lost that is.

use super::player::play_step;
use super::undone::{at as moment, customer, execute as command, receive, service, using};
use super::{is_whole, same_accounts};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Fact, holds};
use farebox_core::money::Exact;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use farebox_service::{Decided, Pace, Service};
use farebox_store::{
    AccessKey, AccountRow, Answer, Batch, Block, CatalogueText, Derivations, Erasure, GroupHead, Hash, Kept,
    Memory, Prepare, Redaction, Rows, Seen, Show, Store, StoreError, Told,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;

/// A store that keeps so many more batches, and reads so many more pages and blocks, and then fails.
pub struct Failing {
    memory: Memory,
    batches: Left,
    reads: Left,
}

/// How often more; it can be changed while a store is in use.
pub type Left = Arc<AtomicI64>;

impl Failing {
    /// An empty store that does not fail yet, how many more batches it keeps, and how much more it reads.
    pub fn new() -> (Box<Failing>, Left, Left) {
        let any = || Arc::new(AtomicI64::new(i64::MAX));
        let (batches, reads) = (any(), any());
        let store = Failing { memory: Memory::new(), batches: batches.clone(), reads: reads.clone() };
        (Box::new(store), batches, reads)
    }

    fn reads(&self) -> Result<(), StoreError> {
        if self.reads.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(unread()) }
    }
}

pub fn unread() -> StoreError {
    StoreError::System { place: "the disk".to_owned(), found: "it cannot be read".to_owned() }
}

pub fn full() -> StoreError {
    StoreError::Unwritable { place: "the disk".to_owned(), found: "it is full".to_owned() }
}

impl Derivations for Failing {
    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads()?;
        self.memory.derived(space, key)
    }

    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError> {
        self.reads()?;
        self.memory.derived_from(space, from, each)
    }
}

impl Store for Failing {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.batches.fetch_sub(1, Ordering::Relaxed) > 0 {
            true => self.memory.commit(batch),
            false => Err(full()),
        }
    }

    fn commit_then(&mut self, batch: Prepare, then: Told) {
        let batch = batch(self);
        then(batch.and_then(|batch| self.commit(&batch)));
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

    fn blocks(
        &self,
        partition: u16,
        from: u64,
        each: &mut dyn FnMut(Block) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.reads()?;
        self.memory.blocks(partition, from, each)
    }

    fn block(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError> {
        self.reads()?;
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

    fn owners(&self) -> Result<BTreeSet<(&'static str, String)>, StoreError> {
        self.memory.owners()
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
        let (store, left, _) = Failing::new();
        let opened = Service::open(store, prepared.catalogues.clone(), Instant::MIN);
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

/// Customers with a session each, more than are decided on together. Of some the record was there before the session was
/// over, so that the store is asked for it when it is.
const TALKING: usize = 300;

fn talking(store: Box<dyn Store>) -> Service {
    let mut service = service(store);
    service.set_threads(4);
    service.set_pace(Pace { identities: 5, records: 10, ..Pace::default() });
    let until = moment("2026-01-10T12:00:00Z");
    for number in 0..TALKING {
        let account = format!("c{number}");
        customer(&mut service, &account);
        let (source, kind) = ("test".to_owned(), "use".to_owned());
        let (id, attributes, units) = (account.clone(), Default::default(), Exact::whole(5));
        let create = holds::Action::Create { id, source, kind, attributes, units, until };
        command(&mut service, &account, Action::Holds(create)).unwrap();
        let used = Exact::whole(1 + number as i128 % 3);
        let update = holds::Action::Update { id: account.clone(), units, used, until };
        command(&mut service, &account, Action::Holds(update)).unwrap();
        if number % 3 == 0 {
            receive(&mut service, &using(&account, &account, 0, "2026-01-01T00:00:00Z", "7"));
        }
    }
    // What was said comes to be in runs, in the store.
    for number in 0..5 {
        receive(&mut service, &using("c0", &format!("more-{number}"), 0, "2026-01-01T00:00:00Z", "1"));
        service.commit().unwrap();
    }
    service.advance(moment("2026-01-10T11:00:00Z")).unwrap();
    service
}

/// What was decided for an account, when, and what followed.
fn decided_for(service: &Service, account: &str) -> Vec<(Instant, String, Vec<Fact>)> {
    let entries = service.entries(account, 0, 10_000).unwrap().into_iter();
    entries.map(|(_, entry)| (entry.recorded_at, entry.command, entry.facts)).collect()
}

#[test]
fn where_the_store_fails_among_what_was_decided_together_it_is_all_done_once() {
    let until = moment("2026-02-02T00:00:00Z");
    let all = |service: &Service| -> Vec<_> {
        (0..TALKING).map(|number| decided_for(service, &format!("c{number}"))).collect()
    };
    let mut service = talking(Box::new(Memory::new()));
    service.advance(until).unwrap();
    let expected = all(&service);
    let ended =
        |facts: &[Fact]| facts.iter().any(|fact| matches!(fact, Fact::Holds(holds::Fact::Ended { .. })));
    for entries in &expected {
        assert_eq!(entries.iter().filter(|(.., facts)| ended(facts)).count(), 1);
    }

    let mut in_the_middle = 0;
    for (kept, read) in [(i64::MAX, 0), (i64::MAX, 1), (i64::MAX, 17), (i64::MAX, 60), (0, i64::MAX), (1, 70)]
    {
        let (store, batches, reads) = Failing::new();
        let mut service = talking(store);
        let before = all(&service);
        batches.store(kept, Ordering::Relaxed);
        reads.store(read, Ordering::Relaxed);
        let failed = service.advance(until).unwrap_err();
        assert!(failed == if kept == 0 { full() } else { unread() }, "{kept}, {read}: {failed:?}");
        in_the_middle += usize::from(kept > 0 && service.clock() == moment("2026-01-10T12:00:00Z"));
        // Whoever asks then is told, also where the store works again: what was decided ahead of its turn is not kept.
        reads.store(i64::MAX, Ordering::Relaxed);
        batches.store(i64::MAX, Ordering::Relaxed);
        if read % 2 == 0 {
            assert_eq!(service.commit(), Err(failed), "{kept}, {read}");
        } else {
            service.recover();
        }
        assert!(all(&service) == before, "{kept}, {read}: nothing of it is kept");
        assert_eq!(
            service.clock(),
            moment("2026-01-10T11:00:00Z"),
            "{kept}, {read}: it stands where it stood"
        );
        service.advance(until).unwrap();
        assert!(all(&service) == expected, "{kept}, {read}");
        is_whole(&mut service).unwrap();
    }
    assert!(in_the_middle >= 3, "{in_the_middle}");
}
