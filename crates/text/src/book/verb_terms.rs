//! Verbs about terms: renewals by themselves, and what comes from another system.

use super::ast::{Migrate, Migrated, MigratedTerm, Word};
use super::lex::{Mistake, Words, push_attribute, quoted, twice};
use super::time::{self, When};
use super::verb::{ACCOUNT, SUBSCRIPTION, decimal, plan_name, quantity_or_one, whole};
use farebox_core::money::Exact;

/// Most renewals of a limit.
const LIMIT_MAX: u64 = 1_000;

/// `[limit N]` after `auto-renew`; 0: any number of renewals.
pub(super) fn limit(words: &mut Words) -> Result<u16, Mistake> {
    if words.take("limit").is_none() {
        return Ok(0);
    }
    let token = words.need("a number of renewals")?;
    let zero = token.keyword() == "0";
    let limit = whole(token.keyword(), LIMIT_MAX).and_then(|limit| u16::try_from(limit).ok());
    limit.or(zero.then_some(0)).ok_or_else(|| {
        let found = format!("the limit {}", quoted(&token.text));
        Mistake::new(token.column, found, "a number of renewals from 1 to 1,000, or 0 for any number")
    })
}

/// `on [limit N]` or `off`.
pub(super) fn on_or_off(words: &mut Words) -> Result<Option<u16>, Mistake> {
    let token = words.need("on or off")?;
    match token.keyword() {
        "on" => limit(words).map(Some),
        "off" => Ok(None),
        _ => Err(words.unexpected(&token, &["on", "off"])),
    }
}

/// A balance, or a running term.
pub(super) fn migrate(words: &mut Words) -> Result<Migrate, Mistake> {
    let account = words.name(ACCOUNT)?;
    let what = if words.take("balance").is_some() {
        Migrated::Balance(amount(words, "balance")?)
    } else {
        Migrated::Term(term(words)?)
    };
    Ok(Migrate { account, what })
}

fn amount(words: &mut Words, what: &str) -> Result<Exact, Mistake> {
    let token = words.need("an amount")?;
    let amount = decimal(token.keyword(), token.column, what)?;
    if amount.is_negative() {
        let found = format!("the {what} {}", quoted(&token.text));
        return Err(Mistake::new(token.column, found, "an amount that is not below zero"));
    }
    Ok(amount)
}

fn term(words: &mut Words) -> Result<MigratedTerm, Mistake> {
    let plan = plan_name(words.need("balance, or the name of a plan")?.word())?;
    let quantity = quantity_or_one(words)?;
    let (mut name, mut from, mut until, mut paid) = (None, None::<When>, None::<When>, None);
    let (mut attributes, mut used) = (Vec::new(), Vec::new());
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "as" => name.replace(words.name(SUBSCRIPTION)?).is_some(),
            "from" => from.replace(words.when()?).is_some(),
            "until" => until.replace(words.when()?).is_some(),
            "used" => {
                used.push(units_used(words)?);
                false
            }
            "paid" => paid.replace(amount(words, "amount paid")?).is_some(),
            _ => match token.option() {
                Some((name, value)) => {
                    push_attribute(&mut attributes, name, value)?;
                    false
                }
                None => {
                    let options = ["as", "from", "until", "paid", "used", "NAME=VALUE"];
                    return Err(words.unexpected(&token, &options));
                }
            },
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    // What is missing is said with the form of the line.
    let Some(from) = from else { return Err(missing(words, "from TIME")) };
    let Some(until) = until else { return Err(missing(words, "until TIME")) };
    let Some(paid) = paid else { return Err(missing(words, "paid AMOUNT")) };
    if until.time == from.time || time::surely_before(until.time, from.time) {
        return Err(Mistake::new(until.column, "an end that is not after its beginning", "a later time"));
    }
    Ok(MigratedTerm { plan, quantity, name, from, until, paid, used, attributes })
}

/// `[PACKAGE=]UNITS`
fn units_used(words: &mut Words) -> Result<(Option<Word>, Exact), Mistake> {
    let token = words.need("[PACKAGE=]UNITS, such as 500")?;
    let (package, units) = match token.option() {
        Some((package, units)) => (Some(package), units),
        None => (None, token.word()),
    };
    let number = decimal(&units.text, units.column, "number of units")?;
    if number.is_negative() {
        let found = format!("the number of units {}", quoted(&units.text));
        return Err(Mistake::new(units.column, found, "a number of zero or more"));
    }
    Ok((package, number))
}

fn missing(words: &mut Words, what: &str) -> Mistake {
    match words.need(what) {
        Err(mistake) => mistake,
        Ok(token) => words.unexpected(&token, &[what]),
    }
}

#[cfg(test)]
mod tests {
    use crate::book::{ItemKind, Verb, parse};

    /// The verb of a line, or what is wrong with it.
    fn read(line: &str) -> String {
        match parse("t", format!("2020-01-04 {line}").as_bytes()) {
            Ok(book) => match &book.items[0].kind {
                ItemKind::Command(command) => match &command.verb {
                    Verb::Subscribe(order) => format!("{:?}", order.auto_renew),
                    Verb::Change(change) => format!("{:?}", change.to),
                    Verb::Migrate(migrate) => format!("{:?}", migrate.what),
                    other => format!("{other:?}"),
                },
                other => format!("{other:?}"),
            },
            Err(mistakes) => {
                let first = mistakes[0].to_string();
                first.split(", as in").next().unwrap_or_default().to_owned()
            }
        }
    }

    #[test]
    fn renewals_by_themselves_have_a_limit() {
        assert_eq!(read("subscribe a p auto-renew"), "Some(0)");
        assert_eq!(read("subscribe a p auto-renew limit 3 x=1"), "Some(3)");
        assert_eq!(read("change a/p auto-renew on limit 0"), "AutoRenew(Some(0))");
        assert_eq!(read("change a/p auto-renew off"), "AutoRenew(None)");
        assert_eq!(read("change a/p auto-renew never"), "t:1:34: unexpected \"never\"; expected on or off");
        assert_eq!(
            read("subscribe a p auto-renew limit -1"),
            "t:1:43: the limit \"-1\"; expected a number of renewals from 1 to 1,000, or 0 for any number"
        );
        assert_eq!(
            read("subscribe a p auto-renew auto-renew"),
            "t:1:37: \"auto-renew\" a second time; expected each at most once"
        );
    }

    #[test]
    fn a_term_is_brought_along_whole() {
        assert_eq!(read("migrate a balance 12.5"), "Balance(12.5)");
        assert_eq!(
            read("migrate a p 2 as x from 2020-01-01 until 2020-02-01 paid 9 number=1"),
            "Term(MigratedTerm { plan: p@22, quantity: 2, name: Some(x@29), from: 2020-01-01T00:00:00@36, \
             until: 2020-02-01T00:00:00@53, paid: 9, used: [], attributes: [Attribute { name: number@71, value: 1@78 }] })"
        );
        assert_eq!(read("migrate a p from 2020-01-01 paid 9"), "t:1:46: the line ends; expected until TIME");
        assert_eq!(
            read("migrate a p from 2020-01-01 until 2020-01-01 paid 9"),
            "t:1:46: an end that is not after its beginning; expected a later time"
        );
        assert_eq!(
            read("migrate a balance -1"),
            "t:1:30: the balance \"-1\"; expected an amount that is not below zero"
        );
    }
}
