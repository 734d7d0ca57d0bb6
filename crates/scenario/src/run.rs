//! Runs a prepared book: the clock goes forward, settlements run when they are due, lines are
//! decided in order.

use crate::prepare::{Prepared, Step, StepAction, UsageLine};
use crate::usage::UsageLog;
use farebox_core::account::{Account, Group};
use farebox_core::bill::Line;
use farebox_core::calendar::{Instant, Zone};
use farebox_core::engine::counting::{Counts, had_since, plans_of};
use farebox_core::engine::{Action, Catalogues, Command, Duty, Fact, Late, Refusal, holds, lanes};
use farebox_core::hold::Hold;
use farebox_core::metering::{Metering, Value};
use farebox_report::{self as query, EventBehind, InQuarantine, Receivables, Source, Totals};
use farebox_service::{CLOCK, Counters, Decided, Failed, Groups, Schedule, When, World};
use farebox_store::{Position, StoreError};
use farebox_text::book::Word;
use farebox_text::diagnostic::Diagnostic;
use farebox_text::import::{Importer, Summary};
use std::collections::{BTreeMap, BTreeSet};

/// How a book is run.
pub struct Options<'a> {
    /// Threads that read usage files.
    pub threads: usize,
    /// Told of bytes of usage files read, from any thread.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Whether [`Run::facts`] keeps every fact, to replay them.
    pub keep_facts: bool,
    /// Where the billing groups are kept, if anywhere. Before each question they are read from there anew.
    pub groups: Groups,
    /// Whether usage is kept there too, and counted as a service counts it: as it comes, not knowing what follows.
    pub live: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            threads: Importer::threads_here(),
            progress: &|_| {},
            keep_facts: false,
            groups: Groups::unkept(),
            live: false,
        }
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was accepted.
    Accepted,
    /// It was refused; nothing happened.
    Refused(Refusal),
    /// A question's answer.
    Answered(Vec<String>),
}

/// A book in the course of being run.
pub struct Run<'a> {
    /// The book.
    pub prepared: &'a Prepared,
    /// Billing groups by the name of the account that pays.
    groups: Groups,
    /// Counters of all usage so far.
    pub metering: Metering,
    /// The moment that everything due has been settled up to.
    pub clock: Instant,
    /// Every fact so far, where [`Options::keep_facts`] says so.
    pub facts: Vec<Fact>,
    pub(crate) usage: UsageLog,
    /// Plans that accounts have by now, or had, and since when.
    plans: BTreeMap<Counts, Instant>,
    /// What a service has counted, for decisions, where one does.
    live: Option<Counters>,
    schedule: Schedule,
    progress: &'a (dyn Fn(u64) + Sync),
    keep_facts: bool,
    /// The line whose question has advanced the clock, for messages.
    asked: Option<usize>,
}

impl<'a> Run<'a> {
    /// A run that has done nothing yet.
    pub fn new(prepared: &'a Prepared, options: Options<'a>) -> Run<'a> {
        Run {
            prepared,
            groups: options.groups,
            metering: prepared.metering.clone(),
            clock: Instant::MIN,
            facts: Vec::new(),
            usage: UsageLog::new(prepared, options.threads, options.live),
            plans: BTreeMap::new(),
            live: options.live.then(Counters::default),
            schedule: Schedule::default(),
            progress: options.progress,
            keep_facts: options.keep_facts,
            asked: None,
        }
    }

    /// An account.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.groups.account(name)
    }

    /// The group that an account is in.
    pub fn group_of(&self, account: &str) -> Option<&Group> {
        self.groups.get(self.payer_of(account))
    }

    /// The account that pays for an account: its master, or itself.
    pub fn payer_of<'n>(&'n self, account: &'n str) -> &'n str {
        self.groups.payer_of(account)
    }

    /// All accounts, in the order of their names.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.groups.iter().flat_map(Group::iter)
    }

    /// Does every step, in order, and tells what became of it.
    ///
    /// # Errors
    /// A diagnostic when the book cannot go on: a line before the clock, a file that cannot be
    /// read, a number that does not fit.
    pub fn play(&mut self, tell: &mut dyn FnMut(&Step, Outcome)) -> Result<(), Diagnostic> {
        // Files that arrive on time are counted first; each event still waits for its settlement.
        let (on_time, dated): (Vec<&Step>, Vec<&Step>) = self
            .prepared
            .steps
            .iter()
            .partition(|step| step.at.is_none() && matches!(step.action, StepAction::Import(..)));
        for step in on_time.into_iter().chain(dated) {
            if let Some(at) = step.at {
                if at < self.clock {
                    return Err(self.wrong(step, self.clock_passed(), "a date that is not before that"));
                }
                self.advance(at)?;
            }
            let outcome = self.step(step)?;
            tell(step, outcome);
        }
        self.commit()
    }

    fn clock_passed(&self) -> String {
        let clock = farebox_core::calendar::show_local(&self.prepared.zone, self.clock);
        match self.asked {
            Some(line) => format!("the question on line {line} has moved the clock to {clock}"),
            None => format!("the clock stands at {clock}"),
        }
    }

    fn wrong(&self, step: &Step, found: String, expected: &str) -> Diagnostic {
        Diagnostic {
            file: self.prepared.book.file.clone(),
            line: step.line,
            column: 0,
            found,
            expected: expected.to_owned(),
            suggestion: None,
        }
    }

    /// What is wrong with a usage file as a whole, at the line that imports it.
    fn in_book(&self, step: &Step, wrong: Diagnostic) -> Diagnostic {
        let book = &self.prepared.book.file;
        if wrong.file == *book {
            return wrong;
        }
        let place = if wrong.line > 0 { format!("{}:{}", wrong.file, wrong.line) } else { wrong.file };
        Diagnostic {
            file: book.clone(),
            line: step.line,
            column: 0,
            found: format!("{place}: {}", wrong.found),
            ..wrong
        }
    }

    fn step(&mut self, step: &Step) -> Result<Outcome, Diagnostic> {
        match &step.action {
            StepAction::Command(command) => {
                let wish = format!("line {}", step.line);
                let decided = Decided { actor: "book", command: &wish, at: step.at.unwrap_or(self.clock) };
                match self.execute(command, decided) {
                    Ok(()) => Ok(Outcome::Accepted),
                    Err(Failed::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
                    Err(failed) => Err(in_store(self.prepared, &failed)),
                }
            }
            StepAction::Usage(line) => {
                self.usage.insert(line, step.line, &mut self.metering);
                self.note_late(&line.account);
                self.note_moved();
                self.recount()?;
                Ok(Outcome::Accepted)
            }
            StepAction::Void { source, id } => {
                self.usage.void(source, id, &mut self.metering);
                self.note_moved();
                self.recount()?;
                Ok(Outcome::Accepted)
            }
            StepAction::Import(spec, path) => {
                let imported = self.usage.import(spec, path, &mut self.metering, self.progress);
                imported.map_err(|wrong| self.in_book(step, wrong))?;
                let accounts: Vec<String> = self.prepared.accounts.keys().cloned().collect();
                for account in accounts {
                    self.note_late(&account);
                }
                self.recount()?;
                Ok(Outcome::Accepted)
            }
            StepAction::Query(words) => self.ask(words, step.line).map(Outcome::Answered),
        }
    }

    /// Answers a question as of the moment that it is about, to which the clock moves; else as of now.
    ///
    /// # Errors
    /// A word that cannot be, at the line that is given; or that the book cannot go on.
    pub fn ask(&mut self, words: &[Word], line: usize) -> Result<Vec<String>, Diagnostic> {
        let file = &self.prepared.book.file;
        let wrong = |(word, found, expected): query::Wrong<'_>| word.diagnostic(file, line, found, expected);
        let until = query::moment(self, words).map_err(wrong)?.moment();
        if until.is_some_and(|until| until > self.clock) {
            self.asked = Some(line);
        }
        // At the clock's own moment the lines above may have brought something about.
        if self.clock > Instant::MIN || until.is_some() {
            self.advance(until.map_or(self.clock, |until| until.max(self.clock)))?;
        }
        self.read_anew()?;
        self.cut_for(words);
        self.recount()?;
        query::answer(self, words).map_err(wrong)
    }

    /// Decides a command and applies its facts.
    ///
    /// # Errors
    /// The refusal; nothing has happened then.
    pub fn execute(&mut self, command: &Command, decided: Decided<'_>) -> Result<(), Failed> {
        let catalogues = &self.prepared.catalogues;
        let payer = self.groups.payer_to_be(command).to_owned();
        self.count_heard();
        let (metering, counted) = match (&mut self.live, self.groups.store()) {
            (Some(live), Some(store)) => {
                if matches!(command.action, Action::Due { duty: Duty::Charges, .. }) {
                    live.close_block(decided.at);
                }
                live.refresh(store, catalogues, &[&payer])?;
                (live.of_group(&payer), live.position())
            }
            _ => (&self.metering, Position::default()),
        };
        let facts = self.groups.execute(World { catalogues, metering, counted }, command, decided)?;
        self.note_plans(&payer, &facts);
        if let Some(live) = &mut self.live {
            let when = When { effective_at: command.effective_at, recorded_at: decided.at };
            live.note(&payer, self.groups.get(&payer), &facts, when);
        }
        for fact in &facts {
            if let Fact::Lifecycle(fact) = fact
                && let Some((account, at)) = fact.cut()
            {
                self.metering.cut(account, at);
            }
        }
        for fact in &facts {
            if let Fact::Holds(holds::Fact::Ended { hold, .. }) = fact {
                self.end_session(hold);
            }
        }
        // Who uses a licence makes nothing due.
        if !matches!(command.action, Action::Licences(_)) {
            self.schedule.touch(self.groups.payer_of(&command.account));
        }
        if self.keep_facts {
            self.facts.extend(facts);
        }
        Ok(())
    }

    /// Notes which plans accounts have from these facts on. The book's own counters know all plans that its lines name, be
    /// they ordered later, or refused.
    fn note_plans(&mut self, payer: &str, facts: &[Fact]) {
        let group = self.groups.get(payer);
        let known = |account: &str, name: &str| {
            let one = group?.get(account)?.subscriptions.get(name)?;
            Some((one.catalogue.clone(), one.start))
        };
        for (one, since) in plans_of(facts, known) {
            had_since(&mut self.plans, one, since);
        }
    }

    /// The types of events that something measures which an account has ordered by now. `None`: it is not open yet.
    pub(crate) fn measured(&self, account: &str) -> Option<BTreeSet<String>> {
        self.account(account)?;
        let had = self.plans.iter().filter(|(one, _)| one.account == account);
        let had = had.map(|(one, since)| ((one.catalogue.clone(), one.plan.clone()), *since)).collect();
        let lanes = lanes(&self.prepared.catalogues, account, &had, &[]);
        Some(lanes.iter().map(|lane| lane.meter.event.clone()).collect())
    }

    /// Hands the service what the book has counted since: it is counted there too.
    fn count_heard(&mut self) {
        let Some(live) = &mut self.live else { return };
        for (usage, change) in self.usage.take_heard() {
            let payer = self.groups.payer_of(&usage.account).to_owned();
            // What cannot be billed is in quarantine by the book's own count.
            let _ = live.count(&payer, usage, change);
        }
    }

    /// What a session used is usage from now on, unless its record says it.
    fn end_session(&mut self, hold: &Hold) {
        let Some(ended) = hold.ended.filter(|_| !hold.used.is_zero()) else { return };
        let (event, times) = hold.event(hold.used, ended.at);
        let text = |value: &Value<'_>| match value {
            Value::Text(text) => (*text).to_owned(),
            Value::Number(number) => number.to_string(),
        };
        let usage = UsageLine {
            account: hold.account.clone(),
            kind: hold.kind.clone(),
            source: hold.source.clone(),
            id: hold.id.clone(),
            revision: event.revision,
            time: event.time,
            start: event.start,
            attributes: event
                .attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(value)))
                .collect(),
            times: u32::try_from(times.ceil().numerator()).unwrap_or(u32::MAX),
            every_s: 0,
        };
        let line = self.prepared.sessions.get(&(hold.account.clone(), hold.id.clone()));
        self.usage.end_session(usage, line.copied().unwrap_or_default(), &mut self.metering);
        self.note_late(&hold.account);
        self.note_moved();
    }

    /// The same of accounts whose usage was taken back, which nobody may have named.
    fn note_moved(&mut self) {
        self.usage.take_moved().iter().for_each(|account| self.note_late(account));
    }

    /// Remembers the earliest time of usage counted since the account's last settlement.
    fn note_late(&mut self, account: &str) {
        if let Some(touched) = self.metering.take_touched(account) {
            self.schedule.note_usage(self.groups.payer_of(account), account, touched);
        }
    }

    /// Cuts counters where the answer to a question divides them: costs in grace so far.
    fn cut_for(&mut self, words: &[Word]) {
        let [question, account, ..] = words else { return };
        if question.text == "lifecycle" {
            let payer = self.account(self.payer_of(&account.text));
            let since = payer.and_then(|payer| payer.lifecycle.arrears.as_ref()).map(|arrears| arrears.since);
            if let Some(since) = since {
                self.metering.cut(&account.text, since);
                self.metering.cut(&account.text, self.clock);
            }
        }
    }

    /// Counts everything again where a counter could not take an event back, or holds a moment that
    /// cuts it.
    fn recount(&mut self) -> Result<(), Diagnostic> {
        if !self.metering.is_stale() {
            return Ok(());
        }
        let mut metering = self.usage.count_again(self.metering.empty())?;
        for account in self.prepared.accounts.keys() {
            let _ = metering.take_touched(account);
        }
        self.metering = metering;
        debug_assert!(!self.metering.is_stale());
        Ok(())
    }

    /// Moves the clock forward, doing whatever falls due on the way, in the order of time and, at
    /// one moment, of duties and of account names.
    ///
    /// # Errors
    /// A diagnostic when a settlement is refused: a number does not fit.
    pub fn advance(&mut self, until: Instant) -> Result<(), Diagnostic> {
        if self.clock == Instant::MIN {
            // Nothing is due before the first line.
            self.clock = until;
        }
        self.schedule.look_again(&self.groups, &self.prepared.catalogues, self.clock);
        while let Some(due) = self.schedule.next(until) {
            if due.duty == Duty::Charges {
                self.recount()?;
            }
            let command = self.schedule.command(&due);
            let decided = Decided { actor: CLOCK, command: due.duty.name(), at: due.at };
            self.execute(&command, decided).map_err(|failed| match failed {
                Failed::Store(error) => in_store(self.prepared, &error),
                failed => Diagnostic {
                    file: self.prepared.book.file.clone(),
                    line: 0,
                    column: 0,
                    found: format!("{} cannot be settled: {failed}", command.account),
                    expected: "prices and quantities that fit".to_owned(),
                    suggestion: None,
                },
            })?;
            self.schedule.done(&self.groups, &self.prepared.catalogues, due, None);
        }
        self.clock = self.clock.max(until);
        Ok(())
    }

    /// Commits what was decided, where the groups are kept.
    ///
    /// # Errors
    /// A diagnostic when the store fails.
    pub fn commit(&mut self) -> Result<(), Diagnostic> {
        self.count_heard();
        if let Some(live) = &mut self.live {
            let blocks = live.take_blocks(self.clock);
            let blocks = blocks.map_err(|error| in_store(self.prepared, &error))?;
            blocks.into_iter().for_each(|block| self.groups.add_block(block));
        }
        let Run { groups, schedule, prepared, clock, .. } = self;
        let due = |payer: &str, group: &Group| schedule.due_of(payer, group, &prepared.catalogues, *clock);
        groups.commit(BTreeSet::new(), *clock, due).map_err(|error| in_store(self.prepared, &error))
    }

    /// Whether a store keeps the groups or not, a question is answered from what it has.
    fn read_anew(&mut self) -> Result<(), Diagnostic> {
        self.commit()?;
        self.groups.forget();
        self.groups.load_all().map_err(|error| in_store(self.prepared, &error))?;
        self.count_anew().map_err(|error| in_store(self.prepared, &error))
    }

    /// Forgets what the service has counted: it is made anew from the store when it is asked for.
    fn count_anew(&mut self) -> Result<(), StoreError> {
        let (Some(live), Some(store)) = (&mut self.live, self.groups.store()) else { return Ok(()) };
        *live = Counters::of(store, |account| self.groups.payer_of(account).to_owned())?;
        for group in self.groups.iter() {
            let payer = group.iter().next().map(|account| account.head.payer());
            payer.map_or(Ok(()), |payer| live.load(store, &self.prepared.catalogues, &[(payer, group)]))?;
        }
        Ok(())
    }

    /// The events behind a line: at most `most` of them, and how many there are.
    ///
    /// # Errors
    /// A diagnostic when a usage file cannot be read again.
    pub fn events_behind(
        &self,
        account: &str,
        line: &Line,
        most: usize,
    ) -> Result<(Vec<EventBehind>, u64), Diagnostic> {
        self.usage.events_behind(self, account, line, most)
    }

    /// The latest moment of usage counted so far.
    pub fn last_usage(&self) -> Option<Instant> {
        self.metering.last_counted()
    }

    /// Usage in quarantine so far, in the order in which it arrived: what could not be read, and
    /// what no subscription takes.
    ///
    /// # Errors
    /// A diagnostic when a usage file cannot be read again.
    pub fn quarantine(&self) -> Result<InQuarantine, Diagnostic> {
        self.usage.quarantine(self)
    }

    /// What imports came to by now: each file's name and its summary. Rows that nothing takes are in quarantine.
    ///
    /// # Errors
    /// When a file can no longer be read.
    pub fn imports(&self) -> Result<Vec<(String, Summary)>, Diagnostic> {
        self.usage.imports(self)
    }
}

/// Answers of questions are of what the book has by now.
impl Source for Run<'_> {
    fn zone(&self) -> &Zone {
        &self.prepared.zone
    }

    fn now(&self) -> Instant {
        self.clock
    }

    fn catalogues(&self) -> &Catalogues {
        &self.prepared.catalogues
    }

    fn group_of(&self, account: &str) -> Option<&Group> {
        self.groups.get(self.groups.payer_of(account)).filter(|group| group.get(account).is_some())
    }

    fn metering(&self, _: &str) -> &Metering {
        &self.metering
    }

    fn late_of(&self, payer: &str) -> Late {
        self.schedule.late_of(payer)
    }

    fn names(&self) -> Vec<&str> {
        self.accounts().map(|account| account.head.id.as_str()).collect()
    }

    fn events_behind(&self, line: &Line, most: usize) -> Result<(Vec<EventBehind>, u64), String> {
        let found = self.usage.events_behind(self, &line.account, line, most);
        found.map_err(|wrong| wrong.to_string())
    }

    fn totals(&self) -> Result<Totals, String> {
        query::ledger_totals(self.accounts(), self.clock).map_err(|error| error.to_string())
    }

    fn receivables(&self) -> Result<Receivables, String> {
        let mut all = Receivables::default();
        let added = self.accounts().try_for_each(|account| all.add(account, self.clock));
        added.map(|()| all).map_err(|error| error.to_string())
    }

    fn quarantine(&self) -> Result<InQuarantine, String> {
        self.usage.quarantine(self).map_err(|wrong| wrong.to_string())
    }

    fn imports(&self) -> Result<Vec<(String, Summary)>, String> {
        self.usage.imports(self).map_err(|wrong| wrong.to_string())
    }
}

fn in_store(prepared: &Prepared, error: &impl std::fmt::Display) -> Diagnostic {
    Diagnostic {
        file: prepared.book.file.clone(),
        line: 0,
        column: 0,
        found: error.to_string(),
        expected: "a store that works".to_owned(),
        suggestion: None,
    }
}
