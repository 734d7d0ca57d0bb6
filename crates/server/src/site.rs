//! What is served: finds the operation that a request asks for, and has it done.
//!
//! The operations are a list already, so that nothing has to be stacked for each of them: a request passes the same few
//! functions, whatever it asks for.

use crate::access::Access;
use crate::answer;
use crate::engine::Engine;
use crate::guard::{self, Admitted, Arrival, Seen};
use crate::operation::Operation;
use crate::{App, OPERATIONS, traces};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Uri, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::Service;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;

/// Everything under `/v1`, and what belongs to it.
#[derive(Clone)]
pub struct Site {
    inner: Arc<Inner>,
}

struct Inner {
    app: App,
    /// The operations of each path.
    paths: matchit::Router<Vec<&'static Operation>>,
}

/// What an address and a method mean.
enum Found {
    /// An operation, and the parts of the address that have names, as they are written there.
    Operation(&'static Operation, Vec<(String, String)>),
    /// The methods that the address knows.
    Methods(String),
    Nothing,
}

impl Site {
    /// Every operation, done by an engine for those who have access.
    pub fn new(engine: Engine, access: Access) -> Site {
        let mut by_path: BTreeMap<&str, Vec<&'static Operation>> = BTreeMap::new();
        for operation in OPERATIONS.iter() {
            by_path.entry(operation.path).or_default().push(operation);
        }
        let mut paths = matchit::Router::new();
        for (path, operations) in by_path {
            let inserted = paths.insert(path, operations);
            // A test asks for every one of them.
            debug_assert!(inserted.is_ok(), "{path}: {inserted:?}");
        }
        Site { inner: Arc::new(Inner { app: App { engine, access }, paths }) }
    }

    fn find(&self, method: &Method, address: &Uri) -> Found {
        let Ok(known) = self.inner.paths.at(address.path()) else { return Found::Nothing };
        // An answer to HEAD is one to GET without its body.
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        match known.value.iter().find(|operation| operation.method == *wanted) {
            Some(operation) => {
                let named = known.params.iter();
                let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Found::Operation(operation, named.collect())
            }
            None => {
                let mut methods: Vec<&str> =
                    known.value.iter().map(|operation| operation.method.as_str()).collect();
                if methods.contains(&"GET") {
                    methods.push("HEAD");
                }
                methods.sort_unstable();
                Found::Methods(methods.join(","))
            }
        }
    }

    /// Answers a request.
    pub fn answer<B>(&self, request: Request<B>) -> impl Future<Output = Response> + use<B>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        self.answers(request, |response| response)
    }

    /// The same, as whoever asks wants it. What the head of the request says is dealt with at once: what waits is small.
    fn answers<B, R>(
        &self,
        request: Request<B>,
        wanted: fn(Response) -> R,
    ) -> impl Future<Output = R> + use<B, R>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let inner = self.inner.clone();
        let (parts, body) = request.into_parts();
        let arrival = Arrival::of(&inner.app, &parts);
        let step = self.begin(parts);
        async move {
            let app = &inner.app;
            let (response, seen) = match step {
                Step::Goes { admitted, mut seen, is_head } => {
                    let done = guard::pass(app, &mut seen, admitted, body);
                    let response = traces::within(arrival.begun(), done).await;
                    (if is_head { without_body(response) } else { response }, Some(seen))
                }
                Step::Ends(response, seen) => (*response, seen),
            };
            wanted(arrival.answered(app, response, seen.as_ref()))
        }
    }

    /// Finds what a request asks for, and whether it may be done.
    fn begin(&self, parts: Parts) -> Step {
        match self.find(&parts.method, &parts.uri) {
            Found::Operation(operation, path) => {
                let is_head = parts.method == Method::HEAD;
                let mut seen = Seen::new(operation);
                match guard::admit(&self.inner.app, &mut seen, path, parts) {
                    Ok(admitted) => Step::Goes { admitted, seen, is_head },
                    Err(response) if is_head => Step::ends(without_body(*response), Some(seen)),
                    Err(response) => Step::Ends(response, Some(seen)),
                }
            }
            Found::Methods(methods) => Step::ends(wrong_method(&methods), None),
            Found::Nothing => Step::ends(answer::not_found("there is nothing under this address"), None),
        }
    }
}

/// How it goes on with a request whose head was read.
enum Step {
    /// It may be done. `is_head`: its answer has no body.
    Goes { admitted: Admitted, seen: Seen, is_head: bool },
    /// It is answered already.
    Ends(Box<Response>, Option<Seen>),
}

impl Step {
    fn ends(response: Response, seen: Option<Seen>) -> Step {
        Step::Ends(Box::new(response), seen)
    }
}

fn wrong_method(methods: &str) -> Response {
    let detail = "this address does not know this method";
    let mut response = answer::problem("method-not-allowed", 405, detail);
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(parts, Body::empty())
}

impl Service<Request<Incoming>> for Site {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.answers(request, Ok))
    }
}
