//! Reading a JSON body so that all its mistakes are found at once.
//!
//! A derived reader stops at its first mistake. [`read`] therefore lets it run again, each time
//! without the fields that are known to be wrong, until it finds nothing new. What the fields are
//! and what each expects stays said in one place, the type.

use crate::mistake::FieldMistake;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

/// Most mistakes that are reported of one body.
pub(crate) const MISTAKES_MAX: usize = 50;
/// What is expected of a body that is no JSON.
pub(crate) const EXPECTED: &str = "a JSON object, each of its fields at most once";
/// Most characters of a value that are repeated in a mistake.
const FOUND_CHARS_MAX: usize = 60;

/// Reads JSON text. A field that is given twice is a mistake.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, FieldMistake> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let found = if bytes.trim_ascii().is_empty() { "nothing".to_owned() } else { error.to_string() };
        FieldMistake::new("", found, EXPECTED)
    })
}

/// Makes a JSON value, and refuses what a map would silently lose.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    // A float is never accepted; it is kept so that the mistake can show it.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = all.next_element_seed(Strict)? {
            list.push(one);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = all.next_key::<String>()? {
            let value = all.next_value_seed(Strict)?;
            if map.contains_key(&name) {
                return Err(de::Error::custom(format!("the field {} a second time", quoted(&name))));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// A value as mistakes repeat it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Reads a body, or says everything that is wrong with it, at most 50 mistakes.
///
/// # Errors
/// Its mistakes. A body that is no JSON has one, about the body as a whole.
pub fn read_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<FieldMistake>> {
    read(&parse(bytes).map_err(|mistake| vec![mistake])?)
}

/// Reads a value, or says everything that is wrong with it, at most [`MISTAKES_MAX`] mistakes.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<FieldMistake>> {
    read_at("", value)
}

/// The same for a part of a body, at this path.
pub(crate) fn read_at<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, Vec<FieldMistake>> {
    let found = Found::default();
    loop {
        let before = found.skipped.borrow().len();
        let result = T::deserialize(Part { value: Some(value), path: path.to_owned(), found: &found });
        let full = found.mistakes.borrow().len() >= MISTAKES_MAX;
        match result {
            Ok(value) if found.mistakes.borrow().is_empty() => return Ok(value),
            Err(Wrong::At { found: what, expected }) if before == found.skipped.borrow().len() => {
                found.record(path.to_owned(), what, expected);
                break;
            }
            Err(_) if !full && found.skipped.borrow().len() > before => {}
            _ => break,
        }
    }
    let mut mistakes = found.mistakes.into_inner();
    if mistakes.is_empty() {
        mistakes.push(FieldMistake::new("", "something else", "the fields of the page about commands"));
    }
    Err(mistakes)
}

/// What was found so far.
#[derive(Default)]
struct Found {
    mistakes: RefCell<Vec<FieldMistake>>,
    /// Paths that are not read again.
    skipped: RefCell<BTreeSet<String>>,
}

impl Found {
    fn record(&self, path: String, found: String, expected: String) {
        if self.mistakes.borrow().len() < MISTAKES_MAX && self.skip(path.clone()) {
            self.mistakes.borrow_mut().push(FieldMistake { field: path, found, expected });
        }
    }

    fn skip(&self, path: String) -> bool {
        self.skipped.borrow_mut().insert(path)
    }

    fn skips(&self, path: &str) -> bool {
        self.skipped.borrow().contains(path)
    }

    /// Notes what was wrong with the part at a path.
    fn note(&self, path: String, wrong: Wrong) -> Wrong {
        match wrong {
            Wrong::At { found, expected } => self.record(path, found, expected),
            // A field of it was left out because it is wrong: so is the whole.
            Wrong::Missing => drop(self.skip(path)),
            Wrong::Noted => {}
        }
        Wrong::Noted
    }
}

/// Why reading stopped.
#[derive(Debug)]
enum Wrong {
    /// Here.
    At { found: String, expected: String },
    /// A field is not there.
    Missing,
    /// Further in, and noted.
    Noted,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::At { found, expected } => write!(f, "{found}; expected {expected}"),
            Wrong::Missing => f.write_str("a field is missing"),
            Wrong::Noted => f.write_str("a mistake further in"),
        }
    }
}

impl std::error::Error for Wrong {}

/// A text as mistakes repeat it.
pub(crate) fn quoted(text: &str) -> String {
    if text.chars().count() <= FOUND_CHARS_MAX {
        return format!("{text:?}");
    }
    let begin: String = text.chars().take(FOUND_CHARS_MAX).collect();
    format!("{begin:?}…")
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Wrong {
        Wrong::At { found: message.to_string(), expected: "something else".to_owned() }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Wrong {
        use de::Unexpected;
        let found = match found {
            Unexpected::Str(text) => quoted(text),
            Unexpected::Bool(value) => value.to_string(),
            Unexpected::Unsigned(value) => value.to_string(),
            Unexpected::Signed(value) => value.to_string(),
            Unexpected::Float(value) => value.to_string(),
            Unexpected::Unit | Unexpected::Option => "null".to_owned(),
            Unexpected::Seq => "an array".to_owned(),
            Unexpected::Map => "an object".to_owned(),
            other => other.to_string(),
        };
        Wrong::At { found, expected: expected.to_string() }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Wrong {
        Wrong::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Wrong {
        Wrong::At { found: format!("{length} of them"), expected: expected.to_string() }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Wrong {
        Wrong::At { found: quoted(variant), expected: one_of(expected) }
    }

    fn missing_field(_: &'static str) -> Wrong {
        Wrong::Missing
    }
}

/// `"on", "off" or "failed"`
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("{only:?}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("{name:?}")).collect();
            format!("{} or {last:?}", first.join(", "))
        }
    }
}

/// A part of a body and where it stands. `None`: a field that is not there.
struct Part<'a> {
    value: Option<&'a Value>,
    path: String,
    found: &'a Found,
}

impl<'a> Part<'a> {
    /// The path of a field or an element (RFC 6901).
    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1"))
    }

    /// What it is not.
    fn no(&self, expected: &str) -> Wrong {
        let found = self.value.map_or_else(|| "nothing".to_owned(), shown);
        Wrong::At { found, expected: expected.to_owned() }
    }

    fn fields(
        self,
        map: &'a Map<String, Value>,
        fields: Option<&'static [&'static str]>,
    ) -> impl Iterator<Item = (String, Part<'a>)> + use<'a> {
        let names: Vec<String> = match fields {
            None => map.keys().cloned().collect(),
            Some(fields) => {
                for name in map.keys().filter(|name| !fields.contains(&name.as_str())) {
                    let expected = match fields {
                        [] => "no field".to_owned(),
                        fields => format!("a field named {}", one_of(fields)),
                    };
                    let found = format!("the field {}", quoted(name));
                    self.found.record(self.below(name), found, expected);
                }
                fields.iter().map(|name| (*name).to_owned()).collect()
            }
        };
        names.into_iter().filter_map(move |name| {
            let path = self.below(&name);
            let part = Part { value: map.get(&name), path, found: self.found };
            (!self.found.skips(&part.path)).then_some((name, part))
        })
    }
}

impl<'a, 'de> Deserializer<'de> for Part<'a> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Some(value) = self.value else {
            let expected: &dyn de::Expected = &visitor;
            return Err(self.no(&expected.to_string()));
        };
        match value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::MAX)),
            },
            Value::Array(list) => {
                let found = self.found;
                let parts = list.iter().enumerate().filter_map(move |(index, value)| {
                    let path = self.below(&index.to_string());
                    (!found.skips(&path)).then_some(Part { value: Some(value), path, found })
                });
                visitor.visit_seq(Elements { parts, found })
            }
            Value::Object(map) => {
                let found = self.found;
                visitor.visit_map(Fields { parts: self.fields(map, None), next: None, found })
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let found = self.found;
        match self.value {
            Some(Value::Object(map)) => {
                visitor.visit_map(Fields { parts: self.fields(map, Some(fields)), next: None, found })
            }
            _ => Err(self.no("an object")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Some(Value::String(text)) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(self.no(&one_of(variants))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Elements<'a, I> {
    parts: I,
    found: &'a Found,
}

impl<'a, 'de, I: Iterator<Item = Part<'a>>> de::SeqAccess<'de> for Elements<'a, I> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(part) = self.parts.next() else { return Ok(None) };
        let path = part.path.clone();
        seed.deserialize(part).map(Some).map_err(|wrong| self.found.note(path, wrong))
    }
}

struct Fields<'a, I> {
    parts: I,
    next: Option<Part<'a>>,
    found: &'a Found,
}

impl<'a, 'de, I: Iterator<Item = (String, Part<'a>)>> de::MapAccess<'de> for Fields<'a, I> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((name, part)) = self.parts.next() else { return Ok(None) };
        let path = part.path.clone();
        self.next = Some(part);
        let name: de::value::StringDeserializer<Wrong> = name.into_deserializer();
        seed.deserialize(name).map(Some).map_err(|wrong| self.found.note(path, wrong))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let part = self.next.take().ok_or(Wrong::Noted)?;
        let path = part.path.clone();
        seed.deserialize(part).map_err(|wrong| self.found.note(path, wrong))
    }
}
