//! The bill of the running month: what it comes to so far, and at the month's end.

use super::table::{self, Align};
use farebox_core::account::AccountHead;
use farebox_core::bill::{Line, LineKind};
use farebox_core::calendar::{Instant, Span, show_local};
use farebox_core::explain::show_period;
use farebox_core::money::{Amount, Exact};
use std::collections::BTreeMap;

/// For each title of a charge what it comes to: to date, if open cycles ended now, and at the month's
/// end. Of a member, its own lines.
pub fn upcoming(
    head: &AccountHead,
    payer: &AccountHead,
    (month, at): (Span, Instant),
    to_date: &[Line],
    forecast: &[Line],
) -> Vec<String> {
    let counts =
        |line: &&Line| line.kind != LineKind::Rounding && (head.payer.is_none() || line.account == head.id);
    let mut sums: BTreeMap<&str, [Amount; 2]> = BTreeMap::new();
    let mut totals = [Amount::ZERO; 2];
    for (column, lines) in [to_date, forecast].into_iter().enumerate() {
        for line in lines.iter().filter(counts) {
            let title = if line.title.is_empty() { line.description.as_str() } else { line.title.as_str() };
            for sum in [&mut sums.entry(title).or_default()[column], &mut totals[column]] {
                *sum = sum.add(line.amount).unwrap_or(*sum);
            }
        }
    }
    let zone = &payer.zone;
    let mut shown = vec![format!(
        "Upcoming bill {}-{} · {} · {} · {} · {}",
        payer.id,
        zone.date(month.start).strftime("%Y-%m"),
        head.title,
        show_period(zone, month),
        head.currency,
        show_local(zone, at),
    )];
    let mut rows = vec![vec![String::new(), "to date".to_owned(), "forecast".to_owned()]];
    let totals = totals.map(|total| total.round_to_minor(head.currency));
    for (title, amounts) in sums.into_iter().chain([("Total", totals)]) {
        let mut row = vec![format!("  {title}")];
        row.extend(amounts.map(|amount| amount.round_to_minor(head.currency).decimal(head.currency)));
        rows.push(row);
    }
    shown.extend(table::lines(&rows, &[Align::Left, Align::Right, Align::Right]));
    let length = |span: Span| span.end.as_nanosecond() - span.start.as_nanosecond();
    let passed = Exact::ratio(100 * length(Span { start: month.start, end: at }), length(month));
    let passed = passed.and_then(|passed| passed.round(1).ok()).unwrap_or(Exact::ZERO);
    let text = format!(
        "The forecast is no charge: what is held goes on as it is, and metered usage as in the {passed} % of the month that have passed."
    );
    shown.extend(table::wrap(&text, 92, "  "));
    shown
}
