//! Who takes which usage: the subscriptions that measure it, and the one of them that has it.

use super::{group_and_split, scope_value};
use crate::account::View;
use crate::bill::ChargeKey;
use crate::calendar::{Instant, Span};
use crate::catalog::{Catalogue, Charge, Measure, Meter, Model, Plan};
use crate::engine::{Catalogues, just_after};
use crate::metering::{LaneKey, LaneSpec, Problem, Scope};
use crate::subscription::Subscription;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A subscription that may take usage of a meter.
pub(super) struct Taker<'a> {
    pub(super) subscription: &'a Subscription,
    /// While its plan measures.
    pub(super) when: Span,
    pub(super) binds: &'a [String],
}

impl<'a> Taker<'a> {
    /// The subscription with each of its plans, as a version in force says, that measures by the meter in the period.
    pub(super) fn of(
        catalogues: &'a Catalogues,
        subscription: &'a Subscription,
        meter: &str,
        period: Span,
    ) -> impl Iterator<Item = Taker<'a>> {
        plans_within(catalogues, subscription, period).filter_map(move |(when, _, plan)| {
            let charge = plan.charges.iter().find(|charge| {
                let by = matches!(&charge.measure, Measure::Meter(known) if known == meter);
                by && charge.modes.contains(&subscription.mode)
            })?;
            Some(Taker { subscription, when, binds: charge.binds(plan) })
        })
    }

    /// Whether it runs then, is not frozen, and its bound attributes are those of the scope.
    pub(super) fn fits(&self, scope: &Scope, at: Instant) -> bool {
        self.when.contains(at)
            && self.subscription.serves(at)
            && !self.subscription.is_frozen(at)
            && self.binds_fit(scope)
    }

    /// One of its bound attributes with its value.
    pub(super) fn bound(&self) -> Option<(&str, &str)> {
        let name = self.binds.first()?;
        Some((name, self.subscription.attributes.get(name)?))
    }

    /// Whether its bound attributes are those of the scope.
    pub(super) fn binds_fit(&self, scope: &Scope) -> bool {
        let own = &self.subscription.attributes;
        self.binds.iter().all(|name| scope_value(scope, name) == own.get(name).map(String::as_str))
    }
}

/// The plans that a subscription is charged by in a period, each as a version in force then says, with its time.
fn plans_within<'c, 's>(
    catalogues: &'c Catalogues,
    subscription: &'s Subscription,
    period: Span,
) -> impl Iterator<Item = (Span, &'c Catalogue, &'c Plan)> + use<'c, 's> {
    let starts = |index| catalogues.versions(&subscription.catalogue).skip(index).map(|one| one.effective);
    let ends = starts(1).map(|next| next.unwrap_or(Instant::MIN)).chain([Instant::MAX]);
    let versions = starts(0).map(|start| start.unwrap_or(Instant::MIN)).zip(ends);
    versions.map(|(start, end)| Span { start, end }).flat_map(move |version| {
        let within = version.intersect(period);
        let plans = within.into_iter().flat_map(|within| {
            let plans = subscription.plan_spans();
            plans.filter_map(move |(plan, span)| Some((plan, span.intersect(within)?)))
        });
        plans.filter_map(move |(plan, when)| {
            let (list, plan) = catalogues.charging(subscription, plan, when.start)?;
            Some((when, list, plan))
        })
    })
}

/// Subscriptions that may take usage of a meter, found by what they bind.
pub(super) struct Contest<'a> {
    /// For each list of bound attributes, the takers by their values, the first to take first.
    pub(super) lists: Vec<(&'a [String], ByValues<'a>)>,
}

/// Subscriptions by the values of what they bind, each with the time in which its plan measures.
pub(super) type ByValues<'a> = BTreeMap<Vec<Option<&'a str>>, Vec<(Span, &'a Subscription)>>;

impl<'a> Contest<'a> {
    pub(super) fn of(takers: Vec<Taker<'a>>) -> Contest<'a> {
        let mut lists: Vec<(&'a [String], ByValues<'a>)> = Vec::new();
        for Taker { subscription, when, binds } in takers {
            let place = lists.iter().position(|(known, _)| *known == binds).unwrap_or_else(|| {
                lists.push((binds, BTreeMap::new()));
                lists.len() - 1
            });
            let own = &subscription.attributes;
            let values = binds.iter().map(|name| own.get(name).map(String::as_str)).collect();
            let all = lists[place].1.entry(values).or_default();
            match all.last_mut() {
                // A version or a plan that goes on as before.
                Some((known, one)) if one.name == subscription.name && known.end == when.start => {
                    known.end = when.end;
                }
                _ => all.push((when, subscription)),
            }
        }
        for all in lists.iter_mut().flat_map(|(_, by_values)| by_values.values_mut()) {
            all.sort_by_key(|(when, one)| (one.start, &one.name, when.start));
        }
        Contest { lists }
    }

    /// The one that takes usage of a scope at a time.
    pub(super) fn taker(&self, scope: &Scope, at: Instant) -> Option<&'a Subscription> {
        let takes =
            |(when, one): &&(Span, &Subscription)| when.contains(at) && one.serves(at) && !one.is_frozen(at);
        let first = |(binds, by_values): &(&'a [String], ByValues<'a>)| {
            let values: Vec<Option<&str>> = binds.iter().map(|name| scope_value(scope, name)).collect();
            let found = by_values.get(&values)?.iter().find(takes)?;
            Some((std::cmp::Reverse(binds.len()), found.1))
        };
        let found = self.lists.iter().filter_map(first);
        found.min_by_key(|(binds, one)| (*binds, one.start, &one.name)).map(|(_, one)| one)
    }

    /// Whether another takes whatever a taker could take, all the time.
    pub(super) fn is_beaten(&self, own: &Taker<'_>, within: Span) -> bool {
        let attributes = &own.subscription.attributes;
        let values: Vec<_> = own.binds.iter().map(|name| attributes.get(name).map(String::as_str)).collect();
        let covers = |(when, one): &&(Span, &Subscription)| {
            let always = one.frozen.is_empty() && one.migrated().is_none();
            let runs = one.span().intersect(*when);
            always && runs.is_some_and(|runs| runs.start <= within.start && within.end <= runs.end)
        };
        let list = self.lists.iter().find(|(binds, _)| *binds == own.binds);
        let first =
            list.and_then(|(_, by_values)| by_values.get(&values)).and_then(|all| all.iter().find(covers));
        let order = |one: &Subscription| (one.start, one.name.clone());
        first.is_some_and(|(_, first)| order(first) < order(own.subscription))
    }
}

/// Who may take usage of a meter of a product in a period: found once for a settlement.
#[derive(Default)]
pub(crate) struct Takers<'a>(RefCell<BTreeMap<TakersKey, Rc<Contest<'a>>>>);

/// Catalogue, product, meter, and the period.
pub(super) type TakersKey = (String, String, String, Span);

impl<'a> Takers<'a> {
    pub(super) fn get(
        &self,
        (catalogue, product, meter, period): (&str, &str, &str, Span),
        find: impl FnOnce() -> Contest<'a>,
    ) -> Rc<Contest<'a>> {
        let key = (catalogue.to_owned(), product.to_owned(), meter.to_owned(), period);
        self.0.borrow_mut().entry(key).or_insert_with(|| Rc::new(find())).clone()
    }
}

/// The subscriptions of the same product whose plan measures the same meter.
pub(super) fn takers<'a>(
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    account: &str,
    subscription: &Subscription,
    meter: &str,
    period: Span,
) -> Contest<'a> {
    let found = view
        .subscriptions_since(account, period.start)
        .into_iter()
        .filter(|other| other.catalogue == subscription.catalogue && other.product == subscription.product)
        .filter(|other| other.span().intersect(period).is_some())
        .flat_map(|other| Taker::of(catalogues, other, meter, period));
    Contest::of(found.collect())
}

pub(super) fn is_taken(
    takers: &Contest<'_>,
    scope: &Scope,
    at: Instant,
    subscription: &Subscription,
) -> bool {
    takers.taker(scope, at).is_some_and(|taker| taker.name == subscription.name)
}

/// Whether anything takes usage of a lane's scope at a moment of a period: for many questions about one lane.
pub(crate) struct AnyTaker<'a> {
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    period: Span,
    /// Those who may take what the lane asked about last counts, by product.
    latest: Option<(LaneKey, Span, Vec<Contest<'a>>)>,
}

impl<'a> AnyTaker<'a> {
    pub(crate) fn new(view: &'a dyn View, catalogues: &'a Catalogues, period: Span) -> AnyTaker<'a> {
        AnyTaker { view, catalogues, period, latest: None }
    }

    pub(crate) fn is_there(&mut self, lane: &LaneSpec, scope: &Scope, at: Instant) -> bool {
        let is_latest = |(key, valid, _): &(LaneKey, Span, _)| *key == lane.key && *valid == lane.valid;
        if !self.latest.as_ref().is_some_and(is_latest) {
            self.latest = Some((lane.key.clone(), lane.valid, self.contests(lane)));
        }
        let contests = self.latest.iter().flat_map(|(_, _, contests)| contests);
        contests.into_iter().any(|contest| contest.taker(scope, at).is_some())
    }

    fn contests(&self, lane: &LaneSpec) -> Vec<Contest<'a>> {
        let Some(within) = self.period.intersect(lane.valid) else { return Vec::new() };
        let mut by_product: BTreeMap<&str, Vec<Taker<'a>>> = BTreeMap::new();
        for one in self.view.subscriptions_since(&lane.key.account, within.start) {
            if one.catalogue == lane.key.catalogue {
                let takers = Taker::of(self.catalogues, one, &lane.key.meter, within);
                by_product.entry(&one.product).or_default().extend(takers);
            }
        }
        by_product.into_values().map(Contest::of).collect()
    }
}

/// The charges of a subscription that measure by a lane and whose bound attributes match a scope.
pub(super) fn charges_by_lane<'a, 'k>(
    catalogues: &'a Catalogues,
    subscription: &'a Subscription,
    key: &'k LaneKey,
    scope: &'k Scope,
    at: Instant,
) -> impl Iterator<Item = &'a Charge> + use<'a, 'k> {
    let here = subscription.catalogue == key.catalogue && subscription.serves(at);
    let plan = here.then(|| catalogues.charging(subscription, subscription.plan_at(at), at)).flatten();
    let charges = plan
        .map(|(_, plan)| plan)
        .into_iter()
        .flat_map(|plan| plan.charges.iter().map(move |charge| (plan, charge)));
    let bound = charges.filter(|(plan, charge)| {
        let mut binds = charge.binds(plan).iter();
        binds.all(|name| scope_value(scope, name) == subscription.attributes.get(name).map(String::as_str))
    });
    bound.map(|(_, charge)| charge).filter(|charge| {
        let deck = match &charge.pricing.model {
            Model::Deck(deck) => Some(deck),
            _ => None,
        };
        charge.modes.contains(&subscription.mode)
            && charge.measure == Measure::Meter(key.meter.clone())
            && deck == key.deck.as_ref()
    })
}

/// Whether some subscription takes usage of a lane's scope at a moment.
///
/// # Errors
/// There is none, or all that would take it are frozen.
pub(crate) fn route(
    view: &dyn View,
    catalogues: &Catalogues,
    key: &LaneKey,
    scope: &Scope,
    at: Instant,
) -> Result<(), Problem> {
    let mut problem = Problem::NoSubscription;
    for one in view.subscriptions_since(&key.account, at) {
        if charges_by_lane(catalogues, one, key, scope, at).next().is_some() {
            if !one.is_frozen(at) {
                return Ok(());
            }
            problem = Problem::Frozen;
        }
    }
    Err(problem)
}

/// The meters, by catalogue and name, that measure usage of a type for what an account has at any
/// moment from `since` up to and with `at`. What it orders later, or was refused, is no part of it.
pub(crate) fn meters_between<'a>(
    view: &dyn View,
    catalogues: &'a Catalogues,
    (account, kind): (&str, &str),
    since: Instant,
    at: Instant,
) -> BTreeMap<(String, String), &'a Meter> {
    let time = Span { start: since, end: just_after(at) };
    let mut found = BTreeMap::new();
    for one in view.subscriptions_since(account, since) {
        let runs = one.span().intersect(time);
        let plans = runs.into_iter().flat_map(|runs| plans_within(catalogues, one, runs));
        for (_, list, plan) in plans {
            for charge in plan.charges.iter().filter(|charge| charge.modes.contains(&one.mode)) {
                let Measure::Meter(name) = &charge.measure else { continue };
                if let Some(meter) = list.meters.get(name).filter(|meter| meter.event == kind) {
                    found.insert((list.id.clone(), name.clone()), &**meter);
                }
            }
        }
    }
    found
}

/// A charge that takes a piece of usage.
pub(crate) struct Takes<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) charge: &'a Charge,
    /// It would, but is frozen.
    pub(crate) frozen: bool,
}

/// The charges that take usage of a lane's scope at a moment: those of one subscription of each
/// product.
pub(crate) fn who_takes<'a>(
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    key: &LaneKey,
    scope: &Scope,
    at: Instant,
) -> Vec<Takes<'a>> {
    let mut by_product: BTreeMap<&str, Vec<&'a Subscription>> = BTreeMap::new();
    for one in view.subscriptions_since(&key.account, at) {
        if charges_by_lane(catalogues, one, key, scope, at).next().is_some() {
            by_product.entry(&one.product).or_default().push(one);
        }
    }
    let mut found = Vec::new();
    for candidates in by_product.into_values() {
        let period = Span { start: at, end: just_after(at) };
        let of_period = |one: &&'a Subscription| Taker::of(catalogues, one, &key.meter, period);
        let contest = Contest::of(candidates.iter().flat_map(of_period).collect());
        let taker = contest.taker(scope, at);
        let frozen = || candidates.iter().copied().find(|one| one.is_frozen(at));
        let Some(subscription) = taker.or_else(frozen) else { continue };
        let charges = charges_by_lane(catalogues, subscription, key, scope, at);
        let frozen = taker.is_none();
        found.extend(charges.map(|charge| Takes { subscription, charge, frozen }));
    }
    found
}

/// Whether usage of a lane's scope belongs to what was charged under a key.
pub(crate) fn is_charged_by(
    view: &dyn View,
    catalogues: &Catalogues,
    key: &ChargeKey,
    lane: &LaneKey,
    scope: &Scope,
    segment: Span,
) -> bool {
    let Some(subscription) = view.subscription(&lane.account, &key.subscription) else { return false };
    let at = segment.start;
    let takers = takers(view, catalogues, &lane.account, subscription, &lane.meter, segment);
    if !is_taken(&takers, scope, at, subscription) {
        return false;
    }
    let charge =
        charges_by_lane(catalogues, subscription, lane, scope, at).find(|charge| charge.id == key.charge);
    charge.is_some_and(|charge| {
        let deck = matches!(charge.pricing.model, Model::Deck(_));
        group_and_split(&charge.per, scope, deck) == (key.group.clone(), key.split.clone())
    })
}
