//! The importer of a book: its identities and calls, over all its files.

use super::arena::Interner;
use super::format::FilePlan;
use super::index::Key;
use super::objects::piece;
use super::partition::{Context, Kept, Outcome, Partition, encode_inline, identity};
use super::pipeline;
use super::record::{Out, Record};
use super::scan::Framing;
use super::spec::{ImportSpec, Input};
use super::summary::{Quarantined, Summary, Tally, excerpt};
use super::{Origin, Sink};
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;
use std::collections::HashSet;
use std::sync::Arc;

/// An accepted event kept as it was, for a `void` to take back.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedEvent {
    /// As in [`Event`].
    pub source: String,
    /// As in [`Event`].
    pub id: String,
    /// As in [`Event`].
    pub revision: u64,
    /// As in [`Event`].
    pub kind: String,
    /// As in [`Event`].
    pub account: String,
    /// As in [`Event`].
    pub time: Instant,
    /// As in [`Event`].
    pub start: Option<Instant>,
    /// As in [`Event`].
    pub attributes: Vec<(String, OwnedValue)>,
    /// Where it was read.
    pub origin: Origin,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    /// A text.
    Text(String),
    /// A number.
    Number(Exact),
}

impl OwnedEvent {
    /// A copy of the event.
    pub fn of(event: &Event<'_>, origin: Origin) -> OwnedEvent {
        let value = |value: &Value<'_>| match value {
            Value::Text(text) => OwnedValue::Text((*text).into()),
            Value::Number(number) => OwnedValue::Number(*number),
        };
        OwnedEvent {
            source: event.source.into(),
            id: event.id.into(),
            revision: event.revision,
            kind: event.kind.into(),
            account: event.account.into(),
            time: event.time,
            start: event.start,
            attributes: event.attributes.iter().map(|(name, v)| ((*name).into(), value(v))).collect(),
            origin,
        }
    }

    /// The event.
    pub fn event(&self) -> Event<'_> {
        let value = |value| match value {
            &OwnedValue::Number(number) => Value::Number(number),
            OwnedValue::Text(text) => Value::Text(text),
        };
        Event {
            source: &self.source,
            id: &self.id,
            revision: self.revision,
            kind: &self.kind,
            account: &self.account,
            time: self.time,
            start: self.start,
            attributes: self.attributes.iter().map(|(name, v)| (name.as_str(), value(v))).collect(),
        }
    }
}

/// What the place of a row can say.
const LEN_MAX: u64 = 1 << 44;

/// Reads the usage of one book: any number of files, one after another, and single events.
///
/// It holds 16 bytes for each row of calls or 24 for each event (each at up to 80 % of the
/// table), 64 bytes and a slot for each call, and what rules made of distinct rows.
pub struct Importer {
    partitions: Vec<Partition>,
    workers: Vec<Out>,
    plans: Vec<Arc<FilePlan>>,
    inline: Vec<(Record, Vec<u8>)>,
    watched: HashSet<u128>,
}

impl Importer {
    /// The most threads that one importer uses.
    pub const THREADS_MAX: usize = 64;

    /// An importer that works with this many threads, at least 1 and at most
    /// [`Importer::THREADS_MAX`].
    pub fn new(threads: usize) -> Importer {
        let threads = threads.clamp(1, Importer::THREADS_MAX);
        Importer {
            partitions: (0..threads).map(|_| Partition::new()).collect(),
            workers: (0..threads).map(|w| Out::new(w as u32, threads, 0)).collect(),
            plans: Vec::new(),
            inline: Vec::new(),
            watched: HashSet::new(),
        }
    }

    /// As many threads as the machine runs at once.
    pub fn threads_here() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(Importer::THREADS_MAX)
    }

    /// How many threads it works with, and so how many sinks it takes.
    pub fn threads(&self) -> usize {
        self.partitions.len()
    }

    /// Identities held.
    pub fn identities(&self) -> usize {
        self.partitions.iter().map(Partition::identities).sum()
    }

    /// From now on the accepted event of this identity is kept, for [`Importer::watched`].
    pub fn watch(&mut self, source: &str, id: &str) {
        self.watched.insert(identity(source, id));
    }

    /// The watched event as it counts now, if it does.
    pub fn watched(&self, source: &str, id: &str) -> Option<&OwnedEvent> {
        let identity = identity(source, id);
        self.partitions.iter().find_map(|partition| partition.kept.get(&identity))
    }

    /// Whether a row that was in quarantine waits no more, by what came since: a higher revision, or the rest of a call.
    pub fn is_over(&self, row: &Quarantined) -> bool {
        let key = row.until.key();
        key.is_some_and(|key| self.partitions[key.partition(self.partitions.len())].is_over(row))
    }

    /// The highest revision that was said of an event, if any was.
    pub fn revision(&self, source: &str, id: &str) -> Option<u64> {
        let key = Key::of(identity(source, id));
        self.partitions[key.partition(self.partitions.len())].revision(key)
    }

    /// Every watched event that counts now.
    pub fn kept(&self) -> impl Iterator<Item = &OwnedEvent> {
        self.partitions.iter().flat_map(|partition| Kept::values(&partition.kept))
    }

    /// Reads a file into the sinks, one for each thread and the same in every call. `progress` is
    /// told of bytes read, from any thread.
    ///
    /// # Errors
    ///
    /// A specification that does not fit the file, or a file that cannot be read. In the latter
    /// case the sinks may hold a part of it, and the importer is of no further use.
    pub fn import<S: Sink>(
        &mut self,
        spec: &ImportSpec,
        input: Input,
        sinks: &mut [S],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Summary, Diagnostic> {
        let file = match u16::try_from(self.plans.len() + 1) {
            Ok(file) if sinks.len() == self.partitions.len() => file,
            Ok(_) => {
                let expected = format!("{} sinks, one for each thread", self.partitions.len());
                return Err(spec.wrong(format!("{} sinks", sinks.len()), expected));
            }
            Err(_) => return Err(spec.wrong("too many files", "65535 at most in one book")),
        };
        let plan = Arc::new(FilePlan::new(spec, input, file)?);
        if plan.len >= LEN_MAX {
            return Err(spec.wrong(format!("{} bytes", plan.len), "less than 16 TiB in one file"));
        }
        self.plans.push(Arc::clone(&plan));
        // While no thread adds to them, what rules made of earlier files' rows can be looked at.
        let lent: Vec<Interner> = match plan.interns() {
            true => Vec::new(),
            false => self.workers.iter_mut().map(|worker| std::mem::take(&mut worker.interner)).collect(),
        };
        let interners = lent.iter().collect();
        let reading =
            Context { plans: &self.plans, inline: &self.inline, file, watched: &self.watched, interners };
        let setting = pipeline::Setting {
            plan: &plan,
            context: &reading,
            chunk_bytes: spec.chunk_bytes.max(1) as u64,
            listed_max: spec.listed_max,
            progress,
        };
        let mut summary = Summary::default();
        for tally in pipeline::read(&setting, &mut self.partitions, &mut self.workers, sinks)? {
            summary.merge(tally);
        }
        for (worker, interner) in self.workers.iter_mut().zip(lent) {
            worker.interner = interner;
        }
        let interners = self.workers.iter().map(|worker| &worker.interner).collect();
        let context =
            Context { plans: &self.plans, inline: &self.inline, file, watched: &self.watched, interners };
        let tallies: Vec<Tally> = std::thread::scope(|scope| {
            let settling: Vec<_> = self
                .partitions
                .iter_mut()
                .zip(sinks)
                .map(|(partition, sink)| {
                    let context = &context;
                    scope.spawn(move || {
                        let mut tally = Tally::new(spec.listed_max);
                        partition.settle_calls(context, sink, &mut tally);
                        tally
                    })
                })
                .collect();
            settling.into_iter().map(pipeline::joined).collect()
        });
        for tally in tallies {
            summary.merge(tally);
        }
        self.list(&plan, spec.listed_max, &mut summary).map_err(|e| plan.unreadable(e))?;
        Ok(summary)
    }

    /// Orders the listed rows and reads how they begin.
    fn list(&self, plan: &FilePlan, listed_max: usize, summary: &mut Summary) -> std::io::Result<()> {
        summary.bytes = plan.len;
        let order = |row: &Quarantined| (row.offset, row.reason.code, row.reason.sentence.clone(), row.rows);
        summary.listed.sort_by_cached_key(order);
        summary.listed.truncate(listed_max);
        if summary.listed.is_empty() {
            return Ok(());
        }
        let is_streamed = matches!(plan.parser().framing(), Framing::Objects { .. });
        let mut reader = plan.input.open()?;
        let mut bytes = Vec::new();
        for row in summary.listed.iter_mut().filter(|row| row.line > 0) {
            bytes.clear();
            reader.read(row.offset, row.offset + 512, &mut bytes)?;
            let begins = match is_streamed {
                true => piece(&bytes),
                false => bytes.split(|&b| b == b'\n').next().unwrap_or_default(),
            };
            row.excerpt = excerpt(begins);
        }
        Ok(())
    }

    /// Takes one event that the book itself holds, with the same check for repeats as rows have.
    /// Repeats and revisions may be in files, and the other way round.
    pub fn insert<S: Sink>(&mut self, event: &Event<'_>, line: u64, sinks: &mut [S]) -> Outcome {
        let (record, bytes) = encode_inline(event, self.inline.len() as u64);
        let owner = record.key.partition(self.partitions.len());
        let context = Context {
            plans: &self.plans,
            inline: &self.inline,
            file: 0,
            watched: &self.watched,
            interners: self.workers.iter().map(|worker| &worker.interner).collect(),
        };
        let outcome = match sinks.get_mut(owner) {
            Some(sink) => {
                let mut tally = Tally::new(0);
                let partition = &mut self.partitions[owner];
                // Only a file's event waits for the file's end.
                partition
                    .event(&record, &bytes, line, &context, sink, &mut tally)
                    .unwrap_or(Outcome::Duplicate)
            }
            None => {
                let sentence = "there are fewer sinks than threads";
                Outcome::Quarantined(super::Reason::new("too-few-sinks", sentence))
            }
        };
        self.inline.push((record, bytes));
        outcome
    }
}
