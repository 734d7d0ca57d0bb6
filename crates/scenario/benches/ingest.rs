//! What an event costs on its way in, by who does the work: reading and packing it, counting it, keeping it.
//!
//! Each is the time of the processor that its thread took, as the system tells it: other work on the machine disturbs it
//! less than it does a clock. `cargo bench -p farebox-scenario --bench ingest`, with `-- ROUNDS` for more rounds.

use farebox_core::calendar::Zone;

use farebox_core::engine::{Action, Catalogues, Command};
use farebox_core::money::Currency;
use farebox_service::{Decided, Parcel, Service};
use farebox_store_sqlite::Sqlite;
use farebox_text::catalog;
use farebox_text::import::{EventRow, read_events};
use std::fmt::Write;

const ACCOUNTS: u64 = 1_000;
const EVENTS: u64 = 1_000;
/// Requests that are counted together, as under load.
const TOGETHER: usize = 16;
/// Of them, how many share a commit.
const COMMIT: usize = 2;

fn spent_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

fn body(random: &mut Random, into: &mut String) {
    into.clear();
    for _ in 0..EVENTS {
        let (high, low) = (random.next(), random.next());
        let (account, second, seconds) =
            (random.next() % ACCOUNTS, random.next() % 86_400, random.next() % 600);
        let connected = if seconds > 0 { "yes" } else { "no" };
        let (hour, minute, rest, number) =
            (second / 3_600, second / 60 % 60, second % 60, random.next() % 10_000);
        writeln!(
            into,
            "{{\"specversion\":\"1.0\",\"id\":\"{high:016x}{low:016x}\",\"source\":\"switch-7\",\"type\":\"call\",\
             \"subject\":\"a{account}\",\"time\":\"2026-02-01T{hour:02}:{minute:02}:{rest:02}Z\",\"data\":\
             {{\"seconds\":{seconds},\"connected\":\"{connected}\",\"to\":\"+861380000{number:04}\"}}}}"
        )
        .unwrap();
    }
}

fn furnished(folder: &std::path::Path) -> Service {
    let text = include_str!("../../../bench/calls.toml");
    let mut lists = Catalogues::default();
    lists.add(catalog::parse("calls.toml", text.as_bytes()).unwrap()).unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut service = Service::open(Box::new(Sqlite::open(folder).unwrap()), lists, at).unwrap();
    for account in 0..ACCOUNTS {
        let account = format!("a{account}");
        let (title, currency) = (account.clone(), Currency::parse("EUR").unwrap());
        let open = Action::Open { title, currency, zone: Zone::utc(), payer: None, tier: None };
        let order = Action::Subscribe {
            plan: "calls".to_owned(),
            name: None,
            quantity: 1,
            mode: None,
            months: None,
            auto: None,
            attributes: Default::default(),
        };
        for action in [open, order] {
            let command = Command { account: account.clone(), effective_at: at, action };
            service.execute(&command, Decided { at, actor: "bench", command: "" }).unwrap();
        }
    }
    service.commit().unwrap();
    service
}

fn read(text: &str) -> Parcel {
    let mut parcel = Parcel::for_bytes(text.len());
    read_events(text.as_bytes(), &mut |row| {
        if let EventRow::Event(event) = row {
            parcel.push(&event);
        }
    });
    parcel
}

fn main() {
    let rounds: usize = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    let mut service = furnished(folder.path());
    let (mut random, mut bodies) = (Random(7), vec![String::new(); TOGETHER]);
    let mut each: [Vec<u64>; 3] = Default::default();
    let mut note =
        |what: usize, begun: u64| each[what].push((spent_ns() - begun) * 100 / (EVENTS * TOGETHER as u64));
    for round in 0..rounds {
        bodies.iter_mut().for_each(|text| body(&mut random, text));
        let begun = spent_ns();
        let parcels: Vec<Parcel> = bodies.iter().map(|text| read(text)).collect();
        note(0, begun);
        let begun = spent_ns();
        for some in parcels.chunks(TOGETHER / COMMIT) {
            let some: Vec<&Parcel> = some.iter().collect();
            service.receive_together(&some, &mut |_, _, _| {}).unwrap();
        }
        drop(parcels);
        note(1, begun);
        let begun = spent_ns();
        service.commit().unwrap();
        if round > 0 {
            note(2, begun);
        }
    }
    println!("{} events, ns of a processor for each:", rounds as u64 * EVENTS * TOGETHER as u64);
    for (what, mut all) in ["read and packed", "counted", "kept"].into_iter().zip(each) {
        let mean = all.iter().sum::<u64>() as f64 / all.len() as f64 / 100.0;
        all.sort_unstable();
        let at = |part: usize| all[(all.len() - 1) * part / 10] as f64 / 100.0;
        println!("{what:16} median {:6.1}   a tenth below {:6.1}   mean {mean:6.1}", at(5), at(1));
    }
}
