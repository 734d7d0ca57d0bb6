//! Coupons, payments from outside, credit notes, write-offs, payouts, and what is charged by hand.

use super::dice::Dice;
use super::story::Writer;
use farebox_oracle::calendar;
use farebox_oracle::history::{Line, What};
use jiff::civil::Date;
use jiff::{Span, Timestamp};

/// Something about the money of an account.
pub fn event(
    writer: &mut Writer<'_>,
    dice: &mut Dice,
    at: Timestamp,
    account: &str,
    (first, last): (Timestamp, Timestamp),
) -> Option<Line> {
    let about = |account: &str, what: What| Some(Line { at, account: account.to_owned(), what });
    // Mostly of the month before, or the one before that.
    let back = *dice.pick(&[0, 1, 1, 1, 1, 2, 2]);
    let begun = |at: Timestamp| -> Date { calendar::local(&writer.zone, at).date().first_of_month() };
    let month = begun(at).checked_sub(Span::new().months(back)).unwrap();
    let month = if dice.once_in(30) { month } else { month.max(begun(first)) };
    let amount = amount(dice);
    let what = match dice.below(13) {
        0..=2 => {
            writer.coupons += 1;
            let number = if dice.once_in(20) { 1 } else { writer.coupons };
            let plans = writer.world.plans();
            let on = match dice.below(6) {
                0 | 1 => Some(dice.pick(&plans).1.to_owned()),
                2 => Some(dice.pick(&plans).2.product.clone()),
                3 if dice.once_in(8) => Some("nothing".to_owned()),
                _ => None,
            };
            let until = writer.until(dice, at, last);
            let amount = if dice.once_in(2) { format!("{}.00", 1 + dice.below(500)) } else { amount };
            What::Coupon { id: format!("k{number}"), amount, on, until }
        }
        3 | 4 | 12 => What::Pay { month, amount },
        5 => What::WriteOff { month, amount: dice.once_in(2).then_some(amount) },
        6 => What::Credit { month, amount },
        7 => What::PayOut { amount },
        8 => {
            let mut labels = Vec::new();
            if dice.once_in(2) {
                labels.push(("project".to_owned(), "red".to_owned()));
            }
            if dice.once_in(20) {
                labels.push(("colour".to_owned(), "green".to_owned()));
            }
            What::Charge { amount, labels }
        }
        roll => {
            let whose = if account.starts_with("acme") && !dice.once_in(20) { "acme" } else { account };
            let line = format!("{whose}-{}-{}", month.strftime("%Y-%m"), 1 + dice.below(12));
            if roll == 9 {
                return about(whose, What::CreditLine { line, amount });
            }
            let sign = if dice.once_in(3) { "" } else { "-" };
            return about(whose, What::Adjust { line, amount: format!("{sign}{amount}") });
        }
    };
    about(account, what)
}

/// An amount, mostly small, now and then of more decimals than money has.
fn amount(dice: &mut Dice) -> String {
    if dice.once_in(40) {
        return "3.001".to_owned();
    }
    let most = *dice.pick(&[3, 30, 300]);
    format!("{}.{:02}", dice.below(most), 1 + dice.below(99))
}
