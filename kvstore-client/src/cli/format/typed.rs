//! Typed: a value for people, with its type, laid out as redis-cli does on a terminal.

use super::plain::text_lines;
use super::{double, quote};
use kvstore_client::Value;

/// Appends the value with its type, and a line end.
pub(crate) fn typed(value: &Value, out: &mut Vec<u8>) {
    nested(value, 0, out);
}

/// The value, whose first line begins at column `indent`.
fn nested(value: &Value, indent: usize, out: &mut Vec<u8>) {
    let line = |text: &str, out: &mut Vec<u8>| out.extend_from_slice(format!("{text}\n").as_bytes());
    match value {
        Value::Nil => line("(nil)", out),
        Value::Error(error) => {
            line(&format!("(error) {}", quote::visible(error.to_string().as_bytes())), out)
        }
        Value::Simple(text) => line(&quote::visible(text), out),
        Value::Bulk(bytes) => line(&quote::quoted(bytes), out),
        Value::Integer(number) => line(&format!("(integer) {number}"), out),
        Value::Double(number) => line(&format!("(double) {}", double(*number)), out),
        Value::Boolean(yes) => line(if *yes { "(true)" } else { "(false)" }, out),
        Value::BigNumber(digits) => line(digits, out),
        Value::Verbatim { text, .. } => text_lines(text, out),
        Value::Array(values) => elements(values, ")", "(empty array)", indent, out),
        Value::Set(values) => elements(values, "~", "(empty set)", indent, out),
        Value::Push(values) => elements(values, ">", "(empty push)", indent, out),
        Value::Map(pairs) if pairs.is_empty() => line("(empty hash)", out),
        Value::Map(pairs) => {
            let width = digits(pairs.len());
            for (at, (key, value)) in pairs.iter().enumerate() {
                number(at, width, "#", indent, out);
                let key_at = out.len();
                nested(key, indent + width + 2, out);
                // The value stands beside its key.
                out.pop();
                out.extend_from_slice(b" => ");
                let key_width =
                    String::from_utf8_lossy(out.get(key_at..).unwrap_or_default()).chars().count();
                nested(value, indent + width + 2 + key_width, out);
            }
        }
        Value::Attribute { value, .. } => nested(value, indent, out),
    }
}

fn elements(values: &[Value], mark: &str, empty: &str, indent: usize, out: &mut Vec<u8>) {
    if values.is_empty() {
        out.extend_from_slice(format!("{empty}\n").as_bytes());
    }
    let width = digits(values.len());
    for (at, value) in values.iter().enumerate() {
        number(at, width, mark, indent, out);
        nested(value, indent + width + 2, out);
    }
}

/// The number before an element; the first stands where its parent has left off.
fn number(at: usize, width: usize, mark: &str, indent: usize, out: &mut Vec<u8>) {
    let indent = if at == 0 { 0 } else { indent };
    out.extend_from_slice(format!("{:indent$}{:>width$}{mark} ", "", at + 1).as_bytes());
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}
