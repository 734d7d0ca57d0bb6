//! Usage: CloudEvents, one, a batch or one a line.

use crate::answer::Answer;
use crate::asked::Asked;
use crate::engine::Engine;
use crate::metrics::Ingested;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use farebox_core::metering::{Event, Problem};
use farebox_service::{CONFLICTS_MAX, Closed, NotErased, Parcel, Received};
use farebox_text::import::{EventRow, read_events};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The most pieces of usage that are named in an answer.
const LISTED_MAX: usize = 100;

/// What became of the usage of a request. Every row is in exactly one count.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageSummary)]
pub(crate) struct Summary {
    /// Kept, and counted or free of charge.
    accepted: u64,
    /// Said before, or in a higher revision, or void.
    duplicates: u64,
    /// Kept, and not billed as it is: it is counted when it can be, or has been mended.
    quarantined: u64,
    /// Not kept: it cannot be read, would replace usage that is closed, its account is erased, or a hundred others
    /// contradict the same.
    rejected: u64,
    /// The first pieces that are quarantined or rejected.
    reasons: Vec<Reason>,
}

/// Why a piece of usage is quarantined or rejected.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageReason)]
pub(crate) struct Reason {
    /// Which row of the body cannot be read, from 1: of an array the element, else the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// `SOURCE/ID`, or how the row begins.
    what: String,
    /// The stable code: docs/errors.md.
    code: String,
    /// Why, for people.
    sentence: String,
}

/// The events of a body, ready to be counted, and what became of those that are none.
fn read(body: &Bytes) -> (Parcel, Summary) {
    let (mut parcel, mut summary) = (Parcel::for_bytes(body.len()), Summary::default());
    read_events(body, &mut |row| match row {
        EventRow::Event(event) => parcel.push(&event),
        EventRow::Wrong { row, told } => {
            summary.rejected += 1;
            summary.give(|| Reason {
                row: Some(row),
                what: told.excerpt,
                code: told.reason.code.to_owned(),
                sentence: told.reason.sentence.to_string(),
            });
        }
    });
    (parcel, summary)
}

impl Summary {
    fn give(&mut self, reason: impl FnOnce() -> Reason) {
        if self.reasons.len() < LISTED_MAX {
            self.reasons.push(reason());
        }
    }

    fn ingested(&self) -> Ingested {
        let Summary { accepted, duplicates, quarantined, rejected, .. } = *self;
        Ingested { accepted, duplicates, quarantined, rejected }
    }

    /// Notes what became of an event.
    pub fn note(&mut self, event: &Event<'_>, received: &Received) {
        let (code, sentence) = match received {
            Received::Counted | Received::NotBillable => {
                self.accepted += 1;
                return;
            }
            Received::Duplicate | Received::Void => {
                self.duplicates += 1;
                return;
            }
            Received::Erased => {
                self.rejected += 1;
                (NotErased::ERASED, "its account is erased".to_owned())
            }
            Received::Conflict => {
                self.rejected += 1;
                let sentence = format!(
                    "the same source, id and revision were said before in {CONFLICTS_MAX} other ways, which wait in \
                     quarantine"
                );
                (Problem::CONFLICT, sentence)
            }
            Received::Closed(closed) => {
                self.rejected += 1;
                (Closed::CODE, closed.to_string())
            }
            Received::Quarantined(problem) => {
                self.quarantined += 1;
                (problem.code(), problem.sentence())
            }
        };
        let what = || format!("{}/{}", event.source, event.id);
        self.give(|| Reason { row: None, what: what(), code: code.to_owned(), sentence });
    }
}

/// Receives usage. The answer comes when it is durable.
pub(crate) async fn receive(engine: Engine, asked: Arc<Asked>) -> Response {
    let (parcel, summary) = read(&asked.body);
    let bytes = asked.body.len();
    drop(asked);
    match engine.bring(parcel, summary).await {
        Ok(summary) => {
            engine.metrics().ingested(bytes, &summary.ingested());
            Answer::json(200, &summary).into_response()
        }
        Err(unavailable) => unavailable.into_response(),
    }
}
