//! Sessions past their deadline that no schedule has ended yet: a wish ends them itself, and has what
//! they held at once.

use super::*;
use crate::account::{Group, View};
use crate::calendar::Cycle;
use crate::catalog::*;
use crate::engine::{Catalogues, Command, Duty, Late, lanes};
use crate::metering::{Change, Metering};
use crate::testing::{at, call, catalogues, exact, zone};

/// `acme` and its member `idle`, whose lines have two calls at once and as many minutes in a month as
/// a test says. No schedule runs.
struct World {
    group: Group,
    catalogues: Catalogues,
    metering: Metering,
}

impl World {
    fn new(minutes: Option<i128>) -> World {
        World::with(minutes, Cycle::Hour)
    }

    fn with(minutes: Option<i128>, accumulate: Cycle) -> World {
        let mut list = catalogues().in_force("test", Instant::MIN).unwrap().clone();
        let periods = Periods { grace_days: 9, retention_days: 9 };
        let tier = ArrearsTier { id: "V3".into(), pay_per_use: periods, prepaid: periods };
        list.policy.arrears = Some(ArrearsPolicy {
            default_tier: "V3".into(),
            grace_operations: GraceOperations::All,
            charge_while_frozen: false,
            tiers: vec![tier],
        });
        let plans = &mut list.products.get_mut("p").unwrap().plans;
        let plan = plans.get_mut("calls").unwrap();
        plan.charges.retain(|charge| charge.id == "minutes");
        plan.charges[0].accumulate = accumulate;
        plan.charges[0].concurrency = Some("at-once".into());
        plan.provides.insert("at-once".into(), 2);
        plan.grants.extend(minutes.map(|minutes| Grant {
            id: "minutes".into(),
            title: "Minutes".into(),
            meter: "minutes".into(),
            units: Exact::whole(minutes),
            resets: Resets::Month,
            kind: GrantKind::Included,
            origin: Origin::Bought,
            scope: Vec::new(),
            late_days: 0,
            alerts: Vec::new(),
            rules: Vec::new(),
        }));
        let mut catalogues = Catalogues::default();
        catalogues.add(list).unwrap();
        let plans = BTreeMap::from([(("test".to_owned(), "calls".to_owned()), Instant::MIN)]);
        let names = ["acme".to_owned(), "idle".to_owned()];
        let all: Vec<_> = names.iter().flat_map(|name| lanes(&catalogues, name, &plans, &[])).collect();
        let metering = Metering::new(names, all);
        let mut world = World { group: Group::default(), catalogues, metering };
        for (account, payer, tier) in [("acme", None, Some("V3")), ("idle", Some("acme"), None)] {
            let title = account.to_owned();
            let currency = Currency::parse("CNY").unwrap();
            let (payer, tier) = (payer.map(str::to_owned), tier.map(str::to_owned));
            let open = engine::Action::Open { title, currency, zone: zone(), payer, tier };
            world.act(account, "00:00", open).unwrap();
            let order = engine::Action::Subscribe {
                plan: "calls".to_owned(),
                name: None,
                quantity: 1,
                mode: None,
                months: None,
                auto: None,
                attributes: BTreeMap::new(),
            };
            world.act(account, "00:00", order).unwrap();
        }
        world.due("00:00", Duty::Packages);
        world
    }

    fn act(
        &mut self,
        account: &str,
        time: &str,
        action: engine::Action,
    ) -> Result<Vec<engine::Fact>, engine::Refusal> {
        let now = at(&format!("2026-01-05T{time}"));
        let command = Command { account: account.into(), effective_at: now, action };
        let facts = engine::decide(&self.group, &self.catalogues, &self.metering, &command, now)?;
        for fact in &facts {
            self.group.apply(fact).unwrap();
        }
        Ok(facts)
    }

    fn due(&mut self, time: &str, duty: Duty) {
        self.act("acme", time, engine::Action::Due { duty, late: Late::new() }).unwrap();
    }

    fn top_up(&mut self, amount: &str) {
        self.act("acme", "00:00", engine::Action::TopUp { amount: exact(amount) }).unwrap();
    }

    /// Begins a call of so many minutes; answers how many are granted, or why none.
    fn hold(&mut self, (account, id): (&str, &str), time: &str, minutes: i128, until: &str) -> String {
        let action = Action::Create {
            id: id.to_owned(),
            source: "book".to_owned(),
            kind: "call".to_owned(),
            attributes: BTreeMap::from([("direction".to_owned(), "in".to_owned())]),
            units: Exact::whole(60 * minutes),
            until: at(&format!("2026-01-05T{until}")),
        };
        match self.act(account, time, engine::Action::Holds(action)) {
            Ok(_) => self.granted(account, id),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    fn granted(&self, account: &str, id: &str) -> String {
        self.group.hold("acme", account, id).unwrap().granted.div(Exact::whole(60)).unwrap().to_string()
    }

    /// Available, held and drawn of the bucket of `acme`.
    fn units(&self) -> [String; 3] {
        let bucket = self.group.latest_buckets("acme", "acme", "calls").first().unwrap().id.clone();
        let units = self.group.units("acme", &bucket);
        [units.available, units.held, units.drawn].map(|units| units.to_string())
    }
}

#[test]
fn units_of_an_overdue_session_are_there_for_the_next() {
    let mut world = World::new(Some(10));
    assert_eq!(world.hold(("acme", "1"), "10:00", 10, "10:05"), "10");
    assert_eq!(world.hold(("acme", "2"), "10:04", 1, "10:30"), "not-covered");
    assert_eq!(world.hold(("acme", "3"), "10:07", 8, "10:30"), "8");
    assert_eq!(world.units(), ["2", "8", "0"]);
    // It ended at its deadline, not when that was seen.
    let ended = world.group.hold("acme", "acme", "1").unwrap().ended.unwrap();
    assert_eq!((ended.at, ended.expired), (at("2026-01-05T10:05"), true));
}

#[test]
fn a_session_of_nothing_is_none() {
    let mut world = World::new(Some(10));
    assert_eq!(world.hold(("acme", "1"), "10:00", 0, "10:05"), "bad-units");
}

/// A month's minutes that settle each hour: those of a session that ends at the full hour, before that is
/// settled, are the next hour's, and stay drawn.
#[test]
fn what_a_session_draws_at_the_hour_is_for_the_next() {
    let mut world = World::with(Some(10), Cycle::Month);
    assert_eq!(world.hold(("acme", "1"), "10:50", 5, "11:30"), "5");
    let release = Action::Release { id: "1".to_owned(), used: Exact::whole(180) };
    world.act("acme", "11:00", engine::Action::Holds(release)).unwrap();
    world.due("11:00", Duty::Charges);
    assert_eq!(world.units(), ["7", "0", "3"]);
}

/// The first held 5 of the 10 minutes, the second got the other 5 and used 8. As both are overdue,
/// the second draws 3 of what the first lets go, and 2 are left.
#[test]
fn an_overdue_session_draws_what_one_before_it_let_go() {
    let mut world = World::new(Some(10));
    assert_eq!(world.hold(("acme", "1"), "10:00", 5, "10:05"), "5");
    assert_eq!(world.hold(("acme", "2"), "10:00", 10, "10:06"), "5");
    let (id, units, used) = ("2".to_owned(), Exact::whole(600), Exact::whole(480));
    let more = Action::Update { id, units, used, until: at("2026-01-05T10:06") };
    world.act("acme", "10:01", engine::Action::Holds(more)).unwrap();
    assert_eq!(world.hold(("acme", "3"), "10:07", 10, "10:30"), "2");
    assert_eq!(world.units(), ["0", "2", "8"]);
}

#[test]
fn money_of_an_overdue_session_is_there_for_the_next() {
    let mut world = World::new(None);
    world.top_up("1.00");
    assert_eq!(world.hold(("acme", "1"), "10:00", 6, "10:05"), "6");
    assert_eq!(world.hold(("acme", "2"), "10:00", 10, "10:30"), "4");
    assert_eq!(world.hold(("acme", "3"), "10:05", 10, "10:30"), "6");
    assert_eq!(world.group.prepaid("acme"), Amount::ZERO);
}

/// A balance of 0.50 and a limit of 1.00 cover 15 minutes: 0.50 are money, 1.00 is credit. As the first is overdue,
/// its money comes back before its credit does, and the next holds both again.
#[test]
fn credit_of_an_overdue_session_is_there_for_the_next() {
    let mut world = World::new(None);
    world.top_up("0.50");
    let limit = engine::wallet::Action::SetCreditLimit { limit: Some(exact("1.00")) };
    world.act("acme", "00:00", engine::Action::Wallet(limit)).unwrap();
    let money = |world: &World| {
        let view = &world.group;
        [view.prepaid("acme"), view.held_money("acme"), view.held_on_credit("acme")]
            .map(|amount| amount.decimal(Currency::parse("CNY").unwrap()))
    };
    assert_eq!(world.hold(("acme", "1"), "10:00", 9, "10:05"), "9");
    assert_eq!(money(&world), ["0.00", "0.50", "0.40"]);
    assert_eq!(world.hold(("idle", "2"), "10:01", 10, "10:30"), "6", "a member's count for its master");
    assert_eq!(money(&world), ["0.00", "0.50", "1.00"]);
    assert_eq!(world.hold(("acme", "3"), "10:05", 10, "10:30"), "9");
    assert_eq!(money(&world), ["0.00", "0.50", "1.00"]);
    // One of them ends: its money comes back before its credit does.
    let release = Action::Release { id: "3".to_owned(), used: Exact::ZERO };
    world.act("acme", "10:06", engine::Action::Holds(release)).unwrap();
    assert_eq!(money(&world), ["0.50", "0.00", "0.60"]);
}

/// All of 1.00 is held when a call of 3 minutes that asked nobody is charged. What is let go then
/// pays those 0.30 first, and 7 minutes are left.
#[test]
fn money_of_an_overdue_session_pays_what_is_owed_first() {
    let mut world = World::new(None);
    world.top_up("1.00");
    assert_eq!(world.hold(("acme", "1"), "10:00", 10, "11:05"), "10");
    let seldom = call("9", at("2026-01-05T10:10"), "180", &[]);
    world.metering.count(&seldom, Change::Add).unwrap();
    world.due("11:00", Duty::Charges);
    assert_eq!(world.group.unpaid("acme").len(), 1);
    assert_eq!(world.hold(("acme", "2"), "11:06", 10, "11:30"), "7");
    assert_eq!(world.group.unpaid("acme").len(), 0);
    assert_eq!(world.group.prepaid("acme"), Amount::ZERO);
}

#[test]
fn an_overdue_session_leaves_one_place_of_its_own_account() {
    let mut world = World::new(None);
    world.top_up("10.00");
    for (account, id, until) in
        [("acme", "1", "10:30"), ("acme", "2", "10:05"), ("idle", "1", "10:05"), ("idle", "2", "10:05")]
    {
        assert_eq!(world.hold((account, id), "10:00", 1, until), "1");
    }
    assert_eq!(world.hold(("acme", "3"), "10:04", 1, "10:30"), "no-place");
    assert_eq!(world.hold(("acme", "3"), "10:06", 1, "10:30"), "1");
    assert_eq!(world.hold(("acme", "4"), "10:06", 1, "10:30"), "no-place");
}

/// The places of `acme` are all taken; two overdue sessions of its member leave none of them.
#[test]
fn an_overdue_session_of_a_member_leaves_no_place_of_another() {
    let mut world = World::new(None);
    world.top_up("10.00");
    for (account, id, until) in
        [("acme", "1", "10:30"), ("acme", "2", "10:30"), ("idle", "1", "10:05"), ("idle", "2", "10:05")]
    {
        assert_eq!(world.hold((account, id), "10:00", 1, until), "1");
    }
    assert_eq!(world.hold(("acme", "3"), "10:06", 1, "10:30"), "no-place");
}
