//! Scalar: the types that fit in one line, and the lengths of those that do not.

use super::DecodeError;
use crate::{ReplyError, Value};

/// The value of a line of type `kind`.
pub(super) fn scalar(kind: u8, text: &[u8]) -> Result<Value, DecodeError> {
    let bad = || DecodeError::BadScalar { kind };
    match kind {
        b'+' => Ok(Value::Simple(text.to_vec())),
        b'-' => Ok(Value::Error(ReplyError::parse(text))),
        b':' => number(text).map(Value::Integer).ok_or_else(bad),
        b',' => double(text).map(Value::Double).ok_or_else(bad),
        b'(' => big_number(text).map(Value::BigNumber).ok_or_else(bad),
        b'_' if text.is_empty() => Ok(Value::Nil),
        b'#' if text == b"t" => Ok(Value::Boolean(true)),
        b'#' if text == b"f" => Ok(Value::Boolean(false)),
        b'_' | b'#' => Err(bad()),
        b'.' | b';' => Err(DecodeError::Misplaced { kind }),
        _ => Err(DecodeError::UnknownType { kind }),
    }
}

/// A length; `None` for -1, which stands for null.
pub(super) fn length(kind: u8, text: &[u8]) -> Result<Option<u64>, DecodeError> {
    match number(text) {
        Some(-1) => Ok(None),
        Some(length) => u64::try_from(length).map(Some).map_err(|_| DecodeError::BadLength { kind }),
        None => Err(DecodeError::BadLength { kind }),
    }
}

/// A verbatim string: three letters, a colon, the text.
pub(super) fn verbatim(mut bytes: Vec<u8>) -> Result<Value, DecodeError> {
    match *bytes {
        [a, b, c, b':', ..] => {
            bytes.drain(..4);
            Ok(Value::Verbatim { format: [a, b, c], text: bytes })
        }
        _ => Err(DecodeError::BadScalar { kind: b'=' }),
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn big_number(text: &[u8]) -> Option<String> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}
