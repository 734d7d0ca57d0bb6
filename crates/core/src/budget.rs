//! Budgets, and what has been spent: running totals by month, kept as lines are posted (R-BUD-1).

use crate::bill::Line;
use crate::calendar::Instant;
use crate::money::{Amount, OutOfRange};
use std::collections::BTreeMap;
use std::num::NonZeroU16;

/// What a calendar month may cost, and when someone is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name within the account.
    pub name: String,
    /// What a month may cost, above zero.
    pub amount: Amount,
    /// What counts.
    pub scope: BudgetScope,
    /// Percentages of the amount at which someone is told, ascending.
    pub alerts: Vec<NonZeroU16>,
    /// For each of these, the start of the latest month for which it was told.
    pub told: BTreeMap<NonZeroU16, Instant>,
}

/// What counts towards a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetScope {
    /// All lines of the account; of a master, those of its members too.
    All,
    /// Those of a project.
    Project(String),
    /// Those of a product, by its name in the price list.
    Product(String),
    /// Those of one member.
    Member(String),
}

impl BudgetScope {
    /// As books write it: `project=shop`; empty for all.
    pub fn name(&self) -> String {
        match self {
            BudgetScope::All => String::new(),
            BudgetScope::Project(name) => format!("project={name}"),
            BudgetScope::Product(name) => format!("product={name}"),
            BudgetScope::Member(name) => format!("member={name}"),
        }
    }
}

/// What an account's lines of a month come to; of a master, with those of its members.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Spending {
    total: Amount,
    projects: BTreeMap<String, Amount>,
    products: BTreeMap<String, Amount>,
}

impl Spending {
    /// Counts a line. `product`: that of its subscription.
    pub(crate) fn add(&mut self, line: &Line, product: Option<&str>) -> Result<(), OutOfRange> {
        self.total = self.total.add(line.amount)?;
        let project = line.key.as_ref().and_then(|key| key.split.project.as_deref());
        for (name, sums) in [(project, &mut self.projects), (product, &mut self.products)] {
            let Some(name) = name else { continue };
            match sums.get_mut(name) {
                Some(sum) => *sum = sum.add(line.amount)?,
                None => drop(sums.insert(name.to_owned(), line.amount)),
            }
        }
        Ok(())
    }

    /// What counts towards a scope within the account.
    pub fn of(&self, scope: &BudgetScope) -> Amount {
        let known = match scope {
            BudgetScope::All | BudgetScope::Member(_) => return self.total,
            BudgetScope::Project(name) => self.projects.get(name),
            BudgetScope::Product(name) => self.products.get(name),
        };
        known.copied().unwrap_or_default()
    }
}
