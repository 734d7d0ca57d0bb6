//! Invariants of whole histories of 30 to 200 lines, over all price lists.
//!
//! More of them: `FAREBOX_INVARIANT_RUNS=10000 cargo test -p farebox-scenario --test invariants`.

use crate::check_account;
use crate::histories::check::{self, Wrong, number_of};
use crate::histories::dice::Dice;
use crate::histories::show;
use crate::histories::world::{World, worlds};
use crate::packages::without_packages;
use farebox_core::account::{Account, Group};
use farebox_core::bill::{ChargeKey, Line as BillLine, LineKind};
use farebox_core::money::{Amount, Exact};
use farebox_oracle::history::{Line, What};
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

pub(crate) fn hold(name: &str, property: &check::Property<'_>) {
    let runs = number_of("FAREBOX_INVARIANT_RUNS").unwrap_or(100);
    // Other seeds than those that the oracle begins with.
    check::holds(&worlds(name), 1_000_000..1_000_000 + runs, property);
}

/// Plays a history to some months after its end, and hands the run over.
pub(crate) fn play<T>(
    world: &World,
    lines: &[Line],
    look: impl FnOnce(&mut Run<'_>) -> T,
) -> Result<T, Wrong> {
    play_until(world, lines, far(lines), look)
}

pub(crate) fn play_until<T>(
    world: &World,
    lines: &[Line],
    until: Timestamp,
    look: impl FnOnce(&mut Run<'_>) -> T,
) -> Result<T, Wrong> {
    let text = show::book(world, lines);
    let prepared = prepare::prepare("random.book", text.as_bytes(), &world.folder)
        .map_err(|wrong| Wrong::Broken(format!("{wrong:?}")))?;
    let mut run = Run::new(&prepared, Options { keep_facts: true, threads: 1, ..Options::default() });
    let wrong = |wrong: farebox_text::diagnostic::Diagnostic| Wrong::Fails(format!("{}\n", wrong.found));
    run.play(&mut |_, _| {}).map_err(wrong)?;
    run.advance(until).map_err(wrong)?;
    Ok(look(&mut run))
}

/// When everything of a history has been settled.
pub(crate) fn far(lines: &[Line]) -> Timestamp {
    lines.last().map_or(Timestamp::MIN, |line| line.at + SignedDuration::from_hours(24 * 40))
}

/// What both histories come to, long after both.
fn both<T: PartialEq + std::fmt::Debug>(
    world: &World,
    what: &str,
    [one, other]: [&[Line]; 2],
    look: fn(&mut Run<'_>) -> T,
) -> Result<(), Wrong> {
    let until = far(one).max(far(other));
    same(what, &play_until(world, one, until, look)?, &play_until(world, other, until, look)?)
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, one: &T, other: &T) -> Result<(), Wrong> {
    if one == other { Ok(()) } else { Err(Wrong::Fails(format!("{what}:\n  {one:?}\n  {other:?}\n"))) }
}

/// That the facts of a run give its accounts again. Groups do not touch one another: all facts in one group do.
pub(crate) fn replays(run: &Run<'_>) -> Result<(), Wrong> {
    let mut replayed = Group::default();
    for fact in &run.facts {
        replayed.apply(fact).unwrap();
    }
    for account in run.accounts() {
        same("as it went and replayed", &Some(account), &replayed.get(&account.head.id))?;
    }
    Ok(())
}

/// What every bill came to, and the money after all.
fn totals(run: &mut Run<'_>) -> BTreeMap<String, (Vec<(String, Amount)>, Amount)> {
    let of = |account: &Account| {
        let bills = account.bills.values().map(|bill| (bill.id.clone(), bill.posted)).collect();
        (account.head.id.clone(), (bills, account.ledger.prepaid()))
    };
    run.accounts().map(of).collect()
}

type Charged = BTreeMap<(String, ChargeKey), (Exact, Amount, Amount)>;

/// What was charged for each key, all bills together.
fn charged(run: &mut Run<'_>) -> Charged {
    let mut all = Charged::new();
    for account in run.accounts() {
        for (key, charged) in &account.charged {
            let figures = (charged.quantity, charged.list, charged.amount);
            if !(figures.0.is_zero() && figures.1.is_zero() && figures.2.is_zero()) {
                all.insert((account.head.id.clone(), key.clone()), figures);
            }
        }
    }
    all
}

/// The history with other dates of its usage.
pub(crate) fn dated(lines: &[Line], mut at: impl FnMut(&Line, Timestamp) -> Timestamp) -> Vec<Line> {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        if let What::Usage { time, .. } = line.what {
            line.at = at(line, time);
        }
    }
    lines.sort_by_key(|line| line.at);
    lines
}

/// The first time that usage is said, without repeats, revisions and voids: those depend on what has
/// arrived before them.
pub(crate) fn said_once(lines: &[Line]) -> Vec<Line> {
    let once = |line: &&Line| match &line.what {
        What::Usage { revision, id, .. } => {
            let first = lines
                .iter()
                .find(|other| matches!(&other.what, What::Usage { id: there, .. } if there == id));
            *revision == 0 && first.is_some_and(|first| std::ptr::eq(first, *line))
        }
        What::Void { .. } => false,
        _ => true,
    };
    lines.iter().filter(once).cloned().collect()
}

/// Without customers' tiers and credit limits: where owing has consequences, when something is charged decides what is
/// frozen, and so what is charged.
pub(crate) fn without_arrears(lines: &[Line]) -> Vec<Line> {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        if let What::Open { tier, .. } = &mut line.what {
            *tier = None;
        }
    }
    lines.retain(|line| !matches!(line.what, What::Tier { .. } | What::CreditLimit { .. }));
    lines
}

/// Without what is said of a line by its number: which line has it depends on what was charged before, and what is taken
/// off the purchase of a term comes back no more with that.
pub(crate) fn without_numbers(lines: &[Line]) -> Vec<Line> {
    let by_number = |line: &&Line| !matches!(line.what, What::Adjust { .. } | What::CreditLine { .. });
    lines.iter().filter(by_number).cloned().collect()
}

#[test]
fn bills_add_up_explain_themselves_and_replay() {
    hold("add up", &|world, lines| {
        play(world, lines, |run| {
            for account in run.accounts() {
                check_account(account);
                for line in account.bills.values().flat_map(|bill| &bill.lines) {
                    // What is charged by hand has no price list.
                    let by_hand = matches!(line.kind, LineKind::OneOff | LineKind::Adjustment);
                    let explained = line.kind == LineKind::Rounding
                        || !line.formula.is_empty()
                            && !line.explanation.is_empty()
                            && (by_hand || line.catalogue.is_some());
                    assert!(explained, "{} does not explain itself: {line:?}", line.id);
                }
            }
            replays(run)
        })?
    });
}

#[test]
fn issued_bills_never_change() {
    hold("never change", &|world, lines| {
        // What was issued half way is there at the end, as it was.
        let issued = |run: &mut Run<'_>| -> Vec<(String, Vec<BillLine>)> {
            let bills = run.accounts().flat_map(|account| account.bills.values());
            let issued = bills.filter(|bill| bill.issued.is_some());
            issued.map(|bill| (bill.id.clone(), bill.lines.clone())).collect()
        };
        let half = &lines[..lines.len().div_ceil(2)];
        let before = play_until(world, half, half.last().map_or(Timestamp::MIN, |line| line.at), issued)?;
        let after: BTreeMap<String, Vec<BillLine>> = play(world, lines, issued)?.into_iter().collect();
        for (id, lines) in before {
            same("a bill as issued and later", &Some(&lines), &after.get(&id))?;
        }
        Ok(())
    });
}

#[test]
fn repeats_change_no_cent() {
    hold("repeats", &|world, lines| {
        let mut dice = Dice::new(lines.len() as u64);
        let mut twice: Vec<Line> = lines.to_vec();
        for line in lines.iter().filter(|line| matches!(line.what, What::Usage { .. })) {
            // Said again any time later, also after it was taken back or replaced.
            let mut again = line.clone();
            again.at += SignedDuration::from_secs(i64::try_from(dice.below(20 * 86_400)).unwrap());
            again.at = again.at.min(lines.last().unwrap().at);
            twice.push(again);
        }
        twice.sort_by_key(|line| line.at);
        both(world, "once and twice", [lines, &twice], totals)
    });
}

#[test]
fn the_order_before_a_settlement_changes_no_cent() {
    hold("order", &|world, lines| {
        let lines = said_once(lines);
        let mut dice = Dice::new(lines.len() as u64);
        let on_time = dated(&lines, |_, time| time);
        let shuffled = dated(&lines, |_, time| {
            let left = 3600 - time.as_second().rem_euclid(3600);
            time + SignedDuration::from_secs(i64::try_from(dice.below(u64::try_from(left).unwrap())).unwrap())
        });
        both(world, "on time and shuffled", [&on_time, &shuffled], totals)
    });
}

#[test]
fn lateness_changes_no_cumulative_cent() {
    hold("lateness", &|world, lines| {
        // What is drawn from packages depends on the order: see `packages`.
        let lines = said_once(&without_numbers(&without_arrears(lines)));
        let lines = without_packages(world, &lines, &|_| true);
        let mut dice = Dice::new(lines.len() as u64);
        let on_time = dated(&lines, |_, time| time);
        let late = dated(&lines, |_, time| {
            time + SignedDuration::from_secs(i64::try_from(dice.below(30 * 86_400)).unwrap())
        });
        both(world, "on time and late", [&on_time, &late], charged)
    });
}

#[test]
fn taking_everything_back_gives_everything_back() {
    hold("taken back", &|world, lines| {
        let lines = without_numbers(&without_arrears(lines));
        let last = lines.last().map_or(Timestamp::MIN, |line| line.at);
        let mut taken_back = lines.clone();
        let mut without: Vec<Line> = Vec::new();
        for line in &lines {
            match &line.what {
                What::Usage { id, .. } => taken_back.push(Line {
                    at: last,
                    account: String::new(),
                    what: What::Void { id: id.clone() },
                }),
                // What sessions used is theirs, too.
                What::Hold { id, .. } => taken_back.push(Line {
                    at: last,
                    account: String::new(),
                    what: What::Void { id: id.clone() },
                }),
                What::Void { .. } | What::Extend { .. } | What::Release { .. } => {}
                _ => without.push(line.clone()),
            }
        }
        // Both end at the same moment.
        let end = Line { at: last, account: "acme".into(), what: What::TopUp { amount: "1.00".into() } };
        taken_back.push(end.clone());
        without.push(end);
        both(world, "taken back and never said", [&taken_back, &without], charged)
    });
}
