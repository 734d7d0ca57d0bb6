//! Accounts, what they have ordered, and their bills.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, account_of_bill, account_of_line, bill_of_line, missing};
use crate::operation::{Operation, Parameter, READERS};
use farebox_api as wire;
use farebox_core::account::AccountHead;
use farebox_core::bill::Bill;
use farebox_report::{self as report, BillOptions, Parties};
use farebox_service::{Known, Service};

/// The operation that answers a bill, as JSON or as text.
pub(crate) const SHOW_BILL: &str = "show-bill";
/// The media type of text for people.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Answers that stay the same while the group's version does.
const VERSIONED: &[&str] = &["If-None-Match"];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/accounts", "list-accounts", "The accounts, by name; a customer's: its own tree.")
            .by(READERS)
            .takes(Parameter::text::<wire::Name>(
                "payer",
                "Only those that this account pays for, and itself.",
            ))
            .page::<wire::AccountHead>()
            .asks(list),
        Operation::get(
            "/v1/accounts/{account}",
            "show-account",
            "An account, its balance and subscriptions.",
        )
        .by(READERS)
        .one::<wire::Account>()
        .asks(one),
        Operation::get(
            "/v1/accounts/{account}/subscriptions",
            "list-subscriptions",
            "What it has ordered, by name.",
        )
        .by(READERS)
        .takes(Parameter::one_of("state", STATES, "Only those in this state."))
        .takes(Parameter::text::<wire::Name>("plan", "Only those of this plan."))
        .page::<wire::Subscription>()
        .asks(subscriptions),
        Operation::get(
            "/v1/accounts/{account}/subscriptions/{subscription}",
            "show-subscription",
            "One thing that it has ordered.",
        )
        .by(READERS)
        .one::<wire::Subscription>()
        .asks(subscription),
        Operation::get("/v1/accounts/{account}/bills", "list-bills", "Its bills, the oldest first.")
            .by(READERS)
            .takes(Parameter::one_of(
                "due",
                &["true", "false"],
                "Only those of which something is owed, or nothing.",
            ))
            .takes(Parameter::one_of(
                "state",
                &["draft", "held", "issued"],
                "Only drafts, those of them that are held back, or issued ones.",
            ))
            .page::<wire::BillHead>()
            .looks_at_group()
            .asks(bills),
        Operation::get(
            "/v1/bills/{bill}",
            SHOW_BILL,
            "A bill with its lines; with `Accept: text/plain` as people read it.",
        )
        .by(READERS)
        .headers(VERSIONED)
        .one::<wire::Bill>()
        .looks_at_group()
        .asks(bill),
        Operation::get("/v1/bills/{bill}/lines", "list-lines", "The lines of a bill, in its order.")
            .by(READERS)
            .takes(Parameter::text::<wire::Name>("subscription", "Only those of this subscription."))
            .takes(Parameter::text::<wire::Name>("account", "Only those of this account."))
            .numbered::<wire::Line>()
            .looks_at_group()
            .asks(lines),
        Operation::get("/v1/lines/{line}", "show-line", "A line, with its formula and its sentence.")
            .by(READERS)
            .headers(VERSIONED)
            .one::<wire::Line>()
            .looks_at_group()
            .asks(line),
    ]
}

const STATES: &[&str] = &["active", "grace", "frozen", "released"];

fn list(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let own = asked.own_tree().map(str::to_owned);
    let only = asked.query("payer").map(str::to_owned);
    // A tree is one group, or a part of it.
    if let Some(root) = own.as_ref().or(only.as_ref()) {
        let Some(group) = service.group_of(root)? else { return asked.page(none(), |head| head) };
        let whose = |root: &String, one: &farebox_core::account::Account| {
            one.head.id == *root || one.head.payer() == root
        };
        let tree = group.iter().filter(|one| whose(root, one));
        let tree = tree.filter(|one| only.as_ref().is_none_or(|only| whose(only, one)));
        return asked.page(tree.map(|one| (one.head.id.clone(), one)), wire::AccountHead::of);
    }
    let after: String = asked.after()?.unwrap_or_default();
    let rows = service.accounts(&after, asked.limit() + 1)?;
    let head = |row: farebox_store::AccountRow| wire::AccountHead {
        id: row.account,
        title: row.title,
        payer: row.payer,
        currency: row.currency,
        zone: row.zone,
        opened_at: row.opened.to_string(),
    };
    asked.page(rows.into_iter().map(|row| (row.account.clone(), row)), head)
}

fn none() -> impl Iterator<Item = (String, wire::AccountHead)> {
    std::iter::empty()
}

fn one(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (version, at) = (service.version_of(asked.path("account"))?, service.clock());
    let erased_at = service.erasure(asked.path("account")).and_then(|one| one.ended);
    let (group, account) = asked.account(service)?;
    let shown = wire::Account::of(group, account, version, at);
    let shown = wire::Account { erased_at: erased_at.map(|at| at.to_string()), ..shown };
    Ok(Reply::json(200, shown).of_version(version))
}

fn subscriptions(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let at = service.clock();
    let (_, account) = asked.account(service)?;
    let shown = account.subscriptions.values().map(|one| wire::Subscription::of(account, one, at));
    let shown = shown.filter(|one| {
        asked.query("state").is_none_or(|state| state == one.state)
            && asked.query("plan").is_none_or(|plan| plan == one.plan)
    });
    asked.page(shown.map(|one| (one.name.clone(), one)), |one| one)
}

fn subscription(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let at = service.clock();
    let (_, account) = asked.account(service)?;
    let name = asked.path("subscription");
    let one = account.subscriptions.get(name).ok_or_else(|| missing("subscription", name))?;
    Ok(Reply::json(200, wire::Subscription::of(account, one, at)))
}

/// The bills of an account, the oldest first.
fn bills(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let (_, account) = asked.account(service)?;
    let due = asked.query("due").map(|due| due == "true");
    let is_in = |bill: &Bill, state: &str| match state {
        "held" => bill.held.is_some(),
        "issued" => bill.issued.is_some(),
        _ => bill.issued.is_none(),
    };
    let bills = account.bills.values().filter(|bill| due.is_none_or(|due| bill.due().is_zero() != due));
    let bills = bills.filter(|bill| asked.query("state").is_none_or(|state| is_in(bill, state)));
    asked.page(bills.map(|bill| (bill.id.clone(), bill)), |bill| wire::bill_head(&account.head, bill))
}

/// A bill by its name, `acme-2026-01`, with the head of its account; `None`: there is none that the caller may see.
pub(crate) fn find<'s>(
    service: &'s mut Service,
    asked: &Asked,
    name: &str,
) -> Result<Option<(&'s AccountHead, &'s Bill)>, Answer> {
    let whose = account_of_bill(name).filter(|account| asked.sees(service, account));
    let Some(whose) = whose else { return Ok(None) };
    let Some(account) = service.group_of(whose)?.and_then(|group| group.get(whose)) else { return Ok(None) };
    let bill = account.bills.values().find(|bill| bill.id == name);
    Ok(bill.map(|bill| (&account.head, bill.as_ref())))
}

fn bill(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("bill");
    let version = service.version_of(account_of_bill(name).unwrap_or_default())?;
    let (head, bill) = find(service, asked, name)?.ok_or_else(|| missing("bill", name))?;
    if asked.is_for_people {
        let (payer, id) = (head.id.clone(), bill.id.clone());
        return readable(service, &payer, &id).map(Reply::chosen);
    }
    Ok(Reply::json(200, wire::bill(head, bill)).of_version(version).chosen())
}

/// A bill as `farebox bill` prints it. It has no version: price lists say the titles in it.
fn readable(service: &mut Service, payer: &str, id: &str) -> Result<Reply, Answer> {
    let none = || missing("bill", id);
    let Some(Known { group, catalogues, .. }) = service.known(payer)? else { return Err(none()) };
    let account = group.get(payer).ok_or_else(none)?;
    let bill = account.bills.values().find(|bill| bill.id == id).ok_or_else(none)?;
    let options = BillOptions { explained: true, only: None };
    let mut lines = report::bill(&account.head, bill, &Parties { group, catalogues }, &options);
    lines.push(String::new());
    Ok(Reply::text(TEXT, lines.join("\n"), None))
}

fn lines(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("bill");
    let (head, bill) = find(service, asked, name)?.ok_or_else(|| missing("bill", name))?;
    let of_subscription = asked.query("subscription");
    let of_account = asked.query("account");
    let lines = bill.lines.iter().enumerate().filter(|(_, line)| {
        let own = line.key.as_ref().map(|key| key.subscription.as_str());
        of_subscription.is_none_or(|wished| own == Some(wished))
            && of_account.is_none_or(|wished| line.account == wished)
    });
    asked.page(lines, |line| wire::line(head.currency, line))
}

fn line(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let name = asked.path("line");
    let version = service.version_of(account_of_line(name).unwrap_or_default())?;
    let (head, bill) =
        find(service, asked, bill_of_line(name).unwrap_or_default())?.ok_or_else(|| missing("line", name))?;
    let line = bill.lines.iter().find(|line| line.id == name).ok_or_else(|| missing("line", name))?;
    Ok(Reply::json(200, wire::line(head.currency, line)).of_version(version))
}
