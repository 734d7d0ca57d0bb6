//! Histories in which the retention horizon moves: what comes too late waits and is never counted, and what is closed
//! stays. The book of such a history is that of the lines that took effect, as a service has answered them.

use super::histories::check::{self, Wrong, number_of};
use super::histories::dice::Dice;
use super::histories::show;
use super::histories::world::{World, worlds};
use super::player::{self, each, outcome_of};
use super::{book_of, far, is_whole, same_accounts};
use farebox_core::metering::Problem;
use farebox_oracle::history::{Line, What};
use farebox_scenario::prepare::{self, Step, StepAction};
use farebox_service::{Pace, Received, Service, Standing};
use farebox_store::{Memory, Seen, Store, StoreError};
use farebox_store_sqlite::Sqlite;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// Where the horizon moves at the moment of a line of a history that begins with `first`, if it does: anywhere.
pub fn move_at(first: Timestamp, at: Timestamp) -> Option<Timestamp> {
    let mut dice = Dice::new(at.as_second().unsigned_abs());
    let span = u64::try_from(at.as_second() - first.as_second()).unwrap_or(0);
    let to = first + SignedDuration::from_secs(i64::try_from(dice.below(span + 1)).unwrap());
    dice.once_in(12).then_some(to)
}

/// The same history, with usage that comes too late, is closed, or is to be taken back when it is closed. `forgets`:
/// whether identities leave the index. A session that ends when its record is closed and forgotten counts besides, as
/// what uses an id twice does: it has none then.
pub fn with_late_usage(lines: &[Line], forgets: bool) -> Vec<Line> {
    let Some(first) = lines.first().map(|line| line.at) else { return Vec::new() };
    let (mut all, mut horizon, mut said) = (Vec::new(), None, Vec::<Line>::new());
    let mut late_sessions = BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        horizon = horizon.max(move_at(first, line.at));
        // What becomes of a session when its late record replaces one, or is taken back, no book says.
        let is_left_out = match &line.what {
            What::Usage { id, .. } if id.starts_with('c') && forgets => true,
            What::Usage { id, revision: 0, time, .. } if id.starts_with('c') => {
                if horizon.is_some_and(|at| *time < at) {
                    late_sessions.insert(id.clone());
                }
                false
            }
            What::Usage { id, .. } => id.starts_with('c') && horizon.is_some(),
            What::Void { id } => late_sessions.contains(id),
            _ => false,
        };
        if is_left_out {
            continue;
        }
        all.push(line.clone());
        if let What::Usage { id, .. } = &line.what
            && !id.starts_with('c')
        {
            said.push(line.clone());
        }
        let mut dice = Dice::new(line.at.as_second().unsigned_abs() ^ 1);
        let Some(horizon) = horizon.filter(|_| !said.is_empty() && dice.once_in(4)) else { continue };
        let before = SignedDuration::from_secs(1 + i64::try_from(dice.below(20 * 86_400)).unwrap());
        let mut more = dice.pick(&said).clone();
        more.at = line.at;
        let What::Usage { id, revision, time, start, .. } = &mut more.what else { continue };
        *start = None;
        match dice.below(5) {
            0 => more.what = What::Void { id: id.clone() },
            1 => (*revision, *time) = (*revision + 1, horizon - before),
            _ => (*id, *revision, *time) = (format!("x{index}"), 0, horizon - before),
        }
        all.push(more);
    }
    all
}

/// Does a step, and moves the horizon before it where that is due: nothing is durable yet. Answers a refusal's code, or
/// what became of usage: whether it is `closed`, `void`, `known`, came `before-horizon`, or is `ok`; `anew`, where
/// nothing was known under its identity. `forgets`: whether identities leave the index, so that this is to be looked at.
pub fn play_until_committed(
    service: &mut Service,
    index: usize,
    step: &Step,
    first: Timestamp,
    forgets: bool,
) -> Result<String, String> {
    if let Some(outcome) = outcome_of(service, index)? {
        return Ok(outcome);
    }
    let at = step.at.ok_or("a line without a date")?;
    service.advance(at).map_err(|failed| failed.to_string())?;
    if let Some(to) = move_at(first, at)
        && !service.move_horizon(to)
    {
        return Err(format!("line {}: the horizon is not at {to}", step.line));
    }
    if forgets {
        // What leaves the index with a commit that is on its way is forgotten by now.
        service.has_landed_within(Duration::from_secs(60));
    }
    let outcome = match &step.action {
        StepAction::Usage(line) => {
            let mut outcome = String::new();
            for usage in each(line) {
                let standing = forgets.then(|| service.look_again(&usage.source, &usage.id)).transpose();
                let is_new = standing.map_err(|error| error.to_string())? == Some(Standing::NotThere);
                let word = match service.receive(&usage).map_err(|error| error.to_string())? {
                    Received::Quarantined(Problem::BeforeHorizon { .. }) => "before-horizon",
                    Received::Closed(_) => "closed",
                    Received::Void => "void",
                    Received::Duplicate | Received::Conflict | Received::Quarantined(Problem::Conflict) => {
                        "known"
                    }
                    Received::Counted | Received::NotBillable | Received::Quarantined(_) => "ok",
                    Received::Erased => return Err("nobody is erased".to_owned()),
                };
                outcome = format!("{word}{}", if is_new { " anew" } else { "" });
            }
            outcome
        }
        StepAction::Void { source, id } => {
            let is_closed = service.closed(source, id).map_err(|error| error.to_string())?.is_some();
            match (is_closed, service.void(source, id).map_err(|error| error.to_string())?) {
                (true, false) => "closed".to_owned(),
                (false, true) => "ok".to_owned(),
                (false, false) => "ok anew".to_owned(),
                (true, true) => return Err(format!("line {}: it was closed", step.line)),
            }
        }
        _ => return player::decide_step(service, index, step, at),
    };
    player::keep(service, index, &outcome);
    Ok(outcome)
}

/// What is known of an identity.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It was taken, and may count.
    Taken(Timestamp),
    TooLate,
    Void,
}

/// How often usage was too late, and how often what is closed stayed as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    pub too_late: usize,
    pub closed: usize,
    pub anew: usize,
}

/// The lines that took effect, by what a service has answered.
#[derive(Default)]
pub struct Effective {
    /// The book of them.
    pub lines: Vec<Line>,
    /// What is answered to each.
    pub answers: Vec<String>,
    pub told: Told,
    horizon: Option<Timestamp>,
    /// By identity: its name in the book, the latest revision, what became of it.
    known: BTreeMap<String, (u32, u64, Fate)>,
}

impl Effective {
    /// Of a history, and the answers to its lines.
    ///
    /// # Errors
    /// Where an answer cannot be right.
    pub fn of(lines: &[Line], answers: &[String]) -> Result<Effective, String> {
        let mut all = Effective::default();
        let first = lines.first().map(|line| line.at).unwrap_or_default();
        for (line, answer) in lines.iter().zip(answers) {
            all.horizon = all.horizon.max(move_at(first, line.at));
            let wrong = |all: &Effective| format!("{:?}: {line:?}: {answer}, {:?}", all.horizon, all.known);
            let fits = match &line.what {
                What::Usage { id, revision, time, .. } => all.usage(line, answer, (id, *revision, *time)),
                What::Void { id } => all.void(line, answer, id),
                _ => {
                    all.push(line.clone(), answer);
                    true
                }
            };
            if !fits {
                return Err(wrong(&all));
            }
        }
        Ok(all)
    }

    fn push(&mut self, line: Line, answer: &str) {
        self.lines.push(line);
        self.answers.push(answer.to_owned());
    }

    /// What is known of an identity. What was taken, closed, and is known no longer is one of its own from now on.
    fn known(&mut self, id: &str, is_new: bool) -> (u32, Option<(u64, Fate)>) {
        let is_closed = |time: Timestamp, horizon: Option<Timestamp>| horizon.is_some_and(|at| time < at);
        match self.known.get(id).copied() {
            Some((name, _, Fate::Taken(time))) if is_new && is_closed(time, self.horizon) => {
                self.told.anew += 1;
                (name + 1, None)
            }
            Some((name, revision, fate)) => (name, Some((revision, fate))),
            None => (0, None),
        }
    }

    fn usage(&mut self, line: &Line, answer: &str, said: (&str, u64, Timestamp)) -> bool {
        let (id, revision, time) = said;
        let (word, is_new) = answer.split_once(' ').map_or((answer, false), |(word, _)| (word, true));
        let (name, known) = self.known(id, is_new);
        let is_late = self.horizon.is_some_and(|at| time < at);
        let is_next = known.is_none_or(|(latest, fate)| latest < revision && fate != Fate::Void);
        let is_closed = |fate| matches!(fate, Fate::Taken(time) if self.horizon.is_some_and(|at| time < at));
        let as_kind = |other: Option<&str>| {
            let mut line = line.clone();
            if let What::Usage { id, kind, attributes, .. } = &mut line.what {
                *id = named(id, name);
                if let Some(other) = other {
                    (*kind, *attributes) = (other.to_owned(), Vec::new());
                }
            }
            line
        };
        match word {
            "ok" => {
                self.push(as_kind(None), "ok");
                self.known.insert(id.to_owned(), (name, revision, Fate::Taken(time)));
                is_next && !is_late && (known.is_none() || !is_new)
            }
            "before-horizon" => {
                self.told.too_late += 1;
                if known.is_some_and(|(_, fate)| matches!(fate, Fate::Taken(_))) {
                    // What it replaces counts no more: as if it were replaced by what nothing measures.
                    self.push(as_kind(Some("nothing")), "ok");
                }
                self.known.insert(id.to_owned(), (name, revision, Fate::TooLate));
                is_next && is_late
            }
            "closed" => {
                self.told.closed += 1;
                // What a session said is known to nobody here.
                is_next && known.map_or(id.starts_with('c'), |(_, fate)| is_closed(fate))
            }
            "known" => known.is_some_and(|(latest, _)| latest >= revision),
            "void" => known.is_some_and(|(_, fate)| fate == Fate::Void),
            _ => false,
        }
    }

    fn void(&mut self, line: &Line, answer: &str, id: &str) -> bool {
        let (name, known) = self.known(id, answer == "ok anew");
        if answer == "closed" {
            self.told.closed += 1;
            let is_closed = |time| self.horizon.is_some_and(|at| time < at);
            return known.map_or(
                id.starts_with('c'),
                |(_, fate)| matches!(fate, Fate::Taken(time) if is_closed(time)),
            );
        }
        if known.is_none_or(|(_, fate)| matches!(fate, Fate::Taken(_))) {
            let mut line = line.clone();
            line.what = What::Void { id: named(id, name) };
            self.push(line, "ok");
        }
        let revision = known.map_or(u64::MAX, |(revision, _)| revision);
        self.known.insert(id.to_owned(), (name, revision, Fate::Void));
        match answer {
            "ok" => known.map_or(id.starts_with('c'), |(_, fate)| fate != Fate::Void),
            _ => answer == "ok anew" && known.is_none_or(|(_, fate)| fate == Fate::Void),
        }
    }

    /// Whether exactly what came too late, and is neither void nor replaced, waits for that.
    pub fn waits(&self, service: &mut Service) -> Result<(), String> {
        let late = self.known.iter().filter(|(_, (.., fate))| *fate == Fate::TooLate);
        let expected: Vec<(String, u64)> =
            late.map(|(id, (_, revision, _))| (id.clone(), *revision)).collect();
        let mut found = Vec::new();
        let looked = service.quarantine(None, None, &mut |one| {
            if one.code == Problem::BEFORE_HORIZON {
                found.push((one.usage.id, one.usage.revision));
            }
            Seen::More
        });
        looked.map_err(|error| error.to_string())?;
        found.sort();
        if found == expected { Ok(()) } else { Err(format!("{found:?} waits, and not {expected:?}")) }
    }
}

/// The identity of what is said under a name again, when what it was is forgotten.
fn named(id: &str, name: u32) -> String {
    if name == 0 { id.to_owned() } else { format!("{id}~{name}") }
}

/// Plays a history on a store, with restarts and, where there is a folder, an archive; answers what was said to each line.
fn played(
    steps: &[Step],
    forgets: bool,
    mut service: Service,
    mut between: impl FnMut(Service, usize) -> Result<Service, String>,
) -> Result<(Service, Vec<String>), String> {
    let mut answers = Vec::new();
    let first = steps.first().and_then(|step| step.at).unwrap_or_default();
    for (index, step) in steps.iter().enumerate() {
        answers.push(play_until_committed(&mut service, index, step, first, forgets)?);
        if index % 4 != 0 {
            service.commit_then(Box::new(|_| ()));
        }
        if index % 9 == 8 {
            service.commit().and_then(|()| service.forget()).map_err(|error| error.to_string())?;
        }
        service = between(service, index)?;
    }
    service.commit().map_err(|error| error.to_string())?;
    Ok((service, answers))
}

/// Whether a service has come to what the book of the lines that took effect comes to, now and when it is settled.
pub fn holds(
    world: &World,
    lines: &[Line],
    (mut service, answers): (Service, Vec<String>),
) -> Result<(Service, Told), String> {
    let effective = Effective::of(lines, &answers)?;
    let text = show::book(world, &effective.lines);
    let prepared = prepare::prepare("effective.book", text.as_bytes(), &world.folder);
    let prepared = prepared.map_err(|wrong| format!("{wrong:?}"))?;
    let (run, said) = book_of(&prepared, lines)?;
    if said != effective.answers {
        return Err(format!("{text}\nthe book says {said:?}, the service {:?}", effective.answers));
    }
    effective.waits(&mut service)?;
    is_whole(&mut service)?;
    service.forget().and_then(|()| service.advance(far(lines))).map_err(|error| error.to_string())?;
    effective.waits(&mut service)?;
    is_whole(&mut service)?;
    same_accounts(&run, &mut service).map_err(|wrong| format!("{text}\n{wrong}"))?;
    Ok((service, effective.told))
}

#[test]
fn a_service_whose_horizon_moves_comes_to_what_its_book_comes_to() {
    let runs = number_of("FAREBOX_SERVICE_RUNS").unwrap_or(200);
    let first_seed = number_of("FAREBOX_SERVICE_SEED").unwrap_or(5_000_000);
    let told = Mutex::new(Told::default());
    check::holds(&worlds("closing"), first_seed..first_seed + runs, &|world: &World, lines| {
        let (is_opened_again, forgets) = (lines.len().is_multiple_of(4), lines.len() % 4 == 1);
        let lines = with_late_usage(lines, forgets);
        let text = show::book(world, &lines);
        let prepared = prepare::prepare("random.book", text.as_bytes(), &world.folder)
            .map_err(|wrong| Wrong::Broken(format!("{wrong:?}")))?;
        let fails = |what: String| Wrong::Fails(format!("{what}\n"));
        let (steps, catalogues) = (&prepared.steps, &prepared.catalogues);
        let open = |store: Box<dyn Store>, pace: Pace| {
            let opened = Service::open(store, catalogues.clone(), Timestamp::MIN);
            let mut service = opened.map_err(|error| error.to_string())?;
            service.set_pace(pace);
            Ok::<_, String>(service)
        };
        let small = Pace { identities: 7, records: 3, blocks: 1, groups: 1 };
        let of = || -> Result<Told, String> {
            let memory = open(Box::new(Memory::new()), small)?;
            let memory = played(steps, false, memory, |service, _| Ok(service))?;
            let answers = memory.1.clone();
            let (mut memory, mut told) = holds(world, &lines, memory)?;
            if is_opened_again {
                // Another store, which is opened again now and then, says the same.
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let reopened = |mut service: Service, index: usize| {
                    if index % 7 != 6 {
                        return Ok(service);
                    }
                    service.commit().map_err(|error| error.to_string())?;
                    drop(service);
                    open(Box::new(file(folder.path())?), Pace::default())
                };
                let sqlite = open(Box::new(file(folder.path())?), Pace::default())?;
                let sqlite = played(steps, false, sqlite, reopened)?;
                if sqlite.1 != answers {
                    return Err(format!("one store says {answers:?}, another {:?}", sqlite.1));
                }
                let (mut sqlite, _) = holds(world, &lines, sqlite)?;
                let (one, other) = (waiting(&mut memory)?, waiting(&mut sqlite)?);
                if one != other {
                    return Err(format!("{one:#?} waits in one store, {other:#?} in another"));
                }
            }
            if forgets {
                // What is closed and archived is forgotten, and counts once all the same.
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let archived = |mut service: Service, index: usize| {
                    if index % 6 == 5 {
                        let archive = Sqlite::write_archive(folder.path(), service.clock());
                        let moved =
                            archive.and_then(|archive| archive.map_or(Ok(()), |one| service.put_away(&one)));
                        moved.map_err(|error| error.to_string())?;
                    }
                    Ok(service)
                };
                let sqlite = open(Box::new(file(folder.path())?), small)?;
                let sqlite = played(steps, true, sqlite, archived)?;
                told.anew += holds(world, &lines, sqlite)?.1.anew;
            }
            Ok(told)
        };
        let one = of().map_err(fails)?;
        let mut told = told.lock().unwrap();
        told.too_late += one.too_late;
        told.closed += one.closed;
        told.anew += one.anew;
        Ok(())
    });
    let told = told.into_inner().unwrap();
    eprintln!("{told:?}");
    let runs = usize::try_from(runs).unwrap();
    assert!(told.too_late > 3 * runs && told.closed > runs / 2 && told.anew > runs / 50, "{told:?}");
}

/// A store that may have been open just before: a process that another test starts holds every open file for a moment,
/// the lock of a store too.
fn file(folder: &Path) -> Result<Sqlite, String> {
    for _ in 0..200 {
        match Sqlite::open(folder) {
            Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(20)),
            opened => return opened.map_err(|error| error.to_string()),
        }
    }
    Err(format!("{} is in use", folder.display()))
}

/// What is in quarantine, all of it.
fn waiting(service: &mut Service) -> Result<Vec<(String, u64, String, String)>, String> {
    let mut found = Vec::new();
    let looked = service.quarantine(None, None, &mut |one| {
        found.push((one.usage.id, one.usage.revision, one.code, one.sentence));
        Seen::More
    });
    looked.map_err(|error| error.to_string())?;
    Ok(found)
}
