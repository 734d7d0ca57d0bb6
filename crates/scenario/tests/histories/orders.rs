//! Orders and what follows them, some of which must be refused.

use super::dice::Dice;
use super::story::Writer;
use super::usage;
use farebox_oracle::calendar::{self, Cycle};
use farebox_oracle::catalogue::{Catalogue, Plan};
use farebox_oracle::history::{Payment, What};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What the writer of a history remembers of an order.
pub struct Order {
    pub account: String,
    pub name: String,
    pub plan: String,
    pub prepaid: bool,
    pub start: Timestamp,
    pub over: bool,
    stopped: bool,
    attributes: Vec<(String, String)>,
}

/// An order of a plan.
pub fn order(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, account: &str) -> Option<What> {
    let plans = writer.world.plans();
    // Often an add-on of what is there, for the same number or application.
    let there = || writer.orders.iter().filter(|one| one.account == account && !one.over);
    let add_ons: Vec<_> = plans
        .iter()
        .flat_map(|plan| there().map(move |one| (plan, one)))
        .filter(|((_, _, plan), one)| plan.requires.contains(&one.plan))
        .collect();
    let add_on = (!add_ons.is_empty() && !dice.once_in(3)).then(|| *dice.pick(&add_ons));
    let (_, plan_name, plan) = add_on.map_or_else(|| *dice.pick(&plans), |(plan, _)| *plan);
    let of_package: Vec<(String, String)> = add_on.map_or(Vec::new(), |(_, one)| one.attributes.clone());
    if writer.world.ticks(plan) {
        // What costs something every hour takes long to settle.
        writer.ticking += 1;
        if writer.ticking > 2 {
            return None;
        }
    }
    let sold = |mode: &str| plan.modes.iter().any(|one| one == mode);
    let payment = match dice.below(30) {
        0 => Payment::Prepaid(7),
        1 => *dice.pick(&[Payment::PayPerUse, Payment::Prepaid(1)]),
        // Trials, and what ends with another plan.
        _ if plan.terms.is_empty() && !sold("pay-per-use") => Payment::Unsaid,
        _ if sold("prepaid") && (!sold("pay-per-use") || dice.once_in(3)) => {
            let short: Vec<i64> = plan.terms.iter().copied().filter(|months| *months <= 3).collect();
            let terms = if short.is_empty() || dice.once_in(3) { &plan.terms } else { &short };
            Payment::Prepaid(*dice.pick(terms))
        }
        _ if dice.once_in(3) => Payment::Unsaid,
        _ => Payment::PayPerUse,
    };
    let mut attributes: Vec<(String, String)> = Vec::new();
    for needed in plan.binds.iter().chain(&plan.options) {
        if !dice.once_in(40) {
            let same = of_package.iter().find(|(name, _)| name == needed).map(|(_, value)| value.clone());
            let value = same.unwrap_or_else(|| (*dice.pick(usage::values(needed))).to_owned());
            attributes.push((needed.clone(), value));
        }
    }
    if dice.once_in(3) && !plan.binds.iter().chain(&plan.options).any(|name| name == "project") {
        attributes.push(("project".to_owned(), "red".to_owned()));
    }
    if dice.once_in(6) {
        attributes.push(("tag:team".to_owned(), "b".to_owned()));
    }
    if dice.once_in(60) {
        attributes.push(("colour".to_owned(), "green".to_owned()));
    }
    let again = writer.orders.iter().find(|one| one.account == account).map(|one| one.name.clone());
    let name = match again {
        Some(name) if dice.once_in(30) => name,
        _ => format!("s{}", writer.orders.len()),
    };
    let single = plan.trial.is_some() && !dice.once_in(8);
    let units = if single { 1 } else { u32::try_from(1 + dice.below(12)).unwrap() };
    let units = if dice.once_in(20) { units } else { units.max(plan.minimum_quantity) };
    if plan.trial.is_none() && sold("prepaid") != dice.once_in(40) && dice.once_in(8) {
        return Some(migrated(writer, dice, at, (account, name, plan_name), units, attributes));
    }
    let prepaid = matches!(payment, Payment::Prepaid(_)) || !sold("pay-per-use");
    let auto = (matches!(payment, Payment::Prepaid(_)) && dice.once_in(2) || dice.once_in(60))
        .then(|| *dice.pick(&[0, 0, 1, 2]));
    writer.orders.push(Order {
        account: account.to_owned(),
        name: name.clone(),
        plan: plan_name.to_owned(),
        prepaid,
        start: at,
        over: false,
        stopped: false,
        attributes: attributes.clone(),
    });
    Some(What::Subscribe { plan: plan_name.to_owned(), units, name, payment, auto, attributes })
}

/// A term that another system sold, some of it served there.
fn migrated(
    writer: &mut Writer<'_>,
    dice: &mut Dice,
    at: Timestamp,
    (account, name, plan): (&str, String, &str),
    units: u32,
    attributes: Vec<(String, String)>,
) -> What {
    let days = |days: u64| SignedDuration::from_hours(24 * i64::try_from(days).unwrap());
    let month_ago = at - days(dice.below(70));
    let from = if dice.once_in(20) { at + days(2) } else { dice.moment(&writer.zone, month_ago, at) };
    let until = if dice.once_in(20) { at } else { at + days(1 + dice.below(50)) };
    let until = calendar::cycle_start(&writer.zone, Cycle::Day, until);
    // What ends before it begins is a mistake of the book.
    let until = if until <= from { from + days(1) } else { until };
    writer.orders.push(Order {
        account: account.to_owned(),
        name: name.clone(),
        plan: plan.to_owned(),
        prepaid: true,
        start: from,
        over: false,
        stopped: false,
        attributes: attributes.clone(),
    });
    let paid = format!("{}.{:02}", dice.below(500), dice.below(100));
    What::Migrate { plan: plan.to_owned(), units, name, from, until, paid, attributes }
}

/// Something about an order.
pub fn change(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, account: &str) -> Option<What> {
    let past = dice.once_in(8);
    let mut fitting: Vec<&mut Order> =
        writer.orders.iter_mut().filter(|one| one.account == account && (past || !one.over)).collect();
    if fitting.is_empty() {
        return None;
    }
    let index = dice.place(fitting.len());
    let order = &mut *fitting[index];
    let plans = writer.world.plans();
    let (list, _, plan) = plans.iter().find(|(_, name, _)| *name == order.plan)?;
    if dice.once_in(if list.plan_change_at_once.is_some() { 2 } else { 40 }) {
        let other = |(of, name, other): &&(&Catalogue, &str, &Plan)| {
            of.id == list.id && other.product == plan.product && *name != order.plan
        };
        let others: Vec<_> = plans.iter().filter(other).collect();
        // Mostly one that can be had; now and then the present one, or one of another product.
        let wished = match dice.below(12) {
            0 => order.plan.clone(),
            1 => dice.pick(&plans).1.to_owned(),
            _ if others.is_empty() => return None,
            _ => dice.pick(&others).1.to_owned(),
        };
        if others.iter().any(|(_, name, _)| *name == wished) {
            order.plan.clone_from(&wished);
        }
        return Some(What::ChangePlan { name: order.name.clone(), plan: wished });
    }
    // Now and then what only the other mode knows.
    if order.prepaid != dice.once_in(15) {
        about_term(order, plan, dice)
    } else {
        about_units(order, &writer.zone, dice, at)
    }
}

fn about_term(order: &mut Order, plan: &Plan, dice: &mut Dice) -> Option<What> {
    let name = order.name.clone();
    Some(match dice.below(13) {
        10..=12 => {
            let limit = (!dice.once_in(3)).then(|| *dice.pick(&[0, 1, 3]));
            What::AutoRenew { name, limit }
        }
        0..=4 => {
            let months = if plan.terms.is_empty() || dice.once_in(20) { 5 } else { *dice.pick(&plan.terms) };
            What::Renew { name, months }
        }
        5..=7 => {
            order.over = true;
            What::Unsubscribe { name }
        }
        8 => What::ChangeMode { name, payment: Payment::PayPerUse },
        _ => {
            order.stopped = !order.stopped;
            What::Stop { name, stop: order.stopped }
        }
    })
}

fn about_units(order: &mut Order, zone: &TimeZone, dice: &mut Dice, at: Timestamp) -> Option<What> {
    let name = order.name.clone();
    Some(match dice.below(12) {
        0 => {
            order.over = true;
            What::Cancel { name }
        }
        1 => {
            order.stopped = !order.stopped;
            What::Stop { name, stop: order.stopped }
        }
        2 if dice.once_in(3) => What::ChangeMode { name, payment: Payment::Prepaid(1) },
        roll => {
            let sign = if roll % 2 == 0 { 1 } else { -1 };
            let units = sign * (1 + i64::try_from(dice.below(5)).unwrap());
            let before = order.start - SignedDuration::from_hours(if dice.once_in(20) { 30 } else { 0 });
            // Mostly backdated, now and then for later.
            let after = at + SignedDuration::from_hours(if dice.once_in(6) { 240 } else { 0 });
            let effective = (dice.once_in(3) && before < after).then(|| dice.moment(zone, before, after));
            What::Change { name, units, effective }
        }
    })
}
