//! `[decks.NAME]`: what calls to numbers cost, by prefix and time band.

use super::source::{Source, near, one_of, quoted};
use super::table::{Form, Number, Table, Value, list, number, text};
use farebox_core::catalog::{Band, BandHours, Deck, DeckRate, DeckRow};
use farebox_core::money::Exact;
use std::collections::BTreeMap;
use toml::de::DeValue;

pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_S: u32 = 86_400;
const MAX_BANDS: usize = 16;
const MAX_PREFIX: usize = 20;

pub(super) fn deck(source: &mut Source<'_>, id: &str, mut table: Table<'_>) -> Option<Deck> {
    let destination =
        table.need_text(source, "destination", "destination = \"to\", the attribute with the number called");
    if let Some(destination) = &destination {
        let at = table.value_place("destination");
        Form::Attribute.check(source, &table.label("destination"), destination, at);
    }
    let bands = bands(source, &mut table);
    let usual = Usual {
        connect_fee: table.number(source, "connect", Number::Price).unwrap_or(Exact::ZERO),
        first_step_s: table.whole(source, "first-step", 1..=DAY_S).unwrap_or(60),
        next_step_s: table.whole(source, "next-step", 1..=DAY_S),
    };
    let mut rows = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let what = table.label("rows");
    let example = "rows = [{ prefix = \"44\", title = \"United Kingdom\", price = \"0.30\" }, …]";
    let values = match table.need(source, "rows", example) {
        Some(value) => list(source, &what, value, example),
        None => None,
    };
    if values.as_ref().is_some_and(Vec::is_empty) {
        source.mistake(table.place("rows"), format!("{what} is empty"), "one row at least");
    }
    for (index, value) in values.unwrap_or_default().into_iter().enumerate() {
        let at = value.span().start;
        let what = format!("{}, row {}", table.what, index + 1);
        let Some(row) = Table::read(source, what, at, value, "{ prefix = \"44\", price = \"0.30\" }") else {
            continue;
        };
        let Some((row, at)) = row_of(source, row, &bands, &usual) else { continue };
        if let Some(first) = places.insert(row.prefix.clone(), at) {
            let found = format!("{} has the prefix {} a second time", table.what, quoted(&row.prefix));
            source.mistake(
                at,
                found,
                format!("each prefix once; the first is in line {}", source.line(first)),
            );
        }
        rows.push(row);
    }
    rows.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    table.finish(source);
    Some(Deck { id: id.to_owned(), destination: destination?, bands, rows })
}

/// What rows have that do not say otherwise.
struct Usual {
    connect_fee: Exact,
    first_step_s: u32,
    next_step_s: Option<u32>,
}

fn row_of(
    source: &mut Source<'_>,
    mut table: Table<'_>,
    bands: &[Band],
    usual: &Usual,
) -> Option<(DeckRow, usize)> {
    let before = source.count();
    let prefix = table.need(source, "prefix", "prefix = \"44\", or \"\" for all other numbers");
    let prefix = match prefix.map(|value| (value.get_ref(), value)) {
        Some((DeValue::String(digits), value)) => {
            let good = digits.len() <= MAX_PREFIX && digits.bytes().all(|b| b.is_ascii_digit());
            if !good {
                let tidy: String = digits.chars().take(64).filter(|c| !" +-()/".contains(*c)).collect();
                let tidy = Some(tidy.trim_start_matches("00").to_owned())
                    .filter(|tidy| (1..=MAX_PREFIX).contains(&tidy.len()))
                    .filter(|tidy| tidy.bytes().all(|b| b.is_ascii_digit()));
                source.suggest(
                    value.span().start,
                    format!("{} is {}", table.label("prefix"), quoted(digits)),
                    format!("up to {MAX_PREFIX} digits, from the country's code on, without + or 00"),
                    tidy,
                );
            }
            digits.to_string()
        }
        Some((_, value)) => text(source, &table.label("prefix"), value)?.to_owned(),
        None => String::new(),
    };
    let at = table.place("prefix");
    let title = table
        .text(source, "title")
        .unwrap_or_else(|| if prefix.is_empty() { "Other numbers".into() } else { format!("+{prefix}") });
    let connect_fee = table.number(source, "connect", Number::Price).unwrap_or(usual.connect_fee);
    let first_step_s = table.whole(source, "first-step", 1..=DAY_S).unwrap_or(usual.first_step_s);
    let next_step_s =
        table.whole(source, "next-step", 1..=DAY_S).or(usual.next_step_s).unwrap_or(first_step_s);
    let whole = rates(source, &mut table, "price", bands);
    let first = rates(source, &mut table, "first-price", bands);
    let next = rates(source, &mut table, "next-price", bands);
    let split = table.has("first-price") || table.has("next-price");
    let complete =
        if table.has("price") { !split } else { table.has("first-price") && table.has("next-price") };
    if !complete {
        let found = if table.has("price") {
            "both price and first-price or next-price"
        } else if split {
            "only one of first-price and next-price"
        } else {
            "no price"
        };
        let expected = "price, or first-price and next-price: by the minute";
        source.mistake(at, format!("{} has {found}", table.what), expected);
    }
    table.finish(source);
    if source.count() != before {
        // Keeps the prefix known, so that a second row with it is still reported.
        return Some((
            DeckRow { prefix, title, connect_fee, first_step_s, next_step_s, rates: Vec::new() },
            at,
        ));
    }
    let (first, next) = (first.or_else(|| whole.clone())?, next.or(whole)?);
    let rates = first
        .into_iter()
        .zip(next)
        .map(|(first_per_minute, next_per_minute)| DeckRate { first_per_minute, next_per_minute })
        .collect();
    Some((DeckRow { prefix, title, connect_fee, first_step_s, next_step_s, rates }, at))
}

/// A price for all bands, or one for each.
fn rates(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    key: &'static str,
    bands: &[Band],
) -> Option<Vec<Exact>> {
    let value = table.get(key)?;
    let what = table.label(key);
    let DeValue::Table(entries) = value.get_ref() else {
        return number(source, &what, value, Number::Price).map(|price| vec![price; bands.len()]);
    };
    let names = || bands.iter().map(|band| band.id.as_str());
    let by_band = Table::new(what.clone(), table.place(key), entries);
    for (name, at, _) in by_band.each() {
        if !names().any(|known| known == name) {
            let suggestion = near(name, names());
            source.suggest(
                at,
                format!("unknown band {} in {what}", quoted(name)),
                one_of(names()),
                suggestion,
            );
        }
    }
    let mut rates = Vec::with_capacity(bands.len());
    for band in bands {
        match by_band.each().find(|(name, ..)| *name == band.id) {
            Some((_, _, value)) => {
                rates.extend(number(source, &format!("{what}: {}", quoted(&band.id)), value, Number::Price));
            }
            None => {
                let found = format!("{what} has no price for the band {}", quoted(&band.id));
                source.mistake(table.place(key), found, "a price for each band");
            }
        }
    }
    (rates.len() == bands.len()).then_some(rates)
}

/// The bands in the order of the file; the first holds where no other does.
fn bands(source: &mut Source<'_>, table: &mut Table<'_>) -> Vec<Band> {
    let all = || vec![Band { id: "all".into(), hours: Vec::new() }];
    let example = "[{ id = \"off-peak\" }, { id = \"peak\", hours = \"mon-fri 08:00-20:00\" }]";
    let Some(value) = table.get("bands") else { return all() };
    let Some(values) = list(source, &table.label("bands"), value, example) else { return all() };
    let place = table.place("bands");
    if values.is_empty() || values.len() > MAX_BANDS {
        let found = format!("{} has {} bands", table.what, values.len());
        source.mistake(place, found, format!("1 to {MAX_BANDS}, or to leave bands out: {example}"));
        return all();
    }
    let mut bands: Vec<Band> = Vec::new();
    let mut taken: Vec<(BandHours, String)> = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let at = value.span().start;
        let what = format!("{}, band {}", table.what, index + 1);
        let Some(mut band) = Table::read(source, what.clone(), at, value, example) else { continue };
        let id = band.need_text(source, "id", "id = \"peak\"").unwrap_or_default();
        let place = band.value_place("id");
        if !id.is_empty()
            && Form::Name.check(source, &what, &id, place)
            && bands.iter().any(|band| band.id == id)
        {
            source.mistake(place, format!("a second band {}", quoted(&id)), "each name once");
        }
        let hours = hours(source, &mut band, index == 0);
        for (hours, at) in &hours {
            if let Some((_, other)) = taken.iter().find(|(other, _)| overlap(hours, other)) {
                let found = format!("hours of the band {} overlap with {}", quoted(&id), quoted(other));
                source.mistake(*at, found, "each moment in one band at most");
            }
            taken.push((hours.clone(), id.clone()));
        }
        band.finish(source);
        bands.push(Band { id, hours: hours.into_iter().map(|(hours, _)| hours).collect() });
    }
    if bands.is_empty() { all() } else { bands }
}

fn hours(source: &mut Source<'_>, band: &mut Table<'_>, first: bool) -> Vec<(BandHours, usize)> {
    let form = "hours such as \"08:00-20:00\", \"mon-fri 08:00-20:00\" or \"sat,sun 00:00-24:00\"";
    let Some(value) = band.get("hours") else {
        if !first {
            source.mistake(band.at, format!("{} has no field hours", band.what), form);
        }
        return Vec::new();
    };
    if first {
        let found = format!("{} is the first and has hours", band.what);
        source.mistake(band.place("hours"), found, "none: the first band holds where no other does");
    }
    let what = band.label("hours");
    let values = match value.get_ref() {
        DeValue::String(_) => vec![value],
        _ => list(source, &what, value, form).unwrap_or_default(),
    };
    if values.is_empty() && matches!(value.get_ref(), DeValue::Array(_)) {
        source.mistake(value.span().start, format!("{what} is empty"), form);
    }
    let mut hours = Vec::new();
    for value in values.into_iter().take(100) {
        hours.extend(one_hours(source, &what, value, form));
    }
    hours
}

fn one_hours(
    source: &mut Source<'_>,
    what: &str,
    value: &Value<'_>,
    form: &str,
) -> Option<(BandHours, usize)> {
    let at = value.span().start;
    let written = text(source, what, value)?;
    let parsed = (|| {
        let (days, times) = written.trim().rsplit_once(' ').unwrap_or(("", written.trim()));
        let (from, until) = times.split_once('-')?;
        let days = if days.trim().is_empty() { Some([true; 7]) } else { days_of(days.trim()) }?;
        Some(BandHours { days, from_s: second_of_day(from)?, until_s: second_of_day(until)? })
    })();
    match parsed {
        None => {
            source.mistake(at, format!("{what} is {}", quoted(written)), form);
            None
        }
        Some(hours) if hours.from_s >= hours.until_s => {
            let found = format!("{what} is {}, which ends before it begins", quoted(written));
            source.mistake(at, found, "two stretches, up to 24:00 and from 00:00 on");
            None
        }
        Some(hours) => Some((hours, at)),
    }
}

/// `mon-fri`, `sat,sun`, `fri-mon`.
fn days_of(written: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let mut days = [false; 7];
    for part in written.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut index, last) = (day(first)?, day(last)?);
        days[index] = true;
        while index != last {
            index = (index + 1) % 7;
            days[index] = true;
        }
    }
    Some(days)
}

/// `08:00`, `24:00`, `23:59:30`.
fn second_of_day(written: &str) -> Option<u32> {
    let parts: Vec<&str> = written.split(':').collect();
    if !(2..=3).contains(&parts.len())
        || parts.iter().any(|part| part.len() != 2 || !part.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let (hour, minute, second) = (*numbers.first()?, *numbers.get(1)?, numbers.get(2).copied().unwrap_or(0));
    let seconds = hour * 3600 + minute * 60 + second;
    (minute < 60 && second < 60 && seconds <= DAY_S).then_some(seconds)
}

fn overlap(a: &BandHours, b: &BandHours) -> bool {
    a.from_s < b.until_s && b.from_s < a.until_s && a.days.iter().zip(b.days).any(|(a, b)| *a && b)
}
