//! Discounts on a stretch's charge, and how it is shared out by project and tag.

use super::{Context, Stretch};
use crate::account::{AccountHead, View};
use crate::bill::Split;
use crate::calendar::Span;
use crate::catalog::Charge;
use crate::money::{Amount, Exact, OutOfRange};
use crate::quantity::Quantities;
use crate::rating::Increment;

/// A charge after discounts.
pub(crate) struct Net {
    pub amount: Exact,
    pub is_agreed: bool,
    /// The discount's name, if there is one.
    pub reason: Option<String>,
}

/// The best single discount (R-MON-2): the negotiated price, or the best percentage in force at
/// the settlement of the stretch, on the unrounded price.
pub(super) fn discounted(
    context: &Context<'_>,
    stretch: &Stretch<'_>,
    list: &Increment,
    agreed: Option<&Increment>,
) -> Result<Net, OutOfRange> {
    let agreed = agreed.filter(|_| stretch.agreed.is_some()).map(|agreed| agreed.amount);
    // A settlement comes before what is granted at its very moment, and after what ends at it.
    let settled = stretch.cycle.end;
    let in_force = |valid: Span| valid.start < settled && settled < valid.end;
    let percent = best_percent(context.view, context.account, &stretch.plan.id, stretch.charge, in_force);
    best_net(list.amount, agreed, percent)
}

/// The best single discount on a list amount (R-MON-2): a negotiated amount, or a percentage.
pub(crate) fn best_net(
    list: Exact,
    agreed: Option<Exact>,
    percent: Option<Exact>,
) -> Result<Net, OutOfRange> {
    let mut best = match agreed {
        Some(amount) => Net { amount, is_agreed: true, reason: Some("negotiated price".to_owned()) },
        None => Net { amount: list, is_agreed: false, reason: None },
    };
    if let Some(percent) = percent {
        let hundred = Exact::whole(100);
        let amount = list.mul(hundred.sub(percent)?)?.div(hundred)?;
        // A tier that reprices takes back what was charged: reduced as well, and not by more than that.
        let better = if list.is_negative() { amount > best.amount } else { amount < best.amount };
        if better {
            best = Net { amount, is_agreed: false, reason: Some(format!("{percent} % commercial discount")) };
        }
    }
    Ok(best)
}

/// The highest percentage on a charge, of those in force: of the account, or of the account that
/// pays for it. A vendor grants a discount to the contract, which the master holds (R-ORG-1).
pub(crate) fn best_percent(
    view: &dyn View,
    account: &AccountHead,
    plan: &str,
    charge: &Charge,
    in_force: impl Fn(Span) -> bool,
) -> Option<Exact> {
    if !charge.discountable {
        return None;
    }
    let master = account.payer.as_deref().and_then(|payer| view.account(payer));
    [Some(account), master]
        .into_iter()
        .flatten()
        .flat_map(|holder| &holder.discounts)
        .filter(|discount| in_force(discount.valid))
        .filter(|discount| discount.plan.as_deref().is_none_or(|only| only == plan))
        .filter(|discount| discount.charge.as_deref().is_none_or(|only| only == charge.id))
        .map(|discount| discount.percent)
        .max()
}

/// One split's part of a stretch.
pub(super) struct Share {
    pub(super) charged: Exact,
    pub(super) free: Exact,
    pub(super) list: Amount,
    pub(super) amount: Amount,
}

/// Shares a stretch's charge out by quantity. The last share takes what quantising left, so that
/// a split never loses or makes a cent.
pub(super) fn share_out(
    list: &Increment,
    net: Exact,
    at: &Quantities,
) -> Result<Vec<(Split, Share)>, OutOfRange> {
    let (list_total, net_total) = (Amount::quantise(list.amount)?, Amount::quantise(net)?);
    let weight = at.splits.values().try_fold(Exact::ZERO, |sum, quantity| sum.add(*quantity))?;
    let mut shares = Vec::with_capacity(at.splits.len());
    let (mut list_left, mut net_left) = (list_total, net_total);
    let (mut charged_left, mut free_left) = (list.charged, list.free);
    for (index, (split, quantity)) in at.splits.iter().enumerate() {
        let last = index + 1 == at.splits.len();
        // The fraction first: a quantity times a quantity would soon be too large.
        let fraction = if weight.is_zero() { Exact::ZERO } else { quantity.div(weight)? };
        let share = if last {
            Share { charged: charged_left, free: free_left, list: list_left, amount: net_left }
        } else {
            Share {
                charged: list.charged.mul(fraction)?,
                free: list.free.mul(fraction)?,
                list: Amount::quantise(list_total.exact().mul(fraction)?)?,
                amount: Amount::quantise(net_total.exact().mul(fraction)?)?,
            }
        };
        list_left = list_left.sub(share.list)?;
        net_left = net_left.sub(share.amount)?;
        charged_left = charged_left.sub(share.charged)?;
        free_left = free_left.sub(share.free)?;
        shares.push((split.clone(), share));
    }
    Ok(shares)
}
