//! The export for cost management: FOCUS rows of bills, as CSV and Parquet.

use crate::books::push;
use crate::common::{farebox, files_below, root, scratch, stdout_of, text};
use crate::server::Server;
use farebox_api::focus::{self, COLUMNS, World};
use farebox_core::account::Account;
use farebox_core::calendar::Cycle;
use farebox_core::money::Amount;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Outcome, Run};
use farebox_table::{Cell, Form, Format, Writer};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::collections::BTreeMap;
use std::fs::File;

type Row = BTreeMap<&'static str, Cell>;

const BOOK: &str = "scenarios/bill/exported.test";
/// What the book's export is, to be read beside its bills.
const GOLDEN: &str = "crates/cli/tests/commands/focus.csv";

fn export(arguments: &[&str]) -> String {
    stdout_of(&[&["export", "focus", "--issuer", "Example Ltd"], arguments].concat())
}

#[test]
fn a_book_is_exported_as_an_accountant_reads_it() {
    let csv = export(&[BOOK]);
    if std::env::var_os("FAREBOX_UPDATE").is_some() {
        std::fs::write(root().join(GOLDEN), &csv).unwrap();
    }
    assert_eq!(
        csv,
        text(GOLDEN),
        "write it anew with: FAREBOX_UPDATE=1 cargo test -p farebox --test commands"
    );
    let of_month = export(&[BOOK, "--month", "2026-02"]);
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let all = rows(&csv);
    assert!(!rows(&of_month).is_empty() && all.ends_with(&rows(&of_month)), "{of_month}");
}

/// Every row of a Parquet file, each cell as CSV writes it.
fn rows_of_parquet(path: &std::path::Path) -> Vec<Vec<Cell>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let cell = |field: &Field| match field {
        Field::Null => Cell::Null,
        Field::Str(text) => Cell::text(text),
        Field::Decimal(decimal) => Cell::Decimal(i128::from_be_bytes(decimal.data().try_into().unwrap())),
        Field::TimestampMicros(micros) => {
            Cell::Moment(farebox_core::calendar::Instant::from_microsecond(*micros).unwrap())
        }
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| cell(field)).collect()).collect()
}

#[test]
fn parquet_says_what_csv_says() {
    let path = scratch("focus/book.parquet", "what was there before");
    let output = farebox(&[
        "export",
        "focus",
        BOOK,
        "--issuer",
        "Example Ltd",
        "--format",
        "parquet",
        "-o",
        path.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut csv = Writer::new(Format::Csv, COLUMNS, Vec::new()).unwrap();
    rows_of_parquet(&path).into_iter().for_each(|row| csv.row(row).unwrap());
    assert_eq!(String::from_utf8(csv.finish().unwrap()).unwrap(), text(GOLDEN));
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    for (column, described) in COLUMNS.iter().zip(schema.columns()) {
        let (precision, scale) = (described.type_precision(), described.type_scale());
        match column.form {
            Form::Decimal { scale: expected, .. } => {
                assert_eq!((precision, scale), (38, i32::from(expected)), "{}", column.name)
            }
            _ => assert_eq!(described.name(), column.name),
        }
    }
    // To standard output it cannot be written, and what is wrong leaves no file.
    let refused = farebox(&["export", "focus", BOOK, "--issuer", "x", "--format", "parquet"]);
    assert_eq!(refused.status.code(), Some(2));
    let nowhere = scratch("focus/none", "").with_file_name("nowhere").join("book.csv");
    let refused = farebox(&["export", "focus", BOOK, "--issuer", "x", "-o", nowhere.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_server_and_its_store_export_the_same_in_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(folder.path(), "2024-01-01T00:00:00+08:00");
    push(&server, &root().join("examples/demo/january.book"), "2024-02-01T00:00:00+08:00");
    let served = |form: &str| {
        let address = format!("http://{}/v1/exports/focus?issuer=Example%20Ltd&format={form}", server.host());
        let request = ureq::get(&address).header("authorization", &format!("Bearer {}", server.token));
        let mut response = request.call().unwrap();
        let media = response.headers()["content-type"].to_str().unwrap().to_owned();
        (media, response.body_mut().read_to_vec().unwrap())
    };
    let (media, csv) = served("csv");
    assert_eq!(media, "text/csv; charset=utf-8");
    assert_eq!(String::from_utf8(csv.clone()).unwrap(), export(&["--data", folder.path().to_str().unwrap()]));
    let (media, parquet) = served("parquet");
    assert_eq!(media, "application/vnd.apache.parquet");
    let path = scratch("focus/served.parquet", parquet);
    let mut again = Writer::new(Format::Csv, COLUMNS, Vec::new()).unwrap();
    let rows = rows_of_parquet(&path);
    assert!(rows.len() > 30, "{}", rows.len());
    rows.into_iter().for_each(|row| again.row(row).unwrap());
    assert!(again.finish().unwrap() == csv);
    server.stop();
}

/// The rows of a book at the end of its last month, each with its account.
fn rows_of_book(book: &str) -> (Vec<Account>, Vec<Row>) {
    let prepared = prepare::load(&root().join(book)).unwrap();
    let mut run = Run::new(&prepared, Options::default());
    run.play(&mut |_, _: Outcome| {}).unwrap();
    if let Some(last) = prepared.last_moment().max(run.last_usage()) {
        let zones = run.accounts().map(|account| &account.head.zone).chain([&prepared.zone]);
        let end = zones.map(|zone| zone.cycle(Cycle::Month, last).end).max().unwrap();
        run.advance(end).unwrap();
    }
    let world = World { catalogues: &prepared.catalogues, issuer: "Example Ltd", month: None };
    let mut rows = Vec::new();
    for account in run.accounts() {
        let group = run.group_of(&account.head.id).unwrap();
        let mut csv = Writer::new(Format::Csv, COLUMNS, Vec::new()).unwrap();
        focus::rows(&world, group, account, &mut |row| {
            // A writer takes only what its columns allow.
            csv.row(row.clone()).unwrap_or_else(|error| panic!("{book}: {error}"));
            rows.push(COLUMNS.iter().map(|column| column.name).zip(row).collect());
        })
        .unwrap();
    }
    (run.accounts().cloned().collect(), rows)
}

fn units(row: &Row, column: &str) -> i128 {
    match &row[column] {
        Cell::Decimal(units) => *units,
        other => panic!("{column}: {other:?}"),
    }
}

fn words<'r>(row: &'r Row, column: &str) -> &'r str {
    match &row[column] {
        Cell::Text(text) => text,
        Cell::Null => "",
        other => panic!("{column}: {other:?}"),
    }
}

/// `price × quantity`, both in 10⁻¹⁸, as a cost in 10⁻⁸, rounded half away from zero.
fn product(price: i128, quantity: i128) -> i128 {
    // In parts of nine digits, so that nothing is too large.
    let (sign, price, quantity) =
        ((price < 0) != (quantity < 0), price.unsigned_abs(), quantity.unsigned_abs());
    let parts = |mut of: u128| {
        let mut parts = Vec::new();
        while of > 0 {
            parts.push(of % 1_000_000_000);
            of /= 1_000_000_000;
        }
        parts
    };
    let (one, other) = (parts(price), parts(quantity));
    let mut sum = vec![0u128; one.len() + other.len() + 2];
    for (at, a) in one.iter().enumerate() {
        for (and, b) in other.iter().enumerate() {
            sum[at + and] += a * b;
        }
    }
    for at in 1..sum.len() {
        sum[at] += sum[at - 1] / 1_000_000_000;
        sum[at - 1] %= 1_000_000_000;
    }
    // 36 decimals are there, 8 stay: 28 go, which is three parts and a digit.
    let low = sum.get(3).copied().unwrap_or(0);
    let whole: u128 =
        sum.iter().skip(4).rev().fold(0, |whole, part| whole * 1_000_000_000 + part) * 100_000_000 + low / 10;
    let units = (whole + u128::from(low % 10 >= 5)) as i128;
    if sign { -units } else { units }
}

#[test]
fn the_costs_of_every_scenario_sum_to_its_bills() {
    assert_eq!(product(10i128.pow(18) / 3, 3 * 10i128.pow(18)), 100_000_000);
    assert_eq!(product(-15 * 10i128.pow(17), 2 * 10i128.pow(18)), -300_000_000);
    let (mut bills, mut corrections, mut credits, mut priced, mut silent) = (0, 0, 0, 0, 0);
    for book in files_below("scenarios", "test") {
        let (accounts, rows) = rows_of_book(&book);
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for row in &rows {
            let place = format!("{book}: {}", words(row, "x_LineId"));
            *sums.entry(words(row, "InvoiceId")).or_default() += units(row, "BilledCost");
            let is_correction = words(row, "ChargeClass") == "Correction";
            let is_sold = ["Usage", "Purchase"].contains(&words(row, "ChargeCategory"));
            for (price, cost) in [("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")] {
                if row[price] == Cell::Null {
                    silent += usize::from(is_sold && !is_correction);
                    continue;
                }
                priced += 1;
                assert!(units(row, price) >= 0, "{place}: {price}");
                let makes = product(units(row, price), units(row, "PricingQuantity"));
                assert!(
                    is_correction || makes == units(row, cost),
                    "{place}: {price} makes {makes}, not {cost}"
                );
            }
            if is_correction && words(row, "ChargeCategory") != "Credit" {
                corrections += 1;
                let corrected = words(row, "x_CorrectsLineId");
                assert!(!corrected.starts_with(&format!("{}-", words(row, "InvoiceId"))), "{place}");
            }
            let (Cell::Moment(start), Cell::Moment(end)) =
                (&row["ChargePeriodStart"], &row["ChargePeriodEnd"])
            else {
                panic!("{place}")
            };
            assert!(start < end && start.subsec_nanosecond() == 0 && end.subsec_nanosecond() == 0, "{place}");
        }
        for account in &accounts {
            for bill in account.bills.values() {
                bills += 1;
                let total = if bill.issued.is_some() { bill.posted } else { bill.sum };
                let sum = sums.remove(bill.id.as_str()).unwrap_or_default();
                assert_eq!(Amount::from_units(sum), total, "{book}: {}", bill.id);
                for note in &bill.credits {
                    credits += 1;
                    let sum = sums.remove(note.id.as_str()).unwrap_or_default();
                    assert_eq!(Amount::from_units(sum), note.amount.negated(), "{book}: {}", note.id);
                }
            }
        }
        assert!(sums.is_empty(), "{book}: no bill is named {sums:?}");
    }
    assert!(
        bills > 500 && corrections > 50 && credits > 5 && priced > 3_000,
        "{bills} {corrections} {credits}"
    );
    // A list price below zero with an amount above it, within one bill, has no price that FOCUS allows.
    assert!(silent <= 2, "{silent} prices are not said");
}
