//! What is left in each bucket of the packages, and what drew from them.

use crate::compare::{decimal, exact};
use farebox_core::account::Account;
use farebox_core::package::Units;
use farebox_oracle::draws::TakerKey;
use farebox_oracle::history::Split;
use farebox_oracle::number::Number;
use farebox_oracle::play::Play;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The buckets whose units an account's ledger holds, and what the account's usage drew.
pub fn compare(report: &mut String, ours: &Account, play: &Play<'_>) {
    compare_buckets(report, ours, play);
    compare_draws(report, ours, play);
}

fn compare_buckets(report: &mut String, ours: &Account, play: &Play<'_>) {
    let payer = &ours.head.id;
    let engine: BTreeMap<&String, _> = ours.packages.iter().map(|bucket| (&bucket.id, bucket)).collect();
    let oracle: BTreeMap<&String, _> =
        play.packages.buckets.iter().filter(|(_, bucket)| play.payer(&bucket.account) == *payer).collect();
    let ids: BTreeSet<&String> = engine.keys().chain(oracle.keys()).copied().collect();
    for id in ids {
        let (Some(one), Some(other)) = (engine.get(id), oracle.get(id)) else {
            let (engine, oracle) = (engine.contains_key(id), oracle.contains_key(id));
            let _ = writeln!(report, "bucket {id}\n  engine {engine}\n  oracle {oracle}");
            continue;
        };
        let open = |at: Timestamp| if at == Timestamp::MAX { "ever".to_owned() } else { at.to_string() };
        let units = Units::of(&ours.ledger, id);
        let show = |from: Timestamp, times: [Timestamp; 2], units: [&Number; 5], alerted: Vec<usize>| {
            let [granted, available, held, drawn, expired] = units.map(decimal);
            let [until, expires] = times.map(open);
            format!(
                "from {from} until {until}, expires {expires}, granted {granted} available {available} held {held} drawn {drawn} expired {expired} alerts {alerted:?}"
            )
        };
        let figures = [units.granted, units.available, units.held, units.drawn, units.expired].map(exact);
        let alerted = (0..one.alerts.len()).filter(|alert| ours.packages.is_alerted(id, *alert));
        let end = |at: farebox_core::calendar::Instant| at.min(Timestamp::MAX);
        let engine = show(
            one.span.start,
            [end(one.span.end), end(one.expires)],
            figures.each_ref(),
            alerted.collect(),
        );
        let oracle = show(
            other.from,
            [other.until, other.expires],
            [&other.granted, &other.available, &other.held, &other.drawn, &other.expired],
            other.alerted.iter().copied().collect(),
        );
        if engine != oracle {
            let _ = writeln!(report, "bucket {id}\n  engine {engine}\n  oracle {oracle}");
        }
    }
}

fn compare_draws(report: &mut String, ours: &Account, play: &Play<'_>) {
    let mut engine: BTreeMap<TakerKey, BTreeMap<String, Number>> = BTreeMap::new();
    for (key, charged) in ours.charged.iter().filter(|(_, charged)| !charged.drawn.is_empty()) {
        let key = TakerKey {
            start: key.start,
            account: ours.head.id.clone(),
            subscription: key.subscription.clone(),
            charge: key.charge.clone(),
            began: key.accumulation,
            group: key.group.clone(),
            split: Split {
                application: key.split.application.clone(),
                project: key.split.project.clone(),
                tags: key.split.tags.clone(),
            },
        };
        engine.insert(key, charged.drawn.iter().map(|(id, units)| (id.clone(), exact(*units))).collect());
    }
    let own = |(key, _): &(&TakerKey, _)| key.account == ours.head.id;
    let takers = play.packages.takers.iter().filter(own);
    let oracle: BTreeMap<&TakerKey, _> = takers.map(|(key, taker)| (key, &taker.drawn)).collect();
    let keys: BTreeSet<&TakerKey> = engine.keys().chain(oracle.keys().copied()).collect();
    let nothing = BTreeMap::new();
    for key in keys {
        let (one, other) =
            (engine.get(key).unwrap_or(&nothing), oracle.get(key).copied().unwrap_or(&nothing));
        if one != other {
            let show = |draws: &BTreeMap<String, Number>| -> String {
                let all = draws.iter().map(|(id, units)| format!(" {id} {}", decimal(units)));
                if draws.is_empty() { " nothing".to_owned() } else { all.collect() }
            };
            let _ = writeln!(report, "{key:?} drew\n  engine{}\n  oracle{}", show(one), show(other));
        }
    }
}
