//! What is coming: open cycles as if they ended now, and a month's end if all goes on as it is.
//!
//! Both are previews: they are worked out by the code that charges, and change nothing.

use super::counting::cuts;
use super::{Action, Catalogues, Command, Duty, Fact, Late, Moment, Refusal, just_after, money, next_due};
use crate::account::{Group, View};
use crate::bill::Line;
use crate::calendar::{Instant, Span};
use crate::metering::{LaneSpec, Metering, Scope};
use crate::quantity::AnyTaker;
use crate::settlement;

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
    let mut contexts = money::contexts(view, catalogues, metering, payer, at, late);
    contexts.iter_mut().for_each(|context| context.preview = true);
    Ok(settlement::settle(&contexts, "draft", 1)?.lines)
}

/// The group as it would be at the end of a payer's month if nobody did anything from a moment on, and usage went on as
/// before it: everything that time does is done, in its order. See [`Metering::forecast`].
///
/// # Errors
/// A [`Refusal`] when a number does not fit.
pub fn forecast(
    group: &Group,
    catalogues: &Catalogues,
    metering: &Metering,
    payer: &str,
    at: Instant,
    late: &Late,
    month: Span,
) -> Result<Group, Refusal> {
    let accounts: Vec<String> = group.iter().map(|account| account.head.id.clone()).collect();
    // What nothing takes, such as usage of a frozen account, is no charge that goes on.
    let mut takers = AnyTaker::new(group, catalogues, Span { start: month.start, end: just_after(at) });
    let is_taken = |lane: &LaneSpec, scope: &Scope, at: Instant| takers.is_there(lane, scope, at);
    let mut counted = metering.forecast(&accounts, month, at, is_taken);
    let (mut group, mut late, mut after) = (group.clone(), late.clone(), Moment { at, done: Duty::Charges });
    while let Some((at, duty)) = next_due(&group, catalogues, payer, after, &late) {
        if at > month.end {
            break;
        }
        let known = if duty == Duty::Charges { std::mem::take(&mut late) } else { Late::new() };
        let action = Action::Due { duty, late: known };
        let command = Command { account: payer.to_owned(), effective_at: at, action };
        let facts = super::decide(&group, catalogues, counted.metering(), &command, at)?;
        facts.iter().try_for_each(|fact| group.apply(fact)).map_err(|_| Refusal::OutOfRange)?;
        // What time brings about divides usage wherever it falls: a freeze at any second.
        cuts(&facts, at, at).into_iter().for_each(|moment| counted.cut(moment));
        after = Moment { at, done: duty };
    }
    Ok(group)
}

/// Does with a group what a command at a moment makes due for a payer at once: a freeze is over, a package opens. Answers
/// what happened.
///
/// # Errors
/// A [`Refusal`] when a number does not fit.
pub fn follow(
    group: &mut Group,
    catalogues: &Catalogues,
    metering: &Metering,
    payer: &str,
    at: Instant,
    late: &Late,
) -> Result<Vec<Fact>, Refusal> {
    let (mut all, mut after) = (Vec::new(), Moment { at, done: Duty::Charges });
    while let Some((due, duty)) =
        next_due(group, catalogues, payer, after, late).filter(|(due, _)| *due <= at)
    {
        let action = Action::Due { duty, late: Late::new() };
        let command = Command { account: payer.to_owned(), effective_at: due, action };
        let facts = super::decide(group, catalogues, metering, &command, due)?;
        facts.iter().try_for_each(|fact| group.apply(fact)).map_err(|_| Refusal::OutOfRange)?;
        all.extend(facts);
        after = Moment { at: due, done: duty };
    }
    Ok(all)
}
