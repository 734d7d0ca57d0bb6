//! What time does: what is due, what ran, what failed, and trying that again.

use crate::Clock;
use crate::answer::{Answer, Reply};
use crate::asked::{Asked, missing};
use crate::commands::zone_of;
use crate::operation::{Body, Described, OPERATOR, Operation, Parameter};
use crate::standing::STAFF;
use farebox_api::{self as wire, Moment, Name, NewRetry, Problem, read_body};
use farebox_core::calendar::show_local;
use farebox_core::engine::Duty;
use farebox_service::{Due, Hour, Ran, Service, Sum, Undone};
use std::fmt;
use std::str::FromStr;

/// The words of [`Duty::name`], in order.
const DUTIES: &[&str] =
    &["holds", "coupons", "terms", "held-money", "charges", "packages", "recognition", "lifecycle"];

pub(crate) fn operations() -> Vec<Operation> {
    let duty = || Parameter::one_of("duty", DUTIES, "Only this.");
    let account = || Parameter::text::<Name>("account", "Only for the group of this account.");
    vec![
        Operation::get(
            "/v1/schedule",
            "show-schedule",
            "How far what is due is done, what is next, and how many groups fail.",
        )
        .by(STAFF)
        .one::<wire::ScheduleState>()
        .asks(show),
        Operation::get("/v1/schedule/due", "list-due", "What is due next for each group, in order of time.")
            .by(STAFF)
            .takes(duty())
            .page::<wire::Due>()
            .asks(due),
        Operation::get("/v1/schedule/runs", "list-runs", "The last 1,000 runs, the latest first.")
            .by(STAFF)
            .takes(duty())
            .takes(account())
            .numbered::<wire::Run>()
            .asks(runs),
        Operation::get(
            "/v1/schedule/hours",
            "list-run-hours",
            "What was due in each hour of the last 400 days, and what became of it, the latest hour first.",
        )
        .by(STAFF)
        .takes(duty())
        .takes(Parameter::text::<Moment>("from", "Only what was due in the hour of this moment, or later."))
        .takes(Parameter::text::<Moment>("until", "Only what was due in hours that began before."))
        .numbered::<wire::RunHour>()
        .asks(hours),
        Operation::get(
            "/v1/schedule/failed",
            "list-failed-runs",
            "What was due and could not be done, by group; what is due later for these groups waits.",
        )
        .by(STAFF)
        .page::<wire::FailedRun>()
        .asks(failed),
        Operation::post(
            "/v1/schedule/retry",
            "retry-failed-runs",
            "Tries again what could not be done, for one group or for all, and does what waited for it.",
        )
        .by(OPERATOR)
        .body(Body::Json(Described::of::<NewRetry>()))
        .refuses(&[(404, "unknown-account")])
        .one::<wire::Retried>()
        .asks(retry),
    ]
}

/// That a command waits for something that was due before and could not be done.
pub(crate) fn waits(service: &mut Service, undone: &Undone, account: &str) -> Answer {
    let zone = zone_of(service, account);
    let (duty, at) = (undone.due.duty.name(), show_local(&zone, undone.due.at));
    let why = match service.payer_of(account) == account {
        true => undone.why.sentence(&zone),
        false => undone.why.sentence_to_member(&zone),
    };
    let detail = format!(
        "what was due on {at} ({duty}) could not be done: {} ({why}); nothing can be decided before it is",
        undone.why.code(),
    );
    let problem = Problem::new(Undone::CODE, 409, detail);
    Answer::of(&Problem { account: Some(account.to_owned()), ..problem })
}

fn show(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let at = service.clock();
    let lag = match asked.clock {
        Clock::System => u64::try_from(jiff::Timestamp::now().duration_since(at).as_millis()).ok(),
        Clock::Test => None,
    };
    // What the last commit became is known.
    service.has_landed();
    let runs = service.runs().totals().iter().map(|sum| sum.done).sum();
    let schedule = service.schedule();
    let failing_since = schedule.undone().map(|undone| undone.due.at).min();
    Ok(Reply::json(
        200,
        wire::ScheduleState {
            at: at.to_string(),
            lag_millis: lag,
            failing: schedule.undone().len() as u64,
            failing_since: failing_since.map(|at| at.to_string()),
            groups: schedule.len() as u64,
            next: schedule.from(None).next().map(shown),
            runs,
        },
    ))
}

fn shown(due: &Due) -> wire::Due {
    wire::Due { at: due.at.to_string(), duty: due.duty.name(), account: due.payer.clone() }
}

/// A place in what is due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place(Due);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.0.at, self.0.duty.name(), self.0.payer)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().ok_or(());
        let (at, duty, payer) = (next()?, next()?, next()?);
        let at = at.parse().map_err(drop)?;
        Ok(Place(Due { at, duty: duty_of(duty).ok_or(())?, payer: payer.to_owned() }))
    }
}

fn duty_of(word: &str) -> Option<Duty> {
    Duty::ALL.into_iter().find(|duty| duty.name() == word)
}

fn due(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let after: Option<Place> = asked.after()?;
    let only = asked.query("duty");
    let all = service.schedule().from(after.as_ref().map(|Place(due)| due));
    let all = all.filter(|due| only.is_none_or(|only| due.duty.name() == only));
    asked.page(all.map(|due| (Place(due.clone()), due)), shown)
}

/// Places in lists of which the latest is first. A cursor has 18 digits.
const LAST: u64 = 999_999_999_999_999_999;

fn runs(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    service.has_landed();
    let payer = asked.query("account").map(|account| service.payer_of(account).to_owned());
    let only = asked.query("duty");
    let is_asked_for = |ran: &&Ran| {
        only.is_none_or(|only| ran.due.duty.name() == only)
            && payer.as_ref().is_none_or(|payer| ran.due.payer == *payer)
    };
    let all = service.runs().recent().filter(is_asked_for);
    asked.page(all.map(|ran| (LAST - ran.number, ran)), |ran| wire::Run {
        number: ran.number,
        duty: ran.due.duty.name(),
        account: ran.due.payer.clone(),
        due_at: ran.due.at.to_string(),
        done_at: ran.done.to_string(),
        micros: ran.micros,
        facts: ran.facts,
        lines: ran.lines,
    })
}

fn hours(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let only = asked.query("duty");
    let moment = |name: &str| asked.parameter::<Moment>(name).map(|Moment(at)| at);
    let (from, until) = (moment("from"), moment("until"));
    service.has_landed();
    let failing: Vec<Hour> =
        service.schedule().undone().map(|undone| Hour::of(undone.due.at, undone.due.duty)).collect();
    let is_asked_for = |(hour, _): &(Hour, &Sum)| {
        only.is_none_or(|only| hour.duty.name() == only)
            && from.is_none_or(|from| hour.start() >= Hour::of(from, hour.duty).start())
            && until.is_none_or(|until| hour.start() < until)
    };
    let place = |hour: Hour| {
        let seconds = u64::try_from(hour.start().as_second()).unwrap_or_default();
        LAST - (seconds / 3_600 * 10 + hour.duty as u64)
    };
    let all = service.runs().hours().filter(is_asked_for).map(|(hour, sum)| (place(hour), (hour, sum)));
    asked.page(all, |(hour, sum)| wire::RunHour {
        hour: hour.start().to_string(),
        duty: hour.duty.name(),
        done: sum.done,
        failing: failing.iter().filter(|one| **one == hour).count() as u64,
        refused: sum.refused,
        facts: sum.facts,
        lines: sum.lines,
        micros: sum.micros,
        first_done_at: sum.first.map(|at| at.to_string()),
        last_done_at: sum.last.map(|at| at.to_string()),
    })
}

fn failed(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let after: Option<String> = asked.after()?;
    let (limit, mut all) = (asked.limit(), Vec::new());
    for undone in service.schedule().undone() {
        let is_before = after.as_ref().is_some_and(|after| undone.due.payer <= *after);
        if !is_before && all.len() <= limit {
            all.push(undone.clone());
        }
    }
    let all: Vec<(String, wire::FailedRun)> = all
        .into_iter()
        .map(|Undone { due, why, since, tried, tries }| {
            let detail = why.sentence(&zone_of(service, &due.payer));
            let failed = wire::FailedRun {
                account: due.payer.clone(),
                duty: due.duty.name(),
                due_at: due.at.to_string(),
                code: why.code().to_owned(),
                detail,
                since: since.to_string(),
                tried_at: tried.to_string(),
                tries,
            };
            (due.payer, failed)
        })
        .collect();
    asked.page(all.into_iter(), |one| one)
}

fn retry(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let NewRetry { account } = read_body(&asked.body).map_err(Answer::mistaken)?;
    let account = account.map(|Name(account)| account);
    if let Some(account) = &account
        && service.group_of(account)?.is_none()
    {
        return Err(missing("account", account));
    }
    let payer = account.as_ref().map(|account| service.payer_of(account).to_owned());
    let is_asked_for = |undone: &&Undone| payer.as_ref().is_none_or(|payer| undone.due.payer == *payer);
    let failing = |service: &mut Service| service.schedule().undone().filter(is_asked_for).count() as u64;
    let tried = failing(service);
    service.try_again(account.as_deref())?;
    let failing = failing(service);
    Ok(Reply::json(200, wire::Retried { tried, mended: tried.saturating_sub(failing), failing }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duty_has_its_word() {
        assert_eq!(Duty::ALL.map(Duty::name), *DUTIES);
    }

    #[test]
    fn a_place_in_what_is_due_is_read_as_it_is_written() {
        let due =
            Due { at: "2026-02-01T00:00:00.5Z".parse().unwrap(), duty: Duty::HeldMoney, payer: "a".into() };
        let place = Place(due).to_string();
        assert_eq!(place, "2026-02-01T00:00:00.5Z held-money a");
        assert_eq!(place.parse::<Place>().ok().map(|place| place.to_string()), Some(place));
        for wrong in ["", "2026-02-01T00:00:00.5Z", "2026-02-01T00:00:00.5Z rent a", "today charges a"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
