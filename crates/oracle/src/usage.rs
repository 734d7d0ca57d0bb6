//! Which usage counts, who takes it, and how much it is.

use crate::catalogue::{Catalogue, Condition, Measure, Meter};
use crate::history::{Account, Event, Subscription};
use crate::number::{Number, decimal, up_to, whole, zero};
use crate::price;
use jiff::Timestamp;
use num_traits::Signed;
use std::collections::{BTreeMap, BTreeSet};

/// The events that count by what had arrived before a moment: of each identity the highest
/// revision, once, unless it was taken back, before or after it arrived.
pub fn known(account: &Account, before: Timestamp) -> Vec<&Event> {
    let mut by_identity: BTreeMap<&(String, String), &Event> = BTreeMap::new();
    for event in account.events.iter().filter(|event| event.arrived < before) {
        match by_identity.get(&event.identity) {
            Some(there) if there.revision >= event.revision => {}
            _ => {
                by_identity.insert(&event.identity, event);
            }
        }
    }
    let voided = |event: &Event| {
        account.voids.iter().any(|(at, source, id)| {
            *at < before
                && (source.as_str(), id.as_str()) == (event.identity.0.as_str(), event.identity.1.as_str())
        })
    };
    by_identity.into_values().filter(|event| !voided(event)).collect()
}

/// The moment that decides to which period an event belongs.
pub fn moment(meter: &Meter, event: &Event) -> Timestamp {
    if meter.by_start { event.start.unwrap_or(event.time) } else { event.time }
}

/// Whether a meter counts an event.
pub fn counts(meter: &Meter, event: &Event) -> bool {
    let holds = |(attribute, condition): &(String, Condition)| {
        let Some(value) = event.attributes.get(attribute) else { return false };
        match condition {
            Condition::OneOf(texts) => texts.contains(value),
            Condition::NoneOf(texts) => !texts.contains(value),
            Condition::Between(from, to) => {
                decimal(value).is_some_and(|number| *from <= number && number <= *to)
            }
        }
    };
    meter.event == event.kind && meter.conditions.iter().all(holds)
}

/// The value of an event under a meter, rounded as each is; `None` where it cannot be billed.
pub fn value(meter: &Meter, event: &Event) -> Option<Number> {
    if meter.aggregate == "count" {
        return Some(whole(1));
    }
    let text = event.attributes.get(meter.of.as_ref()?)?;
    if meter.aggregate == "unique" {
        return Some(zero());
    }
    let number = decimal(text).filter(|number| !number.is_negative())?;
    Some(match &meter.each_up_to {
        Some(step) => up_to(&number, step),
        None => number,
    })
}

/// Whether a subscription measures an event by a meter: by its plan, its bindings and its time.
fn measures(
    catalogue: &Catalogue,
    subscription: &Subscription,
    end: Option<Timestamp>,
    name: &str,
    event: &Event,
) -> bool {
    let plan = &catalogue.plans[&subscription.plan];
    let mode = if subscription.months.is_some() { "prepaid" } else { "pay-per-use" };
    let at = moment(&catalogue.meters[name], event);
    let by_it = |charge: &crate::catalogue::Charge| {
        let offered = charge.modes.iter().any(|offered| offered == mode);
        offered && matches!(&charge.measure, Measure::Meter(meter) if meter == name)
    };
    subscription.start <= at
        && end.is_none_or(|end| at < end)
        && plan.binds.iter().all(|name| subscription.attributes.get(name) == event.attributes.get(name))
        && plan.charges.iter().any(by_it)
}

/// The events that one subscription takes by a meter: of those of a product that measure by it and
/// whose bindings match, the one with the most bindings takes a piece of usage, then the one that
/// began first, then by name.
pub fn taken<'e>(
    catalogues: &[Catalogue],
    account: &Account,
    ends: &BTreeMap<String, Option<Timestamp>>,
    subscription: &Subscription,
    meter: &str,
    events: &[&'e Event],
) -> Vec<&'e Event> {
    let of = |one: &Subscription| catalogues.iter().find(|list| list.id == one.catalogue).expect("read");
    let product = |one: &Subscription| (one.catalogue.clone(), of(one).plans[&one.plan].product.clone());
    let rank = |one: &Subscription| {
        let bindings = of(one).plans[&one.plan].binds.len();
        (std::cmp::Reverse(bindings), one.start, one.name.clone())
    };
    let rivals: Vec<&Subscription> =
        account.subscriptions.iter().filter(|one| product(one) == product(subscription)).collect();
    let takes = |event: &Event| {
        let fitting = rivals.iter().filter(|one| measures(of(one), one, ends[&one.name], meter, event));
        fitting.min_by_key(|one| rank(one)).is_some_and(|best| best.name == subscription.name)
    };
    let counted = events.iter().copied().filter(|event| counts(&of(subscription).meters[meter], event));
    counted.filter(|event| takes(event)).collect()
}

/// A counted event of a charge: its moment, what it adds, and itself.
#[derive(Clone, Debug)]
pub struct Counted<'e> {
    /// The moment that decides its period.
    pub at: Timestamp,
    /// Its value.
    pub value: Number,
    /// The event.
    pub event: &'e Event,
}

/// The measured quantity of some events, in the order of time, at a moment.
pub fn quantity(meter: &Meter, events: &[Counted<'_>]) -> Number {
    match meter.aggregate.as_str() {
        "count" | "sum" => events.iter().map(|one| one.value.clone()).sum(),
        "max" => events.iter().map(|one| one.value.clone()).max().unwrap_or_else(zero),
        "latest" => events.last().map_or_else(zero, |one| one.value.clone()),
        "unique" => {
            let of = meter.of.as_ref().expect("unique values of something");
            let different: BTreeSet<_> = events.iter().map(|one| one.event.attributes.get(of)).collect();
            whole(i64::try_from(different.len()).expect("a small number"))
        }
        other => unreachable!("{other}"),
    }
}

/// Value × hours over a stretch: each value holds until the next.
pub fn weighted(events: &[Counted<'_>], from: Timestamp, until: Timestamp) -> Number {
    let mut sum = zero();
    for (index, one) in events.iter().enumerate() {
        let next = events.get(index + 1).map_or(until, |next| next.at);
        let (start, end) = (one.at.max(from), next.min(until));
        if start < end {
            sum += &one.value * hours(start, end);
        }
    }
    sum
}

/// Hours between two moments.
pub fn hours(start: Timestamp, end: Timestamp) -> Number {
    seconds(start, end) / whole(3600)
}

/// Seconds between two moments.
pub fn seconds(start: Timestamp, end: Timestamp) -> Number {
    let nanoseconds = end.as_nanosecond() - start.as_nanosecond();
    Number::new(nanoseconds.into(), 1_000_000_000.into())
}

/// The group of an event under a charge: the values of what it accumulates per, and the prefix
/// that a call falls under. `None` where no row of a deck fits.
pub fn group(
    catalogue: &Catalogue,
    per: &[String],
    deck: Option<&str>,
    event: &Event,
) -> Option<BTreeMap<String, String>> {
    let value = |name: &String| event.attributes.get(name).map(|value| (name.clone(), value.clone()));
    let mut group: BTreeMap<String, String> = per.iter().filter_map(value).collect();
    if let Some(deck) = deck {
        let deck = &catalogue.decks[deck];
        let (prefix, _) = price::row(deck, event.attributes.get(&deck.destination)?)?;
        group.insert("prefix".to_owned(), prefix.to_owned());
    }
    Some(group)
}
