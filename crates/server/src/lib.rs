//! The HTTP server: what a [`Service`](farebox_service::Service) can do, under `/v1`.
//!
//! Every route is an [`operation`]: the router, the OpenAPI document and the tests of roles are made from one list.
//! One thread owns the service ([`engine`]); handlers hand it closures and wait. It takes what has come in meanwhile,
//! decides it in order, commits once, and only then lets the answers go.

pub mod access;
mod accounts;
mod answer;
mod asked;
mod audit;
mod body;
mod brought;
mod catalogues;
mod clock;
mod commands;
mod deeds;
pub mod engine;
mod erasure;
mod events;
mod exports;
mod guard;
mod keys;
mod linger;
mod listen;
pub mod metrics;
mod money;
mod openapi;
mod operation;
mod outlook;
mod page;
mod quarantine;
mod questions;
mod queue;
mod room;
mod schedule;
mod site;
mod standing;
mod traces;
mod usage;
mod watch;

pub use access::{Access, random};
pub use catalogues::{parse_all, parse_intact};
pub use clock::Clock;
pub use deeds::verify_deeds;
pub use listen::{Bounds, serve};
pub use openapi::{Route, document, routes};
pub use site::Site;
pub use traces::{Endpoint, Traces};

use answer::{Answer, Reply};
use asked::Asked;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use engine::Engine;
use farebox_service::{DESK, Service};
use hyper_util::service::TowerToHyperService;
use operation::{Does, Form, Operation};
use std::sync::{Arc, LazyLock};

/// The most bytes of a body, except of usage.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of usage in one request.
const USAGE_BYTES_MAX: usize = 16 << 20;

/// What handlers work with.
struct App {
    engine: Engine,
    access: Access,
}

/// Every route.
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let open = vec![
        Operation::get("/healthz", "is-alive", "Alive.")
            .answers(200, Form::Text("text/plain; charset=utf-8"))
            .handled(|_, _| Box::pin(async { "alive\n".into_response() })),
        Operation::get("/readyz", "is-ready", "Ready to answer.")
            .answers(200, Form::Text("text/plain; charset=utf-8"))
            .refuses(&[(503, "not-ready")])
            .handled(|engine, _| Box::pin(ready(State(engine)))),
        Operation::get("/metrics", "show-metrics", "What the server counts and measures, for Prometheus.")
            .by(&[farebox_api::Role::Operator])
            .answers(200, Form::Text(metrics::MEDIA_TYPE))
            .handled(|engine, _| Box::pin(measured(State(engine)))),
    ];
    let parts = [
        open,
        openapi::operations(),
        keys::operations(),
        catalogues::operations(),
        accounts::operations(),
        commands::operations(),
        erasure::operations(),
        outlook::operations(),
        money::operations(),
        questions::operations(),
        exports::operations(),
        standing::operations(),
        audit::operations(),
        usage_operations(),
        quarantine::operations(),
        events::operations(),
        clock::operations(),
        schedule::operations(),
    ];
    parts.into_iter().flatten().collect()
});

fn usage_operations() -> Vec<Operation> {
    use farebox_api::Role::{Integrator, Operator};
    use operation::Body;
    let says = "Receives usage as CloudEvents 1.0: an object, an array, or one a line.";
    let usage = Operation::post("/v1/usage", "send-usage", says)
        .by(&[Operator, Integrator])
        .body(Body::Usage)
        .one::<usage::Summary>()
        .handled(|engine, asked| Box::pin(usage::receive(engine, asked)));
    vec![Operation { bytes_max: USAGE_BYTES_MAX, ..usage }]
}

/// What a watcher asks of a server: `/metrics`, `/healthz` and `/readyz`, without a key. It is to listen where none but
/// watchers come.
pub fn watched(engine: Engine) -> TowerToHyperService<Router> {
    let router = Router::new()
        .route("/metrics", get(measured))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(engine);
    TowerToHyperService::new(router)
}

/// It does not wait for the engine: who watches a server is answered most when it is slow.
async fn measured(State(engine): State<Engine>) -> Response {
    let (jobs_waiting, jobs_waiting_max) = engine.waiting();
    let clock = (*engine.clock() == Clock::System).then(jiff::Timestamp::now);
    let now = metrics::Now {
        jobs_waiting,
        jobs_waiting_max,
        room: engine.room(),
        clock,
        spans: engine.traces().map(Traces::counts),
    };
    ([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], engine.metrics().page(&now)).into_response()
}

/// Does what an operation says. `known`: the versions that the client knows.
async fn done(
    engine: &Engine,
    operation: &'static Operation,
    asked: Arc<Asked>,
    known: Option<HeaderValue>,
) -> Response {
    let work = match operation.does {
        Does::Handles(handler) => return handler(engine.clone(), asked).await,
        Does::Asks(work) => work,
    };
    if let Some(first) = operation.first {
        let own = asked.clone();
        match tokio::task::spawn_blocking(move || first(&own)).await {
            Ok(Ok(())) => {}
            Ok(Err(answer)) => return answer.into_response(),
            Err(error) => return answer::problem("not-read", 500, &error.to_string()),
        }
    }
    let own = asked.clone();
    let work = move |service: &mut Service| {
        own.admit(service)?;
        if operation.once { once(service, &own, operation, work) } else { work(service, &own) }
    };
    // Text also says what price lists say.
    let is_of_group = operation.is_of_group && !asked.is_for_people;
    let reply = match asked.whose_group().filter(|_| is_of_group) {
        Some(account) => engine.look(account.to_owned(), work).await,
        None if operation.asks => engine.question(work).await,
        None => engine.ask(work).await,
    };
    asked.is_durable(reply.is_ok());
    match reply {
        Ok(Ok(reply)) => reply.into_response(known.as_ref().and_then(|tags| tags.to_str().ok())),
        Ok(Err(answer)) => answer.into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

/// Does something once for an `Idempotency-Key` of the caller's: the first answer is given again.
fn once(
    service: &mut Service,
    asked: &Asked,
    operation: &Operation,
    work: fn(&mut Service, &Asked) -> Result<Reply, Answer>,
) -> Result<Reply, Answer> {
    let Some(key) = &asked.idempotency_key else { return work(service, asked) };
    // No account has this name: these are no keys of commands.
    let key = format!("{DESK}/{}/{key}", asked.actor());
    // What the address names, and the body says.
    let names: String = asked.path.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let wished = asked.wished(&[operation.id.as_bytes(), b"\n", names.as_bytes()]);
    if let Some(known) = service.answer(&key)? {
        return match Answer::from_bytes(&known.bytes) {
            Some(answer) if wished.is(known.wish) => Ok(Reply::kept(answer)),
            Some(_) => {
                let detail = "this Idempotency-Key was used for something else; take a new one";
                Err(Answer::problem("idempotency-key-reused", 422, detail))
            }
            None => Err(Answer::problem("answer-lost", 500, "the answer cannot be read")),
        };
    }
    let answer = work(service, asked)?.into_answer();
    let kept = operation.kept.map_or_else(|| answer.to_bytes(), |kept| kept(&answer).to_bytes());
    let (at, bytes) = (service.clock(), kept);
    service.keep_answer(farebox_store::Answer { key, wish: wished.said, at, bytes });
    Ok(Reply::kept(answer))
}

/// Ready when the engine answers.
async fn ready(State(engine): State<Engine>) -> Response {
    match engine.ask(|_| ()).await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}
