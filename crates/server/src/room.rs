//! Room for bodies: what all requests together may keep in memory while they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many bytes.
#[derive(Clone)]
pub(crate) struct Room {
    taken: Arc<AtomicUsize>,
    most: usize,
}

impl Room {
    pub fn new(most: usize) -> Room {
        Room { taken: Arc::default(), most }
    }

    /// The bytes that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The most bytes that can be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// A place without any room yet.
    pub fn place(&self) -> Place {
        Place { room: self.clone(), bytes: 0 }
    }
}

/// The room that one request has; it is free again when this goes.
pub(crate) struct Place {
    room: Room,
    bytes: usize,
}

impl Place {
    /// Takes room for more bytes. `false`: there is none.
    pub fn take(&mut self, more: usize) -> bool {
        let before = self.room.taken.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.room.most {
            self.room.taken.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }

    /// Keeps room for so many bytes, of those that it has.
    pub fn keep(&mut self, bytes: usize) {
        let rest = self.bytes.saturating_sub(bytes);
        self.room.taken.fetch_sub(rest, Ordering::Relaxed);
        self.bytes -= rest;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_free_again() {
        let room = Room::new(100);
        let (mut one, mut other) = (room.place(), room.place());
        assert!(one.take(60) && !other.take(41) && other.take(40) && !one.take(1));
        other.keep(10);
        assert!(one.take(30) && !one.take(1));
        drop(other);
        assert!(one.take(10) && !one.take(1));
        drop(one);
        assert!(room.place().take(100) && !room.place().take(101));
    }
}
