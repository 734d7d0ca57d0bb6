//! What is coming: open cycles as if they ended now, and a month's end if all goes on as it is.
//!
//! Both are previews: they are worked out by the code that charges, and change nothing.

use super::{Action, Catalogues, Command, Duty, Late, Moment, Refusal, due, next_due};
use crate::account::{Group, View};
use crate::bill::Line;
use crate::calendar::Instant;
use crate::metering::Metering;
use crate::settlement::{self, Context};

/// The lines that a payer and its members would be charged if every open cycle ended at a moment.
///
/// # Errors
/// A [`Refusal`] when a number does not fit, or a counter reaches over the moment.
pub fn draft(
    view: &dyn View,
    catalogues: &Catalogues,
    metering: &Metering,
    payer: &str,
    at: Instant,
    late: &Late,
) -> Result<Vec<Line>, Refusal> {
    let group = due::group(view, payer);
    let contexts: Vec<Context<'_>> = group
        .iter()
        .filter_map(|name| view.account(name))
        .map(|account| {
            let late = late.get(&account.id).copied();
            Context { late, preview: true, ..Context::of(view, catalogues, metering, account, at) }
        })
        .collect();
    Ok(settlement::settle(&contexts, "draft", 1)?.lines)
}

/// The group as it would be at a later moment if nobody did anything: everything that time does is
/// done, in its order. `metering`: see [`Metering::forecast`].
///
/// # Errors
/// A [`Refusal`] when a number does not fit.
pub fn forecast(
    group: &Group,
    catalogues: &Catalogues,
    metering: &Metering,
    payer: &str,
    after: Moment,
    late: &Late,
    until: Instant,
) -> Result<Group, Refusal> {
    let (mut group, mut late, mut after) = (group.clone(), late.clone(), after);
    while let Some((at, duty)) = next_due(&group, catalogues, payer, after, &late) {
        if at > until {
            break;
        }
        let counted = if duty == Duty::Charges { std::mem::take(&mut late) } else { Late::new() };
        let action = Action::Due { duty, late: counted };
        let command = Command { account: payer.to_owned(), effective_at: at, action };
        for fact in super::decide(&group, catalogues, metering, &command, at)? {
            group.apply(&fact).map_err(|_| Refusal::OutOfRange)?;
        }
        after = Moment { at, done: duty };
    }
    Ok(group)
}
