//! `[products.NAME.plans.NAME]`: what one can order, and what of other plans it contains.

use super::file::Named;
use super::grants;
use super::source::{Source, near, one_of, quoted};
use super::table::{Form, Number, Table, list, number, whole};
use super::{charges, licences, terms};
use farebox_core::catalog::{Advice, Deck, Licence, Meter, Mode, Plan, PlanTerms, Product};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const MODES: &[(&str, Mode)] = &[("pay-per-use", Mode::PayPerUse), ("prepaid", Mode::Prepaid)];

/// The most features, or kinds of things provided, that a plan may have with all it contains.
const MAX_FEATURES: usize = 256;

/// What plans may refer to.
pub(super) struct Names<'n> {
    /// Features, from `[features]`.
    pub(super) features: BTreeSet<String>,
    /// Meters; `None` for one with mistakes.
    pub(super) meters: &'n Named<Meter>,
    /// Decks; `None` for one with mistakes.
    pub(super) decks: &'n Named<Deck>,
    /// Licences; `None` for one with mistakes.
    pub(super) licences: &'n Named<Licence>,
}

/// Names of plans, with their places.
type Places<'t> = Vec<(&'t str, usize)>;

/// Where a plan stands, and what it contains and requires.
#[derive(Default)]
struct Contained<'t> {
    product: String,
    at: usize,
    plans: Places<'t>,
    requires: Places<'t>,
}

pub(super) fn products(
    source: &mut Source<'_>,
    table: Table<'_>,
    names: &Names<'_>,
) -> BTreeMap<String, Product> {
    let mut products = BTreeMap::new();
    let mut contained: BTreeMap<String, Contained<'_>> = BTreeMap::new();
    for (id, at, value) in table.each() {
        let what = format!("product {}", quoted(id));
        Form::Name.check(source, &what, id, at);
        let Some(mut table) = Table::read(source, what.clone(), at, value, "[products.NAME]") else {
            continue;
        };
        let title = table.need_text(source, "title", "title = \"…\", for customers").unwrap_or_default();
        let mut plans = BTreeMap::new();
        let example = "[products.NAME.plans.NAME]";
        let value = table.need(source, "plans", "one plan at least: [products.NAME.plans.NAME]");
        let place = table.place("plans");
        if let Some(value) = value
            && let Some(table) = Table::read(source, format!("{what}: plans"), place, value, example)
        {
            for (plan_id, at, value) in table.each() {
                let what = format!("plan {}", quoted(plan_id));
                Form::Name.check(source, &what, plan_id, at);
                if let Some(first) = contained.get(plan_id) {
                    let line = source.line(first.at);
                    let found = format!("a second {what}");
                    source.mistake(
                        at,
                        found,
                        format!("names unique in the catalogue; the first is in line {line}"),
                    );
                    continue;
                }
                let product = id.to_owned();
                let Some(table) = Table::read(source, what, at, value, example) else {
                    contained.insert(plan_id.to_owned(), Contained { product, at, ..Contained::default() });
                    continue;
                };
                let (plan, inside, requires) = plan(source, plan_id, table, names);
                contained.insert(plan_id.to_owned(), Contained { product, at, plans: inside, requires });
                plans.insert(plan_id.to_owned(), plan);
            }
        }
        table.finish(source);
        products.insert(id.to_owned(), Product { id: id.to_owned(), title, plans });
    }
    if products.is_empty() {
        source.mistake(table.at, "[products] is empty", "[products.NAME.plans.NAME] with what is sold");
    }
    contain(source, &mut products, &contained);
    products
}

fn plan<'t>(
    source: &mut Source<'_>,
    id: &str,
    mut table: Table<'t>,
    names: &Names<'_>,
) -> (Plan, Places<'t>, Places<'t>) {
    let title = table.need_text(source, "title", "title = \"…\", for customers").unwrap_or_default();
    let unit = table.text(source, "unit").unwrap_or_else(|| "unit".into());
    let modes = modes(source, &mut table, None);
    let (terms, requires) = terms::plan(source, &mut table, modes.as_deref());
    let terms_months = terms_months(source, &mut table, modes.as_deref(), &terms);
    let contains = table.names(source, "contains", Form::Any);
    let mut features = Vec::new();
    for (feature, at) in table.names(source, "features", Form::Name) {
        if !names.features.contains(feature) {
            let known = || names.features.iter().map(String::as_str);
            let found = format!("unknown feature {}", quoted(feature));
            let expected = format!("one that [features] declares: {}", one_of(known()));
            source.suggest(at, found, expected, near(feature, known()));
        }
        features.push(feature.to_owned());
    }
    let provides = provides(source, &mut table);
    let binds = table.names(source, "binds", Form::Attribute);
    let licences = licences::of_plan(source, &mut table, names.licences, &binds);
    let options = table.names(source, "options", Form::Attribute);
    for (option, at) in &options {
        if binds.iter().any(|(bound, _)| bound == option) {
            let found = format!("{} both binds {1} and has the option {1}", table.what, quoted(option));
            source.mistake(*at, found, "binds where usage must match, else options");
        }
    }
    let strings = |names: Vec<(&str, usize)>| names.into_iter().map(|(name, _)| name.to_owned()).collect();
    let mut plan = Plan {
        id: id.to_owned(),
        title,
        unit,
        modes: modes.clone().unwrap_or_default(),
        terms_months,
        terms,
        features,
        provides,
        licences,
        binds: strings(binds),
        options: strings(options),
        charges: Vec::new(),
        minimum_quantity: table.whole(source, "minimum-quantity", 1..=1_000_000).unwrap_or(1),
        grants: Vec::new(),
        advice: Vec::new(),
        bill_group: table.text(source, "bill-group"),
        rules: table.rules(source),
    };
    plan.charges = charges::charges(source, &mut table, &plan, modes.is_some(), names);
    plan.grants = grants::grants(source, &mut table, &plan, names);
    plan.advice = advice(source, &mut table, &plan);
    table.finish(source);
    (plan, contains, requires)
}

/// The modes of a plan, or of a charge in a plan with these; `None` when there is a mistake.
pub(super) fn modes(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    of_plan: Option<&[Mode]>,
) -> Option<Vec<Mode>> {
    let example = "modes = [\"pay-per-use\", \"prepaid\"], or one of the two";
    let value = match of_plan {
        Some(modes) if !table.has("modes") => {
            table.get("modes");
            return Some(modes.to_vec());
        }
        _ => table.need(source, "modes", example)?,
    };
    let what = table.label("modes");
    let values = list(source, &what, value, example)?;
    if values.is_empty() {
        source.mistake(value.span().start, format!("{what} is empty"), example);
        return None;
    }
    let before = source.count();
    let mut modes = Vec::new();
    for value in values {
        let Some(mode) = super::table::choice(source, &what, value, MODES) else { continue };
        let at = value.span().start;
        if modes.contains(&mode) {
            source.mistake(at, format!("{what} says {} twice", quoted(mode.name())), "each once");
        } else if of_plan.is_some_and(|allowed| !allowed.is_empty() && !allowed.contains(&mode)) {
            let allowed = of_plan.unwrap_or_default().iter().map(|mode| mode.name());
            let found = format!("{what} says {}, which its plan does not have", quoted(mode.name()));
            source.mistake(at, found, one_of(allowed));
        }
        modes.push(mode);
    }
    modes.sort();
    (source.count() == before).then_some(modes)
}

fn terms_months(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    modes: Option<&[Mode]>,
    terms: &PlanTerms,
) -> Vec<u16> {
    let example = "terms-months = [1, 6, 12]";
    let prepaid = modes.is_some_and(|modes| modes.contains(&Mode::Prepaid));
    let has = table.has("terms-months");
    let without = match terms {
        _ if table.has("trial") => Some("is a trial"),
        PlanTerms { ends_with: true, .. } => Some("ends with another"),
        _ => None,
    };
    if let Some(why) = without.filter(|_| has) {
        let found = format!("{} {why} and has terms-months", table.what);
        source.mistake(table.place("terms-months"), found, "no terms of its own");
    } else if !has && prepaid && without.is_none() {
        let found = format!("{} can be prepaid and has no field terms-months", table.what);
        source.mistake(table.at, found, example);
    } else if has && modes.is_some() && !prepaid {
        let found = format!("{} has terms-months and cannot be prepaid", table.what);
        source.mistake(table.place("terms-months"), found, "modes with \"prepaid\", or no terms");
    }
    terms::months(source, table, "terms-months", example).unwrap_or_default()
}

fn provides(source: &mut Source<'_>, table: &mut Table<'_>) -> BTreeMap<String, u32> {
    let mut provides = BTreeMap::new();
    let Some(value) = table.get("provides") else { return provides };
    let (what, at) = (table.label("provides"), table.place("provides"));
    let Some(inner) = Table::read(source, what.clone(), at, value, "{ ivr-channel = 1 }") else {
        return provides;
    };
    for (name, at, value) in inner.each() {
        if Form::Name.check(source, &what, name, at) {
            let count = whole(source, &format!("{what}: {}", quoted(name)), value, 1..=1_000_000);
            provides.insert(name.to_owned(), count.unwrap_or(1));
        }
    }
    provides
}

fn advice(source: &mut Source<'_>, table: &mut Table<'_>, plan: &Plan) -> Vec<Advice> {
    let Some(value) = table.get("advice") else { return Vec::new() };
    let example = "advice = [{ charge = \"calls\", from = 50, text = \"…\" }]";
    let what = table.label("advice");
    let mut advice = Vec::new();
    for value in list(source, &what, value, example).unwrap_or_default() {
        let at = value.span().start;
        let Some(mut one) = Table::read(source, what.clone(), at, value, example) else { continue };
        let charge = one.need_text(source, "charge", "charge = \"calls\", the charge that is watched");
        if let Some(charge) = &charge
            && plan.charge(charge).is_none()
        {
            let known = || plan.charges.iter().map(|charge| charge.id.as_str());
            let found = format!("unknown charge {} in {what}", quoted(charge));
            source.suggest(one.value_place("charge"), found, one_of(known()), near(charge, known()));
        }
        let from = one
            .need(source, "from", "from = 50, the units in a month")
            .and_then(|value| number(source, &one.label("from"), value, Number::Quantity));
        let text = one.need_text(source, "text", "text = \"…\", for the customer");
        one.finish(source);
        if let (Some(charge), Some(from), Some(text)) = (charge, from, text) {
            advice.push(Advice { charge, from, text });
        }
    }
    advice
}

/// Gives every plan the features of the plans it contains and what they provide, those inside
/// first. What several of them provide counts once: the most that one of them does.
fn contain(
    source: &mut Source<'_>,
    products: &mut BTreeMap<String, Product>,
    contained: &BTreeMap<String, Contained<'_>>,
) {
    let known = || contained.keys().map(String::as_str);
    for (id, plan) in contained {
        for (inside, at) in &plan.plans {
            if !contained.contains_key(*inside) {
                let found = format!("unknown plan {} in contains of plan {}", quoted(inside), quoted(id));
                source.suggest(*at, found, one_of(known()), near(inside, known()));
            }
        }
    }
    for (id, plan) in contained {
        require(source, contained, id, plan);
    }
    // Plans whose contents are complete, until no further one becomes so.
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    let mut containers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, plan) in contained {
        let inside = plan.plans.iter().filter(|(inside, _)| contained.contains_key(*inside));
        waiting.insert(id, inside.clone().count());
        for (inside, _) in inside {
            containers.entry(inside).or_default().push(id);
        }
    }
    let mut ready: Vec<&str> = waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    while let Some(id) = ready.pop() {
        waiting.remove(id);
        merge(source, products, contained, id);
        for container in containers.get(id).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(container) {
                *count -= 1;
                if *count == 0 {
                    ready.push(container);
                }
            }
        }
    }
    // What is left contains itself, or contains something that does: only the former is at fault.
    let mut left: BTreeSet<&str> = waiting.keys().copied().collect();
    while let Some(outer) = left
        .iter()
        .copied()
        .find(|id| !containers.get(id).into_iter().flatten().any(|container| left.contains(container)))
    {
        left.remove(outer);
    }
    for id in left {
        if let Some(plan) = contained.get(id) {
            source.mistake(plan.at, format!("plan {} contains itself, over others", quoted(id)), "no circle");
        }
    }
}

/// What a plan requires is there.
fn require(
    source: &mut Source<'_>,
    contained: &BTreeMap<String, Contained<'_>>,
    id: &str,
    place: &Contained<'_>,
) {
    let known = || contained.keys().map(String::as_str).filter(|known| *known != id);
    for (required, at) in &place.requires {
        if *required == id || !contained.contains_key(*required) {
            let found = format!("unknown plan {} in requires of plan {}", quoted(required), quoted(id));
            source.suggest(*at, found, one_of(known()), near(required, known()));
        }
    }
}

fn merge(
    source: &mut Source<'_>,
    products: &mut BTreeMap<String, Product>,
    contained: &BTreeMap<String, Contained<'_>>,
    id: &str,
) {
    let Some(outer) = contained.get(id).filter(|outer| !outer.plans.is_empty()) else { return };
    let mut features: Vec<String> = Vec::new();
    let mut provides: BTreeMap<String, u32> = BTreeMap::new();
    let ids = outer.plans.iter().map(|(inside, _)| *inside).chain([id]);
    for inside in ids {
        let Some(place) = contained.get(inside) else { continue };
        let plan = products.get(&place.product).and_then(|product| product.plans.get(inside));
        let Some(plan) = plan else { continue };
        for feature in &plan.features {
            if !features.contains(feature) && features.len() <= MAX_FEATURES {
                features.push(feature.clone());
            }
        }
        for (name, count) in &plan.provides {
            if provides.len() <= MAX_FEATURES {
                let most = provides.entry(name.clone()).or_insert(*count);
                *most = (*most).max(*count);
            }
        }
    }
    if features.len() > MAX_FEATURES || provides.len() > MAX_FEATURES {
        let found =
            format!("plan {} has more than {MAX_FEATURES} features with those it contains", quoted(id));
        source.mistake(outer.at, found, "fewer");
    }
    if let Some(plan) = products.get_mut(&outer.product).and_then(|product| product.plans.get_mut(id)) {
        plan.features = features;
        plan.provides = provides;
    }
}
