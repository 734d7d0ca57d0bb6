//! Usage events, and how they become counters.
//!
//! ```text
//! event ──► account ──► lanes of its type ──► filter, value, rounding
//!                          │                        │
//!                          └─ segment of time ──► counter per scope
//! ```
//!
//! A [`Metering`] counts events of many accounts. It knows what to count from a list of
//! [`LaneSpec`]s, never from a price. Events may come in any order, and several meterings that
//! counted different events merge into one.

mod counter;
mod deck;
mod forecast;
mod kept;
mod lane;

pub use counter::{Aggregated, CountAgain, Counter, DeckCount, DeckSeconds, NANO, Share};
pub use forecast::Forecast;
pub use kept::{CountedSegment, MonthNumber};
pub use lane::{Lane, LaneKey, LaneSpec, Scope, SegmentCounts};

use crate::calendar::{Instant, Span};
use crate::money::{Exact, OutOfRange};
use lane::push_text;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Range;

/// Steps of [`Metering::touch_early`].
pub const EARLY_STEPS: u8 = 5;

/// Hash maps without random state: the core is a function of its arguments.
type FixedState = BuildHasherDefault<DefaultHasher>;

/// A usage event, borrowed from wherever it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Who says so. `source` and `id` together identify an event.
    pub source: &'a str,
    /// Unique in its source.
    pub id: &'a str,
    /// A higher one replaces what the same identity said before.
    pub revision: u64,
    /// Its type, which meters select by: `call`.
    pub kind: &'a str,
    /// Whose usage it is.
    pub account: &'a str,
    /// When it ended: the moment that decides its period (RULES.md §3, no. 7).
    pub time: Instant,
    /// When it began, where that is known.
    pub start: Option<Instant>,
    /// Everything else, by name; `application`, `project` and `tag:…` are known names.
    pub attributes: Vec<(&'a str, Value<'a>)>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(Exact),
}

impl<'a> Event<'a> {
    /// An attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<Value<'a>> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl Value<'_> {
    /// As a number, where it is one or reads as one (at most 9 decimals).
    pub fn number(&self) -> Option<Exact> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => Exact::parse(text, 9).ok(),
        }
    }
}

/// Why an event cannot be billed. It goes to quarantine with this reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// No account of this name.
    UnknownAccount(String),
    /// The account never ordered anything that measures events of this type.
    NothingMeasures(String),
    /// Nothing that the account has at that time takes this usage.
    NoSubscription,
    /// What would take it was frozen at that time (RULES.md §3, no. 23).
    Frozen,
    /// An attribute that the meter needs is missing.
    MissingAttribute(String),
    /// An attribute is no number, and the meter needs one.
    NotANumber(String, String),
    /// An attribute is below zero.
    Negative(String),
    /// A number too large to count.
    TooLarge(String),
    /// The rate deck has no row for the number called.
    NoRate(String),
    /// The time lies outside the years that can be billed.
    TimeOutOfRange,
    /// It came when its time lay before the store's retention horizon. It is never counted.
    BeforeHorizon {
        /// When it was used.
        time: Instant,
        /// Where the horizon was.
        horizon: Instant,
    },
    /// Its identity and revision were said before with other content, which counts.
    Conflict,
}

impl Problem {
    /// The stable code of usage, and of what is to be done to usage, that is timed before the retention horizon.
    pub const BEFORE_HORIZON: &str = "before-horizon";
    /// The stable code of usage that contradicts what was said before.
    pub const CONFLICT: &str = "conflict";

    /// Every code.
    pub const CODES: &[&str] = &[
        "before-horizon",
        "conflict",
        "frozen",
        "missing-attribute",
        "negative-quantity",
        "no-rate",
        "no-subscription",
        "not-a-number",
        "nothing-measures",
        "time-out-of-range",
        "too-large",
        "unknown-account",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Problem::UnknownAccount(_) => "unknown-account",
            Problem::NothingMeasures(_) => "nothing-measures",
            Problem::NoSubscription => "no-subscription",
            Problem::Frozen => "frozen",
            Problem::MissingAttribute(_) => "missing-attribute",
            Problem::NotANumber(..) => "not-a-number",
            Problem::Negative(_) => "negative-quantity",
            Problem::TooLarge(_) => "too-large",
            Problem::NoRate(_) => "no-rate",
            Problem::TimeOutOfRange => "time-out-of-range",
            Problem::BeforeHorizon { .. } => Problem::BEFORE_HORIZON,
            Problem::Conflict => Problem::CONFLICT,
        }
    }

    /// What is wrong, in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Problem::UnknownAccount(name) => format!("there is no account \"{name}\""),
            Problem::NothingMeasures(kind) => {
                format!("the account has never ordered anything that measures events of type \"{kind}\"")
            }
            Problem::NoSubscription => {
                "at that time the account has no subscription that takes this usage".to_owned()
            }
            Problem::Frozen => {
                "at that time the subscription that would take this usage was frozen".to_owned()
            }
            Problem::MissingAttribute(name) => format!("the meter needs the attribute \"{name}\""),
            Problem::NotANumber(name, text) => {
                format!("\"{name}\" must be a number with at most 9 decimals, not \"{text}\"")
            }
            Problem::Negative(name) => format!("\"{name}\" must not be below zero"),
            Problem::TooLarge(name) => format!("\"{name}\" is too large to count"),
            Problem::NoRate(number) => format!("the rate deck has no price for \"{number}\""),
            Problem::TimeOutOfRange => "the time is outside the years 1970 to 2199".to_owned(),
            Problem::Conflict => {
                "the same source, id and revision were said before with other content".to_owned()
            }
            Problem::BeforeHorizon { time, horizon } => format!(
                "it is timed {time}, and came when usage before {horizon} was closed (the retention horizon): mend it \
                 with the time at which it is to be billed, or discard it"
            ),
        }
    }
}

/// Whether an event is counted or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Count it.
    Add,
    /// It was counted before, and is void or replaced.
    Remove,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// At least one meter counts it.
    Counted,
    /// Meters measure its type, and all their conditions say that it costs nothing.
    NotBillable,
}

/// What an event would be counted as by a lane.
#[derive(Clone, Debug)]
pub struct WouldCount<'m> {
    /// The lane.
    pub lane: &'m LaneSpec,
    /// The moment that decides its period.
    pub at: Instant,
    /// Whose usage within the account.
    pub scope: Scope,
    /// Its part in the counter.
    pub share: Share,
}

/// Counters of many accounts.
#[derive(Clone, Debug, Default)]
pub struct Metering {
    /// Those of an account and a type of event stand together.
    lanes: Vec<Lane>,
    accounts: Vec<AccountLanes>,
    /// The places of accounts.
    places: HashMap<Box<str>, usize, FixedState>,
    /// The account that had the last event: many groups are one account.
    latest: usize,
    /// Shares of the event at hand, kept to save an allocation.
    pending: Vec<(usize, lane::Place, Share)>,
    /// Lanes with a counter that could not take an event back.
    stale: bool,
    /// Accounts whose usage is not known any more.
    forgotten: BTreeSet<String>,
}

/// The lanes of an account, by type of event.
#[derive(Clone, Debug)]
struct AccountLanes {
    name: Box<str>,
    /// Where the lanes of each type are; none is empty.
    kinds: Vec<Range<usize>>,
}

impl Metering {
    /// Counters for these lanes. Accounts without lanes are named too, so that their usage is told
    /// apart from that of unknown ones.
    pub fn new(
        accounts: impl IntoIterator<Item = String>,
        specs: impl IntoIterator<Item = LaneSpec>,
    ) -> Metering {
        let mut metering = Metering::default();
        for account in accounts {
            metering.add_account(&account);
        }
        let mut by_account: Vec<Vec<Vec<LaneSpec>>> = Vec::new();
        for spec in specs {
            let place = metering.add_account(&spec.key.account);
            by_account.resize_with(metering.accounts.len().max(by_account.len()), Vec::new);
            let kinds = &mut by_account[place];
            match kinds
                .iter_mut()
                .find(|kind| kind.first().is_some_and(|known| known.meter.event == spec.meter.event))
            {
                Some(kind) => kind.push(spec),
                None => kinds.push(vec![spec]),
            }
        }
        for (account, kinds) in metering.accounts.iter_mut().zip(by_account) {
            for kind in kinds {
                let first = metering.lanes.len();
                let runs: Vec<_> = kind.iter().map(|spec| lane::run_of(spec, kind.iter())).collect();
                let lanes = kind.into_iter().zip(runs).map(|(spec, run)| Lane::new(spec, run));
                metering.lanes.extend(lanes);
                account.kinds.push(first..metering.lanes.len());
            }
        }
        metering
    }

    /// The same, where the usage of some accounts is not known any more: what was charged for it stays as it is.
    pub fn without(self, forgotten: BTreeSet<String>) -> Metering {
        Metering { forgotten, ..self }
    }

    /// Whether the usage of an account is known, as far as there is any.
    pub fn knows(&self, account: &str) -> bool {
        !self.forgotten.contains(account)
    }

    fn add_account(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.accounts.len();
        self.places.insert(name.into(), place);
        self.accounts.push(AccountLanes { name: name.into(), kinds: Vec::new() });
        place
    }

    /// The place of an account.
    fn place_of(&self, account: &str) -> Option<usize> {
        match self.accounts.get(self.latest) {
            Some(latest) if &*latest.name == account => Some(self.latest),
            _ => self.places.get(account).copied(),
        }
    }

    /// The lanes of a type of event of an account.
    fn lanes_for(&self, event: &Event<'_>) -> Result<(usize, Range<usize>), Problem> {
        let place =
            self.place_of(event.account).ok_or_else(|| Problem::UnknownAccount(event.account.to_owned()))?;
        let kinds = &self.accounts[place].kinds;
        let lanes = kinds.iter().find(|lanes| self.lanes[lanes.start].kind() == event.kind);
        let lanes = lanes.ok_or_else(|| Problem::NothingMeasures(event.kind.to_owned()))?;
        Ok((place, lanes.clone()))
    }

    /// Asks early for what counting an event of this moment will look at, a step at a time ([`EARLY_STEPS`]), so that it
    /// comes near while others are asked for, too. The answer means nothing.
    pub fn touch_early(&self, step: u8, at: Instant) -> u64 {
        if step == 0 {
            return self.latest as u64;
        }
        let Some(account) = self.accounts.get(self.latest) else { return 0 };
        match step {
            1 => account.kinds.len() as u64,
            2 => {
                account.kinds.first().map_or(0, |lanes| lanes.start as u64)
                    ^ u64::from(account.name.bytes().next().unwrap_or(0))
            }
            _ => {
                let lanes = account.kinds.first().and_then(|lanes| self.lanes.get(lanes.clone()));
                let lanes = lanes.unwrap_or_default().iter();
                lanes.fold(0, |sum, lane| sum ^ lane.touch_early(step - 3, at))
            }
        }
    }

    /// A metering of the same lanes that has counted nothing: for another thread.
    pub fn empty(&self) -> Metering {
        Metering {
            lanes: self
                .lanes
                .iter()
                .map(|lane| Lane::new(lane.spec().clone(), lane.run.as_deref().copied()))
                .collect(),
            accounts: self.accounts.clone(),
            places: self.places.clone(),
            forgotten: self.forgotten.clone(),
            ..Metering::default()
        }
    }

    /// Counts an event, or takes it back.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be billed; nothing is counted then.
    pub fn count(&mut self, event: &Event<'_>, change: Change) -> Result<Counted, Problem> {
        if !self.find(event)? {
            return Ok(Counted::NotBillable);
        }
        for (index, place, share) in &self.pending {
            let lane = &mut self.lanes[*index];
            lane.touch(share.at);
            let counter = lane.counter(*place, share.at);
            match change {
                Change::Add => {
                    let added = counter.add(share);
                    added.map_err(|OutOfRange| Problem::TooLarge(event.kind.to_owned()))?;
                }
                Change::Remove => self.stale |= counter.remove(share).is_err(),
            }
        }
        Ok(Counted::Counted)
    }

    /// Notes that usage like this was counted or taken back, where it would be counted.
    pub fn touch(&mut self, event: &Event<'_>) {
        if self.find(event).is_ok() {
            for (index, _, share) in &self.pending {
                self.lanes[*index].touch(share.at);
            }
        }
    }

    /// Fills `pending` with the event's places and shares; answers whether there is any.
    fn find(&mut self, event: &Event<'_>) -> Result<bool, Problem> {
        let (place, lanes) = self.lanes_for(event)?;
        self.latest = place;
        self.pending.clear();
        let (mut in_force, mut passed_over) = (false, None);
        for index in lanes {
            let lane = &mut self.lanes[index];
            let Some(at) = lane.moment(event) else { continue };
            in_force = true;
            if !lane.matches(event) {
                continue;
            }
            self.pending.push((index, lane::Place::default(), Share::one(at)));
            let Some((_, place, share)) = self.pending.last_mut() else { continue };
            match lane.share(event, share).and_then(|()| lane.place(event, share)) {
                Ok(found) => *place = found,
                Err(problem) => {
                    self.pending.truncate(self.pending.len() - 1);
                    if at >= lane.spec().since {
                        return Err(problem);
                    }
                    // What was ordered later takes nothing of it, and keeps nobody else from it.
                    passed_over = passed_over.or(Some(problem));
                }
            }
        }
        if let (true, Some(problem)) = (self.pending.is_empty(), passed_over) {
            return Err(problem);
        }
        if in_force { Ok(!self.pending.is_empty()) } else { Err(Problem::NoSubscription) }
    }

    /// What an event would be counted as, were it usage.
    ///
    /// # Errors
    /// A [`Problem`] when it could not be billed.
    pub fn would_count<'m>(&'m self, event: &Event<'_>) -> Result<Vec<WouldCount<'m>>, Problem> {
        let (_, lanes) = self.lanes_for(event)?;
        let mut found = Vec::new();
        let (mut in_force, mut passed_over) = (false, None);
        for lane in &self.lanes[lanes] {
            let Some(at) = lane.moment(event) else { continue };
            in_force = true;
            if lane.matches(event) {
                let mut share = Share::one(at);
                let measured = lane.share(event, &mut share).and_then(|()| lane.scope(event, &mut share));
                match measured {
                    Ok(scope) => found.push(WouldCount { lane: lane.spec(), at, scope, share }),
                    Err(problem) if at < lane.spec().since => passed_over = passed_over.or(Some(problem)),
                    Err(problem) => return Err(problem),
                }
            }
        }
        if let (true, Some(problem)) = (found.is_empty(), passed_over) {
            return Err(problem);
        }
        if in_force { Ok(found) } else { Err(Problem::NoSubscription) }
    }

    /// Where an event is counted: the lanes, with the segment and the scope it falls in.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be billed.
    pub fn locate(&mut self, event: &Event<'_>) -> Result<Vec<(LaneKey, Span, Scope)>, Problem> {
        self.find(event)?;
        let found = self.pending.iter().map(|(index, place, _)| {
            let lane = &self.lanes[*index];
            let (span, scope) = lane.at_place(*place);
            (lane.spec().key.clone(), span, scope.clone())
        });
        Ok(found.collect())
    }

    /// Whether an event was taken back that a counter could not forget: all must be counted again.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Cuts an account's segments at a moment that was not known to matter when they began, such as
    /// that of a freeze. Where one has counted already, on which side is not known any more: all
    /// must be counted again, by a metering of these lanes ([`Metering::empty`]).
    pub fn cut(&mut self, account: &str, at: Instant) {
        let kinds: Vec<_> = self.all_of(account).cloned().collect();
        for lane in kinds.into_iter().flatten() {
            self.stale |= self.lanes[lane].cut(at);
        }
    }

    /// Adds what another metering of the same lanes counted.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum does not fit.
    pub fn merge(&mut self, other: Metering) -> Result<(), OutOfRange> {
        self.stale |= other.stale;
        for (lane, more) in self.lanes.iter_mut().zip(other.lanes) {
            lane.merge(more)?;
        }
        Ok(())
    }

    /// The lanes of an account.
    pub fn lanes_of<'a>(&'a self, account: &str) -> impl Iterator<Item = &'a Lane> {
        self.all_of(account).flat_map(|lanes| &self.lanes[lanes.clone()])
    }

    fn all_of(&self, account: &str) -> std::slice::Iter<'_, Range<usize>> {
        let kinds = self.place_of(account).map(|place| self.accounts[place].kinds.as_slice());
        kinds.unwrap_or_default().iter()
    }

    /// The start of the latest segment of time in which anything was counted.
    pub fn last_counted(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(Lane::last_counted).max()
    }

    /// The earliest time of an account's usage that was counted or taken back since the last call.
    pub fn take_touched(&mut self, account: &str) -> Option<Instant> {
        let place = self.place_of(account)?;
        let Metering { lanes, accounts, .. } = self;
        let kinds = accounts[place].kinds.iter();
        kinds.filter_map(|kind| lanes[kind.clone()].iter_mut().filter_map(Lane::take_touched).min()).min()
    }
}

#[cfg(test)]
mod tests;
