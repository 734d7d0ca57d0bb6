//! Charges for usage: groups, accumulations, and shares.

use crate::account::{Charges, Figures};
use crate::calendar;
use crate::catalogue::{Deck, Meter, Model};
use crate::draws::Measured;
use crate::history::Split;
use crate::number::{Number, up_to, whole, zero};
use crate::price;
use crate::settle::{Period, Running, Stretch};
use crate::usage::{self, Counted};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the usage of an accumulation should have cost, by its settled cycles.
pub(crate) fn metered(this: &Period<'_>, name: &str, counted: &[Counted], charges: &mut Charges) {
    let deck = match &this.charge.pricing.model {
        Model::Deck(deck) => Some(deck.as_str()),
        _ => None,
    };
    for (group, events) in groups(this, name, counted, deck) {
        match deck {
            Some(deck) => by_deck(this, &this.list.decks[deck], &group, &events, charges),
            None => accumulation(this, name, &group, &events, charges),
        }
    }
}

/// The usage of an accumulation, by what the charge accumulates per.
fn groups(
    this: &Period<'_>,
    name: &str,
    counted: &[Counted],
    deck: Option<&str>,
) -> BTreeMap<BTreeMap<String, String>, Vec<Counted>> {
    let meter = &this.list.meters[name];
    // A level holds on: earlier ones matter too.
    let first = match meter.aggregate.as_str() {
        "time-weighted" => 0,
        _ => counted.partition_point(|one| one.at < this.began),
    };
    let last = counted.partition_point(|one| one.at < this.ends);
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<Counted>> = BTreeMap::new();
    for event in &counted[first..last.max(first)] {
        if usage::takes(this.lists, this.account, this.one, name, event)
            && let Some(group) = usage::group(this.list, &this.charge.per, deck, &event.event)
        {
            groups.entry(group).or_default().push(event.clone());
        }
    }
    if this.charge.per.is_empty() && deck.is_none() {
        // There may be a least to pay without any usage.
        groups.entry(BTreeMap::new()).or_default();
    }
    groups
}

/// The units of an accumulation that may draw from packages.
pub(crate) fn measured(this: &Period<'_>, name: &str, counted: &[Counted], all: &mut Measured) {
    let meter = &this.list.meters[name];
    for (group, events) in groups(this, name, counted, None) {
        for stretch in this.stretches(cycles(this, &events)) {
            let inside = between(&events, stretch.start, stretch.end);
            let shares = by_split(inside);
            let mut left = more(meter, &stretch, &events) / &meter.unit_size;
            let count = shares.len();
            for (index, (split, part)) in shares.into_iter().enumerate() {
                // What rounding a sum added is the last one's.
                let units = usage::quantity(meter, &part) / &meter.unit_size;
                let units = if index + 1 == count { left.clone() } else { units };
                left -= &units;
                let taker = this.taker(&stretch, name);
                all.insert(this.taker_key(&stretch, &group, &split), (taker, units));
            }
        }
    }
}

/// What a stretch adds to a count or sum, in measured units.
fn more(meter: &Meter, stretch: &Stretch, events: &[Counted]) -> Number {
    let more = usage::quantity(meter, between(events, stretch.start, stretch.end));
    match &meter.sum_up_to {
        Some(step) => {
            let earlier = usage::quantity(meter, between(events, stretch.cycle.0, stretch.start));
            up_to(&(&earlier + &more), step) - up_to(&earlier, step)
        }
        None => more,
    }
}

/// The cycles in which there is usage.
fn cycles(this: &Period<'_>, events: &[Counted]) -> BTreeSet<Timestamp> {
    events.iter().map(|one| calendar::cycle_start(this.zone(), this.settle, one.at)).collect()
}

fn between(events: &[Counted], from: Timestamp, until: Timestamp) -> &[Counted] {
    let first = events.partition_point(|one| one.at < from);
    let last = events.partition_point(|one| one.at < until);
    &events[first..last.max(first)]
}

/// What calls cost under a rate deck, one by one.
fn by_deck(
    this: &Period<'_>,
    deck: &Deck,
    group: &BTreeMap<String, String>,
    events: &[Counted],
    charges: &mut Charges,
) {
    for stretch in this.stretches(cycles(this, events)) {
        for (split, calls) in by_split(between(events, stretch.start, stretch.end)) {
            let mut total = Figures::nothing();
            for one in calls {
                let number = &one.event.attributes[&deck.destination];
                let (_, row) = price::row(deck, number).expect("grouped by it");
                let nanoseconds = (&one.value * whole(1_000_000_000)).floor().to_whole();
                let length = jiff::SignedDuration::from_nanos_i128(nanoseconds.expect("a short call"));
                let ended = one.event.time;
                let start = one.event.start.unwrap_or_else(|| ended.checked_sub(length).expect("in range"));
                let (seconds, cost) = price::call(deck, row, this.zone(), start, &one.value);
                total.quantity += seconds;
                total.list += &cost;
                total.amount += cost;
            }
            this.post(charges, &stretch, group, &total, &BTreeMap::from([(split, whole(1))]));
        }
    }
}

/// Events by the share of the bill that they belong to.
fn by_split(events: &[Counted]) -> BTreeMap<Split, Vec<Counted>> {
    let mut shares: BTreeMap<Split, Vec<Counted>> = BTreeMap::new();
    for one in events {
        shares.entry(Split::of(&one.event.attributes)).or_default().push(one.clone());
    }
    shares
}

/// One accumulation of one group.
fn accumulation(
    this: &Period<'_>,
    name: &str,
    group: &BTreeMap<String, String>,
    events: &[Counted],
    charges: &mut Charges,
) {
    let meter = &this.list.meters[name];
    let weighted = meter.aggregate == "time-weighted";
    let levels = if weighted { by_split(events) } else { BTreeMap::new() };
    let last = this.last_cycle();
    let cycles =
        if weighted { this.all_cycles() } else { cycles(this, events).into_iter().chain([last]).collect() };
    let stretches = this.stretches(cycles);
    let mut sum = Running::new();
    for (index, stretch) in stretches.iter().enumerate() {
        let ended = index + 1 == stretches.len() && this.has_ended();
        let inside = between(events, stretch.start, stretch.end);
        if inside.is_empty() && !ended && !weighted {
            continue;
        }
        // The latest value is all at the price in force when it was reported.
        if meter.aggregate == "latest" {
            let again = |later: &Stretch| {
                let told = !between(events, later.start, later.end).is_empty();
                told && (later.cycle == stretch.cycle || !this.is_priced_alike(stretch, later))
            };
            if stretches[index + 1..].iter().any(again) {
                continue;
            }
        }
        let mut weights: BTreeMap<Split, Number> = BTreeMap::new();
        let units = if weighted {
            // A level holds until the next of the same project and tags.
            let until = this.one.end.map_or(stretch.end, |end| end.min(stretch.end));
            let mut level = zero();
            for (split, part) in &levels {
                if part.first().is_some_and(|first| first.at < until) {
                    let part = usage::weighted(part, stretch.start, until);
                    level += &part;
                    weights.insert(split.clone(), part);
                }
            }
            &sum.units + level / &meter.unit_size
        } else {
            for (split, part) in by_split(inside) {
                weights.insert(split, usage::quantity(meter, &part));
            }
            if matches!(meter.aggregate.as_str(), "count" | "sum") {
                let mut units = more(meter, stretch, events) / &meter.unit_size;
                if this.drawn_meter().is_some() {
                    for (split, weight) in &mut weights {
                        let drawn = this.packages.drawn(&this.taker_key(stretch, group, split));
                        units -= &drawn;
                        if this.charge.counts_drawn {
                            sum.cover(&drawn);
                        }
                        *weight = (&*weight - drawn * &meter.unit_size).max(zero());
                    }
                }
                &sum.units + units
            } else {
                usage::quantity(meter, between(events, this.began, stretch.end)) / &meter.unit_size
            }
        };
        let figures = this.go(&mut sum, stretch, units, ended);
        if weights.is_empty() {
            weights.insert(Split::of(&this.one.attributes), whole(1));
        }
        this.post(charges, stretch, group, &figures, &weights);
    }
}

/// Whether there may be something to pay at the end of a cycle without any new usage.
pub(crate) fn goes_on(meter: &crate::catalogue::Meter, pricing: &crate::catalogue::Pricing) -> bool {
    meter.aggregate == "time-weighted" || pricing.minimum.is_some()
}
