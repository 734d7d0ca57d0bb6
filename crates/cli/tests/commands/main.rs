//! The binary as a user meets it: what it prints, where, and with which exit status.

#[path = "../common/books.rs"]
mod books;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/server.rs"]
mod server;

mod archive;
mod bench;
mod erase;
mod erased_member;
mod focus;
mod journal;
mod json;
mod logs;
mod mistakes;
mod operate;
mod push;
mod serve;
mod store;

use common::{farebox, root, scratch};
use std::io::Read;
use std::process::{Command, Stdio};

/// The catalogue line of a book that stands anywhere.
fn catalog() -> String {
    format!("catalog \"{}\"\n", root().join("catalogs/huawei-ykf.toml").display())
}

const SEATS: &str = "\
2020-01-04 open acme \"Acme Ltd\"
2020-01-04 13:23:56 subscribe acme basic-seat 10 as seats
2020-01-16 10:00 add acme/seats 2
2020-01-28 18:00 remove acme/seats 1
";

fn bill(name: &str, book: impl AsRef<[u8]>) -> String {
    let path = scratch(name, book);
    let output = farebox(&["bill", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_empty_book_has_nothing_to_bill() {
    assert_eq!(bill("empty.book", "zone UTC\n"), "Nothing to bill.\n");
    assert_eq!(bill("no-lines.book", catalog()), "Nothing to bill.\n");
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let book = format!("{}{SEATS}", catalog());
    let plain = bill("plain.book", &book);
    assert!(plain.contains("308/31 × 310.00"), "{plain}");
    assert_eq!(bill("crlf.book", book.replace('\n', "\r\n")), plain);
    assert_eq!(bill("bom.book", format!("\u{feff}{book}")), plain);
    assert_eq!(bill("open-end.book", book.trim_end()), plain);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["catalog", "show", "catalogs/huawei-ykf.toml"])
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn a_quote_is_billed_by_the_same_code() {
    let quoted = farebox(&[
        "quote",
        "catalogs/huawei-ykf.toml",
        "--from",
        "2020-01-04 13:23:56",
        "subscribe basic-seat 10 as seats",
    ]);
    let quoted = String::from_utf8(quoted.stdout).unwrap();
    assert!(quoted.contains("280/31 × 310.00"), "{quoted}");
    assert!(quoted.contains("2800.00"), "{quoted}");
}

#[test]
fn a_scenario_that_differs_fails_and_can_be_updated() {
    let book = format!("{}{SEATS}\n$ bill acme 2020-01\nBill of another month\n", catalog());
    let path = scratch("differs.test", book);
    let path = path.to_str().unwrap();
    let failed = farebox(&["test", path]);
    let shown = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{shown}");
    assert!(shown.contains("  expected: Bill of another month"), "{shown}");
    assert!(shown.contains("  found:    Bill acme-2020-01"), "{shown}");
    assert!(shown.ends_with("0 passed, 1 failed\n"), "{shown}");
    assert!(farebox(&["test", "--update", path]).status.success());
    let passed = farebox(&["test", path]);
    assert_eq!(String::from_utf8(passed.stdout).unwrap(), "1 passed, 0 failed\n");
}

#[test]
fn an_update_goes_on_until_the_answers_are_those_of_the_file() {
    // The refusal that is put in moves the usage below it, whose line the answer names.
    let book = format!(
        "{}2020-01-04 open acme\n2020-01-04 subscribe acme sales-seat 1 as seats\n2020-01-05 subscribe acme basic-seat 1 as seats\n\
         2020-01-06 usage acme fax\n\n$ quarantine\n",
        catalog()
    );
    let path = scratch("moved.test", book);
    let updated = farebox(&["test", "--update", path.to_str().unwrap()]);
    assert_eq!(String::from_utf8(updated.stdout).unwrap(), "1 of 1 files updated\n1 passed, 0 failed\n");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("\n! subscription-exists: ") && text.contains("moved.test:6  nothing-measures"),
        "{text}"
    );
    let passed = farebox(&["test", path.to_str().unwrap()]);
    assert_eq!(String::from_utf8(passed.stdout).unwrap(), "1 passed, 0 failed\n");
}
