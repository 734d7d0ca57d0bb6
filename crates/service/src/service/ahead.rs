//! What falls due at one moment for many groups: decided on several threads before its turn.
//!
//! Groups are independent of each other, and the core is pure: what is decided does not depend on when. Each is noted and
//! kept in its turn, so that the outcome is the same whatever the number of threads.

use super::Service;
use super::time::Watch;
use crate::groups::{CLOCK, Decided, Lent, Made, World};
use crate::pool::Pool;
use crate::schedule::{Due, Foreseen};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Catalogues, Command, Duty, Late, Refusal};
use farebox_core::metering::Metering;
use farebox_store::{Position, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many groups are decided on together, at most.
const TOGETHER_MAX: usize = 250;
/// So many a thread takes at a time: fewer are not worth another thread.
const SHARE: usize = 8;

/// The threads that decide, with this one; none yet, where nothing was worth them.
pub(super) struct Ahead {
    threads: usize,
    pool: Option<Pool<Share>>,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead::of(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Ahead {
    /// With so many threads.
    pub(super) fn of(threads: usize) -> Ahead {
        Ahead { threads, pool: None }
    }

    fn work(&mut self, jobs: Vec<Job>, world: &Arc<Around>) -> Vec<Job> {
        let others = self.threads.min(jobs.len().div_ceil(SHARE)).saturating_sub(1);
        let mut share = Share { jobs, world: world.clone() };
        if others == 0 {
            share.work();
            return share.jobs;
        }
        let (mut rest, mut shares) = (share.jobs.into_iter(), Vec::new());
        while rest.len() > 0 {
            shares.push(Share { jobs: rest.by_ref().take(SHARE).collect(), world: world.clone() });
        }
        let threads = self.threads - 1;
        let pool = self.pool.get_or_insert_with(|| Pool::start("ahead", threads, Share::work));
        pool.work(shares).into_iter().flat_map(|share| share.jobs).collect()
    }
}

/// Something due that was decided before its turn. Its group is as if it were done.
pub(super) struct Ready {
    due: Due,
    command: Command,
    made: Result<Made, Refusal>,
    foreseen: Option<Foreseen>,
    /// From when to when that was, in the caller's time.
    when: (Instant, Instant),
}

impl Ready {
    pub(super) fn due(&self) -> &Due {
        &self.due
    }
}

/// What all decisions know.
struct Around {
    catalogues: Arc<Catalogues>,
    counted: Position,
    clock: Instant,
    watch: Option<Watch>,
}

/// What it came to, what comes after it, and from when to when it was decided.
type Done = (Result<Made, Refusal>, Option<Foreseen>, (Instant, Instant));

/// Something due that is being decided.
struct Job {
    due: Due,
    command: Command,
    /// Usage that is late after it.
    late: Late,
    /// Of its counters.
    place: usize,
    metering: Metering,
    lent: Lent,
    done: Option<Done>,
}

/// What one thread takes at a time.
struct Share {
    jobs: Vec<Job>,
    world: Arc<Around>,
}

impl Share {
    fn work(&mut self) {
        self.jobs.iter_mut().for_each(|job| job.work(&self.world));
    }
}

impl Job {
    fn work(&mut self, around: &Around) {
        let now = || around.watch.as_ref().map_or(around.clock, |watch| watch());
        let began = now();
        let Around { catalogues, counted, .. } = around;
        let world = World { catalogues, metering: &self.metering, counted: *counted };
        let made = self.lent.execute(world, &self.command, decided(&self.due));
        let foreseen = made.is_ok().then(|| {
            let late = std::mem::take(&mut self.late);
            Foreseen::of(self.lent.group(), catalogues, &self.due, late)
        });
        self.done = Some((made, foreseen, (began, now())));
    }
}

fn decided(due: &Due) -> Decided<'static> {
    Decided { actor: CLOCK, command: due.duty.name(), at: due.at }
}

impl Service {
    /// Decides what is due at the same moment as something, from that on in the order of names, as far as the groups are
    /// in memory and counted; at most so much. [`Service::take_turn`] follows for each before anything is committed.
    pub(super) fn decide_ahead(&mut self, first: &Due, most: usize) -> VecDeque<Ready> {
        let Service { groups, schedule, counters, catalogues, watch, clock, ahead, .. } = self;
        let together = schedule.from(None).take_while(|due| (due.at, due.duty) == (first.at, first.duty));
        let mut jobs = Vec::new();
        for due in together.take(most.min(TOGETHER_MAX)) {
            if groups.get(&due.payer).is_none() {
                break;
            }
            let Some((place, metering)) = counters.lend(&due.payer) else { break };
            let Some(lent) = groups.lend(&due.payer) else { break };
            let (command, late) = schedule.command_ahead(due);
            jobs.push(Job { due: due.clone(), command, late, place, metering, lent, done: None });
        }
        let (catalogues, watch) = (catalogues.clone(), watch.clone());
        let around = Arc::new(Around { catalogues, counted: counters.position(), clock: *clock, watch });
        let mut ready = VecDeque::with_capacity(jobs.len());
        for Job { due, command, place, metering, lent, done, .. } in ahead.work(jobs, &around) {
            groups.give_back(&due.payer, lent);
            counters.give_back(place, metering);
            ready.extend(done.map(|(made, foreseen, when)| Ready { due, command, made, foreseen, when }));
        }
        ready
    }

    /// Keeps what was decided ahead, or notes that it was refused.
    ///
    /// # Errors
    /// When the store fails. Nothing since the last commit is kept then.
    pub(super) fn take_turn(&mut self, ready: Ready) -> Result<(), StoreError> {
        let Ready { due, command, made, foreseen, when } = ready;
        let said = self.schedule.command(&due);
        debug_assert_eq!(said, command, "nothing about the group has changed");
        self.clock = self.clock.max(due.at);
        let decided = decided(&due);
        if due.duty == Duty::Charges {
            self.counters.close_block(decided.at.max(self.clock));
        }
        let made = match made {
            Ok(made) => made,
            Err(refusal) => {
                self.refused(due, command, refusal.into());
                return Ok(());
            }
        };
        let facts = self.groups.keep(self.counters.position(), &command, decided, made);
        if let Err(error) = self.note_facts(&due.payer, &command, decided, &facts) {
            self.schedule.not_done(command);
            return Err(error);
        }
        self.schedule.done(&self.groups, &self.catalogues, due.clone(), foreseen);
        self.runs.done(due, &facts, when);
        Ok(())
    }
}
