//! The questions of books, `bill acme 2026-01 --explain` and the like, answered with the same text.
//!
//! What is about one account is answered at once. What takes long is gathered in parts, so that the engine has time for
//! others in between: the events behind a line, and all that is about everyone.

use crate::access::Holder;
use crate::accounts::TEXT;
use crate::answer::{Answer, Reply};
use crate::asked::{Asked, account_of_line, missing};
use crate::engine::Engine;
use crate::guard::not_allowed;
use crate::operation::{BOOKKEEPERS, Form, Operation, Parameter, ParameterForm, READERS};
use crate::standing::STAFF;
use axum::response::{IntoResponse, Response};
use farebox_api::{self as wire, FieldMistake, Problem};
use farebox_core::account::Group;
use farebox_core::bill::Line;
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::engine::{Catalogues, Late, Unrouted, is_behind, unrouted};
use farebox_core::metering::{Change, Event, Metering, Problem as Unbilled, Value};
use farebox_report::{
    self as report, EventBehind, InQuarantine, Quarantine, Receivables, Source, Subject, Totals, When, Wrong,
};
use farebox_service::{Known, Place, Service};
use farebox_store::Seen;
use farebox_store::usage::PLACE;
use farebox_text::book::{Word, question};
use farebox_text::diagnostic::nearest;
use farebox_text::import::Summary;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most characters of a question.
const CHARS_MAX: usize = 1_000;
/// How many of the events behind a line are shown, as in a book.
const EVENTS_SHOWN: usize = 20;
/// Events, or pieces in quarantine, that are looked at in one part.
const LOOKED_AT_EACH: usize = 5_000;
/// Accounts that are looked at in one part.
const ACCOUNTS_EACH: usize = 100;
/// Accounts among which may be what somebody meant.
const NAMES_MAX: usize = 1_000;

pub(crate) fn operations() -> Vec<Operation> {
    let says = "The question in at most 1000 characters, such as `bill acme 2026-01 --explain`; docs/book.md has all.";
    let question = Parameter {
        name: "question",
        says,
        required: true,
        value: ParameterForm::Pattern {
            pattern: "^[^\\x00-\\x08\\x0a-\\x1f\\x7f]{1,1000}$",
            expected: "a question in 1 to 1000 characters, such as bill acme 2026-01 --explain",
            check: |text| {
                (1..=CHARS_MAX).contains(&text.chars().count())
                    && !text.contains(|letter: char| letter.is_ascii_control() && letter != '\t')
            },
        },
    };
    let zone = "The wall clock of its dates; that of the account which pays when left out, or UTC.";
    let so_far = "`true`: where it is about a month that is not over, as that stands now.";
    vec![
        Operation::get(
            "/v1/answers",
            "ask-question",
            "Answers a question as a book does, with the same text. A question about everyone is for those who may ask for such lists.",
        )
        .by(READERS)
        .takes(question)
        .takes(Parameter::text::<wire::ZoneName>("zone", zone))
        .takes(Parameter::one_of("so-far", &["true", "false"], so_far))
        .refuses(&[(404, "unknown-account"), (404, "unknown-line"), (409, "not-yet"), (422, "out-of-range")])
        .answers(200, Form::Text(TEXT))
        .handled(|engine, asked| Box::pin(answers(engine, asked))),
    ]
}

async fn answers(engine: Engine, asked: Arc<Asked>) -> Response {
    match answer(&engine, &asked).await {
        Ok(mut lines) => {
            lines.push(String::new());
            Reply::text(TEXT, lines.join("\n"), None).into_response(None)
        }
        Err(response) => response,
    }
}

async fn answer(engine: &Engine, asked: &Arc<Asked>) -> Result<Vec<String>, Response> {
    let text = asked.query("question").unwrap_or_default();
    let words = question(text).map_err(|wrong| {
        mistaken((wrong.column, wrong.found.replace("$", "question"), wrong.expected.replace("$ ", "")))
    });
    let words: Arc<[Word]> = words.map_err(Answer::into_response)?.into();
    let subject = report::subject(&words).map_err(|wrong| mistaken_at(wrong).into_response())?;
    let mut gathered = Gathered::default();
    match subject {
        Subject::Account(_) if is_about(&words, "lifecycle") || is_about(&words, "upcoming") => {
            cut(engine, asked, &words, &mut gathered).await?;
        }
        Subject::Account(_) => {}
        Subject::Line(word) => events_behind(engine, asked, &words, &word.text, &mut gathered).await?,
        Subject::Everyone => everyone(engine, asked, &words, &mut gathered).await?,
    }
    let own = asked.clone();
    part(engine, move |service| answer_now(service, &own, &words, gathered)).await
}

/// Does a part of the work with the service.
async fn part<T: Send + 'static>(
    engine: &Engine,
    work: impl FnOnce(&mut Service) -> Result<T, Answer> + Send + 'static,
) -> Result<T, Response> {
    match engine.question(work).await {
        Ok(done) => done.map_err(Answer::into_response),
        Err(unavailable) => Err(unavailable.into_response()),
    }
}

/// What was gathered for an answer.
#[derive(Default)]
struct Gathered {
    events: Vec<EventBehind>,
    count: u64,
    totals: Totals,
    receivables: Receivables,
    quarantine: InQuarantine,
    /// Counters that are cut where the answer divides them.
    metering: Option<Metering>,
}

/// What a service has of one account and those of its group, or of all.
struct View<'s> {
    asked: &'s Asked,
    group: Option<&'s Group>,
    /// The account that pays, and the caller may see it.
    payer: Option<String>,
    catalogues: &'s Catalogues,
    metering: Cow<'s, Metering>,
    late: Late,
    at: Instant,
    zone: Zone,
    gathered: Gathered,
}

impl Source for View<'_> {
    fn zone(&self) -> &Zone {
        &self.zone
    }

    fn now(&self) -> Instant {
        self.at
    }

    fn catalogues(&self) -> &Catalogues {
        self.catalogues
    }

    fn group_of(&self, account: &str) -> Option<&Group> {
        self.group.filter(|group| group.get(account).is_some())
    }

    fn metering(&self, _: &str) -> &Metering {
        self.gathered.metering.as_ref().unwrap_or(&self.metering)
    }

    fn late_of(&self, _: &str) -> Late {
        self.late.clone()
    }

    fn sees(&self, account: &str) -> bool {
        self.asked.own_tree().is_none() || self.payer.as_deref() == Some(account)
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }

    fn events_behind(&self, _: &Line, _: usize) -> Result<(Vec<EventBehind>, u64), String> {
        Ok((self.gathered.events.clone(), self.gathered.count))
    }

    fn totals(&self) -> Result<Totals, String> {
        Ok(self.gathered.totals.clone())
    }

    fn receivables(&self) -> Result<Receivables, String> {
        Ok(self.gathered.receivables.clone())
    }

    fn quarantine(&self) -> Result<InQuarantine, String> {
        Ok(self.gathered.quarantine.clone())
    }

    fn imports(&self) -> Result<Vec<(String, Summary)>, String> {
        Err("a server is sent events, and knows no files".to_owned())
    }
}

fn is_about(words: &[Word], question: &str) -> bool {
    words.first().is_some_and(|word| word.text == question)
}

/// What a question is about, as the service has it; refused where the caller may not see it, as if it were not there.
fn view<'s>(
    service: &'s mut Service,
    asked: &'s Asked,
    words: &[Word],
    gathered: Gathered,
) -> Result<View<'s>, Answer> {
    static NONE: std::sync::LazyLock<Metering> = std::sync::LazyLock::new(Metering::default);
    let zone = asked.parameter::<wire::ZoneName>("zone").map(|zone| zone.0);
    let (kind, word, name) = match report::subject(words).map_err(mistaken_at)? {
        Subject::Everyone => {
            let (at, zone) = (service.clock(), zone.unwrap_or_else(Zone::utc));
            let (catalogues, late) = (service.catalogues(), Late::default());
            let (group, payer, metering) = (None, None, Cow::Borrowed(&*NONE));
            return Ok(View { asked, group, payer, catalogues, metering, late, at, zone, gathered });
        }
        Subject::Account(word) => ("account", word, Some(word.text.as_str())),
        Subject::Line(word) => ("line", word, account_of_line(&word.text)),
    };
    let name = name.filter(|name| asked.sees(service, name)).unwrap_or_default();
    let is_there = service.group_of(name)?.is_some_and(|group| group.get(name).is_some());
    if !is_there {
        return Err(not_there(service, asked, kind, &word.text));
    }
    let payer = service.payer_of(name).to_owned();
    let seen = asked.sees(service, &payer).then(|| payer.clone());
    let Some(Known { group, catalogues, metering, late, at }) = service.known(name)? else {
        return Err(missing(kind, &word.text));
    };
    let zone = zone.or_else(|| group.get(&payer).map(|payer| payer.head.zone.clone()));
    let zone = zone.unwrap_or_else(Zone::utc);
    Ok(View { asked, group: Some(group), payer: seen, catalogues, metering, late, at, zone, gathered })
}

/// That something is not there; to those who see every account, what was probably meant.
fn not_there(service: &Service, asked: &Asked, kind: &str, name: &str) -> Answer {
    let first = name.chars().next().map(String::from).unwrap_or_default();
    if kind != "account" || asked.own_tree().is_some() {
        return missing(kind, name);
    }
    let names = service.accounts(&first, NAMES_MAX).unwrap_or_default();
    match nearest(name, names.iter().map(|row| row.account.as_str())) {
        Some(meant) => {
            let detail = format!("there is no account {name:?}; did you mean {meant:?}?");
            Answer::problem("unknown-account", 404, &detail)
        }
        None => missing(kind, name),
    }
}

/// Refuses a question of a later time than now.
fn check_when(view: &View<'_>, words: &[Word]) -> Result<(), Answer> {
    let when = report::moment(view, words).map_err(mistaken_at)?;
    let begins = match when {
        When::After(month) if view.asked.query("so-far") == Some("true") => Some(month.start),
        other => other.moment(),
    };
    let Some(until) = begins.filter(|until| *until > view.at) else { return Ok(()) };
    let shown = |at| show_local(&view.zone, at);
    let hint = match when {
        When::After(month) if month.start <= view.at => "; `so-far=true` answers for the month as it stands",
        _ => "",
    };
    let detail = format!("this is answered as of {}; it is {} now{hint}", shown(until), shown(view.at));
    let problem = Problem { until: Some(until.to_string()), ..Problem::new("not-yet", 409, detail) };
    Err(Answer::of(&problem))
}

fn answer_now(
    service: &mut Service,
    asked: &Asked,
    words: &[Word],
    gathered: Gathered,
) -> Result<Vec<String>, Answer> {
    let mut view = view(service, asked, words, gathered)?;
    check_when(&view, words)?;
    if let Some(metering) = view.gathered.metering.as_mut().filter(|_| is_about(words, "upcoming")) {
        // The clock may have gone on since they were cut.
        metering.end_at(view.at);
    }
    report::answer(&view, words).map_err(|(word, found, expected)| match expected.is_empty() {
        true => mistaken((word.column, format!("{:?}: {found}", word.text), "another question".to_owned())),
        false => mistaken_at((word, found, expected)),
    })
}

/// A mistake at a word.
fn mistaken_at((word, found, expected): Wrong<'_>) -> Answer {
    mistaken((word.column, found, expected))
}

fn mistaken((column, found, expected): (usize, String, String)) -> Answer {
    let found = format!("{found} at character {column}");
    Answer::mistaken(vec![FieldMistake::new("?question", found, expected)])
}

/// An event, where it was read if the client said so, and the rest of what it says.
fn shown(event: &Event<'_>) -> EventBehind {
    let (file, line) = place_of(event);
    let attributes = event.attributes.iter().filter(|(name, _)| *name != PLACE).cloned().collect();
    EventBehind::of(&Event { attributes, ..event.clone() }, &file, line)
}

/// The file and line where a client has read an event, if it said so.
fn place_of(event: &Event<'_>) -> (String, u64) {
    let said = event.attributes.iter().find(|(name, _)| *name == PLACE);
    let text = said.and_then(|(_, value)| match value {
        Value::Text(text) => text.rsplit_once(':'),
        Value::Number(_) => None,
    });
    let place = text.and_then(|(file, line)| Some((file.to_owned(), line.parse().ok()?)));
    place.unwrap_or_default()
}

/// Gathers the events behind a line.
async fn events_behind(
    engine: &Engine,
    asked: &Arc<Asked>,
    words: &Arc<[Word]>,
    id: &str,
    gathered: &mut Gathered,
) -> Result<(), Response> {
    let (own, their, id) = (asked.clone(), words.clone(), id.to_owned());
    let line = part(engine, move |service| {
        let view = view(service, &own, &their, Gathered::default())?;
        check_when(&view, &their)?;
        let found = report::find_line(&view, &id).map(|(_, line)| line.clone());
        found.ok_or_else(|| missing("line", &id))
    });
    let line = line.await?;
    if line.key.is_none() {
        return Ok(());
    }
    let mut after: Option<Place> = None;
    loop {
        let line = line.clone();
        let found = part(engine, move |service| {
            let mut locating: Option<Metering> = None;
            let wanted = &mut |known: &Known<'_>, event: &Event<'_>| {
                let locating = locating.get_or_insert_with(|| known.metering.empty());
                let places = locating.locate(event).unwrap_or_default();
                places.iter().any(|(lane, span, scope)| {
                    is_behind(known.group, known.catalogues, &line, lane, *span, scope)
                })
            };
            Ok(service.events(&line.account, after, LOOKED_AT_EACH, wanted)?)
        });
        let found = found.await?;
        gathered.count += found.events.len() as u64;
        let missing = EVENTS_SHOWN.saturating_sub(gathered.events.len());
        gathered.events.extend(
            found
                .events
                .iter()
                .take(missing)
                .map(|kept| EventBehind { is_session: kept.is_session, ..shown(&kept.usage.event()) }),
        );
        after = found.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Cuts counters where the answer divides them: what an account in arrears has cost since they began, and what was used
/// until now. A counter that reaches over a cut is counted again, for this answer alone.
async fn cut(
    engine: &Engine,
    asked: &Arc<Asked>,
    words: &Arc<[Word]>,
    gathered: &mut Gathered,
) -> Result<(), Response> {
    let (own, their) = (asked.clone(), words.clone());
    let cut = part(engine, move |service| {
        let view = view(service, &own, &their, Gathered::default())?;
        let account = their.get(1).and_then(|word| Some((view.group_of(&word.text)?, word.text.as_str())));
        let Some((group, name)) = account else { return Ok(None) };
        let payer = group.get(name).and_then(|account| group.get(account.head.payer()));
        let arrears = payer.and_then(|payer| payer.lifecycle.arrears.as_ref());
        let since = arrears.map(|arrears| arrears.since);
        let mut metering = view.metering.clone().into_owned();
        if is_about(&their, "upcoming") {
            group.iter().for_each(|account| metering.cut(&account.head.id, view.at));
        } else {
            let Some(since) = since else { return Ok(None) };
            metering.cut(name, since);
            metering.cut(name, view.at);
        }
        let names: Vec<String> = match metering.is_stale() {
            true => group.iter().map(|account| account.head.id.clone()).collect(),
            false => Vec::new(),
        };
        Ok(Some((if names.is_empty() { metering } else { metering.empty() }, names)))
    });
    let Some((mut metering, names)) = cut.await? else { return Ok(()) };
    for name in names {
        let mut after: Option<Place> = None;
        loop {
            let name = name.clone();
            let found = part(engine, move |service| {
                Ok(service.events(&name, after, LOOKED_AT_EACH, &mut |_, _| true)?)
            });
            let found = found.await?;
            for kept in &found.events {
                // What cannot be counted is in quarantine.
                let _ = metering.count(&kept.usage.event(), Change::Add);
            }
            after = found.next;
            if after.is_none() {
                break;
            }
        }
    }
    gathered.metering = Some(metering);
    Ok(())
}

/// Gathers what a question about everyone needs.
async fn everyone(
    engine: &Engine,
    asked: &Arc<Asked>,
    words: &Arc<[Word]>,
    gathered: &mut Gathered,
) -> Result<(), Response> {
    let name = words.first().map_or("", |word| word.text.as_str());
    let roles = if matches!(name, "trial-balance" | "receivables") { BOOKKEEPERS } else { STAFF };
    let may = |caller: &&Arc<Holder>| roles.contains(&caller.role());
    if asked.caller.as_ref().filter(may).is_none() {
        let caller = asked.caller.as_ref();
        let refused = caller.map(|caller| not_allowed(caller, &format!("{name} is about every account.")));
        return Err(refused.unwrap_or_else(|| missing("answer", name)).into_response());
    }
    let (own, their) = (asked.clone(), words.clone());
    let at = part(engine, move |service| {
        let view = view(service, &own, &their, Gathered::default())?;
        check_when(&view, &their)?;
        Ok(view.at)
    });
    let at = at.await?;
    match name {
        "quarantine" => gathered.quarantine = quarantine(engine).await?,
        "imports" => {}
        _ => sums(engine, at, gathered).await?,
    }
    Ok(())
}

/// The names of accounts after one, and the one after which the next part begins.
fn names_after(service: &Service, after: &str) -> Result<(Vec<String>, Option<String>), Answer> {
    let rows = service.accounts(after, ACCOUNTS_EACH)?;
    let names: Vec<String> = rows.into_iter().map(|row| row.account).collect();
    let next = names.last().filter(|_| names.len() == ACCOUNTS_EACH).cloned();
    Ok((names, next))
}

/// Adds all accounts up as of a moment.
async fn sums(engine: &Engine, at: Instant, gathered: &mut Gathered) -> Result<(), Response> {
    let mut after = String::new();
    loop {
        let (mut totals, mut owed) =
            (std::mem::take(&mut gathered.totals), std::mem::take(&mut gathered.receivables));
        let found = part(engine, move |service| {
            let (names, next) = names_after(service, &after)?;
            let too_large = |_| Answer::problem("out-of-range", 422, "a sum does not fit");
            for name in &names {
                let added = service.look(name, |group| {
                    let Some(account) = group.get(name) else { return Ok(()) };
                    report::add_to_totals(&mut totals, account, at)?;
                    owed.add(account, at)
                })?;
                added.unwrap_or(Ok(())).map_err(too_large)?;
            }
            Ok((totals, owed, next))
        });
        let next;
        (gathered.totals, gathered.receivables, next) = found.await?;
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// Pieces by their places in the log, the first of them, and how many more there are.
#[derive(Default)]
struct Pieces {
    first: BTreeMap<(bool, Option<Place>, u64), Quarantine>,
    more: u64,
    number: u64,
}

impl Pieces {
    /// `is_counted`: meters count it, and nothing takes it; such pieces come after the others.
    fn add(&mut self, is_counted: bool, place: Option<Place>, event: &Event<'_>, why: (&str, String)) {
        let (file, line) = place_of(event);
        let what = format!("{}/{}", event.source, event.id);
        let piece = Quarantine { file, line, code: why.0.to_owned(), sentence: why.1, what };
        self.number += 1;
        self.first.insert((is_counted, place, self.number), piece);
        if self.first.len() > InQuarantine::LISTED_MAX {
            self.first.pop_last();
            self.more += 1;
        }
    }
}

/// Gathers what cannot be billed as it is, in the order in which it came, and then what nothing takes.
async fn quarantine(engine: &Engine) -> Result<InQuarantine, Response> {
    let mut pieces = Pieces::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut own = std::mem::take(&mut pieces);
        let found = part(engine, move |service| {
            let (mut last, mut looked_at) = (None, 0);
            service.quarantine(None, after.as_deref(), &mut |one| {
                if looked_at == LOOKED_AT_EACH {
                    return Seen::Enough;
                }
                looked_at += 1;
                own.add(false, one.place(), &one.usage.event(), (&one.code, one.sentence.clone()));
                last = Some(one.key);
                Seen::More
            })?;
            Ok((own, last.filter(|_| looked_at == LOOKED_AT_EACH)))
        });
        (pieces, after) = found.await?;
        if after.is_none() {
            break;
        }
    }
    let mut after = String::new();
    loop {
        let from = after.clone();
        let found = part(engine, move |service| {
            let (names, next) = names_after(service, &from)?;
            let mut lost = Vec::new();
            for name in names {
                let Some(known) = service.known(&name)? else { continue };
                if !lost_of(&known, &name).is_empty() {
                    lost.push(name);
                }
            }
            Ok((lost, next))
        });
        let (lost, next) = found.await?;
        for name in lost {
            pieces = unbilled(engine, name, pieces).await?;
        }
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    Ok(InQuarantine { listed: pieces.first.into_values().collect(), more: pieces.more })
}

/// What of an account meters have counted and nothing takes, by lane, time and scope.
fn lost_of(known: &Known<'_>, account: &str) -> Vec<Unrouted> {
    // Usage of this very moment has come; what was said of later times may yet be taken.
    let until = known.at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(known.at);
    unrouted(known.group, known.catalogues, &known.metering, account, until)
}

/// Adds the events of an account that meters have counted and nothing takes.
async fn unbilled(engine: &Engine, account: String, mut pieces: Pieces) -> Result<Pieces, Response> {
    let mut after: Option<Place> = None;
    loop {
        let name = account.clone();
        let found = part(engine, move |service| {
            let (mut locating, mut lost): (Option<Metering>, BTreeMap<_, Unbilled>) = (None, BTreeMap::new());
            let mut why = Vec::new();
            let wanted = &mut |known: &Known<'_>, event: &Event<'_>| {
                let locating = locating.get_or_insert_with(|| {
                    let all = lost_of(known, &name).into_iter();
                    lost = all.map(|one| ((one.lane, one.span, one.scope), one.problem)).collect();
                    known.metering.empty()
                });
                let places = locating.locate(event).unwrap_or_default();
                let problems: Vec<&Unbilled> = places.iter().filter_map(|place| lost.get(place)).collect();
                let is_lost = problems.len() == places.len() && event.time <= known.at;
                let problem = problems.into_iter().max().filter(|_| is_lost);
                why.extend(
                    problem.map(|problem| ((event.source.to_owned(), event.id.to_owned()), problem.clone())),
                );
                problem.is_some()
            };
            let found = service.events(&name, after, LOOKED_AT_EACH, wanted)?;
            let why: BTreeMap<(String, String), Unbilled> = why.into_iter().collect();
            for kept in &found.events {
                let event = kept.usage.event();
                if let Some(problem) = why.get(&(event.source.to_owned(), event.id.to_owned())) {
                    pieces.add(true, Some(kept.place), &event, (problem.code(), problem.sentence()));
                }
            }
            Ok((pieces, found.next))
        });
        (pieces, after) = found.await?;
        if after.is_none() {
            return Ok(pieces);
        }
    }
}
