//! Random histories of money: top-ups, charges, payments, coupons, credit notes, write-offs,
//! payouts, adjustments. After each line the books must be right.

use farebox_core::account::{Account, Group};
use farebox_core::calendar::{Instant, Span};
use farebox_core::ledger::{LedgerAccount, Unit};
use farebox_core::money::{Amount, Exact};
use farebox_report as report;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Run};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The days of the history.
const DAYS: u32 = 150;

/// What happens, without its date. `{m}` is a month. Without credit notes there are more adjustments.
fn line(credits: bool) -> impl Strategy<Value = String> {
    let amount = || (1u32..40_000).prop_map(|cents| format!("{}.{:02}", cents / 100, cents % 100));
    let month = || (1u32..6).prop_map(|month| format!("2026-{month:02}"));
    prop_oneof![
        3 => amount().prop_map(|a| format!("topup acme {a}")),
        3 => amount().prop_map(|a| format!("charge acme {a} \"by hand\" project=red")),
        2 => (amount(), any::<u32>(), prop::option::of(1u32..120)).prop_map(|(a, id, days)| {
            let until = days.map(|days| format!(" until {}", date(days + DAYS / 2))).unwrap_or_default();
            format!("coupon acme c{id} {a}{until}")
        }),
        1 => (amount(), any::<u32>()).prop_map(|(a, id)| format!("coupon acme p{id} {a} on general-text-ocr")),
        2 => (month(), amount()).prop_map(|(m, a)| format!("pay acme {m} {a} reference \"bank\"")),
        2 => (month(), prop::option::of(amount()))
            .prop_map(|(m, a)| format!("write-off acme {m} {}\"gone\"", a.map(|a| a + " ").unwrap_or_default())),
        3 => (month(), amount()).prop_map(move |(m, a)| match credits {
            true => format!("credit acme {m} {a} \"sorry\""),
            false => format!("adjust acme-{m}-1 {a} \"after all\""),
        }),
        2 => (month(), 1u32..6, amount()).prop_map(move |(m, n, a)| match credits {
            true => format!("credit acme-{m}-{n} {a} \"sorry\""),
            false => format!("adjust acme-{m}-{n} -{a} \"mended\""),
        }),
        4 => (month(), 1u32..6, any::<bool>(), amount())
            .prop_map(|(m, n, off, a)| format!("adjust acme-{m}-{n} {}{a} \"mended\"", if off { "-" } else { "" })),
        1 => amount().prop_map(|a| format!("payout acme {a}")),
        3 => (1u32..2000).prop_map(|times| {
            format!("usage acme ocr-call api=general-text status=200 times {times} every 1s")
        }),
    ]
}

fn date(day: u32) -> String {
    let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
    first.checked_add(jiff::SignedDuration::from_hours(24 * i64::from(day))).unwrap().to_string()
}

fn book() -> impl Strategy<Value = String> {
    let lines = |credits| prop::collection::vec((0..DAYS, line(credits)), 1..60);
    any::<bool>().prop_flat_map(lines).prop_map(|mut lines| {
        lines.sort_by_key(|(day, _)| *day);
        let mut text = "catalog \"huawei-ocr.toml\"\nzone UTC\n2026-01-01 open acme zone UTC\n2026-01-01 subscribe acme general-text-ocr\n".to_owned();
        for (day, line) in lines {
            // A coupon's end is after its grant.
            let line = match line.split_once(" until ") {
                Some((coupon, until)) if until <= date(day).as_str() => coupon.to_owned(),
                _ => line,
            };
            text.push_str(&format!("{} 10:00 {line}\n", date(day)));
        }
        text
    })
}

fn check(account: &Account, clock: Instant, text: &str) {
    let ledger = &account.ledger;
    let mut sums: BTreeMap<&Unit, Exact> = BTreeMap::new();
    for (_, unit, value) in ledger.balances() {
        let sum = sums.entry(unit).or_insert(Exact::ZERO);
        *sum = sum.add(value).unwrap();
    }
    assert!(sums.values().all(Exact::is_zero), "the ledger balances\n{text}");
    let due = account.bills.values().fold(Amount::ZERO, |sum, bill| sum.add(bill.due()).unwrap());
    assert_eq!(ledger.balance(&LedgerAccount::Receivable), due, "what is owed is what bills say\n{text}");
    for bill in account.bills.values() {
        assert!(!bill.due().is_negative(), "{}: what is settled too much goes back\n{text}", bill.id);
        assert!(bill.credited() <= bill.posted.max(Amount::ZERO), "{}\n{text}", bill.id);
    }
    // A coupon never becomes money (DECISIONS 34): what came back as money had been paid with money, or
    // was owed then. A credit note is given by hand, also for what came back before.
    let by_hand = account.bills.values().any(|bill| !bill.credits.is_empty());
    for (month, bill) in account.bills.iter().filter(|_| !by_hand) {
        let corrected = account.wallet.corrected(*month);
        let gave = corrected.gave.money.add(corrected.gave.written_off).unwrap();
        let paid = bill.posted.sub(bill.by_coupons()).unwrap().add(gave).unwrap();
        let back = corrected.returned;
        assert!(back.money <= paid.max(Amount::ZERO), "{}: {back:?} of {paid:?}\n{text}", bill.id);
        let paid = account.wallet.paid(*month).iter();
        let paid = paid.fold(Amount::ZERO, |sum, (_, paid)| sum.add(*paid).unwrap());
        assert!(back.coupons <= paid, "{}: {back:?} of coupons' {paid:?}\n{text}", bill.id);
    }
    let paid_in = ledger.balance(&LedgerAccount::Bank);
    assert!(by_hand || ledger.prepaid() <= paid_in, "no one has more money than was paid in\n{text}");
    assert!(!ledger.prepaid().is_negative(), "a balance is never below zero\n{text}");
    if !ledger.prepaid().is_zero() {
        assert!(due.is_zero(), "money pays what is owed\n{text}");
    }
    let coupons = account.wallet.live().iter().fold(Amount::ZERO, |sum, one| sum.add(one.left).unwrap());
    assert_eq!(ledger.balance(&LedgerAccount::Coupons), coupons.negated(), "coupons are worth that\n{text}");
    assert!(
        account.wallet.live().iter().all(|one| one.left > Amount::ZERO && one.left <= one.granted),
        "{text}"
    );
    for own in [LedgerAccount::Bank, LedgerAccount::CouponExpense, LedgerAccount::WriteOffs] {
        // No one gets more than was paid in, and value given is not money.
        let least = ledger.balance(&own);
        assert!(!least.is_negative(), "{} is {least:?}\n{text}", own.name());
    }
    let all = Span { start: Instant::MIN, end: Instant::MAX };
    let statement = report::statement(account, all, false).unwrap();
    let closing = statement.last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(closing, ledger.prepaid().decimal(account.head.currency), "the statement ends there\n{text}");
    let totals = report::ledger_totals([account].into_iter(), clock).unwrap();
    for (ledger_account, _, value) in ledger.balances() {
        let found = totals.iter().find(|((known, _), _)| known == ledger_account).map(|(_, value)| *value);
        assert_eq!(found.unwrap_or_default(), value, "{}\n{text}", ledger_account.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn money_adds_up(text in book()) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs");
        // Each line of its own is looked at after it.
        let asked = text.lines().map(|line| match line.starts_with("2026") {
            true => format!("{line}\n$ receivables\n"),
            false => format!("{line}\n"),
        });
        let asked: String = asked.collect();
        let prepared = prepare::prepare("random.book", asked.as_bytes(), &folder)
            .unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
        let mut run = Run::new(&prepared, Options { keep_facts: true, threads: 1, ..Options::default() });
        // What is refused leaves everything as it was.
        run.play(&mut |_, _| {}).unwrap();
        check(run.account("acme").unwrap(), run.clock, &text);
        run.advance("2026-08-01T00:00:00Z".parse().unwrap()).unwrap();
        let account = run.account("acme").unwrap();
        check(account, run.clock, &text);
        // Nothing is lost between vendor and customer.
        let ledger = |which| account.ledger.balance(&which);
        let charged = account.bills.values().fold(Amount::ZERO, |sum, bill| sum.add(bill.posted).unwrap());
        let credited = account.bills.values().fold(Amount::ZERO, |sum, bill| sum.add(bill.credited()).unwrap());
        let earned = ledger(LedgerAccount::Revenue).add(ledger(LedgerAccount::Rounding)).unwrap();
        assert_eq!(earned.negated(), charged.sub(credited).unwrap(), "{text}");
        let mut replayed = Group::default();
        for fact in &run.facts {
            replayed.apply(fact).unwrap();
        }
        assert_eq!(&replayed, run.group_of("acme").unwrap(), "replaying the facts gives the same state");
    }
}
