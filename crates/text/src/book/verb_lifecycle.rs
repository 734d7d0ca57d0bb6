//! The verbs of an account's life: `tier`, `suspend`, `resume`.

use super::ast::{LifecycleLine, LifecycleTo};
use super::lex::{Mistake, Words};
use super::verb::ACCOUNT;

pub(super) const TIER: &str = "the name of a tier, such as V3";

/// The rest of a line with one of these verbs.
pub(super) fn line(words: &mut Words, verb: &str) -> Result<LifecycleLine, Mistake> {
    let account = words.name(ACCOUNT)?;
    let to = match verb {
        "tier" => LifecycleTo::Tier(words.name(TIER)?),
        "suspend" => LifecycleTo::Suspended,
        _ => LifecycleTo::Resumed,
    };
    Ok(LifecycleLine { account, to })
}
