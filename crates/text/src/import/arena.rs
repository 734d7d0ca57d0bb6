//! Bytes kept for the length of a book, in pages, so that growing never copies what is there.

const PAGE_BYTES: usize = 1 << 20;

/// Pieces of bytes, found by the handle given when they were added.
#[derive(Default)]
pub(super) struct Arena {
    pages: Vec<Vec<u8>>,
}

impl Arena {
    /// Keeps the bytes; the handle holds page and place.
    pub(super) fn add(&mut self, bytes: &[u8]) -> u64 {
        let fits = self.pages.last().is_some_and(|page| page.capacity() - page.len() >= bytes.len());
        if !fits {
            self.pages.push(Vec::with_capacity(PAGE_BYTES.max(bytes.len())));
        }
        let page = self.pages.len() as u64 - 1;
        match self.pages.last_mut() {
            Some(last) => {
                let place = last.len() as u64;
                last.extend_from_slice(bytes);
                page << 24 | place
            }
            None => 0,
        }
    }

    /// The bytes from a handle on, to the end of its page.
    pub(super) fn from(&self, handle: u64) -> &[u8] {
        &self.pages[(handle >> 24) as usize][(handle & 0xff_ffff) as usize..]
    }
}

/// Maps bytes to a small number that stands for what was made of them.
pub(super) struct Interner {
    /// 32 bits of the hash and the number + 1; 0: empty.
    slots: Vec<u64>,
    hashes: Vec<u128>,
    values: Vec<u64>,
    arena: Arena,
}

const TAG: u64 = !0xffff_ffff;

impl Default for Interner {
    fn default() -> Interner {
        Interner::new()
    }
}

impl Interner {
    pub(super) fn new() -> Interner {
        Interner { slots: vec![0; 256], hashes: Vec::new(), values: Vec::new(), arena: Arena::default() }
    }

    /// The number of the value made for this key before, or of the one that `make` writes now.
    #[inline]
    pub(super) fn intern(&mut self, key: u128, make: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let mask = self.slots.len() - 1;
        let tag = (key >> 64) as u64 & TAG;
        let mut at = key as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return self.add(key, make);
            }
            let number = slot as u32 - 1;
            if slot & TAG == tag && self.hashes[number as usize] == key {
                return number;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add(&mut self, key: u128, make: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let mut value = Vec::new();
        make(&mut value);
        let number = self.values.len() as u32;
        self.values.push(self.arena.add(&value));
        self.hashes.push(key);
        if self.values.len() * 4 > self.slots.len() * 3 {
            self.slots = vec![0; self.slots.len() * 2];
            for earlier in 0..number {
                self.place(earlier);
            }
        }
        self.place(number);
        number
    }

    fn place(&mut self, number: u32) {
        let key = self.hashes[number as usize];
        let mask = self.slots.len() - 1;
        let mut at = key as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (key >> 64) as u64 & TAG | (u64::from(number) + 1);
    }

    /// The number among all threads' interners, while there is room for it.
    #[inline]
    pub(super) fn global(number: u32, worker: u32) -> Option<u32> {
        (number < 1 << 26).then_some(worker << 26 | number)
    }

    /// Worker and number of a global number.
    pub(super) fn local(global: u32) -> (usize, u32) {
        ((global >> 26) as usize, global & ((1 << 26) - 1))
    }

    /// The value of a number, and whatever follows it.
    pub(super) fn value(&self, number: u32) -> &[u8] {
        self.arena.from(self.values[number as usize])
    }
}
