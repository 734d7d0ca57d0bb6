//! Accounts and orders: what is opened, ordered, changed and ended.

use super::Body;
use crate::mistake::FieldMistake;
use crate::value::{
    AttributeName, Attributes, CurrencyCode, Moment, Months, Name, NonNegativeDecimal, PaymentMode, PlanName,
    Quantity, RenewalLimit, Text, ZoneName,
};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, terms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often a term renews itself at most; `None`: it does not.
fn renewals(on: bool, limit: Option<RenewalLimit>, name: &str, wrong: &mut Vec<FieldMistake>) -> Option<u16> {
    if let (false, Some(limit)) = (on, limit) {
        let found = format!("{} where nothing renews itself", limit.0);
        wrong.push(FieldMistake::new("/limit", found, format!("a limit only with \"{name}\": true")));
    }
    on.then(|| limit.map_or(0, |limit| limit.0))
}

/// Opens an account. A master is opened before its members (R-ORG-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its title on bills; the account's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// The currency of all its money.
    pub currency: CurrencyCode,
    /// The wall clock that cuts its days and months.
    pub zone: ZoneName,
    /// The master account that pays for it (R-ORG-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_of: Option<Name>,
    /// The customer's tier (R-OCR-9). Without one it pays by invoice, and nothing is ever frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Name>,
}

impl Body for Open {
    fn action(self, account: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Open {
            title: self.title.map_or_else(|| account.to_owned(), |title| title.0),
            currency: self.currency.0,
            zone: self.zone.0,
            payer: self.member_of.map(|name| name.0),
            tier: self.tier.map(|name| name.0),
        }
    }
}

/// Orders a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The plan, or `CATALOGUE:PLAN` where two price lists have it.
    pub plan: PlanName,
    /// The subscription's name; the plan's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Units; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// How it is paid; when left out, prepaid with `months`, else the plan's only mode, or pay-per-use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<PaymentMode>,
    /// Months of a prepaid term. What ends with its package, and a trial, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<Months>,
    /// Whether the term renews itself (R-REN-3); not when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_renew: Option<bool>,
    /// At most so many renewals by itself; any number when left out or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<RenewalLimit>,
    /// What the plan binds (`number`, `application`), its options, `project` and tags (`tag:team`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

impl Body for Subscribe {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let auto = renewals(self.auto_renew.unwrap_or(false), self.limit, "auto_renew", wrong);
        // Where no mode is said, the plan tells whether it is one for months.
        if let Some(months) = self.months.filter(|_| self.mode == Some(PaymentMode::PayPerUse)) {
            let expected = "no months with \"mode\": \"pay-per-use\"";
            wrong.push(FieldMistake::new("/months", months.0.to_string(), expected));
        }
        Action::Subscribe {
            plan: self.plan.0,
            name: self.name.map(|name| name.0),
            quantity: self.quantity.map_or(1, |quantity| quantity.0),
            mode: self.mode.map(Into::into),
            months: self.months.map(|months| months.0),
            auto,
            attributes: self.attributes.unwrap_or_default().0,
        }
    }
}

/// Adds units, from `effective` on: backdating changes what earlier periods should have cost, and the
/// difference stands on the next bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The subscription.
    pub subscription: Name,
    /// Units.
    pub quantity: Quantity,
}

impl Body for Add {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::ChangeQuantity { subscription: self.subscription.0, delta: self.quantity.0 }
    }
}

/// Removes units, the newest first, from `effective` on: backdating changes what earlier periods should have cost, and the
/// difference stands on the next bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The subscription.
    pub subscription: Name,
    /// Units.
    pub quantity: Quantity,
}

impl Body for Remove {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::ChangeQuantity { subscription: self.subscription.0, delta: -self.quantity.0 }
    }
}

/// Ends a pay-per-use subscription, and what ends with it. What it used until then is charged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The subscription.
    pub subscription: Name,
}

impl Body for Cancel {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Cancel { subscription: self.subscription.0 }
    }
}

/// Gives a prepaid term up: what was paid, less what is consumed and the price list's fee, comes back
/// (R-UNS-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// The subscription.
    pub subscription: Name,
}

impl Body for Unsubscribe {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Unsubscribe { subscription: self.subscription.0 }
    }
}

/// Stops a subscription. Whether a stopped unit costs anything is the price list's choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The subscription.
    pub subscription: Name,
}

impl Body for Stop {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Stop { subscription: self.subscription.0, stopped: true }
    }
}

/// Starts a stopped subscription again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The subscription.
    pub subscription: Name,
}

impl Body for Start {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Stop { subscription: self.subscription.0, stopped: false }
    }
}

/// Prolongs a prepaid term, at the prices in force now (R-REN-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The subscription.
    pub subscription: Name,
    /// Months of the new term.
    pub months: Months,
}

impl Body for Renew {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Renew { subscription: self.subscription.0, months: self.months.0 }
    }
}

/// Changes how a subscription is paid. Always refused: it is cancelled and ordered anew (R-CEC-3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMode {
    /// The subscription.
    pub subscription: Name,
    /// How it would be paid.
    pub mode: PaymentMode,
}

impl Body for ChangeMode {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::ChangeMode { subscription: self.subscription.0, mode: self.mode.into() }
    }
}

/// Changes to another plan of the same product, at once or at the end of what is paid for, as the price
/// list says (R-CHG-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePlan {
    /// The subscription.
    pub subscription: Name,
    /// The plan wished.
    pub plan: PlanName,
}

impl Body for ChangePlan {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::ChangePlan { subscription: self.subscription.0, plan: self.plan.0 }
    }
}

/// Changes an attribute of an order. Always refused: it is cancelled and ordered anew (R-KP-5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAttribute {
    /// The subscription.
    pub subscription: Name,
    /// The attribute.
    pub name: AttributeName,
    /// The value wished.
    pub value: Text,
}

impl Body for ChangeAttribute {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let (name, value) = (self.name.0, self.value.0);
        Action::ChangeAttribute { subscription: self.subscription.0, name, value }
    }
}

/// Lets a term renew itself, or no longer (R-REN-3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoRenew {
    /// The subscription.
    pub subscription: Name,
    /// Whether it does.
    pub on: bool,
    /// At most so many renewals by itself; any number when left out or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<RenewalLimit>,
}

impl Body for AutoRenew {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let limit = renewals(self.on, self.limit, "on", wrong);
        Action::Terms(terms::Action::AutoRenew { subscription: self.subscription.0, limit })
    }
}

/// Brings a balance along from another system, as if it had been paid in (R-OPEN-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateBalance {
    /// How much, in the account's currency.
    pub amount: NonNegativeDecimal,
}

impl Body for MigrateBalance {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Terms(terms::Action::MigrateBalance { amount: self.amount.0 })
    }
}

/// Units of a package that were used elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedUnits {
    /// The package; the plan's only one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Name>,
    /// How many, of the running quota period.
    pub units: NonNegativeDecimal,
}

/// Brings a running term along from another system, paid for already: nothing is charged for it, and
/// renewals and refunds work from its real dates (R-OPEN-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateTerm {
    /// The plan, or `CATALOGUE:PLAN` where two price lists have it.
    pub plan: PlanName,
    /// The subscription's name; the plan's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Units; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// Its real start.
    pub from: Moment,
    /// Its real end, the first moment after it.
    pub until: Moment,
    /// What was paid for it, in the account's currency.
    pub paid: NonNegativeDecimal,
    /// What of its packages was used already, each named once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Vec<UsedUnits>>,
    /// What the plan binds, its options, `project` and tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

impl Body for MigrateTerm {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let used = self.used.unwrap_or_default().into_iter();
        Action::Terms(terms::Action::MigrateTerm(Box::new(terms::MigratedTerm {
            plan: self.plan.0,
            name: self.name.map(|name| name.0),
            quantity: self.quantity.map_or(1, |quantity| quantity.0),
            from: self.from.0,
            until: self.until.0,
            paid: self.paid.0,
            used: used.map(|one| (one.package.map(|name| name.0), one.units.0)).collect(),
            attributes: self.attributes.unwrap_or_default().0,
        })))
    }
}
