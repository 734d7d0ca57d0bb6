//! Lifecycle: tiers, arrears, grace, frozen, released; and the notices of each step.
//!
//! Arrears are the payer's. Each subscription stands where the policy of its own price list, the
//! payer's tier and its mode put it: pay-per-use follows the arrears, a prepaid term its own end
//! (R-OCR-6). [`standing_at`] works that out from the state; what time does is to write down what
//! has changed.

use super::{ApplyError, Catalogues, Desk, due};
use crate::account::{AccountHead, Group, View};
use crate::calendar::{Instant, Span, show_local};
use crate::catalog::{ArrearsPolicy, Mode, Periods};
use crate::lifecycle::{Arrears, Lifecycle, Standing, State, Step, Tier};
use crate::metering::Metering;
use crate::money::{Amount, Currency, OutOfRange};
use crate::notice::Notice;
use crate::settlement::{self, Context};
use crate::subscription::Subscription;
use jiff::SignedDuration;

pub(super) use super::lifecycle_gate::gate;
pub(crate) use super::lifecycle_gate::{serving, watched};
pub use super::lifecycle_refusal::{CODES, Refusal};

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give the customer a tier (R-OCR-9).
    SetTier {
        /// The tier, of some price list in force.
        tier: String,
    },
    /// Suspend the account: what it uses is frozen, and with a master's its members' (R-ARR-4).
    Suspend,
    /// End the suspension.
    Resume,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A customer has a tier.
    TierSet {
        /// The account, which pays for itself.
        account: String,
        /// From when.
        at: Instant,
        /// The tier.
        tier: String,
    },
    /// A payer began to owe.
    ArrearsBegan {
        /// The payer.
        account: String,
        /// When.
        at: Instant,
        /// The tier that counts until nothing is owed.
        tier: String,
        /// How much is owed.
        owed: Amount,
    },
    /// A payer owes nothing any more.
    ArrearsCleared {
        /// The payer.
        account: String,
        /// When.
        at: Instant,
    },
    /// A subscription came into another state, or its next change was put elsewhere.
    StateChanged {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// When.
        at: Instant,
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// When time changes it next.
        until: Option<Instant>,
        /// The end of the term from which its periods count.
        expired: Option<Instant>,
        /// The tier whose periods count.
        tier: String,
        /// Whether it costs money while it is frozen.
        charged: bool,
    },
    /// An account was suspended.
    Suspended {
        /// The account.
        account: String,
        /// When.
        at: Instant,
    },
    /// A suspension ended.
    Resumed {
        /// The account.
        account: String,
        /// When.
        at: Instant,
    },
}

impl Fact {
    /// The account whose usage is taken otherwise from a moment on: its counters are to be cut
    /// there.
    pub fn cut(&self) -> Option<(&str, Instant)> {
        match self {
            Fact::StateChanged { account, at, from, to, .. }
                if from != to && [from, to].iter().any(|state| **state >= State::Frozen) =>
            {
                Some((account, *at))
            }
            _ => None,
        }
    }
}

/// Where a subscription should stand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    state: State,
    until: Option<Instant>,
    expired: Option<Instant>,
    tier: String,
    charged: bool,
}

impl Wanted {
    fn active() -> Wanted {
        Wanted { state: State::Active, until: None, expired: None, tier: String::new(), charged: true }
    }

    fn is(&self, standing: Option<&Standing>) -> bool {
        match standing {
            None => self.state == State::Active,
            Some(known) => {
                self.state == known.state
                    && self.until == known.until
                    && self.expired == known.expired
                    && self.tier == known.tier
            }
        }
    }
}

/// What decides about the subscriptions of one account.
pub(super) struct Terms<'a> {
    catalogues: &'a Catalogues,
    /// The payer's tier.
    tier: Option<&'a Tier>,
    pub(super) arrears: Option<&'a Arrears>,
    /// Whether the account or its payer is suspended.
    pub(super) suspended: bool,
    own: &'a Lifecycle,
}

impl<'a> Terms<'a> {
    pub(super) fn of(
        view: &'a dyn View,
        catalogues: &'a Catalogues,
        account: &'a AccountHead,
    ) -> Option<Terms<'a>> {
        let own = view.lifecycle(&account.id)?;
        let payer = view.lifecycle(account.payer())?;
        let suspended = own.suspended.is_some() || payer.suspended.is_some();
        Some(Terms { catalogues, tier: payer.tier.as_ref(), arrears: payer.arrears.as_ref(), suspended, own })
    }

    /// Whether there is nothing that could stand anywhere but active.
    fn is_idle(&self) -> bool {
        self.tier.is_none() && !self.suspended && self.own.standings.is_empty()
    }

    pub(super) fn policy(&self, catalogue: &str, at: Instant) -> Option<&'a ArrearsPolicy> {
        self.catalogues.in_force(catalogue, at)?.policy.arrears.as_ref()
    }

    /// Where a subscription should stand at a moment. `None`: it is over, and stays where it is.
    fn wanted(&self, one: &Subscription, at: Instant) -> Option<Wanted> {
        match one.mode {
            Mode::PayPerUse => self.by_arrears(one, at),
            Mode::Prepaid => self.by_expiry(one, at),
        }
    }

    fn by_arrears(&self, one: &Subscription, at: Instant) -> Option<Wanted> {
        if at < one.start || one.end.is_some_and(|end| end <= at) {
            return None;
        }
        let since = self.arrears.map_or(at, |arrears| arrears.since);
        let policy = self.policy(&one.catalogue, since);
        let charged = policy.is_some_and(|policy| policy.charge_while_frozen);
        let mut wanted = Wanted { charged, ..Wanted::active() };
        if let (Some(policy), Some(arrears)) = (policy, self.arrears)
            && let Some(periods) = policy.periods(&arrears.tier, Mode::PayPerUse)
        {
            (wanted.state, wanted.until) = after(arrears.since, periods, at);
            wanted.tier.clone_from(&arrears.tier);
            if self.suspended && wanted.state == State::Grace {
                wanted.until = Some(ends(arrears.since, periods).1);
            }
        }
        if self.suspended {
            wanted.state = wanted.state.max(State::Frozen);
        }
        Some(wanted)
    }

    /// A term that was not given up stands in grace, frozen or released after its end.
    fn by_expiry(&self, one: &Subscription, at: Instant) -> Option<Wanted> {
        let expired = expiry(one)?;
        if at < expired {
            return Some(Wanted { until: Some(expired), ..Wanted::active() });
        }
        let tier = self.tier.filter(|tier| tier.first < expired)?;
        let periods = |id: &str| self.policy(&one.catalogue, expired)?.periods(id, Mode::Prepaid);
        // The tier counts as it was when the term ended.
        let known = self.own.standings.get(&one.name).filter(|known| known.expired == Some(expired));
        let id = known.map_or(&tier.id, |known| &known.tier);
        let (state, until) = after(expired, periods(id)?, at);
        let charged = self.policy(&one.catalogue, expired).is_some_and(|policy| policy.charge_while_frozen);
        Some(Wanted { state, until, expired: Some(expired), tier: id.clone(), charged })
    }

    /// The next moment at which time changes a subscription that stands as it should.
    fn next(&self, one: &Subscription, from: Instant) -> Option<Instant> {
        match self.own.standings.get(&one.name) {
            Some(standing) => standing.until,
            None => expiry(one).filter(|end| self.tier.is_some() && from <= *end),
        }
    }
}

/// The end of a term that runs, or ran, to its end.
fn expiry(one: &Subscription) -> Option<Instant> {
    let paid = one.term.as_ref()?.periods.last()?.span.end;
    one.end.filter(|end| *end == paid)
}

/// Whether a term has run to its end by a moment: it was not given up.
pub fn has_run_out(one: &Subscription, at: Instant) -> bool {
    expiry(one).is_some_and(|end| end <= at)
}

/// When grace ends, and when retention does: n times 24 hours each (R-ARR-3).
pub(super) fn ends(since: Instant, periods: Periods) -> (Instant, Instant) {
    let later = |at: Instant, days: u16| {
        at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Instant::MAX)
    };
    let frozen = later(since, periods.grace_days);
    (frozen, later(frozen, periods.retention_days))
}

/// The state at a moment of what counts from `since`, and when it changes next.
pub(super) fn after(since: Instant, periods: Periods, at: Instant) -> (State, Option<Instant>) {
    match ends(since, periods) {
        (frozen, _) if at < frozen => (State::Grace, Some(frozen)),
        (_, released) if at < released => (State::Frozen, Some(released)),
        _ => (State::Released, None),
    }
}

/// Where a subscription stands at a moment, as far as is known now, and when time changes it next. What
/// was cancelled or given up is [`State::Released`]. `None`: its term has ended, and nothing releases it:
/// its payer has no tier, or its price list no arrears, and it can be renewed at any time.
pub fn standing_at(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &str,
    subscription: &str,
    at: Instant,
) -> (Option<State>, Option<Instant>) {
    let released = (Some(State::Released), None);
    let Some(one) = view.subscription(account, subscription) else { return released };
    let terms = view.account(account).and_then(|head| Terms::of(view, catalogues, head));
    let standing = view.lifecycle(account).and_then(|life| life.standings.get(subscription));
    let is_released = standing.is_some_and(|standing| standing.state == State::Released);
    match terms.and_then(|terms| terms.wanted(one, at)) {
        Some(wanted) => (Some(wanted.state), wanted.until),
        None if one.span().contains(at) => (Some(State::Active), None),
        None if !is_released && has_run_out(one, at) => (None, None),
        None => released,
    }
}

/// A state as answers write it, as [`standing_at`] tells it.
pub fn state_name(state: Option<State>) -> &'static str {
    state.map_or("ended", State::name)
}

/// The stretch of a pay-per-use subscription's time, up to a moment, that lies in grace: the
/// arrears' beginning, or its own, to the freeze. `None`: its payer is not in arrears.
pub fn grace(
    view: &dyn View,
    catalogues: &Catalogues,
    account: &str,
    subscription: &str,
    at: Instant,
) -> Option<Span> {
    let one = view.subscription(account, subscription).filter(|one| one.mode == Mode::PayPerUse)?;
    let terms = Terms::of(view, catalogues, view.account(account)?)?;
    let arrears = terms.arrears?;
    let periods = terms.policy(&one.catalogue, arrears.since)?.periods(&arrears.tier, Mode::PayPerUse)?;
    let until = ends(arrears.since, periods).0.min(at);
    Span { start: arrears.since, end: until }.intersect(one.span())
}

/// What a subscription's charges come to in a stretch of time, settled yet or not (R-OCR-11). Its
/// account's counters must be cut at both ends.
///
/// # Errors
/// A [`super::Refusal`] when a number does not fit, or a counter reaches over an end.
pub fn costs(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    (account, subscription): (&str, &str),
    within: Span,
) -> Result<Amount, super::Refusal> {
    let (Some(head), Some(one)) = (view.account(account), view.subscription(account, subscription)) else {
        return Ok(Amount::ZERO);
    };
    let context = Context::of(view, catalogues, metering, head, within.end);
    settlement::between(&context, one, within)
}

/// What a payer owes, beyond its balance.
///
/// # Errors
/// [`OutOfRange`] when the sum does not fit.
pub fn owed(view: &dyn View, payer: &str) -> Result<Amount, OutOfRange> {
    view.unpaid(payer).iter().try_fold(Amount::ZERO, |sum, (_, due)| sum.add(*due))
}

/// What a payer owes that is due.
#[derive(Clone, Copy, Default)]
struct Overdue {
    /// Of issued bills that were not put off to a later moment.
    issued: Amount,
    /// Of bills that are still drafts, as far as all that is owed is past the credit limit.
    past_limit: Amount,
}

impl Overdue {
    /// As long as this is anything, the payer is in arrears.
    fn total(self) -> Result<Amount, OutOfRange> {
        self.issued.add(self.past_limit)
    }

    fn of(view: &dyn View, payer: &str, at: Instant) -> Result<Overdue, OutOfRange> {
        let limit = view.credit_limit(payer).unwrap_or_default();
        let (mut all, mut drafts, mut overdue) = (Amount::ZERO, Amount::ZERO, Overdue::default());
        for (month, owed) in view.unpaid(payer) {
            all = all.add(owed)?;
            if !view.bill(payer, month).is_some_and(|bill| bill.issued) {
                drafts = drafts.add(owed)?;
            } else if view.due_at(payer, month).is_none_or(|due| due <= at) {
                overdue.issued = overdue.issued.add(owed)?;
            }
        }
        overdue.past_limit = all.sub(limit)?.max(Amount::ZERO).min(drafts);
        Ok(overdue)
    }

    /// What a customer is told when arrears begin.
    fn sentence(self, view: &dyn View, payer: &AccountHead) -> Result<String, OutOfRange> {
        let owed = money(self.total()?, payer.currency);
        Ok(match view.credit_limit(&payer.id) {
            Some(limit) if self.issued.is_zero() => {
                format!("{owed} are owed past the credit limit of {}", money(limit, payer.currency))
            }
            _ => format!("{owed} are owed that the balance does not cover"),
        })
    }
}

/// The next moment at which something changes, `from` itself included.
pub(super) fn next_due(
    view: &dyn View,
    catalogues: &Catalogues,
    payer: &str,
    from: Instant,
) -> Option<Instant> {
    let head = view.lifecycle(payer)?;
    let mut next: Option<Instant> = None;
    if head.tier.is_some() || head.arrears.is_some() {
        let unpaid = view.unpaid(payer);
        let put_off = unpaid.iter().filter_map(|(month, _)| view.due_at(payer, *month));
        next = put_off.filter(|due| *due > from).min();
        let overdue = Overdue::of(view, payer, from).and_then(Overdue::total);
        let is_overdue = overdue.is_ok_and(|owed| owed > Amount::ZERO);
        if is_overdue != head.arrears.is_some() && (head.tier.is_some() || !is_overdue) {
            return Some(from);
        }
    }
    for name in due::group(view, payer) {
        let terms = view.account(&name).and_then(|account| Terms::of(view, catalogues, account));
        let Some(terms) = terms.filter(|terms| !terms.is_idle()) else { continue };
        for one in watched(view, &name, from) {
            let Some(wanted) = terms.wanted(one, from) else { continue };
            if !wanted.is(terms.own.standings.get(&one.name)) {
                return Some(from);
            }
            next = next.into_iter().chain(terms.next(one, from)).min();
        }
    }
    next
}

/// Writes down what has changed: arrears that began or ended, and every subscription that stands
/// elsewhere now.
pub(super) fn run(desk: &Desk<'_>) -> Result<Vec<super::Fact>, super::Refusal> {
    let Desk { view, catalogues, payer, at, .. } = *desk;
    let mut facts = Vec::new();
    let Some(head) = view.lifecycle(&payer.id) else { return Ok(facts) };
    let overdue = Overdue::of(view, &payer.id, at)?;
    let owed = overdue.total()?;
    let mut arrears = head.arrears.clone();
    match (&head.tier, &head.arrears) {
        (Some(tier), None) if owed > Amount::ZERO => {
            let (account, tier) = (payer.id.clone(), tier.id.clone());
            arrears = Some(Arrears { since: at, tier: tier.clone() });
            let text = overdue.sentence(view, payer)?;
            facts.push(super::Fact::Lifecycle(Fact::ArrearsBegan { account, at, tier, owed }));
            facts.push(notice(payer, Notice::to_customer(at, &payer.id, None, "arrears-began", text)));
        }
        (_, Some(_)) if owed <= Amount::ZERO => {
            arrears = None;
            facts.push(super::Fact::Lifecycle(Fact::ArrearsCleared { account: payer.id.clone(), at }));
            let is_owed = !view.unpaid(&payer.id).is_empty();
            let text =
                if is_owed { "nothing is due any more" } else { "nothing is owed any more" }.to_owned();
            facts.push(notice(payer, Notice::to_customer(at, &payer.id, None, "arrears-cleared", text)));
        }
        _ => {}
    }
    for name in due::group(view, &payer.id) {
        let terms = view.account(&name).and_then(|account| Terms::of(view, catalogues, account));
        let Some(terms) = terms.map(|terms| Terms { arrears: arrears.as_ref(), ..terms }) else { continue };
        if terms.is_idle() {
            continue;
        }
        for one in watched(view, &name, at) {
            let Some(wanted) = terms.wanted(one, at) else { continue };
            let standing = terms.own.standings.get(&one.name);
            if !wanted.is(standing) {
                let from = standing.map_or(State::Active, |standing| standing.state);
                if from != wanted.state {
                    facts.extend(notices(payer, &name, one, &wanted, at));
                }
                let Wanted { state: to, until, expired, tier, charged } = wanted;
                let (account, subscription) = (name.clone(), one.name.clone());
                let changed =
                    Fact::StateChanged { account, subscription, at, from, to, until, expired, tier, charged };
                facts.push(super::Fact::Lifecycle(changed));
            }
        }
    }
    Ok(facts)
}

fn notice(payer: &AccountHead, notice: Notice) -> super::Fact {
    super::Fact::Noticed { payer: payer.id.clone(), notice }
}

/// `30.00 USD`.
fn money(amount: Amount, currency: Currency) -> String {
    format!("{} {currency}", amount.decimal(currency))
}

/// What is told when a subscription comes into another state (R-OCR-4, R-OCR-7).
fn notices(
    payer: &AccountHead,
    account: &str,
    one: &Subscription,
    wanted: &Wanted,
    at: Instant,
) -> Vec<super::Fact> {
    let when = |at: Option<Instant>| at.map(|at| show_local(&payer.zone, at)).unwrap_or_default();
    let until = when(wanted.until);
    let ended = wanted.expired.map(|end| format!("its term ended {}; ", when(Some(end)))).unwrap_or_default();
    let (kind, text) = match wanted.state {
        State::Active => ("active-again", "it is active".to_owned()),
        State::Grace => ("grace-began", format!("{ended}it runs on in grace until {until}")),
        State::Frozen if wanted.until.is_none() => ("frozen", "it is frozen".to_owned()),
        State::Frozen => ("frozen", format!("{ended}it is frozen, and released on {until}")),
        State::Released => {
            ("released", "it is over; its data are deleted and cannot be recovered".to_owned())
        }
    };
    let name = Some(one.name.as_str());
    let mut told = vec![notice(payer, Notice::to_customer(at, account, name, kind, text))];
    if wanted.state == State::Released {
        let text = format!("release {} of {account} and delete its data", one.plan);
        told.push(notice(payer, Notice::to_vendor(at, account, name, "release-resource", text)));
    }
    told
}

/// Decides a wish.
pub(super) fn decide(desk: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    let (account, at) = (desk.account.id.clone(), desk.at);
    let suspended = desk.view.lifecycle(&account).and_then(|life| life.suspended);
    let fact = match action {
        Action::SetTier { tier } => {
            if desk.account.payer.is_some() {
                return Err(Refusal::TierOfPayer { account, payer: desk.payer.id.clone() }.into());
            }
            known_tier(desk.catalogues, tier, at)?;
            Fact::TierSet { account, at, tier: tier.clone() }
        }
        Action::Suspend if suspended.is_some() => return Err(Refusal::AlreadySuspended(account).into()),
        Action::Suspend => Fact::Suspended { account, at },
        Action::Resume if suspended.is_none() => return Err(Refusal::NotSuspended(account).into()),
        Action::Resume => Fact::Resumed { account, at },
    };
    let told = match action {
        Action::SetTier { .. } => None,
        Action::Suspend => Some(("suspended", "the account is suspended: what it uses is frozen")),
        Action::Resume => Some(("resumed", "the account is suspended no longer")),
    };
    let told = told.map(|(kind, text)| {
        notice(desk.payer, Notice::to_customer(at, &desk.account.id, None, kind, text.to_owned()))
    });
    Ok([super::Fact::Lifecycle(fact)].into_iter().chain(told).collect())
}

/// That some price list in force has the tier.
pub(super) fn known_tier(catalogues: &Catalogues, tier: &str, at: Instant) -> Result<(), Refusal> {
    let lists = catalogues.iter().filter(|list| {
        let now = catalogues.in_force(&list.id, at).or_else(|| catalogues.versions(&list.id).next());
        now.is_some_and(|now| now.version == list.version)
    });
    let mut known: Vec<String> = lists
        .filter_map(|list| list.policy.arrears.as_ref())
        .flat_map(|policy| policy.tiers.iter().map(|one| one.id.clone()))
        .collect();
    if known.iter().any(|one| one == tier) {
        return Ok(());
    }
    known.sort();
    known.dedup();
    Err(Refusal::UnknownTier { tier: tier.to_owned(), known })
}

impl Group {
    pub(super) fn apply_lifecycle(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::TierSet { account, at, tier } => {
                let account = self.account_mut(account)?;
                let first = account.lifecycle.tier.as_ref().map_or(*at, |known| known.first);
                account.lifecycle.tier = Some(Tier { id: tier.clone(), first });
                account.history.push(step(*at, None, format!("tier {tier}")));
            }
            Fact::ArrearsBegan { account, at, tier, owed } => {
                let account = self.account_mut(account)?;
                account.lifecycle.arrears = Some(Arrears { since: *at, tier: tier.clone() });
                let owed = money(*owed, account.head.currency);
                account.history.push(step(*at, None, format!("arrears began: owes {owed}, tier {tier}")));
            }
            Fact::ArrearsCleared { account, at } => {
                let account = self.account_mut(account)?;
                account.lifecycle.arrears = None;
                let what = if account.owed.is_empty() { "nothing owed" } else { "nothing due" };
                account.history.push(step(*at, None, what.to_owned()));
            }
            Fact::Suspended { account, at } => {
                let account = self.account_mut(account)?;
                account.lifecycle.suspended = Some(*at);
                account.history.push(step(*at, None, "suspended".to_owned()));
            }
            Fact::Resumed { account, at } => {
                let account = self.account_mut(account)?;
                account.lifecycle.suspended = None;
                account.history.push(step(*at, None, "resumed".to_owned()));
            }
            Fact::StateChanged { account, subscription, at, from, to, until, expired, tier, charged } => {
                let one = self.subscription_mut(account, subscription)?;
                if *from == State::Frozen && *to != State::Frozen {
                    one.thaw(*at);
                } else if *to == State::Frozen && *from != State::Frozen && !charged {
                    one.frozen.push(Span { start: *at, end: Instant::MAX });
                }
                if *to == State::Released && one.mode == Mode::PayPerUse {
                    one.end = Some(*at);
                }
                // What ends at a boundary may be of the period before it.
                super::fact::touch(one, due::just_before(*at));
                let account = self.account_mut(account)?;
                let standings = &mut account.lifecycle.standings;
                let known = standings.remove(subscription);
                if *to != State::Active {
                    let since = known.filter(|known| known.state == *to).map_or(*at, |known| known.since);
                    let (until, expired, tier) = (*until, *expired, tier.clone());
                    let standing = Standing { state: *to, since, until, expired, tier };
                    standings.insert(subscription.clone(), standing);
                }
                if from != to {
                    let what = format!("{} → {}", from.name(), to.name());
                    account.history.push(step(*at, Some(subscription), what));
                }
            }
        }
        Ok(())
    }
}

fn step(at: Instant, subscription: Option<&String>, what: String) -> Step {
    Step { at, subscription: subscription.cloned(), what }
}
