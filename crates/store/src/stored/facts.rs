//! Facts: what happened, with its outcome.

use crate::codec::choice;
use farebox_core::engine::{Fact, budgets, holds, licences, lifecycle, packages, terms, wallet};

choice! { Fact {
    0 = AccountOpened(head),
    1 = Subscribed { account, subscription },
    2 = QuantityChanged { account, subscription, change },
    3 = Stopped { account, subscription, at, stopped },
    4 = Ended { account, subscription, at },
    5 = Renewed { account, subscription, period },
    6 = Unsubscribed { account, subscription, at, in_full },
    7 = PriceAgreed { account, price },
    8 = DiscountGranted { account, discount },
    9 = Charged { account, bill, month, lines, posted, postings, paid, effects },
    10 = Settled { marks, closed },
    11 = BillIssued { account, month, at, rounding, @prose notes },
    12 = ToppedUp { account, postings, paid },
    13 = Noticed { payer, notice },
    14 = Terms(fact),
    15 = Packages(fact),
    16 = Holds(fact),
    17 = Licences(fact),
    18 = Lifecycle(fact),
    19 = Wallet(fact),
    20 = Budgets(fact),
} }

choice! { terms::Fact {
    0 = AutoRenewal { account, subscription, auto },
    1 = Prolonged { account, subscription, from, until },
    2 = PlanPlanned { account, subscription, next },
    3 = PlanChanged { account, subscription, plan, from, periods },
    4 = Recognised { payer, of, postings },
    5 = Opened { payer, postings, paid },
    6 = Migrated { account, payer, subscription, recognised, postings },
} }

choice! { packages::Fact {
    0 = Opened { payer, bucket, postings },
    1 = EndMoved { payer, bucket, end, expires, gap, postings },
    2 = Expired { payer, bucket, postings },
    3 = Drawn { payer, draws, postings },
    4 = Missed { payer, bucket, charges },
    5 = Alerted { payer, bucket, alert },
    6 = Shared { payer, account, subscription, shares },
    7 = Kept { payer, account, subscription, at },
    8 = Credited { payer, draws },
} }

choice! { holds::Fact {
    0 = Created { payer, hold, postings },
    1 = Updated { payer, hold, postings },
    2 = Ended { payer, hold, postings },
    3 = LetGo { payer, account, id, postings },
    4 = Paid { payer, paid, postings },
} }

choice! { licences::Fact {
    0 = Used { account, @personal application, key, @personal holder, way, at, bound, instead_of },
    1 = Left { account, @personal application, key, @personal holder, way, freed },
    2 = Reset { account, @personal application, at, @personal released },
} }

choice! { lifecycle::Fact {
    0 = TierSet { account, at, tier },
    1 = ArrearsBegan { account, at, tier, owed },
    2 = ArrearsCleared { account, at },
    3 = StateChanged { account, subscription, at, from, to, until, expired, tier, charged },
    4 = Suspended { account, at },
    5 = Resumed { account, at },
} }

choice! { wallet::Fact {
    0 = CouponGranted { account, coupon, posting },
    1 = CouponExpired { account, coupon, posting },
    2 = Paid { account, month, amount, posting },
    3 = WrittenOff { account, month, amount, posting },
    4 = Credited { account, month, note, postings, paid, draws, written_back },
    5 = PaidOut { account, posting },
    6 = BillHeld { account, month, at, @personal reason },
    7 = BillReleased { account, month },
    8 = DueSet { account, month, due },
    9 = CreditLimitSet { account, at, limit },
} }

choice! { budgets::Fact {
    0 = Set { account, budget },
    1 = Dropped { account, name },
    2 = Reached { account, name, month, percent },
} }
