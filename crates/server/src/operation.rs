//! What one route is: who may ask it, what it takes, what it answers. The router, the OpenAPI document and the test of
//! roles are all made from these.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::engine::Engine;
use axum::http::Method;
use axum::response::Response;
use farebox_api::{Role, STATUSES};
use farebox_service::Service;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// Every role.
pub(crate) const EVERYONE: &[Role] = &Role::ALL;
/// Who sees accounts: a customer its own tree.
pub(crate) const READERS: &[Role] = &[Role::Operator, Role::Finance, Role::Support, Role::Customer];
/// Those of the vendor's who see sums over all accounts.
pub(crate) const BOOKKEEPERS: &[Role] = &[Role::Operator, Role::Finance];
/// The operator alone.
pub(crate) const OPERATOR: &[Role] = &[Role::Operator];

/// Schemas by name.
pub(crate) type Named = Vec<(String, RefOr<Schema>)>;

/// A value that describes itself.
#[derive(Clone, Copy)]
pub(crate) struct Described {
    name: fn() -> String,
    schema: fn() -> RefOr<Schema>,
    schemas: fn(&mut Named),
}

impl Described {
    pub fn of<T: ToSchema>() -> Described {
        Described { name: || T::name().into_owned(), schema: T::schema, schemas: T::schemas }
    }

    /// A reference to it; it and what it refers to are added to `named`.
    pub fn reference(&self, named: &mut Named) -> Value {
        (self.schemas)(named);
        let name = (self.name)();
        named.push((name.clone(), (self.schema)()));
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

/// What an answer is.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// One value.
    One(Described),
    /// A page of a list.
    Page(Described),
    /// Anything that is JSON.
    Json,
    /// Text of this media type.
    Text(&'static str),
}

/// What a body is.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// JSON of one form.
    Json(Described),
    /// A file of this media type.
    Text(&'static str, &'static str),
    /// CloudEvents.
    Usage,
    /// One CloudEvent.
    Event,
}

impl Body {
    /// The media types that it may have.
    pub fn media(&self) -> &'static [&'static str] {
        match self {
            Body::Json(_) => &["application/json"],
            Body::Event => &["application/json", "application/cloudevents+json"],
            Body::Text(..) => &["application/toml", "text/plain"],
            Body::Usage => &[
                "application/json",
                "application/cloudevents+json",
                "application/cloudevents-batch+json",
                "application/x-ndjson",
                "application/jsonl",
                "text/plain",
            ],
        }
    }
}

/// A parameter of the address, after `?`.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub name: &'static str,
    pub says: &'static str,
    pub required: bool,
    pub value: ParameterForm,
}

#[derive(Clone, Copy)]
pub(crate) enum ParameterForm {
    /// A text that a wire type reads.
    Text { described: Described, check: fn(&str) -> Result<(), String> },
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Whole { least: usize, most: usize },
    /// A place in a list: a number, or any text.
    Cursor { is_number: bool },
    /// A text of a pattern; `expected` says in words which.
    Pattern { pattern: &'static str, expected: &'static str, check: fn(&str) -> bool },
}

/// The most of a list on one page, and how much it is unless said otherwise.
pub(crate) const PAGE_MAX: usize = 1_000;
pub(crate) const PAGE: usize = 100;
/// What a cursor is.
pub(crate) const CURSOR: &str = "the `next` of the page before";
/// The most characters of a cursor: of a place that has 300 and a hash, in up to four bytes each, encoded.
const CURSOR_CHARS_MAX: usize = 1_800;
/// The most digits of one that is a number.
const CURSOR_DIGITS_MAX: usize = 18;

impl Parameter {
    /// A text that `T` reads.
    pub fn text<T: DeserializeOwned + ToSchema>(name: &'static str, says: &'static str) -> Parameter {
        let check = |text: &str| {
            let read = serde_json::from_value::<T>(Value::String(text.to_owned()));
            read.map(drop).map_err(|error| {
                let message = error.to_string();
                message.split_once("expected ").map_or(message.clone(), |(_, expected)| expected.to_owned())
            })
        };
        let value = ParameterForm::Text { described: Described::of::<T>(), check };
        Parameter { name, says, required: false, value }
    }

    pub fn one_of(name: &'static str, words: &'static [&'static str], says: &'static str) -> Parameter {
        Parameter { name, says, required: false, value: ParameterForm::OneOf(words) }
    }

    /// What is expected, unless the text is that.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match &self.value {
            ParameterForm::Text { check, .. } => check(text),
            ParameterForm::OneOf(words) if words.contains(&text) => Ok(()),
            ParameterForm::OneOf(words) => Err(format!("one of {}", words.join(", "))),
            ParameterForm::Whole { least, most } => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let whole = text.parse().ok().filter(|whole| digits && (least..=most).contains(&whole));
                whole.map(drop).ok_or_else(|| format!("a whole number from {least} to {most}"))
            }
            ParameterForm::Pattern { check, .. } if check(text) => Ok(()),
            ParameterForm::Pattern { expected, .. } => Err((*expected).to_owned()),
            ParameterForm::Cursor { is_number } => {
                let digits =
                    text.len() <= CURSOR_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_short = (1..=CURSOR_CHARS_MAX).contains(&text.chars().count());
                let is_good = is_short && (digits || !is_number);
                if is_good { Ok(()) } else { Err(CURSOR.to_owned()) }
            }
        }
    }

    pub fn schema(&self, named: &mut Named) -> Value {
        match &self.value {
            ParameterForm::Text { described, .. } => described.reference(named),
            ParameterForm::OneOf(words) => json!({"type": "string", "enum": words}),
            ParameterForm::Whole { least, most } => {
                json!({"type": "integer", "minimum": least, "maximum": most, "default": PAGE})
            }
            ParameterForm::Pattern { pattern, .. } => json!({"type": "string", "pattern": pattern}),
            ParameterForm::Cursor { is_number: true } => {
                json!({"type": "string", "pattern": format!("^[0-9]{{1,{CURSOR_DIGITS_MAX}}}$")})
            }
            ParameterForm::Cursor { is_number: false } => {
                json!({"type": "string", "minLength": 1, "maxLength": CURSOR_CHARS_MAX})
            }
        }
    }
}

/// Looks at what is asked, before anyone who must not wait.
pub(crate) type First = fn(&Asked) -> Result<(), Answer>;

/// An answer that is being made.
pub(crate) type Handled = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a route does.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// It asks the service.
    Asks(fn(&mut Service, &Asked) -> Result<Reply, Answer>),
    /// It is a handler of its own; whether it may be asked has been seen to.
    Handles(fn(Engine, Arc<Asked>) -> Handled),
}

/// A route and method.
pub(crate) struct Operation {
    pub method: Method,
    /// As OpenAPI and the router write it: `/v1/accounts/{account}`.
    pub path: &'static str,
    /// Its name in clients.
    pub id: &'static str,
    pub summary: &'static str,
    pub roles: Option<&'static [Role]>,
    pub parameters: Vec<Parameter>,
    pub headers: &'static [&'static str],
    pub body: Option<Body>,
    pub status: u16,
    pub answer: Form,
    /// Codes of its own, besides those that follow from what it takes: `(status, codes)`.
    pub codes: &'static [(u16, &'static str)],
    /// Whether it can be refused by the engine, with any of its codes.
    pub decides: bool,
    /// Whether, with an `Idempotency-Key`, it is done once and its first answer given again.
    pub once: bool,
    /// Whether it looks at nothing but the group of the account in its address.
    pub is_of_group: bool,
    /// Whether it changes nothing: it is answered from what is kept where nothing else can be done.
    pub asks: bool,
    /// What is kept of the first answer to be given again, where that is not the answer itself.
    pub kept: Option<fn(&Answer) -> Answer>,
    /// Done before the engine is asked, on a thread that may take its time.
    pub first: Option<First>,
    /// The most bytes of the body.
    pub bytes_max: usize,
    pub does: Does,
}

impl Operation {
    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation {
            asks: method == Method::GET,
            method,
            path,
            id,
            summary,
            roles: None,
            parameters: Vec::new(),
            headers: &[],
            body: None,
            status: 200,
            answer: Form::Json,
            codes: &[],
            decides: false,
            once: false,
            is_of_group: false,
            kept: None,
            first: None,
            bytes_max: crate::BODY_BYTES_MAX,
            does: Does::Asks(|_, _| Ok(Reply::json(200, ()))),
        }
    }

    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::GET, path, id, summary)
    }

    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::POST, path, id, summary)
    }

    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::DELETE, path, id, summary)
    }

    pub fn by(self, roles: &'static [Role]) -> Operation {
        Operation { roles: Some(roles), ..self }
    }

    pub fn takes(mut self, parameter: Parameter) -> Operation {
        self.parameters.push(parameter);
        self
    }

    pub fn body(self, body: Body) -> Operation {
        Operation { body: Some(body), ..self }
    }

    pub fn headers(self, headers: &'static [&'static str]) -> Operation {
        Operation { headers, ..self }
    }

    /// With an `Idempotency-Key` it is done once, and the first answer is given again.
    pub fn once(self) -> Operation {
        Operation { once: true, headers: &["Idempotency-Key"], ..self }
    }

    pub fn refuses(self, codes: &'static [(u16, &'static str)]) -> Operation {
        Operation { codes, ..self }
    }

    /// The engine decides: it can be refused with any of the engine's codes.
    pub fn decides(self) -> Operation {
        Operation { decides: true, ..self }
    }

    pub fn answers(self, status: u16, answer: Form) -> Operation {
        Operation { status, answer, ..self }
    }

    /// It answers one value.
    pub fn one<T: ToSchema>(self) -> Operation {
        self.answers(200, Form::One(Described::of::<T>()))
    }

    /// It answers a part of something, which `limit` and `after` choose.
    pub fn part(self) -> Operation {
        let limit = ParameterForm::Whole { least: 1, most: PAGE_MAX };
        let says = "How many at most on a page; 100 when left out.";
        let limit = Parameter { name: "limit", says, required: false, value: limit };
        let says = "The `next` of the page before.";
        let after = Parameter {
            name: "after",
            says,
            required: false,
            value: ParameterForm::Cursor { is_number: false },
        };
        self.takes(limit).takes(after)
    }

    /// It answers a page of a list.
    pub fn page<T: ToSchema>(self) -> Operation {
        self.part().answers(200, Form::Page(Described::of::<T>()))
    }

    /// A page of a list, whose items have numbers.
    pub fn numbered<T: ToSchema>(self) -> Operation {
        let mut operation = self.page::<T>();
        for parameter in &mut operation.parameters {
            if let ParameterForm::Cursor { is_number } = &mut parameter.value {
                *is_number = true;
            }
        }
        operation
    }

    pub fn asks(self, work: fn(&mut Service, &Asked) -> Result<Reply, Answer>) -> Operation {
        Operation { does: Does::Asks(work), ..self }
    }

    /// It changes nothing, though it is no GET.
    pub fn changes_nothing(self) -> Operation {
        Operation { asks: true, ..self }
    }

    /// It looks at the group of the account in its address, and at nothing else.
    pub fn looks_at_group(self) -> Operation {
        Operation { is_of_group: true, ..self }
    }

    pub fn handled(self, handler: fn(Engine, Arc<Asked>) -> Handled) -> Operation {
        Operation { does: Does::Handles(handler), ..self }
    }

    /// Whether it says a version, and answers nothing where the client has it.
    pub fn is_versioned(&self) -> bool {
        self.headers.contains(&"If-None-Match")
    }

    /// The names in braces of its path.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }

    /// The statuses of the problems that it can answer, each with codes besides those of the engine.
    pub fn problems(&self) -> Vec<(u16, Vec<&'static str>)> {
        let mut all: Vec<(u16, &'static str)> = self.codes.to_vec();
        if self.decides {
            let refusals =
                STATUSES.iter().flat_map(|(status, codes)| codes.iter().map(|code| (*status, *code)));
            all.extend(refusals);
        }
        if self.roles.is_some() {
            all.extend([(401, "no-key"), (403, "not-allowed"), (429, "too-many-requests")]);
            all.extend([(503, "busy"), (503, "stopping")]);
        }
        if !self.parameters.is_empty() {
            all.push((422, "mistakes"));
        }
        for name in self.names() {
            all.push((400, "bad-address"));
            let code = match name {
                "account" => "unknown-account",
                "bill" => "no-bill",
                "line" => "unknown-line",
                "subscription" => "unknown-subscription",
                _ => "not-found",
            };
            all.push((404, code));
        }
        if self.body.is_some() {
            all.extend([(400, "mistakes"), (400, "bad-body"), (413, "too-large")]);
            all.extend([(415, "unsupported-media-type"), (422, "mistakes")]);
            all.push((408, "too-slow"));
        }
        for header in self.headers {
            match *header {
                "If-Match" => all.extend([(400, "bad-if-match"), (412, "version-changed")]),
                "Idempotency-Key" => {
                    all.extend([(400, "bad-idempotency-key"), (422, "idempotency-key-reused")]);
                }
                _ => {}
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut by_status: Vec<(u16, Vec<&'static str>)> = Vec::new();
        for (status, code) in all {
            match by_status.last_mut().filter(|(known, _)| *known == status) {
                Some((_, codes)) => codes.push(code),
                None => by_status.push((status, vec![code])),
            }
        }
        by_status
    }
}
