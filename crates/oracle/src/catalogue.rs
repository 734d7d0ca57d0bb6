//! Price lists, read from their files.
//!
//! A file with a mistake is not expected here; reading one panics.

use crate::calendar::{self, Cycle};
use crate::fields::{Table, get, is, list, number, number_of, table, tables, text, text_of, texts_of};
use crate::number::{Number, decimal, whole, zero};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// One version of a price list.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The same over all versions.
    pub id: String,
    /// From when it holds; `None`: always.
    pub effective: Option<Timestamp>,
    /// The wall clock of its cycles.
    pub zone: TimeZone,
    /// Of its prices.
    pub currency: String,
    /// Whether a renewed term ends by the rule of a purchase, and not end to end.
    pub renewal_by_midnight: bool,
    /// Months that a renewal may have (R-YKF-10); `None`: those of the plan.
    pub renewal_terms: Option<Vec<i64>>,
    /// Whether an add-on that ends with another plan costs its days, and not months begun.
    pub add_ons_by_days: bool,
    /// When terms that renew themselves are tried: at a second of the day, from so many days before the
    /// last one served.
    pub auto_renewal: (i64, i64),
    /// What comes back of a term given up; `None`: it cannot be.
    pub refund: Option<Refund>,
    /// Whether another plan of the product counts at once (`true`) or when what is paid for ends; `None`: it
    /// is refused.
    pub plan_change_at_once: Option<bool>,
    /// What happens to who owes; `None`: nothing.
    pub arrears: Option<Arrears>,
    /// Meters by name.
    pub meters: BTreeMap<String, Meter>,
    /// Decks by name.
    pub decks: BTreeMap<String, Deck>,
    /// Plans by name.
    pub plans: BTreeMap<String, Plan>,
}

/// What comes back of a term given up.
#[derive(Clone, Debug)]
pub struct Refund {
    /// In percent of what was paid.
    pub fee_percent: Number,
    /// Whether consumption counts by days of months of 30 days, and not by hours.
    pub by_days: bool,
    /// Within how many days, and how often, everything comes back.
    pub full: Option<(i64, i64)>,
}

/// What happens to who owes.
#[derive(Clone, Debug)]
pub struct Arrears {
    /// The tier whose days hold for tiers that are not listed.
    pub default_tier: String,
    /// Whether grace allows no new orders and no more units.
    pub part: bool,
    /// Whether what is frozen is charged.
    pub charged: bool,
    /// By tier: days of grace and of retention, pay-per-use and prepaid.
    pub tiers: BTreeMap<String, [(i64, i64); 2]>,
}

/// What one orders.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The product it belongs to.
    pub product: String,
    /// Attributes that usage must match.
    pub binds: Vec<String>,
    /// What an order states and cannot change.
    pub options: Vec<String>,
    /// Whether `pay-per-use` and `prepaid` are offered.
    pub modes: Vec<String>,
    /// Terms.
    pub terms: Vec<i64>,
    /// What it costs.
    pub charges: Vec<Charge>,
    /// The fewest units of an order.
    pub minimum_quantity: u32,
    /// Packages that it brings.
    pub grants: Vec<Grant>,
    /// One of these plans must be there for it.
    pub requires: Vec<String>,
    /// Whether it ends with that plan.
    pub ends_with: bool,
    /// The days of a trial.
    pub trial: Option<i64>,
    /// What each unit brings; with what the plans that it contains bring, the most that one of them does.
    pub provides: BTreeMap<String, i64>,
    contains: Vec<String>,
}

/// One priced part of a plan.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Its name.
    pub id: String,
    /// Modes of subscription that it is for.
    pub modes: Vec<String>,
    /// What is measured.
    pub measure: Measure,
    /// When it is charged; `None`: at purchase.
    pub settle: Option<Cycle>,
    /// Over what free units and tiers count.
    pub accumulate: Cycle,
    /// Per what they count apart.
    pub per: Vec<String>,
    /// What it costs.
    pub pricing: Pricing,
    /// Whether discounts apply.
    pub discountable: bool,
    /// Whether usage of the whole account is taken, and not that which is like the bindings.
    pub of_account: bool,
    /// Whether usage draws from packages first.
    pub draws: bool,
    /// Whether tiers and free units count what packages paid for.
    pub counts_drawn: bool,
    /// Whether new use past all packages is refused.
    pub refuses_past_package: bool,
    /// What each session at once takes one of.
    pub concurrency: Option<String>,
}

/// Units of a meter that a plan brings.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name.
    pub id: String,
    /// Whose usage draws.
    pub meter: String,
    /// For each unit of the plan.
    pub units: Number,
    /// When quota starts again.
    pub resets: Resets,
    /// Included is drawn before add-ons.
    pub add_on: bool,
    /// `free`, `promotional` and `bought` are drawn in this order: 0, 1, 2.
    pub origin: u8,
    /// Attributes that usage must have in common with the subscription.
    pub scope: Vec<String>,
    /// For how many days after its end it serves late usage.
    pub late_days: i64,
    /// What is left when the customer is told.
    pub alerts: Vec<Alert>,
}

/// When quota starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// With each term.
    Never,
    /// On the first of each month.
    Month,
    /// After each month of the term.
    TermMonth,
}

/// What is left of a package when the customer is told.
#[derive(Clone, Debug)]
pub enum Alert {
    /// So many percent.
    Percent(Number),
    /// So many units.
    Units(Number),
}

impl Charge {
    /// Whether it is for usage that a meter measures.
    pub fn is_by(&self, meter: &str) -> bool {
        matches!(&self.measure, Measure::Meter(name) if name == meter)
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Usage.
    Meter(String),
    /// Units by the day.
    Days {
        /// Whether the day of removal counts.
        last_day: bool,
        /// What a month's price is divided by.
        month: Month,
        /// Whether stopped time counts.
        while_stopped: bool,
    },
    /// Units by the second.
    Seconds {
        /// Whether stopped time counts.
        while_stopped: bool,
    },
    /// The subscription itself.
    Fixed,
    /// Months of a term.
    Term,
}

/// What a month's price is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Month {
    /// The days of the month.
    Actual,
    /// 30.
    Thirty,
    /// Nothing: any day costs the month.
    Full,
}

/// What quantities cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Pricing {
    /// How.
    pub model: Model,
    /// The first units that cost nothing.
    pub free: Number,
    /// The least.
    pub minimum: Option<Number>,
    /// The most.
    pub maximum: Option<Number>,
}

/// How quantities are priced.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// By the unit.
    PerUnit(Number),
    /// Each unit by its tier.
    Graduated(Vec<Tier>),
    /// All units by the tier reached.
    Volume(Vec<Tier>),
    /// Each block begun: its size and price.
    Block(Number, Number),
    /// One price.
    Flat(Number),
    /// A rate deck.
    Deck(String),
}

/// A tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// The last unit inside.
    pub up_to: Option<Number>,
    /// Of a unit.
    pub price: Number,
    /// Once, when reached.
    pub flat: Number,
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The type of events.
    pub event: String,
    /// Conditions.
    pub conditions: Vec<(String, Condition)>,
    /// `count`, `sum`, `max`, `latest`, `unique` or `time-weighted`.
    pub aggregate: String,
    /// The attribute.
    pub of: Option<String>,
    /// Each value up to a multiple.
    pub each_up_to: Option<Number>,
    /// The sum of a cycle up to a multiple.
    pub sum_up_to: Option<Number>,
    /// Measured units in a priced one.
    pub unit_size: Number,
    /// Whether the start decides the period.
    pub by_start: bool,
}

/// What an attribute must be.
#[derive(Clone, Debug)]
pub enum Condition {
    /// One of these.
    OneOf(Vec<String>),
    /// None of these.
    NoneOf(Vec<String>),
    /// A number between, both inside.
    Between(Number, Number),
}

/// Hours of the week: the day from Monday as 1, from this second, until this second.
pub type Hours = Vec<(i8, i32, i32)>;

/// What calls cost by the number called.
#[derive(Clone, Debug)]
pub struct Deck {
    /// The attribute with the number.
    pub destination: String,
    /// Names of bands and the hours in which they hold. The first holds where no other does.
    pub bands: Vec<(String, Hours)>,
    /// Rows by prefix.
    pub rows: BTreeMap<String, Row>,
}

/// A row of a deck.
#[derive(Clone, Debug)]
pub struct Row {
    /// Once for each connected call.
    pub connect: Number,
    /// Seconds.
    pub first_step: i64,
    /// Seconds.
    pub next_step: i64,
    /// Price of a minute of the first step by band.
    pub first: Vec<Number>,
    /// Price of a minute of the next steps by band.
    pub next: Vec<Number>,
}

/// Reads a price list.
///
/// # Panics
/// Where the file has a mistake.
pub fn read(file: &str) -> Catalogue {
    let whole_file = DeTable::parse(file).expect("TOML");
    let root = whole_file.get_ref();
    let head = table(get(root, "catalogue").expect("[catalogue]"));
    let zone = calendar::zone(&text_of(head, "zone").expect("zone")).expect("a zone");
    let effective = text_of(head, "effective").map(|text| {
        let local: DateTime =
            text.parse().unwrap_or_else(|_| text.parse::<Date>().expect("a date").at(0, 0, 0, 0));
        calendar::moment(&zone, local)
    });
    let policy = get(root, "policy").map(table);
    let renewal = policy.and_then(|policy| text_of(policy, "renewal"));
    let refund = policy.and_then(|policy| get(policy, "refund")).map(|value| refund(table(value)));
    let arrears = policy.and_then(|policy| get(policy, "arrears")).map(|value| arrears(table(value)));
    let mut plans = BTreeMap::new();
    for (product, fields) in tables(root, "products") {
        for (name, fields) in tables(fields, "plans") {
            plans.insert(name, plan(&product, fields));
        }
    }
    let own = plans.clone();
    for plan in plans.values_mut() {
        plan.provides = provided(&own, plan);
    }
    Catalogue {
        id: text_of(head, "id").expect("id"),
        effective,
        zone,
        currency: text_of(head, "currency").expect("currency"),
        add_ons_by_days: policy.and_then(|policy| text_of(policy, "add-on-proration")).as_deref()
            == Some("days"),
        auto_renewal: auto_renewal(policy.and_then(|policy| get(policy, "auto-renewal")).map(table)),
        refund,
        plan_change_at_once: policy
            .and_then(|policy| text_of(policy, "plan-change"))
            .map(|when| when == "at-once"),
        arrears,
        renewal_by_midnight: renewal.as_deref() == Some("next-midnight"),
        renewal_terms: policy.filter(|policy| get(policy, "renewal-terms-months").is_some()).map(|policy| {
            let texts = texts_of(policy, "renewal-terms-months");
            texts.iter().map(|months| months.parse().expect("months")).collect()
        }),
        meters: tables(root, "meters").into_iter().map(|(name, fields)| (name, meter(fields))).collect(),
        decks: tables(root, "decks").into_iter().map(|(name, fields)| (name, deck(fields))).collect(),
        plans,
    }
}

fn auto_renewal(fields: Option<&Table<'_>>) -> (i64, i64) {
    let text = |name: &str| fields.and_then(|fields| text_of(fields, name));
    let at = text("at").unwrap_or_else(|| "03:00".to_owned());
    let mut seconds = 0;
    for (part, worth) in at.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().expect("a time of day") * worth;
    }
    (seconds, text("days-before").map_or(7, |days| days.parse().expect("days")))
}

fn refund(fields: &Table<'_>) -> Refund {
    let count = |name: &str| text_of(fields, name).map(|text| text.parse::<i64>().expect("a count"));
    Refund {
        fee_percent: number_of(fields, "fee-percent").unwrap_or_else(zero),
        by_days: text_of(fields, "count").as_deref() == Some("days-of-30"),
        full: count("full-within-days").zip(count("full-times")),
    }
}

fn arrears(fields: &Table<'_>) -> Arrears {
    let days = |tier: &Table<'_>, mode: &str| {
        let of = table(get(tier, mode).expect("days of both modes"));
        let count = |name: &str| text_of(of, name).expect("days").parse().expect("a count");
        (count("grace-days"), count("retention-days"))
    };
    let tier = |fields: &Table<'_>| {
        let id = text_of(fields, "id").expect("id");
        (id, [days(fields, "pay-per-use"), days(fields, "prepaid")])
    };
    let tiers = list(get(fields, "tiers").expect("tiers")).into_iter().map(|one| tier(table(one)));
    Arrears {
        default_tier: text_of(fields, "default-tier").expect("default-tier"),
        part: text_of(fields, "grace-operations").as_deref() == Some("part"),
        charged: is(fields, "charge-while-frozen", false),
        tiers: tiers.collect(),
    }
}

/// What a plan provides with all that it contains: of each thing the most that one of them does.
fn provided(plans: &BTreeMap<String, Plan>, plan: &Plan) -> BTreeMap<String, i64> {
    let mut all = plan.provides.clone();
    for inside in plan.contains.iter().map(|name| provided(plans, &plans[name])) {
        for (name, units) in inside {
            let most = all.entry(name).or_default();
            *most = units.max(*most);
        }
    }
    all
}

fn plan(product: &str, fields: &Table<'_>) -> Plan {
    let modes = texts_of(fields, "modes");
    let charges = match get(fields, "charges") {
        Some(value) => list(value).into_iter().map(|fields| charge(table(fields), &modes)).collect(),
        None => Vec::new(),
    };
    let terms =
        texts_of(fields, "terms-months").iter().map(|months| months.parse().expect("months")).collect();
    Plan {
        product: product.to_owned(),
        binds: texts_of(fields, "binds"),
        options: texts_of(fields, "options"),
        modes,
        terms,
        charges,
        minimum_quantity: text_of(fields, "minimum-quantity")
            .map_or(1, |text| text.parse().expect("a count")),
        grants: get(fields, "grants")
            .map(list)
            .unwrap_or_default()
            .into_iter()
            .map(|fields| grant(table(fields)))
            .collect(),
        requires: texts_of(fields, "requires"),
        ends_with: is(fields, "ends-with", false),
        trial: get(fields, "trial")
            .map(|trial| number_of(table(trial), "days").expect("days"))
            .map(|days| i64::try_from(days.to_whole().expect("whole days")).expect("a few")),
        provides: get(fields, "provides").map(|value| counts(table(value))).unwrap_or_default(),
        contains: texts_of(fields, "contains"),
    }
}

fn counts(fields: &Table<'_>) -> BTreeMap<String, i64> {
    let count = |value: &DeValue<'_>| i64::try_from(number(value).to_whole().expect("a count")).expect("few");
    fields.iter().map(|(name, value)| (name.get_ref().to_string(), count(value.get_ref()))).collect()
}

fn cycle(name: &str) -> Option<Cycle> {
    match name {
        "hour" => Some(Cycle::Hour),
        "day" => Some(Cycle::Day),
        "month" => Some(Cycle::Month),
        _ => None,
    }
}

fn charge(fields: &Table<'_>, plan_modes: &[String]) -> Charge {
    let term = is(fields, "term", false);
    let measure = if let Some(meter) = text_of(fields, "meter") {
        Measure::Meter(meter)
    } else if let Some(held) = get(fields, "held") {
        held_of(held)
    } else if term {
        Measure::Term
    } else {
        Measure::Fixed
    };
    let settle = match text_of(fields, "settle") {
        Some(name) => cycle(&name),
        None if term => None,
        None => Some(Cycle::Month),
    };
    let accumulate = match text_of(fields, "accumulate") {
        Some(name) => cycle(&name).expect("a cycle"),
        None => settle.unwrap_or(Cycle::Month),
    };
    let modes = match texts_of(fields, "modes") {
        modes if !modes.is_empty() => modes,
        _ if term => vec!["prepaid".to_owned()],
        _ => plan_modes.to_vec(),
    };
    Charge {
        id: text_of(fields, "id").expect("id"),
        modes,
        measure,
        settle,
        accumulate,
        per: texts_of(fields, "per"),
        pricing: pricing(fields),
        discountable: is(fields, "discountable", true),
        of_account: text_of(fields, "takes").as_deref() == Some("account"),
        draws: is(fields, "draws", true),
        counts_drawn: text_of(fields, "tiers-count").as_deref() == Some("all"),
        refuses_past_package: text_of(fields, "past-package").as_deref() == Some("refuse"),
        concurrency: text_of(fields, "concurrency"),
    }
}

fn grant(fields: &Table<'_>) -> Grant {
    let alert = |text: String| match text.strip_suffix('%') {
        Some(percent) => Alert::Percent(decimal(percent).expect("a percentage")),
        None => Alert::Units(decimal(&text).expect("units")),
    };
    Grant {
        id: text_of(fields, "id").expect("id"),
        meter: text_of(fields, "meter").expect("meter"),
        units: number_of(fields, "units").expect("units"),
        resets: match text_of(fields, "resets").as_deref() {
            Some("month") => Resets::Month,
            Some("term") => Resets::TermMonth,
            _ => Resets::Never,
        },
        add_on: text_of(fields, "kind").as_deref() == Some("add-on"),
        origin: match text_of(fields, "origin").as_deref() {
            Some("free") => 0,
            Some("promotional") => 1,
            _ => 2,
        },
        scope: texts_of(fields, "scope"),
        late_days: text_of(fields, "late-days").map_or(0, |days| days.parse().expect("days")),
        alerts: texts_of(fields, "alerts").into_iter().map(alert).collect(),
    }
}

fn held_of(value: &DeValue<'_>) -> Measure {
    let field = |name: &str| match value {
        DeValue::Table(fields) => text_of(fields, name),
        _ => None,
    };
    let by = match value {
        DeValue::Table(fields) => text_of(fields, "by").expect("by"),
        other => text(other),
    };
    let while_stopped = field("stopped").as_deref() != Some("free");
    if by == "second" {
        return Measure::Seconds { while_stopped };
    }
    let month = match field("month").as_deref() {
        Some("thirty") => Month::Thirty,
        Some("full") => Month::Full,
        _ => Month::Actual,
    };
    Measure::Days { last_day: field("last-day").as_deref() == Some("charged"), month, while_stopped }
}

fn tiers(value: &DeValue<'_>) -> Vec<Tier> {
    let tier = |fields: &Table<'_>| Tier {
        up_to: number_of(fields, "up-to"),
        price: number_of(fields, "price").unwrap_or_else(zero),
        flat: number_of(fields, "flat").unwrap_or_else(zero),
    };
    list(value).into_iter().map(|fields| tier(table(fields))).collect()
}

fn pricing(fields: &Table<'_>) -> Pricing {
    let model = if let Some(price) = number_of(fields, "price") {
        Model::PerUnit(price)
    } else if let Some(value) = get(fields, "graduated") {
        Model::Graduated(tiers(value))
    } else if let Some(value) = get(fields, "volume") {
        Model::Volume(tiers(value))
    } else if let Some(value) = get(fields, "block") {
        let block = table(value);
        Model::Block(number_of(block, "size").expect("size"), number_of(block, "price").expect("price"))
    } else if let Some(price) = number_of(fields, "flat") {
        Model::Flat(price)
    } else {
        Model::Deck(text_of(fields, "deck").expect("a price"))
    };
    Pricing {
        model,
        free: number_of(fields, "free").unwrap_or_else(zero),
        minimum: number_of(fields, "minimum"),
        maximum: number_of(fields, "maximum"),
    }
}

fn meter(fields: &Table<'_>) -> Meter {
    let mut conditions = Vec::new();
    if let Some(DeValue::Table(wanted)) = get(fields, "where") {
        for (attribute, value) in wanted.iter() {
            conditions.push((attribute.get_ref().to_string(), condition(value.get_ref())));
        }
    }
    let round = get(fields, "round").map(table);
    Meter {
        event: text_of(fields, "event").expect("event"),
        conditions,
        aggregate: text_of(fields, "aggregate").unwrap_or_else(|| "count".to_owned()),
        of: text_of(fields, "of"),
        each_up_to: round.and_then(|round| number_of(round, "each-up-to")),
        sum_up_to: round.and_then(|round| number_of(round, "sum-up-to")),
        unit_size: number_of(fields, "unit-size").unwrap_or_else(|| whole(1)),
        by_start: text_of(fields, "time").as_deref() == Some("start"),
    }
}

fn condition(value: &DeValue<'_>) -> Condition {
    match value {
        DeValue::Table(fields) => Condition::NoneOf(texts_of(fields, "not")),
        DeValue::Integer(_) => Condition::Between(number(value), number(value)),
        DeValue::String(text) => {
            let ends = text.split_once("..").and_then(|(from, to)| Some((decimal(from)?, decimal(to)?)));
            match ends {
                Some((from, to)) => Condition::Between(from, to),
                None => Condition::OneOf(vec![text.to_string()]),
            }
        }
        other => Condition::OneOf(list(other).into_iter().map(text).collect()),
    }
}

fn deck(fields: &Table<'_>) -> Deck {
    let mut bands = Vec::new();
    for band in get(fields, "bands").map(list).unwrap_or_default() {
        let band = table(band);
        let hours = texts_of(band, "hours").iter().flat_map(|text| hours(text)).collect();
        bands.push((text_of(band, "id").expect("id"), hours));
    }
    if bands.is_empty() {
        bands.push(("all".to_owned(), Vec::new()));
    }
    let seconds = |row: &Table<'_>, name: &str| -> Option<i64> {
        text_of(row, name).or(text_of(fields, name)).map(|text| text.parse().expect("seconds"))
    };
    let mut rows = BTreeMap::new();
    for row in list(get(fields, "rows").expect("rows")) {
        let row = table(row);
        let prices = |name: &str| -> Vec<Number> {
            let value = get(row, name).or(get(row, "price")).expect("a price");
            bands
                .iter()
                .map(|(band, _)| match value {
                    DeValue::Table(by_band) => number_of(by_band, band).expect("a price for each band"),
                    one => number(one),
                })
                .collect()
        };
        let first_step = seconds(row, "first-step").unwrap_or(60);
        rows.insert(
            text_of(row, "prefix").expect("prefix"),
            Row {
                connect: number_of(row, "connect").or(number_of(fields, "connect")).unwrap_or_else(zero),
                first_step,
                next_step: seconds(row, "next-step").unwrap_or(first_step),
                first: prices("first-price"),
                next: prices("next-price"),
            },
        );
    }
    Deck { destination: text_of(fields, "destination").expect("destination"), bands, rows }
}

/// `mon-fri 08:00-20:00`: for each of these days the seconds of its stretch.
fn hours(text: &str) -> Hours {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = |name: &str| DAYS.iter().position(|day| *day == name).expect("a day");
    let (days, stretch) = text.rsplit_once(' ').unwrap_or(("mon-sun", text));
    let second = |clock: &str| {
        let (hour, minute) = clock.split_once(':').expect("hh:mm");
        hour.parse::<i32>().expect("hours") * 3600 + minute.parse::<i32>().expect("minutes") * 60
    };
    let (from, until) = stretch.split_once('-').expect("from-until");
    let mut result = Vec::new();
    for part in days.split(',') {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        let (mut at, last) = (day(first), day(last));
        loop {
            result.push((i8::try_from(at + 1).expect("1 to 7"), second(from), second(until)));
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    result
}
