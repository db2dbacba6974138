//! Tests of the decoder: every type, every split, every limit, and garbage.

use super::*;
use proptest::prelude::*;

fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    drain(&mut decoder)
}

fn drain(decoder: &mut Decoder) -> Result<Vec<Value>, DecodeError> {
    let mut values = Vec::new();
    while let Some(value) = decoder.next_value()? {
        values.push(value);
    }
    Ok(values)
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn every_type_is_read() {
    let error = |text: &str| Value::Error(ReplyError::parse(text.as_bytes()));
    let attribute =
        Value::Attribute { attributes: vec![(bulk("a"), Value::Nil)], value: Box::new(Value::Integer(9)) };
    for (bytes, value) in [
        ("+OK\r\n", Value::Simple(b"OK".to_vec())),
        ("+\r\n", Value::Simple(vec![])),
        ("-ERR no\r\n", error("ERR no")),
        (":-7\r\n", Value::Integer(-7)),
        (":+7\r\n", Value::Integer(7)),
        (":9223372036854775807\r\n", Value::Integer(i64::MAX)),
        ("$3\r\na\r\n\r\n", bulk("a\r\n")),
        ("$0\r\n\r\n", bulk("")),
        ("$-1\r\n", Value::Nil),
        ("*-1\r\n", Value::Nil),
        ("_\r\n", Value::Nil),
        ("*0\r\n", Value::Array(vec![])),
        (
            "*2\r\n*1\r\n:1\r\n*0\r\n",
            Value::Array(vec![Value::Array(vec![Value::Integer(1)]), Value::Array(vec![])]),
        ),
        (",1.5\r\n", Value::Double(1.5)),
        (",inf\r\n", Value::Double(f64::INFINITY)),
        (",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        ("#t\r\n", Value::Boolean(true)),
        ("#f\r\n", Value::Boolean(false)),
        ("(-123456789012345678901\r\n", Value::BigNumber("-123456789012345678901".into())),
        ("!6\r\nERR no\r\n", error("ERR no")),
        ("=6\r\ntxt:hi\r\n", Value::Verbatim { format: *b"txt", text: b"hi".to_vec() }),
        ("%1\r\n+k\r\n:1\r\n", Value::Map(vec![(Value::Simple(b"k".to_vec()), Value::Integer(1))])),
        ("~1\r\n:1\r\n", Value::Set(vec![Value::Integer(1)])),
        (">1\r\n:1\r\n", Value::Push(vec![Value::Integer(1)])),
        // So EXEC answers a SUBSCRIBE in its transaction.
        ("*1\r\n>1\r\n:1\r\n", Value::Array(vec![Value::Push(vec![Value::Integer(1)])])),
        ("|1\r\n$1\r\na\r\n_\r\n:9\r\n", attribute.clone()),
        ("*1\r\n|1\r\n$1\r\na\r\n_\r\n:9\r\n", Value::Array(vec![attribute])),
        ("|0\r\n:1\r\n", Value::Attribute { attributes: vec![], value: Box::new(Value::Integer(1)) }),
        ("$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n", bulk("abc")),
        ("*?\r\n:1\r\n*?\r\n.\r\n.\r\n", Value::Array(vec![Value::Integer(1), Value::Array(vec![])])),
        ("%?\r\n:1\r\n:2\r\n.\r\n", Value::Map(vec![(Value::Integer(1), Value::Integer(2))])),
    ] {
        assert_eq!(decode_all(bytes.as_bytes()), Ok(vec![value]), "{bytes:?}");
    }
    assert!(matches!(decode_all(b",nan\r\n").as_deref(), Ok([Value::Double(d)]) if d.is_nan()));
}

#[test]
fn what_is_not_the_protocol_is_refused_with_its_reason() {
    for (bytes, error) in [
        ("HTTP/1.1 400\r\n", DecodeError::UnknownType { kind: b'H' }),
        ("\r\n", DecodeError::BadLineEnd),
        ("+a\n", DecodeError::BadLineEnd),
        ("+a\rb", DecodeError::BadLineEnd),
        ("$1\r\nabc", DecodeError::BadLineEnd),
        (":\r\n", DecodeError::BadScalar { kind: b':' }),
        (":1x\r\n", DecodeError::BadScalar { kind: b':' }),
        ("#x\r\n", DecodeError::BadScalar { kind: b'#' }),
        ("_x\r\n", DecodeError::BadScalar { kind: b'_' }),
        ("(12a\r\n", DecodeError::BadScalar { kind: b'(' }),
        ("(-\r\n", DecodeError::BadScalar { kind: b'(' }),
        ("=3\r\ntxt\r\n", DecodeError::BadScalar { kind: b'=' }),
        ("$-2\r\n", DecodeError::BadLength { kind: b'$' }),
        ("$99999999999999999999\r\n", DecodeError::BadLength { kind: b'$' }),
        ("*x\r\n", DecodeError::BadLength { kind: b'*' }),
        ("%-1\r\n", DecodeError::BadLength { kind: b'%' }),
        ("!-1\r\n", DecodeError::BadLength { kind: b'!' }),
        (">?\r\n", DecodeError::BadLength { kind: b'>' }),
        (".\r\n", DecodeError::Misplaced { kind: b'.' }),
        ("*1\r\n.\r\n", DecodeError::Misplaced { kind: b'.' }),
        ("%?\r\n:1\r\n.\r\n", DecodeError::Misplaced { kind: b'.' }),
        (";0\r\n", DecodeError::Misplaced { kind: b';' }),
        ("$?\r\n+a\r\n", DecodeError::Misplaced { kind: b'+' }),
        ("$9999999999\r\n", DecodeError::BulkTooLong { len: 9_999_999_999, max: 512 << 20 }),
        ("*9999999999\r\n", DecodeError::TooManyElements { max: 64 << 20 }),
        ("%9223372036854775807\r\n", DecodeError::TooManyElements { max: 64 << 20 }),
    ] {
        assert_eq!(decode_all(bytes.as_bytes()), Err(error), "{bytes:?}");
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::default();
    decoder.feed(b"+OK\r\n?\r\n");
    assert_eq!(decoder.next_value(), Ok(Some(Value::Simple(b"OK".to_vec()))));
    for _ in 0..2 {
        assert_eq!(decoder.next_value(), Err(DecodeError::UnknownType { kind: b'?' }));
        decoder.feed(b"+OK\r\n");
    }
}

#[test]
fn limits_hold_for_what_arrives_and_not_only_for_what_is_declared() {
    let limits =
        Limits { nesting_max: 3, bulk_len_max: 4, elements_max: 5, line_len_max: 8, reply_len_max: 40 };
    let decode = |bytes: &[u8]| {
        let mut decoder = Decoder::new(limits);
        decoder.feed(bytes);
        drain(&mut decoder)
    };
    assert!(decode(b"*1\r\n*1\r\n*1\r\n:1\r\n").is_ok());
    assert_eq!(decode(b"*1\r\n*1\r\n*1\r\n*1\r\n"), Err(DecodeError::NestingTooDeep { max: 3 }));
    assert!(decode(b"*?\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n.\r\n").is_ok());
    assert_eq!(
        decode(b"*?\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n"),
        Err(DecodeError::TooManyElements { max: 5 })
    );
    assert_eq!(
        decode(b"*3\r\n*1\r\n_\r\n*1\r\n_\r\n*1\r\n_\r\n"),
        Err(DecodeError::TooManyElements { max: 5 })
    );
    assert!(decode(b"$?\r\n;2\r\nab\r\n;2\r\nab\r\n;0\r\n").is_ok());
    assert_eq!(decode(b"$?\r\n;2\r\nab\r\n;3\r\n"), Err(DecodeError::BulkTooLong { len: 5, max: 4 }));
    assert!(decode(b"+1234567\r\n").is_ok());
    assert_eq!(decode(b"+12345678\r\n"), Err(DecodeError::LineTooLong { max: 8 }));
    assert_eq!(decode(b"+12345678"), Err(DecodeError::LineTooLong { max: 8 }));
    let four_bulks = [&b"*5\r\n"[..], &b"$4\r\nabcd\r\n".repeat(4)].concat();
    assert_eq!(decode(&four_bulks), Err(DecodeError::ReplyTooLong { max: 40 }));
    assert!(decode(&b"+123456\r\n".repeat(40)).is_ok(), "the limit counts anew for each reply");
}

#[test]
fn a_simple_string_may_be_as_long_as_a_bulk_and_no_longer() {
    let limits = Limits { bulk_len_max: 100_001, ..Limits::default() };
    let decode = |kind: char, len: usize, end: &str| {
        let mut decoder = Decoder::new(limits);
        decoder.feed(format!("{kind}{}{end}", "x".repeat(len - 1)).as_bytes());
        decoder.next_value()
    };
    assert_eq!(decode('+', 100_001, "\r\n"), Ok(Some(Value::Simple(vec![b'x'; 100_000]))));
    for end in ["", "\r\n"] {
        assert_eq!(decode('+', 100_002, end), Err(DecodeError::LineTooLong { max: 100_001 }));
        assert_eq!(decode('-', 100_001, end), Err(DecodeError::LineTooLong { max: 65_536 }));
    }
}

#[test]
fn a_declared_length_reserves_nothing() {
    let mut decoder = Decoder::default();
    decoder.feed(b"*67108864\r\n$536870912\r\nab");
    assert_eq!(decoder.next_value(), Ok(None));
    assert!(decoder.body.as_ref().is_some_and(|body| body.bytes.capacity() < 1_000));
    assert!(!decoder.is_between_values());
}

#[test]
fn ten_thousand_nested_arrays_are_refused_before_they_exist() {
    let error = Err(DecodeError::NestingTooDeep { max: 64 });
    assert_eq!(decode_all(&b"*1\r\n".repeat(10_000)), error);
    assert_eq!(decode_all(&b"|1\r\n".repeat(10_000)), error);
}

#[test]
fn a_long_stream_does_not_grow_the_buffer() {
    let mut decoder = Decoder::default();
    let portion = b"$10\r\n0123456789\r\n".repeat(100);
    for _ in 0..1_000 {
        // The split in the middle of a value keeps the buffer from ever being empty.
        decoder.feed(&portion[..850]);
        drain(&mut decoder).unwrap();
        decoder.feed(&portion[850..]);
        drain(&mut decoder).unwrap();
    }
    assert!(decoder.buffer.capacity() < 4 * COMPACT_LEN, "{}", decoder.buffer.capacity());
}

/// The bytes of a value as a server sends it.
fn encode(value: &Value, out: &mut Vec<u8>) {
    let header = |kind: u8, len: usize, out: &mut Vec<u8>| {
        out.push(kind);
        out.extend_from_slice(format!("{len}\r\n").as_bytes());
    };
    let body = |kind: u8, bytes: &[u8], out: &mut Vec<u8>| {
        header(kind, bytes.len(), out);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    };
    let list = |kind: u8, values: &[Value], out: &mut Vec<u8>| {
        header(kind, values.len(), out);
        values.iter().for_each(|value| encode(value, out));
    };
    let pairs = |kind: u8, pairs: &[(Value, Value)], out: &mut Vec<u8>| {
        header(kind, pairs.len(), out);
        for (key, value) in pairs {
            encode(key, out);
            encode(value, out);
        }
    };
    match value {
        Value::Nil => out.extend_from_slice(b"_\r\n"),
        Value::Simple(text) => out.extend_from_slice(&[b"+", &text[..], b"\r\n"].concat()),
        Value::Error(error) => out.extend_from_slice(format!("-{error}\r\n").as_bytes()),
        Value::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
        Value::Bulk(bytes) => body(b'$', bytes, out),
        Value::Double(number) => out.extend_from_slice(format!(",{number:?}\r\n").as_bytes()),
        Value::Boolean(yes) => out.extend_from_slice(if *yes { b"#t\r\n" } else { b"#f\r\n" }),
        Value::BigNumber(digits) => out.extend_from_slice(format!("({digits}\r\n").as_bytes()),
        Value::Verbatim { format, text } => body(b'=', &[&format[..], b":", text].concat(), out),
        Value::Array(values) => list(b'*', values, out),
        Value::Set(values) => list(b'~', values, out),
        Value::Push(values) => list(b'>', values, out),
        Value::Map(entries) => pairs(b'%', entries, out),
        Value::Attribute { attributes, value } => {
            pairs(b'|', attributes, out);
            encode(value, out);
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        "[a-zA-Z ]{0,12}".prop_map(|text| Value::Simple(text.into_bytes())),
        "[A-Z]{1,6} [a-z ]{0,9}".prop_map(|text| Value::Error(ReplyError::parse(text.as_bytes()))),
        any::<i64>().prop_map(Value::Integer),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
        (-1e9..1e9).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{1,40}".prop_map(Value::BigNumber),
        proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|text| Value::Verbatim { format: *b"txt", text }),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..5);
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..3);
        prop_oneof![
            list.clone().prop_map(Value::Array),
            list.prop_map(Value::Set),
            pairs.clone().prop_map(Value::Map),
            (pairs, inner)
                .prop_map(|(attributes, value)| Value::Attribute { attributes, value: Box::new(value) }),
        ]
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_values(
        values in proptest::collection::vec(any_value(), 1..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = Decoder::default();
        let mut decoded = Vec::new();
        for ends in cuts.windows(2) {
            decoder.feed(&bytes[ends[0]..ends[1]]);
            decoded.extend(drain(&mut decoder)?);
        }
        prop_assert!(decoder.is_between_values());
        prop_assert_eq!(decoded, values);
    }

    #[test]
    fn byte_by_byte_gives_the_same_values(value in any_value()) {
        let mut bytes = Vec::new();
        encode(&value, &mut bytes);
        let mut decoder = Decoder::default();
        for (at, byte) in bytes.iter().enumerate() {
            decoder.feed(&[*byte]);
            let expected = (at + 1 == bytes.len()).then(|| value.clone());
            prop_assert_eq!(decoder.next_value()?, expected);
        }
    }

    #[test]
    fn garbage_gives_an_error_or_waits_and_never_depends_on_the_split(
        bytes in proptest::collection::vec(prop_oneof![
            proptest::sample::select(&b"*$%~>|!=.;?+-:,#_(0123456789\r\n\r\n\r\n"[..]),
            any::<u8>(),
        ], 0..80),
        cut in any::<proptest::sample::Index>(),
    ) {
        let whole = decode_all(&bytes);
        let mut decoder = Decoder::default();
        let cut = cut.index(bytes.len() + 1);
        decoder.feed(&bytes[..cut]);
        let mut result = drain(&mut decoder);
        if let Ok(values) = &mut result {
            decoder.feed(&bytes[cut..]);
            match drain(&mut decoder) {
                Ok(more) => values.extend(more),
                Err(error) => result = Err(error),
            }
        }
        prop_assert!(same(&result, &whole), "{result:?} {whole:?}");
    }
}

/// Equality in which not-a-number equals itself.
fn same(left: &Result<Vec<Value>, DecodeError>, right: &Result<Vec<Value>, DecodeError>) -> bool {
    format!("{left:?}") == format!("{right:?}")
}
