//! Show: replies as short texts, so that tests can list what they expect.

use kvstore_client::{Client, Error, Value};

/// `OK`, `7`, `"text"`, `nil`, `[a b]`, `{name: value}`, or an error as it was sent, behind `!`.
pub fn show(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Bulk(text) | Value::Verbatim { text, .. } => {
            format!("\"{}\"", text.escape_ascii())
        }
        Value::Error(error) => format!("!{error}"),
        Value::Integer(number) => number.to_string(),
        Value::Array(values) => format!("[{}]", all(values)),
        Value::Set(values) | Value::Push(values) => format!("<{}>", all(values)),
        Value::Map(pairs) => {
            let pair = |(name, value): &(Value, Value)| format!("{}: {}", show(name), show(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Value::Double(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::BigNumber(digits) => digits.clone(),
        Value::Attribute { value, .. } => show(value),
    }
}

/// What came back for a request, an error reply too.
///
/// # Panics
/// The connection failed.
#[allow(clippy::panic, reason = "a test's helper stops at the first surprise")]
pub fn outcome(result: Result<Value, Error>) -> String {
    match result {
        Ok(value) => show(&value),
        Err(Error::Reply(error)) => format!("!{error}"),
        Err(error) => panic!("{error}"),
    }
}

/// Sends a request of plain words and shows its reply.
///
/// # Panics
/// The connection failed.
pub fn ask(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    outcome(client.call(&words))
}

/// Sends requests one after the other, each of which has to be answered as the second text says.
///
/// # Panics
/// One is not.
pub fn expect(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(ask(client, line), *expected, "{line}");
    }
}
