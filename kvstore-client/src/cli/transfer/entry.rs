//! Entry: what one line of a transfer says, and the line that says it.

use super::super::format::visible;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, Write};

/// What is said of a line's fault at most, in characters: the text can hold parts of the line.
const FAULT_LEN_MAX: usize = 200;

/// A key, its value, and when it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// In milliseconds since 1970; above 0.
    pub(super) expiry_ms: Option<i64>,
}

/// The fields of a line. Of each pair one is there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_ms: Option<i64>,
}

impl Entry {
    /// Reads a line, whoever wrote it; the error says what is wrong with it, in printable characters.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        // An array would do for the parser, its elements taken as fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("it is no JSON object".to_owned());
        }
        let Line { key, key_base64, value, value_base64, expiry_ms } =
            serde_json::from_slice(line).map_err(|error| fault(&error))?;
        if expiry_ms.is_some_and(|expiry_ms| expiry_ms <= 0) {
            return Err("expiry_ms is not above 0".to_owned());
        }
        Ok(Self {
            key: bytes("key", key, key_base64)?,
            value: bytes("value", value, value_base64)?,
            expiry_ms,
        })
    }

    /// Writes the line, with its end.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (key, key_base64) = fields(&self.key);
        let (value, value_base64) = fields(&self.value);
        let line = Line { key, key_base64, value, value_base64, expiry_ms: self.expiry_ms };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }
}

fn fields(bytes: &[u8]) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_long_in_json) => (Some(text.into()), None),
        _ => (None, Some(STANDARD.encode(bytes).into())),
    }
}

/// Takes six characters in JSON: a line of many would be much longer than its entry.
fn is_long_in_json(char: char) -> bool {
    char < ' ' && !matches!(char, '\t' | '\n' | '\r')
}

fn bytes(name: &str, text: Option<Cow<'_, str>>, base64: Option<Cow<'_, str>>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_owned().into_bytes()),
        (None, Some(base64)) => {
            STANDARD.decode(base64.as_bytes()).map_err(|error| format!("{name}_base64 is no base64: {error}"))
        }
        (None, None) => Err(format!("neither {name} nor {name}_base64 is there")),
        (Some(_), Some(_)) => Err(format!("both {name} and {name}_base64 are there")),
    }
}

fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The error counts lines, too, and there is only this one.
    let text = text.split(" at line 1 column ").next().unwrap_or_default();
    let mut text = visible(text.as_bytes());
    if let Some((at, _)) = text.char_indices().nth(FAULT_LEN_MAX) {
        text.truncate(at);
        text.push('…');
    }
    if error.column() > 0 { format!("{text} at column {}", error.column()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(key: &[u8], value: &[u8], expiry_ms: Option<i64>) -> Entry {
        Entry { key: key.to_vec(), value: value.to_vec(), expiry_ms }
    }

    fn line(entry: &Entry) -> String {
        let mut out = Vec::new();
        entry.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_as_documented() {
        for (entry, expected) in [
            (entry(b"k", b"v", None), r#"{"key":"k","value":"v"}"#),
            (entry(b"", b"", Some(1)), r#"{"key":"","value":"","expiry_ms":1}"#),
            (entry("é\n".as_bytes(), b"\"\\", None), r#"{"key":"é\n","value":"\"\\"}"#),
            (entry(b"\xff", b"a\0", None), r#"{"key_base64":"/w==","value_base64":"YQA="}"#),
        ] {
            assert_eq!(line(&entry), format!("{expected}\n"));
            assert_eq!(Entry::parse(expected.as_bytes()), Ok(entry));
        }
        let free = r#" { "expiry_ms" : null , "value" : "\u0000\ud83d\ude00", "key":"k" } "#;
        assert_eq!(Entry::parse(free.as_bytes()), Ok(entry(b"k", "\0😀".as_bytes(), None)));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, fault) in [
            ("", "it is no JSON object"),
            ("nonsense", "it is no JSON object"),
            (r#"["k",null,"v",null,null]"#, "it is no JSON object"),
            ("{", "EOF while parsing an object at column 1"),
            (r#"{"key":"k"}"#, "neither value nor value_base64 is there"),
            (r#"{"value":"v"}"#, "neither key nor key_base64 is there"),
            (r#"{"key":"k","key_base64":"aw==","value":""}"#, "both key and key_base64 are there"),
            (r#"{"key":"k","key":"k","value":""}"#, "duplicate field `key` at column 16"),
            (r#"{"key":"k","value":7}"#, "invalid type: integer `7`, expected a string at column 20"),
            (r#"{"key":"k","value_base64":"YQ"}"#, "value_base64 is no base64: Invalid padding"),
            (r#"{"key":"k","value":"v","expiry":5}"#, "unknown field `expiry`, expected one of"),
            (r#"{"key":"k","value":"v","expiry_ms":0}"#, "expiry_ms is not above 0"),
            (r#"{"key":"k","value":"v","expiry_ms":1e3}"#, "invalid type: floating point"),
            (r#"{"key":"k","value":"v","expiry_ms":9223372036854775808}"#, "invalid value: integer"),
            (r#"{"key":"k","value":"\ud800"}"#, "unexpected end of hex escape at column"),
            (r#"{"key":"k","value":"v"}{"#, "trailing characters at column 24"),
        ] {
            let found = Entry::parse(line.as_bytes()).unwrap_err();
            assert!(found.starts_with(fault), "{line}: {found}");
        }
    }

    #[test]
    fn a_hostile_line_writes_nothing_to_the_terminal() {
        let line = format!("{{\"\\u001b[2J{}\":1}}", "x".repeat(1_000));
        let fault = Entry::parse(line.as_bytes()).unwrap_err();
        assert!(fault.starts_with("unknown field `\\x1b[2Jxxx") && fault.len() < 300, "{fault:?}");
        assert!(Entry::parse(&b"{\"key\":".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn every_entry_is_read_back(key: Vec<u8>, value: Vec<u8>, text: String, expiry_ms in proptest::option::of(1..i64::MAX)) {
            for value in [value, text.into_bytes()] {
                let entry = Entry { key: key.clone(), value, expiry_ms };
                let line = line(&entry);
                prop_assert_eq!(line.matches('\n').count(), 1);
                prop_assert_eq!(Entry::parse(line.trim_end().as_bytes()), Ok(entry));
            }
        }

        #[test]
        fn no_line_does_harm(line: Vec<u8>) {
            let _ = Entry::parse(&line);
        }
    }
}
