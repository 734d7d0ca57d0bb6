//! Access logs and generic CSV.

use super::*;

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
         ! 3: bad-number: status \"x\" is no whole number
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
fn ids_of_several_columns_are_kept_apart() {
    let table = Table { id: vec!["a".into(), "b".into()], ..Table::default() };
    let row = |a: &str, b: &str| format!("{a},{b},2026-01-05T12:00:00Z,acme\n");
    let file = "a,b,time,account\n".to_owned()
        + &row("x/y", "z")
        + &row("x", "y/z")
        + &row("x\\", "y/z")
        + &row("", "z")
        + &row("z", "");
    check(
        &ImportSpec { table, ..spec(Preset::Csv) },
        &file,
        r"+ csv /z acme usage 2026-01-05T12:00:00Z @1:5
          + csv x/y\/z acme usage 2026-01-05T12:00:00Z @1:3
          + csv x\/y/z acme usage 2026-01-05T12:00:00Z @1:2
          + csv x\\/y\/z acme usage 2026-01-05T12:00:00Z @1:4
          + csv z/ acme usage 2026-01-05T12:00:00Z @1:6
          = rows 5 counted 5 events 5",
    );
}

/// Which seconds of an inbound call are charged is a choice (RULES.md, 3, no. 6): a table gives
/// both, and the price list's meter names the one that it means.
#[test]
fn a_table_gives_the_seconds_since_the_answer_and_since_the_menu() {
    let spec = ImportSpec {
        rules: rules("direction=in => seconds={talk} ivr_seconds={total}; => seconds={talk}"),
        attributes: Attributes::Only(vec!["seconds".into(), "ivr_seconds".into(), "direction".into()]),
        ..spec(Preset::Csv)
    };
    check(
        &spec,
        "id,time,account,direction,talk,total\n1,2026-01-05T12:00:00Z,acme,in,61,75\n2,2026-01-05T12:00:00Z,acme,out,5,9\n",
        "+ csv 1 acme usage 2026-01-05T12:00:00Z seconds=\"61\" ivr_seconds=\"75\" direction=\"in\" @1:2
         + csv 2 acme usage 2026-01-05T12:00:00Z seconds=\"5\" direction=\"out\" @1:3
         = rows 2 counted 2 events 2",
    );
}
