//! Legs to calls: the rows of one call, in any order and over several files, are one call.

use super::arena::Arena;
use super::index::Key;

/// One row of a call, as the parser leaves it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leg {
    /// Identity of the row.
    pub(super) row: Key,
    /// Fingerprint of the row's content.
    pub(super) print: u32,
    /// Identity of the call.
    pub(super) call: Key,
    /// The call's name, see [`Name`].
    pub(super) name: u64,
    /// What the rules make of the row: worker and number.
    pub(super) profile: u32,
    /// Seconds since 1970 UTC.
    pub(super) start: i64,
    /// Seconds from start to end.
    pub(super) span: u32,
    /// Connected seconds that count.
    pub(super) seconds: u32,
    /// The order of the switch; the lowest leads.
    pub(super) sequence: u32,
    /// Line, from 1; before the chunk's place is known, within the chunk.
    pub(super) line: u32,
    /// File and offset, see [`place`].
    pub(super) place: u64,
    /// [`Call::BEGUN`] or [`Call::OVER`] of a moment that begins or ends the connected time; zero
    /// of a row that says its own.
    pub(super) role: u8,
}

/// File number and byte offset in one word: 2^16 files, 2^44 bytes; the top bits are free.
pub(super) fn place(file: u16, offset: u64) -> u64 {
    u64::from(file) << 44 | offset & ((1 << 44) - 1)
}

/// The file number of a place.
pub(super) fn file_of(place: u64) -> u16 {
    (place >> 44) as u16
}

/// The byte offset of a place.
pub(super) fn offset_of(place: u64) -> u64 {
    place & ((1 << 44) - 1)
}

/// The name of a call in one word: `epoch.counter` itself, or where a text is kept.
pub(super) struct Name;

const KEPT: u64 = 1 << 63;

impl Name {
    /// `1706368044.12`, when the word can say exactly these bytes.
    #[inline]
    pub(super) fn pack(text: &[u8]) -> Option<u64> {
        let (mut epoch, mut counter, mut dot) = (0u64, 0u64, None);
        if text.len() > 21 {
            return None;
        }
        for (i, &byte) in text.iter().enumerate() {
            let digit = u64::from(byte.wrapping_sub(b'0'));
            match (digit < 10, dot) {
                (true, None) if i < 11 => epoch = epoch * 10 + digit,
                (true, Some(dot)) if i - dot < 10 => counter = counter * 10 + digit,
                (false, None) if byte == b'.' => dot = Some(i),
                _ => return None,
            }
        }
        let dot = dot?;
        // A leading zero would not come back.
        let plain = |digits: &[u8]| !digits.is_empty() && (digits.len() == 1 || digits[0] != b'0');
        let fits = epoch < 1 << 34 && counter < 1 << 29;
        (fits && plain(&text[..dot]) && plain(&text[dot + 1..])).then_some(epoch << 29 | counter)
    }

    /// The text that begins at `from` of some bytes kept elsewhere.
    pub(super) fn kept(from: u64, len: u8) -> u64 {
        KEPT | from << 8 | u64::from(len)
    }

    /// Where a kept text begins and how long it is.
    pub(super) fn where_kept(name: u64) -> Option<(u64, usize)> {
        (name & KEPT != 0).then_some(((name & !KEPT) >> 8, (name & 0xff) as usize))
    }

    /// Writes the text of a name.
    pub(super) fn write(name: u64, arena: &Arena, out: &mut String) {
        use std::fmt::Write;
        match Name::where_kept(name) {
            Some((from, len)) => out.push_str(&super::summary::escaped(&arena.from(from)[..len])),
            None => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}.{}", name >> 29, name & ((1 << 29) - 1));
            }
        }
    }

    /// The epoch of `epoch.counter`, with or without a system name before it.
    #[inline]
    pub(super) fn epoch(text: &[u8]) -> Option<i64> {
        let text = match memchr::memrchr(b'-', text) {
            Some(dash) => &text[dash + 1..],
            None => text,
        };
        Name::pack(text).map(|name| (name >> 29) as i64).filter(|&epoch| epoch > 0)
    }
}

/// A call: the sum of its legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    key_high: u64,
    pub(super) name: u64,
    /// Start of its first leg and, `span` seconds later, the end of its last.
    pub(super) start: i64,
    /// Place of the lead leg: the lowest sequence, then the first in the files.
    pub(super) place: u64,
    key_low: u32,
    pub(super) profile: u32,
    pub(super) span: u32,
    pub(super) seconds: u32,
    pub(super) sequence: u32,
    pub(super) line: u32,
    pub(super) legs: u32,
    pub(super) flags: u8,
}

impl Call {
    /// Its times or seconds do not fit.
    pub(super) const ABSURD: u8 = 2;
    /// The sink counts it.
    pub(super) const COUNTED: u8 = 4;
    /// A row says when it was answered.
    pub(super) const BEGUN: u8 = 8;
    /// A row says when it was over.
    pub(super) const OVER: u8 = 16;

    /// Of the two moments of its connected time one is known, and the other is not.
    pub(super) fn is_half(&self) -> bool {
        self.is(Call::BEGUN) != self.is(Call::OVER)
    }

    /// Whether anyone talked.
    pub(super) fn is_connected(&self) -> bool {
        self.seconds > 0 || self.is(Call::BEGUN) && self.is(Call::OVER)
    }

    /// Its identity.
    pub(super) fn key(&self) -> Key {
        Key { high: self.key_high, low: self.key_low }
    }

    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn of(leg: &Leg) -> Call {
        Call {
            key_high: leg.call.high,
            key_low: leg.call.low,
            name: leg.name,
            start: leg.start,
            place: leg.place,
            profile: leg.profile,
            span: leg.span,
            seconds: leg.seconds,
            sequence: leg.sequence,
            line: leg.line,
            legs: 1,
            flags: leg.role,
        }
    }

    fn join(&mut self, leg: &Leg) {
        let mut end = (self.start + i64::from(self.span)).max(leg.start + i64::from(leg.span));
        let timed = self.flags & (Call::BEGUN | Call::OVER) != 0;
        if timed != (leg.role != 0) {
            // Attempts that nobody answered do not lengthen a call.
            let (start, span) = if timed { (self.start, self.span) } else { (leg.start, leg.span) };
            (self.start, end) = (start, start + i64::from(span));
        } else {
            self.start = self.start.min(leg.start);
        }
        self.flags |= leg.role;
        match (u32::try_from(end - self.start), self.seconds.checked_add(leg.seconds)) {
            (Ok(span), Some(seconds)) => {
                self.span = span;
                self.seconds = seconds;
            }
            _ => self.flags |= Call::ABSURD,
        }
        if self.is(Call::BEGUN) && self.is(Call::OVER) {
            self.seconds = self.span;
        }
        self.legs = self.legs.saturating_add(1);
        if (leg.sequence, leg.place) < (self.sequence, self.place) {
            self.sequence = leg.sequence;
            self.place = leg.place;
            self.line = leg.line;
            self.profile = leg.profile;
        }
    }
}

const PAGE: usize = 8192;

/// The bits of a slot that are of the hash; the others are the number.
const TAG: u64 = !0xffff_ffff;

/// The calls of a partition, in the order in which they were first seen.
#[derive(Default)]
pub(super) struct Calls {
    /// 32 bits of the hash and the call's number + 1, so that a miss stays in this table.
    slots: Vec<u64>,
    pages: Vec<Vec<Call>>,
    len: usize,
    /// Calls of earlier files that this file has touched, as they were before.
    pub(super) touched: std::collections::BTreeMap<u32, Call>,
    /// Calls below this number are of earlier files.
    pub(super) settled: usize,
    pub(super) names: Arena,
}

impl Calls {
    /// Reads where the call would stand, see [`super::index::Index::touch`].
    #[inline]
    pub(super) fn touch(&self, call: Key) -> u64 {
        self.slots.get(slot_of(call.high, self.slots.len().wrapping_sub(1))).copied().unwrap_or(0)
    }

    /// Adds a leg; `bytes` hold the names that did not fit a word.
    #[inline]
    pub(super) fn add(&mut self, leg: &Leg, bytes: &[u8]) {
        if self.len * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let tag = leg.call.high & TAG;
        let mut at = slot_of(leg.call.high, mask);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot & TAG == tag {
                let number = (slot as u32 - 1) as usize;
                let call = &mut self.pages[number / PAGE][number % PAGE];
                if call.key_high == leg.call.high && call.key_low == leg.call.low {
                    if number < self.settled {
                        self.touched.entry(number as u32).or_insert(*call);
                    }
                    call.join(leg);
                    return;
                }
            }
            at = (at + 1) & mask;
        }
        let mut call = Call::of(leg);
        if let Some((from, len)) = Name::where_kept(leg.name) {
            let text = &bytes[from as usize..from as usize + len];
            call.name = Name::kept(self.names.add(text), len as u8);
        }
        self.slots[at] = tag | (self.len as u64 + 1);
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(call);
        }
        self.len += 1;
    }

    /// The number of the settled call of this identity.
    pub(super) fn find_settled(&self, key: Key) -> Option<usize> {
        if self.settled == 0 {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = slot_of(key.high, mask);
        while self.slots[at] != 0 {
            let number = (self.slots[at] as u32 - 1) as usize;
            if self.slots[at] & TAG == key.high & TAG && self.get(number).key() == key {
                return (number < self.settled).then_some(number);
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024);
        self.slots = Vec::new();
        self.slots = vec![0; size];
        let mask = size - 1;
        for (number, call) in self.pages.iter().flatten().enumerate() {
            let mut at = slot_of(call.key_high, mask);
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = call.key_high & TAG | (number as u64 + 1);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, number: usize) -> Call {
        self.pages[number / PAGE][number % PAGE]
    }

    pub(super) fn set_counted(&mut self, number: usize, counted: bool) {
        let flags = &mut self.pages[number / PAGE][number % PAGE].flags;
        *flags = if counted { *flags | Call::COUNTED } else { *flags & !Call::COUNTED };
    }
}

/// The bits that are not in a slot's tag come first, so that neighbours have different tags.
fn slot_of(high: u64, mask: usize) -> usize {
    (high >> 1) as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        for text in ["1706368044.0", "1.2", "0.0", "17179869183.536870911"] {
            let mut out = String::new();
            Name::write(Name::pack(text.as_bytes()).unwrap(), &Arena::default(), &mut out);
            assert_eq!(out, text);
        }
        for text in ["", ".", "1.", ".1", "01.2", "1.02", "pbx-1.2", "17179869184.0", "1.2.3", "1"] {
            assert_eq!(Name::pack(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Name::epoch(b"pbx-1706368044.3"), Some(1_706_368_044));
        assert_eq!(Name::epoch(b"a1b2-c3d4"), None);
    }
}
