//! The verbs of dated lines.

use super::ast::*;
use super::lex::{Mistake, Words, name, new_name, push_attribute, quoted, twice};
use super::time::{self, When, Written};
use super::verb_licences as licences;
use super::verb_lifecycle;
use super::verb_terms;
use super::wallet;
use farebox_core::calendar::Zone;
use farebox_core::money::{Currency, DecimalError, Exact};

pub(super) mod holds;
mod packages;

/// Every verb, with the form of its line. `docs/book.md` explains each.
pub const VERBS: &[(&str, &str)] = &[
    ("open", "open ACCOUNT [\"TITLE\"] [currency CODE] [zone ZONE] [member of ACCOUNT] [tier TIER]"),
    (
        "subscribe",
        "subscribe ACCOUNT PLAN [QUANTITY] [as NAME] [prepaid TERM | pay-per-use] [auto-renew [limit N]] [NAME=VALUE …]",
    ),
    ("add", "add ACCOUNT/SUBSCRIPTION QUANTITY [effective TIME]"),
    ("remove", "remove ACCOUNT/SUBSCRIPTION QUANTITY [effective TIME]"),
    ("cancel", "cancel ACCOUNT/SUBSCRIPTION"),
    ("unsubscribe", "unsubscribe ACCOUNT/SUBSCRIPTION"),
    ("stop", "stop ACCOUNT/SUBSCRIPTION"),
    ("start", "start ACCOUNT/SUBSCRIPTION"),
    ("renew", "renew ACCOUNT/SUBSCRIPTION TERM"),
    (
        "change",
        "change ACCOUNT/SUBSCRIPTION (mode prepaid TERM | mode pay-per-use | plan PLAN | auto-renew on [limit N] | auto-renew off | NAME=VALUE …)",
    ),
    (
        "migrate",
        "migrate ACCOUNT (balance AMOUNT | PLAN [QUANTITY] [as NAME] from TIME until TIME paid AMOUNT [used [PACKAGE=]UNITS] [NAME=VALUE …])",
    ),
    ("discount", "discount ACCOUNT PERCENT% [on PLAN[/CHARGE]] [until TIME]"),
    ("price", "price ACCOUNT PLAN/CHARGE PRICE [until TIME]"),
    ("topup", "topup ACCOUNT AMOUNT"),
    ("payout", "payout ACCOUNT AMOUNT"),
    ("coupon", "coupon ACCOUNT ID AMOUNT [on PLAN|PRODUCT] [until TIME]"),
    ("pay", "pay ACCOUNT YYYY-MM AMOUNT [reference \"TEXT\"]"),
    ("write-off", "write-off ACCOUNT YYYY-MM [AMOUNT] \"REASON\""),
    ("credit", "credit (ACCOUNT YYYY-MM | LINE-ID) AMOUNT \"REASON\""),
    ("charge", "charge ACCOUNT AMOUNT \"TITLE\" [NAME=VALUE …]"),
    ("adjust", "adjust LINE-ID AMOUNT \"REASON\""),
    ("hold-bill", "hold-bill ACCOUNT YYYY-MM \"REASON\""),
    ("release-bill", "release-bill ACCOUNT YYYY-MM"),
    ("due-date", "due-date ACCOUNT YYYY-MM TIME"),
    ("credit-limit", "credit-limit ACCOUNT (AMOUNT | off)"),
    ("use", "use ACCOUNT FEATURE [on SUBSCRIPTION]"),
    ("login", "login ACCOUNT/APPLICATION EMAIL via WAY [failed] [with LICENCE]"),
    ("logout", "logout ACCOUNT/APPLICATION EMAIL via WAY"),
    ("mobile", "mobile ACCOUNT/APPLICATION EMAIL (on | off) [with LICENCE]"),
    ("monitor", "monitor ACCOUNT/APPLICATION EMAIL (on | off) [with LICENCE]"),
    ("phone", "phone ACCOUNT/APPLICATION NAME (online | offline) [with LICENCE]"),
    ("licence", "licence ACCOUNT/APPLICATION HOLDER WAY (on | off | failed) [with LICENCE]"),
    ("reset", "reset ACCOUNT/APPLICATION [LICENCE]"),
    ("hold", "hold ACCOUNT/ID TYPE UNITS [NAME=VALUE …] (for DURATION | until TIME)"),
    ("extend", "extend ACCOUNT/ID UNITS [used UNITS] (for DURATION | until TIME)"),
    ("release", "release ACCOUNT/ID UNITS"),
    ("share", "share ACCOUNT/SUBSCRIPTION with MEMBER[,MEMBER …]"),
    ("keep", "keep ACCOUNT/SUBSCRIPTION"),
    ("usage", "usage ACCOUNT TYPE [NAME=VALUE …] [times COUNT [every DURATION]]"),
    ("void", "void SOURCE/ID"),
    (
        "budget",
        "budget ACCOUNT NAME (AMOUNT [project=NAME | product=NAME | member=ACCOUNT] [alerts PERCENT,…] | off)",
    ),
    ("tier", "tier ACCOUNT TIER"),
    ("suspend", "suspend ACCOUNT"),
    ("resume", "resume ACCOUNT"),
];

/// Most units of a subscription.
const QUANTITY_MAX: u32 = 1_000_000;
/// Most months or years of a term.
const TERM_MAX: u16 = 120;
/// The longest that a repeated event may go on.
const REPEAT_S_MAX: u64 = 366 * 86_400;

/// The verb of a dated line, from its words after the time.
pub(super) fn verb(words: &mut Words, written: Written) -> Result<Verb, Mistake> {
    words.set_form("2020-01-04 13:23:56 VERB …");
    let token = words.need("a verb")?;
    let Some((verb, form)) = VERBS.iter().find(|(verb, _)| *verb == token.keyword()) else {
        let names = VERBS.iter().map(|(verb, _)| *verb);
        let expected = names.clone().collect::<Vec<_>>().join(", ");
        let found = format!("unknown verb {}", quoted(&token.text));
        return Err(
            Mistake::new(token.column, found, format!("one of {expected}")).near(token.keyword(), names)
        );
    };
    words.set_form(form);
    Ok(match *verb {
        "open" => Verb::Open(open(words)?),
        "subscribe" => Verb::Subscribe(subscribe(words)?),
        "add" => Verb::Add(quantity_change(words)?),
        "remove" => Verb::Remove(quantity_change(words)?),
        "cancel" => Verb::Cancel(path(words)?),
        "unsubscribe" => Verb::Unsubscribe(path(words)?),
        "stop" => Verb::Stop(path(words)?),
        "start" => Verb::Start(path(words)?),
        "renew" => Verb::Renew(Renew { path: path(words)?, term: term(words)? }),
        "change" => Verb::Change(change(words)?),
        "migrate" => Verb::Migrate(verb_terms::migrate(words)?),
        "discount" => Verb::Discount(discount(words, written.when()?)?),
        "price" => Verb::Price(price(words, written.when()?)?),
        "topup" => Verb::TopUp(topup(words)?),
        "payout" | "coupon" | "pay" | "write-off" | "credit" | "charge" | "adjust" | "hold-bill"
        | "release-bill" | "due-date" | "credit-limit" => {
            Verb::Wallet(wallet::wallet(words, verb, written.when()?)?)
        }
        "use" => Verb::Use(use_feature(words)?),
        "login" => Verb::Licence(licences::session(words, true)?),
        "logout" => Verb::Licence(licences::session(words, false)?),
        "mobile" | "monitor" | "phone" => Verb::Licence(licences::short(words, verb, token.column)?),
        "licence" => Verb::Licence(licences::licence(words)?),
        "reset" => Verb::Reset(licences::reset(words)?),
        "hold" => Verb::Hold(Box::new(holds::hold(words, written.when()?)?)),
        "extend" => Verb::Hold(Box::new(holds::extend(words, written.when()?)?)),
        "release" => Verb::Hold(Box::new(holds::release(words)?)),
        "share" => Verb::Share(packages::share(words)?),
        "keep" => Verb::Keep(path(words)?),
        "usage" => Verb::Usage(usage(words, written)?),
        "budget" => Verb::Budget(super::verb_budget::budget(words)?),
        "tier" | "suspend" | "resume" => Verb::Lifecycle(verb_lifecycle::line(words, verb)?),
        _ => Verb::Void(void(words)?),
    })
}

pub(super) const ACCOUNT: &str = "the name of an account";
pub(super) const SUBSCRIPTION: &str = "the name of a subscription";
pub(super) const PLAN: &str = "the name of a plan";

/// A plan's name, after that of its catalogue and a `:` where two catalogues have it.
pub(super) fn plan_name(word: Word) -> Result<Word, Mistake> {
    match word.text.split_once(':') {
        Some((catalogue, plan)) => {
            for part in [catalogue, plan] {
                name(Word { text: part.to_owned(), column: word.column }, PLAN)?;
            }
            Ok(word)
        }
        None => name(word, PLAN),
    }
}

fn open(words: &mut Words) -> Result<Open, Mistake> {
    let account = new_name(words.name(ACCOUNT)?, ACCOUNT)?;
    let mut open = Open { account, title: None, currency: None, zone: None, payer: None, tier: None };
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "currency" => {
                let code = words.need("a currency such as CNY")?;
                let currency = Currency::parse(&code.text).ok_or_else(|| {
                    let found = format!("the currency {}", quoted(&code.text));
                    Mistake::new(code.column, found, "three capital letters, such as CNY")
                })?;
                open.currency.replace(currency).is_some()
            }
            "zone" => open.zone.replace(zone(words)?).is_some(),
            "member" => {
                let of = words.need("of ACCOUNT")?;
                if of.keyword() != "of" {
                    return Err(words.unexpected(&of, &["of"]));
                }
                open.payer.replace(words.name(ACCOUNT)?).is_some()
            }
            "tier" => open.tier.replace(words.name(verb_lifecycle::TIER)?).is_some(),
            _ if token.is_quoted() => open.title.replace(token.clone().word()).is_some(),
            _ => {
                return Err(
                    words.unexpected(&token, &["a title in quotes", "currency", "zone", "member", "tier"])
                );
            }
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    Ok(open)
}

/// A zone by its name.
pub(super) fn zone(words: &mut Words) -> Result<ZoneWord, Mistake> {
    let token = words.need("a zone such as +08:00 or Europe/Berlin")?;
    zone_word(token.word())
}

pub(super) fn zone_word(word: Word) -> Result<ZoneWord, Mistake> {
    match Zone::parse(&word.text) {
        Some(zone) => Ok(ZoneWord { zone, column: word.column }),
        None => {
            let found = format!("the zone {}", quoted(&word.text));
            Err(Mistake::new(
                word.column,
                found,
                "UTC, an offset such as +08:00 or a name such as Europe/Berlin",
            ))
        }
    }
}

fn subscribe(words: &mut Words) -> Result<Subscribe, Mistake> {
    let account = words.name(ACCOUNT)?;
    let plan = plan_name(words.need(PLAN)?.word())?;
    let quantity = quantity_or_one(words)?;
    let mut order = Subscribe {
        account,
        plan,
        quantity,
        name: None,
        payment: None,
        auto_renew: None,
        attributes: Vec::new(),
    };
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "as" => order.name.replace(words.name(SUBSCRIPTION)?).is_some(),
            "prepaid" | "pay-per-use" => {
                order.payment.replace(payment(words, &token.clone().word())?).is_some()
            }
            "auto-renew" => order.auto_renew.replace(verb_terms::limit(words)?).is_some(),
            _ => match token.option() {
                Some((name, value)) => {
                    push_attribute(&mut order.attributes, name, value)?;
                    false
                }
                None => {
                    let options = ["as", "prepaid", "pay-per-use", "auto-renew", "NAME=VALUE"];
                    return Err(words.unexpected(&token, &options));
                }
            },
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    Ok(order)
}

/// `prepaid TERM` or `pay-per-use`; the word itself is taken already.
fn payment(words: &mut Words, word: &Word) -> Result<Payment, Mistake> {
    let mode = match word.text.as_str() {
        "prepaid" => PaymentMode::Prepaid(term(words)?),
        _ => PaymentMode::PayPerUse,
    };
    Ok(Payment { mode, column: word.column })
}

/// `1 month`, `6 months`, `1 year`.
fn term(words: &mut Words) -> Result<Term, Mistake> {
    const FORM: &str = "a term such as 1 month, 6 months or 1 year";
    let count = words.need(FORM)?;
    let number = whole(count.keyword(), u64::from(TERM_MAX)).ok_or_else(|| {
        let found = format!("the term {}", quoted(&count.text));
        Mistake::new(count.column, found, format!("{FORM}, its number from 1 to {TERM_MAX}"))
    })?;
    let unit = words.need(FORM)?;
    let unit = match unit.keyword() {
        "month" | "months" => TermUnit::Month,
        "year" | "years" => TermUnit::Year,
        _ => {
            let found = format!("the unit {}", quoted(&unit.text));
            let units = ["month", "months", "year", "years"];
            return Err(Mistake::new(unit.column, found, FORM).near(unit.keyword(), units));
        }
    };
    Ok(Term { count: number as u16, unit })
}

/// A whole number from 1 to the most allowed.
pub(super) fn whole(text: &str, max: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| (1..=max).contains(number))
}

pub(super) fn quantity(words: &mut Words) -> Result<u32, Mistake> {
    let token = words.need("a quantity")?;
    whole(token.keyword(), u64::from(QUANTITY_MAX)).map(|number| number as u32).ok_or_else(|| {
        let found = format!("the quantity {}", quoted(&token.text));
        Mistake::new(token.column, found, "a whole number from 1 to 1,000,000, written without separators")
    })
}

/// A quantity, if the next word looks like a number; else 1.
pub(super) fn quantity_or_one(words: &mut Words) -> Result<u32, Mistake> {
    let numeric = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let given = words.peek().is_some_and(|token| token.option().is_none() && numeric(token.keyword()));
    if given { quantity(words) } else { Ok(1) }
}

/// `a/b` in two names; the second's column is where it begins.
pub(super) fn halves(word: &Word) -> Option<(Word, Word)> {
    let (first, second) = word.text.split_once('/')?;
    let column = word.column + first.chars().count() + 1;
    Some((Word { text: first.to_owned(), column: word.column }, Word { text: second.to_owned(), column }))
}

fn path(words: &mut Words) -> Result<Path, Mistake> {
    const FORM: &str = "ACCOUNT/SUBSCRIPTION, such as acme/seats";
    let word = words.need(FORM)?.word();
    let Some((account, second)) = halves(&word) else {
        return Err(Mistake::new(word.column, format!("{} without a /", quoted(&word.text)), FORM));
    };
    Ok(Path { account: name(account, ACCOUNT)?, name: name(second, SUBSCRIPTION)? })
}

fn quantity_change(words: &mut Words) -> Result<QuantityChange, Mistake> {
    let (path, quantity) = (path(words)?, quantity(words)?);
    let mut effective = None;
    if let Some(token) = words.next() {
        if token.keyword() != "effective" {
            return Err(words.unexpected(&token, &["effective"]));
        }
        effective = Some(words.when()?);
    }
    Ok(QuantityChange { path, quantity, effective })
}

fn change(words: &mut Words) -> Result<Change, Mistake> {
    const OPTIONS: [&str; 4] = ["mode", "plan", "auto-renew", "NAME=VALUE"];
    let path = path(words)?;
    let token = words.need("mode, plan, auto-renew or NAME=VALUE")?;
    let to = match token.keyword() {
        "mode" => {
            let mode = words.need("prepaid TERM or pay-per-use")?;
            if !matches!(mode.keyword(), "prepaid" | "pay-per-use") {
                return Err(words.unexpected(&mode, &["prepaid", "pay-per-use"]));
            }
            ChangeTo::Mode(payment(words, &mode.word())?)
        }
        "plan" => ChangeTo::Plan(plan_name(words.need(PLAN)?.word())?),
        "auto-renew" => ChangeTo::AutoRenew(verb_terms::on_or_off(words)?),
        _ => {
            let mut attributes = Vec::new();
            let mut next = Some(token);
            while let Some(token) = next {
                let Some((name, value)) = token.option() else {
                    return Err(words
                        .unexpected(&token, if attributes.is_empty() { &OPTIONS } else { &["NAME=VALUE"] }));
                };
                push_attribute(&mut attributes, name, value)?;
                next = words.next();
            }
            ChangeTo::Attributes(attributes)
        }
    };
    Ok(Change { path, to })
}

/// A decimal of at most 10 places.
pub(super) fn decimal(text: &str, column: usize, what: &str) -> Result<Exact, Mistake> {
    Exact::parse(text, 10).map_err(|error| {
        let expected = match error {
            DecimalError::NotADecimal => "a decimal such as 12 or 0.05, without separators or currency",
            DecimalError::TooLarge => "at most 15 digits before the point",
            DecimalError::TooManyDecimals => "at most 10 decimals",
        };
        Mistake::new(column, format!("the {what} {}", quoted(text)), expected)
    })
}

fn discount(words: &mut Words, at: When) -> Result<Discount, Mistake> {
    let account = words.name(ACCOUNT)?;
    let token = words.need("a percentage such as 10%")?;
    let wrong = || {
        let found = format!("the discount {}", quoted(&token.text));
        Mistake::new(token.column, found, "a percentage above 0% and at most 100%, such as 10%")
    };
    let digits = token.keyword().strip_suffix('%').ok_or_else(wrong)?;
    let percent = decimal(digits, token.column, "discount")?;
    if percent <= Exact::ZERO || percent > Exact::whole(100) {
        return Err(wrong());
    }
    let mut discount = Discount { account, percent, on: None, until: None };
    while let Some(token) = words.next() {
        let again = match token.keyword() {
            "on" => {
                let word = words.need("PLAN or PLAN/CHARGE")?.word();
                let part = match halves(&word) {
                    Some((plan, charge)) => PricedPart {
                        plan: plan_name(plan)?,
                        charge: Some(name(charge, "the name of a charge")?),
                    },
                    None => PricedPart { plan: plan_name(word)?, charge: None },
                };
                discount.on.replace(part).is_some()
            }
            "until" => discount.until.replace(until(words, at)?).is_some(),
            _ => return Err(words.unexpected(&token, &["on", "until"])),
        };
        if again {
            return Err(twice(&token.word()));
        }
    }
    Ok(discount)
}

/// The end of what begins with the line: after it.
pub(super) fn until(words: &mut Words, from: When) -> Result<When, Mistake> {
    let until = words.when()?;
    let exactly_equal = until.time == from.time;
    if exactly_equal || time::surely_before(until.time, from.time) {
        return Err(Mistake::new(
            until.column,
            "an end that is not after the line's own time",
            "a later time",
        ));
    }
    Ok(until)
}

fn price(words: &mut Words, at: When) -> Result<Price, Mistake> {
    const FORM: &str = "PLAN/CHARGE, such as basic-seat/seat-days";
    let account = words.name(ACCOUNT)?;
    let word = words.need(FORM)?.word();
    let Some((plan, charge)) = halves(&word) else {
        return Err(Mistake::new(word.column, format!("{} without a /", quoted(&word.text)), FORM));
    };
    let (plan, charge) = (plan_name(plan)?, name(charge, "the name of a charge")?);
    let token = words.need("a price")?;
    let price = decimal(&token.text, token.column, "price")?;
    if price.is_negative() {
        let found = format!("the price {}", quoted(&token.text));
        return Err(Mistake::new(token.column, found, "a price of zero or more"));
    }
    let mut end = None;
    if let Some(token) = words.next() {
        if token.keyword() != "until" {
            return Err(words.unexpected(&token, &["until"]));
        }
        end = Some(until(words, at)?);
    }
    Ok(Price { account, plan, charge, price, until: end })
}

fn topup(words: &mut Words) -> Result<TopUp, Mistake> {
    let account = words.name(ACCOUNT)?;
    let amount_column = words.peek().map_or(0, |token| token.column);
    Ok(TopUp { account, amount: amount_above_zero(words)?, amount_column })
}

/// An amount of either sign, and its column.
pub(super) fn amount(words: &mut Words) -> Result<(Exact, usize), Mistake> {
    let token = words.need("an amount")?;
    Ok((decimal(&token.text, token.column, "amount")?, token.column))
}

pub(super) fn amount_above_zero(words: &mut Words) -> Result<Exact, Mistake> {
    let written = words.peek().map(|token| token.text.clone()).unwrap_or_default();
    let (amount, column) = amount(words)?;
    if amount <= Exact::ZERO {
        let found = format!("the amount {}", quoted(&written));
        return Err(Mistake::new(column, found, "an amount above zero"));
    }
    Ok(amount)
}

fn use_feature(words: &mut Words) -> Result<Use, Mistake> {
    let account = words.name(ACCOUNT)?;
    let feature = words.name("the name of a feature")?;
    let mut on = None;
    if let Some(token) = words.next() {
        if token.keyword() != "on" {
            return Err(words.unexpected(&token, &["on"]));
        }
        on = Some(words.name(SUBSCRIPTION)?);
    }
    Ok(Use { account, feature, on })
}

fn usage(words: &mut Words, written: Written) -> Result<Usage, Mistake> {
    let account = words.name(ACCOUNT)?;
    let kind = words.name("a type of usage, such as call")?;
    let (mut all, mut times): (Vec<Attribute>, Option<Repeat>) = (Vec::new(), None);
    while let Some(token) = words.next() {
        if token.keyword() == "times" {
            if times.replace(repeat(words)?).is_some() {
                return Err(twice(&token.word()));
            }
            continue;
        }
        let Some((name, value)) = token.option() else {
            return Err(words.unexpected(&token, &["NAME=VALUE", "times"]));
        };
        push_attribute(&mut all, name, value)?;
    }
    let mut taken = |known: &str| {
        let index = all.iter().position(|attribute| attribute.name.text == known)?;
        Some(all.remove(index).value)
    };
    let (id, source, revision) = (taken("id"), taken("source"), taken("revision"));
    let (start, happened) = (taken("start"), taken("at"));
    if let (Some(id), Some(_)) = (&id, &times) {
        return Err(Mistake::new(id.column, "an id on usage that is repeated", "either id= or times"));
    }
    let revision = match revision {
        None => 0,
        Some(word) => word.text.parse().ok().filter(|_| !word.text.starts_with('+')).ok_or_else(|| {
            let found = format!("the revision {}", quoted(&word.text));
            Mistake::new(word.column, found, "a whole number, 0 or more")
        })?,
    };
    let happened = happened.map(|word| time::written_in(&word.text, word.column, written)).transpose()?;
    let end = happened.unwrap_or(written);
    let start = start.map(|word| time::written_in(&word.text, word.column, end)).transpose()?;
    let (happened, start) = (happened.map(Written::when).transpose()?, start.map(Written::when).transpose()?);
    if let Some(start) = start {
        check_start(start, end.when()?)?;
    }
    Ok(Usage { account, kind, id, source, revision, start, happened, attributes: all, times })
}

/// Usage does not end before it starts.
fn check_start(start: When, end: When) -> Result<(), Mistake> {
    if time::surely_before(end.time, start.time) {
        let expected = "a start before it; with its date if that is another day: start=\"2026-01-04 23:59\"";
        return Err(Mistake::new(start.column, "usage that starts after its end", expected));
    }
    Ok(())
}

/// `95 every 10s`; the word `times` is taken already.
fn repeat(words: &mut Words) -> Result<Repeat, Mistake> {
    let token = words.need("how many times")?;
    let count = whole(token.keyword(), u64::from(QUANTITY_MAX)).ok_or_else(|| {
        let found = format!("the count {}", quoted(&token.text));
        Mistake::new(token.column, found, "a whole number from 1 to 1,000,000, as in times 95 every 10s")
    })?;
    let mut every_s = 0;
    if words.take("every").is_some() {
        let token = words.need("a duration such as 10s")?;
        let wrong = |expected: &str| {
            Mistake::new(token.column, format!("the duration {}", quoted(&token.text)), expected)
        };
        every_s = seconds(token.keyword()).ok_or_else(|| wrong("a duration such as 10s, 5m, 1h or 1d"))?;
        if u64::from(every_s) * count > REPEAT_S_MAX {
            return Err(wrong("all repetitions within 366 days"));
        }
    }
    Ok(Repeat { count: count as u32, every_s })
}

/// `10s`, `5m`, `1h`, `1d`.
fn seconds(text: &str) -> Option<u32> {
    let unit = text.chars().next_back()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse::<u32>().ok()?.checked_mul(factor)).flatten()
}

fn void(words: &mut Words) -> Result<Void, Mistake> {
    const FORM: &str = "SOURCE/ID, such as book/x1";
    let first = words.need(FORM)?.word();
    let (source, id) = match words.next() {
        Some(id) => (first, id.word()),
        None => {
            let Some((source, id)) = first.text.rsplit_once('/') else {
                return Err(Mistake::new(first.column, format!("{} without a /", quoted(&first.text)), FORM));
            };
            let column = first.column + source.chars().count() + 1;
            (Word { text: source.into(), column: first.column }, Word { text: id.into(), column })
        }
    };
    if source.text.is_empty() || id.text.is_empty() {
        return Err(Mistake::new(source.column, "an empty source or id", FORM));
    }
    Ok(Void { source, id })
}
