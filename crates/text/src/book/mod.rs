//! The book language: dated lines that say what happened, and what is expected to come of it.
//!
//! A book is a text file that people write, read and review. [`parse()`] turns its bytes into a
//! [`Book`] or says everything that is wrong with it; [`rewrite()`] puts new answers under its
//! queries and leaves every other byte alone. `docs/book.md` is the reference of the language.
//!
//! Nothing here knows a catalogue: that a plan exists, or that a mode is offered, is decided by
//! the core, and reported at the column that the [`Word`] carries.

mod ast;
pub mod fuzz;
mod import;
mod lex;
mod parse;
mod question;
mod rewrite;
#[cfg(test)]
mod tests;
mod time;
mod verb;
mod verb_budget;
mod verb_licences;
mod verb_lifecycle;
mod verb_terms;
mod wallet;

pub use ast::*;
pub use import::PRESETS;
pub use parse::parse;
pub use question::{question, written};
pub use rewrite::{Answer, rewrite};
pub use time::{SkippedHour, Time, When};
pub use verb::VERBS;
pub use verb::holds::{Deadline, Session, SessionStep};
pub use verb_licences::{LicenceReset, LicenceUse, UseChange};
pub use wallet::{Wallet, WalletVerb};
