//! Every command that a page shows is run, and every link leads to a file.

use crate::common::{files, root, stdout_of, text, words};

/// The commands of a page's `console` blocks, each with the output shown.
fn commands(page: &str) -> Vec<(String, Vec<String>)> {
    let text = text(page);
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => found.push((command.to_owned(), Vec::new())),
            None => {
                let (_, output) = found.last_mut().unwrap_or_else(|| panic!("{page}: output of nothing"));
                output.push(line.to_owned());
            }
        }
    }
    found
}

/// The pages that show commands: documents, not the scenarios and sources, which have tests of
/// their own.
fn pages() -> Vec<String> {
    files().into_iter().filter(|path| path.ends_with(".md")).collect()
}

fn run(command: &str) -> String {
    let command = command.replace("cargo run --release -- ", "farebox ");
    let words = words(&command);
    let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    match words[0].as_str() {
        "farebox" => stdout_of(&arguments),
        "cat" => arguments.iter().map(|file| text(file)).collect(),
        // Run by whoever reads this test's result.
        "scripts/test" => String::new(),
        other => panic!("a page shows \"{other}\", which this test cannot run"),
    }
}

/// What of a command's output a page shows: all, nothing, or the lines before an ellipsis.
fn fits(shown: &[String], printed: &[&str]) -> bool {
    let shown: Vec<&str> = shown.iter().map(|line| line.trim_end()).collect();
    match shown.split_last() {
        None => true,
        Some((&"…", first)) => printed.starts_with(first),
        Some(_) => shown == printed,
    }
}

#[test]
fn commands_print_what_pages_show() {
    let update = std::env::var_os("FAREBOX_UPDATE").is_some();
    let mut wrong = Vec::new();
    for page in pages() {
        for (command, shown) in commands(&page) {
            let printed = run(&command);
            let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
            if fits(&shown, &printed) {
                continue;
            }
            if update {
                let mut now = printed[..printed.len().min(shown.len())].to_vec();
                match shown.last().is_some_and(|line| line == "…") {
                    true => *now.last_mut().unwrap() = "…",
                    false => now = printed,
                }
                let block = |output: &str| format!("$ {command}\n{output}\n");
                let updated = text(&page).replacen(&block(&shown.join("\n")), &block(&now.join("\n")), 1);
                std::fs::write(root().join(&page), updated).unwrap();
            } else {
                wrong.push(format!("{page}: $ {command}\n{}\n", printed.join("\n")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these commands print something else (FAREBOX_UPDATE=1 writes it):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_readme_reaches_a_bill_early() {
    let readme = text("README.md");
    let before: Vec<&str> =
        readme.lines().take_while(|line| !line.trim_start().starts_with("Total ")).collect();
    assert!(before.len() < 60, "the first bill ends on line {}", before.len() + 1);
    for command in ["cargo run --release -- bill examples/contact-centre/january.book", "scripts/test"] {
        assert!(readme.contains(command), "README.md lacks {command}");
    }
}

#[test]
fn links_lead_to_files() {
    let mut wrong = Vec::new();
    for page in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        let content = text(&page);
        let prose = content.split("```").step_by(2).collect::<String>();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if link.contains("://") || file.is_empty() {
                continue;
            }
            if !folder.join(file).exists() {
                wrong.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

#[test]
fn the_start_page_leads_to_every_page() {
    let start = text("docs/README.md");
    let pages = files().into_iter().filter_map(|path| path.strip_prefix("docs/").map(str::to_owned));
    for page in pages.filter(|page| page.ends_with(".md") && page != "README.md") {
        assert!(start.contains(&format!("]({page}")), "docs/README.md does not lead to {page}");
    }
}
