//! Runs books: golden scenarios, and the books of `farebox bill`.
//!
//! ```text
//! book, catalogues ──prepare──► steps in order ──run──► facts ──► state ──report──► answers
//!                                   usage files ──► counters ┘
//! ```

mod convert;
pub mod golden;
pub mod prepare;
mod query;
pub mod report;
pub mod run;
mod usage;

pub use query::{QUESTIONS, explained, find_line};
pub use usage::{EventBehind, InQuarantine, Quarantine};
