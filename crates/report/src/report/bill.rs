//! A bill as one reads it.

use super::split::{self, Parties};
use super::table::{self, Align};
use farebox_core::account::AccountHead;
use farebox_core::bill::{Bill, Line, LineKind};
use farebox_core::calendar::{Zone, show_local};
use farebox_core::explain::show_period;
use farebox_core::money::Amount;

/// What of a bill is shown.
#[derive(Clone, Debug, Default)]
pub struct BillOptions {
    /// Each line with its sentence.
    pub explained: bool,
    /// Only lines of this kind, subscription, plan or charge.
    pub only: Option<String>,
}

/// The bill, line by line, with total, paid and due.
///
/// Lines stand under headings with subtotals where the bill has lines of members (R-ORG-1), or
/// else of plans with different bill groups, one of them named by its price list (R-TCCC-16).
pub fn bill(head: &AccountHead, bill: &Bill, parties: &Parties<'_>, options: &BillOptions) -> Vec<String> {
    let lines: Vec<&Line> = bill.lines.iter().filter(|line| is_shown(line, options)).collect();
    let mut shown = vec![header(head, bill)];
    let sections = split::sections(head, &lines, parties);
    let projects = bill.lines.iter().any(has_project);
    shown.extend(listed(head, projects, &sections, totals(bill, options), options));
    shown.extend(bill.notes.iter().map(|note| format!("  Note: {note}")));
    table::legible(shown)
}

/// What a member has on the bill of the account that pays for it (R-ORG-1). `None`: nothing.
pub fn share(
    member: &AccountHead,
    bill: &Bill,
    parties: &Parties<'_>,
    options: &BillOptions,
) -> Option<Vec<String>> {
    let own = |line: &&Line| line.key.is_some() && line.account == member.id;
    let lines: Vec<&Line> = bill.lines.iter().filter(own).collect();
    if lines.is_empty() {
        return None;
    }
    let sum = split::sum(&lines);
    let projects = lines.iter().any(|line| has_project(line));
    let lines: Vec<&Line> = lines.into_iter().filter(|line| is_shown(line, options)).collect();
    let mut shown = vec![format!(
        "{} · paid by {}",
        header_of(member, parties.zone(member), bill, "Share of bill"),
        member.payer()
    )];
    let totals = if options.only.is_some() { Vec::new() } else { vec![("Total".to_owned(), sum)] };
    let sections = split::sections(member, &lines, parties);
    shown.extend(listed(member, projects, &sections, totals, options));
    Some(shown)
}

fn has_project(line: &Line) -> bool {
    line.key.as_ref().is_some_and(|key| key.split.project.is_some())
}

/// Lines, in sections or all together, and what stands below them.
fn listed(
    head: &AccountHead,
    projects: bool,
    sections: &[split::Section<'_>],
    totals: Vec<(String, Amount)>,
    options: &BillOptions,
) -> Vec<String> {
    let row = |line: &Line| {
        let number = line.id.rsplit('-').next().unwrap_or_default();
        let what = described(line, projects);
        vec![format!("  {number}"), what, arithmetic(line, head), line.amount.decimal(head.currency)]
    };
    let sum = |name: &str, amount: Amount| {
        vec![String::new(), name.to_owned(), String::new(), amount.decimal(head.currency)]
    };
    let mut rows = Vec::new();
    // What stands above and below each row.
    let mut around: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    for section in sections {
        for (index, line) in section.lines.iter().enumerate() {
            rows.push(row(line));
            let heading = section.title.as_deref().filter(|_| index == 0);
            around.push((heading, options.explained.then_some(line.explanation.as_str())));
        }
        if section.title.is_some() {
            rows.push(sum("Subtotal", split::sum(&section.lines)));
            around.push((None, None));
        }
    }
    rows.extend(totals.into_iter().map(|(name, amount)| sum(&name, amount)));
    let aligned = table::lines(&rows, &[Align::Right, Align::Left, Align::Left, Align::Point]);
    let mut shown = Vec::new();
    for (index, row) in aligned.into_iter().enumerate() {
        let (above, below) = around.get(index).copied().unwrap_or_default();
        shown.extend(above.map(|heading| format!("  {heading}")));
        shown.push(row);
        shown.extend(below.into_iter().flat_map(|text| table::wrap(text, 92, "       ")));
    }
    shown
}

pub(super) fn header(head: &AccountHead, bill: &Bill) -> String {
    header_of(head, &head.zone, bill, if bill.posted.is_negative() { "Credit note" } else { "Bill" })
}

/// `zone`: that of the account that pays, whose months bills are.
pub(super) fn header_of(head: &AccountHead, zone: &Zone, bill: &Bill, what: &str) -> String {
    let period = show_period(zone, bill.period);
    let state = match bill.issued {
        Some(at) => format!("issued {}", show_local(zone, at)),
        None => match &bill.held {
            Some(held) => format!("draft, held back: {}", held.reason),
            None => "draft".to_owned(),
        },
    };
    let due = bill.due_at.map(|at| format!(" · due {}", show_local(zone, at))).unwrap_or_default();
    format!("{what} {} · {} · {period} · {} · {state}{due}", bill.id, head.title, head.currency)
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

/// The total, how it was settled, and what is due: what coupons paid comes before money (R-MON-2).
fn totals(bill: &Bill, options: &BillOptions) -> Vec<(String, Amount)> {
    if options.only.is_some() {
        return Vec::new();
    }
    let mut totals = vec![("Total".to_owned(), bill.posted)];
    totals.extend(bill.coupons.iter().map(|(id, paid)| (format!("Coupon {id}"), paid.negated())));
    if !bill.paid.is_zero() {
        totals.push(("Paid".to_owned(), bill.paid));
    }
    for note in &bill.credits {
        totals.push((format!("Credit note {}: {}", note.id, note.reason), note.amount.negated()));
    }
    if !bill.written_off.is_zero() {
        totals.push(("Written off".to_owned(), bill.written_off.negated()));
    }
    if totals.len() > 1 {
        totals.push(("Due".to_owned(), bill.due()));
    }
    totals
}
