//! What is asked: by whom, about what, with which parameters.

use crate::access::{Access, Holder, lock};
use crate::answer::{Answer, Reply};
use crate::operation::{CURSOR, PAGE};
use crate::{App, Clock};
use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use farebox_api::{FieldMistake, Role, Wish, canonical, canonical_with_nulls};
use farebox_core::account::{Account, Group};
use farebox_core::bill::first_of;
use farebox_core::calendar::Instant;
use farebox_core::catalog::Catalogue;
use farebox_service::{Decided, Service};
use farebox_store::AccessKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::xxh3_64;

/// A request that may be done.
pub(crate) struct Asked {
    /// Whose key it bears; `None` where none is needed.
    pub caller: Option<Arc<Holder>>,
    /// The parts of the address that have names.
    pub path: Vec<(String, String)>,
    /// The parameters after `?`, all of them known and of the right form.
    pub query: Vec<(String, String)>,
    pub idempotency_key: Option<String>,
    pub if_match: Option<String>,
    /// Whether text is wished rather than JSON, where there is both.
    pub is_for_people: bool,
    pub body: Bytes,
    pub access: Access,
    pub clock: Clock,
    /// What the command said, as far as it could be read: its word, and whether its first answer was given again.
    pub told: Mutex<Told>,
    /// The price list of the body, read before the engine is asked.
    pub list: Mutex<Option<Catalogue>>,
    /// Keys that count when they are durable.
    pub made: Mutex<Vec<AccessKey>>,
    /// Keys as they were, and are again when what was done cannot be made durable.
    pub changed: Mutex<Vec<AccessKey>>,
}

/// What the log says of a command.
#[derive(Default)]
pub(crate) struct Told {
    pub word: String,
    pub is_repeated: bool,
}

/// The account that a part of an address names: `Some(None)` where it is to name one, and does not.
fn account_in<'v>(name: &str, value: &'v str) -> Option<Option<&'v str>> {
    match name {
        "account" => Some(Some(value)),
        "bill" => Some(account_of_bill(value)),
        "line" => Some(account_of_line(value)),
        _ => None,
    }
}

/// A wish, by which a later one is known for the same.
#[derive(Clone, Copy)]
pub(crate) struct Wished {
    /// Of what a body of JSON says, however it is written. It is what is kept.
    pub said: u64,
    /// Of what it says with the fields that are `null`, and of its bytes, as earlier versions kept it.
    before: [u64; 2],
}

impl Wished {
    fn of(about: &[u8], body: &[u8]) -> Wished {
        let hash = |body: &[u8]| xxh3_64(&[about, body].concat());
        let written = hash(body);
        let of = |said: Option<String>| said.map_or(written, |said| hash(said.as_bytes()));
        Wished { said: of(canonical(body)), before: [of(canonical_with_nulls(body)), written] }
    }

    /// Whether it is the one that an answer was kept with.
    pub fn is(&self, kept: u64) -> bool {
        kept == self.said || self.before.contains(&kept)
    }
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    /// What `after` takes for the next page; `null`: there is none.
    next: Option<String>,
}

impl Asked {
    /// Nothing, of nobody.
    pub fn of(app: &App) -> Asked {
        Asked {
            caller: None,
            path: Vec::new(),
            query: Vec::new(),
            idempotency_key: None,
            if_match: None,
            is_for_people: false,
            body: Bytes::new(),
            access: app.access.clone(),
            clock: *app.engine.clock(),
            told: Mutex::default(),
            list: Mutex::default(),
            made: Mutex::default(),
            changed: Mutex::default(),
        }
    }

    /// A new key, which counts when it is durable.
    pub fn makes(&self, key: AccessKey) {
        lock(&self.made).push(key);
    }

    /// A key that changes at once, and is what it was when that cannot be made durable.
    pub fn changes(&self, before: &AccessKey, after: AccessKey) -> Result<(), Answer> {
        lock(&self.changed).push(before.clone());
        Ok(self.access.put(after)?)
    }

    /// Notes whether what was done is durable.
    pub fn is_durable(&self, durable: bool) {
        let keys = if durable { &self.made } else { &self.changed };
        for key in lock(keys).drain(..) {
            // It was put before, or made just now: its role is one.
            let _ = self.access.put(key);
        }
    }

    /// Who asks, as entries name it.
    pub fn actor(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| caller.id())
    }

    /// Writes down what was done that no account's facts tell.
    pub fn note_deed(&self, service: &mut Service, command: &Value) -> Result<(), Answer> {
        let command = command.to_string();
        let decided = Decided { actor: self.actor(), command: &command, at: service.clock() };
        Ok(service.note_deed(decided)?)
    }

    /// What is wished, as an answer is kept with it: `about`, and what the body says.
    pub fn wished(&self, about: &[&[u8]]) -> Wished {
        Wished::of(&about.concat(), &self.body)
    }

    /// A part of the address; empty where the route has none of this name.
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter as its wire type; `None` where it was not given.
    pub fn parameter<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = self.query(name)?.to_owned();
        serde_json::from_value(Value::String(text)).ok()
    }

    /// Of a customer: the account whose tree it sees.
    pub fn own_tree(&self) -> Option<&str> {
        let caller = self.caller.as_ref().filter(|caller| caller.role() == Role::Customer)?;
        Some(caller.account().unwrap_or_default())
    }

    /// Whether the caller may see an account: its own tree, or every one.
    pub fn sees(&self, service: &Service, account: &str) -> bool {
        match (&self.caller, self.own_tree()) {
            (None, _) => false,
            (Some(_), Some(own)) => account == own || service.payer_of(account) == own,
            (Some(_), None) => true,
        }
    }

    /// Whether the caller may be told what an account that pays has and owes. An integrator learns whether something may
    /// be, and nothing of accounts.
    pub fn sees_money_of(&self, service: &Service, payer: &str) -> bool {
        let is_integrator = self.caller.as_ref().is_some_and(|caller| caller.role() == Role::Integrator);
        !is_integrator && self.sees(service, payer)
    }

    /// Refuses a customer's wish that counts from another time than now: it could undo what was charged.
    pub fn check_dated(&self, wish: &Wish) -> Result<(), Answer> {
        if self.own_tree().is_none() || wish.effective.is_none() {
            return Ok(());
        }
        let detail = "a customer's commands count from now; leave `effective` out";
        Err(Answer::problem("not-allowed", 403, detail))
    }

    /// Refuses, before anything is read, what is about an account that the caller may not see: as if there were no
    /// such account. An account that does not exist is in nobody's tree, and takes the same way.
    pub fn admit(&self, service: &Service) -> Result<(), Answer> {
        for (name, value) in &self.path {
            let Some(account) = account_in(name, value) else { continue };
            if !account.is_some_and(|account| self.sees(service, account)) {
                return Err(missing(name, value));
            }
        }
        Ok(())
    }

    /// The account of the address.
    pub fn whose_group(&self) -> Option<&str> {
        self.path.iter().find_map(|(name, value)| account_in(name, value)).flatten()
    }

    /// The account of the address, with its group.
    pub fn account<'s>(&self, service: &'s mut Service) -> Result<(&'s Group, &'s Account), Answer> {
        self.named(service, self.path("account"))
    }

    /// An account that the caller may see, with its group.
    pub fn named<'s>(
        &self,
        service: &'s mut Service,
        name: &str,
    ) -> Result<(&'s Group, &'s Account), Answer> {
        if !self.sees(service, name) {
            return Err(missing("account", name));
        }
        let group = service.group_of(name)?;
        let found = group.and_then(|group| Some((group, group.get(name)?)));
        found.ok_or_else(|| missing("account", name))
    }

    /// A page of a list whose items are in the order of their keys.
    pub fn page<K: Ord + FromStr + Display, I, T: Serialize + Send + 'static>(
        &self,
        items: impl Iterator<Item = (K, I)>,
        show: impl Fn(I) -> T,
    ) -> Result<Reply, Answer> {
        let after: Option<K> = self.after()?;
        let limit = self.limit();
        let mut rest = items.skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after));
        let (mut page, mut last) = (Vec::new(), None);
        for (key, item) in rest.by_ref().take(limit) {
            page.push(show(item));
            last = Some(key);
        }
        let next = last.filter(|_| rest.next().is_some()).map(|key| key.to_string());
        Ok(self.part(page, next))
    }

    /// A page of a list whose items are told apart by texts, and stand in their order. What comes and goes meanwhile
    /// moves no other item to another place.
    pub fn page_by_text<I, T: Serialize + Send + 'static>(
        &self,
        items: impl Iterator<Item = (String, I)>,
        show: impl Fn(I) -> T,
    ) -> Result<Reply, Answer> {
        let mut items: Vec<(String, I)> = items.map(|(key, item)| (bounded(key), item)).collect();
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.page(items.into_iter(), show)
    }

    /// A page of a list that was read from somewhere; `next`: where it goes on, where it does.
    pub fn part<T: Serialize + Send + 'static>(&self, items: Vec<T>, next: Option<String>) -> Reply {
        Reply::json(200, Page { items, next: next.map(|place| cursor(&place)) })
    }

    pub fn limit(&self) -> usize {
        self.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE)
    }

    /// The place after which a page begins.
    pub fn after<K: FromStr>(&self) -> Result<Option<K>, Answer> {
        let Some(text) = self.query("after") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.wrong("after", CURSOR))
    }

    /// A parameter that cannot be.
    pub fn wrong(&self, name: &str, expected: &str) -> Answer {
        let found = self.query(name).map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"));
        Answer::mistaken(vec![FieldMistake::new(format!("?{name}"), found, expected)])
    }
}

/// What a cursor that is no plain text begins with. No place in a list does.
const ENCODED: char = '~';

/// A place in a list as a client gets it: what an address has to have encoded is in the letters of Base64 (RFC 4648,
/// URL-safe, without padding), so that a cursor can be put into an address as it came.
pub(crate) fn cursor(place: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match place.bytes().all(is_plain) {
        true => place.to_owned(),
        false => format!("{ENCODED}{}", BASE64_URL_SAFE_NO_PAD.encode(place)),
    }
}

/// The place that a cursor says; `None`: it is none.
pub(crate) fn place_of(cursor: &str) -> Option<String> {
    let Some(encoded) = cursor.strip_prefix(ENCODED) else { return Some(cursor.to_owned()) };
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// The most characters of a key that a cursor repeats.
const KEY_CHARS_MAX: usize = 300;

/// A key that a cursor has room for: of a longer one its beginning, and a hash that tells it from others.
fn bounded(key: String) -> String {
    let Some((end, _)) = key.char_indices().nth(KEY_CHARS_MAX) else { return key };
    let hash = blake3::hash(key.as_bytes()).to_hex();
    format!("{}{hash}", &key[..end])
}

/// A moment as a part of a key: as text in the order of time.
pub(crate) fn in_order(at: Instant) -> String {
    format!("{:020}", at.as_nanosecond())
}

/// That something named in the address is not there.
pub(crate) fn missing(name: &str, value: &str) -> Answer {
    let (code, detail) = match name {
        "account" => ("unknown-account", format!("there is no account {value:?}")),
        "bill" => ("no-bill", format!("there is no bill {value:?}; a bill is named ACCOUNT-YYYY-MM")),
        "line" => {
            ("unknown-line", format!("there is no line {value:?}; a line is named ACCOUNT-YYYY-MM-NUMBER"))
        }
        "subscription" => ("unknown-subscription", format!("there is no subscription {value:?}")),
        _ => ("not-found", format!("there is no {name} {value:?}")),
    };
    Answer::problem(code, 404, &detail)
}

/// `acme` of `acme-2026-01`.
pub(crate) fn account_of_bill(bill: &str) -> Option<&str> {
    let at = bill.len().checked_sub("-2026-01".len()).filter(|at| bill.is_char_boundary(*at))?;
    let (account, month) = bill.split_at(at);
    first_of(month.strip_prefix('-')?).map(|_| account)
}

/// `acme` of `acme-2026-01-3`.
pub(crate) fn account_of_line(line: &str) -> Option<&str> {
    account_of_bill(bill_of_line(line)?)
}

/// `acme-2026-01` of `acme-2026-01-3`.
pub(crate) fn bill_of_line(line: &str) -> Option<&str> {
    let (bill, number) = line.rsplit_once('-')?;
    number.parse::<u32>().ok().map(|_| bill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_known_by_what_it_says_and_as_earlier_versions_kept_it() {
        let (one, other) = (br#"{"a": 1, "b": [2]}"#, br#"{"b":[2],"a":1}"#);
        let wished = |body: &[u8]| Wished::of(b"acme\n", body);
        assert!(wished(one).is(wished(other).said));
        assert!(!wished(one).is(wished(br#"{"a":1,"b":[3]}"#).said));
        assert!(!wished(one).is(Wished::of(b"zeta\n", one).said));
        // What is null is as if it were left out; earlier versions told the two apart.
        let null = br#"{"b": [2], "c": null, "a": 1}"#;
        assert!(wished(null).is(wished(one).said) && wished(one).is(wished(null).said));
        let kept = xxh3_64(&[b"acme\n".as_slice(), br#"{"a":1,"b":[2],"c":null}"#].concat());
        assert!(wished(null).is(kept) && !wished(one).is(kept));
        // Earlier versions kept a hash of the bytes.
        let kept = xxh3_64(&[b"acme\n".as_slice(), one].concat());
        assert!(wished(one).is(kept) && !wished(other).is(kept));
        // What is no JSON is compared as it is written.
        assert!(wished(b"[catalogue]\n").is(wished(b"[catalogue]\n").said));
        assert!(!wished(b"[catalogue]\n").is(wished(b"[catalogue]").said));
    }
}
