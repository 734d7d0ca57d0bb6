//! What time it is: the system's, or that of a test clock, which stands until it is told to advance.

use crate::answer::{Answer, problem};
use crate::engine::Engine;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use farebox_api::FieldMistake;
use farebox_service::{Failed, Service};
use farebox_store::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The system's. It never goes back: where the system's does, it stands.
    System,
    /// A test clock: as the service has it.
    Test,
}

impl Clock {
    /// Does what has fallen due by now.
    ///
    /// # Errors
    /// When the store fails, or a settlement does not fit.
    pub fn catch_up(&self, service: &mut Service) -> Result<(), StoreError> {
        match self {
            Clock::System => advance_to(service, Timestamp::now()),
            Clock::Test => Ok(()),
        }
    }
}

fn advance_to(service: &mut Service, until: Timestamp) -> Result<(), StoreError> {
    if until <= service.clock() {
        return Ok(());
    }
    service.advance(until).map_err(|failed| match failed {
        Failed::Store(error) => error,
        Failed::Refused(refusal) => StoreError::System {
            place: "the schedule".to_owned(),
            found: format!("what is due cannot be settled: {refusal}"),
        },
    })
}

#[derive(Serialize)]
struct Shown {
    /// The moment that everything due has been done up to.
    at: String,
    /// `system` or `test`.
    kind: &'static str,
}

pub(crate) async fn show(State(engine): State<Engine>) -> Response {
    let kind = match engine.clock() {
        Clock::System => "system",
        Clock::Test => "test",
    };
    match engine.ask(|service| service.clock()).await {
        Ok(at) => Answer::json(200, &Shown { at: at.to_string(), kind }).into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    until: String,
}

pub(crate) async fn advance(State(engine): State<Engine>, body: Bytes) -> Response {
    if *engine.clock() == Clock::System {
        return problem(
            "clock-is-real",
            409,
            "this server has the system's clock; start one with a test clock",
        );
    }
    let wrong = |field: &str, found: String| {
        let expected = "an object with a moment: {\"until\": \"2026-02-01T00:00:00+08:00\"}";
        Answer::mistaken(vec![FieldMistake::new(field, found, expected)]).into_response()
    };
    let until = match serde_json::from_slice::<Until>(&body) {
        Ok(Until { until }) => until,
        Err(error) => return wrong("", error.to_string()),
    };
    let Ok(at) = until.parse::<Timestamp>() else { return wrong("/until", format!("\"{until}\"")) };
    let advanced = engine.ask(move |service| {
        if at < service.clock() {
            return Err(format!("the clock stands at {}", service.clock()));
        }
        advance_to(service, at).map(|()| service.clock()).map_err(|error| error.to_string())
    });
    match advanced.await {
        Ok(Ok(at)) => Answer::json(200, &Shown { at: at.to_string(), kind: "test" }).into_response(),
        Ok(Err(found)) => problem("clock-not-advanced", 409, &found),
        Err(unavailable) => unavailable.into_response(),
    }
}
