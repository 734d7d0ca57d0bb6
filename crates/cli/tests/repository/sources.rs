//! What no file may be or hold.

use crate::common::{files, root};

/// Longest source file; tests and data may be longer.
const LINES_MAX: usize = 700;

fn lines_of(path: &str) -> Vec<String> {
    let bytes = std::fs::read(root().join(path)).unwrap();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

#[test]
fn sources_are_short_enough_to_read() {
    let is_test = |path: &str| path.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
    for path in files().iter().filter(|path| path.ends_with(".rs") && !is_test(path)) {
        let lines = lines_of(path).len();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines; split it by subject");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Joined here, so that this file does not hold them.
    let left = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["unimplemented", "!("]]
        .map(|word| word.concat());
    for path in files()
        .iter()
        .filter(|path| path.ends_with(".rs") || path.ends_with(".md") || path.ends_with(".toml"))
    {
        for (number, line) in lines_of(path).iter().enumerate() {
            for word in &left {
                assert!(!line.contains(word.as_str()), "{path}:{}: {word}", number + 1);
            }
        }
    }
}

#[test]
fn files_name_no_machine_and_no_foreign_host() {
    /// Hosts that files may name: standards, and the projects that pages are about.
    const HOSTS: &[&str] = &["github.com", "toml.io", "www.apache.org", "duckdb.org", "cloudevents.io"];
    let paths = ["root", "work", "home", "Users"].map(|folder| format!("/{folder}/"));
    let is_example = |host: &str| {
        host.is_empty()
            || host.split('.').any(|part| matches!(part, "example" | "invalid" | "test" | "localhost"))
            || host.starts_with(|letter: char| !letter.is_ascii_alphanumeric())
    };
    for path in files() {
        for (number, line) in lines_of(&path).iter().enumerate() {
            for folder in &paths {
                let found = line.match_indices(folder.as_str()).any(|(at, _)| {
                    // `example.org/home/x` in a usage file is a path of a site, not of a machine.
                    !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || "}).-_".contains(letter))
                });
                assert!(!found, "{path}:{}: names {folder}", number + 1);
            }
            for rest in ["https://", "http://"].iter().flat_map(|scheme| line.split(scheme).skip(1)) {
                let end =
                    rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || ".-".contains(letter)));
                let host = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                let known =
                    HOSTS.contains(&host) || ["example.com", "example.org", "example.net"].contains(&host);
                assert!(known || is_example(host), "{path}:{}: names the host {host}", number + 1);
            }
        }
    }
}

#[test]
fn scripts_can_be_run() {
    #[cfg(unix)]
    for path in ["scripts/test", ".ci/run"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(root().join(path)).unwrap().permissions().mode();
        assert!(mode & 0o111 != 0, "{path} is not executable");
        assert!(lines_of(path)[0].starts_with("#!"), "{path} does not say what runs it");
    }
}
