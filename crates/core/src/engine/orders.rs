//! Orders: subscribing, changing, ending, agreeing prices and discounts.

use super::lifecycle::watched;
use super::terms::{Admission, Bought, Wish};
use super::{Action, Catalogues, Command, Fact, OrderRefusal, Refusal, packages};
use crate::account::{AccountHead, AgreedPrice, Discount, View};
use crate::calendar::{Instant, Span};
use crate::catalog::{Charge, Mode, Model, Plan};
use crate::metering::Metering;
use crate::money::Exact;
use crate::subscription::{QuantityChange, Subscription};
use crate::term::{PaidPeriod, Term, started_months};
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that any order may carry: how its own charges are split on bills (R-ORG-2).
const LABELS: [&str; 2] = ["application", "project"];

/// Where a command is decided.
pub(crate) struct Desk<'a> {
    pub view: &'a dyn View,
    pub catalogues: &'a Catalogues,
    pub metering: &'a Metering,
    /// Whose order it is.
    pub account: &'a AccountHead,
    /// Who pays: the account itself, or its master.
    pub payer: &'a AccountHead,
    /// From when the command counts.
    pub at: Instant,
    /// When it was given.
    pub recorded_at: Instant,
}

pub(super) fn decide(desk: &Desk<'_>, command: &Command) -> Result<Vec<Fact>, Refusal> {
    let account = desk.account;
    match &command.action {
        Action::Subscribe { plan, name, quantity, mode, months, auto, attributes } => {
            let order = Order {
                plan,
                name: name.as_deref(),
                quantity: *quantity,
                mode: *mode,
                months: *months,
                auto: *auto,
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
        Action::ChangePlan { subscription, plan } => desk.change_plan(subscription, plan),
        Action::ChangeAttribute { subscription, name, .. } => {
            desk.running(subscription)?;
            Err(OrderRefusal::OptionChange(subscription.clone(), name.clone()).into())
        }
        Action::Cancel { subscription } => desk.cancel(subscription),
        Action::Unsubscribe { subscription } => desk.unsubscribe(subscription),
        Action::Renew { subscription, months } => desk.renew(subscription, *months),
        Action::AgreePrice { plan, charge, price, until } => desk.agree_price(plan, charge, *price, *until),
        Action::Grant { percent, plan, charge, until } => {
            desk.grant(*percent, plan.as_deref(), charge.as_deref(), *until)
        }
        Action::UseFeature { feature, subscription } => desk.use_feature(feature, subscription.as_deref()),
        // Decided elsewhere.
        Action::Open { .. }
        | Action::TopUp { .. }
        | Action::Due { .. }
        | Action::Terms(_)
        | Action::Packages(_)
        | Action::Holds(_)
        | Action::Licences(_)
        | Action::Lifecycle(_)
        | Action::Wallet(_)
        | Action::Budgets(_) => Ok(Vec::new()),
    }
}

struct Order<'a> {
    plan: &'a str,
    name: Option<&'a str>,
    quantity: i64,
    mode: Option<Mode>,
    months: Option<u16>,
    auto: Option<u16>,
    attributes: &'a BTreeMap<String, String>,
}

impl Desk<'_> {
    /// A subscription that runs at the moment of the command.
    pub(super) fn running(&self, name: &str) -> Result<&Subscription, OrderRefusal> {
        let subscription =
            self.view.subscription(&self.account.id, name).ok_or_else(|| self.no_subscription(name))?;
        if self.at < subscription.start {
            return Err(OrderRefusal::BeforeStart {
                subscription: name.to_owned(),
                start: subscription.start,
            });
        }
        match subscription.end.filter(|end| *end <= self.at) {
            Some(ended) => {
                let renewable = self.lapsed(subscription) && subscription.follows.is_none();
                Err(OrderRefusal::SubscriptionEnded { name: name.to_owned(), ended, renewable })
            }
            None => Ok(subscription),
        }
    }

    fn no_subscription(&self, name: &str) -> OrderRefusal {
        const MOST: usize = 5;
        let known = self.view.subscriptions_since(&self.account.id, self.at).into_iter();
        let running = known.filter(|one| one.span().contains(self.at)).map(|one| one.name.clone());
        OrderRefusal::UnknownSubscription { name: name.to_owned(), running: running.take(MOST).collect() }
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
        packages::check_order(plan, order.quantity)?;
        let mode = mode_of(plan, order)?;
        check_attributes(plan, order.attributes)?;
        let wish = Wish {
            quantity: order.quantity,
            mode,
            months: order.months,
            auto: order.auto,
            attributes: order.attributes,
        };
        let Admission { end, months, follows } = self.admit((catalogue, product, plan), &wish)?;
        let mut subscription = Subscription {
            name,
            catalogue: catalogue.id.clone(),
            product: product.id.clone(),
            plan: plan.id.clone(),
            earlier: Vec::new(),
            mode,
            start: self.at,
            end,
            term: None,
            follows,
            attributes: order.attributes.clone(),
            changes: vec![QuantityChange { at: self.at, delta: order.quantity }],
            stops: Vec::new(),
            frozen: Vec::new(),
            settled: BTreeMap::new(),
            recheck: BTreeMap::new(),
            progress: BTreeMap::new(),
            levels: BTreeMap::new(),
        };
        let span = Span { start: self.at, end: end.unwrap_or(self.at) };
        let part = Exact::ONE;
        let bought =
            Bought { plan: &plan.id, quantity: order.quantity, months, part, span, term_only: false };
        let mut basket = self.basket();
        let paid = self.purchase(&mut basket, &subscription, &bought)?;
        subscription.term = months.map(|months| {
            let period = PaidPeriod { span, months, ordered: self.at, paid };
            let first_months = started_months(&catalogue.zone, span);
            let auto = self.auto_of(catalogue, end, order.auto);
            let (purchased, periods) = (self.at, vec![period]);
            Term {
                purchased,
                months: first_months,
                first_months,
                periods,
                auto,
                next_plans: Vec::new(),
                migrated: None,
                used_before: BTreeMap::new(),
            }
        });
        let name = subscription.name.clone();
        let subscription = Box::new(subscription);
        let mut facts = vec![Fact::Subscribed { account: self.account.id.clone(), subscription }];
        facts.extend(self.check_out(basket)?);
        if plan.terms.advise_auto_renewal && order.months == Some(1) && order.auto.is_none() {
            let text = format!("{name} ends after a month; renewed by itself, it goes on");
            facts.push(self.notice(&name, "advice", text));
        }
        Ok(facts)
    }

    fn change_quantity(&self, name: &str, delta: i64) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        self.no_trial(subscription)?;
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
            Some(name) if self.serves(name) => vec![name.to_owned()],
            Some(name) => vec![self.running(name)?.name.clone()],
            None => {
                watched(self.view, &self.account.id, self.at).iter().map(|one| one.name.clone()).collect()
            }
        };
        let includes = |plan: &Plan| plan.features.iter().any(|known| known == feature);
        let has = |name: &&String| {
            self.view.subscription(&self.account.id, name).is_some_and(|subscription| {
                self.catalogues.as_sold(subscription, self.at).is_some_and(|(_, plan)| includes(plan))
            })
        };
        if names.iter().filter(has).any(|name| self.serves(name)) {
            return Ok(Vec::new());
        }
        // One that would do, and is frozen, says more than that none includes it.
        names.iter().filter(has).try_for_each(|name| self.not_frozen(name))?;
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

/// What a plan binds must be told; what it does not know must not.
pub(super) fn check_attributes(
    plan: &Plan,
    attributes: &BTreeMap<String, String>,
) -> Result<(), OrderRefusal> {
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
