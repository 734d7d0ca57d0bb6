//! What is wrong with a file, where, and what is expected instead.

use std::fmt;

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1. 0: the file as a whole.
    pub line: usize,
    /// Column in characters, from 1. 0: the line as a whole.
    pub column: usize,
    /// What was found.
    pub found: String,
    /// What is expected there.
    pub expected: String,
    /// A near miss: what was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// `january.book:12:20: unknown plan "basc-seat"; expected a plan of huawei-ykf; did you mean
    /// "basic-seat"?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.found)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean \"{suggestion}\"?")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The known name nearest to what was written, when it is near enough to be a slip: at most a
/// third of its letters differ.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(written, name), name))
        .filter(|(edits, name)| *edits * 3 <= name.chars().count().max(3))
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["basic-seat", "sales-seat", "all-round-seat"];
        assert_eq!(nearest("basc-seat", known).as_deref(), Some("basic-seat"));
        assert_eq!(nearest("sales-saet", known).as_deref(), Some("sales-seat"));
        assert_eq!(nearest("elephant", known), None);
    }
}
