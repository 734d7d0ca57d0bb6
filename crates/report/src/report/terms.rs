//! Terms: what ends when and how it goes on, and what of them is earned.

use super::table::{self, Align};
use farebox_core::account::{Account, AccountHead, Group};
use farebox_core::calendar::{Zone, show_local};
use farebox_core::engine::terms::{Renewal, Way};
use farebox_core::explain::show_period;
use farebox_core::money::Amount;
use farebox_core::term::AutoRenewal;

/// The calendar of renewals.
pub fn renewals(renewals: &[Renewal], account: &AccountHead, zone: &Zone) -> Vec<String> {
    if renewals.is_empty() {
        return vec!["nothing has an end".to_owned()];
    }
    let shown = |at| show_local(zone, at);
    let row = |one: &Renewal| {
        let (price, how) = match &one.way {
            Way::Ends => ("no renewal".to_owned(), String::new()),
            Way::With(package) => (format!("renewed with {package}"), String::new()),
            Way::Renewal { months, price, auto, last_attempt } => {
                let price = match price {
                    Ok(price) => format!(
                        "{months} {}: {} {}",
                        if *months == 1 { "month" } else { "months" },
                        price.decimal(account.currency),
                        account.currency
                    ),
                    Err(refusal) => refusal.sentence_about(account, zone),
                };
                let how = match auto {
                    None => "not by itself".to_owned(),
                    Some(AutoRenewal { next: None, .. }) => "by itself, not again".to_owned(),
                    Some(AutoRenewal { next: Some(next), tried, .. }) => {
                        let failed =
                            if *tried > 0 { format!(", {tried} tried in vain") } else { String::new() };
                        let daily = last_attempt.filter(|last| last > next);
                        let daily =
                            daily.map_or(String::new(), |last| format!(", daily until {}", shown(last)));
                        format!("by itself on {}{daily}{failed}", shown(*next))
                    }
                };
                (price, how)
            }
        };
        let what = format!("{} {}", one.quantity, one.plan);
        let end = match one.until {
            Some(until) => format!("ended {}, renewable until {}", shown(one.end), shown(until)),
            None => format!("ends {}", shown(one.end)),
        };
        vec![format!("  {}", one.subscription), what, end, price, how]
    };
    let rows: Vec<Vec<String>> = renewals.iter().map(row).collect();
    table::lines(&rows, &[Align::Left; 5])
}

/// What was paid for terms, what of it is earned, and what is still deferred. Of a master, its
/// members' too.
pub fn deferred(account: &Account, group: &Group, zone: &Zone) -> Vec<String> {
    let currency = account.head.currency;
    let paid_for = |one: &&Account| one.head.id == account.head.id || one.head.payer() == account.head.id;
    let (mut rows, mut sum) = (Vec::new(), 0);
    for one in group.iter().filter(paid_for) {
        for ((subscription, _), deferral) in &one.deferred {
            let own = one.head.id == account.head.id;
            let name = if own { subscription.clone() } else { format!("{}/{subscription}", one.head.id) };
            let rest = deferral.paid.units() - deferral.recognised.units();
            sum += rest;
            let amounts = [deferral.paid, deferral.recognised, Amount::from_units(rest)];
            let amounts = amounts.map(|amount| amount.decimal(currency));
            rows.push(
                [format!("  {name}"), show_period(zone, deferral.span)].into_iter().chain(amounts).collect(),
            );
        }
    }
    if rows.is_empty() {
        return vec!["nothing is deferred".to_owned()];
    }
    let head = ["  term", "paid for", "paid", "earned", "deferred"];
    rows.insert(0, head.map(str::to_owned).to_vec());
    let total = Amount::from_units(sum).decimal(currency);
    rows.push(vec!["  total".to_owned(), String::new(), String::new(), String::new(), total]);
    table::lines(&rows, &[Align::Left, Align::Left, Align::Point, Align::Point, Align::Point])
}
