//! What would be: the upcoming bill, a quote; and what was, added up.

use crate::bill::{Line, Period, line, period};
use crate::body::{MISTAKES_MAX, read_body};
use crate::command::Wish;
use crate::mistake::FieldMistake;
use farebox_core::account::{Account, AccountHead};
use farebox_core::bill::{self, Bill, LineKind};
use farebox_core::calendar::{Instant, Span};
use farebox_core::cost::By;
use farebox_core::engine::{Catalogues, Fact};
use farebox_core::money::Amount;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The bill of the running month: to date, and what it may come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Upcoming {
    /// The bill that it will be: `ACCOUNT-YYYY-MM`.
    pub id: String,
    /// The account; of a member its share.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// The month.
    pub period: Period,
    /// As of when.
    pub at: String,
    /// Each title of a charge.
    pub rows: Vec<UpcomingRow>,
    /// What it comes to if every open cycle ended now, without what minimums add when their month ends.
    pub to_date: String,
    /// What it comes to at the month's end, if everything goes on as it has. It is no charge.
    pub forecast: String,
}

/// What a charge comes to in the running month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpcomingRow {
    /// The title of the charge.
    pub title: String,
    /// To date.
    pub to_date: String,
    /// At the month's end.
    pub forecast: String,
}

/// Commands that are to be priced.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct NewQuote {
    /// They are decided one after the other, on a copy: nothing of it happens. At least one, at most 50.
    #[schema(min_items = 1, max_items = 50)]
    pub commands: Vec<Wish>,
}

impl NewQuote {
    /// The most commands.
    pub const COMMANDS_MAX: usize = 50;

    /// Reads the body of a request.
    ///
    /// # Errors
    /// Its mistakes, at most 50, in the order of the commands, each with its place: `/commands/1/quantity`.
    pub fn read(body: &[u8]) -> Result<NewQuote, Vec<FieldMistake>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Values {
            commands: Vec<Value>,
        }
        let Values { commands } = read_body(body)?;
        if !(1..=NewQuote::COMMANDS_MAX).contains(&commands.len()) {
            let found = format!("{} commands", commands.len());
            let expected = format!("1 to {} commands", NewQuote::COMMANDS_MAX);
            return Err(vec![FieldMistake::new("/commands", found, expected)]);
        }
        let (mut read, mut wrong) = (Vec::new(), Vec::new());
        for (number, value) in commands.into_iter().enumerate() {
            match Wish::of_value(value) {
                Ok(wish) => read.push(wish),
                Err(mistakes) => {
                    wrong.extend(mistakes.into_iter().map(|one| one.under(&NewQuote::place(number))));
                }
            }
        }
        wrong.truncate(MISTAKES_MAX);
        if wrong.is_empty() { Ok(NewQuote { commands: read }) } else { Err(wrong) }
    }

    /// The place of a command in the body, counted from 0.
    pub fn place(number: usize) -> String {
        format!("/commands/{number}")
    }
}

/// What commands would come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quote {
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// As of when.
    pub at: String,
    /// What would be charged at once, and given back.
    pub lines: Vec<Line>,
    /// What they come to; below zero: given back.
    pub total: String,
    /// The balance before; `null` where it is no matter of the caller.
    pub balance_before: Option<String>,
    /// The balance after.
    pub balance_after: Option<String>,
    /// What the bill of the running month may come to without, of the account that pays; `null` where it is no matter
    /// of the caller, or cannot be said.
    pub forecast_before: Option<String>,
    /// The same with the commands.
    pub forecast_after: Option<String>,
}

/// What months have cost, added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cost {
    /// The account; of a member its share.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// What lines are added up by.
    pub by: String,
    /// The months, in order.
    pub months: Vec<String>,
    /// A row for each project, tag, member, group or plan.
    pub rows: Vec<CostRow>,
    /// What each month comes to.
    pub totals: Vec<String>,
    /// What all months come to.
    pub total: String,
}

/// What one of them has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CostRow {
    /// Its name; `null`: what has none, and the rounding of totals.
    pub name: Option<String>,
    /// In each month.
    pub amounts: Vec<String>,
    /// In all.
    pub total: String,
}

/// The exact sum of amounts that were added up before.
fn sum<'a>(amounts: impl Iterator<Item = &'a Amount>) -> Amount {
    amounts.fold(Amount::ZERO, |sum, one| sum.add(*one).unwrap_or(sum))
}

impl Upcoming {
    /// The upcoming bill of an account, from the lines of the payer's bill to date and at the month's end.
    pub fn of(
        head: &AccountHead,
        payer: &AccountHead,
        (month, at): (Span, Instant),
        to_date: &[bill::Line],
        forecast: &[bill::Line],
    ) -> Upcoming {
        let own = |line: &&bill::Line| {
            line.kind != LineKind::Rounding && (head.payer.is_none() || line.account == head.id)
        };
        let mut sums: BTreeMap<&str, [Amount; 2]> = BTreeMap::new();
        for (column, lines) in [to_date, forecast].into_iter().enumerate() {
            for line in lines.iter().filter(own) {
                let title = if line.title.is_empty() { &line.description } else { &line.title };
                let cell = &mut sums.entry(title.as_str()).or_default()[column];
                *cell = cell.add(line.amount).unwrap_or(*cell);
            }
        }
        let money = |amount: Amount| amount.round_to_minor(payer.currency).decimal(payer.currency);
        let [to_date, forecast] = [0, 1].map(|column| money(sum(sums.values().map(|row| &row[column]))));
        let rows = sums.iter().map(|(title, [now, then])| UpcomingRow {
            title: (*title).to_owned(),
            to_date: money(*now),
            forecast: money(*then),
        });
        Upcoming {
            id: format!("{}-{}", payer.id, payer.zone.date(month.start).strftime("%Y-%m")),
            account: head.id.clone(),
            currency: payer.currency.code().to_owned(),
            period: period(month),
            at: at.to_string(),
            rows: rows.collect(),
            to_date,
            forecast,
        }
    }
}

impl Quote {
    /// What facts would come to. `before` and `after`: the account that pays, where the caller may see it.
    pub fn of(
        head: &AccountHead,
        at: Instant,
        facts: &[Fact],
        before: Option<&Account>,
        after: Option<&Account>,
    ) -> Quote {
        let charged = facts.iter().filter_map(|fact| match fact {
            Fact::Charged { lines, .. } => Some(lines),
            _ => None,
        });
        let lines: Vec<&bill::Line> = charged.flatten().collect();
        let balance = |of: Option<&Account>| of.map(|of| of.ledger.prepaid().decimal(head.currency));
        Quote {
            account: head.id.clone(),
            currency: head.currency.code().to_owned(),
            at: at.to_string(),
            total: sum(lines.iter().map(|line| &line.amount)).decimal(head.currency),
            lines: lines.into_iter().map(|one| line(head.currency, one)).collect(),
            balance_before: balance(before),
            balance_after: balance(after),
            forecast_before: None,
            forecast_after: None,
        }
    }
}

impl Cost {
    /// What months have cost. Of a member, its own lines on the bills of the account that pays.
    ///
    /// `bills`: the months by name, each with its bill where there is one.
    pub fn of(
        head: &AccountHead,
        bills: &[(String, Option<&Bill>)],
        (name, by): (&str, &By),
        catalogues: &Catalogues,
    ) -> Cost {
        let mut rows: BTreeMap<Option<String>, Vec<Amount>> = BTreeMap::new();
        let mut totals = vec![Amount::ZERO; bills.len()];
        for (column, (_, bill)) in bills.iter().enumerate() {
            let lines = bill.iter().flat_map(|bill| &bill.lines);
            let own = |line: &&bill::Line| {
                head.payer.is_none() || (line.kind != LineKind::Rounding && line.account == head.id)
            };
            for line in lines.filter(own) {
                let name = match line.kind {
                    LineKind::Rounding => None,
                    _ => by.of(line, catalogues),
                };
                let row = rows.entry(name).or_insert_with(|| vec![Amount::ZERO; bills.len()]);
                for sum in [&mut row[column], &mut totals[column]] {
                    *sum = sum.add(line.amount).unwrap_or(*sum);
                }
            }
        }
        let money = |amount: &Amount| amount.decimal(head.currency);
        Cost {
            account: head.id.clone(),
            currency: head.currency.code().to_owned(),
            by: name.to_owned(),
            months: bills.iter().map(|(month, _)| month.clone()).collect(),
            rows: rows
                .iter()
                .map(|(name, amounts)| CostRow {
                    name: name.clone(),
                    amounts: amounts.iter().map(money).collect(),
                    total: money(&sum(amounts.iter())),
                })
                .collect(),
            total: money(&sum(totals.iter())),
            totals: totals.iter().map(money).collect(),
        }
    }
}
