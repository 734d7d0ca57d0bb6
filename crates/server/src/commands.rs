//! Commands about an account: every verb of the book language (docs/commands.md).

use crate::access::lock;
use crate::answer::{Answer, Given, Reply, tag};
use crate::asked::Asked;
use crate::erasure;
use crate::keys::check_command;
use crate::operation::{Body, Described, EVERYONE, Operation};
use crate::schedule;
use farebox_api::command::COMMANDS;
use farebox_api::{Problem, Wish};
use farebox_core::calendar::{Instant, Zone};
use farebox_core::catalog::Catalogue;
use farebox_core::engine::{Catalogues, OrderRefusal, Refusal};
use farebox_service::{Decided, Failed, NotErased, Service, Undone};
use farebox_store as store;
use farebox_text::diagnostic::nearest;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use utoipa::ToSchema;

pub(crate) fn operations() -> Vec<Operation> {
    let says = "Decides a command; `open` makes the account. Which roles may send which: docs/access.md.";
    vec![
        Operation::post("/v1/accounts/{account}/commands", "send-command", says)
            .by(EVERYONE)
            .headers(&["Idempotency-Key", "If-Match"])
            .body(Body::Json(Described::of::<Wish>()))
            .decides()
            .refuses(&[(409, Undone::CODE), (409, NotErased::ERASED)])
            .one::<Done>()
            .asks(execute),
    ]
}

/// What was decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// The account.
    account: String,
    /// When it was recorded, and from when it counts unless it says so itself.
    recorded_at: String,
    /// The version of the account's group with it, as `If-Match` takes it.
    version: u64,
}

/// Decides a command. With an `Idempotency-Key`, the first answer is given again.
fn execute(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let account = asked.path("account");
    let wish = read(asked)?;
    asked.check_dated(&wish)?;
    let payer = service.payer_of(account).to_owned();
    let sees_payer = asked.sees_money_of(service, &payer);
    // Keys of different accounts are different ones, whoever chose them.
    let key = asked.idempotency_key.as_ref().map(|key| format!("{account}/{key}"));
    let wished = asked.wished(&[account.as_bytes(), b"\n"]);
    if let Some(known) = key.as_ref().map(|key| service.answer(key)).transpose()?.flatten() {
        return match Given::from_bytes(&known.bytes) {
            Some(given) if wished.is(known.wish) => {
                lock(&asked.told).is_repeated = true;
                Ok(Reply::kept(given.to(sees_payer)))
            }
            Some(_) => {
                let detail = "this Idempotency-Key was used for another command; take a new one";
                Err(Answer::problem("idempotency-key-reused", 422, detail))
            }
            None => Err(Answer::problem("answer-lost", 500, "the answer cannot be read")),
        };
    }
    let given = decide(service, asked, account, wish)?;
    // What failed may be tried again under the same key, as may what was not decided.
    if let Some(key) = key.filter(|_| given.answer.status < 500) {
        let (at, bytes) = (service.clock(), given.to_bytes());
        service.keep_answer(store::Answer { key, wish: wished.said, at, bytes });
    }
    Ok(Reply::kept(given.to(sees_payer)))
}

/// The wish of a body, if the caller may send it. What he may not send is not looked at further.
pub(crate) fn read(asked: &Asked) -> Result<Wish, Answer> {
    let read = Wish::read(&asked.body);
    let word = match &read {
        Ok(wish) => Some(wish.command.word().to_owned()),
        Err(_) => {
            let body: Option<Value> = serde_json::from_slice(&asked.body).ok();
            let word = body.as_ref().and_then(|body| body["command"].as_str());
            word.filter(|word| COMMANDS.contains(word)).map(str::to_owned)
        }
    };
    if let Some(word) = word {
        lock(&asked.told).word.clone_from(&word);
        check_command(asked, &word)?;
    }
    read.map_err(Answer::mistaken)
}

/// The problem, and which plan that is on sale was probably meant, where it names one that no price list has ever had: as
/// a book is told.
pub(crate) fn with_meant(
    problem: Problem,
    refusal: &Refusal,
    catalogues: &Catalogues,
    at: Instant,
) -> Problem {
    let Refusal::Order(OrderRefusal::UnknownPlan(name)) = refusal else { return problem };
    let plans = |list: &'_ Catalogue| -> Vec<String> {
        let plans = list.products.values().flat_map(|product| product.plans.keys());
        plans.flat_map(|plan| [plan.clone(), format!("{}:{plan}", list.id)]).collect()
    };
    let all: BTreeSet<String> = catalogues.iter().flat_map(plans).collect();
    let is_on_sale = |plan: &&String| catalogues.find_plan(plan, at).is_ok();
    let on_sale = all.iter().filter(is_on_sale).map(String::as_str);
    match nearest(name, on_sale).filter(|_| !all.contains(name)) {
        Some(meant) => Problem { detail: format!("{}; did you mean {meant:?}?", problem.detail), ..problem },
        None => problem,
    }
}

/// Refuses when `If-Match` names another version of the group than it has.
fn check_version(service: &mut Service, asked: &Asked, account: &str) -> Result<(), Answer> {
    let Some(wished) = &asked.if_match else { return Ok(()) };
    let version = service.version_of(account)?;
    let is_there = match wished.trim() {
        "*" => version > 0,
        tags => tags.split(',').any(|one| one.trim() == tag(version)),
    };
    if is_there {
        return Ok(());
    }
    let detail = format!("the group has version {version}; look again, and decide anew");
    Err(Answer::problem("version-changed", 412, &detail))
}

fn decide(service: &mut Service, asked: &Asked, account: &str, wish: Wish) -> Result<Given, Answer> {
    let at = service.clock();
    let command = wish.to_core(account.to_owned(), at).map_err(Answer::mistaken)?;
    match service.go_before(account) {
        Err(Failed::Undone(undone)) => return Err(schedule::waits(service, &undone, account)),
        Err(Failed::Store(error)) => return Err(error.into()),
        Err(Failed::Refused(_) | Failed::Erased(_)) | Ok(()) => {}
    }
    erasure::refuse_erased(service, account)?;
    check_version(service, asked, account)?;
    let written = String::from_utf8_lossy(&asked.body);
    match service.execute(&command, Decided { actor: asked.actor(), command: &written, at }) {
        Ok(_) => {
            let version = service.version_of(account)?;
            let (account, recorded_at) = (account.to_owned(), at.to_string());
            Ok(Answer::json(200, &Done { account, recorded_at, version }).into())
        }
        Err(Failed::Refused(refusal)) => {
            let zone = zone_of(service, account);
            let meant = |problem| Answer::of(&with_meant(problem, &refusal, service.catalogues(), at));
            let answer = meant(Problem::refused(&refusal, account, &zone));
            let to_member = meant(Problem::refused_to_member(&refusal, account, &zone));
            Ok(Given { to_member: Some(to_member).filter(|told| *told != answer), answer })
        }
        Err(Failed::Undone(undone)) => Err(schedule::waits(service, &undone, account)),
        Err(Failed::Erased(erased)) => Err(erasure::is_erased(&erased)),
        Err(Failed::Store(error)) => Err(error.into()),
    }
}

/// The zone of an account; UTC where there is none.
pub(crate) fn zone_of(service: &mut Service, account: &str) -> Zone {
    let group = service.group_of(account).ok().flatten();
    let zone = group.and_then(|group| Some(group.get(account)?.head.zone.clone()));
    zone.unwrap_or_else(Zone::utc)
}
