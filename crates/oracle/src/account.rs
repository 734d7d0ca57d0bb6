//! What is known of an account at a moment, and what was charged for it so far.

use crate::history::Split;
use crate::money::{Item, Money};
use crate::number::{Number, whole, zero};
use crate::terms::Auto;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The wall clock of its bills' months.
    pub zone: TimeZone,
    /// When it was opened.
    pub opened: Timestamp,
    /// Who pays for it, if not itself.
    pub payer: Option<String>,
    /// Orders, in that order.
    pub subscriptions: Vec<Subscription>,
    /// Discounts.
    pub discounts: Vec<Discount>,
    /// Negotiated prices, in the order in which they were said.
    pub prices: Vec<AgreedPrice>,
    /// The customer's tiers, each with its moment; without any nothing is ever frozen.
    pub tiers: Vec<(Timestamp, String)>,
    /// How much it may owe, if that is said.
    pub credit_limit: Option<Number>,
    /// Since when it owes, and its tier then.
    pub arrears: Option<(Timestamp, String)>,
    /// Whether the operator has suspended it.
    pub suspended: bool,
    /// What happened to it and to what it ordered.
    pub steps: Vec<Step>,
    /// How often everything was given back soon after an order.
    pub full_refunds: i64,
    /// What was charged.
    pub charges: Charges,
    /// The start of the month of the bill on which a key was charged first.
    pub billed: BTreeMap<Key, Timestamp>,
    /// What adjustments and credit notes changed of lines.
    pub line_changes: BTreeMap<String, Number>,
    /// The same, as far as it counts when a term is given up or changed.
    pub by_hand: BTreeMap<String, Number>,
    /// The money; a member's is its master's.
    pub money: Money,
}

impl Account {
    /// Puts figures to what was charged under a key, on the bill of a month: a line of it.
    pub(crate) fn add(&mut self, plan: &str, key: Key, figures: &Figures, month: Timestamp) -> Item {
        let corrects = self.billed.get(&key).copied();
        self.billed.entry(key.clone()).or_insert(month);
        let sum = self.charges.entry(key).or_insert_with(Figures::nothing);
        sum.quantity += &figures.quantity;
        sum.free += &figures.free;
        sum.list += &figures.list;
        sum.amount += &figures.amount;
        Item { plan: Some(plan.to_owned()), amount: figures.amount.clone(), corrects }
    }
}

/// An order.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// The price list.
    pub catalogue: String,
    /// The plan ordered.
    pub plan: String,
    /// Plans that it changed or will change to, each with the moment from which on it has it.
    pub later_plans: Vec<(Timestamp, String)>,
    /// When.
    pub start: Timestamp,
    /// When it came from another system, which charged what was before.
    pub migrated: Option<Timestamp>,
    /// When the term that another system sold ends, where that is no number of months after its start.
    pub own_end: Option<Timestamp>,
    /// When it ended or will end, by what is known.
    pub end: Option<Timestamp>,
    /// The terms paid for; none: pay-per-use.
    pub terms: Vec<Term>,
    /// The subscription that it ends with.
    pub follows: Option<String>,
    /// Whether it is a trial, which has an end and no term.
    pub trial: bool,
    /// Whether it renews itself.
    pub auto: Option<Auto>,
    /// Units at the start.
    pub quantity: u32,
    /// Later changes of the units, from when they hold.
    pub changes: Vec<(Timestamp, i64)>,
    /// Moments at which it was stopped (`true`) or started again.
    pub stops: Vec<(Timestamp, bool)>,
    /// What was stated with it: bindings, options, project, tags.
    pub attributes: BTreeMap<String, String>,
    /// Where it stands.
    pub state: State,
    /// Stretches in which it was frozen and not charged; the last one may be open.
    pub frozen: Vec<(Timestamp, Option<Timestamp>)>,
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// The subscription that came into another state; none: the payer's arrears.
    pub subscription: Option<String>,
    /// `active → grace`, `arrears V3`, `nothing owed`.
    pub what: String,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It runs.
    Active,
    /// It runs on.
    Grace,
    /// It does not.
    Frozen,
    /// It is over.
    Released,
}

impl State {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Grace => "grace",
            State::Frozen => "frozen",
            State::Released => "released",
        }
    }
}

impl Subscription {
    /// From when on it is charged here.
    pub fn begins(&self) -> Timestamp {
        self.migrated.map_or(self.start, |migrated| migrated.max(self.start))
    }

    /// Whether it is frozen at a moment, and costs nothing then.
    pub fn is_frozen(&self, at: Timestamp) -> bool {
        self.frozen.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at < until))
    }

    /// How it is paid.
    pub fn mode(&self) -> &'static str {
        if self.terms.is_empty() && !self.trial { "pay-per-use" } else { "prepaid" }
    }
}

/// A term that was paid for.
#[derive(Clone, Debug)]
pub struct Term {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Months that it adds to those bought; of a term that a change of plan divided, its first part has them.
    pub months: i64,
    /// The part of its months that it is, where a change of plan divided it.
    pub part: Option<Number>,
    /// What was paid for it.
    pub paid: Number,
    /// When it was ordered.
    pub ordered: Timestamp,
}

/// A percentage off.
#[derive(Clone, Debug)]
pub struct Discount {
    /// From when.
    pub from: Timestamp,
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
    /// Until when.
    pub until: Option<Timestamp>,
    /// The plan.
    pub plan: String,
    /// Its charge.
    pub charge: String,
    /// Of a unit.
    pub price: Number,
}

/// What was charged for: a charge of a subscription, one of its settlement cycles, the group it
/// accumulates in, and a share that bills tell apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The subscription.
    pub subscription: String,
    /// The charge.
    pub charge: String,
    /// The start of the settlement cycle, or of the term bought.
    pub cycle: Timestamp,
    /// The start of the stretch of the cycle in which one price holds: lines are told apart by it.
    pub from: Timestamp,
    /// Values of what it accumulates per, and the prefix of calls.
    pub group: BTreeMap<String, String>,
    /// The share.
    pub split: Split,
}

/// How much was charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Units that cost something.
    pub quantity: Number,
    /// Units that were free.
    pub free: Number,
    /// At list prices.
    pub list: Number,
    /// After discounts and with negotiated prices.
    pub amount: Number,
}

impl Figures {
    /// Nothing at all.
    pub fn nothing() -> Figures {
        Figures { quantity: zero(), free: zero(), list: zero(), amount: zero() }
    }

    /// Whether there is nothing at all.
    pub fn is_nothing(&self) -> bool {
        self.quantity.is_zero() && self.free.is_zero() && self.list.is_zero() && self.amount.is_zero()
    }
}

/// Charges by key.
pub type Charges = BTreeMap<Key, Figures>;

/// The best single discount on a charge among those that hold (R-MON-2), as a part of one. A
/// master's hold for its members too.
pub(crate) fn best_discount(
    account: &Account,
    master: Option<&Account>,
    plan: &str,
    charge: &crate::catalogue::Charge,
    holds: &dyn Fn(Timestamp, Option<Timestamp>) -> bool,
) -> Number {
    if !charge.discountable {
        return zero();
    }
    let all = account.discounts.iter().chain(master.iter().flat_map(|master| &master.discounts));
    let applies = all.filter(|one| {
        one.plan.as_deref().is_none_or(|name| name == plan)
            && one.charge.as_deref().is_none_or(|name| name == charge.id)
            && holds(one.from, one.until)
    });
    applies.map(|one| &one.percent / whole(100)).fold(zero(), Number::max)
}

/// The price negotiated for a charge that holds at a moment: the latest that was said (R-NEG-1).
pub(crate) fn price_at<'a>(
    account: &'a Account,
    plan: &str,
    charge: &str,
    at: Timestamp,
) -> Option<&'a AgreedPrice> {
    account.prices.iter().rev().find(|one| {
        one.plan == plan && one.charge == charge && one.from <= at && one.until.is_none_or(|until| at < until)
    })
}
