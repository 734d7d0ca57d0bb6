//! Random histories, as lines that both sides can be given.

use farebox_oracle::calendar;
use farebox_oracle::history::{Account, AgreedPrice, Change, Discount, Event, Subscription};
use farebox_oracle::number::decimal;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// Random numbers from a seed, the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Whether something happens that happens once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// A line of a book.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Timestamp,
    pub account: String,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Open {
        zone: Option<String>,
    },
    Subscribe {
        plan: String,
        units: u32,
        name: String,
        months: Option<i64>,
        attributes: Vec<(String, String)>,
    },
    Change {
        name: String,
        units: i64,
        effective: Option<Timestamp>,
    },
    Cancel {
        name: String,
    },
    Stop {
        name: String,
        stop: bool,
    },
    Renew {
        name: String,
        months: i64,
    },
    Discount {
        percent: String,
        on: Option<String>,
        until: Option<Timestamp>,
    },
    Price {
        on: String,
        price: String,
        until: Option<Timestamp>,
    },
    TopUp {
        amount: String,
    },
    Usage {
        id: String,
        revision: u64,
        kind: String,
        time: Timestamp,
        start: Option<Timestamp>,
        attributes: Vec<(String, String)>,
    },
    Void {
        id: String,
    },
}

/// A type of usage, its attributes, and how many seconds it lasted.
pub type Usage = (&'static str, Vec<(&'static str, String)>, u64);

/// Price lists and what may be done with them.
pub struct World {
    pub name: &'static str,
    /// Files, the second version of a list among them.
    pub files: Vec<String>,
    /// The zone of the book, and a name of it.
    pub zone: &'static str,
    pub first_day: &'static str,
    pub plans: &'static [Plan],
    pub usage: fn(&mut Dice) -> Usage,
    /// Charges with one price each.
    pub negotiable: &'static [&'static str],
    pub discountable: &'static [&'static str],
}

/// A plan, its terms, what it binds.
pub struct Plan {
    pub id: &'static str,
    pub pay_per_use: bool,
    pub terms: &'static [i64],
    pub states: &'static str,
    pub by_second: bool,
}

const NUMBERS: [&str; 2] = ["0101", "0102"];

/// Moments that are worth trying besides any other.
fn moment(dice: &mut Dice, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Timestamp {
    let span = u64::try_from(until.as_second() - from.as_second()).unwrap();
    let any = Timestamp::from_second(from.as_second() + i64::try_from(dice.below(span)).unwrap()).unwrap();
    let local = calendar::local(zone, any);
    let at = match dice.below(12) {
        0 => calendar::cycle_start(zone, calendar::Cycle::Month, any),
        1 | 2 => calendar::cycle_start(zone, calendar::Cycle::Day, any),
        3 => calendar::cycle_start(zone, calendar::Cycle::Hour, any),
        4 => {
            // Around the change of the clocks.
            let date = if local.month() < 7 { "2026-03-29" } else { "2026-10-25" };
            let midnight = calendar::midnight(zone, date.parse().unwrap());
            Timestamp::from_second(midnight.as_second() + i64::try_from(dice.below(5 * 3600)).unwrap())
                .unwrap()
        }
        _ => any,
    };
    at.clamp(from, until)
}

/// What the writer of a history remembers of an order.
struct Order {
    account: String,
    name: String,
    plan: usize,
    months: Option<i64>,
    start: Timestamp,
    units: i64,
    changes: Vec<(Timestamp, i64)>,
    ended: Option<Timestamp>,
    stopped: bool,
}

impl Order {
    /// Whether there are never fewer than no units.
    fn holds(&self, changes: &[(Timestamp, i64)]) -> bool {
        let mut sorted = changes.to_vec();
        sorted.sort_by_key(|(at, _)| *at);
        let mut held = self.units;
        sorted.iter().all(|(_, delta)| {
            held += delta;
            held >= 0
        })
    }
}

/// A history of some lines.
pub fn write(world: &World, dice: &mut Dice) -> Vec<Line> {
    let zone = calendar::zone(world.zone).unwrap();
    let first = calendar::midnight(&zone, world.first_day.parse().unwrap());
    let days = 20 + i64::try_from(dice.below(90)).unwrap();
    let last = Timestamp::from_second(first.as_second() + days * 86_400).unwrap();
    let mut lines = Vec::new();
    let accounts: Vec<String> =
        if dice.once_in(4) { vec!["acme".into(), "beta".into()] } else { vec!["acme".into()] };
    let other_zones = ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"];
    for account in &accounts {
        let zone = if dice.once_in(6) { Some((*dice.pick(&other_zones)).to_owned()) } else { None };
        lines.push(Line { at: first, account: account.clone(), what: What::Open { zone } });
    }
    let count = 30 + dice.below(170);
    let mut times: Vec<Timestamp> = (0..count).map(|_| moment(dice, &zone, first, last)).collect();
    times.sort();
    let mut orders: Vec<Order> = Vec::new();
    let mut said: Vec<Line> = Vec::new();
    let mut taken = BTreeMap::new();
    for (index, at) in times.into_iter().enumerate() {
        let account = dice.pick(&accounts).clone();
        let early = u64::from(index < 8);
        let what = match dice.below(100) {
            roll if roll < 5 + 40 * early && orders.len() < 12 => {
                order(world, dice, at, &account, &mut orders)
            }
            roll if roll < 20 => change(world, dice, at, &account, &mut orders),
            20..24 => {
                let plans: Vec<String> = world.discountable.iter().map(|on| (*on).to_owned()).collect();
                let on = if dice.once_in(2) { None } else { Some(dice.pick(&plans).clone()) };
                let until = until(dice, &zone, at, last);
                let percent = (*dice.pick(&["10", "12.5", "33", "5", "100", "0.75"])).to_owned();
                Some(What::Discount { percent, on, until })
            }
            24..28 if !world.negotiable.is_empty() => {
                let on = (*dice.pick(world.negotiable)).to_owned();
                let price = (*dice.pick(&["7.77", "0.05", "250.00", "0.0123456789", "1000", "0"])).to_owned();
                let until = until(dice, &zone, at, last);
                Some(What::Price { on, price, until })
            }
            28..31 => {
                let amount = format!("{}.{:02}", 1 + dice.below(3000), dice.below(100));
                Some(What::TopUp { amount })
            }
            31..36 => {
                said.get(usize::try_from(dice.below(said.len().max(1) as u64)).unwrap()).and_then(|line| {
                    let What::Usage { id, .. } = &line.what else { return None };
                    Some(What::Void { id: id.clone() })
                })
            }
            36..45 if !said.is_empty() => again(world, dice, at, &said, &mut taken)
                .map(|line| {
                    if let What::Usage { .. } = &line.what {
                        said.push(line.clone());
                    }
                    lines.push(line);
                    None::<What>
                })
                .unwrap_or(None),
            _ => {
                let (kind, attributes, length) = (world.usage)(dice);
                let any = first + jiff::SignedDuration::from_secs(1);
                let time = if dice.once_in(2) { at } else { moment(dice, &zone, first, at.max(any)) };
                let time = apart(time.min(at), kind, &mut taken);
                let start = if length > 0 && dice.once_in(2) {
                    Some(time - jiff::SignedDuration::from_secs(i64::try_from(length).unwrap()))
                } else {
                    None
                };
                let mut attributes: Vec<(String, String)> =
                    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                match dice.below(5) {
                    0 => attributes.push(("project".into(), "red".into())),
                    1 => attributes.push(("project".into(), "blue".into())),
                    2 => {
                        attributes.extend([("project".into(), "red".into()), ("tag:team".into(), "a".into())])
                    }
                    _ => {}
                }
                let what = What::Usage {
                    id: format!("u{index}"),
                    revision: 0,
                    kind: kind.to_owned(),
                    time,
                    start,
                    attributes,
                };
                said.push(Line { at, account: account.clone(), what: what.clone() });
                Some(what)
            }
        };
        if let Some(what) = what {
            lines.push(Line { at, account, what });
        }
    }
    lines
}

fn until(dice: &mut Dice, zone: &TimeZone, at: Timestamp, last: Timestamp) -> Option<Timestamp> {
    let after = at + jiff::SignedDuration::from_secs(1);
    (dice.once_in(2) && after < last).then(|| moment(dice, zone, after, last).max(after))
}

/// Of two values of one moment, no rule says which is the later: moves levels apart.
fn apart(mut time: Timestamp, kind: &str, taken: &mut BTreeMap<Timestamp, ()>) -> Timestamp {
    while matches!(kind, "workers" | "storage") && taken.contains_key(&time) {
        time -= jiff::SignedDuration::from_secs(1);
    }
    taken.insert(time, ());
    time
}

/// The same usage again, or a revision of it.
fn again(
    world: &World,
    dice: &mut Dice,
    at: Timestamp,
    said: &[Line],
    taken: &mut BTreeMap<Timestamp, ()>,
) -> Option<Line> {
    let mut line = dice.pick(said).clone();
    line.at = at;
    if dice.once_in(2) {
        return Some(line);
    }
    let What::Usage { id, revision, kind, attributes, time, start } = &mut line.what else { return None };
    let highest = said.iter().filter_map(|line| match &line.what {
        What::Usage { id: other, revision, .. } if other == id => Some(*revision),
        _ => None,
    });
    *revision = highest.max().unwrap_or(0) + 1 + dice.below(2);
    if dice.once_in(2) {
        let (new_kind, new, _) = (world.usage)(dice);
        *kind = new_kind.to_owned();
        *attributes = new.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        *start = None;
    } else {
        *time -= jiff::SignedDuration::from_secs(i64::try_from(dice.below(86_400 * 3)).unwrap());
        *start = None;
    }
    *time = apart(*time, kind, taken);
    Some(line)
}

fn order(
    world: &World,
    dice: &mut Dice,
    at: Timestamp,
    account: &str,
    orders: &mut Vec<Order>,
) -> Option<What> {
    let index = usize::try_from(dice.below(world.plans.len() as u64)).unwrap();
    let plan = &world.plans[index];
    let months = if !plan.terms.is_empty() && (!plan.pay_per_use || dice.once_in(3)) {
        Some(*dice.pick(plan.terms))
    } else {
        None
    };
    let mut attributes = Vec::new();
    let number = (plan.states == "number").then(|| (*dice.pick(&NUMBERS)).to_owned());
    if let Some(number) = &number {
        attributes.push(("number".to_owned(), number.clone()));
    } else if plan.states == "specification" {
        attributes.push(("specification".to_owned(), "2C4G".to_owned()));
    }
    if dice.once_in(3) {
        attributes.push(("project".to_owned(), "red".to_owned()));
    }
    if dice.once_in(6) {
        attributes.push(("tag:team".to_owned(), "b".to_owned()));
    }
    let units = u32::try_from(1 + dice.below(12)).unwrap();
    let name = format!("s{}", orders.len());
    orders.push(Order {
        account: account.to_owned(),
        name: name.clone(),
        plan: index,
        months,
        start: at,
        units: i64::from(units),
        changes: Vec::new(),
        ended: None,
        stopped: false,
    });
    Some(What::Subscribe { plan: plan.id.to_owned(), units, name, months, attributes })
}

fn change(
    world: &World,
    dice: &mut Dice,
    at: Timestamp,
    account: &str,
    orders: &mut [Order],
) -> Option<What> {
    let mut fitting: Vec<&mut Order> =
        orders.iter_mut().filter(|order| order.account == account && order.ended.is_none()).collect();
    if fitting.is_empty() {
        return None;
    }
    let index = usize::try_from(dice.below(fitting.len() as u64)).unwrap();
    let order = &mut fitting[index];
    let plan = &world.plans[order.plan];
    let name = order.name.clone();
    if let Some(months) = &mut order.months {
        // A term that has surely not ended can be renewed.
        let more = *dice.pick(plan.terms);
        // Nothing is renewed by the half-year (R-YKF-10).
        let more = if more == 6 { 1 } else { more };
        let days = at.duration_since(order.start).as_hours() / 24;
        if !dice.once_in(3) || days >= *months * 28 {
            return None;
        }
        *months += more;
        return Some(What::Renew { name, months: more });
    }
    match dice.below(12) {
        0 => {
            order.ended = Some(at);
            Some(What::Cancel { name })
        }
        1 | 2 if plan.by_second || dice.once_in(4) => {
            order.stopped = !order.stopped;
            Some(What::Stop { name, stop: order.stopped })
        }
        roll => {
            let sign = if roll % 2 == 0 { 1 } else { -1 };
            let units = sign * (1 + i64::try_from(dice.below(5)).unwrap());
            let effective = if dice.once_in(3) && order.start < at {
                Some(moment(dice, &TimeZone::fixed(jiff::tz::offset(1)), order.start, at))
            } else {
                None
            };
            let mut changes = order.changes.clone();
            changes.push((effective.unwrap_or(at), units));
            let holds = order.holds(&changes);
            if !holds {
                return None;
            }
            order.changes = changes;
            Some(What::Change { name, units, effective })
        }
    }
}

/// The book of a history.
pub fn book(world: &World, lines: &[Line]) -> String {
    let zone = calendar::zone(world.zone).unwrap();
    let show = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
    let mut text: String = world.files.iter().map(|file| format!("catalog \"{file}\"\n")).collect();
    text.push_str(&format!("zone {}\n", world.zone));
    for line in lines {
        let account = &line.account;
        let words = |attributes: &[(String, String)]| -> String {
            attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect()
        };
        let until =
            |until: &Option<Timestamp>| until.map_or(String::new(), |at| format!(" until {}", show(at)));
        let words = match &line.what {
            What::Open { zone } => {
                format!(
                    "open {account}{}",
                    zone.as_ref().map_or(String::new(), |zone| format!(" zone {zone}"))
                )
            }
            What::Subscribe { plan, units, name, months, attributes } => {
                let mode = match months {
                    Some(1) => " prepaid 1 month".to_owned(),
                    Some(months) => format!(" prepaid {months} months"),
                    None => " pay-per-use".to_owned(),
                };
                format!("subscribe {account} {plan} {units} as {name}{mode}{}", words(attributes))
            }
            What::Change { name, units, effective } => {
                let verb = if *units > 0 { "add" } else { "remove" };
                let effective = effective.map_or(String::new(), |at| format!(" effective {}", show(at)));
                format!("{verb} {account}/{name} {}{effective}", units.abs())
            }
            What::Cancel { name } => format!("cancel {account}/{name}"),
            What::Stop { name, stop } => format!("{} {account}/{name}", if *stop { "stop" } else { "start" }),
            What::Renew { name, months: 1 } => format!("renew {account}/{name} 1 month"),
            What::Renew { name, months } => format!("renew {account}/{name} {months} months"),
            What::Discount { percent, on, until: end } => {
                let on = on.as_ref().map_or(String::new(), |on| format!(" on {on}"));
                format!("discount {account} {percent}%{on}{}", until(end))
            }
            What::Price { on, price, until: end } => format!("price {account} {on} {price}{}", until(end)),
            What::TopUp { amount } => format!("topup {account} {amount}"),
            What::Usage { id, revision, kind, time, start, attributes } => {
                let revision = if *revision > 0 { format!(" revision={revision}") } else { String::new() };
                let start = start.map_or(String::new(), |start| format!(" start=\"{}\"", show(start)));
                let all = words(attributes);
                format!("usage {account} {kind} id={id}{revision} at=\"{}\"{start}{all}", show(*time))
            }
            What::Void { id } => format!("void book/{id}"),
        };
        text.push_str(&format!("{} {words}\n", show(line.at)));
    }
    text
}

/// The history as the oracle takes it. `catalogue`: the price list of a plan.
pub fn accounts(
    world: &World,
    lines: &[Line],
    catalogue: impl Fn(&str) -> String,
) -> Vec<(Account, Timestamp)> {
    let mut accounts: BTreeMap<String, (Account, Timestamp)> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        if let What::Open { zone } = &line.what {
            let account = Account {
                name: line.account.clone(),
                zone: calendar::zone(zone.as_deref().unwrap_or(world.zone)).unwrap(),
                subscriptions: Vec::new(),
                events: Vec::new(),
                voids: Vec::new(),
                discounts: Vec::new(),
                prices: Vec::new(),
                topups: Vec::new(),
            };
            accounts.insert(line.account.clone(), (account, line.at));
            continue;
        }
        if let What::Void { id } = &line.what {
            for (account, _) in accounts.values_mut() {
                account.voids.push((line.at, "book".into(), id.clone()));
            }
            continue;
        }
        let Some((account, _)) = accounts.get_mut(&line.account) else { continue };
        let named =
            |account: &Account, name: &str| account.subscriptions.iter().position(|one| one.name == name);
        match &line.what {
            What::Open { .. } | What::Void { .. } => {}
            What::Subscribe { plan, units, name, months, attributes } => {
                account.subscriptions.push(Subscription {
                    name: name.clone(),
                    catalogue: catalogue(plan),
                    plan: plan.clone(),
                    months: *months,
                    start: line.at,
                    line: number,
                    quantity: *units,
                    changes: Vec::new(),
                    cancelled: None,
                    renewals: Vec::new(),
                    stops: Vec::new(),
                    attributes: attributes.iter().cloned().collect(),
                })
            }
            What::Change { name, units, effective } => {
                if let Some(index) = named(account, name) {
                    let effective = effective.unwrap_or(line.at);
                    let change = Change { said: line.at, effective, units: *units };
                    account.subscriptions[index].changes.push(change);
                }
            }
            What::Cancel { name } => {
                if let Some(index) = named(account, name) {
                    account.subscriptions[index].cancelled = Some(line.at);
                }
            }
            What::Stop { name, stop } => {
                if let Some(index) = named(account, name) {
                    account.subscriptions[index].stops.push((line.at, *stop));
                }
            }
            What::Renew { name, months } => {
                if let Some(index) = named(account, name) {
                    account.subscriptions[index].renewals.push((line.at, number, *months));
                }
            }
            What::Discount { percent, on, until } => {
                let (plan, charge) =
                    match on.as_ref().map(|on| on.split_once('/').unwrap_or((on.as_str(), ""))) {
                        Some((plan, "")) => (Some(plan.to_owned()), None),
                        Some((plan, charge)) => (Some(plan.to_owned()), Some(charge.to_owned())),
                        None => (None, None),
                    };
                let percent = decimal(percent).unwrap();
                account.discounts.push(Discount {
                    from: line.at,
                    line: number,
                    until: *until,
                    percent,
                    plan,
                    charge,
                });
            }
            What::Price { on, price, until } => {
                let (plan, charge) = on.split_once('/').unwrap();
                account.prices.push(AgreedPrice {
                    from: line.at,
                    line: number,
                    until: *until,
                    plan: plan.to_owned(),
                    charge: charge.to_owned(),
                    price: decimal(price).unwrap(),
                });
            }
            What::TopUp { amount } => account.topups.push((line.at, decimal(amount).unwrap())),
            What::Usage { id, revision, kind, time, start, attributes } => account.events.push(Event {
                arrived: line.at,
                identity: ("book".into(), id.clone()),
                revision: *revision,
                kind: kind.clone(),
                time: *time,
                start: *start,
                attributes: attributes.iter().cloned().collect(),
            }),
        }
    }
    accounts.into_values().collect()
}
