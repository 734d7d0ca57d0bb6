//! The engine against a second reading of the rules, on random histories.
//!
//! Each line must be taken or refused by both, for a reason that both know; charges are compared key
//! by key, bills month by month, the money after each movement. A history on which they disagree is
//! shrunk, and shown as a book that `farebox bill` runs, with the figures of both sides. More histories:
//! `FAREBOX_ORACLE_RUNS=100000 cargo test -p farebox-scenario --test oracle`; one of them again:
//! `FAREBOX_ORACLE_SEED=42`.

mod compare;
#[path = "../histories/mod.rs"]
mod histories;

use compare::disagreement;
use farebox_oracle::history::Line;
use histories::dice::Dice;
use histories::{show, story, world};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Histories of a normal run.
const RUNS: u64 = 400;

/// Disagreements that are shrunk and shown.
const SHOWN: usize = 3;

/// Drops lines for as long as the two sides still disagree.
fn shrink(mut lines: Vec<Line>, disagrees: impl Fn(&[Line]) -> bool) -> Vec<Line> {
    let mut chunk = lines.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        let mut dropped = false;
        while from < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(from..(from + chunk).min(lines.len()));
            if disagrees(&fewer) {
                lines = fewer;
                dropped = true;
            } else {
                from += chunk;
            }
        }
        if !dropped || chunk > 1 {
            chunk /= 2;
        }
    }
    lines
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn the_engine_agrees_with_the_oracle() {
    let worlds = world::worlds("oracle");
    let seeds = match number_of("FAREBOX_ORACLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_of("FAREBOX_ORACLE_RUNS").unwrap_or(RUNS),
    };
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    let tally = Mutex::new(compare::Tally::default());
    let began = Instant::now();
    let work = || {
        let mut counts = compare::Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) || found.lock().unwrap().len() >= SHOWN {
                break;
            }
            let world = &worlds[usize::try_from(seed % worlds.len() as u64).unwrap()];
            let lines = story::write(world, &mut Dice::new(seed));
            assert!((30..=200).contains(&lines.len()), "seed {seed}: {} lines", lines.len());
            if let Some(report) = disagreement(world, &lines, &mut counts) {
                let say = |lines: &[Line]| disagreement(world, lines, &mut compare::Tally::default());
                // While it shrinks, lines may be missing that a book must have.
                let disagrees = |said: &Option<String>| {
                    said.as_ref().is_some_and(|report| !report.starts_with(compare::BROKEN))
                };
                let broken = !disagrees(&Some(report.clone()));
                let fewer = if broken { lines } else { shrink(lines, |lines| disagrees(&say(lines))) };
                let report = if broken { report } else { say(&fewer).unwrap() };
                let book = show::book(world, &fewer);
                let said = format!("seed {seed}, {}\n\n{book}\n{report}", world.name);
                found.lock().unwrap().push(said);
            }
        }
        tally.lock().unwrap().add(&counts);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let tally = tally.into_inner().unwrap();
    eprintln!("{tally}, in {} s on {threads} threads", began.elapsed().as_secs());
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "engine and oracle disagree:\n\n{}", found.join("\n"));
}
