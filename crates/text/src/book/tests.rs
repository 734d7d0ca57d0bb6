//! The language by example: a book's text, and what it becomes or what is wrong with it.

use super::*;
use farebox_core::calendar::Zone;

/// Each item on a line, or each mistake.
fn read(text: &str) -> String {
    let lines: Vec<String> = match parse("t.book", text.as_bytes()) {
        Ok(book) => book.items.iter().map(|item| format!("{} {:?}", item.line, item.kind)).collect(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    };
    // The list of all verbs grows; what is said around it does not.
    let verbs: Vec<&str> = VERBS.iter().map(|(verb, _)| *verb).collect();
    lines.join("\n").replace(&verbs.join(", "), "VERBS")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(read(text), expected, "\n{text}");
}

/// One dated line: its verb, or the mistake without the file's name.
#[track_caller]
fn check_verb(line: &str, expected: &str) {
    let found = read(&format!("2020-01-04 {line}"));
    let found = found.strip_prefix("t.book:1:").unwrap_or(&found);
    let found =
        found.strip_prefix("1 Command(CommandLine { at: 2020-01-04T00:00:00@1, verb: ").unwrap_or(found);
    let found = found.strip_suffix(", expected: None })").unwrap_or(found);
    assert_eq!(found, expected, "\n{line}");
}

#[test]
fn accounts_are_opened() {
    check_verb(
        "open acme",
        "Open(Open { account: acme@17, title: None, currency: None, zone: None, payer: None, tier: None })",
    );
    check_verb(
        r#"open acme "Acme \"A\" \\ Ltd" currency CNY zone +08:00"#,
        r#"Open(Open { account: acme@17, title: Some(Acme "A" \ Ltd@22), currency: Some(CNY), zone: Some(ZoneWord { zone: +08:00, column: 60 }), payer: None, tier: None })"#,
    );
    check_verb(
        "open acme Acme",
        r#"22: unexpected "Acme"; expected a title in quotes, currency, zone, member or tier, as in `open ACCOUNT ["TITLE"] [currency CODE] [zone ZONE] [member of ACCOUNT] [tier TIER]`"#,
    );
    check_verb(
        "open acme curency CNY",
        r#"22: unexpected "curency"; expected a title in quotes, currency, zone, member or tier, as in `open ACCOUNT ["TITLE"] [currency CODE] [zone ZONE] [member of ACCOUNT] [tier TIER]`; did you mean "currency"?"#,
    );
    check_verb(
        "open acme currency cny",
        r#"31: the currency "cny"; expected three capital letters, such as CNY"#,
    );
    check_verb(
        "open acme zone Mars/Base",
        r#"27: the zone "Mars/Base"; expected UTC, an offset such as +08:00 or a name such as Europe/Berlin"#,
    );
    check_verb("open acme zone UTC zone UTC", r#"31: "zone" a second time; expected each at most once"#);
    check_verb(
        "open ac/me",
        r#"17: the name "ac/me"; expected the name of an account: letters, digits, -, _ and ., at most 64"#,
    );
    for dots in [".", ".."] {
        check_verb(
            &format!("open {dots}"),
            &format!(
                "17: the name \"{dots}\"; expected the name of an account: a letter, a digit, - or _ in it"
            ),
        );
    }
    check_verb(
        &format!("open {}", "a".repeat(65)),
        "17: a name of 65 characters; expected the name of an account: letters, digits, -, _ and ., at most 64",
    );
}

#[test]
fn orders_say_plan_quantity_name_and_payment() {
    check_verb(
        "subscribe acme basic-seat 10",
        "Subscribe(Subscribe { account: acme@22, plan: basic-seat@27, quantity: 10, name: None, payment: None, auto_renew: None, attributes: [] })",
    );
    check_verb(
        "subscribe acme fixed-line as hotline prepaid 6 months number=0102 tag:team=\"night shift\"",
        "Subscribe(Subscribe { account: acme@22, plan: fixed-line@27, quantity: 1, name: Some(hotline@41), \
         payment: Some(Payment { mode: Prepaid(Term { count: 6, unit: Month }), column: 49 }), \
         auto_renew: None, attributes: \
         [Attribute { name: number@66, value: 0102@73 }, Attribute { name: tag:team@78, value: night shift@87 }] })",
    );
    let quantity = "a whole number from 1 to 1,000,000, written without separators";
    for wrong in ["-1", "0", "1.5", "1000001", "+3", "1,000", "1000000000000000000000000000000"] {
        check_verb(
            &format!("subscribe acme p {wrong}"),
            &format!("29: the quantity \"{wrong}\"; expected {quantity}"),
        );
    }
    check_verb(
        "subscribe acme",
        "26: the line ends; expected the name of a plan, as in `subscribe ACCOUNT PLAN [QUANTITY] [as NAME] [prepaid TERM | pay-per-use] [auto-renew [limit N]] [NAME=VALUE …]`",
    );
    check_verb(
        "subscribe acme p 1 prepayed 1 month",
        "31: unexpected \"prepayed\"; expected as, prepaid, pay-per-use, auto-renew or NAME=VALUE, as in `subscribe ACCOUNT PLAN [QUANTITY] [as NAME] [prepaid TERM | pay-per-use] [auto-renew [limit N]] [NAME=VALUE …]`; did you mean \"prepaid\"?",
    );
    check_verb(
        "subscribe acme p 1 prepaid 1 mnth",
        "41: the unit \"mnth\"; expected a term such as 1 month, 6 months or 1 year; did you mean \"month\"?",
    );
    check_verb(
        "subscribe acme p 1 prepaid 0 months",
        "39: the term \"0\"; expected a term such as 1 month, 6 months or 1 year, its number from 1 to 120",
    );
    check_verb(
        "subscribe acme p 1 prepaid 1 month pay-per-use",
        "47: \"pay-per-use\" a second time; expected each at most once",
    );
    check_verb(
        "subscribe acme p number=1 number=2",
        "38: \"number\" a second time; expected each at most once",
    );
    check_verb("subscribe acme p number=", "36: nothing after number=; expected a value right after the =");
    check_verb(
        "subscribe acme p a/b=1",
        "29: the name \"a/b\"; expected NAME=VALUE with a name of letters, digits, -, _, . and :",
    );
}

#[test]
fn subscriptions_change() {
    check_verb(
        "add acme/seats 2 effective 2020-01-10 08:00",
        "Add(QuantityChange { path: Path { account: acme@16, name: seats@21 }, quantity: 2, effective: Some(2020-01-10T08:00:00@39) })",
    );
    check_verb(
        "remove acme/seats 1",
        "Remove(QuantityChange { path: Path { account: acme@19, name: seats@24 }, quantity: 1, effective: None })",
    );
    check_verb("cancel acme/seats", "Cancel(Path { account: acme@19, name: seats@24 })");
    check_verb("stop acme/phones", "Stop(Path { account: acme@17, name: phones@22 })");
    check_verb("start acme/phones", "Start(Path { account: acme@18, name: phones@23 })");
    check_verb(
        "renew acme/ivr 1 year",
        "Renew(Renew { path: Path { account: acme@18, name: ivr@23 }, term: Term { count: 1, unit: Year } })",
    );
    let changed = "Change(Change { path: Path { account: acme@19, name: s@24 }, to: ";
    check_verb(
        "change acme/s mode prepaid 1 month",
        &format!(
            "{changed}Mode(Payment {{ mode: Prepaid(Term {{ count: 1, unit: Month }}), column: 31 }}) }})"
        ),
    );
    check_verb(
        "change acme/s mode pay-per-use",
        &format!("{changed}Mode(Payment {{ mode: PayPerUse, column: 31 }}) }})"),
    );
    check_verb("change acme/s plan advanced-seat", &format!("{changed}Plan(advanced-seat@31) }})"));
    check_verb(
        "change acme/s specification=large",
        &format!("{changed}Attributes([Attribute {{ name: specification@26, value: large@40 }}]) }})"),
    );

    check_verb("cancel acme", "19: \"acme\" without a /; expected ACCOUNT/SUBSCRIPTION, such as acme/seats");
    check_verb(
        "cancel acme/",
        "24: an empty name; expected the name of a subscription: letters, digits, -, _ and ., at most 64",
    );
    check_verb(
        "cancel acme/seats now",
        "30: unexpected \"now\"; expected the end of the line, as in `cancel ACCOUNT/SUBSCRIPTION`",
    );
    check_verb(
        "add acme/seats 2 efective 2020-01-10",
        "29: unexpected \"efective\"; expected effective, as in `add ACCOUNT/SUBSCRIPTION QUANTITY [effective TIME]`; did you mean \"effective\"?",
    );
    check_verb(
        "remove acme/seats -2",
        "30: the quantity \"-2\"; expected a whole number from 1 to 1,000,000, written without separators",
    );
    check_verb(
        "change acme/s mode postpaid",
        "31: unexpected \"postpaid\"; expected prepaid or pay-per-use, as in `change ACCOUNT/SUBSCRIPTION (mode prepaid TERM | mode pay-per-use | plan PLAN | auto-renew on [limit N] | auto-renew off | NAME=VALUE …)`",
    );
    check_verb(
        "renew acme/ivr half a year",
        "27: the term \"half\"; expected a term such as 1 month, 6 months or 1 year, its number from 1 to 120",
    );
}

#[test]
fn prices_discounts_and_money() {
    check_verb(
        "discount acme 12.5% on basic-seat/seat-days until 2020-07-01",
        "Discount(Discount { account: acme@21, percent: 12.5, on: Some(PricedPart { plan: basic-seat@35, charge: Some(seat-days@46) }), until: Some(2020-07-01T00:00:00@62) })",
    );
    check_verb(
        "discount acme 10%",
        "Discount(Discount { account: acme@21, percent: 10, on: None, until: None })",
    );
    check_verb(
        "price acme basic-seat/seat-days 280.00 until 2020-07-01",
        "Price(Price { account: acme@18, plan: basic-seat@23, charge: seat-days@34, price: 280, until: Some(2020-07-01T00:00:00@57) })",
    );
    check_verb("topup acme 5000.00", "TopUp(TopUp { account: acme@18, amount: 5000, amount_column: 23 })");

    let percentage = "expected a percentage above 0% and at most 100%, such as 10%";
    for wrong in ["10", "0%", "-5%", "100.01%"] {
        check_verb(&format!("discount acme {wrong}"), &format!("26: the discount \"{wrong}\"; {percentage}"));
    }
    check_verb(
        "discount acme 10% until 2020-01-04",
        "36: an end that is not after the line's own time; expected a later time",
    );
    check_verb(
        "price acme basic-seat 280",
        "23: \"basic-seat\" without a /; expected PLAN/CHARGE, such as basic-seat/seat-days",
    );
    check_verb("price acme a/b -1", "27: the price \"-1\"; expected a price of zero or more");
    check_verb(
        "price acme a/b 0.00000000001",
        "27: the price \"0.00000000001\"; expected at most 10 decimals",
    );
    check_verb(
        "topup acme 5,000.00",
        "23: the amount \"5,000.00\"; expected a decimal such as 12 or 0.05, without separators or currency",
    );
    check_verb("topup acme 0", "23: the amount \"0\"; expected an amount above zero");
    check_verb(
        "topup acme 1000000000000000",
        "23: the amount \"1000000000000000\"; expected at most 15 digits before the point",
    );
}

#[test]
fn usage_is_stated_and_taken_back() {
    check_verb(
        "use acme voice-inbound on seats",
        "Use(Use { account: acme@16, feature: voice-inbound@21, on: Some(seats@38) })",
    );
    check_verb(
        "usage acme call seconds=061 id=x1 source=pbx revision=2",
        "Usage(Usage { account: acme@18, kind: call@23, id: Some(x1@43), source: Some(pbx@53), revision: 2, start: None, happened: None, attributes: [Attribute { name: seconds@28, value: 061@36 }], times: None })",
    );
    check_verb(
        "usage acme call at=\"2020-01-03 23:00+08:00\" start=22:59 times 95 every 5m",
        "Usage(Usage { account: acme@18, kind: call@23, id: None, source: None, revision: 0, start: Some(2020-01-03T14:59:00Z@62), happened: Some(2020-01-03T15:00:00Z@31), attributes: [], times: Some(Repeat { count: 95, every_s: 300 }) })",
    );
    check_verb("void book/x1", "Void(Void { source: book@17, id: x1@22 })");
    check_verb("void https://pbx/eu/1412.3", "Void(Void { source: https://pbx/eu@17, id: 1412.3@32 })");
    check_verb("void pbx a/b", "Void(Void { source: pbx@17, id: a/b@21 })");

    check_verb(
        "usage acme call start=10:00:00",
        "34: usage that starts after its end; expected a start before it; with its date if that is another day: start=\"2026-01-04 23:59\"",
    );
    check_verb(
        "usage acme call id=x1 times 2",
        "31: an id on usage that is repeated; expected either id= or times",
    );
    check_verb("usage acme call revision=-1", "37: the revision \"-1\"; expected a whole number, 0 or more");
    check_verb(
        "usage acme call times 0",
        "34: the count \"0\"; expected a whole number from 1 to 1,000,000, as in times 95 every 10s",
    );
    check_verb(
        "usage acme call times 9 every 10",
        "42: the duration \"10\"; expected a duration such as 10s, 5m, 1h or 1d",
    );
    check_verb(
        "usage acme call times 367 every 1d",
        "44: the duration \"1d\"; expected all repetitions within 366 days",
    );
    check_verb(
        "usage acme call seconds 61",
        "28: unexpected \"seconds\"; expected NAME=VALUE or times, as in `usage ACCOUNT TYPE [NAME=VALUE …] [times COUNT [every DURATION]]`",
    );
    check_verb("void x1", "17: \"x1\" without a /; expected SOURCE/ID, such as book/x1");
    check_verb("void /x1", "17: an empty source or id; expected SOURCE/ID, such as book/x1");
}

#[test]
fn verbs_and_directives_are_known() {
    check_verb(
        "subscrbe acme p",
        "12: unknown verb \"subscrbe\"; expected one of VERBS; did you mean \"subscribe\"?",
    );
    check_verb("", "11: the line ends; expected a verb, as in `2020-01-04 13:23:56 VERB …`");
    check_verb("zone UTC", "12: zone after a date; expected zone on a line of its own, without a date");
    check(
        "catalog \"../c.toml\"\ncatalog d.toml  # two\nzone Europe/Berlin\n",
        "1 Catalog(../c.toml@9)\n2 Catalog(d.toml@9)\n3 Zone(ZoneWord { zone: Europe/Berlin, column: 6 })",
    );
    check(
        "catalgo x\nopen acme\nzone UTC\nzone UTC\n2020-01-04 open acme\nzone +08:00\n",
        "t.book:1:1: unknown line \"catalgo\"; expected a date and a verb, catalog, zone, import, a query after $, or # and a comment; did you mean \"catalog\"?\n\
         t.book:2:1: \"open\" without a date; expected a date before it: 2020-01-04 open …\n\
         t.book:4:1: a second zone; expected one zone for the whole book\n\
         t.book:6:1: a second zone; expected one zone for the whole book",
    );
    check(
        "2020-01-04 open acme\nzone +08:00\n",
        "t.book:2:1: a zone below dated lines; expected the zone above the first dated line",
    );
}

#[test]
fn times_are_local_or_exact() {
    let time = |text: &str| {
        let read = read(&format!("{text} cancel a/b"));
        let read = read.strip_prefix("1 Command(CommandLine { at: ").unwrap_or(&read);
        read.split(", verb").next().unwrap_or_default().to_owned()
    };
    for (text, expected) in [
        ("2020-01-04", "2020-01-04T00:00:00@1"),
        ("2020-01-04 13:23", "2020-01-04T13:23:00@1"),
        ("2020-01-04T13:23:56.5", "2020-01-04T13:23:56.5@1"),
        ("2020-01-04 13:23:56+08:00", "2020-01-04T05:23:56Z@1"),
        ("2020-01-04 13:23Z", "2020-01-04T13:23:00Z@1"),
        ("2020-1-4", "t.book:1:1: the date \"2020-1-4\"; expected a date such as 2020-01-04"),
        ("2020-13-01", "t.book:1:1: the date \"2020-13-01\"; expected a month from 01 to 12"),
        ("2019-02-29", "t.book:1:1: the date \"2019-02-29\"; expected a day from 01 to 28 in 2019-02"),
        ("1969-12-31", "t.book:1:1: the date \"1969-12-31\"; expected a year from 1970 to 2199"),
        ("2200-01-01", "t.book:1:1: the date \"2200-01-01\"; expected a year from 1970 to 2199"),
        ("2020-01-04 24:00", "t.book:1:12: the time \"24:00\"; expected a time from 00:00:00 to 23:59:59"),
        ("2020-01-04 9:00", "t.book:1:12: the time \"9:00\"; expected a time such as 13:23 or 13:23:56"),
        (
            "2020-01-04 09:00:00.",
            "t.book:1:12: the time \"09:00:00.\"; expected 1 to 9 digits after the point",
        ),
        ("2020-01-04 09:00+8", "t.book:1:17: the offset \"+8\"; expected an offset such as +08:00, or Z"),
    ] {
        assert_eq!(time(text), expected, "{text}");
    }
}

#[test]
fn a_zone_makes_moments_of_times() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let at = |text: &str| {
        let book = parse("t.book", format!("{text} cancel a/b").as_bytes()).unwrap();
        match &book.items[0].kind {
            ItemKind::Command(command) => command.at.resolve(&berlin),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at("2026-10-25 02:30").unwrap().to_string(), "2026-10-25T00:30:00Z");
    assert_eq!(at("2026-10-25 02:30+01:00").unwrap().to_string(), "2026-10-25T01:30:00Z");
    assert_eq!(
        at("2026-03-29 02:30").unwrap_err().diagnostic("t.book", 7).to_string(),
        "t.book:7:1: 2026-03-29 02:30:00 does not exist in Europe/Berlin: the clocks went forward; expected a time that did exist, such as 2026-03-29 03:30:00",
    );
}

#[test]
fn dated_lines_never_go_back() {
    check(
        "2020-01-04 cancel a/b\n2020-01-04 cancel a/c\n2020-01-03 23:59:59 cancel a/d\n",
        "t.book:3:1: a time before that of line 2; expected dated lines in the order of their times",
    );
    // Without a zone, an offset and a wall clock compare only when they are far enough apart.
    let book = |second: &str| read(&format!("2020-01-04 12:00 cancel a/b\n{second} cancel a/c\n"));
    assert!(book("2020-01-04 00:00Z").starts_with("1 Command"));
    assert!(book("2020-01-03 20:00Z").contains("a time before that of line 1"));
}

#[test]
fn comments_need_two_blanks_and_quotes_their_end() {
    check(
        "\u{feff}# a\r\n  # b\r\n\r\n2020-01-04 cancel a/b  # c\r\n2020-01-04 cancel a/c\t# d\r\n",
        "4 Command(CommandLine { at: 2020-01-04T00:00:00@1, verb: Cancel(Path { account: a@19, name: b@21 }), expected: None })\n\
         5 Command(CommandLine { at: 2020-01-04T00:00:00@1, verb: Cancel(Path { account: a@19, name: c@21 }), expected: None })",
    );
    check_verb("cancel a/b # c", "23: a word that begins with #; expected two blanks before a comment's #");
    check_verb("open a \"A", "19: a quote that is never closed; expected a closing quote on the same line");
    check_verb("open a \"A\\n\"", "21: the escape \"\\n\"; expected \\\" or \\\\");
    check_verb("open a \"A\"b", "22: \"b\"; expected a blank after the closing quote");
    check_verb(
        "open a A\"b\"",
        "20: a quote inside a word; expected quotes around the whole word, or right after =",
    );
    check_verb("open\u{3000}acme", "16: the character U+3000; expected blanks and tabs alone between words");
    check(
        "  open acme\n! no: no\n",
        "t.book:1:3: an indented line; expected indentation only for match and columns, below an import",
    );
}

#[test]
fn bytes_that_are_no_text_have_a_position() {
    let errors = |bytes: &[u8]| {
        parse("t.book", bytes).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        errors(b"# \xe9\n# \0\n2020-01-04 cancel\n"),
        "t.book:1:3: the byte 0xe9, which is not UTF-8; expected a file saved as UTF-8\n\
         t.book:2:3: a NUL byte; expected text\n\
         t.book:3:18: the line ends; expected ACCOUNT/SUBSCRIPTION, such as acme/seats, as in `cancel ACCOUNT/SUBSCRIPTION`",
    );
    assert_eq!(
        errors(format!("# {}\n", "x".repeat(65_536)).as_bytes()),
        "t.book:1: a line of 65538 bytes; expected at most 65536 bytes"
    );
    let flood = errors("x\n".repeat(100_000).as_bytes());
    assert_eq!(flood.lines().count(), 201);
    assert!(flood.ends_with("t.book: more than 200 mistakes; expected a book"), "{flood}");
}

#[test]
fn imports_have_rules() {
    check(
        "import asterisk \"M.csv\" zone UTC source pbx type call\n\
         \x20 match dcontext=acme-* channel!=Local/*  set account=acme number=\"{dst} x\"  # in\n\
         \n\
         \x20 match dcontext=TimeDelay  ignore\n\
         2020-01-04 10:00 import csv u.csv type=call\n\
         \x20 columns id=call_id time=ended account=\"Kunde 1\" separator=; time-format=\"%d/%m/%Y %H:%M:%S\"\n",
        "1 Import(ImportLine { at: None, preset: asterisk@8, file: M.csv@17, zone: Some(ZoneWord { zone: UTC, column: 30 }), source: Some(pbx@41), kind: Some(call@50), columns: None, rules: [\
         MapRule { line: 2, when: [MapCondition { field: dcontext@9, pattern: acme-*@18, negated: false }, MapCondition { field: channel@25, pattern: Local/*@34, negated: true }], action: Set([(account@47, acme@55), (number@60, {dst} x@67)]) }, \
         MapRule { line: 4, when: [MapCondition { field: dcontext@9, pattern: TimeDelay@18, negated: false }], action: Ignore }] })\n\
         5 Import(ImportLine { at: Some(2020-01-04T10:00:00@1), preset: csv@25, file: u.csv@29, zone: None, source: None, kind: Some(call@40), \
         columns: Some(Columns { line: 6, columns: [(id@11, call_id@14), (time@22, ended@27), (account@33, Kunde 1@41)], separator: Some(';'), time_format: Some(%d/%m/%Y %H:%M:%S@75) }), rules: [] })",
    );
    // The headers may be the names: then only the separator is to be said.
    check(
        "import csv u.tsv\n  columns separator=tab\n",
        "1 Import(ImportLine { at: None, preset: csv@8, file: u.tsv@12, zone: None, source: None, kind: None, \
         columns: Some(Columns { line: 2, columns: [], separator: Some('\\t'), time_format: None }), rules: [] })",
    );
    check(
        "import astersk x\n  match a=b ignore\n! x: y\n\
         import asterisk x zone=UTC sorce=y\n\
         import asterisk x\n  columns a=b\n  mtach a=b ignore\n  match a=b\n  match a set b=c\n  match a=b set c={d\n  match a=b set c=1 c=2\n  match a=b set\n\
         import csv x\n\
         import csv x\n  columns account=a\n\
         import csv x\n  columns time=a separator=;;\n  columns time=a time=b\n  columns\n\
         import csv x\n  columns time=a\n  match a=b ignore\n",
        "t.book:1:8: unknown format \"astersk\"; expected one of access-log, amazon-connect, asterisk, cloudevents, csv, freeswitch-csv, freeswitch-json, kamailio, twilio; did you mean \"asterisk\"?\n\
         t.book:3:1: an expected refusal without its command; expected ! directly below the command that is refused, once\n\
         t.book:4:28: unexpected \"sorce=y\"; expected zone, source or type, as in `import PRESET \"FILE\" [zone ZONE] [source NAME] [type TYPE]`; did you mean \"source\"?\n\
         t.book:6:3: columns under asterisk, which has its own; expected columns under import csv alone\n\
         t.book:7:3: unexpected \"mtach\"; expected match or columns, as in `match FIELD=PATTERN … set NAME=TEMPLATE …`; did you mean \"match\"?\n\
         t.book:8:12: the line ends; expected set NAME=TEMPLATE or ignore, as in `match FIELD=PATTERN … set NAME=TEMPLATE …`\n\
         t.book:9:9: unexpected \"a\"; expected FIELD=PATTERN, set or ignore, as in `match FIELD=PATTERN … set NAME=TEMPLATE …`\n\
         t.book:10:19: the template \"{d\"; expected a text in which each {field} is closed and named\n\
         t.book:11:21: \"c\" a second time; expected each at most once\n\
         t.book:12:16: the line ends; expected NAME=TEMPLATE, as in `match FIELD=PATTERN … set NAME=TEMPLATE …`\n\
         t.book:17:28: the separator \";;\"; expected one ASCII character such as ; or the word tab\n\
         t.book:18:18: \"time\" a second time; expected each at most once\n\
         t.book:19:10: the line ends; expected NAME=COLUMN, as in `columns NAME=COLUMN … [separator=;] [time-format=\"%d/%m/%Y %H:%M:%S\"]`",
    );
}

#[test]
fn queries_and_refusals_carry_what_is_expected() {
    check(
        "2020-01-04 cancel a/b\n! not-found:  a has no b  # no comment\n$ bill acme 2020-01  # comment\nSeats  1.00  \n\n\
         $ show acme\n  a\n! x\n|\n| $ y\n||\n2020-01 z\n$ balance acme\n# end\n",
        "1 Command(CommandLine { at: 2020-01-04T00:00:00@1, verb: Cancel(Path { account: a@19, name: b@21 }), expected: Some(Expected { line: 2, text: \"not-found:  a has no b  # no comment\" }) })\n\
         3 Query(Query { words: [bill@3, acme@8, 2020-01@13], expected: [\"Seats  1.00\"], lines: 4..5 })\n\
         6 Query(Query { words: [show@3, acme@8], expected: [\"  a\", \"! x\", \"\", \"$ y\", \"|\", \"2020-01 z\"], lines: 7..13 })\n\
         13 Query(Query { words: [balance@3, acme@11], expected: [], lines: 14..14 })",
    );
    check(
        "! x: y\n$\nout\n2020-01-04 cancel a/b\n!\n2020-01-04 cancel a/b\n\n! x: y\n2020-01-04 cancl a/b\n! x: y\n",
        "t.book:1:1: an expected refusal without its command; expected ! directly below the command that is refused, once\n\
         t.book:2:2: a $ without a query; expected a query such as $ bill acme 2020-01\n\
         t.book:5:2: the line ends; expected the refusal, such as ! mode-not-offered: basic-seat is pay-per-use\n\
         t.book:8:1: an expected refusal without its command; expected ! directly below the command that is refused, once\n\
         t.book:9:12: unknown verb \"cancl\"; expected one of VERBS; did you mean \"cancel\"?",
    );
}

const SEED: &str = "# A scenario.\r\ncatalog \"c.toml\"\r\nzone +08:00\r\n\
    import asterisk M.csv zone UTC\r\n  match a=b c!=d*  set account={x} tag:t=\"y z\"\r\n  match a=c ignore\r\n\
    2020-01-04 open acme \"Acme \\\"A\\\" Ltd\" currency CNY  # note\r\n\
    2020-01-04 13:23:56 subscribe acme basic-seat 10 as seats prepaid 6 months number=95001\r\n\
    2020-01-04 13:24 cancel acme/none\r\n! not-found: acme has no none\r\n\
    2020-01-04 14:00:00.25+08:00 usage acme call seconds=61 start=13:59 times 9 every 10s\r\n\
    $ bill acme 2020-01\r\n\r\n$ show acme  # comment\r\nBasic seat  10\r\n| # 1\r\n|\r\nTotal\r\n\r\n\
    2020-02-01 price acme a/b 280.00 until 2020-07-01\r\n$ balance acme";

#[test]
fn new_answers_change_expected_output_and_nothing_else() {
    let text = "zone UTC\r\n$ show acme  # why\r\nold\r\n\r\n\r\n2020-01-04 cancel a/b  # x\r\n! gone: gone\r\n2020-01-04 cancel a/c\r\n\t\r\n$ balance acme";
    let book = parse("t.book", text.as_bytes()).unwrap();
    let answer =
        |item, lines: &[&str]| Answer { item, lines: lines.iter().map(|line| (*line).into()).collect() };
    let answers = [
        answer(4, &["5.00"]),
        answer(3, &["not-found: no c"]),
        answer(2, &[]),
        answer(1, &["$ 1  ", "", "2020-01-01 a\nb"]),
        answer(9, &["nothing there"]),
    ];
    let rewritten = "zone UTC\r\n$ show acme  # why\r\n| $ 1\r\n|\r\n| 2020-01-01 a\r\nb\r\n\r\n\r\n2020-01-04 cancel a/b  # x\r\n2020-01-04 cancel a/c\r\n! not-found: no c\r\n\t\r\n$ balance acme\r\n5.00";
    assert_eq!(rewrite(text, &book, &answers), rewritten);
    assert_eq!(rewrite(text, &book, &[]), text);
    let again = parse("t.book", rewritten.as_bytes()).unwrap();
    assert_eq!(rewrite(rewritten, &again, &answers), rewritten);
}

#[test]
fn any_bytes_are_read_or_refused() {
    assert_eq!(parse("t.book", SEED.as_bytes()).map(|book| book.items.len()), Ok(11));
    let seeds = [SEED.to_owned(), SEED.replace("\r\n", "\n"), format!("\u{feff}{SEED}\n")];
    // A fixed sequence (xorshift), so that a failure comes back.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    const PIECES: [&[u8]; 22] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"$ ",
        b"! x",
        b"#",
        b"  #",
        b"|",
        b"\"",
        b"\\",
        b"\0",
        b"\xff",
        b"=",
        b" ",
        b"\t",
        b"2020-01-04 ",
        b"-",
        b"\xe3\x80\x80",
        b"\xef\xbb\xbf",
        b"{",
        b"9999999999999999999",
    ];
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..(at + random(30)).min(bytes.len()))),
                2 => {
                    let until = (at + random(60)).min(bytes.len());
                    let copy = bytes[at..until].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => drop(bytes.splice(at..at, PIECES[random(PIECES.len())].iter().copied())),
            }
        }
        fuzz::book(&bytes);
    }
}

#[test]
fn licences_are_used_and_reset() {
    let used = |column: usize, rest: &str| {
        let application = column + 5;
        format!("Licence(LicenceUse {{ account: acme@{column}, application: x@{application}, {rest} }})")
    };
    check_verb(
        "login acme/x a@b via web",
        &used(18, "holder: a@b@25, way: web@33, change: On, licence: None"),
    );
    check_verb(
        "login acme/x a@b via web failed",
        &used(18, "holder: a@b@25, way: web@33, change: Failed, licence: None"),
    );
    check_verb(
        "login acme/x a@b via sdk with agent",
        &used(18, "holder: a@b@25, way: sdk@33, change: On, licence: Some(agent@42)"),
    );
    check_verb(
        "logout acme/x a@b via sdk",
        &used(19, "holder: a@b@26, way: sdk@34, change: Off, licence: None"),
    );
    check_verb(
        "mobile acme/x \" A@b \" off",
        &used(19, "holder:  A@b @26, way: mobile@12, change: Off, licence: None"),
    );
    check_verb(
        "licence acme/x a@b web failed",
        &used(20, "holder: a@b@27, way: web@31, change: Failed, licence: None"),
    );
    check_verb(
        "phone acme/x desk-1 offline",
        &used(18, "holder: desk-1@25, way: phone@12, change: Off, licence: None"),
    );
    check_verb(
        "reset acme/x agent",
        "Reset(LicenceReset { account: acme@18, application: x@23, licence: Some(agent@25) })",
    );
    check_verb(
        "login acme a@b via web",
        "18: \"acme\" without a /; expected ACCOUNT/APPLICATION, such as acme/support",
    );
    check_verb(
        "login acme/x a@b by web",
        "29: unexpected \"by\"; expected via, as in `login ACCOUNT/APPLICATION EMAIL via WAY [failed] [with LICENCE]`",
    );
    check_verb(
        "login acme/x a@b via web fail",
        "37: unexpected \"fail\"; expected failed or with, as in `login ACCOUNT/APPLICATION EMAIL via WAY [failed] [with LICENCE]`; did you mean \"failed\"?",
    );
    check_verb(
        "phone acme/x desk-1 on",
        "32: unexpected \"on\"; expected online or offline, as in `phone ACCOUNT/APPLICATION NAME (online | offline) [with LICENCE]`",
    );
    check_verb("phone acme/x \" \" online", "25: an empty name; expected an e-mail, or the name of a phone");
}

#[test]
fn credit_limits_are_amounts_or_off() {
    let is = |line: &str, limit: &str| {
        let expected =
            format!("Wallet(Wallet {{ account: acme@25, what: CreditLimit {{ limit: {limit} }} }})");
        check_verb(line, &expected);
    };
    is("credit-limit acme 500.00", "Some(500)");
    is("credit-limit acme 0", "Some(0)");
    is("credit-limit acme off", "None");
    for (line, mistake) in [
        ("credit-limit acme -5", "30: the amount \"-5\"; expected an amount of zero or above, or off"),
        (
            "credit-limit acme none",
            "30: the amount \"none\"; expected a decimal such as 12 or 0.05, without separators or currency",
        ),
        (
            "credit-limit acme 5 USD",
            "32: unexpected \"USD\"; expected the end of the line, as in `credit-limit ACCOUNT (AMOUNT | off)`",
        ),
    ] {
        check_verb(line, mistake);
    }
}
