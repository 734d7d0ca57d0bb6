//! Access keys and roles (docs/access.md).

use crate::value::{Name, Text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, for every account.
    Operator,
    /// Reads everything; money, prices, suspensions.
    Finance,
    /// Reads everything about accounts; what sets a service right and costs nothing.
    Support,
    /// Says what was used, and runs sessions.
    Integrator,
    /// One account and the accounts that it pays for, and nothing else.
    Customer,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 5] =
        [Role::Operator, Role::Finance, Role::Support, Role::Integrator, Role::Customer];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Finance => "finance",
            Role::Support => "support",
            Role::Integrator => "integrator",
            Role::Customer => "customer",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, in words.
    pub label: Text,
    /// What may be done with it.
    pub role: Role,
    /// Of a customer's key: the account whose tree it is for. Other roles have none.
    #[serde(default)]
    pub account: Option<Name>,
}

/// An access key. Its secret is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Key {
    /// Its public name: the actor of what is done with it.
    pub id: String,
    /// What it is for, in words.
    pub label: String,
    /// What may be done with it.
    pub role: Role,
    /// Of a customer's key: the account whose tree it is for.
    pub account: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// The key that made it; `serve`: the server itself, at its start.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// The key that revoked it.
    pub revoked_by: Option<String>,
    /// When it was last used, to the hour.
    pub used_at: Option<String>,
}

/// A key that was just made, with its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MadeKey {
    /// The key.
    pub key: Key,
    /// What `Authorization: Bearer` takes. It is shown this once.
    pub token: String,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Caller {
    /// The key's public name.
    pub id: String,
    /// What may be done with it.
    pub role: Role,
    /// Of a customer's key: the account whose tree it is for.
    pub account: Option<String>,
    /// The commands that may be sent with it.
    pub commands: Vec<String>,
}
