//! Wishes of the core on the wire.

use super::*;
use crate::value::{
    AlertPercent, AttributeName, Attributes, CurrencyCode, Holder, LineId, Month, Months, NonNegativeDecimal,
    NonZeroDecimal, Percent, PlanName, PositiveDecimal, Quantity, RenewalLimit, SessionId, Text, ZoneName,
};
use engine::{Action, budgets, holds, licences, lifecycle, packages, terms, wallet};
use farebox_core::budget::BudgetScope;
use std::collections::BTreeMap;

fn name(text: &str) -> Name {
    Name(text.to_owned())
}

fn maybe(text: &Option<String>) -> Option<Name> {
    text.as_deref().map(name)
}

fn text(text: &str) -> Text {
    Text(text.to_owned())
}

fn plan(text: &str) -> PlanName {
    PlanName(text.to_owned())
}

fn attributes(all: &BTreeMap<String, String>) -> Option<Attributes> {
    (!all.is_empty()).then(|| Attributes(all.clone()))
}

fn moment(at: &Option<Instant>) -> Option<Moment> {
    at.map(Moment)
}

/// The command that says the same.
pub(super) fn of(action: &Action) -> Option<WireCommand> {
    Some(match action {
        Action::Due { .. } => return None,
        Action::Open { title, currency, zone, payer, tier } => WireCommand::Open(Open {
            title: Some(text(title)),
            currency: CurrencyCode(*currency),
            zone: ZoneName(zone.clone()),
            member_of: maybe(payer),
            tier: maybe(tier),
        }),
        Action::Subscribe { plan: wished, name, quantity, mode, months, auto, attributes: all } => {
            WireCommand::Subscribe(Subscribe {
                plan: plan(wished),
                name: maybe(name),
                quantity: Some(Quantity(*quantity)),
                mode: mode.map(Into::into),
                months: months.map(Months),
                auto_renew: auto.map(|_| true),
                limit: auto.map(RenewalLimit),
                attributes: attributes(all),
            })
        }
        Action::ChangeQuantity { subscription, delta } => {
            let (subscription, quantity) = (name(subscription), Quantity(delta.saturating_abs()));
            match *delta < 0 {
                true => WireCommand::Remove(Remove { subscription, quantity }),
                false => WireCommand::Add(Add { subscription, quantity }),
            }
        }
        Action::Stop { subscription, stopped } => {
            let subscription = name(subscription);
            match stopped {
                true => WireCommand::Stop(Stop { subscription }),
                false => WireCommand::Start(Start { subscription }),
            }
        }
        Action::ChangeMode { subscription, mode } => {
            WireCommand::ChangeMode(ChangeMode { subscription: name(subscription), mode: (*mode).into() })
        }
        Action::ChangePlan { subscription, plan: wished } => {
            WireCommand::ChangePlan(ChangePlan { subscription: name(subscription), plan: plan(wished) })
        }
        Action::ChangeAttribute { subscription, name: attribute, value } => {
            WireCommand::ChangeAttribute(ChangeAttribute {
                subscription: name(subscription),
                name: AttributeName(attribute.clone()),
                value: text(value),
            })
        }
        Action::Cancel { subscription } => WireCommand::Cancel(Cancel { subscription: name(subscription) }),
        Action::Unsubscribe { subscription } => {
            WireCommand::Unsubscribe(Unsubscribe { subscription: name(subscription) })
        }
        Action::Renew { subscription, months } => {
            WireCommand::Renew(Renew { subscription: name(subscription), months: Months(*months) })
        }
        Action::AgreePrice { plan: of, charge, price, until } => WireCommand::Price(Price {
            plan: plan(of),
            charge: name(charge),
            price: NonNegativeDecimal(*price),
            until: moment(until),
        }),
        Action::Grant { percent, plan, charge, until } => WireCommand::Discount(Discount {
            percent: Percent(*percent),
            plan: plan.clone().map(PlanName),
            charge: maybe(charge),
            until: moment(until),
        }),
        Action::TopUp { amount } => WireCommand::TopUp(TopUp { amount: PositiveDecimal(*amount) }),
        Action::UseFeature { feature, subscription } => {
            WireCommand::UseFeature(UseFeature { feature: name(feature), subscription: maybe(subscription) })
        }
        Action::Terms(action) => of_terms(action),
        Action::Packages(packages::Action::Share { subscription, members }) => WireCommand::Share(Share {
            subscription: name(subscription),
            members: members.iter().map(|member| name(member)).collect(),
        }),
        Action::Packages(packages::Action::Keep { subscription }) => {
            WireCommand::Keep(Keep { subscription: name(subscription) })
        }
        Action::Holds(action) => of_holds(action),
        Action::Licences(licences::Action::Use { application, holder, way, licence, change }) => {
            WireCommand::UseLicence(UseLicence {
                application: name(application),
                holder: Holder(holder.clone()),
                way: name(way),
                change: (*change).into(),
                licence: maybe(licence),
            })
        }
        Action::Licences(licences::Action::Reset { application, licence }) => {
            WireCommand::ResetLicences(ResetLicences {
                application: name(application),
                licence: maybe(licence),
            })
        }
        Action::Lifecycle(lifecycle::Action::SetTier { tier }) => {
            WireCommand::SetTier(SetTier { tier: name(tier) })
        }
        Action::Lifecycle(lifecycle::Action::Suspend) => WireCommand::Suspend(Suspend {}),
        Action::Lifecycle(lifecycle::Action::Resume) => WireCommand::Resume(Resume {}),
        Action::Wallet(action) => of_wallet(action),
        Action::Budgets(budgets::Action::Set { name: title, amount, scope, alerts }) => {
            let (mut project, mut product, mut member) = (None, None, None);
            match scope {
                BudgetScope::All => {}
                BudgetScope::Project(which) => project = Some(text(which)),
                BudgetScope::Product(which) => product = Some(name(which)),
                BudgetScope::Member(which) => member = Some(name(which)),
            }
            WireCommand::SetBudget(SetBudget {
                name: name(title),
                amount: PositiveDecimal(*amount),
                project,
                product,
                member,
                alerts: Some(alerts.iter().map(|percent| AlertPercent(percent.get())).collect()),
            })
        }
        Action::Budgets(budgets::Action::Drop { name: title }) => {
            WireCommand::DropBudget(DropBudget { name: name(title) })
        }
    })
}

fn of_terms(action: &terms::Action) -> WireCommand {
    match action {
        terms::Action::AutoRenew { subscription, limit } => WireCommand::AutoRenew(AutoRenew {
            subscription: name(subscription),
            on: limit.is_some(),
            limit: limit.map(RenewalLimit),
        }),
        terms::Action::MigrateBalance { amount } => {
            WireCommand::MigrateBalance(MigrateBalance { amount: NonNegativeDecimal(*amount) })
        }
        terms::Action::MigrateTerm(term) => {
            let used = term.used.iter().map(|(package, units)| UsedUnits {
                package: maybe(package),
                units: NonNegativeDecimal(*units),
            });
            WireCommand::MigrateTerm(MigrateTerm {
                plan: plan(&term.plan),
                name: maybe(&term.name),
                quantity: Some(Quantity(term.quantity)),
                from: Moment(term.from),
                until: Moment(term.until),
                paid: NonNegativeDecimal(term.paid),
                used: (!term.used.is_empty()).then(|| used.collect()),
                attributes: attributes(&term.attributes),
            })
        }
    }
}

fn of_holds(action: &holds::Action) -> WireCommand {
    let session = |id: &str| SessionId(id.to_owned());
    match action {
        holds::Action::Create { id, source, kind, attributes: all, units, until } => {
            WireCommand::Hold(Hold {
                id: session(id),
                source: text(source),
                kind: name(kind),
                units: PositiveDecimal(*units),
                until: Some(Moment(*until)),
                for_seconds: None,
                attributes: attributes(all),
            })
        }
        holds::Action::Update { id, units, used, until } => WireCommand::Extend(Extend {
            id: session(id),
            units: PositiveDecimal(*units),
            used: Some(NonNegativeDecimal(*used)),
            until: Some(Moment(*until)),
            for_seconds: None,
        }),
        holds::Action::Release { id, used } => {
            WireCommand::Release(Release { id: session(id), used: NonNegativeDecimal(*used) })
        }
    }
}

fn of_wallet(action: &wallet::Action) -> WireCommand {
    match action {
        wallet::Action::Coupon { id, amount, on, until } => WireCommand::GrantCoupon(GrantCoupon {
            id: name(id),
            amount: PositiveDecimal(*amount),
            on: on.clone().map(PlanName),
            until: moment(until),
        }),
        wallet::Action::Pay { month, amount, reference } => WireCommand::Pay(Pay {
            month: Month(*month),
            amount: PositiveDecimal(*amount),
            reference: reference.clone().map(Text),
        }),
        wallet::Action::WriteOff { month, amount, reason } => WireCommand::WriteOff(WriteOff {
            month: Month(*month),
            amount: amount.map(PositiveDecimal),
            reason: text(reason),
        }),
        wallet::Action::Credit { what, amount, reason } => {
            let (month, line) = match what {
                wallet::Credited::Bill(month) => (Some(Month(*month)), None),
                wallet::Credited::Line(line) => (None, Some(LineId(line.clone()))),
            };
            WireCommand::Credit(Credit {
                month,
                line,
                amount: PositiveDecimal(*amount),
                reason: text(reason),
            })
        }
        wallet::Action::PayOut { amount } => WireCommand::PayOut(PayOut { amount: PositiveDecimal(*amount) }),
        wallet::Action::Charge { amount, title, labels } => WireCommand::Charge(Charge {
            amount: PositiveDecimal(*amount),
            title: text(title),
            attributes: attributes(labels),
        }),
        wallet::Action::Adjust { line, amount, reason } => WireCommand::Adjust(Adjust {
            line: LineId(line.clone()),
            amount: NonZeroDecimal(*amount),
            reason: text(reason),
        }),
        wallet::Action::HoldBill { month, reason } => {
            WireCommand::HoldBill(HoldBill { month: Month(*month), reason: text(reason) })
        }
        wallet::Action::ReleaseBill { month } => {
            WireCommand::ReleaseBill(ReleaseBill { month: Month(*month) })
        }
        wallet::Action::SetDue { month, until } => {
            WireCommand::SetDue(SetDue { month: Month(*month), until: Moment(*until) })
        }
        wallet::Action::SetCreditLimit { limit: Some(limit) } => {
            WireCommand::SetCreditLimit(SetCreditLimit { amount: NonNegativeDecimal(*limit) })
        }
        wallet::Action::SetCreditLimit { limit: None } => WireCommand::DropCreditLimit(DropCreditLimit {}),
    }
}
