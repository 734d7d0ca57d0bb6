//! Terms that are given up, and what comes back of them.

use super::Recognition;
use super::purchase::Basket;
use crate::bill::Line;
use crate::calendar::{Cycle, Instant, Zone};
use crate::catalog::{Consumption, RefundRule};
use crate::engine::{Desk, Fact, OrderRefusal, Refusal};
use crate::explain;
use crate::money::{Amount, Exact, OutOfRange};
use crate::subscription::Subscription;
use crate::term::{PaidPeriod, Term, days_until};
use std::collections::BTreeMap;

impl Desk<'_> {
    /// Ends a subscription that runs pay-per-use, and what ends with it.
    pub(in crate::engine) fn cancel(&self, name: &str) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        self.no_trial(subscription)?;
        if subscription.term.is_some() {
            return Err(OrderRefusal::TermRuns(name.to_owned()).into());
        }
        let ended = |one: &Subscription| {
            let (account, subscription) = (self.account.id.clone(), one.name.clone());
            Fact::Ended { account, subscription, at: self.at }
        };
        let followers = self.followers(subscription);
        Ok(std::iter::once(subscription).chain(followers).map(ended).collect())
    }

    /// Gives a term up, and what ends with it: what was paid, less what is consumed, less a fee,
    /// comes back, and all that was paid for a period not yet begun (R-UNS-1, R-UNS-2).
    pub(in crate::engine) fn unsubscribe(&self, name: &str) -> Result<Vec<Fact>, Refusal> {
        let subscription = self.running(name)?;
        self.no_trial(subscription)?;
        let Some(term) = &subscription.term else {
            return Err(OrderRefusal::NoTerm(name.to_owned()).into());
        };
        let catalogue = self.list_of(subscription)?;
        let Some(rule) = &catalogue.policy.refund else {
            return Err(OrderRefusal::NoRefund(name.to_owned()).into());
        };
        let soon = |full: crate::catalog::FullRefund| {
            let open = jiff::SignedDuration::from_hours(24 * i64::from(full.within_days));
            let until = term.purchased.checked_add(open).unwrap_or(term.purchased);
            self.at <= until && self.account.full_refunds < full.times
        };
        let in_full = rule.full.is_some_and(soon);
        let mut basket = self.basket();
        let (mut facts, mut earned) = (Vec::new(), Vec::new());
        for one in std::iter::once(subscription).chain(self.followers(subscription)) {
            let (account, subscription) = (self.account.id.clone(), one.name.clone());
            let Some(term) = &one.term else {
                facts.push(Fact::Ended { account, subscription, at: self.at });
                continue;
            };
            earned.extend(self.give_back(&mut basket, (one, term), rule, in_full)?);
            // What ends with it comes back in full too, and counts as one such refund.
            let in_full = in_full && one.name == name;
            facts.push(Fact::Unsubscribed { account, subscription, at: self.at, in_full });
        }
        facts.extend(self.check_out(basket)?);
        facts.extend(self.recognised(earned)?);
        Ok(facts)
    }

    /// The lines of what comes back of a term, and what of it is earned.
    fn give_back(
        &self,
        basket: &mut Basket,
        (subscription, term): (&Subscription, &Term),
        rule: &RefundRule,
        in_full: bool,
    ) -> Result<Vec<Recognition>, Refusal> {
        let name = &subscription.name;
        let zone = &self.list_of(subscription)?.zone;
        let mut returned = BTreeMap::new();
        // In full is also what a change of plan left of a period; what was had to its end stays paid.
        let comes_back =
            |period: &&PaidPeriod| self.at < period.span.end || (in_full && is_cut_off(subscription, period));
        for period in term.periods.iter().filter(comes_back) {
            let still = self.still_paid(subscription, period)?;
            let given = if in_full || self.at < period.span.start {
                Back::all(&still.period)
            } else {
                let by_days = subscription.follows.is_some() || !period.months.is_whole();
                Back::of(rule, &still.period, by_days, zone, self.at)?
            };
            if given.amount.is_zero() {
                continue;
            }
            let whole = self.line_of_return(basket, subscription, period)?;
            let currency = self.account.currency;
            let within = self.within_bill(basket, &whole, given.amount)?;
            let back = within.amount;
            if back.is_zero() {
                continue;
            }
            returned.insert(period.span.start, back);
            // What is earned already is revenue no more.
            if self
                .view
                .deferrals(&self.account.id)
                .into_iter()
                .any(|((one, start), _)| one == *name && start == period.span.start)
            {
                basket.deferred = basket.deferred.sub(back)?;
            }
            basket.lines.push(Line {
                description: format!("Refund: {}", whole.description),
                list: back.negated(),
                amount: back.negated(),
                rules: vec![given.rule.to_owned()],
                formula: within.formula(given.formula(&still.period, currency), currency),
                explanation: given.explanation(&still.period, in_full, currency)
                    + &still.words(currency)
                    + &within.words(currency),
                ..whole
            });
        }
        let back = |start: Instant| returned.get(&start).copied().unwrap_or(Amount::ZERO);
        Ok(self.earned_in_the_end(name, back)?)
    }
}

/// Whether a change of plan ended a period before its time.
fn is_cut_off(subscription: &Subscription, period: &PaidPeriod) -> bool {
    let changes = subscription.earlier.iter().any(|(_, until)| *until == period.span.end);
    changes && !period.months.is_whole()
}

/// What comes back of a period.
struct Back {
    amount: Exact,
    /// The part consumed, as `344/758`, in these units; `None` when all comes back.
    consumed: Option<(i64, i64, &'static str)>,
    consumed_amount: Exact,
    fee: Exact,
    rule: &'static str,
}

impl Back {
    fn all(period: &PaidPeriod) -> Back {
        let (amount, zero) = (period.paid.exact(), Exact::ZERO);
        Back { amount, consumed: None, consumed_amount: zero, fee: zero, rule: "R-UNS-2" }
    }

    fn of(
        rule: &RefundRule,
        period: &PaidPeriod,
        by_days: bool,
        zone: &Zone,
        at: Instant,
    ) -> Result<Back, OutOfRange> {
        let paid = period.paid.exact();
        let (used, all, unit, rule_id) = match rule.count {
            Consumption::Hours => {
                let hour = |at: Instant| zone.cycle(Cycle::Hour, at).start.as_second() / 3_600;
                let begun = hour(period.span.start);
                (hour(at) - begun, hour(period.span.end) - begun, "hours", "R-UNS-1")
            }
            Consumption::DaysOf30 => {
                let days = zone.date(at) - zone.date(period.span.start);
                // A part of a term, as after a change of plan, has the days that it has.
                let (all, unit) = if by_days {
                    (days_until(zone, period.span.start, period.span.end), "days")
                } else {
                    (30 * i64::from(period.whole_months()), "days (30 to a month)")
                };
                (days.get_days().into(), all, unit, "R-KP-7")
            }
        };
        let part = Exact::ratio(used.into(), all.max(1).into()).ok_or(OutOfRange)?;
        let consumed_amount = paid.mul(part)?.min(paid);
        let fee = paid.mul(rule.fee_percent)?.div(Exact::whole(100))?;
        let amount = paid.sub(consumed_amount)?.sub(fee)?.max(Exact::ZERO);
        Ok(Back { amount, consumed: Some((used, all, unit)), consumed_amount, fee, rule: rule_id })
    }

    fn formula(&self, period: &PaidPeriod, currency: crate::money::Currency) -> String {
        let paid = period.paid.decimal(currency);
        match self.consumed {
            None => format!("−{paid}"),
            Some((used, all, _)) => {
                format!("−({paid} − {used}/{all} × {paid} − {})", explain::show_price(self.fee, currency))
            }
        }
    }

    fn explanation(&self, period: &PaidPeriod, in_full: bool, currency: crate::money::Currency) -> String {
        let paid = period.paid.decimal(currency);
        let shown = |value: Exact| explain::show_price(value, currency);
        match self.consumed {
            None if in_full => {
                format!("Given up soon after the order: all that was paid, {paid}, comes back.")
            }
            None => format!("This period has not begun: all that was paid for it, {paid}, comes back."),
            Some((used, all, unit)) => format!(
                "Paid {paid}; {used} of {all} {unit} are consumed, {}; the fee is {}; {} {currency} comes back.",
                shown(self.consumed_amount),
                shown(self.fee),
                shown(self.amount),
            ),
        }
    }
}
