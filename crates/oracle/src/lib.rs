//! A second, plain and slow reading of the rules: what every account should be charged.
//!
//! It imports nothing of `farebox-core` and shares no code with it. It reads the price lists
//! itself, keeps every event, and works everything out from the beginning whenever it is asked,
//! with fractions of any size. Where the engine and this crate disagree, one of them has misread
//! the rules.

pub mod calendar;
pub mod catalogue;
pub mod history;
mod metered;
pub mod number;
pub mod price;
pub mod settle;
pub mod units;
pub mod usage;
