//! Decisions: `decide(view, command, recorded_at) → facts, or a refusal`; `apply(state, fact)`.
//!
//! A fact holds the outcome — lines with their amounts, the postings, the end of a term — so that
//! applying it never rates anything, and a new release never changes what was decided.
//!
//! Order at one instant: what time does comes before commands of that instant, in the order of
//! [`Duty`]; commands follow in the order in which they are recorded.

pub mod budgets;
pub mod counting;
mod coupons;
pub mod credit;
mod cycles;
mod due;
mod fact;
pub mod holds;
pub mod licences;
pub mod lifecycle;
mod lifecycle_gate;
mod lifecycle_refusal;
mod money;
mod orders;
pub mod packages;
pub mod preview;
mod refusal;
mod sold;
pub mod terms;
pub mod wallet;

pub use cycles::{Cycles, OtherCycles};
pub use due::{Duty, Late, Moment, is_due_alike, next_due};
pub use fact::{ApplyError, Fact};
pub use refusal::{OrderRefusal, REFUSAL_CODES, Refusal};

pub(crate) use due::{just_after, just_before};
pub(crate) use orders::Desk;

use crate::account::{AccountHead, View};
use crate::bill::Line;
use crate::calendar::{Cycle, Instant, Span, Zone};
use crate::catalog::{Catalogue, Charge, Measure, Mode, Model, Plan, Settle};
use crate::metering::{Event, LaneKey, LaneSpec, Metering, Problem, Scope};
use crate::money::{Amount, Currency, Exact};
use crate::quantity;
use crate::subscription::Subscription;
use std::collections::{BTreeMap, BTreeSet};

/// Price lists by name, each with its versions.
#[derive(Clone, Debug, Default)]
pub struct Catalogues {
    by_id: BTreeMap<String, Vec<Catalogue>>,
}

/// Why a price list cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueConflict {
    /// A version with the same effective date is there already.
    SameDate,
    /// Versions of one catalogue share zone and currency.
    ZoneOrCurrency,
}

impl Catalogues {
    /// Adds a price list, or a version of one.
    ///
    /// # Errors
    /// [`CatalogueConflict`]; nothing is added then.
    pub fn add(&mut self, catalogue: Catalogue) -> Result<(), CatalogueConflict> {
        let versions = self.by_id.entry(catalogue.id.clone()).or_default();
        let same = |known: &Catalogue| known.zone == catalogue.zone && known.currency == catalogue.currency;
        if !versions.iter().all(same) {
            return Err(CatalogueConflict::ZoneOrCurrency);
        }
        if versions.iter().any(|known| known.effective == catalogue.effective) {
            return Err(CatalogueConflict::SameDate);
        }
        let place = versions.partition_point(|known| known.effective <= catalogue.effective);
        versions.insert(place, catalogue);
        Ok(())
    }

    /// The versions of a price list, oldest first.
    pub fn versions(&self, id: &str) -> impl Iterator<Item = &Catalogue> {
        self.by_id.get(id).map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// The version in force at a moment.
    pub fn in_force(&self, id: &str, at: Instant) -> Option<&Catalogue> {
        self.versions(id).filter(|version| version.effective.is_none_or(|from| from <= at)).last()
    }

    /// All versions of all price lists.
    pub fn iter(&self) -> impl Iterator<Item = &Catalogue> {
        self.by_id.values().flatten()
    }

    /// The price list that a plan named `plan` or `catalogue:plan` is in at a moment.
    pub fn find_plan(&self, name: &str, at: Instant) -> Result<(&Catalogue, String), OrderRefusal> {
        let (catalogue, plan) = match name.split_once(':') {
            Some((catalogue, plan)) => (Some(catalogue), plan),
            None => (None, name),
        };
        let mut found =
            self.by_id.keys().filter(|id| catalogue.is_none_or(|only| only == *id)).filter_map(|id| {
                let version = self.in_force(id, at)?;
                version.plan(plan).map(|_| version)
            });
        match (found.next(), found.next()) {
            (Some(version), None) => Ok((version, plan.to_owned())),
            (Some(one), Some(other)) => Err(OrderRefusal::AmbiguousPlan {
                plan: plan.to_owned(),
                catalogues: [one.id.clone(), other.id.clone()],
            }),
            (None, _) => Err(OrderRefusal::UnknownPlan(name.to_owned())),
        }
    }
}

/// A wish about an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The account.
    pub account: String,
    /// From when it counts; mostly when it is recorded.
    pub effective_at: Instant,
    /// What is wished.
    pub action: Action,
}

/// What can be wished. Every verb of the book language is one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open the account.
    Open {
        /// Title for people.
        title: String,
        /// Currency of all its money.
        currency: Currency,
        /// Wall clock of its bills' months.
        zone: Zone,
        /// The master account that pays for it (R-ORG-1).
        payer: Option<String>,
        /// The customer's tier (R-OCR-9). `None`: it pays by invoice, and nothing is ever frozen.
        tier: Option<String>,
    },
    /// Order a plan.
    Subscribe {
        /// The plan, or `catalogue:plan`.
        plan: String,
        /// The subscription's name; the plan's name when not given.
        name: Option<String>,
        /// Units, above zero.
        quantity: i64,
        /// How it is paid; the plan's only mode, or pay-per-use, when not given.
        mode: Option<Mode>,
        /// Months of a prepaid term.
        months: Option<u16>,
        /// Renewed by itself, at most so often (0: any number); `None`: not (R-REN-3).
        auto: Option<u16>,
        /// Bound attributes, options, application, project, tags.
        attributes: BTreeMap<String, String>,
    },
    /// Add units (above zero) or remove them.
    ChangeQuantity {
        /// The subscription.
        subscription: String,
        /// Units.
        delta: i64,
    },
    /// Stop (`true`) or start again.
    Stop {
        /// The subscription.
        subscription: String,
        /// Whether it stops.
        stopped: bool,
    },
    /// Change how it is paid.
    ChangeMode {
        /// The subscription.
        subscription: String,
        /// The mode wished.
        mode: Mode,
    },
    /// Change to another plan.
    ChangePlan {
        /// The subscription.
        subscription: String,
        /// The plan wished.
        plan: String,
    },
    /// Change an attribute of the order.
    ChangeAttribute {
        /// The subscription.
        subscription: String,
        /// The attribute.
        name: String,
        /// The value wished.
        value: String,
    },
    /// End it.
    Cancel {
        /// The subscription.
        subscription: String,
    },
    /// Give up a prepaid term, against a refund (R-UNS-1).
    Unsubscribe {
        /// The subscription.
        subscription: String,
    },
    /// Prolong a prepaid term.
    Renew {
        /// The subscription.
        subscription: String,
        /// Months.
        months: u16,
    },
    /// Agree a price for one charge (R-NEG-1).
    AgreePrice {
        /// The plan.
        plan: String,
        /// The charge of the plan.
        charge: String,
        /// Price of a unit.
        price: Exact,
        /// The end, if it has one.
        until: Option<Instant>,
    },
    /// Grant a discount.
    Grant {
        /// 10 for 10 %.
        percent: Exact,
        /// Only on this plan.
        plan: Option<String>,
        /// Only on this charge.
        charge: Option<String>,
        /// The end, if it has one.
        until: Option<Instant>,
    },
    /// Put money on the balance.
    TopUp {
        /// How much, in the account's currency.
        amount: Exact,
    },
    /// Ask whether a feature may be used (R-CEC-9).
    UseFeature {
        /// The feature.
        feature: String,
        /// By this subscription only.
        subscription: Option<String>,
    },
    /// What time does at the command's moment, for a payer and its members.
    Due {
        /// What is due.
        duty: Duty,
        /// The earliest time of usage counted since the last settlement.
        late: Late,
    },
    /// Terms that go on by themselves, or come from another system.
    Terms(terms::Action),
    /// Packages shared, or kept.
    Packages(packages::Action),
    /// Units held for sessions.
    Holds(holds::Action),
    /// Licences used and reset.
    Licences(licences::Action),
    /// Customer tiers.
    Lifecycle(lifecycle::Action),
    /// Payments, coupons, adjustments.
    Wallet(wallet::Action),
    /// Budgets.
    Budgets(budgets::Action),
}

impl Action {
    /// Settles the charges that are due.
    pub fn settle(late: Late) -> Action {
        Action::Due { duty: Duty::Charges, late }
    }
}

/// Decides a command: the facts that follow from it, or why it is refused.
///
/// # Errors
/// A [`Refusal`]; nothing has happened then.
pub fn decide(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    command: &Command,
    recorded_at: Instant,
) -> Result<Vec<Fact>, Refusal> {
    let mut facts = decide_action(view, catalogues, metering, command, recorded_at)?;
    // Whatever posts lines may reach the alert of a budget.
    let alerts = budgets::alerts(view, &facts, command.effective_at)?;
    facts.extend(alerts);
    Ok(facts)
}

fn decide_action(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    command: &Command,
    recorded_at: Instant,
) -> Result<Vec<Fact>, Refusal> {
    if let Action::Open { title, currency, zone, payer, tier } = &command.action {
        if view.account(&command.account).is_some() {
            return Err(Refusal::AccountExists(command.account.clone()));
        }
        let head = AccountHead {
            id: command.account.clone(),
            title: title.clone(),
            currency: *currency,
            zone: zone.clone(),
            opened: command.effective_at,
            payer: payer.clone(),
            prices: Vec::new(),
            discounts: Vec::new(),
            full_refunds: 0,
        };
        if let Some(payer) = payer {
            let master = view.account(payer).ok_or_else(|| Refusal::UnknownAccount(payer.clone()))?;
            if master.payer.is_some() {
                return Err(Refusal::MasterIsMember(payer.clone()));
            }
            if master.currency != *currency {
                let (master, currency, wished) = (payer.clone(), master.currency, *currency);
                return Err(OrderRefusal::OtherCurrencyOfMaster { master, currency, wished }.into());
            }
        }
        let mut facts = vec![Fact::AccountOpened(Box::new(head))];
        if let Some(tier) = tier {
            let account = command.account.clone();
            if let Some(payer) = payer.clone() {
                return Err(lifecycle::Refusal::TierOfPayer { account, payer }.into());
            }
            lifecycle::known_tier(catalogues, tier, command.effective_at)?;
            let (at, tier) = (command.effective_at, tier.clone());
            facts.push(Fact::Lifecycle(lifecycle::Fact::TierSet { account, at, tier }));
        }
        return Ok(facts);
    }
    let unknown = || Refusal::UnknownAccount(command.account.clone());
    let account = view.account(&command.account).ok_or_else(unknown)?;
    let payer = view.account(account.payer()).ok_or_else(unknown)?;
    if command.effective_at < account.opened {
        return Err(Refusal::BeforeOpening { opened: account.opened });
    }
    let at = command.effective_at;
    let desk = Desk { view, catalogues, metering, account, payer, at, recorded_at };
    lifecycle::gate(&desk, &command.action)?;
    let facts = match &command.action {
        Action::Due { duty, late } => due::decide(&desk, *duty, late),
        Action::TopUp { amount } => money::top_up(view, payer, *amount, command.effective_at),
        Action::Terms(action) => terms::decide(&desk, action),
        Action::Packages(action) => packages::decide(&desk, action),
        Action::Holds(action) => holds::decide(&desk, action),
        Action::Licences(action) => licences::decide(&desk, action),
        Action::Lifecycle(action) => lifecycle::decide(&desk, action),
        Action::Wallet(action) => wallet::decide(&desk, action),
        Action::Budgets(action) => budgets::decide(&desk, action),
        _ => orders::decide(&desk, command),
    }?;
    credit::fits(&desk, &command.action, &facts)?;
    Ok(facts)
}

/// The month whose bill a settlement at this moment belongs to: the one that it ends or is in.
pub fn bill_month(account: &AccountHead, settled_at: Instant) -> Span {
    let before = settled_at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(settled_at);
    account.zone.cycle(Cycle::Month, before)
}

/// What an account's usage must be counted by: a lane for each meter of the plans named, each by its price list and its
/// name, with the moment since which the account has it.
///
/// `cuts`: moments at which something about the account may change, besides catalogue versions.
pub fn lanes(
    catalogues: &Catalogues,
    account: &str,
    plans: &BTreeMap<(String, String), Instant>,
    cuts: &[Instant],
) -> Vec<LaneSpec> {
    let mut lanes: Vec<LaneSpec> = Vec::new();
    for ((catalogue_id, plan_id), since) in plans {
        let versions: Vec<&Catalogue> = catalogues.versions(catalogue_id).collect();
        for (index, version) in versions.iter().enumerate() {
            let valid = Span {
                start: version.effective.unwrap_or(Instant::MIN),
                end: versions.get(index + 1).and_then(|next| next.effective).unwrap_or(Instant::MAX),
            };
            for (version, plan, charge) in charges_under(catalogues, version, plan_id, valid.start) {
                let (Measure::Meter(meter), Settle::Each(cycle)) = (&charge.measure, charge.settle) else {
                    continue;
                };
                let Some(meter) = version.meters.get(meter) else { continue };
                let deck = match &charge.pricing.model {
                    Model::Deck(deck) => version.decks.get(deck),
                    _ => None,
                };
                let key = LaneKey {
                    account: account.to_owned(),
                    catalogue: version.id.clone(),
                    meter: meter.id.clone(),
                    deck: deck.map(|deck| deck.id.clone()),
                };
                // Terms end at a midnight: no segment is longer than a day.
                let cycle = cycle.min(meter.by.unwrap_or(Cycle::Day)).min(Cycle::Day);
                let wanted = plan.binds.iter().chain(&charge.per);
                let dimensions: BTreeSet<String> = wanted
                    .filter(|name| !matches!(name.as_str(), "application" | "project"))
                    .cloned()
                    .collect();
                match lanes.iter_mut().find(|lane| lane.key == key && lane.valid == valid) {
                    Some(lane) => {
                        lane.cycle = lane.cycle.min(cycle);
                        lane.since = lane.since.min(*since);
                        let all: BTreeSet<String> = lane.dimensions.drain(..).chain(dimensions).collect();
                        lane.dimensions = all.into_iter().collect();
                    }
                    None => lanes.push(LaneSpec {
                        key,
                        meter: meter.clone(),
                        deck: deck.cloned(),
                        valid,
                        since: *since,
                        zone: version.zone.clone(),
                        cycle,
                        cuts: Vec::new(),
                        dimensions: dimensions.into_iter().collect(),
                    }),
                }
            }
        }
    }
    for lane in &mut lanes {
        let versions = catalogues.versions(&lane.key.catalogue).filter_map(|version| version.effective);
        lane.cuts = cuts.iter().copied().chain(versions).collect();
        lane.cuts.sort();
        lane.cuts.dedup();
    }
    lanes
}

/// The charges of a plan while a version is in force: its own, and those by which what was sold
/// prepaid goes on.
fn charges_under<'c>(
    catalogues: &'c Catalogues,
    version: &'c Catalogue,
    plan: &str,
    from: Instant,
) -> impl Iterator<Item = (&'c Catalogue, &'c Plan, &'c Charge)> + use<'c> {
    let own = version.plan(plan).map(|(_, plan)| (version, plan));
    let sold = catalogues.last_prepaid(&version.id, plan, from);
    let sold = sold.filter(|(list, _)| list.effective != version.effective);
    own.into_iter().chain(sold).flat_map(|(list, plan)| plan.charges.iter().map(move |one| (list, plan, one)))
}

/// Counted usage that no subscription takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Unrouted {
    /// The lane that counted it.
    pub lane: LaneKey,
    /// When.
    pub span: Span,
    /// Whose, within the account.
    pub scope: Scope,
    /// How many events.
    pub events: i64,
    /// Why not: there is none, or it was frozen.
    pub problem: Problem,
}

/// Usage counted up to a moment that no subscription takes: it belongs into quarantine.
pub fn unrouted(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    account: &str,
    until: Instant,
) -> Vec<Unrouted> {
    let mut found = Vec::new();
    for lane in metering.lanes_of(account) {
        let key = &lane.spec().key;
        for (span, counters) in lane.segments(Span { start: Instant::MIN, end: until }) {
            for (scope, counter) in counters {
                if let Err(problem) = quantity::route(view, catalogues, key, scope, span.start) {
                    let (lane, scope) = (key.clone(), scope.clone());
                    found.push(Unrouted { lane, span, scope, events: counter.events, problem });
                }
            }
        }
    }
    found
}

/// Why a piece of usage is not billed: a meter that it is for cannot count it, or nothing takes what all that can have
/// counted. `None`: it is billed, or free of charge by its price list's own conditions.
pub fn why_unbilled(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    event: &Event<'_>,
) -> Option<Problem> {
    let counts = match metering.would_count(event) {
        Ok(counts) => counts,
        Err(problem) => return Some(problem),
    };
    let routed =
        counts.iter().map(|one| quantity::route(view, catalogues, &one.lane.key, &one.scope, one.at));
    let problems: Vec<Problem> = routed.filter_map(Result::err).collect();
    let is_taken = problems.len() < counts.len();
    problems.into_iter().max().filter(|_| !is_taken)
}

/// Whether a line charges for the usage that a lane counted for a scope in a segment.
pub fn is_behind(
    view: &dyn View,
    catalogues: &Catalogues,
    line: &Line,
    lane: &LaneKey,
    span: Span,
    scope: &Scope,
) -> bool {
    line.key.as_ref().filter(|_| !line.kind.by_hand()).is_some_and(|key| {
        let inside = line.period.start <= span.start && span.end <= line.period.end;
        inside && quantity::is_charged_by(view, catalogues, key, lane, scope, span)
    })
}

/// What an account's subscriptions provide at a moment: `ivr-channel` → 15 (R-CEC-6, R-YKF-13).
pub fn provided(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &str,
    at: Instant,
) -> BTreeMap<String, i64> {
    let mut provided = provided_where(view, catalogues, account, at, |_, _| true);
    provided.retain(|_, units| *units != 0);
    provided
}

/// What of it there is for usage with some attributes: what a plan binds is exclusive to it
/// (R-TCCC-4). Attributes that usage does not say bind nothing. What there is elsewhere only is
/// there zero times.
pub fn provided_on<'v>(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &str,
    at: Instant,
    value: impl Fn(&str) -> Option<&'v str>,
) -> BTreeMap<String, i64> {
    provided_where(view, catalogues, account, at, |subscription, plan| {
        plan.binds.iter().all(|name| {
            let own = subscription.attributes.get(name).map(String::as_str);
            value(name).is_none_or(|value| Some(value) == own)
        })
    })
}

fn provided_where(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &str,
    at: Instant,
    counts: impl Fn(&Subscription, &Plan) -> bool,
) -> BTreeMap<String, i64> {
    let mut provided = BTreeMap::new();
    for (subscription, units) in lifecycle::serving(view, account, at) {
        let Some((_, plan)) = catalogues.as_sold(subscription, at) else { continue };
        let units = if counts(subscription, plan) { units } else { 0 };
        for (what, each) in &plan.provides {
            *provided.entry(what.clone()).or_default() += i64::from(*each) * units;
        }
    }
    provided
}

/// The amount as a whole number of minor units, above zero.
pub(crate) fn payable(amount: Exact, currency: Currency) -> Result<Amount, Refusal> {
    let quantised = Amount::quantise(amount)?;
    if quantised <= Amount::ZERO {
        return Err(Refusal::BadAmount(format!("an amount must be above zero, not {amount}")));
    }
    if quantised.exact() != amount || quantised.round_to_minor(currency) != quantised {
        let digits = currency.minor_digits();
        return Err(Refusal::BadAmount(format!("{currency} has {digits} decimals; {amount} cannot be paid")));
    }
    Ok(quantised)
}

#[cfg(test)]
mod tests;
