//! Exact numbers of any size.
//!
//! A fraction of two 128-bit whole numbers as long as that fits, one of any size where it does not:
//! the same numbers, only faster. Both are kept in lowest terms, and the small form wherever it fits.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// An exact number.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// Numerator and denominator in lowest terms, the denominator above zero.
    Small(i128, i128),
    /// What does not fit there.
    Big(Box<BigRational>),
}

use Form::{Big, Small};

fn common_divisor(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        if let (Ok(mut small), Ok(mut other)) = (u64::try_from(a), u64::try_from(b)) {
            while other != 0 {
                (small, other) = (other, small % other);
            }
            return i128::from(small);
        }
        (a, b) = (b, a % b);
    }
    // A divisor of an i128 fits, but for that of the least one.
    i128::try_from(a).unwrap_or(1)
}

/// A product; quick where both factors are short.
fn times(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

impl Number {
    /// A fraction.
    ///
    /// # Panics
    /// Over zero.
    pub fn new(numerator: i128, denominator: i128) -> Number {
        assert!(denominator != 0, "a fraction over zero");
        if denominator > 0 && numerator != i128::MIN {
            let divisor = if denominator == 1 { 1 } else { common_divisor(numerator, denominator) };
            return Number(Small(numerator / divisor, denominator / divisor));
        }
        Number::of_any_size(BigRational::new(numerator.into(), denominator.into()))
    }

    fn of_any_size(value: BigRational) -> Number {
        match (value.numer().to_i128(), value.denom().to_i128()) {
            (Some(numerator), Some(denominator)) if numerator != i128::MIN => {
                Number(Small(numerator, denominator))
            }
            _ => Number(Big(Box::new(value))),
        }
    }

    fn any_size(&self) -> BigRational {
        match &self.0 {
            Small(numerator, denominator) => {
                BigRational::new_raw(BigInt::from(*numerator), BigInt::from(*denominator))
            }
            Big(value) => (**value).clone(),
        }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Small(0, _))
    }

    /// Whether it is above zero.
    pub fn is_positive(&self) -> bool {
        match &self.0 {
            Small(numerator, _) => *numerator > 0,
            Big(value) => **value > BigRational::zero(),
        }
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        !self.is_zero() && !self.is_positive()
    }

    /// Without its sign.
    pub fn abs(&self) -> Number {
        if self.is_negative() { -self } else { self.clone() }
    }

    /// The next whole number that is not above it.
    pub fn floor(&self) -> Number {
        match &self.0 {
            Small(_, 1) => self.clone(),
            Small(numerator, denominator) => Number(Small(numerator.div_euclid(*denominator), 1)),
            Big(value) => Number::of_any_size(value.floor()),
        }
    }

    /// The next whole number that is not below it.
    pub fn ceil(&self) -> Number {
        -(-self).floor()
    }

    /// The whole number that it is; `None` where it is none, or does not fit.
    pub fn to_whole(&self) -> Option<i128> {
        match &self.0 {
            Small(numerator, 1) => Some(*numerator),
            _ => None,
        }
    }

    /// The greater of two.
    pub fn max(self, other: Number) -> Number {
        if other > self { other } else { self }
    }

    /// The smaller of two.
    pub fn min(self, other: Number) -> Number {
        if other < self { other } else { self }
    }

    fn plus(&self, other: &Number) -> Number {
        if let (Small(a, b), Small(c, d)) = (&self.0, &other.0) {
            let quick = if b == d {
                a.checked_add(*c).map(|sum| (sum, *b))
            } else {
                let shared = common_divisor(*b, *d);
                let (left, right) = (d / shared, b / shared);
                times(*a, left)
                    .and_then(|a| a.checked_add(times(*c, right)?))
                    .and_then(|sum| Some((sum, times(*b, left)?)))
            };
            if let Some((numerator, denominator)) = quick {
                return Number::new(numerator, denominator);
            }
        }
        Number::of_any_size(self.any_size() + other.any_size())
    }

    fn by(&self, other: &Number) -> Number {
        if let (Small(a, b), Small(c, d)) = (&self.0, &other.0) {
            // Cancelled crosswise, the product is in lowest terms.
            let (first, second) = (common_divisor(*a, *d), common_divisor(*c, *b));
            let (first, second) = (first.max(1), second.max(1));
            let numerator = times(a / first, c / second).filter(|numerator| *numerator != i128::MIN);
            if let (Some(numerator), Some(denominator)) = (numerator, times(b / second, d / first)) {
                return Number(Small(numerator, denominator));
            }
        }
        Number::of_any_size(self.any_size() * other.any_size())
    }

    fn over(&self, other: &Number) -> Number {
        match &other.0 {
            Small(0, _) => panic!("divided by zero"),
            Small(numerator, denominator) => self.by(&Number::new(*denominator, *numerator)),
            Big(value) => self.by(&Number::of_any_size(value.recip())),
        }
    }
}

impl Default for Number {
    fn default() -> Number {
        zero()
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        if let (Small(a, b), Small(c, d)) = (&self.0, &other.0) {
            if b == d {
                return a.cmp(c);
            }
            if let (Some(left), Some(right)) = (times(*a, *d), times(*c, *b)) {
                return left.cmp(&right);
            }
        }
        self.any_size().cmp(&other.any_size())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Small(numerator, 1) => write!(f, "{numerator}"),
            Small(numerator, denominator) => write!(f, "{numerator}/{denominator}"),
            Big(value) => write!(f, "{value}"),
        }
    }
}

impl Neg for &Number {
    type Output = Number;
    fn neg(self) -> Number {
        match &self.0 {
            Small(numerator, denominator) => Number(Small(-numerator, *denominator)),
            Big(value) => Number::of_any_size(-(**value).clone()),
        }
    }
}

impl Neg for Number {
    type Output = Number;
    fn neg(self) -> Number {
        -&self
    }
}

/// The operator for numbers and references to numbers, in any mixture.
macro_rules! operator {
    ($trait:ident, $name:ident, $one:ident, $other:ident, $result:expr) => {
        impl $trait<&Number> for &Number {
            type Output = Number;
            fn $name(self, other: &Number) -> Number {
                let ($one, $other) = (self, other);
                $result
            }
        }
        impl $trait<Number> for &Number {
            type Output = Number;
            fn $name(self, other: Number) -> Number {
                $trait::$name(self, &other)
            }
        }
        impl $trait<&Number> for Number {
            type Output = Number;
            fn $name(self, other: &Number) -> Number {
                $trait::$name(&self, other)
            }
        }
        impl $trait<Number> for Number {
            type Output = Number;
            fn $name(self, other: Number) -> Number {
                $trait::$name(&self, &other)
            }
        }
    };
}

operator!(Add, add, one, other, one.plus(other));
operator!(Sub, sub, one, other, one.plus(&-other));
operator!(Mul, mul, one, other, one.by(other));
operator!(Div, div, one, other, one.over(other));

impl AddAssign<&Number> for Number {
    fn add_assign(&mut self, other: &Number) {
        *self = self.plus(other);
    }
}

impl AddAssign<Number> for Number {
    fn add_assign(&mut self, other: Number) {
        *self = self.plus(&other);
    }
}

impl SubAssign<&Number> for Number {
    fn sub_assign(&mut self, other: &Number) {
        *self = self.plus(&-other);
    }
}

impl SubAssign<Number> for Number {
    fn sub_assign(&mut self, other: Number) {
        *self = self.plus(&-other);
    }
}

impl MulAssign<Number> for Number {
    fn mul_assign(&mut self, other: Number) {
        *self = self.by(&other);
    }
}

impl std::iter::Sum for Number {
    fn sum<I: Iterator<Item = Number>>(numbers: I) -> Number {
        numbers.fold(zero(), |sum, one| sum + one)
    }
}

/// A whole number.
pub fn whole(n: i64) -> Number {
    Number(Small(i128::from(n), 1))
}

/// Zero.
pub fn zero() -> Number {
    Number(Small(0, 1))
}

/// A decimal such as `-12.50`; `None` where it is none.
pub fn decimal(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if before.is_empty() || !all_digits(before) || !all_digits(after) || digits.ends_with('.') {
        return None;
    }
    let digits: BigInt = format!("{before}{after}").parse().ok()?;
    let scale = BigInt::from(10).pow(u32::try_from(after.len()).ok()?);
    Some(Number::of_any_size(BigRational::new(digits * sign, scale)))
}

/// Rounded to so many decimals, halves away from zero.
pub fn round(value: &Number, decimals: u32) -> Number {
    let scale = Number(Small(10i128.pow(decimals), 1));
    if matches!(&value.0, Small(_, denominator) if 10i128.pow(decimals) % denominator == 0) {
        return value.clone();
    }
    let size = (value.abs() * &scale + Number::new(1, 2)).floor() / scale;
    if value.is_negative() { -size } else { size }
}

/// Up to the next multiple of a step.
pub fn up_to(value: &Number, step: &Number) -> Number {
    (value / step).ceil() * step
}

#[cfg(test)]
mod tests {
    use super::{Number, decimal, round, up_to, whole};
    use num_bigint::BigInt;
    use num_rational::BigRational;

    /// Numbers around all edges, and many of the kind that bills have.
    fn samples() -> Vec<(i128, i128)> {
        let mut all = vec![(0, 1), (i128::MAX, 1), (-i128::MAX, 7), (i128::MIN, 1), (i128::MIN, -3)];
        all.extend([(1, i128::MAX), (i128::from(i64::MAX), 3), (i128::from(i64::MIN), 86_400)]);
        let mut state = 1u64;
        for _ in 0..60 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                i128::from(state >> 20)
            };
            let (numerator, size) = (next() - (1 << 43), next() % 5);
            all.push((numerator, [1, 31, 3_600, 10i128.pow(10), next() * next() + 1][size as usize]));
        }
        all
    }

    #[test]
    fn agrees_with_fractions_of_any_size() {
        let exact = |(a, b): (i128, i128)| BigRational::new(BigInt::from(a), BigInt::from(b));
        for one in samples() {
            for other in samples() {
                let (a, b) = (Number::new(one.0, one.1), Number::new(other.0, other.1));
                let (x, y) = (exact(one), exact(other));
                assert_eq!((&a + &b).any_size(), &x + &y);
                assert_eq!((&a - &b).any_size(), &x - &y);
                assert_eq!((&a * &b).any_size(), &x * &y);
                if !b.is_zero() {
                    assert_eq!((&a / &b).any_size(), &x / &y);
                }
                assert_eq!(a.cmp(&b), x.cmp(&y));
                // One form for each number.
                assert_eq!(&(&a + &b) - &b, a);
                assert_eq!(a == b, x == y);
            }
            let (a, x) = (Number::new(one.0, one.1), exact(one));
            assert_eq!(a.floor().any_size(), x.floor());
            assert_eq!(a.ceil().any_size(), x.ceil());
        }
    }

    #[test]
    fn rounds_halves_away_from_zero() {
        let number = |text: &str| decimal(text).unwrap();
        assert_eq!(round(&number("0.005"), 2), number("0.01"));
        assert_eq!(round(&number("-0.005"), 2), number("-0.01"));
        assert_eq!(round(&number("0.0049"), 2), whole(0));
        assert_eq!(round(&Number::new(2, 3), 8), number("0.66666667"));
        assert_eq!(up_to(&whole(61), &whole(60)), whole(120));
        assert_eq!(up_to(&whole(60), &whole(60)), whole(60));
    }
}
