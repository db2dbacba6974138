//! Checks of values: set, get, append, several at once, any bytes, any length.

use super::host::{Host, Trouble, bulk, ok};
use super::{Check, check};
use kvstore_client::{Error, Value};

pub(super) const CHECKS: &[Check] = &[
    check("sets and gets", set_get),
    check("says nil for an absent key", absent),
    check("keeps an empty value apart from an absent one", empty),
    check("keeps all 256 bytes in keys and values", binary),
    check("keeps a value of 1 MiB", long_value),
    check("sets only if absent (NX), only if present (XX), and gives the old value (GET)", set_options),
    check("appends and tells the length", append),
    check("sets and gets several at once", several),
    check("sets several only if none is there (MSETNX)", several_if_absent),
    check("reads and writes parts (GETRANGE, SETRANGE)", parts),
    check("sets, reads and counts bits (SETBIT, GETBIT, BITCOUNT)", bits),
    check("gets and deletes at once (GETDEL)", get_and_delete),
    check("sets and deletes only what is as expected (SET IFEQ, DELIFEQ)", compare),
];

fn set_get(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("set");
    host.expect(&[&b"SET"[..], &key, b"one"], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk("one"))?;
    host.expect(&[&b"SET"[..], &key, b"two"], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk("two"))
}

fn absent(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("absent");
    host.expect(&[&b"GET"[..], &key], Value::Nil)?;
    host.expect(&[&b"STRLEN"[..], &key], Value::Integer(0))
}

fn empty(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("empty");
    host.expect(&[&b"SET"[..], &key, b""], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk(""))?;
    host.expect(&[&b"EXISTS"[..], &key], Value::Integer(1))
}

fn binary(host: &mut Host) -> Result<(), Trouble> {
    let bytes: Vec<u8> = (0..=255).collect();
    let key = host.key(&bytes);
    host.expect(&[&b"SET"[..], &key, &bytes], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk(&bytes))
}

fn long_value(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("long-value");
    let value: Vec<u8> = (0..1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    host.expect(&[&b"SET"[..], &key, &value], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk(&value))?;
    host.expect(&[&b"STRLEN"[..], &key], Value::Integer(1024 * 1024))
}

fn set_options(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("options");
    host.expect(&[&b"SET"[..], &key, b"a", b"XX"], Value::Nil)?;
    host.expect(&[&b"SET"[..], &key, b"b", b"NX"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"c", b"NX"], Value::Nil)?;
    host.expect(&[&b"SET"[..], &key, b"d", b"XX"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"e", b"GET"], bulk("d"))?;
    host.expect(&[&b"GET"[..], &key], bulk("e"))?;
    host.expect_error(&[&b"SET"[..], &key, b"f", b"NX", b"XX"], "ERR syntax error")
}

fn append(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("append");
    host.expect(&[&b"APPEND"[..], &key, b"ab"], Value::Integer(2))?;
    host.expect(&[&b"APPEND"[..], &key, b"cde"], Value::Integer(5))?;
    host.expect(&[&b"GET"[..], &key], bulk("abcde"))?;
    host.expect(&[&b"STRLEN"[..], &key], Value::Integer(5))
}

fn several(host: &mut Host) -> Result<(), Trouble> {
    let (one, two, none) = (host.key("m1"), host.key("m2"), host.key("m3"));
    host.expect(&[&b"MSET"[..], &one, b"1", &two, b"2"], ok())?;
    let expected = Value::Array(vec![bulk("2"), Value::Nil, bulk("1"), bulk("2")]);
    host.expect(&[&b"MGET"[..], &two, &none, &one, &two], expected)?;
    host.expect_error(&[&b"MSET"[..], &one, b"1", &two], "ERR wrong number of arguments")
}

fn several_if_absent(host: &mut Host) -> Result<(), Trouble> {
    let (one, two) = (host.key("nx1"), host.key("nx2"));
    host.expect(&[&b"MSETNX"[..], &one, b"1", &two, b"2"], Value::Integer(1))?;
    host.expect(&[&b"DEL"[..], &one], Value::Integer(1))?;
    host.expect(&[&b"MSETNX"[..], &one, b"3", &two, b"4"], Value::Integer(0))?;
    host.expect(&[&b"MGET"[..], &one, &two], Value::Array(vec![Value::Nil, bulk("2")]))
}

fn parts(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("parts");
    host.expect(&[&b"SETRANGE"[..], &key, b"2", b"cd"], Value::Integer(4))?;
    host.expect(&[&b"SETRANGE"[..], &key, b"0", b"ab"], Value::Integer(4))?;
    host.expect(&[&b"GETRANGE"[..], &key, b"1", b"-2"], bulk("bc"))?;
    host.expect(&[&b"GET"[..], &key], bulk("abcd"))
}

fn bits(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("bits");
    host.expect(&[&b"SETBIT"[..], &key, b"9", b"1"], Value::Integer(0))?;
    host.expect(&[&b"SETBIT"[..], &key, b"0", b"1"], Value::Integer(0))?;
    host.expect(&[&b"GETBIT"[..], &key, b"9"], Value::Integer(1))?;
    host.expect(&[&b"BITCOUNT"[..], &key], Value::Integer(2))?;
    host.expect(&[&b"GET"[..], &key], bulk(b"\x80\x40"))
}

fn get_and_delete(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("getdel");
    host.expect(&[&b"SET"[..], &key, b"1"], ok())?;
    host.expect(&[&b"GETDEL"[..], &key], bulk("1"))?;
    host.expect(&[&b"GETDEL"[..], &key], Value::Nil)
}

fn compare(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("compare");
    host.expect(&[&b"SET"[..], &key, b"1"], ok())?;
    let refused = host.expect(&[&b"SET"[..], &key, b"2", b"IFEQ", b"other"], Value::Nil);
    if let Err(Trouble::Client(Error::Reply(reply))) = &refused
        && reply.message == "syntax error"
    {
        // Redis has it from version 8.4 on.
        return Err(Trouble::Unsupported("the host does not know SET … IFEQ".to_owned()));
    }
    refused?;
    host.expect(&[&b"SET"[..], &key, b"2", b"IFEQ", b"1"], ok())?;
    host.expect(&[&b"DELIFEQ"[..], &key, b"1"], Value::Integer(0))?;
    host.expect(&[&b"DELIFEQ"[..], &key, b"2"], Value::Integer(1))?;
    host.expect(&[&b"GET"[..], &key], Value::Nil)
}
