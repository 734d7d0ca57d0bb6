//! The golden scenarios pass, and show every rule and every refusal; the price lists are right.

use crate::common::{farebox, files_below, root, text};
use farebox_core::engine::REFUSAL_CODES;
use farebox_scenario::golden;
use farebox_service::Groups;
use farebox_store::{Memory, Store};
use farebox_store_sqlite::Sqlite;
use std::collections::BTreeSet;

/// The rules that the scenarios show: all of them.
const RULES: &[(&str, &[u8])] = &[
    ("CEC", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("YKF", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    ("TCCC", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ("KP", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("OCR", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ("ARR", &[1, 2, 3, 4]),
    ("REN", &[1, 2, 3, 4]),
    ("CHG", &[1, 2]),
    ("UNS", &[1, 2]),
    ("MON", &[1, 2]),
    ("PKG", &[1, 2, 3, 4]),
    ("TIR", &[1, 2]),
    ("DECK", &[1, 2]),
    ("NEG", &[1]),
    ("OPEN", &[1]),
    ("ORG", &[1, 2]),
    ("BUD", &[1]),
    ("LATE", &[1]),
];

/// Refusals that no book can bring about, and why.
const UNREACHABLE: &[(&str, &str)] = &[
    ("counter-cuts-period", "a book's counters are cut wherever one of its lines may change something"),
    ("not-positive", "the book language has quantities from 1"),
    ("bad-percent", "the book language has percentages above 0 and at most 100"),
];

fn scenario_files() -> Vec<String> {
    let mut files = files_below("scenarios", "test");
    files.extend(files_below("scenarios", "book"));
    files
}

#[test]
fn scenarios_pass_and_rewriting_them_changes_nothing() {
    let files = scenario_files();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let path = root().join(&file);
        match golden::check(&path) {
            Err(mistakes) => wrong.extend(mistakes.iter().map(ToString::to_string)),
            Ok(checked) if !checked.differences.is_empty() => wrong.extend(checked.differences),
            Ok(checked) => {
                if checked.rewritten != text(&file) {
                    wrong.push(format!("{file}: rewriting a scenario that passes changes it"));
                }
                if checked.shown == 0 {
                    wrong.push(format!("{file}: shows nothing"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n(farebox test --update writes the answers of today)", wrong.join("\n"));
}

/// Every scenario with its accounts in these stores: each question is answered from what they kept.
fn pass_on(store: &mut dyn FnMut() -> Box<dyn Store>) {
    let mut wrong = Vec::new();
    for file in scenario_files() {
        let groups = Groups::of(store()).unwrap();
        match golden::check_kept(&root().join(&file), groups) {
            Err(mistakes) => wrong.extend(mistakes.iter().map(ToString::to_string)),
            Ok(checked) => wrong.extend(checked.differences),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn scenarios_pass_on_the_store_in_memory() {
    pass_on(&mut || Box::new(Memory::new()));
}

#[test]
fn scenarios_pass_on_sqlite_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    pass_on(&mut || {
        number += 1;
        Box::new(Sqlite::open(&folder.path().join(number.to_string())).unwrap())
    });
}

#[test]
fn every_rule_is_shown_by_a_scenario() {
    let shown: BTreeSet<String> = scenario_files().iter().flat_map(|file| rules_in(&text(file))).collect();
    let all =
        RULES.iter().flat_map(|(source, numbers)| numbers.iter().map(move |n| format!("R-{source}-{n}")));
    let missing: Vec<String> = all.filter(|rule| !shown.contains(rule)).collect();
    assert!(missing.is_empty(), "no scenario names {}", missing.join(", "));
}

/// The rules that a scenario's own prose names: its comments, not the answers.
fn rules_in(text: &str) -> Vec<String> {
    let comments = text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment);
    let part = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '-');
    let words = comments.flat_map(|comment| comment.split(part));
    words.filter(|word| word.starts_with("R-")).map(str::to_owned).collect()
}

#[test]
fn every_refusal_is_shown_by_a_scenario() {
    let texts: Vec<String> = scenario_files().iter().map(|file| text(file)).collect();
    let shows = |code: &str| {
        let forms = [format!("! {code}:"), format!("no: {code}:")];
        texts.iter().flat_map(|text| text.lines()).any(|line| forms.iter().any(|form| line.starts_with(form)))
    };
    let codes = || REFUSAL_CODES.iter().copied().flatten();
    let missing: Vec<&&str> =
        codes().filter(|code| UNREACHABLE.iter().all(|(known, _)| known != *code) && !shows(code)).collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
    for (code, why) in UNREACHABLE {
        assert!(codes().any(|known| known == code), "there is no refusal {code}");
        assert!(!shows(code), "{code} is shown, although: {why}");
    }
}

#[test]
fn the_price_lists_have_no_mistakes() {
    let mut files = files_below("catalogs", "toml");
    assert!(files.len() >= 5);
    // Scenarios and benches have price lists of their own.
    files.extend(files_below("scenarios", "toml"));
    files.extend(files_below("bench", "toml"));
    for file in files {
        let output = farebox(&["catalog", "check", &file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = farebox(&["catalog", "show", &file]);
        assert!(shown.status.success() && !shown.stdout.is_empty(), "{file} is shown");
    }
}

#[test]
fn the_reference_names_every_question() {
    let reference = text("docs/book.md");
    for (name, form) in farebox_report::QUESTIONS {
        assert!(
            reference.contains(&format!("`$ {form}`")),
            "docs/book.md lacks the question {name}: `$ {form}`"
        );
    }
}

#[test]
fn the_first_book_of_the_reference_is_true() {
    let reference = text("docs/book.md");
    let book = reference.split("```book\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    match golden::check_bytes("docs/book.md", book.as_bytes(), &root().join("docs")) {
        Ok(checked) => assert!(checked.differences.is_empty(), "{}", checked.differences.join("\n")),
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}
