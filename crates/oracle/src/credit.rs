//! Credit limits (docs/book.md, `credit-limit`): what may begin within the headroom of who pays, and what of
//! a debt is due.

use crate::account::Account;
use crate::calendar::{self, Cycle};
use crate::history::{Line, What};
use crate::number::{Number, decimal, round, zero};
use crate::orders;
use crate::play::{Play, Reasons};
use jiff::Timestamp;

/// Does what a line says, unless it is an order that does not fit in the headroom.
pub(crate) fn decide(play: &mut Play<'_>, line: &Line) -> Result<(), Reasons> {
    let payer = play.payer(&line.account);
    let limit = play.accounts.get(&payer).and_then(|account| account.credit_limit.as_ref());
    // What begins something is refused below zero even if it costs nothing now.
    let begins = match &line.what {
        What::Subscribe { .. } => true,
        What::Change { units, .. } if *units > 0 => true,
        What::Renew { .. } | What::ChangePlan { .. } => false,
        _ => return orders::decide(play, line),
    };
    if limit.is_none() {
        return orders::decide(play, line);
    }
    let headroom = headroom(play, &payer);
    let before = play.clone();
    orders::decide(play, line)?;
    let needed = before.accounts[&payer].money.net() - play.accounts[&payer].money.net();
    if needed > headroom && (begins || needed.is_positive()) {
        *play = before;
        return Err(vec!["over-credit-limit"]);
    }
    Ok(())
}

/// The limit (none is one of zero) and the balance, less what is owed and what sessions keep beyond the
/// balance.
pub(crate) fn headroom(play: &Play<'_>, payer: &str) -> Number {
    let account = &play.accounts[payer];
    let of_payer = play.sessions.values().filter(|one| play.payer(&one.account) == payer);
    let kept: Number = of_payer.map(|one| one.money.clone()).sum();
    let on_credit = kept - &account.money.kept;
    account.credit_limit.clone().unwrap_or_else(zero) + account.money.net() - on_credit
}

/// What a renewal by itself may cost.
pub(crate) fn cover(play: &Play<'_>, payer: &str) -> Number {
    let account = &play.accounts[payer];
    match &account.credit_limit {
        None => account.money.balance.clone(),
        Some(_) => headroom(play, payer).max(zero()),
    }
}

/// How much may be owed from now on; none: nobody says so any more.
pub(crate) fn set(play: &mut Play<'_>, line: &Line, limit: Option<&str>) -> Result<(), Reasons> {
    let account = play.accounts.get_mut(&line.account).expect("open");
    let mut reasons = Vec::new();
    reasons.extend(account.payer.as_ref().map(|_| "credit-limit-of-payer"));
    let limit = limit.map(|limit| decimal(limit).expect("a decimal"));
    match &limit {
        Some(limit) if limit.is_negative() || round(limit, 2) != *limit => reasons.push("bad-amount"),
        None if account.credit_limit.is_none() => reasons.push("no-credit-limit"),
        _ => {}
    }
    orders::refuse(reasons)?;
    account.credit_limit = limit;
    Ok(())
}

/// What of all that an account owes is due: its issued bills, and of drafts what is past the limit. And when
/// the next draft of which something is owed is issued.
pub(crate) fn due(account: &Account, at: Timestamp) -> (Number, Option<Timestamp>) {
    let (mut issued, mut drafts, mut next) = (zero(), zero(), None);
    for (month, bill) in &account.money.bills {
        let end = calendar::cycle_end(&account.zone, Cycle::Month, *month);
        let owed = bill.due().max(zero());
        if end <= at {
            issued += owed;
        } else if owed.is_positive() {
            drafts += owed;
            next = next.or(Some(end));
        }
    }
    let limit = account.credit_limit.clone().unwrap_or_else(zero);
    let past = (&issued + &drafts - limit).max(zero()).min(drafts);
    (issued + past, next)
}
