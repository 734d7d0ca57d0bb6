//! Double entry: every movement of money is a posting whose entries sum to zero.

use crate::calendar::Instant;
use crate::money::{Amount, OutOfRange};
use std::collections::BTreeMap;

/// An account of the ledger, one set per customer account.
///
/// Debits are above zero: what the customer owes; credits below: what is held for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAccount {
    /// Money that came in from outside.
    Bank,
    /// The customer's prepaid balance, a credit.
    Balance,
    /// What the customer owes.
    Receivable,
    /// What was charged, a credit.
    Revenue,
    /// What rounding totals to the minor unit added or took off.
    Rounding,
}

impl LedgerAccount {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            LedgerAccount::Bank => "bank",
            LedgerAccount::Balance => "balance",
            LedgerAccount::Receivable => "receivable",
            LedgerAccount::Revenue => "revenue",
            LedgerAccount::Rounding => "rounding",
        }
    }
}

/// A balanced movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// When.
    pub at: Instant,
    /// What for.
    pub memo: String,
    /// Debits above zero, credits below; they sum to zero.
    pub entries: Vec<(LedgerAccount, Amount)>,
}

impl Posting {
    /// A posting, if its entries balance; entries of zero are left out.
    pub fn new(at: Instant, memo: String, entries: Vec<(LedgerAccount, Amount)>) -> Option<Posting> {
        let sum = entries.iter().try_fold(Amount::ZERO, |sum, (_, amount)| sum.add(*amount)).ok()?;
        let entries = entries.into_iter().filter(|(_, amount)| !amount.is_zero()).collect();
        sum.is_zero().then_some(Posting { at, memo, entries })
    }
}

/// The balances of one customer account's ledger accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    balances: BTreeMap<LedgerAccount, Amount>,
    postings: Vec<Posting>,
}

impl Ledger {
    /// The balance of a ledger account: debits less credits.
    pub fn balance(&self, account: LedgerAccount) -> Amount {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// The customer's prepaid money.
    pub fn prepaid(&self) -> Amount {
        self.balance(LedgerAccount::Balance).negated()
    }

    /// Books a posting.
    ///
    /// # Errors
    /// [`OutOfRange`] when a balance does not fit.
    pub fn post(&mut self, posting: Posting) -> Result<(), OutOfRange> {
        for (account, amount) in &posting.entries {
            let balance = self.balances.entry(*account).or_default();
            *balance = balance.add(*amount)?;
        }
        self.postings.push(posting);
        Ok(())
    }

    /// All balances.
    pub fn balances(&self) -> impl Iterator<Item = (LedgerAccount, Amount)> {
        self.balances.iter().map(|(account, amount)| (*account, *amount))
    }

    /// All postings, in order.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}
