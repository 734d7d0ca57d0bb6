//! Commands about an account: every verb of the book language (docs/commands.md).

use crate::answer::{Answer, problem};
use crate::engine::Engine;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use farebox_api::{Problem, Wish};
use farebox_core::calendar::Zone;
use farebox_service::{Decided, Failed, Service};
use farebox_store as store;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// The most characters of an Idempotency-Key.
const KEY_CHARS_MAX: usize = 200;

#[derive(Serialize)]
struct Done<'a> {
    account: &'a str,
    /// When it was recorded, and from when it counts unless it says so itself.
    recorded_at: String,
}

/// Decides a command. With an `Idempotency-Key`, the first answer is given again.
pub(crate) async fn execute(
    State(engine): State<Engine>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) if !key.is_empty() && key.len() <= KEY_CHARS_MAX => Some(key.to_owned()),
        Some(_) => {
            let expected = format!("an Idempotency-Key of 1 to {KEY_CHARS_MAX} plain characters");
            return problem("bad-idempotency-key", 400, &expected);
        }
    };
    let wish = match Wish::read(&body) {
        Ok(wish) => wish,
        Err(mistakes) => return Answer::mistaken(mistakes).into_response(),
    };
    let hash = xxh3_64(&[account.as_bytes(), b"\n", &body].concat());
    let written = String::from_utf8_lossy(&body).into_owned();
    let answered = engine.ask(move |service| {
        let Some(key) = key else { return decide(service, &account, wish, &written) };
        match service.answer(&key) {
            Ok(Some(known)) if known.wish == hash => Answer::from_bytes(&known.bytes).unwrap_or_else(|| {
                Answer::of(&Problem::new("answer-lost", 500, "the answer cannot be read"))
            }),
            Ok(Some(_)) => Answer::of(&Problem::new(
                "idempotency-key-reused",
                422,
                "this Idempotency-Key was used for another command; take a new one",
            )),
            Ok(None) => {
                let answer = decide(service, &account, wish, &written);
                // What failed may be tried again under the same key.
                if answer.status < 500 {
                    let (at, bytes) = (service.clock(), answer.to_bytes());
                    service.keep_answer(store::Answer { key, wish: hash, at, bytes });
                }
                answer
            }
            Err(error) => Answer::of(&Problem::new(error.code(), 503, error.to_string())),
        }
    });
    match answered.await {
        Ok(answer) => answer.into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

fn decide(service: &mut Service, account: &str, wish: Wish, written: &str) -> Answer {
    let at = service.clock();
    let command = match wish.to_core(account.to_owned(), at) {
        Ok(command) => command,
        Err(mistakes) => return Answer::mistaken(mistakes),
    };
    match service.execute(&command, Decided { actor: "api", command: written, at }) {
        Ok(_) => Answer::json(200, &Done { account, recorded_at: at.to_string() }),
        Err(Failed::Refused(refusal)) => {
            let group = service.group_of(account).ok().flatten();
            let zone = group.and_then(|group| Some(group.get(account)?.head.zone.clone()));
            Answer::of(&Problem::refused(&refusal, account, &zone.unwrap_or_else(Zone::utc)))
        }
        Err(Failed::Store(error)) => Answer::of(&Problem::new(error.code(), 503, error.to_string())),
    }
}
