//! `[policy.arrears]`: what happens to customers who owe.

use super::source::{Source, one_of, quoted};
use super::table::{Table, list};
use farebox_core::catalog::{ArrearsPolicy, ArrearsTier, GraceOperations, Periods};

const OPERATIONS: &[(&str, GraceOperations)] =
    &[("all", GraceOperations::All), ("part", GraceOperations::Part)];

/// The longest grace or retention.
const DAYS_MAX: u32 = 3_650;

/// The policy; `None` when a mistake in it was found.
pub(super) fn arrears(source: &mut Source<'_>, mut table: Table<'_>) -> Option<ArrearsPolicy> {
    let before = source.count();
    let default = table.need_text(source, "default-tier", "default-tier = \"V0\", one of the tiers");
    let grace_operations =
        table.choice(source, "grace-operations", OPERATIONS).unwrap_or(GraceOperations::All);
    let charge_while_frozen = table.yes(source, "charge-while-frozen", false);
    let example = "tiers = [{ id = \"V0\", pay-per-use = { grace-days = 0, retention-days = 1 }, \
                   prepaid = { grace-days = 1, retention-days = 1 } }]";
    let mut tiers: Vec<ArrearsTier> = Vec::new();
    if let Some(value) = table.need(source, "tiers", example) {
        let at = table.value_place("tiers");
        let values = list(source, &table.label("tiers"), value, example).unwrap_or_default();
        if values.is_empty() && source.count() == before {
            source.mistake(at, "no tiers".to_owned(), "at least one");
        }
        for value in values {
            let at = value.span().start;
            let read = Table::read(source, "[policy.arrears] tiers", at, value, example);
            let Some(tier) = read.and_then(|table| tier(source, table, example)) else { continue };
            if tiers.iter().any(|known| known.id == tier.id) {
                source.mistake(at, format!("the tier {} a second time", quoted(&tier.id)), "each tier once");
            }
            tiers.push(tier);
        }
    }
    if let Some(default) = &default
        && source.count() == before
        && !tiers.iter().any(|tier| tier.id == *default)
    {
        let expected = one_of(tiers.iter().map(|tier| tier.id.as_str()));
        source.mistake(table.value_place("default-tier"), format!("no tier {}", quoted(default)), expected);
    }
    table.finish(source);
    let policy = ArrearsPolicy { default_tier: default?, grace_operations, charge_while_frozen, tiers };
    (source.count() == before).then_some(policy)
}

fn tier(source: &mut Source<'_>, mut table: Table<'_>, example: &str) -> Option<ArrearsTier> {
    let id = table.need_text(source, "id", "id = \"V3\"");
    if let Some(id) = &id {
        table.what = format!("tier {}", quoted(id));
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.len() > 64 || !id.chars().all(good) {
            let found = format!("the tier {} is no name here", quoted(id));
            source.mistake(table.value_place("id"), found, "letters, digits, -, _ and ., 64 at most");
        }
    }
    let pay_per_use = periods(source, &mut table, "pay-per-use", example);
    let prepaid = periods(source, &mut table, "prepaid", example);
    table.finish(source);
    Some(ArrearsTier { id: id?, pay_per_use: pay_per_use?, prepaid: prepaid? })
}

fn periods(
    source: &mut Source<'_>,
    table: &mut Table<'_>,
    key: &'static str,
    example: &str,
) -> Option<Periods> {
    let value = table.need(source, key, example)?;
    let mut read = Table::read(source, table.label(key), table.place(key), value, example)?;
    let mut days = |key: &'static str| {
        read.need(source, key, "a number of days, such as 7")?;
        let days = read.whole(source, key, 0..=DAYS_MAX)?;
        u16::try_from(days).ok()
    };
    let (grace_days, retention_days) = (days("grace-days"), days("retention-days"));
    read.finish(source);
    Some(Periods { grace_days: grace_days?, retention_days: retention_days? })
}
