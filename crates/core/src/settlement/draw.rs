//! Packages are drawn before usage is rated, over a whole billing group at once.
//!
//! Drawn and charged units together are those measured, always. What a charge's stretch drew stays
//! its own: more usage draws more, less usage takes charged units back first and then drawn ones.
//! Units that are given back first credit usage that was charged past their bucket.

use super::{Context, Forced, Job, Stretch, Task, accumulations, changes, charges_of, in_force, key_of};
use crate::account::View;
use crate::bill::{ChargeKey, Charged};
use crate::calendar::{Instant, Span};
use crate::catalog::{Measure, Model};
use crate::engine::{Catalogues, Refusal};
use crate::ledger::{Posting, QuotaSide};
use crate::money::{Exact, OutOfRange};
use crate::package::{Bucket, Draw, Draws, Missed, Rank, Share, is_due};
use crate::roster::Rhythm;
use crate::subscription::Subscription;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

mod waiting;

use waiting::{NO_JOB, waiting};

/// What a settlement drew from packages.
#[derive(Debug, Default)]
pub(crate) struct Allotted {
    pub draws: Vec<Draw>,
    /// Those of them for units that lines have charged, of charges that are not due yet.
    pub credited: Vec<Draw>,
    pub postings: Vec<Posting>,
    /// Alerts that are due: the bucket, which of its alerts, and what is left.
    pub alerts: Vec<(String, usize, Exact)>,
    /// By bucket, what has gone past it while sessions held what was left of it.
    pub missed: BTreeMap<String, Missed>,
}

pub(super) enum Outcome {
    Done(Allotted),
    /// These charges must be looked at, too, from then on.
    Again(Forced),
}

/// Where packages cut the time of an account: found once for a settlement.
#[derive(Default)]
pub(crate) struct Cuts {
    cuts: RefCell<BTreeMap<CutsKey, Rc<Vec<Instant>>>>,
    granted: RefCell<BTreeMap<(String, String), bool>>,
}

/// Catalogue, meter, and within what.
type CutsKey = (String, String, Span);

impl Cuts {
    /// Whether some plan of a catalogue grants units of a meter.
    fn granted(&self, catalogues: &Catalogues, catalogue: &str, meter: &str) -> bool {
        let key = (catalogue.to_owned(), meter.to_owned());
        *self.granted.borrow_mut().entry(key).or_insert_with(|| {
            let plans = catalogues.versions(catalogue).flat_map(|version| version.plans());
            plans.flat_map(|plan| &plan.grants).any(|grant| grant.meter == meter)
        })
    }
}

/// The meter by which usage of a stretch may draw from packages.
pub(super) fn drawn_meter<'s>(context: &Context<'_>, stretch: &'s Stretch<'_>) -> Option<&'s str> {
    match &stretch.charge.measure {
        Measure::Meter(meter)
            if stretch.charge.draws && !matches!(stretch.charge.pricing.model, Model::Deck(_)) =>
        {
            let granted = context.cuts.granted(context.catalogues, &stretch.catalogue.id, meter);
            granted.then_some(meter.as_str())
        }
        _ => None,
    }
}

/// Whether usage of a stretch may draw from packages.
pub(super) fn may_draw(context: &Context<'_>, stretch: &Stretch<'_>) -> bool {
    drawn_meter(context, stretch).is_some()
}

/// Moments inside a span at which packages for the usage of a charge begin or end.
pub(super) fn cuts(
    context: &Context<'_>,
    subscription: &Subscription,
    charge: &str,
    within: Span,
) -> Vec<Instant> {
    let plans = context.catalogues.versions(&subscription.catalogue);
    let charges = plans.filter_map(|version| version.plan(&subscription.plan)?.1.charge(charge));
    let meters: BTreeSet<&str> = charges
        .filter_map(|charge| match &charge.measure {
            Measure::Meter(meter) if charge.draws => Some(meter.as_str()),
            _ => None,
        })
        .filter(|meter| context.cuts.granted(context.catalogues, &subscription.catalogue, meter))
        .collect();
    let mut found = Vec::new();
    for meter in meters {
        let key = (subscription.catalogue.clone(), meter.to_owned(), within);
        let known = context.cuts.cuts.borrow().get(&key).cloned();
        let cuts = known.unwrap_or_else(|| {
            let (account, payer) = (&context.account.id, context.account.payer());
            let buckets = context.view.buckets(payer, &subscription.catalogue, meter, within);
            let cuts = buckets.into_iter().flat_map(|bucket| {
                let shares = context.view.shares(payer, &bucket.account, &bucket.subscription);
                bucket.cuts(shares, account)
            });
            let inside: BTreeSet<Instant> =
                cuts.filter(|cut| within.start < *cut && *cut < within.end).collect();
            let cuts = Rc::new(inside.into_iter().collect::<Vec<_>>());
            context.cuts.cuts.borrow_mut().insert(key, cuts.clone());
            cuts
        });
        found.extend(cuts.iter().copied());
    }
    found
}

/// A bucket in the course of a settlement.
struct Pooled<'a> {
    bucket: &'a Bucket,
    shares: &'a [Share],
    expired: bool,
    available: Exact,
    /// Given back in this settlement, and not taken again yet.
    freed: Exact,
}

/// The buckets that a settlement looks at.
struct Pool<'a> {
    by_id: BTreeMap<&'a str, Pooled<'a>>,
    /// By catalogue and meter, in the order of R-PKG-1; without those that are drawn empty.
    order: BTreeMap<(String, String), BTreeMap<Rank<'a>, &'a str>>,
}

impl<'a> Pool<'a> {
    fn of(context: &'a Context<'a>, tasks: &[Task<'_>]) -> Pool<'a> {
        let mut spans: BTreeMap<(String, String), Span> = BTreeMap::new();
        for task in tasks {
            for stretch in task.jobs.iter().flat_map(|job| &job.stretches) {
                let Some(meter) = drawn_meter(task.context, stretch) else { continue };
                let span =
                    spans.entry((stretch.catalogue.id.clone(), meter.to_owned())).or_insert(stretch.span);
                span.start = span.start.min(stretch.span.start);
                span.end = span.end.max(stretch.span.end);
            }
        }
        let mut pool = Pool { by_id: BTreeMap::new(), order: BTreeMap::new() };
        for ((catalogue, meter), span) in spans {
            for bucket in context.view.buckets(context.account.payer(), &catalogue, &meter, span) {
                pool.insert(context, bucket);
            }
        }
        pool
    }

    fn insert(&mut self, context: &'a Context<'a>, bucket: &'a Bucket) {
        let payer = context.account.payer();
        let pooled = Pooled {
            bucket,
            shares: context.view.shares(payer, &bucket.account, &bucket.subscription),
            expired: context.view.is_expired(payer, bucket),
            available: context.view.units(payer, &bucket.id).available,
            freed: Exact::ZERO,
        };
        self.by_id.insert(&bucket.id, pooled);
        let meter = (bucket.catalogue.clone(), bucket.meter.clone());
        self.order.entry(meter).or_default().insert(bucket.rank(), &bucket.id);
    }

    fn look_at(&mut self, context: &'a Context<'a>, bucket: &str) {
        if !self.by_id.contains_key(bucket)
            && let Some(known) = context.view.bucket(context.account.payer(), bucket)
        {
            self.insert(context, known);
        }
    }

    fn give_back(&mut self, context: &'a Context<'a>, bucket: &str, units: Exact) -> Result<(), OutOfRange> {
        self.look_at(context, bucket);
        if let Some(pooled) = self.by_id.get_mut(bucket) {
            pooled.freed = pooled.freed.add(units)?;
        }
        Ok(())
    }
}

/// The usage of one key, and what becomes of it.
struct Item {
    /// Task, job, group and stretch.
    place: (usize, usize, usize, usize),
    account: String,
    key: ChargeKey,
    span: Span,
    /// Catalogue and meter.
    meter: (String, String),
    /// What the subscription that takes it is bound to.
    bound: BTreeMap<String, String>,
    measured: Exact,
    /// Units charged so far, free ones among them, less those credited since.
    charged: Exact,
    drawn: Draws,
    unit_size: Exact,
}

impl Item {
    fn value(&self, name: &str) -> Option<&str> {
        self.key.value(name).or(self.bound.get(name).map(String::as_str))
    }

    /// Whether it was settled before, and its charge's next settlement is yet to come.
    fn is_waiting(&self) -> bool {
        self.place.1 == NO_JOB
    }

    fn drawn_units(&self) -> Result<Exact, OutOfRange> {
        sum(self.drawn.values().copied())
    }

    fn fits(&self, pooled: &Pooled<'_>) -> bool {
        pooled.bucket.serves(pooled.shares, &self.account, self.span)
            && pooled.bucket.in_scope(|name| self.value(name))
    }

    fn draw(&mut self, bucket: &str, units: Exact) -> Result<(), OutOfRange> {
        let drawn = self.drawn.entry(bucket.to_owned()).or_default();
        *drawn = drawn.add(units)?;
        Ok(())
    }

    /// The order in which usage draws: by time, then by account and key. A total order.
    fn order(&self) -> (Instant, &str, &ChargeKey) {
        (self.span.start, &self.account, &self.key)
    }
}

fn sum(units: impl Iterator<Item = Exact>) -> Result<Exact, OutOfRange> {
    let mut units = units;
    units.try_fold(Exact::ZERO, |sum, one| sum.add(one))
}

/// Draws for all usage that is settled now, and takes what was drawn off the quantities.
pub(super) fn allot<'a>(
    contexts: &'a [Context<'a>],
    tasks: &mut [Task<'a>],
    forced: &Forced,
) -> Result<Outcome, Refusal> {
    allot_for(contexts, tasks, Some(forced))
}

/// The same for some charges, as if there were no others.
pub(super) fn allot_alone<'a>(contexts: &'a [Context<'a>], tasks: &mut [Task<'a>]) -> Result<(), Refusal> {
    allot_for(contexts, tasks, None).map(|_| ())
}

fn allot_for<'a>(
    contexts: &'a [Context<'a>],
    tasks: &mut [Task<'a>],
    forced: Option<&Forced>,
) -> Result<Outcome, Refusal> {
    let Some(context) = contexts.first() else { return Ok(Outcome::Done(Allotted::default())) };
    let mut pool = Pool::of(context, tasks);
    if forced.is_some() {
        // Charges that wait have no stretch here that asks for their buckets.
        for bucket in there_again(context.view, context.account.payer()).into_keys() {
            pool.look_at(context, bucket);
        }
    }
    let has_drawn = |job: &Job<'_>| job.charged.values().any(|charged| !charged.drawn.is_empty());
    if pool.by_id.is_empty() && !tasks.iter().flat_map(|task| &task.jobs).any(has_drawn) {
        return Ok(Outcome::Done(Allotted::default()));
    }
    let mut before: BTreeMap<(String, ChargeKey), Draws> = BTreeMap::new();
    let mut items = items(tasks, &mut before)?;
    take_back(context, &mut pool, &mut items, &before)?;
    if let Some(forced) = forced {
        let more = charged_elsewhere(contexts, tasks, &pool, forced)?;
        if !more.is_empty() {
            return Ok(Outcome::Again(more));
        }
    }
    if let Some(forced) = forced {
        waiting(tasks, forced, &mut items, &mut before)?;
    }
    items.sort_by(|one, other| one.order().cmp(&other.order()));
    credit(context, &mut pool, &mut items)?;
    draw(&mut pool, &mut items)?;
    let mut allotted = moves(context, &pool, &items, before)?;
    if forced.is_some() {
        allotted.missed = missed_now(context, &pool, &items)?;
    }
    take_off(tasks, items)?;
    Ok(Outcome::Done(allotted))
}

/// The usage that may draw, key by key; and what each key had drawn `before`.
fn items(
    tasks: &[Task<'_>],
    before: &mut BTreeMap<(String, ChargeKey), Draws>,
) -> Result<Vec<Item>, OutOfRange> {
    let mut items = Vec::new();
    for (task_index, task) in tasks.iter().enumerate() {
        let account = &task.context.account.id;
        for (job_index, job) in task.jobs.iter().enumerate() {
            for (key, charged) in &job.charged {
                if !charged.drawn.is_empty() {
                    before.insert((account.clone(), key.clone()), charged.drawn.clone());
                }
            }
            for (group_index, (group, quantities)) in job.groups.iter().enumerate() {
                for (index, (stretch, at)) in job.stretches.iter().zip(quantities).enumerate() {
                    let Some(meter) = drawn_meter(task.context, stretch) else { continue };
                    let size =
                        stretch.catalogue.meters.get(meter).map_or(Exact::ONE, |meter| meter.unit_size);
                    let binds = stretch.charge.binds(stretch.plan).iter();
                    let own = &task.subscription.attributes;
                    let bound: BTreeMap<String, String> =
                        binds.filter_map(|name| Some((name.clone(), own.get(name)?.clone()))).collect();
                    let mut left = at.total;
                    for (number, (split, quantity)) in at.splits.iter().enumerate() {
                        // What rounding a sum added is the last one's.
                        let last = number + 1 == at.splits.len();
                        let measured = if last { left } else { quantity.div(size)? };
                        left = left.sub(measured)?;
                        let key = key_of(task.subscription, stretch, job.part.period, group, split.clone());
                        let known = job.charged.get(&key);
                        let charged = known.map_or(Ok(Exact::ZERO), Charged::past_packages)?;
                        items.push(Item {
                            place: (task_index, job_index, group_index, index),
                            account: account.clone(),
                            span: stretch.span,
                            meter: (stretch.catalogue.id.clone(), meter.to_owned()),
                            bound: bound.clone(),
                            measured,
                            charged,
                            drawn: known.map(|known| known.drawn.clone()).unwrap_or_default(),
                            unit_size: size,
                            key,
                        });
                    }
                }
            }
        }
    }
    Ok(items)
}

/// Less usage than before takes charged units back first, then gives drawn ones back.
fn take_back<'a>(
    context: &'a Context<'a>,
    pool: &mut Pool<'a>,
    items: &mut [Item],
    before: &BTreeMap<(String, ChargeKey), Draws>,
) -> Result<(), OutOfRange> {
    let mut known: BTreeSet<(&str, &ChargeKey)> = BTreeSet::new();
    let mut back: Vec<(String, Exact)> = Vec::new();
    for item in items.iter_mut() {
        let had = item.drawn_units()?.add(item.charged)?;
        if item.measured >= had {
            continue;
        }
        let mut less = had.sub(item.measured.max(Exact::ZERO))?;
        let uncharged = less.min(item.charged.max(Exact::ZERO));
        item.charged = item.charged.sub(uncharged)?;
        less = less.sub(uncharged)?;
        // The bucket that was drawn last is given back first.
        let rank = |id: &String| context.view.bucket(context.account.payer(), id).map(Bucket::rank);
        let mut drawn: Vec<(String, Exact)> =
            item.drawn.iter().map(|(id, units)| (id.clone(), *units)).collect();
        drawn.sort_by(|(one, _), (other, _)| rank(other).cmp(&rank(one)));
        for (bucket, units) in drawn {
            let part = units.min(less);
            if part > Exact::ZERO {
                less = less.sub(part)?;
                item.draw(&bucket, Exact::ZERO.sub(part)?)?;
                back.push((bucket, part));
            }
        }
    }
    known.extend(items.iter().map(|item| (item.account.as_str(), &item.key)));
    for ((account, key), drawn) in before {
        if !known.contains(&(account.as_str(), key)) {
            back.extend(drawn.iter().map(|(bucket, units)| (bucket.clone(), *units)));
        }
    }
    for (bucket, units) in back {
        pool.give_back(context, &bucket, units)?;
    }
    Ok(())
}

/// Charges that are not looked at wholly and have units charged past a bucket that was given units
/// back: they come first.
fn charged_elsewhere(
    contexts: &[Context<'_>],
    tasks: &[Task<'_>],
    pool: &Pool<'_>,
    forced: &Forced,
) -> Result<Forced, Refusal> {
    let mut more = Forced::new();
    for pooled in pool.by_id.values().filter(|pooled| pooled.freed > Exact::ZERO) {
        let bucket = pooled.bucket;
        for context in contexts {
            for name in context.view.subscriptions(&context.account.id) {
                let subscription = context.view.subscription(&context.account.id, &name);
                let Some(subscription) = subscription.filter(|one| one.catalogue == bucket.catalogue) else {
                    continue;
                };
                for (charge, ..) in charges_of(context.catalogues, &Rhythm::of(subscription)) {
                    let id = (context.account.id.clone(), name.clone(), charge);
                    let of_task = tasks.iter().find(|task| {
                        (&task.context.account.id, &task.subscription.name, &task.charge)
                            == (&id.0, &id.1, &id.2)
                    });
                    // One that is not due yet keeps in mind what must be rated again.
                    if forced.contains_key(&id) {
                        continue;
                    }
                    let from = of_task.filter(|task| !task.waits).and_then(|task| task.work.recheck);
                    if let Some(first) = first_charged_past(context, subscription, &id.2, pooled)?
                        && from.is_none_or(|from| first < from)
                    {
                        let earliest = more.entry(id).or_insert(first);
                        *earliest = first.min(*earliest);
                    }
                }
            }
        }
    }
    Ok(more)
}

/// The first settled stretch of a charge inside a bucket's span that was charged past it.
fn first_charged_past(
    context: &Context<'_>,
    subscription: &Subscription,
    charge: &str,
    pooled: &Pooled<'_>,
) -> Result<Option<Instant>, OutOfRange> {
    let bucket = pooled.bucket;
    let start = bucket.span.start.max(subscription.start);
    let settled = subscription.settled.get(charge).copied().unwrap_or(subscription.start);
    let until = bucket.span.end.min(settled);
    let draws = |at: Instant| {
        in_force(context.catalogues, subscription, charge, at).is_some_and(|(_, _, charge)| {
            charge.draws && matches!(&charge.measure, Measure::Meter(meter) if *meter == bucket.meter)
        })
    };
    if !changes(context.catalogues, subscription).chain([start]).any(draws) {
        return Ok(None);
    }
    for period in accumulations(context.catalogues, subscription, charge, Span { start, end: until }) {
        let account = &context.account.id;
        for (key, charged) in context.view.charged(account, &subscription.name, charge, period.start) {
            let span = Span { start: key.start, end: key.start };
            let inside = bucket.span.contains(key.start) && bucket.serves(pooled.shares, account, span);
            if inside && charged.past_packages()? > Exact::ZERO && draws(key.start) {
                return Ok(Some(key.start));
            }
        }
    }
    Ok(None)
}

/// Units given back now, or let go by sessions that held them, first credit usage that was charged
/// past their bucket, the earliest first.
fn credit(context: &Context<'_>, pool: &mut Pool<'_>, items: &mut [Item]) -> Result<(), OutOfRange> {
    let again = there_again(context.view, context.account.payer());
    let was_displaced = |bucket: &str, item: &Item| {
        let charge = (item.account.clone(), item.key.subscription.clone(), item.key.charge.clone());
        let from = again.get(bucket).and_then(|missed| missed.get(&charge));
        from.is_some_and(|from| *from <= item.key.start)
    };
    for item in items.iter_mut().filter(|item| item.charged > Exact::ZERO) {
        let Some(order) = pool.order.get(&item.meter) else { continue };
        for id in order.values() {
            let Some(pooled) = pool.by_id.get_mut(id) else { continue };
            if item.charged <= Exact::ZERO {
                break;
            }
            if !item.fits(pooled) {
                continue;
            }
            let freed = pooled.freed.min(item.charged);
            pooled.freed = pooled.freed.sub(freed)?;
            item.charged = item.charged.sub(freed)?;
            // What is there for another reason, such as a late renewal, leaves decided what was charged.
            let is_theirs = !pooled.expired && was_displaced(id, item);
            let there = if is_theirs { pooled.available.min(item.charged) } else { Exact::ZERO };
            pooled.available = pooled.available.sub(there)?;
            item.charged = item.charged.sub(there)?;
            let units = freed.add(there)?;
            if !units.is_zero() {
                item.draw(id, units)?;
            }
        }
    }
    for pooled in pool.by_id.values_mut().filter(|pooled| !pooled.expired) {
        pooled.available = pooled.available.add(pooled.freed)?;
        pooled.freed = Exact::ZERO;
    }
    Ok(())
}

/// What is new draws what is available, in the order of R-PKG-1.
fn draw(pool: &mut Pool<'_>, items: &mut [Item]) -> Result<(), OutOfRange> {
    for pooled in pool.by_id.values() {
        let meter = (pooled.bucket.catalogue.clone(), pooled.bucket.meter.clone());
        let empty = pooled.expired || pooled.available <= Exact::ZERO;
        if let (true, Some(order)) = (empty, pool.order.get_mut(&meter)) {
            order.remove(&pooled.bucket.rank());
        }
    }
    for item in items.iter_mut() {
        let mut left = item.measured.sub(item.drawn_units()?)?.sub(item.charged)?;
        let Some(order) = pool.order.get_mut(&item.meter) else { continue };
        let mut emptied = Vec::new();
        for (rank, id) in order.iter() {
            if left <= Exact::ZERO {
                break;
            }
            let Some(pooled) = pool.by_id.get_mut(id).filter(|pooled| item.fits(pooled)) else { continue };
            let units = left.min(pooled.available);
            pooled.available = pooled.available.sub(units)?;
            left = left.sub(units)?;
            item.draw(id, units)?;
            if pooled.available.is_zero() {
                emptied.push(*rank);
            }
        }
        for rank in emptied {
            order.remove(&rank);
        }
    }
    Ok(())
}

/// Charges of usage that went past a bucket while sessions held what was left of it: some of that is
/// there again, and credits them first.
pub(super) fn missed_before(contexts: &[Context<'_>]) -> Forced {
    let mut forced = Forced::new();
    let Some(context) = contexts.first() else { return forced };
    for charges in there_again(context.view, context.account.payer()).into_values() {
        for (charge, from) in charges {
            let earliest = forced.entry(charge.clone()).or_insert(*from);
            *earliest = (*earliest).min(*from);
        }
    }
    forced
}

/// The charges that went past each bucket that has units again.
pub(super) fn there_again<'a>(view: &'a dyn View, payer: &str) -> BTreeMap<&'a str, &'a Missed> {
    let again = |bucket: &str| {
        let known = view.bucket(payer, bucket).filter(|bucket| !view.is_expired(payer, bucket));
        known.is_some() && view.units(payer, bucket).available > Exact::ZERO
    };
    view.missed(payer).into_iter().filter(|(bucket, _)| again(bucket)).collect()
}

/// What goes past each bucket now, while sessions hold what is left of it. Of a bucket that had
/// units again, what went past it before was looked at.
fn missed_now(
    context: &Context<'_>,
    pool: &Pool<'_>,
    items: &[Item],
) -> Result<BTreeMap<String, Missed>, OutOfRange> {
    let (view, payer) = (context.view, context.account.payer());
    let again = there_again(context.view, context.account.payer());
    let mut missed: BTreeMap<String, Missed> =
        again.keys().map(|bucket| ((*bucket).to_owned(), Missed::new())).collect();
    let is_held =
        |pooled: &&Pooled<'_>| !pooled.expired && view.units(payer, &pooled.bucket.id).held > Exact::ZERO;
    for pooled in pool.by_id.values().filter(is_held) {
        let id = &pooled.bucket.id;
        for item in items {
            let of_meter = item.meter.0 == pooled.bucket.catalogue && item.meter.1 == pooled.bucket.meter;
            if !of_meter || !item.fits(pooled) || item.measured <= item.drawn_units()? {
                continue;
            }
            let before = || view.missed(payer).into_iter().find(|(known, _)| known == id);
            let before = || before().map(|(_, charges)| charges.clone()).unwrap_or_default();
            let charges = missed.entry(id.clone()).or_insert_with(before);
            let charge = (item.account.clone(), item.key.subscription.clone(), item.key.charge.clone());
            let earliest = charges.entry(charge).or_insert(item.key.start);
            *earliest = (*earliest).min(item.key.start);
        }
    }
    Ok(missed)
}

/// The draws, their postings, and the alerts that they bring about.
fn moves(
    context: &Context<'_>,
    pool: &Pool<'_>,
    items: &[Item],
    before: BTreeMap<(String, ChargeKey), Draws>,
) -> Result<Allotted, OutOfRange> {
    let mut changed = before;
    for drawn in changed.values_mut() {
        for units in drawn.values_mut() {
            *units = Exact::ZERO.sub(*units)?;
        }
    }
    for item in items.iter().filter(|item| !item.drawn.is_empty()) {
        let drawn = changed.entry((item.account.clone(), item.key.clone())).or_default();
        for (bucket, units) in &item.drawn {
            let more = drawn.entry(bucket.clone()).or_default();
            *more = more.add(*units)?;
        }
    }
    let mut allotted = Allotted::default();
    let mut net: Draws = Draws::new();
    let waiting = items.iter().filter(|item| item.is_waiting());
    let waiting: BTreeSet<(&str, &ChargeKey)> =
        waiting.map(|item| (item.account.as_str(), &item.key)).collect();
    for ((account, key), drawn) in changed {
        for (bucket, units) in drawn.into_iter().filter(|(_, units)| !units.is_zero()) {
            let sum = net.entry(bucket.clone()).or_default();
            *sum = sum.add(units)?;
            let draw = Draw { account: account.clone(), key: key.clone(), bucket, units };
            if waiting.contains(&(account.as_str(), &key)) {
                allotted.credited.push(draw.clone());
            }
            allotted.draws.push(draw);
        }
    }
    for (id, units) in net {
        let Some(pooled) = pool.by_id.get(id.as_str()) else { continue };
        let bucket = pooled.bucket;
        let posting = if units.is_negative() {
            let to = if pooled.expired { QuotaSide::Expired } else { QuotaSide::Available };
            bucket.posting(context.at, "given back to", (QuotaSide::Drawn, to), Exact::ZERO.sub(units)?)
        } else {
            bucket.posting(context.at, "drawn from", (QuotaSide::Available, QuotaSide::Drawn), units)
        };
        allotted.postings.extend(posting);
        if units > Exact::ZERO {
            let now = context.view.units(context.account.payer(), &id);
            let left = now.left()?.sub(units)?;
            allotted.alerts.extend(alerts(context.view, context.account.payer(), bucket, left, now.granted)?);
        }
    }
    Ok(allotted)
}

/// The alerts of a bucket that are due at what is left, each at most once (R-PKG-4).
pub(crate) fn alerts(
    view: &dyn View,
    payer: &str,
    bucket: &Bucket,
    left: Exact,
    granted: Exact,
) -> Result<Vec<(String, usize, Exact)>, OutOfRange> {
    let mut due = Vec::new();
    for (index, alert) in bucket.alerts.iter().enumerate() {
        let given = view.is_alerted(payer, &bucket.id, index);
        if !given && is_due(alert, left, granted)? {
            due.push((bucket.id.clone(), index, left));
        }
    }
    Ok(due)
}

/// Takes what was drawn off the quantities that are rated.
fn take_off(tasks: &mut [Task<'_>], items: Vec<Item>) -> Result<(), OutOfRange> {
    for item in items {
        let drawn = item.drawn_units()?;
        let (task, job, group, stretch) = item.place;
        let Some(job) = tasks.get_mut(task).and_then(|task| task.jobs.get_mut(job)) else { continue };
        let all = job.stretches.get(stretch).is_some_and(|stretch| stretch.charge.tiers_count_all);
        let Some(at) = job.groups.get_mut(group).and_then(|(_, at)| at.get_mut(stretch)) else { continue };
        at.total = at.total.sub(drawn)?;
        if all {
            at.covered = at.covered.add(drawn)?;
        }
        if let Some(quantity) = at.splits.get_mut(&item.key.split) {
            *quantity = quantity.sub(drawn.mul(item.unit_size)?)?.max(Exact::ZERO);
        }
        let drawn = item.drawn.into_iter().filter(|(_, units)| !units.is_zero());
        at.drawn.insert(item.key.split, drawn.collect());
    }
    Ok(())
}

/// What was drawn for a key by lines so far, and what it is now, as differences.
pub(super) fn line_draws(now: &Draws, before: &Charged) -> Result<Draws, OutOfRange> {
    let mut more = now.clone();
    for (bucket, units) in &before.shown {
        let one = more.entry(bucket.clone()).or_default();
        *one = one.sub(*units)?;
    }
    more.retain(|_, units| !units.is_zero());
    Ok(more)
}
