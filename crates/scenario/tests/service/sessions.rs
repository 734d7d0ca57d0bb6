//! Sessions whose records name an account of another group: what was used is billed once, to whom the record names.

use crate::horizon::{on_both, said, session, waiting};
use crate::is_whole;
use crate::undone::{at, customer, receive, using};
use farebox_core::metering::Problem;
use farebox_service::{Received, Service};

/// Units that an account was billed for, and that were credited.
fn billed(service: &mut Service, account: &str) -> Vec<String> {
    let group = service.group_of(account).unwrap().unwrap();
    let bills = group.get(account).unwrap().bills.values();
    bills.flat_map(|bill| &bill.lines).map(|line| line.quantity.to_string()).collect()
}

/// Two groups at ten o'clock.
fn two(service: &mut Service) {
    customer(service, "acme");
    customer(service, "other");
    service.advance(at("2026-01-05T10:00:00Z")).unwrap();
}

#[test]
fn a_record_takes_the_place_of_a_session_of_another_group() {
    on_both(|mut service, again| {
        two(&mut service);
        session(&mut service, "acme", "early");
        session(&mut service, "acme", "late");
        receive(&mut service, &using("other", "early", 0, "2026-01-05T10:00:00Z", "5"));
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        service.advance(at("2026-01-07T00:00:00Z")).unwrap();
        assert_eq!(
            (billed(&mut service, "acme"), billed(&mut service, "other")),
            (vec!["1".to_owned()], vec!["5".to_owned()])
        );
        // What was charged already is credited.
        receive(&mut service, &using("other", "late", 0, "2026-01-06T10:00:00Z", "7"));
        service.advance(at("2026-01-08T00:00:00Z")).unwrap();
        assert_eq!(billed(&mut service, "acme"), ["1", "-1"]);
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        // Taken back, nothing of it is left on either side.
        assert!(service.void("test", "late").unwrap());
        service.advance(at("2026-01-09T00:00:00Z")).unwrap();
        assert_eq!(billed(&mut service, "acme"), ["1", "-1"]);
        assert_eq!(billed(&mut service, "other"), ["5", "7", "-7"]);
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn a_record_that_names_nobody_waits_and_its_session_is_not_billed() {
    on_both(|mut service, again| {
        two(&mut service);
        session(&mut service, "acme", "one");
        let stray = said(&mut service, &using("acne", "one", 0, "2026-01-05T10:00:00Z", "5"));
        assert!(matches!(stray, Received::Quarantined(Problem::UnknownAccount(_))), "{stray:?}");
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        receive(&mut service, &using("acme", "one", 1, "2026-01-05T10:00:00Z", "5"));
        assert_eq!(waiting(&mut service, None), []);
        service.advance(at("2026-01-07T00:00:00Z")).unwrap();
        assert_eq!(billed(&mut service, "acme"), ["5"]);
        is_whole(&mut service).unwrap();
    });
}

#[test]
fn sessions_of_several_accounts_may_have_one_name() {
    on_both(|mut service, again| {
        two(&mut service);
        session(&mut service, "acme", "one");
        session(&mut service, "other", "one");
        session(&mut service, "acme", "two");
        session(&mut service, "other", "two");
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        service.advance(at("2026-01-06T00:00:00Z")).unwrap();
        assert_eq!((billed(&mut service, "acme"), billed(&mut service, "other")), (units("2"), units("2")));
        // One call has one record, whose identity only one of them can bear.
        receive(&mut service, &using("other", "two", 0, "2026-01-06T10:00:00Z", "7"));
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        service.advance(at("2026-01-07T00:00:00Z")).unwrap();
        assert_eq!(billed(&mut service, "acme"), ["2", "-1"]);
        assert_eq!(billed(&mut service, "other"), ["2", "-1", "7"]);
        assert!(service.void("test", "one").unwrap());
        is_whole(&mut service).unwrap();
        let mut service = again(service);
        service.advance(at("2026-01-08T00:00:00Z")).unwrap();
        assert_eq!(billed(&mut service, "acme"), ["2", "-1", "-1"]);
        assert_eq!(billed(&mut service, "other"), ["2", "-1", "7", "-1"]);
        is_whole(&mut service).unwrap();
    });
}

fn units(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}
