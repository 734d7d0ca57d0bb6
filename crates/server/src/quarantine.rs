//! Usage that cannot be billed as it is: listed, looked at again, mended, discarded; and usage taken back.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::operation::{Body, CURSOR, Described, Operation, Parameter};
use farebox_api::{
    self as wire, DiscardedUsage, FieldMistake, QuarantinedUsage, Role, UsageEvent, UsageIdentity,
    UsageStanding, read_body,
};
use farebox_core::metering::Problem;
use farebox_service::{Closed, Decided, Quarantined, Service, Standing};
use farebox_store::usage::Usage;
use farebox_store::{Seen, StoreError};
use farebox_text::import::{EventRow, read_events};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// Those of the vendor's who see usage of every account, and who sends it.
const SENDERS_AND_STAFF: &[Role] = &[Role::Operator, Role::Finance, Role::Support, Role::Integrator];
/// Who sends usage.
const SENDERS: &[Role] = &[Role::Operator, Role::Integrator];
/// The most pieces that are looked at for one page: past that it is shorter, and the next one goes on.
const LOOKED_AT_MAX: usize = 20_000;

pub(crate) fn operations() -> Vec<Operation> {
    let (of_time, no_piece) = (Parameter::text::<wire::Moment>, &[(404, "unknown-usage")]);
    vec![
        Operation::get(
            "/v1/quarantine",
            "list-quarantine",
            "Usage that cannot be billed as it is, by group and arrival. A page may be short and have a next one.",
        )
        .by(SENDERS_AND_STAFF)
        .takes(Parameter::text::<wire::Name>("account", "Only that of this account."))
        .takes(Parameter::one_of("reason", Problem::CODES, "Only what has this code: docs/errors.md."))
        .takes(Parameter::text::<wire::Text>("type", "Only events of this type."))
        .takes(of_time("from", "Only what was used at this moment or later."))
        .takes(of_time("to", "Only what was used before this moment."))
        .page::<QuarantinedUsage>()
        .asks(list),
        Operation::post(
            "/v1/quarantine/mend",
            "mend-usage",
            "Replaces usage in quarantine by a corrected event of the same source and id.",
        )
        .by(SENDERS)
        .once()
        .body(Body::Event)
        .refuses(&[(404, "unknown-usage"), (409, "not-in-quarantine"), (409, Closed::CODE)])
        .one::<UsageStanding>()
        .asks(mend),
        Operation::post(
            "/v1/quarantine/release",
            "release-usage",
            "Looks at usage in quarantine again: whether it can be counted by now.",
        )
        .by(SENDERS)
        .once()
        .body(Body::Json(Described::of::<UsageIdentity>()))
        .refuses(no_piece)
        .one::<UsageStanding>()
        .asks(release),
        Operation::post(
            "/v1/quarantine/discard",
            "discard-usage",
            "Voids usage in quarantine, and what comes later under its identity; of a conflict, what was said first stays.",
        )
        .by(SENDERS)
        .once()
        .body(Body::Json(Described::of::<DiscardedUsage>()))
        .refuses(&[(404, "unknown-usage"), (409, "not-in-quarantine"), (409, Closed::CODE)])
        .one::<Voided>()
        .asks(discard),
        Operation::post(
            "/v1/usage/void",
            "void-usage",
            "Takes usage back by its identity, and what comes later under it.",
        )
        .by(SENDERS)
        .once()
        .body(Body::Json(Described::of::<UsageIdentity>()))
        .refuses(&[(409, Closed::CODE)])
        .one::<Voided>()
        .asks(void),
    ]
}

/// What became of usage that is taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageVoided)]
struct Voided {
    /// Whether there was any usage to take back; what comes later is void too.
    found: bool,
}

fn list(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let after = asked.query("after").map(|text| unhex(text).ok_or_else(|| asked.wrong("after", CURSOR)));
    let after = after.transpose()?;
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let (from, to) = (moment("from"), moment("to"));
    let is_asked = |one: &Quarantined| {
        asked.query("account").is_none_or(|account| one.usage.account == account)
            && asked.query("reason").is_none_or(|code| one.code == code)
            && asked.query("type").is_none_or(|kind| one.usage.kind == kind)
            && from.is_none_or(|from| one.usage.time >= from)
            && to.is_none_or(|to| one.usage.time < to)
    };
    let (mut items, mut looked_at, mut last, mut next) = (Vec::new(), 0, None, None);
    service.quarantine(asked.query("account"), after.as_deref(), &mut |one| {
        if items.len() == asked.limit() || looked_at == LOOKED_AT_MAX {
            next = last.take();
            return Seen::Enough;
        }
        looked_at += 1;
        last = Some(hex(&one.key));
        if is_asked(&one) {
            items.push(shown(one));
        }
        Seen::More
    })?;
    Ok(asked.part(items, next))
}

fn shown(one: Quarantined) -> QuarantinedUsage {
    QuarantinedUsage {
        event: UsageEvent::of(&one.usage.event()),
        received_at: one.received_at.to_string(),
        code: one.code,
        sentence: one.sentence,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok());
    if digits { pairs.collect() } else { None }
}

fn unknown(source: &str, id: &str) -> Answer {
    let detail = format!("there is no usage {source}/{id}, or it is void");
    Answer::problem("unknown-usage", 404, &detail)
}

fn not_there(source: &str, id: &str) -> Answer {
    let detail = format!("{source}/{id} is billed, and not in quarantine; /v1/usage/void takes it back");
    Answer::problem("not-in-quarantine", 409, &detail)
}

/// Usage that stays as it was counted is neither replaced nor taken back.
fn not_closed(service: &mut Service, source: &str, id: &str) -> Result<(), Answer> {
    let Some(closed) = service.closed(source, id)? else { return Ok(()) };
    Err(Answer::problem(Closed::CODE, 409, &format!("{source}/{id}: {closed}")))
}

/// The one event of a body.
fn event(asked: &Asked) -> Result<Usage, Answer> {
    let (mut events, mut wrong) = (Vec::new(), Vec::new());
    read_events(&asked.body, &mut |row| match row {
        EventRow::Event(event) => events.push(Usage::of(&event)),
        EventRow::Wrong { told, .. } => {
            let found = format!("{} ({})", told.excerpt, told.reason.sentence);
            wrong.push(FieldMistake::new("", found, "one CloudEvent that can be read"));
        }
    });
    let (rows, last) = (events.len() + wrong.len(), events.pop());
    match last.filter(|_| rows == 1) {
        Some(usage) => Ok(usage),
        None if rows == 1 => Err(Answer::mistaken(wrong)),
        None => {
            let found = format!("{rows} events");
            Err(Answer::mistaken(vec![FieldMistake::new("", found, "one CloudEvent")]))
        }
    }
}

fn mend(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let usage = event(asked)?;
    let (source, id) = (usage.source.as_str(), usage.id.as_str());
    if service.look_again(source, id)? == Standing::NotThere {
        return Err(unknown(source, id));
    }
    not_closed(service, source, id)?;
    // Digits stay as they were written. Whatever a reader of events lets pass, what is kept is JSON.
    let written = String::from_utf8_lossy(&asked.body);
    let written = written.trim_start_matches('\u{feff}').trim();
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(written).is_ok();
    let event = if is_json { written.to_owned() } else { json!(written).to_string() };
    let command = format!("{{\"command\":\"mend-usage\",\"event\":{event}}}");
    let decided = Decided { actor: asked.actor(), command: &command, at: service.clock() };
    let standing = service.mend(&usage.event(), decided)?.ok_or_else(|| not_there(source, id))?;
    shown_standing(standing, source, id)
}

fn shown_standing(standing: Standing, source: &str, id: &str) -> Result<Reply, Answer> {
    let (state, reason) = match standing {
        Standing::NotThere => return Err(unknown(source, id)),
        Standing::Counted => ("counted", None),
        Standing::Unbilled(problem) => ("unbilled", Some((problem.code().to_owned(), problem.sentence()))),
        Standing::Quarantined(one) => ("quarantined", Some((one.code, one.sentence))),
    };
    let (code, sentence) = reason.unzip();
    Ok(Reply::json(200, UsageStanding { state: state.to_owned(), code, sentence }))
}

fn release(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let UsageIdentity { source, id } = read_body(&asked.body).map_err(Answer::mistaken)?;
    let standing = service.look_again(&source, &id)?;
    shown_standing(standing, &source, &id)
}

fn discard(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let DiscardedUsage { source, id, reason } = read_body(&asked.body).map_err(Answer::mistaken)?;
    let command =
        json!({"command": "discard-usage", "source": source, "id": id, "reason": reason.0}).to_string();
    let decided = Decided { actor: asked.actor(), command: &command, at: service.clock() };
    let standing = service.look_again(&source, &id)?;
    if !standing.is_conflict() {
        not_closed(service, &source, &id)?;
    }
    match standing {
        Standing::NotThere => Err(unknown(&source, &id)),
        Standing::Counted => Err(not_there(&source, &id)),
        Standing::Quarantined(_) | Standing::Unbilled(_) => {
            service.discard(&source, &id, decided)?;
            Ok(Reply::json(200, Voided { found: true }))
        }
    }
}

fn void(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let UsageIdentity { source, id } = read_body(&asked.body).map_err(Answer::mistaken)?;
    not_closed(service, &source, &id)?;
    let found = voided(service, asked, &source, &id)?;
    Ok(Reply::json(200, Voided { found }))
}

fn voided(service: &mut Service, asked: &Asked, source: &str, id: &str) -> Result<bool, StoreError> {
    let command = json!({"command": "void-usage", "source": source, "id": id}).to_string();
    let decided = Decided { actor: asked.actor(), command: &command, at: service.clock() };
    let found = service.void(source, id)?;
    service.note_deed(decided)?;
    Ok(found)
}
