//! What time does: what is due, what ran, what failed.

use crate::value::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far what is due is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScheduleState {
    /// The moment that everything due has been done up to, except for groups that have failed.
    pub at: String,
    /// How far that is behind the system's clock, in milliseconds; `null` with a test clock.
    pub lag_millis: Option<u64>,
    /// Groups for which something due has failed; what is due later for them waits.
    pub failing: u64,
    /// The earliest moment of what has failed.
    pub failing_since: Option<String>,
    /// Groups for which something is due, now or later.
    pub groups: u64,
    /// What is due next.
    pub next: Option<Due>,
    /// Runs since the server started.
    pub runs: u64,
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Due {
    /// When.
    pub at: String,
    /// What: `holds`, `coupons`, `terms`, `held-money`, `charges`, `packages`, `recognition` or `lifecycle`.
    pub duty: &'static str,
    /// For which group: the account that pays.
    pub account: String,
}

/// Something due that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Run {
    /// Its number since the server started, from 1.
    pub number: u64,
    /// What, as of [`Due`].
    pub duty: &'static str,
    /// For which group: the account that pays.
    pub account: String,
    /// When it was due.
    pub due_at: String,
    /// When it was done, by the system's clock.
    pub done_at: String,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How many facts followed; none where nothing had changed.
    pub facts: u64,
    /// How many lines of bills are among them.
    pub lines: u64,
}

/// What was due of a duty in an hour, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunHour {
    /// The hour in which it was due, in UTC.
    pub hour: String,
    /// What, as of [`Due`].
    pub duty: &'static str,
    /// Runs.
    pub done: u64,
    /// Groups for which it has failed and is not done yet.
    pub failing: u64,
    /// Tries that were refused, also of what was done later.
    pub refused: u64,
    /// How many facts followed.
    pub facts: u64,
    /// How many lines of bills are among them.
    pub lines: u64,
    /// How long all runs took together, in microseconds, without their commits.
    pub micros: u64,
    /// When the first was done, by the system's clock.
    pub first_done_at: Option<String>,
    /// When the last was done.
    pub last_done_at: Option<String>,
}

/// Something due that could not be done. What is due later for its group, and every command to it, waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailedRun {
    /// For which group: the account that pays.
    pub account: String,
    /// What, as of [`Due`].
    pub duty: &'static str,
    /// When it was due.
    pub due_at: String,
    /// The stable code of the refusal: docs/errors.md. `store-corrupt`: the group cannot be read.
    pub code: String,
    /// Why, in a sentence for people. It may change.
    pub detail: String,
    /// When it could not be done first, by the system's clock and since the server started.
    pub since: String,
    /// When it was tried last.
    pub tried_at: String,
    /// How often it was tried since the server started.
    pub tries: u64,
}

/// What is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRetry {
    /// Only for the group of this account; `null`: for every group.
    #[serde(default)]
    pub account: Option<Name>,
}

/// What was tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retried {
    /// Groups for which something had failed.
    pub tried: u64,
    /// Those for which nothing fails any more: what waited is done, too.
    pub mended: u64,
    /// Those for which something fails still, or what waited fails now.
    pub failing: u64,
}
