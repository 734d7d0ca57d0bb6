//! What people read of a store with plain SQL: rows for accounts, subscriptions, bills, lines, postings,
//! balances and packages.
//!
//! They are read off the state after an entry, for what the entry touched; nothing is decided on them, and
//! they can be thrown away and made anew from the entries.

use farebox_core::account::{Account, Group};
use farebox_core::bill::{Bill, Line};
use farebox_core::calendar::{Instant, Span};
use farebox_core::engine::{Fact, budgets, holds, lifecycle, packages, terms, wallet};
use farebox_core::ledger::{LedgerAccount, Posting, Unit};
use farebox_core::money::{Amount, Exact};
use farebox_core::package::Units;
use std::collections::BTreeSet;

/// Rows that an entry adds or replaces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// By account.
    pub accounts: Vec<AccountRow>,
    /// By account and name.
    pub subscriptions: Vec<SubscriptionRow>,
    /// By account and month.
    pub bills: Vec<BillRow>,
    /// By line; never replaced.
    pub lines: Vec<LineRow>,
    /// By account and number; never replaced.
    pub postings: Vec<PostingRow>,
    /// By account and ledger account.
    pub balances: Vec<BalanceRow>,
    /// By bucket.
    pub packages: Vec<PackageRow>,
}

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountRow {
    /// Its name.
    pub account: String,
    /// The account that pays.
    pub payer: String,
    /// Title for people.
    pub title: String,
    /// Currency code.
    pub currency: String,
    /// Zone of its bills' months.
    pub zone: String,
    /// When it was opened.
    pub opened: Instant,
    /// Its tier.
    pub tier: Option<String>,
    /// Since when it owes what it should have paid.
    pub arrears_since: Option<Instant>,
    /// Since when it is suspended.
    pub suspended_since: Option<Instant>,
    /// How much it may owe.
    pub credit_limit: Option<Amount>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionRow {
    /// Whose.
    pub account: String,
    /// Its name.
    pub name: String,
    /// The price list.
    pub catalogue: String,
    /// The plan that it has in the end.
    pub plan: String,
    /// `pay-per-use` or `prepaid`.
    pub mode: String,
    /// Its first moment.
    pub start: Instant,
    /// The first moment after it, where that is known.
    pub end: Option<Instant>,
    /// Units after the last change.
    pub quantity: i64,
    /// `active`, `grace`, `frozen` or `released`.
    pub state: String,
}

/// A bill.
#[derive(Clone, Debug, PartialEq)]
pub struct BillRow {
    /// Who pays it.
    pub account: String,
    /// Its month.
    pub month: Span,
    /// Its name.
    pub id: String,
    /// How many lines.
    pub lines: usize,
    /// The sum of its lines.
    pub total: Amount,
    /// Paid with money.
    pub paid: Amount,
    /// Paid with coupons.
    pub coupons: Amount,
    /// Taken off by credit notes.
    pub credited: Amount,
    /// Given up.
    pub written_off: Amount,
    /// Owed.
    pub due: Amount,
    /// When it was issued; `None`: it still grows.
    pub issued: Option<Instant>,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq)]
pub struct LineRow {
    /// Its name.
    pub id: String,
    /// Who pays.
    pub payer: String,
    /// Start of the bill's month.
    pub month: Instant,
    /// Whose charge.
    pub account: String,
    /// What kind.
    pub kind: String,
    /// The subscription.
    pub subscription: Option<String>,
    /// The plan.
    pub plan: String,
    /// The charge, for people.
    pub description: String,
    /// How much, in units.
    pub quantity: Exact,
    /// The unit.
    pub unit: String,
    /// By the price list.
    pub list: Amount,
    /// Taken off by discounts.
    pub discount: Amount,
    /// What it comes to.
    pub amount: Amount,
    /// The time that it is for.
    pub period: Span,
    /// When it was posted.
    pub posted: Instant,
    /// The line that it corrects.
    pub corrects: Option<String>,
    /// How the amount comes about.
    pub formula: String,
    /// The sentence for the customer.
    pub explanation: String,
}

/// One movement of a posting.
#[derive(Clone, Debug, PartialEq)]
pub struct PostingRow {
    /// Whose ledger.
    pub account: String,
    /// The entry of the group.
    pub version: u64,
    /// The movement within the entry, from 1.
    pub number: u32,
    /// When.
    pub at: Instant,
    /// What for.
    pub memo: String,
    /// The ledger account.
    pub ledger: String,
    /// A currency code, or the unit of a quota.
    pub unit: String,
    /// How much; above zero is a debit.
    pub value: Value,
}

/// Money, or units of a quota.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Money.
    Money(Amount),
    /// Units.
    Units(Exact),
}

impl Value {
    fn of(unit: &Unit, value: Exact) -> Value {
        match unit {
            // Money is posted in whole 10⁻⁸ units: nothing is rounded here.
            Unit::Money(_) => Value::Money(Amount::quantise(value).unwrap_or_default()),
            Unit::Quota(_) => Value::Units(value),
        }
    }
}

/// What a ledger account comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceRow {
    /// Whose ledger.
    pub account: String,
    /// The ledger account.
    pub ledger: String,
    /// A currency code, or the unit of a quota.
    pub unit: String,
    /// How much; above zero is a debit.
    pub value: Value,
}

/// A bucket of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageRow {
    /// Its name.
    pub bucket: String,
    /// Who pays.
    pub payer: String,
    /// Whose.
    pub account: String,
    /// The subscription that brought it.
    pub subscription: String,
    /// Title for people.
    pub title: String,
    /// The unit.
    pub unit: String,
    /// The usage time that it serves.
    pub span: Span,
    /// When what is left expires.
    pub expires: Instant,
    /// What became of its units.
    pub units: Units,
}

/// A row that has an owner and, under it, a key.
pub trait Keyed {
    /// What tells it apart from the others of its kind.
    type Key<'k>: Ord
    where
        Self: 'k;

    /// The account whose row it is: the payer, where the row is about a bill, a ledger or a package.
    fn owner(&self) -> &str;

    /// Its key among the owner's.
    fn key(&self) -> Self::Key<'_>;
}

macro_rules! keyed {
    ($($row:ty: $owner:ident, |$of:ident| $key:ty = $value:expr;)*) => { $(
        impl Keyed for $row {
            type Key<'k> = $key;

            fn owner(&self) -> &str {
                &self.$owner
            }

            fn key(&self) -> Self::Key<'_> {
                let $of = self;
                $value
            }
        }
    )* };
}

keyed! {
    AccountRow: account, |row| () = { let _ = row; };
    SubscriptionRow: account, |row| &'k str = &row.name;
    BillRow: account, |row| Instant = row.month.start;
    LineRow: payer, |row| (Instant, &'k str) = (row.month, &row.id);
    PostingRow: account, |row| (u64, u32) = (row.version, row.number);
    BalanceRow: account, |row| &'k str = &row.ledger;
    PackageRow: payer, |row| &'k str = &row.bucket;
}

/// Puts a row in its place among those in order of owner and key, instead of the one with its key.
fn put<R: Keyed + Clone>(rows: &mut Vec<R>, row: &R) {
    match rows.binary_search_by(|known| (known.owner(), known.key()).cmp(&(row.owner(), row.key()))) {
        Ok(place) => rows[place] = row.clone(),
        Err(place) => rows.insert(place, row.clone()),
    }
}

impl Rows {
    /// Adds rows, each in the order of owner and key, instead of those with the same key.
    pub fn merge(&mut self, more: &Rows) {
        more.accounts.iter().for_each(|row| put(&mut self.accounts, row));
        more.subscriptions.iter().for_each(|row| put(&mut self.subscriptions, row));
        more.bills.iter().for_each(|row| put(&mut self.bills, row));
        more.lines.iter().for_each(|row| put(&mut self.lines, row));
        more.postings.iter().for_each(|row| put(&mut self.postings, row));
        more.balances.iter().for_each(|row| put(&mut self.balances, row));
        more.packages.iter().for_each(|row| put(&mut self.packages, row));
    }

    /// Those of one account.
    pub fn of(&self, account: &str) -> Rows {
        fn own<R: Keyed + Clone>(rows: &[R], account: &str) -> Vec<R> {
            rows.iter().filter(|row| row.owner() == account).cloned().collect()
        }
        Rows {
            accounts: own(&self.accounts, account),
            subscriptions: own(&self.subscriptions, account),
            bills: own(&self.bills, account),
            lines: own(&self.lines, account),
            postings: own(&self.postings, account),
            balances: own(&self.balances, account),
            packages: own(&self.packages, account),
        }
    }
}

/// What an entry touched.
#[derive(Default)]
struct Touched<'f> {
    accounts: BTreeSet<&'f str>,
    subscriptions: BTreeSet<(&'f str, &'f str)>,
    bills: BTreeSet<(&'f str, Instant)>,
    lines: Vec<(&'f str, Instant, &'f Line)>,
    postings: Vec<(&'f str, &'f Posting)>,
    buckets: BTreeSet<(&'f str, &'f str)>,
}

/// The rows of an entry with these facts, after which the group is in this state.
pub fn rows_of(version: u64, facts: &[Fact], after: &Group) -> Rows {
    let mut touched = Touched::default();
    facts.iter().for_each(|fact| touched.note(fact));
    let mut rows = Rows::default();
    let account = |name: &str| after.get(name);
    rows.accounts.extend(touched.accounts.iter().filter_map(|name| account(name)).map(account_row));
    for (owner, name) in &touched.subscriptions {
        rows.subscriptions.extend(account(owner).and_then(|account| subscription_row(account, name)));
    }
    for (owner, month) in &touched.bills {
        let bill = account(owner).and_then(|account| account.bills.get(month));
        rows.bills.extend(bill.map(|bill| bill_row(owner, bill)));
    }
    rows.lines.extend(touched.lines.iter().map(|(payer, month, line)| line_row(payer, *month, line)));
    let mut balances: BTreeSet<(&str, &LedgerAccount)> = BTreeSet::new();
    let mut number = 0;
    for (owner, posting) in &touched.postings {
        for entry in &posting.entries {
            number += 1;
            rows.postings.push(PostingRow {
                account: (*owner).to_owned(),
                version,
                number,
                at: posting.at,
                memo: posting.memo.clone(),
                ledger: entry.account.name(),
                unit: entry.unit.to_string(),
                value: Value::of(&entry.unit, entry.value),
            });
            balances.insert((owner, &entry.account));
            if let LedgerAccount::Quota { bucket, .. } = &entry.account {
                touched.buckets.insert((owner, bucket));
            }
        }
    }
    for (owner, ledger) in balances {
        let Some((unit, value)) = account(owner).and_then(|account| account.ledger.balance_of(ledger)) else {
            continue;
        };
        let value = Value::of(unit, value);
        rows.balances.push(BalanceRow {
            account: owner.to_owned(),
            ledger: ledger.name(),
            unit: unit.to_string(),
            value,
        });
    }
    for (payer, bucket) in &touched.buckets {
        rows.packages.extend(account(payer).and_then(|account| package_row(account, bucket)));
    }
    rows
}

impl<'f> Touched<'f> {
    fn note(&mut self, fact: &'f Fact) {
        match fact {
            Fact::AccountOpened(head) => {
                self.accounts.insert(&head.id);
            }
            Fact::Subscribed { account, subscription } => self.subscription(account, &subscription.name),
            Fact::QuantityChanged { account, subscription, .. }
            | Fact::Stopped { account, subscription, .. }
            | Fact::Ended { account, subscription, .. }
            | Fact::Renewed { account, subscription, .. }
            | Fact::Unsubscribed { account, subscription, .. } => self.subscription(account, subscription),
            Fact::PriceAgreed { .. }
            | Fact::DiscountGranted { .. }
            | Fact::Settled { .. }
            | Fact::Noticed { .. }
            | Fact::Licences(_) => {}
            Fact::Charged { account, month, lines, postings, paid, effects, .. } => {
                self.lines.extend(lines.iter().map(|line| (account.as_str(), month.start, line)));
                self.bills.insert((account, month.start));
                self.bills.extend(effects.corrected.iter().map(|(month, _)| (account.as_str(), *month)));
                self.money(account, postings, paid);
            }
            Fact::BillIssued { account, month, rounding, .. } => {
                self.bills.insert((account, *month));
                self.lines.extend(rounding.iter().map(|line| (account.as_str(), *month, &**line)));
            }
            Fact::ToppedUp { account, postings, paid } => self.money(account, postings, paid),
            Fact::Terms(fact) => self.note_terms(fact),
            Fact::Packages(fact) => self.note_packages(fact),
            Fact::Holds(
                holds::Fact::Created { payer, postings, .. }
                | holds::Fact::Updated { payer, postings, .. }
                | holds::Fact::Ended { payer, postings, .. }
                | holds::Fact::LetGo { payer, postings, .. },
            ) => self.money(payer, postings, &[]),
            Fact::Holds(holds::Fact::Paid { payer, paid, postings }) => self.money(payer, postings, paid),
            Fact::Lifecycle(fact) => self.note_lifecycle(fact),
            Fact::Wallet(fact) => self.note_wallet(fact),
            Fact::Budgets(
                budgets::Fact::Set { .. } | budgets::Fact::Dropped { .. } | budgets::Fact::Reached { .. },
            ) => {}
        }
    }

    fn note_terms(&mut self, fact: &'f terms::Fact) {
        match fact {
            terms::Fact::AutoRenewal { account, subscription, .. }
            | terms::Fact::Prolonged { account, subscription, .. }
            | terms::Fact::PlanPlanned { account, subscription, .. }
            | terms::Fact::PlanChanged { account, subscription, .. } => {
                self.subscription(account, subscription)
            }
            terms::Fact::Recognised { payer, postings, .. } => self.money(payer, postings, &[]),
            terms::Fact::Opened { payer, postings, paid } => self.money(payer, postings, paid),
            terms::Fact::Migrated { account, payer, subscription, postings, .. } => {
                self.subscription(account, &subscription.name);
                self.money(payer, postings, &[]);
            }
        }
    }

    fn note_packages(&mut self, fact: &'f packages::Fact) {
        match fact {
            packages::Fact::Opened { payer, bucket, postings } => {
                self.buckets.insert((payer, &bucket.id));
                self.money(payer, postings, &[]);
            }
            packages::Fact::EndMoved { payer, bucket, postings, .. }
            | packages::Fact::Expired { payer, bucket, postings } => {
                self.buckets.insert((payer, bucket));
                self.money(payer, postings, &[]);
            }
            packages::Fact::Drawn { payer, postings, .. } => self.money(payer, postings, &[]),
            packages::Fact::Credited { .. }
            | packages::Fact::Missed { .. }
            | packages::Fact::Alerted { .. }
            | packages::Fact::Shared { .. }
            | packages::Fact::Kept { .. } => {}
        }
    }

    fn note_lifecycle(&mut self, fact: &'f lifecycle::Fact) {
        match fact {
            lifecycle::Fact::TierSet { account, .. }
            | lifecycle::Fact::ArrearsBegan { account, .. }
            | lifecycle::Fact::ArrearsCleared { account, .. }
            | lifecycle::Fact::Suspended { account, .. }
            | lifecycle::Fact::Resumed { account, .. } => {
                self.accounts.insert(account);
            }
            lifecycle::Fact::StateChanged { account, subscription, .. } => {
                self.subscription(account, subscription);
            }
        }
    }

    fn note_wallet(&mut self, fact: &'f wallet::Fact) {
        match fact {
            wallet::Fact::CouponGranted { account, posting, .. }
            | wallet::Fact::CouponExpired { account, posting, .. }
            | wallet::Fact::PaidOut { account, posting } => self.postings.push((account, posting)),
            wallet::Fact::Paid { account, month, posting, .. }
            | wallet::Fact::WrittenOff { account, month, posting, .. } => {
                self.bills.insert((account, *month));
                self.postings.push((account, posting));
            }
            wallet::Fact::Credited { account, month, postings, paid, .. } => {
                self.bills.insert((account, *month));
                self.money(account, postings, paid);
            }
            wallet::Fact::CreditLimitSet { account, .. } => {
                self.accounts.insert(account);
            }
            wallet::Fact::BillHeld { .. }
            | wallet::Fact::BillReleased { .. }
            | wallet::Fact::DueSet { .. } => {}
        }
    }

    fn subscription(&mut self, account: &'f str, name: &'f str) {
        self.subscriptions.insert((account, name));
    }

    fn money(&mut self, account: &'f str, postings: &'f [Posting], paid: &'f [(Instant, Amount)]) {
        self.postings.extend(postings.iter().map(|posting| (account, posting)));
        self.bills.extend(paid.iter().map(|(month, _)| (account, *month)));
    }
}

fn account_row(account: &Account) -> AccountRow {
    let (head, lifecycle) = (&account.head, &account.lifecycle);
    AccountRow {
        account: head.id.clone(),
        payer: head.payer().to_owned(),
        title: head.title.clone(),
        currency: head.currency.code().to_owned(),
        zone: head.zone.name().to_owned(),
        opened: head.opened,
        tier: lifecycle.tier.as_ref().map(|tier| tier.id.clone()),
        arrears_since: lifecycle.arrears.as_ref().map(|arrears| arrears.since),
        suspended_since: lifecycle.suspended,
        credit_limit: account.wallet.credit_limit().map(|limit| limit.amount),
    }
}

fn subscription_row(account: &Account, name: &str) -> Option<SubscriptionRow> {
    let subscription = account.subscriptions.get(name)?;
    let standing = account.lifecycle.standings.get(name);
    Some(SubscriptionRow {
        account: account.head.id.clone(),
        name: name.to_owned(),
        catalogue: subscription.catalogue.clone(),
        plan: subscription.plan.clone(),
        mode: subscription.mode.name().to_owned(),
        start: subscription.start,
        end: subscription.end,
        quantity: subscription.changes.iter().map(|change| change.delta).sum(),
        state: standing.map_or("active", |standing| standing.state.name()).to_owned(),
    })
}

fn bill_row(account: &str, bill: &Bill) -> BillRow {
    BillRow {
        account: account.to_owned(),
        month: bill.period,
        id: bill.id.clone(),
        lines: bill.lines.len(),
        total: bill.sum,
        paid: bill.paid,
        coupons: bill.by_coupons(),
        credited: bill.credited(),
        written_off: bill.written_off,
        due: bill.due(),
        issued: bill.issued,
    }
}

fn line_row(payer: &str, month: Instant, line: &Line) -> LineRow {
    LineRow {
        id: line.id.clone(),
        payer: payer.to_owned(),
        month,
        account: line.account.clone(),
        kind: line.kind.name().to_owned(),
        subscription: line.key.as_ref().map(|key| key.subscription.clone()),
        plan: line.plan.clone(),
        description: line.description.clone(),
        quantity: line.quantity,
        unit: line.unit.clone(),
        list: line.list,
        discount: line.discount,
        amount: line.amount,
        period: line.period,
        posted: line.posted,
        corrects: line.corrects.clone(),
        formula: line.formula.clone(),
        explanation: line.explanation.clone(),
    }
}

fn package_row(payer: &Account, bucket: &str) -> Option<PackageRow> {
    let bucket = payer.packages.bucket(bucket)?;
    Some(PackageRow {
        bucket: bucket.id.clone(),
        payer: payer.head.id.clone(),
        account: bucket.account.clone(),
        subscription: bucket.subscription.clone(),
        title: bucket.title.clone(),
        unit: bucket.unit.clone(),
        span: bucket.span,
        expires: bucket.expires,
        units: Units::of(&payer.ledger, &bucket.id),
    })
}
