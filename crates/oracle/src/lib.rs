//! A second, plain reading of the rules: what every account should be charged.
//!
//! It imports nothing of `farebox-core` and shares no code with it. It reads the price lists
//! itself, keeps every event, and works an accumulation out from its beginning whenever anything
//! about it changes, with fractions of any size. Where the engine and this crate disagree, one of
//! them has misread the rules.

pub mod account;
mod add_ons;
pub mod calendar;
pub mod catalogue;
mod cover;
mod credit;
pub mod draws;
mod fields;
pub mod history;
mod lifecycle;
mod metered;
pub mod money;
pub mod number;
mod orders;
pub mod packages;
mod plans;
pub mod play;
mod price;
pub mod sessions;
mod settle;
mod terms;
mod units;
mod usage;
mod wallet;
