//! The exported journal: hledger accepts it, its sums are those of the trial balance, and no text in
//! it is lost. hledger is Debian's; without it these tests fail.

use crate::common::{farebox, files_below, root, scratch, stdout_of};
use farebox_api::journal::{Booked, csv, hledger, hledger_account, unescape};
use farebox_core::calendar::Instant;
use farebox_core::ledger::{LedgerAccount, Posting, Unit};
use farebox_core::money::{Amount, Currency, Exact};
use farebox_report::ledger_totals;
use farebox_scenario::run::{Options, Outcome, Run};
use farebox_scenario::{golden, prepare};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What hledger says; it must succeed.
fn ask_hledger(journal: &Path, arguments: &[&str]) -> String {
    let output = Command::new("hledger")
        .arg("-f")
        .arg(journal)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("hledger runs (apt-get install hledger)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "hledger {arguments:?} {}: {said}", journal.display());
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a CSV, as RFC 4180 has it.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    let mut inside = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' if inside && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => inside = !inside,
            ',' if !inside => row.push(std::mem::take(&mut cell)),
            '\r' if !inside => {}
            '\n' if !inside => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(!inside && cell.is_empty() && row.is_empty(), "the last row ends");
    rows
}

/// Sums by the first two parts of an account's name, without the customer, and the commodity.
type Sums = BTreeMap<(String, String), Exact>;

fn add(sums: &mut Sums, account: &str, unit: &str, value: Exact) {
    let kind: Vec<&str> = account.split(':').take(2).collect();
    let sum = sums.entry((kind.join(":"), unit.trim_matches('"').to_owned())).or_default();
    *sum = sum.add(value).unwrap();
}

fn exact(text: &str) -> Exact {
    Exact::parse(text, 10).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// What `hledger balance` says.
fn balances(journal: &Path) -> Sums {
    let mut sums = Sums::new();
    for row in rows(&ask_hledger(journal, &["balance", "--flat", "-N", "-O", "csv"])).iter().skip(1) {
        let [account, amounts] = row.as_slice() else { panic!("{row:?}") };
        for amount in amounts.split(", ").filter(|amount| *amount != "0") {
            let (value, unit) = amount.split_once(' ').unwrap();
            add(&mut sums, account, unit, exact(value));
        }
    }
    sums
}

/// What the book's trial balance says.
fn trial_balance(book: &Path) -> Sums {
    let prepared = prepare::load(book).unwrap();
    let mut run = Run::new(&prepared, Options::default());
    run.play(&mut |_, _: Outcome| {}).unwrap();
    let last = prepared.last_moment().max(run.last_usage()).unwrap();
    let zones = run.accounts().map(|account| &account.head.zone).chain([&prepared.zone]);
    let ends = zones.map(|zone| zone.cycle(farebox_core::calendar::Cycle::Month, last).end);
    let end = ends.max().unwrap();
    run.advance(end).unwrap();
    let mut sums = Sums::new();
    for ((ledger, unit), value) in ledger_totals(run.accounts(), Instant::MAX).unwrap() {
        if !value.is_zero() {
            add(&mut sums, &hledger_account(&ledger, ""), &unit.to_string(), value);
        }
    }
    sums
}

/// Sums of the CSV's debits less credits.
fn csv_sums(text: &str) -> BTreeMap<String, Exact> {
    let mut sums: BTreeMap<String, Exact> = BTreeMap::new();
    for row in rows(text).iter().skip(1) {
        let [_, _, _, _, _, _, unit, debit, credit] = row.as_slice() else { panic!("{row:?}") };
        let part = |text: &str| if text.is_empty() { Exact::ZERO } else { exact(text) };
        let sum = sums.entry(unit.clone()).or_default();
        *sum = sum.add(part(debit)).unwrap().sub(part(credit)).unwrap();
    }
    sums
}

#[test]
fn hledger_accepts_the_journal_and_agrees_with_the_trial_balance() {
    let mut books = files_below("examples", "book");
    for subject in ["wallet", "ledger", "account", "terms", "packages", "holds", "money"] {
        books.extend(files_below(&format!("scenarios/{subject}"), "test"));
    }
    assert!(books.len() > 20);
    for book in books {
        let journal = scratch(&format!("journals/{}.journal", book.replace('/', "-")), "");
        let output =
            farebox(&["export", "journal", &book, "--format", "hledger", "-o", journal.to_str().unwrap()]);
        assert!(output.status.success(), "{book}: {}", String::from_utf8_lossy(&output.stderr));
        ask_hledger(&journal, &["check", "--strict"]);
        assert_eq!(balances(&journal), trial_balance(&root().join(&book)), "{book}");
        let rows = stdout_of(&["export", "journal", &book, "--format", "csv"]);
        for (unit, sum) in csv_sums(&rows) {
            assert!(sum.is_zero(), "{book}: {unit} does not balance: {sum}");
        }
    }
}

#[test]
fn the_journal_ends_where_it_is_told() {
    let book = "scenarios/wallet/trial-balance.test";
    let until = ["export", "journal", book, "--format", "csv", "--until", "2026-02-01"];
    let dates: Vec<String> = rows(&stdout_of(&until)).into_iter().skip(1).map(|row| row[0].clone()).collect();
    assert_eq!(dates.first().map(String::as_str), Some("2026-01-01"));
    assert_eq!(dates.last().map(String::as_str), Some("2026-02-01"));
    // The same sums as the trial balance of that moment.
    let text = std::fs::read_to_string(root().join(book)).unwrap();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("2026-02-01 coupon")).collect();
    let asked = format!("{}\n\n$ trial-balance 2026-02-01\n", lines.join("\n"));
    let checked = golden::check_bytes("until.test", asked.as_bytes(), &root().join("scenarios/wallet"));
    let answer = checked.unwrap().rewritten;
    let receivable = answer.lines().find(|line| line.starts_with("receivable")).unwrap();
    assert!(receivable.contains("620.00"), "{receivable}");
    let sums: Exact = rows(&stdout_of(&until))
        .iter()
        .skip(1)
        .filter(|row| row[5] == "receivable")
        .map(|row| exact(&row[7]))
        .fold(Exact::ZERO, |sum, value| sum.add(value).unwrap());
    assert_eq!(sums, exact("620"));
}

#[test]
fn no_text_is_lost() {
    let eur = Currency::parse("EUR").unwrap();
    let mut memos: Vec<String> = [
        "plain",
        "",
        " ",
        "  two spaces  inside  ",
        "line\nend\r\nand another",
        "a; comment ; tag:value, date:2020-01-01",
        "\"quotes\", 'more', commas",
        "% %0A %25",
        "* (code) ! [2020-01-01]",
        "| payee | note",
        "座席 · Müller & Söhne €  🎧",
        "tab\tand\u{a0}no-break\u{2028}line separator\u{0}",
        "; at the start",
        "=SUM(A1)",
    ]
    .map(str::to_owned)
    .to_vec();
    // Some more at random, the same in every run.
    let letters: Vec<char> = " ;%|\"'()[]*!:,=\n\r\t-09azÄ座\u{3000}".chars().collect();
    let mut state = 7_u64;
    for length in 0..200 {
        let mut memo = String::new();
        for _ in 0..length % 23 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            memo.push(letters[(state >> 33) as usize % letters.len()]);
        }
        memos.push(memo);
    }
    let at: Instant = "2026-01-01T00:00:00Z".parse().unwrap();
    let one = Amount::from_units(100_000_000);
    let booked = |(index, memo): (usize, &String)| {
        let entries = vec![(LedgerAccount::Bank, one), (LedgerAccount::Balance, one.negated())];
        Booked {
            account: "Müller-1.a_b".into(),
            number: index + 1,
            local: "2026-01-01T00:00:00".parse().unwrap(),
            posting: Posting::money(at, memo.clone(), eur, entries).unwrap(),
        }
    };
    let mut journal: Vec<Booked> = memos.iter().enumerate().map(booked).collect();
    let path = scratch("memos.journal", hledger(&journal));
    ask_hledger(&path, &["check", "--strict"]);
    let read: Vec<String> = rows(&ask_hledger(&path, &["print", "-O", "csv"]))
        .iter()
        .skip(1)
        .step_by(2)
        .map(|row| unescape(&row[5]).unwrap())
        .collect();
    assert_eq!(read, memos);
    let read: Vec<String> =
        rows(&csv(&journal)).iter().skip(1).step_by(2).map(|row| row[4].clone()).collect();
    assert_eq!(read, memos);
    // Units and buckets have names of their own, too.
    for (index, booked) in journal.iter_mut().enumerate() {
        let (unit, bucket) =
            (format!("unit \"{}\"; {index}", memos[index]), format!("a:b/  {}", memos[index]));
        for entry in &mut booked.posting.entries {
            entry.unit = Unit::Quota(unit.clone());
            let side = farebox_core::ledger::QuotaSide::Held;
            entry.account = LedgerAccount::Quota { bucket: bucket.clone(), side };
        }
    }
    ask_hledger(&scratch("units.journal", hledger(&journal)), &["check", "--strict"]);
}
