//! Maps by name, which are looked into for each event.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Hashes a name in one go: names are short, and setting up a hash that takes parts costs more than they do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // What ends a text; there is one text.
    fn write_u8(&mut self, _: u8) {}
}

/// A map by name.
pub(crate) type ByName<V> = HashMap<String, V, BuildHasherDefault<NameHasher>>;
