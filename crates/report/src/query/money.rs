//! Questions about money: the statement of an account.

use super::{When, Wrong, account, month, nothing_after, payer_of};
use crate::report;
use crate::source::Source;
use farebox_core::calendar::{Cycle, Instant, Span};
use farebox_text::book::Word;

/// The end of the month asked for. A statement of everything is as of the clock.
pub(super) fn statement_moment<'a>(source: &dyn Source, words: &'a [Word]) -> Result<When, Wrong<'a>> {
    let payer = payer_of(source, account(source, words)?);
    if words.get(2).is_none() {
        return Ok(When::Now);
    }
    nothing_after(words, 3)?;
    let zone = &payer.head.zone;
    Ok(When::After(zone.cycle(Cycle::Month, month(words, zone)?)))
}

/// The movements of an account's money, of one month or of all time.
pub(super) fn statement<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let asked = account(source, words)?;
    let payer = payer_of(source, asked);
    if payer.head.id != asked.head.id {
        return Ok(vec![format!("paid by {}, of its balance", payer.head.id)]);
    }
    let zone = &payer.head.zone;
    let span = match words.get(2) {
        Some(_) => Some(zone.cycle(Cycle::Month, month(words, zone)?)),
        None => None,
    };
    let word = &words[0];
    let all = Span { start: Instant::MIN, end: Instant::MAX };
    report::statement(payer, span.unwrap_or(all), span.is_some())
        .map_err(|_| (word, "sums that do not fit".to_owned(), String::new()))
}
