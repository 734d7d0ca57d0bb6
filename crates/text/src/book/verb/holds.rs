//! The verbs of sessions: `hold`, `extend`, `release`.

use super::super::ast::Attribute;
use super::super::ast::Word;
use super::super::lex::{Mistake, Words, name, push_attribute, quoted, twice};
use super::super::time::When;
use super::{ACCOUNT, decimal, halves, seconds, until};
use farebox_core::money::Exact;

/// `hold`, `extend` or `release`: about a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Whose.
    pub account: Word,
    /// Its name: the id that its record bears.
    pub id: Word,
    /// What becomes of it.
    pub step: SessionStep,
}

/// What becomes of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionStep {
    /// It begins.
    Hold {
        /// The type of its usage event.
        kind: Word,
        /// How much it may use.
        units: Exact,
        /// Who says its record; `book` when not given.
        source: Option<Word>,
        /// The attributes of its usage event.
        attributes: Vec<Attribute>,
        /// When it expires.
        deadline: Deadline,
    },
    /// It goes on.
    Extend {
        /// How much it may use in all.
        units: Exact,
        /// How much it has used.
        used: Exact,
        /// When it expires.
        deadline: Deadline,
    },
    /// It ends.
    Release {
        /// How much it has used.
        used: Exact,
    },
}

/// When a session expires if nothing is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deadline {
    /// So many seconds after the line's time.
    After(u32),
    /// At a time.
    At(When),
}

fn session(words: &mut Words) -> Result<(Word, Word), Mistake> {
    const FORM: &str = "ACCOUNT/ID, such as acme/call-1";
    const MOST: usize = 256;
    let word = words.need(FORM)?.word();
    let Some((account, id)) = halves(&word) else {
        return Err(Mistake::new(word.column, format!("{} without a /", quoted(&word.text)), FORM));
    };
    let count = id.text.chars().count();
    if count == 0 || count > MOST {
        let found = format!("an id of {count} characters");
        return Err(Mistake::new(id.column, found, "an id of 1 to 256 characters"));
    }
    Ok((name(account, ACCOUNT)?, id))
}

/// A number of what the meters measure.
fn units(words: &mut Words, zero: bool) -> Result<Exact, Mistake> {
    let token = words.need("units, such as 600")?;
    let units = decimal(&token.text, token.column, "number of units")?;
    if units < Exact::ZERO || (units.is_zero() && !zero) {
        let found = format!("the number of units {}", quoted(&token.text));
        let expected = if zero { "a number of zero or more" } else { "a number above zero" };
        return Err(Mistake::new(token.column, found, expected));
    }
    Ok(units)
}

/// `for 10m` or `until 10:30`: the first word is read.
fn deadline(words: &mut Words, keyword: &str, at: When) -> Result<Deadline, Mistake> {
    if keyword == "until" {
        return Ok(Deadline::At(until(words, at)?));
    }
    const FORM: &str = "a duration such as 10s, 5m, 1h or 1d";
    let token = words.need(FORM)?;
    let wrong = || Mistake::new(token.column, format!("the duration {}", quoted(&token.text)), FORM);
    let after = seconds(token.keyword()).filter(|after| *after > 0).ok_or_else(wrong)?;
    Ok(Deadline::After(after))
}

/// `hold ACCOUNT/ID TYPE UNITS [NAME=VALUE …] (for DURATION | until TIME)`
pub(super) fn hold(words: &mut Words, at: When) -> Result<Session, Mistake> {
    let (account, id) = session(words)?;
    let kind = words.name("a type of usage, such as call")?;
    let units = units(words, false)?;
    let (mut attributes, mut end): (Vec<Attribute>, Option<Deadline>) = (Vec::new(), None);
    while let Some(token) = words.next() {
        if matches!(token.keyword(), "for" | "until") {
            if end.replace(deadline(words, token.keyword(), at)?).is_some() {
                return Err(twice(&token.word()));
            }
            continue;
        }
        let Some((name, value)) = token.option() else {
            return Err(words.unexpected(&token, &["NAME=VALUE", "for", "until"]));
        };
        push_attribute(&mut attributes, name, value)?;
    }
    let source = attributes.iter().position(|one| one.name.text == "source");
    let source = source.map(|index| attributes.remove(index).value);
    let deadline = need(words, end)?;
    Ok(Session { account, id, step: SessionStep::Hold { kind, units, source, attributes, deadline } })
}

fn need(words: &mut Words, end: Option<Deadline>) -> Result<Deadline, Mistake> {
    match end {
        Some(end) => Ok(end),
        // The line has ended: this says so, and what is expected there.
        None => words
            .need("for DURATION, or until TIME")
            .and_then(|token| Err(words.unexpected(&token, &["for", "until"]))),
    }
}

/// `extend ACCOUNT/ID UNITS [used UNITS] (for DURATION | until TIME)`
pub(super) fn extend(words: &mut Words, at: When) -> Result<Session, Mistake> {
    let (account, id) = session(words)?;
    let all = units(words, false)?;
    let (mut used, mut end): (Option<Exact>, Option<Deadline>) = (None, None);
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "used" => used.replace(units(words, true)?).is_some(),
            "for" | "until" => end.replace(deadline(words, token.keyword(), at)?).is_some(),
            _ => return Err(words.unexpected(&token, &["used", "for", "until"])),
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    let (deadline, used) = (need(words, end)?, used.unwrap_or_default());
    Ok(Session { account, id, step: SessionStep::Extend { units: all, used, deadline } })
}

/// `release ACCOUNT/ID UNITS`
pub(super) fn release(words: &mut Words) -> Result<Session, Mistake> {
    let (account, id) = session(words)?;
    Ok(Session { account, id, step: SessionStep::Release { used: units(words, true)? } })
}
