//! Reads from Parquet files what this crate wrote.

use crate::file::failed;
use parquet::column::reader::ColumnReader;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::io;
use std::path::Path;

/// A Parquet file that is open to be read.
pub struct Reader(SerializedFileReader<File>);

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not there, or is no Parquet file.
    pub fn open(path: &Path) -> io::Result<Reader> {
        Ok(Reader(SerializedFileReader::new(File::open(path)?).map_err(failed)?))
    }

    /// How many groups of rows it has.
    pub fn groups(&self) -> usize {
        self.0.num_row_groups()
    }

    /// The bytes in a column of a group, without the cells that are missing. Nothing else of the file is read.
    ///
    /// # Errors
    /// When there is no such group or column, it holds something else, or the file is damaged.
    pub fn bytes(&self, group: usize, column: &str) -> io::Result<Vec<Vec<u8>>> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if group >= self.groups() {
            return Err(wrong("there is no such group of rows"));
        }
        let schema = self.0.metadata().file_metadata().schema_descr();
        let number = schema.columns().iter().position(|known| known.name() == column);
        let number = number.ok_or_else(|| wrong("there is no such column"))?;
        let group = self.0.get_row_group(group).map_err(failed)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let ColumnReader::ByteArrayColumnReader(mut reader) =
            group.get_column_reader(number).map_err(failed)?
        else {
            return Err(wrong("the column has no bytes"));
        };
        let (mut values, mut levels, mut done) = (Vec::new(), Vec::new(), 0);
        while done < rows {
            let (records, _, _) =
                reader.read_records(rows - done, Some(&mut levels), None, &mut values).map_err(failed)?;
            if records == 0 {
                return Err(wrong("the group of rows ends early"));
            }
            done += records;
        }
        Ok(values.iter().map(|value| value.data().to_vec()).collect())
    }
}
