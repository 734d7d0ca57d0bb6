//! Erasures of accounts.

use serde::Serialize;
use utoipa::ToSchema;

/// How far the erasure of an account has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Erasure {
    /// The account.
    pub account: String,
    /// `none`: nobody has wished it; `erasing`; or `erased`: nothing is left to do.
    pub state: String,
    /// The key that wished it.
    pub actor: Option<String>,
    /// Since when nothing can be wished or used by the account.
    pub began_at: Option<String>,
    /// When it was done.
    pub erased_at: Option<String>,
    /// Entries in which personal values became tokens, so far.
    pub entries: u64,
    /// Blocks of usage in which they did.
    pub blocks: u64,
    /// Pieces of usage in them.
    pub events: u64,
    /// Files of the archive that were written anew.
    pub files: u64,
    /// Answers that are no longer kept.
    pub answers: u64,
}
