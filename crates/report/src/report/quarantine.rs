//! What became of usage: counts by file, and what could not be billed.

use super::explain::{file_name, place};
use super::table::{self, Align};
use crate::source::InQuarantine;
use farebox_text::import::Summary;

/// Each piece of usage in quarantine with its place and reason.
pub fn quarantine(found: &InQuarantine) -> Vec<String> {
    if found.is_empty() {
        return vec!["quarantine is empty".to_owned()];
    }
    let rows: Vec<Vec<String>> = found
        .listed
        .iter()
        .map(|one| {
            vec![
                place(&one.file, one.line).unwrap_or_else(|| "unknown place".to_owned()),
                one.code.clone(),
                one.sentence.clone(),
                one.what.clone(),
            ]
        })
        .collect();
    let mut shown = table::lines(&rows, &[Align::Left; 4]);
    if found.more > 0 {
        shown.push(format!("and {} more", found.more));
    }
    table::legible(shown)
}

/// What each usage file came to; the columns add up to its rows.
pub fn imports(imports: &[(String, Summary)]) -> Vec<String> {
    let mut shown = Vec::new();
    for (file, sum) in imports {
        let mut among = Vec::new();
        if sum.calls > 0 {
            among.push(format!("{} calls, {} connected, {} s", sum.calls, sum.connected, sum.seconds));
        }
        if sum.revised > 0 {
            among.push(format!("{} revised", sum.revised));
        }
        let among = if among.is_empty() { String::new() } else { format!(" ({})", among.join(", ")) };
        shown.push(format!(
            "{}: {} rows: {} counted{among}, {} duplicate, {} not billable, {} ignored by rule, {} quarantined",
            file_name(file),
            sum.rows,
            sum.counted,
            sum.duplicates,
            sum.not_billable,
            sum.ignored,
            sum.quarantined,
        ));
        for (code, rows) in &sum.reasons {
            shown.push(format!("  {rows} {code}"));
        }
    }
    shown
}
