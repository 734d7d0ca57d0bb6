//! Coupons at a charge: which one pays, and what is given back of earlier bills (R-MON-2).

use super::{Desk, Fact, Refusal, wallet};
use crate::account::{AccountHead, BillHead, View};
use crate::bill::{Line, line_id};
use crate::calendar::{Instant, Span};
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, OutOfRange};
use crate::wallet::{Coupon, Draw, Effects, Returned};
use std::collections::BTreeMap;

/// A charge that is posted now: what the bill of its month says afterwards.
pub(super) struct Posted<'a> {
    pub view: &'a dyn View,
    /// The account that pays.
    pub account: &'a AccountHead,
    pub month: Span,
    pub lines: &'a [Line],
    /// What the bill's total rises by.
    pub charged: Amount,
    /// What is owed of it before anything is paid now; below zero: it was paid more than that.
    pub owed: Amount,
    pub at: Instant,
}

/// What was written off, credited and paid of a bill, and how much of that has come back.
pub(super) struct Settled {
    written_off: Amount,
    money: Amount,
    coupons: Vec<(String, Amount)>,
    returned: Returned,
}

impl Settled {
    /// Of an issued bill. What is still owed of it counts as money: it comes back as what pays it.
    pub fn of(
        view: &dyn View,
        account: &str,
        month: Instant,
        bill: &BillHead,
    ) -> Result<Settled, OutOfRange> {
        let money = bill.posted.sub(bill.coupons)?.sub(bill.credited)?.sub(bill.written_off)?;
        Ok(Settled {
            written_off: bill.written_off,
            money,
            coupons: view.paid_by_coupons(account, month),
            returned: view.returned(account, month),
        })
    }

    /// The same, with what money has really paid of it.
    pub fn paid(
        view: &dyn View,
        account: &str,
        month: Instant,
        bill: &BillHead,
    ) -> Result<Settled, OutOfRange> {
        Ok(Settled { money: bill.paid, ..Settled::of(view, account, month, bill)? })
    }

    /// Gives back: first what was written off, then what money paid, then what coupons paid, the
    /// last used first. The order is the reverse of that in which it was settled, so that a coupon
    /// never turns into money. Answers the parts; what is more than all of them is money.
    pub fn give_back(&mut self, amount: Amount) -> Result<(Returned, Vec<(String, Amount)>), OutOfRange> {
        let part = |rest: &mut Amount, all: Amount, gone: &mut Amount| -> Result<Amount, OutOfRange> {
            let part = all.sub(*gone)?.max(Amount::ZERO).min(*rest);
            *gone = gone.add(part)?;
            *rest = rest.sub(part)?;
            Ok(part)
        };
        let (mut rest, mut back) = (amount, Returned::default());
        back.written_off = part(&mut rest, self.written_off, &mut self.returned.written_off)?;
        back.money = part(&mut rest, self.money, &mut self.returned.money)?;
        let mut draws = Vec::new();
        // What came back before is of the coupons that were used last.
        let mut gone = self.returned.coupons;
        for (coupon, paid) in self.coupons.iter().rev().filter(|(_, paid)| *paid > Amount::ZERO) {
            let before = gone.min(*paid);
            gone = gone.sub(before)?;
            let given = paid.sub(before)?.min(rest);
            if given > Amount::ZERO {
                rest = rest.sub(given)?;
                back.coupons = back.coupons.add(given)?;
                draws.push((coupon.clone(), given));
            }
        }
        self.returned.coupons = self.returned.coupons.add(back.coupons)?;
        back.money = back.money.add(rest)?;
        Ok((back, draws))
    }

    /// Charged anew: what money paid is the last to have come back, and the first to go again.
    fn charge_again(&mut self, amount: Amount) -> Result<(), OutOfRange> {
        let part = self.returned.money.min(amount);
        self.returned.money = self.returned.money.sub(part)?;
        Ok(())
    }
}

/// A coupon that is given value back, if it is still valid.
pub(super) fn back_to(view: &dyn View, account: &str, id: &str, amount: Amount, at: Instant) -> Draw {
    let lapsed = view.coupon(account, id).is_none_or(|coupon| !coupon.is_valid(at));
    Draw { coupon: id.to_owned(), amount: amount.negated(), lapsed }
}

impl Posted<'_> {
    /// What coupons pay of the charge, what they are given back, and what a write-off is.
    pub fn effects(&self) -> Result<Effects, Refusal> {
        let (mut effects, money) = self.back_of_earlier_bills()?;
        let owed = self.owed_after(&effects)?;
        if owed.is_negative() {
            // What comes back of earlier bills as money is none of this bill's coupons' business.
            let surplus = owed.negated().sub(money)?.max(Amount::ZERO);
            self.back_of_this_bill(surplus, &mut effects)?;
        } else if let Some(draw) = self.draw(owed)? {
            effects.draws.push(draw);
        }
        Ok(effects)
    }

    /// What is owed of the bill after coupons and write-offs had their part.
    pub fn owed_after(&self, effects: &Effects) -> Result<Amount, OutOfRange> {
        let by_coupons = effects.draws.iter().try_fold(Amount::ZERO, |sum, draw| sum.add(draw.amount))?;
        self.owed.sub(by_coupons)?.add(effects.written_back)
    }

    /// A line that takes back what an earlier bill charged gives that bill's coupons and write-off
    /// their part back. Answers also what comes back as money.
    fn back_of_earlier_bills(&self) -> Result<(Effects, Amount), Refusal> {
        let (mut effects, mut money) = (Effects::default(), Amount::ZERO);
        let mut back: BTreeMap<Instant, Amount> = BTreeMap::new();
        for line in self.lines {
            let corrected = line.corrects.as_deref().and_then(line_id);
            let Some((_, first, _)) = corrected.filter(|(account, ..)| *account == self.account.id) else {
                continue;
            };
            let month = self.account.zone.midnight(first);
            if month != self.month.start {
                let sum = back.entry(month).or_default();
                *sum = sum.sub(line.amount)?;
            }
        }
        for (month, amount) in back {
            let Some(bill) = self.view.bill(&self.account.id, month) else { continue };
            let by_coupons = self.view.paid_by_coupons(&self.account.id, month);
            let amount = amount.round_to_minor(self.account.currency);
            if bill.written_off.is_zero() && by_coupons.is_empty() {
                money = money.add(amount.max(Amount::ZERO))?;
                continue;
            }
            let mut settled = Settled::of(self.view, &self.account.id, month, &bill)?;
            if amount.is_negative() {
                settled.charge_again(amount.negated())?;
            } else {
                let (parts, draws) = settled.give_back(amount)?;
                effects.written_back = effects.written_back.add(parts.written_off)?;
                money = money.add(parts.money)?;
                for (coupon, given) in draws {
                    effects.draws.push(back_to(self.view, &self.account.id, &coupon, given, self.at));
                }
            }
            effects.returned.push((month, settled.returned));
        }
        Ok((effects, money))
    }

    /// The bill itself has become less than was paid of it: money first, then coupons.
    fn back_of_this_bill(&self, surplus: Amount, effects: &mut Effects) -> Result<(), Refusal> {
        let Some(bill) = self.view.bill(&self.account.id, self.month.start) else { return Ok(()) };
        let rest = surplus.sub(bill.paid.max(Amount::ZERO).min(surplus))?;
        let mut settled = Settled {
            written_off: Amount::ZERO,
            money: Amount::ZERO,
            coupons: self.view.paid_by_coupons(&self.account.id, self.month.start),
            returned: Returned::default(),
        };
        let (_, draws) = settled.give_back(rest)?;
        for (coupon, given) in draws {
            effects.draws.push(back_to(self.view, &self.account.id, &coupon, given, self.at));
        }
        Ok(())
    }

    /// One coupon pays: of those that are for something charged now, the soonest to end, then the
    /// smallest, then by name. It pays no more than is charged in this decision: never arrears.
    fn draw(&self, owed: Amount) -> Result<Option<Draw>, Refusal> {
        let most = self.charged.min(owed);
        if most <= Amount::ZERO {
            return Ok(None);
        }
        for coupon in self.view.coupons(&self.account.id) {
            let part = most.min(self.covered_by(coupon)?).min(coupon.left);
            if coupon.is_valid(self.at) && part > Amount::ZERO {
                return Ok(Some(Draw { coupon: coupon.id.clone(), amount: part, lapsed: false }));
            }
        }
        Ok(None)
    }

    /// What is charged now of the plans that a coupon is for.
    fn covered_by(&self, coupon: &Coupon) -> Result<Amount, OutOfRange> {
        let covered = self.lines.iter().filter(|line| coupon.covers(&line.plan));
        let sum = covered.map(|line| line.amount).try_fold(Amount::ZERO, Amount::add)?;
        Ok(sum.round_to_minor(self.account.currency))
    }

    /// The movements of coupons and write-offs.
    pub fn postings(&self, effects: &Effects, bill: &str) -> Vec<Posting> {
        let currency = self.account.currency;
        let mut postings: Vec<Posting> =
            effects.draws.iter().filter_map(|draw| draw.posting(self.at, bill, currency)).collect();
        if !effects.written_back.is_zero() {
            postings.extend(written_back(self.account, self.at, bill, effects.written_back));
        }
        postings
    }
}

/// What was written off, and is not charged any more.
pub(super) fn written_back(
    account: &AccountHead,
    at: Instant,
    bill: &str,
    amount: Amount,
) -> Option<Posting> {
    let entries = vec![(LedgerAccount::Receivable, amount), (LedgerAccount::WriteOffs, amount.negated())];
    Posting::money(at, format!("write-off taken back by {bill}"), account.currency, entries)
}

/// Coupons that have ended are worth nothing: what is left of them is no cost.
pub(super) fn expire(desk: &Desk<'_>) -> Vec<Fact> {
    let (payer, at) = (desk.payer, desk.at);
    let ended = desk.view.coupons_ended(&payer.id, at);
    ended
        .into_iter()
        .filter_map(|coupon| {
            let entries = vec![
                (LedgerAccount::Coupons, coupon.left),
                (LedgerAccount::CouponExpense, coupon.left.negated()),
            ];
            let memo = format!("coupon {} ended", coupon.id);
            let posting = Posting::money(at, memo, payer.currency, entries)?;
            let (account, coupon) = (payer.id.clone(), coupon.id.clone());
            Some(Fact::Wallet(wallet::Fact::CouponExpired { account, coupon, posting }))
        })
        .collect()
}
