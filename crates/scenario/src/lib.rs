//! Runs books: golden scenarios, and the books of `farebox bill`.
//!
//! ```text
//! book, catalogues ──prepare──► steps in order ──run──► facts ──► state ──► answers
//!                                   usage files ──► counters ┘
//! ```

mod convert;
pub mod golden;
pub mod prepare;
pub mod run;
mod usage;
