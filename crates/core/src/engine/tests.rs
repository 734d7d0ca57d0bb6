use super::*;
use crate::account::Group;
use crate::ledger::{Ledger, LedgerAccount, Posting, Unit};
use crate::metering::Change;
use crate::testing::{at, call, catalogues, exact, metering, zone};

/// An account that is told what to do, one line after the other.
struct Desk {
    group: Group,
    catalogues: Catalogues,
    metering: Metering,
}

impl Desk {
    fn new(cuts: &[Instant]) -> Desk {
        let mut desk = Desk { group: Group::default(), catalogues: catalogues(), metering: metering(cuts) };
        let currency = Currency::parse("CNY").unwrap();
        desk.act(
            "2026-01-01T00:00",
            Action::Open { title: "Acme".into(), currency, zone: zone(), payer: None, tier: None },
        )
        .unwrap();
        desk
    }

    fn act(&mut self, when: &str, action: Action) -> Result<Vec<Fact>, Refusal> {
        let command = Command { account: "acme".into(), effective_at: at(when), action };
        let facts = decide(&self.group, &self.catalogues, &self.metering, &command, at(when))?;
        for fact in &facts {
            self.group.apply(fact).unwrap();
        }
        Ok(facts)
    }

    fn subscribe(&mut self, when: &str, plan: &str, quantity: i64) {
        let (plan, attributes) = (plan.to_owned(), BTreeMap::new());
        let order = Action::Subscribe {
            plan,
            name: None,
            quantity,
            mode: None,
            months: None,
            auto: None,
            attributes,
        };
        self.act(when, order).unwrap();
    }

    /// Settles, and shows the amounts of the lines that were posted.
    fn settle(&mut self, when: &str, late_from: Option<&str>) -> String {
        let facts = self
            .act(
                when,
                Action::settle(late_from.map(|late| ("acme".to_owned(), at(late))).into_iter().collect()),
            )
            .unwrap();
        let lines = facts.iter().flat_map(|fact| match fact {
            Fact::Charged { lines, .. } => lines.as_slice(),
            _ => &[],
        });
        lines.map(|line| line.amount.exact().to_string()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn settling_again_gives_nothing() {
    let mut desk = Desk::new(&[]);
    desk.subscribe("2026-01-05T08:00", "calls", 1);
    desk.metering.count(&call("1", at("2026-01-05T08:10"), "61", &[]), Change::Add).unwrap();
    assert_eq!(desk.settle("2026-01-05T09:00", None), "0.2 0.6");
    assert_eq!(desk.settle("2026-01-05T09:00", None), "");
    assert_eq!(desk.settle("2026-01-05T09:00", Some("2026-01-05T08:10")), "");
}

#[test]
fn settling_what_has_nothing_to_settle_is_no_fact() {
    let mut desk = Desk::new(&[]);
    assert_eq!(desk.act("2026-01-05T09:00", Action::settle(Late::new())), Ok(Vec::new()));
}

/// Of a line that begins in the middle of an hour, the counter of the whole hour says nothing.
#[test]
fn a_counter_that_reaches_over_the_start_is_refused() {
    let mut desk = Desk::new(&[]);
    desk.subscribe("2026-01-05T08:30", "calls", 1);
    desk.metering.count(&call("1", at("2026-01-05T08:40"), "61", &[]), Change::Add).unwrap();
    let settled = desk.act("2026-01-05T09:00", Action::settle(Late::new()));
    assert_eq!(settled, Err(Refusal::CounterCutsPeriod));
}

/// Usage is taken otherwise from a freeze on and after one, and in no other state.
#[test]
fn counters_are_cut_where_a_freeze_begins_and_ends() {
    use crate::lifecycle::State::{Active, Frozen, Grace, Released};
    let when = at("2026-01-05T14:00");
    let cut = |from, to| {
        let (account, subscription, tier) = ("acme".to_owned(), "calls".to_owned(), String::new());
        let (at, until, expired, charged) = (when, None, None, false);
        let fact = lifecycle::Fact::StateChanged {
            account,
            subscription,
            at,
            from,
            to,
            until,
            expired,
            tier,
            charged,
        };
        fact.cut().map(|(account, at)| (account.to_owned(), at))
    };
    let there = Some(("acme".to_owned(), when));
    for (from, to) in [(Active, Frozen), (Grace, Frozen), (Frozen, Active), (Frozen, Released)] {
        assert_eq!(cut(from, to), there, "{from:?} {to:?}");
    }
    for (from, to) in [(Active, Grace), (Grace, Active), (Active, Active), (Frozen, Frozen)] {
        assert_eq!(cut(from, to), None, "{from:?} {to:?}");
    }
}

#[test]
fn a_ledger_account_has_its_unit_and_its_balance() {
    let currency = Currency::parse("CNY").unwrap();
    let ten = Amount::quantise(exact("10")).unwrap();
    let entries = vec![(LedgerAccount::Bank, ten), (LedgerAccount::Balance, ten.negated())];
    let posting = Posting::money(at("2026-01-05T00:00"), "top-up".into(), currency, entries).unwrap();
    let mut ledger = Ledger::default();
    ledger.post(posting).unwrap();
    assert_eq!(ledger.balance_of(&LedgerAccount::Bank), Some((&Unit::Money(currency), exact("10"))));
    assert_eq!(ledger.balance_of(&LedgerAccount::Held), None);
}

/// What is adjusted is called as it was, and what it was for.
#[test]
fn an_adjustment_bears_the_title_of_its_line() {
    let mut desk = Desk::new(&[]);
    desk.subscribe("2026-01-05T08:00", "calls", 1);
    desk.metering.count(&call("1", at("2026-01-05T08:10"), "61", &[]), Change::Add).unwrap();
    assert_eq!(desk.settle("2026-01-05T09:00", None), "0.2 0.6");
    let line = "acme-2026-01-1".to_owned();
    let adjust = wallet::Action::Adjust { line, amount: exact("0.10"), reason: "more".into() };
    let facts = desk.act("2026-01-06T09:00", Action::Wallet(adjust)).unwrap();
    let titles = facts.iter().flat_map(|fact| match fact {
        Fact::Charged { lines, .. } => lines.as_slice(),
        _ => &[],
    });
    assert_eq!(titles.map(|line| line.title.as_str()).collect::<Vec<_>>(), ["minutes"]);
}

/// A plan is changed twice: on the first day nothing of the term before is left; later the days before
/// keep their part of its month and of what was paid.
#[test]
fn a_change_of_plan_divides_the_term() {
    let mut desk = Desk::new(&[]);
    let mut list = desk.catalogues.in_force("test", Instant::MIN).unwrap().clone();
    list.policy.terms.plan_change = Some(crate::catalog::PlanChange::AtOnce);
    for (plan, price) in [("calls", "100"), ("seats", "200")] {
        let plan = list.products.get_mut("p").unwrap().plans.get_mut(plan).unwrap();
        plan.modes = vec![Mode::Prepaid];
        plan.terms_months = vec![1];
        plan.charges.truncate(1);
        plan.charges[0].modes = vec![Mode::Prepaid];
        plan.charges[0].measure = Measure::Term;
        plan.charges[0].settle = Settle::AtPurchase;
        plan.charges[0].pricing.model = Model::PerUnit(exact(price));
    }
    desk.catalogues = Catalogues::default();
    desk.catalogues.add(list).unwrap();
    let order = Action::Subscribe {
        plan: "calls".into(),
        name: None,
        quantity: 1,
        mode: Some(Mode::Prepaid),
        months: Some(1),
        auto: None,
        attributes: BTreeMap::new(),
    };
    desk.act("2026-01-01T00:00", order).unwrap();
    let mut change = |when: &str, plan: &str| -> Vec<(String, String)> {
        let (subscription, plan) = ("calls".to_owned(), plan.to_owned());
        desk.act(when, Action::ChangePlan { subscription, plan }).unwrap();
        let term = desk.group.subscription("acme", "calls").unwrap().term.clone().unwrap();
        let parts = term.periods.iter().map(|part| (part.months.to_string(), part.paid.exact().to_string()));
        parts.collect()
    };
    assert_eq!(change("2026-01-01T14:00", "seats"), [("1".to_owned(), "200".to_owned())]);
    let half = ("0.5".to_owned(), "100".to_owned());
    assert_eq!(change("2026-01-17T14:00", "calls"), [half.clone(), ("0.5".to_owned(), "50".to_owned())]);
}

#[test]
fn late_usage_is_the_difference() {
    let mut desk = Desk::new(&[]);
    desk.subscribe("2026-01-05T08:00", "calls", 1);
    assert_eq!(desk.settle("2026-01-05T09:00", None), "0.6");
    desk.metering.count(&call("1", at("2026-01-05T08:10"), "61", &[]), Change::Add).unwrap();
    assert_eq!(desk.settle("2026-01-05T10:00", Some("2026-01-05T08:10")), "0.2 0.6");
    desk.metering.count(&call("1", at("2026-01-05T08:10"), "61", &[]), Change::Remove).unwrap();
    assert_eq!(desk.settle("2026-01-05T11:00", Some("2026-01-05T08:10")), "-0.2 0.6");
}

#[test]
fn an_end_in_the_past_gives_back_what_was_charged_after_it() {
    let end = at("2026-01-05T08:30");
    let mut desk = Desk::new(&[end]);
    desk.subscribe("2026-01-05T08:00", "calls", 2);
    desk.metering.count(&call("1", at("2026-01-05T08:50"), "60", &[]), Change::Add).unwrap();
    assert_eq!(desk.settle("2026-01-05T09:00", None), "0.1 1.2");
    assert_eq!(desk.settle("2026-01-05T10:00", None), "1.2");
    desk.act("2026-01-05T08:30", Action::Cancel { subscription: "calls".into() }).unwrap();
    assert_eq!(desk.settle("2026-01-05T11:00", None), "-0.1 -0.6 -1.2");
    assert_eq!(desk.settle("2026-01-05T12:00", None), "");
}

#[test]
fn a_refusal_changes_nothing() {
    let mut desk = Desk::new(&[]);
    desk.subscribe("2026-01-05T08:00", "seats", 2);
    let before = desk.group.clone();
    let remove = Action::ChangeQuantity { subscription: "seats".into(), delta: -3 };
    let refused = desk.act("2026-01-06T08:00", remove).unwrap_err();
    assert_eq!(refused, OrderRefusal::BelowZero { subscription: "seats".into(), units: 2 }.into());
    let too_fine = desk.act("2026-01-06T08:00", Action::TopUp { amount: exact("0.001") }).unwrap_err();
    assert_eq!(too_fine.code(), "bad-amount");
    assert_eq!(desk.group, before);
}

#[test]
fn a_discount_is_above_nothing_and_at_most_all() {
    let mut desk = Desk::new(&[]);
    let mut discount = |percent: &str| {
        let percent = exact(percent);
        let grant = Action::Grant { percent, plan: None, charge: None, until: None };
        desk.act("2026-01-05T08:00", grant).map_err(|refused| refused.code())
    };
    for percent in ["-1", "0", "100.01"] {
        assert_eq!(discount(percent).unwrap_err(), "bad-percent", "{percent}");
    }
    for percent in ["0.01", "100"] {
        assert!(discount(percent).is_ok(), "{percent}");
    }
}

#[test]
fn codes_are_each_there_once() {
    let codes: BTreeSet<&str> = REFUSAL_CODES.iter().copied().flatten().copied().collect();
    assert_eq!(codes.len(), REFUSAL_CODES.iter().map(|codes| codes.len()).sum::<usize>());
}

#[test]
fn versions_share_zone_and_currency_and_differ_in_date() {
    let mut catalogues = catalogues();
    let first = catalogues.in_force("test", Instant::MIN).unwrap().clone();
    assert_eq!(catalogues.add(first.clone()), Err(CatalogueConflict::SameDate));
    let elsewhere = Catalogue { zone: Zone::utc(), effective: Some(at("2026-02-01T00:00")), ..first.clone() };
    assert_eq!(catalogues.add(elsewhere), Err(CatalogueConflict::ZoneOrCurrency));
    let second = Catalogue { version: "2".into(), effective: Some(at("2026-02-01T00:00")), ..first };
    catalogues.add(second).unwrap();
    let version = |when: &str| catalogues.in_force("test", at(when)).unwrap().version.clone();
    assert_eq!((version("2026-01-31T23:59"), version("2026-02-01T00:00")), ("1".into(), "2".into()));
}
