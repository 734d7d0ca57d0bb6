//! Personal values made unreadable: in entries, in usage, in what was wished.
//!
//! Each becomes a token, the same for the same value within one erasure, made with a secret that is thrown away
//! afterwards: numbers can be enumerated, so a hash without one would hide nothing. Which fields of a stored record are
//! personal is said beside each in [`crate::stored`]; of usage, every attribute is, but for what price lists name
//! ([`Public`]). Nothing that money is worked out by changes.

use crate::codec::{Corrupt, Stored, Writer};
use crate::entry::Entry;
use crate::usage::{Attribute, Record, Unpacked, Usage, pack};
use farebox_core::money::Exact;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How every token begins.
const TOKEN: &str = "erased-";
/// Hexadecimal digits of a token after that: 64 bits.
const TOKEN_DIGITS: usize = 16;
/// The most personal values that are remembered, so that they are found inside sentences of other entries.
const FOUND_MAX: usize = 100_000;
/// Digits that make a number one by which somebody is found, wherever it stands.
const NUMBER_DIGITS: usize = 5;
/// Digits after a `+` that make it a telephone number.
const PHONE_DIGITS: usize = 7;
/// Decimals that a quantity has at most.
const DECIMALS_MAX: usize = 18;
/// Fields of a command that people fill in with any words.
const FREE_WORDS: [&str; 6] = ["reason", "title", "reference", "holder", "description", "note"];

/// What the texts of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Values of a person's or of what is theirs: a number, an e-mail, a project, a reason. Each becomes a token; keys
    /// of a map are names, and stay.
    Personal,
    /// Sentences in which such values can stand: there they become the same tokens.
    Prose,
}

/// What of an account's usage is nobody's secret, because price lists say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// Values that conditions of meters name, by attribute: `direction`, `inbound`.
    pub values: BTreeSet<(String, String)>,
    /// Attributes that meters measure: numbers of them are quantities.
    pub measured: BTreeSet<String>,
    /// Attributes whose values price lists make: the prefix of a rate deck, options of an order.
    pub made: BTreeSet<String>,
}

impl Public {
    /// Whether a value of an event is nobody's secret.
    fn knows(&self, name: &str, value: &str) -> bool {
        let is_number = || Exact::parse(value, DECIMALS_MAX).is_ok();
        self.values.iter().any(|(known, one)| known == name && one == value)
            || (self.measured.contains(name) && is_number())
    }

    /// The same of what was ordered and charged.
    fn keeps(&self, name: &str, value: &str) -> bool {
        self.made.contains(name) || self.knows(name, value)
    }
}

/// Makes the personal values of one account unreadable.
#[derive(Clone)]
pub struct Redactor {
    account: String,
    /// The account that pays for it.
    group: String,
    secret: [u8; 32],
    public: Arc<Public>,
    found: Found,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is shown to nobody.
        f.debug_struct("Redactor").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Redactor {
    /// For an account of a group. `secret`: 256 bits that nobody else knows.
    pub fn new(account: &str, group: &str, secret: [u8; 32], public: Public) -> Redactor {
        let (account, group, public) = (account.to_owned(), group.to_owned(), Arc::new(public));
        Redactor { account, group, secret, public, found: Found::default() }
    }

    /// What a value becomes.
    pub fn token(&self, value: &str) -> String {
        let hash = blake3::keyed_hash(&self.secret, value.as_bytes()).to_hex();
        format!("{TOKEN}{}", &hash[..TOKEN_DIGITS])
    }

    /// An entry of the account's group without its personal values; `None`: it has none. Entries are given in
    /// their order: what one says is found in the sentences of those after it.
    ///
    /// # Errors
    /// When the record is none.
    pub fn entry(&mut self, record: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        let entry = Entry::from_record(record)?;
        // What was found is moved on, so that it is never copied.
        let found = std::mem::take(&mut self.found);
        let (_, looked) = pass(Redactor { found, ..self.clone() }, &entry, false);
        let Some(looked) = looked else { return Ok(None) };
        self.found = looked.redactor.found;
        if !looked.has_own {
            return Ok(None);
        }
        for (name, value) in free_words(&entry.command) {
            if !is_token(value) {
                self.found.add(name, value);
            }
        }
        let (written, _) = pass(self.clone(), &entry, !looked.has_other);
        // Maps are in the order of their new keys.
        let redacted = Entry::from_bytes(&written)?.to_record();
        Ok((redacted != record).then_some(redacted))
    }

    /// An entry that tells of a deed, such as usage that was mended, without the account's personal values; `None`: it
    /// is about something else.
    ///
    /// # Errors
    /// When the record is none.
    pub fn deed(&self, record: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        const MENDED: &str = "{\"command\":\"mend-usage\",\"event\":";
        let mut entry = Entry::from_record(record)?;
        let Some(event) = entry.command.strip_prefix(MENDED) else { return Ok(None) };
        let is_about = event.contains(&format!("\"{}\"", self.account));
        if !is_about {
            return Ok(None);
        }
        entry.command = format!("{MENDED}\"{}\"}}", self.token(event));
        Ok(Some(entry.to_record()))
    }

    /// A block of usage without the account's personal values, and how many of its records had any; `None`: none had.
    ///
    /// # Errors
    /// When the block is damaged.
    pub fn block(&self, bytes: &[u8]) -> Result<Option<(Vec<u8>, u64)>, Corrupt> {
        let mut records = Unpacked::of(bytes)?.records()?;
        let mut changed = 0;
        for record in &mut records {
            let usage = match record {
                Record::Added(usage)
                | Record::Removed(usage)
                | Record::Session { usage, .. }
                | Record::SessionOver { usage, .. }
                | Record::TooOld { usage, .. }
                | Record::TooOldOver(usage)
                | Record::Conflict(usage)
                | Record::ConflictOver(usage) => usage,
                Record::Voided { .. } => continue,
            };
            changed += u64::from(usage.account == self.account && self.usage(usage));
        }
        let failed = Corrupt { at: 0, expected: "a block that can be compressed" };
        match changed {
            0 => Ok(None),
            _ => Ok(Some((pack(&records).map_err(|_| failed)?, changed))),
        }
    }

    /// Answers whether it had anything personal.
    fn usage(&self, usage: &mut Usage) -> bool {
        let mut changed = false;
        for (name, value) in &mut usage.attributes {
            let text = match value {
                Attribute::Text(text) => text.clone(),
                Attribute::Number(_) if self.public.measured.contains(name) => continue,
                Attribute::Number(number) => number.to_string(),
            };
            if !text.is_empty() && !is_token(&text) && !self.public.knows(name, &text) {
                *value = Attribute::Text(self.token(&text));
                changed = true;
            }
        }
        changed
    }
}

/// Writes an entry with the personal texts of an account made unreadable. `is_alone`: nothing in it is another's.
fn pass(redactor: Redactor, entry: &Entry, is_alone: bool) -> (Vec<u8>, Option<Pass>) {
    let mut to = Writer::redacting(Pass {
        redactor,
        place: Place::default(),
        key: String::new(),
        has_own: false,
        has_other: false,
        is_alone,
    });
    entry.put(&mut to);
    to.into_parts()
}

fn is_token(text: &str) -> bool {
    let digits = text.strip_prefix(TOKEN);
    digits.is_some_and(|digits| {
        digits.len() == TOKEN_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// What people filled in with any words: names of fields of a JSON object, and their texts as they are written.
fn free_words(command: &str) -> Vec<(&'static str, &str)> {
    let of = |name: &'static str| {
        let (_, rest) = command.split_once(&format!("\"{name}\""))?;
        let text = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let mut is_escaped = false;
        let end = text.find(|letter| {
            let is_end = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            is_end
        })?;
        Some((name, text.get(..end)?)).filter(|(_, text)| !text.is_empty())
    };
    FREE_WORDS.into_iter().filter_map(of).collect()
}

/// Where a record is being written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    mark: Option<Mark>,
    is_key: bool,
    /// Whether what is said here is the account's; `None`: its group's.
    is_own: Option<bool>,
}

/// One way through an entry.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    redactor: Redactor,
    place: Place,
    /// The name of the value that comes.
    key: String,
    has_own: bool,
    has_other: bool,
    /// Whether nothing in the entry is of another account.
    is_alone: bool,
}

impl Pass {
    pub fn enter(&mut self) -> Place {
        let before = self.place;
        self.place = Place { mark: None, is_key: false, ..before };
        before
    }

    pub fn leave(&mut self, place: Place) {
        self.place = place;
    }

    pub fn mark(&mut self, mark: Mark) -> Place {
        self.key.clear();
        let before = self.place;
        self.place = Place { mark: Some(mark), is_key: false, ..before };
        before
    }

    pub fn key(&mut self, is_key: bool) -> Place {
        let before = self.place;
        self.place.is_key = is_key;
        before
    }

    pub fn whose(&mut self, account: &str) {
        self.place.is_own = if account == self.redactor.account {
            self.has_own = true;
            Some(true)
        } else if account == self.redactor.group {
            None
        } else {
            self.has_other = true;
            Some(false)
        };
    }

    pub fn line(&mut self, id: &str) {
        if self.place.is_own == Some(true) {
            Arc::make_mut(&mut self.redactor.found.lines).insert(id.to_owned());
        }
    }

    /// A credit note is the payer's; what it says of a line of the account is the account's.
    pub fn about_line(&mut self, id: &str) {
        if self.redactor.found.lines.contains(id) {
            self.has_own = true;
            self.place.is_own = Some(true);
        }
    }

    pub fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        match (self.place.mark, self.place.is_own) {
            (Some(Mark::Personal), _) if self.place.is_key => {
                self.key = text.to_owned();
                Cow::Borrowed(text)
            }
            (Some(Mark::Personal), Some(true)) => {
                let Redactor { public, found, .. } = &mut self.redactor;
                if text.is_empty() || is_token(text) || public.keeps(&self.key, text) {
                    return Cow::Borrowed(text);
                }
                found.add(&self.key, text);
                Cow::Owned(self.redactor.token(text))
            }
            (Some(Mark::Prose), Some(true) | None) => {
                let said = self.redactor.found.replace(text, &self.redactor);
                let is_own = self.place.is_own.unwrap_or(self.is_alone);
                Cow::Owned(if is_own { without_addresses(&said, &self.redactor) } else { said })
            }
            _ => Cow::Borrowed(text),
        }
    }
}

/// Personal values that were found, by the word that they begin with.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Each with the names under which it stood.
    values: Arc<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>>,
    /// The lines of bills that are the account's.
    lines: Arc<BTreeSet<String>>,
    count: usize,
}

/// The first run of letters and digits of a text, and where it begins.
fn first_word(text: &str) -> Option<(usize, &str)> {
    let from = text.find(char::is_alphanumeric)?;
    let rest = text.get(from..)?;
    Some((from, rest.split(|letter: char| !letter.is_alphanumeric()).next()?))
}

/// Whether a value is found by itself. Any other, such as `4` or `sales`, means something only beside its name.
fn is_strong(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    digits >= NUMBER_DIGITS || value.contains('@') || (value.contains(' ') && value.len() >= NUMBER_DIGITS)
}

impl Found {
    fn add(&mut self, name: &str, value: &str) {
        let Some((_, word)) = first_word(value).filter(|_| self.count < FOUND_MAX) else { return };
        let known = self.values.get(word).and_then(|values| values.get(value));
        if known.is_some_and(|names| names.contains(name)) {
            return;
        }
        self.count += usize::from(known.is_none());
        let values = Arc::make_mut(&mut self.values);
        let values = values.entry(word.to_owned()).or_default();
        values.entry(value.to_owned()).or_default().insert(name.to_owned());
    }

    /// A text with the values in it as tokens.
    fn replace(&self, text: &str, redactor: &Redactor) -> String {
        let (mut written, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((from, word)) = first_word(rest) {
            let replaced = self.values.get(word).into_iter().flatten().rev().find_map(|(value, names)| {
                let (inside, _) = first_word(value)?;
                let start = from.checked_sub(inside)?;
                let after = rest.get(start..)?.strip_prefix(value)?;
                let left = [written.as_str(), rest.get(..start)?].concat();
                let is_whole = !after.starts_with(char::is_alphanumeric);
                (is_whole && (is_strong(value) || is_named(&left, after, names)))
                    .then_some((value, after, start))
            });
            match replaced {
                Some((value, after, start)) => {
                    written.push_str(rest.get(..start).unwrap_or_default());
                    written.push_str(&redactor.token(value));
                    rest = after;
                }
                None => {
                    written.push_str(rest.get(..from + word.len()).unwrap_or_default());
                    rest = rest.get(from + word.len()..).unwrap_or_default();
                }
            }
        }
        written + rest
    }
}

/// Whether a value stands beside its name, `number 4`, or as a text of its own; what somebody wrote is all of a text.
fn is_named(left: &str, right: &str, names: &BTreeSet<String>) -> bool {
    let is_text = left.ends_with('"') && right.starts_with('"');
    let is_all = left.is_empty() && right.is_empty();
    is_text
        || (is_all && names.iter().any(|name| FREE_WORDS.contains(&name.as_str())))
        || names.iter().filter(|name| !name.is_empty()).any(|name| {
            let before = left.strip_suffix([' ', '=', ':']);
            before.is_some_and(|before| before.ends_with(name.as_str()))
        })
}

/// A text without e-mail addresses and telephone numbers.
fn without_addresses(text: &str, redactor: &Redactor) -> String {
    let in_name = |letter: char| letter.is_alphanumeric() || "._%+-".contains(letter);
    let in_host = |letter: char| letter.is_alphanumeric() || ".-".contains(letter);
    let mails = each_at(text, '@', redactor, |left, right| {
        let name: usize = left.chars().rev().take_while(|letter| in_name(*letter)).map(char::len_utf8).sum();
        let host = right.find(|letter| !in_host(letter)).unwrap_or(right.len());
        let host = right.get(..host).unwrap_or_default().trim_end_matches(['.', '-']).len();
        (name > 0 && host > 0).then_some((name, host))
    });
    each_at(&mails, '+', redactor, |_, right| {
        let digits = right.bytes().take_while(u8::is_ascii_digit).count();
        (digits >= PHONE_DIGITS).then_some((0, digits))
    })
}

/// A text without what stands around a sign: `around` says how many bytes to the left and right of it.
fn each_at(
    text: &str,
    sign: char,
    redactor: &Redactor,
    around: impl Fn(&str, &str) -> Option<(usize, usize)>,
) -> String {
    let (mut written, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((left, right)) = rest.split_once(sign) {
        match around(left, right) {
            Some((before, after)) => {
                let (kept, name) = left.split_at(left.len() - before);
                let (host, more) = right.split_at(after);
                written.push_str(kept);
                written.push_str(&redactor.token(&format!("{name}{sign}{host}")));
                rest = more;
            }
            None => {
                written.push_str(left);
                written.push(sign);
                rest = right;
            }
        }
    }
    written + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_core::calendar::Instant;

    fn redactor() -> Redactor {
        Redactor::new("acme", "master", [7; 32], Public::default())
    }

    #[test]
    fn a_token_is_the_same_for_the_same_value_and_secret_alone() {
        let one = redactor();
        let other = Redactor { secret: [8; 32], ..redactor() };
        assert_eq!(one.token("+4930123"), one.token("+4930123"));
        assert_ne!(one.token("+4930123"), one.token("+4930124"));
        assert_ne!(one.token("+4930123"), other.token("+4930123"));
        assert!(is_token(&one.token("")) && !is_token("erased-") && !is_token("+4930123"));
    }

    #[test]
    fn every_kind_of_record_is_redacted_and_stays_what_it_is() {
        let usage = |account: &str| Usage {
            source: "pbx".to_owned(),
            id: "c1".to_owned(),
            revision: 0,
            kind: "call".to_owned(),
            account: account.to_owned(),
            time: Instant::UNIX_EPOCH,
            start: None,
            attributes: vec![("number".to_owned(), Attribute::Text("+4930123".to_owned()))],
        };
        let all = |usage: Usage| {
            let (id, horizon) = ("s1".to_owned(), Instant::MAX);
            [
                Record::Added(usage.clone()),
                Record::Removed(usage.clone()),
                Record::Session { id: id.clone(), usage: usage.clone() },
                Record::SessionOver { id, usage: usage.clone() },
                Record::TooOld { usage: usage.clone(), horizon },
                Record::TooOldOver(usage.clone()),
                Record::Conflict(usage.clone()),
                Record::ConflictOver(usage),
            ]
        };
        let other = pack(&all(usage("globex"))).unwrap();
        assert_eq!(redactor().block(&other).unwrap(), None);
        let (bytes, changed) = redactor().block(&pack(&all(usage("acme"))).unwrap()).unwrap().unwrap();
        assert_eq!(changed, 8);
        let mut redacted = usage("acme");
        redacted.attributes[0].1 = Attribute::Text(redactor().token("+4930123"));
        assert_eq!(Unpacked::of(&bytes).unwrap().records().unwrap(), all(redacted));
    }

    #[test]
    fn values_are_found_inside_sentences_as_whole_words() {
        let mut one = redactor();
        one.found.add("number", "+49301234567");
        one.found.add("number", "4");
        one.found.add("project", "sales");
        one.found.add("reason", "asked by Jane Doe");
        let said = |text: &str| {
            let said = one.found.replace(text, &one);
            ["+49301234567", "4", "sales", "asked by Jane Doe"]
                .iter()
                .fold(said, |said, value| said.replace(&one.token(value), &format!("<{value}>")))
        };
        assert_eq!(
            said("Calls, number +49301234567, January 2020"),
            "Calls, number <+49301234567>, January 2020"
        );
        assert_eq!(said("number +493012345678"), "number +493012345678", "it is another one");
        assert_eq!(said("Calls, number 4: 4 minutes × 0.4"), "Calls, number <4>: 4 minutes × 0.4");
        assert_eq!(said("sales of project sales"), "sales of project <sales>");
        assert_eq!(said("{\"project\":\"sales\"}"), "{\"project\":\"<sales>\"}");
        assert_eq!(
            said("write-off of acme-2020-01: asked by Jane Doe"),
            "write-off of acme-2020-01: <asked by Jane Doe>"
        );
        assert_eq!(said("für 5 € +49301234567"), "für 5 € <+49301234567>");
        assert_eq!(said(""), "");
    }

    #[test]
    fn addresses_are_found_by_their_form() {
        let one = redactor();
        let said = |text: &str| {
            let said = without_addresses(text, &one);
            ["jane.doe+x@mail.example.org", "+4930123456", "ä@b"]
                .iter()
                .fold(said, |said, value| said.replace(&one.token(value), &format!("<{value}>")))
        };
        assert_eq!(said("write to jane.doe+x@mail.example.org."), "write to <jane.doe+x@mail.example.org>.");
        assert_eq!(said("call +4930123456, not +49"), "call <+4930123456>, not +49");
        assert_eq!(said("1 + 1 @ 3; ä@b"), "1 + 1 @ 3; <ä@b>");
        assert_eq!(said("@ @x x@"), "@ @x x@");
    }

    #[test]
    fn words_of_people_are_read_from_a_command() {
        let command = r#"{"command": "write-off", "reason" : "a \"good\" one", "title":""}"#;
        assert_eq!(free_words(command), [("reason", r#"a \"good\" one"#)]);
        assert_eq!(free_words("open acme"), []);
    }
}
