//! Numbers: integers and doubles as Redis reads and writes them in text.

use std::io::Write;

/// Bytes of the longest text of an `i64`: `-9223372036854775808`.
const I64_LEN_MAX: usize = 20;
/// Bytes of the longest header line: prefix, number, CR, LF.
const HEADER_LEN_MAX: usize = 1 + I64_LEN_MAX + 2;

/// The integer that `text` is, or `None` when it is none or does not fit. Strict as Redis: an optional `-`, then
/// digits without a leading zero (but `0` alone); no `+`, no `-0`, no space.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.len() > I64_LEN_MAX {
        return None;
    }
    let (negative, digits) = match text {
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut magnitude = 0_u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    match negative {
        false => i64::try_from(magnitude).ok(),
        true => 0_i64.checked_sub_unsigned(magnitude),
    }
}

/// Appends `value` in decimal.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        out.push(b'0' + digit);
        return;
    }
    let mut line = [0; HEADER_LEN_MAX];
    let start = write_backwards(&mut line, HEADER_LEN_MAX, value);
    out.extend_from_slice(line.get(start..).unwrap_or_default());
}

/// Appends one line: `prefix`, `value` in decimal, CR, LF.
#[inline(always)]
pub(super) fn push_header(out: &mut Vec<u8>, prefix: u8, value: i64) {
    match u8::try_from(value) {
        Ok(digit @ 0..=9) => out.extend_from_slice(&[prefix, b'0' + digit, b'\r', b'\n']),
        Ok(two @ 10..=99) => {
            out.extend_from_slice(&[prefix, b'0' + two / 10, b'0' + two % 10, b'\r', b'\n']);
        }
        _ => push_long_header(out, prefix, value),
    }
}

#[inline(never)]
fn push_long_header(out: &mut Vec<u8>, prefix: u8, value: i64) {
    let mut line = [prefix; HEADER_LEN_MAX];
    line[HEADER_LEN_MAX - 2..].copy_from_slice(b"\r\n");
    // The place before the number holds the prefix already.
    let start = write_backwards(&mut line, HEADER_LEN_MAX - 2, value) - 1;
    out.extend_from_slice(line.get(start..).unwrap_or_default());
}

/// Writes `value` so that it ends before `end`, which leaves at least `I64_LEN_MAX` places; gives where it starts.
fn write_backwards(line: &mut [u8; HEADER_LEN_MAX], end: usize, value: i64) -> usize {
    let mut rest = value.unsigned_abs();
    let mut start = end;
    loop {
        start -= 1;
        line[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        line[start] = b'-';
    }
    start
}

/// Significant digits of a double in a reply: enough that reading it back gives the same double.
const DOUBLE_DIGITS: usize = 17;

/// Appends `value` as Redis 7.0 does (C's `%.17g`): 17 significant digits without trailing zeros, an exponent when
/// it is below -4 or above 16; `inf`, `-inf`, `nan`.
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    let mut scientific = [0_u8; 32];
    let mut unwritten = &mut scientific[..];
    // The longest, -1.2345678901234567e-308, fits: writing to it cannot fail.
    let _ = write!(unwritten, "{:.*e}", DOUBLE_DIGITS - 1, value.abs());
    let unwritten_len = unwritten.len();
    let written = scientific.get(..scientific.len() - unwritten_len).unwrap_or_default();
    let exponent_mark = written.iter().position(|&byte| byte == b'e').unwrap_or(written.len());
    let (mantissa, exponent) = written.split_at(exponent_mark);
    let exponent = exponent.get(1..).and_then(parse_i64).unwrap_or_default();

    let mut digits = [b'0'; DOUBLE_DIGITS];
    for (digit, &byte) in digits.iter_mut().zip(mantissa.iter().filter(|&&byte| byte != b'.')) {
        *digit = byte;
    }
    let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);

    if value.is_sign_negative() {
        out.push(b'-');
    }
    if (-4..DOUBLE_DIGITS as i64).contains(&exponent) {
        push_fixed(out, &digits, significant, exponent);
    } else {
        push_scientific(out, &digits, significant, exponent);
    }
}

/// Appends `0.00ddd`, `dd.ddd` or `ddd000`; `exponent` is that of the first digit, from -4 to 16.
fn push_fixed(out: &mut Vec<u8>, digits: &[u8; DOUBLE_DIGITS], significant: usize, exponent: i64) {
    let whole = match usize::try_from(exponent) {
        Ok(exponent) => exponent + 1,
        Err(_) => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
            return out.extend_from_slice(&digits[..significant]);
        }
    };
    out.extend_from_slice(&digits[..whole]);
    if significant > whole {
        out.push(b'.');
        out.extend_from_slice(&digits[whole..significant]);
    }
}

/// Appends `d.ddde+XX`, the exponent with a sign and at least two digits.
fn push_scientific(out: &mut Vec<u8>, digits: &[u8; DOUBLE_DIGITS], significant: usize, exponent: i64) {
    out.push(digits[0]);
    if significant > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..significant]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    let exponent = exponent.unsigned_abs() as i64;
    if exponent < 10 {
        out.push(b'0');
    }
    push_i64(out, exponent);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse_i64, push_double, push_header, push_i64};

    fn double_text(value: f64) -> String {
        let mut out = Vec::new();
        push_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_read_strictly() {
        for (text, value) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("111111111111111111111", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("00", None),
            ("01", None),
            ("-01", None),
            (" 1", None),
            ("1 ", None),
            ("1\0", None),
            ("1:", None),
            ("1/", None),
            ("--1", None),
            ("0x1", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_written_as_redis_7_0_writes_them() {
        // As C's `%.17g` and, where a sorted set can hold it, ZSCORE of redis-server 7.0.15 have them.
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (10.0, "10"),
            (0.1, "0.10000000000000001"),
            (3.1, "3.1000000000000001"),
            (-3.5, "-3.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (12345678901234567.0, "12345678901234568"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (1e-5, "1.0000000000000001e-05"),
            (1e300, "1.0000000000000001e+300"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(double_text(value), text);
        }
        assert_eq!(double_text(f64::NAN), "nan");
        assert_eq!(double_text(-f64::NAN), "nan");
    }

    proptest! {
        #[test]
        fn an_integer_reads_back(value: i64) {
            let mut out = vec![b'x'];
            push_i64(&mut out, value);
            prop_assert_eq!(&out[1..], value.to_string().into_bytes());
            prop_assert_eq!(parse_i64(&out[1..]), Some(value));
            out.clear();
            push_header(&mut out, b':', value);
            prop_assert_eq!(out, format!(":{value}\r\n").into_bytes());
        }

        #[test]
        fn small_integers_are_written_as_the_standard_library_does(value in -1200_i64..1200) {
            let mut out = Vec::new();
            push_i64(&mut out, value);
            push_header(&mut out, b'$', value);
            prop_assert_eq!(out, format!("{value}${value}\r\n").into_bytes());
        }

        #[test]
        fn a_double_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            let read: f64 = double_text(value).parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        }
    }
}
