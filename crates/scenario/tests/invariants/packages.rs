//! Invariants of packages, on whole histories over all price lists.

use crate::histories::check::Wrong;
use crate::histories::dice::Dice;
use crate::histories::show::words;
use crate::histories::world::World;
use crate::sessions::{packages_decide, without_sessions};
use crate::whole::{dated, far, hold, play, play_until, replays, said_once, same, without_arrears};
use farebox_core::account::Account;
use farebox_core::ledger::{LedgerAccount, QuotaSide, Unit};
use farebox_core::money::Exact;
use farebox_core::package::Units;
use farebox_oracle::catalogue::{Measure, Plan};
use farebox_oracle::history::Line;
use farebox_scenario::run::Run;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// The history without orders of plans that bring packages, of those that fit, and all about them.
pub(crate) fn without_packages(world: &World, lines: &[Line], which: &dyn Fn(&Plan) -> bool) -> Vec<Line> {
    let plans = world.plans();
    let brings =
        |plan: &str| plans.iter().any(|(_, name, one)| *name == plan && !one.grants.is_empty() && which(one));
    // Subscriptions as the lines of a book name them: `subscribe ACCOUNT PLAN … as NAME …`.
    // A name that is in use already is another one's, and such an order is refused.
    let (mut gone, mut used, mut refused) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, line) in lines.iter().enumerate() {
        let words = words(world, line);
        let words: Vec<&str> = words.split_whitespace().collect();
        let name = words.iter().position(|word| *word == "as").and_then(|place| words.get(place + 1));
        let Some(name) = name.map(|name| (line.account.clone(), (*name).to_owned())) else { continue };
        match words.iter().any(|word| brings(word)) {
            true if used.contains(&name) => drop(refused.insert(index)),
            true => drop(gone.insert(name)),
            false => drop(used.insert(name)),
        }
    }
    let about = |(index, line): &(usize, &Line)| {
        if refused.contains(index) {
            return true;
        }
        let words = words(world, line);
        let words: Vec<&str> = words.split_whitespace().collect();
        gone.iter().filter(|(account, _)| *account == line.account).any(|(account, name)| {
            let full = format!("{account}/{name}");
            words.iter().any(|word| *word == full) || words.windows(2).any(|two| two == ["as", name.as_str()])
        })
    };
    lines.iter().enumerate().filter(|line| !about(line)).map(|(_, line)| line.clone()).collect()
}

fn sum(of: impl IntoIterator<Item = Exact>) -> Exact {
    of.into_iter().fold(Exact::ZERO, |sum, one| sum.add(one).unwrap())
}

/// Each movement of quota sums to zero, and none takes a side of a bucket below zero.
fn check_postings(account: &Account) {
    let mut sides: BTreeMap<(String, QuotaSide), Exact> = BTreeMap::new();
    for posting in account.ledger.postings() {
        let mut units: BTreeMap<&Unit, Exact> = BTreeMap::new();
        for entry in &posting.entries {
            let unit = units.entry(&entry.unit).or_default();
            *unit = unit.add(entry.value).unwrap();
            if let LedgerAccount::Quota { bucket, side } = &entry.account {
                let value = sides.entry((bucket.clone(), *side)).or_default();
                *value = value.add(entry.value).unwrap();
                let below = *side != QuotaSide::Granted && value.is_negative();
                assert!(!below, "{bucket} {side:?} falls below zero: {posting:?}");
            }
        }
        assert!(units.values().all(Exact::is_zero), "sums to zero in each unit: {posting:?}");
    }
    for bucket in account.packages.iter() {
        let Units { granted, available, held, drawn, expired } = Units::of(&account.ledger, &bucket.id);
        assert_eq!(granted, sum([available, held, drawn, expired]), "{} is all there", bucket.id);
    }
}

/// Units of usage by account, subscription and charge that were measured: charged, free, or drawn; of
/// charges that the plans have that fit.
fn measured(
    world: &World,
    run: &mut Run<'_>,
    which: fn(&Plan) -> bool,
) -> BTreeMap<(String, String, String), Exact> {
    let plans = world.plans();
    let charges = plans.iter().filter(|(.., plan)| which(plan)).flat_map(|(.., plan)| &plan.charges);
    let metered = charges.filter(|one| matches!(one.measure, Measure::Meter(_)));
    let metered: BTreeSet<&str> = metered.map(|one| one.id.as_str()).collect();
    let mut all = BTreeMap::new();
    for account in run.accounts() {
        let charged = account.charged.iter().filter(|(key, _)| metered.contains(key.charge.as_str()));
        for (key, charged) in charged {
            let key = (account.head.id.clone(), key.subscription.clone(), key.charge.clone());
            let drawn = sum(charged.drawn.values().copied());
            let units: &mut Exact = all.entry(key).or_default();
            *units = sum([*units, charged.quantity, charged.free, drawn]);
        }
    }
    all.retain(|_, units: &mut Exact| !units.is_zero());
    all
}

#[test]
fn quota_is_balanced_never_below_zero_and_replays() {
    hold("quota", &|world, lines| {
        play(world, lines, |run| {
            let mut drawn: BTreeMap<&str, Exact> = BTreeMap::new();
            for account in run.accounts() {
                check_postings(account);
                for (bucket, units) in account.charged.values().flat_map(|charged| &charged.drawn) {
                    assert!(!units.is_negative(), "{bucket} is drawn below zero");
                    let of_bucket = drawn.entry(bucket).or_default();
                    *of_bucket = of_bucket.add(*units).unwrap();
                }
            }
            for account in run.accounts() {
                for bucket in account.packages.iter() {
                    let by_usage = drawn.remove(bucket.id.as_str()).unwrap_or_default();
                    let by_ledger = Units::of(&account.ledger, &bucket.id).drawn;
                    same("drawn by usage and by the ledger", &by_usage, &by_ledger)?;
                }
            }
            assert!(drawn.is_empty(), "drawn from no bucket: {drawn:?}");
            replays(run)
        })?
    });
}

#[test]
fn what_is_drawn_and_charged_is_what_was_measured() {
    // The same usage without packages is all charged. Their own charges of usage stay.
    let brings_alone = |plan: &Plan| !plan.charges.iter().any(|one| matches!(one.measure, Measure::Meter(_)));
    hold("measured", &|world, lines| {
        let lines = without_arrears(lines);
        let lines = if packages_decide(world) { without_sessions(&lines) } else { lines };
        let without = without_packages(world, &lines, &brings_alone);
        let until = far(&lines);
        let look = |run: &mut Run<'_>| measured(world, run, |_| true);
        let drawing = play_until(world, &lines, until, look)?;
        let charging = play_until(world, &without, until, look)?;
        same("drawn and charged, and all charged", &drawing, &charging)
    });
}

#[test]
fn lateness_changes_nothing_of_what_was_measured() {
    hold("measured late", &|world, lines| -> Result<(), Wrong> {
        let lines = said_once(&without_arrears(lines));
        // What is left of packages when usage is late decides how much sessions may use.
        let lines = if packages_decide(world) { without_sessions(&lines) } else { lines };
        let mut dice = Dice::new(lines.len() as u64);
        let on_time = dated(&lines, |_, time| time);
        let late = dated(&lines, |_, time| {
            time + SignedDuration::from_secs(i64::try_from(dice.below(30 * 86_400)).unwrap())
        });
        let until = far(&on_time).max(far(&late));
        // Whether a term renews itself depends on the money that was there.
        let runs_on = |plan: &Plan| !plan.modes.iter().any(|mode| mode == "prepaid");
        let look = |run: &mut Run<'_>| measured(world, run, runs_on);
        let punctual = play_until(world, &on_time, until, look)?;
        same("on time and late", &punctual, &play_until(world, &late, until, look)?)
    });
}
