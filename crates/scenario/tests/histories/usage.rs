//! Usage that fits the meters of price lists, and some that does not.

use super::dice::Dice;
use super::world::World;
use farebox_oracle::catalogue::{Catalogue, Charge, Condition, Measure, Meter, Model, Plan};
use farebox_oracle::number::Number;

/// Values of an attribute that binds or groups.
pub fn values(attribute: &str) -> &'static [&'static str] {
    match attribute {
        "project" => &["red", "blue"],
        "number" => &["0101", "0102", "0103"],
        _ => &["a", "b", "c"],
    }
}

/// A type of usage, its attributes, and how many seconds it lasted, if it is a call.
pub struct Made {
    pub kind: String,
    pub attributes: Vec<(String, String)>,
    pub seconds: Option<u64>,
    /// Whether of two values of one moment no rule says which is the later.
    pub level: bool,
}

/// Usage for one of the meters of some plans.
pub fn make(world: &World, dice: &mut Dice, plans: &[(&Catalogue, &Plan)]) -> Made {
    let mut used: Vec<(&Catalogue, &str, Vec<&Plan>)> = Vec::new();
    for (list, plan) in plans {
        for charge in &plan.charges {
            let Measure::Meter(meter) = &charge.measure else { continue };
            match used.iter_mut().find(|(of, name, _)| of.id == list.id && name == meter) {
                Some((_, _, by)) => by.push(plan),
                None => used.push((list, meter, vec![plan])),
            }
        }
    }
    if used.is_empty() || dice.once_in(15) {
        used = world
            .lists
            .iter()
            .flat_map(|list| list.meters.keys().map(move |name| (list, name.as_str(), vec![])))
            .collect();
    }
    if used.is_empty() {
        return Made { kind: "call".into(), attributes: Vec::new(), seconds: None, level: false };
    }
    let (list, name, by) = dice.pick(&used);
    let meter = &list.meters[*name];
    let charges: Vec<&Charge> = by.iter().flat_map(|plan| &plan.charges).collect();
    let charges: Vec<&Charge> = charges
        .into_iter()
        .filter(|charge| matches!(&charge.measure, Measure::Meter(other) if other == name))
        .collect();
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: String| {
        if !attributes.iter().any(|(there, _)| there == name) {
            attributes.push((name.to_owned(), value));
        }
    };
    for (attribute, condition) in &meter.conditions {
        if let Some(value) = condition_value(dice, condition) {
            say(attribute, value);
        }
    }
    let mut seconds = None;
    if let Some(of) = &meter.of {
        let value = match meter.aggregate.as_str() {
            "unique" => Some(format!("u{}", dice.below(9))),
            _ => amount(dice, meter, &charges, &quotas(list, name)),
        };
        if let Some(value) = value {
            if of.contains("second") || of.contains("ivr") {
                seconds = value.split('.').next().unwrap().parse().ok();
            }
            // A record has all that any meter of it needs, or nothing.
            let others = world.lists.iter().flat_map(|list| list.meters.values());
            for other in
                others.filter(|other| other.event == meter.event).filter_map(|other| other.of.as_ref())
            {
                say(other, value.clone());
            }
        }
    }
    let bound = by.iter().flat_map(|plan| &plan.binds).chain(charges.iter().flat_map(|one| &one.per));
    for attribute in bound.filter(|name| *name != "project") {
        if !dice.once_in(20) {
            say(attribute, (*dice.pick(values(attribute))).to_owned());
        }
    }
    for charge in &charges {
        if let Model::Deck(deck) = &charge.pricing.model {
            let deck = &list.decks[deck];
            let prefixes: Vec<&String> = deck.rows.keys().collect();
            let plus = if dice.once_in(4) { "+" } else { "" };
            let prefix = if dice.once_in(12) { "9" } else { dice.pick(&prefixes).as_str() };
            say(&deck.destination, format!("{plus}{prefix}{}", 1_000_000 + dice.below(8_000_000)));
        }
    }
    match dice.below(5) {
        0 => say("project", "red".into()),
        1 => say("project", "blue".into()),
        2 => {
            say("project", "red".into());
            say("tag:team", "a".into());
        }
        _ => {}
    }
    let level = matches!(meter.aggregate.as_str(), "latest" | "time-weighted");
    Made { kind: meter.event.clone(), attributes, seconds, level }
}

fn condition_value(dice: &mut Dice, condition: &Condition) -> Option<String> {
    if dice.once_in(25) {
        return None;
    }
    let fits = !dice.once_in(5);
    Some(match condition {
        Condition::OneOf(texts) if fits => dice.pick(texts).clone(),
        Condition::NoneOf(texts) if !fits => dice.pick(texts).clone(),
        Condition::OneOf(_) | Condition::NoneOf(_) => "other".to_owned(),
        Condition::Between(from, to) => {
            let number = |value: &Number| value.floor().to_whole().unwrap();
            let (from, to) = (number(from), number(to));
            let inside = from + i128::from(dice.below(u64::try_from(to - from + 1).unwrap()));
            match dice.below(6) {
                _ if !fits => (*dice.pick(&["many", "404", "0", "600"])).to_owned(),
                0 => from.to_string(),
                1 => to.to_string(),
                _ => inside.to_string(),
            }
        }
    })
}

/// Units that packages bring of a meter.
fn quotas(list: &Catalogue, meter: &str) -> Vec<Number> {
    let grants = list.plans.values().flat_map(|plan| &plan.grants);
    grants.filter(|grant| grant.meter == meter).map(|grant| grant.units.clone()).collect()
}

/// How much: around the steps, free units and tiers that there are, zero, a fraction, or no number.
fn amount(dice: &mut Dice, meter: &Meter, charges: &[&Charge], quotas: &[Number]) -> Option<String> {
    let whole = |value: &Number| u64::try_from(value.floor().to_whole().unwrap()).unwrap();
    let unit = whole(&meter.unit_size).max(1);
    let mut edges: Vec<u64> = vec![1, 10];
    for charge in charges {
        edges.push(whole(&charge.pricing.free));
        match &charge.pricing.model {
            Model::Graduated(tiers) | Model::Volume(tiers) => {
                edges.extend(tiers.iter().filter_map(|tier| tier.up_to.as_ref()).map(&whole));
            }
            Model::Block(size, _) => edges.push(whole(size)),
            _ => {}
        }
    }
    edges.extend(quotas.iter().map(&whole));
    let edge = unit * *dice.pick(&edges);
    Some(match dice.below(14) {
        0 => "0".to_owned(),
        1 => edge.to_string(),
        2 => (edge + 1).to_string(),
        3 => edge.saturating_sub(1).to_string(),
        4 => format!("{}.125", dice.below(edge + 1)),
        5 if dice.once_in(3) => "many".to_owned(),
        6 if dice.once_in(3) => return None,
        7..=9 => dice.below(edge + 1).to_string(),
        _ => dice.below(unit * 20 + 1).to_string(),
    })
}
