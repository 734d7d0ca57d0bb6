//! The quantities of an accumulation: from counters, from held units, or fixed.
//!
//! A piece of usage is taken by one subscription of each product: of those whose plan measures it
//! and whose bound attributes (a number, an application) match, the one that binds most, then the
//! one that started first, then by name.

use crate::bill::Split;
use crate::calendar::{Instant, Span, show_local};
use crate::catalog::{Aggregate, Held, HeldBy, Measure, Meter, Model, MonthDays, Rounding};
use crate::engine::Refusal;
use crate::explain::month_name;
use crate::metering::{Aggregated, Counter, DeckCount, Lane, Scope};
use crate::money::{Exact, OutOfRange};
use crate::package::Draws;
use crate::settlement::{Context, Stretch};
use crate::subscription::{self, Levels, Subscription};
use std::cell::RefCell;
use std::collections::BTreeMap;

mod kind;
mod takers;

pub(crate) use kind::Kind;
pub(crate) use takers::{AnyTaker, Takers, Takes, is_charged_by, meters_between, route, who_takes};
use takers::{Taker, is_taken, takers};

/// The name under which a group holds the prefix of a rate deck.
pub(crate) const PREFIX: &str = "prefix";

/// What tells accumulations of one charge apart: the attributes it accumulates per.
pub(crate) type Group = BTreeMap<String, String>;

/// The quantity of one stretch.
#[derive(Clone, Debug)]
pub(crate) struct Quantities {
    /// Whether the stretch counts for the group; not where it counts units of another kind.
    pub is_measured: bool,
    /// In priced units.
    pub total: Exact,
    /// The same by split; never empty.
    pub splits: BTreeMap<Split, Exact>,
    /// Units as a line shows them in one priced unit: 31 seat-days in a seat-month.
    pub units_per_price: Exact,
    /// What a shown unit is called.
    pub unit: String,
    /// What the price is for, in words.
    pub per: String,
    /// How the quantity came about, in words.
    pub parts: Vec<String>,
    /// From the first to the last day that counts, where it is held by the day.
    pub days: Option<Span>,
    /// The calls, under a rate deck.
    pub deck: Option<DeckCount>,
    /// What each split drew from packages; not among the totals any longer.
    pub drawn: BTreeMap<Split, Draws>,
    /// Units drawn from packages that tiers count all the same.
    pub covered: Exact,
}

/// The quantities of each group, one for each stretch.
pub(crate) fn measure(
    context: &Context<'_>,
    subscription: &Subscription,
    stretches: &[Stretch<'_>],
    period: Span,
    known: &BTreeMap<Group, Exact>,
) -> Result<Vec<(Group, Vec<Quantities>)>, Refusal> {
    let is_metered = |stretch: &Stretch<'_>| matches!(stretch.charge.measure, Measure::Meter(_));
    let mut measured = match stretches.iter().any(is_metered) {
        true => metered(context, subscription, stretches, period, known)?,
        false => Vec::new(),
    };
    if stretches.iter().all(is_metered) {
        return Ok(measured);
    }
    let own = units(subscription, stretches)?;
    match measured.iter_mut().find(|(group, _)| group.is_empty()) {
        Some((_, usage)) => {
            // Usage and units held make one accumulation, whose minimum and maximum are of the sum.
            for (known, own) in usage.iter_mut().zip(own).filter(|(_, own)| own.is_measured) {
                *known = own;
            }
        }
        None => measured.push((Group::new(), own)),
    }
    Ok(measured)
}

/// The units of the subscription itself, where they are what is measured.
fn units(subscription: &Subscription, stretches: &[Stretch<'_>]) -> Result<Vec<Quantities>, OutOfRange> {
    let mut units = held(subscription, stretches)?;
    for ((known, fixed), stretch) in units.iter_mut().zip(fixed(subscription, stretches)).zip(stretches) {
        if is_fixed(stretch) {
            *known = fixed;
        }
    }
    Ok(units)
}

/// The split that a subscription's own charges belong to.
pub(crate) fn own_split(subscription: &Subscription) -> Split {
    let attribute = |name: &str| subscription.attributes.get(name).cloned();
    let tags = subscription.attributes.iter();
    Split {
        application: attribute("application"),
        project: attribute("project"),
        tags: tags
            .filter_map(|(name, value)| Some((name.strip_prefix("tag:")?.to_owned(), value.clone())))
            .collect(),
    }
}

/// The quantity at the start of the accumulation, or at its first moment that is not frozen, once.
fn fixed(subscription: &Subscription, stretches: &[Stretch<'_>]) -> Vec<Quantities> {
    let counts =
        |(index, stretch): (usize, &Stretch<'_>)| Some((index, subscription.first_not_frozen(stretch.span)?));
    let mut fixed = stretches.iter().enumerate().filter(|(_, stretch)| is_fixed(stretch));
    let first = fixed.find_map(counts);
    let quantity = |index: usize, stretch: &Stretch<'_>| {
        let at = first.filter(|(counted, _)| *counted == index).map(|(_, at)| at);
        let units = at.map_or(0, |at| subscription.quantity_at(at));
        let total = Exact::whole(units.into());
        Quantities {
            is_measured: true,
            total,
            splits: BTreeMap::from([(own_split(subscription), total)]),
            units_per_price: Exact::ONE,
            unit: stretch.plan.unit.clone(),
            per: format!("{} and {}", stretch.plan.unit, cycle_word(stretch)),
            parts: Vec::new(),
            days: None,
            deck: None,
            drawn: BTreeMap::new(),
            covered: Exact::ZERO,
        }
    };
    stretches.iter().enumerate().map(|(index, stretch)| quantity(index, stretch)).collect()
}

fn is_fixed(stretch: &Stretch<'_>) -> bool {
    matches!(stretch.charge.measure, Measure::Fixed | Measure::Term)
}

fn cycle_word(stretch: &Stretch<'_>) -> &'static str {
    match stretch.charge.accumulate {
        crate::calendar::Cycle::Hour => "hour",
        crate::calendar::Cycle::Day => "day",
        crate::calendar::Cycle::Month => "month",
    }
}

/// Units held over time.
fn held(subscription: &Subscription, stretches: &[Stretch<'_>]) -> Result<Vec<Quantities>, OutOfRange> {
    let mut peak = 0i64;
    let mut quantities = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        let Measure::Held(Held { by, while_stopped }) = &stretch.charge.measure else {
            quantities.push(nothing(subscription, stretch));
            continue;
        };
        let unit = &stretch.plan.unit;
        let zone = &stretch.catalogue.zone;
        let (shown, per_price, unit, per, parts, days) = match by {
            HeldBy::Second => {
                let runs = subscription.held_seconds(stretch.span, *while_stopped);
                let parts = runs.iter().map(|run| {
                    let ns = run.until.as_nanosecond() - run.from.as_nanosecond();
                    let seconds = Exact::ratio(ns, 1_000_000_000).unwrap_or(Exact::ZERO);
                    let (from, until) = (clock(stretch, run.from), clock(stretch, run.until));
                    format!("{} for {seconds} s ({from}–{until})", count(run.units, unit))
                });
                let parts = parts.collect();
                let seconds = subscription::unit_seconds(&runs)?;
                let per = format!("{unit} and hour");
                (seconds, Exact::whole(3_600), format!("{unit}-second"), per, parts, None)
            }
            HeldBy::Day { last_day, month } => {
                let runs = subscription.billed_days(stretch.span, zone, *last_day);
                let ends = runs.first().zip(runs.last());
                let shown_days = ends.map(|(first, last)| Span {
                    start: zone.midnight(first.from),
                    end: zone.midnight(last.until),
                });
                let divisor = subscription::month_divisor(*month, zone, stretch.span.start);
                let parts: Vec<String> = runs
                    .iter()
                    .map(|run| {
                        let days = subscription::days(run);
                        format!(
                            "{} × {} ({})",
                            count(run.units, unit),
                            count(days, "day"),
                            show_days(run.from, run.until)
                        )
                    })
                    .collect();
                match divisor {
                    Some(days) => {
                        let month = match month {
                            MonthDays::Thirty => "a month taken as 30 days".to_owned(),
                            _ => format!("month of {days} days"),
                        };
                        let shown = subscription::unit_days(&runs);
                        let days = Exact::whole(days.into());
                        let per = format!("{unit} and {month}");
                        (shown, days, format!("{unit}-day"), per, parts, shown_days)
                    }
                    None => {
                        let most = runs.iter().map(|run| run.units).max().unwrap_or(0).max(peak);
                        let more = Exact::whole((most - peak).into());
                        peak = most;
                        (more, Exact::ONE, unit.clone(), format!("{unit} and full month"), parts, shown_days)
                    }
                }
            }
        };
        let total = shown.div(per_price)?;
        quantities.push(Quantities {
            is_measured: true,
            total,
            splits: BTreeMap::from([(own_split(subscription), total)]),
            units_per_price: per_price,
            unit,
            per,
            parts,
            days,
            deck: None,
            drawn: BTreeMap::new(),
            covered: Exact::ZERO,
        });
    }
    Ok(quantities)
}

/// `10 seats`.
pub(crate) fn count(units: i64, unit: &str) -> String {
    if units == 1 { format!("1 {unit}") } else { format!("{units} {}", plural(unit)) }
}

/// `1 seat`, `2.5 seats`.
pub fn count_of(units: Exact, unit: &str) -> String {
    if units == Exact::ONE {
        return ["1 ", unit].concat();
    }
    let mut text = units.to_string();
    text.push(' ');
    push_plural(&mut text, unit);
    text
}

/// `seats`; symbols such as GB have no plural.
pub fn plural(unit: &str) -> String {
    let mut text = String::new();
    push_plural(&mut text, unit);
    text
}

fn push_plural(text: &mut String, unit: &str) {
    text.push_str(unit);
    if unit.ends_with(|last: char| last.is_ascii_lowercase() && last != 's') {
        text.push('s');
    }
}

/// `4–15 January`, `31 January`.
fn show_days(from: jiff::civil::Date, until: jiff::civil::Date) -> String {
    let last = until.yesterday().unwrap_or(until);
    let month = month_name(last);
    if from == last {
        format!("{} {month}", last.day())
    } else {
        format!("{}–{} {month}", from.day(), last.day())
    }
}

/// The wall clock's time of a moment; midnight at the end of a stretch is 24:00.
fn clock(stretch: &Stretch<'_>, at: Instant) -> String {
    let zone = &stretch.catalogue.zone;
    let shown = show_local(zone, at);
    match shown.split_once(' ') {
        Some((_, time)) => time.to_owned(),
        None if at == stretch.cycle.end => "24:00:00".to_owned(),
        None => "00:00:00".to_owned(),
    }
}

fn nothing(subscription: &Subscription, stretch: &Stretch<'_>) -> Quantities {
    let unit = match &stretch.charge.measure {
        Measure::Meter(meter) => {
            stretch.catalogue.meters.get(meter).map_or("unit", |meter| meter.unit.as_str())
        }
        _ => stretch.plan.unit.as_str(),
    };
    Quantities {
        is_measured: false,
        total: Exact::ZERO,
        splits: BTreeMap::from([(own_split(subscription), Exact::ZERO)]),
        units_per_price: Exact::ONE,
        unit: unit.to_owned(),
        per: unit.to_owned(),
        parts: Vec::new(),
        days: None,
        deck: None,
        drawn: BTreeMap::new(),
        covered: Exact::ZERO,
    }
}

/// Levels that a settlement finds on its way, by subscription and charge.
#[derive(Default)]
pub(crate) struct Openings(RefCell<BTreeMap<(String, String), Levels>>);

impl Openings {
    fn keep(&self, subscription: &str, charge: &str, levels: Levels) {
        self.0.borrow_mut().insert((subscription.to_owned(), charge.to_owned()), levels);
    }

    /// The levels at the start of the accumulation that was measured last.
    pub(crate) fn take(&self, subscription: &str, charge: &str) -> Option<Levels> {
        self.0.borrow_mut().remove(&(subscription.to_owned(), charge.to_owned()))
    }
}

/// The value of a scope's dimension.
pub(crate) fn scope_value<'a>(scope: &'a Scope, name: &str) -> Option<&'a str> {
    match name {
        "application" => scope.application.as_deref(),
        "project" => scope.project.as_deref(),
        _ => scope.dimensions.get(name).map(String::as_str),
    }
}

/// What was counted for one group, split by split, in one stretch.
type Counts = BTreeMap<Split, Counter>;

/// Quantities from the counters of the account's lanes.
fn metered<'a>(
    context: &Context<'a>,
    subscription: &Subscription,
    stretches: &[Stretch<'_>],
    period: Span,
    known: &BTreeMap<Group, Exact>,
) -> Result<Vec<(Group, Vec<Quantities>)>, Refusal> {
    let mut groups: BTreeMap<(Group, Option<Split>), Vec<Counts>> = BTreeMap::new();
    // Before the first stretch of levels, a version may have counted otherwise.
    let first_weighted = stretches.iter().position(is_weighted);
    let (mut opening, before) = match first_weighted {
        Some(first) => known_levels(context, subscription, &stretches[first]),
        None => (BTreeMap::new(), None),
    };
    for (index, stretch) in stretches.iter().enumerate() {
        let Measure::Meter(meter_id) = &stretch.charge.measure else { continue };
        let deck = match &stretch.charge.pricing.model {
            Model::Deck(deck) => Some(deck),
            _ => None,
        };
        let (view, account) = (context.view, &context.account.id);
        let mut own = Taker::of(context.catalogues, subscription, meter_id, period);
        let own = own.find(|own| own.when.contains(stretch.span.start));
        let Some(own) = own else { continue };
        let others =
            context.takers.get((&subscription.catalogue, &subscription.product, meter_id, period), || {
                takers(view, context.catalogues, account, subscription, meter_id, period)
            });
        let lanes = context.metering.lanes_of(&context.account.id).filter(|lane| {
            let key = &lane.spec().key;
            key.catalogue == subscription.catalogue && key.meter == *meter_id && key.deck.as_ref() == deck
        });
        for lane in lanes {
            let weighted = lane.spec().meter.aggregate == Aggregate::TimeWeighted;
            if let (true, true, Some(before)) = (first_weighted == Some(index), weighted, before) {
                open_levels(context, lane, subscription, (stretch, before), &mut opening);
            }
            if others.is_beaten(&own, stretch.span) {
                continue;
            }
            // Most usage of many subscriptions is not this one's.
            for (span, counters) in lane.segments_of(stretch.span, own.bound(), |scope| own.binds_fit(scope))
            {
                let cut = span.start < stretch.span.start || span.end > stretch.span.end;
                // Within a stretch another subscription may begin or end: each segment has its taker.
                let at = span.start.max(stretch.span.start);
                for (scope, counter) in counters {
                    if !own.fits(scope, at) || !is_taken(&others, scope, at, subscription) {
                        continue;
                    }
                    if cut {
                        return Err(Refusal::CounterCutsPeriod);
                    }
                    let (group, split) = keys(stretch, scope, deck.is_some());
                    let counts = groups.entry((group, deck.is_some().then(|| split.clone()))).or_default();
                    counts.resize(stretches.len(), Counts::new());
                    match counts[index].get_mut(&split) {
                        Some(known) => known.merge(counter)?,
                        None => {
                            counts[index].insert(split, counter.clone());
                        }
                    }
                }
            }
        }
    }
    if let Some(first) = first_weighted.map(|first| &stretches[first]) {
        let levels = Levels { at: first.span.start, held: opening.clone() };
        context.levels.keep(&subscription.name, &first.charge.id, levels);
    }
    for (group, _) in opening.keys() {
        groups.entry((group.clone(), None)).or_insert_with(|| vec![Counts::new(); stretches.len()]);
    }
    let minimum = stretches.iter().any(|stretch| stretch.charge.pricing.minimum.is_some());
    if minimum {
        // A minimum is owed also where nothing new was used.
        for group in known.keys() {
            groups.entry((group.clone(), None)).or_insert_with(|| vec![Counts::new(); stretches.len()]);
        }
    }
    if minimum && stretches.iter().all(|stretch| stretch.charge.per.is_empty()) {
        groups.entry((Group::new(), None)).or_insert_with(|| vec![Counts::new(); stretches.len()]);
    }
    let mut measured = Vec::with_capacity(groups.len());
    for ((group, by_deck), counts) in groups {
        let of = (&group, by_deck.is_some());
        let quantities = quantities_of(subscription, stretches, of, counts, &mut opening)?;
        measured.push((group, quantities));
    }
    Ok(measured)
}

/// Whether a charge has levels that hold on.
fn is_weighted(stretch: &Stretch<'_>) -> bool {
    stretch.meter().is_some_and(|meter| meter.aggregate == Aggregate::TimeWeighted)
}

/// The group and the split that a scope belongs to.
fn keys(stretch: &Stretch<'_>, scope: &Scope, deck: bool) -> (Group, Split) {
    group_and_split(&stretch.charge.per, scope, deck)
}

pub(crate) fn group_and_split(per: &[String], scope: &Scope, deck: bool) -> (Group, Split) {
    let mut group: Group =
        per.iter().filter_map(|name| Some((name.clone(), scope_value(scope, name)?.to_owned()))).collect();
    if deck {
        group.insert(PREFIX.to_owned(), scope.prefix.clone().unwrap_or_default());
    }
    let split = Split {
        application: scope.application.clone(),
        project: scope.project.clone(),
        tags: scope.tags.clone(),
    };
    (group, split)
}

/// The levels that an earlier settlement found, and the time since then, which must be looked at:
/// all of it where something before has changed.
fn known_levels(
    context: &Context<'_>,
    subscription: &Subscription,
    stretch: &Stretch<'_>,
) -> (BTreeMap<(Group, Split), i128>, Option<Span>) {
    let charge = &stretch.charge.id;
    let changed = context.late.into_iter().chain(subscription.recheck.get(charge).copied()).min();
    let end = stretch.span.start;
    let known = subscription.levels.get(charge);
    let known = known.filter(|known| known.at <= end && changed.is_none_or(|from| known.at <= from));
    let start = known.map_or(subscription.start, |known| known.at);
    let held = known.map(|known| known.held.clone()).unwrap_or_default();
    (held, Some(Span { start, end }).filter(|before| !before.is_empty()))
}

/// Adds the levels that were reached in a time before an accumulation began and hold on: for the
/// subscription that took them when they were reported, and no other.
fn open_levels<'a>(
    context: &Context<'a>,
    lane: &Lane,
    subscription: &Subscription,
    (stretch, before): (&Stretch<'_>, Span),
    opening: &mut BTreeMap<(Group, Split), i128>,
) {
    let (view, account, meter) = (context.view, &context.account.id, &lane.spec().key.meter);
    let mut own: Vec<Taker<'_>> = Taker::of(context.catalogues, subscription, meter, before).collect();
    own.dedup_by(|one, other| one.binds == other.binds);
    let Some(first) = own.first() else { return };
    let key = (&*subscription.catalogue, &*subscription.product, &**meter, before);
    let takers =
        context.takers.get(key, || takers(view, context.catalogues, account, subscription, meter, before));
    let bound = first.bound().filter(|_| own.len() == 1);
    let fits = |scope: &Scope| own.iter().any(|one| one.binds_fit(scope));
    for (span, counters) in lane.segments_of(before, bound, fits) {
        for (scope, counter) in counters {
            if is_taken(&takers, scope, span.start.max(before.start), subscription) {
                let level = opening.entry(keys(stretch, scope, false)).or_default();
                *level = counter.closing(*level);
            }
        }
    }
}

fn quantities_of(
    subscription: &Subscription,
    stretches: &[Stretch<'_>],
    (group, by_deck): (&Group, bool),
    counts: Vec<Counts>,
    opening: &mut BTreeMap<(Group, Split), i128>,
) -> Result<Vec<Quantities>, Refusal> {
    // Maxima, latest and different values so far, of each way to count with what it has come to.
    let mut wholes: Vec<(Kind<'_>, Counter, Exact)> = Vec::new();
    let mut unrounded = (None, Exact::ZERO);
    let mut quantities: Vec<Quantities> = Vec::with_capacity(stretches.len());
    for (stretch, counts) in stretches.iter().zip(counts) {
        let of_group = stretch.is_by_deck() == by_deck;
        let Some(meter) = stretch.meter().filter(|_| of_group) else {
            quantities.push(nothing(subscription, stretch));
            continue;
        };
        let adds_up = matches!(meter.aggregate, Aggregate::Count | Aggregate::Sum | Aggregate::TimeWeighted);
        let mut whole = (!adds_up).then(|| {
            let kind = stretch.kind();
            let place = wholes.iter().position(|(known, ..)| *known == kind).unwrap_or_else(|| {
                wholes.push((kind, Counter::new(meter.aggregate, false), Exact::ZERO));
                wholes.len() - 1
            });
            &mut wholes[place]
        });
        let mut splits = BTreeMap::new();
        let mut events = 0;
        let mut deck: Option<Counter> = None;
        let mut stretch_total = Exact::ZERO;
        let mut absent: Vec<Split> = Vec::new();
        if meter.aggregate == Aggregate::TimeWeighted {
            let held = opening.keys().filter(|(known, split)| known == group && !counts.contains_key(split));
            absent = held.map(|(_, split)| split.clone()).collect();
        }
        let carried = !absent.is_empty();
        for split in absent {
            let level = opening[&(group.clone(), split.clone())];
            let none = Counter::new(meter.aggregate, false);
            let hours = none.quantity(stretch.span, level)?;
            stretch_total = stretch_total.add(hours)?;
            splits.insert(split, hours);
        }
        for (split, counter) in counts {
            let level = opening.get(&(group.clone(), split.clone())).copied().unwrap_or(0);
            let quantity = counter.quantity(stretch.span, level)?;
            if meter.aggregate == Aggregate::TimeWeighted {
                opening.insert((group.clone(), split.clone()), counter.closing(level));
            }
            events += counter.events;
            stretch_total = stretch_total.add(quantity)?;
            splits.insert(split, quantity);
            if matches!(counter.value, Aggregated::Deck(_)) {
                deck = Some(counter.clone());
            }
            if let Some((_, counted, _)) = &mut whole {
                counted.merge(&counter)?;
            }
        }
        // Sums and held hours add up; of maxima, latest and different values the whole is taken.
        let measured = match whole {
            None => stretch_total,
            Some((_, counted, before)) => {
                let whole = counted.quantity(stretch.span, 0)?;
                let more = whole.sub(*before)?;
                *before = whole;
                more
            }
        };
        let measured = match meter.rounding {
            Rounding::SumUp(step) => {
                // The sum of the cycle is rounded, also where the price changed within it.
                let up = |sum: Exact| -> Result<Exact, OutOfRange> { sum.div(step)?.ceil().mul(step) };
                let (cycle, earlier) = unrounded;
                let earlier = if cycle == Some(stretch.cycle) { earlier } else { Exact::ZERO };
                let sum = earlier.add(measured)?;
                unrounded = (Some(stretch.cycle), sum);
                up(sum)?.sub(up(earlier)?)?
            }
            Rounding::None | Rounding::EachUp(_) => measured,
        };
        if splits.is_empty() {
            splits.insert(own_split(subscription), Exact::ZERO);
        }
        let mut total = measured.div(meter.unit_size)?;
        if meter.aggregate == Aggregate::Latest && events > 0 {
            // The latest value is all at the price in force when it was reported.
            for (quantity, other) in quantities.iter_mut().zip(stretches) {
                let known = other.meter().filter(|_| other.counts_like(stretch));
                if let Some(known) = known.filter(|_| is_repriced(other, stretch)) {
                    total = total.add(quantity.total.mul(known.unit_size)?.div(meter.unit_size)?)?;
                    quantity.total = Exact::ZERO;
                }
            }
        }
        quantities.push(Quantities {
            is_measured: true,
            total,
            splits,
            units_per_price: Exact::ONE,
            unit: meter.unit.clone(),
            per: meter.unit.clone(),
            parts: parts(meter, events, measured, carried),
            days: None,
            deck: deck.and_then(|counter| match counter.value {
                Aggregated::Deck(count) => Some(count),
                _ => None,
            }),
            drawn: BTreeMap::new(),
            covered: Exact::ZERO,
        });
    }
    Ok(quantities)
}

/// Whether a later stretch takes over units of an earlier one: in its cycle, or where the price changed since.
fn is_repriced(earlier: &Stretch<'_>, later: &Stretch<'_>) -> bool {
    let unit_size = |stretch: &Stretch<'_>| stretch.meter().map(|meter| meter.unit_size);
    let goes_on = earlier.charge.pricing == later.charge.pricing
        && earlier.agreed == later.agreed
        && unit_size(earlier) == unit_size(later);
    earlier.cycle.start == later.cycle.start || !goes_on
}

/// How a metered quantity came about.
fn parts(meter: &Meter, events: i64, measured: Exact, carried: bool) -> Vec<String> {
    if events == 0 {
        let of = meter.of.as_deref().filter(|_| carried);
        return of.map(|of| format!("The last {of} reported, held on")).into_iter().collect();
    }
    let values = count(events, "value");
    let each = if events == 1 { "" } else { "each " };
    let events = count(events, &meter.event);
    let rounded = |what: &str, step, of: &str| {
        vec![format!("{events}, {what}rounded up to a multiple of {step} {of}: {measured} {of}")]
    };
    let how = match (meter.aggregate, &meter.of) {
        (Aggregate::Sum, Some(of)) => match meter.rounding {
            Rounding::EachUp(step) => return rounded(each, step, of),
            Rounding::SumUp(step) => return rounded("their sum ", step, of),
            Rounding::None => format!("{measured} {of}"),
        },
        (Aggregate::Max, Some(of)) => return vec![format!("Greatest of {values} of {of}")],
        (Aggregate::Latest, Some(of)) => return vec![format!("Latest of {values} of {of}")],
        (Aggregate::Unique, Some(of)) => return vec![format!("{measured} different of {values} of {of}")],
        (Aggregate::TimeWeighted, Some(of)) => {
            return vec![format!("{values} of {of}, each held until the next")];
        }
        _ => return vec![events],
    };
    vec![format!("{events}: {how}")]
}
