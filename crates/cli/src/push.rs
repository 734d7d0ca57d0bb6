//! `farebox push`: a book's lines as commands and usage of a server.

use crate::ask::{self, Said};
use crate::client::{Connection, escaped};
use crate::output::{self, Failure};
use farebox_api::{Moment, WireCommand, Wish};
use farebox_core::calendar::{Instant, show_local};
use farebox_core::engine::Command;
use farebox_core::metering::{Event, Value};
use farebox_scenario::golden;
use farebox_scenario::prepare::{self, Prepared, Step, StepAction, UsageLine};
use farebox_store::usage::PLACE;
use farebox_text::book::{ItemKind, written};
use farebox_text::import::{Change, ImportSpec, Importer, Input, Origin, Sink, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    /// Ask the book's questions, too, and compare the answers with those in the book. A test clock is moved to where a
    /// question asks about.
    #[arg(long)]
    check: bool,
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
    /// What was compared with the book, where it was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<Checked>,
}

/// How the server's answers and refusals compare with those of the book.
#[derive(Debug, Default, Serialize)]
struct Checked {
    /// Answers and refusals that the book has.
    compared: u64,
    /// What differs, ready to print.
    differences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Refused {
    line: usize,
    code: String,
    detail: String,
}

pub fn run(args: &Args, as_json: bool) -> Result<ExitCode, Failure> {
    let prepared = prepare::load(&args.book)?;
    let wish = To { url: &args.url, key: &args.key, until: args.until, check: args.check };
    let pushed = push(&args.book, &prepared, &wish)?;
    if as_json {
        output::json(&pushed)?;
    } else {
        output::text(&pushed.lines())?;
    }
    // A refusal that the book expects is none that anybody has to look at.
    let is_good = match &pushed.checked {
        None => pushed.refused.is_empty(),
        Some(checked) => checked.differences.is_empty(),
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Pushed {
    /// In words.
    pub fn lines(&self) -> Vec<String> {
        let refused = |one: &Refused| format!("line {}: refused: {}: {}", one.line, one.code, one.detail);
        let mut lines: Vec<String> = match &self.checked {
            None => self.refused.iter().map(refused).collect(),
            Some(checked) => checked.differences.clone(),
        };
        lines.push(format!(
            "{} price lists and {} commands accepted; usage: {} counted, {} in quarantine, {} known already",
            self.price_lists, self.commands, self.usage, self.quarantined, self.duplicates
        ));
        lines.extend(self.checked.as_ref().map(|checked| {
            let differ = checked.differences.iter().filter(|line| !line.starts_with(' ')).count();
            format!("{} answers compared, {differ} differ", checked.compared)
        }));
        lines
    }
}

/// Where a book is sent, and what is done there besides.
pub struct To<'a> {
    pub url: &'a str,
    pub key: &'a str,
    /// Afterwards, a test clock is moved to this moment.
    pub until: Option<Timestamp>,
    /// Whether the book's questions are asked, too.
    pub check: bool,
}

/// Sends a book that was prepared.
///
/// # Errors
/// When the server cannot be reached, or answers what it should not.
pub fn push(path: &Path, prepared: &Prepared, to: &To<'_>) -> Result<Pushed, Failure> {
    let connection = ask::connect(to.url, to.key)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = xxh3_64(format!("{:?}", prepared.book.items).as_bytes());
    let pushed = Pushed { checked: to.check.then(Checked::default), ..Pushed::default() };
    let mut desk = Desk { connection, pushed, book: name, clock: None };
    desk.clock = desk.test_clock()?;
    desk.check_clock(prepared, to.until)?;
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
                let Some(wish) = wish(step, command) else { continue };
                desk.command(step.line, &command.account, &wish)?;
            }
            StepAction::Usage(line) => {
                desk.usage(step.line, &events(line, (&prepared.book.file, step.line as u64)))?;
            }
            StepAction::Void { source, id } => {
                let identity = json!({ "source": source, "id": id }).to_string();
                desk.ask(step.line, "/v1/usage/void", "application/json", None, identity.as_bytes())?;
            }
            StepAction::Import(spec, file) => {
                import(&mut importer, spec, file, &mut said)?;
                desk.usage(step.line, &std::mem::take(&mut said[0].events))?;
            }
            // A question changes nothing.
            StepAction::Query(_) if !to.check => {}
            StepAction::Query(words) => {
                let found = desk.answer(&written(words), prepared.zone.name())?;
                desk.compare(prepared, step, &found);
            }
        }
        if let StepAction::Command(_) | StepAction::Usage(_) = &step.action {
            desk.compare_refusal(prepared, step);
        }
    }
    if let Some(until) = to.until {
        desk.advance(until)?;
    }
    Ok(desk.pushed)
}

/// A line's command as the server takes it.
fn wish(step: &Step, command: &Command) -> Option<Wish> {
    let wire = WireCommand::of(&command.action)?;
    let is_dated = step.at.is_some_and(|at| at != command.effective_at);
    Some(Wish { command: wire, effective: is_dated.then_some(Moment(command.effective_at)) })
}

/// Reads a usage file, with the same check for repeats over all files of the book.
fn import(
    importer: &mut Importer,
    spec: &ImportSpec,
    file: &Path,
    said: &mut [Gather; 1],
) -> Result<(), Failure> {
    said[0].file = spec.file.clone();
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

    /// Refuses what a test clock that is later would record at another time than the book says. What an earlier push of
    /// the same book has sent is not concerned.
    fn check_clock(&mut self, prepared: &Prepared, until: Option<Timestamp>) -> Result<(), Failure> {
        let Some(clock) = self.clock else { return Ok(()) };
        let shown = |at: Timestamp| show_local(&prepared.zone, at);
        if let Some(until) = until.filter(|until| *until < clock) {
            return Err(Failure::Other(format!(
                "--until {}: the server's test clock stands at {}; expected that moment or a later one; nothing was sent",
                shown(until),
                shown(clock)
            )));
        }
        let Some(first) = prepared.steps.iter().find_map(|step| step.at).filter(|first| *first < clock)
        else {
            return Ok(());
        };
        // Commands are sent in order: where the last one that is too late by now was sent, all before it were.
        let mut at = None;
        let dated = prepared.steps.iter().map(|step| {
            at = step.at.or(at);
            (at, step)
        });
        let before = dated.take_while(|(at, _)| at.is_none_or(|at| at < clock));
        let last = before.filter_map(|(_, step)| match &step.action {
            StepAction::Command(command) => Some((step.line, command, wish(step, command)?)),
            _ => None,
        });
        let Some((line, command, wish)) = last.last() else { return Ok(()) };
        if self.is_decided(line, &command.account, &wish)? {
            return Ok(());
        }
        Err(Failure::Other(format!(
            "the server's test clock stands at {}, and {} begins on {}: its lines would be recorded later than they say; \
             nothing was sent; expected a server whose clock is not later, such as a new one with --test-clock {first}",
            shown(clock),
            prepared.book.file,
            shown(first),
        )))
    }

    /// Whether a line's command was decided by an earlier push. No group has the version that is asked for, so that
    /// nothing is decided now.
    fn is_decided(&mut self, line: usize, account: &str, wish: &Wish) -> Result<bool, Failure> {
        let (path, key, body) = self.command_of(line, account, wish)?;
        // No group has come to this version.
        let never = format!("\"{}\"", i64::MAX);
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", &key), ("If-Match", &never)];
        for _ in 0..TRIES {
            let (status, answer) = self.connection.post_with(&path, &headers, &body)?;
            match status {
                429 | 503 => self.wait(),
                401 => return Err(unknown_key()),
                _ => {
                    let Problem { code, .. } = serde_json::from_slice(answer).unwrap_or_default();
                    return Ok(code != "version-changed");
                }
            }
        }
        Err(self.too_busy(line))
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
        let (path, key, body) = self.command_of(line, account, wish)?;
        if self.ask(line, &path, "application/json", Some(&key), &body)?.is_some() {
            self.pushed.commands += 1;
        }
        Ok(())
    }

    /// Where a line's command is sent, its `Idempotency-Key` and its body.
    fn command_of(
        &self,
        line: usize,
        account: &str,
        wish: &Wish,
    ) -> Result<(String, String, Vec<u8>), Failure> {
        let body = serde_json::to_vec(wish).map_err(|error| Failure::Other(error.to_string()))?;
        let path = format!("/v1/accounts/{}/commands", escaped(account));
        // Pushed again, the same line of the same book is the same command.
        let key = format!("push-{:016x}-{line}", self.book);
        Ok((path, key, body))
    }

    /// The lines of a question's answer, or of why there is none.
    fn answer(&mut self, question: &str, zone: &str) -> Result<Vec<String>, Failure> {
        let path = ask::path(question, Some(zone), false);
        for _ in 0..TRIES {
            let (status, answer) = self.connection.get(&path)?;
            if status == 429 || status == 503 {
                self.wait();
                continue;
            }
            let problem = match ask::answered(status, answer) {
                Said::Answer(lines) => return Ok(lines),
                Said::Problem(problem) => problem,
            };
            let until = problem.until.as_ref().and_then(|until| until.parse::<Timestamp>().ok());
            match until.filter(|until| self.clock.is_some_and(|at| at < *until)) {
                Some(until) => self.advance(until)?,
                None => return Ok(problem.sentence().lines().map(str::to_owned).collect()),
            }
        }
        Err(Failure::Other(format!("the server was too busy for \"{question}\"; push the book again")))
    }

    /// Compares an answer with that of the book.
    fn compare(&mut self, prepared: &Prepared, step: &Step, found: &[String]) {
        let item = &prepared.book.items[step.item];
        let expected: Vec<String> = match &item.kind {
            ItemKind::Query(query) => query.expected.clone(),
            ItemKind::Command(command) => command.expected.iter().map(|one| one.text.clone()).collect(),
            _ => return,
        };
        let Some(checked) = &mut self.pushed.checked else { return };
        checked.compared += u64::from(!expected.is_empty() || !found.is_empty());
        checked.differences.extend(golden::differences(&prepared.book.file, item.line, &expected, found));
    }

    /// Compares what became of a line with what the book says of it.
    fn compare_refusal(&mut self, prepared: &Prepared, step: &Step) {
        let refused = self.pushed.refused.iter().filter(|one| one.line == step.line);
        let found: Vec<String> = refused.map(|one| format!("{}: {}", one.code, one.detail)).collect();
        self.compare(prepared, step, &found);
    }

    /// Waits for as long as a busy server has asked for.
    fn wait(&self) {
        let wait_s = self.connection.retry_after_s().unwrap_or(1).clamp(1, 60);
        std::thread::sleep(Duration::from_secs(wait_s));
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
                429 | 503 => self.wait(),
                401 => return Err(unknown_key()),
                _ => {
                    let Problem { code, detail } = serde_json::from_slice(answer).unwrap_or_default();
                    self.pushed.refused.push(Refused { line, code, detail });
                    return Ok(None);
                }
            }
        }
        Err(self.too_busy(line))
    }

    fn too_busy(&self, line: usize) -> Failure {
        Failure::Other(format!("the server was too busy for line {line}; push the book again"))
    }
}

fn unknown_key() -> Failure {
    Failure::Other("the server does not know the key".to_owned())
}

fn read<'a, T: Deserialize<'a>>(status: u16, answer: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|_| {
        Failure::Other(format!("the server answers {status}: {}", String::from_utf8_lossy(answer)))
    })
}

/// The events of a line of usage.
fn events(line: &UsageLine, place: (&str, u64)) -> Vec<String> {
    let one = |index: u32| {
        let later = SignedDuration::from_secs(i64::from(line.every_s) * i64::from(index));
        let id = if line.times == 1 { line.id.clone() } else { format!("{}.{}", line.id, index + 1) };
        let attributes = line.attributes.iter().map(|(name, value)| (name.as_str(), Value::Text(value)));
        let event = Event {
            source: &line.source,
            id: &id,
            revision: line.revision,
            kind: &line.kind,
            account: &line.account,
            time: line.time + later,
            start: line.start.map(|start: Instant| start + later),
            attributes: attributes.collect(),
        };
        cloud_event(&event, place)
    };
    (0..line.times).map(one).collect()
}

/// An event as CloudEvents have it, its attributes in their order, and with where it was read.
fn cloud_event(event: &Event<'_>, place: (&str, u64)) -> String {
    let mut data: Vec<(&str, String)> = Vec::with_capacity(event.attributes.len() + 2);
    data.extend(event.attributes.iter().map(|(name, value)| match value {
        Value::Text(text) => (*name, (*text).to_owned()),
        Value::Number(number) => (*name, number.to_string()),
    }));
    let (file, line) = place;
    data.push((PLACE, format!("{}:{line}", file.rsplit('/').next().unwrap_or(file))));
    let start = event.start.map(|start| format!("\"start\":\"{start}\",")).unwrap_or_default();
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let data: Vec<String> =
        data.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
    format!(
        "{{\"specversion\":\"1.0\",\"id\":{},\"source\":{},\"type\":{},\"subject\":{},\"time\":\"{}\",\"revision\":{},{start}\"data\":{{{}}}}}",
        text(event.id),
        text(event.source),
        text(event.kind),
        text(event.account),
        event.time,
        event.revision,
        data.join(",")
    )
}

/// Gathers what usage files say. Where a later row changes what was said, the event is said again in a higher revision.
#[derive(Default)]
struct Gather {
    /// Which file is read.
    file: String,
    events: Vec<String>,
    revisions: HashMap<(String, String), u64>,
}

impl Sink for Gather {
    fn usage(&mut self, event: &Event<'_>, change: Change, origin: Origin) -> Verdict {
        let name = (event.source.to_owned(), event.id.to_owned());
        match change {
            Change::Remove => *self.revisions.entry(name).or_insert(event.revision) += 1,
            Change::Add => {
                let revision = self.revisions.get(&name).copied().unwrap_or(0).max(event.revision);
                let event = Event { revision, ..event.clone() };
                self.events.push(cloud_event(&event, (&self.file, origin.line)));
            }
        }
        Verdict::Counted
    }
}
