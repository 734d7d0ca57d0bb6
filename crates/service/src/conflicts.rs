//! Usage that says otherwise what was said before, under the same identity and revision. Which of the two is right nobody
//! can know: what was said first counts, and the other waits in quarantine until someone says which it is.

use crate::identities::ByIdentity;
use crate::log::Place;
use crate::quarantine::{Quarantine, Quarantined, key};
use farebox_core::calendar::Instant;
use farebox_store::codec::Stored;
use farebox_store::{Derived, Seen, Store, StoreError};

/// Where what contradicts an identity is in the log, and whose usage it says that it is.
pub(crate) const CONFLICTS: u8 = 27;

/// What contradicts one identity and is kept: to compare with more would take long, and to look at more nobody would.
pub const CONFLICTS_MAX: usize = 100;

/// The account, and the block and the place in it.
type Kept = (String, u64, u32);

/// What is kept of an identity that these contradict; none: nothing is.
fn row(identity: u128, all: &[Kept]) -> Derived {
    let value = (!all.is_empty()).then(|| all.to_vec().to_bytes());
    Derived { space: CONFLICTS, key: identity.to_be_bytes().to_vec(), value }
}

/// What waits because it contradicts an identity.
#[derive(Default)]
pub(crate) struct Conflicts {
    of: ByIdentity<Vec<Kept>>,
}

impl Conflicts {
    /// Those of a store.
    ///
    /// # Errors
    /// When the store fails, or is damaged.
    pub fn of(store: &dyn Store) -> Result<Conflicts, StoreError> {
        let mut all = Conflicts::default();
        store.derived_from(CONFLICTS, &[], &mut |key, value| {
            let damaged =
                |found: String| StoreError::Corrupt { place: "a conflict of usage".to_owned(), found };
            let name = key.try_into().map(u128::from_be_bytes);
            let name = name.map_err(|_| damaged("its identity is none".to_owned()))?;
            all.of.insert(name, Vec::from_bytes(value).map_err(|error| damaged(error.to_string()))?);
            Ok(Seen::More)
        })?;
        Ok(all)
    }

    /// How much contradicts an identity.
    pub fn count(&self, identity: u128) -> usize {
        self.of.get(&identity).map_or(0, Vec::len)
    }

    /// Notes what contradicts an identity. Answers what is to be kept of it.
    pub fn add(&mut self, identity: u128, account: &str, place: Place) -> Derived {
        let all = self.of.entry(identity).or_default();
        all.push((account.to_owned(), place.block, place.index));
        row(identity, all)
    }

    /// Forgets what contradicts an identity. Answers what is to be kept of that, where there was any.
    pub fn remove(&mut self, identity: u128) -> Option<Derived> {
        self.of.remove(&identity).map(|_| row(identity, &[]))
    }

    /// Forgets what says that it is the usage of an account. Answers what is to be kept of that.
    pub fn forget(&mut self, account: &str) -> Vec<Derived> {
        let mut changed = Vec::new();
        self.of.retain(|identity, all| {
            let before = all.len();
            all.retain(|(of, ..)| of != account);
            if all.len() < before {
                changed.push(row(*identity, all));
            }
            !all.is_empty()
        });
        changed
    }

    /// What contradicts an identity and waits, in the order in which it came, with who pays for it. `payer_of`: who pays
    /// for an account.
    ///
    /// # Errors
    /// When the store fails.
    pub fn waiting(
        &self,
        store: &dyn Store,
        quarantine: &Quarantine,
        payer_of: &dyn Fn(&str) -> String,
        identity: u128,
    ) -> Result<Vec<(String, Place, Quarantined)>, StoreError> {
        let mut found = Vec::new();
        for (account, block, index) in self.of.get(&identity).into_iter().flatten() {
            let (payer, place) = (payer_of(account), Place { block: *block, index: *index });
            // It may have been let go of with an account that is erased.
            if let Some(piece) = quarantine.get(store, &key(&payer, place), Instant::MIN)? {
                found.push((payer, place, piece));
            }
        }
        Ok(found)
    }
}
