//! Where an account stands: its life, what it was told, budgets, packages, quotas, licences, renewals.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, in_order, missing};
use crate::money::month_of;
use crate::operation::{Operation, Parameter, READERS};
use farebox_api::{self as wire, Role};
use farebox_core::account::View;
use farebox_core::calendar::{Cycle, Instant, Span};
use farebox_core::engine::terms;
use farebox_service::{Known, Service};

/// Those of the vendor's who see what was done by whom.
pub(crate) const STAFF: &[Role] = &[Role::Operator, Role::Finance, Role::Support];

pub(crate) fn operations() -> Vec<Operation> {
    let month = Parameter::text::<wire::Month>("month", "The month; the running one when left out.");
    vec![
        Operation::get(
            "/v1/accounts/{account}/lifecycle",
            "show-lifecycle",
            "Where it and its subscriptions stand, what comes next, and how it came about.",
        )
        .by(READERS)
        .one::<wire::Lifecycle>()
        .asks(lifecycle),
        Operation::get(
            "/v1/accounts/{account}/notices",
            "list-notices",
            "What it and its members were told, in order.",
        )
        .by(READERS)
        .takes(Parameter::one_of("kind", farebox_core::notice::Notice::KINDS, "Only those of this kind."))
        .takes(Parameter::text::<wire::Name>("subscription", "Only those about this subscription."))
        .takes(Parameter::text::<wire::Moment>("from", "Only those of this moment or later."))
        .takes(Parameter::text::<wire::Moment>("to", "Only those before this moment."))
        .numbered::<wire::Notice>()
        .asks(notices),
        Operation::get(
            "/v1/accounts/{account}/budgets",
            "list-budgets",
            "Its budgets, and what is spent of them.",
        )
        .by(READERS)
        .takes(month)
        .page::<wire::Budget>()
        .asks(budgets),
        Operation::get(
            "/v1/accounts/{account}/packages",
            "list-packages",
            "Its packages and those shared with it, with what remains, in the order in which they began.",
        )
        .by(READERS)
        .takes(Parameter::one_of("state", &["live", "expired"], "Only those that are live, or have expired."))
        .page::<wire::Package>()
        .asks(packages),
        Operation::get(
            "/v1/accounts/{account}/usage",
            "list-usage",
            "What was counted of its usage, by meter and time, and whose within the account it was.",
        )
        .by(READERS)
        .takes(Parameter::text::<wire::Month>("month", "The month; the running one when no time is given."))
        .takes(Parameter::text::<wire::Moment>("from", "Stretches that begin at this moment or later."))
        .takes(Parameter::text::<wire::Moment>("to", "Stretches that begin before this moment."))
        .takes(Parameter::one_of(
            "by",
            &["hour", "day", "month"],
            "Added up by hours, days or months; what is counted by the day stays as it is by the hour, and is shown for any of its hours.",
        ))
        .takes(Parameter::text::<wire::Name>("meter", "Only what this meter counted."))
        .takes(Parameter::text::<wire::Text>("project", "Only that of this project."))
        .takes(Parameter::text::<wire::Text>("application", "Only that of this application."))
        .page::<wire::Metered>()
        .asks(usage),
        Operation::get(
            "/v1/accounts/{account}/quotas",
            "list-quotas",
            "What its plans provide, such as IVR channels.",
        )
        .by(READERS)
        .page::<wire::Quota>()
        .asks(quotas),
        Operation::get(
            "/v1/accounts/{account}/licences",
            "list-licences",
            "The licences of its applications.",
        )
        .by(READERS)
        .takes(Parameter::text::<wire::Text>("application", "Only those of this application."))
        .page::<wire::LicencePool>()
        .asks(licences),
        Operation::get(
            "/v1/accounts/{account}/renewals",
            "list-renewals",
            "What ends when, and how it goes on.",
        )
        .by(READERS)
        .page::<wire::Renewal>()
        .asks(renewals),
    ]
}

/// The group of the account of the address, with what decisions about it know.
pub(crate) fn known<'s>(service: &'s mut Service, asked: &Asked) -> Result<Known<'s>, Answer> {
    let name = asked.path("account");
    let known = service.known(name)?.filter(|known| known.group.get(name).is_some());
    known.ok_or_else(|| missing("account", name))
}

/// The same for what is worked out as if something ended now.
pub(crate) fn known_as_of_now<'s>(service: &'s mut Service, asked: &Asked) -> Result<Known<'s>, Answer> {
    let name = asked.path("account");
    let known = service.known_as_of_now(name)?.filter(|known| known.group.get(name).is_some());
    known.ok_or_else(|| missing("account", name))
}

fn lifecycle(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Known { group, catalogues, metering, at, .. } = known_as_of_now(service, asked)?;
    let name = asked.path("account");
    let account = group.get(name).ok_or_else(|| missing("account", name))?;
    Ok(Reply::json(200, wire::Lifecycle::of(group, account, catalogues, &metering, at)))
}

fn notices(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let (group, account) = asked.account(service)?;
    let payer = group.get(account.head.payer()).unwrap_or(account);
    let is_about = |one: &farebox_core::notice::Notice| {
        (account.head.payer.is_none() || one.account == account.head.id)
            && asked.query("kind").is_none_or(|kind| one.kind == kind)
            && asked.query("subscription").is_none_or(|name| one.subscription.as_deref() == Some(name))
            && moment("from").is_none_or(|from| one.at >= from)
            && moment("to").is_none_or(|to| one.at < to)
    };
    let numbered = payer.notices.iter().enumerate().map(|(at, one)| (at + 1, one));
    asked.page(numbered.filter(|(_, one)| is_about(one)), wire::Notice::of)
}

fn budgets(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let at = service.clock();
    let (group, account) = asked.account(service)?;
    let payer = group.get(account.head.payer()).unwrap_or(account);
    let running = payer.head.zone.cycle(Cycle::Month, at);
    let month = month_of(payer, asked, "month").unwrap_or(running);
    let budgets = group.budgets(&account.head.id).into_iter().map(|budget| (budget.name.clone(), budget));
    asked.page(budgets, |budget| wire::Budget::of(group, &account.head, budget, month))
}

fn packages(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let at = service.clock();
    let (group, account) = asked.account(service)?;
    let payer = group.get(account.head.payer()).unwrap_or(account);
    let live = asked.query("state").map(|state| state == "live");
    let all = wire::Package::all(payer, &account.head, at).into_iter();
    // Of those that began at once, the names say the order: what is drawn first may change.
    let all = all.filter_map(|one| {
        let bucket = payer.packages.bucket(&one.bucket)?;
        let is_asked = live.is_none_or(|live| (bucket.expires > at) == live);
        is_asked.then(|| (format!("{} {}", in_order(bucket.span.start), one.bucket), one))
    });
    asked.page_by_text(all, |one| one)
}

fn usage(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Known { group, metering, at, .. } = known(service, asked)?;
    let name = asked.path("account");
    let account = group.get(name).ok_or_else(|| missing("account", name))?;
    let payer = group.get(account.head.payer()).unwrap_or(account);
    let running = payer.head.zone.cycle(Cycle::Month, at);
    let moment = |name: &str| asked.parameter::<wire::Moment>(name).map(|moment| moment.0);
    let within = match (month_of(payer, asked, "month"), moment("from"), moment("to")) {
        (None, None, None) => running,
        (month, from, to) => {
            let all = month.unwrap_or(Span { start: Instant::MIN, end: Instant::MAX });
            let (start, end) = (from.unwrap_or(all.start), to.unwrap_or(all.end));
            Span { start: start.max(all.start), end: end.min(all.end) }
        }
    };
    let by = match asked.query("by") {
        Some("hour") => Some(Cycle::Hour),
        Some("day") => Some(Cycle::Day),
        Some(_) => Some(Cycle::Month),
        None => None,
    };
    let is_asked = |wished: &str, value: Option<&str>| {
        asked.query(wished).is_none_or(|wished| value.is_some_and(|value| value == wished))
    };
    let by = by.map(|by| (&payer.head.zone, by));
    let all = wire::Metered::all(&metering, name, within, by).into_iter().filter(|(_, one)| {
        is_asked("meter", Some(&one.meter))
            && is_asked("project", one.project.as_deref())
            && is_asked("application", one.application.as_deref())
    });
    asked.page_by_text(all, |one| one)
}

fn quotas(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Known { group, catalogues, at, .. } = known(service, asked)?;
    let all = wire::Quota::all(group, catalogues, asked.path("account"), at);
    asked.page(all.into_iter().map(|one| (one.name.clone(), one)), |one| one)
}

fn licences(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Known { group, catalogues, at, .. } = known(service, asked)?;
    let name = asked.path("account");
    let account = group.get(name).ok_or_else(|| missing("account", name))?;
    let all = wire::LicencePool::all(group, catalogues, account, at).into_iter();
    let only = asked.query("application");
    let all = all.filter(|one| only.is_none_or(|only| one.application == only));
    let all = all.map(|one| (format!("{:?} {} {}", one.application, one.catalogue, one.licence), one));
    asked.page_by_text(all, |one| one)
}

fn renewals(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Known { group, catalogues, metering, at, .. } = known(service, asked)?;
    let name = asked.path("account");
    let account = group.get(name).ok_or_else(|| missing("account", name))?;
    let all = terms::renewals(group, catalogues, &metering, name, at);
    let key = |one: &terms::Renewal| format!("{} {}", one.end, one.subscription);
    let all = all.iter().map(|one| (key(one), one));
    asked.page(all, |one| wire::Renewal::of(&account.head, one))
}
