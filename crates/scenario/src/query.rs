//! Questions: `$ bill acme 2020-01` and the like.

use crate::report::{self, BillOptions, Parties};
use crate::run::Run;
use farebox_core::account::{Account, Group};
use farebox_core::bill::{Bill, Line};
use farebox_core::calendar::{Cycle, Instant, Zone};
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
type Wrong<'a> = (&'a Word, String, String);

/// The moment up to which the clock must go before the question can be answered.
pub(crate) fn moment<'a>(run: &Run<'_>, words: &'a [Word]) -> Result<Option<Instant>, Wrong<'a>> {
    let question = name(words)?;
    match question.text.as_str() {
        "bill" => {
            let account = account(run, words)?;
            let zone = &payer_of(run, account).head.zone;
            Ok(Some(zone.cycle(Cycle::Month, month(words, zone)?).end))
        }
        "cost" => views::cost_moment(run, words).map(Some),
        "budgets" => views::budgets_moment(run, words),
        "explain" => {
            let word = argument(words, 1, "a line's id, such as acme-2020-01-1")?;
            let Some((account, month)) = bill_of(run, &word.text) else {
                return Err(unknown_line(word));
            };
            Ok(Some(account.head.zone.cycle(Cycle::Month, month).end))
        }
        "show" | "packages" | "holds" | "balance" | "lifecycle" | "notices" | "upcoming" | "ledger"
        | "renewals" | "deferred" => date(run, words, 2),
        "licences" => date(run, words, 2 + usize::from(application(words).is_some())),
        "trial-balance" | "receivables" => date(run, words, 1),
        "statement" => money::statement_moment(run, words),
        "provides" => {
            let place = if words.get(2).is_some_and(|word| word.text == "on") { 4 } else { 2 };
            date(run, words, place)
        }
        "may" => {
            let place = if words.get(3).is_some_and(|word| word.text == "on") { 5 } else { 3 };
            date(run, words, place)
        }
        _ => Ok(None),
    }
}

/// Answers a question.
pub(crate) fn answer<'a>(run: &Run<'_>, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let question = name(words)?;
    match question.text.as_str() {
        "bill" => {
            let account = account(run, words)?;
            let payer = payer_of(run, account);
            let zone = &payer.head.zone;
            let start = zone.cycle(Cycle::Month, month(words, zone)?).start;
            let nothing = || vec![format!("nothing was charged to {} in that month", account.head.id)];
            let Some(bill) = payer.bills.get(&start) else { return Ok(nothing()) };
            Ok(answer_bill(run, account, bill, words)?.unwrap_or_else(nothing))
        }
        "cost" => views::cost(run, words),
        "budgets" => views::budgets(run, words),
        "upcoming" => views::upcoming(run, words),
        "explain" => {
            let word = argument(words, 1, "a line's id, such as acme-2020-01-1")?;
            let (account, line) = find_line(run, &word.text).ok_or_else(|| unknown_line(word))?;
            explained(run, account, line, 20)
                .map_err(|why| (word, why, "usage files as they were".to_owned()))
        }
        "show" => Ok(report::show(account(run, words)?, &run.prepared.zone, run.clock)),
        "provides" => packages::provides(run, words),
        "packages" => {
            let account = account(run, words)?;
            Ok(report::packages(payer_of(run, account), &account.head, &run.prepared.zone, run.clock))
        }
        "holds" => {
            let account = account(run, words)?;
            Ok(report::holds(payer_of(run, account), &account.head, &run.prepared.zone, run.clock))
        }
        "licences" => {
            let (account, only) = (account(run, words)?, application(words));
            let (group, zone) = (group_of(run, &account.head.id), &run.prepared.zone);
            Ok(report::licences(group, &run.prepared.catalogues, account, only, zone, run.clock))
        }
        "may" => may(run, words),
        "balance" => Ok(report::balance(account(run, words)?)),
        "lifecycle" => Ok(report::lifecycle(run, account(run, words)?)),
        "statement" => money::statement(run, words),
        "ledger" => Ok(report::ledger(account(run, words)?)),
        "trial-balance" => {
            let all = report::ledger_totals(run.accounts(), run.clock);
            let all = all.map_err(|_| (question, "sums that do not fit".to_owned(), String::new()))?;
            Ok(report::trial_balance(&all))
        }
        "receivables" => {
            let rows = report::receivables(run.accounts(), run.clock);
            rows.map_err(|_| (question, "sums that do not fit".to_owned(), String::new()))
        }
        "notices" => {
            let account = &account(run, words)?.head;
            let payer = run.account(account.payer());
            let told = payer.map(|payer| payer.notices.as_slice()).unwrap_or_default();
            Ok(report::notices(account, told, &run.prepared.zone))
        }
        "renewals" => {
            let id = &account(run, words)?.head.id;
            let (lists, metering) = (&run.prepared.catalogues, &run.metering);
            let renewals = terms::renewals(group_of(run, id), lists, metering, id, run.clock);
            Ok(report::renewals(&renewals, &account(run, words)?.head, &run.prepared.zone))
        }
        "deferred" => {
            let account = account(run, words)?;
            Ok(report::deferred(account, group_of(run, &account.head.id), &run.prepared.zone))
        }
        "quarantine" => {
            let found = run.quarantine().map_err(|wrong| (question, wrong.to_string(), String::new()))?;
            Ok(report::quarantine(&found))
        }
        _ => Ok(report::imports(&run.imports)),
    }
}

/// The text of a line's explanation, with at most `most` events.
pub fn explained(run: &Run<'_>, account: &Account, line: &Line, most: usize) -> Result<Vec<String>, String> {
    let (events, count) = run
        .usage
        .events_behind(run, &line.account, line, most)
        .map_err(|diagnostic| diagnostic.to_string())?;
    Ok(report::explain(&account.head, &run.prepared.zone, line, &events, count))
}

/// A line of any bill by its id.
pub fn find_line<'r>(run: &'r Run<'_>, id: &str) -> Option<(&'r Account, &'r Line)> {
    run.accounts().find_map(|account| {
        let lines = account.bills.values().flat_map(|bill| &bill.lines);
        lines.into_iter().find(|line| line.id == id).map(|line| (account, line))
    })
}

fn unknown_line(word: &Word) -> Wrong<'_> {
    (
        word,
        format!("no line \"{}\"", word.text),
        "a line's id as bills show it: ACCOUNT-YYYY-MM-NUMBER".to_owned(),
    )
}

/// The account and month that a line's id names.
fn bill_of<'r>(run: &'r Run<'_>, id: &str) -> Option<(&'r Account, Instant)> {
    let (bill, _) = id.rsplit_once('-')?;
    let at = bill.len().checked_sub(8)?;
    let (name, month) = (bill.get(..at)?, bill.get(at + 1..)?);
    let account = run.account(name)?;
    Some((account, first_of(month, &account.head.zone)?))
}

fn first_of(month: &str, zone: &Zone) -> Option<Instant> {
    let valid = month.len() == 7 && month.as_bytes()[4] == b'-';
    let first: jiff::civil::Date = format!("{month}-01").parse().ok().filter(|_| valid)?;
    Some(zone.midnight(first))
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

fn account<'a, 'r>(run: &'r Run<'_>, words: &'a [Word]) -> Result<&'r Account, Wrong<'a>> {
    let word = argument(words, 1, "an account")?;
    run.account(&word.text).ok_or_else(|| {
        let known = run.accounts().map(|account| account.head.id.as_str());
        let expected = match nearest(&word.text, known) {
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
fn date<'a>(run: &Run<'_>, words: &'a [Word], place: usize) -> Result<Option<Instant>, Wrong<'a>> {
    let Some(word) = words.get(place) else { return Ok(None) };
    let wrong = || {
        let expected = "a date as YYYY-MM-DD, or \"YYYY-MM-DD HH:MM:SS\"".to_owned();
        (word, format!("\"{}\"", word.text), expected)
    };
    // A date without a time is its midnight.
    let local: jiff::civil::DateTime = word.text.parse().map_err(|_| wrong())?;
    let at = run.prepared.zone.at(local);
    if at < run.clock {
        let clock = farebox_core::calendar::show_local(&run.prepared.zone, run.clock);
        return Err((word, format!("{}, which is past", word.text), format!("{clock} or later")));
    }
    Ok(Some(at))
}

/// The account that pays for an account: its master, or itself.
fn payer_of<'r>(run: &'r Run<'_>, account: &'r Account) -> &'r Account {
    run.account(account.head.payer()).unwrap_or(account)
}

/// Accounts and price lists behind an account's bills.
fn parties<'r>(run: &'r Run<'_>, account: &str) -> Parties<'r> {
    Parties { group: group_of(run, account), catalogues: &run.prepared.catalogues }
}

/// What lines are added up by.
fn by<'a>(word: &'a Word, value: &str) -> Result<By, Wrong<'a>> {
    let expected = "project, application, tag:NAME, member, group or plan";
    By::parse(value).ok_or_else(|| (word, format!("\"{value}\""), expected.to_owned()))
}

/// The bill, or what a member has on the bill of the account that pays; `None`: nothing.
fn answer_bill<'a>(
    run: &Run<'_>,
    account: &Account,
    bill: &Bill,
    words: &'a [Word],
) -> Result<Option<Vec<String>>, Wrong<'a>> {
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
    let (head, parties) = (&account.head, parties(run, &account.head.id));
    let share = || report::share(head, bill, &parties, &options);
    Ok(match (&split, head.payer.is_some()) {
        (Some(by), false) => Some(report::split(head, bill, &parties, by)),
        (Some(by), true) => share().map(|_| report::split_share(head, bill, &parties, by)),
        (None, false) => Some(report::bill(head, bill, &parties, &options)),
        (None, true) => share(),
    })
}

/// The group of an account that is known to be open.
fn group_of<'r>(run: &'r Run<'_>, account: &str) -> &'r Group {
    run.group_of(account).expect("an open account is in a group")
}

/// The application of a question about licences: a word that is no date.
fn application(words: &[Word]) -> Option<&str> {
    let word = words.get(2).map(|word| word.text.as_str())?;
    word.parse::<jiff::civil::DateTime>().is_err().then_some(word)
}

fn may<'a>(run: &Run<'_>, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let account = account(run, words)?;
    let feature = argument(words, 2, "a feature")?;
    let on = words.get(3).filter(|word| word.text == "on");
    let subscription = on.map(|_| argument(words, 4, "a subscription")).transpose()?;
    let command = Command {
        account: account.head.id.clone(),
        effective_at: run.clock,
        action: Action::UseFeature {
            feature: feature.text.clone(),
            subscription: subscription.map(|word| word.text.clone()),
        },
    };
    let group = group_of(run, &account.head.id);
    Ok(match decide(group, &run.prepared.catalogues, &run.metering, &command, run.clock) {
        Ok(_) => vec!["yes".to_owned()],
        Err(refusal) => vec![format!("no: {}: {}", refusal.code(), refusal.sentence(&run.prepared.zone))],
    })
}
