//! What a price list does about customers who owe, and about terms that are not renewed.

use super::Mode;

/// Grace, retention and what they allow (R-ARR-1). A catalogue without one freezes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrearsPolicy {
    /// The tier of accounts whose own tier is not among `tiers`; one of them.
    pub default_tier: String,
    /// What is allowed in grace.
    pub grace_operations: GraceOperations,
    /// Whether pay-per-use goes on costing money while it is frozen (RULES.md §3, no. 23).
    pub charge_while_frozen: bool,
    /// The tiers of customers; at least one, with different names.
    pub tiers: Vec<ArrearsTier>,
}

/// What may be done in grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraceOperations {
    /// Everything.
    All,
    /// No new orders and no more units; what runs, runs on.
    Part,
}

/// How long a tier of customers has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrearsTier {
    /// Its name: `V3`.
    pub id: String,
    /// From the instant of arrears.
    pub pay_per_use: Periods,
    /// From the end of a term that is not renewed.
    pub prepaid: Periods,
}

/// Periods of n times 24 hours, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Days of grace; 0 freezes at once.
    pub grace_days: u16,
    /// Days frozen, before everything is deleted.
    pub retention_days: u16,
}

impl ArrearsPolicy {
    /// The periods of a customer's tier, or of the default tier where this list does not know it.
    pub fn periods(&self, tier: &str, mode: Mode) -> Option<Periods> {
        let named = |name: &str| self.tiers.iter().find(|one| one.id == name);
        let tier = named(tier).or_else(|| named(&self.default_tier))?;
        Some(match mode {
            Mode::PayPerUse => tier.pay_per_use,
            Mode::Prepaid => tier.prepaid,
        })
    }
}
