//! Price lists: published, listed.

use crate::answer::{Answer, problem};
use crate::engine::Engine;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use farebox_api::FieldMistake;
use farebox_core::catalog::Catalogue;
use farebox_core::engine::{CatalogueConflict, Catalogues};
use farebox_store::{CatalogueText, Store, StoreError};
use farebox_text::catalog;
use serde::Serialize;

/// The price lists that are published in a store.
///
/// # Errors
/// [`StoreError::Corrupt`] when one of them is none any more; others when the store fails.
pub fn parse_all(store: &dyn Store) -> Result<Catalogues, StoreError> {
    let mut all = Catalogues::default();
    for kept in store.catalogues()? {
        let damaged =
            |found: String| StoreError::Corrupt { place: format!("price list \"{}\"", kept.id), found };
        let list = catalog::parse(&kept.id, kept.text.as_bytes()).map_err(|wrong| {
            let first = wrong.first().map(ToString::to_string);
            damaged(first.unwrap_or_default())
        })?;
        all.add(list).map_err(|conflict| damaged(format!("{conflict:?}")))?;
    }
    Ok(all)
}

#[derive(Serialize)]
struct Listed {
    id: String,
    version: String,
    title: String,
    /// `null`: since ever.
    effective: Option<String>,
    currency: String,
    zone: String,
    hash: String,
}

impl Listed {
    fn of(list: &Catalogue) -> Listed {
        Listed {
            id: list.id.clone(),
            version: list.version.clone(),
            title: list.title.clone(),
            effective: list.effective.map(|at| at.to_string()),
            currency: list.currency.code().to_owned(),
            zone: list.zone.name().to_owned(),
            hash: list.hash.clone(),
        }
    }
}

/// All price lists, each version, by name and date.
pub(crate) async fn list(State(engine): State<Engine>) -> Response {
    let all = engine.ask(|service| service.catalogues().iter().map(Listed::of).collect::<Vec<_>>());
    match all.await {
        Ok(all) => Answer::json(200, &all).into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

/// Publishes the price list of the body, a catalogue file (docs/catalogue.md).
pub(crate) async fn publish(State(engine): State<Engine>, body: Bytes) -> Response {
    let list = match catalog::parse("body", &body) {
        Ok(list) => list,
        Err(wrong) => {
            let mistake = |one: farebox_text::diagnostic::Diagnostic| {
                FieldMistake::new(format!("line {}", one.line), one.found, one.expected)
            };
            return Answer::mistaken(wrong.into_iter().map(mistake).collect()).into_response();
        }
    };
    let text = String::from_utf8_lossy(&body).into_owned();
    let published = engine.ask(move |service| {
        let kept = CatalogueText {
            id: list.id.clone(),
            effective: list.effective,
            published: service.clock(),
            text,
            parts: Vec::new(),
        };
        let listed = Listed::of(&list);
        service.publish(list, kept).map(|()| listed)
    });
    match published.await {
        Ok(Ok(listed)) => Answer::json(201, &listed).into_response(),
        Ok(Err(CatalogueConflict::SameDate)) => problem(
            "catalogue-exists",
            409,
            "a version with this effective date is published already; give it a later one",
        ),
        Ok(Err(CatalogueConflict::ZoneOrCurrency)) => problem(
            "catalogue-differs",
            409,
            "the versions of a price list have one zone and one currency; publish it under another id",
        ),
        Err(unavailable) => unavailable.into_response(),
    }
}
