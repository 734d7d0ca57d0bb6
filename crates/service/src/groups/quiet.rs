//! Groups that nobody asks for leave memory.

use super::{Groups, holds_of};
use std::ops::Bound;

/// Groups that are looked at with one commit for being let go of, at most.
const LOOKED_MAX: usize = 4_096;

impl Groups {
    /// Whether a group is in memory: someone asks for it.
    pub(crate) fn has(&mut self, payer: &str) -> bool {
        let open = self.open.get_mut(payer);
        open.map(|open| open.is_used = true).is_some()
    }

    /// Lets go of groups that were not asked for since they were last looked at, until no more than so many are in
    /// memory; some are looked at each time. What was decided on them is in the store: nothing is on its way, and those
    /// that were changed since stay, and those with open holds. Answers which are gone.
    pub(crate) fn let_go_of_quiet(&mut self, most: usize, may_go: impl Fn(&str) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        if self.store.is_none() || self.open.len() <= most {
            return gone;
        }
        let (after, mut last) = (std::mem::take(&mut self.looked_at), String::new());
        let excess = self.open.len() - most;
        let (looked, changed) = ((Bound::Excluded(after), Bound::Unbounded), &self.changed);
        for (payer, open) in self.open.range_mut(looked).take(LOOKED_MAX) {
            if gone.len() == excess {
                break;
            }
            last.clone_from(payer);
            let is_quiet = !std::mem::take(&mut open.is_used)
                && !changed.contains(payer)
                && holds_of(&open.state, payer) == 0
                && may_go(payer);
            if is_quiet {
                gone.push(payer.clone());
            }
        }
        // At the end, it begins anew with the next commit.
        self.looked_at = last;
        gone.iter().for_each(|payer| self.let_go(payer));
        gone
    }
}
