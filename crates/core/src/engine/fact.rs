//! Facts, and how they change the state.

use super::{budgets, holds, licences, lifecycle, packages, terms, wallet};
use crate::account::{Account, AccountHead, AgreedPrice, Discount, Group};
use crate::bill::{Bill, Line, LineKind};
use crate::calendar::{Instant, Span};
use crate::ledger::{Ledger, Posting};
use crate::lifecycle::Lifecycle;
use crate::money::{Amount, Exact, OutOfRange};
use crate::notice::Notice;
use crate::roster::Roster;
use crate::settlement::Mark;
use crate::subscription::{QuantityChange, Subscription};
use crate::term::PaidPeriod;
use crate::wallet::{Effects, Wallet};
use std::collections::{BTreeMap, BTreeSet};

/// Something that happened, with its outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// An account was opened.
    AccountOpened(Box<AccountHead>),
    /// A plan was ordered.
    Subscribed {
        /// The account.
        account: String,
        /// What was ordered.
        subscription: Box<Subscription>,
    },
    /// A quantity changed.
    QuantityChanged {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The change.
        change: QuantityChange,
    },
    /// A subscription was stopped or started.
    Stopped {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// When.
        at: Instant,
        /// Whether it stopped.
        stopped: bool,
    },
    /// A subscription was given an end.
    Ended {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The first moment after it.
        at: Instant,
    },
    /// A term was prolonged.
    Renewed {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// What was paid for; its end is the subscription's new end.
        period: PaidPeriod,
    },
    /// A prepaid term was given up.
    Unsubscribed {
        /// The account.
        account: String,
        /// The subscription.
        subscription: String,
        /// The first moment after it.
        at: Instant,
        /// Whether everything came back because it was soon after the order.
        in_full: bool,
    },
    /// A price was agreed.
    PriceAgreed {
        /// The account.
        account: String,
        /// The price.
        price: AgreedPrice,
    },
    /// A discount was granted.
    DiscountGranted {
        /// The account.
        account: String,
        /// The discount.
        discount: Discount,
    },
    /// Lines were posted to the open bill of a month.
    Charged {
        /// The account that pays.
        account: String,
        /// The bill.
        bill: String,
        /// Its month.
        month: Span,
        /// The lines.
        lines: Vec<Line>,
        /// The rounded sum of the bill that has now been charged.
        posted: Amount,
        /// The movements of money.
        postings: Vec<Posting>,
        /// What was paid of which month's bill; below zero: given back to the balance.
        paid: Vec<(Instant, Amount)>,
        /// What coupons paid and were given back (R-MON-2).
        effects: Effects,
    },
    /// Charges were settled up to a moment.
    Settled {
        /// How far.
        marks: Vec<Mark>,
        /// Subscriptions that have ended and are settled to their end, by account and name.
        closed: Vec<(String, String)>,
    },
    /// A bill was issued, and never changes from now on.
    BillIssued {
        /// The account.
        account: String,
        /// Start of its month.
        month: Instant,
        /// When.
        at: Instant,
        /// The visible difference between the sum of the lines and the total (R-MON-1).
        rounding: Option<Box<Line>>,
        /// Advice on what was used (RULES.md §3, no. 10).
        notes: Vec<String>,
    },
    /// Money was put on the balance.
    ToppedUp {
        /// The account.
        account: String,
        /// The movements of money.
        postings: Vec<Posting>,
        /// What was paid of which month's bill.
        paid: Vec<(Instant, Amount)>,
    },
    /// Someone is told something.
    Noticed {
        /// The account that pays.
        payer: String,
        /// What is told.
        notice: Notice,
    },
    /// About terms.
    Terms(terms::Fact),
    /// About packages.
    Packages(packages::Fact),
    /// About holds.
    Holds(holds::Fact),
    /// About licences.
    Licences(licences::Fact),
    /// About arrears and what follows.
    Lifecycle(lifecycle::Fact),
    /// About payments.
    Wallet(wallet::Fact),
    /// About budgets.
    Budgets(budgets::Fact),
}

/// A fact that does not fit the state: the facts are incomplete or out of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError(pub String);

impl From<OutOfRange> for ApplyError {
    fn from(error: OutOfRange) -> ApplyError {
        ApplyError(error.to_string())
    }
}

impl Group {
    /// Applies a fact. It decides and rates nothing.
    ///
    /// # Errors
    /// [`ApplyError`] when the fact refers to something that no earlier fact made.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::AccountOpened(head) => {
                let account = Account {
                    head: (**head).clone(),
                    subscriptions: BTreeMap::new(),
                    roster: Roster::default(),
                    members: BTreeSet::new(),
                    owed: BTreeSet::new(),
                    charged: BTreeMap::new(),
                    bills: BTreeMap::new(),
                    ledger: Ledger::default(),
                    notices: Vec::new(),
                    budgets: BTreeMap::new(),
                    spending: BTreeMap::new(),
                    licences: BTreeMap::new(),
                    lifecycle: Lifecycle::default(),
                    history: Vec::new(),
                    wallet: Wallet::default(),
                    agenda: Default::default(),
                    deferred: BTreeMap::new(),
                    packages: Default::default(),
                    holds: Default::default(),
                };
                if let Some(payer) = &head.payer {
                    self.account_mut(payer)?.members.insert(head.id.clone());
                }
                self.accounts.insert(head.id.clone(), Box::new(account));
            }
            Fact::Subscribed { account, subscription } => {
                let account = self.account_mut(account)?;
                account.roster.open(subscription);
                let name = &subscription.name;
                account.subscriptions.insert(name.clone(), subscription.clone());
                account.defer(name, subscription.term.iter().flat_map(|term| &term.periods));
                account.note_due(name);
            }
            Fact::QuantityChanged { account, subscription, change } => {
                let subscription = self.subscription_mut(account, subscription)?;
                subscription.insert_change(*change);
                touch(subscription, change.at);
            }
            Fact::Stopped { account, subscription, at, stopped } => {
                let subscription = self.subscription_mut(account, subscription)?;
                let place = subscription.stops.partition_point(|(known, _)| known <= at);
                subscription.stops.insert(place, (*at, *stopped));
                touch(subscription, *at);
            }
            Fact::Ended { account, subscription, at } => {
                let subscription = self.subscription_mut(account, subscription)?;
                subscription.end = Some(*at);
                // What was settled just before may owe its minimum now that nothing follows.
                touch(subscription, at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(*at));
            }
            Fact::Renewed { account, subscription: name, period } => {
                let subscription = self.subscription_mut(account, name)?;
                subscription.end = Some(period.span.end);
                if let Some(term) = &mut subscription.term {
                    term.months += period.whole_months();
                    term.periods.push(*period);
                }
                let account = self.account_mut(account)?;
                account.defer(name, std::iter::once(period));
                // Renewed after its end, it was there all along.
                touch_rivals(account, name, period.span.start);
            }
            Fact::Unsubscribed { account, subscription: name, at, in_full } => {
                let subscription = self.subscription_mut(account, name)?;
                subscription.end = Some(*at);
                touch(subscription, *at);
                if let Some(term) = &mut subscription.term {
                    term.auto = None;
                    term.next_plans.clear();
                }
                let account = self.account_mut(account)?;
                account.note_due(name);
                account.head.full_refunds += u16::from(*in_full);
            }
            Fact::PriceAgreed { account, price } => {
                let account = self.account_mut(account)?;
                touch_since(account, price.valid.start, |one| one.plans().any(|plan| plan == price.plan));
                account.head.prices.push(price.clone());
            }
            Fact::DiscountGranted { account, discount } => {
                let meant = |one: &Subscription| {
                    discount.plan.as_ref().is_none_or(|plan| one.plans().any(|had| had == plan))
                };
                // A master's discount holds for what it pays for.
                let paid_for =
                    |one: &&mut Box<Account>| one.head.id == *account || one.head.payer() == account;
                for one in self.accounts.values_mut().filter(paid_for) {
                    // A settlement at the very moment of the grant was made without it, and stays so.
                    touch_since(one, discount.valid.start, meant);
                }
                self.account_mut(account)?.head.discounts.push(discount.clone());
            }
            Fact::Charged { account, bill, month, lines, posted, postings, paid, effects } => {
                for line in lines {
                    book_line(self.account_mut(&line.account)?, line)?;
                    self.spend(account, month.start, line)?;
                }
                let account = self.account_mut(account)?;
                let open = account.bills.entry(month.start).or_insert_with(|| {
                    Box::new(Bill {
                        id: bill.clone(),
                        period: *month,
                        lines: Vec::new(),
                        sum: Amount::ZERO,
                        posted: Amount::ZERO,
                        paid: Amount::ZERO,
                        coupons: Vec::new(),
                        credits: Vec::new(),
                        written_off: Amount::ZERO,
                        issued: None,
                        due_at: None,
                        held: account.wallet.bill_hold(month.start).cloned(),
                        notes: Vec::new(),
                    })
                });
                if open.lines.is_empty() {
                    // Most bills get their lines at once, and stay in memory as they are; with one for the rounding.
                    open.lines.reserve_exact(lines.len() + 1);
                }
                for line in lines {
                    open.sum = open.sum.add(line.amount)?;
                    open.lines.push(line.clone());
                    if let (LineKind::Adjustment, Some(adjusted)) = (line.kind, &line.corrects) {
                        account.wallet.adjust(adjusted, line.amount)?;
                    }
                }
                open.posted = *posted;
                wallet::book_effects(account, month.start, effects)?;
                account.note_owed(month.start);
                book_payments(account, postings, paid)?;
            }
            Fact::Settled { marks, closed } => {
                for mark in marks {
                    let account = self.account_mut(&mark.account)?;
                    let subscription = account
                        .subscriptions
                        .get_mut(&mark.subscription)
                        .ok_or_else(|| ApplyError(format!("no subscription {}", mark.subscription)))?;
                    if mark.recheck.is_some() {
                        // Late usage of what was settled to its end waits for a later settlement.
                        account.roster.open(subscription);
                    }
                    subscription.settled.insert(mark.charge.clone(), mark.settled);
                    match mark.recheck {
                        Some(recheck) => subscription.recheck.insert(mark.charge.clone(), recheck),
                        None => subscription.recheck.remove(&mark.charge),
                    };
                    match &mark.progress {
                        Some(progress) => {
                            subscription.progress.insert(mark.charge.clone(), progress.clone());
                        }
                        None => {
                            subscription.progress.remove(&mark.charge);
                        }
                    }
                    if let Some(levels) = &mark.levels {
                        subscription.levels.insert(mark.charge.clone(), levels.clone());
                    }
                }
                for (account, name) in closed {
                    let account = self.account_mut(account)?;
                    if let Some(subscription) = account.subscriptions.get(name) {
                        account.roster.close(subscription);
                    }
                }
            }
            Fact::BillIssued { account, month, at, rounding, notes } => {
                let account = self.account_mut(account)?;
                let bill =
                    account.bills.get_mut(month).ok_or_else(|| ApplyError("a bill without lines".into()))?;
                bill.issued = Some(*at);
                bill.notes.clone_from(notes);
                if let Some(line) = rounding {
                    bill.sum = bill.sum.add(line.amount)?;
                    bill.lines.push((**line).clone());
                }
            }
            Fact::ToppedUp { account, postings, paid } => {
                book_payments(self.account_mut(account)?, postings, paid)?;
            }
            Fact::Noticed { payer, notice } => self.account_mut(payer)?.notices.push(notice.clone()),
            Fact::Terms(fact) => self.apply_terms(fact)?,
            Fact::Packages(fact) => self.apply_packages(fact)?,
            Fact::Holds(fact) => self.apply_holds(fact)?,
            Fact::Licences(fact) => self.apply_licences(fact)?,
            Fact::Lifecycle(fact) => self.apply_lifecycle(fact)?,
            Fact::Wallet(fact) => self.apply_wallet(fact)?,
            Fact::Budgets(fact) => self.apply_budgets(fact)?,
        }
        Ok(())
    }

    pub(super) fn account_mut(&mut self, account: &str) -> Result<&mut Account, ApplyError> {
        self.accounts
            .get_mut(account)
            .map(Box::as_mut)
            .ok_or_else(|| ApplyError(format!("no account {account}")))
    }

    /// A subscription that changes: something of it may be left to settle again.
    pub(super) fn subscription_mut(
        &mut self,
        account: &str,
        name: &str,
    ) -> Result<&mut Subscription, ApplyError> {
        let of = self.account_mut(account)?;
        let found = of.subscriptions.get_mut(name);
        let found = found.ok_or_else(|| ApplyError(format!("no subscription {account}/{name}")))?;
        of.roster.open(found);
        Ok(found)
    }
}

/// Notes that settled time from this moment on must be rated again.
pub(super) fn touch(subscription: &mut Subscription, from: Instant) {
    for (charge, settled) in &subscription.settled {
        if from < *settled {
            let recheck = subscription.recheck.entry(charge.clone()).or_insert(from);
            *recheck = from.min(*recheck);
        }
    }
}

/// The same for those of an account that a moment still matters to.
fn touch_since(account: &mut Account, from: Instant, meant: impl Fn(&Subscription) -> bool) {
    let names: Vec<String> = account.roster.since(from).into_iter().map(str::to_owned).collect();
    for name in names {
        let Some(subscription) = account.subscriptions.get_mut(&name) else { continue };
        if meant(subscription) && subscription.settled.values().any(|settled| from < *settled) {
            touch(subscription, from);
            account.roster.open(subscription);
        }
    }
}

/// The same for a subscription, and for those of its product, as usage that it takes or leaves from a moment
/// on is theirs or not.
pub(super) fn touch_rivals(account: &mut Account, name: &str, from: Instant) {
    let Some(one) = account.subscriptions.get_mut(name) else { return };
    touch(one, from);
    let (catalogue, product) = (one.catalogue.clone(), one.product.clone());
    touch_since(account, from, |other| other.catalogue == catalogue && other.product == product);
}

/// Adds a line to what was charged for its key.
fn book_line(account: &mut Account, line: &Line) -> Result<(), ApplyError> {
    let Some(key) = line.key.as_ref().filter(|_| !line.kind.by_hand()) else { return Ok(()) };
    let charged = account.charged.entry(key.clone()).or_default();
    charged.quantity = charged.quantity.add(line.quantity)?;
    charged.free = charged.free.add(line.free)?;
    charged.list = charged.list.add(line.list)?;
    charged.amount = charged.amount.add(line.amount)?;
    charged.period = Some(line.period);
    charged.unit.clone_from(&line.unit);
    for draw in &line.drawn {
        let shown = charged.shown.entry(draw.bucket.clone()).or_default();
        *shown = shown.add(draw.units)?;
    }
    charged.shown.retain(|_, units| !units.is_zero());
    // A line is the difference to what is known now, and so has given it back.
    charged.credited = Exact::ZERO;
    // What is bought anew, after a change of plan, is what comes back later.
    if charged.line.is_empty() || line.kind == LineKind::Purchase {
        charged.line.clone_from(&line.id);
    }
    Ok(())
}

pub(super) fn book_payments(
    account: &mut Account,
    postings: &[Posting],
    paid: &[(Instant, Amount)],
) -> Result<(), ApplyError> {
    account.ledger.post_all(postings)?;
    for (month, amount) in paid {
        let bill = account.bills.get_mut(month).ok_or_else(|| ApplyError("a payment of no bill".into()))?;
        bill.paid = bill.paid.add(*amount)?;
        account.note_owed(*month);
    }
    Ok(())
}
