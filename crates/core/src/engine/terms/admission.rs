//! Whether an order may be placed, and until when it lasts.

use super::Refusal;
use crate::calendar::{Instant, Span};
use crate::catalog::{Catalogue, Mode, Plan, Product, Proration};
use crate::engine::{Desk, OrderRefusal, due};
use crate::money::Exact;
use crate::subscription::Subscription;
use crate::term::{self, AutoRenewal};
use std::collections::BTreeMap;

/// How long an order lasts.
#[derive(Default)]
pub(in crate::engine) struct Admission {
    /// Its end, where it has one.
    pub end: Option<Instant>,
    /// What its term is charged for; `None`: it has no term.
    pub months: Option<Exact>,
    /// The subscription that it ends with.
    pub follows: Option<String>,
}

/// What an order says, besides its plan.
pub(in crate::engine) struct Wish<'a> {
    pub quantity: i64,
    pub mode: Mode,
    pub months: Option<u16>,
    /// Renewed by itself, at most so often.
    pub auto: Option<u16>,
    pub attributes: &'a BTreeMap<String, String>,
}

impl Desk<'_> {
    /// What an order is admitted for: required plans, trials, terms.
    pub(in crate::engine) fn admit(
        &self,
        (catalogue, product, plan): (&Catalogue, &Product, &Plan),
        wish: &Wish<'_>,
    ) -> Result<Admission, crate::engine::Refusal> {
        let package = self.required(catalogue, plan, wish.mode, wish.attributes)?;
        if let Some(days) = plan.terms.trial_days {
            self.admit_trial(catalogue, product, plan, wish)?;
            let last = catalogue.zone.date(self.at).checked_add(jiff::Span::new().days(days));
            let end = last.ok().map(|day| catalogue.zone.midnight(day));
            return Ok(Admission { end, ..Admission::default() });
        }
        if let Some(package) = package.filter(|_| plan.terms.ends_with) {
            return self.admit_add_on(catalogue, plan, package, wish);
        }
        let months = term_of(plan, wish.mode, wish.months)?;
        if wish.auto.is_some() && months.is_none() {
            return Err(OrderRefusal::NoTerm(plan.id.clone()).into());
        }
        Ok(Admission {
            end: months.and_then(|months| catalogue.zone.term_end(self.at, months.into())),
            months: months.map(|months| Exact::whole(months.into())),
            follows: None,
        })
    }

    /// An add-on lasts as long as its package: each started month is charged, or each day.
    fn admit_add_on(
        &self,
        catalogue: &Catalogue,
        plan: &Plan,
        package: &Subscription,
        wish: &Wish<'_>,
    ) -> Result<Admission, crate::engine::Refusal> {
        let (plan_id, name) = (plan.id.clone(), package.name.clone());
        if wish.months.is_some() {
            return Err(Refusal::TermOfPackage { plan: plan_id, package: name, until: None }.into());
        }
        if wish.auto.is_some() {
            return Err(Refusal::RenewedWithPackage { name: plan_id, package: name }.into());
        }
        let mut admission = Admission { end: package.end, follows: Some(name), ..Admission::default() };
        if let (Mode::Prepaid, Some(end)) = (wish.mode, package.end) {
            let span = Span { start: self.at, end };
            admission.months = Some(match catalogue.policy.terms.add_on_proration {
                Proration::Months => Exact::whole(term::started_months(&catalogue.zone, span).into()),
                Proration::Days => term::months_by_days(&catalogue.zone, span)?,
            });
        }
        Ok(admission)
    }

    /// A trial is the first order of its product, once, of one (R-TCCC-12).
    fn admit_trial(
        &self,
        catalogue: &Catalogue,
        product: &Product,
        plan: &Plan,
        wish: &Wish<'_>,
    ) -> Result<(), crate::engine::Refusal> {
        if let Some(had) = self.first_of(catalogue, product) {
            return Err(Refusal::TrialUsed { plan: plan.id.clone(), had: had.name.clone() }.into());
        }
        if wish.quantity != 1 || wish.months.is_some() || wish.auto.is_some() {
            let days = plan.terms.trial_days.unwrap_or(0);
            return Err(Refusal::TrialOrder { plan: plan.id.clone(), days }.into());
        }
        Ok(())
    }

    /// What the account ordered first of a product, whether or not it still runs.
    fn first_of(&self, catalogue: &Catalogue, product: &Product) -> Option<&Subscription> {
        let names = self.view.subscriptions(&self.account.id);
        let known = names.iter().filter_map(|name| self.view.subscription(&self.account.id, name));
        let had = known.filter(|one| one.catalogue == catalogue.id && one.product == product.id);
        had.min_by_key(|one| (one.start, &one.name))
    }

    /// Whether the account has what an order of a plan with these attributes needs, and, of a trial,
    /// has had nothing that rules it out.
    pub(in crate::engine) fn may_order_plan(
        &self,
        (catalogue, product, plan): (&Catalogue, &Product, &Plan),
        attributes: &BTreeMap<String, String>,
    ) -> bool {
        let is_there = |mode: &Mode| self.required(catalogue, plan, *mode, attributes).is_ok();
        plan.modes.iter().any(is_there)
            && (plan.terms.trial_days.is_none() || self.first_of(catalogue, product).is_none())
    }

    /// The subscription that a plan requires; `None` where it requires none. Of several, the one
    /// that lasts longest, then the one that began first, then by name.
    pub(super) fn required(
        &self,
        catalogue: &Catalogue,
        plan: &Plan,
        mode: Mode,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Option<&Subscription>, Refusal> {
        let requires = &plan.terms.requires;
        if requires.is_empty() {
            return Ok(None);
        }
        let prepaid = plan.terms.ends_with && mode == Mode::Prepaid;
        let fitting = self.fitting(catalogue, plan, mode, attributes);
        let found = fitting.into_iter().max_by_key(|one| {
            let first = (one.start, one.name.as_str());
            (one.end.unwrap_or(Instant::MAX), std::cmp::Reverse(first))
        });
        if found.is_some() {
            return Ok(found);
        }
        let binds_too = |name: &&String| {
            let required = requires.iter().filter_map(|id| catalogue.plan(id));
            required.into_iter().any(|(_, other)| other.binds.contains(*name))
        };
        let bound = plan.binds.iter().filter(binds_too);
        let bound = bound.filter_map(|name| Some(format!("{name}={}", attributes.get(name)?)));
        let (plan, bound) = (plan.id.clone(), bound.collect());
        Err(Refusal::PackageRequired { plan, requires: requires.clone(), prepaid, bound })
    }

    /// The subscriptions that what a plan requires may be.
    pub(super) fn fitting(
        &self,
        catalogue: &Catalogue,
        plan: &Plan,
        mode: Mode,
        attributes: &BTreeMap<String, String>,
    ) -> Vec<&Subscription> {
        // What is prepaid to the end of another needs one that has an end.
        let prepaid = plan.terms.ends_with && mode == Mode::Prepaid;
        let mut known = self.view.subscriptions_since(&self.account.id, self.at);
        known.retain(|one| {
            let active = one.catalogue == catalogue.id && one.quantity_at(self.at) > 0;
            let binds = catalogue.plan(&one.plan).map(|(_, plan)| plan.binds.as_slice()).unwrap_or_default();
            let both = plan.binds.iter().filter(|name| binds.contains(name));
            active
                && (one.end.is_some() || !prepaid)
                && plan.terms.requires.contains(&one.plan)
                && both.into_iter().all(|name| one.attributes.get(name) == attributes.get(name))
        });
        known
    }

    /// The subscriptions that end with one, and still do.
    pub(super) fn followers(&self, package: &Subscription) -> Vec<&Subscription> {
        // Those that end with it, and so not before it.
        let since = package.end.map_or(self.at, due::just_before);
        let known = self.view.subscriptions_since(&self.account.id, since).into_iter();
        let follows =
            |one: &&Subscription| one.follows.as_deref() == Some(&package.name) && one.end == package.end;
        known.filter(follows).collect::<Vec<_>>()
    }

    /// Refuses where a subscription is a trial.
    pub(in crate::engine) fn no_trial(&self, subscription: &Subscription) -> Result<(), Refusal> {
        let catalogue = self.catalogues.in_force(&subscription.catalogue, subscription.start);
        let plan = catalogue.and_then(|list| list.plan(&subscription.plan));
        match (plan, subscription.end) {
            (Some((_, plan)), Some(until)) if plan.terms.trial_days.is_some() => {
                Err(Refusal::TrialRuns { name: subscription.name.clone(), until })
            }
            _ => Ok(()),
        }
    }

    /// How an order is renewed by itself, if it is.
    pub(in crate::engine) fn auto_of(
        &self,
        catalogue: &Catalogue,
        end: Option<Instant>,
        limit: Option<u16>,
    ) -> Option<AutoRenewal> {
        let auto = AutoRenewal { limit: limit?, renewals: 0, tried: 0, next: None };
        Some(self.with_next(catalogue, end?, auto))
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
