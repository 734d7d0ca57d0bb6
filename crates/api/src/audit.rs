//! The audit trail: who wished what, when, and what followed.

use farebox_core::engine::{Fact, budgets, holds, licences, lifecycle, packages, terms, wallet};
use serde::Serialize;
use utoipa::ToSchema;

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number in the group, from 1: the version of the group with it.
    pub version: u64,
    /// When it was recorded.
    pub recorded_at: String,
    /// From when it counts.
    pub effective_at: String,
    /// Who wished it: the public name of a key, or `clock`.
    pub actor: String,
    /// What was wished, as it was written; of the clock, the name of the duty.
    pub command: String,
    /// What followed, in order.
    pub facts: Vec<AuditFact>,
}

/// What followed from a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditFact {
    /// What kind of thing: `charged`, `topped-up`.
    pub kind: &'static str,
    /// The account that it is about; `null`: the group.
    pub account: Option<String>,
    /// The subscription, bucket, session, application, coupon or budget that it is about.
    pub about: Option<String>,
}

impl AuditFact {
    /// A fact on the wire.
    pub fn of(fact: &Fact) -> AuditFact {
        let of = |kind, account: &str, about: Option<&str>| AuditFact {
            kind,
            account: Some(account.to_owned()),
            about: about.map(str::to_owned),
        };
        match fact {
            Fact::AccountOpened(head) => of("account-opened", &head.id, None),
            Fact::Subscribed { account, subscription } => of("subscribed", account, Some(&subscription.name)),
            Fact::QuantityChanged { account, subscription, .. } => {
                of("quantity-changed", account, Some(subscription))
            }
            Fact::Stopped { account, subscription, stopped, .. } => {
                of(if *stopped { "stopped" } else { "started" }, account, Some(subscription))
            }
            Fact::Ended { account, subscription, .. } => of("ended", account, Some(subscription)),
            Fact::Renewed { account, subscription, .. } => of("renewed", account, Some(subscription)),
            Fact::Unsubscribed { account, subscription, .. } => {
                of("unsubscribed", account, Some(subscription))
            }
            Fact::PriceAgreed { account, price } => of("price-agreed", account, Some(&price.plan)),
            Fact::DiscountGranted { account, discount } => {
                of("discount-granted", account, discount.plan.as_deref())
            }
            Fact::Charged { account, bill, .. } => of("charged", account, Some(bill)),
            Fact::Settled { .. } => AuditFact { kind: "settled", account: None, about: None },
            Fact::BillIssued { account, .. } => of("bill-issued", account, None),
            Fact::ToppedUp { account, .. } => of("topped-up", account, None),
            Fact::Noticed { notice, .. } => of("noticed", &notice.account, Some(&notice.kind)),
            Fact::Terms(fact) => terms_fact(fact),
            Fact::Packages(fact) => packages_fact(fact),
            Fact::Holds(fact) => holds_fact(fact),
            Fact::Licences(fact) => match fact {
                licences::Fact::Used { account, application, .. } => {
                    of("licence-used", account, Some(application))
                }
                licences::Fact::Left { account, application, .. } => {
                    of("licence-left", account, Some(application))
                }
                licences::Fact::Reset { account, application, .. } => {
                    of("licences-reset", account, Some(application))
                }
            },
            Fact::Lifecycle(fact) => match fact {
                lifecycle::Fact::TierSet { account, tier, .. } => of("tier-set", account, Some(tier)),
                lifecycle::Fact::ArrearsBegan { account, .. } => of("arrears-began", account, None),
                lifecycle::Fact::ArrearsCleared { account, .. } => of("arrears-cleared", account, None),
                lifecycle::Fact::StateChanged { account, subscription, .. } => {
                    of("state-changed", account, Some(subscription))
                }
                lifecycle::Fact::Suspended { account, .. } => of("suspended", account, None),
                lifecycle::Fact::Resumed { account, .. } => of("resumed", account, None),
            },
            Fact::Wallet(fact) => match fact {
                wallet::Fact::CouponGranted { account, coupon, .. } => {
                    of("coupon-granted", account, Some(&coupon.id))
                }
                wallet::Fact::CouponExpired { account, coupon, .. } => {
                    of("coupon-expired", account, Some(coupon))
                }
                wallet::Fact::Paid { account, .. } => of("paid", account, None),
                wallet::Fact::WrittenOff { account, .. } => of("written-off", account, None),
                wallet::Fact::Credited { account, note, .. } => of("credited", account, Some(&note.id)),
                wallet::Fact::PaidOut { account, .. } => of("paid-out", account, None),
                wallet::Fact::BillHeld { account, .. } => of("bill-held", account, None),
                wallet::Fact::BillReleased { account, .. } => of("bill-released", account, None),
                wallet::Fact::DueSet { account, .. } => of("due-set", account, None),
                wallet::Fact::CreditLimitSet { account, .. } => of("credit-limit-set", account, None),
            },
            Fact::Budgets(fact) => match fact {
                budgets::Fact::Set { account, budget } => of("budget-set", account, Some(&budget.name)),
                budgets::Fact::Dropped { account, name } => of("budget-dropped", account, Some(name)),
                budgets::Fact::Reached { account, name, .. } => of("budget-reached", account, Some(name)),
            },
        }
    }
}

fn fact(kind: &'static str, account: &str, about: &str) -> AuditFact {
    let about = Some(about.to_owned()).filter(|about| !about.is_empty());
    AuditFact { kind, account: Some(account.to_owned()), about }
}

fn terms_fact(one: &terms::Fact) -> AuditFact {
    use terms::Fact;
    match one {
        Fact::AutoRenewal { account, subscription, .. } => fact("auto-renewal-set", account, subscription),
        Fact::Prolonged { account, subscription, .. } => fact("prolonged", account, subscription),
        Fact::PlanPlanned { account, subscription, .. } => fact("plan-planned", account, subscription),
        Fact::PlanChanged { account, subscription, .. } => fact("plan-changed", account, subscription),
        Fact::Recognised { payer, .. } => fact("recognised", payer, ""),
        Fact::Opened { payer, .. } => fact("balance-migrated", payer, ""),
        Fact::Migrated { account, subscription, .. } => fact("term-migrated", account, &subscription.name),
    }
}

fn packages_fact(one: &packages::Fact) -> AuditFact {
    use packages::Fact;
    match one {
        Fact::Opened { bucket, .. } => fact("package-opened", &bucket.account, &bucket.id),
        Fact::EndMoved { payer, bucket, .. } => fact("package-prolonged", payer, bucket),
        Fact::Expired { payer, bucket, .. } => fact("package-expired", payer, bucket),
        Fact::Drawn { payer, .. } => fact("package-drawn", payer, ""),
        Fact::Credited { payer, .. } => fact("package-credited", payer, ""),
        Fact::Missed { payer, bucket, .. } => fact("package-missed", payer, bucket),
        Fact::Alerted { payer, bucket, .. } => fact("package-alerted", payer, bucket),
        Fact::Shared { account, subscription, .. } => fact("package-shared", account, subscription),
        Fact::Kept { account, subscription, .. } => fact("package-kept", account, subscription),
    }
}

fn holds_fact(one: &holds::Fact) -> AuditFact {
    use holds::Fact;
    match one {
        Fact::Created { hold, .. } => fact("session-began", &hold.account, &hold.id),
        Fact::Updated { hold, .. } => fact("session-extended", &hold.account, &hold.id),
        Fact::Ended { hold, .. } => fact("session-ended", &hold.account, &hold.id),
        Fact::LetGo { account, id, .. } => fact("session-settled", account, id),
        Fact::Paid { payer, .. } => fact("session-paid", payer, ""),
    }
}
