//! Checks of the keyspace: delete, exists, type, keys, scan, count.

use super::host::{Host, Trouble, bulk, ok, wants};
use super::{Check, check};
use kvstore_client::{ScanFilter, Value};
use std::collections::BTreeSet;

pub(super) const CHECKS: &[Check] = &[
    check("deletes and tells how many there were", delete),
    check("tells whether keys exist, twice when asked twice", exists),
    check("tells the type", entry_type),
    check("finds keys by pattern (KEYS)", keys),
    check("finds each key at least once (SCAN)", scan),
    check("counts entries (DBSIZE)", dbsize),
    check("renames (RENAME, RENAMENX)", rename),
    check("copies (COPY)", copy),
];

fn delete(host: &mut Host) -> Result<(), Trouble> {
    let (one, two, none) = (host.key("d1"), host.key("d2"), host.key("d3"));
    host.expect(&[&b"MSET"[..], &one, b"1", &two, b"2"], ok())?;
    host.expect(&[&b"DEL"[..], &one, &two, &none], Value::Integer(2))?;
    host.expect(&[&b"GET"[..], &one], Value::Nil)?;
    host.expect(&[&b"DEL"[..], &one], Value::Integer(0))
}

fn exists(host: &mut Host) -> Result<(), Trouble> {
    let (one, none) = (host.key("e1"), host.key("e2"));
    host.expect(&[&b"SET"[..], &one, b"1"], ok())?;
    host.expect(&[&b"EXISTS"[..], &one, &none, &one], Value::Integer(2))
}

fn entry_type(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("type");
    host.expect(&[&b"TYPE"[..], &key], Value::Simple(b"none".to_vec()))?;
    host.expect(&[&b"SET"[..], &key, b"1"], ok())?;
    host.expect(&[&b"TYPE"[..], &key], Value::Simple(b"string".to_vec()))
}

fn keys(host: &mut Host) -> Result<(), Trouble> {
    let (one, other, pattern) = (host.key("glob-a1"), host.key("glob-b1"), host.key("glob-[a]?"));
    host.expect(&[&b"MSET"[..], &one, b"1", &other, b"2"], ok())?;
    host.expect(&[&b"KEYS"[..], &pattern], Value::Array(vec![bulk(&one)]))
}

fn scan(host: &mut Host) -> Result<(), Trouble> {
    let mut expected = BTreeSet::new();
    for number in 0..100 {
        let key = host.key(format!("scan-{number}"));
        host.expect(&[&b"SET"[..], &key, b"1"], ok())?;
        expected.insert(key);
    }
    let pattern = Some(host.key("scan-*"));
    let filter = ScanFilter { pattern, count: Some(100), kind: None };
    let found = host.client().scan(filter).collect::<Result<BTreeSet<_>, _>>()?;
    wants(found == expected, || format!("expected {} keys, found {}", expected.len(), found.len()))
}

fn dbsize(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("dbsize");
    host.expect(&[&b"SET"[..], &key, b"1"], ok())?;
    // Others may write at the same time, so no exact number can be expected.
    let count = host.client().count()?;
    wants(count >= 1, || format!("DBSIZE is {count} although a key is there"))
}

fn rename(host: &mut Host) -> Result<(), Trouble> {
    let (from, to) = (host.key("r1"), host.key("r2"));
    host.expect(&[&b"SET"[..], &from, b"1"], ok())?;
    host.expect(&[&b"RENAME"[..], &from, &to], ok())?;
    host.expect(&[&b"MGET"[..], &from, &to], Value::Array(vec![Value::Nil, bulk("1")]))?;
    host.expect_error(&[&b"RENAME"[..], &from, &to], "ERR no such key")?;
    host.expect(&[&b"SET"[..], &from, b"2"], ok())?;
    host.expect(&[&b"RENAMENX"[..], &from, &to], Value::Integer(0))
}

fn copy(host: &mut Host) -> Result<(), Trouble> {
    let (from, to) = (host.key("c1"), host.key("c2"));
    host.expect(&[&b"SET"[..], &from, b"1"], ok())?;
    host.expect(&[&b"COPY"[..], &from, &to], Value::Integer(1))?;
    host.expect(&[&b"COPY"[..], &from, &to], Value::Integer(0))?;
    host.expect(&[&b"SET"[..], &from, b"2"], ok())?;
    host.expect(&[&b"COPY"[..], &from, &to, b"REPLACE"], Value::Integer(1))?;
    host.expect(&[&b"GET"[..], &to], bulk("2"))
}
