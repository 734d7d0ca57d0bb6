//! Questions about cost: over several months, against budgets, and what is coming.

use super::{When, Wrong, account, argument, by, date, first_of, group_of, nothing_after, parties, payer_of};
use crate::report;
use crate::source::Source;
use farebox_core::bill::Line;
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::cost::By;
use farebox_core::engine::preview;
use farebox_text::book::Word;

/// The most months that one table shows.
const MONTHS_MAX: usize = 120;

/// The first moments of the first and the last month, and what to add up by.
fn cost_words<'a>(words: &'a [Word], zone: &Zone) -> Result<(Instant, Instant, By), Wrong<'a>> {
    let month = |word: &'a Word| {
        let wrong = || (word, format!("\"{}\"", word.text), "a month as YYYY-MM".to_owned());
        first_of(&word.text, zone).ok_or_else(wrong)
    };
    let from = argument(words, 2, "a month")?;
    let (to, rest) = match words.get(3) {
        Some(word) if word.text != "by" => (word, 4),
        _ => (from, 3),
    };
    let (first, last) = (month(from)?, month(to)?);
    if last < first {
        return Err((to, format!("\"{}\"", to.text), format!("{} or a later month", from.text)));
    }
    let word = argument(words, rest, "by WHAT")?;
    if word.text != "by" {
        return Err((word, format!("\"{}\"", word.text), "by".to_owned()));
    }
    let what = argument(words, rest + 1, "what to add up by")?;
    if let Some(more) = words.get(rest + 2) {
        return Err((more, format!("\"{}\"", more.text), "nothing after it".to_owned()));
    }
    Ok((first, last, by(what, &what.text)?))
}

pub(super) fn cost_moment<'a>(source: &dyn Source, words: &'a [Word]) -> Result<When, Wrong<'a>> {
    let account = account(source, words)?;
    let zone = &payer_of(source, account).head.zone;
    let (_, last, _) = cost_words(words, zone)?;
    Ok(When::After(zone.cycle(Cycle::Month, last)))
}

/// What several months cost, as a table (R-ORG-2).
pub(super) fn cost<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let account = account(source, words)?;
    let payer = payer_of(source, account);
    let zone = &payer.head.zone;
    let (first, last, by) = cost_words(words, zone)?;
    let mut bills = Vec::new();
    let mut at = first;
    while at <= last {
        if bills.len() == MONTHS_MAX {
            let word = &words[3];
            return Err((word, format!("\"{}\"", word.text), format!("at most {MONTHS_MAX} months")));
        }
        let month = zone.cycle(Cycle::Month, at);
        bills.push((month, payer.bills.get(&month.start).map(Box::as_ref)));
        at = month.end;
    }
    Ok(report::cost(&account.head, &bills, &parties(source, &account.head.id), &by))
}

/// The month that a question about budgets names, if it names one.
fn month_named(words: &[Word], zone: &Zone) -> Option<Instant> {
    words.get(2).and_then(|word| first_of(&word.text, zone))
}

pub(super) fn budgets_moment<'a>(source: &dyn Source, words: &'a [Word]) -> Result<When, Wrong<'a>> {
    let account = account(source, words)?;
    let zone = &payer_of(source, account).head.zone;
    match month_named(words, zone) {
        Some(month) => nothing_after(words, 3).map(|()| When::After(zone.cycle(Cycle::Month, month))),
        None => date(source, words, 2),
    }
}

/// What budgets allow, and what is spent of them (R-BUD-1).
pub(super) fn budgets<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let account = account(source, words)?;
    let zone = &payer_of(source, account).head.zone;
    let month = zone.cycle(Cycle::Month, month_named(words, zone).unwrap_or(source.now()));
    Ok(report::budgets(&account.head, group_of(source, &account.head.id), zone, month))
}

/// The bill of the running month: a draft to date, and a forecast to the month's end.
pub(super) fn upcoming<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let account = account(source, words)?;
    let payer = payer_of(source, account);
    let (id, group, at) = (&payer.head.id, group_of(source, &account.head.id), source.now());
    let month = payer.head.zone.cycle(Cycle::Month, at);
    let (catalogues, metering, late) = (source.catalogues(), source.metering(id), source.late_of(id));
    let wrong =
        |refusal| (&words[1], format!("no preview: {refusal}"), "an earlier or later date".to_owned());
    let open = preview::draft(group, catalogues, metering, id, at, &late).map_err(wrong)?;
    let then = preview::forecast(group, catalogues, metering, id, at, &late, month).map_err(wrong)?;
    let of_month = |group: &'_ farebox_core::account::Group| -> Vec<Line> {
        let bill = group.get(id).and_then(|payer| payer.bills.get(&month.start));
        bill.map(|bill| bill.lines.clone()).unwrap_or_default()
    };
    let mut to_date = of_month(group);
    to_date.extend(open);
    Ok(report::upcoming(&account.head, &payer.head, (month, at), &to_date, &of_month(&then)))
}
