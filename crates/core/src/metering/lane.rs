//! A lane: one meter's counters for one account.

mod time;

pub(super) use time::run_of;

use super::counter::{Counter, NANO, Share};
use super::deck::{self, Prefixes};
use super::{Event, FixedState, Problem, Value};
use crate::calendar::{Cycle, Instant, Span, YEARS, Zone};
use crate::catalog::{Aggregate, Deck, Filter, Meter, Rounding, Test};
use crate::money::{DecimalError, Exact, OutOfRange};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::Arc;

/// Which lane: a meter of a catalogue, for one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// The account.
    pub account: String,
    /// The catalogue.
    pub catalogue: String,
    /// The meter.
    pub meter: String,
    /// The rate deck, for charges by one.
    pub deck: Option<String>,
}

/// What a lane counts, and how time is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneSpec {
    /// Which lane.
    pub key: LaneKey,
    /// The meter's definition: that of the catalogue, which all accounts share.
    pub meter: Arc<Meter>,
    /// The rate deck, of which prefixes, bands and steps are used, never the prices.
    pub deck: Option<Arc<Deck>>,
    /// The time in which this definition is in force.
    pub valid: Span,
    /// Since when the account has what is measured by it.
    pub since: Instant,
    /// The wall clock of the cycle.
    pub zone: Zone,
    /// The shortest cycle that settles what is counted here.
    pub cycle: Cycle,
    /// Moments that cut segments besides the cycle's, sorted: orders, prices, catalogue versions.
    pub cuts: Vec<Instant>,
    /// Attributes that tell scopes apart, besides application, project and tags.
    pub dimensions: Vec<String>,
}

/// Whose usage within an account: the dimensions of a lane with this event's values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Scope {
    /// Application, if told.
    pub application: Option<String>,
    /// Project, if told (R-ORG-2).
    pub project: Option<String>,
    /// Values of the lane's dimensions, those that were told.
    pub dimensions: BTreeMap<String, String>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
    /// The matched prefix, under a rate deck.
    pub prefix: Option<String>,
}

/// Counters of one segment of time.
#[derive(Clone, Debug)]
pub struct SegmentCounts {
    /// The segment.
    pub span: Span,
    /// The latest moment that anything was counted at, or taken back.
    pub(super) last: Instant,
    pub(super) counters: ScopeCounters,
    /// Whether anything was counted since it was last kept.
    pub(super) is_changed: bool,
}

/// Counters by scope. Most segments have one scope: it stands beside what the segment is found by.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeCounters {
    first: Option<(u32, Counter)>,
    rest: HashMap<u32, Counter, BuildHasherDefault<IdHasher>>,
}

impl ScopeCounters {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn get(&self, scope: u32) -> Option<&Counter> {
        match &self.first {
            Some((id, counter)) if *id == scope => Some(counter),
            _ => self.rest.get(&scope),
        }
    }

    /// That of a scope; a new one where there is none yet.
    fn at(&mut self, scope: u32, new: impl FnOnce() -> Counter) -> &mut Counter {
        if self.first.as_ref().is_some_and(|(id, _)| *id != scope) {
            return self.rest.entry(scope).or_insert_with(new);
        }
        &mut self.first.get_or_insert_with(|| (scope, new())).1
    }

    pub(super) fn insert(&mut self, scope: u32, counter: Counter) {
        match &mut self.first {
            None => self.first = Some((scope, counter)),
            Some((id, known)) if *id == scope => *known = counter,
            Some(_) => drop(self.rest.insert(scope, counter)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Counter)> {
        let first = self.first.iter().map(|(scope, counter)| (*scope, counter));
        first.chain(self.rest.iter().map(|(scope, counter)| (*scope, counter)))
    }

    fn into_iter(self) -> impl Iterator<Item = (u32, Counter)> {
        self.first.into_iter().chain(self.rest)
    }
}

/// Spreads the small numbers that scopes are known by. They are given in order, so that nobody can
/// choose them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }
}

/// Where a counter stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    segment: usize,
    scope: u32,
}

impl Place {
    pub(super) fn of(segment: usize, scope: u32) -> Place {
        Place { segment, scope }
    }
}

/// One meter's counters for one account.
///
/// What each event needs stands here, in a few lines of memory, and the rest apart: events of many accounts come in any
/// order, so that what is needed of one is seldom near the processor.
#[derive(Clone, Debug)]
pub struct Lane {
    /// As in the spec.
    valid: Span,
    /// As in the spec: shared with other accounts.
    meter: Arc<Meter>,
    /// The versions around its own that time usage by its start, where others do not.
    pub(super) run: Option<Box<Span>>,
    /// Sorted by time, never overlapping.
    pub(super) segments: Vec<SegmentCounts>,
    /// The segment hit last: events mostly come in runs.
    pub(super) latest: usize,
    /// When the first and the last segment begin.
    starts_s: (i64, i64),
    /// The earliest time of usage counted or taken back since it was last asked.
    touched: Option<Instant>,
    /// The scope of events that say nothing about whose they are within the account.
    plain: Option<u32>,
    has_deck: bool,
    has_dimensions: bool,
    /// Step of rounding each event up, in 10⁻⁹ units; 0: none.
    step: i128,
    pub(super) rest: Box<Rest>,
}

/// What a lane is, and its scopes.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub spec: LaneSpec,
    pub scopes: Vec<Scope>,
    pub scope_ids: HashMap<Box<[u8]>, u32, FixedState>,
    /// The scopes with a value of a dimension, in their order, by the dimension's place.
    by_value: HashMap<(usize, Box<str>), Vec<u32>, FixedState>,
    key_buffer: Vec<u8>,
    prefixes: Prefixes,
}

impl Lane {
    pub(super) fn new(spec: LaneSpec, run: Option<Span>) -> Lane {
        let step = match spec.meter.rounding {
            Rounding::EachUp(step) => nano(step).unwrap_or(0),
            Rounding::None | Rounding::SumUp(_) => 0,
        };
        let prefixes = spec.deck.as_deref().map(Prefixes::of).unwrap_or_default();
        Lane {
            valid: spec.valid,
            meter: spec.meter.clone(),
            run: run.map(Box::new),
            segments: Vec::new(),
            latest: 0,
            starts_s: (0, 0),
            touched: None,
            plain: None,
            has_deck: spec.deck.is_some(),
            has_dimensions: !spec.dimensions.is_empty(),
            step,
            rest: Box::new(Rest {
                spec,
                scopes: Vec::new(),
                scope_ids: HashMap::default(),
                by_value: HashMap::default(),
                key_buffer: Vec::new(),
                prefixes,
            }),
        }
    }

    /// What it counts.
    pub fn spec(&self) -> &LaneSpec {
        &self.rest.spec
    }

    /// The type of its events.
    pub(super) fn kind(&self) -> &str {
        &self.meter.event
    }

    /// Whether the meter's conditions hold.
    pub(super) fn matches(&self, event: &Event<'_>) -> bool {
        self.meter.filters.iter().all(|filter| holds(filter, event))
    }

    /// Notes the event's part in a share of one: its value, rounded where each event is. The share is filled where it is
    /// kept: copied, it would make the processor wait until it is written.
    pub(super) fn share(&self, event: &Event<'_>, share: &mut Share) -> Result<(), Problem> {
        let meter = &*self.meter;
        if let (Some(name), true) = (&meter.of, meter.aggregate != Aggregate::Count) {
            let value = event.attribute(name).ok_or_else(|| Problem::MissingAttribute(name.clone()))?;
            if meter.aggregate == Aggregate::Unique {
                share.distinct = distinct(value);
            } else {
                share.value = measured(name, value)?;
                if self.step > 0 {
                    share.value =
                        up_to_step(share.value, self.step).ok_or_else(|| Problem::TooLarge(name.clone()))?;
                }
            }
        }
        if matches!(meter.aggregate, Aggregate::Latest | Aggregate::TimeWeighted) {
            let mut hash = DefaultHasher::new();
            hash.write(event.source.as_bytes());
            hash.write_u8(0);
            hash.write(event.id.as_bytes());
            share.tie = hash.finish();
        }
        Ok(())
    }

    /// Finds the event's segment and scope; under a deck, its row decides the steps of its share.
    pub(super) fn place(&mut self, event: &Event<'_>, share: &mut Share) -> Result<Place, Problem> {
        let row = self.row(event, share)?;
        let segment = self.segment_at(share.at)?;
        let scope = self.scope_of(event, row);
        Ok(Place { segment, scope })
    }

    /// The scope of an event; under a deck, its row decides the steps of its share.
    pub(super) fn scope(&self, event: &Event<'_>, share: &mut Share) -> Result<Scope, Problem> {
        let row = self.row(event, share)?;
        Ok(self.new_scope(event, row))
    }

    /// The row of the deck for an event, which decides the steps of its share.
    fn row(&self, event: &Event<'_>, share: &mut Share) -> Result<Option<usize>, Problem> {
        if !self.has_deck {
            return Ok(None);
        }
        let Rest { spec, prefixes, .. } = &*self.rest;
        let Some(deck) = &spec.deck else { return Ok(None) };
        let number = event
            .attribute(&deck.destination)
            .ok_or_else(|| Problem::MissingAttribute(deck.destination.clone()))?;
        let found = match number {
            Value::Text(number) => prefixes.row(number),
            Value::Number(number) => prefixes.row(&number.to_string()),
        };
        let row = found.ok_or_else(|| Problem::NoRate(text_of(number)))?;
        let seconds = share.value / NANO + i128::from(share.value % NANO != 0);
        let started = event.start.unwrap_or_else(|| {
            let length = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            event.time.checked_sub(length).unwrap_or(event.time)
        });
        let steps = deck::steps(deck, row, &spec.zone, started, seconds);
        let too_large = || Problem::TooLarge(self.meter.of.clone().unwrap_or_default());
        share.deck = Some(steps.ok_or_else(too_large)?);
        Ok(Some(row))
    }

    pub(super) fn at_place(&self, place: Place) -> (Span, &Scope) {
        (self.segments[place.segment].span, &self.rest.scopes[place.scope as usize])
    }

    /// The counter of a place, for an event of this moment.
    pub(super) fn counter(&mut self, place: Place, at: Instant) -> &mut Counter {
        let segment = &mut self.segments[place.segment];
        segment.last = segment.last.max(at);
        segment.is_changed = true;
        let (aggregate, deck) = (self.meter.aggregate, self.has_deck);
        segment.counters.at(place.scope, || Counter::new(aggregate, deck))
    }

    fn scope_of(&mut self, event: &Event<'_>, row: Option<usize>) -> u32 {
        let tells = |name: &str| matches!(name, "application" | "project") || name.starts_with("tag:");
        let is_plain =
            row.is_none() && !self.has_dimensions && !event.attributes.iter().any(|(name, _)| tells(name));
        if is_plain && let Some(plain) = self.plain {
            return plain;
        }
        let scope = self.scope_by_key(event, row);
        if is_plain {
            self.plain = Some(scope);
        }
        scope
    }

    fn scope_by_key(&mut self, event: &Event<'_>, row: Option<usize>) -> u32 {
        let mut key = std::mem::take(&mut self.rest.key_buffer);
        key.clear();
        if let Some(row) = row {
            key.extend_from_slice(&(row as u32).to_le_bytes());
        }
        push_text(&mut key, event.attribute("application"));
        push_text(&mut key, event.attribute("project"));
        for dimension in &self.rest.spec.dimensions {
            push_text(&mut key, event.attribute(dimension));
        }
        for (name, value) in &event.attributes {
            if name.starts_with("tag:") {
                push_text(&mut key, Some(Value::Text(name)));
                push_text(&mut key, Some(*value));
            }
        }
        let id = match self.rest.scope_ids.get(key.as_slice()) {
            Some(id) => *id,
            None => {
                let scope = self.new_scope(event, row);
                // The same tags in another order are another key, but no other scope.
                let twin = || self.rest.scopes.iter().position(|known| *known == scope);
                let id = match if scope.tags.len() > 1 { twin() } else { None } {
                    Some(known) => known as u32,
                    None => self.push_scope(scope),
                };
                self.rest.scope_ids.insert(key.as_slice().into(), id);
                id
            }
        };
        self.rest.key_buffer = key;
        id
    }

    pub(super) fn push_scope(&mut self, scope: Scope) -> u32 {
        let Rest { spec, scopes, by_value, .. } = &mut *self.rest;
        let id = scopes.len() as u32;
        let named = spec.dimensions.iter().map(|name| scope.dimensions.get(name));
        for (place, value) in [scope.application.as_ref()].into_iter().chain(named).enumerate() {
            let Some(value) = value else { continue };
            by_value.entry((place, value.as_str().into())).or_default().push(id);
        }
        scopes.push(scope);
        id
    }

    /// The scopes with a value of an attribute; `None` when the lane does not know them apart by it.
    fn scopes_with(&self, name: &str, value: &str) -> Option<&[u32]> {
        let place = match name {
            "application" => 0,
            _ => self.rest.spec.dimensions.iter().position(|known| known == name)? + 1,
        };
        Some(self.rest.by_value.get(&(place, value.into())).map(Vec::as_slice).unwrap_or_default())
    }

    fn new_scope(&self, event: &Event<'_>, row: Option<usize>) -> Scope {
        let text = |name: &str| event.attribute(name).map(text_of);
        let spec = &self.rest.spec;
        let dimensions = spec.dimensions.iter().filter_map(|name| Some((name.clone(), text(name)?)));
        let tags = event
            .attributes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("tag:")?.to_owned(), text_of(*value))));
        let prefix = spec.deck.as_ref().zip(row).map(|(deck, row)| deck.rows[row].prefix.clone());
        Scope {
            application: text("application"),
            project: text("project"),
            dimensions: dimensions.collect(),
            tags: tags.collect(),
            prefix,
        }
    }

    /// The index of the segment that holds the moment, made when it is new.
    pub(super) fn segment_at(&mut self, at: Instant) -> Result<usize, Problem> {
        let guess = self.guess(at).unwrap_or(self.latest);
        if self.segments.get(guess).is_some_and(|segment| segment.span.contains(at)) {
            return Ok(guess);
        }
        if self.segments.get(self.latest).is_some_and(|segment| segment.span.contains(at)) {
            return Ok(self.latest);
        }
        let after = self.segments.partition_point(|segment| segment.span.start <= at);
        if let Some(before) = after.checked_sub(1)
            && self.segments[before].span.contains(at)
        {
            self.latest = before;
            return Ok(before);
        }
        let spec = &self.rest.spec;
        if !YEARS.contains(&spec.zone.local(at).year()) {
            return Err(Problem::TimeOutOfRange);
        }
        let mut span = spec.zone.cycle(spec.cycle, at);
        let next_cut = spec.cuts.partition_point(|cut| *cut <= at);
        if let Some(cut) = spec.cuts.get(next_cut) {
            span.end = span.end.min(*cut);
        }
        if let Some(cut) = next_cut.checked_sub(1).map(|index| spec.cuts[index]) {
            span.start = span.start.max(cut);
        }
        let (last, counters) = (span.start, ScopeCounters::default());
        self.segments.insert(after, SegmentCounts { span, last, counters, is_changed: true });
        self.note_starts();
        self.latest = after;
        Ok(after)
    }

    /// Where a moment's segment is, if segments follow one another without a gap and are as long as one another.
    fn guess(&self, at: Instant) -> Option<usize> {
        let (first_s, last_s) = self.starts_s;
        let into_s = u64::try_from(at.as_second() - first_s).ok()?;
        let all_s = u64::try_from(last_s - first_s).ok().filter(|all_s| *all_s > 0)?;
        // Of n segments, n − 1 lie between the two starts.
        let between = self.segments.len() as u64 - 1;
        Some((into_s.checked_mul(between)? / all_s).min(between) as usize)
    }

    /// Notes where segments begin, after one has come or gone.
    pub(super) fn note_starts(&mut self) {
        let start_s = |segment: Option<&SegmentCounts>| segment.map_or(0, |one| one.span.start.as_second());
        self.starts_s = (start_s(self.segments.first()), start_s(self.segments.last()));
    }

    /// Asks early for what counting an event of this moment will look at, as far as the steps before have brought it
    /// near. The answer means nothing.
    pub(super) fn touch_early(&self, step: u8, at: Instant) -> u64 {
        match step {
            0 => self.segments.len() as u64 ^ self.step as u64,
            1 => {
                let place = self.guess(at).unwrap_or(self.latest);
                self.segments.get(place).map_or(0, |segment| {
                    let first =
                        segment.counters.first.as_ref().map_or(0, |(_, counter)| counter.events as u64);
                    segment.span.start.as_second() as u64 ^ first
                })
            }
            _ => 0,
        }
    }

    /// Cuts segments at a moment; answers whether one that has counted holds it inside.
    pub(super) fn cut(&mut self, at: Instant) -> bool {
        let cuts = &mut self.rest.spec.cuts;
        let place = cuts.partition_point(|cut| *cut < at);
        if cuts.get(place) == Some(&at) {
            return false;
        }
        cuts.insert(place, at);
        let after = self.segments.partition_point(|segment| segment.span.start < at);
        let Some(index) = after.checked_sub(1).filter(|index| at < self.segments[*index].span.end) else {
            return false;
        };
        self.latest = 0;
        let segment = &mut self.segments[index];
        if segment.counters.iter().all(|(_, counter)| counter.events == 0) {
            self.segments.remove(index);
            self.note_starts();
            return false;
        }
        if segment.last < at {
            // All that was counted lies before; what comes makes a segment of its own.
            segment.span.end = at;
            segment.is_changed = true;
            return false;
        }
        true
    }

    /// The segments that overlap the span, with their counters in the order of scopes.
    pub fn segments(&self, within: Span) -> impl Iterator<Item = (Span, Vec<(&Scope, &Counter)>)> {
        self.segments_of(within, None, |_| true)
    }

    /// The same, of some scopes only. `bound`: a value that all of these have, so that the others
    /// need not be looked at.
    pub fn segments_of(
        &self,
        within: Span,
        bound: Option<(&str, &str)>,
        keep: impl Fn(&Scope) -> bool,
    ) -> impl Iterator<Item = (Span, Vec<(&Scope, &Counter)>)> {
        let candidates: Option<Vec<u32>> = bound
            .and_then(|(name, value)| self.scopes_with(name, value))
            .map(|all| all.iter().copied().filter(|id| keep(&self.rest.scopes[*id as usize])).collect());
        let from = self.segments.partition_point(|segment| segment.span.end <= within.start);
        self.segments[from..].iter().take_while(move |segment| segment.span.start < within.end).map(
            move |segment| {
                let mut counters: Vec<_> = match &candidates {
                    Some(all) if all.len() < segment.counters.len() => all
                        .iter()
                        .filter_map(|id| Some((&self.rest.scopes[*id as usize], segment.counters.get(*id)?)))
                        .filter(|(_, counter)| counter.events > 0)
                        .collect(),
                    _ => segment
                        .counters
                        .iter()
                        .filter(|(_, counter)| counter.events > 0)
                        .map(|(scope, counter)| (&self.rest.scopes[scope as usize], counter))
                        .filter(|(scope, _)| keep(scope))
                        .collect(),
                };
                counters.sort_by_key(|(scope, _)| *scope);
                (segment.span, counters)
            },
        )
    }

    pub(super) fn span_of(&self, segment: usize) -> Span {
        self.segments[segment].span
    }

    /// The counters that overlap the span, each with the number of its scope and the start of its segment.
    pub(super) fn counted_in(&self, within: Span) -> impl Iterator<Item = (Instant, u32, &Counter)> {
        let from = self.segments.partition_point(|segment| segment.span.end <= within.start);
        let inside = self.segments[from..].iter().take_while(move |segment| segment.span.start < within.end);
        let counters = inside.flat_map(|segment| {
            segment.counters.iter().map(|(scope, counter)| (segment.span.start, scope, counter))
        });
        counters.filter(|(_, _, counter)| counter.events > 0)
    }

    /// The start of the latest segment.
    pub(super) fn last_counted(&self) -> Option<Instant> {
        self.segments.last().map(|segment| segment.span.start)
    }

    /// Remembers that usage of this time was counted or taken back.
    pub(super) fn touch(&mut self, at: Instant) {
        self.touched = Some(self.touched.map_or(at, |earliest| earliest.min(at)));
    }

    /// The earliest time touched since the last call.
    pub(super) fn take_touched(&mut self) -> Option<Instant> {
        self.touched.take()
    }

    pub(super) fn merge(&mut self, other: Lane) -> Result<(), OutOfRange> {
        if let Some(at) = other.touched {
            self.touch(at);
        }
        let mut ids: Vec<Option<u32>> = vec![None; other.rest.scopes.len()];
        for (key, id) in &other.rest.scope_ids {
            ids[*id as usize] = ids[*id as usize].or(self.rest.scope_ids.get(key).copied());
        }
        for (id, scope) in ids.iter_mut().zip(other.rest.scopes) {
            if id.is_none() {
                *id = Some(self.push_scope(scope));
            }
        }
        let id_of = |scope: u32| ids[scope as usize].unwrap_or(0);
        for (key, id) in other.rest.scope_ids {
            self.rest.scope_ids.entry(key).or_insert_with(|| id_of(id));
        }
        for segment in other.segments {
            let Ok(index) = self.segment_at(segment.span.start) else { continue };
            for (scope, counter) in segment.counters.into_iter() {
                self.counter(Place { segment: index, scope: id_of(scope) }, segment.last).merge(&counter)?;
            }
        }
        Ok(())
    }
}

fn holds(filter: &Filter, event: &Event<'_>) -> bool {
    let Some(value) = event.attribute(&filter.attribute) else { return false };
    let is = |text: &String| match value {
        Value::Text(value) => value == text,
        Value::Number(number) => Exact::parse(text, 9) == Ok(number),
    };
    match &filter.test {
        Test::OneOf(texts) => texts.iter().any(is),
        Test::NoneOf(texts) => !texts.iter().any(is),
        Test::Between(from, to) => value.number().is_some_and(|number| *from <= number && number <= *to),
    }
}

/// The value of an attribute in 10⁻⁹ units.
fn measured(name: &str, value: Value<'_>) -> Result<i128, Problem> {
    let number = value.number().ok_or_else(|| {
        let text = text_of(value);
        if Exact::parse(&text, 9) == Err(DecimalError::TooLarge) {
            let name = name.to_owned();
            return if text.starts_with('-') { Problem::Negative(name) } else { Problem::TooLarge(name) };
        }
        Problem::NotANumber(name.to_owned(), text.chars().take(40).collect())
    })?;
    if number.is_negative() {
        return Err(Problem::Negative(name.to_owned()));
    }
    nano(number).ok_or_else(|| Problem::TooLarge(name.to_owned()))
}

/// In 10⁻⁹ units; `None` when there are more decimals or too many digits (above 10²⁴).
fn nano(number: Exact) -> Option<i128> {
    let (numerator, denominator) = (number.numerator(), number.denominator());
    let units = if denominator == 1 {
        numerator.checked_mul(NANO)?
    } else if NANO % denominator == 0 {
        numerator.checked_mul(NANO / denominator)?
    } else {
        return None;
    };
    (units < 10i128.pow(33)).then_some(units)
}

/// Up to a multiple of the step. Most values fit 64 bits, where division is several times faster.
fn up_to_step(value: i128, step: i128) -> Option<i128> {
    if let (Ok(value), Ok(step)) = (u64::try_from(value), u64::try_from(step))
        && let Some(rounded) = value.div_ceil(step).checked_mul(step)
    {
        return Some(i128::from(rounded));
    }
    let steps = value / step + i128::from(value % step != 0);
    steps.checked_mul(step)
}

fn text_of(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

/// A key's part: its length and bytes; a missing value differs from an empty one.
pub(super) fn push_text(key: &mut Vec<u8>, value: Option<Value<'_>>) {
    match value {
        None => key.extend_from_slice(&u32::MAX.to_le_bytes()),
        Some(Value::Text(text)) => {
            key.extend_from_slice(&(text.len() as u32).to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
        Some(Value::Number(number)) => push_text(key, Some(Value::Text(&number.to_string()))),
    }
}

fn distinct(value: Value<'_>) -> u128 {
    let text = text_of(value);
    let half = |seed: u8| {
        let mut hash = DefaultHasher::new();
        hash.write_u8(seed);
        hash.write(text.as_bytes());
        u128::from(hash.finish())
    };
    half(0) << 64 | half(1)
}
