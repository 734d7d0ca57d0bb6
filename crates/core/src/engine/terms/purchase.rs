//! What is paid at purchase: terms, and what is charged once.

use crate::bill::{CatalogueRef, ChargeKey, Line, LineKind, PriceBasis};
use crate::calendar::{Cycle, Span};
use crate::catalog::{Catalogue, Charge, Measure, Model, Plan, Pricing, Settle};
use crate::engine::{Desk, Fact, OrderRefusal, Refusal, money};
use crate::explain;
use crate::money::{Amount, Exact, OutOfRange};
use crate::quantity;
use crate::rating::{self, Increment, Step};
use crate::settlement;
use crate::subscription::Subscription;
use crate::term::PaidPeriod;
use std::collections::BTreeMap;

/// What is bought at once.
pub(in crate::engine) struct Bought<'a> {
    /// The plan: the subscription's, or the one that it changes to.
    pub plan: &'a str,
    pub quantity: i64,
    /// Months of a term, also parts of one; `None` when it has none.
    pub months: Option<Exact>,
    /// The part of a whole period that is bought, above zero: less than one after a change of plan.
    pub part: Exact,
    /// The time bought; empty when it has no term.
    pub span: Span,
    /// Whether the term alone is bought, without fees of an order: a renewal, a change.
    pub term_only: bool,
}

/// Lines of one command, and what of them is for terms.
pub(in crate::engine) struct Basket {
    pub month: Span,
    pub lines: Vec<Line>,
    /// Paid for time to come, less what of it comes back.
    pub deferred: Amount,
}

/// One charge of a purchase, with the price list it is from.
pub(super) struct Item<'a> {
    pub subscription: &'a Subscription,
    pub catalogue: &'a Catalogue,
    pub plan: &'a Plan,
    pub charge: &'a Charge,
    pub bought: &'a Bought<'a>,
}

/// What a line for a term is of.
struct Of<'a> {
    subscription: &'a Subscription,
    catalogue: &'a Catalogue,
    plan: &'a Plan,
    /// The charge, and its title.
    charge: &'a str,
    title: &'a str,
}

impl<'a> Item<'a> {
    /// The part of its price that is paid; what is priced by months says with them how many they are.
    fn part(&self) -> Exact {
        if self.charge.measure == Measure::Term { Exact::ONE } else { self.bought.part }
    }

    fn of(&self) -> Of<'a> {
        let Item { subscription, catalogue, plan, charge, .. } = *self;
        Of { subscription, catalogue, plan, charge: &charge.id, title: &charge.title }
    }
}

/// What a purchased charge costs.
struct Cost {
    /// What it comes to at list prices: units, free ones, minimum and maximum.
    rated: Increment,
    list: Amount,
    amount: Amount,
    /// The discount's name, empty when there is none.
    reason: String,
}

impl Desk<'_> {
    /// Nothing bought yet.
    pub(in crate::engine) fn basket(&self) -> Basket {
        let month = self.payer.zone.cycle(Cycle::Month, self.at);
        Basket { month, lines: Vec::new(), deferred: Amount::ZERO }
    }

    /// Adds what is paid at purchase, at the prices in force now (R-CHG-2). Answers what the term
    /// costs.
    pub(in crate::engine) fn purchase(
        &self,
        basket: &mut Basket,
        subscription: &Subscription,
        bought: &Bought<'_>,
    ) -> Result<Amount, Refusal> {
        let mut paid = Amount::ZERO;
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
        let Some((catalogue, (_, plan))) = catalogue.and_then(|list| Some((list, list.plan(bought.plan)?)))
        else {
            return Ok(paid);
        };
        for charge in &plan.charges {
            let of_term = bought.months.is_some() && plan.prices_term(charge);
            let now = charge.settle == Settle::AtPurchase && charge.modes.contains(&subscription.mode);
            if !now || (bought.term_only && !of_term) {
                continue;
            }
            let item = Item { subscription, catalogue, plan, charge, bought };
            let line = self.purchase_line(&item, self.line_id(basket))?;
            if of_term {
                paid = paid.add(line.amount)?;
            }
            basket.lines.push(line);
        }
        basket.deferred = basket.deferred.add(paid)?;
        Ok(paid)
    }

    /// Posts what is in the basket.
    pub(in crate::engine) fn check_out(&self, basket: Basket) -> Result<Option<Fact>, Refusal> {
        let Basket { month, lines, deferred } = basket;
        if lines.is_empty() {
            return Ok(None);
        }
        money::charge_terms(self.view, self.payer, month, lines, deferred, self.at).map(Some)
    }

    /// The id of a line that is posted now, after those in the basket.
    pub(super) fn line_id(&self, basket: &Basket) -> String {
        let posted = self.view.bill(&self.payer.id, basket.month.start).map_or(0, |bill| bill.lines);
        format!("{}-{}", money::bill_id(self.payer, basket.month), posted + basket.lines.len() + 1)
    }

    /// What a charge costs now: at list prices, and after the best single discount (R-MON-2).
    fn cost(&self, item: &Item<'_>) -> Result<Cost, Refusal> {
        let Item { plan, charge, bought, .. } = item;
        let by_months = charge.measure == Measure::Term;
        let months = bought.months.filter(|_| by_months).unwrap_or(Exact::ONE);
        let units = Exact::whole(bought.quantity.into()).mul(months)?;
        let part = item.part();
        let rate = |pricing: &Pricing| -> Result<_, OutOfRange> {
            let whole = rating::rate(&[Step { quantity: units, covered: Exact::ZERO, pricing }], true)?[0];
            Ok(Increment { amount: whole.amount.mul(part)?, ..whole })
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
        Ok(Cost { rated: list, list: list_amount, amount, reason })
    }

    fn purchase_line(&self, item: &Item<'_>, id: String) -> Result<Line, Refusal> {
        let Item { plan, charge, bought, .. } = item;
        let currency = self.account.currency;
        let (cost, part) = (self.cost(item)?, item.part());
        let unit_price = match &charge.pricing.model {
            Model::PerUnit(price) => Some(*price),
            _ => None,
        };
        let what = quantity::count(bought.quantity, &plan.unit);
        let (unit, per, what) = match bought.months.filter(|_| charge.measure == Measure::Term) {
            Some(months) => (
                format!("{}-month", plan.unit),
                format!("{} and month", plan.unit),
                format!("{what} for {}", quantity::count_of(months, "month")),
            ),
            None => (plan.unit.clone(), plan.unit.clone(), what),
        };
        let list = cost.list.decimal(currency);
        let formula = match unit_price {
            Some(price) => {
                let units = format!("{} × {}", cost.rated.charged, explain::show_price(price, currency));
                explain::bounded(units, cost.rated.adjusted, &charge.pricing, currency)
            }
            None if part == Exact::ONE => list.clone(),
            None => explain::show_price(cost.rated.amount.div(part)?, currency),
        };
        let formula = match unit_price {
            _ if part == Exact::ONE => formula,
            Some(_) => format!("{part} × ({formula})"),
            None => format!("{part} × {formula}"),
        };
        let sum = if formula == list { list } else { format!("{formula} = {list}") };
        let free = match cost.rated.free {
            free if free.is_zero() => String::new(),
            free => format!(", {free} free"),
        };
        let mut line = Line {
            quantity: cost.rated.charged,
            unit,
            free: cost.rated.free,
            unit_price,
            basis: PriceBasis {
                per,
                units: Exact::ONE.div(part)?,
                model: explain::model_name(&charge.pricing.model).into(),
            },
            list: cost.list,
            discount: cost.list.sub(cost.amount)?,
            amount: cost.amount,
            rules: charge.rules.clone(),
            formula,
            explanation: format!("{what}, paid at purchase{free}: {sum}."),
            ..self.line(&item.of(), LineKind::Purchase, bought.span, id)
        };
        if !line.discount.is_zero() {
            let words = explain::discounted(&line, &cost.reason, currency);
            line.explanation.push_str(&words);
        }
        Ok(line)
    }

    /// The line of what comes back of a period, without its figures and words: by the price list that
    /// it was sold by, whatever the one in force has left of that (R-CHG-2).
    pub(super) fn line_of_return(
        &self,
        basket: &Basket,
        subscription: &Subscription,
        period: &PaidPeriod,
    ) -> Result<Line, Refusal> {
        let Some((catalogue, plan)) = self.catalogues.paid_by(subscription, period) else {
            return Err(OrderRefusal::UnknownPlan(subscription.plan.clone()).into());
        };
        // What another system sold may be of a plan that has no price for a term (R-OPEN-1).
        let charge = plan.charges.iter().find(|charge| plan.prices_term(charge));
        let (charge, title) = charge.map_or(("term", &plan.title), |charge| (&charge.id, &charge.title));
        let of = Of { subscription, catalogue, plan, charge, title };
        let name = &subscription.name;
        let charged = self.view.charged(&self.account.id, name, charge, period.span.start);
        Ok(Line {
            corrects: charged.into_iter().next().map(|(_, charged)| charged.line),
            ..self.line(&of, LineKind::Refund, period.span, self.line_id(basket))
        })
    }

    /// A line for a term, without its figures and words.
    fn line(&self, of: &Of<'_>, kind: LineKind, period: Span, id: String) -> Line {
        let Of { subscription, catalogue, plan, charge, title } = *of;
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
                charge: charge.to_owned(),
                accumulation: period.start,
                start: period.start,
                group: BTreeMap::new(),
                split: quantity::own_split(subscription),
            }),
            plan: plan.id.clone(),
            title: title.to_owned(),
            description: format!("{title}{when}"),
            quantity: Exact::ZERO,
            unit: plan.unit.clone(),
            free: Exact::ZERO,
            drawn: Vec::new(),
            unit_price: None,
            basis: PriceBasis { per: plan.unit.clone(), units: Exact::ONE, model: "refund".into() },
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
}
