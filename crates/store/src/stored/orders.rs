//! Accounts, subscriptions, terms, budgets, licences, notices.

use crate::codec::{choice, record};
use farebox_core::engine::terms::Recognition;
use farebox_core::{account, budget, catalog, licence, lifecycle, notice, settlement, subscription, term};

record! { account::AccountHead {
    @whose id, @personal title, currency, zone, opened, payer, prices, discounts, full_refunds,
} }
record! { account::AgreedPrice { plan, charge, price, valid } }
record! { account::Discount { percent, plan, charge, valid } }

record! { subscription::Subscription {
    name, catalogue, product, plan, earlier, mode, start, end, term, follows, @personal attributes, changes, stops, frozen,
    settled, recheck, progress, levels,
} }
record! { subscription::Levels { at, @personal held } }
record! { subscription::Progress { accumulation, @personal units } }
record! { subscription::QuantityChange { at, delta } }
choice! { catalog::Mode { 0 = PayPerUse, 1 = Prepaid } }
record! { settlement::Mark { account, subscription, charge, settled, recheck, progress, levels } }

record! { term::Term { purchased, months, first_months, periods, auto, next_plans, migrated, used_before } }
record! { term::PaidPeriod { span, months, ordered, paid } }
record! { term::AutoRenewal { limit, renewals, tried, next } }
record! { term::NextPlan { plan, from } }
record! { Recognition { account, subscription, start, amount, until, done } }

choice! { lifecycle::State { 0 = Active, 1 = Grace, 2 = Frozen, 3 = Released } }

record! { budget::Budget { name, amount, scope, alerts, told } }
choice! { budget::BudgetScope { 0 = All, 1 = Project(@personal name), 2 = Product(name), 3 = Member(name) } }

record! { licence::LicenceKey { catalogue, licence } }

record! { notice::Notice { at, account, subscription, kind, @prose text, channels } }
choice! { notice::Channel { 0 = Email, 1 = Sms, 2 = Internal, 3 = Vendor } }
