//! Sessions: what was granted, what is kept for them, how they ended.

use crate::compare::{decimal, exact};
use farebox_core::account::Account;
use farebox_core::hold::Hold;
use farebox_oracle::number::Number;
use farebox_oracle::play::Play;
use farebox_oracle::sessions::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The sessions of a payer and its members.
pub fn compare(report: &mut String, ours: &Account, play: &Play<'_>) {
    let payer = &ours.head.id;
    let mut engine: BTreeMap<(String, String), String> = BTreeMap::new();
    for name in play.accounts.keys().filter(|name| play.payer(name) == *payer) {
        engine.extend(ours.holds.of(name).map(|hold| ((name.clone(), hold.id.clone()), of_engine(hold))));
    }
    let own = play.sessions.iter().filter(|((account, _), _)| play.payer(account) == *payer);
    let oracle: BTreeMap<(String, String), String> =
        own.map(|(name, session)| (name.clone(), of_oracle(session))).collect();
    let names: BTreeSet<&(String, String)> = engine.keys().chain(oracle.keys()).collect();
    for name in names {
        let (one, other) = (engine.get(name), oracle.get(name));
        if one != other {
            let show = |text: Option<&String>| text.cloned().unwrap_or_else(|| "none".to_owned());
            let _ = writeln!(report, "session {}/{}", name.0, name.1);
            let _ = writeln!(report, "  engine {}\n  oracle {}", show(one), show(other));
        }
    }
}

fn of_engine(hold: &Hold) -> String {
    let units = hold.units();
    let units = units.into_iter().map(|(id, units)| (id, exact(units)));
    let places = hold.places.iter().map(|place| format!("{} of {}", place.of, place.subscription));
    let ended = hold.ended.map(|ended| format!("{} {} {:?}", ended.at, ended.expired, ended.settles));
    let figures = [hold.asked, hold.granted, hold.used, hold.money().exact()].map(exact);
    let times = [hold.since, hold.until, hold.valid_until].map(|at| at.to_string());
    in_words(&figures, &times, units, places, ended)
}

fn of_oracle(session: &Session) -> String {
    let Session { asked, granted, used, money, .. } = session.clone();
    let units = session.units.clone().into_iter();
    let places = session.places.iter().map(|place| format!("{} of {}", place.of, place.subscription));
    let ended = session.ended.as_ref();
    let ended = ended.map(|ended| format!("{} {} {:?}", ended.at, ended.expired, ended.settles));
    let times = [session.since, session.until, session.valid_until].map(|at| at.to_string());
    in_words(&[asked, granted, used, money], &times, units, places, ended)
}

fn in_words(
    [asked, granted, used, money]: &[Number; 4],
    [since, until, valid_until]: &[String; 3],
    units: impl Iterator<Item = (String, Number)>,
    places: impl Iterator<Item = String>,
    ended: Option<String>,
) -> String {
    let units = units.filter(|(_, units)| !units.is_zero());
    let units: Vec<String> = units.map(|(id, units)| format!("{} of {id}", decimal(&units))).collect();
    let [asked, granted, used, money] = [asked, granted, used, money].map(decimal);
    // Whoever ended has no place any more.
    let places: Vec<String> = if ended.is_none() { places.collect() } else { Vec::new() };
    let ended = ended.unwrap_or_else(|| "open".to_owned());
    format!(
        "since {since} until {until}, asked {asked} granted {granted} until {valid_until}, used {used}, holds {units:?} money {money} places {places:?}; {ended}"
    )
}
