//! Which usage counts, who takes it, and how much it is.

use crate::account::{Account, Subscription};
use crate::calendar;
use crate::catalogue::{Catalogue, Condition, Meter, Model, Plan};
use crate::history::Event;
use crate::number::{Number, decimal, up_to, whole, zero};
use crate::price;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// An account, a price list and a meter of it.
pub(crate) type Measured = (String, String, String);

/// All usage that counts: of each identity the highest revision, once, unless it was taken back,
/// before or after it arrived. What sessions say of their own usage, one of each account under an identity, gives way to
/// any record of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    events: BTreeMap<String, Rc<Event>>,
    voided: BTreeSet<String>,
    /// What sessions have told, by identity and account.
    said: BTreeMap<(String, String), Rc<Event>>,
    /// What each meter counts, in the order of time.
    counted: BTreeMap<Measured, Vec<Counted>>,
}

impl Usage {
    /// A piece of usage arrives. Answers what has changed: by which meters, and from when.
    pub(crate) fn arrive(
        &mut self,
        lists: &[Catalogue],
        id: &str,
        event: Event,
    ) -> Vec<(Measured, Timestamp)> {
        let known = self.events.get(id);
        if self.voided.contains(id) || known.is_some_and(|known| known.revision >= event.revision) {
            return Vec::new();
        }
        let mut changed = self.take_back(lists, id);
        let event = self.put(lists, event, &mut changed);
        self.events.insert(id.to_owned(), event);
        changed
    }

    /// A session tells what it used, unless a record of it is there.
    pub(crate) fn say(&mut self, lists: &[Catalogue], id: &str, event: Event) -> Vec<(Measured, Timestamp)> {
        if self.voided.contains(id) || self.events.contains_key(id) {
            return Vec::new();
        }
        let (name, mut changed) = ((id.to_owned(), event.account.clone()), Vec::new());
        if let Some(before) = self.said.remove(&name) {
            self.remove(lists, &before, &mut changed);
        }
        let event = self.put(lists, event, &mut changed);
        self.said.insert(name, event);
        changed
    }

    fn put(
        &mut self,
        lists: &[Catalogue],
        event: Event,
        changed: &mut Vec<(Measured, Timestamp)>,
    ) -> Rc<Event> {
        let event = Rc::new(event);
        for (measured, meter) in meters(lists, &event.account) {
            if let Some(value) = counts(meter, &event).then(|| value(meter, &event)).flatten() {
                let at = moment(meter, &event);
                let all = self.counted.entry(measured.clone()).or_default();
                let place = all.partition_point(|one| one.at <= at);
                all.insert(place, Counted { at, value, event: event.clone() });
                changed.push((measured, at));
            }
        }
        event
    }

    /// Usage is taken back for good.
    pub(crate) fn void(&mut self, lists: &[Catalogue], id: &str) -> Vec<(Measured, Timestamp)> {
        self.voided.insert(id.to_owned());
        self.take_back(lists, id)
    }

    fn take_back(&mut self, lists: &[Catalogue], id: &str) -> Vec<(Measured, Timestamp)> {
        let said: Vec<_> = self.said.keys().filter(|(of, _)| of == id).cloned().collect();
        let said = said.iter().filter_map(|name| self.said.remove(name));
        let events: Vec<Rc<Event>> = said.chain(self.events.remove(id)).collect();
        let mut changed = Vec::new();
        events.iter().for_each(|event| self.remove(lists, event, &mut changed));
        changed
    }

    fn remove(&mut self, lists: &[Catalogue], event: &Rc<Event>, changed: &mut Vec<(Measured, Timestamp)>) {
        for (measured, _) in meters(lists, &event.account) {
            let Some(all) = self.counted.get_mut(&measured) else { continue };
            if let Some(index) = all.iter().position(|one| Rc::ptr_eq(&one.event, event)) {
                changed.push((measured, all.remove(index).at));
            }
        }
    }

    /// What a meter counts.
    pub(crate) fn counted(&self, account: &str, catalogue: &str, meter: &str) -> &[Counted] {
        let measured = (account.to_owned(), catalogue.to_owned(), meter.to_owned());
        self.counted.get(&measured).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Usage in quarantine as the subscriptions that would take it were all frozen then: its identities.
pub(crate) fn frozen(
    lists: &[Catalogue],
    accounts: &BTreeMap<String, Account>,
    usage: &Usage,
) -> BTreeSet<String> {
    let (mut taken, mut frozen) = (BTreeSet::new(), BTreeSet::new());
    for ((account, catalogue, meter), all) in &usage.counted {
        let Some(account) = accounts.get(account) else { continue };
        for one in account.subscriptions.iter().filter(|one| one.catalogue == *catalogue) {
            let list = lists.iter().find(|list| list.id == one.catalogue).expect("read");
            for event in all.iter().filter(|event| would_measure(list, one, meter, event)) {
                let charges = list.plans[one.plan_at(event.at)].charges.iter();
                // A call whose number no row of a deck has is not taken by it.
                let priced = charges.filter(|charge| charge.is_by(meter)).any(|charge| {
                    let deck = match &charge.pricing.model {
                        Model::Deck(deck) => Some(deck.as_str()),
                        _ => None,
                    };
                    group(list, &charge.per, deck, &event.event).is_some()
                });
                if priced {
                    let set = if one.is_frozen(event.at) { &mut frozen } else { &mut taken };
                    set.insert(Rc::as_ptr(&event.event));
                }
            }
        }
    }
    let only_frozen = |event: &Rc<Event>| {
        let event = Rc::as_ptr(event);
        frozen.contains(&event) && !taken.contains(&event)
    };
    let said = usage.said.iter().map(|((id, _), event)| (id, event));
    usage
        .events
        .iter()
        .chain(said)
        .filter(|(_, event)| only_frozen(event))
        .map(|(id, _)| id.clone())
        .collect()
}

/// The meters of all price lists, for an account. Versions of a list have the same meters.
fn meters<'l>(
    lists: &'l [Catalogue],
    account: &'l str,
) -> impl Iterator<Item = (Measured, &'l Meter)> + use<'l> {
    let first = |list: &Catalogue| lists.iter().find(|one| one.id == list.id).map(std::ptr::from_ref);
    lists.iter().filter(move |list| first(list) == Some(std::ptr::from_ref(*list))).flat_map(move |list| {
        list.meters
            .iter()
            .map(move |(name, meter)| ((account.to_owned(), list.id.clone(), name.clone()), meter))
    })
}

/// The moment that decides to which period an event belongs.
pub(crate) fn moment(meter: &Meter, event: &Event) -> Timestamp {
    if meter.by_start { event.start.unwrap_or(event.time) } else { event.time }
}

/// Whether a meter counts an event.
pub(crate) fn counts(meter: &Meter, event: &Event) -> bool {
    let holds = |(attribute, condition): &(String, Condition)| {
        let Some(value) = event.attributes.get(attribute) else { return false };
        match condition {
            Condition::OneOf(texts) => texts.contains(value),
            Condition::NoneOf(texts) => !texts.contains(value),
            Condition::Between(from, to) => {
                decimal(value).is_some_and(|number| *from <= number && number <= *to)
            }
        }
    };
    meter.event == event.kind && meter.conditions.iter().all(holds)
}

/// The value of an event under a meter, rounded as each is; `None` where it cannot be billed.
pub(crate) fn value(meter: &Meter, event: &Event) -> Option<Number> {
    if meter.aggregate == "count" {
        return Some(whole(event.times));
    }
    let text = event.attributes.get(meter.of.as_ref()?)?;
    if meter.aggregate == "unique" {
        return Some(zero());
    }
    let number = decimal(text).filter(|number| !number.is_negative())?;
    Some(match &meter.each_up_to {
        Some(step) => up_to(&number, step),
        None => number,
    })
}

/// Whether a subscription measures an event by a meter, unless it is frozen then.
fn measures(list: &Catalogue, subscription: &Subscription, name: &str, one: &Counted) -> bool {
    !subscription.is_frozen(one.at) && would_measure(list, subscription, name, one)
}

/// Whether a subscription measures an event by a meter, but for a freeze: by its plan, its bindings and
/// its time.
pub(crate) fn would_measure(
    list: &Catalogue,
    subscription: &Subscription,
    name: &str,
    one: &Counted,
) -> bool {
    let plan = &list.plans[subscription.plan_at(one.at)];
    let bound = |name: &String| subscription.attributes.get(name) == one.event.attributes.get(name);
    subscription.begins() <= one.at
        && subscription.end.is_none_or(|end| one.at < end)
        && binds(plan, subscription, name).is_some_and(|binds| binds.iter().all(bound))
}

/// What usage must be like that a subscription measures by a meter; `None` where it measures none.
fn binds<'p>(plan: &'p Plan, subscription: &Subscription, name: &str) -> Option<&'p [String]> {
    let charge = plan.charges.iter().find(|charge| {
        charge.modes.iter().any(|offered| offered == subscription.mode()) && charge.is_by(name)
    })?;
    Some(if charge.of_account { &[] } else { &plan.binds })
}

/// Whether one subscription takes an event by a meter: of those of a product that measure by it and
/// whose bindings match, the one with the most bindings takes a piece of usage, then the one that
/// began first, then by name (DECISIONS 10).
pub(crate) fn takes(
    lists: &[Catalogue],
    account: &Account,
    subscription: &Subscription,
    meter: &str,
    event: &Counted,
) -> bool {
    let of = |one: &Subscription| lists.iter().find(|list| list.id == one.catalogue).expect("read");
    if !measures(of(subscription), subscription, meter, event) {
        return false;
    }
    let product = |one: &Subscription| &of(one).plans[&one.plan].product;
    let rank = |one: &Subscription| {
        let bindings = binds(&of(one).plans[one.plan_at(event.at)], one, meter).map_or(0, <[String]>::len);
        (std::cmp::Reverse(bindings), one.start)
    };
    account.subscriptions.iter().all(|rival| {
        let better = (rank(rival), &rival.name) < (rank(subscription), &subscription.name);
        let same = rival.catalogue == subscription.catalogue && product(rival) == product(subscription);
        !(better && same && measures(of(rival), rival, meter, event))
    })
}

/// A counted event: its moment, what it adds, and itself.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The moment that decides its period.
    pub at: Timestamp,
    /// Its value.
    pub value: Number,
    /// The event.
    pub event: Rc<Event>,
}

/// The measured quantity of some events, in the order of time.
pub(crate) fn quantity<'c>(meter: &Meter, events: impl IntoIterator<Item = &'c Counted>) -> Number {
    let events = events.into_iter();
    match meter.aggregate.as_str() {
        "count" | "sum" => events.fold(zero(), |sum, one| sum + &one.value),
        "max" => events.fold(zero(), |most, one| most.max(one.value.clone())),
        "latest" => events.last().map_or_else(zero, |one| one.value.clone()),
        "unique" => {
            let of = meter.of.as_ref().expect("unique values of something");
            let different: BTreeSet<_> = events.map(|one| one.event.attributes.get(of)).collect();
            whole(i64::try_from(different.len()).expect("a small number"))
        }
        other => unreachable!("{other}"),
    }
}

/// Value × hours over a stretch: each value holds until the next.
pub(crate) fn weighted(events: &[Counted], from: Timestamp, until: Timestamp) -> Number {
    let mut sum = zero();
    for (index, one) in events.iter().enumerate() {
        let next = events.get(index + 1).map_or(until, |next| next.at);
        let (start, end) = (one.at.max(from), next.min(until));
        if start < end {
            sum += &one.value * calendar::seconds(start, end) / whole(3600);
        }
    }
    sum
}

/// The group of an event under a charge: the values of what it accumulates per, and the prefix
/// that a call falls under. `None` where no row of a deck fits.
pub(crate) fn group(
    catalogue: &Catalogue,
    per: &[String],
    deck: Option<&str>,
    event: &Event,
) -> Option<BTreeMap<String, String>> {
    let value = |name: &String| event.attributes.get(name).map(|value| (name.clone(), value.clone()));
    let mut group: BTreeMap<String, String> = per.iter().filter_map(value).collect();
    if let Some(deck) = deck {
        let deck = &catalogue.decks[deck];
        let (prefix, _) = price::row(deck, event.attributes.get(&deck.destination)?)?;
        group.insert("prefix".to_owned(), prefix.to_owned());
    }
    Some(group)
}
