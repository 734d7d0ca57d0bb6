//! Events as programs write them: one object, its `data` one level deep, no escapes. Whatever else an event may be is
//! left to the careful reader; a test compares the two.

use super::json::exact;
use super::record::splits_bills;
use super::time::{instant, rfc3339};
use farebox_core::metering::{Event, Value};

/// What attributes are gathered in; kept from one event to the next.
#[derive(Default)]
pub(super) struct Attributes {
    most: usize,
}

/// A value of a field.
#[derive(Clone, Copy)]
enum Plain<'a> {
    Text(&'a str),
    Number(&'a str),
    Bool(bool),
    Null,
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let from = self.at;
        let rest = &self.text.as_bytes()[from..];
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        if rest[end] != b'"' {
            return None;
        }
        self.at = from + end + 1;
        // A quote is no part of another character.
        self.text.get(from..from + end)
    }

    /// A number that is written as short as can be: digits, and a fraction.
    fn number(&mut self) -> Option<&'a str> {
        let from = self.at;
        let bytes = self.text.as_bytes();
        let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(from);
        if whole == 0 || whole > 1 && bytes[from] == b'0' {
            return None;
        }
        self.at += whole;
        if self.peek() == Some(b'.') {
            let fraction = digits(self.at + 1);
            if fraction == 0 {
                return None;
            }
            self.at += 1 + fraction;
        }
        // More of it, such as an exponent, is for the careful reader.
        matches!(self.peek(), Some(b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))
            .then(|| &self.text[from..self.at])
    }

    fn value(&mut self) -> Option<Plain<'a>> {
        self.space();
        let words = [("true", Plain::Bool(true)), ("false", Plain::Bool(false)), ("null", Plain::Null)];
        match self.peek()? {
            b'"' => self.string().map(Plain::Text),
            b'0'..=b'9' => self.number().map(Plain::Number),
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word.as_bytes()))?;
                self.at += word.len();
                Some(value)
            }
        }
    }

    /// Whether another field follows.
    fn more(&mut self) -> Option<bool> {
        self.space();
        let more = match self.peek()? {
            b',' => true,
            b'}' => false,
            _ => return None,
        };
        self.at += 1;
        Some(more)
    }
}

/// The event of a row; `None`: the careful reader must look at it.
pub(super) fn plain_event<'a>(row: &'a [u8], room: &mut Attributes) -> Option<Event<'a>> {
    let mut scan = Scan { text: std::str::from_utf8(row).ok()?, at: 0 };
    let mut attributes: Vec<(&'a str, Value<'a>)> = Vec::with_capacity(room.most);
    let (mut id, mut source, mut kind, mut account) = (None, None, None, None);
    let (mut version, mut time, mut start, mut begun, mut revision) = (None, None, None, None, None);
    let (mut has_data, mut has_type, mut has_schema) = (false, false, false);
    // What is there is there once.
    fn once<'a>(place: &mut Option<&'a str>, text: &'a str) -> Option<()> {
        (place.is_none() && !text.is_empty()).then(|| *place = Some(text))
    }
    scan.eat(b'{')?;
    loop {
        let name = scan.string()?;
        scan.eat(b':')?;
        if name == "data" {
            if std::mem::replace(&mut has_data, true) {
                return None;
            }
            data(&mut scan, &mut attributes, &mut start)?;
        } else {
            match (name, scan.value()?) {
                ("specversion", Plain::Text(text)) => once(&mut version, text)?,
                ("id", Plain::Text(text)) => once(&mut id, text)?,
                ("source", Plain::Text(text)) => once(&mut source, text)?,
                ("type", Plain::Text(text)) => once(&mut kind, text)?,
                ("subject", Plain::Text(text)) => once(&mut account, text)?,
                ("time", Plain::Text(text)) => once(&mut time, text)?,
                ("start", Plain::Text(text)) => once(&mut begun, text)?,
                ("revision", Plain::Number(digits)) => once(&mut revision, digits)?,
                ("datacontenttype", _) if !has_type => has_type = true,
                ("dataschema", _) if !has_schema => has_schema = true,
                _ => return None,
            }
        }
        if !scan.more()? {
            break;
        }
    }
    scan.space();
    if scan.at < scan.text.len() || version != Some("1.0") {
        return None;
    }
    let moment = |text: &str| rfc3339(text.as_bytes()).map(|(seconds, nanos)| instant(seconds, nanos));
    let time = moment(time?)?;
    let start = match begun.or(start) {
        None => None,
        // What is no moment is for the careful reader to tell.
        Some(text) => Some(moment(text)?),
    };
    if start.is_some_and(|start| start > time) {
        return None;
    }
    let revision = revision.map_or(Ok(0), str::parse).ok()?;
    room.most = attributes.len().max(room.most).min(64);
    Some(Event {
        source: source?,
        id: id?,
        revision,
        kind: kind?,
        account: account?,
        time,
        start,
        attributes,
    })
}

/// The fields of `data`.
fn data<'a>(
    scan: &mut Scan<'a>,
    attributes: &mut Vec<(&'a str, Value<'a>)>,
    start: &mut Option<&'a str>,
) -> Option<()> {
    scan.eat(b'{')?;
    scan.space();
    if scan.peek() == Some(b'}') {
        scan.at += 1;
        return Some(());
    }
    // A name that has no value is none of the attributes, and yet may stand there once only.
    let mut nulls = [""; 4];
    let mut null = 0;
    loop {
        let name = scan.string()?;
        scan.eat(b':')?;
        let is_known = attributes.iter().any(|(known, _)| *known == name) || nulls[..null].contains(&name);
        if is_known || attributes.len() >= 24 || name == "revision" {
            return None;
        }
        match scan.value()? {
            Plain::Text("") if splits_bills(name) => {
                *nulls.get_mut(null)? = name;
                null += 1;
            }
            Plain::Text(text) => {
                if name == "start" {
                    *start = Some(text);
                }
                attributes.push((name, Value::Text(text)));
            }
            // When it began is a text.
            Plain::Number(_) | Plain::Bool(_) if name == "start" => return None,
            Plain::Number(digits) => {
                let value = exact(digits).map_or(Value::Text(digits), Value::Number);
                attributes.push((name, value));
            }
            Plain::Bool(is_so) => attributes.push((name, Value::Text(if is_so { "true" } else { "false" }))),
            Plain::Null => {
                *nulls.get_mut(null)? = name;
                null += 1;
            }
        }
        if !scan.more()? {
            return Some(());
        }
    }
}
