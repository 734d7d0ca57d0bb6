//! Changes to another plan (R-CHG-1).

use super::purchase::Basket;
use super::still::Still;
use super::{Bought, Fact, Refusal};
use crate::bill::Line;
use crate::calendar::{Instant, Span, Zone};
use crate::catalog::{Catalogue, Charge, Held, HeldBy, Measure, Plan, PlanChange};
use crate::engine::{Desk, Fact as EngineFact, OrderRefusal, Refusal as EngineRefusal, orders};
use crate::explain;
use crate::money::{Amount, Exact};
use crate::quantity;
use crate::subscription::Subscription;
use crate::term::{NextPlan, PaidPeriod, Term, days_until};

impl Desk<'_> {
    /// Changes to another plan of the product, where the price list allows it.
    pub(in crate::engine) fn change_plan(
        &self,
        name: &str,
        wished: &str,
    ) -> Result<Vec<EngineFact>, EngineRefusal> {
        let subscription = self.running(name)?;
        let (list, plan_id) = self.catalogues.find_plan(wished, self.at)?;
        self.no_trial(subscription)?;
        let catalogue = self.list_of(subscription)?;
        let not_supported = || OrderRefusal::PlanChange(name.to_owned());
        let how = catalogue.policy.terms.plan_change.ok_or_else(not_supported)?;
        let found = list
            .plan(&plan_id)
            .filter(|(product, _)| list.id == subscription.catalogue && product.id == subscription.product);
        let Some((_, plan)) = found else {
            return Err(Refusal::OtherProduct { plan: plan_id, product: subscription.product.clone() }.into());
        };
        if plan.terms.trial_days.is_some() {
            return Err(not_supported().into());
        }
        let planned = |next: Vec<NextPlan>| {
            let (account, subscription) = (self.account.id.clone(), name.to_owned());
            Ok(vec![Fact::PlanPlanned { account, subscription, next }.into()])
        };
        // At the end of what is paid for, what counts is the plan that was paid for last.
        let at_end = match (&subscription.term, subscription.end) {
            (Some(term), Some(end)) if how == PlanChange::AtTermEnd => Some((term, end)),
            _ => None,
        };
        let mut next = at_end.map_or_else(Vec::new, |(term, _)| term.next_plans.clone());
        let is_planned = at_end.is_some_and(|(_, end)| next.pop_if(|last| last.from >= end).is_some());
        let has = next.last().map_or(&subscription.plan, |last| &last.plan);
        if plan.id == *has && is_planned {
            return planned(next);
        }
        if plan.id == *has {
            return Err(Refusal::SamePlan(name.to_owned(), plan.id.clone()).into());
        }
        if !plan.modes.contains(&subscription.mode) {
            let (plan, mode, offered) = (plan.id.clone(), subscription.mode, plan.modes.clone());
            return Err(OrderRefusal::ModeNotOffered { plan, mode, offered }.into());
        }
        let had = subscription.plans().chain(next.iter().map(|next| next.plan.as_str()));
        if let Some(other) = self.catalogues.other_cycles_of_plan(&list.id, &plan.id, had) {
            return Err(Refusal::OtherCycles(other).into());
        }
        orders::check_attributes(plan, &subscription.attributes)?;
        self.required(list, plan, subscription.mode, &subscription.attributes)?;
        self.add_ons_fit(subscription, plan)?;
        if let Some((_, end)) = at_end {
            next.push(NextPlan { plan: plan.id.clone(), from: end });
            return planned(next);
        }
        match (&subscription.term, subscription.end) {
            (Some(term), _) => self.change_term(catalogue, subscription, term, plan),
            (None, _) => {
                let before = self.catalogues.charging(subscription, &subscription.plan, self.at);
                let before = before.map(|(_, plan)| plan);
                // Where days are charged, the day of the change belongs to the new plan; else the
                // moment divides.
                let by_day = before.into_iter().chain([plan]).any(|plan| plan.charges.iter().any(is_by_day));
                let day = catalogue.zone.midnight(catalogue.zone.date(self.at));
                let from = if by_day { day.max(subscription.start) } else { self.at };
                Ok(vec![self.changed(name, plan, from, None)])
            }
        }
    }

    /// What ends with a subscription must fit its new plan too, as the price list in force has it, or
    /// as it was sold.
    fn add_ons_fit(&self, subscription: &Subscription, plan: &Plan) -> Result<(), Refusal> {
        let fits = |one: &Subscription| {
            let known = self.sold(one, &one.plan).ok().or_else(|| self.catalogues.as_sold(one, self.at));
            known.is_some_and(|(_, add_on)| add_on.terms.requires.contains(&plan.id))
        };
        let stuck = self.followers(subscription).into_iter().filter(|one| !fits(one));
        let add_ons: Vec<String> = stuck.map(|one| one.name.clone()).collect();
        if add_ons.is_empty() {
            return Ok(());
        }
        Err(Refusal::AddOnsNeedPlan { name: subscription.name.clone(), add_ons })
    }

    fn changed(
        &self,
        name: &str,
        plan: &Plan,
        from: Instant,
        periods: Option<Vec<PaidPeriod>>,
    ) -> EngineFact {
        let (account, subscription) = (self.account.id.clone(), name.to_owned());
        Fact::PlanChanged { account, subscription, plan: plan.id.clone(), from, periods }.into()
    }

    /// At once, by days: what was paid for the days from that of the change on comes back, and they
    /// are charged at the new plan's price in force now.
    fn change_term(
        &self,
        catalogue: &Catalogue,
        subscription: &Subscription,
        term: &Term,
        plan: &Plan,
    ) -> Result<Vec<EngineFact>, EngineRefusal> {
        let zone = &catalogue.zone;
        let today = zone.midnight(zone.date(self.at));
        let mut basket = self.basket();
        let mut periods = Vec::new();
        for period in &term.periods {
            let from = today.max(period.span.start);
            if period.span.end <= from {
                periods.push(*period);
                continue;
            }
            let all = days_until(zone, period.span.start, period.span.end);
            let rest = days_until(zone, from, period.span.end);
            let part = Exact::ratio(rest.into(), all.max(1).into()).ok_or(EngineRefusal::OutOfRange)?;
            let still = self.still_paid(subscription, period)?;
            let credit = still.period.paid.exact().mul(part)?;
            let credit =
                self.credit_rest(&mut basket, (zone, subscription), &still, (from, rest, all), credit)?;
            let months = period.months.mul(part)?;
            let span = Span { start: from, end: period.span.end };
            let quantity = subscription.units_at(self.at);
            let bought =
                Bought { plan: &plan.id, quantity, months: Some(months), part, span, term_only: true };
            let paid = self.purchase(&mut basket, subscription, &bought)?;
            if period.span.start < from {
                let span = Span { end: from, ..period.span };
                let (paid, months) = (period.paid.sub(credit)?, period.months.sub(months)?);
                periods.push(PaidPeriod { span, months, paid, ..*period });
            }
            periods.push(PaidPeriod { span, months, ordered: self.at, paid });
        }
        let from = today.max(subscription.start);
        let mut facts = vec![self.changed(&subscription.name, plan, from, Some(periods))];
        facts.extend(self.check_out(basket)?);
        Ok(facts)
    }

    /// The line of what comes back of a period when the plan changes; answers how much that is.
    fn credit_rest(
        &self,
        basket: &mut Basket,
        (zone, subscription): (&Zone, &Subscription),
        still: &Still,
        (from, rest, all): (Instant, i64, i64),
        credit: Exact,
    ) -> Result<Amount, EngineRefusal> {
        let period = &still.period;
        if credit.is_zero() {
            return Ok(Amount::ZERO);
        }
        let span = Span { start: from, end: period.span.end };
        let whole = self.line_of_return(basket, subscription, period)?;
        let within = self.within_bill(basket, &whole, credit)?;
        let credit = within.amount;
        if credit.is_zero() {
            return Ok(credit);
        }
        let currency = self.account.currency;
        let paid = period.paid.decimal(currency);
        basket.deferred = basket.deferred.sub(credit)?;
        basket.lines.push(Line {
            description: format!("Credit: {}, {}", whole.title, explain::show_period(zone, span)),
            period: span,
            cycle: span,
            list: credit.negated(),
            amount: credit.negated(),
            rules: vec!["R-CHG-1".to_owned()],
            formula: within.formula(format!("−{rest}/{all} × {paid}"), currency),
            explanation: format!(
                "The plan changes; {} of the {} that {paid} was paid for come back.{}{}",
                quantity::count(rest, "day"),
                all,
                still.words(currency),
                within.words(currency),
            ),
            ..whole
        });
        Ok(credit)
    }

    /// The change that was planned for now, if there is one.
    pub(super) fn change_on_time(&self, subscription: &Subscription, term: &Term) -> Option<Vec<EngineFact>> {
        let next = term.next_plans.first().filter(|next| next.from <= self.at)?;
        let (account, name) = (self.account.id.clone(), subscription.name.clone());
        let (plan, from) = (next.plan.clone(), next.from);
        Some(vec![Fact::PlanChanged { account, subscription: name, plan, from, periods: None }.into()])
    }
}

/// Whether a subscription that ends with another is renewed with it: its plan is still sold as it was
/// ordered, and adds to the plan that is renewed.
pub(super) fn renewed_with(catalogue: &Catalogue, add_on: &Subscription, plan: &Plan) -> bool {
    let known = catalogue.plan(&add_on.plan).filter(|(_, sold)| sold.modes.contains(&add_on.mode));
    known.is_some_and(|(_, add_on)| add_on.terms.requires.contains(&plan.id))
}

fn is_by_day(charge: &Charge) -> bool {
    matches!(&charge.measure, Measure::Held(Held { by: HeldBy::Day { .. }, .. }))
}
