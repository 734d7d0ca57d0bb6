//! What time does: the duties of a payer and its members, and when each is due.
//!
//! Everything that time brings about is a command with its moment passed in, issued by a schedule:
//! a test clock can run a year in a second.

use super::{Catalogues, Desk, Fact, Refusal, coupons, holds, lifecycle, money, packages, terms};
use crate::account::View;
use crate::calendar::{Cycle, Instant};
use crate::catalog::{Catalogue, Plan};
use crate::settlement;
use std::collections::BTreeMap;

/// What time does at a moment, in this order; commands of the same moment come after all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Holds past their deadline are released.
    Holds,
    /// Coupons that have ended are worth nothing any more.
    Coupons,
    /// Terms are renewed by themselves, or end.
    Terms,
    /// Money held for the usage of sessions that ended is let go, for the charges that follow.
    HeldMoney,
    /// Charges are settled and paid, the bill of a month that ended is issued.
    Charges,
    /// Buckets of packages open, and what is left of them expires.
    Packages,
    /// What was paid for terms is recognised as earned.
    Recognition,
    /// Arrears begin, grace and retention end.
    Lifecycle,
}

impl Duty {
    /// All, in order.
    pub const ALL: [Duty; 8] = [
        Duty::Holds,
        Duty::Coupons,
        Duty::Terms,
        Duty::HeldMoney,
        Duty::Charges,
        Duty::Packages,
        Duty::Recognition,
        Duty::Lifecycle,
    ];
}

impl Duty {
    /// As an audit trail writes it.
    pub fn name(self) -> &'static str {
        match self {
            Duty::Holds => "holds",
            Duty::Coupons => "coupons",
            Duty::Terms => "terms",
            Duty::HeldMoney => "held-money",
            Duty::Charges => "charges",
            Duty::Packages => "packages",
            Duty::Recognition => "recognition",
            Duty::Lifecycle => "lifecycle",
        }
    }
}

/// A moment, and how much of what time does then is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// The last duty that is done.
    pub done: Duty,
}

/// The earliest time of usage counted since the last settlement, by account.
pub type Late = BTreeMap<String, Instant>;

/// What is due next for a payer and its members, after a moment. `late`: see [`Late`].
pub fn next_due(
    view: &dyn View,
    catalogues: &Catalogues,
    payer: &str,
    after: Moment,
    late: &Late,
) -> Option<(Instant, Duty)> {
    let mut next: Option<(Instant, Duty)> = None;
    for duty in Duty::ALL {
        // The earliest moment at which this duty may still be done. Terms and holds are looked after
        // one at a time: more may be due at the same moment.
        let again = matches!(duty, Duty::Holds | Duty::Terms) && duty == after.done;
        let from = if duty > after.done || again { after.at } else { just_after(after.at) };
        let at = match duty {
            Duty::Terms => terms::next_due(view, payer),
            Duty::Coupons => view.next_coupon_end(payer),
            Duty::Charges => charges_due(view, catalogues, payer, from, late),
            Duty::Recognition => terms::recognition_due(view, payer),
            Duty::Packages => packages::next_due(view, catalogues, payer, from),
            Duty::Lifecycle => lifecycle::next_due(view, catalogues, payer, from),
            Duty::Holds => view.next_hold_end(payer),
            Duty::HeldMoney => view.next_hold_settling(payer),
        };
        next = next.into_iter().chain(at.map(|at| (at.max(from), duty))).min();
    }
    next
}

/// Whether everything of a version of a price list that says when something is due is the same in another one: a change of
/// prices alone leaves [`next_due`] of every group as it is.
pub fn is_due_alike(one: &Catalogue, other: &Catalogue) -> bool {
    // All that `next_due` reads of a price list: when charges settle, what quota plans bring, when debtors are frozen.
    let of_plan = |plan: &Plan| {
        let charges =
            plan.charges.iter().map(|charge| (charge.id.clone(), charge.modes.clone(), charge.settle));
        (plan.id.clone(), charges.collect::<Vec<_>>(), plan.grants.clone(), plan.terms.clone())
    };
    (&one.zone, &one.policy) == (&other.zone, &other.policy)
        && one.plans().map(of_plan).eq(other.plans().map(of_plan))
}

/// Does what is due.
pub(super) fn decide(desk: &Desk<'_>, duty: Duty, late: &Late) -> Result<Vec<Fact>, Refusal> {
    match duty {
        Duty::Terms => terms::on_time(desk),
        Duty::Coupons => Ok(coupons::expire(desk)),
        Duty::Charges => money::settle(desk, late),
        Duty::Recognition => desk.recognise(),
        Duty::Packages => packages::follow(desk),
        Duty::Lifecycle => lifecycle::run(desk),
        Duty::Holds => holds::expire(desk),
        Duty::HeldMoney => holds::let_go(desk),
    }
}

fn charges_due(
    view: &dyn View,
    catalogues: &Catalogues,
    payer: &str,
    from: Instant,
    late: &Late,
) -> Option<Instant> {
    let head = view.account(payer)?;
    let before = just_before(from);
    let mut next: Option<Instant> = None;
    for name in group(view, payer) {
        let Some(account) = view.account(&name) else { continue };
        let at = settlement::next_due(view, catalogues, account, before, late.get(&name).copied());
        next = next.into_iter().chain(at).min();
    }
    let month = head.zone.cycle(Cycle::Month, before);
    let open = view.bill(payer, month.start).is_some_and(|bill| !bill.issued && bill.lines > 0);
    next.into_iter().chain(open.then_some(month.end)).min()
}

/// A payer and its members.
pub(crate) fn group(view: &dyn View, payer: &str) -> Vec<String> {
    let mut all = vec![payer.to_owned()];
    all.extend(view.members(payer));
    all
}

/// The smallest step of time later.
pub(crate) fn just_after(at: Instant) -> Instant {
    at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(at)
}

/// The smallest step of time earlier.
pub(crate) fn just_before(at: Instant) -> Instant {
    at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(at)
}
