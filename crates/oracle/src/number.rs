//! Exact numbers of any size.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

/// An exact number.
pub type Number = BigRational;

/// A whole number.
pub fn whole(n: i64) -> Number {
    Number::from_integer(BigInt::from(n))
}

/// Zero.
pub fn zero() -> Number {
    Number::zero()
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
    Some(Number::new(digits * sign, scale))
}

/// Rounded to so many decimals, halves away from zero.
pub fn round(value: &Number, decimals: u32) -> Number {
    let scale = Number::from_integer(BigInt::from(10).pow(decimals));
    let half = Number::new(BigInt::one(), BigInt::from(2));
    let size = (value.abs() * &scale + half).floor() / scale;
    if value.is_negative() { -size } else { size }
}

/// Up to the next multiple of a step.
pub fn up_to(value: &Number, step: &Number) -> Number {
    (value / step).ceil() * step
}
