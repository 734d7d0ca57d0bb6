//! Full blocks, which are compressed while the commit before theirs is being kept.

use super::Open;
use farebox_store::usage::Packer;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A block that gets no more records.
pub(super) struct Full {
    pub open: Open,
    packed: Mutex<Packed>,
}

/// Its bytes as they are kept.
enum Packed {
    NotYet,
    Here(Vec<u8>),
    /// Whoever keeps it has them.
    Taken,
}

impl Full {
    pub fn new(open: Open) -> Full {
        Full { open, packed: Mutex::new(Packed::NotYet) }
    }

    /// The bytes, compressed now where nobody has; waits for who is about to.
    pub fn take(&self, packer: &mut Packer) -> io::Result<Vec<u8>> {
        let packed = std::mem::replace(&mut *self.lock(), Packed::Taken);
        match packed {
            Packed::Here(bytes) => Ok(bytes),
            Packed::NotYet | Packed::Taken => packer.pack(&self.open.bytes, self.open.count()),
        }
    }

    fn pack(&self, packer: &mut Packer) {
        let mut packed = self.lock();
        if let Packed::NotYet = *packed
            && let Ok(bytes) = packer.pack(&self.open.bytes, self.open.count())
        {
            *packed = Packed::Here(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Packed> {
        // Where its holder has panicked, nobody has packed it.
        self.packed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of blocks, in their order. They are taken from the last on, as another thread comes from the first.
pub(super) fn take_all(blocks: &[Arc<Full>], packer: &mut Packer) -> io::Result<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> =
        blocks.iter().rev().map(|full| full.take(packer)).collect::<io::Result<_>>()?;
    all.reverse();
    Ok(all)
}

/// A thread that compresses full blocks as they come; none where there is one processor, or no block was full yet.
#[derive(Default)]
pub(super) struct Early {
    blocks: Option<Sender<Arc<Full>>>,
}

impl Early {
    /// Has a block compressed, some time. Where that fails, whoever keeps the block finds out.
    pub fn pack(&mut self, block: &Arc<Full>) {
        if self.blocks.is_none() && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
            let (send, blocks) = channel();
            let thread = std::thread::Builder::new().name("packs".to_owned());
            // It ends when nobody can send any more.
            if thread.spawn(move || pack_all(&blocks)).is_ok() {
                self.blocks = Some(send);
            }
        }
        if let Some(blocks) = &self.blocks {
            // A thread that has ended leaves the work to whoever keeps the block.
            let _ = blocks.send(block.clone());
        }
    }
}

fn pack_all(blocks: &Receiver<Arc<Full>>) {
    let Ok(mut packer) = Packer::new() else { return };
    while let Ok(block) = blocks.recv() {
        block.pack(&mut packer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_store::codec::Stored;
    use farebox_store::usage::{Record, unpack};

    fn full(id: &str) -> Arc<Full> {
        let record = Record::Voided { source: "pbx".to_owned(), id: id.to_owned() };
        Arc::new(Full::new(Open { bytes: record.to_bytes(), starts: vec![0], closed_at: None }))
    }

    #[test]
    fn whoever_packs_a_block_the_bytes_are_the_same_and_taken_once() {
        let (mut packer, blocks) = (Packer::new().unwrap(), ["a", "b", "c"].map(full));
        let expected: Vec<Vec<u8>> =
            blocks.iter().map(|full| packer.pack(&full.open.bytes, 1).unwrap()).collect();
        blocks[0].pack(&mut packer);
        assert!(matches!(*blocks[0].lock(), Packed::Here(_)));
        assert_eq!(take_all(&blocks, &mut packer).unwrap(), expected);
        blocks.iter().for_each(|full| full.pack(&mut packer));
        assert!(blocks.iter().all(|full| matches!(*full.lock(), Packed::Taken)), "nobody needs them again");
        // A commit that is tried again has them once more.
        assert_eq!(take_all(&blocks, &mut packer).unwrap(), expected);
        assert_eq!(unpack(&expected[1]).unwrap(), [Record::Voided { source: "pbx".into(), id: "b".into() }]);
    }

    #[test]
    fn a_thread_packs_what_comes() {
        let (mut early, block) = (Early::default(), full("a"));
        early.pack(&block);
        drop(early);
        // Where there is one processor, it is packed when it is taken.
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
            while Arc::strong_count(&block) > 1 {
                std::thread::yield_now();
            }
            assert!(matches!(*block.lock(), Packed::Here(_)));
        }
    }
}
