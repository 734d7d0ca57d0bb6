//! `[[products.NAME.plans.NAME.charges]]`: what is measured, over what, and when it is charged.

use super::file::Named;
use super::plans::{Names, modes};
use super::pricing;
use super::source::{Source, near, one_of, quoted};
use super::table::{Form, Table, Value, choice, list};
use farebox_core::calendar::Cycle;
use farebox_core::catalog::{
    Aggregate, Charge, Held, HeldBy, Measure, Meter, Mode, Model, MonthDays, PastPackage, Plan, Rounding,
    Settle,
};
use toml::de::DeValue;

const CYCLES: &[(&str, Cycle)] = &[("hour", Cycle::Hour), ("day", Cycle::Day), ("month", Cycle::Month)];
const SETTLES: &[(&str, Settle)] = &[
    ("purchase", Settle::AtPurchase),
    ("hour", Settle::Each(Cycle::Hour)),
    ("day", Settle::Each(Cycle::Day)),
    ("month", Settle::Each(Cycle::Month)),
];
const MONTHS: &[(&str, MonthDays)] =
    &[("actual", MonthDays::Actual), ("thirty", MonthDays::Thirty), ("full", MonthDays::Full)];
const PAST_PACKAGE: &[(&str, PastPackage)] =
    &[("charge", PastPackage::Charge), ("refuse", PastPackage::Refuse)];
const TIERS_COUNT: &[(&str, bool)] = &[("after-packages", false), ("all", true)];
const TAKES: &[(&str, bool)] = &[("bound", false), ("account", true)];
const CHARGED: &[(&str, bool)] = &[("charged", true), ("free", false)];

/// How files write a cycle.
pub(super) fn cycle_name(cycle: Cycle) -> &'static str {
    CYCLES.iter().find(|(_, known)| *known == cycle).map_or("", |(name, _)| name)
}

/// The charges of a plan, in the order of the file.
pub(super) fn charges(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    plan: &Plan,
    modes_known: bool,
    names: &Names<'_>,
) -> Vec<Charge> {
    let mut charges: Vec<Charge> = Vec::new();
    let Some(value) = table.get("charges") else { return charges };
    let before = source.count();
    let example = "[[products.NAME.plans.NAME.charges]], or charges = [{ … }, …]";
    for value in list(source, &table.label("charges"), value, example).unwrap_or_default() {
        let at = value.span().start;
        let what = format!("{}, a charge", table.what);
        let Some(mut charge) = Table::read(source, what, at, value, example) else { continue };
        let Some(charge) = one(source, &mut charge, plan, names) else { continue };
        if charges.iter().any(|known| known.id == charge.id) {
            let found = format!("a second charge {} in {}", quoted(&charge.id), table.what);
            source.mistake(at, found, "names unique in the plan");
        }
        charges.push(charge);
    }
    if modes_known && source.count() == before && !charges.is_empty() {
        for mode in &plan.modes {
            if !charges.iter().any(|charge| charge.modes.contains(mode)) {
                let found = format!("{} can be ordered {mode} and has no charge for it", table.what);
                let expected = "a charge with that mode; with price = \"0\" if it costs nothing";
                source.mistake(table.at, found, expected);
            }
        }
    }
    charges
}

fn one(source: &mut Source<'_>, table: &mut Table<'_>, plan: &Plan, names: &Names<'_>) -> Option<Charge> {
    let id = table.need_text(source, "id", "id = \"seat-days\", its name in the plan")?;
    let place = table.value_place("id");
    table.what = format!("plan {}, charge {}", quoted(&plan.id), quoted(&id));
    Form::Name.check(source, &table.what, &id, place);
    let title = table.text(source, "title").unwrap_or_else(|| plan.title.clone());
    let measure = measure(source, table, names);
    let modes = if measure == Some(Measure::Term) && !table.has("modes") {
        table.get("modes");
        vec![Mode::Prepaid]
    } else {
        modes(source, table, Some(&plan.modes)).unwrap_or_default()
    };
    let settle = settle(source, table, measure.as_ref());
    let accumulate = table.choice(source, "accumulate", CYCLES);
    let per = per(source, table, plan, measure.as_ref());
    let pricing = pricing::pricing(source, table, names.decks);
    let concurrency = table.text(source, "concurrency");
    if let Some(name) = &concurrency {
        Form::Name.check(source, &table.label("concurrency"), name, table.value_place("concurrency"));
    }
    let charge = Charge {
        draws: table.yes(source, "draws", true),
        past_package: table.choice(source, "past-package", PAST_PACKAGE).unwrap_or(PastPackage::Charge),
        tiers_count_all: table.choice(source, "tiers-count", TIERS_COUNT).unwrap_or(false),
        takes_all: table.choice(source, "takes", TAKES).unwrap_or(false),
        concurrency,
        id,
        title,
        modes,
        accumulate: accumulate.unwrap_or(match settle {
            Some(Settle::Each(cycle)) => cycle,
            _ => Cycle::Month,
        }),
        per,
        discountable: table.yes(source, "discountable", true),
        rules: table.rules(source),
        measure: measure.clone().unwrap_or(Measure::Fixed),
        settle: settle.unwrap_or(Settle::Each(Cycle::Month)),
        pricing: pricing.clone().unwrap_or_else(pricing::nothing),
    };
    if let (Some(measure), Some(settle)) = (&measure, settle) {
        fits(source, table, plan, &charge, measure, settle);
        if pricing.is_some() {
            model_fits(source, table, &charge, names.meters);
        }
    }
    table.finish(source);
    Some(charge)
}

/// Exactly one of `meter`, `held`, `fixed` and `term`.
fn measure(source: &mut Source<'_>, table: &mut Table<'_>, names: &Names<'_>) -> Option<Measure> {
    let kinds = ["meter", "held", "fixed", "term"];
    let present: Vec<&str> = kinds.into_iter().filter(|kind| table.has(kind)).collect();
    let meter = table.get("meter");
    let held = table.get("held");
    let fixed = table.yes(source, "fixed", false);
    let term = table.yes(source, "term", false);
    let expected = "one of meter = \"…\", held = \"day\", fixed = true or term = true";
    if present.len() != 1 {
        let (at, found) = match present.get(1) {
            None => (table.at, format!("{} measures nothing", table.what)),
            Some(second) => {
                (table.place(second), format!("{} has {} at once", table.what, present.join(" and ")))
            }
        };
        source.mistake(at, found, expected);
        return None;
    }
    if let Some(value) = meter {
        let name = super::table::text(source, &table.label("meter"), value)?;
        if !names.meters.contains_key(name) {
            let known = || names.meters.keys().map(String::as_str);
            let found = format!("unknown meter {}", quoted(name));
            let expected = format!("one that [meters] declares: {}", one_of(known()));
            source.suggest(value.span().start, found, expected, near(name, known()));
            return None;
        }
        return Some(Measure::Meter(name.to_owned()));
    }
    if let Some(value) = held {
        return self::held(source, table, value).map(Measure::Held);
    }
    match present.first() {
        _ if fixed => Some(Measure::Fixed),
        _ if term => Some(Measure::Term),
        Some(kind) => {
            // `fixed = false`; anything but true and false is a mistake already.
            if matches!(table.get(kind).map(|value| value.get_ref()), Some(DeValue::Boolean(_))) {
                source.mistake(table.place(kind), format!("{} measures nothing", table.what), expected);
            }
            None
        }
        None => None,
    }
}

/// `held = "day"`, or a table with `by`, `month`, `last-day` and `stopped`.
fn held(source: &mut Source<'_>, table: &Table<'_>, value: &Value<'_>) -> Option<Held> {
    let by = [("day", true), ("second", false)];
    let what = table.label("held");
    if let DeValue::String(_) = value.get_ref() {
        let by_day = choice(source, &what, value, &by)?;
        return Some(Held { by: held_by(by_day, None, None), while_stopped: true });
    }
    let example = "\"day\", \"second\" or { by = \"day\", month = \"actual\", last-day = \"free\" }";
    let mut held = Table::read(source, what, table.place("held"), value, example)?;
    let by_day = held
        .need(source, "by", "by = \"day\" or by = \"second\"")
        .and_then(|value| choice(source, &held.label("by"), value, &by));
    let month = held.choice(source, "month", MONTHS);
    let last_day = held.choice(source, "last-day", CHARGED);
    let while_stopped = held.choice(source, "stopped", CHARGED).unwrap_or(true);
    if by_day == Some(false) {
        for key in ["month", "last-day"] {
            if held.has(key) {
                let found = format!("{} is by the second and has {key}", held.what);
                source.mistake(held.place(key), found, "by = \"day\", or no such field");
            }
        }
    }
    held.finish(source);
    Some(Held { by: held_by(by_day?, month, last_day), while_stopped })
}

fn held_by(by_day: bool, month: Option<MonthDays>, last_day: Option<bool>) -> HeldBy {
    if by_day {
        HeldBy::Day { last_day: last_day.unwrap_or(false), month: month.unwrap_or(MonthDays::Actual) }
    } else {
        HeldBy::Second
    }
}

/// When it is charged: a term at purchase, a fixed fee as it says, all else monthly unless it says
/// otherwise.
fn settle(source: &mut Source<'_>, table: &mut Table<'_>, measure: Option<&Measure>) -> Option<Settle> {
    if table.has("settle") {
        return table.choice(source, "settle", SETTLES);
    }
    table.get("settle");
    match measure {
        Some(Measure::Term) => Some(Settle::AtPurchase),
        Some(Measure::Fixed) => {
            let found = format!("{} is fixed and has no field settle", table.what);
            source.mistake(table.at, found, "settle = \"purchase\" for once, \"month\", \"day\" or \"hour\"");
            None
        }
        _ => Some(Settle::Each(Cycle::Month)),
    }
}

fn per(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    plan: &Plan,
    measure: Option<&Measure>,
) -> Vec<String> {
    let names = table.names(source, "per", Form::Attribute);
    let metered = matches!(measure, None | Some(Measure::Meter(_)));
    for (name, at) in &names {
        let of_order = plan.binds.iter().chain(&plan.options).any(|known| known == name);
        if !metered && !of_order {
            let found = format!("{} is not metered and is per {}", table.what, quoted(name));
            source.mistake(*at, found, "an attribute that the plan binds or has as an option");
        }
    }
    names.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// What is measured, when it is charged, and over what it accumulates must go together.
fn fits(
    source: &mut Source<'_>,
    table: &Table<'_>,
    plan: &Plan,
    charge: &Charge,
    measure: &Measure,
    settle: Settle,
) {
    let what = &table.what;
    if *measure == Measure::Term && !plan.modes.is_empty() {
        let found = match (plan.modes.contains(&Mode::Prepaid), charge.modes.contains(&Mode::PayPerUse)) {
            (false, _) => Some("its plan cannot be prepaid"),
            (_, true) => Some("applies to pay-per-use"),
            _ => None,
        };
        if let Some(found) = found {
            let place = if table.has("modes") { table.place("modes") } else { table.place("term") };
            source.mistake(place, format!("{what} is for the term and {found}"), "prepaid only");
        }
    }
    match (settle, measure) {
        (Settle::Each(_), Measure::Term) => {
            let found = format!("{what} is for the term and not charged at purchase");
            source.mistake(table.place("settle"), found, "settle = \"purchase\", or no such field");
        }
        (Settle::AtPurchase, Measure::Meter(_) | Measure::Held(_)) => {
            let how = if table.has("meter") { "metered" } else { "held over time" };
            let found = format!("{what} is {how} and charged at purchase");
            source.mistake(table.place("settle"), found, "settle = \"hour\", \"day\" or \"month\"");
        }
        (Settle::Each(cycle), _) if cycle > charge.accumulate => {
            let found = format!(
                "{what} settles each {} and accumulates over an {}",
                cycle_name(cycle),
                cycle_name(charge.accumulate)
            )
            .replace("an day", "a day");
            let expected = format!("accumulate = \"{}\" or longer", cycle_name(cycle));
            source.mistake(table.place("accumulate"), found, expected);
        }
        (Settle::Each(Cycle::Hour), Measure::Held(Held { by: HeldBy::Day { .. }, .. })) => {
            let found = format!("{what} is held by the day and settles each hour");
            source.mistake(table.place("settle"), found, "settle = \"day\" or \"month\"");
        }
        (
            Settle::Each(Cycle::Day),
            Measure::Held(Held { by: HeldBy::Day { month: MonthDays::Full, .. }, .. }),
        ) => {
            let found = format!("{what} charges full months and settles each day");
            source.mistake(table.place("settle"), found, "settle = \"month\"");
        }
        _ => {}
    }
}

/// What the price model and the meter's rounding ask of the rest.
fn model_fits(source: &mut Source<'_>, table: &Table<'_>, charge: &Charge, meters: &Named<Meter>) {
    let what = &table.what;
    let meter = match &charge.measure {
        Measure::Meter(name) => meters.get(name),
        _ => None,
    };
    for key in ["draws", "past-package", "tiers-count", "takes", "concurrency"] {
        if meter.is_none() && table.has(key) {
            let found = format!("{what} is not metered and has {key}");
            source.mistake(table.place(key), found, "meter = \"…\", or no such field");
        }
    }
    if let Model::Deck(_) = charge.pricing.model {
        match meter {
            None => {
                let found = format!("{what} has a deck and no meter");
                source.mistake(table.place("deck"), found, "meter = \"…\", one that sums seconds of calls");
            }
            Some(Some(meter)) if meter.aggregate != Aggregate::Sum || meter.rounding != Rounding::None => {
                let found = format!("{what} has a deck and the meter {}", quoted(&meter.id));
                let expected =
                    "a meter with aggregate = \"sum\" of seconds and no rounding: the deck has steps";
                source.mistake(table.place("meter"), found, expected);
            }
            _ => {}
        }
    }
    if let Some(Some(meter)) = meter
        && let (Rounding::SumUp(_), Settle::Each(Cycle::Hour)) = (meter.rounding, charge.settle)
    {
        let found = format!(
            "{what} settles each hour and its meter {} rounds the sum of a cycle up",
            quoted(&meter.id)
        );
        source.mistake(
            table.place("meter"),
            found,
            "settle = \"day\" or \"month\", or round = { each-up-to = … }",
        );
    }
}
