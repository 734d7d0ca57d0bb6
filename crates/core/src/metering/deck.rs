//! Calls by a rate deck: the longest prefix, and the steps by time band.

use super::counter::{DeckCount, DeckSeconds};
use crate::calendar::{Instant, Zone};
use crate::catalog::Deck;

/// Finds the row of a number: a tree with a branch for each digit, so that a look-up takes as many
/// steps as the number has digits, however many rows the deck has (R-DECK-1).
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    next: [u32; 10],
    row: u32,
}

const NONE: u32 = u32::MAX;

impl Prefixes {
    pub(super) fn of(deck: &Deck) -> Prefixes {
        let empty = Node { next: [NONE; 10], row: NONE };
        let mut prefixes = Prefixes { nodes: vec![empty] };
        for (index, row) in deck.rows.iter().enumerate() {
            let mut at = 0;
            for digit in row.prefix.bytes().map(|byte| usize::from(byte.wrapping_sub(b'0')).min(9)) {
                if prefixes.nodes[at].next[digit] == NONE {
                    prefixes.nodes[at].next[digit] = prefixes.nodes.len() as u32;
                    prefixes.nodes.push(empty);
                }
                at = prefixes.nodes[at].next[digit] as usize;
            }
            prefixes.nodes[at].row = index as u32;
        }
        prefixes
    }

    /// The row whose prefix is the longest that the number starts with; a leading `+` is no digit.
    pub(super) fn row(&self, number: &str) -> Option<usize> {
        let mut node = self.nodes.first()?;
        let mut row = node.row;
        for byte in number.strip_prefix('+').unwrap_or(number).bytes() {
            let digit = usize::from(byte.wrapping_sub(b'0'));
            match node.next.get(digit) {
                Some(&next) if next != NONE => node = &self.nodes[next as usize],
                _ => break,
            }
            if node.row != NONE {
                row = node.row;
            }
        }
        (row != NONE).then_some(row as usize)
    }
}

/// The most steps that a call is followed through its time bands: 34 days of seconds.
const STEPS_MAX: usize = 3_000_000;

/// The steps of a call: each is priced by the band in which it starts (R-DECK-2). A call of zero
/// seconds was not connected and costs nothing.
///
/// `None` when the call is too long to be true.
pub(super) fn steps(
    deck: &Deck,
    row: usize,
    zone: &Zone,
    started: Instant,
    seconds: i128,
) -> Option<DeckCount> {
    let row = &deck.rows[row];
    let mut count = DeckCount { calls: 0, bands: vec![DeckSeconds::default(); deck.bands.len().max(1)] };
    if seconds <= 0 {
        return Some(count);
    }
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds <= i64::from(u32::MAX))?;
    let (first_s, next_s) = (i64::from(row.first_step_s), i64::from(row.next_step_s));
    count.calls = 1;
    if deck.bands.len() <= 1 {
        let further = (seconds - first_s).max(0);
        count.bands[0] = DeckSeconds { first_s, next_s: (further + next_s - 1) / next_s * next_s };
        return Some(count);
    }
    let mut into_s = 0;
    for step in 0..STEPS_MAX {
        if into_s >= seconds {
            return Some(count);
        }
        let at = started.checked_add(jiff::SignedDuration::from_secs(into_s)).ok()?;
        let band = &mut count.bands[band_at(deck, zone, at)];
        let (length, into_band) =
            if step == 0 { (first_s, &mut band.first_s) } else { (next_s, &mut band.next_s) };
        *into_band += length;
        into_s += length;
    }
    None
}

/// The band of a deck at a moment; band 0 where none matches.
fn band_at(deck: &Deck, zone: &Zone, at: Instant) -> usize {
    let local = zone.local(at);
    let weekday = local.weekday().to_monday_zero_offset() as usize;
    let second = local.hour() as u32 * 3_600 + local.minute() as u32 * 60 + local.second() as u32;
    let holds = |hours: &crate::catalog::BandHours| {
        hours.days[weekday] && (hours.from_s..hours.until_s).contains(&second)
    };
    deck.bands.iter().position(|band| band.hours.iter().any(holds)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Band, BandHours, DeckRate, DeckRow};
    use crate::money::Exact;

    fn deck(prefixes: &[&str], bands: Vec<Band>) -> Deck {
        let rate = DeckRate { first_per_minute: Exact::ONE, next_per_minute: Exact::ONE };
        let row = |prefix: &&str| DeckRow {
            prefix: (*prefix).to_owned(),
            title: String::new(),
            connect_fee: Exact::ZERO,
            first_step_s: 60,
            next_step_s: 6,
            rates: vec![rate; bands.len()],
        };
        Deck { id: "d".into(), destination: "to".into(), rows: prefixes.iter().map(row).collect(), bands }
    }

    fn always() -> Band {
        Band { id: "always".into(), hours: Vec::new() }
    }

    #[test]
    fn the_longest_prefix_wins_as_a_search_through_all_rows_says() {
        let deck = deck(&["33", "44", "4420", "44207", "9"], vec![always()]);
        let index = Prefixes::of(&deck);
        for number in ["44207946", "442", "4421", "+4420", "33", "3", "", "99", "x44", "44x", "٤٤"] {
            assert_eq!(index.row(number), deck.row(number), "{number}");
        }
        let with_default = self::deck(&["", "44"], vec![always()]);
        assert_eq!(Prefixes::of(&with_default).row("123"), Some(0));
    }

    #[test]
    fn steps_fall_in_the_band_in_which_they_start() {
        let peak = Band {
            id: "peak".into(),
            hours: vec![BandHours { days: [true; 7], from_s: 8 * 3600, until_s: 20 * 3600 }],
        };
        let deck = deck(&["44"], vec![always(), peak]);
        let started: Instant = "2026-01-05T19:59:00Z".parse().unwrap();
        let count = steps(&deck, 0, &Zone::utc(), started, 70).unwrap();
        assert_eq!(
            count.bands,
            [DeckSeconds { first_s: 0, next_s: 12 }, DeckSeconds { first_s: 60, next_s: 0 }]
        );
        assert_eq!(steps(&deck, 0, &Zone::utc(), started, i128::from(i64::MAX)), None);
    }
}
