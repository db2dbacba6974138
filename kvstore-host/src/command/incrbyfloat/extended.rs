//! Extended: the numbers of 64 binary digits that `long double` is on x86-64, read and printed as C does. Redis counts with them, on whatever machine this runs.

use std::fmt;

use num_bigint::BigUint;

/// Digits behind the point that are printed.
const FRACTION_DIGITS: u32 = 17;
/// Bytes of the longest text that is read as a number.
const TEXT_LEN_MAX: usize = 5 * 1024 - 1;
/// The last binary digit of any number is worth 2 to this, or more.
const EXPONENT_MIN: i64 = -16_445;
/// All numbers are below 2 to this.
const END_EXPONENT: i64 = 16_384;
/// Decimal digits in front of the point that no number has, and zeros behind it that leave nothing of a number.
const DECIMAL_END: i64 = 5_000;

/// A number: `mantissa` times 2 to `exponent`. The smallest exponent that leaves the mantissa whole need not be the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// A number.
    Finite(Extended),
    /// Infinity, with either sign.
    Infinite,
}

impl Number {
    /// Reads what `strtold` reads: decimal or hexadecimal, with an exponent or without, or infinity. `None` for anything else, for what is not a number, for one that is too large,
    /// and for one that is not 0 and so small that nothing is left of it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', text @ ..] => (true, text),
            [b'+', text @ ..] => (false, text),
            text => (false, text),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite);
        }
        let number = match text {
            [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits),
            digits => decimal(digits),
        }?;
        Some(Self::Finite(Extended { negative, ..number }))
    }
}

/// The digits of a number without its point, how many of them stood behind it, and its exponent.
struct Digits {
    whole: Vec<u8>,
    fraction: i64,
    exponent: i64,
}

impl Digits {
    fn parse(text: &[u8], is_digit: impl Fn(&u8) -> bool, mark: u8) -> Option<Self> {
        let end = text.iter().position(|byte| byte.eq_ignore_ascii_case(&mark));
        let (digits, exponent) = match end {
            None => (text, 0),
            Some(end) => (text.get(..end)?, parse_exponent(text.get(end + 1..)?)?),
        };
        let mut parts = digits.splitn(2, |byte| *byte == b'.');
        let (before, behind) = (parts.next()?, parts.next().unwrap_or_default());
        let mut whole = [before, behind].concat();
        if whole.is_empty() || !whole.iter().all(is_digit) {
            return None;
        }
        let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
        whole.drain(..zeros);
        Some(Self { whole, fraction: behind.len() as i64, exponent })
    }
}

/// An exponent in decimal; one that is beyond all bounds stays so.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let bounded = |sum: i64, digit: &u8| (sum * 10 + i64::from(digit - b'0')).min(1_000_000);
    let exponent = digits.iter().fold(0, bounded);
    Some(if negative { -exponent } else { exponent })
}

fn decimal(text: &[u8]) -> Option<Extended> {
    let Digits { whole, fraction, exponent } = Digits::parse(text, u8::is_ascii_digit, b'e')?;
    if whole.is_empty() {
        return Some(Extended::ZERO);
    }
    let exponent = exponent - fraction;
    let before_point = whole.len() as i64 + exponent;
    if before_point.abs() > DECIMAL_END {
        return None;
    }
    let digits = BigUint::parse_bytes(&whole, 10)?;
    let power = BigUint::from(10_u32).pow(u32::try_from(exponent.unsigned_abs()).ok()?);
    if exponent >= 0 {
        return rounded_not_to_zero(digits * power, 0, false);
    }
    // As many binary digits as are kept and two more, so that what is left over only breaks ties.
    let shift = (power.bits() + 66).saturating_sub(digits.bits());
    let digits = digits << shift;
    let quotient = &digits / &power;
    let is_more = &quotient * &power != digits;
    rounded_not_to_zero(quotient, -(shift as i64), is_more)
}

fn hexadecimal(text: &[u8]) -> Option<Extended> {
    let Digits { whole, fraction, exponent } = Digits::parse(text, u8::is_ascii_hexdigit, b'p')?;
    if whole.is_empty() {
        return Some(Extended::ZERO);
    }
    rounded_not_to_zero(BigUint::parse_bytes(&whole, 16)?, exponent - 4 * fraction, false)
}

fn rounded_not_to_zero(mantissa: BigUint, exponent: i64, is_more: bool) -> Option<Extended> {
    Extended::rounded(false, &mantissa, exponent, is_more).filter(|number| number.mantissa != 0)
}

/// `number` shifted right by `shift` digits and rounded to the nearest, ties to even; `is_more`: it is a little more than it says.
fn shift_rounded(number: &BigUint, shift: u64, is_more: bool) -> BigUint {
    if shift == 0 {
        return number.clone();
    }
    let kept = number >> shift;
    let half = number.bit(shift - 1);
    let below = is_more || number.trailing_zeros().is_some_and(|zeros| zeros < shift - 1);
    if half && (below || kept.bit(0)) { kept + 1_u32 } else { kept }
}

impl Extended {
    pub(super) const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };

    /// The nearest to `mantissa` times 2 to `exponent`, ties to even; `None` where that is too large. `is_more`: the true number is a little larger, which takes
    /// more than 64 digits to matter.
    fn rounded(negative: bool, mantissa: &BigUint, exponent: i64, is_more: bool) -> Option<Self> {
        let end = mantissa.bits() as i64 + exponent;
        if end > END_EXPONENT {
            return None;
        }
        let kept_exponent = (end - 64).max(EXPONENT_MIN);
        let kept = match u64::try_from(kept_exponent - exponent) {
            Ok(shift) => shift_rounded(mantissa, shift, is_more),
            Err(_) => mantissa << (exponent - kept_exponent).unsigned_abs(),
        };
        // Rounded up it may have a digit more, the last of which is 0 then.
        let (kept, kept_exponent) =
            if kept.bits() > 64 { (kept >> 1, kept_exponent + 1) } else { (kept, kept_exponent) };
        if kept.bits() as i64 + kept_exponent > END_EXPONENT {
            return None;
        }
        Some(Self { negative, mantissa: u64::try_from(kept).ok()?, exponent: kept_exponent })
    }

    /// The sum, rounded; `None` where it is too large.
    pub(super) fn add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        // At most 32,829 digits.
        let whole =
            |number: Self| BigUint::from(number.mantissa) << (number.exponent - exponent).unsigned_abs();
        let (one, two) = (whole(self), whole(other));
        if self.negative == other.negative {
            return Self::rounded(self.negative, &(one + two), exponent, false);
        }
        let (negative, difference) =
            if one >= two { (self.negative, one - two) } else { (other.negative, two - one) };
        Self::rounded(negative, &difference, exponent, false)
    }
}

/// As `%.17Lf` prints it, without zeros at the end of the fraction, and 0 without a sign.
impl fmt::Display for Extended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mantissa = BigUint::from(self.mantissa);
        let text = match u64::try_from(-self.exponent) {
            Err(_) | Ok(0) => (mantissa << self.exponent.unsigned_abs()).to_string(),
            Ok(shift) => {
                let scaled = mantissa * BigUint::from(10_u32).pow(FRACTION_DIGITS);
                let width = FRACTION_DIGITS as usize + 1;
                let digits = format!("{:0>width$}", shift_rounded(&scaled, shift, false).to_string());
                let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS as usize);
                format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        };
        let sign = if self.negative && text != "0" { "-" } else { "" };
        write!(f, "{sign}{text}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finite(text: &str) -> Extended {
        match Number::parse(text.as_bytes()) {
            Some(Number::Finite(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn prints(text: &str) -> String {
        finite(text).to_string()
    }

    /// Each as C prints what it has read, on x86-64.
    #[test]
    fn read_and_printed_as_by_c() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0e99999999999", "0"),
            ("0.1", "0.1"),
            ("3.0e3", "3000"),
            ("1.", "1"),
            (".5", "0.5"),
            ("+17", "17"),
            ("0x.8", "0.5"),
            ("0X1.8P+1", "3"),
            ("0xffffffffffffffff", "18446744073709551615"),
            ("0x1ffffffffffffffff", "36893488147419103232"),
            ("18446744073709551617", "18446744073709551616"),
            ("18446744073709551619", "18446744073709551620"),
            ("123456789012345678901234567890", "123456789012345678899921813504"),
            ("0.12345678901234567890123", "0.12345678901234568"),
            ("0.000000000000000005", "0"),
            ("0.0000000000000000050001", "0.00000000000000001"),
            ("-0.00000000000000000500001", "-0.00000000000000001"),
            ("0.99999999999999999999999", "1"),
            ("1e-4950", "0"),
        ] {
            assert_eq!(prints(text), printed, "{text}");
        }
        assert!(prints("1.18973149535723176e4932").starts_with("118973149535723175999"));
        assert_eq!(prints("1e4932").len(), 4933);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "e1",
            "1e",
            "1e+",
            "0x",
            "0x.",
            "0x1p",
            "1 ",
            " 1",
            "1.2.3",
            "nan",
            "infinit",
            "1e4933",
            "1e999999999999999999",
            "1e-4952",
            "0x1p16384",
            "0x1p-16447",
            "0x1p-99999999999999999999",
            "\u{661}",
            "1,5",
            "1f",
            "0b1",
            "1e1.5",
            "++1",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Number::parse(&[b'1'; TEXT_LEN_MAX + 1]), None);
        assert_eq!(Number::parse(b"-iNf"), Some(Number::Infinite));
    }

    #[test]
    fn the_ends_of_the_range() {
        let largest = finite("0xffffffffffffffffp16320");
        assert_eq!(largest.add(finite("0x1p16319")), None, "a tie goes to the even one, which is too large");
        assert_eq!(largest.add(finite("0x0.fp16319")), Some(largest));
        let smallest = finite("0x1p-16445");
        assert_eq!(smallest, finite("0x1.1p-16446"), "rounded up");
        assert_eq!(finite("1e-4950").mantissa, 3);
        assert_eq!(largest.add(smallest), Some(largest));
        assert_eq!(smallest.add(Extended { negative: true, ..smallest }).unwrap().to_string(), "0");
    }

    #[test]
    fn sums_are_rounded_as_one_number() {
        let sum = |one: &str, two: &str| finite(one).add(finite(two)).unwrap().to_string();
        assert_eq!(sum("10.5", "0.1"), "10.6");
        assert_eq!(sum("5.6", "5.0e3"), "5005.60000000000000009");
        assert_eq!(sum("1e18", "0.1"), "1000000000000000000.125");
        assert_eq!(sum("18446744073709551615", "1.5"), "18446744073709551616");
        assert_eq!(sum("0.1", "-0.3"), "-0.2");
        assert_eq!(sum("-1", "1"), "0");
    }

    proptest! {
        /// 53 digits fit into 64, so a number of the usual precision comes through; but it may be rounded twice, and so differ in its last digit.
        #[test]
        fn common_numbers_come_through(number in any::<i64>(), places in 0..17_u32) {
            let (whole, fraction) = (number / 10_i64.pow(places), (number % 10_i64.pow(places)).abs());
            let width = places as usize;
            let text = if places == 0 { whole.to_string() } else { format!("{}{}.{fraction:0>width$}", if number < 0 && whole == 0 { "-" } else { "" }, whole) };
            let exact: f64 = prints(&text).parse().unwrap();
            let expected: f64 = text.parse().unwrap();
            prop_assert!([expected.next_down(), expected, expected.next_up()].contains(&exact), "{exact} of {text}");
        }

        #[test]
        fn any_text_is_survived(text in proptest::collection::vec(prop_oneof![Just(b'0'), Just(b'.'), Just(b'e'), Just(b'-'), Just(b'x'), any::<u8>(), 48..58_u8], 0..20)) {
            if let Some(Number::Finite(number)) = Number::parse(&text) {
                let printed = number.to_string();
                prop_assert!(Number::parse(printed.as_bytes()).is_some());
                number.add(number).map(|sum| sum.to_string());
            }
        }
    }
}
