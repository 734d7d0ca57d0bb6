//! Licences: bound to e-mails, used, reset; phones online (R-TCCC-11 to R-TCCC-14).

use super::{ApplyError, Desk};
use crate::account::Group;
use crate::calendar::{Instant, Zone, show_local};
use crate::catalog::{Catalogue, Licence};
use crate::licence::{self, Application, Held, LicenceKey, Pool};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A way of using an application begins or ends.
    Use {
        /// The application.
        application: String,
        /// The e-mail, or the name of a phone.
        holder: String,
        /// The way, as the price list names it: `web`, `phone`.
        way: String,
        /// Only a licence of this name.
        licence: Option<String>,
        /// What becomes of it.
        change: Change,
    },
    /// The idle named licences of an application are released (R-TCCC-14).
    Reset {
        /// The application.
        application: String,
        /// Only those of this name.
        licence: Option<String>,
    },
}

/// What becomes of a way of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It begins: a successful login, an answering switched on, a phone online.
    On,
    /// It ends.
    Off,
    /// It did not come about; nothing is consumed (R-TCCC-11).
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A licence is used in one more way; somebody who did not hold it does now.
    Used {
        /// The account.
        account: String,
        /// The application.
        application: String,
        /// Which licence.
        key: LicenceKey,
        /// Whose.
        holder: String,
        /// The way.
        way: String,
        /// When.
        at: Instant,
        /// Whether it stays with its holder when the use ends.
        bound: bool,
        /// Licences past the number of those there are, which this one replaces with their use.
        instead_of: Vec<LicenceKey>,
    },
    /// A way of use has ended.
    Left {
        /// The account.
        account: String,
        /// The application.
        application: String,
        /// Which licence.
        key: LicenceKey,
        /// Whose.
        holder: String,
        /// The way.
        way: String,
        /// Whether the licence is free now.
        freed: bool,
    },
    /// Idle licences were released.
    Reset {
        /// The account.
        account: String,
        /// The application.
        application: String,
        /// When.
        at: Instant,
        /// Which, and who held them.
        released: Vec<(LicenceKey, String)>,
    },
}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Nothing that runs brings licences to the application.
    NoLicences {
        /// The application.
        application: String,
        /// Plans that bring some.
        brought_by: Vec<String>,
    },
    /// No licence of the application is consumed that way.
    UnknownWay {
        /// The application.
        application: String,
        /// The way.
        way: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The application has no licence of this name.
    UnknownLicence {
        /// The application.
        application: String,
        /// The name.
        licence: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// A named licence is held by an e-mail.
    NoEmail(String),
    /// The e-mail holds another licence of the application.
    HoldsAnother {
        /// The e-mail.
        holder: String,
        /// What it holds.
        held: String,
        /// What it was to hold.
        wished: String,
    },
    /// All are held (R-TCCC-13), or in use (R-TCCC-11).
    NoFreeLicence(Box<Full>),
    /// As many resets as a month may have were made (R-TCCC-14).
    ResetsUsedUp {
        /// The application.
        application: String,
        /// How many there may be.
        most: u16,
        /// From when there may be one again.
        again: Instant,
    },
    /// The licences are not named, or their price list has no resets.
    NoReset {
        /// The licence, or the application.
        of: String,
        /// Whether it is concurrent: free as soon as it is not in use.
        concurrent: bool,
    },
}

/// Licences of which none is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// The application.
    pub application: String,
    /// The licence.
    pub licence: String,
    /// Whether it is named.
    pub named: bool,
    /// How many there are.
    pub licences: i64,
    /// Who is bound already, but past the number of licences.
    pub past: Option<String>,
    /// Holders that use theirs.
    pub in_use: Vec<String>,
    /// Holders that do not.
    pub idle: Vec<String>,
    /// Resets left in the month, where there are resets.
    pub resets_left: Option<u16>,
    /// Plans that bring such licences.
    pub brought_by: Vec<String>,
}

/// Every code of these refusals.
pub const CODES: &[&str] = &[
    "no-licences",
    "unknown-way",
    "unknown-licence",
    "no-email",
    "holds-another-licence",
    "no-free-licence",
    "resets-used-up",
    "no-reset",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NoLicences { .. } => "no-licences",
            Refusal::UnknownWay { .. } => "unknown-way",
            Refusal::UnknownLicence { .. } => "unknown-licence",
            Refusal::NoEmail(_) => "no-email",
            Refusal::HoldsAnother { .. } => "holds-another-licence",
            Refusal::NoFreeLicence(_) => "no-free-licence",
            Refusal::ResetsUsedUp { .. } => "resets-used-up",
            Refusal::NoReset { .. } => "no-reset",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        match self {
            Refusal::ResetsUsedUp { application, most, again } => {
                used_up(application, *most, &show_local(zone, *again))
            }
            _ => self.to_string(),
        }
    }
}

fn used_up(application: &str, most: u16, again: &str) -> String {
    let resets = if most == 1 { "reset" } else { "resets" };
    format!(
        "the licences of {application} have had the {most} {resets} of this month; the next is possible from {again} on"
    )
}

/// `a, b and 3 more`.
fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn or(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Full { application, licence, licences, .. } = self;
        match &self.past {
            None => write!(f, "none of the {licences} {licence} licences of {application} is free")?,
            Some(holder) => {
                let bound = self.in_use.len() + self.idle.len();
                write!(
                    f,
                    "{holder} is past the {licences} {licence} licences of {application}, to which {bound} are bound; those bound first have them"
                )?;
            }
        }
        let groups = [(&self.in_use, "in use"), (&self.idle, "bound and idle")];
        let mut sign = ": ";
        for (names, what) in groups.into_iter().filter(|(names, _)| !names.is_empty()) {
            write!(f, "{sign}{what} {}", some(names))?;
            sign = "; ";
        }
        let mut help = Vec::new();
        match (self.named, self.resets_left, self.idle.is_empty()) {
            (false, ..) => help.push("one is free when its use ends".to_owned()),
            (true, Some(left), false) => {
                help.push(format!("a reset releases the idle ones ({left} left this month)"));
            }
            _ => {}
        }
        if !self.brought_by.is_empty() {
            help.push(format!("more come with {}", or(&self.brought_by)));
        }
        if help.is_empty() { Ok(()) } else { write!(f, "; {}", help.join(", ")) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoLicences { application, brought_by } => {
                write!(f, "nothing that runs brings licences to the application {application}")?;
                if brought_by.is_empty() { Ok(()) } else { write!(f, "; {} would", or(brought_by)) }
            }
            Refusal::UnknownWay { application, way, known } => {
                write!(f, "no licence of {application} is for {way}; its licences are for {}", or(known))
            }
            Refusal::UnknownLicence { application, licence, known } => {
                write!(f, "{application} has no licence {licence}; it has {}", or(known))
            }
            Refusal::NoEmail(holder) => {
                write!(
                    f,
                    "\"{holder}\" is no e-mail; a named licence is bound to one, such as ann@example.com"
                )
            }
            Refusal::HoldsAnother { holder, held, wished } => {
                write!(
                    f,
                    "{holder} holds a {held} licence, and is not bound to a {wished} besides; a reset releases it once it is idle"
                )
            }
            Refusal::NoFreeLicence(full) => full.fmt(f),
            Refusal::ResetsUsedUp { application, most, again } => {
                f.write_str(&used_up(application, *most, &again.to_string()))
            }
            Refusal::NoReset { of, concurrent: true } => {
                write!(f, "{of} licences are not bound to anybody: one is free when its use ends")
            }
            Refusal::NoReset { of, concurrent: false } => {
                write!(f, "the price list has no resets for the licences of {of}")
            }
        }
    }
}

pub(super) fn decide(desk: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    let facts = match action {
        Action::Use { change: Change::Failed, .. } => Vec::new(),
        Action::Use { application, holder, way, change: Change::Off, .. } => {
            left(desk, application, holder, way)
        }
        Action::Use { application, holder, way, licence, change: Change::On } => {
            let wish = Wish { application, holder, way, licence: licence.as_deref() };
            used(desk, &wish)?
        }
        Action::Reset { application, licence } => vec![reset(desk, application, licence.as_deref())?],
    };
    Ok(facts.into_iter().map(super::Fact::Licences).collect())
}

struct Wish<'a> {
    application: &'a str,
    holder: &'a str,
    way: &'a str,
    licence: Option<&'a str>,
}

fn pools<'a>(desk: &Desk<'a>, application: &str) -> Vec<Pool<'a>> {
    licence::pools(desk.view, desk.catalogues, &desk.account.id, application, desk.at)
}

/// Plans on sale that bring an application licences such as these, and that it could have now: no
/// add-ons without their package, and no second trial.
fn brought_by(
    desk: &Desk<'_>,
    application: &str,
    such: impl Fn(&Catalogue, &Licence) -> bool,
) -> Vec<String> {
    let attributes = BTreeMap::from([(licence::APPLICATION.to_owned(), application.to_owned())]);
    let ids: BTreeSet<&str> = desk.catalogues.iter().map(|list| list.id.as_str()).collect();
    let lists = ids.into_iter().filter_map(|id| desk.catalogues.in_force(id, desk.at));
    let plans = lists.flat_map(|list| list.plans().map(move |plan| (list, plan)));
    let brings = |list: &Catalogue, id| list.licences.get(id).is_some_and(|licence| such(list, licence));
    plans
        .filter(|(list, plan)| plan.licences.keys().any(|id| brings(list, id)))
        .filter_map(|(list, plan)| list.plan(&plan.id).map(|(product, plan)| (list, product, plan)))
        .filter(|sold| desk.may_order_plan(*sold, &attributes))
        .map(|(_, _, plan)| plan.id.clone())
        .collect()
}

fn is_for(licence: &Licence, way: &str) -> bool {
    licence.by.iter().any(|known| known == way)
}

fn names(pools: &[Pool<'_>]) -> Vec<String> {
    pools.iter().map(|pool| pool.licence.id.clone()).collect()
}

/// A way of use begins: with the licence that the holder has, else with one that is free.
fn used(desk: &Desk<'_>, wish: &Wish<'_>) -> Result<Vec<Fact>, Refusal> {
    let Wish { application, way, .. } = *wish;
    let all = pools(desk, application);
    if all.is_empty() {
        let brought_by = brought_by(desk, application, |_, licence| is_for(licence, way));
        return Err(Refusal::NoLicences { application: application.to_owned(), brought_by });
    }
    if let Some(name) = wish.licence.filter(|name| all.iter().all(|pool| pool.licence.id != *name)) {
        let (application, licence) = (application.to_owned(), name.to_owned());
        return Err(Refusal::UnknownLicence { application, licence, known: names(&all) });
    }
    let is_wished = |pool: &&Pool<'_>| wish.licence.is_none_or(|name| name == pool.licence.id);
    let for_way: Vec<&Pool<'_>> = all.iter().filter(|pool| is_for(pool.licence, way)).collect();
    if !for_way.iter().any(is_wished) {
        let known: BTreeSet<&String> =
            all.iter().filter(is_wished).flat_map(|pool| &pool.licence.by).collect();
        let known = known.into_iter().cloned().collect();
        return Err(Refusal::UnknownWay { application: application.to_owned(), way: way.to_owned(), known });
    }
    let none = Application::default();
    let state = desk.view.application(&desk.account.id, application).unwrap_or(&none);
    let holder = |pool: &Pool<'_>| licence::identity(wish.holder, pool.licence.named);
    if let Some(pool) = for_way.iter().find(|pool| pool.licence.named && !is_email(&holder(pool))) {
        return Err(Refusal::NoEmail(holder(pool)));
    }
    let own = for_way.iter().find(|pool| {
        let uses = || state.held(&pool.key, &holder(pool)).is_some_and(|held| held.ways.contains_key(way));
        state.is_within(&pool.key, &holder(pool), pool.licences) || uses()
    });
    if let Some(own) = own {
        if !is_wished(own) {
            let wished = wish.licence.unwrap_or_default().to_owned();
            let (holder, held) = (holder(own), own.licence.id.clone());
            return Err(Refusal::HoldsAnother { holder, held, wished });
        }
        let uses = state.held(&own.key, &holder(own)).is_some_and(|held| held.ways.contains_key(way));
        return Ok(if uses { Vec::new() } else { vec![use_fact(desk, wish, own, Vec::new())] });
    }
    let wished = || for_way.iter().copied().filter(is_wished);
    let free =
        wished().find(|pool| i64::try_from(state.count(&pool.key)).is_ok_and(|held| held < pool.licences));
    match free {
        Some(pool) => {
            let instead_of = replaced(desk, state, &all, pool, wish);
            Ok(vec![use_fact(desk, wish, pool, instead_of)])
        }
        None => Err(full(desk, state, wish, wished())),
    }
}

/// Whether it looks like an e-mail: a name, `@`, a host, no blanks.
fn is_email(text: &str) -> bool {
    const LONGEST: usize = 254;
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && text.chars().count() <= LONGEST
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What the holder has of other licences for this way, past the number of those there are.
fn replaced(
    desk: &Desk<'_>,
    state: &Application,
    all: &[Pool<'_>],
    by: &Pool<'_>,
    wish: &Wish<'_>,
) -> Vec<LicenceKey> {
    if !by.licence.named {
        return Vec::new();
    }
    let holder = licence::identity(wish.holder, true);
    let is_for_way = |key: &LicenceKey| {
        let list = desk.catalogues.in_force(&key.catalogue, desk.at);
        let licence = list.and_then(|list| list.licences.get(&key.licence));
        licence.is_none_or(|licence| is_for(licence, wish.way))
    };
    let licences =
        |key: &LicenceKey| all.iter().find(|pool| pool.key == *key).map_or(0, |pool| pool.licences);
    let theirs = state.holders.keys().filter(|key| **key != by.key);
    theirs
        .filter(|key| state.held(key, &holder).is_some_and(|held| held.bound) && is_for_way(key))
        .filter(|key| !state.is_within(key, &holder, licences(key)))
        .cloned()
        .collect()
}

fn use_fact(desk: &Desk<'_>, wish: &Wish<'_>, pool: &Pool<'_>, instead_of: Vec<LicenceKey>) -> Fact {
    Fact::Used {
        account: desk.account.id.clone(),
        application: wish.application.to_owned(),
        key: pool.key.clone(),
        holder: licence::identity(wish.holder, pool.licence.named),
        way: wish.way.to_owned(),
        at: desk.at,
        bound: pool.licence.named,
        instead_of,
    }
}

fn full<'p>(
    desk: &Desk<'_>,
    state: &Application,
    wish: &Wish<'_>,
    pools: impl Iterator<Item = &'p Pool<'p>>,
) -> Refusal {
    let application = wish.application.to_owned();
    let holder = licence::identity(wish.holder, true);
    // The one that the holder is bound to, past the number of them; else the first.
    let pools: Vec<&Pool<'_>> = pools.collect();
    let past = pools.iter().find(|pool| pool.licence.named && state.held(&pool.key, &holder).is_some());
    let Some(pool) = past.or(pools.first()) else {
        return Refusal::NoLicences { application, brought_by: Vec::new() };
    };
    let holders = |idle: bool| {
        let some = state.holders(&pool.key).filter(move |(_, held)| held.ways.is_empty() == idle);
        some.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    Refusal::NoFreeLicence(Box::new(Full {
        application,
        licence: pool.licence.id.clone(),
        named: pool.licence.named,
        licences: pool.licences,
        past: past.map(|_| holder),
        in_use: holders(false),
        idle: holders(true),
        resets_left: pool.resets_left(state, desk.at),
        brought_by: brought_by(desk, wish.application, |list, licence| {
            list.id == pool.key.catalogue && licence.id == pool.key.licence
        }),
    }))
}

/// A way of use ends. Who does not use it so stays as he was.
fn left(desk: &Desk<'_>, application: &str, written: &str, way: &str) -> Vec<Fact> {
    let Some(state) = desk.view.application(&desk.account.id, application) else { return Vec::new() };
    let theirs = state.holders.keys().filter_map(|key| {
        let (holder, held) = [true, false].into_iter().find_map(|named| {
            let holder = licence::identity(written, named);
            let held = state.held(key, &holder).filter(|held| held.bound == named)?;
            Some((holder, held))
        })?;
        held.ways.get(way)?;
        Some(Fact::Left {
            account: desk.account.id.clone(),
            application: application.to_owned(),
            key: key.clone(),
            holder,
            way: way.to_owned(),
            freed: !held.bound && held.ways.len() == 1,
        })
    });
    theirs.collect()
}

/// Releases what is idle; counts even where nothing is (RULES.md §3, no. 16).
fn reset(desk: &Desk<'_>, application: &str, only: Option<&str>) -> Result<Fact, Refusal> {
    let all = pools(desk, application);
    let none = Application::default();
    let state = desk.view.application(&desk.account.id, application).unwrap_or(&none);
    if all.is_empty() {
        let brought_by = brought_by(desk, application, |_, licence| licence.resets_per_month.is_some());
        return Err(Refusal::NoLicences { application: application.to_owned(), brought_by });
    }
    let wished: Vec<&Pool<'_>> =
        all.iter().filter(|pool| only.is_none_or(|name| name == pool.licence.id)).collect();
    if let (Some(name), true) = (only, wished.is_empty()) {
        let (application, licence) = (application.to_owned(), name.to_owned());
        return Err(Refusal::UnknownLicence { application, licence, known: names(&all) });
    }
    let can: Vec<&Pool<'_>> =
        wished.iter().copied().filter(|pool| pool.licence.resets_per_month.is_some()).collect();
    if can.is_empty() {
        let concurrent = wished.iter().all(|pool| !pool.licence.named);
        let of = only.unwrap_or(if concurrent { "its" } else { application }).to_owned();
        return Err(Refusal::NoReset { of, concurrent });
    }
    for pool in &can {
        if pool.resets_left(state, desk.at) == Some(0) {
            let most = pool.licence.resets_per_month.unwrap_or(0);
            let (application, again) = (application.to_owned(), pool.month(desk.at).end);
            return Err(Refusal::ResetsUsedUp { application, most, again });
        }
    }
    let idle = |key: &LicenceKey| {
        let some = state.holders(key).filter(|(_, held)| held.bound && held.ways.is_empty());
        some.map(|(name, _)| (key.clone(), name.clone())).collect::<Vec<_>>()
    };
    Ok(Fact::Reset {
        account: desk.account.id.clone(),
        application: application.to_owned(),
        at: desk.at,
        released: can.iter().flat_map(|pool| idle(&pool.key)).collect(),
    })
}

impl Group {
    pub(super) fn apply_licences(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::Used { account, application, key, holder, way, at, bound, instead_of } => {
                let state = self.account_mut(account)?.licences.entry(application.clone()).or_default();
                let mut ways = BTreeMap::new();
                for old in instead_of {
                    let held = state.holders.get_mut(old).and_then(|holders| holders.remove(holder));
                    ways.extend(held.into_iter().flat_map(|held| held.ways));
                }
                let holders = state.holders.entry(key.clone()).or_default();
                let held = holders.entry(holder.clone()).or_insert(Held { since: *at, ways, bound: *bound });
                held.ways.insert(way.clone(), *at);
                state.holders.retain(|_, holders| !holders.is_empty());
            }
            Fact::Left { account, application, key, holder, way, freed } => {
                let state = self.application_mut(account, application)?;
                let missing = || ApplyError(format!("no licence of {holder}"));
                let holders = state.holders.get_mut(key).ok_or_else(missing)?;
                holders.get_mut(holder).ok_or_else(missing)?.ways.remove(way);
                if *freed {
                    holders.remove(holder);
                }
                state.holders.retain(|_, holders| !holders.is_empty());
            }
            Fact::Reset { account, application, at, released } => {
                let state = self.account_mut(account)?.licences.entry(application.clone()).or_default();
                for (key, holder) in released {
                    if let Some(holders) = state.holders.get_mut(key) {
                        holders.remove(holder);
                    }
                }
                state.holders.retain(|_, holders| !holders.is_empty());
                let kept = at.checked_sub(jiff::SignedDuration::from_hours(24 * licence::RESETS_KEPT_DAYS));
                state.resets.retain(|reset| kept.as_ref().is_ok_and(|kept| reset > kept));
                state.resets.push(*at);
            }
        }
        Ok(())
    }

    fn application_mut(&mut self, account: &str, application: &str) -> Result<&mut Application, ApplyError> {
        let applications = &mut self.account_mut(account)?.licences;
        applications.get_mut(application).ok_or_else(|| ApplyError(format!("no application {application}")))
    }
}
