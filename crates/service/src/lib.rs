//! Between the pure core and a store.
//!
//! [`Groups`] loads billing groups, decides commands on them and commits what follows; [`Schedule`] knows what time
//! does next. Usage comes in [`Parcel`]s; [`Inbox`] sees that each piece of it counts once, [`Counters`] count it, and
//! [`UsageLog`] has it for good. [`Service`] is all of them over one store. None reads a clock: the caller says what
//! time it is, so that a test clock can run a year in a second.

mod conflicts;
mod groups;
mod identities;
mod inbox;
mod log;
mod names;
mod parcel;
mod pool;
mod quarantine;
mod runs;
mod schedule;
mod service;
mod usage;
mod verify;

pub use conflicts::CONFLICTS_MAX;
pub use groups::{CLOCK, DESK, Decided, Failed, Groups, World};
pub use identities::Identities;
pub use inbox::{Closed, Inbox, Received, TOGETHER, Whose};
pub use log::{Place, UsageLog};
pub use parcel::Parcel;
pub use quarantine::Quarantined;
pub use runs::{Hour, RUNS_MAX, Ran, Runs, Sum};
pub use schedule::{Due, Foreseen, Hindrance, Schedule, Undone};
pub use service::{Events, Figures, Kept, Known, NotErased, Pace, Service, Standing, Unpublished};
pub use usage::{Counters, When};
pub use verify::{Finding, Verified, verify};
