//! Renewals: on order, after the end, and by themselves.

use super::plan::renewed_with;
use super::{Bought, Fact, Refusal};
use crate::calendar::{Instant, Span};
use crate::catalog::{Catalogue, Plan, RenewalRule};
use crate::engine::credit;
use crate::engine::due::just_before;
use crate::engine::{Desk, Fact as EngineFact, OrderRefusal, Refusal as EngineRefusal};
use crate::money::{Amount, Exact};
use crate::notice::Notice;
use crate::subscription::Subscription;
use crate::term::{AutoRenewal, PaidPeriod, Term};
use jiff::{SignedDuration, civil::Time};

impl Desk<'_> {
    /// A subscription whose term may be renewed: it runs, or it is over and not released yet.
    ///
    /// A price list without arrears never freezes nor releases anything: there a term may be renewed
    /// at any time.
    fn renewable(&self, name: &str) -> Result<&Subscription, EngineRefusal> {
        match self.running(name) {
            Err(OrderRefusal::SubscriptionEnded { .. }) => {}
            running => return Ok(running?),
        }
        let subscription = self.view.subscription(&self.account.id, name);
        match subscription.filter(|one| is_over(one)) {
            Some(subscription) => {
                self.not_released(name)?;
                Ok(subscription)
            }
            None => Ok(self.running(name)?),
        }
    }

    /// Whether a term is over that can still be renewed.
    pub(in crate::engine) fn lapsed(&self, subscription: &Subscription) -> bool {
        is_over(subscription) && self.not_released(&subscription.name).is_ok()
    }

    /// Prolongs a term, and what ends with it, at the prices in force now (R-CHG-2). It begins where
    /// the present one ends, also after that: days of grace and retention are lost (R-REN-1).
    pub(in crate::engine) fn renew(&self, name: &str, months: u16) -> Result<Vec<EngineFact>, EngineRefusal> {
        let subscription = self.renewable(name)?;
        self.no_trial(subscription)?;
        self.no_add_on(subscription)?;
        let (Some(term), Some(end)) = (&subscription.term, subscription.end) else {
            return Err(OrderRefusal::NoTerm(name.to_owned()).into());
        };
        let (catalogue, plan) = self.sold(subscription, next_plan(subscription, term))?;
        if !renewal_months(catalogue, plan).contains(&months) {
            return Err(not_offered(catalogue, plan, months).into());
        }
        self.required(catalogue, plan, subscription.mode, &subscription.attributes)?;
        let new_end = match catalogue.policy.renewal {
            RenewalRule::NextMidnight => catalogue.zone.term_end(end, months.into()),
            RenewalRule::EndToEnd => term.prolonged(&catalogue.zone, months),
        };
        let span = Span { start: end, end: new_end.ok_or(EngineRefusal::OutOfRange)? };
        let mut basket = self.basket();
        let mut facts = Vec::new();
        let account = || self.account.id.clone();
        // What is not sold any more, or does not add to the plan that it changes to, ends.
        let followers = self.followers(subscription).into_iter();
        let (followers, ending): (Vec<_>, Vec<_>) =
            followers.partition(|one| renewed_with(catalogue, one, plan));
        for one in std::iter::once(subscription).chain(followers) {
            let subscription = one.name.clone();
            let Some(term) = &one.term else {
                let (from, until) = (span.start, span.end);
                facts.push(Fact::Prolonged { account: account(), subscription, from, until }.into());
                continue;
            };
            let bought = Bought {
                plan: next_plan(one, term),
                quantity: one.units_at(just_before(end)),
                months: Some(Exact::whole(months.into())),
                part: Exact::ONE,
                span,
                term_only: true,
            };
            let paid = self.purchase(&mut basket, one, &bought)?;
            let months = Exact::whole(months.into());
            let period = PaidPeriod { span, months, ordered: self.at, paid };
            facts.push(EngineFact::Renewed { account: account(), subscription, period });
        }
        if let Some(auto) = term.auto {
            let auto = self.with_next(catalogue, span.end, AutoRenewal { tried: 0, ..auto });
            facts.push(self.auto_fact(name, Some(auto)));
        }
        facts.extend(self.check_out(basket)?);
        for one in ending {
            let last = crate::calendar::show_local(&catalogue.zone, end);
            let text = format!("{} is not renewed with {name}, and ends on {last}", one.name);
            facts.push(self.notice(&one.name, "not-renewed", text));
        }
        Ok(facts)
    }

    /// Refuses to renew an add-on by itself: it ends and is renewed with its package, or with a trial
    /// only ends.
    fn no_add_on(&self, subscription: &Subscription) -> Result<(), EngineRefusal> {
        let Some(package) = &subscription.follows else { return Ok(()) };
        if let Some(package) = self.view.subscription(&self.account.id, package) {
            self.no_trial(package)?;
        }
        let (name, package) = (subscription.name.clone(), package.clone());
        Err(Refusal::RenewedWithPackage { name, package }.into())
    }

    /// Whether a renewal of what a subscription ends with would renew it too, as far as can be said now.
    pub(super) fn goes_on_with(&self, subscription: &Subscription, package: &str) -> bool {
        let package = self.view.subscription(&self.account.id, package);
        package.filter(|one| self.no_trial(one).is_ok() && one.end == subscription.end).is_some_and(|one| {
            let next = one.term.as_ref().map_or(one.plan.as_str(), |term| next_plan(one, term));
            // Its plan may be sold again by then.
            let sold = self.sold(one, next).ok();
            sold.is_none_or(|(list, plan)| renewed_with(list, subscription, plan))
        })
    }

    /// The price list in force, and a plan of it.
    pub(super) fn sold(
        &self,
        subscription: &Subscription,
        plan: &str,
    ) -> Result<(&Catalogue, &Plan), OrderRefusal> {
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at);
        let found = catalogue.and_then(|list| Some((list, list.plan(plan)?.1)));
        found.ok_or_else(|| OrderRefusal::UnknownPlan(plan.to_owned()))
    }

    /// The price list in force of a subscription, also where it no longer has its plan.
    pub(super) fn list_of(&self, subscription: &Subscription) -> Result<&Catalogue, OrderRefusal> {
        let list = self.catalogues.in_force(&subscription.catalogue, self.at);
        list.ok_or_else(|| OrderRefusal::UnknownPlan(subscription.plan.clone()))
    }

    fn auto_fact(&self, name: &str, auto: Option<AutoRenewal>) -> EngineFact {
        let (account, subscription) = (self.account.id.clone(), name.to_owned());
        Fact::AutoRenewal { account, subscription, auto }.into()
    }

    /// Turns renewals by themselves on or off.
    pub(super) fn auto_renew(
        &self,
        name: &str,
        limit: Option<u16>,
    ) -> Result<Vec<EngineFact>, EngineRefusal> {
        let subscription = self.running(name)?;
        self.no_trial(subscription)?;
        self.no_add_on(subscription)?;
        if subscription.term.is_none() {
            return Err(OrderRefusal::NoTerm(name.to_owned()).into());
        }
        let catalogue = self.list_of(subscription)?;
        Ok(vec![self.auto_fact(name, self.auto_of(catalogue, subscription.end, limit))])
    }

    /// The same, with the moment at which it is tried next: daily, at a time of day, from some days
    /// before the last day served until that day (R-REN-3).
    pub(super) fn with_next(&self, catalogue: &Catalogue, end: Instant, auto: AutoRenewal) -> AutoRenewal {
        let next = attempts(catalogue, end).find(|at| *at > self.at).filter(|_| auto.goes_on());
        AutoRenewal { next, ..auto }
    }

    /// Does what is due about a subscription's term: a planned change, or a renewal by itself.
    pub(super) fn term_on_time(&self, name: &str) -> Result<Vec<EngineFact>, EngineRefusal> {
        let Some(subscription) = self.view.subscription(&self.account.id, name) else {
            return Ok(Vec::new());
        };
        let (Some(term), Some(end)) = (&subscription.term, subscription.end) else { return Ok(Vec::new()) };
        if let Some(facts) = self.change_on_time(subscription, term) {
            return Ok(facts);
        }
        let Some(auto) = term.auto else { return Ok(Vec::new()) };
        // The times at which it is tried are in the price list, where its plan is no longer sold, too.
        let Some(catalogue) = self.catalogues.in_force(&subscription.catalogue, self.at) else {
            return Ok(vec![self.auto_fact(name, None)]);
        };
        let tried = self.sold(subscription, next_plan(subscription, term)).map_err(EngineRefusal::from);
        let tried = tried.and_then(|(_, plan)| match auto_months(catalogue, plan, term) {
            Some(months) => self.renew(name, months),
            None => Err(not_offered(catalogue, plan, term.first_months).into()),
        });
        let charged = tried.as_ref().map_or(Ok(Amount::ZERO), |facts| self.charged_by(facts))?;
        let (available, there) = credit::cover(self.view, self.payer)?;
        let currency = self.account.currency;
        let why = match &tried {
            Ok(_) if charged > available => {
                // A member is not told what its master has.
                let there =
                    if self.account.payer.is_some() { "more than who pays can spend now" } else { &there };
                format!("the renewal costs {} {currency}, {there}", charged.decimal(currency))
            }
            Ok(_) => {
                let mut facts = tried?;
                let renewals = auto.renewals.saturating_add(1);
                for fact in &mut facts {
                    if let EngineFact::Terms(Fact::AutoRenewal { auto: Some(now), .. }) = fact {
                        *now = AutoRenewal { renewals, ..*now };
                        now.next = now.next.filter(|_| now.goes_on());
                    }
                }
                return Ok(facts);
            }
            Err(refusal) => refusal.sentence_about(self.account, &catalogue.zone),
        };
        let failed = AutoRenewal { tried: auto.tried.saturating_add(1), ..auto };
        let failed = self.with_next(catalogue, end, failed);
        let then = match failed.next {
            Some(next) => {
                format!("it is tried again on {}", crate::calendar::show_local(&catalogue.zone, next))
            }
            None => format!("it ends on {}", crate::calendar::show_local(&catalogue.zone, end)),
        };
        let text = format!("{name} could not be renewed: {why}; {then}");
        Ok(vec![self.auto_fact(name, Some(failed)), self.notice(name, "auto-renewal-failed", text)])
    }

    /// What facts take from the payer.
    pub(super) fn charged_by(&self, facts: &[EngineFact]) -> Result<Amount, EngineRefusal> {
        let mut sum = Amount::ZERO;
        for fact in facts {
            if let EngineFact::Charged { month, posted, .. } = fact {
                let before =
                    self.view.bill(&self.payer.id, month.start).map_or(Amount::ZERO, |bill| bill.posted);
                sum = sum.add(posted.sub(before)?)?;
            }
        }
        Ok(sum)
    }

    /// A notice about a subscription.
    pub(in crate::engine) fn notice(&self, name: &str, kind: &str, text: String) -> EngineFact {
        let notice = Notice::to_customer(self.at, &self.account.id, Some(name), kind, text);
        EngineFact::Noticed { payer: self.payer.id.clone(), notice }
    }
}

/// Whether a term has run to the end of what was paid for; what was given up ended before.
fn is_over(subscription: &Subscription) -> bool {
    let last = subscription.term.as_ref().and_then(|term| term.periods.last());
    last.is_some_and(|last| Some(last.span.end) == subscription.end)
}

/// The plan that a term has from its end on.
fn next_plan<'s>(subscription: &'s Subscription, term: &'s Term) -> &'s str {
    term.next_plans.last().map_or(&subscription.plan, |next| &next.plan)
}

fn not_offered(catalogue: &Catalogue, plan: &Plan, months: u16) -> Refusal {
    let offered = renewal_months(catalogue, plan);
    Refusal::RenewalTermNotOffered { plan: plan.id.clone(), months, offered }
}

/// Months that a renewal may have: of those that the plan is sold for, those that the price list
/// allows (R-YKF-10).
pub(super) fn renewal_months(catalogue: &Catalogue, plan: &Plan) -> Vec<u16> {
    let allowed = catalogue.policy.terms.renewal_months.as_ref();
    let is_allowed = |months: &&u16| allowed.is_none_or(|allowed| allowed.contains(months));
    plan.terms_months.iter().filter(is_allowed).copied().collect()
}

/// Months by which a term is renewed by itself: those of the first purchase; where renewals have no
/// such term, the longest that is shorter.
pub(super) fn auto_months(catalogue: &Catalogue, plan: &Plan, term: &Term) -> Option<u16> {
    renewal_months(catalogue, plan).into_iter().filter(|months| *months <= term.first_months).max()
}

/// The moments at which a renewal of what ends at `end` is tried (R-REN-3).
pub(super) fn attempts(catalogue: &Catalogue, end: Instant) -> impl Iterator<Item = Instant> {
    let rule = catalogue.policy.terms.auto_renewal;
    let zone = &catalogue.zone;
    let last = zone.date(just_before(end));
    let time = Time::midnight().wrapping_add(SignedDuration::from_secs(rule.at_s.into()));
    let days = (0..=rule.days_before).rev();
    let days = days.filter_map(move |before| last.checked_sub(jiff::Span::new().days(before)).ok());
    days.map(move |day| zone.at(day.to_datetime(time))).filter(move |at| *at < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::AutoRenewalTimes;
    use crate::testing::{at, catalogues};

    #[test]
    fn nothing_is_tried_at_the_end_itself() {
        let mut list = catalogues().in_force("test", Instant::MIN).unwrap().clone();
        list.policy.terms.auto_renewal = AutoRenewalTimes { at_s: 15 * 3_600 + 40 * 60 + 30, days_before: 1 };
        let tried: Vec<Instant> = attempts(&list, at("2026-01-05T15:40:30")).collect();
        assert_eq!(tried, [at("2026-01-04T15:40:30")]);
    }
}
