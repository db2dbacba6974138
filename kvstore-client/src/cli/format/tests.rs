//! Tests of the formats, on replies of every type.

use super::*;
use crate::cli::color::Paint;
use crate::cli::line::split;
use kvstore_client::{ReplyError, Value};
use proptest::prelude::*;

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

fn text(format: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    format(&mut out);
    String::from_utf8(out).unwrap()
}

fn error() -> Value {
    Value::Error(ReplyError::parse(b"ERR bad \x1b[31m"))
}

#[test]
fn typed_says_what_each_thing_is() {
    let big = Value::BigNumber("123456789012345678901".into());
    for (value, expected) in [
        (Value::Nil, "(nil)\n"),
        (Value::Simple("OK".into()), "OK\n"),
        (bulk("a\"\\\n\r\t\x07\x08\0é"), "\"a\\\"\\\\\\n\\r\\t\\a\\b\\x00é\"\n"),
        (Value::Bulk(vec![0xff, b'a']), "\"\\xffa\"\n"),
        (Value::Integer(-5), "(integer) -5\n"),
        (Value::Double(1.5), "(double) 1.5\n"),
        (Value::Double(f64::NEG_INFINITY), "(double) -inf\n"),
        (Value::Boolean(true), "(true)\n"),
        (big, "123456789012345678901\n"),
        (error(), "(error) ERR bad \\x1b[31m\n"),
        (Value::Verbatim { format: *b"txt", text: b"a:1\r\nb:2\r\n".to_vec() }, "a:1\nb:2\n"),
        (Value::Array(vec![]), "(empty array)\n"),
        (Value::Set(vec![Value::Integer(1)]), "1~ (integer) 1\n"),
        (Value::Map(vec![]), "(empty hash)\n"),
    ] {
        assert_eq!(text(|out| typed(&value, Paint::OFF, out)), expected, "{value:?}");
    }
}

#[test]
fn typed_aligns_what_is_nested() {
    let mut values = vec![Value::Integer(1); 9];
    values.push(Value::Array(vec![bulk("x"), Value::Array(vec![bulk("y"), bulk("z")])]));
    let expected = "10) 1) \"x\"\n    2) 1) \"y\"\n       2) \"z\"\n";
    assert!(text(|out| typed(&Value::Array(values), Paint::OFF, out)).ends_with(expected));
    let map = Value::Map(vec![
        (bulk("a"), Value::Integer(1)),
        (bulk("bc"), Value::Array(vec![bulk("x"), bulk("y")])),
    ]);
    let expected = "1# \"a\" => (integer) 1\n2# \"bc\" => 1) \"x\"\n           2) \"y\"\n";
    assert_eq!(text(|out| typed(&map, Paint::OFF, out)), expected);
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let nested = Value::Array(vec![Value::Array(vec![Value::Integer(1), Value::Nil]), error()]);
    let map = Value::Map(vec![(bulk("key"), nested), (Value::Double(0.5), bulk("\x1b[31m"))]);
    let (painted, bare) = (text(|out| typed(&map, Paint::ON, out)), text(|out| typed(&map, Paint::OFF, out)));
    assert!(
        painted.contains("\x1b[32m\"key\"\x1b[0m") && painted.contains("\x1b[36m1\x1b[0m"),
        "{painted:?}"
    );
    let without = painted.split('\x1b').map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
    assert_eq!(without.collect::<String>(), bare);
}

#[test]
fn plain_gives_lines_and_in_a_session_one_at_least() {
    let list = Value::Array(vec![bulk("a"), Value::Nil, Value::Array(vec![Value::Integer(2)])]);
    for (value, once, session) in [
        (Value::Nil, "\n", "(nil)\n"),
        (bulk("a b"), "a b\n", "a b\n"),
        (Value::Integer(3), "3\n", "3\n"),
        (list, "a\n\n2\n", "a\n(nil)\n2\n"),
        (Value::Array(vec![]), "", "(empty array)\n"),
        (Value::Map(vec![(bulk("k"), bulk("v"))]), "k\nv\n", "k\nv\n"),
        (Value::Error(ReplyError::parse(b"ERR no")), "(error) ERR no\n", "(error) ERR no\n"),
    ] {
        assert_eq!(text(|out| plain(&value, Place::Once, out)), once);
        assert_eq!(text(|out| plain(&value, Place::Session, out)), session);
    }
}

#[test]
fn raw_adds_nothing_to_a_string() {
    let mut out = Vec::new();
    raw(&Value::Bulk(vec![0, 0xff, b'\r']), Place::Once, &mut out);
    assert_eq!(out, [0, 0xff, b'\r']);
    assert_eq!(text(|out| raw(&Value::Nil, Place::Once, out)), "");
    assert_eq!(text(|out| raw(&bulk("a"), Place::Session, out)), "a\n");
}

#[test]
fn json_has_a_form_for_every_type() {
    let map = |pairs| Value::Map(pairs);
    for (value, expected) in [
        (Value::Nil, "null"),
        (bulk("é\n"), "\"é\\n\""),
        (Value::Bulk(vec![0xff, 0]), "{\"base64\":\"/wA=\"}"),
        (Value::Error(ReplyError::parse(b"ERR no")), "{\"error\":{\"code\":\"ERR\",\"message\":\"no\"}}"),
        (Value::Integer(7), "7"),
        (Value::Double(0.5), "0.5"),
        (Value::Double(f64::INFINITY), "\"inf\""),
        (Value::Boolean(false), "false"),
        (Value::BigNumber("12".into()), "\"12\""),
        (Value::Set(vec![Value::Nil]), "[null]"),
        (Value::Push(vec![bulk("m")]), "{\"push\":[\"m\"]}"),
        (map(vec![(bulk("a"), Value::Integer(1))]), "{\"a\":1}"),
        (map(vec![(Value::Integer(1), Value::Nil)]), "[[1,null]]"),
        (map(vec![(bulk("a"), Value::Nil), (bulk("a"), Value::Nil)]), "[[\"a\",null],[\"a\",null]]"),
    ] {
        assert_eq!(text(|out| json_line(&value, out)), format!("{expected}\n"));
    }
}

proptest! {
    #[test]
    fn a_session_reads_quoted_bytes_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let quoted = quote::quoted(&bytes);
        prop_assert_eq!(split(quoted.as_bytes()), Ok(vec![bytes]));
    }
}
