//! Arrears, grace, frozen, released (R-OCR-4 to R-OCR-9, R-ARR-1 to R-ARR-4, R-YKF-10).

use crate::account::{State, Step, Subscription};
use crate::catalogue::{Arrears, Catalogue};
use crate::credit;
use crate::play::{Play, Reasons};
use crate::settle::version;
use jiff::{SignedDuration, Timestamp};

/// Whether a price list knows a tier.
pub(crate) fn is_tier(lists: &[Catalogue], tier: &str) -> bool {
    lists.iter().filter_map(|list| list.arrears.as_ref()).any(|one| one.tiers.contains_key(tier))
}

/// When grace and retention end that began then: n × 24 h each.
fn ends(policy: &Arrears, tier: &str, prepaid: bool, since: Timestamp) -> (Timestamp, Timestamp) {
    let days = policy.tiers.get(tier).unwrap_or_else(|| &policy.tiers[&policy.default_tier]);
    let (grace, retention) = days[usize::from(prepaid)];
    let frozen = since + SignedDuration::from_hours(24 * grace);
    (frozen, frozen + SignedDuration::from_hours(24 * retention))
}

fn state(at: Timestamp, (frozen, released): (Timestamp, Timestamp)) -> State {
    match () {
        () if at >= released => State::Released,
        () if at >= frozen => State::Frozen,
        () => State::Grace,
    }
}

/// The policy of a price list at a moment.
fn policy<'l>(lists: &'l [Catalogue], id: &str, at: Timestamp) -> Option<&'l Arrears> {
    version(lists, id, at).arrears.as_ref()
}

/// What decides where the subscriptions of an account stand at a moment.
struct Standing<'a> {
    lists: &'a [Catalogue],
    at: Timestamp,
    /// Since when the payer owes, and its tier then.
    arrears: Option<(Timestamp, String)>,
    /// The payer's tiers.
    tiers: Vec<(Timestamp, String)>,
    suspended: bool,
}

/// Where a subscription should stand.
struct Wanted {
    state: State,
    /// Whether it is charged while frozen.
    charged: bool,
    /// When time may change it.
    wakes: Vec<Timestamp>,
}

impl Standing<'_> {
    /// `None`: it is over, and stays as it is.
    fn wanted(&self, one: &Subscription) -> Option<Wanted> {
        match one.terms.last() {
            None if one.trial => None,
            Some(last) => self.prepaid(one, last.until),
            None if one.state == State::Released || one.end.is_some_and(|end| end <= self.at) => None,
            None => Some(self.pay_per_use(one)),
        }
    }

    /// Prepaid ones run on in arrears (R-OCR-6), and lapse at their own end (R-YKF-10).
    fn prepaid(&self, one: &Subscription, until: Timestamp) -> Option<Wanted> {
        if one.end.is_some_and(|end| end < until) {
            // Given up.
            return None;
        }
        if self.at < until {
            return Some(Wanted { state: State::Active, charged: true, wakes: vec![until] });
        }
        // The tier as it was at that moment, before any line of it.
        let (_, tier) = self.tiers.iter().rev().find(|(from, _)| *from < until)?;
        let policy = policy(self.lists, &one.catalogue, until)?;
        let ends = ends(policy, tier, true, until);
        Some(Wanted { state: state(self.at, ends), charged: policy.charged, wakes: vec![ends.0, ends.1] })
    }

    fn pay_per_use(&self, one: &Subscription) -> Wanted {
        let mut wanted = Wanted { state: State::Active, charged: false, wakes: Vec::new() };
        let since = self.arrears.as_ref().map_or(self.at, |(since, _)| *since);
        if let Some(policy) = policy(self.lists, &one.catalogue, since) {
            wanted.charged = policy.charged;
            if let Some((since, tier)) = &self.arrears {
                let ends = ends(policy, tier, false, *since);
                wanted.state = state(self.at, ends);
                wanted.wakes = vec![ends.0, ends.1];
            }
        }
        if self.suspended {
            // A suspension has no end by time, and no retention that runs out.
            wanted.state = wanted.state.max(State::Frozen);
        }
        wanted
    }
}

/// Puts all subscriptions of a payer and its members where they stand at a moment.
pub(crate) fn stand(play: &mut Play<'_>, payer: &str, at: Timestamp) {
    let lists = play.lists;
    let Some(account) = play.accounts.get_mut(payer) else { return };
    // Arrears begin when something is owed, and end when nothing is (R-ARR-3); what is owed within a credit
    // limit counts when its bill is issued.
    let (due, issued) = credit::due(account, at);
    let owes = due.is_positive();
    let mut arrears = |what: String| account.steps.push(Step { at, subscription: None, what });
    match (&account.arrears, account.tiers.last()) {
        (None, Some((_, tier))) if owes => {
            // The tier counts as it was when arrears began (R-ARR-2).
            arrears(format!("arrears {tier}"));
            account.arrears = Some((at, tier.clone()));
        }
        (Some(_), _) if !owes => {
            let nothing = if account.money.net().is_negative() { "nothing due" } else { "nothing owed" };
            arrears(nothing.to_owned());
            account.arrears = None;
        }
        _ => {}
    }
    let (tiers, arrears) = (account.tiers.clone(), account.arrears.clone());
    let all_suspended = account.suspended;
    let (mut wakes, mut touched) = (Vec::new(), Vec::new());
    for (name, account) in &mut play.accounts {
        if name != payer && account.payer.as_deref() != Some(payer) {
            continue;
        }
        // A suspended master suspends its members (R-ARR-4).
        let suspended = all_suspended || account.suspended;
        let standing = Standing { lists, at, arrears: arrears.clone(), tiers: tiers.clone(), suspended };
        for one in &mut account.subscriptions {
            let Some(wanted) = standing.wanted(one) else { continue };
            wakes.extend(wanted.wakes);
            if wanted.state == one.state {
                continue;
            }
            let was = std::mem::replace(&mut one.state, wanted.state);
            let what = format!("{} → {}", was.name(), wanted.state.name());
            account.steps.push(Step { at, subscription: Some(one.name.clone()), what });
            if wanted.state == State::Frozen && !wanted.charged {
                one.frozen.push((at, None));
            } else if let (State::Frozen, Some((_, until @ None))) = (was, one.frozen.last_mut()) {
                *until = Some(at);
                // A freeze of no time freezes nothing (DECISIONS 29).
                one.frozen.retain(|(from, until)| Some(*from) != *until);
            }
            if wanted.state == State::Released && one.terms.is_empty() {
                // Its data are deleted (R-OCR-7).
                one.end = Some(at);
            }
            touched.push(name.clone());
        }
    }
    wakes.extend(issued);
    for wake in wakes.into_iter().filter(|wake| *wake > at) {
        play.wake(wake, payer);
    }
    for name in touched {
        play.touch(&name, at);
    }
}

fn is_suspended(play: &Play<'_>, name: &str) -> bool {
    play.accounts[name].suspended || play.accounts[&play.payer(name)].suspended
}

/// Why nothing is accepted for a subscription.
pub(crate) fn not_accepted(
    play: &Play<'_>,
    account: &crate::account::Account,
    one: &Subscription,
) -> Reasons {
    let mut reasons = Vec::new();
    if one.state == State::Frozen {
        reasons.push(if one.terms.is_empty() { "frozen" } else { "lapsed" });
        reasons.extend(is_suspended(play, &account.name).then_some("suspended"));
    }
    reasons
}

/// Why no order is accepted, prepaid or not: who owes and is frozen only pays.
pub(crate) fn no_order(play: &Play<'_>, name: &str, list: &Catalogue) -> Reasons {
    let mut reasons = Vec::new();
    if is_suspended(play, name) {
        reasons.push("suspended");
    }
    let arrears = &play.accounts[&play.payer(name)].arrears;
    if let Some((since, tier)) = arrears
        && let Some(policy) = policy(play.lists, &list.id, *since)
    {
        match state(play.now(), ends(policy, tier, false, *since)) {
            State::Grace if policy.part => reasons.push("only-part-in-grace"),
            State::Active | State::Grace => {}
            State::Frozen | State::Released => reasons.push("frozen"),
        }
    }
    reasons
}
