//! The catalogue as a price list that a customer can read.

use super::charges::cycle_name;
use super::decks::DAYS;
use farebox_core::calendar::{Cycle, show_local};
use farebox_core::catalog::{
    Aggregate, ArrearsPolicy, Band, BandHours, Catalogue, Charge, Consumption, Deck, DeckRow,
    GraceOperations, Held, HeldBy, Licence, Measure, Meter, Mode, Model, MonthDays, Periods, Plan,
    PlanChange, RenewalRule, Rounding, Settle, Test,
};
use farebox_core::money::{Currency, Exact};

mod grants;

/// Columns that running text may fill.
const WIDTH: usize = 100;

/// What comes back of a prepaid order that is given up.
fn refund_text(catalogue: &Catalogue) -> String {
    let Some(rule) = &catalogue.policy.refund else { return "none: a term runs to its end".to_owned() };
    let count = match rule.count {
        Consumption::Hours => "by the hour",
        Consumption::DaysOf30 => "by days of a month of 30",
    };
    let mut text = format!("what was paid, less what is consumed {count}, less {} % of it", rule.fee_percent);
    if let Some(full) = rule.full {
        text += &format!("; all of it within {} days, {} times", full.within_days, full.times);
    }
    text
}

/// What happens to customers who owe.
fn arrears_text(policy: &ArrearsPolicy) -> String {
    let days = |periods: Periods| format!("{}/{}", periods.grace_days, periods.retention_days);
    let tiers = policy
        .tiers
        .iter()
        .map(|tier| format!("{} {}, prepaid {}", tier.id, days(tier.pay_per_use), days(tier.prepaid)));
    let tiers: Vec<String> = tiers.collect();
    let grace = match policy.grace_operations {
        GraceOperations::All => "",
        GraceOperations::Part => "; no new orders and no more units in grace",
    };
    let frozen = if policy.charge_while_frozen { "; charged while frozen" } else { "" };
    let default = &policy.default_tier;
    format!("days of grace/retention by tier: {}; else as {default}{grace}{frozen}", tiers.join("; "))
}

/// A price list in plain text: for each product and plan how it is ordered, what it includes and
/// what it costs, then the rate decks. Lines end in `\n`; there is never more than one blank line.
pub fn show(catalogue: &Catalogue) -> String {
    let mut page = Page::default();
    page.line(0, &catalogue.title);
    page.blank();
    let mut facts = vec![
        ("Catalogue", format!("{}, version {}, text {}", catalogue.id, catalogue.version, catalogue.hash)),
        ("Prices", format!("in {}", catalogue.currency)),
        ("Clock", format!("days and months of {}", catalogue.zone)),
    ];
    if let Some(from) = catalogue.effective {
        facts[1].1 += &format!(", from {} on", show_local(&catalogue.zone, from));
    }
    let renewal = match catalogue.policy.renewal {
        RenewalRule::EndToEnd => "end to end: months are counted from the purchase",
        RenewalRule::NextMidnight => "to the next midnight: a term ends at the first 00:00 after it is over",
    };
    if catalogue.plans().any(|plan| plan.modes.contains(&Mode::Prepaid)) {
        facts.push(("Renewals", renewal.into()));
        if let Some(months) = &catalogue.policy.terms.renewal_months {
            let months: Vec<String> = months.iter().map(u16::to_string).collect();
            let renewals = facts.last_mut();
            if let Some((_, text)) = renewals {
                *text += &format!("; for {} months", listed(&months, "or"));
            }
        }
        facts.push(("Refunds", refund_text(catalogue)));
    }
    if let Some(policy) = &catalogue.policy.arrears {
        facts.push(("Arrears", arrears_text(policy)));
    }

    if let Some(change) = catalogue.policy.terms.plan_change {
        let change = match change {
            PlanChange::AtOnce => "to another plan of the product, at once, by days",
            PlanChange::AtTermEnd => "to another plan of the product, at the end of what is paid for",
        };
        facts.push(("Changes", change.into()));
    }
    if !catalogue.source.is_empty() {
        facts.push(("Source", catalogue.source.clone()));
    }
    page.facts(0, &facts);
    for product in catalogue.products.values() {
        page.blank();
        page.named(0, &product.title, &product.id);
        for plan in product.plans.values() {
            page.blank();
            plan_text(&mut page, catalogue, plan);
        }
    }
    if !catalogue.licences.is_empty() {
        page.blank();
        page.line(0, "Licences");
    }
    for licence in catalogue.licences.values() {
        page.blank();
        licence_text(&mut page, licence);
    }
    for deck in catalogue.decks.values() {
        page.blank();
        deck_text(&mut page, catalogue, deck);
    }
    page.text
}

fn plan_text(page: &mut Page, catalogue: &Catalogue, plan: &Plan) {
    page.named(2, &plan.title, &plan.id);
    let ordered: Vec<String> = plan
        .modes
        .iter()
        .map(|mode| match mode {
            Mode::PayPerUse => "pay-per-use".to_owned(),
            Mode::Prepaid if plan.terms.trial_days.is_some() => {
                let days = Exact::whole(plan.terms.trial_days.unwrap_or(0).into());
                format!("once, as a trial of {}, free", counted(days, "day"))
            }
            Mode::Prepaid if plan.terms.ends_with => "prepaid to the end of what it adds to".to_owned(),
            Mode::Prepaid => {
                let terms: Vec<String> = plan.terms_months.iter().map(u16::to_string).collect();
                let months = if plan.terms_months == [1] { "month" } else { "months" };
                format!("prepaid for {} {months}", listed(&terms, "or"))
            }
        })
        .collect();
    let mut facts = vec![("Ordered", listed(&ordered, "or"))];
    if !plan.terms.requires.is_empty() {
        let with = if plan.terms.ends_with { ", ends with it and is renewed with it" } else { "" };
        facts.push(("Adds to", format!("{}{with}", listed(&plan.terms.requires, "or"))));
    }
    if !plan.binds.is_empty() {
        facts.push(("For one", listed(&plan.binds, "and")));
    }
    if !plan.options.is_empty() {
        facts.push(("Order says", listed(&plan.options, "and")));
    }
    if !plan.features.is_empty() {
        facts.push(("Includes", plan.features.join(", ")));
    }
    if !plan.provides.is_empty() {
        let provided: Vec<String> =
            plan.provides.iter().map(|(name, count)| counted(Exact::whole((*count).into()), name)).collect();
        let alone = plan.binds.iter().map(|name| format!(", for its {name} alone")).collect::<String>();
        facts.push(("Provides", format!("{} for each {}{alone}", listed(&provided, "and"), plan.unit)));
    }
    if plan.minimum_quantity > 1 {
        let least = Exact::whole(plan.minimum_quantity.into());
        facts.push(("At least", counted(least, &plan.unit)));
    }
    for grant in &plan.grants {
        facts.push(("Brings", grants::text(catalogue, plan, grant)));
    }
    if let Some(group) = &plan.bill_group {
        facts.push(("On bills under", group.clone()));
    }
    if !plan.licences.is_empty() {
        let title = |id: &str| catalogue.licences.get(id).map_or(id, |licence| &licence.title).to_owned();
        let brought: Vec<String> = plan
            .licences
            .iter()
            .map(|(id, count)| counted(Exact::whole((*count).into()), &title(id)))
            .collect();
        facts.push(("Brings", format!("{} for each {}", listed(&brought, "and"), plan.unit)));
    }
    page.facts(4, &facts);
    let prices: Vec<Vec<(String, String)>> =
        plan.charges.iter().map(|charge| prices(catalogue, plan, charge)).collect();
    let widest = prices.iter().flatten().map(|(price, _)| width(price)).max().unwrap_or(0).max(8);
    for (charge, prices) in plan.charges.iter().zip(&prices) {
        page.line(4, &heading(plan, charge));
        for (price, text) in prices {
            let indent = 6 + widest + 2;
            let lead = format!("{:6}{price:>widest$}  ", "");
            page.wrapped(&lead, indent, text);
        }
        if let Measure::Meter(name) = &charge.measure
            && let Some(meter) = catalogue.meters.get(name)
        {
            let text = metered(meter) + &grants::of_charge(catalogue, charge);
            page.wrapped(&format!("{:6}{:>widest$}  ", "", ""), 6 + widest + 2, &text);
        }
    }
    for advice in &plan.advice {
        let from = advice.from;
        let charge = plan.charge(&advice.charge);
        let unit = charge.map_or("unit".into(), |charge| unit_of(catalogue, plan, charge));
        let title = charge.map_or("", |charge| charge.title.as_str());
        page.wrapped(
            "    ",
            4,
            &format!("From {} a month of {title}: {}", counted(from, &unit), advice.text),
        );
    }
}

/// What consumes a licence, and how long.
fn licence_text(page: &mut Page, licence: &Licence) {
    page.named(2, &licence.title, &licence.id);
    let held = match licence.named {
        true => "named: bound to the e-mail that used it first, until a reset",
        false => "concurrent: free again when it is not in use",
    };
    let resets = match (licence.named, licence.resets_per_month) {
        (false, _) => None,
        (true, None) => Some("none".to_owned()),
        (true, Some(most)) => {
            Some(format!("{} a calendar month for each application", grouped(Exact::whole(most.into()))))
        }
    };
    let mut facts =
        vec![("Consumed", format!("by {}", listed(&licence.by, "or"))), ("Held", held.to_owned())];
    facts.extend(resets.map(|resets| ("Resets", resets)));
    page.facts(4, &facts);
}

/// `Setup: pay-per-use, charged at purchase`; without the title where it is the plan's.
fn heading(plan: &Plan, charge: &Charge) -> String {
    let mut parts = Vec::new();
    if charge.modes != plan.modes {
        parts.push(listed(&charge.modes.iter().map(|mode| mode.name().to_owned()).collect::<Vec<_>>(), "or"));
    }
    parts.push(match charge.settle {
        Settle::AtPurchase if charge.measure == Measure::Fixed && plan.prices_term(charge) => {
            "charged at purchase and at each renewal".into()
        }
        Settle::AtPurchase => "charged at purchase".into(),
        Settle::Each(cycle) => format!("charged {}", adverb(cycle)),
    });
    if !charge.discountable {
        parts.push("without discount".into());
    }
    let parts = parts.join(", ");
    if charge.title != plan.title {
        return format!("{}: {parts}", charge.title);
    }
    let first = parts.chars().next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(parts.chars().skip(1)).collect()
}

/// Each price with what it is for.
fn prices(catalogue: &Catalogue, plan: &Plan, charge: &Charge) -> Vec<(String, String)> {
    let currency = catalogue.currency;
    let money = |price: Exact| money(price, currency);
    let unit = unit_of(catalogue, plan, charge);
    let (basis, how) = basis(charge, &unit);
    let mut scope = format!("each {}", cycle_name(charge.accumulate));
    for attribute in &charge.per {
        scope += &format!(" and {attribute}");
    }
    let mut rows = Vec::new();
    let pricing = &charge.pricing;
    if !pricing.free.is_zero() {
        let first = counted(pricing.free, &unit);
        let first = if pricing.free == Exact::ONE { unit.clone() } else { first };
        rows.push(("free".into(), format!("the first {first} of {scope}")));
    }
    match &pricing.model {
        Model::PerUnit(price) => rows.push((money(*price), format!("{basis}{how}"))),
        Model::Graduated(tiers) | Model::Volume(tiers) => {
            let volume = matches!(pricing.model, Model::Volume(_));
            let mut reached = Exact::ZERO;
            for tier in tiers {
                let range = match (tier.up_to, volume) {
                    (None, _) if reached.is_zero() => "any quantity".into(),
                    (Some(up_to), true) if reached.is_zero() => format!("if {} at most", grouped(up_to)),
                    (Some(up_to), true) => {
                        format!("if more than {}, at most {}", grouped(reached), grouped(up_to))
                    }
                    (None, true) => format!("if more than {}", grouped(reached)),
                    (Some(up_to), false) if reached.is_zero() => {
                        format!("from the first to {}", grouped(up_to))
                    }
                    (Some(up_to), false) => format!("past {} to {}", grouped(reached), grouped(up_to)),
                    (None, false) => format!("past {}", grouped(reached)),
                };
                let flat = if tier.flat.is_zero() {
                    String::new()
                } else {
                    format!(", and {} once", money(tier.flat))
                };
                rows.push((money(tier.price), format!("{basis}, {range}{flat}")));
                reached = tier.up_to.unwrap_or(reached);
            }
            let rule = if volume {
                format!("All of {scope} at the price of the tier that they reach{how}.")
            } else {
                format!("Each at the price of its tier; tiers start again {scope}{how}.")
            };
            rows.push((String::new(), rule));
        }
        Model::Block { size, price } => {
            rows.push((money(*price), format!("per {} begun{how}", counted(*size, &unit))));
        }
        Model::Flat(price) => {
            let when = match charge.settle {
                Settle::AtPurchase => "once, for any quantity".into(),
                Settle::Each(_) => format!("{scope}, for any quantity above zero"),
            };
            rows.push((money(*price), when));
        }
        Model::Deck(deck) => rows.push(("rates".into(), format!("by the number called: see deck {deck}"))),
    }
    if let Some(minimum) = pricing.minimum {
        rows.push((money(minimum), format!("at least, {scope}")));
    }
    if let Some(maximum) = pricing.maximum {
        rows.push((money(maximum), format!("at most, {scope}")));
    }
    rows
}

/// What a price is per, and how that is counted.
fn basis(charge: &Charge, unit: &str) -> (String, String) {
    match &charge.measure {
        Measure::Meter(_) => (format!("per {unit}"), String::new()),
        Measure::Held(Held { by: HeldBy::Second, while_stopped }) => {
            let stopped = if *while_stopped { "also while stopped" } else { "free while stopped" };
            (format!("per {unit} and hour"), format!(", by the second, {stopped}"))
        }
        Measure::Held(Held { by: HeldBy::Day { last_day, month }, while_stopped }) => {
            let day = match month {
                MonthDays::Actual => ", by the day: a day is its part of that calendar month",
                MonthDays::Thirty => ", by the day: a day is a thirtieth",
                MonthDays::Full => ": any day in a month is the whole month",
            };
            let last = match (month, last_day) {
                (MonthDays::Full, _) => "",
                (_, true) => "; the day of removal is charged",
                (_, false) => "; the day of removal is free",
            };
            let stopped = if *while_stopped { "" } else { "; free while stopped" };
            (format!("per {unit} and month"), format!("{day}{last}{stopped}"))
        }
        Measure::Term => (format!("per {unit} and month of the term"), String::new()),
        Measure::Fixed => match charge.settle {
            Settle::AtPurchase => (format!("per {unit}"), String::new()),
            Settle::Each(cycle) => (format!("per {unit} and {}", cycle_name(cycle)), String::new()),
        },
    }
}

/// What a meter counts, as a sentence.
fn metered(meter: &Meter) -> String {
    let events = format!("{} events", meter.event);
    let mut text = match (&meter.of, meter.aggregate) {
        (None, _) | (_, Aggregate::Count) => format!("Counts {events}"),
        (Some(of), Aggregate::Sum) => format!("Adds up {of} of {events}"),
        (Some(of), Aggregate::Max) => format!("Takes the highest {of} of {events}"),
        (Some(of), Aggregate::Latest) => format!("Takes the latest {of} of {events}"),
        (Some(of), Aggregate::Unique) => format!("Counts each {of} of {events} once"),
        (Some(of), Aggregate::TimeWeighted) => {
            format!("Counts {of} × hours of {events}, each until the next")
        }
    };
    for (index, filter) in meter.filters.iter().enumerate() {
        let test = match &filter.test {
            Test::OneOf(texts) => listed(texts, "or"),
            Test::Between(low, high) if low == high => low.to_string(),
            Test::Between(low, high) => format!("{low} to {high}"),
            Test::NoneOf(texts) => format!("not {}", listed(texts, "or")),
        };
        let word = if index == 0 { " with" } else { " and" };
        text += &format!("{word} {} {test}", filter.attribute);
    }
    let multiple = |step: Exact| {
        if step == meter.unit_size {
            format!("a whole {}", meter.unit)
        } else {
            format!("a multiple of {}", grouped(step))
        }
    };
    match meter.rounding {
        Rounding::None => {}
        Rounding::EachUp(step) => text += &format!("; each rounded up to {}", multiple(step)),
        Rounding::SumUp(step) => text += &format!("; the sum rounded up to {}", multiple(step)),
    }
    if meter.unit_size != Exact::ONE {
        text += &format!("; 1 {} is {}", meter.unit, grouped(meter.unit_size));
    }
    if meter.timed_by_start {
        text += "; by when it began";
    }
    if meter.by == Some(Cycle::Hour) {
        text += "; counted by the hour";
    }
    text + "."
}

fn deck_text(page: &mut Page, catalogue: &Catalogue, deck: &Deck) {
    page.line(
        0,
        &format!(
            "Deck {}: calls by the longest prefix of {}, prices by the minute",
            deck.id, deck.destination
        ),
    );
    if deck.bands.len() > 1 {
        let bands: Vec<(&str, String)> =
            deck.bands.iter().map(|band| (band.id.as_str(), band_hours(band))).collect();
        page.facts(2, &bands);
    }
    page.blank();
    let currency = catalogue.currency;
    let mut table: Vec<Vec<String>> = Vec::with_capacity(deck.rows.len() + 1);
    let mut head: Vec<String> = ["Prefix", "Connect", "First step", "Further"].map(str::to_owned).into();
    for band in &deck.bands {
        head.push(if deck.bands.len() > 1 { band.id.clone() } else { "A minute".into() });
    }
    table.push(head);
    table.extend(deck.rows.iter().map(|row| deck_cells(row, currency)));
    let columns = table.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            table.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let titles = std::iter::once("To").chain(deck.rows.iter().map(|row| row.title.as_str()));
    for (cells, title) in table.iter().zip(titles) {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(width(cell)));
            // Prefixes read from the left, numbers from the right.
            line += &if column == 0 { format!("{cell}{padding}  ") } else { format!("{padding}{cell}  ") };
        }
        page.line(2, &(line + title));
    }
}

fn deck_cells(row: &DeckRow, currency: Currency) -> Vec<String> {
    let prefix = if row.prefix.is_empty() { "other" } else { &row.prefix };
    let mut cells = vec![
        prefix.to_owned(),
        money(row.connect_fee, currency),
        format!("{} s", row.first_step_s),
        format!("{} s", row.next_step_s),
    ];
    cells.extend(row.rates.iter().map(|rate| {
        let first = money(rate.first_per_minute, currency);
        if rate.first_per_minute == rate.next_per_minute {
            first
        } else {
            format!("{first} then {}", money(rate.next_per_minute, currency))
        }
    }));
    cells
}

fn band_hours(band: &Band) -> String {
    if band.hours.is_empty() {
        return "at all other times".into();
    }
    listed(&band.hours.iter().map(hours).collect::<Vec<_>>(), "and")
}

fn hours(hours: &BandHours) -> String {
    let clock = |seconds: u32| {
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if second == 0 {
            format!("{hour:02}:{minute:02}")
        } else {
            format!("{hour:02}:{minute:02}:{second:02}")
        }
    };
    let times = format!("{}–{}", clock(hours.from_s), clock(hours.until_s));
    if hours.days == [true; 7] {
        return format!("every day {times}");
    }
    let days: Vec<&str> =
        DAYS.into_iter().zip(hours.days).filter(|(_, on)| *on).map(|(day, _)| day).collect();
    format!("{} {times}", days.join(" "))
}

fn adverb(cycle: Cycle) -> &'static str {
    match cycle {
        Cycle::Hour => "hourly",
        Cycle::Day => "daily",
        Cycle::Month => "monthly",
    }
}

fn unit_of(catalogue: &Catalogue, plan: &Plan, charge: &Charge) -> String {
    match &charge.measure {
        Measure::Meter(name) => catalogue.meters.get(name).map_or("unit".into(), |meter| meter.unit.clone()),
        _ => plan.unit.clone(),
    }
}

fn money(price: Exact, currency: Currency) -> String {
    price.decimal(currency.minor_digits() as usize)
}

/// `1,000,000`, `0.5`.
fn grouped(number: Exact) -> String {
    let written = number.to_string();
    let (whole, decimals) = written.split_once('.').unwrap_or((&written, ""));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    if decimals.is_empty() { text } else { format!("{text}.{decimals}") }
}

/// `1 seat`, `500 minutes`.
fn counted(number: Exact, unit: &str) -> String {
    let unit = if number == Exact::ONE { unit.to_owned() } else { plural(unit) };
    format!("{} {unit}", grouped(number))
}

fn plural(unit: &str) -> String {
    let consonant_y = unit.len() > 1
        && unit.ends_with('y')
        && !["ay", "ey", "oy", "uy"].iter().any(|end| unit.ends_with(end));
    if consonant_y {
        format!("{}ies", &unit[..unit.len() - 1])
    } else if ["ch", "sh", "x"].iter().any(|end| unit.ends_with(end)) {
        format!("{unit}es")
    } else if unit.ends_with(|c: char| c.is_ascii_lowercase() && c != 's') {
        format!("{unit}s")
    } else {
        unit.to_owned()
    }
}

/// `a, b or c`.
fn listed(names: &[String], word: &str) -> String {
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
    }
}

/// Columns that a text takes: two for a wide East Asian character.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
            0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff => 2,
            0x20000..=0x3ffff => 2,
            _ => 1,
        })
        .sum()
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A title, with its name in the file at the right.
    fn named(&mut self, indent: usize, title: &str, id: &str) {
        let gap = WIDTH.saturating_sub(indent + width(title) + id.len()).max(2);
        self.line(indent, &format!("{title}{}{id}", " ".repeat(gap)));
    }

    /// Labels and texts in two columns.
    fn facts(&mut self, indent: usize, facts: &[(&str, String)]) {
        let widest = facts.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
        for (label, text) in facts {
            let lead = format!("{:indent$}{label}{:gap$}", "", "", gap = widest - width(label) + 2);
            self.wrapped(&lead, indent + widest + 2, text);
        }
    }

    /// A text after a lead, its further lines indented.
    fn wrapped(&mut self, lead: &str, indent: usize, text: &str) {
        let mut line = lead.to_owned();
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && width(&line) + 1 + width(word) > WIDTH {
                self.line(0, &line);
                line = " ".repeat(indent);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(0, &line);
    }
}
