//! Terms: settings of `[policy]` and of plans.

use super::source::{Source, quoted};
use super::table::{Table, list, text, whole};
use farebox_core::catalog::{AutoRenewalTimes, Mode, PlanChange, PlanTerms, Proration, TermPolicy};

const CHANGES: &[(&str, PlanChange)] =
    &[("at-once", PlanChange::AtOnce), ("at-term-end", PlanChange::AtTermEnd)];

const PRORATIONS: &[(&str, Proration)] = &[("months", Proration::Months), ("days", Proration::Days)];

/// What `[policy]` says about terms.
pub(super) fn policy(source: &mut Source<'_>, table: &mut Table<'_>) -> TermPolicy {
    TermPolicy {
        renewal_months: months(source, table, "renewal-terms-months", "renewal-terms-months = [1, 12]"),
        plan_change: table.choice(source, "plan-change", CHANGES),
        add_on_proration: table.choice(source, "add-on-proration", PRORATIONS).unwrap_or_default(),
        auto_renewal: auto_renewal(source, table),
    }
}

fn auto_renewal(source: &mut Source<'_>, table: &mut Table<'_>) -> AutoRenewalTimes {
    let mut times = AutoRenewalTimes::default();
    let Some(value) = table.get("auto-renewal") else { return times };
    let (what, at) = (table.label("auto-renewal"), table.place("auto-renewal"));
    let example = "auto-renewal = { at = \"03:00\", days-before = 7 }";
    let Some(mut table) = Table::read(source, what, at, value, example) else { return times };
    if let Some(value) = table.get("at")
        && let Some(clock) = text(source, &table.label("at"), value)
    {
        match clock_s(clock) {
            Some(at_s) => times.at_s = at_s,
            None => {
                let found = format!("{} is {}", table.label("at"), quoted(clock));
                source.mistake(value.span().start, found, "a time of day such as \"03:00\"");
            }
        }
    }
    let days = table.whole(source, "days-before", 0..=60);
    times.days_before = days.and_then(|days| u16::try_from(days).ok()).unwrap_or(times.days_before);
    table.finish(source);
    times
}

/// Seconds of a time of day, `03:00`.
fn clock_s(clock: &str) -> Option<u32> {
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = clock.split_once(':').filter(|(h, m)| digits(h) && digits(m))?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some((hours * 60 + minutes) * 60)
}

/// An ascending list of numbers of months, if it is there.
pub(super) fn months(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    key: &'static str,
    example: &str,
) -> Option<Vec<u16>> {
    let value = table.get(key)?;
    let what = table.label(key);
    let values = list(source, &what, value, example)?;
    if values.is_empty() {
        source.mistake(value.span().start, format!("{what} is empty"), example);
    }
    let mut months: Vec<u16> = Vec::new();
    for value in values {
        let Some(one) = whole(source, &what, value, 1..=120) else { continue };
        let one = u16::try_from(one).unwrap_or(u16::MAX);
        if months.last().is_some_and(|last| *last >= one) {
            let found = format!("{what} has {one} after {}", months.last().copied().unwrap_or(0));
            source.mistake(value.span().start, found, "ascending numbers of months");
        } else {
            months.push(one);
        }
    }
    Some(months)
}

/// What a plan says about terms; and the plans that it requires, with their places.
pub(super) fn plan<'t>(
    source: &mut Source<'_>,
    table: &mut Table<'t>,
    modes: Option<&[Mode]>,
) -> (PlanTerms, Vec<(&'t str, usize)>) {
    let requires = table.names(source, "requires", super::table::Form::Any);
    let ends_with = table.yes(source, "ends-with", false);
    if ends_with && requires.is_empty() {
        let found = format!("{} ends with what it requires, and requires nothing", table.what);
        source.mistake(table.place("ends-with"), found, "requires = [\"…\"], the plans that it adds to");
    }
    let trial_days = trial(source, table, modes);
    let terms = PlanTerms {
        requires: requires.iter().map(|(name, _)| (*name).to_owned()).collect(),
        ends_with,
        trial_days,
        advise_auto_renewal: table.yes(source, "advise-auto-renewal", false),
    };
    (terms, requires)
}

fn trial(source: &mut Source<'_>, table: &mut Table<'_>, modes: Option<&[Mode]>) -> Option<u16> {
    let value = table.get("trial")?;
    let (what, at) = (table.label("trial"), table.place("trial"));
    let mut inner = Table::read(source, what, at, value, "trial = { days = 14 }")?;
    let days = match inner.has("days") {
        true => inner.whole(source, "days", 1..=366),
        false => {
            inner.need(source, "days", "days = 14");
            None
        }
    };
    inner.finish(source);
    if modes.is_some_and(|modes| modes != [Mode::Prepaid]) || table.has("charges") {
        let found = format!("{} is a trial that is paid for", table.what);
        source.mistake(at, found, "modes = [\"prepaid\"] and no charges: a trial is free");
    }
    days.and_then(|days| u16::try_from(days).ok())
}
