//! The thread that commits while the one that decides goes on.

use crate::derived::Reading;
use crate::{commit, connect, failed, in_system};
use farebox_store::{Prepare, StoreError, Told};
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A thread with a connection of its own. It ends, with everything written, when this goes.
pub(crate) struct Writer {
    work: Option<Sender<(Prepare, Told)>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts it, for the file of an open store.
    pub fn start(place: &str) -> Result<Writer, StoreError> {
        let connection = connect(Path::new(place)).map_err(|error| failed(place, error))?;
        let (work, waiting) = channel();
        let name = place.to_owned();
        let thread = std::thread::Builder::new().name("commits".to_owned());
        let thread = thread.spawn(move || write_all(connection, &name, &waiting));
        let thread = thread.map_err(|error| in_system(Path::new(place), &error))?;
        Ok(Writer { work: Some(work), thread: Some(thread) })
    }

    /// Commits a batch after those before it, and tells.
    pub fn commit(&self, batch: Prepare, then: Told) {
        let Some(work) = &self.work else { return };
        // A thread that has ended tells nobody; who waits notices.
        let _ = work.send((batch, then));
    }
}

fn write_all(mut connection: Connection, place: &str, waiting: &Receiver<(Prepare, Told)>) {
    while let Ok((batch, then)) = waiting.recv() {
        let batch = batch(&Reading { connection: &connection, place });
        then(batch.and_then(|batch| commit(&mut connection, place, &batch)));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // Where it panicked, whoever waited for it was not told.
            let _ = thread.join();
        }
    }
}
