//! What time does: moving the clock, what a command waits for and what follows it, and telling of it.

use super::Service;
use super::ahead::Ready;
use crate::groups::{CLOCK, Decided, Failed};
use crate::runs::{Runs, Sum};
use crate::schedule::{Due, Hindrance, Schedule, Undone};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Command, Duty, Refusal};
use farebox_store::StoreError;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many things that time does share a commit.
pub(super) const COMMIT_EACH: usize = 1_000;

/// Says what time it is.
pub(super) type Watch = Arc<dyn Fn() -> Instant + Send + Sync>;
/// Is told how things stand.
pub(super) type Told = Box<dyn FnMut(&Figures) + Send>;

/// How things stand after a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What was done since the store was opened, in the order of [`Duty::ALL`].
    pub runs: [Sum; Duty::ALL.len()],
    /// Groups with something [`Undone`].
    pub undone: usize,
    /// When something is due next.
    pub next_due: Option<Instant>,
    /// Groups for which something is due.
    pub due: usize,
    /// Groups in memory.
    pub groups: usize,
    /// Their open holds.
    pub holds: usize,
    /// Identities of usage in memory.
    pub identities: usize,
    /// Runs of identities in the store.
    pub identity_runs: usize,
    /// Memory that the filters of these runs take, in bytes.
    pub filter_bytes: usize,
    /// [`Service::horizon`].
    pub horizon: Option<Instant>,
}

/// Whether a command can make something due at the very moment at which it is decided. Sessions and licences, of which
/// there are most, cannot, nor can an account that has ordered nothing.
pub(super) fn may_make_due(action: &Action) -> bool {
    !matches!(action, Action::Licences(_) | Action::Holds(_) | Action::Open { .. })
}

impl Service {
    /// Sets who says what time it is when something is done, for [`Service::runs`]. Without, it is
    /// [`Service::clock`].
    pub fn set_watch(&mut self, watch: impl Fn() -> Instant + Send + Sync + 'static) {
        self.watch = Some(Arc::new(watch));
    }

    /// Sets who is told how things stand, after each commit.
    pub fn set_told(&mut self, told: impl FnMut(&Figures) + Send + 'static) {
        self.told = Some(Box::new(told));
    }

    /// How things stand.
    pub fn figures(&self) -> Figures {
        let identities = self.inbox.identities();
        Figures {
            runs: *self.runs.totals(),
            undone: self.schedule.undone().len(),
            next_due: self.schedule.from(None).next().map(|due| due.at),
            due: self.schedule.len(),
            groups: self.groups.len(),
            holds: self.groups.open_holds(),
            identities: identities.in_memory(),
            identity_runs: identities.runs(),
            filter_bytes: identities.filter_bytes(),
            horizon: self.horizon(),
        }
    }

    /// What time has done.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// What time does next, for every group.
    pub fn schedule(&mut self) -> &Schedule {
        self.tell_schedule();
        self.schedule.look_again(&self.groups, &self.catalogues, self.clock);
        &self.schedule
    }

    /// What could not be done, in the order of the names of groups, and [`Schedule::changes`].
    pub fn undone(&self) -> (u64, impl ExactSizeIterator<Item = &Undone>) {
        (self.schedule.changes(), self.schedule.undone())
    }

    /// What could not be done for the group of an account, and is waited for.
    pub fn undone_of(&self, account: &str) -> Option<&Undone> {
        self.schedule.undone_of(self.groups.payer_of(account))
    }

    /// Moves the clock forward, and does whatever falls due on the way, in the order of time and, at one moment, of
    /// duties and of account names. Commits as it goes. What is refused, because a number is too large, and what is due
    /// for a group that cannot be read is noted ([`Undone`]); what is due later for its group waits until it can be done,
    /// all others go on.
    ///
    /// # Errors
    /// When the store fails. All since the last commit is to be forgotten then, and the clock stands at what is kept.
    pub fn advance(&mut self, until: Instant) -> Result<(), StoreError> {
        let done = self.do_due(until);
        // What was decided before in the same commit is lost, too.
        self.note_failure(&done);
        if done.is_ok() {
            self.reached = self.clock;
        }
        done
    }

    /// The same of a clock that stands until it is moved, and keeps how far it has moved, also where nothing was due:
    /// someone is told of it.
    ///
    /// # Errors
    /// When the store fails. The clock stands at what is kept then, and nothing of the rest happens by itself.
    pub fn move_to(&mut self, until: Instant) -> Result<(), StoreError> {
        let stood = self.reached;
        let moved = self.advance(until).and_then(|()| {
            self.keep_clock();
            self.commit()
        });
        if moved.is_err() {
            self.reached = stood;
            let forgotten = self.forget();
            self.note_failure(&forgotten.and(moved.clone()));
        }
        moved
    }

    fn do_due(&mut self, until: Instant) -> Result<(), StoreError> {
        let (mut since_commit, mut did_something) = (0, self.work_out_due_anew()?);
        self.tell_schedule();
        self.schedule.look_again(&self.groups, &self.catalogues, self.clock);
        let mut ready = VecDeque::new();
        let (mut seen, mut alone_until) = (0, 0);
        while let Some(due) = self.schedule.next(until) {
            if ready.is_empty() {
                if seen >= alone_until {
                    match self.load_ahead(&due, until) {
                        // Whose it is shows when it is each group's turn.
                        Err(StoreError::Corrupt { .. }) => alone_until = seen + COMMIT_EACH,
                        loaded => loaded?,
                    }
                }
                ready = self.decide_ahead(&due, COMMIT_EACH.saturating_sub(since_commit));
            }
            seen += 1;
            let is_ready = ready.front().is_some_and(|first: &Ready| *first.due() == due);
            let done = match if is_ready { ready.pop_front() } else { None } {
                Some(first) => self.take_turn(first),
                None => self.run(due),
            };
            done?;
            since_commit += 1;
            did_something = true;
            if since_commit >= COMMIT_EACH && ready.is_empty() {
                // What comes next is settled while this is being kept.
                self.begin_commit()?;
                self.go_on_to_commit(Box::new(|_| ()));
                since_commit = 0;
            }
        }
        self.clock = self.clock.max(until);
        if did_something { self.commit() } else { Ok(()) }
    }

    /// Loads the groups that are next, and counts for them anew, where the first of them needs it: together it is done
    /// sooner.
    fn load_ahead(&mut self, due: &Due, until: Instant) -> Result<(), StoreError> {
        let is_ready = |payer: &str| self.groups.get(payer).is_some() && !self.counters.is_stale(payer);
        if is_ready(&due.payer) {
            return Ok(());
        }
        let ahead = self.schedule.from(None).take(COMMIT_EACH).take_while(|next| next.at <= until);
        // The first of them is due first.
        let ahead = ahead.filter(|next| !is_ready(&next.payer));
        let names: Vec<String> = ahead.map(|next| next.payer.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.load_all(&names)?;
        self.refresh_all(&names)
    }

    /// Keeps how far the clock has moved with the next commit, also where nothing was due.
    pub fn keep_clock(&mut self) {
        self.groups.add_clock(self.clock);
    }

    /// Tries again what could not be done for the group of an account, or for every group, and does what waits for it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn try_again(&mut self, account: Option<&str>) -> Result<(), StoreError> {
        match account {
            Some(account) => self.schedule.again(self.groups.payer_of(account)),
            None => self.schedule.again_all(),
        }
        self.advance(self.clock)
    }

    /// Does something due, or notes that it was refused.
    fn run(&mut self, due: Due) -> Result<(), StoreError> {
        let began = self.now();
        match self.load(&due.payer).and_then(|()| self.refresh(&due.payer)) {
            Err(error @ StoreError::Corrupt { .. }) => {
                self.set_aside(due, error);
                return Ok(());
            }
            read => read?,
        }
        let command = self.schedule.command(&due);
        self.clock = self.clock.max(due.at);
        let decided = Decided { actor: CLOCK, command: due.duty.name(), at: due.at };
        match self.decide(&command, decided) {
            Ok(facts) => {
                self.schedule.done(&self.groups, &self.catalogues, due.clone(), None);
                self.runs.done(due, &facts, (began, self.now()));
            }
            Err(Failed::Store(error)) => {
                self.schedule.not_done(command);
                return Err(error);
            }
            Err(Failed::Refused(refusal)) => self.refused(due, command, refusal.into()),
            Err(Failed::Undone(undone)) => self.refused(due, command, undone.why),
            // What time does is for the group.
            Err(Failed::Erased(account)) => {
                self.refused(due, command, Refusal::UnknownAccount(account).into());
            }
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, due: Due, command: Command, why: Hindrance) {
        self.runs.refused(&due);
        let now = self.now();
        self.schedule.refused(due, command, why, now);
    }

    /// Notes that a group for which something is due cannot be read. It holds up nobody else, and nothing is done for it
    /// before it can be read again.
    fn set_aside(&mut self, due: Due, error: StoreError) {
        self.clock = self.clock.max(due.at);
        self.runs.refused(&due);
        let now = self.now();
        self.schedule.set_aside(due, Hindrance::Unreadable(error), now);
    }

    pub(super) fn now(&self) -> Instant {
        self.watch.as_ref().map_or(self.clock, |watch| watch())
    }

    /// Does what is still due for the group of an account, as [`Service::execute`] does before it decides.
    ///
    /// # Errors
    /// [`Failed::Undone`] when it is refused; others when the store fails.
    pub fn go_before(&mut self, account: &str) -> Result<(), Failed> {
        let payer = self.groups.payer_of(account).to_owned();
        self.do_due_of(&payer)
    }

    pub(super) fn do_due_of(&mut self, payer: &str) -> Result<(), Failed> {
        if !self.schedule.is_behind(payer, self.clock) {
            return Ok(());
        }
        self.tell_schedule();
        self.schedule.again(payer);
        self.catch_up(payer)?;
        match self.schedule.undone_of(payer) {
            None => Ok(()),
            Some(Undone { why: Hindrance::Unreadable(error), .. }) => Err(Failed::Store(error.clone())),
            Some(undone) => Err(Failed::Undone(Box::new(undone.clone()))),
        }
    }

    /// Does what a command has made due at once.
    pub(super) fn follow(&mut self, payer: &str) -> Result<(), StoreError> {
        self.schedule.look_again_at(&self.groups, &self.catalogues, self.clock, payer);
        self.catch_up(payer)
    }

    /// Does what is due for one group, until it is refused.
    fn catch_up(&mut self, payer: &str) -> Result<(), StoreError> {
        while let Some(due) = self.schedule.next_of(payer, self.clock) {
            self.run(due)?;
        }
        Ok(())
    }

    /// Whether something is due for a group that should have been done with what made it due.
    pub(super) fn is_due_at_once(&self, payer: &str) -> bool {
        let due = |group| self.schedule.due_of(payer, group, &self.catalogues, self.clock);
        let is_undone = self.schedule.undone_of(payer).is_some();
        !is_undone && self.groups.get(payer).and_then(due).is_some_and(|(at, _)| at <= self.clock)
    }

    pub(super) fn tell(&mut self) {
        if let Some(mut told) = self.told.take() {
            told(&self.figures());
            self.told = Some(told);
        }
    }
}
