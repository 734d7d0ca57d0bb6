//! Deciding about sessions: what is granted, what is held for it, what becomes of it in the end.

use super::super::credit::Headroom;
use super::super::{self as engine, Desk, OrderRefusal, lifecycle, money, packages};
use super::{Action, Fact, Refusal};
use crate::calendar::Instant;
use crate::catalog::{Aggregate, Rounding};
use crate::hold::{Ended, Hold, Part, Place};
use crate::ledger::{LedgerAccount, Posting, QuotaSide};
use crate::metering::{DeckCount, LaneKey, NANO, Problem};
use crate::money::{Amount, Currency, Exact, OutOfRange};
use crate::package::{Bucket, Draw, Draws};
use crate::quantity::{meters_between, who_takes};
use crate::settlement::{Allotted, Taking, alerts};
use std::collections::{BTreeMap, BTreeSet};

/// The most units that a session can ask for or say to have used.
const UNITS_MAX: i128 = 1_000_000_000_000;

type Decided = Result<Vec<engine::Fact>, engine::Refusal>;

/// Decides a wish. Holds past their deadline come first, whatever the schedule has done.
pub(in super::super) fn decide(desk: &Desk<'_>, action: &Action) -> Decided {
    let mut facts = Vec::new();
    let mut freed = Freed::default();
    for hold in desk.view.holds_past(&desk.payer.id, desk.at) {
        let more = expired(desk, hold, &freed)?;
        freed.note(desk, &more)?;
        facts.extend(more);
    }
    let known = |id: &str| desk.view.hold(&desk.payer.id, &desk.account.id, id);
    let open = |id: &str| -> Result<&Hold, Refusal> {
        let account = desk.account.id.clone();
        let hold = known(id).ok_or_else(|| Refusal::Unknown { account, id: id.to_owned() })?;
        let by_time = || (hold.until <= desk.at).then_some((hold.until, true));
        match hold.ended.map(|ended| (ended.at, ended.expired)).or_else(by_time) {
            Some((ended, expired)) => Err(Refusal::Over { id: id.to_owned(), ended, expired }),
            None => Ok(hold),
        }
    };
    match action {
        Action::Create { id, source, kind, attributes, units, until } => {
            is_units(*units, false)?;
            if let Some(before) = known(id) {
                let same = before.source == *source
                    && before.kind == *kind
                    && before.attributes == *attributes
                    && before.asked == *units;
                if !same {
                    return Err(Refusal::Exists(id.clone()).into());
                }
                open(id)?;
                return Ok(facts);
            }
            let hold = Hold {
                account: desk.account.id.clone(),
                id: id.clone(),
                source: source.clone(),
                kind: kind.clone(),
                attributes: attributes.clone(),
                measured: summed(desk, kind),
                since: desk.at,
                until: *until,
                asked: *units,
                granted: Exact::ZERO,
                valid_until: *until,
                used: Exact::ZERO,
                places: BTreeSet::new(),
                parts: Vec::new(),
                ended: None,
            };
            facts.push(create(desk, hold, &freed)?);
        }
        Action::Update { id, units, used, until } => {
            is_units(*units, false)?;
            is_units(*used, true)?;
            facts.extend(update(desk, open(id)?, (*units, *used, *until), &freed)?);
        }
        Action::Release { id, used } => {
            is_units(*used, true)?;
            let over = known(id).and_then(|hold| Some((hold, hold.ended?)));
            match over {
                // Said again, it changes nothing.
                Some((hold, _)) if hold.used == *used => {}
                // Too late for what was held, which is let go; but not for what was used.
                Some((hold, ended)) if ended.expired && *used > hold.used => {
                    let ended = Some(Ended { at: desk.at, ..ended });
                    let hold = Box::new(Hold { used: *used, ended, ..hold.clone() });
                    let payer = desk.payer.id.clone();
                    facts.push(Fact::Ended { payer, hold, postings: Vec::new() }.into());
                }
                _ => facts.extend(end(desk, open(id)?, *used, false, &freed)?),
            }
        }
    }
    facts.extend(pays(desk, &facts)?);
    Ok(facts)
}

/// What is held no longer pays what is owed, the oldest first (R-OCR-8).
fn pays(desk: &Desk<'_>, facts: &[engine::Fact]) -> Result<Option<engine::Fact>, engine::Refusal> {
    let mut available = desk.view.prepaid(&desk.payer.id);
    for fact in facts {
        let postings = match fact {
            engine::Fact::Holds(
                Fact::Created { postings, .. }
                | Fact::Updated { postings, .. }
                | Fact::Ended { postings, .. }
                | Fact::LetGo { postings, .. },
            ) => postings,
            _ => continue,
        };
        let entries = postings.iter().flat_map(|posting| &posting.entries);
        for entry in entries.filter(|entry| entry.account == LedgerAccount::Balance) {
            available = available.sub(Amount::quantise(entry.value)?)?;
        }
    }
    let owed = desk.view.unpaid(&desk.payer.id);
    let (paid, postings) = money::pay_oldest(desk.payer, owed, available, desk.at)?;
    let payer = desk.payer.id.clone();
    Ok((!paid.is_empty()).then(|| Fact::Paid { payer, paid, postings }.into()))
}

/// Ends the first hold of a payer and its members whose deadline has come.
pub(in super::super) fn expire(desk: &Desk<'_>) -> Decided {
    match desk.view.holds_past(&desk.payer.id, desk.at).first() {
        Some(hold) => {
            let mut facts = expired(desk, hold, &Freed::default())?;
            facts.extend(pays(desk, &facts)?);
            Ok(facts)
        }
        None => Ok(Vec::new()),
    }
}

/// Ends a hold whose deadline has come, with what it was said to have used.
fn expired(desk: &Desk<'_>, hold: &Hold, freed: &Freed) -> Decided {
    let Some(account) = desk.view.account(&hold.account) else { return Ok(Vec::new()) };
    let then = Desk { account, at: hold.until, ..*desk };
    end(&then, hold, hold.used, true, freed)
}

/// Lets the money of ended holds go, for the charges that settle now.
pub(in super::super) fn let_go(desk: &Desk<'_>) -> Decided {
    let payer = &desk.payer.id;
    let mut facts = Vec::new();
    let mut freed = Freed::default();
    for hold in desk.view.holds_settling(payer, desk.at) {
        let memo = format!("let go of {}", hold.id);
        let postings: Vec<Posting> = keeps(desk, memo, hold.money().negated(), &freed)?.into_iter().collect();
        freed.let_go(hold.money(), &postings)?;
        let (account, id) = (hold.account.clone(), hold.id.clone());
        facts.push(Fact::LetGo { payer: payer.clone(), account, id, postings }.into());
    }
    facts.extend(pays(desk, &facts)?);
    Ok(facts)
}

fn is_units(units: Exact, zero: bool) -> Result<(), Refusal> {
    let least = if zero { units >= Exact::ZERO } else { units > Exact::ZERO };
    if least && units <= Exact::whole(UNITS_MAX) { Ok(()) } else { Err(Refusal::BadUnits(units)) }
}

/// The attributes that the meters of what the account has sum up of events of a type.
fn summed(desk: &Desk<'_>, kind: &str) -> BTreeSet<String> {
    let account = (desk.account.id.as_str(), kind);
    let meters = meters_between(desk.view, desk.catalogues, account, desk.at, desk.at).into_values();
    meters.filter(|meter| meter.aggregate == Aggregate::Sum).filter_map(|meter| meter.of.clone()).collect()
}

/// What there is besides what the view says.
#[derive(Default)]
struct Freed {
    units: Draws,
    /// Money that is held no longer, of the balance and on credit.
    money: Amount,
    /// What of it is back on the balance.
    balance: Amount,
    /// What the session itself holds.
    own: Amount,
    places: BTreeMap<Place, i64>,
}

impl Freed {
    /// By facts that are decided and not applied yet.
    fn note(&mut self, desk: &Desk<'_>, facts: &[engine::Fact]) -> Result<(), OutOfRange> {
        let freed = self;
        for fact in facts {
            let postings = match fact {
                engine::Fact::Holds(Fact::Ended { hold, postings, .. }) => {
                    for place in hold.places.iter().filter(|_| hold.account == desk.account.id) {
                        *freed.places.entry(place.clone()).or_default() += 1;
                    }
                    let before = desk.view.hold(&desk.payer.id, &hold.account, &hold.id);
                    let money = before.map(Hold::money).unwrap_or_default().sub(hold.money())?;
                    freed.let_go(money, postings)?;
                    postings
                }
                engine::Fact::Packages(packages::Fact::Drawn { postings, .. }) => postings,
                _ => continue,
            };
            for entry in postings.iter().flat_map(|posting| &posting.entries) {
                if let LedgerAccount::Quota { bucket, side: QuotaSide::Available } = &entry.account {
                    add(&mut freed.units, bucket, entry.value)?;
                }
            }
        }
        Ok(())
    }

    /// So much money is held no longer, by these movements.
    fn let_go(&mut self, money: Amount, postings: &[Posting]) -> Result<(), OutOfRange> {
        self.money = self.money.add(money)?;
        for entry in postings.iter().flat_map(|posting| &posting.entries) {
            if entry.account == LedgerAccount::Balance {
                self.balance = self.balance.sub(Amount::quantise(entry.value)?)?;
            }
        }
        Ok(())
    }

    /// With what a hold has itself.
    fn with(&self, hold: &Hold) -> Result<Freed, OutOfRange> {
        let mut units = self.units.clone();
        for (bucket, held) in hold.units() {
            add(&mut units, &bucket, held)?;
        }
        let Freed { money, balance, .. } = *self;
        Ok(Freed { units, money, balance, own: hold.money(), places: self.places.clone() })
    }

    /// What a payer may still take on. Where it has no credit limit, that is its balance: a limit of zero.
    fn headroom(&self, desk: &Desk<'_>) -> Result<Headroom, OutOfRange> {
        let (view, payer) = (desk.view, &desk.payer.id);
        // What is let go pays what is owed before anything else.
        let owed = lifecycle::owed(view, payer)?;
        let net = view.prepaid(payer).add(self.balance)?.sub(owed)?;
        Ok(Headroom {
            limit: view.credit_limit(payer).unwrap_or_default(),
            balance: net.max(Amount::ZERO),
            owed: net.negated().max(Amount::ZERO),
            held: view.held_on_credit(payer).sub(self.money.sub(self.balance)?)?,
        })
    }
}

fn add(draws: &mut Draws, bucket: &str, units: Exact) -> Result<(), OutOfRange> {
    let sum = draws.entry(bucket.to_owned()).or_default();
    *sum = sum.add(units)?;
    Ok(())
}

/// What a charge would take of a session.
struct Need<'a> {
    taking: Taking<'a>,
    /// Priced units.
    units: Exact,
    deck: Option<DeckCount>,
}

/// What a need takes of packages.
struct Taken {
    /// By bucket.
    units: Draws,
    /// Units that they do not cover.
    rest: Exact,
    /// What there was in the buckets that were looked at.
    left: Exact,
    /// A grant never outlives its bucket.
    until: Instant,
}

impl Need<'_> {
    /// Takes from the buckets valid now, in the order of R-PKG-1. `taken`: by the needs before it.
    fn take(&self, desk: &Desk<'_>, freed: &Freed, taken: &mut Draws) -> Result<Taken, OutOfRange> {
        let (units, left) = (Draws::new(), Exact::ZERO);
        let mut all = Taken { units, rest: self.units, left, until: Instant::MAX };
        for bucket in self.taking.buckets(desk.at) {
            if all.rest <= Exact::ZERO {
                break;
            }
            let known = desk.view.units(&desk.payer.id, &bucket.id).available;
            let of = |draws: &Draws| draws.get(&bucket.id).copied().unwrap_or_default();
            let available = known.add(of(&freed.units))?.sub(of(taken))?.max(Exact::ZERO);
            let part = all.rest.min(available);
            all.left = all.left.add(available)?;
            if part > Exact::ZERO {
                all.rest = all.rest.sub(part)?;
                add(taken, &bucket.id, part)?;
                add(&mut all.units, &bucket.id, part)?;
                // What is shared is so until further notice.
                all.until = all.until.min(bucket.span.end);
            }
        }
        Ok(all)
    }
}

/// What the charges would take of so many units of a session, and in which steps.
struct Needs<'a> {
    all: Vec<Need<'a>>,
    /// The smallest number of units that makes a difference.
    step: Exact,
}

impl Needs<'_> {
    fn of<'a>(
        desk: &'a Desk<'a>,
        hold: &Hold,
        units: Exact,
        at: Instant,
    ) -> Result<Needs<'a>, engine::Refusal> {
        let (event, times) = hold.event(units, at);
        // The lanes are also for what is ordered later in a book.
        let account = (hold.account.as_str(), hold.kind.as_str());
        let meters = meters_between(desk.view, desk.catalogues, account, hold.since, at);
        if meters.is_empty() {
            let ever = meters_between(desk.view, desk.catalogues, account, Instant::MIN, at);
            let problem = match ever.is_empty() {
                true => Problem::NothingMeasures(hold.kind.clone()),
                false => Problem::NoSubscription,
            };
            return Err(Refusal::NothingTakes(problem).into());
        }
        let counted = desk.metering.would_count(&event).map_err(Refusal::NothingTakes)?;
        let is_had = |lane: &LaneKey| meters.contains_key(&(lane.catalogue.clone(), lane.meter.clone()));
        let counted: Vec<_> = counted.into_iter().filter(|usage| is_had(&usage.lane.key)).collect();
        let (mut needs, mut taken) = (Needs { all: Vec::new(), step: Exact::ONE }, counted.is_empty());
        for usage in &counted {
            let meter = &usage.lane.meter;
            for takes in who_takes(desk.view, desk.catalogues, &usage.lane.key, &usage.scope, usage.at) {
                if takes.frozen {
                    desk.not_frozen(&takes.subscription.name)?;
                    return Err(Refusal::NothingTakes(Problem::Frozen).into());
                }
                taken = true;
                if !matches!(meter.aggregate, Aggregate::Sum | Aggregate::Count) {
                    continue;
                }
                let Some(taking) = Taking::of(desk, usage, &takes) else { continue };
                let value = Exact::ratio(usage.share.value, NANO).ok_or(OutOfRange)?;
                let units = value.mul(times)?.div(meter.unit_size)?;
                needs.all.push(Need { taking, units, deck: usage.share.deck.clone() });
                if let Rounding::EachUp(step) = meter.rounding {
                    needs.step = needs.step.max(step);
                }
            }
        }
        if taken { Ok(needs) } else { Err(Refusal::NothingTakes(Problem::NoSubscription).into()) }
    }
}

/// What is held for needs, and until when it may be.
struct Cover {
    parts: Vec<Part>,
    /// A grant never outlives its bucket.
    until: Instant,
}

/// Covers needs by packages and money, where they suffice.
fn cover(
    desk: &Desk<'_>,
    needs: &Needs<'_>,
    freed: &Freed,
) -> Result<Result<Cover, Refusal>, engine::Refusal> {
    let payer = &desk.payer.id;
    // Who pays by invoice has no balance to hold anything of, unless it has a credit limit.
    let limit = desk.view.credit_limit(payer);
    let is_held = limit.is_some() || desk.view.lifecycle(payer).is_some_and(|life| life.tier.is_some());
    let room = freed.headroom(desk)?;
    // What a session has it keeps, whatever became of the headroom.
    let there = room.left()?.max(Amount::ZERO).add(freed.own)?;
    let mut cover = Cover { parts: Vec::new(), until: Instant::MAX };
    let (mut taken, mut needed) = (Draws::new(), Amount::ZERO);
    for need in &needs.all {
        let Taken { units, rest, left, until } = need.take(desk, freed, &mut taken)?;
        cover.until = cover.until.min(until);
        let mut money = Amount::ZERO;
        if rest > Exact::ZERO && need.taking.refuses_past_package() {
            return Ok(Err(Refusal::NothingLeft { unit: need.taking.unit().to_owned(), left }));
        }
        if is_held {
            // Also units that packages cover may cost: those that reach another tier.
            let covered = need.units.sub(rest)?;
            let cost = need.taking.cost(rest, covered, need.deck.as_ref())?;
            money = whole_minor(cost, desk.payer.currency)?;
            needed = needed.add(money)?;
        }
        let key = &need.taking.key;
        let (subscription, charge) = (key.subscription.clone(), key.charge.clone());
        cover.parts.push(Part { subscription, charge, units, money });
    }
    if needed > there {
        let (room, currency) = (limit.map(|_| Box::new(room)), desk.payer.currency);
        return Ok(Err(Refusal::NotCovered { needed, there, room, currency }));
    }
    Ok(Ok(cover))
}

/// An amount as the fewest whole minor units that are no less; zero for what costs nothing.
fn whole_minor(amount: Exact, currency: Currency) -> Result<Amount, OutOfRange> {
    let amount = amount.max(Exact::ZERO);
    let factor = Exact::whole(10i128.pow(currency.minor_digits()));
    Amount::quantise(amount.mul(factor)?.ceil().div(factor)?)
}

/// The most that can be granted of what is asked for, and needs, and what covers it.
fn grant(
    desk: &Desk<'_>,
    hold: &Hold,
    needs: &Needs<'_>,
    freed: &Freed,
) -> Result<(Exact, Cover), engine::Refusal> {
    let try_with = |units: Exact| cover(desk, &Needs::of(desk, hold, units, desk.at)?, freed);
    let short = match cover(desk, needs, freed)? {
        Ok(cover) => return Ok((hold.asked, cover)),
        Err(short) => short,
    };
    let step = needs.step;
    let steps = hold.asked.div(step)?.ceil().numerator();
    // The greatest number of whole steps that can be covered: more units never need less.
    let (mut low, mut high) = (0, steps - 1);
    let mut best = None;
    while low < high {
        let middle = (low + high + 1) / 2;
        let units = Exact::whole(middle).mul(step)?;
        match try_with(units)? {
            Ok(cover) => (low, best) = (middle, Some((units, cover))),
            Err(_) => high = middle - 1,
        }
    }
    match best {
        Some(granted) => Ok(granted),
        None if steps > 1 => Err(try_with(step)?.err().unwrap_or(short).into()),
        None => Err(short.into()),
    }
}

fn create(desk: &Desk<'_>, mut hold: Hold, freed: &Freed) -> Result<engine::Fact, engine::Refusal> {
    if hold.until <= desk.at {
        return Err(OrderRefusal::EndsBeforeStart.into());
    }
    let needs = Needs::of(desk, &hold, hold.asked, desk.at)?;
    let places: BTreeSet<&str> = needs.all.iter().filter_map(|need| need.taking.concurrency()).collect();
    for of in places {
        hold.places.insert(place(desk, &hold, of, freed)?);
    }
    let (granted, cover) = grant(desk, &hold, &needs, freed)?;
    hold.valid_until = hold.until.min(cover.until);
    (hold.granted, hold.parts) = (granted, cover.parts);
    let postings = held(desk, None, &hold, freed)?;
    Ok(Fact::Created { payer: desk.payer.id.clone(), hold: Box::new(hold), postings }.into())
}

/// A free place for a session among those at once: of a plan that binds what the session says, the
/// most particular first.
fn place(desk: &Desk<'_>, hold: &Hold, of: &str, freed: &Freed) -> Result<Place, Refusal> {
    let (view, account) = (desk.view, &desk.account.id);
    let mut all = Vec::new();
    for (subscription, units) in lifecycle::serving(view, account, desk.at) {
        let Some((_, plan)) = desk.catalogues.as_sold(subscription, desk.at) else { continue };
        let Some(each) = plan.provides.get(of) else { continue };
        let own = &subscription.attributes;
        if plan.binds.iter().all(|name| hold.attributes.get(name) == own.get(name)) {
            let order = (std::cmp::Reverse(plan.binds.len()), subscription.start, &subscription.name);
            all.push((order, i64::from(*each) * units));
        }
    }
    all.sort();
    let limit = all.iter().map(|(_, units)| units).sum();
    for ((_, _, name), units) in all {
        let place = Place { of: of.to_owned(), subscription: name.clone() };
        let taken = i64::from(view.places_taken(&desk.payer.id, account, &place));
        if taken - freed.places.get(&place).copied().unwrap_or(0) < units {
            return Ok(place);
        }
    }
    Err(Refusal::NoPlace { of: of.to_owned(), limit })
}

fn update(
    desk: &Desk<'_>,
    hold: &Hold,
    (units, used, until): (Exact, Exact, Instant),
    freed: &Freed,
) -> Result<Option<engine::Fact>, engine::Refusal> {
    if until <= desk.at {
        return Err(OrderRefusal::EndsBeforeStart.into());
    }
    let used = used.max(hold.used);
    let mut now = Hold { asked: units.max(used), used, until, ..hold.clone() };
    let needs = Needs::of(desk, &now, now.asked, desk.at)?;
    let (granted, cover) = grant(desk, &now, &needs, &freed.with(hold)?)?;
    now.valid_until = now.until.min(cover.until);
    (now.granted, now.parts) = (granted, cover.parts);
    if now == *hold {
        return Ok(None);
    }
    let postings = held(desk, Some(hold), &now, freed)?;
    Ok(Some(Fact::Updated { payer: desk.payer.id.clone(), hold: Box::new(now), postings }.into()))
}

/// The movements from what was held before to what is held now.
fn held(
    desk: &Desk<'_>,
    before: Option<&Hold>,
    now: &Hold,
    freed: &Freed,
) -> Result<Vec<Posting>, OutOfRange> {
    let mut more = now.units();
    for (bucket, units) in before.map(Hold::units).unwrap_or_default() {
        add(&mut more, &bucket, Exact::ZERO.sub(units)?)?;
    }
    let mut postings: Vec<Posting> = Vec::new();
    for (id, units) in more {
        let Some(bucket) = desk.view.bucket(&desk.payer.id, &id) else { continue };
        postings.extend(match units.is_negative() {
            false => {
                let sides = (QuotaSide::Available, QuotaSide::Held);
                bucket.posting(desk.at, &format!("held for {} of", now.id), sides, units)
            }
            true => back(desk, bucket, &now.id, Exact::ZERO.sub(units)?),
        });
    }
    let amount = now.money().sub(before.map(Hold::money).unwrap_or_default())?;
    postings.extend(keeps(desk, format!("held for {}", now.id), amount, freed)?);
    Ok(postings)
}

/// Units are held no longer.
fn back(desk: &Desk<'_>, bucket: &Bucket, id: &str, units: Exact) -> Option<Posting> {
    let to = match desk.view.is_expired(&desk.payer.id, bucket) {
        true => QuotaSide::Expired,
        false => QuotaSide::Available,
    };
    bucket.posting(desk.at, &format!("let go of {id} of"), (QuotaSide::Held, to), units)
}

/// Money is held; below zero: held no longer. What the balance does not have is held on credit, which
/// moves nothing; what is let go comes back to the balance first.
fn keeps(
    desk: &Desk<'_>,
    memo: String,
    amount: Amount,
    freed: &Freed,
) -> Result<Option<Posting>, OutOfRange> {
    let amount = match amount.is_negative() {
        false => amount.min(freed.headroom(desk)?.balance),
        true => amount.max(freed.balance.sub(desk.view.held_money(&desk.payer.id))?),
    };
    if amount.is_zero() {
        return Ok(None);
    }
    let entries = vec![(LedgerAccount::Balance, amount), (LedgerAccount::Held, amount.negated())];
    Ok(Posting::money(desk.at, memo, desk.payer.currency, entries))
}

/// Ends a session: what it used is drawn from the buckets valid now, and money stays held for what it
/// costs besides until that is charged. All else is let go.
fn end(desk: &Desk<'_>, hold: &Hold, used: Exact, expired: bool, freed: &Freed) -> Decided {
    let freed = freed.with(hold)?;
    let needs = match used.is_zero() {
        true => Vec::new(),
        // What cannot be billed is usage in quarantine, and no reason not to end.
        false => Needs::of(desk, hold, used, desk.at).map(|needs| needs.all).unwrap_or_default(),
    };
    let own = hold.units();
    let (mut drawn, mut draws) = (Draws::new(), Vec::new());
    let mut purse = hold.money();
    let (mut parts, mut settles) = (Vec::new(), None);
    for need in needs {
        let Taken { units, rest, .. } = need.take(desk, &freed, &mut drawn)?;
        let draw = |(bucket, units)| {
            let (account, key) = (hold.account.clone(), need.taking.key.clone());
            Draw { account, key, bucket, units }
        };
        draws.extend(units.into_iter().map(draw));
        let mut money = Amount::ZERO;
        if purse > Amount::ZERO {
            let covered = need.units.sub(rest)?;
            let cost = need.taking.cost(rest, covered, need.deck.as_ref())?;
            money = whole_minor(cost, desk.payer.currency)?.min(purse);
            purse = purse.sub(money)?;
            settles = settles.max(Some(need.taking.charged(desk.at)).filter(|_| money > Amount::ZERO));
        }
        let (subscription, charge) = (need.taking.key.subscription, need.taking.key.charge);
        parts.push(Part { subscription, charge, units: Draws::new(), money });
    }
    let mut postings = Vec::new();
    let mut allotted = Allotted { draws, ..Allotted::default() };
    let buckets: BTreeSet<&String> = own.keys().chain(drawn.keys()).collect();
    for id in buckets {
        let Some(bucket) = desk.view.bucket(&desk.payer.id, id) else { continue };
        let of = |draws: &Draws| draws.get(id).copied().unwrap_or_default();
        let (held, taken) = (of(&own), of(&drawn));
        let (from_held, memo) = (held.min(taken), format!("drawn for {} from", hold.id));
        let drawn_from = |side, units| bucket.posting(desk.at, &memo, (side, QuotaSide::Drawn), units);
        allotted.postings.extend(drawn_from(QuotaSide::Held, from_held));
        allotted.postings.extend(drawn_from(QuotaSide::Available, taken.sub(from_held)?));
        postings.extend(back(desk, bucket, &hold.id, held.sub(from_held)?));
        if taken > Exact::ZERO {
            let known = desk.view.units(&desk.payer.id, id);
            let left = known.left()?.sub(taken)?;
            allotted.alerts.extend(alerts(desk.view, &desk.payer.id, bucket, left, known.granted)?);
        }
    }
    postings.extend(keeps(desk, format!("let go of {}", hold.id), purse.negated(), &freed)?);
    let ended = Ended { at: desk.at, expired, settles };
    let hold = Hold { used, parts, ended: Some(ended), ..hold.clone() };
    let fact = Fact::Ended { payer: desk.payer.id.clone(), hold: Box::new(hold), postings };
    let mut facts = vec![fact.into()];
    facts.extend(packages::drawn(desk, allotted)?);
    Ok(facts)
}

#[cfg(test)]
mod tests;
