//! Orders: subscribing, changing, ending, agreeing prices and discounts.

use super::{Action, Catalogues, Command, Fact, OrderRefusal, Refusal, money};
use crate::account::{AccountHead, AgreedPrice, Discount, View};
use crate::bill::{CatalogueRef, ChargeKey, Line, LineKind, PriceBasis};
use crate::calendar::{Cycle, Instant, Span};
use crate::catalog::{Catalogue, Charge, Measure, Mode, Model, Plan, RenewalRule, Settle};
use crate::explain;
use crate::money::{Amount, Exact};
use crate::quantity;
use crate::rating::{self, Step};
use crate::settlement;
use crate::subscription::{QuantityChange, Subscription, Term};
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that any order may carry: how its own charges are split on bills (R-ORG-2).
const LABELS: [&str; 2] = ["application", "project"];

/// Where an order is decided.
struct Desk<'a> {
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    account: &'a AccountHead,
    at: Instant,
}

pub(super) fn decide(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &AccountHead,
    command: &Command,
    _recorded_at: Instant,
) -> Result<Vec<Fact>, Refusal> {
    let desk = Desk { view, catalogues, account, at: command.effective_at };
    match &command.action {
        Action::Subscribe { plan, name, quantity, mode, months, attributes } => {
            let order = Order {
                plan,
                name: name.as_deref(),
                quantity: *quantity,
                mode: *mode,
                months: *months,
                attributes,
            };
            desk.subscribe(&order)
        }
        Action::ChangeQuantity { subscription, delta } => desk.change_quantity(subscription, *delta),
        Action::Stop { subscription, stopped } => {
            desk.running(subscription)?;
            let (account, subscription) = (account.id.clone(), subscription.clone());
            Ok(vec![Fact::Stopped { account, subscription, at: desk.at, stopped: *stopped }])
        }
        Action::ChangeMode { subscription, .. } => {
            desk.running(subscription)?;
            Err(OrderRefusal::ModeChange(subscription.clone()).into())
        }
        Action::ChangePlan { subscription, plan } => {
            desk.running(subscription)?;
            catalogues.find_plan(plan, desk.at)?;
            Err(OrderRefusal::PlanChange(subscription.clone()).into())
        }
        Action::ChangeAttribute { subscription, name, .. } => {
            desk.running(subscription)?;
            Err(OrderRefusal::OptionChange(subscription.clone(), name.clone()).into())
        }
        Action::Cancel { subscription } => {
            desk.running(subscription)?;
            Ok(vec![Fact::Ended {
                account: account.id.clone(),
                subscription: subscription.clone(),
                at: desk.at,
            }])
        }
        Action::Renew { subscription, months } => desk.renew(subscription, *months),
        Action::AgreePrice { plan, charge, price, until } => desk.agree_price(plan, charge, *price, *until),
        Action::Grant { percent, plan, charge, until } => {
            desk.grant(*percent, plan.as_deref(), charge.as_deref(), *until)
        }
        Action::UseFeature { feature, subscription } => desk.use_feature(feature, subscription.as_deref()),
        Action::Open { .. } | Action::Settle { .. } | Action::TopUp { .. } => Ok(Vec::new()),
    }
}

struct Order<'a> {
    plan: &'a str,
    name: Option<&'a str>,
    quantity: i64,
    mode: Option<Mode>,
    months: Option<u16>,
    attributes: &'a BTreeMap<String, String>,
}

impl Desk<'_> {
    /// A subscription that runs at the moment of the command.
    fn running(&self, name: &str) -> Result<&Subscription, OrderRefusal> {
        let subscription = self
            .view
            .subscription(&self.account.id, name)
            .ok_or_else(|| OrderRefusal::UnknownSubscription(name.to_owned()))?;
        if self.at < subscription.start {
            return Err(OrderRefusal::BeforeStart {
                subscription: name.to_owned(),
                start: subscription.start,
            });
        }
        match subscription.end.filter(|end| *end <= self.at) {
            Some(ended) => Err(OrderRefusal::SubscriptionEnded { name: name.to_owned(), ended }),
            None => Ok(subscription),
        }
    }

    fn subscribe(&self, order: &Order<'_>) -> Result<Vec<Fact>, Refusal> {
        let (catalogue, plan_id) = self.catalogues.find_plan(order.plan, self.at)?;
        let Some((product, plan)) = catalogue.plan(&plan_id) else {
            return Err(OrderRefusal::UnknownPlan(order.plan.to_owned()).into());
        };
        if catalogue.currency != self.account.currency {
            let (account, catalogue) = (self.account.currency, catalogue.currency);
            return Err(OrderRefusal::OtherCurrency { account, catalogue }.into());
        }
        let name = order.name.unwrap_or(&plan.id).to_owned();
        if self.view.subscription(&self.account.id, &name).is_some() {
            return Err(OrderRefusal::SubscriptionExists(name).into());
        }
        if order.quantity <= 0 {
            return Err(OrderRefusal::NotPositive(order.quantity).into());
        }
        let mode = mode_of(plan, order)?;
        check_attributes(plan, order.attributes)?;
        let months = term_of(plan, mode, order.months)?;
        let end = months.and_then(|months| catalogue.zone.term_end(self.at, months.into()));
        let subscription = Subscription {
            name,
            catalogue: catalogue.id.clone(),
            product: product.id.clone(),
            plan: plan.id.clone(),
            mode,
            start: self.at,
            end,
            term: months.map(|months| Term { purchased: self.at, months }),
            attributes: order.attributes.clone(),
            changes: vec![QuantityChange { at: self.at, delta: order.quantity }],
            stops: Vec::new(),
            settled: BTreeMap::new(),
            recheck: BTreeMap::new(),
            progress: BTreeMap::new(),
        };
        let period = Span { start: self.at, end: end.unwrap_or(self.at) };
        let lines = self.purchase(&subscription, order.quantity, months, period)?;
        let mut facts =
            vec![Fact::Subscribed { account: self.account.id.clone(), subscription: Box::new(subscription) }];
        facts.extend(lines);
        Ok(facts)
    }

    /// Charges what is paid at purchase, at the prices in force now (R-CHG-2).
    fn purchase(
        &self,
        subscription: &Subscription,
        quantity: i64,
        months: Option<u16>,
        period: Span,
    ) -> Result<Option<Fact>, Refusal> {
        let Some(catalogue) = self.catalogues.in_force(&subscription.catalogue, self.at) else {
            return Ok(None);
        };
        let Some((_, plan)) = catalogue.plan(&subscription.plan) else { return Ok(None) };
        let month = self.account.zone.cycle(Cycle::Month, self.at);
        let posted = self.view.bill(&self.account.id, month.start).map_or(0, |bill| bill.lines);
        let bill = money::bill_id(self.account, month);
        let renewal = period.start != subscription.start;
        let mut lines: Vec<Line> = Vec::new();
        for charge in &plan.charges {
            let once = charge.measure != Measure::Term;
            if charge.settle != Settle::AtPurchase
                || !charge.modes.contains(&subscription.mode)
                || (once && renewal)
            {
                continue;
            }
            let number = posted + lines.len() + 1;
            let id = format!("{bill}-{number}");
            let months = if once { None } else { months };
            lines.push(self.purchase_line(
                subscription,
                catalogue,
                plan,
                charge,
                quantity,
                months,
                period,
                id,
            )?);
        }
        if lines.is_empty() {
            return Ok(None);
        }
        money::charge(self.view, self.account, month, lines, self.at).map(Some)
    }

    #[expect(clippy::too_many_arguments, reason = "a line says all of this")]
    fn purchase_line(
        &self,
        subscription: &Subscription,
        catalogue: &Catalogue,
        plan: &Plan,
        charge: &Charge,
        quantity: i64,
        months: Option<u16>,
        period: Span,
        id: String,
    ) -> Result<Line, Refusal> {
        let currency = self.account.currency;
        let units = Exact::whole(quantity.into()).mul(Exact::whole(months.unwrap_or(1).into()))?;
        let agreed = self.account.prices.iter().rev().find(|price| {
            price.plan == plan.id && price.charge == charge.id && price.valid.contains(self.at)
        });
        let list = rating::rate(&[Step { quantity: units, pricing: &charge.pricing }], true)?[0];
        let mut net = list.amount;
        let mut reason = String::new();
        if let Some(price) = agreed {
            net = units.mul(price.price)?;
            reason = "negotiated price".to_owned();
        }
        let percent =
            settlement::best_percent(self.account, &plan.id, &charge.id, |valid| valid.contains(self.at));
        if let (Some(percent), true) = (percent, charge.discountable) {
            let hundred = Exact::whole(100);
            let reduced = list.amount.mul(hundred.sub(percent)?)?.div(hundred)?;
            if reduced < net || reason.is_empty() {
                net = reduced;
                reason = format!("{percent} % commercial discount");
            }
        }
        let (list_amount, amount) = (Amount::quantise(list.amount)?, Amount::quantise(net)?);
        let discount = list_amount.sub(amount)?;
        let unit_price = match &charge.pricing.model {
            Model::PerUnit(price) => Some(*price),
            _ => None,
        };
        let bought = quantity::count(quantity, &plan.unit);
        let (unit, per, what) = match months {
            Some(months) => (
                format!("{}-month", plan.unit),
                format!("{} and month", plan.unit),
                format!("{bought} for {}", quantity::count(months.into(), "month")),
            ),
            None => (plan.unit.clone(), plan.unit.clone(), bought),
        };
        let formula = match unit_price {
            Some(price) => format!("{units} × {}", explain::show_price(price, currency)),
            None => list_amount.decimal(currency),
        };
        let list_shown = list_amount.decimal(currency);
        let mut explanation = if formula == list_shown {
            format!("{what}, paid at purchase: {list_shown}.")
        } else {
            format!("{what}, paid at purchase: {formula} = {list_shown}.")
        };
        if !discount.is_zero() {
            explanation.push_str(&format!(
                " Less {} ({reason}): {} {currency}.",
                discount.decimal(currency),
                amount.decimal(currency)
            ));
        }
        let when = if period.is_empty() {
            String::new()
        } else {
            format!(", {}", explain::show_period(&catalogue.zone, period))
        };
        Ok(Line {
            id,
            kind: LineKind::Purchase,
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
            quantity: units,
            unit,
            free: list.free,
            unit_price,
            basis: PriceBasis { per, units: Exact::ONE, model: explain::model_name(&charge.pricing.model) },
            list: list_amount,
            discount,
            amount,
            period,
            cycle: period,
            posted: self.at,
            catalogue: Some(CatalogueRef {
                id: catalogue.id.clone(),
                version: catalogue.version.clone(),
                hash: catalogue.hash.clone(),
            }),
            rules: charge.rules.clone(),
            corrects: None,
            formula,
            explanation,
        })
    }

    fn change_quantity(&self, name: &str, delta: i64) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        if subscription.term.is_some() {
            return Err(OrderRefusal::QuantityFixed(name.to_owned()).into());
        }
        let change = QuantityChange { at: self.at, delta };
        if let Some(at) = subscription.would_fall_below_zero(change) {
            let units = subscription.quantity_at(at);
            return Err(OrderRefusal::BelowZero { subscription: name.to_owned(), units }.into());
        }
        let (account, subscription) = (self.account.id.clone(), name.to_owned());
        Ok(vec![Fact::QuantityChanged { account, subscription, change }])
    }

    fn renew(&self, name: &str, months: u16) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        let (Some(term), Some(end)) = (subscription.term, subscription.end) else {
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
        let new_end = new_end.ok_or(Refusal::OutOfRange)?;
        let period = Span { start: end, end: new_end };
        let charged = self.purchase(subscription, subscription.quantity_at(self.at), Some(months), period)?;
        let (account, subscription) = (self.account.id.clone(), name.to_owned());
        let mut facts = vec![Fact::Renewed { account, subscription, months, end: new_end }];
        facts.extend(charged);
        Ok(facts)
    }

    /// The time from the command's moment to its end, if it has one.
    fn lasting(&self, until: Option<Instant>) -> Result<Span, OrderRefusal> {
        let valid = Span { start: self.at, end: until.unwrap_or(Instant::MAX) };
        if valid.is_empty() { Err(OrderRefusal::EndsBeforeStart) } else { Ok(valid) }
    }

    /// A plan by its name, and its charge.
    fn charge(&self, plan: &str, charge: &str) -> Result<(&Plan, &Charge), OrderRefusal> {
        let (catalogue, plan_id) = self.catalogues.find_plan(plan, self.at)?;
        let (_, plan) = catalogue.plan(&plan_id).ok_or_else(|| OrderRefusal::UnknownPlan(plan.to_owned()))?;
        let found = plan.charge(charge).ok_or_else(|| OrderRefusal::UnknownCharge {
            plan: plan.id.clone(),
            charge: charge.to_owned(),
            known: plan.charges.iter().map(|charge| charge.id.clone()).collect(),
        })?;
        Ok((plan, found))
    }

    fn agree_price(
        &self,
        plan: &str,
        charge: &str,
        price: Exact,
        until: Option<Instant>,
    ) -> Result<Vec<Fact>, Refusal> {
        let (plan, charge) = self.charge(plan, charge)?;
        if matches!(charge.pricing.model, Model::Deck(_)) {
            return Err(OrderRefusal::PriceNotNegotiable(charge.id.clone()).into());
        }
        if price.is_negative() {
            return Err(Refusal::BadAmount(format!("a price must not be below zero, not {price}")));
        }
        let valid = self.lasting(until)?;
        let price = AgreedPrice { plan: plan.id.clone(), charge: charge.id.clone(), price, valid };
        Ok(vec![Fact::PriceAgreed { account: self.account.id.clone(), price }])
    }

    fn grant(
        &self,
        percent: Exact,
        plan: Option<&str>,
        charge: Option<&str>,
        until: Option<Instant>,
    ) -> Result<Vec<Fact>, Refusal> {
        if percent <= Exact::ZERO || percent > Exact::whole(100) {
            return Err(OrderRefusal::BadPercent(percent).into());
        }
        let valid = self.lasting(until)?;
        let plan = match (plan, charge) {
            (Some(plan), Some(charge)) => Some(self.charge(plan, charge)?.0.id.clone()),
            (Some(plan), None) => Some(self.catalogues.find_plan(plan, self.at)?.1),
            (None, _) => None,
        };
        let discount = Discount { percent, plan, charge: charge.map(str::to_owned), valid };
        Ok(vec![Fact::DiscountGranted { account: self.account.id.clone(), discount }])
    }

    /// What an edition includes decides what may be used (R-CEC-9).
    fn use_feature(&self, feature: &str, only: Option<&str>) -> Result<Vec<Fact>, Refusal> {
        let names = match only {
            Some(name) => vec![self.running(name)?.name.clone()],
            None => self.view.subscriptions(&self.account.id),
        };
        let includes = |plan: &Plan| plan.features.iter().any(|known| known == feature);
        let included = names.iter().any(|name| {
            let running = self.running(name).ok().filter(|one| one.quantity_at(self.at) > 0);
            running.is_some_and(|subscription| {
                let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
                let plan = catalogue.and_then(|list| list.plan(&subscription.plan));
                plan.is_some_and(|(_, plan)| includes(plan))
            })
        });
        if included {
            return Ok(Vec::new());
        }
        let sold: BTreeSet<String> = self
            .catalogues
            .iter()
            .flat_map(|list| list.plans())
            .filter(|plan| includes(plan))
            .map(|plan| plan.id.clone())
            .collect();
        let (feature, included_in) = (feature.to_owned(), sold.into_iter().collect());
        Err(OrderRefusal::FeatureNotIncluded { feature, included_in }.into())
    }
}

/// The mode of an order: what it says, else the plan's only one, else pay-per-use.
fn mode_of(plan: &Plan, order: &Order<'_>) -> Result<Mode, OrderRefusal> {
    let wished = match (order.mode, order.months, plan.modes.as_slice()) {
        (Some(mode), ..) => mode,
        (None, Some(_), _) => Mode::Prepaid,
        (None, None, [only]) => *only,
        (None, None, _) => Mode::PayPerUse,
    };
    if plan.modes.contains(&wished) {
        return Ok(wished);
    }
    Err(OrderRefusal::ModeNotOffered { plan: plan.id.clone(), mode: wished, offered: plan.modes.clone() })
}

/// The term of an order: one of the plan's when prepaid, none when not.
fn term_of(plan: &Plan, mode: Mode, months: Option<u16>) -> Result<Option<u16>, OrderRefusal> {
    match (mode, months) {
        (Mode::PayPerUse, None) => Ok(None),
        (Mode::PayPerUse, Some(_)) => Err(OrderRefusal::NoTerm(plan.id.clone())),
        (Mode::Prepaid, Some(months)) if plan.terms_months.contains(&months) => Ok(Some(months)),
        (Mode::Prepaid, months) => Err(OrderRefusal::TermNotOffered {
            plan: plan.id.clone(),
            months,
            offered: plan.terms_months.clone(),
        }),
    }
}

/// What a plan binds must be told; what it does not know must not.
fn check_attributes(plan: &Plan, attributes: &BTreeMap<String, String>) -> Result<(), OrderRefusal> {
    if let Some(missing) = plan.binds.iter().chain(&plan.options).find(|name| !attributes.contains_key(*name))
    {
        return Err(OrderRefusal::MissingAttribute { plan: plan.id.clone(), attribute: missing.clone() });
    }
    let known: Vec<&str> = plan.binds.iter().chain(&plan.options).map(String::as_str).chain(LABELS).collect();
    match attributes.keys().find(|name| !name.starts_with("tag:") && !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(OrderRefusal::UnknownAttribute {
            plan: plan.id.clone(),
            attribute: unknown.clone(),
            known: known.into_iter().map(str::to_owned).chain(["tag:…".to_owned()]).collect(),
        }),
    }
}
