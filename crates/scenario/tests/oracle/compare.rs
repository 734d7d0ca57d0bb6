//! One history on both sides, and what they disagree about.

use crate::histories::check::Wrong;
use crate::histories::show;
use crate::histories::world::World;
use crate::{packages, sessions};
use farebox_core::account::Account;
use farebox_core::bill::LineKind;
use farebox_core::ledger::LedgerAccount;
use farebox_core::money::{Amount, Exact};
use farebox_oracle::account::{Charges, Figures, Key};
use farebox_oracle::calendar::{self, Cycle};
use farebox_oracle::history::{Line, Printed, Split};
use farebox_oracle::number::{Number, whole, zero};
use farebox_oracle::play::{Play, Reasons};
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Outcome, Run};
use farebox_service::Groups;
use farebox_store::Memory;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

/// What was done, and how long each part of it took.
#[derive(Default)]
pub struct Tally {
    histories: u64,
    lines: u64,
    refused: BTreeMap<String, u64>,
    /// Lines that were taken, by verb, and steps in the lives of accounts.
    taken: BTreeMap<String, u64>,
    steps: BTreeMap<String, u64>,
    reading: Duration,
    engine: Duration,
    oracle: Duration,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.histories += other.histories;
        self.lines += other.lines;
        self.reading += other.reading;
        self.engine += other.engine;
        self.oracle += other.oracle;
        for (code, times) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += times;
        }
        for (to, from) in [(&mut self.taken, &other.taken), (&mut self.steps, &other.steps)] {
            for (what, times) in from {
                *to.entry(what.clone()).or_default() += times;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { histories, lines, reading, engine, oracle, .. } = self;
        let [reading, engine, oracle] = [reading, engine, oracle].map(|time| time.as_secs_f64());
        write!(
            f,
            "{histories} histories of {lines} lines: {reading:.1} s reading, {engine:.1} s engine, {oracle:.1} s oracle;\nrefused {:?};\ntaken {:?};\nsteps {:?}",
            self.refused, self.taken, self.steps
        )
    }
}

pub(crate) fn exact(value: Exact) -> Number {
    Number::new(value.numerator(), value.denominator())
}

fn amount(value: Amount) -> Number {
    exact(value.exact())
}

pub(crate) fn decimal(value: &Number) -> String {
    let scaled = value.abs() * whole(100_000_000);
    let units = scaled.floor();
    let more = if units == scaled { "" } else { "…" };
    let digits = format!("{:09}", units.to_whole().unwrap_or(0));
    let (whole, decimals) = digits.split_at(digits.len() - 8);
    let sign = if value.is_negative() { "-" } else { "" };
    format!("{sign}{whole}.{}{more}", decimals.trim_end_matches('0'))
}

/// What the engine charged, under the keys of the oracle.
fn charges(world: &World, account: &Account) -> Charges {
    let mut all = Charges::new();
    for (key, charged) in &account.charged {
        let plan = &account.subscriptions[&key.subscription].plan;
        let list =
            world.lists.iter().find(|list| list.plans.contains_key(plan)).expect("a plan of the world");
        // It may be one of a plan that it had before, or will have.
        let others = list.plans.values().filter(|other| other.product == list.plans[plan].product);
        let mut charges = list.plans[plan].charges.iter().chain(others.flat_map(|other| &other.charges));
        let charge = charges.find(|one| one.id == key.charge).expect("a charge");
        let cycle = match charge.settle {
            Some(settle) => calendar::cycle_start(&list.zone, settle, key.start),
            None => key.start,
        };
        let key = Key {
            subscription: key.subscription.clone(),
            charge: key.charge.clone(),
            cycle,
            from: cycle,
            group: key.group.clone(),
            split: Split {
                application: key.split.application.clone(),
                project: key.split.project.clone(),
                tags: key.split.tags.clone(),
            },
        };
        let sum = all.entry(key).or_insert_with(Figures::nothing);
        sum.quantity += exact(charged.quantity);
        sum.free += exact(charged.free);
        sum.list += amount(charged.list);
        sum.amount += amount(charged.amount);
    }
    all
}

/// The lines of all bills, by their ids.
fn printed(accounts: &[&Account]) -> BTreeMap<String, Printed> {
    let bills = accounts.iter().flat_map(|account| {
        account.bills.values().flat_map(move |bill| bill.lines.iter().map(move |line| (account, bill, line)))
    });
    bills
        .map(|(account, bill, line)| {
            let printed = Printed {
                id: line.id.clone(),
                payer: account.head.id.clone(),
                month: bill.period.start,
                posted: line.posted,
                plan: line.plan.clone(),
                amount: amount(line.amount),
                adjustable: !matches!(line.kind, LineKind::Rounding | LineKind::Adjustment),
                what: format!("{} {:?}", line.account, line.key),
                charges: line.key.as_ref().map(|key| {
                    (line.account.clone(), key.subscription.clone(), key.charge.clone(), key.start)
                }),
            };
            (line.id.clone(), printed)
        })
        .collect()
}

/// Balance less debt after each moment at which it moved.
type Statement = BTreeMap<Timestamp, Number>;

fn statement(account: &Account) -> Statement {
    let mut moved = Statement::new();
    for posting in account.ledger.postings() {
        for entry in &posting.entries {
            if matches!(entry.account, LedgerAccount::Balance | LedgerAccount::Receivable) {
                *moved.entry(posting.at).or_insert_with(zero) -= exact(entry.value);
            }
        }
    }
    let mut sum = zero();
    for value in moved.values_mut() {
        sum += &*value;
        *value = sum.clone();
    }
    moved
}

/// Without the moments that left everything as it was.
fn movements(statement: Statement) -> Statement {
    let mut last = zero();
    statement.into_iter().filter(|(_, value)| std::mem::replace(&mut last, value.clone()) != *value).collect()
}

/// Plays a history on both sides: what was done, and whether they agree.
pub fn compare(world: &World, lines: &[Line]) -> (Tally, Result<(), Wrong>) {
    let mut tally = Tally::default();
    let compared = both(world, lines, &mut tally);
    (tally, compared)
}

/// What an engine came to.
pub struct Came<'a> {
    /// Its accounts, wherever it has them.
    pub accounts: Vec<&'a Account>,
    /// What it said to each line: the code of the refusal, if it refused it.
    pub said: Vec<Option<String>>,
    /// Usage that it keeps out because of what was frozen; `None`: nobody asked.
    pub frozen: Option<BTreeSet<String>>,
}

/// When all of a history has been settled: a day after the end of its last month. `None`: it has no lines.
fn end(lines: &[Line]) -> Option<Timestamp> {
    let last = lines.last()?.at;
    let until = calendar::cycle_start(&jiff::tz::TimeZone::UTC, Cycle::Month, last);
    let until = calendar::cycle_end(&jiff::tz::TimeZone::UTC, Cycle::Month, until);
    Some(until + jiff::SignedDuration::from_hours(24))
}

fn both(world: &World, lines: &[Line], tally: &mut Tally) -> Result<(), Wrong> {
    let Some(until) = end(lines) else { return Ok(()) };
    let began = Instant::now();
    let text = show::book(world, lines);
    let prepared = prepare::prepare("random.book", text.as_bytes(), &world.folder)
        .map_err(|wrong| Wrong::Broken(format!("{wrong:?}")))?;
    let read = Instant::now();
    // Some histories are kept, and counted as a service counts: as usage comes.
    let live = lines.len().is_multiple_of(4);
    let groups =
        if live { Groups::of(Box::new(Memory::new())).expect("it is empty") } else { Groups::unkept() };
    let mut run = Run::new(&prepared, Options { threads: 1, groups, live, ..Options::default() });
    let mut said = Vec::new();
    let played = run.play(&mut |_, outcome| {
        said.push(match outcome {
            Outcome::Refused(refusal) => Some(refusal.code().to_owned()),
            _ => None,
        });
    });
    if let Err(wrong) = played.and_then(|()| run.advance(until)) {
        return Err(Wrong::Fails(format!("{}\n", wrong.found)));
    }
    let engine = Instant::now();
    let quarantine = run.quarantine().map_err(|wrong| Wrong::Broken(wrong.found))?;
    let frozen = quarantine.listed.iter().filter(|one| one.code == "frozen");
    // What a session used of what is only counted has numbers: `c1.1`, `c1.2`.
    let id =
        |what: &'_ str| what.trim_start_matches("book/").split('.').next().unwrap_or_default().to_owned();
    let frozen = Some(frozen.map(|one| id(&one.what)).collect());
    tally.reading += read - began;
    tally.engine += engine - read;
    against(world, lines, &Came { accounts: run.accounts().collect(), said, frozen }, until, tally)
}

/// Plays a history with the oracle until a moment after its last line, and compares with it what an engine came to.
pub fn against(
    world: &World,
    lines: &[Line],
    came: &Came<'_>,
    until: Timestamp,
    tally: &mut Tally,
) -> Result<(), Wrong> {
    let engine = Instant::now();
    let zone = calendar::zone(world.zone).expect("a zone");
    let mut play = Play::new(&world.lists, zone);
    play.printed = printed(&came.accounts);
    let answers: Vec<Result<(), Reasons>> = lines.iter().map(|line| play.line(line)).collect();
    play.advance(until);
    let oracle = Instant::now();
    tally.histories += 1;
    tally.lines += lines.len() as u64;
    tally.oracle += oracle - engine;
    for code in came.said.iter().flatten() {
        *tally.refused.entry(code.clone()).or_default() += 1;
    }

    for (line, _) in lines.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()) {
        let words = show::words(world, line);
        let verb = words.split(' ').nth(2).expect("date, time, verb");
        *tally.taken.entry(verb.to_owned()).or_default() += 1;
    }
    for step in play.accounts.values().flat_map(|account| &account.steps) {
        // The tier is no kind of step.
        let kind = step.what.split_once("arrears ").map_or(step.what.as_str(), |_| "arrears");
        *tally.steps.entry(kind.to_owned()).or_default() += 1;
    }
    for one in play.accounts.values().flat_map(|account| &account.subscriptions) {
        let seen = [
            ("trials", one.trial),
            ("add-ons", one.follows.is_some()),
            ("add-ons renewed", one.follows.is_some() && one.terms.len() > 1),
            ("migrated terms", one.migrated.is_some()),
            ("plans changed", !one.later_plans.is_empty()),
            ("terms divided", one.terms.iter().any(|term| term.part.is_some())),
            ("plans changed, paid by use", !one.later_plans.is_empty() && one.terms.is_empty()),
        ];
        for (what, _) in seen.into_iter().filter(|(_, there)| *there) {
            *tally.steps.entry(what.to_owned()).or_default() += 1;
        }
        if let Some(auto) = &one.auto {
            *tally.steps.entry("renewed by itself".to_owned()).or_default() +=
                u64::try_from(auto.renewals).unwrap_or_default();
        }
    }
    for session in play.sessions.values() {
        let ended = session.ended.as_ref();
        let seen = [
            ("sessions", true),
            ("sessions that expired", ended.is_some_and(|ended| ended.expired)),
            ("sessions with their last units", session.granted < session.asked),
            ("sessions that outlive their bucket", session.valid_until < session.until),
            ("sessions with a place", !session.places.is_empty()),
            ("sessions that used something", session.used.is_positive()),
        ];
        for (what, _) in seen.into_iter().filter(|(_, there)| *there) {
            *tally.steps.entry(what.to_owned()).or_default() += 1;
        }
    }
    for account in play.accounts.values() {
        let seen = [
            ("accounts with a credit limit", account.credit_limit.is_some()),
            ("accounts that held on credit", account.money.on_credit > 0),
        ];
        for (what, _) in seen.into_iter().filter(|(_, there)| *there) {
            *tally.steps.entry(what.to_owned()).or_default() += 1;
        }
    }
    for bill in play.accounts.values().flat_map(|account| account.money.bills.values()) {
        let coupons = || bill.coupons.iter().map(|(_, part)| part);
        let seen = [
            ("bills", true),
            ("bills paid by coupons", coupons().any(Number::is_positive)),
            ("bills that gave coupons back", coupons().any(Number::is_negative)),
            ("bills with credit notes", bill.credited.is_positive()),
            ("bills written off", bill.written_off.is_positive()),
            ("bills that took write-offs back", bill.written_off.is_negative()),
        ];
        for (what, _) in seen.into_iter().filter(|(_, there)| *there) {
            *tally.steps.entry(what.to_owned()).or_default() += 1;
        }
    }

    let mut report = String::new();
    for (line, (ours, theirs)) in lines.iter().zip(came.said.iter().zip(&answers)) {
        let same = match (ours, theirs) {
            (None, Ok(())) => true,
            (Some(code), Err(reasons)) => reasons.contains(&code.as_str()),
            _ => false,
        };
        if !same {
            let _ = writeln!(report, "{}\n  engine {ours:?}\n  oracle {theirs:?}", show::words(world, line));
        }
    }
    for account in came.accounts.iter().copied() {
        let name = &account.head.id;
        let Some(other) = play.accounts.get(name) else {
            let _ = writeln!(report, "{name} is not there for the oracle");
            continue;
        };
        compare_charges(&mut report, name, charges(world, account), &by_cycle(&other.charges));
        compare_money(&mut report, account, other, until);
        compare_life(&mut report, account, other);
        packages::compare(&mut report, account, &play);
        sessions::compare(&mut report, account, &play);
        for one in &other.subscriptions {
            let there = account.subscriptions.get(&one.name).and_then(|one| one.end);
            if there != one.end {
                let _ = writeln!(report, "{name}/{} ends: engine {there:?}, oracle {:?}", one.name, one.end);
            }
        }
    }
    let theirs = play.frozen_usage();
    *tally.steps.entry("usage while frozen".to_owned()).or_default() += theirs.len() as u64;
    let theirs: BTreeSet<String> = theirs.into_iter().collect();
    if let Some(ours) = came.frozen.as_ref().filter(|ours| **ours != theirs) {
        let _ = writeln!(report, "usage while frozen\n  engine {ours:?}\n  oracle {theirs:?}");
    }
    let there = |name: &String| came.accounts.iter().any(|account| account.head.id == *name);
    for name in play.accounts.keys().filter(|name| !there(name)) {
        let _ = writeln!(report, "{name} is not there for the engine");
    }
    // A few of the figures show what it is about.
    let lines: Vec<&str> = report.lines().collect();
    let more =
        if lines.len() > 24 { format!("  … and {} more\n", lines.len() / 3 - 8) } else { String::new() };
    let report = format!("{}\n{more}", lines[..lines.len().min(24)].join("\n"));
    if lines.is_empty() { Ok(()) } else { Err(Wrong::Fails(report)) }
}

/// The stretches of a cycle together.
fn by_cycle(charges: &Charges) -> Charges {
    let mut all = Charges::new();
    for (key, figures) in charges {
        let key = Key { from: key.cycle, ..key.clone() };
        let sum = all.entry(key).or_insert_with(Figures::nothing);
        sum.quantity += &figures.quantity;
        sum.free += &figures.free;
        sum.list += &figures.list;
        sum.amount += &figures.amount;
    }
    all
}

fn compare_charges(report: &mut String, account: &str, ours: Charges, theirs: &Charges) {
    let nothing = Figures::nothing();
    let mut keys: Vec<&Key> = ours.keys().chain(theirs.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (engine, oracle) = (ours.get(key).unwrap_or(&nothing), theirs.get(key).unwrap_or(&nothing));
        if engine != oracle {
            let show = |one: &Figures| {
                format!(
                    "quantity {} free {} list {} amount {}",
                    decimal(&one.quantity),
                    decimal(&one.free),
                    decimal(&one.list),
                    decimal(&one.amount)
                )
            };
            let _ = writeln!(report, "{account} {key:?}");
            let _ = writeln!(report, "  engine {}\n  oracle {}", show(engine), show(oracle));
        }
    }
}

/// Sum, total, paid, credited and written off of a bill, and what coupons paid.
type Settled = ([Number; 5], Vec<(String, Number)>);

/// What happened to an account and what it ordered: what the oracle knows of it, in its words.
fn steps(account: &Account) -> Vec<(Timestamp, String, String)> {
    let mut all: Vec<(Timestamp, String, String)> = Vec::new();
    for step in &account.history {
        let what = match step.what.strip_prefix("arrears began") {
            Some(rest) => rest.split_once("tier ").map(|(_, tier)| format!("arrears {tier}")),
            None if step.what.starts_with("nothing ") || step.what.contains(" → ") => {
                Some(step.what.clone())
            }
            None => None,
        };
        all.extend(what.map(|what| (step.at, step.subscription.clone().unwrap_or_default(), what)));
    }
    all.sort();
    all
}

fn compare_life(report: &mut String, ours: &Account, theirs: &farebox_oracle::account::Account) {
    let engine = steps(ours);
    let all = theirs.steps.iter();
    let mut oracle: Vec<(Timestamp, String, String)> =
        all.map(|step| (step.at, step.subscription.clone().unwrap_or_default(), step.what.clone())).collect();
    oracle.sort();
    let first = (0..engine.len().max(oracle.len())).find(|index| engine.get(*index) != oracle.get(*index));
    if let Some(index) = first {
        let _ = writeln!(report, "{}, step {index} of its life", ours.head.id);
        let _ = writeln!(report, "  engine {:?}\n  oracle {:?}", engine.get(index), oracle.get(index));
    }
}

fn compare_money(
    report: &mut String,
    ours: &Account,
    theirs: &farebox_oracle::account::Account,
    until: Timestamp,
) {
    let name = &ours.head.id;
    let months: BTreeSet<Timestamp> = ours.bills.keys().chain(theirs.money.bills.keys()).copied().collect();
    for month in months {
        let (bill, other) = (ours.bills.get(&month), theirs.money.bills.get(&month));
        let engine = bill.map(|bill| {
            let lines = bill.lines.iter().filter(|line| line.kind != LineKind::Rounding);
            let sum: Number = lines.map(|line| amount(line.amount)).sum();
            let credited: Number = bill.credits.iter().map(|note| amount(note.amount)).sum();
            let coupons: Vec<(String, Number)> =
                bill.coupons.iter().map(|(id, part)| (id.clone(), amount(*part))).collect();
            ([sum, amount(bill.posted), amount(bill.paid), credited, amount(bill.written_off)], coupons)
        });
        let oracle = other.map(|bill| {
            let all = [&bill.sum, &bill.total, &bill.paid, &bill.credited, &bill.written_off];
            (all.map(Clone::clone), bill.coupons.clone())
        });
        if engine != oracle {
            let show = |bill: &Option<Settled>| match bill {
                None => "no bill".to_owned(),
                Some(([sum, total, paid, credited, written_off], coupons)) => {
                    let coupons = coupons.iter().map(|(id, part)| format!(" {id} {}", decimal(part)));
                    format!(
                        "sum {} total {} paid {} credited {} written off {} coupons{}",
                        decimal(sum),
                        decimal(total),
                        decimal(paid),
                        decimal(credited),
                        decimal(written_off),
                        coupons.collect::<String>()
                    )
                }
            };
            let _ = writeln!(report, "{name} bill of the month from {month}");
            let _ = writeln!(report, "  engine {}\n  oracle {}", show(&engine), show(&oracle));
        }
    }
    for (id, coupon) in &theirs.money.coupons {
        let left = ours.wallet.coupon(id).map(|coupon| amount(coupon.left));
        // What has ended is worth nothing.
        let ended = ours.wallet.coupon(id).and_then(|coupon| coupon.until).is_some_and(|end| end <= until);
        if !ended && left.as_ref() != Some(&coupon.left) {
            let left = left.as_ref().map(decimal);
            let _ = writeln!(report, "coupon {id} of {name}");
            let _ = writeln!(report, "  engine {left:?}\n  oracle {}", decimal(&coupon.left));
        }
    }
    let kept = (amount(ours.held_money()), &theirs.money.kept);
    if kept.0 != *kept.1 {
        let _ = writeln!(report, "{name} has kept of its balance for sessions");
        let _ = writeln!(report, "  engine {}\n  oracle {}", decimal(&kept.0), decimal(kept.1));
    }
    let engine = movements(statement(ours));
    let oracle = movements(theirs.money.statement.iter().cloned().collect());
    let differs = |at: &&Timestamp| engine.get(at) != oracle.get(at);
    if let Some(at) = engine.keys().chain(oracle.keys()).filter(differs).min() {
        let show = |statement: &Statement| statement.get(at).map_or("no movement".to_owned(), decimal);
        let _ = writeln!(report, "{name} has, less what it owes, after {at}");
        let _ = writeln!(report, "  engine {}\n  oracle {}", show(&engine), show(&oracle));
    }
}
