//! What every store must show. A store's own tests call [`run`] with a way to make one and to open it again.

use crate::entry::{Entry, Hash, Head, Position};
use crate::error::StoreError;
use crate::port::{
    AccessKey, Answer, Append, Batch, Block, CatalogueText, Derived, Erasure, Piece, Redacted, Redaction,
    Seen, Store,
};
use crate::rows::rows_of;
use farebox_core::account::{AccountHead, Group};
use farebox_core::calendar::{Instant, Zone};
use farebox_core::engine::{Duty, Fact};
use farebox_core::ledger::{LedgerAccount, Posting};
use farebox_core::money::{Amount, Currency};

/// A store under test.
pub trait Subject {
    /// A new, empty store.
    fn create(&mut self) -> Box<dyn Store>;

    /// The store after its process ended and another one opened it. A store that keeps nothing answers what
    /// it was given.
    fn reopen(&mut self, store: Box<dyn Store>) -> Box<dyn Store>;
}

/// Every test, each on a store of its own, by name.
///
/// # Errors
/// The name of the test that failed, and how.
pub fn run(subject: &mut dyn Subject) -> Result<(), String> {
    type Test = fn(&mut dyn Subject) -> Result<(), String>;
    let tests: [(&str, Test); 12] = [
        ("an empty store is empty", empty),
        ("entries come back as they were, in order", entries),
        ("a conflict keeps nothing of the batch", conflict),
        ("two entries of a group in one batch follow each other", two_of_a_group),
        ("blocks follow each other", blocks),
        ("an entry cannot count what is not in the log", ahead_of_log),
        ("a price list's date is taken once", catalogues),
        ("an answer is given once", answers),
        ("an access key is kept as it is now", keys),
        ("rows are replaced by their key", rows),
        ("what is derived is replaced and found by its key", derived),
        ("what is redacted keeps its place and its hash", redacted),
    ];
    for (name, test) in tests {
        test(subject).map_err(|failed| format!("{name}: {failed}"))?;
    }
    Ok(())
}

/// An error unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, and should be {should:?}")) }
}

fn text(error: StoreError) -> String {
    error.to_string()
}

fn at(second: i64) -> Instant {
    Instant::new(1_600_000_000 + second, 5).unwrap_or_default()
}

fn currency() -> Result<Currency, String> {
    Currency::parse("CNY").ok_or_else(|| "CNY is no currency".to_owned())
}

fn opened(account: &str, payer: Option<&str>) -> Result<Fact, String> {
    Ok(Fact::AccountOpened(Box::new(AccountHead {
        id: account.to_owned(),
        title: format!("The {account} company"),
        currency: currency()?,
        zone: Zone::parse("+08:00").unwrap_or_else(Zone::utc),
        opened: at(0),
        payer: payer.map(str::to_owned),
        prices: Vec::new(),
        discounts: Vec::new(),
        full_refunds: 0,
    })))
}

fn topped_up(account: &str, second: i64, yuan: i128) -> Result<Fact, String> {
    let amount = Amount::from_units(yuan * 100_000_000);
    let entries = vec![(LedgerAccount::Bank, amount), (LedgerAccount::Balance, amount.negated())];
    let posting = Posting::money(at(second), "top-up".to_owned(), currency()?, entries);
    let posting = posting.ok_or_else(|| "the posting does not balance".to_owned())?;
    Ok(Fact::ToppedUp { account: account.to_owned(), postings: vec![posting], paid: Vec::new() })
}

fn entry(second: i64, facts: Vec<Fact>) -> Entry {
    Entry {
        recorded_at: at(second),
        effective_at: at(second - 1),
        actor: "book".to_owned(),
        command: "topup acme 100".to_owned(),
        counted: Position::default(),
        facts,
    }
}

/// A group that decides by itself, to make entries that fit.
struct Writer {
    name: &'static str,
    head: Head,
    state: Group,
}

impl Writer {
    fn new(name: &'static str) -> Writer {
        Writer { name, head: Head::of_new(name), state: Group::default() }
    }

    fn write(&mut self, second: i64, facts: Vec<Fact>) -> Result<Append, String> {
        let entry = entry(second, facts);
        for fact in &entry.facts {
            self.state.apply(fact).map_err(|error| error.0)?;
        }
        let rows = rows_of(self.head.version + 1, &entry.facts, &self.state);
        let append = Append::new(self.name, self.head, &entry, rows);
        self.head = append.head();
        Ok(append)
    }
}

fn read(store: &dyn Store, group: &str, after: u64) -> Result<Vec<Entry>, String> {
    let mut found = Vec::new();
    let mut head = Head::of_new(group);
    let result = store.entries(group, 0, &mut |kept| {
        head = head.then(&kept.record);
        let damaged = |found: String| StoreError::Corrupt { place: group.to_owned(), found };
        if (kept.version, kept.hash) != (head.version, head.hash) {
            return Err(damaged(format!("version {} is not where the chain has it", kept.version)));
        }
        if kept.version > after {
            found.push(Entry::from_record(&kept.record).map_err(|error| damaged(error.to_string()))?);
        }
        Ok(Seen::More)
    });
    result.map_err(text)?;
    let mut later = 0;
    store
        .entries(group, after, &mut |_| {
            later += 1;
            Ok(Seen::More)
        })
        .map_err(text)?;
    same("the number of entries after a version", later, found.len())?;
    let mut shown = 0;
    let mut first = |_| {
        shown += 1;
        Ok(Seen::Enough)
    };
    store.entries(group, after, &mut first).map_err(text)?;
    same("the entries until enough is seen", shown, later.min(1))?;
    Ok(found)
}

fn commit(store: &mut dyn Store, appends: Vec<Append>) -> Result<(), StoreError> {
    store.commit(&Batch { appends, ..Batch::default() })
}

fn empty(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    same("the groups", store.groups().map_err(text)?.len(), 0)?;
    same("a group", store.group("acme").map_err(text)?, None)?;
    same("the members", store.members().map_err(text)?.len(), 0)?;
    same("the entries", read(&*store, "acme", 0)?.len(), 0)?;
    same("the log", store.log_head(3).map_err(text)?.0, 0)?;
    same("the clock", store.clock().map_err(text)?, None)?;
    same("the horizon", store.horizon().map_err(text)?, None)?;
    same("the price lists", store.catalogues().map_err(text)?.len(), 0)?;
    same("the access keys", store.keys().map_err(text)?.len(), 0)?;
    same("the rows", store.rows("acme").map_err(text)?, Default::default())?;
    store.commit(&Batch::default()).map_err(text)
}

fn entries(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let (mut acme, mut zeta) = (Writer::new("acme"), Writer::new("zeta"));
    let first = vec![opened("acme", None)?, topped_up("acme", 1, 100)?];
    commit(&mut *store, vec![zeta.write(0, vec![opened("zeta", None)?])?, acme.write(1, first.clone())?])
        .map_err(text)?;
    let second = vec![opened("acme-hk", Some("acme"))?];
    let due = Some((at(12), Duty::Charges));
    let batch = Batch {
        appends: vec![acme.write(2, second.clone())?],
        due: vec![("acme".to_owned(), due)],
        clock: Some(at(2)),
        horizon: Some(at(1)),
        ..Batch::default()
    };
    store.commit(&batch).map_err(text)?;
    let mut store = subject.reopen(store);
    same("the clock", store.clock().map_err(text)?, Some(at(2)))?;
    same("the horizon", store.horizon().map_err(text)?, Some(at(1)))?;
    for (to, is) in [(None, 1), (Some(at(3)), 3), (Some(at(2)), 3)] {
        store.commit(&Batch { horizon: to, ..Batch::default() }).map_err(text)?;
        store = subject.reopen(store);
        same("the horizon, which never goes back", store.horizon().map_err(text)?, Some(at(is)))?;
    }
    same("what was kept", read(&*store, "acme", 0)?, vec![entry(1, first), entry(2, second.clone())])?;
    same("what was kept after version 1", read(&*store, "acme", 1)?, vec![entry(2, second)])?;
    let heads = store.groups().map_err(text)?;
    let names: Vec<&str> = heads.iter().map(|head| head.group.as_str()).collect();
    same("the groups", names, vec!["acme", "zeta"])?;
    same("the head", heads[0].head, acme.head)?;
    same("what is due", heads[0].due, due)?;
    let named = |after: &str, most: usize| -> Result<Vec<String>, String> {
        let rows = store.accounts(after, most).map_err(text)?;
        Ok(rows.into_iter().map(|row| row.account).collect())
    };
    same("the accounts", named("", 9)?, vec!["acme".to_owned(), "acme-hk".to_owned(), "zeta".to_owned()])?;
    same("the accounts after one", named("acme", 1)?, vec!["acme-hk".to_owned()])?;
    same("the group alone", store.group("acme").map_err(text)?.as_ref(), Some(&heads[0]))?;
    same("the members", store.members().map_err(text)?, vec![("acme-hk".to_owned(), "acme".to_owned())])?;
    commit(&mut *store, vec![acme.write(3, vec![topped_up("acme", 3, 1)?])?]).map_err(text)?;
    same("how many entries there are after one more", read(&*store, "acme", 0)?.len(), 3)
}

fn conflict(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let (mut acme, mut zeta) = (Writer::new("acme"), Writer::new("zeta"));
    let opening = acme.write(1, vec![opened("acme", None)?])?;
    commit(&mut *store, vec![opening.clone()]).map_err(text)?;
    let block = block(0, 0);
    let batch = Batch {
        appends: vec![zeta.write(1, vec![opened("zeta", None)?])?, opening],
        blocks: vec![block],
        catalogues: vec![list("calls", None)],
        ..Batch::default()
    };
    let refused = StoreError::Conflict { group: "acme".to_owned(), decided_on: 0, found: 1 };
    same("the answer", store.commit(&batch), Err(refused))?;
    // The right version, and another past.
    let mut other = acme.write(2, vec![topped_up("acme", 2, 5)?])?;
    other.after.hash = other.after.hash.then(b"another past");
    let refused = StoreError::Conflict { group: "acme".to_owned(), decided_on: 1, found: 1 };
    same("the answer to another past", commit(&mut *store, vec![other]), Err(refused))?;
    let store = subject.reopen(store);
    same("the entries of acme", read(&*store, "acme", 0)?.len(), 1)?;
    same("the entries of zeta", read(&*store, "zeta", 0)?.len(), 0)?;
    same("the log", store.log_head(0).map_err(text)?.0, 0)?;
    same("the price lists", store.catalogues().map_err(text)?.len(), 0)?;
    same("the rows", store.rows("zeta").map_err(text)?, Default::default())
}

fn two_of_a_group(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let mut acme = Writer::new("acme");
    let first = acme.write(1, vec![opened("acme", None)?])?;
    let second = acme.write(2, vec![topped_up("acme", 2, 5)?])?;
    let wrong = commit(&mut *store, vec![second.clone(), first.clone()]);
    same("whether the second can come first", wrong.map_err(|error| error.code()), Err("version-conflict"))?;
    commit(&mut *store, vec![first, second]).map_err(text)?;
    same("the entries", read(&*store, "acme", 0)?.len(), 2)
}

fn block(partition: u16, number: u64) -> Block {
    let hash = Block::chain(partition).then(&number.to_le_bytes());
    let (recorded_at, bytes) = (at(number as i64), vec![number as u8; 300]);
    Block { partition, number, events: 7, recorded_at, bytes, hash, redacted: None }
}

fn blocks(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let write =
        |store: &mut dyn Store, blocks: Vec<Block>| store.commit(&Batch { blocks, ..Batch::default() });
    write(&mut *store, vec![block(0, 0), block(2, 0), block(0, 1)]).map_err(text)?;
    let gap = StoreError::NotNext { partition: 0, number: 3, next: 2 };
    same("the answer to a gap", write(&mut *store, vec![block(0, 3)]), Err(gap))?;
    let again = StoreError::NotNext { partition: 0, number: 1, next: 2 };
    same("the answer to a block again", write(&mut *store, vec![block(0, 1)]), Err(again))?;
    write(&mut *store, vec![block(0, 2)]).map_err(text)?;
    let store = subject.reopen(store);
    let mut found = Vec::new();
    store
        .blocks(0, 1, &mut |block| {
            found.push(block);
            Ok(())
        })
        .map_err(text)?;
    same("the blocks from 1 on", found, vec![block(0, 1), block(0, 2)])?;
    same("a block alone", store.block(0, 1).map_err(text)?, Some(block(0, 1)))?;
    same("a block that is not there", store.block(0, 3).map_err(text)?, None)?;
    same("the log", store.log_head(0).map_err(text)?.0, 3)?;
    same("the end of its chain", store.log_head(0).map_err(text)?.1, block(0, 2).hash)?;
    same("the chain of an empty log", store.log_head(9).map_err(text)?, (0, Block::chain(9)))?;
    same("another log", store.log_head(2).map_err(text)?.0, 1)
}

fn ahead_of_log(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let mut acme = Writer::new("acme");
    let mut ahead = acme.write(1, vec![opened("acme", None)?])?;
    ahead.counted = Position { partition: 4, blocks: 2, epoch: 1 };
    let mut batch = Batch { appends: vec![ahead.clone()], blocks: vec![block(4, 0)], ..Batch::default() };
    let refused = StoreError::AheadOfLog { group: "acme".to_owned(), counted: ahead.counted, blocks: 1 };
    same("the answer", store.commit(&batch), Err(refused))?;
    same("the entries", read(&*store, "acme", 0)?.len(), 0)?;
    batch.blocks.push(block(4, 1));
    store.commit(&batch).map_err(text)?;
    same("the entries with the usage that they count", read(&*store, "acme", 0)?.len(), 1)
}

fn list(id: &str, effective: Option<Instant>) -> CatalogueText {
    CatalogueText {
        id: id.to_owned(),
        effective,
        published: at(5),
        text: "# prices\n".to_owned(),
        parts: vec![("deck.csv".to_owned(), "prefix,price\n".to_owned())],
    }
}

fn catalogues(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let write = |store: &mut dyn Store, lists: &[CatalogueText]| {
        store.commit(&Batch { catalogues: lists.to_vec(), ..Batch::default() })
    };
    let lists = [list("zoom", None), list("calls", None), list("calls", Some(at(9)))];
    write(&mut *store, &lists).map_err(text)?;
    let taken = StoreError::CatalogueExists { id: "calls".to_owned() };
    same("the answer to the same date", write(&mut *store, &[list("calls", None)]), Err(taken.clone()))?;
    let twice = [list("calls", Some(at(20))), list("calls", Some(at(20)))];
    same("the answer to a date twice in a batch", write(&mut *store, &twice), Err(taken))?;
    let store = subject.reopen(store);
    same("the price lists", store.catalogues().map_err(text)?, lists.to_vec())
}

fn answers(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let answer =
        |key: &str, byte: u8| Answer { key: key.to_owned(), wish: u64::MAX, at: at(1), bytes: vec![byte] };
    let write =
        |store: &mut dyn Store, answers: Vec<Answer>| store.commit(&Batch { answers, ..Batch::default() });
    write(&mut *store, vec![answer("a", 1), answer("b", 2)]).map_err(text)?;
    let again = write(&mut *store, vec![answer("c", 3), answer("a", 4)]);
    same("the answer to a key again", again, Err(StoreError::Answered { key: "a".to_owned() }))?;
    let twice = write(&mut *store, vec![answer("d", 5), answer("d", 6)]);
    same("the answer to a key twice", twice, Err(StoreError::Answered { key: "d".to_owned() }))?;
    let store = subject.reopen(store);
    same("what was answered", store.answer("a").map_err(text)?, Some(answer("a", 1)))?;
    same("what was not kept", store.answer("c").map_err(text)?, None)
}

fn keys(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let key = |id: &str, account: Option<&str>| AccessKey {
        id: id.to_owned(),
        hash: Hash::start("key", id),
        label: format!("the key {id}"),
        role: "customer".to_owned(),
        account: account.map(str::to_owned),
        created: at(1),
        created_by: "serve".to_owned(),
        revoked: None,
        revoked_by: None,
        used: None,
    };
    let write =
        |store: &mut dyn Store, keys: Vec<AccessKey>| store.commit(&Batch { keys, ..Batch::default() });
    let (first, second) = (key("b7", None), key("a3", Some("acme")));
    write(&mut *store, vec![first.clone(), second.clone()]).map_err(text)?;
    let mut store = subject.reopen(store);
    same("the keys", store.keys().map_err(text)?, vec![second.clone(), first.clone()])?;
    let revoked =
        AccessKey { revoked: Some(at(3)), revoked_by: Some("a3".to_owned()), used: Some(at(2)), ..first };
    write(&mut *store, vec![revoked.clone()]).map_err(text)?;
    let store = subject.reopen(store);
    same("the keys after one was revoked", store.keys().map_err(text)?, vec![second, revoked])
}

fn rows(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let mut acme = Writer::new("acme");
    let appends = vec![
        acme.write(1, vec![opened("acme", None)?, topped_up("acme", 1, 100)?])?,
        acme.write(2, vec![topped_up("acme", 2, 50)?])?,
    ];
    let mut should = crate::Rows::default();
    appends.iter().for_each(|append| should.merge(&append.rows));
    same("how many postings there are", should.postings.len(), 4)?;
    same("how many balances there are", should.balances.len(), 2)?;
    commit(&mut *store, appends).map_err(text)?;
    let store = subject.reopen(store);
    same("the rows", store.rows("acme").map_err(text)?, should)
}

fn derived(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let one = |space: u8, key: &[u8], value: Option<&[u8]>| Derived {
        space,
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
    };
    let write =
        |store: &mut dyn Store, derived: Vec<Derived>| store.commit(&Batch { derived, ..Batch::default() });
    let long = vec![7; 20_000];
    let first = vec![
        one(1, b"b", Some(b"2")),
        one(1, b"a", Some(b"1")),
        one(2, b"a", Some(b"other")),
        one(1, b"b\0", Some(&long)),
        one(1, b"c", Some(b"")),
    ];
    write(&mut *store, first).map_err(text)?;
    let second = [one(1, b"a", None), one(1, b"c", Some(b"3")), one(1, b"c", Some(b"4")), one(3, b"x", None)];
    write(&mut *store, second.to_vec()).map_err(text)?;
    let store = subject.reopen(store);
    same("what is gone", store.derived(1, b"a").map_err(text)?, None)?;
    same("its name in another kind", store.derived(2, b"a").map_err(text)?, Some(b"other".to_vec()))?;
    same("what was replaced", store.derived(1, b"c").map_err(text)?, Some(b"4".to_vec()))?;
    let mut found = Vec::new();
    let mut show = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.len()));
        Ok(if found.len() < 2 { Seen::More } else { Seen::Enough })
    };
    store.derived_from(1, b"a", &mut show).map_err(text)?;
    same("the first two", found, vec![(b"b".to_vec(), 1), (b"b\0".to_vec(), long.len())])
}

fn redacted(subject: &mut dyn Subject) -> Result<(), String> {
    let mut store = subject.create();
    let mut acme = Writer::new("acme");
    let appends = vec![
        acme.write(1, vec![opened("acme", None)?, topped_up("acme", 1, 100)?])?,
        acme.write(2, vec![topped_up("acme", 2, 50)?])?,
    ];
    let (mut rows, records) = (appends[0].rows.clone(), appends.clone());
    let answer = |key: &str| Answer { key: key.to_owned(), wish: 1, at: at(1), bytes: vec![1] };
    let answers = vec![answer("acme/1"), answer("acme/2"), answer("acmeen/1")];
    let written = Batch { appends, blocks: vec![block(0, 0), block(0, 1)], answers, ..Batch::default() };
    store.commit(&written).map_err(text)?;

    let of_entry = Piece::Entry { group: "acme".to_owned(), version: 1 };
    let of_block = Piece::Block { partition: 0, number: 0 };
    let redact = |piece: &Piece, erasure: &str, before: &[u8], after: &[u8]| Redacted {
        piece: piece.clone(),
        erasure: erasure.to_owned(),
        before: Hash::of(before),
        bytes: after.to_vec(),
    };
    rows.accounts[0].title = "erased".to_owned();
    rows.postings[0].memo = "erased".to_owned();
    let erasure = Erasure {
        account: "acme".to_owned(),
        group: "acme".to_owned(),
        actor: "k".to_owned(),
        began: at(3),
        ended: None,
        secret: Some([3; 32]),
        entries: 1,
        blocks: 2,
        events: 3,
        files: 4,
        answers: 5,
        digest: None,
    };
    let (first, own) = (records[0].record.as_slice(), block(0, 0).bytes);
    let both = Batch {
        redacted: vec![redact(&of_entry, "acme", first, b"entry"), redact(&of_block, "acme", &own, b"block")],
        rows: rows.clone(),
        answers_gone: vec!["acme/1".to_owned(), "none".to_owned()],
        erasures: vec![erasure.clone()],
        ..Batch::default()
    };
    let mut wrong = both.clone();
    wrong.redacted[1].before = Hash::of(b"something else");
    let changed = StoreError::Changed { chain: "usage:0".to_owned(), number: 0 };
    same("the answer where it is not what it was", store.commit(&wrong), Err(changed))?;
    same("the erasures then", store.erasures().map_err(text)?, vec![])?;
    store.commit(&both).map_err(text)?;
    let again = store.commit(&both).map_err(|error| error.code());
    same("the answer to the same again", again, Err("piece-changed"))?;
    // Another erasure of the same block.
    let second = Batch { redacted: vec![redact(&of_block, "zeta", b"block", b"again")], ..Batch::default() };
    store.commit(&second).map_err(text)?;
    while !store.sweep().map_err(text)? {}

    let mut store = subject.reopen(store);
    let mut entries = Vec::new();
    let mut head = Head::of_new("acme");
    let mut follows = true;
    store
        .entries("acme", 0, &mut |kept| {
            match kept.after(head) {
                Some(next) => head = next,
                None => follows = false,
            }
            entries.push(kept.record);
            Ok(Seen::More)
        })
        .map_err(text)?;
    same("the entries", entries, vec![b"entry".to_vec(), records[1].record.clone()])?;
    same("whether they follow each other, and to which end", (follows, head), (true, records[1].head()))?;
    let kept = store.block(0, 0).map_err(text)?.ok_or("the block is missing")?;
    let should = Block { bytes: b"again".to_vec(), redacted: Some(Hash::of(b"again")), ..block(0, 0) };
    same("whether the block follows", kept.follows(Block::chain(0)), true)?;
    same("the block", kept, should)?;
    same("the other block", store.block(0, 1).map_err(text)?, Some(block(0, 1)))?;
    let mut found = Vec::new();
    store
        .redactions(&mut |one| {
            found.push(one);
            Ok(())
        })
        .map_err(text)?;
    let one = |piece: &Piece, erasure: &str, original: Hash, before: &[u8], after: &[u8]| Redaction {
        piece: piece.clone(),
        erasure: erasure.to_owned(),
        original,
        before: Hash::of(before),
        after: Hash::of(after),
    };
    let should = vec![
        one(&of_entry, "acme", records[0].head().hash, first, b"entry"),
        one(&of_block, "acme", block(0, 0).hash, &own, b"block"),
        one(&of_block, "zeta", block(0, 0).hash, b"block", b"again"),
    ];
    same("what was redacted", found, should)?;
    let kept = store.rows("acme").map_err(text)?;
    same("the account's row", kept.accounts, rows.accounts)?;
    same("the memo", kept.postings[0].memo.as_str(), "erased")?;
    same("how many postings there are", kept.postings.len(), 4)?;
    let mut left = Vec::new();
    store
        .answers("acme/", &mut |answer| {
            left.push(answer.key);
            Ok(())
        })
        .map_err(text)?;
    same("the answers", left, vec!["acme/2".to_owned()])?;
    same("the erasures", store.erasures().map_err(text)?, vec![erasure.clone()])?;
    let done = Erasure { ended: Some(at(4)), secret: None, digest: Some(Hash::of(b"all")), ..erasure };
    store.commit(&Batch { erasures: vec![done.clone()], ..Batch::default() }).map_err(text)?;
    same("the erasures when it is done", store.erasures().map_err(text)?, vec![done])
}
