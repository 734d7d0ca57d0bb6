//! `farebox push`: a book's lines as commands and usage of a server.

use crate::client::Connection;
use crate::output::{self, Failure};
use farebox_api::{Moment, WireCommand, Wish};
use farebox_core::calendar::Instant;
use farebox_core::metering::{Event, Value};
use farebox_scenario::prepare::{self, Prepared, StepAction, UsageLine};
use farebox_text::book::ItemKind;
use farebox_text::import::{Change, ImportSpec, Importer, Input, Origin, Sink, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Events in a request.
const EVENTS_EACH: usize = 1_000;
/// How often what a server is too busy for is asked again.
const TRIES: u32 = 30;

#[derive(clap::Args)]
pub struct Args {
    /// The book.
    book: PathBuf,
    /// The server, such as http://localhost:8080. What is sent is not encrypted.
    #[arg(long, value_name = "URL")]
    url: String,
    /// The access key of an operator.
    #[arg(long, value_name = "KEY", env = "FAREBOX_KEY", hide_env_values = true)]
    key: String,
    /// Afterwards, move the server's test clock to this moment.
    #[arg(long, value_name = "MOMENT")]
    until: Option<Timestamp>,
}

/// What became of a book.
#[derive(Debug, Default, Serialize)]
pub struct Pushed {
    /// Price lists that were published.
    price_lists: u64,
    /// Commands that were accepted, now or by an earlier push of the same book.
    commands: u64,
    /// Pieces of usage that were accepted.
    usage: u64,
    /// Pieces that the server had already.
    duplicates: u64,
    /// Pieces that cannot be billed as they are.
    quarantined: u64,
    /// What was refused.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    line: usize,
    code: String,
    detail: String,
}

pub fn run(args: &Args, as_json: bool) -> Result<ExitCode, Failure> {
    let prepared = prepare::load(&args.book)?;
    let pushed = push(&args.book, &prepared, &args.url, &args.key, args.until)?;
    if as_json {
        output::json(&pushed)?;
    } else {
        output::text(&pushed.lines())?;
    }
    Ok(if pushed.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Pushed {
    /// In words.
    pub fn lines(&self) -> Vec<String> {
        let refused = |one: &Refused| format!("line {}: refused: {}: {}", one.line, one.code, one.detail);
        let mut lines: Vec<String> = self.refused.iter().map(refused).collect();
        lines.push(format!(
            "{} price lists and {} commands accepted; usage: {} counted, {} kept until an order measures it, {} known already",
            self.price_lists, self.commands, self.usage, self.quarantined, self.duplicates
        ));
        lines
    }
}

/// Sends a book that was prepared.
///
/// # Errors
/// When the server cannot be reached, or answers what it should not.
pub fn push(
    path: &Path,
    prepared: &Prepared,
    url: &str,
    key: &str,
    until: Option<Timestamp>,
) -> Result<Pushed, Failure> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.ok_or_else(|| {
        Failure::Other(format!("the address {url}; expected one such as http://localhost:8080"))
    })?;
    let unreachable = |error| Failure::Other(format!("{url} cannot be reached: {error}"));
    let connection = Connection::open(address, Some(key)).map_err(unreachable)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = xxh3_64(format!("{:?}", prepared.book.items).as_bytes());
    let mut desk = Desk { connection, pushed: Pushed::default(), book: name, clock: None };
    desk.clock = desk.test_clock()?;
    for item in &prepared.book.items {
        if let ItemKind::Catalog(word) = &item.kind {
            desk.publish(item.line, &std::fs::read(folder.join(&word.text))?)?;
        }
    }
    let mut importer = Importer::new(1);
    let mut said = [Gather::default()];
    for step in &prepared.steps {
        if let Some(at) = step.at {
            desk.advance(at)?;
        }
        match &step.action {
            StepAction::Command(command) => {
                let Some(wire) = WireCommand::of(&command.action) else { continue };
                let is_dated = step.at.is_some_and(|at| at != command.effective_at);
                let effective = is_dated.then_some(Moment(command.effective_at));
                desk.command(step.line, &command.account, &Wish { command: wire, effective })?;
            }
            StepAction::Usage(line) => desk.usage(step.line, &events(line))?,
            StepAction::Void { source, id } => {
                let identity = json!({ "source": source, "id": id }).to_string();
                desk.ask(step.line, "/v1/usage/void", "application/json", None, identity.as_bytes())?;
            }
            StepAction::Import(spec, file) => {
                import(&mut importer, spec, file, &mut said)?;
                desk.usage(step.line, &std::mem::take(&mut said[0].events))?;
            }
            // A question changes nothing.
            StepAction::Query(_) => {}
        }
    }
    if let Some(until) = until {
        desk.advance(until)?;
    }
    Ok(desk.pushed)
}

/// Reads a usage file, with the same check for repeats over all files of the book.
fn import(
    importer: &mut Importer,
    spec: &ImportSpec,
    file: &Path,
    said: &mut [Gather; 1],
) -> Result<(), Failure> {
    importer.import(spec, Input::File(file.to_owned()), said, &|_| {})?;
    Ok(())
}

/// Sends a book's parts, one after another.
struct Desk {
    connection: Connection,
    pushed: Pushed,
    /// Tells this book from others.
    book: u64,
    /// Where the server's test clock stands; `None`: it has the system's.
    clock: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Clock {
    at: String,
    kind: String,
}

impl Clock {
    fn moment(&self) -> Result<Timestamp, Failure> {
        self.at.parse().map_err(|_| Failure::Other(format!("the server's clock says {}", self.at)))
    }
}

#[derive(Deserialize)]
struct Summary {
    accepted: u64,
    duplicates: u64,
    quarantined: u64,
    rejected: u64,
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    what: String,
    code: String,
    sentence: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl Desk {
    fn test_clock(&mut self) -> Result<Option<Timestamp>, Failure> {
        let (status, answer) = self.connection.get("/v1/clock")?;
        let clock: Clock = read(status, answer)?;
        Ok(if clock.kind == "test" { Some(clock.moment()?) } else { None })
    }

    fn advance(&mut self, until: Timestamp) -> Result<(), Failure> {
        if self.clock.is_none_or(|at| at >= until) {
            return Ok(());
        }
        let body = json!({ "until": until.to_string() }).to_string();
        let (status, answer) = self.connection.post("/v1/clock/advance", body.as_bytes())?;
        let clock: Clock = read(status, answer)?;
        self.clock = Some(clock.moment()?);
        Ok(())
    }

    fn publish(&mut self, line: usize, text: &[u8]) -> Result<(), Failure> {
        if self.ask(line, "/v1/catalogues", "application/toml", None, text)?.is_some() {
            self.pushed.price_lists += 1;
        } else if self.pushed.refused.last().is_some_and(|refused| refused.code == "catalogue-exists") {
            // By an earlier push, or somebody else.
            self.pushed.refused.pop();
        }
        Ok(())
    }

    fn command(&mut self, line: usize, account: &str, wish: &Wish) -> Result<(), Failure> {
        let body = serde_json::to_vec(wish).map_err(|error| Failure::Other(error.to_string()))?;
        let path = format!("/v1/accounts/{}/commands", escaped(account));
        // Pushed again, the same line of the same book is the same command.
        let key = format!("push-{:016x}-{line}", self.book);
        if self.ask(line, &path, "application/json", Some(&key), &body)?.is_some() {
            self.pushed.commands += 1;
        }
        Ok(())
    }

    fn usage(&mut self, line: usize, events: &[String]) -> Result<(), Failure> {
        for some in events.chunks(EVENTS_EACH) {
            let body = some.join("\n");
            let answer = self.ask(line, "/v1/usage", "application/x-ndjson", None, body.as_bytes())?;
            let Some(answer) = answer else { continue };
            let summary: Summary = read(200, &answer)?;
            self.pushed.usage += summary.accepted;
            self.pushed.duplicates += summary.duplicates;
            self.pushed.quarantined += summary.quarantined;
            if summary.rejected > 0 {
                for Reason { what, code, sentence } in summary.reasons {
                    self.pushed.refused.push(Refused { line, code, detail: format!("{what}: {sentence}") });
                }
            }
        }
        Ok(())
    }

    /// Asks for something; `None`: it was refused, which is noted.
    fn ask(
        &mut self,
        line: usize,
        path: &str,
        media: &str,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut headers = vec![("Content-Type", media)];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        for _ in 0..TRIES {
            let (status, answer) = self.connection.post_with(path, &headers, body)?;
            match status {
                200..=299 => return Ok(Some(answer.to_vec())),
                429 | 503 => {
                    let wait_s = self.connection.retry_after_s().unwrap_or(1).clamp(1, 60);
                    std::thread::sleep(Duration::from_secs(wait_s));
                }
                401 => return Err(Failure::Other("the server does not know the key".to_owned())),
                _ => {
                    let Problem { code, detail } = serde_json::from_slice(answer).unwrap_or_default();
                    self.pushed.refused.push(Refused { line, code, detail });
                    return Ok(None);
                }
            }
        }
        Err(Failure::Other(format!("the server was too busy for line {line}; push the book again")))
    }
}

fn read<'a, T: Deserialize<'a>>(status: u16, answer: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|_| {
        Failure::Other(format!("the server answers {status}: {}", String::from_utf8_lossy(answer)))
    })
}

/// A name in a path.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

/// The events of a line of usage.
fn events(line: &UsageLine) -> Vec<String> {
    let one = |index: u32| {
        let later = SignedDuration::from_secs(i64::from(line.every_s) * i64::from(index));
        let id = if line.times == 1 { line.id.clone() } else { format!("{}.{}", line.id, index + 1) };
        let attributes = line.attributes.iter().map(|(name, value)| (name.as_str(), Value::Text(value)));
        cloud_event(&Event {
            source: &line.source,
            id: &id,
            revision: line.revision,
            kind: &line.kind,
            account: &line.account,
            time: line.time + later,
            start: line.start.map(|start: Instant| start + later),
            attributes: attributes.collect(),
        })
    };
    (0..line.times).map(one).collect()
}

/// An event as CloudEvents have it.
fn cloud_event(event: &Event<'_>) -> String {
    let mut data = Map::new();
    for (name, value) in &event.attributes {
        let value = match value {
            Value::Text(text) => (*text).to_owned(),
            Value::Number(number) => number.to_string(),
        };
        data.insert((*name).to_owned(), value.into());
    }
    if let Some(start) = event.start {
        data.entry("start").or_insert_with(|| start.to_string().into());
    }
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.kind,
        "subject": event.account,
        "time": event.time.to_string(),
        "revision": event.revision,
        "data": data,
    })
    .to_string()
}

/// Gathers what usage files say. Where a later row changes what was said, the event is said again in a higher revision.
#[derive(Default)]
struct Gather {
    events: Vec<String>,
    revisions: HashMap<(String, String), u64>,
}

impl Sink for Gather {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        let name = (event.source.to_owned(), event.id.to_owned());
        match change {
            Change::Remove => *self.revisions.entry(name).or_insert(event.revision) += 1,
            Change::Add => {
                let revision = self.revisions.get(&name).copied().unwrap_or(0).max(event.revision);
                self.events.push(cloud_event(&Event { revision, ..event.clone() }));
            }
        }
        Verdict::Counted
    }
}
