//! Usage that cannot be billed as it is: listed, looked at again, mended, discarded.

use super::Service;
use crate::groups::Decided;
use crate::inbox::{Closed, Whose};
use crate::parcel::identity;
use crate::quarantine::{Quarantined, Within, key};
use farebox_core::engine::why_unbilled;
use farebox_core::metering::{Event, Problem};
use farebox_store::usage::Usage;
use farebox_store::{Seen, StoreError};

/// Where a piece of usage stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Nothing was said under its identity, or it is void.
    NotThere,
    /// It is billed, or free of charge.
    Counted,
    /// A meter counts it, and nothing that its account has takes it.
    Unbilled(Problem),
    /// It cannot be billed as it is.
    Quarantined(Box<Quarantined>),
}

impl Standing {
    /// Whether it waits because it contradicts what was said before.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Standing::Quarantined(one) if one.code == Problem::CONFLICT)
    }
}

impl Service {
    /// Shows what is in quarantine, in the order of groups and, within one, of arrival: of the group of an account, or of
    /// all; after a piece's key, until `each` has seen enough.
    ///
    /// # Errors
    /// When the store fails.
    pub fn quarantine(
        &mut self,
        account: Option<&str>,
        after: Option<&[u8]>,
        each: &mut dyn FnMut(Quarantined) -> Seen,
    ) -> Result<(), StoreError> {
        let name = account.map(|account| self.groups.payer_of(account).to_owned());
        if let Some(payer) = &name {
            self.load(payer)?;
            self.refresh(payer)?;
        }
        self.land()?;
        let now = self.clock;
        let Some(store) = self.groups.store() else { return Ok(()) };
        self.counters.quarantine().list(store, &Within { name: name.as_deref(), after }, now, each)
    }

    /// Looks at a piece of usage again: whether it can be counted by now. Where what was said first counts, and what
    /// contradicts it waits, that is what waits.
    ///
    /// # Errors
    /// When the store fails.
    pub fn look_again(&mut self, source: &str, id: &str) -> Result<Standing, StoreError> {
        let standing = self.standing_of_first(source, id)?;
        // What was said first may have left the index of identities meanwhile.
        let waits = matches!(standing, Standing::Quarantined(_));
        let Some(store) = self.groups.store().filter(|_| !waits) else { return Ok(standing) };
        let payer_of = |account: &str| self.groups.payer_of(account).to_owned();
        let conflict = self.inbox.conflict(&mut self.counters, store, &payer_of, (source, id))?;
        Ok(conflict.map_or(standing, |conflict| Standing::Quarantined(Box::new(conflict))))
    }

    /// The same of what was said first.
    fn standing_of_first(&mut self, source: &str, id: &str) -> Result<Standing, StoreError> {
        let Some(store) = self.groups.store() else { return Ok(Standing::NotThere) };
        let Some(whose) = self.inbox.whose(&self.counters, store, source, id)? else {
            return Ok(Standing::NotThere);
        };
        let Whose { usage, place, .. } = whose;
        if self.counters.is_erased(&usage.account) {
            return Ok(Standing::NotThere);
        }
        let payer = self.groups.payer_of(&usage.account).to_owned();
        self.load(&payer)?;
        self.refresh(&payer)?;
        self.land()?;
        let now = self.clock;
        let Some(store) = self.groups.store() else { return Ok(Standing::NotThere) };
        let found = match place {
            Some(place) => self.counters.quarantine().get(store, &key(&payer, place), now)?,
            // What a session said has its place in the list alone.
            None => {
                let mut found = None;
                let within = Within { name: Some(&payer), after: None };
                self.counters.quarantine().list(store, &within, now, &mut |one| {
                    let is_it = one.usage == usage;
                    found = is_it.then_some(one);
                    if is_it { Seen::Enough } else { Seen::More }
                })?;
                found
            }
        };
        if let Some(found) = found {
            return Ok(Standing::Quarantined(Box::new(found)));
        }
        let metering = self.counters.of_group(&payer);
        let group = self.groups.get(&payer);
        let why = group.and_then(|group| why_unbilled(group, &self.catalogues, metering, &usage.event()));
        Ok(why.map_or(Standing::Counted, Standing::Unbilled))
    }

    /// Whether usage is closed: it was counted, and is timed before the retention horizon. It can be neither replaced nor
    /// taken back then. What waits in quarantine can.
    ///
    /// # Errors
    /// When the store fails.
    pub fn closed(&mut self, source: &str, id: &str) -> Result<Option<Closed>, StoreError> {
        let (Some(horizon), Some(store)) = (self.horizon(), self.groups.store()) else { return Ok(None) };
        let whose = self.inbox.whose(&self.counters, store, source, id)?;
        let Some(whose) = whose.filter(|whose| !whose.is_too_old && whose.usage.time < horizon) else {
            return Ok(None);
        };
        let standing = self.standing_of_first(source, id)?;
        let counts = matches!(standing, Standing::Counted | Standing::Unbilled(_));
        Ok(counts.then_some(Closed { time: whose.usage.time, horizon }))
    }

    /// Replaces a piece by a corrected one of the same identity: its revision is the next one, unless it says a higher.
    /// Answers where it stands then; `None`: there is no such piece, or it is billed or [`Service::closed`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn mend(&mut self, event: &Event<'_>, decided: Decided<'_>) -> Result<Option<Standing>, StoreError> {
        let (source, id) = (event.source, event.id);
        let is_none = matches!(self.look_again(source, id)?, Standing::NotThere | Standing::Counted);
        if is_none || self.closed(source, id)?.is_some() {
            return Ok(None);
        }
        let Some(store) = self.groups.store() else { return Ok(None) };
        let known = self.inbox.whose(&self.counters, store, source, id)?;
        let next = known.map_or(0, |known| known.usage.revision.saturating_add(1));
        let revision = event.revision.max(next);
        self.receive(&Usage::of(&Event { revision, ..event.clone() }))?;
        self.note_deed(decided)?;
        self.look_again(source, id).map(Some)
    }

    /// Voids a piece that is not billed, nor [`Service::closed`], and what comes later under its identity. Of a piece that
    /// contradicts what was said before nothing else goes: what was said first counts. Answers whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn discard(&mut self, source: &str, id: &str, decided: Decided<'_>) -> Result<bool, StoreError> {
        let standing = self.look_again(source, id)?;
        if standing.is_conflict() && self.settle_conflicts(source, id)? {
            self.note_deed(decided)?;
            return Ok(true);
        }
        let is_none = matches!(standing, Standing::NotThere | Standing::Counted);
        let is_there = !is_none && self.closed(source, id)?.is_none();
        if is_there {
            self.void(source, id)?;
            self.note_deed(decided)?;
        }
        Ok(is_there)
    }

    /// What contradicts what was said under an identity waits no more. Answers whether there was any.
    pub(super) fn settle_conflicts(&mut self, source: &str, id: &str) -> Result<bool, StoreError> {
        let Service { groups, inbox, counters, .. } = self;
        let Some(store) = groups.store() else { return Ok(false) };
        let payer_of = |account: &str| groups.payer_of(account).to_owned();
        inbox.settle_conflicts(counters, store, &payer_of, identity(source, id))
    }

    /// Writes down something that was done and that no account's facts tell.
    ///
    /// # Errors
    /// When the store fails.
    pub fn note_deed(&mut self, decided: Decided<'_>) -> Result<(), StoreError> {
        let noted = self.groups.note_deed(decided);
        self.note_failure(&noted);
        noted
    }
}
