//! The words of a line: what a support person tells the customer.

use crate::bill::{Charged, Line, LineKind};
use crate::calendar::{Instant, Span, Zone, show_local};
use crate::catalog::{Catalogue, Charge, DeckRate, DeckRow, Model, PastPackage, Pricing, Tier};
use crate::metering::{DeckCount, DeckSeconds};
use crate::money::{Amount, Currency, Exact};
use crate::quantity::PREFIX;
pub use crate::quantity::{count_of, plural};
use crate::rating::{self, Increment};
use crate::settlement::Stretch;
use jiff::civil::{Date, DateTime, Time};
use std::collections::BTreeMap;

/// What a line's words need besides its figures.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pub increment: Increment,
    pub group: BTreeMap<String, String>,
    pub parts: Vec<String>,
    pub days: Option<Span>,
    pub discount: Option<String>,
    /// This split's part of the quantity, and the whole, where there are several splits.
    pub share: Option<(Exact, Exact)>,
    /// What the accumulation costs with this stretch, and without it, under a volume price.
    pub volume: Option<(String, String)>,
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
    let day = |date: DateTime| format!("{} {} {:04}", date.day(), month_name(date.date()), date.year());
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
            format!("{} {:04}", month_name(start.date()), start.year())
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

/// `January`.
pub(crate) fn month_name(date: Date) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    NAMES.get(date.month() as usize - 1).copied().unwrap_or_default()
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
    let place = place(Some((stretch.catalogue, stretch.charge)), &wording.group);
    let period = show_period(zone, wording.days.unwrap_or(line.period));
    line.description = [line.title.as_str(), &place, ", ", &period].concat();
    let difference = !before.line.is_empty();
    line.formula = if difference {
        format!("{} − {}", known.amount.decimal(currency), before.amount.decimal(currency))
    } else {
        formula(line, stretch, wording, currency)
    };
    let unit = &line.unit;
    let mut text = String::new();
    if !wording.parts.is_empty() {
        text.push_str(&wording.parts.join(", "));
        text.push_str(". ");
    }
    if !line.drawn.is_empty() {
        text.push_str(&drawn(line, zone));
    }
    if stretch.charge.past_package == PastPackage::Refuse && line.quantity > Exact::ZERO {
        text.push_str(&format!(
            "{} past the packages: such use is refused, and what was used all the same draws from no later package. ",
            count_of(line.quantity, unit)
        ));
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
            units_before(before),
            shown(before.amount),
            before.line,
        ));
        line.explanation = text;
        return;
    }
    if line.kind == LineKind::Correction {
        text.push_str("This became known after its period was settled. ");
    }
    if !line.free.is_zero() {
        text.push_str(&format!("{} free. ", count_of(line.free, unit)));
    }
    match list_price(stretch) {
        _ if line.quantity.is_zero() && line.free.is_zero() && !line.drawn.is_empty() => {
            // A tier that they reach may have a price of its own.
            text.push_str(if line.list.is_zero() {
                "Nothing is left to charge"
            } else {
                "No unit is left to charge"
            })
        }
        Some(price) => text.push_str(&format!(
            "{} at {} per {}",
            count_of(line.quantity, unit),
            money(show_price(price, currency), currency),
            line.basis.per
        )),
        None => {
            text.push_str(&format!("{} by the {} price", count_of(line.quantity, unit), line.basis.model))
        }
    }
    if wording.share.is_some() {
        text.push_str(", a share by quantity");
    }
    let list = line.list.decimal(currency);
    text.push_str(": ");
    if line.formula != list {
        text.push_str(&line.formula);
        text.push_str(" = ");
    }
    text.push_str(&list);
    text.push('.');
    let adjusted = wording.increment.adjusted;
    if adjusted > Exact::ZERO {
        text.push_str(" Raised to the minimum of the period.");
    } else if adjusted.is_negative() {
        text.push_str(" Cut to the maximum of the period.");
    }
    if let Some(discount) = wording.discount.as_ref().filter(|_| !line.discount.is_zero()) {
        // A price that was agreed on stands in place of the list's, by which the arithmetic above is.
        let agreed = line.unit_price.filter(|price| list_price(stretch) != Some(*price));
        let per =
            |price| format!(", {} per {}", money(show_price(price, currency), currency), line.basis.per);
        let reason = [discount.as_str(), &agreed.map(per).unwrap_or_default()].concat();
        text.push_str(&discounted(line, &reason, currency));
    }
    line.explanation = text;
}

/// ` Less 308.00 (10 % commercial discount): 2772.00 CNY.`
pub(crate) fn discounted(line: &Line, reason: &str, currency: Currency) -> String {
    let (word, off) = match line.discount.is_negative() {
        true => ("More by", line.discount.negated()),
        false => ("Less", line.discount),
    };
    let amount = money(line.amount.decimal(currency), currency);
    format!(" {word} {} ({reason}): {amount}.", off.decimal(currency))
}

/// `3 minutes`, `3 minutes and 2 free`, `3 minutes and 5 from packages`.
fn units_and_free(charged: &Charged, unit: &str) -> String {
    let mut units = count_of(charged.quantity, unit);
    if !charged.free.is_zero() {
        units.push_str(&format!(" and {} free", charged.free));
    }
    let drawn = charged.shown.values().try_fold(Exact::ZERO, |sum, units| sum.add(*units));
    if let Ok(drawn) = drawn
        && !drawn.is_zero()
    {
        units.push_str(&format!(" and {drawn} from packages"));
    }
    units
}

/// `3`, `3 and 5 from packages`.
fn units_before(before: &Charged) -> String {
    let drawn = before.shown.values().try_fold(Exact::ZERO, |sum, units| sum.add(*units));
    match drawn.ok().filter(|drawn| !drawn.is_zero()) {
        Some(drawn) => format!("{} and {drawn} from packages", before.quantity),
        None => before.quantity.to_string(),
    }
}

/// Units that a line drew from packages.
fn drawn_units(line: &Line) -> Exact {
    let units = line.drawn.iter().try_fold(Exact::ZERO, |sum, draw| sum.add(draw.units));
    units.unwrap_or(Exact::ZERO)
}

/// `1000 of 6000 minutes drawn from Package minutes until 1 June 2026. `
fn drawn(line: &Line, zone: &Zone) -> String {
    let used = [line.quantity, line.free].into_iter().try_fold(drawn_units(line), Exact::add);
    let used = count_of(used.unwrap_or(Exact::ZERO), &line.unit);
    let mut text = String::new();
    for draw in &line.drawn {
        let (units, how) = match draw.units.is_negative() {
            true => (Exact::ZERO.sub(draw.units).unwrap_or_default(), "given back to"),
            false => (draw.units, "drawn from"),
        };
        let of =
            if line.corrects.is_none() { format!("of {used} ") } else { format!("{} ", plural(&line.unit)) };
        let end = Some(draw.until).filter(|until| *until < Instant::MAX);
        let end = end.map(|until| format!(" until {}", show_local(zone, until))).unwrap_or_default();
        text.push_str(&format!("{units} {of}{how} {}{end}. ", draw.title));
    }
    text
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
fn place(known: Option<(&Catalogue, &Charge)>, group: &BTreeMap<String, String>) -> String {
    let mut place = String::new();
    for (name, value) in group {
        if name == PREFIX {
            let row = known.and_then(|(catalogue, charge)| deck_row(catalogue, charge, value));
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

fn deck_row<'a>(catalogue: &'a Catalogue, charge: &Charge, prefix: &str) -> Option<&'a DeckRow> {
    let Model::Deck(deck) = &charge.pricing.model else { return None };
    catalogue.decks.get(deck)?.rows.iter().find(|row| row.prefix == prefix)
}

/// The arithmetic of a line at list prices, with what the minimum or maximum made of it, and this
/// split's share.
fn formula(line: &Line, stretch: &Stretch<'_>, wording: &Wording, currency: Currency) -> String {
    let by_unit = matches!(stretch.charge.pricing.model, Model::PerUnit(_));
    let adjusted = wording.increment.adjusted;
    // A share of what has one price is its own quantity at that price.
    let share = wording.share.filter(|_| !by_unit || !adjusted.is_zero());
    let quantity = if share.is_some() { wording.increment.charged } else { line.quantity };
    let text = model_formula(quantity, line, stretch, wording, currency);
    let text = bounded(text, adjusted, &stretch.charge.pricing, currency);
    match share {
        Some((part, whole)) => {
            let ratio = part.div(whole).unwrap_or(Exact::ZERO);
            let inner = if text.contains(' ') { format!("({text})") } else { text };
            format!("{}/{} × {inner}", ratio.numerator(), ratio.denominator())
        }
        None => text,
    }
}

/// A formula, with what the minimum added to it or the maximum took off. A price list that raises the
/// maximum charges some of what the one before took off.
pub(crate) fn bounded(formula: String, adjusted: Exact, pricing: &Pricing, currency: Currency) -> String {
    if adjusted > Exact::ZERO {
        let bound = if pricing.minimum.is_some() { "to the minimum" } else { "up to the new maximum" };
        format!("{formula} + {} {bound}", show_price(adjusted, currency))
    } else if adjusted.is_negative() {
        let over = Exact::ZERO.sub(adjusted).unwrap_or(Exact::ZERO);
        format!("{formula} − {} over the maximum", show_price(over, currency))
    } else {
        formula
    }
}

fn model_formula(
    quantity: Exact,
    line: &Line,
    stretch: &Stretch<'_>,
    wording: &Wording,
    currency: Currency,
) -> String {
    let price = |price: Exact| show_price(price, currency);
    let (before, charged) = (wording.increment.before, wording.increment.charged);
    let after = before.add(charged).unwrap_or(before);
    match &stretch.charge.pricing.model {
        Model::PerUnit(unit_price) if line.basis.units == Exact::ONE => match drawn_units(line) {
            drawn if drawn.is_zero() => format!("{quantity} × {}", price(*unit_price)),
            drawn => {
                let used = quantity.add(drawn).unwrap_or(quantity);
                format!("({used} − {drawn}) × {}", price(*unit_price))
            }
        },
        Model::PerUnit(unit_price) => {
            format!("{quantity}/{} × {}", line.basis.units, price(*unit_price))
        }
        Model::Graduated(tiers) => {
            let last = before.sub(wording.increment.covered).unwrap_or(before);
            graduated(tiers, last, before, after, currency)
        }
        Model::Volume(_) => match &wording.volume {
            Some((now, _)) if now.is_empty() => "0".to_owned(),
            Some((now, then)) if then.is_empty() => now.clone(),
            Some((now, then)) if then.contains('+') => format!("{now} − ({then})"),
            Some((now, then)) => format!("{now} − {then}"),
            None => line.list.decimal(currency),
        },
        Model::Block { size, price: of_block } => {
            let blocks = |units: Exact| units.div(*size).map(Exact::ceil).unwrap_or(Exact::ZERO);
            let started = blocks(after).sub(blocks(before)).unwrap_or(Exact::ZERO);
            let name = if started == Exact::ONE { "block" } else { "blocks" };
            format!("{started} {name} of {size} × {}", price(*of_block))
        }
        Model::Flat(flat) => price(*flat),
        Model::Deck(_) => deck(line, stretch, wording, currency),
    }
}

/// What an accumulation under a volume price costs after so many steps, as one would write it down:
/// units by the price list that held for them, at the tier that all of them reach, and the flat
/// price of that tier. Steps may go on from units charged before, at the first step's price list.
pub(crate) fn volume(steps: &[(&Stretch<'_>, Increment)], until: usize, currency: Currency) -> String {
    let Some((stretch, first)) = steps.first() else { return String::new() };
    let earlier = (*stretch, first.before.sub(first.covered).unwrap_or(first.before));
    let taken = steps.iter().take(until).map(|(stretch, increment)| (*stretch, increment.charged));
    let taken: Vec<(&Stretch<'_>, Exact)> = [earlier].into_iter().chain(taken).collect();
    let covered = steps.iter().take(until).map(|(_, increment)| increment.covered);
    let mut counted = taken.iter().map(|(_, units)| *units).chain(covered);
    let reached = counted.try_fold(Exact::ZERO, Exact::add);
    let Some(reached) = reached.ok().filter(|units| *units > Exact::ZERO) else { return String::new() };
    let mut parts: Vec<(Exact, Exact)> = Vec::new();
    let mut flat = Exact::ZERO;
    for (stretch, charged) in taken {
        let Model::Volume(tiers) = &stretch.charge.pricing.model else { continue };
        let Some(tier) = rating::tier_of(tiers, reached) else { continue };
        flat = tier.flat;
        match parts.last_mut() {
            _ if charged.is_zero() => {}
            Some((units, price)) if *price == tier.price => *units = units.add(charged).unwrap_or(*units),
            _ => parts.push((charged, tier.price)),
        }
    }
    let mut words: Vec<String> =
        parts.iter().map(|(units, price)| format!("{units} × {}", show_price(*price, currency))).collect();
    if !flat.is_zero() {
        words.push(show_price(flat, currency));
    }
    words.join(" + ")
}

/// Units after `before`, by tier, and what is paid for each tier that was reached after `last`: packages may have paid
/// for the units between the two.
fn graduated(tiers: &[Tier], last: Exact, before: Exact, after: Exact, currency: Currency) -> String {
    let mut parts = Vec::new();
    let mut from = Exact::ZERO;
    for tier in tiers {
        let until = tier.up_to.unwrap_or(after);
        let (low, high) = (from.max(before), until.min(after));
        if low < high {
            let units = high.sub(low).unwrap_or(Exact::ZERO);
            parts.push(format!("{units} × {}", show_price(tier.price, currency)));
        }
        if !tier.flat.is_zero() && from >= last && from < after {
            parts.push(show_price(tier.flat, currency));
        }
        from = until;
    }
    match (parts.is_empty(), tiers.first()) {
        (true, Some(first)) => format!("0 × {}", show_price(first.price, currency)),
        _ => parts.join(" + "),
    }
}

fn deck(line: &Line, stretch: &Stretch<'_>, wording: &Wording, currency: Currency) -> String {
    let prefix = wording.group.get(PREFIX).map(String::as_str).unwrap_or_default();
    let (Some(row), Some(count)) = (deck_row(stretch.catalogue, stretch.charge, prefix), &wording.deck)
    else {
        return line.list.decimal(currency);
    };
    let mut parts = Vec::new();
    if !row.connect_fee.is_zero() {
        parts.push(format!("{} × {}", count.calls, show_price(row.connect_fee, currency)));
    }
    let minutes = |seconds: i64| Exact::ratio(seconds.into(), 60).unwrap_or(Exact::ZERO);
    let mut add = |seconds: i64, band: &str, price: Exact| {
        if seconds > 0 {
            parts.push(format!("{} min{band} × {}", minutes(seconds), show_price(price, currency)));
        }
    };
    let mut add_steps = |first_s: i64, next_s: i64, band: &str, rate: &DeckRate| {
        if rate.first_per_minute == rate.next_per_minute {
            add(first_s + next_s, band, rate.first_per_minute);
        } else {
            add(first_s, band, rate.first_per_minute);
            add(next_s, band, rate.next_per_minute);
        }
    };
    let bands = match &stretch.charge.pricing.model {
        Model::Deck(deck) => stretch.catalogue.decks.get(deck).map(|deck| deck.bands.as_slice()),
        _ => None,
    };
    match row.rates.split_first() {
        Some((rate, others)) if others.iter().all(|other| other == rate) => {
            let sum = |part: fn(&DeckSeconds) -> i64| count.bands.iter().map(part).sum();
            add_steps(sum(|band| band.first_s), sum(|band| band.next_s), "", rate);
        }
        _ => {
            for (index, (seconds, rate)) in count.bands.iter().zip(&row.rates).enumerate() {
                let band = bands.and_then(|bands| bands.get(index));
                let band = band.map(|band| format!(" {}", band.id)).unwrap_or_default();
                add_steps(seconds.first_s, seconds.next_s, &band, rate);
            }
        }
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
}

/// Writes the words of a line that gives back what was charged for a stretch that is no more.
pub(crate) fn word_reversal(
    line: &mut Line,
    known: Option<(&Catalogue, &Charge)>,
    before: &Charged,
    zone: &Zone,
    currency: Currency,
) {
    let place = line.key.as_ref().map(|key| place(known, &key.group)).unwrap_or_default();
    line.description = format!("{}{place}, {}", line.title, show_period(zone, line.period));
    line.formula = format!("0 − {}", before.amount.decimal(currency));
    let back = drawn(line, zone);
    line.explanation = format!(
        "{back}What is known now leaves nothing to charge here; {} for {} was charged on {} and is given back.",
        count_of(before.quantity, &before.unit),
        money(before.amount.decimal(currency), currency),
        before.line,
    );
}
