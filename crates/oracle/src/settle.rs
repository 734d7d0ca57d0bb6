//! What an accumulation of a charge should have cost by its last settlement.
//!
//! It is worked out from the beginning whenever something about it has changed; what was charged for
//! it before is not looked at here.

use crate::account::{Account, AgreedPrice, Charges, Figures, Key, Subscription, best_discount, price_at};
use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Charge, Measure, Model, Month, Pricing};
use crate::draws::{Measured, Taker, TakerKey};
use crate::history::Split;
use crate::number::{Number, round, whole, zero};
use crate::packages::{self, Packages};
use crate::usage::Usage;
use crate::{metered, plans, price, units};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A part of a settlement cycle in which one price holds.
pub(crate) struct Stretch {
    pub(crate) cycle: (Timestamp, Timestamp),
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// The version of a price list that holds at a moment.
pub(crate) fn version<'c>(lists: &'c [Catalogue], id: &str, at: Timestamp) -> &'c Catalogue {
    let holds = |list: &&Catalogue| list.id == id && list.effective.is_none_or(|from| from <= at);
    lists.iter().filter(holds).max_by_key(|list| list.effective).expect("a price list in force")
}

/// The version by which a subscription has what it has at a moment: a term stays as it was sold, a trial as
/// it was ordered (R-CHG-2).
pub(crate) fn sold<'c>(lists: &'c [Catalogue], one: &Subscription, at: Timestamp) -> &'c Catalogue {
    let around = one.terms.iter().find(|term| term.from <= at && at < term.until);
    let ordered = around.or(one.terms.last()).map(|term| term.ordered);
    let ordered = ordered.or_else(|| one.trial.then_some(one.start));
    let ordered = ordered.unwrap_or(at);
    // What another system sold before there was a price list goes by the first one.
    let first = lists.iter().filter(|list| list.id == one.catalogue).min_by_key(|list| list.effective);
    let first = first.and_then(|list| list.effective).unwrap_or(ordered);
    version(lists, &one.catalogue, ordered.max(first))
}

/// The pricing with the price of an account in place of the list's (R-NEG-1).
pub(crate) fn agreed(pricing: &Pricing, price: Option<&AgreedPrice>) -> Pricing {
    let mut pricing = pricing.clone();
    if let (Some(price), Model::PerUnit(unit)) = (price, &mut pricing.model) {
        *unit = price.price.clone();
    }
    pricing
}

/// The better of a negotiated price and a percentage off the list price; they never add up
/// (R-MON-2).
pub(crate) fn best(list: &Number, agreed: &Number, said: Option<&AgreedPrice>, off: &Number) -> Number {
    let reduced = list * (whole(1) - off);
    match said {
        None => reduced,
        Some(_) if off.is_zero() => agreed.clone(),
        Some(_) if list.is_negative() => reduced.max(agreed.clone()),
        Some(_) => reduced.min(agreed.clone()),
    }
}

/// One accumulation of a charge of a subscription, by its last settlement.
pub(crate) struct Period<'a> {
    pub(crate) lists: &'a [Catalogue],
    pub(crate) account: &'a Account,
    pub(crate) master: Option<&'a Account>,
    pub(crate) one: &'a Subscription,
    pub(crate) list: &'a Catalogue,
    pub(crate) charge: &'a Charge,
    pub(crate) settle: Cycle,
    pub(crate) settled: Timestamp,
    pub(crate) began: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) packages: &'a Packages,
}

impl Period<'_> {
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.list.zone
    }

    /// What should have been charged for it.
    pub(crate) fn charges(&self, usage: &Usage) -> Charges {
        let mut charges = Charges::new();
        match &self.charge.measure {
            Measure::Meter(name) => {
                let counted = usage.counted(&self.account.name, &self.list.id, name);
                metered::metered(self, name, counted, &mut charges);
            }
            Measure::Days { .. } | Measure::Seconds { .. } => self.held(&mut charges),
            Measure::Fixed => self.fixed(&mut charges),
            Measure::Term => {}
        }
        charges
    }

    /// The meter by which its usage may draw from packages.
    pub(crate) fn drawn_meter(&self) -> Option<&str> {
        let Measure::Meter(meter) = &self.charge.measure else { return None };
        let draws = self.charge.draws && !matches!(self.charge.pricing.model, Model::Deck(_));
        (draws && packages::granted(self.lists, &self.list.id, meter)).then_some(meter)
    }

    /// Who draws for a stretch of it.
    pub(crate) fn taker_key(
        &self,
        stretch: &Stretch,
        group: &BTreeMap<String, String>,
        split: &Split,
    ) -> TakerKey {
        TakerKey {
            start: stretch.start,
            account: self.account.name.clone(),
            subscription: self.one.name.clone(),
            charge: self.charge.id.clone(),
            began: self.began,
            group: group.clone(),
            split: split.clone(),
        }
    }

    /// Usage of a stretch of it, by a meter, of which nothing is drawn or charged yet.
    pub(crate) fn taker(&self, stretch: &Stretch, meter: &str) -> Taker {
        let binds = self.list.plans[&self.one.plan].binds.iter().filter(|_| !self.charge.of_account);
        let own = |name: &String| Some((name.clone(), self.one.attributes.get(name)?.clone()));
        Taker {
            end: stretch.end,
            meter: (self.list.id.clone(), meter.to_owned()),
            bound: binds.filter_map(own).collect(),
            drawn: BTreeMap::new(),
            charged: zero(),
            displaced: BTreeSet::new(),
        }
    }

    /// Usage of it that may draw from packages.
    pub(crate) fn measured(&self, usage: &Usage, measured: &mut Measured) {
        if let Some(name) = self.drawn_meter() {
            let counted = usage.counted(&self.account.name, &self.list.id, name);
            metered::measured(self, name, counted, measured);
        }
    }

    /// The moments at which its price may change, or the packages that it draws from.
    fn cuts(&self) -> Vec<Timestamp> {
        let versions = self.lists.iter().filter(|list| list.id == self.one.catalogue);
        let mut cuts: Vec<Timestamp> = versions.filter_map(|list| list.effective).collect();
        for price in &self.account.prices {
            if price.charge != self.charge.id {
                continue;
            }
            // A price for a plan that is not had at the time changes nothing.
            let last =
                |until: &Timestamp| until.checked_sub(SignedDuration::from_nanos(1)).expect("in range");
            if self.one.plan_at(price.from) == price.plan {
                cuts.push(price.from);
            }
            cuts.extend(price.until.filter(|until| self.one.plan_at(last(until)) == price.plan));
        }
        if matches!(self.charge.measure, Measure::Meter(_)) {
            // Usage is charged up to a freeze, and from its end on.
            for (from, until) in &self.one.frozen {
                cuts.push(*from);
                cuts.extend(*until);
            }
        }
        if let Some(meter) = self.drawn_meter() {
            cuts.extend(self.packages.cuts(&self.account.name, &self.list.id, meter));
        }
        cuts.extend(self.one.later_plans.iter().map(|(from, _)| *from));
        cuts.sort();
        cuts.dedup();
        cuts
    }

    /// What ends with a cycle has nothing in the next one, unless units came in that very moment.
    fn over(&self, from: Timestamp) -> bool {
        let came =
            from == self.one.begins() || self.one.changes.iter().any(|(at, more)| *at == from && *more > 0);
        self.one.end.is_some_and(|end| from > end || from == end && !came)
    }

    /// Whether nothing more can come: a least to pay is due then. An accumulation ends with its
    /// subscription.
    pub(crate) fn has_ended(&self) -> bool {
        self.ends <= self.settled || self.one.end.is_some_and(|end| end <= self.settled)
    }

    /// The settlement cycles in which the subscription runs.
    pub(crate) fn all_cycles(&self) -> BTreeSet<Timestamp> {
        let mut all = BTreeSet::new();
        let mut from = self.began.max(calendar::cycle_start(self.zone(), self.settle, self.one.begins()));
        while from < self.ends && from < self.settled && !self.over(from) {
            all.insert(from);
            from = calendar::cycle_end(self.zone(), self.settle, from);
        }
        all
    }

    /// The last cycle of the accumulation in which the subscription runs, and is not frozen.
    pub(crate) fn last_cycle(&self) -> Timestamp {
        let mut end = self.one.end.map_or(self.ends, |end| end.min(self.ends));
        for (from, until) in self.one.frozen.iter().rev() {
            if *from < end && until.is_none_or(|until| until >= end) {
                end = *from;
            }
        }
        let end = end.max(self.began);
        let inside = end.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
        calendar::cycle_start(self.zone(), self.settle, inside.max(self.one.begins()).max(self.began))
    }

    /// The stretches of settled cycles that begin then.
    pub(crate) fn stretches(&self, cycles: BTreeSet<Timestamp>) -> Vec<Stretch> {
        let cuts = self.cuts();
        let mut stretches = Vec::new();
        for from in cycles {
            let until = calendar::cycle_end(self.zone(), self.settle, from);
            if from >= self.settled || until <= self.one.begins() || self.over(from) {
                continue;
            }
            let mut start = from.max(self.one.begins());
            let inside: Vec<Timestamp> =
                cuts.iter().copied().filter(|cut| start < *cut && *cut < until).collect();
            for cut in inside.into_iter().chain([until]) {
                let metered = matches!(self.charge.measure, Measure::Meter(_));
                let offered = plans::charge_at(self, start).is_some();
                if offered && !(self.over(start) || metered && self.one.is_frozen(start)) {
                    stretches.push(Stretch { cycle: (from, until), start, end: cut });
                }
                start = cut;
            }
        }
        stretches
    }

    /// Goes on to so many units within an accumulation, at the prices of a stretch.
    pub(crate) fn go(&self, sum: &mut Running, stretch: &Stretch, units: Number, ended: bool) -> Figures {
        let list = &plans::charge_at(self, stretch.start).expect("a charge of the plan").pricing;
        match price_at(self.account, self.one.plan_at(stretch.start), &self.charge.id, stretch.start) {
            None => sum.go(list, list, units, ended),
            said => sum.go(list, &agreed(list, said), units, ended),
        }
    }

    /// Whether units cost the same in two stretches, before discounts.
    pub(crate) fn is_priced_alike(&self, one: &Stretch, other: &Stretch) -> bool {
        let prices = |stretch: &Stretch| {
            let list = plans::charge_at(self, stretch.start).expect("a charge of the plan").pricing.clone();
            let said =
                price_at(self.account, self.one.plan_at(stretch.start), &self.charge.id, stretch.start);
            (said.is_some(), agreed(&list, said), list)
        };
        prices(one) == prices(other)
    }

    /// Percentage off at the settlement of a cycle (DECISIONS 8): what is in force then. A
    /// line of that very moment comes after the settlement.
    pub(crate) fn discount(&self, stretch: &Stretch) -> Number {
        let (plan, settled) = (self.one.plan_at(stretch.start), stretch.cycle.1);
        best_discount(self.account, self.master, plan, self.charge, &|from, until| {
            from < settled && until.is_none_or(|until| settled < until)
        })
    }

    /// Puts the figures of a stretch under its keys, shared out by weight: each share is rounded to
    /// eight decimals, and the last takes what is left (DECISIONS 9).
    pub(crate) fn post(
        &self,
        charges: &mut Charges,
        stretch: &Stretch,
        group: &BTreeMap<String, String>,
        figures: &Figures,
        weights: &BTreeMap<Split, Number>,
    ) {
        let off = self.discount(stretch);
        let said = price_at(self.account, self.one.plan_at(stretch.start), &self.charge.id, stretch.start);
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
            let share = if index + 1 == weights.len() {
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
                subscription: self.one.name.clone(),
                charge: self.charge.id.clone(),
                cycle: stretch.cycle.0,
                from: stretch.start,
                group: group.clone(),
                split: split.clone(),
            };
            let sum = charges.entry(key).or_insert_with(Figures::nothing);
            sum.quantity += &share.quantity;
            sum.free += &share.free;
            sum.list += &share.list;
            sum.amount += &share.amount;
        }
    }

    fn own(&self) -> BTreeMap<Split, Number> {
        BTreeMap::from([(Split::of(&self.one.attributes), whole(1))])
    }

    /// Units by the day or the second.
    fn held(&self, charges: &mut Charges) {
        let units = units::units(self.one);
        let own = self.own();
        // Each day of a unit, by the moment from which it was there on that day.
        let mut days = Vec::new();
        if let Measure::Days { last_day, .. } = self.charge.measure {
            let up_to = self.ends.min(self.settled);
            for unit in &units {
                let all = units::days(unit, self.zone(), last_day, self.began, up_to);
                let frozen = |date| units::is_frozen_day(self.one, unit, self.zone(), last_day, date);
                days.extend(all.into_iter().filter(|(_, date)| !frozen(*date)));
            }
        }
        let mut running: Vec<(Timestamp, Timestamp)> = Vec::new();
        if let Measure::Seconds { while_stopped } = self.charge.measure {
            for unit in units.iter().filter(|unit| unit.until.is_none_or(|until| until > self.began)) {
                let all = units::seconds(unit, &self.one.stops, while_stopped, self.settled);
                running.extend(units::unfrozen(self.one, all));
            }
        }
        let stretches = self.stretches(self.all_cycles());
        let mut sum = Running::new();
        let (mut measured, mut peak) = (zero(), 0);
        for (index, stretch) in stretches.iter().enumerate() {
            let (counted, basis) = match &self.charge.measure {
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
                            let date = calendar::local(self.zone(), stretch.cycle.0).date();
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
                    counted += calendar::seconds(from, until);
                }
            }
            let ended = index + 1 == stretches.len() && self.has_ended();
            measured += counted / whole(basis);
            let mut figures = self.go(&mut sum, stretch, measured.clone(), ended);
            figures.quantity *= whole(basis);
            figures.free *= whole(basis);
            self.post(charges, stretch, &BTreeMap::new(), &figures, &own);
        }
    }

    /// The subscription itself, once in each cycle.
    fn fixed(&self, charges: &mut Charges) {
        let units = units::units(self.one);
        let own = self.own();
        let stretches = self.stretches(self.all_cycles());
        let mut sum = Running::new();
        for (index, stretch) in stretches.iter().enumerate() {
            if index > 0 && stretches[index - 1].cycle == stretch.cycle {
                continue;
            }
            // A fee is owed if any moment of the cycle is not frozen, for the units of the first one and at its price.
            let end = self.one.end.map_or(stretch.cycle.1, |end| end.min(stretch.cycle.1));
            let mut at = Some(stretch.start);
            for (from, until) in &self.one.frozen {
                if let Some(moment) = at
                    && *from <= moment
                    && until.is_none_or(|until| moment < until)
                {
                    at = until.filter(|until| *until < end);
                }
            }
            let there = |at: Timestamp| {
                units
                    .iter()
                    .filter(|unit| unit.from <= at && unit.until.is_none_or(|until| until > at))
                    .count()
            };
            let quantity = whole(i64::try_from(at.map_or(0, there)).expect("few"));
            let units = &sum.units + quantity;
            let ended = index + 1 == stretches.len() && self.has_ended();
            let priced = Stretch { start: at.unwrap_or(stretch.start), ..*stretch };
            let figures = self.go(&mut sum, &priced, units, ended);
            self.post(charges, &priced, &BTreeMap::new(), &figures, &own);
        }
    }
}

/// Units so far in an accumulation, and what they cost so far.
pub(crate) struct Running {
    pub(crate) units: Number,
    /// Units at the last step, without what packages paid for since.
    last: Number,
    list: Number,
    amount: Number,
}

impl Running {
    pub(crate) fn new() -> Running {
        Running { units: zero(), last: zero(), list: zero(), amount: zero() }
    }

    /// Units that packages paid for, where tiers and free units count them.
    pub(crate) fn cover(&mut self, units: &Number) {
        self.units += units;
    }

    /// Goes on to so many units: free units, charged units, and their cost at both prices.
    fn go(&mut self, list: &Pricing, agreed: &Pricing, units: Number, ended: bool) -> Figures {
        let charged = |units: &Number| (units - &list.free).max(zero());
        let step = |pricing: &Pricing, so_far: &Number| -> Number {
            let change = price::cumulative(&pricing.model, &charged(&units))
                - price::cumulative(&pricing.model, &charged(&self.units))
                + price::reached(&pricing.model, &charged(&units))
                - price::reached(&pricing.model, &charged(&self.last));
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
        *self = Running { last: units.clone(), units, list: list_total, amount: amount_total };
        figures
    }
}
