//! The tables of docs/operate.md are those of the code, and what deploy/ says is understood.

use crate::common::{farebox, is_that_of_the_code, stdout_of, text};
use farebox_server::metrics::described;
use serde_json::Value;

const PAGE: &str = "docs/operate.md";

fn settings() -> Vec<Value> {
    serde_json::from_str(&stdout_of(&["config", "--json"])).unwrap()
}

fn table_of_settings() -> String {
    let mut table =
        "| In a file | Flag | Variable | Default | Expected | |\n|---|---|---|---|---|---|\n".to_owned();
    for setting in settings() {
        let of = |name: &str| setting[name].as_str().unwrap_or_default().to_owned();
        let default = setting["default"].as_str().map(|default| format!("`{default}`")).unwrap_or_default();
        let [name, flag, variable, expected, meaning] =
            ["name", "flag", "variable", "expected", "meaning"].map(of);
        let row = format!("| `{name}` | `{flag}` | `{variable}` | {default} | {expected} | {meaning} |\n");
        table.push_str(&row);
    }
    table
}

fn table_of_metrics() -> String {
    let mut table = "| Metric | Kind | Labels | |\n|---|---|---|---|\n".to_owned();
    for (name, kind, labels, help) in described() {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    table
}

/// The page with another table under a heading.
fn with_table(page: &str, heading: &str, table: &str) -> String {
    let at = page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{PAGE} has no {heading}"));
    let start = at + page[at..].find("\n| ").unwrap() + 1;
    let end = start + page[start..].find("\n\n").unwrap() + 1;
    format!("{}{table}{}", &page[..start], &page[end..])
}

#[test]
fn the_tables_about_operation_are_those_of_the_code() {
    let page = with_table(&text(PAGE), "Configure", &table_of_settings());
    is_that_of_the_code(PAGE, &with_table(&page, "Metrics", &table_of_metrics()));
}

#[test]
fn what_is_deployed_is_understood() {
    let output = farebox(&["config", "--json", "--config", "deploy/farebox.toml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let settings = settings();
    let known: Vec<&str> = settings.iter().map(|setting| setting["variable"].as_str().unwrap()).collect();
    let mut named = 0;
    for file in ["deploy/farebox.service", "deploy/Dockerfile"] {
        for word in text(file).split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_')) {
            if word.starts_with("FAREBOX_") && word != "FAREBOX_" {
                assert!(known.contains(&word), "{file}: {word} is no variable");
                named += 1;
            }
        }
    }
    assert!(named >= 5, "{named}");
    let unit = text("deploy/farebox.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/farebox ")).unwrap();
    let arguments: Vec<&str> = start.split(' ').filter(|word| !word.starts_with('%')).collect();
    assert_eq!(arguments, ["serve", "--config"]);
}
