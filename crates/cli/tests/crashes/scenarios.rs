//! Scenarios that are pushed to a server that is killed, by a client that begins again from the first line.

use crate::books::{by_itself, push, pushing, same_rows};
use crate::common::{files_below, root};
use crate::histories::check::number_of;
use crate::server::Server;
use farebox_scenario::prepare::prepare;
use std::process::Stdio;
use std::time::Duration;

/// Pushes a book to a server that is killed in the middle of it, again and again until all of it is done; answers how
/// often it was killed. `dice`: how long it lives each time, in milliseconds.
fn push_through_crashes(file: &str, kills: u64, dice: &mut impl FnMut() -> u64) -> u64 {
    let path = root().join(file);
    let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (prepared, until) = by_itself(&path, ours.path()).unwrap();
    let until = until.to_string();
    let mut killed = 0;
    while killed < kills {
        let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
        let mut client =
            pushing(&server, &path, &until).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice()));
        let is_done = client.try_wait().unwrap().is_some();
        server.kill();
        client.wait().unwrap();
        killed += 1;
        if is_done {
            break;
        }
    }
    let server = Server::start_at(servers.path(), "2000-01-01T00:00:00Z");
    push(&server, &path, &until);
    server.stop();
    same_rows(file, ours.path(), servers.path(), &prepared).unwrap();
    killed
}

#[test]
fn nothing_is_lost_and_nothing_twice_when_the_server_is_killed() {
    // It begins anew after each kill, which takes long.
    let kills = number_of("FAREBOX_KILLS").map_or(12, |kills| kills / 5);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut dice = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 120
    };
    // The books with the most lines: orders, payments, packages, sessions, usage that is late, replaced and void.
    let mut books: Vec<(usize, String)> = files_below("scenarios", "test")
        .into_iter()
        .filter_map(|file| {
            let path = root().join(&file);
            let text = std::fs::read(&path).unwrap();
            let prepared = prepare(&file, &text, path.parent().unwrap()).ok()?;
            Some((prepared.steps.iter().filter(|step| step.at.is_some()).count(), file))
        })
        .collect();
    books.sort();
    books.push((0, "examples/demo/january.book".to_owned()));
    let mut killed = 0;
    for (_, file) in books.iter().rev().cycle() {
        if killed >= kills {
            break;
        }
        killed += push_through_crashes(file, (kills - killed).min(4), &mut dice);
    }
    eprintln!("{killed} kills while scenarios were pushed");
}
