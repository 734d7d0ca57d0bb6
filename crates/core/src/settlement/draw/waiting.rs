//! Settled usage of charges that settle later than the units are freed that are theirs.

use super::{Forced, Item, Task, accumulations, in_force, sum};
use crate::bill::ChargeKey;
use crate::calendar::Span;
use crate::catalog::Measure;
use crate::money::{Exact, OutOfRange};
use crate::package::Draws;
use std::collections::BTreeMap;

/// The place among jobs of usage that is not settled now.
pub(super) const NO_JOB: usize = usize::MAX;

/// The settled usage of charges whose next settlement is yet to come, from where freed units may be
/// theirs: they are credited with units at once, before new usage draws, and in money when they are
/// settled.
pub(super) fn waiting(
    tasks: &[Task<'_>],
    forced: &Forced,
    items: &mut Vec<Item>,
    before: &mut BTreeMap<(String, ChargeKey), Draws>,
) -> Result<(), OutOfRange> {
    for (index, task) in tasks.iter().enumerate().filter(|(_, task)| task.waits) {
        let (context, subscription) = (task.context, task.subscription);
        let (account, name) = (&context.account.id, &subscription.name);
        let from = forced.get(&(account.clone(), name.clone(), task.charge.clone())).copied();
        let within = Span { start: from.unwrap_or(task.work.settled), end: task.work.settled };
        for period in accumulations(context.catalogues, subscription, &task.charge, within) {
            for (key, known) in context.view.charged(account, name, &task.charge, period.start) {
                let by = in_force(context.catalogues, subscription, &task.charge, key.start);
                let Some((catalogue, plan, charge)) = by else { continue };
                let Measure::Meter(meter) = &charge.measure else { continue };
                let own = &subscription.attributes;
                let binds = charge.binds(plan).iter();
                let bound: BTreeMap<String, String> =
                    binds.filter_map(|name| Some((name.clone(), own.get(name)?.clone()))).collect();
                let charged = known.past_packages()?;
                if !charge.draws || charged <= Exact::ZERO {
                    continue;
                }
                before.insert((account.clone(), key.clone()), known.drawn.clone());
                items.push(Item {
                    place: (index, NO_JOB, 0, 0),
                    account: account.clone(),
                    span: known.period.unwrap_or(Span { start: key.start, end: key.start }),
                    meter: (catalogue.id.clone(), meter.clone()),
                    bound,
                    measured: charged.add(sum(known.drawn.values().copied())?)?,
                    charged,
                    drawn: known.drawn,
                    unit_size: Exact::ONE,
                    key,
                });
            }
        }
    }
    Ok(())
}
