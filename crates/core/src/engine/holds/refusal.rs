//! Why a wish about a session is refused.

use crate::calendar::{Instant, Zone, show_local};
use crate::engine::credit::Headroom;
use crate::metering::Problem;
use crate::money::{Amount, Currency, Exact};
use crate::quantity::{count_of, plural};
use std::fmt;

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The account has had a session of this name.
    Exists(String),
    /// The account has no session of this name.
    Unknown {
        /// The account.
        account: String,
        /// The session.
        id: String,
    },
    /// The session is over.
    Over {
        /// The session.
        id: String,
        /// Since when.
        ended: Instant,
        /// Whether its deadline passed.
        expired: bool,
    },
    /// A number of units that is none.
    BadUnits(Exact),
    /// Nothing takes the usage.
    NothingTakes(Problem),
    /// As many sessions as there may be are running (R-TCCC-4).
    NoPlace {
        /// What is lacking: `concurrency`.
        of: String,
        /// How many there are for such a session.
        limit: i64,
    },
    /// Nothing is left of the packages, and use past them is refused (R-PKG-3).
    NothingLeft {
        /// What a unit is called.
        unit: String,
        /// How many are left.
        left: Exact,
    },
    /// The balance does not cover the least that can be granted.
    NotCovered {
        /// What that costs.
        needed: Amount,
        /// What there is that is not held.
        there: Amount,
        /// How that comes about, where the payer has a credit limit.
        room: Option<Box<Headroom>>,
        /// Of what.
        currency: Currency,
    },
}

/// Every code of these refusals.
pub const CODES: &[&str] = &[
    "hold-exists",
    "unknown-hold",
    "hold-over",
    "bad-units",
    "nothing-takes",
    "no-place",
    "nothing-left",
    "not-covered",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Exists(_) => "hold-exists",
            Refusal::Unknown { .. } => "unknown-hold",
            Refusal::Over { .. } => "hold-over",
            Refusal::BadUnits(_) => "bad-units",
            Refusal::NothingTakes(_) => "nothing-takes",
            Refusal::NoPlace { .. } => "no-place",
            Refusal::NothingLeft { .. } => "nothing-left",
            Refusal::NotCovered { .. } => "not-covered",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        match self {
            Refusal::Over { id, ended, expired } => {
                let how = if *expired { "expired" } else { "was released" };
                format!("the session {id} {how} at {}; begin one of another name", show_local(zone, *ended))
            }
            _ => self.to_string(),
        }
    }

    /// The same without what the payer has, for those who may not see it.
    pub fn sentence_to_member(&self, zone: &Zone) -> String {
        match self {
            Refusal::NotCovered { needed, currency, .. } => {
                let needed = needed.decimal(*currency);
                format!(
                    "the least that can be granted costs {needed} {currency}, more than who pays can spend now"
                )
            }
            Refusal::Exists(_)
            | Refusal::Unknown { .. }
            | Refusal::Over { .. }
            | Refusal::BadUnits(_)
            | Refusal::NothingTakes(_)
            | Refusal::NoPlace { .. }
            | Refusal::NothingLeft { .. } => self.sentence(zone),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Exists(id) => {
                write!(f, "there is a session {id} that says something else; begin one of another name")
            }
            Refusal::Unknown { account, id } => write!(f, "{account} has no session {id}; hold begins one"),
            Refusal::Over { id, ended, expired } => {
                let how = if *expired { "expired" } else { "was released" };
                write!(f, "the session {id} {how} at {ended}; begin one of another name")
            }
            Refusal::BadUnits(units) => {
                write!(f, "{units} is no number of units to hold or to have used: above zero, at most 10¹²")
            }
            Refusal::NothingTakes(problem) => {
                write!(f, "the session cannot be charged: {}", problem.sentence())
            }
            Refusal::NoPlace { of, limit: 0 } => {
                write!(f, "there is no {of} for this session; order what provides it")
            }
            Refusal::NoPlace { of, limit } => {
                write!(f, "all {limit} of {of} are in use; end a session, or order more")
            }
            Refusal::NothingLeft { unit, left } if left.is_zero() => {
                write!(f, "no {} are left in the packages, and use past them is refused", plural(unit))
            }
            Refusal::NothingLeft { unit, left } => {
                write!(
                    f,
                    "only {} left in the packages, too little to begin, and use past them is refused",
                    count_of(*left, unit)
                )
            }
            Refusal::NotCovered { needed, there, room, currency } => {
                let (needed, there) = (needed.decimal(*currency), there.decimal(*currency));
                write!(f, "the least that can be granted costs {needed} {currency}; ")?;
                match room {
                    None => write!(f, "the balance has {there} that is not held"),
                    Some(room) => write!(f, "{there} {currency} are left: {}", room.sentence(*currency)),
                }
            }
        }
    }
}
