//! What is used, held and shared, and where an account stands.

use super::Body;
use crate::mistake::FieldMistake;
use crate::value::{
    Attributes, Holder, LicenceChange, Moment, Name, NonNegativeDecimal, PositiveDecimal, Seconds, SessionId,
    Text,
};
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, holds, licences, lifecycle, packages};
use farebox_core::money::Exact;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// When a session expires: exactly one of both is said.
fn deadline(
    until: Option<Moment>,
    for_seconds: Option<Seconds>,
    at: Instant,
    wrong: &mut Vec<FieldMistake>,
) -> Instant {
    match (until, for_seconds) {
        (Some(until), None) => until.0,
        (None, Some(seconds)) => {
            at.checked_add(SignedDuration::from_secs(seconds.0.into())).unwrap_or(Instant::MAX)
        }
        (until, _) => {
            let both = until.is_some();
            let found = if both { "until and for_seconds" } else { "neither until nor for_seconds" };
            wrong.push(FieldMistake::new("", found, "either until or for_seconds"));
            at
        }
    }
}

/// Asks whether a feature may be used; it charges nothing (R-CEC-9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseFeature {
    /// The feature.
    pub feature: Name,
    /// By this subscription only; by any that the account has when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Name>,
}

impl Body for UseFeature {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let subscription = self.subscription.map(|name| name.0);
        Action::UseFeature { feature: self.feature.0, subscription }
    }
}

/// A way of using an application begins or ends, and consumes a licence that subscriptions bring
/// (R-TCCC-11). What is said again changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseLicence {
    /// The application.
    pub application: Name,
    /// Who: the e-mail of a named licence, trimmed and without regard to capitals, or the name of a phone.
    pub holder: Holder,
    /// The way, as the price list names it: `web`, `mobile`, `monitor`, `phone`.
    pub way: Name,
    /// What becomes of it.
    pub change: LicenceChange,
    /// Only a licence of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Name>,
}

impl Body for UseLicence {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Licences(licences::Action::Use {
            application: self.application.0,
            holder: self.holder.0,
            way: self.way.0,
            licence: self.licence.map(|name| name.0),
            change: self.change.into(),
        })
    }
}

/// Releases the named licences of idle e-mails (R-TCCC-14). Each reset counts, also one that frees nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetLicences {
    /// The application.
    pub application: Name,
    /// Only those of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Name>,
}

impl Body for ResetLicences {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        let licence = self.licence.map(|name| name.0);
        Action::Licences(licences::Action::Reset { application: self.application.0, licence })
    }
}

/// Begins a session, such as a call: units of packages, money and a place are held for it, as far as there
/// are any. The same again changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its name: the id that its usage record will bear.
    pub id: SessionId,
    /// The source that its usage record will bear.
    pub source: Text,
    /// The type of its usage event, such as `call`.
    #[serde(rename = "type")]
    pub kind: Name,
    /// How much it may use, in what the meters measure (seconds, calls).
    pub units: PositiveDecimal,
    /// Without a word by then it expires. Either this or `for_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The same, as seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<Seconds>,
    /// The attributes that its usage will have, without what is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

impl Body for Hold {
    fn action(self, _: &str, at: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let until = deadline(self.until, self.for_seconds, at, wrong);
        Action::Holds(holds::Action::Create {
            id: self.id.0,
            source: self.source.0,
            kind: self.kind.0,
            attributes: self.attributes.unwrap_or_default().0,
            units: self.units.0,
            until,
        })
    }
}

/// Goes on with a session. All numbers are totals since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// The session.
    pub id: SessionId,
    /// How much it may use in all.
    pub units: PositiveDecimal,
    /// How much it has used in all; 0 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<NonNegativeDecimal>,
    /// Without a word by then it expires. Either this or `for_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The same, as seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<Seconds>,
}

impl Body for Extend {
    fn action(self, _: &str, at: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let until = deadline(self.until, self.for_seconds, at, wrong);
        let used = self.used.map_or(Exact::ZERO, |used| used.0);
        Action::Holds(holds::Action::Update { id: self.id.0, units: self.units.0, used, until })
    }
}

/// Ends a session. What it used is usage from now on, until its record takes the place of that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The session.
    pub id: SessionId,
    /// How much it has used in all; 0: it never came about.
    pub used: NonNegativeDecimal,
}

impl Body for Release {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Holds(holds::Action::Release { id: self.id.0, used: self.used.0 })
    }
}

/// Lets members draw from the packages of a subscription of their master, from now on (R-ORG-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The subscription.
    pub subscription: Name,
    /// The members, each once. Nobody else draws from them any longer.
    pub members: Vec<Name>,
}

impl Body for Share {
    fn action(self, _: &str, _: Instant, wrong: &mut Vec<FieldMistake>) -> Action {
        let mut seen = BTreeSet::new();
        if self.members.is_empty() {
            wrong.push(FieldMistake::new("/members", "no member", "at least one"));
        }
        for (index, member) in self.members.iter().enumerate().filter(|(_, member)| !seen.insert(&member.0)) {
            let found = format!("{} a second time", member.0);
            wrong.push(FieldMistake::new(format!("/members/{index}"), found, "each member once"));
        }
        let members = self.members.into_iter().map(|member| member.0).collect();
        Action::Packages(packages::Action::Share { subscription: self.subscription.0, members })
    }
}

/// Lets no member draw from the packages of a subscription any longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The subscription.
    pub subscription: Name,
}

impl Body for Keep {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Packages(packages::Action::Keep { subscription: self.subscription.0 })
    }
}

/// Gives the customer a tier from now on; it decides how long grace and retention are (R-OCR-9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTier {
    /// The tier, of some price list in force.
    pub tier: Name,
}

impl Body for SetTier {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Lifecycle(lifecycle::Action::SetTier { tier: self.tier.0 })
    }
}

/// Suspends the account: what it uses pay-per-use is frozen, and with a master's its members' (R-ARR-4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {}

impl Body for Suspend {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Lifecycle(lifecycle::Action::Suspend)
    }
}

/// Ends the suspension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {}

impl Body for Resume {
    fn action(self, _: &str, _: Instant, _: &mut Vec<FieldMistake>) -> Action {
        Action::Lifecycle(lifecycle::Action::Resume)
    }
}
