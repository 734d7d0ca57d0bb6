//! The catalogues of the repository.

use farebox_text::catalog;

/// Every catalogue file of the repository, by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogs");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn all_are_without_mistakes() {
    let files = files();
    assert!(files.len() >= 5);
    for (name, bytes) in files {
        match catalog::parse(&name, &bytes) {
            Ok(catalogue) => assert_eq!(format!("{}.toml", catalogue.id), name),
            Err(mistakes) => {
                panic!("{}", mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>())
            }
        }
    }
}
