//! Quota that plans bring, and what becomes of usage past it, for a customer.

use super::{counted, listed};
use farebox_core::catalog::{Alert, Catalogue, Charge, Grant, GrantKind, Measure, Origin, PastPackage};
use farebox_core::catalog::{Plan, Resets};

/// `8,000 minutes for each package, anew each calendar month, for calls by call-minutes`
pub(super) fn text(catalogue: &Catalogue, plan: &Plan, grant: &Grant) -> String {
    let unit = catalogue.meters.get(&grant.meter).map_or("unit", |meter| meter.unit.as_str());
    let mut text = format!("{}: {} for each {}", grant.title, counted(grant.units, unit), plan.unit);
    text += match grant.resets {
        Resets::Never => ", once for the term",
        Resets::Month => ", anew each calendar month",
        Resets::Cycle => ", anew each month of the term",
    };
    if grant.scope.is_empty() {
        text += "; for all usage of the account";
    } else {
        text += &format!("; for usage of the same {} alone", listed(&grant.scope, "and"));
    }
    if grant.kind == GrantKind::AddOn {
        text += "; drawn after what is included in subscriptions";
    }
    match grant.origin {
        Origin::Bought => {}
        Origin::Promotional => text += "; promotional",
        Origin::Free => text += "; free",
    }
    if grant.late_days > 0 {
        let days = if grant.late_days == 1 { "day" } else { "days" };
        text += &format!("; {} {days} longer for usage that arrives late", grant.late_days);
    }
    if !grant.alerts.is_empty() {
        let alerts: Vec<String> = grant.alerts.iter().map(Alert::to_string).collect();
        text += &format!("; alert at {} left", listed(&alerts, "and"));
    }
    text
}

/// What of a charge is about packages.
pub(super) fn of_charge(catalogue: &Catalogue, charge: &Charge) -> String {
    let Measure::Meter(meter) = &charge.measure else { return String::new() };
    let mut text = String::new();
    if charge.takes_all {
        text += " Takes all such usage of the account.";
    }
    if let Some(name) = &charge.concurrency {
        text += &format!(" One at a time takes one {name}.");
    }
    let granted = catalogue.plans().flat_map(|plan| &plan.grants).any(|grant| grant.meter == *meter);
    if !charge.draws {
        text += " Draws from no package.";
    } else if granted {
        text += match charge.past_package {
            PastPackage::Charge => " Draws from packages first.",
            PastPackage::Refuse => " Draws from packages; past them it is refused.",
        };
    }
    if charge.tiers_count_all {
        text += " Tiers and free units count what packages pay for, too.";
    }
    text
}
