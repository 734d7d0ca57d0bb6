//! Every command of every book goes over the wire and comes back the same.

use crate::common::{files_below, root, text};
use farebox_api::command::{COMMANDS, DATED};
use farebox_api::{Moment, WireCommand, Wish};
use farebox_core::budget::BudgetScope;
use farebox_core::calendar::Instant;
use farebox_core::engine::{Action, Command, budgets, licences, terms, wallet};
use farebox_core::money::Exact;
use farebox_scenario::prepare::{StepAction, prepare};
use std::collections::BTreeSet;

/// Sends a command as JSON text, and reads it again.
fn over_the_wire(command: &Command, now: Instant) -> (&'static str, Command) {
    let wire = WireCommand::of(&command.action).unwrap_or_else(|| panic!("nobody wishes {command:?}"));
    let word = wire.word();
    let effective = (command.effective_at != now).then_some(Moment(command.effective_at));
    let wish = Wish { command: wire, effective };
    let json = serde_json::to_string(&wish).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["command"], word);
    let read = Wish::read(json.as_bytes()).unwrap_or_else(|wrong| panic!("{json}: {wrong:#?}"));
    assert_eq!(read, wish);
    let back = read.to_core(command.account.clone(), now);
    (word, back.unwrap_or_else(|wrong| panic!("{json}: {wrong:#?}")))
}

/// Commands of the folder's books, each with the moment of its line.
fn commands_of(path: &str) -> Vec<(Instant, Command)> {
    let file = root().join(path);
    // Some scenarios show mistakes; their books have no commands.
    let Ok(prepared) = prepare(path, text(path).as_bytes(), file.parent().unwrap()) else {
        return Vec::new();
    };
    let commands = prepared.steps.into_iter().filter_map(|step| match (step.at, step.action) {
        (Some(at), StepAction::Command(command)) => Some((at, *command)),
        _ => None,
    });
    commands.collect()
}

/// Wishes that no book of the repository has.
fn by_hand() -> Vec<Action> {
    let amount = Exact::parse("12.5", 10).unwrap();
    vec![
        Action::Budgets(budgets::Action::Set {
            name: "all".into(),
            amount,
            scope: BudgetScope::Project("night shift".into()),
            alerts: vec![1000.try_into().unwrap()],
        }),
        Action::Licences(licences::Action::Use {
            application: "support".into(),
            holder: "Ann@Example.com ".into(),
            way: "web".into(),
            licence: Some("agent".into()),
            change: licences::Change::Failed,
        }),
        Action::Terms(terms::Action::AutoRenew { subscription: "seats".into(), limit: None }),
        Action::Wallet(wallet::Action::WriteOff {
            month: "2026-02-01".parse().unwrap(),
            amount: Some(amount),
            reason: "bankrupt".into(),
        }),
    ]
}

#[test]
fn every_command_of_every_book_is_the_same_over_the_wire() {
    let mut seen = BTreeSet::new();
    let mut compared = 0;
    let mut books = files_below("scenarios", "test");
    books.extend(files_below("examples", "book"));
    for path in &books {
        for (at, command) in commands_of(path) {
            let (word, back) = over_the_wire(&command, at);
            assert_eq!(back, command, "{path}");
            assert!(command.effective_at == at || DATED.contains(&word), "{path}: {word} is dated");
            seen.insert(word);
            compared += 1;
        }
    }
    assert!(compared > 1000, "only {compared} commands in {} books", books.len());
    let at: Instant = "2026-02-03T08:00:00Z".parse().unwrap();
    for action in by_hand() {
        let command = Command { account: "acme".into(), effective_at: at, action };
        let (word, back) = over_the_wire(&command, at);
        assert_eq!(back, command);
        seen.insert(word);
    }
    let all: BTreeSet<&str> = COMMANDS.iter().copied().collect();
    assert_eq!(seen, all, "left: commands that were sent; right: those there are");
}
