//! Holds: what is kept for sessions, with deadlines: created, updated, released, expired.
//!
//! A hold answers whether a session may start, and for how long: a place among the sessions at once
//! (R-TCCC-4), units of packages in the order of R-PKG-1, and money for what they do not cover. Each
//! wish says what the session has come to *in all*, so that saying it again changes nothing.

mod decide;
mod refusal;

pub use refusal::{CODES, Refusal};

pub(super) use decide::{decide, expire, let_go};

use super::ApplyError;
use super::fact::book_payments;
use crate::account::Group;
use crate::calendar::Instant;
use crate::hold::Hold;
use crate::ledger::Posting;
use crate::money::{Amount, Exact};
use std::collections::BTreeMap;

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begin a session. The same again changes nothing.
    Create {
        /// Its name: the id that its usage record will bear.
        id: String,
        /// The source that its usage record will bear.
        source: String,
        /// The type of its usage event.
        kind: String,
        /// The attributes of that event, without what is measured.
        attributes: BTreeMap<String, String>,
        /// How much it may use, in what the meters measure (seconds, calls); above zero.
        units: Exact,
        /// Without a word by then, it expires.
        until: Instant,
    },
    /// Go on with it.
    Update {
        /// The session.
        id: String,
        /// How much it may use in all; above zero.
        units: Exact,
        /// How much it has used in all. Never less than was said before.
        used: Exact,
        /// Without a word by then, it expires.
        until: Instant,
    },
    /// End it.
    Release {
        /// The session.
        id: String,
        /// How much it has used in all; zero: it never came about.
        used: Exact,
    },
}

/// What happened. `payer` is the account whose ledger holds units and money.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A session began.
    Created {
        /// The account that pays.
        payer: String,
        /// The hold.
        hold: Box<Hold>,
        /// What is held.
        postings: Vec<Posting>,
    },
    /// It went on.
    Updated {
        /// The account that pays.
        payer: String,
        /// The hold as it is now.
        hold: Box<Hold>,
        /// What is held besides, or no longer.
        postings: Vec<Posting>,
    },
    /// It ended, by a release or its deadline. What it used is usage from now on, unless its record
    /// is there already.
    Ended {
        /// The account that pays.
        payer: String,
        /// The hold as it was in the end.
        hold: Box<Hold>,
        /// What is held no longer. What is drawn for it is a fact of its own.
        postings: Vec<Posting>,
    },
    /// The money kept for its usage was let go, for the charge of that usage.
    LetGo {
        /// The account that pays.
        payer: String,
        /// Whose session.
        account: String,
        /// Which.
        id: String,
        /// The money.
        postings: Vec<Posting>,
    },
    /// Money that is held no longer paid what is owed.
    Paid {
        /// The account that pays.
        payer: String,
        /// What was paid, by the start of the month of each bill.
        paid: Vec<(Instant, Amount)>,
        /// From the balance.
        postings: Vec<Posting>,
    },
}

impl From<Fact> for super::Fact {
    fn from(fact: Fact) -> super::Fact {
        super::Fact::Holds(fact)
    }
}

impl Group {
    pub(super) fn apply_holds(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        let (payer, postings) = match fact {
            Fact::Created { payer, hold, postings }
            | Fact::Updated { payer, hold, postings }
            | Fact::Ended { payer, hold, postings } => {
                self.account_mut(payer)?.holds.put((**hold).clone());
                (payer, postings)
            }
            Fact::LetGo { payer, account, id, postings } => {
                let known = self.account_mut(payer)?.holds.let_go(account, id);
                known.ok_or_else(|| ApplyError(format!("no hold {id} of {account}")))?;
                (payer, postings)
            }
            Fact::Paid { payer, paid, postings } => {
                return book_payments(self.account_mut(payer)?, postings, paid);
            }
        };
        self.account_mut(payer)?.ledger.post_all(postings)?;
        Ok(())
    }
}
