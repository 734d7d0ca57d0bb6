//! docs/commands.md is made from the code: every command with its fields, every form of a value.

use crate::common::is_that_of_the_code;
use farebox_api::command::{CommandPart, described};
use farebox_text::book::VERBS;

const PAGE: &str = "docs/commands.md";

/// Verbs that are no wish for an account, or are said with another word.
const OTHER_VERBS: &[(&str, Option<&str>)] = &[
    ("change", Some("change-mode")),
    ("migrate", Some("migrate-term")),
    ("login", Some("licence")),
    ("logout", Some("licence")),
    ("mobile", Some("licence")),
    ("monitor", Some("licence")),
    ("phone", Some("licence")),
    ("usage", None),
    ("void", None),
];

fn table(command: &CommandPart) -> String {
    let mut part = format!("\n## {}\n\n{}\n", command.word, command.description.replace('\n', " "));
    if command.fields.is_empty() {
        return part + "\nIt has no other fields.\n";
    }
    part.push_str("\n| Field | Value | Meaning |\n|---|---|---|\n");
    for field in &command.fields {
        let name = if field.required { format!("**`{}`**", field.name) } else { format!("`{}`", field.name) };
        let form = match field.form.strip_prefix("array of ") {
            Some(of) => format!("array of [{of}](#values)"),
            None if field.form.starts_with('`') => field.form.clone(),
            None => format!("[{}](#values)", field.form),
        };
        part.push_str(&format!("| {name} | {form} | {} |\n", field.description.replace('\n', " ")));
    }
    part
}

fn page() -> String {
    let (commands, values) = described();
    let mut page = "\
# Commands as JSON

What a client may wish for an account. A command is an object: `command` says which it is, by the word of [the book language](book.md#verbs) where there is one, and the other fields are those of its table. Fields in bold must be given; the others may be left out or `null`. What a command does, and what is refused, is said there; the codes of refusals are in [refusals and quarantine](errors.md). This page is made from the code by `FAREBOX_UPDATE=1 cargo test -p farebox --test repository`.

```json
{\"command\": \"subscribe\", \"plan\": \"basic-seat\", \"name\": \"seats\", \"quantity\": 10}
{\"command\": \"add\", \"subscription\": \"seats\", \"quantity\": 2, \"effective\": \"2020-01-16T10:00:00+08:00\"}
```

Whom it is about is no field: the account is named beside the command.

## Mistakes

Every mistake of a body is reported at once, at most 50: a field that the command does not have, one that is missing (`found` is `nothing`), a value of another form, fields that exclude each other. Nothing is done then.

| Field | Form | Meaning |
|---|---|---|
| `field` | text | where: a JSON pointer (RFC 6901) such as `/attributes/number`; empty for the body as a whole; `account` for the account itself |
| `found` | text | what was found |
| `expected` | text | what is expected there |

## Problems

What is not done is answered as `application/problem+json` (RFC 9457).

| Field | Form | Meaning |
|---|---|---|
| `type` | text | `urn:farebox:problem:CODE` |
| `title` | text | the kind of problem in a few words |
| `status` | number | the HTTP status |
| `detail` | text | why, in a sentence for people, which may change |
| `code` | text | the stable code: that of a [refusal](errors.md#refusals), or `mistakes` |
| `account` | text | whom it is about, where there is someone |
| `mistakes` | array of [mistakes](#mistakes) | what is wrong with the body; not there without any |
"
    .to_owned();
    for command in &commands {
        page.push_str(&table(command));
    }
    page.push_str("\n## Values\n\n| Value | Form |\n|---|---|\n");
    for (name, expected) in values {
        let expected = match name.as_str() {
            "PaymentMode" => "`\"pay-per-use\"` or `\"prepaid\"`".to_owned(),
            "LicenceChange" => "`\"on\"`, `\"off\"` or `\"failed\"`".to_owned(),
            "UsedUnits" => {
                "An object: `package`, a Name, the plan's only one when left out; **`units`**, a NonNegativeDecimal."
                    .to_owned()
            }
            _ => expected,
        };
        assert!(!expected.is_empty(), "{name} is not described");
        page.push_str(&format!("| {name} | {expected} |\n"));
    }
    page
}

#[test]
fn the_page_of_commands_is_that_of_the_code() {
    is_that_of_the_code(PAGE, &page());
}

#[test]
fn the_examples_of_the_page_are_commands() {
    let page = page();
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for line in block.lines() {
        farebox_api::Wish::read(line.as_bytes()).unwrap_or_else(|wrong| panic!("{line}: {wrong:#?}"));
    }
}

#[test]
fn every_verb_of_the_book_language_is_a_command() {
    let (commands, _) = described();
    let is_word = |word: &str| commands.iter().any(|command| command.word == word);
    for (verb, _) in VERBS {
        match OTHER_VERBS.iter().find(|(other, _)| other == verb) {
            None => assert!(is_word(verb), "{verb} is no command; is it said with another word?"),
            Some((_, said)) => {
                assert!(!is_word(verb) && said.is_none_or(is_word), "{verb} is said with {said:?}");
            }
        }
    }
}
