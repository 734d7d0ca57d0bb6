//! Erasing an account: its personal values are made unreadable, in entries, usage and all that follows from them.
//!
//! What is wished is written down first, and the account counts for nothing from then on. Then it goes on in steps
//! between other work, each a commit of its own; whatever ends the process, the next one goes on. A step that was done
//! finds nothing to do. The secret that tokens are made with is in the store until nothing is left to redact.

use super::Service;
use crate::groups::{DESK, Decided, Failed};
use farebox_core::account::{Account, Group, View};
use farebox_core::catalog::{Aggregate, Test};
use farebox_core::engine::{Action, Catalogues, Command, Duty, Fact, preview};
use farebox_core::lifecycle::State;
use farebox_store::{
    Batch, Block, Digest, Entry, Erasure, Hash, Kept, Piece, Public, Redacted, Redactor, Rows, Seen, Store,
    StoreError, rows_of,
};
use std::collections::VecDeque;

/// Entries that are looked at in one step, and bytes of them.
const ENTRIES_EACH: usize = 64;
const ENTRY_BYTES_EACH: usize = 4 << 20;
/// Blocks that are looked at in one step.
const BLOCKS_EACH: usize = 8;
/// Answers that are let go of in one step.
const ANSWERS_EACH: usize = 1_000;
/// The attribute that holds the prefix of a rate deck, among what a charge accumulates per.
const PREFIX: &str = "prefix";

/// Why an account is not erased. Nothing has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum NotErased {
    /// There is no such account.
    NotThere,
    /// It is not finished: what remains, each in a sentence.
    InUse(Vec<String>),
    /// Something due for its group cannot be done, or the store failed.
    Failed(Failed),
}

impl NotErased {
    /// The stable code of an account that is not finished.
    pub const IN_USE: &str = "still-in-use";
    /// The stable code of what is wished of an account that is erased.
    pub const ERASED: &str = "account-erased";
}

impl From<StoreError> for NotErased {
    fn from(error: StoreError) -> NotErased {
        NotErased::Failed(error.into())
    }
}

/// How far an erasure has come.
enum Stage {
    /// Entries of its group, after this version.
    Entries(u64),
    /// Deeds, after this version.
    Deeds(u64),
    /// These blocks of usage.
    Blocks(VecDeque<u64>),
    /// Answers that are kept for its keys.
    Answers,
    /// What follows from all that.
    Derived,
    /// What is still on the disk.
    Sweep,
    /// Only to be said.
    Done,
}

/// An erasure that goes on.
pub(super) struct Erasing {
    account: String,
    /// `None`: there is nothing left to redact.
    redactor: Option<Redactor>,
    stage: Stage,
    /// Blocks of one file of the archive, which is written anew once for all.
    shelf: Option<(String, Vec<Redacted>, u64)>,
}

/// What price lists say of usage.
fn public(catalogues: &Catalogues) -> Public {
    let mut public = Public { made: [PREFIX.to_owned()].into(), ..Public::default() };
    for list in catalogues.iter() {
        for meter in list.meters.values() {
            if !matches!(meter.aggregate, Aggregate::Unique | Aggregate::Count) {
                public.measured.extend(meter.of.clone());
            }
            for filter in &meter.filters {
                match &filter.test {
                    Test::OneOf(values) | Test::NoneOf(values) => {
                        let named = values.iter().map(|value| (filter.attribute.clone(), value.clone()));
                        public.values.extend(named);
                    }
                    Test::Between(..) => drop(public.measured.insert(filter.attribute.clone())),
                }
            }
        }
        let plans = list.products.values().flat_map(|product| product.plans.values());
        public.made.extend(plans.flat_map(|plan| plan.options.iter().cloned()));
    }
    public
}

/// How the wish and its end are written into the chain of the group.
fn told(word: &str, fields: &[(&str, String)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}"));
    format!("{{\"command\":\"{word}\"{}}}", fields.collect::<String>())
}

/// A text that is the name of an account, or a hash, as JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The word of the entry that tells that an erasure has begun.
pub(crate) const BEGAN: &str = "erase-account";
/// That of the one that tells what it has come to.
pub(crate) const ENDED: &str = "account-erased";

/// How an entry says that an erasure has begun.
pub(crate) fn began(account: &str) -> String {
    told(BEGAN, &[("account", quoted(account))])
}

/// How an entry says what an erasure has come to.
pub(crate) fn ended(erasure: &Erasure, digest: Hash) -> String {
    let Erasure { account, entries, blocks, events, files, answers, .. } = erasure;
    let number = |number: &u64| number.to_string();
    told(
        ENDED,
        &[
            ("account", quoted(account)),
            ("entries", number(entries)),
            ("blocks", number(blocks)),
            ("events", number(events)),
            ("files", number(files)),
            ("answers", number(answers)),
            ("digest", quoted(&digest.to_string())),
        ],
    )
}

/// The digest over the redactions of an account in a store.
fn digest_in(store: &dyn Store, account: &str) -> Result<Hash, StoreError> {
    let mut digest = Digest::of(account);
    store.redactions(&mut |one| {
        if one.erasure == account {
            digest.add(&one);
        }
        Ok(())
    })?;
    Ok(digest.hash())
}

impl Service {
    /// The account that a command is for, or under, where that is erased.
    pub(super) fn erased_by<'c>(&self, command: &'c Command) -> Option<&'c str> {
        let payer = match &command.action {
            Action::Open { payer, .. } => payer.as_deref(),
            _ => None,
        };
        [Some(command.account.as_str()), payer]
            .into_iter()
            .flatten()
            .find(|name| self.counters.is_erased(name))
    }

    /// The erasure of an account, done or not.
    pub fn erasure(&self, account: &str) -> Option<&Erasure> {
        self.groups.erasures().get(account)
    }

    /// Whether an erasure goes on: [`Service::erase_some`] is to be called between other work.
    pub fn is_erasing(&self) -> bool {
        self.groups.erasures().values().any(|one| one.ended.is_none())
    }

    /// Begins to erase an account that is finished: with the next commit nothing can be wished or used by it any more.
    /// `secret`: 256 bits that nobody else knows. Where it has begun or is done already, nothing happens.
    ///
    /// # Errors
    /// [`NotErased`]; nothing has happened then.
    pub fn erase(
        &mut self,
        account: &str,
        secret: [u8; 32],
        decided: Decided<'_>,
    ) -> Result<Erasure, NotErased> {
        if let Some(known) = self.erasure(account) {
            return Ok(known.clone());
        }
        let payer = self.groups.payer_of(account).to_owned();
        self.load(&payer)?;
        self.do_due_of(&payer).map_err(NotErased::Failed)?;
        self.refresh(&payer)?;
        self.tell_schedule();
        let remains = self.remains(&payer, account)?;
        if !remains.is_empty() {
            return Err(NotErased::InUse(remains));
        }
        let command = began(account);
        let noted = self.groups.note_deed_in(&payer, Decided { command: &command, ..decided });
        self.note_failure(&noted);
        noted?;
        let erasure = Erasure {
            account: account.to_owned(),
            group: payer.clone(),
            actor: decided.actor.to_owned(),
            began: decided.at,
            ended: None,
            secret: Some(secret),
            entries: 0,
            blocks: 0,
            events: 0,
            files: 0,
            answers: 0,
            digest: None,
        };
        self.groups.add_erasure(erasure.clone());
        self.counters.exclude(&payer, account);
        self.schedule.forget_usage(&payer, account);
        let counted = self.refresh(&payer);
        self.note_failure(&counted);
        counted?;
        Ok(erasure)
    }

    /// What an account still is or has, each in a sentence: nothing, where it is finished.
    fn remains(&self, payer: &str, account: &str) -> Result<Vec<String>, NotErased> {
        let Some(group) = self.groups.get(payer) else { return Err(NotErased::NotThere) };
        let (Some(own), Some(paying)) = (group.get(account), group.get(payer)) else {
            return Err(NotErased::NotThere);
        };
        let at = self.clock;
        let mut all = Vec::new();
        for one in group.subscriptions_since(account, at) {
            let name = &one.name;
            all.push(match one.end {
                None => format!("the subscription {name} runs"),
                Some(end) if end > at => format!("the subscription {name} runs until {end}"),
                Some(_) => format!("the subscription {name} has ended, and is not settled to its end"),
            });
        }
        for (name, standing) in &own.lifecycle.standings {
            if standing.state != State::Released && !all.iter().any(|one| one.contains(name.as_str())) {
                all.push(format!("the subscription {name} is {}", standing.state.name()));
            }
        }
        let members = own.members.iter().filter(|member| self.erasure(member).is_none());
        all.extend(members.map(|member| format!("it pays for {member}")));
        let sessions =
            paying.holds.of(account).filter(|hold| hold.ended.is_none_or(|ended| ended.settles.is_some()));
        all.extend(sessions.map(|hold| format!("something is held for the session {}", hold.id)));
        let buckets = paying.packages.iter().filter(|bucket| bucket.account == account);
        let open = buckets.filter(|bucket| !paying.packages.is_expired(bucket));
        all.extend(open.map(|bucket| format!("the package {} expires on {}", bucket.id, bucket.expires)));
        let late = self.schedule.late_of(payer);
        let metering = self.counters.of_group(payer);
        let unsettled = preview::draft(group, &self.catalogues, metering, payer, at, &late);
        match unsettled {
            Ok(lines) if lines.iter().all(|line| line.account != account) => {}
            _ => all.push("some of its usage is not charged yet".to_owned()),
        }
        for bill in paying.bills.values().filter(|bill| bill.issued.is_none()) {
            if bill.lines.iter().any(|line| line.account == account) {
                all.push(format!("the bill {} is not issued yet", bill.id));
            }
        }
        if payer == account {
            all.extend(self.remains_of_payer(group, own));
        }
        Ok(all)
    }

    /// What the account that pays has besides.
    fn remains_of_payer(&self, group: &Group, own: &Account) -> Vec<String> {
        let (id, mut all) = (&own.head.id, Vec::new());
        for (month, owed) in group.unpaid(id) {
            let bill = own.bills.get(&month).map(|bill| bill.id.as_str()).unwrap_or_default();
            let currency = own.head.currency;
            all.push(format!("{} {currency} is owed of the bill {bill}", owed.decimal(currency)));
        }
        let balance = group.prepaid(id);
        if !balance.is_zero() {
            all.push(format!("its balance is {} {}", balance.exact(), own.head.currency));
        }
        if !group.deferrals(id).is_empty() {
            all.push("some of what was paid for its terms is not earned yet".to_owned());
        }
        // Coupons end by themselves, and are not given back.
        let due = self.schedule.due_of(id, group, &self.catalogues, self.clock);
        if let Some((at, duty)) = due.filter(|(_, duty)| *duty != Duty::Coupons && all.is_empty()) {
            all.push(format!("something is due on {at} ({})", duty.name()));
        }
        all
    }

    /// Goes on with what is to be erased: one step of it, which is durable then. Answers whether more is left.
    ///
    /// # Errors
    /// When the store fails; what was done stays done, and the next call goes on.
    pub fn erase_some(&mut self) -> Result<bool, StoreError> {
        // Nothing else may be on its way, and all usage is to be in the store.
        let kept = self.commit();
        self.note_failure(&kept);
        kept?;
        let mut erasing = match self.erasing.take() {
            Some(erasing) => erasing,
            None => match self.next_erasing() {
                Some(erasing) => erasing,
                None => return Ok(false),
            },
        };
        if self.erase_step(&mut erasing)? {
            self.erasing = Some(erasing);
        }
        Ok(self.is_erasing())
    }

    fn next_erasing(&self) -> Option<Erasing> {
        let one = self.groups.erasures().values().find(|one| one.ended.is_none())?;
        let redactor = |secret| Redactor::new(&one.account, &one.group, secret, public(&self.catalogues));
        let redactor = one.secret.map(redactor);
        let stage = if redactor.is_some() { Stage::Entries(0) } else { Stage::Sweep };
        Some(Erasing { account: one.account.clone(), redactor, stage, shelf: None })
    }

    /// Answers whether the same erasure goes on.
    fn erase_step(&mut self, erasing: &mut Erasing) -> Result<bool, StoreError> {
        let Some(erasure) = self.erasure(&erasing.account).cloned() else { return Ok(false) };
        self.load(&erasure.group)?;
        erasing.stage = match (&mut erasing.stage, &mut erasing.redactor) {
            (Stage::Entries(after), Some(redactor)) => {
                match self.erase_entries(&erasure, *after, redactor)? {
                    Some(after) => Stage::Entries(after),
                    None => {
                        self.erase_account_row(&erasure)?;
                        Stage::Deeds(0)
                    }
                }
            }
            (Stage::Deeds(after), Some(redactor)) => match self.erase_deeds(&erasure, *after, redactor)? {
                Some(after) => Stage::Deeds(after),
                None => {
                    let Some(store) = self.groups.store() else { return Ok(false) };
                    let blocks = self.counters.blocks_about(store, &erasure.group, &erasure.account)?;
                    Stage::Blocks(blocks.into())
                }
            },
            (Stage::Blocks(blocks), Some(redactor)) if !blocks.is_empty() || erasing.shelf.is_some() => {
                let mut left = std::mem::take(blocks);
                self.erase_blocks(&erasure, &mut left, redactor, &mut erasing.shelf)?;
                Stage::Blocks(left)
            }
            (Stage::Blocks(_), _) => Stage::Answers,
            (Stage::Answers, _) => match self.erase_answers(&erasure)? {
                true => Stage::Answers,
                false => Stage::Derived,
            },
            (Stage::Derived, _) => {
                self.erase_derived(&erasure)?;
                Stage::Sweep
            }
            (Stage::Sweep, _) => match self.groups.sweep()? {
                true => Stage::Done,
                false => Stage::Sweep,
            },
            (Stage::Done | Stage::Entries(_) | Stage::Deeds(_), _) => {
                self.end_erasure(erasure)?;
                return Ok(false);
            }
        };
        Ok(true)
    }

    /// Entries of a chain after a version, some of them.
    fn some_entries(&self, group: &str, after: u64) -> Result<Vec<Kept>, StoreError> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        let Some(store) = self.groups.store() else { return Ok(some) };
        store.entries(group, after, &mut |kept| {
            bytes += kept.record.len();
            some.push(kept);
            let is_enough = some.len() == ENTRIES_EACH || bytes >= ENTRY_BYTES_EACH;
            Ok(if is_enough { Seen::Enough } else { Seen::More })
        })?;
        Ok(some)
    }

    /// Answers after which version there may be more.
    fn erase_entries(
        &mut self,
        erasure: &Erasure,
        after: u64,
        redactor: &mut Redactor,
    ) -> Result<Option<u64>, StoreError> {
        let some = self.some_entries(&erasure.group, after)?;
        let Some(last) = some.last().map(|kept| kept.version) else { return Ok(None) };
        let (mut redacted, mut rows) = (Vec::new(), Rows::default());
        for kept in some {
            let damaged = |error: farebox_store::codec::Corrupt| StoreError::Corrupt {
                place: format!("entry {} of group \"{}\"", kept.version, erasure.group),
                found: error.to_string(),
            };
            let Some(bytes) = redactor.entry(&kept.record).map_err(damaged)? else { continue };
            let facts = Entry::from_record(&bytes).map_err(damaged)?.facts;
            // Lines and postings follow from the facts alone.
            let own = rows_of(kept.version, &facts, &Group::default());
            rows.merge(&Rows { lines: own.lines, postings: own.postings, ..Rows::default() });
            let piece = Piece::Entry { group: erasure.group.clone(), version: kept.version };
            redacted.push(of_piece(piece, erasure, &kept.record, bytes));
        }
        let entries = erasure.entries + redacted.len() as u64;
        self.keep_redacted(Erasure { entries, ..erasure.clone() }, redacted, rows)?;
        Ok(Some(last))
    }

    /// What people read of the account itself, once its entries are redacted.
    fn erase_account_row(&mut self, erasure: &Erasure) -> Result<(), StoreError> {
        self.groups.read_again(&erasure.group);
        self.load(&erasure.group)?;
        let group = self.groups.get(&erasure.group);
        let Some((group, head)) = group.and_then(|group| Some((group, &group.get(&erasure.account)?.head)))
        else {
            return Ok(());
        };
        let rows = rows_of(0, &[Fact::AccountOpened(Box::new(head.clone()))], group);
        self.keep_redacted(erasure.clone(), Vec::new(), rows)
    }

    /// What was said of usage that was mended, as [`Service::erase_entries`].
    fn erase_deeds(
        &mut self,
        erasure: &Erasure,
        after: u64,
        redactor: &Redactor,
    ) -> Result<Option<u64>, StoreError> {
        let some = self.some_entries(DESK, after)?;
        let Some(last) = some.last().map(|kept| kept.version) else { return Ok(None) };
        let mut redacted = Vec::new();
        for kept in some {
            let damaged = |error: farebox_store::codec::Corrupt| StoreError::Corrupt {
                place: format!("entry {} of group \"{DESK}\"", kept.version),
                found: error.to_string(),
            };
            let Some(bytes) = redactor.deed(&kept.record).map_err(damaged)? else { continue };
            let piece = Piece::Entry { group: DESK.to_owned(), version: kept.version };
            redacted.push(of_piece(piece, erasure, &kept.record, bytes));
        }
        let entries = erasure.entries + redacted.len() as u64;
        self.keep_redacted(Erasure { entries, ..erasure.clone() }, redacted, Rows::default())?;
        Ok(Some(last))
    }

    /// Some blocks; those of one file of the archive are kept together.
    fn erase_blocks(
        &mut self,
        erasure: &Erasure,
        left: &mut VecDeque<u64>,
        redactor: &Redactor,
        shelf: &mut Option<(String, Vec<Redacted>, u64)>,
    ) -> Result<(), StoreError> {
        let Some(store) = self.groups.store() else { return Ok(()) };
        let (mut redacted, mut events, mut files) = (Vec::new(), 0, 0);
        for _ in 0..BLOCKS_EACH {
            let next = left.front().copied();
            let file = match next {
                Some(number) => store.file_of(crate::log::PARTITION, number)?,
                None => None,
            };
            // The file before is done.
            if let Some((_, of_file, in_file)) = shelf.take_if(|(name, ..)| Some(&*name) != file.as_ref()) {
                files += u64::from(!of_file.is_empty());
                events += in_file;
                redacted.extend(of_file);
                break;
            }
            let Some(number) = left.pop_front() else { break };
            let Some(block) = store.block(crate::log::PARTITION, number)? else { continue };
            let found = redactor.block(&block.bytes).map_err(|error| StoreError::Corrupt {
                place: format!("block {number}"),
                found: error.to_string(),
            })?;
            let one = found.map(|(bytes, count)| (of_block(&block, erasure, bytes), count));
            match file {
                Some(file) => {
                    let (_, of_file, in_file) = shelf.get_or_insert((file, Vec::new(), 0));
                    *in_file += one.as_ref().map_or(0, |(_, count)| *count);
                    of_file.extend(one.map(|(one, _)| one));
                }
                None => {
                    events += one.as_ref().map_or(0, |(_, count)| *count);
                    redacted.extend(one.map(|(one, _)| one));
                }
            }
        }
        let erasure = Erasure {
            blocks: erasure.blocks + redacted.len() as u64,
            events: erasure.events + events,
            files: erasure.files + files,
            ..erasure.clone()
        };
        self.keep_redacted(erasure, redacted, Rows::default())?;
        self.counters.read_again();
        Ok(())
    }

    /// Answers whether more may be left.
    fn erase_answers(&mut self, erasure: &Erasure) -> Result<bool, StoreError> {
        let Some(store) = self.groups.store() else { return Ok(false) };
        let mut gone = Vec::new();
        store.answers(&format!("{}/", erasure.account), &mut |answer| {
            if gone.len() < ANSWERS_EACH {
                gone.push(answer.key);
            }
            Ok(())
        })?;
        // What was answered about quarantine can name a number, and does not say whose it was.
        store.answers(&format!("{DESK}/"), &mut |answer| {
            let is_reason = answer.bytes.windows(SENTENCE.len()).any(|bytes| bytes == SENTENCE);
            if is_reason && gone.len() < ANSWERS_EACH {
                gone.push(answer.key);
            }
            Ok(())
        })?;
        if gone.is_empty() {
            return Ok(false);
        }
        let erasure = Erasure { answers: erasure.answers + gone.len() as u64, ..erasure.clone() };
        let batch = Batch { answers_gone: gone, erasures: vec![erasure], ..Batch::default() };
        self.groups.redact(&batch)?;
        Ok(true)
    }

    /// What is derived is made anew without the account; nothing is left to redact then.
    fn erase_derived(&mut self, erasure: &Erasure) -> Result<(), StoreError> {
        let (account, group) = (erasure.account.as_str(), erasure.group.as_str());
        self.refresh(group)?;
        self.inbox.forget_account(account);
        let Some(store) = self.groups.store() else { return Ok(()) };
        self.counters.quarantine().forget(store, &[group, account], account)?;
        let rows = self.counters.keep_group(group, |payer| self.schedule.late_of(payer));
        self.groups.add_derived(rows);
        self.groups.add_erasure(Erasure { secret: None, ..erasure.clone() });
        self.commit()
    }

    fn end_erasure(&mut self, erasure: Erasure) -> Result<(), StoreError> {
        let Some(store) = self.groups.store() else { return Ok(()) };
        let digest = digest_in(store, &erasure.account)?;
        let command = ended(&erasure, digest);
        let at = self.clock;
        let decided = Decided { actor: &erasure.actor, command: &command, at };
        self.groups.note_deed_in(&erasure.group, decided)?;
        let (digest, ended, secret) = (Some(digest), Some(at), None);
        self.groups.add_erasure(Erasure { ended, secret, digest, ..erasure.clone() });
        self.commit()
    }

    fn keep_redacted(
        &mut self,
        erasure: Erasure,
        redacted: Vec<Redacted>,
        rows: Rows,
    ) -> Result<(), StoreError> {
        if redacted.is_empty() && rows == Rows::default() {
            return Ok(());
        }
        self.groups.redact(&Batch { redacted, rows, erasures: vec![erasure], ..Batch::default() })
    }
}

/// How an answer says why usage cannot be billed.
const SENTENCE: &[u8] = b"\"sentence\":";

fn of_piece(piece: Piece, erasure: &Erasure, before: &[u8], bytes: Vec<u8>) -> Redacted {
    Redacted { piece, erasure: erasure.account.clone(), before: Hash::of(before), bytes }
}

fn of_block(block: &Block, erasure: &Erasure, bytes: Vec<u8>) -> Redacted {
    let piece = Piece::Block { partition: block.partition, number: block.number };
    of_piece(piece, erasure, &block.bytes, bytes)
}
