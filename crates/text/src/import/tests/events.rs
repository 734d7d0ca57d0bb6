//! CloudEvents.

use super::*;

pub(super) const EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"pbx","type":"call","subject":"acme","time":"2026-01-05T12:00:00.5Z""#;

#[test]
fn cloudevents_one_a_line() {
    let file = format!(
        "{EVENT},\"data\":{{\"seconds\":61.50,\"to\":{{\"number\":\"+49\"}},\"hd\":true,\"big\":1e40}},\"project\":\"p\"}}\r\n\n{}}}\n",
        EVENT.replace("e1", "e2").replace("acme", "free")
    );
    check(
        &spec(Preset::CloudEvents),
        &file,
        "+ pbx e1 acme call 2026-01-05T12:00:00.5Z seconds=61.5 to.number=\"+49\" hd=\"true\" big=\"1e40\" project=\"p\" @1:1
         = rows 2 counted 1 not-billable 1 events 1",
    );
}

#[test]
fn what_a_broken_array_lacks_is_told() {
    let (one, two) = (format!("{EVENT}}}"), EVENT.replace("e1", "e2") + "}");
    let counted = "+ pbx e1 acme call 2026-01-05T12:00:00.5Z @1:1";
    let both = format!("{counted}\n+ pbx e2 acme call 2026-01-05T12:00:00.5Z @1:1");
    let batch = |text: &str, expected: &str| check(&spec(Preset::CloudEvents), text, expected);
    batch(
        &format!("[{one},{two}"),
        &format!("{both}\n= rows 3 counted 2 quarantined 1 events 2\n! 1: bad-json: an array never ends"),
    );
    batch(
        &format!("[{one},[1,[]],{two}]"),
        &format!("{both}\n= rows 3 counted 2 quarantined 1 events 2\n! 1: bad-json: this is no object"),
    );
    batch("[", "= rows 1 quarantined 1\n! 1: bad-json: an array never ends");
    batch(
        &format!("[{one}]]"),
        &format!("{counted}\n= rows 2 counted 1 quarantined 1 events 1\n! 1: bad-json: a ] without its ["),
    );
    batch("[]", "= rows 0");
}

#[test]
fn cloudevents_in_a_batch_and_alone() {
    let pretty = EVENT.replace(',', ",\n  ") + "\n}";
    let other = EVENT.replace("e1", "e2") + "}";
    check(
        &spec(Preset::CloudEvents),
        &format!("[\n{pretty},\n{other}, 7, {{\n"),
        "+ pbx e1 acme call 2026-01-05T12:00:00.5Z @1:2
         + pbx e2 acme call 2026-01-05T12:00:00.5Z @1:9
         = rows 4 counted 2 quarantined 2 events 2
         ! 9: bad-json: this is no object
         ! 9: bad-json: an object never ends",
    );
    check(
        &spec(Preset::CloudEvents),
        &pretty,
        "+ pbx e1 acme call 2026-01-05T12:00:00.5Z @1:1
         = rows 1 counted 1 events 1",
    );
}

#[test]
fn cloudevents_of_64_kib_are_read_and_endless_ones_are_skipped() {
    let big = format!("{EVENT},\"data\":{{\"note\":\"{}\"}}}}", "x".repeat(70_000));
    let endless = format!("{EVENT},\"data\":{{\"note\":\"{}\"}}}}", "x".repeat(3 * ROW_BYTES_MAX));
    let spec = ImportSpec { attributes: Attributes::Only(Vec::new()), ..spec(Preset::CloudEvents) };
    let expected =
        "+ pbx e1 acme call 2026-01-05T12:00:00.5Z @1:2\n= rows 2 counted 1 quarantined 1 events 1\n";
    for (from, to) in [("", "\n"), ("[", ",")] {
        let from = if from.is_empty() { "{}\n".replace("{}\n", "") } else { format!("{from}\n") };
        let line = if from.is_empty() { 1 } else { 2 };
        let close = if from.is_empty() { "" } else { "]" };
        let file = format!("{from}{big}{to}{endless}{close}\n");
        for (threads, chunk) in [(1, 1 << 22), (2, 10_000)] {
            let got = run(&[(&spec, file.as_bytes())], threads, chunk).unwrap();
            let expected = expected.replace("@1:2", &format!("@1:{line}"));
            assert!(got.starts_with(&expected) && got.contains("too-long"), "{got}");
        }
    }
}

#[test]
fn a_higher_revision_replaces_and_a_lower_one_is_a_duplicate() {
    let event = |revision: u64, seconds: u64| {
        format!("{EVENT},\"revision\":{revision},\"data\":{{\"seconds\":{seconds}}}}}\n")
    };
    let spec = spec(Preset::CloudEvents);
    check_files(
        &[
            (&spec, (event(1, 10) + &event(1, 10) + &event(1, 11)).as_bytes()),
            (&spec, (event(0, 5) + &event(3, 30) + &event(2, 20)).as_bytes()),
        ],
        "+ pbx e1 acme r1 call 2026-01-05T12:00:00.5Z seconds=10 @1:1
         = rows 3 counted 1 duplicates 1 quarantined 1 events 1
         ! 3: conflict: the same source, id and revision were said before with other content
         + pbx e1 acme r3 call 2026-01-05T12:00:00.5Z seconds=30 @2:2
         - pbx e1 acme r1 call 2026-01-05T12:00:00.5Z seconds=10
         = rows 3 counted 1 duplicates 2 events 1 revised 1",
    );
}

#[test]
fn the_same_event_written_otherwise_is_a_duplicate() {
    let one = format!("{EVENT},\"data\":{{\"a\":1,\"b\":2.0}}}}\n");
    let two = format!("{EVENT},\"data\":{{\"b\": 2, \"a\": 1.0}}}}\n");
    let got = run(&[(&spec(Preset::CloudEvents), (one + &two).as_bytes())], 2, 100).unwrap();
    assert!(got.ends_with("= rows 2 counted 1 duplicates 1 events 1\n"), "{got}");
}

#[test]
fn every_reason_of_an_event_is_shown() {
    let with = |from: &str, to: &str| EVENT.replace(from, to) + "}\n";
    let file = with("\"id\":\"e1\",", "")
        + &with("1.0", "0.3")
        + &with("2026-01-05T12", "2026-01-05T25")
        + &with("acme", "")
        + &format!("{EVENT},\"revision\":-1}}\n")
        + &format!("{EVENT},\"start\":\"2026-01-06T00:00:00Z\"}}\n")
        + "{\"a\":}\n"
        + "nonsense\n"
        + &with("e1", "ok");
    check(
        &spec(Preset::CloudEvents),
        &file,
        "+ pbx ok acme call 2026-01-05T12:00:00.5Z @1:9
         = rows 9 counted 1 quarantined 8 events 1
         ! 1: missing-attribute: \"id\" is missing, empty, or no text
         ! 2: bad-specversion: specversion is \"0.3\"; only 1.0 is known
         ! 3: bad-time: time \"2026-01-05T25:00:00.5Z\" is no RFC 3339 time that can be billed, such as 2026-01-31T23:59:59Z
         ! 4: no-account: the row names no account, and no rule gives it one
         ! 5: bad-number: revision \"-1\" is no whole number from 0
         ! 6: ends-before-start: its time is before its start
         ! 7: bad-json: after 5 bytes of the JSON, a value is expected
         ! 8: bad-json: after 0 bytes of the JSON, { is expected",
    );
}

#[test]
fn a_broken_first_line_costs_one_line() {
    check(
        &spec(Preset::CloudEvents),
        &format!("{EVENT}, \"data\": {{\n{EVENT}}}\n"),
        "+ pbx e1 acme call 2026-01-05T12:00:00.5Z @1:2
         = rows 2 counted 1 quarantined 1 events 1
         ! 1: bad-json: after 119 bytes of the JSON, \" is expected",
    );
}

#[test]
fn a_rule_sets_type_and_attributes_and_leaves_the_account_to_the_subject() {
    let rules = rules("direction=out type=ca* => type={type}-out project={data.team} direction=o; => ignore");
    check(
        &ImportSpec { rules, ..spec(Preset::CloudEvents) },
        &format!(
            "{EVENT},\"direction\":\"in\",\"data\":{{\"direction\":\"out\",\"team\":\"blue\"}}}}\n{}}}\n",
            EVENT.replace("e1", "e2")
        ),
        "+ pbx e1 acme call-out 2026-01-05T12:00:00.5Z project=\"blue\" direction=\"o\" team=\"blue\" @1:1
         = rows 2 counted 1 ignored 1 events 1",
    );
    let rules = self::rules("data.direction=out => type={type}-out project={team} direction=o; => ignore");
    check(
        &ImportSpec { rules, ..spec(Preset::CloudEvents) },
        &format!(
            "{EVENT},\"data\":{{\"direction\":\"out\",\"team\":\"blue\"}}}}\n{}}}\n",
            EVENT.replace("e1", "e2")
        ),
        "+ pbx e1 acme call-out 2026-01-05T12:00:00.5Z project=\"blue\" direction=\"o\" team=\"blue\" @1:1
         = rows 2 counted 1 ignored 1 events 1",
    );
}
