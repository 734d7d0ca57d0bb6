//! Wallet: payments from outside, coupons, one-off charges, adjustments, credit notes, write-offs.

mod decide;

use super::ApplyError;
use super::credit::Headroom;
use super::fact::book_payments;
use crate::account::{Account, Group};
use crate::bill::{BillHold, CreditNote};
use crate::calendar::{Instant, Zone, show_local};
use crate::ledger::Posting;
use crate::lifecycle::Step;
use crate::money::{Amount, Currency, Exact};
use crate::wallet::{Coupon, CreditLimit, Draw, Effects, add_draw};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::fmt;

pub(super) use decide::decide;

/// What can be wished. All of it is about the account that pays: the account itself or its master.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Grant a coupon.
    Coupon {
        /// Its name.
        id: String,
        /// What it is worth, in the account's currency.
        amount: Exact,
        /// A plan or a product that it is for; `None`: everything.
        on: Option<String>,
        /// The first moment at which it is worth nothing.
        until: Option<Instant>,
    },
    /// Pay an issued bill from outside: by bank transfer or card.
    Pay {
        /// The first day of the bill's month.
        month: Date,
        /// How much, at most what is due.
        amount: Exact,
        /// What the bank statement says.
        reference: Option<String>,
    },
    /// Give up what is due of an issued bill.
    WriteOff {
        /// The first day of the bill's month.
        month: Date,
        /// How much; `None`: all that is due.
        amount: Option<Exact>,
        /// Why.
        reason: String,
    },
    /// A credit note against an issued bill.
    Credit {
        /// The bill, or a line of it.
        what: Credited,
        /// How much.
        amount: Exact,
        /// Why.
        reason: String,
    },
    /// Pay money of the balance out.
    PayOut {
        /// How much, at most the balance.
        amount: Exact,
    },
    /// Charge something once that no price list has.
    Charge {
        /// How much.
        amount: Exact,
        /// What for.
        title: String,
        /// Application, project and tags, for the split of the bill.
        labels: BTreeMap<String, String>,
    },
    /// Add something to a line of any bill, or take something off, on the open bill.
    Adjust {
        /// The line's id.
        line: String,
        /// How much; below zero takes off.
        amount: Exact,
        /// Why.
        reason: String,
    },
    /// Keep the bill of a month from being issued at the month's end.
    HoldBill {
        /// The first day of the bill's month.
        month: Date,
        /// Why.
        reason: String,
    },
    /// Hold it no longer: it is issued when its month ends, or now where that is over.
    ReleaseBill {
        /// The first day of the bill's month.
        month: Date,
    },
    /// Give an issued bill until a moment: what is due of it is no arrears before.
    SetDue {
        /// The first day of the bill's month.
        month: Date,
        /// From when on it is, if it is not paid: now or later.
        until: Instant,
    },
    /// Say how much may be owed, from now on.
    SetCreditLimit {
        /// How much, zero or above; `None`: nothing is said any more.
        limit: Option<Exact>,
    },
}

/// What a credit note is against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credited {
    /// The bill of the month with this first day.
    Bill(Date),
    /// A line of an issued bill.
    Line(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A coupon was granted.
    CouponGranted {
        /// The account that pays.
        account: String,
        /// The coupon.
        coupon: Coupon,
        /// What it costs.
        posting: Posting,
    },
    /// A coupon ended with something left.
    CouponExpired {
        /// The account that pays.
        account: String,
        /// The coupon.
        coupon: String,
        /// What was left is no cost.
        posting: Posting,
    },
    /// A bill was paid from outside.
    Paid {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
        /// How much.
        amount: Amount,
        /// The movement of money.
        posting: Posting,
    },
    /// What was due of a bill was given up.
    WrittenOff {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
        /// How much.
        amount: Amount,
        /// The movement.
        posting: Posting,
    },
    /// A credit note was made.
    Credited {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
        /// The credit note.
        note: CreditNote,
        /// The movements.
        postings: Vec<Posting>,
        /// What was paid of which month's bill; below zero: given back to the balance.
        paid: Vec<(Instant, Amount)>,
        /// What coupons were given back.
        draws: Vec<Draw>,
        /// What is not written off any more.
        written_back: Amount,
    },
    /// Money of the balance was paid out.
    PaidOut {
        /// The account that pays.
        account: String,
        /// The movement of money.
        posting: Posting,
    },
    /// The bill of a month is held back.
    BillHeld {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
        /// Since when.
        at: Instant,
        /// Why.
        reason: String,
    },
    /// It is held back no longer.
    BillReleased {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
    },
    /// An issued bill is due at another moment than at once.
    DueSet {
        /// The account that pays.
        account: String,
        /// Start of the bill's month.
        month: Instant,
        /// When.
        due: Instant,
    },
    /// How much may be owed was said, or is said no more.
    CreditLimitSet {
        /// The account that pays.
        account: String,
        /// From when on.
        at: Instant,
        /// How much.
        limit: Option<Amount>,
    },
}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The account has, or had, a coupon of this name.
    CouponExists(String),
    /// No price list has a plan or a product of this name.
    UnknownCouponScope(String),
    /// There is no such bill.
    NoBill(String),
    /// The bill is still open.
    NotIssued {
        /// The bill.
        bill: String,
        /// When it is issued.
        until: Instant,
    },
    /// More than is due.
    MoreThanDue {
        /// The bill.
        bill: String,
        /// What is due.
        due: Amount,
        /// Of what.
        currency: Currency,
    },
    /// More credit notes than the bill comes to, less what later bills took off it.
    MoreThanBilled {
        /// The bill.
        bill: String,
        /// What is left of it.
        left: Amount,
        /// Of what.
        currency: Currency,
    },
    /// More than the balance has.
    MoreThanBalance {
        /// What it has.
        balance: Amount,
        /// Of what.
        currency: Currency,
    },
    /// No bill of the account has such a line.
    UnknownLine(String),
    /// The line is an adjustment itself, or a rounding.
    NotAdjustable(String),
    /// What the line is for would have been given back before.
    GivenBack {
        /// The line.
        line: String,
        /// What all lines for it come to.
        left: Amount,
        /// Of what.
        currency: Currency,
    },
    /// The line would change its sign.
    MoreThanLine {
        /// The line.
        line: String,
        /// What is left of it.
        left: Amount,
        /// Of what.
        currency: Currency,
    },
    /// A label that is none: only the application, the project and tags split a bill.
    NotALabel(String),
    /// The bill is issued already.
    Issued(String),
    /// The bill is held back.
    Held {
        /// The bill.
        bill: String,
        /// Why.
        reason: String,
    },
    /// The bill is not held back.
    NotHeld(String),
    /// The moment is over.
    DueBeforeNow(String),
    /// A member has no credit limit of its own.
    LimitOfPayer {
        /// The member.
        account: String,
        /// Who pays for it.
        payer: String,
    },
    /// There is no credit limit to take away.
    NoLimit(String),
    /// What is wished does not fit in the headroom.
    OverCreditLimit {
        /// What it charges at once, after coupons.
        needed: Amount,
        /// What there is.
        room: Box<Headroom>,
        /// Of what.
        currency: Currency,
    },
}

/// Every code of these refusals.
pub const CODES: &[&str] = &[
    "coupon-exists",
    "unknown-plan-or-product",
    "no-bill",
    "bill-not-issued",
    "more-than-due",
    "more-than-billed",
    "more-than-balance",
    "unknown-line",
    "not-adjustable",
    "given-back",
    "more-than-line",
    "not-a-label",
    "bill-issued",
    "bill-held",
    "bill-not-held",
    "due-before-now",
    "credit-limit-of-payer",
    "no-credit-limit",
    "over-credit-limit",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::CouponExists(_) => "coupon-exists",
            Refusal::UnknownCouponScope(_) => "unknown-plan-or-product",
            Refusal::NoBill(_) => "no-bill",
            Refusal::NotIssued { .. } => "bill-not-issued",
            Refusal::MoreThanDue { .. } => "more-than-due",
            Refusal::MoreThanBilled { .. } => "more-than-billed",
            Refusal::MoreThanBalance { .. } => "more-than-balance",
            Refusal::UnknownLine(_) => "unknown-line",
            Refusal::NotAdjustable(_) => "not-adjustable",
            Refusal::GivenBack { .. } => "given-back",
            Refusal::MoreThanLine { .. } => "more-than-line",
            Refusal::NotALabel(_) => "not-a-label",
            Refusal::Issued(_) => "bill-issued",
            Refusal::Held { .. } => "bill-held",
            Refusal::NotHeld(_) => "bill-not-held",
            Refusal::DueBeforeNow(_) => "due-before-now",
            Refusal::LimitOfPayer { .. } => "credit-limit-of-payer",
            Refusal::NoLimit(_) => "no-credit-limit",
            Refusal::OverCreditLimit { .. } => "over-credit-limit",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        match self {
            Refusal::NotIssued { bill, until } => not_issued(bill, &show_local(zone, *until)),
            _ => self.to_string(),
        }
    }

    /// The same without what the payer has, owes or was billed, for those who may not see it.
    pub fn sentence_to_member(&self, zone: &Zone) -> String {
        match self {
            Refusal::MoreThanDue { bill, .. } => {
                format!("that is more than what is due of {bill}, and no more can be paid or given up")
            }
            Refusal::MoreThanBilled { bill, .. } => {
                format!("that is more than what {bill} comes to, and no more of it can come back")
            }
            Refusal::MoreThanBalance { .. } => "the balance has less; no more can be paid out".to_owned(),
            Refusal::MoreThanLine { line, .. } => {
                format!("that is more than what {line} comes to; it cannot change its sign")
            }
            Refusal::GivenBack { line, .. } => {
                format!("less is left of what {line} is for, with all that corrected it")
            }
            Refusal::Held { bill, .. } => format!("{bill} is held back; `release-bill` issues it"),
            Refusal::OverCreditLimit { needed, currency, .. } => match needed.is_zero() {
                true => "who pays can spend no more now, and nothing more begins".to_owned(),
                false => {
                    let needed = needed.decimal(*currency);
                    format!("this costs {needed} {currency}, more than who pays can spend now")
                }
            },
            Refusal::CouponExists(_)
            | Refusal::UnknownCouponScope(_)
            | Refusal::NoBill(_)
            | Refusal::NotIssued { .. }
            | Refusal::UnknownLine(_)
            | Refusal::NotAdjustable(_)
            | Refusal::NotALabel(_)
            | Refusal::Issued(_)
            | Refusal::NotHeld(_)
            | Refusal::DueBeforeNow(_)
            | Refusal::LimitOfPayer { .. }
            | Refusal::NoLimit(_) => self.sentence(zone),
        }
    }
}

fn not_issued(bill: &str, until: &str) -> String {
    format!(
        "{bill} is a draft until {until}; until then a top-up pays what is owed, and an adjustment corrects a line"
    )
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::CouponExists(id) => {
                write!(f, "the account has had a coupon \"{id}\" already; each has its own name")
            }
            Refusal::UnknownCouponScope(name) => {
                write!(f, "no price list has a plan or a product \"{name}\"")
            }
            Refusal::NoBill(bill) => write!(f, "there is no bill {bill}: nothing was charged in that month"),
            Refusal::NotIssued { bill, until } => f.write_str(&not_issued(bill, &until.to_string())),
            Refusal::MoreThanDue { bill, due, currency } => {
                let due = due.decimal(*currency);
                write!(
                    f,
                    "{due} {currency} are due of {bill}, and no more can be paid or given up; a top-up puts money on the balance"
                )
            }
            Refusal::MoreThanBilled { bill, left, currency } => {
                write!(
                    f,
                    "{bill} comes to {} {currency} after its credit notes and what later bills took off it; no more of it can come back",
                    left.decimal(*currency)
                )
            }
            Refusal::MoreThanBalance { balance, currency } => {
                write!(
                    f,
                    "the balance has {} {currency}; no more can be paid out",
                    balance.decimal(*currency)
                )
            }
            Refusal::UnknownLine(line) => {
                write!(
                    f,
                    "no bill of the account has a line {line}; bills show the ids: ACCOUNT-YYYY-MM-NUMBER"
                )
            }
            Refusal::NotAdjustable(line) => {
                write!(f, "{line} is a rounding or an adjustment itself; adjust the line that it is about")
            }
            Refusal::GivenBack { line, left, currency } => write!(
                f,
                "what {line} is for comes to {} {currency} by now, with all that corrected it; that cannot change its sign",
                left.decimal(*currency)
            ),
            Refusal::MoreThanLine { line, left, currency } => write!(
                f,
                "{line} comes to {} {currency} after its adjustments and credit notes; it cannot change its sign",
                left.decimal(*currency)
            ),
            Refusal::NotALabel(name) => {
                write!(f, "a charge knows no \"{name}\"; it knows application, project and tag:…")
            }
            Refusal::Issued(bill) => {
                write!(
                    f,
                    "{bill} is issued, and an issued bill never changes; `credit` takes off what is due of it"
                )
            }
            Refusal::Held { bill, reason } => {
                write!(f, "{bill} is held back ({reason}); `release-bill` issues it")
            }
            Refusal::NotHeld(bill) => write!(f, "{bill} is not held back"),
            Refusal::DueBeforeNow(bill) => {
                write!(f, "{bill} cannot be due at a moment that is over; give it until now or later")
            }
            Refusal::LimitOfPayer { account, payer } => {
                write!(
                    f,
                    "{account} is a member, and {payer} pays for it; the credit limit is that of {payer}"
                )
            }
            Refusal::NoLimit(account) => write!(f, "{account} has no credit limit that could be taken away"),
            Refusal::OverCreditLimit { needed, room, currency } => {
                let left = room.left().unwrap_or_default().decimal(*currency);
                let room = room.sentence(*currency);
                match needed.is_zero() {
                    true => write!(f, "the headroom is {left} {currency}, and nothing more begins: {room}"),
                    false => {
                        let needed = needed.decimal(*currency);
                        write!(f, "this costs {needed} {currency}, and the headroom is {left}: {room}")
                    }
                }
            }
        }
    }
}

impl Group {
    pub(super) fn apply_wallet(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::CouponGranted { account, coupon, posting } => {
                let account = self.account_mut(account)?;
                account.ledger.post(posting.clone())?;
                account.wallet.grant(coupon.clone());
            }
            Fact::CouponExpired { account, coupon, posting } => {
                let account = self.account_mut(account)?;
                account.ledger.post(posting.clone())?;
                account.wallet.expire(coupon);
            }
            Fact::Paid { account, month, amount, posting } => {
                let postings = std::slice::from_ref(posting);
                book_payments(self.account_mut(account)?, postings, &[(*month, *amount)])?;
            }
            Fact::WrittenOff { account, month, amount, posting } => {
                let account = self.account_mut(account)?;
                account.ledger.post(posting.clone())?;
                let bill = account.bills.get_mut(month).ok_or_else(no_bill)?;
                bill.written_off = bill.written_off.add(*amount)?;
                account.note_owed(*month);
            }
            Fact::Credited { account, month, note, postings, paid, draws, written_back } => {
                let account = self.account_mut(account)?;
                account.bills.get_mut(month).ok_or_else(no_bill)?.credits.push(note.clone());
                book_payments(account, postings, paid)?;
                book_draws(account, *month, draws, *written_back)?;
            }
            Fact::PaidOut { account, posting } => {
                self.account_mut(account)?.ledger.post(posting.clone())?;
            }
            Fact::BillHeld { account, month, at, reason } => {
                let held = BillHold { since: *at, reason: reason.clone() };
                let account = self.account_mut(account)?;
                if let Some(bill) = account.bills.get_mut(month) {
                    bill.held = Some(held.clone());
                }
                account.wallet.hold_bill(*month, held);
            }
            Fact::BillReleased { account, month } => {
                let account = self.account_mut(account)?;
                if let Some(bill) = account.bills.get_mut(month) {
                    bill.held = None;
                }
                account.wallet.release_bill(*month);
            }
            Fact::DueSet { account, month, due } => {
                let bill = self.account_mut(account)?.bills.get_mut(month).ok_or_else(no_bill)?;
                bill.due_at = Some(*due);
            }
            Fact::CreditLimitSet { account, at, limit } => {
                let account = self.account_mut(account)?;
                account.wallet.set_credit_limit(limit.map(|amount| CreditLimit { amount, since: *at }));
                let currency = account.head.currency;
                let what = match limit {
                    Some(limit) => format!("credit limit {} {currency}", limit.decimal(currency)),
                    None => "no credit limit".to_owned(),
                };
                account.history.push(Step { at: *at, subscription: None, what });
            }
        }
        Ok(())
    }
}

fn no_bill() -> ApplyError {
    ApplyError("a fact about no bill".into())
}

/// What coupons and write-offs had to do with a charge on the bill of a month.
pub(super) fn book_effects(
    account: &mut Account,
    month: Instant,
    effects: &Effects,
) -> Result<(), ApplyError> {
    for (corrected, now) in &effects.corrected {
        account.wallet.set_corrected(*corrected, now.clone());
    }
    book_draws(account, month, &effects.draws, effects.written_back)
}

fn book_draws(
    account: &mut Account,
    month: Instant,
    draws: &[Draw],
    written_back: Amount,
) -> Result<(), ApplyError> {
    let bill = account.bills.get_mut(&month).ok_or_else(no_bill)?;
    for draw in draws {
        account.wallet.draw(month, draw)?;
        add_draw(&mut bill.coupons, draw)?;
    }
    bill.written_off = bill.written_off.sub(written_back)?;
    account.note_owed(month);
    Ok(())
}
