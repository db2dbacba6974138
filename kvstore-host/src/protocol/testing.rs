//! Testing: a reader of replies and a maker of any reply, for this room's tests only.

use proptest::prelude::*;

use super::{Protocol, Value, push_double};

/// Takes one reply off the front of `rest`; `None` when there is no whole one. Lenient: it is fed by our own encoder.
pub(super) fn decode(rest: &mut &[u8]) -> Option<Value> {
    let line_end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, tail) = (&rest[1..line_end], &rest[line_end + 2..]);
    let kind = rest[0];
    let text = || String::from_utf8(line.to_vec()).unwrap();
    *rest = tail;
    Some(match kind {
        b'_' => Value::Null,
        b'+' => Value::Simple(text().into()),
        b'-' => Value::Error(text().into()),
        b':' => Value::Integer(text().parse().ok()?),
        b',' => Value::Double(text().parse().ok()?),
        b'#' => Value::Bool(line == b"t"),
        b'$' if line == b"-1" => Value::Null,
        b'*' if line == b"-1" => Value::NullArray,
        kind => {
            let len: usize = text().parse().ok()?;
            let mut elements = |count: usize| (0..count).map(|_| decode(rest)).collect::<Option<Vec<_>>>();
            match kind {
                b'*' => Value::Array(elements(len)?),
                b'~' => Value::Set(elements(len)?),
                b'%' => Value::Map(
                    (0..len)
                        .map(|_| elements(2))
                        .collect::<Option<Vec<_>>>()?
                        .into_iter()
                        .map(pair)
                        .collect(),
                ),
                b'$' => Value::Bulk(bytes(rest, len)?),
                b'=' => {
                    let mut format = bytes(rest, len)?;
                    let text = format.split_off(4);
                    assert_eq!(format.pop(), Some(b':'));
                    Value::Verbatim { format: String::from_utf8(format).ok()?.into(), text }
                }
                _ => return None,
            }
        }
    })
}

fn pair(mut pair: Vec<Value>) -> (Value, Value) {
    let value = pair.pop().unwrap();
    (pair.pop().unwrap(), value)
}

fn bytes(rest: &mut &[u8], len: usize) -> Option<Vec<u8>> {
    let taken = rest.get(..len)?.to_vec();
    *rest = rest[len..].strip_prefix(b"\r\n")?;
    Some(taken)
}

/// What a client sees of `value`.
pub(super) fn as_decoded(value: &Value, protocol: Protocol) -> Value {
    let all = |values: &[Value]| values.iter().map(|value| as_decoded(value, protocol)).collect::<Vec<_>>();
    let resp3 = protocol == Protocol::Resp3;
    match value {
        Value::Ok => Value::Simple("OK".into()),
        Value::NullArray if resp3 => Value::Null,
        Value::Double(value) if !resp3 => {
            let mut text = Vec::new();
            push_double(&mut text, *value);
            Value::Bulk(text)
        }
        Value::Bool(value) if !resp3 => Value::Integer((*value).into()),
        Value::Verbatim { text, .. } if !resp3 => Value::Bulk(text.clone()),
        Value::Array(elements) => Value::Array(all(elements)),
        Value::Set(elements) if resp3 => Value::Set(all(elements)),
        Value::Set(elements) => Value::Array(all(elements)),
        Value::Map(pairs) => {
            let pairs =
                pairs.iter().map(|(key, value)| (as_decoded(key, protocol), as_decoded(value, protocol)));
            if resp3 {
                Value::Map(pairs.collect())
            } else {
                Value::Array(pairs.flat_map(|(key, value)| [key, value]).collect())
            }
        }
        other => other.clone(),
    }
}

/// Any reply of some depth.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::NullArray),
        Just(Value::Ok),
        "[^\r\n]*".prop_map(|text| Value::Simple(text.into())),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("NaN equals nothing", |value| !value.is_nan()).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        any::<Vec<u8>>().prop_map(Value::Bulk),
        ("[a-z]{3}", any::<Vec<u8>>())
            .prop_map(|(format, text)| Value::Verbatim { format: format.into(), text }),
        "ERR [^\r\n]*".prop_map(|text| Value::Error(text.into())),
    ];
    leaf.prop_recursive(4, 40, 6, |element| {
        prop_oneof![
            proptest::collection::vec(element.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec(element.clone(), 0..6).prop_map(Value::Set),
            proptest::collection::vec((element.clone(), element), 0..4).prop_map(Value::Map),
        ]
    })
}
