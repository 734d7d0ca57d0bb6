//! Groups that nobody asks for leave memory, and come back as they were.

use super::undone::{at, customer, receive, service, using};
use farebox_service::Pace;
use farebox_store::{GroupHead, Store};
use farebox_store_sqlite::Sqlite;

const CUSTOMERS: usize = 200;

/// Where the chains of many customers end after two months, which tells every byte of them; and how many groups were in
/// memory in the end.
fn kept(groups: usize) -> (Vec<GroupHead>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(Box::new(Sqlite::open(folder.path()).unwrap()));
    service.set_pace(Pace { identities: 100, records: 50, blocks: 16, groups });
    for number in 0..CUSTOMERS {
        customer(&mut service, &format!("c{number}"));
        service.commit().unwrap();
    }
    for day in 1..50 {
        // Some use something each day, some seldom, and some of it is late or taken back.
        for number in (0..CUSTOMERS).filter(|number| (number + day) % (1 + number % 9) == 0) {
            let account = format!("c{number}");
            let time = at("2026-01-01T10:00:00Z") + jiff::SignedDuration::from_hours(24 * (day as i64 - 1));
            let late = jiff::SignedDuration::from_hours(if number % 4 == 0 { 48 } else { 0 });
            let (id, units) = (format!("{account}-{day}"), (1 + number % 7).to_string());
            receive(&mut service, &using(&account, &id, 0, &(time - late).to_string(), &units));
            if number % 5 == 0 {
                receive(&mut service, &using(&account, &id, 1, &(time - late).to_string(), "9"));
            }
            if number % 11 == 0 {
                service.void("test", &format!("{account}-{}", day.saturating_sub(9))).unwrap();
            }
        }
        service
            .advance(at("2026-01-01T20:00:00Z") + jiff::SignedDuration::from_hours(24 * (day as i64 - 1)))
            .unwrap();
        service.commit().unwrap();
    }
    service.advance(at("2026-03-02T00:00:00Z")).unwrap();
    (0..5).for_each(|_| service.commit().unwrap());
    let mut wrong = Vec::new();
    service.verify(&mut |finding| wrong.push(finding)).unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    let in_memory = service.figures().groups;
    drop(service);
    (Sqlite::open(folder.path()).unwrap().groups().unwrap(), in_memory)
}

#[test]
fn how_many_groups_are_in_memory_makes_no_difference() {
    let (heads, all) = kept(usize::MAX);
    assert_eq!(all, CUSTOMERS);
    for groups in [0, 30] {
        let (other, few) = kept(groups);
        assert_eq!(other, heads, "{groups}");
        assert!(few <= groups + CUSTOMERS / 4, "{few} of {groups}");
    }
}
