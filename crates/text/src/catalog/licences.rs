//! `[licences.NAME]`: what is consumed by working with an application, and how many of them a plan
//! brings.

use super::file::Named;
use super::source::{Source, near, one_of, quoted};
use super::table::{Form, Table, whole};
use farebox_core::catalog::Licence;
use std::collections::BTreeMap;

pub(super) fn licence(source: &mut Source<'_>, id: &str, mut table: Table<'_>) -> Option<Licence> {
    let title = table.need_text(source, "title", "title = \"…\", for customers");
    let before = source.count();
    let example = "by = [\"web\", \"sdk\"], the ways of use that consume one";
    let by: Vec<String> = match table.has("by") {
        true => table.names(source, "by", Form::Name).into_iter().map(|(way, _)| way.to_owned()).collect(),
        false => {
            table.need(source, "by", example);
            Vec::new()
        }
    };
    if by.is_empty() && source.count() == before {
        source.mistake(
            table.value_place("by"),
            format!("{} names no way of use", table.label("by")),
            example,
        );
    }
    let named = table.yes(source, "named", true);
    let resets = table.whole(source, "resets-per-month", 1..=10_000);
    if !named && table.has("resets-per-month") {
        let found = format!("{} is not named and has resets-per-month", table.what);
        let expected = "named = true, or no resets: it is free again when nobody uses it";
        source.mistake(table.place("resets-per-month"), found, expected);
    }
    let rules = table.rules(source);
    table.finish(source);
    Some(Licence {
        id: id.to_owned(),
        title: title?,
        by,
        named,
        resets_per_month: resets.and_then(|resets| u16::try_from(resets).ok()),
        rules,
    })
}

/// `licences = { standard-agent = 3 }` of a plan that binds these names.
pub(super) fn of_plan(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    known: &Named<Licence>,
    binds: &[(&str, usize)],
) -> BTreeMap<String, u32> {
    let mut licences = BTreeMap::new();
    let Some(value) = table.get("licences") else { return licences };
    let (what, at) = (table.label("licences"), table.place("licences"));
    let Some(inner) = Table::read(source, what.clone(), at, value, "{ standard-agent = 3 }") else {
        return licences;
    };
    if !binds.iter().any(|(name, _)| *name == "application") {
        let found = format!("{} brings licences and does not bind an application", table.what);
        source.mistake(at, found, "binds = [\"application\"]: licences belong to one");
    }
    for (name, at, value) in inner.each() {
        if !known.contains_key(name) {
            let names = || known.keys().map(String::as_str);
            let found = format!("unknown licence {} in {what}", quoted(name));
            let expected = format!("one that [licences] declares: {}", one_of(names()));
            source.suggest(at, found, expected, near(name, names()));
        }
        let count = whole(source, &format!("{what}: {}", quoted(name)), value, 1..=1_000_000);
        licences.insert(name.to_owned(), count.unwrap_or(1));
    }
    licences
}
