//! The twin of every store, in memory. It keeps nothing when the process ends.

use crate::entry::{Hash, Head};
use crate::error::StoreError;
use crate::port::{
    AccessKey, Answer, Append, Batch, Block, CatalogueText, Derivations, Erasure, GroupHead, Kept, Piece,
    Prepare, Redacted, Redaction, Seen, Show, Store, Told,
};
use crate::rows::{AccountRow, Rows};
use farebox_core::calendar::Instant;
use farebox_core::engine::Duty;
use std::collections::{BTreeMap, BTreeSet};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    groups: BTreeMap<String, Group>,
    logs: BTreeMap<u16, Vec<Block>>,
    catalogues: Vec<CatalogueText>,
    rows: Rows,
    answers: BTreeMap<String, Answer>,
    keys: BTreeMap<String, AccessKey>,
    clock: Option<Instant>,
    horizon: Option<Instant>,
    derived: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    redactions: Vec<Redaction>,
    erasures: BTreeMap<String, Erasure>,
}

#[derive(Debug)]
struct Group {
    head: Head,
    due: Option<(Instant, Duty)>,
    entries: Vec<Kept>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn head(&self, group: &str) -> Head {
        self.groups.get(group).map_or_else(|| Head::of_new(group), |group| group.head)
    }

    /// Checks everything before anything is kept.
    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut logs: BTreeMap<u16, u64> = BTreeMap::new();
        for block in &batch.blocks {
            let known = self.logs.get(&block.partition).map_or(0, |log| log.len() as u64);
            let next = logs.entry(block.partition).or_insert(known);
            if block.number != *next {
                let (partition, number, next) = (block.partition, block.number, *next);
                return Err(StoreError::NotNext { partition, number, next });
            }
            *next += 1;
        }
        let mut heads: BTreeMap<&str, Head> = BTreeMap::new();
        for append in &batch.appends {
            let head = heads.entry(&append.group).or_insert_with(|| self.head(&append.group));
            if *head != append.after {
                return Err(StoreError::Conflict {
                    group: append.group.clone(),
                    decided_on: append.after.version,
                    found: head.version,
                });
            }
            *head = append.head();
            let partition = append.counted.partition;
            let known = self.logs.get(&partition).map_or(0, |log| log.len() as u64);
            let blocks = logs.get(&partition).copied().unwrap_or(known);
            if append.counted.blocks > blocks {
                let (group, counted) = (append.group.clone(), append.counted);
                return Err(StoreError::AheadOfLog { group, counted, blocks });
            }
        }
        for one in &batch.redacted {
            let is_same = self.bytes_of(&one.piece).is_some_and(|(bytes, _)| Hash::of(bytes) == one.before);
            if !is_same {
                let (chain, number) = one.piece.place();
                return Err(StoreError::Changed { chain, number });
            }
        }
        for (index, answer) in batch.answers.iter().enumerate() {
            let is_twice = batch.answers[..index].iter().any(|other| other.key == answer.key);
            if is_twice || self.answers.contains_key(&answer.key) {
                return Err(StoreError::Answered { key: answer.key.clone() });
            }
        }
        for (index, text) in batch.catalogues.iter().enumerate() {
            let earlier = self.catalogues.iter().chain(&batch.catalogues[..index]);
            let same = |known: &CatalogueText| known.id == text.id && known.effective == text.effective;
            if earlier.into_iter().any(same) {
                return Err(StoreError::CatalogueExists { id: text.id.clone() });
            }
        }
        Ok(())
    }

    fn append(&mut self, append: &Append) {
        let head = append.head();
        let new = || Group { head, due: None, entries: Vec::new() };
        let group = self.groups.entry(append.group.clone()).or_insert_with(new);
        group.head = head;
        let (version, hash, record) = (head.version, head.hash, append.record.clone());
        group.entries.push(Kept { version, hash, record, redacted: None });
        self.rows.merge(&append.rows);
    }

    /// The bytes of a piece, and its hash in its chain.
    fn bytes_of(&self, piece: &Piece) -> Option<(&[u8], Hash)> {
        match piece {
            Piece::Entry { group, version } => {
                let entries = &self.groups.get(group)?.entries;
                let kept = entries.iter().find(|entry| entry.version == *version)?;
                Some((&kept.record, kept.hash))
            }
            Piece::Block { partition, number } => {
                let block = self.logs.get(partition)?.get(usize::try_from(*number).ok()?)?;
                Some((&block.bytes, block.hash))
            }
        }
    }

    fn redact(&mut self, one: &Redacted) {
        let Some((_, original)) = self.bytes_of(&one.piece) else { return };
        let (piece, erasure) = (one.piece.clone(), one.erasure.clone());
        let (before, after) = (one.before, Hash::of(&one.bytes));
        match &one.piece {
            Piece::Entry { group, version } => {
                let entries = self.groups.get_mut(group).map(|group| &mut group.entries);
                for kept in entries.into_iter().flatten().filter(|kept| kept.version == *version) {
                    (kept.record, kept.redacted) = (one.bytes.clone(), Some(after));
                }
            }
            Piece::Block { partition, number } => {
                let log = self.logs.get_mut(partition).into_iter().flatten();
                for block in log.filter(|block| block.number == *number) {
                    (block.bytes, block.redacted) = (one.bytes.clone(), Some(after));
                }
            }
        }
        self.redactions.push(Redaction { piece, erasure, original, before, after });
    }
}

impl Derivations for Memory {
    fn derived(&self, space: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.derived.get(&(space, key.to_vec())).cloned())
    }

    fn derived_from(&self, space: u8, from: &[u8], each: &mut Show<'_>) -> Result<(), StoreError> {
        let all = self.derived.range((space, from.to_vec())..);
        for ((_, key), value) in all.take_while(|((kind, _), _)| *kind == space) {
            if each(key, value)? == Seen::Enough {
                break;
            }
        }
        Ok(())
    }
}

impl Store for Memory {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.check(batch)?;
        for block in &batch.blocks {
            self.logs.entry(block.partition).or_default().push(block.clone());
        }
        batch.appends.iter().for_each(|append| self.append(append));
        self.catalogues.extend(batch.catalogues.iter().cloned());
        self.answers.extend(batch.answers.iter().map(|answer| (answer.key.clone(), answer.clone())));
        self.keys.extend(batch.keys.iter().map(|key| (key.id.clone(), key.clone())));
        self.clock = batch.clock.or(self.clock);
        self.horizon = self.horizon.max(batch.horizon);
        for one in &batch.derived {
            let key = (one.space, one.key.clone());
            match &one.value {
                Some(value) => drop(self.derived.insert(key, value.clone())),
                None => drop(self.derived.remove(&key)),
            }
        }
        batch.redacted.iter().for_each(|one| self.redact(one));
        self.rows.merge(&batch.rows);
        for key in &batch.answers_gone {
            self.answers.remove(key);
        }
        self.erasures.extend(batch.erasures.iter().map(|one| (one.account.clone(), one.clone())));
        for (name, due) in &batch.due {
            if let Some(group) = self.groups.get_mut(name) {
                group.due = *due;
            }
        }
        Ok(())
    }

    fn commit_then(&mut self, batch: Prepare, then: Told) {
        let batch = batch(self);
        then(batch.and_then(|batch| self.commit(&batch)));
    }

    fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        let head = |(name, group): (&String, &Group)| GroupHead {
            group: name.clone(),
            head: group.head,
            due: group.due,
        };
        Ok(self.groups.iter().map(head).collect())
    }

    fn group(&self, group: &str) -> Result<Option<GroupHead>, StoreError> {
        let found = self.groups.get(group);
        Ok(found.map(|found| GroupHead { group: group.to_owned(), head: found.head, due: found.due }))
    }

    fn members(&self) -> Result<Vec<(String, String)>, StoreError> {
        let members = self.rows.accounts.iter().filter(|account| account.account != account.payer);
        Ok(members.map(|account| (account.account.clone(), account.payer.clone())).collect())
    }

    fn accounts(&self, after: &str, most: usize) -> Result<Vec<AccountRow>, StoreError> {
        let mut rows = self.rows.accounts.clone();
        rows.retain(|row| row.account.as_str() > after);
        rows.sort_by(|one, other| one.account.cmp(&other.account));
        rows.truncate(most);
        Ok(rows)
    }

    fn entries(
        &self,
        group: &str,
        after: u64,
        each: &mut dyn FnMut(Kept) -> Result<Seen, StoreError>,
    ) -> Result<(), StoreError> {
        let entries = self.groups.get(group).map(|group| group.entries.as_slice()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.version > after) {
            if each(entry.clone())? == Seen::Enough {
                break;
            }
        }
        Ok(())
    }

    fn log_head(&self, partition: u16) -> Result<(u64, Hash), StoreError> {
        let log = self.logs.get(&partition).map(Vec::as_slice).unwrap_or_default();
        Ok((log.len() as u64, log.last().map_or_else(|| Block::chain(partition), |block| block.hash)))
    }

    fn blocks(
        &self,
        partition: u16,
        from: u64,
        each: &mut dyn FnMut(Block) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let log = self.logs.get(&partition).map(Vec::as_slice).unwrap_or_default();
        log.iter().filter(|block| block.number >= from).try_for_each(|block| each(block.clone()))
    }

    fn block(&self, partition: u16, number: u64) -> Result<Option<Block>, StoreError> {
        let log = self.logs.get(&partition);
        Ok(log.and_then(|log| log.get(usize::try_from(number).ok()?)).cloned())
    }

    fn redactions(
        &self,
        each: &mut dyn FnMut(Redaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.redactions.iter().cloned().try_for_each(each)
    }

    fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        Ok(self.erasures.values().cloned().collect())
    }

    fn answers(
        &self,
        beginning: &str,
        each: &mut dyn FnMut(Answer) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let from = self.answers.range(beginning.to_owned()..);
        let with = from.take_while(|(key, _)| key.starts_with(beginning));
        with.map(|(_, answer)| answer.clone()).try_for_each(each)
    }

    fn clock(&self) -> Result<Option<Instant>, StoreError> {
        Ok(self.clock)
    }

    fn horizon(&self) -> Result<Option<Instant>, StoreError> {
        Ok(self.horizon)
    }

    fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        Ok(self.answers.get(key).cloned())
    }

    fn keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        Ok(self.keys.values().cloned().collect())
    }

    fn catalogues(&self) -> Result<Vec<CatalogueText>, StoreError> {
        Ok(self.catalogues.clone())
    }

    fn owners(&self) -> Result<BTreeSet<(&'static str, String)>, StoreError> {
        let Rows { accounts, subscriptions, bills, lines, postings, balances, packages } = &self.rows;
        let mut all = BTreeSet::new();
        all.extend(accounts.iter().map(|row| ("account", row.account.clone())));
        all.extend(subscriptions.iter().map(|row| ("subscription", row.account.clone())));
        all.extend(bills.iter().map(|row| ("bill", row.account.clone())));
        all.extend(lines.iter().map(|row| ("line", row.payer.clone())));
        all.extend(postings.iter().map(|row| ("posting", row.account.clone())));
        all.extend(balances.iter().map(|row| ("balance", row.account.clone())));
        all.extend(packages.iter().map(|row| ("package", row.payer.clone())));
        Ok(all)
    }

    fn rows(&self, account: &str) -> Result<Rows, StoreError> {
        Ok(self.rows.of(account))
    }
}
