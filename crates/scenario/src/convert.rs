//! Lines of a book as commands of the core and imports.

use crate::prepare::{StepAction, UsageLine};
use farebox_core::budget::BudgetScope;
use farebox_core::calendar::{Instant, Zone};
use farebox_core::catalog::Mode;
use farebox_core::engine::{Action, Command, budgets, holds, licences, lifecycle, packages, terms, wallet};
use farebox_core::money::Currency;
use farebox_text::book::{
    self, ChangeTo, CommandLine, Deadline, ImportLine, LicenceUse, MapAction, Migrate, Migrated, PaymentMode,
    SessionStep, UseChange, Verb, WalletVerb, When, Word,
};
use farebox_text::diagnostic::Diagnostic;
use farebox_text::import::{Condition, ImportSpec, MapRule, Outcome, Pattern, Preset, Template};

/// Turns a dated line into what the core does.
pub(crate) fn command(
    file: &str,
    line: usize,
    command: &CommandLine,
    at: Instant,
    zone: &Zone,
    money: Currency,
) -> Result<StepAction, Diagnostic> {
    let resolve = |when: &When| when.resolve(zone).map_err(|skipped| skipped.diagnostic(file, line));
    let resolve_all = |when: &Option<When>| when.as_ref().map(&resolve).transpose();
    let effective = |when: &Option<When>| Ok(resolve_all(when)?.unwrap_or(at));
    let wish = |account: &Word, effective_at: Instant, action: Action| {
        Ok(StepAction::Command(Box::new(Command { account: account.text.clone(), effective_at, action })))
    };
    let text = |word: &Word| word.text.clone();
    match &command.verb {
        Verb::Open(open) => {
            let title = open.title.as_ref().map_or_else(|| text(&open.account), text);
            let zone = open.zone.as_ref().map_or_else(|| zone.clone(), |word| word.zone.clone());
            let currency = open.currency.unwrap_or(money);
            let payer = open.payer.as_ref().map(text);
            let tier = open.tier.as_ref().map(text);
            wish(&open.account, at, Action::Open { title, currency, zone, payer, tier })
        }
        Verb::Subscribe(order) => {
            let payment = order.payment.as_ref().map(|payment| &payment.mode);
            let (mode, months) = match payment {
                None => (None, None),
                Some(PaymentMode::PayPerUse) => (Some(Mode::PayPerUse), None),
                Some(PaymentMode::Prepaid(term)) => (Some(Mode::Prepaid), Some(term.months())),
            };
            let attributes = order.attributes.iter().map(|one| (text(&one.name), text(&one.value)));
            let action = Action::Subscribe {
                plan: text(&order.plan),
                name: order.name.as_ref().map(text),
                quantity: order.quantity.into(),
                mode,
                months,
                auto: order.auto_renew,
                attributes: attributes.collect(),
            };
            wish(&order.account, at, action)
        }
        Verb::Add(change) | Verb::Remove(change) => {
            let sign = if matches!(command.verb, Verb::Add(_)) { 1 } else { -1 };
            let delta = sign * i64::from(change.quantity);
            let action = Action::ChangeQuantity { subscription: text(&change.path.name), delta };
            wish(&change.path.account, effective(&change.effective)?, action)
        }
        Verb::Unsubscribe(path) => {
            wish(&path.account, at, Action::Unsubscribe { subscription: text(&path.name) })
        }
        Verb::Cancel(path) => wish(&path.account, at, Action::Cancel { subscription: text(&path.name) }),
        Verb::Stop(path) | Verb::Start(path) => {
            let stopped = matches!(command.verb, Verb::Stop(_));
            wish(&path.account, at, Action::Stop { subscription: text(&path.name), stopped })
        }
        Verb::Renew(renew) => {
            let action = Action::Renew { subscription: text(&renew.path.name), months: renew.term.months() };
            wish(&renew.path.account, at, action)
        }
        Verb::Change(change) => {
            let subscription = text(&change.path.name);
            let action = match &change.to {
                ChangeTo::Mode(payment) => {
                    let mode = match payment.mode {
                        PaymentMode::PayPerUse => Mode::PayPerUse,
                        PaymentMode::Prepaid(_) => Mode::Prepaid,
                    };
                    Action::ChangeMode { subscription, mode }
                }
                ChangeTo::Plan(plan) => Action::ChangePlan { subscription, plan: text(plan) },
                ChangeTo::AutoRenew(limit) => {
                    Action::Terms(terms::Action::AutoRenew { subscription, limit: *limit })
                }
                ChangeTo::Attributes(attributes) => {
                    let Some(first) = attributes.first() else {
                        let found = "no attribute".to_owned();
                        return Err(change.path.name.diagnostic(file, line, found, "NAME=VALUE".to_owned()));
                    };
                    let (name, value) = (text(&first.name), text(&first.value));
                    Action::ChangeAttribute { subscription, name, value }
                }
            };
            wish(&change.path.account, at, action)
        }
        Verb::Migrate(Migrate { account, what: Migrated::Balance(amount) }) => {
            wish(account, at, Action::Terms(terms::Action::MigrateBalance { amount: *amount }))
        }
        Verb::Migrate(Migrate { account, what: Migrated::Term(term) }) => {
            let attributes = term.attributes.iter().map(|one| (text(&one.name), text(&one.value)));
            let term = terms::MigratedTerm {
                plan: text(&term.plan),
                name: term.name.as_ref().map(text),
                quantity: term.quantity.into(),
                from: resolve(&term.from)?,
                until: resolve(&term.until)?,
                paid: term.paid,
                used: term.used.iter().map(|(package, units)| (package.as_ref().map(text), *units)).collect(),
                attributes: attributes.collect(),
            };
            wish(account, at, Action::Terms(terms::Action::MigrateTerm(Box::new(term))))
        }
        Verb::Discount(discount) => {
            let on = discount.on.as_ref();
            let action = Action::Grant {
                percent: discount.percent,
                plan: on.map(|on| text(&on.plan)),
                charge: on.and_then(|on| on.charge.as_ref()).map(text),
                until: resolve_all(&discount.until)?,
            };
            wish(&discount.account, at, action)
        }
        Verb::Price(price) => {
            let action = Action::AgreePrice {
                plan: text(&price.plan),
                charge: text(&price.charge),
                price: price.price,
                until: resolve_all(&price.until)?,
            };
            wish(&price.account, at, action)
        }
        Verb::TopUp(top_up) => wish(&top_up.account, at, Action::TopUp { amount: top_up.amount }),
        Verb::Wallet(line) => {
            let action = wallet(&line.what, &resolve_all)?;
            wish(&line.account, at, Action::Wallet(action))
        }
        Verb::Use(asked) => {
            let subscription = asked.on.as_ref().map(text);
            wish(&asked.account, at, Action::UseFeature { feature: text(&asked.feature), subscription })
        }
        Verb::Licence(one) => wish(&one.account, at, Action::Licences(licence_use(one))),
        Verb::Reset(one) => {
            let (application, licence) = (text(&one.application), one.licence.as_ref().map(text));
            wish(&one.account, at, Action::Licences(licences::Action::Reset { application, licence }))
        }
        Verb::Hold(session) => {
            let id = text(&session.id);
            let end = |deadline: &Deadline| match deadline {
                Deadline::At(when) => resolve(when),
                Deadline::After(seconds) => {
                    let after = jiff::SignedDuration::from_secs(i64::from(*seconds));
                    Ok(at.checked_add(after).unwrap_or(Instant::MAX))
                }
            };
            let action = match &session.step {
                SessionStep::Hold { kind, units, source, attributes, deadline } => holds::Action::Create {
                    id,
                    source: source.as_ref().map_or_else(|| "book".to_owned(), text),
                    kind: text(kind),
                    attributes: attributes.iter().map(|one| (text(&one.name), text(&one.value))).collect(),
                    units: *units,
                    until: end(deadline)?,
                },
                SessionStep::Extend { units, used, deadline } => {
                    holds::Action::Update { id, units: *units, used: *used, until: end(deadline)? }
                }
                SessionStep::Release { used } => holds::Action::Release { id, used: *used },
            };
            wish(&session.account, at, Action::Holds(action))
        }
        Verb::Share(share) => {
            let members = share.members.iter().map(text).collect();
            let action = packages::Action::Share { subscription: text(&share.path.name), members };
            wish(&share.path.account, at, Action::Packages(action))
        }
        Verb::Keep(path) => {
            let action = packages::Action::Keep { subscription: text(&path.name) };
            wish(&path.account, at, Action::Packages(action))
        }
        Verb::Usage(usage) => {
            let time = effective(&usage.happened)?;
            if time > at {
                let word = &usage.kind;
                let found = "usage that arrives before it happens".to_owned();
                return Err(word.diagnostic(
                    file,
                    line,
                    found,
                    "at= no later than the line's date".to_owned(),
                ));
            }
            let start = resolve_all(&usage.start)?;
            if start.is_some_and(|start| start > time) {
                let found = "usage that begins after its end".to_owned();
                let expected = "start= no later than the end".to_owned();
                return Err(usage.kind.diagnostic(file, line, found, expected));
            }
            let attributes = usage.attributes.iter().map(|one| (text(&one.name), text(&one.value)));
            Ok(StepAction::Usage(Box::new(UsageLine {
                account: text(&usage.account),
                kind: text(&usage.kind),
                source: usage.source.as_ref().map_or_else(|| "book".to_owned(), text),
                id: usage.id.as_ref().map_or_else(|| format!("line-{line}"), text),
                revision: usage.revision,
                time,
                start,
                attributes: attributes.collect(),
                times: usage.times.as_ref().map_or(1, |times| times.count),
                every_s: usage.times.as_ref().map_or(0, |times| times.every_s),
            })))
        }
        Verb::Budget(budget) => wish(&budget.account, at, Action::Budgets(budget_action(budget))),
        Verb::Lifecycle(line) => {
            let action = match &line.to {
                book::LifecycleTo::Tier(tier) => lifecycle::Action::SetTier { tier: text(tier) },
                book::LifecycleTo::Suspended => lifecycle::Action::Suspend,
                book::LifecycleTo::Resumed => lifecycle::Action::Resume,
            };
            wish(&line.account, at, Action::Lifecycle(action))
        }
        Verb::Void(void) => Ok(StepAction::Void { source: text(&void.source), id: text(&void.id) }),
    }
}

fn budget_action(budget: &book::Budget) -> budgets::Action {
    let name = budget.name.text.clone();
    let Some(limit) = &budget.limit else { return budgets::Action::Drop { name } };
    let scope = match &limit.scope {
        None => BudgetScope::All,
        Some((what, which)) => match what.text.as_str() {
            "project" => BudgetScope::Project(which.text.clone()),
            "product" => BudgetScope::Product(which.text.clone()),
            _ => BudgetScope::Member(which.text.clone()),
        },
    };
    budgets::Action::Set { name, amount: limit.amount, scope, alerts: limit.alerts.clone() }
}

fn licence_use(one: &LicenceUse) -> licences::Action {
    licences::Action::Use {
        application: one.application.text.clone(),
        holder: one.holder.text.clone(),
        way: one.way.text.clone(),
        licence: one.licence.as_ref().map(|word| word.text.clone()),
        change: match one.change {
            UseChange::On => licences::Change::On,
            UseChange::Off => licences::Change::Off,
            UseChange::Failed => licences::Change::Failed,
        },
    }
}

/// What a verb about money wishes.
fn wallet<E>(
    what: &WalletVerb,
    resolve: &impl Fn(&Option<When>) -> Result<Option<Instant>, E>,
) -> Result<wallet::Action, E> {
    use wallet::{Action, Credited};
    let text = |word: &Word| word.text.clone();
    Ok(match what {
        WalletVerb::Coupon { id, amount, on, until } => Action::Coupon {
            id: text(id),
            amount: *amount,
            on: on.as_ref().map(text),
            until: resolve(until)?,
        },
        WalletVerb::Pay { month, amount, reference } => {
            Action::Pay { month: *month, amount: *amount, reference: reference.as_ref().map(text) }
        }
        WalletVerb::WriteOff { month, amount, reason } => {
            Action::WriteOff { month: *month, amount: *amount, reason: text(reason) }
        }
        WalletVerb::CreditBill { month, amount, reason } => {
            Action::Credit { what: Credited::Bill(*month), amount: *amount, reason: text(reason) }
        }
        WalletVerb::CreditLine { line, amount, reason } => {
            Action::Credit { what: Credited::Line(text(line)), amount: *amount, reason: text(reason) }
        }
        WalletVerb::PayOut { amount } => Action::PayOut { amount: *amount },
        WalletVerb::Charge { amount, title, labels } => Action::Charge {
            amount: *amount,
            title: text(title),
            labels: labels.iter().map(|one| (text(&one.name), text(&one.value))).collect(),
        },
        WalletVerb::Adjust { line, amount, reason } => {
            Action::Adjust { line: text(line), amount: *amount, reason: text(reason) }
        }
        WalletVerb::HoldBill { month, reason } => Action::HoldBill { month: *month, reason: text(reason) },
        WalletVerb::ReleaseBill { month } => Action::ReleaseBill { month: *month },
        WalletVerb::DueDate { month, until } => {
            Action::SetDue { month: *month, until: resolve(&Some(*until))?.unwrap_or_default() }
        }
        WalletVerb::CreditLimit { limit } => Action::SetCreditLimit { limit: *limit },
    })
}

/// The end that an agreement has, which cuts counters.
pub(crate) fn until(action: &Action) -> Option<Instant> {
    match action {
        Action::AgreePrice { until, .. } | Action::Grant { until, .. } => *until,
        // Terms end at midnights; one of another system ends when it does.
        Action::Terms(terms::Action::MigrateTerm(term)) => Some(term.until),
        _ => None,
    }
}

/// Since when a plan is had that a command orders.
pub(crate) enum Start {
    /// The command's moment.
    Now,
    /// A moment that it names.
    At(Instant),
    /// The beginning of the subscription that changes to it.
    Before,
}

/// The plan that a command orders, the subscription that has it then, and since when.
pub(crate) fn ordered_plan(action: &Action) -> Option<(&str, &str, Start)> {
    match action {
        Action::Subscribe { plan, name, .. } => Some((plan, name.as_ref().unwrap_or(plan), Start::Now)),
        Action::ChangePlan { plan, subscription } => Some((plan, subscription, Start::Before)),
        Action::Terms(terms::Action::MigrateTerm(term)) => {
            Some((&term.plan, term.name.as_ref().unwrap_or(&term.plan), Start::At(term.from)))
        }
        _ => None,
    }
}

/// Turns an import line into what the importer reads.
pub(crate) fn import(file: &str, line: usize, import: &ImportLine) -> Result<ImportSpec, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    let preset = match Preset::parse(&import.preset.text) {
        Ok(preset) => preset,
        Err(meant) => {
            let found = format!("unknown preset \"{}\"", import.preset.text);
            let expected = Preset::ALL.map(Preset::name).join(", ");
            let mut diagnostic = import.preset.diagnostic(file, line, found, expected);
            diagnostic.suggestion = meant;
            return Err(vec![diagnostic]);
        }
    };
    let mut spec = ImportSpec::new(preset, import.file.text.clone());
    spec.rules_file = file.to_owned();
    spec.zone = import.zone.as_ref().map(|word| word.zone.clone());
    spec.source = import.source.as_ref().map(|word| word.text.clone());
    spec.kind = import.kind.as_ref().map(|word| word.text.clone());
    let more = columns(import, &mut spec);
    let mut template = |word: &Word| match Template::parse(&word.text) {
        Ok(template) => Some(template),
        Err(why) => {
            let expected = "text with {field} references".to_owned();
            wrong.push(word.diagnostic(file, line, why, expected));
            None
        }
    };
    for rule in &import.rules {
        let when = rule.when.iter().map(|condition| {
            let sign = if condition.negated { "!" } else { "" };
            Condition {
                field: condition.field.text.clone(),
                pattern: Pattern::parse(&format!("{sign}{}", condition.pattern.text)),
            }
        });
        let outcome = match &rule.action {
            MapAction::Ignore => Outcome::Ignore,
            MapAction::Set(set) => Outcome::Set(
                set.iter()
                    .chain(&more)
                    .filter_map(|(name, value)| Some((name.text.clone(), template(value)?)))
                    .collect(),
            ),
        };
        spec.rules.push(MapRule { line: rule.line, when: when.collect(), outcome });
    }
    if import.rules.is_empty() && !more.is_empty() {
        let account = Word { text: format!("{{{}}}", spec.table.account), column: 0 };
        let account = (Word { text: "account".into(), column: 0 }, account);
        let set = more.iter().chain([&account]);
        let set = set.filter_map(|(name, value)| Some((name.text.clone(), template(value)?)));
        let outcome = Outcome::Set(set.collect());
        let at = import.columns.as_ref().map_or(line, |columns| columns.line);
        spec.rules.push(MapRule { line: at, when: Vec::new(), outcome });
    }
    if wrong.is_empty() { Ok(spec) } else { Err(wrong) }
}

/// Fills in the layout of a CSV; columns that have no place in it become attributes.
fn columns(import: &ImportLine, spec: &mut ImportSpec) -> Vec<(Word, Word)> {
    let Some(columns) = &import.columns else { return Vec::new() };
    let mut more = Vec::new();
    let mut ids = Vec::new();
    for (name, header) in &columns.columns {
        let header_text = header.text.clone();
        match name.text.as_str() {
            "id" => ids.push(header_text),
            "time" => spec.table.time = header_text,
            "start" => spec.table.start = header_text,
            "account" => spec.table.account = header_text,
            "type" => spec.table.kind = header_text,
            "revision" => spec.table.revision = header_text,
            _ => {
                let template = Word { text: format!("{{{}}}", header.text), column: header.column };
                more.push((name.clone(), template));
            }
        }
    }
    if !ids.is_empty() {
        spec.table.id = ids;
    }
    if let Some(separator) = columns.separator {
        spec.table.separator = u8::try_from(u32::from(separator)).unwrap_or(b',');
    }
    spec.table.time_format = columns.time_format.as_ref().map(|word| word.text.clone());
    more
}
