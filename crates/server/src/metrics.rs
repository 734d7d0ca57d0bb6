//! What the server counts and measures of itself, in the text format that Prometheus reads (version 0.0.4).
//!
//! Everything here is an atomic number: what is counted waits for nobody, and a page is written without the engine, so
//! that a server that hangs can still be asked how it does.

mod page;

use crate::access::lock;
use crate::room::Room;
use crate::traces::Counts;
use farebox_core::engine::Duty;
use farebox_service::Figures;
use jiff::Timestamp;
use page::{Kind, Page};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds of what lasts: from a request on a warm group to one that waits for a slow disk.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds of how many jobs share a commit.
const JOBS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// No moment yet.
const NEVER: i64 = i64::MIN;

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often which size was measured.
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// By bound, not yet summed; the last: beyond every bound.
    counts: Vec<AtomicU64>,
    /// In millionths.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0) }
    }

    fn note(&self, size: f64) {
        let place = self.bounds.partition_point(|bound| *bound < size);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((size * 1e6).round() as u64, Ordering::Relaxed);
    }

    fn lasted(&self, time: Duration) {
        self.note(time.as_secs_f64());
    }

    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        page.histogram(name, labels, self.bounds, &counts, sum);
    }
}

/// What became of usage.
#[derive(Default)]
pub(crate) struct Ingested {
    pub accepted: u64,
    pub duplicates: u64,
    pub quarantined: u64,
    pub rejected: u64,
}

/// Requests for one operation.
struct Requests {
    operation: &'static str,
    /// By status from 100.
    by_status: Vec<Counter>,
    lasted: Histogram,
}

/// Every status that HTTP has.
const STATUSES: std::ops::Range<usize> = 100..600;
/// The operation of a request that no route knows.
const NO_OPERATION: &str = "none";

/// What the server counts and measures.
pub struct Metrics {
    started: Timestamp,
    accepted: Counter,
    duplicates: Counter,
    quarantined: Counter,
    rejected: Counter,
    usage_bytes: Counter,
    commits: Counter,
    commits_failed: Counter,
    commit_lasted: Histogram,
    commit_jobs: Histogram,
    jobs_refused: Counter,
    schedule_runs: Counter,
    schedule_runs_failed: Counter,
    schedule_lasted: Histogram,
    /// The moment in microseconds that everything due has been done up to.
    done_until: AtomicI64,
    /// As the engine said after its last commit.
    figures: Mutex<Figures>,
    requests: Vec<Requests>,
}

/// What is asked for when a page is written.
pub(crate) struct Now<'n> {
    pub jobs_waiting: usize,
    pub jobs_waiting_max: usize,
    pub room: &'n Room,
    /// What time it is, where that is the system's.
    pub clock: Option<Timestamp>,
    /// What became of spans, where any are made.
    pub spans: Option<&'n Counts>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(&[])
    }
}

impl Metrics {
    /// Nothing yet. `operations`: their ids.
    pub(crate) fn new(operations: &[&'static str]) -> Metrics {
        let of = |operation| Requests {
            operation,
            by_status: STATUSES.map(|_| Counter::default()).collect(),
            lasted: Histogram::new(SECONDS),
        };
        Metrics {
            started: Timestamp::now(),
            accepted: Counter::default(),
            duplicates: Counter::default(),
            quarantined: Counter::default(),
            rejected: Counter::default(),
            usage_bytes: Counter::default(),
            commits: Counter::default(),
            commits_failed: Counter::default(),
            commit_lasted: Histogram::new(SECONDS),
            commit_jobs: Histogram::new(JOBS),
            jobs_refused: Counter::default(),
            schedule_runs: Counter::default(),
            schedule_runs_failed: Counter::default(),
            schedule_lasted: Histogram::new(SECONDS),
            done_until: AtomicI64::new(NEVER),
            figures: Mutex::default(),
            requests: operations.iter().copied().chain([NO_OPERATION]).map(of).collect(),
        }
    }

    /// Usage that came in so many bytes, and is durable.
    pub(crate) fn ingested(&self, bytes: usize, became: &Ingested) {
        self.usage_bytes.add(bytes as u64);
        self.accepted.add(became.accepted);
        self.duplicates.add(became.duplicates);
        self.quarantined.add(became.quarantined);
        self.rejected.add(became.rejected);
    }

    /// A commit of so many jobs.
    pub(crate) fn committed(&self, jobs: usize, time: Duration, is_done: bool) {
        let of = if is_done { &self.commits } else { &self.commits_failed };
        of.add(1);
        self.commit_lasted.lasted(time);
        self.commit_jobs.note(jobs as f64);
    }

    /// A job that found no place.
    pub(crate) fn job_refused(&self) {
        self.jobs_refused.add(1);
    }

    /// What had fallen due was done up to a moment. `None`: it failed.
    pub(crate) fn caught_up(&self, until: Option<Timestamp>, time: Duration) {
        match until {
            Some(until) => {
                self.schedule_runs.add(1);
                self.done_until.store(until.as_microsecond(), Ordering::Relaxed);
            }
            None => self.schedule_runs_failed.add(1),
        }
        self.schedule_lasted.lasted(time);
    }

    /// How things stand after a commit, also in the middle of a long look at the schedule.
    pub(crate) fn stands(&self, figures: &Figures) {
        *lock(&self.figures) = *figures;
    }

    /// An answer. `operation`: `None` where no route knows the address or method.
    pub(crate) fn answered(&self, operation: Option<&str>, status: u16, time: Duration) {
        let of = operation.unwrap_or(NO_OPERATION);
        let Some(requests) = self.requests.iter().find(|requests| requests.operation == of) else { return };
        let place = usize::from(status).checked_sub(STATUSES.start);
        if let Some(counter) = place.and_then(|place| requests.by_status.get(place)) {
            counter.add(1);
        }
        requests.lasted.lasted(time);
    }

    /// The page that Prometheus reads.
    pub(crate) fn page(&self, now: &Now<'_>) -> String {
        let mut page = Page::default();
        page.family("farebox_build_info", Kind::Gauge, "1, with the version as a label.");
        page.sample("farebox_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        self.write_usage(&mut page);
        self.write_engine(&mut page, now);
        self.write_schedule(&mut page);
        self.write_state(&mut page);
        self.write_requests(&mut page, now);
        if let Some(spans) = now.spans {
            let name = "farebox_trace_spans_total";
            page.family(name, Kind::Counter, "Spans for OpenTelemetry, by what became of them.");
            for (outcome, counter) in
                [("sent", &spans.sent), ("dropped", &spans.dropped), ("failed", &spans.failed)]
            {
                page.sample(name, &[("outcome", outcome)], counter.get() as f64);
            }
        }
        self.write_process(&mut page);
        page.text
    }

    fn write_usage(&self, page: &mut Page) {
        let name = "farebox_usage_events_total";
        page.family(name, Kind::Counter, "Rows of usage that were answered, by what became of them.");
        for (outcome, counter) in [
            ("accepted", &self.accepted),
            ("duplicate", &self.duplicates),
            ("quarantined", &self.quarantined),
            ("rejected", &self.rejected),
        ] {
            page.sample(name, &[("outcome", outcome)], counter.get() as f64);
        }
        let name = "farebox_usage_bytes_total";
        page.one(name, Kind::Counter, "Bytes of usage that was answered, uncompressed.", &self.usage_bytes);
    }

    fn write_engine(&self, page: &mut Page, now: &Now<'_>) {
        let name = "farebox_commits_total";
        page.family(name, Kind::Counter, "Rounds of the engine that ended with a commit, by how it ended.");
        page.sample(name, &[("outcome", "done")], self.commits.get() as f64);
        page.sample(name, &[("outcome", "failed")], self.commits_failed.get() as f64);
        let name = "farebox_commit_duration_seconds";
        page.family(name, Kind::Histogram, "How long a commit took; one of reads alone writes nothing.");
        self.commit_lasted.write(page, name, &[]);
        let name = "farebox_commit_jobs";
        page.family(name, Kind::Histogram, "How many jobs shared a commit.");
        self.commit_jobs.write(page, name, &[]);
        let name = "farebox_engine_jobs_waiting";
        page.family(name, Kind::Gauge, "Jobs that wait for the engine.");
        page.sample(name, &[], now.jobs_waiting as f64);
        let name = "farebox_engine_jobs_waiting_limit";
        page.family(name, Kind::Gauge, "How many may wait; more are answered 503.");
        page.sample(name, &[], now.jobs_waiting_max as f64);
        let name = "farebox_engine_jobs_refused_total";
        page.one(name, Kind::Counter, "Jobs that found no place to wait.", &self.jobs_refused);
        let name = "farebox_schedule_runs_total";
        page.family(name, Kind::Counter, "Looks at the schedule that did what was due, by how they ended.");
        page.sample(name, &[("outcome", "done")], self.schedule_runs.get() as f64);
        page.sample(name, &[("outcome", "failed")], self.schedule_runs_failed.get() as f64);
        let name = "farebox_schedule_run_duration_seconds";
        page.family(name, Kind::Histogram, "How long a look at the schedule took, with what was due.");
        self.schedule_lasted.write(page, name, &[]);
        let until = self.done_until.load(Ordering::Relaxed);
        if let Some(clock) = now.clock.filter(|_| until != NEVER) {
            let name = "farebox_clock_lag_seconds";
            page.family(name, Kind::Gauge, "Now, less the moment that everything due has been done up to.");
            page.sample(name, &[], clock.as_microsecond().saturating_sub(until).max(0) as f64 / 1e6);
        }
    }

    fn write_schedule(&self, page: &mut Page) {
        let figures = *lock(&self.figures);
        let by_duty = || Duty::ALL.into_iter().map(Duty::name).zip(figures.runs);
        let name = "farebox_duties_total";
        page.family(name, Kind::Counter, "What was due and tried, by duty and by what came of it.");
        for (duty, sum) in by_duty() {
            page.sample(name, &[("duty", duty), ("outcome", "done")], sum.done as f64);
            page.sample(name, &[("duty", duty), ("outcome", "refused")], sum.refused as f64);
        }
        let name = "farebox_duty_seconds_total";
        page.family(name, Kind::Counter, "How long what was done took, without commits, by duty.");
        for (duty, sum) in by_duty() {
            page.sample(name, &[("duty", duty)], sum.micros as f64 / 1e6);
        }
        let name = "farebox_duty_lines_total";
        page.family(name, Kind::Counter, "Lines of bills that were made by what was due, by duty.");
        for (duty, sum) in by_duty() {
            page.sample(name, &[("duty", duty)], sum.lines as f64);
        }
        let name = "farebox_groups_failing";
        page.family(
            name,
            Kind::Gauge,
            "Groups for which something due cannot be done; what is due later waits.",
        );
        page.sample(name, &[], figures.undone as f64);
        let name = "farebox_groups_due";
        page.family(name, Kind::Gauge, "Groups for which something is due, now or later.");
        page.sample(name, &[], figures.due as f64);
        if let Some(at) = figures.next_due {
            let name = "farebox_next_due_timestamp_seconds";
            page.family(name, Kind::Gauge, "When something is due next, in seconds since 1970.");
            page.sample(name, &[], at.as_microsecond() as f64 / 1e6);
        }
    }

    fn write_state(&self, page: &mut Page) {
        let figures = *lock(&self.figures);
        for (name, help, value) in [
            ("farebox_groups_in_memory", "Groups in memory.", figures.groups),
            ("farebox_holds_open", "Open holds of sessions, of groups in memory.", figures.holds),
            ("farebox_identities_in_memory", "Identities of usage in memory.", figures.identities),
            ("farebox_identity_runs", "Runs of identities in the store.", figures.identity_runs),
            ("farebox_identity_filter_bytes", "Memory that their filters take.", figures.filter_bytes),
        ] {
            page.family(name, Kind::Gauge, help);
            page.sample(name, &[], value as f64);
        }
        if let Some(at) = figures.horizon {
            let name = "farebox_retention_horizon_timestamp_seconds";
            let help = "The retention horizon, in seconds since 1970; usage timed before it is not counted any more.";
            page.family(name, Kind::Gauge, help);
            page.sample(name, &[], at.as_microsecond() as f64 / 1e6);
        }
    }

    fn write_requests(&self, page: &mut Page, now: &Now<'_>) {
        let name = "farebox_http_requests_total";
        page.family(name, Kind::Counter, "Requests that were answered, by operation and status.");
        for requests in &self.requests {
            for (status, counter) in
                STATUSES.zip(&requests.by_status).filter(|(_, counter)| counter.get() > 0)
            {
                let labels = [("operation", requests.operation), ("status", &status.to_string())];
                page.sample(name, &labels, counter.get() as f64);
            }
        }
        let name = "farebox_http_request_duration_seconds";
        page.family(name, Kind::Histogram, "From the head of a request to its answer, by operation.");
        for requests in &self.requests {
            // What nobody asks for would be most of the page.
            if requests.by_status.iter().any(|counter| counter.get() > 0) {
                requests.lasted.write(page, name, &[("operation", requests.operation)]);
            }
        }
        let name = "farebox_http_body_memory_bytes";
        page.family(name, Kind::Gauge, "Memory that bodies of requests have.");
        page.sample(name, &[], now.room.taken() as f64);
        let name = "farebox_http_body_memory_limit_bytes";
        page.family(name, Kind::Gauge, "Memory that they may have; what finds none is answered 503.");
        page.sample(name, &[], now.room.most() as f64);
    }

    fn write_process(&self, page: &mut Page) {
        let name = "process_start_time_seconds";
        page.family(name, Kind::Gauge, "When the server started, in seconds since 1970.");
        page.sample(name, &[], self.started.as_microsecond() as f64 / 1e6);
        if let Some(bytes) = resident_bytes() {
            let name = "process_resident_memory_bytes";
            page.family(name, Kind::Gauge, "Memory that the process has.");
            page.sample(name, &[], bytes as f64);
        }
    }
}

/// As Linux says it; elsewhere nothing.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Every metric: its name, its kind, its labels, what it is. docs/operate.md is made from it.
pub fn described() -> Vec<(String, &'static str, Vec<String>, String)> {
    let metrics = Metrics::new(&["is-alive"]);
    metrics.answered(Some("is-alive"), 200, Duration::ZERO);
    metrics.caught_up(Some(Timestamp::UNIX_EPOCH), Duration::ZERO);
    let then = Some(Timestamp::UNIX_EPOCH);
    metrics.stands(&Figures { next_due: then, horizon: then, ..Figures::default() });
    let room = Room::new(1);
    let clock = Some(Timestamp::UNIX_EPOCH);
    page::families(&metrics.page(&Now {
        jobs_waiting: 0,
        jobs_waiting_max: 1,
        room: &room,
        clock,
        spans: Some(&Counts::default()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_service::Sum;

    fn page(metrics: &Metrics, clock: Option<Timestamp>) -> String {
        metrics.page(&Now {
            jobs_waiting: 3,
            jobs_waiting_max: 4_096,
            room: &Room::new(100),
            clock,
            spans: None,
        })
    }

    #[track_caller]
    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }

    #[test]
    fn what_is_counted_is_on_the_page() {
        let metrics = Metrics::new(&["send-usage"]);
        let became = Ingested { accepted: 5, duplicates: 4, quarantined: 3, rejected: 2 };
        metrics.ingested(1_000, &became);
        metrics.ingested(500, &became);
        metrics.answered(Some("send-usage"), 200, Duration::from_micros(700));
        metrics.answered(Some("send-usage"), 503, Duration::from_secs(60));
        metrics.answered(None, 404, Duration::ZERO);
        metrics.committed(3, Duration::from_millis(1), true);
        metrics.committed(1, Duration::from_millis(2), false);
        let mut figures = Figures { undone: 1, holds: 2, groups: 3, identities: 4, ..Figures::default() };
        let settled = Sum { done: 7, refused: 1, lines: 9, micros: 2_500_000, ..Sum::default() };
        figures.runs[Duty::Charges as usize] = settled;
        metrics.stands(&figures);
        let page = page(&metrics, None);
        for line in [
            "farebox_usage_events_total{outcome=\"accepted\"} 10",
            "farebox_usage_events_total{outcome=\"duplicate\"} 8",
            "farebox_usage_events_total{outcome=\"quarantined\"} 6",
            "farebox_usage_events_total{outcome=\"rejected\"} 4",
            "farebox_usage_bytes_total 1500",
            "farebox_commits_total{outcome=\"failed\"} 1",
            "farebox_commit_duration_seconds_bucket{le=\"0.0005\"} 0",
            "farebox_commit_duration_seconds_bucket{le=\"0.001\"} 1",
            "farebox_commit_duration_seconds_bucket{le=\"+Inf\"} 2",
            "farebox_commit_duration_seconds_sum 0.003",
            "farebox_commit_jobs_bucket{le=\"4\"} 2",
            "farebox_commit_jobs_sum 4",
            "farebox_engine_jobs_waiting 3",
            "farebox_duties_total{duty=\"charges\",outcome=\"done\"} 7",
            "farebox_duties_total{duty=\"charges\",outcome=\"refused\"} 1",
            "farebox_duties_total{duty=\"terms\",outcome=\"done\"} 0",
            "farebox_duty_seconds_total{duty=\"charges\"} 2.5",
            "farebox_duty_lines_total{duty=\"charges\"} 9",
            "farebox_groups_failing 1",
            "farebox_groups_in_memory 3",
            "farebox_holds_open 2",
            "farebox_identities_in_memory 4",
            "farebox_http_requests_total{operation=\"send-usage\",status=\"503\"} 1",
            "farebox_http_requests_total{operation=\"none\",status=\"404\"} 1",
            "farebox_http_request_duration_seconds_bucket{operation=\"send-usage\",le=\"10\"} 1",
            "farebox_http_request_duration_seconds_count{operation=\"send-usage\"} 2",
        ] {
            has(&page, line);
        }
    }

    #[test]
    fn a_moment_that_is_not_there_is_no_sample() {
        let metrics = Metrics::default();
        let name = "farebox_retention_horizon_timestamp_seconds";
        assert!(!page(&metrics, None).contains(name));
        let horizon = Some("2026-04-01T00:00:00.5Z".parse().unwrap());
        metrics.stands(&Figures { horizon, ..Figures::default() });
        has(&page(&metrics, None), &format!("{name} 1775001600.5"));
    }

    #[test]
    fn the_lag_is_that_of_the_system_s_clock() {
        let metrics = Metrics::default();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-01T00:00:10Z");
        assert!(!page(&metrics, Some(now)).contains("lag"), "nothing has been looked at yet");
        metrics.caught_up(Some(at("2026-01-01T00:00:08.5Z")), Duration::ZERO);
        has(&page(&metrics, Some(now)), "farebox_clock_lag_seconds 1.5");
        metrics.caught_up(None, Duration::ZERO);
        let page_now = page(&metrics, Some(at("2026-01-01T01:00:08.5Z")));
        has(&page_now, "farebox_clock_lag_seconds 3600");
        has(&page_now, "farebox_schedule_runs_total{outcome=\"failed\"} 1");
        assert!(!page(&metrics, None).contains("lag"), "a test clock stands");
    }
}
