//! Budgets: what an account, project, product or member may cost in a month, with alerts (R-BUD-1).
//!
//! What is spent is the sum of the lines posted to the month's bill. The state keeps running totals
//! of it, so that a budget never goes through lines.

use super::{ApplyError, Desk, payable};
use crate::account::{Group, View};
use crate::bill::Line;
use crate::budget::{Budget, BudgetScope, Spending};
use crate::calendar::{Cycle, Instant, Span, Zone};
use crate::explain::show_period;
use crate::money::{Amount, Currency, Exact};
use crate::notice::Notice;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sets a budget, in place of one of the same name.
    Set {
        /// Its name.
        name: String,
        /// What a month may cost, in the account's currency.
        amount: Exact,
        /// What counts.
        scope: BudgetScope,
        /// Percentages at which someone is told.
        alerts: Vec<NonZeroU16>,
    },
    /// Gives a budget up.
    Drop {
        /// Its name.
        name: String,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A budget was set.
    Set {
        /// The account.
        account: String,
        /// The budget.
        budget: Budget,
    },
    /// A budget was given up.
    Dropped {
        /// The account.
        account: String,
        /// Its name.
        name: String,
    },
    /// So much of it was spent that someone is told.
    Reached {
        /// The account.
        account: String,
        /// The budget.
        name: String,
        /// Start of the month.
        month: Instant,
        /// The percentage of the alert.
        percent: NonZeroU16,
    },
}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No budget of this name.
    Unknown(String),
    /// The account does not pay for the other.
    NoMember {
        /// The account with the budget.
        account: String,
        /// The other.
        member: String,
    },
    /// No price list has a product of this name.
    UnknownProduct {
        /// The name.
        product: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

/// Every code of these refusals.
pub const CODES: &[&str] = &["unknown-budget", "no-member", "unknown-product"];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unknown(_) => "unknown-budget",
            Refusal::NoMember { .. } => "no-member",
            Refusal::UnknownProduct { .. } => "unknown-product",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, _zone: &Zone) -> String {
        self.to_string()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unknown(name) => write!(f, "there is no budget \"{name}\"; set one with an amount"),
            Refusal::NoMember { account, member } => {
                write!(f, "{account} does not pay for {member}; a budget is for an account's own members")
            }
            Refusal::UnknownProduct { product, known } => {
                write!(f, "there is no product \"{product}\"; there are {}", known.join(", "))
            }
        }
    }
}

pub(super) fn decide(desk: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    let Desk { view, account, payer, at, .. } = *desk;
    let (name, amount, scope, alerts) = match action {
        Action::Set { name, amount, scope, alerts } => (name, amount, scope, alerts),
        Action::Drop { name } => {
            if !view.budgets(&account.id).iter().any(|budget| budget.name == *name) {
                return Err(super::Refusal::Budgets(Refusal::Unknown(name.clone())));
            }
            let (account, name) = (account.id.clone(), name.clone());
            return Ok(vec![super::Fact::Budgets(Fact::Dropped { account, name })]);
        }
    };
    check_scope(desk, scope).map_err(super::Refusal::Budgets)?;
    let mut alerts = alerts.clone();
    alerts.sort();
    alerts.dedup();
    let amount = payable(*amount, account.currency)?;
    let budget = Budget { name: name.clone(), amount, scope: scope.clone(), alerts, told: BTreeMap::new() };
    // What the month has cost already counts.
    let month = payer.zone.cycle(Cycle::Month, at);
    let spent = spent(view, &account.id, month.start, scope);
    let told = reached(&payer.zone, account.currency, at, (&account.id, &payer.id), &budget, month, spent)?;
    let mut facts = vec![super::Fact::Budgets(Fact::Set { account: account.id.clone(), budget })];
    facts.extend(told);
    Ok(facts)
}

fn check_scope(desk: &Desk<'_>, scope: &BudgetScope) -> Result<(), Refusal> {
    match scope {
        BudgetScope::All | BudgetScope::Project(_) => Ok(()),
        BudgetScope::Member(member) => {
            let other = desk.view.account(member).and_then(|other| other.payer.as_ref());
            if other == Some(&desk.account.id) {
                return Ok(());
            }
            Err(Refusal::NoMember { account: desk.account.id.clone(), member: member.clone() })
        }
        BudgetScope::Product(product) => {
            let mut known: Vec<String> =
                desk.catalogues.iter().flat_map(|list| list.products.keys().cloned()).collect();
            known.sort();
            known.dedup();
            if known.contains(product) {
                return Ok(());
            }
            Err(Refusal::UnknownProduct { product: product.clone(), known })
        }
    }
}

/// What counts towards a scope in a month.
pub fn spent(view: &dyn View, account: &str, month: Instant, scope: &BudgetScope) -> Amount {
    let whose = match scope {
        BudgetScope::Member(member) => member,
        _ => account,
    };
    view.spending(whose, month).map(|spending| spending.of(scope)).unwrap_or_default()
}

/// What is spent of a budget, in per cent, exact.
pub fn percent(budget: &Budget, spent: Amount) -> Option<Exact> {
    spent.exact().mul(Exact::whole(100)).ok()?.div(budget.amount.exact()).ok()
}

/// The facts that follow where the lines of other facts reach alerts. Each is told once a month.
pub(super) fn alerts(
    view: &dyn View,
    facts: &[super::Fact],
    at: Instant,
) -> Result<Vec<super::Fact>, super::Refusal> {
    let mut told = Vec::new();
    // What the lines add, by account and month.
    let mut added: BTreeMap<(&str, Instant), (Span, Spending)> = BTreeMap::new();
    let mut payer_of: BTreeMap<&str, &str> = BTreeMap::new();
    for fact in facts {
        let super::Fact::Charged { account: payer, month, lines, .. } = fact else { continue };
        for line in lines {
            let product = product_of(view, facts, line);
            for account in holders(&line.account, payer) {
                payer_of.insert(account, payer);
                let (_, more) =
                    added.entry((account, month.start)).or_insert_with(|| (*month, Spending::default()));
                more.add(line, product)?;
            }
        }
    }
    let watched: Vec<(&str, Instant)> = added.keys().copied().collect();
    for (account, start) in watched {
        let budgets = view.budgets(account);
        let (Some(payer), false) = (payer_of.get(account), budgets.is_empty()) else { continue };
        let Some(head) = view.account(payer) else { continue };
        let month = added[&(account, start)].0;
        for budget in budgets {
            let whose = match &budget.scope {
                BudgetScope::Member(member) => member.as_str(),
                _ => account,
            };
            let more = added.get(&(whose, start)).map(|(_, more)| more.of(&budget.scope));
            let spent = spent(view, account, start, &budget.scope).add(more.unwrap_or_default())?;
            let ids = (account, *payer);
            told.extend(reached(&head.zone, head.currency, at, ids, budget, month, spent)?);
        }
    }
    Ok(told)
}

/// An account and the one that pays for it, each once.
fn holders<'a>(account: &'a str, payer: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::once(account).chain((account != payer).then_some(payer))
}

/// The product of a line's subscription, which may only just have been ordered.
fn product_of<'a>(view: &'a dyn View, facts: &'a [super::Fact], line: &Line) -> Option<&'a str> {
    let name = &line.key.as_ref()?.subscription;
    let ordered = || {
        facts.iter().find_map(|fact| match fact {
            // One decision orders one subscription at most.
            super::Fact::Subscribed { subscription, .. } => Some(&**subscription),
            _ => None,
        })
    };
    let subscription = view.subscription(&line.account, name).or_else(ordered)?;
    Some(&subscription.product)
}

/// A fact and a notice for each alert of a budget that is reached and was not told in the month.
fn reached(
    zone: &Zone,
    currency: Currency,
    at: Instant,
    (account, payer): (&str, &str),
    budget: &Budget,
    month: Span,
    spent: Amount,
) -> Result<Vec<super::Fact>, super::Refusal> {
    let mut facts = Vec::new();
    for percent in &budget.alerts {
        let told = budget.told.get(percent).is_some_and(|told| *told >= month.start);
        let limit = budget.amount.exact().mul(Exact::whole(percent.get().into()))?;
        if told || spent.exact().mul(Exact::whole(100))? < limit {
            continue;
        }
        let text = format!(
            "budget {} of {}: {} of {} {currency} spent, {percent} % reached",
            budget.name,
            show_period(zone, month),
            spent.decimal(currency),
            budget.amount.decimal(currency),
        );
        let (name, start) = (budget.name.clone(), month.start);
        let account_id = account.to_owned();
        facts.push(super::Fact::Budgets(Fact::Reached {
            account: account_id,
            name,
            month: start,
            percent: *percent,
        }));
        let notice = Notice::to_customer(at, account, None, "budget", text);
        facts.push(super::Fact::Noticed { payer: payer.to_owned(), notice });
    }
    Ok(facts)
}

impl Group {
    pub(super) fn apply_budgets(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::Set { account, budget } => {
                let budgets = &mut self.account_mut(account)?.budgets;
                budgets.insert(budget.name.clone(), budget.clone());
            }
            Fact::Dropped { account, name } => {
                self.account_mut(account)?.budgets.remove(name);
            }
            Fact::Reached { account, name, month, percent } => {
                let budget = self.account_mut(account)?.budgets.get_mut(name);
                let budget = budget.ok_or_else(|| ApplyError(format!("no budget {account}/{name}")))?;
                budget.told.insert(*percent, *month);
            }
        }
        Ok(())
    }

    /// Adds a line to what its account, and the account that pays, have spent.
    pub(super) fn spend(&mut self, payer: &str, month: Instant, line: &Line) -> Result<(), ApplyError> {
        let name = line.key.as_ref().map(|key| key.subscription.as_str());
        let subscription = name.and_then(|name| self.subscription(&line.account, name));
        let product = subscription.map(|subscription| subscription.product.clone());
        for account in holders(&line.account, payer) {
            let spending = self.account_mut(account)?.spending.entry(month).or_default();
            spending.add(line, product.as_deref())?;
        }
        Ok(())
    }
}
