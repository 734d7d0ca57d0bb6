//! The pure core of Farebox: `decide(view, command, recorded_at) → facts, or a refusal`,
//! `apply(state, fact)`, `rate(quantities, price list)`.
//!
//! No I/O, no clock, no randomness, no floating point: time comes in with each command, and zone
//! data is compiled in.
//!
//! ```text
//! money ◄─ calendar ◄─ catalog ◄─ rating, metering, subscription      what things are and cost
//!                        ▲
//!            account ◄─ quantity ◄─ settlement ◄─ engine               what was decided
//!            bill, ledger       explain ┘
//! ```

pub mod account;
pub mod bill;
pub mod budget;
pub mod calendar;
pub mod catalog;
pub mod cost;
pub mod engine;
pub mod explain;
pub mod hold;
pub mod ledger;
pub mod licence;
pub mod lifecycle;
pub mod metering;
pub mod money;
pub mod notice;
pub mod package;
mod quantity;
pub mod rating;
pub mod roster;
pub mod settlement;
pub mod subscription;
pub mod term;
#[cfg(test)]
mod testing;
pub mod wallet;
