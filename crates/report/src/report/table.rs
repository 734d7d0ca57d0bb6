//! Aligned columns of text, by the width that a terminal gives each character.

use unicode_width::UnicodeWidthStr;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// By the decimal point, as figures are.
    Point,
}

/// Whether a character is no part of a line that one reads: it would begin another line, or show what stands there otherwise
/// than it is. Such texts come from usage, whose sender could write rows of a bill with them.
fn is_illegible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces what is no part of a line.
fn make_legible(text: &mut String) {
    if text.contains(is_illegible) {
        *text = text.replace(is_illegible, "\u{fffd}");
    }
}

/// Lines of an answer, each of which is one.
pub fn legible(mut lines: Vec<String>) -> Vec<String> {
    lines.iter_mut().for_each(make_legible);
    lines
}

/// Rows as lines, two spaces between columns; the last column of a row is not padded.
pub fn lines(rows: &[Vec<String>], columns: &[Align]) -> Vec<String> {
    let mut rows = rows.to_vec();
    rows.iter_mut().flatten().for_each(make_legible);
    for (index, _) in columns.iter().enumerate().filter(|(_, align)| **align == Align::Point) {
        let decimals = |cell: &str| cell.find('.').map_or(0, |point| cell.len() - point);
        let most = rows.iter().filter_map(|row| row.get(index)).map(|cell| decimals(cell)).max();
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(index)) {
            cell.push_str(&" ".repeat(most.unwrap_or(0) - decimals(cell)));
        }
    }
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    rows.iter().map(|row| line(row, columns, &widths)).collect()
}

fn line(row: &[String], columns: &[Align], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, ((cell, align), width)) in row.iter().zip(columns).zip(widths).enumerate() {
        if index > 0 {
            text.push_str("  ");
        }
        let padding = " ".repeat(width - cell.width());
        match align {
            Align::Left => {
                text.push_str(cell);
                text.push_str(&padding);
            }
            Align::Right | Align::Point => {
                text.push_str(&padding);
                text.push_str(cell);
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// A text in lines of at most `width`, broken between words, each after `indent`.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(format!("{indent}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(format!("{indent}{line}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let shown = lines(&[row(["座席", "1.00"]), row(["Seat", "10.00"])], &[Align::Left, Align::Right]);
        assert_eq!(shown, ["座席   1.00", "Seat  10.00"]);
    }

    #[test]
    fn figures_stand_under_each_other_by_their_point() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "993.5483871"]), row(["b", "0.005"]), row(["c", "1993.55"])];
        let shown = lines(&rows, &[Align::Left, Align::Point]);
        assert_eq!(shown, ["a   993.5483871", "b     0.005", "c  1993.55"]);
    }

    #[test]
    fn long_sentences_are_wrapped() {
        assert_eq!(wrap("one two three four", 9, "  "), ["  one two", "  three", "  four"]);
    }
}
