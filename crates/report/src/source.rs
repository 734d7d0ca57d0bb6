//! What questions are answered from.

use crate::report::{Receivables, Totals};
use farebox_core::account::{Account, Group};
use farebox_core::bill::Line;
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::engine::{Catalogues, Late};
use farebox_core::metering::{Event, Metering, Value};
use farebox_text::import::Summary;

/// What questions are answered from: a book in the course of being run, a service.
///
/// What it is asked for is about the account of the question and those of its billing group, or about all there are.
pub trait Source {
    /// By whose wall clock dates are read and shown.
    fn zone(&self) -> &Zone;

    /// What time it is.
    fn now(&self) -> Instant;

    /// The price lists.
    fn catalogues(&self) -> &Catalogues;

    /// The billing group that an account is in; `None`: there is no such account.
    fn group_of(&self, account: &str) -> Option<&Group>;

    /// What the accounts of a payer's group have used.
    fn metering(&self, payer: &str) -> &Metering;

    /// The earliest time of usage of a payer's group counted since its last settlement.
    fn late_of(&self, payer: &str) -> Late;

    /// Whether whoever asks may know what an account owes.
    fn sees(&self, account: &str) -> bool {
        let _ = account;
        true
    }

    /// Names of accounts among which may be what somebody meant who wrote another one.
    fn names(&self) -> Vec<&str>;

    /// The events behind a line, in the order in which they came: at most `most` of them, and how many there are.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn events_behind(&self, line: &Line, most: usize) -> Result<(Vec<EventBehind>, u64), String>;

    /// The sums of all ledgers, up to and with now.
    ///
    /// # Errors
    /// Why there are none: a sum does not fit.
    fn totals(&self) -> Result<Totals, String>;

    /// What every account owes.
    ///
    /// # Errors
    /// Why that cannot be said: a sum does not fit.
    fn receivables(&self) -> Result<Receivables, String>;

    /// Usage that cannot be billed as it is.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn quarantine(&self) -> Result<InQuarantine, String>;

    /// What usage files came to, each with its name.
    ///
    /// # Errors
    /// Why that is not known.
    fn imports(&self) -> Result<Vec<(String, Summary)>, String>;
}

impl dyn Source + '_ {
    /// An account.
    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.group_of(name)?.get(name)
    }

    /// The account that pays for an account: its master, or itself.
    pub(crate) fn payer_of<'s>(&'s self, account: &'s Account) -> &'s Account {
        self.account(account.head.payer()).unwrap_or(account)
    }

    /// The clock on the wall.
    pub(crate) fn clock(&self) -> String {
        show_local(self.zone(), self.now())
    }
}

/// A piece of usage that is not billed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The file, as the book names it; empty where that is not known.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// The stable code.
    pub code: String,
    /// The reason, in a sentence.
    pub sentence: String,
    /// The event's identity, or how its row begins.
    pub what: String,
}

/// What is in quarantine: the first pieces, and how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InQuarantine {
    /// At most [`InQuarantine::LISTED_MAX`].
    pub listed: Vec<Quarantine>,
    /// Rows beyond those.
    pub more: u64,
}

impl InQuarantine {
    /// How many pieces are listed.
    pub const LISTED_MAX: usize = 1_000;

    /// Whether nothing is in quarantine.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.more == 0
    }

    /// Adds a piece; one too many is counted only.
    pub fn add(&mut self, one: Quarantine) {
        if self.listed.len() < Self::LISTED_MAX { self.listed.push(one) } else { self.more += 1 }
    }

    /// Adds others behind.
    pub fn append(&mut self, others: InQuarantine) {
        others.listed.into_iter().for_each(|one| self.add(one));
        self.more += others.more;
    }
}

/// An event as `explain` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBehind {
    /// Where it was read; empty where that is not known.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Whether a session said it when it was over, and no record.
    pub is_session: bool,
    /// Source and id.
    pub identity: String,
    /// When.
    pub time: Instant,
    /// The attributes, as `name=value`.
    pub attributes: Vec<String>,
}

impl EventBehind {
    /// An event that was read from a line of a file.
    pub fn of(event: &Event<'_>, file: &str, line: u64) -> EventBehind {
        let shown = |(name, value): &(&str, Value<'_>)| match value {
            Value::Text(text) => format!("{name}={text}"),
            Value::Number(number) => format!("{name}={number}"),
        };
        EventBehind {
            file: file.to_owned(),
            line,
            is_session: false,
            identity: format!("{}/{}", event.source, event.id),
            time: event.time,
            attributes: event.attributes.iter().map(shown).collect(),
        }
    }
}
