//! What was said lately: identities that no run has yet.

use super::run::{Entry, key_of};
use crate::log::Place;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Bits of a place that say where in its block it is.
const INDEX_BITS: u32 = 24;

/// Spreads keys, whose leading bits are none, over all bits.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = (self.0 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Identities by the bits that runs know them by, each with the place where it was said last: sixteen bytes, as many of
/// them are to be near the processor.
#[derive(Default)]
pub(super) struct Recent {
    places: HashMap<u64, u64, BuildHasherDefault<Spread>>,
    /// Those whose bits another has that was said later, in this order: hardly any.
    others: Vec<(u64, u64)>,
}

fn packed(place: Place) -> u64 {
    // A block has far fewer records, and a log far fewer blocks.
    place.block << INDEX_BITS | u64::from(place.index)
}

fn place_of(packed: u64) -> Place {
    Place { block: packed >> INDEX_BITS, index: (packed & ((1 << INDEX_BITS) - 1)) as u32 }
}

impl Recent {
    /// Notes where an identity was said, and is not looked for any more where it was said before.
    pub fn insert(&mut self, identity: u128, place: Place, before: Option<Place>) {
        let key = key_of(identity);
        let known = self.places.insert(key, packed(place));
        if let Some(other) = known.filter(|known| before.map(packed) != Some(*known)) {
            self.others.push((key, other));
        }
    }

    /// Adds where an identity may have been said, the latest first.
    pub fn find(&self, key: u64, into: &mut Vec<Place>) {
        let Some(last) = self.places.get(&key) else { return };
        into.push(place_of(*last));
        let others = self.others.iter().rev().filter(|(known, _)| *known == key);
        into.extend(others.map(|(_, place)| place_of(*place)));
    }

    /// Asks early for what [`Recent::find`] will look at. The answer means nothing.
    pub fn touch(&self, key: u64) -> u64 {
        self.places.get(&key).copied().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.places.len() + self.others.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All of them, in no order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let all = self.places.iter().map(|(key, place)| (*key, *place)).chain(self.others.iter().copied());
        all.map(|(key, place)| (key, place_of(place)))
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.places.clear();
        self.others.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(block: u64, index: u32) -> Place {
        Place { block, index }
    }

    #[test]
    fn those_that_share_bits_are_all_found_the_latest_first() {
        let (one, other) = (7 << 72, (7 << 72) + 1);
        let mut recent = Recent::default();
        recent.insert(one, place(3, 1), None);
        recent.insert(other, place(3, 2), None);
        let found = |recent: &Recent| {
            let mut found = Vec::new();
            recent.find(key_of(one), &mut found);
            found
        };
        assert_eq!(found(&recent), [place(3, 2), place(3, 1)]);
        assert_eq!(recent.len(), 2);
        recent.insert(other, place(1 << 30, 0xff_ffff), Some(place(3, 2)));
        assert_eq!(found(&recent), [place(1 << 30, 0xff_ffff), place(3, 1)]);
        assert_eq!(recent.entries().count(), 2);
        recent.clear();
        assert!(recent.is_empty() && found(&recent).is_empty());
    }
}
