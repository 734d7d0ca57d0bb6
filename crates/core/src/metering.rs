//! Usage events, and how they become counters.

use crate::calendar::Instant;
use crate::money::Exact;

/// A usage event, borrowed from wherever it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Who says so. `source` and `id` together identify an event.
    pub source: &'a str,
    /// Unique in its source.
    pub id: &'a str,
    /// A higher one replaces what the same identity said before.
    pub revision: u64,
    /// Its type, which meters select by: `call`.
    pub kind: &'a str,
    /// Whose usage it is.
    pub account: &'a str,
    /// When it ended: the moment that decides its period (RULES.md §3, no. 7).
    pub time: Instant,
    /// When it began, where that is known.
    pub start: Option<Instant>,
    /// Everything else, by name; `application`, `project` and `tag:…` are known names.
    pub attributes: Vec<(&'a str, Value<'a>)>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(Exact),
}
