use super::*;
use crate::testing::{at, call, metering, zone};
use proptest::prelude::*;

/// Counts a call; answers the code of its problem, or what became of it.
fn count(event: &Event<'_>) -> String {
    match metering(&[]).count(event, Change::Add) {
        Ok(counted) => format!("{counted:?}"),
        Err(problem) => problem.code().to_owned(),
    }
}

#[test]
fn an_event_is_counted_or_it_is_said_why_not() {
    let time = at("2026-01-05T08:10");
    assert_eq!(count(&call("1", time, "61", &[])), "Counted");
    assert_eq!(count(&call("1", time, "61", &[("direction", "internal")])), "NotBillable");
    assert_eq!(count(&Event { account: "nobody", ..call("1", time, "61", &[]) }), "unknown-account");
    assert_eq!(count(&Event { account: "idle", ..call("1", time, "61", &[]) }), "nothing-measures");
    assert_eq!(count(&Event { kind: "fax", ..call("1", time, "61", &[]) }), "nothing-measures");
    assert_eq!(count(&call("1", time, "", &[])), "not-a-number");
    assert_eq!(count(&call("1", time, "-1", &[])), "negative-quantity");
    assert_eq!(count(&call("1", time, "0.0000000001", &[])), "not-a-number");
    assert_eq!(count(&call("1", time, "1000000000000000000", &[])), "too-large");
    assert_eq!(count(&call("1", time, "-1000000000000000000", &[])), "negative-quantity");
    assert_eq!(count(&call("1", at("1969-12-31T00:00"), "1", &[])), "time-out-of-range");
    let mut without = call("1", time, "61", &[]);
    without.attributes.retain(|(name, _)| *name != "lines");
    assert_eq!(count(&without), "missing-attribute");
}

#[test]
fn a_problem_under_one_meter_counts_under_none() {
    let mut metering = metering(&[]);
    let wrong = call("1", at("2026-01-05T08:10"), "61", &[("lines", "many")]);
    metering.count(&wrong, Change::Add).unwrap_err();
    assert_eq!(shown(&metering), "");
}

#[test]
fn segments_are_cut_by_the_cycle_and_by_what_changes() {
    let mut metering = metering(&[at("2026-01-05T08:55:30")]);
    for (id, time) in [("1", "2026-01-05T08:55:29"), ("2", "2026-01-05T08:55:30"), ("3", "2026-01-05T09:00")]
    {
        metering.count(&call(id, at(time), "60", &[]), Change::Add).unwrap();
    }
    let segments: Vec<String> = lane(&metering, "minutes")
        .segments(always())
        .map(|(span, _)| format!("{}-{}", zone().local(span.start).time(), zone().local(span.end).time()))
        .collect();
    assert_eq!(segments, ["08:00:00-08:55:30", "08:55:30-09:00:00", "09:00:00-10:00:00"]);
}

#[test]
fn what_max_cannot_forget_is_counted_again() {
    let mut metering = metering(&[]);
    let event = call("1", at("2026-01-05T08:10"), "61", &[("lines", "7")]);
    metering.count(&event, Change::Add).unwrap();
    assert!(!metering.is_stale());
    metering.count(&event, Change::Remove).unwrap();
    assert!(metering.is_stale());
}

fn always() -> Span {
    Span { start: Instant::MIN, end: Instant::MAX }
}

fn lane<'a>(metering: &'a Metering, meter: &str) -> &'a Lane {
    metering.lanes_of("acme").find(|lane| lane.spec().key.meter == meter).unwrap()
}

/// Every counter, in order.
fn shown(metering: &Metering) -> String {
    let mut shown = String::new();
    for lane in metering.lanes_of("acme") {
        for (span, counters) in lane.segments(always()) {
            for (scope, counter) in counters {
                shown.push_str(&format!("{} {span:?} {scope:?} {counter:?}\n", lane.spec().key.meter));
            }
        }
    }
    shown
}

proptest! {
    #[test]
    fn parts_merge_into_the_whole_in_any_order(
        calls in prop::collection::vec((0i64..200_000, 0u32..500, 0u8..3, 0u8..3), 1..40),
    ) {
        let seconds: Vec<String> = calls.iter().map(|(_, seconds, ..)| seconds.to_string()).collect();
        let tags = ["red", "blue", "green"];
        let event = |index: usize| {
            let (offset, _, project, tag) = calls[index];
            let time = at("2026-01-05T00:00").checked_add(jiff::SignedDuration::from_secs(offset)).unwrap();
            let more = [("project", tags[project as usize]), ("tag:team", tags[tag as usize])];
            call("id", time, &seconds[index], &more[..usize::from(tag)])
        };
        let mut whole = metering(&[]);
        let mut parts = [metering(&[]), metering(&[]), metering(&[])];
        for index in 0..calls.len() {
            whole.count(&event(index), Change::Add).unwrap();
            parts[index % 3].count(&event(calls.len() - 1 - index), Change::Add).unwrap();
        }
        let [mut merged, second, third] = parts;
        merged.merge(third).unwrap();
        merged.merge(second).unwrap();
        prop_assert_eq!(shown(&whole), shown(&merged));
    }

    #[test]
    fn taking_everything_back_leaves_a_sum_of_nothing(seconds in prop::collection::vec(0u32..4000, 1..20)) {
        let mut metering = metering(&[]);
        for change in [Change::Add, Change::Remove] {
            for second in &seconds {
                let text = second.to_string();
                metering.count(&call("id", at("2026-01-05T08:10"), &text, &[]), change).unwrap();
            }
        }
        prop_assert_eq!(lane(&metering, "minutes").segments(always()).flat_map(|(_, all)| all).count(), 0);
    }
}

#[test]
fn a_cut_within_what_is_counted_needs_a_recount() {
    let mut metering = metering(&[]);
    let hours = ["2026-01-05T08:10", "2026-01-05T08:50"];
    for time in hours {
        metering.count(&call(time, at(time), "60", &[]), Change::Add).unwrap();
    }
    // Where nothing is counted, and at the edge of a segment, nothing is lost.
    metering.cut("acme", at("2026-01-04T07:30"));
    metering.cut("nobody", at("2026-01-05T08:30"));
    metering.cut("acme", at("2026-01-05T00:00"));
    assert!(!metering.is_stale());
    metering.cut("acme", at("2026-01-05T08:30"));
    assert!(metering.is_stale());
    let mut again = metering.empty();
    for time in hours {
        again.count(&call(time, at(time), "60", &[]), Change::Add).unwrap();
    }
    assert!(!again.is_stale());
    let spans: Vec<_> = lane(&again, "minutes").segments(always()).map(|(span, _)| span).collect();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].end, at("2026-01-05T08:30"));
    assert_eq!(spans[1].start, at("2026-01-05T08:30"));
    // A cut that is known is none.
    again.cut("acme", at("2026-01-05T08:30"));
    assert!(!again.is_stale());
}

/// The seconds counted by `minutes` in a time.
fn seconds_in(metering: &Metering, from: &str, until: &str) -> i128 {
    let within = Span { start: at(from), end: at(until) };
    let counters = lane(metering, "minutes").segments(within).flat_map(|(span, counters)| {
        assert!(within.start <= span.start && span.end <= within.end, "{span:?}");
        counters.into_iter().map(|(_, counter)| counter.clone()).collect::<Vec<_>>()
    });
    counters.map(|counter| if let Aggregated::Sum(sum) = counter.value { sum } else { 0 }).sum()
}

#[test]
fn what_goes_on_can_be_cut_anywhere_in_proportion_to_time() {
    let mut metering = metering(&[]);
    // 300 seconds in 10 hours: 30 in each hour, one in each two minutes. Later usage is no part of it.
    for (id, time, seconds) in
        [("1", "2026-01-05T08:10", "180"), ("2", "2026-01-05T09:10", "120"), ("3", "2026-01-05T11:20", "600")]
    {
        metering.count(&call(id, at(time), seconds, &[]), Change::Add).unwrap();
    }
    let period = Span { start: at("2026-01-05T00:00"), end: at("2026-01-06T00:00") };
    let accounts = ["acme".to_owned()];
    let mut forecast = metering.forecast(&accounts, period, at("2026-01-05T10:00"), |_, _, _| true);
    let sum = |forecast: &Forecast, from, until| seconds_in(forecast.metering(), from, until);
    assert_eq!(sum(&forecast, "2026-01-05T10:00", "2026-01-06T00:00"), 420 * NANO);
    for moment in ["2026-01-05T12:50", "2026-01-05T12:10", "2026-01-05T12:10", "2026-01-05T15:00"] {
        forecast.cut(at(moment));
    }
    // Before it, and after the period, there is nothing to be divided.
    forecast.cut(at("2026-01-05T08:10"));
    forecast.cut(at("2026-01-07T08:10"));
    assert_eq!(sum(&forecast, "2026-01-05T12:00", "2026-01-05T12:10"), 5 * NANO);
    assert_eq!(sum(&forecast, "2026-01-05T12:10", "2026-01-05T12:50"), 20 * NANO);
    assert_eq!(sum(&forecast, "2026-01-05T12:50", "2026-01-05T13:00"), 5 * NANO);
    assert_eq!(sum(&forecast, "2026-01-05T10:00", "2026-01-06T00:00"), 420 * NANO);
    // What nobody takes does not go on.
    let taken = |_: &LaneSpec, _: &Scope, from: Instant| from < at("2026-01-05T09:00");
    let forecast = metering.forecast(&accounts, period, at("2026-01-05T10:00"), taken);
    assert_eq!(sum(&forecast, "2026-01-05T10:00", "2026-01-06T00:00"), 252 * NANO);
}
