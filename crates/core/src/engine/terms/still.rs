//! What was paid for a part of a term, after what was given back by hand: nothing comes back twice.

use super::purchase::Basket;
use crate::bill::{Line, line_id};
use crate::calendar::Cycle;
use crate::engine::{Desk, Refusal, money};
use crate::money::{Amount, Currency, Exact};
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

/// What comes back by a line.
pub(super) struct Within {
    pub amount: Amount,
    /// The bill that is worth no more, where it would be more.
    bounded_by: Option<String>,
}

impl Desk<'_> {
    /// What is still paid for a period of a term: adjustments of what was charged for it count, and credit notes about that.
    /// A credit note of a whole bill is about no line: see [`Desk::within_bill`].
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

    /// So much of what is to come back by a line as the bill that it corrects is still worth, where that has credit notes: of
    /// which lines a note of the whole bill is, nobody said.
    pub(super) fn within_bill(&self, basket: &Basket, line: &Line, wished: Exact) -> Result<Within, Refusal> {
        let amount = Amount::quantise(wished)?;
        let all = Within { amount, bounded_by: None };
        let Some((_, first, _)) = line.corrects.as_deref().and_then(line_id) else { return Ok(all) };
        let month = self.payer.zone.midnight(first);
        let bill = self.view.bill(&self.payer.id, month).filter(|bill| !bill.credited.is_zero());
        let Some(bill) = bill else { return Ok(all) };
        let of_it = |other: &&Line| {
            let of = other.corrects.as_deref().and_then(line_id);
            of.is_some_and(|(_, other, _)| other == first)
        };
        let mut others = basket.lines.iter().filter(of_it).map(|line| line.amount);
        let left = money::own_left(self.view, &self.payer.id, month, &bill)?;
        let left = others.try_fold(left, Amount::add)?.max(Amount::ZERO);
        if amount <= left {
            return Ok(all);
        }
        let bill = money::bill_id(self.payer, self.payer.zone.cycle(Cycle::Month, month));
        Ok(Within { amount: left, bounded_by: Some(bill) })
    }
}

impl Within {
    /// How it is worked out, of how all would be.
    pub fn formula(&self, all: String, currency: Currency) -> String {
        match &self.bounded_by {
            None => all,
            Some(_) => {
                format!("−min({}, {})", all.trim_start_matches('−'), self.amount.decimal(currency))
            }
        }
    }

    /// What an explanation says besides; nothing where all comes back.
    pub fn words(&self, currency: Currency) -> String {
        let Some(bill) = &self.bounded_by else { return String::new() };
        let left = self.amount.decimal(currency);
        format!(
            " But {bill} comes to {left} after its credit notes and what came back of it: no more comes back."
        )
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
