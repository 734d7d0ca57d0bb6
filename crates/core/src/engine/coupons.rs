//! Coupons at a charge: which one pays, and what is given back of earlier bills (R-MON-2).

use super::{Desk, Fact, Refusal, wallet};
use crate::account::{AccountHead, BillHead, View};
use crate::bill::{Line, line_id};
use crate::calendar::{Instant, Span};
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, OutOfRange};
use crate::wallet::{Corrected, Coupon, Draw, Effects, Returned};
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

/// What of a bill's own charges was written off and paid, and how much of that has come back.
pub(super) struct Settled {
    written_off: Amount,
    money: Amount,
    coupons: Vec<(String, Amount)>,
    returned: Returned,
}

impl Settled {
    /// Of an issued bill. What is still owed of it counts as money: it comes back as what pays it.
    fn of(
        view: &dyn View,
        account: &str,
        (month, bill): (Instant, &BillHead),
        corrected: &Corrected,
    ) -> Result<Settled, OutOfRange> {
        let money = bill.posted.sub(bill.coupons)?.sub(bill.credited)?.sub(bill.written_off)?;
        Ok(Settled {
            written_off: bill.written_off.add(corrected.gave.written_off)?,
            money: money.add(corrected.gave.money)?,
            coupons: view.paid_by_coupons(account, month),
            returned: corrected.returned,
        })
    }

    /// The same, with what money has really paid of it.
    pub fn paid(
        view: &dyn View,
        account: &str,
        month: Instant,
        bill: &BillHead,
    ) -> Result<Settled, OutOfRange> {
        let corrected = view.corrected(account, month);
        let money = bill.paid.add(corrected.gave.money)?;
        Ok(Settled { money, ..Settled::of(view, account, (month, bill), &corrected)? })
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
        self.returned.money = self.returned.money.add(rest)?;
        back.money = back.money.add(rest)?;
        Ok((back, draws))
    }
}

/// Bills, as corrections leave them.
struct Books<'a> {
    view: &'a dyn View,
    account: &'a str,
    changed: BTreeMap<Instant, Corrected>,
}

impl Books<'_> {
    fn of(&mut self, month: Instant) -> &mut Corrected {
        self.changed.entry(month).or_insert_with(|| self.view.corrected(self.account, month))
    }
}

/// A coupon that is given value back, if it is still valid.
pub(super) fn back_to(view: &dyn View, account: &str, id: &str, amount: Amount, at: Instant) -> Draw {
    let lapsed = view.coupon(account, id).is_none_or(|coupon| !coupon.is_valid(at));
    Draw { coupon: id.to_owned(), amount: amount.negated(), lapsed, earlier: false }
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
    /// their part back. What a later bill had charged again comes back before that, as that later bill
    /// was settled: whoever paid again is given it back. Answers also what comes back as money.
    fn back_of_earlier_bills(&self) -> Result<(Effects, Amount), Refusal> {
        let (mut effects, this) = (Effects::default(), self.month.start);
        let mut books = Books { view: self.view, account: &self.account.id, changed: BTreeMap::new() };
        let mut gave = Returned::default();
        for (corrected, amount) in self.not_charged_any_more()? {
            if self.view.bill(&self.account.id, corrected).is_none() {
                continue;
            }
            let amount = amount.round_to_minor(self.account.currency);
            if amount.is_negative() {
                books.of(corrected).charge_again(this, amount.negated())?;
                continue;
            }
            let (mut parts, rest) = books.of(corrected).take_back(amount)?;
            parts.push((corrected, rest));
            // What this bill itself had charged again makes it less: that is not an earlier one's.
            for (month, part) in parts.into_iter().filter(|(month, part)| *month != this && !part.is_zero()) {
                let Some(bill) = self.view.bill(&self.account.id, month) else { continue };
                let mut settled = Settled::of(self.view, &self.account.id, (month, &bill), books.of(month))?;
                let (back, draws) = settled.give_back(part)?;
                books.of(month).returned = settled.returned;
                gave = gave.add(back)?;
                for (coupon, given) in draws {
                    let draw = back_to(self.view, &self.account.id, &coupon, given, self.at);
                    effects.draws.push(Draw { earlier: true, ..draw });
                }
            }
        }
        if gave != Returned::default() {
            let own = books.of(this);
            own.gave = own.gave.add(gave)?;
        }
        effects.written_back = gave.written_off;
        effects.corrected = books.changed.into_iter().collect();
        Ok((effects, gave.money))
    }

    /// What the lines take back of earlier bills, by their months; below zero: what they charge again.
    fn not_charged_any_more(&self) -> Result<BTreeMap<Instant, Amount>, OutOfRange> {
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
        Ok(back)
    }

    /// The bill itself has become less than was paid of it: money first, then coupons.
    fn back_of_this_bill(&self, surplus: Amount, effects: &mut Effects) -> Result<(), Refusal> {
        let month = self.month.start;
        let Some(bill) = self.view.bill(&self.account.id, month) else { return Ok(()) };
        let gave = self.view.corrected(&self.account.id, month).gave;
        let mut settled = Settled {
            written_off: Amount::ZERO,
            money: bill.paid.add(gave.money)?,
            coupons: self.view.paid_by_coupons(&self.account.id, month),
            returned: Returned::default(),
        };
        let (_, draws) = settled.give_back(surplus)?;
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
                return Ok(Some(Draw {
                    coupon: coupon.id.clone(),
                    amount: part,
                    lapsed: false,
                    earlier: false,
                }));
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
