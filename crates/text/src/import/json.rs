//! JSON as usage needs it: strict, borrowed, numbers as their digits and never as floats.

use farebox_core::money::Exact;
use std::borrow::Cow;

/// A value that is no object and no array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// The digits as written.
    Number(Cow<'a, str>),
    Bool(bool),
    Null,
}

/// Names and their values, in the order of the text.
pub(super) type Flat<'a> = Vec<(Cow<'a, str>, Scalar<'a>)>;

/// Objects and arrays within one another that are read.
const DEPTH_MAX: usize = 64;

/// Reads one object into names and scalars: nested names are joined with dots, items of an array
/// are numbered from 0. The error says what is wrong and after how many bytes.
pub(super) fn flatten(text: &str) -> Result<Flat<'_>, String> {
    flatten_but(text, "").map(|(found, _)| found)
}

/// As [`flatten`], and whether the outermost object has an array under the name `but`, which cannot be told from an
/// object with the same names in what is found.
pub(super) fn flatten_but<'a>(text: &'a str, but: &str) -> Result<(Flat<'a>, bool), String> {
    let mut json = Json { text, at: 0, found: Vec::with_capacity(16), but, has_array: false };
    json.space();
    if json.peek() != Some(b'{') {
        return Err(json.wrong("{"));
    }
    json.value(None, 0)?;
    json.space();
    if json.at < text.len() {
        return Err(json.wrong("nothing more"));
    }
    let (found, has_array) = (json.found, json.has_array);
    let twice = if found.len() <= 24 {
        (1..found.len()).find(|&i| found[..i].iter().any(|(name, _)| *name == found[i].0))
    } else {
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|&a, &b| found[a].0.cmp(&found[b].0));
        order.windows(2).find(|pair| found[pair[0]].0 == found[pair[1]].0).map(|pair| pair[1])
    };
    match twice {
        Some(i) => Err(format!("\"{}\" stands there twice", found[i].0)),
        None => Ok((found, has_array)),
    }
}

struct Json<'a, 'b> {
    text: &'a str,
    at: usize,
    found: Flat<'a>,
    but: &'b str,
    has_array: bool,
}

impl<'a> Json<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self, expected: &str) -> String {
        format!("after {} bytes of the JSON, {expected} is expected", self.at)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(self.wrong(&char::from(byte).to_string()));
        }
        self.at += 1;
        Ok(())
    }

    /// A value under a name; only the outermost object has none.
    fn value(&mut self, name: Option<Cow<'a, str>>, depth: usize) -> Result<(), String> {
        self.space();
        if depth >= DEPTH_MAX && matches!(self.peek(), Some(b'{' | b'[')) {
            return Err(self.wrong("less nesting"));
        }
        let scalar = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.space();
                if self.peek() == Some(b'}') {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.space();
                    let key = self.string()?;
                    self.expect(b':')?;
                    let full = match &name {
                        None => key,
                        Some(outer) => Cow::Owned(format!("{outer}.{key}")),
                    };
                    self.value(Some(full), depth + 1)?;
                    self.space();
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b'}') => {
                            self.at += 1;
                            return Ok(());
                        }
                        _ => return Err(self.wrong(", or }")),
                    }
                }
            }
            Some(b'[') => {
                self.has_array |= depth == 1 && name.as_deref() == Some(self.but);
                self.at += 1;
                self.space();
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(());
                }
                let outer = name.unwrap_or_default();
                for item in 0.. {
                    self.value(Some(Cow::Owned(format!("{outer}.{item}"))), depth + 1)?;
                    self.space();
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b']') => break,
                        _ => return Err(self.wrong(", or ]")),
                    }
                }
                self.at += 1;
                return Ok(());
            }
            Some(b'"') => Scalar::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Scalar::Number(self.number()?.into()),
            _ => {
                let words =
                    [("true", Scalar::Bool(true)), ("false", Scalar::Bool(false)), ("null", Scalar::Null)];
                let word = words.into_iter().find(|(word, _)| self.text[self.at..].starts_with(word));
                let (word, scalar) = word.ok_or_else(|| self.wrong("a value"))?;
                self.at += word.len();
                scalar
            }
        };
        if let Some(name) = name {
            self.found.push((name, scalar));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, String> {
        let from = self.at;
        let digits = |json: &mut Self| {
            let from = json.at;
            while matches!(json.peek(), Some(b'0'..=b'9')) {
                json.at += 1;
            }
            if json.at == from { Err(json.wrong("a digit")) } else { Ok(()) }
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            digits(self)?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            digits(self)?;
        }
        Ok(&self.text[from..self.at])
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("\""));
        }
        self.at += 1;
        let from = self.at;
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    let text = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                b'\\' => return self.escaped(from),
                0..=0x1f => return Err(self.wrong("no control character")),
                _ => self.at += 1,
            }
        }
        Err(self.wrong("\""))
    }

    fn escaped(&mut self, from: usize) -> Result<Cow<'a, str>, String> {
        let mut text = String::from(&self.text[from..self.at]);
        let mut plain = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    text.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    let c = match self.peek() {
                        Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
                        Some(b'b') => '\u{8}',
                        Some(b'f') => '\u{c}',
                        Some(b'n') => '\n',
                        Some(b'r') => '\r',
                        Some(b't') => '\t',
                        Some(b'u') => {
                            self.at += 1;
                            let c = self.unicode()?;
                            text.push(c);
                            plain = self.at;
                            continue;
                        }
                        _ => return Err(self.wrong("an escape")),
                    };
                    text.push(c);
                    self.at += 1;
                    plain = self.at;
                }
                None | Some(0..=0x1f) => return Err(self.wrong("\"")),
                Some(_) => self.at += 1,
            }
        }
    }

    /// The character of `\uXXXX`, of two of them where it takes a pair.
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| self.wrong("a character"));
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Err(self.wrong("the second half of a pair"));
        }
        self.at += 2;
        let low = self.hex()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(self.wrong("the second half of a pair"));
        }
        let c = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        char::from_u32(c).ok_or_else(|| self.wrong("a character"))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits.and_then(|digits| {
            digits.iter().try_fold(0, |value, &b| Some(value * 16 + char::from(b).to_digit(16)?))
        });
        self.at += 4;
        value.ok_or_else(|| self.wrong("four hexadecimal digits"))
    }
}

/// A JSON number as an exact one. `None` where it has more than 15 digits before the point or
/// more than 9 after it: too much to be billed.
pub(super) fn exact(digits: &str) -> Option<Exact> {
    if digits.len() <= Exact::MAX_INTEGER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Exact::whole(digits.parse().ok()?));
    }
    let Some(e) = digits.find(['e', 'E']) else { return Exact::parse(digits, 9).ok() };
    let power: i32 = digits[e + 1..].parse().ok()?;
    let (negative, mantissa) = match digits[..e].strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, &digits[..e]),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{decimals}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Some(Exact::ZERO);
    }
    // Where the point stands once the power has moved it.
    let point = i32::try_from(whole.len()).ok()?.checked_add(power)?;
    if !(-40..=40).contains(&point) || all.len() > 60 {
        return None;
    }
    let plain = if point <= 0 {
        format!("0.{}{all}", "0".repeat(point.unsigned_abs() as usize))
    } else if point as usize >= all.len() {
        format!("{all}{}", "0".repeat(point as usize - all.len()))
    } else {
        format!("{}.{}", &all[..point as usize], &all[point as usize..])
    };
    Exact::parse(&format!("{}{plain}", if negative { "-" } else { "" }), 9).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let got = match flatten(text) {
            Err(why) => why,
            Ok(found) => found.iter().map(|(name, value)| format!("{name}={value:?}; ")).collect(),
        };
        assert_eq!(got.trim_end(), expected);
    }

    #[test]
    fn objects() {
        check(
            r#"{"a":1.50,"b":{"c":"x\u00e9\n","d":[true,null]}}"#,
            "a=Number(\"1.50\"); b.c=Text(\"xé\\n\"); b.d.0=Bool(true); b.d.1=Null;",
        );
        check(r#"{"a":"\ud83d\ude00"}"#, "a=Text(\"😀\");");
        check(r#"{"a":1,"a":2}"#, "\"a\" stands there twice");
        check(r#"{"a":01}"#, "after 6 bytes of the JSON, , or } is expected");
        check(r#"{"a":"\ud83d"}"#, "after 12 bytes of the JSON, the second half of a pair is expected");
        check("{} x", "after 3 bytes of the JSON, nothing more is expected");
        assert!(flatten(&"{\"a\":".repeat(100_000)).is_err());
        let nested = |depth: usize, inner: &str| {
            flatten(&format!("{}{inner}{}", "{\"a\":".repeat(depth), "}".repeat(depth)))
                .map(|found| found.len())
        };
        assert_eq!((nested(DEPTH_MAX, "1"), nested(DEPTH_MAX - 1, "[]")), (Ok(1), Ok(0)));
        assert!(nested(DEPTH_MAX + 1, "1").unwrap_err().ends_with("less nesting is expected"));
        assert!(nested(DEPTH_MAX, "[]").is_err());
    }

    #[test]
    fn numbers_are_exact_or_too_much() {
        let show = |digits| exact(digits).map_or("too much".into(), |n: Exact| n.to_string());
        for (digits, expected) in [
            ("0.1", "0.1"),
            ("-12.50", "-12.5"),
            ("1e3", "1000"),
            ("1.5E-3", "0.0015"),
            ("0e99", "0"),
            ("12345678901234567890", "too much"),
            ("1e30", "too much"),
            ("1e-30", "too much"),
            ("1e99999999999", "too much"),
            ("-2.5e1", "-25"),
            ("0.0000000001", "too much"),
        ] {
            assert_eq!(show(digits), expected, "{digits}");
        }
    }

    proptest! {
        #[test]
        fn accepts_what_serde_accepts(text in r#"\{("[a-c\\"u0-9é]{0,3}":(-?[0-9]{1,3}(\.[0-9])?(e[0-9])?|"[a-z\\n"]{0,4}"|true|null|\[1,\{\}\]|\{"x":2\}),? ?){0,4}\}?"#) {
            let ours = flatten(&text);
            let theirs: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(&text);
            match ours {
                // What stands twice serde takes once.
                Err(why) if why.ends_with("twice") => {}
                ours => prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs),
            }
        }
    }
}
