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
    let sources = files().into_iter().filter(|path| path.ends_with(".rs") && !is_test(path));
    let long = sources.filter_map(|path| {
        let lines = lines_of(&path).len();
        (lines > LINES_MAX).then(|| format!("{path} has {lines} lines; split it by subject\n"))
    });
    assert_eq!(long.collect::<String>(), "");
}

/// Lines of files in which `found` finds something, with what it finds.
fn lines_with(paths: &[String], found: &dyn Fn(&str) -> Option<String>) -> String {
    let mut wrong = String::new();
    for path in paths {
        for (number, line) in lines_of(path).iter().enumerate() {
            if let Some(what) = found(line) {
                wrong.push_str(&format!("{path}:{}: {what}\n", number + 1));
            }
        }
    }
    wrong
}

#[test]
fn nothing_is_left_for_later() {
    // Joined here, so that this file does not hold them.
    let left = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["unimplemented", "!("]];
    let left = left.map(|word| word.concat());
    let mut paths = files();
    paths.retain(|path| [".rs", ".md", ".toml"].iter().any(|end| path.ends_with(end)));
    let wrong = lines_with(&paths, &|line| left.iter().find(|word| line.contains(word.as_str())).cloned());
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn files_name_no_folder_of_a_machine() {
    let folders = ["root", "work", "home", "Users"].map(|folder| format!("/{folder}/"));
    // `example.org/home/x` in a usage file is a path of a site, not of a machine.
    let part = |letter: char| letter.is_alphanumeric() || "}).-_".contains(letter);
    let is_path =
        |line: &str, folder: &str| line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(part));
    let wrong = lines_with(&files(), &|line| folders.iter().find(|folder| is_path(line, folder)).cloned());
    assert!(wrong.is_empty(), "{wrong}");
}

/// Hosts that files may name: standards, and the projects that pages are about.
const HOSTS: &[&str] =
    &["github.com", "toml.io", "www.apache.org", "duckdb.org", "cloudevents.io", "mutants.rs"];

/// A host that stands for no real one.
fn is_example(host: &str) -> bool {
    let made_up = ["example", "invalid", "test"];
    let examples = ["example.com", "example.org", "example.net"];
    !host.contains('.')
        || made_up.iter().any(|end| host.ends_with(&format!(".{end}")))
        || examples.iter().any(|end| host == *end || host.ends_with(&format!(".{end}")))
}

#[test]
fn files_name_known_hosts_only() {
    let stranger = |line: &str| {
        ["https://", "http://"].iter().flat_map(|scheme| line.split(scheme).skip(1)).find_map(|rest| {
            let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || ".-".contains(letter)));
            let host = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            (!HOSTS.contains(&host) && !is_example(host)).then(|| host.to_owned())
        })
    };
    let wrong = lines_with(&files(), &stranger);
    assert!(wrong.is_empty(), "{wrong}");
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
