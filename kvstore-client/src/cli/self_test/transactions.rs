//! Checks of transactions: all or nothing, and nothing when a watched key has changed.

use super::host::{Host, Trouble, bulk, ok};
use super::{Check, check};
use kvstore_client::Value;

pub(super) const CHECKS: &[Check] = &[
    check("carries out MULTI … EXEC as one", exec),
    check("forgets MULTI … DISCARD", discard),
    check("refuses EXEC after a request that was refused", abort),
    check("EXEC does nothing when a watched key was changed", watch_changed),
    check("EXEC goes through when a watched key was not changed", watch_unchanged),
];

fn queued() -> Value {
    Value::Simple(b"QUEUED".to_vec())
}

fn exec(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("exec");
    host.expect(&["MULTI"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"1"], queued())?;
    host.expect(&[&b"INCR"[..], &key], queued())?;
    host.expect(&["EXEC"], Value::Array(vec![ok(), Value::Integer(2)]))?;
    host.expect(&[&b"GET"[..], &key], bulk("2"))
}

fn discard(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("discard");
    host.expect(&["MULTI"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"1"], queued())?;
    host.expect(&["DISCARD"], ok())?;
    host.expect(&[&b"GET"[..], &key], Value::Nil)?;
    host.expect_error(&["EXEC"], "ERR EXEC without MULTI")
}

fn abort(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("abort");
    host.expect(&["MULTI"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"1"], queued())?;
    host.expect_error(&["GET"], "ERR wrong number of arguments")?;
    host.expect_error(&["EXEC"], "EXECABORT")?;
    host.expect(&[&b"GET"[..], &key], Value::Nil)
}

fn watch_changed(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("watched");
    host.expect(&[&b"WATCH"[..], &key], ok())?;
    host.other_client().set(&key, b"theirs")?;
    host.expect(&["MULTI"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"ours"], queued())?;
    host.expect(&["EXEC"], Value::Nil)?;
    host.expect(&[&b"GET"[..], &key], bulk("theirs"))
}

fn watch_unchanged(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("watched-quietly");
    host.expect(&[&b"WATCH"[..], &key], ok())?;
    host.other_client().get(&key)?;
    host.expect(&["MULTI"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"ours"], queued())?;
    host.expect(&["EXEC"], Value::Array(vec![ok()]))?;
    host.expect(&[&b"GET"[..], &key], bulk("ours"))
}
