//! Counters of usage.

use crate::codec::{choice, record};
use farebox_core::metering::{Aggregated, CountedSegment, Counter, DeckCount, DeckSeconds, Scope};

record! { CountedSegment { lane, span, last, counters } }
record! { Scope { application, project, dimensions, tags, prefix } }
record! { Counter { events, value } }
choice! { Aggregated {
    0 = Sum(sum), 1 = Max(max), 2 = Latest { at, tie, value }, 3 = Unique(values), 4 = Levels(levels), 5 = Deck(count),
} }
record! { DeckCount { calls, bands } }
record! { DeckSeconds { first_s, next_s } }
