//! What the repository promises about itself: crate arrows, the map, the README's commands, links,
//! catalogues, scenarios, and the pages of docs/ that are made from the code.
//!
//! `FAREBOX_UPDATE=1 cargo test -p farebox --test repository` rewrites generated pages.

#[path = "../common/mod.rs"]
mod common;

mod api_page;
mod architecture;
mod commands_page;
mod documents;
mod errors_page;
mod operate_page;
mod scenarios;
mod sources;
mod store_page;
mod stored_format;
mod wire;
