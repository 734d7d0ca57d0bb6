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
}

/// What of a bill's own charges was written off, paid with money, and paid by coupons, in the order in
/// which they were used.
#[derive(Default)]
struct Parts {
    written_off: Number,
    money: Number,
    coupons: Vec<(String, Number)>,
}

impl Parts {
    /// What of them comes back of an amount that is not charged any more (DECISIONS 34): first what was
    /// written off, then money, then coupons, the last used first; what is more than all is money.
    fn back(&self, amount: &Number) -> Parts {
        let mut rest = amount.clone();
        let mut part = |all: &Number| {
            let part = all.clone().max(zero()).min(rest.clone());
            rest -= &part;
            part
        };
        let (written_off, money) = (part(&self.written_off), part(&self.money));
        let coupons = self.coupons.iter().rev().map(|(id, paid)| (id.clone(), part(paid)));
        let coupons = coupons.filter(|(_, given)| given.is_positive()).collect();
        Parts { written_off, money: money + rest, coupons }
    }
}

/// What one bill gave back of another.
#[derive(Clone, Debug)]
struct GivenBack {
    on: Timestamp,
    of: Timestamp,
    written_off: Number,
    money: Number,
}

/// What a coupon paid of a bill; below zero: what of that it was given back, on the same or a later one.
#[derive(Clone, Debug)]
struct Moved {
    on: Timestamp,
    of: Timestamp,
    id: String,
    amount: Number,
}

/// What a bill charges more of the lines of an earlier one, as far as it has not come back.
#[derive(Clone, Debug)]
struct Again {
    on: Timestamp,
    of: Timestamp,
    amount: Number,
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
    /// What of its money is kept for sessions. What they keep besides is credit, and no money.
    pub kept: Number,
    /// How often a session kept more than the balance had.
    pub on_credit: u32,
    /// Bills, by the start of their month.
    pub bills: BTreeMap<Timestamp, Bill>,
    /// Coupons by name.
    pub coupons: BTreeMap<String, Coupon>,
    /// What it had less what it owed, after each movement.
    pub statement: Vec<(Timestamp, Number)>,
    given_back: Vec<GivenBack>,
    moved: Vec<Moved>,
    again: Vec<Again>,
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

    /// Money is kept for sessions, as much of it as the balance has; below zero: kept no longer, comes back to
    /// the balance first, and pays what is owed.
    pub(crate) fn keep(&mut self, at: Timestamp, amount: &Number) {
        if amount.is_zero() {
            return;
        }
        let part = if amount.is_negative() {
            -(-amount.clone()).min(self.kept.clone())
        } else {
            self.on_credit += u32::from(*amount > self.balance);
            amount.clone().min(self.balance.clone())
        };
        self.balance -= &part;
        self.kept += part;
        self.pay_debts(at);
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

        let paid = bill.paid.clone();
        let own = self.left(month, &paid);
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
            if !self.bills.contains_key(&corrected) {
                continue;
            }
            let amount = round(&amount, 2);
            if amount.is_negative() {
                self.again.push(Again { on: month, of: corrected, amount: -amount });
                continue;
            }
            for (of, part) in self.charged_last(corrected, &amount) {
                if of == month {
                    // This bill itself becomes less by it.
                    continue;
                }
                // What is still owed of it counts as money: it comes back as what will pay it.
                let other = &self.bills[&of];
                let money = other.due() + &other.paid;
                let back = self.left(of, &money).back(&part);
                self.bills.get_mut(&month).expect("there").written_off -= &back.written_off;
                as_money += &back.money;
                self.refill(month, of, back.coupons, at);
                let (written_off, money) = (back.written_off, back.money);
                self.given_back.push(GivenBack { on: month, of, written_off, money });
            }
        }

        let bill = self.bills.get_mut(&month).expect("there");
        let due = bill.due();
        if due.is_negative() {
            // What does not come back of earlier bills as money: the bill itself has become less than was
            // paid of it. That is money first, then coupons.
            let surplus = (-due - as_money).max(zero());
            let back = Parts { written_off: zero(), ..own }.back(&surplus);
            self.refill(month, month, back.coupons, at);
        } else {
            self.draw(month, items, &charged.min(due), &coupons_before, at);
        }
        self.pay_debts(at);
    }

    /// What settled a bill's own charges and has not come back, `money` having paid so much of it. What
    /// the bill gave back of earlier ones is not its own.
    fn left(&self, month: Timestamp, money: &Number) -> Parts {
        let (mut written_off, mut money) = (self.bills[&month].written_off.clone(), money.clone());
        for given in &self.given_back {
            if given.on == month {
                written_off += &given.written_off;
                money += &given.money;
            }
            if given.of == month {
                written_off -= &given.written_off;
                money -= &given.money;
            }
        }
        let mut coupons: Vec<(String, Number)> = Vec::new();
        for moved in self.moved.iter().filter(|moved| moved.of == month) {
            match coupons.iter_mut().find(|(id, _)| *id == moved.id) {
                Some((_, sum)) => *sum += &moved.amount,
                None => coupons.push((moved.id.clone(), moved.amount.clone())),
            }
            coupons.retain(|(_, sum)| !sum.is_zero());
        }
        Parts { written_off, money, coupons }
    }

    /// Of which bills an amount comes back that a bill's lines are charged less: what later bills charged
    /// more of them comes first, the latest first, and the rest is the bill's own.
    fn charged_last(&mut self, corrected: Timestamp, amount: &Number) -> Vec<(Timestamp, Number)> {
        let (mut parts, mut rest) = (Vec::new(), amount.clone());
        for again in self.again.iter_mut().rev().filter(|again| again.of == corrected) {
            let part = again.amount.clone().min(rest.clone());
            again.amount -= &part;
            rest -= &part;
            parts.push((again.on, part));
        }
        parts.push((corrected, rest));
        parts.retain(|(_, part)| part.is_positive());
        parts
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
            self.moved.push(Moved { on: month, of: month, id: id.clone(), amount: part });
        }
    }

    /// Gives coupons back what they paid of a bill, on the bill of a month. Those that have ended lose it.
    fn refill(&mut self, month: Timestamp, of: Timestamp, given: Vec<(String, Number)>, at: Timestamp) {
        for (id, amount) in given {
            let coupon = self.coupons.get_mut(&id).expect("granted");
            if coupon.is_valid(at) {
                coupon.left += &amount;
            }
            self.bills.get_mut(&month).expect("there").coupon(&id, &-amount.clone());
            self.moved.push(Moved { on: month, of, id, amount: -amount });
        }
    }

    /// What can be credited of a bill: its total less credit notes, and less what later bills took off
    /// it, unless it took that off earlier ones itself.
    pub(crate) fn creditable(&self, month: Timestamp) -> Option<Number> {
        let bill = self.bills.get(&month)?;
        Some(&bill.total - &bill.credited - self.taken_off(month).max(zero()))
    }

    /// What a bill with credit notes is still worth to whoever gives back what it charged; `None`: it has none.
    pub(crate) fn own_left(&self, month: Timestamp) -> Option<Number> {
        let bill = self.bills.get(&month).filter(|bill| !bill.credited.is_zero())?;
        Some((&bill.total - &bill.credited - self.taken_off(month)).max(zero()))
    }

    /// What later bills took off a bill, less what it took off earlier ones itself.
    fn taken_off(&self, month: Timestamp) -> Number {
        let mut taken = zero();
        let mut count = |on: Timestamp, of: Timestamp, amount: Number| {
            if on != of && of == month {
                taken += &amount;
            }
            if on != of && on == month {
                taken -= amount;
            }
        };
        for given in &self.given_back {
            count(given.on, given.of, &given.written_off + &given.money);
        }
        for moved in &self.moved {
            count(moved.on, moved.of, -&moved.amount);
        }
        taken
    }

    /// A credit note against an issued bill. What is then settled too much comes back: what was written
    /// off, what money paid, what coupons paid.
    pub(crate) fn credit(&mut self, month: Timestamp, amount: &Number, at: Timestamp) {
        let bill = self.bills.get_mut(&month).expect("there");
        let surplus = amount - bill.due();
        bill.credited += amount;
        if surplus.is_positive() {
            let paid = bill.paid.clone();
            let back = self.left(month, &paid).back(&surplus);
            // What a credit note gives back is off the bill itself.
            self.bills.get_mut(&month).expect("there").written_off -= back.written_off;
            self.refill(month, month, back.coupons, at);
        }
        self.pay_debts(at);
    }
}
