//! The invariants of the design, on random books.
//!
//! A history is made twice or more: with usage on time, late, repeated, shuffled. What must not
//! depend on that is compared. Here on usage of one price list; on whole histories over all price
//! lists in `whole`, on what they draw from packages in `packages`, on what
//! sessions hold in `sessions`.

#[path = "../histories/mod.rs"]
mod histories;
mod packages;
mod sessions;
mod whole;

use farebox_core::account::{Account, Group};
use farebox_core::bill::{ChargeKey, LineKind};
use farebox_core::ledger::{LedgerAccount, Unit};
use farebox_core::money::{Amount, Exact};
use farebox_scenario::prepare::{self, Prepared};
use farebox_scenario::run::{Options, Outcome, Run};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// A piece of usage: minutes since 1 January at which it happened, and how much later it arrived.
#[derive(Clone, Debug)]
struct Usage {
    minute: u32,
    late_minutes: u32,
    what: String,
}

/// A random history of three months.
#[derive(Clone, Debug)]
struct History {
    orders: Vec<(u32, String)>,
    usage: Vec<Usage>,
}

const MINUTES: u32 = 90 * 24 * 60;

fn usage() -> impl Strategy<Value = Usage> {
    let project = prop_oneof![Just(""), Just(" project=red"), Just(" project=blue tag:team=a")];
    let what = prop_oneof![
        (1u32..400_000)
            .prop_map(|times| format!("request kind=search status=200 times {} every 0s", times % 400 + 1)),
        (1u64..40_000_000_000).prop_map(|bytes| format!("transfer direction=out bytes={bytes}")),
        (0u32..5000).prop_map(|open| format!("connections open={open}")),
        (0u32..20).prop_map(|workers| format!("workers configured={workers}")),
        (0u32..30).prop_map(|user| format!("login user=u{user}")),
        (0u64..900_000_000_000).prop_map(|bytes| format!("storage bytes={bytes}")),
        (0u32..4000).prop_map(|seconds| format!("build seconds={seconds}")),
        (0u32..4000, prop_oneof![Just("4420712345"), Just("4915112345"), Just("331234"), Just("15551234")])
            .prop_map(|(seconds, to)| format!("call direction=outbound seconds={seconds} to={to}")),
    ];
    (0..MINUTES, 0u32..60 * 24 * 60, what, project).prop_map(|(minute, late_minutes, what, project)| {
        let (kind, rest) = what.split_once(' ').unwrap_or((&what, ""));
        Usage { minute, late_minutes, what: format!("{kind}{project} {rest}") }
    })
}

fn history() -> impl Strategy<Value = History> {
    let seats = prop::collection::vec((0..MINUTES, 1u32..9, any::<bool>()), 0..8);
    let offers = (prop::option::of(0..MINUTES), prop::option::of(0..MINUTES), 1u32..40);
    (seats, offers, prop::collection::vec(usage(), 1..40)).prop_map(|(seats, offers, usage)| {
        let mut orders = vec![
            (0, "subscribe acme cloud".to_owned()),
            (0, "subscribe acme voice".to_owned()),
            (700, "subscribe acme enterprise 4 as seats project=red".to_owned()),
        ];
        let mut held = 4;
        let mut changes = seats;
        changes.sort();
        for (minute, units, add) in changes {
            let minute = minute.max(701);
            if add {
                held += units;
                orders.push((minute, format!("add acme/seats {units}")));
            } else if held > units {
                held -= units;
                orders.push((minute, format!("remove acme/seats {units}")));
            }
        }
        if let Some(minute) = offers.0 {
            orders.push((minute, format!("discount acme {}%", offers.2)));
        }
        if let Some(minute) = offers.1 {
            orders.push((minute, "price acme cloud/data-out 0.05".to_owned()));
            orders.push((minute, "topup acme 120.00".to_owned()));
        }
        orders.sort_by_key(|(minute, _)| *minute);
        History { orders, usage }
    })
}

fn date(minute: u32) -> String {
    let start: jiff::civil::DateTime = "2026-01-01T00:00:00".parse().unwrap();
    let at = start.checked_add(jiff::SignedDuration::from_mins(i64::from(minute))).unwrap();
    at.strftime("%Y-%m-%d %H:%M:%S+01:00").to_string()
}

/// The book of a history. `arrival`: the minute at which a piece of usage is recorded.
fn book(history: &History, repeat: bool, arrival: impl Fn(&Usage) -> u32) -> String {
    let mut lines: Vec<(u32, usize, String)> = Vec::new();
    for (index, (minute, what)) in history.orders.iter().enumerate() {
        lines.push((*minute, index, what.clone()));
    }
    for (index, usage) in history.usage.iter().enumerate() {
        let at = arrival(usage).max(usage.minute);
        let (kind, rest) = usage.what.split_once(' ').unwrap_or((&usage.what, ""));
        // `times` makes ids of its own; a source makes them the same wherever the line stands.
        let id = if rest.contains("times") { format!("source=s{index}") } else { format!("id=u{index}") };
        let (rest, times) = match rest.find("times") {
            Some(place) => (&rest[..place], &rest[place..]),
            None => (rest, ""),
        };
        let line = format!("usage acme {kind} {id} {rest} at=\"{}\" {times}", date(usage.minute));
        if repeat && times.is_empty() {
            lines.push((at, 1000 + index, line.clone()));
        }
        lines.push((at, 1000 + index, line));
    }
    lines.sort();
    let mut text = "catalog \"harbour-api.toml\"\nzone +01:00\n2026-01-01 open acme zone +01:00\n".to_owned();
    for (minute, _, what) in lines {
        text.push_str(&format!("{} {what}\n", date(minute)));
    }
    text
}

fn prepared(text: &str) -> Prepared {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogs");
    prepare::prepare("random.book", text.as_bytes(), &folder)
        .unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"))
}

/// Plays a book to the end of June, and hands the run over.
fn play<T>(text: &str, look: impl FnOnce(&mut Run<'_>) -> T) -> T {
    let prepared = prepared(text);
    let mut run = Run::new(&prepared, Options { keep_facts: true, threads: 2, ..Options::default() });
    run.play(&mut |step, outcome| {
        assert!(!matches!(outcome, Outcome::Refused(_)), "line {}: {outcome:?}\n{text}", step.line);
    })
    .unwrap();
    run.advance("2026-07-01T00:00:00+01:00".parse().unwrap()).unwrap();
    look(&mut run)
}

/// What was charged for each key, all bills together.
fn charged(account: &Account) -> BTreeMap<ChargeKey, (Exact, Amount, Amount)> {
    let figures = account
        .charged
        .iter()
        .map(|(key, charged)| (key.clone(), (charged.quantity, charged.list, charged.amount)));
    figures
        .filter(|(_, (quantity, list, amount))| !(quantity.is_zero() && list.is_zero() && amount.is_zero()))
        .collect()
}

fn check_account(account: &Account) {
    let mut issued = Amount::ZERO;
    for bill in account.bills.values() {
        let sum = bill.lines.iter().fold(Amount::ZERO, |sum, line| sum.add(line.amount).unwrap());
        assert_eq!(sum, bill.sum, "{}", bill.id);
        if bill.issued.is_some() {
            assert_eq!(sum, bill.posted, "an issued bill's lines sum to its total: {}", bill.id);
        }
        assert_eq!(bill.posted, bill.posted.round_to_minor(account.head.currency));
        for line in &bill.lines {
            assert_eq!(line.list.sub(line.discount).unwrap(), line.amount, "{}", line.id);
            assert!(line.kind == LineKind::Rounding || !line.explanation.is_empty(), "{}", line.id);
        }
        issued = issued.add(bill.posted).unwrap();
    }
    let mut sums: BTreeMap<&Unit, Exact> = BTreeMap::new();
    for (_, unit, value) in account.ledger.balances() {
        let sum = sums.entry(unit).or_insert(Exact::ZERO);
        *sum = sum.add(value).unwrap();
    }
    assert!(sums.values().all(Exact::is_zero), "the ledger balances in each unit");
    let due = account.bills.values().fold(Amount::ZERO, |sum, bill| sum.add(bill.due()).unwrap());
    assert_eq!(account.ledger.balance(&LedgerAccount::Receivable), due, "what is owed is what bills say");
    assert!(!account.ledger.prepaid().is_negative(), "a balance is never below zero");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn bills_add_up_and_replay(history in history()) {
        let text = book(&history, false, |usage| usage.minute);
        play(&text, |run| {
            let account = run.account("acme").unwrap();
            check_account(account);
            let mut replayed = Group::default();
            for fact in &run.facts {
                replayed.apply(fact).unwrap();
            }
            assert_eq!(&replayed, run.group_of("acme").unwrap(), "replaying the facts gives the same state");
        });
    }

    #[test]
    fn settling_again_gives_nothing(history in history()) {
        let text = book(&history, false, |usage| usage.minute);
        play(&text, |run| {
            let before = run.account("acme").unwrap().bills.clone();
            run.advance("2026-10-01T00:00:00+01:00".parse().unwrap()).unwrap();
            for (month, bill) in &before {
                assert_eq!(bill, &run.account("acme").unwrap().bills[month], "issued bills never change");
            }
        });
    }

    #[test]
    fn repeats_change_nothing(history in history()) {
        let once = book(&history, false, |usage| usage.minute);
        let twice = book(&history, true, |usage| usage.minute);
        let bills = |text: &str| play(text, |run| {
            run.account("acme").unwrap().bills.values().map(|bill| (bill.id.clone(), bill.posted)).collect::<Vec<_>>()
        });
        prop_assert_eq!(bills(&once), bills(&twice));
    }

    #[test]
    fn lateness_changes_no_cumulative_cent(history in history()) {
        let on_time = book(&history, false, |usage| usage.minute);
        let late = book(&history, false, |usage| usage.minute + usage.late_minutes);
        let punctual = play(&on_time, |run| charged(run.account("acme").unwrap()));
        let delayed = play(&late, |run| {
            check_account(run.account("acme").unwrap());
            charged(run.account("acme").unwrap())
        });
        for (key, figures) in &punctual {
            prop_assert_eq!(Some(figures), delayed.get(key), "{:?}\n{}", key, late);
        }
        prop_assert_eq!(punctual.len(), delayed.len(), "{}", late);
    }

    #[test]
    fn voiding_everything_gives_everything_back(history in history()) {
        let mut text = book(&history, false, |usage| usage.minute + usage.late_minutes);
        for (index, usage) in history.usage.iter().enumerate() {
            if !usage.what.contains("times") {
                text.push_str(&format!("2026-06-20 void book/u{index}\n"));
            }
        }
        let bare = History {
            usage: history.usage.iter().filter(|usage| usage.what.contains("times")).cloned().collect(),
            ..history.clone()
        };
        // Sources are numbered by place; the repeats keep theirs.
        let mut renumbered = book(&bare, false, |usage| usage.minute);
        renumbered.push_str("2026-06-20 topup acme 0.01\n");
        let voided = play(&text, |run| charged(run.account("acme").unwrap()));
        let never = play(&renumbered, |run| charged(run.account("acme").unwrap()));
        prop_assert_eq!(voided, never, "{}", text);
    }
}
