//! Usage on its way in: made ready by whoever received it, so that the one who counts has little to do.

use crate::identities::ByIdentity;
use farebox_core::metering::{Event, Value};
use farebox_store::codec::{Reader, Writer};
use farebox_store::usage::{Usage, added_in, put_added};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Accounts that are looked for one by one.
const FEW: usize = 8;
/// About the bytes of an event as it is sent.
const EVENT_BYTES: usize = 200;

/// Events as they are written to the log, each with what tells it from all others.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    records: Vec<u8>,
    items: Vec<Item>,
    /// The accounts whose usage it is, each once, as far as their hashes tell.
    accounts: Names,
    /// Their places by hashes of their names, where they are more than [`FEW`].
    places: ByIdentity<u32>,
}

/// Names, one after another: a parcel may have many, and the thread that lets go of them is not the one that made them.
#[derive(Clone, Debug, Default)]
struct Names {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Names {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    fn get(&self, place: usize) -> Option<&str> {
        let from = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(from as usize..*self.ends.get(place)? as usize)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

#[derive(Clone, Copy, Debug)]
struct Item {
    identity: u128,
    /// Where its record ends.
    end: u32,
    /// The place of its account.
    account: u32,
}

/// An event of a parcel.
pub(crate) struct Packed<'p> {
    /// The place of its parcel.
    pub parcel: usize,
    pub identity: u128,
    pub record: &'p [u8],
    pub event: Event<'p>,
    /// The place of its account among those of all parcels, one after another.
    pub account: usize,
}

impl Parcel {
    /// A parcel with memory for the events of a body of so many bytes, about.
    pub fn for_bytes(bytes: usize) -> Parcel {
        let items = bytes / EVENT_BYTES + 1;
        Parcel {
            records: Vec::with_capacity(bytes / 2 + 32),
            items: Vec::with_capacity(items),
            ..Parcel::default()
        }
    }

    /// Adds an event.
    pub fn push(&mut self, event: &Event<'_>) {
        let mut to = Writer::after(std::mem::take(&mut self.records));
        put_added(event, &mut to);
        self.records = to.into_bytes();
        // A request has some megabytes at most.
        let end = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        let account = self.place_of(event.account);
        self.items.push(Item { identity: identity(event.source, event.id), end, account });
    }

    fn place_of(&mut self, account: &str) -> u32 {
        let (known, hash) = match self.accounts.len() {
            0..=FEW => (self.accounts.iter().position(|known| known == account).map(|place| place as u32), 0),
            _ => {
                let hash = xxh3_128(account.as_bytes());
                let known = self.places.get(&hash).copied();
                // Another with its hash is looked at each time as if it were new.
                (known.filter(|place| self.accounts.get(*place as usize) == Some(account)), hash)
            }
        };
        if let Some(place) = known {
            return place;
        }
        let place = self.accounts.len() as u32;
        self.accounts.push(account);
        match self.accounts.len() {
            0..=FEW => {}
            len if len == FEW + 1 => {
                self.places.reserve(self.items.capacity());
                let all = self.accounts.iter().map(|name| xxh3_128(name.as_bytes()));
                self.places.extend(all.zip(0..));
            }
            _ => drop(self.places.insert(hash, place)),
        }
        place
    }

    /// One piece of usage.
    pub fn of(usage: &Usage) -> Parcel {
        let mut parcel = Parcel::default();
        parcel.push(&usage.event());
        parcel
    }

    /// The events as they are written to the log, one after another.
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The accounts whose usage it is, each once, as far as their hashes tell.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.iter()
    }
}

/// The events of some parcels, in order.
pub(crate) fn events<'p>(parcels: &'p [&'p Parcel]) -> Unpacking<'p> {
    Unpacking { parcels, number: 0, items: 0, from: 0, accounts: 0, spare: Vec::new() }
}

/// Goes through the events of parcels.
pub(crate) struct Unpacking<'p> {
    parcels: &'p [&'p Parcel],
    /// The parcel that is looked at.
    number: usize,
    /// Its events that were looked at.
    items: usize,
    /// Where its next record begins.
    from: usize,
    /// Accounts of the parcels before it.
    accounts: usize,
    /// Memory of those that are done with.
    spare: Vec<Vec<(&'p str, Value<'p>)>>,
}

impl<'p> Unpacking<'p> {
    /// Adds the next ones, so many at most.
    pub fn next(&mut self, most: usize, into: &mut Vec<Packed<'p>>) {
        let mut left = most;
        while let Some(parcel) = self.parcels.get(self.number).filter(|_| left > 0) {
            let items = parcel.items.get(self.items..).unwrap_or_default();
            for item in items.iter().take(left) {
                let record = parcel.records.get(self.from..item.end as usize).unwrap_or_default();
                self.from = item.end as usize;
                let attributes = self.spare.pop().unwrap_or_default();
                // They were written by the parcel itself.
                let Ok(event) = added_in(&mut Reader::new(record), attributes) else { continue };
                let account = self.accounts + item.account as usize;
                into.push(Packed { parcel: self.number, identity: item.identity, record, event, account });
            }
            let taken = items.len().min(left);
            left -= taken;
            self.items += taken;
            if self.items == parcel.items.len() {
                self.accounts += parcel.accounts.len();
                (self.number, self.items, self.from) = (self.number + 1, 0, 0);
            }
        }
    }

    /// These are done with.
    pub fn done(&mut self, some: &mut Vec<Packed<'p>>) {
        self.spare.extend(some.drain(..).map(|packed| packed.event.attributes));
    }
}

/// What tells an event from all others.
pub(crate) fn identity(source: &str, id: &str) -> u128 {
    let length = (source.len() as u64).to_le_bytes();
    let (all, mut bytes) = (8 + source.len() + id.len(), [0; 120]);
    if all <= bytes.len() {
        bytes[..8].copy_from_slice(&length);
        bytes[8..8 + source.len()].copy_from_slice(source.as_bytes());
        bytes[8 + source.len()..all].copy_from_slice(id.as_bytes());
        return xxh3_128(&bytes[..all]);
    }
    let mut hash = Xxh3::new();
    [&length, source.as_bytes(), id.as_bytes()].into_iter().for_each(|part| hash.update(part));
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_core::calendar::Instant;

    #[test]
    fn the_events_of_some_parcels_come_in_order_whatever_is_taken_at_once() {
        let event = |id, account| Event {
            source: "s",
            id,
            revision: 0,
            kind: "call",
            account,
            time: Instant::UNIX_EPOCH,
            start: None,
            attributes: Vec::new(),
        };
        let parcel = |said: &[(&'static str, &'static str)]| {
            let mut parcel = Parcel::default();
            said.iter().for_each(|(id, account)| parcel.push(&event(id, account)));
            parcel
        };
        let none = parcel(&[]);
        let (one, two) = (parcel(&[("1", "a"), ("2", "b"), ("3", "a")]), parcel(&[("4", "c")]));
        let parcels = [&none, &one, &none, &two, &none];
        let expected = [("1", 1, 0), ("2", 1, 1), ("3", 1, 0), ("4", 3, 2)];
        for most in 1..6 {
            let (mut found, mut some, mut rest) = (Vec::new(), Vec::new(), events(&parcels));
            loop {
                rest.next(most, &mut some);
                assert!(some.len() <= most);
                if some.is_empty() {
                    break;
                }
                found.extend(some.iter().map(|one| (one.event.id, one.parcel, one.account)));
                rest.done(&mut some);
            }
            assert_eq!(found, expected, "{most}");
        }
    }

    #[test]
    fn each_account_has_one_place_however_many_there_are() {
        let mut parcel = Parcel::default();
        let names: Vec<String> = (0..100).map(|number| format!("a{}", number % 37)).collect();
        let places: Vec<u32> = names.iter().map(|name| parcel.place_of(name)).collect();
        assert_eq!(parcel.accounts().count(), 37);
        for (name, place) in names.iter().zip(places) {
            assert_eq!(parcel.accounts().nth(place as usize), Some(name.as_str()));
        }
    }

    #[test]
    fn a_long_identity_is_hashed_as_a_short_one_is() {
        for length in [0, 1, 100, 111, 112, 113, 500] {
            let id = "x".repeat(length);
            let mut bytes = 1u64.to_le_bytes().to_vec();
            bytes.extend(format!("s{id}").as_bytes());
            assert_eq!(identity("s", &id), xxh3_128(&bytes), "{length}");
        }
    }
}
