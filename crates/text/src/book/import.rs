//! Imports: which file in which format, and what its rows become.

use super::ast::*;
use super::lex::{Lexed, Mistake, Words, check_key, name, quoted, twice};
use super::time::When;
use super::verb::{zone, zone_word};
use crate::import::Preset;

/// The formats that can be imported; `docs/book.md` explains each.
pub const PRESETS: &[&str] = &{
    let mut names = [""; Preset::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Preset::ALL[i].name();
        i += 1;
    }
    names
};

const FORM: &str = "import PRESET \"FILE\" [zone ZONE] [source NAME] [type TYPE]";
const COLUMNS_FORM: &str = "columns NAME=COLUMN … [separator=;] [time-format=\"%d/%m/%Y %H:%M:%S\"]";
const MATCH_FORM: &str = "match FIELD=PATTERN … set NAME=TEMPLATE …";

/// An `import` line, from its words after the verb.
pub(super) fn import(words: &mut Words, at: Option<When>) -> Result<ImportLine, Mistake> {
    words.set_form(FORM);
    let preset = words.need("a format")?;
    if !PRESETS.contains(&preset.keyword()) {
        let found = format!("unknown format {}", quoted(&preset.text));
        let expected = format!("one of {}", PRESETS.join(", "));
        let near = PRESETS.iter().copied();
        return Err(Mistake::new(preset.column, found, expected).near(preset.keyword(), near));
    }
    let file = words.need("a file")?;
    if file.text.is_empty() {
        return Err(Mistake::new(file.column, "an empty path", "a file, relative to the book"));
    }
    let mut import = ImportLine {
        at,
        preset: preset.word(),
        file: file.word(),
        zone: None,
        source: None,
        kind: None,
        columns: None,
        rules: Vec::new(),
    };
    // `type call` and `type=call` are the same.
    while let Some(token) = words.next() {
        let (key, value) = match token.option() {
            Some((key, value)) => (key, Some(value)),
            None => (Word { text: token.keyword().to_owned(), column: token.column }, None),
        };
        let again = match key.text.as_str() {
            "zone" => {
                let value = value.map_or_else(|| zone(words), zone_word)?;
                import.zone.replace(value).is_some()
            }
            "source" => {
                let value = value.map_or_else(|| Ok(words.need("the name of a source")?.word()), Ok)?;
                import.source.replace(not_empty(value)?).is_some()
            }
            "type" => {
                let value = value.map_or_else(|| Ok(words.need("a type such as call")?.word()), Ok)?;
                import.kind.replace(name(value, "a type of usage, such as call")?).is_some()
            }
            _ => {
                let mistake = words.unexpected(&token, &["zone", "source", "type"]);
                return Err(mistake.near(&key.text, ["zone", "source", "type"]));
            }
        };
        if again {
            return Err(twice(&key));
        }
    }
    Ok(import)
}

fn not_empty(word: Word) -> Result<Word, Mistake> {
    match word.text.is_empty() {
        true => Err(Mistake::new(word.column, "an empty value", "a value")),
        false => Ok(word),
    }
}

/// An indented line under an import. `None`: the import itself was wrong, only the line is checked.
pub(super) fn continuation(
    lexed: Lexed,
    line: usize,
    import: Option<&mut ImportLine>,
) -> Result<(), Mistake> {
    let mut words = Words::new(lexed, MATCH_FORM);
    let token = words.need("match or columns")?;
    match token.keyword() {
        "match" => {
            let rule = rule(&mut words, line)?;
            if let Some(import) = import {
                import.rules.push(rule);
            }
        }
        "columns" => {
            words.set_form(COLUMNS_FORM);
            let columns = columns(&mut words, line)?;
            let Some(import) = import else { return Ok(()) };
            if import.preset.text != "csv" {
                let found = format!("columns under {}, which has its own", import.preset);
                return Err(Mistake::new(token.column, found, "columns under import csv alone"));
            }
            if import.columns.replace(columns).is_some() {
                return Err(twice(&token.word()));
            }
        }
        _ => return Err(words.unexpected(&token, &["match", "columns"])),
    }
    Ok(())
}

fn columns(words: &mut Words, line: usize) -> Result<Columns, Mistake> {
    let mut columns = Columns { line, columns: Vec::new(), separator: None, time_format: None };
    while let Some(token) = words.next() {
        let Some((name, value)) = token.option() else {
            return Err(words.unexpected(&token, &["NAME=COLUMN", "separator=", "time-format="]));
        };
        let value = not_empty(value)?;
        let again = match name.text.as_str() {
            "separator" => columns.separator.replace(separator(&value)?).is_some(),
            "time-format" => columns.time_format.replace(value).is_some(),
            _ => {
                check_key(&name)?;
                // Several columns may identify a row together.
                let again =
                    name.text != "id" && columns.columns.iter().any(|(known, _)| known.text == name.text);
                columns.columns.push((name.clone(), value));
                again
            }
        };
        if again {
            return Err(twice(&name));
        }
    }
    if columns.columns.is_empty() {
        words.need("NAME=COLUMN")?;
    }
    Ok(columns)
}

/// One character, or `tab`.
fn separator(value: &Word) -> Result<char, Mistake> {
    let mut chars = value.text.chars();
    match (value.text.as_str(), chars.next(), chars.next()) {
        ("tab", ..) => Ok('\t'),
        (_, Some(c), None) if c.is_ascii() && c != '"' => Ok(c),
        _ => {
            let found = format!("the separator {}", quoted(&value.text));
            Err(Mistake::new(value.column, found, "one ASCII character such as ; or the word tab"))
        }
    }
}

fn rule(words: &mut Words, line: usize) -> Result<MapRule, Mistake> {
    let mut when = Vec::new();
    loop {
        let token = words.need("set NAME=TEMPLATE or ignore")?;
        match (token.keyword(), token.option()) {
            ("set", _) => break,
            ("ignore", _) => return Ok(MapRule { line, when, action: MapAction::Ignore }),
            (_, Some((field, pattern))) => when.push(condition(field, pattern)?),
            (_, None) => return Err(words.unexpected(&token, &["FIELD=PATTERN", "set", "ignore"])),
        }
    }
    let mut set: Vec<(Word, Word)> = Vec::new();
    while let Some(token) = words.next() {
        let Some((name, template)) = token.option() else {
            return Err(words.unexpected(&token, &["NAME=TEMPLATE"]));
        };
        check_key(&name)?;
        check_template(&template)?;
        if set.iter().any(|(known, _)| known.text == name.text) {
            return Err(twice(&name));
        }
        set.push((name, not_empty(template)?));
    }
    if set.is_empty() {
        words.need("NAME=TEMPLATE")?;
    }
    Ok(MapRule { line, when, action: MapAction::Set(set) })
}

/// `FIELD=PATTERN`, or `FIELD!=PATTERN`. An empty pattern matches an empty field.
fn condition(mut field: Word, pattern: Word) -> Result<MapCondition, Mistake> {
    let negated = field.text.ends_with('!');
    if negated {
        field.text.pop();
    }
    check_key(&field)?;
    Ok(MapCondition { field, pattern, negated })
}

/// Every `{` has its `}`, with a field's name between.
fn check_template(template: &Word) -> Result<(), Mistake> {
    let mut rest = template.text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let inner = rest[at..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
        match inner {
            Some((field, after)) if !field.is_empty() && !field.contains('{') => rest = after,
            _ => {
                let found = format!("the template {}", quoted(&template.text));
                return Err(Mistake::new(
                    template.column,
                    found,
                    "a text in which each {field} is closed and named",
                ));
            }
        }
    }
    Ok(())
}
