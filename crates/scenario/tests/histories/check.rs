//! Runs a property over many histories, on all cores, and shrinks those on which it does not hold.

use super::dice::Dice;
use super::world::World;
use super::{show, story};
use farebox_oracle::history::Line;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Cases that are shrunk and shown.
const SHOWN: usize = 3;

/// How long each of them is shrunk at most.
const SHRINKING: Duration = Duration::from_secs(30);

/// What is wrong about a history.
#[derive(Debug)]
pub enum Wrong {
    /// The property does not hold: how.
    Fails(String),
    /// It is no history at all, as a line is missing that others need.
    Broken(String),
}

/// Whether something holds for a history.
pub type Property<'p> = dyn Fn(&World, &[Line]) -> Result<(), Wrong> + Sync + 'p;

/// Holds a property against histories, one from each seed, the worlds in turn.
///
/// # Panics
/// Where it does not hold; with the histories that show it, as books.
pub fn holds(worlds: &[World], seeds: Range<u64>, property: &Property<'_>) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) || found.lock().unwrap().len() >= SHOWN {
                break;
            }
            let world = &worlds[usize::try_from(seed % worlds.len() as u64).unwrap()];
            let lines = story::write(world, &mut Dice::new(seed));
            assert!((30..=200).contains(&lines.len()), "seed {seed}: {} lines", lines.len());
            if let Some(shown) = case(world, lines, property) {
                found.lock().unwrap().push(format!("seed {seed}, {}\n\n{shown}", world.name));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The smallest book that shows what is wrong about a history, and what that is.
fn case(world: &World, lines: Vec<Line>, property: &Property<'_>) -> Option<String> {
    // A panic is no answer either.
    let wrong = |lines: &[Line]| {
        catch_unwind(AssertUnwindSafe(|| property(world, lines))).unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Wrong::Fails(format!("panic: {}\n", words.unwrap_or_default())))
        })
    };
    let (lines, how) = match wrong(&lines).err()? {
        Wrong::Broken(how) => (lines, how),
        Wrong::Fails(how) => {
            let last = RefCell::new(how);
            let fewer = shrink(lines, |lines| match wrong(lines) {
                Err(Wrong::Fails(how)) => {
                    last.replace(how);
                    true
                }
                _ => false,
            });
            match wrong(&fewer) {
                Err(Wrong::Fails(how) | Wrong::Broken(how)) => (fewer, how),
                Ok(()) => (
                    fewer,
                    format!("not always: it held when it was tried again; before:\n{}", last.into_inner()),
                ),
            }
        }
    };
    Some(format!("{}\n{how}", show::book(world, &lines)))
}

/// Drops lines for as long as what is wrong stays so, and there is time.
fn shrink(mut lines: Vec<Line>, wrong: impl Fn(&[Line]) -> bool) -> Vec<Line> {
    let began = Instant::now();
    let wrong = |lines: &[Line]| began.elapsed() < SHRINKING && wrong(lines);
    let mut chunk = lines.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        let mut dropped = false;
        while from < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(from..(from + chunk).min(lines.len()));
            if wrong(&fewer) {
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

/// A number given from outside.
pub fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
