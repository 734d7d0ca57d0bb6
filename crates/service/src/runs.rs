//! What time has done: the last runs one by one, and all of them added up by duty and hour.
//!
//! Only what is durable is told. The sums are kept in the store with each commit; single runs are in the entries of
//! their groups, and here as far as they fit.

use crate::schedule::Due;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Duty, Fact};
use farebox_store::codec::{Corrupt, Reader, Stored, Writer};
use farebox_store::{Derived, Seen, Store, StoreError};
use std::collections::{BTreeMap, VecDeque};

/// The most runs that are told one by one.
pub const RUNS_MAX: usize = 1_000;
/// How many hours are kept: 400 days.
const HOURS_MAX: i64 = 400 * 24;
const HOUR_S: i64 = 3_600;
/// Sums by duty and hour, in the store.
const HOURS: u8 = 20;

/// Something due that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its number since the store was opened, from 1.
    pub number: u64,
    /// What.
    pub due: Due,
    /// When it was done, in the caller's time ([`crate::Service::set_watch`]).
    pub done: Instant,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How many facts followed.
    pub facts: u64,
    /// How many lines of bills are among them.
    pub lines: u64,
}

/// What was done of a duty, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Runs.
    pub done: u64,
    /// Tries that were refused.
    pub refused: u64,
    /// Facts that followed.
    pub facts: u64,
    /// Lines of bills among them.
    pub lines: u64,
    /// How long all took together, in microseconds.
    pub micros: u64,
    /// When the first was done, in the caller's time.
    pub first: Option<Instant>,
    /// When the last was.
    pub last: Option<Instant>,
}

impl Sum {
    fn add(&mut self, ran: &Ran) {
        self.done += 1;
        self.facts += ran.facts;
        self.lines += ran.lines;
        self.micros += ran.micros;
        self.first = self.first.or(Some(ran.done));
        self.last = self.last.max(Some(ran.done));
    }

    fn to_bytes(self) -> Vec<u8> {
        let Sum { done, refused, facts, lines, micros, first, last } = self;
        let mut to = Writer::default();
        [done, refused, facts, lines, micros].iter().for_each(|number| number.put(&mut to));
        first.put(&mut to);
        last.put(&mut to);
        to.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Sum, Corrupt> {
        let mut from = Reader::new(bytes);
        Ok(Sum {
            done: u64::get(&mut from)?,
            refused: u64::get(&mut from)?,
            facts: u64::get(&mut from)?,
            lines: u64::get(&mut from)?,
            micros: u64::get(&mut from)?,
            first: Stored::get(&mut from)?,
            last: Stored::get(&mut from)?,
        })
    }
}

/// An hour in which something was due, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour {
    /// Hours since 1970.
    number: i64,
    /// What was due.
    pub duty: Duty,
}

impl Hour {
    /// That of something due.
    pub fn of(at: Instant, duty: Duty) -> Hour {
        Hour { number: at.as_second().div_euclid(HOUR_S), duty }
    }

    /// When it begins.
    pub fn start(self) -> Instant {
        Instant::from_second(self.number.saturating_mul(HOUR_S)).unwrap_or(Instant::MIN)
    }

    fn key(self) -> Vec<u8> {
        // Hours before 1970 come first, too.
        let number = (self.number as u64) ^ (1 << 63);
        [&number.to_be_bytes()[..], &[self.duty as u8]].concat()
    }

    fn from_key(key: &[u8]) -> Option<Hour> {
        let (number, [duty]) = key.split_first_chunk()? else { return None };
        let number = (u64::from_be_bytes(*number) ^ (1 << 63)) as i64;
        let duty = Duty::ALL.into_iter().find(|known| *known as u8 == *duty)?;
        Some(Hour { number, duty })
    }
}

/// What time has done.
#[derive(Debug, Default)]
pub struct Runs {
    recent: VecDeque<Ran>,
    hours: BTreeMap<Hour, Sum>,
    /// Since the store was opened, by duty.
    totals: [Sum; Duty::ALL.len()],
    /// Not committed yet.
    pending: Vec<Ran>,
    refused: BTreeMap<Hour, u64>,
    /// The same two, of the commit that is on its way.
    on_the_way: (Vec<Ran>, BTreeMap<Hour, u64>),
    /// Numbers that were given.
    count: u64,
}

impl Runs {
    /// What a store knows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store) -> Result<Runs, StoreError> {
        let mut runs = Runs::default();
        store.derived_from(HOURS, &[], &mut |key, value| {
            let place = || "what time has done".to_owned();
            let damaged = |found: String| StoreError::Corrupt { place: place(), found };
            let hour = Hour::from_key(key).ok_or_else(|| damaged("its hour cannot be read".to_owned()))?;
            let sum = Sum::from_bytes(value).map_err(|error| damaged(error.to_string()))?;
            runs.hours.insert(hour, sum);
            Ok(Seen::More)
        })?;
        Ok(runs)
    }

    /// Notes that something was done between two moments of the caller's time.
    pub fn done(&mut self, due: Due, facts: &[Fact], (began, done): (Instant, Instant)) {
        let lines = |fact: &Fact| if let Fact::Charged { lines, .. } = fact { lines.len() as u64 } else { 0 };
        let micros = u64::try_from(done.duration_since(began).as_micros()).unwrap_or_default();
        self.count += 1;
        let (facts, lines) = (facts.len() as u64, facts.iter().map(lines).sum());
        self.pending.push(Ran { number: self.count, due, done, micros, facts, lines });
    }

    /// Notes that something was refused.
    pub fn refused(&mut self, due: &Due) {
        *self.refused.entry(Hour::of(due.at, due.duty)).or_default() += 1;
        self.totals[due.duty as usize].refused += 1;
    }

    /// What is to be kept of what was noted since the last time, with a commit. [`Runs::committed`] follows, before this
    /// is asked for again.
    pub fn hand_over(&mut self) -> Vec<Derived> {
        let rows = self.rows();
        self.on_the_way = (std::mem::take(&mut self.pending), std::mem::take(&mut self.refused));
        rows
    }

    fn rows(&self) -> Vec<Derived> {
        let mut changed: BTreeMap<Hour, Sum> = BTreeMap::new();
        let of = |hour: &Hour| self.hours.get(hour).copied().unwrap_or_default();
        for ran in &self.pending {
            let hour = Hour::of(ran.due.at, ran.due.duty);
            changed.entry(hour).or_insert_with(|| of(&hour)).add(ran);
        }
        for (hour, count) in &self.refused {
            changed.entry(*hour).or_insert_with(|| of(hour)).refused += count;
        }
        let known = self.hours.last_key_value().map(|(hour, _)| hour.number);
        let newest = changed.last_key_value().map(|(hour, _)| hour.number).max(known);
        let is_old = |hour: &Hour| newest.is_some_and(|newest| hour.number < newest - HOURS_MAX);
        let row = |(hour, sum): (&Hour, &Sum)| {
            let value = (!is_old(hour)).then(|| sum.to_bytes());
            Derived { space: HOURS, key: hour.key(), value }
        };
        let mut rows: Vec<Derived> = changed.iter().map(row).collect();
        if !rows.is_empty() {
            let old = self.hours.keys().take_while(|hour| is_old(hour) && !changed.contains_key(hour));
            rows.extend(old.map(|hour| Derived { space: HOURS, key: hour.key(), value: None }));
        }
        rows
    }

    /// Notes whether what was handed over is durable. What is not was not done, nor what came after it.
    pub fn committed(&mut self, durable: bool) {
        let (pending, refused) = std::mem::take(&mut self.on_the_way);
        if !durable {
            self.pending.clear();
            self.refused.clear();
            return;
        }
        for ran in pending {
            self.hours.entry(Hour::of(ran.due.at, ran.due.duty)).or_default().add(&ran);
            self.totals[ran.due.duty as usize].add(&ran);
            if self.recent.len() == RUNS_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(ran);
        }
        for (hour, count) in refused {
            self.hours.entry(hour).or_default().refused += count;
        }
        if let Some(newest) = self.hours.last_key_value().map(|(hour, _)| hour.number) {
            while self.hours.first_key_value().is_some_and(|(hour, _)| hour.number < newest - HOURS_MAX) {
                self.hours.pop_first();
            }
        }
    }

    /// The last runs, the latest first: at most [`RUNS_MAX`].
    pub fn recent(&self) -> impl Iterator<Item = &Ran> {
        self.recent.iter().rev()
    }

    /// All runs of the last 400 days, added up, the latest hour first.
    pub fn hours(&self) -> impl Iterator<Item = (Hour, &Sum)> {
        self.hours.iter().rev().map(|(hour, sum)| (*hour, sum))
    }

    /// What was done since the store was opened, in the order of [`Duty::ALL`].
    pub fn totals(&self) -> &[Sum; Duty::ALL.len()] {
        &self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_store::{Batch, Memory};

    fn due(at: &str, duty: Duty) -> Due {
        Due { at: at.parse().unwrap(), duty, payer: "acme".to_owned() }
    }

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn keep(runs: &mut Runs, store: &mut Memory) {
        store.commit(&Batch { derived: runs.hand_over(), ..Batch::default() }).unwrap();
    }

    #[test]
    fn what_was_done_is_added_up_by_hour_and_kept() {
        let (mut store, mut runs) = (Memory::new(), Runs::default());
        let began = at("2026-02-01T00:00:01Z");
        for (due_at, took) in [("2026-02-01T00:00:00Z", 2), ("2026-02-01T00:59:59.9Z", 3)] {
            let done = Instant::from_microsecond(began.as_microsecond() + took).unwrap();
            runs.done(due(due_at, Duty::Charges), &[], (began, done));
        }
        runs.done(due("2026-01-31T23:59:59Z", Duty::Terms), &[], (began, began));
        runs.refused(&due("2026-02-01T01:00:00Z", Duty::Charges));
        assert_eq!((runs.recent().count(), runs.hours().count()), (0, 0), "nothing is durable yet");
        keep(&mut runs, &mut store);
        runs.committed(true);
        let told: Vec<(Hour, Sum)> = runs.hours().map(|(hour, sum)| (hour, *sum)).collect();
        let again = Runs::of(&store).unwrap();
        assert_eq!(again.hours().map(|(hour, sum)| (hour, *sum)).collect::<Vec<_>>(), told);
        let shown: Vec<(String, Duty, u64, u64, u64)> = told
            .iter()
            .map(|(hour, sum)| (hour.start().to_string(), hour.duty, sum.done, sum.refused, sum.micros))
            .collect();
        assert_eq!(
            shown,
            [
                ("2026-02-01T01:00:00Z".to_owned(), Duty::Charges, 0, 1, 0),
                ("2026-02-01T00:00:00Z".to_owned(), Duty::Charges, 2, 0, 5),
                ("2026-01-31T23:00:00Z".to_owned(), Duty::Terms, 1, 0, 0),
            ]
        );
        assert_eq!(runs.recent().map(|ran| ran.number).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(runs.totals()[Duty::Charges as usize].done, 2);
    }

    #[test]
    fn what_could_not_be_made_durable_was_not_done() {
        let (mut store, mut runs) = (Memory::new(), Runs::default());
        let began = at("2026-02-01T00:00:01Z");
        runs.done(due("2026-02-01T00:00:00Z", Duty::Charges), &[], (began, began));
        runs.committed(false);
        keep(&mut runs, &mut store);
        assert_eq!((runs.recent().count(), Runs::of(&store).unwrap().hours().count()), (0, 0));
    }

    #[test]
    fn the_names_of_hours_are_in_their_order() {
        let hours = ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]
            .map(|text| Hour::of(at(text), Duty::HeldMoney));
        assert!(hours.is_sorted() && hours.map(Hour::key).is_sorted());
        assert_eq!(hours.map(|hour| Hour::from_key(&hour.key())), hours.map(Some));
    }

    #[test]
    fn old_hours_are_let_go_of() {
        let (mut store, mut runs) = (Memory::new(), Runs::default());
        let began = at("2027-06-01T00:00:01Z");
        for due_at in ["2026-02-01T00:00:00Z", "2027-06-01T00:00:00Z", "2026-03-01T00:00:00Z"] {
            runs.done(due(due_at, Duty::Charges), &[], (began, began));
            keep(&mut runs, &mut store);
            runs.committed(true);
        }
        let hours = |runs: &Runs| runs.hours().map(|(hour, _)| hour.start().to_string()).collect::<Vec<_>>();
        assert_eq!(hours(&runs), ["2027-06-01T00:00:00Z"]);
        assert_eq!(hours(&Runs::of(&store).unwrap()), hours(&runs));
    }
}
