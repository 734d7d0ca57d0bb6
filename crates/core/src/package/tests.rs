use super::*;
use crate::catalog::Origin::{Bought, Free, Promotional};
use crate::testing::{at, exact};

/// A bucket that differs from others only as a test says.
fn bucket(id: &str) -> Bucket {
    Bucket {
        id: id.to_owned(),
        account: "acme".to_owned(),
        subscription: "package".to_owned(),
        plan: "package".to_owned(),
        grant: "minutes".to_owned(),
        title: "Minutes".to_owned(),
        catalogue: "test".to_owned(),
        meter: "minutes".to_owned(),
        unit: "minute".to_owned(),
        span: Span { start: at("2026-01-01T00:00"), end: at("2026-02-01T00:00") },
        gaps: Vec::new(),
        expires: at("2026-02-01T00:00"),
        ordered: at("2026-01-01T00:00"),
        kind: GrantKind::AddOn,
        origin: Bought,
        scope: BTreeMap::new(),
        alerts: Vec::new(),
        rules: Vec::new(),
    }
}

#[test]
fn each_criterion_of_the_order_counts_where_those_before_it_are_equal() {
    let (old, new) = (at("2025-12-01T00:00"), at("2026-03-01T00:00"));
    // From the last criterion to the first: each is drawn before all that stand before it.
    let later: [fn(&mut Bucket, Instant, Instant); 8] = [
        |_, _, _| {},
        |bucket, _, _| bucket.id = "a".to_owned(),
        |bucket, old, _| bucket.ordered = old,
        |bucket, old, _| bucket.span.start = old,
        |bucket, old, _| bucket.span.end = old,
        |bucket, _, _| drop(bucket.scope.insert("project".to_owned(), "apollo".to_owned())),
        |bucket, _, _| bucket.origin = Promotional,
        |bucket, _, _| bucket.origin = Free,
    ];
    let mut buckets: Vec<Bucket> = Vec::new();
    for (index, change) in later.iter().enumerate() {
        // What decides is at odds with all criteria after it.
        let mut one = Bucket { ordered: new, ..bucket(&format!("z{index}")) };
        (one.span.start, one.span.end) = if index >= 5 { (new, new) } else { (one.span.start, one.span.end) };
        if index < 2 {
            one.ordered = at("2026-01-01T00:00");
        }
        change(&mut one, old, new);
        buckets.push(one);
    }
    let mut included = bucket("zz");
    included.kind = GrantKind::Included;
    included.span.end = new;
    buckets.push(included);
    let expected: Vec<String> = buckets.iter().rev().map(|bucket| bucket.id.clone()).collect();
    buckets.sort_by(|one, other| one.rank().cmp(&other.rank()));
    let order: Vec<String> = buckets.iter().map(|bucket| bucket.id.clone()).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_bucket_serves_its_span_its_members_and_its_scope() {
    let bucket = Bucket { scope: BTreeMap::from([("project".into(), "apollo".into())]), ..bucket("a") };
    let (start, end) = (at("2026-01-10T00:00"), at("2026-01-11T00:00"));
    let shares = [Share { member: "sales".into(), valid: Span { start, end } }];
    let hour = |from, until| Span { start: at(from), end: at(until) };
    let inside = hour("2026-01-10T10:00", "2026-01-10T11:00");
    let before = hour("2026-01-09T10:00", "2026-01-09T11:00");
    assert!(bucket.serves(&shares, "acme", before) && bucket.serves(&shares, "sales", inside));
    assert!(!bucket.serves(&shares, "sales", before) && !bucket.serves(&shares, "other", inside));
    assert!(!bucket.serves(&shares, "acme", hour("2026-01-31T23:00", "2026-02-01T01:00")));
    assert_eq!(bucket.cuts(&shares, "sales"), [start, end]);
    assert!(bucket.in_scope(|name| (name == "project").then_some("apollo")));
    assert!(!bucket.in_scope(|_| None));
    // A gap takes out each moment from its start on, and all usage that reaches into it.
    let gap = hour("2026-01-20T10:00", "2026-01-20T12:00");
    let frozen = Bucket { gaps: vec![gap], ..bucket };
    let serves = |from, until| frozen.serves(&[], "acme", hour(from, until));
    assert!(serves("2026-01-20T09:00", "2026-01-20T10:00") && serves("2026-01-20T12:00", "2026-01-20T12:00"));
    assert!(
        !serves("2026-01-20T10:00", "2026-01-20T10:00") && !serves("2026-01-20T09:00", "2026-01-20T11:00")
    );
}

#[test]
fn what_ended_is_not_looked_at_and_what_expired_is_done() {
    let mut packages = Packages::default();
    let february = Bucket {
        span: Span { start: at("2026-02-01T00:00"), end: at("2026-03-01T00:00") },
        expires: at("2026-03-04T00:00"),
        ..bucket("b")
    };
    packages.open(bucket("a"));
    packages.open(february);
    let within = Span { start: at("2026-02-01T00:00"), end: at("2026-02-02T00:00") };
    let ids = |found: Vec<&Bucket>| found.iter().map(|bucket| bucket.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(packages.serving("test", "minutes", within)), ["b"]);
    let january = Span { start: at("2026-01-31T00:00"), end: at("2026-02-01T00:00") };
    assert_eq!(ids(packages.serving("test", "minutes", january)), ["a"]);
    assert_eq!(packages.latest("acme", "package", "minutes").map(|(number, _)| number), Some(2));
    assert_eq!(packages.first_to_expire().map(|bucket| bucket.id.as_str()), Some("a"));
    packages.expire("a");
    assert!(packages.bucket("a").is_some_and(|bucket| packages.is_expired(bucket)));
    // A renewal opens it again.
    packages.set_end("a", at("2026-04-01T00:00"), at("2026-04-01T00:00"), None);
    assert_eq!(ids(packages.serving("test", "minutes", within)), ["b", "a"]);
    assert_eq!(packages.first_to_expire().map(|bucket| bucket.id.as_str()), Some("b"));
}

#[test]
fn an_alert_is_due_at_its_number_or_percentage() {
    let is_due = |alert, left: &str| is_due(&alert, exact(left), exact("1000")).unwrap();
    assert!(is_due(Alert::Percent(exact("20")), "200") && !is_due(Alert::Percent(exact("20")), "201"));
    assert!(is_due(Alert::Units(exact("5")), "5") && !is_due(Alert::Units(exact("5")), "6"));
}
