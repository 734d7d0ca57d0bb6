//! The verbs about money besides `topup`: coupons, payments from outside, credit notes, write-offs,
//! what is charged by hand.

use super::ast::{Attribute, Word};
use super::lex::{Mistake, Words, name, push_attribute, quoted, twice};
use super::time::When;
use super::verb;
use farebox_core::bill;
use farebox_core::money::Exact;
use jiff::civil::Date;

/// One of the verbs about money.
#[derive(Clone, Debug, PartialEq)]
pub struct Wallet {
    /// Whose. Of `adjust` and of `credit LINE-ID`: the account that the line's id names.
    pub account: Word,
    /// What.
    pub what: WalletVerb,
}

/// What a verb about money does.
#[derive(Clone, Debug, PartialEq)]
pub enum WalletVerb {
    /// `coupon ACCOUNT ID AMOUNT [on PLAN|PRODUCT] [until TIME]`
    Coupon {
        /// Its name, for each account once.
        id: Word,
        /// Above zero.
        amount: Exact,
        /// What it is for; without it, everything.
        on: Option<Word>,
        /// The first moment at which it is worth nothing.
        until: Option<When>,
    },
    /// `pay ACCOUNT YYYY-MM AMOUNT [reference "…"]`
    Pay {
        /// The first day of the bill's month.
        month: Date,
        /// Above zero.
        amount: Exact,
        /// What the bank statement says.
        reference: Option<Word>,
    },
    /// `write-off ACCOUNT YYYY-MM [AMOUNT] "REASON"`
    WriteOff {
        /// The first day of the bill's month.
        month: Date,
        /// Above zero; without it, all that is due.
        amount: Option<Exact>,
        /// Why.
        reason: Word,
    },
    /// `credit ACCOUNT YYYY-MM AMOUNT "REASON"`
    CreditBill {
        /// The first day of the bill's month.
        month: Date,
        /// Above zero.
        amount: Exact,
        /// Why.
        reason: Word,
    },
    /// `credit LINE-ID AMOUNT "REASON"`
    CreditLine {
        /// The line.
        line: Word,
        /// Above zero.
        amount: Exact,
        /// Why.
        reason: Word,
    },
    /// `payout ACCOUNT AMOUNT`
    PayOut {
        /// Above zero.
        amount: Exact,
    },
    /// `charge ACCOUNT AMOUNT "TITLE" [NAME=VALUE …]`
    Charge {
        /// Above zero.
        amount: Exact,
        /// What for.
        title: Word,
        /// `project`, `application`, `tag:…`.
        labels: Vec<Attribute>,
    },
    /// `adjust LINE-ID AMOUNT "REASON"`
    Adjust {
        /// The line.
        line: Word,
        /// Not zero.
        amount: Exact,
        /// Why.
        reason: Word,
    },
    /// `hold-bill ACCOUNT YYYY-MM "REASON"`
    HoldBill {
        /// The first day of the bill's month.
        month: Date,
        /// Why.
        reason: Word,
    },
    /// `release-bill ACCOUNT YYYY-MM`
    ReleaseBill {
        /// The first day of the bill's month.
        month: Date,
    },
    /// `due-date ACCOUNT YYYY-MM TIME`
    DueDate {
        /// The first day of the bill's month.
        month: Date,
        /// From when on it is due.
        until: When,
    },
    /// `credit-limit ACCOUNT (AMOUNT | off)`
    CreditLimit {
        /// Zero or above; `off`: none.
        limit: Option<Exact>,
    },
}

/// The rest of a line whose verb is about money.
pub(super) fn wallet(words: &mut Words, verb: &str, at: When) -> Result<Wallet, Mistake> {
    match verb {
        "coupon" => coupon(words, at),
        "credit" => credit(words),
        "adjust" => {
            let (account, line) = line(words)?;
            let (amount, column) = verb::amount(words)?;
            if amount.is_zero() {
                let found = "the amount 0";
                return Err(Mistake::new(column, found, "an amount above or below zero, such as -12.50"));
            }
            let reason = text(words, "a reason in quotes")?;
            Ok(Wallet { account, what: WalletVerb::Adjust { line, amount, reason } })
        }
        _ => {
            let account = words.name(verb::ACCOUNT)?;
            let what = match verb {
                "pay" => pay(words)?,
                "write-off" => write_off(words)?,
                "hold-bill" => {
                    WalletVerb::HoldBill { month: month(words)?, reason: text(words, "a reason in quotes")? }
                }
                "release-bill" => WalletVerb::ReleaseBill { month: month(words)? },
                "due-date" => WalletVerb::DueDate { month: month(words)?, until: words.when()? },
                "credit-limit" => WalletVerb::CreditLimit { limit: credit_limit(words)? },
                "payout" => WalletVerb::PayOut { amount: verb::amount_above_zero(words)? },
                _ => charge(words)?,
            };
            Ok(Wallet { account, what })
        }
    }
}

fn coupon(words: &mut Words, at: When) -> Result<Wallet, Mistake> {
    let account = words.name(verb::ACCOUNT)?;
    let id = words.name("the name of the coupon")?;
    let amount = verb::amount_above_zero(words)?;
    let (mut on, mut until) = (None, None);
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "on" => {
                let word = words.need("the name of a plan or a product")?.word();
                on.replace(verb::plan_name(word)?).is_some()
            }
            "until" => until.replace(verb::until(words, at)?).is_some(),
            _ => return Err(words.unexpected(&token, &["on", "until"])),
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    Ok(Wallet { account, what: WalletVerb::Coupon { id, amount, on, until } })
}

/// An amount of zero or above, or `off`.
fn credit_limit(words: &mut Words) -> Result<Option<Exact>, Mistake> {
    let token = words.need("an amount, or off")?;
    if token.keyword() == "off" {
        return Ok(None);
    }
    let limit = verb::decimal(&token.text, token.column, "amount")?;
    if limit.is_negative() {
        let found = format!("the amount {}", quoted(&token.text));
        return Err(Mistake::new(token.column, found, "an amount of zero or above, or off"));
    }
    Ok(Some(limit))
}

fn pay(words: &mut Words) -> Result<WalletVerb, Mistake> {
    let (month, amount) = (month(words)?, verb::amount_above_zero(words)?);
    let mut reference = None;
    if let Some(token) = words.next() {
        if token.keyword() != "reference" {
            return Err(words.unexpected(&token, &["reference"]));
        }
        reference = Some(text(words, "a reference in quotes")?);
    }
    Ok(WalletVerb::Pay { month, amount, reference })
}

fn write_off(words: &mut Words) -> Result<WalletVerb, Mistake> {
    let month = month(words)?;
    let given = words.peek().is_some_and(|token| !token.is_quoted());
    let amount = if given { Some(verb::amount_above_zero(words)?) } else { None };
    Ok(WalletVerb::WriteOff { month, amount, reason: text(words, "a reason in quotes")? })
}

fn credit(words: &mut Words) -> Result<Wallet, Mistake> {
    let first = words.need("an account or a line's id")?.word();
    if let Some(account) = account_of(&first) {
        let (amount, reason) = (verb::amount_above_zero(words)?, text(words, "a reason in quotes")?);
        return Ok(Wallet { account, what: WalletVerb::CreditLine { line: first, amount, reason } });
    }
    let account = name(first, verb::ACCOUNT)?;
    let (month, amount) = (month(words)?, verb::amount_above_zero(words)?);
    let reason = text(words, "a reason in quotes")?;
    Ok(Wallet { account, what: WalletVerb::CreditBill { month, amount, reason } })
}

fn charge(words: &mut Words) -> Result<WalletVerb, Mistake> {
    let amount = verb::amount_above_zero(words)?;
    let title = text(words, "a title in quotes")?;
    let mut labels = Vec::new();
    while let Some(token) = words.next() {
        let Some((name, value)) = token.option() else {
            return Err(words.unexpected(&token, &["NAME=VALUE"]));
        };
        push_attribute(&mut labels, name, value)?;
    }
    Ok(WalletVerb::Charge { amount, title, labels })
}

/// The month of a bill.
fn month(words: &mut Words) -> Result<Date, Mistake> {
    const FORM: &str = "a month as YYYY-MM, such as 2020-01";
    let token = words.need(FORM)?;
    let in_range = |first: &Date| (1970..=2199).contains(&first.year());
    bill::first_of(token.keyword())
        .filter(in_range)
        .ok_or_else(|| Mistake::new(token.column, format!("the month {}", quoted(&token.text)), FORM))
}

/// The account that a line's id names.
fn account_of(line: &Word) -> Option<Word> {
    let (account, ..) = bill::line_id(&line.text)?;
    Some(Word { text: account.to_owned(), column: line.column })
}

/// A line's id, and the account in it.
fn line(words: &mut Words) -> Result<(Word, Word), Mistake> {
    const FORM: &str = "a line's id, such as acme-2020-01-1";
    let word = words.need(FORM)?.word();
    let wrong = || Mistake::new(word.column, quoted(&word.text), FORM);
    let account = account_of(&word).ok_or_else(wrong)?;
    Ok((name(account, verb::ACCOUNT)?, word))
}

/// A text in quotes that says something.
fn text(words: &mut Words, what: &str) -> Result<Word, Mistake> {
    let token = words.need(what)?;
    if !token.is_quoted() || token.text.trim().is_empty() {
        return Err(Mistake::new(token.column, quoted(&token.text), what));
    }
    Ok(token.word())
}
