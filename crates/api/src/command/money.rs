//! Prices, payments, credit and budgets.

use super::Body;
use crate::mistake::FieldMistake;
use crate::value::{
    AlertPercent, Attributes, LineId, Moment, Month, Name, NonNegativeDecimal, NonZeroDecimal, Percent,
    PlanName, PositiveDecimal, Text,
};
use farebox_core::budget::BudgetScope;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, budgets, wallet};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;
use utoipa::ToSchema;

/// The percentages of a budget that says nothing else (R-BUD-1).
const ALERTS: [AlertPercent; 3] = [AlertPercent(75), AlertPercent(90), AlertPercent(100)];

/// Grants a percentage off the list price, on what is settled from now until the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// How much off.
    pub percent: Percent,
    /// Only on this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// Only on this charge of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Name>,
    /// The first moment at which it does not count any more; no end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Body for Discount {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        if let (None, Some(charge)) = (&self.plan, &self.charge) {
            let found = format!("the charge {} of no plan", charge.0);
            wrong.push(FieldMistake::new("/charge", found, "a charge only with its plan"));
        }
        Action::Grant {
            percent: self.percent.0,
            plan: self.plan.map(|plan| plan.0),
            charge: self.charge.map(|charge| charge.0),
            until: self.until.map(|until| until.0),
        }
    }
}

/// Agrees a price in place of the list's (R-NEG-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The plan.
    pub plan: PlanName,
    /// The charge of the plan.
    pub charge: Name,
    /// The price of a unit, in the price list's currency.
    pub price: NonNegativeDecimal,
    /// The first moment at which it does not count any more; no end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Body for Price {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::AgreePrice {
            plan: self.plan.0,
            charge: self.charge.0,
            price: self.price.0,
            until: self.until.map(|until| until.0),
        }
    }
}

/// Puts money on the balance. The oldest debt is paid first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// How much, in the account's currency and its minor unit.
    pub amount: PositiveDecimal,
}

impl Body for TopUp {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::TopUp { amount: self.amount.0 }
    }
}

/// Pays money of the balance back to the customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayOut {
    /// How much, at most the balance.
    pub amount: PositiveDecimal,
}

impl Body for PayOut {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::PayOut { amount: self.amount.0 })
    }
}

/// Grants a coupon: a means of payment that pays before the balance, and never arrears (R-MON-2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantCoupon {
    /// Its name, for each account once.
    pub id: Name,
    /// What it is worth, in the account's currency.
    pub amount: PositiveDecimal,
    /// A plan or a product that it is for; everything when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<PlanName>,
    /// The first moment at which it is worth nothing; no end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Body for GrantCoupon {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::Coupon {
            id: self.id.0,
            amount: self.amount.0,
            on: self.on.map(|on| on.0),
            until: self.until.map(|until| until.0),
        })
    }
}

/// Pays an issued bill from outside, by bank transfer or card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// The bill's month.
    pub month: Month,
    /// How much, at most what is due.
    pub amount: PositiveDecimal,
    /// What the bank statement says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
}

impl Body for Pay {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let reference = self.reference.map(|reference| reference.0);
        Action::Wallet(wallet::Action::Pay { month: self.month.0, amount: self.amount.0, reference })
    }
}

/// Gives up what is due of an issued bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOff {
    /// The bill's month.
    pub month: Month,
    /// How much; all that is due when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<PositiveDecimal>,
    /// Why.
    pub reason: Text,
}

impl Body for WriteOff {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let amount = self.amount.map(|amount| amount.0);
        Action::Wallet(wallet::Action::WriteOff { month: self.month.0, amount, reason: self.reason.0 })
    }
}

/// Holds the bill of a month back: it is not issued when the month ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBill {
    /// The bill's month.
    pub month: Month,
    /// Why.
    pub reason: Text,
}

impl Body for HoldBill {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::HoldBill { month: self.month.0, reason: self.reason.0 })
    }
}

/// Holds the bill of a month back no longer: it is issued when its month ends, or now where that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBill {
    /// The bill's month.
    pub month: Month,
}

impl Body for ReleaseBill {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::ReleaseBill { month: self.month.0 })
    }
}

/// Puts off when an issued bill is due: what is owed of it is no arrears before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetDue {
    /// The bill's month.
    pub month: Month,
    /// From when on it is due: now or later.
    pub until: Moment,
}

impl Body for SetDue {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::SetDue { month: self.month.0, until: self.until.0 })
    }
}

/// Says how much an account that pays for itself may owe, from now on: orders, renewals and sessions that do not
/// fit in the headroom are refused; what is owed within the limit is no arrears before its bill is issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCreditLimit {
    /// How much, in the account's currency and its minor unit; `"0"`: all that begins must be covered by the balance.
    pub amount: NonNegativeDecimal,
}

impl Body for SetCreditLimit {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::SetCreditLimit { limit: Some(self.amount.0) })
    }
}

/// Takes a credit limit away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropCreditLimit {}

impl Body for DropCreditLimit {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Wallet(wallet::Action::SetCreditLimit { limit: None })
    }
}

/// Makes a credit note against an issued bill, or against one of its lines: either `month` or `line`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// The bill's month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    /// The line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    /// What it takes off, at most what the bill or the line comes to.
    pub amount: PositiveDecimal,
    /// Why.
    pub reason: Text,
}

impl Body for Credit {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let what = match (self.month, self.line) {
            (Some(month), None) => wallet::Credited::Bill(month.0),
            (None, Some(line)) => wallet::Credited::Line(line.0),
            (month, line) => {
                let found = if month.is_some() { "a month and a line" } else { "neither a month nor a line" };
                wrong.push(FieldMistake::new("", found, "either a month or a line"));
                wallet::Credited::Line(line.map(|line| line.0).unwrap_or_default())
            }
        };
        Action::Wallet(wallet::Action::Credit { what, amount: self.amount.0, reason: self.reason.0 })
    }
}

/// Charges something once that no price list has, on the open bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// How much, in the account's currency and its minor unit.
    pub amount: PositiveDecimal,
    /// What for.
    pub title: Text,
    /// `project`, `application` and tags (`tag:team`), for the split of the bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

impl Body for Charge {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let labels = self.attributes.unwrap_or_default().0;
        Action::Wallet(wallet::Action::Charge { amount: self.amount.0, title: self.title.0, labels })
    }
}

/// Adds an amount to a line of any bill, or takes one off, as a line of the open bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// The line.
    pub line: LineId,
    /// How much, in the account's currency and its minor unit; below zero takes off.
    pub amount: NonZeroDecimal,
    /// Why.
    pub reason: Text,
}

impl Body for Adjust {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let (line, amount, reason) = (self.line.0, self.amount.0, self.reason.0);
        Action::Wallet(wallet::Action::Adjust { line, amount, reason })
    }
}

/// Sets what a calendar month may cost, and when someone is told, in place of a budget of the same name
/// (R-BUD-1). At most one of `project`, `product` and `member` says what counts; without one, all of the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBudget {
    /// Its name.
    pub name: Name,
    /// What a month may cost, in the account's currency.
    pub amount: PositiveDecimal,
    /// Only lines of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Text>,
    /// Only lines of this product, by its name in the price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Name>,
    /// Only lines of this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Name>,
    /// Percentages of the amount at which someone is told, ascending; 75, 90 and 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<AlertPercent>>,
}

impl Body for SetBudget {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let scopes: Vec<BudgetScope> = [
            self.project.map(|name| BudgetScope::Project(name.0)),
            self.product.map(|name| BudgetScope::Product(name.0)),
            self.member.map(|name| BudgetScope::Member(name.0)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if scopes.len() > 1 {
            let found = scopes.iter().map(BudgetScope::name).collect::<Vec<_>>().join(" and ");
            wrong.push(FieldMistake::new("", found, "at most one of project, product and member"));
        }
        let alerts = self.alerts.unwrap_or_else(|| ALERTS.to_vec());
        if alerts.is_empty() || !alerts.is_sorted_by(|one, next| one < next) {
            let found = alerts.iter().map(|one| one.0.to_string()).collect::<Vec<_>>().join(", ");
            wrong.push(FieldMistake::new(
                "/alerts",
                format!("[{found}]"),
                "ascending percentages such as [75, 90, 100]",
            ));
        }
        Action::Budgets(budgets::Action::Set {
            name: self.name.0,
            amount: self.amount.0,
            scope: scopes.into_iter().next().unwrap_or(BudgetScope::All),
            alerts: alerts.iter().filter_map(|one| NonZeroU16::new(one.0)).collect(),
        })
    }
}

/// Gives a budget up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropBudget {
    /// Its name.
    pub name: Name,
}

impl Body for DropBudget {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Budgets(budgets::Action::Drop { name: self.name.0 })
    }
}
