//! Credit: how much a payer may owe, and what may begin within that (docs/book.md, `credit-limit`).
//!
//! The limit is the payer's. What is decided in real time and needs cover — an order, more units, a
//! renewal, a session — may begin as long as it fits in the headroom. Usage is never refused for it:
//! what was used is counted and charged, and owed where nothing covers it.

use super::wallet::Refusal;
use super::{Action, Desk, Fact};
use crate::account::{AccountHead, View};
use crate::ledger::LedgerAccount;
use crate::money::{Amount, Currency, Exact, OutOfRange};

/// What a payer with a credit limit may still take on, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// The credit limit, zero or above.
    pub limit: Amount,
    /// Money of the balance that is not held.
    pub balance: Amount,
    /// What is owed of all bills, drafts too.
    pub owed: Amount,
    /// What sessions hold beyond the balance.
    pub held: Amount,
}

impl Headroom {
    /// That of a payer; `None`: it has no credit limit.
    ///
    /// # Errors
    /// [`OutOfRange`] when what is owed does not fit.
    pub fn of(view: &dyn View, payer: &str) -> Result<Option<Headroom>, OutOfRange> {
        let Some(limit) = view.credit_limit(payer) else { return Ok(None) };
        let owed = super::lifecycle::owed(view, payer)?;
        let (balance, held) = (view.prepaid(payer), view.held_on_credit(payer));
        Ok(Some(Headroom { limit, balance, owed, held }))
    }

    /// The limit and the balance, less what is owed and held on credit. Below zero where more is owed
    /// than the limit allows: it was lowered, or usage went past it.
    ///
    /// # Errors
    /// [`OutOfRange`] when the sum does not fit.
    pub fn left(&self) -> Result<Amount, OutOfRange> {
        self.limit.add(self.balance)?.sub(self.owed)?.sub(self.held)
    }

    /// `the credit limit is 100.00 USD, 30.00 USD are owed`.
    pub fn sentence(&self, currency: Currency) -> String {
        let money = |amount: Amount| format!("{} {currency}", amount.decimal(currency));
        let mut said = vec![format!("the credit limit is {}", money(self.limit))];
        let more = [
            (self.balance, "the balance has", ""),
            (self.owed, "", "are owed"),
            (self.held, "sessions hold", "on credit"),
        ];
        for (amount, before, after) in more.into_iter().filter(|(amount, ..)| !amount.is_zero()) {
            let words = [before, &money(amount), after].map(str::to_owned);
            said.push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        }
        said.join(", ")
    }
}

/// Refuses a decided order, more units, a renewal or a change of plan that does not fit in the headroom
/// of who pays. What begins and charges nothing at once is refused while the headroom is below zero.
pub(super) fn fits(desk: &Desk<'_>, action: &Action, facts: &[Fact]) -> Result<(), super::Refusal> {
    let begins = match action {
        Action::Subscribe { .. } => true,
        Action::ChangeQuantity { delta, .. } => *delta > 0,
        // What goes on and costs nothing more is no matter of credit.
        Action::Renew { .. } | Action::ChangePlan { .. } => false,
        _ => return Ok(()),
    };
    let Some(room) = Headroom::of(desk.view, &desk.payer.id)? else { return Ok(()) };
    let needed = needed(facts)?;
    if (begins || needed > Amount::ZERO) && needed > room.left()? {
        let (room, currency) = (Box::new(room), desk.payer.currency);
        return Err(Refusal::OverCreditLimit { needed, room, currency }.into());
    }
    Ok(())
}

/// By how much what is charged makes what is owed, less the balance, more: after coupons.
fn needed(facts: &[Fact]) -> Result<Amount, OutOfRange> {
    let mut sum = Exact::ZERO;
    for fact in facts {
        let Fact::Charged { postings, .. } = fact else { continue };
        for entry in postings.iter().flat_map(|posting| &posting.entries) {
            if matches!(entry.account, LedgerAccount::Receivable | LedgerAccount::Balance) {
                sum = sum.add(entry.value)?;
            }
        }
    }
    Amount::quantise(sum)
}

/// What a renewal by itself may cost at most: the balance, or the headroom of a payer with a limit; and
/// that in words.
pub(super) fn cover(view: &dyn View, payer: &AccountHead) -> Result<(Amount, String), OutOfRange> {
    let currency = payer.currency;
    Ok(match Headroom::of(view, &payer.id)? {
        None => {
            let balance = view.prepaid(&payer.id);
            (balance, format!("the balance is {}", balance.decimal(currency)))
        }
        Some(room) => {
            let left = room.left()?;
            let said = format!("the headroom is {}: {}", left.decimal(currency), room.sentence(currency));
            (left.max(Amount::ZERO), said)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(cents: i128) -> Amount {
        Amount::from_units(cents * 1_000_000)
    }

    #[test]
    fn headroom_is_the_limit_and_the_balance_less_what_is_owed_and_held() {
        let currency = Currency::parse("USD").unwrap();
        let room = Headroom { limit: usd(10_000), balance: usd(0), owed: usd(3_000), held: usd(250) };
        assert_eq!(room.left(), Ok(usd(6_750)));
        assert_eq!(
            room.sentence(currency),
            "the credit limit is 100.00 USD, 30.00 USD are owed, sessions hold 2.50 USD on credit"
        );
        let lowered = Headroom { limit: usd(0), balance: usd(1), owed: usd(0), held: usd(250) };
        assert_eq!(lowered.left(), Ok(usd(-249)), "what is held stays held");
        let alone = Headroom { held: usd(0), ..lowered };
        assert_eq!(alone.sentence(currency), "the credit limit is 0.00 USD, the balance has 0.01 USD");
    }
}
