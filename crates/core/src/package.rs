//! Packages: buckets of quota, the order in which they are drawn, and who may draw from them.
//!
//! A bucket is a set of ledger accounts in its own unit: what was granted is available, held, drawn
//! or expired, and every movement is a balanced posting. What is known of a bucket besides its
//! units is here.

use crate::bill::ChargeKey;
use crate::calendar::{Cycle, Instant, Span};
use crate::catalog::{Alert, Catalogue, Grant, GrantKind, Origin, RenewalRule, Resets};
use crate::ledger::{Ledger, LedgerAccount, Posting, QuotaSide};
use crate::money::{Exact, OutOfRange};
use crate::subscription::Subscription;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Quota of one grant for one quota period.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// `acme/package/minutes/1`: account, subscription, grant, and which of its periods.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// The subscription that brought it.
    pub subscription: String,
    /// The plan that it was opened under.
    pub plan: String,
    /// The grant of that plan.
    pub grant: String,
    /// Title for a customer.
    pub title: String,
    /// The catalogue of plan and meter.
    pub catalogue: String,
    /// The meter whose usage draws from it.
    pub meter: String,
    /// What a unit is called: `minute`.
    pub unit: String,
    /// The usage time that it serves (R-PKG-2).
    pub span: Span,
    /// Times inside it that it does not serve: between the end of a term and a late renewal.
    pub gaps: Vec<Span>,
    /// When what is left expires: at the end of the span, or later for late usage.
    pub expires: Instant,
    /// When it was paid for or ordered.
    pub ordered: Instant,
    /// Included or bought besides.
    pub kind: GrantKind,
    /// Where it comes from.
    pub origin: Origin,
    /// Attributes that usage must have.
    pub scope: BTreeMap<String, String>,
    /// Remaining quota at which to alert.
    pub alerts: Vec<Alert>,
    /// Rules behind it.
    pub rules: Vec<String>,
}

/// What became of a bucket's units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// All of them.
    pub granted: Exact,
    /// Those that can be drawn.
    pub available: Exact,
    /// Those held for sessions.
    pub held: Exact,
    /// Those drawn by usage.
    pub drawn: Exact,
    /// Those that were left at the end.
    pub expired: Exact,
}

/// The place of a bucket in the order of R-PKG-1; smaller is drawn first. A total order.
pub type Rank<'a> = (GrantKind, Origin, Reverse<usize>, Instant, Instant, Instant, &'a str);

/// The time in which a member may draw from a package of its master (R-ORG-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The member.
    pub member: String,
    /// The usage time.
    pub valid: Span,
}

/// Units by bucket.
pub type Draws = BTreeMap<String, Exact>;

/// Units that usage drew from a bucket, or gave back (below zero).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Whose usage.
    pub account: String,
    /// What it was measured for.
    pub key: ChargeKey,
    /// The bucket.
    pub bucket: String,
    /// How many.
    pub units: Exact,
}

impl Bucket {
    /// Its place in the order of R-PKG-1.
    pub fn rank(&self) -> Rank<'_> {
        let Bucket { kind, origin, scope, span, ordered, id, .. } = self;
        (*kind, *origin, Reverse(scope.len()), span.end, span.start, *ordered, id)
    }

    /// Whether usage with these attributes may draw from it, as far as it says.
    pub fn in_scope<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.scope.iter().all(|(name, wanted)| value(name) == Some(wanted))
    }

    /// Whether usage of an account within a span may draw from it: it is its own, or shared with it.
    pub fn serves(&self, shares: &[Share], account: &str, span: Span) -> bool {
        let inside = |valid: Span| valid.start <= span.start && span.end <= valid.end;
        let shared = || shares.iter().any(|share| share.member == account && inside(share.valid));
        let in_gap = |gap: &Span| gap.contains(span.start) || gap.intersect(span).is_some();
        inside(self.span) && !self.gaps.iter().any(in_gap) && (self.account == account || shared())
    }

    /// Moments at which usage of an account begins or ceases to draw from it.
    pub fn cuts(&self, shares: &[Share], account: &str) -> Vec<Instant> {
        let own = (self.account == account).then_some(self.span);
        let shared = shares.iter().filter(|share| share.member == account);
        let shared = shared.filter_map(|share| share.valid.intersect(self.span));
        let served: Vec<Span> = own.into_iter().chain(shared).collect();
        let gaps = self.gaps.iter().flat_map(|gap| served.iter().filter_map(|span| gap.intersect(*span)));
        served.iter().copied().chain(gaps).flat_map(|span| [span.start, span.end]).collect()
    }

    /// The movement of units between two of its sides.
    pub fn posting(
        &self,
        at: Instant,
        memo: &str,
        sides: (QuotaSide, QuotaSide),
        units: Exact,
    ) -> Option<Posting> {
        if units.is_zero() {
            return None;
        }
        Posting::quota(at, format!("{memo} {}", self.id), &self.unit, &self.id, sides, units)
    }
}

impl Units {
    /// What a ledger says of a bucket.
    pub fn of(ledger: &Ledger, bucket: &str) -> Units {
        let side = |side| ledger.value(&LedgerAccount::Quota { bucket: bucket.to_owned(), side });
        Units {
            granted: Exact::ZERO.sub(side(QuotaSide::Granted)).unwrap_or_default(),
            available: side(QuotaSide::Available),
            held: side(QuotaSide::Held),
            drawn: side(QuotaSide::Drawn),
            expired: side(QuotaSide::Expired),
        }
    }

    /// What is not used yet: available or held.
    ///
    /// # Errors
    /// [`OutOfRange`] when the sum does not fit.
    pub fn left(&self) -> Result<Exact, OutOfRange> {
        self.available.add(self.held)
    }
}

/// Whether an alert is due at what is left of what was granted (R-PKG-4).
///
/// # Errors
/// [`OutOfRange`] when a product does not fit.
pub fn is_due(alert: &Alert, left: Exact, granted: Exact) -> Result<bool, OutOfRange> {
    Ok(match alert {
        Alert::Units(units) => left <= *units,
        Alert::Percent(percent) => left.mul(Exact::whole(100))? <= granted.mul(*percent)?,
    })
}

/// Charges of usage that went past a bucket, and the start of the earliest stretch: by account,
/// subscription and charge.
pub type Missed = BTreeMap<(String, String, String), Instant>;

/// The packages of a payer and its members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packages {
    buckets: BTreeMap<String, Bucket>,
    /// By catalogue and meter, in the order of their ends: those that ended are never looked at.
    by_meter: BTreeMap<(String, String), BTreeSet<(Instant, String)>>,
    /// Those that have not expired, in the order in which they do.
    open: BTreeSet<(Instant, String)>,
    /// The latest bucket of each grant of a subscription of an account, and which it is.
    latest: BTreeMap<(String, String, String), (u32, String)>,
    /// Members that may draw, by account and subscription.
    shares: BTreeMap<(String, String), Vec<Share>>,
    /// Charges of usage that went past a bucket while sessions held what was left of it.
    missed: BTreeMap<String, Missed>,
    /// Which alerts of a bucket have been given.
    alerted: BTreeMap<String, BTreeSet<usize>>,
}

impl Packages {
    /// A bucket.
    pub fn bucket(&self, id: &str) -> Option<&Bucket> {
        self.buckets.get(id)
    }

    /// All buckets, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.values()
    }

    /// The buckets for usage of a meter within a span, in the order of their ends.
    pub fn serving(&self, catalogue: &str, meter: &str, within: Span) -> Vec<&Bucket> {
        let Some(ends) = self.by_meter.get(&(catalogue.to_owned(), meter.to_owned())) else {
            return Vec::new();
        };
        let first = (within.start, String::new());
        let found = ends.range(first..).filter_map(|(_, id)| self.buckets.get(id));
        found.filter(|bucket| bucket.span.end > within.start && bucket.span.start < within.end).collect()
    }

    /// The latest bucket of a grant, and which of its periods that is.
    pub fn latest(&self, account: &str, subscription: &str, grant: &str) -> Option<(u32, &Bucket)> {
        let key = (account.to_owned(), subscription.to_owned(), grant.to_owned());
        let (number, id) = self.latest.get(&key)?;
        Some((*number, self.buckets.get(id)?))
    }

    /// The latest bucket of each grant of a subscription.
    pub fn latest_of(&self, account: &str, subscription: &str) -> impl Iterator<Item = &Bucket> {
        let first = (account.to_owned(), subscription.to_owned(), String::new());
        let of = (account.to_owned(), subscription.to_owned());
        let found = self
            .latest
            .range(first..)
            .take_while(move |((account, subscription, _), _)| (account, subscription) == (&of.0, &of.1));
        found.filter_map(|(_, (_, id))| self.buckets.get(id))
    }

    /// The first bucket to expire, of those that have not.
    pub fn first_to_expire(&self) -> Option<&Bucket> {
        self.buckets.get(&self.open.first()?.1)
    }

    /// The buckets that expire at a moment or have expired and are not done.
    pub fn expiring(&self, at: Instant) -> impl Iterator<Item = &Bucket> {
        let due = self.open.iter().take_while(move |(expires, _)| *expires <= at);
        due.filter_map(|(_, id)| self.buckets.get(id))
    }

    /// Whether what was left of a bucket has expired.
    pub fn is_expired(&self, bucket: &Bucket) -> bool {
        !self.open.contains(&(bucket.expires, bucket.id.clone()))
    }

    /// Members that may draw from a package.
    pub fn shares(&self, account: &str, subscription: &str) -> &[Share] {
        let shares = self.shares.get(&(account.to_owned(), subscription.to_owned()));
        shares.map(Vec::as_slice).unwrap_or_default()
    }

    /// Charges of usage that went past buckets while sessions held what was left of them.
    pub fn missed(&self) -> impl Iterator<Item = (&str, &Missed)> {
        self.missed.iter().map(|(bucket, missed)| (bucket.as_str(), missed))
    }

    /// Whether an alert of a bucket has been given.
    pub fn is_alerted(&self, bucket: &str, alert: usize) -> bool {
        self.alerted.get(bucket).is_some_and(|given| given.contains(&alert))
    }

    pub(crate) fn open(&mut self, bucket: Bucket) {
        let grant = (bucket.account.clone(), bucket.subscription.clone(), bucket.grant.clone());
        let number = self.latest.get(&grant).map_or(1, |(number, _)| number + 1);
        self.latest.insert(grant, (number, bucket.id.clone()));
        self.index(&bucket);
        self.open.insert((bucket.expires, bucket.id.clone()));
        self.buckets.insert(bucket.id.clone(), bucket);
    }

    fn index(&mut self, bucket: &Bucket) {
        let meter = (bucket.catalogue.clone(), bucket.meter.clone());
        self.by_meter.entry(meter).or_default().insert((bucket.span.end, bucket.id.clone()));
    }

    /// Gives a bucket another end; one that had expired is open again. `gap`: what it does not serve
    /// of the time since its old end.
    pub(crate) fn set_end(
        &mut self,
        id: &str,
        end: Instant,
        expires: Instant,
        gap: Option<Span>,
    ) -> Option<()> {
        let mut bucket = self.buckets.remove(id)?;
        let meter = (bucket.catalogue.clone(), bucket.meter.clone());
        self.by_meter.entry(meter).or_default().remove(&(bucket.span.end, bucket.id.clone()));
        self.open.remove(&(bucket.expires, bucket.id.clone()));
        (bucket.span.end, bucket.expires) = (end, expires);
        bucket.gaps.extend(gap);
        self.index(&bucket);
        self.open.insert((expires, bucket.id.clone()));
        self.buckets.insert(bucket.id.clone(), bucket);
        Some(())
    }

    pub(crate) fn expire(&mut self, id: &str) -> Option<()> {
        let bucket = self.buckets.get(id)?;
        self.open.remove(&(bucket.expires, bucket.id.clone()));
        Some(())
    }

    pub(crate) fn share(&mut self, account: &str, subscription: &str, share: Share) {
        self.shares.entry((account.to_owned(), subscription.to_owned())).or_default().push(share);
    }

    pub(crate) fn keep(&mut self, account: &str, subscription: &str, at: Instant) {
        let shares = self.shares.get_mut(&(account.to_owned(), subscription.to_owned()));
        for share in shares.into_iter().flatten() {
            share.valid.end = share.valid.end.min(at);
        }
    }

    pub(crate) fn set_missed(&mut self, bucket: &str, missed: Missed) {
        match missed.is_empty() {
            true => self.missed.remove(bucket),
            false => self.missed.insert(bucket.to_owned(), missed),
        };
    }

    pub(crate) fn alerted(&mut self, bucket: &str, alert: usize) {
        self.alerted.entry(bucket.to_owned()).or_default().insert(alert);
    }
}

/// The quota period of a grant around a moment at which the subscription runs, and when it was
/// ordered.
pub fn quota_period(
    subscription: &Subscription,
    grant: &Grant,
    catalogue: &Catalogue,
    at: Instant,
) -> Option<(Span, Instant)> {
    let runs = subscription.span();
    if !runs.contains(at) {
        return None;
    }
    // A prepaid term that was given up goes no further than its end.
    let paid = subscription.term.as_ref().and_then(|term| term.paid_at(at));
    let (term, ordered) = match (paid, &subscription.term) {
        (Some(period), _) => (period.span.intersect(runs)?, period.ordered),
        (None, _) => (runs, subscription.start),
    };
    let span = match grant.resets {
        Resets::Never => term,
        Resets::Month => catalogue.zone.cycle(Cycle::Month, at).intersect(runs)?,
        Resets::Cycle => {
            // Months of the term, each ending as a term of so many months would.
            let from = match (&subscription.term, catalogue.policy.renewal) {
                (Some(bought), RenewalRule::EndToEnd) => bought.counted_from(&catalogue.zone, term.start),
                _ => term.start,
            };
            let mut start = term.start;
            let mut months = 1;
            loop {
                let end = catalogue.zone.term_end(from, months)?;
                if end > at {
                    break Span { start, end: end.min(term.end) };
                }
                start = start.max(end);
                months += 1;
            }
        }
    };
    Some((span, ordered))
}

#[cfg(test)]
mod tests;
