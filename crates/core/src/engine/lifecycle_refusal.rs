//! Refusals of an account's life: what is frozen, and what would be accepted.

use crate::calendar::{Instant, Zone, show_local};
use crate::money::{Amount, Currency};
use std::fmt;

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Frozen for arrears: nothing may be done until nothing is owed (R-OCR-6).
    Frozen {
        /// The subscription, or the account that orders.
        subject: String,
        /// Since when.
        since: Instant,
        /// When it is released.
        until: Option<Instant>,
        /// Who owes.
        payer: String,
        /// How much.
        owed: (Amount, Currency),
    },
    /// Frozen because its term has ended (R-YKF-10).
    Lapsed {
        /// The subscription.
        subscription: String,
        /// Since when it is frozen.
        since: Instant,
        /// When it is released.
        until: Option<Instant>,
        /// When its term ended.
        expired: Instant,
    },
    /// Its term ended, and the time in which it could be renewed is over: its data are deleted
    /// (R-OCR-7).
    Released {
        /// The subscription.
        subscription: String,
        /// Since when.
        since: Instant,
        /// When its term ended.
        expired: Instant,
    },
    /// Frozen because the operator has suspended the account or its master (R-ARR-4).
    Suspended {
        /// The account.
        account: String,
        /// Who is suspended: the account or its master.
        by: String,
    },
    /// In grace the price list accepts neither new orders nor more units.
    OnlyPart {
        /// Who owes.
        payer: String,
        /// How much.
        owed: (Amount, Currency),
        /// The end of grace.
        until: Option<Instant>,
    },
    /// No price list has this tier.
    UnknownTier {
        /// The tier.
        tier: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The tier is the master's.
    TierOfPayer {
        /// The member.
        account: String,
        /// Who pays.
        payer: String,
    },
    /// The account is suspended already.
    AlreadySuspended(String),
    /// The account is not suspended.
    NotSuspended(String),
}

/// Every code of these refusals.
pub const CODES: &[&str] = &[
    "frozen",
    "lapsed",
    "released",
    "suspended",
    "only-part-in-grace",
    "unknown-tier",
    "tier-of-payer",
    "already-suspended",
    "not-suspended",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Frozen { .. } => "frozen",
            Refusal::Lapsed { .. } => "lapsed",
            Refusal::Released { .. } => "released",
            Refusal::Suspended { .. } => "suspended",
            Refusal::OnlyPart { .. } => "only-part-in-grace",
            Refusal::UnknownTier { .. } => "unknown-tier",
            Refusal::TierOfPayer { .. } => "tier-of-payer",
            Refusal::AlreadySuspended(_) => "already-suspended",
            Refusal::NotSuspended(_) => "not-suspended",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        let shown = |at: &Instant| show_local(zone, *at);
        let before = |until: &Option<Instant>| {
            until.as_ref().map(|at| format!(" before {}", shown(at))).unwrap_or_default()
        };
        match self {
            Refusal::Frozen { subject, since, until, payer, owed } => {
                let (owes, since, before) = (money(owed), shown(since), before(until));
                format!("{subject} is frozen since {since}: {payer} owes {owes}; top up {owes}{before}")
            }
            Refusal::Lapsed { subscription, since, until, expired } => {
                let (since, ended, before) = (shown(since), shown(expired), before(until));
                format!("{subscription} is frozen since {since}: its term ended {ended}; renew it{before}")
            }
            Refusal::Released { subscription, since, expired } => {
                let (since, ended) = (shown(since), shown(expired));
                format!(
                    "{subscription} was released on {since}, after its term ended {ended}: its data are deleted and cannot be renewed; order it anew"
                )
            }
            Refusal::Suspended { account, by } if account == by => {
                format!("{account} is suspended; nothing is accepted until it is resumed")
            }
            Refusal::Suspended { account, by } => {
                format!("{account} is suspended with {by}; nothing is accepted until {by} is resumed")
            }
            Refusal::OnlyPart { payer, owed, until } => {
                let owes = money(owed);
                let grace = until.as_ref().map(|at| format!(" until {}", shown(at))).unwrap_or_default();
                format!(
                    "{payer} owes {owes} and is in grace{grace}: no new orders and no more units; top up {owes}"
                )
            }
            Refusal::UnknownTier { tier, known } => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                format!("no price list has the tier {tier}; there are {known}")
            }
            Refusal::TierOfPayer { account, payer } => {
                format!("{account} is paid for by {payer}, whose tier counts; give {payer} the tier")
            }
            Refusal::AlreadySuspended(account) => {
                format!("{account} is suspended already; resuming it ends that")
            }
            Refusal::NotSuspended(account) => {
                format!("{account} is not suspended; there is nothing to resume")
            }
        }
    }

    /// The same without what the payer owes, for those who may not see it.
    pub fn sentence_to_member(&self, zone: &Zone) -> String {
        let shown = |at: &Instant| show_local(zone, *at);
        match self {
            Refusal::Frozen { subject, since, until, payer, .. } => {
                let before = until.as_ref().map(|at| format!(" before {}", shown(at))).unwrap_or_default();
                let since = shown(since);
                format!(
                    "{subject} is frozen since {since}, until {payer}, which pays for it, tops up{before}"
                )
            }
            Refusal::OnlyPart { payer, until, .. } => {
                let grace = until.as_ref().map(|at| format!(" until {}", shown(at))).unwrap_or_default();
                format!(
                    "there is grace{grace}: no new orders and no more units until {payer}, which pays, tops up"
                )
            }
            Refusal::Lapsed { .. }
            | Refusal::Released { .. }
            | Refusal::Suspended { .. }
            | Refusal::UnknownTier { .. }
            | Refusal::TierOfPayer { .. }
            | Refusal::AlreadySuspended(_)
            | Refusal::NotSuspended(_) => self.sentence(zone),
        }
    }
}

fn money((amount, currency): &(Amount, Currency)) -> String {
    format!("{} {currency}", amount.decimal(*currency))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(&Zone::utc()))
    }
}
