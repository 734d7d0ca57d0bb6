//! Core values in columns.

use farebox_core::calendar::Instant;
use farebox_core::money::{Amount, Exact};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};
use std::cell::RefCell;
use std::collections::VecDeque;

/// A moment as text, in UTC: `2020-01-31T16:00:00Z`.
pub struct At(pub Instant);

/// Moments that were written lately, as text: the rows of a bill have few.
const LATELY: usize = 8;

thread_local! {
    static WRITTEN: RefCell<VecDeque<(Instant, String)>> = const { RefCell::new(VecDeque::new()) };
}

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = WRITTEN.with_borrow_mut(|written| {
            if let Some((_, text)) = written.iter().find(|(at, _)| *at == self.0) {
                return text.clone();
            }
            let text = self.0.to_string();
            written.truncate(LATELY - 1);
            written.push_front((self.0, text.clone()));
            text
        });
        Ok(text.into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<At> {
        value.as_str()?.parse().map(At).map_err(|_| FromSqlError::InvalidType)
    }
}

/// An amount as a whole number of 10⁻⁸ units; as text where it does not fit 64 bits.
pub struct Money(pub Amount);

impl ToSql for Money {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let units = self.0.units();
        let value = i64::try_from(units).map_or_else(|_| Value::Text(units.to_string()), Value::Integer);
        Ok(ToSqlOutput::Owned(value))
    }
}

impl FromSql for Money {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Money> {
        let units = match value {
            ValueRef::Integer(units) => i128::from(units),
            _ => value.as_str()?.parse().map_err(|_| FromSqlError::InvalidType)?,
        };
        Ok(Money(Amount::from_units(units)))
    }
}

/// A quantity as a decimal, or as a fraction where none says it.
pub struct Units(pub Exact);

impl ToSql for Units {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let exact = &self.0;
        let fits = exact.numerator().unsigned_abs() < 10u128.pow(25);
        let text = match (exact.is_whole(), exact.is_decimal() && fits) {
            (true, _) => exact.numerator().to_string(),
            (false, true) => exact.decimal(0),
            (false, false) => format!("{}/{}", exact.numerator(), exact.denominator()),
        };
        Ok(text.into())
    }
}

impl FromSql for Units {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Units> {
        let text = value.as_str()?;
        let (numerator, denominator) = match (text.split_once('/'), text.split_once('.')) {
            (Some((numerator, denominator)), _) => (numerator.to_owned(), denominator.parse().ok()),
            (None, Some((whole, decimals))) => {
                (format!("{whole}{decimals}"), 10i128.checked_pow(decimals.len() as u32))
            }
            (None, None) => (text.to_owned(), Some(1)),
        };
        let numerator = numerator.parse().ok();
        let ratio = numerator.zip(denominator).and_then(|(above, below)| Exact::ratio(above, below));
        ratio.map(Units).ok_or(FromSqlError::InvalidType)
    }
}
