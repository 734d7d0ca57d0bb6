//! docs/errors.md is made from the code: every refusal with its sentence, every reason for
//! quarantine.

use crate::common::{files_below, is_that_of_the_code, text};
use farebox_core::calendar::{Cycle, Instant, Zone};
use farebox_core::catalog::Mode;
use farebox_core::engine::credit::Headroom;
use farebox_core::engine::{
    Cycles, OrderRefusal, OtherCycles, REFUSAL_CODES, Refusal, budgets, holds, licences, lifecycle, packages,
    terms, wallet,
};
use farebox_core::metering::Problem;
use farebox_core::money::{Amount, Currency, Exact};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = "docs/errors.md";

/// Reasons that readers of usage files give, with the kind of thing that is wrong.
const READERS: &[(&str, &str)] = &[
    ("absurd-call", "the legs of a call add up to more than a century"),
    ("bad-data", "`data` of an event is no JSON object, what `data_base64` holds is none, or it has both"),
    ("bad-id", "the identifier of a call is longer than 255 bytes"),
    ("bad-json", "the event is no JSON object, or no UTF-8"),
    ("bad-line", "the line is none of the combined or common log format"),
    ("bad-number", "a field that must be a number is none: seconds, a status, a revision"),
    ("bad-specversion", "the event is of another version of CloudEvents than 1.0"),
    ("bad-time", "a time is not written as the format has it, or outside the years 1970 to 2199"),
    ("columns", "the row has more or fewer columns than the format or the header"),
    ("conflict", "the same identity and revision was said before with other content"),
    ("ends-before-start", "the usage ends before it starts"),
    ("lost-original", "it revises an event that can no longer be read where it was: the file has changed"),
    ("missing-attribute", "the event or row lacks its identifier, or a field that CloudEvents require"),
    ("no-account", "the row names no account, and no rule gives it one"),
    ("no-rule", "no rule of the import matches the row"),
    ("skipped-hour", "the local time never was: daylight saving skips it"),
    ("stray-quote", "a quote stands inside a field, or text follows a closing quote"),
    ("too-long", "the row is longer than a row may be"),
    ("too-many-values", "the columns that rules look at have too many different values"),
    ("unclosed-quote", "a quoted field never ends"),
    ("unfinished", "the call is not over, or nothing in the files says when it began"),
];

/// Codes that only a mistake in the program can bring about.
const INTERNAL: &[&str] = &["too-few-sinks", "not-counted", "no-event"];

/// One refusal of each kind.
fn refusals() -> Vec<Refusal> {
    let name = || "seats".to_owned();
    let plan = || "basic-seat".to_owned();
    let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let at = "2020-01-04T05:23:56Z".parse().unwrap();
    let currency = |code| Currency::parse(code).unwrap();
    let orders = [
        OrderRefusal::UnknownPlan(plan()),
        OrderRefusal::AmbiguousPlan { plan: plan(), catalogues: ["one".into(), "other".into()] },
        OrderRefusal::OtherCurrencyOfMaster {
            master: "acme".into(),
            currency: currency("EUR"),
            wished: currency("CNY"),
        },
        OrderRefusal::OtherCurrency { account: currency("EUR"), catalogue: currency("CNY") },
        OrderRefusal::SubscriptionExists(name()),
        OrderRefusal::UnknownSubscription { name: name(), running: names(&["calls", "team"]) },
        OrderRefusal::SubscriptionEnded { name: name(), ended: at, renewable: true },
        OrderRefusal::ModeNotOffered { plan: plan(), mode: Mode::Prepaid, offered: vec![Mode::PayPerUse] },
        OrderRefusal::TermNotOffered { plan: plan(), months: Some(2), offered: vec![1, 6, 12] },
        OrderRefusal::NoTerm(name()),
        OrderRefusal::TermRuns(name()),
        OrderRefusal::NoRefund(name()),
        OrderRefusal::ModeChange(name()),
        OrderRefusal::PlanChange(name()),
        OrderRefusal::OptionChange("phones".into(), "specification".into()),
        OrderRefusal::MissingAttribute { plan: "fixed-line".into(), attribute: "number".into() },
        OrderRefusal::UnknownAttribute {
            plan: plan(),
            attribute: "colour".into(),
            known: names(&["application", "project", "tag:…"]),
        },
        OrderRefusal::NotPositive(0),
        OrderRefusal::BelowZero { subscription: name(), units: 2 },
        OrderRefusal::QuantityFixed(name()),
        OrderRefusal::BeforeStart { subscription: name(), start: at },
        OrderRefusal::UnknownCharge {
            plan: plan(),
            charge: "rent".into(),
            known: names(&["seat-days", "term"]),
        },
        OrderRefusal::PriceNotNegotiable("calls".into()),
        OrderRefusal::BadPercent(Exact::whole(110)),
        OrderRefusal::EndsBeforeStart,
        OrderRefusal::FeatureNotIncluded {
            feature: "automatic-outbound".into(),
            included_in: names(&["advanced", "professional"]),
        },
    ];
    let others = [
        Refusal::UnknownAccount("acme".into()),
        Refusal::AccountExists("acme".into()),
        Refusal::OutOfRange,
        Refusal::BadAmount("an amount must be above zero, not 0".into()),
        Refusal::BeforeOpening { opened: at },
        Refusal::CounterCutsPeriod,
        Refusal::MasterIsMember("acme-sales".into()),
    ];
    let budgets = [
        budgets::Refusal::Unknown("calls".into()),
        budgets::Refusal::NoMember { account: "acme".into(), member: "north".into() },
        budgets::Refusal::UnknownProduct { product: "phone".into(), known: names(&["phones"]) },
    ];
    let budgets = budgets.map(Refusal::Budgets);
    let mut all: Vec<Refusal> = others.into_iter().chain(orders.map(Refusal::Order)).chain(budgets).collect();
    all.extend(licence_refusals(at));
    all.extend(lifecycle_refusals(at));
    all.extend(wallet_refusals().into_iter().map(Refusal::Wallet));
    all.extend(of_terms());
    let packages = [
        packages::Refusal::BelowMinimum {
            plan: "minutes-add-on".into(),
            unit: "minute".into(),
            minimum: 5000,
            wished: 4999,
        },
        packages::Refusal::NoPackage(name()),
        packages::Refusal::NotAMember {
            owner: "acme".into(),
            account: "globex".into(),
            members: names(&["acme-sales", "acme-support"]),
        },
    ];
    all.extend(packages.map(Refusal::Packages));
    let holds = [
        holds::Refusal::Exists("call-1".into()),
        holds::Refusal::Unknown { account: "acme".into(), id: "call-2".into() },
        holds::Refusal::Over { id: "call-1".into(), ended: at, expired: true },
        holds::Refusal::BadUnits(Exact::ZERO),
        holds::Refusal::NothingTakes(Problem::NothingMeasures("message".into())),
        holds::Refusal::NoPlace { of: "concurrency".into(), limit: 3 },
        holds::Refusal::NothingLeft { unit: "minute".into(), left: Exact::ZERO },
        holds::Refusal::NotCovered {
            room: None,
            needed: Amount::quantise(Exact::parse("0.10", 2).unwrap()).unwrap(),
            there: Amount::ZERO,
            currency: Currency::parse("CNY").unwrap(),
        },
    ];
    all.extend(holds.map(Refusal::Holds));
    all
}

/// One refusal of each kind about licences.
fn licence_refusals(at: Instant) -> Vec<Refusal> {
    let application = || "support".to_owned();
    let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let all = [
        licences::Refusal::NoLicences { application: application(), brought_by: names(&["agent-package"]) },
        licences::Refusal::UnknownWay {
            application: application(),
            way: "phone".into(),
            known: names(&["mobile", "web"]),
        },
        licences::Refusal::UnknownLicence {
            application: application(),
            licence: "premium-agent".into(),
            known: names(&["standard-agent"]),
        },
        licences::Refusal::NoEmail("ann".into()),
        licences::Refusal::HoldsAnother {
            holder: "ann@example.com".into(),
            held: "standard-agent".into(),
            wished: "premium-agent".into(),
        },
        licences::Refusal::NoFreeLicence(Box::new(licences::Full {
            application: application(),
            licence: "standard-agent".into(),
            named: true,
            licences: 2,
            past: None,
            in_use: names(&["ann@example.com"]),
            idle: names(&["ben@example.com"]),
            resets_left: Some(3),
            brought_by: names(&["agent-add-on", "agent-package"]),
        })),
        licences::Refusal::ResetsUsedUp { application: application(), most: 4, again: at },
        licences::Refusal::NoReset { of: "standard-sip".into(), concurrent: true },
    ];
    all.into_iter().map(Refusal::Licences).collect()
}

/// One refusal of each kind about arrears and what follows.
fn lifecycle_refusals(at: Instant) -> Vec<Refusal> {
    let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let currency = |code: &str| Currency::parse(code).unwrap();
    let owed = (Amount::quantise(Exact::whole(30)).unwrap(), currency("USD"));
    let (payer, account) = ("acme".to_owned(), "acme".to_owned());
    let life = [
        lifecycle::Refusal::Frozen {
            subject: "calls".into(),
            since: at,
            until: Some(at),
            payer: payer.clone(),
            owed,
        },
        lifecycle::Refusal::Lapsed { subscription: "seats".into(), since: at, until: Some(at), expired: at },
        lifecycle::Refusal::Released { subscription: "seats".into(), since: at, expired: at },
        lifecycle::Refusal::Suspended { account: "acme-sales".into(), by: account.clone() },
        lifecycle::Refusal::OnlyPart { payer: payer.clone(), owed, until: Some(at) },
        lifecycle::Refusal::UnknownTier { tier: "V9".into(), known: names(&["V0", "V1"]) },
        lifecycle::Refusal::TierOfPayer { account: "acme-sales".into(), payer },
        lifecycle::Refusal::AlreadySuspended(account.clone()),
        lifecycle::Refusal::NotSuspended(account),
    ];
    life.into_iter().map(Refusal::from).collect()
}

fn wallet_refusals() -> Vec<wallet::Refusal> {
    use wallet::Refusal;
    let bill = || "acme-2020-01".to_owned();
    let line = || "acme-2020-01-3".to_owned();
    let currency = Currency::parse("CNY").unwrap();
    let amount = Amount::from_units(31_000_000_000);
    vec![
        Refusal::CouponExists("C1".into()),
        Refusal::UnknownCouponScope("basc-seat".into()),
        Refusal::NoBill(bill()),
        Refusal::NotIssued { bill: bill(), until: "2020-01-31T16:00:00Z".parse().unwrap() },
        Refusal::MoreThanDue { bill: bill(), due: amount, currency },
        Refusal::MoreThanBilled { bill: bill(), left: amount, currency },
        Refusal::MoreThanBalance { balance: amount, currency },
        Refusal::UnknownLine(line()),
        Refusal::NotAdjustable(line()),
        Refusal::GivenBack { line: line(), left: Amount::ZERO, currency },
        Refusal::MoreThanLine { line: line(), left: amount, currency },
        Refusal::NotALabel("colour".into()),
        Refusal::Issued(bill()),
        Refusal::Held { bill: bill(), reason: "a dispute".into() },
        Refusal::NotHeld(bill()),
        Refusal::DueBeforeNow(bill()),
        Refusal::LimitOfPayer { account: "south".into(), payer: "acme".into() },
        Refusal::NoLimit("acme".into()),
        Refusal::OverCreditLimit {
            needed: amount,
            room: Box::new(Headroom {
                limit: amount,
                balance: Amount::ZERO,
                owed: amount,
                held: Amount::ZERO,
            }),
            currency,
        },
    ]
}

fn of_terms() -> impl Iterator<Item = Refusal> {
    let at = |text: &str| text.parse().unwrap();
    let package = || "package".to_owned();
    let licence = || "standard-licence".to_owned();
    let all = [
        terms::Refusal::PackageRequired {
            plan: licence(),
            requires: vec!["standard".into()],
            prepaid: true,
            bound: vec!["application=sales".into()],
        },
        terms::Refusal::TermOfPackage { plan: licence(), package: package(), until: None },
        terms::Refusal::RenewedWithPackage { name: "licence".into(), package: package() },
        terms::Refusal::RenewalTermNotOffered { plan: "basic-seat".into(), months: 6, offered: vec![1, 12] },
        terms::Refusal::TrialUsed { plan: "standard-trial".into(), had: "trial".into() },
        terms::Refusal::TrialOrder { plan: "standard-trial".into(), days: 14 },
        terms::Refusal::TrialRuns { name: "trial".into(), until: at("2026-05-14T16:00:00Z") },
        terms::Refusal::OtherProduct { plan: "recording".into(), product: "seats".into() },
        terms::Refusal::OtherCycles(OtherCycles {
            charge: "calls".into(),
            plan: "line-by-day".into(),
            would: Cycles { settle: Cycle::Day, accumulate: Cycle::Day },
            of: "line".into(),
            does: Cycles { settle: Cycle::Hour, accumulate: Cycle::Month },
        }),
        terms::Refusal::SamePlan("seat".into(), "small".into()),
        terms::Refusal::AddOnsNeedPlan { name: "seat".into(), add_ons: vec!["recording".into()] },
        terms::Refusal::TermNotRunning {
            from: at("2020-01-31T16:00:00Z"),
            until: at("2020-03-01T16:00:00Z"),
        },
        terms::Refusal::UsedNotGranted {
            plan: "call-package".into(),
            used: Exact::whole(9_000),
            granted: Exact::whole(8_000),
        },
        terms::Refusal::PackageNotNamed { plan: "call-package".into(), packages: vec!["minutes".into()] },
    ];
    all.into_iter().map(Refusal::from)
}

/// One problem of each kind.
fn problems() -> Vec<Problem> {
    vec![
        Problem::UnknownAccount("acme".into()),
        Problem::NothingMeasures("call".into()),
        Problem::NoSubscription,
        Problem::Frozen,
        Problem::MissingAttribute("seconds".into()),
        Problem::NotANumber("seconds".into(), "many".into()),
        Problem::Negative("seconds".into()),
        Problem::TooLarge("seconds".into()),
        Problem::NoRate("4420".into()),
        Problem::TimeOutOfRange,
        Problem::BeforeHorizon {
            time: "2025-11-30T10:00:00Z".parse().unwrap(),
            horizon: "2026-01-01T00:00:00Z".parse().unwrap(),
        },
    ]
}

fn page() -> String {
    let zone = Zone::parse("+08:00").unwrap();
    let sentences: BTreeMap<&str, String> =
        refusals().iter().map(|refusal| (refusal.code(), refusal.sentence(&zone))).collect();
    let mut page = "\
# Refusals and quarantine

What Farebox answers when it cannot do as told. The codes are stable: programs may rely on them. The sentences are for people and may change. This page is made from the code by `FAREBOX_UPDATE=1 cargo test -p farebox --test repository`.

A *mistake in a file* (a book, a catalogue) is neither: it is reported with file, line, column, what was found and what is expected, the exit status is 2, and nothing is done. See [the book language](book.md) and [catalogue files](catalogue.md).

## Refusals

A command that breaks a rule is refused, and nothing has happened then. In a book, a line `! CODE: SENTENCE` below the command says that this is expected; `farebox bill` reports any other refusal as a mistake of the book. The names in the sentences below are examples.

Over HTTP a refusal is [a problem](commands.md#problems) with the status of its row: 404 where the account, subscription, session, bill, line or budget is not there; 402 where a payment would help; 403 where what the account has does not include it, or the operator has suspended it; 409 where it cannot be as things stand now; 422 where the wish itself is wrong; 500 where usage must be counted again.

| Code | HTTP | Such as |
|---|---|---|
"
    .to_owned();
    for code in REFUSAL_CODES.iter().copied().flatten() {
        let sentence = sentences.get(code).unwrap_or_else(|| panic!("refusals() lacks {code}"));
        page.push_str(&format!("| `{code}` | {} | {sentence} |\n", farebox_api::status(code)));
    }
    page.push_str(
        "
## Quarantine

Usage that cannot be billed is never dropped: it is in quarantine with its place and one of these reasons, listed at the end of `farebox bill` and by `$ quarantine`.

What a row says is understood, but no price list can take it:

| Code | Such as |
|---|---|
",
    );
    for problem in problems() {
        page.push_str(&format!("| `{}` | {} |\n", problem.code(), problem.sentence()));
    }
    page.push_str(
        "\nThe row itself cannot be read, or nobody says whose it is:\n\n| Code | Meaning |\n|---|---|\n",
    );
    for (code, meaning) in READERS {
        page.push_str(&format!("| `{code}` | {meaning} |\n"));
    }
    page
}

#[test]
fn every_problem_has_its_code_in_the_list() {
    let codes: BTreeSet<&str> = problems().iter().map(Problem::code).chain([Problem::CONFLICT]).collect();
    assert_eq!(codes, Problem::CODES.iter().copied().collect());
}

#[test]
fn the_page_of_errors_is_that_of_the_code() {
    is_that_of_the_code(PAGE, &page());
}

/// The codes in the sources of the readers: the first text in a call that makes a reason, or a constant that they share.
fn codes_in(source: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let makers = ["quarantine(", "Reason::new(", "Err((", "Wrong(", "wrong("].map(|maker| (maker, ','));
    for (maker, end) in makers.into_iter().chain([("pub(super) const ", ';')]) {
        for rest in source.split(maker).skip(1) {
            let Some((before, rest)) = rest.split_once('"') else { continue };
            let Some((code, after)) = rest.split_once('"') else { continue };
            let is_argument = before.len() < 80 && !before.contains([';', '{', '}', '|']);
            let is_code = !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if is_argument && is_code && after.starts_with(end) {
                codes.insert(code.to_owned());
            }
        }
    }
    codes
}

#[test]
fn the_page_knows_every_reason_that_readers_give() {
    let known: BTreeSet<String> =
        READERS.iter().map(|(code, _)| *code).chain(INTERNAL.iter().copied()).map(str::to_owned).collect();
    let mut used = BTreeSet::new();
    let mut files = files_below("crates/text/src/import", "rs");
    files.push("crates/scenario/src/usage.rs".to_owned());
    for file in files.iter().filter(|file| !file.contains("/tests")) {
        let source = text(file);
        used.extend(codes_in(source.split("#[cfg(test)]").next().unwrap_or_default()));
    }
    assert_eq!(used, known, "left: in the sources; right: in the list above");
}
