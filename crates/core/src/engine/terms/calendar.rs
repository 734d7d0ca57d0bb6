//! The calendar of renewals: what ends when, what a renewal would cost, who does it.

use super::renewal::{attempts, auto_months, renewal_months};
use crate::account::View;
use crate::calendar::Instant;
use crate::engine::due::just_before;
use crate::engine::lifecycle::standing_at;
use crate::engine::{Catalogues, Desk, Refusal};
use crate::lifecycle::State;
use crate::metering::Metering;
use crate::money::Amount;
use crate::subscription::Subscription;
use crate::term::AutoRenewal;

/// A subscription with an end, and how it can go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal {
    /// The subscription.
    pub subscription: String,
    /// Its plan; from its end on the one that it changes to.
    pub plan: String,
    /// Units.
    pub quantity: i64,
    /// Its end.
    pub end: Instant,
    /// Until when it can still be renewed, of what has ended: the end of retention (R-REN-1).
    pub until: Option<Instant>,
    /// How it goes on.
    pub way: Way,
}

/// How a subscription with an end goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// It does not: a trial, what no renewal is offered for, or an add-on that is not renewed with what it
    /// ends with.
    Ends,
    /// With another subscription, which it ends with.
    With(String),
    /// By a renewal.
    Renewal {
        /// Months of it: as it would be renewed by itself.
        months: u16,
        /// What it costs at the prices in force, with what is renewed with it.
        price: Result<Amount, Refusal>,
        /// Whether it is renewed by itself.
        auto: Option<AutoRenewal>,
        /// The last moment at which it would be tried.
        last_attempt: Option<Instant>,
    },
}

/// The subscriptions of an account that have an end after a moment, and those that have ended and are in grace or
/// retention: only a renewal keeps these. The first to end first.
pub fn renewals(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    account: &str,
    at: Instant,
) -> Vec<Renewal> {
    let Some(account) = view.account(account) else { return Vec::new() };
    let Some(payer) = view.account(account.payer()) else { return Vec::new() };
    let desk = Desk { view, catalogues, metering, account, payer, at, recorded_at: at };
    let mut found = Vec::new();
    let running = view.subscriptions_since(&account.id, at).into_iter();
    let running = running.filter(|one| one.start <= at && one.end.is_some_and(|end| at < end));
    let standings = view.lifecycle(&account.id).into_iter().flat_map(|life| &life.standings);
    let lapsed = standings.filter(|(_, one)| one.expired.is_some() && one.state != State::Released);
    let lapsed = lapsed.filter_map(|(name, _)| view.subscription(&account.id, name));
    let lapsed = lapsed.filter(|one| one.end.is_some_and(|end| end <= at));
    for one in running.chain(lapsed) {
        let name = one.name.clone();
        let Some(end) = one.end else { continue };
        let is_over = end <= at;
        let until = if is_over { released_at(view, catalogues, (&account.id, &name), at) } else { None };
        let quantity = one.units_at(if is_over { just_before(end) } else { at });
        let next = one.term.as_ref().and_then(|term| term.next_plans.last());
        let plan = next.map_or(one.plan.clone(), |next| next.plan.clone());
        let way = match (&one.follows, &one.term, desk.sold(one, &plan)) {
            (Some(package), ..) if desk.goes_on_with(one, package) => Way::With(package.clone()),
            (Some(_), ..) => Way::Ends,
            (None, Some(term), Ok((catalogue, plan))) => {
                let offered = renewal_months(catalogue, plan);
                let months = auto_months(catalogue, plan, term).or(offered.first().copied());
                match months {
                    None => Way::Ends,
                    Some(months) => {
                        // Whether the balance or the credit limit covers it, is another question.
                        let price = desk.renew(&name, months).and_then(|facts| desk.charged_by(&facts));
                        let last_attempt = desk.last_attempt(one, end);
                        Way::Renewal { months, price, auto: term.auto, last_attempt }
                    }
                }
            }
            // What it was bought for cannot be had any more.
            (None, Some(term), Err(refusal)) if desk.no_trial(one).is_ok() => Way::Renewal {
                months: term.first_months,
                price: Err(refusal.into()),
                auto: term.auto,
                last_attempt: desk.last_attempt(one, end),
            },
            _ => Way::Ends,
        };
        found.push(Renewal { subscription: name, plan, quantity, end, until, way });
    }
    found.sort_by(|one, other| (one.end, &one.subscription).cmp(&(other.end, &other.subscription)));
    found
}

impl Desk<'_> {
    /// The last moment at which a subscription that ends at `end` would be renewed by itself.
    fn last_attempt(&self, subscription: &Subscription, end: Instant) -> Option<Instant> {
        let catalogue = self.catalogues.in_force(&subscription.catalogue, self.at)?;
        attempts(catalogue, end).last()
    }
}

/// When what is in grace or retention at a moment is released, if nobody renews it.
fn released_at(
    view: &dyn View,
    catalogues: &Catalogues,
    (account, subscription): (&str, &str),
    at: Instant,
) -> Option<Instant> {
    let mut then = at;
    loop {
        match standing_at(view, catalogues, account, subscription, then) {
            (Some(State::Released), _) => return Some(then),
            (_, next) => then = next.filter(|next| *next > then)?,
        }
    }
}
