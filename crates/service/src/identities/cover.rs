//! Covers: filters of several runs each.
//!
//! Nearly every identity that is looked for is in no run, and a look at a filter is a wait for memory. A cover has what
//! some runs of a level have: where it tells that an identity is in none of them, one look was enough. Covers are made
//! with their runs, and are not kept in the store: what was there when it was opened has none until it is merged.

use super::filter::{Filter, Probe};

/// Bits for each identity, by level. Later runs are too few of too many.
const BITS_EACH: [u64; LEVELS] = [16, 10];
/// Levels whose runs are covered.
const LEVELS: usize = 2;

struct Cover {
    level: u8,
    filter: Filter,
    /// For so many identities more there is room.
    left: u64,
    /// The runs that it has all of.
    runs: Vec<u32>,
}

/// The covers of an index.
#[derive(Default)]
pub(super) struct Covers {
    all: Vec<Cover>,
}

impl Covers {
    /// Makes room for a run of a level that is to be made, of so many identities at most. A cover that has too little is
    /// followed by one for `several` identities. Runs of the higher levels have none.
    pub fn begin(&mut self, level: u8, run: u32, count: u64, several: u64) {
        let Some(bits) = BITS_EACH.get(usize::from(level)) else { return };
        let last = self.all.iter_mut().rfind(|cover| cover.level == level);
        match last.filter(|cover| cover.left >= count) {
            Some(cover) => {
                cover.left -= count;
                cover.runs.push(run);
            }
            None => {
                let room = several.max(count);
                let filter = Filter::of_bits(room * bits);
                self.all.push(Cover { level, filter, left: room - count, runs: vec![run] });
            }
        }
    }

    /// Whether a run has a cover.
    pub fn has(&self, run: u32) -> bool {
        self.all.iter().any(|cover| cover.runs.contains(&run))
    }

    /// Adds an identity of the run of a level that was begun last, where it has a cover.
    pub fn insert(&mut self, level: u8, key: u64) {
        if let Some(cover) = self.all.iter_mut().rfind(|cover| cover.level == level) {
            cover.filter.insert(key);
        }
    }

    /// Some runs are gone: so are the covers that have no others.
    pub fn forget(&mut self, gone: &[u32]) {
        self.all.retain_mut(|cover| {
            cover.runs.retain(|run| !gone.contains(run));
            !cover.runs.is_empty()
        });
    }

    /// Whether an identity may be in a run that is covered.
    #[inline]
    pub fn may_have(&self, key: u64) -> bool {
        let probe = Probe::of(key);
        self.all.iter().any(|cover| cover.filter.may_have(&probe))
    }

    /// Asks early for what [`Covers::may_have`] will look at. The answer means nothing.
    pub fn touch(&self, key: u64) -> u64 {
        self.all.iter().fold(0, |sum, cover| sum ^ cover.filter.touch(key))
    }

    /// Memory that they take, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.all.iter().map(|cover| cover.filter.len_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::KEY_BITS;
    use super::*;

    fn key(n: u64) -> u64 {
        n.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> (64 - KEY_BITS)
    }

    #[test]
    fn a_cover_has_what_its_runs_have_until_the_last_of_them_is_gone() {
        let mut covers = Covers::default();
        let mut make = |run: u32| {
            covers.begin(0, run, 1_000, 3_000);
            assert!(covers.has(run));
            (0..1_000).for_each(|n| covers.insert(0, key(u64::from(run) * 1_000 + n)));
            let has = |run: u32| (0..1_000).all(|n| covers.may_have(key(u64::from(run) * 1_000 + n)));
            assert!((0..=run).all(has), "{run}");
            covers.all.len()
        };
        assert_eq!([0, 1, 2, 3, 4].map(&mut make), [1, 1, 1, 2, 2]);
        let wrong = (100_000..200_000).filter(|n| covers.may_have(key(*n))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 pass");
        let both = covers.len_bytes();
        covers.forget(&[0, 2]);
        assert_eq!(covers.len_bytes(), both, "run 1 is still there");
        covers.forget(&[1]);
        assert_eq!(covers.len_bytes(), both / 2);
        covers.begin(2, 9, 10, 10);
        assert!(!covers.has(9), "large runs have none");
    }
}
