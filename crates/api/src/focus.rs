//! Bills as FOCUS has cost and usage: the FinOps Open Cost and Usage Specification, version 1.2.
//!
//! One row for each line of a bill, and one for each credit note. What FOCUS has no column for is in columns of our own,
//! whose names begin with `x_`. docs/focus.md says what each column means here.

use farebox_core::account::{Account, AccountHead, Group};
use farebox_core::bill::{Bill, CreditNote, Line, LineKind};
use farebox_core::calendar::{Cycle, Instant, Span};
use farebox_core::cost::bill_group;
use farebox_core::engine::Catalogues;
use farebox_core::money::{Amount, Exact, OutOfRange};
use farebox_table::{Cell, Column, Form};
use jiff::civil::Date;
use std::collections::BTreeMap;

/// The version of the specification.
pub const VERSION: &str = "1.2";

const COST: Form = Form::Decimal { scale: 8, shown: 2 };
/// Digits after the point of quantities and unit prices.
const SCALE: u32 = 18;
const EXACT: Form = Form::Decimal { scale: SCALE as u8, shown: 0 };

/// The columns: those of FOCUS by name, then ours.
pub const COLUMNS: &[Column] = &[
    Column::required("BilledCost", COST),
    Column::required("BillingAccountId", Form::Text),
    Column::required("BillingAccountName", Form::Text),
    Column::required("BillingCurrency", Form::Text),
    Column::required("BillingPeriodEnd", Form::Moment),
    Column::required("BillingPeriodStart", Form::Moment),
    Column::required("ChargeCategory", Form::Text),
    Column::optional("ChargeClass", Form::Text),
    Column::required("ChargeDescription", Form::Text),
    Column::required("ChargeFrequency", Form::Text),
    Column::required("ChargePeriodEnd", Form::Moment),
    Column::required("ChargePeriodStart", Form::Moment),
    Column::optional("ConsumedQuantity", EXACT),
    Column::optional("ConsumedUnit", Form::Text),
    Column::required("ContractedCost", COST),
    Column::optional("ContractedUnitPrice", EXACT),
    Column::required("EffectiveCost", COST),
    Column::required("InvoiceId", Form::Text),
    Column::required("InvoiceIssuerName", Form::Text),
    Column::required("ListCost", COST),
    Column::optional("ListUnitPrice", EXACT),
    Column::optional("PricingCategory", Form::Text),
    Column::optional("PricingQuantity", EXACT),
    Column::optional("PricingUnit", Form::Text),
    Column::required("ProviderName", Form::Text),
    Column::required("PublisherName", Form::Text),
    Column::optional("ResourceId", Form::Text),
    Column::optional("ResourceName", Form::Text),
    Column::optional("ResourceType", Form::Text),
    Column::required("ServiceCategory", Form::Text),
    Column::required("ServiceName", Form::Text),
    Column::required("ServiceSubcategory", Form::Text),
    Column::optional("SkuId", Form::Text),
    Column::optional("SkuMeter", Form::Text),
    Column::optional("SkuPriceDetails", Form::Text),
    Column::optional("SkuPriceId", Form::Text),
    Column::optional("SubAccountId", Form::Text),
    Column::optional("SubAccountName", Form::Text),
    Column::optional("Tags", Form::Text),
    Column::optional("x_Application", Form::Text),
    Column::optional("x_CorrectsLineId", Form::Text),
    Column::optional("x_Formula", Form::Text),
    Column::optional("x_InvoiceIssued", Form::Moment),
    Column::optional("x_LineId", Form::Text),
    Column::optional("x_Project", Form::Text),
];

/// What exports know besides bills.
#[derive(Clone, Copy)]
pub struct World<'w> {
    /// The price lists.
    pub catalogues: &'w Catalogues,
    /// Who issues the bills and sells what is on them.
    pub issuer: &'w str,
    /// The first day of the month; `None`: every month.
    pub month: Option<Date>,
}

/// Shows the rows of an account's bills, those of its members in them, in their order: a month's lines, then the credit
/// notes that were made in it, whatever bill they are against.
///
/// # Errors
/// [`OutOfRange`] when a quantity does not fit the columns.
pub fn rows(
    world: &World<'_>,
    group: &Group,
    account: &Account,
    each: &mut dyn FnMut(Vec<Cell>),
) -> Result<(), OutOfRange> {
    let zone = &account.head.zone;
    let months = match world.month {
        Some(first) => vec![first],
        None => {
            let of_bills = account.bills.values().map(|bill| zone.date(bill.period.start));
            let notes = account.bills.values().flat_map(|bill| &bill.credits);
            let mut months: Vec<Date> =
                of_bills.chain(notes.map(|note| zone.date(note.at).first_of_month())).collect();
            months.sort_unstable();
            months.dedup();
            months
        }
    };
    for first in months {
        for bill in account.bills.values() {
            let of = Of { world, group, head: &account.head, bill };
            if zone.date(bill.period.start) == first {
                for line in &bill.lines {
                    each(of.line(account, line)?);
                }
            }
        }
        for bill in account.bills.values() {
            let of = Of { world, group, head: &account.head, bill };
            for note in bill.credits.iter().filter(|note| zone.date(note.at).first_of_month() == first) {
                each(of.note(note));
            }
        }
    }
    Ok(())
}

/// What a line of a bill is in FOCUS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    Usage,
    Purchase,
    Credit,
    Adjustment,
}

impl Category {
    fn of(kind: LineKind) -> Category {
        match kind {
            LineKind::Usage | LineKind::Correction => Category::Usage,
            LineKind::Purchase | LineKind::Refund | LineKind::OneOff => Category::Purchase,
            LineKind::Rounding | LineKind::Adjustment => Category::Adjustment,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Category::Usage => "Usage",
            Category::Purchase => "Purchase",
            Category::Credit => "Credit",
            Category::Adjustment => "Adjustment",
        }
    }

    /// How often it is charged.
    fn frequency(self) -> &'static str {
        if self == Category::Usage { "Usage-Based" } else { "One-Time" }
    }
}

/// A bill with what its rows are made of.
struct Of<'w> {
    world: &'w World<'w>,
    group: &'w Group,
    head: &'w AccountHead,
    bill: &'w Bill,
}

/// What tells one row from another; the rest follows from the bill.
struct Row<'r> {
    category: Category,
    is_correction: bool,
    description: &'r str,
    invoice: &'r str,
    billing: Span,
    charge: Span,
    account: &'r str,
    service: Option<String>,
    list: Amount,
    amount: Amount,
    priced: Option<Priced>,
    consumed: Option<i128>,
    unit: &'r str,
    line: Option<&'r Line>,
    corrects: Option<&'r str>,
    issued: Option<Instant>,
}

impl Of<'_> {
    fn line(&self, account: &Account, line: &Line) -> Result<Vec<Cell>, OutOfRange> {
        let corrected = line.corrects.as_deref();
        // A correction within its bill is no correction to whoever has the bill.
        let earlier = corrected.and_then(|id| id.rsplit_once('-')).filter(|(bill, _)| *bill != self.bill.id);
        let mut category = Category::of(line.kind);
        if line.kind == LineKind::Correction
            && let Some(first) = corrected.and_then(|id| find(account, id))
        {
            category = Category::of(first.kind);
        }
        let is_sold = matches!(category, Category::Usage | Category::Purchase);
        let priced = match is_sold {
            true => Some(Priced::of(line, earlier.is_some())?),
            false => None,
        };
        let consumed = match category {
            Category::Usage => {
                let drawn = line.drawn.iter().try_fold(line.free, |sum, draw| sum.add(draw.units))?;
                Some(scaled(line.quantity.add(drawn)?)?)
            }
            _ => None,
        };
        Ok(self.cells(Row {
            category,
            is_correction: earlier.is_some(),
            description: &line.description,
            invoice: &self.bill.id,
            billing: self.bill.period,
            charge: line.period,
            account: &line.account,
            service: bill_group(line, self.world.catalogues).map(|(group, _)| group),
            list: line.list,
            amount: line.amount,
            priced,
            consumed,
            unit: &line.unit,
            line: Some(line),
            corrects: corrected,
            issued: self.bill.issued,
        }))
    }

    /// A credit note is an invoice of its own, in the month in which it was made.
    fn note(&self, note: &CreditNote) -> Vec<Cell> {
        let about = note.line.as_ref().and_then(|id| self.bill.lines.iter().find(|line| line.id == *id));
        let amount = note.amount.negated();
        self.cells(Row {
            category: Category::Credit,
            is_correction: true,
            description: &format!("Credit note on {}: {}", self.bill.id, note.reason),
            invoice: &note.id,
            billing: self.head.zone.cycle(Cycle::Month, note.at),
            charge: about.map_or(self.bill.period, |line| line.period),
            account: about.map_or(&self.head.id, |line| &line.account),
            service: about.and_then(|line| bill_group(line, self.world.catalogues)).map(|(group, _)| group),
            list: amount,
            amount,
            priced: None,
            consumed: None,
            unit: "",
            line: None,
            corrects: note.line.as_deref(),
            issued: Some(note.at),
        })
    }

    /// In the order of [`COLUMNS`].
    fn cells(&self, row: Row<'_>) -> Vec<Cell> {
        let issuer = || Cell::text(self.world.issuer);
        let member = Some(row.account).filter(|account| *account != self.head.id);
        let title = |id: &str| self.group.get(id).map_or(id, |account| &account.head.title).to_owned();
        let priced = row.priced.as_ref();
        let sku = row.line.filter(|_| priced.is_some()).map(Sku::of);
        let resource = row.line.and_then(|line| line.key.as_ref()).map(|key| key.subscription.as_str());
        let resource = resource.filter(|name| !name.is_empty());
        let split = row.line.and_then(|line| line.key.as_ref()).map(|key| &key.split);
        let tags = split.map(|split| &split.tags).filter(|tags| !tags.is_empty());
        let decimal = |units: Option<i128>| units.map_or(Cell::Null, Cell::Decimal);
        let cost = |amount: Amount| Cell::Decimal(amount.units());
        let (start, end) = seconds(row.charge);
        vec![
            cost(row.amount),
            Cell::text(&self.head.id),
            Cell::text(&self.head.title),
            Cell::text(self.head.currency.code()),
            Cell::Moment(row.billing.end),
            Cell::Moment(row.billing.start),
            Cell::text(row.category.name()),
            Cell::maybe(row.is_correction.then_some("Correction")),
            Cell::text(row.description),
            Cell::text(row.category.frequency()),
            Cell::Moment(end),
            Cell::Moment(start),
            decimal(row.consumed),
            Cell::maybe(row.consumed.map(|_| row.unit)),
            cost(row.amount),
            decimal(priced.and_then(|priced| priced.contracted)),
            cost(row.amount),
            Cell::text(row.invoice),
            issuer(),
            cost(row.list),
            decimal(priced.and_then(|priced| priced.list)),
            Cell::maybe(priced.map(|_| "Standard")),
            decimal(priced.map(|priced| priced.quantity)),
            Cell::maybe(priced.map(|priced| if priced.is_whole_charge { WHOLE } else { row.unit })),
            issuer(),
            issuer(),
            Cell::maybe(resource.map(|name| format!("{}/{name}", row.account))),
            Cell::maybe(resource),
            Cell::maybe(
                resource.and(row.line).map(|line| line.plan.as_str()).filter(|plan| !plan.is_empty()),
            ),
            Cell::text("Other"),
            row.service.map_or_else(|| Cell::text("Other"), Cell::text),
            Cell::text("Other (Other)"),
            Cell::maybe(sku.as_ref().map(|sku| sku.id.as_str())),
            Cell::maybe(sku.as_ref().map(|sku| sku.meter)),
            Cell::maybe(sku.as_ref().map(|sku| sku.details.as_str())),
            Cell::maybe(sku.as_ref().map(|sku| sku.price.as_str())),
            Cell::maybe(member),
            Cell::maybe(member.map(title)),
            Cell::maybe(tags.map(object)),
            Cell::maybe(split.and_then(|split| split.application.as_deref())),
            Cell::maybe(row.corrects),
            Cell::maybe(row.line.map(|line| line.formula.as_str())),
            row.issued.map_or(Cell::Null, Cell::Moment),
            Cell::maybe(row.line.map(|line| line.id.as_str())),
            Cell::maybe(split.and_then(|split| split.project.as_deref())),
        ]
    }
}

/// The unit of what has no quantity to be priced by.
const WHOLE: &str = "Charge";

/// Quantity and prices of a row, in 10⁻¹⁸.
struct Priced {
    quantity: i128,
    /// The price is for the charge as a whole.
    is_whole_charge: bool,
    list: Option<i128>,
    contracted: Option<i128>,
}

impl Priced {
    /// A price times the quantity is the cost, once it is rounded to the 8 decimals that costs have. Where no price does
    /// that, the charge as a whole is what is priced; a correction of an earlier bill says no price then.
    fn of(line: &Line, of_earlier: bool) -> Result<Priced, OutOfRange> {
        let mut quantity = line.quantity;
        let is_credit = line.list.is_negative() || (line.list.is_zero() && line.amount.is_negative());
        // A price is never below zero: what is given back is a quantity below zero.
        if is_credit != quantity.is_negative() {
            quantity = Exact::ZERO.sub(quantity)?;
        }
        let units = scaled(quantity)?;
        let list = listed(line, quantity).or_else(|| price(line.list, units));
        let contracted = match line.amount == line.list {
            true => list,
            false => price(line.amount, units),
        };
        if of_earlier {
            let says = line.unit_price.is_some();
            let (list, contracted) = (list.filter(|_| says), contracted.filter(|_| says));
            return Ok(Priced { quantity: scaled(line.quantity)?, is_whole_charge: false, list, contracted });
        }
        if list.is_some() && contracted.is_some() {
            return Ok(Priced { quantity: units, is_whole_charge: false, list, contracted });
        }
        let one = if is_credit { -ONE } else { ONE };
        let (list, contracted) = (price(line.list, one), price(line.amount, one));
        Ok(Priced { quantity: one, is_whole_charge: true, list, contracted })
    }
}

const ONE: i128 = 10i128.pow(SCALE);

/// The price of a unit that the line says, where it makes the cost.
fn listed(line: &Line, quantity: Exact) -> Option<i128> {
    let price = line.unit_price?.div(line.basis.units).ok().filter(|price| !price.is_negative())?;
    let makes = Amount::quantise(quantity.mul(price).ok()?).ok()? == line.list;
    let units = scaled(price).ok()?;
    let is_exact = ONE % price.denominator() == 0 && ONE % quantity.denominator() == 0;
    (makes && (is_exact || is_small(scaled(quantity).ok()?))).then_some(units)
}

/// Whether a price of 18 decimals times so much is off by less than half of the last decimal of a cost.
fn is_small(quantity: i128) -> bool {
    quantity.unsigned_abs() < 10u128.pow(10) * ONE.unsigned_abs()
}

/// The price of a unit, of which so many cost so much: never below zero.
fn price(cost: Amount, quantity: i128) -> Option<i128> {
    if cost.is_zero() {
        return Some(0);
    }
    if quantity == 0 || !is_small(quantity) || cost.is_negative() != (quantity < 0) {
        return None;
    }
    let cost = cost.units().checked_abs()?.checked_mul(10i128.pow(SCALE - 8))?;
    divided(cost, quantity.checked_abs()?).ok()
}

/// A number as so many 10⁻¹⁸, the last of them rounded.
fn scaled(value: Exact) -> Result<i128, OutOfRange> {
    let units = divided(value.numerator().checked_abs().ok_or(OutOfRange)?, value.denominator())?;
    Ok(if value.is_negative() { -units } else { units })
}

/// `numerator ÷ denominator` in 10⁻¹⁸, digit by digit, rounded half up; both are above zero, or the first is zero.
fn divided(numerator: i128, denominator: i128) -> Result<i128, OutOfRange> {
    let (mut units, mut rest) = (numerator / denominator, numerator % denominator);
    for _ in 0..SCALE {
        rest = rest.checked_mul(10).ok_or(OutOfRange)?;
        units = units
            .checked_mul(10)
            .and_then(|units| units.checked_add(rest / denominator))
            .ok_or(OutOfRange)?;
        rest %= denominator;
    }
    Ok(if rest >= denominator - rest { units + 1 } else { units })
}

/// To whole seconds: the second in which it begins, and the one after that in which it ends.
fn seconds(span: Span) -> (Instant, Instant) {
    let whole = |second: i64| Instant::from_second(second).unwrap_or(span.start);
    let first = span.start.as_second() - i64::from(span.start.subsec_nanosecond() < 0);
    let last = span.end.as_second() + i64::from(span.end.subsec_nanosecond() > 0);
    (whole(first), whole(last.max(first + 1)))
}

fn find<'a>(account: &'a Account, id: &str) -> Option<&'a Line> {
    let (bill, _) = id.rsplit_once('-')?;
    let bill = account.bills.values().find(|known| known.id == bill)?;
    bill.lines.iter().find(|line| line.id == id)
}

fn object(of: &BTreeMap<String, String>) -> String {
    // Texts can always be written.
    serde_json::to_string(of).unwrap_or_default()
}

/// What was sold, and its price in a price list.
struct Sku<'l> {
    id: String,
    price: String,
    meter: &'l str,
    details: String,
}

impl Sku<'_> {
    fn of(line: &Line) -> Sku<'_> {
        let charge = line.key.as_ref().map_or("", |key| key.charge.as_str());
        let list = line.catalogue.as_ref();
        let (id, price) = match list {
            Some(list) => (
                format!("{}/{}/{charge}", list.id, line.plan),
                format!("{}@{}/{}/{charge}", list.id, list.version, line.plan),
            ),
            None => (line.kind.name().to_owned(), line.kind.name().to_owned()),
        };
        let details = [("x_Model", line.basis.model.as_ref()), ("x_PricedPer", line.basis.per.as_str())];
        let details = details.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Sku { id, price, meter: &line.title, details: object(&details.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_at_the_eighteenth_decimal() {
        assert_eq!(scaled(Exact::ratio(2, 3).unwrap()), Ok(666_666_666_666_666_667));
        assert_eq!(scaled(Exact::ratio(-1, 2).unwrap()), Ok(-500_000_000_000_000_000));
        assert_eq!(scaled(Exact::whole(i128::MAX)), Err(OutOfRange));
        // The reduced fraction has a large denominator, and is small.
        assert_eq!(scaled(Exact::ratio(1, 10i128.pow(36)).unwrap()), Ok(0));
    }

    #[test]
    fn a_price_times_the_quantity_is_the_cost_or_there_is_none() {
        let cost = |units: i128| Amount::from_units(units);
        assert_eq!(price(cost(0), 0), Some(0));
        assert_eq!(price(cost(5), 0), None);
        assert_eq!(price(cost(-5), ONE), None, "no price is below zero");
        assert_eq!(price(cost(-500_000_000), -2 * ONE), Some(5 * ONE / 2));
        assert_eq!(price(cost(100), ONE * 10i128.pow(10)), None, "its rounding would be seen");
        for (units, quantity) in [(99_354_838_710, 308), (1, 9_999_999_999), (10i128.pow(26), 7)] {
            let price = price(cost(units), quantity * ONE).unwrap();
            // Both fit when the product of the rounded part is taken alone.
            let (whole, rest) = (price / 10i128.pow(10), price % 10i128.pow(10));
            let product = whole * quantity + (rest * quantity + 5 * 10i128.pow(9)) / 10i128.pow(10);
            assert_eq!(product, units, "{quantity}");
        }
    }

    #[test]
    fn a_stretch_of_time_has_whole_seconds_and_is_never_empty() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let span = |start: &str, end: &str| seconds(Span { start: at(start), end: at(end) });
        let (start, end) = span("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:09.5Z");
        assert_eq!((start, end), (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:10Z")));
        let (start, end) = span("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert_eq!((start, end), (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z")));
    }
}
