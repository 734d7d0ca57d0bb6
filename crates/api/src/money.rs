//! Money of an account: balance, statement, ledger, what is held for sessions, what is deferred.

use crate::bill::{Period, period};
use farebox_core::account::{Account, AccountHead, Group};
use farebox_core::calendar::{Instant, Span};
use farebox_core::hold;
use farebox_core::ledger::{LedgerAccount, Posting as CorePosting, Unit};
use farebox_core::money::{Amount, Exact, OutOfRange};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What an account has and owes. A member's money is its master's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// The account that pays.
    pub payer: String,
    /// The currency.
    pub currency: String,
    /// Prepaid money that is not held.
    pub balance: String,
    /// Money held for sessions.
    pub held: String,
    /// What is due of all bills, drafts too.
    pub due: String,
    /// How much it may owe; `null`: nobody has said, or its master has a limit.
    pub credit_limit: Option<String>,
    /// What sessions hold beyond the balance: no money, but a part of the credit limit.
    pub held_on_credit: String,
    /// The credit limit and the balance, less what is due and held on credit: what may still be taken on. Below
    /// zero where more is due; `null` without a limit.
    pub headroom: Option<String>,
    /// Coupons with something left, in the order in which they pay.
    pub coupons: Vec<CouponLeft>,
}

/// What is left of a coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CouponLeft {
    /// Its name.
    pub id: String,
    /// What it was worth when it was granted.
    pub granted: String,
    /// What is left.
    pub left: String,
    /// The plan or product that it is for; `null`: everything.
    pub on: Option<String>,
    /// The first moment at which it is worth nothing.
    pub until: Option<String>,
}

/// A ledger account of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerBalance {
    /// Its name: docs/ledger.md.
    pub ledger: String,
    /// The currency, or the unit of a quota.
    pub unit: String,
    /// Debits less credits.
    pub value: String,
}

/// A balanced movement in a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Posting {
    /// Its number in the account's ledger, from 1.
    pub number: usize,
    /// When.
    pub at: String,
    /// What for.
    pub memo: String,
    /// They sum to zero in each unit.
    pub entries: Vec<LedgerBalance>,
}

/// What came in and went out of an account's money in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Statement {
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// The time; `null`: all time.
    pub period: Option<Period>,
    /// What there was before.
    pub opening: String,
    /// The movements, in the order of time.
    pub rows: Vec<StatementRow>,
    /// What came in.
    pub came_in: String,
    /// What went out.
    pub went_out: String,
    /// What there is afterwards.
    pub closing: String,
    /// What `after` takes for the movements that follow; `null`: these are all. The sums are of all.
    pub next: Option<String>,
}

/// A movement of an account's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatementRow {
    /// The number of its posting in the account's ledger.
    pub number: usize,
    /// When.
    pub at: String,
    /// What for.
    pub what: String,
    /// What came in.
    pub came_in: String,
    /// What went out.
    pub went_out: String,
    /// What there is then.
    pub balance: String,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hold {
    /// Its name.
    pub id: String,
    /// The source that its usage record will bear.
    pub source: String,
    /// The type of its usage.
    pub kind: String,
    /// When it began.
    pub since: String,
    /// Without a word by then, it expires.
    pub until: String,
    /// Until when what is granted may be used.
    pub valid_until: String,
    /// What was asked for.
    pub asked: String,
    /// What of it was granted; less than asked: no more is.
    pub granted: String,
    /// What is used, as it was said last.
    pub used: String,
    /// Money that is held.
    pub money: String,
    /// Units that are held, by bucket.
    pub units: BTreeMap<String, String>,
    /// How many places among sessions at once it takes, by what provides them.
    pub places: BTreeMap<String, u32>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Whether it ended because nobody spoke of it any more.
    pub expired: bool,
}

/// A term that is paid for and not all earned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Deferral {
    /// Whose term.
    pub account: String,
    /// The subscription.
    pub subscription: String,
    /// The time paid for.
    pub period: Period,
    /// What was paid.
    pub paid: String,
    /// What of it is earned.
    pub earned: String,
    /// What is not.
    pub deferred: String,
}

/// A value as ledgers write it: money with the digits of its currency.
pub(crate) fn value(unit: &Unit, value: Exact) -> String {
    match unit {
        Unit::Money(currency) => value.decimal(currency.minor_digits() as usize),
        Unit::Quota(_) => value.decimal(0),
    }
}

impl Balance {
    /// What an account has and owes.
    pub fn of(account: &Account) -> Balance {
        let head = &account.head;
        let money = |amount: Amount| amount.decimal(head.currency);
        let due = account.bills.values().map(|bill| bill.due().units()).sum();
        Balance {
            account: head.id.clone(),
            payer: head.payer().to_owned(),
            currency: head.currency.code().to_owned(),
            balance: money(account.ledger.prepaid()),
            held: money(account.ledger.balance(&LedgerAccount::Held).negated()),
            due: money(Amount::from_units(due)),
            credit_limit: account.wallet.credit_limit().map(|limit| money(limit.amount)),
            held_on_credit: money(account.held_on_credit()),
            headroom: account.headroom_left().map(money),
            coupons: account
                .wallet
                .live()
                .into_iter()
                .map(|coupon| CouponLeft {
                    id: coupon.id.clone(),
                    granted: money(coupon.granted),
                    left: money(coupon.left),
                    on: coupon.on.clone(),
                    until: coupon.until.map(|at| at.to_string()),
                })
                .collect(),
        }
    }
}

impl LedgerBalance {
    /// The ledger accounts of an account, by name.
    pub fn all(account: &Account) -> Vec<LedgerBalance> {
        let mut all: Vec<LedgerBalance> = account
            .ledger
            .balances()
            .map(|(ledger, unit, balance)| LedgerBalance {
                ledger: ledger.name(),
                unit: unit.to_string(),
                value: value(unit, balance),
            })
            .collect();
        all.sort_by(|one, other| one.ledger.cmp(&other.ledger));
        all
    }
}

impl Posting {
    /// A posting of a ledger; `number`: its place there, from 1.
    pub fn of(number: usize, posting: &CorePosting) -> Posting {
        let entries = posting.entries.iter().map(|entry| LedgerBalance {
            ledger: entry.account.name(),
            unit: entry.unit.to_string(),
            value: value(&entry.unit, entry.value),
        });
        Posting { number, at: posting.at.to_string(), memo: posting.memo.clone(), entries: entries.collect() }
    }
}

impl Statement {
    /// The movements of a time, or of all time.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit.
    pub fn of(account: &Account, month: Option<Span>) -> Result<Statement, OutOfRange> {
        let head = &account.head;
        let money = |value: Exact| value.decimal(head.currency.minor_digits() as usize);
        let span = month.unwrap_or(Span { start: Instant::MIN, end: Instant::MAX });
        let (mut balance, mut opening) = (Exact::ZERO, Exact::ZERO);
        let (mut all_in, mut all_out) = (Exact::ZERO, Exact::ZERO);
        let mut rows = Vec::new();
        let numbered = (1..).zip(account.ledger.postings());
        for (number, posting) in numbered.filter(|(_, posting)| posting.at < span.end) {
            let (came_in, went_out) = posting.movement()?;
            balance = balance.add(came_in)?.sub(went_out)?;
            if posting.at < span.start {
                opening = balance;
            } else if !(came_in.is_zero() && went_out.is_zero()) {
                (all_in, all_out) = (all_in.add(came_in)?, all_out.add(went_out)?);
                rows.push(StatementRow {
                    number,
                    at: posting.at.to_string(),
                    what: posting.memo.clone(),
                    came_in: money(came_in),
                    went_out: money(went_out),
                    balance: money(balance),
                });
            }
        }
        Ok(Statement {
            account: head.id.clone(),
            currency: head.currency.code().to_owned(),
            period: month.map(period),
            opening: money(opening),
            rows,
            came_in: money(all_in),
            went_out: money(all_out),
            closing: money(balance),
            next: None,
        })
    }

    /// Only some of its movements: at most so many after a posting's number.
    pub fn part(mut self, after: usize, most: usize) -> Statement {
        self.rows.retain(|row| row.number > after);
        let has_more = self.rows.len() > most;
        self.rows.truncate(most);
        self.next = self.rows.last().filter(|_| has_more).map(|last| last.number.to_string());
        self
    }
}

impl Hold {
    /// A session on the wire.
    pub fn of(head: &AccountHead, hold: &hold::Hold) -> Hold {
        let mut places = BTreeMap::new();
        for place in hold.places.iter().filter(|_| hold.ended.is_none()) {
            *places.entry(format!("{} of {}", place.of, place.subscription)).or_default() += 1;
        }
        Hold {
            id: hold.id.clone(),
            source: hold.source.clone(),
            kind: hold.kind.clone(),
            since: hold.since.to_string(),
            until: hold.until.to_string(),
            valid_until: hold.valid_until.to_string(),
            asked: hold.asked.decimal(0),
            granted: hold.granted.decimal(0),
            used: hold.used.decimal(0),
            money: hold.money().decimal(head.currency),
            units: hold.units().into_iter().map(|(bucket, units)| (bucket, units.decimal(0))).collect(),
            places,
            ended_at: hold.ended.map(|ended| ended.at.to_string()),
            expired: hold.ended.is_some_and(|ended| ended.expired),
        }
    }
}

impl Deferral {
    /// What is deferred of an account's terms; of a master, of its members' too.
    pub fn all(group: &Group, account: &Account) -> Vec<Deferral> {
        let own = |one: &&Account| one.head.id == account.head.id || one.head.payer() == account.head.id;
        let money = |amount: Amount| amount.decimal(account.head.currency);
        let of = |one: &Account| -> Vec<Deferral> {
            let all = one.deferred.iter().map(|((subscription, _), deferral)| Deferral {
                account: one.head.id.clone(),
                subscription: subscription.clone(),
                period: period(deferral.span),
                paid: money(deferral.paid),
                earned: money(deferral.recognised),
                deferred: money(Amount::from_units(deferral.paid.units() - deferral.recognised.units())),
            });
            all.collect()
        };
        group.iter().filter(own).flat_map(of).collect()
    }
}
