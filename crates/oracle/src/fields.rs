//! Fields of a TOML file, as what they must be; anything else panics.

use crate::number::{Number, decimal};
use toml::de::{DeTable, DeValue};

pub(crate) type Table<'a> = DeTable<'a>;

pub(crate) fn get<'t>(table: &'t Table<'_>, name: &str) -> Option<&'t DeValue<'t>> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| {
        // The lifetime of the text outlives the table that borrows from it.
        let value: &DeValue<'_> = value.get_ref();
        value
    })
}

pub(crate) fn tables<'t>(table: &'t Table<'t>, name: &str) -> Vec<(String, &'t Table<'t>)> {
    let Some(DeValue::Table(inner)) = get(table, name) else { return Vec::new() };
    inner
        .iter()
        .map(|(key, value)| match value.get_ref() {
            DeValue::Table(table) => (key.get_ref().to_string(), table),
            other => panic!("{name}.{}: {other:?}", key.get_ref()),
        })
        .collect()
}

pub(crate) fn table<'t>(value: &'t DeValue<'t>) -> &'t Table<'t> {
    match value {
        DeValue::Table(table) => table,
        other => panic!("a table was expected, not {other:?}"),
    }
}

pub(crate) fn text(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(integer) => integer.as_str().replace('_', ""),
        other => panic!("a text was expected, not {other:?}"),
    }
}

pub(crate) fn list<'t>(value: &'t DeValue<'t>) -> Vec<&'t DeValue<'t>> {
    match value {
        DeValue::Array(array) => array.iter().map(|item| item.get_ref()).collect(),
        other => vec![other],
    }
}

pub(crate) fn number(value: &DeValue<'_>) -> Number {
    decimal(&text(value)).expect("a decimal")
}

pub(crate) fn text_of(table: &Table<'_>, name: &str) -> Option<String> {
    get(table, name).map(text)
}

pub(crate) fn number_of(table: &Table<'_>, name: &str) -> Option<Number> {
    get(table, name).map(number)
}

pub(crate) fn texts_of(table: &Table<'_>, name: &str) -> Vec<String> {
    get(table, name).map(|value| list(value).into_iter().map(text).collect()).unwrap_or_default()
}

pub(crate) fn is(table: &Table<'_>, name: &str, default: bool) -> bool {
    match get(table, name) {
        Some(DeValue::Boolean(value)) => *value,
        _ => default,
    }
}
