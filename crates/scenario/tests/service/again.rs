//! Usage that is counted again: what waits in quarantine came when it came.

use crate::is_whole;
use crate::undone::{at, customer_of, using};
use farebox_core::engine::Catalogues;
use farebox_service::{Received, Service};
use farebox_store::usage::Attribute;
use farebox_store::{Memory, Seen};
use farebox_text::catalog;
use jiff::Timestamp;

const LIST: &str = r#"
[catalogue]
id = "desks"
version = "1"
title = "Desks"
zone = "UTC"
currency = "EUR"
source = "Invented for this test."

[meters.units]
event = "use"
aggregate = "sum"
of = "units"
unit = "unit"

[meters.users]
event = "use"
aggregate = "unique"
of = "user"
unit = "user"

[products.desks]
title = "Desks"

[products.desks.plans.desk]
title = "Desk"
unit = "desk"
modes = ["pay-per-use"]
charges = [
    { id = "units", title = "Units", meter = "units", settle = "day", price = "1.00" },
    { id = "users", title = "Users", meter = "users", settle = "day", price = "1.00" },
]
"#;

/// When each piece came, of what waits.
fn came(service: &mut Service) -> Vec<(String, Timestamp)> {
    let mut all = Vec::new();
    let each = &mut |one: farebox_service::Quarantined| {
        all.push((one.usage.id, one.received_at));
        Seen::More
    };
    service.quarantine(None, None, each).unwrap();
    all
}

#[test]
fn what_waits_came_when_it_came_however_often_it_is_counted_again() {
    let mut lists = Catalogues::default();
    lists.add(catalog::parse("desks.toml", LIST.as_bytes()).unwrap()).unwrap();
    let mut service = Service::open(Box::new(Memory::new()), lists, at("2026-01-01T00:00:00Z")).unwrap();
    customer_of(&mut service, "acme", None, "desk");
    service.advance(at("2026-01-05T10:20:00Z")).unwrap();
    let mut wrong = using("acme", "wrong", 0, "2026-01-05T10:00:00Z", "1");
    wrong.attributes.clear();
    assert!(matches!(service.receive(&wrong).unwrap(), Received::Quarantined(_)));
    service.commit().unwrap();
    service.advance(at("2026-01-10T10:20:00Z")).unwrap();
    let waiting = [("wrong".to_owned(), at("2026-01-05T10:20:00Z"))];
    assert_eq!(came(&mut service), waiting);
    let mut good = using("acme", "good", 0, "2026-01-10T10:00:00Z", "1");
    good.attributes.push(("user".to_owned(), Attribute::Text("ann".to_owned())));
    assert_eq!(service.receive(&good).unwrap(), Received::Counted);
    assert!(service.void("test", "good").unwrap());
    service.commit().unwrap();
    // How many users are left, no counter knows: the day is counted again when it is settled.
    service.advance(at("2026-01-11T10:00:00Z")).unwrap();
    assert_eq!(came(&mut service), waiting);
    is_whole(&mut service).unwrap();
}
