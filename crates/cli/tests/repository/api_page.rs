//! docs/api.md is made from the code: every route with its roles, every form of what is sent and answered; so are the
//! tables of docs/access.md.

use crate::common::{is_that_of_the_code, text};
use farebox_api::Role;
use farebox_server::{access, document, routes};
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: &str = "docs/api.md";
const ACCESS: &str = "docs/access.md";

fn roles(roles: Option<&[Role]>) -> String {
    match roles {
        None => "anyone".to_owned(),
        Some(roles) if roles.len() == Role::ALL.len() => "every role".to_owned(),
        Some(roles) => roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
    }
}

/// A link to the form of a value, or its kind.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return match is_command(name) {
            true => format!("[{name}](commands.md)"),
            false => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(all) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return all.iter().map(form).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(" or ")
            .replace('"', "");
    }
    let kind = |kind: &str| {
        match kind {
            "string" => "text",
            "integer" => "number",
            "boolean" => "truth value",
            other => other,
        }
        .to_owned()
    };
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("array of {}", form(&schema["items"])),
        Value::String(one) if one == "object" => match &schema["additionalProperties"] {
            of @ Value::Object(_) => format!("object of {}", form(of)),
            _ => "object".to_owned(),
        },
        Value::String(one) => kind(one),
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(kind).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

/// Commands and their values have a page of their own.
fn is_command(name: &str) -> bool {
    let page = text("docs/commands.md");
    name == "Command" || name.ends_with("Command") || page.contains(&format!("\n| {name} |"))
}

fn prose(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn page() -> String {
    let document = document();
    let mut page = "\
# The API

Every route, and the form of what is sent and answered. [The server](server.md) says how it behaves, [access](access.md) who may do what. The same as OpenAPI 3.1 is served at `/v1/openapi.json`, to read at `/docs`. This page is made from the code by `FAREBOX_UPDATE=1 cargo test -p farebox --test repository`.

| Route | Roles | |
|---|---|---|
"
    .to_owned();
    for route in routes() {
        let described = &document["paths"][route.path][route.method.to_lowercase()];
        let query = described["parameters"].as_array().into_iter().flatten();
        let query = query.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
        let query: Vec<&str> = query.filter(|name| !["limit", "after"].contains(name)).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let answer =
            described["responses"].as_object().unwrap().iter().find(|(status, _)| status.starts_with('2'));
        let content = answer.and_then(|(_, answer)| answer["content"].as_object()?.values().next());
        let schema = content.map_or(&Value::Null, |content| &content["schema"]);
        let answers = match (&schema["properties"]["items"]["items"], &schema["$ref"]) {
            (item @ Value::Object(_), _) => format!(" Page of {}.", form(item)),
            (_, Value::String(_)) => format!(" {}.", form(schema)),
            _ => String::new(),
        };
        let body = &described["requestBody"]["content"]["application/json"]["schema"];
        let body = if body.is_null() { String::new() } else { format!(" Takes {}.", form(body)) };
        page.push_str(&format!(
            "| `{} {}{query}` | {} | {}{body}{answers} |\n",
            route.method,
            route.path,
            roles(route.roles),
            prose(route.summary),
        ));
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if is_command(name) {
            continue;
        }
        let described = schema["description"].as_str().unwrap_or_default();
        assert!(!described.is_empty(), "{name} is not described");
        page.push_str(&format!("\n## {name}\n\n{}\n", prose(described)));
        let Some(fields) = schema["properties"].as_object() else {
            page.push_str(&format!("\n{}\n", form(schema)));
            continue;
        };
        page.push_str("\n| Field | Form | Meaning |\n|---|---|---|\n");
        for (field, value) in fields {
            let says = value["description"].as_str().unwrap_or_default();
            page.push_str(&format!("| `{field}` | {} | {} |\n", form(value), prose(says)));
        }
    }
    page
}

#[test]
fn the_page_of_the_api_is_that_of_the_code() {
    is_that_of_the_code(PAGE, &page());
}

#[test]
fn the_table_of_commands_and_roles_is_that_of_the_code() {
    let page = text(ACCESS);
    let rows: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for (word, roles) in access::commands() {
        let mark = |role: Role| if role == Role::Operator || roles.contains(&role) { "yes" } else { "" };
        let marks: Vec<&str> = Role::ALL.into_iter().map(mark).collect();
        let row = format!("| `{word}` | {} |", marks.join(" | "));
        assert!(rows.contains(row.as_str()), "{ACCESS} lacks the row:\n{row}");
    }
}
