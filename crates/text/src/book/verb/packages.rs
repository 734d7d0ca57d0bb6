//! The verbs of packages.

use super::super::ast::Share;
use super::super::lex::{Mistake, Words, name, quoted, twice};
use super::{ACCOUNT, path};
use crate::book::Word;

/// `share ACCOUNT/SUBSCRIPTION with MEMBER[,MEMBER …]`
pub(super) fn share(words: &mut Words) -> Result<Share, Mistake> {
    let path = path(words)?;
    let with = words.need("with MEMBER")?;
    if with.keyword() != "with" {
        return Err(words.unexpected(&with, &["with"]));
    }
    let mut members: Vec<Word> = Vec::new();
    let mut next = Some(words.need("a member, or several with commas between them")?);
    while let Some(token) = next {
        let mut column = token.column;
        for part in token.text.trim_end_matches(',').split(',') {
            let member = name(Word { text: part.to_owned(), column }, ACCOUNT)?;
            if members.iter().any(|known| known.text == member.text) {
                return Err(twice(&member));
            }
            members.push(member);
            column += part.chars().count() + 1;
        }
        next = words.next();
        if next.is_none() && token.text.ends_with(',') {
            let found = format!("{} with nothing after it", quoted(&token.text));
            return Err(Mistake::new(token.column, found, "the name of a member after a comma"));
        }
        if let Some(more) = next.as_ref().filter(|_| !token.text.ends_with(',')) {
            return Err(words.unexpected(more, &["a comma before it"]));
        }
    }
    Ok(Share { path, members })
}
