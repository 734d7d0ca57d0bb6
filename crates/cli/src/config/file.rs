//! The file of settings: TOML, one field for each.

use super::SETTINGS;
use farebox_text::diagnostic::{Diagnostic, nearest};
use toml::de::{DeTable, DeValue};

/// What a file says of a setting.
pub(super) struct Said {
    pub name: &'static str,
    pub value: String,
    /// `farebox.toml:3`
    pub place: String,
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// Reads a file; what is wrong with it is added to the mistakes.
pub(super) fn read(file: &str, bytes: &[u8], mistakes: &mut Vec<Diagnostic>) -> Vec<Said> {
    let text = match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
        Ok(text) => text,
        Err(_) => {
            let (found, expected) = ("it is not UTF-8".to_owned(), "a file saved as UTF-8".to_owned());
            let file = file.to_owned();
            mistakes.push(Diagnostic { file, line: 0, column: 0, found, expected, suggestion: None });
            return Vec::new();
        }
    };
    let mut wrong = |at: usize, found: String, expected: &str, suggestion: Option<String>| {
        let (line, column) = place(text, at);
        let (file, expected) = (file.to_owned(), expected.to_owned());
        mistakes.push(Diagnostic { file, line, column, found, expected, suggestion });
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        let (found, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
        wrong(at, format!("not TOML: {found}"), expected, None);
    }
    let mut said = Vec::new();
    for (key, value) in tree.get_ref().iter() {
        let name = key.get_ref().as_ref();
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let suggestion = nearest(&name.replace('-', "_"), SETTINGS.iter().map(|setting| setting.name));
            let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
            let found = format!("unknown setting {}", quoted(name));
            wrong(key.span().start, found, &format!("one of {}", names.join(", ")), suggestion);
            continue;
        };
        let at = value.span();
        let written = match value.get_ref() {
            DeValue::Integer(number) if setting.is_number && number.radix() == 10 => {
                Some(number.as_str().to_owned())
            }
            DeValue::String(text) if !setting.is_number => Some(text.to_string()),
            DeValue::Datetime(moment) if setting.name == "test_clock" => Some(moment.to_string()),
            _ => None,
        };
        match written.filter(|written| (setting.is_good)(written)) {
            Some(value) => {
                let place = format!("{file}:{}", place(text, key.span().start).0);
                said.push(Said { name: setting.name, value, place });
            }
            None => {
                let found = text.get(at.clone()).unwrap_or_default().lines().next().unwrap_or_default();
                wrong(at.start, format!("{name} = {found}"), setting.expected, None);
            }
        }
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    said
}

/// Line and column of a byte, from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        read("farebox.toml", text.as_bytes(), &mut mistakes);
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_of_a_file_is_told() {
        let names = "data, listen, metrics_listen, test_clock, requests_per_minute, body_memory_mib, \
                     groups_in_memory, patience_seconds, usage_months, otlp_endpoint, log_level, log_form";
        let text = "# Ours.\ndata = 7\nmetrics-listen = \"127.0.0.1:9\"\nelephant = 1\n\
                    requests_per_minute = \"20\"\nlog_level = \"loud\"\n";
        assert_eq!(
            mistakes(text),
            [
                "farebox.toml:2:8: data = 7; expected a folder, such as \"/var/lib/farebox\"".to_owned(),
                format!(
                    "farebox.toml:3:1: unknown setting \"metrics-listen\"; expected one of {names}; did you mean \
                     \"metrics_listen\"?"
                ),
                format!("farebox.toml:4:1: unknown setting \"elephant\"; expected one of {names}"),
                "farebox.toml:5:23: requests_per_minute = \"20\"; expected a whole number from 1 to 4294967295"
                    .to_owned(),
                "farebox.toml:6:13: log_level = \"loud\"; expected \"error\", \"warn\", \"info\", \"debug\" or \
                 \"trace\""
                    .to_owned(),
            ]
        );
        let broken = mistakes("data = \"a\"\nlisten = \n");
        assert!(broken[0].starts_with("farebox.toml:2:10: not TOML: "), "{broken:?}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "a \"b\" \\ c\u{7}é";
        let mut wrong = Vec::new();
        let said = read("x", format!("data = {}\n", quoted(text)).as_bytes(), &mut wrong);
        assert_eq!((said[0].value.as_str(), wrong.len()), (text, 0));
    }
}
