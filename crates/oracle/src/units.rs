//! Units held over time: each one with the moment it came and the moment it went.

use crate::account::Subscription;
use crate::calendar;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// One seat, number, phone.
#[derive(Clone, Debug)]
pub struct Unit {
    /// When it was added.
    pub from: Timestamp,
    /// When it was removed.
    pub until: Option<Timestamp>,
}

/// All units that a subscription ever had. The newest are removed first.
pub fn units(subscription: &Subscription) -> Vec<Unit> {
    let mut changes = subscription.changes.clone();
    changes.sort_by_key(|(effective, _)| *effective);
    let mut all: Vec<Unit> = Vec::new();
    let mut present: Vec<usize> = Vec::new();
    let add = |count: i64, at: Timestamp, all: &mut Vec<Unit>, present: &mut Vec<usize>| {
        for _ in 0..count {
            present.push(all.len());
            all.push(Unit { from: at, until: None });
        }
    };
    add(i64::from(subscription.quantity), subscription.start, &mut all, &mut present);
    let end = subscription.end;
    // What would come after the end never does.
    for (effective, units) in changes.into_iter().filter(|(from, _)| end.is_none_or(|end| *from <= end)) {
        add(units, effective, &mut all, &mut present);
        for _ in units..0 {
            if let Some(newest) = present.pop() {
                all[newest].until = Some(effective);
            }
        }
    }
    for unit in present {
        all[unit].until = end;
    }
    all
}

/// Whether a unit costs nothing on a day as it is frozen: from the day of the freeze on, which counts
/// as that of a removal does, until the day on which it runs again. Its first day counts where it was
/// there before the freeze.
pub fn is_frozen_day(
    subscription: &Subscription,
    unit: &Unit,
    zone: &TimeZone,
    last_day: bool,
    date: Date,
) -> bool {
    let day = |at: Timestamp| calendar::local(zone, at).date();
    subscription.frozen.iter().copied().any(|(from, until)| {
        let came_frozen = from <= unit.from && until.is_none_or(|until| unit.from < until);
        let ends_frozen = match (unit.until, until) {
            (Some(removed), Some(until)) => removed <= until,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        let used = last_day && calendar::midnight(zone, day(from)) < from;
        let begun = if came_frozen {
            true
        } else {
            date != day(unit.from) && (date > day(from) || date == day(from) && !used)
        };
        begun && (ends_frozen || until.is_some_and(|until| date < day(until)))
    })
}

/// Stretches of time in which a subscription was not frozen, within others.
pub fn unfrozen(
    subscription: &Subscription,
    stretches: Vec<(Timestamp, Timestamp)>,
) -> Vec<(Timestamp, Timestamp)> {
    subscription.frozen.iter().copied().fold(stretches, |stretches, (from, until)| {
        let mut left = Vec::new();
        for (start, end) in stretches {
            left.push((start, end.min(from)));
            left.extend(until.map(|until| (start.max(until), end)));
        }
        left.retain(|(start, end)| start < end);
        left
    })
}

/// The days that a unit is charged for within a span: the moment on that day from which it was
/// there, and the date. A day on which it was added and removed counts, also in one moment.
pub fn days(
    unit: &Unit,
    zone: &TimeZone,
    last_day: bool,
    from: Timestamp,
    up_to: Timestamp,
) -> Vec<(Timestamp, Date)> {
    let first = calendar::local(zone, unit.from).date();
    // The first day that is not charged any more.
    let stop = match unit.until {
        Some(until) => {
            let date = calendar::local(zone, until).date();
            let used = calendar::midnight(zone, date) < until;
            let after = if last_day && used { date.tomorrow().expect("in range") } else { date };
            after.max(first.tomorrow().expect("in range"))
        }
        None => calendar::local(zone, up_to).date().tomorrow().expect("in range"),
    };
    let mut result = Vec::new();
    let mut date = first.max(calendar::local(zone, from).date());
    while date < stop {
        let midnight = calendar::midnight(zone, date);
        if midnight >= up_to {
            break;
        }
        result.push((midnight.max(unit.from), date));
        date = date.tomorrow().expect("in range");
    }
    result
}

/// Stretches of time in which a unit was there and not stopped (where that counts).
pub fn seconds(
    unit: &Unit,
    stops: &[(Timestamp, bool)],
    while_stopped: bool,
    up_to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let until = unit.until.unwrap_or(up_to).min(up_to);
    let mut result = Vec::new();
    let mut running = Some(unit.from);
    for &(at, stopped) in stops.iter().filter(|_| !while_stopped) {
        match running {
            Some(since) if stopped => {
                result.push((since, at.min(until)));
                running = None;
            }
            None if !stopped => running = Some(at.max(unit.from)),
            _ => {}
        }
    }
    if let Some(since) = running {
        result.push((since, until));
    }
    result.retain(|(from, until)| from < until);
    result
}
