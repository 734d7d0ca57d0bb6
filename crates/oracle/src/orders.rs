//! Which lines are refused, and what the others do.

use crate::account::{Account, AgreedPrice, Discount, Figures, Key, State, Subscription, Term};
use crate::account::{best_discount, price_at};
use crate::add_ons::{self, Admitted, Wish};
use crate::calendar::{self, Cycle};
use crate::catalogue::{Catalogue, Measure, Model, Plan, Refund};
use crate::credit;
use crate::history::{Line, Payment, Split, What};
use crate::lifecycle;
use crate::money::{Item, Money};
use crate::number::{Number, decimal, round, whole, zero};
use crate::packages;
use crate::plans;
use crate::play::{Play, Reasons};
use crate::price;
use crate::sessions;
use crate::settle::{agreed, best, version};
use crate::terms::{self, Auto};
use crate::wallet;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Does what a line says, or refuses it.
pub(crate) fn decide(play: &mut Play<'_>, line: &Line) -> Result<(), Reasons> {
    let (at, name) = (line.at, &line.account);
    if let What::Open { zone, payer, tier } = &line.what {
        return open(play, line, zone.as_deref(), payer.as_deref(), tier.as_deref());
    }
    if !play.accounts.contains_key(name) {
        return Err(vec!["unknown-account"]);
    }
    match &line.what {
        What::Subscribe { plan, units, name: order, payment, auto, attributes } => {
            let attributes: BTreeMap<String, String> = attributes.iter().cloned().collect();
            subscribe(play, line, plan, *units, order, (*payment, *auto), attributes)
        }
        What::AutoRenew { name: order, limit } => terms::auto_renew(play, line, order, *limit),
        What::Migrate { .. } => terms::migrate(play, line),
        What::Change { name: order, units, effective } => {
            let from = effective.unwrap_or(at);
            let known = play.accounts[name].subscriptions.iter().find(|one| one.name == *order);
            let mut more = Vec::new();
            if let Some(one) = known.filter(|one| *units > 0 && one.terms.is_empty()) {
                more = lifecycle::no_order(play, name, version(play.lists, &one.catalogue, at));
                if one.trial && !more.is_empty() {
                    more.push("trial-runs");
                }
            }
            let index =
                running(play, name, order, from).map_err(|reasons| [reasons, more.clone()].concat())?;
            let one = &mut play.accounts.get_mut(name).expect("open").subscriptions[index];
            more.extend(add_ons::no_trial(one).err().unwrap_or_default());
            refuse(more)?;
            if one.mode() == "prepaid" {
                return Err(vec!["quantity-fixed"]);
            }
            let mut changes = one.changes.clone();
            changes.push((from, *units));
            changes.sort_by_key(|(from, _)| *from);
            let mut held = i64::from(one.quantity);
            for (_, more) in &changes {
                held += more;
                if held < 0 {
                    return Err(vec!["below-zero"]);
                }
            }
            one.changes = changes;
            play.touch(name, from);
            Ok(())
        }
        What::Cancel { name: order } => {
            let index = running(play, name, order, at)?;
            let account = play.accounts.get_mut(name).expect("open");
            add_ons::no_trial(&account.subscriptions[index])?;
            if !account.subscriptions[index].terms.is_empty() {
                return Err(vec!["term-runs"]);
            }
            for index in [index].into_iter().chain(add_ons::followers(account, index)) {
                account.subscriptions[index].end = Some(at);
            }
            play.touch(name, at);
            Ok(())
        }
        What::Unsubscribe { name: order } => unsubscribe(play, line, order),
        What::Stop { name: order, stop } => {
            let index = running(play, name, order, at)?;
            let one = &mut play.accounts.get_mut(name).expect("open").subscriptions[index];
            one.stops.push((at, *stop));
            play.touch(name, at);
            Ok(())
        }
        What::Renew { name: order, months } => renew(play, line, order, *months),
        What::ChangeMode { name: order, .. } => {
            // "cannot be changed within a billing period" (R-CEC-3, R-YKF-2, R-KP-5).
            running(play, name, order, at)?;
            Err(vec!["mode-change-not-supported"])
        }
        What::ChangePlan { name: order, plan } => plans::change(play, line, order, plan),
        What::Discount { percent, on, until } => {
            let percent = decimal(percent).expect("a decimal");
            let mut reasons = Vec::new();
            if !percent.is_positive() || percent > whole(100) {
                reasons.push("bad-percent");
            }
            reasons.extend(until.filter(|until| *until <= at).map(|_| "ends-before-start"));
            let (plan, charge) = match on.as_ref().map(|on| on.split_once('/').unwrap_or((on, ""))) {
                Some((plan, "")) => (Some(plan.to_owned()), None),
                Some((plan, charge)) => (Some(plan.to_owned()), Some(charge.to_owned())),
                None => (None, None),
            };
            refuse(reasons)?;
            let discount = Discount { from: at, until: *until, percent, plan, charge };
            play.accounts.get_mut(name).expect("open").discounts.push(discount);
            Ok(())
        }
        What::Price { on, price, until } => {
            let (plan, charge) = on.split_once('/').expect("PLAN/CHARGE");
            let mut reasons = Vec::new();
            reasons.extend(until.filter(|until| *until <= at).map(|_| "ends-before-start"));
            if let Some(list) = play.lists.iter().find(|list| list.plans.contains_key(plan)) {
                let model = list.plans[plan].charges.iter().find(|one| one.id == charge);
                if matches!(model.map(|one| &one.pricing.model), Some(Model::Deck(_))) {
                    reasons.push("price-not-negotiable");
                }
            }
            refuse(reasons)?;
            let price = AgreedPrice {
                from: at,
                until: *until,
                plan: plan.to_owned(),
                charge: charge.to_owned(),
                price: decimal(price).expect("a decimal"),
            };
            play.accounts.get_mut(name).expect("open").prices.push(price);
            play.touch(name, at);
            Ok(())
        }
        What::TopUp { amount } | What::MigrateBalance { amount } => {
            let amount = decimal(amount).expect("a decimal");
            if !amount.is_positive() || round(&amount, 2) != amount {
                return Err(vec!["bad-amount"]);
            }
            let payer = play.payer(name);
            play.accounts.get_mut(&payer).expect("open").money.move_by(at, &amount);
            Ok(())
        }
        What::Tier { tier } => {
            let account = play.accounts.get_mut(name).expect("open");
            let mut reasons = Vec::new();
            reasons.extend(account.payer.as_ref().map(|_| "tier-of-payer"));
            if !lifecycle::is_tier(play.lists, tier) {
                reasons.push("unknown-tier");
            }
            refuse(reasons)?;
            account.tiers.push((at, tier.clone()));
            Ok(())
        }
        What::Suspend { suspend } => {
            let account = play.accounts.get_mut(name).expect("open");
            match (account.suspended, *suspend) {
                (true, true) => return Err(vec!["already-suspended"]),
                (false, false) => return Err(vec!["not-suspended"]),
                _ => account.suspended = *suspend,
            }
            Ok(())
        }
        What::CreditLimit { limit } => credit::set(play, line, limit.as_deref()),
        What::Share { name: order, with } => packages::share(play, line, order, with),
        What::Keep { name: order } => packages::keep(play, line, order),
        What::Hold { id, kind, units, until, attributes } => {
            sessions::hold(play, line, (id, kind), *units, *until, attributes)
        }
        What::Extend { id, units, used, until } => sessions::extend(play, line, id, (*units, *used), *until),
        What::Release { id, used } => sessions::release(play, line, id, *used),
        What::Open { .. } | What::Usage { .. } | What::Void { .. } => Ok(()),
        _ => wallet::decide(play, line),
    }
}

pub(crate) fn refuse(reasons: Reasons) -> Result<(), Reasons> {
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

fn open(
    play: &mut Play<'_>,
    line: &Line,
    zone: Option<&str>,
    payer: Option<&str>,
    tier: Option<&str>,
) -> Result<(), Reasons> {
    let mut reasons = Vec::new();
    if play.accounts.contains_key(&line.account) {
        reasons.push("account-exists");
    }
    if let Some(payer) = payer {
        match play.accounts.get(payer) {
            None => reasons.push("unknown-account"),
            Some(master) if master.payer.is_some() => reasons.push("master-is-member"),
            Some(_) => {}
        }
    }
    if let Some(tier) = tier {
        if payer.is_some() {
            reasons.push("tier-of-payer");
        }
        if !lifecycle::is_tier(play.lists, tier) {
            reasons.push("unknown-tier");
        }
    }
    refuse(reasons)?;
    let account = Account {
        name: line.account.clone(),
        zone: zone.map_or_else(|| play.zone.clone(), |zone| calendar::zone(zone).expect("a zone")),
        opened: line.at,
        payer: payer.map(str::to_owned),
        subscriptions: Vec::new(),
        discounts: Vec::new(),
        prices: Vec::new(),
        tiers: tier.map(|tier| (line.at, tier.to_owned())).into_iter().collect(),
        credit_limit: None,
        arrears: None,
        suspended: false,
        steps: Vec::new(),
        full_refunds: 0,
        charges: BTreeMap::new(),
        billed: BTreeMap::new(),
        line_changes: BTreeMap::new(),
        by_hand: BTreeMap::new(),
        money: Money::default(),
    };
    play.accounts.insert(line.account.clone(), account);
    Ok(())
}

/// The place of a subscription that runs at a moment.
pub(crate) fn running(play: &Play<'_>, account: &str, name: &str, at: Timestamp) -> Result<usize, Reasons> {
    let account = &play.accounts[account];
    let mut reasons = Vec::new();
    if at < account.opened {
        reasons.push("before-opening");
    }
    let index = account.subscriptions.iter().position(|one| one.name == name);
    match index.map(|index| &account.subscriptions[index]) {
        None => reasons.push("unknown-subscription"),
        Some(one) if at < one.start => reasons.push("before-start"),
        Some(one) if one.end.is_some_and(|end| end <= at) => reasons.push("subscription-ended"),
        Some(_) => {}
    }
    if let Some(index) = index {
        reasons.extend(lifecycle::not_accepted(play, account, &account.subscriptions[index]));
    }
    if !reasons.is_empty()
        && let Some(one) = index.map(|index| &account.subscriptions[index])
    {
        // It may also be what the other mode knows.
        let other: &[&str] =
            if one.terms.is_empty() { &["no-term"] } else { &["quantity-fixed", "term-runs"] };
        reasons.extend(other);
        reasons.extend(one.trial.then_some("trial-runs"));
    }
    refuse(reasons)?;
    Ok(index.expect("found"))
}

/// The price list of a plan at a moment.
pub(crate) fn list_of<'c>(lists: &'c [Catalogue], plan: &str, at: Timestamp) -> &'c Catalogue {
    let any = lists.iter().find(|list| list.plans.contains_key(plan)).expect("a plan of these lists");
    version(lists, &any.id, at)
}

/// What is wrong about the attributes of an order.
pub(crate) fn wrong_attributes(plan: &Plan, attributes: &BTreeMap<String, String>) -> Reasons {
    let mut reasons = Vec::new();
    let needed: Vec<&String> = plan.binds.iter().chain(&plan.options).collect();
    if needed.iter().any(|name| !attributes.contains_key(*name)) {
        reasons.push("missing-attribute");
    }
    let known = |name: &String| {
        needed.contains(&name)
            || name.starts_with("tag:")
            || ["application", "project"].contains(&name.as_str())
    };
    if attributes.keys().any(|name| !known(name)) {
        reasons.push("unknown-attribute");
    }
    reasons
}

fn subscribe(
    play: &mut Play<'_>,
    line: &Line,
    plan_name: &str,
    units: u32,
    name: &str,
    (payment, auto): (Payment, Option<i64>),
    attributes: BTreeMap<String, String>,
) -> Result<(), Reasons> {
    let list = list_of(play.lists, plan_name, line.at);
    let plan = &list.plans[plan_name];
    let account = &play.accounts[&line.account];
    let mut reasons = Vec::new();
    if account.subscriptions.iter().any(|one| one.name == name) {
        reasons.push("subscription-exists");
    }
    if units < plan.minimum_quantity {
        reasons.push("below-minimum");
    }
    let offers = |mode: &str| plan.modes.iter().any(|offered| offered == mode);
    // The plan's only mode, or pay-per-use where it offers both.
    let (prepaid, said) = match payment {
        Payment::Prepaid(months) => (true, Some(months)),
        Payment::Unsaid => (!offers("pay-per-use"), None),
        Payment::PayPerUse => (false, None),
    };
    if !offers(if prepaid { "prepaid" } else { "pay-per-use" }) {
        reasons.push("mode-not-offered");
    }
    let terms = add_ons::admit(
        account,
        list,
        plan,
        &Wish { at: line.at, units, prepaid, said, auto, attributes: &attributes },
    );
    let admitted = match terms {
        Ok(admitted) => admitted,
        Err(more) => {
            reasons.extend(more);
            Admitted::default()
        }
    };
    reasons.extend(wrong_attributes(plan, &attributes));
    reasons.extend(lifecycle::no_order(play, &line.account, list));
    refuse(reasons)?;
    let account = play.accounts.get_mut(&line.account).expect("open");
    let Admitted { term, end, months, follows } = admitted;
    let trial = plan.trial.is_some();
    account.subscriptions.push(Subscription {
        name: name.to_owned(),
        catalogue: list.id.clone(),
        plan: plan_name.to_owned(),
        later_plans: Vec::new(),
        start: line.at,
        end,
        terms: term.into_iter().collect(),
        migrated: None,
        own_end: None,
        follows,
        trial,
        auto: None,
        quantity: units,
        changes: Vec::new(),
        stops: Vec::new(),
        attributes,
        state: State::Active,
        frozen: Vec::new(),
    });
    let index = account.subscriptions.len() - 1;
    let paid = purchase(play, &line.account, index, months, line.at);
    let one = &mut play.accounts.get_mut(&line.account).expect("open").subscriptions[index];
    if let Some(term) = one.terms.first_mut() {
        term.paid = paid;
        if let Some(limit) = auto {
            let mut auto = Auto { limit, renewals: 0, next: None };
            auto.plan(list, term.until, line.at);
            terms::set(play, &line.account, index, Some(auto));
        }
    }
    play.touch(&line.account, line.at);
    Ok(())
}

/// Charges what is paid when something is ordered: terms, and one-off fees with the first order, at
/// the prices in force now (R-CHG-2). Answers what the term costs.
fn purchase(play: &mut Play<'_>, name: &str, index: usize, months: Option<Number>, at: Timestamp) -> Number {
    let (paid, bought) = cost(play, name, index, months.map(|months| (months, whole(1))), at, at);
    post(play, name, vec![(index, bought)], at);
    paid
}

/// What is paid when something is ordered: for the term, and line by line.
pub(crate) fn cost(
    play: &Play<'_>,
    name: &str,
    index: usize,
    months: Option<(Number, Number)>,
    begins: Timestamp,
    at: Timestamp,
) -> (Number, Lines) {
    let (months, part) = months.map_or((None, whole(1)), |(months, part)| (Some(months), part));
    let account = &play.accounts[name];
    let master = account.payer.as_ref().map(|payer| &play.accounts[payer]);
    let one = &account.subscriptions[index];
    let list = version(play.lists, &one.catalogue, at);
    let plan = one.plan_at(begins);
    let mut paid = zero();
    let mut bought = Vec::new();
    for charge in &list.plans[plan].charges {
        if charge.settle.is_some() || !charge.modes.iter().any(|offered| offered == one.mode()) {
            continue;
        }
        // What is paid once is the price of a term that has no other; else it comes with the order.
        let of_term = months.is_some() && plans::prices_term(&list.plans[plan], charge);
        let units = whole(i64::from(one.quantity));
        let (quantity, part) = match (&charge.measure, &months) {
            (Measure::Term, Some(months)) => (units * months, whole(1)),
            (Measure::Fixed, _) if of_term => (units, part.clone()),
            (Measure::Fixed, _) if begins == one.start => (units, whole(1)),
            _ => continue,
        };
        let said = price_at(account, plan, &charge.id, at);
        let by_list = price::cumulative(&charge.pricing.model, &quantity) * &part;
        let by_price = price::cumulative(&agreed(&charge.pricing, said).model, &quantity) * &part;
        let off = best_discount(account, master, plan, charge, &|from, until| {
            from <= at && until.is_none_or(|until| at < until)
        });
        let amount = round(&best(&by_list, &by_price, said, &off), 8);
        let key = Key {
            subscription: one.name.clone(),
            charge: charge.id.clone(),
            cycle: begins,
            from: begins,
            group: BTreeMap::new(),
            split: Split::of(&one.attributes),
        };
        if of_term {
            paid += &amount;
        }
        bought.push((key, Figures { list: round(&by_list, 8), amount, quantity, free: zero() }));
    }
    (paid, bought)
}

/// Posts what is charged by a line of the book for subscriptions, on the bill of its month.
fn post(play: &mut Play<'_>, name: &str, lines: Vec<(usize, Lines)>, at: Timestamp) {
    let month = play.bill_month(name, at);
    let account = play.accounts.get_mut(name).expect("open");
    let mut items: Vec<Item> = Vec::new();
    for (index, lines) in lines {
        for (key, figures) in lines {
            let plan = account.subscriptions[index].plan_at(key.from).to_owned();
            items.push(account.add(&plan, key, &figures, month));
        }
    }
    play.charge(name, at, &items, at);
}

fn renew(play: &mut Play<'_>, line: &Line, order: &str, months: i64) -> Result<(), Reasons> {
    let all = &play.accounts[&line.account].subscriptions;
    // A term that has run out can still be renewed, from its old end (R-REN-1).
    let lapsed = all.iter().position(|one| {
        let out = one.terms.last().is_some_and(|last| one.end == Some(last.until) && last.until <= line.at);
        one.name == order && out
    });
    let index = match lapsed {
        // Its data are deleted (R-OCR-7).
        Some(index) if all[index].state == State::Released => return Err(vec!["released"]),
        Some(index) => index,
        None => running(play, &line.account, order, line.at)?,
    };
    let one = &play.accounts[&line.account].subscriptions[index];
    add_ons::not_by_itself(&play.accounts[&line.account], one)?;
    if one.terms.is_empty() {
        return Err(vec!["no-term"]);
    }
    let list = version(play.lists, &one.catalogue, line.at);
    let account = &play.accounts[&line.account];
    let plan = plans::next(list, one);
    let mut reasons = Vec::new();
    if add_ons::required(account, list, plan, true, &one.attributes, line.at).is_err() {
        reasons.push("package-required");
    }
    if !terms::renewal_months(list, plan).contains(&months) {
        reasons.push("renewal-term-not-offered");
    }
    refuse(reasons)?;
    prolong(play, &line.account, index, months, line.at);
    Ok(())
}

/// What is charged under which keys.
pub(crate) type Lines = Vec<(Key, Figures)>;

/// What one more term costs, of a subscription and of those that end with it: their places, what is paid
/// for the term, and the lines.
pub(crate) fn cost_of_renewal(
    play: &Play<'_>,
    account: &str,
    index: usize,
    months: i64,
    at: Timestamp,
) -> Vec<(usize, Number, Lines)> {
    let from = play.accounts[account].subscriptions[index].terms.last().expect("a term").until;
    let mut all = vec![index];
    all.extend(plans::renewed_with(play, account, index, at));
    let of = |index: usize| {
        let (paid, lines) = cost(play, account, index, Some((whole(months), whole(1))), from, at);
        (index, paid, lines)
    };
    all.into_iter().map(of).collect()
}

/// One more term, from the end of the last one, also of what ends with it.
pub(crate) fn prolong(play: &mut Play<'_>, account: &str, index: usize, months: i64, at: Timestamp) {
    let one = &play.accounts[account].subscriptions[index];
    let list = version(play.lists, &one.catalogue, at);
    let (first, last) = (&one.terms[0], one.terms.last().expect("a term"));
    let from = last.until;
    let until = if list.renewal_by_midnight {
        // The strictly next midnight again: one free day (R-YKF-10).
        calendar::term_end(&list.zone, from, months)
    } else {
        // Months from the original purchase, so that month-ends do not drift (R-REN-4).
        // What another system sold until a day of its own goes on from there.
        let own =
            one.own_end.map(|end| (end, end.checked_sub(SignedDuration::from_nanos(1)).expect("in range")));
        let (since, counted) = own.unwrap_or((first.from, first.from));
        let bought: i64 = one.terms.iter().filter(|term| since <= term.from).map(|term| term.months).sum();
        calendar::term_end(&list.zone, counted, bought + months)
    };
    let costs = cost_of_renewal(play, account, index, months, at);
    let mut lines = Vec::new();
    for (which, paid, bought) in costs {
        let one = &mut play.accounts.get_mut(account).expect("open").subscriptions[which];
        if !one.terms.is_empty() {
            one.terms.push(Term { from, until, months, part: None, paid, ordered: at });
        }
        one.end = Some(until);
        lines.push((which, bought));
    }
    post(play, account, lines, at);
    let one = &mut play.accounts.get_mut(account).expect("open").subscriptions[index];
    if let Some(mut auto) = one.auto.clone() {
        auto.plan(list, until, at);
        terms::set(play, account, index, Some(auto));
    }
    // Renewed after its end, it was there all along.
    play.touch(account, from.min(at));
}

/// Refund = paid − consumed − fee, never below zero (R-UNS-1); an order not yet in effect comes back in
/// full (R-UNS-2).
fn unsubscribe(play: &mut Play<'_>, line: &Line, order: &str) -> Result<(), Reasons> {
    let at = line.at;
    let index = running(play, &line.account, order, at)?;
    let account = &play.accounts[&line.account];
    let one = &account.subscriptions[index];
    add_ons::no_trial(one)?;
    let Some(bought) = one.terms.first().map(|first| first.from) else { return Err(vec!["no-term"]) };
    let list = version(play.lists, &one.catalogue, at);
    let Some(rule) = &list.refund else { return Err(vec!["no-refund"]) };
    let in_full = rule.full.is_some_and(|(days, times)| {
        at <= bought + SignedDuration::from_hours(24 * days) && account.full_refunds < times
    });
    let all: Vec<usize> = [index].into_iter().chain(add_ons::followers(account, index)).collect();
    let mut of_bills = wallet::ComesBack::new();
    let mut back = |index| given_back(play, &line.account, index, rule, (in_full, at), &mut of_bills);
    let given: Vec<_> = all.iter().map(|index| (*index, back(*index))).collect();
    let account = play.accounts.get_mut(&line.account).expect("open");
    account.full_refunds += i64::from(in_full);
    for index in all {
        account.subscriptions[index].end = Some(at);
        account.subscriptions[index].auto = None;
    }
    post(play, &line.account, given, at);
    play.touch(&line.account, at);
    Ok(())
}

/// The lines of what comes back of a subscription's terms.
fn given_back(
    play: &Play<'_>,
    name: &str,
    index: usize,
    rule: &Refund,
    (in_full, at): (bool, Timestamp),
    of_bills: &mut wallet::ComesBack,
) -> Lines {
    let one = &play.accounts[name].subscriptions[index];
    let list = version(play.lists, &one.catalogue, at);
    let mut given = Vec::new();
    // In full is also what a change of plan cut off.
    let cut_off = |term: &&Term| {
        in_full && term.part.is_some() && one.later_plans.iter().any(|(from, _)| *from == term.until)
    };
    for term in one.terms.iter().filter(|term| at < term.until || cut_off(term)) {
        let in_full = in_full || at < term.from;
        let Some(charge) = plans::of_term(list, one, term) else { continue };
        let term = wallet::still_paid(play, (name, &one.name, &charge.id), term, at);
        let back = if in_full { term.paid.clone() } else { back(rule, list, one, &term, at) };
        let key = Key {
            subscription: one.name.clone(),
            charge: charge.id.clone(),
            cycle: term.from,
            from: term.from,
            group: BTreeMap::new(),
            split: Split::of(&one.attributes),
        };
        let back = wallet::within_bill(play, name, &key, round(&back, 8), of_bills);
        if back.is_zero() {
            continue;
        }
        given.push((key, Figures { list: -&back, amount: -back, quantity: zero(), free: zero() }));
    }
    given
}

/// What comes back of a term that has begun.
fn back(rule: &Refund, list: &Catalogue, one: &Subscription, term: &Term, at: Timestamp) -> Number {
    let consumed = if rule.by_days {
        // Days of a 30-day month, the cancel day not counted (R-KP-7).
        let day = |at: Timestamp| calendar::local(&list.zone, at).date();
        let days = (day(at) - day(term.from)).get_days();
        // An add-on has the days until its package ends, a divided term those of its part.
        let all = match (&one.follows, &term.part) {
            (None, None) => 30 * term.months,
            _ => calendar::days(&list.zone, term.from, term.until),
        };
        &term.paid * whole(days.into()) / whole(all)
    } else {
        // Purchase, end and cancel instants are each floored to the hour, then subtracted.
        let hour = |at: Timestamp| calendar::cycle_start(&list.zone, Cycle::Hour, at);
        let hours = |from: Timestamp, until: Timestamp| calendar::seconds(hour(from), hour(until));
        &term.paid * hours(term.from, at) / hours(term.from, term.until)
    };
    let fee = &term.paid * &rule.fee_percent / whole(100);
    (&term.paid - consumed.min(term.paid.clone()) - fee).max(zero())
}
