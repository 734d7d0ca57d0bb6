//! The steps of a book as a client of a service does them: each with a key, so that it can be tried again.

use farebox_scenario::prepare::{Step, StepAction, UsageLine};
use farebox_service::{Decided, Failed, Service};
use farebox_store::Answer;
use farebox_store::usage::{Attribute, Usage};
use jiff::{SignedDuration, Timestamp};
use std::sync::mpsc::channel;

fn key(index: usize) -> String {
    format!("step-{index}")
}

/// What was answered to a step, if it was.
pub fn outcome_of(service: &Service, index: usize) -> Result<Option<String>, String> {
    let answer = service.answer(&key(index)).map_err(|error| error.to_string())?;
    Ok(answer.map(|answer| String::from_utf8_lossy(&answer.bytes).into_owned()))
}

pub fn keep(service: &mut Service, index: usize, outcome: &str) {
    let (at, bytes) = (service.clock(), outcome.as_bytes().to_vec());
    service.keep_answer(Answer { key: key(index), wish: index as u64, at, bytes });
}

/// Does a step, durably: `ok`, or the code of the refusal. A step that was answered before is not done again.
pub fn play_step(service: &mut Service, index: usize, step: &Step) -> Result<String, String> {
    let outcome = play_step_until_committed(service, index, step)?;
    commit(service).map(|()| outcome)
}

/// Waits until all is durable.
pub fn commit(service: &mut Service) -> Result<(), String> {
    let (tell, told) = channel();
    service.commit_then(Box::new(move |kept| drop(tell.send(kept))));
    let kept = told.recv().map_err(|error| error.to_string())?;
    kept.map_err(|error| error.to_string())
}

/// The same; it is durable with the next commit.
pub fn play_step_until_committed(service: &mut Service, index: usize, step: &Step) -> Result<String, String> {
    if let Some(outcome) = outcome_of(service, index)? {
        return Ok(outcome);
    }
    let at = step.at.ok_or("a line without a date")?;
    service.advance(at).map_err(|failed| failed.to_string())?;
    decide_step(service, index, step, at)
}

/// Does a step of the clock's very moment together with those before it: nothing is durable yet.
pub fn play_with_others(service: &mut Service, index: usize, step: &Step) -> Result<String, String> {
    decide_step(service, index, step, service.clock())
}

pub fn decide_step(
    service: &mut Service,
    index: usize,
    step: &Step,
    at: Timestamp,
) -> Result<String, String> {
    let outcome = match &step.action {
        StepAction::Command(command) => {
            let decided = Decided { actor: "client", command: &format!("line {}", step.line), at };
            match service.execute(command, decided) {
                Ok(_) => "ok".to_owned(),
                Err(Failed::Refused(refusal)) => refusal.code().to_owned(),
                Err(failed) => return Err(failed.to_string()),
            }
        }
        StepAction::Usage(line) => {
            for usage in each(line) {
                service.receive(&usage).map_err(|error| error.to_string())?;
            }
            "ok".to_owned()
        }
        StepAction::Void { source, id } => {
            service.void(source, id).map_err(|error| error.to_string())?;
            "ok".to_owned()
        }
        StepAction::Import(..) | StepAction::Query(_) => return Err("a line that is no history's".to_owned()),
    };
    keep(service, index, &outcome);
    Ok(outcome)
}

pub fn each(line: &UsageLine) -> impl Iterator<Item = Usage> + '_ {
    let text = |(name, value): &(String, String)| (name.clone(), Attribute::Text(value.clone()));
    (0..line.times).map(move |index| {
        let later = SignedDuration::from_secs(i64::from(line.every_s) * i64::from(index));
        Usage {
            source: line.source.clone(),
            id: if line.times == 1 { line.id.clone() } else { format!("{}.{}", line.id, index + 1) },
            revision: line.revision,
            kind: line.kind.clone(),
            account: line.account.clone(),
            time: line.time + later,
            start: line.start.map(|start| start + later),
            attributes: line.attributes.iter().map(text).collect(),
        }
    })
}
