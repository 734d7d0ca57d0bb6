//! The verb `budget`.

use super::ast::{Budget, BudgetLimit};
use super::lex::{Mistake, Words, name, quoted, twice};
use super::verb::{ACCOUNT, decimal};
use farebox_core::money::Exact;
use std::num::NonZeroU16;

/// The alerts of a budget that says nothing else (R-BUD-1).
const ALERTS: [u16; 3] = [75, 90, 100];
/// The highest percentage of an alert.
const PERCENT_MAX: u16 = 1_000;

pub(super) fn budget(words: &mut Words) -> Result<Budget, Mistake> {
    let (account, title) = (words.name(ACCOUNT)?, words.name("the name of a budget")?);
    let token = words.need("an amount, or off")?;
    if token.keyword() == "off" {
        return Ok(Budget { account, name: title, limit: None });
    }
    let amount = decimal(&token.text, token.column, "amount")?;
    if amount <= Exact::ZERO {
        let found = format!("the amount {}", quoted(&token.text));
        return Err(Mistake::new(token.column, found, "an amount above zero"));
    }
    let (mut scope, mut percents) = (None, None);
    while let Some(token) = words.next() {
        let again = match (token.keyword(), token.option()) {
            ("alerts", _) => percents.replace(alerts(words)?).is_some(),
            (_, Some((what, which))) if matches!(&*what.text, "project" | "product" | "member") => {
                let which = match what.text.as_str() {
                    "project" => which,
                    _ => name(which, &format!("the name of a {}", what.text))?,
                };
                scope.replace((what, which)).is_some()
            }
            _ => {
                let options = ["project=NAME", "product=NAME", "member=ACCOUNT", "alerts"];
                return Err(words.unexpected(&token, &options));
            }
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    let alerts = percents.unwrap_or_else(|| ALERTS.into_iter().filter_map(NonZeroU16::new).collect());
    Ok(Budget { account, name: title, limit: Some(BudgetLimit { amount, scope, alerts }) })
}

/// `75,90,100`; the word `alerts` is taken already.
fn alerts(words: &mut Words) -> Result<Vec<NonZeroU16>, Mistake> {
    let token = words.need("percentages such as 75,90,100")?;
    let percent = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= PERCENT_MAX);
        number.and_then(NonZeroU16::new)
    };
    let all: Option<Vec<NonZeroU16>> = token.keyword().split(',').map(percent).collect();
    all.filter(|all| all.is_sorted_by(|one, next| one < next)).ok_or_else(|| {
        let found = format!("the alerts {}", quoted(&token.text));
        let expected = format!("ascending percentages from 1 to {PERCENT_MAX}, such as 75,90,100");
        Mistake::new(token.column, found, expected)
    })
}
