//! Events of usage as they were kept: those of an account, those behind a line, and what nothing takes.

use crate::accounts::find;
use crate::answer::{Answer, Reply};
use crate::asked::{Asked, bill_of_line, missing};
use crate::operation::{CURSOR, Operation, Parameter, READERS};
use crate::standing::STAFF;
use farebox_api::{self as wire, AccountEvent, Unbilled, UsageEvent};
use farebox_core::bill::Line;
use farebox_core::engine::{is_behind, unrouted, why_unbilled};
use farebox_core::metering::{Event, Metering, Problem};
use farebox_service::{Events, Known, NotErased, Place, Service};

/// What is told of each event of an account that is erased.
const ERASED: &str =
    "its account is erased: whether it was billed cannot be told any more; the lines of its bills stay";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/accounts/{account}/events",
            "list-events",
            "Its usage, event by event, as it came, with what is in quarantine. A page may be short and have a next one.",
        )
        .by(READERS)
        .takes(Parameter::text::<wire::Moment>("from", "Only what was used at this moment or later."))
        .takes(Parameter::text::<wire::Moment>("to", "Only what was used before this moment."))
        .takes(Parameter::text::<wire::Text>("type", "Only events of this type."))
        .takes(Parameter::one_of("billed", &["true", "false"], "Only what is billed or free of charge, or what is not; neither is known of an erased account."))
        .page::<AccountEvent>()
        .asks(of_account),
        Operation::get(
            "/v1/lines/{line}/events",
            "list-line-events",
            "The events that count now for what a line charges for, as they came: with what came or was revised after it was posted, and without what was voided since. A page may be short and have a next one.",
        )
        .by(READERS)
        .page::<UsageEvent>()
        .asks(of_line),
        Operation::get(
            "/v1/unbilled",
            "list-unbilled",
            "Usage that meters have counted and nothing takes, by account: `limit` accounts are looked at for a page.",
        )
        .by(STAFF)
        .takes(Parameter::text::<wire::Name>("account", "Only that of this account."))
        .page::<Unbilled>()
        .asks(of_nobody),
    ]
}

/// The place after which a page begins.
fn after(asked: &Asked) -> Result<Option<Place>, Answer> {
    let Some(text) = asked.query("after") else { return Ok(None) };
    let place = || {
        let (block, index) = text.split_once('-')?;
        Some(Place { block: block.parse().ok()?, index: index.parse().ok()? })
    };
    place().map(Some).ok_or_else(|| asked.wrong("after", CURSOR))
}

fn next(found: &Events) -> Option<String> {
    found.next.map(|place| format!("{}-{}", place.block, place.index))
}

fn of_account(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("account");
    asked.account(service)?;
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let (from, to) = (moment("from"), moment("to"));
    let is_billed = asked.query("billed").map(|billed| billed == "true");
    // What its events were counted as went with their attributes.
    let is_erased = service.erasure(name).is_some();
    let why = |known: &Known<'_>, event: &Event<'_>, set_aside: Option<&Problem>| {
        let unbilled = || why_unbilled(known.group, known.catalogues, &known.metering, event);
        set_aside.cloned().or_else(unbilled)
    };
    let found = service.events_and_set_aside(
        name,
        after(asked)?,
        asked.limit(),
        &mut |known, event, set_aside| {
            from.is_none_or(|from| event.time >= from)
                && to.is_none_or(|to| event.time < to)
                && asked.query("type").is_none_or(|kind| event.kind == kind)
                && is_billed
                    .is_none_or(|billed| !is_erased && why(known, event, set_aside).is_none() == billed)
        },
    )?;
    let next = next(&found);
    let Some(known) = service.known(name)? else { return Err(missing("account", name)) };
    let items = found.events.iter().map(|one| {
        let event = one.usage.event();
        let reason = if is_erased {
            Some((NotErased::ERASED.to_owned(), ERASED.to_owned()))
        } else {
            why(&known, &event, one.set_aside.as_ref())
                .map(|problem| (problem.code().to_owned(), problem.sentence()))
        };
        let (code, sentence) = reason.unzip();
        AccountEvent { event: UsageEvent::of(&event), code, sentence }
    });
    Ok(asked.part(items.collect(), next))
}

fn of_line(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("line");
    let (_, bill) =
        find(service, asked, bill_of_line(name).unwrap_or_default())?.ok_or_else(|| missing("line", name))?;
    let line = bill.lines.iter().find(|line| line.id == name).cloned();
    let line = line.ok_or_else(|| missing("line", name))?;
    let mut locating: Option<Metering> = None;
    let found = service.events(&line.account, after(asked)?, asked.limit(), &mut |known, event| {
        may_be_behind(&line, event) && {
            let locating = locating.get_or_insert_with(|| known.metering.empty());
            let places = locating.locate(event).unwrap_or_default();
            places.iter().any(|(lane, span, scope)| {
                is_behind(known.group, known.catalogues, &line, lane, *span, scope)
            })
        }
    })?;
    let items = found.events.iter().map(|one| UsageEvent::of(&one.usage.event())).collect();
    Ok(asked.part(items, next(&found)))
}

/// Whether an event's times can be in a line's: a first look that costs nothing.
fn may_be_behind(line: &Line, event: &Event<'_>) -> bool {
    let first = event.start.unwrap_or(event.time).min(event.time);
    line.key.is_some() && event.time >= line.period.start && first < line.period.end
}

fn of_nobody(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let names: Vec<String> = match asked.query("account") {
        Some(name) => {
            asked.named(service, name)?;
            vec![name.to_owned()]
        }
        None => {
            let after: String = asked.after()?.unwrap_or_default();
            service.accounts(&after, asked.limit() + 1)?.into_iter().map(|row| row.account).collect()
        }
    };
    let mut items = Vec::new();
    for name in names.iter().take(asked.limit()) {
        let Some(known) = service.known(name)? else { continue };
        let until = known.at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(known.at);
        let found = unrouted(known.group, known.catalogues, &known.metering, name, until);
        let mut found: Vec<Unbilled> = found.iter().filter(|one| one.events != 0).map(Unbilled::of).collect();
        let place = |one: &Unbilled| (one.catalogue.clone(), one.meter.clone(), one.period.start.clone());
        found.sort_by_cached_key(|one| {
            (place(one), one.project.clone(), one.application.clone(), one.group.clone())
        });
        items.extend(found);
    }
    let next = (names.len() > asked.limit()).then(|| names[asked.limit() - 1].clone());
    Ok(asked.part(items, next))
}
