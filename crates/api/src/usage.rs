//! Usage itself: events as they were kept, and those that cannot be billed as they are.

use crate::bill::{Period, period};
use crate::value::Text;
use farebox_core::engine::Unrouted;
use farebox_core::metering::{Event, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A CloudEvent of usage, as it was kept.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UsageEvent {
    /// `1.0`.
    pub specversion: String,
    /// Who says it; `source` and `id` tell it from every other.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// What was used: `call`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The account.
    pub subject: String,
    /// When; of a call, when it ended.
    pub time: String,
    /// Which revision of what was said it is.
    pub revision: u64,
    /// What meters look at: seconds, number and the like; when it began, as `start`.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub data: Map<String, serde_json::Value>,
}

impl UsageEvent {
    /// The event on the wire.
    pub fn of(event: &Event<'_>) -> UsageEvent {
        let mut data = Map::new();
        for (name, value) in &event.attributes {
            let value = match value {
                Value::Text(text) => (*text).into(),
                Value::Number(number) => exact_number(&number.to_string()),
            };
            data.insert((*name).to_owned(), value);
        }
        if let Some(start) = event.start {
            data.entry("start").or_insert_with(|| start.to_string().into());
        }
        UsageEvent {
            specversion: "1.0".to_owned(),
            source: event.source.to_owned(),
            id: event.id.to_owned(),
            kind: event.kind.to_owned(),
            subject: event.account.to_owned(),
            time: event.time.to_string(),
            revision: event.revision,
            data,
        }
    }
}

/// A number, where JSON says it to the last digit; its decimals as a text elsewhere.
fn exact_number(decimals: &str) -> serde_json::Value {
    let number: Option<Number> = serde_json::from_str(decimals).ok();
    number.filter(|number| number.to_string() == decimals).map_or_else(|| decimals.into(), Into::into)
}

/// What tells a piece of usage from every other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageIdentity {
    /// Who says it.
    pub source: String,
    /// Its name there.
    pub id: String,
}

/// Usage that is not to be billed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardedUsage {
    /// Who says it.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// Why, for the audit trail.
    pub reason: Text,
}

/// A piece of usage that cannot be billed as it is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct QuarantinedUsage {
    /// The stable code of the reason: docs/errors.md.
    pub code: String,
    /// The reason for people.
    pub sentence: String,
    /// When it came.
    pub received_at: String,
    /// As it came.
    pub event: UsageEvent,
}

/// A piece of usage of an account.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AccountEvent {
    /// As it was kept.
    pub event: UsageEvent,
    /// The stable code of the reason why it is not billed; `null`: it is billed, or free of charge; `account-erased`: which
    /// of the two it is cannot be told any more.
    pub code: Option<String>,
    /// That reason for people.
    pub sentence: Option<String>,
}

/// Usage that a meter has counted and that nothing takes: it is billed when an order takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unbilled {
    /// The account.
    pub account: String,
    /// The stable code of the reason: `no-subscription` or `frozen`.
    pub code: String,
    /// The reason for people.
    pub sentence: String,
    /// The price list.
    pub catalogue: String,
    /// The meter.
    pub meter: String,
    /// The time.
    pub period: Period,
    /// How many events.
    pub events: i64,
    /// The project; `null` is unassigned.
    pub project: Option<String>,
    /// The application.
    pub application: Option<String>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
    /// What tells it apart besides, such as a number; under a rate deck the prefix.
    pub group: BTreeMap<String, String>,
}

impl Unbilled {
    /// Usage on the wire.
    pub fn of(one: &Unrouted) -> Unbilled {
        let mut group = one.scope.dimensions.clone();
        group.extend(one.scope.prefix.iter().map(|prefix| ("prefix".to_owned(), prefix.clone())));
        Unbilled {
            account: one.lane.account.clone(),
            code: one.problem.code().to_owned(),
            sentence: one.problem.sentence(),
            catalogue: one.lane.catalogue.clone(),
            meter: one.lane.meter.clone(),
            period: period(one.span),
            events: one.events,
            project: one.scope.project.clone(),
            application: one.scope.application.clone(),
            tags: one.scope.tags.clone(),
            group,
        }
    }
}

/// Where a piece of usage stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageStanding {
    /// `counted`: it is billed, or free of charge; `quarantined`: a meter that it is for cannot count it; `unbilled`: a
    /// meter counts it, and nothing that the account had at its time takes it.
    pub state: String,
    /// The stable code of the reason why it is not billed.
    pub code: Option<String>,
    /// That reason for people.
    pub sentence: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::exact_number;

    #[test]
    fn a_number_is_one_where_it_can_be_said() {
        for (text, json) in [
            ("5", "5"),
            ("-3", "-3"),
            ("0.1", "0.1"),
            ("12.000000001", "12.000000001"),
            ("123456789012345678901234", "\"123456789012345678901234\""),
            ("1234567890123456.789", "\"1234567890123456.789\""),
            ("1/3", "\"1/3\""),
        ] {
            assert_eq!(exact_number(text).to_string(), json);
        }
    }
}
