//! The life of an account and of what it ordered: active, in grace, frozen, released.
//!
//! The state holds where each subscription stands and when that changes next, and nothing that
//! grows with the account's age; the history beside it is never read by a decision.

use crate::calendar::Instant;
use std::collections::BTreeMap;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It runs.
    Active,
    /// Its payer owes, or its term has ended; the service goes on.
    Grace,
    /// It is kept, and nothing can be done with it.
    Frozen,
    /// It is over, and its data are deleted.
    Released,
}

impl State {
    /// As answers write it.
    pub fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Grace => "grace",
            State::Frozen => "frozen",
            State::Released => "released",
        }
    }
}

/// Where a subscription that is not active stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// When the state was reached.
    pub since: Instant,
    /// When it changes next, unless someone pays, renews or resumes. `None`: not by time.
    pub until: Option<Instant>,
    /// The end of the term from which its periods count, of a prepaid subscription.
    pub expired: Option<Instant>,
    /// The tier whose periods count.
    pub tier: String,
}

/// That a payer owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrears {
    /// Since when without interruption: grace and retention count from here (R-ARR-3).
    pub since: Instant,
    /// The payer's tier then, which counts until nothing is owed (R-ARR-2).
    pub tier: String,
}

/// The tier of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name: `V3`.
    pub id: String,
    /// Since when the customer has one at all: terms that ended before are no matter of it.
    pub first: Instant,
}

/// What decisions about an account's life need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The tier. `None`: it pays by invoice, and nothing is ever frozen. A member has its payer's.
    pub tier: Option<Tier>,
    /// Of a payer that owes and has a tier.
    pub arrears: Option<Arrears>,
    /// Since when the operator has it suspended.
    pub suspended: Option<Instant>,
    /// Subscriptions that are not active, by name.
    pub standings: BTreeMap<String, Standing>,
}

/// Something that happened to an account, for its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Instant,
    /// The subscription, when it is about one.
    pub subscription: Option<String>,
    /// What, in words.
    pub what: String,
}
