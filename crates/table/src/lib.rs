//! Tables as files: rows of cells in, CSV (RFC 4180) or Apache Parquet out.
//!
//! A table is its columns and rows; both writers take the same cells, so that two files of one table say the same.
//! Decimals stay decimals, moments are UTC, and what is missing is null: nothing between two commas in CSV.

mod csv;
mod file;
mod read;

pub use read::Reader;

use jiff::Timestamp;
use std::io::{self, Write};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its cells are.
    pub form: Form,
    /// Whether a cell may be missing.
    pub may_be_null: bool,
}

impl Column {
    /// A column in which every row has something.
    pub const fn required(name: &'static str, form: Form) -> Column {
        Column { name, form, may_be_null: false }
    }

    /// A column in which a cell may be missing.
    pub const fn optional(name: &'static str, form: Form) -> Column {
        Column { name, form, may_be_null: true }
    }
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// A decimal of at most 38 digits, `scale` of them after the point. CSV shows at least `shown` of these.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// Digits after the point that CSV shows, zeros too.
        shown: u8,
    },
    /// A moment: in CSV to the second (`2020-01-31T16:00:00Z`), in Parquet to the microsecond.
    Moment,
    /// A whole number.
    Whole,
    /// True or false.
    Flag,
    /// Any bytes: in CSV as hex digits.
    Bytes,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Of a [`Form::Text`].
    Text(String),
    /// Of a [`Form::Decimal`]: how many units of the last digit.
    Decimal(i128),
    /// Of a [`Form::Moment`].
    Moment(Timestamp),
    /// Of a [`Form::Whole`].
    Whole(i64),
    /// Of a [`Form::Flag`].
    Flag(bool),
    /// Of a [`Form::Bytes`].
    Bytes(Vec<u8>),
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// A text, or nothing.
    pub fn maybe(text: Option<impl Into<String>>) -> Cell {
        text.map_or(Cell::Null, Cell::text)
    }
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180: CRLF line ends, fields in quotes where they must be, the names of the columns first.
    Csv,
    /// Apache Parquet, compressed by Zstandard.
    Parquet,
}

impl Format {
    /// As parameters and names of files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// The most digits of a decimal.
const DIGITS_MAX: u32 = 38;

/// Writes a table to a file.
pub struct Writer<W: Write + Send>(Kind<W>);

enum Kind<W: Write + Send> {
    Csv(csv::Writer<W>),
    Parquet(Box<file::Writer<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// A file with these columns, and no rows yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(format: Format, columns: &'static [Column], to: W) -> io::Result<Writer<W>> {
        Ok(Writer(match format {
            Format::Csv => Kind::Csv(csv::Writer::new(columns, to)?),
            Format::Parquet => Kind::Parquet(Box::new(file::Writer::new(columns, to)?)),
        }))
    }

    /// Adds a row. Some rows of Parquet are kept in memory until they make a group.
    ///
    /// # Errors
    /// When it cannot be written, or has not exactly the cells that the columns have.
    pub fn row(&mut self, row: Vec<Cell>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Csv(writer) => writer.row(&row),
            Kind::Parquet(writer) => writer.row(row),
        }
    }

    /// Ends a group of rows: what comes is another one. Groups of Parquet can be read one by one; CSV has none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_group(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Csv(_) => Ok(()),
            Kind::Parquet(writer) => writer.end_group(),
        }
    }

    /// How many groups of rows are ended.
    pub fn groups(&self) -> usize {
        match &self.0 {
            Kind::Csv(_) => 0,
            Kind::Parquet(writer) => writer.groups(),
        }
    }

    /// Ends the file: without this it is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Kind::Csv(writer) => writer.finish(),
            Kind::Parquet(writer) => writer.finish(),
        }
    }
}

/// That a row is not what the columns say.
fn misfit(columns: &[Column], row: &[Cell]) -> Option<io::Error> {
    let wrong = |what: String| Some(io::Error::new(io::ErrorKind::InvalidInput, what));
    if columns.len() != row.len() {
        return wrong(format!("a row has {} cells, and there are {} columns", row.len(), columns.len()));
    }
    let fits = |(column, cell): &(&Column, &Cell)| match (column.form, cell) {
        (_, Cell::Null) => column.may_be_null,
        (Form::Decimal { .. }, Cell::Decimal(units)) => units.unsigned_abs() < 10u128.pow(DIGITS_MAX),
        (Form::Text, Cell::Text(_)) | (Form::Moment, Cell::Moment(_)) => true,
        (Form::Whole, Cell::Whole(_)) | (Form::Flag, Cell::Flag(_)) | (Form::Bytes, Cell::Bytes(_)) => true,
        _ => false,
    };
    let (column, cell) = columns.iter().zip(row).find(|pair| !fits(pair))?;
    wrong(format!("the column {} cannot have {cell:?}", column.name))
}
