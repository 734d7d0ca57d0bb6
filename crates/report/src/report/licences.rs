//! The licence grid: how many there are, who holds them, what a reset would do.

use super::table::{self, Align};
use farebox_core::account::{Account, View};
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::catalog::Licence;
use farebox_core::engine::Catalogues;
use farebox_core::licence::{self, Application, Held, LicenceKey, Pool};
use std::collections::BTreeSet;

/// The licences of an account's applications, or of one, at a moment.
pub fn licences(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &Account,
    only: Option<&str>,
    zone: &Zone,
    at: Instant,
) -> Vec<String> {
    let id = &account.head.id;
    let held: Vec<&str> = account.licences.keys().map(String::as_str).collect();
    let names = licence::applications(view, id, &held);
    let mut shown = Vec::new();
    for name in names.iter().filter(|name| only.is_none_or(|only| only == name.as_str())) {
        let pools = licence::pools(view, catalogues, id, name, at);
        let none = Application::default();
        let state = account.licences.get(name).unwrap_or(&none);
        if pools.is_empty() && state.holders.is_empty() {
            continue;
        }
        shown.push(format!("{id}/{name} · {}", show_local(zone, at)));
        let there = pools.iter().map(|pool| &pool.key);
        let keys: BTreeSet<&LicenceKey> = there.chain(state.holders.keys()).collect();
        for key in keys {
            let pool = pools.iter().find(|pool| pool.key == *key);
            let known =
                catalogues.in_force(&key.catalogue, at).and_then(|list| list.licences.get(&key.licence));
            let Some(licence) = pool.map(|pool| pool.licence).or(known) else { continue };
            kind(&mut shown, state, key, licence, pool, zone, at);
        }
    }
    if shown.is_empty() {
        let of = only.map(|name| format!("/{name}")).unwrap_or_default();
        shown.push(format!("no licences of {id}{of}"));
    }
    shown
}

/// One kind of licence of an application.
fn kind(
    shown: &mut Vec<String>,
    state: &Application,
    key: &LicenceKey,
    licence: &Licence,
    pool: Option<&Pool<'_>>,
    zone: &Zone,
    at: Instant,
) {
    let there = pool.map_or(0, |pool| pool.licences);
    let from: Vec<String> =
        pool.iter().flat_map(|pool| &pool.from).map(|(name, count)| format!("{count} from {name}")).collect();
    let sum = match from.as_slice() {
        [] => "0".to_owned(),
        from => format!("{there}: {}", from.join(", ")),
    };
    shown.push(format!("  {} · {} · {sum}", licence.title, licence.id));
    let rows: Vec<Vec<String>> = state
        .holders(key)
        .map(|(holder, held)| row(holder, held, state.is_within(key, holder, there), zone))
        .collect();
    shown.extend(table::lines(&rows, &[Align::Left; 4]));
    let (idle, used): (Vec<_>, Vec<_>) = state.holders(key).partition(|(_, held)| held.ways.is_empty());
    let all = idle.len() + used.len();
    let free = there.saturating_sub(i64::try_from(all).unwrap_or(i64::MAX)).max(0);
    if !licence.named {
        shown.push(format!("    {all} in use, {free} free"));
        return;
    }
    let reset = match all {
        0 => String::new(),
        _ => format!("; a reset keeps {} and frees {}", used.len(), idle.len()),
    };
    shown.push(format!("    {all} bound, {free} free{reset}"));
    if let Some((pool, left)) = pool.and_then(|pool| Some((pool, pool.resets_left(state, at)?))) {
        let most = pool.licence.resets_per_month.unwrap_or(0);
        let again = show_local(zone, pool.month(at).end);
        shown.push(format!("    {left} of {most} resets left, {most} again from {again} on"));
    }
}

fn row(holder: &str, held: &Held, within: bool, zone: &Zone) -> Vec<String> {
    let ways: Vec<String> =
        held.ways.iter().map(|(way, since)| format!("{way} since {}", show_local(zone, *since))).collect();
    let standing = match (held.bound, held.ways.is_empty()) {
        (false, _) => "in use",
        (true, false) => "kept",
        (true, true) => "idle",
    };
    let past = if within { "" } else { ", past the number" };
    let since = match held.bound {
        true => format!("bound since {}", show_local(zone, held.since)),
        false => String::new(),
    };
    vec![format!("    {holder}"), format!("{standing}{past}"), since, ways.join(", ")]
}
