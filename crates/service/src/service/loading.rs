//! Groups and what is counted of them, read from the store when they are asked for.

use super::Service;
use farebox_store::StoreError;

impl Service {
    pub(super) fn load(&mut self, payer: &str) -> Result<(), StoreError> {
        self.load_all(&[payer])
    }

    /// Loads those groups that are not in memory; where much of the log is to be read for them, others that it would
    /// have to be read for are loaded with them.
    pub(super) fn load_all(&mut self, payers: &[&str]) -> Result<(), StoreError> {
        let (mut new, mut read) = (Vec::new(), Ok(()));
        for payer in payers.iter().copied() {
            // Nothing of it is on its way: it would be in memory. Its usage may be.
            if self.groups.has(payer) {
                continue;
            }
            match self.groups.load(payer).map(|group| group.is_some()) {
                Ok(true) => new.push(payer.to_owned()),
                Ok(false) => {}
                // The others can be loaded all the same.
                Err(error) => read = read.and(Err(error)),
            }
        }
        if new.is_empty() {
            return read;
        }
        let counted = self.count_for(&mut new);
        if counted.is_err() {
            // A group without its usage is none.
            for payer in &new {
                self.groups.read_again(payer);
                self.counters.let_go(payer);
            }
        }
        counted.and(read)
    }

    /// Counts for groups that were loaded just now, and for their company.
    fn count_for(&mut self, new: &mut Vec<String>) -> Result<(), StoreError> {
        self.land()?;
        for other in new.first().map(|payer| self.counters.company(payer)).unwrap_or_default() {
            // One that cannot be read is not missed here.
            if self.groups.get(&other).is_none() && matches!(self.groups.load(&other), Ok(Some(_))) {
                new.push(other);
            }
        }
        if let Some(store) = self.groups.store() {
            let loaded = new.iter().filter_map(|payer| Some((payer.as_str(), self.groups.get(payer)?)));
            let groups: Vec<_> = loaded.collect();
            self.counters.load(store, &self.catalogues, &groups)?;
        }
        // Where no counters are kept that fit, all is counted anew.
        let names: Vec<&str> = new.iter().map(String::as_str).collect();
        self.refresh_all(&names)?;
        names.iter().for_each(|payer| self.note_usage(payer));
        Ok(())
    }

    /// Loads groups as far as they can be read. One that cannot is met again when something is due for it.
    pub(super) fn load_readable(&mut self, payers: &[&str]) -> Result<(), StoreError> {
        let is_damaged = |loaded: &Result<(), StoreError>| matches!(loaded, Err(StoreError::Corrupt { .. }));
        let loaded = self.load_all(payers);
        if !is_damaged(&loaded) {
            return loaded;
        }
        let mut each = payers.iter().map(|payer| self.load(payer));
        each.find(|loaded| loaded.is_err() && !is_damaged(loaded)).unwrap_or(Ok(()))
    }

    pub(super) fn refresh(&mut self, payer: &str) -> Result<(), StoreError> {
        self.refresh_all(&[payer])
    }

    pub(super) fn refresh_all(&mut self, payers: &[&str]) -> Result<(), StoreError> {
        if payers.iter().any(|payer| self.counters.is_stale(payer)) {
            self.land()?;
            let Some(store) = self.groups.store() else { return Ok(()) };
            for payer in self.counters.refresh(store, &self.catalogues, payers)? {
                self.note_usage(&payer);
            }
        }
        Ok(())
    }
}
