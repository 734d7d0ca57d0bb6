//! docs/store.md names every table and column, and its queries hold for the accounts of the scenarios.

use crate::common::{files_below, root, text};
use farebox_scenario::golden;
use farebox_service::Groups;
use farebox_store_sqlite::{FILE, Sqlite};
use rusqlite::Connection;
use std::path::Path;

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join(FILE)).unwrap()
}

#[test]
fn the_page_about_the_store_names_every_table_and_column() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let file = open(folder.path());
    let page = text("docs/store.md");
    let mut tables =
        file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let named =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name);
    let mut named: Vec<&str> = named.collect();
    named.sort_unstable();
    assert_eq!(named, tables);
    for table in tables {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{table}` |"))).unwrap();
        let mut columns = file.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
        let columns = columns.query_map([&table], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
        for column in columns {
            assert!(
                row.contains(&format!("`{column}`")),
                "docs/store.md does not say what {table}.{column} is"
            );
        }
    }
}

#[test]
fn the_queries_of_the_page_about_the_store_hold() {
    let page = text("docs/store.md");
    let queries: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .map(|rest| {
            let (query, _) = rest.split_once("```").unwrap();
            query
        })
        .collect();
    let parent = tempfile::tempdir().unwrap();
    let (mut owed, mut running, mut lines) = (0, 0, 0);
    for (number, file) in files_below("scenarios/wallet", "test").iter().enumerate() {
        let folder = parent.path().join(number.to_string());
        let groups = Groups::of(Box::new(Sqlite::open(&folder).unwrap())).unwrap();
        golden::check_kept(&root().join(file), groups).unwrap();
        let store = open(&folder);
        lines += store.query_row("SELECT count(*) FROM line", [], |row| row.get::<_, i64>(0)).unwrap();
        for (index, query) in queries.iter().enumerate() {
            let rows = store.prepare(query).unwrap().query_map([], |_| Ok(())).unwrap().count();
            match index {
                0 => owed += rows,
                1 => running += rows,
                _ => assert_eq!(rows, 0, "{file}: {query}"),
            }
        }
    }
    assert!(owed > 0 && running > 0 && lines > 0);
}
