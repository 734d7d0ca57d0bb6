//! The reference of the book language says what the parser does.

use farebox_text::book::{PRESETS, VERBS, parse};

const REFERENCE: &str = include_str!("../../../docs/book.md");

#[test]
fn the_books_of_the_reference_are_books() {
    let books: Vec<&str> =
        REFERENCE.split("```book\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(books.len(), 2);
    for book in books {
        if let Err(mistakes) = parse("docs/book.md", book.as_bytes()) {
            panic!("{mistakes:#?}\n{book}");
        }
    }
}

#[test]
fn the_books_of_the_importers_page_are_books() {
    const PAGE: &str = include_str!("../../../docs/importers.md");
    let books: Vec<&str> =
        PAGE.split("```book\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(books.len(), 2);
    for book in books {
        if let Err(mistakes) = parse("docs/importers.md", book.as_bytes()) {
            panic!("{mistakes:#?}\n{book}");
        }
    }
    for preset in PRESETS {
        let heading =
            |line: &str| line.starts_with("### ") && line[4..].split(", ").any(|name| name == *preset);
        assert!(PAGE.lines().any(heading), "docs/importers.md lacks a heading for {preset}");
    }
}

#[test]
fn the_reference_names_every_verb_in_its_form_and_every_preset() {
    for (verb, form) in VERBS {
        let heading = REFERENCE.lines().any(|line| {
            line.strip_prefix("### ").is_some_and(|verbs| verbs.split(", ").any(|known| known == *verb))
        });
        assert!(heading, "docs/book.md has no heading for {verb}");
        let form = form.split(" (").next().unwrap_or(form);
        assert!(REFERENCE.contains(&format!("`{form}")), "docs/book.md lacks the form `{form}`");
    }
    for preset in PRESETS {
        assert!(REFERENCE.contains(&format!("- `{preset}`: ")), "docs/book.md lacks the preset {preset}");
    }
}
