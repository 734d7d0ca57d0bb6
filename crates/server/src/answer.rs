//! Answers: JSON, or a problem (RFC 9457).

use crate::engine::Unavailable;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use farebox_api::{FieldMistake, Problem};
use serde::Serialize;

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

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media = if self.is_problem { Problem::MEDIA_TYPE } else { "application/json" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
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
        let mut response = problem(code, 503, &self.to_string());
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}

pub(crate) fn problem(code: &str, status: u16, detail: &str) -> Response {
    Answer::of(&Problem::new(code, status, detail)).into_response()
}

pub(crate) fn not_found(detail: &str) -> Response {
    problem("not-found", 404, detail)
}
