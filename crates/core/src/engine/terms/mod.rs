//! Prepaid terms: bought, renewed, changed, given up; trials; what is earned of them.

mod admission;
mod calendar;
mod migration;
mod plan;
mod purchase;
mod recognition;
mod refund;
mod refusal;
mod renewal;
mod still;

pub use calendar::{Renewal, Way, renewals};
pub use refusal::{CODES, Refusal};

pub(super) use admission::{Admission, Wish};
pub(super) use purchase::Bought;
pub(super) use recognition::due as recognition_due;

use super::fact::{book_payments, touch_rivals};
use super::{ApplyError, Desk, due};
use crate::account::{Account, Group, View};
use crate::calendar::Instant;
use crate::ledger::Posting;
use crate::money::{Amount, Exact};
use crate::subscription::Subscription;
use crate::term::{AutoRenewal, Deferral, NextPlan, PaidPeriod, Term};
use std::collections::BTreeMap;

impl From<Fact> for super::Fact {
    fn from(fact: Fact) -> super::Fact {
        super::Fact::Terms(fact)
    }
}

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Renew by itself, or no longer (R-REN-3).
    AutoRenew {
        /// The subscription.
        subscription: String,
        /// At most so many renewals (0: any number); `None`: no longer.
        limit: Option<u16>,
    },
    /// Bring a balance along from another system (R-OPEN-1).
    MigrateBalance {
        /// How much, in the account's currency.
        amount: Exact,
    },
    /// Bring a running term along, paid for already (R-OPEN-1).
    MigrateTerm(Box<MigratedTerm>),
}

/// A running term of another system (R-OPEN-1).
#[derive(Clone, Debug, PartialEq)]
pub struct MigratedTerm {
    /// The plan, or `catalogue:plan`.
    pub plan: String,
    /// The subscription's name; the plan's name when not given.
    pub name: Option<String>,
    /// Units, above zero.
    pub quantity: i64,
    /// Its real start.
    pub from: Instant,
    /// Its real end.
    pub until: Instant,
    /// What was paid for it.
    pub paid: Exact,
    /// Units of its packages that were used already, of the running quota period: by the grant, or
    /// of the only one.
    pub used: Vec<(Option<String>, Exact)>,
    /// Bound attributes, options, application, project, tags.
    pub attributes: BTreeMap<String, String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Renewals by themselves were set, tried, or ended.
    AutoRenewal {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// How they stand now.
        auto: Option<AutoRenewal>,
    },
    /// What ends with another subscription has another end, with it.
    Prolonged {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The end that it had.
        from: Instant,
        /// The end that it has.
        until: Instant,
    },
    /// A plan was chosen for when what is paid for ends, or taken back.
    PlanPlanned {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The plans that it changes to, the next one first.
        next: Vec<NextPlan>,
    },
    /// The plan changed.
    PlanChanged {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The plan that it has now.
        plan: String,
        /// From when.
        from: Instant,
        /// What is paid for now, where the change touched that: all periods.
        periods: Option<Vec<PaidPeriod>>,
    },
    /// What was paid for terms was recognised as earned.
    Recognised {
        /// The account that pays.
        payer: String,
        /// Of which periods.
        of: Vec<Recognition>,
        /// The movements of money.
        postings: Vec<Posting>,
    },
    /// A balance was brought along.
    Opened {
        /// The account that pays.
        payer: String,
        /// The movements of money.
        postings: Vec<Posting>,
        /// What was paid of which month's bill.
        paid: Vec<(Instant, Amount)>,
    },
    /// A running term was brought along.
    Migrated {
        /// The account.
        account: String,
        /// The account that pays.
        payer: String,
        /// The subscription.
        subscription: Box<Subscription>,
        /// What another system has earned of it.
        recognised: Amount,
        /// The movements of money.
        postings: Vec<Posting>,
    },
}

/// What is recognised of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// The account.
    pub account: String,
    /// The subscription.
    pub subscription: String,
    /// Start of the period.
    pub start: Instant,
    /// How much more is earned; below zero where less was consumed than recognised.
    pub amount: Amount,
    /// Up to when.
    pub until: Instant,
    /// Whether nothing more is to come.
    pub done: bool,
}

pub(super) fn decide(desk: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    match action {
        Action::AutoRenew { subscription, limit } => desk.auto_renew(subscription, *limit),
        Action::MigrateBalance { amount } => desk.migrate_balance(*amount),
        Action::MigrateTerm(term) => desk.migrate_term(term),
    }
}

/// When time next does something about the terms of a payer and its members.
pub(super) fn next_due(view: &dyn View, payer: &str) -> Option<Instant> {
    let firsts = due::group(view, payer).into_iter().filter_map(|name| view.term_due(&name));
    firsts.map(|(at, _)| at).min()
}

/// Does what is due first: one subscription at a time, since each can take from the balance.
pub(super) fn on_time(desk: &Desk<'_>) -> Result<Vec<super::Fact>, super::Refusal> {
    let names = due::group(desk.view, &desk.payer.id);
    let firsts = names.iter().filter_map(|name| Some((desk.view.term_due(name)?, name)));
    let Some(((at, subscription), name)) = firsts.min() else { return Ok(Vec::new()) };
    let Some(account) = desk.view.account(name).filter(|_| at <= desk.at) else { return Ok(Vec::new()) };
    Desk { account, ..*desk }.term_on_time(&subscription)
}

impl Group {
    pub(super) fn apply_terms(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::AutoRenewal { account, subscription, auto } => {
                self.term_mut(account, subscription)?.auto = *auto;
                self.account_mut(account)?.note_due(subscription);
            }
            Fact::Prolonged { account, subscription: name, from, until } => {
                self.subscription_mut(account, name)?.end = Some(*until);
                touch_rivals(self.account_mut(account)?, name, *from);
            }
            Fact::PlanPlanned { account, subscription, next } => {
                self.term_mut(account, subscription)?.next_plans.clone_from(next);
                self.account_mut(account)?.note_due(subscription);
            }
            Fact::PlanChanged { account, subscription: name, plan, from, periods } => {
                let subscription = self.subscription_mut(account, name)?;
                let before = std::mem::replace(&mut subscription.plan, plan.clone());
                subscription.earlier.push((before, *from));
                if let Some(term) = &mut subscription.term {
                    term.next_plans.retain(|next| periods.is_none() && next.from > *from);
                    if let Some(periods) = periods {
                        term.periods.clone_from(periods);
                    }
                }
                // Its rhythm is that of both plans now.
                self.subscription_mut(account, name)?;
                let account = self.account_mut(account)?;
                account.note_due(name);
                touch_rivals(account, name, *from);
                if let Some(periods) = periods {
                    account.defer_anew(name, *from, periods);
                }
            }
            Fact::Recognised { payer, of, postings } => {
                for one in of {
                    let deferred = &mut self.account_mut(&one.account)?.deferred;
                    let key = (one.subscription.clone(), one.start);
                    if one.done {
                        deferred.remove(&key);
                    } else if let Some(known) = deferred.get_mut(&key) {
                        known.recognised = known.recognised.add(one.amount)?;
                        known.until = one.until;
                    }
                }
                book_payments(self.account_mut(payer)?, postings, &[])?;
            }
            Fact::Opened { payer, postings, paid } => {
                book_payments(self.account_mut(payer)?, postings, paid)?;
            }
            Fact::Migrated { account, payer, subscription, recognised, postings } => {
                let brought = self.account_mut(account)?;
                brought.roster.open(subscription);
                let name = &subscription.name;
                brought.roster.open(subscription);
                brought.subscriptions.insert(name.clone(), subscription.clone());
                brought.defer(name, subscription.term.iter().flat_map(|term| &term.periods));
                for period in subscription.term.iter().flat_map(|term| &term.periods) {
                    if let Some(known) = brought.deferred.get_mut(&(name.clone(), period.span.start)) {
                        known.recognised = *recognised;
                        known.until =
                            subscription.term.as_ref().and_then(|term| term.migrated).unwrap_or(known.until);
                    }
                }
                book_payments(self.account_mut(payer)?, postings, &[])?;
            }
        }
        Ok(())
    }

    fn term_mut(&mut self, account: &str, name: &str) -> Result<&mut Term, ApplyError> {
        let subscription = self.subscription_mut(account, name)?;
        subscription.term.as_mut().ok_or_else(|| ApplyError(format!("no term of {account}/{name}")))
    }
}

impl Account {
    /// Notes when something about a subscription's term is due.
    pub(super) fn note_due(&mut self, name: &str) {
        let due = self.subscriptions.get(name).and_then(|one| one.term.as_ref()?.due());
        self.agenda.set(name, due);
    }

    /// What was paid for periods is earned as they go by.
    pub(super) fn defer<'p>(&mut self, name: &str, periods: impl Iterator<Item = &'p PaidPeriod>) {
        for period in periods.filter(|period| !period.paid.is_zero()) {
            self.deferred.insert((name.to_owned(), period.span.start), Deferral::of(period));
        }
    }

    /// The periods of a term are others from a moment on; what is recognised of those that go on stays.
    fn defer_anew(&mut self, name: &str, from: Instant, periods: &[PaidPeriod]) {
        let known: Vec<_> = self.deferred.keys().filter(|(one, _)| one == name).cloned().collect();
        let before: BTreeMap<_, _> = known.iter().filter_map(|key| self.deferred.remove_entry(key)).collect();
        let key = |period: &PaidPeriod| (name.to_owned(), period.span.start);
        let is_open = |period: &&PaidPeriod| period.span.start >= from || before.contains_key(&key(period));
        self.defer(name, periods.iter().filter(is_open));
        for (key, before) in &before {
            if let Some(now) = self.deferred.get_mut(key) {
                (now.recognised, now.until) = (before.recognised, before.until);
            }
        }
    }
}
