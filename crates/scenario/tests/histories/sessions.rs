//! Sessions that ask before they begin, go on, end, expire, and are told again by their record.

use super::dice::Dice;
use super::story::Writer;
use super::usage::Made;
use super::world::World;
use farebox_oracle::calendar::{self, Cycle};
use farebox_oracle::catalogue::{Catalogue, Charge, Measure, Model, Pricing};
use farebox_oracle::history::{Line, What};
use jiff::{SignedDuration, Timestamp};

/// What the writer of a history remembers of a session.
pub struct Session {
    account: String,
    id: String,
    kind: String,
    attributes: Vec<(String, String)>,
    units: i64,
    since: Timestamp,
    until: Timestamp,
    over: bool,
}

/// Something about a session: of an account, or one that is there.
pub fn event(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, account: &str) -> Option<Line> {
    let all = 0..writer.sessions.len();
    // Those that have not ended by what is known here.
    let open: Vec<usize> = all
        .clone()
        .filter(|index| !writer.sessions[*index].over && at < writer.sessions[*index].until)
        .collect();
    let about = |account: &str, what: What| Some(Line { at, account: account.to_owned(), what });
    let of = |writer: &Writer<'_>, index: usize| writer.sessions[index].account.clone();
    // A session of another account is none of this one.
    let whose = |writer: &Writer<'_>, dice: &mut Dice, index: usize| match dice.below(40) {
        0 => account.to_owned(),
        _ => of(writer, index),
    };
    match dice.below(20) {
        roll @ 0..=12 if !open.is_empty() => {
            let index = *dice.pick(&open);
            match roll {
                0..=2 => begin(writer, dice, at, &of(writer, index)),
                3..=7 => about(&whose(writer, dice, index), extend(writer, dice, at, index)),
                _ => about(&whose(writer, dice, index), release(writer, dice, index)),
            }
        }
        13..=18 if !all.is_empty() => {
            let index = dice.place(all.len());
            match dice.below(6) {
                0 => about(&of(writer, index), release(writer, dice, index)),
                1 => about(&of(writer, index), again(writer, dice, at, index)),
                // One of another account's is in quarantine, and no word about this one.
                _ => about(&of(writer, index), record(writer, dice, at, index)?),
            }
        }
        _ => begin(writer, dice, at, account),
    }
}

/// The beginning of a session said again, now and then otherwise.
fn again(writer: &Writer<'_>, dice: &mut Dice, at: Timestamp, index: usize) -> What {
    let Session { id, kind, attributes, units, until, .. } = &writer.sessions[index];
    let units = (*units).max(1) + i64::from(dice.once_in(4));
    let until = (*until).max(at + SignedDuration::from_secs(1));
    What::Hold { id: id.clone(), kind: kind.clone(), units, until, attributes: attributes.clone() }
}

fn begin(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, account: &str) -> Option<Line> {
    if !writer.uses(account) && !dice.once_in(12) {
        // Nothing would take it.
        return None;
    }
    let Made { kind, attributes, .. } = writer.made(dice, account);
    let measured = measured(writer.world, &kind)?;
    if (writer.life.limits || !writer.world.tiers().is_empty()) && !is_linear(writer.world, &kind) {
        return None;
    }
    // What is measured is said by the session itself.
    let attributes: Vec<_> = attributes.into_iter().filter(|(name, _)| !measured.contains(name)).collect();
    // Sessions of several accounts may have one name.
    let has = |id: &str| writer.sessions.iter().any(|own| own.account == account && own.id == id);
    let namesake = writer.sessions.iter().rev().find(|one| !has(&one.id)).filter(|_| dice.once_in(8));
    let id = namesake.map_or_else(|| format!("c{}", writer.sessions.len()), |one| one.id.clone());
    let (units, until) = (units(writer.world, dice, &measured, &kind), deadline(writer, dice, at));
    // More than there ever is; the session that is remembered asks for less.
    let asked = if dice.once_in(150) { 2_000_000_000_000 } else { units };
    writer.sessions.push(Session {
        account: account.to_owned(),
        id: id.clone(),
        kind: kind.clone(),
        attributes: attributes.clone(),
        units,
        since: at,
        until,
        over: false,
    });
    let what = What::Hold { id, kind, units: asked, until, attributes };
    Some(Line { at, account: account.to_owned(), what })
}

/// The attributes that are summed up of a type of usage, in all price lists of a world; `None`: it is not
/// for sessions.
fn measured(world: &World, kind: &str) -> Option<Vec<String>> {
    let meters = world.lists.iter().flat_map(|list| list.meters.values()).filter(|one| one.event == kind);
    let mut names: Vec<String> = Vec::new();
    for meter in meters {
        match (meter.aggregate.as_str(), &meter.of) {
            ("sum", Some(of)) if !names.contains(of) => names.push(of.clone()),
            ("sum" | "count", _) => {}
            _ => return None,
        }
    }
    // A record that lacks what one of its meters needs is none.
    (names.len() < 2).then_some(names)
}

/// Whether usage of a type costs the same whatever was used before.
fn is_linear(world: &World, kind: &str) -> bool {
    let of_kind = |list: &Catalogue, charge: &Charge| match &charge.measure {
        Measure::Meter(meter) => list.meters[meter].event == kind,
        _ => false,
    };
    let linear = |Pricing { model, free, maximum, .. }: &Pricing| {
        matches!(model, Model::PerUnit(_) | Model::Deck(_)) && free.is_zero() && maximum.is_none()
    };
    world.lists.iter().all(|list| {
        let charges = list.plans.values().flat_map(|plan| &plan.charges);
        charges.filter(|charge| of_kind(list, charge)).all(|charge| linear(&charge.pricing))
    })
}

/// How much: a few, or some minutes; as much as packages have only of what is rounded up to minutes.
fn units(world: &World, dice: &mut Dice, measured: &[String], kind: &str) -> i64 {
    let below = |dice: &mut Dice, most: u64| i64::try_from(dice.below(most)).unwrap();
    let mut meters = world.lists.iter().flat_map(|list| list.meters.values()).filter(|one| one.event == kind);
    let by_minutes = meters.all(|one| one.each_up_to.is_some());
    if measured.is_empty() || !measured[0].contains("second") {
        return 1 + below(dice, 9);
    }
    match dice.below(12) {
        0 => 1,
        1 => 60,
        2 => 61,
        3 => 60 * (1 + below(dice, 20)),
        4 => 600,
        6..=8 if by_minutes => 60 * (1 + below(dice, 150)),
        _ => 1 + below(dice, 900),
    }
}

/// Without a word by then it expires: soon, within days, or with an hour, a day or a month.
fn deadline(writer: &Writer<'_>, dice: &mut Dice, at: Timestamp) -> Timestamp {
    let later = |dice: &mut Dice, most: u64| {
        at + SignedDuration::from_secs(i64::try_from(1 + dice.below(most)).unwrap())
    };
    let end_of = |cycle: Cycle| {
        let zone = &writer.zone;
        calendar::cycle_end(zone, cycle, calendar::cycle_start(zone, cycle, at))
    };
    match dice.below(16) {
        0 => end_of(Cycle::Hour),
        1 => end_of(Cycle::Day),
        2 => end_of(Cycle::Month),
        4..=6 => later(dice, 3600),
        7..=9 => later(dice, 86_400),
        // Beyond the end of a package.
        10 => later(dice, 40 * 86_400),
        _ => later(dice, 6 * 86_400),
    }
}

fn extend(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, index: usize) -> What {
    let until = deadline(writer, dice, at);
    let used = used(dice, writer.sessions[index].units);
    let one = &mut writer.sessions[index];
    let more = if dice.once_in(4) { 0 } else { i64::try_from(dice.below(600)).unwrap() };
    let more = if one.units < 12 { more % 5 } else { more };
    let id = if dice.once_in(40) { "c0".to_owned() } else { one.id.clone() };
    (one.units, one.until) = ((one.units + more).max(used).max(1), until);
    What::Extend { id, units: one.units, used, until }
}

/// Nothing, a part of what was asked for, all of it, or more.
fn used(dice: &mut Dice, units: i64) -> i64 {
    let below = i64::try_from(dice.below(u64::try_from(units.max(1)).unwrap())).unwrap();
    match dice.below(8) {
        0 | 1 => 0,
        2 => units,
        3 => units + below,
        _ => below,
    }
}

fn release(writer: &mut Writer<'_>, dice: &mut Dice, index: usize) -> What {
    let one = &mut writer.sessions[index];
    one.over = true;
    one.units = used(dice, one.units);
    let id = if dice.once_in(40) { "c0".to_owned() } else { one.id.clone() };
    What::Release { id, used: one.units }
}

/// The record of a session, in time or not, of the same length or another.
fn record(writer: &mut Writer<'_>, dice: &mut Dice, at: Timestamp, index: usize) -> Option<What> {
    let one = &writer.sessions[index];
    let measured = measured(writer.world, &one.kind)?;
    let length = u64::try_from(at.as_second() - one.since.as_second()).unwrap();
    let time = one.since + SignedDuration::from_secs(i64::try_from(dice.below(length + 1)).unwrap());
    let time = if dice.once_in(3) { at } else { time };
    let units = if dice.once_in(3) { used(dice, one.units.max(1)) } else { one.units };
    let mut attributes = one.attributes.clone();
    attributes.extend(measured.into_iter().map(|name| (name, units.to_string())));
    let start = dice.once_in(2).then_some(one.since.min(time));
    Some(What::Usage { id: one.id.clone(), revision: 0, kind: one.kind.clone(), time, start, attributes })
}
