//! Answers as plain text, the same bytes from every driver.

mod account;
mod bill;
mod explain;
mod notices;
mod quarantine;
pub mod table;

pub use account::{balance, provides, show};
pub use bill::{BillOptions, bill, split};
pub use explain::explain;
pub use notices::notices;
pub use quarantine::{imports, quarantine};
