//! The catalogue: what is sold and at what price.
//!
//! A [`Charge`] is composed of independent parts — what is measured, over what it accumulates and
//! per what, when it settles, how it is priced — so that a new product is a new file.
//!
//! Values here are already checked: every name that is referred to exists. `farebox-text` reads
//! the files and says what is wrong with them.

use crate::calendar::{Cycle, Instant, Zone};
use crate::money::{Currency, Exact};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

mod arrears;

pub use arrears::{ArrearsPolicy, ArrearsTier, GraceOperations, Periods};
mod terms;

pub use terms::{AutoRenewalTimes, PlanChange, PlanTerms, Proration, TermPolicy};

/// A price list: one version of it, from its effective date until the next version's.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// What books and orders call it, the same over all versions: `huawei-ykf`.
    pub id: String,
    /// The version's name, for people: `2023-12-01`.
    pub version: String,
    /// Title for a customer.
    pub title: String,
    /// The first 16 hex digits of the hash of the file's text: which text decided a line.
    pub hash: String,
    /// From when its prices hold. `None`: always.
    pub effective: Option<Instant>,
    /// The wall clock of its days and months.
    pub zone: Zone,
    /// The currency of all its prices.
    pub currency: Currency,
    /// Where the prices and rules come from, in a sentence.
    pub source: String,
    /// Settings that hold for the whole price list.
    pub policy: Policy,
    /// Meters by name.
    pub meters: BTreeMap<String, Arc<Meter>>,
    /// Rate decks by name.
    pub decks: BTreeMap<String, Arc<Deck>>,
    /// Licences by name.
    pub licences: BTreeMap<String, Licence>,
    /// Products by name, in order.
    pub products: BTreeMap<String, Product>,
}

/// Settings of the whole price list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How the term of a renewal ends (RULES.md §3, no. 2).
    pub renewal: RenewalRule,
    /// What comes back when a prepaid order is unsubscribed (R-UNS-1). `None`: it cannot be.
    pub refund: Option<RefundRule>,
    /// What happens to customers who owe. `None`: nothing is ever frozen.
    pub arrears: Option<ArrearsPolicy>,
    /// Renewals, changes of plan, add-ons.
    pub terms: TermPolicy,
}

/// What comes back of a prepaid order: paid, less consumed, less a fee, never below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRule {
    /// The fee in percent of the price paid, from 0 to 100.
    pub fee_percent: Exact,
    /// How consumption is counted.
    pub count: Consumption,
    /// When everything comes back (R-UNS-2).
    pub full: Option<FullRefund>,
}

/// How the consumption of a prepaid term is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumption {
    /// By hours: purchase, end and cancellation are each taken at their full hour (R-UNS-1).
    Hours,
    /// By days of months of 30 days; the day of cancellation does not count (R-KP-7).
    DaysOf30,
}

/// Everything comes back soon after the order, a number of times per account (R-UNS-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullRefund {
    /// Within so many times 24 hours of the order.
    pub within_days: u16,
    /// At most so often in the life of an account.
    pub times: u16,
}

/// How the end of a renewed term is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenewalRule {
    /// The first 00:00 strictly after (R-YKF-10): one free day.
    NextMidnight,
    /// Months counted from the purchase (R-REN-2, R-REN-4).
    #[default]
    EndToEnd,
}

/// Things sold under one name. Of its plans, one subscription takes a given piece of usage.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its name in the file.
    pub id: String,
    /// Title for a customer.
    pub title: String,
    /// Plans or editions by name.
    pub plans: BTreeMap<String, Plan>,
}

/// A plan or edition: what one orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Its name in the file, unique in the catalogue: what an order says.
    pub id: String,
    /// Title for a customer.
    pub title: String,
    /// What a unit of it is called: `seat`, `channel`, `number`, `phone`.
    pub unit: String,
    /// How it may be paid. Any other mode is refused (R-CEC-1, R-YKF-6).
    pub modes: Vec<Mode>,
    /// Terms in months that a prepaid order may have.
    pub terms_months: Vec<u16>,
    /// What it requires and ends with, whether it is a trial.
    pub terms: PlanTerms,
    /// Features that it includes, those of the plans it contains among them (R-CEC-9).
    pub features: Vec<String>,
    /// What one unit provides: `ivr-channel` → 1 (R-CEC-6).
    pub provides: BTreeMap<String, u32>,
    /// Licences that one unit brings to its application: `standard-agent` → 3 (R-TCCC-9).
    pub licences: BTreeMap<String, u32>,
    /// Attributes that an order must give and usage must match: `number`, `application`.
    pub binds: Vec<String>,
    /// Facts that an order states and that cannot change: `specification`, `type`.
    pub options: Vec<String>,
    /// What it costs.
    pub charges: Vec<Charge>,
    /// The fewest units of an order; fewer are refused (R-TCCC-5).
    pub minimum_quantity: u32,
    /// The quota that it brings.
    pub grants: Vec<Grant>,
    /// A threshold that is only advised about, never acted upon (RULES.md §3, no. 10).
    pub advice: Vec<Advice>,
    /// The heading under which bills list it (R-TCCC-16); `None`: the title of its product.
    pub bill_group: Option<String>,
    /// Rules that it implements, such as `R-CEC-6`.
    pub rules: Vec<String>,
}

/// A permission to work with an application, of which there are as many as plans bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licence {
    /// Its name in the file.
    pub id: String,
    /// Title for a customer.
    pub title: String,
    /// The ways of use that consume one: `web`, `sdk`, `phone` (R-TCCC-11).
    pub by: Vec<String>,
    /// Named: bound to the e-mail that used it first, until a reset. Otherwise concurrent: consumed
    /// only while in use (RULES.md §3, no. 29).
    pub named: bool,
    /// How often in a calendar month the idle ones of an application may be released (R-TCCC-14).
    /// `None`: never.
    pub resets_per_month: Option<u16>,
    /// Rules that it implements.
    pub rules: Vec<String>,
}

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Used first, paid afterwards.
    PayPerUse,
    /// Paid at purchase for a term of months.
    Prepaid,
}

impl Mode {
    /// As files and refusals write it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::PayPerUse => "pay-per-use",
            Mode::Prepaid => "prepaid",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Quota that a plan brings: units of a meter that usage draws before it costs anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Its name, unique in the plan.
    pub id: String,
    /// Title for a customer.
    pub title: String,
    /// The meter whose usage draws from it.
    pub meter: String,
    /// Priced units for each unit of the plan, above zero.
    pub units: Exact,
    /// When the quota starts again; what is left is lost then (R-TCCC-2, R-PKG-3).
    pub resets: Resets,
    /// Part of a subscription, or bought besides.
    pub kind: GrantKind,
    /// Where it comes from.
    pub origin: Origin,
    /// Attributes of the subscription that usage must share; none: usage of the whole account.
    pub scope: Vec<String>,
    /// For how many times 24 hours after its end it still serves usage timed before the end.
    pub late_days: u16,
    /// Remaining quota at which to alert (R-PKG-4).
    pub alerts: Vec<Alert>,
    /// Rules that it implements.
    pub rules: Vec<String>,
}

/// When the quota of a grant starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// Never: one bucket for each paid term.
    Never,
    /// Each calendar month (RULES.md §3, no. 11).
    Month,
    /// Each month of the subscription's own term.
    Cycle,
}

/// The first criterion of the order in which packages are drawn (R-PKG-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantKind {
    /// Included in a subscription.
    Included,
    /// Bought separately.
    AddOn,
}

impl GrantKind {
    /// As files write it.
    pub fn name(self) -> &'static str {
        match self {
            GrantKind::Included => "included",
            GrantKind::AddOn => "add-on",
        }
    }
}

/// The second criterion of the order in which packages are drawn (R-PKG-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Given for nothing.
    Free,
    /// Given with an offer.
    Promotional,
    /// Paid for.
    Bought,
}

impl Origin {
    /// As files write it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Free => "free",
            Origin::Promotional => "promotional",
            Origin::Bought => "bought",
        }
    }
}

/// A remaining quota at which to alert (R-PKG-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// This percentage of what was granted, or less.
    Percent(Exact),
    /// So many units or fewer.
    Units(Exact),
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alert::Percent(percent) => write!(f, "{percent}%"),
            Alert::Units(units) => write!(f, "{units}"),
        }
    }
}

/// What happens to usage past the packages that it may draw from (R-PKG-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastPackage {
    /// It is charged.
    Charge,
    /// It is refused; what was used already is shown and costs what the charge says, mostly
    /// nothing (RULES.md §3, no. 14).
    Refuse,
}

/// A flag on a month in which a charge's quantity crossed a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The charge whose quantity is watched.
    pub charge: String,
    /// Fires in a month with this many units or more.
    pub from: Exact,
    /// What to tell the customer.
    pub text: String,
}

/// One priced part of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// Its name, unique in the plan; negotiated prices and explanations use it.
    pub id: String,
    /// Title on the bill.
    pub title: String,
    /// The modes of subscription it applies to.
    pub modes: Vec<Mode>,
    /// What is measured.
    pub measure: Measure,
    /// Over what tiers, free units, minimum and maximum accumulate.
    pub accumulate: Cycle,
    /// Per which attributes they accumulate, besides the subscription: `number`.
    pub per: Vec<String>,
    /// When it is charged.
    pub settle: Settle,
    /// How it is priced.
    pub pricing: Pricing,
    /// Whether usage draws from packages before it is priced.
    pub draws: bool,
    /// What happens past them.
    pub past_package: PastPackage,
    /// Whether tiers and free units count what was drawn from packages, too.
    pub tiers_count_all: bool,
    /// Whether it takes the usage of the whole account, whatever the plan binds.
    pub takes_all: bool,
    /// What each session held takes one of, of what the account's plans provide (R-TCCC-4).
    pub concurrency: Option<String>,
    /// Whether a commercial discount of the account applies (R-YKF-12).
    pub discountable: bool,
    /// Rules that it implements.
    pub rules: Vec<String>,
}

/// When a charge is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Once, when ordered.
    AtPurchase,
    /// At the end of each cycle, never longer than what it accumulates over.
    Each(Cycle),
}

/// What a charge measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Events, by a meter of the catalogue.
    Meter(String),
    /// The quantity of the subscription, held over time.
    Held(Held),
    /// The subscription's quantity, once per cycle or purchase.
    Fixed,
    /// The months of a prepaid term for each unit, charged when it is bought or renewed.
    Term,
}

/// How a quantity held over time is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// By the day or by the second.
    pub by: HeldBy,
    /// Whether a stopped subscription still counts (R-KP-4).
    pub while_stopped: bool,
}

/// The grain of a held quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// Calendar days; a unit added and removed on one day counts one day, the newest is removed
    /// first (R-YKF-4; RULES.md §3, no. 1). The price is per unit and month.
    Day {
        /// Whether the day of removal is charged.
        last_day: bool,
        /// The days that the monthly price is divided by.
        month: MonthDays,
    },
    /// Seconds; the price is per unit and hour (R-KP-2).
    Second,
}

/// The divisor of a monthly price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonthDays {
    /// The month's calendar days (R-YKF-4).
    Actual,
    /// Always 30.
    Thirty,
    /// No proration: any day in the month costs the month (RULES.md §3, no. 9).
    Full,
}

/// How a quantity becomes an amount.
#[derive(Clone, Debug, PartialEq)]
pub struct Pricing {
    /// The price model.
    pub model: Model,
    /// Units of each accumulation that cost nothing; they are the first ones.
    pub free: Exact,
    /// The least that an accumulation costs once it has ended.
    pub minimum: Option<Exact>,
    /// The most that an accumulation costs.
    pub maximum: Option<Exact>,
}

/// A price model. Prices have at most 10 decimals (R-MON-1).
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Quantity × price.
    PerUnit(Exact),
    /// Each unit at the price of the tier it falls in (R-TIR-1).
    Graduated(Vec<Tier>),
    /// All units at the price of the tier reached (R-TIR-2).
    Volume(Vec<Tier>),
    /// A price for each started block of `size` units.
    Block {
        /// Units in a block, above zero.
        size: Exact,
        /// Price of a block.
        price: Exact,
    },
    /// One price for any quantity above zero.
    Flat(Exact),
    /// Calls by a rate deck of the catalogue (R-DECK-1, R-DECK-2).
    Deck(String),
}

/// A tier: from the end of the one before to `up_to`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// The last unit inside; `None` in the last tier.
    pub up_to: Option<Exact>,
    /// Price of a unit.
    pub price: Exact,
    /// Paid once when the tier is reached.
    pub flat: Exact,
}

/// What is counted of the usage events of one type.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// Its name in the file.
    pub id: String,
    /// The type of the events: `call`.
    pub event: String,
    /// All must hold, or the event costs nothing here (R-OCR-1, R-YKF-7).
    pub filters: Vec<Filter>,
    /// How events become a quantity.
    pub aggregate: Aggregate,
    /// The attribute that is aggregated; counting needs none.
    pub of: Option<String>,
    /// How quantities are rounded before they are priced.
    pub rounding: Rounding,
    /// Measured units in one priced unit: 60 when seconds are priced by the minute.
    pub unit_size: Exact,
    /// What a priced unit is called: `minute`.
    pub unit: String,
    /// Whether usage belongs to the period of its start instead of its end (RULES.md §3, no. 7).
    pub timed_by_start: bool,
    /// The longest stretch that usage is counted in, so that it can be asked for by it; `None`: a day, or the shortest
    /// cycle that settles it.
    pub by: Option<Cycle>,
}

/// How the values of events become one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregate {
    /// How many events.
    Count,
    /// The sum of the values.
    Sum,
    /// The greatest value.
    Max,
    /// The value of the latest event.
    Latest,
    /// How many different values.
    Unique,
    /// Each value holds until the next: value × hours.
    TimeWeighted,
}

/// Rounding of a quantity, in measured units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// None.
    None,
    /// Each event up to a multiple of the step (R-YKF-5).
    EachUp(Exact),
    /// The sum of each settlement cycle up to a multiple of the step (RULES.md §3, no. 28).
    SumUp(Exact),
}

/// A condition on an attribute of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The attribute.
    pub attribute: String,
    /// What it must be. An event without the attribute never matches.
    pub test: Test,
}

/// What an attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// One of these texts.
    OneOf(Vec<String>),
    /// A number from the first to the second, both inside: `200..299`.
    Between(Exact, Exact),
    /// Anything but these texts.
    NoneOf(Vec<String>),
}

/// A rate deck: what a call to a number costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Deck {
    /// Its name in the file.
    pub id: String,
    /// The attribute of the event that holds the number called.
    pub destination: String,
    /// Time bands; where none matches, band 0 holds. Their prices are in each row's `rates`.
    pub bands: Vec<Band>,
    /// Rows by prefix, sorted; the longest that the number starts with wins.
    pub rows: Vec<DeckRow>,
}

/// A time band of a deck: local times on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// Its name: `peak`. Band 0 is the default.
    pub id: String,
    /// When it holds, any of these; empty for band 0.
    pub hours: Vec<BandHours>,
}

/// Some hours of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BandHours {
    /// Monday first.
    pub days: [bool; 7],
    /// From this second of the local day …
    pub from_s: u32,
    /// … up to but without this one (86,400: midnight).
    pub until_s: u32,
}

/// What calls to the numbers with one prefix cost.
#[derive(Clone, Debug, PartialEq)]
pub struct DeckRow {
    /// Digits; empty for all other numbers.
    pub prefix: String,
    /// Where that is, for the bill.
    pub title: String,
    /// Paid once for each connected call.
    pub connect_fee: Exact,
    /// Seconds of the first step, above zero.
    pub first_step_s: u32,
    /// Seconds of each further step, above zero.
    pub next_step_s: u32,
    /// Prices by band, as many as the deck has bands.
    pub rates: Vec<DeckRate>,
}

/// The prices of a row in a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeckRate {
    /// A minute of the first step.
    pub first_per_minute: Exact,
    /// A minute of the further steps.
    pub next_per_minute: Exact,
}

impl Catalogue {
    /// A plan by its name, and the product it belongs to.
    pub fn plan(&self, id: &str) -> Option<(&Product, &Plan)> {
        self.products.values().find_map(|product| Some((product, product.plans.get(id)?)))
    }

    /// All plans, in order of product and name.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.products.values().flat_map(|product| product.plans.values())
    }
}

impl Model {
    /// The model with one price agreed for it: of a unit (of every tier), a block, or flat. `None`
    /// for a rate deck, which has many.
    pub fn at_price(&self, price: Exact) -> Option<Model> {
        Some(match self {
            Model::PerUnit(_) | Model::Graduated(_) | Model::Volume(_) => Model::PerUnit(price),
            Model::Block { size, .. } => Model::Block { size: *size, price },
            Model::Flat(_) => Model::Flat(price),
            Model::Deck(_) => return None,
        })
    }
}

impl Charge {
    /// The attributes in which usage must be like the subscription that takes it.
    pub fn binds<'a>(&self, plan: &'a Plan) -> &'a [String] {
        if self.takes_all { &[] } else { &plan.binds }
    }
}

impl Plan {
    /// A grant by its name.
    pub fn grant(&self, id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id == id)
    }

    /// A charge by its name.
    pub fn charge(&self, id: &str) -> Option<&Charge> {
        self.charges.iter().find(|charge| charge.id == id)
    }
}

impl Deck {
    /// The row of a number: the longest prefix that it starts with (R-DECK-1).
    pub fn row(&self, number: &str) -> Option<usize> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        (0..=digits.len())
            .rev()
            .filter(|&len| digits.is_char_boundary(len))
            .find_map(|len| self.rows.binary_search_by(|row| row.prefix.as_str().cmp(&digits[..len])).ok())
    }
}
