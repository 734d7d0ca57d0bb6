//! What is due for a group and cannot be done: others go on, what is later waits, and nothing is decided before it.

use farebox_core::calendar::Zone;
use farebox_core::engine::{Action, Catalogues, Command, Duty};
use farebox_core::money::{Currency, Exact};
use farebox_service::{Decided, Failed, Received, Service, Undone};
use farebox_store::usage::{Attribute, Usage};
use farebox_store::{CatalogueText, Memory, Store};
use farebox_store_sqlite::Sqlite;
use farebox_text::catalog;
use jiff::Timestamp;
use std::path::Path;

/// A price with which a large quantity comes to more than can be billed exactly.
const LIST: &str = include_str!("../../../../scenarios/engine/dear.toml");

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The same on UTC.
fn list() -> String {
    LIST.replace("+08:00", "UTC").replace("CNY", "EUR")
}

fn catalogues() -> Catalogues {
    let mut all = Catalogues::default();
    all.add(catalog::parse("dear.toml", list().as_bytes()).unwrap()).unwrap();
    all
}

pub(crate) fn service(store: Box<dyn Store>) -> Service {
    Service::open(store, catalogues(), at("2026-01-01T00:00:00Z")).unwrap()
}

pub(crate) fn execute(service: &mut Service, account: &str, action: Action) -> Result<(), Failed> {
    let now = service.clock();
    let command = Command { account: account.to_owned(), effective_at: now, action };
    service.execute(&command, Decided { actor: "test", command: "test", at: now }).map(drop)
}

fn top_up(service: &mut Service, account: &str) -> Result<(), Failed> {
    execute(service, account, Action::TopUp { amount: Exact::whole(1) })
}

/// Opens an account that has ordered what is dear.
pub(crate) fn customer(service: &mut Service, account: &str) {
    customer_of(service, account, None, "things");
}

/// Opens an account, of a tier if it has one, that has ordered one of a plan.
pub(crate) fn customer_of(service: &mut Service, account: &str, tier: Option<&str>, plan: &str) {
    let (title, currency) = (account.to_owned(), Currency::parse("EUR").unwrap());
    let tier = tier.map(str::to_owned);
    let open = Action::Open { title, currency, zone: Zone::utc(), payer: None, tier };
    execute(service, account, open).unwrap();
    let (plan, name, attributes) = (plan.to_owned(), None, Default::default());
    let order =
        Action::Subscribe { plan, name, quantity: 1, mode: None, months: None, auto: None, attributes };
    execute(service, account, order).unwrap();
}

pub(crate) fn using(account: &str, id: &str, revision: u64, time: &str, units: &str) -> Usage {
    Usage {
        source: "test".to_owned(),
        id: id.to_owned(),
        revision,
        kind: "use".to_owned(),
        account: account.to_owned(),
        time: at(time),
        start: None,
        attributes: vec![("units".to_owned(), Attribute::Text(units.to_owned()))],
    }
}

pub(crate) const MUCH: &str = "900000000000001";

pub(crate) fn receive(service: &mut Service, usage: &Usage) {
    assert_eq!(service.receive(usage).unwrap(), Received::Counted);
}

/// Two customers of whom `bad` cannot be settled for the first of January.
fn with_a_failure(store: Box<dyn Store>) -> Service {
    let mut service = service(store);
    customer(&mut service, "bad");
    customer(&mut service, "good");
    receive(&mut service, &using("bad", "u1", 0, "2026-01-01T10:00:00Z", MUCH));
    receive(&mut service, &using("bad", "u2", 0, "2026-01-02T10:00:00Z", "2"));
    receive(&mut service, &using("good", "u3", 0, "2026-01-01T10:00:00Z", "3"));
    service.commit().unwrap();
    service.advance(at("2026-02-10T00:00:00Z")).unwrap();
    service
}

pub(crate) fn undone(service: &mut Service) -> Vec<Undone> {
    service.schedule().undone().cloned().collect()
}

pub(crate) fn lines(service: &mut Service, account: &str) -> Vec<(String, String)> {
    let group = service.group_of(account).unwrap().unwrap();
    let bills = group.get(account).unwrap().bills.values();
    bills
        .flat_map(|bill| bill.lines.iter().map(|line| (line.id.clone(), format!("{:?}", line.amount))))
        .collect()
}

fn issued(service: &mut Service, account: &str) -> usize {
    let group = service.group_of(account).unwrap().unwrap();
    group.get(account).unwrap().bills.values().filter(|bill| bill.issued.is_some()).count()
}

#[test]
fn a_group_that_cannot_be_settled_stops_no_other() {
    let mut service = with_a_failure(Box::new(Memory::new()));
    assert_eq!(service.clock(), at("2026-02-10T00:00:00Z"));
    let failed = undone(&mut service);
    let [only] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!((only.due.payer.as_str(), only.due.duty), ("bad", Duty::Charges));
    assert_eq!((only.due.at, only.tries), (at("2026-01-02T00:00:00Z"), 1));
    assert_eq!(only.why.code(), "out-of-range");
    assert_eq!((issued(&mut service, "good"), issued(&mut service, "bad")), (1, 0));
    assert_eq!(lines(&mut service, "bad"), [], "what is due later waits");

    // Nothing is decided before it, reading goes on, and others are not concerned.
    let refused = top_up(&mut service, "bad").unwrap_err();
    assert!(matches!(&refused, Failed::Undone(undone) if undone.tries == 2), "{refused:?}");
    let said =
        "what was due for \"bad\" at 2026-01-02T00:00:00Z (charges) cannot be done: a number is too large";
    assert!(refused.to_string().starts_with(said), "{refused}");
    assert!(service.known("bad").unwrap().is_some());
    top_up(&mut service, "good").unwrap();
    service.commit().unwrap();

    // Time alone mends nothing, and is not asked to.
    service.advance(at("2026-03-10T00:00:00Z")).unwrap();
    assert_eq!((undone(&mut service)[0].tries, issued(&mut service, "bad")), (2, 0));
}

/// What the bills of `bad` should be: those of a service that never had the usage that was taken back.
fn expected(until: &str) -> Vec<(String, String)> {
    let mut service = service(Box::new(Memory::new()));
    customer(&mut service, "bad");
    receive(&mut service, &using("bad", "u2", 0, "2026-01-02T10:00:00Z", "2"));
    service.advance(at(until)).unwrap();
    lines(&mut service, "bad")
}

#[test]
fn what_waited_is_done_in_order_and_once_when_the_usage_is_void() {
    let mut service = with_a_failure(Box::new(Memory::new()));
    assert!(service.void("test", "u1").unwrap());
    service.commit().unwrap();
    assert_eq!(undone(&mut service).len(), 1, "it is the schedule that tries");
    service.advance(at("2026-02-10T00:00:00Z")).unwrap();
    assert_eq!(undone(&mut service), []);
    assert_eq!(issued(&mut service, "bad"), 1);
    assert_eq!(lines(&mut service, "bad"), expected("2026-02-10T00:00:00Z"));
    let entries = service.entries("bad", 0, 1_000).unwrap();
    let settled: Vec<Timestamp> = entries
        .iter()
        .filter(|(_, entry)| entry.command == "charges")
        .map(|(_, entry)| entry.recorded_at)
        .collect();
    assert!(settled.is_sorted_by(|one, next| one < next), "{settled:?}");
    assert_eq!(settled.first(), Some(&at("2026-01-02T00:00:00Z")));
    top_up(&mut service, "bad").unwrap();
    service.commit().unwrap();
    let mut wrong = Vec::new();
    service.verify(&mut |finding| wrong.push(finding)).unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn usage_that_is_replaced_is_tried_again() {
    let mut service = with_a_failure(Box::new(Memory::new()));
    receive(&mut service, &using("bad", "u1", 1, "2026-01-01T10:00:00Z", "1"));
    service.advance(at("2026-02-10T00:00:01Z")).unwrap();
    assert_eq!((undone(&mut service).len(), issued(&mut service, "bad")), (0, 1));
}

#[test]
fn a_price_list_or_a_command_or_the_operator_has_it_tried_again() {
    let mut service = with_a_failure(Box::new(Memory::new()));
    let tries = |service: &mut Service| undone(service)[0].tries;
    let text =
        list().replace("version = \"2026-01-01\"", "version = \"2026-03-01\"\neffective = \"2026-03-01\"");
    let list = catalog::parse("dear.toml", text.as_bytes()).unwrap();
    let now = service.clock();
    let kept = CatalogueText {
        id: "dear".to_owned(),
        effective: list.effective,
        published: now,
        text,
        parts: Vec::new(),
    };
    service.publish(list, kept).unwrap();
    service.advance(now).unwrap();
    assert_eq!(tries(&mut service), 2);
    service.try_again(None).unwrap();
    service.try_again(Some("good")).unwrap();
    assert_eq!(tries(&mut service), 3);
    // With the command comes what makes it possible: the usage is void, and the command is decided at once.
    assert!(service.void("test", "u1").unwrap());
    top_up(&mut service, "bad").unwrap();
    assert_eq!((undone(&mut service).len(), issued(&mut service, "bad")), (0, 1));
    service.commit().unwrap();
}

#[test]
fn a_failure_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Box::new(Sqlite::open(path).unwrap());
    drop(with_a_failure(open(folder.path())));
    let mut service = service(open(folder.path()));
    assert_eq!(undone(&mut service), [], "nothing was tried yet");
    // A command may be the first to ask.
    assert!(matches!(top_up(&mut service, "bad"), Err(Failed::Undone(_))));
    service.advance(at("2026-02-10T00:00:00Z")).unwrap();
    let failed = undone(&mut service);
    assert_eq!((failed.len(), failed[0].due.at), (1, at("2026-01-02T00:00:00Z")));
    // What fails is still known when a commit could not be made and all is read anew.
    service.forget().unwrap();
    assert_eq!(undone(&mut service), failed);
    assert!(service.void("test", "u1").unwrap());
    service.advance(at("2026-02-10T00:00:00Z")).unwrap();
    assert_eq!(lines(&mut service, "bad"), expected("2026-02-10T00:00:00Z"));
}
