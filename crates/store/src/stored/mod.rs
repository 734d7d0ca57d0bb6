//! What each stored value consists of.
//!
//! One line a record. The compiler refuses one that misses a field; [`crate::entry::FORMAT`] says what
//! changes with a new one.

mod billing;
mod counters;
mod facts;
mod orders;
mod packages;
