//! `docs/catalogue.md` against the reader of catalogue files.

use farebox_text::catalog;
use std::collections::BTreeSet;

const DOCS: &str = include_str!("../../../docs/catalogue.md");

/// A file with a field that nobody knows in every kind of table.
const UNKNOWN_EVERYWHERE: &str = r#"
x = 1
catalogue = { x = 1, id = "t", version = "1", title = "T", zone = "UTC", currency = "EUR" }
policy = { x = 1, auto-renewal = { x = 1 } }
meters.m = { x = 1, event = "call", aggregate = "sum", of = "s", round = { x = 1, each-up-to = 1 } }
meters.n = { event = "call", where = { a = { x = 1, not = "b" } } }
decks.d = { x = 1, destination = "to", bands = [{ x = 1, id = "all" }], rows = [{ x = 1, prefix = "", price = 1 }] }
licences.l = { x = 1, title = "L", by = ["web"] }
[products.p]
x = 1
title = "P"
[products.p.plans.a]
x = 1
title = "A"
modes = ["prepaid"]
trial = { x = 1, days = 1 }
[products.p.plans.b]
title = "B"
modes = ["pay-per-use"]
advice = [{ x = 1, charge = "a", from = 1, text = "t" }]
grants = [{ x = 1, id = "g", meter = "m", units = 1 }]
charges = [
    { x = 1, id = "a", held = { x = 1, by = "day" }, price = 1 },
    { id = "b", meter = "m", graduated = [{ x = 1, price = 1 }] },
    { id = "c", meter = "m", block = { x = 1, size = 1, price = 1 } },
]
"#;

#[test]
fn every_field_is_in_the_reference() {
    let mistakes = catalog::parse("t", UNKNOWN_EVERYWHERE.as_bytes()).unwrap_err();
    let mut fields = BTreeSet::new();
    for mistake in &mistakes {
        assert!(mistake.found.starts_with("unknown field \"x\" in "), "{mistake}");
        fields.extend(mistake.expected.split(", ").flat_map(|some| some.split(" or ")).map(str::to_owned));
    }
    assert_eq!(mistakes.len(), 20, "{mistakes:#?}");
    assert!(fields.len() > 60);
    for field in fields {
        let named = [format!("`{field}`"), format!("[{field}"), format!("{field} = ")];
        assert!(named.iter().any(|named| DOCS.contains(named)), "docs/catalogue.md lacks {field}");
    }
}

#[test]
fn the_examples_are_without_mistakes() {
    let mut blocks = DOCS.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let whole = blocks.next().unwrap();
    for block in std::iter::once(String::new()).chain(blocks.map(str::to_owned)) {
        let text = format!("{whole}\n{block}");
        if let Err(mistakes) = catalog::parse("docs/catalogue.md", text.as_bytes()) {
            panic!("{}", mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>());
        }
    }
}

#[test]
fn the_messages_are_those_of_the_reader() {
    let block = |language: &str| {
        let (_, rest) = DOCS.split_once(&format!("```{language}\n")).unwrap();
        rest.split("```").next().unwrap()
    };
    let wrong = block("toml")
        .replace("meter = \"outbound-minutes\"", "meter = \"outbound-minute\"")
        .replace("price = \"0.02\"", "price = 0.02");
    let mistakes = catalog::parse("calls.toml", wrong.as_bytes()).unwrap_err();
    assert_eq!(mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>(), block("text"));
}
