use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use utoipa::openapi::{ComponentsBuilder, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};

fn now() -> Instant {
    "2026-02-03T08:00:00Z".parse().unwrap()
}

/// A body's mistakes, one on each line.
fn mistakes(body: &str) -> String {
    let read = Wish::read(body.as_bytes()).and_then(|wish| wish.to_core("acme".into(), now()));
    let lines = read.expect_err(body).into_iter();
    lines.map(|one| format!("{}: {}; {}\n", one.field, one.found, one.expected)).collect()
}

fn core(body: &str) -> engine::Command {
    Wish::read(body.as_bytes()).and_then(|wish| wish.to_core("acme".into(), now())).expect(body)
}

#[test]
fn a_body_becomes_a_command_of_the_core() {
    let command = core(
        r#"{"command": "subscribe", "plan": "huawei-kp:cloud-phone", "mode": "prepaid", "months": 12,
            "auto_renew": true, "limit": 3, "attributes": {"specification": "large", "tag:team": "a"}}"#,
    );
    let expected = engine::Action::Subscribe {
        plan: "huawei-kp:cloud-phone".into(),
        name: None,
        quantity: 1,
        mode: Some(farebox_core::catalog::Mode::Prepaid),
        months: Some(12),
        auto: Some(3),
        attributes: [("specification", "large"), ("tag:team", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    assert_eq!(command, engine::Command { account: "acme".into(), effective_at: now(), action: expected });
}

#[test]
fn moments_have_any_offset_and_are_written_in_utc() {
    let body = r#"{"command":"add","subscription":"seats","quantity":2,"effective":"2020-01-04T13:23:56.250+08:00"}"#;
    let wish = Wish::read(body.as_bytes()).unwrap();
    let written = serde_json::to_string(&wish).unwrap();
    assert_eq!(
        written,
        r#"{"command":"add","subscription":"seats","quantity":2,"effective":"2020-01-04T05:23:56.25Z"}"#
    );
    assert_eq!(Wish::read(written.as_bytes()).unwrap(), wish);
    assert_eq!(
        wish.to_core("acme".into(), now()).unwrap().effective_at.to_string(),
        "2020-01-04T05:23:56.25Z"
    );
}

#[test]
fn a_deadline_may_be_said_in_seconds() {
    let body = r#"{"command":"extend","id":"call-1","units":"1200","for_seconds":600}"#;
    let engine::Action::Holds(engine::holds::Action::Update { until, used, .. }) = core(body).action else {
        panic!("not an extension");
    };
    assert_eq!((until.to_string().as_str(), used.is_zero()), ("2026-02-03T08:10:00Z", true));
}

#[test]
fn all_mistakes_of_a_body_are_said_at_once() {
    let body = r#"{"command": "subscribe", "name": "a b", "quantity": 0, "mode": "weekly", "months": 1.5,
        "auto_renew": "yes", "limit": 1001, "colour": "red", "attributes": {"n": "", "a b": "1", "x": 3}}"#;
    assert_eq!(
        mistakes(body),
        "\
/colour: the field \"colour\"; a field named \"plan\", \"name\", \"quantity\", \"mode\", \"months\", \"auto_renew\", \"limit\" or \"attributes\"
/plan: nothing; the name of a plan (letters, digits, -, _ and ., at most 64 characters), or CATALOGUE:PLAN
/name: \"a b\"; a name of letters, digits, -, _ and ., at most 64 characters
/quantity: 0; a whole number from 1 to 1000000
/mode: \"weekly\"; \"pay-per-use\" or \"prepaid\"
/months: 1.5; a whole number of months from 1 to 1440
/auto_renew: \"yes\"; a boolean
/limit: 1001; a whole number of renewals from 1 to 1000, or 0 for any number
/attributes/a b: \"a b\"; the name of an attribute: letters, digits, -, _, . and :, at most 64 characters
/attributes/n: \"\"; a text of 1 to 1000 characters, not only blanks, without line breaks and other control characters
/attributes/x: 3; a text of 1 to 1000 characters, not only blanks, without line breaks and other control characters
"
    );
}

#[test]
fn mistakes_in_lists_name_the_element_and_its_field() {
    let body = r#"{"command": "migrate-term", "plan": "p", "from": "2020-01-01", "until": "2020-13-01T00:00:00Z",
        "paid": "-1", "used": [{"units": "5"}, {"package": "a/b", "units": 5}, {"package": "m"}, 7]}"#;
    let moment = "a moment of the years 1970 to 2199 as in RFC 3339, such as \"2020-01-04T13:23:56+08:00\" or \"2020-01-04T05:23:56Z\"";
    let decimal = "a decimal of zero or above in quotes, such as \"12.50\", with at most 15 digits before the point and 10 after it";
    assert_eq!(
        mistakes(body),
        format!(
            "\
/from: \"2020-01-01\"; {moment}
/until: \"2020-13-01T00:00:00Z\"; {moment}
/paid: \"-1\"; {decimal}
/used/1/package: \"a/b\"; a name of letters, digits, -, _ and ., at most 64 characters
/used/1/units: 5; {decimal}
/used/2/units: nothing; {decimal}
/used/3: 7; an object
"
        )
    );
}

#[test]
fn each_kind_of_value_says_what_is_expected() {
    let topup = |amount: &str| mistakes(&format!(r#"{{"command": "topup", "amount": {amount}}}"#));
    let decimal = "a decimal above zero in quotes, such as \"12.50\", with at most 15 digits before the point and 10 after it";
    for (amount, found) in [
        ("12.5", "12.5"),
        ("\"0.00\"", "\"0.00\""),
        ("\"-3\"", "\"-3\""),
        ("\"1e3\"", "\"1e3\""),
        ("\"1,000\"", "\"1,000\""),
        ("\"1000000000000000\"", "\"1000000000000000\""),
        ("\"0.00000000001\"", "\"0.00000000001\""),
        ("null", "null"),
        ("[\"1\"]", "an array"),
        ("{}", "an object"),
        ("true", "true"),
    ] {
        assert_eq!(topup(amount), format!("/amount: {found}; {decimal}\n"));
    }
    let pay = |month: &str| mistakes(&format!(r#"{{"command": "pay", "month": "{month}", "amount": "1"}}"#));
    for month in ["2026-13", "2026-1", "26-01", "2026-01-01", "1969-12", "2200-01", ""] {
        assert_eq!(
            pay(month),
            format!("/month: \"{month}\"; a month of the years 1970 to 2199 such as \"2026-01\"\n")
        );
    }
    let moments = [
        "2020-01-04",
        "2020-01-04T13:23:56",
        "2020-01-04T13:23:56+0800",
        "2020-01-04T13:23:56+08:00[Asia/Shanghai]",
        "2020-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2020-01-04T13:23:56.0000000001Z",
        "2020-01-04T13:23Z",
    ];
    for text in moments {
        let body =
            format!(r#"{{"command": "price", "plan": "p", "charge": "c", "price": "0", "until": "{text}"}}"#);
        let expected = format!("/until: \"{text}\"; a moment of the years 1970 to 2199 as in RFC 3339");
        assert!(mistakes(&body).starts_with(&expected), "{}", mistakes(&body));
    }
    assert_eq!(
        mistakes(r#"{"command": "open", "title": "a\nb", "currency": "eur", "zone": "Mars/Base", "tier": 1}"#),
        "\
/title: \"a\\nb\"; a text of 1 to 1000 characters, not only blanks, without line breaks and other control characters
/currency: \"eur\"; a currency's three capital letters, such as \"CNY\"
/zone: \"Mars/Base\"; \"UTC\", an offset such as \"+08:00\" or a name such as \"Europe/Berlin\"
/tier: 1; a name of letters, digits, -, _ and ., at most 64 characters
"
    );
    assert_eq!(
        mistakes(r#"{"command": "discount", "percent": "100.5", "plan": "a:b:c"}"#),
        "\
/percent: \"100.5\"; a percentage above 0 and at most 100 in quotes, such as \"10\" or \"12.5\", with at most 10 decimals
/plan: \"a:b:c\"; the name of a plan (letters, digits, -, _ and ., at most 64 characters), or CATALOGUE:PLAN
"
    );
    assert_eq!(
        mistakes(r#"{"command": "adjust", "line": "acme", "amount": "0", "reason": " "}"#),
        "\
/line: \"acme\"; the id of a line, such as \"acme-2020-01-1\"
/amount: \"0\"; a decimal other than zero in quotes, such as \"-12.50\", with at most 15 digits before the point and 10 after it
/reason: \" \"; a text of 1 to 1000 characters, not only blanks, without line breaks and other control characters
"
    );
    assert_eq!(
        mistakes(r#"{"command": "licence", "application": "a", "holder": "", "way": "web", "change": 1}"#),
        "\
/holder: \"\"; an e-mail or the name of a phone, of 1 to 320 characters
/change: 1; \"on\", \"off\" or \"failed\"
"
    );
}

#[test]
fn mistakes_that_concern_several_fields() {
    let month_or_line = r#"{"command": "credit", "amount": "1", "reason": "r""#;
    let hold = r#"{"command": "hold", "id": "c", "source": "s", "type": "call", "units": "1""#;
    let both = r#""month": "2020-01", "line": "acme-2020-01-1""#;
    let cases = [
        (r#"{"command": "auto-renew", "subscription": "s", "on": false, "limit": 2}"#.to_owned(),
         "/limit: 2 where nothing renews itself; a limit only with \"on\": true\n"),
        (r#"{"command": "subscribe", "plan": "p", "mode": "pay-per-use", "months": 2, "limit": 0}"#.to_owned(),
         "/limit: 0 where nothing renews itself; a limit only with \"auto_renew\": true\n\
          /months: 2; no months with \"mode\": \"pay-per-use\"\n"),
        (r#"{"command": "discount", "percent": "10", "charge": "c"}"#.to_owned(),
         "/charge: the charge c of no plan; a charge only with its plan\n"),
        (format!("{month_or_line}}}"), ": neither a month nor a line; either a month or a line\n"),
        (format!("{month_or_line}, {both}}}"), ": a month and a line; either a month or a line\n"),
        (format!("{hold}}}"), ": neither until nor for_seconds; either until or for_seconds\n"),
        (format!(r#"{hold}, "until": "2026-02-03T09:00:00Z", "for_seconds": 5}}"#),
         ": until and for_seconds; either until or for_seconds\n"),
        (r#"{"command": "budget", "name": "b", "amount": "1", "project": "p", "member": "m", "alerts": [90, 75]}"#.to_owned(),
         ": project=p and member=m; at most one of project, product and member\n\
          /alerts: [90, 75]; ascending percentages such as [75, 90, 100]\n"),
        (r#"{"command": "share", "subscription": "s", "members": ["a", "b", "a"]}"#.to_owned(),
         "/members/2: a a second time; each member once\n"),
        (r#"{"command": "share", "subscription": "s", "members": []}"#.to_owned(), "/members: no member; at least one\n"),
        (r#"{"command": "topup", "amount": "5", "effective": "2020-01-01T00:00:00Z"}"#.to_owned(),
         "/effective: a time from which topup counts; no such field: topup counts from now; only \"add\" or \"remove\" may be dated\n"),
    ];
    for (body, expected) in cases {
        assert_eq!(mistakes(&body), expected);
    }
}

#[test]
fn a_body_that_is_no_command_is_said_so() {
    let expected = crate::body::EXPECTED;
    assert_eq!(mistakes(""), format!(": nothing; {expected}\n"));
    assert!(mistakes("{\"command\"").starts_with(": EOF while parsing"), "{}", mistakes("{\"command\""));
    assert!(mistakes("{} {}").starts_with(": trailing characters"));
    assert!(mistakes(&"[".repeat(100_000)).starts_with(": recursion limit exceeded"));
    let twice = r#"{"command": "topup", "amount": "1", "amount": "2"}"#;
    assert!(mistakes(twice).starts_with(": the field \"amount\" a second time"), "{}", mistakes(twice));
    assert_eq!(mistakes("[1]"), ": an array; an object with a command\n");
    for (body, found) in
        [("{}", "nothing"), (r#"{"command": 7}"#, "7"), (r#"{"command": "opne"}"#, "\"opne\"")]
    {
        assert!(mistakes(body).starts_with(&format!("/command: {found}; one of \"open\", \"subscribe\"")));
    }
    // The wrong time is said with the unknown command.
    let wrong = mistakes(r#"{"command": "x", "effective": 5}"#);
    assert!(wrong.contains("/effective: 5; a moment"), "{wrong}");
}

#[test]
fn an_account_has_a_proper_name() {
    let wish = Wish::read(br#"{"command": "suspend"}"#).unwrap();
    let wrong = wish.to_core("a/b".into(), now()).unwrap_err();
    assert_eq!((&*wrong[0].field, &*wrong[0].found), ("account", "\"a/b\""));
    // An account that was opened as dots goes on; no other is.
    let wish = |body: &str| Wish::read(body.as_bytes()).unwrap().to_core("..".into(), now());
    assert!(wish(r#"{"command": "suspend"}"#).is_ok());
    let wrong = wish(r#"{"command": "open", "currency": "EUR", "zone": "UTC"}"#).unwrap_err();
    assert_eq!((&*wrong[0].field, &*wrong[0].found), ("account", "\"..\""));
}

#[test]
fn a_long_list_of_mistakes_ends() {
    let fields: Vec<String> = (0..10_000).map(|number| format!("\"f{number}\": 1")).collect();
    let body = format!("{{\"command\": \"topup\", {}}}", fields.join(", "));
    assert_eq!(Wish::read(body.as_bytes()).unwrap_err().len(), body::MISTAKES_MAX);
    let members = vec!["3"; 10_000].join(", ");
    let body = format!("{{\"command\": \"share\", \"subscription\": \"s\", \"members\": [{members}]}}");
    assert_eq!(Wish::read(body.as_bytes()).unwrap_err().len(), body::MISTAKES_MAX);
    let attributes: Vec<String> = (0..65).map(|number| format!("\"f{number}\": \"1\"")).collect();
    let body = format!(
        "{{\"command\": \"subscribe\", \"plan\": \"p\", \"attributes\": {{{}}}}}",
        attributes.join(", ")
    );
    let wrong = mistakes(&body);
    assert_eq!(
        wrong,
        "/attributes: 65 of them; an object of at most 64 texts, such as {\"number\": \"95001\"}\n"
    );
}

#[test]
fn time_wishes_nothing() {
    let late = engine::Late::default();
    assert_eq!(WireCommand::of(&engine::Action::settle(late)), None);
}

fn document() -> OpenApi {
    let mut named = Vec::new();
    <Wish as ToSchema>::schemas(&mut named);
    named.push((Wish::name().into_owned(), Wish::schema()));
    for (name, schema) in
        [(crate::Bill::name(), crate::Bill::schema()), (crate::Problem::name(), crate::Problem::schema())]
    {
        named.push((name.into_owned(), schema));
    }
    crate::Bill::schemas(&mut named);
    crate::Problem::schemas(&mut named);
    let mut by_name = std::collections::BTreeMap::new();
    for (name, schema) in named {
        let text = serde_json::to_value(&schema).unwrap();
        let before = by_name.insert(name.clone(), text.clone());
        assert!(before.is_none_or(|before| before == text), "two schemas are named {name}");
    }
    let components = by_name.into_iter().fold(ComponentsBuilder::new(), |all, (name, schema)| {
        all.schema(
            name,
            serde_json::from_value::<utoipa::openapi::RefOr<utoipa::openapi::Schema>>(schema).unwrap(),
        )
    });
    OpenApiBuilder::new().components(Some(components.build())).build()
}

#[test]
fn the_schemas_refer_to_nothing_that_is_not_there() {
    let document = serde_json::to_value(document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let referred: BTreeSet<&str> =
        text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for name in &referred {
        assert!(schemas.contains_key(*name), "no schema {name}");
    }
    assert_eq!(schemas["Command"]["oneOf"].as_array().unwrap().len(), COMMANDS.len());
    assert_eq!(
        schemas["Command"]["discriminator"]["mapping"]["change-plan"],
        "#/components/schemas/ChangePlanCommand"
    );
}

#[test]
fn the_schema_of_a_command_has_its_word_and_no_other_fields() {
    let document = serde_json::to_value(document()).unwrap();
    let remove = &document["components"]["schemas"]["RemoveCommand"];
    assert_eq!(remove["properties"]["command"]["enum"], serde_json::json!(["remove"]));
    assert_eq!(remove["required"], serde_json::json!(["command", "subscription", "quantity"]));
    assert_eq!(remove["additionalProperties"], false);
    assert_eq!(remove["properties"]["effective"]["$ref"], "#/components/schemas/Moment");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.ends_with("Command") && name != "Command" {
            assert_eq!(schema["additionalProperties"], false, "{name}");
            for (field, schema) in schema["properties"].as_object().unwrap() {
                let own = [&schema["description"], &schema["oneOf"][0]["description"]];
                assert!(own.iter().any(|one| one.is_string()), "{name}/{field} is not described: {schema}");
            }
        }
    }
    let problem = &document["components"]["schemas"]["Problem"];
    assert_eq!(problem["required"], serde_json::json!(["type", "title", "status", "detail", "code"]));
    let suspend = &document["components"]["schemas"]["SuspendCommand"];
    assert_eq!(suspend["properties"].as_object().unwrap().len(), 1);
}

/// A value of a form that is accepted.
fn good(form: &str) -> Value {
    match form {
        "AlertPercent" | "Quantity" | "Months" | "RenewalLimit" | "Seconds" => json!(12),
        "AttributeName" | "Name" | "Text" | "SessionId" | "Holder" | "PlanName" => json!("north-1"),
        "Attributes" => json!({"tag:team": "night shift"}),
        "CurrencyCode" => json!("JPY"),
        "LicenceChange" => json!("failed"),
        "LineId" => json!("acme-2020-01-1"),
        "Moment" => json!("2026-10-25T02:30:00+01:00"),
        "Month" => json!("2026-02"),
        "NonNegativeDecimal" | "NonZeroDecimal" | "PositiveDecimal" | "Percent" => json!("0.0125"),
        "PaymentMode" => json!("prepaid"),
        "UsedUnits" => json!({"package": null, "units": "3"}),
        "ZoneName" => json!("Europe/Berlin"),
        "`true` or `false`" => json!(true),
        other => match other.strip_prefix("array of ") {
            Some(of) => json!([good(of)]),
            None => panic!("no value of {other}"),
        },
    }
}

/// Values that most fields do not accept.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,80}".prop_map(Value::from),
        "[0-9.:TZ+-]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/:]{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A body of some command: most fields good, some odd, some missing, perhaps one too many.
fn bodies() -> impl Strategy<Value = Value> {
    let (commands, _) = described();
    let odds = prop::collection::vec((0..12u8, odd()), 10);
    (prop::sample::select(commands), odds, prop::option::weighted(0.05, odd())).prop_map(
        |(command, odds, more)| {
            let mut body = json!({ "command": command.word });
            for (field, (dice, odd)) in command.fields.iter().zip(odds) {
                match dice {
                    0 => body[&field.name] = odd,
                    1 => {}
                    _ if !field.required && dice < 6 => {}
                    _ => body[&field.name] = good(&field.form),
                }
            }
            if let Some(more) = more {
                body["more"] = more;
            }
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The derived reader, which stops at the first mistake, accepts the same bodies.
    #[test]
    fn what_is_accepted_is_what_the_derived_reader_accepts(body in bodies()) {
        let read = Wish::read(body.to_string().as_bytes());
        let mut fields = body.clone();
        fields.as_object_mut().unwrap().remove("effective");
        let derived = serde_json::from_value::<WireCommand>(fields);
        match (read, derived) {
            (Ok(wish), Ok(command)) => {
                prop_assert_eq!(&wish.command, &command);
                let again = Wish::read(serde_json::to_string(&wish).unwrap().as_bytes());
                prop_assert_eq!(again, Ok(wish.clone()));
                // What the core takes comes back as it was, written out.
                if let Ok(core) = wish.to_core("acme".into(), now()) {
                    let wire = WireCommand::of(&core.action).unwrap();
                    let at = core.effective_at;
                    prop_assert_eq!(wire.to_core("acme".into(), at), Ok(core));
                }
            }
            (Err(wrong), derived) => {
                let elsewhere = wrong.iter().all(|one| one.field == "/effective");
                prop_assert!(derived.is_err() || elsewhere, "{:?}", wrong);
                prop_assert!((1..=body::MISTAKES_MAX).contains(&wrong.len()));
                let places: BTreeSet<&str> = wrong.iter().map(|one| one.field.as_str()).collect();
                prop_assert_eq!(places.len(), wrong.len(), "one mistake for each place: {:?}", wrong);
                for one in &wrong {
                    let there = body.pointer(&one.field).is_some();
                    prop_assert_eq!(there, one.found != "nothing", "{:?}", one);
                }
            }
            (Ok(wish), Err(error)) => prop_assert!(false, "{wish:?}: {error}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Wish::read(&bytes).is_err());
    }
}
