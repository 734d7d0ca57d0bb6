//! An account: what it has, what that provides, what it owes.

use super::table::{self, Align};
use farebox_core::account::Account;
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::ledger::Unit;
use std::collections::BTreeMap;

/// Subscriptions, agreed prices and discounts at a moment.
pub fn show(account: &Account, zone: &Zone, at: Instant) -> Vec<String> {
    let head = &account.head;
    let mut shown =
        vec![format!("{} · {} · {} · {}", head.id, head.title, head.currency, show_local(zone, at))];
    let rows: Vec<Vec<String>> = account
        .subscriptions
        .values()
        .filter(|one| one.start <= at)
        .map(|one| {
            let running = one.span().contains(at);
            let state = match one.end {
                Some(end) if !running => format!("ended {}", show_local(zone, end)),
                Some(end) => format!("until {}", show_local(zone, end)),
                None => "runs on".to_owned(),
            };
            let state = match account.lifecycle.standings.get(&one.name) {
                Some(standing) => format!("{state}, {}", standing.state.name()),
                None => state,
            };
            let attributes: Vec<String> =
                one.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            vec![
                format!("  {}", one.name),
                format!("{} {}", one.quantity_at(at), one.plan),
                one.mode.name().to_owned(),
                format!("from {}", show_local(zone, one.start)),
                state,
                attributes.join(" "),
            ]
        })
        .collect();
    shown.extend(table::lines(&rows, &[Align::Left; 6]));
    if let Some(limit) = account.wallet.credit_limit() {
        let amount = limit.amount.decimal(head.currency);
        shown.push(format!("  credit limit {amount} since {}", show_local(zone, limit.since)));
    }
    for price in head.prices.iter().filter(|price| price.valid.contains(at)) {
        let price_text = price.price.decimal(head.currency.minor_digits() as usize);
        shown.push(format!("  agreed price {}/{}: {price_text}", price.plan, price.charge));
    }
    for discount in head.discounts.iter().filter(|discount| discount.valid.contains(at)) {
        let on = match (&discount.plan, &discount.charge) {
            (Some(plan), Some(charge)) => format!(" on {plan}/{charge}"),
            (Some(plan), None) => format!(" on {plan}"),
            _ => String::new(),
        };
        shown.push(format!("  discount {} %{on}", discount.percent));
    }
    shown
}

/// What the account's plans provide: IVR channels and the like.
pub fn provides(provided: &BTreeMap<String, i64>) -> Vec<String> {
    if provided.is_empty() {
        return vec!["nothing".to_owned()];
    }
    provided.iter().map(|(what, units)| format!("{what}: {units}")).collect()
}

/// The ledger of the account: what was charged, paid, owed.
pub fn balance(account: &Account) -> Vec<String> {
    let currency = account.head.currency;
    if let Some(payer) = &account.head.payer {
        return vec![format!("paid by {payer}, of its balance")];
    }
    let owed: Vec<_> = account.bills.values().filter(|bill| !bill.due().is_zero()).collect();
    let mut rows = vec![vec!["balance".to_owned(), account.ledger.prepaid().decimal(currency)]];
    if let (Some(limit), Some(headroom)) = (account.wallet.credit_limit(), account.headroom_left()) {
        let held = account.held_on_credit();
        rows.push(vec!["credit limit".to_owned(), limit.amount.decimal(currency)]);
        if !held.is_zero() {
            rows.push(vec!["held on credit".to_owned(), held.decimal(currency)]);
        }
        rows.push(vec!["headroom".to_owned(), headroom.decimal(currency)]);
    }
    rows.extend(account.wallet.live().into_iter().map(|coupon| {
        let mut name = format!("coupon {}", coupon.id);
        name.extend(coupon.on.iter().map(|on| format!(" on {on}")));
        name.extend(coupon.until.map(|until| format!(" until {}", show_local(&account.head.zone, until))));
        vec![name, coupon.left.decimal(currency)]
    }));
    rows.extend(owed.iter().map(|bill| vec![format!("owed on {}", bill.id), bill.due().decimal(currency)]));
    rows.extend(
        account
            .ledger
            .balances()
            .filter(|(_, unit, value)| matches!(unit, Unit::Money(_)) && !value.is_zero())
            .map(|(ledger, ..)| {
                let amount = account.ledger.balance(ledger);
                vec![format!("ledger {}", ledger.name()), amount.decimal(currency)]
            }),
    );
    table::lines(&rows, &[Align::Left, Align::Right])
}
