//! The catalogue as a price list.

use farebox_core::catalog::Catalogue;

/// A price list.
pub fn show(catalogue: &Catalogue) -> String {
    format!("{}\n", catalogue.title)
}
