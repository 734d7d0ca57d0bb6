//! What must hold for any bytes: the body of a fuzz target, and of an ordinary test.

use super::{Answer, Book, ItemKind, parse, rewrite};

/// Reads the bytes as a book. If they are one, the answers that it expects change no byte of it,
/// and other answers are read back as they were written.
///
/// # Panics
/// When any of that fails; that is what a fuzzer looks for.
pub fn book(bytes: &[u8]) {
    let Ok(book) = parse("fuzz.book", bytes) else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { panic!("a book that is not UTF-8") };
    let same: Vec<Answer> =
        (0..book.items.len()).map(|item| Answer { item, lines: expected(&book, item) }).collect();
    assert_eq!(rewrite(text, &book, &same), text, "the same answers change the book");

    // Lines that could be taken for something else, and some of the book's own.
    let own = text.split('\n').find(|line| (4..999).contains(&line.len())).unwrap_or("own").trim_end();
    for lines in [vec![], vec!["x"], vec!["$ y", "", "# z", "| |", "  ! a", "2020-01-01 b", own]] {
        let answers: Vec<Answer> = (0..book.items.len()).map(|item| other(&book, item, &lines)).collect();
        let rewritten = rewrite(text, &book, &answers);
        let again = parse("fuzz.book", rewritten.as_bytes()).expect("a rewritten book is a book");
        assert_eq!(again.items.len(), book.items.len());
        for answer in answers {
            assert_eq!(expected(&again, answer.item), answer.lines);
        }
        let plain: Vec<Answer> =
            (0..book.items.len()).map(|item| Answer { item, lines: expected(&book, item) }).collect();
        let back = rewrite(&rewritten, &again, &plain);
        assert_eq!(parse("fuzz.book", back.as_bytes()).map(|book| book.items.len()), Ok(book.items.len()));
    }
}

/// What an item expects, as an answer says it.
fn expected(book: &Book, item: usize) -> Vec<String> {
    match &book.items[item].kind {
        ItemKind::Query(query) => query.expected.clone(),
        ItemKind::Command(command) => command.expected.iter().map(|expected| expected.text.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Another answer: these lines for a query, the first that is not empty for a command.
fn other(book: &Book, item: usize, lines: &[&str]) -> Answer {
    let lines = match &book.items[item].kind {
        ItemKind::Query(_) => lines.iter().map(|line| (*line).to_owned()).collect(),
        ItemKind::Command(_) => lines.first().map(|line| (*line).to_owned()).into_iter().collect(),
        _ => Vec::new(),
    };
    Answer { item, lines }
}
