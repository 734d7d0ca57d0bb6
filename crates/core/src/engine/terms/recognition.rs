//! Deferred revenue: what is paid for time to come is earned by the day.

use super::{Fact, Recognition};
use crate::account::View;
use crate::calendar::Instant;
use crate::engine::{Desk, Fact as EngineFact, Refusal, due};
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, OutOfRange};
use crate::term::Deferral;

/// When something is next earned by a payer's and its members' terms.
pub(in crate::engine) fn due(view: &dyn View, payer: &str) -> Option<Instant> {
    let zone = &view.account(payer)?.zone;
    let names = due::group(view, payer);
    names.iter().flat_map(|name| view.deferrals(name)).map(|(_, deferral)| deferral.due(zone)).min()
}

impl Desk<'_> {
    /// Recognises what is earned by now, of every term that is due.
    pub(in crate::engine) fn recognise(&self) -> Result<Vec<EngineFact>, Refusal> {
        let mut of = Vec::new();
        for account in due::group(self.view, &self.payer.id) {
            for ((subscription, start), deferral) in self.view.deferrals(&account) {
                if deferral.due(&self.payer.zone) > self.at {
                    continue;
                }
                let known = self.view.subscription(&account, &subscription);
                let list = known.and_then(|one| self.catalogues.versions(&one.catalogue).next());
                let zone = list.map_or(&self.payer.zone, |list| &list.zone);
                let amount = deferral.earned(zone, self.at)?.sub(deferral.recognised)?;
                let (until, done) = (self.at.min(deferral.span.end), self.at >= deferral.span.end);
                of.push(Recognition { account: account.clone(), subscription, start, amount, until, done });
            }
        }
        Ok(self.recognised(of)?.into_iter().collect())
    }

    /// What a term that is given up has earned: all that does not come back.
    pub(super) fn earned_in_the_end(
        &self,
        subscription: &str,
        back: impl Fn(Instant) -> Amount,
    ) -> Result<Vec<Recognition>, OutOfRange> {
        let mut of = Vec::new();
        for ((name, start), Deferral { paid, recognised, .. }) in self.view.deferrals(&self.account.id) {
            if name == subscription {
                let amount = paid.sub(back(start))?.sub(recognised)?;
                let (account, until) = (self.account.id.clone(), self.at);
                of.push(Recognition { account, subscription: name, start, amount, until, done: true });
            }
        }
        Ok(of)
    }

    /// The fact, with a posting for each period.
    pub(super) fn recognised(&self, of: Vec<Recognition>) -> Result<Option<EngineFact>, OutOfRange> {
        if of.is_empty() {
            return Ok(None);
        }
        let posting = |one: &Recognition| {
            let memo = format!("earned of {}/{}", one.account, one.subscription);
            let entries =
                vec![(LedgerAccount::Deferred, one.amount), (LedgerAccount::Revenue, one.amount.negated())];
            Posting::money(self.at, memo, self.payer.currency, entries)
        };
        let postings = of.iter().filter(|one| !one.amount.is_zero()).filter_map(posting).collect();
        Ok(Some(Fact::Recognised { payer: self.payer.id.clone(), of, postings }.into()))
    }
}
