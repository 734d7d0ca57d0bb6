//! Histories as books.

use super::world::World;
use farebox_oracle::calendar;
use farebox_oracle::history::{Line, Payment, What};
use jiff::Timestamp;

fn term(months: i64) -> String {
    if months == 1 { "1 month".to_owned() } else { format!("{months} months") }
}

fn auto_renew(limit: i64) -> String {
    if limit > 0 { format!(" auto-renew limit {limit}") } else { " auto-renew".to_owned() }
}

/// The book of a history: put into a file anywhere, it can be run.
pub fn book(world: &World, lines: &[Line]) -> String {
    let file = |name: &String| format!("catalog \"{}\"\n", world.folder.join(name).display());
    let mut text: String = world.files.iter().map(file).collect();
    text.push_str(&format!("zone {}\n", world.zone));
    for line in lines {
        text.push_str(&words(world, line));
        text.push('\n');
    }
    text
}

/// A line as the book language has it.
pub fn words(world: &World, line: &Line) -> String {
    let zone = calendar::zone(world.zone).unwrap();
    let show = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
    let account = &line.account;
    let named = |attributes: &[(String, String)]| -> String {
        attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect()
    };
    let until = |until: &Option<Timestamp>| until.map_or(String::new(), |at| format!(" until {}", show(at)));
    let mode = |payment: &Payment| match payment {
        Payment::Unsaid => String::new(),
        Payment::PayPerUse => " pay-per-use".to_owned(),
        Payment::Prepaid(months) => format!(" prepaid {}", term(*months)),
    };
    let words = match &line.what {
        What::Open { zone, payer, tier } => {
            let zone = zone.as_ref().map_or(String::new(), |zone| format!(" zone {zone}"));
            let payer = payer.as_ref().map_or(String::new(), |payer| format!(" member of {payer}"));
            let tier = tier.as_ref().map_or(String::new(), |tier| format!(" tier {tier}"));
            format!("open {account}{zone}{payer}{tier}")
        }
        What::Tier { tier } => format!("tier {account} {tier}"),
        What::CreditLimit { limit } => {
            format!("credit-limit {account} {}", limit.as_deref().unwrap_or("off"))
        }
        What::Suspend { suspend: true } => format!("suspend {account}"),
        What::Suspend { suspend: false } => format!("resume {account}"),
        What::Subscribe { plan, units, name, payment, auto, attributes } => {
            let (mode, auto) = (mode(payment), auto.map_or(String::new(), auto_renew));
            format!("subscribe {account} {plan} {units} as {name}{mode}{auto}{}", named(attributes))
        }
        What::AutoRenew { name, limit: None } => format!("change {account}/{name} auto-renew off"),
        What::AutoRenew { name, limit: Some(limit) } => {
            let limit = if *limit > 0 { format!(" limit {limit}") } else { String::new() };
            format!("change {account}/{name} auto-renew on{limit}")
        }
        What::MigrateBalance { amount } => format!("migrate {account} balance {amount}"),
        What::Migrate { plan, units, name, from, until, paid, attributes } => {
            let (from, until) = (show(*from), show(*until));
            let named = named(attributes);
            format!("migrate {account} {plan} {units} as {name} from {from} until {until} paid {paid}{named}")
        }
        What::Change { name, units, effective } => {
            let verb = if *units > 0 { "add" } else { "remove" };
            let effective = effective.map_or(String::new(), |at| format!(" effective {}", show(at)));
            format!("{verb} {account}/{name} {}{effective}", units.abs())
        }
        What::Cancel { name } => format!("cancel {account}/{name}"),
        What::Unsubscribe { name } => format!("unsubscribe {account}/{name}"),
        What::Stop { name, stop } => format!("{} {account}/{name}", if *stop { "stop" } else { "start" }),
        What::Renew { name, months } => format!("renew {account}/{name} {}", term(*months)),
        What::ChangeMode { name, payment } => format!("change {account}/{name} mode{}", mode(payment)),
        What::Share { name, with } => format!("share {account}/{name} with {}", with.join(",")),
        What::Keep { name } => format!("keep {account}/{name}"),
        What::ChangePlan { name, plan } => format!("change {account}/{name} plan {plan}"),
        What::Discount { percent, on, until: end } => {
            let on = on.as_ref().map_or(String::new(), |on| format!(" on {on}"));
            format!("discount {account} {percent}%{on}{}", until(end))
        }
        What::Price { on, price, until: end } => format!("price {account} {on} {price}{}", until(end)),
        What::TopUp { amount } => format!("topup {account} {amount}"),
        What::Coupon { id, amount, on, until: end } => {
            let on = on.as_ref().map_or(String::new(), |on| format!(" on {on}"));
            format!("coupon {account} {id} {amount}{on}{}", until(end))
        }
        What::Pay { month, amount } => format!("pay {account} {} {amount}", month.strftime("%Y-%m")),
        What::WriteOff { month, amount } => {
            let amount = amount.as_ref().map_or(String::new(), |amount| format!(" {amount}"));
            format!("write-off {account} {}{amount} \"lost\"", month.strftime("%Y-%m"))
        }
        What::Credit { month, amount } => {
            format!("credit {account} {} {amount} \"sorry\"", month.strftime("%Y-%m"))
        }
        What::CreditLine { line, amount } => format!("credit {line} {amount} \"sorry\""),
        What::PayOut { amount } => format!("payout {account} {amount}"),
        What::Charge { amount, labels } => format!("charge {account} {amount} \"Visit\"{}", named(labels)),
        What::Adjust { line, amount } => format!("adjust {line} {amount} \"mistake\""),
        What::Usage { id, revision, kind, time, start, attributes } => {
            let revision = if *revision > 0 { format!(" revision={revision}") } else { String::new() };
            let start = start.map_or(String::new(), |start| format!(" start=\"{}\"", show(start)));
            format!(
                "usage {account} {kind} id={id}{revision} at=\"{}\"{start}{}",
                show(*time),
                named(attributes)
            )
        }
        What::Hold { id, kind, units, until: end, attributes } => {
            format!("hold {account}/{id} {kind} {units}{} until {}", named(attributes), show(*end))
        }
        What::Extend { id, units, used, until: end } => {
            format!("extend {account}/{id} {units} used {used} until {}", show(*end))
        }
        What::Release { id, used } => format!("release {account}/{id} {used}"),
        What::Void { id } => format!("void book/{id}"),
    };
    format!("{} {words}", show(line.at))
}
