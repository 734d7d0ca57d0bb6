//! What happens in a random history.

use super::dice::Dice;
use super::life::{self, Life};
use super::orders::{self, Order};
use super::packages;
use super::sessions::{self, Session};
use super::usage::{self, Made};
use super::wallet;
use super::world::World;
use farebox_oracle::calendar;
use farebox_oracle::catalogue::{Catalogue, Measure, Plan};
use farebox_oracle::history::{Line, What};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Who writes a history, and what it remembers of it.
pub struct Writer<'w> {
    pub world: &'w World,
    pub zone: TimeZone,
    pub orders: Vec<Order>,
    /// Orders of what settles every hour.
    pub ticking: u32,
    /// Usage so far.
    said: Vec<Line>,
    pub life: Life,
    /// Sessions so far.
    pub sessions: Vec<Session>,
    /// Coupons so far.
    pub coupons: u32,
    /// Moments at which there is a level already.
    levels: BTreeSet<Timestamp>,
}

/// A history of 30 to 200 lines.
pub fn write(world: &World, dice: &mut Dice) -> Vec<Line> {
    let zone = calendar::zone(world.zone).unwrap();
    let first = calendar::midnight(&zone, world.first_day.parse().unwrap());
    // Over one or two ends of a month, now and then over more.
    let most = if dice.once_in(5) { 95 } else { 30 };
    let days = 15 + i64::try_from(dice.below(most)).unwrap();
    let last = first + SignedDuration::from_hours(days * 24);
    let mut lines = Vec::new();
    let names: &[&str] = match dice.below(8) {
        0 | 1 => &["acme", "beta"],
        2 | 3 => &["acme", "acme-south", "acme-north"],
        4 => &["acme", "acme-south", "beta"],
        _ => &["acme"],
    };
    let limits = dice.once_in(2);
    let mut accounts: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let other_zones = ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"];
    for account in &accounts {
        let zone = if dice.once_in(6) { Some((*dice.pick(&other_zones)).to_owned()) } else { None };
        let payer = account.starts_with("acme-").then(|| "acme".to_owned());
        let begin = life::open(world, dice, zone, payer, limits);
        lines.extend(begin.into_iter().map(|what| Line { at: first, account: account.clone(), what }));
    }
    let count = 30 + dice.place(171);
    let mut times: Vec<Timestamp> = (lines.len()..count).map(|_| dice.moment(&zone, first, last)).collect();
    times.sort();
    // Now and then much happens within an hour: sessions at once.
    if dice.once_in(4) {
        for index in 1..times.len() {
            if !dice.once_in(3) {
                let soon = SignedDuration::from_secs(i64::try_from(dice.below(1500)).unwrap());
                times[index] = (times[index - 1] + soon).min(times[index]);
            }
        }
    }
    let mut writer = Writer {
        world,
        zone,
        orders: Vec::new(),
        ticking: 0,
        said: Vec::new(),
        life: Life { by_invoice: dice.once_in(3), limits, ..Life::default() },
        sessions: Vec::new(),
        coupons: 0,
        levels: BTreeSet::new(),
    };
    for (index, at) in times.iter().copied().enumerate() {
        let account = dice.pick(&accounts).clone();
        let mut line = loop {
            if let Some(line) = writer.line(dice, index, at, &account, &accounts, (first, last)) {
                break line;
            }
        };
        let about_line = matches!(line.what, What::CreditLine { .. } | What::Adjust { .. });
        if about_line && times.get(index + 1) == Some(&at) {
            // Which lines are there already is only known where nothing else happens in that moment.
            line.what = What::TopUp { amount: "5.00".to_owned() };
        }
        if matches!(line.what, What::Open { .. }) && !accounts.contains(&line.account) {
            accounts.push(line.account.clone());
        }
        lines.push(line);
    }
    lines
}

impl Writer<'_> {
    fn line(
        &mut self,
        dice: &mut Dice,
        index: usize,
        at: Timestamp,
        account: &str,
        accounts: &[String],
        (first, last): (Timestamp, Timestamp),
    ) -> Option<Line> {
        let early = u64::from(index < 8);
        let what = match dice.below(100) {
            roll if roll < 5 + 40 * early && self.orders.len() < 12 => {
                orders::order(self, dice, at, account)?
            }
            roll if roll < 22 => orders::change(self, dice, at, account)?,
            22..26 => {
                let charges = self.world.charges();
                let on = match dice.below(4) {
                    0 | 1 => None,
                    2 => Some(dice.pick(&charges).0.clone()),
                    _ => Some(dice.pick(&self.world.plans()).1.to_owned()),
                };
                let percent = (*dice.pick(&["10", "12.5", "33", "5", "100", "0.75"])).to_owned();
                What::Discount { percent, on, until: self.until(dice, at, last) }
            }
            26..29 => {
                let on = dice.pick(&self.world.negotiable()).clone();
                let price = (*dice.pick(&["7.77", "0.05", "250.00", "0.0123456789", "1000", "0"])).to_owned();
                What::Price { on, price, until: self.until(dice, at, last) }
            }
            29..34 if self.life.by_invoice => return wallet::event(self, dice, at, account, (first, last)),
            29..34 => {
                let decimals =
                    if dice.once_in(30) { "001".to_owned() } else { format!("{:02}", dice.below(100)) };
                What::TopUp { amount: format!("{}.{decimals}", dice.below(3000)) }
            }
            34..38 if !self.said.is_empty() => {
                let What::Usage { id, .. } = &dice.pick(&self.said).what else { return None };
                What::Void { id: id.clone() }
            }
            38..46 if !self.said.is_empty() => return self.again(dice, at),
            48..53 => life::event(self, dice, account)?,
            53..60 => return wallet::event(self, dice, at, account, (first, last)),
            46..48 if index > 3 => {
                let payer = dice.once_in(2).then(|| "acme".to_owned());
                let account = if dice.once_in(2) { account } else { "late" };
                return Some(Line {
                    at,
                    account: account.to_owned(),
                    what: What::Open { zone: None, payer, tier: None },
                });
            }
            60..65 if accounts.len() > 1 => packages::sharing(self, dice, account, accounts)?,
            65..82 => {
                let line = sessions::event(self, dice, at, account)?;
                if let What::Usage { .. } = &line.what {
                    self.said.push(line.clone());
                }
                return Some(line);
            }
            _ => self.usage(dice, index, at, account, first),
        };
        let line = Line { at, account: account.to_owned(), what };
        if let What::Usage { .. } = &line.what {
            self.said.push(line.clone());
        }
        Some(line)
    }

    pub fn until(&self, dice: &mut Dice, at: Timestamp, last: Timestamp) -> Option<Timestamp> {
        let after = at + SignedDuration::from_secs(1);
        match dice.below(20) {
            0..=9 if after < last => Some(dice.moment(&self.zone, after, last).max(after)),
            _ => None,
        }
    }

    /// Whether something that the account has ordered measures usage.
    pub fn uses(&self, account: &str) -> bool {
        let plans = self.world.plans();
        let ordered = self.orders.iter().filter(|one| one.account == account && !one.over);
        let mut plans = ordered.filter_map(|one| plans.iter().find(|(_, name, _)| *name == one.plan));
        plans.any(|(.., plan)| plan.charges.iter().any(|one| matches!(one.measure, Measure::Meter(_))))
    }

    /// Usage that fits what the account has ordered.
    pub fn made(&self, dice: &mut Dice, account: &str) -> Made {
        let plans = self.world.plans();
        let ordered = self.orders.iter().filter(|one| one.account == account && !one.over);
        let ordered: Vec<(&Catalogue, &Plan)> = ordered
            .filter_map(|one| plans.iter().find(|(_, name, _)| *name == one.plan))
            .map(|(list, _, plan)| (*list, *plan))
            .collect();
        usage::make(self.world, dice, &ordered)
    }

    fn usage(
        &mut self,
        dice: &mut Dice,
        index: usize,
        at: Timestamp,
        account: &str,
        first: Timestamp,
    ) -> What {
        let made = self.made(dice, account);
        let any = first + SignedDuration::from_secs(1);
        // Half of it arrives on time, the rest late and in any order.
        let time = match dice.below(4) {
            0 | 1 => at,
            2 => dice.moment(&self.zone, first, at.max(any)),
            _ => at - SignedDuration::from_secs(i64::try_from(dice.below(3 * 86_400)).unwrap()),
        };
        let time = self.apart(time.min(at), made.level);
        let start = made
            .seconds
            .filter(|seconds| *seconds < 100_000 && dice.once_in(2))
            .map(|seconds| time - SignedDuration::from_secs(i64::try_from(seconds).unwrap()));
        let Made { kind, attributes, .. } = made;
        What::Usage { id: format!("u{index}"), revision: 0, kind, time, start, attributes }
    }

    /// Of two values of one moment, no rule says which is the later: moves levels apart.
    fn apart(&mut self, mut time: Timestamp, level: bool) -> Timestamp {
        while level && !self.levels.insert(time) {
            time -= SignedDuration::from_secs(1);
        }
        time
    }

    /// The same usage again, or a revision of it.
    fn again(&mut self, dice: &mut Dice, at: Timestamp) -> Option<Line> {
        let mut line = dice.pick(&self.said).clone();
        line.at = at;
        if dice.once_in(2) {
            return Some(line);
        }
        let made = self.made(dice, &line.account);
        let What::Usage { id, revision, kind, attributes, time, start } = &mut line.what else { return None };
        let highest = self.said.iter().filter_map(|line| match &line.what {
            What::Usage { id: other, revision, .. } if other == id => Some(*revision),
            _ => None,
        });
        *revision = highest.max().unwrap_or(0) + 1 + dice.below(2);
        *start = None;
        let mut level = true;
        // A record in quarantine takes no session's place.
        if dice.once_in(2) && !id.starts_with('c') {
            level = made.level;
            *kind = made.kind;
            *attributes = made.attributes;
        } else {
            *time -= SignedDuration::from_secs(i64::try_from(dice.below(86_400 * 3)).unwrap());
        }
        *time = self.apart(*time, level);
        self.said.push(line.clone());
        Some(line)
    }
}
