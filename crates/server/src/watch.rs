//! What the log says of the schedule: much that was done at once, what cannot be done, and what can again.

use farebox_core::calendar::Instant;
use farebox_core::engine::Duty;
use farebox_service::{Figures, Service};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::{info, warn};

/// So many runs at once are worth a line.
const RUNS_MANY: u64 = 1_000;
/// So long a look at the schedule is, if anything ran.
const LONG: Duration = Duration::from_secs(1);
/// The most groups that are named at once.
const NAMED_MAX: usize = 20;

/// What was said before.
#[derive(Default)]
pub(crate) struct Watch {
    runs: u64,
    refused: u64,
    changes: u64,
    undone: BTreeMap<String, (Instant, Duty)>,
}

impl Watch {
    /// A look at the schedule is over.
    pub fn caught_up(&mut self, service: &Service, took: Duration) {
        let sums = service.runs().totals();
        let (runs, refused) =
            sums.iter().fold((0, 0), |(runs, refused), sum| (runs + sum.done, refused + sum.refused));
        let (ran, now_refused) = (runs.saturating_sub(self.runs), refused.saturating_sub(self.refused));
        (self.runs, self.refused) = (runs, refused);
        if ran >= RUNS_MANY || (took >= LONG && ran + now_refused > 0) {
            let Figures { undone, .. } = service.figures();
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let until = service.clock();
            info!(runs = ran, refused = now_refused, failing = undone, %until, millis, "caught up");
        }
    }

    /// What was asked for is done, and what follows from it.
    pub fn look(&mut self, service: &Service) {
        let (changes, undone) = service.undone();
        if std::mem::replace(&mut self.changes, changes) == changes {
            return;
        }
        let mut mended = std::mem::take(&mut self.undone);
        let (mut named, mut more) = (0, 0);
        for one in undone {
            let known = (one.due.at, one.due.duty);
            let is_news = mended.remove(&one.due.payer) != Some(known);
            self.undone.insert(one.due.payer.clone(), known);
            if is_news && named == NAMED_MAX {
                more += 1;
            } else if is_news {
                named += 1;
                let (account, duty, due) = (one.due.payer.as_str(), one.due.duty.name(), one.due.at);
                let (code, error) = (one.why.code(), &one.why);
                warn!(account, duty, %due, code, %error, "a settlement has failed");
            }
        }
        if more > 0 {
            warn!(groups = more, failing = self.undone.len(), "more settlements have failed");
        }
        for (account, (due, duty)) in mended.iter().take(NAMED_MAX) {
            info!(account, duty = duty.name(), %due, "a settlement works again");
        }
        if let more @ 1.. = mended.len().saturating_sub(NAMED_MAX) {
            info!(groups = more, failing = self.undone.len(), "more settlements work again");
        }
    }
}
