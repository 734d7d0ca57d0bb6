//! Sessions on random books, against a plain model of the rules: what is granted, held, drawn and
//! charged, beside usage that settles by the hour (R-PKG-1, R-PKG-3, R-TCCC-4).
//!
//! One account with a line for three calls at once, 30 free minutes and 60 bought ones.

use farebox_core::account::Account;
use farebox_core::money::Exact;
use farebox_core::package::Units;
use farebox_scenario::prepare;
use farebox_scenario::run::{Options, Outcome, Run};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One thing that happens, so many seconds after the one before.
#[derive(Clone, Debug)]
struct Step {
    after_s: i64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Hold {
        call: usize,
        seconds: i64,
        for_s: i64,
    },
    Extend {
        call: usize,
        seconds: i64,
        used: i64,
        for_s: i64,
    },
    Release {
        call: usize,
        used: i64,
    },
    /// A call that asked nobody.
    Usage {
        seconds: i64,
    },
    /// The record of a session.
    Record {
        call: usize,
        seconds: i64,
    },
}

/// Names of sessions; each begins once.
const CALLS: usize = 24;
const AT_ONCE: usize = 3;
/// Free minutes are drawn first.
const GRANTED: [i64; 2] = [30, 60];

fn step() -> impl Strategy<Value = Step> {
    let call = || 0..CALLS;
    let seconds = || prop_oneof![3 => 1i64..900, 1 => 900i64..4_000];
    let for_s = || 30i64..3_000;
    let what = prop_oneof![
        6 => (call(), seconds(), for_s()).prop_map(|(call, seconds, for_s)| What::Hold { call, seconds, for_s }),
        3 => (call(), seconds(), 0i64..900, for_s())
            .prop_map(|(call, seconds, used, for_s)| What::Extend { call, seconds, used, for_s }),
        5 => (call(), prop_oneof![1 => Just(0), 4 => seconds()])
            .prop_map(|(call, used)| What::Release { call, used }),
        3 => seconds().prop_map(|seconds| What::Usage { seconds }),
        2 => (call(), seconds()).prop_map(|(call, seconds)| What::Record { call, seconds }),
    ];
    (0i64..1_500, what).prop_map(|(after_s, what)| Step { after_s, what })
}

/// Minutes of so many seconds: each call is rounded up.
fn minutes(seconds: i64) -> i64 {
    (seconds + 59) / 60
}

/// What is held or drawn of each bucket.
type Parts = [i64; 2];

#[derive(Clone, Debug)]
struct Session {
    asked: i64,
    used: i64,
    until: i64,
    held: Parts,
    /// How it ended: when, and whether by its deadline.
    ended: Option<(i64, bool)>,
}

/// An hour's usage.
#[derive(Clone, Debug, Default)]
struct Hour {
    drawn: Parts,
    charged: i64,
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// Whether use past the packages is refused.
    closed: bool,
    available: Parts,
    sessions: BTreeMap<usize, Session>,
    /// Minutes counted: of usage that asked nobody, by its own number; of sessions and their records.
    usage: Vec<(i64, i64)>,
    by_session: BTreeMap<usize, (i64, i64)>,
    by_record: BTreeMap<usize, (i64, i64)>,
    hours: BTreeMap<i64, Hour>,
    settled: i64,
    /// Hours settled about which something has changed.
    changed: bool,
}

impl Model {
    fn new(closed: bool) -> Model {
        Model { closed, available: GRANTED, ..Model::default() }
    }

    fn take(available: &mut Parts, mut units: i64) -> (Parts, i64) {
        let mut taken = [0, 0];
        for (one, from) in taken.iter_mut().zip(available) {
            *one = units.min(*from);
            *from -= *one;
            units -= *one;
        }
        (taken, units)
    }

    fn give_back(&mut self, parts: Parts) {
        for (to, part) in self.available.iter_mut().zip(parts) {
            *to += part;
        }
    }

    /// Lets time pass: deadlines and hours, in their order; at one moment deadlines come first.
    fn pass(&mut self, until: i64) {
        loop {
            let open = self.sessions.iter().filter(|(_, one)| one.ended.is_none());
            let deadline = open.map(|(call, one)| (one.until, *call)).min();
            let hour = self.settled + 3_600;
            match deadline.filter(|(at, _)| *at <= hour.min(until)) {
                Some((at, call)) => {
                    let used = self.sessions[&call].used;
                    self.end(call, at, used, true);
                }
                None if hour <= until => self.settle(hour),
                None => break,
            }
        }
    }

    fn measured(&self, hour: i64) -> i64 {
        let sessions = self.by_session.iter().filter(|(call, _)| !self.by_record.contains_key(call));
        let all = self.usage.iter().chain(sessions.map(|(_, one)| one)).chain(self.by_record.values());
        all.filter(|(at, _)| at / 3_600 == hour).map(|(_, units)| units).sum()
    }

    /// Less usage takes charged minutes back, then drawn ones, the bought ones first. What is there
    /// again credits what was charged before, the earliest first; then new usage draws.
    fn settle(&mut self, end: i64) {
        let last = end / 3_600 - 1;
        let due: Vec<i64> = if self.changed { (0..=last).collect() } else { vec![last] };
        for hour in &due {
            let measured = self.measured(*hour);
            let one = self.hours.entry(*hour).or_default();
            let mut less = (one.charged + one.drawn.iter().sum::<i64>() - measured).max(0);
            let uncharged = less.min(one.charged);
            one.charged -= uncharged;
            less -= uncharged;
            for (drawn, to) in one.drawn.iter_mut().zip(&mut self.available).rev() {
                let part = less.min(*drawn);
                *drawn -= part;
                *to += part;
                less -= part;
            }
        }
        let mut available = self.available;
        for one in self.hours.values_mut() {
            let (taken, left) = Model::take(&mut available, one.charged);
            one.charged = left;
            one.drawn.iter_mut().zip(taken).for_each(|(drawn, part)| *drawn += part);
        }
        for hour in due {
            let measured = self.measured(hour);
            let one = self.hours.entry(hour).or_default();
            let more = measured - one.charged - one.drawn.iter().sum::<i64>();
            let (taken, left) = Model::take(&mut available, more);
            one.charged += left;
            one.drawn.iter_mut().zip(taken).for_each(|(drawn, part)| *drawn += part);
        }
        self.available = available;
        self.settled = end;
        self.changed = false;
    }

    fn count(&mut self, at: i64) {
        self.changed |= at < self.settled;
    }

    /// The code of the refusal, if it is one.
    fn hold(&mut self, call: usize, at: i64, seconds: i64, for_s: i64) -> Option<&'static str> {
        if let Some(known) = self.sessions.get(&call) {
            return match known.ended {
                _ if known.asked != seconds => Some("hold-exists"),
                Some(_) => Some("hold-over"),
                None => None,
            };
        }
        if self.sessions.values().filter(|one| one.ended.is_none()).count() >= AT_ONCE {
            return Some("no-place");
        }
        match self.cover(seconds) {
            Some(held) => {
                let until = at + for_s;
                self.sessions.insert(call, Session { asked: seconds, used: 0, until, held, ended: None });
                None
            }
            None => Some("nothing-left"),
        }
    }

    /// As many of the minutes of so many seconds as may be.
    fn cover(&mut self, seconds: i64) -> Option<Parts> {
        let there: i64 = self.available.iter().sum();
        let wanted = minutes(seconds);
        let granted = if self.closed { wanted.min(there) } else { wanted };
        (granted > 0).then(|| Model::take(&mut self.available, granted).0)
    }

    fn open(&self, call: usize) -> Result<(), &'static str> {
        match self.sessions.get(&call) {
            None => Err("unknown-hold"),
            Some(one) if one.ended.is_some() => Err("hold-over"),
            Some(_) => Ok(()),
        }
    }

    fn extend(
        &mut self,
        call: usize,
        at: i64,
        (seconds, used, for_s): (i64, i64, i64),
    ) -> Option<&'static str> {
        if let Err(refused) = self.open(call) {
            return Some(refused);
        }
        let before = self.clone();
        let one = self.sessions[&call].clone();
        let used = used.max(one.used);
        let asked = seconds.max(used);
        self.give_back(one.held);
        let Some(held) = self.cover(asked) else {
            *self = before;
            return Some("nothing-left");
        };
        self.sessions.insert(call, Session { asked, used, until: at + for_s, held, ended: None });
        None
    }

    fn release(&mut self, call: usize, at: i64, used: i64) -> Option<&'static str> {
        match self.sessions.get(&call).cloned() {
            Some(one) if one.ended.is_some() && one.used == used => None,
            Some(Session { ended: Some((_, true)), used: before, .. }) if used > before => {
                let one = self.sessions.get_mut(&call).unwrap();
                (one.used, one.ended) = (used, Some((at, true)));
                if let Some((earlier, _)) = self.by_session.insert(call, (at, minutes(used))) {
                    self.count(earlier);
                }
                None
            }
            _ => match self.open(call) {
                Ok(()) => {
                    self.end(call, at, used, false);
                    None
                }
                Err(refused) => Some(refused),
            },
        }
    }

    fn end(&mut self, call: usize, at: i64, used: i64, expired: bool) {
        let one = self.sessions.get_mut(&call).unwrap();
        let held = std::mem::take(&mut one.held);
        (one.used, one.ended) = (used, Some((at, expired)));
        self.give_back(held);
        if used > 0 {
            let (taken, _) = Model::take(&mut self.available, minutes(used));
            let hour = self.hours.entry(at / 3_600).or_default();
            hour.drawn.iter_mut().zip(taken).for_each(|(drawn, part)| *drawn += part);
            self.by_session.insert(call, (at, minutes(used)));
        }
    }

    fn record(&mut self, call: usize, at: i64, seconds: i64) {
        // Said again otherwise, it is a conflict, and the first one stays.
        if self.by_record.contains_key(&call) {
            return;
        }
        self.by_record.insert(call, (at, minutes(seconds)));
        if let Some((earlier, _)) = self.by_session.get(&call).copied() {
            self.count(earlier);
        }
    }
}

/// `2026-01-01 HH:MM:SS` and on, so many seconds after midnight.
fn time(at: i64) -> String {
    let (day, rest) = (at / 86_400, at % 86_400);
    format!("2026-01-{:02} {:02}:{:02}:{:02}", day + 1, rest / 3_600, rest % 3_600 / 60, rest % 60)
}

fn book(closed: bool, steps: &[Step]) -> (String, Vec<i64>) {
    let plan = if closed { "package-line" } else { "line" };
    let mut book = format!(
        "catalog \"lines.toml\"\n2026-01-01 open acme\n2026-01-01 subscribe acme {plan} as line\n\
         2026-01-01 subscribe acme gift prepaid 1 month\n2026-01-01 subscribe acme minutes prepaid 1 month\n"
    );
    let mut at = 60;
    let mut times = Vec::new();
    for Step { after_s, what } in steps {
        at += after_s;
        times.push(at);
        let line = match what {
            What::Hold { call, seconds, for_s } => format!("hold acme/c{call} call {seconds} for {for_s}s"),
            What::Extend { call, seconds, used, for_s } => {
                format!("extend acme/c{call} {seconds} used {used} for {for_s}s")
            }
            What::Release { call, used } => format!("release acme/c{call} {used}"),
            What::Usage { seconds } => format!("usage acme call seconds={seconds}"),
            What::Record { call, seconds } => format!("usage acme call seconds={seconds} id=c{call}"),
        };
        writeln!(book, "{} {line}", time(at)).unwrap();
    }
    (book, times)
}

fn units(account: &Account, package: &str) -> Units {
    Units::of(&account.ledger, &format!("acme/{package}/minutes/1"))
}

fn check(closed: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let (book, times) = book(closed, steps);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/hold");
    let prepared = prepare::prepare("sessions.book", book.as_bytes(), &folder).unwrap();
    let mut run = Run::new(&prepared, Options { threads: 1, ..Options::default() });
    let mut model = Model::new(closed);
    let mut outcomes = Vec::new();
    let mut done = 0;
    run.play(&mut |_, outcome| outcomes.push(outcome)).unwrap();
    for (step, (at, outcome)) in steps.iter().zip(times.iter().zip(outcomes.iter().skip(4))) {
        model.pass(*at);
        let refused = match &step.what {
            What::Hold { call, seconds, for_s } => model.hold(*call, *at, *seconds, *for_s),
            What::Extend { call, seconds, used, for_s } => {
                model.extend(*call, *at, (*seconds, *used, *for_s))
            }
            What::Release { call, used } => model.release(*call, *at, *used),
            What::Usage { seconds } => {
                model.usage.push((*at, minutes(*seconds)));
                None
            }
            What::Record { call, seconds } => {
                model.record(*call, *at, *seconds);
                None
            }
        };
        done += 1;
        let found = match outcome {
            Outcome::Refused(refusal) => Some(refusal.code()),
            _ => None,
        };
        prop_assert_eq!(found, refused, "line {} of\n{}", done + 5, &book);
    }
    // All sessions end, all hours settle.
    let end = times.last().copied().unwrap_or(0) + 2 * 3_600;
    let end = end - end % 3_600;
    model.pass(end);
    let zone = &prepared.zone;
    let clock = zone.at(time(end).replace(' ', "T").parse().unwrap());
    run.advance(clock).unwrap();
    let account = run.account("acme").unwrap();
    for (index, package) in ["gift", "minutes"].into_iter().enumerate() {
        let found = units(account, package);
        let held: i64 = model.sessions.values().map(|one| one.held[index]).sum();
        let drawn: i64 = model.hours.values().map(|one| one.drawn[index]).sum();
        let (granted, available) = (GRANTED[index], model.available[index]);
        prop_assert_eq!(granted, available + held + drawn);
        let wanted = [granted, available, held, drawn, 0].map(|units| Exact::whole(units.into()));
        let found = [found.granted, found.available, found.held, found.drawn, found.expired];
        prop_assert_eq!(found, wanted, "{} at {} of\n{}", package, time(end), &book);
    }
    let mut charged: BTreeMap<i64, Exact> = BTreeMap::new();
    for (key, one) in &account.charged {
        if key.charge == "calls" {
            let seconds =
                (key.start.as_second() - zone.at("2026-01-01T00:00:00".parse().unwrap()).as_second()) / 3_600;
            *charged.entry(seconds).or_default() = one.quantity;
        }
    }
    charged.retain(|_, units| !units.is_zero());
    let wanted: BTreeMap<i64, Exact> = model
        .hours
        .iter()
        .filter(|(_, one)| one.charged != 0)
        .map(|(hour, one)| (*hour, Exact::whole(one.charged.into())))
        .collect();
    prop_assert_eq!(charged, wanted, "minutes charged by hour of\n{}", &book);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn sessions_grant_hold_and_draw_as_the_rules_say(
        closed in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        check(closed, &steps)?;
    }
}
