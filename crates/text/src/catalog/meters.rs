//! `[meters.NAME]`: what is counted of the usage events.

use super::source::{Source, quoted};
use super::table::{Form, Number, Table, Value, described, list, number, text};
use farebox_core::calendar::Cycle;
use farebox_core::catalog::{Aggregate, Filter, Meter, Rounding, Test};
use farebox_core::money::Exact;
use toml::de::DeValue;

const AGGREGATES: &[(&str, Aggregate)] = &[
    ("count", Aggregate::Count),
    ("sum", Aggregate::Sum),
    ("max", Aggregate::Max),
    ("latest", Aggregate::Latest),
    ("unique", Aggregate::Unique),
    ("time-weighted", Aggregate::TimeWeighted),
];

/// How files write an aggregate.
pub(super) fn aggregate_name(aggregate: Aggregate) -> &'static str {
    AGGREGATES.iter().find(|(_, known)| *known == aggregate).map_or("", |(name, _)| name)
}

pub(super) fn meter(source: &mut Source<'_>, id: &str, mut table: Table<'_>) -> Option<Meter> {
    let event = table.need_text(source, "event", "event = \"call\", the type of the events");
    let filters = match table.get("where") {
        Some(value) => {
            let what = table.label("where");
            let at = table.place("where");
            Table::read(source, what, at, value, "{ direction = \"outbound\" }")
                .map(|table| filters(source, &table))
                .unwrap_or_default()
        }
        None => Vec::new(),
    };
    let aggregate = if table.has("aggregate") {
        table.choice(source, "aggregate", AGGREGATES)
    } else {
        table.get("aggregate");
        Some(Aggregate::Count)
    };
    let of = table.text(source, "of");
    if let Some(of) = &of {
        let at = table.value_place("of");
        Form::Attribute.check(source, &table.label("of"), of, at);
    }
    let rounding = rounding(source, &mut table, aggregate);
    let unit = table.text(source, "unit");
    let unit_size = table.number(source, "unit-size", Number::Positive).unwrap_or(Exact::ONE);
    let times = [("end", false), ("start", true)];
    let timed_by_start = table.choice(source, "time", &times).unwrap_or(false);
    let cycles = [("hour", Cycle::Hour), ("day", Cycle::Day)];
    let by = table.choice(source, "by", &cycles);
    match (aggregate, &of) {
        (Some(Aggregate::Count), Some(_)) => {
            let found = format!("{} counts events and has the field of", table.what);
            let expected = "to leave of out, or an aggregate of it, such as aggregate = \"sum\"";
            source.mistake(table.place("of"), found, expected);
        }
        (Some(aggregate), None) if aggregate != Aggregate::Count && !table.has("of") => {
            let found = format!("{} has no field of", table.what);
            let expected =
                format!("of = \"seconds\", the attribute whose {} is meant", aggregate_name(aggregate));
            source.mistake(table.at, found, expected);
        }
        _ => {}
    }
    table.finish(source);
    let event = event?;
    Some(Meter {
        id: id.to_owned(),
        unit: unit.unwrap_or_else(|| of.clone().unwrap_or_else(|| event.clone())),
        event,
        filters,
        aggregate: aggregate?,
        of,
        rounding,
        unit_size,
        timed_by_start,
        by,
    })
}

fn rounding(source: &mut Source<'_>, table: &mut Table<'_>, aggregate: Option<Aggregate>) -> Rounding {
    let Some(value) = table.get("round") else { return Rounding::None };
    let (what, at) = (table.label("round"), table.place("round"));
    let example = "{ each-up-to = 60 } or { sum-up-to = 60 }";
    let Some(mut round) = Table::read(source, what, at, value, example) else { return Rounding::None };
    let each = round.number(source, "each-up-to", Number::Positive);
    let sum = round.number(source, "sum-up-to", Number::Positive);
    let both = round.has("each-up-to") && round.has("sum-up-to");
    if both || !(round.has("each-up-to") || round.has("sum-up-to")) {
        let found = format!("{} rounds {}", table.what, if both { "twice" } else { "to nothing" });
        source.mistake(at, found, example);
    }
    let possible: &[Aggregate] = if each.is_some() {
        &[Aggregate::Sum, Aggregate::Max, Aggregate::Latest]
    } else {
        &[Aggregate::Sum, Aggregate::TimeWeighted]
    };
    if let Some(aggregate) = aggregate
        && (each.is_some() || sum.is_some())
        && !possible.contains(&aggregate)
    {
        let way = if each.is_some() { "each-up-to" } else { "sum-up-to" };
        let found = format!("{} is a {} and has round = {way}", table.what, aggregate_name(aggregate));
        let names: Vec<_> = possible.iter().map(|one| aggregate_name(*one)).collect();
        source.mistake(at, found, format!("{way} only with aggregate {}", names.join(", ")));
    }
    round.finish(source);
    match (each, sum) {
        (Some(step), _) => Rounding::EachUp(step),
        (_, Some(step)) => Rounding::SumUp(step),
        _ => Rounding::None,
    }
}

fn filters(source: &mut Source<'_>, table: &Table<'_>) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (attribute, at, value) in table.each() {
        let what = format!("{}: {}", table.what, quoted(attribute));
        if Form::Attribute.check(source, &table.what, attribute, at)
            && let Some(test) = test(source, &what, value)
        {
            filters.push(Filter { attribute: attribute.to_owned(), test });
        }
    }
    filters
}

fn test(source: &mut Source<'_>, what: &str, value: &Value<'_>) -> Option<Test> {
    match value.get_ref() {
        DeValue::String(_) => {
            let written = text(source, what, value)?;
            match written.split_once("..") {
                Some((low, high))
                    if written.starts_with(|c: char| c.is_ascii_digit() || "-.".contains(c)) =>
                {
                    range(source, what, value.span().start, low, high)
                }
                _ => Some(Test::OneOf(vec![written.to_owned()])),
            }
        }
        DeValue::Integer(_) => {
            let exact = number(source, what, value, Number::Any)?;
            Some(Test::Between(exact, exact))
        }
        DeValue::Array(_) => texts(source, what, value).map(Test::OneOf),
        DeValue::Table(entries) => {
            let mut table = Table::new(what.to_owned(), value.span().start, entries);
            let not = table.need(source, "not", "{ not = \"internal\" } or { not = [\"a\", \"b\"] }");
            table.finish(source);
            texts(source, &format!("{what}: not"), not?).map(Test::NoneOf)
        }
        other => {
            let found = format!("{what} is {}", described(other));
            let expected = "a text, a list of texts, a range such as \"200..299\", or { not = \"…\" }";
            source.mistake(value.span().start, found, expected);
            None
        }
    }
}

fn range(source: &mut Source<'_>, what: &str, at: usize, low: &str, high: &str) -> Option<Test> {
    let ends = (Exact::parse(low.trim(), 9), Exact::parse(high.trim(), 9));
    if let (Ok(low), Ok(high)) = ends
        && low <= high
    {
        return Some(Test::Between(low, high));
    }
    let found = format!("{what} is {}", quoted(&format!("{low}..{high}")));
    source.mistake(at, found, "a range from a number to one that is not below it, such as \"200..299\"");
    None
}

/// A text, or a list of some.
fn texts(source: &mut Source<'_>, what: &str, value: &Value<'_>) -> Option<Vec<String>> {
    if matches!(value.get_ref(), DeValue::String(_)) {
        return text(source, what, value).map(|one| vec![one.to_owned()]);
    }
    let values = list(source, what, value, "a text or a list of texts")?;
    if values.is_empty() {
        source.mistake(value.span().start, format!("{what} is an empty list"), "one text at least");
        return None;
    }
    let texts: Vec<_> = values.iter().filter_map(|value| text(source, what, value)).collect();
    (texts.len() == values.len()).then(|| texts.into_iter().map(str::to_owned).collect())
}
