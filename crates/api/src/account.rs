//! Accounts and their subscriptions.

use farebox_core::account::{Account as CoreAccount, Group};
use farebox_core::calendar::Instant;
use farebox_core::engine::lifecycle::{has_run_out, state_name};
use farebox_core::lifecycle::State;
use farebox_core::subscription;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An account as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountHead {
    /// Its name.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// The account that pays: itself, or its master.
    pub payer: String,
    /// The currency of its money.
    pub currency: String,
    /// The wall clock of its months.
    pub zone: String,
    /// When it was opened.
    pub opened_at: String,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// Its name.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// The account that pays: itself, or its master.
    pub payer: String,
    /// The currency of its money.
    pub currency: String,
    /// The wall clock of its months.
    pub zone: String,
    /// When it was opened.
    pub opened_at: String,
    /// The accounts that it pays for.
    pub members: Vec<String>,
    /// Its tier; `null`: it pays by invoice, or its master has one.
    pub tier: Option<String>,
    /// Since when it is suspended.
    pub suspended_at: Option<String>,
    /// When its personal values were made unreadable: docs/erasure.md.
    pub erased_at: Option<String>,
    /// Prepaid money that is not held.
    pub balance: String,
    /// How much it may owe; `null`: nobody has said, or its master has a limit.
    pub credit_limit: Option<String>,
    /// What may still be taken on within the credit limit, below zero where more is owed; `null` without one.
    pub headroom: Option<String>,
    /// Prices agreed with it that hold now.
    pub prices: Vec<AgreedPrice>,
    /// Discounts that hold now.
    pub discounts: Vec<Discount>,
    /// What it has ordered.
    pub subscriptions: Vec<Subscription>,
    /// The version of its group, as `If-Match` takes it.
    pub version: u64,
}

/// A price agreed with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgreedPrice {
    /// The plan.
    pub plan: String,
    /// The charge of the plan.
    pub charge: String,
    /// The price of a unit.
    pub price: String,
    /// The first moment at which it does not hold any more.
    pub until: Option<String>,
}

/// A discount of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Discount {
    /// How many per cent.
    pub percent: String,
    /// Only on this plan.
    pub plan: Option<String>,
    /// Only on this charge of the plan.
    pub charge: Option<String>,
    /// The first moment at which it does not hold any more.
    pub until: Option<String>,
}

/// What an account has ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Subscription {
    /// Its name within the account.
    pub name: String,
    /// The price list.
    pub catalogue: String,
    /// The plan.
    pub plan: String,
    /// `pay-per-use` or `prepaid`.
    pub mode: String,
    /// From when it counts.
    pub start: String,
    /// When it ended or will end; `null`: it runs on.
    pub end: Option<String>,
    /// Units now.
    pub quantity: i64,
    /// `active`, `grace`, `frozen` or `released`; `ended`: its term is over, and nothing releases it.
    pub state: String,
    /// The subscription that it ends with, and is renewed with.
    pub follows: Option<String>,
    /// Attributes given with the order.
    pub attributes: BTreeMap<String, String>,
}

/// A moment, unless it is the end of time.
pub(crate) fn until(at: Instant) -> Option<String> {
    (at < Instant::MAX).then(|| at.to_string())
}

impl AccountHead {
    /// The head of an account on the wire.
    pub fn of(account: &CoreAccount) -> AccountHead {
        let head = &account.head;
        AccountHead {
            id: head.id.clone(),
            title: head.title.clone(),
            payer: head.payer().to_owned(),
            currency: head.currency.code().to_owned(),
            zone: head.zone.name().to_owned(),
            opened_at: head.opened.to_string(),
        }
    }
}

impl Subscription {
    /// A subscription of an account on the wire, at a moment.
    pub fn of(account: &CoreAccount, one: &subscription::Subscription, at: Instant) -> Subscription {
        Subscription {
            name: one.name.clone(),
            catalogue: one.catalogue.clone(),
            plan: one.plan.clone(),
            mode: one.mode.name().to_owned(),
            start: one.start.to_string(),
            end: one.end.map(|end| end.to_string()),
            quantity: one.quantity_at(at),
            state: match account.lifecycle.standings.get(&one.name) {
                Some(standing) => standing.state.name(),
                None if has_run_out(one, at) => state_name(None),
                None if one.end.is_some_and(|end| end <= at) => State::Released.name(),
                None => State::Active.name(),
            }
            .to_owned(),
            follows: one.follows.clone(),
            attributes: one.attributes.clone(),
        }
    }
}

impl Account {
    /// An account on the wire, at a moment. Whether it is erased, its group does not say.
    pub fn of(group: &Group, account: &CoreAccount, version: u64, at: Instant) -> Account {
        let head = &account.head;
        let decimals = head.currency.minor_digits() as usize;
        let prices = head.prices.iter().filter(|price| price.valid.contains(at));
        let discounts = head.discounts.iter().filter(|discount| discount.valid.contains(at));
        let members = group.iter().filter(|one| one.head.payer.as_deref() == Some(&head.id));
        Account {
            id: head.id.clone(),
            title: head.title.clone(),
            payer: head.payer().to_owned(),
            currency: head.currency.code().to_owned(),
            zone: head.zone.name().to_owned(),
            opened_at: head.opened.to_string(),
            members: members.map(|one| one.head.id.clone()).collect(),
            tier: account.lifecycle.tier.as_ref().map(|tier| tier.id.clone()),
            suspended_at: account.lifecycle.suspended.map(|at| at.to_string()),
            erased_at: None,
            balance: account.ledger.prepaid().exact().decimal(decimals),
            credit_limit: account.wallet.credit_limit().map(|limit| limit.amount.decimal(head.currency)),
            headroom: account.headroom_left().map(|left| left.decimal(head.currency)),
            prices: prices
                .map(|price| AgreedPrice {
                    plan: price.plan.clone(),
                    charge: price.charge.clone(),
                    price: price.price.decimal(decimals),
                    until: until(price.valid.end),
                })
                .collect(),
            discounts: discounts
                .map(|discount| Discount {
                    percent: discount.percent.decimal(0),
                    plan: discount.plan.clone(),
                    charge: discount.charge.clone(),
                    until: until(discount.valid.end),
                })
                .collect(),
            subscriptions: account
                .subscriptions
                .values()
                .map(|one| Subscription::of(account, one, at))
                .collect(),
            version,
        }
    }
}
