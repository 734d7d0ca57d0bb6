//! What time does next, for every group.

use crate::Groups;
use farebox_core::account::Group;
use farebox_core::calendar::{Instant, Zone};
use farebox_core::engine::{Action, Catalogues, Command, Duty, Late, Moment, Refusal, next_due};
use farebox_store::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;

/// Something that time does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When.
    pub at: Instant,
    /// What.
    pub duty: Duty,
    /// For which group: the account that pays.
    pub payer: String,
}

impl Due {
    /// The command that does it.
    pub fn command(&self, late: Late) -> Command {
        let action = Action::Due { duty: self.duty, late };
        Command { account: self.payer.clone(), effective_at: self.at, action }
    }
}

/// Why something due could not be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Hindrance {
    /// It was refused.
    Refused(Refusal),
    /// Its group, or the group's usage, cannot be read.
    Unreadable(StoreError),
}

impl Hindrance {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Hindrance::Refused(refusal) => refusal.code(),
            Hindrance::Unreadable(error) => error.code(),
        }
    }

    /// In words, with moments by the wall clock of a zone.
    pub fn sentence(&self, zone: &Zone) -> String {
        match self {
            Hindrance::Refused(refusal) => refusal.sentence(zone),
            Hindrance::Unreadable(error) => error.to_string(),
        }
    }

    /// The same to those who see a member and not who pays for it.
    pub fn sentence_to_member(&self, zone: &Zone) -> String {
        match self {
            Hindrance::Refused(refusal) => refusal.sentence_to_member(zone),
            Hindrance::Unreadable(error) => error.to_string(),
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hindrance::Refused(refusal) => refusal.fmt(f),
            Hindrance::Unreadable(error) => error.fmt(f),
        }
    }
}

impl From<Refusal> for Hindrance {
    fn from(refusal: Refusal) -> Hindrance {
        Hindrance::Refused(refusal)
    }
}

/// Something due that could not be done. What is due later for its group waits for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    /// What.
    pub due: Due,
    /// Why.
    pub why: Hindrance,
    /// The time at which it could not be done first, since the store was opened.
    pub since: Instant,
    /// The time at which it was tried last.
    pub tried: Instant,
    /// How often it was tried, since the store was opened.
    pub tries: u64,
}

impl Undone {
    /// The stable code of what waits for it.
    pub const CODE: &str = "settlement-failed";
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Undone { due: Due { at, duty, payer }, why, .. } = self;
        write!(f, "what was due for \"{payer}\" at {at} ({}) cannot be done: {why}", duty.name())
    }
}

/// What comes after something that is due, as who decides it works out.
pub struct Foreseen {
    /// The usage that is late then.
    late: Late,
    next: Option<(Instant, Duty)>,
}

impl Foreseen {
    /// For a group as it is after it.
    pub fn of(group: &Group, catalogues: &Catalogues, due: &Due, late: Late) -> Foreseen {
        let after = Moment { at: due.at, done: due.duty };
        Foreseen { next: next_due(group, catalogues, &due.payer, after, &late), late }
    }
}

/// What is due, in the order of time and, at one moment, of duties and of account names.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Not of groups that were touched since they were looked at, nor of those that have something undone, unless it
    /// is to be tried again.
    due: BTreeSet<Due>,
    /// The same by group, each once.
    by_payer: HashMap<String, (Instant, Duty)>,
    touched: BTreeSet<String>,
    /// The same since the last commit.
    unsaved: BTreeSet<String>,
    /// The earliest time of usage counted since the last settlement, by group.
    late: BTreeMap<String, Late>,
    /// What could not be done, by group.
    undone: BTreeMap<String, Undone>,
    /// How often something new could not be done, or could in the end.
    changes: u64,
}

impl Schedule {
    /// What stores say is due.
    pub fn of<'s>(due: impl Iterator<Item = (&'s str, (Instant, Duty))>) -> Schedule {
        let mut schedule = Schedule::default();
        due.for_each(|(payer, (at, duty))| schedule.insert(Due { at, duty, payer: payer.to_owned() }));
        schedule
    }

    /// The same of a store that was in use: what could not be done before is not tried again where the store has
    /// nothing else due for the group first.
    pub fn knowing(mut self, before: Schedule) -> Schedule {
        self.changes = before.changes + 1;
        for (payer, undone) in before.undone {
            if self.by_payer.get(&payer) == Some(&(undone.due.at, undone.due.duty)) {
                self.remove(&payer);
                self.undone.insert(payer, undone);
            }
        }
        self
    }

    /// Notes that something about a group has changed: what is due may have, too.
    pub fn touch(&mut self, payer: &str) {
        if !self.touched.contains(payer) {
            self.touched.insert(payer.to_owned());
        }
        if !self.unsaved.contains(payer) {
            self.unsaved.insert(payer.to_owned());
        }
    }

    /// Notes that usage of an account was counted, or taken back, from a moment on. What is due may change only where
    /// that is earlier than all that was noted before.
    pub fn note_usage(&mut self, payer: &str, account: &str, from: Instant) {
        if !self.late.contains_key(payer) {
            self.late.insert(payer.to_owned(), Late::new());
        }
        let Some(late) = self.late.get_mut(payer) else { return };
        match late.get_mut(account) {
            Some(earliest) if *earliest <= from => return,
            Some(earliest) => *earliest = from,
            None => drop(late.insert(account.to_owned(), from)),
        }
        self.touch(payer);
    }

    /// Notes that usage of an account is no matter any more.
    pub(crate) fn forget_usage(&mut self, payer: &str, account: &str) {
        if let Some(late) = self.late.get_mut(payer) {
            late.remove(account);
        }
        self.touch(payer);
    }

    /// The earliest time of usage of a group's accounts counted since their last settlement.
    pub fn late_of(&self, payer: &str) -> Late {
        self.late.get(payer).cloned().unwrap_or_default()
    }

    /// Whether a group was touched since the last commit.
    pub(crate) fn is_touched(&self, payer: &str) -> bool {
        self.touched.contains(payer) || self.unsaved.contains(payer)
    }

    /// Groups that were touched since the last call: what is due for them is to be kept anew.
    pub fn take_unsaved(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.unsaved)
    }

    /// Looks again at the groups that were touched. What happened at the clock's very moment may be due at once.
    pub fn look_again(&mut self, groups: &Groups, catalogues: &Catalogues, clock: Instant) {
        for payer in std::mem::take(&mut self.touched) {
            self.look_at(groups, catalogues, clock, payer);
        }
    }

    /// The same for one group, if it was touched.
    pub fn look_again_at(&mut self, groups: &Groups, catalogues: &Catalogues, clock: Instant, payer: &str) {
        if let Some(payer) = self.touched.take(payer) {
            self.look_at(groups, catalogues, clock, payer);
        }
    }

    fn look_at(&mut self, groups: &Groups, catalogues: &Catalogues, clock: Instant, payer: String) {
        // What is overdue comes first, whatever has happened since; what follows it is found when it is done.
        if !self.is_behind(&payer, clock) && groups.get(&payer).is_some() {
            self.remove(&payer);
            self.put(groups, catalogues, payer, Moment { at: clock, done: Duty::Charges });
        }
    }

    /// Whether a group has something due by a moment that is not done, or could not be.
    pub fn is_behind(&self, payer: &str, clock: Instant) -> bool {
        self.by_payer.get(payer).is_some_and(|(at, _)| *at <= clock) || self.undone.contains_key(payer)
    }

    /// What is due first, if that is by a moment. It stays due until it is [`Schedule::done`] or
    /// [`Schedule::refused`].
    pub fn next(&self, until: Instant) -> Option<Due> {
        self.due.first().filter(|due| due.at <= until).cloned()
    }

    /// The same for one group.
    pub fn next_of(&self, payer: &str, until: Instant) -> Option<Due> {
        let (at, duty) = self.by_payer.get(payer).copied().filter(|(at, _)| *at <= until)?;
        Some(Due { at, duty, payer: payer.to_owned() })
    }

    /// What is due, in order, from a place on.
    pub fn from<'s>(&'s self, after: Option<&'s Due>) -> impl Iterator<Item = &'s Due> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.due.range::<Due, _>((from, Bound::Unbounded))
    }

    /// For how many groups something is due.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether nothing is due for any group.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// What could not be done for a group.
    pub fn undone_of(&self, payer: &str) -> Option<&Undone> {
        self.undone.get(payer)
    }

    /// What could not be done, in the order of the names of groups.
    pub fn undone(&self) -> impl ExactSizeIterator<Item = &Undone> {
        self.undone.values()
    }

    /// Grows with each group that something new could not be done for, and each for which it could in the end.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What could not be done for a group is due again.
    pub fn again(&mut self, payer: &str) {
        if let Some(undone) = self.undone.get(payer) {
            let due = undone.due.clone();
            self.insert(due);
        }
    }

    /// Whatever could not be done is due again.
    pub fn again_all(&mut self) {
        let all: Vec<Due> = self.undone.values().map(|undone| undone.due.clone()).collect();
        all.into_iter().for_each(|due| self.insert(due));
    }

    fn insert(&mut self, due: Due) {
        self.remove(&due.payer);
        self.by_payer.insert(due.payer.clone(), (due.at, due.duty));
        self.due.insert(due);
    }

    fn remove(&mut self, payer: &str) {
        if let Some((payer, (at, duty))) = self.by_payer.remove_entry(payer) {
            self.due.remove(&Due { at, duty, payer });
        }
    }

    /// The command that is going to do what is due, and the usage that is late after it.
    pub fn command_ahead(&self, due: &Due) -> (Command, Late) {
        let late = self.late_of(&due.payer);
        match due.duty {
            Duty::Charges => (due.command(late), Late::new()),
            _ => (due.command(Late::new()), late),
        }
    }

    /// The command that does what is due. Usage that a settlement looks at is not late any more.
    pub fn command(&mut self, due: &Due) -> Command {
        let late = match due.duty {
            Duty::Charges => self.late.remove(&due.payer).unwrap_or_default(),
            _ => Late::new(),
        };
        due.command(late)
    }

    /// Notes that it is done, and what comes after it; that was foreseen, where nothing has become late since. Answers
    /// what is known of it where it could not be done before.
    pub fn done(
        &mut self,
        groups: &Groups,
        catalogues: &Catalogues,
        due: Due,
        foreseen: Option<Foreseen>,
    ) -> Option<Undone> {
        self.touched.remove(&due.payer);
        self.remove(&due.payer);
        let undone = self.undone.remove(&due.payer);
        self.changes += u64::from(undone.is_some());
        let Due { at, duty, payer } = due;
        match foreseen.filter(|foreseen| foreseen.late == *self.late.get(&payer).unwrap_or(&Late::new())) {
            Some(Foreseen { next: Some((at, duty)), .. }) => self.insert(Due { at, duty, payer }),
            Some(Foreseen { next: None, .. }) => {}
            None => self.put(groups, catalogues, payer, Moment { at, done: duty }),
        }
        undone
    }

    /// Notes that it could not be done, by a command that [`Schedule::command`] gave. It is not tried again until
    /// [`Schedule::again`] says so.
    pub fn refused(&mut self, due: Due, command: Command, why: Hindrance, now: Instant) -> &Undone {
        self.not_done(command);
        self.set_aside(due, why, now)
    }

    /// The same of something for which no command was asked for yet.
    pub fn set_aside(&mut self, due: Due, why: Hindrance, now: Instant) -> &Undone {
        self.touched.remove(&due.payer);
        self.remove(&due.payer);
        let before = self.undone.remove(&due.payer).filter(|before| before.due == due);
        self.changes += u64::from(before.is_none());
        let (since, tries) = before.map_or((now, 0), |before| (before.since, before.tries));
        let undone = Undone { why, since, tried: now, tries: tries + 1, due };
        self.undone.entry(undone.due.payer.clone()).or_insert(undone)
    }

    /// Notes that nothing came of a command that [`Schedule::command`] gave: what is late still is.
    pub fn not_done(&mut self, command: Command) {
        if let Action::Due { late, .. } = command.action
            && !late.is_empty()
        {
            let now = self.late.entry(command.account).or_default();
            for (account, from) in late {
                let earliest = now.entry(account).or_insert(from);
                *earliest = from.min(*earliest);
            }
        }
    }

    /// What is due next for a group, as it is now.
    pub fn due_of(
        &self,
        payer: &str,
        group: &Group,
        catalogues: &Catalogues,
        clock: Instant,
    ) -> Option<(Instant, Duty)> {
        if let Some(Undone { due, .. }) = self.undone.get(payer) {
            return Some((due.at, due.duty));
        }
        // What is known is exact, also where only a part of what is due at a moment is done.
        if !self.touched.contains(payer) || self.is_behind(payer, clock) {
            return self.by_payer.get(payer).copied();
        }
        let after = Moment { at: clock, done: Duty::Charges };
        next_due(group, catalogues, payer, after, &self.late_of(payer))
    }

    fn put(&mut self, groups: &Groups, catalogues: &Catalogues, payer: String, after: Moment) {
        let Some(group) = groups.get(&payer) else { return };
        let none = Late::new();
        let late = self.late.get(&payer).unwrap_or(&none);
        if let Some((at, duty)) = next_due(group, catalogues, &payer, after, late) {
            self.insert(Due { at, duty, payer });
        }
    }
}
