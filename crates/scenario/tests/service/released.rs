//! A store is whole at any moment, also at the very moment at which an account's subscriptions are released.

use crate::is_whole;
use crate::undone::{at, customer_of};
use farebox_core::engine::Catalogues;
use farebox_service::Service;
use farebox_store::Memory;
use farebox_text::catalog;

const LIST: &str = r#"
[catalogue]
id = "lines"
version = "1"
title = "Lines"
zone = "UTC"
currency = "EUR"
source = "Invented for this test."

[policy.arrears]
default-tier = "Z"
tiers = [
    { id = "Z", pay-per-use = { grace-days = 0, retention-days = 1 }, prepaid = { grace-days = 0, retention-days = 1 } },
]

[meters.minutes]
event = "call"
aggregate = "sum"
of = "minutes"
unit = "minute"

[products.lines]
title = "Lines"

[products.lines.plans.line]
title = "Line"
unit = "line"
modes = ["pay-per-use"]
charges = [
    { id = "days", title = "Days", held = { by = "day" }, settle = "month", price = "31.00" },
    { id = "calls", title = "Calls", meter = "minutes", settle = "day", price = "0.01" },
]
grants = [{ id = "minutes", title = "Minutes", meter = "minutes", units = 300, resets = "month" }]
"#;

#[test]
fn a_store_is_whole_at_the_moment_of_a_release() {
    let mut lists = Catalogues::default();
    lists.add(catalog::parse("lines.toml", LIST.as_bytes()).unwrap()).unwrap();
    let mut service = Service::open(Box::new(Memory::new()), lists, at("2026-01-01T00:00:00Z")).unwrap();
    customer_of(&mut service, "acme", Some("Z"), "line");
    // In arrears from the end of January, frozen then, and released a day later.
    for moment in
        ["2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-02T00:00:01Z"]
    {
        service.advance(at(moment)).unwrap();
        service.commit().unwrap();
        is_whole(&mut service).unwrap_or_else(|wrong| panic!("{moment}: {wrong}"));
    }
    let group = service.group_of("acme").unwrap().unwrap();
    let standings = &group.get("acme").unwrap().lifecycle.standings;
    assert!(standings.values().all(|one| one.state.name() == "released") && !standings.is_empty());
}
