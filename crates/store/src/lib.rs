//! What Farebox keeps, and how it is asked to: ports, record formats, the twin in memory.
//!
//! Core types know nothing of storage. What is kept of them is said here ([`codec`], `stored`), what a store can
//! do in [`port`], and what every store must show in [`conformance`].

pub mod codec;
mod columns;
pub mod conformance;
pub mod entry;
mod error;
pub mod memory;
pub mod port;
pub mod redact;
pub mod rows;
mod stored;
pub mod usage;

pub use entry::{Entry, FORMAT, Hash, Head, Position};
pub use error::StoreError;
pub use memory::Memory;
pub use port::{
    AccessKey, Answer, Append, Archive, Batch, Block, CatalogueText, Derivations, Derived, Digest, Erasure,
    GroupHead, Kept, Piece, Prepare, Redacted, Redaction, Seen, Show, Store, Told,
};
pub use redact::{Public, Redactor};
pub use rows::{AccountRow, Rows, rows_of};
