//! Answers: JSON, or a problem (RFC 9457).

use crate::engine::Unavailable;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use farebox_api::{FieldMistake, Problem};
use farebox_store::StoreError;
use serde::Serialize;

/// About how many headers an answer has.
const HEADERS: usize = 8;

/// An answer as it can be kept and given again.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub is_problem: bool,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, value: &impl Serialize) -> Answer {
        match serde_json::to_vec(value) {
            Ok(body) => Answer { status, is_problem: false, body },
            Err(error) => Answer::of(&Problem::new("not-written", 500, error.to_string())),
        }
    }

    pub fn of(problem: &Problem) -> Answer {
        // A problem is text and numbers: it can always be written.
        let body = serde_json::to_vec(problem).unwrap_or_default();
        Answer { status: problem.status, is_problem: true, body }
    }

    pub fn problem(code: &str, status: u16, detail: &str) -> Answer {
        Answer::of(&Problem::new(code, status, detail))
    }

    pub fn mistaken(mistakes: Vec<FieldMistake>) -> Answer {
        Answer::of(&Problem::mistaken(mistakes))
    }

    /// As bytes: the status, whether it is a problem, the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.status.to_le_bytes().to_vec();
        bytes.push(u8::from(self.is_problem));
        bytes.extend(&self.body);
        bytes
    }

    /// What [`Answer::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Answer> {
        let ([low, high, is_problem], body) = bytes.split_first_chunk()?;
        let status = u16::from_le_bytes([*low, *high]);
        Some(Answer { status, is_problem: *is_problem == 1, body: body.to_vec() })
    }
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Answer {
        Answer::problem(error.code(), 503, &error.to_string())
    }
}

/// The body of a problem, which the request's id is still to be put into.
#[derive(Clone)]
pub(crate) struct ProblemBody(pub Bytes);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = Bytes::from(self.body);
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media = if self.is_problem { Problem::MEDIA_TYPE } else { "application/json" };
        // Its own, and those that every answer has.
        response.headers_mut().reserve(HEADERS);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        if self.is_problem {
            response.extensions_mut().insert(ProblemBody(body));
        }
        if self.status == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        let code = match &self {
            Unavailable::Busy => "busy",
            Unavailable::Stopping => "stopping",
            Unavailable::Store(error) => error.code(),
        };
        problem(code, 503, &self.to_string())
    }
}

pub(crate) fn problem(code: &str, status: u16, detail: &str) -> Response {
    Answer::problem(code, status, detail).into_response()
}

pub(crate) fn not_found(detail: &str) -> Response {
    problem("not-found", 404, detail)
}

/// Writes a body when the engine has other things to do already.
type Write = Box<dyn FnOnce() -> serde_json::Result<Vec<u8>> + Send>;

/// What a route answers when all is well.
pub(crate) struct Reply {
    status: u16,
    version: Option<u64>,
    /// The address of the next page, where the body has no place for it.
    next: Option<String>,
    /// Whether it is another one where the client accepts something else.
    is_chosen: bool,
    content: Content,
}

enum Content {
    Json(Write),
    Text(&'static str, String),
    Kept(Answer),
}

impl Reply {
    pub fn json(status: u16, value: impl Serialize + Send + 'static) -> Reply {
        let write = Box::new(move || serde_json::to_vec(&value));
        Reply { status, version: None, next: None, is_chosen: false, content: Content::Json(write) }
    }

    /// Text of a media type; `next`: the address of its next page.
    pub fn text(media: &'static str, text: String, next: Option<String>) -> Reply {
        Reply { status: 200, version: None, next, is_chosen: false, content: Content::Text(media, text) }
    }

    /// An answer that may have been given before.
    pub fn kept(answer: Answer) -> Reply {
        Reply {
            status: answer.status,
            version: None,
            next: None,
            is_chosen: false,
            content: Content::Kept(answer),
        }
    }

    /// The answer is the same as long as the group has this version.
    pub fn of_version(self, version: u64) -> Reply {
        Reply { version: Some(version), ..self }
    }

    /// The answer depends on what the client accepts.
    pub fn chosen(self) -> Reply {
        Reply { is_chosen: true, ..self }
    }

    /// As it can be kept. Only JSON is.
    pub fn into_answer(self) -> Answer {
        let written = match self.content {
            Content::Kept(answer) => return answer,
            Content::Json(write) => write(),
            Content::Text(_, text) => Ok(text.into_bytes()),
        };
        match written {
            Ok(body) => Answer { status: self.status, is_problem: false, body },
            Err(error) => Answer::problem("not-written", 500, &error.to_string()),
        }
    }

    /// As it is sent. `known`: the version that the client has, as `If-None-Match` says it.
    pub fn into_response(self, known: Option<&str>) -> Response {
        let is_chosen = self.is_chosen;
        let mut response = self.written(known);
        if is_chosen {
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        }
        response
    }

    fn written(self, known: Option<&str>) -> Response {
        let tag = self.version.map(tag);
        if let (Some(tag), Some(known)) = (&tag, known)
            && known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
        {
            return tagged(StatusCode::NOT_MODIFIED.into_response(), Some(tag.clone()));
        }
        let response = match self.content {
            Content::Kept(answer) => answer.into_response(),
            Content::Text(media, text) => {
                let mut response = Response::new(Body::from(text));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
                let link = self.next.map(|next| format!("<{next}>; rel=\"next\""));
                if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
                    response.headers_mut().insert(header::LINK, link);
                }
                response
            }
            Content::Json(write) => match write() {
                Ok(body) => Answer { status: self.status, is_problem: false, body }.into_response(),
                Err(error) => problem("not-written", 500, &error.to_string()),
            },
        };
        tagged(response, tag)
    }
}

/// A version as an entity tag.
pub(crate) fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

fn tagged(mut response: Response, tag: Option<String>) -> Response {
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
