//! JSON: a value as one document. Bytes that are not UTF-8 become `{"base64": "…"}`.

use super::double;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kvstore_client::Value;
use serde_json::{Value as Json, json as document};

/// Appends the value as one line.
pub(crate) fn json_line(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(json(value).to_string().as_bytes());
    out.push(b'\n');
}

/// The value as a document. Sets become arrays, infinite numbers and big numbers strings. A map becomes an object when all its
/// keys are different texts, else an array of pairs.
fn json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Simple(bytes) | Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => string(bytes),
        Value::Error(error) => document!({"error": {"code": error.code, "message": error.message}}),
        Value::Integer(number) => Json::from(*number),
        Value::Double(number) if number.is_finite() => Json::from(*number),
        Value::Double(number) => Json::from(double(*number)),
        Value::Boolean(yes) => Json::from(*yes),
        Value::BigNumber(digits) => Json::from(digits.as_str()),
        Value::Array(values) | Value::Set(values) => values.iter().map(json).collect(),
        Value::Push(values) => document!({ "push": values.iter().map(json).collect::<Json>() }),
        Value::Map(pairs) => object(pairs).unwrap_or_else(|| {
            pairs.iter().map(|(key, value)| document!([json(key), json(value)])).collect()
        }),
        Value::Attribute { value, .. } => json(value),
    }
}

/// Bytes as a document.
pub(crate) fn string(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => Json::from(text),
        Err(_) => document!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn object(pairs: &[(Value, Value)]) -> Option<Json> {
    let mut map = serde_json::Map::new();
    for (key, value) in pairs {
        let key = std::str::from_utf8(key.as_bytes()?).ok()?;
        if map.insert(key.to_owned(), json(value)).is_some() {
            return None;
        }
    }
    Some(Json::Object(map))
}
