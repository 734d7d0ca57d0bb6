//! Charges for usage: groups, accumulations, and shares.

use crate::catalogue::{Deck, Meter, Model};
use crate::history::Split;
use crate::number::{Number, up_to, whole, zero};
use crate::price;
use crate::settle::{Charges, Figures, Running, Stretch, Use, agreed, post, price_at};
use crate::usage::{self, Counted};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What usage should have cost.
pub(crate) fn metered(
    this: &Use<'_>,
    name: &str,
    ends: &BTreeMap<String, Option<Timestamp>>,
    end: Option<Timestamp>,
    charges: &mut Charges,
) {
    let meter = &this.list.meters[name];
    let known = usage::known(this.account, this.settled);
    let taken = usage::taken(this.catalogues, this.account, ends, this.one, name, &known);
    let deck = match &this.charge.pricing.model {
        Model::Deck(deck) => Some(deck.as_str()),
        _ => None,
    };
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<Counted<'_>>> = BTreeMap::new();
    for event in taken {
        let at = usage::moment(meter, event);
        let group = usage::group(this.list, &this.charge.per, deck, event);
        if let (Some(group), Some(value)) = (group, usage::value(meter, event)) {
            groups.entry(group).or_default().push(Counted { at, value, event });
        }
    }
    if this.charge.per.is_empty() && deck.is_none() {
        // There may be a least to pay without any usage.
        groups.entry(BTreeMap::new()).or_default();
    }
    let periods = this.stretches(end);
    for (group, mut events) in groups {
        events.sort_by_key(|one| one.at);
        for ((began, ends), stretches) in &periods {
            period(this, meter, charges, &group, &events, (*began, *ends), stretches, end);
        }
    }
}

/// What calls cost under a rate deck, one by one.
fn calls_by_deck(this: &Use<'_>, deck: &Deck, calls: &[Counted<'_>]) -> Figures {
    let mut total = Figures::nothing();
    for one in calls {
        let number = &one.event.attributes[&deck.destination];
        let (_, row) = price::row(deck, number).expect("grouped by it");
        let length = jiff::SignedDuration::from_nanos_i128(
            (&one.value * whole(1_000_000_000)).to_integer().try_into().expect("a short call"),
        );
        let ended = one.event.time;
        let start = one.event.start.unwrap_or_else(|| ended.checked_sub(length).expect("in range"));
        let (seconds, cost) = price::call(deck, row, this.zone(), start, &one.value);
        total.quantity += seconds;
        total.list += &cost;
        total.amount += cost;
    }
    total
}

/// Events by the share of the bill that they belong to.
fn by_split<'e>(events: &[Counted<'e>]) -> BTreeMap<Split, Vec<Counted<'e>>> {
    let mut shares: BTreeMap<Split, Vec<Counted<'_>>> = BTreeMap::new();
    for one in events {
        shares.entry(Split::of(&one.event.attributes)).or_default().push(one.clone());
    }
    shares
}

/// One accumulation of one group.
#[allow(clippy::too_many_arguments)]
fn period(
    this: &Use<'_>,
    meter: &Meter,
    charges: &mut Charges,
    group: &BTreeMap<String, String>,
    events: &[Counted<'_>],
    (began, ends): (Timestamp, Timestamp),
    stretches: &[Stretch],
    end: Option<Timestamp>,
) {
    let between = |from: Timestamp, until: Timestamp| -> Vec<Counted<'_>> {
        let first = events.partition_point(|one| one.at < from);
        let last = events.partition_point(|one| one.at < until);
        events[first..last.max(first)].to_vec()
    };
    let weighted = meter.aggregate == "time-weighted";
    if !weighted && this.charge.pricing.minimum.is_none() && between(began, ends).is_empty() {
        return;
    }
    let mut sum = Running::new();
    for (index, stretch) in stretches.iter().enumerate() {
        let last = index + 1 == stretches.len() && ends <= this.settled;
        let inside = between(stretch.start, stretch.end);
        if inside.is_empty() && !last && !weighted {
            continue;
        }
        // The latest value of a cycle is all at the price in force when it was reported.
        if meter.aggregate == "latest" && !between(stretch.end, stretch.cycle.1).is_empty() {
            continue;
        }
        let mut weights: BTreeMap<Split, Number> = BTreeMap::new();
        let shares = |shared: &[Counted<'_>], weights: &mut BTreeMap<Split, Number>| {
            for (split, part) in by_split(shared) {
                weights.insert(split, usage::quantity(meter, &part));
            }
        };
        if let Model::Deck(deck) = &this.charge.pricing.model {
            let deck = &this.list.decks[deck];
            for (split, calls) in by_split(&inside) {
                let figures = calls_by_deck(this, deck, &calls);
                post(this, charges, stretch, group, &figures, &BTreeMap::from([(split, whole(1))]));
            }
            continue;
        }
        let units = if weighted {
            // A level holds until the next of the same project and tags.
            let until = end.map_or(stretch.end, |end| end.min(stretch.end));
            let mut level = zero();
            for (split, part) in by_split(events) {
                if part.first().is_some_and(|first| first.at < until) {
                    let part = usage::weighted(&part, stretch.start, until);
                    level += &part;
                    weights.insert(split, part);
                }
            }
            &sum.units + level / &meter.unit_size
        } else if matches!(meter.aggregate.as_str(), "count" | "sum") {
            shares(&inside, &mut weights);
            let mut more = usage::quantity(meter, &inside);
            if let Some(step) = &meter.sum_up_to {
                let earlier = usage::quantity(meter, &between(stretch.cycle.0, stretch.start));
                more = up_to(&(&earlier + &more), step) - up_to(&earlier, step);
            }
            &sum.units + more / &meter.unit_size
        } else {
            let so_far = between(began, stretch.end);
            shares(&inside, &mut weights);
            usage::quantity(meter, &so_far) / &meter.unit_size
        };
        let list = this.pricing(stretch.start);
        let said = price_at(this.account, &this.one.plan, &this.charge.id, stretch.start, usize::MAX);
        let figures = sum.go(list, &agreed(list, said), units, last);
        if weights.is_empty() {
            weights.insert(Split::of(&this.one.attributes), whole(1));
        }
        post(this, charges, stretch, group, &figures, &weights);
    }
}
