//! Books sent to a server: it comes to the very rows that the book comes to by itself.

use crate::books::{asked_by_itself, push, same_answers, same_rows};
use crate::common::{files_below, root};
use crate::server::Server;
use farebox_scenario::prepare::Prepared;
use farebox_text::book::ItemKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The refusals that a book expects, by line.
fn expected(prepared: &Prepared) -> BTreeMap<usize, String> {
    let commands = prepared.book.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Command(command) => Some((item.line, command.expected.as_ref()?.text.clone())),
        _ => None,
    });
    commands.collect()
}

/// Answers that a server cannot give as a book does, each with the reason.
const OTHERWISE: &[(&str, usize, &str)] = &[
    ("scenarios/metering/call-records.test", 45, "imports: a server is sent events, and knows no files"),
    ("scenarios/metering/double-encoded.test", 9, "a row that is no event is not sent"),
    ("scenarios/metering/double-encoded.test", 13, "imports: a server is sent events, and knows no files"),
    (
        "scenarios/metering/revised-in-one-file.test",
        14,
        "imports: a server is sent events, and knows no files",
    ),
    ("scenarios/metering/quarantine.test", 41, "imports: a server is sent events, and knows no files"),
    (
        "scenarios/metering/quarantine.test",
        26,
        "a row that is no event is not sent; of an event, no row is known",
    ),
];

/// What a server answers otherwise than a book does, line by line, but for what is expected of `file`; and the lines
/// of the file that were expected.
fn differences(pushed: &Value, file: &str) -> (Vec<String>, BTreeSet<usize>) {
    let (mut wrong, mut expected, mut is_expected) = (Vec::new(), BTreeSet::new(), false);
    for line in pushed["checked"]["differences"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        if !line.starts_with(' ') {
            let of_file = OTHERWISE.iter().filter(|(name, ..)| *name == file);
            let known = of_file.map(|one| one.1).find(|number| line.contains(&format!("{file}:{number}: ")));
            is_expected = known.is_some();
            expected.extend(known);
        }
        if !is_expected {
            wrong.push(line.to_owned());
        }
    }
    (wrong, expected)
}

/// Compares a scenario; answers how many lines and postings that were. `None`: it has no commands.
fn compare(file: &str) -> Result<Option<usize>, String> {
    let path = root().join(file);
    let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some((prepared, until, mut answers)) = asked_by_itself(&path, ours.path(), true) else {
        return Ok(None);
    };
    let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
    let pushed = push(&server, &path, &until.to_string());
    let refused = pushed["refused"].as_array().unwrap().iter().map(|one| {
        let text = |name: &str| one[name].as_str().unwrap();
        (one["line"].as_u64().unwrap() as usize, format!("{}: {}", text("code"), text("detail")))
    });
    let (is, should): (BTreeMap<usize, String>, _) = (refused.collect(), expected(&prepared));
    if is != should {
        return Err(format!("{file}: the server refuses\n{is:#?}\nthe book expects\n{should:#?}"));
    }
    let (differences, otherwise) = differences(&pushed, file);
    if !differences.is_empty() {
        return Err(differences.join("\n"));
    }
    let listed: BTreeSet<usize> = OTHERWISE.iter().filter(|one| one.0 == file).map(|one| one.1).collect();
    if otherwise != listed {
        return Err(format!("{file}: lines {listed:?} are said to be answered otherwise; {otherwise:?} are"));
    }
    // All bills in the end, also those that the scenario does not ask for.
    answers.retain(|(question, _)| question.starts_with("bill "));
    same_answers(&server, prepared.zone.name(), &answers).map_err(|wrong| format!("{file}: {wrong}"))?;
    server.stop();
    same_rows(file, ours.path(), servers.path(), &prepared).map(Some)
}

#[test]
fn every_scenario_comes_to_the_same_on_a_server() {
    let files = files_below("scenarios", "test");
    let next = AtomicUsize::new(0);
    let results: Vec<Result<Option<usize>, String>> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(compare(file));
            }
            done
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let wrong: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let shown: Vec<&str> = wrong.iter().take(9).map(|wrong| wrong.as_str()).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), files.len(), shown.join("\n"));
    let compared: Vec<usize> = results.into_iter().filter_map(|result| result.ok().flatten()).collect();
    assert!(compared.len() > 250 && compared.iter().sum::<usize>() > 3_000, "{}", compared.len());
}

#[test]
fn a_book_that_is_pushed_again_does_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00+08:00");
    let book = root().join("examples/demo/january.book");
    let until = "2024-02-01T00:00:00+08:00";
    let first = push(&server, &book, until);
    assert_eq!(
        (&first["price_lists"], &first["commands"], &first["duplicates"]),
        (&json!(5), &json!(21), &json!(0))
    );
    let usage = |pushed: &Value| ["usage", "quarantined"].map(|name| pushed[name].as_u64().unwrap());
    assert_eq!(usage(&first).iter().sum::<u64>(), 9_514);
    let bill = server.get("/v1/bills/acme-2024-01");
    let second = push(&server, &book, until);
    assert_eq!((&second["price_lists"], &second["commands"]), (&json!(0), &json!(21)));
    assert_eq!((usage(&second), &second["duplicates"]), ([0, 0], &json!(9_514)));
    assert_eq!(server.get("/v1/bills/acme-2024-01"), bill);
    server.stop();
}

#[test]
fn what_the_demo_says_to_try_can_be_tried() {
    struct Demo(Child);
    // A test that fails leaves no process behind.
    impl Drop for Demo {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "Ctrl-C ends it").collect();
    let page = said.iter().find_map(|line| line.strip_prefix("open   ")).unwrap();
    let mut answer = ureq::get(page).call().unwrap();
    assert!(answer.body_mut().read_to_string().unwrap().contains("<html"));
    let key = said.iter().find(|line| line.starts_with("export KEY=")).unwrap();
    let asks: Vec<&String> = said.iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(asks.len(), 6, "{said:#?}");
    for ask in asks {
        let line =
            format!("{key}; {}", ask.replacen("curl ", "curl --silent --show-error --fail-with-body ", 1));
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.starts_with('{'), "{ask}: {text}");
    }
    let id = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(demo.0.wait().unwrap().success());
    assert!(!std::env::temp_dir().join(format!("farebox-demo-{id}")).exists(), "it leaves nothing behind");
}

#[test]
fn a_server_is_asked_what_a_book_asks_and_differences_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2000-01-01T00:00:00Z");
    let book = folder.path().join("acme.book");
    let lines = "zone +08:00\n2026-01-01 open acme \"Acme\" currency CNY\n2026-01-01 topup acme 12.50\n2026-01-01 open acme currency CNY\n\n$ balance acme\nbalance  12.5\n\n$ balance acmee\n";
    std::fs::write(&book, lines).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
        let output =
            command.args(words).args(["--url", &server.address, "--key", &server.token]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let book = book.to_str().unwrap();
    let (code, said, _) = run(&["push", "--check", book]);
    assert_eq!(code, 1, "{said}");
    for expected in [
        "acme.book:4: the answer differs\n  found:    account-exists: ",
        "acme.book:6: the answer differs\n  expected: balance  12.5\n  found:    balance",
        "acme.book:9: the answer differs\n  found:    unknown-account: there is no account \"acmee\"; did you mean \"acme\"?",
        "\n3 answers compared, 3 differ\n",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    // Asked no questions, it says what was refused.
    let (code, said, _) = run(&["push", book]);
    assert!(code == 1 && said.starts_with("line 4: refused: account-exists: "), "{said}");
    let (code, said, wrong) = run(&["ask", "balance acme"]);
    assert!(code == 0 && said.starts_with("balance ") && wrong.is_empty(), "{said} {wrong}");
    let (code, said, wrong) = run(&["ask", "balance acne"]);
    assert!(code == 2 && said.is_empty() && wrong.contains("did you mean \"acme\""), "{said} {wrong}");
    let (code, _, wrong) = run(&["ask", "bill acme 2026-1"]);
    assert!(
        code == 2 && wrong.contains("\"2026-1\" at character 11; expected a month as YYYY-MM"),
        "{wrong}"
    );
    let (code, _, wrong) = run(&["ask", "bill acme 2026-01"]);
    assert!(
        code == 2 && wrong.contains("not-yet: this is answered as of 2026-02-01; it is 2026-01-01 now"),
        "{wrong}"
    );
    let (code, said, _) = run(&["ask", "bill acme 2026-01", "--so-far", "--json"]);
    assert!(code == 0 && said.contains("\"lines\""), "{said}");
    server.stop();
}

#[test]
fn a_book_of_before_the_test_clock_is_refused_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00.001+08:00");
    let send = |server: &Server, more: &[&str]| {
        let words = ["push", "examples/demo/january.book", "--url", &server.address, "--key", &server.token];
        let output = crate::common::farebox(&[&words, more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = send(&server, &[]);
    assert_eq!(code, Some(2), "{said}");
    for expected in [
        "the server's test clock stands at 2024-01-01 00:00:00.001, and examples/demo/january.book begins on 2024-01-01",
        "nothing was sent; expected a server whose clock is not later, such as a new one with --test-clock 2023-12-31T16:00:00Z",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let (code, said) = send(&server, &["--until", "2023-12-01T00:00:00+08:00"]);
    assert!(
        code == Some(2) && said.contains("--until 2023-12-01: the server's test clock stands at"),
        "{said}"
    );
    for list in ["/v1/accounts", "/v1/catalogues", "/v1/quarantine"] {
        assert_eq!(server.get(list).1["items"], json!([]), "{list}");
    }
    server.stop();
    // Where it was sent before, it may be sent again at any time.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00+08:00");
    assert_eq!(send(&server, &[]).0, Some(0));
    server.advance("2024-03-10T00:00:00+08:00");
    let (code, said) = send(&server, &[]);
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}
