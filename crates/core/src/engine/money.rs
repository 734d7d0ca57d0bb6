//! Settlements, bills and payments.

use super::coupons::Posted;
use super::{Catalogues, Desk, Fact, Late, Refusal, bill_month, due, packages, payable};
use crate::account::{AccountHead, BillHead, View};
use crate::bill::{Line, LineKind, PriceBasis};
use crate::calendar::{Cycle, Instant, Span};
use crate::ledger::{LedgerAccount, Posting};
use crate::metering::Metering;
use crate::money::{Amount, Currency, Exact, OutOfRange};
use crate::settlement::{self, Context, Settled};

/// Settles what is due for a payer and its members, and issues the bill of a month that ends now.
pub(super) fn settle(desk: &Desk<'_>, late: &Late) -> Result<Vec<Fact>, Refusal> {
    let Desk { view, catalogues, metering, payer, at, .. } = *desk;
    let month = bill_month(payer, at);
    let head = view.bill(&payer.id, month.start);
    let lines_so_far = head.map_or(0, |bill| bill.lines);
    let id = bill_id(payer, month);
    let is_held = view.bill_hold(&payer.id, month.start).is_some();
    let open = month.end == at && !is_held && !head.is_some_and(|bill| bill.issued);
    let contexts = contexts(view, catalogues, metering, &payer.id, at, late);
    let Settled { lines, marks, closed, drawn } = settlement::settle(&contexts, &id, lines_so_far + 1)?;
    let mut notes = Vec::new();
    for context in contexts.iter().filter(|_| open) {
        notes.extend(advice(context, month, &lines));
    }
    let mut facts = packages::drawn(desk, drawn)?;
    facts.extend(packages::past(desk, &lines));
    let count = lines_so_far + lines.len();
    let (mut sum, mut posted) = head.map_or((Amount::ZERO, Amount::ZERO), |bill| (bill.sum, bill.posted));
    if !lines.is_empty() {
        for line in &lines {
            sum = sum.add(line.amount)?;
        }
        posted = sum.round_to_minor(payer.currency);
        facts.push(charge(view, payer, month, lines, at)?);
    }
    if !marks.is_empty() || !closed.is_empty() {
        facts.push(Fact::Settled { marks, closed });
    }
    if open && count > 0 {
        let rounding = rounding_line(payer, month, posted.sub(sum)?, &id, count + 1, at).map(Box::new);
        let account = payer.id.clone();
        facts.push(Fact::BillIssued { account, month: month.start, at, rounding, notes });
    }
    Ok(facts)
}

/// What a settlement looks at of a payer and its members: all accounts, but those whose usage nobody knows any more. What
/// was charged for that is not worked out again.
pub(super) fn contexts<'a>(
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    metering: &'a Metering,
    payer: &str,
    at: Instant,
    late: &Late,
) -> Vec<Context<'a>> {
    let mut group = due::group(view, payer);
    group.retain(|name| metering.knows(name));
    let accounts = group.iter().filter_map(|name| view.account(name));
    let context = |account: &'a AccountHead| {
        let late = late.get(&account.id).copied();
        Context { late, ..Context::of(view, catalogues, metering, account, at) }
    };
    accounts.map(context).collect()
}

/// Issues the bill of a month that is over, if there is anything on it.
pub(super) fn issue(desk: &Desk<'_>, month: Span) -> Result<Option<Fact>, Refusal> {
    let Desk { view, catalogues, metering, payer, at, .. } = *desk;
    let Some(head) = view.bill(&payer.id, month.start).filter(|head| head.lines > 0) else { return Ok(None) };
    let mut notes = Vec::new();
    for name in due::group(view, &payer.id) {
        let Some(account) = view.account(&name) else { continue };
        notes.extend(advice(&Context::of(view, catalogues, metering, account, at), month, &[]));
    }
    let id = bill_id(payer, month);
    let difference = head.posted.sub(head.sum)?;
    let rounding = rounding_line(payer, month, difference, &id, head.lines + 1, at).map(Box::new);
    let account = payer.id.clone();
    Ok(Some(Fact::BillIssued { account, month: month.start, at, rounding, notes }))
}

/// The id of an account's bill of a month: `acme-2020-01`.
pub(super) fn bill_id(account: &AccountHead, month: Span) -> String {
    let first = account.zone.date(month.start);
    format!("{}-{:04}-{:02}", account.id, first.year(), first.month())
}

/// What an issued bill still comes to, after its credit notes and what later bills took off it.
pub(super) fn left_of(
    view: &dyn View,
    payer: &str,
    month: Instant,
    head: &BillHead,
) -> Result<Amount, OutOfRange> {
    // As far as it had not taken that off earlier ones itself.
    let all = head.posted.sub(head.credited)?;
    Ok(own_left(view, payer, month, head)?.min(all.max(Amount::ZERO)))
}

/// What an issued bill's own charges still come to: the same, with what it took off earlier bills itself.
pub(super) fn own_left(
    view: &dyn View,
    payer: &str,
    month: Instant,
    head: &BillHead,
) -> Result<Amount, OutOfRange> {
    let corrected = view.corrected(payer, month);
    let own = head.posted.add(corrected.gave.total()?)?;
    Ok(own.sub(head.credited)?.sub(corrected.returned.total()?)?.max(Amount::ZERO))
}

/// Posts lines to the payer's bill of a month, and takes payment from the balance at once.
///
/// What is charged is the month's running total, rounded, less what was charged before: three
/// hours of 0.005 are charged as 0.01, 0.00 and 0.01 (R-MON-1).
pub(super) fn charge(
    view: &dyn View,
    account: &AccountHead,
    month: Span,
    lines: Vec<Line>,
    at: Instant,
) -> Result<Fact, Refusal> {
    charge_terms(view, account, month, lines, Amount::ZERO, at)
}

/// The same; so much of the lines is for time to come, and deferred.
pub(super) fn charge_terms(
    view: &dyn View,
    account: &AccountHead,
    month: Span,
    lines: Vec<Line>,
    deferred: Amount,
    at: Instant,
) -> Result<Fact, Refusal> {
    let head = view.bill(&account.id, month.start);
    let (sum, before) = head.map_or((Amount::ZERO, Amount::ZERO), |bill| (bill.sum, bill.posted));
    let mut added = Amount::ZERO;
    for line in &lines {
        added = added.add(line.amount)?;
    }
    let posted = sum.add(added)?.round_to_minor(account.currency);
    let charged = posted.sub(before)?;
    let id = bill_id(account, month);
    let mut postings = Vec::new();
    postings.extend(Posting::money(
        at,
        format!("charges of {id}"),
        account.currency,
        vec![
            (LedgerAccount::Receivable, charged),
            (LedgerAccount::Revenue, deferred.sub(added)?),
            (LedgerAccount::Deferred, deferred.negated()),
            (LedgerAccount::Rounding, added.sub(charged)?),
        ],
    ));
    // The discount is in the lines; then comes one coupon, then the balance (R-MON-2).
    let owed = head.map_or(Ok(posted), |bill| {
        posted.sub(bill.paid)?.sub(bill.coupons)?.sub(bill.credited)?.sub(bill.written_off)
    })?;
    let now = Posted { view, account, month, lines: &lines, charged, owed, at };
    let effects = now.effects()?;
    postings.extend(now.postings(&effects, &id));
    let owed = now.owed_after(&effects)?;
    let mut payments = Vec::new();
    let mut available = view.prepaid(&account.id);
    if owed.is_negative() {
        // Paid more than the bill is now: the rest goes back to the balance. A credit that went
        // there before counts as paid below zero.
        payments.push((month.start, owed));
        postings.extend(payment(at, &id, account.currency, owed));
        available = available.sub(owed)?;
    }
    let mut all_owed = view.unpaid(&account.id);
    all_owed.retain(|(other, _)| *other != month.start);
    if owed > Amount::ZERO {
        all_owed.push((month.start, owed));
        all_owed.sort();
    }
    let (settled, more) = pay_oldest(account, all_owed, available, at)?;
    payments.extend(settled);
    postings.extend(more);
    Ok(Fact::Charged {
        account: account.id.clone(),
        bill: id,
        month,
        lines,
        posted,
        postings,
        paid: payments,
        effects,
    })
}

/// Money for the balance; it pays what is owed, the oldest first.
pub(super) fn top_up(
    view: &dyn View,
    account: &AccountHead,
    amount: Exact,
    at: Instant,
) -> Result<Vec<Fact>, Refusal> {
    let amount = payable(amount, account.currency)?;
    let (postings, paid) = pay_in(view, account, amount, (LedgerAccount::Bank, "top-up"), at)?;
    Ok(vec![Fact::ToppedUp { account: account.id.clone(), postings, paid }])
}

/// Postings and payments.
type PaidIn = (Vec<Posting>, Vec<(Instant, Amount)>);

/// Money comes onto the balance from somewhere, and pays what is owed.
pub(super) fn pay_in(
    view: &dyn View,
    account: &AccountHead,
    amount: Amount,
    (source, memo): (LedgerAccount, &str),
    at: Instant,
) -> Result<PaidIn, Refusal> {
    let entries = vec![(source, amount), (LedgerAccount::Balance, amount.negated())];
    let posting = Posting::money(at, memo.to_owned(), account.currency, entries);
    let mut postings: Vec<Posting> = posting.into_iter().collect();
    let available = view.prepaid(&account.id).add(amount)?;
    let (paid, more) = pay_oldest(account, view.unpaid(&account.id), available, at)?;
    postings.extend(more);
    Ok((postings, paid))
}

pub(super) type Payments = (Vec<(Instant, Amount)>, Vec<Posting>);

/// Takes what the balance has, and leaves the rest owed (RULES.md §3, no. 32).
pub(super) fn pay_oldest(
    account: &AccountHead,
    owed: Vec<(Instant, Amount)>,
    mut available: Amount,
    at: Instant,
) -> Result<Payments, Refusal> {
    let mut paid = Vec::new();
    let mut postings = Vec::new();
    for (month, due) in owed {
        let part = due.min(available);
        if part <= Amount::ZERO {
            break;
        }
        available = available.sub(part)?;
        let id = bill_id(account, account.zone.cycle(Cycle::Month, month));
        postings.extend(payment(at, &id, account.currency, part));
        paid.push((month, part));
    }
    Ok((paid, postings))
}

/// A payment of a bill from the balance; below zero: what comes back to it.
pub(super) fn payment(at: Instant, bill: &str, currency: Currency, amount: Amount) -> Option<Posting> {
    let entries = vec![(LedgerAccount::Balance, amount), (LedgerAccount::Receivable, amount.negated())];
    let what = if amount.is_negative() { "money back of" } else { "payment of" };
    Posting::money(at, format!("{what} {bill}"), currency, entries)
}

/// The difference between the sum of the lines and the total, as a line of its own.
fn rounding_line(
    account: &AccountHead,
    month: Span,
    difference: Amount,
    bill: &str,
    number: usize,
    at: Instant,
) -> Option<Line> {
    if difference.is_zero() {
        return None;
    }
    let unit = account.currency.code().to_owned();
    let digits = account.currency.minor_digits();
    Some(Line {
        id: format!("{bill}-{number}"),
        kind: LineKind::Rounding,
        account: account.id.clone(),
        key: None,
        plan: String::new(),
        title: "Rounding".to_owned(),
        description: "Rounding of the total".to_owned(),
        quantity: Exact::ONE,
        unit: unit.clone(),
        free: Exact::ZERO,
        drawn: Vec::new(),
        unit_price: None,
        basis: PriceBasis { per: unit, units: Exact::ONE, model: "rounding".into() },
        list: difference,
        discount: Amount::ZERO,
        amount: difference,
        period: month,
        cycle: month,
        posted: at,
        catalogue: None,
        rules: vec!["R-MON-1".to_owned()],
        corrects: None,
        formula: format!("total − sum of the lines = {}", difference.decimal(account.currency)),
        explanation: format!(
            "The lines are exact; the total is rounded once to {digits} decimals, half up, and this is the difference."
        ),
    })
}

/// Advice on what was used in a month, such as a number of another kind (RULES.md §3, no. 10).
/// `lines` are those that settle with the bill: the month's last day is among them.
fn advice(context: &Context<'_>, month: Span, lines: &[Line]) -> Vec<String> {
    let mut notes = Vec::new();
    for subscription in context.view.subscriptions_since(&context.account.id, month.start) {
        let name = &subscription.name;
        let begun = month.start.max(subscription.start);
        let known = context.catalogues.charging(subscription, &subscription.plan, begun);
        let Some((catalogue, plan)) = known else { continue };
        for charge in &plan.charges {
            notes.extend(packages::past_note(
                context.view,
                catalogue,
                &context.account.id,
                subscription,
                charge,
                month,
                lines,
            ));
        }
        for advice in &plan.advice {
            let start = catalogue.zone.cycle(Cycle::Month, month.start).start;
            let charged = context.view.charged(&context.account.id, name, &advice.charge, start);
            let is_of = |line: &&Line| {
                line.account == context.account.id
                    && line.key.as_ref().is_some_and(|key| {
                        key.subscription == *name && key.charge == advice.charge && key.accumulation == start
                    })
            };
            // Units charged, free or drawn from packages: all that was used.
            let before = charged.iter().flat_map(|(_, charged)| {
                [charged.quantity, charged.free].into_iter().chain(charged.shown.values().copied())
            });
            let now = lines.iter().filter(is_of).flat_map(|line| {
                [line.quantity, line.free].into_iter().chain(line.drawn.iter().map(|draw| draw.units))
            });
            let units = before.chain(now).try_fold(Exact::ZERO, Exact::add);
            if units.is_ok_and(|units| units >= advice.from) {
                notes.push(format!("{name}: {}", advice.text));
            }
        }
    }
    notes
}
