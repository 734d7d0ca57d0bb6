//! How a charge is priced: one price model, free units, minimum and maximum.

use super::file::Named;
use super::source::{Source, near, one_of, quoted};
use super::table::{Number, Table, Value, list, number};
use farebox_core::catalog::{Deck, Model, Pricing, Tier};
use farebox_core::money::Exact;

const MODELS: [&str; 6] = ["price", "graduated", "volume", "block", "flat", "deck"];

/// Stands in for a price that could not be read.
pub(super) fn nothing() -> Pricing {
    Pricing { model: Model::PerUnit(Exact::ZERO), free: Exact::ZERO, minimum: None, maximum: None }
}

pub(super) fn pricing(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    decks: &Named<Deck>,
) -> Option<Pricing> {
    let present: Vec<&str> = MODELS.into_iter().filter(|model| table.has(model)).collect();
    let price = table.number(source, "price", Number::Price).map(Model::PerUnit);
    let graduated = table.get("graduated").and_then(|value| tiers(source, table.label("graduated"), value));
    let volume = table.get("volume").and_then(|value| tiers(source, table.label("volume"), value));
    let block = table.get("block").and_then(|value| block(source, table, value));
    let flat = table.number(source, "flat", Number::Price).map(Model::Flat);
    let deck = table.get("deck").and_then(|value| deck(source, table, value, decks));
    let free = table.number(source, "free", Number::Quantity).unwrap_or(Exact::ZERO);
    let minimum = table.number(source, "minimum", Number::Price);
    let maximum = table.number(source, "maximum", Number::Price);
    if let (Some(least), Some(most)) = (minimum, maximum)
        && least > most
    {
        let found = format!("{} has the minimum {least} above its maximum {most}", table.what);
        source.mistake(table.place("minimum"), found, "a minimum up to the maximum");
    }
    if present.len() != 1 {
        let (at, found) = match present.get(1) {
            None => (table.at, format!("{} has no price", table.what)),
            Some(second) => {
                (table.place(second), format!("{} has {} at once", table.what, present.join(" and ")))
            }
        };
        source.mistake(at, found, format!("one of {}", one_of(MODELS)));
        return None;
    }
    for key in ["free", "minimum", "maximum"] {
        if table.has("deck") && table.has(key) {
            let found = format!("{} has a deck and the field {key}", table.what);
            source.mistake(table.place(key), found, "no such field: a deck prices each call by itself");
        }
    }
    let model = price
        .or(graduated.map(Model::Graduated))
        .or(volume.map(Model::Volume))
        .or(block)
        .or(flat)
        .or(deck)?;
    Some(Pricing { model, free, minimum, maximum })
}

/// Tiers, ascending, the last one open.
fn tiers(source: &mut Source<'_>, what: String, value: &Value<'_>) -> Option<Vec<Tier>> {
    let example = "[{ up-to = 10000, price = \"0.021\" }, { price = \"0.014\" }]";
    let values = list(source, &what, value, example)?;
    let before = source.count();
    if values.is_empty() {
        source.mistake(value.span().start, format!("{what} is empty"), example);
    }
    let last = values.len().saturating_sub(1);
    let mut tiers: Vec<Tier> = Vec::new();
    let mut reached = Exact::ZERO;
    for (index, value) in values.into_iter().enumerate() {
        let at = value.span().start;
        let what = format!("{what}, tier {}", index + 1);
        let Some(mut table) = Table::read(source, what, at, value, example) else { continue };
        let up_to = table.number(source, "up-to", Number::Positive);
        let price = table
            .need(source, "price", "price = \"0.014\", of a unit in this tier")
            .and_then(|value| number(source, &table.label("price"), value, Number::Price));
        let flat = table.number(source, "flat", Number::Price).unwrap_or(Exact::ZERO);
        if let Some(up_to) = up_to {
            if up_to <= reached {
                let found = format!("{} ends at {up_to}, not after {reached}", table.what);
                source.mistake(table.place("up-to"), found, "tiers in ascending order");
            }
            reached = reached.max(up_to);
        }
        if index == last && table.has("up-to") {
            let found = format!("{} is the last and ends", table.what);
            source.mistake(table.place("up-to"), found, "no up-to, so that every quantity has a price");
        }
        if index != last && !table.has("up-to") {
            let found = format!("{} has no field up-to and is not the last", table.what);
            source.mistake(at, found, "up-to = 10000, its last unit");
        }
        table.finish(source);
        tiers.extend(price.map(|price| Tier { up_to, price, flat }));
    }
    (source.count() == before).then_some(tiers)
}

fn block(source: &mut Source<'_>, table: &Table<'_>, value: &Value<'_>) -> Option<Model> {
    let example = "{ size = 1000, price = \"2.50\" }";
    let mut block = Table::read(source, table.label("block"), table.place("block"), value, example)?;
    let size = block
        .need(source, "size", "size = 1000, the units in a block")
        .and_then(|value| number(source, &block.label("size"), value, Number::Positive));
    let price = block
        .need(source, "price", "price = \"2.50\", of a block")
        .and_then(|value| number(source, &block.label("price"), value, Number::Price));
    block.finish(source);
    Some(Model::Block { size: size?, price: price? })
}

fn deck(source: &mut Source<'_>, table: &Table<'_>, value: &Value<'_>, decks: &Named<Deck>) -> Option<Model> {
    let name = super::table::text(source, &table.label("deck"), value)?;
    if decks.contains_key(name) {
        return Some(Model::Deck(name.to_owned()));
    }
    let known = || decks.keys().map(String::as_str);
    let expected = format!("one that [decks] declares: {}", one_of(known()));
    let suggestion = near(name, known());
    source.suggest(value.span().start, format!("unknown deck {}", quoted(name)), expected, suggestion);
    None
}
