//! The plan of a subscription: as it was sold, and as it is charged.
//!
//! A prepaid term stays as it was sold, whatever later versions of its price list say or leave out
//! (R-CHG-2). What runs pay-per-use follows the version in force.

use super::Catalogues;
use crate::calendar::Instant;
use crate::catalog::{Catalogue, Mode, Plan};
use crate::subscription::Subscription;
use crate::term::PaidPeriod;

impl Catalogues {
    /// The price list and plan that say what a subscription has at a moment: its packages, features,
    /// licences, and what it provides. Of what is prepaid, those of when the period paid for was
    /// ordered; after the end, of the last one.
    pub(crate) fn as_sold(&self, subscription: &Subscription, at: Instant) -> Option<(&Catalogue, &Plan)> {
        let plan = subscription.plan_at(at);
        let period = subscription.term.as_ref().and_then(|term| term.paid_at(at).or(term.periods.last()));
        match (period, subscription.mode) {
            (Some(period), _) => self.first_with(&subscription.catalogue, plan, period.ordered),
            // A trial has no term.
            (None, Mode::Prepaid) => self.first_with(&subscription.catalogue, plan, subscription.start),
            (None, Mode::PayPerUse) => self.version_with(&subscription.catalogue, plan, at),
        }
    }

    /// The price list and plan by which a period was paid for.
    pub(crate) fn paid_by(
        &self,
        subscription: &Subscription,
        period: &PaidPeriod,
    ) -> Option<(&Catalogue, &Plan)> {
        let plan = subscription.plan_paid_at(period.span.start);
        self.first_with(&subscription.catalogue, plan, period.ordered)
    }

    /// The price list and plan by which a subscription is charged at a moment for what it uses: the
    /// version in force. Where that no longer sells the plan prepaid, what was sold so goes on as the
    /// last version that did says.
    pub(crate) fn charging(
        &self,
        subscription: &Subscription,
        plan: &str,
        at: Instant,
    ) -> Option<(&Catalogue, &Plan)> {
        let now = self.version_with(&subscription.catalogue, plan, at);
        if subscription.mode == Mode::PayPerUse {
            return now;
        }
        self.last_prepaid(&subscription.catalogue, plan, at).or(now)
    }

    /// The last version up to a moment that sells a plan prepaid.
    pub(super) fn last_prepaid(&self, id: &str, plan: &str, at: Instant) -> Option<(&Catalogue, &Plan)> {
        let begun = self.versions(id).filter(|version| version.effective.is_none_or(|from| from <= at));
        let found = begun.filter_map(|version| Some((version, version.plan(plan)?.1)));
        found.filter(|(_, plan)| plan.modes.contains(&Mode::Prepaid)).last()
    }

    fn version_with(&self, id: &str, plan: &str, at: Instant) -> Option<(&Catalogue, &Plan)> {
        let version = self.in_force(id, at)?;
        Some((version, version.plan(plan)?.1))
    }

    /// The version in force at an order; of what another system sold before any version had the plan,
    /// the first that has it (R-OPEN-1).
    pub(super) fn first_with(&self, id: &str, plan: &str, ordered: Instant) -> Option<(&Catalogue, &Plan)> {
        self.version_with(id, plan, ordered).or_else(|| {
            let later =
                self.versions(id).filter(|version| version.effective.is_some_and(|from| ordered < from));
            later.filter_map(|version| Some((version, version.plan(plan)?.1))).next()
        })
    }
}
