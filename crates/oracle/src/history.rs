//! What happened, as plain data: the lines of a book.

use crate::number::Number;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// A line of a book.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its date.
    pub at: Timestamp,
    /// Whom it is about; empty for usage taken back.
    pub account: String,
    /// What it says.
    pub what: What,
}

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// Not said.
    Unsaid,
    /// Pay-per-use.
    PayPerUse,
    /// For so many months.
    Prepaid(i64),
}

/// What a line says.
#[derive(Clone, Debug)]
pub enum What {
    /// An account begins.
    Open {
        /// The wall clock of its bills' months; the book's where none is said.
        zone: Option<String>,
        /// Who pays for it.
        payer: Option<String>,
        /// The customer's tier.
        tier: Option<String>,
    },
    /// The customer's tier from now on.
    Tier {
        /// The tier.
        tier: String,
    },
    /// How much may be owed.
    CreditLimit {
        /// How much; none: nobody says so any more.
        limit: Option<String>,
    },
    /// The operator suspends an account, or resumes it.
    Suspend {
        /// Whether it begins.
        suspend: bool,
    },
    /// An order.
    Subscribe {
        /// The plan.
        plan: String,
        /// Units.
        units: u32,
        /// Its name.
        name: String,
        /// How it is paid.
        payment: Payment,
        /// Renewed by itself, at most so often; 0: any number.
        auto: Option<i64>,
        /// Bindings, options, project, tags.
        attributes: Vec<(String, String)>,
    },
    /// More or fewer units.
    Change {
        /// The subscription.
        name: String,
        /// How many more; fewer below zero.
        units: i64,
        /// From when, if not from now.
        effective: Option<Timestamp>,
    },
    /// An end.
    Cancel {
        /// The subscription.
        name: String,
    },
    /// A term given up.
    Unsubscribe {
        /// The subscription.
        name: String,
    },
    /// A pause (`stop`) or its end.
    Stop {
        /// The subscription.
        name: String,
        /// Whether it stops.
        stop: bool,
    },
    /// One more term.
    Renew {
        /// The subscription.
        name: String,
        /// Its months.
        months: i64,
    },
    /// Renewals by itself.
    AutoRenew {
        /// The subscription.
        name: String,
        /// At most so often, 0: any number; none: not any more.
        limit: Option<i64>,
    },
    /// A balance from another system.
    MigrateBalance {
        /// How much.
        amount: String,
    },
    /// A term from another system.
    Migrate {
        /// The plan.
        plan: String,
        /// Units.
        units: u32,
        /// Its name.
        name: String,
        /// Its real start.
        from: Timestamp,
        /// Its end.
        until: Timestamp,
        /// What was paid for it there.
        paid: String,
        /// Bindings, options, project, tags.
        attributes: Vec<(String, String)>,
    },
    /// Another way to pay.
    ChangeMode {
        /// The subscription.
        name: String,
        /// The way wished.
        payment: Payment,
    },
    /// Members may draw from the packages of a subscription.
    Share {
        /// The subscription.
        name: String,
        /// The members.
        with: Vec<String>,
    },
    /// Nobody but its own account may draw from them any longer.
    Keep {
        /// The subscription.
        name: String,
    },
    /// Another plan.
    ChangePlan {
        /// The subscription.
        name: String,
        /// The plan wished.
        plan: String,
    },
    /// A percentage off.
    Discount {
        /// 10 for 10 %.
        percent: String,
        /// `PLAN` or `PLAN/CHARGE`.
        on: Option<String>,
        /// Its end.
        until: Option<Timestamp>,
    },
    /// A negotiated price.
    Price {
        /// `PLAN/CHARGE`.
        on: String,
        /// Of a unit.
        price: String,
        /// Its end.
        until: Option<Timestamp>,
    },
    /// Money comes in.
    TopUp {
        /// How much.
        amount: String,
    },
    /// A coupon.
    Coupon {
        /// Its name.
        id: String,
        /// What it is worth.
        amount: String,
        /// A plan or product.
        on: Option<String>,
        /// Its end.
        until: Option<Timestamp>,
    },
    /// A payment from outside for a bill.
    Pay {
        /// The first day of its month.
        month: Date,
        /// How much.
        amount: String,
    },
    /// What is due of a bill is given up.
    WriteOff {
        /// The first day of its month.
        month: Date,
        /// How much; none: all.
        amount: Option<String>,
    },
    /// A credit note against a bill.
    Credit {
        /// The first day of its month.
        month: Date,
        /// How much.
        amount: String,
    },
    /// A credit note against a line.
    CreditLine {
        /// The line's id.
        line: String,
        /// How much.
        amount: String,
    },
    /// Money of the balance goes back.
    PayOut {
        /// How much.
        amount: String,
    },
    /// Something that no price list has.
    Charge {
        /// How much.
        amount: String,
        /// Application, project, tags.
        labels: Vec<(String, String)>,
    },
    /// More or less on a line.
    Adjust {
        /// The line's id.
        line: String,
        /// How much.
        amount: String,
    },
    /// A session asks whether it may begin.
    Hold {
        /// Its name, and the identity of its usage; the source is `book`.
        id: String,
        /// `call`.
        kind: String,
        /// How much it may use, in what meters measure.
        units: i64,
        /// Without a word by then, it expires.
        until: Timestamp,
        /// What its usage will have besides.
        attributes: Vec<(String, String)>,
    },
    /// A session goes on. All numbers are totals.
    Extend {
        /// The session.
        id: String,
        /// How much it may use.
        units: i64,
        /// How much it has used.
        used: i64,
        /// Without a word by then, it expires.
        until: Timestamp,
    },
    /// A session ends.
    Release {
        /// The session.
        id: String,
        /// How much it has used.
        used: i64,
    },
    /// Usage.
    Usage {
        /// What identifies it; its source is `book`.
        id: String,
        /// A higher one replaces what was said before.
        revision: u64,
        /// `call`.
        kind: String,
        /// When it happened, or ended.
        time: Timestamp,
        /// When it began, where that is said.
        start: Option<Timestamp>,
        /// Everything else, project and tags too.
        attributes: Vec<(String, String)>,
    },
    /// Usage taken back.
    Void {
        /// Its id.
        id: String,
    },
}

/// A line of a bill as it is printed. Which number a line has is no matter of the rules, and so it is told.
#[derive(Clone, Debug)]
pub struct Printed {
    /// `acme-2026-01-3`.
    pub id: String,
    /// Whose bill.
    pub payer: String,
    /// The start of the bill's month.
    pub month: Timestamp,
    /// When it was posted.
    pub posted: Timestamp,
    /// The plan; empty: charged by hand.
    pub plan: String,
    /// What it comes to.
    pub amount: Number,
    /// Whether it is neither a rounding nor an adjustment.
    pub adjustable: bool,
    /// What it is for: lines for the same correct one another.
    pub what: String,
    /// Of which account and subscription, by which charge, from when on; `None`: by hand.
    pub charges: Option<(String, String, String, Timestamp)>,
}

/// A piece of usage.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose.
    pub account: String,
    /// A higher one replaces what was said before.
    pub revision: u64,
    /// `call`.
    pub kind: String,
    /// When it happened, or ended.
    pub time: Timestamp,
    /// When it began, where that was said.
    pub start: Option<Timestamp>,
    /// Everything else, project and tags too.
    pub attributes: BTreeMap<String, String>,
    /// How often it happened: what a session used of what is only counted.
    pub times: i64,
}

/// How a bill splits: application, project and tags (R-ORG-2).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Split {
    /// Application.
    pub application: Option<String>,
    /// Project; `None`: unassigned.
    pub project: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Split {
    /// What attributes say.
    pub fn of(attributes: &BTreeMap<String, String>) -> Split {
        let tags = attributes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("tag:")?.to_owned(), value.clone())));
        Split {
            application: attributes.get("application").cloned(),
            project: attributes.get("project").cloned(),
            tags: tags.collect(),
        }
    }
}
