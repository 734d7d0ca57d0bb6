//! One line of a bill, explained to the last digit.

use super::table::{self, Align};
use crate::source::EventBehind;
use farebox_core::account::AccountHead;
use farebox_core::bill::{Line, LineKind};
use farebox_core::calendar::{Zone, show_local};
use farebox_core::explain::{count_of, show_period, show_price};

/// Quantity, price and its basis, formula, rounding, discount, catalogue version, rules, and the
/// events behind the line.
pub fn explain(
    head: &AccountHead,
    zone: &Zone,
    line: &Line,
    events: &[EventBehind],
    count: u64,
) -> Vec<String> {
    let currency = head.currency;
    let money = |amount: farebox_core::money::Amount| format!("{} {currency}", amount.decimal(currency));
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.push(("line", format!("{} ({})", line.id, line.kind.name())));
    rows.push(("what", line.description.clone()));
    rows.push(("period", show_period(zone, line.period)));
    if line.cycle != line.period {
        rows.push(("settled in", show_period(zone, line.cycle)));
    }
    rows.push(("posted", show_local(zone, line.posted)));
    if line.kind != LineKind::Rounding {
        let mut quantity = count_of(line.quantity, &line.unit);
        if !line.free.is_zero() {
            quantity.push_str(&format!(", and {} free", line.free));
        }
        rows.push(("quantity", quantity));
    }
    match line.unit_price {
        None if line.kind == LineKind::Rounding => {}
        Some(price) => {
            rows.push((
                "price",
                format!("{} {currency} per {}", show_price(price, currency), line.basis.per),
            ));
        }
        None => rows.push(("price", format!("{} price", line.basis.model))),
    }
    rows.push(("formula", line.formula.clone()));
    rows.push(("list amount", money(line.list)));
    if !line.discount.is_zero() {
        rows.push(("discount", money(line.discount)));
    }
    rows.push(("amount", money(line.amount)));
    rows.push((
        "rounding",
        "exact to 8 decimals, half up; the bill's total is rounded once to the minor unit".to_owned(),
    ));
    if let Some(corrected) = &line.corrects {
        rows.push(("corrects", corrected.clone()));
    }
    if let Some(catalogue) = &line.catalogue {
        rows.push(("catalogue", format!("{} {} ({})", catalogue.id, catalogue.version, catalogue.hash)));
    }
    if !line.rules.is_empty() {
        rows.push(("rules", line.rules.join(", ")));
    }
    if let Some(key) = &line.key {
        if !key.subscription.is_empty() {
            rows.push(("subscription", key.subscription.clone()));
        }
        let split = &key.split;
        let named = [("application", &split.application), ("project", &split.project)];
        rows.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        let tags: Vec<String> = split.tags.iter().map(|(tag, value)| format!("{tag}={value}")).collect();
        if !tags.is_empty() {
            rows.push(("tags", tags.join(" ")));
        }
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
    let mut shown = table::lines(&rows, &[Align::Left, Align::Left]);
    shown.extend(table::wrap(&line.explanation, 96, ""));
    if count > 0 {
        shown.push(if count == 1 {
            "1 event behind it:".to_owned()
        } else {
            format!("{count} events behind it:")
        });
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|event| {
                vec![
                    format!("  {}", show_local(zone, event.time)),
                    event.identity.clone(),
                    event.attributes.join(" "),
                    match event.is_session {
                        true => "(session)".to_owned(),
                        false => place(&event.file, event.line)
                            .map(|place| format!("({place})"))
                            .unwrap_or_default(),
                    },
                ]
            })
            .collect();
        shown.extend(table::lines(&rows, &[Align::Left; 4]));
        let more = count - events.len() as u64;
        if more > 0 {
            shown.push(format!("  and {more} more"));
        }
    }
    shown
}

/// Where something was read, if that is known.
pub(super) fn place(file: &str, line: u64) -> Option<String> {
    (!file.is_empty()).then(|| format!("{}:{line}", file_name(file)))
}

/// A file's name without its folders: answers do not depend on where a book is run from.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
