//! From a book's text to what can be run: catalogues read, times resolved, names checked.
//!
//! Everything that is wrong is found here, before anything is applied.

use crate::convert;
use farebox_core::calendar::{Instant, Zone};
use farebox_core::engine::{Action, CatalogueConflict, Catalogues, Command, holds, lanes};
use farebox_core::licence::APPLICATION;
use farebox_core::metering::Metering;
use farebox_core::money::Currency;
use farebox_report::known;
use farebox_text::book::{self, Book, CommandLine, ItemKind, Verb, Word};
use farebox_text::catalog;
use farebox_text::diagnostic::{Diagnostic, nearest};
use farebox_text::import::{Attributes, ImportSpec, Input};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A book, ready to run.
#[derive(Debug)]
pub struct Prepared {
    /// The book as written.
    pub book: Book,
    /// Its price lists.
    pub catalogues: Catalogues,
    /// The wall clock of its dates.
    pub zone: Zone,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Accounts by name, with the line that opens them.
    pub accounts: BTreeMap<String, usize>,
    /// Counters that have counted nothing yet.
    pub metering: Metering,
    /// Identities that a `void` line or a session names: source and id.
    pub watched: BTreeSet<(String, String)>,
    /// The line that begins each session, by account and id.
    pub sessions: BTreeMap<(String, String), usize>,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place among the book's items.
    pub item: usize,
    /// Line, from 1.
    pub line: usize,
    /// When it is recorded; `None`: at once (imports that arrive on time, queries).
    pub at: Option<Instant>,
    /// What.
    pub action: StepAction,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepAction {
    /// A command about an account.
    Command(Box<Command>),
    /// Usage written in the book itself.
    Usage(Box<UsageLine>),
    /// Usage taken back.
    Void {
        /// Who said it.
        source: String,
        /// Its id there.
        id: String,
    },
    /// A usage file.
    Import(Box<ImportSpec>, PathBuf),
    /// A question.
    Query(Vec<Word>),
}

/// A line of usage, perhaps many times.
#[derive(Clone, Debug)]
pub struct UsageLine {
    /// The account.
    pub account: String,
    /// The type of event.
    pub kind: String,
    /// Source; `book` when none is written.
    pub source: String,
    /// Identity; made from the line when none is written.
    pub id: String,
    /// Revision, from 0.
    pub revision: u64,
    /// When it happened.
    pub time: Instant,
    /// When it began.
    pub start: Option<Instant>,
    /// Everything else.
    pub attributes: Vec<(String, String)>,
    /// How often.
    pub times: u32,
    /// Seconds between one and the next.
    pub every_s: u32,
}

/// Reads and prepares a book file.
///
/// # Errors
/// Everything that is wrong with it and with the catalogues that it names.
pub fn load(path: &Path) -> Result<Prepared, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| vec![unreadable(&name, 0, &error)])?;
    prepare(&name, &bytes, path.parent().unwrap_or(Path::new("")))
}

fn unreadable(file: &str, line: usize, error: &std::io::Error) -> Diagnostic {
    let expected = "a file that can be read".to_owned();
    Diagnostic {
        file: file.to_owned(),
        line,
        column: 0,
        found: error.to_string(),
        expected,
        suggestion: None,
    }
}

/// Prepares a book. Paths in it are relative to `folder`.
///
/// # Errors
/// Everything that is wrong with it and with the catalogues that it names.
pub fn prepare(file: &str, bytes: &[u8], folder: &Path) -> Result<Prepared, Vec<Diagnostic>> {
    let book = book::parse(file, bytes)?;
    let mut desk =
        Desk { file, diagnostics: Vec::new(), catalogues: Catalogues::default(), zone: None, money: None };
    desk.read_catalogues(&book, folder);
    // Without its price lists nothing else can be judged.
    if !desk.diagnostics.is_empty() {
        return Err(desk.diagnostics);
    }
    let zone = book.items.iter().find_map(|item| match &item.kind {
        ItemKind::Zone(zone) => Some(zone.zone.clone()),
        _ => None,
    });
    let Some(zone) = zone.or(desk.zone.clone()) else {
        let found = "neither a catalogue nor a zone".to_owned();
        let expected = "at least: catalog \"FILE\", or: zone +00:00".to_owned();
        return Err(vec![Diagnostic {
            file: file.into(),
            line: 1,
            column: 0,
            found,
            expected,
            suggestion: None,
        }]);
    };
    let names = Names::of(&book);
    let mut steps = Vec::new();
    for (index, item) in book.items.iter().enumerate() {
        let step = |at, action| Step { item: index, line: item.line, at, action };
        match &item.kind {
            ItemKind::Catalog(_) | ItemKind::Zone(_) => {}
            ItemKind::Query(query) => {
                if let Err((word, found, expected)) = known(&query.words) {
                    desk.diagnostics.push(word.diagnostic(file, item.line, found, expected));
                }
                steps.push(step(None, StepAction::Query(query.words.clone())));
            }
            ItemKind::Import(import) => {
                let at = import.at.as_ref().and_then(|at| desk.resolve(at, &zone, item.line));
                match convert::import(file, item.line, import) {
                    Ok(spec) => {
                        let path = folder.join(&import.file.text);
                        if let Err(error) = std::fs::metadata(&path) {
                            let expected = "a usage file that can be read".to_owned();
                            let found = format!("\"{}\": {error}", import.file.text);
                            desk.diagnostics.push(import.file.diagnostic(file, item.line, found, expected));
                        }
                        steps.push(step(at, StepAction::Import(Box::new(spec), path)));
                    }
                    Err(wrong) => desk.diagnostics.extend(wrong),
                }
            }
            ItemKind::Command(command) => {
                let Some(at) = desk.resolve(&command.at, &zone, item.line) else { continue };
                desk.check_names(command, item.line, &names);
                let money = desk.money.unwrap_or_else(|| Currency::parse("EUR").expect("three letters"));
                match convert::command(file, item.line, command, at, &zone, money) {
                    Ok(action) => steps.push(step(Some(at), action)),
                    Err(wrong) => desk.diagnostics.push(wrong),
                }
            }
        }
    }
    if !desk.diagnostics.is_empty() {
        return Err(desk.diagnostics);
    }
    let (metering, wanted) = metering_of(&desk.catalogues, &zone, &steps, &names);
    for step in &mut steps {
        if let StepAction::Import(spec, _) = &mut step.action {
            spec.attributes = Attributes::Only(wanted.iter().cloned().collect());
        }
    }
    let (mut watched, mut sessions) = (BTreeSet::new(), BTreeMap::new());
    for step in &steps {
        match &step.action {
            StepAction::Void { source, id } => {
                watched.insert((source.clone(), id.clone()));
            }
            StepAction::Command(command) => {
                if let Action::Holds(holds::Action::Create { source, id, .. }) = &command.action {
                    watched.insert((source.clone(), id.clone()));
                    sessions.entry((command.account.clone(), id.clone())).or_insert(step.line);
                }
            }
            _ => {}
        }
    }
    Ok(Prepared {
        catalogues: desk.catalogues,
        zone,
        steps,
        accounts: names.accounts,
        metering,
        watched,
        sessions,
        book,
    })
}

impl Prepared {
    /// The input of an import.
    pub(crate) fn input(path: &Path) -> Input {
        Input::File(path.to_owned())
    }

    /// The last moment that the book names.
    pub fn last_moment(&self) -> Option<Instant> {
        self.steps.iter().filter_map(|step| step.at).max()
    }
}

/// Names that the book gives.
#[derive(Default)]
struct Names {
    accounts: BTreeMap<String, usize>,
    subscriptions: BTreeMap<String, BTreeSet<String>>,
    /// The applications that orders of an account name.
    applications: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    fn of(book: &Book) -> Names {
        let mut names = Names::default();
        for item in &book.items {
            let ItemKind::Command(command) = &item.kind else { continue };
            match &command.verb {
                Verb::Open(open) => {
                    names.accounts.entry(open.account.text.clone()).or_insert(item.line);
                }
                Verb::Subscribe(order) => {
                    let plan = order.name().text.rsplit(':').next().unwrap_or_default().to_owned();
                    names.subscriptions.entry(order.account.text.clone()).or_default().insert(plan);
                    let applications = names.applications.entry(order.account.text.clone()).or_default();
                    let named = order.attributes.iter().filter(|one| one.name.text == APPLICATION);
                    applications.extend(named.map(|one| one.value.text.clone()));
                }
                Verb::Migrate(book::Migrate { account, what: book::Migrated::Term(term) }) => {
                    let name = term.name().text.rsplit(':').next().unwrap_or_default().to_owned();
                    names.subscriptions.entry(account.text.clone()).or_default().insert(name);
                }
                _ => {}
            }
        }
        names
    }
}

struct Desk<'a> {
    file: &'a str,
    diagnostics: Vec<Diagnostic>,
    catalogues: Catalogues,
    zone: Option<Zone>,
    money: Option<Currency>,
}

impl Desk<'_> {
    fn read_catalogues(&mut self, book: &Book, folder: &Path) {
        for item in &book.items {
            let ItemKind::Catalog(word) = &item.kind else { continue };
            let path = folder.join(&word.text);
            let name = path.display().to_string();
            let read = match std::fs::read(&path) {
                Ok(bytes) => catalog::parse(&name, &bytes),
                Err(error) => {
                    let found = format!("\"{}\": {error}", word.text);
                    let expected = "a catalogue file that can be read".to_owned();
                    self.diagnostics.push(word.diagnostic(self.file, item.line, found, expected));
                    continue;
                }
            };
            match read {
                Err(wrong) => self.diagnostics.extend(wrong),
                Ok(catalogue) => {
                    self.zone.get_or_insert_with(|| catalogue.zone.clone());
                    self.money.get_or_insert(catalogue.currency);
                    let id = catalogue.id.clone();
                    if let Some(other) = self.catalogues.other_cycles(&catalogue) {
                        let expected = "a charge that settles as in the other versions, or one of another id";
                        let found = format!("a version of {id} in which {other}");
                        self.diagnostics.push(word.diagnostic(
                            self.file,
                            item.line,
                            found,
                            expected.to_owned(),
                        ));
                    }
                    if let Err(conflict) = self.catalogues.add(catalogue) {
                        let (found, expected) = match conflict {
                            CatalogueConflict::SameDate => (
                                format!("a second version of {id} with the same effective date"),
                                "one version for each date: effective = \"YYYY-MM-DD\"",
                            ),
                            CatalogueConflict::ZoneOrCurrency => (
                                format!("a version of {id} in another zone or currency"),
                                "the zone and currency of its other versions",
                            ),
                        };
                        self.diagnostics.push(word.diagnostic(
                            self.file,
                            item.line,
                            found,
                            expected.to_owned(),
                        ));
                    }
                }
            }
        }
    }

    fn resolve(&mut self, when: &book::When, zone: &Zone, line: usize) -> Option<Instant> {
        match when.resolve(zone) {
            Ok(at) => Some(at),
            Err(skipped) => {
                self.diagnostics.push(skipped.diagnostic(self.file, line));
                None
            }
        }
    }

    /// Reports names that nothing in the book or its catalogues has, unless that is what the line
    /// shows.
    fn check_names(&mut self, command: &CommandLine, line: usize, names: &Names) {
        if command.expected.is_some() {
            return;
        }
        let mut paths = Vec::new();
        let mut plans = Vec::new();
        let account = match &command.verb {
            Verb::Open(open) => open.payer.as_ref(),
            Verb::Void(_) => None,
            Verb::Subscribe(order) => {
                plans.push((&order.plan, None));
                Some(&order.account)
            }
            Verb::Add(change) | Verb::Remove(change) => {
                paths.push(&change.path);
                Some(&change.path.account)
            }
            Verb::Cancel(path)
            | Verb::Unsubscribe(path)
            | Verb::Stop(path)
            | Verb::Start(path)
            | Verb::Keep(path) => {
                paths.push(path);
                Some(&path.account)
            }
            Verb::Renew(renew) => {
                paths.push(&renew.path);
                Some(&renew.path.account)
            }
            Verb::Share(share) => {
                for member in share.members.iter().filter(|one| !names.accounts.contains_key(&one.text)) {
                    let what = "an account that the book opens";
                    self.unknown(member, line, "account", what, names.accounts.keys());
                }
                paths.push(&share.path);
                Some(&share.path.account)
            }
            Verb::Change(change) => {
                paths.push(&change.path);
                if let book::ChangeTo::Plan(plan) = &change.to {
                    plans.push((plan, None));
                }
                Some(&change.path.account)
            }
            Verb::Migrate(migrate) => {
                if let book::Migrated::Term(term) = &migrate.what {
                    plans.push((&term.plan, None));
                }
                Some(&migrate.account)
            }
            Verb::Discount(discount) => {
                plans.extend(discount.on.iter().map(|on| (&on.plan, on.charge.as_ref())));
                Some(&discount.account)
            }
            Verb::Price(price) => {
                plans.push((&price.plan, Some(&price.charge)));
                Some(&price.account)
            }
            Verb::Lifecycle(line) => Some(&line.account),
            Verb::TopUp(top_up) => Some(&top_up.account),
            Verb::Wallet(line) => Some(&line.account),
            Verb::Use(asked) => Some(&asked.account),
            Verb::Licence(one) => {
                self.check_application(&one.account, &one.application, line, names);
                self.check_way(&one.way, line);
                self.check_licence(one.licence.as_ref(), line);
                Some(&one.account)
            }
            Verb::Reset(one) => {
                self.check_application(&one.account, &one.application, line, names);
                self.check_licence(one.licence.as_ref(), line);
                Some(&one.account)
            }
            Verb::Hold(session) => Some(&session.account),
            Verb::Usage(usage) => Some(&usage.account),
            Verb::Budget(budget) => {
                let scope = budget.limit.as_ref().and_then(|limit| limit.scope.as_ref());
                if let Some((what, which)) = scope
                    && what.text == "member"
                    && !names.accounts.contains_key(&which.text)
                {
                    let known = names.accounts.keys();
                    self.unknown(which, line, "account", "an account that the book opens", known);
                }
                Some(&budget.account)
            }
        };
        if let Some(account) = account
            && !names.accounts.contains_key(&account.text)
        {
            self.unknown(account, line, "account", "an account that the book opens", names.accounts.keys());
        }
        for path in paths {
            let known = names.subscriptions.get(&path.account.text);
            if known.is_none_or(|known| !known.contains(&path.name.text)) {
                let what = format!("a subscription of {}", path.account.text);
                self.unknown(&path.name, line, "subscription", &what, known.into_iter().flatten());
            }
        }
        for (plan, charge) in plans {
            self.check_plan(plan, charge, line);
        }
    }

    fn check_plan(&mut self, word: &Word, charge: Option<&Word>, line: usize) {
        let (catalogue, plan) = match word.text.split_once(':') {
            Some((catalogue, plan)) => (Some(catalogue), plan),
            None => (None, word.text.as_str()),
        };
        let lists = || self.catalogues.iter().filter(|list| catalogue.is_none_or(|only| only == list.id));
        let charges: BTreeSet<String> = lists()
            .filter_map(|list| list.plan(plan))
            .flat_map(|(_, plan)| plan.charges.iter().map(|charge| charge.id.clone()))
            .collect();
        if lists().all(|list| list.plan(plan).is_none()) {
            let known: Vec<String> =
                lists().flat_map(|list| list.plans()).map(|plan| plan.id.clone()).collect();
            let ids: BTreeSet<&str> = self.catalogues.iter().map(|list| list.id.as_str()).collect();
            let what = format!("a plan of {}", ids.into_iter().collect::<Vec<_>>().join(", "));
            self.unknown(word, line, "plan", &what, known.iter());
        } else if let Some(charge) = charge
            && !charges.contains(&charge.text)
        {
            self.unknown(charge, line, "charge", &format!("a charge of {plan}"), charges.iter());
        }
    }

    /// The application of a line about licences.
    fn check_application(&mut self, account: &Word, application: &Word, line: usize, names: &Names) {
        let known = names.applications.get(&account.text);
        if known.is_none_or(|known| !known.contains(&application.text)) {
            let what = format!("one that an order of {} names: application=…", account.text);
            self.unknown(application, line, "application", &what, known.into_iter().flatten());
        }
    }

    /// The licence that a line names.
    fn check_licence(&mut self, licence: Option<&Word>, line: usize) {
        let Some(licence) = licence else { return };
        let known: BTreeSet<String> =
            self.catalogues.iter().flat_map(|list| list.licences.keys().cloned()).collect();
        if !known.contains(&licence.text) {
            self.unknown(licence, line, "licence", "a licence of the book's catalogues", known.iter());
        }
    }

    /// The way of use of a line about licences.
    fn check_way(&mut self, way: &Word, line: usize) {
        let licences = self.catalogues.iter().flat_map(|list| list.licences.values());
        let known: BTreeSet<String> = licences.flat_map(|licence| licence.by.iter().cloned()).collect();
        if !known.contains(&way.text) {
            let what = match known.is_empty() {
                true => "a catalogue with [licences]".to_owned(),
                false => format!("one of {}", known.iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.unknown(way, line, "way of use", &what, known.iter());
        }
    }

    fn unknown<'b>(
        &mut self,
        word: &Word,
        line: usize,
        what: &str,
        expected: &str,
        known: impl IntoIterator<Item = &'b String>,
    ) {
        let found = format!("unknown {what} \"{}\"", word.text);
        let mut wrong = word.diagnostic(self.file, line, found, expected.to_owned());
        wrong.suggestion = nearest(&word.text, known.into_iter().map(String::as_str));
        self.diagnostics.push(wrong);
    }
}

/// Counters for everything that the book's accounts ever order, cut wherever one of their lines
/// may change something; and the attributes that they look at.
fn metering_of(
    catalogues: &Catalogues,
    zone: &Zone,
    steps: &[Step],
    names: &Names,
) -> (Metering, BTreeSet<String>) {
    let mut plans: BTreeMap<&str, BTreeMap<(String, String), Instant>> = BTreeMap::new();
    let mut begun = BTreeMap::new();
    // What an account orders can be for the usage of its whole group: all share their cuts.
    let mut payers: BTreeMap<&str, &str> = BTreeMap::new();
    for step in steps {
        if let StepAction::Command(command) = &step.action
            && let farebox_core::engine::Action::Open { payer: Some(payer), .. } = &command.action
        {
            payers.insert(&command.account, payer);
        }
    }
    let payer_of = |account| payers.get(account).copied().unwrap_or(account);
    let mut cuts: BTreeMap<&str, Vec<Instant>> = BTreeMap::new();
    for step in steps {
        let (StepAction::Command(command), Some(at)) = (&step.action, step.at) else { continue };
        if matches!(command.action, Action::Licences(_) | Action::Holds(_)) {
            // Who uses a licence, or what is held for sessions, changes no price.
            continue;
        }
        let cuts = cuts.entry(payer_of(&command.account)).or_default();
        cuts.extend([at, command.effective_at]);
        cuts.extend(convert::until(&command.action));
        let account = command.account.as_str();
        if let Some((plan, name, start)) = convert::ordered_plan(&command.action)
            && let Ok((catalogue, plan)) = catalogues.find_plan(plan, command.effective_at)
        {
            // A plan that a subscription changes to is had since that began.
            let since = match start {
                convert::Start::Now => command.effective_at,
                convert::Start::At(at) => at,
                convert::Start::Before => {
                    begun.get(&(account, name.to_owned())).copied().unwrap_or(Instant::MIN)
                }
            };
            begun.entry((account, name.to_owned())).or_insert(since);
            let known =
                plans.entry(account).or_default().entry((catalogue.id.clone(), plan)).or_insert(since);
            *known = since.min(*known);
        }
    }
    // A preview charges what is open at its moment.
    let mut clock = None;
    for step in steps {
        clock = step.at.or(clock);
        let StepAction::Query(words) = &step.action else { continue };
        if words.first().is_some_and(|word| word.text == "upcoming") {
            let date = words.get(2).and_then(|word| word.text.parse().ok());
            let at = date.map(|local| zone.at(local)).or(clock);
            cuts.values_mut().for_each(|cuts| cuts.extend(at));
        }
    }
    let specs: Vec<_> = plans
        .iter()
        .flat_map(|(account, plans)| lanes(catalogues, account, plans, &cuts[payer_of(account)]))
        .collect();
    let mut wanted = BTreeSet::new();
    for spec in &specs {
        wanted.extend(spec.meter.of.clone());
        wanted.extend(spec.meter.filters.iter().map(|filter| filter.attribute.clone()));
        wanted.extend(spec.deck.iter().map(|deck| deck.destination.clone()));
        wanted.extend(spec.dimensions.iter().cloned());
    }
    wanted.extend(["application", "project"].map(str::to_owned));
    (Metering::new(names.accounts.keys().cloned(), specs), wanted)
}
