//! From quantities to amounts: `rate(quantities, price list)`.
//!
//! One accumulation (a month of a number's minutes, an hour of calls, …) is rated as a sequence of
//! [`Step`]s in the order of time. Each step gets the increment that it adds to the cumulative
//! charge, so that hourly settlement of monthly tiers, free units, a price that changes within the
//! month and late usage are all the same arithmetic: the difference of two cumulative charges.

use crate::catalog::{Model, Pricing, Tier};
use crate::money::{Exact, OutOfRange};

/// A stretch of an accumulation with one price.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Units that the stretch adds (below zero where the latest value fell).
    pub quantity: Exact,
    /// Units before them that count for tiers and free units and are paid otherwise: drawn from
    /// packages, where tiers count all.
    pub covered: Exact,
    /// The price of this stretch.
    pub pricing: &'a Pricing,
}

/// What one step costs, and which of its units cost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Increment {
    /// What the step adds to the cumulative charge.
    pub amount: Exact,
    /// Units before it that count, after the free ones: where in the tiers it begins.
    pub before: Exact,
    /// The part of those before it that its own covered units made.
    pub covered: Exact,
    /// Units left after the free ones.
    pub charged: Exact,
    /// Units that were free.
    pub free: Exact,
    /// Part of `amount` that the minimum added (above zero) or the maximum took off (below zero).
    pub adjusted: Exact,
}

/// Rates an accumulation. `closed`: it has ended, so that its minimum applies (to the last step).
///
/// Free units are the first of the accumulation. Tiers count the units left after them. The minimum
/// and maximum bound the cumulative charge; where the price changes, those of the latest step hold.
///
/// # Errors
/// [`OutOfRange`] when a number does not fit. A rate deck has no units to rate here and costs zero:
/// see [`crate::metering::DeckCount`].
pub fn rate(steps: &[Step<'_>], closed: bool) -> Result<Vec<Increment>, OutOfRange> {
    rate_runs(&[steps], closed)
}

/// The same where what is counted changes within the accumulation: the steps of each run count one kind of units, and
/// free units, tiers, blocks and what is paid once begin anew with it. The bounds hold for the sum of all.
///
/// # Errors
/// As [`rate`].
pub fn rate_runs(runs: &[&[Step<'_>]], closed: bool) -> Result<Vec<Increment>, OutOfRange> {
    let count: usize = runs.iter().map(|steps| steps.len()).sum();
    let mut increments = Vec::with_capacity(count);
    let mut cumulative = Cumulative::default();
    let mut charged_so_far = Exact::ZERO;
    let numbered = runs.iter().flat_map(|steps| steps.iter().enumerate());
    for (index, (in_run, step)) in numbered.enumerate() {
        let last = index + 1 == count;
        if in_run == 0 {
            cumulative = cumulative.anew();
        }
        let (amount_before, reached_before) = (cumulative.amount, cumulative.reached);
        let charged = cumulative.take(step)?;
        let before = cumulative.reached.sub(charged)?;
        let raw = cumulative.amount.sub(amount_before)?;
        let mut bounded = cumulative.amount;
        if let Some(maximum) = step.pricing.maximum {
            bounded = bounded.min(maximum);
        }
        if let (Some(minimum), true, true) = (step.pricing.minimum, closed, last) {
            bounded = bounded.max(minimum);
        }
        let amount = bounded.sub(charged_so_far)?;
        charged_so_far = bounded;
        increments.push(Increment {
            amount,
            before,
            covered: before.sub(reached_before)?,
            charged,
            free: step.quantity.sub(charged)?,
            adjusted: amount.sub(raw)?,
        });
    }
    Ok(increments)
}

/// The cumulative charge of an accumulation, before its bounds.
#[derive(Debug)]
struct Cumulative<'a> {
    /// Units so far, the free ones among them.
    units: Exact,
    /// Units so far after the free ones: where in the tiers it is.
    reached: Exact,
    /// Units so far that are priced by the tier reached, by the price list that held for them.
    volume: Vec<(&'a Pricing, Exact)>,
    /// What all but volume-priced units cost so far.
    settled: Exact,
    /// What everything costs so far.
    amount: Exact,
    /// Whether the flat price is paid.
    flat_paid: bool,
}

impl Default for Cumulative<'_> {
    fn default() -> Self {
        let zero = Exact::ZERO;
        Cumulative {
            units: zero,
            reached: zero,
            volume: Vec::new(),
            settled: zero,
            amount: zero,
            flat_paid: false,
        }
    }
}

impl<'a> Cumulative<'a> {
    /// What everything costs so far, and no units.
    fn anew(self) -> Cumulative<'a> {
        Cumulative { settled: self.amount, amount: self.amount, ..Cumulative::default() }
    }

    /// Adds a step; answers its units left after the free ones.
    fn take(&mut self, step: &Step<'a>) -> Result<Exact, OutOfRange> {
        let pricing = step.pricing;
        let over = |units: Exact| -> Result<Exact, OutOfRange> {
            if units <= pricing.free { Ok(Exact::ZERO) } else { units.sub(pricing.free) }
        };
        let last = over(self.units)?;
        self.reached = self.reached.sub(last)?;
        self.units = self.units.add(step.covered)?;
        let before = over(self.units)?;
        self.units = self.units.add(step.quantity)?;
        let after = over(self.units)?;
        let charged = after.sub(before)?;
        self.reached = self.reached.add(after)?;
        match &pricing.model {
            Model::PerUnit(price) => self.settled = self.settled.add(charged.mul(*price)?)?,
            Model::Graduated(tiers) => {
                let step = graduated(tiers, after)?.sub(graduated(tiers, before)?)?;
                // A tier is reached by what packages paid for, too.
                let flat = reached_flats(tiers, after)?.sub(reached_flats(tiers, last)?)?;
                self.settled = self.settled.add(step)?.add(flat)?;
            }
            Model::Volume(_) => {
                match self.volume.iter_mut().find(|(known, _)| std::ptr::eq(*known, pricing)) {
                    Some((_, units)) => *units = units.add(charged)?,
                    None => self.volume.push((pricing, charged)),
                }
            }
            Model::Block { size, price } => {
                let blocks = |units: Exact| -> Result<Exact, OutOfRange> { Ok(units.div(*size)?.ceil()) };
                let started = blocks(after)?.sub(blocks(before)?)?;
                self.settled = self.settled.add(started.mul(*price)?)?;
            }
            Model::Flat(price) => {
                if !self.flat_paid && after > Exact::ZERO {
                    self.flat_paid = true;
                    self.settled = self.settled.add(*price)?;
                }
            }
            Model::Deck(_) => {}
        }
        self.amount = self.settled;
        for (index, (pricing, units)) in self.volume.iter().enumerate() {
            if let Model::Volume(tiers) = &pricing.model {
                // The flat price is paid once, where the price changes that of the latest list.
                let flat = index + 1 == self.volume.len();
                self.amount = self.amount.add(volume(tiers, after, *units, flat)?)?;
            }
        }
        Ok(charged)
    }
}

/// Each unit at the price of the tier it falls in (R-TIR-1).
fn graduated(tiers: &[Tier], units: Exact) -> Result<Exact, OutOfRange> {
    let mut total = Exact::ZERO;
    let mut from = Exact::ZERO;
    for tier in reached(tiers, units) {
        let until = tier.up_to.map_or(units, |up_to| up_to.min(units));
        total = total.add(until.sub(from)?.mul(tier.price)?)?;
        from = until;
    }
    Ok(total)
}

/// The tiers that a number of units reaches, those before the last among them.
fn reached(tiers: &[Tier], units: Exact) -> impl Iterator<Item = &Tier> {
    let begins = [Some(Exact::ZERO)].into_iter().chain(tiers.iter().map(|tier| tier.up_to));
    let begun = begins.zip(tiers).take_while(move |(from, _)| from.is_some_and(|from| from < units));
    begun.map(|(_, tier)| tier)
}

/// What is paid for reaching tiers, each once.
fn reached_flats(tiers: &[Tier], units: Exact) -> Result<Exact, OutOfRange> {
    reached(tiers, units).try_fold(Exact::ZERO, |sum, tier| sum.add(tier.flat))
}

/// `units` at the price of the tier that `reached` units reach, and its flat price (R-TIR-2).
fn volume(tiers: &[Tier], reached: Exact, units: Exact, flat: bool) -> Result<Exact, OutOfRange> {
    if reached <= Exact::ZERO {
        return Ok(Exact::ZERO);
    }
    match tier_of(tiers, reached) {
        Some(tier) if flat => units.mul(tier.price)?.add(tier.flat),
        Some(tier) => units.mul(tier.price),
        None => Ok(Exact::ZERO),
    }
}

/// The tier that a number of units reaches.
pub fn tier_of(tiers: &[Tier], units: Exact) -> Option<&Tier> {
    tiers.iter().find(|tier| tier.up_to.is_none_or(|up_to| units <= up_to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text, 10).unwrap()
    }

    fn tiers(list: &[(&str, &str)]) -> Vec<Tier> {
        let up_to = |text: &str| (!text.is_empty()).then(|| exact(text));
        list.iter()
            .map(|(end, price)| Tier { up_to: up_to(end), price: exact(price), flat: Exact::ZERO })
            .collect()
    }

    fn priced(model: Model) -> Pricing {
        Pricing { model, free: Exact::ZERO, minimum: None, maximum: None }
    }

    /// Rates quantities one after the other under one price: the increments, and their sum.
    fn check(pricing: &Pricing, quantities: &[&str], expected: &str) {
        let steps: Vec<Step> = quantities
            .iter()
            .map(|quantity| Step { quantity: exact(quantity), covered: Exact::ZERO, pricing })
            .collect();
        let increments = rate(&steps, true).unwrap();
        let shown: Vec<String> = increments.iter().map(|step| step.amount.to_string()).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn each_model_adds_up() {
        check(&priced(Model::PerUnit(exact("0.02"))), &["95", "5"], "1.9 0.1");
        let graduated = priced(Model::Graduated(tiers(&[("1000", "0.03"), ("", "0.02")])));
        check(&graduated, &["900", "200", "100"], "27 5 2");
        let volume = priced(Model::Volume(tiers(&[("10000", "0.021"), ("", "0.014")])));
        check(&volume, &["9000"], "189");
        check(&volume, &["90000"], "1260");
        check(&volume, &["9000", "81000"], "189 1071");
        let block = priced(Model::Block { size: exact("1000"), price: exact("5") });
        check(&block, &["1", "999", "1"], "5 0 5");
        check(&priced(Model::Flat(exact("9"))), &["0", "3", "4"], "0 9 0");
    }

    #[test]
    fn free_units_come_first_and_a_call_may_cross_them() {
        let free = Pricing { free: exact("500"), ..priced(Model::PerUnit(exact("0.1"))) };
        check(&free, &["480"], "0");
        check(&free, &["523"], "2.3");
        check(&free, &["498", "5"], "0 0.3");
    }

    #[test]
    fn minimum_and_maximum_bound_the_whole() {
        let bounded = Pricing {
            minimum: Some(exact("10")),
            maximum: Some(exact("20")),
            ..priced(Model::PerUnit(exact("1")))
        };
        check(&bounded, &["3"], "10");
        check(&bounded, &["3", "4"], "3 7");
        check(&bounded, &["15", "15", "5"], "15 5 0");
    }

    #[test]
    fn a_price_change_within_a_volume_does_not_charge_the_flat_price_twice() {
        let list = |price: &str| {
            priced(Model::Volume(vec![Tier { up_to: None, price: exact(price), flat: exact("5") }]))
        };
        let (old, new) = (list("0.02"), list("0.03"));
        let steps =
            [&old, &new].map(|pricing| Step { quantity: exact("100"), covered: Exact::ZERO, pricing });
        let amounts: Vec<String> =
            rate(&steps, true).unwrap().iter().map(|step| step.amount.to_string()).collect();
        assert_eq!(amounts, ["7", "3"]);
    }

    #[test]
    fn units_of_another_kind_begin_anew_and_bounds_go_on() {
        let days = priced(Model::PerUnit(exact("31")));
        let free = Pricing { free: exact("10"), ..priced(Model::PerUnit(exact("0.1"))) };
        let least = Pricing { minimum: Some(exact("20")), ..free.clone() };
        let volume = priced(Model::Volume(tiers(&[("10", "2"), ("", "1")])));
        let step =
            |quantity: &str, pricing| Step { quantity: exact(quantity), covered: Exact::ZERO, pricing };
        let amounts = |runs: &[&[Step]]| -> Vec<String> {
            rate_runs(runs, true).unwrap().iter().map(|step| step.amount.to_string()).collect()
        };
        assert_eq!(amounts(&[&[step("0.5", &days)], &[step("30", &free)]]), ["15.5", "2"]);
        assert_eq!(amounts(&[&[step("0.5", &days)], &[step("30", &least)]]), ["15.5", "4.5"]);
        // What units of one kind cost does not change with those of the next.
        assert_eq!(amounts(&[&[step("9", &volume)], &[step("30", &volume)]]), ["18", "30"]);
    }

    proptest! {
        #[test]
        fn the_increments_sum_to_the_charge_of_the_whole(quantities in prop::collection::vec(0i64..5000, 1..8)) {
            for model in [
                Model::Graduated(tiers(&[("100", "0.3"), ("2000", "0.2"), ("", "0.1")])),
                Model::Volume(tiers(&[("100", "0.3"), ("2000", "0.2"), ("", "0.1")])),
                Model::Block { size: exact("7"), price: exact("1") },
            ] {
                let pricing = Pricing { free: exact("50"), maximum: Some(exact("900")), ..priced(model) };
                let whole = |n: i64| Step { quantity: Exact::whole(n.into()), covered: Exact::ZERO, pricing: &pricing };
                let steps: Vec<Step> = quantities.iter().copied().map(whole).collect();
                let sum = rate(&steps, true).unwrap().iter().fold(Exact::ZERO, |sum, i| sum.add(i.amount).unwrap());
                let once = rate(&[whole(quantities.iter().sum())], true).unwrap()[0].amount;
                prop_assert_eq!(sum, once);
            }
        }
    }
}
