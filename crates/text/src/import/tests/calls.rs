//! Call-detail records.

use super::*;

pub(super) fn asterisk(rules_text: &str) -> ImportSpec {
    let rules = if rules_text.is_empty() { Vec::new() } else { rules(rules_text) };
    ImportSpec { rules, attributes: Attributes::Only(Vec::new()), ..spec(Preset::Asterisk) }
}

/// A row of 21 columns, quoted as Asterisk does.
pub(super) fn cdr(
    account: &str,
    times: (&str, &str),
    billsec: &str,
    disposition: &str,
    ids: (&str, &str, &str),
) -> String {
    let (start, end) = times;
    let (unique, linked, sequence) = ids;
    format!(
        "\"{account}\",\"49301\",\"200\",\"acme-in\",\"\"\"A\"\" <1>\",\"SIP/1\",\"SIP/2\",\"Dial\",\"\",\"{start}\",,\
         \"{end}\",9,{billsec},\"{disposition}\",\"DOCUMENTATION\",\"{unique}\",\"\",\"\",\"{linked}\",{sequence}\n"
    )
}

pub(super) const NOON: (&str, &str) = ("2026-01-05 12:00:00", "2026-01-05 12:01:05");

pub(super) const REAL: &[u8] = include_bytes!("../../../tests/asterisk-Master-masked.csv");

#[test]
fn the_real_file_has_14_calls_11_connected_and_286_seconds() {
    struct Minutes(i128);
    impl Sink for Minutes {
        fn usage(&mut self, event: &Event<'_>, _: Change, _: Origin) -> Verdict {
            if let Some((_, Value::Number(seconds))) =
                event.attributes.iter().find(|(name, _)| *name == "seconds")
            {
                self.0 += (seconds.numerator() + 59) / 60;
            }
            Verdict::Counted
        }
    }
    let spec = asterisk("=> account=acme");
    let mut sinks = [Minutes(0), Minutes(0)];
    let summary = Importer::new(2).import(&spec, Input::bytes(REAL), &mut sinks, &|_| {}).unwrap();
    assert_eq!(told(&summary), "= rows 42 counted 42 events 14 calls 14 connected 11 seconds 286");
    assert_eq!(sinks[0].0 + sinks[1].0, 12);
}

#[test]
fn the_real_file_without_rules_names_no_account() {
    let summary = Importer::new(1)
        .import(&spec(Preset::Asterisk), Input::bytes(REAL), &mut [Notes::default()], &|_| {})
        .unwrap();
    assert_eq!(summary.reasons, [("no-account", 42)].into());
    assert_eq!(summary.listed.len(), 14);
    assert!(summary.listed[0].excerpt.starts_with("\"\",\"55711295680\",\"551678\""));
}

#[test]
fn foreign_bytes_survive_as_escapes() {
    let spec =
        ImportSpec { attributes: Attributes::Only(vec!["clid".into()]), ..asterisk("=> account=acme") };
    let row = [cdr("", NOON, "65", "ANSWERED", ("1.1", "1.1", "0")).as_bytes()].concat();
    let row: Vec<u8> = row.iter().map(|&b| if b == b'A' { 0xE9 } else { b }).collect();
    // NSWERED is no answer: every A became a foreign byte.
    check_files(
        &[(&spec, &row)],
        "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=0 connected=\"no\" clid=\"\"\\xE9\" <1>\" @1:1
         = rows 1 counted 1 events 1 calls 1",
    );
}

#[test]
fn a_late_leg_in_another_file_revises_its_call() {
    let spec = asterisk("");
    let first = cdr("acme", NOON, "60", "ANSWERED", ("1.1", "1.1", "5"));
    let late =
        cdr("acme", ("2026-01-05 12:01:05", "2026-01-05 12:02:00"), "5", "ANSWERED", ("1.1", "1.1", "4"));
    check_files(
        &[(&spec, first.as_bytes()), (&spec, (first.clone() + &late).as_bytes())],
        "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\" @1:1
         = rows 1 counted 1 events 1 calls 1 connected 1 seconds 60
         + asterisk 1.1 acme call 2026-01-05T12:02:00Z from 2026-01-05T12:00:00Z seconds=65 connected=\"yes\" @2:2
         - asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\"
         = rows 2 counted 1 duplicates 1 events 1 revised 1 calls 1 connected 1 seconds 65",
    );
}

#[test]
fn local_legs_and_unanswered_ones_add_no_time() {
    let spec = asterisk("");
    let row = |billsec, disposition, sequence| {
        cdr("acme", NOON, billsec, disposition, ("pbx-1.1", "pbx-1.1", sequence))
    };
    let file = row("7", "ANSWERED", "1")
        + &row("30", "NO ANSWER", "2")
        + &row("40", "ANSWERED", "3").replace("SIP/1", "Local/1")
        + &row("50", "ANSWERED", "4").replace("SIP/2", "Local/2");
    check(
        &spec,
        &file,
        "+ asterisk pbx-1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=7 connected=\"yes\" @1:1
         = rows 4 counted 4 events 1 calls 1 connected 1 seconds 7",
    );
}

#[test]
fn older_files_have_fewer_columns() {
    let spec = asterisk("");
    let base = "acme,1,2,in,x,SIP/1,SIP/2,Dial,,2026-01-05 12:00:00,,2026-01-05 12:01:05,65,60,ANSWERED,DOC";
    check(
        &spec,
        &format!("{base},1767614400.7\n{base},1767614400.7,note\n{base},,,9\n{base},,1767614400.8,3\n"),
        "+ asterisk 1767614400.7 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=120 connected=\"yes\" @1:1
         + asterisk 1767614400.8 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\" @1:4
         + asterisk 941e9f7102a48bead472caa6273bccc2 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\" @1:3
         = rows 4 counted 4 events 3 calls 3 connected 3 seconds 240",
    );
}

#[test]
fn rules_map_ignore_and_refuse() {
    let spec = asterisk(
        "dst=2* dcontext=!b* => account=acme number={dst} tag:from={{{src}}}; dst=9 => ignore; dst=8 => account=free; dst=7 => account=stranger",
    );
    let row = |dst: &str, id: &str| {
        cdr("", NOON, "1", "ANSWERED", (id, id, "0")).replace("\"200\"", &format!("\"{dst}\""))
    };
    check(
        &spec,
        &(row("200", "1.1") + &row("9", "1.2") + &row("8", "1.3") + &row("7", "1.4") + &row("6", "1.5")),
        "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=1 connected=\"yes\" number=\"200\" tag:from=\"{49301}\" @1:1
         = rows 5 counted 1 not-billable 1 ignored 1 quarantined 2 events 1 calls 1 connected 1 seconds 1
         ! 4: unknown-account: no such account
         ! 5: no-rule: no rule of the import matches the row",
    );
}

#[test]
fn a_rule_with_an_unknown_field_is_explained() {
    let got = run(&[(&asterisk("dcontex=a => account=b"), b"")], 1, 100).unwrap_err();
    assert!(
        got.to_string()
            .starts_with("import.rules:1: unknown field \"dcontex\"; expected one of accountcode, src")
    );
    assert!(got.to_string().ends_with("did you mean \"dcontext\"?"));
}

#[test]
fn local_times_need_a_zone() {
    let spec = ImportSpec { zone: None, ..asterisk("") };
    let got = run(&[(&spec, b"")], 1, 100).unwrap_err();
    assert!(
        got.to_string().starts_with("usage: times of this format are local and no zone is given; expected")
    );
}

#[test]
fn every_reason_of_a_call_row_is_shown() {
    let spec = ImportSpec { zone: Zone::parse("Europe/Berlin"), ..asterisk("") };
    let row = |times, billsec, id: &str| cdr("acme", times, billsec, "ANSWERED", (id, id, "0"));
    let long = "x".repeat(300);
    let file = row(NOON, "-1", "1.1")
        + &row(NOON, "1e30", "1.2")
        + &row(NOON, "99999999999999999999", "1.3")
        + &row(("9999-12-31 00:00:00", "9999-12-31 00:00:01"), "1", "1.4")
        + &row(("2026-03-29 02:30:00", "2026-03-29 03:30:00"), "1", "1.5")
        + &row((NOON.1, NOON.0), "1", "1.6")
        + &row(NOON, "1", &long)
        + &cdr("", NOON, "1", "ANSWERED", ("1.7", "1.7", "0"))
        + "a,b\n"
        + "\"acme\"x,\n"
        + "a\"b\n"
        + &row(NOON, "1", "1.8")
        + &row(NOON, "2", "1.8")
        + "\n\"open,\n";
    check(
        &spec,
        &file,
        "+ asterisk 1.8 acme call 2026-01-05T11:01:05Z from 2026-01-05T11:00:00Z seconds=1 connected=\"yes\" @1:12
         = rows 14 counted 1 quarantined 13 events 1 calls 1 connected 1 seconds 1
         ! 1: bad-number: billsec \"-1\" is no number of seconds from 0 to 2678400
         ! 2: bad-number: billsec \"1e30\" is no number of seconds from 0 to 2678400
         ! 3: bad-number: billsec \"99999999999999999999\" is no number of seconds from 0 to 2678400
         ! 4: bad-time: start \"9999-12-31 00:00:00\" is no time like 2026-01-31 23:59:59 that can be billed
         ! 5: skipped-hour: start \"2026-03-29 02:30:00\" never was: daylight saving skips it in Europe/Berlin
         ! 6: ends-before-start: it ends at 2026-01-05 12:00:00 and starts at 2026-01-05 12:01:05
         ! 7: bad-id: the call's identifier is longer than 255 bytes
         ! 8: no-account: the row names no account, and no rule gives it one
         ! 9: columns: the row has 2 columns; 16 to 21 are expected
         ! 10: stray-quote: a quote stands inside a field, or text follows a closing quote
         ! 11: stray-quote: a quote stands inside a field, or text follows a closing quote
         ! 13: conflict: the same row identity was said before with other content
         ! 15: unclosed-quote: a quoted field never ends",
    );
}

#[test]
fn the_uniqueid_says_which_of_a_doubled_hour_is_meant() {
    let spec = ImportSpec { zone: Zone::parse("Europe/Berlin"), ..asterisk("") };
    // 02:30 is 00:30 and 01:30 UTC. The durations of the rows are 9 s.
    let twice = ("2026-10-25 02:30:00", "2026-10-25 02:30:09");
    let row = |unique: &str| cdr("acme", twice, "9", "ANSWERED", (unique, unique, "0"));
    check(
        &spec,
        &(row("1792888200.1") + &row("1792891800.2") + &row("x")),
        "+ asterisk 1792888200.1 acme call 2026-10-25T00:30:09Z from 2026-10-25T00:30:00Z seconds=9 connected=\"yes\" @1:1
         + asterisk 1792891800.2 acme call 2026-10-25T01:30:09Z from 2026-10-25T01:30:00Z seconds=9 connected=\"yes\" @1:2
         + asterisk x acme call 2026-10-25T00:30:09Z from 2026-10-25T00:30:00Z seconds=9 connected=\"yes\" @1:3
         = rows 3 counted 3 events 3 calls 3 connected 3 seconds 27",
    );
}

#[test]
fn a_quoted_line_end_keeps_line_numbers_right() {
    let spec = asterisk("");
    let row = |id: &str| cdr("acme", NOON, "1", "ANSWERED", (id, id, "0"));
    let file = format!("\u{feff}{}{}", row("1.1").replace("Dial", "Di\nal\r\n"), row("1.2"));
    check(
        &spec,
        &file,
        "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=1 connected=\"yes\" @1:1
         + asterisk 1.2 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=1 connected=\"yes\" @1:4
         = rows 2 counted 2 events 2 calls 2 connected 2 seconds 2",
    );
}

#[test]
fn a_row_too_long_is_skipped() {
    let spec = asterisk("");
    let row = |id: &str| cdr("acme", NOON, "1", "ANSWERED", (id, id, "0"));
    let file = row("1.1") + &"x".repeat(ROW_BYTES_MAX * 3 + 17) + "\n" + &row("1.2");
    let expected = "+ asterisk 1.1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=1 connected=\"yes\" @1:1\n\
        + asterisk 1.2 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=1 connected=\"yes\" @1:3\n\
        = rows 3 counted 2 quarantined 1 events 2 calls 2 connected 2 seconds 2\n\
        ! 2: too-long: the row is longer than 262144 bytes\n";
    for (threads, chunk) in [(1, 1 << 22), (2, 1000), (3, 300_000)] {
        assert_eq!(run(&[(&spec, file.as_bytes())], threads, chunk).unwrap(), expected, "{chunk}");
    }
}

#[test]
fn the_same_row_under_another_call_is_a_conflict_whoever_owns_the_call() {
    // Row and call may belong to different threads: the identity of the row decides.
    let spec = asterisk("");
    let row = |linked: &str| cdr("acme", NOON, "1", "ANSWERED", ("1.1", linked, "0"));
    let file: String = (1..40).map(|i| row(&format!("1.{i}"))).collect();
    let got = run(&[(&spec, file.as_bytes())], 1, 1 << 20).unwrap();
    assert!(got.contains("= rows 39 counted 1 quarantined 38 events 1 calls 1"), "{got}");
    check(&spec, &file, &got);
}
