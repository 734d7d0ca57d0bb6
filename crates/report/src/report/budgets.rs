//! Budgets, and what is spent of them.

use super::table::{self, Align};
use farebox_core::account::{AccountHead, Group, View};
use farebox_core::budget::Budget;
use farebox_core::calendar::{Span, Zone};
use farebox_core::engine::budgets::{percent, spent};
use farebox_core::explain::show_period;

/// For each budget its amount, what is spent of it in the month, and the next alert.
pub fn budgets(head: &AccountHead, group: &Group, zone: &Zone, month: Span) -> Vec<String> {
    let budgets = group.budgets(&head.id);
    if budgets.is_empty() {
        return vec!["no budgets".to_owned()];
    }
    let title = format!("Budgets of {} · {} · {}", head.title, show_period(zone, month), head.currency);
    let row = |budget: &Budget| {
        let spent = spent(group, &head.id, month.start, &budget.scope);
        let percent = percent(budget, spent);
        let shown = percent.and_then(|percent| percent.round(1).ok()).map(|percent| percent.decimal(1));
        let told = |alert| budget.told.get(alert).is_some_and(|told| *told >= month.start);
        let next = match budget.alerts.iter().find(|alert| !told(alert)) {
            Some(alert) => format!("next alert at {alert} %"),
            None => "all alerts told".to_owned(),
        };
        vec![
            format!("  {}", budget.name),
            budget.scope.name(),
            format!("{} of {}", spent.decimal(head.currency), budget.amount.decimal(head.currency)),
            format!("{} %", shown.unwrap_or_default()),
            next,
        ]
    };
    let rows: Vec<Vec<String>> = budgets.into_iter().map(row).collect();
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    std::iter::once(title).chain(table::lines(&rows, &columns)).collect()
}
