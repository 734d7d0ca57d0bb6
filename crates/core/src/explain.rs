//! The words of a line: what a support person tells the customer.

use crate::bill::{Charged, Line, LineKind};
use crate::calendar::{Instant, Span, Zone};
use crate::catalog::{Model, Tier};
use crate::metering::DeckCount;
use crate::money::{Amount, Currency, Exact};
use crate::quantity::PREFIX;
pub use crate::quantity::{count_of, plural};
use crate::rating::{self, Increment};
use crate::settlement::Stretch;
use jiff::civil::{DateTime, Time};
use std::collections::BTreeMap;

/// What a line's words need besides its figures.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pub increment: Increment,
    pub group: BTreeMap<String, String>,
    pub parts: Vec<String>,
    pub days: Option<Span>,
    pub discount: Option<String>,
    pub shared: bool,
    pub deck: Option<DeckCount>,
}

/// The price model in a word.
pub(crate) fn model_name(model: &Model) -> &'static str {
    match model {
        Model::PerUnit(_) => "per-unit",
        Model::Graduated(_) => "graduated",
        Model::Volume(_) => "volume",
        Model::Block { .. } => "block",
        Model::Flat(_) => "flat",
        Model::Deck(_) => "deck",
    }
}

/// `January 2020`, `4–31 January 2020`, `18 April 2023 08:45:30–08:55:30`,
/// `4 January 2020 13:23:56 – 1 February 2020 00:00:00`.
pub fn show_period(zone: &Zone, span: Span) -> String {
    let (start, end) = (zone.local(span.start), zone.local(span.end));
    let day = |date: DateTime| date.strftime("%-d %B %Y").to_string();
    let clock = |at: Instant| {
        let time = zone.local(at).time();
        let whole = time.subsec_nanosecond() == 0;
        let shown = if whole { time.strftime("%H:%M:%S").to_string() } else { time.to_string() };
        shown + &zone.offset_if_doubled(at)
    };
    let midnight = |at: DateTime| at.time() == Time::midnight();
    // Whole days are shown up to the last one inside; moments as they are.
    let last = if midnight(end) { end.date().yesterday().unwrap_or(end.date()) } else { end.date() };
    let last_day = day(last.to_datetime(Time::midnight()));
    if midnight(start) && midnight(end) {
        let month = start.date().first_of_month() == start.date() && last == last.last_of_month();
        return if month && start.date().month() == last.month() && start.date().year() == last.year() {
            start.strftime("%B %Y").to_string()
        } else if start.date() == last {
            last_day
        } else if start.date().first_of_month() == last.first_of_month() {
            format!("{}–{last_day}", start.day())
        } else {
            format!("{} – {last_day}", day(start))
        };
    }
    if start.date() == last {
        let end_clock = if midnight(end) { "24:00:00".to_owned() } else { clock(span.end) };
        format!("{} {}–{end_clock}", day(start), clock(span.start))
    } else {
        format!("{} {} – {} {}", day(start), clock(span.start), day(end), clock(span.end))
    }
}

/// A price with the digits of the currency's minor unit at least.
pub fn show_price(price: Exact, currency: Currency) -> String {
    price.decimal(currency.minor_digits() as usize)
}

/// Writes the description, formula and explanation of a settled line.
pub(crate) fn word(
    line: &mut Line,
    stretch: &Stretch<'_>,
    wording: &Wording,
    known: &Charged,
    before: &Charged,
    currency: Currency,
) {
    let zone = &stretch.catalogue.zone;
    let place = place(stretch, wording);
    line.description =
        format!("{}{place}, {}", line.title, show_period(zone, wording.days.unwrap_or(line.period)));
    let difference = !before.line.is_empty();
    line.formula = if difference {
        format!("{} − {}", known.amount.decimal(currency), before.amount.decimal(currency))
    } else {
        formula(line, stretch, wording, currency)
    };
    let unit = &line.unit;
    let mut text = String::new();
    if !wording.parts.is_empty() {
        text.push_str(&format!("{}. ", wording.parts.join(", ")));
    }
    if difference {
        let shown = |amount: Amount| money(amount.decimal(currency), currency);
        let so = if line.amount.is_negative() {
            format!("{} is given back", shown(line.amount.negated()))
        } else if line.amount.is_zero() {
            "the amount stays".to_owned()
        } else {
            format!("{} is charged now", shown(line.amount))
        };
        text.push_str(&format!(
            "What is known now makes this {} for {}; {} for {} was charged on {}, so {so}.",
            units_and_free(known, unit),
            shown(known.amount),
            before.quantity,
            shown(before.amount),
            before.line,
        ));
        line.explanation = text;
        return;
    }
    if line.kind == LineKind::Correction {
        text.push_str("This reached us after its period was billed. ");
    }
    if !line.free.is_zero() {
        text.push_str(&format!("{} free. ", count_of(line.free, unit)));
    }
    match line.unit_price {
        Some(price) => text.push_str(&format!(
            "{} at {} per {}",
            count_of(line.quantity, unit),
            money(show_price(list_price(stretch).unwrap_or(price), currency), currency),
            line.basis.per
        )),
        None => {
            text.push_str(&format!("{} by the {} price", count_of(line.quantity, unit), line.basis.model))
        }
    }
    if wording.shared {
        text.push_str(", this project's share by quantity");
    }
    text.push_str(&format!(": {} = {}.", line.formula, line.list.decimal(currency)));
    let adjusted = wording.increment.adjusted;
    if adjusted > Exact::ZERO {
        text.push_str(" Raised to the minimum of the period.");
    } else if adjusted.is_negative() {
        text.push_str(" Cut to the maximum of the period.");
    }
    if let Some(discount) = wording.discount.as_ref().filter(|_| !line.discount.is_zero()) {
        text.push_str(&format!(
            " Less {} ({discount}): {}.",
            line.discount.decimal(currency),
            money(line.amount.decimal(currency), currency)
        ));
    }
    line.explanation = text;
}

/// `3 minutes`, `3 minutes and 2 free`.
fn units_and_free(charged: &Charged, unit: &str) -> String {
    let units = count_of(charged.quantity, unit);
    if charged.free.is_zero() { units } else { format!("{units} and {} free", charged.free) }
}

fn list_price(stretch: &Stretch<'_>) -> Option<Exact> {
    match &stretch.charge.pricing.model {
        Model::PerUnit(price) => Some(*price),
        _ => None,
    }
}

fn money(decimal: String, currency: Currency) -> String {
    format!("{decimal} {currency}")
}

/// What the accumulation is for: a number, a destination.
fn place(stretch: &Stretch<'_>, wording: &Wording) -> String {
    let mut place = String::new();
    for (name, value) in &wording.group {
        if name == PREFIX {
            let row = deck_row(stretch, value);
            place.push_str(&match row {
                Some(row) if value.is_empty() => format!(", {}", row.title),
                Some(row) => format!(", {} ({value})", row.title),
                None => format!(", {value}"),
            });
        } else {
            place.push_str(&format!(", {name} {value}"));
        }
    }
    place
}

fn deck_row<'a>(stretch: &'a Stretch<'_>, prefix: &str) -> Option<&'a crate::catalog::DeckRow> {
    let Model::Deck(deck) = &stretch.charge.pricing.model else { return None };
    stretch.catalogue.decks.get(deck)?.rows.iter().find(|row| row.prefix == prefix)
}

/// The arithmetic of a line at list prices.
fn formula(line: &Line, stretch: &Stretch<'_>, wording: &Wording, currency: Currency) -> String {
    let price = |price: Exact| show_price(price, currency);
    let (before, charged) = (wording.increment.before, wording.increment.charged);
    let after = before.add(charged).unwrap_or(before);
    match &stretch.charge.pricing.model {
        Model::PerUnit(unit_price) if line.basis.units == Exact::ONE => {
            format!("{} × {}", line.quantity, price(*unit_price))
        }
        Model::PerUnit(unit_price) => {
            format!("{}/{} × {}", line.quantity, line.basis.units, price(*unit_price))
        }
        Model::Graduated(tiers) => graduated(tiers, before, after, currency),
        Model::Volume(tiers) => {
            let at = |units: Exact| rating::tier_of(tiers, units).map_or(Exact::ZERO, |tier| tier.price);
            let now = format!("{after} × {}", price(at(after)));
            if before.is_zero() { now } else { format!("{now} − {before} × {}", price(at(before))) }
        }
        Model::Block { size, price: of_block } => {
            let blocks = |units: Exact| units.div(*size).map(Exact::ceil).unwrap_or(Exact::ZERO);
            let started = blocks(after).sub(blocks(before)).unwrap_or(Exact::ZERO);
            format!("{started} started {size}s × {}", price(*of_block))
        }
        Model::Flat(flat) => price(*flat),
        Model::Deck(_) => deck(line, stretch, wording, currency),
    }
}

fn graduated(tiers: &[Tier], before: Exact, after: Exact, currency: Currency) -> String {
    let mut parts = Vec::new();
    let mut from = Exact::ZERO;
    for tier in tiers {
        let until = tier.up_to.unwrap_or(after);
        let (low, high) = (from.max(before), until.min(after));
        if low < high {
            let units = high.sub(low).unwrap_or(Exact::ZERO);
            parts.push(format!("{units} × {}", show_price(tier.price, currency)));
            if !tier.flat.is_zero() && low == from {
                parts.push(show_price(tier.flat, currency));
            }
        }
        from = until;
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
}

fn deck(line: &Line, stretch: &Stretch<'_>, wording: &Wording, currency: Currency) -> String {
    let prefix = wording.group.get(PREFIX).map(String::as_str).unwrap_or_default();
    let (Some(row), Some(count)) = (deck_row(stretch, prefix), &wording.deck) else {
        return line.list.decimal(currency);
    };
    let mut parts = Vec::new();
    if !row.connect_fee.is_zero() {
        parts.push(format!("{} × {}", count.calls, show_price(row.connect_fee, currency)));
    }
    let minutes = |seconds: i64| Exact::ratio(seconds.into(), 60).unwrap_or(Exact::ZERO);
    let mut add = |seconds: i64, price: Exact| {
        if seconds > 0 {
            parts.push(format!("{} min × {}", minutes(seconds), show_price(price, currency)));
        }
    };
    for (seconds, rate) in count.bands.iter().zip(&row.rates) {
        if rate.first_per_minute == rate.next_per_minute {
            add(seconds.first_s + seconds.next_s, rate.first_per_minute);
        } else {
            add(seconds.first_s, rate.first_per_minute);
            add(seconds.next_s, rate.next_per_minute);
        }
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
}

/// Writes the words of a line that gives back what was charged for a stretch that is no more.
pub(crate) fn word_reversal(line: &mut Line, before: &Charged, zone: &Zone, currency: Currency) {
    line.description = format!("{}, {}", line.title, show_period(zone, line.period));
    line.formula = format!("0 − {}", before.amount.decimal(currency));
    line.explanation = format!(
        "What is known now leaves nothing to charge here; {} for {} was charged on {} and is given back.",
        count_of(before.quantity, &before.unit),
        money(before.amount.decimal(currency), currency),
        before.line,
    );
}
