//! Answers as plain text, the same bytes from every driver.

mod account;
mod bill;
mod budgets;
mod explain;
mod holds;
mod licences;
mod lifecycle;
mod money;
mod notices;
mod packages;
mod quarantine;
mod split;
mod table;
mod terms;
mod upcoming;

pub use account::{balance, provides, show};
pub use bill::{BillOptions, bill, share};
pub use budgets::budgets;
pub use explain::explain;
pub use holds::holds;
pub use licences::licences;
pub use lifecycle::lifecycle;
pub use money::{Receivables, Totals, add_to_totals, ledger, ledger_totals, statement, trial_balance};
pub use notices::notices;
pub use packages::packages;
pub use quarantine::{imports, quarantine};
pub use split::{Parties, cost, split, split_share};
pub(crate) use table::legible;
pub use terms::{deferred, renewals};
pub use upcoming::upcoming;
