//! What charges come to in a stretch of time, whether they are settled yet or not.

use super::{Context, Part, Units, accumulation, charges_of, stretches, what_it_should_be};
use crate::calendar::{Instant, Span};
use crate::engine::Refusal;
use crate::money::Amount;
use crate::quantity::Takers;
use crate::subscription::Subscription;

/// What the charges of a subscription come to in a span: the difference of what they come to at its
/// two ends. Counters must be cut there.
pub(crate) fn between(
    context: &Context<'_>,
    subscription: &Subscription,
    within: Span,
) -> Result<Amount, Refusal> {
    let at_end = up_to(context, subscription, within.start, within.end)?;
    Ok(at_end.sub(up_to(context, subscription, within.start, within.start)?)?)
}

/// What the accumulations from the one around `from` on come to at a moment.
fn up_to(
    context: &Context<'_>,
    subscription: &Subscription,
    from: Instant,
    at: Instant,
) -> Result<Amount, Refusal> {
    let context = Context { at, takers: Takers::default(), ..*context };
    let mut sum = Amount::ZERO;
    for (charge, ..) in charges_of(context.catalogues, subscription) {
        let mut start = from;
        while let Some(period) = accumulation(context.catalogues, subscription, &charge, start) {
            let part = Part { period, from: period.start, before: Units::new() };
            let stretches = stretches(&context, subscription, &charge, &part);
            let (should, _) = what_it_should_be(&context, subscription, &stretches, &part)?;
            for one in should.values() {
                sum = sum.add(one.amount)?;
            }
            start = period.end;
            if start >= at {
                break;
            }
        }
    }
    Ok(sum)
}
