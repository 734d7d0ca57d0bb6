//! The pure core of Farebox.

pub mod calendar;
pub mod catalog;
pub mod metering;
pub mod money;
