//! An account is erased: nothing of it can be read in any byte of the folder, bills are as they were, others go on.

use crate::common::{farebox, text};
use crate::server::Server;
use farebox_store::{Entry, Hash, Seen, Store, usage::unpack};
use farebox_store_sqlite::{ARCHIVE, FILE, Sqlite};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::path::Path;

const FROM: &str = "2026-01-01T00:00:00+08:00";
const FEBRUARY: &str = "2026-02-10T00:00:00+08:00";
const MARCH: &str = "2026-03-05T00:00:00+08:00";

/// What nobody may be able to read, afterwards.
const SECRETS: [&str; 9] = [
    "+4930901820",
    "+4916012345",
    "+4917098765",
    "jane.doe@example.org",
    "Jane Doe",
    "+4915199999",
    "Sesame Street",
    "+4930111222",
    "a quarrel with Ann Roe",
];
const OTHER: &str = "+4940555666";
/// Of a credit note about a line of another member.
const REASON: &str = "calls that were cut off";

fn verify(folder: &Path) -> (bool, Value) {
    let output = farebox(&["verify", "--json", "--data", folder.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")))
}

pub(crate) fn send(server: &Server, account: &str, command: Value) {
    let (status, answer) = server.command(account, &command);
    assert_eq!(status, 200, "{command} {answer}");
}

fn event(account: &str, id: &str, time: &str, data: Value) -> String {
    json!({"specversion": "1.0", "source": "pbx", "id": id, "type": "call", "subject": account, "time": time,
           "data": data})
    .to_string()
}

fn talk(number: &str, callee: &str, seconds: u32) -> Value {
    let room = if number == SECRETS[0] { 4_930_111_222_u64 } else { 7 };
    json!({"direction": "outbound", "number": number, "caller": SECRETS[1], "callee": callee, "seconds": seconds,
           "room": room})
}

fn use_up(server: &Server, account: &str, id: &str, time: &str, data: Value) -> Value {
    let (status, answer) = server.post("/v1/usage", &[], event(account, id, time, data));
    assert_eq!(status, 200, "{answer}");
    answer
}

/// A group of which one member is finished: its usage, some of it in the archive, its bills, what it wished.
fn furnished(folder: &Path) -> Server {
    let server = Server::start_at(folder, FROM);
    let list = text("catalogs/huawei-ykf.toml");
    assert_eq!(server.post("/v1/catalogues", &[], list).0, 201);
    let (number, title) = (SECRETS[0], format!("{}, Sesame Street 3", SECRETS[4]));
    let opened =
        |title: &str| json!({"command": "open", "title": title, "currency": "CNY", "zone": "+08:00"});
    send(&server, "master", opened("The master"));
    for (name, title) in [("acme", title.as_str()), ("other", "Another")] {
        let mut open = opened(title);
        open["member_of"] = json!("master");
        send(&server, name, open);
    }
    let order = |plan: &str, name: &str, number: &str| {
        json!({"command": "subscribe", "plan": plan, "quantity": 1, "name": name,
               "attributes": {"number": number, "project": "Sesame Street"}})
    };
    let body = order("fixed-line-calls", "line", number).to_string();
    let (status, _) = server.post("/v1/accounts/acme/commands", &[("Idempotency-Key", "k1")], body);
    assert_eq!(status, 200);
    send(&server, "acme", order("fixed-line-rent", "rent", number));
    send(&server, "other", order("fixed-line-calls", "line", OTHER));
    let said = json!({"command": "charge", "amount": "9.00",
                      "title": format!("set up for {}", SECRETS[3])});
    send(&server, "acme", said);
    let key = json!({"label": "portal of Jane Doe", "role": "customer", "account": "acme"}).to_string();
    assert_eq!(server.post("/v1/keys", &[], key).0, 201);
    for day in 1..=20 {
        let time = format!("2026-01-{day:02}T10:00:00+08:00");
        server.advance(&format!("2026-01-{day:02}T12:00:00+08:00"));
        use_up(&server, "acme", &format!("a{day}"), &time, talk(number, SECRETS[2], 60 * day));
        use_up(&server, "other", &format!("o{day}"), &time, talk(OTHER, SECRETS[2], 30 * day));
    }
    // What cannot be billed, and says why with a number in it.
    let wrong = json!({"direction": "outbound", "number": number, "seconds": SECRETS[5]});
    let answer = use_up(&server, "acme", "q1", "2026-01-20T10:00:00+08:00", wrong.clone());
    assert_eq!(answer["quarantined"], json!(1), "{answer}");
    let answer = use_up(&server, "acme", "q2", "2026-01-20T10:00:00+08:00", wrong);
    assert_eq!(answer["quarantined"], json!(1), "{answer}");
    let mended = event("acme", "q1", "2026-01-20T10:00:00+08:00", talk(number, SECRETS[7], 61));
    let (status, _) = server.post("/v1/quarantine/mend", &[("Idempotency-Key", "k2")], mended);
    assert_eq!(status, 200);
    let void = json!({"source": "pbx", "id": "a1"}).to_string();
    assert_eq!(server.post("/v1/usage/void", &[], void).0, 200);

    server.advance(FEBRUARY);
    // The bill is the master's, and what is said of a line of acme is about acme.
    let (_, bill) = server.get("/v1/bills/master-2026-01");
    let of = |account: &str| {
        let mut lines = bill["lines"].as_array().unwrap().iter();
        // The last one: of the first, a void has given everything back.
        lines.rfind(|line| line["account"] == json!(account) && line["kind"] == json!("usage")).unwrap()["id"]
            .clone()
    };
    for (account, reason) in [("acme", SECRETS[8]), ("other", REASON)] {
        let credit = json!({"command": "credit", "line": of(account), "amount": "0.01", "reason": reason});
        send(&server, "master", credit);
    }
    use_up(&server, "acme", "late", "2026-01-21T10:00:00+08:00", talk(number, SECRETS[2], 600));
    use_up(&server, "other", "feb", "2026-02-09T10:00:00+08:00", talk(OTHER, SECRETS[2], 600));
    server.advance("2026-02-11T00:00:00+08:00");
    for name in ["line", "rent"] {
        send(&server, "acme", json!({"command": "cancel", "subscription": name}));
    }
    server.advance(MARCH);
    use_up(&server, "other", "mar", "2026-03-04T10:00:00+08:00", talk(OTHER, SECRETS[2], 600));
    server.advance("2026-03-05T12:00:00+08:00");
    server
}

/// All that the folder says, block by block and entry by entry: what is compressed is read, too.
fn everything(folder: &Path) -> String {
    let store = Sqlite::open_to_read(folder).unwrap();
    let mut all = String::new();
    store
        .blocks(0, 0, &mut |block| {
            all += &format!("{:?}\n", unpack(&block.bytes).unwrap());
            Ok(())
        })
        .unwrap();
    for group in store.groups().unwrap() {
        store
            .entries(&group.group, 0, &mut |kept| {
                all += &format!("{:?}\n", Entry::from_record(&kept.record).unwrap());
                Ok(Seen::More)
            })
            .unwrap();
    }
    all
}

/// Which of some texts stand anywhere in the files of a folder, as they are or in what is compressed.
fn readable<'t>(folder: &Path, texts: &[&'t str]) -> Vec<(&'t str, String)> {
    let mut found = Vec::new();
    let all = everything(folder);
    for text in texts {
        if all.contains(*text) {
            found.push((*text, "the store".to_owned()));
        }
    }
    let archive = folder.join(ARCHIVE);
    for folder in [folder, &archive] {
        let Ok(files) = std::fs::read_dir(folder) else { continue };
        for file in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
            let bytes = std::fs::read(&file).unwrap();
            for text in texts {
                if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                    found.push((*text, file.display().to_string()));
                }
            }
        }
    }
    found
}

/// Bills without what may change: words about acme.
fn bills(server: &Server) -> Vec<Value> {
    let mut all = Vec::new();
    for month in ["2026-01", "2026-02"] {
        let (status, mut bill) = server.get(&format!("/v1/bills/master-{month}"));
        assert_eq!(status, 200, "{bill}");
        for note in bill["credit_notes"].as_array_mut().unwrap() {
            if note["reason"] != json!(REASON) {
                note["reason"].take();
            }
        }
        for line in bill["lines"].as_array_mut().unwrap() {
            if line["account"] == json!("acme") {
                for word in ["description", "explanation", "title", "group", "split", "project", "tags"] {
                    line[word].take();
                }
            }
        }
        all.push(bill);
    }
    all
}

pub(crate) fn erase(server: &Server, account: &str) -> (u16, Value) {
    server.post(&format!("/v1/accounts/{account}/erase"), &[("Idempotency-Key", "gdpr-1")], "")
}

pub(crate) fn wait_until_erased(server: &Server, account: &str) -> Value {
    for _ in 0..600 {
        let (status, shown) = server.get(&format!("/v1/accounts/{account}/erasure"));
        assert_eq!(status, 200, "{shown}");
        if shown["state"] == json!("erased") {
            return shown;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it is not erased: {}", server.logged());
}

#[test]
fn nothing_of_an_erased_account_can_be_read_and_its_bills_stay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = furnished(data);
    let before = bills(&server);
    assert!(before[0]["lines"].as_array().unwrap().len() > 30);
    server.stop();
    let archived = farebox(&["archive", "--json", "--data", data.to_str().unwrap(), "--usage-months", "1"]);
    assert_ne!(String::from_utf8_lossy(&archived.stdout).trim(), "[]");
    let there = readable(data, &SECRETS);
    for secret in SECRETS {
        assert!(there.iter().any(|(text, _)| *text == secret), "{secret} is to be erased");
    }
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");

    let server = Server::start_at(data, FROM);
    let (status, begun) = erase(&server, "acme");
    assert_eq!(status, 200, "{begun}");
    let done = wait_until_erased(&server, "acme");
    assert!(done["entries"].as_u64().unwrap() > 20, "{done}");
    assert!(done["blocks"].as_u64().unwrap() > 20 && done["events"].as_u64().unwrap() > 20, "{done}");
    assert!(done["files"].as_u64() == Some(1) && done["answers"].as_u64() == Some(2), "{done}");
    assert_eq!(bills(&server), before, "amounts, ids, formulas");
    let (_, account) = server.get("/v1/accounts/acme");
    assert_eq!(account["erased_at"], done["erased_at"], "{account}");
    assert!(account["title"].as_str().unwrap().starts_with("erased-"), "{account}");
    let (_, trail) = server.get("/v1/accounts/acme/audit?command=account-erased");
    assert!(trail["items"][0]["command"].as_str().unwrap().contains("\"digest\""), "{trail}");
    let (_, keys) = server.get("/v1/keys");
    let own = keys["items"].as_array().unwrap().iter().find(|key| key["account"] == json!("acme")).unwrap();
    assert!(own["revoked_at"].is_string() && own["label"] == json!("erased"), "{own}");

    // Nothing is wished or used by it any more.
    let open = json!({"command": "topup", "amount": "5.00"});
    let (status, refused) = server.command("acme", &open);
    assert_eq!((status, &refused["code"]), (409, &json!("account-erased")), "{refused}");
    let again = use_up(&server, "acme", "new", "2026-03-05T10:00:00+08:00", talk(OTHER, OTHER, 60));
    assert_eq!((&again["rejected"], &again["reasons"][0]["code"]), (&json!(1), &json!("account-erased")));
    let again = use_up(&server, "acme", "a5", "2026-01-05T10:00:00+08:00", talk(OTHER, OTHER, 60));
    assert_eq!(again["rejected"], json!(1), "{again}");
    let (status, same) = erase(&server, "acme");
    assert_eq!((status, same), (200, begun), "the first answer again");

    // The other one goes on.
    let line = |month: &str| {
        let (_, lines) = server.get(&format!("/v1/bills/master-{month}/lines?account=other&limit=1000"));
        lines["items"].as_array().unwrap().clone()
    };
    assert!(line("2026-01")[0]["description"].as_str().unwrap().contains(OTHER));
    use_up(&server, "other", "go on", "2026-03-05T11:00:00+08:00", talk(OTHER, SECRETS[2], 120));
    server.advance("2026-03-07T00:00:00+08:00");
    assert_eq!(line("2026-03").len(), 2, "the calls of two days");
    server.stop();

    let own = [&SECRETS[..2], &SECRETS[3..]].concat();
    let callers = everything(data);
    // The other's calls were with the same numbers.
    assert!(callers.contains(SECRETS[2]) && callers.contains(SECRETS[1]) && callers.contains(OTHER));
    let of_acme = callers
        .lines()
        .flat_map(|line| line.split("Usage {"))
        .filter(|one| one.contains("account: \"acme\""));
    assert!(
        of_acme.clone().count() > 20
            && of_acme.clone().all(|one| !one.contains(SECRETS[1]) && !one.contains(SECRETS[2]))
    );
    let own: Vec<&str> =
        own.into_iter().filter(|text| *text != SECRETS[1] && *text != "Sesame Street").collect();
    assert_eq!(readable(data, &own), [], "of acme alone");
    assert!(!callers.contains("4930111222"), "a number that nobody measures");
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");
    assert_eq!((&report["erased"], report["redacted"].as_u64() > Some(40)), (&json!(1), true), "{report:#}");
    let names: Vec<_> = std::fs::read_dir(data.join(ARCHIVE)).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let server = Server::start_at(data, FROM);
    assert_eq!(bills(&server), before, "after a restart");
    server.stop();

    // A copy is one of what is left.
    let copy = data.join("copy.farebox");
    assert!(farebox(&["backup", "--data", data.to_str().unwrap(), copy.to_str().unwrap()]).status.success());
    let other = tempfile::tempdir().unwrap();
    let restored = farebox(&["restore", copy.to_str().unwrap(), "--data", other.path().to_str().unwrap()]);
    assert!(restored.status.success() && verify(other.path()).0);
}

/// Copies the files of a folder, and of the archive in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
        let target = to.join(file.file_name().unwrap());
        if file.is_dir() {
            copy(&file, &target);
        } else {
            std::fs::copy(&file, target).unwrap();
        }
    }
}

fn sql(folder: &Path) -> Connection {
    Connection::open(folder.join(FILE)).unwrap()
}

#[test]
fn what_is_killed_in_the_middle_is_finished() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = furnished_for_long(folder.path());
    let before = bills(&server);
    server.stop();
    let archived = farebox(&["archive", "--data", folder.path().to_str().unwrap(), "--usage-months", "1"]);
    assert!(archived.status.success());
    let mut interrupted = 0;
    for (round, millis) in [0, 15, 40, 80, 130, 200, 300].into_iter().enumerate() {
        let data = place.path().join(round.to_string());
        copy(folder.path(), &data);
        let server = Server::start_at(&data, FROM);
        let killer = server.killer();
        let kill = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(millis));
            killer();
        });
        let request = crate::server::agent().post(format!("{}/v1/accounts/acme/erase", server.address));
        // It may not live to answer.
        let _ = request.header("Authorization", format!("Bearer {}", server.token)).send_empty();
        kill.join().unwrap();
        drop(server);
        let going_on = "SELECT count(*) FROM erasure WHERE ended IS NULL";
        interrupted += sql(&data).query_row(going_on, [], |row| row.get::<_, u32>(0)).unwrap();
        let secret = "SELECT secret FROM erasure WHERE secret IS NOT NULL";
        let secret: Option<Vec<u8>> = sql(&data).query_row(secret, [], |row| row.get(0)).ok();
        // What is half done is whole, and its group can be read.
        let (is_whole, report) = verify(&data);
        assert!(is_whole, "after {millis} ms: {report:#}");

        let server = Server::start_at(&data, FROM);
        assert_eq!(erase(&server, "acme").0, 200);
        wait_until_erased(&server, "acme");
        assert_eq!(bills(&server), before, "after {millis} ms");
        server.stop();
        let (is_whole, report) = verify(&data);
        assert!(is_whole, "after {millis} ms: {report:#}");
        let own = [SECRETS[0], SECRETS[3], SECRETS[4], SECRETS[5], SECRETS[7]];
        assert_eq!(readable(&data, &own), [], "after {millis} ms");
        // What tokens were made with is nowhere.
        for file in std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()) {
            let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            let is_there =
                secret.as_ref().is_some_and(|secret| bytes.windows(32).any(|window| window == secret));
            assert!(!is_there, "after {millis} ms: {}", file.display());
        }
    }
    assert!(interrupted > 0, "none was killed in the middle");
}

/// The same with some hundred blocks, so that it takes a while.
fn furnished_for_long(folder: &Path) -> Server {
    let server = furnished(folder);
    for number in 0..300 {
        // Late, and told again: it is kept, and charged to nobody.
        let data =
            json!({"direction": "inbound", "number": SECRETS[0], "caller": SECRETS[1], "seconds": number});
        use_up(&server, "acme", &format!("free{number}"), "2026-01-25T10:00:00+08:00", data);
    }
    server.advance("2026-04-05T00:00:00+08:00");
    use_up(&server, "other", "apr", "2026-04-04T10:00:00+08:00", talk(OTHER, SECRETS[2], 600));
    server
}

#[test]
fn a_change_that_no_erasure_made_is_found() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = furnished(folder.path());
    assert_eq!(erase(&server, "acme").0, 200);
    wait_until_erased(&server, "acme");
    server.stop();
    assert!(verify(folder.path()).0);
    let mut round = 0;
    let mut found = |change: &dyn Fn(&Connection)| {
        round += 1;
        let data = place.path().join(round.to_string());
        copy(folder.path(), &data);
        change(&sql(&data));
        let (is_whole, report) = verify(&data);
        assert!(!is_whole, "{report:#}");
        report["findings"].to_string()
    };
    let block = |file: &Connection, sql: &str| -> (u64, Vec<u8>) {
        file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let redacted = "SELECT number, bytes FROM usage_block WHERE redacted IS NOT NULL LIMIT 1 OFFSET 3";
    // One minute more in a block that was redacted.
    let other = |bytes: &[u8]| {
        let mut records = unpack(bytes).unwrap();
        let farebox_store::usage::Record::Added(usage) = &mut records[0] else { panic!("{records:?}") };
        usage.source = "another".to_owned();
        farebox_store::usage::pack(&records).unwrap()
    };
    let change = |file: &Connection, select: &str| {
        let (number, bytes) = block(file, select);
        let bytes = other(&bytes);
        let after = Hash::of(&bytes);
        let sql = "UPDATE usage_block SET bytes = ?, redacted = ? WHERE number = ?";
        file.execute(sql, params![bytes, after.0, number]).unwrap();
        (number, after)
    };
    let said = found(&|file| {
        let (number, bytes) = block(file, redacted);
        file.execute("UPDATE usage_block SET bytes = ? WHERE number = ?", params![other(&bytes), number])
            .unwrap();
    });
    assert!(said.contains("does not follow"), "{said}");
    let said = found(&|file| _ = change(file, redacted));
    assert!(said.contains("not what its redaction has left"), "{said}");
    let said = found(&|file| {
        let (number, after) = change(file, redacted);
        let sql = "UPDATE redaction SET after = ? WHERE chain = 'usage:0' AND number = ?";
        file.execute(sql, params![after.0, number]).unwrap();
    });
    assert!(said.contains("not what the entry of its group says"), "{said}");
    // A redaction that never was.
    let whole =
        "SELECT number, bytes FROM usage_block WHERE redacted IS NULL AND events > 0 LIMIT 1 OFFSET 1";
    let said = found(&|file| _ = change(file, whole));
    assert!(said.contains("no erasure did that"), "{said}");
    for (account, should) in [("acme", "not what the entry of its group says"), ("other", "it is not erased")]
    {
        let said = found(&|file| {
            let hash: Vec<u8> = {
                let (number, _) = block(file, whole);
                let sql = "SELECT hash FROM usage_block WHERE number = ?";
                file.query_row(sql, [number], |row| row.get(0)).unwrap()
            };
            let (number, after) = change(file, whole);
            let sql = "INSERT INTO redaction (erasure, chain, number, original, before, after) \
                       VALUES (?, 'usage:0', ?, ?, ?, ?)";
            file.execute(sql, params![account, number, hash, after.0, after.0]).unwrap();
        });
        assert!(said.contains(should), "{said}");
    }
    let said = found(&|file| _ = file.execute("DELETE FROM redaction WHERE place = 5", []).unwrap());
    assert!(said.contains("no erasure did that"), "{said}");
    let said = found(&|file| _ = file.execute("UPDATE erasure SET actor = 'nobody'", []).unwrap());
    assert!(said.contains("who wished it, or when, is not what the entry of its group says"), "{said}");
    let said = found(&|file| _ = file.execute("UPDATE erasure SET digest = zeroblob(32)", []).unwrap());
    assert!(said.contains("not what the entry of its group says"), "{said}");
}

#[test]
fn an_account_must_be_finished() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Server::start_at(data, FROM);
    assert_eq!(server.post("/v1/catalogues", &[], text("catalogs/huawei-ykf.toml")).0, 201);
    let open = json!({"command": "open", "title": SECRETS[4], "currency": "CNY", "zone": "+08:00"});
    send(&server, "solo", open);
    send(&server, "solo", json!({"command": "topup", "amount": "100.00"}));
    send(
        &server,
        "solo",
        json!({"command": "subscribe", "plan": "fixed-line-calls", "quantity": 1, "name": "line",
               "attributes": {"number": SECRETS[0]}}),
    );
    // What is owed is said as everywhere else.
    send(
        &server,
        "debtor",
        json!({"command": "open", "title": "Debtor", "currency": "CNY", "zone": "+08:00"}),
    );
    send(&server, "debtor", json!({"command": "charge", "amount": "0.20", "title": "A letter"}));
    let (status, refused) = server.post("/v1/accounts/debtor/erase", &[], "");
    assert_eq!((status, &refused["code"]), (409, &json!("still-in-use")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("0.20 CNY is owed of the bill"), "{refused}");
    server.advance("2026-01-05T00:00:00+08:00");
    use_up(&server, "solo", "1", "2026-01-04T10:00:00+08:00", talk(SECRETS[0], SECRETS[2], 600));
    let remains = |should: &[&str]| {
        let (status, refused) = server.post("/v1/accounts/solo/erase", &[], "");
        assert_eq!((status, &refused["code"]), (409, &json!("still-in-use")), "{refused}");
        for word in should {
            assert!(refused["detail"].as_str().unwrap().contains(word), "{word}: {refused}");
        }
    };
    remains(&["the subscription line runs", "is not charged yet", "its balance is 100"]);
    assert_eq!(server.post("/v1/accounts/none/erase", &[], "").0, 404);
    let (status, none) = server.get("/v1/accounts/solo/erasure");
    assert_eq!((status, &none["state"]), (200, &json!("none")));
    server.advance("2026-01-06T00:00:00+08:00");
    send(&server, "solo", json!({"command": "cancel", "subscription": "line"}));
    server.advance("2026-01-08T00:00:00+08:00");
    remains(&["the bill solo-2026-01 is not issued", "its balance is 99"]);
    server.advance("2026-02-02T00:00:00+08:00");
    remains(&["its balance is 99"]);
    send(&server, "solo", json!({"command": "payout", "amount": "99.00"}));
    let (_, bill) = server.get("/v1/bills/solo-2026-01");
    assert_eq!(bill["total"], json!("1.00"));
    let events = |server: &Server, which: &str| -> Vec<Value> {
        let (status, page) = server.get(&format!("/v1/accounts/solo/events{which}"));
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    };
    assert_eq!(events(&server, "?billed=true")[0]["code"], Value::Null);
    server.stop();

    let erased = farebox(&["erase", "solo", "--json", "--data", data.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&erased.stderr);
    assert!(erased.status.success(), "{said}");
    let done: Value = serde_json::from_slice(&erased.stdout).unwrap();
    assert!(done["erased_at"].is_string() && done["events"] == json!(1), "{done}");
    assert_eq!(readable(data, &[SECRETS[0], SECRETS[1], SECRETS[2], SECRETS[4]]), []);
    let (is_whole, report) = verify(data);
    assert!(is_whole, "{report:#}");
    let none = farebox(&["erase", "none", "--data", data.to_str().unwrap()]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("there is no account"));
    // A folder that was meant otherwise gets no store.
    let elsewhere = data.join("elsewhere");
    for command in [&["erase", "solo"][..], &["archive", "--usage-months", "3"]] {
        let none = farebox(&[command, &["--data", elsewhere.to_str().unwrap()]].concat());
        let said = String::from_utf8_lossy(&none.stderr);
        assert!(none.status.code() == Some(2) && said.contains("there is no store"), "{said}");
        assert!(!elsewhere.exists(), "{command:?}");
    }

    let server = Server::start_at(data, FROM);
    let (_, after) = server.get("/v1/bills/solo-2026-01");
    assert_eq!(
        (&after["total"], &after["lines"][0]["amount"]),
        (&bill["total"], &bill["lines"][0]["amount"])
    );
    assert_eq!(after["lines"][0]["formula"], bill["lines"][0]["formula"]);
    // It was billed, as the line says; nothing says that it was not.
    let all = events(&server, "");
    assert_eq!((all.len(), &all[0]["code"]), (1, &json!("account-erased")), "{all:?}");
    assert_eq!((events(&server, "?billed=true"), events(&server, "?billed=false")), (vec![], vec![]));
    let again = json!({"command": "open", "title": "Again", "currency": "CNY", "zone": "+08:00"});
    for (account, command) in [
        ("solo", again.clone()),
        ("solo", json!({"command": "topup", "amount": "1.00"})),
        (
            "child",
            json!({"command": "open", "title": "Child", "currency": "CNY", "zone": "+08:00", "member_of": "solo"}),
        ),
    ] {
        let (status, refused) = server.command(account, &command);
        assert_eq!((status, &refused["code"]), (409, &json!("account-erased")), "{refused}");
    }
    let quote = json!({"commands": [{"command": "topup", "amount": "1.00"}]}).to_string();
    let (status, refused) = server.post("/v1/accounts/solo/quotes", &[], quote);
    assert_eq!((status, &refused["code"]), (409, &json!("account-erased")), "{refused}");
    let key = json!({"label": "its clerk", "role": "customer", "account": "solo"}).to_string();
    let (status, refused) = server.post("/v1/keys", &[], key);
    assert_eq!((status, &refused["code"]), (409, &json!("account-erased")), "{refused}");
    // What time does goes on.
    server.advance("2026-06-01T00:00:00+08:00");
    let (_, failed) = server.get("/v1/schedule/failed");
    assert_eq!(failed["items"], json!([]));
    server.stop();
    assert!(verify(data).0);
}
