//! A bill as one reads it.

use super::table::{self, Align};
use farebox_core::account::AccountHead;
use farebox_core::bill::{Bill, Line, LineKind};
use farebox_core::calendar::show_local;
use farebox_core::explain::show_period;
use farebox_core::money::Amount;
use std::collections::BTreeMap;

/// What of a bill is shown.
#[derive(Clone, Debug, Default)]
pub struct BillOptions {
    /// Each line with its sentence.
    pub explained: bool,
    /// Only lines of this kind, subscription, plan or charge.
    pub only: Option<String>,
}

/// The bill, line by line, with total, paid and due.
pub fn bill(head: &AccountHead, bill: &Bill, options: &BillOptions) -> Vec<String> {
    let mut shown = vec![header(head, bill)];
    let projects =
        bill.lines.iter().filter_map(|line| line.key.as_ref()).any(|key| key.split.project.is_some());
    let lines: Vec<&Line> = bill.lines.iter().filter(|line| is_shown(line, options)).collect();
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let number = line.id.rsplit('-').next().unwrap_or_default();
            vec![
                format!("  {number}"),
                described(line, projects),
                arithmetic(line, head),
                line.amount.decimal(head.currency),
            ]
        })
        .chain(totals(bill, options).into_iter().map(|(name, amount)| {
            vec![String::new(), name.to_owned(), String::new(), amount.decimal(head.currency)]
        }))
        .collect();
    let aligned = table::lines(&rows, &[Align::Right, Align::Left, Align::Left, Align::Point]);
    for (index, row) in aligned.into_iter().enumerate() {
        shown.push(row);
        if let (true, Some(line)) = (options.explained, lines.get(index)) {
            shown.extend(table::wrap(&line.explanation, 92, "       "));
        }
    }
    shown.extend(bill.notes.iter().map(|note| format!("  Note: {note}")));
    shown
}

fn header(head: &AccountHead, bill: &Bill) -> String {
    let period = show_period(&head.zone, bill.period);
    let what = if bill.posted.is_negative() { "Credit note" } else { "Bill" };
    let state = match bill.issued {
        Some(at) => format!("issued {}", show_local(&head.zone, at)),
        None => "draft".to_owned(),
    };
    format!("{what} {} · {} · {period} · {} · {state}", bill.id, head.title, head.currency)
}

fn is_shown(line: &Line, options: &BillOptions) -> bool {
    let Some(only) = options.only.as_deref() else { return true };
    let key = line.key.as_ref();
    line.kind.name() == only
        || line.plan == only
        || key.is_some_and(|key| key.subscription == only || key.charge == only)
}

fn described(line: &Line, projects: bool) -> String {
    let mut text = match line.kind {
        LineKind::Correction => format!("Correction: {}", line.description),
        _ => line.description.clone(),
    };
    let Some(key) = &line.key else { return text };
    if let Some(application) = &key.split.application {
        text.push_str(&format!(" · {application}"));
    }
    match &key.split.project {
        Some(project) => text.push_str(&format!(" [{project}]")),
        None if projects => text.push_str(" [unassigned]"),
        None => {}
    }
    for (tag, value) in &key.split.tags {
        text.push_str(&format!(" {tag}={value}"));
    }
    text
}

fn arithmetic(line: &Line, head: &AccountHead) -> String {
    match line.kind {
        LineKind::Rounding => String::new(),
        // The formula of a difference has the discounts in it.
        _ if line.discount.is_zero() || line.corrects.is_some() => line.formula.clone(),
        // A negotiated price can be above the list's.
        _ if line.discount.is_negative() => {
            format!("{} + {}", line.formula, line.discount.negated().decimal(head.currency))
        }
        _ => format!("{} − {}", line.formula, line.discount.decimal(head.currency)),
    }
}

fn totals(bill: &Bill, options: &BillOptions) -> Vec<(&'static str, Amount)> {
    if options.only.is_some() {
        return Vec::new();
    }
    let mut totals = vec![("Total", bill.posted)];
    if !bill.paid.is_zero() {
        totals.push(("Paid", bill.paid));
        totals.push(("Due", bill.due()));
    }
    totals
}

/// The bill's lines added up by project, application or a tag (R-ORG-2). What has none is shown as
/// unassigned; the rounding of the total is nobody's.
pub fn split(head: &AccountHead, bill: &Bill, by: &str) -> Vec<String> {
    let mut sums: BTreeMap<Option<String>, Amount> = BTreeMap::new();
    let (rounding, lines): (Vec<&Line>, Vec<&Line>) =
        bill.lines.iter().partition(|line| line.kind == LineKind::Rounding);
    for line in lines {
        let split = line.key.as_ref().map(|key| &key.split);
        let value = split.and_then(|split| match by {
            "project" => split.project.clone(),
            "application" => split.application.clone(),
            _ => split.tags.get(by.strip_prefix("tag:").unwrap_or(by)).cloned(),
        });
        let sum = sums.entry(value).or_default();
        *sum = sum.add(line.amount).unwrap_or(*sum);
    }
    let unassigned = sums.remove(&None);
    let rows: Vec<Vec<String>> = sums
        .into_iter()
        .map(|(name, sum)| (name.unwrap_or_default(), sum))
        .chain(unassigned.map(|sum| ("unassigned".to_owned(), sum)))
        .chain(rounding.into_iter().map(|line| ("rounding".to_owned(), line.amount)))
        .chain([("Total".to_owned(), bill.posted)])
        .map(|(name, sum)| vec![format!("  {name}"), sum.decimal(head.currency)])
        .collect();
    let mut shown = vec![format!("{}, by {by}", header(head, bill))];
    shown.extend(table::lines(&rows, &[Align::Left, Align::Point]));
    shown
}
