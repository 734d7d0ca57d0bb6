//! Accounts and their bills.

use crate::answer::{Answer, not_found, problem};
use crate::engine::{Engine, Unavailable};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use farebox_api as wire;
use farebox_core::account::Account;
use farebox_core::bill::first_of;
use serde::Serialize;

#[derive(Serialize)]
struct Shown {
    id: String,
    title: String,
    currency: String,
    zone: String,
    opened_at: String,
    /// The account that pays.
    payer: String,
    /// Prepaid money that is not held.
    balance: String,
    subscriptions: Vec<Subscription>,
}

#[derive(Serialize)]
struct Subscription {
    name: String,
    catalogue: String,
    plan: String,
    mode: &'static str,
    start: String,
    end: Option<String>,
    /// Units after the last change.
    quantity: i64,
    state: &'static str,
}

impl Shown {
    fn of(account: &Account) -> Shown {
        let head = &account.head;
        let subscription = |one: &farebox_core::subscription::Subscription| Subscription {
            name: one.name.clone(),
            catalogue: one.catalogue.clone(),
            plan: one.plan.clone(),
            mode: one.mode.name(),
            start: one.start.to_string(),
            end: one.end.map(|end| end.to_string()),
            quantity: one.changes.iter().map(|change| change.delta).sum(),
            state: account.lifecycle.standings.get(&one.name).map_or("active", |one| one.state.name()),
        };
        let decimals = head.currency.minor_digits() as usize;
        Shown {
            id: head.id.clone(),
            title: head.title.clone(),
            currency: head.currency.code().to_owned(),
            zone: head.zone.name().to_owned(),
            opened_at: head.opened.to_string(),
            payer: head.payer().to_owned(),
            balance: account.ledger.prepaid().exact().decimal(decimals),
            subscriptions: account.subscriptions.values().map(subscription).collect(),
        }
    }
}

/// Looks at an account.
async fn look<T: Send + 'static>(
    engine: &Engine,
    account: String,
    look: impl FnOnce(&Account) -> T + Send + 'static,
) -> Result<Option<T>, Response> {
    let asked = engine.ask(move |service| {
        let group = service.group_of(&account)?;
        Ok(group.and_then(|group| group.get(&account)).map(look))
    });
    match asked.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Unavailable::Store(error).into_response()),
        Err(unavailable) => Err(unavailable.into_response()),
    }
}

fn unknown_account(account: &str) -> Response {
    problem("unknown-account", 404, &format!("there is no account \"{account}\""))
}

pub(crate) async fn one(State(engine): State<Engine>, Path(account): Path<String>) -> Response {
    match look(&engine, account.clone(), Shown::of).await {
        Ok(Some(shown)) => Answer::json(200, &shown).into_response(),
        Ok(None) => unknown_account(&account),
        Err(response) => response,
    }
}

/// The bills of an account, the oldest first.
pub(crate) async fn bills(State(engine): State<Engine>, Path(account): Path<String>) -> Response {
    let all = |account: &Account| -> Vec<wire::Bill> {
        account.bills.values().map(|bill| wire::bill(&account.head, bill)).collect()
    };
    match look(&engine, account.clone(), all).await {
        Ok(Some(bills)) => Answer::json(200, &bills).into_response(),
        Ok(None) => unknown_account(&account),
        Err(response) => response,
    }
}

/// A bill by its name, `acme-2026-01`.
pub(crate) async fn bill(State(engine): State<Engine>, Path(name): Path<String>) -> Response {
    let none = || not_found(&format!("there is no bill \"{name}\"; a bill is named ACCOUNT-YYYY-MM"));
    let months = name.len().checked_sub("-2026-01".len()).filter(|at| name.is_char_boundary(*at));
    let Some((account, month)) = months.map(|at| name.split_at(at)) else { return none() };
    if month.strip_prefix('-').and_then(first_of).is_none() {
        return none();
    }
    let id = name.clone();
    let one = move |account: &Account| {
        let bill = account.bills.values().find(|bill| bill.id == id)?;
        Some(wire::bill(&account.head, bill))
    };
    match look(&engine, account.to_owned(), one).await {
        Ok(found) => match found.flatten() {
            Some(bill) => Answer::json(200, &bill).into_response(),
            None => none(),
        },
        Err(response) => response,
    }
}
