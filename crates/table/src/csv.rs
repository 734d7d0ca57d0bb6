//! CSV, as RFC 4180 has it.

use crate::{Cell, Column, Form, misfit};
use std::io::{self, Write};

pub(crate) struct Writer<W> {
    columns: &'static [Column],
    to: W,
    line: String,
}

impl<W: Write> Writer<W> {
    pub fn new(columns: &'static [Column], mut to: W) -> io::Result<Writer<W>> {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        write!(to, "{}\r\n", names.join(","))?;
        Ok(Writer { columns, to, line: String::new() })
    }

    pub fn row(&mut self, row: &[Cell]) -> io::Result<()> {
        if let Some(error) = misfit(self.columns, row) {
            return Err(error);
        }
        self.line.clear();
        for (number, (column, cell)) in self.columns.iter().zip(row).enumerate() {
            if number > 0 {
                self.line.push(',');
            }
            put(&mut self.line, column.form, cell);
        }
        self.line.push_str("\r\n");
        self.to.write_all(self.line.as_bytes())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

fn put(line: &mut String, form: Form, cell: &Cell) {
    match (form, cell) {
        // An empty text is told from nothing by its quotes.
        (_, Cell::Text(text)) if text.is_empty() || text.contains(['"', ',', '\r', '\n']) => {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        }
        (_, Cell::Text(text)) => line.push_str(text),
        (Form::Decimal { scale, shown }, Cell::Decimal(units)) => {
            line.push_str(&decimal(*units, scale.into(), shown.into()));
        }
        (_, Cell::Decimal(units)) => line.push_str(&units.to_string()),
        (_, Cell::Moment(at)) => line.push_str(&at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (_, Cell::Whole(number)) => line.push_str(&number.to_string()),
        (_, Cell::Flag(flag)) => line.push_str(if *flag { "true" } else { "false" }),
        (_, Cell::Bytes(bytes)) => bytes.iter().for_each(|byte| line.push_str(&format!("{byte:02x}"))),
        (_, Cell::Null) => {}
    }
}

/// So many units of the last of `scale` digits, with as few of these as say it, but `shown`.
fn decimal(units: i128, scale: usize, shown: usize) -> String {
    let digits = format!("{:0width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    let needed = rest.trim_end_matches('0').len().max(shown.min(scale));
    let sign = if units < 0 { "-" } else { "" };
    match needed {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{}", &rest[..needed]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_show_what_they_must() {
        assert_eq!(decimal(0, 8, 2), "0.00");
        assert_eq!(decimal(-5, 8, 2), "-0.00000005");
        assert_eq!(decimal(308_000_000_000, 8, 2), "3080.00");
        assert_eq!(decimal(-150, 2, 0), "-1.5");
        assert_eq!(decimal(7, 0, 2), "7");
        assert_eq!(decimal(-700, 2, 0), "-7");
    }
}
