//! The wire types: what `--json` prints, and what the server reads and answers.
//!
//! Amounts, prices and quantities are strings of exact decimals, moments are RFC 3339 in UTC,
//! spans are half-open. What is not known is `null`, never `""` or `0`. Fields are added, never
//! renamed or removed: docs/json.md and docs/commands.md are the contract. Every type describes
//! itself for OpenAPI ([`utoipa::ToSchema`]).

mod bill;
mod body;
pub mod command;
mod mistake;
mod refusal;
mod value;

pub use bill::{Bill, Catalogue, Coupon, CreditNote, Line, PackageDraw, Period, PriceBasis, bill, line};
pub use command::{WireCommand, Wish};
pub use mistake::{FieldMistake, Mistake};
pub use refusal::{Problem, STATUSES, status};
pub use value::{
    AlertPercent, AttributeName, Attributes, CurrencyCode, Holder, LicenceChange, LineId, Moment, Month,
    Months, Name, NonNegativeDecimal, NonZeroDecimal, PaymentMode, Percent, PlanName, PositiveDecimal,
    Quantity, RenewalLimit, Seconds, SessionId, Text, ZoneName,
};
