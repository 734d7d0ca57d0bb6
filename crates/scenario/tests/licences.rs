//! Licences on random books, against a plain model of the rules: who may use what, and what is
//! never exceeded (R-TCCC-11 to R-TCCC-14).

use farebox_core::account::Group;
use farebox_core::calendar::{Cycle, Instant};
use farebox_core::engine::{Fact, licences};
use farebox_core::licence::{self, LicenceKey};
use farebox_scenario::prepare::{self, Prepared};
use farebox_scenario::run::{Options, Outcome, Run};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One thing that happens, this many hours after the one before.
#[derive(Clone, Debug)]
struct Step {
    hours: i64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Packages added to the application, or removed.
    Packages {
        application: usize,
        delta: i64,
    },
    /// A person or phone begins or ends a way of use.
    Use {
        application: usize,
        holder: usize,
        way: &'static str,
        change: &'static str,
    },
    Reset {
        application: usize,
    },
}

const APPLICATIONS: [&str; 2] = ["support", "sales"];
/// Licences in a package; the price list's.
const AGENTS: usize = 3;
const PHONES: usize = 2;
const RESETS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    let application = || 0..APPLICATIONS.len();
    let changes = prop_oneof![5 => Just("on"), 4 => Just("off"), 1 => Just("failed")];
    let ways = prop_oneof![Just("web"), Just("mobile"), Just("phone")];
    let what = prop_oneof![
        2 => (application(), prop_oneof![Just(1), Just(2), Just(-1), Just(-2)])
            .prop_map(|(application, delta)| What::Packages { application, delta }),
        12 => (application(), 0usize..9, ways, changes)
            .prop_map(|(application, holder, way, change)| What::Use { application, holder, way, change }),
        1 => application().prop_map(|application| What::Reset { application }),
    ];
    (0i64..40, what).prop_map(|(hours, what)| Step { hours, what })
}

/// Who holds a licence, in the order in which they were bound, and how it is used.
#[derive(Clone, Debug, Default)]
struct Model {
    packages: usize,
    agents: Vec<(String, BTreeSet<&'static str>)>,
    phones: Vec<String>,
    /// The months of its resets.
    resets: Vec<String>,
}

impl Model {
    /// Whether a use may begin; then it does.
    fn begins(&mut self, holder: &str, way: &'static str) -> bool {
        if self.packages == 0 {
            return false;
        }
        if way == "phone" {
            let known = self.phones.iter().any(|phone| phone == holder);
            let free = self.phones.len() < self.packages * PHONES;
            if !known && free {
                self.phones.push(holder.to_owned());
            }
            return known || free;
        }
        let licences = self.packages * AGENTS;
        match self.agents.iter().position(|(name, _)| name == holder) {
            Some(place) => {
                let ways = &mut self.agents[place].1;
                let allowed = place < licences || ways.contains(way);
                if allowed {
                    ways.insert(way);
                }
                allowed
            }
            None if self.agents.len() < licences => {
                self.agents.push((holder.to_owned(), BTreeSet::from([way])));
                true
            }
            None => false,
        }
    }

    fn ends(&mut self, holder: &str, way: &'static str) {
        if way == "phone" {
            self.phones.retain(|phone| phone != holder);
        }
        for (_, ways) in self.agents.iter_mut().filter(|(name, _)| name == holder) {
            ways.remove(way);
        }
    }

    fn resets(&mut self, month: &str) -> bool {
        let made = self.resets.iter().filter(|known| *known == month).count();
        if self.packages == 0 || made >= RESETS {
            return false;
        }
        self.resets.push(month.to_owned());
        self.agents.retain(|(_, ways)| !ways.is_empty());
        true
    }
}

/// The names of a person in different spellings: no. 33.
fn written(holder: usize, way: &str, step: usize) -> String {
    match (way, step % 3) {
        ("phone", _) => format!("desk-{holder}"),
        (_, 0) => format!("agent-{holder}@example.com"),
        (_, 1) => format!("Agent-{holder}@Example.com"),
        _ => format!(" agent-{holder}@EXAMPLE.com "),
    }
}

/// The book of a history, and whether each of its lines is accepted.
fn book(steps: &[Step]) -> (String, Vec<bool>, Vec<Model>) {
    let mut text = "catalog \"desk.toml\"\n2026-01-01 open acme\n".to_owned();
    let mut accepted = vec![true];
    let mut models = vec![Model::default(); APPLICATIONS.len()];
    for (index, name) in APPLICATIONS.iter().enumerate() {
        text += &format!("2026-01-01 subscribe acme desk 1 as {name} application={name}\n");
        models[index].packages = 1;
        accepted.push(true);
    }
    let mut at: jiff::civil::DateTime = "2026-01-01T00:01:00".parse().unwrap();
    for (index, step) in steps.iter().enumerate() {
        // A second apart at least: at one moment, holders come in the order of their names.
        at = at.checked_add(jiff::SignedDuration::from_secs(step.hours * 3600 + 1)).unwrap();
        let date = at.strftime("%Y-%m-%d %H:%M:%S");
        let (line, fine) = match &step.what {
            What::Packages { application, delta } => {
                let (name, model) = (APPLICATIONS[*application], &mut models[*application]);
                let left = i64::try_from(model.packages).unwrap() + delta;
                if let Ok(left) = usize::try_from(left) {
                    model.packages = left;
                }
                let verb = if *delta > 0 { "add" } else { "remove" };
                (format!("{verb} acme/{name} {}", delta.abs()), left >= 0)
            }
            What::Use { application, holder, way, change } => {
                let (name, model) = (APPLICATIONS[*application], &mut models[*application]);
                let written = written(*holder, way, index);
                let identity = written.trim().to_lowercase();
                let fine = match *change {
                    "on" => model.begins(&identity, way),
                    "off" => {
                        model.ends(&identity, way);
                        true
                    }
                    _ => true,
                };
                (format!("licence acme/{name} \"{written}\" {way} {change}"), fine)
            }
            What::Reset { application } => {
                let month = at.strftime("%Y-%m").to_string();
                let fine = models[*application].resets(&month);
                (format!("reset acme/{}", APPLICATIONS[*application]), fine)
            }
        };
        text += &format!("{date} {line}\n");
        accepted.push(fine);
    }
    (text, accepted, models)
}

fn prepared(text: &str) -> Prepared {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/licences");
    prepare::prepare("random.book", text.as_bytes(), &folder)
        .unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"))
}

/// How many hold a licence of this kind.
fn holders(group: &Group, application: &str, key: &LicenceKey) -> usize {
    let applications = &group.get("acme").unwrap().licences;
    applications.get(application).map_or(0, |application| application.count(key))
}

/// What must hold at every moment.
fn check(group: &Group, prepared: &Prepared) {
    for (name, application) in &group.get("acme").unwrap().licences {
        let mut holders = BTreeSet::new();
        for held in application.holders.values() {
            for (holder, held) in held {
                assert!(holders.insert(holder), "{holder} holds two in {name}");
                assert!(held.bound || !held.ways.is_empty(), "{holder} holds one for nothing");
            }
        }
        let mut months: BTreeMap<Instant, usize> = BTreeMap::new();
        for reset in &application.resets {
            let month = prepared.zone.cycle(Cycle::Month, *reset);
            *months.entry(month.start).or_default() += 1;
        }
        assert!(months.values().all(|made| *made <= RESETS), "{months:?} in {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn licences_are_as_the_plain_model_says(steps in prop::collection::vec(step(), 1..150)) {
        let (text, expected, models) = book(&steps);
        let prepared = prepared(&text);
        let mut run = Run::new(&prepared, Options { keep_facts: true, threads: 1, ..Options::default() });
        let mut accepted = Vec::new();
        run.play(&mut |step, outcome| {
            accepted.push((step.line, matches!(outcome, Outcome::Accepted)));
        }).unwrap();
        for ((line, accepted), expected) in accepted.iter().zip(&expected) {
            prop_assert_eq!(accepted, expected, "line {}\n{}", line, text);
        }
        prop_assert_eq!(accepted.len(), expected.len());

        let mut replayed = Group::default();
        for fact in &run.facts {
            let Fact::Licences(fact) = fact else {
                replayed.apply(fact).unwrap();
                continue;
            };
            let before = replayed.clone();
            replayed.apply(&Fact::Licences(fact.clone())).unwrap();
            check(&replayed, &prepared);
            if let licences::Fact::Used { application, key, at, .. } = fact {
                // Where one more is bound, there is a licence for everybody who is.
                let bound = holders(&replayed, application, key);
                let pools = licence::pools(&replayed, &prepared.catalogues, "acme", application, *at);
                let there = pools.iter().find(|pool| pool.key == *key).map_or(0, |pool| pool.licences);
                let gained = bound > holders(&before, application, key);
                prop_assert!(!gained || i64::try_from(bound).unwrap() <= there, "{} of {}\n{}", bound, there, text);
            }
        }
        prop_assert_eq!(&replayed, run.group_of("acme").unwrap(), "replaying the facts gives the same state");

        // The same people in the end.
        let account = run.account("acme").unwrap();
        for (name, model) in APPLICATIONS.iter().zip(&models) {
            let none = licence::Application::default();
            let state = account.licences.get(*name).unwrap_or(&none);
            let found: BTreeMap<&String, Vec<&str>> = state
                .holders
                .values()
                .flatten()
                .map(|(holder, held)| (holder, held.ways.keys().map(String::as_str).collect()))
                .collect();
            let agents = model.agents.iter().map(|(name, ways)| (name, ways.iter().copied().collect()));
            let phones = model.phones.iter().map(|name| (name, vec!["phone"]));
            prop_assert_eq!(found, agents.chain(phones).collect(), "{}\n{}", name, text);
        }
    }
}
