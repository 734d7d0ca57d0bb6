//! What is written can be read again, in both forms.

use farebox_table::{Cell, Column, Form, Format, Reader, Writer};
use jiff::Timestamp;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::io;

/// Two groups of rows, and one row more.
const MANY: usize = 2 * 16_384 + 1;

const COLUMNS: &[Column] = &[
    Column::required("Name", Form::Text),
    Column::optional("Note", Form::Text),
    Column::required("Cost", Form::Decimal { scale: 8, shown: 2 }),
    Column::optional("Quantity", Form::Decimal { scale: 18, shown: 0 }),
    Column::required("At", Form::Moment),
    Column::optional("Count", Form::Whole),
    Column::optional("Is", Form::Flag),
];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rows() -> Vec<Vec<Cell>> {
    vec![
        vec![
            Cell::text("plain"),
            Cell::text("a, \"b\"\r\nc"),
            Cell::Decimal(-308_000_000_000),
            Cell::Decimal(9_935_483_870_967_741_935),
            Cell::Moment(at(1_580_486_400)),
            Cell::Whole(-7),
            Cell::Flag(true),
        ],
        vec![
            Cell::text(""),
            Cell::Null,
            Cell::Decimal(0),
            Cell::Null,
            Cell::Moment(at(0)),
            Cell::Null,
            Cell::Null,
        ],
    ]
}

fn written(format: Format, rows: Vec<Vec<Cell>>) -> Vec<u8> {
    let mut writer = Writer::new(format, COLUMNS, Vec::new()).unwrap();
    rows.into_iter().for_each(|row| writer.row(row).unwrap());
    writer.finish().unwrap()
}

#[test]
fn csv_is_as_rfc_4180_has_it() {
    let text = String::from_utf8(written(Format::Csv, rows())).unwrap();
    assert_eq!(
        text,
        "Name,Note,Cost,Quantity,At,Count,Is\r\n\
         plain,\"a, \"\"b\"\"\r\nc\",-3080.00,9.935483870967741935,2020-01-31T16:00:00Z,-7,true\r\n\
         \"\",,0.00,,1970-01-01T00:00:00Z,,\r\n"
    );
}

#[test]
fn parquet_says_what_it_was_given_over_many_groups() {
    let some = rows();
    let many: Vec<Vec<Cell>> = some.iter().cycle().take(MANY).cloned().collect();
    let reader = SerializedFileReader::new(bytes::Bytes::from(written(Format::Parquet, many))).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3);
    let mut count = 0;
    for (row, expected) in reader.get_row_iter(None).unwrap().zip(some.iter().cycle()) {
        count += 1;
        for ((_, field), cell) in row.unwrap().get_column_iter().zip(expected) {
            match (field, cell) {
                (Field::Str(text), Cell::Text(expected)) => assert_eq!(text, expected),
                (Field::Decimal(decimal), Cell::Decimal(expected)) => {
                    let bytes: [u8; 16] = decimal.data().try_into().unwrap();
                    assert_eq!((i128::from_be_bytes(bytes), decimal.precision()), (*expected, 38));
                }
                (Field::TimestampMicros(micros), Cell::Moment(expected)) => {
                    assert_eq!(*micros, expected.as_microsecond());
                }
                (Field::Long(number), Cell::Whole(expected)) => assert_eq!(number, expected),
                (Field::Bool(flag), Cell::Flag(expected)) => assert_eq!(flag, expected),
                (Field::Null, Cell::Null) => {}
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }
    assert_eq!(count, MANY);
}

#[test]
fn a_row_that_does_not_fit_is_not_written() {
    let wrong: Vec<Vec<Cell>> = vec![
        vec![Cell::Null],
        {
            let mut row = rows().remove(0);
            row[0] = Cell::Null;
            row
        },
        {
            let mut row = rows().remove(0);
            row[2] = Cell::Decimal(10i128.pow(38));
            row
        },
        {
            let mut row = rows().remove(0);
            row[5] = Cell::Flag(true);
            row
        },
    ];
    for format in [Format::Csv, Format::Parquet] {
        for row in &wrong {
            let mut writer = Writer::new(format, COLUMNS, Vec::new()).unwrap();
            let error = writer.row(row.clone()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{row:?}");
        }
    }
}

#[test]
fn bytes_of_a_group_are_read_by_its_number() {
    const BLOCKS: &[Column] =
        &[Column::required("Number", Form::Whole), Column::optional("Block", Form::Bytes)];
    let mut writer = Writer::new(Format::Parquet, BLOCKS, Vec::new()).unwrap();
    for group in 0..3u8 {
        for row in 0..4 {
            let block = if row == 0 { Cell::Bytes(vec![group; 100_000]) } else { Cell::Null };
            writer.row(vec![Cell::Whole(row), block]).unwrap();
        }
        writer.end_group().unwrap();
    }
    writer.end_group().unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("groups.parquet");
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.groups(), 3);
    for group in 0..3 {
        assert_eq!(reader.bytes(group, "Block").unwrap(), [vec![group as u8; 100_000]]);
    }
    assert!(reader.bytes(3, "Block").is_err() && reader.bytes(0, "None").is_err());
    assert!(reader.bytes(0, "Number").is_err(), "they are numbers");
    std::fs::write(&path, b"PAR1 and nothing else").unwrap();
    assert!(Reader::open(&path).is_err());
}
