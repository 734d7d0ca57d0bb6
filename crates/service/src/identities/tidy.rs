//! Tidying: runs are written and merged by whoever keeps a commit, while others go on to be asked.

use super::recent::Recent;
use super::run::{Builder, DIRECTORY, Entry, Extent, Head, State, rows_to_remove};
use super::{FLUSHED, LEFT, Leaving, Run};
use farebox_store::codec::Stored;
use farebox_store::{Derivations, Derived, StoreError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows of a run that is gone that are removed in one commit.
const REMOVED_EACH: usize = 4_096;

/// A run that is to be made of what was in memory.
pub(super) struct Flush {
    /// Its number.
    pub number: u32,
    pub entries: Arc<Recent>,
    /// Blocks that the log has then.
    pub blocks: u64,
    pub is_covered: bool,
}

/// Runs that are being made one.
pub(super) struct Merge {
    inputs: Vec<Head>,
    builder: Builder,
    /// Leading bits of an identity that choose a step.
    bits: u32,
    /// The next step.
    step: u64,
    /// What is left out.
    leaving: Leaving,
    /// Of a merge of all runs: how many blocks will have left the index with it.
    left: Option<u64>,
    is_covered: bool,
}

impl Merge {
    pub fn new(
        inputs: Vec<Head>,
        head: Head,
        leaving: Leaving,
        left: Option<u64>,
        is_covered: bool,
    ) -> Merge {
        let bits = inputs.iter().map(|head| head.bits).min().unwrap_or(0);
        Merge { inputs, builder: Builder::new(head), bits, step: 0, leaving, left, is_covered }
    }

    fn is_done(&self) -> bool {
        self.step >= 1 << self.bits
    }

    /// Goes on with so many identities, or some more.
    fn go_on(
        &mut self,
        kept: &dyn Derivations,
        most: u64,
        rows: &mut Vec<Derived>,
        covered: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let mut done = 0;
        while !self.is_done() && done < most {
            let mut entries = Vec::new();
            for head in &self.inputs {
                let each = 1u64 << (head.bits - self.bits);
                entries.extend(head.read_pages(kept, self.step * each..(self.step + 1) * each)?);
            }
            // Each run's part is in order already, which this kind of sorting makes use of.
            entries.sort();
            done += entries.len() as u64;
            for entry in entries.into_iter().filter(|entry| !self.leaving.leaves(entry)) {
                if self.is_covered {
                    covered.push(entry.0);
                }
                self.builder.push(entry, rows);
            }
            self.step += 1;
        }
        Ok(())
    }
}

/// What is to be done with a commit.
pub struct Tidying {
    flush: Option<Flush>,
    /// With how many of its identities it is to go on.
    merge: Option<(Merge, u64)>,
    /// A run whose rows are to be removed.
    gone: Option<u32>,
    tell: Option<SyncSender<Tidied>>,
}

/// What was done.
#[derive(Default)]
pub(super) struct Tidied {
    /// Runs that can be read when they are in the store.
    pub arrived: Vec<Run>,
    /// Runs that others have taken the place of.
    pub replaced: Vec<u32>,
    /// What covers are to have, by the level of its run.
    pub covered: Vec<(u8, Vec<u64>)>,
    /// What has not ended.
    pub merge: Option<Merge>,
    /// How many blocks have left the index, where all runs were merged.
    pub left: Option<u64>,
    /// Whether nothing is left of the run that is gone.
    pub is_gone: bool,
}

impl Tidying {
    /// `None`: there is nothing to be done.
    pub(super) fn of(
        flush: Option<Flush>,
        merge: Option<(Merge, u64)>,
        gone: Option<u32>,
    ) -> Option<Tidying> {
        let is_any = flush.is_some() || merge.is_some() || gone.is_some();
        is_any.then_some(Tidying { flush, merge, gone, tell: None })
    }

    /// What tells what was done.
    pub(super) fn tells(&mut self) -> Receiver<Tidied> {
        let (tell, told) = sync_channel(1);
        self.tell = Some(tell);
        told
    }

    /// Does it: answers what is to be kept. It needs what was kept before and nothing else, on whatever thread.
    ///
    /// # Errors
    /// When the store fails, or is damaged.
    pub fn run(mut self, kept: &dyn Derivations) -> Result<Vec<Derived>, StoreError> {
        let (mut rows, mut done) = (Vec::new(), Tidied::default());
        if let Some(flush) = self.flush.take() {
            write(flush, &mut rows, &mut done);
        }
        if let Some((merge, most)) = self.merge.take() {
            let mut merge = Some(merge);
            kept.together(&mut || {
                merge.take().map_or(Ok(()), |merge| go_on(merge, most, kept, &mut rows, &mut done))
            })?;
        }
        if let Some(run) = self.gone {
            let removed = rows_to_remove(kept, run, REMOVED_EACH)?;
            if removed.len() < REMOVED_EACH {
                done.is_gone = true;
                rows.push(Derived { space: DIRECTORY, key: run.to_be_bytes().to_vec(), value: None });
            }
            rows.extend(removed);
        }
        if let Some(tell) = self.tell.take() {
            // Where nobody waits for it any more, all is read anew.
            let _ = tell.send(done);
        }
        Ok(rows)
    }
}

/// Writes a run of what was in memory.
fn write(flush: Flush, rows: &mut Vec<Derived>, done: &mut Tidied) {
    let Flush { number, entries, blocks, is_covered } = flush;
    let mut entries: Vec<Entry> = entries.entries().collect();
    entries.sort_unstable();
    let head = Head::new(number, 0, Extent::of(&entries, blocks));
    if is_covered {
        done.covered.push((head.level, entries.iter().map(|entry| entry.0).collect()));
    }
    let mut builder = Builder::new(head);
    entries.into_iter().for_each(|entry| builder.push(entry, rows));
    let (head, filter) = builder.finish(rows);
    done.arrived.push(Run { head, filter });
    rows.push(Derived { space: FLUSHED, key: Vec::new(), value: Some(blocks.to_bytes()) });
}

/// Goes on with a merge, and ends it where that was all.
fn go_on(
    mut merge: Merge,
    most: u64,
    kept: &dyn Derivations,
    rows: &mut Vec<Derived>,
    done: &mut Tidied,
) -> Result<(), StoreError> {
    let mut covered = Vec::new();
    merge.go_on(kept, most, rows, &mut covered)?;
    if !covered.is_empty() {
        done.covered.push((merge.builder.head.level, covered));
    }
    if !merge.is_done() {
        done.merge = Some(merge);
        return Ok(());
    }
    if let Some(left) = merge.left {
        done.left = Some(left);
        rows.push(Derived { space: LEFT, key: Vec::new(), value: Some(left.to_bytes()) });
    }
    let (head, filter) = merge.builder.finish(rows);
    for input in merge.inputs {
        rows.push(Head { state: State::Partial, ..input }.row());
        done.replaced.push(input.number);
    }
    done.arrived.push(Run { head, filter });
    Ok(())
}
