//! The money of a payer: its balance, coupons, and the bills of its months.
//!
//! Debts are paid as soon as there is money, the oldest first (R-OCR-8, RULES §3 nos. 27 and 32), so that
//! there is never a balance beside a debt.

use crate::calendar::{self, Cycle};
use crate::number::{Number, round, zero};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// A line that is charged.
pub(crate) struct Item {
    /// The plan; none: charged by hand.
    pub(crate) plan: Option<String>,
    pub(crate) amount: Number,
    /// The month of the bill with the line that it corrects.
    pub(crate) corrects: Option<Timestamp>,
}

/// A bill, and how it was settled.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The exact sum of its lines.
    pub sum: Number,
    /// The same, rounded once (R-MON-1).
    pub total: Number,
    /// What money paid.
    pub paid: Number,
    /// What coupons paid, in the order in which they were used; below zero: what they were given back.
    pub coupons: Vec<(String, Number)>,
    /// Credit notes.
    pub credited: Number,
    /// What was given up; below zero: what of it was taken back by this bill.
    pub written_off: Number,
    /// What later bills gave back of what was written off, of money, and of coupons.
    back: [Number; 3],
}

impl Bill {
    fn new() -> Bill {
        Bill {
            sum: zero(),
            total: zero(),
            paid: zero(),
            coupons: Vec::new(),
            credited: zero(),
            written_off: zero(),
            back: [zero(), zero(), zero()],
        }
    }

    fn by_coupons(&self) -> Number {
        self.coupons.iter().map(|(_, amount)| amount.clone()).sum()
    }

    /// What is still owed of it; below zero: what has to come back.
    pub fn due(&self) -> Number {
        &self.total - &self.paid - self.by_coupons() - &self.credited - &self.written_off
    }

    fn coupon(&mut self, id: &str, amount: &Number) {
        match self.coupons.iter_mut().find(|(known, _)| known == id) {
            Some((_, sum)) => *sum += amount,
            None => self.coupons.push((id.to_owned(), amount.clone())),
        }
        self.coupons.retain(|(_, amount)| !amount.is_zero());
    }

    /// How an amount that is not charged any more comes back (DECISIONS 34): first what was written
    /// off, then so much money, then coupons, the last used first; what is more than all is money. What
    /// came back before does not come back again.
    fn give_back(&mut self, amount: &Number, written_off: &Number, money: &Number) -> Back {
        let mut rest = amount.clone();
        let mut part = |all: &Number, gone: &mut Number| {
            let part = (all - &*gone).max(zero()).min(rest.clone());
            rest -= &part;
            *gone += &part;
            part
        };
        let [gone_off, gone_money, gone_coupons] = &mut self.back;
        let mut back = Back { written_off: part(written_off, gone_off), ..Back::default() };
        back.money = part(money, gone_money);
        let mut before = gone_coupons.clone();
        for (id, paid) in self.coupons.iter().rev().filter(|(_, paid)| paid.is_positive()) {
            let mut gone = before.clone().min(paid.clone());
            before -= &gone;
            let given = part(paid, &mut gone);
            if given.is_positive() {
                *gone_coupons += &given;
                back.coupons.push((id.clone(), given));
            }
        }
        back.money += rest;
        back
    }
}

/// What comes back, and as what.
#[derive(Default)]
struct Back {
    written_off: Number,
    money: Number,
    coupons: Vec<(String, Number)>,
}

/// A means of payment for what is charged while it is valid (R-MON-2).
#[derive(Clone, Debug)]
pub struct Coupon {
    /// What is left.
    pub left: Number,
    /// From then on it is worth nothing.
    pub until: Option<Timestamp>,
    /// The plans that it pays for; none: everything.
    pub plans: Option<BTreeSet<String>>,
}

impl Coupon {
    /// Whether it is worth something.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    fn covers(&self, plan: Option<&String>) -> bool {
        self.plans.as_ref().is_none_or(|plans| plan.is_some_and(|plan| plans.contains(plan)))
    }
}

/// The money of a payer.
#[derive(Clone, Debug, Default)]
pub struct Money {
    /// What it has, without what is kept for sessions.
    pub balance: Number,
    /// Bills, by the start of their month.
    pub bills: BTreeMap<Timestamp, Bill>,
    /// Coupons by name.
    pub coupons: BTreeMap<String, Coupon>,
    /// What it had less what it owed, after each movement.
    pub statement: Vec<(Timestamp, Number)>,
}

impl Money {
    /// What it has less what it owes.
    pub fn net(&self) -> Number {
        &self.balance - self.bills.values().map(Bill::due).sum::<Number>()
    }

    /// Money comes in (above zero) or is taken; it pays what is owed.
    pub(crate) fn move_by(&mut self, at: Timestamp, amount: &Number) {
        self.balance += amount;
        self.pay_debts(at);
    }

    /// Money is kept for sessions; below zero: kept no longer, and pays what is owed.
    pub(crate) fn keep(&mut self, at: Timestamp, amount: &Number) {
        if !amount.is_zero() {
            self.balance -= amount;
            self.pay_debts(at);
        }
    }

    /// Pays the oldest debt first (R-ARR-3), with what there is.
    pub(crate) fn pay_debts(&mut self, at: Timestamp) {
        for bill in self.bills.values_mut() {
            let due = bill.due();
            // Below zero it comes back to the balance.
            let part = if due.is_negative() { due } else { due.min(self.balance.clone().max(zero())) };
            bill.paid += &part;
            self.balance -= part;
        }
        // What came back of a later bill may pay an earlier one.
        if self.balance.is_positive() && self.bills.values().any(|bill| bill.due().is_positive()) {
            return self.pay_debts(at);
        }
        self.statement.push((at, self.net()));
    }

    /// Charges lines on the bill of a month: the running total, rounded once, less what was charged of
    /// it before (R-MON-1). One coupon pays of it, then the balance (R-MON-2).
    pub(crate) fn charge(&mut self, zone: &TimeZone, in_month: Timestamp, items: &[Item], at: Timestamp) {
        let month = calendar::cycle_start(zone, Cycle::Month, in_month);
        let bill = self.bills.entry(month).or_insert_with(Bill::new);
        bill.sum += items.iter().map(|item| item.amount.clone()).sum::<Number>();
        let before = std::mem::replace(&mut bill.total, round(&bill.sum, 2));
        let charged = &bill.total - before;

        // Of this bill by itself, nothing has come back by a later one.
        let mut own = Bill { back: [zero(), zero(), zero()], ..bill.clone() };
        let coupons_before = self.coupons.clone();
        let mut as_money = zero();
        // What corrects earlier bills gives their coupons and write-offs their part back.
        let mut earlier: BTreeMap<Timestamp, Number> = BTreeMap::new();
        for item in items {
            if let Some(corrected) = item.corrects.filter(|corrected| *corrected != month) {
                *earlier.entry(corrected).or_insert_with(zero) -= &item.amount;
            }
        }
        for (corrected, amount) in earlier {
            let Some(other) = self.bills.get_mut(&corrected) else { continue };
            let amount = round(&amount, 2);
            if other.written_off.is_zero() && other.coupons.is_empty() {
                as_money += amount.max(zero());
                continue;
            }
            if amount.is_negative() {
                // Charged anew: what money paid goes again first.
                let again = other.back[1].clone().min(-amount);
                other.back[1] -= again;
                continue;
            }
            // What is still owed of it counts as money: it comes back as what will pay it.
            let money = &other.total - other.by_coupons() - &other.credited - &other.written_off;
            let written_off = other.written_off.clone();
            let back = other.give_back(&amount, &written_off, &money);
            as_money += back.money;
            self.bills.get_mut(&month).expect("there").written_off -= back.written_off;
            self.refill(month, back.coupons, at);
        }

        let bill = self.bills.get_mut(&month).expect("there");
        let due = bill.due();
        if due.is_negative() {
            // What does not come back of earlier bills as money: the bill itself has become less than was
            // paid of it. That is money first, then coupons.
            let surplus = (-due - as_money).max(zero());
            let rest = &surplus - bill.paid.clone().max(zero()).min(surplus.clone());
            let back = own.give_back(&rest, &zero(), &zero());
            self.refill(month, back.coupons, at);
        } else {
            self.draw(month, items, &charged.min(due), &coupons_before, at);
        }
        self.pay_debts(at);
    }

    /// One coupon pays: of those for something charged now the soonest to end, then the smallest, then
    /// by name.
    fn draw(
        &mut self,
        month: Timestamp,
        items: &[Item],
        most: &Number,
        coupons: &BTreeMap<String, Coupon>,
        at: Timestamp,
    ) {
        let part = |coupon: &Coupon| {
            let covered = items.iter().filter(|item| coupon.covers(item.plan.as_ref()));
            let covered: Number = covered.map(|item| item.amount.clone()).sum();
            most.clone().min(round(&covered, 2)).min(coupon.left.clone())
        };
        let order = |(id, coupon): &(&String, &Coupon)| {
            (coupon.until.unwrap_or(Timestamp::MAX), coupon.left.clone(), (*id).clone())
        };
        let pays = coupons.iter().filter(|(_, one)| one.is_valid(at) && part(one).is_positive());
        if let Some((id, coupon)) = pays.min_by_key(order) {
            let part = part(coupon);
            self.coupons.get_mut(id).expect("there").left -= &part;
            self.bills.get_mut(&month).expect("there").coupon(id, &part);
        }
    }

    /// Gives coupons back what they paid, on the bill of a month. Those that have ended lose it.
    fn refill(&mut self, month: Timestamp, given: Vec<(String, Number)>, at: Timestamp) {
        for (id, amount) in given {
            let coupon = self.coupons.get_mut(&id).expect("granted");
            if coupon.is_valid(at) {
                coupon.left += &amount;
            }
            self.bills.get_mut(&month).expect("there").coupon(&id, &-amount);
        }
    }

    /// A credit note against an issued bill. What is then settled too much comes back: what was written
    /// off, what money paid, what coupons paid.
    pub(crate) fn credit(&mut self, month: Timestamp, amount: &Number, at: Timestamp) {
        let bill = self.bills.get_mut(&month).expect("there");
        let surplus = amount - bill.due();
        bill.credited += amount;
        if surplus.is_positive() {
            let (written_off, paid, gone) = (bill.written_off.clone(), bill.paid.clone(), bill.back.clone());
            let back = bill.give_back(&surplus, &written_off, &paid);
            // What a credit note gives back is off the bill itself.
            bill.back = gone;
            bill.written_off -= back.written_off;
            self.refill(month, back.coupons, at);
        }
        self.pay_debts(at);
    }
}
