//! Questions: `$ bill acme 2020-01` and the like.

use crate::report::{self, BillOptions, Parties};
use crate::source::Source;
use farebox_core::account::{Account, Group};
use farebox_core::bill::{Bill, Line};
use farebox_core::calendar::{Cycle, Instant, Span, Zone};
use farebox_core::cost::By;
use farebox_core::engine::{Action, Command, decide, terms};
use farebox_text::book::Word;
use farebox_text::diagnostic::nearest;

/// Every question, with its form.
pub const QUESTIONS: &[(&str, &str)] = &[
    (
        "bill",
        "bill ACCOUNT YYYY-MM [--explain] [--only KIND|SUBSCRIPTION|PLAN|CHARGE] [--by project|application|tag:NAME|member|group|plan]",
    ),
    ("cost", "cost ACCOUNT YYYY-MM [YYYY-MM] by project|application|tag:NAME|member|group|plan"),
    ("budgets", "budgets ACCOUNT [DATE | YYYY-MM]"),
    ("upcoming", "upcoming ACCOUNT [DATE]"),
    ("explain", "explain LINE-ID"),
    ("show", "show ACCOUNT [DATE]"),
    ("provides", "provides ACCOUNT [on NAME=VALUE] [DATE]"),
    ("packages", "packages ACCOUNT [DATE]"),
    ("holds", "holds ACCOUNT [DATE]"),
    ("licences", "licences ACCOUNT [APPLICATION] [DATE]"),
    ("may", "may ACCOUNT FEATURE [on SUBSCRIPTION] [DATE]"),
    ("balance", "balance ACCOUNT [DATE]"),
    ("lifecycle", "lifecycle ACCOUNT [DATE]"),
    ("statement", "statement ACCOUNT [YYYY-MM]"),
    ("ledger", "ledger ACCOUNT [DATE]"),
    ("trial-balance", "trial-balance [DATE]"),
    ("receivables", "receivables [DATE]"),
    ("notices", "notices ACCOUNT [DATE]"),
    ("renewals", "renewals ACCOUNT [DATE]"),
    ("deferred", "deferred ACCOUNT [DATE]"),
    ("quarantine", "quarantine"),
    ("imports", "imports"),
];

mod money;
mod packages;
mod views;

/// What is wrong with a question: the word, what was found, what is expected.
pub type Wrong<'a> = (&'a Word, String, String);

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An account.
    Account(&'a Word),
    /// A line of a bill, which names the account that pays.
    Line(&'a Word),
    /// All accounts.
    Everyone,
}

/// As of when a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As things stand.
    Now,
    /// As of a moment.
    At(Instant),
    /// When a month is over.
    After(Span),
}

impl When {
    /// The moment up to which the clock must go before the question can be answered.
    pub fn moment(&self) -> Option<Instant> {
        match self {
            When::Now => None,
            When::At(at) => Some(*at),
            When::After(month) => Some(month.end),
        }
    }
}

/// What a question is about.
///
/// # Errors
/// No question of this name, or one that does not say what about.
pub fn subject(words: &[Word]) -> Result<Subject<'_>, Wrong<'_>> {
    Ok(match name(words)?.text.as_str() {
        "trial-balance" | "receivables" | "quarantine" | "imports" => Subject::Everyone,
        "explain" => Subject::Line(argument(words, 1, A_LINE)?),
        _ => Subject::Account(argument(words, 1, "an account")?),
    })
}

/// As of when the question is to be answered.
///
/// # Errors
/// A word that cannot be.
pub fn moment<'a>(source: &dyn Source, words: &'a [Word]) -> Result<When, Wrong<'a>> {
    let question = name(words)?;
    match question.text.as_str() {
        "bill" => {
            let account = account(source, words)?;
            let zone = &payer_of(source, account).head.zone;
            bill_words(words)?;
            Ok(When::After(zone.cycle(Cycle::Month, month(words, zone)?)))
        }
        "cost" => views::cost_moment(source, words),
        "budgets" => views::budgets_moment(source, words),
        "explain" => {
            let word = argument(words, 1, A_LINE)?;
            let Some((account, month)) = bill_of(source, &word.text) else {
                return Err(unknown_line(word));
            };
            nothing_after(words, 2)?;
            Ok(When::After(account.head.zone.cycle(Cycle::Month, month)))
        }
        "show" | "packages" | "holds" | "balance" | "lifecycle" | "notices" | "upcoming" | "ledger"
        | "renewals" | "deferred" => date(source, words, 2),
        "licences" => date(source, words, 2 + usize::from(application(words).is_some())),
        "trial-balance" | "receivables" => date(source, words, 1),
        "statement" => money::statement_moment(source, words),
        "provides" => {
            let place = if words.get(2).is_some_and(|word| word.text == "on") { 4 } else { 2 };
            date(source, words, place)
        }
        "may" => {
            let place = if words.get(3).is_some_and(|word| word.text == "on") { 5 } else { 3 };
            date(source, words, place)
        }
        _ => nothing_after(words, 1).map(|()| When::Now),
    }
}

/// Answers a question as of now.
///
/// # Errors
/// A word that cannot be.
pub fn answer<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    answered(source, words).map(report::legible)
}

fn answered<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let question = name(words)?;
    match question.text.as_str() {
        "bill" => {
            let account = account(source, words)?;
            let payer = payer_of(source, account);
            let zone = &payer.head.zone;
            let start = zone.cycle(Cycle::Month, month(words, zone)?).start;
            let nothing = || vec![format!("nothing was charged to {} in that month", account.head.id)];
            let Some(bill) = payer.bills.get(&start) else { return Ok(nothing()) };
            Ok(answer_bill(source, account, bill, words)?.unwrap_or_else(nothing))
        }
        "cost" => views::cost(source, words),
        "budgets" => views::budgets(source, words),
        "upcoming" => views::upcoming(source, words),
        "explain" => {
            let word = argument(words, 1, A_LINE)?;
            let (account, line) = find_line(source, &word.text).ok_or_else(|| unknown_line(word))?;
            explained(source, account, line, 20)
                .map_err(|why| (word, why, "usage files as they were".to_owned()))
        }
        "show" => Ok(report::show(account(source, words)?, source.zone(), source.now())),
        "provides" => packages::provides(source, words),
        "packages" => {
            let account = account(source, words)?;
            Ok(report::packages(payer_of(source, account), &account.head, source.zone(), source.now()))
        }
        "holds" => {
            let account = account(source, words)?;
            Ok(report::holds(payer_of(source, account), &account.head, source.zone(), source.now()))
        }
        "licences" => {
            let (account, only) = (account(source, words)?, application(words));
            let (group, zone) = (group_of(source, &account.head.id), source.zone());
            Ok(report::licences(group, source.catalogues(), account, only, zone, source.now()))
        }
        "may" => may(source, words),
        "balance" => Ok(report::balance(account(source, words)?)),
        "lifecycle" => Ok(report::lifecycle(source, account(source, words)?)),
        "statement" => money::statement(source, words),
        "ledger" => Ok(report::ledger(account(source, words)?)),
        "trial-balance" => {
            let all = source.totals().map_err(|why| (question, why, String::new()))?;
            Ok(report::trial_balance(&all))
        }
        "receivables" => {
            let all = source.receivables().map_err(|why| (question, why, String::new()))?;
            Ok(all.lines())
        }
        "notices" => {
            let account = &account(source, words)?.head;
            let payer = source.account(account.payer());
            let told = payer.map(|payer| payer.notices.as_slice()).unwrap_or_default();
            Ok(report::notices(account, told, source.zone()))
        }
        "renewals" => {
            let id = &account(source, words)?.head.id;
            let group = group_of(source, id);
            let metering = source.metering(account(source, words)?.head.payer());
            let renewals = terms::renewals(group, source.catalogues(), metering, id, source.now());
            Ok(report::renewals(&renewals, &account(source, words)?.head, source.zone()))
        }
        "deferred" => {
            let account = account(source, words)?;
            Ok(report::deferred(account, group_of(source, &account.head.id), source.zone()))
        }
        "quarantine" => {
            let found = source.quarantine().map_err(|why| (question, why, String::new()))?;
            Ok(report::quarantine(&found))
        }
        _ => {
            let all = source.imports().map_err(|why| (question, why, String::new()))?;
            Ok(report::imports(&all))
        }
    }
}

/// The text of a line's explanation, with at most `most` events.
///
/// # Errors
/// Why the events behind it cannot be read.
pub fn explained(
    source: &dyn Source,
    account: &Account,
    line: &Line,
    most: usize,
) -> Result<Vec<String>, String> {
    let (events, count) = source.events_behind(line, most)?;
    Ok(report::legible(report::explain(&account.head, source.zone(), line, &events, count)))
}

/// A line of any bill by its id.
pub fn find_line<'r>(source: &'r dyn Source, id: &str) -> Option<(&'r Account, &'r Line)> {
    let (account, _) = bill_of(source, id)?;
    line_of(account, id).map(|line| (account, line))
}

/// A line of an account's bills by its id.
pub fn line_of<'r>(account: &'r Account, id: &str) -> Option<&'r Line> {
    account.bills.values().flat_map(|bill| &bill.lines).find(|line| line.id == id)
}

/// What an explanation needs.
const A_LINE: &str = "a line's id, such as acme-2020-01-1";

/// That the question ends before a word.
fn nothing_after(words: &[Word], place: usize) -> Result<(), Wrong<'_>> {
    match words.get(place) {
        None => Ok(()),
        Some(more) => Err((more, format!("\"{}\"", more.text), "nothing after it".to_owned())),
    }
}

fn unknown_line(word: &Word) -> Wrong<'_> {
    (
        word,
        format!("no line \"{}\"", word.text),
        "a line's id as bills show it: ACCOUNT-YYYY-MM-NUMBER".to_owned(),
    )
}

/// The account and month that a line's id names.
fn bill_of<'r>(source: &'r dyn Source, id: &str) -> Option<(&'r Account, Instant)> {
    let (bill, _) = id.rsplit_once('-')?;
    let at = bill.len().checked_sub(8)?;
    let (name, month) = (bill.get(..at)?, bill.get(at + 1..)?);
    let account = source.account(name)?;
    Some((account, first_of(month, &account.head.zone)?))
}

fn first_of(month: &str, zone: &Zone) -> Option<Instant> {
    let valid = month.len() == 7 && month.as_bytes()[4] == b'-';
    let first: jiff::civil::Date = format!("{month}-01").parse().ok().filter(|_| valid)?;
    Some(zone.midnight(first))
}

/// That there is a question of this name, whatever it is about.
///
/// # Errors
/// The word, and what is expected.
pub fn known(words: &[Word]) -> Result<(), Wrong<'_>> {
    name(words).map(drop)
}

fn name(words: &[Word]) -> Result<&Word, Wrong<'_>> {
    let Some(first) = words.first() else { unreachable!("the parser gives questions with a word") };
    let known = || QUESTIONS.iter().map(|(name, _)| *name);
    if known().any(|name| name == first.text) {
        return Ok(first);
    }
    let expected = match nearest(&first.text, known()) {
        Some(meant) => {
            format!("one of {}; did you mean \"{meant}\"?", known().collect::<Vec<_>>().join(", "))
        }
        None => format!("one of {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err((first, format!("unknown question \"{}\"", first.text), expected))
}

fn argument<'a>(words: &'a [Word], place: usize, expected: &str) -> Result<&'a Word, Wrong<'a>> {
    words.get(place).ok_or_else(|| {
        let form = QUESTIONS.iter().find(|(name, _)| *name == words[0].text).map_or("", |(_, form)| form);
        (&words[0], format!("{} without {expected}", words[0].text), form.to_owned())
    })
}

fn account<'a, 'r>(source: &'r dyn Source, words: &'a [Word]) -> Result<&'r Account, Wrong<'a>> {
    let word = argument(words, 1, "an account")?;
    source.account(&word.text).ok_or_else(|| {
        let expected = match nearest(&word.text, source.names()) {
            Some(meant) => format!("an account that is open by then; did you mean \"{meant}\"?"),
            None => "an account that is open by then".to_owned(),
        };
        (word, format!("unknown account \"{}\"", word.text), expected)
    })
}

fn month<'a>(words: &'a [Word], zone: &Zone) -> Result<Instant, Wrong<'a>> {
    let word = argument(words, 2, "a month")?;
    let wrong = || (word, format!("\"{}\"", word.text), "a month as YYYY-MM".to_owned());
    first_of(&word.text, zone).ok_or_else(wrong)
}

/// An optional date, or date and time in quotes, at a place.
fn date<'a>(source: &dyn Source, words: &'a [Word], place: usize) -> Result<When, Wrong<'a>> {
    let Some(word) = words.get(place) else { return Ok(When::Now) };
    nothing_after(words, place + 1)?;
    let wrong = || {
        let expected = "a date as YYYY-MM-DD, or \"YYYY-MM-DD HH:MM:SS\"".to_owned();
        (word, format!("\"{}\"", word.text), expected)
    };
    // A date without a time is its midnight.
    let local: jiff::civil::DateTime = word.text.parse().map_err(|_| wrong())?;
    let at = source.zone().at(local);
    if at < source.now() {
        let expected = format!("{} or later", source.clock());
        return Err((word, format!("{}, which is past", word.text), expected));
    }
    Ok(When::At(at))
}

/// The account that pays for an account: its master, or itself.
fn payer_of<'r>(source: &'r dyn Source, account: &'r Account) -> &'r Account {
    source.payer_of(account)
}

/// Accounts and price lists behind an account's bills.
fn parties<'r>(source: &'r dyn Source, account: &str) -> Parties<'r> {
    Parties { group: group_of(source, account), catalogues: source.catalogues() }
}

/// What lines are added up by.
fn by<'a>(word: &'a Word, value: &str) -> Result<By, Wrong<'a>> {
    let expected = "project, application, tag:NAME, member, group or plan";
    By::parse(value).ok_or_else(|| (word, format!("\"{value}\""), expected.to_owned()))
}

/// What of a bill is shown, and what its lines are added up by.
fn bill_words(words: &[Word]) -> Result<(BillOptions, Option<By>), Wrong<'_>> {
    let mut options = BillOptions::default();
    let mut split = None;
    let mut rest = words.iter().skip(3);
    while let Some(word) = rest.next() {
        let mut value = || {
            let form = "a word after it".to_owned();
            rest.next()
                .map(|word| word.text.clone())
                .ok_or_else(|| (word, format!("{} alone", word.text), form))
        };
        match word.text.as_str() {
            "--explain" => options.explained = true,
            "--only" => options.only = Some(value()?),
            "--by" => split = Some(by(word, &value()?)?),
            _ => return Err((word, format!("\"{}\"", word.text), "--explain, --only or --by".to_owned())),
        }
    }
    Ok((options, split))
}

/// The bill, or what a member has on the bill of the account that pays; `None`: nothing.
fn answer_bill<'a>(
    source: &dyn Source,
    account: &Account,
    bill: &Bill,
    words: &'a [Word],
) -> Result<Option<Vec<String>>, Wrong<'a>> {
    let (options, split) = bill_words(words)?;
    let (head, parties) = (&account.head, parties(source, &account.head.id));
    let share = || report::share(head, bill, &parties, &options);
    Ok(match (&split, head.payer.is_some()) {
        (Some(by), false) => Some(report::split(head, bill, &parties, by)),
        (Some(by), true) => share().map(|_| report::split_share(head, bill, &parties, by)),
        (None, false) => Some(report::bill(head, bill, &parties, &options)),
        (None, true) => share(),
    })
}

/// The group of an account that is known to be open.
fn group_of<'r>(source: &'r dyn Source, account: &str) -> &'r Group {
    source.group_of(account).expect("an open account is in a group")
}

/// The application of a question about licences: a word that is no date.
fn application(words: &[Word]) -> Option<&str> {
    let word = words.get(2).map(|word| word.text.as_str())?;
    word.parse::<jiff::civil::DateTime>().is_err().then_some(word)
}

fn may<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let account = account(source, words)?;
    let feature = argument(words, 2, "a feature")?;
    let on = words.get(3).filter(|word| word.text == "on");
    let subscription = on.map(|_| argument(words, 4, "a subscription")).transpose()?;
    let command = Command {
        account: account.head.id.clone(),
        effective_at: source.now(),
        action: Action::UseFeature {
            feature: feature.text.clone(),
            subscription: subscription.map(|word| word.text.clone()),
        },
    };
    let group = group_of(source, &account.head.id);
    Ok(
        match decide(
            group,
            source.catalogues(),
            source.metering(account.head.payer()),
            &command,
            source.now(),
        ) {
            Ok(_) => vec!["yes".to_owned()],
            Err(refusal) => {
                let why = refusal.sentence_about(&account.head, source.zone());
                vec![format!("no: {}: {why}", refusal.code())]
            }
        },
    )
}
