//! What time it is: the system's, or that of a test clock, which stands until it is told to advance.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::operation::{Body, Described, EVERYONE, OPERATOR, Operation};
use farebox_api::{Moment, read_body};
use farebox_service::Service;
use farebox_store::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// When the store fails.
    pub fn catch_up(&self, service: &mut Service) -> Result<(), StoreError> {
        match self {
            Clock::System => advance_to(service, Timestamp::now()),
            // What was ordered at this moment may be due at once.
            Clock::Test => service.advance(service.clock()),
        }
    }
}

fn advance_to(service: &mut Service, until: Timestamp) -> Result<(), StoreError> {
    if until <= service.clock() {
        return Ok(());
    }
    service.advance(until)
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/clock", "show-clock", "The moment that everything due has been done up to.")
            .by(EVERYONE)
            .one::<Shown>()
            .asks(|service, asked| Ok(shown(service, asked))),
        Operation::post("/v1/clock/advance", "advance-clock", "Moves a test clock, and does what falls due.")
            .by(OPERATOR)
            .once()
            .body(Body::Json(Described::of::<Until>()))
            .refuses(&[(409, "clock-is-real"), (409, "clock-not-advanced")])
            .one::<Shown>()
            .asks(advance),
    ]
}

/// What time it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Clock)]
struct Shown {
    /// The moment that everything due has been done up to.
    at: String,
    /// `system` or `test`.
    kind: &'static str,
    /// The retention horizon: usage timed before this moment that comes is in quarantine, and what was counted of before
    /// stays as it is. `null`: there is none.
    usage_from: Option<String>,
}

fn shown(service: &Service, asked: &Asked) -> Reply {
    let kind = match asked.clock {
        Clock::System => "system",
        Clock::Test => "test",
    };
    let usage_from = service.horizon().map(|at| at.to_string());
    Reply::json(200, Shown { at: service.clock().to_string(), kind, usage_from })
}

/// How far a test clock goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClockAdvance)]
struct Until {
    /// The moment that it stands at then.
    until: Moment,
}

fn advance(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    if asked.clock == Clock::System {
        let detail = "this server has the system's clock; start one with a test clock";
        return Err(Answer::problem("clock-is-real", 409, detail));
    }
    let Until { until: Moment(at) } = read_body(&asked.body).map_err(Answer::mistaken)?;
    if at < service.clock() {
        let now = service.clock();
        let detail = format!(
            "the clock stands at {now}, and {at} is before that: time goes forward alone; say {now} or later"
        );
        return Err(Answer::problem("clock-not-advanced", 409, &detail));
    }
    service.move_to(at)?;
    Ok(shown(service, asked))
}
