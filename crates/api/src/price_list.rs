//! Price lists.

use farebox_core::catalog::Catalogue;
use serde::Serialize;
use utoipa::ToSchema;

/// A version of a price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceList {
    /// Its name, the same for all versions.
    pub id: String,
    /// The version, as its file says it.
    pub version: String,
    /// Title for people.
    pub title: String,
    /// From when it is in force; `null`: since ever.
    pub effective_at: Option<String>,
    /// The currency of its prices.
    pub currency: String,
    /// The wall clock of its days and months.
    pub zone: String,
    /// The first 16 hex digits of the hash of its text.
    pub hash: String,
    /// Its plans.
    pub plans: Vec<String>,
}

impl PriceList {
    /// A price list on the wire.
    pub fn of(list: &Catalogue) -> PriceList {
        PriceList {
            id: list.id.clone(),
            version: list.version.clone(),
            title: list.title.clone(),
            effective_at: list.effective.map(|at| at.to_string()),
            currency: list.currency.code().to_owned(),
            zone: list.zone.name().to_owned(),
            hash: list.hash.clone(),
            plans: list.plans().map(|plan| plan.id.clone()).collect(),
        }
    }
}

/// A version of a price list, with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceListText {
    /// What it is.
    pub list: PriceList,
    /// As a customer reads it.
    pub shown: String,
    /// The file as it was published, with its comments; `null` for a customer.
    pub text: Option<String>,
}

/// What a price list would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceListDiff {
    /// The price list of the body.
    pub list: PriceList,
    /// The version that is in force before it; `null`: there is none.
    pub before: Option<PriceList>,
    /// The lines of what a customer reads that are not in both, in their order.
    pub changes: Vec<PriceListChange>,
}

/// A line that a price list adds or takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PriceListChange {
    /// `added` or `removed`.
    pub change: String,
    /// The line.
    pub line: String,
}
