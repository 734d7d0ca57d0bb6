//! What an earlier version stored can be read, and is written again with the same bytes.
//!
//! crates/store/tests/format-1.txt holds a record for every kind of fact, as hexadecimal digits. It is made once for
//! a format (`FAREBOX_UPDATE=1` adds what is missing), and never changed: a format that must change gets a new
//! number and a new file, and this version goes on reading the old one.

use crate::common::{files_below, root, text};
use farebox_core::calendar::Instant;
use farebox_core::engine::Fact;
use farebox_scenario::golden;
use farebox_service::Groups;
use farebox_store::{Entry, Position, Seen, Store};
use farebox_store_sqlite::Sqlite;
use std::collections::BTreeSet;
use std::fmt::Write;

const CORPUS: &str = "crates/store/tests/format-1.txt";

/// The names of all kinds of facts, as the source of the stored format lists them: `Terms/Migrated`.
fn kinds_there_are() -> BTreeSet<String> {
    let source = text("crates/store/src/stored/facts.rs");
    let mut kinds = BTreeSet::new();
    let mut module = String::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("choice! { ") {
            let (path, _) = rest.split_once(" {").unwrap();
            module = path.strip_suffix("::Fact").map(|module| format!("{module}/")).unwrap_or_default();
        } else if let Some((_, variant)) = line.trim().split_once(" = ") {
            let name: String = variant.chars().take_while(|c| c.is_alphanumeric()).collect();
            // Those in parentheses are facts of a module, or a record.
            if module.is_empty() && variant.contains("(fact)") {
                continue;
            }
            kinds.insert(format!("{module}{name}").to_lowercase());
        }
    }
    kinds
}

fn kind(fact: &Fact) -> String {
    let shown = format!("{fact:?}");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    let outer = word(&shown);
    let inside = shown.strip_prefix(&outer).and_then(|rest| rest.strip_prefix('('));
    let modules = ["Terms", "Packages", "Holds", "Licences", "Lifecycle", "Wallet", "Budgets"];
    let name = match inside.filter(|_| modules.contains(&outer.as_str())) {
        Some(inside) => format!("{outer}/{}", word(inside)),
        None => outer,
    };
    name.to_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn records_of_an_earlier_version_are_read_and_written_again_as_they_were() {
    add_what_is_missing();
    let corpus = text(CORPUS);
    let mut kinds = BTreeSet::new();
    for (number, line) in corpus.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let record = bytes(line);
        let entry = Entry::from_record(&record).unwrap_or_else(|error| {
            panic!("{CORPUS}:{}: {error}; the format needs a new number", number + 1)
        });
        assert_eq!(hex(&entry.to_record()), line, "{CORPUS}:{}: the format needs a new number", number + 1);
        kinds.extend(entry.facts.iter().map(kind));
    }
    let missing: Vec<_> = kinds_there_are().difference(&kinds).cloned().collect();
    assert!(missing.is_empty(), "{CORPUS} shows none of {missing:?}; FAREBOX_UPDATE=1 adds them");
}

/// Takes the shortest record of every kind of fact that the corpus does not show yet from the scenarios.
fn add_what_is_missing() {
    if std::env::var_os("FAREBOX_UPDATE").is_none() {
        return;
    }
    let mut corpus = std::fs::read_to_string(root().join(CORPUS))
        .unwrap_or_else(|_| "# Records of format 1, as the scenarios left them.\n".to_owned());
    let lines = corpus.lines().filter(|line| !line.starts_with('#'));
    let known = lines.filter_map(|line| Entry::from_record(&bytes(line)).ok());
    let mut kinds: BTreeSet<String> = known.flat_map(|entry| entry.facts).map(|fact| kind(&fact)).collect();
    let mut records = Vec::new();
    for file in files_below("scenarios", "test") {
        let folder = tempfile::tempdir().unwrap();
        let open = || Sqlite::open(folder.path()).unwrap();
        golden::check_kept(&root().join(&file), Groups::of(Box::new(open())).unwrap()).unwrap();
        let store = open();
        for group in store.groups().unwrap() {
            store
                .entries(&group.group, 0, &mut |kept| {
                    records.push(kept.record);
                    Ok(Seen::More)
                })
                .unwrap();
        }
    }
    records.sort_by_key(Vec::len);
    for record in records {
        let entry = Entry::from_record(&record).unwrap();
        let new: Vec<String> = entry.facts.iter().map(kind).filter(|kind| !kinds.contains(kind)).collect();
        if !new.is_empty() {
            writeln!(corpus, "{}", hex(&record)).unwrap();
            kinds.extend(new);
        }
    }
    std::fs::create_dir_all(root().join(CORPUS).parent().unwrap()).unwrap();
    std::fs::write(root().join(CORPUS), corpus).unwrap();
}

#[test]
fn a_record_that_was_changed_is_not_read_as_another() {
    let entry = Entry {
        recorded_at: Instant::UNIX_EPOCH,
        effective_at: Instant::UNIX_EPOCH,
        actor: "clock".to_owned(),
        command: String::new(),
        counted: Position::default(),
        facts: Vec::new(),
    };
    let record = entry.to_record();
    assert_eq!(Entry::from_record(&record).as_ref(), Ok(&entry));
    let mut longer = record.clone();
    longer.push(0);
    assert!(Entry::from_record(&longer).is_err(), "what follows is not ignored");
    for cut in 0..record.len() {
        assert!(Entry::from_record(&record[..cut]).is_err(), "cut after {cut} bytes");
    }
    let mut later = record;
    later[0] += 1;
    assert!(Entry::from_record(&later).is_err(), "a later format");
}
