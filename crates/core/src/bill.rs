//! Bills: one document per account and calendar month, made of lines that explain themselves.

use crate::calendar::{Instant, Span};
use crate::money::{Amount, Exact, OutOfRange};
use crate::package::Draws;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// Usage of a period, charged after it.
    Usage,
    /// Charged when it was ordered: a prepaid term, a one-off fee.
    Purchase,
    /// What comes back of a prepaid term that is given up (R-UNS-1).
    Refund,
    /// The difference to what was already charged for an earlier period (R-LATE-1).
    Correction,
    /// What rounding the total to the minor unit added or took off (R-MON-1).
    Rounding,
    /// Charged once by hand, for something that no price list has.
    OneOff,
    /// Added to an earlier line, or taken off it, by hand.
    Adjustment,
}

impl LineKind {
    /// As files write it.
    pub fn name(self) -> &'static str {
        match self {
            LineKind::Usage => "usage",
            LineKind::Purchase => "purchase",
            LineKind::Refund => "refund",
            LineKind::Correction => "correction",
            LineKind::Rounding => "rounding",
            LineKind::OneOff => "one-off",
            LineKind::Adjustment => "adjustment",
        }
    }

    /// Whether it was charged by hand: no settlement compares itself with such a line.
    pub fn by_hand(self) -> bool {
        matches!(self, LineKind::OneOff | LineKind::Adjustment)
    }
}

/// What a charge was made for: everything that tells it apart within its account.
///
/// The diff of settlement is taken per key: what it should be, less what was charged for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargeKey {
    /// The subscription.
    pub subscription: String,
    /// The charge of its plan.
    pub charge: String,
    /// Start of the period over which it accumulates.
    pub accumulation: Instant,
    /// Start of the stretch that the line is for.
    pub start: Instant,
    /// What the charge accumulates per, and the prefix under a rate deck.
    pub group: BTreeMap<String, String>,
    /// The shares of a group that bills tell apart (R-ORG-2).
    pub split: Split,
}

impl ChargeKey {
    /// The value of an attribute that all usage under it has, as far as the key says.
    pub fn value(&self, name: &str) -> Option<&str> {
        let of_split = match name {
            "application" => self.split.application.as_deref(),
            "project" => self.split.project.as_deref(),
            _ => name.strip_prefix("tag:").and_then(|tag| self.split.tags.get(tag)).map(String::as_str),
        };
        self.group.get(name).map(String::as_str).or(of_split)
    }
}

/// How bills split: by application, project and tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Split {
    /// Application.
    pub application: Option<String>,
    /// Project; `None` is shown as unassigned, never dropped.
    pub project: Option<String>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
}

/// What has been charged for a key so far, all its lines together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Charged {
    /// Units.
    pub quantity: Exact,
    /// At list prices.
    pub list: Amount,
    /// After discounts.
    pub amount: Amount,
    /// Units that were free.
    pub free: Exact,
    /// What a unit is called.
    pub unit: String,
    /// The time charged.
    pub period: Option<Span>,
    /// The line that charged it first, which corrections refer to.
    pub line: String,
    /// Units that its usage drew from packages, besides: by lines and by sessions.
    pub drawn: Draws,
    /// The part of them that lines have shown.
    pub shown: Draws,
    /// Units that its lines charged and that packages have been drawn for since: its next line gives
    /// them back.
    pub credited: Exact,
}

impl Charged {
    /// Units charged past all packages, free ones among them: without those credited since.
    ///
    /// # Errors
    /// Where a sum is out of range.
    pub fn past_packages(&self) -> Result<Exact, OutOfRange> {
        self.quantity.add(self.free)?.sub(self.credited)
    }
}

/// What a line's usage drew from a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineDraw {
    /// The bucket.
    pub bucket: String,
    /// Its title.
    pub title: String,
    /// The end of the time that it serves.
    pub until: Instant,
    /// Units; below zero: given back.
    pub units: Exact,
}

/// Which text of which price list decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueRef {
    /// The catalogue.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Hash of its text.
    pub hash: String,
}

/// The price behind a line: `amount = quantity × unit price ÷ units`, where there is one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBasis {
    /// What the price is for, in words: `seat and month of 31 days`.
    pub per: String,
    /// Units of the line's quantity that the unit price is for: 31 seat-days, 3,600 seconds, 1.
    pub units: Exact,
    /// The price model in a word: `per-unit`, `graduated`, `volume`, `block`, `flat`, `deck`.
    pub model: Cow<'static, str>,
}

/// A line of a bill. Once posted it never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The bill's id and a number: `acme-2020-01-3`.
    pub id: String,
    /// What it is for.
    pub kind: LineKind,
    /// Whose it is: the payer, or one of its members (R-ORG-1).
    pub account: String,
    /// What was charged; `None` for rounding.
    pub key: Option<ChargeKey>,
    /// The plan.
    pub plan: String,
    /// Title of the charge.
    pub title: String,
    /// The line in a few words.
    pub description: String,
    /// Units charged, exact.
    pub quantity: Exact,
    /// What a unit is called.
    pub unit: String,
    /// Units that cost nothing, besides.
    pub free: Exact,
    /// Units drawn from packages, besides.
    pub drawn: Vec<LineDraw>,
    /// The price for `basis.units` units, where one price holds for all.
    pub unit_price: Option<Exact>,
    /// What the price is for.
    pub basis: PriceBasis,
    /// What it costs at list prices.
    pub list: Amount,
    /// What a discount or a negotiated price took off.
    pub discount: Amount,
    /// `list − discount`.
    pub amount: Amount,
    /// The time that was charged.
    pub period: Span,
    /// The settlement cycle around it (R-OCR-10).
    pub cycle: Span,
    /// When it was posted.
    pub posted: Instant,
    /// Which price list decided.
    pub catalogue: Option<CatalogueRef>,
    /// The rules behind it.
    pub rules: Vec<String>,
    /// The line that it corrects.
    pub corrects: Option<String>,
    /// The arithmetic, as one would write it down.
    pub formula: String,
    /// The sentence for the customer.
    pub explanation: String,
}

/// A bill: open while its month runs, then issued, and then unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// The account and the month: `acme-2020-01`.
    pub id: String,
    /// The calendar month in the account's zone.
    pub period: Span,
    /// Its lines, in the order in which they were posted.
    pub lines: Vec<Line>,
    /// The exact sum of its lines.
    pub sum: Amount,
    /// What has been charged of it: the sum rounded to the minor unit.
    pub posted: Amount,
    /// What has been paid of it with money; below zero for a credit that went to the balance.
    pub paid: Amount,
    /// What coupons paid of it, in the order of their first use (R-MON-2); below zero: what they
    /// were given back of earlier bills.
    pub coupons: Vec<(String, Amount)>,
    /// Credit notes against it, in order.
    pub credits: Vec<CreditNote>,
    /// What was given up of it as uncollectable; below zero: what came back of earlier bills.
    pub written_off: Amount,
    /// When it was issued.
    pub issued: Option<Instant>,
    /// From when on what is owed of it is arrears, where that was put off; `None`: at once.
    pub due_at: Option<Instant>,
    /// Why it is held back, where it is.
    pub held: Option<BillHold>,
    /// Advice to the customer.
    pub notes: Vec<String>,
}

/// Why a bill is not issued when its month ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillHold {
    /// Since when it is held back.
    pub since: Instant,
    /// Why.
    pub reason: String,
}

impl Bill {
    /// What is owed of it: its total less what was paid, by coupons too, credited and written off.
    pub fn due(&self) -> Amount {
        let settled = [self.paid, self.by_coupons(), self.credited(), self.written_off];
        Amount::from_units(settled.iter().fold(self.posted.units(), |due, part| due - part.units()))
    }

    /// What coupons paid of it.
    pub fn by_coupons(&self) -> Amount {
        Amount::from_units(self.coupons.iter().map(|(_, amount)| amount.units()).sum())
    }

    /// What credit notes took off it.
    pub fn credited(&self) -> Amount {
        Amount::from_units(self.credits.iter().map(|note| note.amount.units()).sum())
    }
}

/// A credit note against an issued bill: what it takes off is not owed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditNote {
    /// The bill's id and a number: `acme-2020-01-C1`.
    pub id: String,
    /// How much, above zero.
    pub amount: Amount,
    /// The line that it is about; `None`: the bill as a whole.
    pub line: Option<String>,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub at: Instant,
}

/// The account, the month as its first day, and the number that a line's id says:
/// `acme-2020-01-3`. `None`: it is no line's id.
pub fn line_id(id: &str) -> Option<(&str, jiff::civil::Date, usize)> {
    let (bill, number) = id.rsplit_once('-')?;
    let at = bill.len().checked_sub(8)?;
    let (account, month) = (bill.get(..at)?, bill.get(at..)?.strip_prefix('-')?);
    let number = number.parse().ok().filter(|_| number.bytes().all(|digit| digit.is_ascii_digit()))?;
    Some((account, first_of(month)?, number))
}

/// The first day of a month written `YYYY-MM`.
pub fn first_of(month: &str) -> Option<jiff::civil::Date> {
    let valid = month.len() == 7 && month.as_bytes().get(4) == Some(&b'-');
    format!("{month}-01").parse().ok().filter(|_| valid)
}
