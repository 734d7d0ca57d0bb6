//! The file as a whole: from bytes to a tree, its sections, `[catalogue]`, `[policy]` and
//! `[features]`.

use super::source::{BYTE_ORDER_MARK, Source, quoted};
use super::table::{Form, Number, Table, Value, described, text};
use super::{MAX_BYTES, arrears, decks, hash, licences, meters, plans, terms};
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::{Instant, LocalTime, YEARS, Zone};
use farebox_core::catalog::{Catalogue, Consumption, FullRefund, Policy, RefundRule, RenewalRule};
use farebox_core::money::{Currency, Exact};
use jiff::civil::DateTime;
use std::collections::BTreeSet;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

const RENEWALS: &[(&str, RenewalRule)] =
    &[("end-to-end", RenewalRule::EndToEnd), ("next-midnight", RenewalRule::NextMidnight)];

const COUNTS: &[(&str, Consumption)] =
    &[("hours", Consumption::Hours), ("days-of-30", Consumption::DaysOf30)];

pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Catalogue, Vec<Diagnostic>> {
    let Some(text) = readable(file, bytes)? else {
        let mut source = Source::new(file, "");
        source.of_file(
            format!("the file has {} bytes", bytes.len()),
            format!("at most {MAX_BYTES} bytes, in several catalogues if need be"),
        );
        return Err(source.into_diagnostics());
    };
    let mut source = Source::new(file, text);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control() && !"\t\n\r".contains(*c)) {
        let found = format!("the control character U+{:04X}", u32::from(c));
        source.mistake(at, found, "readable text");
        return Err(source.into_diagnostics());
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut broken = false;
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        if error.message() == "duplicate key" {
            let key = error.span().map_or("", |span| source.slice(span));
            source.mistake(at, format!("{} is written a second time", quoted(key)), "each name once");
        } else {
            broken = true;
            let (found, expected) =
                error.message().split_once(", expected ").unwrap_or((error.message(), ""));
            source.mistake(at, format!("not TOML: {found}"), expected);
        }
    }
    if broken {
        return Err(source.into_diagnostics());
    }
    let catalogue = catalogue(&mut source, tree.get_ref(), hash(bytes));
    match catalogue {
        Some(catalogue) if source.count() == 0 => Ok(catalogue),
        _ => Err(source.into_diagnostics()),
    }
}

/// The bytes as text, without a byte order mark; `None` when there are too many.
fn readable<'b>(file: &str, bytes: &'b [u8]) -> Result<Option<&'b str>, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        return Ok(None);
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    std::str::from_utf8(bytes).map(Some).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let mut source = Source::new(file, std::str::from_utf8(good).unwrap_or(""));
        let found = format!("the byte 0x{:02X} is not UTF-8", bad.first().copied().unwrap_or(0));
        source.mistake(good.len(), found, "a file saved as UTF-8");
        source.into_diagnostics()
    })
}

/// Everything. What it answers counts only where no mistake was found; `None` where even its zone
/// or currency are missing.
fn catalogue(source: &mut Source<'_>, tree: &DeTable<'_>, hash: String) -> Option<Catalogue> {
    let mut root = Table::new("the catalogue file".into(), 0, tree);
    let head = root
        .need(source, "catalogue", "a table [catalogue] with id, version, title, zone and currency")
        .and_then(|value| Table::read(source, "[catalogue]", root.place("catalogue"), value, "[catalogue]"))
        .and_then(|table| head(source, table));
    let policy = policy(source, &mut root);
    let features = features(source, &mut root);
    let meters = section(source, &mut root, "meters", meters::meter);
    let decks = section(source, &mut root, "decks", decks::deck);
    let licences = section(source, &mut root, "licences", licences::licence);
    let products = match root.need(source, "products", "[products.NAME.plans.NAME] with what is sold") {
        None => Default::default(),
        Some(value) => {
            let at = root.place("products");
            let table = Table::read(source, "[products]", at, value, "[products.NAME]");
            let names = plans::Names { features, meters: &meters, decks: &decks, licences: &licences };
            table.map(|table| plans::products(source, table, &names)).unwrap_or_default()
        }
    };
    root.finish(source);
    let head = head?;
    Some(Catalogue {
        id: head.id,
        version: head.version,
        title: head.title,
        hash,
        effective: head.effective,
        zone: head.zone,
        currency: head.currency,
        source: head.source,
        policy,
        meters: meters.into_iter().filter_map(|(id, meter)| Some((id, Arc::new(meter?)))).collect(),
        decks: decks.into_iter().filter_map(|(id, deck)| Some((id, Arc::new(deck?)))).collect(),
        licences: licences.into_iter().filter_map(|(id, licence)| Some((id, licence?))).collect(),
        products,
    })
}

/// Things by name; `None` for one that has mistakes, so that nothing else is said about it.
pub(super) type Named<T> = std::collections::BTreeMap<String, Option<T>>;

/// A section of named tables: `[meters.NAME]`.
fn section<'t, T>(
    source: &mut Source<'_>,
    root: &mut Table<'t>,
    key: &'static str,
    read: impl Fn(&mut Source<'_>, &str, Table<'t>) -> Option<T>,
) -> Named<T> {
    let mut named = Named::new();
    let Some(value) = root.get(key) else { return named };
    let example = format!("[{key}.NAME]");
    let Some(table) = Table::read(source, format!("[{key}]"), root.place(key), value, &example) else {
        return named;
    };
    for (name, at, value) in table.each() {
        let before = source.count();
        let what = format!("{} {}", key.trim_end_matches('s'), quoted(name));
        Form::Name.check(source, &what, name, at);
        let thing =
            Table::read(source, what, at, value, &example).and_then(|table| read(source, name, table));
        named.insert(name.to_owned(), thing.filter(|_| source.count() == before));
    }
    named
}

struct Head {
    id: String,
    version: String,
    title: String,
    effective: Option<Instant>,
    zone: Zone,
    currency: Currency,
    source: String,
}

fn head(source: &mut Source<'_>, mut table: Table<'_>) -> Option<Head> {
    let id = table.need_text(source, "id", "id = \"my-prices\", what books and orders call it");
    if let Some(id) = &id {
        let at = table.value_place("id");
        Form::Name.check(source, "[catalogue]: id", id, at);
    }
    let version = table.need_text(source, "version", "version = \"2026-01-01\", its name for people");
    let title = table.need_text(source, "title", "title = \"…\", for customers");
    let zone = table.need_text(source, "zone", "zone = \"Europe/Berlin\" or \"+08:00\"");
    let zone = zone.and_then(|name| {
        let zone = Zone::parse(&name);
        if zone.is_none() {
            let known = ["UTC", "Europe/Berlin", "Europe/London", "Asia/Shanghai", "America/New_York"];
            let suggestion = offset(&name).or_else(|| super::source::near(&name, known));
            let expected = "UTC, an offset such as +08:00, or an IANA name such as Europe/Berlin";
            let found = format!("unknown zone {}", quoted(&name));
            source.suggest(table.value_place("zone"), found, expected, suggestion);
        }
        zone
    });
    let currency = table.need_text(source, "currency", "currency = \"EUR\"");
    let currency = currency.and_then(|code| {
        let currency = Currency::parse(&code);
        if currency.is_none() {
            let suggestion = Some(code.trim().to_uppercase()).filter(|code| Currency::parse(code).is_some());
            let found = format!("unknown currency {}", quoted(&code));
            let expected = "an ISO 4217 code of three capital letters, such as EUR";
            source.suggest(table.value_place("currency"), found, expected, suggestion);
        }
        currency
    });
    let effective = table.get("effective");
    let clock = zone.clone().unwrap_or_else(Zone::utc);
    let effective = effective.and_then(|value| moment(source, value, &clock));
    let from = table.text(source, "source");
    table.finish(source);
    Some(Head {
        id: id?,
        version: version?,
        title: title?,
        effective,
        zone: zone?,
        currency: currency?,
        source: from.unwrap_or_default(),
    })
}

/// `+8`, `+0800`, `UTC+8` and `GMT+08:00` as the offset that was probably meant.
fn offset(name: &str) -> Option<String> {
    let name = name.trim().trim_start_matches("UTC").trim_start_matches("GMT");
    let sign = name.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let offset = match digits.len() {
        1 | 2 => format!("{sign}{digits:0>2}:00"),
        4 => format!("{sign}{}:{}", &digits[..2], &digits[2..]),
        _ => return None,
    };
    Zone::parse(&offset).map(|_| offset)
}

/// `2026-01-01` or `2026-01-01 08:30:00`, local in the zone, with or without quotes.
fn moment(source: &mut Source<'_>, value: &Value<'_>, zone: &Zone) -> Option<Instant> {
    let at = value.span().start;
    let written = match value.get_ref() {
        DeValue::Datetime(_) => source.slice(value.span()),
        DeValue::String(_) => text(source, "effective", value)?,
        other => {
            let found = format!("effective is {}", described(other));
            source.mistake(at, found, "a date such as \"2026-01-01\"");
            return None;
        }
    };
    let civil = civil(written).filter(|local| YEARS.contains(&local.year()));
    let Some(civil) = civil else {
        let expected = format!(
            "a local date such as \"2026-01-01\" or \"2026-01-01 08:30:00\", of {} to {}",
            YEARS.start(),
            YEARS.end()
        );
        source.mistake(at, format!("effective is {}", quoted(written)), expected);
        return None;
    };
    match zone.moments(civil) {
        LocalTime::None(_) => {
            let found = format!("{written} never happens in {zone}: the clock is put forward");
            source.mistake(at, found, "a time that the wall clock shows");
            None
        }
        moment => Some(moment.first()),
    }
}

fn civil(written: &str) -> Option<DateTime> {
    let shape: String = written.chars().take(20).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let full = match shape.as_str() {
        "0000-00-00" => format!("{written}T00:00:00"),
        "0000-00-00 00:00" | "0000-00-00T00:00" => format!("{written}:00"),
        "0000-00-00 00:00:00" | "0000-00-00T00:00:00" => written.to_owned(),
        _ => return None,
    };
    full.replace(' ', "T").parse().ok()
}

fn policy(source: &mut Source<'_>, root: &mut Table<'_>) -> Policy {
    let mut policy = Policy::default();
    if let Some(value) = root.get("policy") {
        let at = root.place("policy");
        if let Some(mut table) = Table::read(source, "[policy]", at, value, "[policy]") {
            policy.renewal = table.choice(source, "renewal", RENEWALS).unwrap_or(policy.renewal);
            if let Some(value) = table.get("refund") {
                let at = table.place("refund");
                let example = "refund = { fee-percent = 10, count = \"hours\" }";
                let read = Table::read(source, "[policy] refund", at, value, example);
                policy.refund = read.map(|table| refund(source, table));
            }
            if let Some(value) = table.get("arrears") {
                let at = table.place("arrears");
                let read = Table::read(source, "[policy.arrears]", at, value, "[policy.arrears]");
                policy.arrears = read.and_then(|table| arrears::arrears(source, table));
            }
            policy.terms = terms::policy(source, &mut table);
            table.finish(source);
        }
    }
    policy
}

/// What comes back of a prepaid order that is given up.
fn refund(source: &mut Source<'_>, mut table: Table<'_>) -> RefundRule {
    let fee_percent = table.number(source, "fee-percent", Number::Quantity).unwrap_or(Exact::ZERO);
    if fee_percent > Exact::whole(100) {
        let at = table.value_place("fee-percent");
        source.mistake(at, format!("a fee of {fee_percent} percent"), "a percentage from 0 to 100");
    }
    let count = table.choice(source, "count", COUNTS).unwrap_or(Consumption::Hours);
    let within_days = table.whole(source, "full-within-days", 1..=366);
    let times = table.whole(source, "full-times", 1..=10_000);
    let full = within_days.zip(times).map(|(within_days, times)| FullRefund {
        within_days: u16::try_from(within_days).unwrap_or(u16::MAX),
        times: u16::try_from(times).unwrap_or(u16::MAX),
    });
    if within_days.is_some() != times.is_some() {
        let at = table.place(if times.is_some() { "full-times" } else { "full-within-days" });
        source.mistake(at, "half a rule of full refunds", "both full-within-days and full-times, or neither");
    }
    table.finish(source);
    RefundRule { fee_percent, count, full }
}

/// The names of `[features]`: the features that plans may include, each with its title.
fn features(source: &mut Source<'_>, root: &mut Table<'_>) -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    let Some(value) = root.get("features") else { return features };
    let at = root.place("features");
    let example = "[features] with lines such as voice-inbound = \"Inbound calls\"";
    let Some(table) = Table::read(source, "[features]", at, value, example) else { return features };
    for (name, at, value) in table.each() {
        Form::Name.check(source, "[features]", name, at);
        text(source, &format!("feature {}", quoted(name)), value);
        features.insert(name.to_owned());
    }
    features
}
