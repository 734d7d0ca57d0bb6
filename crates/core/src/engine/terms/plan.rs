//! Changes to another plan (R-CHG-1).

use super::purchase::{Basket, Item};
use super::{Bought, Fact, Refusal};
use crate::bill::{Line, LineKind};
use crate::calendar::{Instant, Span};
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
        let (catalogue, before) = self.sold(subscription, &subscription.plan)?;
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
        self.add_ons_fit(catalogue, subscription, plan)?;
        if let Some((_, end)) = at_end {
            next.push(NextPlan { plan: plan.id.clone(), from: end });
            return planned(next);
        }
        match (&subscription.term, subscription.end) {
            (Some(term), _) => self.change_term(catalogue, subscription, term, (before, plan)),
            (None, _) => {
                // Where days are charged, the day of the change belongs to the new plan; else the
                // moment divides.
                let by_day = [before, plan].iter().any(|plan| plan.charges.iter().any(is_by_day));
                let day = catalogue.zone.midnight(catalogue.zone.date(self.at));
                let from = if by_day { day.max(subscription.start) } else { self.at };
                Ok(vec![self.changed(name, plan, from, None)])
            }
        }
    }

    /// What ends with a subscription must fit its new plan too.
    fn add_ons_fit(
        &self,
        catalogue: &Catalogue,
        subscription: &Subscription,
        plan: &Plan,
    ) -> Result<(), Refusal> {
        let stuck = self.followers(subscription).into_iter().filter(|one| !adds_to(catalogue, one, plan));
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
        (before, plan): (&Plan, &Plan),
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
            let credit = Amount::quantise(period.paid.exact().mul(part)?)?;
            self.credit_rest(
                &mut basket,
                (catalogue, before, subscription),
                period,
                (from, rest, all),
                credit,
            )?;
            let months = period.months.mul(part)?;
            let span = Span { start: from, end: period.span.end };
            let quantity = subscription.units_at(self.at);
            let bought = Bought { plan: &plan.id, quantity, months: Some(months), span, term_only: true };
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

    /// The line of what comes back of a period when the plan changes.
    fn credit_rest(
        &self,
        basket: &mut Basket,
        (catalogue, plan, subscription): (&Catalogue, &Plan, &Subscription),
        period: &PaidPeriod,
        (from, rest, all): (Instant, i64, i64),
        credit: Amount,
    ) -> Result<(), EngineRefusal> {
        let charge = plan.charges.iter().find(|charge| charge.measure == Measure::Term);
        let Some(charge) = charge.filter(|_| !credit.is_zero()) else { return Ok(()) };
        let span = Span { start: from, end: period.span.end };
        let bought = Bought { plan: &plan.id, quantity: 0, months: None, span, term_only: true };
        let item = Item { subscription, catalogue, plan, charge, bought: &bought };
        let whole = self.line(&item, LineKind::Refund, period.span, self.line_id(basket));
        let name = &subscription.name;
        let charged = self.view.charged(&self.account.id, name, &charge.id, period.span.start);
        let currency = self.account.currency;
        let paid = period.paid.decimal(currency);
        basket.deferred = basket.deferred.sub(credit)?;
        basket.lines.push(Line {
            description: format!("Credit: {}, {}", charge.title, explain::show_period(&catalogue.zone, span)),
            period: span,
            cycle: span,
            list: credit.negated(),
            amount: credit.negated(),
            rules: vec!["R-CHG-1".to_owned()],
            corrects: charged.into_iter().next().map(|(_, charged)| charged.line),
            formula: format!("−{rest}/{all} × {paid}"),
            explanation: format!(
                "The plan changes; {} of the {} that {paid} was paid for come back.",
                quantity::count(rest, "day"),
                all,
            ),
            ..whole
        });
        Ok(())
    }

    /// The change that was planned for now, if there is one.
    pub(super) fn change_on_time(&self, subscription: &Subscription, term: &Term) -> Option<Vec<EngineFact>> {
        let next = term.next_plans.first().filter(|next| next.from <= self.at)?;
        let (account, name) = (self.account.id.clone(), subscription.name.clone());
        let (plan, from) = (next.plan.clone(), next.from);
        Some(vec![Fact::PlanChanged { account, subscription: name, plan, from, periods: None }.into()])
    }
}

/// Whether a subscription that ends with another still may when that has a plan.
pub(super) fn adds_to(catalogue: &Catalogue, add_on: &Subscription, plan: &Plan) -> bool {
    let known = catalogue.plan(&add_on.plan).map(|(_, add_on)| &add_on.terms.requires);
    known.is_none_or(|requires| requires.contains(&plan.id))
}

fn is_by_day(charge: &Charge) -> bool {
    matches!(&charge.measure, Measure::Held(Held { by: HeldBy::Day { .. }, .. }))
}
