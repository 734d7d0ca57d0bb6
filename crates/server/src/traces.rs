//! Traces of requests, of the engine's rounds and of what time does, for OpenTelemetry.
//!
//! A span is put into a queue that never waits, and a thread of its own sends what is there; what finds no place is
//! counted and dropped. Nothing here is done where no endpoint is set.

mod otlp;
mod send;

pub use send::Endpoint;

use crate::access::random;
use crate::metrics::Counter;
use axum::http::{HeaderMap, Method};
use farebox_service::{Ran, Service};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::futures::TaskLocalFuture;

/// Spans that wait to be sent; more are dropped.
const WAITING_MAX: usize = 8_192;
/// Requests that a round of the engine names.
const LINKS_MAX: usize = 128;
/// Runs of a look at the schedule that have a span of their own.
const RUNS_MAX: usize = 100;

/// What tells a span from others, also elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    trace: [u8; 16],
    span: [u8; 8],
}

impl Context {
    /// The first span of a trace.
    fn new() -> Context {
        Context { trace: random().unwrap_or([1; 16]), span: new_span() }
    }

    /// A span below this one.
    fn below(self) -> Context {
        Context { span: new_span(), ..self }
    }

    /// The caller's span as W3C Trace Context says it, and whether it is recorded: `None` where the header is not as it
    /// should be.
    fn of_caller(text: &str) -> Option<(Context, bool)> {
        let mut parts = text.split('-');
        let mut next = |chars: usize| parts.next().filter(|part| part.len() == chars);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // Of a later version more may follow.
        if version == "ff" || (version == "00" && parts.next().is_some()) || bytes::<1>(version).is_none() {
            return None;
        }
        let context = Context { trace: bytes(trace)?, span: bytes(span)? };
        let is_zero = context.trace == [0; 16] || context.span == [0; 8];
        (!is_zero).then_some((context, bytes::<1>(flags)?[0] & 1 == 1))
    }
}

fn new_span() -> [u8; 8] {
    random().unwrap_or([1; 8])
}

/// Bytes of small hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| b"0123456789abcdef".contains(digit)) {
        return None;
    }
    let mut found = [0; N];
    for (byte, pair) in found.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(found)
}

/// What is known of a span.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(i64),
}

/// Something that was done, and how long it took.
#[derive(Clone, Debug)]
struct Span {
    context: Context,
    parent: Option<[u8; 8]>,
    name: String,
    /// Whether it answers someone else.
    is_server: bool,
    start: Timestamp,
    end: Timestamp,
    attributes: Vec<(&'static str, Value)>,
    links: Vec<Context>,
    has_failed: bool,
}

impl Span {
    fn new(context: Context, name: &str, start: Timestamp, end: Timestamp) -> Span {
        Span {
            context,
            parent: None,
            name: name.to_owned(),
            is_server: false,
            start,
            end,
            attributes: Vec::new(),
            links: Vec::new(),
            has_failed: false,
        }
    }

    fn text(mut self, name: &'static str, value: impl ToString) -> Span {
        self.attributes.push((name, Value::Text(value.to_string())));
        self
    }

    fn number(mut self, name: &'static str, value: u64) -> Span {
        self.attributes.push((name, Value::Number(i64::try_from(value).unwrap_or(i64::MAX))));
        self
    }
}

/// What became of spans.
#[derive(Default)]
pub(crate) struct Counts {
    pub sent: Counter,
    /// The queue was full.
    pub dropped: Counter,
    /// The receiver was not there, or did not take them.
    pub failed: Counter,
}

/// Where spans go.
pub struct Traces {
    queue: SyncSender<Span>,
    counts: Arc<Counts>,
}

tokio::task_local! {
    /// The request that is being answered, where it is traced.
    static REQUEST: Option<Context>;
}

/// A request whose span has begun.
pub(crate) struct Begun {
    context: Context,
    parent: Option<[u8; 8]>,
    method: Method,
    start: Timestamp,
}

impl Traces {
    /// Sends spans to a receiver from now on. The thread ends, with everything sent that can be, when there is no
    /// `Traces` any more.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(endpoint: Endpoint) -> std::io::Result<(Traces, JoinHandle<()>)> {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let counts = Arc::new(Counts::default());
        let own = counts.clone();
        let thread = std::thread::Builder::new().name("traces".to_owned());
        let thread = thread.spawn(move || send::work(&endpoint, &waiting, &own))?;
        Ok((Traces { queue, counts }, thread))
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn put(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.add(1);
        }
    }

    /// A request begins: a part of the caller's trace, or a trace of its own. `None`: the caller's is not recorded.
    pub(crate) fn begin(&self, method: &Method, headers: &HeaderMap) -> Option<Begun> {
        let said = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let (context, parent) = match said.and_then(Context::of_caller) {
            Some((_, false)) => return None,
            Some((caller, true)) => (caller.below(), Some(caller.span)),
            None => (Context::new(), None),
        };
        Some(Begun { context, parent, method: method.clone(), start: Timestamp::now() })
    }

    /// A request was answered. `route`: `None` where no route knows the address or the method.
    pub(crate) fn answered(
        &self,
        begun: Begun,
        route: Option<(&str, &str)>,
        (status, id): (u16, &str),
        took: Duration,
    ) {
        let end = begun.start.checked_add(took).unwrap_or(begun.start);
        let name =
            route.map_or_else(|| begun.method.to_string(), |(path, _)| format!("{} {path}", begun.method));
        let mut span = Span::new(begun.context, &name, begun.start, end)
            .text("http.request.method", &begun.method)
            .number("http.response.status_code", u64::from(status))
            .text("farebox.request_id", id);
        if let Some((path, operation)) = route {
            span = span.text("http.route", path).text("farebox.operation", operation);
        }
        (span.parent, span.is_server, span.has_failed) = (begun.parent, true, status >= 500);
        self.put(span);
    }

    /// What time did since the last time, as far as it is durable. `round`: how long the engine's round has
    /// taken by now.
    pub(crate) fn ran(&self, service: &Service, round: Duration, told: &mut Told) {
        let refused = service.runs().totals().iter().map(|sum| sum.refused).sum();
        let last = service.runs().recent().next();
        let before = *told;
        *told = Told { last: last.map_or(before.last, |last| last.number), refused };
        let (ran, refused) = (told.last - before.last, refused.saturating_sub(before.refused));
        if ran + refused == 0 {
            return;
        }
        let is_new = |one: &&Ran| one.number > before.last;
        let began = |one: &Ran| one.done.checked_sub(Duration::from_micros(one.micros)).unwrap_or(one.done);
        let first = service.runs().recent().take_while(is_new).map(began).min();
        // Where there were more than are known one by one, all of them were done in this round.
        let start = first
            .filter(|_| ran <= farebox_service::RUNS_MAX as u64)
            .unwrap_or_else(|| Timestamp::now().checked_sub(round).unwrap_or_default());
        let end = last.filter(|_| ran > 0).map_or_else(Timestamp::now, |last| last.done);
        let all = Span::new(Context::new(), "schedule", start, end)
            .number("farebox.runs", ran)
            .number("farebox.refused", refused)
            .text("farebox.until", service.clock());
        for one in service.runs().recent().take_while(is_new).take(RUNS_MAX) {
            let name = format!("settle {}", one.due.duty.name());
            let mut span = Span::new(all.context.below(), &name, began(one), one.done)
                .text("farebox.duty", one.due.duty.name())
                .text("farebox.account", &one.due.payer)
                .text("farebox.due", one.due.at)
                .number("farebox.facts", one.facts)
                .number("farebox.lines", one.lines);
            span.parent = Some(all.context.span);
            self.put(span);
        }
        self.put(all);
    }
}

/// What was told of what time did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    /// The number of the last run.
    last: u64,
    refused: u64,
}

/// The request that is being answered, where it is traced.
pub(crate) fn current() -> Option<Context> {
    REQUEST.try_with(|context| *context).ok().flatten()
}

/// Answers a request, as the one that is being answered.
pub(crate) fn within<A: Future>(begun: Option<&Begun>, answer: A) -> TaskLocalFuture<Option<Context>, A> {
    REQUEST.scope(begun.map(|begun| begun.context), answer)
}

/// A round of the engine: jobs, and the commit that they share. It has a span where one of them is a request's.
pub(crate) struct Round {
    traces: Option<Arc<Traces>>,
    context: Option<Context>,
    start: Timestamp,
    commit: Timestamp,
    links: Vec<Context>,
}

impl Round {
    /// It begins now.
    pub fn new(traces: Option<&Arc<Traces>>) -> Round {
        let start = Timestamp::UNIX_EPOCH;
        Round { traces: traces.cloned(), context: None, start, commit: start, links: Vec::new() }
    }

    /// Does a job of requests that were asked for at a moment, each.
    pub fn does<T>(&mut self, asked: &[(Context, Instant)], job: impl FnOnce() -> T) -> T {
        let Some(traces) = self.traces.as_ref().filter(|_| !asked.is_empty()) else { return job() };
        let (start, began) = (Timestamp::now(), Instant::now());
        if self.context.is_none() {
            (self.context, self.start) = (Some(Context::new()), start);
        }
        let free = LINKS_MAX.saturating_sub(self.links.len());
        self.links.extend(asked.iter().take(free).map(|(request, _)| *request));
        let done = job();
        let end = Timestamp::now();
        for (request, asked) in asked {
            let waited = began.duration_since(*asked).as_micros();
            let mut span = Span::new(request.below(), "decide", start, end)
                .number("farebox.waited_micros", u64::try_from(waited).unwrap_or(u64::MAX));
            span.parent = Some(request.span);
            traces.put(span);
        }
        done
    }

    /// Its commit begins.
    pub fn commits(&mut self) {
        if self.context.is_some() {
            self.commit = Timestamp::now();
        }
    }

    /// Its commit of so many jobs has ended.
    pub fn committed(self, jobs: usize, is_done: bool) {
        let (Some(traces), Some(context)) = (self.traces, self.context) else { return };
        let end = Timestamp::now();
        let mut round = Span::new(context, "round", self.start, end).number("farebox.jobs", jobs as u64);
        round.links = self.links;
        let mut commit = Span::new(context.below(), "commit", self.commit, end);
        commit.parent = Some(context.span);
        (round.has_failed, commit.has_failed) = (!is_done, !is_done);
        traces.put(commit);
        traces.put(round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_s_span_is_read_as_w3c_writes_it() {
        let known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (context, is_recorded) = Context::of_caller(known).unwrap();
        assert_eq!((context.trace[0], context.span[7], is_recorded), (0x4b, 0xb7, true));
        assert!(!Context::of_caller(&known.replace("-01", "-02")).unwrap().1);
        assert!(Context::of_caller(&known.replace("00-4b", "cc-4b").replace("-01", "-01-more")).is_some());
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::of_caller(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_finds_no_place_is_dropped_and_counted() {
        let (queue, waiting) = sync_channel(1);
        let traces = Traces { queue, counts: Arc::default() };
        let begun = |headers: &HeaderMap| traces.begin(&Method::GET, headers);
        for _ in 0..3 {
            let begun = begun(&HeaderMap::new()).unwrap();
            traces.answered(begun, None, (404, "r"), Duration::from_millis(2));
        }
        assert_eq!((waiting.try_iter().count(), traces.counts().dropped.get()), (1, 2));
        let mut headers = HeaderMap::new();
        let unrecorded = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        headers.insert("traceparent", unrecorded.parse().unwrap());
        assert!(begun(&headers).is_none());
    }
}
