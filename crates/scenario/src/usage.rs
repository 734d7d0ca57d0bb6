//! The usage of a book: what was delivered, in order, so that it can be counted again and shown.

use crate::prepare::{Prepared, UsageLine};
use crate::run::Run;
use farebox_core::bill::Line;
use farebox_core::calendar::Span;
use farebox_core::engine::{is_behind, unrouted};
use farebox_core::metering::{Counted, Event, LaneKey, Metering, Problem, Scope, Value};
use farebox_report::{EventBehind, InQuarantine, Quarantine};
use farebox_store::usage::Usage;
use farebox_text::diagnostic::Diagnostic;
use farebox_text::import::{
    Change, EventOutcome, ImportSpec, Importer, Origin, OwnedEvent, Quarantined, Reason, Sink, Summary,
    Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Identities as `source` and `id`.
type Identities = BTreeSet<(String, String)>;

/// One delivery.
enum Delivery {
    Line { usage: Box<UsageLine>, line: usize },
    File { spec: Box<ImportSpec>, path: PathBuf, summary: Box<Summary> },
}

/// All usage delivered so far.
pub(crate) struct UsageLog {
    book: String,
    deliveries: Vec<Delivery>,
    importer: Importer,
    /// Voided before or after they arrived.
    voided: Arc<Identities>,
    noted: Noted,
    /// Lines of the book that could not be billed.
    refused: Vec<Quarantine>,
    /// The same of sessions.
    refused_sessions: Vec<(Session, Quarantine)>,
    /// What sessions said that they used, each until its record comes, and its line.
    sessions: BTreeMap<Session, (UsageLine, usize)>,
}

/// What is noted of events when they are counted.
#[derive(Clone)]
struct Noted {
    /// Events that later ones have replaced.
    replaced: Arc<Mutex<Replaced>>,
    /// Accounts whose usage was taken back since somebody asked.
    moved: Arc<Mutex<BTreeSet<String>>>,
    /// Identities that the book speaks of besides.
    watched: Arc<Identities>,
    /// Those of them under which something came, be it in quarantine.
    come: Arc<Mutex<Identities>>,
    /// For a service, where one counts.
    heard: Option<Heard>,
}

impl Noted {
    fn note(&self, event: &Event<'_>, change: Change) {
        hear(&self.heard, event, change);
        match change {
            Change::Remove => {
                if let Ok(mut moved) = self.moved.lock() {
                    moved.insert(event.account.to_owned());
                }
            }
            Change::Add if self.watched.is_empty() => {}
            Change::Add => {
                let identity = (event.source.to_owned(), event.id.to_owned());
                if self.watched.contains(&identity)
                    && let Ok(mut come) = self.come.lock()
                {
                    come.insert(identity);
                }
            }
        }
    }

    fn has_come(&self, identity: &(String, String)) -> bool {
        self.come.lock().is_ok_and(|come| come.contains(identity))
    }
}

/// How often events were replaced, by source, id and revision. A call that a late leg completes
/// replaces itself.
type Replaced = BTreeMap<(String, String, u64), u32>;

/// The source and id that a session's record will bear, and its account: one of another account is another session.
type Session = (String, String, String);

/// Usage that a service is to count: what was added, and what was taken back, in order.
type Heard = Arc<Mutex<Vec<(Usage, Change)>>>;

fn hear(heard: &Option<Heard>, event: &Event<'_>, change: Change) {
    if let Some(Ok(mut heard)) = heard.as_ref().map(|heard| heard.lock()) {
        heard.push((Usage::of(event), change));
    }
}

/// What to do about events that a later one replaces.
#[derive(Clone)]
enum Replacing {
    /// They are taken back, and noted.
    Note(Noted),
    /// They are known, and not counted in the first place: no counter has to take any back.
    Skip(Arc<Mutex<Replaced>>),
}

impl Replacing {
    /// Counts an event that is not void.
    fn count(&self, metering: &mut Metering, event: &Event<'_>, change: Change) -> Verdict {
        if let Replacing::Note(noted) = self {
            noted.note(event, change);
        }
        if matches!((self, change), (Replacing::Note(..), Change::Add)) {
            return verdict(metering.count(event, change));
        }
        let (Replacing::Note(Noted { replaced, .. }) | Replacing::Skip(replaced)) = self;
        let skips = matches!(self, Replacing::Skip(_));
        let Ok(mut replaced) = replaced.lock() else {
            return Verdict::Quarantine(Reason::new("not-counted", "counting it failed"));
        };
        match change {
            Change::Remove if skips => return Verdict::Counted,
            Change::Remove => *replaced.entry(key_of(event)).or_default() += 1,
            Change::Add if skips && !replaced.is_empty() => {
                // Only what was counted can have been replaced.
                let counts = |metering: &mut Metering| metering.locate(event).is_ok_and(|at| !at.is_empty());
                if let Some(left) = replaced.get_mut(&key_of(event))
                    && *left > 0
                    && counts(metering)
                {
                    *left -= 1;
                    return Verdict::Counted;
                }
            }
            Change::Add => {}
        }
        drop(replaced);
        verdict(metering.count(event, change))
    }
}

fn key_of(event: &Event<'_>) -> (String, String, u64) {
    (event.source.to_owned(), event.id.to_owned(), event.revision)
}

/// Counts into a metering of its own, which is merged when the file is done.
struct Counting {
    metering: Metering,
    voided: Arc<Identities>,
    replacing: Replacing,
}

impl Sink for Counting {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        if !self.voided.is_empty() && self.voided.contains(&(event.source.to_owned(), event.id.to_owned())) {
            return Verdict::NotBillable;
        }
        self.replacing.count(&mut self.metering, event, change)
    }
}

/// Counts into the book's own metering: for the few events that stand in the book itself.
struct Direct<'a, 'b> {
    metering: &'a Mutex<&'b mut Metering>,
    voided: &'a Identities,
    replacing: &'a Replacing,
}

impl Sink for Direct<'_, '_> {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        if self.voided.contains(&(event.source.to_owned(), event.id.to_owned())) {
            return Verdict::NotBillable;
        }
        match self.metering.lock() {
            Ok(mut metering) => self.replacing.count(&mut metering, event, change),
            Err(_) => Verdict::Quarantine(Reason::new("not-counted", "counting it failed")),
        }
    }
}

fn verdict(counted: Result<Counted, Problem>) -> Verdict {
    match counted {
        Ok(Counted::Counted) => Verdict::Counted,
        Ok(Counted::NotBillable) => Verdict::NotBillable,
        Err(problem) => Verdict::Quarantine(Reason::new(problem.code(), problem.sentence())),
    }
}

/// Hands every accepted event to a closure.
struct Looking<'a> {
    look: &'a mut (dyn FnMut(&Event<'_>, Origin) + Send),
    voided: Arc<Identities>,
    replaced: &'a mut Replaced,
}

impl Sink for Looking<'_> {
    fn usage(&mut self, event: &Event<'_>, change: Change, origin: Origin) -> Verdict {
        let known = (event.source.to_owned(), event.id.to_owned());
        if change == Change::Remove || self.voided.contains(&known) {
            return Verdict::Counted;
        }
        match self.replaced.get_mut(&key_of(event)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => (self.look)(event, origin),
        }
        Verdict::Counted
    }
}

/// Where an event was read.
#[derive(Clone, Copy)]
struct Place<'p> {
    file: &'p str,
    line: u64,
    /// Whether a session said it.
    is_session: bool,
    /// Its number among the deliveries; of a session, which comes after them, as large as can be.
    delivery: usize,
    /// Of a file, the row.
    origin: Option<Origin>,
}

/// The types of events that are measured by what accounts have ordered by now, as far as they are asked for. The book's
/// own counters know what is ordered later, or refused.
struct Measured<'m>(BTreeMap<&'m str, Option<BTreeSet<String>>>);

impl<'m> Measured<'m> {
    fn of(run: &Run<'_>, accounts: impl Iterator<Item = &'m str>) -> Measured<'m> {
        let mut all = BTreeMap::new();
        for account in accounts {
            all.entry(account).or_insert_with(|| run.measured(account));
        }
        Measured(all)
    }

    /// Why usage cannot be billed, whatever else it says.
    fn wants(&self, account: &str, kind: &str) -> Option<Problem> {
        match self.0.get(account)? {
            None => Some(Problem::UnknownAccount(account.to_owned())),
            Some(kinds) if kinds.contains(kind) => None,
            Some(_) => Some(Problem::NothingMeasures(kind.to_owned())),
        }
    }
}

impl UsageLog {
    /// `is_heard`: whether a service counts besides, see [`UsageLog::take_heard`].
    pub(crate) fn new(prepared: &Prepared, threads: usize, is_heard: bool) -> UsageLog {
        let mut log = UsageLog {
            book: prepared.book.file.clone(),
            deliveries: Vec::new(),
            importer: Importer::new(threads),
            voided: Arc::default(),
            noted: Noted {
                replaced: Arc::default(),
                moved: Arc::default(),
                watched: Arc::new(prepared.watched.clone()),
                come: Arc::default(),
                heard: is_heard.then(Heard::default),
            },
            refused: Vec::new(),
            refused_sessions: Vec::new(),
            sessions: BTreeMap::new(),
        };
        log.watch();
        log
    }

    /// What was added and taken back since the last call, in order.
    pub(crate) fn take_heard(&mut self) -> Vec<(Usage, Change)> {
        let heard = self.noted.heard.as_ref().and_then(|heard| heard.lock().ok());
        heard.map(|mut heard| std::mem::take(&mut *heard)).unwrap_or_default()
    }

    fn watch(&mut self) {
        for (source, id) in self.noted.watched.iter() {
            self.importer.watch(source, id);
        }
    }

    /// Counts a line of usage, as many times as it says.
    pub(crate) fn insert(&mut self, usage: &UsageLine, line: usize, metering: &mut Metering) {
        let replacing = Replacing::Note(self.noted.clone());
        let refused = deliver(&mut self.importer, usage, line, metering, &self.voided, &replacing);
        let refused = refused.into_iter().map(|(what, reason)| Quarantine {
            file: self.book.clone(),
            line: line as u64,
            code: reason.code.to_owned(),
            sentence: reason.sentence.into_owned(),
            what,
        });
        self.refused.extend(refused);
        self.deliveries.push(Delivery::Line { usage: Box::new(usage.clone()), line });
        self.supersede(metering);
    }

    /// Counts what a session says that it used, unless its record is there or it is void.
    pub(crate) fn end_session(&mut self, usage: UsageLine, line: usize, metering: &mut Metering) {
        let identity = (usage.source.clone(), usage.id.clone());
        let is_known = self.noted.has_come(&identity);
        if is_known || self.voided.contains(&identity) {
            return;
        }
        // What an expired session said before, if it says more now.
        let session = (identity.0, identity.1, usage.account.clone());
        self.take_back(&session, metering);
        each(&usage, |event| {
            hear(&self.noted.heard, event, Change::Add);
            if let Err(problem) = metering.count(event, Change::Add) {
                let quarantine = Quarantine {
                    file: self.book.clone(),
                    line: line as u64,
                    code: problem.code().to_owned(),
                    sentence: problem.sentence(),
                    what: format!("{}/{}", event.source, event.id),
                };
                self.refused_sessions.push((session.clone(), quarantine));
            }
        });
        self.sessions.insert(session, (usage, line));
    }

    /// Takes back what sessions said whose record has come: a session is billed once, by its record.
    fn supersede(&mut self, metering: &mut Metering) {
        let has_come = |(source, id, _): &&Session| self.noted.has_come(&(source.clone(), id.clone()));
        let come: Vec<_> = self.sessions.keys().filter(has_come).cloned().collect();
        for session in come {
            self.take_back(&session, metering);
        }
    }

    /// Takes back what a session said.
    fn take_back(&mut self, session: &Session, metering: &mut Metering) {
        let Some((usage, _)) = self.sessions.remove(session) else { return };
        each(&usage, |event| {
            self.noted.note(event, Change::Remove);
            // What was not counted cannot be taken back, and is in quarantine no longer.
            let _ = metering.count(event, Change::Remove);
        });
        self.refused_sessions.retain(|(of, _)| of != session);
    }

    /// Accounts whose usage was taken back since the last call: it may be another's now, or nobody's.
    pub(crate) fn take_moved(&mut self) -> BTreeSet<String> {
        self.noted.moved.lock().map(|mut moved| std::mem::take(&mut *moved)).unwrap_or_default()
    }

    /// Counts a file.
    pub(crate) fn import(
        &mut self,
        spec: &ImportSpec,
        path: &Path,
        metering: &mut Metering,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Summary, Diagnostic> {
        let replacing = Replacing::Note(self.noted.clone());
        let summary = read(&mut self.importer, spec, path, metering, &self.voided, &replacing, progress)?;
        let delivery = Delivery::File {
            spec: Box::new(spec.clone()),
            path: path.to_owned(),
            summary: Box::new(summary.clone()),
        };
        self.deliveries.push(delivery);
        self.supersede(metering);
        Ok(summary)
    }

    /// Takes usage back. What arrives later under a voided identity is void too.
    pub(crate) fn void(&mut self, source: &str, id: &str, metering: &mut Metering) {
        let known = (source.to_owned(), id.to_owned());
        let event = self.importer.watched(source, id).cloned().filter(|_| !self.voided.contains(&known));
        Arc::make_mut(&mut self.voided).insert(known.clone());
        let is_own = |(of, named, _): &&Session| (of, named) == (&known.0, &known.1);
        let said: Vec<Session> = self.sessions.keys().filter(is_own).cloned().collect();
        said.iter().for_each(|session| self.take_back(session, metering));
        let Some(event): Option<OwnedEvent> = event.filter(|_| said.is_empty()) else { return };
        self.noted.note(&event.event(), Change::Remove);
        let _ = metering.count(&event.event(), Change::Remove);
    }

    /// Counts every delivery again, without what is void or replaced now.
    pub(crate) fn count_again(&mut self, mut metering: Metering) -> Result<Metering, Diagnostic> {
        let threads = self.importer.threads();
        self.importer = Importer::new(threads);
        self.watch();
        let replaced = self.noted.replaced.lock().map(|replaced| replaced.clone()).unwrap_or_default();
        let replacing = Replacing::Skip(Arc::new(Mutex::new(replaced)));
        for delivery in &self.deliveries {
            match delivery {
                Delivery::Line { usage, line } => {
                    deliver(&mut self.importer, usage, *line, &mut metering, &self.voided, &replacing);
                }
                Delivery::File { spec, path, .. } => {
                    read(&mut self.importer, spec, path, &mut metering, &self.voided, &replacing, &|_| {})?;
                }
            }
        }
        for (usage, _) in self.sessions.values() {
            each(usage, |event| {
                // What could not be counted is known to be in quarantine.
                let _ = metering.count(event, Change::Add);
            });
        }
        Ok(metering)
    }

    /// Shows every accepted event that counts now, with its place. Events that a revision replaced are not shown, nor void
    /// ones.
    fn look(&self, look: &mut (dyn FnMut(&Event<'_>, Place<'_>) + Send)) -> Result<(), Diagnostic> {
        let mut importer = Importer::new(1);
        let mut replaced = self.noted.replaced.lock().map(|replaced| replaced.clone()).unwrap_or_default();
        let in_book = |line: usize, delivery: Option<usize>| Place {
            file: &self.book,
            line: line as u64,
            is_session: delivery.is_none(),
            delivery: delivery.unwrap_or(usize::MAX),
            origin: None,
        };
        for (number, delivery) in self.deliveries.iter().enumerate() {
            match delivery {
                Delivery::Line { usage, line } => {
                    let mut seen = |event: &Event<'_>, _: Origin| look(event, in_book(*line, Some(number)));
                    let mut sinks =
                        [Looking { look: &mut seen, voided: self.voided.clone(), replaced: &mut replaced }];
                    each(usage, |event| {
                        importer.insert(event, *line as u64, &mut sinks);
                    });
                }
                Delivery::File { spec, path, .. } => {
                    let mut seen = |event: &Event<'_>, origin: Origin| {
                        let (file, line) = (spec.file.as_str(), origin.line);
                        let place =
                            Place { file, line, is_session: false, delivery: number, origin: Some(origin) };
                        look(event, place);
                    };
                    let mut sinks =
                        [Looking { look: &mut seen, voided: self.voided.clone(), replaced: &mut replaced }];
                    importer.import(spec, Prepared::input(path), &mut sinks, &|_| {})?;
                }
            }
        }
        for (usage, line) in self.sessions.values() {
            each(usage, |event| look(event, in_book(*line, None)));
        }
        Ok(())
    }

    /// Shows every accepted event that nothing takes by now, with its place and why.
    fn unbilled(
        &self,
        run: &Run<'_>,
        show: &mut (dyn FnMut(&Event<'_>, Place<'_>, &Problem) + Send),
    ) -> Result<(), Diagnostic> {
        let mut lost: BTreeMap<(LaneKey, Span, Scope), Problem> = BTreeMap::new();
        // Usage of the clock's very moment has arrived; what files bring for later may yet be taken.
        let until = run.clock.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(run.clock);
        for account in run.accounts() {
            let id = &account.head.id;
            let Some(group) = run.group_of(id) else { continue };
            let unrouted = unrouted(group, &run.prepared.catalogues, &run.metering, id, until);
            lost.extend(unrouted.into_iter().map(|one| ((one.lane, one.span, one.scope), one.problem)));
        }
        if lost.is_empty() {
            return Ok(());
        }
        let mut locating = run.metering.empty();
        let measured = Measured::of(run, lost.keys().map(|(lane, ..)| lane.account.as_str()));
        self.look(&mut |event, place| {
            if event.time >= until {
                return;
            }
            let places = locating.locate(event).unwrap_or_default();
            let problems: Vec<&Problem> = places.iter().filter_map(|place| lost.get(place)).collect();
            if let Some(problem) = problems.iter().max().filter(|_| problems.len() == places.len()) {
                let first = measured.wants(event.account, event.kind);
                show(event, place, first.as_ref().unwrap_or(problem));
            }
        })
    }

    /// What each file came to by now, in the order in which they were imported: rows that nothing takes are in quarantine.
    pub(crate) fn imports(&self, run: &Run<'_>) -> Result<Vec<(String, Summary)>, Diagnostic> {
        let mut found: BTreeMap<usize, (String, Summary)> = BTreeMap::new();
        for (number, delivery) in self.deliveries.iter().enumerate() {
            if let Delivery::File { spec, summary, .. } = delivery {
                found.insert(number, (spec.file.clone(), (**summary).clone()));
            }
        }
        if !found.is_empty() {
            self.unbilled(run, &mut |_, place, problem| {
                if let (Some((_, summary)), Some(origin)) = (found.get_mut(&place.delivery), place.origin) {
                    summary.unbilled(&origin, problem.code());
                }
            })?;
        }
        Ok(found.into_values().collect())
    }

    pub(crate) fn quarantine(&self, run: &Run<'_>) -> Result<InQuarantine, Diagnostic> {
        let mut found = InQuarantine::default();
        let refused: BTreeSet<u64> = self.refused.iter().map(|one| one.line).collect();
        let refused = self.deliveries.iter().filter_map(|delivery| match delivery {
            Delivery::Line { usage, line } => Some(usage).filter(|_| refused.contains(&(*line as u64))),
            Delivery::File { .. } => None,
        });
        let measured = Measured::of(run, refused.map(|usage| usage.account.as_str()));
        let void: BTreeSet<String> =
            self.voided.iter().map(|(source, id)| format!("{source}/{id}")).collect();
        // A higher revision replaces what was said before, wherever that waits, and whatever says it.
        let is_replaced = |usage: &UsageLine| {
            let id = if usage.times == 1 { usage.id.clone() } else { format!("{}.1", usage.id) };
            self.importer.revision(&usage.source, &id) > Some(usage.revision)
        };
        // What nothing measures yet has its place where it came; what is counted and nothing takes comes after all that.
        let (mut unmeasured, mut unrouted) =
            (BTreeMap::<usize, InQuarantine>::new(), InQuarantine::default());
        self.unbilled(run, &mut |event, Place { file, line, delivery, .. }, problem| {
            let one = Quarantine {
                file: file.to_owned(),
                line,
                code: problem.code().to_owned(),
                sentence: problem.sentence(),
                what: format!("{}/{}", event.source, event.id),
            };
            match problem {
                Problem::UnknownAccount(_) | Problem::NothingMeasures(_) => {
                    unmeasured.entry(delivery).or_default().add(one);
                }
                _ => unrouted.add(one),
            }
        })?;
        for (number, delivery) in self.deliveries.iter().enumerate() {
            match delivery {
                Delivery::Line { usage, .. } if is_replaced(usage) => {}
                Delivery::Line { usage, line } => {
                    // What is void is in quarantine no longer, and what comes under its identity never is.
                    let of_line = |one: &&Quarantine| one.line == *line as u64 && !void.contains(&one.what);
                    for one in self.refused.iter().filter(of_line) {
                        let mut one = one.clone();
                        if one.code != Problem::CONFLICT
                            && let Some(problem) = measured.wants(&usage.account, &usage.kind)
                        {
                            (one.code, one.sentence) = (problem.code().to_owned(), problem.sentence());
                        }
                        found.add(one);
                    }
                }
                Delivery::File { spec, summary, .. } => {
                    found.more +=
                        summary.quarantined - summary.listed.iter().map(|row| row.rows).sum::<u64>();
                    // What is void, replaced or finished by now waits no longer; a call that an earlier file began is there.
                    let is_void =
                        |row: &Quarantined| self.voided.iter().any(|(source, id)| row.is_of(source, id));
                    let waits =
                        |row: &&Quarantined| row.line > 0 && !self.importer.is_over(row) && !is_void(row);
                    for row in summary.listed.iter().filter(waits) {
                        found.add(Quarantine {
                            file: spec.file.clone(),
                            line: row.line,
                            code: row.reason.code.to_owned(),
                            sentence: row.reason.sentence.to_string(),
                            what: row.excerpt.clone(),
                        });
                    }
                }
            }
            unmeasured.remove(&number).into_iter().for_each(|more| found.append(more));
        }
        self.refused_sessions.iter().for_each(|(_, one)| found.add(one.clone()));
        unmeasured.into_values().chain([unrouted]).for_each(|more| found.append(more));
        Ok(found)
    }

    /// The events behind a line, in the order in which they arrived: at most `most` of them, and
    /// how many there are.
    pub(crate) fn events_behind(
        &self,
        run: &Run<'_>,
        account: &str,
        line: &Line,
        most: usize,
    ) -> Result<(Vec<EventBehind>, u64), Diagnostic> {
        let mut events = Vec::new();
        let mut count = 0;
        let Some(group) = run.group_of(account) else { return Ok((events, count)) };
        let mut locating = run.metering.empty();
        self.look(&mut |event, Place { file, line: number, is_session, .. }| {
            if event.account != account {
                return;
            }
            let places = locating.locate(event).unwrap_or_default();
            let behind = places.iter().any(|(lane, span, scope)| {
                is_behind(group, &run.prepared.catalogues, line, lane, *span, scope)
            });
            if behind {
                count += 1;
                if events.len() < most {
                    events.push(EventBehind { is_session, ..EventBehind::of(event, file, number) });
                }
            }
        })?;
        Ok((events, count))
    }
}

/// Builds each event of a line.
fn each(usage: &UsageLine, mut take: impl FnMut(&Event<'_>)) {
    let attributes: Vec<(&str, Value<'_>)> =
        usage.attributes.iter().map(|(name, value)| (name.as_str(), Value::Text(value))).collect();
    for index in 0..usage.times {
        let later = jiff::SignedDuration::from_secs(i64::from(usage.every_s) * i64::from(index));
        let id = if usage.times == 1 { usage.id.clone() } else { format!("{}.{}", usage.id, index + 1) };
        take(&Event {
            source: &usage.source,
            id: &id,
            revision: usage.revision,
            kind: &usage.kind,
            account: &usage.account,
            time: usage.time.checked_add(later).unwrap_or(usage.time),
            start: usage.start.map(|start| start.checked_add(later).unwrap_or(start)),
            attributes: attributes.clone(),
        });
    }
}

/// Counts the events of a line; answers those that could not be.
fn deliver(
    importer: &mut Importer,
    usage: &UsageLine,
    line: usize,
    metering: &mut Metering,
    voided: &Arc<Identities>,
    replacing: &Replacing,
) -> Vec<(String, Reason)> {
    let shared = Mutex::new(metering);
    let mut sinks: Vec<Direct<'_, '_>> =
        (0..importer.threads()).map(|_| Direct { metering: &shared, voided, replacing }).collect();
    let mut refused = Vec::new();
    each(usage, |event| {
        if let EventOutcome::Quarantined(reason) = importer.insert(event, line as u64, &mut sinks) {
            refused.push((format!("{}/{}", event.source, event.id), reason));
        }
    });
    refused
}

fn read(
    importer: &mut Importer,
    spec: &ImportSpec,
    path: &Path,
    metering: &mut Metering,
    voided: &Arc<Identities>,
    replacing: &Replacing,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Summary, Diagnostic> {
    let mut sinks: Vec<Counting> = (0..importer.threads())
        .map(|_| Counting {
            metering: metering.empty(),
            voided: voided.clone(),
            replacing: replacing.clone(),
        })
        .collect();
    let summary = importer.import(spec, Prepared::input(path), &mut sinks, progress)?;
    for sink in sinks {
        metering.merge(sink.metering).map_err(|error| Diagnostic {
            file: spec.file.clone(),
            line: 0,
            column: 0,
            found: error.to_string(),
            expected: "sums below 10²⁹".to_owned(),
            suggestion: None,
        })?;
    }
    Ok(summary)
}
