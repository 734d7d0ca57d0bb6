//! The audit trail: who wished what, when, and what followed.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::operation::{Operation, Parameter};
use crate::standing::STAFF;
use farebox_api as wire;
use farebox_api::command::COMMANDS;
use farebox_core::engine::Duty;
use farebox_service::{DESK, Service};
use farebox_store::Entry;
use serde_json::Value;
use std::sync::LazyLock;

/// Entries that are read together.
const TOGETHER: usize = 500;
/// The most entries that are looked at for one page: past that it is shorter, and the next one goes on.
const LOOKED_AT_MAX: usize = 5_000;

pub(crate) fn operations() -> Vec<Operation> {
    let of_account = Operation::get(
        "/v1/accounts/{account}/audit",
        "list-audit",
        "Every decision about its group: who wished what, when, and what followed.",
    )
    .takes(Parameter::text::<wire::Name>("about", "Only what has a fact about this account of the group."));
    let of_desk = Operation::get(
        "/v1/audit",
        "list-deeds",
        "What was done about no account: price lists, keys, usage mended, discarded or taken back.",
    );
    let asked = |operation: Operation| {
        operation
            .by(STAFF)
            .takes(Parameter::text::<wire::Text>("actor", "Only what this key has wished, or `clock`."))
            .takes(Parameter::one_of("command", &WORDS, "Only this command, or duty of the clock."))
            .takes(Parameter::text::<wire::Moment>("from", "Only what was recorded at this moment or later."))
            .takes(Parameter::text::<wire::Moment>("to", "Only what was recorded before this moment."))
            .numbered::<wire::AuditEntry>()
    };
    vec![
        asked(of_account).asks(|service, asked| {
            asked.account(service)?;
            audit(service, asked, asked.path("account"))
        }),
        asked(of_desk).asks(|service, asked| audit(service, asked, DESK)),
    ]
}

/// What is done besides the commands about accounts.
const DEEDS: &[&str] = &[
    "account-erased",
    "discard-usage",
    "erase-account",
    "make-key",
    "mend-usage",
    "publish-catalogue",
    "revoke-key",
    "void-usage",
];

/// Every word that an entry can have.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| [COMMANDS, DEEDS, &Duty::ALL.map(Duty::name)].concat());

/// The word of a command, as it was written; of the clock, its duty.
fn word(command: &str) -> String {
    let read: Option<Value> = serde_json::from_str(command).ok();
    read.and_then(|read| Some(read["command"].as_str()?.to_owned())).unwrap_or_else(|| command.to_owned())
}

/// Whether an entry is one that is asked for.
fn is_asked(asked: &Asked, entry: &Entry) -> bool {
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let is_about = |account: &str| {
        let facts = entry.facts.iter().map(wire::AuditFact::of);
        facts.into_iter().any(|fact| fact.account.as_deref() == Some(account))
    };
    asked.query("actor").is_none_or(|actor| entry.actor == actor)
        && asked.query("command").is_none_or(|wished| word(&entry.command) == wished)
        && moment("from").is_none_or(|from| entry.recorded_at >= from)
        && moment("to").is_none_or(|to| entry.recorded_at < to)
        && asked.query("about").is_none_or(is_about)
}

fn audit(service: &mut Service, asked: &Asked, of: &str) -> Result<Reply, Answer> {
    let mut after: u64 = asked.after()?.unwrap_or_default();
    let mut items: Vec<wire::AuditEntry> = Vec::new();
    for _ in 0..LOOKED_AT_MAX / TOGETHER {
        let entries = service.entries(of, after, TOGETHER)?;
        let is_last = entries.len() < TOGETHER;
        for (version, entry) in entries {
            after = version;
            if !is_asked(asked, &entry) {
                continue;
            }
            if items.len() == asked.limit() {
                let next = items.last().map(|last| last.version.to_string());
                return Ok(asked.part(items, next));
            }
            items.push(wire::AuditEntry {
                version,
                recorded_at: entry.recorded_at.to_string(),
                effective_at: entry.effective_at.to_string(),
                actor: entry.actor,
                command: entry.command,
                facts: entry.facts.iter().map(wire::AuditFact::of).collect(),
            });
        }
        if is_last {
            return Ok(asked.part(items, None));
        }
    }
    Ok(asked.part(items, Some(after.to_string())))
}
