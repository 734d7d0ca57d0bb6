//! Billing groups over a store: loaded when they are asked for, decided on in memory, committed many at once.
//!
//! A group's commands are decided on facts that are not committed yet; whoever waits for an answer waits for
//! [`Groups::commit`]. A commit that fails takes back everything that was decided since the one before: the groups
//! are loaded anew.

mod quiet;

use crate::schedule::Undone;
use farebox_core::account::{Account, Group};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Catalogues, Command, Duty, Fact, Refusal, decide};
use farebox_core::metering::Metering;
use farebox_store::{
    AccessKey, Answer, Append, Archive, Batch, Block, CatalogueText, Derivations, Derived, Entry, Erasure,
    Hash, Head, Position, Seen, Store, StoreError, Told, rows_of,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a decision knows besides the group.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Price lists.
    pub catalogues: &'a Catalogues,
    /// Counted usage.
    pub metering: &'a Metering,
    /// How far of the usage log that is.
    pub counted: Position,
}

/// Who wishes something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The name of a key, or `clock`.
    pub actor: &'a str,
    /// The wish as it was written; of the clock, the name of the duty.
    pub command: &'a str,
    /// When it is recorded.
    pub at: Instant,
}

/// The group of what concerns no account: price lists, keys, usage taken back. No account can have its name.
pub const DESK: &str = "*";

/// Who wishes what time does.
pub const CLOCK: &str = "clock";

/// Why a command has no facts.
#[derive(Clone, Debug, PartialEq)]
pub enum Failed {
    /// It was refused; nothing has happened.
    Refused(Refusal),
    /// Something that was due for its group before cannot be done; nothing has happened.
    Undone(Box<Undone>),
    /// The account is erased; nothing has happened.
    Erased(String),
    /// The store failed; nothing has happened.
    Store(StoreError),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Refused(refusal) => refusal.fmt(f),
            Failed::Undone(undone) => undone.fmt(f),
            Failed::Erased(account) => write!(f, "{account} is erased: nothing can be done for it any more"),
            Failed::Store(error) => error.fmt(f),
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error)
    }
}

/// The end of a group's chain with all entries that were made ready to be kept. Whoever keeps them chains them: that is
/// work, and the one who decides does not need its result.
type ChainEnd = Arc<Mutex<Hash>>;

/// A group in memory.
struct Open {
    state: Group,
    /// How many entries it has, with those that are not committed yet.
    version: u64,
    end: ChainEnd,
    /// Whether it was asked for since it was last looked at for being let go of.
    is_used: bool,
}

impl Open {
    fn new(state: Group, head: Head) -> Open {
        Open { state, version: head.version, end: Arc::new(Mutex::new(head.hash)), is_used: true }
    }

    /// The next entry, with its state after it.
    fn wait(&mut self, group: &str, entry: &Entry) -> Waiting {
        let append = append_to(group, self.version, entry, &self.state);
        self.version += 1;
        Waiting { append, end: self.end.clone() }
    }
}

/// A group that someone decides on who does not have the others.
pub(crate) struct Lent {
    state: Group,
    version: u64,
}

/// What was decided on a group, and applied to it.
pub(crate) struct Made {
    /// What follows.
    facts: Vec<Fact>,
    /// Of the group, before and after.
    holds: (usize, usize),
    /// To be kept; nothing where nothing follows.
    append: Option<Append>,
}

impl Lent {
    /// The group.
    pub(crate) fn group(&self) -> &Group {
        &self.state
    }

    /// Decides a command of time on it, and applies what follows. [`Groups::keep`] follows when it is its turn.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has happened then.
    pub(crate) fn execute(
        &mut self,
        world: World<'_>,
        command: &Command,
        decided: Decided<'_>,
    ) -> Result<Made, Refusal> {
        let payer = command.account.as_str();
        let facts = decide(&self.state, world.catalogues, world.metering, command, decided.at)?;
        let before = holds_of(&self.state, payer);
        apply(&mut self.state, &facts)?;
        let holds = (before, holds_of(&self.state, payer));
        if facts.is_empty() {
            return Ok(Made { facts, holds, append: None });
        }
        let entry = entry_of(world.counted, command, decided, facts);
        let append = append_to(payer, self.version, &entry, &self.state);
        Ok(Made { facts: entry.facts, holds, append: Some(append) })
    }
}

/// Facts fit the state that they were decided on: the decision has made every sum that they make.
fn apply(state: &mut Group, facts: &[Fact]) -> Result<(), Refusal> {
    facts.iter().try_for_each(|fact| state.apply(fact)).map_err(|_| Refusal::OutOfRange)
}

fn entry_of(counted: Position, command: &Command, decided: Decided<'_>, facts: Vec<Fact>) -> Entry {
    Entry {
        recorded_at: decided.at,
        effective_at: command.effective_at,
        actor: decided.actor.to_owned(),
        command: decided.command.to_owned(),
        counted,
        facts,
    }
}

/// The next entry of a group that has so many, with its state after it. What it comes after is said when it is chained.
fn append_to(group: &str, version: u64, entry: &Entry, after: &Group) -> Append {
    let rows = rows_of(version + 1, &entry.facts, after);
    Append::new(group, Head { version, hash: Hash([0; 32]) }, entry, rows)
}

/// An entry that is not in its chain yet.
struct Waiting {
    append: Append,
    end: ChainEnd,
}

/// Chains entries, in the order in which they were decided.
fn chained(waiting: Vec<Waiting>) -> Vec<Append> {
    let chain = |Waiting { mut append, end }: Waiting| {
        // A thread that panicked in here has kept nothing.
        let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
        append.after.hash = *end;
        *end = append.head().hash;
        append
    };
    waiting.into_iter().map(chain).collect()
}

/// Billing groups, by the name of the account that pays.
pub struct Groups {
    /// `None`: nothing is kept, and a group lives as long as this does.
    store: Option<Box<dyn Store>>,
    open: BTreeMap<String, Open>,
    /// Who pays for each account that is a member of another's group.
    payers: BTreeMap<String, String>,
    pending: Batch,
    /// Entries that belong to it.
    waiting: Vec<Waiting>,
    /// Answers that are pending or on their way.
    answers: HashMap<String, Answer>,
    /// Groups that were decided on since the last commit.
    changed: BTreeSet<String>,
    /// Groups that were decided on before, whose entries are on their way.
    on_the_way: BTreeSet<String>,
    /// Accounts that are erased, or being erased.
    erasures: BTreeMap<String, Erasure>,
    /// Open holds of the groups in memory.
    holds: usize,
    /// The group that was looked at last for being let go of.
    looked_at: String,
}

/// Open holds of a group.
fn holds_of(group: &Group, payer: &str) -> usize {
    group.get(payer).map_or(0, |payer| payer.holds.open())
}

impl Groups {
    /// Groups that nobody keeps.
    pub fn unkept() -> Groups {
        Groups {
            store: None,
            open: BTreeMap::new(),
            payers: BTreeMap::new(),
            pending: Batch::default(),
            waiting: Vec::new(),
            answers: HashMap::new(),
            changed: BTreeSet::new(),
            on_the_way: BTreeSet::new(),
            erasures: BTreeMap::new(),
            holds: 0,
            looked_at: String::new(),
        }
    }

    /// The groups of a store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: Box<dyn Store>) -> Result<Groups, StoreError> {
        let payers = store.members()?.into_iter().collect();
        let erasures = erasures_in(&*store)?;
        Ok(Groups { store: Some(store), payers, erasures, ..Groups::unkept() })
    }

    /// Accounts that are erased, or being erased.
    pub fn erasures(&self) -> &BTreeMap<String, Erasure> {
        &self.erasures
    }

    /// Keeps an erasure as it is now with the next commit.
    pub(crate) fn add_erasure(&mut self, erasure: Erasure) {
        self.pending.erasures.push(erasure.clone());
        self.erasures.insert(erasure.account.clone(), erasure);
    }

    /// Keeps what an erasure has redacted, at once: nothing else waits to be committed, and none is on its way.
    pub(crate) fn redact(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        store.commit(batch)?;
        self.erasures.extend(batch.erasures.iter().map(|one| (one.account.clone(), one.clone())));
        Ok(())
    }

    /// Forgets a group in memory: its entries are others now.
    pub(crate) fn read_again(&mut self, payer: &str) {
        self.let_go(payer);
    }

    /// Overwrites what is left of what was removed: see [`Store::sweep`].
    pub(crate) fn sweep(&mut self) -> Result<bool, StoreError> {
        self.store.as_mut().map_or(Ok(true), |store| store.sweep())
    }

    /// The account that pays for an account: its master, or itself.
    pub fn payer_of<'n>(&'n self, account: &'n str) -> &'n str {
        self.payers.get(account).map_or(account, String::as_str)
    }

    /// The group that a command is about: where it opens an account, the one that this is to be in. The account's
    /// own group must have been loaded, if there is one.
    pub fn payer_to_be<'n>(&'n self, command: &'n Command) -> &'n str {
        match &command.action {
            // An account that is open already is in the group that it was opened in.
            Action::Open { payer: Some(payer), .. } if self.account(&command.account).is_none() => {
                self.payer_of(payer)
            }
            _ => self.payer_of(&command.account),
        }
    }

    /// A group that is in memory, by the account that pays.
    pub fn get(&self, payer: &str) -> Option<&Group> {
        self.open.get(payer).map(|open| &open.state)
    }

    /// Whether all that was decided on a group is in the store.
    pub(crate) fn is_kept(&self, payer: &str) -> bool {
        !self.changed.contains(payer) && !self.on_the_way.contains(payer)
    }

    /// How many entries a group that is in memory has, with those that are not committed yet.
    pub fn version(&self, payer: &str) -> u64 {
        self.open.get(payer).map_or(0, |open| open.version)
    }

    /// An account of a group that is in memory.
    pub fn account(&self, account: &str) -> Option<&Account> {
        self.get(self.payer_of(account))?.get(account)
    }

    /// The groups in memory, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.open.values().map(|open| &open.state)
    }

    /// Loads a group by applying its facts, if it is not in memory and not new.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its entries are not those that were written; others when the store fails.
    pub fn load(&mut self, payer: &str) -> Result<Option<&Group>, StoreError> {
        if !self.open.contains_key(payer)
            && let Some(store) = &self.store
            && let Some(open) = read(&**store, payer)?
        {
            self.holds += holds_of(&open.state, payer);
            self.open.insert(payer.to_owned(), open);
        }
        Ok(self.get(payer))
    }

    /// Looks at a group. One that is not in memory is not kept there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its entries are not those that were written; others when the store fails.
    pub fn look<T>(&self, payer: &str, at: impl FnOnce(&Group) -> T) -> Result<Option<T>, StoreError> {
        if let Some(group) = self.get(payer) {
            return Ok(Some(at(group)));
        }
        let Some(store) = &self.store else { return Ok(None) };
        Ok(read(&**store, payer)?.map(|open| at(&open.state)))
    }

    /// Decides a command, and applies what follows. It is kept with the next [`Groups::commit`].
    ///
    /// # Errors
    /// [`Failed`]; nothing has happened then.
    pub fn execute(
        &mut self,
        world: World<'_>,
        command: &Command,
        decided: Decided<'_>,
    ) -> Result<Vec<Fact>, Failed> {
        let payer = self.payer_of(&command.account).to_owned();
        self.load(&payer)?;
        let payer = self.payer_to_be(command).to_owned();
        self.load(&payer)?;
        let none = Group::default();
        let known = self.open.get(&payer);
        let state = known.map_or(&none, |open| &open.state);
        let facts = decide(state, world.catalogues, world.metering, command, decided.at)?;
        if facts.is_empty() {
            return Ok(facts);
        }
        let new = || Open::new(Group::default(), Head::of_new(&payer));
        let open = self.open.entry(payer.clone()).or_insert_with(new);
        let holds = holds_of(&open.state, &payer);
        apply(&mut open.state, &facts)?;
        self.holds = (self.holds + holds_of(&open.state, &payer)).saturating_sub(holds);
        if self.store.is_some() {
            let entry = entry_of(world.counted, command, decided, facts);
            self.waiting.push(open.wait(&payer, &entry));
            self.changed.insert(payer.clone());
            self.note_member(&command.account, &payer, &entry.facts);
            return Ok(entry.facts);
        }
        self.note_member(&command.account, &payer, &facts);
        Ok(facts)
    }

    /// Lends a group that is in memory. [`Groups::give_back`] follows before anything is asked about it.
    pub(crate) fn lend(&mut self, payer: &str) -> Option<Lent> {
        let open = self.open.get_mut(payer)?;
        Some(Lent { state: std::mem::take(&mut open.state), version: open.version })
    }

    /// Takes back a group that was lent.
    pub(crate) fn give_back(&mut self, payer: &str, lent: Lent) {
        if let Some(open) = self.open.get_mut(payer) {
            open.state = lent.state;
        }
    }

    /// Keeps with the next commit what was decided on a group while it was lent, as [`Groups::execute`] does. `counted`:
    /// how far usage is counted by now.
    pub(crate) fn keep(
        &mut self,
        counted: Position,
        command: &Command,
        decided: Decided<'_>,
        made: Made,
    ) -> Vec<Fact> {
        let Made { mut facts, holds: (before, after), append } = made;
        self.holds = (self.holds + after).saturating_sub(before);
        if let Some(mut append) = append
            && let Some(open) = self.open.get_mut(&command.account)
        {
            if append.counted != counted {
                // What came before it in turn has written to the usage log.
                let entry = entry_of(counted, command, decided, facts);
                (append.record, append.counted) = (entry.to_record(), counted);
                facts = entry.facts;
            }
            open.version += 1;
            self.waiting.push(Waiting { append, end: open.end.clone() });
            if !self.changed.contains(&command.account) {
                self.changed.insert(command.account.clone());
            }
        }
        facts
    }

    /// Writes down something that was done and that no account's facts tell: who wished what, and when. It is kept
    /// with the next [`Groups::commit`], in a chain as that of any group.
    ///
    /// # Errors
    /// When the store fails.
    pub fn note_deed(&mut self, decided: Decided<'_>) -> Result<(), StoreError> {
        self.note_deed_in(DESK, decided)
    }

    /// The same in the chain of a group.
    pub(crate) fn note_deed_in(&mut self, group: &str, decided: Decided<'_>) -> Result<(), StoreError> {
        if self.store.is_none() {
            return Ok(());
        }
        self.load(group)?;
        let new = || Open::new(Group::default(), Head::of_new(group));
        let open = self.open.entry(group.to_owned()).or_insert_with(new);
        let entry = Entry {
            recorded_at: decided.at,
            effective_at: decided.at,
            actor: decided.actor.to_owned(),
            command: decided.command.to_owned(),
            counted: Position::default(),
            facts: Vec::new(),
        };
        self.waiting.push(open.wait(group, &entry));
        self.changed.insert(group.to_owned());
        Ok(())
    }

    fn note_member(&mut self, account: &str, payer: &str, facts: &[Fact]) {
        let opened = facts.iter().any(|fact| matches!(fact, Fact::AccountOpened(_)));
        if opened && payer != account {
            self.payers.insert(account.to_owned(), payer.to_owned());
        }
    }

    /// Keeps an answer with the next commit.
    pub fn add_answer(&mut self, answer: Answer) {
        self.answers.insert(answer.key.clone(), answer.clone());
        self.pending.answers.push(answer);
    }

    /// Keeps an access key as it is now with the next commit.
    pub fn add_key(&mut self, key: AccessKey) {
        self.pending.keys.push(key);
    }

    /// Keeps a price list with the next commit.
    pub fn add_catalogue(&mut self, catalogue: CatalogueText) {
        self.pending.catalogues.push(catalogue);
    }

    /// The answer that was given under a key, or waits to be committed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        match (self.answers.get(key), &self.store) {
            (Some(answer), _) => Ok(Some(answer.clone())),
            (None, Some(store)) => store.answer(key),
            (None, None) => Ok(None),
        }
    }

    /// Keeps a block of usage with the next commit.
    pub fn add_block(&mut self, block: Block) {
        self.pending.blocks.push(block);
    }

    /// Keeps what follows from entries and blocks with the next commit.
    pub fn add_derived(&mut self, derived: Vec<Derived>) {
        self.pending.derived.extend(derived);
    }

    /// Whether something waits to be committed.
    pub fn is_pending(&self) -> bool {
        let Batch { appends, blocks, catalogues, due: _, answers, keys, clock, derived, .. } = &self.pending;
        let Batch { horizon, redacted, rows: _, answers_gone, erasures, .. } = &self.pending;
        let is_empty = appends.is_empty()
            && self.waiting.is_empty()
            && blocks.is_empty()
            && catalogues.is_empty()
            && answers.is_empty();
        let is_empty = is_empty && redacted.is_empty() && answers_gone.is_empty() && erasures.is_empty();
        !(is_empty && keys.is_empty() && derived.is_empty() && clock.is_none() && horizon.is_none())
    }

    /// Adds the clock to the next commit, also where nothing else is in it.
    pub fn add_clock(&mut self, at: Instant) {
        self.pending.clock = Some(at);
    }

    /// Moves the retention horizon with the next commit.
    pub(crate) fn add_horizon(&mut self, at: Instant) {
        self.pending.horizon = Some(at);
    }

    /// What was decided since the last commit, with what is due next for each group, and for those in `touched`.
    fn take_batch(
        &mut self,
        touched: BTreeSet<String>,
        clock: Instant,
        due: impl Fn(&str, &Group) -> Option<(Instant, Duty)>,
    ) -> Batch {
        let mut batch = std::mem::take(&mut self.pending);
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(touched);
        let next = |name: &String| Some((name.clone(), due(name, &self.open.get(name)?.state)));
        batch.clock = Some(clock);
        batch.due = changed.iter().filter_map(next).collect();
        batch
    }

    /// Commits what was decided since the last commit, with what is due next for each group, and for those in
    /// `touched`.
    ///
    /// # Errors
    /// When the store fails. What was not committed is forgotten then, as if it had never been decided.
    pub fn commit(
        &mut self,
        touched: BTreeSet<String>,
        clock: Instant,
        due: impl Fn(&str, &Group) -> Option<(Instant, Duty)>,
    ) -> Result<(), StoreError> {
        if !self.is_pending() {
            return Ok(());
        }
        let mut batch = self.take_batch(touched, clock, due);
        batch.appends = chained(std::mem::take(&mut self.waiting));
        let Some(store) = &mut self.store else { return Ok(()) };
        let committed = store.commit(&batch);
        self.answers.clear();
        if committed.is_err() {
            let (members, erasures) = (store.members(), erasures_in(&**store));
            batch.due.iter().for_each(|(name, _)| self.let_go(name));
            self.payers = members?.into_iter().collect();
            self.erasures = erasures?;
        }
        committed
    }

    /// The same on another thread, where the store has one; then tells. `more`: blocks of the usage log that belong to it,
    /// and what is derived besides. Where it fails, [`Groups::forget`] is to follow.
    pub(crate) fn commit_then(
        &mut self,
        more: impl FnOnce(&dyn Derivations) -> Result<(Vec<Block>, Vec<Derived>), StoreError> + Send + 'static,
        touched: BTreeSet<String>,
        clock: Instant,
        due: impl Fn(&str, &Group) -> Option<(Instant, Duty)>,
        then: Told,
    ) {
        self.on_the_way = self.changed.clone();
        let mut batch = self.take_batch(touched, clock, due);
        let waiting = std::mem::take(&mut self.waiting);
        let Some(store) = &mut self.store else { return then(Ok(())) };
        let prepare = move |kept: &dyn Derivations| {
            let (blocks, derived) = more(kept)?;
            (batch.appends, batch.blocks) = (chained(waiting), blocks);
            batch.derived.extend(derived);
            Ok(batch)
        };
        store.commit_then(Box::new(prepare), then);
    }

    /// What was committed is in the store.
    pub(crate) fn landed(&mut self) {
        self.on_the_way.clear();
        self.answers.clear();
        for answer in &self.pending.answers {
            self.answers.insert(answer.key.clone(), answer.clone());
        }
    }

    fn let_go(&mut self, payer: &str) {
        if let Some(open) = self.open.remove(payer) {
            self.holds = self.holds.saturating_sub(holds_of(&open.state, payer));
        }
    }

    /// How many groups are in memory.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no group is in memory.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Open holds of the groups in memory.
    pub fn open_holds(&self) -> usize {
        self.holds
    }

    /// Forgets the groups in memory, and what waits to be committed: the store has all that counts. Nothing happens
    /// where there is no store.
    pub fn forget(&mut self) {
        if self.store.is_some() {
            self.open.clear();
            self.holds = 0;
            self.changed.clear();
            self.on_the_way.clear();
            self.pending = Batch::default();
            self.waiting.clear();
            self.answers.clear();
        }
        // Where the store fails, what comes next says so.
        if let Some(erasures) = self.store.as_deref().and_then(|store| erasures_in(store).ok()) {
            self.erasures = erasures;
        }
    }

    /// Loads every group of the store.
    ///
    /// # Errors
    /// As [`Groups::load`].
    pub fn load_all(&mut self) -> Result<(), StoreError> {
        let names: Vec<String> = match &self.store {
            Some(store) => store.groups()?.into_iter().map(|head| head.group).collect(),
            None => Vec::new(),
        };
        names.iter().try_for_each(|name| self.load(name).map(drop))
    }

    /// The store.
    pub fn store(&self) -> Option<&dyn Store> {
        self.store.as_deref()
    }

    /// Lets go of blocks of usage that an archive has.
    pub(crate) fn put_away(&mut self, archive: &Archive) -> Result<(), StoreError> {
        self.store.as_mut().map_or(Ok(()), |store| store.put_away(archive))
    }
}

/// The erasures of a store, by account.
fn erasures_in(store: &dyn Store) -> Result<BTreeMap<String, Erasure>, StoreError> {
    Ok(store.erasures()?.into_iter().map(|one| (one.account.clone(), one)).collect())
}

/// A group as its entries make it; each must be the next in its chain.
fn read(store: &dyn Store, payer: &str) -> Result<Option<Open>, StoreError> {
    let Some(known) = store.group(payer)? else { return Ok(None) };
    let (mut state, mut head) = (Group::default(), Head::of_new(payer));
    let damaged = |version: u64, found: String| StoreError::Corrupt {
        place: format!("entry {version} of group \"{payer}\""),
        found,
    };
    store.entries(payer, 0, &mut |kept| {
        head = kept.after(head).ok_or_else(|| {
            damaged(head.version + 1, "its hash does not follow from the one before".to_owned())
        })?;
        let entry = Entry::from_record(&kept.record);
        let entry = entry.map_err(|error| damaged(kept.version, error.to_string()))?;
        let mut facts = entry.facts.iter();
        facts.try_for_each(|fact| state.apply(fact)).map_err(|error| damaged(kept.version, error.0))?;
        Ok(Seen::More)
    })?;
    if head != known.head {
        return Err(damaged(head.version + 1, "it is missing".to_owned()));
    }
    Ok(Some(Open::new(state, head)))
}
