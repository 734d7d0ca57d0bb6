//! What every request passes before it is done: its key and role, its limit, its parameters, its body.

use crate::access::{Holder, Left, hex, lock, random};
use crate::answer::{Answer, ProblemBody};
use crate::asked::{Asked, place_of};
use crate::body::{self, Encoding};
use crate::operation::{CURSOR, Operation, ParameterForm};
use crate::room::Place;
use crate::traces::Begun;
use crate::{App, done};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use axum::response::{IntoResponse, Response};
use farebox_api::FieldMistake;
use farebox_store::AccessKey;
use serde_json::Value;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tracing::{Level, debug, enabled, info, trace, warn};

/// The most characters of an Idempotency-Key, and of the id of a request.
const KEY_CHARS_MAX: usize = 200;
/// The operation that decides commands.
const COMMAND: &str = "send-command";
/// The operation that moves a test clock.
const ADVANCE: &str = "advance-clock";
/// The most digits of a version.
const VERSION_DIGITS_MAX: usize = 19;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the log and the metrics say of a request.
pub(crate) struct Seen {
    operation: &'static Operation,
    holder: Option<Arc<Holder>>,
    /// A command's.
    asked: Option<Arc<Asked>>,
}

impl Seen {
    pub fn new(operation: &'static Operation) -> Seen {
        Seen { operation, holder: None, asked: None }
    }
}

/// A request that may be done, but for its body.
pub(crate) struct Admitted {
    /// Nobody else has it yet.
    asked: Arc<Asked>,
    /// Free again when the answer is there.
    place: Place,
    /// Of the body, where it takes one.
    encoding: Option<Encoding>,
    /// The versions that the client knows.
    known: Option<HeaderValue>,
    left: Option<Left>,
}

/// Looks at the head of a request: whether it may be done. `path`: the parts of its address that have names, as they are
/// written there.
///
/// All that can be done before the body is done here: while a request waits, little of it is in memory.
pub(crate) fn admit(
    app: &App,
    seen: &mut Seen,
    path: Vec<(String, String)>,
    parts: Parts,
) -> Result<Admitted, Box<Response>> {
    let operation = seen.operation;
    let (mut caller, left) = match operation.roles {
        None => (None, None),
        Some(roles) => {
            let token = bearer(&parts.headers);
            let Some(holder) = token.and_then(|token| app.access.of_token(token)) else {
                return Err(unauthorized(token.is_some()).into());
            };
            seen.holder = Some(holder.clone());
            let left = app.access.count(&holder, Instant::now());
            if let Some(left) = left.filter(|left| !left.is_allowed) {
                return Err(limited(too_many(left), Some(left)).into());
            }
            if !roles.contains(&holder.role()) {
                return Err(limited(not_allowed(&holder, operation.summary).into_response(), left).into());
            }
            note_use(app, &holder);
            (Some(holder), left)
        }
    };
    let prepare = || -> Result<_, Answer> {
        let path = named(path)?;
        let query = query(operation, parts.uri.query().unwrap_or_default())?;
        let idempotency_key = idempotency_key(&parts.headers)?;
        let is_conditional = operation.headers.contains(&"If-Match");
        let if_match = if is_conditional { if_match(&parts.headers)? } else { None };
        let encoding = operation.body.as_ref().map(|form| body::said(form, &parts.headers)).transpose()?;
        let is_for_people = prefers_text(&parts.headers);
        let caller = caller.take();
        let asked = Asked { caller, path, query, idempotency_key, if_match, is_for_people, ..Asked::of(app) };
        Ok((Arc::new(asked), encoding))
    };
    let (asked, encoding) = prepare().map_err(|answer| Box::new(limited(answer.into_response(), left)))?;
    let known = parts.headers.get(header::IF_NONE_MATCH).filter(|_| operation.is_versioned()).cloned();
    Ok(Admitted { asked, place: app.engine.room().place(), encoding, known, left })
}

/// Reads the body of a request that may be done, and has it done.
pub(crate) async fn pass<B>(app: &App, seen: &mut Seen, admitted: Admitted, body: B) -> Response
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let Admitted { mut asked, mut place, encoding, known, left } = admitted;
    let operation = seen.operation;
    if let Some(encoding) = encoding {
        let patience = app.engine.patience();
        match body::read(encoding, (body, &mut place), operation.bytes_max, patience).await {
            Ok(body) => Arc::get_mut(&mut asked).expect("nobody else has it yet").body = body,
            Err(answer) => return limited(answer.into_response(), left),
        }
    }
    if operation.id == COMMAND {
        seen.asked = Some(asked.clone());
    }
    let response = done(&app.engine, operation, asked, known).await;
    if operation.id == ADVANCE {
        app.access.clock_moved();
    }
    limited(response, left)
}

/// The key under which a request is done once, if it has one: it has one then.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Answer> {
    let mut all = headers.get_all("idempotency-key").iter();
    let is_plain = |key: &&str| {
        let is_short = (1..=KEY_CHARS_MAX).contains(&key.len());
        is_short && key.trim() == *key && !key.contains('\t')
    };
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(key), None) if key.to_str().is_ok_and(|key| is_plain(&key)) => {
            Ok(key.to_str().ok().map(str::to_owned))
        }
        _ => {
            let expected =
                format!("one Idempotency-Key of 1 to {KEY_CHARS_MAX} plain characters is expected");
            Err(Answer::problem("bad-idempotency-key", 400, &expected))
        }
    }
}

/// The versions of which one is to be there, as `If-Match` says them.
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Answer> {
    let all: Vec<&str> =
        headers.get_all(header::IF_MATCH).iter().map(|one| one.to_str().unwrap_or_default()).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let tags = all.join(",");
    let is_tag = |tag: &str| {
        let digits = tag.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        digits.is_some_and(|digits| {
            (1..=VERSION_DIGITS_MAX).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    if tags.trim() == "*" || tags.split(',').all(is_tag) {
        return Ok(Some(tags));
    }
    let detail = format!(
        "If-Match is {tags:?}; expected the version of the group in quotes, as its ETag says it, such as \"17\", or *"
    );
    Err(Answer::problem("bad-if-match", 400, &detail))
}

/// The parts of an address that have names, without percent-encoding.
fn named(path: Vec<(String, String)>) -> Result<Vec<(String, String)>, Answer> {
    let plain = |(name, value): (String, String)| match decoded(&value, false) {
        Some(value) => Ok((name, value)),
        None => {
            let detail = format!("the part {value:?} of the address is not percent-encoded UTF-8");
            Err(Answer::problem("bad-address", 400, &detail))
        }
    };
    path.into_iter().map(plain).collect()
}

/// Whether `Accept` puts plain text before JSON. What it says of neither is no reason to refuse: JSON it is then.
fn prefers_text(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = ranges.flat_map(|value| value.split(',')).collect();
    // The most specific range counts; of more, the last.
    let quality = |names: [&str; 3]| {
        let of = |range: &&str| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let rank = names.iter().position(|name| name.eq_ignore_ascii_case(media))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some((rank, thousandths(weight.unwrap_or("1"))))
        };
        ranges.iter().filter_map(of).max_by_key(|(rank, _)| *rank).map_or(0, |(_, quality)| quality)
    };
    quality(["*/*", "text/*", "text/plain"]) > quality(["*/*", "application/*", "application/json"])
}

/// A weight from 0 to 1 with at most three decimals; what is none counts as 1, as if it were not there.
fn thousandths(weight: &str) -> u32 {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{decimals:0<3}");
    match (whole, digits.len(), digits.parse::<u32>()) {
        ("0", 3, Ok(parts)) => parts,
        _ => 1_000,
    }
}

/// A header; `Some(None)` where it is no plain text.
fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<Option<&'h str>> {
    headers.get(name).map(|value| value.to_str().ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(has_token: bool) -> Response {
    let (detail, challenge) = match has_token {
        true => {
            ("this key is not known, or was revoked", "Bearer realm=\"farebox\", error=\"invalid_token\"")
        }
        false => ("say who asks: Authorization: Bearer fbx_…", "Bearer realm=\"farebox\""),
    };
    let mut response = Answer::problem("no-key", 401, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// That a role may not do something.
pub(crate) fn not_allowed(holder: &Holder, what: &str) -> Answer {
    let detail = format!("the role {} may not do this: {what}", holder.role().name());
    Answer::problem("not-allowed", 403, &detail)
}

fn too_many(left: Left) -> Response {
    let detail =
        format!("more than {} requests in a minute; try again in {} s", left.limit, left.until_next_s);
    let mut response = Answer::problem("too-many-requests", 429, &detail).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, left.until_next_s.into());
    response
}

/// Says what is left of the limit, and that what is answered for a key is for nobody else.
fn limited(mut response: Response, left: Option<Left>) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(left) = left {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("ratelimit-limit"), left.limit.into());
        headers.insert(HeaderName::from_static("ratelimit-remaining"), left.remaining.into());
        headers.insert(HeaderName::from_static("ratelimit-reset"), left.until_full_s.into());
    }
    response
}

/// Keeps that a key was used. Nobody waits for it, and when it fails nothing is lost.
fn note_use(app: &App, holder: &Arc<Holder>) {
    if !app.access.is_to_be_noted(holder, Instant::now()) {
        return;
    }
    let (engine, access, id) = (app.engine.clone(), app.access.clone(), holder.id().to_owned());
    tokio::spawn(async move {
        let noted = engine.ask(move |service| {
            // As it is now: it may have been revoked meanwhile.
            let Some(holder) = access.holder(&id) else { return Ok(()) };
            let used = service.clock();
            let is_news =
                |known: farebox_core::calendar::Instant| used.as_second() - known.as_second() >= 3_600;
            if !holder.key().used.is_none_or(is_news) {
                return Ok(());
            }
            let key = AccessKey { used: Some(used), ..holder.key().clone() };
            service.keep_key(key.clone());
            access.put(key)
        });
        drop(noted.await);
    });
}

/// The parameters after `?`; each of them is known, of the right form, and there once.
fn query(operation: &Operation, text: &str) -> Result<Vec<(String, String)>, Answer> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut wrong = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name, true), decoded(value, true)) else {
            wrong.push(FieldMistake::new("?", format!("{pair:?}"), "percent-encoded UTF-8"));
            continue;
        };
        let mistake =
            |found: String, expected: String| FieldMistake::new(format!("?{name}"), found, expected);
        match operation.parameters.iter().find(|known| known.name == name) {
            None => {
                let names: Vec<&str> = operation.parameters.iter().map(|known| known.name).collect();
                let expected = match names.is_empty() {
                    true => "no parameters".to_owned(),
                    false => format!("one of {}", names.join(", ")),
                };
                wrong.push(mistake(format!("the parameter {name:?}"), expected));
            }
            Some(_) if found.iter().any(|(known, _)| *known == name) => {
                wrong.push(mistake("it a second time".to_owned(), "it once".to_owned()));
            }
            Some(known) => match known.check(&value) {
                Ok(()) => match (&known.value, place_of(&value)) {
                    (ParameterForm::Cursor { .. }, Some(place)) => found.push((name, place)),
                    (ParameterForm::Cursor { .. }, None) => {
                        wrong.push(mistake(format!("{value:?}"), CURSOR.to_owned()));
                    }
                    _ => found.push((name, value)),
                },
                Err(expected) => wrong.push(mistake(format!("{value:?}"), expected)),
            },
        }
    }
    for known in operation.parameters.iter().filter(|known| known.required) {
        let is_there = found.iter().any(|(name, _)| name == known.name);
        let is_wrong = wrong.iter().any(|one| one.field.strip_prefix('?') == Some(known.name));
        if !is_there && !is_wrong {
            let expected = known.check("").err().unwrap_or_else(|| "a value".to_owned());
            wrong.push(FieldMistake::new(format!("?{}", known.name), "nothing", expected));
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(Answer::mistaken(wrong)) }
}

/// Text without percent-encoding; `None`: what it encodes is no text. After `?`, a plus is a space.
fn decoded(text: &str, is_query: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' if is_query => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// A request that has come.
pub(crate) struct Arrival {
    start: Instant,
    /// Its own, or a new one.
    id: String,
    begun: Option<Begun>,
}

impl Arrival {
    pub fn of(app: &App, parts: &Parts) -> Arrival {
        let id = header_of(&parts.headers, REQUEST_ID.as_str()).flatten().filter(|id| is_request_id(id));
        let id = id.map_or_else(new_request_id, str::to_owned);
        let traces = app.engine.traces();
        let begun = traces.and_then(|traces| traces.begin(&parts.method, &parts.headers));
        Arrival { start: Instant::now(), id, begun }
    }

    /// Its span, where it is traced.
    pub fn begun(&self) -> Option<&Begun> {
        self.begun.as_ref()
    }

    /// Logs and counts what it was answered, and says its id there.
    pub fn answered(self, app: &App, mut response: Response, seen: Option<&Seen>) -> Response {
        let Arrival { start, id, begun } = self;
        let operation = seen.map(|seen| seen.operation);
        let (status, problem) = (response.status().as_u16(), response.extensions_mut().remove());
        log(seen, status, problem.as_ref(), &id, start.elapsed());
        app.engine.metrics().answered(operation.map(|known| known.id), status, start.elapsed());
        if let (Some(traces), Some(begun)) = (app.engine.traces(), begun) {
            let route = operation.map(|known| (known.path, known.id));
            traces.answered(begun, route, (status, &id), start.elapsed());
        }
        if let Some(ProblemBody(body)) = problem {
            let body = with_id(&body, &id);
            response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
            *response.body_mut() = Body::from(body);
        }
        // No browser takes an answer for another kind of thing than it is.
        let nosniff = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if let Ok(value) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
}

/// Says what became of a request: of a command always, of another one that is refused or fails, and of any other to
/// whom wants to know all. Never a token, nor a body.
fn log(seen: Option<&Seen>, status: u16, problem: Option<&ProblemBody>, id: &str, time: Duration) {
    let is_command = seen.is_some_and(|seen| seen.operation.id == COMMAND);
    let is_said = match status {
        _ if is_command => enabled!(Level::INFO),
        500.. => enabled!(Level::WARN),
        400.. => enabled!(Level::DEBUG),
        _ => enabled!(Level::TRACE),
    };
    if !is_said {
        return;
    }
    let key = seen.and_then(|seen| seen.holder.as_ref()).map_or("", |holder| holder.id());
    let operation = seen.map_or("none", |seen| seen.operation.id);
    let body: Option<Value> = problem.and_then(|ProblemBody(body)| serde_json::from_slice(body).ok());
    let code = body.as_ref().and_then(|body| body["code"].as_str()).unwrap_or("done");
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match (status, seen.and_then(|seen| seen.asked.as_ref()).filter(|_| is_command)) {
        (_, Some(asked)) => {
            let (account, told) = (asked.path("account"), lock(&asked.told));
            let (command, repeated) = (told.word.as_str(), told.is_repeated);
            info!(key, account, command, outcome = code, repeated, request = id, micros, "command");
        }
        (500.., None) => warn!(key, operation, status, outcome = code, request = id, micros, "failed"),
        (400.., None) => debug!(key, operation, status, outcome = code, request = id, micros, "refused"),
        _ => trace!(key, operation, status, request = id, micros, "answered"),
    }
}

fn is_request_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=KEY_CHARS_MAX).contains(&id.len()) && id.bytes().all(plain)
}

/// Unlike those of other processes, and of this one before.
fn new_request_id() -> String {
    static PROCESS: LazyLock<String> = LazyLock::new(|| hex(&random::<6>().unwrap_or_default()));
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("{}-{:x}", *PROCESS, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The body of a problem with the request's id, which needs no escaping.
fn with_id(body: &[u8], id: &str) -> Vec<u8> {
    let mut whole = body.strip_suffix(b"}").unwrap_or(body).to_vec();
    whole.extend(format!(",\"request_id\":\"{id}\"}}").bytes());
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_read() {
        assert_eq!(decoded("a%20b+c", true).as_deref(), Some("a b c"));
        assert_eq!(decoded("a%20b+c", false).as_deref(), Some("a b+c"));
        assert_eq!(decoded("%E4%BA%BA", true).as_deref(), Some("人"));
        for wrong in ["%", "%4", "%+1", "%zz", "%ff"] {
            assert_eq!(decoded(wrong, true), None, "{wrong}");
        }
    }

    #[test]
    fn a_problem_takes_the_id_of_its_request() {
        let body = Answer::problem("busy", 503, "a \"quote\"").body;
        let whole: serde_json::Value = serde_json::from_slice(&with_id(&body, "r-1")).unwrap();
        assert_eq!((&whole["request_id"], &whole["code"]), (&"r-1".into(), &"busy".into()));
        assert!(
            is_request_id("a1-_.:") && !is_request_id("") && !is_request_id("a b") && !is_request_id("é")
        );
        assert_ne!(new_request_id(), new_request_id());
    }
}
