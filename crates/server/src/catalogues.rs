//! Price lists: checked, compared, published, listed, shown.

use crate::access::lock;
use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::deeds::{name_of, published};
use crate::operation::{BOOKKEEPERS, Body, Described, Form, OPERATOR, Operation, Parameter, READERS};
use farebox_api::{FieldMistake, Moment, PriceList, PriceListChange, PriceListDiff, PriceListText};
use farebox_core::catalog::Catalogue;
use farebox_core::engine::Catalogues;
use farebox_service::{Service, Unpublished};
use farebox_store::{CatalogueText, Store, StoreError};
use farebox_text::catalog;
use serde_json::json;

/// The price lists that are published in a store.
///
/// # Errors
/// [`StoreError::Corrupt`] when one of them is none any more, or not the one that entries say; others when the store fails.
pub fn parse_all(store: &dyn Store) -> Result<Catalogues, StoreError> {
    let kept = store.catalogues()?;
    let published = published(store, &kept)?;
    let mut all = Catalogues::default();
    for list in &kept {
        // Bills would be made by it.
        if published.get(&name_of(list)).is_some_and(|hash| *hash != catalog::hash(list.text.as_bytes())) {
            return Err(damaged(list, "it is not the text that was published".to_owned()));
        }
        add(&mut all, list)?;
    }
    Ok(all)
}

/// Those that can be read, whatever was published; of each of the others it is told why not.
///
/// # Errors
/// When the store fails.
pub fn parse_intact(store: &dyn Store, each: &mut dyn FnMut(StoreError)) -> Result<Catalogues, StoreError> {
    let mut all = Catalogues::default();
    store.each_catalogue(&mut |kept| {
        if let Err(error) = kept.and_then(|kept| add(&mut all, &kept)) {
            each(error);
        }
    })?;
    Ok(all)
}

fn add(all: &mut Catalogues, kept: &CatalogueText) -> Result<(), StoreError> {
    let list = catalog::parse(&kept.id, kept.text.as_bytes()).map_err(|wrong| {
        let first = wrong.first().map(ToString::to_string);
        damaged(kept, first.unwrap_or_default())
    })?;
    all.add(list).map_err(|conflict| damaged(kept, format!("{conflict:?}")))
}

fn damaged(list: &CatalogueText, found: String) -> StoreError {
    StoreError::Corrupt { place: format!("price list \"{}\"", list.id), found }
}

/// Reads the body where it keeps nobody waiting: a large rate deck takes a second or so.
fn first(asked: &Asked) -> Result<(), Answer> {
    *lock(&asked.list) = Some(parse(asked)?);
    Ok(())
}

/// A file as large as a catalogue file may be.
fn large(operation: Operation) -> Operation {
    Operation { bytes_max: catalog::MAX_BYTES, first: Some(first), ..operation }
}

const FILE: Body = Body::Text("application/toml", "A catalogue file: docs/catalogue.md.");

pub(crate) fn operations() -> Vec<Operation> {
    let at = || Parameter::text::<Moment>("at", "The version in force at this moment; now when left out.");
    vec![
        Operation::get(
            "/v1/catalogues",
            "list-catalogues",
            "The price lists, each version, by name and date.",
        )
        .by(READERS)
        .page::<PriceList>()
        .asks(list),
        large(
            Operation::post(
                "/v1/catalogues",
                "publish-catalogue",
                "Publishes a price list, or a version of one.",
            )
            .by(OPERATOR)
            .once()
            .body(FILE)
            .refuses(&[
                (409, "catalogue-exists"),
                (409, "catalogue-date-taken"),
                (409, "catalogue-differs"),
                (409, "catalogue-backdated"),
                (409, "catalogue-other-cycles"),
            ])
            .answers(201, Form::One(Described::of::<PriceList>()))
            .asks(publish),
        ),
        large(
            Operation::post(
                "/v1/catalogues/check",
                "check-catalogue",
                "Reads a price list, and publishes nothing.",
            )
            .by(BOOKKEEPERS)
            .body(FILE)
            .one::<PriceList>()
            .changes_nothing()
            .asks(|_, asked| Ok(Reply::json(200, PriceList::of(&read(asked)?)))),
        ),
        large(
            Operation::post("/v1/catalogues/diff", "compare-catalogue", "What a price list would change.")
                .by(BOOKKEEPERS)
                .body(FILE)
                .one::<PriceListDiff>()
                .changes_nothing()
                .asks(compare),
        ),
        Operation::get("/v1/catalogues/{catalogue}", "show-catalogue", "A price list, and its text.")
            .by(READERS)
            .takes(at())
            .one::<PriceListText>()
            .asks(one),
    ]
}

/// The price list of the body.
fn read(asked: &Asked) -> Result<Catalogue, Answer> {
    match lock(&asked.list).take() {
        Some(list) => Ok(list),
        None => parse(asked),
    }
}

/// The price list of a body; every mistake of it with its line.
fn parse(asked: &Asked) -> Result<Catalogue, Answer> {
    catalog::parse("body", &asked.body).map_err(|wrong| {
        let mistake = |one: farebox_text::diagnostic::Diagnostic| {
            FieldMistake::new(format!("line {}", one.line), one.found, one.expected)
        };
        Answer::mistaken(wrong.into_iter().map(mistake).collect())
    })
}

fn list(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let key = |list: &Catalogue| {
        let from = list.effective.map(|at| at.to_string()).unwrap_or_default();
        format!("{} {from}", list.id)
    };
    let mut all: Vec<(String, &Catalogue)> =
        service.catalogues().iter().map(|list| (key(list), list)).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    asked.page(all.into_iter(), PriceList::of)
}

fn publish(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let list = read(asked)?;
    let kept = CatalogueText {
        id: list.id.clone(),
        effective: list.effective,
        published: service.clock(),
        text: String::from_utf8_lossy(&asked.body).into_owned(),
        parts: Vec::new(),
    };
    let shown = PriceList::of(&list);
    let conflict = |code, detail| Err(Answer::problem(code, 409, detail));
    let said = json!({"command": "publish-catalogue", "catalogue": shown.id, "version": shown.version,
                      "hash": shown.hash, "effective": shown.effective_at});
    match service.publish(list, kept) {
        Ok(()) => {
            asked.note_deed(service, &said)?;
            Ok(Reply::json(201, shown))
        }
        Err(Unpublished::Exists) => conflict(
            "catalogue-exists",
            "this price list is published already, with this text; there is nothing to do",
        ),
        Err(Unpublished::DateTaken) => conflict(
            "catalogue-date-taken",
            "another text is published with this effective date; give this version a later one",
        ),
        Err(Unpublished::ZoneOrCurrency) => conflict(
            "catalogue-differs",
            "the versions of a price list have one zone and one currency; publish it under another id",
        ),
        Err(Unpublished::OtherCycles(other)) => conflict(
            "catalogue-other-cycles",
            &format!("{other}; what was charged goes on under its name: give the charge another id"),
        ),
        Err(Unpublished::Backdated) => conflict(
            "catalogue-backdated",
            "a version is in force already, and what was used so far keeps its price; \
             give this one an effective date from now on",
        ),
    }
}

fn compare(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let list = read(asked)?;
    let from = list.effective.unwrap_or_else(|| service.clock());
    let before = service.catalogues().in_force(&list.id, from);
    let (old, new) = (before.map(catalog::show).unwrap_or_default(), catalog::show(&list));
    let diff = PriceListDiff {
        before: before.map(PriceList::of),
        changes: changes(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>()),
        list: PriceList::of(&list),
    };
    Ok(Reply::json(200, diff))
}

fn one(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let id = asked.path("catalogue");
    let at = asked.parameter::<Moment>("at").map_or(service.clock(), |moment| moment.0);
    let texts = service.catalogue_texts()?;
    let Some(list) = service.catalogues().in_force(id, at) else {
        return Err(Answer::problem("not-found", 404, &format!("there is no price list {id:?} in force")));
    };
    let kept = texts.into_iter().find(|kept| kept.id == list.id && kept.effective == list.effective);
    // What a vendor notes beside its prices is no matter of its customers.
    let text = kept.map(|kept| kept.text).filter(|_| asked.own_tree().is_none());
    Ok(Reply::json(200, PriceListText { list: PriceList::of(list), shown: catalog::show(list), text }))
}

/// The most pairs of lines that are compared.
const TABLE_MAX: usize = 4_000_000;

/// The lines that are not in both, by a longest common sequence.
fn changes(old: &[&str], new: &[&str]) -> Vec<PriceListChange> {
    // What is the same at both ends needs no table.
    let first = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[first..], &new[first..]);
    let last = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[..old.len() - last], &new[..new.len() - last]);
    let change =
        |change: &str, line: &str| PriceListChange { change: change.to_owned(), line: line.to_owned() };
    // Price lists that have so little in common are not worth a table of their size.
    if old.len().saturating_mul(new.len()) > TABLE_MAX {
        let removed = old.iter().map(|line| change("removed", line));
        return removed.chain(new.iter().map(|line| change("added", line))).collect();
    }
    // How many lines both have in common from here on.
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at][to] = match old[at] == new[to] {
                true => common[at + 1][to + 1] + 1,
                false => common[at + 1][to].max(common[at][to + 1]),
            };
        }
    }
    let (mut at, mut to, mut found) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        let keeps = at < old.len() && to < new.len() && old[at] == new[to];
        if keeps {
            (at, to) = (at + 1, to + 1);
        } else if to == new.len() || (at < old.len() && common[at + 1][to] >= common[at][to + 1]) {
            found.push(change("removed", old[at]));
            at += 1;
        } else {
            found.push(change("added", new[to]));
            to += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn changes_are_the_lines_that_are_not_in_both() {
        let shown = |old: &[&str], new: &[&str]| -> Vec<String> {
            let sign = |change: &str| if change == "added" { '+' } else { '-' };
            changes(old, new).iter().map(|one| format!("{}{}", sign(&one.change), one.line)).collect()
        };
        assert_eq!(shown(&["a", "b", "c"], &["a", "x", "c", "d"]), ["-b", "+x", "+d"]);
        assert_eq!(shown(&["a", "b", "a"], &["b", "a", "b"]), ["-a", "+b"]);
        assert_eq!(shown(&[], &["a"]), ["+a"]);
        assert!(shown(&["a"], &["a"]).is_empty());
    }
}
