//! Commits: one at a time is on its way, while what comes is decided for the next.

use super::{Service, prices, usage_of};
use crate::schedule::Schedule;
use farebox_core::account::Group;
use farebox_store::{Derivations, StoreError, Told};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

impl Service {
    /// Makes everything since the last commit durable.
    ///
    /// # Errors
    /// When the store fails. All since the last commit is forgotten then, as if it had never been asked for.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let rows = self.ready_to_commit();
        let committed = rows.and_then(|()| {
            let blocks = self.counters.take_blocks(self.clock)?;
            if let (Some(to_do), Some(store)) = (self.inbox.hand_over(), self.groups.store()) {
                let rows = to_do.run(store)?;
                self.groups.add_derived(rows);
            }
            blocks.into_iter().for_each(|block| self.groups.add_block(block));
            if !self.groups.is_pending() {
                return Ok(());
            }
            let Service { groups, schedule, catalogues, clock, .. } = self;
            let touched = schedule.take_unsaved();
            groups.commit(touched, *clock, |payer, group| schedule.due_of(payer, group, catalogues, *clock))
        });
        self.published.handed_over();
        match committed {
            Ok(()) => self.note_kept(),
            Err(_) => self.forget()?,
        }
        self.tell();
        committed
    }

    /// The same, on another thread where the store has one: then tells. What is asked for meanwhile is decided as if it
    /// were kept; where it fails, the next commit fails, too. One commit is on its way at a time: this waits for the
    /// one before.
    pub fn commit_then(&mut self, then: Told) {
        match self.begin_commit() {
            Ok(()) => self.go_on_to_commit(then),
            Err(error) => then(Err(error)),
        }
    }

    /// The first half of [`Service::commit_then`]: the commit before is kept, and this one is ready.
    ///
    /// # Errors
    /// When the one before has failed, or the store fails. All since is forgotten then.
    pub(super) fn begin_commit(&mut self) -> Result<(), StoreError> {
        let ready = self.ready_to_commit();
        if ready.is_err() {
            // Where it cannot even be forgotten, the next commit says so.
            let forgotten = self.forget();
            self.note_failure(&forgotten);
        }
        ready
    }

    /// The second half: this one is on its way.
    pub(super) fn go_on_to_commit(&mut self, then: Told) {
        self.tell();
        let (blocks, to_do) = (self.counters.hand_over(self.clock), self.inbox.hand_over());
        if blocks.is_empty() && to_do.is_none() && !self.groups.is_pending() {
            return then(Ok(()));
        }
        let more = move |kept: &dyn Derivations| {
            let rows = to_do.map_or_else(|| Ok(Vec::new()), |to_do| to_do.run(kept))?;
            Ok((blocks.pack()?, rows))
        };
        self.published.handed_over();
        let (tell, told) = sync_channel(1);
        self.on_the_way = Some(told);
        let landed = self.landed.clone();
        let both = move |kept: Result<(), StoreError>| {
            // Nobody listens where the service is gone.
            let _ = tell.send(kept.clone());
            then(kept);
            if let Some(landed) = landed {
                landed();
            }
        };
        let Service { groups, schedule, catalogues, clock, .. } = self;
        let touched = schedule.take_unsaved();
        let due = |payer: &str, group: &Group| schedule.due_of(payer, group, catalogues, *clock);
        groups.commit_then(more, touched, *clock, due, Box::new(both));
    }

    /// Sets who is told, perhaps on another thread, when a commit that was on its way is kept or has failed, whoever it
    /// was for: [`Service::has_landed`] knows it then.
    pub fn set_landed(&mut self, landed: impl Fn() + Send + Sync + 'static) {
        self.landed = Some(Arc::new(landed));
    }

    /// Whether no commit is on its way. What it became is known to the service only then.
    pub fn has_landed(&mut self) -> bool {
        self.has_landed_within(Duration::ZERO)
    }

    /// The same, and waits for it for a while.
    pub fn has_landed_within(&mut self, while_waiting: Duration) -> bool {
        let told = match &self.on_the_way {
            None => return true,
            Some(told) => told.recv_timeout(while_waiting),
        };
        match told {
            Ok(kept) => self.note_landed(kept),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => self.note_landed(Err(nobody_tells())),
        }
        true
    }

    /// Forgets what a commit was to keep that has failed, if one has: what comes next is not decided on it.
    pub fn recover(&mut self) {
        if self.has_landed() && self.failed.is_some() {
            let forgotten = self.forget();
            self.note_failure(&forgotten);
        }
    }

    /// Waits for the commit that is on its way.
    pub(super) fn land(&mut self) -> Result<(), StoreError> {
        if let Some(told) = self.on_the_way.take() {
            let kept = told.recv().unwrap_or_else(|_| Err(nobody_tells()));
            self.note_landed(kept);
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn note_landed(&mut self, kept: Result<(), StoreError>) {
        self.on_the_way = None;
        match kept {
            Ok(()) => {
                self.note_kept();
                self.tell();
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// What was handed over to a commit is in the store.
    fn note_kept(&mut self) {
        self.published.landed();
        self.counters.landed();
        self.inbox.landed();
        self.groups.landed();
        self.runs.committed(true);
    }

    /// Adds what follows from the usage log to the next commit, once the one before is kept.
    fn ready_to_commit(&mut self) -> Result<(), StoreError> {
        self.tell_schedule();
        let landed = self.land();
        self.failed = None;
        landed?;
        self.counters.close_block(self.clock);
        let Some(store) = self.groups.store() else { return Ok(()) };
        let mut rows = self.inbox.keep(store, self.counters.log().blocks())?;
        rows.extend(self.counters.keep(|payer| self.schedule.late_of(payer)));
        rows.extend(self.counters.quarantine().keep(store, self.clock)?);
        rows.extend(self.runs.hand_over());
        self.groups.add_derived(rows);
        // What is due for those that were touched is worked out once, for the store and for what follows.
        let Service { groups, schedule, catalogues, clock, .. } = self;
        schedule.look_again(groups, catalogues, *clock);
        self.let_go_of_quiet();
        Ok(())
    }

    /// Lets go of groups that nobody has asked for lately, where many are in memory. They are loaded again as after a
    /// restart.
    fn let_go_of_quiet(&mut self) {
        let Service { groups, schedule, counters, pace, .. } = self;
        let may_go = |payer: &str| !schedule.is_touched(payer) && counters.may_go(payer);
        for payer in groups.let_go_of_quiet(pace.groups, may_go) {
            counters.let_go(&payer);
        }
    }

    /// Forgets all since the last commit, as if it had never been asked for, and reads everything from the store anew.
    ///
    /// # Errors
    /// When the store fails.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        // What is on its way is kept, or has failed, before the store is read.
        let _ = self.land();
        self.failed = None;
        self.groups.forget();
        self.published.forget(&mut self.catalogues);
        // What it has come to is in the store.
        self.erasing = None;
        self.runs.committed(false);
        let Some(store) = self.groups.store() else { return Ok(()) };
        let heads = store.groups()?;
        // What was done on the way to a later moment is not.
        self.clock = store.clock()?.map_or(self.reached, |kept| kept.max(self.reached));
        self.due_anew = prices::worked_out_to(store)?;
        (self.counters, self.inbox) = usage_of(&self.groups)?;
        self.set_pace(self.pace);
        let due = heads.iter().filter_map(|head| Some((head.group.as_str(), head.due?)));
        self.schedule = Schedule::of(due).knowing(std::mem::take(&mut self.schedule));
        Ok(())
    }

    pub(super) fn note_failure<T>(&mut self, done: &Result<T, StoreError>) {
        if let Err(error) = done {
            self.failed = Some(error.clone());
        }
    }
}

fn nobody_tells() -> StoreError {
    StoreError::System { place: "the thread that commits".to_owned(), found: "it has ended".to_owned() }
}
