//! Orders and what follows them, some of which must be refused.

use super::dice::Dice;
use super::story::Writer;
use super::usage;
use farebox_oracle::catalogue::Plan;
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
}

/// An order of a plan.
pub fn order(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, account: &str) -> Option<What> {
    let plans = writer.world.plans();
    let (_, plan_name, plan) = *dice.pick(&plans);
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
            attributes.push((needed.clone(), (*dice.pick(usage::values(needed))).to_owned()));
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
    let units = u32::try_from(1 + dice.below(12)).unwrap();
    let units = if dice.once_in(20) { units } else { units.max(plan.minimum_quantity) };
    writer.orders.push(Order {
        account: account.to_owned(),
        name: name.clone(),
        plan: plan_name.to_owned(),
        prepaid: matches!(payment, Payment::Prepaid(_)),
        start: at,
        over: false,
        stopped: false,
    });
    Some(What::Subscribe { plan: plan_name.to_owned(), units, name, payment, attributes })
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
    let (_, _, plan) = plans.iter().find(|(_, name, _)| *name == order.plan)?;
    // Now and then what only the other mode knows.
    if order.prepaid != dice.once_in(15) {
        about_term(order, plan, dice)
    } else {
        about_units(order, &writer.zone, dice, at)
    }
}

fn about_term(order: &mut Order, plan: &Plan, dice: &mut Dice) -> Option<What> {
    let name = order.name.clone();
    Some(match dice.below(10) {
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
