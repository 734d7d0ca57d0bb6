//! Usage timed before the retention horizon: in quarantine, never counted, and what was counted stays.

use crate::is_whole;
use crate::undone::{at, customer, execute, lines, receive, service, using};
use farebox_core::calendar::Zone;
use farebox_core::engine::{Action, holds};
use farebox_core::metering::Problem;
use farebox_core::money::{Currency, Exact};
use farebox_service::{Closed, Decided, Pace, Parcel, Received, Service, Standing};
use farebox_store::usage::Usage;
use farebox_store::{Memory, Seen, Store};
use farebox_store_sqlite::Sqlite;
use jiff::Timestamp;

const HORIZON: &str = "2026-04-01T00:00:00Z";

/// Both stores, one after another: what is done to one is done to the other.
pub(crate) fn on_both(check: impl Fn(Service, &mut dyn FnMut(Service) -> Service)) {
    let pace = |mut service: Service| {
        service.set_pace(Pace { identities: 3, records: 2, blocks: 1, groups: 1 });
        service
    };
    check(pace(service(Box::new(Memory::new()))), &mut |mut service| {
        service.commit().and_then(|()| service.forget()).unwrap();
        service
    });
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Box<dyn Store> { Box::new(Sqlite::open(folder.path()).unwrap()) };
    check(pace(service(open())), &mut |mut before| {
        before.commit().unwrap();
        drop(before);
        pace(service(open()))
    });
}

/// An account that used something in January and in May, and a horizon in April.
fn furnished(service: &mut Service) {
    customer(service, "acme");
    receive(service, &using("acme", "old", 0, "2026-01-05T10:00:00Z", "1"));
    service.advance(at("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!(service.horizon(), None);
    assert!(service.move_horizon(at(HORIZON)));
    receive(service, &using("acme", "new", 0, "2026-05-05T10:00:00Z", "1"));
}

fn before(time: &str) -> Received {
    Received::Quarantined(Problem::BeforeHorizon { time: at(time), horizon: at(HORIZON) })
}

pub(crate) fn said(service: &mut Service, usage: &Usage) -> Received {
    service.receive(usage).unwrap()
}

/// What is in quarantine: ids, revisions and codes.
pub(crate) fn waiting(service: &mut Service, account: Option<&str>) -> Vec<(String, u64, String)> {
    let mut all = Vec::new();
    service
        .quarantine(account, None, &mut |one| {
            all.push((one.usage.id, one.usage.revision, one.code));
            Seen::More
        })
        .unwrap();
    all
}

fn decided() -> Decided<'static> {
    Decided { actor: "test", command: "{}", at: at("2026-06-01T00:00:00Z") }
}

fn piece(id: &str, revision: u64) -> (String, u64, String) {
    (id.to_owned(), revision, "before-horizon".to_owned())
}

/// How many lines charge for days of so many months.
fn months(service: &mut Service) -> Vec<(i8, usize)> {
    service.advance(service.clock().saturating_add(jiff::SignedDuration::from_hours(48)).unwrap()).unwrap();
    let group = service.group_of("acme").unwrap().unwrap();
    let bills = group.get("acme").unwrap().bills.values();
    let mut all = std::collections::BTreeMap::new();
    for line in bills.flat_map(|bill| &bill.lines) {
        *all.entry(line.period.start.to_zoned(jiff::tz::TimeZone::UTC).month()).or_insert(0) += 1;
    }
    all.into_iter().collect()
}

#[test]
fn what_is_older_waits_with_its_reason_and_harms_nothing_else() {
    on_both(|mut service, again| {
        furnished(&mut service);
        let mut parcel = Parcel::default();
        let all = [
            using("acme", "late", 0, "2026-03-31T23:59:59Z", "1"),
            using("acme", "first", 0, HORIZON, "1"),
            using("nobody", "stray", 0, "2026-02-01T00:00:00Z", "1"),
            using("acme", "old", 0, "2026-01-05T10:00:00Z", "1"),
        ];
        all.iter().for_each(|usage| parcel.push(&usage.event()));
        let mut told = Vec::new();
        service.receive_all(&parcel, &mut |_, received| told.push(received.clone())).unwrap();
        let [late, stray] = [before("2026-03-31T23:59:59Z"), before("2026-02-01T00:00:00Z")];
        assert_eq!(told, [late, Received::Counted, stray, Received::Duplicate]);
        for _ in 0..2 {
            assert_eq!(waiting(&mut service, Some("acme")), [piece("late", 0)]);
            assert_eq!(waiting(&mut service, None), [piece("late", 0), piece("stray", 0)]);
            assert_eq!(said(&mut service, &all[0]), Received::Duplicate);
            is_whole(&mut service).unwrap();
            service = again(service);
            assert_eq!(service.horizon(), Some(at(HORIZON)));
        }
        assert_eq!(months(&mut service), [(1, 1), (4, 1), (5, 1)]);
        // Nobody becomes somebody, and what is ordered has all usage counted anew.
        let (title, currency) = ("Nobody".to_owned(), Currency::parse("EUR").unwrap());
        let payer = Some("acme".to_owned());
        let open = Action::Open { title, currency, zone: Zone::utc(), payer, tier: None };
        execute(&mut service, "nobody", open).unwrap();
        let (plan, name, attributes) = ("things".to_owned(), Some("more".to_owned()), Default::default());
        let order =
            Action::Subscribe { plan, name, quantity: 1, mode: None, months: None, auto: None, attributes };
        execute(&mut service, "nobody", order).unwrap();
        assert_eq!(waiting(&mut service, Some("acme")), [piece("late", 0), piece("stray", 0)]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert_eq!(months(&mut service), [(1, 1), (4, 1), (5, 1)]);
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn it_is_mended_with_a_later_time_or_discarded() {
    on_both(|mut service, again| {
        furnished(&mut service);
        for id in ["one", "two"] {
            let usage = using("acme", id, 0, "2026-03-05T10:00:00Z", "1");
            assert_eq!(said(&mut service, &usage), before("2026-03-05T10:00:00Z"));
        }
        let mut service = again(service);
        let Standing::Quarantined(one) = service.look_again("test", "one").unwrap() else { panic!() };
        assert!(one.sentence.contains("2026-03-05T10:00:00Z") && one.sentence.contains(HORIZON), "{one:?}");
        // Another time that is too early is refused in the same way, and the piece is there once.
        let still = using("acme", "one", 0, "2026-03-31T10:00:00Z", "1");
        let standing = service.mend(&still.event(), decided()).unwrap().unwrap();
        assert!(
            matches!(&standing, Standing::Quarantined(one) if one.code == "before-horizon"),
            "{standing:?}"
        );
        assert_eq!(waiting(&mut service, None), [piece("two", 0), piece("one", 1)]);
        is_whole(&mut service).unwrap();
        let listed = [("old", 0, false), ("new", 0, false), ("two", 0, true), ("one", 1, true)];
        assert_eq!(events(&mut service, 1), listed);
        let mut service = again(service);
        assert_eq!(events(&mut service, 2), listed);
        assert_eq!(counted(&mut service), [("old".to_owned(), 0), ("new".to_owned(), 0)]);
        let mended = using("acme", "one", 0, "2026-05-31T10:00:00Z", "1");
        assert_eq!(service.mend(&mended.event(), decided()).unwrap(), Some(Standing::Counted));
        assert_eq!(waiting(&mut service, None), [piece("two", 0)]);
        assert_eq!(said(&mut service, &still), Received::Duplicate, "an older revision");
        let listed = [("old", 0, false), ("new", 0, false), ("two", 0, true), ("one", 2, false)];
        assert_eq!(events(&mut service, 3), listed);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert!(service.discard("test", "two", decided()).unwrap());
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(said(&mut service, &using("acme", "two", 7, "2026-05-05T10:00:00Z", "1")), Received::Void);
        assert_eq!(months(&mut service), [(1, 1), (5, 2)]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(events(&mut service, 100), [("old", 0, false), ("new", 0, false), ("one", 2, false)]);
        is_whole(&mut service).unwrap();
    });
}

/// Ids and revisions of the events of the account as they came, so many at a time, and whether they came too late.
fn events(service: &mut Service, most: usize) -> Vec<(&'static str, u64, bool)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let found = service.events_and_set_aside("acme", after, most, &mut |_, _, _| true).unwrap();
        assert!(found.events.len() <= most);
        for kept in found.events {
            let known = ["old", "new", "one", "two"].into_iter().find(|id| *id == kept.usage.id).unwrap();
            let is_late = kept.set_aside.as_ref().is_some_and(|problem| problem.code() == "before-horizon");
            assert_eq!(is_late, kept.set_aside.is_some());
            all.push((known, kept.usage.revision, is_late));
        }
        after = found.next;
        if after.is_none() {
            return all;
        }
    }
}

#[test]
fn what_was_counted_before_the_horizon_is_neither_replaced_nor_taken_back() {
    on_both(|mut service, again| {
        furnished(&mut service);
        let closed = Closed { time: at("2026-01-05T10:00:00Z"), horizon: at(HORIZON) };
        for time in ["2026-01-05T10:00:00Z", "2026-05-05T10:00:00Z"] {
            let received = said(&mut service, &using("acme", "old", 1, time, "2"));
            assert_eq!(received, Received::Closed(closed));
        }
        assert_eq!(service.closed("test", "old").unwrap(), Some(closed));
        assert!(!service.void("test", "old").unwrap());
        assert_eq!(
            said(&mut service, &using("acme", "old", 0, "2026-01-05T10:00:00Z", "1")),
            Received::Duplicate
        );
        let mut service = again(service);
        // A correction of what is not closed takes it back, also where it says that it was earlier.
        assert_eq!(service.closed("test", "new").unwrap(), None);
        let earlier = using("acme", "new", 1, "2026-03-05T10:00:00Z", "1");
        assert_eq!(said(&mut service, &earlier), before("2026-03-05T10:00:00Z"));
        assert_eq!(waiting(&mut service, None), [piece("new", 1)]);
        assert_eq!(months(&mut service), [(1, 1)]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert!(service.void("test", "new").unwrap());
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(months(&mut service), [(1, 1)]);
        is_whole(&mut service).unwrap();
    });
}

/// A session of an account that uses one unit now and is over.
pub(crate) fn session(service: &mut Service, account: &str, id: &str) {
    let (id, source, kind) = (id.to_owned(), "test".to_owned(), "use".to_owned());
    let until = service.clock() + jiff::SignedDuration::from_hours(1);
    let (name, attributes, units) = (id.clone(), Default::default(), Exact::ONE);
    let create = holds::Action::Create { id, source, kind, attributes, units, until };
    execute(service, account, Action::Holds(create)).unwrap();
    let release = holds::Action::Release { id: name, used: Exact::ONE };
    execute(service, account, Action::Holds(release)).unwrap();
}

#[test]
fn what_a_session_said_stays_when_it_is_closed_and_its_record_comes_too_late() {
    on_both(|mut service, again| {
        customer(&mut service, "acme");
        service.advance(at("2026-01-05T10:00:00Z")).unwrap();
        ["one", "two", "three"].into_iter().for_each(|id| session(&mut service, "acme", id));
        service.advance(at("2026-05-05T10:00:00Z")).unwrap();
        session(&mut service, "acme", "four");
        service.advance(at("2026-06-01T00:00:00Z")).unwrap();
        assert!(service.move_horizon(at(HORIZON)));
        let mut service = again(service);
        // A record that is too old replaces nothing; taken out of quarantine, it leaves what is billed.
        for id in ["one", "two", "four"] {
            let usage = using("acme", id, 0, "2026-01-05T10:00:01Z", "1");
            assert_eq!(said(&mut service, &usage), before("2026-01-05T10:00:01Z"), "{id}");
        }
        assert!(service.discard("test", "one", decided()).unwrap());
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        // Neither does one with another time, whether one that is too old is there or not.
        let closed = Closed { time: at("2026-01-05T10:00:00Z"), horizon: at(HORIZON) };
        for id in ["two", "three"] {
            let usage = using("acme", id, 1, "2026-05-05T10:00:01Z", "1");
            assert_eq!(said(&mut service, &usage), Received::Closed(closed), "{id}");
        }
        assert_eq!(service.closed("test", "three").unwrap(), Some(closed));
        assert!(!service.void("test", "three").unwrap());
        // What is not closed is replaced by its record, and with it.
        receive(&mut service, &using("acme", "four", 1, "2026-05-06T10:00:01Z", "1"));
        assert_eq!(waiting(&mut service, None), [piece("two", 0)]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        let days: Vec<Timestamp> = charged(&mut service).into_iter().collect();
        assert_eq!(
            days,
            [at("2026-01-05T00:00:00Z"), at("2026-05-05T00:00:00Z"), at("2026-05-06T00:00:00Z")]
        );
        assert!(service.void("test", "four").unwrap());
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None), [piece("two", 0)]);
        assert_eq!(months(&mut service), [(1, 1), (5, 4)], "charged, taken back, charged, taken back");
        is_whole(&mut service).unwrap();
    });
}

/// The days that are charged for, each once.
fn charged(service: &mut Service) -> std::collections::BTreeSet<Timestamp> {
    months(service);
    let group = service.group_of("acme").unwrap().unwrap();
    let bills = group.get("acme").unwrap().bills.values();
    bills.flat_map(|bill| &bill.lines).map(|line| line.period.start).collect()
}

#[test]
fn what_waited_in_quarantine_when_the_horizon_passed_it_came_in_time() {
    on_both(|mut service, again| {
        customer(&mut service, "acme");
        for id in ["a", "b", "c"] {
            let usage = using("acme", id, 0, "2026-01-05T10:00:00Z", "many");
            assert!(matches!(said(&mut service, &usage), Received::Quarantined(Problem::NotANumber(..))));
        }
        let stray = using("later", "d", 0, "2026-01-05T10:00:00Z", "1");
        assert!(matches!(said(&mut service, &stray), Received::Quarantined(Problem::UnknownAccount(_))));
        service.advance(at("2026-06-01T00:00:00Z")).unwrap();
        assert!(service.move_horizon(at(HORIZON)));
        let mut service = again(service);
        assert_eq!(service.closed("test", "a").unwrap(), None);
        assert!(service.void("test", "a").unwrap());
        // What is said anew is too late.
        let mended = using("acme", "b", 0, "2026-01-05T10:00:00Z", "1");
        let standing = service.mend(&mended.event(), decided()).unwrap().unwrap();
        assert!(
            matches!(&standing, Standing::Quarantined(one) if one.code == "before-horizon"),
            "{standing:?}"
        );
        let mended = using("acme", "b", 0, "2026-05-05T10:00:00Z", "1");
        assert_eq!(service.mend(&mended.event(), decided()).unwrap(), Some(Standing::Counted));
        let codes: Vec<String> = waiting(&mut service, None).into_iter().map(|(_, _, code)| code).collect();
        assert_eq!(codes, ["not-a-number", "unknown-account"]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        // What waited is counted, or looked at again, when it can be.
        customer(&mut service, "later");
        assert_eq!(waiting(&mut service, Some("later")), []);
        assert_eq!(months(&mut service), [(5, 1)]);
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn what_waits_is_known_while_its_commit_is_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(Box::new(Sqlite::open(folder.path()).unwrap()));
    customer(&mut service, "acme");
    service.advance(at("2026-06-01T00:00:00Z")).unwrap();
    let ids: Vec<String> = (0..9).map(|number| format!("a{number}")).collect();
    for id in &ids {
        let usage = using("acme", id, 0, "2026-01-05T10:00:00Z", "many");
        assert!(matches!(said(&mut service, &usage), Received::Quarantined(Problem::NotANumber(..))));
    }
    assert!(service.move_horizon(at(HORIZON)));
    service.commit_then(Box::new(|kept| kept.unwrap()));
    // It was not counted, so that it can be replaced.
    for id in &ids {
        receive(&mut service, &using("acme", id, 1, "2026-05-05T10:00:00Z", "1"));
    }
    assert_eq!(waiting(&mut service, None), []);
    is_whole(&mut service).unwrap();
}

#[test]
fn the_horizon_never_goes_back_nor_past_what_is_not_settled() {
    on_both(|mut service, again| {
        customer(&mut service, "acme");
        service.advance(at("2026-06-01T00:00:00Z")).unwrap();
        assert!(!service.move_horizon(at("2026-07-01T00:00:00Z")), "it has not come yet");
        assert!(service.move_horizon(at(HORIZON)));
        assert!(service.move_horizon(at("2026-02-01T00:00:00Z")), "it is past it");
        assert_eq!(service.horizon(), Some(at(HORIZON)));
        // What a failed commit was to keep is forgotten.
        assert!(service.move_horizon(at("2026-04-02T00:00:00Z")));
        service.forget().unwrap();
        assert_eq!(service.horizon(), None);
        assert!(service.move_horizon(at(HORIZON)));
        let mut service = again(service);
        assert_eq!(service.horizon(), Some(at(HORIZON)));
        // A group that cannot be settled holds it up.
        customer(&mut service, "bad");
        receive(&mut service, &using("bad", "much", 0, "2026-06-03T10:00:00Z", "900000000000001"));
        service.advance(at("2026-07-01T00:00:00Z")).unwrap();
        assert_eq!(service.schedule().undone().len(), 1);
        let due: Timestamp = service.schedule().undone().next().unwrap().due.at;
        assert!(service.move_horizon(due));
        assert!(!service.move_horizon(at("2026-06-30T00:00:00Z")));
        assert!(lines(&mut service, "bad").is_empty());
        let service = again(service);
        assert_eq!(service.horizon(), Some(due));
    });
}

/// Ids and revisions of the events of the account that count, in the order in which they came.
fn counted(service: &mut Service) -> Vec<(String, u64)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let found = service.events("acme", after, 100, &mut |_, _| true).unwrap();
        all.extend(found.events.into_iter().map(|kept| (kept.usage.id, kept.usage.revision)));
        after = found.next;
        if after.is_none() {
            return all;
        }
    }
}

#[test]
fn identities_that_are_closed_and_archived_leave_the_index_and_nothing_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Service {
        let mut service = service(Box::new(Sqlite::open(folder.path()).unwrap()));
        service.set_pace(Pace { identities: 3, records: 2, blocks: 1, groups: 1 });
        service
    };
    let mut service = open();
    customer(&mut service, "acme");
    let january = |id: u64, revision: u64, units: &str| {
        using("acme", &format!("a{id}"), revision, "2026-01-05T10:00:00Z", units)
    };
    let keep = |service: &mut Service, usage: &Usage| {
        let received = said(service, usage);
        service.commit().unwrap();
        received
    };
    for id in 0..40 {
        keep(&mut service, &january(id, 0, if id == 7 { "many" } else { "1" }));
    }
    keep(&mut service, &january(5, 1, "2"));
    assert!(service.void("test", "a6").unwrap());
    service.advance(at("2026-06-01T00:00:00Z")).unwrap();
    let listed = counted(&mut service);
    assert_eq!(listed.len(), 39, "all but a6");
    assert!(service.move_horizon(at(HORIZON)));
    keep(&mut service, &using("acme", "may", 0, "2026-05-05T10:00:00Z", "1"));
    let archive = Sqlite::write_archive(folder.path(), at(HORIZON)).unwrap().unwrap();
    assert!(archive.blocks.len() >= 40, "{}", archive.blocks.len());
    service.put_away(&archive).unwrap();
    for number in 0..60 {
        keep(&mut service, &using("acme", &format!("b{number}"), 0, "2026-05-05T10:00:00Z", "1"));
    }
    is_whole(&mut service).unwrap();

    // What left is not told from what is new, and waits like it; the others are known.
    assert_eq!(keep(&mut service, &january(0, 0, "1")), before("2026-01-05T10:00:00Z"));
    assert_eq!(keep(&mut service, &january(0, 0, "1")), Received::Duplicate);
    for (id, revision, units) in [(5, 0, "1"), (5, 1, "2"), (7, 0, "many")] {
        assert_eq!(keep(&mut service, &january(id, revision, units)), Received::Duplicate);
    }
    assert_eq!(keep(&mut service, &january(6, 0, "1")), Received::Void);
    assert!(!service.void("test", "a2").unwrap());
    let is_listed = |service: &mut Service, listed: &[(String, u64)]| {
        let all = counted(service);
        assert_eq!(all[..listed.len()], *listed);
        all.len() - listed.len()
    };
    assert_eq!(is_listed(&mut service, &listed), 61);
    let billed = months(&mut service);
    is_whole(&mut service).unwrap();
    drop(service);
    let mut service = open();
    assert_eq!(is_listed(&mut service, &listed), 61);
    // What waited can be mended, and what is mended is another piece of usage than what was counted.
    let may = |id: &str| using("acme", id, 0, "2026-05-06T10:00:00Z", "1");
    for id in ["a0", "a7"] {
        assert_eq!(service.mend(&may(id).event(), decided()).unwrap(), Some(Standing::Counted), "{id}");
    }
    let mut left: Vec<(String, u64)> = listed.iter().filter(|(id, _)| id != "a7").cloned().collect();
    assert_eq!(is_listed(&mut service, &left), 63);
    is_whole(&mut service).unwrap();
    assert!(service.void("test", "a0").unwrap());
    is_whole(&mut service).unwrap();
    drop(service);
    let mut service = open();
    assert_eq!(is_listed(&mut service, &left), 62);
    assert_ne!(months(&mut service), billed, "a7 was not billed before");
    is_whole(&mut service).unwrap();
    // And so it goes on, when May is archived.
    service.advance(at("2026-09-01T00:00:00Z")).unwrap();
    assert!(service.move_horizon(at("2026-07-01T00:00:00Z")));
    keep(&mut service, &using("acme", "july", 0, "2026-07-05T10:00:00Z", "1"));
    left = counted(&mut service);
    let archive = Sqlite::write_archive(folder.path(), at("2026-07-01T00:00:00Z")).unwrap().unwrap();
    service.put_away(&archive).unwrap();
    for number in 0..60 {
        keep(&mut service, &using("acme", &format!("c{number}"), 0, "2026-07-05T10:00:00Z", "1"));
    }
    assert_eq!(is_listed(&mut service, &left), 60);
    assert!(matches!(keep(&mut service, &may("b3")), Received::Quarantined(Problem::BeforeHorizon { .. })));
    is_whole(&mut service).unwrap();
    drop(service);
    let mut service = open();
    assert_eq!(is_listed(&mut service, &left), 60);
    is_whole(&mut service).unwrap();
}
