//! What falls due together is decided on several threads: the store has the same bytes as with one.

use super::undone::{MUCH, at, customer, receive, service, undone, using};
use farebox_core::engine::Duty;
use farebox_store::{GroupHead, Store};
use farebox_store_sqlite::Sqlite;
use std::collections::BTreeMap;

/// More than are decided on together.
const CUSTOMERS: usize = 300;

/// What a store has after two months of many customers, one of whom cannot be settled: where their chains end, which
/// tells every byte of them, and how much of each duty was done.
fn kept(threads: usize) -> (Vec<GroupHead>, BTreeMap<Duty, (u64, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(Box::new(Sqlite::open(folder.path()).unwrap()));
    service.set_threads(threads);
    customer(&mut service, "bad");
    receive(&mut service, &using("bad", "much", 0, "2026-01-02T10:00:00Z", MUCH));
    for number in 0..CUSTOMERS {
        let account = format!("c{number}");
        customer(&mut service, &account);
        let units = (number % 7).to_string();
        receive(&mut service, &using(&account, &format!("{account}-1"), 0, "2026-01-01T10:00:00Z", &units));
    }
    service.commit().unwrap();
    service.advance(at("2026-01-20T12:00:00Z")).unwrap();
    // Some is late, and some is in a block that a settlement closes.
    for number in (0..CUSTOMERS).step_by(3) {
        let account = format!("c{number}");
        receive(&mut service, &using(&account, &format!("{account}-2"), 0, "2026-01-03T10:00:00Z", "5"));
    }
    service.advance(at("2026-03-02T00:00:00Z")).unwrap();
    let failed = undone(&mut service);
    assert_eq!(failed.iter().map(|one| one.due.payer.as_str()).collect::<Vec<_>>(), ["bad"]);
    let totals = *service.runs().totals();
    let ran = Duty::ALL.into_iter().zip(totals).map(|(duty, sum)| (duty, (sum.done, sum.lines)));
    let mut wrong = Vec::new();
    service.verify(&mut |finding| wrong.push(finding)).unwrap();
    assert!(wrong.iter().all(|finding| format!("{finding:?}").contains("bad")), "{wrong:?}");
    let ran = ran.collect();
    drop(service);
    (Sqlite::open(folder.path()).unwrap().groups().unwrap(), ran)
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let (heads, ran) = kept(1);
    assert!(heads.len() > CUSTOMERS && ran[&Duty::Charges].0 > 40 * CUSTOMERS as u64, "{ran:?}");
    for threads in [2, 5] {
        assert_eq!(kept(threads), (heads.clone(), ran.clone()), "{threads} threads");
    }
}
