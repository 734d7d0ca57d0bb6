//! Where an account and its subscriptions stand, what comes next, and how it came about.

use super::table::{self, Align};
use crate::source::Source;
use farebox_core::account::Account;
use farebox_core::calendar::{Instant, show_local};
use farebox_core::engine::lifecycle::{costs, grace, owed, standing_at, state_name};
use farebox_core::lifecycle::State;

/// The answer to `$ lifecycle ACCOUNT`.
pub fn lifecycle(source: &dyn Source, account: &Account) -> Vec<String> {
    let head = &account.head;
    let (Some(group), Some(payer)) = (source.group_of(&head.id), source.account(head.payer())) else {
        return Vec::new();
    };
    let when = |at: Instant| show_local(source.zone(), at);
    let mut first = vec![head.id.clone()];
    first.push(match &payer.lifecycle.tier {
        None => "no tier: pays by invoice".to_owned(),
        Some(tier) if head.payer.is_some() => format!("tier {} of {}", tier.id, payer.head.id),
        Some(tier) => format!("tier {}", tier.id),
    });
    for one in [payer, account] {
        if let Some(since) = one.lifecycle.suspended
            && (one.head.id == head.id || head.payer.is_some())
        {
            first.push(format!("{} suspended since {}", one.head.id, when(since)));
        }
        if head.payer.is_none() {
            break;
        }
    }
    let currency = payer.head.currency;
    let due = owed(group, &payer.head.id).unwrap_or_default();
    match &payer.lifecycle.arrears {
        None => first.push("not in arrears".to_owned()),
        Some(arrears) if !source.sees(&payer.head.id) => {
            first.push(format!("{} in arrears since {}", payer.head.id, when(arrears.since)));
        }
        Some(arrears) => first.push(format!(
            "{} owes {} {currency}, in arrears since {} under tier {}",
            payer.head.id,
            due.decimal(currency),
            when(arrears.since),
            arrears.tier
        )),
    }
    let mut shown = vec![first.join(" · ")];
    let mut rows = Vec::new();
    for name in account.subscriptions.keys() {
        let at = source.now();
        let (state, until) = standing_at(group, source.catalogues(), &head.id, name, at);
        let standing = account.lifecycle.standings.get(name);
        let since = standing.map(|standing| format!("since {}", when(standing.since)));
        let mut next = Vec::new();
        let mut change = until;
        while let Some(at) = change {
            let (state, until) = standing_at(group, source.catalogues(), &head.id, name, at);
            let what = if state == Some(State::Grace) { "in grace from" } else { state_name(state) };
            next.push(format!("{what} {}", when(at)));
            change = until.filter(|next| *next > at);
        }
        let in_grace = grace(group, source.catalogues(), &head.id, name, at).map(|span| {
            let path = (head.id.as_str(), name.as_str());
            match costs(group, source.catalogues(), source.metering(&payer.head.id), path, span) {
                Ok(amount) => format!("costs in grace {} {currency}", amount.decimal(currency)),
                Err(refusal) => refusal.to_string(),
            }
        });
        rows.push(vec![
            format!("  {name}"),
            state_name(state).to_owned(),
            since.unwrap_or_default(),
            if next.is_empty() { String::new() } else { format!("next: {}", next.join(", ")) },
            in_grace.unwrap_or_default(),
        ]);
    }
    shown.extend(table::lines(&rows, &[Align::Left; 5]));
    let own = account.history.iter();
    let rows: Vec<Vec<String>> = own
        .map(|step| {
            let about = step.subscription.clone().unwrap_or_default();
            vec![format!("  {}", when(step.at)), about, step.what.clone()]
        })
        .collect();
    if !rows.is_empty() {
        shown.push("History".to_owned());
        shown.extend(table::lines(&rows, &[Align::Left; 3]));
    }
    shown
}
