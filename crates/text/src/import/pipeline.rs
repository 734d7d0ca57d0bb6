//! The threads of an import: chunks in any order, identities in the order of the file.
//!
//! A chunk is a fixed region of the file; it owns the rows that begin in it. A thread cannot know
//! whether a line that begins in its region begins a row or goes on inside a quoted field, so it
//! supposes a row. When the chunk's turn comes, the end of the row before says whether that was
//! right; if not, the chunk is parsed again from there. So the result is that of reading from the
//! beginning, and memory is bounded by the chunks under way.

use super::format::FilePlan;
use super::partition::{Context, Partition, Routed};
use super::record::{Batch, Out, Parser, RowAt};
use super::scan::{Fields, Flaw, Found, Framing, ROW_BYTES_MAX};
use super::spec::Reader;
use super::summary::{Tally, Until};
use super::{Sink, objects};
use crate::diagnostic::Diagnostic;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::ScopedJoinHandle;

/// What an import of one file is given.
pub(super) struct Setting<'a> {
    pub(super) plan: &'a FilePlan,
    pub(super) context: &'a Context<'a>,
    pub(super) chunk_bytes: u64,
    pub(super) listed_max: usize,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

/// Bytes read past a chunk at first; rows rarely need more.
const SLACK_BYTES: u64 = 8 * 1024;

/// Where the next row begins, as far as the rows before it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(u64),
    /// At the next line: a row too long to be held is being skipped.
    Line,
}

/// A parsed chunk.
struct Piece {
    /// The supposed first row; `None`: no line begins in the chunk.
    first: Option<u64>,
    next: Next,
    lines: u64,
    tally: Tally,
    batches: Vec<Batch>,
}

struct State {
    /// Chunks taken by a thread, of all.
    taken: u64,
    chunks: u64,
    /// Chunks whose turn has been.
    committed: u64,
    next: Next,
    lines: u64,
    pending: BTreeMap<u64, Piece>,
    /// For each partition, in order.
    batches: Vec<VecDeque<Batch>>,
    /// For each partition, in any order.
    routed: Vec<VecDeque<Routed>>,
    /// Partitions that have seen all rows.
    done: Vec<bool>,
    /// Emptied batches, and what was emptied of routed legs.
    spare: Vec<Batch>,
    spare_routed: Vec<Routed>,
    tally: Tally,
    /// Where the next object of a JSON stream begins, and its line.
    stream: objects::Stream,
    failed: Option<io::Error>,
    abandoned: bool,
}

struct Shared<'a> {
    setting: &'a Setting<'a>,
    state: Mutex<State>,
    changed: Condvar,
    /// Chunks that may be under way at once.
    window: u64,
}

impl Shared<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere is reported by its own thread.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Lets the other threads go when one panics.
struct Leaving<'a, 'b>(&'a Shared<'b>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().abandoned = true;
            self.0.changed.notify_all();
        }
    }
}

/// The result of a thread; its panic is passed on.
pub(super) fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Reads the file up to the point where all legs have joined their calls.
pub(super) fn read<S: Sink>(
    setting: &Setting<'_>,
    partitions: &mut [Partition],
    workers: &mut [Out],
    sinks: &mut [S],
) -> Result<Vec<Tally>, Diagnostic> {
    let plan = setting.plan;
    let parts = partitions.len();
    let (streamed, within) = match plan.parser().framing() {
        Framing::Objects { within } => (true, *within),
        _ => (false, None),
    };
    let chunks =
        if streamed { u64::MAX } else { (plan.len.saturating_sub(plan.begin)).div_ceil(setting.chunk_bytes) };
    let shared = Shared {
        setting,
        state: Mutex::new(State {
            taken: 0,
            chunks,
            committed: 0,
            next: Next::At(plan.begin),
            lines: plan.lines,
            pending: BTreeMap::new(),
            batches: (0..parts).map(|_| VecDeque::new()).collect(),
            routed: (0..parts).map(|_| VecDeque::new()).collect(),
            done: vec![false; parts],
            spare: Vec::new(),
            spare_routed: Vec::new(),
            tally: Tally::new(setting.listed_max),
            stream: objects::Stream::new(plan.begin, within),
            failed: None,
            abandoned: false,
        }),
        changed: Condvar::new(),
        window: parts as u64 * 2 + 2,
    };
    let mut tallies: Vec<Tally> = std::thread::scope(|scope| {
        let working: Vec<_> = partitions
            .iter_mut()
            .zip(workers.iter_mut())
            .zip(sinks.iter_mut())
            .enumerate()
            .map(|(number, ((partition, out), sink))| {
                let shared = &shared;
                scope.spawn(move || {
                    let _leaving = Leaving(shared);
                    let mut worker = Worker::new(shared, number, parts, out);
                    worker.run(partition, sink);
                    worker.tally
                })
            })
            .collect();
        working.into_iter().map(joined).collect()
    });
    let state = shared.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    match state.failed {
        Some(error) => Err(plan.unreadable(error)),
        None => {
            tallies.push(state.tally);
            Ok(tallies)
        }
    }
}

/// One thread: parses chunks, and owns a partition.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    out: &'a mut Out,
    parser: Box<dyn Parser>,
    reader: Option<Reader>,
    buffer: Vec<u8>,
    fields: Fields,
    tally: Tally,
    routed: Vec<Routed>,
}

enum Work {
    Take(Batch),
    Join(Routed),
    Parse(u64),
    ParseObjects(u64, objects::Cut),
    Leave,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, number: usize, parts: usize, out: &'a mut Out) -> Worker<'a> {
        out.tally = Tally::new(shared.setting.listed_max);
        out.batches.iter_mut().for_each(Batch::clear);
        Worker {
            shared,
            number,
            out,
            parser: shared.setting.plan.parser(),
            reader: None,
            buffer: Vec::new(),
            fields: Fields::default(),
            tally: Tally::new(shared.setting.listed_max),
            routed: (0..parts).map(|_| Routed::default()).collect(),
        }
    }

    fn run<S: Sink>(&mut self, partition: &mut Partition, sink: &mut S) {
        loop {
            match self.work() {
                Work::Take(mut batch) => {
                    partition.take(
                        &batch,
                        self.shared.setting.context,
                        sink,
                        &mut self.routed,
                        &mut self.tally,
                    );
                    partition.join(&mut self.routed[self.number]);
                    batch.clear();
                    let mut state = self.shared.lock();
                    state.spare.push(batch);
                    for (to, routed) in self.routed.iter_mut().enumerate().filter(|(_, r)| !r.is_empty()) {
                        let spare = state.spare_routed.pop().unwrap_or_default();
                        state.routed[to].push_back(std::mem::replace(routed, spare));
                    }
                }
                Work::Join(mut routed) => {
                    partition.join(&mut routed);
                    self.shared.lock().spare_routed.push(routed);
                }
                Work::Parse(chunk) => {
                    let parsed = self.parse(chunk, None);
                    self.commit(chunk, parsed);
                }
                Work::ParseObjects(chunk, cut) => {
                    let parsed = self.objects(cut);
                    self.commit(chunk, Ok(parsed));
                }
                Work::Leave => return,
            }
            self.shared.changed.notify_all();
        }
    }

    /// The next thing to do: what is waiting first, so that little waits.
    fn work(&mut self) -> Work {
        let mut state = self.shared.lock();
        loop {
            if state.failed.is_some() || state.abandoned {
                return Work::Leave;
            }
            if let Some(batch) = state.batches[self.number].pop_front() {
                return Work::Take(batch);
            }
            if let Some(routed) = state.routed[self.number].pop_front() {
                return Work::Join(routed);
            }
            let waiting = state.batches.iter().map(VecDeque::len).max().unwrap_or(0) as u64;
            if state.taken < state.chunks
                && state.taken < state.committed + self.shared.window
                && waiting < self.shared.window
            {
                let chunk = state.taken;
                if state.chunks != u64::MAX {
                    state.taken += 1;
                    return Work::Parse(chunk);
                }
                // The ends of objects are found one after another, under the lock.
                let plan = self.shared.setting.plan;
                let size = self.shared.setting.chunk_bytes;
                let cut = match self.reader() {
                    Ok(reader) => state.stream.cut(reader, plan.len, size),
                    Err(error) => Err(error),
                };
                match cut {
                    Ok(Some(cut)) => {
                        state.taken += 1;
                        return Work::ParseObjects(chunk, cut);
                    }
                    Ok(None) => state.chunks = state.taken,
                    Err(error) => state.failed = Some(error),
                }
                self.shared.changed.notify_all();
                continue;
            }
            if state.committed == state.chunks && !state.done[self.number] {
                state.done[self.number] = true;
                self.shared.changed.notify_all();
            }
            if state.done.iter().all(|done| *done) {
                return Work::Leave;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn reader(&mut self) -> io::Result<&mut Reader> {
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => Ok(none.insert(self.shared.setting.plan.input.open()?)),
        }
    }

    /// Puts a chunk in its place, and everything that has waited for it.
    fn commit(&mut self, chunk: u64, parsed: io::Result<Piece>) {
        let mut state = self.shared.lock();
        match parsed {
            Ok(piece) => state.pending.insert(chunk, piece),
            Err(error) => {
                state.failed = Some(error);
                return;
            }
        };
        while let Some(mut piece) = {
            let turn = state.committed;
            state.pending.remove(&turn)
        } {
            let (from, to) = self.region(state.committed);
            let streamed = matches!(self.parser.framing(), Framing::Objects { .. });
            match state.next {
                _ if streamed => {}
                Next::At(at) if at >= to => piece = Piece::empty(piece, Next::At(at)),
                Next::At(at) if piece.first == Some(at) => {}
                Next::At(at) => {
                    debug_assert!(at >= from);
                    // Supposed wrongly, which is rare: again, from where the row begins.
                    piece.batches.into_iter().for_each(|mut batch| {
                        batch.clear();
                        state.spare.push(batch);
                    });
                    self.spares(&mut state);
                    match self.parse(state.committed, Some(at)) {
                        Ok(right) => piece = right,
                        Err(error) => {
                            state.failed = Some(error);
                            return;
                        }
                    }
                }
                Next::Line => {
                    if piece.first.is_none() {
                        piece.next = Next::Line;
                    }
                }
            }
            let lines = state.lines;
            piece.tally.shift_lines(lines);
            state.tally.absorb(piece.tally);
            for (to, mut batch) in piece.batches.into_iter().enumerate() {
                if batch.legs.is_empty() && batch.records.is_empty() {
                    state.spare.push(batch);
                } else {
                    batch.lines_before = lines;
                    state.batches[to].push_back(batch);
                }
            }
            state.lines += piece.lines;
            state.next = piece.next;
            state.committed += 1;
        }
        self.spares(&mut state);
    }

    /// Takes emptied batches for the next chunk.
    fn spares(&mut self, state: &mut State) {
        for batch in &mut self.out.batches {
            let fresh = batch.legs.capacity() == 0 && batch.records.capacity() == 0;
            if let Some(spare) = fresh.then(|| state.spare.pop()).flatten() {
                *batch = spare;
            }
        }
    }

    fn region(&self, chunk: u64) -> (u64, u64) {
        let Setting { plan, chunk_bytes, .. } = self.shared.setting;
        let from = plan.begin.saturating_add(chunk.saturating_mul(*chunk_bytes));
        (from, from.saturating_add(*chunk_bytes).min(plan.len))
    }

    /// The rows that begin in a chunk, from `first` if that is known.
    fn parse(&mut self, chunk: u64, first: Option<u64>) -> io::Result<Piece> {
        let (from, to) = self.region(chunk);
        let plan = self.shared.setting.plan;
        // One byte more tells whether a line begins at the chunk's first.
        let read_from = first.unwrap_or(if chunk == 0 { from } else { from - 1 });
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.reader()?.read(read_from, to.saturating_add(SLACK_BYTES).min(plan.len), &mut buffer)?;
        if (buffer.len() as u64) < to - read_from {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        // A reparse tells of bytes that were told of before.
        if first.is_none() {
            (self.shared.setting.progress)(to - from);
        }
        let in_chunk = (to - read_from) as usize;
        let mut at = match first {
            Some(_) => Some(0),
            None if chunk == 0 => Some(0),
            None => memchr::memchr(b'\n', &buffer[..in_chunk - 1]).map(|newline| newline + 1),
        };
        let first = at.map(|at| read_from + at as u64);
        let (mut next, mut lines) = (Next::Line, 0u64);
        while let Some(row) = at {
            if row >= in_chunk {
                next = Next::At(read_from + row as u64);
                break;
            }
            let last = read_from + buffer.len() as u64 >= plan.len;
            let offset = read_from + row as u64;
            let line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
            match self.parser.framing().next(&buffer, row, last, &mut self.fields) {
                Found::More => {
                    let end = read_from + buffer.len() as u64;
                    let wanted = (offset + ROW_BYTES_MAX as u64).min(plan.len);
                    self.reader()?.read(end, wanted, &mut buffer)?;
                    if read_from + (buffer.len() as u64) < wanted {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
                    }
                }
                Found::TooLong => {
                    too_long(self.out, line, offset);
                    lines += 1;
                    let rest = row + ROW_BYTES_MAX;
                    let newline = buffer.get(rest..in_chunk).and_then(|rest| memchr::memchr(b'\n', rest));
                    at = newline.map(|newline| rest + newline + 1);
                }
                found => {
                    let (after, more) = hand_over(
                        found,
                        &buffer,
                        row,
                        line,
                        offset,
                        &self.fields,
                        &mut *self.parser,
                        self.out,
                    );
                    lines += u64::from(more);
                    at = Some(after);
                }
            }
        }
        self.buffer = buffer;
        Ok(self.piece(first, next, lines))
    }

    /// Objects of a JSON stream, already cut.
    fn objects(&mut self, cut: objects::Cut) -> Piece {
        (self.shared.setting.progress)(cut.progress);
        for object in &cut.objects {
            let line = u32::try_from(object.line).unwrap_or(u32::MAX);
            if let Some((code, sentence)) = object.wrong {
                self.out.tally.summary.rows += 1;
                let at = (u64::from(line), object.offset);
                self.out.tally.quarantine(at, 1, Until::Never, code, || sentence.into());
                continue;
            }
            let row =
                RowAt { bytes: &cut.bytes[object.at..object.at + object.len], line, offset: object.offset };
            self.out.tally.summary.rows += 1;
            self.parser.row(row, &self.fields, self.out);
        }
        // Lines are counted by the one who cuts.
        self.piece(None, Next::Line, 0)
    }

    fn piece(&mut self, first: Option<u64>, next: Next, lines: u64) -> Piece {
        let fresh = || Batch::default();
        Piece {
            first,
            next,
            lines,
            tally: std::mem::replace(&mut self.out.tally, Tally::new(self.shared.setting.listed_max)),
            batches: self.out.batches.iter_mut().map(|batch| std::mem::replace(batch, fresh())).collect(),
        }
    }
}

impl Piece {
    /// Nothing of the chunk counts: a row that began before goes on past it.
    fn empty(mut self, next: Next) -> Piece {
        self.batches.iter_mut().for_each(Batch::clear);
        Piece { first: None, next, lines: 0, tally: Tally::new(0), batches: self.batches }
    }
}

fn too_long(out: &mut Out, line: u32, offset: u64) {
    out.tally.summary.rows += 1;
    out.tally.quarantine((u64::from(line), offset), 1, Until::Never, "too-long", || {
        format!("the row is longer than {ROW_BYTES_MAX} bytes").into()
    });
}

/// Gives a row to the parser, or a flawed line to quarantine: where the next row begins, and how
/// many lines later.
#[allow(clippy::too_many_arguments)]
#[inline]
fn hand_over(
    found: Found,
    buffer: &[u8],
    at: usize,
    line: u32,
    offset: u64,
    fields: &Fields,
    parser: &mut dyn Parser,
    out: &mut Out,
) -> (usize, u32) {
    match found {
        Found::Row { len, next, lines } => {
            if len > 0 {
                out.tally.summary.rows += 1;
                parser.row(RowAt { bytes: &buffer[at..at + len], line, offset }, fields, out);
            }
            (next, lines)
        }
        Found::Bad { len, next, why } => {
            out.tally.summary.rows += 1;
            let row = RowAt { bytes: &buffer[at..at + len], line, offset };
            match why {
                Flaw::Quote => out.quarantine(&row, "stray-quote", || {
                    "a quote stands inside a field, or text follows a closing quote".into()
                }),
                Flaw::Unclosed => {
                    out.quarantine(&row, "unclosed-quote", || "a quoted field never ends".into())
                }
                Flaw::Columns => out.quarantine(&row, "columns", || {
                    "a quoted field goes on over lines, and then the columns do not fit".into()
                }),
            }
            (next, 1)
        }
        Found::More | Found::TooLong => (buffer.len(), 1),
    }
}

/// Parses the row at the beginning of the bytes.
pub(super) fn one_row(
    parser: &mut dyn Parser,
    bytes: &[u8],
    offset: u64,
    fields: &mut Fields,
    out: &mut Out,
) {
    let found = parser.framing().next(bytes, 0, true, fields);
    if let Found::Row { .. } = found {
        hand_over(found, bytes, 0, 1, offset, fields, parser, out);
    }
}
