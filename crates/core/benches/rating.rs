//! How fast events are rated, and how fast an account settles.
//!
//! `cargo bench -p farebox-core`. Figures are in docs/speed.md.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use farebox_core::account::Group;
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::catalog::*;
use farebox_core::engine::{Action, Catalogues, Command, Late, decide, lanes};
use farebox_core::metering::{Change, Event, Metering, Value};
use farebox_core::money::{Currency, Exact};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

const ACCOUNT: &str = "acme";

fn exact(text: &str) -> Exact {
    Exact::parse(text, 10).unwrap()
}

fn charge(id: &str, meter: &str, settle: Cycle, accumulate: Cycle, model: Model) -> Charge {
    Charge {
        id: id.into(),
        title: id.into(),
        modes: vec![Mode::PayPerUse],
        measure: Measure::Meter(meter.into()),
        accumulate,
        per: Vec::new(),
        settle: Settle::Each(settle),
        pricing: Pricing { model, free: Exact::ZERO, minimum: None, maximum: None },
        draws: true,
        past_package: PastPackage::Charge,
        tiers_count_all: false,
        takes_all: false,
        concurrency: None,
        discountable: true,
        rules: Vec::new(),
    }
}

fn plan(charges: Vec<Charge>) -> Plan {
    Plan {
        id: "calls".into(),
        title: "Calls".into(),
        unit: "account".into(),
        modes: vec![Mode::PayPerUse],
        binds: Vec::new(),
        charges,
        ..Plan::default()
    }
}

fn meter(of: Option<&str>, aggregate: Aggregate, rounding: Rounding) -> Meter {
    Meter {
        id: "minutes".into(),
        event: "call".into(),
        filters: vec![Filter { attribute: "direction".into(), test: Test::OneOf(vec!["outbound".into()]) }],
        aggregate,
        of: of.map(str::to_owned),
        rounding,
        unit_size: Exact::whole(60),
        unit: "minute".into(),
        timed_by_start: false,
        by: None,
    }
}

fn catalogue(meter: Meter, deck: Option<Deck>, charges: Vec<Charge>) -> Catalogues {
    let plan = plan(charges);
    let product =
        Product { id: "p".into(), title: "P".into(), plans: BTreeMap::from([(plan.id.clone(), plan)]) };
    let mut catalogues = Catalogues::default();
    catalogues
        .add(Catalogue {
            id: "bench".into(),
            version: "1".into(),
            title: "Bench".into(),
            hash: String::new(),
            effective: None,
            zone: Zone::parse("+08:00").unwrap(),
            currency: Currency::parse("CNY").unwrap(),
            source: String::new(),
            policy: Policy::default(),
            meters: BTreeMap::from([(meter.id.clone(), Arc::new(meter))]),
            decks: deck.into_iter().map(|deck| (deck.id.clone(), Arc::new(deck))).collect(),
            licences: BTreeMap::new(),
            products: BTreeMap::from([(product.id.clone(), product)]),
        })
        .unwrap();
    catalogues
}

fn metering(catalogues: &Catalogues) -> Metering {
    let plans = BTreeMap::from([(("bench".to_owned(), "calls".to_owned()), Instant::MIN)]);
    Metering::new([ACCOUNT.to_owned()], lanes(catalogues, ACCOUNT, &plans, &[]))
}

/// Calls over a month, by 50 numbers and 4 projects, as an importer hands them over.
fn calls(count: usize, months: i64) -> Vec<(Instant, String, i64, usize)> {
    let start = 1_767_225_600 + months * 2_629_746;
    (0..count)
        .map(|index| {
            let second = start + (index as i64 * 2_678_400) / count as i64;
            let number = format!("4420{:07}", index * 7919 % 10_000_000);
            (Instant::from_second(second).unwrap(), number, (index as i64 * 37) % 600, index % 4)
        })
        .collect()
}

const PROJECTS: [&str; 4] = ["hotline", "sales", "returns", "night"];

fn one_event((time, number, seconds, project): &(Instant, String, i64, usize)) -> Event<'_> {
    Event {
        source: "switch",
        id: "",
        revision: 0,
        kind: "call",
        account: ACCOUNT,
        time: *time,
        start: None,
        attributes: vec![
            ("direction", Value::Text("outbound")),
            ("seconds", Value::Number(Exact::whole((*seconds).into()))),
            ("to", Value::Text(number)),
            ("project", Value::Text(PROJECTS[*project])),
        ],
    }
}

/// The events as an importer has parsed them.
fn parsed(calls: &[(Instant, String, i64, usize)]) -> Vec<Event<'_>> {
    calls.iter().map(one_event).collect()
}

fn count(metering: &mut Metering, events: &[Event<'_>]) {
    for event in events {
        black_box(metering.count(event, Change::Add)).unwrap();
    }
}

fn deck() -> Deck {
    let rate = DeckRate { first_per_minute: exact("0.30"), next_per_minute: exact("0.12") };
    let row = |prefix: &str| DeckRow {
        prefix: prefix.into(),
        title: prefix.into(),
        connect_fee: exact("0.10"),
        first_step_s: 60,
        next_step_s: 6,
        rates: vec![rate],
    };
    let mut prefixes: Vec<String> = (1..1000).map(|prefix| prefix.to_string()).collect();
    prefixes.extend(["44201", "44202", "442099"].map(str::to_owned));
    prefixes.sort();
    Deck {
        id: "world".into(),
        destination: "to".into(),
        bands: vec![Band { id: "always".into(), hours: Vec::new() }],
        rows: prefixes.iter().map(|prefix| row(prefix)).collect(),
    }
}

fn rating(criterion: &mut Criterion) {
    let calls = calls(100_000, 0);
    let events = parsed(&calls);
    let mut group = criterion.benchmark_group("rating");
    group.throughput(Throughput::Elements(events.len() as u64));
    let minutes = meter(Some("seconds"), Aggregate::Sum, Rounding::EachUp(Exact::whole(60)));
    let per_minute = charge("minutes", "minutes", Cycle::Day, Cycle::Month, Model::PerUnit(exact("0.1")));
    let by_minute = catalogue(minutes, None, vec![per_minute]);
    let by_deck = catalogue(
        meter(Some("seconds"), Aggregate::Sum, Rounding::None),
        Some(deck()),
        vec![charge("calls", "minutes", Cycle::Day, Cycle::Day, Model::Deck("world".into()))],
    );
    for (name, catalogues) in
        [("calls by the minute", &by_minute), ("calls by a deck of 1,002 prefixes", &by_deck)]
    {
        let empty = metering(catalogues);
        group.bench_function(name, |bench| {
            bench.iter_batched_ref(
                || empty.clone(),
                |metering| count(metering, &events),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Opens an account with calls of a month and settles up to the month's end.
fn settled(catalogues: &Catalogues, metering: &Metering, months: i64) -> Group {
    let mut group = Group::default();
    let start: Instant = "2025-12-31T16:00:00Z".parse().unwrap();
    let mut act = |effective_at: Instant, action: Action| {
        let command = Command { account: ACCOUNT.into(), effective_at, action };
        for fact in decide(&group, catalogues, metering, &command, effective_at).unwrap() {
            group.apply(&fact).unwrap();
        }
    };
    let currency = Currency::parse("CNY").unwrap();
    act(
        start,
        Action::Open {
            title: "Acme".into(),
            currency,
            zone: Zone::parse("+08:00").unwrap(),
            payer: None,
            tier: None,
        },
    );
    let plan = "calls".to_owned();
    let attributes = BTreeMap::new();
    act(
        start,
        Action::Subscribe { plan, name: None, quantity: 1, mode: None, months: None, auto: None, attributes },
    );
    let zone = Zone::parse("+08:00").unwrap();
    let mut at = start;
    for _ in 0..months {
        let month = zone.cycle(Cycle::Month, at);
        let mut day = zone.cycle(Cycle::Day, at);
        while day.end < month.end {
            act(day.end, Action::settle(Late::new()));
            day = zone.cycle(Cycle::Day, day.end);
        }
        act(month.end, Action::settle(Late::new()));
        at = month.end;
    }
    group
}

fn settlement(criterion: &mut Criterion) {
    let minutes = meter(Some("seconds"), Aggregate::Sum, Rounding::EachUp(Exact::whole(60)));
    let tiers = vec![
        Tier { up_to: Some(exact("1000")), price: exact("0.12"), flat: Exact::ZERO },
        Tier { up_to: None, price: exact("0.10"), flat: Exact::ZERO },
    ];
    let tiered = charge("minutes", "minutes", Cycle::Day, Cycle::Month, Model::Graduated(tiers));
    let catalogues = catalogue(minutes, None, vec![tiered]);
    let mut metering = metering(&catalogues);
    count(&mut metering, &parsed(&calls(100_000, 0)));
    count(&mut metering, &parsed(&calls(100_000, 120)));
    let mut bench = criterion.benchmark_group("settlement");
    bench.sample_size(20);
    bench.bench_function("a month of 31 daily settlements, graduated, 4 projects", |bench| {
        bench.iter(|| black_box(settled(&catalogues, &metering, 1)));
    });
    // The same last settlement after a short and a long life.
    for months in [1, 120] {
        let group = settled(&catalogues, &metering, months);
        let zone = Zone::parse("+08:00").unwrap();
        let mut at: Instant = "2025-12-31T16:00:00Z".parse().unwrap();
        for _ in 0..months {
            at = zone.cycle(Cycle::Month, at).end;
        }
        let effective_at = zone.cycle(Cycle::Day, at).end;
        let command = Command { account: ACCOUNT.into(), effective_at, action: Action::settle(Late::new()) };
        bench.bench_function(format!("one day, after {months} months of history"), |bench| {
            bench.iter(|| black_box(decide(&group, &catalogues, &metering, &command, effective_at)).unwrap());
        });
    }
    bench.finish();
}

criterion_group!(benches, rating, settlement);
criterion_main!(benches);
