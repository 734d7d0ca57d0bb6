//! The OpenAPI document as a page to read: one file, without anything from elsewhere.

use serde_json::Value;
use std::fmt::Write;

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>Farebox API</title><style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
code, .path { font-family: ui-monospace, monospace; font-size: .92em; }
section { border-top: 1px solid var(--line); padding: .2rem 0 1rem; }
h2 { font-size: 1.1rem; margin: .8rem 0 .2rem; } h1 { margin-bottom: 0; }
.verb { display: inline-block; min-width: 4rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--soft); }
nav { columns: 2; } nav a { display: block; text-decoration: none; }
p { margin: .3rem 0; }
</style></head><body>
";

/// A text within the page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Text in which `backquotes` mark code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        match place % 2 {
            0 => html.push_str(&escaped(part)),
            _ => drop(write!(html, "<code>{}</code>", escaped(part))),
        }
    }
    html
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// What a schema is, in a few words, with links to those that have names.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = schema[choice].as_array() {
            return all.iter().map(form).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| format!("<code>{}</code>", escaped(&word.to_string())));
        return words.collect::<Vec<_>>().join(" or ");
    }
    if let Some(only) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&only.to_string()));
    }
    let types = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(all) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    match (schema.get("items"), schema.get("additionalProperties")) {
        (Some(items), _) => format!("{types} of {}", form(items)),
        (_, Some(of @ Value::Object(_))) => format!("{types} of {}", form(of)),
        _ => escaped(&types),
    }
}

fn fields(html: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|all| !all.is_empty()) else { return };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    html.push_str("<table>");
    for (name, field) in properties {
        let must = if required.contains(&Value::String(name.clone())) { "b" } else { "span" };
        let _ = write!(
            html,
            "<tr><td><{must}><code>{}</code></{must}></td><td>{}</td><td>{}</td></tr>",
            escaped(name),
            form(field),
            prose(text(field, "description"))
        );
    }
    html.push_str("</table>");
}

fn operation(html: &mut String, verb: &str, path: &str, described: &Value) {
    let id = escaped(text(described, "operationId"));
    let _ = write!(
        html,
        "<section id=\"{id}\"><h2><span class=\"verb\">{}</span> <span class=\"path\">{}</span></h2><p>{} {}</p>",
        verb.to_uppercase(),
        escaped(path),
        prose(text(described, "summary")),
        prose(text(described, "description"))
    );
    let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
    if !parameters.is_empty() {
        html.push_str("<table>");
        for one in &parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code></td><td>{}, {}</td><td>{}</td></tr>",
                escaped(text(one, "name")),
                escaped(text(one, "in")),
                form(&one["schema"]),
                prose(text(one, "description"))
            );
        }
        html.push_str("</table>");
    }
    for (media, content) in described["requestBody"]["content"].as_object().into_iter().flatten() {
        let _ = write!(html, "<p>Body: <code>{}</code>, {}</p>", escaped(media), form(&content["schema"]));
    }
    html.push_str("<table>");
    for (status, answer) in described["responses"].as_object().into_iter().flatten() {
        let content = answer["content"].as_object().and_then(|all| all.values().next());
        let schema = content.map(|content| &content["schema"]);
        let what = match schema {
            Some(schema) if schema["properties"]["items"].is_object() => {
                format!("page of {}", form(&schema["properties"]["items"]["items"]))
            }
            Some(schema) => form(schema),
            None => String::new(),
        };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{what}</td><td>{}</td></tr>",
            escaped(status),
            prose(text(answer, "description"))
        );
    }
    html.push_str("</table></section>\n");
}

/// The page of a document.
pub(crate) fn of(document: &Value) -> String {
    let mut html = HEAD.to_owned();
    let info = &document["info"];
    let _ = write!(
        html,
        "<h1>{} API</h1><p>{} Version {}. <a href=\"/v1/openapi.json\">OpenAPI</a></p><nav>",
        escaped(text(info, "title")),
        prose(text(info, "description")),
        escaped(text(info, "version"))
    );
    let operations = || {
        let paths = document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, verbs)| {
            verbs.as_object().into_iter().flatten().map(move |(verb, described)| (verb, path, described))
        })
    };
    for (verb, path, described) in operations() {
        let id = escaped(text(described, "operationId"));
        let _ = write!(html, "<a href=\"#{id}\"><code>{} {}</code></a>", verb.to_uppercase(), escaped(path));
    }
    html.push_str("</nav>\n");
    for (verb, path, described) in operations() {
        operation(&mut html, verb, path, described);
    }
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(
            html,
            "<section id=\"{0}\"><h2>{0}</h2><p>{1}</p>",
            escaped(name),
            prose(text(schema, "description"))
        );
        fields(&mut html, schema);
        if schema.get("properties").is_none() {
            let _ = write!(html, "<p>{}</p>", form(schema));
        }
        html.push_str("</section>\n");
    }
    html.push_str("</body></html>\n");
    html
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_has_every_route_and_nothing_from_elsewhere() {
        let page = super::of(&crate::document());
        for route in crate::routes() {
            assert!(page.contains(&format!("<section id=\"{}\">", route.id)), "{}", route.path);
        }
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "a link to nothing: {link}");
        }
        assert!(!page.contains("://"), "nothing from elsewhere");
        assert_eq!(super::prose("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
    }
}
