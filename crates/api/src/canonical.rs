//! What a JSON text says, however it is written. It is for comparing, not for reading.

use crate::body::parse;
use std::collections::BTreeMap;

/// A JSON text without white space between its parts, its fields in order, its texts with no more escapes than they
/// need; numbers stay as they are written. A field that is `null` is left out: that says the same. Two texts that say the
/// same have the same. `None`: it is no JSON as a body may be.
pub fn canonical(bytes: &[u8]) -> Option<String> {
    walk(bytes, false)
}

/// The same with the fields that are `null`, as earlier versions had it.
pub fn canonical_with_nulls(bytes: &[u8]) -> Option<String> {
    walk(bytes, true)
}

fn walk(bytes: &[u8], keeps_nulls: bool) -> Option<String> {
    // What follows walks over JSON that is known to be whole, with each field once, and not too deep.
    parse(bytes).ok()?;
    Walk { rest: std::str::from_utf8(bytes).ok()?, keeps_nulls }.value()
}

struct Walk<'a> {
    rest: &'a str,
    keeps_nulls: bool,
}

impl<'a> Walk<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The next bytes, so many.
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Whether the next part is this mark, which is passed then.
    fn passes(&mut self, mark: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<String> {
        if self.passes('{') {
            let mut fields = BTreeMap::new();
            while !self.passes('}') {
                self.passes(',');
                let name = self.value()?;
                self.passes(':');
                let value = self.value()?;
                if self.keeps_nulls || value != "null" {
                    fields.insert(name, value);
                }
            }
            let fields: Vec<String> =
                fields.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
            return Some(format!("{{{}}}", fields.join(",")));
        }
        if self.passes('[') {
            let mut items = Vec::new();
            while !self.passes(']') {
                self.passes(',');
                items.push(self.value()?);
            }
            return Some(format!("[{}]", items.join(",")));
        }
        if self.rest.starts_with('"') {
            let mut is_escaped = false;
            let end = self.rest.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                ends
            });
            let text: String = serde_json::from_str(self.take(end? + 2)?).ok()?;
            return serde_json::to_string(&text).ok();
        }
        let ends = |letter: char| matches!(letter, ',' | ']' | '}' | ' ' | '\t' | '\n' | '\r');
        let length = self.rest.find(ends).unwrap_or(self.rest.len());
        self.take(length).filter(|word| !word.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, canonical_with_nulls};

    #[test]
    fn what_says_the_same_is_the_same() {
        let one = r#"{"b":[1,{"y":null,"x":"a \" \\"}],"a":1.50,"é":true,"n":{},"e":[]}"#;
        let other = " {\n\"a\" : 1.50 ,\t\"\\u00e9\":true, \"e\":[ ], \"n\": { },\r\n\"b\":[ 1 , {\"x\":\"\\u0061 \\\" \\\\\" , \"y\":null } ] } ";
        let said = canonical(one.as_bytes()).unwrap();
        assert_eq!(said, r#"{"a":1.50,"b":[1,{"x":"a \" \\"}],"e":[],"n":{},"é":true}"#);
        let before = canonical_with_nulls(one.as_bytes()).unwrap();
        assert_eq!(before, r#"{"a":1.50,"b":[1,{"x":"a \" \\","y":null}],"e":[],"n":{},"é":true}"#);
        assert_eq!(canonical(before.as_bytes()).as_ref(), Some(&said));
        assert_eq!(canonical(other.as_bytes()).as_ref(), Some(&said));
        assert_eq!(canonical(said.as_bytes()).as_ref(), Some(&said));
        assert_eq!(canonical(b"5").as_deref(), Some("5"));
        assert_eq!(canonical(br#"{"a":null,"b":{"c": null}}"#), canonical(br#"{"b":{}}"#));
    }

    #[test]
    fn what_says_something_else_is_not() {
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":1}"#, r#"{"a":1.0}"#),
            (r#"{"a":0.1}"#, r#"{"a":0.1000000000000000000001}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":{"b":1},"c":2}"#, r#"{"a":{"b":1,"c":2}}"#),
            (r#"{"a":"b c"}"#, r#"{"a":"bc"}"#),
            (r#"{"a":"null"}"#, "{}"),
            (r#"{"a":[null]}"#, r#"{"a":[]}"#),
            ("null", "{}"),
        ] {
            assert_ne!(
                canonical(one.as_bytes()).unwrap(),
                canonical(other.as_bytes()).unwrap(),
                "{one} {other}"
            );
        }
        for none in ["", "{", r#"{"a":1,"a":1}"#, "{} x", "[catalogue]\nid = 5", "\u{0}"] {
            assert_eq!(canonical(none.as_bytes()), None, "{none}");
        }
        assert_eq!(canonical(&b"[".repeat(200_000)), None);
    }
}
