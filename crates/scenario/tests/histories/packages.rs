//! Packages that are shared with members, or kept.

use super::dice::Dice;
use super::story::Writer;
use farebox_oracle::history::What;

/// Something about who may draw from the packages of an account; `accounts` are those there are.
pub fn sharing(writer: &Writer<'_>, dice: &mut Dice, account: &str, accounts: &[String]) -> Option<What> {
    let plans = writer.world.plans();
    let brings = |plan: &str| plans.iter().any(|(_, name, one)| *name == plan && !one.grants.is_empty());
    let any = dice.once_in(15);
    let own = writer.orders.iter().filter(|one| one.account == account && (any || brings(&one.plan)));
    let own: Vec<&String> = own.map(|one| &one.name).collect();
    if own.is_empty() {
        return None;
    }
    let name = (*dice.pick(&own)).clone();
    if dice.once_in(3) {
        return Some(What::Keep { name });
    }
    let prefix = format!("{account}-");
    let members = accounts.iter().filter(|one| one.starts_with(&prefix) != dice.once_in(15));
    let mut with: Vec<String> = members.cloned().collect();
    if with.is_empty() {
        with.push(account.to_owned());
    }
    if with.len() > 1 && dice.once_in(2) {
        with.remove(dice.place(with.len()));
    }
    Some(What::Share { name, with })
}
