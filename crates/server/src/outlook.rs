//! What would be: the upcoming bill, quotes; and what months have cost. Nothing here happens.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, missing};
use crate::commands::with_meant;
use crate::keys::check_command;
use crate::money::span_of;
use crate::operation::{Body, Described, Operation, Parameter, ParameterForm, READERS};
use crate::schedule::waits;
use crate::standing::{known, known_as_of_now};
use farebox_api::{self as wire, NewQuote, Problem};
use farebox_core::account::Group;
use farebox_core::bill::Line;
use farebox_core::calendar::{Cycle, Instant, Span, Zone};
use farebox_core::cost::By;
use farebox_core::engine::{Command, Fact, Refusal, counting, decide, preview};
use farebox_core::metering::Metering;
use farebox_service::{Known, NotErased, Service, Undone};
use std::borrow::Cow;

/// The most months of a table of costs.
const MONTHS_MAX: usize = 120;

/// A group with what was decided on it, its usage, and the facts.
type Copied<'k> = (Group, Cow<'k, Metering>, Vec<Fact>);
/// Which command was refused, from 0, and why.
type Refused = (usize, Refusal);

pub(crate) fn operations() -> Vec<Operation> {
    let by = Parameter {
        name: "by",
        says: "What lines are added up by: `project`, `application`, `member`, `group`, `plan` or `tag:NAME`.",
        required: true,
        value: ParameterForm::Pattern {
            pattern: "^(project|application|member|group|plan|tag:[A-Za-z0-9._:-]{1,60})$",
            expected: "project, application, member, group, plan or tag:NAME",
            check: |text| By::parse(text).is_some(),
        },
    };
    vec![
        Operation::get(
            "/v1/accounts/{account}/upcoming",
            "show-upcoming",
            "The bill of the running month: to date, and what it may come to.",
        )
        .by(READERS)
        .decides()
        .one::<wire::Upcoming>()
        .asks(upcoming),
        Operation::post(
            "/v1/accounts/{account}/quotes",
            "make-quote",
            "What commands would charge and give back, such as an order or an `unsubscribe`; nothing happens.",
        )
        .by(READERS)
        .body(Body::Json(Described::of::<NewQuote>()))
        .decides()
        .refuses(&[(409, Undone::CODE), (409, NotErased::ERASED)])
        .one::<wire::Quote>()
        .changes_nothing()
        .asks(quote),
        Operation::get("/v1/accounts/{account}/cost", "show-cost", "What months have cost, added up.")
            .by(READERS)
            .takes(by)
            .takes(Parameter::text::<wire::Month>("from", "The first month; the running one when left out."))
            .takes(Parameter::text::<wire::Month>("to", "The last month, at most 120; `from` when left out."))
            .one::<wire::Cost>()
            .asks(cost),
    ]
}

fn refused(refusal: &Refusal, account: &str, zone: &Zone) -> Answer {
    Answer::of(&Problem::refused(refusal, account, zone))
}

/// The lines of a payer's bill of a month.
fn lines_of(group: &Group, payer: &str, month: Span) -> Vec<Line> {
    let bill = group.get(payer).and_then(|payer| payer.bills.get(&month.start));
    bill.map(|bill| bill.lines.clone()).unwrap_or_default()
}

/// A group at the end of a month if everything goes on as it has.
fn at_month_end(
    known: &Known<'_>,
    group: &Group,
    metering: &Metering,
    payer: &str,
    month: Span,
) -> Result<Group, Refusal> {
    preview::forecast(group, known.catalogues, metering, payer, known.at, &known.late, month)
}

fn upcoming(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let known = known_as_of_now(service, asked)?;
    let name = asked.path("account");
    let account = known.group.get(name).ok_or_else(|| missing("account", name))?;
    let payer = known.group.get(account.head.payer()).unwrap_or(account);
    let (id, zone) = (&payer.head.id, &account.head.zone);
    let month = payer.head.zone.cycle(Cycle::Month, known.at);
    let wrong = |refusal: Refusal| refused(&refusal, name, zone);
    let open = preview::draft(known.group, known.catalogues, &known.metering, id, known.at, &known.late);
    let then = at_month_end(&known, known.group, &known.metering, id, month).map_err(wrong)?;
    let mut to_date = lines_of(known.group, id, month);
    to_date.extend(open.map_err(wrong)?);
    let forecast = lines_of(&then, id, month);
    let span = (month, known.at);
    Ok(Reply::json(200, wire::Upcoming::of(&account.head, &payer.head, span, &to_date, &forecast)))
}

/// Decides commands on a copy of a group: the copy with them, its usage as they divide it, and their facts.
fn on_a_copy<'k>(known: &'k Known<'_>, commands: &[Command]) -> Result<Copied<'k>, Refused> {
    let (mut group, mut all) = (known.group.clone(), Vec::new());
    let mut metering = Cow::Borrowed(&*known.metering);
    for (number, command) in commands.iter().enumerate() {
        let facts = decide(&group, known.catalogues, &metering, command, known.at);
        let facts = facts.map_err(|refusal| (number, refusal))?;
        facts.iter().try_for_each(|fact| group.apply(fact)).map_err(|_| (number, Refusal::OutOfRange))?;
        for moment in counting::cuts(&facts, command.effective_at, known.at) {
            metering.to_mut().end_at(moment);
        }
        all.extend(facts);
        let payer = group.get(&command.account).map_or("", |one| one.head.payer()).to_owned();
        let follows = preview::follow(&mut group, known.catalogues, &metering, &payer, known.at, &known.late);
        for moment in counting::cuts(&follows.map_err(|refusal| (number, refusal))?, known.at, known.at) {
            metering.to_mut().end_at(moment);
        }
    }
    Ok((group, metering, all))
}

fn commands(asked: &Asked, at: Instant) -> Result<Vec<Command>, Answer> {
    let NewQuote { commands } = NewQuote::read(&asked.body).map_err(Answer::mistaken)?;
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for (number, wish) in commands.into_iter().enumerate() {
        // The vendor's may ask what anything would come to; a customer, what it may do.
        if asked.own_tree().is_some() {
            check_command(asked, wish.command.word())?;
        }
        asked.check_dated(&wish)?;
        match wish.to_core(asked.path("account").to_owned(), at) {
            Ok(command) => read.push(command),
            Err(mistakes) => {
                wrong.extend(mistakes.into_iter().map(|one| one.under(&NewQuote::place(number))));
            }
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(Answer::mistaken(wrong)) }
}

fn quote(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let commands = commands(asked, service.clock())?;
    let name = asked.path("account");
    let payer = service.payer_of(name).to_owned();
    let sees_payer = asked.sees(service, &payer);
    crate::erasure::refuse_erased(service, name)?;
    if let Some(undone) = service.undone_of(name).cloned() {
        asked.account(service)?;
        return Err(waits(service, &undone, name));
    }
    let known = known_as_of_now(service, asked)?;
    let head = &known.group.get(name).ok_or_else(|| missing("account", name))?.head;
    let wrong = |(number, refusal): Refused| {
        let problem = match sees_payer {
            true => Problem::refused(&refusal, name, &head.zone),
            false => Problem::refused_to_member(&refusal, name, &head.zone),
        };
        let problem = with_meant(problem, &refusal, known.catalogues, known.at);
        Answer::of(&Problem { field: Some(NewQuote::place(number)), ..problem })
    };
    let (then, metering, facts) = on_a_copy(&known, &commands).map_err(wrong)?;
    let payer_in =
        |group| Some(group).filter(|_| sees_payer).and_then(|group: &Group| Some(group.get(&payer)?.clone()));
    let (before, after) = (payer_in(known.group), payer_in(&then));
    let mut quote = wire::Quote::of(head, known.at, &facts, before.as_ref(), after.as_ref());
    if let Some(payer) = before {
        let month = payer.head.zone.cycle(Cycle::Month, known.at);
        let forecast = |group: &Group, metering: &Metering| {
            let then = at_month_end(&known, group, metering, &payer.head.id, month).ok()?;
            let bill = then.get(&payer.head.id)?.bills.get(&month.start);
            Some(bill.map(|bill| bill.posted).unwrap_or_default().decimal(payer.head.currency))
        };
        (quote.forecast_before, quote.forecast_after) =
            (forecast(known.group, &known.metering), forecast(&then, &metering));
    }
    Ok(Reply::json(200, quote))
}

fn cost(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("account");
    let by_name = asked.query("by").unwrap_or_default().to_owned();
    let words = "project, application, member, group, plan or tag:NAME";
    let by = By::parse(&by_name).ok_or_else(|| asked.wrong("by", words))?;
    let known = known(service, asked)?;
    let account = known.group.get(name).ok_or_else(|| missing("account", name))?;
    let payer = known.group.get(account.head.payer()).unwrap_or(account);
    let zone = &payer.head.zone;
    let first_of =
        |name: &str| asked.parameter::<wire::Month>(name).map(|month| span_of(payer, month.0).start);
    let running = zone.cycle(Cycle::Month, known.at).start;
    let from = first_of("from").or(first_of("to")).unwrap_or(running);
    let to = first_of("to").unwrap_or(from);
    if to < from {
        return Err(asked.wrong("to", "`from` or a later month"));
    }
    let (mut bills, mut at) = (Vec::new(), from);
    while at <= to {
        if bills.len() == MONTHS_MAX {
            return Err(asked.wrong("to", &format!("at most {MONTHS_MAX} months")));
        }
        let month = zone.cycle(Cycle::Month, at);
        let title = zone.date(month.start).strftime("%Y-%m").to_string();
        bills.push((title, payer.bills.get(&month.start).map(Box::as_ref)));
        at = month.end;
    }
    Ok(Reply::json(200, wire::Cost::of(&account.head, &bills, (&by_name, &by), known.catalogues)))
}
