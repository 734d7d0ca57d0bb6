//! How fast usage draws from packages, of which an account has many, and sessions hold units of them.
//!
//! `cargo bench -p farebox-core --bench draw`. Figures are in docs/speed.md.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use farebox_core::account::Group;
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::catalog::*;
use farebox_core::engine::{
    Action, Catalogues, Command, Duty, Fact, Late, Moment, decide, holds, lanes, next_due, packages,
};
use farebox_core::metering::{Change, Event, Metering};
use farebox_core::money::{Currency, Exact};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

const ACCOUNT: &str = "acme";
/// Units in each bucket.
const UNITS: i128 = 10;

fn zone() -> Zone {
    Zone::parse("+08:00").unwrap()
}

/// 1 January 2026, 00:00 in the zone.
fn start() -> Instant {
    "2025-12-31T16:00:00Z".parse().unwrap()
}

fn after(at: Instant, seconds: i64) -> Instant {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

fn charge(id: &str, mode: Mode, measure: Measure, settle: Settle) -> Charge {
    Charge {
        id: id.into(),
        title: id.into(),
        modes: vec![mode],
        measure,
        accumulate: Cycle::Month,
        per: Vec::new(),
        settle,
        pricing: Pricing {
            model: Model::PerUnit(Exact::parse("0.02", 2).unwrap()),
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

fn plan(id: &str, mode: Mode, charge: Charge, grants: Vec<Grant>) -> (String, Plan) {
    let plan = Plan {
        id: id.into(),
        title: id.into(),
        unit: "unit".into(),
        modes: vec![mode],
        terms_months: vec![1],
        charges: vec![charge],
        grants,
        ..Plan::default()
    };
    (id.to_owned(), plan)
}

/// Calls that settle by the day, and packages of them for a month.
fn catalogues() -> Catalogues {
    let calls = Measure::Meter("calls".into());
    let grant = Grant {
        id: "calls".into(),
        title: "Calls".into(),
        meter: "calls".into(),
        units: Exact::whole(UNITS),
        resets: Resets::Never,
        kind: GrantKind::AddOn,
        origin: Origin::Bought,
        scope: Vec::new(),
        late_days: 0,
        alerts: Vec::new(),
        rules: Vec::new(),
    };
    let plans = BTreeMap::from([
        plan(
            "calls",
            Mode::PayPerUse,
            charge("calls", Mode::PayPerUse, calls, Settle::Each(Cycle::Day)),
            vec![],
        ),
        plan(
            "package",
            Mode::Prepaid,
            charge("term", Mode::Prepaid, Measure::Term, Settle::AtPurchase),
            vec![grant],
        ),
    ]);
    let product = Product { id: "p".into(), title: "P".into(), plans };
    let meter = Meter {
        id: "calls".into(),
        event: "call".into(),
        filters: Vec::new(),
        aggregate: Aggregate::Count,
        of: None,
        rounding: Rounding::None,
        unit_size: Exact::ONE,
        unit: "call".into(),
        timed_by_start: false,
        by: None,
    };
    let list = Catalogue {
        id: "bench".into(),
        version: "1".into(),
        title: "Bench".into(),
        hash: String::new(),
        effective: None,
        zone: zone(),
        currency: Currency::parse("CNY").unwrap(),
        source: String::new(),
        policy: Policy::default(),
        meters: BTreeMap::from([("calls".to_owned(), Arc::new(meter))]),
        decks: BTreeMap::new(),
        licences: BTreeMap::new(),
        products: BTreeMap::from([(product.id.clone(), product)]),
    };
    let mut catalogues = Catalogues::default();
    catalogues.add(list).unwrap();
    catalogues
}

struct World {
    catalogues: Catalogues,
    metering: Metering,
    group: Group,
    /// Until when what time does is done.
    done: Moment,
}

impl World {
    fn new() -> World {
        let catalogues = catalogues();
        let plans = BTreeMap::from([(("bench".to_owned(), "calls".to_owned()), Instant::MIN)]);
        let metering = Metering::new([ACCOUNT.to_owned()], lanes(&catalogues, ACCOUNT, &plans, &[]));
        let done = Moment { at: start(), done: *Duty::ALL.last().unwrap() };
        let mut world = World { catalogues, metering, group: Group::default(), done };
        let (title, currency) = (ACCOUNT.to_owned(), Currency::parse("CNY").unwrap());
        world.act(start(), Action::Open { title, currency, zone: zone(), payer: None, tier: None });
        world.order(start(), "calls", "line");
        world
    }

    fn act(&mut self, at: Instant, action: Action) {
        let command = Command { account: ACCOUNT.to_owned(), effective_at: at, action };
        let facts = decide(&self.group, &self.catalogues, &self.metering, &command, at).unwrap();
        for fact in facts {
            self.group.apply(&fact).unwrap();
        }
    }

    /// Does what time does until a moment, all of it.
    fn until(&mut self, at: Instant) {
        while let Some((due, duty)) = self.next().filter(|(due, _)| *due <= at) {
            self.act(due, Action::Due { duty, late: Late::new() });
            self.done = Moment { at: due, done: duty };
        }
    }

    fn next(&self) -> Option<(Instant, Duty)> {
        next_due(&self.group, &self.catalogues, ACCOUNT, self.done, &Late::new())
    }

    fn order(&mut self, at: Instant, plan: &str, name: &str) {
        let prepaid = plan == "package";
        let action = Action::Subscribe {
            plan: plan.to_owned(),
            name: Some(name.to_owned()),
            quantity: 1,
            mode: Some(if prepaid { Mode::Prepaid } else { Mode::PayPerUse }),
            months: prepaid.then_some(1),
            attributes: BTreeMap::new(),
            auto: None,
        };
        self.act(at, action);
    }

    /// Packages, each with a bucket of its own, which opens.
    fn packages(&mut self, at: Instant, count: usize) {
        for index in 0..count {
            self.order(at, "package", &format!("package-{at}-{index:05}"));
        }
        self.until(after(at, 1));
    }

    fn calls(&mut self, at: Instant, count: i128) {
        for _ in 0..count {
            let (source, id, kind, account) = ("s", "", "call", ACCOUNT);
            let event =
                Event { source, id, revision: 0, kind, account, time: at, start: None, attributes: vec![] };
            self.metering.count(&event, Change::Add).unwrap();
        }
    }

    fn settlement(&self, at: Instant) {
        let command =
            Command { account: ACCOUNT.to_owned(), effective_at: at, action: Action::settle(Late::new()) };
        black_box(decide(&self.group, &self.catalogues, &self.metering, &command, at)).unwrap();
    }

    /// From how many buckets a settlement draws.
    fn drawn(&self, at: Instant) -> usize {
        let action = Action::settle(Late::new());
        let command = Command { account: ACCOUNT.to_owned(), effective_at: at, action };
        let facts = decide(&self.group, &self.catalogues, &self.metering, &command, at).unwrap();
        let draws = |fact: &Fact| match fact {
            Fact::Packages(packages::Fact::Drawn { draws, .. }) => draws.len(),
            _ => 0,
        };
        facts.iter().map(draws).sum()
    }
}

/// The day's settlement of an account with so many packages, whose calls draw from so many of them.
fn draw_down(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("draw-down");
    for (buckets, drawn) in [(1, 1), (1_000, 1), (1_000, 1_000), (10_000, 10_000)] {
        let mut world = World::new();
        world.packages(start(), buckets);
        world.calls(after(start(), 60), drawn as i128 * UNITS);
        let end = zone().cycle(Cycle::Day, start()).end;
        assert_eq!(world.drawn(end), drawn);
        let of = format!("{buckets} buckets, {drawn} drawn");
        bench.bench_function(BenchmarkId::new("settle a day", &of), |bench| {
            bench.iter(|| world.settlement(end));
        });
        bench.bench_function(BenchmarkId::new("what is due next", &of), |bench| {
            bench.iter(|| black_box(world.next()));
        });
    }
    bench.finish();
}

/// The same with one package, after so many that ended.
fn ended(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("draw-down after packages that ended");
    for before in [0, 1_000] {
        let mut world = World::new();
        world.packages(start(), before);
        let month = zone().cycle(Cycle::Month, start()).end;
        let later = zone().cycle(Cycle::Month, month).end;
        world.until(later);
        world.packages(later, 1);
        world.calls(after(later, 60), UNITS);
        let end = zone().cycle(Cycle::Day, later).end;
        assert_eq!(world.drawn(end), 1);
        bench.bench_function(BenchmarkId::new("settle a day", before), |bench| {
            bench.iter(|| world.settlement(end));
        });
        bench.bench_function(BenchmarkId::new("what is due next", before), |bench| {
            bench.iter(|| black_box(world.next()));
        });
    }
    bench.finish();
}

/// What a session asks for: so many calls.
fn hold(id: String, units: i128, at: Instant) -> Action {
    Action::Holds(holds::Action::Create {
        id,
        source: "s".to_owned(),
        kind: "call".to_owned(),
        attributes: BTreeMap::new(),
        units: Exact::whole(units),
        until: after(at, 3_600),
    })
}

/// Whether a session may begin, while so many others run, in an account with so many packages and
/// lines; and its end.
fn sessions(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("hold");
    for (buckets, lines, open) in [(1, 1, 0), (1_000, 1, 0), (1_000, 1, 1_000), (1_000, 1_000, 1_000)] {
        let mut world = World::new();
        for line in 1..lines {
            world.order(start(), "calls", &format!("line-{line}"));
        }
        world.packages(start(), buckets);
        let at = after(start(), 60);
        for session in 0..open {
            world.act(at, hold(format!("open-{session}"), 1, at));
        }
        let of = format!("{buckets} buckets, {lines} lines, {open} sessions");
        let mut decides = |what: &str, action: Action| {
            let command = Command { account: ACCOUNT.to_owned(), effective_at: at, action };
            let World { group, catalogues, metering, .. } = &world;
            assert!(decide(group, catalogues, metering, &command, at).is_ok());
            bench.bench_function(BenchmarkId::new(what, &of), |bench| {
                bench.iter(|| black_box(decide(group, catalogues, metering, &command, at)));
            });
        };
        decides("create", hold("new".to_owned(), 2, at));
        if open > 0 {
            let (id, used) = ("open-0".to_owned(), Exact::ONE);
            decides("release", Action::Holds(holds::Action::Release { id, used }));
        }
    }
    bench.finish();
}

criterion_group!(benches, draw_down, ended, sessions);
criterion_main!(benches);
