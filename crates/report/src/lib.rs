//! Questions such as `$ bill acme 2020-01`, and their answers as plain text: the same bytes from a book and a server.
//!
//! ```text
//! words ──subject──► what is asked about ──moment──► when ──answer, from a Source──► lines of text
//! ```

mod query;
mod report;
mod source;

pub use query::{
    QUESTIONS, Subject, When, Wrong, answer, explained, find_line, known, line_of, moment, subject,
};
pub use report::*;
pub use source::{EventBehind, InQuarantine, Quarantine, Source};
