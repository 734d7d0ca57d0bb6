//! Sessions: what is kept for a call while it runs, what it used in the end, and when it is over.

use crate::cover::{self, Covered, There};
use crate::credit;
use crate::history::Line;
use crate::number::{Number, whole, zero};
use crate::play::{Play, Reasons};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A session of an account.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub account: String,
    /// Its name, and the identity of its usage.
    pub id: String,
    /// The type of its usage.
    pub kind: String,
    /// What its usage has besides what is measured.
    pub attributes: BTreeMap<String, String>,
    /// The attributes that meters sum up; none: its units are counted.
    pub(crate) measured: BTreeSet<String>,
    /// When it began.
    pub since: Timestamp,
    /// Without a word by then, it expires.
    pub until: Timestamp,
    /// What it asked for in all.
    pub asked: Number,
    /// What of it was granted.
    pub granted: Number,
    /// Until when that may be used: a grant never outlives its bucket.
    pub valid_until: Timestamp,
    /// What it has used, as said last.
    pub used: Number,
    /// Units kept for it, by bucket.
    pub units: BTreeMap<String, Number>,
    /// Money kept for it; after its end until its usage is charged.
    pub money: Number,
    /// Its places among the sessions at once.
    pub places: BTreeSet<Place>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// A place among the sessions at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What plans provide.
    pub of: String,
    /// The subscription that provides it.
    pub subscription: String,
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Whether by its deadline.
    pub expired: bool,
    /// When the money that is still kept is let go.
    pub settles: Option<Timestamp>,
}

/// Account and id.
pub(crate) type Name = (String, String);

/// The most units that can be asked for.
const MOST: i64 = 1_000_000_000_000;

fn is_units(units: i64, least: i64) -> Result<(), Reasons> {
    if (least..=MOST).contains(&units) { Ok(()) } else { Err(vec!["bad-units"]) }
}

/// A session that has not ended.
fn open<'p>(play: &'p Play<'_>, name: &Name) -> Result<&'p Session, Reasons> {
    let session = play.sessions.get(name).ok_or_else(|| vec!["unknown-hold"])?;
    if session.ended.is_some() { Err(vec!["hold-over"]) } else { Ok(session) }
}

/// A session asks whether it may begin.
pub(crate) fn hold(
    play: &mut Play<'_>,
    line: &Line,
    (id, kind): (&str, &str),
    units: i64,
    until: Timestamp,
    attributes: &[(String, String)],
) -> Result<(), Reasons> {
    is_units(units, 1)?;
    let name = (line.account.clone(), id.to_owned());
    let attributes: BTreeMap<String, String> = attributes.iter().cloned().collect();
    if let Some(known) = play.sessions.get(&name) {
        // Said again, it changes nothing.
        if known.kind == kind && known.attributes == attributes && known.asked == whole(units) {
            return open(play, &name).map(|_| ());
        }
        return Err(vec!["hold-exists"]);
    }
    if until <= line.at {
        return Err(vec!["ends-before-start"]);
    }
    let session = Session {
        account: line.account.clone(),
        id: id.to_owned(),
        kind: kind.to_owned(),
        attributes,
        measured: cover::measured(play, &play.accounts[&line.account], kind, line.at),
        since: line.at,
        until,
        asked: whole(units),
        granted: zero(),
        valid_until: until,
        used: zero(),
        units: BTreeMap::new(),
        money: zero(),
        places: BTreeSet::new(),
        ended: None,
    };
    let needs = cover::needs(play, &session, &session.asked, line.at)?;
    let wanted: BTreeSet<&str> = needs.iter().filter_map(|need| need.concurrency()).collect();
    let mut places = BTreeSet::new();
    for of in wanted {
        places.insert(cover::place(play, &session, of, line.at)?);
    }
    drop(needs);
    keep(play, line, Session { places, ..session })
}

/// A session goes on: what it asks for in all is covered anew, from the buckets that are valid now.
pub(crate) fn extend(
    play: &mut Play<'_>,
    line: &Line,
    id: &str,
    (units, used): (i64, i64),
    until: Timestamp,
) -> Result<(), Reasons> {
    is_units(units, 1)?;
    is_units(used, 0)?;
    let known = open(play, &(line.account.clone(), id.to_owned()))?.clone();
    if until <= line.at {
        return Err(vec!["ends-before-start"]);
    }
    let used = whole(used).max(known.used.clone());
    keep(play, line, Session { asked: whole(units).max(used.clone()), used, until, ..known })
}

/// Keeps what a session asks for, as much of it as can be, in place of what is kept for it.
fn keep(play: &mut Play<'_>, line: &Line, mut session: Session) -> Result<(), Reasons> {
    let payer = play.payer(&line.account);
    let (granted, grant) = cover::grant(play, &session, line.at, &|| there(play, &session))?;
    let_go(play, &session);
    for (id, units) in &grant.units {
        let bucket = play.packages.buckets.get_mut(id).expect("there");
        bucket.available -= units;
        bucket.held += units;
    }
    let more = &grant.money - &session.money;
    play.accounts.get_mut(&payer).expect("open").money.keep(line.at, &more);
    session.valid_until = session.until.min(grant.until);
    (session.granted, session.units, session.money) = (granted, grant.units, grant.money);
    play.wake(session.until, &payer);
    play.sessions.insert((session.account.clone(), session.id.clone()), session);
    Ok(())
}

/// What there is for a session: what nobody uses, and what is kept for itself.
fn there(play: &Play<'_>, session: &Session) -> There {
    let mut units = BTreeMap::new();
    for (id, bucket) in &play.packages.buckets {
        let own = session.units.get(id).cloned().unwrap_or_else(zero);
        units.insert(id.clone(), &bucket.available + own);
    }
    let payer = &play.accounts[&play.payer(&session.account)];
    // Who pays by invoice has no balance to keep anything of, unless there is a limit to what it may owe.
    let is_kept = !payer.tiers.is_empty() || payer.credit_limit.is_some();
    // What it has it keeps, whatever became of the headroom.
    let money = credit::headroom(play, &payer.name).max(zero()) + &session.money;
    There { units, money: is_kept.then_some(money) }
}

/// Units are kept for a session no longer.
fn let_go(play: &mut Play<'_>, session: &Session) {
    for (id, units) in &session.units {
        let bucket = play.packages.buckets.get_mut(id).expect("kept of it");
        bucket.held -= units;
        if bucket.is_expired {
            bucket.expired += units;
        } else {
            bucket.available += units;
        }
    }
}

/// A session ends with what it used.
pub(crate) fn release(play: &mut Play<'_>, line: &Line, id: &str, used: i64) -> Result<(), Reasons> {
    is_units(used, 0)?;
    let (name, used) = ((line.account.clone(), id.to_owned()), whole(used));
    if let Some(known) = play.sessions.get_mut(&name)
        && let Some(ended) = &mut known.ended
    {
        if known.used == used {
            return Ok(());
        }
        if ended.expired && used > known.used {
            // Too late for what was kept, but not for what was used.
            ended.at = line.at;
            known.used = used;
            say(play, &name, line.at);
            return Ok(());
        }
    }
    open(play, &name)?;
    end(play, &name, used, (line.at, false));
    Ok(())
}

/// Ends a session: what it used is drawn from the buckets valid then, money is kept for the rest until
/// that is charged, and all else is let go.
fn end(play: &mut Play<'_>, name: &Name, used: Number, (at, expired): (Timestamp, bool)) {
    let mut session = play.sessions[name].clone();
    let payer = play.payer(&session.account);
    let mut there = there(play, &session);
    let (mut drawn, mut money, mut settles) = (Vec::new(), zero(), None);
    if used.is_positive() {
        // What cannot be billed is no reason not to end.
        for need in cover::needs(play, &session, &used, at).unwrap_or_default() {
            let covered = need.take(play, &mut there, at);
            let Covered { draws, rest, .. } = &covered;
            let left = &session.money - &money;
            if rest.is_positive() && left.is_positive() {
                let part = need.cost(&covered).min(left);
                if part.is_positive() {
                    settles = settles.max(Some(need.settles(at)));
                }
                money += part;
            }
            drawn.push((need.key.clone(), need.taker.clone(), draws.clone(), need.settles(at)));
        }
    }
    let_go(play, &session);
    for (key, taker, draws, settles) in drawn {
        if draws.is_empty() {
            continue;
        }
        play.look_again(key.accumulation(), settles, &payer);
        let taker = play.packages.takers.entry(key).or_insert(taker);
        for (id, units) in &draws {
            taker.draw(id, units);
        }
        for (id, units) in &draws {
            let bucket = play.packages.buckets.get_mut(id).expect("there");
            bucket.available -= units;
            bucket.drawn += units;
            bucket.alert();
        }
    }
    let back = &money - &session.money;
    play.accounts.get_mut(&payer).expect("open").money.keep(at, &back);
    if let Some(settles) = settles {
        play.wake(settles, &payer);
    }
    session.units.clear();
    (session.used, session.money) = (used, money);
    session.ended = Some(Ended { at, expired, settles });
    play.sessions.insert(name.clone(), session);
    say(play, name, at);
}

/// What a session used is usage from now on, unless there is a record of it.
fn say(play: &mut Play<'_>, name: &Name, at: Timestamp) {
    let session = &play.sessions[name];
    if session.used.is_positive() {
        let event = cover::event(session, &session.used, at);
        let id = session.id.clone();
        play.said(&id, event);
    }
}

/// Sessions of a payer and its members whose deadline has come end with what they said last. Answers
/// whose used something.
pub(crate) fn expire(play: &mut Play<'_>, payer: &str, at: Timestamp) -> BTreeSet<String> {
    let past = |one: &&Session| one.ended.is_none() && one.until <= at && play.payer(&one.account) == payer;
    let mut past: Vec<(Timestamp, Name)> = play
        .sessions
        .values()
        .filter(past)
        .map(|one| (one.until, (one.account.clone(), one.id.clone())))
        .collect();
    past.sort();
    for (until, name) in &past {
        let used = play.sessions[name].used.clone();
        end(play, name, used, (*until, true));
    }
    past.retain(|(_, name)| play.sessions[name].used.is_positive());
    past.into_iter().map(|(_, (account, _))| account).collect()
}

/// Money kept for ended sessions is let go, immediately before the charges of that moment.
pub(crate) fn settle(play: &mut Play<'_>, payer: &str, at: Timestamp) {
    let names: BTreeSet<String> = play.group(payer).into_iter().collect();
    let due = |one: &&mut Session| {
        names.contains(&one.account)
            && one.ended.as_ref().is_some_and(|ended| ended.settles.is_some_and(|settles| settles <= at))
    };
    let mut all = zero();
    for session in play.sessions.values_mut().filter(due) {
        all += std::mem::take(&mut session.money);
        session.ended.as_mut().expect("it has").settles = None;
    }
    play.accounts.get_mut(payer).expect("open").money.keep(at, &-all);
}
