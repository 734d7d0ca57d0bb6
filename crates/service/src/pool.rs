//! Threads that work on shares of something, with the one that waits for it.
//!
//! They live as long as their owner: a thread that is started for each round gives its memory back each time, and takes
//! it again.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A share and its place; or with what its work has panicked.
type Done<T> = Result<(usize, T), Box<dyn Any + Send>>;

/// What waits to be worked on.
struct Waiting<T> {
    shares: Mutex<(VecDeque<(usize, T)>, IsOver)>,
    more: Condvar,
}

/// Whether nothing comes any more.
type IsOver = bool;

impl<T> Waiting<T> {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<(usize, T)>, IsOver)> {
        // Nothing panics while it is locked.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next share, once there is one.
    fn next(&self) -> Option<(usize, T)> {
        let mut waiting = self.lock();
        loop {
            if let Some(share) = waiting.0.pop_front() {
                return Some(share);
            }
            if waiting.1 {
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Threads that wait for shares.
pub(crate) struct Pool<T> {
    waiting: Arc<Waiting<T>>,
    done: Receiver<Done<T>>,
    threads: Vec<JoinHandle<()>>,
    work: fn(&mut T),
}

impl<T: Send + 'static> Pool<T> {
    /// Starts so many threads, or as many as the system has.
    pub fn start(name: &str, threads: usize, work: fn(&mut T)) -> Pool<T> {
        let shares = Mutex::new((VecDeque::new(), false));
        let waiting = Arc::new(Waiting { shares, more: Condvar::new() });
        let (tell, done) = channel();
        let start = |_| {
            let (waiting, tell) = (waiting.clone(), tell.clone());
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || work_on(&waiting, &tell, work)).ok()
        };
        let threads = (0..threads).filter_map(start).collect();
        Pool { waiting, done, threads, work }
    }

    /// Has all shares worked on, also by this thread, and answers them in their order.
    pub fn work(&self, shares: Vec<T>) -> Vec<T> {
        let count = shares.len();
        self.waiting.lock().0.extend(shares.into_iter().enumerate());
        self.waiting.more.notify_all();
        let mut all = Vec::with_capacity(count);
        loop {
            let next = self.waiting.lock().0.pop_front();
            let Some((place, mut share)) = next else { break };
            (self.work)(&mut share);
            all.push((place, share));
        }
        while all.len() < count {
            match self.done.recv() {
                Ok(Ok(share)) => all.push(share),
                Ok(Err(panic)) => resume_unwind(panic),
                // Threads that are gone have left nothing.
                Err(_) => break,
            }
        }
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, share)| share).collect()
    }
}

fn work_on<T>(waiting: &Waiting<T>, tell: &Sender<Done<T>>, work: fn(&mut T)) {
    while let Some((place, mut share)) = waiting.next() {
        let done = catch_unwind(AssertUnwindSafe(|| {
            work(&mut share);
            (place, share)
        }));
        let is_over = done.is_err();
        if tell.send(done).is_err() || is_over {
            break;
        }
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        self.waiting.lock().1 = true;
        self.waiting.more.notify_all();
        for thread in self.threads.drain(..) {
            // Where one panicked, that was told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_are_worked_on_and_keep_their_order() {
        let pool = Pool::start("test", 3, |number: &mut u64| *number *= 2);
        for count in [0, 1, 2, 1_000] {
            let all = pool.work((0..count).collect());
            assert_eq!(all, (0..count).map(|number| number * 2).collect::<Vec<_>>());
        }
        let none = Pool::start("test", 0, |number: &mut u64| *number += 1);
        assert_eq!(none.work(vec![1, 2]), [2, 3]);
    }

    #[test]
    fn who_waits_panics_with_the_thread_that_works() {
        let pool = Pool::start("test", 2, |number: &mut u64| assert!(*number != 700, "a defect"));
        let caught = catch_unwind(AssertUnwindSafe(|| pool.work((0..1_000).collect())));
        assert!(caught.is_err());
    }
}
