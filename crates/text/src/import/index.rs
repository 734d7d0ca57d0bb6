//! The identity index: what has been said before. 16 bytes an identity, 24 with a note.
//!
//! An identity is 96 bits of a hash of source and id: with 10⁹ identities the chance that any two
//! share one is about 10⁻¹¹. The table is cut into segments that grow one at a time by 2/5, so
//! that growing never needs the whole memory again.

/// 96 bits of a hash, and what goes with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) high: u64,
    pub(super) low: u32,
}

impl Key {
    #[inline]
    pub(super) fn of(hash: u128) -> Key {
        // Zero marks an empty slot.
        Key { high: (hash >> 64) as u64 | 1, low: hash as u32 }
    }

    /// Which of `parts` partitions it belongs to.
    #[inline]
    pub(super) fn partition(self, parts: usize) -> usize {
        ((u64::from(self.low >> 16) * parts as u64) >> 16) as usize
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    high: u64,
    low: u32,
    value: u32,
}

const SEGMENTS: usize = 64;

/// Keys to a value of 32 bits and, where `NOTED`, a note of 64.
pub(super) struct Index<const NOTED: bool> {
    segments: Vec<Segment<NOTED>>,
}

#[derive(Default)]
struct Segment<const NOTED: bool> {
    slots: Vec<Slot>,
    notes: Vec<u64>,
    used: usize,
}

/// What the index knows of a key.
pub(super) enum Entry<'a> {
    /// Not seen before; it is now, with the value given.
    New,
    /// Seen: its value and note (an unused one where there are none).
    Known(&'a mut u32, &'a mut u64),
}

impl<const NOTED: bool> Index<NOTED> {
    pub(super) fn new() -> Index<NOTED> {
        Index {
            segments: (0..SEGMENTS)
                .map(|_| Segment { slots: Vec::new(), notes: Vec::new(), used: 0 })
                .collect(),
        }
    }

    /// Reads where the key would stand: many of these in a row wait for memory together, which
    /// looking them up one after another does not.
    #[inline]
    pub(super) fn touch(&self, key: Key) -> u64 {
        let slots = &self.segments[key.low as usize % SEGMENTS].slots;
        let at = ((u128::from(key.high) * slots.len() as u128) >> 64) as usize;
        slots.get(at).map_or(0, |slot| slot.high)
    }

    /// Looks the key up; a new one is inserted with `value` and `note`.
    #[inline]
    pub(super) fn insert<'a>(&'a mut self, key: Key, value: u32, note: u64, spare: &'a mut u64) -> Entry<'a> {
        // The low bits choose the segment, the high bits the slot: independent of each other.
        let segment = &mut self.segments[key.low as usize % SEGMENTS];
        if segment.used * 10 >= segment.slots.len() * 8 {
            segment.grow();
        }
        let at = segment.find(key);
        if segment.slots[at].high == 0 {
            segment.slots[at] = Slot { high: key.high, low: key.low, value };
            if NOTED {
                segment.notes[at] = note;
            }
            segment.used += 1;
            return Entry::New;
        }
        let note = if NOTED { &mut segment.notes[at] } else { spare };
        Entry::Known(&mut segment.slots[at].value, note)
    }

    /// What is known of the key, without making it known: its value and note.
    pub(super) fn get(&self, key: Key) -> Option<(u32, u64)> {
        let segment = &self.segments[key.low as usize % SEGMENTS];
        if segment.slots.is_empty() {
            return None;
        }
        let at = segment.find(key);
        let slot = &segment.slots[at];
        (slot.high != 0).then(|| (slot.value, segment.notes.get(at).copied().unwrap_or(0)))
    }

    /// Identities held.
    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.used).sum()
    }
}

impl<const NOTED: bool> Segment<NOTED> {
    /// The slot of the key, or the empty one where it would stand.
    #[inline]
    fn find(&self, key: Key) -> usize {
        let size = self.slots.len();
        let mut at = ((u128::from(key.high) * size as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.high == 0 || slot.high == key.high && slot.low == key.low {
                return at;
            }
            at = if at + 1 == size { 0 } else { at + 1 };
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.slots.len() * 7 / 5).max(64);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        let notes = std::mem::replace(&mut self.notes, if NOTED { vec![0; size] } else { Vec::new() });
        for (i, slot) in old.into_iter().enumerate().filter(|(_, slot)| slot.high != 0) {
            let at = self.find(Key { high: slot.high, low: slot.low });
            self.slots[at] = slot;
            if NOTED {
                self.notes[at] = notes[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_new_once() {
        let mut index: Index<true> = Index::new();
        let key = |i: u64| Key::of(xxhash_rust::xxh3::xxh3_128(&i.to_le_bytes()));
        for i in 0..100_000 {
            assert!(matches!(index.insert(key(i), i as u32, i * 3, &mut 0), Entry::New));
        }
        for i in 0..100_000 {
            match index.insert(key(i), 0, 0, &mut 0) {
                Entry::Known(value, note) => assert_eq!((*value, *note), (i as u32, i * 3)),
                Entry::New => panic!("{i} forgotten"),
            }
            assert_eq!(index.get(key(i)), Some((i as u32, i * 3)));
            assert_eq!(index.get(key(i + 100_000)), None);
        }
        assert_eq!(index.len(), 100_000);
    }
}
