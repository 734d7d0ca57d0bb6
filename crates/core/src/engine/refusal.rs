//! Refusals: values with a stable code and a sentence.

use super::{budgets, holds, licences, lifecycle, packages, terms, wallet};
use crate::account::AccountHead;
use crate::calendar::{Instant, Zone, show_local};
use crate::catalog::Mode;
use crate::money::{Currency, Exact, OutOfRange};
use std::fmt;

/// Why a command is refused. Nothing has happened then.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No account of this name.
    UnknownAccount(String),
    /// The account is open already.
    AccountExists(String),
    /// A master account is a member itself.
    MasterIsMember(String),
    /// An order breaks a rule.
    Order(OrderRefusal),
    /// About terms.
    Terms(Box<terms::Refusal>),
    /// About packages.
    Packages(packages::Refusal),
    /// About holds.
    Holds(holds::Refusal),
    /// About licences.
    Licences(licences::Refusal),
    /// About arrears and what follows.
    Lifecycle(Box<lifecycle::Refusal>),
    /// About payments.
    Wallet(wallet::Refusal),
    /// About budgets.
    Budgets(budgets::Refusal),
    /// A number does not fit.
    OutOfRange,
    /// An amount that is none: zero or below, or finer than the minor unit.
    BadAmount(String),
    /// The command lies before what is settled and cannot reach back.
    BeforeOpening {
        /// When the account was opened.
        opened: Instant,
    },
    /// A counter reaches over the edge of a period: usage must be counted again along it.
    CounterCutsPeriod,
}

/// Why an order is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderRefusal {
    /// No plan of this name in force.
    UnknownPlan(String),
    /// Two price lists have a plan of this name.
    AmbiguousPlan {
        /// The plan.
        plan: String,
        /// Two catalogues that have it.
        catalogues: [String; 2],
    },
    /// The account has money in another currency.
    OtherCurrency {
        /// The account's.
        account: Currency,
        /// The catalogue's.
        catalogue: Currency,
    },
    /// The master has money in another currency (R-ORG-1): it pays for its members.
    OtherCurrencyOfMaster {
        /// The master.
        master: String,
        /// The master's.
        currency: Currency,
        /// The member's, as wished.
        wished: Currency,
    },
    /// The account has a subscription of this name.
    SubscriptionExists(String),
    /// The account has no subscription of this name.
    UnknownSubscription {
        /// The name.
        name: String,
        /// Those that run, a few of them.
        running: Vec<String>,
    },
    /// The subscription has ended.
    SubscriptionEnded {
        /// Its name.
        name: String,
        /// When.
        ended: Instant,
        /// Whether it is a term that can still be renewed (R-REN-1).
        renewable: bool,
    },
    /// The plan is not sold that way (R-CEC-1, R-YKF-6).
    ModeNotOffered {
        /// The plan.
        plan: String,
        /// The mode wished.
        mode: Mode,
        /// The modes offered.
        offered: Vec<Mode>,
    },
    /// A prepaid order needs one of these terms.
    TermNotOffered {
        /// The plan.
        plan: String,
        /// Months wished.
        months: Option<u16>,
        /// Months offered.
        offered: Vec<u16>,
    },
    /// A pay-per-use order has no term, and is not renewed (R-YKF-10).
    NoTerm(String),
    /// A prepaid term is unsubscribed, not cancelled: it has a refund (R-YKF-11).
    TermRuns(String),
    /// The price list has no refund.
    NoRefund(String),
    /// The mode cannot be changed (R-CEC-3, R-KP-5).
    ModeChange(String),
    /// The plan cannot be changed.
    PlanChange(String),
    /// A stated option, such as the specification, cannot be changed (R-KP-5).
    OptionChange(String, String),
    /// The plan needs an attribute.
    MissingAttribute {
        /// The plan.
        plan: String,
        /// The attribute.
        attribute: String,
    },
    /// The plan knows no such attribute.
    UnknownAttribute {
        /// The plan.
        plan: String,
        /// The attribute.
        attribute: String,
        /// Those it knows.
        known: Vec<String>,
    },
    /// A quantity must be above zero.
    NotPositive(i64),
    /// Fewer units than none would be left.
    BelowZero {
        /// The subscription.
        subscription: String,
        /// Units that there are.
        units: i64,
    },
    /// The quantity of a prepaid term is fixed.
    QuantityFixed(String),
    /// The moment lies before the subscription began.
    BeforeStart {
        /// The subscription.
        subscription: String,
        /// When it began.
        start: Instant,
    },
    /// No charge of this name in the plan.
    UnknownCharge {
        /// The plan.
        plan: String,
        /// The charge.
        charge: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// Calls by a rate deck have many prices; one cannot be agreed.
    PriceNotNegotiable(String),
    /// A percentage above 0 and at most 100 is expected.
    BadPercent(Exact),
    /// An end that is not after its beginning.
    EndsBeforeStart,
    /// Nothing that the account has includes the feature (R-CEC-9, R-YKF-13, R-YKF-14).
    FeatureNotIncluded {
        /// The feature.
        feature: String,
        /// Plans that include it.
        included_in: Vec<String>,
    },
}

impl From<OutOfRange> for Refusal {
    fn from(_: OutOfRange) -> Refusal {
        Refusal::OutOfRange
    }
}

impl From<OrderRefusal> for Refusal {
    fn from(refusal: OrderRefusal) -> Refusal {
        Refusal::Order(refusal)
    }
}

impl From<terms::Refusal> for Refusal {
    fn from(refusal: terms::Refusal) -> Refusal {
        Refusal::Terms(Box::new(refusal))
    }
}

impl From<packages::Refusal> for Refusal {
    fn from(refusal: packages::Refusal) -> Refusal {
        Refusal::Packages(refusal)
    }
}

impl From<holds::Refusal> for Refusal {
    fn from(refusal: holds::Refusal) -> Refusal {
        Refusal::Holds(refusal)
    }
}

impl From<licences::Refusal> for Refusal {
    fn from(refusal: licences::Refusal) -> Refusal {
        Refusal::Licences(refusal)
    }
}

impl From<lifecycle::Refusal> for Refusal {
    fn from(refusal: lifecycle::Refusal) -> Refusal {
        Refusal::Lifecycle(Box::new(refusal))
    }
}

impl From<wallet::Refusal> for Refusal {
    fn from(refusal: wallet::Refusal) -> Refusal {
        Refusal::Wallet(refusal)
    }
}

impl From<budgets::Refusal> for Refusal {
    fn from(refusal: budgets::Refusal) -> Refusal {
        Refusal::Budgets(refusal)
    }
}

/// Every code that a refusal can have, for the list in the documentation, by subject.
pub const REFUSAL_CODES: &[&[&str]] = &[
    ACCOUNT_CODES,
    terms::CODES,
    packages::CODES,
    holds::CODES,
    licences::CODES,
    lifecycle::CODES,
    wallet::CODES,
    budgets::CODES,
];

const ACCOUNT_CODES: &[&str] = &[
    "unknown-account",
    "account-exists",
    "out-of-range",
    "bad-amount",
    "before-opening",
    "counter-cuts-period",
    "master-is-member",
    "unknown-plan",
    "ambiguous-plan",
    "other-currency",
    "subscription-exists",
    "unknown-subscription",
    "subscription-ended",
    "mode-not-offered",
    "term-not-offered",
    "no-term",
    "term-runs",
    "no-refund",
    "mode-change-not-supported",
    "plan-change-not-supported",
    "option-change-not-supported",
    "missing-attribute",
    "unknown-attribute",
    "not-positive",
    "below-zero",
    "quantity-fixed",
    "before-start",
    "unknown-charge",
    "price-not-negotiable",
    "bad-percent",
    "ends-before-start",
    "feature-not-included",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownAccount(_) => "unknown-account",
            Refusal::AccountExists(_) => "account-exists",
            Refusal::OutOfRange => "out-of-range",
            Refusal::BadAmount(_) => "bad-amount",
            Refusal::BeforeOpening { .. } => "before-opening",
            Refusal::CounterCutsPeriod => "counter-cuts-period",
            Refusal::MasterIsMember(_) => "master-is-member",
            Refusal::Terms(refusal) => refusal.code(),
            Refusal::Packages(refusal) => refusal.code(),
            Refusal::Holds(refusal) => refusal.code(),
            Refusal::Licences(refusal) => refusal.code(),
            Refusal::Lifecycle(refusal) => refusal.code(),
            Refusal::Wallet(refusal) => refusal.code(),
            Refusal::Budgets(refusal) => refusal.code(),
            Refusal::Order(order) => match order {
                OrderRefusal::UnknownPlan(_) => "unknown-plan",
                OrderRefusal::AmbiguousPlan { .. } => "ambiguous-plan",
                OrderRefusal::OtherCurrency { .. } | OrderRefusal::OtherCurrencyOfMaster { .. } => {
                    "other-currency"
                }
                OrderRefusal::SubscriptionExists(_) => "subscription-exists",
                OrderRefusal::UnknownSubscription { .. } => "unknown-subscription",
                OrderRefusal::SubscriptionEnded { .. } => "subscription-ended",
                OrderRefusal::ModeNotOffered { .. } => "mode-not-offered",
                OrderRefusal::TermNotOffered { .. } => "term-not-offered",
                OrderRefusal::NoTerm(_) => "no-term",
                OrderRefusal::TermRuns(_) => "term-runs",
                OrderRefusal::NoRefund(_) => "no-refund",
                OrderRefusal::ModeChange(_) => "mode-change-not-supported",
                OrderRefusal::PlanChange(_) => "plan-change-not-supported",
                OrderRefusal::OptionChange(..) => "option-change-not-supported",
                OrderRefusal::MissingAttribute { .. } => "missing-attribute",
                OrderRefusal::UnknownAttribute { .. } => "unknown-attribute",
                OrderRefusal::NotPositive(_) => "not-positive",
                OrderRefusal::BelowZero { .. } => "below-zero",
                OrderRefusal::QuantityFixed(_) => "quantity-fixed",
                OrderRefusal::BeforeStart { .. } => "before-start",
                OrderRefusal::UnknownCharge { .. } => "unknown-charge",
                OrderRefusal::PriceNotNegotiable(_) => "price-not-negotiable",
                OrderRefusal::BadPercent(_) => "bad-percent",
                OrderRefusal::EndsBeforeStart => "ends-before-start",
                OrderRefusal::FeatureNotIncluded { .. } => "feature-not-included",
            },
        }
    }
}

impl Refusal {
    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        match self {
            Refusal::BeforeOpening { opened } => before_opening(&show_local(zone, *opened)),
            Refusal::Order(OrderRefusal::SubscriptionEnded { name, ended, renewable }) => {
                ended_on(name, &show_local(zone, *ended), *renewable)
            }
            Refusal::Order(OrderRefusal::BeforeStart { subscription, start }) => {
                before_start(subscription, &show_local(zone, *start))
            }
            Refusal::Terms(refusal) => refusal.sentence(zone),
            Refusal::Packages(refusal) => refusal.sentence(zone),
            Refusal::Holds(refusal) => refusal.sentence(zone),
            Refusal::Licences(refusal) => refusal.sentence(zone),
            Refusal::Lifecycle(refusal) => refusal.sentence(zone),
            Refusal::Wallet(refusal) => refusal.sentence(zone),
            Refusal::Budgets(refusal) => refusal.sentence(zone),
            _ => self.to_string(),
        }
    }
}

impl Refusal {
    /// The same to those who see a member and not who pays for it: without the payer's money.
    pub fn sentence_to_member(&self, zone: &Zone) -> String {
        match self {
            Refusal::Holds(refusal) => refusal.sentence_to_member(zone),
            Refusal::Lifecycle(refusal) => refusal.sentence_to_member(zone),
            Refusal::Wallet(refusal) => refusal.sentence_to_member(zone),
            // None of these knows what the payer has, owes or was billed.
            Refusal::UnknownAccount(_)
            | Refusal::AccountExists(_)
            | Refusal::MasterIsMember(_)
            | Refusal::Order(_)
            | Refusal::Terms(_)
            | Refusal::Packages(_)
            | Refusal::Licences(_)
            | Refusal::Budgets(_)
            | Refusal::OutOfRange
            | Refusal::BadAmount(_)
            | Refusal::BeforeOpening { .. }
            | Refusal::CounterCutsPeriod => self.sentence(zone),
        }
    }
}

impl Refusal {
    /// Why something about an account cannot be, where it is written down for whoever may see the account: of a member
    /// that is not who pays for it.
    pub fn sentence_about(&self, account: &AccountHead, zone: &Zone) -> String {
        match account.payer {
            Some(_) => self.sentence_to_member(zone),
            None => self.sentence(zone),
        }
    }
}

fn before_opening(opened: &str) -> String {
    format!("the account was opened on {opened} only; say a time from then on")
}

fn before_start(subscription: &str, start: &str) -> String {
    format!("{subscription} began on {start} only; say a time from then on")
}

fn ended_on(name: &str, ended: &str, renewable: bool) -> String {
    let then = if renewable { "renew it, or order anew" } else { "order it anew" };
    format!("{name} ended on {ended}; {then}")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownAccount(name) => write!(f, "there is no account \"{name}\"; open it first"),
            Refusal::AccountExists(name) => {
                write!(f, "the account \"{name}\" is open already; another needs another name")
            }
            Refusal::OutOfRange => {
                f.write_str("a number is too large to be billed exactly; smaller ones are accepted")
            }
            Refusal::BadAmount(why) => f.write_str(why),
            Refusal::BeforeOpening { opened } => f.write_str(&before_opening(&opened.to_string())),
            Refusal::CounterCutsPeriod => {
                f.write_str("a counter reaches over the edge of a period; the usage must be counted again")
            }
            Refusal::MasterIsMember(name) => {
                write!(
                    f,
                    "{name} is a member itself, and pays for nobody; name an account that pays for itself"
                )
            }
            Refusal::Order(order) => order.fmt(f),
            Refusal::Terms(refusal) => refusal.fmt(f),
            Refusal::Packages(refusal) => refusal.fmt(f),
            Refusal::Holds(refusal) => refusal.fmt(f),
            Refusal::Licences(refusal) => refusal.fmt(f),
            Refusal::Lifecycle(refusal) => refusal.fmt(f),
            Refusal::Wallet(refusal) => refusal.fmt(f),
            Refusal::Budgets(refusal) => refusal.fmt(f),
        }
    }
}

impl fmt::Display for OrderRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderRefusal::UnknownPlan(plan) => {
                write!(f, "no price list in force has a plan \"{plan}\"; order one that is on sale then")
            }
            OrderRefusal::AmbiguousPlan { plan, catalogues: [one, other] } => {
                write!(f, "\"{plan}\" is in two catalogues; say {one}:{plan} or {other}:{plan}")
            }
            OrderRefusal::OtherCurrency { account, catalogue } => {
                write!(
                    f,
                    "the account's money is {account}, the price list's prices are {catalogue}; order this for an account in {catalogue}"
                )
            }
            OrderRefusal::OtherCurrencyOfMaster { master, currency, wished } => {
                write!(
                    f,
                    "{master} pays for its members in {currency}; open this account in {currency}, or in {wished} as one that pays for itself"
                )
            }
            OrderRefusal::SubscriptionExists(name) => {
                write!(f, "the account has a subscription \"{name}\" already; name this one with: as NAME")
            }
            OrderRefusal::UnknownSubscription { name, running } => {
                write!(f, "the account has no subscription \"{name}\"; ")?;
                match running.as_slice() {
                    [] => f.write_str("nothing of it runs: order something first"),
                    running => write!(f, "it has {}", running.join(", ")),
                }
            }
            OrderRefusal::SubscriptionEnded { name, ended, renewable } => {
                f.write_str(&ended_on(name, &ended.to_string(), *renewable))
            }
            OrderRefusal::ModeNotOffered { plan, mode, offered } => {
                let offered: Vec<&str> = offered.iter().map(|mode| mode.name()).collect();
                write!(f, "{plan} is not sold {mode}; it is sold {}", offered.join(" or "))
            }
            OrderRefusal::TermNotOffered { plan, months, offered } => {
                let offered: Vec<String> = offered.iter().map(u16::to_string).collect();
                match months {
                    Some(months) => write!(f, "{plan} is not sold for {months} months")?,
                    None => write!(f, "{plan} needs a term when prepaid")?,
                }
                write!(f, "; its terms are of {} months", offered.join(", "))
            }
            OrderRefusal::TermRuns(name) => {
                write!(f, "{name} is paid for a term; unsubscribe it, and what is not used up comes back")
            }
            OrderRefusal::NoRefund(name) => {
                write!(
                    f,
                    "{name} cannot be given up before its end: its price list has no refund; let it end, without auto-renew"
                )
            }
            OrderRefusal::NoTerm(name) => {
                write!(
                    f,
                    "{name} is pay-per-use: it has no term, runs on until cancelled, and needs no renewal"
                )
            }
            OrderRefusal::ModeChange(name) => write!(
                f,
                "how {name} is paid cannot be changed; cancel it and order it anew for the next period"
            ),
            OrderRefusal::PlanChange(name) => {
                write!(f, "the plan of {name} cannot be changed; cancel it and order the other plan")
            }
            OrderRefusal::OptionChange(name, option) => {
                write!(f, "the {option} of {name} cannot be changed; cancel it and order anew")
            }
            OrderRefusal::MissingAttribute { plan, attribute } => {
                write!(f, "{plan} is ordered for one {attribute}: say {attribute}=…")
            }
            OrderRefusal::UnknownAttribute { plan, attribute, known } => {
                write!(f, "{plan} knows no \"{attribute}\"; it knows {}", known.join(", "))
            }
            OrderRefusal::NotPositive(quantity) => {
                write!(f, "a quantity must be above zero, not {quantity}")
            }
            OrderRefusal::BelowZero { subscription, units } => {
                write!(
                    f,
                    "{subscription} has {units} at that time, and fewer than none would be left; remove so many at most"
                )
            }
            OrderRefusal::QuantityFixed(name) => {
                write!(f, "the quantity of {name} is fixed for its term; order more as another subscription")
            }
            OrderRefusal::BeforeStart { subscription, start } => {
                f.write_str(&before_start(subscription, &start.to_string()))
            }
            OrderRefusal::UnknownCharge { plan, charge, known } => {
                write!(f, "{plan} has no charge \"{charge}\"; it has {}", known.join(", "))
            }
            OrderRefusal::PriceNotNegotiable(charge) => {
                write!(
                    f,
                    "{charge} is priced by a rate deck, which one price cannot replace; grant a discount on it"
                )
            }
            OrderRefusal::BadPercent(percent) => {
                write!(f, "a discount is above 0 % and at most 100 %, not {percent} %")
            }
            OrderRefusal::EndsBeforeStart => f.write_str("the end must be after the beginning"),
            OrderRefusal::FeatureNotIncluded { feature, included_in } if included_in.is_empty() => {
                write!(f, "nothing that is sold includes {feature}; what does must be in a price list first")
            }
            OrderRefusal::FeatureNotIncluded { feature, included_in } => {
                write!(f, "nothing here includes {feature}; it is included in {}", included_in.join(", "))
            }
        }
    }
}
