//! The calendar of renewals: what ends when, what a renewal would cost, who does it.

use super::renewal::{attempts, auto_months, renewal_months};
use crate::account::View;
use crate::calendar::Instant;
use crate::engine::{Catalogues, Desk, Refusal};
use crate::metering::Metering;
use crate::money::Amount;
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
    /// How it goes on.
    pub way: Way,
}

/// How a subscription with an end goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// It does not: a trial, or what no renewal is offered for.
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

/// The subscriptions of an account that have an end after a moment, the first to end first.
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
    for one in view.subscriptions_since(&account.id, at) {
        let name = one.name.clone();
        let Some(end) = one.end.filter(|end| one.start <= at && at < *end) else { continue };
        let next = one.term.as_ref().and_then(|term| term.next_plans.last());
        let plan = next.map_or(one.plan.clone(), |next| next.plan.clone());
        let way = match (&one.follows, &one.term, desk.sold(one, &plan)) {
            (Some(package), ..) => Way::With(package.clone()),
            (None, Some(term), Ok((catalogue, plan))) => {
                let offered = renewal_months(catalogue, plan);
                let months = auto_months(catalogue, plan, term).or(offered.first().copied());
                match months {
                    None => Way::Ends,
                    Some(months) => {
                        // Whether the balance or the credit limit covers it, is another question.
                        let price = desk.renew(&name, months).and_then(|facts| desk.charged_by(&facts));
                        let last_attempt = attempts(catalogue, end).last();
                        Way::Renewal { months, price, auto: term.auto, last_attempt }
                    }
                }
            }
            _ => Way::Ends,
        };
        found.push(Renewal { subscription: name, plan, quantity: one.quantity_at(at), end, way });
    }
    found.sort_by(|one, other| (one.end, &one.subscription).cmp(&(other.end, &other.subscription)));
    found
}
