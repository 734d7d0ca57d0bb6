//! Chance from a seed.

use farebox_oracle::calendar::{self, Cycle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Random numbers from a seed, the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A place in a list of this length.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// Whether something happens that happens once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.place(from.len())]
    }

    /// A moment between two: any, or one that is worth trying.
    pub fn moment(&mut self, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Timestamp {
        let span = u64::try_from(until.as_second() - from.as_second()).unwrap();
        let any = from + SignedDuration::from_secs(i64::try_from(self.below(span)).unwrap());
        let at = match self.below(14) {
            0 => calendar::cycle_start(zone, Cycle::Month, any),
            1 | 2 => calendar::cycle_start(zone, Cycle::Day, any),
            3 => calendar::cycle_start(zone, Cycle::Hour, any),
            4 => {
                // Around the change of the clocks.
                let date = if calendar::local(zone, any).month() < 7 { "2026-03-29" } else { "2026-10-25" };
                let midnight = calendar::midnight(zone, date.parse().unwrap());
                midnight + SignedDuration::from_secs(i64::try_from(self.below(5 * 3600)).unwrap())
            }
            _ => any,
        };
        at.clamp(from, until)
    }
}
