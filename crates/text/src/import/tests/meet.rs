//! One identity said in two formats: an event that bears the source and id of a call.

use super::calls::{NOON, asterisk, cdr};
use super::*;

fn event(revision: u64, seconds: &str, more: &str) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"1.1\",\"source\":\"asterisk\",\"type\":\"call\",\"subject\":\"acme\",\
         \"time\":\"2026-01-05T12:01:05Z\",\"revision\":{revision},\"data\":{{\"seconds\":{seconds}{more}}}}}\n"
    )
}

fn call() -> String {
    cdr("acme", NOON, "60", "ANSWERED", ("1.1", "1.1", "5"))
}

const CALL: &str =
    "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\"";
const EVENT: &str = "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z seconds=60";

#[test]
fn an_event_that_says_what_a_call_said_is_a_duplicate_in_either_order() {
    let (calls, events) = (asterisk(""), spec(Preset::CloudEvents));
    let said = event(0, "60.0", ",\"connected\":\"yes\"") + &event(0, "60", "");
    check_files(
        &[(&calls, call().as_bytes()), (&events, said.as_bytes())],
        &format!(
            "{CALL} @1:1\n= rows 1 counted 1 events 1 calls 1 connected 1 seconds 60\n= rows 2 duplicates 2"
        ),
    );
    check_files(
        &[(&events, event(0, "60", "").as_bytes()), (&calls, call().as_bytes())],
        &format!("{EVENT} @1:1\n= rows 1 counted 1 events 1\n= rows 1 duplicates 1"),
    );
}

#[test]
fn an_event_that_contradicts_a_call_is_a_conflict_in_either_order() {
    let (calls, events) = (asterisk(""), spec(Preset::CloudEvents));
    let conflict = "conflict: the same source, id and revision were said before with other content";
    let said = event(0, "61", "") + &event(0, "60", ",\"number\":\"1\"");
    check_files(
        &[(&calls, call().as_bytes()), (&events, said.as_bytes())],
        &format!(
            "{CALL} @1:1\n= rows 1 counted 1 events 1 calls 1 connected 1 seconds 60
             = rows 2 quarantined 2\n! 1: {conflict}\n! 2: {conflict}"
        ),
    );
    let late =
        cdr("acme", ("2026-01-05 12:01:05", "2026-01-05 12:02:00"), "5", "ANSWERED", ("1.1", "1.1", "6"));
    check_files(
        &[(&events, event(0, "60", "").as_bytes()), (&calls, call().as_bytes()), (&calls, late.as_bytes())],
        &format!(
            "{EVENT} @1:1\n= rows 1 counted 1 events 1\n= rows 1 duplicates 1
             = rows 1 quarantined 1\n! 0: {conflict}"
        ),
    );
}

#[test]
fn a_higher_revision_takes_the_call_back_and_late_legs_do_not_bring_it_again() {
    let (calls, events) = (asterisk(""), spec(Preset::CloudEvents));
    let late =
        cdr("acme", ("2026-01-05 12:01:05", "2026-01-05 12:02:00"), "5", "ANSWERED", ("1.1", "1.1", "6"));
    check_files(
        &[
            (&calls, call().as_bytes()),
            (&events, (event(2, "90", "") + &event(1, "70", "")).as_bytes()),
            (&calls, late.as_bytes()),
        ],
        &format!(
            "{CALL} @1:1\n= rows 1 counted 1 events 1 calls 1 connected 1 seconds 60
             + asterisk 1.1 acme r2 call 2026-01-05T12:01:05Z seconds=90 @2:1
             {}\n= rows 2 counted 1 duplicates 1 events 1 revised 1\n= rows 1 duplicates 1",
            CALL.replace('+', "-")
        ),
    );
}

#[test]
fn a_call_that_was_never_usage_does_not_stand_in_an_events_way() {
    let (calls, events) = (asterisk("=> ignore"), spec(Preset::CloudEvents));
    check_files(
        &[(&calls, call().as_bytes()), (&events, event(0, "60", "").as_bytes())],
        &format!("= rows 1 ignored 1\n{EVENT} @2:1\n= rows 1 counted 1 events 1"),
    );
}

#[test]
fn two_formats_of_events_meet_too() {
    let table = ImportSpec { source: Some("asterisk".into()), ..spec(Preset::Csv) };
    let row = "id,time,account,type,seconds\n1.1,2026-01-05T12:01:05Z,acme,call,60\n";
    check_files(
        &[
            (&table, row.as_bytes()),
            (&spec(Preset::CloudEvents), (event(0, "60", "") + &event(0, "61", "")).as_bytes()),
        ],
        &format!(
            "{EVENT} @1:2\n= rows 1 counted 1 events 1\n= rows 2 duplicates 1 quarantined 1
             ! 2: conflict: the same source, id and revision were said before with other content"
        ),
    );
}

#[test]
fn a_whole_call_says_how_long_it_lasted() {
    let spec = ImportSpec { attributes: Attributes::Only(vec!["duration".into()]), ..asterisk("") };
    check(
        &spec,
        &call(),
        &format!("{CALL} duration=65 @1:1\n= rows 1 counted 1 events 1 calls 1 connected 1 seconds 60"),
    );
}
