//! What a session's usage would be charged as, before it is: by which charge, under which key, from
//! which packages, and what the rest costs.

use super::draw;
use super::price::discounted;
use super::{Context, Job, Part, Stretch, Task, Units, Work, in_force, key_of, stretches};
use super::{accumulation, charges_of_group, runs};
use crate::bill::ChargeKey;
use crate::calendar::{Cycle, Instant, Span};
use crate::catalog::{Measure, Model, PastPackage, Settle};
use crate::engine::{Desk, Refusal};
use crate::metering::{DeckCount, WouldCount};
use crate::money::Exact;
use crate::package::Bucket;
use crate::quantity::{Quantities, Takes, group_and_split};
use crate::subscription::Subscription;
use std::collections::BTreeMap;

/// A charge that would take a session's usage.
pub(crate) struct Taking<'a> {
    pub(crate) subscription: &'a Subscription,
    /// Under which a settlement finds what is drawn for it.
    pub(crate) key: ChargeKey,
    stretch: Stretch<'a>,
    cycle: Cycle,
    desk: &'a Desk<'a>,
    period: Span,
}

impl<'a> Taking<'a> {
    /// What takes usage as it would be counted; `None` where its charge does not settle it.
    pub(crate) fn of(desk: &'a Desk<'a>, usage: &WouldCount<'_>, takes: &Takes<'a>) -> Option<Taking<'a>> {
        let (subscription, charge) = (takes.subscription, &takes.charge.id);
        let (list, _, known) = in_force(desk.catalogues, subscription, charge, usage.at)?;
        let Settle::Each(cycle) = known.settle else { return None };
        let period = accumulation(desk.catalogues, subscription, charge, usage.at)?;
        let around = list.zone.cycle(cycle, usage.at);
        let context = context_at(desk, around.end);
        let part = Part { period, from: around.start.max(period.start), before: Units::new() };
        let all = stretches(&context, subscription, charge, &part);
        let stretch = all.into_iter().find(|stretch| stretch.span.contains(usage.at))?;
        let deck = matches!(stretch.charge.pricing.model, Model::Deck(_));
        let (group, split) = group_and_split(&stretch.charge.per, &usage.scope, deck);
        let key = key_of(subscription, &stretch, period, &group, split);
        Some(Taking { subscription, key, stretch, cycle, desk, period })
    }

    /// The end of the cycle that its usage belongs to.
    fn settles(&self) -> Instant {
        self.stretch.cycle.end
    }

    /// When usage that is told at a moment is charged: at the end of the cycle around that, which is
    /// its own or, where that has ended, one after it.
    pub(crate) fn charged(&self, told: Instant) -> Instant {
        self.stretch.catalogue.zone.cycle(self.cycle, told).end
    }

    /// What each session takes one of.
    pub(crate) fn concurrency(&self) -> Option<&str> {
        self.stretch.charge.concurrency.as_deref()
    }

    /// Whether usage past all packages is refused (R-PKG-3).
    pub(crate) fn refuses_past_package(&self) -> bool {
        self.stretch.charge.draws && self.stretch.charge.past_package == PastPackage::Refuse
    }

    /// What a unit is called.
    pub(crate) fn unit(&self) -> &str {
        let Measure::Meter(meter) = &self.stretch.charge.measure else { return "unit" };
        self.stretch.catalogue.meters.get(meter).map_or("unit", |meter| meter.unit.as_str())
    }

    /// The buckets that its usage may draw from at a moment, in the order of R-PKG-1.
    pub(crate) fn buckets(&self, at: Instant) -> Vec<&'a Bucket> {
        let context = context_at(self.desk, self.settles());
        let Some(meter) = draw::drawn_meter(&context, &self.stretch) else { return Vec::new() };
        let (view, payer) = (self.desk.view, &self.desk.payer.id);
        let now = Span { start: at, end: crate::engine::just_after(at) };
        let own = &self.subscription.attributes;
        let binds = self.stretch.charge.binds(self.stretch.plan);
        let bound = |name: &str| binds.iter().any(|bind| bind == name).then(|| own.get(name)).flatten();
        let value = |name: &str| self.key.value(name).or(bound(name).map(String::as_str));
        let mut found: Vec<&Bucket> = view
            .buckets(payer, &self.stretch.catalogue.id, meter, now)
            .into_iter()
            .filter(|bucket| {
                let shares = view.shares(payer, &bucket.account, &bucket.subscription);
                bucket.serves(shares, &self.desk.account.id, now) && bucket.in_scope(value)
            })
            .collect();
        found.sort_by(|one, other| one.rank().cmp(&other.rank()));
        found
    }

    /// What units that packages do not cover cost now, after discounts: what they would add to the
    /// accumulation as counted so far. `covered`: units that packages cover, which tiers may count.
    pub(crate) fn cost(
        &self,
        units: Exact,
        covered: Exact,
        deck: Option<&DeckCount>,
    ) -> Result<Exact, Refusal> {
        let before = if self.is_linear() { Exact::ZERO } else { self.so_far()? };
        let all = self.stretch.charge.tiers_count_all;
        let quantities = [Quantities {
            is_measured: true,
            total: units,
            splits: BTreeMap::from([(self.key.split.clone(), units)]),
            units_per_price: Exact::ONE,
            unit: String::new(),
            per: String::new(),
            parts: Vec::new(),
            days: None,
            deck: deck.cloned(),
            drawn: BTreeMap::new(),
            covered: if all { covered } else { Exact::ZERO },
        }];
        let stretch = std::slice::from_ref(&self.stretch);
        let runs = runs(stretch, &quantities);
        let charges = charges_of_group(stretch, &self.key.group, &quantities, &runs, before, false)?;
        let Some((Some(list), agreed)) = charges.first() else { return Ok(Exact::ZERO) };
        let context = context_at(self.desk, self.settles());
        Ok(discounted(&context, &self.stretch, list, agreed.as_ref())?.amount)
    }

    /// Whether a unit costs the same whatever was used before.
    fn is_linear(&self) -> bool {
        let pricing = &self.stretch.charge.pricing;
        let plain = pricing.free.is_zero() && pricing.maximum.is_none();
        plain && matches!(pricing.model, Model::PerUnit(_) | Model::Deck(_))
    }

    /// Priced units of the accumulation as counted so far, after packages.
    fn so_far(&self) -> Result<Exact, Refusal> {
        let charge = &self.key.charge;
        let contexts = [context_at(self.desk, self.settles())];
        let context = &contexts[0];
        let work = Work::of(self.subscription, charge, None);
        let part = Part::of(context, self.subscription, charge, self.period, &work);
        let before = part.before.get(&self.key.group).copied().unwrap_or(Exact::ZERO);
        let jobs = vec![Job::measured(context, self.subscription, charge, part)?];
        let (subscription, charge) = (self.subscription, charge.clone());
        let mut tasks = [Task { context, subscription, charge, work, jobs, waits: false }];
        draw::allot_alone(&contexts, &mut tasks)?;
        let mut units = before;
        for job in tasks.iter().flat_map(|task| &task.jobs) {
            let own = job.groups.iter().filter(|(group, _)| *group == self.key.group);
            for (at, stretch) in own.flat_map(|(_, all)| all.iter().zip(&job.stretches)) {
                // Units of another kind are not those that its own go on from.
                if at.is_measured && stretch.counts_like(&self.stretch) {
                    units = units.add(at.total)?.add(at.covered)?;
                }
            }
        }
        Ok(units)
    }
}

/// The context of a settlement at a moment to come.
fn context_at<'a>(desk: &'a Desk<'a>, at: Instant) -> Context<'a> {
    let Desk { view, catalogues, metering, account, .. } = *desk;
    Context::of(view, catalogues, metering, account, at)
}
