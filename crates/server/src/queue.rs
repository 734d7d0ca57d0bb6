//! What waits for the engine. Usage, of which there may be much, takes turns with all else: a question or a command waits
//! for one parcel of usage at most, however many wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

/// What a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Usage that comes.
    Usage,
    /// Anything else.
    Other,
}

/// What the engine hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<J> {
    /// Someone wants something done.
    Job(J),
    /// A commit is kept, or has failed.
    Landed,
}

enum Said<J> {
    Job(Kind, J),
    Landed,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// As many wait as may.
    Full,
    /// Nobody does them any more.
    Closed,
}

/// Where jobs are put.
pub(crate) struct Entrance<J> {
    said: UnboundedSender<Said<J>>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// Where the engine is told of commits, as long as there is an [`Entrance`].
pub(crate) struct Bell<J> {
    said: WeakUnboundedSender<Said<J>>,
}

/// Where the engine takes jobs from.
pub(crate) struct Queue<J> {
    said: UnboundedReceiver<Said<J>>,
    usage: VecDeque<J>,
    others: VecDeque<J>,
    has_landed: bool,
    /// Whether the last that was taken was no usage.
    was_other: bool,
    waiting: Arc<AtomicUsize>,
}

/// A queue in which at most so many jobs wait.
pub(crate) fn queue<J>(most: usize) -> (Entrance<J>, Queue<J>) {
    let ((say, said), waiting) = (unbounded_channel(), Arc::new(AtomicUsize::new(0)));
    let entrance = Entrance { said: say, waiting: waiting.clone(), most };
    let (usage, others) = (VecDeque::new(), VecDeque::new());
    (entrance, Queue { said, usage, others, has_landed: false, was_other: false, waiting })
}

impl<J> Entrance<J> {
    /// Puts a job there.
    ///
    /// # Errors
    /// [`NotTaken`]; the job is gone then.
    pub fn put(&self, kind: Kind, job: J) -> Result<(), NotTaken> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(NotTaken::Full);
        }
        // Where nobody takes them any more, how many wait is no matter.
        self.said.send(Said::Job(kind, job)).map_err(|_| NotTaken::Closed)
    }

    /// How many jobs wait, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed).min(self.most), self.most)
    }

    /// Resolves when nobody takes jobs any more.
    pub async fn closed(&self) {
        self.said.closed().await;
    }

    /// Where the engine is told of commits.
    pub fn bell(&self) -> Bell<J> {
        Bell { said: self.said.downgrade() }
    }
}

impl<J> Bell<J> {
    /// Tells that a commit is kept, or has failed.
    pub fn landed(&self) {
        if let Some(said) = self.said.upgrade() {
            // Nobody listens where the engine has ended.
            let _ = said.send(Said::Landed);
        }
    }
}

impl<J> Queue<J> {
    /// What is to be done next, if anything waits; a commit that has landed where no job does.
    pub fn try_next(&mut self) -> Option<Heard<J>> {
        while let Ok(said) = self.said.try_recv() {
            self.sort(said);
        }
        self.take()
    }

    /// The usage that is to be taken next, if it fits what is done already: it is done with that.
    pub fn next_usage(&mut self, fits: impl FnOnce(&J) -> bool) -> Option<J> {
        self.usage.front().filter(|job| fits(job))?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.usage.pop_front()
    }

    /// The same as [`Queue::try_next`], and waits for it. `None`: nobody can put anything there any more.
    pub fn next(&mut self) -> Option<Heard<J>> {
        if let Some(heard) = self.try_next() {
            return Some(heard);
        }
        let said = self.said.blocking_recv()?;
        self.sort(said);
        self.take()
    }

    /// Whether nobody can put anything there any more, and nothing waits.
    pub fn is_over(&self) -> bool {
        self.usage.is_empty() && self.others.is_empty() && self.said.is_closed() && self.said.is_empty()
    }

    fn sort(&mut self, said: Said<J>) {
        match said {
            Said::Job(Kind::Usage, job) => self.usage.push_back(job),
            Said::Job(Kind::Other, job) => self.others.push_back(job),
            Said::Landed => self.has_landed = true,
        }
    }

    fn take(&mut self) -> Option<Heard<J>> {
        self.was_other = !self.others.is_empty() && (!self.was_other || self.usage.is_empty());
        let job = if self.was_other { self.others.pop_front() } else { self.usage.pop_front() };
        match job {
            Some(job) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Some(Heard::Job(job))
            }
            None => std::mem::take(&mut self.has_landed).then_some(Heard::Landed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_and_all_else_take_turns() {
        let (entrance, mut queue) = queue(9);
        for job in ["u1", "u2", "u3", "u4"] {
            entrance.put(Kind::Usage, job).unwrap();
        }
        assert_eq!(queue.try_next(), Some(Heard::Job("u1")));
        for job in ["q1", "q2"] {
            entrance.put(Kind::Other, job).unwrap();
        }
        let next = std::iter::from_fn(|| queue.try_next());
        let jobs: Vec<Heard<&str>> = next.collect();
        assert_eq!(jobs, ["q1", "u2", "q2", "u3", "u4"].map(Heard::Job));
    }

    #[test]
    fn usage_that_fits_is_taken_with_other_usage() {
        let (entrance, mut queue) = queue(9);
        for job in [1, 2, 9, 3] {
            entrance.put(Kind::Usage, job).unwrap();
        }
        entrance.put(Kind::Other, 7).unwrap();
        assert_eq!(queue.next_usage(|_| true), None, "what nobody has looked at waits");
        assert_eq!(queue.try_next(), Some(Heard::Job(7)));
        assert_eq!(queue.try_next(), Some(Heard::Job(1)));
        assert_eq!(queue.next_usage(|job| *job < 5), Some(2));
        assert_eq!(queue.next_usage(|job| *job < 5), None, "nothing is taken before what came earlier");
        assert_eq!(entrance.waiting().0, 2);
        assert_eq!((queue.try_next(), queue.try_next()), (Some(Heard::Job(9)), Some(Heard::Job(3))));
    }

    #[test]
    fn no_more_wait_than_may() {
        let (entrance, mut queue) = queue(2);
        assert_eq!(entrance.put(Kind::Usage, 1), Ok(()));
        assert_eq!(entrance.put(Kind::Other, 2), Ok(()));
        assert_eq!(entrance.put(Kind::Other, 3), Err(NotTaken::Full));
        assert_eq!(entrance.waiting(), (2, 2));
        assert_eq!(queue.next(), Some(Heard::Job(2)));
        assert_eq!(entrance.put(Kind::Usage, 4), Ok(()));
        drop(entrance);
        assert_eq!(
            (queue.next(), queue.next(), queue.next()),
            (Some(Heard::Job(1)), Some(Heard::Job(4)), None)
        );
    }

    #[test]
    fn a_bell_wakes_who_waits_and_keeps_nothing_open() {
        let (entrance, mut queue) = queue::<u8>(2);
        let bell = entrance.bell();
        let ring = std::thread::spawn(move || bell.landed());
        assert_eq!(queue.next(), Some(Heard::Landed));
        ring.join().unwrap();
        let bell = entrance.bell();
        assert!(!queue.is_over());
        drop(entrance);
        bell.landed();
        assert!(queue.is_over());
        assert_eq!(queue.next(), None);
    }
}
