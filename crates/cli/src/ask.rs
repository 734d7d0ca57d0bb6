//! `farebox ask`: a question to a server, answered as a book answers it.

use crate::client::{Connection, escaped};
use crate::output::{self, Failure};
use serde::{Deserialize, Serialize};
use std::io;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// The question, in quotes: 'bill acme 2026-01 --explain'.
    question: String,
    /// The server, such as http://localhost:8080. What is sent is not encrypted.
    #[arg(long, value_name = "URL")]
    url: String,
    /// An access key that may see what the question is about.
    #[arg(long, value_name = "KEY", env = "FAREBOX_KEY", hide_env_values = true)]
    key: String,
    /// The wall clock of dates; that of the account which pays when left out.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Of a month that is not over, what it has come to by now.
    #[arg(long)]
    so_far: bool,
}

/// A question and its answer on the wire.
#[derive(Serialize)]
struct Answered<'a> {
    question: &'a str,
    lines: Vec<String>,
}

pub fn run(args: &Args, as_json: bool) -> Result<ExitCode, Failure> {
    let mut connection = connect(&args.url, &args.key)?;
    let path = path(&args.question, args.zone.as_deref(), args.so_far);
    let (status, answer) = connection.get(&path)?;
    let lines = match answered(status, answer) {
        Said::Answer(lines) => lines,
        Said::Problem(problem) => return Err(Failure::Other(problem.sentence())),
    };
    if as_json {
        output::json(&Answered { question: &args.question, lines })?;
    } else {
        output::text(&lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects to a server.
///
/// # Errors
/// What is wrong with the address, or that nobody answers there.
pub fn connect(url: &str, key: &str) -> Result<Connection, Failure> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.ok_or_else(|| {
        Failure::Other(format!("the address {url}; expected one such as http://localhost:8080"))
    })?;
    let unreachable = |error: io::Error| Failure::Other(format!("{url} cannot be reached: {error}"));
    Connection::open(address, Some(key)).map_err(unreachable)
}

/// The address of a question's answer.
pub fn path(question: &str, zone: Option<&str>, so_far: bool) -> String {
    let zone = zone.map(|zone| format!("&zone={}", escaped(zone))).unwrap_or_default();
    let so_far = if so_far { "&so-far=true" } else { "" };
    format!("/v1/answers?question={}{zone}{so_far}", escaped(question))
}

/// What a server says to a question.
pub enum Said {
    Answer(Vec<String>),
    Problem(Box<Problem>),
}

/// Why a server does not do something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub code: String,
    pub detail: String,
    /// From when on it can be asked.
    pub until: Option<String>,
    pub mistakes: Vec<Mistake>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mistake {
    found: String,
    expected: String,
}

impl Problem {
    /// All of it, for people.
    pub fn sentence(&self) -> String {
        if self.mistakes.is_empty() {
            return format!("{}: {}", self.code, self.detail);
        }
        let each =
            self.mistakes.iter().map(|Mistake { found, expected }| format!("{found}; expected {expected}"));
        each.collect::<Vec<_>>().join("\n")
    }
}

/// Reads the answer to a question.
pub fn answered(status: u16, answer: &[u8]) -> Said {
    let text = String::from_utf8_lossy(answer);
    if status == 200 {
        return Said::Answer(text.lines().map(str::to_owned).collect());
    }
    let other = || Problem { code: status.to_string(), detail: text.into_owned(), ..Problem::default() };
    Said::Problem(Box::new(serde_json::from_slice(answer).unwrap_or_else(|_| other())))
}
