//! Decides about payments, coupons, credit notes and what is charged by hand.

use super::{Action, Credited, Fact, Refusal};
use crate::account::BillHead;
use crate::bill::{ChargeKey, CreditNote, Line, LineKind, PriceBasis, Split, line_id};
use crate::calendar::{Cycle, Instant, Span};
use crate::engine::coupons::{Settled, back_to, written_back};
use crate::engine::money::{self, bill_id, pay_oldest, payment};
use crate::engine::{Desk, Fact as AnyFact, Refusal as AnyRefusal, payable};
use crate::explain;
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, Exact};
use crate::wallet::Coupon;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

type Decided = Result<Vec<AnyFact>, AnyRefusal>;

pub(in crate::engine) fn decide(desk: &Desk<'_>, action: &Action) -> Decided {
    match action {
        Action::Coupon { id, amount, on, until } => desk.coupon(id, *amount, on.as_deref(), *until),
        Action::Pay { month, amount, reference } => desk.pay(*month, *amount, reference.as_deref()),
        Action::WriteOff { month, amount, reason } => desk.write_off(*month, *amount, reason),
        Action::Credit { what, amount, reason } => desk.credit(what, *amount, reason),
        Action::PayOut { amount } => desk.pay_out(*amount),
        Action::Charge { amount, title, labels } => desk.charge_once(*amount, title, labels),
        Action::Adjust { line, amount, reason } => desk.adjust(line, *amount, reason),
        Action::HoldBill { month, reason } => desk.hold_bill(*month, reason),
        Action::ReleaseBill { month } => desk.release_bill(*month),
        Action::SetDue { month, until } => desk.set_due(*month, *until),
        Action::SetCreditLimit { limit } => desk.set_credit_limit(*limit),
    }
}

/// A bill that is meant, and what it says.
struct Meant {
    id: String,
    month: Span,
    head: BillHead,
}

impl Meant {
    fn due(&self) -> Result<Amount, AnyRefusal> {
        let BillHead { posted, paid, coupons, credited, written_off, .. } = self.head;
        Ok(posted.sub(paid)?.sub(coupons)?.sub(credited)?.sub(written_off)?)
    }
}

impl Desk<'_> {
    fn posting(
        &self,
        memo: String,
        debit: LedgerAccount,
        credit: LedgerAccount,
        amount: Amount,
    ) -> Option<Posting> {
        let entries = vec![(debit, amount), (credit, amount.negated())];
        Posting::money(self.at, memo, self.payer.currency, entries)
    }

    /// A movement between two accounts always balances.
    fn moved(
        &self,
        memo: String,
        debit: LedgerAccount,
        credit: LedgerAccount,
        amount: Amount,
    ) -> Result<Posting, AnyRefusal> {
        self.posting(memo, debit, credit, amount).ok_or(AnyRefusal::OutOfRange)
    }

    fn coupon(&self, id: &str, amount: Exact, on: Option<&str>, until: Option<Instant>) -> Decided {
        let amount = payable(amount, self.payer.currency)?;
        if self.view.coupon(&self.payer.id, id).is_some() {
            return Err(Refusal::CouponExists(id.to_owned()).into());
        }
        if until.is_some_and(|until| until <= self.at) {
            return Err(crate::engine::OrderRefusal::EndsBeforeStart.into());
        }
        let plans = on.map(|on| self.plans_of(on)).transpose()?.unwrap_or_default();
        let memo = format!("coupon {id} granted");
        let posting = self.moved(memo, LedgerAccount::CouponExpense, LedgerAccount::Coupons, amount)?;
        let coupon = Coupon {
            id: id.to_owned(),
            granted: amount,
            left: amount,
            at: self.at,
            on: on.map(str::to_owned),
            plans,
            until,
        };
        let account = self.payer.id.clone();
        Ok(vec![AnyFact::Wallet(Fact::CouponGranted { account, coupon, posting })])
    }

    /// The plans that a plan's or a product's name means, in all price lists and their versions.
    fn plans_of(&self, name: &str) -> Result<BTreeSet<String>, Refusal> {
        let (list, name) = match name.split_once(':') {
            Some((list, name)) => (Some(list), name),
            None => (None, name),
        };
        let lists = self.catalogues.iter().filter(|one| list.is_none_or(|only| only == one.id));
        let mut plans = BTreeSet::new();
        for (id, product) in lists.flat_map(|one| &one.products) {
            let all = id == name;
            let meant = product.plans.values().filter(|plan| all || plan.id == name);
            plans.extend(meant.map(|plan| plan.id.clone()));
        }
        if plans.is_empty() { Err(Refusal::UnknownCouponScope(name.to_owned())) } else { Ok(plans) }
    }

    /// The issued bill of a month.
    fn issued(&self, first: Date) -> Result<Meant, AnyRefusal> {
        let (month, id) = self.month_meant(first);
        let hold = self.view.bill_hold(&self.payer.id, month.start).filter(|_| month.end <= self.at);
        match (self.view.bill(&self.payer.id, month.start), hold) {
            (None, _) => Err(Refusal::NoBill(id).into()),
            (Some(head), None) if !head.issued => {
                Err(Refusal::NotIssued { bill: id, until: month.end }.into())
            }
            (Some(_), Some(hold)) => Err(Refusal::Held { bill: id, reason: hold.reason.clone() }.into()),
            (Some(head), None) => Ok(Meant { id, month, head }),
        }
    }

    /// The month with a first day, and the id of its bill.
    fn month_meant(&self, first: Date) -> (Span, String) {
        let month = self.payer.zone.cycle(Cycle::Month, self.payer.zone.midnight(first));
        (month, bill_id(self.payer, month))
    }

    /// A bill is held back, also before anything is charged on it. Held already, it has another reason.
    fn hold_bill(&self, first: Date, reason: &str) -> Decided {
        let (month, bill) = self.month_meant(first);
        let head = self.view.bill(&self.payer.id, month.start);
        if head.is_some_and(|head| head.issued) {
            return Err(Refusal::Issued(bill).into());
        }
        // Nothing is charged any more on the bill of a month that is over.
        if head.is_none() && month.end <= self.at {
            return Err(Refusal::NoBill(bill).into());
        }
        let (account, month, reason) = (self.payer.id.clone(), month.start, reason.to_owned());
        Ok(vec![AnyFact::Wallet(Fact::BillHeld { account, month, at: self.at, reason })])
    }

    /// A bill is held back no longer: what was not issued because of that is issued now.
    fn release_bill(&self, first: Date) -> Decided {
        let (month, bill) = self.month_meant(first);
        if self.view.bill_hold(&self.payer.id, month.start).is_none() {
            return Err(Refusal::NotHeld(bill).into());
        }
        let account = self.payer.id.clone();
        let mut facts = vec![AnyFact::Wallet(Fact::BillReleased { account, month: month.start })];
        if month.end <= self.at {
            facts.extend(money::issue(self, month)?);
        }
        Ok(facts)
    }

    /// What is due of a bill is no arrears before a moment.
    fn set_due(&self, first: Date, due: Instant) -> Decided {
        let bill = self.issued(first)?;
        if due < self.at {
            return Err(Refusal::DueBeforeNow(bill.id).into());
        }
        let (account, month) = (self.payer.id.clone(), bill.month.start);
        Ok(vec![AnyFact::Wallet(Fact::DueSet { account, month, due })])
    }

    /// How much the account, which pays for itself, may owe.
    fn set_credit_limit(&self, limit: Option<Exact>) -> Decided {
        let account = self.account.id.clone();
        if self.account.payer.is_some() {
            return Err(Refusal::LimitOfPayer { account, payer: self.payer.id.clone() }.into());
        }
        let limit = match limit {
            Some(limit) if limit.is_negative() => {
                let why = format!("a credit limit must not be below zero, not {limit}");
                return Err(AnyRefusal::BadAmount(why));
            }
            Some(limit) if limit.is_zero() => Some(Amount::ZERO),
            Some(limit) => Some(payable(limit, self.payer.currency)?),
            None if self.view.credit_limit(&account).is_none() => {
                return Err(Refusal::NoLimit(account).into());
            }
            None => None,
        };
        Ok(vec![AnyFact::Wallet(Fact::CreditLimitSet { account, at: self.at, limit })])
    }

    fn more_than_due(&self, bill: Meant, due: Amount) -> AnyRefusal {
        Refusal::MoreThanDue { bill: bill.id, due, currency: self.payer.currency }.into()
    }

    /// Money from outside for one bill, past the balance. No more than is due.
    fn pay(&self, month: Date, amount: Exact, reference: Option<&str>) -> Decided {
        let amount = payable(amount, self.payer.currency)?;
        let bill = self.issued(month)?;
        let due = bill.due()?;
        if amount > due {
            return Err(self.more_than_due(bill, due));
        }
        let memo = match reference {
            Some(reference) => format!("payment of {} from outside: {reference}", bill.id),
            None => format!("payment of {} from outside", bill.id),
        };
        let posting = self.moved(memo, LedgerAccount::Bank, LedgerAccount::Receivable, amount)?;
        let (account, month) = (self.payer.id.clone(), bill.month.start);
        Ok(vec![AnyFact::Wallet(Fact::Paid { account, month, amount, posting })])
    }

    fn write_off(&self, month: Date, amount: Option<Exact>, reason: &str) -> Decided {
        let wished = amount.map(|amount| payable(amount, self.payer.currency)).transpose()?;
        let bill = self.issued(month)?;
        let due = bill.due()?;
        let amount = wished.unwrap_or(due);
        if amount > due || due <= Amount::ZERO {
            return Err(self.more_than_due(bill, due));
        }
        let memo = format!("write-off of {}: {reason}", bill.id);
        let posting = self.moved(memo, LedgerAccount::WriteOffs, LedgerAccount::Receivable, amount)?;
        let (account, month) = (self.payer.id.clone(), bill.month.start);
        Ok(vec![AnyFact::Wallet(Fact::WrittenOff { account, month, amount, posting })])
    }

    /// A credit note. What is not owed any more because of it comes back: what was written off
    /// first, then money to the balance, then value to coupons.
    fn credit(&self, what: &Credited, amount: Exact, reason: &str) -> Decided {
        let payer = self.payer;
        let amount = payable(amount, payer.currency)?;
        let (first, line) = match what {
            Credited::Bill(first) => (*first, None),
            Credited::Line(id) => {
                let (first, line) = self.line_meant(id)?;
                (first, Some(line))
            }
        };
        let bill = self.issued(first)?;
        self.is_billed(&bill, amount)?;
        if let Some(line) = line {
            self.keeps_its_sign(line, bill.month.start, amount.negated())?;
        }
        let note = CreditNote {
            id: format!("{}-C{}", bill.id, bill.head.credits + 1),
            amount,
            line: line.map(|line| line.id.clone()),
            reason: reason.to_owned(),
            at: self.at,
        };
        let memo = format!("credit note {}: {reason}", note.id);
        let mut postings =
            vec![self.moved(memo, LedgerAccount::Revenue, LedgerAccount::Receivable, amount)?];
        let (mut paid, mut draws, mut back) = (Vec::new(), Vec::new(), Amount::ZERO);
        let mut available = self.view.prepaid(&payer.id);
        let surplus = amount.sub(bill.due()?)?;
        if surplus > Amount::ZERO {
            let mut settled = Settled::paid(self.view, &payer.id, bill.month.start, &bill.head)?;
            let (parts, given) = settled.give_back(surplus)?;
            back = parts.written_off;
            if !back.is_zero() {
                postings.extend(written_back(payer, self.at, &note.id, back));
            }
            if !parts.money.is_zero() {
                paid.push((bill.month.start, parts.money.negated()));
                postings.extend(payment(self.at, &bill.id, payer.currency, parts.money.negated()));
                available = available.add(parts.money)?;
            }
            for (coupon, given) in given {
                let draw = back_to(self.view, &payer.id, &coupon, given, self.at);
                postings.extend(draw.posting(self.at, &note.id, payer.currency));
                draws.push(draw);
            }
        }
        let mut owed = self.view.unpaid(&payer.id);
        owed.retain(|(month, _)| *month != bill.month.start);
        let (settled, more) = pay_oldest(payer, owed, available, self.at)?;
        paid.extend(settled);
        postings.extend(more);
        let (account, month) = (payer.id.clone(), bill.month.start);
        let written_back = back;
        Ok(vec![AnyFact::Wallet(Fact::Credited {
            account,
            month,
            note,
            postings,
            paid,
            draws,
            written_back,
        })])
    }

    /// Whether a bill still comes to so much, after its credit notes and what later bills took off it.
    fn is_billed(&self, bill: &Meant, amount: Amount) -> Result<(), AnyRefusal> {
        let left = money::left_of(self.view, &self.payer.id, bill.month.start, &bill.head)?;
        if amount > left {
            let (bill, currency) = (bill.id.clone(), self.payer.currency);
            return Err(Refusal::MoreThanBilled { bill, left, currency }.into());
        }
        Ok(())
    }

    fn pay_out(&self, amount: Exact) -> Decided {
        let amount = payable(amount, self.payer.currency)?;
        let balance = self.view.prepaid(&self.payer.id);
        if amount > balance {
            return Err(Refusal::MoreThanBalance { balance, currency: self.payer.currency }.into());
        }
        let posting = self.moved("payout".to_owned(), LedgerAccount::Balance, LedgerAccount::Bank, amount)?;
        Ok(vec![AnyFact::Wallet(Fact::PaidOut { account: self.payer.id.clone(), posting })])
    }

    /// Something that no price list has, on the open bill.
    fn charge_once(&self, amount: Exact, title: &str, labels: &BTreeMap<String, String>) -> Decided {
        let amount = payable(amount, self.payer.currency)?;
        let mut split = Split::default();
        for (name, value) in labels {
            let value = value.clone();
            match (name.as_str(), name.strip_prefix("tag:")) {
                ("application", _) => split.application = Some(value),
                ("project", _) => split.project = Some(value),
                (_, Some(tag)) => {
                    split.tags.insert(tag.to_owned(), value);
                }
                _ => return Err(Refusal::NotALabel(name.clone()).into()),
            }
        }
        let key = ChargeKey {
            subscription: String::new(),
            charge: LineKind::OneOff.name().to_owned(),
            accumulation: self.at,
            start: self.at,
            group: BTreeMap::new(),
            split,
        };
        let explanation = format!("Charged once: {title}.");
        let line = self.by_hand(LineKind::OneOff, Some(key), amount, title.to_owned(), explanation);
        self.post(line)
    }

    /// A difference to a line of any bill, on the open bill: an issued one never changes.
    fn adjust(&self, id: &str, amount: Exact, reason: &str) -> Decided {
        let magnitude = if amount.is_negative() { Exact::ZERO.sub(amount)? } else { amount };
        let magnitude = payable(magnitude, self.payer.currency)?;
        let amount = if amount.is_negative() { magnitude.negated() } else { magnitude };
        let (first, line) = self.line_meant(id)?;
        if matches!(line.kind, LineKind::Rounding | LineKind::Adjustment) {
            return Err(Refusal::NotAdjustable(id.to_owned()).into());
        }
        let month = self.payer.zone.midnight(first);
        self.keeps_its_sign(line, month, amount)?;
        // Of which lines a credit note of a whole bill is, nobody said: no more comes back than is left of all.
        match self.issued(first) {
            Ok(bill) if amount.is_negative() && !bill.head.credited.is_zero() => {
                self.is_billed(&bill, magnitude)?;
            }
            _ => {}
        }
        let currency = self.payer.currency;
        let verb = if amount.is_negative() { "taken off" } else { "added to" };
        let explanation = format!(
            "{} {currency} are {verb} line {id} ({}): {reason}.",
            magnitude.decimal(currency),
            line.amount.decimal(currency),
        );
        let description = format!("Adjustment of {id}: {reason}");
        let adjusted = Line {
            account: line.account.clone(),
            plan: line.plan.clone(),
            title: line.title.clone(),
            period: line.period,
            cycle: line.cycle,
            corrects: Some(line.id.clone()),
            ..self.by_hand(LineKind::Adjustment, line.key.clone(), amount, description, explanation)
        };
        self.post(adjusted)
    }

    /// The line of an id, and the first day of its bill's month.
    fn line_meant(&self, id: &str) -> Result<(Date, &crate::bill::Line), Refusal> {
        let unknown = || Refusal::UnknownLine(id.to_owned());
        let (account, first, number) = line_id(id).ok_or_else(unknown)?;
        let month = self.payer.zone.midnight(first);
        let line = self.view.line(account, month, number).filter(|line| line.id == id);
        line.filter(|_| account == self.payer.id).map(|line| (first, line)).ok_or_else(unknown)
    }

    /// A line of 50.00 less 60.00 would be another thing than a correction of it.
    fn keeps_its_sign(&self, line: &Line, month: Instant, change: Amount) -> Result<(), AnyRefusal> {
        let currency = self.payer.currency;
        let whole = line.amount.round_to_minor(currency);
        let left = whole.add(self.view.line_changes(&self.payer.id, line, month))?;
        let after = left.add(change)?;
        let zero = Amount::ZERO;
        if (whole > zero && after < zero) || (whole < zero && after > zero) {
            return Err(Refusal::MoreThanLine { line: line.id.clone(), left, currency }.into());
        }
        // What was corrected, or given back by another line for the same, cannot be given back once more.
        let all = self.view.comes_to(&self.payer.id, line).filter(|_| whole != zero);
        let Some(all) = all else { return Ok(()) };
        let after = all.add(change)?;
        if (all >= zero && after < zero) || (all < zero && after > zero) {
            return Err(Refusal::GivenBack { line: line.id.clone(), left: all, currency }.into());
        }
        Ok(())
    }

    fn by_hand(
        &self,
        kind: LineKind,
        key: Option<ChargeKey>,
        amount: Amount,
        description: String,
        explanation: String,
    ) -> Line {
        let currency = self.payer.currency;
        let day = self.payer.zone.cycle(Cycle::Day, self.at);
        Line {
            id: String::new(),
            kind,
            account: self.account.id.clone(),
            key,
            plan: String::new(),
            title: description.clone(),
            description,
            drawn: Vec::new(),
            quantity: Exact::ONE,
            unit: "piece".to_owned(),
            free: Exact::ZERO,
            unit_price: Some(amount.exact()),
            basis: PriceBasis { per: "piece".to_owned(), units: Exact::ONE, model: kind.name().into() },
            list: amount,
            discount: Amount::ZERO,
            amount,
            period: day,
            cycle: day,
            posted: self.at,
            catalogue: None,
            rules: Vec::new(),
            corrects: None,
            formula: explain::show_price(amount.exact(), currency),
            explanation,
        }
    }

    fn post(&self, line: Line) -> Decided {
        let month = self.payer.zone.cycle(Cycle::Month, self.at);
        let posted = self.view.bill(&self.payer.id, month.start).map_or(0, |bill| bill.lines);
        let id = format!("{}-{}", bill_id(self.payer, month), posted + 1);
        let lines = vec![Line { id, ..line }];
        Ok(vec![money::charge(self.view, self.payer, month, lines, self.at)?])
    }
}
