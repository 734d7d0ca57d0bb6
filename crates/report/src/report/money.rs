//! Money of one account and of the whole book: statement, ledger, trial balance, receivables.

use super::table::{self, Align};
use farebox_core::account::Account;
use farebox_core::bill::Bill;
use farebox_core::calendar::{Instant, Span, show_local};
use farebox_core::explain::show_period;
use farebox_core::ledger::{LedgerAccount, Unit};
use farebox_core::money::{Amount, Currency, Exact, OutOfRange};
use std::collections::BTreeMap;

/// A value as reports write it: money with the digits of its currency.
pub(super) fn value_text(unit: &Unit, value: Exact) -> String {
    match unit {
        Unit::Money(currency) => value.decimal(currency.minor_digits() as usize),
        Unit::Quota(_) => value.decimal(0),
    }
}

/// The movements of an account's money in a time, with what there was before and after.
///
/// # Errors
/// [`OutOfRange`] when a sum does not fit.
pub fn statement(account: &Account, span: Span, is_month: bool) -> Result<Vec<String>, OutOfRange> {
    let head = &account.head;
    let digits = head.currency.minor_digits() as usize;
    let money = |value: Exact| value.decimal(digits);
    let title = match is_month {
        true => format!(" · {}", show_period(&head.zone, span)),
        false => String::new(),
    };
    let mut balance = Exact::ZERO;
    let mut rows = Vec::new();
    let (mut all_in, mut all_out) = (Exact::ZERO, Exact::ZERO);
    let row = |what: &str, in_out: [String; 2], balance: Exact, date: String| {
        let [came_in, went_out] = in_out;
        vec![format!("  {date}"), what.to_owned(), came_in, went_out, money(balance)]
    };
    let heading = ["  date", "what", "in", "out", "balance"].map(str::to_owned).to_vec();
    let mut opening = Exact::ZERO;
    for posting in account.ledger.postings().iter().filter(|posting| posting.at < span.end) {
        let (came_in, went_out) = posting.movement()?;
        balance = balance.add(came_in)?.sub(went_out)?;
        if posting.at < span.start {
            opening = balance;
            continue;
        }
        if came_in.is_zero() && went_out.is_zero() {
            continue;
        }
        (all_in, all_out) = (all_in.add(came_in)?, all_out.add(went_out)?);
        let shown = |value: Exact| if value.is_zero() { String::new() } else { money(value) };
        let date = show_local(&head.zone, posting.at);
        rows.push(row(&posting.memo, [shown(came_in), shown(went_out)], balance, date));
    }
    let nothing = || [String::new(), String::new()];
    let first = row("opening balance", nothing(), opening, String::new());
    let last = row("closing balance", [money(all_in), money(all_out)], balance, String::new());
    let rows: Vec<Vec<String>> = [heading, first].into_iter().chain(rows).chain([last]).collect();
    let mut shown = vec![format!("Statement of {} · {} · {}{title}", head.id, head.title, head.currency)];
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right];
    shown.extend(table::lines(&rows, &columns));
    Ok(shown)
}

/// All ledger accounts of an account, with unit and balance: debits above zero, credits below.
pub fn ledger(account: &Account) -> Vec<String> {
    let rows: Vec<Vec<String>> = account
        .ledger
        .balances()
        .map(|(ledger, unit, value)| vec![ledger.name(), unit.to_string(), value_text(unit, value)])
        .collect();
    match &account.head.payer {
        Some(payer) if rows.is_empty() => vec![format!("paid by {payer}, in its ledger")],
        _ if rows.is_empty() => vec!["nothing is booked".to_owned()],
        _ => table::lines(&rows, &[Align::Left, Align::Left, Align::Point]),
    }
}

/// Sums of all accounts of a book: debits less credits by ledger account and unit.
pub type Totals = BTreeMap<(LedgerAccount, Unit), Exact>;

/// What is booked up to and with a moment, all accounts together.
///
/// # Errors
/// [`OutOfRange`] when a sum does not fit.
pub fn ledger_totals<'a>(
    accounts: impl Iterator<Item = &'a Account>,
    until: Instant,
) -> Result<Totals, OutOfRange> {
    let mut totals = Totals::new();
    for account in accounts {
        add_to_totals(&mut totals, account, until)?;
    }
    Ok(totals)
}

/// Adds what is booked of an account up to and with a moment.
///
/// # Errors
/// [`OutOfRange`] when a sum does not fit.
pub fn add_to_totals(totals: &mut Totals, account: &Account, until: Instant) -> Result<(), OutOfRange> {
    let postings = account.ledger.postings().iter().filter(|posting| posting.at <= until);
    for entry in postings.flat_map(|posting| &posting.entries) {
        let total = totals.entry((entry.account.clone(), entry.unit.clone())).or_default();
        *total = total.add(entry.value)?;
    }
    Ok(())
}

/// Debits and credits by ledger account and unit; they are equal in each unit.
pub fn trial_balance(totals: &Totals) -> Vec<String> {
    let heading = ["", "unit", "debit", "credit"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    let mut units: BTreeMap<&Unit, (Exact, Exact)> = BTreeMap::new();
    for ((ledger, unit), value) in totals.iter().filter(|(_, value)| !value.is_zero()) {
        let credit = Exact::ZERO.sub(*value).unwrap_or_default();
        let sums = units.entry(unit).or_default();
        let mut row = vec![ledger.name(), unit.to_string(), String::new(), String::new()];
        // Each sum is at most that of all postings, which fitted.
        match value.is_negative() {
            false => {
                sums.0 = sums.0.add(*value).unwrap_or_default();
                row[2] = value_text(unit, *value);
            }
            true => {
                sums.1 = sums.1.add(credit).unwrap_or_default();
                row[3] = value_text(unit, credit);
            }
        }
        rows.push(row);
    }
    if units.is_empty() {
        return vec!["nothing is booked".to_owned()];
    }
    rows.extend(units.into_iter().map(|(unit, (debit, credit))| {
        vec!["total".to_owned(), unit.to_string(), value_text(unit, debit), value_text(unit, credit)]
    }));
    table::lines(&rows, &[Align::Left, Align::Left, Align::Point, Align::Point])
}

/// The ages of what is due, in whole days since the bill was issued: the last of each but the last.
const AGES: [i64; 3] = [30, 60, 90];

/// What is owed, by age, and all of it.
type Ages = [Amount; AGES.len() + 2];

/// What accounts owe, by age. A draft is as old as one issued today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receivables {
    owing: Vec<(String, Currency, Ages)>,
    totals: BTreeMap<Currency, Ages>,
}

impl Receivables {
    /// Adds what an account owes at a moment.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit.
    pub fn add(&mut self, account: &Account, at: Instant) -> Result<(), OutOfRange> {
        let mut ages = Ages::default();
        for bill in account.bills.values().filter(|bill| !bill.due().is_zero()) {
            let age = age_of(account, bill, at);
            let place = AGES.iter().take_while(|last| age > **last).count();
            for place in [place, AGES.len() + 1] {
                ages[place] = ages[place].add(bill.due())?;
            }
        }
        if ages.iter().all(|part| part.is_zero()) {
            return Ok(());
        }
        let currency = account.head.currency;
        let total = self.totals.entry(currency).or_default();
        for (total, part) in total.iter_mut().zip(ages) {
            *total = total.add(part)?;
        }
        self.owing.push((account.head.id.clone(), currency, ages));
        Ok(())
    }

    /// A row for each account that owes something, and for each currency.
    pub fn lines(&self) -> Vec<String> {
        if self.owing.is_empty() {
            return vec!["nothing is owed".to_owned()];
        }
        let row = |name: &str, currency: Currency, ages: &Ages| -> Vec<String> {
            let cells = ages.iter().map(|amount| amount.decimal(currency));
            [name.to_owned(), currency.code().to_owned()].into_iter().chain(cells).collect()
        };
        let heading = ["", "", "0–30 days", "31–60 days", "61–90 days", "over 90 days", "total"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(self.owing.iter().map(|(name, currency, ages)| row(name, *currency, ages)));
        rows.extend(self.totals.iter().map(|(currency, ages)| row("total", *currency, ages)));
        let mut columns = vec![Align::Left; 2];
        columns.resize(heading.len(), Align::Right);
        table::lines(&rows, &columns)
    }
}

/// Whole days since a bill was issued, on the account's calendar.
fn age_of(account: &Account, bill: &Bill, at: Instant) -> i64 {
    let Some(issued) = bill.issued else { return 0 };
    let zone = &account.head.zone;
    zone.date(at).duration_since(zone.date(issued)).as_hours() / 24
}
