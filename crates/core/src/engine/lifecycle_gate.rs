//! What may be done with what stands where: which commands arrears, a freeze or a suspension forbid,
//! and what serves.

use super::lifecycle::{Terms, after, ends, owed};
use super::lifecycle_refusal::Refusal;
use super::packages::Action as Sharing;
use super::{Action as AnyAction, Desk, due};
use crate::account::View;
use crate::calendar::Instant;
use crate::catalog::{GraceOperations, Mode};
use crate::lifecycle::{Standing, State};
use crate::money::{Amount, Currency};
use crate::subscription::Subscription;

/// Whether arrears or a suspension forbid a command: frozen, nothing may be done but pay (or renew);
/// in grace a price list may forbid new orders and more units.
pub(super) fn gate(desk: &Desk<'_>, action: &AnyAction) -> Result<(), Refusal> {
    match action {
        AnyAction::Subscribe { plan, .. } => {
            let Ok((catalogue, _)) = desk.catalogues.find_plan(plan, desk.at) else { return Ok(()) };
            desk.may_order(&catalogue.id)
        }
        AnyAction::ChangeQuantity { subscription, delta } => {
            desk.not_frozen(subscription)?;
            match desk.view.subscription(&desk.account.id, subscription) {
                Some(one) if *delta > 0 && one.mode == Mode::PayPerUse => desk.may_order(&one.catalogue),
                _ => Ok(()),
            }
        }
        AnyAction::Stop { subscription, .. }
        | AnyAction::ChangeMode { subscription, .. }
        | AnyAction::ChangePlan { subscription, .. }
        | AnyAction::ChangeAttribute { subscription, .. }
        | AnyAction::Cancel { subscription }
        | AnyAction::Unsubscribe { subscription }
        | AnyAction::UseFeature { subscription: Some(subscription), .. }
        | AnyAction::Packages(Sharing::Share { subscription, .. } | Sharing::Keep { subscription }) => {
            desk.not_frozen(subscription)
        }
        _ => Ok(()),
    }
}

impl Desk<'_> {
    /// Whether new orders, or more units, of a price list are accepted.
    fn may_order(&self, catalogue: &str) -> Result<(), Refusal> {
        let Some(terms) = Terms::of(self.view, self.catalogues, self.account) else { return Ok(()) };
        if terms.suspended {
            return Err(self.suspended());
        }
        let Some(arrears) = terms.arrears else { return Ok(()) };
        let Some(policy) = terms.policy(catalogue, arrears.since) else { return Ok(()) };
        let Some(periods) = policy.periods(&arrears.tier, Mode::PayPerUse) else { return Ok(()) };
        let (owed, payer) = (self.owed(), self.payer.id.clone());
        // A backdated order is one of today.
        match after(arrears.since, periods, self.recorded_at) {
            (State::Grace, _) if policy.grace_operations == GraceOperations::All => Ok(()),
            (State::Grace, until) => Err(Refusal::OnlyPart { payer, owed, until }),
            (_, until) => {
                let frozen = ends(arrears.since, periods).0;
                let subject = self.account.id.clone();
                Err(Refusal::Frozen { subject, since: frozen, until, payer, owed })
            }
        }
    }

    /// Refuses what is wished of a subscription that is frozen.
    pub(crate) fn not_frozen(&self, subscription: &str) -> Result<(), Refusal> {
        let life = self.view.lifecycle(&self.account.id);
        let standing = life.and_then(|life| life.standings.get(subscription));
        let Some(standing) = standing.filter(|one| one.state == State::Frozen) else { return Ok(()) };
        let (subject, since, until) = (subscription.to_owned(), standing.since, standing.until);
        if let Some(expired) = standing.expired {
            return Err(Refusal::Lapsed { subscription: subject, since, until, expired });
        }
        let payer = self.payer.id.clone();
        let terms = Terms::of(self.view, self.catalogues, self.account);
        if terms.is_some_and(|terms| terms.suspended) {
            return Err(self.suspended());
        }
        Err(Refusal::Frozen { subject, since, until, payer, owed: self.owed() })
    }

    /// Refuses what is wished of a subscription whose term ended and whose retention is over
    /// (R-OCR-7).
    pub(crate) fn not_released(&self, subscription: &str) -> Result<(), Refusal> {
        let life = self.view.lifecycle(&self.account.id);
        match life.and_then(|life| life.standings.get(subscription)) {
            Some(Standing { state: State::Released, since, expired: Some(expired), .. }) => {
                let (since, expired) = (*since, *expired);
                Err(Refusal::Released { subscription: subscription.to_owned(), since, expired })
            }
            _ => Ok(()),
        }
    }

    fn suspended(&self) -> Refusal {
        let own = self.view.lifecycle(&self.account.id).is_some_and(|life| life.suspended.is_some());
        let by = if own { &self.account.id } else { &self.payer.id };
        Refusal::Suspended { account: self.account.id.clone(), by: by.clone() }
    }

    fn owed(&self) -> (Amount, Currency) {
        (owed(self.view, &self.payer.id).unwrap_or_default(), self.payer.currency)
    }

    /// Whether a subscription serves: it runs and is not frozen, or its term has ended and it is
    /// in grace.
    pub(crate) fn serves(&self, name: &str) -> bool {
        serves(self.view, &self.account.id, name, self.at)
    }
}

/// Whether a subscription serves at the present moment; see [`units_serving`].
pub(super) fn serves(view: &dyn View, account: &str, name: &str, at: Instant) -> bool {
    units_serving(view, account, name, at) > 0
}

/// The units of a subscription that serve at the present moment: none while it is frozen, those of
/// its last moment while its term has ended and it is in grace.
pub(super) fn units_serving(view: &dyn View, account: &str, name: &str, at: Instant) -> i64 {
    let Some(one) = view.subscription(account, name) else { return 0 };
    match view.lifecycle(account).and_then(|life| life.standings.get(name)) {
        Some(standing) if standing.state >= State::Frozen => 0,
        Some(Standing { state: State::Grace, expired: Some(end), .. }) if *end <= at => {
            one.quantity_at(due::just_before(*end))
        }
        _ => one.quantity_at(at),
    }
}

/// The subscriptions of an account that time or a payment may still bring elsewhere at a moment, by
/// name: those that have not ended before it, and those in grace or frozen after their end. What
/// ended long ago, or is released, is not among them: looking costs no more with an account's age.
pub(crate) fn watched<'v>(view: &'v dyn View, account: &str, at: Instant) -> Vec<&'v Subscription> {
    let mut all = view.subscriptions_since(account, due::just_before(at));
    let standings = view.lifecycle(account).into_iter().flat_map(|life| &life.standings);
    for (name, _) in standings.filter(|(_, one)| one.state != State::Released) {
        let place = all.binary_search_by(|known| known.name.cmp(name));
        if let (Err(place), Some(one)) = (place, view.subscription(account, name)) {
            all.insert(place, one);
        }
    }
    all
}

/// The subscriptions of an account that may serve at the present moment, by name, with their
/// [`units_serving`].
pub(crate) fn serving<'v>(view: &'v dyn View, account: &str, at: Instant) -> Vec<(&'v Subscription, i64)> {
    let all = watched(view, account, at).into_iter();
    all.map(|one| (one, units_serving(view, account, &one.name, at))).collect()
}
