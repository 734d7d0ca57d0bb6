//! Customers who pay from a balance, owe, and are suspended.

use super::dice::Dice;
use super::story::Writer;
use super::world::World;
use farebox_oracle::history::What;
use std::collections::BTreeSet;

/// What the writer of a history remembers of its accounts' lives.
#[derive(Default)]
pub struct Life {
    pub suspended: BTreeSet<String>,
    /// Whether customers pay their bills, and have no balance.
    pub by_invoice: bool,
    /// Whether there are credit limits.
    pub limits: bool,
}

/// How an account begins. Two of three customers pay from a balance, so that owing has consequences;
/// half of them have something to begin with.
pub fn open(
    world: &World,
    dice: &mut Dice,
    zone: Option<String>,
    payer: Option<String>,
    limits: bool,
) -> Vec<What> {
    let tiers = world.tiers();
    let limit = (limits && payer.is_none() && !dice.once_in(3)).then(|| limit(dice));
    let tier = match payer {
        None if !tiers.is_empty() && !dice.once_in(3) => Some(dice.pick(&tiers).clone()),
        _ => None,
    };
    let money = (tier.is_some() && dice.once_in(2)).then(|| {
        let most = *dice.pick(&[100, 1000, 20_000]);
        What::TopUp { amount: format!("{}.50", dice.below(most)) }
    });
    [What::Open { zone, payer, tier }].into_iter().chain(money).chain(limit).collect()
}

/// How much may be owed: nothing, little, or much; now and then nobody says so any more, or it is of more
/// decimals than money has.
fn limit(dice: &mut Dice) -> What {
    let most = *dice.pick(&[1, 5, 30, 300, 1000, 5000]);
    let limit = match dice.below(12) {
        0 => None,
        1 if dice.once_in(3) => Some("3.001".to_owned()),
        2 => Some("0".to_owned()),
        _ => Some(format!("{}.{:02}", dice.below(most), dice.below(100))),
    };
    What::CreditLimit { limit }
}

/// Something about the life of an account.
pub fn event(writer: &mut Writer<'_>, dice: &mut Dice, account: &str) -> Option<What> {
    if writer.life.limits && dice.once_in(2) {
        return Some(limit(dice));
    }
    match dice.below(8) {
        0 => {
            let tiers = writer.world.tiers();
            if tiers.is_empty() {
                return None;
            }
            let tier = if dice.once_in(12) { "gold".to_owned() } else { dice.pick(&tiers).clone() };
            Some(What::Tier { tier })
        }
        1..=3 => {
            // Who is suspended is mostly resumed before long.
            let was = writer.life.suspended.contains(account);
            if !was && dice.once_in(2) {
                return None;
            }
            let suspend = was == dice.once_in(8);
            match suspend {
                true => writer.life.suspended.insert(account.to_owned()),
                false => writer.life.suspended.remove(account),
            };
            Some(What::Suspend { suspend })
        }
        _ if writer.life.by_invoice => None,
        4 if dice.once_in(4) => {
            Some(What::MigrateBalance { amount: format!("{}.{:02}", dice.below(300), 1 + dice.below(99)) })
        }
        // A little money, which may or may not pay what is owed.
        _ => Some(What::TopUp { amount: format!("{}.{:02}", dice.below(60), 1 + dice.below(99)) }),
    }
}
