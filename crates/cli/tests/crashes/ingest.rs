//! Usage and payments from many clients at once, to a server that is killed again and again: what was answered is
//! there, once; what was not, was said again until it was.

use crate::histories::check::number_of;
use crate::histories::dice::Dice;
use crate::http::Connection;
use crate::server::{Server, call, counted, furnish, serve};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

const CLOCK: &[&str] = &["--test-clock", "2026-01-01T00:00:00+08:00"];
const CLIENTS: u64 = 4;
const EVENTS_EACH: u64 = 250;

/// Where the server is now: its number, host and key; `None`: it is dead.
#[derive(Default)]
struct Whereabouts {
    now: Mutex<(u64, Option<(String, String)>)>,
    moved: Condvar,
}

impl Whereabouts {
    fn set(&self, server: Option<&Server>) {
        let mut now = self.now.lock().unwrap();
        *now = (now.0 + 1, server.map(|server| (server.host().to_owned(), server.token.clone())));
        self.moved.notify_all();
    }

    /// A connection to a server that is alive, as far as is known.
    fn connect(&self) -> Connection {
        let mut now = self.now.lock().unwrap();
        loop {
            if let (_, Some((host, token))) = &*now
                && let Ok(connection) = Connection::open(host, Some(token))
            {
                return connection;
            }
            now = self.moved.wait_timeout(now, Duration::from_millis(50)).unwrap().0;
        }
    }
}

/// What a client did: pieces of usage that it was told are kept, and payments; and how often it heard nothing.
#[derive(Default)]
struct Done {
    events: u64,
    payments: u64,
    unanswered: u64,
}

/// Sends until it is told to stop, each thing until it is answered.
fn send(client: u64, whereabouts: &Whereabouts, stop: &AtomicBool) -> Done {
    let mut dice = Dice::new(client);
    let mut connection = whereabouts.connect();
    let mut done = Done::default();
    let mut batches: Vec<String> = Vec::new();
    let mut ask = |path: &str, headers: &[(&str, &str)], body: &str| -> (Value, u64) {
        let mut unanswered = 0;
        loop {
            match connection.post_with(path, headers, body.as_bytes()) {
                Ok((200, answer)) => return (serde_json::from_slice(answer).unwrap(), unanswered),
                // A server that stops may say so.
                Ok((503, _)) => {}
                Ok((status, answer)) => panic!("{status} {}", String::from_utf8_lossy(answer)),
                Err(_) => unanswered += 1,
            }
            connection = whereabouts.connect();
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let first = done.events;
        let source = format!("pbx-{client}");
        let event = |number: u64| call(&source, number);
        let batch = Value::from((first..first + EVENTS_EACH).map(event).collect::<Vec<_>>()).to_string();
        let (answer, lost) = ask("/v1/usage", &[("Content-Type", "application/json")], &batch);
        let counts = ["accepted", "duplicates"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!(counts.iter().sum::<u64>(), EVENTS_EACH, "{answer}");
        // A batch is kept whole or not at all.
        assert!(counts[0] == EVENTS_EACH || counts[0] == 0 && lost > 0, "{answer}, after {lost} tries");
        done.events += EVENTS_EACH;
        done.unanswered += lost;
        batches.push(batch);
        if dice.once_in(4) {
            let (answer, lost) =
                ask("/v1/usage", &[("Content-Type", "application/json")], dice.pick::<String>(&batches));
            assert_eq!(answer["duplicates"], json!(EVENTS_EACH), "what was answered is known: {answer}");
            done.unanswered += lost;
        }
        let key = format!("payment-{client}-{}", done.payments);
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
        let payment = json!({"command": "topup", "amount": "0.01"}).to_string();
        let (_, lost) = ask("/v1/accounts/acme/commands", &headers, &payment);
        done.payments += 1;
        done.unanswered += lost;
    }
    done
}

#[test]
fn what_many_clients_were_told_is_kept_once_though_the_server_is_killed() {
    // A tenth of the kills of the histories.
    let kills = number_of("FAREBOX_KILLS").map_or(8, |kills| kills / 10 + 8);
    let mut dice = Dice::new(kills);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::run(serve(&[], folder.path(), CLOCK), folder.path());
    furnish(&server);
    let (whereabouts, stop) = (Whereabouts::default(), AtomicBool::new(false));
    whereabouts.set(Some(&server));
    let (mut events, mut payments, mut unanswered) = (0, 0, 0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (whereabouts, stop) = (&whereabouts, &stop);
                scope.spawn(move || send(client, whereabouts, stop))
            })
            .collect();
        for _ in 0..kills {
            std::thread::sleep(Duration::from_micros(20_000 + dice.below(150_000)));
            let kill = server.killer();
            kill();
            whereabouts.set(None);
            server = Server::run(serve(&[], folder.path(), CLOCK), folder.path());
            whereabouts.set(Some(&server));
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let done = client.join().unwrap();
            events += done.events;
            payments += done.payments;
            unanswered += done.unanswered;
        }
    });
    eprintln!("{kills} kills: {events} events, {payments} payments; {unanswered} requests were not answered");
    assert!(events > 0 && unanswered >= kills / 2, "{unanswered} of the requests were hit");
    assert_eq!(counted(&server), events);
    let (_, balance) = server.get("/v1/accounts/acme/balance");
    assert_eq!(balance["balance"], json!(format!("{}.{:02}", payments / 100, payments % 100)));
    // The bill says the same, after one more kill.
    server.kill();
    let server = Server::run(serve(&[], folder.path(), CLOCK), folder.path());
    server.advance("2026-02-01T00:00:00+08:00");
    let (_, bill) = server.get("/v1/bills/acme-2026-01");
    let line = &bill["lines"][0];
    assert_eq!(line["quantity"], json!(events.to_string()), "{line}");
    server.stop();
    let data = folder.path().to_str().unwrap();
    let verified = crate::common::farebox(&["verify", "--data", data]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
