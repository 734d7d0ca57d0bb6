//! Rules that say whose usage a row is: the first whose conditions all hold decides.

use crate::diagnostic::{Diagnostic, nearest};
use std::borrow::Cow;

/// One rule of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// Its line in the file that holds it, for messages.
    pub line: usize,
    /// All must hold. None: the rule always holds.
    pub when: Vec<Condition>,
    /// What then.
    pub outcome: Outcome,
}

/// What a rule does with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Gives the event values by name: `account`, `type`, and attributes such as `application`,
    /// `project`, `tag:…`, `number`, `direction`. Without `account` the format's own applies.
    Set(Vec<(String, Template)>),
    /// The row is no usage; it is counted as ignored.
    Ignore,
}

/// A field and what it must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A column, header or attribute of the format.
    pub field: String,
    /// What it must match.
    pub pattern: Pattern,
}

/// A glob over bytes: `*` is any run of bytes, `?` one byte, a leading `!` negates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    glob: Vec<u8>,
    negated: bool,
}

impl Pattern {
    /// Any text is a pattern.
    pub fn parse(text: &str) -> Pattern {
        let (negated, glob) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Pattern { glob: glob.as_bytes().to_vec(), negated }
    }

    /// Whether the value is as the pattern says.
    pub fn matches(&self, value: &[u8]) -> bool {
        glob(&self.glob, value) != self.negated
    }
}

/// Greedy with one fallback point, so that no pattern takes more than length × length steps.
fn glob(pattern: &[u8], value: &[u8]) -> bool {
    let (mut p, mut v) = (0, 0);
    let mut star = None;
    while v < value.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, v));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == value[v] => {
                p += 1;
                v += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    v = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Text with `{field}` references; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<F> {
    Text(String),
    Field(F),
}

impl Template {
    /// Reads a template; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' if rest.next_if_eq(&'{').is_some() => plain.push('{'),
                '}' if rest.next_if_eq(&'}').is_some() => plain.push('}'),
                '}' => return Err(format!("a }} without its {{ in \"{text}\"")),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("a {{ without its }} in \"{text}\"")),
                        }
                    }
                    if name.is_empty() {
                        return Err(format!("{{}} without a field name in \"{text}\""));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Field(name));
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    fn field(name: &str) -> Template {
        Template { parts: vec![Part::Field(name.into())] }
    }
}

/// The value of a field of the row at hand; fields are numbered.
pub(super) trait Row {
    fn value(&self, slot: usize) -> Cow<'_, [u8]>;
}

/// Rules with their fields looked up.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Compiled>,
}

#[derive(Debug)]
pub(super) struct Compiled {
    when: Vec<(usize, Pattern)>,
    /// `None`: ignore.
    pub(super) set: Option<Set>,
}

/// What a rule sets.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) account: Filled,
    pub(super) kind: Option<Filled>,
    pub(super) attributes: Vec<(String, Filled)>,
}

/// A template with its fields looked up.
#[derive(Debug)]
pub(super) struct Filled(Vec<Part<usize>>);

impl Filled {
    /// Appends the text.
    pub(super) fn write(&self, row: &dyn Row, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(slot) => out.extend_from_slice(&row.value(*slot)),
            }
        }
    }
}

/// Names of a format's fields to numbers.
pub(super) trait Fields {
    fn slot(&mut self, name: &str) -> Option<usize>;
    fn names(&self) -> Vec<String>;
}

impl Rules {
    /// Looks the fields up. `file` names the file that holds the rules; `account` is the field
    /// that says the account where a rule does not.
    pub(super) fn compile(
        rules: &[MapRule],
        file: &str,
        account: &str,
        fields: &mut dyn Fields,
    ) -> Result<Rules, Diagnostic> {
        let always = [MapRule { line: 0, when: Vec::new(), outcome: Outcome::Set(Vec::new()) }];
        let rules = if rules.is_empty() { &always[..] } else { rules };
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let mut slot = |name: &str| {
                fields.slot(name).ok_or_else(|| {
                    let names = fields.names();
                    Diagnostic {
                        file: file.to_owned(),
                        line: rule.line,
                        column: 0,
                        found: format!("unknown field \"{name}\""),
                        expected: format!("one of {}", names.join(", ")),
                        suggestion: nearest(name, names.iter().map(String::as_str)),
                    }
                })
            };
            let mut when = Vec::new();
            for condition in &rule.when {
                when.push((slot(&condition.field)?, condition.pattern.clone()));
            }
            let mut fill = |template: &Template| -> Result<Filled, Diagnostic> {
                let parts = template.parts.iter().map(|part| match part {
                    Part::Text(text) => Ok(Part::Text(text.clone())),
                    Part::Field(name) => Ok(Part::Field(slot(name)?)),
                });
                Ok(Filled(parts.collect::<Result<_, _>>()?))
            };
            let set = match &rule.outcome {
                Outcome::Ignore => None,
                Outcome::Set(values) => {
                    let (mut own, mut kind, mut attributes) = (None, None, Vec::new());
                    for (name, template) in values {
                        let filled = fill(template)?;
                        match name.as_str() {
                            "account" => own = Some(filled),
                            "type" => kind = Some(filled),
                            _ => attributes.push((name.clone(), filled)),
                        }
                    }
                    let account = match own {
                        Some(filled) => filled,
                        None => fill(&Template::field(account))?,
                    };
                    Some(Set { account, kind, attributes })
                }
            };
            compiled.push(Compiled { when, set });
        }
        Ok(Rules { rules: compiled })
    }

    /// The first rule that holds, and its number.
    pub(super) fn first(&self, row: &dyn Row) -> Option<(usize, &Compiled)> {
        self.rules
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.when.iter().all(|(slot, pattern)| pattern.matches(&row.value(*slot))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, value, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*b*b", "abab", true),
            ("a?", "a", false),
            ("!a*", "b", true),
            ("!a*", "ab", false),
            ("SIP/*-0000000?", "SIP/551678-00000001", true),
        ] {
            assert_eq!(Pattern::parse(pattern).matches(value.as_bytes()), expected, "{pattern} {value}");
        }
        // No pattern takes exponential time.
        assert!(!Pattern::parse(&"*a".repeat(500)).matches(&[b'b'; 50_000]));
    }

    #[test]
    fn templates_say_what_is_wrong() {
        assert!(Template::parse("{{x}} {dst}-{src}").is_ok());
        assert_eq!(Template::parse("a{b").unwrap_err(), "a { without its } in \"a{b\"");
        assert_eq!(Template::parse("a}b").unwrap_err(), "a } without its { in \"a}b\"");
        assert_eq!(Template::parse("{}").unwrap_err(), "{} without a field name in \"{}\"");
    }
}
