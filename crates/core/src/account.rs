//! The state of an account, and the view of it that decisions are made on.
//!
//! [`View`] loads by key, so that a store need not hold an account in memory to decide about it.
//! [`Group`] is the view in memory: what tests, books and the in-memory twin of every store use.

use crate::bill::{Bill, BillHold, ChargeKey, Charged, CreditNote, Line, LineKind};
use crate::budget::{Budget, Spending};
use crate::calendar::{Instant, Span, Zone};
use crate::engine::credit::Headroom;
use crate::hold::{Hold, Holds, Place};
use crate::ledger::{Ledger, LedgerAccount};
use crate::licence::Application;
use crate::lifecycle::{Lifecycle, Step};
use crate::money::{Amount, Currency, Exact, OutOfRange};
use crate::notice::Notice;
use crate::package::{Bucket, Missed, Packages, Share, Units};
use crate::roster::{Rhythm, Roster};
use crate::subscription::Subscription;
use crate::term::{Agenda, Deferral, DeferralKey};
use crate::wallet::{Corrected, Coupon, Wallet};
use std::collections::{BTreeMap, BTreeSet};

/// What every decision about an account needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountHead {
    /// Its name in books and bills.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// The one currency of its money.
    pub currency: Currency,
    /// The wall clock of its bills' months.
    pub zone: Zone,
    /// When it was opened.
    pub opened: Instant,
    /// The master account that pays for it (R-ORG-1). `None`: it pays for itself.
    pub payer: Option<String>,
    /// Negotiated prices (R-NEG-1).
    pub prices: Vec<AgreedPrice>,
    /// Commercial discounts (R-CEC-8).
    pub discounts: Vec<Discount>,
    /// How often everything was given back soon after an order (R-UNS-2).
    pub full_refunds: u16,
}

/// A price negotiated with one account (R-NEG-1).
#[derive(Clone, Debug, PartialEq)]
pub struct AgreedPrice {
    /// The plan.
    pub plan: String,
    /// The charge of the plan.
    pub charge: String,
    /// Price of a unit instead of the list's.
    pub price: Exact,
    /// The usage time in which it holds.
    pub valid: Span,
}

/// A discount of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Discount {
    /// 10 for 10 %; above 0, at most 100.
    pub percent: Exact,
    /// Only on this plan.
    pub plan: Option<String>,
    /// Only on this charge of the plan.
    pub charge: Option<String>,
    /// The settlements at which it is in force (R-MON-2).
    pub valid: Span,
}

/// The figures of a bill that a settlement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillHead {
    /// Lines so far.
    pub lines: usize,
    /// Their exact sum.
    pub sum: Amount,
    /// The rounded sum that has been charged.
    pub posted: Amount,
    /// What was paid of it with money.
    pub paid: Amount,
    /// What coupons paid of it.
    pub coupons: Amount,
    /// What credit notes took off it.
    pub credited: Amount,
    /// How many credit notes.
    pub credits: usize,
    /// What was written off.
    pub written_off: Amount,
    /// Whether it is issued.
    pub issued: bool,
}

/// What decisions read, each piece by its key.
pub trait View {
    /// An account.
    fn account(&self, account: &str) -> Option<&AccountHead>;
    /// A subscription of an account.
    fn subscription(&self, account: &str, name: &str) -> Option<&Subscription>;
    /// The names of an account's subscriptions, in order.
    fn subscriptions(&self, account: &str) -> Vec<String>;
    /// Those with something left to settle, and those that ended later than a moment, by name.
    fn subscriptions_since(&self, account: &str, since: Instant) -> Vec<&Subscription>;
    /// Those that ended later than a moment and are settled to their end, by name.
    fn settled_since(&self, account: &str, since: Instant) -> Vec<&Subscription>;
    /// What decides when those with something left to settle are due.
    fn rhythms(&self, account: &str) -> Vec<&Rhythm>;
    /// What has been charged for an accumulation of a charge of a subscription.
    fn charged(
        &self,
        account: &str,
        subscription: &str,
        charge: &str,
        accumulation: Instant,
    ) -> Vec<(ChargeKey, Charged)> {
        self.charged_since(account, subscription, charge, accumulation, Instant::MIN)
    }
    /// The same, of stretches that start at a moment or later.
    fn charged_since(
        &self,
        account: &str,
        subscription: &str,
        charge: &str,
        accumulation: Instant,
        from: Instant,
    ) -> Vec<(ChargeKey, Charged)>;
    /// The bill of the month that starts then.
    fn bill(&self, account: &str, month: Instant) -> Option<BillHead>;
    /// Months with something owed, oldest first, and how much.
    fn unpaid(&self, account: &str) -> Vec<(Instant, Amount)>;
    /// From when on what is owed of the bill of a month is arrears, where that was put off.
    fn due_at(&self, account: &str, month: Instant) -> Option<Instant>;
    /// Why the bill of a month is held back, where it is.
    fn bill_hold(&self, account: &str, month: Instant) -> Option<&BillHold>;
    /// The prepaid balance.
    fn prepaid(&self, account: &str) -> Amount;
    /// How much an account that pays may owe. `None`: nobody has said.
    fn credit_limit(&self, account: &str) -> Option<Amount>;
    /// What is held for sessions of a payer and its members beyond its balance.
    fn held_on_credit(&self, payer: &str) -> Amount;
    /// What of the balance is held for them.
    fn held_money(&self, payer: &str) -> Amount;
    /// The accounts that a master account pays for, in order, without itself.
    fn members(&self, payer: &str) -> Vec<String>;
    /// The budgets of an account, in the order of their names.
    fn budgets(&self, account: &str) -> Vec<&Budget>;
    /// What an account's lines of a month come to, by the start of the month of the payer's bill.
    fn spending(&self, account: &str, month: Instant) -> Option<&Spending>;
    /// Who holds licences of an application of an account.
    fn application(&self, account: &str, application: &str) -> Option<&Application>;
    /// The tier and arrears of an account, and its subscriptions that are not active.
    fn lifecycle(&self, account: &str) -> Option<&Lifecycle>;
    /// A coupon, used up and ended ones too.
    fn coupon(&self, account: &str, id: &str) -> Option<&Coupon>;
    /// Coupons with something left, in the order of [`Wallet::live`].
    fn coupons(&self, account: &str) -> Vec<&Coupon>;
    /// Coupons that have ended by a moment with something left.
    fn coupons_ended(&self, account: &str, at: Instant) -> Vec<&Coupon>;
    /// When the next coupon ends.
    fn next_coupon_end(&self, account: &str) -> Option<Instant>;
    /// What each coupon paid of what the bill of a month charges itself: [`Wallet::paid`].
    fn paid_by_coupons(&self, account: &str, month: Instant) -> Vec<(String, Amount)>;
    /// What corrections made of the bill of a month.
    fn corrected(&self, account: &str, month: Instant) -> Corrected;
    /// A line of the bill of a month, by its number from 1.
    fn line(&self, account: &str, month: Instant, number: usize) -> Option<&Line>;
    /// What adjustments have added to a line, and credit notes about it have taken off.
    fn line_changes(&self, account: &str, line: &Line, month: Instant) -> Amount;
    /// What all lines for the same as this one, or about one of them, come to, less credit notes about them. `None`: it is
    /// for nothing that could be corrected.
    fn comes_to(&self, account: &str, line: &Line) -> Option<Amount>;
    /// What adjustments of all lines for the same have added since a moment, and credit notes about them have taken off: of
    /// the lines of an account on the bills of its payer.
    fn by_hand(&self, payer: &str, account: &str, key: &ChargeKey, since: Instant) -> Amount;
    /// What is due first about the terms of an account's subscriptions: when, and which.
    fn term_due(&self, account: &str) -> Option<(Instant, String)>;
    /// What was paid for an account's terms and is not all earned yet.
    fn deferrals(&self, account: &str) -> Vec<(DeferralKey, Deferral)>;
    /// The buckets of a payer and its members for usage of a meter within a span.
    fn buckets(&self, payer: &str, catalogue: &str, meter: &str, within: Span) -> Vec<&Bucket>;
    /// A bucket by its id.
    fn bucket(&self, payer: &str, id: &str) -> Option<&Bucket>;
    /// What became of a bucket's units.
    fn units(&self, payer: &str, bucket: &str) -> Units;
    /// The latest bucket of a grant of a subscription, and which of its periods that is.
    fn latest_bucket(
        &self,
        payer: &str,
        account: &str,
        subscription: &str,
        grant: &str,
    ) -> Option<(u32, &Bucket)>;
    /// The latest bucket of each grant of a subscription.
    fn latest_buckets(&self, payer: &str, account: &str, subscription: &str) -> Vec<&Bucket>;
    /// The bucket that expires first, of those that have not.
    fn first_to_expire(&self, payer: &str) -> Option<&Bucket>;
    /// The buckets that expire at a moment, or should have before.
    fn expiring(&self, payer: &str, at: Instant) -> Vec<&Bucket>;
    /// Whether what was left of a bucket has expired.
    fn is_expired(&self, payer: &str, bucket: &Bucket) -> bool;
    /// Members that may draw from the buckets of a subscription (R-ORG-1).
    fn shares(&self, payer: &str, account: &str, subscription: &str) -> &[Share];
    /// Whether an alert of a bucket has been given (R-PKG-4).
    fn is_alerted(&self, payer: &str, bucket: &str, alert: usize) -> bool;
    /// Charges of usage that went past buckets while sessions held what was left of them.
    fn missed(&self, payer: &str) -> Vec<(&str, &Missed)>;
    /// A hold of an account, one that has ended too.
    fn hold(&self, payer: &str, account: &str, id: &str) -> Option<&Hold>;
    /// The open holds of a payer and its members whose deadline has come, the earliest first.
    fn holds_past(&self, payer: &str, at: Instant) -> Vec<&Hold>;
    /// The next deadline of a hold.
    fn next_hold_end(&self, payer: &str) -> Option<Instant>;
    /// The holds that have ended and let the money that they keep go by a moment.
    fn holds_settling(&self, payer: &str, at: Instant) -> Vec<&Hold>;
    /// When money of ended holds is let go next.
    fn next_hold_settling(&self, payer: &str) -> Option<Instant>;
    /// How many open holds of an account have a place.
    fn places_taken(&self, payer: &str, account: &str, place: &Place) -> u32;
}

/// A billing group in memory: accounts that share a payer. Its facts are its only source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Boxed, as are other large values of maps here: a map makes room for eleven at once.
    pub(crate) accounts: BTreeMap<String, Box<Account>>,
}

/// An account in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Name, money, prices.
    pub head: AccountHead,
    /// Subscriptions by name.
    pub subscriptions: BTreeMap<String, Box<Subscription>>,
    /// Which of them a settlement must look at.
    pub roster: Roster,
    /// The accounts that it pays for.
    pub members: BTreeSet<String>,
    /// The months with something owed.
    pub owed: BTreeSet<Instant>,
    /// What was charged, by key.
    pub charged: BTreeMap<ChargeKey, Charged>,
    /// Bills by the start of their month.
    pub bills: BTreeMap<Instant, Box<Bill>>,
    /// Its money, and the quotas that it and its members have.
    pub ledger: Ledger,
    /// What it and its members were told, in order. A member's are its payer's.
    pub notices: Vec<Notice>,
    /// What a month may cost (R-BUD-1), by name.
    pub budgets: BTreeMap<String, Budget>,
    /// What was spent, by the start of the month; of a master with what its members spent.
    pub spending: BTreeMap<Instant, Spending>,
    /// Who holds licences, by application.
    pub licences: BTreeMap<String, Application>,
    /// Its tier, arrears, and subscriptions that are not active.
    pub lifecycle: Lifecycle,
    /// How that came about, in order.
    pub history: Vec<Step>,
    /// Its coupons.
    pub wallet: Wallet,
    /// When something about its terms is due next.
    pub agenda: Agenda,
    /// What was paid for time to come and is not earned yet.
    pub deferred: BTreeMap<DeferralKey, Deferral>,
    /// The packages of itself and its members, where it pays.
    pub packages: Packages,
    /// What is held for sessions of itself and its members, where it pays.
    pub holds: Holds,
}

impl AccountHead {
    /// The account that pays: the master, or itself.
    pub fn payer(&self) -> &str {
        self.payer.as_deref().unwrap_or(&self.id)
    }
}

impl Account {
    /// What of its balance is held for sessions.
    pub fn held_money(&self) -> Amount {
        self.ledger.balance(&LedgerAccount::Held).negated()
    }

    /// What sessions hold beyond its balance: no money, but a part of its credit limit.
    pub fn held_on_credit(&self) -> Amount {
        Amount::from_units(self.holds.money().units() - self.held_money().units())
    }

    /// What it may still take on, where it has a credit limit.
    ///
    /// # Errors
    /// [`OutOfRange`] when what is owed does not fit.
    pub fn headroom(&self) -> Result<Option<Headroom>, OutOfRange> {
        let Some(limit) = self.wallet.credit_limit() else { return Ok(None) };
        let owed = self.owed.iter().filter_map(|month| self.bills.get(month));
        let owed = owed.map(|bill| bill.due().max(Amount::ZERO));
        Ok(Some(Headroom {
            limit: limit.amount,
            balance: self.ledger.prepaid(),
            owed: owed.into_iter().try_fold(Amount::ZERO, Amount::add)?,
            held: self.held_on_credit(),
        }))
    }

    /// The same as one amount, which answers show; below zero where more is owed than the limit. `None`: it has no
    /// credit limit, or the amount does not fit.
    pub fn headroom_left(&self) -> Option<Amount> {
        self.headroom().ok().flatten()?.left().ok()
    }

    /// Keeps whether anything is owed of a month's bill.
    pub(crate) fn note_owed(&mut self, month: Instant) {
        match self.bills.get(&month).is_some_and(|bill| bill.due() > Amount::ZERO) {
            true => self.owed.insert(month),
            false => self.owed.remove(&month),
        };
    }
}

impl Group {
    /// An account of the group.
    pub fn get(&self, account: &str) -> Option<&Account> {
        self.accounts.get(account).map(Box::as_ref)
    }

    fn packages(&self, payer: &str) -> Option<&Packages> {
        self.accounts.get(payer).map(|account| &account.packages)
    }

    fn holds(&self, payer: &str) -> Option<&Holds> {
        self.accounts.get(payer).map(|account| &account.holds)
    }

    /// All accounts, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().map(Box::as_ref)
    }
}

impl View for Group {
    fn account(&self, account: &str) -> Option<&AccountHead> {
        self.accounts.get(account).map(|account| &account.head)
    }

    fn subscription(&self, account: &str, name: &str) -> Option<&Subscription> {
        self.accounts.get(account)?.subscriptions.get(name).map(Box::as_ref)
    }

    fn subscriptions(&self, account: &str) -> Vec<String> {
        let names = |account: &Account| account.subscriptions.keys().cloned().collect();
        self.get(account).map(names).unwrap_or_default()
    }

    fn subscriptions_since(&self, account: &str, since: Instant) -> Vec<&Subscription> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        let names = account.roster.since(since).into_iter();
        names.filter_map(|name| account.subscriptions.get(name).map(Box::as_ref)).collect()
    }

    fn settled_since(&self, account: &str, since: Instant) -> Vec<&Subscription> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        let names: BTreeSet<&str> = account.roster.closed_since(since).collect();
        names.into_iter().filter_map(|name| account.subscriptions.get(name).map(Box::as_ref)).collect()
    }

    fn rhythms(&self, account: &str) -> Vec<&Rhythm> {
        self.accounts.get(account).map(|account| account.roster.rhythms().collect()).unwrap_or_default()
    }

    fn charged_since(
        &self,
        account: &str,
        subscription: &str,
        charge: &str,
        accumulation: Instant,
        from: Instant,
    ) -> Vec<(ChargeKey, Charged)> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        let first = ChargeKey {
            subscription: subscription.to_owned(),
            charge: charge.to_owned(),
            accumulation,
            start: from,
            group: BTreeMap::new(),
            split: Default::default(),
        };
        account
            .charged
            .range(first..)
            .take_while(|(key, _)| {
                key.subscription == subscription && key.charge == charge && key.accumulation == accumulation
            })
            .map(|(key, charged)| (key.clone(), charged.clone()))
            .collect()
    }

    fn bill(&self, account: &str, month: Instant) -> Option<BillHead> {
        let bill = self.accounts.get(account)?.bills.get(&month)?;
        Some(BillHead {
            lines: bill.lines.len(),
            sum: bill.sum,
            posted: bill.posted,
            paid: bill.paid,
            coupons: bill.by_coupons(),
            credited: bill.credited(),
            credits: bill.credits.len(),
            written_off: bill.written_off,
            issued: bill.issued.is_some(),
        })
    }

    fn unpaid(&self, account: &str) -> Vec<(Instant, Amount)> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        let owed = account.owed.iter().filter_map(|month| Some((*month, account.bills.get(month)?.due())));
        owed.filter(|(_, due)| *due > Amount::ZERO).collect()
    }

    fn due_at(&self, account: &str, month: Instant) -> Option<Instant> {
        self.accounts.get(account)?.bills.get(&month)?.due_at
    }

    fn bill_hold(&self, account: &str, month: Instant) -> Option<&BillHold> {
        self.accounts.get(account)?.wallet.bill_hold(month)
    }

    fn prepaid(&self, account: &str) -> Amount {
        self.accounts.get(account).map(|account| account.ledger.prepaid()).unwrap_or_default()
    }

    fn credit_limit(&self, account: &str) -> Option<Amount> {
        self.accounts.get(account)?.wallet.credit_limit().map(|limit| limit.amount)
    }

    fn held_on_credit(&self, payer: &str) -> Amount {
        self.get(payer).map(Account::held_on_credit).unwrap_or_default()
    }

    fn held_money(&self, payer: &str) -> Amount {
        self.get(payer).map(Account::held_money).unwrap_or_default()
    }

    fn members(&self, payer: &str) -> Vec<String> {
        let members = self.accounts.get(payer).map(|payer| payer.members.iter().cloned().collect());
        members.unwrap_or_default()
    }

    fn budgets(&self, account: &str) -> Vec<&Budget> {
        let budgets = self.accounts.get(account).map(|account| account.budgets.values());
        budgets.into_iter().flatten().collect()
    }

    fn spending(&self, account: &str, month: Instant) -> Option<&Spending> {
        self.accounts.get(account)?.spending.get(&month)
    }

    fn application(&self, account: &str, application: &str) -> Option<&Application> {
        self.accounts.get(account)?.licences.get(application)
    }

    fn lifecycle(&self, account: &str) -> Option<&Lifecycle> {
        self.accounts.get(account).map(|account| &account.lifecycle)
    }

    fn coupon(&self, account: &str, id: &str) -> Option<&Coupon> {
        self.accounts.get(account)?.wallet.coupon(id)
    }

    fn coupons(&self, account: &str) -> Vec<&Coupon> {
        self.accounts.get(account).map(|account| account.wallet.live()).unwrap_or_default()
    }

    fn coupons_ended(&self, account: &str, at: Instant) -> Vec<&Coupon> {
        self.accounts.get(account).map(|account| account.wallet.ended(at)).unwrap_or_default()
    }

    fn next_coupon_end(&self, account: &str) -> Option<Instant> {
        self.accounts.get(account)?.wallet.next_end()
    }

    fn paid_by_coupons(&self, account: &str, month: Instant) -> Vec<(String, Amount)> {
        self.accounts.get(account).map(|account| account.wallet.paid(month).to_vec()).unwrap_or_default()
    }

    fn corrected(&self, account: &str, month: Instant) -> Corrected {
        self.accounts.get(account).map(|account| account.wallet.corrected(month)).unwrap_or_default()
    }

    fn line(&self, account: &str, month: Instant, number: usize) -> Option<&Line> {
        let bill = self.accounts.get(account)?.bills.get(&month)?;
        bill.lines.get(number.checked_sub(1)?)
    }

    fn line_changes(&self, account: &str, line: &Line, month: Instant) -> Amount {
        let Some(account) = self.accounts.get(account) else { return Amount::ZERO };
        let notes = account.bills.get(&month).map(|bill| bill.credits.as_slice()).unwrap_or_default();
        let about = notes.iter().filter(|note| note.line.as_deref() == Some(&line.id));
        let credited: i128 = about.map(|note| note.amount.units()).sum();
        Amount::from_units(account.wallet.adjusted(&line.id).units() - credited)
    }

    fn comes_to(&self, account: &str, line: &Line) -> Option<Amount> {
        let (head, key) = (self.accounts.get(account)?, line.key.as_ref()?);
        let alike = lines_for(head, &line.account, key);
        let whole = Amount::from_units(alike.iter().map(|line| line.amount.units()).sum());
        let whole = whole.round_to_minor(head.head.currency);
        Some(Amount::from_units(whole.units() - credited(head, &alike, Instant::MIN)))
    }

    fn by_hand(&self, payer: &str, account: &str, key: &ChargeKey, since: Instant) -> Amount {
        let Some(head) = self.accounts.get(payer) else { return Amount::ZERO };
        let alike = lines_for(head, account, key);
        let is_by_hand = |line: &&&Line| line.kind == LineKind::Adjustment && line.posted >= since;
        let adjusted: i128 = alike.iter().filter(is_by_hand).map(|line| line.amount.units()).sum();
        Amount::from_units(adjusted - credited(head, &alike, since))
    }

    fn term_due(&self, account: &str) -> Option<(Instant, String)> {
        let (at, subscription) = self.accounts.get(account)?.agenda.first()?;
        Some((at, subscription.to_owned()))
    }

    fn deferrals(&self, account: &str) -> Vec<(DeferralKey, Deferral)> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        account.deferred.iter().map(|(key, deferral)| (key.clone(), *deferral)).collect()
    }

    fn buckets(&self, payer: &str, catalogue: &str, meter: &str, within: Span) -> Vec<&Bucket> {
        self.packages(payer).map(|all| all.serving(catalogue, meter, within)).unwrap_or_default()
    }

    fn bucket(&self, payer: &str, id: &str) -> Option<&Bucket> {
        self.packages(payer)?.bucket(id)
    }

    fn units(&self, payer: &str, bucket: &str) -> Units {
        self.accounts.get(payer).map(|account| Units::of(&account.ledger, bucket)).unwrap_or_default()
    }

    fn latest_bucket(
        &self,
        payer: &str,
        account: &str,
        subscription: &str,
        grant: &str,
    ) -> Option<(u32, &Bucket)> {
        self.packages(payer)?.latest(account, subscription, grant)
    }

    fn latest_buckets(&self, payer: &str, account: &str, subscription: &str) -> Vec<&Bucket> {
        let packages = self.packages(payer);
        packages.map(|all| all.latest_of(account, subscription).collect()).unwrap_or_default()
    }

    fn first_to_expire(&self, payer: &str) -> Option<&Bucket> {
        self.packages(payer)?.first_to_expire()
    }

    fn expiring(&self, payer: &str, at: Instant) -> Vec<&Bucket> {
        self.packages(payer).map(|all| all.expiring(at).collect()).unwrap_or_default()
    }

    fn is_expired(&self, payer: &str, bucket: &Bucket) -> bool {
        self.packages(payer).is_some_and(|all| all.is_expired(bucket))
    }

    fn shares(&self, payer: &str, account: &str, subscription: &str) -> &[Share] {
        self.packages(payer).map(|all| all.shares(account, subscription)).unwrap_or_default()
    }

    fn is_alerted(&self, payer: &str, bucket: &str, alert: usize) -> bool {
        self.packages(payer).is_some_and(|all| all.is_alerted(bucket, alert))
    }

    fn missed(&self, payer: &str) -> Vec<(&str, &Missed)> {
        self.packages(payer).map(|all| all.missed().collect()).unwrap_or_default()
    }

    fn hold(&self, payer: &str, account: &str, id: &str) -> Option<&Hold> {
        self.holds(payer)?.get(account, id)
    }

    fn holds_past(&self, payer: &str, at: Instant) -> Vec<&Hold> {
        self.holds(payer).map(|all| all.past(at).collect()).unwrap_or_default()
    }

    fn next_hold_end(&self, payer: &str) -> Option<Instant> {
        self.holds(payer)?.next_end()
    }

    fn holds_settling(&self, payer: &str, at: Instant) -> Vec<&Hold> {
        self.holds(payer).map(|all| all.settling(at).collect()).unwrap_or_default()
    }

    fn next_hold_settling(&self, payer: &str) -> Option<Instant> {
        self.holds(payer)?.next_settling()
    }

    fn places_taken(&self, payer: &str, account: &str, place: &Place) -> u32 {
        self.holds(payer).map_or(0, |all| all.taken(account, place))
    }
}

/// The lines for the same of an account on the bills of whoever pays.
fn lines_for<'a>(payer: &'a Account, account: &str, key: &ChargeKey) -> Vec<&'a Line> {
    let lines = payer.bills.values().flat_map(|bill| &bill.lines);
    lines.filter(|line| line.account == account && line.key.as_ref() == Some(key)).collect()
}

/// What credit notes about some lines took off since a moment, in 10⁻⁸ units.
fn credited(payer: &Account, lines: &[&Line], since: Instant) -> i128 {
    let ids: BTreeSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    let is_about = |note: &&CreditNote| note.line.as_deref().is_some_and(|about| ids.contains(about));
    let notes = payer.bills.values().flat_map(|bill| &bill.credits).filter(is_about);
    notes.filter(|note| note.at >= since).map(|note| note.amount.units()).sum()
}
