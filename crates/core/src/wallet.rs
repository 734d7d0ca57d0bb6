//! What an account has besides its balance: coupons, and what corrections made of its bills.

use crate::bill::BillHold;
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

/// How much a payer may owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditLimit {
    /// Zero or above; zero: all that begins must be covered by the balance.
    pub amount: Amount,
    /// From when on.
    pub since: Instant,
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
    /// It is given back for an earlier bill, and says nothing about how this one is paid.
    pub earlier: bool,
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

/// Parts of what settled a bill, as they were given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Of what was written off.
    pub written_off: Amount,
    /// Of what money paid.
    pub money: Amount,
    /// Of what coupons paid.
    pub coupons: Amount,
}

impl Returned {
    /// All of it.
    pub(crate) fn total(&self) -> Result<Amount, OutOfRange> {
        self.written_off.add(self.money)?.add(self.coupons)
    }

    pub(crate) fn add(self, more: Returned) -> Result<Returned, OutOfRange> {
        Ok(Returned {
            written_off: self.written_off.add(more.written_off)?,
            money: self.money.add(more.money)?,
            coupons: self.coupons.add(more.coupons)?,
        })
    }
}

/// What corrections made of a bill. Its own charges and what settled them stay apart from what it gives
/// back for others, so that no part comes back twice, or as something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrected {
    /// What later bills gave back of it.
    pub returned: Returned,
    /// What it gave back itself, of earlier bills.
    pub gave: Returned,
    /// What later bills charge again, or more, of its lines and has not come back: the month of the
    /// bill and how much, above zero; the latest is the last.
    pub again: Vec<(Instant, Amount)>,
}

impl Corrected {
    /// The bill of a month charges more of its lines.
    pub(crate) fn charge_again(&mut self, month: Instant, amount: Amount) -> Result<(), OutOfRange> {
        match self.again.last_mut().filter(|(last, _)| *last == month) {
            Some((_, sum)) => *sum = sum.add(amount)?,
            None => self.again.push((month, amount)),
        }
        Ok(())
    }

    /// So much is not charged any more: what was charged last comes back first. Answers of which
    /// bills it comes back, and what is of this bill itself.
    pub(crate) fn take_back(
        &mut self,
        amount: Amount,
    ) -> Result<(Vec<(Instant, Amount)>, Amount), OutOfRange> {
        let (mut parts, mut rest) = (Vec::new(), amount);
        while let Some((month, sum)) = self.again.last_mut().filter(|_| !rest.is_zero()) {
            let part = rest.min(*sum);
            parts.push((*month, part));
            rest = rest.sub(part)?;
            *sum = sum.sub(part)?;
            if sum.is_zero() {
                self.again.pop();
            }
        }
        Ok((parts, rest))
    }
}

/// What coupons and write-offs have to do with charges that were posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Coupons used, and given back.
    pub draws: Vec<Draw>,
    /// What was written off of earlier bills and is given back by this one.
    pub written_back: Amount,
    /// Bills of which something was corrected, and this one: what it comes to now.
    pub corrected: Vec<(Instant, Corrected)>,
}

/// Coupons and the like of an account that pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    coupons: BTreeMap<String, Coupon>,
    /// Coupons with something left that have not ended, by their end.
    live: BTreeSet<(Instant, String)>,
    /// What coupons paid of the charges of a month's bill itself, in the order of their first use.
    paid: BTreeMap<Instant, Vec<(String, Amount)>>,
    corrected: BTreeMap<Instant, Corrected>,
    /// What adjustments added to lines, by the line's id.
    adjusted: BTreeMap<String, Amount>,
    /// Bills that are held back, by the start of their month.
    held: BTreeMap<Instant, BillHold>,
    credit_limit: Option<CreditLimit>,
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

    /// What each coupon paid of what the bill of a month charges itself, in the order of their first
    /// use; what they were given back for earlier bills is not among it.
    pub fn paid(&self, month: Instant) -> &[(String, Amount)] {
        self.paid.get(&month).map_or(&[], Vec::as_slice)
    }

    /// What corrections made of the bill of a month.
    pub fn corrected(&self, month: Instant) -> Corrected {
        self.corrected.get(&month).cloned().unwrap_or_default()
    }

    /// What adjustments have added to a line.
    pub fn adjusted(&self, line: &str) -> Amount {
        self.adjusted.get(line).copied().unwrap_or_default()
    }

    /// How much the account may owe. `None`: nobody has said.
    pub fn credit_limit(&self) -> Option<CreditLimit> {
        self.credit_limit
    }

    pub(crate) fn set_credit_limit(&mut self, limit: Option<CreditLimit>) {
        self.credit_limit = limit;
    }

    /// Why the bill of a month is held back, where it is.
    pub fn bill_hold(&self, month: Instant) -> Option<&BillHold> {
        self.held.get(&month)
    }

    pub(crate) fn hold_bill(&mut self, month: Instant, held: BillHold) {
        self.held.insert(month, held);
    }

    pub(crate) fn release_bill(&mut self, month: Instant) {
        self.held.remove(&month);
    }

    pub(crate) fn grant(&mut self, coupon: Coupon) {
        self.live.insert((end(&coupon), coupon.id.clone()));
        self.coupons.insert(coupon.id.clone(), coupon);
    }

    /// Takes from a coupon what it paid on the bill of a month, or puts back what it was given back.
    pub(crate) fn draw(&mut self, month: Instant, draw: &Draw) -> Result<(), OutOfRange> {
        if !draw.earlier {
            add_draw(self.paid.entry(month).or_default(), draw)?;
        }
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

    pub(crate) fn set_corrected(&mut self, month: Instant, corrected: Corrected) {
        self.corrected.insert(month, corrected);
    }

    pub(crate) fn adjust(&mut self, line: &str, amount: Amount) -> Result<(), OutOfRange> {
        let adjusted = self.adjusted.entry(line.to_owned()).or_default();
        *adjusted = adjusted.add(amount)?;
        Ok(())
    }
}

/// Adds to what coupons paid; who comes to nothing is not among them.
pub(crate) fn add_draw(paid: &mut Vec<(String, Amount)>, draw: &Draw) -> Result<(), OutOfRange> {
    match paid.iter_mut().find(|(coupon, _)| *coupon == draw.coupon) {
        Some((_, sum)) => *sum = sum.add(draw.amount)?,
        None => paid.push((draw.coupon.clone(), draw.amount)),
    }
    paid.retain(|(_, sum)| !sum.is_zero());
    Ok(())
}

fn end(coupon: &Coupon) -> Instant {
    coupon.until.unwrap_or(Instant::MAX)
}
