//! What time does next, for every group.

use crate::Groups;
use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Catalogues, Command, Duty, Late, Moment, next_due};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// What is due, in the order of time and, at one moment, of duties and of account names.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Not of groups that were touched since they were looked at.
    due: BTreeSet<Due>,
    /// The same by group, each once.
    by_payer: HashMap<String, (Instant, Duty)>,
    touched: BTreeSet<String>,
    /// The same since the last commit.
    unsaved: BTreeSet<String>,
    /// The earliest time of usage counted since the last settlement, by group.
    late: BTreeMap<String, Late>,
}

impl Schedule {
    /// What stores say is due.
    pub fn of<'s>(due: impl Iterator<Item = (&'s str, (Instant, Duty))>) -> Schedule {
        let mut schedule = Schedule::default();
        due.for_each(|(payer, (at, duty))| schedule.insert(Due { at, duty, payer: payer.to_owned() }));
        schedule
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

    /// The earliest time of usage of a group's accounts counted since their last settlement.
    pub fn late_of(&self, payer: &str) -> Late {
        self.late.get(payer).cloned().unwrap_or_default()
    }

    /// Groups that were touched since the last call: what is due for them is to be kept anew.
    pub fn take_unsaved(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.unsaved)
    }

    /// Looks again at the groups that were touched. What happened at the clock's very moment may be due at once.
    pub fn look_again(&mut self, groups: &Groups, catalogues: &Catalogues, clock: Instant) {
        let touched = std::mem::take(&mut self.touched);
        if touched.is_empty() {
            return;
        }
        for payer in touched {
            self.remove(&payer);
            self.put(groups, catalogues, payer, Moment { at: clock, done: Duty::Charges });
        }
    }

    /// Takes what is due first, if that is by a moment.
    pub fn next(&mut self, until: Instant) -> Option<Due> {
        if self.due.first().is_none_or(|due| due.at > until) {
            return None;
        }
        let due = self.due.pop_first()?;
        self.by_payer.remove(&due.payer);
        Some(due)
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

    /// The command that does what is due. Usage that a settlement looks at is not late any more.
    pub fn command(&mut self, due: &Due) -> Command {
        let late = match due.duty {
            Duty::Charges => self.late.remove(&due.payer).unwrap_or_default(),
            _ => Late::new(),
        };
        due.command(late)
    }

    /// Notes that it is done, and what comes after it.
    pub fn done(&mut self, groups: &Groups, catalogues: &Catalogues, due: Due) {
        self.touched.remove(&due.payer);
        self.put(groups, catalogues, due.payer, Moment { at: due.at, done: due.duty });
    }

    /// What is due next for a group that a command touched, as it is now.
    pub fn due_of(
        &self,
        payer: &str,
        group: &Group,
        catalogues: &Catalogues,
        clock: Instant,
    ) -> Option<(Instant, Duty)> {
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
