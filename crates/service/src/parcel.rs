//! Usage on its way in: made ready by whoever received it, so that the one who counts has little to do.

use crate::identities::ByIdentity;
use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;
use farebox_store::codec::Writer;
use farebox_store::usage::{Usage, put_added};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Accounts that are looked for one by one.
const FEW: usize = 8;
/// About the bytes of an event as it is sent.
const EVENT_BYTES: usize = 200;

/// Events as they are written to the log, each with what tells it from all others, and with what it says: who counts
/// them reads no record.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    records: Vec<u8>,
    items: Vec<Item>,
    /// Whatever texts they say.
    text: String,
    attributes: Vec<Attribute>,
    numbers: Vec<Exact>,
    /// The accounts whose usage it is, each once, as far as their hashes tell.
    accounts: Vec<Span>,
    /// Their places by hashes of their names, where they are more than [`FEW`].
    places: ByIdentity<u32>,
}

/// Where a text is: a request has some megabytes at most.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Attribute {
    name: Span,
    value: Said,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Text(Span),
    /// The place of the number.
    Number(u32),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    identity: u128,
    time: Instant,
    start: Option<Instant>,
    revision: u64,
    source: Span,
    id: Span,
    kind: Span,
    /// Where its record ends.
    end: u32,
    /// Where its attributes end.
    attributes: u32,
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

/// A length or a place as it is kept.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Parcel {
    /// A parcel with memory for the events of a body of so many bytes, about.
    pub fn for_bytes(bytes: usize) -> Parcel {
        let items = bytes / EVENT_BYTES + 1;
        Parcel {
            records: Vec::with_capacity(bytes / 2 + 32),
            items: Vec::with_capacity(items),
            text: String::with_capacity(bytes / 3 + 64),
            attributes: Vec::with_capacity(2 * items),
            numbers: Vec::with_capacity(items),
            ..Parcel::default()
        }
    }

    /// Adds an event.
    pub fn push(&mut self, event: &Event<'_>) {
        let mut to = Writer::after(std::mem::take(&mut self.records));
        put_added(event, &mut to);
        self.records = to.into_bytes();
        let account = self.place_of(event.account);
        let (last, before) = (self.items.last().copied(), self.items.iter().rev().nth(1));
        // Most events say what the one before said, in the same order.
        let alike = before.map_or(0, |before| before.attributes as usize);
        let source = self.span_of(last.map(|last| last.source), event.source);
        let kind = self.span_of(last.map(|last| last.kind), event.kind);
        let id = self.add(event.id);
        for (place, (name, value)) in (alike..).zip(&event.attributes) {
            let name = self.span_of(self.attributes.get(place).map(|like| like.name), name);
            let value = match value {
                Value::Text(text) => Said::Text(self.add(text)),
                Value::Number(number) => {
                    self.numbers.push(*number);
                    Said::Number(short(self.numbers.len() - 1))
                }
            };
            self.attributes.push(Attribute { name, value });
        }
        self.items.push(Item {
            identity: identity(event.source, event.id),
            time: event.time,
            start: event.start,
            revision: event.revision,
            source,
            id,
            kind,
            end: short(self.records.len()),
            attributes: short(self.attributes.len()),
            account,
        });
    }

    fn add(&mut self, text: &str) -> Span {
        let start = short(self.text.len());
        self.text.push_str(text);
        Span { start, end: short(self.text.len()) }
    }

    /// Where a text is that may be there already.
    fn span_of(&mut self, known: Option<Span>, text: &str) -> Span {
        match known.filter(|known| self.text(*known) == text) {
            Some(known) => known,
            None => self.add(text),
        }
    }

    fn text(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn place_of(&mut self, account: &str) -> u32 {
        let is_known = |place: &u32| {
            self.accounts.get(*place as usize).is_some_and(|known| self.text(*known) == account)
        };
        let (known, hash) = match self.accounts.len() {
            count @ 0..=FEW => ((0..short(count)).find(is_known), 0),
            _ => {
                let hash = xxh3_128(account.as_bytes());
                // Another with its hash is looked at each time as if it were new.
                (self.places.get(&hash).copied().filter(is_known), hash)
            }
        };
        if let Some(place) = known {
            return place;
        }
        let place = short(self.accounts.len());
        let name = self.add(account);
        self.accounts.push(name);
        match self.accounts.len() {
            0..=FEW => {}
            len if len == FEW + 1 => {
                self.places.reserve(self.items.capacity());
                let text = &self.text;
                let all = self.accounts.iter().map(|name| &text[name.start as usize..name.end as usize]);
                self.places.extend(all.map(|name| xxh3_128(name.as_bytes())).zip(0..));
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
        self.accounts.iter().map(|name| self.text(*name))
    }

    /// What an event says, in the memory of the attributes of another.
    fn event<'p>(
        &'p self,
        item: &Item,
        attributes: &[Attribute],
        mut into: Vec<(&'p str, Value<'p>)>,
    ) -> Event<'p> {
        into.clear();
        into.extend(attributes.iter().map(|attribute| {
            let value = match attribute.value {
                Said::Text(text) => Value::Text(self.text(text)),
                Said::Number(place) => {
                    Value::Number(self.numbers.get(place as usize).copied().unwrap_or(Exact::ZERO))
                }
            };
            (self.text(attribute.name), value)
        }));
        Event {
            source: self.text(item.source),
            id: self.text(item.id),
            revision: item.revision,
            kind: self.text(item.kind),
            account: self.accounts.get(item.account as usize).map_or("", |name| self.text(*name)),
            time: item.time,
            start: item.start,
            attributes: into,
        }
    }
}

/// The events of some parcels, in order.
pub(crate) fn events<'p>(parcels: &'p [&'p Parcel]) -> Unpacking<'p> {
    Unpacking { parcels, number: 0, items: 0, from: 0, said: 0, accounts: 0, spare: Vec::new() }
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
    /// Where the attributes of its next event begin.
    said: usize,
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
                let said = parcel.attributes.get(self.said..item.attributes as usize).unwrap_or_default();
                self.said = item.attributes as usize;
                let event = parcel.event(item, said, self.spare.pop().unwrap_or_default());
                let account = self.accounts + item.account as usize;
                into.push(Packed { parcel: self.number, identity: item.identity, record, event, account });
            }
            let taken = items.len().min(left);
            left -= taken;
            self.items += taken;
            if self.items == parcel.items.len() {
                self.accounts += parcel.accounts.len();
                (self.number, self.items, self.from, self.said) = (self.number + 1, 0, 0, 0);
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
    use farebox_store::codec::Reader;
    use farebox_store::usage::added;

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
    fn an_event_comes_out_as_it_went_in_and_as_its_record_says_it() {
        let moment = |second| Instant::from_second(second).unwrap();
        let number = |value| Value::Number(Exact::whole(value));
        let event = |source, id, kind, account, attributes| Event {
            source,
            id,
            revision: 3,
            kind,
            account,
            time: moment(1_767_607_200),
            start: None,
            attributes,
        };
        let all = [
            event("pbx", "ü1", "call", "acme", vec![("seconds", number(60)), ("to", Value::Text("+49"))]),
            event("pbx", "2", "call", "acme", vec![("seconds", number(1 << 70)), ("to", Value::Text(""))]),
            event("", "2", "", "zoë", vec![]),
            event("pbx", "2", "call", "acme", vec![("to", number(-7)), ("seconds", Value::Text("ten"))]),
            Event {
                start: Some(moment(5)),
                revision: 0,
                ..event("to", "", "sms", "acme", vec![("to", Value::Text("to"))])
            },
            event("to", "x", "sms", "b", vec![("a", number(1)), ("b", number(2)), ("c", number(3))]),
        ];
        let mut parcel = Parcel::default();
        all.iter().for_each(|event| parcel.push(event));
        let (parcels, mut found) = ([&parcel], Vec::new());
        events(&parcels).next(usize::MAX, &mut found);
        assert_eq!(found.len(), all.len());
        for (packed, event) in found.iter().zip(&all) {
            assert_eq!(packed.event, *event);
            assert_eq!(added(&mut Reader::new(packed.record)).as_ref(), Ok(event));
            assert_eq!(packed.identity, identity(event.source, event.id));
            assert_eq!(parcel.accounts().nth(packed.account), Some(event.account));
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
