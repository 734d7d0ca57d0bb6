//! Budgets: what an account, project or product may cost in a month, with alerts.

use super::{ApplyError, Desk};
use crate::account::Group;
use crate::calendar::Zone;
use std::fmt;

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {}

/// Every code of these refusals.
pub const CODES: &[&str] = &[];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match *self {}
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, _zone: &Zone) -> String {
        match *self {}
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

pub(super) fn decide(_: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    match *action {}
}

impl Group {
    pub(super) fn apply_budgets(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match *fact {}
    }
}
