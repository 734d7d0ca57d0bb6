//! Apache Parquet, column by column.

use crate::{Cell, Column, DIGITS_MAX, Form, misfit};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of a group: the most that are in memory.
const GROUP_ROWS: usize = 16_384;
/// Bytes of a decimal: those of an `i128`.
const DECIMAL_BYTES: i32 = 16;

pub(crate) struct Writer<W: Write + Send> {
    columns: &'static [Column],
    file: SerializedFileWriter<W>,
    rows: Vec<Vec<Cell>>,
}

pub(crate) fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => io::Error::other(error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}

fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let fields: Result<Vec<_>, ParquetError> = columns.iter().map(|one| column(one).map(Arc::new)).collect();
    Type::group_type_builder("table").with_fields(fields?).build()
}

fn column(column: &Column) -> Result<Type, ParquetError> {
    let physical = match column.form {
        Form::Text | Form::Bytes => Physical::BYTE_ARRAY,
        Form::Decimal { .. } => Physical::FIXED_LEN_BYTE_ARRAY,
        Form::Moment | Form::Whole => Physical::INT64,
        Form::Flag => Physical::BOOLEAN,
    };
    let repetition = if column.may_be_null { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let field = Type::primitive_type_builder(column.name, physical).with_repetition(repetition);
    match column.form {
        Form::Text => field.with_logical_type(Some(LogicalType::String)),
        Form::Decimal { scale, .. } => {
            let (precision, scale) = (DIGITS_MAX as i32, i32::from(scale));
            field
                .with_logical_type(Some(LogicalType::decimal(scale, precision)))
                .with_length(DECIMAL_BYTES)
                .with_precision(precision)
                .with_scale(scale)
        }
        Form::Moment => field.with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Form::Whole | Form::Flag | Form::Bytes => field,
    }
    .build()
}

impl<W: Write + Send> Writer<W> {
    pub fn new(columns: &'static [Column], to: W) -> io::Result<Writer<W>> {
        let level = ZstdLevel::try_new(3).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by("farebox".to_owned())
            .build();
        let schema = schema(columns).map_err(failed)?;
        let file = SerializedFileWriter::new(to, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Writer { columns, file, rows: Vec::new() })
    }

    pub fn row(&mut self, row: Vec<Cell>) -> io::Result<()> {
        if let Some(error) = misfit(self.columns, &row) {
            return Err(error);
        }
        self.rows.push(row);
        if self.rows.len() == GROUP_ROWS { self.group() } else { Ok(()) }
    }

    /// Writes the rows that wait as a group.
    fn group(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let mut group = self.file.next_row_group().map_err(failed)?;
        for (number, column) in self.columns.iter().enumerate() {
            let cells = rows.iter().filter_map(|row| row.get(number));
            match column.form {
                Form::Text | Form::Bytes => {
                    let text = |cell: &Cell| match cell {
                        Cell::Text(text) => Some(ByteArray::from(text.as_bytes().to_vec())),
                        Cell::Bytes(bytes) => Some(ByteArray::from(bytes.clone())),
                        _ => None,
                    };
                    put::<ByteArrayType, _>(&mut group, column, cells, text)
                }
                Form::Decimal { .. } => {
                    let bytes = |cell: &Cell| match cell {
                        Cell::Decimal(units) => Some(FixedLenByteArray::from(units.to_be_bytes().to_vec())),
                        _ => None,
                    };
                    put::<FixedLenByteArrayType, _>(&mut group, column, cells, bytes)
                }
                Form::Moment | Form::Whole => {
                    let number = |cell: &Cell| match cell {
                        Cell::Moment(at) => Some(at.as_microsecond()),
                        Cell::Whole(number) => Some(*number),
                        _ => None,
                    };
                    put::<Int64Type, _>(&mut group, column, cells, number)
                }
                Form::Flag => {
                    let flag = |cell: &Cell| match cell {
                        Cell::Flag(flag) => Some(*flag),
                        _ => None,
                    };
                    put::<BoolType, _>(&mut group, column, cells, flag)
                }
            }
            .map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.file.flush()
    }

    pub fn groups(&self) -> usize {
        self.file.flushed_row_groups().len()
    }

    pub fn end_group(&mut self) -> io::Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.group() }
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.end_group()?;
        self.file.into_inner().map_err(failed)
    }
}

/// Writes the next column of a group.
fn put<'r, T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Column,
    cells: impl Iterator<Item = &'r Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let (mut values, mut there) = (Vec::new(), Vec::new());
    for cell in cells {
        let value = value(cell);
        there.push(i16::from(value.is_some()));
        values.extend(value);
    }
    let next = group.next_column()?;
    let mut writer = next.ok_or_else(|| ParquetError::General("there is no such column".to_owned()))?;
    let levels = column.may_be_null.then_some(there.as_slice());
    writer.typed::<T>().write_batch(&values, levels, None)?;
    writer.close()
}
