//! Usage that cannot be billed as it is: each piece with its reason and its place in the log.
//!
//! The list follows from the log and from what was ordered, as counters do; it is kept beside them, so that nobody has
//! to read the log to see it. Rows are written for what is in quarantine alone: usage that is counted costs nothing.

use crate::log::Place;
use crate::usage::kept::prefix;
use farebox_core::calendar::Instant;
use farebox_core::metering::Problem;
use farebox_store::codec::{Corrupt, Reader, Stored, Writer};
use farebox_store::usage::{Record, Usage};
use farebox_store::{Derived, Seen, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Pieces by group, or by account that nobody has opened, and by place.
const PIECES: u8 = 21;

/// A piece of usage in quarantine.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// As it came.
    pub usage: Usage,
    /// The stable code of the reason ([`Problem::code`]).
    pub code: String,
    /// The reason for people.
    pub sentence: String,
    /// When it came.
    pub received_at: Instant,
    /// What tells it from others in the list, and says its place there.
    pub key: Vec<u8>,
}

impl Quarantined {
    /// Its place in the log.
    pub fn place(&self) -> Option<Place> {
        place_of(&self.key)
    }
}

/// A piece as it is kept.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    /// `None`: it came since the last commit.
    received_at: Option<Instant>,
    code: String,
    sentence: String,
    /// Its record in the log.
    record: Vec<u8>,
}

impl Piece {
    fn new(problem: &Problem, record: &[u8]) -> Piece {
        let (code, sentence) = (problem.code().to_owned(), problem.sentence());
        Piece { received_at: None, code, sentence, record: record.to_vec() }
    }

    fn to_bytes(&self, now: Instant) -> Vec<u8> {
        let mut to = Writer::default();
        self.received_at.unwrap_or(now).put(&mut to);
        self.code.put(&mut to);
        self.sentence.put(&mut to);
        let mut bytes = to.into_bytes();
        bytes.extend(&self.record);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Piece, StoreError> {
        let read = || -> Result<Piece, Corrupt> {
            let mut from = Reader::new(bytes);
            let received_at = Some(Stored::get(&mut from)?);
            let (code, sentence) = (Stored::get(&mut from)?, Stored::get(&mut from)?);
            let record = bytes.get(from.at()..).unwrap_or_default().to_vec();
            Ok(Piece { received_at, code, sentence, record })
        };
        read().map_err(|error| damaged(&error))
    }

    fn shown(self, key: &[u8], now: Instant) -> Option<Quarantined> {
        let usage = Record::from_bytes(&self.record).ok()?.usage()?.clone();
        let Piece { received_at, code, sentence, .. } = self;
        let received_at = received_at.unwrap_or(now);
        Some(Quarantined { usage, code, sentence, received_at, key: key.to_vec() })
    }

    fn is_same(&self, other: &Piece) -> bool {
        (&self.code, &self.sentence, &self.record) == (&other.code, &other.sentence, &other.record)
    }
}

fn damaged(error: &Corrupt) -> StoreError {
    StoreError::Corrupt { place: "the list of usage in quarantine".to_owned(), found: error.to_string() }
}

/// The list, with what is not in the store yet.
#[derive(Default)]
pub(crate) struct Quarantine {
    /// What changed since the last commit; `None`: it is there no longer.
    changed: BTreeMap<Vec<u8>, Option<Piece>>,
    /// Records of sessions that count no more, whose places nobody knows.
    over: Vec<(String, Vec<u8>)>,
    /// The same of the commit that is on its way, until the store has it.
    on_the_way: BTreeMap<Vec<u8>, Option<Piece>>,
}

impl Quarantine {
    /// Notes that the record at a place cannot be billed.
    pub fn put(&mut self, payer: &str, place: Place, problem: &Problem, record: &[u8]) {
        self.changed.insert(key(payer, place), Some(Piece::new(problem, record)));
    }

    /// Notes that the record at a place is no matter any more.
    pub fn remove(&mut self, payer: &str, place: Place) {
        self.changed.insert(key(payer, place), None);
    }

    /// The same for what a session said.
    pub fn session_over(&mut self, payer: &str, record: Vec<u8>) {
        self.over.push((payer.to_owned(), record));
    }

    /// What is to be kept with a commit.
    pub fn keep(&mut self, store: &dyn Store, now: Instant) -> Result<Vec<Derived>, StoreError> {
        for (payer, record) in std::mem::take(&mut self.over) {
            let mut found = None;
            self.each_of(store, &payer, &mut |key, piece| {
                let is_it = piece.record == record;
                found = is_it.then(|| key.to_vec());
                if is_it { Seen::Enough } else { Seen::More }
            })?;
            found.map(|key| self.changed.insert(key, None));
        }
        let mut changed = std::mem::take(&mut self.changed);
        for piece in changed.values_mut().flatten() {
            piece.received_at.get_or_insert(now);
        }
        let row = |(key, piece): (&Vec<u8>, &Option<Piece>)| Derived {
            space: PIECES,
            key: key.clone(),
            value: piece.as_ref().map(|piece| piece.to_bytes(now)),
        };
        let rows = changed.iter().map(row).collect();
        self.on_the_way = changed;
        Ok(rows)
    }

    /// What was to be kept is in the store.
    pub fn landed(&mut self) {
        self.on_the_way.clear();
    }

    /// Lets go of the pieces of an account under some names: its own, and its group's.
    pub fn forget(&mut self, store: &dyn Store, names: &[&str], account: &str) -> Result<(), StoreError> {
        let mut own = Vec::new();
        for name in names {
            self.each_of(store, name, &mut |key, piece| {
                let record = Record::from_bytes(&piece.record).ok();
                let usage = record.as_ref().and_then(Record::usage);
                own.extend(usage.filter(|usage| usage.account == account).map(|_| key.to_vec()));
                Seen::More
            })?;
        }
        self.changed.extend(own.into_iter().map(|key| (key, None)));
        Ok(())
    }

    /// Whether anything is in quarantine under a name.
    pub fn has_any(&self, store: &dyn Store, name: &str) -> Result<bool, StoreError> {
        let mut found = false;
        self.each_of(store, name, &mut |_, _| {
            found = true;
            Seen::Enough
        })?;
        Ok(found)
    }

    /// Whether a record is in quarantine under a name.
    pub fn has(&self, store: &dyn Store, name: &str, record: &[u8]) -> Result<bool, StoreError> {
        let mut found = false;
        self.each_of(store, name, &mut |_, piece| {
            found = piece.record == record;
            if found { Seen::Enough } else { Seen::More }
        })?;
        Ok(found)
    }

    /// Makes the list of a group what counting all of its usage anew has found. `names`: the group, and accounts whose
    /// usage was a stranger's.
    pub fn replace(
        &mut self,
        store: &dyn Store,
        payer: &str,
        names: &BTreeSet<String>,
        found: Vec<(Place, Problem, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let mut known: BTreeMap<Vec<u8>, Piece> = BTreeMap::new();
        let mut came: BTreeMap<Place, Option<Instant>> = BTreeMap::new();
        for name in names {
            self.each_of(store, name, &mut |key, piece| {
                place_of(key).map(|place| came.insert(place, piece.received_at));
                known.insert(key.to_vec(), piece.clone());
                Seen::More
            })?;
        }
        for (place, problem, record) in found {
            let key = key(payer, place);
            let received_at = came.get(&place).copied().flatten();
            let piece = Piece { received_at, ..Piece::new(&problem, &record) };
            let is_known = known.remove(&key).is_some_and(|known| known.is_same(&piece));
            if !is_known {
                self.changed.insert(key, Some(piece));
            }
        }
        self.changed.extend(known.into_keys().map(|key| (key, None)));
        Ok(())
    }

    /// The piece with a key, if it is there. `now`: as of [`Quarantine::list`].
    pub fn get(
        &self,
        store: &dyn Store,
        key: &[u8],
        now: Instant,
    ) -> Result<Option<Quarantined>, StoreError> {
        let piece = match self.changed.get(key).or_else(|| self.on_the_way.get(key)) {
            Some(piece) => piece.clone(),
            None => store.derived(PIECES, key)?.map(|bytes| Piece::read(&bytes)).transpose()?,
        };
        Ok(piece.and_then(|piece| piece.shown(key, now)))
    }

    fn each_of(
        &self,
        store: &dyn Store,
        name: &str,
        each: &mut dyn FnMut(&[u8], &Piece) -> Seen,
    ) -> Result<(), StoreError> {
        let begin = beginning(name);
        self.each_from(store, &begin, &mut |key, piece| match key.starts_with(&begin) {
            true => each(key, piece),
            false => Seen::Enough,
        })
    }

    /// Shows the pieces from a key on.
    fn each_from(
        &self,
        store: &dyn Store,
        from: &[u8],
        each: &mut dyn FnMut(&[u8], &Piece) -> Seen,
    ) -> Result<(), StoreError> {
        let mut before = self.on_the_way.range(from.to_vec()..).peekable();
        let mut since = self.changed.range(from.to_vec()..).peekable();
        let ahead = std::iter::from_fn(|| match (before.peek(), since.peek()) {
            (Some((one, _)), Some((other, _))) if one == other => {
                // What came later counts.
                before.next();
                since.next()
            }
            (Some((one, _)), Some((other, _))) if one > other => since.next(),
            (Some(_), _) => before.next(),
            (None, _) => since.next(),
        });
        let mut ahead = ahead.peekable();
        let mut is_enough = false;
        store.derived_from(PIECES, from, &mut |key, value| {
            while let Some((name, piece)) = ahead.next_if(|(name, _)| name.as_slice() < key) {
                if let Some(piece) = piece {
                    is_enough |= each(name, piece) == Seen::Enough;
                }
                if is_enough {
                    return Ok(Seen::Enough);
                }
            }
            let seen = match ahead.next_if(|(name, _)| name.as_slice() == key) {
                Some((_, Some(piece))) => each(key, piece),
                Some((_, None)) => Seen::More,
                None => each(key, &Piece::read(value)?),
            };
            is_enough = seen == Seen::Enough;
            Ok(seen)
        })?;
        for (name, piece) in ahead {
            if is_enough {
                break;
            }
            if let Some(piece) = piece {
                is_enough = each(name, piece) == Seen::Enough;
            }
        }
        Ok(())
    }

    /// Shows the pieces after a key, or all, of a group and of strangers of these names, or of all; in order. `now`:
    /// when those came that came since the last commit.
    pub fn list(
        &self,
        store: &dyn Store,
        within: &Within<'_>,
        now: Instant,
        each: &mut dyn FnMut(Quarantined) -> Seen,
    ) -> Result<(), StoreError> {
        let begin = within.name.map(beginning).unwrap_or_default();
        // The next key there can be.
        let from = within.after.map_or(begin.clone(), |after| [after, &[0]].concat()).max(begin.clone());
        let mut broken = None;
        self.each_from(store, &from, &mut |key, piece| {
            if !key.starts_with(&begin) {
                return Seen::Enough;
            }
            match piece.clone().shown(key, now) {
                Some(piece) => each(piece),
                None => {
                    broken = Some(Corrupt { at: 0, expected: "a record" });
                    Seen::Enough
                }
            }
        })?;
        broken.map_or(Ok(()), |error| Err(damaged(&error)))
    }

    /// Whether the list is not what the store has; what differs is forgotten.
    pub fn take_differs(&mut self) -> bool {
        !std::mem::take(&mut self.changed).is_empty()
    }

    /// Shows the place and record of each piece in the store.
    pub fn places(store: &dyn Store, each: &mut dyn FnMut(Place, &[u8])) -> Result<(), StoreError> {
        Quarantine::default().each_from(store, &[], &mut |key, piece| {
            place_of(key).into_iter().for_each(|place| each(place, &piece.record));
            Seen::More
        })
    }
}

/// Which part of the list.
pub(crate) struct Within<'a> {
    /// That of a group, or of an account that nobody has opened; `None`: all.
    pub name: Option<&'a str>,
    /// What comes after this key; `None`: from the beginning.
    pub after: Option<&'a [u8]>,
}

/// The most bytes of a name in a key. What is no account can have any name.
const NAME_BYTES_MAX: usize = 96;

/// How the keys of a name begin.
fn beginning(name: &str) -> Vec<u8> {
    if name.len() <= NAME_BYTES_MAX {
        return prefix(name);
    }
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes()).to_be_bytes();
    let begin = name.bytes().take(NAME_BYTES_MAX - hash.len());
    begin.chain(hash).chain([0]).collect()
}

/// The key of the record at a place.
pub(crate) fn key(payer: &str, place: Place) -> Vec<u8> {
    [beginning(payer).as_slice(), &place.block.to_be_bytes(), &place.index.to_be_bytes()].concat()
}

fn place_of(key: &[u8]) -> Option<Place> {
    let (rest, index) = key.split_last_chunk()?;
    let (_, block) = rest.split_last_chunk()?;
    Some(Place { block: u64::from_be_bytes(*block), index: u32::from_be_bytes(*index) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_store::{Batch, Memory};

    fn usage(id: &str) -> Usage {
        Usage {
            source: "pbx".to_owned(),
            id: id.to_owned(),
            revision: 0,
            kind: "call".to_owned(),
            account: "acme".to_owned(),
            time: Instant::UNIX_EPOCH,
            start: None,
            attributes: Vec::new(),
        }
    }

    fn listed(list: &Quarantine, store: &dyn Store, within: &Within<'_>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let now = Instant::UNIX_EPOCH;
        list.list(store, within, now, &mut |one| {
            found.push((one.usage.id, one.code));
            Seen::More
        })
        .unwrap();
        found
    }

    #[test]
    fn what_is_in_the_store_and_what_is_not_are_one_list() {
        let mut store = Memory::new();
        let mut list = Quarantine::default();
        let at = |index| Place { block: 0, index };
        let record = |id: &str| Record::Added(usage(id)).to_bytes();
        let unknown = Problem::UnknownAccount("acme".to_owned());
        for (index, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            list.put("acme", at(index as u32), &unknown, &record(id));
        }
        list.put("zeta", at(4), &unknown, &record("z"));
        let rows = list.keep(&store, Instant::UNIX_EPOCH).unwrap();
        store.commit(&Batch { derived: rows, ..Batch::default() }).unwrap();
        // One leaves, one has another reason, one is new, before and after those in the store.
        list.remove("acme", at(1));
        list.put("acme", at(2), &Problem::NoSubscription, &record("c"));
        list.put("acme", at(9), &unknown, &record("e"));
        list.put("beta", at(1), &unknown, &record("y"));
        list.put("aa", at(1), &unknown, &record("x"));
        let all = |list: &Quarantine, store: &dyn Store| {
            let found = listed(list, store, &Within { name: None, after: None });
            found.into_iter().map(|(id, _)| id).collect::<String>()
        };
        assert_eq!(all(&list, &store), "xacdeyz");
        let acme = listed(&list, &store, &Within { name: Some("acme"), after: Some(&key("acme", at(0))) });
        let code = |id: &str, code: &str| (id.to_owned(), code.to_owned());
        let should =
            [code("c", "no-subscription"), code("d", "unknown-account"), code("e", "unknown-account")];
        assert_eq!(acme, should);
        let rows = list.keep(&store, Instant::UNIX_EPOCH).unwrap();
        assert_eq!(rows.len(), 5);
        store.commit(&Batch { derived: rows, ..Batch::default() }).unwrap();
        assert_eq!(all(&list, &store), "xacdeyz");
        // What counting anew finds is what there is; what is as it was is not written again.
        let found = vec![
            (at(0), unknown.clone(), record("a")),
            (at(1), Problem::Frozen, record("y")),
            (at(7), Problem::Frozen, record("n")),
        ];
        let names = ["acme", "beta"].into_iter().map(str::to_owned).collect();
        list.replace(&store, "acme", &names, found).unwrap();
        assert_eq!(all(&list, &store), "xaynz");
        assert_eq!(list.keep(&store, Instant::UNIX_EPOCH).unwrap().len(), 6, "two new, four gone");
    }
}
