//! Questions about what packages and plans bring.

use super::{Wrong, account, argument, group_of};
use crate::report;
use crate::source::Source;
use farebox_core::engine::{provided, provided_on};
use farebox_text::book::Word;

/// `provides ACCOUNT [on NAME=VALUE] [DATE]`
pub(super) fn provides<'a>(source: &dyn Source, words: &'a [Word]) -> Result<Vec<String>, Wrong<'a>> {
    let id = &account(source, words)?.head.id;
    let (group, catalogues) = (group_of(source, id), source.catalogues());
    if words.get(2).is_none_or(|word| word.text != "on") {
        return Ok(report::provides(&provided(group, catalogues, id, source.now())));
    }
    let word = argument(words, 3, "NAME=VALUE, such as application=shop")?;
    let Some((name, value)) = word.text.split_once('=') else {
        let expected = "NAME=VALUE, such as application=shop".to_owned();
        return Err((word, format!("\"{}\"", word.text), expected));
    };
    let on = |asked: &str| (asked == name).then_some(value);
    Ok(report::provides(&provided_on(group, catalogues, id, source.now(), on)))
}
