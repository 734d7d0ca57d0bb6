//! The lines that a settlement posts: for what is new, for a difference, for what is no more.

use super::{Context, Should, Stretch, draw, in_force};
use crate::bill::{CatalogueRef, ChargeKey, Charged, Line, LineDraw, LineKind, PriceBasis};
use crate::explain;
use crate::money::{Exact, OutOfRange};
use crate::package::Draws;
use crate::subscription::Subscription;

/// The line for what a key should be, less what was charged; `None` when nothing differs.
pub(super) fn difference(
    context: &Context<'_>,
    key: &ChargeKey,
    should: &Should<'_>,
    before: &Charged,
    late: bool,
) -> Result<Option<Line>, OutOfRange> {
    let quantity = should.quantity.sub(before.quantity)?;
    let free = should.free.sub(before.free)?;
    let list = should.list.sub(before.list)?;
    let amount = should.amount.sub(before.amount)?;
    let drawn = draw::line_draws(&should.drawn, before)?;
    if quantity.is_zero() && free.is_zero() && list.is_zero() && amount.is_zero() && drawn.is_empty() {
        return Ok(None);
    }
    let Stretch { span, cycle, catalogue, plan, charge, .. } = should.stretch;
    let kind = if late || !before.line.is_empty() { LineKind::Correction } else { LineKind::Usage };
    let mut line = Line {
        id: String::new(),
        kind,
        account: context.account.id.clone(),
        key: Some(key.clone()),
        plan: plan.id.clone(),
        title: charge.title.clone(),
        description: String::new(),
        quantity,
        unit: should.unit.clone(),
        free,
        drawn: named(context, drawn),
        unit_price: should.unit_price,
        basis: should.basis.clone(),
        list,
        discount: list.sub(amount)?,
        amount,
        period: *span,
        cycle: *cycle,
        posted: context.at,
        catalogue: Some(CatalogueRef {
            id: catalogue.id.clone(),
            version: catalogue.version.clone(),
            hash: catalogue.hash.clone(),
        }),
        rules: charge.rules.clone(),
        corrects: (!before.line.is_empty()).then(|| before.line.clone()),
        formula: String::new(),
        explanation: String::new(),
    };
    let known = Charged {
        quantity: should.quantity,
        free: should.free,
        amount: should.amount,
        shown: should.drawn.clone(),
        ..before.clone()
    };
    let currency = context.account.currency;
    explain::word(&mut line, should.stretch, &should.wording(currency), &known, before, currency);
    Ok(Some(line))
}

/// The line that gives back what was charged for a stretch that is no more.
pub(super) fn reversal(
    context: &Context<'_>,
    subscription: &Subscription,
    key: &ChargeKey,
    before: &Charged,
) -> Result<Option<Line>, OutOfRange> {
    let nothing = before.quantity.is_zero()
        && before.free.is_zero()
        && before.list.is_zero()
        && before.amount.is_zero()
        && before.shown.is_empty();
    let Some(period) = before.period.filter(|_| !nothing) else { return Ok(None) };
    let known = in_force(context.catalogues, subscription, &key.charge, key.start);
    let title = known.map_or(key.charge.clone(), |(_, _, charge)| charge.title.clone());
    let zero = Exact::ZERO;
    let mut line = Line {
        id: String::new(),
        kind: LineKind::Correction,
        account: context.account.id.clone(),
        key: Some(key.clone()),
        plan: subscription.plan_at(key.start).to_owned(),
        title,
        description: String::new(),
        quantity: zero.sub(before.quantity)?,
        unit: before.unit.clone(),
        free: zero.sub(before.free)?,
        drawn: named(context, draw::line_draws(&Draws::new(), before)?),
        unit_price: None,
        basis: PriceBasis { per: before.unit.clone(), units: Exact::ONE, model: "reversal".into() },
        list: before.list.negated(),
        discount: before.list.negated().sub(before.amount.negated())?,
        amount: before.amount.negated(),
        period,
        cycle: period,
        posted: context.at,
        catalogue: known.map(|(catalogue, ..)| CatalogueRef {
            id: catalogue.id.clone(),
            version: catalogue.version.clone(),
            hash: catalogue.hash.clone(),
        }),
        rules: known.map(|(_, _, charge)| charge.rules.clone()).unwrap_or_default(),
        corrects: (!before.line.is_empty()).then(|| before.line.clone()),
        formula: String::new(),
        explanation: String::new(),
    };
    // Its hours and days are the price list's, not those of the account's bills.
    let zone = known.map_or(&context.account.zone, |(catalogue, ..)| &catalogue.zone);
    let known = known.map(|(catalogue, _, charge)| (catalogue, charge));
    explain::word_reversal(&mut line, known, before, zone, context.account.currency);
    Ok(Some(line))
}

/// Draws as a line shows them, in the order in which their buckets are drawn.
fn named(context: &Context<'_>, drawn: Draws) -> Vec<LineDraw> {
    let payer = context.account.payer();
    let bucket = |id: &str| context.view.bucket(payer, id);
    let mut named: Vec<LineDraw> = drawn
        .into_iter()
        .filter_map(|(id, units)| {
            let known = bucket(&id)?;
            Some(LineDraw { title: known.title.clone(), until: known.span.end, bucket: id, units })
        })
        .collect();
    named.sort_by(|one, other| {
        let rank = |draw: &LineDraw| bucket(&draw.bucket).map(|known| known.rank());
        rank(one).cmp(&rank(other))
    });
    named
}
