//! A small price list for the tests of this crate: calls by the minute, seats by the day.

use crate::calendar::{Cycle, Instant, Zone};
use crate::catalog::*;
use crate::engine::{Catalogues, lanes};
use crate::metering::{Event, Metering, Value};
use crate::money::{Currency, Exact};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn at(text: &str) -> Instant {
    zone().at(text.parse().expect("a local time"))
}

pub(crate) fn zone() -> Zone {
    Zone::parse("+08:00").expect("an offset")
}

pub(crate) fn exact(text: &str) -> Exact {
    Exact::parse(text, 10).expect("a decimal")
}

fn charge(id: &str, measure: Measure, settle: Cycle, price: &str) -> Charge {
    Charge {
        id: id.into(),
        title: id.into(),
        modes: vec![Mode::PayPerUse],
        measure,
        accumulate: settle,
        per: Vec::new(),
        settle: Settle::Each(settle),
        pricing: Pricing {
            model: Model::PerUnit(exact(price)),
            free: Exact::ZERO,
            minimum: None,
            maximum: None,
        },
        draws: true,
        past_package: PastPackage::Charge,
        tiers_count_all: false,
        takes_all: false,
        concurrency: None,
        discountable: true,
        rules: Vec::new(),
    }
}

/// A plan `calls`: minutes at 0.10 settled by the hour, the most lines open in a month at 1.00, and
/// phones held by the second at 0.60 an hour; a plan `seats`: 310.00 a month by the day.
pub(crate) fn catalogues() -> Catalogues {
    let meter = |id: &str, of: &str, aggregate, step: i128, unit_size: i128| Meter {
        id: id.into(),
        event: "call".into(),
        filters: vec![Filter { attribute: "direction".into(), test: Test::NoneOf(vec!["internal".into()]) }],
        aggregate,
        of: Some(of.into()),
        rounding: if step > 0 { Rounding::EachUp(Exact::whole(step)) } else { Rounding::None },
        unit_size: Exact::whole(unit_size),
        unit: "minute".into(),
        timed_by_start: false,
        by: None,
    };
    let meters =
        [meter("minutes", "seconds", Aggregate::Sum, 60, 60), meter("lines", "lines", Aggregate::Max, 0, 1)];
    let held = |by| Measure::Held(Held { by, while_stopped: true });
    let days = HeldBy::Day { last_day: false, month: MonthDays::Actual };
    let plan = |id: &str, charges| Plan {
        id: id.into(),
        title: id.into(),
        unit: "seat".into(),
        modes: vec![Mode::PayPerUse],
        binds: Vec::new(),
        charges,
        ..Plan::default()
    };
    let calls = vec![
        charge("minutes", Measure::Meter("minutes".into()), Cycle::Hour, "0.10"),
        charge("lines", Measure::Meter("lines".into()), Cycle::Month, "1.00"),
        charge("phones", held(HeldBy::Second), Cycle::Hour, "0.60"),
    ];
    let plans = [plan("calls", calls), plan("seats", vec![charge("days", held(days), Cycle::Month, "310")])];
    let plans = plans.into_iter().map(|plan| (plan.id.clone(), plan)).collect();
    let mut catalogues = Catalogues::default();
    let added = catalogues.add(Catalogue {
        id: "test".into(),
        version: "1".into(),
        title: "Test".into(),
        hash: String::new(),
        effective: None,
        zone: zone(),
        currency: Currency::parse("CNY").expect("a currency"),
        source: String::new(),
        policy: Policy::default(),
        meters: meters.into_iter().map(|meter| (meter.id.clone(), Arc::new(meter))).collect(),
        decks: BTreeMap::new(),
        licences: BTreeMap::new(),
        products: BTreeMap::from([("p".into(), Product { id: "p".into(), title: "P".into(), plans })]),
    });
    added.expect("the first of its name");
    catalogues
}

/// Counters for the account `acme`, which orders `calls`.
pub(crate) fn metering(cuts: &[Instant]) -> Metering {
    let plans = BTreeMap::from([(("test".to_owned(), "calls".to_owned()), Instant::MIN)]);
    let accounts = ["acme".to_owned(), "idle".to_owned()];
    Metering::new(accounts, lanes(&catalogues(), "acme", &plans, cuts))
}

/// A call of `acme`.
pub(crate) fn call<'a>(
    id: &'a str,
    time: Instant,
    seconds: &'a str,
    more: &[(&'a str, &'a str)],
) -> Event<'a> {
    let mut attributes = vec![
        ("direction", Value::Text("in")),
        ("seconds", Value::Text(seconds)),
        ("lines", Value::Text("1")),
    ];
    for (name, value) in more {
        attributes.retain(|(known, _)| known != name);
        attributes.push((name, Value::Text(value)));
    }
    Event { source: "s", id, revision: 0, kind: "call", account: "acme", time, start: None, attributes }
}
