//! Random histories on a server that is killed, against the oracle and against the book played by itself.

use crate::books::{asked_by_itself, open, same_answers, same_rows};
use crate::client::{Asked, Client, Tally};
use crate::compare::{self, Came};
use crate::histories::check::{self, Wrong, number_of};
use crate::histories::dice::Dice;
use crate::histories::show;
use crate::histories::world::{World, worlds};
use farebox_api::{Balance, Moment, WireCommand, Wish, bill_head};
use farebox_core::account::Account;
use farebox_oracle::history::Line;
use farebox_scenario::prepare::{Prepared, Step, StepAction, UsageLine};
use farebox_server::parse_all;
use farebox_service::{Groups, verify};
use farebox_store::usage::PLACE;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Other seeds than those of the other tests.
const FIRST: u64 = 4_000_000;
/// Around every so many requests the server is killed.
const EVERY: u64 = 40;
/// Histories between looks at how often servers were killed.
const TOGETHER: u64 = 8;

#[test]
fn random_histories_come_to_what_the_oracle_says_though_the_server_is_killed() {
    let wanted = number_of("FAREBOX_KILLS").unwrap_or(40);
    let first = number_of("FAREBOX_KILLS_FIRST").unwrap_or(FIRST);
    let worlds = worlds("crashes");
    let (tally, oracle) = (Mutex::new(Tally::default()), Mutex::new(compare::Tally::default()));
    // What is asked when, and when a server dies, is chance also where a history is tried again with fewer lines.
    let tries = AtomicU64::new(first);
    let (mut seed, mut histories) = (first, 0);
    while tally.lock().unwrap().kills < wanted {
        check::holds(&worlds, seed..seed + TOGETHER, &|world, lines| {
            let dice = Dice::new(tries.fetch_add(1, Ordering::Relaxed));
            let mut compared = compare::Tally::default();
            let (kills, result) = crash_and_compare(world, lines, dice, &mut compared);
            tally.lock().unwrap().add(&kills);
            oracle.lock().unwrap().add(&compared);
            result
        });
        seed += TOGETHER;
        histories += TOGETHER;
    }
    let (tally, oracle) = (tally.into_inner().unwrap(), oracle.into_inner().unwrap());
    eprintln!("{histories} histories: {tally}\n{oracle}");
    assert!(tally.unanswered() * 4 > tally.kills, "too few of the kills hit a request: {tally}");
}

/// Plays a history on a server that is killed now and then, and compares all that came of it.
fn crash_and_compare(
    world: &World,
    lines: &[Line],
    mut dice: Dice,
    compared: &mut compare::Tally,
) -> (Tally, Result<(), Wrong>) {
    let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let book = servers.path().join("random.book");
    std::fs::write(&book, show::book(world, lines)).unwrap();
    let Some((prepared, until, answers)) = asked_by_itself(&book, ours.path(), true) else {
        return (Tally::default(), Err(Wrong::Broken("no book".to_owned())));
    };
    let is_ended_kindly = dice.once_in(2);
    let mut client = Client::new(servers.path(), dice, EVERY, u64::MAX);
    let mut compare = |client: &mut Client<'_>| -> Result<(), Wrong> {
        let fails = |what: String| Wrong::Fails(format!("{what}\n"));
        let said = play(client, world, &prepared, until).map_err(fails)?;
        let seen = look(client, &prepared).map_err(fails)?;
        same_answers(client.server(), prepared.zone.name(), &answers).map_err(fails)?;
        client.end(is_ended_kindly);
        check_store(client, &ours, &servers, &prepared, &seen).map_err(fails)?;
        let mut groups = Groups::of(Box::new(open(servers.path()))).unwrap();
        groups.load_all().map_err(|error| fails(error.to_string()))?;
        let accounts: Vec<&Account> = groups.iter().flat_map(|group| group.iter()).collect();
        compare::against(world, lines, &Came { accounts, said, frozen: None }, until, compared)
    };
    let result = compare(&mut client);
    (client.tally, result)
}

/// Sends a book line by line; answers the code of each refusal.
fn play(
    client: &mut Client<'_>,
    world: &World,
    prepared: &Prepared,
    until: Timestamp,
) -> Result<Vec<Option<String>>, String> {
    for file in &world.files {
        let body = std::fs::read(world.folder.join(file)).unwrap();
        let (kind, path, media) = ("price list", "/v1/catalogues".to_owned(), "application/toml");
        let (status, answer) = client.ask(&Asked { kind, path, media, key: None, body });
        let code = code_of(&answer);
        // It may have been kept though nobody heard of it.
        if status != 201 && code.as_deref() != Some("catalogue-exists") {
            return Err(format!("{file}: {status} {code:?}"));
        }
    }
    let mut clock = Timestamp::MIN;
    let mut said = Vec::with_capacity(prepared.steps.len());
    for step in &prepared.steps {
        let at = step.at.ok_or("a line without a date")?;
        advance(client, &mut clock, at)?;
        said.push(play_step(client, step, at)?);
    }
    advance(client, &mut clock, until)?;
    Ok(said)
}

fn code_of(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer["code"].as_str().map(str::to_owned)
}

fn post(kind: &'static str, path: &str, key: Option<String>, body: &Value) -> Asked {
    let (path, body) = (path.to_owned(), body.to_string().into_bytes());
    Asked { kind, path, media: "application/json", key, body }
}

fn advance(client: &mut Client<'_>, clock: &mut Timestamp, until: Timestamp) -> Result<(), String> {
    if *clock < until {
        let body = json!({ "until": until.to_string() });
        let (status, answer) = client.ask(&post("settlement", "/v1/clock/advance", None, &body));
        if status != 200 {
            return Err(format!("the clock to {until}: {status} {}", String::from_utf8_lossy(&answer)));
        }
        *clock = until;
    }
    Ok(())
}

fn play_step(client: &mut Client<'_>, step: &Step, at: Timestamp) -> Result<Option<String>, String> {
    let (line, text) = (step.line, |answer: &[u8]| String::from_utf8_lossy(answer).into_owned());
    match &step.action {
        StepAction::Command(command) => {
            let wire = WireCommand::of(&command.action).ok_or(format!("line {line} is no command"))?;
            let effective = (command.effective_at != at).then_some(Moment(command.effective_at));
            let body = serde_json::to_value(Wish { command: wire, effective }).unwrap();
            let path = format!("/v1/accounts/{}/commands", command.account);
            let (status, answer) = client.ask(&post("command", &path, Some(format!("line-{line}")), &body));
            match status {
                200 => Ok(None),
                400..=499 => Ok(Some(code_of(&answer).ok_or(text(&answer))?)),
                _ => Err(format!("line {line}: {status} {}", text(&answer))),
            }
        }
        StepAction::Usage(usage) => {
            let (status, answer) = {
                let (kind, path) = ("usage", "/v1/usage".to_owned());
                client.ask(&Asked {
                    kind,
                    path,
                    media: "application/json",
                    key: None,
                    body: events(usage, line),
                })
            };
            let counts: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let sum = ["accepted", "duplicates", "quarantined", "rejected"]
                .map(|name| counts[name].as_u64().unwrap_or_default());
            if status != 200 || sum.iter().sum::<u64>() != u64::from(usage.times) {
                return Err(format!("line {line}: {status} {}", text(&answer)));
            }
            Ok(None)
        }
        StepAction::Void { source, id } => {
            let body = json!({ "source": source, "id": id });
            let (status, answer) = client.ask(&post("usage", "/v1/usage/void", None, &body));
            if status == 200 { Ok(None) } else { Err(format!("line {line}: {status} {}", text(&answer))) }
        }
        StepAction::Import(..) | StepAction::Query(_) => Err("a line that is no history's".to_owned()),
    }
}

/// A line of usage as CloudEvents, its attributes in their order.
fn events(line: &UsageLine, number: usize) -> Vec<u8> {
    assert_eq!(line.times, 1, "a history says each event by itself");
    let mut data: Vec<(&str, String)> =
        line.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    data.push((PLACE, format!("random.book:{number}")));
    let data: Vec<String> =
        data.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    let mut event = json!({
        "specversion": "1.0", "source": line.source, "id": line.id, "revision": line.revision,
        "type": line.kind, "subject": line.account, "time": line.time.to_string(),
    });
    if let Some(start) = line.start {
        event["start"] = start.to_string().into();
    }
    let event = event.to_string();
    format!("{},\"data\":{{{}}}}}", event.strip_suffix('}').unwrap(), data.join(",")).into_bytes()
}

/// What a client sees of each account in the end: its bills and its balance.
type Seen = Vec<(String, Value, Value)>;

fn look(client: &mut Client<'_>, prepared: &Prepared) -> Result<Seen, String> {
    let server = client.server();
    let mut seen = Vec::new();
    for account in prepared.accounts.keys() {
        let (status, bills) = server.get(&format!("/v1/accounts/{account}/bills?limit=1000"));
        let (other, balance) = server.get(&format!("/v1/accounts/{account}/balance"));
        match (status, other) {
            (200, 200) => seen.push((account.clone(), bills["items"].clone(), balance)),
            // It was never opened: the line was refused.
            (404, 404) => {}
            _ => return Err(format!("{account}: {status} {bills}, {other} {balance}")),
        }
    }
    Ok(seen)
}

/// Looks at the store that the server left: whole, with the rows of the book, and what was seen of it.
fn check_store(
    client: &Client<'_>,
    ours: &tempfile::TempDir,
    servers: &tempfile::TempDir,
    prepared: &Prepared,
    seen: &Seen,
) -> Result<(), String> {
    let mut wrong = Vec::new();
    let store = open(servers.path());
    let catalogues = parse_all(&store).map_err(|error| error.to_string())?;
    verify(&store, &catalogues, &mut |finding| wrong.push(format!("{}: {}", finding.place, finding.found)))
        .map_err(|error| error.to_string())?;
    drop(store);
    if !wrong.is_empty() {
        return Err(format!("after {}:\n{}", client.tally, wrong.join("\n")));
    }
    same_rows("random.book", ours.path(), servers.path(), prepared)?;
    let mut groups = Groups::of(Box::new(open(servers.path()))).map_err(|error| error.to_string())?;
    groups.load_all().map_err(|error| error.to_string())?;
    for account in groups.iter().flat_map(|group| group.iter()) {
        let name = &account.head.id;
        let Some((_, bills, balance)) = seen.iter().find(|(seen, ..)| seen == name) else {
            return Err(format!("{name} was not seen"));
        };
        let heads = account.bills.values().map(|bill| bill_head(&account.head, bill));
        let heads = serde_json::to_value(heads.collect::<Vec<_>>()).unwrap();
        let has = serde_json::to_value(Balance::of(account)).unwrap();
        if (&heads, &has) != (bills, balance) {
            return Err(format!("{name}: seen {bills} {balance}\nkept {heads} {has}"));
        }
    }
    Ok(())
}
