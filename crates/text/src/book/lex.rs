//! A line into words, and a cursor that takes them one by one.
//!
//! Words are separated by blanks or tabs. A quoted part, with `\"` and `\\` in it, may be a whole
//! word or what follows an option's `=`. A `#` after two blanks or a tab begins a comment.

use super::ast::{Attribute, Word};
use super::time::{self, When, Written};
use crate::diagnostic::{Diagnostic, nearest};

/// A mistake on the line being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) column: usize,
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) suggestion: Option<String>,
}

impl Mistake {
    pub(super) fn new(column: usize, found: impl Into<String>, expected: impl Into<String>) -> Mistake {
        Mistake { column, found: found.into(), expected: expected.into(), suggestion: None }
    }

    /// Suggests the known name that the text is nearest to, if it is near.
    pub(super) fn near<'a>(mut self, text: &str, known: impl IntoIterator<Item = &'a str>) -> Mistake {
        self.suggestion = nearest(text, known);
        self
    }

    pub(super) fn at(self, file: &str, line: usize) -> Diagnostic {
        let Mistake { column, found, expected, suggestion } = self;
        Diagnostic { file: file.to_owned(), line, column, found, expected, suggestion }
    }
}

/// Text from the file inside a message: in quotes, cut at 40 characters, control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(shown_char).collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

fn shown_char(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// A word of a line.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Its text, quotes and escapes resolved.
    pub(super) text: String,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// Bytes of `text` before the quoted part; all of them when nothing is quoted.
    bare: usize,
}

impl Token {
    pub(super) fn is_quoted(&self) -> bool {
        self.bare < self.text.len() || self.text.is_empty()
    }

    /// The word when it stands without quotes: only then can it be a keyword.
    pub(super) fn keyword(&self) -> &str {
        if self.is_quoted() { "" } else { &self.text }
    }

    pub(super) fn word(self) -> Word {
        Word { text: self.text, column: self.column }
    }

    /// `name=value` in two, when it has that form; the value's column is that of its first
    /// character or quote.
    pub(super) fn option(&self) -> Option<(Word, Word)> {
        let at = self.text[..self.bare].find('=')?;
        let name = Word { text: self.text[..at].to_owned(), column: self.column };
        let column = self.column + name.text.chars().count() + 1;
        Some((name, Word { text: self.text[at + 1..].to_owned(), column }))
    }
}

/// The words of a line, without its comment.
#[derive(Clone, Debug)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// Column just after the last word.
    pub(super) end: usize,
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Cuts a line, without its line end, into words. `first_column`: that of its first character.
pub(super) fn lex(line: &str, first_column: usize) -> Result<Lexed, Mistake> {
    let mut lexed = Lexed { tokens: Vec::new(), end: first_column };
    let mut chars = line.chars().peekable();
    let mut column = first_column;
    loop {
        let mut blanks = 0;
        while let Some(c) = chars.next_if(|c| is_blank(*c)) {
            blanks += if c == '\t' { 2 } else { 1 };
            column += 1;
        }
        let Some(&first) = chars.peek() else { return Ok(lexed) };
        if first == '#' {
            if blanks >= 2 || lexed.tokens.is_empty() {
                return Ok(lexed);
            }
            return Err(Mistake::new(column, "a word that begins with #", "two blanks before a comment's #"));
        }
        let start = column;
        let mut text = String::new();
        let mut bare = None;
        while let Some(c) = chars.next_if(|c| !is_blank(*c)) {
            column += 1;
            if bare.is_some() {
                return Err(Mistake::new(
                    column - 1,
                    quoted(&c.to_string()),
                    "a blank after the closing quote",
                ));
            }
            if c == '"' {
                if !(text.is_empty() || text.ends_with('=')) {
                    return Err(Mistake::new(
                        column - 1,
                        "a quote inside a word",
                        "quotes around the whole word, or right after =",
                    ));
                }
                bare = Some(text.len());
                quoted_part(&mut chars, &mut column, &mut text)?;
            } else if c.is_control() || c.is_whitespace() || c == '\u{feff}' {
                return Err(Mistake::new(
                    column - 1,
                    format!("the character U+{:04X}", u32::from(c)),
                    "blanks and tabs alone between words",
                ));
            } else {
                text.push(c);
            }
        }
        lexed.end = column;
        let bare = bare.unwrap_or(text.len());
        lexed.tokens.push(Token { text, column: start, bare });
    }
}

/// The rest of a quoted part, its closing quote included.
fn quoted_part(
    chars: &mut impl Iterator<Item = char>,
    column: &mut usize,
    text: &mut String,
) -> Result<(), Mistake> {
    let opened = *column - 1;
    while let Some(c) = chars.next() {
        *column += 1;
        match c {
            '"' => return Ok(()),
            '\\' => {
                *column += 1;
                match chars.next() {
                    Some(escaped @ ('"' | '\\')) => text.push(escaped),
                    Some(other) => {
                        let found = format!("the escape {}", quoted(&format!("\\{other}")));
                        return Err(Mistake::new(*column - 2, found, "\\\" or \\\\"));
                    }
                    None => break,
                }
            }
            c if c.is_control() && c != '\t' => {
                let found = format!("the character U+{:04X}", u32::from(c));
                return Err(Mistake::new(
                    *column - 1,
                    found,
                    "a text on one line, without control characters",
                ));
            }
            c => text.push(c),
        }
    }
    Err(Mistake::new(opened, "a quote that is never closed", "a closing quote on the same line"))
}

/// Takes the words of one line in order.
pub(super) struct Words {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    end: usize,
    /// The whole line's form, for messages: `topup ACCOUNT AMOUNT`.
    form: &'static str,
}

impl Words {
    pub(super) fn new(lexed: Lexed, form: &'static str) -> Words {
        Words { tokens: lexed.tokens.into_iter().peekable(), end: lexed.end, form }
    }

    /// From here on, messages show this form.
    pub(super) fn set_form(&mut self, form: &'static str) {
        self.form = form;
    }

    pub(super) fn peek(&mut self) -> Option<&Token> {
        self.tokens.peek()
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    /// The next word, or a mistake that says what is missing.
    pub(super) fn need(&mut self, what: &str) -> Result<Token, Mistake> {
        let (end, form) = (self.end, self.form);
        self.next().ok_or_else(|| Mistake::new(end, "the line ends", format!("{what}, as in `{form}`")))
    }

    /// Takes the next word if it is this keyword.
    pub(super) fn take(&mut self, keyword: &str) -> Option<Token> {
        self.tokens.next_if(|token| token.keyword() == keyword)
    }

    /// A mistake about a word that does not fit here.
    pub(super) fn unexpected(&self, token: &Token, options: &[&str]) -> Mistake {
        let expected = match options {
            [] => format!("the end of the line, as in `{}`", self.form),
            [one] => format!("{one}, as in `{}`", self.form),
            [many @ .., last] => format!("{} or {last}, as in `{}`", many.join(", "), self.form),
        };
        let found = format!("unexpected {}", quoted(&token.text));
        let written = token.keyword().split('=').next().unwrap_or_default();
        Mistake::new(token.column, found, expected).near(written, options.iter().copied())
    }

    /// Nothing may be left.
    pub(super) fn finish(mut self) -> Result<(), Mistake> {
        match self.next() {
            None => Ok(()),
            Some(token) => Err(self.unexpected(&token, &[])),
        }
    }

    /// The name of an account or a subscription.
    pub(super) fn name(&mut self, what: &str) -> Result<Word, Mistake> {
        let token = self.need(what)?;
        name(token.word(), what)
    }

    /// A date, and the time of day in the next word if that is one.
    pub(super) fn written(&mut self) -> Result<Written, Mistake> {
        let date = self.need(time::DATE_FORM)?;
        let time = match date.text.contains('T') {
            true => None,
            false => self.tokens.next_if(|next| time::looks_like_time(next.keyword())),
        };
        time::written(&date.text, date.column, time.as_ref().map(|time| (time.text.as_str(), time.column)))
    }

    /// The same, as a time of the tree.
    pub(super) fn when(&mut self) -> Result<When, Mistake> {
        self.written()?.when()
    }
}

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// Checks the name of an account, a subscription, a plan, a charge.
pub(super) fn name(word: Word, what: &str) -> Result<Word, Mistake> {
    let bad = word.text.chars().position(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    let expected = || format!("{what}: letters, digits, -, _ and ., at most 64");
    if word.text.is_empty() {
        return Err(Mistake::new(word.column, "an empty name", expected()));
    }
    if bad.is_some() {
        return Err(Mistake::new(word.column, format!("the name {}", quoted(&word.text)), expected()));
    }
    let count = word.text.chars().count();
    if count > NAME_CHARS_MAX {
        return Err(Mistake::new(word.column, format!("a name of {count} characters"), expected()));
    }
    Ok(word)
}

/// Checks the name of an account that is to be opened: one of dots alone is no part of an address (RFC 3986, 5.2.4), so that
/// nobody could ask a server for it. Those that were opened once are called by it.
pub(super) fn new_name(word: Word, what: &str) -> Result<Word, Mistake> {
    if word.text.chars().all(|c| c == '.') {
        let expected = format!("{what}: a letter, a digit, - or _ in it");
        return Err(Mistake::new(word.column, format!("the name {}", quoted(&word.text)), expected));
    }
    Ok(word)
}

/// Adds an attribute: a proper name, not given before.
pub(super) fn push_attribute(list: &mut Vec<Attribute>, name: Word, value: Word) -> Result<(), Mistake> {
    check_key(&name)?;
    if value.text.is_empty() {
        let found = format!("nothing after {}=", name.text);
        return Err(Mistake::new(value.column, found, "a value right after the ="));
    }
    if list.iter().any(|attribute| attribute.name.text == name.text) {
        return Err(twice(&name));
    }
    list.push(Attribute { name, value });
    Ok(())
}

/// Checks the name before an `=`: as other names, and `:` for tags.
pub(super) fn check_key(name: &Word) -> Result<(), Mistake> {
    let proper = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let count = name.text.chars().count();
    if count == 0 || count > NAME_CHARS_MAX || !name.text.chars().all(proper) {
        let found = format!("the name {}", quoted(&name.text));
        return Err(Mistake::new(
            name.column,
            found,
            "NAME=VALUE with a name of letters, digits, -, _, . and :",
        ));
    }
    Ok(())
}

/// Something is said a second time.
pub(super) fn twice(word: &Word) -> Mistake {
    Mistake::new(word.column, format!("{} a second time", quoted(&word.text)), "each at most once")
}
