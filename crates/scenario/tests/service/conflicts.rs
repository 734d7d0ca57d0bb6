//! Usage that says otherwise what was said before: it waits, and what was said first counts, until someone says which is
//! right.

use crate::horizon::{on_both, said, waiting};
use crate::is_whole;
use crate::undone::{at, customer, execute, receive, using};
use farebox_core::calendar::Zone;
use farebox_core::engine::Action;
use farebox_core::metering::Problem;
use farebox_core::money::Currency;
use farebox_service::{CONFLICTS_MAX, Decided, Received, Service, Standing};

const NOON: &str = "2026-01-05T12:00:00Z";

fn decided() -> Decided<'static> {
    Decided { actor: "test", command: "{}", at: at("2026-01-01T00:00:00Z") }
}

fn piece(id: &str) -> (String, u64, String) {
    (id.to_owned(), 0, "conflict".to_owned())
}

/// Usage of an hour after noon, under an id, of so many units.
fn after_noon(service: &mut Service, id: &str, units: &str) -> Received {
    said(service, &using("acme", id, 0, "2026-01-05T13:00:00Z", units))
}

/// Units that the account is billed for when the day is over.
fn billed(service: &mut Service) -> String {
    service.advance(at("2026-01-07T00:00:00Z")).unwrap();
    let group = service.group_of("acme").unwrap().unwrap();
    let bills = group.get("acme").unwrap().bills.values();
    let lines = bills.flat_map(|bill| &bill.lines).map(|line| line.quantity.to_string());
    lines.collect::<Vec<_>>().join(" + ")
}

const CONFLICT: Received = Received::Quarantined(Problem::Conflict);

/// An account whose usage `one` of one unit has been contradicted twice, and `two` once.
fn contradicted(service: &mut Service) {
    customer(service, "acme");
    for id in ["one", "two"] {
        receive(service, &using("acme", id, 0, NOON, "1"));
    }
    assert_eq!(after_noon(service, "one", "5"), CONFLICT);
    assert_eq!(after_noon(service, "one", "7"), CONFLICT);
    assert_eq!(after_noon(service, "two", "9"), CONFLICT);
}

#[test]
fn what_was_said_first_counts_and_each_contradiction_waits_once() {
    on_both(|mut service, again| {
        contradicted(&mut service);
        for _ in 0..2 {
            assert_eq!(waiting(&mut service, None), [piece("one"), piece("one"), piece("two")]);
            assert_eq!(waiting(&mut service, Some("acme")).len(), 3);
            assert_eq!(after_noon(&mut service, "one", "7"), Received::Duplicate);
            assert_eq!(said(&mut service, &using("acme", "one", 0, NOON, "1")), Received::Duplicate);
            let standing = service.look_again("test", "two").unwrap();
            let Standing::Quarantined(two) = &standing else { panic!("{standing:?}") };
            assert!(standing.is_conflict() && two.usage.time == at("2026-01-05T13:00:00Z"), "{two:?}");
            let found = service.events_and_set_aside("acme", None, 9, &mut |_, _, _| true).unwrap();
            let aside = found.events.iter().filter(|kept| kept.set_aside == Some(Problem::Conflict));
            assert_eq!((found.events.len(), aside.count()), (5, 3));
            is_whole(&mut service).unwrap();
            service = again(service);
        }
        assert_eq!(billed(&mut service), "2");
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn a_contradiction_goes_with_a_revision_a_void_or_alone() {
    on_both(|mut service, again| {
        contradicted(&mut service);
        // Discarded, it leaves what was said first, and its identity is not void.
        assert!(service.discard("test", "two", decided()).unwrap());
        assert_eq!(service.look_again("test", "two").unwrap(), Standing::Counted);
        assert!(!service.discard("test", "two", decided()).unwrap(), "nothing of it waits");
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None), [piece("one"), piece("one")]);
        assert_eq!(after_noon(&mut service, "two", "9"), CONFLICT);
        // Mended, the correction takes the place of all that was said.
        let right = using("acme", "one", 0, NOON, "7");
        assert_eq!(service.mend(&right.event(), decided()).unwrap(), Some(Standing::Counted));
        assert_eq!(waiting(&mut service, None), [piece("two")]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert!(service.void("test", "two").unwrap());
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(after_noon(&mut service, "two", "9"), Received::Void);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(billed(&mut service), "7");
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn it_is_settled_though_its_account_was_opened_since() {
    for is_asked in [false, true] {
        on_both(|mut service, again| {
            customer(&mut service, "acme");
            customer(&mut service, "globex");
            receive(&mut service, &using("acme", "one", 0, NOON, "1"));
            assert_eq!(said(&mut service, &using("nobody", "one", 0, NOON, "1")), CONFLICT);
            let mut service = again(service);
            let (title, currency) = ("Nobody".to_owned(), Currency::parse("EUR").unwrap());
            let payer = Some("globex".to_owned());
            let open = Action::Open { title, currency, zone: Zone::utc(), payer, tier: None };
            execute(&mut service, "nobody", open).unwrap();
            if is_asked {
                assert_eq!(waiting(&mut service, Some("globex")), [piece("one")]);
            }
            receive(&mut service, &using("acme", "one", 1, NOON, "3"));
            assert_eq!(waiting(&mut service, None), []);
            let mut service = again(service);
            assert_eq!(waiting(&mut service, Some("globex")), []);
            assert_eq!(waiting(&mut service, None), []);
            assert_eq!(billed(&mut service), "3");
            is_whole(&mut service).unwrap();
        });
    }
}

#[test]
fn no_more_wait_than_someone_could_look_at() {
    on_both(|mut service, again| {
        customer(&mut service, "acme");
        receive(&mut service, &using("acme", "one", 0, NOON, "1"));
        for units in 2..CONFLICTS_MAX + 2 {
            assert_eq!(after_noon(&mut service, "one", &units.to_string()), CONFLICT);
        }
        let mut service = again(service);
        assert_eq!(after_noon(&mut service, "one", "5000"), Received::Conflict);
        assert_eq!(after_noon(&mut service, "one", "7"), Received::Duplicate);
        assert_eq!(waiting(&mut service, None).len(), CONFLICTS_MAX);
        assert!(service.discard("test", "one", decided()).unwrap());
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(after_noon(&mut service, "one", "5000"), CONFLICT);
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn it_may_be_of_anyone_and_of_what_waits_itself() {
    on_both(|mut service, again| {
        customer(&mut service, "acme");
        receive(&mut service, &using("acme", "one", 0, NOON, "1"));
        // Of an account that nobody has opened, and of one that pays for itself.
        assert_eq!(said(&mut service, &using("nobody", "one", 0, NOON, "1")), CONFLICT);
        customer(&mut service, "globex");
        assert_eq!(said(&mut service, &using("globex", "one", 0, NOON, "1")), CONFLICT);
        // What was said first cannot be billed either.
        let first = said(&mut service, &using("stranger", "two", 0, NOON, "1"));
        assert!(matches!(first, Received::Quarantined(Problem::UnknownAccount(_))), "{first:?}");
        assert_eq!(said(&mut service, &using("acme", "two", 0, NOON, "1")), CONFLICT);
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None).len(), 4);
        assert_eq!(waiting(&mut service, Some("globex")), [piece("one")]);
        let standing = service.look_again("test", "two").unwrap();
        assert!(!standing.is_conflict(), "what was said first waits itself: {standing:?}");
        is_whole(&mut service).unwrap();
        // A revision says it plainly.
        receive(&mut service, &using("globex", "one", 1, NOON, "3"));
        receive(&mut service, &using("acme", "two", 1, NOON, "4"));
        assert_eq!(waiting(&mut service, None), []);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        assert_eq!(waiting(&mut service, None), []);
        assert_eq!(billed(&mut service), "4");
        is_whole(&mut service).unwrap();
    });
}
