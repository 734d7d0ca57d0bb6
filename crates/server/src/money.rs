//! Money of an account.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::operation::{BOOKKEEPERS, Form, Operation, Parameter, READERS};
use farebox_api as wire;
use farebox_api::journal::{self, Booked};
use farebox_core::account::Account;
use farebox_core::calendar::{Cycle, Instant, Span, Zone};
use farebox_service::Service;
use jiff::civil::Date;

pub(crate) fn operations() -> Vec<Operation> {
    let month = || Parameter::text::<wire::Month>("month", "The month; all time when left out.");
    vec![
        Operation::get(
            "/v1/accounts/{account}/balance",
            "show-balance",
            "What it has and owes; a member's money is its master's.",
        )
        .by(READERS)
        .headers(&["If-None-Match"])
        .one::<wire::Balance>()
        .asks(balance),
        Operation::get(
            "/v1/accounts/{account}/statement",
            "show-statement",
            "What came in and went out of its money.",
        )
        .by(READERS)
        .takes(month())
        .takes(Parameter::text::<wire::Moment>("from", "Only what moved at this moment or later."))
        .takes(Parameter::text::<wire::Moment>("to", "Only what moved before this moment."))
        .part()
        .one::<wire::Statement>()
        .asks(statement),
        Operation::get("/v1/accounts/{account}/ledger", "list-ledger", "Its ledger accounts, by name.")
            .by(READERS)
            .page::<wire::LedgerBalance>()
            .asks(ledger),
        Operation::get(
            "/v1/accounts/{account}/postings",
            "list-postings",
            "The postings of its ledger, in order.",
        )
        .by(READERS)
        .takes(month())
        .numbered::<wire::Posting>()
        .asks(postings),
        Operation::get("/v1/accounts/{account}/holds", "list-holds", "Its sessions, by name.")
            .by(READERS)
            .takes(Parameter::one_of("state", &["open", "ended"], "Only those that are open, or have ended."))
            .page::<wire::Hold>()
            .asks(holds),
        Operation::get(
            "/v1/accounts/{account}/deferrals",
            "list-deferrals",
            "What was paid for terms and is not all earned; a master's with its members'.",
        )
        .by(READERS)
        .page::<wire::Deferral>()
        .asks(deferrals),
        Operation::get(
            "/v1/journal",
            "export-journal",
            "The postings of accounts, by time, for a general ledger; `Link` has the next accounts.",
        )
        .by(BOOKKEEPERS)
        .takes(Parameter::one_of("format", &["csv", "hledger"], "CSV when left out."))
        .takes(Parameter::text::<wire::Month>(
            "month",
            "The month, by the clock of `zone`; all time when left out.",
        ))
        .takes(Parameter::text::<wire::ZoneName>("zone", "The wall clock of its times; UTC when left out."))
        .part()
        .answers(200, Form::Text("text/csv; charset=utf-8"))
        .asks(export),
    ]
}

/// The month of a parameter, on the account's calendar.
pub(crate) fn month_of(account: &Account, asked: &Asked, name: &str) -> Option<Span> {
    let wire::Month(first): wire::Month = asked.parameter(name)?;
    Some(span_of(account, first))
}

pub(crate) fn span_of(account: &Account, first: Date) -> Span {
    let zone = &account.head.zone;
    zone.cycle(Cycle::Month, zone.midnight(first))
}

fn balance(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let version = service.version_of(asked.path("account"))?;
    let (_, account) = asked.account(service)?;
    Ok(Reply::json(200, wire::Balance::of(account)).of_version(version))
}

fn statement(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (_, account) = asked.account(service)?;
    let after: usize = asked.after()?.unwrap_or_default();
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let span = match (month_of(account, asked, "month"), moment("from"), moment("to")) {
        (None, None, None) => None,
        (month, from, to) => {
            let all = month.unwrap_or(Span { start: account.head.opened, end: Instant::MAX });
            let start = from.unwrap_or(all.start).max(all.start);
            Some(Span { start, end: to.unwrap_or(all.end).min(all.end) })
        }
    };
    let statement = wire::Statement::of(account, span);
    let statement = statement.map_err(|_| Answer::problem("out-of-range", 422, "a sum does not fit"))?;
    Ok(Reply::json(200, statement.part(after, asked.limit())))
}

fn ledger(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (_, account) = asked.account(service)?;
    let all = wire::LedgerBalance::all(account);
    asked.page(all.into_iter().map(|one| (one.ledger.clone(), one)), |one| one)
}

fn postings(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (_, account) = asked.account(service)?;
    let month = month_of(account, asked, "month");
    let numbered = account.ledger.postings().iter().enumerate().map(|(at, posting)| (at + 1, posting));
    let numbered = numbered.filter(|(_, posting)| month.is_none_or(|month| month.contains(posting.at)));
    asked.page(numbered.map(|(number, posting)| (number, (number, posting))), |(number, posting)| {
        wire::Posting::of(number, posting)
    })
}

fn holds(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (group, account) = asked.account(service)?;
    let payer = group.get(account.head.payer()).unwrap_or(account);
    let open = asked.query("state").map(|state| state == "open");
    let holds = payer.holds.of(&account.head.id);
    let holds = holds.filter(|hold| open.is_none_or(|open| hold.ended.is_none() == open));
    asked.page(holds.map(|hold| (hold.id.clone(), hold)), |hold| wire::Hold::of(&account.head, hold))
}

fn deferrals(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (group, account) = asked.account(service)?;
    let all = wire::Deferral::all(group, account);
    let key = |one: &wire::Deferral| format!("{} {} {}", one.account, one.subscription, one.period.start);
    let mut all: Vec<(String, wire::Deferral)> = all.into_iter().map(|one| (key(&one), one)).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    asked.page(all.into_iter(), |one| one)
}

/// The journal of so many accounts, by name; the next ones are another page.
fn export(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let zone = asked.parameter::<wire::ZoneName>("zone").map_or_else(Zone::utc, |zone| zone.0);
    let month = asked.parameter::<wire::Month>("month");
    let month = month.map(|month| zone.cycle(Cycle::Month, zone.midnight(month.0)));
    let after: String = asked.after()?.unwrap_or_default();
    let mut names: Vec<String> =
        service.accounts(&after, asked.limit() + 1)?.into_iter().map(|row| row.account).collect();
    let has_next = names.len() > asked.limit();
    names.truncate(asked.limit());
    let mut all: Vec<Booked> = Vec::new();
    for name in &names {
        let (_, account) = asked.named(service, name)?;
        all.extend(journal::booked(std::iter::once(account), &zone, Instant::MAX));
    }
    all.retain(|one| month.is_none_or(|month| month.contains(one.posting.at)));
    all.sort_by(|one, other| {
        (one.posting.at, &one.account, one.number).cmp(&(other.posting.at, &other.account, other.number))
    });
    let next = names.last().filter(|_| has_next).map(|last| {
        let kept = asked.query.iter().filter(|(name, _)| name != "after");
        let kept = kept.map(|(name, value)| format!("{name}={}&", encoded(value)));
        format!("/v1/journal?{}after={}", kept.collect::<String>(), encoded(last))
    });
    Ok(match asked.query("format") {
        Some("hledger") => Reply::text("text/plain; charset=utf-8", journal::hledger(&all), next),
        _ => Reply::text("text/csv; charset=utf-8", journal::csv(&all), next),
    })
}

/// A value of a parameter, percent-encoded.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
