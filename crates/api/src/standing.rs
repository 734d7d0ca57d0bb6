//! Where an account stands: its life, what it was told, budgets, packages, licences, renewals.

use crate::account::until;
use crate::bill::{Period, period};
use farebox_core::account::{Account, AccountHead, Group, View};
use farebox_core::budget;
use farebox_core::calendar::{Instant, Span};
use farebox_core::engine::budgets::{percent, spent};
use farebox_core::engine::lifecycle::{costs, grace, owed, standing_at, state_name};
use farebox_core::engine::terms;
use farebox_core::engine::{Catalogues, provided};
use farebox_core::licence::{self, Application, LicenceKey};
use farebox_core::lifecycle::State;
use farebox_core::metering::Metering;
use farebox_core::notice;
use farebox_core::package::{Bucket, Units};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Where an account and its subscriptions stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lifecycle {
    /// The account.
    pub account: String,
    /// The account that pays.
    pub payer: String,
    /// The tier, of a member its payer's; `null`: it pays by invoice.
    pub tier: Option<String>,
    /// Since when the account is suspended.
    pub suspended_at: Option<String>,
    /// Since when its payer owes what it should have paid.
    pub arrears_since: Option<String>,
    /// What the payer owes; of a member `null`.
    pub owed: Option<String>,
    /// Each subscription.
    pub subscriptions: Vec<Standing>,
    /// How it came about, in order.
    pub history: Vec<Step>,
}

/// Where a subscription stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Standing {
    /// Its name.
    pub subscription: String,
    /// `active`, `grace`, `frozen` or `released`; `ended`: its term is over, and nothing releases it, so that it can
    /// be renewed at any time.
    pub state: String,
    /// Since when, where it is not active.
    pub since: Option<String>,
    /// What becomes of it, unless someone pays, renews or resumes.
    pub next: Vec<NextState>,
    /// What it has cost in the grace that runs.
    pub costs_in_grace: Option<String>,
}

/// A state that time brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NextState {
    /// `grace`, `frozen`, `released` or `ended`.
    pub state: String,
    /// From when.
    pub at: String,
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// When.
    pub at: String,
    /// The subscription, where it is about one.
    pub subscription: Option<String>,
    /// What, in words.
    pub what: String,
}

/// Something that someone is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// When it came about.
    pub at: String,
    /// The account that it is about.
    pub account: String,
    /// The subscription, where it is about one.
    pub subscription: Option<String>,
    /// What it is about, as a stable word: `grace-began`.
    pub kind: String,
    /// What is told.
    pub text: String,
    /// How.
    pub channels: Vec<String>,
}

/// What a month may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// What counts: `project=shop`; empty: everything.
    pub scope: String,
    /// The month.
    pub period: Period,
    /// What it may cost.
    pub amount: String,
    /// What it has cost.
    pub spent: String,
    /// That in per cent, to one decimal.
    pub percent: String,
    /// At how many per cent someone is told next in the month; `null`: at none.
    pub next_alert: Option<u16>,
}

/// A bucket of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Package {
    /// Its name.
    pub bucket: String,
    /// Whose it is.
    pub account: String,
    /// The subscription that brought it.
    pub subscription: String,
    /// Title for people.
    pub title: String,
    /// What a unit is called.
    pub unit: String,
    /// From when it serves.
    pub start: String,
    /// Until when; `null`: no end.
    pub end: Option<String>,
    /// When what is left expires.
    pub expires_at: Option<String>,
    /// All units.
    pub granted: String,
    /// Those that can be drawn.
    pub left: String,
    /// Those held for sessions.
    pub held: String,
    /// Those drawn by usage.
    pub drawn: String,
    /// Those that were left at the end.
    pub expired: String,
    /// Attributes that usage must have.
    pub scope: BTreeMap<String, String>,
    /// Members that may draw from it now.
    pub shared_with: Vec<String>,
}

/// How many there are of something that plans provide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quota {
    /// What: `ivr-channels`.
    pub name: String,
    /// How many.
    pub units: i64,
}

/// The licences of one kind that an application has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LicencePool {
    /// The application.
    pub application: String,
    /// The price list.
    pub catalogue: String,
    /// Its name there.
    pub licence: String,
    /// Title for people.
    pub title: String,
    /// Whether one stays with who used it first.
    pub named: bool,
    /// How many there are.
    pub licences: i64,
    /// How many nobody holds.
    pub free: i64,
    /// How many each subscription brings.
    pub from: BTreeMap<String, i64>,
    /// Who holds one.
    pub holders: Vec<LicenceHolder>,
    /// How often idle ones may still be released in the month; `null`: never, or any number of times.
    pub resets_left: Option<u16>,
}

/// Who holds a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LicenceHolder {
    /// Who.
    pub holder: String,
    /// Since when.
    pub since: String,
    /// Whether it stays when the last use ends.
    pub bound: bool,
    /// Whether there is a licence for this holder: where there are fewer than holders, the oldest keep theirs.
    pub within: bool,
    /// The ways in which it is used now, and since when each.
    pub ways: BTreeMap<String, String>,
}

/// A subscription with an end, and how it can go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Renewal {
    /// The subscription.
    pub subscription: String,
    /// Its plan; from its end on the one that it changes to.
    pub plan: String,
    /// Units.
    pub quantity: i64,
    /// Its end.
    pub end: String,
    /// Until when it can still be renewed, of what has ended and is in grace or retention; `null`: it has not ended.
    pub renewable_until: Option<String>,
    /// `ends`, `with` (another subscription) or `renewal`.
    pub way: String,
    /// The subscription that it is renewed with.
    pub with: Option<String>,
    /// Months of a renewal, as it would be renewed by itself.
    pub months: Option<u16>,
    /// What a renewal costs now; `null` where it is refused.
    pub price: Option<String>,
    /// Why a renewal is refused now.
    pub refused: Option<String>,
    /// Whether it renews itself.
    pub auto: bool,
    /// When that is tried next.
    pub next_attempt: Option<String>,
}

fn text(at: Instant) -> String {
    at.to_string()
}

impl Lifecycle {
    /// Where an account stands at a moment.
    pub fn of(
        group: &Group,
        account: &Account,
        catalogues: &Catalogues,
        metering: &Metering,
        at: Instant,
    ) -> Lifecycle {
        let head = &account.head;
        let payer = group.get(head.payer()).unwrap_or(account);
        let currency = payer.head.currency;
        let standing = |name: &String| {
            let (state, mut change) = standing_at(group, catalogues, &head.id, name, at);
            let mut next = Vec::new();
            while let Some(then) = change {
                let (state, later) = standing_at(group, catalogues, &head.id, name, then);
                next.push(NextState { state: state_name(state).to_owned(), at: text(then) });
                change = later.filter(|later| *later > then);
            }
            // What was cancelled, or has ended, is over without ever having been in arrears.
            let is_over = state.is_none_or(|state| state == State::Released);
            let ended = || account.subscriptions.get(name)?.end.filter(|_| is_over);
            let since = account.lifecycle.standings.get(name).map(|standing| standing.since).or_else(ended);
            let in_grace = grace(group, catalogues, &head.id, name, at);
            let cost = in_grace.and_then(|span| {
                costs(group, catalogues, metering, (head.id.as_str(), name.as_str()), span).ok()
            });
            Standing {
                subscription: name.clone(),
                state: state_name(state).to_owned(),
                since: since.map(text),
                next,
                costs_in_grace: cost.map(|cost| cost.decimal(currency)),
            }
        };
        Lifecycle {
            account: head.id.clone(),
            payer: head.payer().to_owned(),
            tier: payer.lifecycle.tier.as_ref().map(|tier| tier.id.clone()),
            suspended_at: account.lifecycle.suspended.or(payer.lifecycle.suspended).map(text),
            arrears_since: payer.lifecycle.arrears.as_ref().map(|arrears| text(arrears.since)),
            owed: match head.payer {
                None => owed(group, &head.id).ok().map(|owed| owed.decimal(currency)),
                Some(_) => None,
            },
            subscriptions: account.subscriptions.keys().map(standing).collect(),
            history: account
                .history
                .iter()
                .map(|step| Step {
                    at: text(step.at),
                    subscription: step.subscription.clone(),
                    what: step.what.clone(),
                })
                .collect(),
        }
    }
}

impl Notice {
    /// A notice on the wire.
    pub fn of(one: &notice::Notice) -> Notice {
        Notice {
            at: text(one.at),
            account: one.account.clone(),
            subscription: one.subscription.clone(),
            kind: one.kind.clone(),
            text: one.text.clone(),
            channels: one.channels.iter().map(|channel| channel.name().to_owned()).collect(),
        }
    }
}

impl Budget {
    /// A budget of an account in a month.
    pub fn of(group: &Group, head: &AccountHead, budget: &budget::Budget, month: Span) -> Budget {
        let spent = spent(group, &head.id, month.start, &budget.scope);
        let percent = percent(budget, spent).and_then(|percent| percent.round(1).ok());
        let is_told = |alert| budget.told.get(alert).is_some_and(|told| *told >= month.start);
        Budget {
            name: budget.name.clone(),
            scope: budget.scope.name(),
            period: period(month),
            amount: budget.amount.decimal(head.currency),
            spent: spent.decimal(head.currency),
            percent: percent.map(|percent| percent.decimal(1)).unwrap_or_default(),
            next_alert: budget.alerts.iter().find(|alert| !is_told(alert)).map(|alert| alert.get()),
        }
    }
}

impl Package {
    /// The buckets of an account and those that are shared with it, in the order in which they began. `payer`: the
    /// account that pays for it, or itself.
    pub fn all(payer: &Account, account: &AccountHead, at: Instant) -> Vec<Package> {
        let shared = |bucket: &Bucket| -> Vec<String> {
            let all = payer.packages.shares(&bucket.account, &bucket.subscription).iter();
            all.filter(|share| share.valid.contains(at)).map(|share| share.member.clone()).collect()
        };
        let own = |bucket: &&Bucket| bucket.account == account.id || shared(bucket).contains(&account.id);
        let mut buckets: Vec<&Bucket> = payer.packages.iter().filter(own).collect();
        buckets.sort_by_key(|bucket| (bucket.span.start, bucket.rank()));
        let package = |bucket: &Bucket| {
            let units = Units::of(&payer.ledger, &bucket.id);
            // Whom a master shares with besides is no matter of a member.
            let mut shared_with = shared(bucket);
            shared_with.retain(|member| bucket.account == account.id || *member == account.id);
            Package {
                bucket: bucket.id.clone(),
                account: bucket.account.clone(),
                subscription: bucket.subscription.clone(),
                title: bucket.title.clone(),
                unit: bucket.unit.clone(),
                start: text(bucket.span.start),
                end: until(bucket.span.end),
                expires_at: until(bucket.expires),
                granted: units.granted.decimal(0),
                left: units.available.decimal(0),
                held: units.held.decimal(0),
                drawn: units.drawn.decimal(0),
                expired: units.expired.decimal(0),
                scope: bucket.scope.clone(),
                shared_with,
            }
        };
        buckets.into_iter().map(package).collect()
    }
}

impl Quota {
    /// What an account's plans provide at a moment.
    pub fn all(group: &Group, catalogues: &Catalogues, account: &str, at: Instant) -> Vec<Quota> {
        let all = provided(group, catalogues, account, at).into_iter();
        all.map(|(name, units)| Quota { name, units }).collect()
    }
}

impl LicencePool {
    /// The licences of an account's applications at a moment.
    pub fn all(group: &Group, catalogues: &Catalogues, account: &Account, at: Instant) -> Vec<LicencePool> {
        let id = &account.head.id;
        let held: Vec<&str> = account.licences.keys().map(String::as_str).collect();
        let none = Application::default();
        let mut all = Vec::new();
        for name in licence::applications(group as &dyn View, id, &held) {
            let pools = licence::pools(group, catalogues, id, &name, at);
            let state = account.licences.get(&name).unwrap_or(&none);
            let there = pools.iter().map(|pool| &pool.key);
            let keys: BTreeSet<&LicenceKey> = there.chain(state.holders.keys()).collect();
            for key in keys {
                let pool = pools.iter().find(|pool| pool.key == *key);
                let known = catalogues.in_force(&key.catalogue, at);
                let known = known.and_then(|list| list.licences.get(&key.licence));
                let Some(licence) = pool.map(|pool| pool.licence).or(known) else { continue };
                let licences = pool.map_or(0, |pool| pool.licences);
                let holders: Vec<LicenceHolder> = state
                    .holders(key)
                    .map(|(holder, held)| LicenceHolder {
                        holder: holder.clone(),
                        since: text(held.since),
                        bound: held.bound,
                        within: state.is_within(key, holder, licences),
                        ways: held.ways.iter().map(|(way, since)| (way.clone(), text(*since))).collect(),
                    })
                    .collect();
                let taken = i64::try_from(holders.len()).unwrap_or(i64::MAX);
                all.push(LicencePool {
                    application: name.clone(),
                    catalogue: key.catalogue.clone(),
                    licence: key.licence.clone(),
                    title: licence.title.clone(),
                    named: licence.named,
                    licences,
                    free: licences.saturating_sub(taken).max(0),
                    from: pool.iter().flat_map(|pool| pool.from.iter().cloned()).collect(),
                    holders,
                    resets_left: pool.and_then(|pool| pool.resets_left(state, at)),
                });
            }
        }
        all
    }
}

impl Renewal {
    /// A renewal of an account's subscription.
    pub fn of(head: &AccountHead, one: &terms::Renewal) -> Renewal {
        let mut shown = Renewal {
            subscription: one.subscription.clone(),
            plan: one.plan.clone(),
            quantity: one.quantity,
            end: text(one.end),
            renewable_until: one.until.map(text),
            way: "ends".to_owned(),
            with: None,
            months: None,
            price: None,
            refused: None,
            auto: false,
            next_attempt: None,
        };
        match &one.way {
            terms::Way::Ends => {}
            terms::Way::With(package) => {
                (shown.way, shown.with) = ("with".to_owned(), Some(package.clone()));
            }
            terms::Way::Renewal { months, price, auto, .. } => {
                shown.way = "renewal".to_owned();
                shown.months = Some(*months);
                match price {
                    Ok(price) => shown.price = Some(price.decimal(head.currency)),
                    Err(refusal) => shown.refused = Some(refusal.sentence_about(head, &head.zone)),
                }
                shown.auto = auto.is_some();
                shown.next_attempt = auto.and_then(|auto| auto.next).map(text);
            }
        }
        shown
    }
}
