//! What happens as time goes by: lines are taken in order, and what is due before each is settled.
//!
//! What was charged for an accumulation is kept, and what it should have cost is worked out from its
//! beginning at each settlement before which something about it changed. The difference is charged.

use crate::account::{Account, Charges, Figures, Key, Subscription};
use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Charge, Measure};
use crate::credit;
use crate::draws;
use crate::history::{Event, Line, Printed, What};
use crate::lifecycle;
use crate::metered;
use crate::money::Item;
use crate::number::Number;
use crate::packages::{self, Packages};
use crate::plans;
use crate::sessions::{self, Session};
use crate::settle::{Period, version};
use crate::terms;
use crate::usage::{self, Usage};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// Why a line is refused: the codes of all reasons that there are.
pub type Reasons = Vec<&'static str>;

/// An accumulation: account, subscription, charge, and when it began.
pub(crate) type Accumulation = (String, String, String, Timestamp);

/// A book in the course of being played.
#[derive(Clone, Debug)]
pub struct Play<'c> {
    pub(crate) lists: &'c [Catalogue],
    /// The book's wall clock.
    pub(crate) zone: TimeZone,
    /// Accounts by name.
    pub accounts: BTreeMap<String, Account>,
    pub(crate) usage: Usage,
    /// Packages, and what was drawn from them.
    pub packages: Packages,
    /// Sessions, by account and id; those that have ended too.
    pub sessions: BTreeMap<(String, String), Session>,
    /// Lines of bills by their id, as they are printed.
    pub printed: BTreeMap<String, Printed>,
    /// When something may be due, and for which payer.
    pub(crate) wakes: BTreeSet<(Timestamp, String)>,
    /// Accumulations about which something has changed since their last settlement.
    changed: BTreeSet<Accumulation>,
    /// What was charged for each accumulation.
    charged: BTreeMap<Accumulation, Charges>,
    /// What was drawn for each accumulation, as lines have shown it.
    drawn: BTreeMap<Accumulation, BTreeMap<Key, BTreeMap<String, Number>>>,
    clock: Timestamp,
}

impl<'c> Play<'c> {
    /// Nothing has happened yet.
    pub fn new(lists: &'c [Catalogue], zone: TimeZone) -> Play<'c> {
        Play {
            lists,
            zone,
            accounts: BTreeMap::new(),
            usage: Usage::default(),
            packages: Packages::default(),
            sessions: BTreeMap::new(),
            printed: BTreeMap::new(),
            wakes: BTreeSet::new(),
            changed: BTreeSet::new(),
            charged: BTreeMap::new(),
            drawn: BTreeMap::new(),
            clock: Timestamp::MIN,
        }
    }

    /// A line, after all that is due before it.
    ///
    /// # Errors
    /// Why it is refused; then nothing has happened.
    ///
    /// # Panics
    /// Where the history does not fit the catalogues, or the calendar.
    pub fn line(&mut self, line: &Line) -> Result<(), Reasons> {
        self.advance(line.at);
        match &line.what {
            What::Usage { id, revision, kind, time, start, attributes } => {
                let event = Event {
                    account: line.account.clone(),
                    revision: *revision,
                    kind: kind.clone(),
                    time: *time,
                    start: *start,
                    attributes: attributes.iter().cloned().collect(),
                    times: 1,
                };
                let changed = self.usage.arrive(self.lists, id, event);
                self.usage_changed(changed);
                Ok(())
            }
            What::Void { id } => {
                let changed = self.usage.void(self.lists, id);
                self.usage_changed(changed);
                Ok(())
            }
            _ => {
                credit::decide(self, line)?;
                // What a command brings about happens before the next one.
                let payer = self.payer(&line.account);
                packages::follow(self, &payer, line.at);
                lifecycle::stand(self, &payer, line.at);
                Ok(())
            }
        }
    }

    /// Lets time go by.
    ///
    /// # Panics
    /// Where the history does not fit the calendar.
    pub fn advance(&mut self, until: Timestamp) {
        while let Some((at, payer)) = self.wakes.first().cloned().filter(|(at, _)| *at <= until) {
            self.wakes.pop_first();
            self.clock = at;
            let expired = sessions::expire(self, &payer, at);
            terms::on_time(self, &payer, at);
            sessions::settle(self, &payer, at);
            self.settle(&payer, at);
            for account in expired {
                // What they used belongs to the cycle that begins now.
                self.touch(&account, at);
            }
            packages::follow(self, &payer, at);
            lifecycle::stand(self, &payer, at);
        }
        self.clock = self.clock.max(until);
    }

    /// The account that pays for an account.
    pub fn payer(&self, account: &str) -> String {
        let payer = self.accounts.get(account).and_then(|account| account.payer.clone());
        payer.unwrap_or_else(|| account.to_owned())
    }

    /// Charges lines to whoever pays for an account, on the bill of a month.
    pub(crate) fn charge(&mut self, account: &str, in_month: Timestamp, items: &[Item], at: Timestamp) {
        let payer = self.payer(account);
        let payer = self.accounts.get_mut(&payer).expect("open");
        let zone = payer.zone.clone();
        if !items.is_empty() {
            payer.money.charge(&zone, in_month, items, at);
        }
    }

    /// The start of the month of the bill on which an account is charged at a moment.
    pub(crate) fn bill_month(&self, account: &str, at: Timestamp) -> Timestamp {
        calendar::cycle_start(&self.accounts[&self.payer(account)].zone, Cycle::Month, at)
    }

    /// The identities of usage that is in quarantine as what would take it was frozen.
    pub fn frozen_usage(&self) -> BTreeSet<String> {
        usage::frozen(self.lists, &self.accounts, &self.usage)
    }

    /// The moment of the line that is being taken.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock
    }

    /// Something may be due then.
    pub(crate) fn wake(&mut self, at: Timestamp, payer: &str) {
        self.wakes.insert((at, payer.to_owned()));
    }

    /// A session says what it used.
    pub(crate) fn said(&mut self, id: &str, event: Event) {
        let changed = self.usage.say(self.lists, id, event);
        self.usage_changed(changed);
    }

    /// Something was drawn for an accumulation that settles then.
    pub(crate) fn look_again(&mut self, accumulation: Accumulation, settles: Timestamp, payer: &str) {
        self.changed.insert(accumulation);
        self.wake(settles, payer);
    }

    /// Whether something of some accounts of a payer settles at a moment: a cycle of a charge that may
    /// go on ends then, or that sessions displaced and have let go for, or a month.
    pub(crate) fn settles(&self, accounts: &[String], now: Timestamp) -> bool {
        let before = now.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
        let credits = |one: &Subscription| {
            accounts.iter().any(|name| {
                let is_own = self.accounts[name].subscriptions.iter().any(|own| std::ptr::eq(own, one));
                is_own && self.packages.credits(name, &one.name)
            })
        };
        let ends = |one: &Subscription| {
            charges(self.lists, one).any(|(list, _, settle)| {
                let goes_on =
                    one.end.is_none_or(|end| calendar::cycle_start(&list.zone, settle, before) < end);
                (goes_on || credits(one)) && calendar::cycle_start(&list.zone, settle, now) == now
            })
        };
        let all = accounts.iter().flat_map(|name| &self.accounts[name].subscriptions);
        let zone = accounts.first().map(|payer| &self.accounts[payer].zone);
        zone.is_some_and(|zone| calendar::cycle_start(zone, Cycle::Month, now) == now)
            || all.filter(|one| one.begins() < now).any(ends)
    }

    fn usage_changed(&mut self, changed: Vec<((String, String, String), Timestamp)>) {
        for ((account, catalogue, meter), from) in changed {
            let of_meter =
                |charge: &Charge| matches!(&charge.measure, Measure::Meter(name) if *name == meter);
            self.touch_charges(&account, from, &|list, charge| list.id == catalogue && of_meter(charge));
        }
    }

    /// Something about an account has changed, as of a moment: what it is charged for the time from
    /// then on is looked at again.
    pub(crate) fn touch(&mut self, account: &str, from: Timestamp) {
        self.touch_charges(account, from, &|_, _| true);
    }

    fn touch_charges(&mut self, name: &str, from: Timestamp, which: &dyn Fn(&Catalogue, &Charge) -> bool) {
        let Some(account) = self.accounts.get(name) else { return };
        let payer = self.payer(name);
        for one in &account.subscriptions {
            for (list, charge, settle) in
                charges(self.lists, one).filter(|(list, charge, _)| which(list, charge))
            {
                // At the end of the cycle around now at the latest; long before that for a term that
                // has ended already.
                let next = calendar::cycle_start(&list.zone, settle, self.clock);
                self.wakes.insert((calendar::cycle_end(&list.zone, settle, next), payer.clone()));
                let mut began = calendar::cycle_start(&list.zone, charge.accumulate, from.max(one.begins()));
                while began <= self.clock {
                    let holds_on = goes_on(list, charge);
                    let key = (name.to_owned(), one.name.clone(), charge.id.clone(), began);
                    let ends = calendar::cycle_end(&list.zone, charge.accumulate, began);
                    let around = |at: Timestamp| began <= at && at < ends;
                    let used = match &charge.measure {
                        Measure::Meter(meter) => {
                            let counted = self.usage.counted(name, &list.id, meter);
                            let first = counted.partition_point(|one| one.at < began);
                            counted.get(first).is_some_and(|one| one.at < ends)
                        }
                        _ => false,
                    };
                    if holds_on || used || around(self.clock) || self.charged.contains_key(&key) {
                        self.changed.insert(key);
                    }
                    began = ends;
                }
            }
        }
    }

    /// A payer and its members.
    pub(crate) fn group(&self, payer: &str) -> Vec<String> {
        let members = self.accounts.values().filter(|one| one.payer.as_deref() == Some(payer));
        [payer.to_owned()].into_iter().chain(members.map(|one| one.name.clone())).collect()
    }

    /// The accumulations of an account whose charge settles now, and that may come to something else.
    fn due(&self, name: &str, now: Timestamp, again: &mut Vec<Timestamp>) -> BTreeSet<Accumulation> {
        let account = &self.accounts[name];
        let mut all = BTreeSet::new();
        for one in account.subscriptions.iter().filter(|one| one.begins() < now) {
            for (list, charge, settle) in charges(self.lists, one) {
                if calendar::cycle_start(&list.zone, settle, now) != now {
                    continue;
                }
                let before = now.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
                let here = calendar::cycle_start(&list.zone, charge.accumulate, before);
                let key = |began: Timestamp| (name.to_owned(), one.name.clone(), charge.id.clone(), began);
                all.extend(self.changed.range(key(Timestamp::MIN)..key(now)).cloned());
                if goes_on(list, charge) {
                    // What is held costs something without anything happening, and a least
                    // is due when the accumulation ends.
                    let last = one.end.map(|end| end.max(one.start));
                    if last.is_none_or(|last| here <= last) {
                        all.insert(key(here));
                    }
                    let end_around = |at: Timestamp| {
                        let began = calendar::cycle_start(&list.zone, charge.accumulate, at);
                        calendar::cycle_end(&list.zone, charge.accumulate, began)
                    };
                    if last.is_none_or(|last| now < end_around(last)) {
                        again.push(calendar::cycle_end(&list.zone, settle, now));
                    }
                }
            }
        }
        all
    }

    /// An accumulation as it is settled now.
    pub(crate) fn period(&self, accumulation: &Accumulation, now: Timestamp) -> Option<Period<'_>> {
        let (name, order, charge, began) = accumulation;
        let account = &self.accounts[name];
        let one = account.subscriptions.iter().find(|one| one.name == *order)?;
        let (list, charge, settle) = charges(self.lists, one).find(|(_, known, _)| known.id == *charge)?;
        Some(Period {
            lists: self.lists,
            account,
            master: account.payer.as_ref().map(|payer| &self.accounts[payer]),
            one,
            list,
            charge,
            settle,
            settled: now,
            began: *began,
            ends: calendar::cycle_end(&list.zone, charge.accumulate, *began),
            packages: &self.packages,
        })
    }

    /// Settles all charges of a payer and its members whose cycle ends now.
    fn settle(&mut self, payer: &str, now: Timestamp) {
        let names = self.group(payer);
        let mut again = Vec::new();
        let mut due: BTreeSet<Accumulation> =
            names.iter().flat_map(|name| self.due(name, now, &mut again)).collect();
        for one in draws::allot(self, &names, &due, now) {
            let Some(period) = self.period(&one, now) else { continue };
            // What is not settled now is at its own next settlement.
            let cycle = calendar::cycle_start(period.zone(), period.settle, now);
            if cycle == now {
                due.insert(one);
            } else {
                again.push(calendar::cycle_end(period.zone(), period.settle, cycle));
                self.changed.insert(one);
            }
        }
        let before = now.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
        let month = self.bill_month(payer, before);
        let mut items = Vec::new();
        for accumulation in due {
            let Some(period) = self.period(&accumulation, now) else { continue };
            let (charges, one) = (period.charges(&self.usage), period.one.clone());
            let drawn = self.packages.drawn_by(&period);
            let account = self.accounts.get_mut(&accumulation.0).expect("there");
            self.changed.remove(&accumulation);
            let before = self.charged.insert(accumulation.clone(), charges.clone()).unwrap_or_default();
            let shown = self.drawn.insert(accumulation, drawn.clone()).unwrap_or_default();
            let keys: BTreeSet<_> =
                charges.keys().chain(before.keys()).chain(drawn.keys()).chain(shown.keys()).collect();
            for key in keys {
                let nothing = Figures::nothing();
                let (new, old) = (charges.get(key).unwrap_or(&nothing), before.get(key).unwrap_or(&nothing));
                // What is all drawn is a line, too.
                if new != old || drawn.get(key) != shown.get(key) {
                    let more = Figures {
                        quantity: &new.quantity - &old.quantity,
                        free: &new.free - &old.free,
                        list: &new.list - &old.list,
                        amount: &new.amount - &old.amount,
                    };
                    items.push(account.add(one.plan_at(key.from), key.clone(), &more, month));
                }
            }
        }
        if self.packages.are_displaced(&names) {
            // What sessions let go credits them at the next settlement of anything.
            for one in names.iter().flat_map(|name| &self.accounts[name].subscriptions) {
                for (list, _, settle) in charges(self.lists, one) {
                    let cycle = calendar::cycle_start(&list.zone, settle, now);
                    again.push(calendar::cycle_end(&list.zone, settle, cycle));
                }
            }
        }
        self.wakes.extend(again.into_iter().map(|at| (at, payer.to_owned())));
        self.charge(payer, before, &items, now);
    }

    /// The moments at which months of a payer's bills end, from its opening up to a moment.
    ///
    /// # Panics
    /// Outside the calendar.
    pub fn month_ends(&self, payer: &str, until: Timestamp) -> Vec<Timestamp> {
        let account = &self.accounts[payer];
        let mut all = Vec::new();
        let mut month = calendar::cycle_start(&account.zone, Cycle::Month, account.opened);
        while month < until {
            month = calendar::cycle_end(&account.zone, Cycle::Month, month);
            all.push(month);
        }
        all
    }
}

/// The charges of a subscription that are settled as time goes by.
fn charges<'l>(
    lists: &'l [Catalogue],
    one: &Subscription,
) -> impl Iterator<Item = (&'l Catalogue, &'l Charge, Cycle)> + use<'l> {
    let list = version(lists, &one.catalogue, one.begins());
    let mode = one.mode();
    let all = plans::charges(list, one).into_iter();
    let offered = all.filter(move |charge| charge.modes.iter().any(|offered| offered == mode));
    offered.filter_map(move |charge| Some((list, charge, charge.settle?)))
}

/// Whether a charge may cost something at the end of a cycle in which nothing happened.
fn goes_on(list: &Catalogue, charge: &Charge) -> bool {
    match &charge.measure {
        Measure::Meter(meter) => metered::goes_on(&list.meters[meter], &charge.pricing),
        _ => true,
    }
}
