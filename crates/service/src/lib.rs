//! Between the pure core and a store.
//!
//! [`Groups`] loads billing groups, decides commands on them and commits what follows; [`Schedule`] knows what time
//! does next. Neither reads a clock: the caller says what time it is, so that a test clock can run a year in a second.

mod groups;
mod schedule;
mod usage;

pub use groups::{Decided, Failed, Groups, World};
pub use schedule::{Due, Schedule};
pub use usage::Counters;
