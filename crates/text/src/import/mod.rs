//! Usage files of the outside world to events: each row is counted once, or it is said why not.
//!
//! An [`Importer`] lives as long as a book and reads its files one after another. What it has
//! accepted it knows again, however late: a repeated row is a duplicate, a higher revision
//! replaces, a late leg of a call revises the call. Every row of a file ends in exactly one
//! column of its [`Summary`].
//!
//! ```text
//! chunks of the file ──parse──▶ rows by identity ──in file order──▶ new? ──▶ events ──▶ Sink
//!   (any thread)                (one owner thread each)              └──▶ legs by call ──▶ calls ─┘
//! ```
//!
//! Results do not depend on the number of threads, on the chunk size or on timing: a row is
//! decided by where it begins, identities are looked up in file order, legs add up in any order.

mod access_log;
mod arena;
mod asterisk;
mod calls;
mod cloudevents;
mod connect;
mod events;
mod format;
mod freeswitch;
pub mod fuzz;
pub mod generate;
mod importer;
mod index;
mod json;
mod kamailio;
mod objects;
mod partition;
mod pipeline;
mod plain_event;
mod record;
mod records;
mod rules;
mod same;
mod scan;
mod spec;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod twilio;

pub use events::{EventRow, read_events};
pub use importer::{Importer, OwnedEvent, OwnedValue};
pub use partition::Outcome as EventOutcome;
pub use rules::{Condition, MapRule, Outcome, Pattern, Template};
pub use scan::ROW_BYTES_MAX;
pub use spec::{Attributes, ImportSpec, Input, Preset, Table};
pub use summary::{Quarantined, Reason, Summary, escaped};

pub use farebox_core::metering::Change;
use farebox_core::metering::Event;

/// Where an event was read: the file's number in the order of imports, from 1 (0: the book
/// itself), and the row. For a call, its lead row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Number of the file.
    pub file: u16,
    /// Line, from 1. 0: not known, of an event taken back.
    pub line: u64,
    /// Bytes before the row.
    pub offset: u64,
    /// Rows of the file at hand that it stands for: the legs of a call. 0: of an event taken back.
    pub rows: u64,
    /// Of a call, whether it was connected, and for how many seconds.
    pub talk: Option<(bool, u32)>,
}

/// What a sink makes of an added event. For one taken back the answer is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A meter counts it.
    Counted,
    /// It is understood, and nothing is charged for it.
    NotBillable,
    /// It cannot be billed as it is.
    Quarantine(Reason),
}

/// Takes events. There is one for each thread; together they see each event once, in no
/// particular order, so what they gather must not depend on the order.
pub trait Sink: Send {
    /// An event is added, or one that was added and counted is taken back. One identity always
    /// reaches the sink of the same number, first added, then taken back.
    fn usage(&mut self, event: &Event<'_>, change: Change, origin: Origin) -> Verdict;
}
