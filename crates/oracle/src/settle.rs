//! What an account should have been charged by a moment, and its bills.
//!
//! Nothing is carried from one settlement to the next. What is charged by a moment is worked out
//! from all that was known at the last settlement of each charge before it; a bill of a month is
//! what should have been charged by its end, less what should have been by its beginning.

use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Charge, Measure, Model, Month, Pricing};
use crate::history::{Account, AgreedPrice, Split, Subscription};
use crate::number::{Number, round, whole, zero};
use crate::usage;
use crate::{metered, price, units};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use num_traits::Zero;
use std::collections::BTreeMap;

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
    pub(crate) fn nothing() -> Figures {
        Figures { quantity: zero(), free: zero(), list: zero(), amount: zero() }
    }

    /// Whether there is nothing at all.
    pub fn is_nothing(&self) -> bool {
        self.quantity.is_zero() && self.free.is_zero() && self.list.is_zero() && self.amount.is_zero()
    }
}

/// Charges by key.
pub type Charges = BTreeMap<Key, Figures>;

/// A bill of a month.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// The start of the month.
    pub month: Timestamp,
    /// The sum of its lines.
    pub sum: Number,
    /// Rounded once.
    pub total: Number,
    /// The balance when the month is over and settled.
    pub balance: Number,
    /// What is owed then.
    pub owed: Number,
}

/// What an account comes to.
#[derive(Clone, Debug)]
pub struct Reckoning {
    /// All that was charged.
    pub charges: Charges,
    /// Its bills, one for each month.
    pub bills: Vec<Bill>,
    /// When subscriptions end, those that do.
    pub ends: BTreeMap<String, Option<Timestamp>>,
}

/// A part of a settlement cycle in which one price holds.
pub(crate) struct Stretch {
    pub(crate) cycle: (Timestamp, Timestamp),
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// Everything that an account comes to by a moment; bills of the months that are over then.
///
/// # Panics
/// Where the history does not fit the catalogues, or the calendar.
pub fn reckon(catalogues: &[Catalogue], account: &Account, opened: Timestamp, until: Timestamp) -> Reckoning {
    let purchases = purchases(catalogues, account);
    let bought = |by: &dyn Fn(Timestamp) -> bool| -> Number {
        let before = purchases.iter().filter(|(at, _, _)| by(*at));
        before.map(|(_, _, figures)| figures.amount.clone()).sum()
    };
    let mut bills: Vec<Bill> = Vec::new();
    let (mut charged, mut posted) = (zero(), zero());
    let mut month = calendar::cycle_start(&account.zone, Cycle::Month, opened);
    loop {
        let end = calendar::cycle_end(&account.zone, Cycle::Month, month);
        if end > until {
            break;
        }
        let used: Number =
            used(catalogues, account, end).values().map(|figures| figures.amount.clone()).sum();
        let by_end = used + bought(&|at| at < end);
        let sum = &by_end - &charged;
        charged = by_end;
        let total = round(&sum, 2);
        posted += &total;
        // What is bought in the first moment of the next month is on its bill, and taken already.
        let owing = &posted + round(&bought(&|at| at == end), 2);
        let paid_in: Number =
            account.topups.iter().filter(|(at, _)| *at <= end).map(|(_, amount)| amount.clone()).sum();
        let net = paid_in - owing;
        let balance = net.clone().max(zero());
        let owed = (-net).max(zero());
        bills.push(Bill { month, sum, total, balance, owed });
        month = end;
    }
    let mut charges = used(catalogues, account, until);
    for (_, key, figures) in purchases {
        add(&mut charges, key, &figures);
    }
    charges.retain(|_, figures| !figures.is_nothing());
    Reckoning { charges, bills, ends: ends(catalogues, account, until) }
}

fn add(charges: &mut Charges, key: Key, figures: &Figures) {
    let sum = charges.entry(key).or_insert_with(Figures::nothing);
    sum.quantity += &figures.quantity;
    sum.free += &figures.free;
    sum.list += &figures.list;
    sum.amount += &figures.amount;
}

/// The version of a price list that holds at a moment.
fn version<'c>(catalogues: &'c [Catalogue], id: &str, at: Timestamp) -> &'c Catalogue {
    let holds = |list: &&Catalogue| list.id == id && list.effective.is_none_or(|from| from <= at);
    catalogues.iter().filter(holds).max_by_key(|list| list.effective).expect("a price list in force")
}

fn mode(subscription: &Subscription) -> &'static str {
    if subscription.months.is_some() { "prepaid" } else { "pay-per-use" }
}

/// When a subscription ends by what is known before a moment.
fn end(catalogues: &[Catalogue], one: &Subscription, known: Timestamp) -> Option<Timestamp> {
    let cancelled = one.cancelled.filter(|at| *at < known);
    let Some(months) = one.months else { return cancelled };
    let list = version(catalogues, &one.catalogue, one.start);
    let mut bought = months;
    let mut end = calendar::term_end(&list.zone, one.start, months);
    for (at, _, months) in one.renewals.iter().filter(|(at, _, _)| *at <= known) {
        let list = version(catalogues, &one.catalogue, *at);
        bought += months;
        end = if list.renewal_by_midnight {
            calendar::term_end(&list.zone, end, *months)
        } else {
            calendar::term_end(&list.zone, one.start, bought)
        };
    }
    Some(end)
}

/// When subscriptions end by what is known before a moment.
fn ends(
    catalogues: &[Catalogue],
    account: &Account,
    known: Timestamp,
) -> BTreeMap<String, Option<Timestamp>> {
    account.subscriptions.iter().map(|one| (one.name.clone(), end(catalogues, one, known))).collect()
}

/// The best single discount on a charge among those that hold (R-MON-2).
fn discount(
    account: &Account,
    plan: &str,
    charge: &Charge,
    holds: &dyn Fn(Timestamp, usize, Option<Timestamp>) -> bool,
) -> Number {
    if !charge.discountable {
        return zero();
    }
    let applies = account.discounts.iter().filter(|one| {
        one.plan.as_deref().is_none_or(|name| name == plan)
            && one.charge.as_deref().is_none_or(|name| name == charge.id)
            && holds(one.from, one.line, one.until)
    });
    applies.map(|one| one.percent.clone() / whole(100)).max().unwrap_or_else(zero)
}

/// The pricing with the price of an account in place of the list's (R-NEG-1).
pub(crate) fn agreed(pricing: &Pricing, price: Option<&AgreedPrice>) -> Pricing {
    let mut pricing = pricing.clone();
    if let (Some(price), Model::PerUnit(unit)) = (price, &mut pricing.model) {
        *unit = price.price.clone();
    }
    pricing
}

pub(crate) fn price_at<'a>(
    account: &'a Account,
    plan: &str,
    charge: &str,
    at: Timestamp,
    before_line: usize,
) -> Option<&'a AgreedPrice> {
    account.prices.iter().rev().find(|one| {
        one.plan == plan
            && one.charge == charge
            && one.line < before_line
            && one.from <= at
            && one.until.is_none_or(|until| at < until)
    })
}

/// The better of a negotiated price and a percentage off the list price; they never add up
/// (R-MON-2).
fn best(list: &Number, agreed: &Number, said: Option<&AgreedPrice>, off: &Number) -> Number {
    let reduced = list * (whole(1) - off);
    match said {
        None => reduced,
        Some(_) if off.is_zero() => agreed.clone(),
        Some(_) if list < &zero() => reduced.max(agreed.clone()),
        Some(_) => reduced.min(agreed.clone()),
    }
}

/// What is charged when it is ordered: terms and one-off fees.
fn purchases(catalogues: &[Catalogue], account: &Account) -> Vec<(Timestamp, Key, Figures)> {
    let mut all = Vec::new();
    for one in &account.subscriptions {
        let mut buy = |at: Timestamp, line: usize, months: Option<i64>, begins: Timestamp| {
            let list = version(catalogues, &one.catalogue, at);
            for charge in list.plans[&one.plan].charges.iter() {
                if charge.settle.is_some() || !charge.modes.iter().any(|offered| offered == mode(one)) {
                    continue;
                }
                let quantity = match (&charge.measure, months) {
                    (Measure::Term, Some(months)) => whole(i64::from(one.quantity) * months),
                    (Measure::Fixed, _) if begins == one.start => whole(i64::from(one.quantity)),
                    _ => continue,
                };
                let said = price_at(account, &one.plan, &charge.id, at, line);
                let price = price::cumulative(&agreed(&charge.pricing, said).model, &quantity);
                let off = discount(account, &one.plan, charge, &|from, said, until| {
                    from <= at && said < line && until.is_none_or(|until| at < until)
                });
                let key = Key {
                    subscription: one.name.clone(),
                    charge: charge.id.clone(),
                    cycle: begins,
                    group: BTreeMap::new(),
                    split: Split::of(&one.attributes),
                };
                let figures = Figures {
                    list: round(&price::cumulative(&charge.pricing.model, &quantity), 8),
                    amount: round(
                        &best(&price::cumulative(&charge.pricing.model, &quantity), &price, said, &off),
                        8,
                    ),
                    quantity,
                    free: zero(),
                };
                all.push((at, key, figures));
            }
        };
        buy(one.start, one.line, one.months, one.start);
        for (index, &(at, line, months)) in one.renewals.iter().enumerate() {
            // The term so far ends where the renewed one begins.
            let so_far = Subscription { renewals: one.renewals[..index].to_vec(), ..one.clone() };
            let begins = end(catalogues, &so_far, at).expect("only terms are renewed");
            buy(at, line, Some(months), begins);
        }
    }
    all
}

/// What should have been charged for use by a moment.
fn used(catalogues: &[Catalogue], account: &Account, by: Timestamp) -> Charges {
    let mut charges = Charges::new();
    for one in account.subscriptions.iter().filter(|one| one.start < by) {
        let list = version(catalogues, &one.catalogue, one.start);
        for charge in &list.plans[&one.plan].charges {
            let Some(settle) = charge.settle else { continue };
            if charge.modes.iter().any(|offered| offered == mode(one)) {
                // What is known at the last settlement of this charge.
                let settled = calendar::last_end(&list.zone, settle, by);
                use_of(&Use { catalogues, account, one, list, charge, settle, settled }, &mut charges);
            }
        }
    }
    charges
}

/// A charge of a subscription, by its last settlement.
pub(crate) struct Use<'a> {
    pub(crate) catalogues: &'a [Catalogue],
    pub(crate) account: &'a Account,
    pub(crate) one: &'a Subscription,
    pub(crate) list: &'a Catalogue,
    pub(crate) charge: &'a Charge,
    pub(crate) settle: Cycle,
    pub(crate) settled: Timestamp,
}

impl Use<'_> {
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.list.zone
    }

    /// The moments at which its price may change.
    fn cuts(&self) -> Vec<Timestamp> {
        let versions = self.catalogues.iter().filter(|list| list.id == self.one.catalogue);
        let mut cuts: Vec<Timestamp> = versions.filter_map(|list| list.effective).collect();
        for price in &self.account.prices {
            if price.plan == self.one.plan && price.charge == self.charge.id {
                cuts.push(price.from);
                cuts.extend(price.until);
            }
        }
        cuts.sort();
        cuts.dedup();
        cuts
    }

    /// The stretches of its settled cycles, by accumulation: when that began and ends.
    pub(crate) fn stretches(&self, end: Option<Timestamp>) -> Vec<((Timestamp, Timestamp), Vec<Stretch>)> {
        let cuts = self.cuts();
        let mut all: Vec<((Timestamp, Timestamp), Vec<Stretch>)> = Vec::new();
        let mut from = calendar::cycle_start(self.zone(), self.settle, self.one.start);
        // What ends with a cycle has nothing in the next one; what begins and ends at once has.
        let over = |from: Timestamp| end.is_some_and(|end| from >= end && from > self.one.start);
        while from < self.settled && !over(from) {
            let until = calendar::cycle_end(self.zone(), self.settle, from);
            let mut start = from.max(self.one.start);
            let inside = cuts.iter().copied().filter(|cut| start < *cut && *cut < until).collect::<Vec<_>>();
            let began = calendar::cycle_start(self.zone(), self.charge.accumulate, from);
            let ends = calendar::cycle_end(self.zone(), self.charge.accumulate, began);
            if all.last().is_none_or(|((last, _), _)| *last != began) {
                all.push(((began, ends), Vec::new()));
            }
            let stretches = &mut all.last_mut().expect("just pushed").1;
            for cut in inside.into_iter().chain([until]) {
                if !over(start) {
                    stretches.push(Stretch { cycle: (from, until), start, end: cut });
                }
                start = cut;
            }
            from = until;
        }
        all
    }

    pub(crate) fn pricing(&self, at: Timestamp) -> &Pricing {
        let list = version(self.catalogues, &self.one.catalogue, at);
        let plan = &list.plans[&self.one.plan];
        &plan.charges.iter().find(|charge| charge.id == self.charge.id).expect("the same charges").pricing
    }

    /// Percentage off at the settlement of a cycle (DECISIONS 8): what is in force then. A
    /// line of that very moment comes after the settlement.
    fn discount(&self, settled: Timestamp) -> Number {
        discount(self.account, &self.one.plan, self.charge, &|from, _, until| {
            from < settled && until.is_none_or(|until| settled < until)
        })
    }
}

/// Units so far in an accumulation, and what they cost so far.
pub(crate) struct Running {
    pub(crate) units: Number,
    pub(crate) list: Number,
    pub(crate) amount: Number,
}

impl Running {
    pub(crate) fn new() -> Running {
        Running { units: zero(), list: zero(), amount: zero() }
    }

    /// Goes on to so many units: free units, charged units, and their cost at both prices.
    pub(crate) fn go(&mut self, list: &Pricing, agreed: &Pricing, units: Number, ended: bool) -> Figures {
        let charged = |units: &Number| (units - &list.free).max(zero());
        let step = |pricing: &Pricing, so_far: &Number| -> Number {
            let change = price::cumulative(&pricing.model, &charged(&units))
                - price::cumulative(&pricing.model, &charged(&self.units));
            let mut total = so_far + change;
            if let Some(maximum) = &pricing.maximum {
                total = total.min(maximum.clone());
            }
            if let Some(minimum) = pricing.minimum.as_ref().filter(|_| ended) {
                total = total.max(minimum.clone());
            }
            total
        };
        let (list_total, amount_total) = (step(list, &self.list), step(agreed, &self.amount));
        let quantity = charged(&units) - charged(&self.units);
        let figures = Figures {
            free: &units - &self.units - &quantity,
            quantity,
            list: &list_total - &self.list,
            amount: &amount_total - &self.amount,
        };
        *self = Running { units, list: list_total, amount: amount_total };
        figures
    }
}

fn use_of(this: &Use<'_>, charges: &mut Charges) {
    let all_ends = ends(this.catalogues, this.account, this.settled);
    let end = all_ends[&this.one.name];
    match &this.charge.measure {
        Measure::Meter(name) => metered::metered(this, name, &all_ends, end, charges),
        Measure::Days { .. } | Measure::Seconds { .. } => held(this, end, charges),
        Measure::Fixed => fixed(this, end, charges),
        Measure::Term => {}
    }
}

/// Puts the figures of a stretch under its keys, shared out by weight: each share is rounded to
/// eight decimals, and the last takes what is left (DECISIONS 9).
pub(crate) fn post(
    this: &Use<'_>,
    charges: &mut Charges,
    stretch: &Stretch,
    group: &BTreeMap<String, String>,
    figures: &Figures,
    weights: &BTreeMap<Split, Number>,
) {
    let off = this.discount(stretch.cycle.1);
    let said = price_at(this.account, &this.one.plan, &this.charge.id, stretch.start, usize::MAX);
    let amount = best(&figures.list, &figures.amount, said, &off);
    let weight: Number = weights.values().cloned().sum();
    let mut left = Figures {
        quantity: figures.quantity.clone(),
        free: figures.free.clone(),
        list: round(&figures.list, 8),
        amount: round(&amount, 8),
    };
    let all = left.clone();
    for (index, (split, part)) in weights.iter().enumerate() {
        let last = index + 1 == weights.len();
        let share = if last {
            left.clone()
        } else if weight.is_zero() {
            Figures::nothing()
        } else {
            let part = part / &weight;
            Figures {
                quantity: &figures.quantity * &part,
                free: &figures.free * &part,
                list: round(&(&all.list * &part), 8),
                amount: round(&(&all.amount * &part), 8),
            }
        };
        left.quantity -= &share.quantity;
        left.free -= &share.free;
        left.list -= &share.list;
        left.amount -= &share.amount;
        let key = Key {
            subscription: this.one.name.clone(),
            charge: this.charge.id.clone(),
            cycle: stretch.cycle.0,
            group: group.clone(),
            split: split.clone(),
        };
        add(charges, key, &share);
    }
}

/// Units by the day or the second.
fn held(this: &Use<'_>, end: Option<Timestamp>, charges: &mut Charges) {
    let units = units::units(this.one, end, this.settled);
    let split = BTreeMap::from([(Split::of(&this.one.attributes), whole(1))]);
    // The moment from which a unit was there on a day.
    let mut days = Vec::new();
    if let Measure::Days { last_day, .. } = this.charge.measure {
        for unit in &units {
            for (date, moment) in units::days(unit, this.zone(), last_day, this.settled) {
                days.push((moment, date));
            }
        }
    }
    let running: Vec<(Timestamp, Timestamp)> = match this.charge.measure {
        Measure::Seconds { while_stopped } => units
            .iter()
            .flat_map(|unit| units::seconds(unit, &this.one.stops, while_stopped, this.settled))
            .collect(),
        _ => Vec::new(),
    };
    for ((_, ends), stretches) in this.stretches(end) {
        let mut sum = Running::new();
        let (mut measured, mut peak) = (zero(), 0);
        let count = stretches.len();
        for (index, stretch) in stretches.iter().enumerate() {
            let (counted, basis) = match &this.charge.measure {
                Measure::Days { month, .. } => {
                    let inside = days.iter().filter(|(at, _)| (stretch.start..stretch.end).contains(at));
                    match month {
                        Month::Full => {
                            // Seats are alike: the most on any day cost the month.
                            let mut there: BTreeMap<jiff::civil::Date, usize> = BTreeMap::new();
                            inside.for_each(|(_, date)| *there.entry(*date).or_default() += 1);
                            let most = there.into_values().max().unwrap_or(0).max(peak);
                            let more = most - peak;
                            peak = most;
                            (more, 1)
                        }
                        Month::Thirty => (inside.count(), 30),
                        Month::Actual => {
                            let date = calendar::local(this.zone(), stretch.cycle.0).date();
                            (inside.count(), i64::from(date.days_in_month()))
                        }
                    }
                }
                _ => (0, 3600),
            };
            let mut counted = whole(i64::try_from(counted).expect("few"));
            for (from, until) in &running {
                let (from, until) = ((*from).max(stretch.start), (*until).min(stretch.end));
                if from < until {
                    counted += usage::seconds(from, until);
                }
            }
            let last = index + 1 == count && ends <= this.settled;
            measured += &counted / whole(basis);
            let list = this.pricing(stretch.start);
            let said = price_at(this.account, &this.one.plan, &this.charge.id, stretch.start, usize::MAX);
            let mut figures = sum.go(list, &agreed(list, said), measured.clone(), last);
            figures.quantity *= whole(basis);
            figures.free *= whole(basis);
            post(this, charges, stretch, &BTreeMap::new(), &figures, &split);
        }
    }
}

/// The subscription itself, once in each cycle.
fn fixed(this: &Use<'_>, end: Option<Timestamp>, charges: &mut Charges) {
    let units = units::units(this.one, end, this.settled);
    let split = BTreeMap::from([(Split::of(&this.one.attributes), whole(1))]);
    for ((_, ends), stretches) in this.stretches(end) {
        let mut sum = Running::new();
        let count = stretches.len();
        for (index, stretch) in stretches.iter().enumerate() {
            if index > 0 && stretches[index - 1].cycle == stretch.cycle {
                continue;
            }
            let at = stretch.start;
            let there =
                units.iter().filter(|unit| unit.from <= at && unit.until.is_none_or(|until| until > at));
            let quantity = whole(i64::try_from(there.count()).expect("few"));
            let list = this.pricing(stretch.start);
            let said = price_at(this.account, &this.one.plan, &this.charge.id, stretch.start, usize::MAX);
            let units = &sum.units + quantity;
            let last = index + 1 == count && ends <= this.settled;
            let figures = sum.go(list, &agreed(list, said), units, last);
            post(this, charges, stretch, &BTreeMap::new(), &figures, &split);
        }
    }
}
