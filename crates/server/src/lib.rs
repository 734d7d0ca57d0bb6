//! The HTTP server: what a [`Service`](farebox_service::Service) can do, under `/v1`.
//!
//! One thread owns the service ([`engine`]); handlers hand it closures and wait. It takes what has come in meanwhile,
//! decides it in order, commits once, and only then lets the answers go.

mod accounts;
mod answer;
mod catalogues;
mod clock;
mod commands;
pub mod engine;
mod usage;

pub use catalogues::parse_all;
pub use clock::Clock;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use engine::Engine;

/// The most bytes of a body, except of usage.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of usage in one request.
const USAGE_BYTES_MAX: usize = 16 << 20;

/// All routes.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/v1/catalogues", get(catalogues::list).post(catalogues::publish))
        .route("/v1/accounts/{account}", get(accounts::one))
        .route("/v1/accounts/{account}/bills", get(accounts::bills))
        .route("/v1/accounts/{account}/commands", post(commands::execute))
        .route("/v1/bills/{bill}", get(accounts::bill))
        .route("/v1/usage", post(usage::receive).layer(DefaultBodyLimit::max(USAGE_BYTES_MAX)))
        .route("/v1/usage/void", post(usage::void))
        .route("/v1/clock", get(clock::show))
        .route("/v1/clock/advance", post(clock::advance))
        .fallback(|| async { answer::not_found("there is nothing under this address") })
        .method_not_allowed_fallback(|| async {
            answer::problem("method-not-allowed", 405, "this address does not know this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(engine)
}

/// Ready when the engine answers.
async fn ready(State(engine): State<Engine>) -> Response {
    match engine.ask(|_| ()).await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}
