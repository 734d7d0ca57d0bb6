//! What a price list says about terms: renewals, add-ons that end with another plan, trials, changes;
//! what a term costs.

use super::{Charge, Measure, Mode, Plan, Settle};

/// Settings of the whole price list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermPolicy {
    /// Months that a renewal may have, of those that the plan is sold for (R-YKF-10). `None`: all.
    pub renewal_months: Option<Vec<u16>>,
    /// When a change to another plan counts (R-CHG-1). `None`: it is refused.
    pub plan_change: Option<PlanChange>,
    /// How an add-on that ends with another plan is charged (RULES.md §3, no. 12).
    pub add_on_proration: Proration,
    /// When terms are renewed by themselves.
    pub auto_renewal: AutoRenewalTimes,
}

/// When a change to another plan counts (R-CHG-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanChange {
    /// At once, by days; the day of the change belongs to the new plan.
    AtOnce,
    /// When the term that is paid for ends.
    AtTermEnd,
}

/// How a part of a term is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proration {
    /// A started month costs the month.
    #[default]
    Months,
    /// Each day costs its part of its calendar month.
    Days,
}

/// When terms are renewed by themselves (R-REN-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoRenewalTimes {
    /// Second of the local day at which it is tried, below 86,400.
    pub at_s: u32,
    /// Days before the last day served on which it is tried first; then daily.
    pub days_before: u16,
}

impl Default for AutoRenewalTimes {
    fn default() -> AutoRenewalTimes {
        AutoRenewalTimes { at_s: 3 * 3_600, days_before: 7 }
    }
}

/// Settings of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTerms {
    /// One of these plans must be active for the account, for the same application where both bind
    /// one (R-TCCC-1, R-TCCC-10). Empty: nothing is required.
    pub requires: Vec<String>,
    /// Whether it ends when what it requires ends, and is renewed with it (R-TCCC-10).
    pub ends_with: bool,
    /// A trial of so many days: free, once, ended by its end only (R-TCCC-12).
    pub trial_days: Option<u16>,
    /// Whether an order for a month is advised to be renewed by itself (R-YKF-15).
    pub advise_auto_renewal: bool,
}

impl Plan {
    /// Whether a charge is a price of the plan's prepaid terms, which a renewal pays again and of which
    /// something comes back: those by the months of the term, or, where there is none, what is paid once
    /// at purchase. Beside a price by months that is a fee of the order alone.
    pub fn prices_term(&self, charge: &Charge) -> bool {
        let prepaid = |one: &Charge| one.settle == Settle::AtPurchase && one.modes.contains(&Mode::Prepaid);
        let by_months = |one: &Charge| prepaid(one) && one.measure == Measure::Term;
        prepaid(charge) && (by_months(charge) || !self.charges.iter().any(by_months))
    }
}
