//! What a session needs, and what of it can be covered: by packages, in the order of R-PKG-1, and by
//! the balance; and its place among the sessions at once (R-TCCC-4).

use crate::account::{Account, State, Subscription};
use crate::calendar;
use crate::catalogue::{Catalogue, Charge, Measure, Meter, Model};
use crate::draws::{Taker, TakerKey};
use crate::history::{Event, Split};
use crate::lifecycle;
use crate::number::{Number, whole, zero};
use crate::play::{Play, Reasons};
use crate::price;
use crate::sessions::{Place, Session};
use crate::settle::{Period, Running, Stretch, best, sold, version};
use crate::usage::{self, Counted};
use crate::{account, plans};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a charge would take of a session.
pub(crate) struct Need<'p> {
    period: Period<'p>,
    stretch: Stretch,
    /// Under which a settlement finds what is drawn for it.
    pub(crate) key: TakerKey,
    pub(crate) taker: Taker,
    /// Priced units.
    units: Number,
    counted: Counted,
    /// The units that are counted at once: each call up to a full minute.
    step: Number,
}

/// What covers a need.
pub(crate) struct Covered {
    /// Units of packages.
    pub(crate) draws: BTreeMap<String, Number>,
    /// Units past them.
    pub(crate) rest: Number,
    /// Until when the packages serve.
    pub(crate) until: Timestamp,
}

/// What there is to cover needs with.
pub(crate) struct There {
    /// Units of buckets.
    pub(crate) units: BTreeMap<String, Number>,
    /// Money; none where it need not be there: who pays by invoice.
    pub(crate) money: Option<Number>,
}

/// What is granted, and held for it.
pub(crate) struct Grant {
    pub(crate) units: BTreeMap<String, Number>,
    pub(crate) money: Number,
    pub(crate) until: Timestamp,
}

/// The meters by which what an account has measures usage of a type, between two moments.
fn meters<'p>(
    play: &'p Play<'_>,
    account: &Account,
    kind: &str,
    (since, at): (Timestamp, Timestamp),
) -> Vec<(&'p Catalogue, String, &'p Meter)> {
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    for one in &account.subscriptions {
        if at < one.begins() || one.end.is_some_and(|end| end <= since) {
            continue;
        }
        let changes =
            one.later_plans.iter().map(|(from, _)| *from).filter(|from| since < *from && *from <= at);
        for moment in [since.max(one.begins())].into_iter().chain(changes) {
            let plan = &version(play.lists, &one.catalogue, moment).plans[one.plan_at(moment)];
            for charge in
                plan.charges.iter().filter(|charge| charge.modes.iter().any(|mode| mode == one.mode()))
            {
                if let Measure::Meter(name) = &charge.measure {
                    names.insert((one.catalogue.clone(), name.clone()));
                }
            }
        }
    }
    let of = |(list, name): (String, String)| {
        let list = play.lists.iter().find(|one| one.id == list).expect("a price list");
        (list, name.clone(), &list.meters[&name])
    };
    names.into_iter().map(of).filter(|(.., meter)| meter.event == kind).collect()
}

/// The attributes that meters sum up of usage of a type.
pub(crate) fn measured(play: &Play<'_>, account: &Account, kind: &str, at: Timestamp) -> BTreeSet<String> {
    let all = meters(play, account, kind, (at, at)).into_iter();
    all.filter(|(.., meter)| meter.aggregate == "sum").filter_map(|(.., meter)| meter.of.clone()).collect()
}

/// The usage of a session that comes to so many units at a moment.
pub(crate) fn event(session: &Session, units: &Number, at: Timestamp) -> Event {
    let units = i64::try_from(units.to_whole().expect("whole units")).expect("at most 10¹²");
    let mut attributes = session.attributes.clone();
    attributes.extend(session.measured.iter().map(|name| (name.clone(), units.to_string())));
    Event {
        account: session.account.clone(),
        revision: 0,
        kind: session.kind.clone(),
        time: at,
        start: Some(session.since),
        attributes,
        // Where usage is only counted, each unit is a piece of it.
        times: if session.measured.is_empty() { units } else { 1 },
    }
}

/// What charges would take of so many units of a session; or why nothing does.
pub(crate) fn needs<'p>(
    play: &'p Play<'_>,
    session: &Session,
    units: &Number,
    at: Timestamp,
) -> Result<Vec<Need<'p>>, Reasons> {
    let account = &play.accounts[&session.account];
    let meters = meters(play, account, &session.kind, (session.since, at));
    if meters.is_empty() {
        return Err(vec!["nothing-takes"]);
    }
    let event = Rc::new(event(session, units, at));
    let (mut needs, mut matched, mut taken) = (Vec::new(), false, false);
    for (list, name, meter) in meters {
        if !usage::counts(meter, &event) {
            continue;
        }
        matched = true;
        let Some(value) = usage::value(meter, &event) else { return Err(vec!["nothing-takes"]) };
        let counted = Counted { at: usage::moment(meter, &event), value, event: event.clone() };
        let of = |one: &&Subscription| {
            one.catalogue == list.id
                && usage::would_measure(list, one, &name, &counted)
                && charges(play, one, &name, &counted).next().is_some()
        };
        let candidates: Vec<&Subscription> = account.subscriptions.iter().filter(of).collect();
        let products: BTreeSet<&String> =
            candidates.iter().map(|one| &list.plans[&one.plan].product).collect();
        for product in products {
            let of_product = candidates.iter().filter(|one| list.plans[&one.plan].product == *product);
            let takes = |one: &&&Subscription| usage::takes(play.lists, account, one, &name, &counted);
            let Some(one) = of_product.clone().find(takes) else {
                // All that would take it are frozen.
                let mut reasons = vec!["nothing-takes"];
                for one in of_product {
                    reasons.extend(lifecycle::not_accepted(play, account, one));
                }
                return Err(reasons);
            };
            taken = true;
            if matches!(meter.aggregate.as_str(), "count" | "sum") {
                let all = charges(play, one, &name, &counted);
                needs.extend(all.filter_map(|charge| need(play, one, charge, &name, meter, &counted)));
            }
        }
    }
    if matched && !taken {
        return Err(vec!["nothing-takes"]);
    }
    Ok(needs)
}

/// The charges of a subscription by which a piece of usage is priced.
fn charges<'p>(
    play: &'p Play<'_>,
    one: &'p Subscription,
    meter: &'p str,
    counted: &'p Counted,
) -> impl Iterator<Item = &'p Charge> + use<'p> {
    let list = version(play.lists, &one.catalogue, counted.at);
    list.plans[one.plan_at(counted.at)].charges.iter().filter(move |charge| {
        charge.is_by(meter)
            && charge.modes.iter().any(|mode| mode == one.mode())
            && usage::group(list, &charge.per, deck(charge), &counted.event).is_some()
    })
}

fn deck(charge: &Charge) -> Option<&str> {
    match &charge.pricing.model {
        Model::Deck(deck) => Some(deck),
        _ => None,
    }
}

fn need<'p>(
    play: &'p Play<'_>,
    one: &Subscription,
    charge: &Charge,
    name: &str,
    meter: &Meter,
    counted: &Counted,
) -> Option<Need<'p>> {
    let settle = charge.settle?;
    let zone = &version(play.lists, &one.catalogue, counted.at).zone;
    let began = calendar::cycle_start(zone, charge.accumulate, counted.at);
    let cycle = calendar::cycle_start(zone, settle, counted.at);
    let id = (counted.event.account.clone(), one.name.clone(), charge.id.clone(), began);
    let period = play.period(&id, calendar::cycle_end(zone, settle, cycle))?;
    let stretches = period.stretches(BTreeSet::from([cycle]));
    let stretch = stretches.into_iter().find(|one| one.start <= counted.at && counted.at < one.end)?;
    let group = usage::group(period.list, &charge.per, deck(charge), &counted.event)?;
    let key = period.taker_key(&stretch, &group, &Split::of(&counted.event.attributes));
    let taker = period.taker(&stretch, name);
    let units = &counted.value / &meter.unit_size;
    let step = meter.each_up_to.clone().unwrap_or_else(|| whole(1)).max(whole(1));
    Some(Need { period, stretch, key, taker, units, counted: counted.clone(), step })
}

impl<'p> Need<'p> {
    fn charge(&self) -> &'p Charge {
        plans::charge_at(&self.period, self.stretch.start).expect("a charge of the plan")
    }

    /// What each session takes one of.
    pub(crate) fn concurrency(&self) -> Option<&'p str> {
        self.charge().concurrency.as_deref()
    }

    /// When its usage is charged that is told at a moment: at the charge's next settlement.
    pub(crate) fn settles(&self, told: Timestamp) -> Timestamp {
        let zone = self.period.zone();
        let cycle = calendar::cycle_start(zone, self.period.settle, told);
        self.stretch.cycle.1.max(calendar::cycle_end(zone, self.period.settle, cycle))
    }

    /// Takes of the buckets that serve at a moment.
    pub(crate) fn take(&self, play: &Play<'_>, there: &mut There, at: Timestamp) -> Covered {
        let mut covered = Covered { draws: BTreeMap::new(), rest: self.units.clone(), until: Timestamp::MAX };
        if self.period.drawn_meter().is_none() {
            return covered;
        }
        let now = TakerKey { start: at, ..self.key.clone() };
        let moment = Taker { end: at + SignedDuration::from_nanos(1), ..self.taker.clone() };
        for id in play.packages.order() {
            let bucket = &play.packages.buckets[&id];
            let Some(left) = there.units.get_mut(&id) else { continue };
            let part = left.clone().min(covered.rest.clone());
            if !part.is_positive() || !play.packages.serves(bucket, &now, &moment) {
                continue;
            }
            *left -= &part;
            covered.rest -= &part;
            covered.draws.insert(id, part);
            let open = play.packages.open_to(&self.key.account, bucket).into_iter();
            let ends = open.filter(|(from, until)| *from <= at && at < *until).map(|(_, until)| until);
            covered.until = covered.until.min(ends.max().expect("it serves"));
        }
        covered
    }

    /// What units past packages cost now, after discounts, as the fewest whole minor units that are no
    /// less.
    pub(crate) fn cost(&self, covered: &Covered) -> Number {
        let (period, stretch, charge) = (&self.period, &self.stretch, self.charge());
        let amount = if let Some(deck) = deck(charge) {
            let deck = &period.list.decks[deck];
            let event = &self.counted.event;
            let (_, row) = price::row(deck, &event.attributes[&deck.destination]).expect("grouped by it");
            let start = event.start.expect("the beginning of the session");
            let (_, cost) = price::call(deck, row, period.zone(), start, &self.counted.value);
            best(&cost, &cost, None, &period.discount(stretch))
        } else {
            let mut sum = Running::new();
            let units = covered.rest.clone();
            let figures = period.go(&mut sum, stretch, units, false);
            let plan = period.one.plan_at(stretch.start);
            let said = account::price_at(period.account, plan, &charge.id, stretch.start);
            best(&figures.list, &figures.amount, said, &period.discount(stretch))
        };
        (amount.max(zero()) * whole(100)).ceil() / whole(100)
    }
}

/// Covers needs by what there is, wholly.
fn cover(play: &Play<'_>, needs: &[Need<'_>], mut there: There, at: Timestamp) -> Result<Grant, Reasons> {
    let mut grant = Grant { units: BTreeMap::new(), money: zero(), until: Timestamp::MAX };
    for need in needs {
        let covered = need.take(play, &mut there, at);
        grant.until = grant.until.min(covered.until);
        if covered.rest.is_positive() {
            let charge = need.charge();
            if charge.draws && charge.refuses_past_package {
                return Err(vec!["nothing-left"]);
            }
            if let Some(money) = &mut there.money {
                let cost = need.cost(&covered);
                if cost > *money {
                    return Err(vec!["not-covered"]);
                }
                *money -= &cost;
                grant.money += cost;
            }
        }
        for (id, units) in covered.draws {
            *grant.units.entry(id).or_insert_with(zero) += units;
        }
    }
    Ok(grant)
}

/// Grants as much as can be covered of what a session asks for: all of it, or whole steps.
pub(crate) fn grant(
    play: &Play<'_>,
    session: &Session,
    at: Timestamp,
    there: &dyn Fn() -> There,
) -> Result<(Number, Grant), Reasons> {
    let all = needs(play, session, &session.asked, at)?;
    let step = all.iter().map(|need| need.step.clone()).fold(whole(1), Number::max);
    let mut refused = match cover(play, &all, there(), at) {
        Ok(grant) => return Ok((session.asked.clone(), grant)),
        Err(reasons) => reasons,
    };
    let mut steps = (&session.asked / &step).ceil();
    while steps > whole(1) {
        steps -= whole(1);
        let units = &steps * &step;
        match cover(play, &needs(play, session, &units, at)?, there(), at) {
            Ok(grant) => return Ok((units, grant)),
            Err(reasons) => refused = reasons,
        }
    }
    Err(refused)
}

/// Units of a subscription that serve at the present moment: none while it is frozen, those of its
/// last moment while its term is over and it is in grace.
fn serving(one: &Subscription, at: Timestamp) -> i64 {
    let lapsed =
        one.terms.last().map(|term| term.until).filter(|until| *until <= at && one.end == Some(*until));
    let over = one.end.is_some_and(|end| end <= at) && !(lapsed.is_some() && one.state == State::Grace);
    if one.state >= State::Frozen || over || at < one.begins() {
        return 0;
    }
    i64::from(one.quantity)
        + one.changes.iter().filter(|(from, _)| *from <= at).map(|(_, more)| more).sum::<i64>()
}

/// A free place for a session: of a plan that binds what the session says, the most particular first.
pub(crate) fn place(play: &Play<'_>, session: &Session, of: &str, at: Timestamp) -> Result<Place, Reasons> {
    let mut all = Vec::new();
    for one in &play.accounts[&session.account].subscriptions {
        let plan = &sold(play.lists, one, at).plans[one.plan_at(at)];
        let fits = |name: &String| session.attributes.get(name) == one.attributes.get(name);
        let units = plan.provides.get(of).copied().unwrap_or(0) * serving(one, at);
        if units > 0 && plan.binds.iter().all(fits) {
            all.push((std::cmp::Reverse(plan.binds.len()), one.start, &one.name, units));
        }
    }
    all.sort();
    for (.., name, units) in all {
        let place = Place { of: of.to_owned(), subscription: name.clone() };
        let running =
            play.sessions.values().filter(|one| one.account == session.account && one.ended.is_none());
        let taken = running.filter(|one| one.places.contains(&place)).count();
        if i64::try_from(taken).expect("few") < units {
            return Ok(place);
        }
    }
    Err(vec!["no-place"])
}
