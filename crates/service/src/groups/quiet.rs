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
        let mut last = std::mem::take(&mut self.looked_at);
        let (excess, changed, mut looked) = (self.open.len() - most, &self.changed, 0);
        // Behind the last name, the first follows: what comes in the order of names has none behind it.
        let rest = (Bound::Excluded(last.clone()), Bound::Unbounded);
        let begin = (Bound::Unbounded, Bound::Included(last.clone()));
        for part in [rest, begin] {
            for (payer, open) in self.open.range_mut::<String, _>(part) {
                if gone.len() == excess || looked == LOOKED_MAX {
                    break;
                }
                looked += 1;
                last.clone_from(payer);
                let is_quiet = !std::mem::take(&mut open.is_used)
                    && !changed.contains(payer)
                    && holds_of(&open.state, payer) == 0
                    && may_go(payer);
                if is_quiet {
                    gone.push(payer.clone());
                }
            }
        }
        self.looked_at = last;
        gone.iter().for_each(|payer| self.let_go(payer));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{Decided, World};
    use farebox_core::calendar::{Instant, Zone};
    use farebox_core::engine::{Action, Catalogues, Command};
    use farebox_core::metering::Metering;
    use farebox_core::money::Currency;
    use farebox_store::{Memory, Position};
    use std::collections::BTreeSet;

    /// As at a month's end: each commit asks for some, behind all that were asked for before, and for none of them
    /// again.
    #[test]
    fn groups_that_come_in_the_order_of_their_names_do_not_pile_up() {
        let mut groups = Groups::of(Box::new(Memory::new())).unwrap();
        let (catalogues, metering, at) = (Catalogues::default(), Metering::default(), Instant::UNIX_EPOCH);
        let world = World { catalogues: &catalogues, metering: &metering, counted: Position::default() };
        let (most, each) = (20, 5);
        for commit in 0..60 {
            for number in 0..each {
                let account = format!("a{:03}", commit * each + number);
                let (title, currency) = (account.clone(), Currency::parse("EUR").unwrap());
                let action = Action::Open { title, currency, zone: Zone::utc(), payer: None, tier: None };
                let command = Command { account, effective_at: at, action };
                groups.execute(world, &command, Decided { actor: "test", command: "test", at }).unwrap();
            }
            groups.commit(BTreeSet::new(), at, |_, _| None).unwrap();
            groups.let_go_of_quiet(most, |_| true);
            assert!(groups.len() <= most + 2 * each, "{} after commit {commit}", groups.len());
        }
    }
}
