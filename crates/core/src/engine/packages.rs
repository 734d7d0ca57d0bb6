//! Packages: whose they are and who may draw from them; their buckets open, are drawn and expire.
//!
//! What opens and ends a bucket is read off the subscriptions, at each moment at which something of
//! them changes: however a term began, was renewed or given up, its buckets follow.

use super::{ApplyError, Catalogues, Desk, due};
use crate::account::{Group, View};
use crate::bill::Line;
use crate::calendar::{Cycle, Instant, Span, Zone};
use crate::catalog::{Catalogue, Charge, Grant, Measure, PastPackage, Plan, Settle};
use crate::ledger::{Posting, QuotaSide};
use crate::money::{Exact, OutOfRange};
use crate::notice::Notice;
use crate::package::{Bucket, Draw, Missed, Share, quota_period};
use crate::quantity::count_of;
use crate::settlement::Allotted;
use crate::subscription::Subscription;
use crate::term::PaidPeriod;
use std::collections::BTreeSet;
use std::fmt;

/// What can be wished.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Let members draw from the packages of a subscription, from now on (R-ORG-1).
    Share {
        /// The subscription.
        subscription: String,
        /// The members.
        members: Vec<String>,
    },
    /// Let no member draw from them any longer.
    Keep {
        /// The subscription.
        subscription: String,
    },
}

/// What happened. `payer` is the account whose ledger holds the bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A bucket was opened.
    Opened {
        /// The account that pays.
        payer: String,
        /// The bucket.
        bucket: Box<Bucket>,
        /// Its units.
        postings: Vec<Posting>,
    },
    /// A bucket was given another end: its subscription was renewed, or ended.
    EndMoved {
        /// The account that pays.
        payer: String,
        /// The bucket.
        bucket: String,
        /// The end of the usage time that it serves.
        end: Instant,
        /// When what is left expires.
        expires: Instant,
        /// The days before a late renewal, which it does not serve.
        gap: Option<Span>,
        /// Units that had expired and are there again.
        postings: Vec<Posting>,
    },
    /// What was left of a bucket expired.
    Expired {
        /// The account that pays.
        payer: String,
        /// The bucket.
        bucket: String,
        /// The units.
        postings: Vec<Posting>,
    },
    /// Usage drew units, or gave them back.
    Drawn {
        /// The account that pays.
        payer: String,
        /// Whose usage, from which bucket.
        draws: Vec<Draw>,
        /// The movements, by bucket.
        postings: Vec<Posting>,
    },
    /// Usage that lines have charged drew units, and its charge is not due yet: the next line gives
    /// back what was charged for them.
    Credited {
        /// The account that pays.
        payer: String,
        /// This part of what was drawn.
        draws: Vec<Draw>,
    },
    /// Usage went past a bucket while sessions held what was left of it: what they let go credits it
    /// first.
    Missed {
        /// The account that pays.
        payer: String,
        /// The bucket.
        bucket: String,
        /// The charges, all of them.
        charges: Missed,
    },
    /// A remaining quota was reached at which to alert (R-PKG-4).
    Alerted {
        /// The account that pays.
        payer: String,
        /// The bucket.
        bucket: String,
        /// Which of its alerts.
        alert: usize,
    },
    /// Members may draw.
    Shared {
        /// The account that pays.
        payer: String,
        /// Whose packages.
        account: String,
        /// Of which subscription.
        subscription: String,
        /// The members, and from when.
        shares: Vec<Share>,
    },
    /// Members may draw no longer.
    Kept {
        /// The account that pays.
        payer: String,
        /// Whose packages.
        account: String,
        /// Of which subscription.
        subscription: String,
        /// From when.
        at: Instant,
    },
}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The plan has a minimum (R-TCCC-5).
    BelowMinimum {
        /// The plan.
        plan: String,
        /// What a unit is called.
        unit: String,
        /// The fewest units.
        minimum: u32,
        /// The units wished.
        wished: i64,
    },
    /// The subscription brings no packages.
    NoPackage(String),
    /// The account is no member of the owner's group.
    NotAMember {
        /// Who owns the package.
        owner: String,
        /// The other account.
        account: String,
        /// The members there are.
        members: Vec<String>,
    },
}

/// Every code of these refusals.
pub const CODES: &[&str] = &["below-minimum", "no-package", "not-a-member"];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::BelowMinimum { .. } => "below-minimum",
            Refusal::NoPackage(_) => "no-package",
            Refusal::NotAMember { .. } => "not-a-member",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, _zone: &Zone) -> String {
        self.to_string()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BelowMinimum { plan, unit, minimum, wished } => {
                let least = count_of(Exact::whole((*minimum).into()), unit);
                write!(f, "{plan} is sold from {least} on, not {wished}")
            }
            Refusal::NoPackage(name) => write!(f, "{name} brings no package that could be shared or kept"),
            Refusal::NotAMember { owner, account, members } if members.is_empty() => {
                write!(f, "{account} is no member of {owner}, which has none")
            }
            Refusal::NotAMember { owner, account, members } => {
                write!(f, "{account} is no member of {owner}; its members are {}", members.join(", "))
            }
        }
    }
}

pub(super) fn decide(desk: &Desk<'_>, action: &Action) -> Result<Vec<super::Fact>, super::Refusal> {
    let (payer, account) = (desk.payer.id.clone(), desk.account.id.clone());
    let (Action::Share { subscription: name, .. } | Action::Keep { subscription: name }) = action;
    let subscription = desk.running(name)?;
    let plan = desk.catalogues.as_sold(subscription, desk.at);
    if plan.is_none_or(|(_, plan)| plan.grants.is_empty()) {
        return Err(Refusal::NoPackage(name.clone()).into());
    }
    let subscription = name.clone();
    match action {
        Action::Share { members, .. } => {
            let known = desk.view.members(&account);
            if let Some(stranger) = members.iter().find(|member| !known.contains(member)) {
                let (owner, account) = (account, stranger.clone());
                return Err(Refusal::NotAMember { owner, account, members: known }.into());
            }
            let already = desk.view.shares(&payer, &account, &subscription);
            let valid = Span { start: desk.at, end: Instant::MAX };
            let draws = |member: &&String| {
                already.iter().any(|share| share.member == **member && share.valid.contains(desk.at))
            };
            let new = members.iter().filter(|member| !draws(member));
            let shares: Vec<Share> = new.map(|member| Share { member: member.clone(), valid }).collect();
            if shares.is_empty() {
                return Ok(Vec::new());
            }
            Ok(vec![Fact::Shared { payer, account, subscription, shares }.into()])
        }
        Action::Keep { .. } => Ok(vec![Fact::Kept { payer, account, subscription, at: desk.at }.into()]),
    }
}

impl From<Fact> for super::Fact {
    fn from(fact: Fact) -> super::Fact {
        super::Fact::Packages(fact)
    }
}

/// Refuses an order of fewer units than the plan's minimum (R-TCCC-5).
pub(super) fn check_order(plan: &Plan, quantity: i64) -> Result<(), Refusal> {
    if quantity >= i64::from(plan.minimum_quantity) {
        return Ok(());
    }
    let (plan, unit, minimum) = (plan.id.clone(), plan.unit.clone(), plan.minimum_quantity);
    Err(Refusal::BelowMinimum { plan, unit, minimum, wished: quantity })
}

/// The facts of what a settlement drew.
pub(super) fn drawn(desk: &Desk<'_>, allotted: Allotted) -> Result<Vec<super::Fact>, super::Refusal> {
    let payer = desk.payer.id.clone();
    let mut facts = Vec::new();
    let Allotted { draws, credited, postings, alerts, missed } = allotted;
    if !draws.is_empty() {
        facts.push(Fact::Drawn { payer: payer.clone(), draws, postings }.into());
    }
    if !credited.is_empty() {
        facts.push(Fact::Credited { payer: payer.clone(), draws: credited }.into());
    }
    for (bucket, charges) in missed {
        facts.push(Fact::Missed { payer: payer.clone(), bucket, charges }.into());
    }
    for (id, alert, left) in alerts {
        let Some(bucket) = desk.view.bucket(&payer, &id) else { continue };
        let granted = desk.view.units(&payer, &id).granted;
        let notice = notice(bucket, alert, left, granted, desk.at);
        facts.push(Fact::Alerted { payer: payer.clone(), bucket: id, alert }.into());
        facts.push(super::Fact::Noticed { payer: payer.clone(), notice });
    }
    Ok(facts)
}

fn notice(bucket: &Bucket, alert: usize, left: Exact, granted: Exact, at: Instant) -> Notice {
    let reached = bucket.alerts.get(alert).map(ToString::to_string).unwrap_or_default();
    let text = format!(
        "{}: {left} of {} left, at or below {reached}",
        bucket.title,
        count_of(granted, &bucket.unit)
    );
    Notice::to_customer(at, &bucket.account, Some(&bucket.subscription), "quota-low", text)
}

/// Units of a month that went past all packages where that is refused: charged so far, and by lines
/// that are posted now.
fn units_past(
    view: &dyn View,
    zone: &Zone,
    account: &str,
    subscription: &str,
    charge: &Charge,
    month: Span,
    lines: &[Line],
) -> Result<(Exact, Exact), OutOfRange> {
    let mut at = zone.cycle(charge.accumulate, month.start).start;
    let mut before = Exact::ZERO;
    while at < month.end {
        for (_, charged) in view.charged(account, subscription, &charge.id, at) {
            before = before.add(charged.quantity)?;
        }
        at = zone.cycle(charge.accumulate, at).end;
    }
    let of_charge = |line: &&Line| {
        line.account == account
            && line
                .key
                .as_ref()
                .is_some_and(|key| key.subscription == subscription && key.charge == charge.id)
            && month.contains(line.period.start)
    };
    let now = lines.iter().filter(of_charge).try_fold(Exact::ZERO, |sum, line| sum.add(line.quantity))?;
    Ok((before, now))
}

/// The note on a bill about use past all packages, where that is refused (RULES.md §3, no. 14).
pub(super) fn past_note(
    view: &dyn View,
    catalogue: &Catalogue,
    account: &str,
    subscription: &Subscription,
    charge: &Charge,
    month: Span,
    lines: &[Line],
) -> Option<String> {
    let Measure::Meter(meter) = &charge.measure else { return None };
    if charge.past_package != PastPackage::Refuse {
        return None;
    }
    let name = &subscription.name;
    let (before, now) = units_past(view, &catalogue.zone, account, name, charge, month, lines).ok()?;
    let units = before.add(now).ok().filter(|units| *units > Exact::ZERO)?;
    let unit = catalogue.meters.get(meter).map_or("unit", |meter| meter.unit.as_str());
    Some(format!("{name}: {} went past all packages; new use is refused then", count_of(units, unit)))
}

/// Tells of use past all packages where that is refused, once a month (RULES.md §3, no. 14).
pub(super) fn past(desk: &Desk<'_>, lines: &[Line]) -> Vec<super::Fact> {
    let mut told: BTreeSet<(&str, &str, &str, Instant)> = BTreeSet::new();
    let mut facts = Vec::new();
    for line in lines.iter().filter(|line| line.quantity > Exact::ZERO) {
        let Some(key) = &line.key else { continue };
        let Some(subscription) = desk.view.subscription(&line.account, &key.subscription) else { continue };
        let at = line.period.start;
        let plan = desk.catalogues.charging(subscription, subscription.plan_at(at), at);
        let charge = plan.and_then(|(list, plan)| Some((list, plan.charge(&key.charge)?)));
        let Some((list, charge)) = charge.filter(|(_, charge)| charge.past_package == PastPackage::Refuse)
        else {
            continue;
        };
        let month = list.zone.cycle(Cycle::Month, line.period.start);
        let units = units_past(desk.view, &list.zone, &line.account, &key.subscription, charge, month, &[]);
        let first = units.is_ok_and(|(before, _)| before <= Exact::ZERO);
        if !first || !told.insert((&line.account, &key.subscription, &key.charge, month.start)) {
            continue;
        }
        let text = format!(
            "{}: {} went past all packages; new use is refused",
            line.title,
            count_of(line.quantity, &line.unit)
        );
        let subscription = Some(key.subscription.as_str());
        let notice = Notice::to_customer(desk.at, &line.account, subscription, "quota-exhausted", text);
        facts.push(super::Fact::Noticed { payer: desk.payer.id.clone(), notice });
    }
    facts
}

/// What is wrong with a subscription's buckets at a moment.
enum Due<'a> {
    /// A quota period has no bucket yet.
    Open(&'a Subscription, &'a Catalogue, &'a Grant, Span, Instant),
    /// A bucket ends elsewhere than it says, and serves its usage without the span.
    Move(&'a Bucket, Instant, Option<Span>),
}

/// What is to be done about the buckets of an account at a moment.
fn dues<'a>(desk: &Look<'a>, account: &str, at: Instant, tell: &mut dyn FnMut(Due<'a>)) {
    // Of what ended before, the bucket has ended too.
    for subscription in desk.view.subscriptions_since(account, due::just_before(at)) {
        let name = &subscription.name;
        let runs = subscription.span();
        // A prepaid term keeps what it was sold with.
        let sold = desk.catalogues.as_sold(subscription, at).filter(|_| runs.contains(at));
        let paid_from = paid_at(subscription, at).map(|period| period.span.start);
        for bucket in desk.view.latest_buckets(desk.payer, account, name) {
            let has = sold.is_some_and(|(_, plan)| {
                // What a period was begun with it keeps.
                let begun = paid_from.is_some_and(|from| from <= bucket.span.start);
                plan.id == bucket.plan && (begun || plan.grant(&bucket.grant).is_some())
            });
            if bucket.span.contains(at) && !has {
                // Given up, changed to another plan, or renewed by a price list without it.
                let renewed = sold.filter(|(_, plan)| plan.id == bucket.plan).and(paid_from);
                tell(Due::Move(bucket, renewed.unwrap_or(at).min(runs.end).max(bucket.span.start), None));
            } else if bucket.span.contains(at) && runs.end < bucket.span.end {
                tell(Due::Move(bucket, runs.end, None));
            }
        }
        let Some((catalogue, plan)) = sold else { continue };
        for grant in &plan.grants {
            let Some((period, ordered)) = quota_period(subscription, grant, catalogue, at) else { continue };
            let latest = desk.view.latest_bucket(desk.payer, account, name, &grant.id);
            match latest {
                // Another plan's ends now: this one serves from now on (R-PKG-2).
                Some((_, bucket)) if bucket.plan != subscription.plan => {
                    let start = period.start.max(bucket.span.end.min(at));
                    tell(Due::Open(subscription, catalogue, grant, Span { start, ..period }, ordered));
                }
                Some((_, bucket)) if period.start <= bucket.span.start => {
                    if bucket.span.end < period.end {
                        // What is bought late serves from its purchase on (R-PKG-2).
                        let gap = Span { start: bucket.span.end, end: ordered };
                        tell(Due::Move(bucket, period.end, (!gap.is_empty()).then_some(gap)));
                    }
                }
                Some((_, bucket)) if bucket.span.contains(at) => {}
                latest => {
                    let after = latest.map_or(period.start, |(_, bucket)| bucket.span.end);
                    // What a renewal brought anew begins with it.
                    let start = period.start.max(after).max(ordered).max(paid_from.unwrap_or(ordered));
                    tell(Due::Open(subscription, catalogue, grant, Span { start, ..period }, ordered));
                }
            }
        }
    }
}

/// What was paid for around a moment.
fn paid_at(subscription: &Subscription, at: Instant) -> Option<&PaidPeriod> {
    subscription.term.as_ref().and_then(|term| term.paid_at(at))
}

/// The packages that a subscription brings at a moment, by name.
fn grants_at<'c>(catalogues: &'c Catalogues, subscription: &Subscription, at: Instant) -> BTreeSet<&'c str> {
    let sold = catalogues.as_sold(subscription, at);
    sold.into_iter().flat_map(|(_, plan)| &plan.grants).map(|grant| grant.id.as_str()).collect()
}

/// Where buckets are looked after.
struct Look<'a> {
    view: &'a dyn View,
    catalogues: &'a Catalogues,
    payer: &'a str,
}

/// The first moment, from one on, at which a bucket of a payer and its members opens, moves its end
/// or expires.
pub(super) fn next_due(
    view: &dyn View,
    catalogues: &Catalogues,
    payer: &str,
    from: Instant,
) -> Option<Instant> {
    let expires = view.first_to_expire(payer).map(|bucket| bucket.expires.max(from));
    if !catalogues.iter().flat_map(Catalogue::plans).any(|plan| !plan.grants.is_empty()) {
        return expires;
    }
    let look = Look { view, catalogues, payer };
    let mut next = expires;
    let mut at_most = |at: Instant| next = Some(next.map_or(at, |known| known.min(at)));
    for account in due::group(view, payer) {
        let mut now = false;
        dues(&look, &account, from, &mut |_| now = true);
        if now {
            at_most(from);
            continue;
        }
        for subscription in view.subscriptions_since(&account, due::just_before(from)) {
            let ends = subscription.span().end;
            // Where a renewal was sold with other packages.
            if let Some(renewed) = paid_at(subscription, from).map(|period| period.span.end)
                && renewed < ends
                && grants_at(catalogues, subscription, from) != grants_at(catalogues, subscription, renewed)
            {
                at_most(renewed);
            }
            for bucket in view.latest_buckets(payer, &account, &subscription.name) {
                // The next period, as far as the subscription goes on.
                if from <= bucket.span.end && bucket.span.end < ends {
                    at_most(bucket.span.end);
                }
            }
        }
    }
    next
}

/// Opens, moves and expires what is due.
pub(super) fn follow(desk: &Desk<'_>) -> Result<Vec<super::Fact>, super::Refusal> {
    let payer = &desk.payer.id;
    let mut facts: Vec<super::Fact> = Vec::new();
    let look = Look { view: desk.view, catalogues: desk.catalogues, payer };
    for account in due::group(desk.view, payer) {
        let mut found = Vec::new();
        dues(&look, &account, desk.at, &mut |due| found.push(due));
        for due in found {
            match due {
                Due::Open(subscription, catalogue, grant, span, ordered) => {
                    facts.extend(opened(desk, &account, (subscription, catalogue, grant), span, ordered)?);
                }
                Due::Move(bucket, end, gap) => facts.push(moved(desk, bucket, end, gap)),
            }
        }
    }
    for bucket in desk.view.expiring(payer, desk.at) {
        let left = desk.view.units(payer, &bucket.id).available;
        let sides = (QuotaSide::Available, QuotaSide::Expired);
        let postings = bucket.posting(desk.at, "expired of", sides, left).into_iter().collect();
        facts.push(Fact::Expired { payer: payer.clone(), bucket: bucket.id.clone(), postings }.into());
    }
    Ok(facts)
}

fn opened(
    desk: &Desk<'_>,
    account: &str,
    (subscription, catalogue, grant): (&Subscription, &Catalogue, &Grant),
    span: Span,
    ordered: Instant,
) -> Result<Option<super::Fact>, OutOfRange> {
    // Usage before it came was another system's (R-OPEN-1).
    let span = Span { start: span.start.max(subscription.migrated().unwrap_or(span.start)), ..span };
    let payer = &desk.payer.id;
    let units = Exact::whole(subscription.quantity_at(desk.at).into()).mul(grant.units)?;
    if span.is_empty() {
        return Ok(None);
    }
    let latest = desk.view.latest_bucket(payer, account, &subscription.name, &grant.id);
    let number = latest.map_or(1, |(number, _)| number + 1);
    let own = &subscription.attributes;
    let scope = grant.scope.iter().filter_map(|name| Some((name.clone(), own.get(name)?.clone())));
    let bucket = Bucket {
        id: format!("{account}/{}/{}/{number}", subscription.name, grant.id),
        account: account.to_owned(),
        subscription: subscription.name.clone(),
        plan: subscription.plan.clone(),
        grant: grant.id.clone(),
        title: grant.title.clone(),
        catalogue: catalogue.id.clone(),
        meter: grant.meter.clone(),
        unit: catalogue
            .meters
            .get(&grant.meter)
            .map_or_else(|| "unit".to_owned(), |meter| meter.unit.clone()),
        expires: expiry(desk.catalogues, &catalogue.id, &grant.meter, grant.late_days, span.end),
        span,
        gaps: Vec::new(),
        ordered,
        kind: grant.kind,
        origin: grant.origin,
        scope: scope.collect(),
        alerts: grant.alerts.clone(),
        rules: grant.rules.clone(),
    };
    let sides = (QuotaSide::Granted, QuotaSide::Available);
    let mut postings: Vec<Posting> =
        bucket.posting(desk.at, "granted to", sides, units).into_iter().collect();
    // What another system saw used is drawn here, once (R-OPEN-1).
    let before = subscription.term.as_ref().and_then(|term| term.used_before.get(&grant.id));
    if let (Some(used), 1) = (before, number) {
        let sides = (QuotaSide::Available, QuotaSide::Drawn);
        postings.extend(bucket.posting(desk.at, "used before, of", sides, *used));
    }
    Ok(Some(Fact::Opened { payer: payer.clone(), bucket: Box::new(bucket), postings }.into()))
}

fn moved(desk: &Desk<'_>, bucket: &Bucket, end: Instant, gap: Option<Span>) -> super::Fact {
    let payer = &desk.payer.id;
    let grant = desk
        .catalogues
        .versions(&bucket.catalogue)
        .find_map(|list| list.plan(&bucket.plan)?.1.grant(&bucket.grant));
    let late_days = grant.map_or(0, |grant| grant.late_days);
    let expires = expiry(desk.catalogues, &bucket.catalogue, &bucket.meter, late_days, end);
    let mut postings = Vec::new();
    if desk.view.is_expired(payer, bucket) {
        let gone = desk.view.units(payer, &bucket.id).expired;
        let sides = (QuotaSide::Expired, QuotaSide::Available);
        postings.extend(bucket.posting(desk.at, "there again in", sides, gone));
    }
    let (payer, bucket) = (payer.clone(), bucket.id.clone());
    Fact::EndMoved { payer, bucket, end, expires, gap, postings }.into()
}

/// When what is left of a bucket expires: so many days after its end, and not before the settlement
/// of its last usage.
fn expiry(catalogues: &Catalogues, catalogue: &str, meter: &str, late_days: u16, end: Instant) -> Instant {
    let day = jiff::SignedDuration::from_hours(24 * i64::from(late_days));
    let late = end.checked_add(day).unwrap_or(Instant::MAX);
    let draws =
        |charge: &&Charge| charge.draws && matches!(&charge.measure, Measure::Meter(known) if known == meter);
    let settled = catalogues.versions(catalogue).flat_map(|list| {
        let charges = list.plans().flat_map(|plan| &plan.charges).filter(draws);
        charges.filter_map(|charge| match charge.settle {
            Settle::Each(cycle) => Some(list.zone.boundary_from(cycle, end)),
            Settle::AtPurchase => None,
        })
    });
    let settled = if end == Instant::MAX { None } else { settled.max() };
    late.max(settled.unwrap_or(late))
}

impl Group {
    pub(super) fn apply_packages(&mut self, fact: &Fact) -> Result<(), ApplyError> {
        match fact {
            Fact::Opened { payer, bucket, postings } => {
                let account = self.account_mut(payer)?;
                account.packages.open((**bucket).clone());
                account.ledger.post_all(postings)?;
            }
            Fact::EndMoved { payer, bucket, end, expires, gap, postings } => {
                let account = self.account_mut(payer)?;
                let known = account.packages.set_end(bucket, *end, *expires, *gap);
                known.ok_or_else(|| ApplyError(format!("no bucket {bucket}")))?;
                account.ledger.post_all(postings)?;
            }
            Fact::Expired { payer, bucket, postings } => {
                let account = self.account_mut(payer)?;
                let known = account.packages.expire(bucket);
                known.ok_or_else(|| ApplyError(format!("no bucket {bucket}")))?;
                account.ledger.post_all(postings)?;
            }
            Fact::Drawn { payer, draws, postings } => {
                for draw in draws {
                    let account = self.account_mut(&draw.account)?;
                    let drawn = &mut account.charged.entry(draw.key.clone()).or_default().drawn;
                    let units = drawn.entry(draw.bucket.clone()).or_default();
                    *units = units.add(draw.units)?;
                    drawn.retain(|_, units| !units.is_zero());
                }
                self.account_mut(payer)?.ledger.post_all(postings)?;
            }
            Fact::Credited { draws, .. } => {
                for draw in draws {
                    let charged = &mut self.account_mut(&draw.account)?.charged;
                    let credited = &mut charged.entry(draw.key.clone()).or_default().credited;
                    *credited = credited.add(draw.units)?;
                }
            }
            Fact::Missed { payer, bucket, charges } => {
                self.account_mut(payer)?.packages.set_missed(bucket, charges.clone());
            }
            Fact::Alerted { payer, bucket, alert } => {
                self.account_mut(payer)?.packages.alerted(bucket, *alert);
            }
            Fact::Shared { payer, account, subscription, shares } => {
                let packages = &mut self.account_mut(payer)?.packages;
                shares.iter().for_each(|share| packages.share(account, subscription, share.clone()));
            }
            Fact::Kept { payer, account, subscription, at } => {
                self.account_mut(payer)?.packages.keep(account, subscription, *at);
            }
        }
        Ok(())
    }
}
