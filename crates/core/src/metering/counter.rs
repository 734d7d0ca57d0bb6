//! Counters: what is kept of usage once it is counted.
//!
//! A counter holds no price, so that a new price needs no new count, and no events. Counters of
//! disjoint events merge in any order, so that several threads can count one file.

use crate::calendar::{Instant, Span};
use crate::catalog::Aggregate;
use crate::money::{Exact, OutOfRange};
use std::collections::{BTreeMap, BTreeSet};

/// Counted quantities are whole numbers of 10⁻⁹ units.
pub const NANO: i128 = 1_000_000_000;

/// What was counted of the events of one scope in one segment of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// How many events. Below zero in a part that took back what another part counted.
    pub events: i64,
    /// Their aggregate.
    pub value: Aggregated,
}

/// The aggregate of some events. Quantities are in 10⁻⁹ measured units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aggregated {
    /// Sum, or count.
    Sum(i128),
    /// Greatest value.
    Max(i128),
    /// The latest value; of events at one moment the one with the greatest tie-break.
    Latest {
        /// When.
        at: Instant,
        /// Hash of the event's identity.
        tie: u64,
        /// The value.
        value: i128,
    },
    /// Different values, by a 128-bit hash.
    Unique(BTreeSet<u128>),
    /// Values that hold until the next, by moment and tie-break. The levels of a segment are what
    /// its quantity is, as the changes of a seat count are; so late ones fall into their place.
    Levels(BTreeMap<(Instant, u64), i128>),
    /// Calls by a rate deck: the calls, and the seconds of first and further steps by time band.
    Deck(DeckCount),
}

/// Calls to the numbers of one row of a deck, in units that a price can be put on (R-DECK-1).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeckCount {
    /// Connected calls.
    pub calls: i64,
    /// Their connected seconds, rounded up to the steps.
    pub bands: Vec<DeckSeconds>,
}

/// Seconds in one time band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DeckSeconds {
    /// Seconds of first steps that started in the band.
    pub first_s: i64,
    /// Seconds of further steps that started in the band.
    pub next_s: i64,
}

/// One event's part in a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The value, in 10⁻⁹ measured units, already rounded where each event is.
    pub value: i128,
    /// When.
    pub at: Instant,
    /// Hash of the identity: breaks ties between values of one moment.
    pub tie: u64,
    /// Hash of the value, for counting different ones.
    pub distinct: u128,
    /// Its steps, under a rate deck.
    pub deck: Option<DeckCount>,
}

impl Share {
    /// An event as such, whatever it says.
    pub(super) fn one(at: Instant) -> Share {
        Share { value: NANO, at, tie: 0, distinct: 0, deck: None }
    }
}

/// A removal that the counter cannot do in place: its events must be counted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountAgain;

impl Counter {
    /// A counter of no events.
    pub fn new(aggregate: Aggregate, deck: bool) -> Counter {
        let value = match aggregate {
            _ if deck => Aggregated::Deck(DeckCount::default()),
            Aggregate::Count | Aggregate::Sum => Aggregated::Sum(0),
            Aggregate::Max => Aggregated::Max(0),
            Aggregate::Latest => Aggregated::Latest { at: Instant::MIN, tie: 0, value: 0 },
            Aggregate::Unique => Aggregated::Unique(BTreeSet::new()),
            Aggregate::TimeWeighted => Aggregated::Levels(BTreeMap::new()),
        };
        Counter { events: 0, value }
    }

    /// Counts an event.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit; the counter is unchanged.
    pub fn add(&mut self, share: &Share) -> Result<(), OutOfRange> {
        match &mut self.value {
            Aggregated::Sum(sum) => *sum = sum.checked_add(share.value).ok_or(OutOfRange)?,
            Aggregated::Max(max) => *max = if self.events == 0 { share.value } else { share.value.max(*max) },
            Aggregated::Latest { at, tie, value } => {
                if self.events == 0 || (*at, *tie) <= (share.at, share.tie) {
                    (*at, *tie, *value) = (share.at, share.tie, share.value);
                }
            }
            Aggregated::Unique(seen) => {
                seen.insert(share.distinct);
            }
            Aggregated::Levels(levels) => {
                levels.insert((share.at, share.tie), share.value);
            }
            Aggregated::Deck(count) => {
                if let Some(calls) = &share.deck {
                    count.add(calls, 1)?;
                }
            }
        }
        self.events += 1;
        Ok(())
    }

    /// Takes an event back that was counted: it was voided, or replaced by a revision.
    ///
    /// # Errors
    /// [`CountAgain`] under `max`, `latest` and `unique`, which do not know what was second.
    pub fn remove(&mut self, share: &Share) -> Result<(), CountAgain> {
        match &mut self.value {
            Aggregated::Sum(sum) => *sum = sum.checked_sub(share.value).ok_or(CountAgain)?,
            Aggregated::Max(_) | Aggregated::Latest { .. } | Aggregated::Unique(_) => return Err(CountAgain),
            Aggregated::Levels(levels) => {
                levels.remove(&(share.at, share.tie)).ok_or(CountAgain)?;
            }
            Aggregated::Deck(count) => {
                if let Some(calls) = &share.deck {
                    count.add(calls, -1).map_err(|OutOfRange| CountAgain)?;
                }
            }
        }
        self.events -= 1;
        Ok(())
    }

    /// Adds the count of other events of the same meter.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit.
    pub fn merge(&mut self, other: &Counter) -> Result<(), OutOfRange> {
        match (&mut self.value, &other.value) {
            (Aggregated::Sum(sum), Aggregated::Sum(more)) => {
                *sum = sum.checked_add(*more).ok_or(OutOfRange)?
            }
            (Aggregated::Max(max), Aggregated::Max(more)) => {
                if other.events != 0 {
                    *max = if self.events == 0 { *more } else { *more.max(max) };
                }
            }
            (
                Aggregated::Latest { at, tie, value },
                Aggregated::Latest { at: other_at, tie: other_tie, value: other_value },
            ) => {
                if other.events != 0 && (self.events == 0 || (*at, *tie) <= (*other_at, *other_tie)) {
                    (*at, *tie, *value) = (*other_at, *other_tie, *other_value);
                }
            }
            (Aggregated::Unique(seen), Aggregated::Unique(more)) => seen.extend(more),
            (Aggregated::Levels(levels), Aggregated::Levels(more)) => levels.extend(more),
            (Aggregated::Deck(count), Aggregated::Deck(more)) => {
                count.add(more, 1)?;
            }
            _ => return Err(OutOfRange),
        }
        self.events += other.events;
        Ok(())
    }

    /// The quantity in measured units, 10⁻⁹ each. `within`: the time that the count covers;
    /// `opening`: the level at its start, for time-weighted meters.
    ///
    /// # Errors
    /// [`OutOfRange`] when it does not fit.
    pub fn quantity(&self, within: Span, opening: i128) -> Result<Exact, OutOfRange> {
        let nano = |value: i128| Exact::ratio(value, NANO).ok_or(OutOfRange);
        match &self.value {
            Aggregated::Sum(value) | Aggregated::Max(value) | Aggregated::Latest { value, .. } => {
                nano(*value)
            }
            Aggregated::Unique(seen) => Ok(Exact::whole(seen.len() as i128)),
            Aggregated::Levels(levels) => held_hours(levels, within, opening),
            Aggregated::Deck(count) => Ok(Exact::whole(
                count.bands.iter().map(|band| i128::from(band.first_s) + i128::from(band.next_s)).sum(),
            )),
        }
    }

    /// The level that a time-weighted count ends with.
    pub fn closing(&self, opening: i128) -> i128 {
        match &self.value {
            Aggregated::Levels(levels) => levels.values().next_back().copied().unwrap_or(opening),
            _ => opening,
        }
    }
}

impl DeckCount {
    /// Adds the calls of another count `times` times (−1: takes them off).
    fn add(&mut self, other: &DeckCount, times: i64) -> Result<(), OutOfRange> {
        let sum =
            |a: i64, b: i64| b.checked_mul(times).and_then(|more| a.checked_add(more)).ok_or(OutOfRange);
        self.bands.resize(self.bands.len().max(other.bands.len()), DeckSeconds::default());
        // All sums are looked at before any is kept.
        for (band, more) in self.bands.iter().zip(&other.bands) {
            sum(band.first_s, more.first_s)?;
            sum(band.next_s, more.next_s)?;
        }
        self.calls = sum(self.calls, other.calls)?;
        for (band, more) in self.bands.iter_mut().zip(&other.bands) {
            band.first_s += more.first_s * times;
            band.next_s += more.next_s * times;
        }
        Ok(())
    }
}

/// Level × time in hours: each level holds until the next, the last one to the end.
fn held_hours(
    levels: &BTreeMap<(Instant, u64), i128>,
    within: Span,
    opening: i128,
) -> Result<Exact, OutOfRange> {
    let (mut since, mut level) = (within.start, opening);
    let area = |level: i128, from: Instant, until: Instant| -> Result<Exact, OutOfRange> {
        let ns = until.as_nanosecond() - from.as_nanosecond();
        // Levels are 10⁻⁹ units and times 10⁻⁹ seconds: 3,600 × 10¹⁸ of them are a unit-hour.
        Exact::ratio(level, NANO).ok_or(OutOfRange)?.mul(Exact::ratio(ns, 3_600 * NANO).ok_or(OutOfRange)?)
    };
    let mut total = Exact::ZERO;
    for ((at, _), next) in levels {
        let at = (*at).clamp(within.start, within.end);
        total = total.add(area(level, since, at)?)?;
        (since, level) = (at, *next);
    }
    total.add(area(level, since, within.end)?)
}
