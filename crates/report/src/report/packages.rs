//! Packages: what each bucket has left, and who may draw from it.

use super::table::{self, Align};
use farebox_core::account::{Account, AccountHead};
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::package::{Bucket, Units};

/// The buckets of an account and those shared with it, in the order in which they began, with those
/// that expired in the last 31 days. `payer`:
/// the account that pays for it, or itself.
pub fn packages(payer: &Account, account: &AccountHead, zone: &Zone, at: Instant) -> Vec<String> {
    let shares = |bucket: &Bucket| payer.packages.shares(&bucket.account, &bucket.subscription);
    let shared_with = |bucket: &Bucket| -> Vec<String> {
        let now = shares(bucket).iter().filter(|share| share.valid.contains(at));
        now.map(|share| share.member.clone()).collect()
    };
    let whose = |bucket: &&Bucket| bucket.account == account.id || shared_with(bucket).contains(&account.id);
    // What ended long ago says nothing any more.
    let recently = at.checked_sub(jiff::SignedDuration::from_hours(24 * 31)).unwrap_or(at);
    let known = payer.packages.iter().filter(|bucket| bucket.expires >= recently);
    let mut buckets: Vec<&Bucket> = known.filter(whose).collect();
    buckets.sort_by_key(|bucket| (bucket.span.start, bucket.rank()));
    if buckets.is_empty() {
        return vec!["no packages".to_owned()];
    }
    let heads = ["Package", "valid", "granted", "drawn", "held", "left", "expired", ""];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for bucket in buckets {
        let units = Units::of(&payer.ledger, &bucket.id);
        let mut notes: Vec<String> =
            bucket.scope.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if bucket.account != account.id {
            notes.push(format!("of {}", bucket.account));
        } else if !shared_with(bucket).is_empty() {
            notes.push(format!("shared with {}", shared_with(bucket).join(", ")));
        }
        let end = match Some(bucket.span.end).filter(|end| *end < Instant::MAX) {
            Some(end) => format!("until {}", show_local(zone, end)),
            None => "on".to_owned(),
        };
        rows.push(vec![
            format!("{} · {}", bucket.subscription, bucket.title),
            format!("{} {end}", show_local(zone, bucket.span.start)),
            units.granted.to_string(),
            units.drawn.to_string(),
            units.held.to_string(),
            units.available.to_string(),
            units.expired.to_string(),
            notes.join(", "),
        ]);
    }
    let right = Align::Right;
    table::lines(&rows, &[Align::Left, Align::Left, right, right, right, right, right, Align::Left])
}
