//! The events of an account, as the log has them.

use super::{Known, Service};
use crate::log::Place;
use farebox_core::metering::{Event, Problem};
use farebox_store::StoreError;
use farebox_store::codec::{Reader, Stored};
use farebox_store::usage::{Record, Usage, added};
use std::borrow::Cow;

/// The most blocks that are read for one answer.
const BLOCKS_MAX: usize = 32;

/// An event that is not void, and that no revision has replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Where it is in the log.
    pub place: Place,
    /// What was said.
    pub usage: Usage,
    /// Whether a session said it when it was over, and no record.
    pub is_session: bool,
    /// Why it never counts as it is, and waits in quarantine: it came when its time was before the retention horizon, or
    /// contradicts what was said before.
    pub set_aside: Option<Problem>,
}

/// What a record of the log is to a list of events, besides its event.
enum Said {
    Received,
    /// By the session of this name.
    BySession(String),
    SetAside(Problem),
}

/// Some events of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// In the order in which they came.
    pub events: Vec<Kept>,
    /// After which place there may be more.
    pub next: Option<Place>,
}

impl Service {
    /// The events of an account that count, in the order in which they came, after a place; at most so many of those that
    /// `wants` chooses. The log is read where it has usage of the account's group, some of it for each call: an
    /// answer may have few events, or none, and say that there may be more.
    ///
    /// # Errors
    /// When the store fails.
    pub fn events(
        &mut self,
        account: &str,
        after: Option<Place>,
        most: usize,
        wants: &mut dyn FnMut(&Known<'_>, &Event<'_>) -> bool,
    ) -> Result<Events, StoreError> {
        self.events_and_set_aside(account, after, most, &mut |known, event, set_aside| {
            set_aside.is_none() && wants(known, event)
        })
    }

    /// The same, and with them what waits in quarantine because it came too late, or contradicts other usage:
    /// [`Kept::set_aside`], which `wants` is told, too.
    ///
    /// # Errors
    /// When the store fails.
    pub fn events_and_set_aside(
        &mut self,
        account: &str,
        after: Option<Place>,
        most: usize,
        wants: &mut dyn FnMut(&Known<'_>, &Event<'_>, Option<&Problem>) -> bool,
    ) -> Result<Events, StoreError> {
        let mut found = Events::default();
        let payer = self.groups.payer_of(account).to_owned();
        self.load(&payer)?;
        self.refresh(&payer)?;
        self.land()?;
        let (Some(store), Some(group)) = (self.groups.store(), self.groups.get(&payer)) else {
            return Ok(found);
        };
        let known = Known {
            group,
            catalogues: &self.catalogues,
            metering: Cow::Borrowed(self.counters.of_group(&payer)),
            late: self.schedule.late_of(&payer),
            at: self.clock,
        };
        let first = after.map_or(0, |place| place.block);
        let blocks = self.counters.blocks_of(store, &payer)?;
        let mut blocks = blocks.into_iter().filter(|block| *block >= first);
        for block in blocks.by_ref().take(BLOCKS_MAX) {
            let mut some = Vec::new();
            self.counters.log().replay_some(store, &[block], &mut |place, record| {
                if after.is_some_and(|after| place <= after) {
                    return;
                }
                let mut look = |event: &Event<'_>, said: Said| {
                    let set_aside = if let Said::SetAside(problem) = &said { Some(problem) } else { None };
                    if event.account == account && wants(&known, event, set_aside) {
                        let (usage, set_aside) = (Usage::of(event), set_aside.cloned());
                        let is_session = matches!(said, Said::BySession(_));
                        some.push((Kept { place, usage, is_session, set_aside }, said));
                    }
                };
                if let Ok(event) = added(&mut Reader::new(record)) {
                    return look(&event, Said::Received);
                }
                match Record::from_bytes(record) {
                    Ok(Record::Added(usage)) => look(&usage.event(), Said::Received),
                    Ok(Record::Session { id, usage }) => look(&usage.event(), Said::BySession(id)),
                    Ok(Record::TooOld { usage, horizon }) => {
                        let problem = Problem::BeforeHorizon { time: usage.time, horizon };
                        look(&usage.event(), Said::SetAside(problem));
                    }
                    Ok(Record::Conflict(usage)) => look(&usage.event(), Said::SetAside(Problem::Conflict)),
                    _ => {}
                }
            })?;
            for (kept, said) in some {
                let is_there = match said {
                    Said::BySession(id) => self.inbox.is_said(&id, &kept.usage),
                    Said::Received => {
                        self.inbox.is_current(&self.counters, store, &kept.usage.event(), kept.place)?
                    }
                    // It is in the list until it is mended or discarded, whether its identity is known or not.
                    Said::SetAside(_) => self.counters.waits(store, &payer, kept.place)?,
                };
                if !is_there {
                    continue;
                }
                if found.events.len() == most {
                    found.next = found.events.last().map(|last| last.place);
                    return Ok(found);
                }
                found.events.push(kept);
            }
            found.next = Some(Place { block, index: u32::MAX });
        }
        if blocks.next().is_none() {
            found.next = None;
        }
        Ok(found)
    }
}
