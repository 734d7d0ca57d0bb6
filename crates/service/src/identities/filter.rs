//! A filter: tells of nearly every identity that a run does not have, without reading the run.

use super::run::KEY_BITS;

/// Bits for each identity, by level. Of 14 some 0.2 % pass that a run does not have. Runs of the first levels are most of
/// the runs and few of the identities: theirs may be larger.
const BITS_EACH: [u64; 3] = [24, 16, 14];
/// Bits that one identity sets.
const PROBES: u64 = 8;
/// How often a filter that may be too large can be halved.
const HALVINGS: u32 = 6;
/// Words of one line of memory, in which all bits of an identity are.
const LINE: usize = 8;

/// A Bloom filter, each of whose identities lies in one line of memory.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// A filter for so many identities of a run of a level.
    pub fn new(level: u8, count: u64) -> Filter {
        Filter { words: vec![0; lines_for(level, count) * LINE] }
    }

    /// A filter for so many identities at most, which can be made smaller.
    pub fn at_most(level: u8, count: u64) -> Filter {
        Filter { words: vec![0; lines_for(level, count).next_multiple_of(1 << HALVINGS) * LINE] }
    }

    /// Makes it as small as it may be for so many identities. The line of an identity in half of the lines is the half
    /// of its line, so that two lines become one.
    pub fn shrink_to(&mut self, level: u8, count: u64) {
        let needed = lines_for(level, count);
        while self.lines().is_multiple_of(2) && self.lines() / 2 >= needed {
            let pairs = self.words.chunks_exact(2 * LINE);
            self.words =
                pairs.flat_map(|pair| (0..LINE).map(|word| pair[word] | pair[LINE + word])).collect();
        }
    }

    fn lines(&self) -> usize {
        self.words.len() / LINE
    }

    /// Where its line begins, and what decides the bits. Lines are in the order of identities, as these come to a run
    /// that is being made: it is written from one end to the other.
    fn line(&self, key: u64) -> (usize, u64) {
        let line = ((u128::from(key) * self.lines() as u128) >> KEY_BITS) as usize;
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (line.min(self.lines() - 1) * LINE, (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9))
    }

    pub fn insert(&mut self, key: u64) {
        let (line, bits) = self.line(key);
        for probe in 0..PROBES {
            let bit = (bits >> (probe * 9)) & 511;
            self.words[line + (bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    pub fn may_have(&self, key: u64) -> bool {
        let (line, bits) = self.line(key);
        (0..PROBES).all(|probe| {
            let bit = (bits >> (probe * 9)) & 511;
            (self.words[line + (bit / 64) as usize] >> (bit % 64)) & 1 == 1
        })
    }

    /// A word of an identity's line: asked for early, it is there when it is needed.
    pub fn touch(&self, key: u64) -> u64 {
        self.words[self.line(key).0]
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The filter of such bytes; `None` when they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let is_whole = rest.is_empty() && !chunks.is_empty() && chunks.len() % LINE == 0;
        is_whole.then(|| Filter { words: chunks.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }

    /// How much memory it takes, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// Lines that so many identities of a run of a level need.
fn lines_for(level: u8, count: u64) -> usize {
    let bits = BITS_EACH.get(usize::from(level)).or(BITS_EACH.last()).copied().unwrap_or_default();
    (count * bits).div_ceil(LINE as u64 * 64).max(1) as usize
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
            assert!((0..count).all(|n| filter.may_have(key(n))), "{count}");
            let wrong = (10_000..110_000).filter(|n| filter.may_have(key(*n))).count();
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
        assert!((0..10_000).all(|n| filter.may_have(key(n))));
        let wrong = (10_000..110_000).filter(|n| filter.may_have(key(*n))).count();
        assert!(wrong < 1_500, "{wrong} of 100,000 pass");
        assert!(filter.len_bytes() <= 17_600);
        let mut larger = Filter::new(0, 10_000);
        (0..10_000).for_each(|n| larger.insert(key(n)));
        assert!((0..10_000).all(|n| larger.may_have(key(n))));
        let wrong = (10_000..110_000).filter(|n| larger.may_have(key(*n))).count();
        assert!(wrong < 50, "{wrong} of 100,000 pass");
    }
}
