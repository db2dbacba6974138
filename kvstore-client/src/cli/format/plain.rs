//! Plain: a value as lines for programs; raw: the bytes of a string and nothing else.

use super::{Place, double};
use kvstore_client::Value;

/// Each string, number or element on a line of its own; nested ones one after the other, maps as key, value, key, value.
pub(crate) fn plain(value: &Value, place: Place, out: &mut Vec<u8>) {
    match value {
        Value::Nil if place == Place::Session => out.extend_from_slice(b"(nil)\n"),
        Value::Nil => out.push(b'\n'),
        Value::Error(error) => line(format!("(error) {error}").as_bytes(), out),
        Value::Simple(bytes) | Value::Bulk(bytes) => line(bytes, out),
        Value::Integer(number) => line(number.to_string().as_bytes(), out),
        Value::Double(number) => line(double(*number).as_bytes(), out),
        Value::Boolean(yes) => line(if *yes { b"true" } else { b"false" }, out),
        Value::BigNumber(digits) => line(digits.as_bytes(), out),
        Value::Verbatim { text, .. } => text_lines(text, out),
        Value::Array(values) | Value::Set(values) | Value::Push(values) => {
            values.iter().for_each(|value| plain(value, place, out));
            if values.is_empty() && place == Place::Session {
                out.extend_from_slice(b"(empty array)\n");
            }
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                plain(key, place, out);
                plain(value, place, out);
            }
            if pairs.is_empty() && place == Place::Session {
                out.extend_from_slice(b"(empty hash)\n");
            }
        }
        Value::Attribute { value, .. } => plain(value, place, out),
    }
}

/// The bytes of a single string with nothing added, so that they can go to a file; all else as plain lines.
pub(crate) fn raw(value: &Value, place: Place, out: &mut Vec<u8>) {
    match (value, value.as_bytes()) {
        (_, Some(bytes)) if place == Place::Once => out.extend_from_slice(bytes),
        (Value::Nil, _) if place == Place::Once => {}
        (_, Some(bytes)) => line(bytes, out),
        _ => plain(value, place, out),
    }
}

fn line(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.push(b'\n');
}

/// A text of several lines, with the line ends of this system.
fn text_lines(text: &[u8], out: &mut Vec<u8>) {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for part in text.split(|byte| *byte == b'\n') {
        line(part.strip_suffix(b"\r").unwrap_or(part), out);
    }
}
