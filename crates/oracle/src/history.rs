//! What happened, as plain data.

use crate::number::Number;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// An account and all that it did.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The wall clock of its bills' months.
    pub zone: TimeZone,
    /// Orders.
    pub subscriptions: Vec<Subscription>,
    /// Usage as it arrived, in that order.
    pub events: Vec<Event>,
    /// Usage taken back: when that was said, and the source and id.
    pub voids: Vec<(Timestamp, String, String)>,
    /// Discounts.
    pub discounts: Vec<Discount>,
    /// Negotiated prices, in the order in which they were said.
    pub prices: Vec<AgreedPrice>,
    /// Money that came in.
    pub topups: Vec<(Timestamp, Number)>,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// The price list.
    pub catalogue: String,
    /// The plan.
    pub plan: String,
    /// Months of a prepaid term; `None`: pay-per-use.
    pub months: Option<i64>,
    /// When.
    pub start: Timestamp,
    /// The place among all lines.
    pub line: usize,
    /// Units at the start.
    pub quantity: u32,
    /// Later changes, in the order in which they were said.
    pub changes: Vec<Change>,
    /// The end of a pay-per-use subscription.
    pub cancelled: Option<Timestamp>,
    /// Renewals: when, the place among all lines, the months.
    pub renewals: Vec<(Timestamp, usize, i64)>,
    /// Moments at which it was stopped (`true`) or started again.
    pub stops: Vec<(Timestamp, bool)>,
    /// What was stated with it: bindings, project, tags.
    pub attributes: BTreeMap<String, String>,
}

/// More or fewer units.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it was said.
    pub said: Timestamp,
    /// From when it holds.
    pub effective: Timestamp,
    /// How many more; fewer below zero.
    pub units: i64,
}

/// A piece of usage.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it arrived.
    pub arrived: Timestamp,
    /// Who says so, and what it is called there.
    pub identity: (String, String),
    /// A higher one replaces what was said before.
    pub revision: u64,
    /// `call`.
    pub kind: String,
    /// When it happened, or ended.
    pub time: Timestamp,
    /// When it began, where that was said.
    pub start: Option<Timestamp>,
    /// Everything else, project and tags too.
    pub attributes: BTreeMap<String, String>,
}

/// A percentage off.
#[derive(Clone, Debug)]
pub struct Discount {
    /// From when.
    pub from: Timestamp,
    /// The place among all lines.
    pub line: usize,
    /// Until when.
    pub until: Option<Timestamp>,
    /// 10 for 10 %.
    pub percent: Number,
    /// Only on this plan.
    pub plan: Option<String>,
    /// Only on this charge of it.
    pub charge: Option<String>,
}

/// A price of one account.
#[derive(Clone, Debug)]
pub struct AgreedPrice {
    /// From when.
    pub from: Timestamp,
    /// The place among all lines.
    pub line: usize,
    /// Until when.
    pub until: Option<Timestamp>,
    /// The plan.
    pub plan: String,
    /// Its charge.
    pub charge: String,
    /// Of a unit.
    pub price: Number,
}

/// How a bill splits: application, project and tags (R-ORG-2).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Split {
    /// Application.
    pub application: Option<String>,
    /// Project; `None`: unassigned.
    pub project: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Split {
    /// What attributes say.
    pub fn of(attributes: &BTreeMap<String, String>) -> Split {
        let tags = attributes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("tag:")?.to_owned(), value.clone())));
        Split {
            application: attributes.get("application").cloned(),
            project: attributes.get("project").cloned(),
            tags: tags.collect(),
        }
    }
}
