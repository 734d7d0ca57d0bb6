//! Usage: CloudEvents, one, a batch or one a line.

use crate::answer::{Answer, problem};
use crate::engine::{Engine, Unavailable};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use farebox_api::FieldMistake;
use farebox_core::metering::Event;
use farebox_service::Received;
use farebox_store::usage::Usage;
use farebox_text::import::{Change, ImportSpec, Importer, Input, Origin, Preset, Sink, Verdict};
use serde::{Deserialize, Serialize};
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
    /// Kept, and not billed as it is: it is counted when it can be.
    quarantined: u64,
    /// Not kept: it cannot be read, or says otherwise what was said before.
    rejected: u64,
    /// The first pieces that are quarantined or rejected.
    reasons: Vec<Reason>,
}

/// Why a piece of usage is quarantined or rejected.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageReason)]
pub(crate) struct Reason {
    /// Row of the body, from 1, where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// `SOURCE/ID`, or how the row begins.
    what: String,
    /// The stable code: docs/errors.md.
    code: String,
    /// Why, for people.
    sentence: String,
}

/// Gathers the events of a body.
#[derive(Default)]
struct Gather(Vec<Usage>);

impl Sink for Gather {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        match change {
            Change::Add => self.0.push(Usage::of(event)),
            // A body that revises itself: the service sees each revision.
            Change::Remove => {}
        }
        Verdict::Counted
    }
}

fn read(body: &Bytes) -> Result<(Vec<Usage>, Summary), Answer> {
    let spec = ImportSpec::new(Preset::CloudEvents, "body".to_owned());
    let mut sinks = [Gather::default()];
    let read = Importer::new(1).import(&spec, Input::bytes(body), &mut sinks, &|_| {});
    let read = read.map_err(|wrong| {
        let expected = "CloudEvents: an object, an array of them, or one a line";
        Answer::mistaken(vec![FieldMistake::new("", wrong.found, expected)])
    })?;
    let [Gather(events)] = sinks;
    let listed = read.listed.iter().take(LISTED_MAX).map(|row| Reason {
        row: Some(row.line),
        what: row.excerpt.clone(),
        code: row.reason.code.to_owned(),
        sentence: row.reason.sentence.to_string(),
    });
    let summary = Summary {
        duplicates: read.duplicates,
        rejected: read.quarantined,
        reasons: listed.collect(),
        ..Summary::default()
    };
    Ok((events, summary))
}

/// Receives usage. The answer comes when it is durable.
pub(crate) async fn receive(State(engine): State<Engine>, body: Bytes) -> Response {
    let (events, mut summary) = match read(&body) {
        Ok(read) => read,
        Err(answer) => return answer.into_response(),
    };
    let received = engine.ask(move |service| {
        for usage in events {
            let what = format!("{}/{}", usage.source, usage.id);
            let (code, sentence) = match service.receive(usage)? {
                Received::Counted | Received::NotBillable => {
                    summary.accepted += 1;
                    continue;
                }
                Received::Duplicate | Received::Void => {
                    summary.duplicates += 1;
                    continue;
                }
                Received::Conflict => {
                    summary.rejected += 1;
                    let sentence = "the same source, id and revision were said before with other content";
                    ("conflict", sentence.to_owned())
                }
                Received::Quarantined(problem) => {
                    summary.quarantined += 1;
                    (problem.code(), problem.sentence())
                }
            };
            if summary.reasons.len() < LISTED_MAX {
                summary.reasons.push(Reason { row: None, what, code: code.to_owned(), sentence });
            }
        }
        Ok(summary)
    });
    match received.await {
        Ok(Ok(summary)) => Answer::json(200, &summary).into_response(),
        Ok(Err(error)) => Unavailable::Store(error).into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

/// What tells a piece of usage from every other.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageIdentity)]
pub(crate) struct Identity {
    /// Who says it.
    source: String,
    /// Its name there.
    id: String,
}

/// What became of usage that is taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageVoided)]
pub(crate) struct Voided {
    /// Whether there was any usage to take back; what comes later is void too.
    found: bool,
}

/// Takes usage back by its identity.
pub(crate) async fn void(State(engine): State<Engine>, body: Bytes) -> Response {
    let Identity { source, id } = match serde_json::from_slice(&body) {
        Ok(identity) => identity,
        Err(error) => {
            let expected = "an object with the identity: {\"source\": \"pbx\", \"id\": \"call-17\"}";
            let mistakes = vec![FieldMistake::new("", error.to_string(), expected)];
            return Answer::mistaken(mistakes).into_response();
        }
    };
    match engine.ask(move |service| service.void(&source, &id)).await {
        Ok(Ok(found)) => Answer::json(200, &Voided { found }).into_response(),
        Ok(Err(error)) => problem(error.code(), 503, &error.to_string()),
        Err(unavailable) => unavailable.into_response(),
    }
}
