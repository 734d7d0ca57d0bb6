//! A filter: tells of nearly every identity that a run does not have, without reading the run.

use super::run::{KEY_BITS, KEY_BITS_MIN};

/// Bits for each identity, by level. Of 14 some 0.2 % pass that a run does not have. Runs of the first level are most of
/// the runs and few of the identities: theirs may be larger.
const BITS_EACH: [u64; 2] = [16, 14];
/// How often a filter that may be too large can be halved.
const HALVINGS: u32 = 6;
/// Words of one line of memory, in which all bits of an identity are: one in each word.
const LINE: usize = 8;

type Line = [u64; LINE];

/// A Bloom filter, each of whose identities lies in one line of memory.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    lines: Vec<Line>,
}

/// An identity, with its bits in the line of any filter.
pub(super) struct Probe {
    key: u64,
    bits: Line,
}

/// Bits of an identity that every run knows.
fn known(key: u64) -> u64 {
    key >> (KEY_BITS - KEY_BITS_MIN)
}

impl Probe {
    // Where this and what asks by it are one piece of code, the bits stay where the processor computes. Written to memory one
    // by one and read again together, they would make it wait for all that went before.
    #[inline(always)]
    pub fn of(key: u64) -> Probe {
        let key = known(key);
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        // Of a product the highest bits are mixed best.
        Probe { key, bits: std::array::from_fn(|word| 1 << ((mixed >> (58 - 6 * word)) & 63)) }
    }
}

impl Filter {
    /// A filter for so many identities of a run of a level.
    pub fn new(level: u8, count: u64) -> Filter {
        Filter { lines: vec![[0; LINE]; lines_for(level, count)] }
    }

    /// A filter of about so many bits.
    pub fn of_bits(bits: u64) -> Filter {
        Filter { lines: vec![[0; LINE]; lines_of(bits)] }
    }

    /// A filter for so many identities at most, which can be made smaller.
    pub fn at_most(level: u8, count: u64) -> Filter {
        Filter { lines: vec![[0; LINE]; lines_for(level, count).next_multiple_of(1 << HALVINGS)] }
    }

    /// Makes it as small as it may be for so many identities. The line of an identity in half of the lines is the half
    /// of its line, so that two lines become one.
    pub fn shrink_to(&mut self, level: u8, count: u64) {
        let needed = lines_for(level, count);
        while self.lines.len().is_multiple_of(2) && self.lines.len() / 2 >= needed {
            let pairs = self.lines.chunks_exact(2);
            self.lines =
                pairs.map(|pair| std::array::from_fn(|word| pair[0][word] | pair[1][word])).collect();
        }
    }

    /// Its line. Lines are in the order of identities, as these come to a run that is being made: it is written from
    /// one end to the other.
    fn line(&self, key: u64) -> usize {
        let line = ((u128::from(key) * self.lines.len() as u128) >> KEY_BITS_MIN) as usize;
        line.min(self.lines.len() - 1)
    }

    pub fn insert(&mut self, key: u64) {
        let probe = Probe::of(key);
        let line = self.line(probe.key);
        self.lines[line].iter_mut().zip(probe.bits).for_each(|(word, bit)| *word |= bit);
    }

    #[inline(always)]
    pub fn may_have(&self, probe: &Probe) -> bool {
        // All words at once: to stop at the first is a guess that the processor often gets wrong.
        let missing = self.lines[self.line(probe.key)].iter().zip(probe.bits);
        missing.fold(0, |all, (word, bit)| all | (bit & !word)) == 0
    }

    /// A word of an identity's line: asked for early, it is there when it is needed.
    pub fn touch(&self, key: u64) -> u64 {
        self.lines[self.line(known(key))][0]
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.lines.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The filter of such bytes; `None` when they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (lines, more) = words.as_chunks();
        let is_whole = rest.is_empty() && more.is_empty() && !lines.is_empty();
        is_whole.then(|| Filter { lines: lines.to_vec() })
    }

    /// How much memory it takes, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }
}

/// Lines that so many identities of a run of a level need.
fn lines_for(level: u8, count: u64) -> usize {
    let bits = BITS_EACH.get(usize::from(level)).or(BITS_EACH.last()).copied().unwrap_or_default();
    lines_of(count * bits)
}

fn lines_of(bits: u64) -> usize {
    bits.div_ceil(LINE as u64 * 64).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> u64 {
        n.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> (64 - KEY_BITS)
    }

    #[test]
    fn what_is_in_it_passes_when_it_has_shrunk() {
        for count in [1, 40, 900, 5_000, 10_000] {
            let mut filter = Filter::at_most(2, 10_000);
            (0..count).for_each(|n| filter.insert(key(n)));
            filter.shrink_to(2, count);
            assert!((0..count).all(|n| filter.may_have(&Probe::of(key(n)))), "{count}");
            let wrong = (10_000..110_000).filter(|n| filter.may_have(&Probe::of(key(*n)))).count();
            assert!(wrong < 1_500, "{wrong} of 100,000 pass with {count}");
            let least = Filter::new(2, count).len_bytes();
            assert!((least..least * 2 + (LINE * 8) * 8).contains(&filter.len_bytes()), "{count}");
        }
    }

    #[test]
    fn what_is_in_it_passes_and_little_else_does() {
        let mut filter = Filter::new(2, 10_000);
        (0..10_000).for_each(|n| filter.insert(key(n)));
        let filter = Filter::from_bytes(&filter.bytes()).unwrap();
        assert!((0..10_000).all(|n| filter.may_have(&Probe::of(key(n)))));
        let wrong = (10_000..110_000).filter(|n| filter.may_have(&Probe::of(key(*n)))).count();
        assert!(wrong < 1_500, "{wrong} of 100,000 pass");
        assert!(filter.len_bytes() <= 17_600);
        let mut larger = Filter::new(0, 10_000);
        (0..10_000).for_each(|n| larger.insert(key(n)));
        assert!((0..10_000).all(|n| larger.may_have(&Probe::of(key(n)))));
        let wrong = (10_000..110_000).filter(|n| larger.may_have(&Probe::of(key(*n)))).count();
        assert!(wrong < 300, "{wrong} of 100,000 pass");
    }
}
