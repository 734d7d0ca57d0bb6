//! The verbs about licences: `login`, `logout`, `licence`, `mobile`, `monitor`, `phone`, `reset`.
//!
//! All but `reset` are one thing: a way of using an application begins or ends. The ways are the
//! catalogue's words; `mobile`, `monitor` and `phone` are short for the ways of these names.

use super::ast::Word;
use super::lex::{Mistake, Words, name, quoted};
use super::verb::halves;

/// `licence ACCOUNT/APPLICATION HOLDER WAY (on | off | failed) [with LICENCE]`, and its shorter forms
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceUse {
    /// The account.
    pub account: Word,
    /// Its application.
    pub application: Word,
    /// The e-mail, or the name of a phone.
    pub holder: Word,
    /// The way of use.
    pub way: Word,
    /// What becomes of it.
    pub change: UseChange,
    /// With a licence of this name; without it, any that is for the way.
    pub licence: Option<Word>,
}

/// What becomes of a way of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseChange {
    /// It begins.
    On,
    /// It ends.
    Off,
    /// It did not come about.
    Failed,
}

/// `reset ACCOUNT/APPLICATION [LICENCE]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceReset {
    /// The account.
    pub account: Word,
    /// Its application.
    pub application: Word,
    /// Only licences of this name.
    pub licence: Option<Word>,
}

const LICENCE: &str = "the name of a licence";

fn application(words: &mut Words) -> Result<(Word, Word), Mistake> {
    const FORM: &str = "ACCOUNT/APPLICATION, such as acme/support";
    let word = words.need(FORM)?.word();
    let Some((account, application)) = halves(&word) else {
        return Err(Mistake::new(word.column, format!("{} without a /", quoted(&word.text)), FORM));
    };
    Ok((name(account, "the name of an account")?, name(application, "the name of an application")?))
}

/// An e-mail or the name of a phone: what it must look like is the core's knowledge.
fn holder(words: &mut Words) -> Result<Word, Mistake> {
    const MOST: usize = 320;
    let word = words.need("an e-mail, or the name of a phone")?.word();
    let count = word.text.chars().count();
    if word.text.trim().is_empty() || count > MOST {
        let found =
            if count > MOST { format!("a name of {count} characters") } else { "an empty name".into() };
        return Err(Mistake::new(word.column, found, "an e-mail, or the name of a phone"));
    }
    Ok(word)
}

/// `[with LICENCE]`, at the end of a line.
fn with(words: &mut Words, before: &[&str]) -> Result<Option<Word>, Mistake> {
    match words.next() {
        None => Ok(None),
        Some(token) if token.keyword() == "with" => Ok(Some(words.name(LICENCE)?)),
        Some(token) => Err(words.unexpected(&token, &[before, &["with"]].concat())),
    }
}

/// `login …` and `logout …`: a way by its name.
pub(super) fn session(words: &mut Words, begins: bool) -> Result<LicenceUse, Mistake> {
    let (account, application) = application(words)?;
    let holder = holder(words)?;
    let via = words.need("via WAY")?;
    if via.keyword() != "via" {
        return Err(words.unexpected(&via, &["via"]));
    }
    let way = words.name("a way of use, such as web")?;
    let mut change = if begins { UseChange::On } else { UseChange::Off };
    if begins && words.take("failed").is_some() {
        change = UseChange::Failed;
    }
    let expected: &[&str] = if change == UseChange::On { &["failed"] } else { &[] };
    let licence = if begins { with(words, expected)? } else { None };
    Ok(LicenceUse { account, application, holder, way, change, licence })
}

const SWITCH: &[(&str, UseChange)] = &[("on", UseChange::On), ("off", UseChange::Off)];
const PHONE: &[(&str, UseChange)] = &[("online", UseChange::On), ("offline", UseChange::Off)];
const ANY: &[(&str, UseChange)] =
    &[("on", UseChange::On), ("off", UseChange::Off), ("failed", UseChange::Failed)];

/// `mobile …`, `monitor …`, `phone …`: the verb, at this column, is the name of the way.
pub(super) fn short(words: &mut Words, verb: &str, column: usize) -> Result<LicenceUse, Mistake> {
    let changes = if verb == "phone" { PHONE } else { SWITCH };
    let (account, application) = application(words)?;
    let holder = holder(words)?;
    let way = Word { text: verb.to_owned(), column };
    let (change, licence) = (change(words, changes)?, with(words, &[])?);
    Ok(LicenceUse { account, application, holder, way, change, licence })
}

/// `licence …`: any way.
pub(super) fn licence(words: &mut Words) -> Result<LicenceUse, Mistake> {
    let (account, application) = application(words)?;
    let holder = holder(words)?;
    let way = words.name("a way of use, such as web")?;
    let (change, licence) = (change(words, ANY)?, with(words, &[])?);
    Ok(LicenceUse { account, application, holder, way, change, licence })
}

fn change(words: &mut Words, changes: &[(&str, UseChange)]) -> Result<UseChange, Mistake> {
    let names: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    let token = words.need(&names.join(" or "))?;
    let found = changes.iter().find(|(name, _)| *name == token.keyword());
    found.map(|(_, change)| *change).ok_or_else(|| words.unexpected(&token, &names))
}

/// `reset ACCOUNT/APPLICATION [LICENCE]`
pub(super) fn reset(words: &mut Words) -> Result<LicenceReset, Mistake> {
    let (account, application) = application(words)?;
    let licence = if words.peek().is_some() { Some(words.name(LICENCE)?) } else { None };
    Ok(LicenceReset { account, application, licence })
}
