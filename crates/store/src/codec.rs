//! The bytes of stored values.
//!
//! Small whole numbers take one byte, texts are their length and UTF-8, records their fields in order,
//! choices a number and the fields of what was chosen. The bytes do not describe themselves: what a record
//! consists of is said once, in [`crate::stored`], where the compiler finds a field that is not kept. The
//! format as a whole has a number ([`crate::entry::FORMAT`]), and a test holds its bytes still.

use crate::redact::{Mark, Pass, Place};
use farebox_core::calendar::{Instant, Span, Zone};
use farebox_core::ledger::LedgerAccount;
use farebox_core::money::{Amount, Currency, Exact};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU16;

/// Bytes that cannot be what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Where, in bytes from the start of the record.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of the record is not {}", self.at, self.expected)
    }
}

impl std::error::Error for Corrupt {}

/// Bytes in the making.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Makes personal texts unreadable on their way, where an account is erased.
    pass: Option<Box<Pass>>,
}

impl Writer {
    /// Goes on after some bytes.
    pub fn after(bytes: Vec<u8>) -> Writer {
        Writer { bytes, pass: None }
    }

    /// Writes with personal texts made unreadable.
    pub(crate) fn redacting(pass: Pass) -> Writer {
        Writer { bytes: Vec::new(), pass: Some(Box::new(pass)) }
    }

    /// The bytes so far, and what was found of personal texts.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<Pass>) {
        (self.bytes, self.pass.map(|pass| *pass))
    }

    /// Where a record begins. [`Writer::leave`] follows.
    pub(crate) fn enter(&mut self) -> Option<Place> {
        self.pass.as_mut().map(|pass| pass.enter())
    }

    /// Goes back to where a record is, or a field.
    pub(crate) fn leave(&mut self, place: Option<Place>) {
        if let (Some(pass), Some(place)) = (&mut self.pass, place) {
            pass.leave(place);
        }
    }

    /// What the texts of a field are, until [`Writer::leave`].
    pub(crate) fn mark(&mut self, mark: Mark) -> Option<Place> {
        self.pass.as_mut().map(|pass| pass.mark(mark))
    }

    /// Says whose record this is.
    pub(crate) fn whose(&mut self, account: &impl Whose) {
        if let (Some(pass), Some(account)) = (&mut self.pass, account.account()) {
            pass.whose(account);
        }
    }

    /// Says the id of a line of a bill, in its record.
    pub(crate) fn line(&mut self, id: &str) {
        if let Some(pass) = &mut self.pass {
            pass.line(id);
        }
    }

    /// Says which line of a bill this record is about, where it is about one.
    pub(crate) fn about_line(&mut self, id: &Option<String>) {
        if let (Some(pass), Some(id)) = (&mut self.pass, id) {
            pass.about_line(id);
        }
    }

    /// Whether the next texts are names of values, and not values.
    fn key(&mut self, is_key: bool) -> Option<Place> {
        self.pass.as_mut().map(|pass| pass.key(is_key))
    }

    /// A text.
    fn text(&mut self, text: &str) {
        match &mut self.pass {
            None => self.slice(text.as_bytes()),
            Some(pass) => {
                let text = pass.text(text).into_owned();
                self.slice(text.as_bytes());
            }
        }
    }

    /// How many bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A whole number, seven bits a byte, the lowest first.
    #[inline]
    pub fn number(&mut self, number: u128) {
        if number < 0x80 {
            return self.bytes.push(number as u8);
        }
        self.long_number(number);
    }

    fn long_number(&mut self, mut number: u128) {
        while number > u128::from(u64::MAX) {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        // Nearly all numbers are short, and short ones are quicker to shift.
        let mut number = number as u64;
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A whole number that may be below zero: close to zero is short.
    #[inline]
    pub fn signed(&mut self, number: i128) {
        self.number(((number << 1) ^ (number >> 127)) as u128);
    }

    /// A length and the bytes.
    #[inline]
    pub fn slice(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u128);
        self.bytes.extend_from_slice(bytes);
    }
}

/// Bytes being read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { all: bytes, at: 0 }
    }

    /// Whether everything was read.
    pub fn is_done(&self) -> bool {
        self.at == self.all.len()
    }

    /// That what should be here is not.
    pub fn corrupt(&self, expected: &'static str) -> Corrupt {
        Corrupt { at: self.at, expected }
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        let byte = *self.all.get(self.at).ok_or_else(|| self.corrupt("there"))?;
        self.at += 1;
        Ok(byte)
    }

    /// What [`Writer::number`] wrote.
    #[inline]
    pub fn number(&mut self) -> Result<u128, Corrupt> {
        // Most numbers are lengths: each event has some twenty of them.
        if let Some(&byte) = self.all.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u128::from(byte));
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u128, Corrupt> {
        // Nearly all numbers fit 64 bits, which are quicker to shift.
        let few = self.all.get(self.at..).unwrap_or_default();
        let mut number = 0u64;
        for (shift, &byte) in (0..63).step_by(7).zip(few) {
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                self.at += shift / 7 + 1;
                return Ok(u128::from(number));
            }
        }
        let mut number = 0u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if shift > 126 || (part << shift) >> shift != part {
                return Err(self.corrupt("a number of 128 bits"));
            }
            number |= part << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(number)
    }

    /// What [`Writer::signed`] wrote.
    #[inline]
    pub fn signed(&mut self) -> Result<i128, Corrupt> {
        let number = self.number()?;
        Ok((number >> 1) as i128 ^ -((number & 1) as i128))
    }

    /// What [`Writer::slice`] wrote.
    #[inline]
    pub fn slice(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = usize::get(self)?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.all.len());
        let end = end.ok_or_else(|| self.corrupt("as long as it says"))?;
        let slice = &self.all[self.at..end];
        self.at = end;
        Ok(slice)
    }

    /// A text that [`Writer::slice`] wrote.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.slice()?).map_err(|_| self.corrupt("a text"))
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// A value that is kept.
pub trait Stored: Sized {
    /// Writes it.
    fn put(&self, to: &mut Writer);

    /// Reads what [`Stored::put`] wrote.
    ///
    /// # Errors
    /// [`Corrupt`] when the bytes are not such a value.
    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt>;

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        self.put(&mut to);
        to.into_bytes()
    }

    /// The value of these bytes, all of them.
    ///
    /// # Errors
    /// [`Corrupt`] when the bytes are not such a value, or more.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut from = Reader::new(bytes);
        let value = Self::get(&mut from)?;
        if from.is_done() { Ok(value) } else { Err(from.corrupt("the end")) }
    }
}

macro_rules! whole {
    ($($type:ty: $put:ident $wide:ty),*) => { $(
        impl Stored for $type {
            #[inline]
            fn put(&self, to: &mut Writer) {
                to.$put(*self as $wide);
            }

            #[inline]
            fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
                let number = from.$put()?;
                <$type>::try_from(number).map_err(|_| from.corrupt(concat!("a number of type ", stringify!($type))))
            }
        }
    )* };
}

whole!(u8: number u128, u16: number u128, u32: number u128, u64: number u128, u128: number u128, usize: number u128);
whole!(i32: signed i128, i64: signed i128, i128: signed i128);

impl Stored for bool {
    fn put(&self, to: &mut Writer) {
        to.byte(u8::from(*self));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.corrupt("yes or no")),
        }
    }
}

impl Stored for NonZeroU16 {
    fn put(&self, to: &mut Writer) {
        self.get().put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        NonZeroU16::new(u16::get(from)?).ok_or_else(|| from.corrupt("a number above zero"))
    }
}

/// What a field called `account` says of whose record it is in.
pub(crate) trait Whose {
    /// The account; `None`: it says nothing of that.
    fn account(&self) -> Option<&str>;
}

impl Whose for String {
    fn account(&self) -> Option<&str> {
        Some(self)
    }
}

impl Whose for LedgerAccount {
    fn account(&self) -> Option<&str> {
        None
    }
}

impl Stored for String {
    fn put(&self, to: &mut Writer) {
        to.text(self);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let text = std::str::from_utf8(from.slice()?).map_err(|_| from.corrupt("a text"))?;
        Ok(text.to_owned())
    }
}

impl Stored for Cow<'static, str> {
    fn put(&self, to: &mut Writer) {
        to.slice(self.as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        String::get(from).map(Cow::Owned)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, to: &mut Writer) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        if bool::get(from)? { T::get(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Stored> Stored for Box<T> {
    fn put(&self, to: &mut Writer) {
        (**self).put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        T::get(from).map(Box::new)
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, to: &mut Writer) {
        self.0.put(to);
        self.1.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok((A::get(from)?, B::get(from)?))
    }
}

impl<A: Stored, B: Stored, C: Stored> Stored for (A, B, C) {
    fn put(&self, to: &mut Writer) {
        self.0.put(to);
        self.1.put(to);
        self.2.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok((A::get(from)?, B::get(from)?, C::get(from)?))
    }
}

/// Reads as many as it says. A wrong length ends with the bytes, before it can take any memory.
fn several<T: Stored, C: FromIterator<T>>(from: &mut Reader<'_>) -> Result<C, Corrupt> {
    let length = usize::get(from)?;
    (0..length).map(|_| T::get(from)).collect()
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, to: &mut Writer) {
        self.len().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        several(from)
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    fn put(&self, to: &mut Writer) {
        self.len().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        several(from)
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn put(&self, to: &mut Writer) {
        self.len().put(to);
        for (key, value) in self {
            let place = to.key(true);
            key.put(to);
            to.key(false);
            value.put(to);
            to.leave(place);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        several::<(K, V), _>(from)
    }
}

/// Seconds and nanoseconds since 1970, with one sign.
impl Stored for Instant {
    fn put(&self, to: &mut Writer) {
        self.as_second().put(to);
        self.subsec_nanosecond().put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (second, nanosecond) = (i64::get(from)?, i32::get(from)?);
        Instant::new(second, nanosecond).map_err(|_| from.corrupt("a moment"))
    }
}

impl Stored for Span {
    fn put(&self, to: &mut Writer) {
        self.start.put(to);
        self.end.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Span { start: Instant::get(from)?, end: Instant::get(from)? })
    }
}

impl Stored for Zone {
    fn put(&self, to: &mut Writer) {
        to.slice(self.name().as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Zone::parse(&String::get(from)?).ok_or_else(|| from.corrupt("a zone"))
    }
}

/// Numerator and denominator.
impl Stored for Exact {
    fn put(&self, to: &mut Writer) {
        self.numerator().put(to);
        self.denominator().put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Exact::ratio(i128::get(from)?, i128::get(from)?).ok_or_else(|| from.corrupt("a fraction"))
    }
}

/// The count of 10⁻⁸ units.
impl Stored for Amount {
    fn put(&self, to: &mut Writer) {
        self.units().put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        i128::get(from).map(Amount::from_units)
    }
}

impl Stored for Currency {
    fn put(&self, to: &mut Writer) {
        to.slice(self.code().as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Currency::parse(&String::get(from)?).ok_or_else(|| from.corrupt("a currency"))
    }
}

/// A record: its fields in this order. A field that is not named does not compile. Before a field stands what its
/// texts are where they are personal: see [`crate::redact::Mark`].
macro_rules! record {
    ($type:path { $($(@$mark:ident)? $field:ident),* $(,)? }) => {
        impl $crate::codec::Stored for $type {
            fn put(&self, to: &mut $crate::codec::Writer) {
                let Self { $($field),* } = self;
                let place = to.enter();
                $( $crate::codec::whose!(to, $field $field, $(@$mark)?); )*
                $( $crate::codec::field!(to, $field, $($mark)?); )*
                to.leave(place);
            }

            fn get(from: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::Corrupt> {
                Ok(Self { $($field: $crate::codec::Stored::get(from)?),* })
            }
        }
    };
}

/// A choice: a number for each variant, which never means another one, and its fields in this order, marked as those
/// of a record.
macro_rules! choice {
    ($type:path { $($tag:literal = $variant:ident
        $({ $($(@$mark:ident)? $field:ident),* $(,)? })? $(( $($(@$said:ident)? $item:ident),* ))?),* $(,)? }) => {
        impl $crate::codec::Stored for $type {
            fn put(&self, to: &mut $crate::codec::Writer) {
                let place = to.enter();
                match self {
                    $( Self::$variant $({ $($field),* })? $(( $($item),* ))? => {
                        to.byte($tag);
                        $( $($crate::codec::whose!(to, $field $field, $(@$mark)?);)* )?
                        $( $($crate::codec::field!(to, $field, $($mark)?);)* )?
                        $( $($crate::codec::field!(to, $item, $($said)?);)* )?
                    } )*
                }
                to.leave(place);
            }

            fn get(from: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::Corrupt> {
                match from.byte()? {
                    $( $tag => {
                        $( $(let $field = $crate::codec::Stored::get(from)?;)* )?
                        $( $(let $item = $crate::codec::Stored::get(from)?;)* )?
                        Ok(Self::$variant $({ $($field),* })? $(( $($item),* ))?)
                    } )*
                    _ => Err(from.corrupt(concat!("a choice of ", stringify!($type)))),
                }
            }
        }
    };
}

/// Whose record it is: what a field of that name, or one that is marked so, says.
macro_rules! whose {
    ($to:ident, account $value:ident, $($any:tt)*) => {
        $to.whose($value)
    };
    ($to:ident, $field:ident $value:ident, @whose) => {
        $to.whose($value)
    };
    ($to:ident, $field:ident $value:ident, @about_line) => {
        $to.about_line($value)
    };
    ($to:ident, $field:ident $value:ident, $($any:tt)*) => {};
}

/// A field, by what its texts are.
macro_rules! field {
    ($to:ident, $field:ident, personal) => { $crate::codec::field!($to, $field, Personal of) };
    ($to:ident, $field:ident, prose) => { $crate::codec::field!($to, $field, Prose of) };
    ($to:ident, $field:ident, whose) => { $field.put($to) };
    ($to:ident, $field:ident, about_line) => { $field.put($to) };
    ($to:ident, $field:ident, line) => {
        $to.line($field);
        $field.put($to);
    };
    ($to:ident, $field:ident, $mark:ident of) => {
        let place = $to.mark($crate::redact::Mark::$mark);
        $field.put($to);
        $to.leave(place);
    };
    ($to:ident, $field:ident,) => { $field.put($to) };
}

pub(crate) use {choice, field, record, whose};
