//! Erasing an account: its personal values are made unreadable, while others are served.

use crate::access::random;
use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::operation::{OPERATOR, Operation, READERS};
use crate::schedule;
use farebox_api::{self as wire, Problem};
use farebox_service::{Decided, Failed, NotErased, Service, Undone};
use farebox_store::{AccessKey, Erasure};

/// Steps that are done at once; what is left goes on between other work.
const STEPS_AT_ONCE: usize = 16;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/accounts/{account}/erase",
            "erase-account",
            "Makes the personal values of a finished account unreadable, for good: docs/erasure.md.",
        )
        .by(OPERATOR)
        .once()
        .refuses(&[(404, "not-found"), (409, NotErased::IN_USE), (409, Undone::CODE)])
        .one::<wire::Erasure>()
        .asks(erase),
        Operation::get("/v1/accounts/{account}/erasure", "show-erasure", "How far its erasure has come.")
            .by(READERS)
            .one::<wire::Erasure>()
            .asks(show),
    ]
}

fn shown(account: &str, one: Option<&Erasure>) -> wire::Erasure {
    let account = account.to_owned();
    let Some(one) = one else {
        return wire::Erasure { account, state: "none".to_owned(), ..wire::Erasure::default() };
    };
    let state = if one.ended.is_some() { "erased" } else { "erasing" };
    wire::Erasure {
        account,
        state: state.to_owned(),
        actor: Some(one.actor.clone()),
        began_at: Some(one.began.to_string()),
        erased_at: one.ended.map(|at| at.to_string()),
        entries: one.entries,
        blocks: one.blocks,
        events: one.events,
        files: one.files,
        answers: one.answers,
    }
}

fn show(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    asked.account(service)?;
    let account = asked.path("account");
    Ok(Reply::json(200, shown(account, service.erasure(account))))
}

fn erase(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    asked.account(service)?;
    let account = asked.path("account");
    let decided = Decided { actor: asked.actor(), command: "", at: service.clock() };
    let begun = service.erase(account, random()?, decided);
    begun.map_err(|why| not_erased(service, account, why))?;
    revoke_keys(service, asked, account)?;
    for _ in 0..STEPS_AT_ONCE {
        if service.erasure(account).is_none_or(|one| one.ended.is_some()) {
            break;
        }
        // What cannot be done now is tried again between other work.
        if service.erase_some().is_err() {
            break;
        }
    }
    show(service, asked)
}

/// Nobody is let in for it any more, and what its keys are called says nothing.
fn revoke_keys(service: &mut Service, asked: &Asked, account: &str) -> Result<(), Answer> {
    const LABEL: &str = "erased";
    for holder in asked.access.all() {
        let key = holder.key();
        if key.account.as_deref() != Some(account) || (key.revoked.is_some() && key.label == LABEL) {
            continue;
        }
        let revoked = key.revoked.unwrap_or_else(|| service.clock());
        let revoked_by = key.revoked_by.clone().unwrap_or_else(|| asked.actor().to_owned());
        let after = AccessKey {
            label: LABEL.to_owned(),
            revoked: Some(revoked),
            revoked_by: Some(revoked_by),
            ..key.clone()
        };
        service.keep_key(after.clone());
        asked.changes(key, after)?;
    }
    Ok(())
}

fn not_erased(service: &mut Service, account: &str, why: NotErased) -> Answer {
    match why {
        NotErased::NotThere => crate::asked::missing("account", account),
        NotErased::InUse(remains) => {
            let detail = format!("{account} is not finished: {}", remains.join("; "));
            let problem = Problem::new(NotErased::IN_USE, 409, detail);
            Answer::of(&Problem { account: Some(account.to_owned()), ..problem })
        }
        NotErased::Failed(Failed::Undone(undone)) => schedule::waits(service, &undone, account),
        NotErased::Failed(Failed::Store(error)) => error.into(),
        NotErased::Failed(Failed::Erased(erased)) => is_erased(&erased),
        NotErased::Failed(Failed::Refused(refusal)) => {
            let zone = crate::commands::zone_of(service, account);
            Answer::of(&Problem::refused(&refusal, account, &zone))
        }
    }
}

/// That nothing can be wished of an account.
pub(crate) fn is_erased(account: &str) -> Answer {
    let detail = format!("{account} is erased: nothing can be done for it any more");
    let problem = Problem::new(NotErased::ERASED, 409, detail);
    Answer::of(&Problem { account: Some(account.to_owned()), ..problem })
}

/// Refuses where an account is erased, or being erased.
pub(crate) fn refuse_erased(service: &Service, account: &str) -> Result<(), Answer> {
    service.erasure(account).map_or(Ok(()), |_| Err(is_erased(account)))
}
