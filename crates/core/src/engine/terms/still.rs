//! What was paid for a part of a term, after what was given back by hand: nothing comes back twice.

use crate::engine::{Desk, Refusal};
use crate::money::{Amount, Currency};
use crate::subscription::Subscription;
use crate::term::PaidPeriod;

/// A part of a term with what is still paid for it.
pub(super) struct Still {
    /// With what was paid for it, adjusted by hand.
    pub period: PaidPeriod,
    /// What was paid for it before.
    before: Amount,
    /// What adjustments and credit notes made of it: mostly below zero.
    by_hand: Amount,
}

impl Desk<'_> {
    /// What is still paid for a period of a term: adjustments of what was charged for it count, and credit notes about that.
    /// A credit note of a whole bill is about no line.
    pub(super) fn still_paid(
        &self,
        subscription: &Subscription,
        period: &PaidPeriod,
    ) -> Result<Still, Refusal> {
        let mut still = Still { period: *period, before: period.paid, by_hand: Amount::ZERO };
        let Some((_, plan)) = self.catalogues.paid_by(subscription, period) else { return Ok(still) };
        let (account, payer, from) = (&self.account.id, &self.payer.id, period.span.start);
        for charge in plan.charges.iter().filter(|charge| plan.prices_term(charge)) {
            for (key, _) in self.view.charged(account, &subscription.name, &charge.id, from) {
                let by_hand = self.view.by_hand(payer, account, &key, period.ordered);
                still.by_hand = still.by_hand.add(by_hand)?;
            }
        }
        still.period.paid = period.paid.add(still.by_hand)?.max(Amount::ZERO);
        Ok(still)
    }
}

impl Still {
    /// What an explanation says besides; nothing where nobody changed anything.
    pub fn words(&self, currency: Currency) -> String {
        if self.by_hand.is_zero() {
            return String::new();
        }
        let before = self.before.decimal(currency);
        match self.by_hand.is_negative() {
            true => {
                let less = self.by_hand.negated().decimal(currency);
                format!(" Of {before}, adjustments and credit notes took off {less}.")
            }
            false => format!(" To {before}, adjustments added {}.", self.by_hand.decimal(currency)),
        }
    }
}
