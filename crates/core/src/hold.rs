//! Holds: what is kept for a session while it runs, so that two sessions never use the same minute.
//!
//! A hold is a pending movement with a deadline: units of packages, money for what they do not
//! cover, and a place among the sessions that may run at once. It ends by a release with what was
//! really used, or by its deadline.

use crate::calendar::Instant;
use crate::metering::{Event, Value};
use crate::money::{Amount, Exact};
use crate::package::Draws;
use std::collections::{BTreeMap, BTreeSet};

/// What is kept for a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Whose session.
    pub account: String,
    /// Its name, unique in the account: the id that its record will bear.
    pub id: String,
    /// The source that its record will bear. `source` and `id` identify the usage, so that it is
    /// billed once.
    pub source: String,
    /// The type of its usage event: `call`.
    pub kind: String,
    /// The attributes of that event, without what is measured.
    pub attributes: BTreeMap<String, String>,
    /// The attributes that meters measure: `seconds`. None: each event counts one.
    pub measured: BTreeSet<String>,
    /// When it began.
    pub since: Instant,
    /// Without a word by then, it expires.
    pub until: Instant,
    /// What was asked for in all, in what the meters measure: seconds, calls.
    pub asked: Exact,
    /// What of it was granted. Less than asked: these are the last units.
    pub granted: Exact,
    /// Until when the grant may be used: a grant never outlives its bucket. Later, an update asks
    /// anew.
    pub valid_until: Instant,
    /// What has been used, as said last.
    pub used: Exact,
    /// The places that it takes among sessions at once.
    pub places: BTreeSet<Place>,
    /// What is held for each charge that will take its usage; what of the money stays, once it has
    /// ended.
    pub parts: Vec<Part>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// A place among the sessions that may run at once (R-TCCC-4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What plans provide: `concurrency`.
    pub of: String,
    /// The subscription that provides it.
    pub subscription: String,
}

/// What a hold keeps for one charge.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The subscription that takes the usage.
    pub subscription: String,
    /// The charge of its plan.
    pub charge: String,
    /// Units held, by bucket.
    pub units: Draws,
    /// Money held for what packages do not cover.
    pub money: Amount,
}

/// The end of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Instant,
    /// Whether its deadline passed.
    pub expired: bool,
    /// When the money that it still keeps is let go: as its usage is charged.
    pub settles: Option<Instant>,
}

impl Hold {
    /// The units held of each bucket, all charges together.
    pub fn units(&self) -> Draws {
        let mut all = Draws::new();
        for (bucket, units) in self.parts.iter().flat_map(|part| &part.units) {
            let sum: &mut Exact = all.entry(bucket.clone()).or_default();
            *sum = sum.add(*units).unwrap_or(*sum);
        }
        all
    }

    /// The money held, all charges together.
    pub fn money(&self) -> Amount {
        self.parts.iter().fold(Amount::ZERO, |sum, part| sum.add(part.money).unwrap_or(sum))
    }

    /// The usage event that so many units at a moment are, and how often: where nothing is measured, each unit is
    /// an event.
    pub fn event(&self, units: Exact, at: Instant) -> (Event<'_>, Exact) {
        let text = self.attributes.iter().map(|(name, value)| (name.as_str(), Value::Text(value)));
        let measured = self.measured.iter().map(|name| (name.as_str(), Value::Number(units)));
        let others = text.filter(|(name, _)| !self.measured.contains(*name));
        let event = Event {
            source: &self.source,
            id: &self.id,
            revision: 0,
            kind: &self.kind,
            account: &self.account,
            time: at,
            start: Some(self.since),
            attributes: others.chain(measured).collect(),
        };
        (event, if self.measured.is_empty() { units } else { Exact::ONE })
    }

    /// Whether no more is granted than what is.
    pub fn is_final(&self) -> bool {
        self.granted < self.asked
    }
}

/// Account and id.
type Name = (String, String);

/// The holds of a payer and its members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holds {
    by_name: BTreeMap<Name, Hold>,
    /// Those that have not ended, by deadline.
    open: BTreeSet<(Instant, Name)>,
    /// Those that have ended and keep money, by when it is let go.
    settling: BTreeSet<(Instant, Name)>,
    /// How many sessions have a place, by account.
    taken: BTreeMap<(String, Place), u32>,
    /// What all of them keep together.
    money: Amount,
}

impl Holds {
    /// A hold; one that has ended too.
    pub fn get(&self, account: &str, id: &str) -> Option<&Hold> {
        self.by_name.get(&(account.to_owned(), id.to_owned()))
    }

    /// All holds of an account, in the order of their ids.
    pub fn of<'a>(&'a self, account: &str) -> impl Iterator<Item = &'a Hold> {
        let (first, account) = ((account.to_owned(), String::new()), account.to_owned());
        self.by_name.range(first..).map(|(_, hold)| hold).take_while(move |hold| hold.account == account)
    }

    /// How many have not ended.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The money that all keep, of the balance and on credit.
    pub fn money(&self) -> Amount {
        self.money
    }

    /// The open holds whose deadline has come, the earliest first.
    pub fn past(&self, at: Instant) -> impl Iterator<Item = &Hold> {
        let past = self.open.iter().take_while(move |(until, _)| *until <= at);
        past.filter_map(|(_, name)| self.by_name.get(name))
    }

    /// The next deadline.
    pub fn next_end(&self) -> Option<Instant> {
        self.open.first().map(|(until, _)| *until)
    }

    /// The holds that have ended and let their money go by a moment.
    pub fn settling(&self, at: Instant) -> impl Iterator<Item = &Hold> {
        let due = self.settling.iter().take_while(move |(settles, _)| *settles <= at);
        due.filter_map(|(_, name)| self.by_name.get(name))
    }

    /// When money is let go next.
    pub fn next_settling(&self) -> Option<Instant> {
        self.settling.first().map(|(settles, _)| *settles)
    }

    /// How many open holds of an account have a place.
    pub fn taken(&self, account: &str, place: &Place) -> u32 {
        self.taken.get(&(account.to_owned(), place.clone())).copied().unwrap_or(0)
    }

    /// Keeps a hold as it is now.
    pub(crate) fn put(&mut self, hold: Hold) {
        let name = (hold.account.clone(), hold.id.clone());
        if let Some(before) = self.by_name.remove(&name) {
            self.unlist(&name, &before);
            self.money = Amount::from_units(self.money.units() - before.money().units());
        }
        self.money = Amount::from_units(self.money.units() + hold.money().units());
        match hold.ended {
            None => {
                self.open.insert((hold.until, name.clone()));
                for place in &hold.places {
                    *self.taken.entry((hold.account.clone(), place.clone())).or_default() += 1;
                }
            }
            Some(Ended { settles: Some(settles), .. }) => {
                self.settling.insert((settles, name.clone()));
            }
            Some(_) => {}
        }
        self.by_name.insert(name, hold);
    }

    fn unlist(&mut self, name: &Name, before: &Hold) {
        match before.ended {
            None => {
                self.open.remove(&(before.until, name.clone()));
                for place in &before.places {
                    let key = (before.account.clone(), place.clone());
                    let left = self.taken.get(&key).map_or(0, |taken| taken.saturating_sub(1));
                    if left == 0 {
                        self.taken.remove(&key);
                    } else {
                        self.taken.insert(key, left);
                    }
                }
            }
            Some(Ended { settles: Some(settles), .. }) => {
                self.settling.remove(&(settles, name.clone()));
            }
            Some(_) => {}
        }
    }

    /// Lets the money of an ended hold go.
    pub(crate) fn let_go(&mut self, account: &str, id: &str) -> Option<()> {
        let name = (account.to_owned(), id.to_owned());
        let mut hold = self.by_name.get(&name)?.clone();
        hold.parts.iter_mut().for_each(|part| part.money = Amount::ZERO);
        if let Some(ended) = &mut hold.ended {
            ended.settles = None;
        }
        self.put(hold);
        Some(())
    }
}
