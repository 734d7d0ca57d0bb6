//! One process that owns a store: commands, usage and the schedule in one place.
//!
//! Whatever is asked of it is decided at once and durable after [`Service::commit`]; the caller answers nobody before
//! that. It reads no clock: [`Service::advance`] says what time it is, and does what has fallen due on the way.

mod ahead;
mod commit;
mod erasure;
mod loading;
mod prices;
mod time;

pub use time::Figures;

use crate::groups::{Decided, Failed, Groups, World};
use crate::identities::RECENT_MAX;
use crate::inbox::{Inbox, Received};
use crate::parcel::Parcel;
use crate::runs::Runs;
use crate::schedule::Schedule;
use crate::usage::{BLOCKS_WORTH, Counters, Payer, RECORDS_MIN, When};
use crate::verify::{Finding, Verified, verify};
use ahead::Ahead;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Catalogues, Command, Duty, Fact, Late, holds};
use farebox_core::hold::Hold;
use farebox_core::metering::{Event, Metering};
use farebox_core::money::Exact;
use farebox_store::usage::Usage;
use farebox_store::{AccessKey, AccountRow, Answer, Archive, CatalogueText, Entry, Seen, Store, StoreError};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use time::{Told, Watch, may_make_due};

mod events;
mod quarantine;

pub use erasure::NotErased;
pub(crate) use erasure::{began as erasure_began, ended as erasure_ended};
pub use events::{Events, Kept};
pub use prices::Unpublished;
pub(crate) use prices::worked_out_to;
pub use quarantine::Standing;

/// A group, and what decisions about it know.
pub struct Known<'s> {
    /// The group.
    pub group: &'s Group,
    /// The price lists.
    pub catalogues: &'s Catalogues,
    /// What its accounts have used.
    pub metering: Cow<'s, Metering>,
    /// The earliest time of usage counted since the last settlement.
    pub late: Late,
    /// What time it is.
    pub at: Instant,
}

/// How often what follows from the usage log is kept, and what stays in memory. Less often costs less while usage comes in, and more when a store
/// is opened: the log is read from where it was last kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Identities that are in memory, before they make a run in the store; at most 48 bytes each.
    pub identities: usize,
    /// Records after which counters are kept, at least.
    pub records: u64,
    /// Blocks to be read to count for one group, from which on others are counted with it.
    pub blocks: usize,
    /// Groups that are in memory, besides those that are in use.
    pub groups: usize,
}

/// Groups in memory, if nobody says; after a month's end some 27 KiB each.
const GROUPS_MAX: usize = 100_000;

impl Default for Pace {
    fn default() -> Pace {
        Pace { identities: RECENT_MAX, records: RECORDS_MIN, blocks: BLOCKS_WORTH, groups: GROUPS_MAX }
    }
}

/// Pieces of usage that are received as of one moment of the store.
const MANY: usize = 64;

/// A store in use.
pub struct Service {
    pace: Pace,
    /// The store failed in the middle of something since the last commit: none of it may be kept.
    failed: Option<StoreError>,
    /// Tells whether the commit that is on its way is kept.
    on_the_way: Option<Receiver<Result<(), StoreError>>>,
    /// Is told when it is kept or has failed.
    landed: Option<Arc<dyn Fn() + Send + Sync>>,
    catalogues: Arc<Catalogues>,
    published: prices::Before,
    groups: Groups,
    counters: Counters,
    inbox: Inbox,
    schedule: Schedule,
    runs: Runs,
    /// What time it is for people who ask when something was done; nothing else depends on it.
    watch: Option<Watch>,
    told: Option<Told>,
    /// Up to which group what is due is worked out with the price lists as they are now; `None`: for all.
    due_anew: Option<String>,
    /// The erasure that goes on.
    erasing: Option<erasure::Erasing>,
    clock: Instant,
    /// Up to here everything due was done, and kept.
    reached: Instant,
    ahead: Ahead,
}

impl Service {
    /// Opens a store, with the price lists that are published in it. `clock`: what time it is; where the store has
    /// seen a later time, that one, so that time never goes back.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(
        store: Box<dyn Store>,
        catalogues: Catalogues,
        clock: Instant,
    ) -> Result<Service, StoreError> {
        let heads = store.groups()?;
        let due = heads.iter().filter_map(|head| Some((head.group.as_str(), head.due?)));
        let schedule = Schedule::of(due);
        let kept = store.clock()?;
        let clock = kept.map_or(clock, |known| known.max(clock));
        let groups = Groups::of(store)?;
        let (counters, inbox) = usage_of(&groups)?;
        let runs = groups.store().map_or(Ok(Runs::default()), Runs::of)?;
        let due_anew = groups.store().map_or(Ok(None), prices::worked_out_to)?;
        Ok(Service {
            pace: Pace::default(),
            failed: None,
            on_the_way: None,
            landed: None,
            catalogues: Arc::new(catalogues),
            published: prices::Before::default(),
            groups,
            counters,
            inbox,
            schedule,
            runs,
            watch: None,
            told: None,
            due_anew,
            erasing: None,
            clock,
            reached: kept.unwrap_or(clock),
            ahead: Ahead::default(),
        })
    }

    /// Sets how many threads decide what falls due together, as many as the machine has if nobody says: nothing but time
    /// depends on it.
    pub fn set_threads(&mut self, threads: usize) {
        self.ahead = Ahead::of(threads);
    }

    /// Sets how often what follows from the usage log is kept, and what stays in memory.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.inbox.set_recent_max(pace.identities);
        self.counters.set_pace(pace);
    }

    /// The moment that everything due has been done up to, except for groups with something [`Undone`].
    pub fn clock(&self) -> Instant {
        self.clock
    }

    /// The price lists.
    pub fn catalogues(&self) -> &Catalogues {
        &self.catalogues
    }

    /// The answer that was given under a key.
    ///
    /// # Errors
    /// When the store fails.
    pub fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        self.groups.answer(key)
    }

    /// Keeps an answer, with the next commit.
    pub fn keep_answer(&mut self, answer: Answer) {
        self.groups.add_answer(answer);
    }

    /// The access keys of the store, revoked ones too.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        self.groups.store().map_or(Ok(Vec::new()), Store::keys)
    }

    /// The price lists as they were published, in that order; those that are committed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn catalogue_texts(&self) -> Result<Vec<CatalogueText>, StoreError> {
        self.groups.store().map_or(Ok(Vec::new()), Store::catalogues)
    }

    /// The accounts after a name, in the order of their names, at most so many; those that are committed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn accounts(&self, after: &str, most: usize) -> Result<Vec<AccountRow>, StoreError> {
        self.groups.store().map_or(Ok(Vec::new()), |store| store.accounts(after, most))
    }

    /// Keeps an access key as it is now, with the next commit.
    pub fn keep_key(&mut self, key: AccessKey) {
        self.groups.add_key(key);
    }

    /// The account that pays for an account: its master, or itself.
    pub fn payer_of<'n>(&'n self, account: &'n str) -> &'n str {
        self.groups.payer_of(account)
    }

    /// How many entries the group of an account has: it tells one state of the group from another. 0 where there is
    /// no such group.
    ///
    /// # Errors
    /// When the store fails.
    pub fn version_of(&mut self, account: &str) -> Result<u64, StoreError> {
        let payer = self.groups.payer_of(account).to_owned();
        self.load(&payer)?;
        Ok(self.groups.version(&payer))
    }

    /// The group of an account, loaded where it has to be.
    ///
    /// # Errors
    /// When the store fails.
    pub fn group_of(&mut self, account: &str) -> Result<Option<&Group>, StoreError> {
        let payer = self.groups.payer_of(account).to_owned();
        self.load(&payer)?;
        Ok(self.groups.get(&payer))
    }

    /// Whether all that was decided on the group of an account is in the store.
    pub fn is_kept(&self, account: &str) -> bool {
        self.groups.is_kept(self.groups.payer_of(account))
    }

    /// Looks at the group of an account, and does not keep it in memory where it is not.
    ///
    /// # Errors
    /// When the store fails.
    pub fn look<T>(&self, account: &str, at: impl FnOnce(&Group) -> T) -> Result<Option<T>, StoreError> {
        self.groups.look(self.groups.payer_of(account), at)
    }

    /// The group of an account, with what a decision about it now would know.
    ///
    /// # Errors
    /// When the store fails.
    pub fn known(&mut self, account: &str) -> Result<Option<Known<'_>>, StoreError> {
        let payer = self.groups.payer_of(account).to_owned();
        self.load(&payer)?;
        self.refresh(&payer)?;
        let Some(group) = self.groups.get(&payer) else { return Ok(None) };
        Ok(Some(Known {
            group,
            catalogues: &self.catalogues,
            metering: Cow::Borrowed(self.counters.of_group(&payer)),
            late: self.schedule.late_of(&payer),
            at: self.clock,
        }))
    }

    /// The same for what is worked out as if something ended now: see [`Metering::as_of`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn known_as_of_now(&mut self, account: &str) -> Result<Option<Known<'_>>, StoreError> {
        let known = self.known(account)?;
        Ok(known.map(|known| Known { metering: Cow::Owned(known.metering.as_of(known.at)), ..known }))
    }

    /// The committed entries of an account's group after a version, at most so many, each with its version.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one of them cannot be read; others when the store fails.
    pub fn entries(&self, account: &str, after: u64, most: usize) -> Result<Vec<(u64, Entry)>, StoreError> {
        let Some(store) = self.groups.store() else { return Ok(Vec::new()) };
        let payer = self.groups.payer_of(account);
        let mut found = Vec::new();
        if most > 0 {
            store.entries(payer, after, &mut |kept| {
                let entry = Entry::from_record(&kept.record).map_err(|error| StoreError::Corrupt {
                    place: format!("entry {} of group \"{payer}\"", kept.version),
                    found: error.to_string(),
                })?;
                found.push((kept.version, entry));
                Ok(if found.len() < most { Seen::More } else { Seen::Enough })
            })?;
        }
        Ok(found)
    }

    /// Decides a command, and does what falls due with it at this very moment, so that nothing that follows depends on
    /// when it is asked for.
    ///
    /// # Errors
    /// [`Failed`]; nothing has happened then, except that what was due for the group before is done.
    pub fn execute(&mut self, command: &Command, decided: Decided<'_>) -> Result<Vec<Fact>, Failed> {
        if let Some(erased) = self.erased_by(command) {
            return Err(Failed::Erased(erased.to_owned()));
        }
        let payer = self.groups.payer_of(&command.account).to_owned();
        self.load(&payer)?;
        let payer = self.groups.payer_to_be(command).to_owned();
        self.load(&payer)?;
        self.do_due_of(&payer)?;
        let facts = self.decide(command, decided)?;
        if may_make_due(&command.action) {
            let followed = self.follow(&payer);
            self.note_failure(&followed);
            followed?;
        }
        debug_assert!(!self.is_due_at_once(&payer), "{command:?}");
        Ok(facts)
    }

    /// Decides a command of anyone, or of time.
    fn decide(&mut self, command: &Command, decided: Decided<'_>) -> Result<Vec<Fact>, Failed> {
        let payer = self.groups.payer_to_be(command).to_owned();
        if matches!(command.action, Action::Due { duty: Duty::Charges, .. }) {
            // What was tried again is decided as of a moment before others.
            self.counters.close_block(decided.at.max(self.clock));
        }
        self.refresh(&payer)?;
        let world = World {
            catalogues: &self.catalogues,
            metering: self.counters.of_group(&payer),
            counted: self.counters.position(),
        };
        let facts = self.groups.execute(world, command, decided)?;
        self.note_facts(&payer, command, decided, &facts)?;
        Ok(facts)
    }

    /// Notes what was decided on a group, and does what follows of it besides its facts.
    fn note_facts(
        &mut self,
        payer: &str,
        command: &Command,
        decided: Decided<'_>,
        facts: &[Fact],
    ) -> Result<(), StoreError> {
        let when = When { effective_at: command.effective_at, recorded_at: decided.at };
        self.counters.note(payer, self.groups.get(payer), facts, when);
        if matches!(command.action, Action::Due { duty: Duty::Charges, .. }) {
            self.counters.note_settlement(payer);
        }
        for fact in facts {
            if let Fact::Holds(holds::Fact::Ended { hold, .. }) = fact {
                let ended = self.end_session(payer, hold);
                self.note_failure(&ended);
                ended?;
            }
        }
        let looked = self.look_at_quarantine(payer, facts);
        self.note_failure(&looked);
        looked?;
        // Who uses a licence makes nothing due. What follows something due is worked out when it is noted as done, and
        // is kept with its facts.
        let is_known = match command.action {
            Action::Licences(_) => true,
            Action::Due { .. } => !facts.is_empty(),
            _ => false,
        };
        if !is_known {
            self.schedule.touch(payer);
        }
        Ok(())
    }

    /// What a session used is usage from now on, unless its record says it.
    fn end_session(&mut self, payer: &str, hold: &Hold) -> Result<(), StoreError> {
        let Some(ended) = hold.ended.filter(|_| !hold.used.is_zero()) else { return Ok(()) };
        let (event, times) = hold.event(hold.used, ended.at);
        let one = Usage::of(&event);
        let usage = if times == Exact::ONE {
            vec![one]
        } else {
            let times = u32::try_from(times.ceil().numerator()).unwrap_or(u32::MAX);
            (1..=times).map(|number| Usage { id: format!("{}.{number}", hold.id), ..one.clone() }).collect()
        };
        let Some(store) = self.groups.store() else { return Ok(()) };
        let payer_of = |account: &str| self.groups.payer_of(account).to_owned();
        self.inbox.end_session(&mut self.counters, store, &payer_of, &hold.id, usage)?;
        self.note_usage(payer);
        self.note_moved()
    }

    /// Receives a piece of usage.
    ///
    /// # Errors
    /// When the store fails.
    pub fn receive(&mut self, usage: &Usage) -> Result<Received, StoreError> {
        let mut received = Received::Void;
        self.receive_all(&Parcel::of(usage), &mut |_, became| received = became.clone())?;
        Ok(received)
    }

    /// Receives usage, in order, and tells of each piece what became of it.
    ///
    /// # Errors
    /// When the store fails. Nothing since the last commit is kept then.
    pub fn receive_all(
        &mut self,
        parcel: &Parcel,
        told: &mut dyn FnMut(&Event<'_>, &Received),
    ) -> Result<(), StoreError> {
        self.receive_together(&[parcel], &mut |_, event, received| told(event, received))
    }

    /// The same of some parcels, one after another; it is told, besides, which one a piece is of. What is known of a few
    /// events comes from memory while others are looked at: parcels of one event each are best received together.
    ///
    /// # Errors
    /// When the store fails. Nothing since the last commit is kept then, but where a group of the parcels cannot be read:
    /// nothing of these parcels is received then, and what was asked for before stands.
    pub fn receive_together(
        &mut self,
        parcels: &[&Parcel],
        told: &mut dyn FnMut(usize, &Event<'_>, &Received),
    ) -> Result<(), StoreError> {
        let payers = match self.payers_of(parcels) {
            Err(error @ StoreError::Corrupt { .. }) => return Err(error),
            payers => payers,
        };
        let received = payers.and_then(|payers| self.receive_some(parcels, &payers, told));
        self.note_failure(&received);
        received
    }

    /// Who pays for the accounts of parcels, one after another; their groups are loaded.
    fn payers_of(&mut self, parcels: &[&Parcel]) -> Result<Vec<Payer>, StoreError> {
        let accounts = || parcels.iter().flat_map(|parcel| parcel.accounts());
        let mut payers = Vec::with_capacity(accounts().count());
        let mut others = Vec::new();
        for account in accounts() {
            let payer = self.groups.payer_of(account);
            if self.counters.is_erased(account) {
                payers.push(self.counters.payer(payer).of_erased());
                continue;
            }
            match self.counters.ready(payer) {
                Some(ready) => payers.push(ready),
                None => {
                    others.push((payers.len(), payer.to_owned()));
                    payers.push(self.counters.payer(payer));
                }
            }
        }
        if !others.is_empty() {
            let names: Vec<&str> = others.iter().map(|(_, payer)| payer.as_str()).collect();
            self.load_all(&names)?;
            // What was just ordered measures from now on.
            let outdated: Vec<&str> =
                names.iter().copied().filter(|payer| self.counters.is_outdated(payer)).collect();
            self.refresh_all(&outdated)?;
            for (place, payer) in &others {
                payers[*place] = self.counters.payer(payer);
            }
        }
        Ok(payers)
    }

    fn receive_some(
        &mut self,
        parcels: &[&Parcel],
        payers: &[Payer],
        told: &mut dyn FnMut(usize, &Event<'_>, &Received),
    ) -> Result<(), StoreError> {
        let Some(store) = self.groups.store() else { return Ok(()) };
        let payer_of = |account: &str| self.groups.payer_of(account).to_owned();
        let (inbox, counters) = (&mut self.inbox, &mut self.counters);
        let mut receive = || inbox.receive(counters, store, parcels, payers, &payer_of, told);
        // Of many, some are looked up in the store.
        if parcels.iter().map(|parcel| parcel.len()).sum::<usize>() < MANY {
            receive()?
        } else {
            store.together(&mut receive)?
        }
        self.note_moved()
    }

    /// Notes that usage was taken back from groups that nobody may have asked for.
    fn note_moved(&mut self) -> Result<(), StoreError> {
        for payer in self.inbox.take_moved() {
            self.load(&payer)?;
            self.note_usage(&payer);
        }
        Ok(())
    }

    /// Tells the schedule what usage was counted since it was told last.
    fn tell_schedule(&mut self) {
        for payer in self.counters.take_noted() {
            self.note_usage(&payer);
        }
        // What could not be settled with usage that is taken back may be settled without.
        for payer in self.counters.take_taken_back() {
            self.schedule.again(&payer);
        }
    }

    /// Takes usage back, and what comes later under its identity. Answers whether there was any. Nothing is done to what
    /// is [`Service::closed`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn void(&mut self, source: &str, id: &str) -> Result<bool, StoreError> {
        if self.closed(source, id)?.is_some() {
            return Ok(false);
        }
        self.settle_conflicts(source, id)?;
        let Some(store) = self.groups.store() else { return Ok(false) };
        let payer_of = |account: &str| self.groups.payer_of(account).to_owned();
        let Some(whose) = self.inbox.whose(&self.counters, store, source, id)? else {
            self.inbox.void(&mut self.counters, store, &payer_of, None, (source, id))?;
            return Ok(false);
        };
        if self.counters.is_erased(&whose.usage.account) {
            // What was billed stays, and what comes later is not taken.
            return Ok(false);
        }
        let payer = self.groups.payer_of(&whose.usage.account).to_owned();
        self.load(&payer)?;
        let Some(store) = self.groups.store() else { return Ok(false) };
        let payer_of = |account: &str| self.groups.payer_of(account).to_owned();
        self.inbox.void(&mut self.counters, store, &payer_of, Some(whose), (source, id))?;
        self.note_usage(&payer);
        self.note_moved()?;
        Ok(true)
    }

    /// The retention horizon: usage timed before it that comes is in quarantine, and what was counted of before stays as
    /// it is. `None`: there is none.
    pub fn horizon(&self) -> Option<Instant> {
        Some(self.inbox.horizon()).filter(|at| *at > Instant::MIN)
    }

    /// Moves the retention horizon forward, with the next commit; where it is further already, it stays. Answers whether
    /// it is there: it waits for what is due before, and cannot be done.
    pub fn move_horizon(&mut self, to: Instant) -> bool {
        if self.horizon().is_some_and(|at| at >= to) {
            return true;
        }
        let next = self.schedule().from(None).next().map(|due| due.at);
        let undone = self.schedule.undone().map(|undone| undone.due.at);
        if to > self.clock || undone.chain(next).any(|at| at < to) {
            return false;
        }
        self.inbox.set_horizon(to);
        self.groups.add_horizon(to);
        true
    }

    /// Lets go of blocks of usage that an archive has; they are read as before: see [`Store::put_away`].
    ///
    /// # Errors
    /// When the store fails. It has the blocks then, as before.
    pub fn put_away(&mut self, archive: &Archive) -> Result<(), StoreError> {
        self.land()?;
        self.inbox.note_archived();
        self.groups.put_away(archive)
    }

    /// Looks at everything that is committed: see [`verify`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn verify(&self, each: &mut dyn FnMut(Finding)) -> Result<Verified, StoreError> {
        match self.groups.store() {
            Some(store) => verify(store, &self.catalogues, each),
            None => Ok(Verified::default()),
        }
    }

    /// Looks again at what is in quarantine of a group, where what was decided may let it be counted.
    fn look_at_quarantine(&mut self, payer: &str, facts: &[Fact]) -> Result<(), StoreError> {
        if !self.counters.is_stale(payer) {
            return Ok(());
        }
        let Some(store) = self.groups.store() else { return Ok(()) };
        let opened = facts.iter().filter_map(|fact| match fact {
            Fact::AccountOpened(head) => Some(head.id.as_str()),
            _ => None,
        });
        let mut has_any = false;
        for name in [payer].into_iter().chain(opened.filter(|name| *name != payer)) {
            has_any = has_any || self.counters.quarantine().has_any(store, name)?;
        }
        if has_any { self.refresh(payer) } else { Ok(()) }
    }

    fn note_usage(&mut self, payer: &str) {
        for (account, from) in self.counters.take_touched(payer) {
            self.schedule.note_usage(payer, &account, from);
        }
    }
}

/// The counters and the inbox of the store that groups are of.
fn usage_of(groups: &Groups) -> Result<(Counters, Inbox), StoreError> {
    let Some(store) = groups.store() else { return Ok((Counters::default(), Inbox::default())) };
    let counters = Counters::of(store, |account| groups.payer_of(account).to_owned())?;
    let inbox = Inbox::of(store, &counters)?;
    Ok((counters, inbox))
}
