//! A service over a store comes to what a book comes to: on random histories, and when its process is killed in the
//! middle of them.

mod again;
mod closing;
mod conflicts;
mod crash;
mod failing;
#[path = "../histories/mod.rs"]
mod histories;
mod horizon;
mod memory;
mod player;
mod prices;
mod released;
mod sessions;
mod threads;
mod undone;

use farebox_core::account::Account;
use farebox_core::roster::Roster;
use farebox_oracle::history::Line;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Outcome, Run};
use farebox_service::{Pace, Service};
use farebox_store::{Memory, Store};
use farebox_store_sqlite::Sqlite;
use histories::check::{self, Wrong, number_of};
use histories::show;
use histories::world::{World, worlds};
use jiff::{SignedDuration, Timestamp};
use player::{outcome_of, play_step, play_step_until_committed, play_with_others};
use std::sync::atomic::{AtomicUsize, Ordering};

/// When everything of a history has been settled.
fn far(lines: &[Line]) -> Timestamp {
    lines.last().map_or(Timestamp::MIN, |line| line.at + SignedDuration::from_hours(24 * 40))
}

/// A book, with everything of its history settled, and what is answered to each of its steps: `ok`, or a refusal's code.
fn book_of<'p>(prepared: &'p prepare::Prepared, lines: &[Line]) -> Result<(Run<'p>, Vec<String>), String> {
    let mut run = Run::new(prepared, Options { threads: 1, ..Options::default() });
    let mut said = Vec::new();
    let played = run.play(&mut |_, outcome| {
        said.push(match outcome {
            Outcome::Refused(refusal) => refusal.code().to_owned(),
            _ => "ok".to_owned(),
        });
    });
    played.and_then(|()| run.advance(far(lines))).map_err(|wrong| wrong.found)?;
    Ok((run, said))
}

/// An account without how far each charge is settled, what an accumulation that is over came to, and what settlements
/// must still look at. A book counts usage for orders that are refused, too, so that one more settlement may look, and
/// find nothing.
fn looked_past(account: &Account) -> Account {
    let mut account = account.clone();
    account.roster = Roster::default();
    for subscription in account.subscriptions.values_mut() {
        subscription.settled.clear();
        subscription.progress.clear();
    }
    account
}

/// Whether a service has, account by account, what the run of the book has.
fn same_accounts(run: &Run<'_>, service: &mut Service) -> Result<(), String> {
    for account in run.accounts() {
        let id = &account.head.id;
        let group = service.group_of(id).map_err(|error| error.to_string())?;
        let other = group.and_then(|group| group.get(id)).ok_or_else(|| format!("{id} is not there"))?;
        // The parts first: a difference is easier to read.
        for (month, bill) in &account.bills {
            if other.bills.get(month) != Some(bill) {
                return Err(format!("{}:\n  {bill:?}\n  {:?}", bill.id, other.bills.get(month)));
            }
        }
        if looked_past(account) != looked_past(other) {
            return Err(format!("{id}:\n  {account:?}\n  {other:?}"));
        }
    }
    Ok(())
}

/// Whether all of it is as it should be, to the cent.
fn is_whole(service: &mut Service) -> Result<(), String> {
    let mut wrong = Vec::new();
    let looked = service.commit().and_then(|()| service.verify(&mut |finding| wrong.push(finding)));
    looked.map_err(|error| error.to_string())?;
    if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
}

#[test]
fn a_service_comes_to_what_its_book_comes_to() {
    let runs = number_of("FAREBOX_SERVICE_RUNS").unwrap_or(400);
    let archived = AtomicUsize::new(0);
    // Other seeds than those of the other tests.
    let first = number_of("FAREBOX_SERVICE_SEED").unwrap_or(2_000_000);
    check::holds(&worlds("service"), first..first + runs, &|world: &World, lines| {
        let text = show::book(world, lines);
        let prepared = prepare::prepare("random.book", text.as_bytes(), &world.folder)
            .map_err(|wrong| Wrong::Broken(format!("{wrong:?}")))?;
        let fails = |what: String| Wrong::Fails(format!("{what}\n"));
        let (run, said) = book_of(&prepared, lines).map_err(fails)?;

        // A SQLite file commits on a thread of its own, while the next steps are decided.
        let folder = (lines.len() % 8 == 0).then(tempfile::tempdir).transpose();
        let folder = folder.map_err(|error| fails(error.to_string()))?;
        let store: Box<dyn Store> = match &folder {
            Some(folder) => Box::new(Sqlite::open(folder.path()).map_err(|error| fails(error.to_string()))?),
            None => Box::new(Memory::new()),
        };
        let opened = Service::open(store, prepared.catalogues.clone(), Timestamp::MIN);
        let mut service = opened.map_err(|error| fails(error.to_string()))?;
        service.set_pace(Pace { identities: 7, records: 3, blocks: 1, groups: 1 });
        for (index, step) in prepared.steps.iter().enumerate() {
            // What comes at one moment is decided together, or one after another.
            let together = index % 4 != 0 && step.at == Some(service.clock());
            let played = match together {
                true => play_with_others(&mut service, index, step),
                false if folder.is_some() && index % 5 != 4 => {
                    let played = play_step_until_committed(&mut service, index, step);
                    service.commit_then(Box::new(|_| ()));
                    played
                }
                false => play_step(&mut service, index, step),
            };
            let played = played.map_err(fails)?;
            // Usage that leaves the file of the store is counted, taken back and known as before.
            if let Some(folder) = &folder
                && index % 6 == 5
            {
                let before = service.clock();
                let moved = Sqlite::write_archive(folder.path(), before);
                let moved = moved.and_then(|archive| match &archive {
                    Some(archive) => service.put_away(archive).map(|()| archive.blocks.len()),
                    None => Ok(0),
                });
                let moved = moved.map_err(|error| fails(error.to_string()))?;
                archived.fetch_add(moved, Ordering::Relaxed);
            }
            if index % 9 == 8 {
                service.commit().and_then(|()| service.forget()).map_err(|error| fails(error.to_string()))?;
            }
            if played != said[index] {
                return Err(fails(format!(
                    "line {}: the book says {}, the service {played}",
                    step.line, said[index]
                )));
            }
            // In the middle of half of them, when usage waits to be settled.
            if index == prepared.steps.len() / 2 && index.is_multiple_of(2) {
                is_whole(&mut service).map_err(fails)?;
            }
        }
        // What was counted is read back from the store, now and then.
        service.commit().and_then(|()| service.forget()).map_err(|error| fails(error.to_string()))?;
        service.advance(far(lines)).map_err(|failed| fails(failed.to_string()))?;
        is_whole(&mut service).map_err(fails)?;
        same_accounts(&run, &mut service).map_err(fails)
    });
    let archived = archived.into_inner();
    assert!(archived as u64 > runs / 8, "{archived} blocks were archived");
}

#[test]
fn what_was_answered_is_answered_again() {
    let mut service =
        Service::open(Box::new(Memory::new()), Default::default(), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(outcome_of(&service, 3).unwrap(), None);
    player::keep(&mut service, 3, "ok");
    assert_eq!(outcome_of(&service, 3).unwrap().as_deref(), Some("ok"), "before it is committed");
    service.commit().unwrap();
    assert_eq!(outcome_of(&service, 3).unwrap().as_deref(), Some("ok"));
}
