//! From quantities to amounts.

use crate::calendar;
use crate::catalogue::{Deck, Model, Row, Tier};
use crate::number::{Number, whole, zero};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What is paid for reaching the tiers that so many units reach, each once, whoever paid for the units.
pub fn reached(model: &Model, units: &Number) -> Number {
    let mut sum = zero();
    if let Model::Graduated(tiers) = model {
        let mut below = Some(zero());
        for tier in tiers {
            if below.is_some_and(|below| units > &below) {
                sum += &tier.flat;
            }
            below = tier.up_to.clone();
        }
    }
    sum
}

/// What so many units of an accumulation cost, free units taken off already, but for what [`reached`] says.
pub fn cumulative(model: &Model, units: &Number) -> Number {
    if !units.is_positive() {
        return zero();
    }
    match model {
        Model::PerUnit(price) => units * price,
        Model::Graduated(tiers) => {
            let (mut sum, mut below) = (zero(), zero());
            for tier in tiers {
                if units > &below {
                    let inside = match &tier.up_to {
                        Some(up_to) if up_to < units => up_to - &below,
                        _ => units - &below,
                    };
                    sum += inside * &tier.price;
                }
                below = tier.up_to.clone().unwrap_or(below);
            }
            sum
        }
        Model::Volume(tiers) => {
            let reached = |tier: &&Tier| tier.up_to.as_ref().is_none_or(|up_to| units <= up_to);
            let tier = tiers.iter().find(reached).expect("the last tier has no end");
            units * &tier.price + &tier.flat
        }
        Model::Block(size, price) => (units / size).ceil() * price,
        Model::Flat(price) => price.clone(),
        Model::Deck(_) => unreachable!("calls are priced one by one"),
    }
}

/// The prefix and row of a number: the longest prefix wins (R-DECK-1).
pub fn row<'d>(deck: &'d Deck, number: &str) -> Option<(&'d str, &'d Row)> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let fitting = deck.rows.iter().filter(|(prefix, _)| digits.starts_with(prefix.as_str()));
    fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(prefix, row)| (prefix.as_str(), row))
}

/// The band at a moment (R-DECK-2).
fn band(deck: &Deck, zone: &TimeZone, at: Timestamp) -> usize {
    let local = calendar::local(zone, at);
    let day = local.weekday().to_monday_one_offset();
    let second = i32::from(local.hour()) * 3600 + i32::from(local.minute()) * 60 + i32::from(local.second());
    let holds = |(on, from, until): &(i8, i32, i32)| *on == day && (*from..*until).contains(&second);
    deck.bands.iter().skip(1).position(|(_, hours)| hours.iter().any(holds)).map_or(0, |index| index + 1)
}

/// The seconds that a call is charged for and what it costs.
pub fn call(deck: &Deck, row: &Row, zone: &TimeZone, start: Timestamp, seconds: &Number) -> (Number, Number) {
    if !seconds.is_positive() {
        return (zero(), zero());
    }
    let (mut charged, mut cost) = (0, row.connect.clone());
    while whole(charged) < *seconds || charged == 0 {
        let begins = start.checked_add(Span::new().seconds(charged)).expect("in range");
        let in_band = band(deck, zone, begins);
        let (step, prices) =
            if charged == 0 { (row.first_step, &row.first) } else { (row.next_step, &row.next) };
        cost += &prices[in_band] * whole(step) / whole(60);
        charged += step;
    }
    (if charged == 0 { zero() } else { whole(charged) }, cost)
}
