//! The one thread that owns the service.

use crate::brought::{self, Brought, Counted};
use crate::metrics::Metrics;
use crate::queue::{Entrance, Heard, Kind, NotTaken, Queue, queue};
use crate::room::Room;
use crate::traces::{self, Context, Round, Traces};
use crate::usage::Summary;
use crate::watch::Watch;
use crate::{Bounds, Clock};
use farebox_service::{Parcel, Service, TOGETHER};
use farebox_store::StoreError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What waits to be done; more is turned away.
const WAITING_MAX: usize = 4_096;
/// What shares a commit at most.
const TOGETHER_MAX: usize = 512;
/// How long the thread lets work come together while a commit is on its way.
const PAUSE: Duration = Duration::from_micros(800);
/// The same where parcels have come that are worth being woken for: deciding one takes longer than that.
const PAUSE_BULK: Duration = Duration::from_micros(100);
/// Of so many events each, on average.
const BULK: usize = 64;
/// Where so much shared the last commits, more is waited for as long as it keeps coming, or less than half of that is there:
/// a commit costs as much as the work of many. Not for all of it: while some are answered and ask again, others are kept.
const MANY: usize = 16;
/// After so much work the next commit begins as soon as the one before is kept, whatever else waits: while one thread
/// commits, the other decides.
const ENOUGH: Duration = Duration::from_millis(8);
/// How long it is waited for, at a time and altogether.
const MORE: Duration = Duration::from_micros(100);
const MORE_MAX: Duration = Duration::from_micros(3_000);
/// How often the schedule is looked at where nobody asks for anything.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// Where what is due cannot be done, it is not tried again for so long at least, nor for as long as that took: what is
/// asked meanwhile is answered from what is kept.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Tells who asked, once what was done for him is durable, or why it is not.
enum Tell {
    /// Who brought usage.
    Brought(Counted),
    /// Anyone else.
    Other(Box<dyn FnOnce(Result<(), StoreError>) + Send>),
}

impl Tell {
    fn tell(self, committed: Result<(), StoreError>) {
        match self {
            Tell::Brought(counted) => counted.tell(committed),
            Tell::Other(tell) => tell(committed),
        }
    }
}

/// Does something with the service. `None`: who asked has been told.
type Work = Box<dyn FnOnce(Found<'_>) -> Option<Tell> + Send>;

/// How a job finds the service.
enum Found<'s> {
    /// All that was due is done.
    Ready(&'s mut Service),
    /// What is due cannot be done, and all that it knows is kept: it may be asked, and nothing more.
    Kept(&'s mut Service),
    /// It failed.
    Failed(StoreError),
}

/// What someone wants done.
enum Job {
    /// To have usage counted.
    Brings(Brought),
    /// Something else. `asks`: it changes nothing.
    Does { work: Work, asks: bool },
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Unavailable {
    /// Too much waits already.
    Busy,
    /// The server is stopping.
    Stopping,
    /// It could not be made durable; nothing has happened.
    Store(StoreError),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Busy => f.write_str("too much waits already; try again"),
            Unavailable::Stopping => f.write_str("the server is stopping"),
            Unavailable::Store(error) => error.fmt(f),
        }
    }
}

/// A job; of a request that is traced: which, and since when it waits.
type Wish = (Job, Option<(Context, Instant)>);

/// Hands work to the thread that owns the service.
#[derive(Clone)]
pub struct Engine {
    hand: Arc<Hand>,
}

/// What all who hand it work have in common.
struct Hand {
    jobs: Entrance<Wish>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    /// Of bodies that wait, or are about to.
    room: Room,
    bounds: Bounds,
    traces: Option<Arc<Traces>>,
}

impl Engine {
    /// Starts the thread. It ends, with everything committed, when every `Engine` is gone.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(service: Service, clock: Clock) -> std::io::Result<(Engine, JoinHandle<()>)> {
        Engine::start_within(service, clock, Bounds::default(), None)
    }

    /// The same, with bounds for what is asked of it; what it does is traced where someone wants that.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start_within(
        mut service: Service,
        clock: Clock,
        bounds: Bounds,
        traces: Option<Traces>,
    ) -> std::io::Result<(Engine, JoinHandle<()>)> {
        let traces = traces.map(Arc::new);
        let (jobs, waiting) = queue(WAITING_MAX);
        service.set_watch(jiff::Timestamp::now);
        let clock = Arc::new(clock);
        let operations: Vec<&str> = crate::OPERATIONS.iter().map(|operation| operation.id).collect();
        let metrics = Arc::new(Metrics::new(&operations));
        let (own, counted, bell) = (clock.clone(), metrics.clone(), jobs.bell());
        // What waited for a commit goes on.
        service.set_landed(move || bell.landed());
        let (told, traced) = (metrics.clone(), traces.clone());
        service.set_told(move |figures| told.stands(figures));
        let thread = std::thread::Builder::new().name("engine".to_owned());
        let thread = thread.spawn(move || work(service, &own, &counted, waiting, traced.as_ref()))?;
        let hand = Hand { jobs, clock, metrics, room: Room::new(bounds.body_bytes), bounds, traces };
        Ok((Engine { hand: Arc::new(hand) }, thread))
    }

    /// What time it is.
    pub fn clock(&self) -> &Clock {
        &self.hand.clock
    }

    /// What it counts and measures.
    pub fn metrics(&self) -> &Metrics {
        &self.hand.metrics
    }

    /// The room that bodies of requests have together.
    pub(crate) fn room(&self) -> &Room {
        &self.hand.room
    }

    /// How long a body may take.
    pub(crate) fn patience(&self) -> Duration {
        self.hand.bounds.body
    }

    /// Where its spans go, if anywhere.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.hand.traces.as_deref()
    }

    /// How many jobs wait, and how many may.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.hand.jobs.waiting()
    }

    /// Resolves when its thread has ended: nothing can be asked any more.
    pub async fn ended(self) {
        self.hand.jobs.closed().await;
    }

    /// With the system's clock, has what falls due done within a second, though nobody asks for anything. A test
    /// clock moves when it is told to.
    pub async fn keep_time(self) {
        if *self.hand.clock == Clock::Test {
            return;
        }
        // Where the engine is busy, it looks at the schedule all the same.
        while self.ask(|_| ()).await != Err(Unavailable::Stopping) {
            tokio::time::sleep(LOOK_EACH).await;
        }
    }

    /// Does something with the service, and answers when it is durable.
    ///
    /// # Errors
    /// [`Unavailable`]; nothing has happened then.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Service) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.hand(false, |_| false, work).await
    }

    /// Asks the service for something, and changes nothing. Where what is due cannot be done, the answer is of what is
    /// kept.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(crate) async fn question<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Service) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.hand(true, |_| false, work).await
    }

    /// Looks at the group of an account, and at nothing else. Where all that was decided on it is durable, the answer
    /// waits for no commit.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        account: String,
        work: impl FnOnce(&mut Service) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.hand(true, move |service| service.is_kept(&account), work).await
    }

    /// Has usage counted. What became of it is noted there, and known when it is durable.
    ///
    /// # Errors
    /// [`Unavailable`]; nothing has happened then.
    pub(crate) async fn bring(&self, parcel: Parcel, summary: Summary) -> Result<Summary, Unavailable> {
        let (brought, told) = Brought::new(parcel, summary);
        self.put(Kind::Usage, Job::Brings(brought))?;
        match told.await {
            Ok(done) => done.map_err(Unavailable::Store),
            Err(_) => Err(Unavailable::Stopping),
        }
    }

    async fn hand<T: Send + 'static>(
        &self,
        asks: bool,
        is_durable: impl FnOnce(&Service) -> bool + Send + 'static,
        work: impl FnOnce(&mut Service) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (tell, told) = oneshot::channel();
        // Whoever does not wait any more needs no answer.
        let work = Box::new(move |found: Found<'_>| {
            let done = match found {
                Found::Ready(service) => {
                    let done = work(service);
                    if !is_durable(service) {
                        let tell = move |committed: Result<(), _>| drop(tell.send(committed.map(|()| done)));
                        return Some(Tell::Other(Box::new(tell)));
                    }
                    Ok(done)
                }
                Found::Kept(service) => Ok(work(service)),
                Found::Failed(error) => Err(error),
            };
            drop(tell.send(done));
            None
        });
        self.put(Kind::Other, Job::Does { work, asks })?;
        match told.await {
            Ok(done) => done.map_err(Unavailable::Store),
            Err(_) => Err(Unavailable::Stopping),
        }
    }

    fn put(&self, kind: Kind, job: Job) -> Result<(), Unavailable> {
        let request =
            self.hand.traces.as_ref().and_then(|_| traces::current()).map(|at| (at, Instant::now()));
        self.hand.jobs.put(kind, (job, request)).map_err(|why| match why {
            NotTaken::Full => {
                self.hand.metrics.job_refused();
                Unavailable::Busy
            }
            NotTaken::Closed => Unavailable::Stopping,
        })
    }
}

/// Says that something fails, once: not again each second as long as it is the same.
fn tell_failure(what: &str, done: &Result<(), StoreError>, told: &mut Option<StoreError>) {
    match done {
        Ok(()) if told.take().is_some() => tracing::info!("{what} works again"),
        Ok(()) => {}
        Err(error) if told.as_ref() == Some(error) => {}
        Err(error) => {
            tracing::error!(code = error.code(), error = %error, "{what} has failed");
            *told = Some(error.clone());
        }
    }
}

/// What the thread hears next. As long as an account is being erased, it goes on with that between two rounds; where
/// that fails, it is tried again with the next.
fn next_message(
    service: &mut Service,
    waiting: &mut Queue<Wish>,
    told: &mut Option<StoreError>,
) -> Option<Heard<Wish>> {
    let mut is_failing = false;
    while !is_failing && service.is_erasing() {
        let step = service.erase_some().map(drop);
        is_failing = step.is_err();
        tell_failure("an erasure", &step, told);
        if let Some(heard) = waiting.try_next() {
            return Some(heard);
        }
        if waiting.is_over() {
            return None;
        }
    }
    waiting.next()
}

/// Usage that was brought, and what waits behind it, as long as it is little: with the requests that are traced.
fn together(
    first: Brought,
    request: Option<(Context, Instant)>,
    waiting: &mut Queue<Wish>,
) -> (Vec<Brought>, Vec<(Context, Instant)>) {
    let (mut events, mut some, mut requests) = (first.events(), vec![first], Vec::from_iter(request));
    let fits = |events: usize, (job, _): &Wish| match job {
        Job::Brings(next) => events + next.events() <= TOGETHER,
        Job::Does { .. } => false,
    };
    while let Some((Job::Brings(next), request)) = waiting.next_usage(|wish| fits(events, wish)) {
        events += next.events();
        some.push(next);
        requests.extend(request);
    }
    (some, requests)
}

/// What is due cannot be done.
struct Standstill {
    error: StoreError,
    /// When it is tried again.
    until: Instant,
    /// Whether what was done on the way is forgotten: what the service knows is kept.
    is_kept: bool,
}

impl Standstill {
    /// After so long a try.
    fn of(error: StoreError, service: &mut Service, took: Duration) -> Standstill {
        let begun = Instant::now();
        let is_kept = service.forget().is_ok();
        Standstill { error, is_kept, until: Instant::now() + (took + begun.elapsed()).max(AGAIN_AFTER) }
    }
}

fn work(
    mut service: Service,
    clock: &Clock,
    metrics: &Arc<Metrics>,
    mut waiting: Queue<Wish>,
    traces: Option<&Arc<Traces>>,
) {
    let (mut not_due, failing) = (None, Arc::new(Mutex::new(None)));
    let mut watch = Watch::default();
    let mut told = traces::Told::default();
    // Jobs that share a commit these days.
    let mut usual = 0;
    let mut standstill: Option<Standstill> = None;
    let mut not_erased = None;
    while let Some(message) = next_message(&mut service, &mut waiting, &mut not_erased) {
        // Who was told that a commit has failed may ask for what is kept.
        service.recover();
        let start = Instant::now();
        let mut round = Round::new(traces);
        if standstill.as_ref().is_none_or(|one| one.until <= start) {
            let due = clock.catch_up(&mut service);
            metrics.caught_up(due.as_ref().ok().map(|()| service.clock()), start.elapsed());
            tell_failure("the schedule", &due, &mut not_due);
            watch.caught_up(&service, start.elapsed());
            standstill = due.err().map(|error| Standstill::of(error, &mut service, start.elapsed()));
        }
        let (mut tell, mut events) = (Vec::new(), 0);
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Heard::Landed => {}
                Heard::Job((Job::Does { work, asks }, request)) => {
                    let found = match &standstill {
                        None => Found::Ready(&mut service),
                        Some(one) if asks && one.is_kept => Found::Kept(&mut service),
                        Some(one) => Found::Failed(one.error.clone()),
                    };
                    let begun = Instant::now();
                    tell.extend(round.does(request.as_slice(), || work(found)));
                    // A test clock that is moved runs what is due there.
                    watch.caught_up(&service, begun.elapsed());
                }
                Heard::Job((Job::Brings(brought), request)) => {
                    let (some, requests) = together(brought, request, &mut waiting);
                    events += some.iter().map(Brought::events).sum::<usize>();
                    let failed = standstill.as_ref().map(|one| one.error.clone());
                    let found = failed.map_or(Ok(&mut service), Err);
                    let counted = round.does(&requests, || brought::count(some, found));
                    if standstill.is_some() {
                        counted.into_iter().for_each(|one| one.tell(Ok(())));
                    } else {
                        tell.extend(counted.into_iter().map(Tell::Brought));
                    }
                }
            }
            next = loop {
                let is_enough = tell.len() >= TOGETHER_MAX || start.elapsed() >= ENOUGH;
                // Where all have been told already, the schedule is looked at again.
                if is_enough && (tell.is_empty() || service.has_landed()) {
                    break None;
                }
                if tell.len() >= TOGETHER_MAX {
                    break None;
                }
                if let Some(message) = waiting.try_next() {
                    break Some(message);
                }
                // As long as a commit is on its way, what comes is decided for the next one: some at a time, as being
                // woken for each costs more than deciding it.
                if tell.is_empty() {
                    break None;
                }
                let pause = if events >= tell.len() * BULK { PAUSE_BULK } else { PAUSE };
                if !service.has_landed_within(pause) {
                    continue;
                }
                if usual < MANY || start.elapsed() > MORE_MAX {
                    break None;
                }
                std::thread::sleep(MORE);
                match waiting.try_next() {
                    Some(message) => break Some(message),
                    None if tell.len() < usual / 2 => {}
                    None => break None,
                }
            };
        }
        watch.look(&service);
        if let Some(traces) = traces {
            traces.ran(&service, start.elapsed(), &mut told);
        }
        round.commits();
        // One commit for all: none is told before all are durable.
        let (start, jobs) = (Instant::now(), tell.len());
        usual = jobs.max(usual - usual.div_ceil(8));
        if jobs == 0 {
            continue;
        }
        let (metrics, failing) = (metrics.clone(), failing.clone());
        service.commit_then(Box::new(move |committed| {
            metrics.committed(jobs, start.elapsed(), committed.is_ok());
            round.committed(jobs, committed.is_ok());
            tell_failure("a commit", &committed, &mut failing.lock().unwrap_or_else(PoisonError::into_inner));
            tell.into_iter().for_each(|tell: Tell| tell.tell(committed.clone()));
        }));
    }
    // Every job was committed or is on its way, and the store ends when that is done.
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_core::engine::Catalogues;
    use farebox_store::Memory;

    #[test]
    fn an_engine_that_fails_is_noticed() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let service = Service::open(Box::new(Memory::new()), Catalogues::default(), at).unwrap();
        let (engine, thread) = Engine::start(service, Clock::Test).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(engine.ask(|_| 7).await, Ok(7));
            let soon = Duration::from_millis(50);
            assert!(tokio::time::timeout(soon, engine.clone().ended()).await.is_err(), "it works");
            assert_eq!(engine.ask(|_| panic!("a defect")).await, Err::<(), _>(Unavailable::Stopping));
            let late = Duration::from_secs(10);
            assert_eq!(tokio::time::timeout(late, engine.clone().ended()).await, Ok(()));
            assert_eq!(engine.ask(|_| 7).await, Err(Unavailable::Stopping));
        });
        assert!(thread.join().is_err());
    }
}
