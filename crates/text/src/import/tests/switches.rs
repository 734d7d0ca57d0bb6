//! Call records of FreeSWITCH, Kamailio, Amazon Connect and Twilio.

use super::*;

pub(super) const EXAMPLE: &str = "\"A \"B\"\",\"49301\",\"200\",\"default\",\"2026-01-05 12:00:00\",\
    \"2026-01-05 12:00:05\",\"2026-01-05 12:01:05\",\"65\",\"60\",\"NORMAL_CLEARING\",\"u1\",\"u2\",\"acme\",\
    \"PCMA\",\"PCMU\"\n";
pub(super) const BUILT_IN: &str = "\"\",\"49301\",\"201\",\"default\",\"2026-01-05 12:00:00\",\"\",\
    \"2026-01-05 12:00:09\",\"9\",\"0\",\"NO_ANSWER\",\"u3\",\"\", \"acme\"\n";

#[test]
fn freeswitch_csv_in_both_templates() {
    let spec = ImportSpec {
        attributes: Attributes::Only(
            ["seconds", "connected", "duration", "number"].map(String::from).to_vec(),
        ),
        rules: rules("connected=* => number={destination_number}"),
        ..spec(Preset::FreeSwitchCsv)
    };
    check(
        &spec,
        &(EXAMPLE.to_owned() + BUILT_IN + EXAMPLE + &EXAMPLE.replace("\"60\"", "\"61\"")),
        "+ freeswitch-csv u1 acme call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z number=\"200\" duration=65 seconds=60 connected=\"yes\" @1:1
         + freeswitch-csv u3 acme call 2026-01-05T12:00:09Z from 2026-01-05T12:00:00Z number=\"201\" duration=9 seconds=0 connected=\"no\" @1:2
         = rows 4 counted 2 duplicates 1 quarantined 1 events 2 calls 2 connected 1 seconds 60
         ! 4: conflict: the same source, id and revision were said before with other content",
    );
}

#[test]
fn every_reason_of_a_freeswitch_row_is_shown() {
    let spec = ImportSpec { zone: Zone::parse("Europe/Berlin"), ..spec(Preset::FreeSwitchCsv) };
    let with = |from: &str, to: &str| BUILT_IN.replace(from, to);
    let file = with("\"u3\"", "\"\"")
        + &with(",\"0\",", ",\"-1\",")
        + &with("12:00:00", "25:00:00")
        + &with("2026-01-05 12:00:00", "2026-03-29 02:30:00")
        + &with("12:00:09", "11:00:00")
        + &with("\"acme\"", "\"\"")
        + "a,b\n"
        + "\"a\n";
    check(
        &spec,
        &file,
        "= rows 8 quarantined 8
         ! 1: missing-attribute: \"uuid\" is missing, empty, or no text
         ! 2: bad-number: billsec \"-1\" is no number of seconds from 0 to 2678400
         ! 3: bad-time: start_stamp \"2026-01-05 25:00:00\" is no time like 2026-01-31 23:59:59 that can be billed
         ! 4: skipped-hour: start_stamp \"2026-03-29 02:30:00\" never was: daylight saving skips it
         ! 5: ends-before-start: its time is before its start
         ! 6: no-account: the row names no account, and no rule gives it one
         ! 7: columns: the row has 2 columns; 13 or 15 are expected
         ! 8: unclosed-quote: a quoted field never ends",
    );
    let got = run(&[(&ImportSpec { zone: None, ..spec.clone() }, b"")], 1, 100).unwrap_err();
    assert!(got.to_string().contains("are local and no zone is given"), "{got}");
    let got = run(&[(&ImportSpec { rules: rules("dst=1 => ignore"), ..spec }, b"")], 1, 100).unwrap_err();
    assert!(got.to_string().contains("unknown field \"dst\"; expected one of caller_id_name"), "{got}");
}

pub(super) const ENCODED: &str = r#"{"core-uuid":"c","channel_data":{"state":"CS_REPORTING"},"variables":{"uuid":"u1","accountcode":"acme","start_stamp":"2026-01-05%2012%3A00%3A00","answer_stamp":"2026-01-05%2012%3A00%3A05","end_stamp":"2026-01-05%2012%3A01%3A05","start_uepoch":"1767614400250000","end_uepoch":"1767614465500000","duration":"65","billsec":"60","hangup_cause":"NORMAL_CLEARING","sip_from_uri":"a%40b"},"callflow":[{"caller_profile":{"destination_number":"200"},"times":{"created_time":"1767614400250000","answered_time":"1767614405000000","hangup_time":"1767614465500000"}}]}"#;
pub(super) const PLAIN: &str = r#"{"variables":{"uuid":"u2","accountcode":"100%25","start_stamp":"2026-01-05 12:00:00","end_stamp":"2026-01-05 12:00:09","duration":9,"billsec":0}}"#;

#[test]
fn freeswitch_json_encoded_or_not() {
    let wanted = ["seconds", "connected", "sip_from_uri", "destination_number"].map(String::from).to_vec();
    let spec = ImportSpec {
        attributes: Attributes::Only(wanted),
        zone: Zone::parse("UTC"),
        ..spec(Preset::FreeSwitchJson)
    };
    let expected = |plain: &str| {
        format!(
            "+ freeswitch-json u1 acme call 2026-01-05T12:01:05.5Z from 2026-01-05T12:00:00.25Z seconds=60 connected=\"yes\" sip_from_uri=\"a@b\" destination_number=\"200\" @1:1
             {plain}"
        )
    };
    let plain = "+ freeswitch-json u2 100%25 call 2026-01-05T12:00:09Z from 2026-01-05T12:00:00Z seconds=0 connected=\"no\" @1:1
        = rows 2 counted 2 events 2 calls 2 connected 1 seconds 60";
    check(&spec, &format!("[{ENCODED},{PLAIN}]"), &expected(plain));
    check(&spec, &format!("{ENCODED}{PLAIN}"), &expected(plain));
    check(&spec, &format!("{ENCODED}\n{PLAIN}\n"), &expected(&plain.replace("@1:1", "@1:2")));
    // Without a zone only the moments since 1970 say when it was; a B leg is part of its A leg's call.
    let leg = ENCODED.replace("\"u1\"", "\"b1\",\"originator\":\"u1\"");
    check(
        &ImportSpec { zone: None, ..spec },
        &format!("{ENCODED}\n{PLAIN}\n{leg}\n"),
        &expected(
            "= rows 3 counted 1 ignored 1 quarantined 1 events 1 calls 1 connected 1 seconds 60
             ! 2: bad-time: its times are local, and the import has no zone",
        ),
    );
}

pub(super) const CDR: &str = "Nov 21 10:00:00 sip kamailio[9]: NOTICE: acc [acc_cdr.c:1]: start_time=1767614400.436; \
    end_time=1767614461.243; duration=60.807; callid=c1@sip; src_user=alice; dst_user=200\n";
pub(super) const ACC: &str = "Nov 21 10:00:00 sip kamailio[9]: NOTICE: acc [acc.c:2]: ACC: transaction answered: \
    timestamp=1767614400;method=INVITE;from_tag=a;to_tag=b;call_id=c1@sip;code=200;reason=OK;src_user=alice;dst_user=200\n\
    Nov 21 10:00:00 sip kamailio[9]: NOTICE: acc [acc.c:2]: ACC: request acknowledged: \
    timestamp=1767614400;method=ACK;from_tag=a;to_tag=b;call_id=c1@sip;code=200;reason=OK;src_user=alice;dst_user=200\n\
    Nov 21 10:01:01 sip kamailio[9]: NOTICE: acc [acc.c:2]: ACC: transaction answered: \
    timestamp=1767614461;method=BYE;from_tag=b;to_tag=a;call_id=c1@sip;code=200;reason=OK;src_user=200;dst_user=alice\n";

fn kamailio() -> ImportSpec {
    ImportSpec {
        attributes: Attributes::Only(vec!["seconds".into(), "dst_user".into()]),
        rules: rules("=> account={src_user}"),
        ..spec(Preset::Kamailio)
    }
}

#[test]
fn kamailio_call_records() {
    check(
        &kamailio(),
        &format!(
            "Nov 21 kamailio[9]: INFO: started\n{CDR}{CDR}{}{}{}",
            CDR.replace("c1", "c2").replace("60.807", "-1"),
            CDR.replace("callid", "x"),
            CDR.replace("end_time=1767614461", "end_time=x")
        ),
        "+ kamailio c1@sip alice r1 call 2026-01-05T12:01:01.243Z from 2026-01-05T12:00:00.436Z seconds=60.807 dst_user=\"200\" @1:2
         = rows 6 counted 1 duplicates 1 ignored 1 quarantined 3 events 1 calls 1 connected 1 seconds 61
         ! 4: bad-number: duration \"-1\" is no number of seconds
         ! 5: missing-attribute: \"call_id\" is missing, empty, or no text
         ! 6: bad-time: end_time \"x.243\" is no number of seconds since 1970",
    );
}

const CALL: &str = "kamailio c1@sip alice call 2026-01-05T12:01:01Z from 2026-01-05T12:00:00Z seconds=61 connected=\"yes\" dst_user=\"200\"";

#[test]
fn kamailio_transactions_add_up_to_calls() {
    let missed =
        ACC.lines().next().unwrap().replace("transaction answered", "call missed").replace("=200;", "=486;");
    let early = missed.replace("1767614400", "1767614390") + "\n";
    check(
        &kamailio(),
        &(early.clone() + ACC + &early.replace("c1", "c2")),
        &format!(
            "+ {CALL} @1:2
             + kamailio c2@sip alice call 2026-01-05T11:59:50Z from 2026-01-05T11:59:50Z seconds=0 connected=\"no\" dst_user=\"200\" @1:5
             = rows 5 counted 4 ignored 1 events 2 calls 2 connected 1 seconds 61"
        ),
    );
    // The BYE is in the next file, as when a log is rotated.
    let (first, last) = ACC.split_at(ACC.rfind("Nov 21").unwrap());
    check_files(
        &[(&kamailio(), first.as_bytes()), (&kamailio(), last.as_bytes()), (&kamailio(), ACC.as_bytes())],
        &format!(
            "= rows 2 ignored 1 quarantined 1
             ! 1: unfinished: the call was answered, and nothing says yet when it was over
             + {CALL} @1:1
             = rows 1 counted 1 events 1 calls 1 connected 1 seconds 61
             = rows 3 duplicates 2 ignored 1"
        ),
    );
    check(
        &kamailio(),
        last,
        "= rows 1 quarantined 1\n! 1: unfinished: nothing says when the call was answered",
    );
}

#[test]
fn what_waits_is_over_when_the_rest_or_a_higher_revision_comes() {
    let (first, last) = ACC.split_at(ACC.rfind("Nov 21").unwrap());
    let connect = ImportSpec { rules: rules("=> account=acme"), ..spec(Preset::AmazonConnect) };
    let contact = |rest: &str| {
        format!("{{\"ContactId\":\"q1\",\"InitiationTimestamp\":\"2026-01-05T09:00:00Z\"{rest}}}")
    };
    let (goes_on, over) = (contact(""), contact(",\"DisconnectTimestamp\":\"2026-01-05T10:30:00Z\""));
    let row = |account: &str, revision: u32| {
        format!("id,time,account,revision\nr1,2026-01-06T00:00:00Z,{account},{revision}\n")
    };
    let csv = spec(Preset::Csv);
    let missed = first.replace("transaction answered", "call missed").replace("=200;", "=486;");
    for threads in 1..4 {
        let mut importer = Importer::new(threads);
        let mut sinks: Vec<Notes> = (0..threads).map(|_| Notes::default()).collect();
        let mut import = |importer: &mut Importer, spec: &ImportSpec, file: &str| {
            importer.import(spec, Input::bytes(file.as_bytes()), &mut sinks, &|_| {}).unwrap().listed
        };
        let waiting: Vec<Quarantined> = [
            import(&mut importer, &kamailio(), first),
            import(&mut importer, &connect, &goes_on),
            import(&mut importer, &csv, &row("stranger", 0)),
            // A row of the same revision with other content changes nothing.
            import(&mut importer, &csv, &row("acme", 0)),
        ]
        .concat();
        assert_eq!(waiting.len(), 4);
        // What an earlier file began has no line here.
        let again = import(&mut importer, &kamailio(), &missed);
        assert_eq!(again.iter().map(|row| row.line).collect::<Vec<_>>(), [0]);
        assert!(waiting.iter().all(|row| !importer.is_over(row)));
        for (spec, file, over) in [
            (&kamailio(), last, [true, false, false, false]),
            (&connect, &*over, [true, true, false, false]),
            (&csv, &*row("acme", 1), [true; 4]),
        ] {
            import(&mut importer, spec, file);
            assert_eq!(waiting.iter().map(|row| importer.is_over(row)).collect::<Vec<_>>(), over);
        }
        assert!(waiting[2].is_of("csv", "r1") && !waiting[0].is_of("csv", "r1"));
        assert_eq!(importer.revision("csv", "r1"), Some(1));
    }
}

#[test]
fn a_kamailio_call_record_stands_before_its_transactions() {
    let record = "kamailio c1@sip alice r1 call 2026-01-05T12:01:01.243Z from 2026-01-05T12:00:00.436Z seconds=60.807 dst_user=\"200\"";
    let count = "calls 1 connected 1 seconds 61";
    for file in [CDR.to_owned() + ACC, ACC.to_owned() + CDR] {
        let line = if file.starts_with(CDR) { 1 } else { 4 };
        let expected =
            format!("+ {record} @1:{line}\n= rows 4 counted 1 duplicates 2 ignored 1 events 1 {count}");
        check(&kamailio(), &file, &expected);
    }
    check_files(
        &[(&kamailio(), ACC.as_bytes()), (&kamailio(), CDR.as_bytes()), (&kamailio(), ACC.as_bytes())],
        &format!(
            "+ {CALL} @1:1\n= rows 3 counted 2 ignored 1 events 1 {count}
             + {record} @2:1\n- {CALL}\n= rows 1 counted 1 events 1 revised 1 {count}
             = rows 3 duplicates 2 ignored 1"
        ),
    );
}

pub(super) const CONTACT: &str = r#"{"AWSAccountId":"123456789012","ContactId":"k1","Channel":"VOICE","InitiationMethod":"INBOUND","InitiationTimestamp":"2026-01-05T12:00:00Z","ConnectedToSystemTimestamp":"2026-01-05T12:00:01Z","DisconnectTimestamp":"2026-01-05T12:02:11Z","LastUpdateTimestamp":"2026-01-05T12:03:00Z","Agent":{"Username":"ann","AgentInteractionDuration":95,"CustomerHoldDuration":5},"Queue":{"Name":"sales","Duration":20},"Attributes":{"number":"200"},"Tags":{"team":"blue"}}"#;

#[test]
fn amazon_connect_contacts_and_their_revisions() {
    let wanted = ["seconds", "agent_seconds", "number", "tag:team", "Queue.Name"].map(String::from).to_vec();
    let spec = ImportSpec { attributes: Attributes::Only(wanted), ..spec(Preset::AmazonConnect) };
    let later = CONTACT.replace("12:03:00", "12:09:00").replace(":95,", ":96,");
    let event = |revision: &str, agent: u32| {
        format!(
            "amazon-connect k1 123456789012 r{revision} call 2026-01-05T12:02:11Z from 2026-01-05T12:00:00Z agent_seconds={agent} seconds=130 \
             Queue.Name=\"sales\" number=\"200\" tag:team=\"blue\""
        )
    };
    // As a delivery stream leaves them: one after another, without line ends.
    check_files(
        &[(&spec, [CONTACT, CONTACT].concat().as_bytes()), (&spec, [CONTACT, &later].concat().as_bytes())],
        &format!(
            "+ {} @1:1
             = rows 2 counted 1 duplicates 1 events 1 calls 1 connected 1 seconds 130
             + {} @2:1
             - {}
             = rows 2 counted 1 duplicates 1 events 1 revised 1 calls 1 connected 1 seconds 130",
            event("1767614580000000", 95),
            event("1767614940000000", 96),
            event("1767614580000000", 95)
        ),
    );
    let missed = CONTACT.replace("\"ConnectedToSystemTimestamp\":\"2026-01-05T12:00:01Z\"", "\"x\":null");
    let file = [
        missed.replace("\"k1\"", "\"k2\""),
        CONTACT.replace("VOICE", "CHAT").replace("\"k1\"", "\"k3\""),
        CONTACT.replace("\"DisconnectTimestamp\":\"2026-01-05T12:02:11Z\"", "\"DisconnectTimestamp\":null"),
        CONTACT.replace("12:02:11Z", "11:59:59Z"),
        CONTACT.replace("12:02:11Z", "25:00:00Z"),
    ];
    let spec = ImportSpec { attributes: Attributes::Only(vec!["connected".into()]), ..spec };
    check(
        &spec,
        &file.join("\n"),
        "+ amazon-connect k2 123456789012 r1767614580000000 call 2026-01-05T12:02:11Z from 2026-01-05T12:00:00Z connected=\"no\" @1:1
         + amazon-connect k3 123456789012 r1767614580000000 chat 2026-01-05T12:02:11Z from 2026-01-05T12:00:00Z connected=\"yes\" @1:2
         = rows 5 counted 2 quarantined 3 events 2 calls 2 connected 1 seconds 130
         ! 3: unfinished: the contact has no DisconnectTimestamp: it is not over
         ! 4: ends-before-start: it was disconnected before it was connected
         ! 5: bad-time: DisconnectTimestamp \"2026-01-05T25:00:00Z\" is no time like 2026-01-31T23:59:59Z",
    );
}

pub(super) const RESOURCE: &str = r#"{"sid":"CA1","account_sid":"acme","direction":"outbound-api","status":"completed","start_time":"Mon, 05 Jan 2026 12:00:00 +0000","end_time":"Mon, 05 Jan 2026 12:01:05 +0000","duration":"60","price":null,"to":"200","subresource_uris":{"calls":"/x","a":["]"]},"date_updated":"Mon, 05 Jan 2026 12:01:05 +0000"}"#;

#[test]
fn twilio_resources_alone_and_in_pages() {
    let wanted = ["seconds", "connected", "to"].map(String::from).to_vec();
    let spec = ImportSpec { attributes: Attributes::Only(wanted), ..spec(Preset::Twilio) };
    let event = |line: u32| {
        format!(
            "+ twilio CA1 acme r1767614465 call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z seconds=60 connected=\"yes\" to=\"200\" @1:{line}\n"
        )
    };
    let counted = |rows: u32, rest: &str| {
        format!("= rows {rows} counted 1 {rest}events 1 calls 1 connected 1 seconds 60")
    };
    check(&spec, RESOURCE, &(event(1) + &counted(1, "")));
    check(&spec, &format!("[\n{RESOURCE}]"), &(event(2) + &counted(1, "")));
    let page = |calls: &str| {
        format!("{{\"first\": \"calls\", \"a\": {{\"calls\": [1]}},\n \"calls\": [{calls}], \"page\": 0}}\n")
    };
    let pages = page(&format!("{RESOURCE},\n{RESOURCE}")) + &page("") + &page(RESOURCE);
    check(&spec, &pages, &(event(2) + &counted(3, "duplicates 2 ")));
    check(
        &spec,
        &(page("") + &page(&format!("{RESOURCE}, 7, ")).replace("], \"page\": 0}", "") + "\n"),
        &(event(4)
            + &counted(3, "quarantined 2 ")
            + "\n! 3: bad-json: a page of calls never ends\n! 4: bad-json: this is no object"),
    );
    check(
        &spec,
        &(page("") + "{\"x\": 1}\n"),
        "= rows 1 quarantined 1\n! 3: bad-json: the object has no list of calls",
    );
}

#[test]
fn twilio_calls_that_changed_that_nobody_took_and_that_go_on() {
    let spec = ImportSpec { attributes: Attributes::Only(vec!["connected".into()]), ..spec(Preset::Twilio) };
    let with = |id: &str, from: &str, to: &str| RESOURCE.replace("CA1", id).replace(from, to) + "\n";
    let file = RESOURCE.to_owned()
        + "\n"
        + &with("CA1", "null", "\"-0.02\"").replace("12:01:05 +0000\"}", "12:05:00 +0000\"}")
        + &with("CA2", "completed", "busy").replace("\"duration\":\"60\"", "\"duration\":null")
        + &with("CA3", "completed", "in-progress")
        + &with("CA4", "\"60\"", "\"1:00\"")
        + &with("CA5", "12:01:05 +0000\",\"duration", "12:01:65 +0000\",\"duration");
    let call = "acme r1767614465 call 2026-01-05T12:01:05Z from 2026-01-05T12:00:00Z";
    check(
        &spec,
        &file,
        &format!(
            "+ twilio CA1 {call} connected=\"yes\" @1:1
             + twilio CA1 {} connected=\"yes\" @1:2
             + twilio CA2 {call} connected=\"no\" @1:3
             - twilio CA1 {call} connected=\"yes\"
             = rows 6 counted 3 quarantined 3 events 3 revised 1 calls 2 connected 1 seconds 60
             ! 4: unfinished: the call is \"in-progress\": it is not over
             ! 5: bad-number: duration \"1:00\" is no number of seconds
             ! 6: bad-time: end_time \"Mon, 05 Jan 2026 12:01:65 +0000\" is no time like Sat, 31 Jan 2026 23:59:59 +0000",
            call.replace("r1767614465", "r1767614700")
        ),
    );
}
