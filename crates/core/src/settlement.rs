//! Settlement: what the facts known now say a period should cost, less what was charged for it.
//!
//! For each accumulation (the month of a number, the hour of an API) the whole charge is computed
//! from quantities and prices, stretch by stretch, and compared with what was charged under the
//! same key. Late usage, a void, a seat removed backwards, a price cut: all are such a difference,
//! and settling twice gives nothing the second time (R-LATE-1).

use crate::account::{AccountHead, AgreedPrice, View};
use crate::bill::{ChargeKey, Charged, Line, PriceBasis, Split};
use crate::calendar::{Instant, Span};
use crate::catalog::{Catalogue, Charge, Measure, Model, Plan, Pricing, Settle};
use crate::engine::{Catalogues, Refusal, just_before};
use crate::explain::{self, Wording};
use crate::metering::Metering;
use crate::money::{Amount, Currency, Exact, OutOfRange};
use crate::package::Draws;
use crate::quantity::{self, Quantities};
use crate::rating::{self, Increment, Step};
use crate::subscription::{Levels, Progress, Subscription};
use std::collections::BTreeMap;
use std::rc::Rc;

mod accumulation;
mod between;
mod cycles;
mod draw;
mod line;
mod part;
mod price;
mod session;

use accumulation::{accumulation, accumulations, changes};
pub(crate) use between::between;
pub(crate) use cycles::next_due;
use cycles::{Rhythms, charges_of};
pub(crate) use draw::{Allotted, alerts};
use line::{difference, reversal};
use part::{Part, Units};
pub(crate) use price::{best_net, best_percent};
use price::{discounted, share_out};
pub(crate) use session::Taking;

/// Everything that a settlement reads.
pub(crate) struct Context<'a> {
    pub view: &'a dyn View,
    pub catalogues: &'a Catalogues,
    pub metering: &'a Metering,
    pub account: &'a AccountHead,
    /// The moment up to which it settles.
    pub at: Instant,
    /// Whether every cycle is taken to end now.
    pub preview: bool,
    /// The earliest time of usage counted since the last settlement.
    pub late: Option<Instant>,
    /// Who may take which usage.
    pub takers: quantity::Takers<'a>,
    /// Levels found on the way, by subscription and charge.
    pub levels: quantity::Openings,
    /// Where packages cut time.
    pub cuts: draw::Cuts,
}

impl<'a> Context<'a> {
    /// For a settlement of an account up to a moment, with no usage counted late.
    pub(crate) fn of(
        view: &'a dyn View,
        catalogues: &'a Catalogues,
        metering: &'a Metering,
        account: &'a AccountHead,
        at: Instant,
    ) -> Context<'a> {
        let (takers, levels, cuts) = Default::default();
        Context { view, catalogues, metering, account, at, preview: false, late: None, takers, levels, cuts }
    }
}

/// Up to when a charge is settled, and from when it must be rated again.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The account.
    pub account: String,
    /// The subscription.
    pub subscription: String,
    /// The charge.
    pub charge: String,
    /// Settled up to here.
    pub settled: Instant,
    /// A settled time that a fact has touched since, left for the charge's next settlement.
    pub recheck: Option<Instant>,
    /// What the running accumulation has come to.
    pub progress: Option<Progress>,
    /// The levels at its start, of a time-weighted charge.
    pub levels: Option<Levels>,
}

/// What a settlement comes to.
pub(crate) struct Settled {
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
    /// Subscriptions that have ended and are settled to their end.
    pub closed: Vec<(String, String)>,
    /// What was drawn from packages.
    pub drawn: Allotted,
}

/// A stretch of an accumulation that has one price and lies in one settlement cycle.
pub(crate) struct Stretch<'a> {
    pub span: Span,
    /// The settlement cycle around it.
    pub cycle: Span,
    pub catalogue: &'a Catalogue,
    pub plan: &'a Plan,
    pub charge: &'a Charge,
    /// The negotiated price in force (R-NEG-1).
    pub agreed: Option<Pricing>,
}

/// What a key should have been charged, with what a line needs to say.
struct Should<'a> {
    stretch: &'a Stretch<'a>,
    quantity: Exact,
    free: Exact,
    drawn: Draws,
    list: Amount,
    amount: Amount,
    unit_price: Option<Exact>,
    basis: PriceBasis,
    unit: String,
    wording: Wording,
    /// All steps of the accumulation, and which of them this is.
    steps: Steps<'a>,
    index: usize,
}

type Steps<'a> = Rc<[(&'a Stretch<'a>, Increment)]>;

impl Should<'_> {
    /// The wording; under a volume price with what the accumulation costs with and without it.
    fn wording(&self, currency: Currency) -> Wording {
        let words = |until: usize| explain::volume(&self.steps, until, currency);
        let by_volume = matches!(self.stretch.charge.pricing.model, Model::Volume(_));
        let volume = by_volume.then(|| (words(self.index + 1), words(self.index)));
        Wording { volume, ..self.wording.clone() }
    }
}

/// A charge that is settled now.
struct Task<'a> {
    context: &'a Context<'a>,
    subscription: &'a Subscription,
    charge: String,
    work: Work,
    jobs: Vec<Job<'a>>,
    /// It is not due yet: what must be rated again is remembered until it is.
    waits: bool,
}

/// An accumulation of a charge that is settled now.
struct Job<'a> {
    part: Part,
    stretches: Vec<Stretch<'a>>,
    groups: Vec<(quantity::Group, Vec<Quantities>)>,
    /// What was charged for it and drawn by it before, as far as it is looked at.
    charged: BTreeMap<ChargeKey, Charged>,
}

/// From when charges must be rated again besides: by account, subscription and charge.
type Forced = BTreeMap<(String, String, String), Instant>;

/// Settles what is due for a payer and its members: first all quantities are measured, then they
/// draw from packages, then what is left is rated. `late`: the earliest time of usage counted since
/// the last settlement. Line ids are numbered from `first_line` under `bill_id`.
pub(crate) fn settle<'a>(
    contexts: &'a [Context<'a>],
    bill_id: &str,
    first_line: usize,
) -> Result<Settled, Refusal> {
    let mut forced = draw::missed_before(contexts);
    let (tasks, closed, drawn) = loop {
        let (mut tasks, mut closed) = (Vec::new(), Vec::new());
        for context in contexts {
            closed.extend(tasks_of(context, &forced, &mut tasks)?);
        }
        match draw::allot(contexts, &mut tasks, &forced)? {
            draw::Outcome::Done(drawn) => break (tasks, closed, drawn),
            // Freed units are first credited to charges that are not looked at yet.
            draw::Outcome::Again(more) => forced.extend(more),
        }
    };
    let mut lines = Vec::with_capacity(tasks.iter().map(|task| task.jobs.len()).sum());
    let mut marks = Vec::with_capacity(tasks.len());
    for task in &tasks {
        let mut progress = None;
        for job in &task.jobs {
            let mut post = |line| {
                lines.push(Line { id: format!("{bill_id}-{}", first_line + lines.len()), ..line });
            };
            let units = settle_job(task, job, &mut post)?;
            let period = job.part.period;
            progress =
                (period.end > task.context.at).then_some(Progress { accumulation: period.start, units });
        }
        marks.push(task.mark(progress));
    }
    Ok(Settled { lines, marks, closed, drawn })
}

/// The charges of an account that are settled now, measured; answers the subscriptions that are
/// settled to their end with it.
fn tasks_of<'a>(
    context: &'a Context<'a>,
    forced: &Forced,
    tasks: &mut Vec<Task<'a>>,
) -> Result<Vec<(String, String)>, Refusal> {
    let account = &context.account.id;
    let mut closed = Vec::new();
    let mut known = Rhythms::default();
    let again = forced.iter().filter(|((of, ..), _)| of == account).map(|(_, from)| *from);
    let since = context.late.into_iter().chain(again).min().unwrap_or(Instant::MAX);
    for subscription in context.view.subscriptions_since(account, since) {
        let name = &subscription.name;
        let end = subscription.charged_span().end;
        let mut open = end > context.at;
        for (charge, zone, cycle) in known.charges_of(context.catalogues, subscription).iter() {
            let charge = charge.clone();
            let again = forced.get(&(account.clone(), name.clone(), charge.clone())).copied();
            let work = Work::of(subscription, &charge, context.late.into_iter().chain(again).min());
            let due = context.preview || zone.cycle(*cycle, context.at).start == context.at;
            let mut jobs = Vec::new();
            if !due || work.nothing_until(context.at, subscription) {
                open |= work.settled < end || work.recheck.is_some();
                if !due && work.recheck.is_some() {
                    tasks.push(Task { context, subscription, charge, work, jobs, waits: true });
                }
                continue;
            }
            let from = work.recheck.map_or(work.settled, |recheck| recheck.min(work.settled));
            let start = from.max(subscription.charged_span().start);
            let mut until = context.at.min(subscription.charged_span().end);
            if work.recheck.is_some() {
                // What was charged past an end that lies in the past is given back.
                until = until.max(work.settled);
            }
            let within = Span { start, end: until };
            for period in accumulations(context.catalogues, subscription, &charge, within) {
                let part = Part::of(context, subscription, &charge, period, &work);
                jobs.push(Job::measured(context, subscription, &charge, part)?);
            }
            tasks.push(Task { context, subscription, charge, work, jobs, waits: false });
        }
        if !open {
            closed.push((account.clone(), name.clone()));
        }
    }
    Ok(closed)
}

impl Task<'_> {
    /// How far the charge is settled after it.
    fn mark(&self, progress: Option<Progress>) -> Mark {
        let Task { context, subscription, charge, work, waits, .. } = self;
        Mark {
            account: context.account.id.clone(),
            subscription: subscription.name.clone(),
            charge: charge.clone(),
            settled: if *waits { work.settled } else { context.at.max(work.settled) },
            recheck: work.recheck.filter(|_| *waits),
            progress: if *waits { subscription.progress.get(charge).cloned() } else { progress },
            levels: if *waits { None } else { context.levels.take(&subscription.name, charge) },
        }
    }
}

impl<'a> Job<'a> {
    fn measured(
        context: &'a Context<'a>,
        subscription: &'a Subscription,
        charge: &str,
        part: Part,
    ) -> Result<Job<'a>, Refusal> {
        let stretches = stretches(context, subscription, charge, &part);
        let groups = quantity::measure(context, subscription, &stretches, part.period, &part.before)?;
        let whole = part.from == part.period.start;
        let draws = || stretches.iter().any(|stretch| draw::may_draw(context, stretch));
        let charged = if whole || draws() {
            // Of what is new, a session may have drawn from packages already.
            let (account, start) = (&context.account.id, part.period.start);
            let from = if whole { Instant::MIN } else { part.from };
            context.view.charged_since(account, &subscription.name, charge, start, from)
        } else {
            Vec::new()
        };
        // What sessions have drawn since is for the settlement after this one.
        let charged = charged.into_iter().filter(|(key, _)| key.start < context.at).collect();
        Ok(Job { part, stretches, groups, charged })
    }
}

/// How far a charge is settled.
struct Work {
    settled: Instant,
    recheck: Option<Instant>,
}

impl Work {
    fn of(subscription: &Subscription, charge: &str, late_from: Option<Instant>) -> Work {
        let settled = subscription.settled.get(charge).copied();
        let settled = settled.unwrap_or(subscription.charged_span().start);
        let late = late_from.filter(|late| *late < settled && *late < subscription.charged_span().end);
        let known = subscription.recheck.get(charge).copied();
        Work { settled, recheck: known.into_iter().chain(late).min() }
    }

    fn nothing_until(&self, at: Instant, subscription: &Subscription) -> bool {
        self.recheck.is_none() && (self.settled >= at || self.settled >= subscription.charged_span().end)
    }
}

/// The price list, plan and charge in force for a subscription at a moment.
pub(crate) fn in_force<'a>(
    catalogues: &'a Catalogues,
    subscription: &Subscription,
    charge: &str,
    at: Instant,
) -> Option<(&'a Catalogue, &'a Plan, &'a Charge)> {
    let (catalogue, plan) = catalogues.charging(subscription, subscription.plan_at(at), at)?;
    let charge = plan.charge(charge).filter(|charge| charge.modes.contains(&subscription.mode))?;
    Some((catalogue, plan, charge))
}

/// The prices negotiated for a charge, in the order of agreement.
fn agreed<'a>(
    account: &'a AccountHead,
    subscription: &Subscription,
    charge: &str,
) -> impl DoubleEndedIterator<Item = &'a AgreedPrice> + Clone + use<'a> {
    let plans: Vec<String> = subscription.plans().map(str::to_owned).collect();
    let charge = charge.to_owned();
    account.prices.iter().filter(move |price| price.charge == charge && plans.contains(&price.plan))
}

/// Posts the difference for an accumulation; answers the units it has come to, by group.
fn settle_job(task: &Task<'_>, job: &Job<'_>, post: &mut dyn FnMut(Line)) -> Result<Units, Refusal> {
    let (context, subscription) = (task.context, task.subscription);
    let (should, units) = what_it_should_be(context, subscription, job)?;
    let mut charged: BTreeMap<&ChargeKey, &Charged> = job.charged.iter().collect();
    let nothing = Charged::default();
    for (key, should) in &should {
        let before = charged.remove(key).unwrap_or(&nothing);
        let late = should.stretch.cycle.end <= task.work.settled;
        if let Some(line) = difference(context, key, should, before, late)? {
            post(line);
        }
    }
    // What was charged for stretches that are no more, such as after a removal in the past.
    for (key, before) in charged {
        if let Some(line) = reversal(context, subscription, key, before)? {
            post(line);
        }
    }
    Ok(units)
}

/// Cuts the active part of an accumulation where its price or its settlement cycle changes.
fn stretches<'a>(
    context: &Context<'a>,
    subscription: &Subscription,
    charge_id: &str,
    part: &Part,
) -> Vec<Stretch<'a>> {
    let open = Span { start: part.from, end: context.at };
    // The moment of the end is one of units that came in it. Usage ends with the subscription.
    let (mut life, end) = (subscription.charged_span(), subscription.span().end);
    if life.start < end && end < life.end {
        let last = in_force(context.catalogues, subscription, charge_id, just_before(end));
        if last.is_some_and(|(.., charge)| matches!(charge.measure, Measure::Meter(_))) {
            life.end = end;
        }
    }
    let active = part.period.intersect(life).and_then(|span| span.intersect(open));
    let Some(active) = active else { return Vec::new() };
    let agreed = agreed(context.account, subscription, charge_id);
    let mut cuts: Vec<Instant> = context
        .catalogues
        .versions(&subscription.catalogue)
        .filter_map(|version| version.effective)
        .collect();
    cuts.extend(draw::cuts(context, subscription, charge_id, active));
    // A price for a plan that is not had at the time divides nothing.
    cuts.extend(agreed.clone().flat_map(|price| {
        let Span { start, end } = price.valid;
        let is_had = |at| subscription.plan_at(at) == price.plan;
        [(start, is_had(start)), (end, is_had(just_before(end)))]
            .into_iter()
            .filter_map(|(cut, matters)| matters.then_some(cut))
    }));
    cuts.extend(subscription.earlier.iter().map(|(_, until)| *until));
    cuts.sort();
    let mut stretches = Vec::new();
    let mut at = active.start;
    while at < active.end {
        let next_cut = cuts.iter().copied().find(|cut| *cut > at).unwrap_or(active.end);
        let mut end = next_cut.min(active.end);
        if let Some((catalogue, plan, charge)) = in_force(context.catalogues, subscription, charge_id, at)
            && let Settle::Each(cycle) = charge.settle
        {
            let is_metered = matches!(charge.measure, Measure::Meter(_));
            let frozen = is_metered && subscription.is_frozen(at);
            let cycle = catalogue.zone.cycle(cycle, at);
            end = end.min(cycle.end);
            if is_metered {
                // Usage is charged up to a freeze and from its end on. Of units held, the days are the cut.
                let cuts = subscription.frozen.iter().flat_map(|span| [span.start, span.end]);
                end = cuts.filter(|cut| at < *cut).fold(end, Instant::min);
            }
            // Of several prices agreed for one time, the latest agreement holds.
            let agreed = agreed
                .clone()
                .rev()
                .find(|price| price.plan == plan.id && price.valid.contains(at))
                .and_then(|price| charge.pricing.model.at_price(price.price))
                .map(|model| Pricing { model, ..charge.pricing.clone() });
            if !frozen {
                let span = Span { start: at, end };
                stretches.push(Stretch { span, cycle, catalogue, plan, charge, agreed });
            }
        }
        at = end;
    }
    stretches
}

/// What each key of a part should have been charged, all usage and orders considered; and the
/// units of the accumulation after it.
fn what_it_should_be<'a>(
    context: &Context<'_>,
    subscription: &Subscription,
    job: &'a Job<'_>,
) -> Result<(BTreeMap<ChargeKey, Should<'a>>, Units), Refusal> {
    let (part, period, stretches) = (&job.part, job.part.period, job.stretches.as_slice());
    let mut should = BTreeMap::new();
    let mut units = part.before.clone();
    let closed = context.at >= period.end.min(subscription.charged_span().end);
    for (group, quantities) in &job.groups {
        let before = part.before.get(group).copied().unwrap_or(Exact::ZERO);
        let total = quantities
            .iter()
            .try_fold(before, |sum, quantity| sum.add(quantity.total)?.add(quantity.covered))?;
        units.insert(group.clone(), total);
        let runs = runs(stretches, quantities);
        let charges = charges_of_group(stretches, group, quantities, &runs, before, closed)?;
        let mut steps: Vec<(Steps<'_>, usize)> = vec![(Steps::from([]), 0); stretches.len()];
        for run in runs {
            let step = |place: &usize| Some((&stretches[*place], charges[*place].0?));
            let all: Steps<'_> = run.iter().filter_map(step).collect();
            for (index, place) in run.into_iter().enumerate() {
                steps[place] = (all.clone(), index);
            }
        }
        for (index, ((stretch, at_stretch), (list, agreed))) in
            stretches.iter().zip(quantities).zip(&charges).enumerate()
        {
            let Some(list) = *list else { continue };
            let whole =
                at_stretch.splits.values().try_fold(Exact::ZERO, |sum, quantity| sum.add(*quantity))?;
            let net = discounted(context, stretch, &list, agreed.as_ref())?;
            let shares = share_out(&list, net.amount, at_stretch)?;
            for (split, share) in shares {
                let part = at_stretch.splits.get(&split).copied().unwrap_or(whole);
                let shared = at_stretch.splits.len() > 1 && !whole.is_zero();
                let drawn = at_stretch.drawn.get(&split).cloned().unwrap_or_default();
                let key = key_of(subscription, stretch, period, group, split);
                let unit_price = match (&stretch.charge.pricing.model, &stretch.agreed) {
                    (_, Some(Pricing { model: Model::PerUnit(price), .. })) if net.is_agreed => Some(*price),
                    (Model::PerUnit(price), _) => Some(*price),
                    _ => None,
                };
                let wording = Wording {
                    increment: list,
                    group: group.clone(),
                    parts: at_stretch.parts.clone(),
                    days: at_stretch.days,
                    discount: net.reason.clone(),
                    share: shared.then_some((part, whole)),
                    volume: None,
                    deck: at_stretch.deck.clone(),
                };
                let (steps, index) = steps[index].clone();
                should.insert(
                    key,
                    Should {
                        stretch,
                        quantity: share.charged.mul(at_stretch.units_per_price)?,
                        free: share.free.mul(at_stretch.units_per_price)?,
                        drawn,
                        list: share.list,
                        amount: share.amount,
                        unit_price,
                        basis: PriceBasis {
                            per: at_stretch.per.clone(),
                            units: at_stretch.units_per_price,
                            model: explain::model_name(&stretch.charge.pricing.model).into(),
                        },
                        unit: at_stretch.unit.clone(),
                        wording,
                        steps,
                        index,
                    },
                );
            }
        }
    }
    Ok((should, units))
}

/// The key of a split of a group in a stretch.
fn key_of(
    subscription: &Subscription,
    stretch: &Stretch<'_>,
    period: Span,
    group: &quantity::Group,
    split: Split,
) -> ChargeKey {
    ChargeKey {
        subscription: subscription.name.clone(),
        charge: stretch.charge.id.clone(),
        accumulation: period.start,
        start: stretch.span.start,
        group: group.clone(),
        split,
    }
}

/// For each stretch the charge at list prices and, where there are any, at negotiated ones.
type Charges = Vec<(Option<Increment>, Option<Increment>)>;

/// The charges of a group: by a rate deck or by the price model, as each stretch says. `runs`: see [`runs`].
fn charges_of_group(
    stretches: &[Stretch<'_>],
    group: &quantity::Group,
    quantities: &[Quantities],
    runs: &[Vec<usize>],
    before: Exact,
    closed: bool,
) -> Result<Charges, Refusal> {
    let mut charges = model_charges(stretches, quantities, runs, before, closed)?;
    for (known, by_deck) in charges.iter_mut().zip(deck_charges(stretches, group, quantities)?) {
        if by_deck.0.is_some() {
            *known = by_deck;
        }
    }
    Ok(charges)
}

/// The places of the stretches that price a group's units, those that count the same kind of units together.
fn runs(stretches: &[Stretch<'_>], quantities: &[Quantities]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for (place, (stretch, at)) in stretches.iter().zip(quantities).enumerate() {
        if !at.is_measured || stretch.is_by_deck() {
            continue;
        }
        match runs.last_mut() {
            Some(run) if stretches[run[0]].counts_like(stretch) => run.push(place),
            _ => runs.push(vec![place]),
        }
    }
    runs
}

/// Charges by the price model, on top of the units charged before.
fn model_charges(
    stretches: &[Stretch<'_>],
    quantities: &[Quantities],
    runs: &[Vec<usize>],
    before: Exact,
    closed: bool,
) -> Result<Charges, Refusal> {
    let mut charges: Charges = vec![(None, None); stretches.len()];
    let places: Vec<usize> = runs.iter().flatten().copied().collect();
    let rate = |agreed: bool| -> Result<Vec<Increment>, OutOfRange> {
        let step = |place: &usize| Step {
            quantity: quantities[*place].total,
            covered: quantities[*place].covered,
            pricing: price(&stretches[*place], agreed),
        };
        let mut steps: Vec<Vec<Step<'_>>> = runs.iter().map(|run| run.iter().map(step).collect()).collect();
        // What was charged before counts as a step of its own, which nobody is charged again.
        if let Some(first) = steps.first_mut() {
            first.insert(0, Step { quantity: before, covered: Exact::ZERO, ..first[0] });
        }
        let steps: Vec<&[Step<'_>]> = steps.iter().map(Vec::as_slice).collect();
        let mut increments = rating::rate_runs(&steps, closed)?;
        increments.drain(..increments.len().min(1));
        Ok(increments)
    };
    for (place, increment) in places.iter().zip(rate(false)?) {
        charges[*place].0 = Some(increment);
    }
    if stretches.iter().any(|stretch| stretch.agreed.is_some()) {
        for (place, increment) in places.iter().zip(rate(true)?) {
            charges[*place].1 = Some(increment);
        }
    }
    Ok(charges)
}

/// The list price of a stretch, or the negotiated one where there is one.
fn price<'s>(stretch: &'s Stretch<'_>, agreed: bool) -> &'s Pricing {
    match &stretch.agreed {
        Some(pricing) if agreed => pricing,
        _ => &stretch.charge.pricing,
    }
}

/// Charges of one prefix of a rate deck (R-DECK-1, R-DECK-2).
fn deck_charges(
    stretches: &[Stretch<'_>],
    group: &BTreeMap<String, String>,
    quantities: &[Quantities],
) -> Result<Charges, Refusal> {
    let prefix = group.get(quantity::PREFIX).map(String::as_str).unwrap_or_default();
    let charge = |(stretch, at): (&Stretch<'_>, &Quantities)| -> Result<_, Refusal> {
        let Model::Deck(deck) = &stretch.charge.pricing.model else { return Ok((None, None)) };
        let deck = stretch.catalogue.decks.get(deck);
        let row = deck.and_then(|deck| deck.rows.iter().find(|row| row.prefix == prefix));
        let (Some(row), Some(count)) = (row, &at.deck) else { return Ok((None, None)) };
        let minute = Exact::whole(60);
        let mut amount = Exact::whole(count.calls.into()).mul(row.connect_fee)?;
        for (seconds, rate) in count.bands.iter().zip(&row.rates) {
            let first = Exact::whole(seconds.first_s.into()).div(minute)?.mul(rate.first_per_minute)?;
            let next = Exact::whole(seconds.next_s.into()).div(minute)?.mul(rate.next_per_minute)?;
            amount = amount.add(first)?.add(next)?;
        }
        let zero = Exact::ZERO;
        Ok((
            Some(Increment {
                amount,
                charged: at.total,
                before: zero,
                covered: zero,
                free: zero,
                adjusted: zero,
            }),
            None,
        ))
    };
    stretches.iter().zip(quantities).map(charge).collect()
}
