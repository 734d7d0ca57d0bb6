//! Exact numbers and money.
//!
//! Three types, three jobs:
//!
//! - [`Exact`]: a rational number. Prices, quantities and everything between them, so that
//!   proration (16/31) stays exact until an amount is posted.
//! - [`Amount`]: a posted amount, a whole number of 10⁻⁸ currency units (R-MON-1).
//! - [`Currency`]: the code and the digits of its minor unit.
//!
//! No operation rounds silently and none overflows: arithmetic answers [`OutOfRange`].

#![allow(clippy::should_implement_trait, reason = "the operators cannot answer a Result")]

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub};
use std::fmt;

/// A result that does not fit: beyond about ±1.7 × 10³⁸ in numerator or denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number is too large to be billed")
    }
}

/// An exact rational number: numerator and denominator of 128 bits, always reduced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact(Ratio<i128>);

/// Why a text is no decimal number that can be billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not of the form `-123.45`.
    NotADecimal,
    /// More than [`Exact::MAX_INTEGER_DIGITS`] digits before the point.
    TooLarge,
    /// More decimals than allowed at this place.
    TooManyDecimals,
}

impl Exact {
    /// Zero.
    pub const ZERO: Exact = Exact(Ratio::new_raw(0, 1));
    /// One.
    pub const ONE: Exact = Exact(Ratio::new_raw(1, 1));
    /// Digits before the point that a written number may have: up to 10¹⁵ − 1.
    pub const MAX_INTEGER_DIGITS: usize = 15;

    /// A whole number.
    pub const fn whole(n: i128) -> Exact {
        Exact(Ratio::new_raw(n, 1))
    }

    /// `numerator / denominator`. `None` when the denominator is zero.
    pub fn ratio(numerator: i128, denominator: i128) -> Option<Exact> {
        // The smallest i128 has no negative, which reducing a fraction needs.
        if denominator == 0 || denominator == i128::MIN || numerator == i128::MIN {
            return None;
        }
        // A whole number is reduced already.
        Some(Exact(match denominator {
            1 => Ratio::from_integer(numerator),
            _ => Ratio::new(numerator, denominator),
        }))
    }

    /// Reads `12`, `-0.05` or `1250.10`, with at most `max_decimals` decimals (10 for prices,
    /// R-MON-1; 9 for quantities) and 15 digits before the point.
    pub fn parse(text: &str, max_decimals: usize) -> Result<Exact, DecimalError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = match digits.split_once('.') {
            Some((_, "")) | Some(("", _)) => return Err(DecimalError::NotADecimal),
            Some((whole, decimals)) => (whole, decimals),
            None => (digits, ""),
        };
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(decimals) {
            return Err(DecimalError::NotADecimal);
        }
        let whole = whole.trim_start_matches('0');
        let decimals = decimals.trim_end_matches('0');
        if whole.len() > Self::MAX_INTEGER_DIGITS {
            return Err(DecimalError::TooLarge);
        }
        if decimals.len() > max_decimals.min(18) {
            return Err(DecimalError::TooManyDecimals);
        }
        let mut numerator: i128 = 0;
        for b in whole.bytes().chain(decimals.bytes()) {
            numerator = numerator * 10 + i128::from(b - b'0');
        }
        let denominator = 10i128.pow(decimals.len() as u32);
        Ok(Exact(Ratio::new(if negative { -numerator } else { numerator }, denominator)))
    }

    /// The numerator of the reduced fraction.
    pub fn numerator(&self) -> i128 {
        *self.0.numer()
    }

    /// The denominator of the reduced fraction, above zero.
    pub fn denominator(&self) -> i128 {
        *self.0.denom()
    }

    /// The sum.
    pub fn add(self, other: Exact) -> Result<Exact, OutOfRange> {
        if let (Some(one), Some(two)) = (Short::of(self), Short::of(other)) {
            return Ok(one.add(two));
        }
        self.0.checked_add(&other.0).map(Exact).ok_or(OutOfRange)
    }

    /// The difference.
    pub fn sub(self, other: Exact) -> Result<Exact, OutOfRange> {
        if let (Some(one), Some(two)) = (Short::of(self), Short::of(other)) {
            return Ok(one.add(two.negated()));
        }
        self.0.checked_sub(&other.0).map(Exact).ok_or(OutOfRange)
    }

    /// The product.
    pub fn mul(self, other: Exact) -> Result<Exact, OutOfRange> {
        if let (Some(one), Some(two)) = (Short::of(self), Short::of(other)) {
            return Ok(one.mul(two));
        }
        self.0.checked_mul(&other.0).map(Exact).ok_or(OutOfRange)
    }

    /// The quotient; [`OutOfRange`] also when `other` is zero.
    pub fn div(self, other: Exact) -> Result<Exact, OutOfRange> {
        if other.is_zero() {
            return Err(OutOfRange);
        }
        if let (Some(one), Some(two)) = (Short::of(self), Short::of(other)) {
            return Ok(one.mul(two.inverted()));
        }
        self.0.checked_div(&other.0).map(Exact).ok_or(OutOfRange)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.numerator() == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.numerator() < 0
    }

    /// Whether it has no fraction.
    pub fn is_whole(&self) -> bool {
        self.denominator() == 1
    }

    /// The smallest whole number that is not below it.
    pub fn ceil(self) -> Exact {
        let (n, d) = (self.numerator(), self.denominator());
        Exact::whole(n.div_euclid(d) + i128::from(n.rem_euclid(d) != 0))
    }

    /// Rounded to `decimals` digits after the point, half away from zero.
    pub fn round(self, decimals: u32) -> Result<Exact, OutOfRange> {
        let scale = 10i128.checked_pow(decimals).ok_or(OutOfRange)?;
        let units = scaled_half_away(self, scale)?;
        Exact::ratio(units, scale).ok_or(OutOfRange)
    }

    /// Whether the number can be written with at most 10 decimals.
    pub fn is_decimal(&self) -> bool {
        const MOST: u64 = 10_000_000_000;
        u64::try_from(self.denominator()).is_ok_and(|denominator| MOST.is_multiple_of(denominator))
    }

    /// As a decimal with at least `min_decimals`: exact when 10 decimals can say it, else rounded
    /// to 8 (half away from zero).
    pub fn decimal(&self, min_decimals: usize) -> String {
        if self.is_whole() && min_decimals == 0 {
            return self.numerator().to_string();
        }
        let places = if self.is_decimal() { 10 } else { 8 };
        match scaled_half_away(*self, 10i128.pow(places)) {
            Ok(units) => fixed_point(units, places as usize, min_decimals),
            Err(OutOfRange) => {
                // Too large for ten decimals: the whole part is all that can matter.
                (self.numerator() / self.denominator()).to_string()
            }
        }
    }
}

/// A number with 62 bits above and below, as most are: what two of them make fits, and takes no division of 128 bits.
#[derive(Clone, Copy)]
struct Short {
    numerator: i64,
    denominator: i64,
}

impl Short {
    const MAX: u128 = 1 << 62;

    fn of(exact: Exact) -> Option<Short> {
        let (numerator, denominator) = (exact.numerator(), exact.denominator());
        let fits = numerator.unsigned_abs() <= Self::MAX && denominator.unsigned_abs() <= Self::MAX;
        fits.then_some(Short { numerator: numerator as i64, denominator: denominator as i64 })
    }

    fn negated(self) -> Short {
        Short { numerator: -self.numerator, ..self }
    }

    /// Of one that is not zero.
    fn inverted(self) -> Short {
        let sign = self.numerator.signum();
        Short { numerator: sign * self.denominator, denominator: self.numerator.abs() }
    }

    /// Both are reduced; only what their denominators share can be reduced again (Knuth, 4.5.1).
    fn add(self, other: Short) -> Exact {
        let (n1, d1, n2, d2) = (self.numerator, self.denominator, other.numerator, other.denominator);
        if d1 == 1 && d2 == 1 {
            return Exact::whole(i128::from(n1) + i128::from(n2));
        }
        let shared = common(d1.unsigned_abs(), d2.unsigned_abs()) as i64;
        let (part1, part2) = (d1 / shared, d2 / shared);
        let sum = i128::from(n1) * i128::from(part2) + i128::from(n2) * i128::from(part1);
        let again = match shared {
            1 => 1,
            _ => {
                common((sum.unsigned_abs() % u128::from(shared.unsigned_abs())) as u64, shared.unsigned_abs())
            }
        } as i64;
        let denominator = i128::from(part1) * i128::from(d2 / again);
        Exact(Ratio::new_raw(if again == 1 { sum } else { sum / i128::from(again) }, denominator))
    }

    /// Both are reduced; only what stands crosswise can be reduced.
    fn mul(self, other: Short) -> Exact {
        let (n1, d1, n2, d2) = (self.numerator, self.denominator, other.numerator, other.denominator);
        let one = common(n1.unsigned_abs(), d2.unsigned_abs()) as i64;
        let two = common(n2.unsigned_abs(), d1.unsigned_abs()) as i64;
        let numerator = i128::from(n1 / one) * i128::from(n2 / two);
        Exact(Ratio::new_raw(numerator, i128::from(d1 / two) * i128::from(d2 / one)))
    }
}

/// The greatest common divisor; the second is not zero.
fn common(a: u64, b: u64) -> u64 {
    if a == 1 || b == 1 {
        return 1;
    }
    if a == 0 {
        return b;
    }
    let (mut a, mut b) = (a, b);
    let twos = (a | b).trailing_zeros();
    a >>= a.trailing_zeros();
    while b != 0 {
        b >>= b.trailing_zeros();
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        b -= a;
    }
    a << twos
}

/// `value × scale`, rounded half away from zero to a whole number.
fn scaled_half_away(value: Exact, scale: i128) -> Result<i128, OutOfRange> {
    let scaled = value.mul(Exact::whole(scale))?;
    let (n, d) = (scaled.numerator(), scaled.denominator());
    if d == 1 {
        return Ok(n);
    }
    let (quotient, remainder) = (n / d, (n % d).abs());
    let up = remainder >= d - remainder && remainder != 0;
    Ok(if up { quotient + n.signum() } else { quotient })
}

/// Writes `units` of 10^-places, trailing zeros cut down to `min_decimals`.
fn fixed_point(units: i128, places: usize, min_decimals: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (all, width) = (units.unsigned_abs(), places + 1);
    let mut text = match u64::try_from(all) {
        Ok(all) => format!("{sign}{all:0width$}"),
        Err(_) => format!("{sign}{all:0width$}"),
    };
    let point = text.len() - places;
    let kept = text[point..].trim_end_matches('0').len().max(min_decimals.min(places));
    text.truncate(point + kept);
    if kept > 0 {
        text.insert(point, '.');
    }
    text
}

impl Default for Exact {
    fn default() -> Exact {
        Exact::ZERO
    }
}

impl fmt::Display for Exact {
    /// `12`, `0.05`; a fraction that no short decimal can say is written `16/31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_decimal() {
            f.write_str(&self.decimal(0))
        } else {
            write!(f, "{}/{}", self.numerator(), self.denominator())
        }
    }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A posted amount of money: a whole number of 10⁻⁸ units of its account's currency (R-MON-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// Decimals of a posted amount.
    pub const DECIMALS: u32 = 8;
    const SCALE: i128 = 100_000_000;

    /// An amount from its count of 10⁻⁸ units.
    pub const fn from_units(units: i128) -> Amount {
        Amount(units)
    }

    /// The count of 10⁻⁸ units.
    pub const fn units(self) -> i128 {
        self.0
    }

    /// Quantises an exact value to 8 decimals, half away from zero (R-MON-1).
    pub fn quantise(value: Exact) -> Result<Amount, OutOfRange> {
        scaled_half_away(value, Self::SCALE).map(Amount)
    }

    /// The exact value.
    pub fn exact(self) -> Exact {
        const SCALE: u64 = Amount::SCALE as u64;
        let shared = match u64::try_from(self.0.unsigned_abs()) {
            Ok(units) => common(units, SCALE),
            Err(_) => common((self.0.unsigned_abs() % u128::from(SCALE)) as u64, SCALE),
        };
        Exact(Ratio::new_raw(self.0 / i128::from(shared), i128::from(SCALE / shared)))
    }

    /// The sum.
    pub fn add(self, other: Amount) -> Result<Amount, OutOfRange> {
        self.0.checked_add(other.0).map(Amount).ok_or(OutOfRange)
    }

    /// The difference.
    pub fn sub(self, other: Amount) -> Result<Amount, OutOfRange> {
        self.0.checked_sub(other.0).map(Amount).ok_or(OutOfRange)
    }

    /// The same amount with the other sign.
    pub fn negated(self) -> Amount {
        Amount(-self.0)
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Rounded to the currency's minor unit, half away from zero: a bill's total (R-MON-1).
    pub fn round_to_minor(self, currency: Currency) -> Amount {
        let step = 10i128.pow(Self::DECIMALS - currency.minor_digits);
        let (quotient, remainder) = (self.0 / step, (self.0 % step).abs());
        let up = remainder * 2 >= step;
        Amount((quotient + if up { self.0.signum() } else { 0 }) * step)
    }

    /// As a decimal with the digits of the minor unit at least, all that there are at most.
    pub fn decimal(self, currency: Currency) -> String {
        fixed_point(self.0, Self::DECIMALS as usize, currency.minor_digits as usize)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fixed_point(self.0, Self::DECIMALS as usize, 2))
    }
}

/// A currency: its ISO 4217 code and how many decimals its minor unit has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    minor_digits: u32,
}

/// Currencies whose minor unit is not a hundredth (ISO 4217).
const UNUSUAL_DIGITS: &[(&str, u32)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

impl Currency {
    /// Three capital letters, such as `CNY`. `None` for anything else.
    pub fn parse(code: &str) -> Option<Currency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        if !bytes.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        let unusual = UNUSUAL_DIGITS.iter().find(|(known, _)| *known == code);
        Some(Currency { code: bytes, minor_digits: unusual.map_or(2, |(_, digits)| *digits) })
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("???")
    }

    /// Decimals of the minor unit: 2 for most.
    pub fn minor_digits(&self) -> u32 {
        self.minor_digits
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text, 10).unwrap()
    }

    #[test]
    fn numbers_are_shown_as_they_are() {
        let eur = Currency::parse("EUR").unwrap();
        let amount = Amount::quantise(exact("1.5")).unwrap();
        let third = Exact::ratio(1, 3).unwrap();
        assert_eq!(format!("{third:?} {amount:?} {eur:?}"), "1/3 1.50 EUR");
        assert_eq!(OutOfRange.to_string(), "the number is too large to be billed");
    }

    #[test]
    fn seat_days_keep_their_fraction() {
        let amount = Exact::ratio(308, 31).unwrap().mul(exact("100")).unwrap();
        assert_eq!(amount.to_string(), "30800/31");
        assert_eq!(Amount::quantise(amount).unwrap().decimal(Currency::parse("CNY").unwrap()), "993.5483871");
    }

    #[test]
    fn totals_round_half_away_from_zero() {
        let eur = Currency::parse("EUR").unwrap();
        for (value, rounded) in
            [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("1.015", "1.02")]
        {
            let amount = Amount::quantise(exact(value)).unwrap();
            assert_eq!(amount.round_to_minor(eur).decimal(eur), rounded);
        }
        let yen = Currency::parse("JPY").unwrap();
        assert_eq!(Amount::quantise(exact("10.5")).unwrap().round_to_minor(yen).decimal(yen), "11");
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", "1,000", "--1", "0x1", "١"] {
            assert_eq!(Exact::parse(text, 10), Err(DecimalError::NotADecimal), "{text}");
        }
        assert_eq!(Exact::parse("1000000000000000", 10), Err(DecimalError::TooLarge));
        assert_eq!(Exact::parse("0.00000000001", 10), Err(DecimalError::TooManyDecimals));
        assert_eq!(exact("0001.5000000000000000"), exact("1.5"));
    }

    #[test]
    fn overflow_is_a_value() {
        let huge = Exact::whole(i128::MAX / 2);
        assert_eq!(huge.mul(Exact::whole(3)), Err(OutOfRange));
        assert_eq!(Exact::ONE.div(Exact::ZERO), Err(OutOfRange));
        for (numerator, denominator) in [(1, 0), (i128::MIN, 1), (1, i128::MIN)] {
            assert_eq!(Exact::ratio(numerator, denominator), None);
        }
    }

    #[test]
    fn what_is_too_large_for_decimals_shows_its_whole_part() {
        let third = Exact::ratio(i128::MAX, 3).unwrap();
        assert_eq!(third.decimal(2), "56713727820156410577229101238628035242");
    }

    /// Numbers of all sizes, many of them near the ends of what is short, or with much in common.
    fn numbers() -> impl Strategy<Value = i128> {
        let near = (0i128..4, prop::sample::select(vec![0i128, 1 << 62, 1 << 63, 10_000_000_000, 720_720]));
        let near = near.prop_map(|(more, from)| from + more - 2);
        let signed = |numbers: BoxedStrategy<i128>| {
            (numbers, any::<bool>()).prop_map(|(number, below)| if below { -number } else { number })
        };
        let short = any::<i64>().prop_map(i128::from);
        signed(prop_oneof![near.boxed(), (0i128..1_000).boxed(), short.boxed()].boxed())
    }

    fn fractions() -> impl Strategy<Value = Exact> {
        (numbers(), numbers())
            .prop_filter_map("nothing is divided by zero", |(above, below)| Exact::ratio(above, below))
    }

    proptest! {
        #[test]
        fn short_numbers_come_to_what_long_ones_come_to(one in fractions(), other in fractions()) {
            let long = |ratio: Option<Ratio<i128>>| ratio.map(Exact).ok_or(OutOfRange);
            let both = [
                (one.add(other), long(one.0.checked_add(&other.0))),
                (one.sub(other), long(one.0.checked_sub(&other.0))),
                (one.mul(other), long(one.0.checked_mul(&other.0))),
                (one.div(other), long(if other.is_zero() { None } else { one.0.checked_div(&other.0) })),
            ];
            for (quick, slow) in both {
                // Fractions are equal where both parts are: these are reduced as those are.
                let parts = |exact: Exact| (exact.numerator(), exact.denominator());
                prop_assert_eq!(quick.map(parts), slow.map(parts));
            }
            let units = one.numerator();
            let exact = Exact(Ratio::new(units, Amount::SCALE));
            prop_assert_eq!(Amount::from_units(units).exact().numerator(), exact.numerator());
            prop_assert_eq!(Amount::from_units(units).exact().denominator(), exact.denominator());
        }

        #[test]
        fn a_decimal_reads_back_as_written(units in -999_999_999_999_999_999i64..999_999_999_999_999_999) {
            let text = fixed_point(i128::from(units), 8, 0);
            prop_assert_eq!(Exact::parse(&text, 10).unwrap().decimal(0), text);
        }

        #[test]
        fn rounding_is_off_by_half_a_cent_at_most(units in any::<i64>()) {
            let amount = Amount::from_units(i128::from(units));
            let rounded = amount.round_to_minor(Currency::parse("USD").unwrap());
            prop_assert!((rounded.units() - amount.units()).abs() <= 500_000);
            prop_assert_eq!(rounded.units() % 1_000_000, 0);
        }
    }
}
