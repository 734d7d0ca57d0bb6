//! Between the pure core and a store.
//!
//! [`Groups`] loads billing groups, decides commands on them and commits what follows; [`Schedule`] knows what time
//! does next. [`Inbox`] sees that each
//! piece of usage counts once, [`Counters`] count it. [`Service`] is all of them over one store. None reads a clock: the caller says what time it is, so that a test clock can run a year in a second.

mod groups;
mod inbox;
mod schedule;
mod service;
mod usage;

pub use groups::{CLOCK, Decided, Failed, Groups, World};
pub use inbox::{Inbox, Received};
pub use schedule::{Due, Schedule};
pub use service::{Known, Service};
pub use usage::{Counters, Place, When};
