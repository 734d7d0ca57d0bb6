//! The process that has the store is killed at random moments. Another one opens it and tries again what was not
//! answered, as a client would. In the end nothing is lost, and nothing is there twice.
//!
//! More rounds: `FAREBOX_CRASHES=500 cargo test -p farebox-scenario --test service killed`.

use super::closing::{self, Told, play_until_committed, with_late_usage};
use super::histories::check::number_of;
use super::histories::dice::Dice;
use super::histories::world::worlds;
use super::histories::{show, story};
use super::player::{commit, outcome_of};
use farebox_scenario::prepare;
use farebox_service::{Pace, Service};
use farebox_store_sqlite::Sqlite;
use jiff::Timestamp;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Set for the process that is to be killed: the folder with `history.book` and the store.
const FOLDER: &str = "FAREBOX_CRASH_FOLDER";
/// The step that it begins with.
const FROM: &str = "FAREBOX_CRASH_FROM";

fn open(folder: &Path, prepared: &prepare::Prepared) -> Service {
    let store = Sqlite::open(&folder.join("store")).unwrap();
    let opened = Service::open(Box::new(store), prepared.catalogues.clone(), Timestamp::MIN);
    let mut service = opened.unwrap();
    // What follows from the log is kept often, so that the process is killed around that, too.
    service.set_pace(Pace { identities: 9, records: 5, blocks: 1, groups: 1 });
    service
}

/// Plays the history from a step on, and says of each step that it is durable.
#[test]
#[ignore = "it is the process that the next test kills"]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let from: usize = std::env::var(FROM).unwrap().parse().unwrap();
    let prepared = prepare::load(&folder.join("history.book")).unwrap();
    let mut service = open(folder, &prepared);
    let first = prepared.steps[0].at.unwrap();
    let mut out = std::io::stdout();
    for (index, step) in prepared.steps.iter().enumerate().skip(from) {
        let outcome = play_until_committed(&mut service, index, step, first, false).unwrap();
        commit(&mut service).unwrap();
        writeln!(out, "\nstep {index} {outcome}").unwrap();
        out.flush().unwrap();
    }
}

/// Lets a process play from a step on, kills it a while after, and answers how far it said that it was.
fn play_and_kill(folder: &Path, from: usize, patience: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::the_process_that_is_killed",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut done = from;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut killer = None;
    for line in lines {
        // A line that was cut off by the end of its process was not heard.
        let Ok(line) = line else { break };
        let Some(said) = line.strip_prefix("step ") else { continue };
        let (index, _) = said.split_once(' ').unwrap();
        assert_eq!(index.parse(), Ok(done), "steps are done one after another");
        done += 1;
        if killer.is_none() {
            // From its first word on, so that its start does not count.
            let id = child.id();
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(patience);
                // SIGKILL: nothing is said good-bye to.
                let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            }));
        }
    }
    child.wait().unwrap();
    killer.into_iter().for_each(|killer| killer.join().unwrap());
    done
}

#[test]
fn nothing_is_lost_and_nothing_twice_when_the_process_is_killed() {
    let wanted = number_of("FAREBOX_CRASHES").unwrap_or(20);
    let mut told = Told::default();
    let worlds = worlds("crash");
    let (mut crashes, mut seed) = (0, 3_000_000);
    while crashes < wanted {
        seed += 1;
        let mut dice = Dice::new(seed);
        let world = &worlds[usize::try_from(seed % worlds.len() as u64).unwrap()];
        // The retention horizon moves, too.
        let lines = with_late_usage(&story::write(world, &mut dice), false);
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path();
        for entry in std::fs::read_dir(&world.folder).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        std::fs::write(folder.join("history.book"), show::book(world, &lines)).unwrap();
        let prepared = prepare::load(&folder.join("history.book")).unwrap();
        let mut done = 0;
        while done < prepared.steps.len() {
            let patience = Duration::from_micros(dice.below(60_000));
            done = play_and_kill(folder, done, patience);
            crashes += u64::from(done < prepared.steps.len());
        }
        let service = open(folder, &prepared);
        let all = (0..prepared.steps.len()).map(|index| outcome_of(&service, index).unwrap().unwrap());
        let answers: Vec<String> = all.collect();
        let held = closing::holds(world, &lines, (service, answers));
        let (_, one) = held.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        told.too_late += one.too_late;
        told.closed += one.closed;
    }
    assert!(told.too_late > 0 && told.closed > 0, "{told:?}");
    eprintln!("{crashes} kills of a process that has the store, {told:?}");
}
