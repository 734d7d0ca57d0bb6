//! `[[products.NAME.plans.NAME.grants]]`: quota that a plan brings.

use super::plans::Names;
use super::source::{Source, near, one_of, quoted};
use super::table::{Form, Number, Table, list, number, text};
use farebox_core::catalog::{Aggregate, Alert, Grant, GrantKind, Origin, Plan, Resets};
use farebox_core::money::Exact;

const RESETS: &[(&str, Resets)] = &[("month", Resets::Month), ("term", Resets::Cycle)];
const KINDS: &[(&str, GrantKind)] = &[("included", GrantKind::Included), ("add-on", GrantKind::AddOn)];
const ORIGINS: &[(&str, Origin)] =
    &[("bought", Origin::Bought), ("promotional", Origin::Promotional), ("free", Origin::Free)];

/// The grants of a plan, in the order of the file.
pub(super) fn grants(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    plan: &Plan,
    names: &Names<'_>,
) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    let Some(value) = table.get("grants") else { return grants };
    let example = "[[products.NAME.plans.NAME.grants]], or grants = [{ … }, …]";
    for value in list(source, &table.label("grants"), value, example).unwrap_or_default() {
        let at = value.span().start;
        let what = format!("{}, a grant", table.what);
        let Some(mut grant) = Table::read(source, what, at, value, example) else { continue };
        let Some(grant) = one(source, &mut grant, plan, names) else { continue };
        if grants.iter().any(|known| known.id == grant.id) {
            let found = format!("a second grant {} in {}", quoted(&grant.id), table.what);
            source.mistake(at, found, "names unique in the plan");
        }
        grants.push(grant);
    }
    grants
}

fn one(source: &mut Source<'_>, table: &mut Table<'_>, plan: &Plan, names: &Names<'_>) -> Option<Grant> {
    let id = table.need_text(source, "id", "id = \"minutes\", its name in the plan")?;
    let place = table.value_place("id");
    table.what = format!("plan {}, grant {}", quoted(&plan.id), quoted(&id));
    Form::Name.check(source, &table.what, &id, place);
    let title = table.text(source, "title").unwrap_or_else(|| plan.title.clone());
    let meter = meter(source, table, names);
    let units = table
        .need(source, "units", "units = 8000, for each unit of the plan")
        .and_then(|value| number(source, &table.label("units"), value, Number::Positive));
    let resets = table.choice(source, "resets", RESETS).unwrap_or(Resets::Never);
    let kind = table.choice(source, "kind", KINDS).unwrap_or(GrantKind::Included);
    let origin = table.choice(source, "origin", ORIGINS).unwrap_or(Origin::Bought);
    let scope = table.names(source, "scope", Form::Attribute);
    for (name, at) in &scope {
        let label = matches!(*name, "application" | "project") || name.starts_with("tag:");
        if !label && !plan.binds.iter().chain(&plan.options).any(|known| known == name) {
            let found = format!("{} is for one {}, which no order says", table.what, quoted(name));
            let expected = "application, project, tag:…, or what the plan binds or has as an option";
            source.mistake(*at, found, expected);
        }
    }
    let late_days = table.whole(source, "late-days", 0..=366).unwrap_or(0);
    let grant = Grant {
        id,
        title,
        meter: meter.unwrap_or_default(),
        units: units.unwrap_or(Exact::ONE),
        resets,
        kind,
        origin,
        scope: scope.into_iter().map(|(name, _)| name.to_owned()).collect(),
        late_days: u16::try_from(late_days).unwrap_or(u16::MAX),
        alerts: alerts(source, table),
        rules: table.rules(source),
    };
    table.finish(source);
    Some(grant)
}

/// A meter whose quantities can be drawn one by one.
fn meter(source: &mut Source<'_>, table: &mut Table<'_>, names: &Names<'_>) -> Option<String> {
    let name = table.need_text(source, "meter", "meter = \"…\", whose usage draws from it")?;
    let at = table.value_place("meter");
    let Some(known) = names.meters.get(&name) else {
        let known = || names.meters.keys().map(String::as_str);
        let found = format!("unknown meter {}", quoted(&name));
        let expected = format!("one that [meters] declares: {}", one_of(known()));
        source.suggest(at, found, expected, near(&name, known()));
        return None;
    };
    if let Some(meter) = known
        && !matches!(meter.aggregate, Aggregate::Count | Aggregate::Sum)
    {
        let found = format!("{} is for the meter {}, which does not add up", table.what, quoted(&name));
        source.mistake(at, found, "a meter with aggregate = \"count\" or \"sum\"");
    }
    Some(name)
}

fn alerts(source: &mut Source<'_>, table: &mut Table<'_>) -> Vec<Alert> {
    let example = "alerts = [\"20%\", \"500\"], of what is left";
    let Some(value) = table.get("alerts") else { return Vec::new() };
    let what = table.label("alerts");
    let mut alerts: Vec<Alert> = Vec::new();
    for value in list(source, &what, value, example).unwrap_or_default() {
        let Some(written) = text(source, &what, value) else { continue };
        let at = value.span().start;
        let (digits, percent) = match written.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (written, false),
        };
        let read = Exact::parse(digits, 9).ok().filter(|number| !number.is_negative());
        let alert = read.and_then(|number| match percent {
            true if number > Exact::whole(100) => None,
            true => Some(Alert::Percent(number)),
            false => Some(Alert::Units(number)),
        });
        match alert {
            None => {
                let expected = "a percentage from 0% to 100%, or units such as \"500\"";
                source.mistake(at, format!("{what} says {}", quoted(written)), expected);
            }
            Some(alert) if alerts.contains(&alert) => {
                source.mistake(at, format!("{what} says {} twice", quoted(written)), "each once");
            }
            Some(alert) => alerts.push(alert),
        }
    }
    alerts
}
