//! Lines, bills, postings, coupons.

use crate::codec::{choice, record};
use farebox_core::{bill, ledger, wallet};

record! { bill::ChargeKey { subscription, charge, accumulation, start, @personal group, split } }
record! { bill::Split { @personal application, @personal project, @personal tags } }
record! { bill::LineDraw { bucket, title, until, units } }
record! { bill::CatalogueRef { id, version, hash } }
record! { bill::PriceBasis { per, units, model } }
record! { bill::CreditNote { id, amount, @about_line line, @personal reason, at } }
record! { bill::Line {
    @line id, kind, account, key, plan, @prose title, @prose description, quantity, unit, free, drawn, unit_price, basis, list,
    discount, amount, period, cycle, posted, catalogue, rules, corrects, formula, @prose explanation,
} }
choice! { bill::LineKind {
    0 = Usage, 1 = Purchase, 2 = Refund, 3 = Correction, 4 = Rounding, 5 = OneOff, 6 = Adjustment,
} }

record! { ledger::Posting { at, @prose memo, entries } }
record! { ledger::Entry { account, unit, value } }
choice! { ledger::Unit { 0 = Money(currency), 1 = Quota(unit) } }
choice! { ledger::QuotaSide { 0 = Granted, 1 = Available, 2 = Held, 3 = Drawn, 4 = Expired } }
choice! { ledger::LedgerAccount {
    0 = Bank, 1 = Balance, 2 = Held, 3 = Coupons, 4 = CouponExpense, 5 = Receivable, 6 = Revenue, 7 = Deferred,
    8 = Rounding, 9 = WriteOffs, 10 = Opening, 11 = Quota { bucket, side },
} }

record! { wallet::Coupon { id, granted, left, at, on, plans, until } }
record! { wallet::Draw { coupon, amount, lapsed, earlier } }
record! { wallet::Returned { written_off, money, coupons } }
record! { wallet::Corrected { returned, gave, again } }
record! { wallet::Effects { draws, written_back, corrected } }
