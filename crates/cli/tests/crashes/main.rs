//! A real server is killed at random moments of ingest, commands, settlement and its own start. A client asks again
//! what was not answered. In the end nothing is lost, nothing is there twice, and no cent differs.
//!
//! More kills: `scripts/soak`, or `FAREBOX_KILLS=500 cargo test -p farebox --test crashes`; other histories, from a
//! seed on: `FAREBOX_KILLS_FIRST=5000000`.

#[path = "../common/books.rs"]
mod books;
mod client;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "what came of a history is found here in another way")]
#[path = "../../../scenario/tests/oracle/compare.rs"]
mod compare;
#[path = "../../../scenario/tests/histories/mod.rs"]
mod histories;
mod history;
#[allow(dead_code, reason = "the tests ask for less than the binary")]
#[path = "../../src/client.rs"]
mod http;
mod ingest;
#[path = "../../../scenario/tests/oracle/packages.rs"]
mod packages;
mod scenarios;
#[path = "../common/server.rs"]
mod server;
#[path = "../../../scenario/tests/oracle/sessions.rs"]
mod sessions;
