//! Double entry, with units: money and quotas.
//!
//! Every movement is a posting whose entries sum to zero in each unit. Each customer account that
//! pays has a set of ledger accounts; each package bucket has a set of its own, in its unit.

use crate::calendar::Instant;
use crate::money::{Amount, Currency, Exact, OutOfRange};
use std::collections::BTreeMap;
use std::fmt;

/// What an entry is counted in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A currency.
    Money(Currency),
    /// Units of a quota: `minute`, `call`.
    Quota(String),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Money(currency) => f.write_str(currency.code()),
            Unit::Quota(unit) => f.write_str(unit),
        }
    }
}

/// An account of the ledger, one set per customer account that pays.
///
/// Debits are above zero: what the customer owes, what was given to him; credits below: what is held
/// for him, what was earned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAccount {
    /// Money that came in from outside.
    Bank,
    /// The customer's prepaid balance, a credit.
    Balance,
    /// Part of the balance that is held for a session.
    Held,
    /// Value of coupons that the customer has and has not used, a credit.
    Coupons,
    /// What coupons cost the vendor.
    CouponExpense,
    /// What the customer owes.
    Receivable,
    /// What was charged and earned, a credit.
    Revenue,
    /// What was paid for a term and is not earned yet, a credit.
    Deferred,
    /// What rounding totals to the minor unit added or took off.
    Rounding,
    /// What was given up as uncollectable.
    WriteOffs,
    /// What an account brought along when it was migrated (R-OPEN-1).
    Opening,
    /// A part of a package's bucket.
    Quota {
        /// The bucket, by its id.
        bucket: String,
        /// Which part.
        side: QuotaSide,
    },
}

/// The parts of a bucket. Available, held, drawn and expired units sum to those granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaSide {
    /// Where they come from, a credit.
    Granted,
    /// Those that can be drawn.
    Available,
    /// Those held for sessions.
    Held,
    /// Those drawn by usage.
    Drawn,
    /// Those that were left at the end.
    Expired,
}

impl QuotaSide {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            QuotaSide::Granted => "granted",
            QuotaSide::Available => "available",
            QuotaSide::Held => "held",
            QuotaSide::Drawn => "drawn",
            QuotaSide::Expired => "expired",
        }
    }
}

impl LedgerAccount {
    /// As reports write it: `receivable`, `quota acme/minutes drawn`.
    pub fn name(&self) -> String {
        let name = match self {
            LedgerAccount::Bank => "bank",
            LedgerAccount::Balance => "balance",
            LedgerAccount::Held => "held",
            LedgerAccount::Coupons => "coupons",
            LedgerAccount::CouponExpense => "coupon-expense",
            LedgerAccount::Receivable => "receivable",
            LedgerAccount::Revenue => "revenue",
            LedgerAccount::Deferred => "deferred",
            LedgerAccount::Rounding => "rounding",
            LedgerAccount::WriteOffs => "write-offs",
            LedgerAccount::Opening => "opening",
            LedgerAccount::Quota { bucket, side } => return format!("quota {bucket} {}", side.name()),
        };
        name.to_owned()
    }
}

/// One side of a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub account: LedgerAccount,
    /// In what.
    pub unit: Unit,
    /// A debit above zero, a credit below. Money has 8 decimals at most.
    pub value: Exact,
}

/// A balanced movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// When.
    pub at: Instant,
    /// What for.
    pub memo: String,
    /// They sum to zero in each unit.
    pub entries: Vec<Entry>,
}

impl Posting {
    /// What it moves of the customer's money: what came in, and what went out.
    ///
    /// The customer's money is his balance, with what is held of it for sessions. A payment of a bill from outside
    /// comes in and goes out at once.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit.
    pub fn movement(&self) -> Result<(Exact, Exact), OutOfRange> {
        let (mut own, mut bank) = (Exact::ZERO, Exact::ZERO);
        for entry in &self.entries {
            match entry.account {
                LedgerAccount::Balance | LedgerAccount::Held => own = own.sub(entry.value)?,
                LedgerAccount::Bank => bank = bank.add(entry.value)?,
                _ => {}
            }
        }
        let (zero, minus) = (Exact::ZERO, |value: Exact| Exact::ZERO.sub(value));
        Ok(match bank {
            bank if bank > zero => (bank, bank.sub(own)?),
            bank if bank < zero => (own.sub(bank)?, minus(bank)?),
            _ if own.is_negative() => (zero, minus(own)?),
            _ => (own, zero),
        })
    }

    /// A posting, if its entries balance in each unit; entries of zero are left out.
    pub fn new(at: Instant, memo: String, entries: Vec<Entry>) -> Option<Posting> {
        let mut sums: BTreeMap<&Unit, Exact> = BTreeMap::new();
        for entry in &entries {
            let sum = sums.entry(&entry.unit).or_insert(Exact::ZERO);
            *sum = sum.add(entry.value).ok()?;
        }
        let balanced = sums.values().all(|sum| sum.is_zero());
        let entries = entries.into_iter().filter(|entry| !entry.value.is_zero()).collect();
        balanced.then_some(Posting { at, memo, entries })
    }

    /// A posting of money.
    pub fn money(
        at: Instant,
        memo: String,
        currency: Currency,
        entries: Vec<(LedgerAccount, Amount)>,
    ) -> Option<Posting> {
        let entry = |(account, amount): (_, Amount)| Entry {
            account,
            unit: Unit::Money(currency),
            value: amount.exact(),
        };
        Posting::new(at, memo, entries.into_iter().map(entry).collect())
    }

    /// A movement of quota from one part of a bucket to another.
    pub fn quota(
        at: Instant,
        memo: String,
        unit: &str,
        bucket: &str,
        (from, to): (QuotaSide, QuotaSide),
        units: Exact,
    ) -> Option<Posting> {
        let entry = |side, value| Entry {
            account: LedgerAccount::Quota { bucket: bucket.to_owned(), side },
            unit: Unit::Quota(unit.to_owned()),
            value,
        };
        let minus = Exact::ZERO.sub(units).ok()?;
        Posting::new(at, memo, vec![entry(to, units), entry(from, minus)])
    }
}

/// The balances of one customer account's ledger accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    balances: BTreeMap<LedgerAccount, (Unit, Exact)>,
    postings: Vec<Posting>,
}

impl Ledger {
    /// The balance of a ledger account: debits less credits, in its unit.
    pub fn value(&self, account: &LedgerAccount) -> Exact {
        self.balances.get(account).map_or(Exact::ZERO, |(_, value)| *value)
    }

    /// The balance of a ledger account of money: debits less credits.
    pub fn balance(&self, account: &LedgerAccount) -> Amount {
        // Money is posted in whole 10⁻⁸ units: nothing is rounded here.
        Amount::quantise(self.value(account)).unwrap_or_default()
    }

    /// The customer's prepaid money that is not held.
    pub fn prepaid(&self) -> Amount {
        self.balance(&LedgerAccount::Balance).negated()
    }

    /// Books a posting.
    ///
    /// # Errors
    /// [`OutOfRange`] when a balance does not fit.
    pub fn post(&mut self, posting: Posting) -> Result<(), OutOfRange> {
        for entry in &posting.entries {
            match self.balances.get_mut(&entry.account) {
                Some((_, value)) => *value = value.add(entry.value)?,
                None => {
                    self.balances.insert(entry.account.clone(), (entry.unit.clone(), entry.value));
                }
            }
        }
        self.postings.push(posting);
        Ok(())
    }

    /// Books postings, in order.
    ///
    /// # Errors
    /// [`OutOfRange`] when a balance does not fit.
    pub fn post_all(&mut self, postings: &[Posting]) -> Result<(), OutOfRange> {
        postings.iter().try_for_each(|posting| self.post(posting.clone()))
    }

    /// The unit and the balance of a ledger account that something was posted to.
    pub fn balance_of(&self, account: &LedgerAccount) -> Option<(&Unit, Exact)> {
        self.balances.get(account).map(|(unit, value)| (unit, *value))
    }

    /// All balances: debits less credits, by ledger account.
    pub fn balances(&self) -> impl Iterator<Item = (&LedgerAccount, &Unit, Exact)> {
        self.balances.iter().map(|(account, (unit, value))| (account, unit, *value))
    }

    /// All postings, in order.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}
