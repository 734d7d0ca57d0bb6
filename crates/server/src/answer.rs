//! Answers: JSON, or a problem (RFC 9457).

use crate::engine::Unavailable;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use farebox_api::{FieldMistake, Problem};
use farebox_store::StoreError;
use serde::Serialize;
use serde_json::Value;

/// About how many headers an answer has.
const HEADERS: usize = 8;

/// An answer as it can be kept and given again.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What a command was answered. Of a member's command, who pays for the account is told more than who sees the member
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub answer: Answer,
    /// Where it is another one.
    pub to_member: Option<Answer>,
}

impl Given {
    /// As bytes: those of the answer; where there are two, with a 2 for the problem that both are, and the length of
    /// the first one's body before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.answer.to_bytes();
        let Some(to_member) = &self.to_member else { return bytes };
        let length = u32::try_from(self.answer.body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let status = self.answer.status.to_le_bytes();
        [&status[..], &[Given::TWO], &length, &self.answer.body, &to_member.body].concat()
    }

    const TWO: u8 = 2;

    /// What [`Given::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Given> {
        let answer = Answer::from_bytes(bytes)?;
        if bytes.get(2) != Some(&Given::TWO) {
            return Some(answer.into());
        }
        let (length, bodies) = answer.body.split_first_chunk()?;
        let (body, of_member) = bodies.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let problem = |body: &[u8]| Answer { is_problem: true, body: body.to_vec(), ..answer };
        Some(Given { to_member: Some(problem(of_member)), answer: problem(body) })
    }

    /// What is told to who sees the account that pays, or does not.
    pub fn to(self, sees_payer: bool) -> Answer {
        match self.to_member {
            _ if sees_payer => self.answer,
            Some(to_member) => to_member,
            None => self.answer.without_money(),
        }
    }
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Given {
        Given { answer, to_member: None }
    }
}

impl Answer {
    /// What earlier versions kept of a refusal for want of money says how much the payer has and owes.
    fn without_money(self) -> Answer {
        let body = Some(&self.body).filter(|_| self.is_problem && self.status == 402);
        let problem: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        let Some(mut problem) = problem else { return self };
        problem["detail"] =
            "this takes more than who pays can spend now, or is not to be before who pays tops up".into();
        Answer { body: problem.to_string().into_bytes(), ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_two_is_told_to_each() {
        let problem = |detail: &str| Answer::problem("frozen", 402, detail);
        let given = Given { answer: problem("acme owes 5"), to_member: Some(problem("acme must pay")) };
        let kept = Given::from_bytes(&given.to_bytes()).unwrap();
        assert_eq!(kept, given);
        assert_eq!(
            (kept.clone().to(true), kept.to(false)),
            (problem("acme owes 5"), problem("acme must pay"))
        );
        let alone = Given::from(Answer::json(200, &1));
        assert_eq!(Given::from_bytes(&alone.to_bytes()), Some(alone));
    }

    #[test]
    fn what_earlier_versions_kept_tells_a_member_no_amount() {
        let old = Answer::problem("frozen", 402, "acme owes 5.00 CNY").to_bytes();
        let kept = || Given::from_bytes(&old).unwrap();
        assert!(String::from_utf8(kept().to(true).body).unwrap().contains("5.00"));
        let told = kept().to(false);
        let body: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!((told.status, told.is_problem, &body["code"]), (402, true, &"frozen".into()));
        assert!(!body["detail"].as_str().unwrap().contains('5'), "{body}");
        let order = Answer::json(200, &5);
        assert_eq!(Given::from_bytes(&order.to_bytes()).unwrap().to(false), order);
    }
}
