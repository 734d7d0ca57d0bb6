//! The values that fields of a command have, checked as they are read.

use crate::body::quoted;
use crate::mistake::FieldMistake;
use farebox_core::bill;
use farebox_core::calendar::{Instant, YEARS, Zone};
use farebox_core::catalog::Mode;
use farebox_core::engine::licences::Change;
use farebox_core::money::{Currency, Exact};
use jiff::civil::Date;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Unexpected, Visitor};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A value that JSON writes as a text.
trait Written: Sized {
    /// What is expected, for mistakes and the description.
    const EXPECTED: &'static str;
    /// A regular expression that a text fulfils. Not every one that does is accepted.
    const PATTERN: Option<&'static str>;
    /// Fewest and most characters.
    const CHARS: Option<(usize, usize)> = None;
    /// How OpenAPI names it.
    const FORMAT: Option<&'static str> = None;
    const EXAMPLE: &'static str;

    fn read(text: &str) -> Option<Self>;
    fn write(&self) -> String;
}

struct TextOf<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for TextOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

fn schema_of<T: Written>() -> Object {
    let mut schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(capital(T::EXPECTED)))
        .pattern(T::PATTERN)
        .format(T::FORMAT.map(|name| match name {
            "date-time" => SchemaFormat::KnownFormat(KnownFormat::DateTime),
            name => SchemaFormat::Custom(name.to_owned()),
        }))
        .examples([T::EXAMPLE]);
    if let Some((least, most)) = T::CHARS {
        schema = schema.min_length(Some(least)).max_length(Some(most));
    }
    schema.build()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

macro_rules! written {
    ($($name:ident),+) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
                writer.serialize_str(&self.write())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<$name, D::Error> {
                reader.deserialize_str(TextOf::<$name>(PhantomData))
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema_of::<$name>().into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

written!(CurrencyCode, ZoneName, Moment, Month, LineId);

macro_rules! decimals {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:literal, $example:literal, $holds:expr;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub Exact);

        impl Written for $name {
            const EXPECTED: &'static str = $expected;
            const PATTERN: Option<&'static str> = Some($pattern);
            const FORMAT: Option<&'static str> = Some("decimal");
            const EXAMPLE: &'static str = $example;

            fn read(text: &str) -> Option<$name> {
                let holds: fn(Exact) -> bool = $holds;
                Exact::parse(text, 10).ok().filter(|value| holds(*value)).map($name)
            }

            fn write(&self) -> String {
                self.0.decimal(0)
            }
        }

        written!($name);
    )+ };
}

decimals! {
    /// An amount or a number of units, above zero: at most 15 digits before the point and 10 after.
    PositiveDecimal, "a decimal above zero in quotes, such as \"12.50\", with at most 15 digits before the point and 10 after it",
    r"^(?=.*[1-9])0*[0-9]{1,15}(\.[0-9]{1,10}0*)?$", "12.50", |value| value > Exact::ZERO;

    /// A price, an amount or a number of units, zero or above.
    NonNegativeDecimal, "a decimal of zero or above in quotes, such as \"12.50\", with at most 15 digits before the point and 10 after it",
    r"^0*[0-9]{1,15}(\.[0-9]{1,10}0*)?$", "310.00", |value| !value.is_negative();

    /// An amount above or below zero.
    NonZeroDecimal, "a decimal other than zero in quotes, such as \"-12.50\", with at most 15 digits before the point and 10 after it",
    r"^(?=.*[1-9])-?0*[0-9]{1,15}(\.[0-9]{1,10}0*)?$", "-12.50", |value| !value.is_zero();

    /// A percentage above 0 and at most 100.
    Percent, "a percentage above 0 and at most 100 in quotes, such as \"10\" or \"12.5\", with at most 10 decimals",
    r"^(?=.*[1-9])0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,10}0*)?)$", "10",
    |value| value > Exact::ZERO && value <= Exact::whole(100);
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:expr, $chars:expr, $example:literal, $holds:expr;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl Written for $name {
            const EXPECTED: &'static str = $expected;
            const PATTERN: Option<&'static str> = Some($pattern);
            const CHARS: Option<(usize, usize)> = Some($chars);
            const EXAMPLE: &'static str = $example;

            fn read(text: &str) -> Option<$name> {
                let holds: fn(&str) -> bool = $holds;
                let (least, most) = $chars;
                let proper = (least..=most).contains(&text.chars().count()) && holds(text);
                proper.then(|| $name(text.to_owned()))
            }

            fn write(&self) -> String {
                self.0.clone()
            }
        }

        impl From<&$name> for String {
            fn from(value: &$name) -> String {
                value.0.clone()
            }
        }

        written!($name);
    )+ };
}

/// Something to read, without control characters.
const READABLE: &str = r"^(?=[\s\S]*\S)[^\u0000-\u001f\u007f-\u009f]*$";

fn is_readable(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_name(text: &str) -> bool {
    text.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

texts! {
    /// The name of an account, a subscription, a charge, a feature and the like.
    Name, "a name of letters, digits, -, _ and ., at most 64 characters", r"^[\w.-]+$", (1, 64), "acme", is_name;

    /// The name of a plan, after that of its catalogue and a `:` where two catalogues have it.
    PlanName, "the name of a plan (letters, digits, -, _ and ., at most 64 characters), or CATALOGUE:PLAN",
    r"^[\w.-]{1,64}(:[\w.-]{1,64})?$", (1, 129), "basic-seat",
    |text| text.splitn(2, ':').all(|part| is_name(part) && (1..=64).contains(&part.chars().count()));

    /// The name of an attribute: as other names, and `:` for tags.
    AttributeName, "the name of an attribute: letters, digits, -, _, . and :, at most 64 characters", r"^[\w.:-]+$",
    (1, 64), "tag:team", |text| is_name(&text.replace(':', ""));

    /// A title, a reason, a value.
    Text, "a text of 1 to 1000 characters, not only blanks, without line breaks and other control characters",
    READABLE, (1, 1000), "Acme Ltd", is_readable;

    /// The id of a session: that of its usage record.
    SessionId, "an id of 1 to 256 characters, not only blanks, without control characters", READABLE, (1, 256), "call-1",
    is_readable;

    /// Who uses a licence: an e-mail, or the name of a phone.
    Holder, "an e-mail or the name of a phone, of 1 to 320 characters", READABLE, (1, 320), "ann@example.com", is_readable;
}

impl Name {
    /// A name from outside the body, as a mistake at `field` if it is none.
    pub(crate) fn checked(text: &str, field: &str) -> Result<Name, FieldMistake> {
        Name::read(text).ok_or_else(|| FieldMistake::new(field, quoted(text), Name::EXPECTED))
    }
}

/// A currency, by its code of ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyCode(pub Currency);

impl Written for CurrencyCode {
    const EXPECTED: &'static str = "a currency's three capital letters, such as \"CNY\"";
    const PATTERN: Option<&'static str> = Some("^[A-Z]{3}$");
    const EXAMPLE: &'static str = "CNY";

    fn read(text: &str) -> Option<CurrencyCode> {
        Currency::parse(text).map(CurrencyCode)
    }

    fn write(&self) -> String {
        self.0.code().to_owned()
    }
}

/// A wall clock: `UTC`, an offset or an IANA name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneName(pub Zone);

impl Written for ZoneName {
    const EXPECTED: &'static str =
        "\"UTC\", an offset such as \"+08:00\" or a name such as \"Europe/Berlin\"";
    const PATTERN: Option<&'static str> = None;
    const EXAMPLE: &'static str = "Europe/Berlin";

    fn read(text: &str) -> Option<ZoneName> {
        Zone::parse(text).map(ZoneName)
    }

    fn write(&self) -> String {
        self.0.name().to_owned()
    }
}

/// A moment of the years 1970 to 2199. Read with any offset, written in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Instant);

impl Written for Moment {
    const EXPECTED: &'static str = "a moment of the years 1970 to 2199 as in RFC 3339, such as \"2020-01-04T13:23:56+08:00\" or \"2020-01-04T05:23:56Z\"";
    const PATTERN: Option<&'static str> = Some(
        r"^(19[7-9][0-9]|2[01][0-9]{2})-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
    );
    const FORMAT: Option<&'static str> = Some("date-time");
    const EXAMPLE: &'static str = "2020-01-04T05:23:56Z";

    fn read(text: &str) -> Option<Moment> {
        let at: Instant = is_rfc_3339(text).then(|| text.parse().ok()).flatten()?;
        let year = jiff::tz::TimeZone::UTC.to_datetime(at).year();
        YEARS.contains(&year).then_some(Moment(at))
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// The calendar's parser accepts more: no colon, no seconds, a zone in brackets.
fn is_rfc_3339(text: &str) -> bool {
    let digits = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                b'T' => matches!(found, b'T' | b't' | b' '),
                form => found == form,
            })
    };
    let Some((local, rest)) = text.split_at_checked(19) else { return false };
    let rest = match rest.strip_prefix('.') {
        Some(rest) => {
            let decimals = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&decimals) {
                return false;
            }
            &rest[decimals..]
        }
        None => rest,
    };
    let offset = matches!(rest, "Z" | "z") || digits(rest, "+00:00") || digits(rest, "-00:00");
    digits(local, "0000-00-00T00:00:00") && offset
}

/// A calendar month of the years 1970 to 2199: its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(pub Date);

impl Written for Month {
    const EXPECTED: &'static str = "a month of the years 1970 to 2199 such as \"2026-01\"";
    const PATTERN: Option<&'static str> = Some("^(19[7-9][0-9]|20[0-9]{2}|21[0-9]{2})-(0[1-9]|1[0-2])$");
    const EXAMPLE: &'static str = "2026-01";

    fn read(text: &str) -> Option<Month> {
        bill::first_of(text).filter(|first| YEARS.contains(&first.year())).map(Month)
    }

    fn write(&self) -> String {
        format!("{:04}-{:02}", self.0.year(), self.0.month())
    }
}

/// The id of a bill's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineId(pub String);

impl Written for LineId {
    const EXPECTED: &'static str = "the id of a line, such as \"acme-2020-01-1\"";
    const PATTERN: Option<&'static str> = Some(r"^[\w.-]+-[0-9]{4}-(0[1-9]|1[0-2])-[0-9]+$");
    const CHARS: Option<(usize, usize)> = Some((11, 100));
    const EXAMPLE: &'static str = "acme-2020-01-1";

    fn read(text: &str) -> Option<LineId> {
        let (account, ..) = bill::line_id(text).filter(|_| (11..=100).contains(&text.chars().count()))?;
        Name::read(account).map(|_| LineId(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

macro_rules! wholes {
    ($($(#[$doc:meta])* $name:ident($type:ty), $least:literal, $most:literal, $expected:literal;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $type);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(writer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<$name, D::Error> {
                struct Reader;

                impl Visitor<'_> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        let held = <$type>::try_from(number).ok().filter(|held| ($least..=$most).contains(held));
                        held.map($name).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
                    }
                }

                reader.deserialize_u64(Reader)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::Integer).description(Some(capital($expected)));
                schema.minimum(Some($least)).maximum(Some($most)).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

wholes! {
    /// Units of a subscription.
    Quantity(i64), 1, 1_000_000, "a whole number from 1 to 1000000";
    /// Months of a prepaid term.
    Months(u16), 1, 1440, "a whole number of months from 1 to 1440";
    /// Most renewals.
    RenewalLimit(u16), 0, 1000, "a whole number of renewals from 1 to 1000, or 0 for any number";
    /// A percentage of a budget.
    AlertPercent(u16), 1, 1000, "a whole percentage from 1 to 1000";
    /// Seconds of a deadline.
    Seconds(u32), 1, 31_622_400, "a whole number of seconds from 1 to 31622400 (366 days)";
}

/// How a subscription is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentMode {
    /// Used first, paid afterwards.
    PayPerUse,
    /// Paid at purchase for a term of months.
    Prepaid,
}

impl From<PaymentMode> for Mode {
    fn from(mode: PaymentMode) -> Mode {
        match mode {
            PaymentMode::PayPerUse => Mode::PayPerUse,
            PaymentMode::Prepaid => Mode::Prepaid,
        }
    }
}

impl From<Mode> for PaymentMode {
    fn from(mode: Mode) -> PaymentMode {
        match mode {
            Mode::PayPerUse => PaymentMode::PayPerUse,
            Mode::Prepaid => PaymentMode::Prepaid,
        }
    }
}

/// What becomes of a way of using an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceChange {
    /// It begins: a successful login, an answering switched on, a phone online.
    On,
    /// It ends.
    Off,
    /// It did not come about; nothing is consumed (R-TCCC-11).
    Failed,
}

impl From<LicenceChange> for Change {
    fn from(change: LicenceChange) -> Change {
        match change {
            LicenceChange::On => Change::On,
            LicenceChange::Off => Change::Off,
            LicenceChange::Failed => Change::Failed,
        }
    }
}

impl From<Change> for LicenceChange {
    fn from(change: Change) -> LicenceChange {
        match change {
            Change::On => LicenceChange::On,
            Change::Off => LicenceChange::Off,
            Change::Failed => LicenceChange::Failed,
        }
    }
}

/// Attributes: an object of texts, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub BTreeMap<String, String>);

/// Most attributes of one command.
const ATTRIBUTES_MAX: usize = 64;

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(writer)
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Attributes, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of at most 64 texts, such as {\"number\": \"95001\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Attributes, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = all.next_entry::<AttributeName, Text>()? {
                    attributes.insert(name.0, value.0);
                    if attributes.len() > ATTRIBUTES_MAX {
                        return Err(de::Error::invalid_length(attributes.len(), &self));
                    }
                }
                Ok(Attributes(attributes))
            }
        }

        reader.deserialize_map(Reader)
    }
}

impl PartialSchema for Attributes {
    fn schema() -> RefOr<Schema> {
        let names = schema_of::<AttributeName>();
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Attributes by name, at most 64."))
            .property_names(Some(names))
            .additional_properties(Some(AdditionalProperties::<Schema>::from(Text::schema())))
            .max_properties(Some(ATTRIBUTES_MAX))
            .examples([serde_json::json!({ "number": "95001" })])
            .into()
    }
}

impl ToSchema for Attributes {}
