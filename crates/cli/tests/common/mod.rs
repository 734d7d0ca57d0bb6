//! What the tests of this folder share: the tree, and the binary.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The text of a file of the repository.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asserts that a page that is made from the code is as the code makes it; `FAREBOX_UPDATE=1` writes it anew.
pub fn is_that_of_the_code(path: &str, page: &str) {
    if std::env::var_os("FAREBOX_UPDATE").is_some() {
        std::fs::write(root().join(path), page).unwrap();
    }
    assert_eq!(
        text(path),
        page,
        "{path} differs; write it anew with: FAREBOX_UPDATE=1 cargo test -p farebox --test repository"
    );
}

/// Every file of the repository, relative to its root, in order.
pub fn files() -> Vec<String> {
    let mut found = Vec::new();
    walk(root(), "", &mut found);
    found.sort();
    found
}

/// The files below a folder whose name ends in `.extension`.
pub fn files_below(folder: &str, extension: &str) -> Vec<String> {
    let is_there = |path: &String| path.starts_with(&format!("{folder}/"));
    files().into_iter().filter(is_there).filter(|path| path.ends_with(&format!(".{extension}"))).collect()
}

fn walk(folder: &Path, relative: &str, found: &mut Vec<String>) {
    const LEFT_OUT: &[&str] = &[".git", "target", "corpus", "artifacts", "__pycache__", ".venv"];
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let path = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The folders directly in one, by name.
pub fn folders_in(folder: &str) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// Runs the binary at the root of the repository.
pub fn farebox(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("the binary runs")
}

/// What the binary printed, when it succeeded.
pub fn stdout_of(arguments: &[&str]) -> String {
    let output = farebox(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "farebox {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Writes a file where tests may, and answers its path.
pub fn scratch(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

/// The words of a command line, as a shell reads them: quotes enclose blanks, `#` begins a comment.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quote, mut begun) = (None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '"' | '\'') => (quote, begun) = (Some(letter), true),
            (None, '#') if !begun => break,
            (None, ' ') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, letter) => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}
