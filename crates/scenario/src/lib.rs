//! Runs books: golden scenarios, and the books of `farebox bill`.
//!
//! ```text
//! book, catalogues ──prepare──► steps in order ──run──► facts ──► state ──report──► answers
//!                                   usage files ──► counters ┘
//! ```

pub mod golden;
pub mod prepare;
pub mod report;
pub mod run;
mod convert;
mod query;
mod usage;
