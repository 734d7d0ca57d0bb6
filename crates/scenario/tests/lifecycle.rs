//! Arrears and freezes on random histories of payments, orders and calls, against a model that steps
//! from half-hour to half-hour.

use farebox_core::account::Group;
use farebox_core::calendar::Instant;
use farebox_core::engine::lifecycle::owed;
use farebox_core::lifecycle::State;
use farebox_core::money::{Amount, Exact};
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use proptest::prelude::*;
use std::path::Path;

/// What a line of the book says.
#[derive(Clone, Debug)]
enum What {
    /// Payment of so many cents.
    TopUp(i64),
    /// An order that costs 10.00.
    Order,
    /// Calls at 0.10.
    Calls(i64),
}

/// Days of grace and of retention, and lines with the half-hours between them.
#[derive(Clone, Debug)]
struct History {
    grace: i64,
    retention: i64,
    lines: Vec<(i64, What)>,
}

fn history() -> impl Strategy<Value = History> {
    let what = prop_oneof![
        (1i64..2500).prop_map(What::TopUp),
        Just(What::Order),
        (1i64..80).prop_map(What::Calls),
        (1i64..80).prop_map(What::Calls),
    ];
    // Often a whole number of days, so that lines meet freezes at their instant.
    let pause = prop_oneof![Just(0i64), 0i64..60, Just(1i64), Just(2i64), Just(47i64), Just(48i64)];
    (0i64..3, 0i64..4, prop::collection::vec((pause, what), 1..25))
        .prop_map(|(grace, retention, lines)| History { grace, retention, lines })
}

fn catalogue(history: &History) -> String {
    let days = format!("{{ grace-days = {}, retention-days = {} }}", history.grace, history.retention);
    format!(
        r#"
[catalogue]
id = "t"
version = "1"
title = "T"
zone = "UTC"
currency = "EUR"
[policy.arrears]
default-tier = "V"
tiers = [{{ id = "V", pay-per-use = {days}, prepaid = {days} }}]
[meters.calls]
event = "call"
[products.p]
title = "P"
[products.p.plans.calls]
title = "Calls"
modes = ["pay-per-use"]
[[products.p.plans.calls.charges]]
id = "calls"
meter = "calls"
settle = "hour"
price = "0.10"
[products.p.plans.setup]
title = "Setup"
modes = ["pay-per-use"]
[[products.p.plans.setup.charges]]
id = "fee"
fixed = true
settle = "purchase"
price = "10.00"
"#
    )
}

fn moment(half_hours: i64) -> Instant {
    let start: Instant = "2026-01-01T00:00:00Z".parse().unwrap();
    start.checked_add(jiff::SignedDuration::from_mins(30 * half_hours)).unwrap()
}

/// The rules R-ARR-2 and R-ARR-3, no. 21 and no. 23 in the plainest way.
struct Model {
    grace: i64,
    retention: i64,
    /// In cents; below zero: owed.
    balance: i64,
    since: Option<i64>,
    state: State,
    steps: Vec<(Instant, String)>,
}

impl Model {
    fn update(&mut self, now: i64) {
        if self.balance >= 0 {
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some(now);
        }
        let next = self.at(now);
        if next != self.state && self.state != State::Released {
            self.steps.push((moment(now), format!("{} → {}", self.state.name(), next.name())));
            self.state = next;
        }
    }

    /// What the arrears make of a subscription.
    fn at(&self, now: i64) -> State {
        let Some(since) = self.since else { return State::Active };
        let (frozen, released) = (since + 48 * self.grace, since + 48 * (self.grace + self.retention));
        match now {
            _ if now >= released => State::Released,
            _ if now >= frozen => State::Frozen,
            _ => State::Grace,
        }
    }
}

fn check(history: &History) -> Result<(), TestCaseError> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!("lifecycle-{}-{}.toml", history.grace, history.retention);
    std::fs::write(folder.join(&name), catalogue(history)).unwrap();
    let mut book = format!("catalog \"{name}\"\n");
    book += "2026-01-01 open acme tier V\n2026-01-01 subscribe acme calls\n";
    let mut model = Model {
        grace: history.grace,
        retention: history.retention,
        balance: 0,
        since: None,
        state: State::Active,
        steps: Vec::new(),
    };
    let (mut now, mut calls, mut pending) = (0, 0, 0);
    let mut lines = history.lines.iter().enumerate().peekable();
    let mut next = lines.peek().map_or(0, |(_, (pause, _))| *pause);
    let end = history.lines.iter().map(|(pause, _)| pause).sum::<i64>() + 48 * 8;
    while now <= end {
        if now % 2 == 0 {
            model.balance -= 10 * pending;
            pending = 0;
        }
        model.update(now);
        while next == now
            && let Some((number, (_, what))) = lines.next()
        {
            let time = moment(now).strftime("%Y-%m-%d %H:%M");
            match what {
                What::TopUp(cents) => {
                    book += &format!("{time} topup acme {}.{:02}\n", cents / 100, cents % 100);
                    model.balance += cents;
                }
                What::Order => {
                    book += &format!("{time} subscribe acme setup as setup-{number}\n");
                    if model.at(now) <= State::Grace {
                        model.balance -= 1000;
                    }
                }
                What::Calls(count) => {
                    book += &format!("{time} usage acme call times {count}\n");
                    calls += count;
                }
            }
            model.update(now);
            next = lines.peek().map_or(i64::MAX, |(_, (pause, _))| now + pause);
        }
        // A call belongs to the state at the end of its instant: what is frozen, is from then on.
        if model.state <= State::Grace {
            pending += calls;
        }
        calls = 0;
        now += 1;
    }
    let last = moment(end).strftime("%Y-%m-%d %H:%M:%S");
    book += &format!("$ balance acme \"{last}\"\n");
    let prepared = prepare::prepare("random.book", book.as_bytes(), folder)
        .unwrap_or_else(|wrong| panic!("{book}{wrong:#?}"));
    let options = Options { threads: 1, keep_facts: true, ..Options::default() };
    let mut run = Run::new(&prepared, options);
    run.play(&mut |_, _| {}).unwrap_or_else(|wrong| panic!("{book}{wrong}"));
    let group = run.group_of("acme").unwrap();
    let account = group.get("acme").unwrap();
    let steps: Vec<(Instant, String)> = account
        .history
        .iter()
        .filter(|step| step.subscription.as_deref() == Some("calls"))
        .map(|step| (step.at, step.what.clone()))
        .collect();
    prop_assert_eq!(&steps, &model.steps, "{}", book);
    let owes = owed(group, "acme").unwrap();
    prop_assert_eq!(account.lifecycle.arrears.is_some(), owes > Amount::ZERO, "{}", book);
    let cents = Exact::ratio(i128::from(-model.balance.min(0)), 100).unwrap();
    prop_assert_eq!(owes.exact(), cents, "{}", book);
    prop_assert_eq!(account.lifecycle.arrears.as_ref().map(|one| one.since), model.since.map(moment));
    let mut replayed = Group::default();
    for fact in &run.facts {
        replayed.apply(fact).unwrap();
    }
    prop_assert_eq!(&replayed, group);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arrears_freeze_and_release_at_their_instants(history in history()) {
        check(&history)?;
    }
}
