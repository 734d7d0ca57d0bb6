//! Tables and values of the tree, read by type. What is not as expected is a mistake at its place.

use super::source::{Source, near, one_of, quoted};
use farebox_core::money::{DecimalError, Exact};
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// A table whose fields are taken one after the other. What nobody asked for is a mistake.
pub(super) struct Table<'t> {
    /// What it is, for messages: `charge "seat-days"`.
    pub(super) what: String,
    /// The byte where it is named.
    pub(super) at: usize,
    entries: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// The table at a value; a mistake if it is something else.
    pub(super) fn read(
        source: &mut Source<'_>,
        what: impl Into<String>,
        at: usize,
        value: &'t Value<'t>,
        example: &str,
    ) -> Option<Table<'t>> {
        let what = what.into();
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table::new(what, at, entries)),
            other => {
                let found = format!("{what} is {}", described(other));
                source.mistake(value.span().start, found, format!("a table: {example}"));
                None
            }
        }
    }

    pub(super) fn new(what: String, at: usize, entries: &'t DeTable<'t>) -> Table<'t> {
        Table { what, at, entries, known: Vec::new() }
    }

    /// The value of a field, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.known.push(key);
        self.entries.get(key)
    }

    /// The value of a field that must be there.
    pub(super) fn need(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        example: &str,
    ) -> Option<&'t Value<'t>> {
        let value = self.get(key);
        if value.is_none() {
            source.mistake(self.at, format!("{} has no field {key}", self.what), example);
        }
        value
    }

    /// Whether a field is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where a field is written; the table itself when it is not there.
    pub(super) fn place(&self, key: &str) -> usize {
        self.entries.get_key_value(key).map_or(self.at, |(key, _)| key.span().start)
    }

    /// Where the value of a field is written; the table itself when it is not there.
    pub(super) fn value_place(&self, key: &str) -> usize {
        self.entries.get(key).map_or(self.at, |value| value.span().start)
    }

    /// What a field is called in a message: `meter "calls": unit`.
    pub(super) fn label(&self, key: &str) -> String {
        format!("{}: {key}", self.what)
    }

    /// All fields, for a table whose keys are names: its key, its place, its value.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'t str, usize, &'t Value<'t>)> + use<'t> {
        self.entries.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value))
    }

    /// Reports the fields that nobody asked for.
    pub(super) fn finish(&self, source: &mut Source<'_>) {
        for (key, at, _) in self.each() {
            if !self.known.contains(&key) {
                let found = format!("unknown field {} in {}", quoted(key), self.what);
                let expected = one_of(self.known.iter().copied());
                source.suggest(at, found, expected, near(key, self.known.iter().copied()));
            }
        }
    }

    /// A text of one line, if it is there.
    pub(super) fn text(&mut self, source: &mut Source<'_>, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        text(source, &self.label(key), value).map(str::to_owned)
    }

    /// A text of one line that must be there.
    pub(super) fn need_text(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        example: &str,
    ) -> Option<String> {
        let value = self.need(source, key, example)?;
        text(source, &self.label(key), value).map(str::to_owned)
    }

    /// A list of names, empty when it is not there.
    pub(super) fn names(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        form: Form,
    ) -> Vec<(&'t str, usize)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let what = self.label(key);
        let Some(values) = list(source, &what, value, "a list of texts, such as [\"…\", \"…\"]") else {
            return Vec::new();
        };
        let mut names: Vec<(&'t str, usize)> = Vec::with_capacity(values.len());
        let mut seen = std::collections::BTreeSet::new();
        for value in values {
            let Some(name) = text(source, &what, value) else { continue };
            let at = value.span().start;
            if !form.check(source, &what, name, at) {
                continue;
            }
            if !seen.insert(name) {
                source.mistake(at, format!("{what} says {} twice", quoted(name)), "each once");
                continue;
            }
            names.push((name, at));
        }
        names
    }

    /// Yes or no; `default` when it is not there.
    pub(super) fn yes(&mut self, source: &mut Source<'_>, key: &'static str, default: bool) -> bool {
        match self.get(key).map(|value| (value.get_ref(), value.span().start)) {
            None => default,
            Some((DeValue::Boolean(yes), _)) => *yes,
            Some((other, at)) => {
                let found = format!("{} is {}", self.label(key), described(other));
                source.mistake(at, found, "true or false, without quotes");
                default
            }
        }
    }

    /// One of a few words, if it is there.
    pub(super) fn choice<T: Copy>(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let value = self.get(key)?;
        choice(source, &self.label(key), value, choices)
    }

    /// An exact number, if it is there.
    pub(super) fn number(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        kind: Number,
    ) -> Option<Exact> {
        let value = self.get(key)?;
        number(source, &self.label(key), value, kind)
    }

    /// A whole number in a range, if it is there.
    pub(super) fn whole(
        &mut self,
        source: &mut Source<'_>,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        whole(source, &self.label(key), value, range)
    }

    /// Rules of RULES.md that something implements.
    pub(super) fn rules(&mut self, source: &mut Source<'_>) -> Vec<String> {
        self.names(source, "rules", Form::Rule).into_iter().map(|(rule, _)| rule.to_owned()).collect()
    }
}

/// How a name must look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A name of this file: `basic-seat`.
    Name,
    /// An attribute of an event: `duration_s`, `tag:team`.
    Attribute,
    /// A rule: `R-YKF-4`.
    Rule,
    /// Any text.
    Any,
}

impl Form {
    /// Whether the name looks as it must; a mistake if not.
    pub(super) fn check(self, source: &mut Source<'_>, what: &str, name: &str, at: usize) -> bool {
        let good = self.fits(name);
        if !good {
            let expected = match self {
                Form::Name => "small letters, digits and hyphens, a letter first, 64 at most",
                Form::Attribute => "the name of an attribute, without spaces",
                Form::Rule => "the identifier of a rule, such as R-YKF-4",
                Form::Any => "",
            };
            let tidy = self.tidy(name).filter(|tidy| tidy != name && self.fits(tidy));
            source.suggest(at, format!("{what}: {} is no name here", quoted(name)), expected, tidy);
        }
        good
    }

    fn fits(self, name: &str) -> bool {
        match self {
            Form::Name => {
                name.len() <= 64
                    && name.starts_with(|c: char| c.is_ascii_lowercase())
                    && !name.ends_with('-')
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            }
            Form::Attribute => {
                !name.is_empty()
                    && name.len() <= 64
                    && name.chars().all(|c| !c.is_whitespace() && !c.is_control())
            }
            Form::Rule => {
                let mut parts = name.split('-');
                parts.next() == Some("R")
                    && parts.next().is_some_and(|subject| {
                        !subject.is_empty() && subject.bytes().all(|b| b.is_ascii_uppercase())
                    })
                    && parts.next().is_some_and(|number| {
                        (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
                    })
                    && parts.next().is_none()
            }
            Form::Any => true,
        }
    }

    fn tidy(self, name: &str) -> Option<String> {
        if name.len() > 64 {
            return None;
        }
        match self {
            Form::Name => Some(name.trim().to_lowercase().replace([' ', '_', '.'], "-")),
            Form::Attribute => Some(name.trim().replace(' ', "_")),
            Form::Rule => Some(name.trim().to_uppercase().replace([' ', '_'], "-")),
            Form::Any => None,
        }
    }
}

/// What kind of number is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// Money, zero or more, at most 10 decimals.
    Price,
    /// Units, zero or more, at most 9 decimals.
    Quantity,
    /// Units, above zero, at most 9 decimals.
    Positive,
    /// Any number, at most 9 decimals.
    Any,
}

/// What a value is, for messages.
pub(super) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(number) => format!("the number {}", clipped(&number.to_string())),
        DeValue::Float(number) => format!("the floating-point number {}", clipped(number.as_str())),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(when) => format!("the date {when}"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn clipped(number: &str) -> String {
    if number.len() <= 40 {
        number.into()
    } else {
        format!("{}…", number.chars().take(40).collect::<String>())
    }
}

/// A text of one line.
pub(super) fn text<'t>(source: &mut Source<'_>, what: &str, value: &'t Value<'t>) -> Option<&'t str> {
    let at = value.span().start;
    let DeValue::String(text) = value.get_ref() else {
        let suggestion = match value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {
                Some(source.slice(value.span()).to_owned())
            }
            _ => None,
        };
        let found = format!("{what} is {}", described(value.get_ref()));
        source.suggest(at, found, "a text in quotes", suggestion);
        return None;
    };
    if text.trim().is_empty() {
        source.mistake(at, format!("{what} is empty"), "a text, or to leave the field out");
        return None;
    }
    if text.chars().any(char::is_control) {
        source.mistake(at, format!("{what} has line breaks or control characters"), "a text of one line");
        return None;
    }
    Some(text)
}

/// A list.
pub(super) fn list<'t>(
    source: &mut Source<'_>,
    what: &str,
    value: &'t Value<'t>,
    example: &str,
) -> Option<Vec<&'t Value<'t>>> {
    match value.get_ref() {
        DeValue::Array(values) => Some(values.iter().collect()),
        other => {
            source.mistake(value.span().start, format!("{what} is {}", described(other)), example);
            None
        }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    source: &mut Source<'_>,
    what: &str,
    value: &Value<'_>,
    choices: &[(&str, T)],
) -> Option<T> {
    let words = || choices.iter().map(|(word, _)| *word);
    if let DeValue::String(word) = value.get_ref() {
        if let Some((_, choice)) = choices.iter().find(|(name, _)| name == word) {
            return Some(*choice);
        }
        let suggestion = near(word, words());
        source.suggest(
            value.span().start,
            format!("{what} is {}", quoted(word)),
            one_of(words()),
            suggestion,
        );
    } else {
        let found = format!("{what} is {}", described(value.get_ref()));
        source.mistake(value.span().start, found, format!("a text in quotes: {}", one_of(words())));
    }
    None
}

/// An exact number: a decimal in quotes, or a whole number without.
pub(super) fn number(source: &mut Source<'_>, what: &str, value: &Value<'_>, kind: Number) -> Option<Exact> {
    let at = value.span().start;
    let written = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 => {
            let digits = number.as_str();
            digits.strip_prefix('+').unwrap_or(digits)
        }
        DeValue::Float(number) => {
            let suggestion = Exact::parse(number.as_str(), 10).ok().map(|_| number.as_str().to_owned());
            let found = format!("{what} is {}", described(value.get_ref()));
            source.suggest(at, found, "an exact decimal in quotes, because floats are not exact", suggestion);
            return None;
        }
        other => {
            let found = format!("{what} is {}", described(other));
            source.mistake(at, found, "a decimal in quotes, such as \"0.08\", or a whole number");
            return None;
        }
    };
    let decimals = if kind == Number::Price { 10 } else { 9 };
    let exact = match Exact::parse(written, decimals) {
        Ok(exact) => exact,
        Err(error) => {
            let expected = match error {
                DecimalError::NotADecimal => {
                    "digits with one point at most, such as \"1250.10\": no thousands separator, no currency"
                        .into()
                }
                DecimalError::TooLarge => {
                    format!("at most {} digits before the point", Exact::MAX_INTEGER_DIGITS)
                }
                DecimalError::TooManyDecimals => format!("at most {decimals} decimals"),
            };
            let suggestion = tidy_decimal(written).filter(|tidy| Exact::parse(tidy, decimals).is_ok());
            source.suggest(at, format!("{what} is {}", clipped(&quoted(written))), expected, suggestion);
            return None;
        }
    };
    let expected = match kind {
        Number::Price if exact.is_negative() => "zero or more: a price is never negative",
        Number::Quantity if exact.is_negative() => "zero or more",
        Number::Positive if exact.is_negative() || exact.is_zero() => "a number above zero",
        _ => return Some(exact),
    };
    source.mistake(at, format!("{what} is {written}"), expected);
    None
}

/// The decimal inside `310.00 CNY` or `.5`. None where a comma could mean either of two things.
fn tidy_decimal(written: &str) -> Option<String> {
    if written.len() > 40 || written.contains(',') {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || c.is_alphabetic() || matches!(c, '$' | '€' | '£' | '¥' | '+');
    let core = written.trim_matches(ends).replace(['_', ' ', '\''], "");
    if let Some(decimals) = core.strip_prefix('.') {
        return Some(format!("0.{decimals}"));
    }
    Some(core.strip_suffix('.').unwrap_or(&core).to_owned()).filter(|core| core != written)
}

/// A whole number in a range.
pub(super) fn whole(
    source: &mut Source<'_>,
    what: &str,
    value: &Value<'_>,
    range: RangeInclusive<u32>,
) -> Option<u32> {
    let number = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| range.contains(number));
    if number.is_none() {
        let found = format!("{what} is {}", described(value.get_ref()));
        let expected = format!("a whole number from {} to {}, without quotes", range.start(), range.end());
        source.mistake(value.span().start, found, expected);
    }
    number
}
