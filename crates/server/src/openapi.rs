//! The OpenAPI 3.1 document, made from the list of operations and the wire types.

use crate::OPERATIONS;
use crate::operation::{Body, Form, Named, Operation};
use crate::page;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use farebox_api::{Problem, Role};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A route as tests and pages see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`.
    pub method: String,
    /// `/v1/accounts/{account}`.
    pub path: &'static str,
    /// Its name in clients.
    pub id: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Who may ask; `None`: anyone, without a key.
    pub roles: Option<&'static [Role]>,
}

/// Every route, in the order of the document.
pub fn routes() -> Vec<Route> {
    let route = |operation: &Operation| Route {
        method: operation.method.to_string(),
        path: operation.path,
        id: operation.id,
        summary: operation.summary,
        roles: operation.roles,
    };
    OPERATIONS.iter().map(route).collect()
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/openapi.json", "show-openapi", "This description, as OpenAPI 3.1.")
            .answers(200, Form::Json)
            .handled(|_, _| {
                Box::pin(async {
                    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
                })
            }),
        Operation::get("/docs", "show-docs", "This description, to read.")
            .answers(200, Form::Text("text/html; charset=utf-8"))
            .handled(|_, _| {
                Box::pin(async {
                    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE.as_str())).into_response()
                })
            }),
    ]
}

/// The page has styles of its own, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::of(&document()));

/// The OpenAPI document.
pub fn document() -> Value {
    let mut named = Named::new();
    let problem = crate::operation::Described::of::<Problem>().reference(&mut named);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in OPERATIONS.iter() {
        let described = describe(operation, &problem, &mut named);
        paths.entry(operation.path).or_default().insert(operation.method.as_str().to_lowercase(), described);
    }
    let schemas: BTreeMap<String, Value> = named
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Billing for services sold by the seat, the minute, the call, the second and the package.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access key: fbx_ID_SECRET.",
                },
            },
        },
    })
}

fn describe(operation: &Operation, problem: &Value, named: &mut Named) -> Value {
    let mut described = Map::new();
    described.insert("operationId".into(), operation.id.into());
    described.insert("summary".into(), operation.summary.into());
    let roles = match operation.roles {
        None => "Anyone, without a key.".to_owned(),
        Some(roles) => {
            let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
            format!("Roles: {}.", names.join(", "))
        }
    };
    described.insert("description".into(), roles.into());
    let parameters = parameters(operation, named);
    if !parameters.is_empty() {
        described.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = &operation.body {
        described.insert("requestBody".into(), request_body(body, named));
    }
    described.insert("responses".into(), responses(operation, problem, named));
    if operation.roles.is_some() {
        described.insert("security".into(), json!([{"key": []}]));
    }
    described.into()
}

fn parameters(operation: &Operation, named: &mut Named) -> Vec<Value> {
    let name_in_path = |name: &str| {
        let says = match name {
            "account" => "The account.",
            "bill" => "The bill: ACCOUNT-YYYY-MM.",
            "line" => "The line: ACCOUNT-YYYY-MM-NUMBER.",
            "subscription" => "The subscription.",
            "catalogue" => "The price list.",
            _ => "The access key's public name.",
        };
        // A slash would be another address, and so is a dot or two. Letters and digits of all scripts are read; what
        // makes examples of a pattern, or checks with it, mostly knows those of ASCII only.
        let most = match name {
            "bill" => 72,
            "line" => 82,
            _ => 64,
        };
        json!({
            "name": name, "in": "path", "required": true, "description": says,
            "schema": {
                "type": "string", "minLength": 1, "maxLength": most, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            },
        })
    };
    let in_path: Vec<Value> = operation.names().map(name_in_path).collect();
    let in_query = operation.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": parameter.required,
            "description": parameter.says, "schema": parameter.schema(named),
        })
    });
    let in_query: Vec<Value> = in_query.collect();
    let in_header = operation.headers.iter().map(|name| {
        let (says, pattern) = match *name {
            "Idempotency-Key" => (
                "With a key that the client chose, the first answer is given again.",
                "^[!-~]([ -~]{0,198}[!-~])?$",
            ),
            "If-Match" => (
                "Do it only while the account's group has this version.",
                "^(\\*|\"[0-9]{1,19}\"( *, *\"[0-9]{1,19}\")*)$",
            ),
            _ => ("The version that the client has.", "^"),
        };
        json!({
            "name": name, "in": "header", "required": false, "description": says,
            "schema": {"type": "string", "pattern": pattern},
        })
    });
    in_path.into_iter().chain(in_query).chain(in_header).collect()
}

fn request_body(body: &Body, named: &mut Named) -> Value {
    match body {
        Body::Json(described) => {
            json!({"required": true, "content": {"application/json": {"schema": described.reference(named)}}})
        }
        Body::Text(media, says) => json!({
            "required": true,
            "content": {
                *media: {"schema": {"type": "string", "description": says}},
                "text/plain": {"schema": {"type": "string", "description": says}},
            },
        }),
        Body::Event => json!({
            "required": true,
            "content": {"application/cloudevents+json": {"schema": event()}},
        }),
        Body::Usage => {
            let event = event();
            let batch = json!({"type": "array", "items": event});
            json!({
                "required": true,
                "content": {
                    "application/cloudevents+json": {"schema": event},
                    "application/cloudevents-batch+json": {"schema": batch},
                    "application/x-ndjson": {"schema": {"type": "string", "description": "An event on each line."}},
                },
            })
        }
    }
}

/// A CloudEvent of usage.
fn event() -> Value {
    // There is no limit but that of the event as a whole.
    let text = |says: &str| json!({"type": "string", "minLength": 1, "description": says});
    let revision = "Which revision of what was said it is; 0 when left out.";
    let bytes = "`data` as JSON in Base64 (RFC 4648, with padding), in the place of `data`.";
    json!({
        "type": "object",
        "required": ["specversion", "source", "id", "type", "subject", "time"],
        "properties": {
            "specversion": {"const": "1.0"},
            "source": text("Who says it; `source` and `id` tell it from every other."),
            "id": text("Its name there."),
            "type": text("What was used: `call`."),
            "subject": text("The account."),
            "time": {"type": "string", "format": "date-time", "description": "When; of a call, when it ended."},
            "start": {"type": "string", "format": "date-time", "description": "When it began. It may stand in `data`, too."},
            "revision": {"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": revision},
            "datacontenttype": {"type": "string", "description": "The media type of `data_base64`: JSON when left out."},
            "data": {"type": "object", "description": "What meters look at: seconds, number and the like."},
            "data_base64": {"type": "string", "contentEncoding": "base64", "description": bytes},
        },
    })
}

fn responses(operation: &Operation, problem: &Value, named: &mut Named) -> Value {
    let (media, schema) = match &operation.answer {
        Form::One(described) => ("application/json", described.reference(named)),
        Form::Page(described) => ("application/json", page_of(described.reference(named))),
        Form::Json => ("application/json", json!({})),
        Form::Text(media) => (*media, json!({"type": "string"})),
    };
    let mut all = Map::new();
    let mut content = json!({media: {"schema": schema}});
    if operation.id == "export-journal" || operation.id == crate::accounts::SHOW_BILL {
        content["text/plain; charset=utf-8"] = json!({"schema": {"type": "string"}});
    }
    if operation.id == "export-focus" {
        content[farebox_table::Format::Parquet.media_type()] = json!({"schema": {}});
    }
    all.insert(operation.status.to_string(), json!({"description": "Done.", "content": content}));
    if operation.is_versioned() {
        all.insert("304".into(), json!({"description": "The client has this version already."}));
    }
    for (status, codes) in operation.problems() {
        let codes = format!("`{}`", codes.join("`, `"));
        let description = match status {
            401 => format!("{codes}: no key, or one that is not known or was revoked."),
            _ => codes,
        };
        let media = match operation.roles {
            None => "text/plain; charset=utf-8",
            Some(_) => Problem::MEDIA_TYPE,
        };
        let content =
            json!({media: {"schema": if operation.roles.is_some() { problem.clone() } else { json!({}) }}});
        all.insert(status.to_string(), json!({"description": description, "content": content}));
    }
    all.into()
}

fn page_of(item: Value) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"type": ["string", "null"], "description": "What `after` takes for the next page; null: there is none."},
        },
    })
}
