//! The engine against a second reading of the rules, on random histories.
//!
//! Each line must be taken or refused by both, for a reason that both know; charges are compared key
//! by key, bills month by month, the money after each movement. A history on which they disagree is
//! shrunk, and shown as a book that `farebox bill` runs, with the figures of both sides. More histories:
//! `FAREBOX_ORACLE_RUNS=100000 cargo test -p farebox-scenario --test oracle`; others, from a seed on:
//! `FAREBOX_ORACLE_FIRST=5000000`; one of them again, and its book: `FAREBOX_ORACLE_SEED=42`.

mod compare;
#[path = "../histories/mod.rs"]
mod histories;
mod packages;
mod sessions;

use histories::check::{self, number_of};
use histories::world;
use std::sync::Mutex;
use std::time::Instant;

/// Histories of a normal run.
const RUNS: u64 = 10_000;

#[test]
fn the_engine_agrees_with_the_oracle() {
    let worlds = world::worlds("oracle");
    let seeds = match number_of("FAREBOX_ORACLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number_of("FAREBOX_ORACLE_FIRST").unwrap_or(0);
            first..first + number_of("FAREBOX_ORACLE_RUNS").unwrap_or(RUNS)
        }
    };
    let tally = Mutex::new(compare::Tally::default());
    let began = Instant::now();
    let one = seeds.end - seeds.start == 1;
    check::holds(&worlds, seeds, &|world, lines| {
        if one {
            eprintln!("{}", histories::show::book(world, lines));
        }
        let (counts, compared) = compare::compare(world, lines);
        tally.lock().unwrap().add(&counts);
        compared
    });
    eprintln!("{}, in {} s", tally.into_inner().unwrap(), began.elapsed().as_secs());
}
