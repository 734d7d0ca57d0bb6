//! What is wrong with what was given: in a file, or in the body of a request.

use serde::Serialize;
use utoipa::ToSchema;

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mistake {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1; `null` for the file as a whole.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What was found.
    pub found: String,
    /// What is expected.
    pub expected: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// A mistake in the body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldMistake {
    /// Where, as a JSON pointer (RFC 6901): `/attributes/number`. Empty: the body as a whole.
    /// `account`, without a slash: the account that the address names. `?limit`: a parameter.
    pub field: String,
    /// What was found.
    pub found: String,
    /// What is expected.
    pub expected: String,
}

impl FieldMistake {
    /// A mistake at a field.
    pub fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> FieldMistake {
        FieldMistake { field: field.into(), found: found.into(), expected: expected.into() }
    }

    /// The same mistake where the body stands at a place of a larger one. That of an address is where it was.
    #[must_use]
    pub fn under(self, place: &str) -> FieldMistake {
        let is_of_body = self.field.is_empty() || self.field.starts_with('/');
        let field = if is_of_body { format!("{place}{}", self.field) } else { self.field };
        FieldMistake { field, ..self }
    }
}
