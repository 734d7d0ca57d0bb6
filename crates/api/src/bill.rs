//! Bills and their lines.

use farebox_core::account::AccountHead;
use farebox_core::bill;
use farebox_core::calendar::{Instant, Span};
use farebox_core::money::{Amount, Currency};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A stretch of time: `start` belongs to it, `end` does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Period {
    /// RFC 3339, UTC.
    pub start: String,
    /// RFC 3339, UTC.
    pub end: String,
}

/// One bill: an account and a calendar month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bill {
    /// `ACCOUNT-YYYY-MM`.
    pub id: String,
    /// The account.
    pub account: String,
    /// ISO 4217.
    pub currency: String,
    /// The month in the account's zone.
    pub period: Period,
    /// When it was issued; `null` for a draft.
    pub issued_at: Option<String>,
    /// What it comes to, rounded to the minor unit; below zero for a credit note.
    pub total: String,
    /// What has been paid of it with money.
    pub paid: String,
    /// What is still owed.
    pub due: String,
    /// From when on what is owed of it is arrears, where that was put off; `null`: at once.
    pub due_at: Option<String>,
    /// Why it is held back, where it is: it is not issued when its month ends.
    pub held: Option<BillHold>,
    /// What coupons paid of it.
    pub coupons: Vec<Coupon>,
    /// Credit notes against it.
    pub credit_notes: Vec<CreditNote>,
    /// What was given up of it; below zero: what came back of earlier bills.
    pub written_off: String,
    /// Its lines; their amounts sum to the total once it is issued.
    pub lines: Vec<Line>,
    /// Advice to the customer.
    pub notes: Vec<String>,
}

/// Why a bill is held back. Who did it is in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BillHold {
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// A bill as lists show it, without its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BillHead {
    /// `ACCOUNT-YYYY-MM`.
    pub id: String,
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// The month, in the account's zone.
    pub period: Period,
    /// When it was issued; `null` for a draft.
    pub issued_at: Option<String>,
    /// What it comes to, rounded to the minor unit; below zero for a credit note.
    pub total: String,
    /// What is still owed.
    pub due: String,
    /// From when on what is owed of it is arrears, where that was put off; `null`: at once.
    pub due_at: Option<String>,
    /// Why it is held back, where it is: it is not issued when its month ends.
    pub held: Option<BillHold>,
    /// How many lines it has.
    pub line_count: usize,
}

/// What a coupon paid of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Coupon {
    /// Its name.
    pub coupon: String,
    /// How much; below zero: what it was given back of earlier bills.
    pub amount: String,
}

/// A credit note against a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreditNote {
    /// `ACCOUNT-YYYY-MM-CNUMBER`.
    pub id: String,
    /// What it takes off, above zero.
    pub amount: String,
    /// The line that it is about; `null`: the bill as a whole.
    pub line: Option<String>,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub issued_at: String,
}

/// The price behind a line: `list_amount = quantity × unit_price ÷ units`, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceBasis {
    /// What the price is for: `seat and month of 31 days`.
    pub per: String,
    /// Units of `quantity` that `unit_price` is for.
    pub units: String,
    /// `per-unit`, `graduated`, `volume`, `block`, `flat`, `deck`, `refund`, `rounding`, `reversal`, `one-off` or `adjustment`.
    pub model: String,
}

/// Which text of which price list decided a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Catalogue {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The first 16 hex digits of the hash of its text.
    pub hash: String,
}

/// Units drawn from a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PackageDraw {
    /// `ACCOUNT/SUBSCRIPTION/GRANT/NUMBER`.
    pub bucket: String,
    /// Its title.
    pub title: String,
    /// Units; below zero: given back.
    pub quantity: String,
    /// The end of the time that it serves.
    pub until: String,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Line {
    /// `ACCOUNT-YYYY-MM-NUMBER`.
    pub id: String,
    /// `usage`, `purchase`, `refund`, `correction`, `rounding`, `one-off` or `adjustment`.
    pub kind: String,
    /// The account.
    pub account: String,
    /// The subscription.
    pub subscription: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// The charge of the plan.
    pub charge: Option<String>,
    /// The line in a few words.
    pub description: String,
    /// Units charged: a decimal, exact where 10 decimals can say it.
    pub quantity: String,
    /// What a unit is called.
    pub unit: String,
    /// Units that cost nothing, besides.
    pub free_quantity: String,
    /// The price of `price_basis.units` units, where one price holds for all.
    pub unit_price: Option<String>,
    /// What the price is for.
    pub price_basis: PriceBasis,
    /// At list prices.
    pub list_amount: String,
    /// What a discount or a negotiated price takes off.
    pub discount: String,
    /// `list_amount − discount`, exact to 8 decimals.
    pub amount: String,
    /// The time that was charged.
    pub period: Period,
    /// The settlement cycle around it.
    pub cycle: Period,
    /// When it was posted.
    pub posted_at: String,
    /// The project; `null` is unassigned.
    pub project: Option<String>,
    /// The application.
    pub application: Option<String>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
    /// What the charge accumulates per, such as a number; under a rate deck the prefix.
    pub group: BTreeMap<String, String>,
    /// What the usage drew from packages, besides.
    pub packages: Vec<PackageDraw>,
    /// The price list; `null` for rounding.
    pub catalogue: Option<Catalogue>,
    /// The rules behind it.
    pub rules: Vec<String>,
    /// The line that it corrects.
    pub corrects: Option<String>,
    /// The arithmetic.
    pub formula: String,
    /// The sentence for the customer.
    pub explanation: String,
}

fn moment(at: Instant) -> String {
    at.to_string()
}

pub(crate) fn period(span: Span) -> Period {
    Period { start: moment(span.start), end: moment(span.end) }
}

/// A bill of an account on the wire, without its lines.
pub fn bill_head(head: &AccountHead, bill: &bill::Bill) -> BillHead {
    BillHead {
        id: bill.id.clone(),
        account: head.id.clone(),
        currency: head.currency.code().to_owned(),
        period: period(bill.period),
        issued_at: bill.issued.map(moment),
        total: bill.posted.decimal(head.currency),
        due: bill.due().decimal(head.currency),
        due_at: bill.due_at.map(moment),
        held: held(bill),
        line_count: bill.lines.len(),
    }
}

fn held(bill: &bill::Bill) -> Option<BillHold> {
    let bill::BillHold { since, reason } = bill.held.as_ref()?;
    Some(BillHold { since: moment(*since), reason: reason.clone() })
}

/// A bill of an account on the wire.
pub fn bill(head: &AccountHead, bill: &bill::Bill) -> Bill {
    let money = |amount: Amount| amount.decimal(head.currency);
    Bill {
        id: bill.id.clone(),
        account: head.id.clone(),
        currency: head.currency.code().to_owned(),
        period: period(bill.period),
        issued_at: bill.issued.map(moment),
        total: money(bill.posted),
        paid: money(bill.paid),
        due: money(bill.due()),
        due_at: bill.due_at.map(moment),
        held: held(bill),
        coupons: bill
            .coupons
            .iter()
            .map(|(coupon, amount)| Coupon { coupon: coupon.clone(), amount: money(*amount) })
            .collect(),
        credit_notes: bill
            .credits
            .iter()
            .map(|note| CreditNote {
                id: note.id.clone(),
                amount: money(note.amount),
                line: note.line.clone(),
                reason: note.reason.clone(),
                issued_at: moment(note.at),
            })
            .collect(),
        written_off: money(bill.written_off),
        lines: bill.lines.iter().map(|one| line(head.currency, one)).collect(),
        notes: bill.notes.clone(),
    }
}

/// A line on the wire.
pub fn line(currency: Currency, line: &bill::Line) -> Line {
    let money = |amount: Amount| amount.decimal(currency);
    let key = line.key.as_ref();
    let split = key.map(|key| key.split.clone()).unwrap_or_default();
    Line {
        id: line.id.clone(),
        kind: line.kind.name().to_owned(),
        account: line.account.clone(),
        subscription: key.map(|key| key.subscription.clone()).filter(|name| !name.is_empty()),
        plan: (!line.plan.is_empty()).then(|| line.plan.clone()),
        charge: key.filter(|key| !key.subscription.is_empty()).map(|key| key.charge.clone()),
        description: line.description.clone(),
        quantity: line.quantity.decimal(0),
        unit: line.unit.clone(),
        free_quantity: line.free.decimal(0),
        unit_price: line.unit_price.map(|price| price.decimal(currency.minor_digits() as usize)),
        price_basis: PriceBasis {
            per: line.basis.per.clone(),
            units: line.basis.units.decimal(0),
            model: line.basis.model.to_string(),
        },
        list_amount: money(line.list),
        discount: money(line.discount),
        amount: money(line.amount),
        period: period(line.period),
        cycle: period(line.cycle),
        posted_at: moment(line.posted),
        project: split.project,
        application: split.application,
        tags: split.tags,
        group: key.map(|key| key.group.clone()).unwrap_or_default(),
        packages: line
            .drawn
            .iter()
            .map(|draw| PackageDraw {
                bucket: draw.bucket.clone(),
                title: draw.title.clone(),
                quantity: draw.units.decimal(0),
                until: moment(draw.until),
            })
            .collect(),
        catalogue: line.catalogue.as_ref().map(|list| Catalogue {
            id: list.id.clone(),
            version: list.version.clone(),
            hash: list.hash.clone(),
        }),
        rules: line.rules.clone(),
        corrects: line.corrects.clone(),
        formula: line.formula.clone(),
        explanation: line.explanation.clone(),
    }
}
