//! What an account has besides its balance: coupons, and what was given back of bills that coupons
//! or a write-off had settled.

use crate::calendar::Instant;
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, Currency, OutOfRange};
use std::collections::{BTreeMap, BTreeSet};

/// A coupon: a means of payment for what is charged while it is valid (R-MON-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// Its name, unique in the account that pays.
    pub id: String,
    /// What it was worth when it was granted, above zero.
    pub granted: Amount,
    /// What is left of it.
    pub left: Amount,
    /// When it was granted.
    pub at: Instant,
    /// The plan or product that it is for, as it was granted; `None`: everything.
    pub on: Option<String>,
    /// The plans that are meant by `on`.
    pub plans: BTreeSet<String>,
    /// The first moment at which it is worth nothing. `None`: it never ends.
    pub until: Option<Instant>,
}

impl Coupon {
    /// Whether it can pay at a moment.
    pub fn is_valid(&self, at: Instant) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether it can pay for a plan. A one-off charge has none: only a coupon for everything pays it.
    pub fn covers(&self, plan: &str) -> bool {
        self.on.is_none() || self.plans.contains(plan)
    }
}

/// Value moved between a coupon and a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The coupon.
    pub coupon: String,
    /// What it paid; below zero: what it was given back.
    pub amount: Amount,
    /// The coupon has ended: what is given back is worth nothing any more.
    pub lapsed: bool,
}

impl Draw {
    /// The movement: a coupon that pays is spent, what is given back is owed as value again.
    pub fn posting(&self, at: Instant, bill: &str, currency: Currency) -> Option<Posting> {
        let verb = if self.amount.is_negative() { "given back" } else { "used" };
        let side = if self.lapsed { LedgerAccount::CouponExpense } else { LedgerAccount::Coupons };
        let entries = vec![(side, self.amount), (LedgerAccount::Receivable, self.amount.negated())];
        Posting::money(at, format!("coupon {} {verb} for {bill}", self.coupon), currency, entries)
    }
}

/// What later bills have given back of an issued one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Of what was written off.
    pub written_off: Amount,
    /// Of what money paid.
    pub money: Amount,
    /// Of what coupons paid.
    pub coupons: Amount,
}

/// What coupons and write-offs have to do with charges that were posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Coupons used, and given back.
    pub draws: Vec<Draw>,
    /// What was written off of earlier bills and is given back by this one.
    pub written_back: Amount,
    /// Earlier bills of which something was given back, and how much now in all.
    pub returned: Vec<(Instant, Returned)>,
}

/// Coupons and the like of an account that pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    coupons: BTreeMap<String, Coupon>,
    /// Coupons with something left that have not ended, by their end.
    live: BTreeSet<(Instant, String)>,
    returned: BTreeMap<Instant, Returned>,
    /// What adjustments added to lines, by the line's id.
    adjusted: BTreeMap<String, Amount>,
}

impl Wallet {
    /// A coupon by its name, used up and ended ones too.
    pub fn coupon(&self, id: &str) -> Option<&Coupon> {
        self.coupons.get(id)
    }

    /// Coupons with something left that have not ended: the soonest to end first, then the
    /// smallest, then by name.
    pub fn live(&self) -> Vec<&Coupon> {
        let mut live: Vec<&Coupon> = self.live.iter().filter_map(|(_, id)| self.coupons.get(id)).collect();
        live.sort_by_key(|coupon| (end(coupon), coupon.left, &coupon.id));
        live
    }

    /// When the next coupon ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.live.first().map(|(until, _)| *until).filter(|until| *until < Instant::MAX)
    }

    /// Coupons that have ended by a moment and still have something left.
    pub fn ended(&self, at: Instant) -> Vec<&Coupon> {
        let ended = self.live.iter().take_while(|(until, _)| *until <= at);
        ended.filter_map(|(_, id)| self.coupons.get(id)).filter(|coupon| !coupon.is_valid(at)).collect()
    }

    /// What later bills have given back of the bill of a month.
    pub fn returned(&self, month: Instant) -> Returned {
        self.returned.get(&month).copied().unwrap_or_default()
    }

    /// What adjustments have added to a line.
    pub fn adjusted(&self, line: &str) -> Amount {
        self.adjusted.get(line).copied().unwrap_or_default()
    }

    pub(crate) fn grant(&mut self, coupon: Coupon) {
        self.live.insert((end(&coupon), coupon.id.clone()));
        self.coupons.insert(coupon.id.clone(), coupon);
    }

    /// Takes from a coupon what it paid, or puts back what it was given back.
    pub(crate) fn draw(&mut self, draw: &Draw) -> Result<(), OutOfRange> {
        let Some(coupon) = self.coupons.get_mut(&draw.coupon).filter(|_| !draw.lapsed) else { return Ok(()) };
        coupon.left = coupon.left.sub(draw.amount)?;
        let key = (end(coupon), coupon.id.clone());
        if coupon.left.is_zero() {
            self.live.remove(&key);
        } else {
            self.live.insert(key);
        }
        Ok(())
    }

    pub(crate) fn expire(&mut self, id: &str) {
        if let Some(coupon) = self.coupons.get_mut(id) {
            coupon.left = Amount::ZERO;
            self.live.remove(&(end(coupon), id.to_owned()));
        }
    }

    pub(crate) fn set_returned(&mut self, month: Instant, returned: Returned) {
        self.returned.insert(month, returned);
    }

    pub(crate) fn adjust(&mut self, line: &str, amount: Amount) -> Result<(), OutOfRange> {
        let adjusted = self.adjusted.entry(line.to_owned()).or_default();
        *adjusted = adjusted.add(amount)?;
        Ok(())
    }
}

fn end(coupon: &Coupon) -> Instant {
    coupon.until.unwrap_or(Instant::MAX)
}
