//! Commands as JSON: what a client wishes for an account, converted to and from the core's.
//!
//! A wish is an object whose `command` says what it is, by the word of the book language where
//! there is one; the other fields are that command's. [`Wish::read`] finds every mistake of a body
//! at once; [`Wish::to_core`] those that concern several fields. What remains is for the core to
//! refuse.

mod back;
mod money;
mod orders;
mod schema;
mod service;

pub use money::*;
pub use orders::*;
pub use schema::{CommandPart, FieldPart, described};
pub use service::*;

use crate::body::{self, one_of, quoted};
use crate::mistake::FieldMistake;
use crate::value::{Moment, Name};
use farebox_core::calendar::Instant;
use farebox_core::engine;
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// What the body of one command becomes.
trait Body {
    /// The wish of the core; mistakes that concern several fields are added to `wrong`.
    fn action(self, account: &str, effective_at: Instant, wrong: &mut Vec<FieldMistake>) -> engine::Action;
}

macro_rules! commands {
    ($($(#[$doc:meta])* $word:literal $name:ident,)+) => {
        /// A wish for an account, told apart by `command`. Every verb of the book language that is a
        /// wish is one of these, or several where a verb has several forms.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "command")]
        pub enum WireCommand {
            $(
                $(#[$doc])*
                #[serde(rename = $word)]
                $name($name),
            )+
        }

        /// The words of all commands.
        pub const COMMANDS: &[&str] = &[$($word),+];

        impl WireCommand {
            /// The word of the command.
            pub fn word(&self) -> &'static str {
                match self {
                    $(WireCommand::$name(_) => $word,)+
                }
            }

            /// Reads the fields of a command, without `command` itself.
            fn read(word: &str, fields: &Value) -> Result<WireCommand, Vec<FieldMistake>> {
                match word {
                    $($word => body::read(fields).map(WireCommand::$name),)+
                    _ => Err(vec![unknown(quoted(word))]),
                }
            }

            fn action(self, account: &str, at: Instant, wrong: &mut Vec<FieldMistake>) -> engine::Action {
                match self {
                    $(WireCommand::$name(body) => body.action(account, at, wrong),)+
                }
            }

            /// The schema of each command's fields, and what these refer to.
            fn schemas_of_fields(referred: &mut schema::Named) -> Vec<(&'static str, schema::Described)> {
                vec![$(($word, schema::of::<$name>(referred)),)+]
            }
        }
    };
}

commands! {
    /// Open an account.
    "open" Open,
    /// Order a plan.
    "subscribe" Subscribe,
    /// Add units to a subscription.
    "add" Add,
    /// Remove units from a subscription.
    "remove" Remove,
    /// End a pay-per-use subscription.
    "cancel" Cancel,
    /// Give up a prepaid term, against a refund.
    "unsubscribe" Unsubscribe,
    /// Stop a subscription for a while.
    "stop" Stop,
    /// Start a stopped subscription again.
    "start" Start,
    /// Prolong a prepaid term.
    "renew" Renew,
    /// Change how a subscription is paid.
    "change-mode" ChangeMode,
    /// Change a subscription to another plan.
    "change-plan" ChangePlan,
    /// Change an attribute of an order.
    "change-attribute" ChangeAttribute,
    /// Let a term renew itself, or no longer.
    "auto-renew" AutoRenew,
    /// Bring a balance along from another system.
    "migrate-balance" MigrateBalance,
    /// Bring a running term along from another system.
    "migrate-term" MigrateTerm,
    /// Grant a discount.
    "discount" Discount,
    /// Agree a price.
    "price" Price,
    /// Put money on the balance.
    "topup" TopUp,
    /// Pay money of the balance out.
    "payout" PayOut,
    /// Grant a coupon.
    "coupon" GrantCoupon,
    /// Pay a bill from outside.
    "pay" Pay,
    /// Give up what is due of a bill.
    "write-off" WriteOff,
    /// Make a credit note.
    "credit" Credit,
    /// Charge something once.
    "charge" Charge,
    /// Add to a line of a bill, or take off.
    "adjust" Adjust,
    /// Hold the bill of a month back.
    "hold-bill" HoldBill,
    /// Hold it back no longer.
    "release-bill" ReleaseBill,
    /// Put off when a bill is due.
    "due-date" SetDue,
    /// Say how much may be owed.
    "credit-limit" SetCreditLimit,
    /// Say so no longer.
    "credit-limit-off" DropCreditLimit,
    /// Ask whether a feature may be used.
    "use" UseFeature,
    /// A way of using an application begins or ends.
    "licence" UseLicence,
    /// Release the idle named licences of an application.
    "reset" ResetLicences,
    /// Begin a session.
    "hold" Hold,
    /// Go on with a session.
    "extend" Extend,
    /// End a session.
    "release" Release,
    /// Let members draw from packages.
    "share" Share,
    /// Let no member draw from packages any longer.
    "keep" Keep,
    /// Set a budget.
    "budget" SetBudget,
    /// Give a budget up.
    "budget-off" DropBudget,
    /// Give the customer a tier.
    "tier" SetTier,
    /// Suspend an account.
    "suspend" Suspend,
    /// End a suspension.
    "resume" Resume,
}

/// Commands that may count from another time than now: `effective`.
pub const DATED: &[&str] = &["add", "remove"];

fn unknown(found: String) -> FieldMistake {
    FieldMistake::new("/command", found, format!("one of {}", one_of(COMMANDS)))
}

impl WireCommand {
    /// The command of the core.
    ///
    /// `account`: whom it is about. `effective_at`: from when it counts.
    ///
    /// # Errors
    /// Every mistake that concerns several fields, and a name that no account can have.
    pub fn to_core(
        self,
        account: String,
        effective_at: Instant,
    ) -> Result<engine::Command, Vec<FieldMistake>> {
        let mut wrong = Vec::new();
        if let Err(mistake) = Name::checked(&account, "account") {
            wrong.push(mistake);
        } else if matches!(self, WireCommand::Open(_)) && account.chars().all(|letter| letter == '.') {
            // Accounts of earlier versions may have such a name, which no address of this API can have.
            let expected = "a name with a letter, a digit, - or _ in it";
            wrong.push(FieldMistake::new("account", body::quoted(&account), expected));
        }
        let action = self.action(&account, effective_at, &mut wrong);
        if wrong.is_empty() { Ok(engine::Command { account, effective_at, action }) } else { Err(wrong) }
    }

    /// A wish of the core on the wire. `None`: only the schedule wishes it.
    pub fn of(action: &engine::Action) -> Option<WireCommand> {
        back::of(action)
    }
}

/// A command, and from when it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is wished.
    pub command: WireCommand,
    /// From when it counts; now when not given. For [`DATED`] commands.
    pub effective: Option<Moment>,
}

impl Wish {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// Its mistakes, at most 50, in the order of the fields.
    pub fn read(body: &[u8]) -> Result<Wish, Vec<FieldMistake>> {
        Wish::of_value(body::parse(body).map_err(|mistake| vec![mistake])?)
    }

    pub(crate) fn of_value(body: Value) -> Result<Wish, Vec<FieldMistake>> {
        let Value::Object(mut fields) = body else {
            return Err(vec![FieldMistake::new("", body::shown(&body), "an object with a command")]);
        };
        let word = fields.remove("command");
        let effective = fields.remove("effective").unwrap_or(Value::Null);
        let effective = body::read_at::<Option<Moment>>("/effective", &effective);
        let command = match &word {
            Some(Value::String(word)) => WireCommand::read(word, &Value::Object(fields)),
            word => Err(vec![unknown(word.as_ref().map_or_else(|| "nothing".to_owned(), body::shown))]),
        };
        match (command, effective) {
            (Ok(command), Ok(effective)) => Ok(Wish { command, effective }),
            (command, effective) => Err(command.err().into_iter().chain(effective.err()).flatten().collect()),
        }
    }

    /// The command of the core. `now`: from when it counts unless it says so itself.
    ///
    /// # Errors
    /// Every mistake that concerns several fields, and a name that no account can have.
    pub fn to_core(self, account: String, now: Instant) -> Result<engine::Command, Vec<FieldMistake>> {
        let word = self.command.word();
        let effective_at = self.effective.map_or(now, |moment| moment.0);
        let mut command = self.command.to_core(account, effective_at);
        if self.effective.is_some() && !DATED.contains(&word) {
            let found = format!("a time from which {word} counts");
            let expected =
                format!("no such field: {} counts from now; only {} may be dated", word, one_of(DATED));
            let mut wrong = command.err().unwrap_or_default();
            wrong.push(FieldMistake::new("/effective", found, expected));
            command = Err(wrong);
        }
        command
    }
}

impl Serialize for Wish {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            command: &'a WireCommand,
            #[serde(skip_serializing_if = "Option::is_none")]
            effective: Option<Moment>,
        }
        Flat { command: &self.command, effective: self.effective }.serialize(writer)
    }
}

#[cfg(test)]
mod tests;
