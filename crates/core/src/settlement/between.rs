//! What charges come to in a stretch of time, whether they are settled yet or not.

use super::draw::{self, Cuts};
use super::{Context, Job, Part, Task, Units, Work, accumulations, charges_of, what_it_should_be};
use crate::calendar::{Instant, Span};
use crate::engine::{Refusal, just_after};
use crate::money::Amount;
use crate::quantity::{Openings, Takers};
use crate::roster::Rhythm;
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
    let (takers, levels, cuts) = (Takers::default(), Openings::default(), Cuts::default());
    let contexts = [Context { at, takers, levels, cuts, ..*context }];
    let context = &contexts[0];
    let mut tasks = Vec::new();
    for (charge, ..) in charges_of(context.catalogues, &Rhythm::of(subscription)) {
        let mut jobs = Vec::new();
        let within = Span { start: from, end: at.max(just_after(from)) };
        for period in accumulations(context.catalogues, subscription, &charge, within) {
            let part = Part { period, from: period.start, before: Units::new() };
            jobs.push(Job::measured(context, subscription, &charge, part)?);
        }
        let work = Work { settled: at, recheck: None };
        tasks.push(Task { context, subscription, charge, work, jobs, waits: false });
    }
    // As far as packages go, what was drawn stays drawn, and the rest draws as it would now.
    draw::allot_alone(&contexts, &mut tasks)?;
    let mut sum = Amount::ZERO;
    for job in tasks.iter().flat_map(|task| &task.jobs) {
        let (should, _) = what_it_should_be(context, subscription, job)?;
        for one in should.values() {
            sum = sum.add(one.amount)?;
        }
    }
    Ok(sum)
}
