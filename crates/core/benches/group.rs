//! How fast a group of many subscriptions settles, and an account after a short and a long life.
//!
//! `cargo bench -p farebox-core --bench group`. Figures are in docs/speed.md.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use farebox_core::account::Group;
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::catalog::*;
use farebox_core::engine::{Action, Catalogues, Command, Duty, Late, Moment, decide, lanes, next_due};
use farebox_core::metering::{Change, Event, Metering, Value};
use farebox_core::money::{Currency, Exact};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

fn exact(text: &str) -> Exact {
    Exact::parse(text, 10).unwrap()
}

fn zone() -> Zone {
    Zone::parse("+08:00").unwrap()
}

/// 1 January 2026, 00:00 in the zone.
fn start() -> Instant {
    "2025-12-31T16:00:00Z".parse().unwrap()
}

fn charge(id: &str, measure: Measure, settle: Settle, price: &str) -> Charge {
    Charge {
        id: id.into(),
        title: id.into(),
        modes: vec![Mode::PayPerUse, Mode::Prepaid],
        measure,
        accumulate: Cycle::Month,
        per: Vec::new(),
        settle,
        pricing: Pricing {
            model: Model::PerUnit(exact(price)),
            free: Exact::ZERO,
            minimum: None,
            maximum: None,
        },
        discountable: true,
        draws: true,
        past_package: PastPackage::Charge,
        tiers_count_all: false,
        takes_all: false,
        concurrency: None,
        rules: Vec::new(),
    }
}

fn plan(id: &str, binds: &[&str], charge: Charge) -> (String, Plan) {
    let plan = Plan {
        id: id.into(),
        title: id.into(),
        unit: "unit".into(),
        modes: vec![Mode::PayPerUse, Mode::Prepaid],
        terms_months: vec![1],
        binds: binds.iter().map(|name| (*name).to_owned()).collect(),
        charges: vec![charge],
        ..Plan::default()
    };
    (id.to_owned(), plan)
}

fn meter(id: &str, event: &str, of: Option<&str>, aggregate: Aggregate) -> (String, Arc<Meter>) {
    let meter = Meter {
        id: id.into(),
        event: event.into(),
        filters: Vec::new(),
        aggregate,
        of: of.map(str::to_owned),
        rounding: Rounding::None,
        unit_size: Exact::ONE,
        unit: "unit".into(),
        timed_by_start: false,
        by: None,
    };
    (id.to_owned(), Arc::new(meter))
}

/// Days of grace and retention, for customers with a tier.
fn arrears() -> ArrearsPolicy {
    let periods = Periods { grace_days: 7, retention_days: 7 };
    ArrearsPolicy {
        default_tier: "V1".into(),
        grace_operations: GraceOperations::All,
        charge_while_frozen: false,
        tiers: vec![ArrearsTier { id: "V1".into(), pay_per_use: periods, prepaid: periods }],
    }
}

/// A package of calls for each calendar month.
fn grant() -> Grant {
    Grant {
        id: "calls".into(),
        title: "Calls".into(),
        meter: "calls".into(),
        units: Exact::whole(20),
        resets: Resets::Month,
        kind: GrantKind::Included,
        origin: Origin::Bought,
        scope: Vec::new(),
        late_days: 0,
        alerts: Vec::new(),
        rules: Vec::new(),
    }
}

/// `tiers`: with packages, and with grace and retention.
fn catalogues(tiers: bool) -> Catalogues {
    let by_day = Held { by: HeldBy::Day { last_day: false, month: MonthDays::Actual }, while_stopped: true };
    let (day, month) = (Settle::Each(Cycle::Day), Settle::Each(Cycle::Month));
    let metered = |meter: &str| Measure::Meter(meter.into());
    let mut plans = BTreeMap::from([
        plan("line", &["number"], charge("seconds", metered("seconds"), month, "0.01")),
        plan("seat", &[], charge("days", Measure::Held(by_day), month, "310")),
        plan("calls", &[], charge("calls", metered("calls"), day, "0.02")),
        plan("disk", &[], charge("hours", metered("hours"), day, "0.0001")),
        plan("term", &[], charge("term", Measure::Term, Settle::AtPurchase, "100")),
    ]);
    if let Some(term) = plans.get_mut("term").filter(|_| tiers) {
        term.grants.push(grant());
    }
    let policy = Policy { arrears: tiers.then(arrears), ..Policy::default() };
    let product = Product { id: "p".into(), title: "P".into(), plans };
    let mut catalogues = Catalogues::default();
    let list = Catalogue {
        id: "bench".into(),
        version: "1".into(),
        title: "Bench".into(),
        hash: String::new(),
        effective: None,
        zone: zone(),
        currency: Currency::parse("CNY").unwrap(),
        source: String::new(),
        policy,
        meters: BTreeMap::from([
            meter("seconds", "call", Some("seconds"), Aggregate::Sum),
            meter("calls", "request", None, Aggregate::Count),
            meter("hours", "level", Some("gb"), Aggregate::TimeWeighted),
        ]),
        decks: BTreeMap::new(),
        licences: BTreeMap::new(),
        products: BTreeMap::from([(product.id.clone(), product)]),
    };
    catalogues.add(list).unwrap();
    catalogues
}

/// A group and what it is decided with.
struct World {
    catalogues: Catalogues,
    metering: Metering,
    group: Group,
    /// Until when what time does is done.
    done: Moment,
}

impl World {
    fn new(accounts: &[String], plans: &[&str], tiers: bool) -> World {
        let catalogues = catalogues(tiers);
        let plans: BTreeMap<(String, String), Instant> =
            plans.iter().map(|plan| (("bench".to_owned(), (*plan).to_owned()), Instant::MIN)).collect();
        let specs: Vec<_> =
            accounts.iter().flat_map(|account| lanes(&catalogues, account, &plans, &[])).collect();
        let metering = Metering::new(accounts.iter().cloned(), specs);
        let done = Moment { at: start(), done: Duty::Lifecycle };
        let mut world = World { catalogues, metering, group: Group::default(), done };
        for account in accounts {
            let payer = (*account != accounts[0]).then(|| accounts[0].clone());
            let currency = Currency::parse("CNY").unwrap();
            let (title, tier) = (account.clone(), tiers.then(|| "V1".to_owned()));
            world.act(account, start(), Action::Open { title, currency, zone: zone(), payer, tier });
        }
        world
    }

    fn act(&mut self, account: &str, effective_at: Instant, action: Action) {
        let command = Command { account: account.to_owned(), effective_at, action };
        let facts = decide(&self.group, &self.catalogues, &self.metering, &command, effective_at).unwrap();
        for fact in facts {
            self.group.apply(&fact).unwrap();
        }
    }

    fn order(&mut self, account: &str, at: Instant, plan: &str, name: &str, number: Option<&str>) {
        let months = (plan == "term").then_some(1);
        let attributes = number.map(|number| ("number".to_owned(), number.to_owned())).into_iter();
        let action = Action::Subscribe {
            plan: plan.to_owned(),
            name: Some(name.to_owned()),
            quantity: 1,
            mode: Some(if months.is_some() { Mode::Prepaid } else { Mode::PayPerUse }),
            months,
            attributes: attributes.collect(),
            auto: None,
        };
        self.act(account, at, action);
    }

    fn use_it(&mut self, account: &str, kind: &str, time: Instant, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(name, value)| (*name, Value::Text(value))).collect();
        let event = Event { source: "s", id: "", revision: 0, kind, account, time, start: None, attributes };
        self.metering.count(&event, Change::Add).unwrap();
    }

    /// Does what time does until a moment, all of it.
    fn until(&mut self, payer: &str, at: Instant) {
        let due = |world: &World| next_due(&world.group, &world.catalogues, payer, world.done, &Late::new());
        while let Some((due, duty)) = due(self).filter(|(due, _)| *due <= at) {
            self.act(payer, due, Action::Due { duty, late: Late::new() });
            self.done = Moment { at: due, done: duty };
        }
    }

    fn settlement(&self, payer: &str, at: Instant) {
        let action = Action::settle(Late::new());
        let command = Command { account: payer.to_owned(), effective_at: at, action };
        black_box(decide(&self.group, &self.catalogues, &self.metering, &command, at)).unwrap();
    }

    fn next(&self, payer: &str, at: Instant) {
        let after = Moment { at, done: Duty::Charges };
        black_box(next_due(&self.group, &self.catalogues, payer, after, &Late::new()));
    }
}

fn after(at: Instant, seconds: i64) -> Instant {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

/// Subscriptions, each bound to a number, each with 20 calls in the month.
fn lines(accounts: usize, each: usize) -> World {
    let names: Vec<String> = (0..accounts).map(|index| format!("account-{index:05}")).collect();
    let mut world = World::new(&names, &["line"], false);
    for (index, account) in names.iter().enumerate() {
        for line in 0..each {
            let number = format!("{:08}", index * each + line);
            world.order(account, start(), "line", &format!("line-{number}"), Some(&number));
            for call in 0..20 {
                let at = after(start(), call * 100_000 + line as i64);
                world.use_it(account, "call", at, &[("number", &number), ("seconds", "61")]);
            }
        }
    }
    world
}

fn large_groups(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("a month's settlement");
    bench.sample_size(10);
    let end = zone().cycle(Cycle::Month, start()).end;
    for (accounts, each) in [(1, 1_000), (1, 10_000), (100, 100)] {
        let world = lines(accounts, each);
        bench.throughput(Throughput::Elements((accounts * each) as u64));
        let name = format!("{accounts} × {each} subscriptions");
        bench.bench_function(BenchmarkId::new("settle", &name), |bench| {
            bench.iter(|| world.settlement("account-00000", end));
        });
        bench.bench_function(BenchmarkId::new("what is due next", &name), |bench| {
            bench.iter(|| world.next("account-00000", start()));
        });
    }
    bench.finish();
}

/// An account with seats, calls, a disk whose level changes every day, a term renewed each month, and
/// a line that is ordered and given up each month; settled day by day. `tiers`: it pays from a balance,
/// with grace and retention, and its calls draw from a package.
fn old_account(months: usize, tiers: bool) -> (World, Instant) {
    let name = "acme".to_owned();
    let mut world = World::new(std::slice::from_ref(&name), &["line", "seat", "calls", "disk"], tiers);
    if tiers {
        world.act(&name, start(), Action::TopUp { amount: Exact::whole(1_000_000_000) });
    }
    for plan in ["seat", "calls", "disk", "term"] {
        world.order(&name, start(), plan, plan, None);
    }
    let mut at = start();
    for month in 0..=months {
        let span = zone().cycle(Cycle::Month, at);
        let line = format!("line-{month}");
        world.order(&name, at, "line", &line, Some("1"));
        let mut day = zone().cycle(Cycle::Day, at);
        loop {
            world.use_it(&name, "request", after(day.start, 60), &[]);
            world.use_it(&name, "level", after(day.start, 3_600), &[("gb", "7")]);
            if month == months {
                return (world, day.end);
            }
            if day.end == span.end {
                break;
            }
            world.until(&name, day.end);
            day = zone().cycle(Cycle::Day, day.end);
        }
        let last = after(span.end, -3_600);
        world.act(&name, last, Action::Cancel { subscription: line });
        world.act(&name, last, Action::Renew { subscription: "term".into(), months: 1 });
        world.until(&name, span.end);
        at = span.end;
    }
    (world, at)
}

fn age(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("age");
    for (months, tiers) in [(1, false), (120, false), (1, true), (120, true)] {
        let (world, at) = old_account(months, tiers);
        let with = if tiers { "with a tier and packages" } else { "by invoice" };
        let id = |what: &str| BenchmarkId::new(format!("{what}, {with}, months of history"), months);
        bench.bench_function(id("one day's settlement"), |bench| {
            bench.iter(|| world.settlement("acme", at));
        });
        bench.bench_function(id("what is due next"), |bench| {
            bench.iter(|| world.next("acme", at));
        });
        // Grace and retention are looked after, and packages, whenever anything happens.
        for duty in [Duty::Packages, Duty::Lifecycle].into_iter().filter(|_| tiers) {
            let action = Action::Due { duty, late: Late::new() };
            let command = Command { account: "acme".to_owned(), effective_at: at, action };
            bench.bench_function(id(&format!("{duty:?}")), |bench| {
                bench.iter(|| {
                    black_box(decide(&world.group, &world.catalogues, &world.metering, &command, at)).unwrap()
                });
            });
        }
    }
    bench.finish();
}

criterion_group!(benches, large_groups, age);
criterion_main!(benches);
