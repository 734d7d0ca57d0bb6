//! Prepaid terms: bought, renewed, given up; and what is paid at purchase.

use super::orders::Desk;
use super::{Fact, OrderRefusal, Refusal, money};
use crate::bill::{CatalogueRef, ChargeKey, Line, LineKind, PriceBasis};
use crate::calendar::{Cycle, Instant, Span, Zone};
use crate::catalog::{Catalogue, Charge, Consumption, Measure, Mode, Model, Plan, Pricing, RefundRule};
use crate::catalog::{RenewalRule, Settle};
use crate::explain;
use crate::money::{Amount, Exact, OutOfRange};
use crate::quantity;
use crate::rating::{self, Step};
use crate::settlement;
use crate::subscription::{PaidPeriod, Subscription};
use std::collections::BTreeMap;

/// What is bought at once.
pub(super) struct Bought {
    pub quantity: i64,
    /// Months of a term; `None` when it has none.
    pub months: Option<u16>,
    /// The time bought; empty when it has no term.
    pub span: Span,
}

/// One charge of a purchase, with the price list it is from.
struct Item<'a> {
    subscription: &'a Subscription,
    catalogue: &'a Catalogue,
    plan: &'a Plan,
    charge: &'a Charge,
    bought: &'a Bought,
}

/// What a purchased charge costs.
struct Cost {
    units: Exact,
    free: Exact,
    list: Amount,
    amount: Amount,
    /// The discount's name, empty when there is none.
    reason: String,
}

impl Desk<'_> {
    /// Charges what is paid at purchase, at the prices in force now (R-CHG-2). Answers what the
    /// term costs, and the fact.
    pub(super) fn purchase(
        &self,
        subscription: &Subscription,
        bought: &Bought,
    ) -> Result<(Amount, Option<Fact>), Refusal> {
        let nothing = (Amount::ZERO, None);
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
        let Some((catalogue, (_, plan))) =
            catalogue.and_then(|list| Some((list, list.plan(&subscription.plan)?)))
        else {
            return Ok(nothing);
        };
        let month = self.payer.zone.cycle(Cycle::Month, self.at);
        let renewal = bought.span.start != subscription.start;
        let mut paid = Amount::ZERO;
        let mut lines: Vec<Line> = Vec::new();
        for charge in &plan.charges {
            let of_term = charge.measure == Measure::Term;
            let now = charge.settle == Settle::AtPurchase && charge.modes.contains(&subscription.mode);
            if !now || (renewal && !of_term) {
                continue;
            }
            let item = Item { subscription, catalogue, plan, charge, bought };
            let line = self.purchase_line(&item, self.line_id(month, lines.len()))?;
            if of_term {
                paid = paid.add(line.amount)?;
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Ok(nothing);
        }
        let fact = money::charge(self.view, self.payer, month, lines, self.at)?;
        Ok((paid, Some(fact)))
    }

    /// The id of a line that is posted now, after `before` others of the same command.
    fn line_id(&self, month: Span, before: usize) -> String {
        let posted = self.view.bill(&self.payer.id, month.start).map_or(0, |bill| bill.lines);
        format!("{}-{}", money::bill_id(self.payer, month), posted + before + 1)
    }

    /// What a charge costs now: at list prices, and after the best single discount (R-MON-2).
    fn cost(&self, item: &Item<'_>) -> Result<Cost, Refusal> {
        let Item { plan, charge, bought, .. } = item;
        let months = if charge.measure == Measure::Term { bought.months.unwrap_or(1) } else { 1 };
        let units = Exact::whole(bought.quantity.into()).mul(Exact::whole(months.into()))?;
        let rate = |pricing: &Pricing| -> Result<_, OutOfRange> {
            Ok(rating::rate(&[Step { quantity: units, covered: Exact::ZERO, pricing }], true)?[0])
        };
        let list = rate(&charge.pricing)?;
        let agreed = self.account.prices.iter().rev().find(|price| {
            price.plan == plan.id && price.charge == charge.id && price.valid.contains(self.at)
        });
        let agreed = agreed.and_then(|price| charge.pricing.model.at_price(price.price));
        let at_price = |model| rate(&Pricing { model, ..charge.pricing.clone() });
        let agreed = agreed.map(at_price).transpose()?.map(|agreed| agreed.amount);
        let in_force = |valid: Span| valid.contains(self.at);
        let percent = settlement::best_percent(self.view, self.account, &plan.id, charge, in_force);
        let net = settlement::best_net(list.amount, agreed, percent)?;
        let (list_amount, amount) = (Amount::quantise(list.amount)?, Amount::quantise(net.amount)?);
        let reason = net.reason.unwrap_or_default();
        Ok(Cost { units, free: list.free, list: list_amount, amount, reason })
    }

    fn purchase_line(&self, item: &Item<'_>, id: String) -> Result<Line, Refusal> {
        let Item { plan, charge, bought, .. } = item;
        let currency = self.account.currency;
        let cost = self.cost(item)?;
        let unit_price = match &charge.pricing.model {
            Model::PerUnit(price) => Some(*price),
            _ => None,
        };
        let what = quantity::count(bought.quantity, &plan.unit);
        let (unit, per, what) = match bought.months.filter(|_| charge.measure == Measure::Term) {
            Some(months) => (
                format!("{}-month", plan.unit),
                format!("{} and month", plan.unit),
                format!("{what} for {}", quantity::count(months.into(), "month")),
            ),
            None => (plan.unit.clone(), plan.unit.clone(), what),
        };
        let list = cost.list.decimal(currency);
        let formula = match unit_price {
            Some(price) => format!("{} × {}", cost.units, explain::show_price(price, currency)),
            None => list.clone(),
        };
        let sum = if formula == list { list } else { format!("{formula} = {list}") };
        let mut line = Line {
            quantity: cost.units,
            unit,
            free: cost.free,
            unit_price,
            basis: PriceBasis { per, units: Exact::ONE, model: explain::model_name(&charge.pricing.model) },
            list: cost.list,
            discount: cost.list.sub(cost.amount)?,
            amount: cost.amount,
            rules: charge.rules.clone(),
            formula,
            explanation: format!("{what}, paid at purchase: {sum}."),
            ..self.line(item, LineKind::Purchase, bought.span, id)
        };
        if !line.discount.is_zero() {
            let words = explain::discounted(&line, &cost.reason, currency);
            line.explanation.push_str(&words);
        }
        Ok(line)
    }

    /// A line for a term, without its figures and words.
    fn line(&self, item: &Item<'_>, kind: LineKind, period: Span, id: String) -> Line {
        let Item { subscription, catalogue, plan, charge, .. } = item;
        let when = if period.is_empty() {
            String::new()
        } else {
            format!(", {}", explain::show_period(&catalogue.zone, period))
        };
        Line {
            id,
            kind,
            account: self.account.id.clone(),
            key: Some(ChargeKey {
                subscription: subscription.name.clone(),
                charge: charge.id.clone(),
                accumulation: period.start,
                start: period.start,
                group: BTreeMap::new(),
                split: quantity::own_split(subscription),
            }),
            plan: plan.id.clone(),
            title: charge.title.clone(),
            description: format!("{}{when}", charge.title),
            quantity: Exact::ZERO,
            unit: plan.unit.clone(),
            free: Exact::ZERO,
            drawn: Vec::new(),
            unit_price: None,
            basis: PriceBasis { per: plan.unit.clone(), units: Exact::ONE, model: "refund" },
            list: Amount::ZERO,
            discount: Amount::ZERO,
            amount: Amount::ZERO,
            period,
            cycle: period,
            posted: self.at,
            catalogue: Some(CatalogueRef {
                id: catalogue.id.clone(),
                version: catalogue.version.clone(),
                hash: catalogue.hash.clone(),
            }),
            rules: Vec::new(),
            corrects: None,
            formula: String::new(),
            explanation: String::new(),
        }
    }

    /// Prolongs a term at the price in force now (R-CHG-2). It begins where the present one ends.
    pub(super) fn renew(&self, name: &str, months: u16) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        let (Some(term), Some(end)) = (&subscription.term, subscription.end) else {
            return Err(OrderRefusal::NoTerm(name.to_owned()).into());
        };
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
        let plan = catalogue.and_then(|list| list.plan(&subscription.plan));
        let (Some(catalogue), Some((_, plan))) = (catalogue, plan) else {
            return Err(OrderRefusal::UnknownPlan(subscription.plan.clone()).into());
        };
        term_of(plan, Mode::Prepaid, Some(months))?;
        let new_end = match catalogue.policy.renewal {
            RenewalRule::NextMidnight => catalogue.zone.term_end(end, months.into()),
            RenewalRule::EndToEnd => {
                catalogue.zone.term_end(term.purchased, i32::from(term.months) + i32::from(months))
            }
        };
        let span = Span { start: end, end: new_end.ok_or(Refusal::OutOfRange)? };
        let bought = Bought { quantity: subscription.quantity_at(self.at), months: Some(months), span };
        let (paid, charged) = self.purchase(subscription, &bought)?;
        let period = PaidPeriod { span, months, ordered: self.at, paid };
        let (account, subscription) = (self.account.id.clone(), name.to_owned());
        let mut facts = vec![Fact::Renewed { account, subscription, period }];
        facts.extend(charged);
        Ok(facts)
    }

    /// Gives a term up: what was paid, less what is consumed, less a fee, comes back, and all that
    /// was paid for a period not yet begun (R-UNS-1, R-UNS-2).
    pub(super) fn unsubscribe(&self, name: &str) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        let Some(term) = &subscription.term else {
            return Err(OrderRefusal::NoTerm(name.to_owned()).into());
        };
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
        let plan = catalogue.and_then(|list| list.plan(&subscription.plan)).map(|(_, plan)| plan);
        let of_term = |charge: &&Charge| charge.measure == Measure::Term;
        let charge = plan.and_then(|plan| plan.charges.iter().find(of_term));
        let (Some(catalogue), Some(plan), Some(charge)) = (catalogue, plan, charge) else {
            return Err(OrderRefusal::UnknownPlan(subscription.plan.clone()).into());
        };
        let Some(rule) = &catalogue.policy.refund else {
            return Err(OrderRefusal::NoRefund(name.to_owned()).into());
        };
        let soon = |full: crate::catalog::FullRefund| {
            let open = jiff::SignedDuration::from_hours(24 * i64::from(full.within_days));
            let until = term.purchased.checked_add(open).unwrap_or(term.purchased);
            self.at <= until && self.account.full_refunds < full.times
        };
        let in_full = rule.full.is_some_and(soon);
        let month = self.payer.zone.cycle(Cycle::Month, self.at);
        let mut lines = Vec::new();
        for period in term.periods.iter().filter(|period| self.at < period.span.end) {
            let given = if in_full || self.at < period.span.start {
                Back::all(period)
            } else {
                Back::of(rule, period, &catalogue.zone, self.at)?
            };
            let back = Amount::quantise(given.amount)?;
            if back.is_zero() {
                continue;
            }
            let bought = Bought { quantity: 0, months: None, span: period.span };
            let item = Item { subscription, catalogue, plan, charge, bought: &bought };
            let id = self.line_id(month, lines.len());
            let whole = self.line(&item, LineKind::Refund, period.span, id);
            let charged =
                self.view.charged(&self.account.id, name, &charge.id, period.span.start).into_iter().next();
            lines.push(Line {
                description: format!("Refund: {}", whole.description),
                list: back.negated(),
                amount: back.negated(),
                rules: vec![given.rule.to_owned()],
                corrects: charged.map(|(_, charged)| charged.line),
                formula: given.formula(period, self.account.currency),
                explanation: given.explanation(period, in_full, self.account.currency),
                ..whole
            });
        }
        let mut facts = vec![Fact::Unsubscribed {
            account: self.account.id.clone(),
            subscription: name.to_owned(),
            at: self.at,
            in_full,
        }];
        if !lines.is_empty() {
            facts.push(money::charge(self.view, self.payer, month, lines, self.at)?);
        }
        Ok(facts)
    }
}

/// What comes back of a period.
struct Back {
    amount: Exact,
    /// The part consumed, as `344/758`, in these units; `None` when all comes back.
    consumed: Option<(i64, i64, &'static str)>,
    consumed_amount: Exact,
    fee: Exact,
    rule: &'static str,
}

impl Back {
    fn all(period: &PaidPeriod) -> Back {
        let (amount, zero) = (period.paid.exact(), Exact::ZERO);
        Back { amount, consumed: None, consumed_amount: zero, fee: zero, rule: "R-UNS-2" }
    }

    fn of(rule: &RefundRule, period: &PaidPeriod, zone: &Zone, at: Instant) -> Result<Back, OutOfRange> {
        let paid = period.paid.exact();
        let (used, all, unit, rule_id) = match rule.count {
            Consumption::Hours => {
                let hour = |at: Instant| zone.cycle(Cycle::Hour, at).start.as_second() / 3_600;
                let begun = hour(period.span.start);
                (hour(at) - begun, hour(period.span.end) - begun, "hours", "R-UNS-1")
            }
            Consumption::DaysOf30 => {
                let days = zone.date(at) - zone.date(period.span.start);
                (days.get_days().into(), 30 * i64::from(period.months), "days (30 to a month)", "R-KP-7")
            }
        };
        let part = Exact::ratio(used.into(), all.max(1).into()).ok_or(OutOfRange)?;
        let consumed_amount = paid.mul(part)?.min(paid);
        let fee = paid.mul(rule.fee_percent)?.div(Exact::whole(100))?;
        let amount = paid.sub(consumed_amount)?.sub(fee)?.max(Exact::ZERO);
        Ok(Back { amount, consumed: Some((used, all, unit)), consumed_amount, fee, rule: rule_id })
    }

    fn formula(&self, period: &PaidPeriod, currency: crate::money::Currency) -> String {
        let paid = period.paid.decimal(currency);
        match self.consumed {
            None => format!("−{paid}"),
            Some((used, all, _)) => {
                format!("−({paid} − {used}/{all} × {paid} − {})", explain::show_price(self.fee, currency))
            }
        }
    }

    fn explanation(&self, period: &PaidPeriod, in_full: bool, currency: crate::money::Currency) -> String {
        let paid = period.paid.decimal(currency);
        let shown = |value: Exact| explain::show_price(value, currency);
        match self.consumed {
            None if in_full => {
                format!("Given up soon after the order: all that was paid, {paid}, comes back.")
            }
            None => format!("This period has not begun: all that was paid for it, {paid}, comes back."),
            Some((used, all, unit)) => format!(
                "Paid {paid}; {used} of {all} {unit} are consumed, {}; the fee is {}; {} {currency} comes back.",
                shown(self.consumed_amount),
                shown(self.fee),
                shown(self.amount),
            ),
        }
    }
}

/// The term of an order: one of the plan's when prepaid, none when not.
pub(super) fn term_of(plan: &Plan, mode: Mode, months: Option<u16>) -> Result<Option<u16>, OrderRefusal> {
    match (mode, months) {
        (Mode::PayPerUse, None) => Ok(None),
        (Mode::PayPerUse, Some(_)) => Err(OrderRefusal::NoTerm(plan.id.clone())),
        (Mode::Prepaid, Some(months)) if plan.terms_months.contains(&months) => Ok(Some(months)),
        (Mode::Prepaid, months) => {
            let (plan, offered) = (plan.id.clone(), plan.terms_months.clone());
            Err(OrderRefusal::TermNotOffered { plan, months, offered })
        }
    }
}
