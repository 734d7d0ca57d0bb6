//! The wire types: what `--json` prints, and what the server reads and answers.
//!
//! Amounts, prices and quantities are strings of exact decimals, moments are RFC 3339 in UTC,
//! spans are half-open. What is not known is `null`, never `""` or `0`. Fields are added, never
//! renamed or removed: docs/json.md and docs/commands.md are the contract. Every type describes
//! itself for OpenAPI ([`utoipa::ToSchema`]).

mod access;
mod account;
mod audit;
mod bill;
mod body;
mod canonical;
pub mod command;
mod erasure;
pub mod focus;
pub mod journal;
mod metered;
mod mistake;
mod money;
mod outlook;
mod price_list;
mod refusal;
mod schedule;
mod standing;
mod usage;
mod value;

pub use access::{Caller, Key, MadeKey, NewKey, Role};
pub use account::{Account, AccountHead, AgreedPrice, Discount, Subscription};
pub use audit::{AuditEntry, AuditFact};
pub use bill::{
    Bill, BillHead, BillHold, Catalogue, Coupon, CreditNote, Line, PackageDraw, Period, PriceBasis, bill,
    bill_head, line,
};
pub use body::read_body;
pub use canonical::{canonical, canonical_with_nulls};
pub use command::{WireCommand, Wish};
pub use erasure::Erasure;
pub use metered::Metered;
pub use mistake::{FieldMistake, Mistake};
pub use money::{Balance, CouponLeft, Deferral, Hold, LedgerBalance, Posting, Statement, StatementRow};
pub use outlook::{Cost, CostRow, NewQuote, Quote, Upcoming, UpcomingRow};
pub use price_list::{PriceList, PriceListChange, PriceListDiff, PriceListText};
pub use refusal::{Problem, STATUSES, status};
pub use schedule::{Due, FailedRun, NewRetry, Retried, Run, RunHour, ScheduleState};
pub use standing::{
    Budget, LicenceHolder, LicencePool, Lifecycle, NextState, Notice, Package, Quota, Renewal, Standing, Step,
};
pub use usage::{
    AccountEvent, DiscardedUsage, QuarantinedUsage, Unbilled, UsageEvent, UsageIdentity, UsageStanding,
};
pub use value::{
    AlertPercent, AttributeName, Attributes, CurrencyCode, Holder, LicenceChange, LineId, Moment, Month,
    Months, Name, NonNegativeDecimal, NonZeroDecimal, PaymentMode, Percent, PlanName, PositiveDecimal,
    Quantity, RenewalLimit, Seconds, SessionId, Text, ZoneName,
};
