//! The journal of all postings, for a general ledger: CSV (RFC 4180) and hledger.
//!
//! Times are those of one wall clock: one journal has one calendar.

use crate::money::value as value_text;
use farebox_core::account::Account;
use farebox_core::calendar::{Instant, Zone};
use farebox_core::ledger::{Entry, LedgerAccount, Posting, Unit};
use jiff::civil::DateTime;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A posting, with what tells it apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Booked {
    /// The customer account.
    pub account: String,
    /// Its number among the account's postings, from 1: the journal calls it `acme/17`.
    pub number: usize,
    /// When, on the journal's wall clock.
    pub local: DateTime,
    /// The movement.
    pub posting: Posting,
}

/// All postings up to and with a moment, in the order of time, then of accounts.
pub fn booked<'a>(accounts: impl Iterator<Item = &'a Account>, zone: &Zone, until: Instant) -> Vec<Booked> {
    let mut all = Vec::new();
    for account in accounts {
        for (index, posting) in account.ledger.postings().iter().enumerate() {
            if posting.at <= until && !posting.entries.is_empty() {
                all.push(Booked {
                    account: account.head.id.clone(),
                    number: index + 1,
                    local: zone.local(posting.at),
                    posting: posting.clone(),
                });
            }
        }
    }
    all.sort_by(|a, b| (a.posting.at, &a.account, a.number).cmp(&(b.posting.at, &b.account, b.number)));
    all
}

/// The columns of the CSV.
const COLUMNS: [&str; 9] =
    ["date", "time", "account", "posting", "memo", "ledger_account", "unit", "debit", "credit"];

/// One entry a row, as RFC 4180 has it: CRLF line ends, fields in quotes where they must be.
pub fn csv(journal: &[Booked]) -> String {
    let mut text = COLUMNS.join(",");
    text.push_str("\r\n");
    for booked in journal {
        let id = id_of(booked);
        for entry in &booked.posting.entries {
            let (debit, credit) = sides(entry);
            let cells = [
                &booked.local.date().to_string(),
                &time_of(booked),
                &booked.account,
                &id,
                &booked.posting.memo,
                &entry.account.name(),
                &entry.unit.to_string(),
                &debit,
                &credit,
            ];
            let cells: Vec<String> = cells.into_iter().map(|cell| quoted(cell)).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
    }
    text
}

fn quoted(cell: &str) -> String {
    match cell.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

fn id_of(booked: &Booked) -> String {
    format!("{}/{}", booked.account, booked.number)
}

fn time_of(booked: &Booked) -> String {
    booked.local.time().to_string()
}

/// The value as a debit or as a credit, the other one empty.
fn sides(entry: &Entry) -> (String, String) {
    let text = value_text(&entry.unit, entry.value);
    match text.strip_prefix('-') {
        Some(credit) => (String::new(), credit.to_owned()),
        None => (text, String::new()),
    }
}

/// A journal that `hledger check --strict` accepts: every commodity and account is declared.
///
/// Of a text, what hledger would read as something else is written `%0A`; [`unescape`] reads it.
pub fn hledger(journal: &[Booked]) -> String {
    let entries =
        || journal.iter().flat_map(|booked| booked.posting.entries.iter().map(move |entry| (booked, entry)));
    let units: BTreeSet<&Unit> = entries().map(|(_, entry)| &entry.unit).collect();
    let accounts: BTreeSet<String> =
        entries().map(|(booked, entry)| hledger_account(&entry.account, &booked.account)).collect();
    let mut text = "decimal-mark .\n\n".to_owned();
    for unit in units {
        // Money has at most 8 decimals, a quota 10: nothing is rounded on display or in checks.
        let decimals = if matches!(unit, Unit::Money(_)) { 8 } else { 10 };
        let _ = writeln!(text, "commodity 1000.{} {}", "0".repeat(decimals), symbol(unit));
    }
    text.push('\n');
    for account in accounts {
        let _ = writeln!(text, "account {account}");
    }
    for booked in journal {
        let memo = escape(&booked.posting.memo, |_| false);
        let code = escape(&id_of(booked), |letter| matches!(letter, '(' | ')') || letter.is_whitespace());
        let head = format!("{} * ({code}) {memo}", booked.local.date());
        let _ = writeln!(text, "\n{}  ; time:{}", head.trim_end(), time_of(booked));
        for entry in &booked.posting.entries {
            let account = hledger_account(&entry.account, &booked.account);
            let value = value_text(&entry.unit, entry.value);
            let _ = writeln!(text, "    {account}  {value} {}", symbol(&entry.unit));
        }
    }
    text
}

/// The account in a general ledger, by kind: `assets:receivable:acme`.
pub fn hledger_account(account: &LedgerAccount, customer: &str) -> String {
    let part = |text: &str| escape(text, |letter| letter == ':' || letter.is_whitespace());
    let kind = match account {
        LedgerAccount::Bank | LedgerAccount::Receivable => "assets",
        LedgerAccount::Balance | LedgerAccount::Held | LedgerAccount::Coupons | LedgerAccount::Deferred => {
            "liabilities"
        }
        LedgerAccount::Revenue | LedgerAccount::Rounding => "revenues",
        LedgerAccount::CouponExpense | LedgerAccount::WriteOffs => "expenses",
        LedgerAccount::Opening => "equity",
        LedgerAccount::Quota { bucket, side } => {
            return format!("quotas:{}:{}:{}", side.name(), part(customer), part(bucket));
        }
    };
    format!("{kind}:{}:{}", account.name(), part(customer))
}

/// A commodity, in the quotes that everything but letters needs.
fn symbol(unit: &Unit) -> String {
    match unit {
        Unit::Money(currency) => currency.code().to_owned(),
        Unit::Quota(unit) => format!("\"{}\"", escape(unit, |letter| letter == '"')),
    }
}

/// Writes `%`, `;`, control characters, blanks other than spaces, spaces at either end, and what
/// `also` says as `%` and two hex digits for each byte. No two texts become one.
fn escape(text: &str, also: impl Fn(char) -> bool) -> String {
    let first = text.len() - text.trim_start_matches(' ').len();
    let last = text.trim_end_matches(' ').len();
    let mut escaped = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let at_end = letter == ' ' && (at < first || at >= last);
        let other_blank = letter.is_whitespace() && letter != ' ';
        if matches!(letter, '%' | ';') || letter.is_control() || other_blank || at_end || also(letter) {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(escaped, "%{byte:02X}");
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// What a text of the hledger journal was: `%0A` is a line end. `None`: it is no such text.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_can_be_read_again(text in any::<String>(), blanks in "[ ;%\n\t\"|:*!()]{0,12}") {
            for text in [format!("{blanks}{text}"), format!("{text}{blanks}"), blanks.clone()] {
                let escaped = escape(&text, |letter| letter == ':');
                prop_assert_eq!(unescape(&escaped), Some(text.clone()));
                prop_assert!(!escaped.contains([';', '\n', '\r', '\t', ':']), "{}", escaped);
                prop_assert_eq!(escaped.trim(), &escaped);
                // A field of the CSV is read as it was written.
                let field = quoted(&text);
                let read = match field.strip_prefix('"') {
                    Some(rest) => rest.strip_suffix('"').unwrap().replace("\"\"", "\""),
                    None => field,
                };
                if !text.starts_with('"') || text.len() > 1 {
                    prop_assert_eq!(read, text);
                }
            }
        }
    }

    #[test]
    fn fields_are_in_quotes_where_they_must_be() {
        assert_eq!(quoted("plain; text"), "plain; text");
        assert_eq!(quoted("a, \"b\"\r\nc"), "\"a, \"\"b\"\"\r\nc\"");
    }
}
