//! A price list is published anew, with what settles more often: for groups that nobody asks for it is due as if the list
//! had been there from the beginning.

use super::failing::{Failing, full};
use super::undone::{at, customer_of};
use farebox_core::catalog::Catalogue;
use farebox_core::engine::Catalogues;
use farebox_service::{Pace, Service, Unpublished};
use farebox_store::{CatalogueText, Memory, Store};
use farebox_store_sqlite::Sqlite;
use farebox_text::catalog;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

const FIRST: &str = r#"
[catalogue]
id = "seats"
version = "1"
title = "Seats"
zone = "UTC"
currency = "EUR"
source = "Invented for this test."

[products.seats]
title = "Seats"

[products.seats.plans.seat]
title = "Seat"
unit = "seat"
modes = ["pay-per-use"]
charges = [{ id = "use", title = "Use", held = { by = "day" }, settle = "month", price = "31.00" }]
"#;

/// From February on.
fn second() -> String {
    let care =
        r#", { id = "care", title = "Care", held = { by = "day" }, settle = "day", price = "28.00" }]"#;
    let text = FIRST.replace("version = \"1\"", "version = \"2\"\neffective = \"2026-02-01\"");
    text.replace("price = \"31.00\" }]", &format!("price = \"31.00\" }}{care}"))
}

fn list(text: &str) -> Catalogue {
    catalog::parse("seats.toml", text.as_bytes()).unwrap()
}

fn lists(texts: &[&str]) -> Catalogues {
    let mut all = Catalogues::default();
    texts.iter().for_each(|text| all.add(list(text)).unwrap());
    all
}

fn open(store: Box<dyn Store>, texts: &[&str]) -> Service {
    let mut service = Service::open(store, lists(texts), at("2026-01-01T00:00:00Z")).unwrap();
    // Nobody stays in memory who is not asked for.
    service.set_pace(Pace { groups: 0, ..Pace::default() });
    service
}

fn customers(service: &mut Service, number: usize) {
    for name in (0..number).map(|number| format!("c{number}")) {
        customer_of(service, &name, None, "seat");
    }
    service.commit().unwrap();
    service.advance(at(PUBLISHED)).unwrap();
    // Those that nobody asks for leave with later commits.
    (0..4).for_each(|_| {
        service.keep_clock();
        service.commit().unwrap();
    });
}

fn publish(service: &mut Service, text: &str) {
    try_to_publish(service, text).unwrap();
}

fn try_to_publish(service: &mut Service, text: &str) -> Result<(), Unpublished> {
    let (list, published) = (list(text), service.clock());
    let (id, effective) = (list.id.clone(), list.effective);
    let kept = CatalogueText { id, effective, published, text: text.to_owned(), parts: Vec::new() };
    service.publish(list, kept)
}

/// When what was decided for a customer since the list was published, and all lines that it has.
type Done = (Vec<(Timestamp, String)>, Vec<String>);

/// The same of some customers.
fn done(service: &mut Service, until: &str, number: usize) -> Vec<Done> {
    service.advance(at(until)).unwrap();
    let names = (0..number).map(|number| format!("c{number}"));
    let one = |name: String| {
        let entries = service.entries(&name, 0, 10_000).unwrap().into_iter();
        let entries = entries.filter(|(_, entry)| entry.recorded_at > at(PUBLISHED));
        let entries = entries.map(|(_, entry)| (entry.recorded_at, entry.command)).collect();
        let group = service.group_of(&name).unwrap().unwrap();
        let bills = group.get(&name).unwrap().bills.values();
        (entries, bills.flat_map(|bill| &bill.lines).map(|line| format!("{line:?}")).collect())
    };
    names.map(one).collect()
}

const PUBLISHED: &str = "2026-01-15T10:00:00Z";
const UNTIL: &str = "2026-03-02T00:00:00Z";
/// Until then where there are many.
const SOON: &str = "2026-02-03T00:00:00Z";

/// What is done where both versions are known from the beginning.
fn expected(number: usize, until: &str) -> Vec<Done> {
    let mut service = open(Box::new(Memory::new()), &[FIRST, &second()]);
    customers(&mut service, number);
    done(&mut service, until, number)
}

#[test]
fn what_a_new_version_makes_due_is_done_in_time_for_groups_that_nobody_asks_for() {
    let expected = expected(3, UNTIL);
    let settled = |day: &str| expected[0].0.contains(&(at(day), "charges".to_owned()));
    assert!(
        settled("2026-02-02T00:00:00Z") && settled("2026-02-03T00:00:00Z") && settled(UNTIL),
        "{expected:?}"
    );
    // In the same process, and in another one that is opened before or after it is looked at.
    for restarts in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = || -> Box<dyn Store> { Box::new(Sqlite::open(folder.path()).unwrap()) };
        let mut service = open(sqlite(), &[FIRST]);
        customers(&mut service, 3);
        assert_eq!(service.figures().groups, 0, "nobody is in memory");
        publish(&mut service, &second());
        if restarts == 2 {
            service.advance(at("2026-01-16T00:00:00Z")).unwrap();
        }
        service.commit().unwrap();
        if restarts > 0 {
            drop(service);
            service = open(sqlite(), &[FIRST, &second()]);
        }
        assert!(done(&mut service, UNTIL, 3) == expected, "{restarts}");
        let mut wrong = Vec::new();
        service.verify(&mut |finding| wrong.push(finding)).unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// More than share a commit.
const MANY: usize = 1_050;

#[test]
fn where_the_store_fails_meanwhile_it_is_done_later() {
    let expected = expected(MANY, SOON);
    for kept in 0..2 {
        let (store, left, _) = Failing::new();
        let mut service = open(store, &[FIRST]);
        customers(&mut service, MANY);
        publish(&mut service, &second());
        service.commit().unwrap();
        left.store(kept, Ordering::Relaxed);
        assert_eq!(service.advance(service.clock()), Err(full()), "after {kept}");
        let (tell, told) = channel();
        service.commit_then(Box::new(move |kept| drop(tell.send(kept))));
        assert!(told.recv().unwrap().is_err(), "after {kept}");
        left.store(i64::MAX, Ordering::Relaxed);
        assert!(done(&mut service, SOON, MANY) == expected, "after {kept}");
    }
}

#[test]
fn new_prices_alone_have_nobody_looked_at() {
    let mut service = open(Box::new(Memory::new()), &[FIRST]);
    customers(&mut service, 3);
    publish(&mut service, &second().replace("28.00", "29.00"));
    service.advance(service.clock()).unwrap();
    assert_eq!(service.figures().groups, 3);
    (0..4).for_each(|_| {
        service.keep_clock();
        service.commit().unwrap();
    });
    assert_eq!(service.figures().groups, 0);
    publish(&mut service, &second().replace("2026-02-01", "2026-02-03"));
    service.advance(service.clock()).unwrap();
    assert_eq!(service.figures().groups, 0);
    let lines = |service: &mut Service| {
        let (_, lines) = done(service, UNTIL, 1).remove(0);
        lines.iter().filter(|line| line.contains("Care")).count()
    };
    assert_eq!(lines(&mut service), 29, "each day of February, and the first of March");
}

#[test]
fn what_was_published_with_a_commit_that_failed_is_forgotten() {
    for is_on_its_way in [false, true] {
        let (store, left, _) = Failing::new();
        let mut service = open(store, &[FIRST]);
        customers(&mut service, 1);
        left.store(0, Ordering::Relaxed);
        publish(&mut service, &second());
        assert_eq!(service.catalogues().versions("seats").count(), 2);
        if is_on_its_way {
            service.commit_then(Box::new(|kept| assert!(kept.is_err())));
            // It is decided as if it were kept, and so is what comes after it.
            publish(&mut service, &second().replace("2026-02-01", "2026-02-03"));
            service.recover();
        } else {
            service.commit().unwrap_err();
        }
        left.store(i64::MAX, Ordering::Relaxed);
        assert_eq!(service.catalogues().versions("seats").count(), 1, "{is_on_its_way}");
        publish(&mut service, &second());
        service.commit().unwrap();
        service.forget().unwrap();
        assert_eq!(service.catalogues().versions("seats").count(), 2, "{is_on_its_way}");
        assert!(done(&mut service, SOON, 1) == expected(1, SOON), "{is_on_its_way}");
    }
}

/// R-CHG-2: a version that would be in force since before now would rate anew what is on issued bills.
#[test]
fn no_version_is_published_for_a_time_that_is_over() {
    let mut service = open(Box::new(Memory::new()), &[FIRST]);
    customers(&mut service, 1);
    let from = |date: &str| second().replace("2026-02-01", date).replace("31.00", "62.00");
    service.advance(at("2026-02-15T10:00:00Z")).unwrap();
    for past in ["1970-01-01", "2026-01-16", "2026-02-15", "2026-02-15 09:59:59"] {
        assert_eq!(try_to_publish(&mut service, &from(past)), Err(Unpublished::Backdated), "{past}");
    }
    assert_eq!(service.catalogues().versions("seats").count(), 1);
    publish(&mut service, &from("2026-02-15 10:00:00"));
    service.commit().unwrap();
    service.advance(at("2026-04-01T00:00:00Z")).unwrap();
    assert_eq!(try_to_publish(&mut service, FIRST), Err(Unpublished::Exists));
    assert_eq!(try_to_publish(&mut service, &from("2026-02-15 10:00:00")), Err(Unpublished::Exists));
    let other = from("2026-02-15 10:00:00").replace("62.00", "93.00");
    assert_eq!(try_to_publish(&mut service, &other), Err(Unpublished::DateTaken));
    let elsewhere = from("2026-05-01").replace("EUR", "USD");
    assert_eq!(try_to_publish(&mut service, &elsewhere), Err(Unpublished::ZoneOrCurrency));
    let mut wrong = Vec::new();
    service.verify(&mut |finding| wrong.push(finding)).unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}
