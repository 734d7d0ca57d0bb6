//! What facts mean for counting: which plans' meters an account needs, and where its counters are to be cut.

use super::{Fact, packages, terms};
use crate::calendar::Instant;
use crate::subscription::Subscription;
use std::collections::{BTreeMap, BTreeSet};

/// A plan that an account has, or will have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts {
    /// The account.
    pub account: String,
    /// The price list.
    pub catalogue: String,
    /// The plan.
    pub plan: String,
}

/// The plans whose usage is to be counted from these facts on, each with the beginning of the subscription that it is
/// for. A plan that one changes to is in the price list of the subscription, which the caller knows by its account and
/// name, with its beginning.
pub fn plans_of(
    facts: &[Fact],
    known: impl Fn(&str, &str) -> Option<(String, Instant)>,
) -> BTreeMap<Counts, Instant> {
    let mut found = BTreeMap::new();
    for fact in facts {
        match fact {
            Fact::Subscribed { account, subscription }
            | Fact::Terms(terms::Fact::Migrated { account, subscription, .. }) => {
                let since = subscription.start;
                for one in plans_had(account, subscription) {
                    had_since(&mut found, one, since);
                }
            }
            Fact::Terms(terms::Fact::PlanPlanned { account, subscription, next }) => {
                let Some((catalogue, since)) = known(account, subscription) else { continue };
                let one = |plan: &String| Counts {
                    account: account.clone(),
                    catalogue: catalogue.clone(),
                    plan: plan.clone(),
                };
                for next in next {
                    had_since(&mut found, one(&next.plan), since);
                }
            }
            Fact::Terms(terms::Fact::PlanChanged { account, subscription, plan, .. }) => {
                let Some((catalogue, since)) = known(account, subscription) else { continue };
                had_since(
                    &mut found,
                    Counts { account: account.clone(), catalogue, plan: plan.clone() },
                    since,
                );
            }
            _ => {}
        }
    }
    found
}

/// Notes that a plan is had since a moment, or an earlier one. Answers whether that is new.
pub fn had_since(plans: &mut BTreeMap<Counts, Instant>, plan: Counts, since: Instant) -> bool {
    match plans.get_mut(&plan) {
        Some(known) if *known <= since => false,
        Some(known) => {
            *known = since;
            true
        }
        None => plans.insert(plan, since).is_none(),
    }
}

/// The plans that a subscription has had, has, and is to have.
pub fn plans_had(account: &str, subscription: &Subscription) -> impl Iterator<Item = Counts> {
    let next = subscription.term.iter().flat_map(|term| &term.next_plans).map(|next| next.plan.as_str());
    let one = |plan: &str| Counts {
        account: account.to_owned(),
        catalogue: subscription.catalogue.clone(),
        plan: plan.to_owned(),
    };
    subscription.plans().chain(next).map(one)
}

/// The moments at which facts divide the usage of a group: what was counted before one of them may be another's, or
/// have another price, than what is counted after it. None for what changes no price and nobody's usage.
pub fn cuts(facts: &[Fact], effective_at: Instant, recorded_at: Instant) -> BTreeSet<Instant> {
    let mut found = BTreeSet::new();
    for fact in facts {
        let own: [Option<Instant>; 2] = match fact {
            Fact::Subscribed { subscription, .. } => [Some(subscription.start), None],
            Fact::Terms(terms::Fact::Migrated { subscription, .. }) => {
                [Some(subscription.start), subscription.end]
            }
            Fact::QuantityChanged { change, .. } => [Some(change.at), None],
            Fact::Stopped { at, .. } | Fact::Ended { at, .. } | Fact::Unsubscribed { at, .. } => {
                [Some(*at), None]
            }
            Fact::Renewed { period, .. } => [Some(period.span.start), Some(period.span.end)],
            Fact::PriceAgreed { price, .. } => [Some(price.valid.start), Some(price.valid.end)],
            Fact::DiscountGranted { discount, .. } => [Some(discount.valid.start), Some(discount.valid.end)],
            Fact::Terms(terms::Fact::PlanChanged { from, .. }) => [Some(*from), None],
            Fact::Terms(terms::Fact::Prolonged { from, until, .. }) => [Some(*from), Some(*until)],
            Fact::Packages(packages::Fact::Shared { .. }) => [None, None],
            Fact::Packages(packages::Fact::Kept { at, .. }) => [Some(*at), None],
            Fact::Lifecycle(fact) => match fact.cut() {
                Some((_, at)) => [Some(at), None],
                None => continue,
            },
            _ => continue,
        };
        found.extend([effective_at, recorded_at]);
        found.extend(own.into_iter().flatten());
    }
    found
}
