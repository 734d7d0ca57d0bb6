//! Sessions: what is held for each, and how those ended that did lately.

use super::table::{self, Align};
use farebox_core::account::{Account, AccountHead};
use farebox_core::calendar::{Instant, Zone, show_local};
use farebox_core::hold::Hold;
use farebox_core::money::{Amount, Currency};
use std::collections::BTreeMap;

/// The sessions of an account that are open, and those that ended in the last 31 days, in the order
/// in which they began. `payer`: the account that pays for it, or itself.
pub fn holds(payer: &Account, account: &AccountHead, zone: &Zone, at: Instant) -> Vec<String> {
    let recently = at.checked_sub(jiff::SignedDuration::from_hours(24 * 31)).unwrap_or(at);
    let known = payer.holds.of(&account.id);
    let mut holds: Vec<&Hold> =
        known.filter(|hold| hold.ended.is_none_or(|ended| ended.at >= recently)).collect();
    holds.sort_by_key(|hold| (hold.since, &hold.id));
    if holds.is_empty() {
        return vec!["no sessions".to_owned()];
    }
    let heads = ["Session", "type", "since", "asked", "granted", "used", "state", "held"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for hold in holds {
        let state = match hold.ended {
            None => {
                let mut state = format!("until {}", show_local(zone, hold.until));
                if hold.valid_until < hold.until {
                    state += &format!(", the grant until {}", show_local(zone, hold.valid_until));
                }
                if hold.is_final() {
                    state += ", no more is granted";
                }
                state
            }
            Some(ended) if ended.expired => format!("expired {}", show_local(zone, ended.at)),
            Some(ended) => format!("released {}", show_local(zone, ended.at)),
        };
        rows.push(vec![
            hold.id.clone(),
            hold.kind.clone(),
            show_local(zone, hold.since),
            hold.asked.to_string(),
            hold.granted.to_string(),
            hold.used.to_string(),
            state,
            held(payer, hold, account.currency).join(", "),
        ]);
    }
    let (left, right) = (Align::Left, Align::Right);
    table::lines(&rows, &[left, left, left, right, right, right, left, left])
}

/// What is held, in words: `10 of Package minutes, 0.60 USD, 1 concurrency of package`.
fn held(payer: &Account, hold: &Hold, currency: Currency) -> Vec<String> {
    let mut held = Vec::new();
    for (id, units) in hold.units() {
        let title = payer.packages.bucket(&id).map_or(id.as_str(), |bucket| bucket.title.as_str());
        held.push(format!("{units} of {title}"));
    }
    if hold.money() > Amount::ZERO {
        held.push(format!("{} {currency}", hold.money().decimal(currency)));
    }
    if hold.ended.is_none() {
        let mut places: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for place in &hold.places {
            *places.entry((&place.of, &place.subscription)).or_default() += 1;
        }
        held.extend(places.into_iter().map(|((of, by), count)| format!("{count} {of} of {by}")));
    }
    held
}
