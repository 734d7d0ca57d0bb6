//! Files that are not as they were written, of a later version, or of a server that runs already.

use crate::common::farebox;
use crate::server::{Server, TEST_CLOCK, call, counted, furnish, serve};
use farebox_store_sqlite::{FILE, format_version};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;

const EVENTS: u64 = 4_000;
const BILL: &str = "/v1/bills/acme-2026-01";

/// A store with usage, payments and an issued bill, its bill, and a copy of it.
fn furnished(folder: &Path, copy: &Path) -> Value {
    let server = Server::start(folder);
    furnish(&server);
    for first in (0..EVENTS).step_by(500) {
        let batch = Value::from((first..first + 500).map(|number| call("pbx", number)).collect::<Vec<_>>());
        assert_eq!(server.post("/v1/usage", &[], batch.to_string()).0, 200);
        assert_eq!(server.command("acme", &json!({"command": "topup", "amount": "10.00"})).0, 200);
    }
    server.advance("2026-02-05T00:00:00+08:00");
    let (status, bill) = server.get(BILL);
    assert_eq!(status, 200, "{bill}");
    assert!(farebox(&["backup", "--data", text(folder), text(copy)]).status.success());
    server.stop();
    bill
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in [FILE, "token"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn bytes_that_have_changed_are_found_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.farebox");
    let bill = furnished(folder.path(), &backup);
    let length = std::fs::metadata(folder.path().join(FILE)).unwrap().len();
    let (mut found, mut refused, mut state) = (0, 0, 0x2545_f491_4f6c_dd1d_u64);
    const TRIES: u64 = 24;
    for number in 0..TRIES {
        // All over the file, anywhere in a page.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(length * number / TRIES + (state >> 33) % (length / TRIES)).unwrap();
        let damaged = copy_of(folder.path());
        let file = damaged.path().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        // Some words of a page, or most of one.
        let many = if number.is_multiple_of(2) { 48 } else { 3_000 };
        for byte in bytes.iter_mut().skip(at).take(many) {
            *byte ^= 0x55;
        }
        std::fs::write(&file, &bytes).unwrap();
        let verified = farebox(&["verify", "--data", text(damaged.path())]);
        let is_found = !verified.status.success();
        // What is wrong is told, unless there is nothing that can be looked at.
        let said = [&verified.stdout, &verified.stderr]
            .map(|said| String::from_utf8_lossy(said).into_owned())
            .concat();
        let is_told = match verified.status.code() {
            Some(0) => said.contains("nothing is wrong"),
            Some(1) => said.contains("wrong; looked at"),
            _ => said.contains("cannot be opened"),
        };
        assert!(is_told, "byte {at}: {said}");
        found += u64::from(is_found);
        match Server::try_run(serve(&[], damaged.path(), TEST_CLOCK), damaged.path()) {
            Err(said) => {
                assert!(is_found, "byte {at}: verify finds nothing, and the server says {said}");
                assert!(said.contains("status: 2") && said.contains("damaged"), "byte {at}: {said}");
                refused += 1;
            }
            // It may serve what is not damaged: it answers what was, or that it cannot.
            Ok(server) => {
                let (status, answer) = server.get(BILL);
                match status {
                    200 => assert_eq!(answer, bill, "byte {at}"),
                    _ => {
                        assert!(is_found, "byte {at}: verify finds nothing, and the server says {answer}");
                        assert_eq!((status, &answer["code"]), (503, &json!("store-corrupt")), "byte {at}");
                        refused += 1;
                    }
                }
            }
        }
    }
    eprintln!("{TRIES} damages: {found} found by verify, {refused} refused by the server");
    // What is in no use can change.
    assert!(found >= TRIES / 3 && refused > 0, "{found} of {TRIES} found, {refused} refused");
    // The copy that was made before is put back.
    let other = tempfile::tempdir().unwrap();
    assert!(farebox(&["restore", text(&backup), "--data", text(other.path())]).status.success());
    std::fs::copy(folder.path().join("token"), other.path().join("token")).unwrap();
    assert!(farebox(&["verify", "--data", text(other.path())]).status.success());
    let server = Server::start(other.path());
    assert_eq!(server.get(BILL), (200, bill));
    server.stop();
}

#[test]
fn a_price_list_that_was_not_published_so_is_not_billed_by() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    server.stop();
    let change = |from: &str, to: &str| {
        let file = Connection::open(folder.path().join(FILE)).unwrap();
        let sql = "UPDATE catalogue SET text = replace(text, ?, ?) WHERE text LIKE '%' || ?1 || '%'";
        assert_eq!(file.execute(sql, [from, to]).unwrap(), 1);
    };
    change("\"310.00\"", "\"318.00\"");
    let refused = Server::try_run(serve(&[], folder.path(), TEST_CLOCK), folder.path());
    let said = refused.err().expect("it bills by a price that nobody has published");
    assert!(said.contains("status: 2"), "{said}");
    assert!(said.contains("price list \"huawei-ykf\" is damaged: it is not the text that was"), "{said}");
    change("\"318.00\"", "\"310.00\"");
    Server::start(folder.path()).stop();
}

#[test]
fn a_store_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bill = furnished(folder.path(), &folder.path().join("backup.farebox"));
    let file = folder.path().join(FILE);
    let version = |number: u32| {
        let file = Connection::open(&file).unwrap();
        file.pragma_update(None, "user_version", number).unwrap();
        file.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
    };
    version(format_version() + 1);
    let before = std::fs::read(&file).unwrap();
    let refused = Server::try_run(serve(&[], folder.path(), TEST_CLOCK), folder.path());
    let said = refused.err().expect("it serves a store of a later version");
    assert!(said.contains("status: 2") && said.contains("later version"), "{said}");
    let output = farebox(&["verify", "--data", text(folder.path())]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("later version"), "{said}");
    assert!(std::fs::read(&file).unwrap() == before, "it was changed");
    version(format_version());
    let server = Server::start(folder.path());
    assert_eq!(server.get(BILL), (200, bill));
    server.stop();
}

#[test]
fn a_second_server_on_one_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("data");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for (number, data) in [folder.path(), &link].into_iter().enumerate() {
        let said =
            Server::try_run(serve(&[], data, TEST_CLOCK), data).err().expect("two servers on a folder");
        assert!(said.contains("status: 2") && said.contains("is in use"), "{said}");
        let (status, answer) = server.post("/v1/usage", &[], call("pbx", number as u64).to_string());
        assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
    }
    // Nor is a copy put over it.
    let copy = elsewhere.path().join("copy.farebox");
    assert!(farebox(&["backup", "--data", text(folder.path()), text(&copy)]).status.success());
    assert!(!farebox(&["restore", text(&copy), "--data", text(folder.path())]).status.success());
    server.kill();
    // Its end lets the next one in, however it came.
    let server = Server::start(&link);
    assert_eq!(counted(&server), 2);
    server.stop();
}

#[test]
fn a_group_that_cannot_be_read_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    furnish(&server);
    let open = json!({"command": "open", "title": "C", "currency": "CNY", "zone": "+08:00"});
    let order = json!({"command": "subscribe", "plan": "basic-seat", "quantity": 1});
    for account in ["b2", "c3", "d4"] {
        assert_eq!(server.command(account, &open).0, 200);
        assert_eq!(server.command(account, &order).0, 200);
    }
    server.stop();
    let change_a_bit = || {
        let file = Connection::open(folder.path().join(FILE)).unwrap();
        let whose = "FROM entry JOIN billing_group ON billing_group.number = entry.group_number \
                     WHERE billing_group.name = 'c3' AND entry.version = 2";
        let sql = format!("SELECT entry.number, record {whose}");
        let (number, mut record): (i64, Vec<u8>) =
            file.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let middle = record.len() / 2;
        record[middle] ^= 1;
        file.execute("UPDATE entry SET record = ? WHERE number = ?", (record, number)).unwrap();
    };
    let issued = |server: &Server, account: &str| {
        let bills = server.get(&format!("/v1/accounts/{account}/bills")).1;
        let bills = bills["items"].as_array().unwrap().clone();
        bills.iter().filter(|bill| !bill["issued_at"].is_null()).count()
    };
    change_a_bit();
    let server = Server::start_at(folder.path(), "2026-02-05T00:00:00+08:00");
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(["b2", "d4"].map(|account| issued(&server, account)), [1, 1]);
    assert_eq!(server.command("b2", &json!({"command": "topup", "amount": "5.00"})).0, 200);
    // It is with what could not be done, and says why.
    let (status, failed) = server.get("/v1/schedule/failed");
    let items = failed["items"].as_array().unwrap();
    assert_eq!((status, items.len(), &items[0]["account"]), (200, 1, &json!("c3")), "{failed}");
    assert_eq!(items[0]["code"], json!("store-corrupt"), "{failed}");
    let detail = "entry 2 of group \"c3\" is damaged: its hash does not follow";
    assert!(items[0]["detail"].as_str().unwrap().starts_with(detail), "{failed}");
    for (status, answer) in
        [server.get("/v1/accounts/c3"), server.command("c3", &json!({"command": "topup", "amount": "5.00"}))]
    {
        assert_eq!((status, &answer["code"]), (503, &json!("store-corrupt")), "{answer}");
    }
    // What cannot be read is not said to be missing.
    for path in [
        "accounts/c3/bills",
        "accounts/c3/events",
        "bills/c3-2026-01",
        "bills/c3-2026-01/lines",
        "lines/c3-2026-01-1",
        "lines/c3-2026-01-1/events",
    ] {
        let (status, answer) = server.get(&format!("/v1/{path}"));
        assert_eq!((status, &answer["code"]), (503, &json!("store-corrupt")), "{path}: {answer}");
        let (status, answer) = server.get(&format!("/v1/{}", path.replace("c3", "b3")));
        assert_eq!(status, 404, "{path}: {answer}");
    }
    // Usage of others is counted, also where some of its own comes at the same time.
    let of = &|account: &str| {
        let mut event = call(account, 1);
        (event["subject"], event["time"]) = (json!(account), json!("2026-02-05T00:00:00+08:00"));
        server.post("/v1/usage", &[], event.to_string()).0
    };
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> =
            ["c3", "b2", "c3", "d4"].map(|account| scope.spawn(move || (account, of(account)))).into();
        asked.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(answers, [("c3", 503), ("b2", 200), ("c3", 503), ("d4", 200)]);
    // Trying again mends nothing, and time goes on for the others.
    let (status, tried) = server.post("/v1/schedule/retry", &[], "{}");
    assert_eq!((status, &tried["failing"]), (200, &json!(1)), "{tried}");
    server.advance("2026-03-05T00:00:00+08:00");
    assert_eq!(["b2", "d4"].map(|account| issued(&server, account)), [2, 2]);
    let log = server.stop();
    assert_eq!(log.matches("a settlement has failed").count(), 1, "{log}");
    // It can be read again: what waited is done as of its own moments, once.
    change_a_bit();
    let server = Server::start_at(folder.path(), "2026-03-05T00:00:00+08:00");
    assert_eq!(server.get("/v1/schedule/failed").1["items"], json!([]));
    let bill = |account: &str, month: &str| {
        let bill = server.get(&format!("/v1/bills/{account}-{month}")).1;
        (bill["total"].clone(), bill["issued_at"].clone())
    };
    for month in ["2026-01", "2026-02"] {
        assert_eq!(bill("c3", month), bill("d4", month));
        assert!(!bill("c3", month).1.is_null());
    }
    server.stop();
    assert!(farebox(&["verify", "--data", text(folder.path())]).status.success());
}
