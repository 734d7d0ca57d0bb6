//! What a book says, line by line, with positions.
//!
//! ```text
//! Book ── Item ─┬─ Catalog   catalog "../catalogs/huawei-ykf.toml"
//!               ├─ Zone      zone +08:00
//!               ├─ Import    import asterisk "Master.csv" zone UTC
//!               │    ├─ Columns    columns id=call_id time=ended …
//!               │    └─ MapRule    match dcontext=… set account=…
//!               ├─ Command   2020-01-04 13:23:56 subscribe acme basic-seat 10
//!               │    └─ Expected   ! mode-not-offered: …
//!               └─ Query     $ bill acme 2020-01
//!                    └─ the lines expected as its output
//! ```
//!
//! Every name is a [`Word`] with its column, so that what only a later stage can know (there is
//! no such plan) is still reported at the word that is wrong.

use super::time::When;
use super::verb::holds::Session;
use super::verb_licences::{LicenceReset, LicenceUse};
use super::wallet::Wallet;
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::Zone;
use farebox_core::money::{Currency, Exact};
use std::fmt;
use std::ops::Range;

/// A book, or a scenario: the same language.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// The file as the user named it; every diagnostic about the book says it.
    pub file: String,
    /// What it says, in the order of the file.
    pub items: Vec<Item>,
}

/// One thing that a book says.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its first line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: ItemKind,
}

/// The kinds of things that a book says.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `catalog "FILE"`: a price list, by its path relative to the book. The caller reads it.
    Catalog(Word),
    /// `zone NAME`: the wall clock of the book's dates. At most once, before any dated line.
    /// Without it, the zone of the first catalogue.
    Zone(ZoneWord),
    /// `import PRESET "FILE" …`: usage from a file.
    Import(ImportLine),
    /// A dated line: one command.
    Command(CommandLine),
    /// `$ …`: a question, and the answer expected.
    Query(Query),
}

/// A word as written, without its quotes and escapes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Column in characters, from 1; of the opening quote, where there is one.
    pub column: usize,
}

impl fmt::Debug for Word {
    /// `acme@12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.text, self.column)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Word {
    /// A mistake at this word, found by a later stage: `found` is a phrase such as
    /// `unknown plan "basc-seat"`.
    pub fn diagnostic(&self, file: &str, line: usize, found: String, expected: String) -> Diagnostic {
        Diagnostic { file: file.to_owned(), line, column: self.column, found, expected, suggestion: None }
    }
}

/// A zone, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneWord {
    /// The zone.
    pub zone: Zone,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A dated line.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLine {
    /// When it arrives and, unless it says otherwise, takes effect. Never before the command above.
    pub at: When,
    /// What is to be done.
    pub verb: Verb,
    /// The refusal that is expected of it: the `!` line directly below.
    pub expected: Option<Expected>,
}

/// `! CODE: SENTENCE`: the refusal expected of the command above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its line, from 1.
    pub line: usize,
    /// Everything after the `!`, without blanks around it.
    pub text: String,
}

impl Expected {
    /// The stable code: what stands before the first colon.
    pub fn code(&self) -> &str {
        self.text.split(':').next().unwrap_or_default().trim_end()
    }
}

/// `$ WORD …`: a question, and the lines expected as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The words after the `$`; at least one.
    pub words: Vec<Word>,
    /// The expected lines, without blanks at their ends and without the `|` of those that would
    /// otherwise be read as something else.
    pub expected: Vec<String>,
    /// The file's lines (from 1, the end not included) that hold `expected`. Empty, just below the
    /// query, when nothing is expected yet.
    pub lines: Range<usize>,
}

/// The command of a dated line.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// `open`: an account begins.
    Open(Open),
    /// `subscribe`: an order.
    Subscribe(Subscribe),
    /// `add`: more units of a subscription.
    Add(QuantityChange),
    /// `remove`: fewer units, the newest first.
    Remove(QuantityChange),
    /// `unsubscribe`: a prepaid term is given up.
    Unsubscribe(Path),
    /// `cancel`: a subscription ends.
    Cancel(Path),
    /// `stop`: a subscription pauses.
    Stop(Path),
    /// `start`: a stopped subscription goes on.
    Start(Path),
    /// `renew`: one more term of a prepaid subscription.
    Renew(Renew),
    /// `change`: another mode, plan or attribute of a subscription.
    Change(Change),
    /// `migrate`: a balance or a running term of another system.
    Migrate(Migrate),
    /// `discount`: a percentage off the list price.
    Discount(Discount),
    /// `price`: a negotiated price of one account.
    Price(Price),
    /// `topup`: money comes in.
    TopUp(TopUp),
    /// `coupon`, `pay`, `credit` and the like: money besides top-ups.
    Wallet(Wallet),
    /// `use`: asks whether a feature may be used (R-CEC-9).
    Use(Use),
    /// `login`, `logout`, `licence`, `mobile`, `monitor`, `phone`: a way of use begins or ends.
    Licence(LicenceUse),
    /// `reset`: idle licences are released.
    Reset(LicenceReset),
    /// `hold`, `extend`, `release`: a session begins, goes on, ends.
    Hold(Box<Session>),
    /// `share`: members may draw from a package of their master (R-ORG-1).
    Share(Share),
    /// `keep`: they may no longer.
    Keep(Path),
    /// `usage`: a usage event, or several of a kind.
    Usage(Usage),
    /// `void`: a usage event is taken back.
    Void(Void),
    /// `tier`, `suspend`, `resume`.
    Lifecycle(LifecycleLine),
    /// `budget`: what a month may cost (R-BUD-1).
    Budget(Budget),
}

/// `budget ACCOUNT NAME (AMOUNT [project=NAME | product=NAME | member=ACCOUNT] [alerts PERCENT,…] | off)`
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The account.
    pub account: Word,
    /// The budget's name.
    pub name: Word,
    /// What it is to be; `None`: it is given up.
    pub limit: Option<BudgetLimit>,
}

/// What a budget allows, and what counts.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetLimit {
    /// Above zero.
    pub amount: Exact,
    /// `project`, `product` or `member`, and which; without it, all counts.
    pub scope: Option<(Word, Word)>,
    /// Percentages, ascending.
    pub alerts: Vec<std::num::NonZeroU16>,
}

/// `open ACCOUNT ["TITLE"] [currency CODE] [zone ZONE] [member of ACCOUNT] [tier TIER]`
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// The new account.
    pub account: Word,
    /// Its title on bills; without it, its name.
    pub title: Option<Word>,
    /// Without it, that of the first catalogue.
    pub currency: Option<Currency>,
    /// The wall clock of its bills; without it, that of the book.
    pub zone: Option<ZoneWord>,
    /// The master account that pays for it.
    pub payer: Option<Word>,
    /// The customer's tier.
    pub tier: Option<Word>,
}

/// `tier ACCOUNT TIER`, `suspend ACCOUNT`, `resume ACCOUNT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleLine {
    /// Whose.
    pub account: Word,
    /// What.
    pub to: LifecycleTo,
}

/// What happens to an account's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleTo {
    /// The customer has a tier.
    Tier(Word),
    /// The account is suspended.
    Suspended,
    /// The suspension ends.
    Resumed,
}

/// `subscribe ACCOUNT PLAN [QUANTITY] [as NAME] [prepaid TERM | pay-per-use] [auto-renew [limit N]]
/// [NAME=VALUE …]`
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Who orders.
    pub account: Word,
    /// What.
    pub plan: Word,
    /// How many: 1 to 1,000,000; without it, 1.
    pub quantity: u32,
    /// What later lines call the subscription; without it, the plan's name. See [`Subscribe::name`].
    pub name: Option<Word>,
    /// How it is paid; without it, the plan's only mode, or pay-per-use where it offers that.
    pub payment: Option<Payment>,
    /// Renewed by itself, at most so often; 0: any number.
    pub auto_renew: Option<u16>,
    /// What the order states: `number`, `application`, `project`, `tag:…`, options of the plan.
    pub attributes: Vec<Attribute>,
}

impl Subscribe {
    /// What later lines call the subscription.
    pub fn name(&self) -> &Word {
        self.name.as_ref().unwrap_or(&self.plan)
    }
}

/// How an order is paid, and where that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The mode, with its term.
    pub mode: PaymentMode,
    /// Column of the word, in characters, from 1.
    pub column: usize,
}

/// A mode of payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMode {
    /// `pay-per-use`.
    PayPerUse,
    /// `prepaid 6 months`.
    Prepaid(Term),
}

/// A term as written: `1 month`, `6 months`, `1 year`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// How many: 1 to 120.
    pub count: u16,
    /// Of what. `12 months` and `1 year` last equally long, but need not both be offered.
    pub unit: TermUnit,
}

impl Term {
    /// Its months: 1 to 1,440.
    pub fn months(self) -> u16 {
        match self.unit {
            TermUnit::Month => self.count,
            TermUnit::Year => self.count.saturating_mul(12),
        }
    }
}

/// The unit of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermUnit {
    /// Calendar months.
    Month,
    /// Years of twelve months.
    Year,
}

/// `share PATH with MEMBER[,MEMBER …]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The subscription whose packages are shared.
    pub path: Path,
    /// The members; at least one.
    pub members: Vec<Word>,
}

/// `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Letters, digits, `-`, `_`, `.` and `:`.
    pub name: Word,
    /// The text as written, `0102` and `61` alike: a meter that needs a number reads one.
    pub value: Word,
}

/// `ACCOUNT/SUBSCRIPTION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The account.
    pub account: Word,
    /// The subscription's name in it.
    pub name: Word,
}

/// `add PATH QUANTITY [effective TIME]`, `remove PATH QUANTITY [effective TIME]`
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityChange {
    /// The subscription.
    pub path: Path,
    /// By how many: 1 to 1,000,000.
    pub quantity: u32,
    /// From when, if not from the line's own time.
    pub effective: Option<When>,
}

/// `renew PATH TERM`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// The subscription.
    pub path: Path,
    /// For how long.
    pub term: Term,
}

/// `change PATH …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The subscription.
    pub path: Path,
    /// Into what.
    pub to: ChangeTo,
}

/// What a subscription is changed into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeTo {
    /// `mode prepaid 1 month`, `mode pay-per-use`.
    Mode(Payment),
    /// `plan advanced-seat`.
    Plan(Word),
    /// `auto-renew on limit 3` (0: any number); `auto-renew off`: `None`.
    AutoRenew(Option<u16>),
    /// `specification=large …`; at least one.
    Attributes(Vec<Attribute>),
}

/// `migrate ACCOUNT …`
#[derive(Clone, Debug, PartialEq)]
pub struct Migrate {
    /// Whose.
    pub account: Word,
    /// What.
    pub what: Migrated,
}

/// What is brought along from another system.
#[derive(Clone, Debug, PartialEq)]
pub enum Migrated {
    /// `balance AMOUNT`: above zero, at most 10 decimals.
    Balance(Exact),
    /// A running term.
    Term(MigratedTerm),
}

/// `PLAN [QUANTITY] [as NAME] from TIME until TIME paid AMOUNT [used [PACKAGE=]UNITS] [NAME=VALUE …]`
#[derive(Clone, Debug, PartialEq)]
pub struct MigratedTerm {
    /// The plan.
    pub plan: Word,
    /// How many: 1 to 1,000,000; without it, 1.
    pub quantity: u32,
    /// What later lines call it; without it, the plan's name.
    pub name: Option<Word>,
    /// Its real start.
    pub from: When,
    /// Its real end.
    pub until: When,
    /// What was paid for it: zero or more, at most 10 decimals.
    pub paid: Exact,
    /// Units of its packages that were used, by the package or of the only one: zero or more.
    pub used: Vec<(Option<Word>, Exact)>,
    /// As an order states them.
    pub attributes: Vec<Attribute>,
}

impl MigratedTerm {
    /// What later lines call the subscription.
    pub fn name(&self) -> &Word {
        self.name.as_ref().unwrap_or(&self.plan)
    }
}

/// `PLAN` or `PLAN/CHARGE`: what a discount or a price is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedPart {
    /// The plan.
    pub plan: Word,
    /// One charge of it; without it, all.
    pub charge: Option<Word>,
}

/// `discount ACCOUNT PERCENT% [on PLAN[/CHARGE]] [until TIME]`
#[derive(Clone, Debug, PartialEq)]
pub struct Discount {
    /// Whose.
    pub account: Word,
    /// Per cent off: above 0, at most 100.
    pub percent: Exact,
    /// On what; without it, on everything that may be discounted.
    pub on: Option<PricedPart>,
    /// The first moment at which it no longer holds.
    pub until: Option<When>,
}

/// `price ACCOUNT PLAN/CHARGE PRICE [until TIME]`
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Whose.
    pub account: Word,
    /// The plan whose charge has another price.
    pub plan: Word,
    /// The charge.
    pub charge: Word,
    /// Its price: zero or more, at most 10 decimals.
    pub price: Exact,
    /// The first moment at which it no longer holds.
    pub until: Option<When>,
}

/// `topup ACCOUNT AMOUNT`
#[derive(Clone, Debug, PartialEq)]
pub struct TopUp {
    /// Whose balance.
    pub account: Word,
    /// Above zero, at most 10 decimals; the caller checks it against the currency.
    pub amount: Exact,
    /// Column of the amount, in characters, from 1.
    pub amount_column: usize,
}

/// `use ACCOUNT FEATURE [on SUBSCRIPTION]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Who asks.
    pub account: Word,
    /// What is to be used.
    pub feature: Word,
    /// By which subscription; without it, any of the account.
    pub on: Option<Word>,
}

/// `usage ACCOUNT TYPE [NAME=VALUE …] [times COUNT [every DURATION]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Whose usage.
    pub account: Word,
    /// The type that meters select by: `call`.
    pub kind: Word,
    /// `id=`. Without it the caller makes one from the line.
    pub id: Option<Word>,
    /// `source=`. Without it: `book`.
    pub source: Option<Word>,
    /// `revision=`; without it, 0.
    pub revision: u64,
    /// `start=`: when it began. A time alone is of the day on which it happened.
    pub start: Option<When>,
    /// `at=`: when it happened, if that is not when it arrives. A time alone is of the line's day.
    pub happened: Option<When>,
    /// Everything else, as written.
    pub attributes: Vec<Attribute>,
    /// The same again, later.
    pub times: Option<Repeat>,
}

/// `times 95 every 10s`: the event, and 94 more, each 10 s after the one before. All its times
/// move along. An event that is repeated has no `id=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// How many in all: 1 to 1,000,000.
    pub count: u32,
    /// Seconds from each to the next, 0 if not written; `count × every_s` is at most 366 days.
    pub every_s: u32,
}

/// `void SOURCE/ID`, or `void SOURCE ID`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// The source of the event.
    pub source: Word,
    /// Its id there.
    pub id: Word,
}

/// `[DATE] import PRESET "FILE" [zone ZONE] [source NAME] [type TYPE]` and the lines under it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportLine {
    /// When the file is delivered; without it each event arrives when it happens.
    pub at: Option<When>,
    /// The format: one of [`PRESETS`](super::PRESETS).
    pub preset: Word,
    /// Path relative to the book.
    pub file: Word,
    /// The wall clock of local times in the file.
    pub zone: Option<ZoneWord>,
    /// The source of its events; without it, the caller's default.
    pub source: Option<Word>,
    /// The type of its events.
    pub kind: Option<Word>,
    /// Which columns hold what; of `csv` alone. Without it, the headers are the names.
    pub columns: Option<Columns>,
    /// Tried in order; the first whose conditions all match decides.
    pub rules: Vec<MapRule>,
}

/// `columns NAME=COLUMN … [separator=;] [time-format="%d/%m/%Y %H:%M:%S"]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Its line, from 1.
    pub line: usize,
    /// What the event has under that name, and the header of the column that holds it. Each name
    /// once, but `id`: several columns may identify a row together.
    pub columns: Vec<(Word, Word)>,
    /// Between fields; without it, a comma. One ASCII character, never a quote or a line end.
    pub separator: Option<char>,
    /// How times are written, as `strptime` has it.
    pub time_format: Option<Word>,
}

/// `match FIELD=PATTERN FIELD!=PATTERN … set NAME=TEMPLATE …`, or `… ignore`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// Its line, from 1.
    pub line: usize,
    /// All must hold; none: every row matches.
    pub when: Vec<MapCondition>,
    /// What a matching row becomes.
    pub action: MapAction,
}

/// `FIELD=PATTERN` or `FIELD!=PATTERN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapCondition {
    /// A field of the row.
    pub field: Word,
    /// A glob: `*` is any text, `?` any one character.
    pub pattern: Word,
    /// Whether it holds when the pattern does not match.
    pub negated: bool,
}

/// What a matching row becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapAction {
    /// An event with these values: the name and a text with `{field}` references.
    Set(Vec<(Word, Word)>),
    /// Nothing.
    Ignore,
}
