//! A price list is published anew: something may be due for groups that nobody asks for, at another moment than was
//! worked out when they were asked for last.

use super::Service;
use super::time::COMMIT_EACH;
use crate::groups::DESK;
use farebox_core::calendar::Instant;
use farebox_core::catalog::Catalogue;
use farebox_core::engine::{CatalogueConflict, Catalogues, OtherCycles, is_due_alike};
use farebox_store::codec::Stored;
use farebox_store::{CatalogueText, Derived, Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Until what is due is worked out anew for every group: the last one that it was worked out for.
const DUE_ANEW: u8 = 25;

/// Why a price list is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// This very text is published already, under its date.
    Exists,
    /// Another text is published under its date.
    DateTaken,
    /// Versions of one price list share zone and currency.
    ZoneOrCurrency,
    /// A charge would settle otherwise than before.
    OtherCycles(OtherCycles),
    /// Another version is in force already, and this one would be from a moment that is over.
    Backdated,
}

/// Whether a price list may be published now. What was used so far was used at the prices of then (R-CHG-2): a version that
/// says otherwise would rate it again at the next late event, against bills that are issued. The first version of a price
/// list may be in force since ever, as there is nothing that was rated without it.
fn may_publish(known: &Catalogues, new: &Catalogue, clock: Instant) -> Result<(), Unpublished> {
    if let Some(same) = known.versions(&new.id).find(|version| version.effective == new.effective) {
        return Err(if same.hash == new.hash { Unpublished::Exists } else { Unpublished::DateTaken });
    }
    let is_before = new.effective.is_none_or(|from| from < clock);
    match known.in_force(&new.id, clock) {
        Some(_) if is_before => return Err(Unpublished::Backdated),
        _ => {}
    }
    known.other_cycles(new).map_or(Ok(()), |other| Err(Unpublished::OtherCycles(other)))
}

/// Whether a version that is to be published can change what is due for anyone: no other says the same until then, and
/// what nobody could order nobody has.
pub(super) fn may_change_due(known: &Catalogues, new: &Catalogue) -> bool {
    let mut versions = known.versions(&new.id).peekable();
    if versions.peek().is_none() {
        return false;
    }
    let before = versions.take_while(|version| version.effective < new.effective).last();
    before.is_none_or(|before| !is_due_alike(before, new))
}

/// Up to which group what is due is worked out anew, as the store has it; `None`: for all.
pub(crate) fn worked_out_to(store: &dyn Store) -> Result<Option<String>, StoreError> {
    store.derived(DUE_ANEW, &[])?.map(|bytes| String::from_bytes(&bytes)).transpose().map_err(|error| {
        StoreError::Corrupt { place: "how far dues are worked out".to_owned(), found: error.to_string() }
    })
}

/// The price lists as they were before some were published that are not in the store yet.
#[derive(Default)]
pub(super) struct Before {
    /// Before those of the commit that is on its way.
    on_the_way: Option<Arc<Catalogues>>,
    /// Before those of the next commit.
    next: Option<Arc<Catalogues>>,
}

impl Before {
    pub(super) fn publishing(&mut self, known: &Arc<Catalogues>) {
        self.next.get_or_insert_with(|| known.clone());
    }

    /// What was published goes on its way, unless what was before has failed.
    pub(super) fn handed_over(&mut self) {
        let next = self.next.take();
        self.on_the_way = self.on_the_way.take().or(next);
    }

    /// What was on its way is in the store.
    pub(super) fn landed(&mut self) {
        self.on_the_way = None;
    }

    /// Takes what was published out again: it is not in the store.
    pub(super) fn forget(&mut self, catalogues: &mut Arc<Catalogues>) {
        let next = self.next.take();
        if let Some(before) = self.on_the_way.take().or(next) {
            *catalogues = before;
        }
    }
}

impl Service {
    /// Publishes a price list, or a version of one, with the next commit. What is due then for those who ordered something
    /// of it is worked out anew with the next [`Service::advance`].
    ///
    /// # Errors
    /// [`Unpublished`]; nothing is published then.
    pub fn publish(&mut self, list: Catalogue, text: CatalogueText) -> Result<(), Unpublished> {
        may_publish(&self.catalogues, &list, self.clock)?;
        let id = list.id.clone();
        let may_change_due = may_change_due(&self.catalogues, &list);
        let before = self.catalogues.clone();
        Arc::make_mut(&mut self.catalogues).add(list).map_err(|conflict| match conflict {
            CatalogueConflict::SameDate => Unpublished::DateTaken,
            CatalogueConflict::ZoneOrCurrency => Unpublished::ZoneOrCurrency,
        })?;
        self.published.publishing(&before);
        if may_change_due {
            self.note_worked_out(Some(String::new()));
        }
        self.counters.note_catalogue(&id);
        self.schedule.again_all();
        self.groups.add_catalogue(text);
        for payer in self.counters.outdated() {
            let looked = self.look_at_quarantine(&payer, &[]);
            self.note_failure(&looked);
        }
        Ok(())
    }

    /// Notes, with the next commit, up to which group what is due is worked out anew.
    pub(super) fn note_worked_out(&mut self, to: Option<String>) {
        let value = to.as_ref().map(Stored::to_bytes);
        self.groups.add_derived(vec![Derived { space: DUE_ANEW, key: Vec::new(), value }]);
        self.due_anew = to;
    }

    /// Works out anew what is due for every group where a price list was published, before anything else falls due. Commits
    /// as it goes: a process that ends meanwhile goes on from there. Answers whether there was anything to do.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn work_out_due_anew(&mut self) -> Result<bool, StoreError> {
        let Some(done) = self.due_anew.clone() else { return Ok(false) };
        let heads = self.groups.store().map_or(Ok(Vec::new()), Store::groups)?;
        // Those that are new are in memory alone.
        let new = self.groups.iter().filter_map(|group| group.iter().next()).map(|one| one.head.payer());
        let names: BTreeSet<String> =
            heads.into_iter().map(|head| head.group).chain(new.map(str::to_owned)).collect();
        let names: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| *name > done.as_str() && *name != DESK).collect();
        for some in names.chunks(COMMIT_EACH) {
            self.load_readable(some)?;
            some.iter().for_each(|payer| self.schedule.touch(payer));
            let last = some.last().map(|name| (*name).to_owned());
            self.note_worked_out(last);
            if some.len() == COMMIT_EACH {
                self.begin_commit()?;
                self.go_on_to_commit(Box::new(|_| ()));
            }
        }
        self.note_worked_out(None);
        self.schedule.look_again(&self.groups, &self.catalogues, self.clock);
        Ok(true)
    }
}
