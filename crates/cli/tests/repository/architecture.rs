//! Which crate may know which, and that ARCHITECTURE.md names what exists.

use crate::common::{files_below, folders_in, root, text};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which crates of the workspace a crate may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("farebox-core", &[]),
    ("farebox-oracle", &[]),
    ("farebox-text", &["farebox-core"]),
    ("farebox-table", &[]),
    ("farebox-api", &["farebox-core", "farebox-table"]),
    ("farebox-report", &["farebox-core", "farebox-text"]),
    ("farebox-store", &["farebox-core"]),
    ("farebox-store-sqlite", &["farebox-core", "farebox-store", "farebox-table"]),
    ("farebox-service", &["farebox-core", "farebox-store"]),
    (
        "farebox-server",
        &[
            "farebox-api",
            "farebox-core",
            "farebox-report",
            "farebox-service",
            "farebox-store",
            "farebox-table",
            "farebox-text",
        ],
    ),
    (
        "farebox-scenario",
        &["farebox-core", "farebox-report", "farebox-service", "farebox-store", "farebox-text"],
    ),
    (
        "farebox",
        &[
            "farebox-api",
            "farebox-core",
            "farebox-report",
            "farebox-scenario",
            "farebox-server",
            "farebox-service",
            "farebox-store",
            "farebox-store-sqlite",
            "farebox-table",
            "farebox-text",
        ],
    ),
];

/// What the core may depend on besides: exact numbers and the calendar.
const CORE_DEPENDENCIES: &[&str] = &["jiff", "num-rational", "num-traits"];

/// The normal dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap();
            (name(package), all.iter().filter(|one| one["kind"].is_null()).map(name).collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let dependencies = dependencies();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(there, known, "a new crate needs its arrows here and its place in ARCHITECTURE.md");
    for (name, allowed) in ARROWS {
        let ours = dependencies[*name].iter().filter(|one| known.contains(one.as_str()));
        for other in ours {
            assert!(allowed.contains(&other.as_str()), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn the_core_depends_on_exact_numbers_and_the_calendar_only() {
    let expected: BTreeSet<String> = CORE_DEPENDENCIES.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(dependencies()["farebox-core"], expected);
}

#[test]
fn the_core_has_no_float_no_clock_no_input_and_no_serde() {
    const ABSENT: &[(&str, &str)] = &[
        ("f32", "a float is not exact"),
        ("f64", "a float is not exact"),
        ("SystemTime", "time is passed in"),
        ("Instant::now", "time is passed in"),
        ("Timestamp::now", "time is passed in"),
        ("Zoned::now", "time is passed in"),
        ("std::fs", "no input or output"),
        ("std::io", "no input or output"),
        ("std::net", "no input or output"),
        ("std::env", "no input or output"),
        ("std::thread", "no threads"),
        ("println!", "no input or output"),
        ("rand::", "no randomness"),
        ("serde", "stored and wire types live elsewhere"),
    ];
    for file in files_below("crates/core/src", "rs") {
        for (number, line) in text(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, why) in ABSENT {
                assert!(!has_word(code, word), "{file}:{}: {word}: {why}", number + 1);
            }
        }
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let open = word.ends_with([':', '!']);
        !before.ends_with(part) && (open || !after.starts_with(part))
    })
}

/// The part of ARCHITECTURE.md under a heading, down to the next of its level.
fn section(document: &str, heading: &str) -> String {
    let level = heading.split(' ').next().unwrap();
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "ARCHITECTURE.md has no \"{heading}\"");
    let next = |line: &&str| {
        let hashes = line.chars().take_while(|letter| *letter == '#').count();
        hashes == 0 || hashes > level.len()
    };
    lines.take_while(next).collect::<Vec<_>>().join("\n")
}

/// The names in backticks that begin the items of a list.
fn items(section: &str) -> Vec<String> {
    section
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn the_map_names_exactly_the_crates_that_exist() {
    let map = section(&text("ARCHITECTURE.md"), "## Code map");
    let mut named: Vec<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix("### `crates/")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    named.sort();
    assert_eq!(named, folders_in("crates"));
}

#[test]
fn the_map_names_exactly_the_modules_that_exist() {
    for name in folders_in("crates") {
        let map = section(&text("ARCHITECTURE.md"), "## Code map");
        let heading = map.lines().find(|line| line.starts_with(&format!("### `crates/{name}`")));
        let part = section(&map, heading.unwrap_or_else(|| panic!("crates/{name} is not on the map")));
        let mut named = items(&part);
        named.sort();
        let entry = ["lib.rs", "main.rs"].map(|file| format!("crates/{name}/src/{file}"));
        let entry = entry.iter().find(|file| root().join(file).exists()).unwrap();
        let mut there: Vec<String> = text(entry)
            .lines()
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
            .map(str::to_owned)
            .collect();
        there.sort();
        assert_eq!(named, there, "the modules of crates/{name} on the map and in {entry}");
    }
}
