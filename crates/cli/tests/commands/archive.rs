//! Usage that leaves the store's file: bills, duplicates and the chain are as before, and the files can be read.

use crate::books::push;
use crate::common::{farebox, root};
use crate::server::{Server, serve};
use farebox_store_sqlite::{ARCHIVE, FILE};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

const FROM: &str = "2024-01-01T00:00:00+08:00";
const LATER: &str = "2024-04-15T00:00:00+08:00";

fn verify(folder: &Path) -> (bool, Value) {
    let output = farebox(&["verify", "--json", "--data", folder.to_str().unwrap()]);
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn archive(folder: &Path, months: &str) -> Value {
    let output =
        farebox(&["archive", "--json", "--data", folder.to_str().unwrap(), "--usage-months", months]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn count(folder: &Path, sql: &str) -> u64 {
    Connection::open(folder.join(FILE)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A store with a month of usage, some months later, and what it says of itself.
fn furnished() -> (tempfile::TempDir, Vec<(u16, Value)>) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), FROM);
    push(&server, &root().join("examples/demo/january.book"), "2024-02-01T00:00:00+08:00");
    server.advance(LATER);
    // The last block stays.
    assert_eq!(server.post("/v1/usage", &[], event("last", "2024-04-14T10:00:00Z", 60).to_string()).0, 200);
    let said = says(&server);
    server.stop();
    (folder, said)
}

fn event(id: &str, time: &str, seconds: u32) -> Value {
    json!({"specversion": "1.0", "source": "tests", "id": id, "type": "call", "subject": "acme", "time": time,
           "data": {"direction": "outbound", "seconds": seconds}})
}

fn says(server: &Server) -> Vec<(u16, Value)> {
    let mut paths: Vec<String> = ["acme", "borealis", "cirrus", "dorado", "elbrus"]
        .iter()
        .flat_map(|account| ["2024-01", "2024-03"].map(|month| format!("/v1/bills/{account}-{month}")))
        .collect();
    paths.extend(["acme", "dorado"].map(|account| format!("/v1/accounts/{account}/usage?limit=1000")));
    let ask = |path: &String| {
        let (status, mut body) = server.get(path);
        body["request_id"].take();
        (status, body)
    };
    paths.iter().map(ask).collect()
}

#[test]
fn bills_duplicates_and_the_chain_are_as_before() {
    let (folder, said) = furnished();
    let data = folder.path();
    let (_, before) = verify(data);
    let events = "SELECT sum(events) FROM usage_block";
    let all = count(data, events);
    assert_eq!(archive(data, "12"), json!([]), "nothing is so old");
    let made = archive(data, "1");
    assert_eq!(made.as_array().unwrap().len(), files(&data.join(ARCHIVE)).len());
    let archived = count(data, "SELECT sum(events) FROM archived_block");
    assert!(archived > 9_000 && count(data, events) + archived == all, "{archived} of {all}");
    assert_eq!(archive(data, "1"), json!([]), "once is enough");
    let (is_whole, report) = verify(data);
    assert!(is_whole && report == before, "{report:#} {before:#}");

    let server = Server::start_at(data, FROM);
    assert!(says(&server) == said);
    server.stop();
}

#[test]
fn the_files_have_every_event() {
    let (folder, _) = furnished();
    let data = folder.path();
    let server = Server::start_at(data, FROM);
    let (_, got) = server.post("/v1/usage/void", &[], json!({"source": "tests", "id": "last"}).to_string());
    assert_eq!(got["found"], json!(true));
    server.advance("2024-07-01T00:00:00+08:00");
    server.post("/v1/usage", &[], event("later", "2024-06-30T10:00:00Z", 60).to_string());
    server.stop();
    archive(data, "1");
    let mut whats: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = None;
    for file in files(&data.join(ARCHIVE)) {
        let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let cell =
                |name: &str| row.get_column_iter().find(|(known, _)| *known == name).unwrap().1.clone();
            let Field::Str(what) = cell("what") else { panic!("{row}") };
            *whats.entry(what.clone()).or_default() += 1;
            if cell("id") == Field::Str("last".to_owned()) && what == "added" {
                last = Some((cell("source"), cell("subject"), cell("type"), cell("time"), cell("data")));
            }
        }
    }
    assert_eq!(whats.values().sum::<u64>(), count(data, "SELECT sum(events) FROM archived_block"));
    assert_eq!((whats["removed"], whats["voided"]), (1, 1), "{whats:?}");
    let at: jiff::Timestamp = "2024-04-14T10:00:00Z".parse().unwrap();
    let text = |text: &str| Field::Str(text.to_owned());
    let (source, subject, kind, time, attributes) = last.unwrap();
    assert_eq!((source, subject, kind), (text("tests"), text("acme"), text("call")));
    assert_eq!(time, Field::TimestampMicros(at.as_microsecond()));
    let Field::Str(attributes) = attributes else { panic!("{attributes:?}") };
    let attributes: Value = serde_json::from_str(&attributes).unwrap();
    assert_eq!(attributes, json!({"direction": "outbound", "seconds": 60}));
}

#[test]
fn what_was_archived_is_known_taken_back_and_counted_anew() {
    let (folder, _) = furnished();
    let data = folder.path();
    let server = Server::start_at(data, FROM);
    let call = |id: &str, seconds: u32| event(id, "2024-03-01T10:00:00Z", seconds).to_string();
    assert_eq!(server.post("/v1/usage", &[], call("old", 60)).0, 200);
    server.advance("2024-08-01T00:00:00+08:00");
    server.post("/v1/usage", &[], event("newest", "2024-07-31T10:00:00Z", 60).to_string());
    server.stop();
    assert_ne!(archive(data, "1"), json!([]));
    let server = Server::start_at(data, FROM);
    let counts = |body: &str| {
        let (_, got) = server.post("/v1/usage", &[], body);
        ["accepted", "duplicates", "quarantined"].map(|name| got[name].as_u64().unwrap())
    };
    assert_eq!(counts(&call("old", 60)), [0, 1, 0], "it is known");
    assert_eq!(counts(&call("old", 61)), [0, 0, 1], "with other content");
    // The horizon is stored, whatever the server that runs now archives.
    let (_, clock) = server.get("/v1/clock");
    assert_eq!(clock["usage_from"], json!("2024-06-01T00:00:00Z"), "{clock}");
    let (_, page) = server.get("/metrics");
    let mut metrics = page.as_str().unwrap().lines();
    let horizon = "farebox_retention_horizon_timestamp_seconds ";
    assert_eq!(metrics.find_map(|line| line.strip_prefix(horizon)), Some("1717200000"));
    let void = |id: &str| {
        let body = json!({"source": "tests", "id": id}).to_string();
        let (status, answer) = server.post("/v1/usage/void", &[], body);
        (status, answer[if status == 200 { "found" } else { "code" }].clone())
    };
    assert_eq!(void("old"), (409, json!("before-horizon")));
    assert_eq!((void("newest"), void("never")), ((200, json!(true)), (200, json!(false))));
    assert_eq!(counts(&call("old", 60)), [0, 1, 0]);
    assert_eq!(counts(&event("stale", "2024-05-31T10:00:00Z", 60).to_string()), [0, 0, 1]);
    let waiting = |server: &Server| -> Vec<Value> {
        let (_, page) = server.get("/v1/quarantine?reason=before-horizon");
        page["items"].as_array().unwrap().iter().map(|one| one["event"]["id"].clone()).collect()
    };
    assert_eq!(waiting(&server), [json!("stale")]);
    server.advance("2024-09-01T00:00:00+08:00");
    server.stop();
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");
    // An order has all usage counted anew, from the files.
    let server = Server::start_at(data, FROM);
    let order = json!({"command": "subscribe", "plan": "basic-seat", "name": "more", "quantity": 1});
    assert_eq!(server.post("/v1/accounts/acme/commands", &[], order.to_string()).0, 200);
    assert_eq!(waiting(&server), [json!("stale")]);
    server.advance("2024-12-01T00:00:00+08:00");
    server.post("/v1/usage", &[], event("last of all", "2024-11-30T10:00:00Z", 60).to_string());
    server.stop();
    // A later setting of more months moves it nowhere, and what waits can be archived.
    archive(data, "9");
    let at = |data: &Path| -> String {
        Connection::open(data.join(FILE))
            .unwrap()
            .query_row("SELECT at FROM horizon", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(at(data), "2024-06-01T00:00:00Z");
    assert_ne!(archive(data, "1"), json!([]));
    assert_eq!(at(data), "2024-10-01T00:00:00Z");
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");
    let copy = data.join("copy.farebox");
    assert!(farebox(&["backup", "--data", data.to_str().unwrap(), copy.to_str().unwrap()]).status.success());
    let other = tempfile::tempdir().unwrap();
    let restored = farebox(&["restore", copy.to_str().unwrap(), "--data", other.path().to_str().unwrap()]);
    assert!(restored.status.success() && at(other.path()) == "2024-10-01T00:00:00Z");
    assert!(verify(other.path()).0);
}

#[test]
fn files_that_are_changed_or_gone_are_found_and_copies_have_them() {
    let (folder, said) = furnished();
    let data = folder.path();
    archive(data, "1");
    let copy = data.join("copy.farebox");
    let backup = || farebox(&["backup", "--data", data.to_str().unwrap(), copy.to_str().unwrap()]);
    assert!(backup().status.success());
    let other = tempfile::tempdir().unwrap();
    let restore = |to: &Path| farebox(&["restore", copy.to_str().unwrap(), "--data", to.to_str().unwrap()]);
    assert!(restore(other.path()).status.success());
    assert!(verify(other.path()).0);
    std::fs::copy(data.join("token"), other.path().join("token")).unwrap();
    let server = Server::start_at(other.path(), FROM);
    assert!(says(&server) == said);
    server.stop();

    let file = files(&data.join(ARCHIVE)).remove(0);
    let whole = std::fs::read(&file).unwrap();
    for place in [whole.len() / 3, whole.len() / 2, whole.len() - 40] {
        let mut changed = whole.clone();
        changed[place] ^= 0x40;
        std::fs::write(&file, changed).unwrap();
        let (is_whole, report) = verify(data);
        assert!(!is_whole && report["findings"].to_string().contains("not as it was written"), "{report:#}");
    }
    std::fs::remove_file(&file).unwrap();
    let (is_whole, report) = verify(data);
    assert!(!is_whole && report["findings"].to_string().contains(".parquet"), "{report:#}");
    std::fs::remove_file(&copy).unwrap();
    assert!(backup().status.success(), "what the copy's folder has already is as it was written");
    // A copy without its archive is not put back.
    let mut kept = copy.clone().into_os_string();
    kept.push(".archive");
    std::fs::remove_dir_all(kept).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let refused = restore(empty.path());
    assert!(!refused.status.success() && !empty.path().join(FILE).exists());
    std::fs::write(&file, whole).unwrap();
    assert!(verify(data).0);
}

#[test]
fn a_process_that_ends_in_between_loses_nothing() {
    let (folder, said) = furnished();
    let data = folder.path();
    let (_, before) = verify(data);
    // Killed while the file was written, and before the store let go of the blocks.
    let at: jiff::Timestamp = "2024-03-01T00:00:00Z".parse().unwrap();
    let written = farebox_store_sqlite::Sqlite::write_archive(data, at).unwrap().unwrap();
    let name = data.join(ARCHIVE).join(&written.file);
    std::fs::write(data.join(ARCHIVE).join(format!("{}.unfinished", written.file)), "half of it").unwrap();
    std::fs::write(&name, "what a disk made of it").unwrap();
    assert_eq!(verify(data), (true, before.clone()), "the store does not know of it");
    let made = archive(data, "1");
    assert_eq!(made[0]["file"], json!(format!("{ARCHIVE}/{}", written.file)), "written anew");
    assert_eq!(verify(data), (true, before));
    assert!(files(&data.join(ARCHIVE)).iter().all(|file| file.extension().unwrap() == "parquet"));
    let server = Server::start_at(data, FROM);
    assert!(says(&server) == said);
    server.stop();
}

#[test]
fn a_server_archives_by_itself() {
    let (folder, said) = furnished();
    let data = folder.path();
    let server = Server::run(serve(&[], data, &["--test-clock", FROM, "--usage-months", "1"]), data);
    server.says("archived usage");
    server.says("closed usage");
    assert!(says(&server) == said);
    // It moves with the clock, as far as everything is settled, and refuses nothing else.
    assert_eq!(server.get("/v1/clock").1["usage_from"], json!("2024-03-01T00:00:00Z"));
    let both =
        json!([event("stale", "2024-02-29T23:59:59Z", 60), event("fresh", "2024-03-01T00:00:00Z", 60)]);
    let (_, got) = server.post("/v1/usage", &[], both.to_string());
    assert_eq!(
        (&got["quarantined"], &got["reasons"][0]["what"]),
        (&json!(1), &json!("tests/stale")),
        "{got}"
    );
    assert_eq!(got["reasons"][0]["code"], json!("before-horizon"));
    server.stop();
    assert!(verify(data).0);
}

#[test]
fn a_server_that_misses_a_file_that_it_has_to_read_says_which() {
    let (folder, said) = furnished();
    let data = folder.path();
    archive(data, "1");
    let elsewhere = data.join("elsewhere");
    std::fs::rename(data.join(ARCHIVE), &elsewhere).unwrap();
    let refused = Server::try_run(serve(&[], data, &["--test-clock", FROM]), data);
    let Err(why) = refused else { panic!("it counts without what it misses") };
    assert!(why.contains("status: 2") && why.contains("/archive/usage-20"), "{why}");
    std::fs::rename(&elsewhere, data.join(ARCHIVE)).unwrap();
    let server = Server::start_at(data, FROM);
    assert!(says(&server) == said);
    server.stop();
}

#[test]
fn what_is_said_of_the_archive_is_looked_at() {
    let (folder, _) = furnished();
    let data = folder.path();
    assert_ne!(archive(data, "1"), json!([]));
    let change = |sql: &str| {
        let file = Connection::open(data.join(FILE)).unwrap();
        file.execute_batch(&format!("PRAGMA foreign_keys = off; {sql}")).unwrap();
    };
    let finds = |what: &str| {
        let (is_whole, report) = verify(data);
        assert!(!is_whole && report["findings"].to_string().contains(what), "{what}: {report:#}");
    };
    change("CREATE TABLE was AS SELECT * FROM horizon; DELETE FROM horizon");
    finds("it is not there, and ");
    change("INSERT INTO horizon VALUES (1, '2024-01-02T00:00:00Z')");
    finds("it is at 2024-01-02T00:00:00Z, and ");
    change("DELETE FROM horizon; INSERT INTO horizon SELECT * FROM was; DROP TABLE was");
    change(
        "INSERT INTO archived_block SELECT 9, number, events, recorded_at, hash, file, place, redacted FROM archived_block LIMIT 1",
    );
    finds("1 blocks of partition 9");
    change("DELETE FROM archived_block WHERE partition = 9");
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");
    change("DELETE FROM usage_archive");
    finds("refer to rows of the table usage_archive that are not there");
    let copy = data.join("copy.farebox");
    let output = farebox(&["backup", "--data", data.to_str().unwrap(), copy.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is not in it") && !copy.exists(), "{said}");
}
