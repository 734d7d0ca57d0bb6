//! A question by itself, as a server is asked one.

use super::ast::Word;
use super::lex::{Mistake, lex};
use crate::diagnostic::Diagnostic;

/// The words of a question without its `$`; columns count from 1.
///
/// # Errors
/// What cannot be read, and where; of no file and no line.
pub fn question(text: &str) -> Result<Vec<Word>, Diagnostic> {
    words(text, 1).map_err(|mistake| mistake.at("", 0))
}

pub(super) fn words(text: &str, first_column: usize) -> Result<Vec<Word>, Mistake> {
    let lexed = lex(text, first_column)?;
    if lexed.tokens.is_empty() {
        return Err(Mistake::new(lexed.end, "a $ without a query", "a query such as $ bill acme 2020-01"));
    }
    Ok(lexed.tokens.into_iter().map(|token| token.word()).collect())
}

/// Words as [`question`] reads them.
pub fn written(words: &[Word]) -> String {
    let one = |word: &Word| {
        let needs_quotes = |c: char| c.is_whitespace() || c == '"' || c == '\\';
        if word.text.is_empty() || word.text.starts_with('#') || word.text.contains(needs_quotes) {
            format!("\"{}\"", word.text.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            word.text.clone()
        }
    };
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_so_that_they_are_read_again() {
        for text in
            ["bill acme 2020-01", r#"show acme "2020-01-04 10:00:00""#, r##"may acme "a\"b\\" on "" "#x""##]
        {
            let words = question(text).unwrap();
            assert_eq!(written(&words), text);
        }
        assert_eq!(question(" ").unwrap_err().column, 1);
        assert_eq!(question("bill \"acme").unwrap_err().line, 0);
    }
}
