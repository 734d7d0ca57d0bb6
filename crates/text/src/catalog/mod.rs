//! Catalogue files: TOML text in, a checked [`Catalogue`] out, every mistake with its position.
//!
//! A file is read in one pass over the tree that the `toml` crate makes of it, which keeps the
//! place of every key and value. Each subject reads its own tables:
//!
//! ```text
//! bytes ── source ──► text ── toml ──► tree ── table (known fields, typed values)
//!                                        │
//!   file: [catalogue] [policy] [features] ─┬─ meters   [meters.*]
//!                                          ├─ decks    [decks.*]
//!                                          ├─ licences [licences.*]
//!                                          └─ plans    [products.*.plans.*]
//!                                               ├─ charges ── pricing
//!                                               └─ grants
//! ```
//!
//! Reading goes on after a mistake, so that one run names them all; a part that could not be read
//! is replaced by a harmless value, and the checks that would need it are left out. A catalogue
//! comes out only where there was no mistake at all.
//!
//! The form of the files is described in `docs/catalogue.md`.

mod arrears;
mod charges;
mod decks;
mod file;
mod grants;
mod licences;
mod meters;
mod plans;
mod pricing;
mod show;
mod source;
mod table;
mod terms;
#[cfg(test)]
mod tests;

pub use show::show;

use crate::diagnostic::Diagnostic;
use farebox_core::catalog::Catalogue;

/// The most bytes that a catalogue file may have: 16 MiB, a rate deck of some 200,000 rows.
pub const MAX_BYTES: usize = 16 << 20;

/// Reads a catalogue file. `file_name` is only used to say where a mistake is.
///
/// # Errors
///
/// Every mistake in the file, in the order of their places; the first 200 when there are more,
/// and how many more. A file whose syntax is broken is not searched for other mistakes.
pub fn parse(file_name: &str, bytes: &[u8]) -> Result<Catalogue, Vec<Diagnostic>> {
    file::parse(file_name, bytes)
}

/// The first 16 hex digits of a hash (XXH3, 128 bits) of the text. Line endings and a byte order
/// mark do not count, so that a file keeps its hash on every system it is checked out on.
///
/// It tells texts apart that differ by accident. It is no protection against forgery.
pub fn hash(bytes: &[u8]) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let bytes = bytes.strip_prefix(source::BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'\r', rest) {
        hasher.update(&rest[..at]);
        hasher.update(b"\n");
        rest = &rest[at + 1..];
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    hasher.update(rest);
    format!("{:032x}", hasher.digest128())[..16].to_owned()
}

/// Bodies for the fuzzer; ordinary tests run them over mutated files too.
pub mod fuzz {
    /// Whatever the bytes: no panic, mistakes inside the text and in order, and what is read can
    /// be shown.
    pub fn catalogue(bytes: &[u8]) {
        match super::parse("fuzz.toml", bytes) {
            Ok(catalogue) => {
                let shown = super::show(&catalogue);
                assert!(shown.ends_with('\n') && !shown.contains("\n\n\n"), "{shown}");
                assert_eq!(catalogue.hash, super::hash(bytes));
            }
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                let lines = bytes.iter().filter(|b| **b == b'\n').count() + 1;
                assert!(mistakes.iter().all(|mistake| mistake.line <= lines), "{mistakes:?}");
                let places: Vec<_> =
                    mistakes.iter().filter(|m| m.line > 0).map(|m| (m.line, m.column)).collect();
                assert!(places.is_sorted(), "{mistakes:?}");
            }
        }
    }
}
