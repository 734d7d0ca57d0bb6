//! Whole files through the importer: text in, text out.

use super::*;
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::Zone;
use farebox_core::metering::Value;
use proptest::prelude::*;

/// Writes down every event that it is given; `refuse` names accounts that it does not know.
#[derive(Default)]
struct Notes(Vec<String>);

impl Sink for Notes {
    fn usage(&mut self, event: &Event<'_>, change: Change, origin: Origin) -> Verdict {
        match event.account {
            "free" => return Verdict::NotBillable,
            "stranger" => return Verdict::Quarantine(Reason::new("unknown-account", "no such account")),
            _ => {}
        }
        let sign = if change == Change::Add { '+' } else { '-' };
        let mut text = format!("{sign} {} {} {}", event.source, event.id, event.account);
        if event.revision > 0 {
            text += &format!(" r{}", event.revision);
        }
        text += &format!(" {} {}", event.kind, event.time);
        if let Some(start) = event.start {
            text += &format!(" from {start}");
        }
        for (name, value) in &event.attributes {
            match value {
                Value::Text(value) => text += &format!(" {name}=\"{value}\""),
                Value::Number(value) => text += &format!(" {name}={value}"),
            }
        }
        if change == Change::Add {
            text += &format!(" @{}:{}", origin.file, origin.line);
        }
        self.0.push(text);
        Verdict::Counted
    }
}

fn told(summary: &Summary) -> String {
    assert_eq!(summary.rows, summary.accounted(), "{summary:?}");
    let mut text = format!("= rows {}", summary.rows);
    for (name, count) in [
        ("counted", summary.counted),
        ("duplicates", summary.duplicates),
        ("not-billable", summary.not_billable),
        ("ignored", summary.ignored),
        ("quarantined", summary.quarantined),
        ("events", summary.events),
        ("revised", summary.revised),
        ("calls", summary.calls),
        ("connected", summary.connected),
        ("seconds", summary.seconds),
    ] {
        if count > 0 {
            text += &format!(" {name} {count}");
        }
    }
    for row in &summary.listed {
        text += &format!("\n! {}: {}: {}", row.line, row.reason.code, row.reason.sentence);
    }
    text
}

/// Imports the files one after another: events in alphabetical order after each, and the summary.
fn run(files: &[(&ImportSpec, &[u8])], threads: usize, chunk_bytes: usize) -> Result<String, Diagnostic> {
    let mut importer = Importer::new(threads);
    let mut sinks: Vec<Notes> = (0..threads).map(|_| Notes::default()).collect();
    let mut text = String::new();
    for (spec, bytes) in files {
        let spec = ImportSpec { chunk_bytes, ..(*spec).clone() };
        let summary = importer.import(&spec, Input::bytes(bytes), &mut sinks, &|_| {})?;
        let mut events: Vec<String> = sinks.iter_mut().flat_map(|sink| std::mem::take(&mut sink.0)).collect();
        events.sort();
        for event in events {
            text += &event;
            text.push('\n');
        }
        text += &told(&summary);
        text.push('\n');
    }
    Ok(text)
}

#[track_caller]
fn check_files(files: &[(&ImportSpec, &[u8])], expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    for (threads, chunk_bytes) in [(1, 1 << 20), (1, 7), (2, 64), (3, 1000)] {
        let got = run(files, threads, chunk_bytes).unwrap_or_else(|wrong| wrong.to_string());
        assert_eq!(
            got.trim().lines().collect::<Vec<_>>(),
            expected,
            "{threads} threads, {chunk_bytes} bytes"
        );
    }
}

#[track_caller]
fn check(spec: &ImportSpec, file: &str, expected: &str) {
    check_files(&[(spec, file.as_bytes())], expected);
}

fn spec(preset: Preset) -> ImportSpec {
    let zone = (preset == Preset::Asterisk).then(Zone::utc);
    ImportSpec { zone, rules_file: "import.rules".into(), ..ImportSpec::new(preset, "usage") }
}

/// `dcontext=acme-* account=acme number={dst}` or `… ignore`; `;` between rules.
fn rules(text: &str) -> Vec<MapRule> {
    let rule = |(line, text): (usize, &str)| {
        let (when, then) = text.split_once("=>").unwrap();
        let pairs = |text: &str| -> Vec<(String, String)> {
            text.split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let when = pairs(when).into_iter().map(|(field, p)| Condition { field, pattern: Pattern::parse(&p) });
        let outcome = if then.trim() == "ignore" {
            Outcome::Ignore
        } else {
            Outcome::Set(pairs(then).into_iter().map(|(n, t)| (n, Template::parse(&t).unwrap())).collect())
        };
        MapRule { line: line + 1, when: when.collect(), outcome }
    };
    text.split(';').enumerate().map(rule).collect()
}

fn asterisk(rules_text: &str) -> ImportSpec {
    let rules = if rules_text.is_empty() { Vec::new() } else { rules(rules_text) };
    ImportSpec { rules, attributes: Attributes::Only(Vec::new()), ..spec(Preset::Asterisk) }
}

/// A row of 21 columns, quoted as Asterisk does.
fn cdr(
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

const NOON: (&str, &str) = ("2026-01-05 12:00:00", "2026-01-05 12:01:05");

const REAL: &[u8] = include_bytes!("../../tests/asterisk-Master-masked.csv");

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

const EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"pbx","type":"call","subject":"acme","time":"2026-01-05T12:00:00.5Z""#;

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
        let file = format!("{from}{big}{to}{endless}\n");
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
fn equal_requests_count_each_and_a_longer_copy_adds_what_is_new() {
    let spec = ImportSpec { rules: rules("=> account={user}"), ..spec(Preset::AccessLog) };
    let line = "10.0.0.1 - acme [10/Oct/2026:13:55:36 -0700] \"GET /v1/ocr?a=\\\"b HTTP/1.1\" 200 2326 \"-\" \"curl/8\"\n";
    let got = run(&[(&spec, line.repeat(2).as_bytes()), (&spec, line.repeat(3).as_bytes())], 2, 50).unwrap();
    let lines: Vec<&str> = got.lines().collect();
    assert!(lines[0].ends_with(
        "-1 acme request 2026-10-10T20:55:36Z host=\"10.0.0.1\" user=\"acme\" method=\"GET\" path=\"/v1/ocr?a=\\\"b\" \
         protocol=\"HTTP/1.1\" status=200 bytes=2326 agent=\"curl/8\" @1:1"
    ), "{}", lines[0]);
    assert_eq!(lines[2], "= rows 2 counted 2 events 2");
    assert_eq!(lines[4], "= rows 3 counted 1 duplicates 2 events 1");
}

#[test]
fn log_lines_that_cannot_be_read() {
    let spec = ImportSpec { rules: rules("host=10.* => account=acme"), ..spec(Preset::AccessLog) };
    check(
        &ImportSpec { attributes: Attributes::Only(vec!["path".into()]), ..spec },
        "nonsense\n\
         10.0.0.1 - - [99/Oct/2026:13:55:36 -0700] \"GET / HTTP/1.1\" 200 -\n\
         10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] \"GET / HTTP/1.1\" x -\n\
         11.0.0.1 - - [10/Oct/2026:13:55:36 -0700] \"GET / HTTP/1.1\" 200 -\n",
        "= rows 4 quarantined 4
         ! 1: bad-line: no line of the combined log format: nonsense
         ! 2: bad-time: \"99/Oct/2026:13:55:36 -0700\" is no time like 10/Oct/2026:13:55:36 -0700
         ! 3: bad-number: status or bytes is no whole number
         ! 4: no-rule: no rule of the import matches the row",
    );
}

#[test]
fn a_table_by_its_header() {
    check(
        &spec(Preset::Csv),
        "id,time,account,seconds,number,revision,\"note\"\n\
         1,2026-01-05T12:00:00Z,acme,61.50,0049,,\"a \"\"b\"\"\nc\"\n\
         1,2026-01-05T12:00:00Z,acme,62,0049,1,\n\
         1,2026-01-05T12:00:00Z,acme,63,0049,1,\n\
         ,2026-01-05T12:00:00Z,acme,62,0049,1,\n\
         2,2026-01-05,acme,62,0049,1,\n\
         3,2026-01-05T12:00:00Z,acme,62\n\
         4,2026-01-05T12:00:00Z,acme,62,1,x,\n",
        "+ csv 1 acme r1 usage 2026-01-05T12:00:00Z seconds=62 number=\"0049\" @1:4
         + csv 1 acme usage 2026-01-05T12:00:00Z seconds=61.5 number=\"0049\" note=\"a \"b\"
         c\" @1:2
         - csv 1 acme usage 2026-01-05T12:00:00Z seconds=61.5 number=\"0049\" note=\"a \"b\"
         c\"
         = rows 7 counted 2 quarantined 5 events 2 revised 1
         ! 5: conflict: the same source, id and revision were said before with other content
         ! 6: missing-attribute: the row has no identifier
         ! 7: bad-time: \"2026-01-05\" is no time written like 2026-01-31T23:59:59Z that can be billed
         ! 8: columns: the row has 4 columns; the header names 7
         ! 9: bad-number: the revision is no whole number from 0",
    );
}

#[test]
fn a_table_with_its_own_layout() {
    let table = Table {
        separator: b';',
        id: vec!["call".into(), "leg".into()],
        time: "ended".into(),
        account: "customer".into(),
        time_format: Some("%d.%m.%Y %H:%M".into()),
        ..Table::default()
    };
    let spec =
        ImportSpec { table, zone: Zone::parse("+08:00"), kind: Some("call".into()), ..spec(Preset::Csv) };
    check(
        &spec,
        "customer;call;leg;ended;type\nacme;7;1;05.01.2026 08:00;x\nacme;7;2;31.02.2026 08:00;x",
        "+ csv 7/1 acme call 2026-01-05T00:00:00Z @1:2
         = rows 2 counted 1 quarantined 1 events 1
         ! 3: bad-time: \"31.02.2026 08:00\" is no time written %d.%m.%Y %H:%M that can be billed",
    );
    let got = run(&[(&ImportSpec { zone: None, ..spec.clone() }, b"customer;call;leg;ended\n")], 1, 100);
    assert!(got.unwrap_err().to_string().contains("are local and no zone is given"));
    let got = run(&[(&spec, b"customer;cal;leg;ended\n")], 1, 100);
    assert!(
        got.unwrap_err().to_string().ends_with(
            "no column \"call\"; expected one of customer, cal, leg, ended; did you mean \"cal\"?"
        )
    );
}

#[test]
fn empty_files_hold_nothing() {
    for preset in Preset::ALL {
        let spec = ImportSpec { rules: rules("=> account=a"), ..spec(preset) };
        for file in ["", "\u{feff}", "\n", "\r\n\r\n"] {
            if preset == Preset::Csv && !file.trim_matches('\u{feff}').is_empty() {
                continue;
            }
            check(&spec, file, "= rows 0");
        }
    }
}

#[test]
fn lines_of_the_book_meet_those_of_files() {
    let spec = spec(Preset::CloudEvents);
    let mut importer = Importer::new(2);
    let mut sinks = [Notes::default(), Notes::default()];
    importer.watch("pbx", "e1");
    let time = "2026-01-05T12:00:00Z".parse().unwrap();
    let event = |revision, seconds| Event {
        source: "pbx",
        id: "e1",
        revision,
        kind: "call",
        account: "acme",
        time,
        start: None,
        attributes: vec![("seconds", Value::Number(farebox_core::money::Exact::whole(seconds)))],
    };
    assert_eq!(importer.insert(&event(0, 1), 3, &mut sinks), EventOutcome::Counted);
    assert_eq!(importer.insert(&event(0, 1), 4, &mut sinks), EventOutcome::Duplicate);
    assert!(
        matches!(importer.insert(&event(0, 2), 5, &mut sinks), EventOutcome::Quarantined(r) if r.code == "conflict")
    );
    assert_eq!(importer.watched("pbx", "e1").unwrap().origin.line, 3);
    let file = format!("{EVENT},\"revision\":1}}\n");
    let summary = importer.import(&spec, Input::bytes(file), &mut sinks, &|_| {}).unwrap();
    assert_eq!(told(&summary), "= rows 1 counted 1 events 1 revised 1");
    assert_eq!(importer.insert(&event(2, 9), 9, &mut sinks), EventOutcome::Counted);
    assert_eq!(importer.watched("pbx", "e1").unwrap().event(), event(2, 9));
    let events: Vec<String> = sinks.into_iter().flat_map(|sink| sink.0).collect();
    assert_eq!(
        events,
        [
            "+ pbx e1 acme call 2026-01-05T12:00:00Z seconds=1 @0:3",
            "- pbx e1 acme call 2026-01-05T12:00:00Z seconds=1",
            "+ pbx e1 acme r1 call 2026-01-05T12:00:00.5Z @1:1",
            "- pbx e1 acme r1 call 2026-01-05T12:00:00.5Z",
            "+ pbx e1 acme r2 call 2026-01-05T12:00:00Z seconds=9 @0:9",
        ]
    );
}

#[test]
fn a_watched_call_is_kept_as_it_counts() {
    let mut importer = Importer::new(2);
    importer.watch("asterisk", "1706412893.79");
    let spec = asterisk("=> account=acme");
    importer.import(&spec, Input::bytes(REAL), &mut [Notes::default(), Notes::default()], &|_| {}).unwrap();
    let kept = importer.watched("asterisk", "1706412893.79").unwrap();
    assert_eq!(
        kept.attributes[0],
        ("seconds".into(), OwnedValue::Number(farebox_core::money::Exact::whole(79)))
    );
    assert_eq!(importer.kept().count(), 1);
}

#[test]
fn a_panic_of_a_sink_reaches_the_caller() {
    struct Bomb;
    impl Sink for Bomb {
        fn usage(&mut self, _: &Event<'_>, _: Change, _: Origin) -> Verdict {
            panic!("as asked")
        }
    }
    let file = (0..100).map(|i| EVENT.replace("e1", &i.to_string()) + "}\n").collect::<String>();
    let spec = ImportSpec { chunk_bytes: 100, ..spec(Preset::CloudEvents) };
    let run = std::panic::AssertUnwindSafe(|| {
        Importer::new(3).import(&spec, Input::bytes(&file), &mut [Bomb, Bomb, Bomb], &|_| {})
    });
    assert!(std::panic::catch_unwind(run).is_err());
}

#[test]
fn a_missing_file_is_a_diagnostic() {
    let input = Input::File("/nowhere/Master.csv".into());
    let got = Importer::new(1).import(&asterisk(""), input, &mut [Notes::default()], &|_| {}).unwrap_err();
    assert!(got.to_string().starts_with("usage: it cannot be read:"), "{got}");
}

/// Seeds for each target, and deterministic mutations of them for about a second each.
fn mutate(target: fn(&[u8]), seeds: &[&[u8]]) {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n.max(1)
    };
    let begun = std::time::Instant::now();
    let (rounds, limit_ms) =
        if std::env::var_os("FAREBOX_FUZZ_LONG").is_some() { (usize::MAX, 40_000) } else { (4000, 1500) };
    for round in 0..rounds {
        let mut data = seeds[round % seeds.len()].to_vec();
        for _ in 0..random(6) {
            let (at, other) = (random(data.len()), random(data.len()));
            const BYTES: &[u8] = b"\"\"\"\n\n\r,,{}[]\\ \0\xff019.-:eT";
            match random(5) {
                0 if !data.is_empty() => data[at] = BYTES[random(BYTES.len())],
                1 => data.insert(at, BYTES[random(BYTES.len())]),
                2 => drop(data.drain(at.min(other)..at.max(other).min(at.min(other) + 40))),
                3 => data.truncate(at.max(1)),
                _ => {
                    let piece = data[at.min(other)..at.max(other)].to_vec();
                    data.splice(at..at, piece);
                }
            }
        }
        target(&data);
        if round >= seeds.len() && begun.elapsed().as_millis() > limit_ms {
            break;
        }
    }
}

#[test]
fn fuzz_asterisk() {
    let mut made = Vec::new();
    generate::asterisk(12, 3, &mut made).unwrap();
    mutate(fuzz::asterisk, &[b"", &REAL[..2500], &made, b"\"a\nb\",\"c\n"]);
}

#[test]
fn fuzz_cloudevents() {
    let event = format!("{EVENT},\"data\":{{\"seconds\":61.50,\"x\":[1,{{\"y\":null}}]}}}}");
    let other = event.replace("e1", "e2");
    let lines = format!("{event}\n{other}\n");
    let array = format!("[{event},\n{other}]");
    mutate(fuzz::cloudevents, &[b"", lines.as_bytes(), array.as_bytes(), b"[{", b"{\n"]);
}

#[test]
fn fuzz_access_log() {
    let line = "1.2.3.4 - acme [10/Oct/2026:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 2326 \"-\" \"curl/8\"\n";
    mutate(fuzz::access_log, &[b"", line.repeat(3).as_bytes(), b"1 - - [] \"\" 1 -\n"]);
}

#[test]
fn fuzz_csv() {
    let file =
        "id,time,account,seconds\n1,2026-01-05T12:00:00Z,acme,61.50\n2,2026-01-05T12:00:00Z,\"a\nb\",1\n";
    mutate(fuzz::csv, &[b"", file.as_bytes(), b"time,account\n2026-01-05T12:00:00Z,a\n"]);
}

#[test]
fn generated_files_are_as_said() {
    let mut file = Vec::new();
    generate::asterisk(20_000, 7, &mut file).unwrap();
    let bytes_per_row = file.len() / 20_000;
    assert!((260..310).contains(&bytes_per_row), "{bytes_per_row}");
    let mut sinks = [Notes::default(), Notes::default()];
    let summary =
        Importer::new(2).import(&asterisk("=> account=a"), Input::bytes(&file), &mut sinks, &|_| {}).unwrap();
    assert_eq!((summary.rows, summary.quarantined), (20_000, 0));
    assert!(summary.duplicates > 10 && (9_000..11_000).contains(&summary.calls), "{summary:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The order of rows, repeats, cuts and threads change nothing that is billed.
    #[test]
    fn order_repeats_cuts_and_threads_change_nothing(
        seed in any::<u64>(), rows in 1u64..60, threads in 1usize..4, chunk in 1usize..3000,
        order in any::<u64>(), cut in 0usize..60,
    ) {
        let mut file = Vec::new();
        generate::asterisk(rows, seed, &mut file).unwrap();
        let mut lines: Vec<&[u8]> = file.split_inclusive(|&b| b == b'\n').collect();
        let spec = asterisk("dcontext=*-pstn => account=a; => account=b");
        let bills = |text: String| {
            // Adds and removals cancel, wherever the lead row stood.
            let mut sum = std::collections::BTreeMap::new();
            for line in text.lines().filter(|line| !line.starts_with('=')) {
                let line = line.split(" @").next().unwrap_or_default();
                *sum.entry(line[2..].to_owned()).or_insert(0) += if line.starts_with('+') { 1 } else { -1 };
            }
            sum.retain(|_, count| *count != 0);
            sum
        };
        let plain = run(&[(&spec, &file)], 1, 1 << 20).unwrap();
        let pieces = run(&[(&spec, &file)], threads, chunk).unwrap();
        prop_assert_eq!(&plain, &pieces);
        lines.sort_by_key(|line| xxhash_rust::xxh3::xxh3_64_with_seed(line, order));
        let cut = cut.min(lines.len());
        let (first, second) = (lines[..cut].concat(), lines[cut.saturating_sub(3)..].concat());
        let shuffled = run(&[(&spec, &first), (&spec, &second)], threads, chunk).unwrap();
        prop_assert_eq!(bills(plain), bills(shuffled));
    }
}
